"""Elementwise functions, most of them one opcode."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.creation import full_like
from xlac.lax.operands import Declared, convert, expand, match

__all__: list[str] = ["RoundingMethod"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


def _unary(function: str, opcode: str, what: str) -> Any:
    row = OPCODES[opcode]

    def call(x: ArrayLike) -> Array:
        operand = lift(x)
        return emit(row, operand, weak=operand.weak_type)

    return named(call, function, what)


def _binary(function: str, opcode: str, what: str) -> Any:
    row = OPCODES[opcode]

    def call(x: ArrayLike, y: ArrayLike) -> Array:
        a, b = match(function, (x, y))
        return emit(row, a, b, weak=a.weak_type)

    return named(call, function, what)


def _compare(function: str, direction: str, what: str, kind: str | None = None) -> Any:
    def call(x: ArrayLike, y: ArrayLike) -> Array:
        a, b = match(function, (x, y))
        return emit(op.compare, a, b, direction=direction, type=kind)

    return named(call, function, what)


abs = _unary("abs", "abs", "Absolute value; of complex numbers, a real result.")
neg = _unary("neg", "negate", "-x.")
sign = _unary("sign", "sign", "-1, 0 or 1; x / |x| of complex numbers.")
ceil = _unary("ceil", "ceil", "Round up.")
floor = _unary("floor", "floor", "Round down.")
bitwise_not = _unary("bitwise_not", "not", "Complement of every bit, or of a bool.")
population_count = _unary("population_count", "popcnt", "Number of one bits.")
clz = _unary("clz", "count-leading-zeros", "Number of leading zero bits.")
exp = _unary("exp", "exponential", "e^x.")
expm1 = _unary("expm1", "exponential-minus-one", "e^x - 1, exact for small x.")
log = _unary("log", "log", "Natural logarithm.")
log1p = _unary("log1p", "log-plus-one", "log(1 + x), exact for small x.")
logistic = _unary("logistic", "logistic", "1 / (1 + e^-x).")
tanh = _unary("tanh", "tanh", "Hyperbolic tangent.")
sinh = _unary("sinh", "sinh", "Hyperbolic sine.")
cosh = _unary("cosh", "cosh", "Hyperbolic cosine.")
asin = _unary("asin", "asin", "Inverse sine; NaN outside [-1, 1].")
acos = _unary("acos", "acos", "Inverse cosine; NaN outside [-1, 1].")
asinh = _unary("asinh", "asinh", "Inverse hyperbolic sine.")
acosh = _unary("acosh", "acosh", "Inverse hyperbolic cosine; NaN below 1.")
atanh = _unary("atanh", "atanh", "Inverse hyperbolic tangent; NaN outside [-1, 1].")
sin = _unary("sin", "sine", "Sine.")
cos = _unary("cos", "cosine", "Cosine.")
tan = _unary("tan", "tan", "Tangent.")
sqrt = _unary("sqrt", "sqrt", "Square root.")
rsqrt = _unary("rsqrt", "rsqrt", "1 / sqrt(x).")
cbrt = _unary("cbrt", "cbrt", "Cube root.")
erf = _unary("erf", "erf", "Error function.")
is_finite = _unary("is_finite", "is-finite", "Whether neither infinite nor NaN.")
real = _unary("real", "real", "Real part.")
imag = _unary("imag", "imag", "Imaginary part.")

add = _binary("add", "add", "x + y.")
sub = _binary("sub", "subtract", "x - y.")
div = _binary("div", "divide", "x / y; of integers, rounded toward zero.")
rem = _binary("rem", "remainder", "Remainder of division toward zero: it has the sign of x.")
max = _binary("max", "maximum", "The greater; NaN if either is.")
min = _binary("min", "minimum", "The lesser; NaN if either is.")
atan2 = _binary("atan2", "atan2", "Angle of the point (y, x), given as atan2(y, x).")
bitwise_and = _binary("bitwise_and", "and", "x & y.")
bitwise_or = _binary("bitwise_or", "or", "x | y.")
bitwise_xor = _binary("bitwise_xor", "xor", "x ^ y.")
shift_left = _binary("shift_left", "shift-left", "x << y; 0 for y of at least the width.")
shift_right_arithmetic = _binary("shift_right_arithmetic", "shift-right-arithmetic", "x >> y, keeping the sign.")
shift_right_logical = _binary("shift_right_logical", "shift-right-logical", "x >> y, filling with zeros.")
mulhi = _binary("mulhi", "mulhi", "The upper half of the product of two integers.")
complex = _binary("complex", "complex", "The complex number x + iy.")

eq = _compare("eq", "EQ", "x == y.")
ne = _compare("ne", "NE", "x != y.")
ge = _compare("ge", "GE", "x >= y.")
gt = _compare("gt", "GT", "x > y.")
le = _compare("le", "LE", "x <= y.")
lt = _compare("lt", "LT", "x < y.")
lt_to = _compare("lt_to", "LT", "x < y in total order: -NaN < -inf < ... < -0 < 0 < ... < inf < NaN.", "TOTALORDER")
eq_to = _compare("eq_to", "EQ", "x == y in total order.", "TOTALORDER")


@public
def mul(x: ArrayLike, y: ArrayLike, *, out_dtype: Any = None) -> Array:
    """x * y; in another type, to which both are converted first, if one is given."""
    a, b = match("mul", (x, y))
    if out_dtype is not None:
        a, b = (convert(v, dtypes.as_dtype(out_dtype)) for v in (a, b))
    return emit(op.multiply, a, b, weak=a.weak_type)


@public
def pow(x: ArrayLike, y: ArrayLike) -> Array:
    """x^y; integers y beside floats x are taken as floats of that type."""
    if hasattr(x, "dtype") and hasattr(y, "dtype") and dtypes.is_inexact(x.dtype) and dtypes.is_integer(y.dtype):
        y = convert(lift(y), x.dtype)
    a, b = match("pow", (x, y))
    return emit(op.power, a, b, weak=a.weak_type)


@public
def conj(x: ArrayLike) -> Array:
    """Complex conjugate; the number itself if it is real."""
    x = lift(x)
    return complex(real(x), neg(imag(x))) if dtypes.is_complex(x.dtype) else x


@public
def atan(x: ArrayLike) -> Array:
    """Inverse tangent; of a complex number, -i atanh(ix)."""
    x = lift(x)
    if dtypes.is_complex(x.dtype):
        turned = atanh(complex(neg(imag(x)), real(x)))
        return complex(imag(turned), neg(real(turned)))
    return atan2(x, 1.0)


@public
def exp2(x: ArrayLike) -> Array:
    """2^x."""
    return pow(2.0, x)


@public
def square(x: ArrayLike) -> Array:
    """x * x."""
    x = lift(x)
    return mul(x, x)


@public
def reciprocal(x: ArrayLike) -> Array:
    """1 / x."""
    return div(1, x)


@public
def integer_pow(x: ArrayLike, y: int) -> Array:
    """x to a fixed integer power, by repeated multiplication."""
    x = lift(x)
    if y == 0:
        return full_like(x, 1)
    if y < 0:
        return div(1, integer_pow(x, -y))
    result, base = None, x
    while y:
        if y & 1:
            result = base if result is None else mul(result, base)
        y >>= 1
        if y:
            base = mul(base, base)
    return result


@public
def round(x: ArrayLike, rounding_method: int = 0) -> Array:
    """Nearest integer: halves away from zero (method 0), or to even (method 1)."""
    x = lift(x)
    row = op.round_nearest_even if rounding_method else op.round_nearest_afz
    return emit(row, x, weak=x.weak_type)


class RoundingMethod:
    """Where halves go."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


