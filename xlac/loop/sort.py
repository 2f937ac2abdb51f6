"""The schedule of sort: a stable bottom-up merge sort of each row, by any comparator.

Rows are independent and may go to different threads. A row is merged back and forth between the two halves of a
scratch row, runs of 1, 2, 4, ... elements at a time, without branches on the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED, S64
from xlac.loop import ir
from xlac.loop.elemental import Elemental, Storage, convert, linearize
from xlac.loop.ir import (
    Assign,
    Buffer,
    For,
    FromValue,
    Index,
    Kernel,
    Loop,
    Register,
    Statement,
    Store,
    Value,
    apply,
    const,
    index,
    load,
    read,
)
from xlac.loop.schedule import PARALLEL_NS, PIECE_NS, Machine

# Nanoseconds of one step of a merge.
_STEP_NS = 4.0


def schedule_sort(
    name: str, x: Instruction, outputs: Sequence[Buffer], storage: dict[Instruction, Storage], machine: Machine
) -> list[ir.Step]:
    """Sort along one dimension all operands together."""
    dims = x.operands[0].dims
    (dim,) = x["dimensions"]
    n = dims[dim]
    if not math.prod(dims):
        return []
    e = Elemental(storage)
    others = [d for d in range(len(dims)) if d != dim]
    rows = math.prod(dims[d] for d in others)
    row_vars = {d: e.fresh("i", dims[d]) for d in others}
    row = linearize([index(row_vars[d]) for d in others], [dims[d] for d in others])
    scratch = [Buffer(f"{o.name}.scratch", o.element_type, rows * 2 * n) for o in outputs]

    def at(place: Index) -> tuple[Index, ...]:
        return tuple(place if d == dim else index(row_vars[d]) for d in range(len(dims)))

    start = row * (2 * n)
    body: list[Statement] = []
    k = e.fresh("k", n)
    body.append(For(k, [Store(s, start + index(k), e.at(o, at(index(k)))) for s, o in zip(scratch, x.operands)]))
    source = Register("source", S64)
    body.append(Assign(source, const(S64, 0)))
    if n > 1:
        body.extend(_merge_passes(e, x, scratch, start, n, source))
    k = e.fresh("k", n)
    base = start + index(FromValue(read(source), 0, n))
    body.append(
        For(k, [Store(o, linearize(at(index(k)), dims), load(s, base + index(k))) for s, o in zip(scratch, outputs)])
    )
    for d in reversed(others):
        body = [For(row_vars[d], body)]
    total = rows * n * max(1, math.ceil(math.log2(max(n, 2)))) * _STEP_NS
    if machine.parallel and others and total > PARALLEL_NS and isinstance(body[0], For) and body[0].var.extent > 1:
        outer = body[0].var
        return [Kernel(name, body, outer, max(1, math.ceil(outer.extent * PIECE_NS / total)))]
    return [Kernel(name, body)]


def _arithmetic(opcode: str, a: Value, b: Value) -> Value:
    return apply(opcode, S64, a, b)


def _below(a: Value, b: Value) -> Value:
    return apply("compare", PRED, a, b, direction="LT", type=None)


def _merge_passes(
    e: Elemental, x: Instruction, scratch: Sequence[Buffer], start: Index, n: int, source: Register
) -> list[Statement]:
    """while width < n: merge neighbouring runs of `width` from one half of the scratch row to the other."""
    width, low, i, j, k = (Register(f"{r}", S64) for r in ("width", "low", "i", "j", "k"))
    length, one, zero = const(S64, n), const(S64, 1), const(S64, 0)
    other = _arithmetic("subtract", length, read(source))
    middle = _arithmetic("minimum", _arithmetic("add", read(low), read(width)), length)
    double = _arithmetic("add", read(width), read(width))
    high = _arithmetic("minimum", _arithmetic("add", read(low), double), length)

    def half(value: Value, register: Value, limit: int) -> Index:
        return start + index(FromValue(value, 0, n)) + index(FromValue(register, 0, limit))

    left = [load(s, half(read(source), read(i), n - 1)) for s in scratch]
    right = [load(s, half(read(source), read(j), n - 1)) for s in scratch]
    comparator = x["to_apply"]
    arguments = []
    for a, b in zip(right, left):
        arguments += [a, b]
    types = [p.shape.element_type for p in comparator.parameters]
    (right_first,) = e.inline(comparator, [convert(v, t) for v, t in zip(arguments, types)])
    # The left element goes first unless the right one is strictly before it: equal elements keep their order.
    right_done = apply("not", PRED, _below(read(j), high))
    take_left = apply(
        "and", PRED, _below(read(i), middle), apply("or", PRED, right_done, apply("not", PRED, right_first))
    )
    chosen = Register("take_left", PRED)
    step: list[Statement] = [Assign(chosen, take_left)]
    step += [
        Store(s, half(other, read(k), n - 1), apply("select", s.element_type, read(chosen), a, b))
        for s, a, b in zip(scratch, left, right)
    ]
    left_step = apply("select", S64, read(chosen), one, zero)
    right_step = apply("select", S64, read(chosen), zero, one)
    step += [
        Assign(i, _arithmetic("add", read(i), left_step)),
        Assign(j, _arithmetic("add", read(j), right_step)),
        Assign(k, _arithmetic("add", read(k), one)),
    ]
    merge: list[Statement] = [
        Assign(i, read(low)),
        Assign(j, middle),
        Assign(k, read(low)),
        Loop(_below(read(k), high), step),
        Assign(low, high),
    ]
    one_pass: list[Statement] = [
        Assign(low, zero),
        Loop(_below(read(low), length), merge),
        Assign(source, other),
        Assign(width, double),
    ]
    return [Assign(width, one), Loop(_below(read(width), length), one_pass)]
