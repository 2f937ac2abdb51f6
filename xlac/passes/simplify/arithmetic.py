"""Laws of arithmetic. In floating point only those hold that keep every bit: signed zeros, infinities and NaN decide.

Integer arithmetic is modulo 2^bits throughout, so sums and products may be regrouped.
"""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.match import (
    Any,
    Splat,
    broadcast_scalar,
    full,
    is_negative_zero,
    kind_of,
    one_of,
    rule,
    scalar,
    splat_value,
)
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape

x, y = Any("x"), Any("y")
c, d = Splat(name="c"), Splat(name="d")

_WHOLE = ("floor", "ceil", "round-nearest-afz", "round-nearest-even")


def _combined(root: Instruction, row: str, c: Instruction, d: Instruction) -> Instruction:
    """The constant `c row d` in the root's shape."""
    shape = root.shape
    assert isinstance(shape, ArrayShape)
    values = [scalar(splat_value(v), shape.element_type) for v in (c, d)]
    made = getattr(op, row).make(*values)
    value = evaluate_instruction(made, [v["literal"] for v in values])
    return full(shape, value)


# ---- addition and subtraction


@rule(op.add(x, Splat(0)), kinds="psu")
def add_zero(root, x):
    """x + 0 = x in integers."""
    return x


@rule(op.add(x, Splat(-0.0)), kinds="f")
def add_negative_zero(root, x):
    """x + (-0) = x: the one zero that keeps the sign of zero."""
    return x


@rule(op.add(x, Splat(0)), kinds="f")
def add_zero_to_no_negative_zero(root, x):
    """x + 0 = x for what is never -0: sums that begin with 0, squares, magnitudes, exponentials, whole numbers."""
    return x if _never_negative_zero(x) else None


def _never_negative_zero(x: Instruction) -> bool:
    name = x.opcode.name
    if name == "broadcast":
        return _never_negative_zero(x.operands[0])
    if name == "reduce":
        init = splat_value(x.operands[1]) if len(x.operands) == 2 and monoid(x["to_apply"]) == "add" else None
        return init is not None and bool(init == 0) and not is_negative_zero(init)
    if name == "multiply":
        return x.operands[0] is x.operands[1]
    if name == "convert":
        return kind_of(x.operands[0]) in ("p", "s", "u")
    return name in ("abs", "exponential", "logistic")


@rule(op.add(x, Splat(0)), kinds="f", exact=False)
def add_positive_zero(root, x):
    """x + 0 = x but for x = -0."""
    return x


@rule(op.add(op.add(x, c), d), kinds="su")
def add_constants(root, x, c, d):
    """(x + c) + d = x + (c + d)."""
    return op.add.make(x, _combined(root, "add", c, d))


@rule(op.add(x, op.negate(y)), kinds="suf")
def add_negated(root, x, y):
    """x + (-y) = x - y."""
    return op.subtract.make(x, y)


@rule(op.subtract(x, Splat(0)), kinds="psuf")
def subtract_zero(root, x):
    """x - 0 = x, for -0 too."""
    return x


@rule(op.subtract(x, x), kinds="psu")
def subtract_self(root, x):
    """x - x = 0 in integers (infinity and NaN differ)."""
    return full(root.shape, 0)


@rule(op.subtract(x, op.negate(y)), kinds="suf")
def subtract_negated(root, x, y):
    """x - (-y) = x + y."""
    return op.add.make(x, y)


@rule(op.subtract(Splat(0), x), kinds="su")
def zero_minus(root, x):
    """0 - x = -x in integers."""
    return op.negate.make(x)


@rule(op.subtract(Splat(-0.0), x), kinds="f")
def negative_zero_minus(root, x):
    """(-0) - x = -x."""
    return op.negate.make(x)


@rule(op.subtract(op.add(x, y), y), kinds="su")
def add_then_subtract(root, x, y):
    """(x + y) - y = x in integers."""
    return x


@rule(op.subtract(x, c), kinds="su")
def subtract_constant(root, x, c):
    """x - c = x + (-c) in integers, so that sums of constants meet."""
    return op.add.make(x, _combined(root, "subtract", full(c.shape, 0), c))


@rule(op.negate(op.negate(x)))
def negate_twice(root, x):
    """-(-x) = x."""
    return x