@public
def nextafter(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The float next to x1 in the direction of x2."""
    x, y = match("nextafter", (x1, x2))
    bits = element_type(x.dtype).bits
    integer = np.dtype(f"i{bits // 8}")
    raw = bitcast_convert_type(x, integer)
    up = eq(gt(y, x), gt(x, 0))
    step = select(up, full_like(raw, 1), full_like(raw, -1))
    moved = bitcast_convert_type(add(raw, step), x.dtype)
    tiny = bitcast_convert_type(full_like(raw, 1), x.dtype)
    from_zero = select(gt(y, 0), tiny, neg(tiny))
    result = select(eq(x, 0), from_zero, moved)
    result = select(eq(x, y), y, result)
    return select(bitwise_or(ne(x, x), ne(y, y)), full_like(x, math.nan), result)


@public
def convert_element_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The array in another element type (None: as it is): floats to integers truncate, anything but 0 is true."""
    x = lift(operand)
    dtype = x.dtype if new_dtype is None else dtypes.as_dtype(new_dtype)
    weak = new_dtype in (int, float, builtins.complex) if isinstance(new_dtype, type) else False
    if dtype == np.bool_ and x.dtype != np.bool_:
        return ne(x, full_like(x, 0))
    return convert(x, dtype, weak and x.weak_type)


@public
def bitcast_convert_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The same bits as another type; a narrower one adds a last dimension, a wider one takes it away."""
    x = lift(operand)
    old, new = element_type(x.dtype), element_type(dtypes.as_dtype(new_dtype))
    if old is new:
        return x
    dims = x.shape
    if new.bits < old.bits:
        dims = (*dims, old.bits // new.bits)
    elif new.bits > old.bits:
        dims = dims[:-1]
    return emit(op.bitcast_convert, x, shape=ArrayShape(new, dims))


@public
def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Array:
    """Floats rounded to fewer exponent and mantissa bits, in their own type."""
    return emit(op.reduce_precision, lift(operand), exponent_bits=exponent_bits, mantissa_bits=mantissa_bits)


@public
def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """`on_true` where `pred` holds, else `on_false`; `pred` has their shape or is a scalar."""
    a, b = match("select", (on_true, on_false))
    p = lift(pred)
    if p.shape and not a.shape:
        a, b = expand(a, p.shape, ()), expand(b, p.shape, ())
    return emit(op.select, p, a, b, weak=a.weak_type)


@public
def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """The case whose number `which` holds; False is case 0."""
    which = lift(which)
    operands = match("select_n", cases)
    if which.dtype == np.bool_:
        if len(operands) > 2:
            raise shape_error(f"select_n: a bool chooses between 2 cases, got {len(operands)}")
        return operands[0] if len(operands) == 1 else emit(op.select, which, operands[1], operands[0])
    result = operands[-1]
    for i in reversed(range(len(operands) - 1)):
        result = emit(op.select, lt(which, i + 1), operands[i], result)
    return result


@public
def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """`x` limited to [min, max]; the limits have its shape or are scalars."""
    x = lift(x)
    low, high = (convert(lift(v), x.dtype) if lift(v).weak_type else lift(v) for v in (min, max))
    return emit(op.clamp, low, x, high, weak=x.weak_type)


@public
def stop_gradient(x: ArrayLike) -> Array:
    """`x`, taken as a constant by gradients."""
    return tree.map(_stop, x)


def _stop(x: Any) -> Tracer:
    x = lift(x)
    marker = emit(op.copy, x, weak=x.weak_type)
    marker._trace.session.notes[marker._instruction] = trace.NO_DERIVATIVE
    return marker
