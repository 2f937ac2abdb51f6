"""The schedules of sort, all stable; rows are independent and may go to different threads.

By any comparator: a bottom-up merge sort. A row is merged back and forth between the two halves of a scratch row, runs
of 1, 2, 4, ... elements at a time, without branches on the data.

By the order of one key, which is a number computed from one operand's element: a radix sort of long rows. From the
last digit of the keys to the first, elements are counted by digit and moved to where their digit begins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED, S64, U8, U16, U32, U64, ElementType
from xlac.loop import ir
from xlac.loop.elemental import Elemental, Storage, convert, linearize, zero
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

# Nanoseconds of one step of a merge, and of counting and moving one element by a digit.
_STEP_NS = 4.0
_DIGIT_NS = 3.0
# The shortest row that is sorted by digits, and the shortest whose digits are the longer ones; bits of both.
_LONG_ROW = 256
_LONGER_ROW = 4096
_DIGIT_BITS, _LONGER_DIGIT_BITS = 8, 11


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
    key = _sort_key(e, x) if n >= _LONG_ROW else None
    others = [d for d in range(len(dims)) if d != dim]
    rows = math.prod(dims[d] for d in others)
    row_vars = {d: e.fresh("i", dims[d]) for d in others}
    row = linearize([index(row_vars[d]) for d in others], [dims[d] for d in others])

    def at(place: Index) -> tuple[Index, ...]:
        return tuple(place if d == dim else index(row_vars[d]) for d in range(len(dims)))

    if key is not None:
        body, total = _by_digits(e, x, outputs, row, at, key)
    else:
        body, total = _by_merging(e, x, outputs, row, at)
    for d in reversed(others):
        body = [For(row_vars[d], body)]
    total *= rows
    if machine.parallel and others and total > PARALLEL_NS and isinstance(body[0], For) and body[0].var.extent > 1:
        outer = body[0].var
        return [Kernel(name, body, outer, max(1, math.ceil(outer.extent * PIECE_NS / total)))]
    return [Kernel(name, body)]


At = Callable[[Index], tuple[Index, ...]]


def _by_merging(
    e: Elemental, x: Instruction, outputs: Sequence[Buffer], row: Index, at: At
) -> tuple[list[Statement], float]:
    """The statements that sort a row by the comparator, and about how long they take."""
    dims = x.operands[0].dims
    n = dims[x["dimensions"][0]]
    rows = math.prod(dims) // n
    scratch = [Buffer(f"{o.name}.scratch", o.element_type, rows * 2 * n) for o in outputs]
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
    return body, n * max(1, math.ceil(math.log2(max(n, 2)))) * _STEP_NS


# ---- keys


@dataclass(frozen=True)
class _Key:
    """The order of elements as that of unsigned integers: `of(value)` of the element of operand `position`."""

    position: int
    element_type: ElementType
    of: Callable[[Value], Value]


def _sort_key(e: Elemental, x: Instruction) -> _Key | None:
    """The key of a comparator that is f(a) < f(b) or f(a) > f(b) in a total order, for one operand's a and b."""
    comparator = x["to_apply"]
    root = comparator.root
    if not root.is_a("compare") or root["direction"] not in ("LT", "GT"):
        return None
    left, right = root.operands
    kind = left.shape.element_type
    if kind.is_integer:
        signed = kind.kind == "s"
    elif kind.is_float and kind.bits >= 16 and root["type"] == "TOTALORDER":
        signed = True
    else:
        return None
    unsigned = _UNSIGNED.get(kind.bits)
    numbers = [_twins(left, right, n, {}) for n in range(len(comparator.parameters))]
    if unsigned is None or sum(numbers) != 1:
        return None
    first = numbers.index(True)
    ascending = (root["direction"] == "LT") == (first % 2 == 0)
    wanted = comparator.parameters[first].shape.element_type

    def of(value: Value) -> Value:
        given = [zero(p.shape.element_type) for p in comparator.parameters]
        given[first] = convert(value, wanted)
        (key,) = e.inline(comparator, given, left)
        top = const(unsigned, 1 << (kind.bits - 1))
        if kind is not unsigned:
            key = apply("bitcast-convert", unsigned, key)
        flip = top if signed else const(unsigned, 0)
        if kind.is_float:  # the greater a negative number's bits, the less it is
            negative = apply("compare", PRED, key, top, direction="GE", type=None)
            flip = apply("select", unsigned, negative, const(unsigned, 2**kind.bits - 1), top)
        if not ascending:
            flip = apply("not", unsigned, flip)
        return apply("xor", unsigned, key, flip)

    return _Key(first // 2, unsigned, of)


_UNSIGNED = {8: U8, 16: U16, 32: U32, 64: U64}


def _twins(a: Instruction, b: Instruction, number: int, known: dict[tuple[Instruction, Instruction], bool]) -> bool:
    """Whether a computes from parameter `number`, and b in the same way from the one beside it, both from no other."""
    found = known.get((a, b))
    if found is not None:
        return found
    if a.opcode is not b.opcode or a.shape != b.shape:
        same = False
    elif a.is_a("parameter"):
        same = a["number"] == number and b["number"] == number ^ 1
    elif a.is_a("constant"):
        same = a["literal"].tobytes() == b["literal"].tobytes()
    else:
        same = a.opcode.elementwise and dict(a.attrs) == dict(b.attrs)
        same = same and all(_twins(p, q, number, known) for p, q in zip(a.operands, b.operands))
    known[a, b] = same
    return same


def _by_digits(
    e: Elemental, x: Instruction, outputs: Sequence[Buffer], row: Index, at: At, key: _Key
) -> tuple[list[Statement], float]:
    """The statements that sort a row by a key, and about how long they take."""
    dims = x.operands[0].dims
    n = dims[x["dimensions"][0]]
    rows = math.prod(dims) // n
    bits = key.element_type.bits
    digit_bits = _LONGER_DIGIT_BITS if n >= _LONGER_ROW and bits > 16 else _DIGIT_BITS
    passes = -(-bits // digit_bits)
    digits = 1 << digit_bits
    counts = Buffer(f"{outputs[0].name}.counts", S64, digits, "local")
    halves = min(passes - 1, 2)
    scratch = [Buffer(f"{o.name}.scratch", o.element_type, rows * halves * n) for o in outputs] if halves else []
    digit, place, total = (Register(name, S64) for name in ("digit", "place", "total"))
    here = index(FromValue(read(digit), 0, digits - 1))
    body: list[Statement] = []

    def elements(turn: int, k: Index) -> list[Value]:
        if turn == 0:
            return [e.at(o, at(k)) for o in x.operands]
        return [load(s, (row * halves + (turn - 1) % 2) * n + k) for s in scratch]

    def find(turn: int, k: Index) -> Statement:
        value = key.of(elements(turn, k)[key.position])
        value = apply("shift-right-logical", value.element_type, value, const(key.element_type, turn * digit_bits))
        value = apply("and", value.element_type, value, const(key.element_type, min(digits - 1, 2**bits - 1)))
        return Assign(digit, convert(value, S64))

    for turn in range(passes):
        r, k = e.fresh("d", digits), e.fresh("k", n)
        body.append(For(r, [Store(counts, index(r), const(S64, 0))]))
        more = _arithmetic("add", load(counts, here), const(S64, 1))
        body.append(For(k, [find(turn, index(k)), Store(counts, here, more)]))
        r = e.fresh("d", digits)
        many = Register("many", S64)
        body.append(Assign(total, const(S64, 0)))
        body.append(
            For(
                r,
                [
                    Assign(many, load(counts, index(r))),
                    Store(counts, index(r), read(total)),
                    Assign(total, _arithmetic("add", read(total), read(many))),
                ],
            )
        )
        k = e.fresh("k", n)
        target = index(FromValue(read(place), 0, n - 1))
        moves: list[Statement] = [find(turn, index(k)), Assign(place, load(counts, here))]
        values = elements(turn, index(k))
        if turn == passes - 1:
            moves += [Store(o, linearize(at(target), dims), v) for o, v in zip(outputs, values)]
        else:
            moves += [Store(s, (row * halves + turn % 2) * n + target, v) for s, v in zip(scratch, values)]
        moves.append(Store(counts, here, _arithmetic("add", read(place), const(S64, 1))))
        body.append(For(k, moves))
    return body, passes * (n * _DIGIT_NS + digits)


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
