"""Laws of reductions by a monoid. HLO leaves the order of a reduction open, so regrouping is no loss of exactness."""

from __future__ import annotations

import math

from xlac.ir.match import Any, broadcast_scalar, full, is_negative_zero, rule, splat_value
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.reduction import init_count, monoid, reduces_nothing
from xlac.ir.shape import ArrayShape

x, i, j = Any("x"), Any("i"), Any("j")

_IDEMPOTENT = ("maximum", "minimum", "and", "or")


def _array(x: Instruction) -> ArrayShape:
    assert isinstance(x.shape, ArrayShape)
    return x.shape


def _plain(root: Instruction) -> str | None:
    """The monoid of a reduction of one array that accumulates in the array's type, else None."""
    name = monoid(root["to_apply"])
    if name is None or not isinstance(root.shape, ArrayShape):
        return None
    same = root.shape.element_type is _array(root.operands[0]).element_type is _array(root.operands[1]).element_type
    return name if same else None


def is_identity(name: str, init: Instruction) -> bool:
    """Whether combining with the constant `init` changes nothing, bit for bit (0 is none for sums of floats: -0 + 0 =
    0)."""
    value = splat_value(init)
    if value is None:
        return False
    row = _array(init).element_type
    if name == "add":
        return value == 0 and (not row.is_inexact or (row.is_float and is_negative_zero(value)))
    if name == "multiply":
        return value == 1 and not row.is_complex
    if name in ("or", "xor"):
        return value == 0
    if name == "and":
        return int(value) == (1 if row.kind == "p" else -1 if row.kind == "s" else (1 << row.bits) - 1)
    if row.is_complex:
        return False
    signed = row.kind == "s"
    if row.kind == "p":
        least, greatest = 0, 1
    elif row.is_float:
        least, greatest = -math.inf, math.inf
    else:
        least, greatest = (-(1 << (row.bits - 1)) if signed else 0), (1 << (row.bits - signed)) - 1
    return bool(value == (least if name == "maximum" else greatest))


def _combined(name: str, init: Instruction, x: Instruction) -> Instruction:
    """`init` and the elements of `x`, combined."""
    if is_identity(name, init):
        return x
    return OPCODES[name].make(broadcast_scalar(init, x.dims), x)


def _reduced(x: Instruction, init: Instruction, dimensions: tuple[int, ...], root: Instruction) -> Instruction:
    return op.reduce.make(x, init, dimensions=dimensions, to_apply=root["to_apply"])


@rule(op.reduce(x, i))
def reduce_of_nothing(root, x, i):
    """A reduction of no elements gives the initial value."""
    if not isinstance(root.shape, ArrayShape) or root.shape.element_type is not _array(i).element_type:
        return None
    if root.shape.size and math.prod(x.dims[d] for d in root["dimensions"]) == 0:
        return broadcast_scalar(i, root.dims)
    return None


@rule(op.reduce(x, i))
def reduce_of_one(root, x, i):
    """A reduction over one element gives it."""
    if _plain(root) is None or not reduces_nothing(x.dims, root["dimensions"]):
        return None
    return x if x.dims == root.dims else op.reshape.make(x, shape=root.shape)


@rule(op.reduce(x, i))
def reduce_over_size_one_dimensions(root, x, i):
    """Dimensions of one element among those reduced are reshaped away."""
    trivial = [d for d in root["dimensions"] if x.dims[d] == 1]
    if _plain(root) is None or not trivial or len(trivial) == len(root["dimensions"]):
        return None
    place = {d: k for k, d in enumerate(d for d in range(len(x.dims)) if d not in trivial)}
    rest = op.reshape.make(x, shape=_array(x).without(*trivial))
    return _reduced(rest, i, tuple(place[d] for d in root["dimensions"] if d in place), root)


