"""Laws of bits, shifts, comparisons and choices."""

from __future__ import annotations

from xlac.ir.match import Any, Splat, broadcast_scalar, full, one_of, rule, splat_value
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import PRED, ArrayShape

x, y, z, p = Any("x"), Any("y"), Any("z"), Any("p")
c = Splat(name="c")

_OPPOSITE = {"EQ": "NE", "NE": "EQ", "LT": "GE", "GE": "LT", "GT": "LE", "LE": "GT"}


def _is_ones(c: Instruction) -> bool:
    """Whether every bit of the constant is set."""
    row = c.shape.element_type  # type: ignore[union-attr]
    value = int(splat_value(c))
    return value == (1 if row.kind == "p" else -1 if row.kind == "s" else (1 << row.bits) - 1)


# ---- bits


@rule(op.not_(op.not_(x)))
def not_twice(root, x):
    """not not x = x."""
    return x


@rule(one_of(("and", "or"))(x, x))
def and_or_of_same(root, x):
    """x & x = x | x = x."""
    return x


@rule(op.xor(x, x))
def xor_of_same(root, x):
    """x ^ x = 0."""
    return full(root.shape, 0)


@rule(op.and_(x, c))
def and_constant(root, x, c):
    """x & 0 = 0, x & ~0 = x."""
    if splat_value(c) == 0:
        return full(root.shape, 0)
    return x if _is_ones(c) else None


@rule(op.or_(x, c))
def or_constant(root, x, c):
    """x | 0 = x, x | ~0 = ~0."""
    if splat_value(c) == 0:
        return x
    return full(root.shape, splat_value(c)) if _is_ones(c) else None


@rule(op.xor(x, c))
def xor_constant(root, x, c):
    """x ^ 0 = x, x ^ ~0 = not x."""
    if splat_value(c) == 0:
        return x
    return op.not_.make(x) if _is_ones(c) else None


@rule(one_of(("and", "or"))(x, op.not_(x)))
def and_or_with_opposite(root, x):
    """x & ~x = 0, x | ~x = ~0."""
    if root.opcode is op.and_:
        return full(root.shape, 0)
    return (
        full(root.shape, True if root.shape.element_type is PRED else -1)
        if root.shape.element_type.kind in "ps"
        else None
    )


@rule(one_of(("and", "or"))(op.and_(x, y, name="inner"), x))
def absorb_and(root, inner, x, y):
    """(x & y) & x = x & y, (x & y) | x = x."""
    return inner if root.opcode is op.and_ else x


@rule(one_of(("shift-left", "shift-right-logical", "shift-right-arithmetic"))(x, c))
def shift_by_constant(root, x, c):
    """x << 0 = x >> 0 = x; all bits shifted out give 0, but for an arithmetic shift to the right."""
    amount, bits = int(splat_value(c)), root.shape.element_type.bits
    if amount == 0:
        return x
    if not 0 <= amount < bits and root.opcode.name != "shift-right-arithmetic":
        return full(root.shape, 0)
    return None


# ---- comparisons


@rule(op.compare(x, x))
def compare_with_itself(root, x):
    """x = x, x <= x and x >= x hold, the others do not; for floats only in the total order, since NaN is not itself."""
    if x.shape.element_type.is_inexact and root["type"] != "TOTALORDER":
        return None
    return full(root.shape, root["direction"] in ("EQ", "GE", "LE"))


@rule(op.compare(x, c))
def compare_with_least_or_greatest(root, x, c):
    """x < least never, x >= least always, x > greatest never, x <= greatest always, in integers."""
    row = x.shape.element_type
    if not row.is_integer:
        return None
    value = int(splat_value(c))
    signed = row.kind == "s"
    least, greatest = (-(1 << (row.bits - 1)) if signed else 0), (1 << (row.bits - signed)) - 1
    direction = root["direction"]
    if (value == least and direction == "LT") or (value == greatest and direction == "GT"):
        return full(root.shape, False)
    if (value == least and direction == "GE") or (value == greatest and direction == "LE"):
        return full(root.shape, True)
    return None


@rule(op.compare(p, c))
def compare_truth(root, p, c):
    """p = true and p != false are p; p = false and p != true are not p."""
    if p.shape.element_type is not PRED or root["direction"] not in ("EQ", "NE"):
        return None
    return p if bool(splat_value(c)) == (root["direction"] == "EQ") else op.not_.make(p)


@rule(op.compare(op.convert(p), Splat(0, name="c")))
def compare_converted_truth(root, p, c):
    """convert(p) != 0 is p, convert(p) = 0 is not p."""
    if p.shape.element_type is not PRED or root["type"] == "TOTALORDER":
        return None
    return {"NE": p, "EQ": op.not_.make(p)}.get(root["direction"])


@rule(op.not_(op.compare(x, y, name="inner")))
def not_compare(root, inner, x, y):
    """not (x < y) = x >= y in integers and total orders; for floats with NaN only not (x = y) = x != y."""
    direction = inner["direction"]
    partial = x.shape.element_type.is_inexact and inner["type"] != "TOTALORDER"
    if partial and direction not in ("EQ", "NE"):
        return None
    return op.compare.make(x, y, direction=_OPPOSITE[direction], type=inner["type"])


# ---- select


@rule(op.select(p, x, x))
def select_same(root, p, x):
    """select(p, x, x) = x."""
    return x


@rule(op.select(c, x, y))
def select_constant(root, c, x, y):
    """select(true, x, y) = x, select(false, x, y) = y."""
    return x if splat_value(c) else y


@rule(op.select(op.not_(p), x, y))
def select_not(root, p, x, y):
    """select(not p, x, y) = select(p, y, x)."""
    return op.select.make(p, y, x)


@rule(op.select(p, Splat(1, name="x"), Splat(0, name="y")), kinds="p")
def select_true_false(root, p, x, y):
    """select(p, true, false) = p."""
    return p if p.shape == root.shape else broadcast_scalar(p, root.dims)


@rule(op.select(p, Splat(0, name="x"), Splat(1, name="y")), kinds="p")
def select_false_true(root, p, x, y):
    """select(p, false, true) = not p."""
    return op.not_.make(p if p.shape == root.shape else broadcast_scalar(p, root.dims))


@rule(op.select(p, op.select(p, x, y), z))
def select_of_select_true(root, p, x, y, z):
    """select(p, select(p, x, y), z) = select(p, x, z)."""
    return op.select.make(p, x, z)


@rule(op.select(p, x, op.select(p, y, z)))
def select_of_select_false(root, p, x, y, z):
    """select(p, x, select(p, y, z)) = select(p, x, z)."""
    return op.select.make(p, x, z)


@rule(op.select(op.broadcast(p), x, y))
def select_broadcast_scalar(root, p, x, y):
    """A broadcast of a scalar chooses as the scalar does."""
    return op.select.make(p, x, y) if isinstance(p.shape, ArrayShape) and not p.shape.dims else None