@rule(op.negate(op.subtract(x, y)), kinds="su")
def negate_difference(root, x, y):
    """-(x - y) = y - x in integers (x = y gives another zero in floating point)."""
    return op.subtract.make(y, x)


# ---- multiplication


@rule(op.multiply(x, Splat(1)), kinds="psuf")
def multiply_one(root, x):
    """x * 1 = x."""
    return x


@rule(op.multiply(x, Splat(0)), kinds="psu")
def multiply_zero(root, x):
    """x * 0 = 0 in integers (NaN, infinity and negative x differ)."""
    return full(root.shape, 0)


@rule(op.multiply(x, Splat(-1)), kinds="sf")
def multiply_minus_one(root, x):
    """x * -1 = -x."""
    return op.negate.make(x)


@rule(op.multiply(op.multiply(x, c), d), kinds="su")
def multiply_constants(root, x, c, d):
    """(x * c) * d = x * (c * d) in integers."""
    return op.multiply.make(x, _combined(root, "multiply", c, d))


@rule(op.multiply(op.negate(x), op.negate(y)), kinds="suf")
def multiply_negated(root, x, y):
    """(-x) * (-y) = x * y."""
    return op.multiply.make(x, y)


# ---- division


@rule(op.divide(x, Splat(1)), kinds="suf")
def divide_by_one(root, x):
    """x / 1 = x."""
    return x


@rule(op.divide(x, Splat(-1)), kinds="f")
def divide_by_minus_one(root, x):
    """x / -1 = -x."""
    return op.negate.make(x)


@rule(op.divide(x, c), kinds="f")
def divide_by_power_of_two(root, x, c):
    """x / 2^k = x * 2^-k where both are normal numbers: scaling by a power of two rounds the same way."""
    reciprocal = _reciprocal(c)
    if reciprocal is None or abs(math.frexp(reciprocal)[0]) != 0.5:
        return None
    return op.multiply.make(x, full(root.shape, reciprocal))


@rule(op.divide(x, c), kinds="f", exact=False)
def divide_by_constant(root, x, c):
    """x / c = x * (1 / c), rounded twice."""
    reciprocal = _reciprocal(c)
    return None if reciprocal is None else op.multiply.make(x, full(root.shape, reciprocal))


def _reciprocal(c: Instruction) -> float | None:
    """1 / c where both are normal numbers of IEEE types, else None."""
    shape = c.shape
    assert isinstance(shape, ArrayShape)
    if shape.element_type.name not in ("f16", "bf16", "f32", "f64"):
        return None
    value = float(splat_value(c))
    info = ml_dtypes.finfo(shape.dtype)
    smallest, largest = float(info.smallest_normal), float(info.max)
    if not smallest <= abs(value) <= largest or not smallest <= abs(1 / value) <= largest:
        return None
    return 1 / value


@rule(op.divide(x, c), kinds="u")
def divide_by_shift(root, x, c):
    """x / 2^k = x >> k without sign."""
    shift = _log2(splat_value(c))
    return None if shift is None or not _has_shifts(root) else op.shift_right_logical.make(x, full(root.shape, shift))


@rule(op.remainder(x, c), kinds="u")
def remainder_by_mask(root, x, c):
    """x mod 2^k = x & (2^k - 1) without sign."""
    value = splat_value(c)
    return None if _log2(value) is None else op.and_.make(x, full(root.shape, int(value) - 1))


@rule(op.remainder(x, Splat(1)), kinds="su")
def remainder_by_one(root, x):
    """x mod 1 = 0."""
    return full(root.shape, 0)


def _has_shifts(root: Instruction) -> bool:
    return root.shape.element_type.bits >= 8  # type: ignore[union-attr]


def _log2(value: np.generic) -> int | None:
    number = int(value)
    return number.bit_length() - 1 if number > 0 and number & (number - 1) == 0 else None


@rule(op.divide(Splat(1), op.sqrt(x)), kinds="f", exact=False)
def reciprocal_of_root(root, x):
    """1 / sqrt(x) = rsqrt(x), rounded once instead of twice."""
    return op.rsqrt.make(x)


@rule(op.divide(x, op.divide(y, Any("z"))), kinds="f", exact=False)
def divide_by_quotient(root, x, y, z):
    """x / (y / z) = (x * z) / y, rounded differently."""
    return op.divide.make(op.multiply.make(x, z), y)


# ---- powers, absolute value, rounding