@rule(op.reduce(op.reduce(x, i, name="inner"), j))
def reduce_twice(root, inner, x, i, j):
    """A reduction of a reduction by the same monoid, read only there, is one."""
    name = _plain(root)
    if name is None or _plain(inner) != name or len(inner.users) != 1:
        return None
    # -0 + 0 = 0 is lost only if nothing else adds a 0.
    zero = name == "add" and splat_value(i) is not None and splat_value(i) == 0
    zero = zero and splat_value(j) is not None and not is_negative_zero(splat_value(j))
    if not zero and not is_identity(name, i):
        return None
    kept = [d for d in range(len(x.dims)) if d not in inner["dimensions"]]
    dimensions = tuple(sorted((*inner["dimensions"], *(kept[d] for d in root["dimensions"]))))
    plain = name in _IDEMPOTENT or is_identity(name, j) or (name == "add" and splat_value(j) == 0)
    if not plain:  # it must enter as often as before
        before = init_count(_array(inner), root["dimensions"], root["to_apply"])
        if init_count(_array(x), dimensions, root["to_apply"]) != before:
            return None
    return _reduced(x, j, dimensions, root)


@rule(op.reduce(op.transpose(x, name="moved"), i))
def reduce_of_transpose(root, moved, x, i):
    """A reduction does not see the order of what it reduces, if what is left keeps its order."""
    order = moved["dimensions"]
    if _plain(root) is None:
        return None
    kept = [order[d] for d in range(len(order)) if d not in root["dimensions"]]
    if kept != sorted(kept):
        return None
    return _reduced(x, i, tuple(sorted(order[d] for d in root["dimensions"])), root)


def _split_broadcast(root: Instruction, spread: Instruction) -> tuple[Instruction, tuple[int, ...], int] | None:
    """The broadcast without those of its reduced dimensions that only repeat, the dimensions left to reduce, and how
    many repeats went; None if there are none such."""
    repeats = [d for d in root["dimensions"] if d not in spread["dimensions"]]
    count = math.prod(spread.dims[d] for d in repeats)
    if not repeats or count == 0:
        return None
    place = {d: k for k, d in enumerate(d for d in range(len(spread.dims)) if d not in repeats)}
    narrow = op.broadcast.make(
        spread.operands[0],
        shape=_array(spread).without(*repeats),
        dimensions=tuple(place[d] for d in spread["dimensions"]),
    )
    return narrow, tuple(place[d] for d in root["dimensions"] if d in place), count


@rule(op.reduce(op.broadcast(name="spread"), i))
def extremum_of_broadcast(root, spread, i):
    """The extremum of repeats is that of one."""
    name = _plain(root)
    split = _split_broadcast(root, spread) if name in _IDEMPOTENT else None
    if name is None or split is None:
        return None
    narrow, dimensions, _ = split
    return _reduced(narrow, i, dimensions, root) if dimensions else _combined(name, i, narrow)


def _sum_of_broadcast(root: Instruction, spread: Instruction, i: Instruction) -> Instruction | None:
    init = splat_value(i)
    split = _split_broadcast(root, spread) if _plain(root) == "add" and init is not None and init == 0 else None
    if split is None:
        return None
    narrow, dimensions, count = split
    total = _reduced(narrow, i, dimensions, root) if dimensions else narrow
    row = _array(root).element_type
    factor = count & ((1 << row.bits) - 1) if row.is_integer else count
    if row.kind == "s" and factor >= 1 << (row.bits - 1):
        factor -= 1 << row.bits
    return op.multiply.make(total, full(_array(root), factor))


@rule(op.reduce(op.broadcast(name="spread"), i), kinds="su")
def sum_of_broadcast(root, spread, i):
    """The sum of n repeats of x is n x in integers."""
    return _sum_of_broadcast(root, spread, i)


@rule(op.reduce(op.broadcast(name="spread"), i), kinds="f", exact=False)
def float_sum_of_broadcast(root, spread, i):
    """The sum of n repeats of x is n x, rounded once."""
    return _sum_of_broadcast(root, spread, i)
