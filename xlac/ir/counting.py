"""Loops whose state is one integer that steps by a constant until it fails a comparison: where they end, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xlac.ir.shape import ArrayShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation, Instruction

_SWAPPED = {"LT": "GT", "GT": "LT", "LE": "GE", "GE": "LE", "EQ": "EQ", "NE": "NE"}


def counted_end(condition: Computation, body: Computation, first: int) -> int | None:
    """The last state of `while (condition(i)) i = body(i)` from `first`; None if it is more, or never ends."""
    test, following = condition.root, body.root
    state = body.parameters[0].shape
    if not isinstance(state, ArrayShape) or state.dims or not state.element_type.is_integer:
        return None
    if test.opcode.name != "compare" or following.opcode.name not in ("add", "subtract"):
        return None
    i, limit, direction = *test.operands, test["direction"]
    if limit is condition.parameters[0]:
        i, limit, direction = limit, i, _SWAPPED[direction]
    j, step = following.operands
    if following.opcode.name == "add" and step is body.parameters[0]:
        j, step = step, j
    if i is not condition.parameters[0] or j is not body.parameters[0]:
        return None
    bound, by = _constant(limit), _constant(step)
    if bound is None or by is None:
        return None
    by = -by if following.opcode.name == "subtract" else by
    row = state.element_type
    count = 1 << row.bits
    least = -(count >> 1) if row.kind == "s" else 0
    end = _leave(first - least, by % count, direction, bound - least, count)
    return None if end is None else end + least


def _constant(x: Instruction) -> int | None:
    return int(x["literal"]) if x.opcode.name == "constant" else None


def _leave(first: int, by: int, direction: str, bound: int, count: int) -> int | None:
    """The first of first, first + by, ... modulo `count` for which `value direction bound` is false.

    The values that pass are an arc of the ring of integers modulo `count`; from a place in it, steps up leave it at its
    upper end, steps down, which are steps up by nearly `count`, at its lower one.
    """
    start, length = {
        "LT": (0, bound),
        "LE": (0, bound + 1),
        "GT": (bound + 1, count - 1 - bound),
        "GE": (bound, count - bound),
        "EQ": (bound, 1),
        "NE": (bound + 1, count - 1),
    }[direction]
    place = (first - start) % count
    if place >= length:
        return first
    if by == 0:
        return None
    up = place + -(-(length - place) // by) * by
    down = place - (place // (count - by) + 1) * (count - by)
    # A step may be longer than the way around the other values; then it comes back among those that pass.
    for end in (up, down):
        if length <= end < count or length - count <= end < 0:
            return (start + end) % count
    return None
