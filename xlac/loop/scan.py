"""The schedule of running reductions: reduce-windows whose windows hold all elements up to their position.

The array is seen as [outer, n, inner]. With inner elements these are the lanes of a vector loop around one serial loop
over n. A long row is cut into chunks that do not wait for each other: each is reduced by itself, then the chunks'
totals are, and the total of all chunks before is combined with every element. Chunks depend on shapes alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from xlac.ir.module import Instruction
from xlac.ir.ops.reduction import monoid
from xlac.ir.window import scan_form
from xlac.loop import ir
from xlac.loop.elemental import Elemental, Storage, accumulator_type, convert, vector_width_for
from xlac.loop.ir import (
    Assign,
    Buffer,
    For,
    Index,
    Kernel,
    Register,
    Statement,
    Store,
    Value,
    Var,
    apply,
    index,
    load,
    read,
)
from xlac.loop.schedule import COLUMN_VECTORS, PARALLEL_NS, Machine, body_ns, parallel_kernel

# Chunks of a row that one loop goes through side by side, so that the processor need not wait for each sum.
CHAINS = 8
# The bytes of a chunk. A line less than a page, so that the chunks of one loop lie in different sets of a cache.
CHUNK_BYTES = 4096 - 64
# The shortest row that is cut into chunks.
LONG_ROW = 256
# The longest row, in bytes, whose three passes one thread makes while the row is in its cache.
CACHED_BYTES = 1 << 17
# Nanoseconds from one element of a row to the next.
_STEP_NS = 1.0


def schedule_scan(
    name: str, x: Instruction, outputs: Sequence[Buffer], storage: dict[Instruction, Storage], machine: Machine
) -> list[ir.Step]:
    """Kernels for a reduce-window that `scan_form` knows."""
    return Scan(name, x, list(outputs), storage, machine).steps()


class Scan:
    """One running reduction of one or several arrays together."""

    def __init__(
        self,
        name: str,
        x: Instruction,
        outputs: list[Buffer],
        storage: dict[Instruction, Storage],
        machine: Machine,
    ) -> None:
        self.name, self.x, self.outputs, self.machine = name, x, outputs, machine
        self.e = Elemental(storage)
        count = len(x.operands) // 2
        dims = x.operands[0].dims
        form = scan_form(x["window"], dims)
        assert form is not None
        axis, self.reverse = form
        self.outer, self.n, self.inner = math.prod(dims[:axis]), dims[axis], math.prod(dims[axis + 1 :])
        self.reducer = x["to_apply"]
        self.monoid = monoid(self.reducer) if count == 1 else None
        kinds = [p.shape.element_type for p in self.reducer.parameters[:count]]
        self.types = [accumulator_type(t) if self.monoid in ("add", "multiply") else t for t in kinds]
        self.inputs = [self.e.buffer_of(o) for o in x.operands[:count]]
        assert all(b is not None for b in self.inputs)
        self.inits = [convert(self.e.at(o, ()), t) for o, t in zip(x.operands[count:], self.types)]
        self.lanes = min(machine.lanes(t) for t in self.types)

    def steps(self) -> list[ir.Step]:
        if self.inner > 1 or (self.monoid is None and self.outer >= 4):
            return [self.side_by_side()]
        exact = all(t is o.element_type for t, o in zip(self.types, self.outputs))
        return self.chunks() if self.n >= LONG_ROW and exact else [self.one_by_one()]

    # ---- what all schedules do

    def place(self, row: Index, step: Index, column: Index) -> Index:
        """Where the element lies that comes at a step of the row."""
        along = Index(self.n - 1) - step if self.reverse else step
        return (row * self.n + along) * self.inner + column

    def registers(self, values: Sequence[Value]) -> tuple[list[Register], list[Statement]]:
        registers = [self.e.register("acc", t) for t in self.types]
        return registers, [Assign(r, v) for r, v in zip(registers, values)]

    def elements(self, place: Index) -> list[Value]:
        return [convert(load(b, place), t) for b, t in zip(self.inputs, self.types)]  # type: ignore[arg-type]

    def combine(self, earlier: Sequence[Value], later: Sequence[Value]) -> list[Value]:
        """Both reduced, in the order in which they stand in the array."""
        if self.monoid is not None:
            return [apply(self.monoid, self.types[0], *earlier, *later)]
        pair = [*later, *earlier] if self.reverse else [*earlier, *later]
        return [convert(v, t) for v, t in zip(self.e.inline(self.reducer, pair), self.types)]

    def step(self, registers: Sequence[Register], place: Index) -> list[Statement]:
        """Take in the element at a place, and store what there is then."""
        body: list[Statement] = []
        self.e.leave(body)
        new = self.combine([read(r) for r in registers], self.elements(place))
        return [*body, *self.keep(registers, new), *self.store(place, [read(r) for r in registers])]

    def keep(self, registers: Sequence[Register], values: Sequence[Value]) -> list[Statement]:
        if len(registers) == 1:
            return [Assign(registers[0], values[0])]
        # All are computed before any changes.
        parts = [Assign(self.e.register("next", v.element_type), v) for v in values]
        return [*parts, *(Assign(r, read(p.register)) for r, p in zip(registers, parts))]

    def store(self, place: Index, values: Sequence[Value]) -> list[Statement]:
        return [Store(o, place, convert(v, o.element_type)) for o, v in zip(self.outputs, values)]

    def kernel(self, name: str, body: list[Statement], ns: float) -> Kernel:
        return parallel_kernel(self.machine, name, body, ns)

    # ---- rows that are not cut

    def side_by_side(self) -> Kernel:
        """A vector loop over columns, or over short rows where there are no columns."""
        lane = self.e.fresh("m", self.inner if self.inner > 1 else self.outer)
        row = self.e.fresh("i", self.outer if self.inner > 1 else 1)
        k = self.e.fresh("k", self.n)
        here = (index(row), index(k), index(lane)) if self.inner > 1 else (index(lane), index(k), Index(0))
        registers, start = self.registers(self.inits)
        inner: list[Statement] = [*start, For(k, self.step(registers, self.place(*here)))]
        vectors = COLUMN_VECTORS if self.monoid is not None else 1
        width = vector_width_for(lane.extent, vectors * self.lanes)
        ns = body_ns(inner, self.lanes) * self.outer * self.inner
        body: list[Statement] = [For(lane, inner, "vector", width)]
        if row.extent > 1:
            body = [For(row, body)]
        return self.kernel(self.name, body, ns)

    def one_by_one(self) -> Kernel:
        row, k = self.e.fresh("i", self.outer), self.e.fresh("k", self.n)
        registers, start = self.registers(self.inits)
        body: list[Statement] = [*start, For(k, self.step(registers, self.place(index(row), index(k), Index(0))))]
        if self.outer > 1:
            body = [For(row, body)]
        return self.kernel(self.name, body, self.outer * self.n * _STEP_NS)

    # ---- rows cut into chunks

    def chunks(self) -> list[ir.Step]:
        """Every chunk by itself; the totals; the totals of the chunks before, combined with every element."""
        groups = self._groups()
        count = CHAINS * sum(many for _, many, _ in groups)
        self.totals = [Buffer(f"{o.name}.totals", t, self.outer * count) for o, t in zip(self.outputs, self.types)]
        row = self.e.fresh("i", self.outer)
        at = index(row)
        ns = self.outer * self.n * _STEP_NS
        apart: list[list[Statement]] = [[], [], []]
        first = 0
        for start, many, size in groups:
            piece = self.e.fresh("p", many)
            apart[0].append(For(piece, self._local(at, start, index(piece), size, first, count)))
            chunk = self.e.fresh("c", many * CHAINS)
            apart[2].append(For(chunk, self._shift(at, start, index(chunk), size, first, count)))
            first += many * CHAINS
        apart[1] = self._before(at, count, sum(many * CHAINS * size for _, many, size in groups))
        bytes_ = self.n * max(o.element_type.dtype.itemsize for o in self.outputs)
        if bytes_ <= CACHED_BYTES and (self.outer > 1 or 2 * ns <= PARALLEL_NS):
            body = [s for part in apart for s in _without_single(part)]
            return [self.kernel(self.name, _without_single([For(row, body)]), 2 * ns)]
        steps: list[ir.Step] = []
        shares = [self.outer * many * CHAINS * size * _STEP_NS for _, many, size in groups]
        for suffix, bodies, costs in (
            ("", [[loop] for loop in apart[0]], shares),
            (".totals", [apart[1]], [0.0]),
            (".shift", [[loop] for loop in apart[2]], shares),
        ):
            for body, cost in zip(bodies, costs):
                nest: list[Statement] = [For(row, body)] if self.outer > 1 else _without_single(body)
                steps.append(self.kernel(self.name + suffix, nest, cost))
        return steps

    def _groups(self) -> list[tuple[int, int, int]]:
        """(first step, number, chunk size) of the groups of `CHAINS` chunks: those of full size, then a smaller one.

        What is left, fewer than `CHAINS` elements, belongs to no chunk.
        """
        size = CHUNK_BYTES // max(o.element_type.dtype.itemsize for o in self.outputs)
        many = self.n // (CHAINS * size)
        rest = self.n - many * CHAINS * size
        groups = [(0, many, size)] if many else []
        if rest >= CHAINS:
            groups.append((many * CHAINS * size, 1, rest // CHAINS))
        return groups

    def _local(self, row: Index, start: int, piece: Index, size: int, first: int, count: int) -> list[Statement]:
        """A group of chunks, each reduced by itself, its total put where the next chunk will look for it."""

        def begin(chunk: Index) -> Index:
            return (piece * CHAINS + chunk) * size + start

        def total(chunk: Index) -> Index:
            return row * count + piece * CHAINS + chunk + first

        def chain(chunk: Index) -> tuple[list[Register], list[Statement], Callable[[Index], list[Statement]]]:
            head = self.place(row, begin(chunk), Index(0))
            values = self.elements(head)
            registers, starts = self.registers(values)
            starts = [*starts, *self.store(head, [read(r) for r in registers])]
            return registers, starts, lambda k: self.step(registers, self.place(row, begin(chunk) + k, Index(0)))

        k = self.e.fresh("k", size - 1)
        later = index(k) + 1
        if self.monoid is None:
            # A reducer of many opcodes is worth loading lanes one by one.
            lane = self.e.fresh("l", CHAINS)
            registers, starts, step = chain(index(lane))
            ends = [Store(t, total(index(lane)), read(r)) for t, r in zip(self.totals, registers)]
            body = [*starts, *_loop(k, step(later)), *ends]
            return [For(lane, body, "vector", vector_width_for(CHAINS, self.lanes))]
        chains = [chain(Index(c)) for c in range(CHAINS)]
        body = [s for _, starts, _ in chains for s in starts]
        body.extend(_loop(k, [s for _, _, step in chains for s in step(later)]))
        for c, (registers, _, _) in enumerate(chains):
            body.extend(Store(t, total(Index(c)), read(r)) for t, r in zip(self.totals, registers))
        return body

    def _before(self, row: Index, count: int, done: int) -> list[Statement]:
        """Each chunk's total replaced by that of all before it, and the last elements, which no chunk has."""
        registers, body = self.registers(self.inits)
        j = self.e.fresh("j", count)
        place = row * count + index(j)
        inner: list[Statement] = []
        totals = [self.e.register("total", t) for t in self.types]
        inner.extend(Assign(r, load(t, place)) for r, t in zip(totals, self.totals))
        inner.extend(Store(t, place, read(r)) for r, t in zip(registers, self.totals))
        self.e.leave(inner)
        new = self.combine([read(r) for r in registers], [read(r) for r in totals])
        inner.extend(self.keep(registers, new))
        body.append(For(j, inner))
        for k in range(done, self.n):
            body.extend(self.step(registers, self.place(row, Index(k), Index(0))))
        return body

    def _shift(self, row: Index, start: int, chunk: Index, size: int, first: int, count: int) -> list[Statement]:
        """The total of all before a chunk combined with each of its elements, in the order of memory."""
        before = [load(t, row * count + chunk + first) for t in self.totals]
        registers, body = self.registers(before)
        k = self.e.fresh("k", size)
        lowest = chunk * size + start
        if self.reverse:
            lowest = Index(self.n - start - size) - chunk * size
        place = row * self.n + lowest + index(k)
        inner: list[Statement] = []
        self.e.leave(inner)
        values = self.combine([read(r) for r in registers], [load(o, place) for o in self.outputs])
        inner.extend(self.store(place, values))
        width = vector_width_for(size, self.lanes)
        return [*body, For(k, inner, "vector", width)]


def _loop(k: Var, body: list[Statement]) -> list[Statement]:
    return [For(k, body)] if k.extent else []


def _without_single(body: list[Statement]) -> list[Statement]:
    """Loops that run once as what they run."""
    result: list[Statement] = []
    for statement in body:
        once = isinstance(statement, For) and statement.var.extent == 1
        result.extend(statement.body if once else [statement])  # type: ignore[union-attr]
    return result