@rule(op.power(x, c), kinds="suf")
def power_of_constant(root, x, c):
    """x^0 = 1 (of NaN too), x^1 = x, x^2 = x * x and x^-1 = 1 / x: each right to the last bit."""
    exponent = splat_value(c)
    if exponent == 0:
        return full(root.shape, 1)
    if exponent == 1:
        return x
    if exponent == 2:
        return op.multiply.make(x, x)
    if exponent == -1 and root.shape.element_type.is_float:
        return op.divide.make(full(root.shape, 1), x)
    return None


@rule(op.power(x, Splat(0.5)), kinds="f", exact=False)
def power_half(root, x):
    """x^0.5 = sqrt(x) but for -0 and -infinity."""
    return op.sqrt.make(x)


@rule(op.power(x, Splat(3)), kinds="f", exact=False)
def power_three(root, x):
    """x^3 = x * x * x, rounded twice."""
    return op.multiply.make(op.multiply.make(x, x), x)


@rule(op.abs(op.abs(x, name="inner")), kinds="suf")
def abs_twice(root, inner, x):
    """| |x| | = |x|."""
    return inner


@rule(op.abs(op.negate(x)), kinds="sf")
def abs_negated(root, x):
    """|-x| = |x|."""
    return op.abs.make(x) if x.shape.element_type.kind in "sf" else None


@rule(op.abs(x), kinds="u")
def abs_unsigned(root, x):
    """|x| = x without sign."""
    return x


@rule(op.multiply(op.abs(x), op.abs(x)), kinds="sf")
def square_of_abs(root, x):
    """|x| * |x| = x * x."""
    return op.multiply.make(x, x) if x.shape == root.shape else None


@rule(one_of(_WHOLE)(one_of(_WHOLE)(x, name="inner")))
def round_twice(root, inner, x):
    """A whole number is its own floor, ceiling and nearest whole number."""
    return inner


# ---- maximum, minimum, clamp


@rule(one_of(("maximum", "minimum"))(x, x))
def extremum_of_same(root, x):
    """max(x, x) = min(x, x) = x."""
    return x


@rule(one_of(("maximum", "minimum"))(x, c), kinds="psuf")
def extremum_with_limit(root, x, c):
    """max(x, least) = x, and in integers max(x, greatest) = greatest; the same for min (NaN survives both)."""
    value = splat_value(c)
    least, greatest = _limits(root)
    neutral, absorbing = (least, greatest) if root.opcode.name == "maximum" else (greatest, least)
    if value == neutral:
        return x
    if value == absorbing and not root.shape.element_type.is_float:
        return c if c.shape == root.shape else broadcast_scalar(c, root.dims)
    return None


@rule(op.clamp(c, x, d), kinds="suf")
def clamp_to_everything(root, c, x, d):
    """clamp(least, x, greatest) = x."""
    least, greatest = _limits(root)
    return x if splat_value(c) == least and splat_value(d) == greatest else None


@rule(op.minimum(op.maximum(x, c), d), kinds="su")
def clamp_of_extrema(root, x, c, d):
    """min(max(x, c), d) = clamp(c, x, d) in integers, one instruction."""
    return op.clamp.make(
        scalar(splat_value(c), root.shape.element_type), x, scalar(splat_value(d), root.shape.element_type)
    )


def _limits(root: Instruction) -> tuple[object, object]:
    """The least and the greatest value of the root's type; infinities in floating point."""
    shape = root.shape
    assert isinstance(shape, ArrayShape)
    row = shape.element_type
    if row.kind == "p":
        return False, True
    if row.is_float:
        return -math.inf, math.inf
    if row.kind == "u":
        return 0, (1 << row.bits) - 1
    return -(1 << (row.bits - 1)), (1 << (row.bits - 1)) - 1


# ---- complex numbers


@rule(op.real(op.complex(x, y)))
def real_of_complex(root, x, y):
    """real(x + iy) = x."""
    return x


@rule(op.imag(op.complex(x, y)))
def imag_of_complex(root, x, y):
    """imag(x + iy) = y."""
    return y


@rule(op.complex(op.real(x), op.imag(x)))
def complex_of_parts(root, x):
    """real(x) + i imag(x) = x."""
    return x if x.shape == root.shape else None


@rule(op.real(x), kinds="f")
def real_of_real(root, x):
    """real(x) = x for real x."""
    return x if x.shape == root.shape else None
