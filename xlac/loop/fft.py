"""The schedule of fft: a discrete Fourier transform of any length as loops over small transforms without loops.

Here is what leads from the operand to the result. The numbers on the way lie in `signal`s, `butterfly` has the loops of
one transform, and `roots` the tables they multiply by. Vectors lie across as many transforms as they have lanes:

- columns, which are neighbours in memory;
- rows, turned into columns and back tile by tile;
- the two dimensions of one long row: n = a b is a transform along a of b columns, a multiplication by roots of unity,
  and a transform along b of a columns, with the array transposed in between (Bailey, 1990).

A length with a large prime factor is a convolution of a length without (Bluestein, 1970). A real row of even length is
a complex one of half the length. An inverse transform is a forward one with real and imaginary parts exchanged.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from xlac.ir.module import Instruction
from xlac.ir.shape import C64, C128, F32, ElementType
from xlac.loop.butterfly import FAR_BYTES, Get, Loops, Planner, Put, Way, passes
from xlac.loop.ir import (
    ZERO,
    Buffer,
    For,
    Index,
    Statement,
    Step,
    Store,
    Transpose,
    Value,
    Var,
    apply,
    const,
    in_range,
    index,
)
from xlac.loop.roots import Chirps, Roots
from xlac.loop.schedule import Machine
from xlac.loop.signal import LOCAL_BYTES, Block, Builder, Pair, Signal, at, minus, plus, product, times

# What a loop over the elements of a row does: for the elements that have no partner, and for each of so many others.
Row = tuple[list[Statement], int, Callable[[Index], list[Statement]]]
# A new signal of so many elements, where the transforms of a block lie side by side if it is true.
Make = Callable[[int, bool], Signal]


def schedule_fft(
    name: str,
    x: Instruction,
    source: Buffer,
    target: Buffer,
    machine: Machine,
    constant: Callable[[np.ndarray, ElementType, str], Buffer],
) -> list[Step]:
    """Kernels that transform `source` into `target`; `constant` gives the buffer of an array."""
    builder = Builder(name, x.shape.element_type.real, machine)  # type: ignore[union-attr]
    return Fourier(builder, Roots(builder, constant)).all_axes(x, source, target)


@dataclass(frozen=True)
class Sides:
    """A transform of length n in two dimensions: `first` by `second` numbers, in squares of `lanes` rows and columns.

    `across` and `down` are how many blocks of vectors there are of columns and of rows; `unit` numbers lie from one
    vector of columns to the next.
    """

    n: int
    way: Way

    @property
    def second(self) -> int:
        return self.n // self.way.first

    @property
    def across(self) -> int:
        return -(-self.second // (self.way.lanes * self.way.vectors))

    @property
    def down(self) -> int:
        return -(-self.way.first // (self.way.lanes * self.way.vectors))

    @property
    def padded_first(self) -> int:
        return self.down * self.way.vectors * self.way.lanes

    @property
    def unit(self) -> int:
        return self.padded_first * self.way.lanes

    @property
    def size(self) -> int:
        return self.across * self.way.vectors * self.unit


@dataclass(frozen=True)
class Stage:
    """A step from signal to signal of the same transforms: a complex transform of length `n`, or a loop over rows."""

    source: Signal
    target: Signal
    n: int = 0
    loop: Callable[[Get, Put], Row] | None = None


class Fourier:
    """The kernels of one instruction."""

    def __init__(self, builder: Builder, tables: Roots) -> None:
        self.build, self.tables, self.real = builder, tables, builder.real
        self.planner = Planner(builder.lanes, builder.bytes)

    # ---- axes

    def all_axes(self, x: Instruction, source: Buffer, target: Buffer) -> list[Step]:
        kind, lengths, dims = x["fft_type"], x["fft_length"], x.operands[0].dims
        inverse, rank = kind.startswith("I"), len(dims)
        others = [d for d in range(rank - 2, rank - len(lengths) - 1, -1) if dims[d] > 1]
        steps: list[Step] = []
        if kind == "IRFFT" and others:
            middle = Buffer(f"{self.build.name}.spectrum", source.element_type, source.size)
            for d in others:
                steps += self.axis(dims, d, source, middle, True)
                source = middle
        given, made = dims[-1], x.dims[-1]
        a = Signal((source,), given, 1, given, swap=inverse)
        b = Signal((target,), made, 1, made, swap=inverse, scale=1 / math.prod(lengths) if inverse else 1.0)
        kind_of_row = "complex" if kind in ("FFT", "IFFT") else kind
        steps += self.transform(kind_of_row, a, b, lengths[-1], 1, math.prod(dims[:-1]))
        if kind != "IRFFT":
            for d in others:
                steps += self.axis(x.dims, d, target, target, inverse)
        return [*self.tables.before, *steps]

    def axis(self, dims: Sequence[int], d: int, source: Buffer, target: Buffer, inverse: bool) -> list[Step]:
        """Complex transforms along a dimension that is not the last."""
        outer, n, inner = math.prod(dims[:d]), dims[d], math.prod(dims[d + 1 :])
        groups, total, unit = (1, outer, n) if inner == 1 else (outer, inner, 1)
        a, b = (Signal((s,), n, inner, unit, n * inner, swap=inverse) for s in (source, target))
        return self.transform("complex", a, b, n, groups, total)

    # ---- the transforms of one axis

    def transform(self, kind: str, source: Signal, target: Signal, n: int, groups: int, total: int) -> list[Step]:
        """`groups` groups of `total` transforms of length n each: complex, or of or to real rows."""
        columns = groups > 1 or source.unit == 1
        choose = self.planner.columns if columns else self.planner.rows
        length = n // 2 if kind != "complex" and n % 2 == 0 else n
        way, chirps = choose(length, total), None
        longer = self.planner.chirp_length(length)
        other = choose(longer, total)
        if 2 * other.cost + 8 * longer / self.planner.lanes < way.cost:
            chirps = self.tables.chirps(length, longer, lambda a, b: self.transform("complex", a, b, longer, 1, 1))
            way, length = other, longer
        if way.first and length * self.planner.bytes > (LOCAL_BYTES if total > 1 else FAR_BYTES):
            return self.far(kind, source, target, n, total, way, chirps)
        lanes = way.lanes * way.vectors if not way.first else 1
        blocks = -(-total // lanes)
        self.build.begin(groups * blocks)
        u = self.build.var("u", groups * blocks)
        number = index(u)
        block = Block(number, number.floordiv(blocks), number.mod(blocks) * lanes, lanes, total, way.vectors)

        def make(count: int, abreast: bool) -> Signal:
            unit, step = (1, lanes) if abreast or lanes == 1 and columns else (count, 1)
            return self.build.scratch("middle", block, count * lanes, count, step, unit)

        body: list[Statement] = []
        for stage in self.stages(kind, source, target, n, chirps, make):
            if stage.loop is not None:
                c, _, edge, nest = self.row_loop(block, stage)
                body.append(For(c, [*edge, *nest]))
            elif way.first:
                body += self.along(way, block, stage)
            else:
                body += self.abreast(block, stage)
        return [self.build.kernel([For(u, body)], (3 if chirps else 1) * way.cost * groups * total)]

    def stages(
        self, kind: str, source: Signal, target: Signal, n: int, chirps: Chirps | None, make: Make
    ) -> list[Stage]:
        """What leads from source to target, with signals that `make` gives in between."""
        if kind == "complex" or kind == "RFFT" and n % 2:
            return self.complex_stages(source, target, n, chirps, make)
        half = n // 2
        middle = make(n if n % 2 else half, False)
        if kind == "RFFT":
            found = self.complex_stages(self.as_complex(source), middle, half, chirps, make)
            return [*found, Stage(middle, target, loop=functools.partial(self.untangle, n))]
        first = Stage(
            replace(source, swap=False), middle, loop=functools.partial(self.mirror if n % 2 else self.tangle, n)
        )
        middle = replace(middle, swap=True)
        if n % 2:
            return [first, *self.complex_stages(middle, target, n, chirps, make)]
        return [first, *self.complex_stages(middle, self.as_complex(target), half, chirps, make)]

    def as_complex(self, s: Signal) -> Signal:
        """Rows of real numbers as rows of half as many complex ones."""
        (whole,) = s.buffers
        kind = C64 if self.real is F32 else C128
        view = Buffer(f"{whole.name}.pairs", kind, whole.size // 2, merged=whole)
        return replace(s, buffers=(view,), count=s.count // 2, unit=s.unit // 2)

    def complex_stages(self, source: Signal, target: Signal, n: int, chirps: Chirps | None, make: Make) -> list[Stage]:
        """One transform; or, of a chirp times the source, one whose product with that of a chirp is transformed back.

        The way back is a forward transform of exchanged parts, and z c = exchanged(exchanged(z) conj(c)).
        """
        if chirps is None:
            return [Stage(source, target, n)]
        n = chirps.length
        middle = make(n, True)
        return [
            Stage(replace(source, roots=chirps.chirp), replace(middle, roots=chirps.factor, swap=True), n),
            Stage(middle, replace(target, roots=chirps.opposite, swap=not target.swap), n),
        ]

    # ---- transforms in one kernel

    def loops(self, lanes: int, vectors: int = 1) -> Loops:
        return Loops(self.build.var("v", vectors), self.build.var("l", lanes))

    def abreast(self, block: Block, stage: Stage) -> list[Statement]:
        """The transforms of a block side by side, each in a lane."""
        n, w, source, target = stage.n, block.lanes, stage.source, stage.target
        loops = self.loops(w // block.vectors, block.vectors)
        at = loops.at
        exists = block.exists(at)
        padded = -(-n // w) * w
        t = self.build.var("t", padded // w)
        body: list[Statement] = []
        work = self.build.scratch("work", block, padded * w, padded, w, 1)
        here = work.start + at
        get: Get = functools.partial(source.get, block.base(source, at), guard=exists)
        put: Put = functools.partial(target.put, block.base(target, at), guard=exists)
        along = index(t) * w

        def row(s: Signal, c: int) -> tuple[Index, Value]:
            return block.base(s, Index(c)), block.exists(Index(c))

        def read_row(c: int) -> Pair:
            base, guard = row(source, c)
            return source.get(base, along + at, guard)

        def write_row(c: int, z: Pair) -> list[Statement]:
            base, guard = row(target, c)
            return target.put(base, along + at, z, guard)

        if w > 1 and source.unit != 1:
            body.append(For(t, self.tile(w, loops, read_row, lambda c, z: work.put(here, along + c, z))))
            get = functools.partial(work.get, here)
        if w == 1 or target.unit == 1:
            return [*body, *passes(n, self.tables, loops, get, put, work, here)]
        turned = self.build.scratch("turned", block, padded * w, padded, w, 1)
        there = turned.start + at
        body += passes(n, self.tables, loops, get, functools.partial(turned.put, there), work, here)

        def read_column(c: int) -> Pair:
            k = along + c
            return turned.get(there, k, in_range(k, 0, n))  # beyond that nothing was written

        return [*body, For(t, self.tile(w, loops, read_column, write_row))]

    def tile(
        self, w: int, loops: Loops, read: Callable[[int], Pair], write: Callable[[int, Pair], list[Statement]]
    ) -> list[Statement]:
        """A square of numbers, read as rows and written as columns; `loops` has the w lanes."""
        tiles = self.build.local("tile", w * w)
        places = [loops.lane + c * w for c in range(w)]
        rows = [Store(b, place, part) for c, place in enumerate(places) for b, part in zip(tiles, read(c))]
        columns = [s for c, place in enumerate(places) for s in write(c, at(tiles, place))]
        return [*loops.around(rows), *(Transpose(b, w, w) for b in tiles), *loops.around(columns)]

    def along(self, way: Way, block: Block, stage: Stage) -> list[Statement]:
        """One transform in two dimensions."""
        sides = Sides(stage.n, way)
        square = self.build.scratch("square", block, sides.size, sides.padded_first, way.lanes, sides.unit)
        a, b = self.build.var("a", sides.down), self.build.var("b", sides.across)
        return [
            For(b, self.columns_first(sides, block, stage, square, square.start, index(b))),
            For(a, self.rows_second(sides, block, stage, square, square.start, index(a))),
        ]

    def columns_first(
        self, sides: Sides, block: Block, stage: Stage, square: Signal, start: Index, b: Index
    ) -> list[Statement]:
        """The transforms of a block of columns, turned by roots, into `square`."""
        way, first, second = sides.way, sides.way.first, sides.second
        loops = self.loops(way.lanes, way.vectors)
        width = way.lanes * way.vectors
        column = b * width + loops.at
        base = block.base(stage.source, ZERO)
        vector = b * way.vectors + loops.vector
        there = start + vector * square.unit + loops.lane
        roots = self.turns(sides)
        work = self.build.scratch("work", block, first * width, first, width, 1)

        def get(j: Index) -> Pair:
            return stage.source.get(base, j * second + column, in_range(column, 0, second))

        def put(k: Index, z: Pair) -> list[Statement]:
            return square.put(there, k, product(z, roots(k, vector, loops.lane)))

        return passes(first, self.tables, loops, get, put, work, work.start + loops.at)

    def rows_second(
        self, sides: Sides, block: Block, stage: Stage, square: Signal, start: Index, a: Index
    ) -> list[Statement]:
        """The transforms of a block of rows of `square`."""
        way, first, w = sides.way, sides.way.first, sides.way.lanes
        loops = self.loops(w, way.vectors)
        t = self.build.var("t", sides.across * way.vectors)
        width = w * way.vectors
        padded = t.extent * w
        work = self.build.scratch("work", block, padded * width, padded, width, 1)
        here, base = work.start + loops.at, block.base(stage.target, ZERO)
        row = a * width + loops.at

        def read_row(c: int) -> Pair:
            k = a * width + loops.vector * w + c
            return square.get(start + index(t) * square.unit + loops.lane, k, in_range(k, 0, first))

        def put(k: Index, z: Pair) -> list[Statement]:
            return stage.target.put(base, k * first + row, z, in_range(row, 0, first))

        inner = replace(loops, vector_var=self.build.var("v", 1))  # the loop over vectors is around the whole tile
        tile = self.tile(w, inner, read_row, lambda c, z: work.put(here, index(t) * w + c, z))
        tiles: list[Statement] = [For(t, [For(loops.vector_var, tile)])]
        return [*tiles, *passes(sides.second, self.tables, loops, functools.partial(work.get, here), put, work, here)]

    def turns(self, sides: Sides) -> Callable[[Index, Index, Index], Pair]:
        """exp(-2 pi i k column / n) as a function of k, the column's vector and lane."""
        n, w, first, vectors = sides.n, sides.way.lanes, sides.way.first, sides.across * sides.way.vectors
        if n * self.planner.bytes <= FAR_BYTES:
            whole = self.tables.grid(first, vectors * w, n)
            return lambda k, vector, lane: at(whole, (k * vectors + vector) * w + lane)
        fine, coarse = self.tables.grid(first, w, n), self.tables.grid(first, vectors, n, w)
        return lambda k, vector, lane: product(at(fine, k * w + lane), at(coarse, k * vectors + vector))

    # ---- transforms in two kernels, of rows that are too long for a stack

    def far(
        self, kind: str, source: Signal, target: Signal, n: int, total: int, way: Way, chirps: Chirps | None
    ) -> list[Step]:
        """Each step of the transforms for all rows by itself."""

        def make(count: int, abreast: bool) -> Signal:
            return Signal(self.build.planar("middle", total * count), count, 1, count)

        steps: list[Step] = []
        for stage in self.stages(kind, source, target, n, chirps, make):
            steps += self.far_loop(total, stage) if stage.loop is not None else self.far_stage(total, way, stage)
        return steps

    def far_stage(self, total: int, way: Way, stage: Stage) -> list[Step]:
        longest = max(way.first, stage.n // way.first)
        way = replace(way, vectors=self.planner.vectors(longest, longest, way.lanes))
        sides = Sides(stage.n, way)
        square = Signal(self.build.planar("square", total * sides.size), sides.padded_first, way.lanes, sides.unit)
        steps: list[Step] = []
        for half, extent in ((self.columns_first, sides.across), (self.rows_second, sides.down)):
            u = self.build.var("u", total * extent)
            row, part = index(u).floordiv(extent), index(u).mod(extent)
            self.build.begin(total * extent)
            body = half(sides, Block(index(u), ZERO, row, 1, total), stage, square, row * sides.size, part)
            steps.append(self.build.kernel([For(u, body)], way.cost * total / 2))
        return steps

    def far_loop(self, total: int, stage: Stage) -> list[Step]:
        u = self.build.var("u", total)
        _, count, edge, nest = self.row_loop(Block(index(u), ZERO, index(u), 1, total), stage)
        cost = 12.0 * total * count / self.planner.lanes
        nest = [For(u, nest)] if total > 1 else nest
        return [self.build.kernel([For(u, edge)], 4.0 * total), self.build.kernel(nest, cost)]

    # ---- real rows

    def row_loop(self, block: Block, stage: Stage) -> tuple[Var, int, list[Statement], list[Statement]]:
        """Of the loop over a row: the row's variable, the number of iterations, what comes before the loop, and it."""
        assert stage.loop is not None
        c = self.build.var("c", block.lanes)
        exists = block.exists(index(c))
        get = functools.partial(stage.source.get, block.base(stage.source, index(c)), guard=exists)
        put = functools.partial(stage.target.put, block.base(stage.target, index(c)), guard=exists)
        edge, count, inner = stage.loop(get, put)
        k = self.build.var("k", count)
        return c, count, edge, [self.build.each(k, inner(index(k) + 1))] if count else []

    def untangle(self, n: int, get: Get, put: Put) -> Row:
        """The transform of a real row from that of its pairs, z.

        Of z, E_k = (z_k + conj z_-k) / 2 and O_k = (z_k - conj z_-k) / 2i are the transforms of the even and of the odd
        elements; the result is E_k + w^k O_k and, at n/2 - k, its conjugate with the other sign of O.
        """
        half, zero, point5 = n // 2, const(self.real, 0), const(self.real, 0.5)
        a, b = get(ZERO)
        edge = [*put(ZERO, (plus(a, b), zero)), *put(Index(half), (minus(a, b), zero))]
        roots = self.tables.grid(2, n // 4 + 1, n)

        def inner(k: Index) -> list[Statement]:
            (a, b), (c, d) = get(k), get(Index(half) - k)
            even = times(point5, plus(a, c)), times(point5, minus(b, d))
            odd = product((times(point5, plus(b, d)), times(point5, minus(c, a))), at(roots, k + (n // 4 + 1)))
            (p, q), (r, s) = even, odd
            return [*put(k, (plus(p, r), plus(q, s))), *put(Index(half) - k, (minus(p, r), minus(s, q)))]

        return edge, half // 2, inner

    def tangle(self, n: int, get: Get, put: Put) -> Row:
        """Twice what `untangle` began with, E + i O, from its result; no imaginary part of the first and last."""
        half = n // 2
        a, b = get(ZERO)[0], get(Index(half))[0]
        edge = put(ZERO, (plus(a, b), minus(a, b)))
        roots = self.tables.grid(2, n // 4 + 1, n)

        def inner(k: Index) -> list[Statement]:
            (a, b), (c, d) = get(k), get(Index(half) - k)
            p, q = plus(a, c), minus(b, d)
            cos, sin = at(roots, k + (n // 4 + 1))
            r, s = product((minus(a, c), plus(b, d)), (cos, apply("negate", self.real, sin)))
            return [*put(k, (minus(p, s), plus(q, r))), *put(Index(half) - k, (plus(p, s), minus(r, q)))]

        return edge, half // 2, inner

    def mirror(self, n: int, get: Get, put: Put) -> Row:
        """All of the transform of a real row of odd length from its first half."""

        def inner(k: Index) -> list[Statement]:
            re, im = get(k)
            return [*put(k, (re, im)), *put(Index(n) - k, (re, apply("negate", self.real, im)))]

        return put(ZERO, (get(ZERO)[0], const(self.real, 0))), n // 2, inner
