"""The schedule of fft: a discrete Fourier transform of any length as loops over small transforms without loops.

A length is a product of small radices. One pass for each radix r transforms r elements at a time in registers,
decimating in frequency (Gentleman and Sande, 1966), in place; the last one leaves its results in the order of their
frequencies. Vectors lie across as many transforms side by side as they have lanes:

- columns, which are neighbours in memory;
- rows, turned into columns and back tile by tile;
- the two dimensions of one long row: n = a b is a transform along a of b columns, a multiplication by roots of unity,
  and a transform along b of a columns, with the array transposed in between (Bailey, 1990).

A length with a large prime factor is a convolution of a length without (Bluestein, 1970). A real row of even length is
a complex one of half the length. An inverse transform is a forward one with real and imaginary parts exchanged.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from xlac.ir.module import Instruction
from xlac.ir.shape import C64, C128, F32, F64, S64, ElementType
from xlac.loop import ir
from xlac.loop.butterfly import (
    FAR_BYTES,
    LOCAL_BYTES,
    RADIX,
    Pair,
    Planner,
    Way,
    butterfly,
    conjugates,
    minus,
    plus,
    product,
    radices,
    times,
)
from xlac.loop.elemental import both, is_false, is_true, vector_width_for
from xlac.loop.ir import (
    ZERO,
    Accumulate,
    Assign,
    Buffer,
    For,
    Index,
    Kernel,
    Register,
    Statement,
    Store,
    Transpose,
    Value,
    Var,
    apply,
    const,
    from_index,
    in_range,
    index,
    load,
    read,
)
from xlac.loop.schedule import Machine, parallel_kernel

# Roots of unity beyond this number are computed at run time and not stored.
STORED = 1 << 16
# Nanoseconds of one operation on a vector.
_OPERATION_NS = 0.4

Roots = tuple[Buffer, Buffer]


# ---- where numbers are


@dataclass(frozen=True)
class Signal:
    """Where the elements of many transforms lie.

    `buffers` is one array of complex or real numbers, or two of real and imaginary parts. Element j of transform u of
    group g is at g * group + u * unit + j * step + start; what is `local` knows only the transforms of one block. There
    are `count` elements; the others read as zeros and are not stored. What is read is exchanged if `swap`, then
    multiplied by `roots`; what is stored is multiplied by `roots` and `scale`, then exchanged.
    """

    buffers: tuple[Buffer, ...]
    count: int
    step: int
    unit: int
    group: int = 0
    local: bool = False
    start: Index = ZERO
    swap: bool = False
    scale: float = 1.0
    roots: Roots | None = None

    def get(self, base: Index, j: Index, guard: Value | None = None) -> Pair:
        inside = both(in_range(j, 0, self.count), guard)
        at = base + j * self.step
        first = self.buffers[0]
        kind = first.element_type.real
        if len(self.buffers) == 2:
            re, im = (load(b, at, inside) for b in self.buffers)
        elif first.element_type.is_complex:
            z = load(first, at, inside)
            re, im = apply("real", kind, z), apply("imag", kind, z)
        else:
            re, im = load(first, at, inside), const(kind, 0)
        if self.swap:
            re, im = im, re
        if self.roots is not None:
            known = in_range(j, 0, self.count)
            z = product((re, im), _at(self.roots, j, known))
            re, im = (apply("select", kind, known, x, const(kind, 0)) for x in z)
        return re, im

    def put(self, base: Index, j: Index, z: Pair, guard: Value | None = None) -> list[Statement]:
        inside = both(in_range(j, 0, self.count), guard)
        at = base + j * self.step
        if self.roots is not None:
            z = product(z, _at(self.roots, j, in_range(j, 0, self.count)))
        if self.scale != 1.0:
            z = tuple(times(x, const(x.element_type, self.scale)) for x in z)  # type: ignore[assignment]
        re, im = reversed(z) if self.swap else z
        first = self.buffers[0]
        if len(self.buffers) == 2:
            parts = list(zip(self.buffers, (re, im)))
        elif first.element_type.is_complex:
            parts = [(first, apply("complex", first.element_type, re, im))]
        else:
            parts = [(first, re)]
        if inside is not None and is_false(inside):
            return []
        guard = None if inside is None or is_true(inside) else inside
        return [Store(b, at, value, guard) for b, value in parts]


def _at(roots: Roots, j: Index, guard: Value | None = None) -> Pair:
    return load(roots[0], j, guard), load(roots[1], j, guard)


@dataclass(frozen=True)
class Block:
    """The transforms that one iteration of a kernel does: `lanes` of a group from number `first`, in `vectors` vectors,
    of which those below `total` exist. `number` tells it from all other blocks."""

    number: Index
    group: Index
    first: Index
    lanes: int
    total: int
    vectors: int = 1

    def base(self, s: Signal, lane: Index) -> Index:
        mine = s.start + lane * s.unit
        return mine if s.local else mine + self.group * s.group + self.first * s.unit

    def exists(self, lane: Index) -> Value:
        return in_range(self.first + lane, 0, self.total)


# ---- tables of roots of unity


def _exponentials(powers: np.ndarray, n: int, real: ElementType) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary parts of exp(-2 pi i powers / n), for powers from 0 to n - 1."""
    angle = (-2 * np.pi / n) * np.where(2 * powers > n, powers - n, powers)
    return np.cos(angle).astype(real.dtype), np.sin(angle).astype(real.dtype)


@functools.lru_cache(maxsize=256)
def _grid(rows: int, columns: int, n: int, step: int, real: ElementType) -> tuple[np.ndarray, np.ndarray]:
    """The roots of powers step i j for i < rows and j < columns."""
    return _exponentials(np.outer(np.arange(rows), np.arange(columns)) * step % n, n, real)


@functools.lru_cache(maxsize=16)
def _chirps(n: int, length: int, real: ElementType) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """The chirp exp(-pi i j^2 / n), its conjugate, and the transform of the conjugate wrapped around `length`, divided
    by it."""
    j = np.arange(n)
    re, im = _exponentials(j * j % (2 * n), 2 * n, F64)
    wrapped = np.zeros(length, np.complex128)
    wrapped[:n] = re - 1j * im
    wrapped[length - n + 1 :] = wrapped[n - 1 : 0 : -1]
    factor = np.fft.fft(wrapped) / length
    pairs = (re, im), (re, -im), (factor.real, factor.imag)
    return tuple((a.astype(real.dtype), b.astype(real.dtype)) for a, b in pairs)


# ---- loops

Get = Callable[[Index], Pair]
Put = Callable[[Index, Pair], list[Statement]]
Constant = Callable[[np.ndarray, ElementType, str], Buffer]
# What a loop over the elements of a row does: for the elements that have no partner, and for each of so many others.
RowLoop = Callable[[Get, Put], tuple[list[Statement], int, Callable[[Index], list[Statement]]]]


def schedule_fft(
    name: str, x: Instruction, source: Buffer, target: Buffer, machine: Machine, constant: Constant
) -> list[ir.Step]:
    """Kernels that transform `source` into `target`; `constant` gives the buffer of an array."""
    return Fourier(name, x.shape.element_type.real, machine, constant).all_axes(x, source, target)  # type: ignore[union-attr]


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
    loop: RowLoop | None = None


@dataclass(frozen=True)
class Loops:
    """Loops over transforms side by side: vectors, and lanes in them."""

    vector_var: Var
    lane_var: Var

    @property
    def lane(self) -> Index:
        return index(self.lane_var)

    @property
    def vector(self) -> Index:
        return index(self.vector_var)

    @property
    def at(self) -> Index:
        return self.vector * self.lane_var.extent + self.lane

    def around(self, body: list[Statement]) -> list[Statement]:
        width = self.lane_var.extent
        body = [For(self.lane_var, body, "vector", width)] if width > 1 else body
        return [For(self.vector_var, body)] if self.vector_var.extent > 1 else body


class Fourier:
    """The kernels of one instruction."""

    def __init__(self, name: str, real: ElementType, machine: Machine, constant: Constant) -> None:
        self.name, self.real, self.machine, self.constant = name, real, machine, constant
        self.complex = C64 if real is F32 else C128
        self.planner = Planner(machine, real)
        self._numbers = itertools.count()
        self.before: list[ir.Step] = []  # kernels that compute tables
        self._scratch: dict[tuple[str, int], tuple[Buffer, Buffer]] = {}  # of the kernel at hand
        self._blocks = 1  # iterations of its outer loop

    def var(self, prefix: str, extent: int) -> Var:
        return Var(f"{prefix}{next(self._numbers)}", extent)

    def planar(self, name: str, size: int, space: str = "temp") -> tuple[Buffer, Buffer]:
        name = f"{self.name}.{name}"
        return Buffer(f"{name}.re", self.real, size, space), Buffer(f"{name}.im", self.real, size, space)

    def kernel(self, body: list[Statement], operations: float) -> Kernel:
        return parallel_kernel(self.machine, self.name, body, operations * _OPERATION_NS, contract=True)

    # ---- axes

    def all_axes(self, x: Instruction, source: Buffer, target: Buffer) -> list[ir.Step]:
        kind, lengths = x["fft_type"], x["fft_length"]
        dims = list(x.operands[0].dims)
        inverse = kind.startswith("I")
        first = len(dims) - len(lengths)
        last = len(dims) - 1
        steps: list[ir.Step] = []
        others = range(last - 1, first - 1, -1)
        scale = 1 / math.prod(lengths) if inverse else 1.0
        if kind == "IRFFT":
            if any(dims[d] > 1 for d in others):
                middle = Buffer(f"{self.name}.spectrum", source.element_type, source.size)
                for d in others:
                    if dims[d] > 1:
                        steps += self.axis(dims, d, source, middle, True, 1.0)
                        source = middle
        rows, n = math.prod(dims[:-1]), lengths[-1]
        given, made = dims[-1], x.dims[-1]
        a = Signal((source,), given, 1, given, swap=inverse)
        b = Signal((target,), made, 1, made, swap=inverse, scale=scale)
        steps += self.transform("complex" if kind in ("FFT", "IFFT") else kind, a, b, n, 1, rows)
        if kind != "IRFFT":
            for d in others:
                if dims[d] > 1:
                    steps += self.axis(list(x.dims), d, target, target, inverse, 1.0)
        return [*self.before, *steps]

    def axis(
        self, dims: list[int], d: int, source: Buffer, target: Buffer, inverse: bool, scale: float
    ) -> list[ir.Step]:
        """Complex transforms along a dimension that is not the last."""
        outer, n, inner = math.prod(dims[:d]), dims[d], math.prod(dims[d + 1 :])
        a, b = (Signal((s,), n, inner, 1, n * inner, swap=inverse) for s in (source, target))
        if inner == 1:
            a, b = (replace(s, unit=n) for s in (a, b))
            return self.transform("complex", a, replace(b, scale=scale), n, 1, outer)
        return self.transform("complex", a, replace(b, scale=scale), n, outer, inner)

    # ---- the transforms of one axis

    def transform(self, kind: str, source: Signal, target: Signal, n: int, groups: int, total: int) -> list[ir.Step]:
        """`groups` groups of `total` transforms of length n each: complex, or of or to real rows."""
        columns = groups > 1 or source.unit == 1
        choose = self.planner.columns if columns else self.planner.rows
        packed = kind != "complex" and n % 2 == 0
        length = n // 2 if packed else n
        way = choose(length, total)
        longer = self.planner.chirp_length(length)
        other = choose(longer, total)
        convolved = 0
        if 2 * other.cost + 8 * longer / self.planner.lanes < way.cost:
            way, convolved = other, longer
        size = convolved or length
        self._scratch = {}
        operations = (3 if convolved else 1) * way.cost
        if way.first and size * self.planner.bytes > (LOCAL_BYTES if total > 1 else FAR_BYTES):
            return self.far(kind, source, target, n, total, way, convolved)
        lanes = way.lanes * way.vectors if not way.first else 1
        blocks = -(-total // lanes)
        self._blocks = groups * blocks
        u = self.var("u", groups * blocks)
        at = index(u)
        block = Block(at, at.floordiv(blocks), at.mod(blocks) * lanes, lanes, total, way.vectors)

        def make(count: int, abreast: bool) -> Signal:
            unit, step = (1, lanes) if abreast or lanes == 1 and columns else (count, 1)
            return self.scratch("middle", block, count * lanes, count, step, unit)

        body: list[Statement] = []
        for stage in self.stages(kind, source, target, n, convolved, make):
            if stage.loop is not None:
                body += self.row_loop(block, stage)
            elif way.first:
                body += self.along(way, block, stage)
            else:
                body += self.abreast(block, stage)
        return [self.kernel([For(u, body)], operations * groups * total)]

    def stages(
        self,
        kind: str,
        source: Signal,
        target: Signal,
        n: int,
        convolved: int,
        make: Callable[[int, bool], Signal],
    ) -> list[Stage]:
        """What leads from source to target, with signals that `make` gives in between."""
        found: list[Stage] = []
        half = n // 2
        if kind == "RFFT" and n % 2 == 0:
            pairs = self.as_complex(source)
            middle = make(half, False)
            found += self.complex_stages(pairs, middle, half, convolved, make)
            found.append(Stage(middle, target, loop=functools.partial(self.untangle, n)))
        elif kind == "IRFFT" and n % 2 == 0:
            middle = make(half, False)
            found.append(Stage(replace(source, swap=False), middle, loop=functools.partial(self.tangle, n)))
            pairs = self.as_complex(target)
            found += self.complex_stages(replace(middle, swap=True), pairs, half, convolved, make)
        elif kind == "IRFFT":
            middle = make(n, False)
            found.append(Stage(replace(source, swap=False), middle, loop=functools.partial(self.mirror, n)))
            found += self.complex_stages(replace(middle, swap=True), target, n, convolved, make)
        else:
            found += self.complex_stages(source, target, n, convolved, make)
        return found

    def as_complex(self, s: Signal) -> Signal:
        """Rows of real numbers as rows of half as many complex ones."""
        (whole,) = s.buffers
        view = Buffer(f"{whole.name}.pairs", self.complex, whole.size // 2, merged=whole)
        return replace(s, buffers=(view,), count=s.count // 2, unit=s.unit // 2)

    def complex_stages(
        self,
        source: Signal,
        target: Signal,
        n: int,
        convolved: int,
        make: Callable[[int, bool], Signal],
    ) -> list[Stage]:
        """One transform; or, of a chirp times the source, one whose product with that of a chirp is transformed back.

        The way back is a forward transform of exchanged parts, and z c = exchanged(exchanged(z) conj(c)).
        """
        if not convolved:
            return [Stage(source, target, n)]
        chirp, opposite, factor = self.chirps(n, convolved)
        middle = make(convolved, True)
        return [
            Stage(replace(source, roots=chirp), replace(middle, roots=factor, swap=True), convolved),
            Stage(middle, replace(target, roots=opposite, swap=not target.swap), convolved),
        ]

    # ---- transforms in one kernel

    def scratch(self, name: str, block: Block, size: int, count: int, step: int, unit: int) -> Signal:
        """Memory for one block: on the stack, or its own part of the arena where that is too much."""
        key = name, size
        stack = size * self.planner.bytes <= LOCAL_BYTES
        if key not in self._scratch:
            space = "local" if stack else "temp"
            self._scratch[key] = self.planar(name, size if stack else size * self._blocks, space)
        start = ZERO if stack else block.number * size
        return Signal(self._scratch[key], count, step, unit, local=True, start=start)

    def loops(self, lanes: int, vectors: int = 1) -> Loops:
        return Loops(self.var("v", vectors), self.var("l", lanes))

    def abreast(self, block: Block, stage: Stage) -> list[Statement]:
        """The transforms of a block side by side, each in a lane."""
        n, w, source, target = stage.n, block.lanes, stage.source, stage.target
        loops = self.loops(w // block.vectors, block.vectors)
        at = loops.at
        exists = block.exists(at)
        padded = -(-n // w) * w
        t = self.var("t", padded // w)
        body: list[Statement] = []
        work = self.scratch("work", block, padded * w, padded, w, 1)
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
            return [*body, *self.passes(n, loops, get, put, work, here)]
        turned = self.scratch("turned", block, padded * w, padded, w, 1)
        there = turned.start + at
        body += self.passes(n, loops, get, functools.partial(turned.put, there), work, here)

        def read_column(c: int) -> Pair:
            k = along + c
            return turned.get(there, k, in_range(k, 0, n))  # beyond that nothing was written

        return [*body, For(t, self.tile(w, loops, read_column, write_row))]

    def tile(
        self,
        w: int,
        loops: Loops,
        read: Callable[[int], Pair],
        write: Callable[[int, Pair], list[Statement]],
    ) -> list[Statement]:
        """A square of numbers, read as rows and written as columns; `loops` has the w lanes."""
        key = "tile", w * w
        if key not in self._scratch:
            self._scratch[key] = self.planar("tile", w * w, "local")
        tiles = self._scratch[key]
        places = [loops.lane + c * w for c in range(w)]
        rows = [Store(b, place, part) for c, place in enumerate(places) for b, part in zip(tiles, read(c))]
        columns = [s for c, place in enumerate(places) for s in write(c, _at(tiles, place))]
        return [*loops.around(rows), *(Transpose(b, w, w) for b in tiles), *loops.around(columns)]

    def along(self, way: Way, block: Block, stage: Stage) -> list[Statement]:
        """One transform in two dimensions."""
        sides = Sides(stage.n, way)
        square = self.scratch("square", block, sides.size, sides.padded_first, way.lanes, sides.unit)
        a, b = self.var("a", sides.down), self.var("b", sides.across)
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
        roots = self.roots(sides)
        work = self.scratch("work", block, first * width, first, width, 1)

        def get(j: Index) -> Pair:
            return stage.source.get(base, j * second + column, in_range(column, 0, second))

        def put(k: Index, z: Pair) -> list[Statement]:
            return square.put(there, k, product(z, roots(k, vector, loops.lane)))

        return self.passes(first, loops, get, put, work, work.start + loops.at)

    def rows_second(
        self, sides: Sides, block: Block, stage: Stage, square: Signal, start: Index, a: Index
    ) -> list[Statement]:
        """The transforms of a block of rows of `square`."""
        way, first, w = sides.way, sides.way.first, sides.way.lanes
        loops = self.loops(w, way.vectors)
        t = self.var("t", sides.across * way.vectors)
        width = w * way.vectors
        padded = t.extent * w
        work = self.scratch("work", block, padded * width, padded, width, 1)
        here, base = work.start + loops.at, block.base(stage.target, ZERO)
        row = a * width + loops.at

        def read_row(c: int) -> Pair:
            k = a * width + loops.vector * w + c
            return square.get(start + index(t) * square.unit + loops.lane, k, in_range(k, 0, first))

        def put(k: Index, z: Pair) -> list[Statement]:
            return stage.target.put(base, k * first + row, z, in_range(row, 0, first))

        inner = replace(loops, vector_var=self.var("v", 1))  # the loop over vectors is around the whole tile
        tile = self.tile(w, inner, read_row, lambda c, z: work.put(here, index(t) * w + c, z))
        tiles: list[Statement] = [For(t, [For(loops.vector_var, tile)])]
        return [*tiles, *self.passes(sides.second, loops, functools.partial(work.get, here), put, work, here)]

    def roots(self, sides: Sides) -> Callable[[Index, Index, Index], Pair]:
        """exp(-2 pi i k column / n) as a function of k, the column's vector and lane."""
        n, w, first, vectors = sides.n, sides.way.lanes, sides.way.first, sides.across * sides.way.vectors
        if n * self.planner.bytes <= FAR_BYTES:
            whole = self.grid(first, vectors * w, n)
            return lambda k, vector, lane: _at(whole, (k * vectors + vector) * w + lane)
        fine, coarse = self.grid(first, w, n), self.grid(first, vectors, n, w)
        return lambda k, vector, lane: product(_at(fine, k * w + lane), _at(coarse, k * vectors + vector))

    # ---- tables

    def table(self, values: tuple[np.ndarray, np.ndarray]) -> Roots:
        """Real and imaginary parts as constants."""
        return self.constant(values[0], self.real, "roots"), self.constant(values[1], self.real, "roots")

    def grid(self, rows: int, columns: int, n: int, step: int = 1) -> Roots:
        """The roots exp(-2 pi i k / n) of powers k = step i j for i < rows and j < columns."""
        if rows * columns <= STORED:
            return self.table(_grid(rows, columns, n, step, self.real))
        return self.computed(rows, columns, n, lambda i, j: _whole("multiply", i, _whole("multiply", j, step)))

    def computed(self, rows: int, columns: int, n: int, power: Callable[[Value, Value], Value]) -> Roots:
        """The roots of other powers, computed at run time: a function of the row and the column."""
        i, j = self.var("i", rows), self.var("j", columns)
        k = power(from_index(index(i)), from_index(index(j)))
        k = _whole("remainder", k, n)
        angle = times(apply("convert", F64, k), const(F64, -2 * math.pi / n))
        buffers = self.planar("roots", rows * columns)
        stores: list[Statement] = []
        for buffer, opcode in zip(buffers, ("cosine", "sine")):
            value = apply(opcode, F64, angle)
            value = value if self.real is F64 else apply("convert", self.real, value)
            stores.append(Store(buffer, index(i) * columns + index(j), value))
        nest: list[Statement] = [For(j, stores, "vector", self._width(j))]
        nest = [For(i, nest)] if rows > 1 else nest
        self.before.append(self.kernel(nest, rows * columns * 10.0))
        return buffers

    def chirps(self, n: int, length: int) -> tuple[Roots, Roots, Roots]:
        """The chirp exp(-pi i j^2 / n), its conjugate, and the transform of the conjugate wrapped around `length`,
        divided by it."""
        if length <= STORED:
            chirp, opposite, factor = (self.table(pair) for pair in _chirps(n, length, self.real))
            return chirp, opposite, factor
        chirp = self.computed(1, n, 2 * n, lambda _, j: _whole("multiply", j, j))
        wrapped, factor = self.planar("wrapped", length), self.planar("factor", length)
        opposite = chirp[0], Buffer(f"{self.name}.opposite", self.real, n)
        everywhere, j = self.var("j", length), self.var("j", n - 1)
        fill: list[Statement] = [Store(b, index(everywhere), const(self.real, 0)) for b in wrapped]
        self.before.append(self.kernel([For(everywhere, fill, "vector", self._width(everywhere))], length))
        first = Signal(wrapped, length, 1, length)
        conjugates: list[Statement] = []
        for at in (ZERO, index(j) + 1):
            re, im = _at(chirp, at)
            im = apply("negate", self.real, im)
            stores = [Store(opposite[1], at, im), *first.put(ZERO, at, (re, im))]
            if at.terms:
                stores += first.put(ZERO, Index(length) - at, (re, im))
                stores = [For(j, stores, "vector", self._width(j))]
            conjugates += stores
        self.before.append(self.kernel(conjugates, n))
        kept = self._scratch, self._blocks
        self.before += self.transform(
            "complex", first, Signal(factor, length, 1, length, scale=1 / length), length, 1, 1
        )
        self._scratch, self._blocks = kept
        return chirp, opposite, factor

    # ---- passes

    def passes(self, n: int, loops: Loops, get: Get, put: Put, work: Signal, here: Index) -> list[Statement]:
        """Transforms of length n in the lanes of `work`, from `get` to `put`; `get` may read `work` itself."""
        found = radices(n)[1] or (1,)
        body: list[Statement] = []
        done, size = 1, n
        for number, r in enumerate(found):
            rest = size // r
            i = self.var("i", rest)
            last = number == len(found) - 1
            digits = [self.var("q", d) for d in found[:number]] if last else [self.var("q", done)]
            block = result = ZERO
            weight = 1
            for digit, extent in zip(digits, found if last else [done]):
                block = block * extent + index(digit)
                result = result + index(digit) * weight
                weight *= extent
            start = block * size + index(i)
            read = get if number == 0 else functools.partial(work.get, here)

            def from_(j: Index, read: Get = read, start: Index = start, rest: int = rest) -> Pair:
                return read(start + j * rest)

            to: Put
            if last:

                def to(k: Index, z: Pair, result: Index = result, done: int = done) -> list[Statement]:
                    return put(result + k * done, z)

            else:
                table = self.grid(rest, r, size)

                def to(
                    k: Index,
                    z: Pair,
                    table: Roots = table,
                    i: Index = index(i),  # noqa: B008
                    r: int = r,
                    start: Index = start,
                    rest: int = rest,
                ) -> list[Statement]:
                    turned = product(z, _at(table, i * r + k)) if k.terms or k.const else z
                    return work.put(here, start + k * rest, turned)

            inner = self.rolled(r, loops.lane_var, from_, to) if r > RADIX else _unrolled(r, from_, to)
            nest: list[Statement] = [For(i, loops.around(inner))]
            for digit in reversed(digits):
                nest = [For(digit, nest)]
            body += nest
            done, size = done * r, rest
        return body

    def rolled(self, n: int, lane: Var, get: Get, put: Put) -> list[Statement]:
        """A transform of prime length as a butterfly does it, in loops."""
        half, w = n // 2, lane.extent
        key = "terms", 2 * half * w
        if key not in self._scratch:
            self._scratch[key] = self.planar("terms", 2 * half * w, "local")
        cos, sin = self.table(_symmetric_roots(n, self.real))
        parts = self._scratch[key]
        j, k = self.var("j", half), self.var("k", half)
        sums = index(j) * w + index(lane)
        differences = sums + half * w
        p, q = get(index(j) + 1), get(Index(n - 1) - index(j))
        registers = [[Register(f"{name}.{part}", self.real) for part in ("re", "im")] for name in "xtcs"]
        x, t, c, s = registers
        terms: list[Statement] = []
        gathered: list[Statement] = []
        for part in (0, 1):
            terms.append(Store(parts[part], sums, plus(p[part], q[part])))
            terms.append(Store(parts[part], differences, minus(p[part], q[part])))
            gathered.append(Accumulate(t[part], "add", load(parts[part], sums)))
        zeroth = get(ZERO)
        body: list[Statement] = [Assign(r, v) for r, v in zip(x, zeroth)]
        body += [Assign(r, read(v)) for r, v in zip(t, x)]
        body += [For(j, [*terms, *gathered]), *put(ZERO, (read(t[0]), read(t[1])))]
        place = index(k) * half + index(j)
        weighted = [Accumulate(c[i], "add", load(parts[i], sums), load(cos, place)) for i in (0, 1)]
        weighted += [Accumulate(s[i], "add", load(parts[i], differences), load(sin, place)) for i in (0, 1)]
        low, high = conjugates((read(c[0]), read(c[1])), (read(s[0]), read(s[1])))
        one: list[Statement] = [Assign(r, read(v)) for r, v in zip(c, x)]
        one += [Assign(r, const(self.real, 0)) for r in s]
        one += [For(j, weighted), *put(index(k) + 1, low), *put(Index(n - 1) - index(k), high)]
        return [*body, For(k, one)]

    # ---- transforms in two kernels, of rows that are too long for a stack

    def far(
        self, kind: str, source: Signal, target: Signal, n: int, total: int, way: Way, convolved: int
    ) -> list[ir.Step]:
        """Each step of the transforms for all rows by itself."""

        def make(count: int, abreast: bool) -> Signal:
            return Signal(self.planar("middle", total * count), count, 1, count)

        steps: list[ir.Step] = []
        for stage in self.stages(kind, source, target, n, convolved, make):
            steps += self.far_loop(total, stage) if stage.loop is not None else self.far_stage(total, way, stage)
        return steps

    def far_stage(self, total: int, way: Way, stage: Stage) -> list[ir.Step]:
        longest = max(way.first, stage.n // way.first)
        way = replace(way, vectors=self.planner.vectors(longest, longest, way.lanes))
        sides = Sides(stage.n, way)
        square = Signal(self.planar("square", total * sides.size), sides.padded_first, way.lanes, sides.unit)
        steps: list[ir.Step] = []
        for half, extent in ((self.columns_first, sides.across), (self.rows_second, sides.down)):
            u = self.var("u", total * extent)
            row, part = index(u).floordiv(extent), index(u).mod(extent)
            self._scratch, self._blocks = {}, total * extent
            body = half(sides, Block(index(u), ZERO, row, 1, total), stage, square, row * sides.size, part)
            steps.append(self.kernel([For(u, body)], way.cost * total / 2))
        return steps

    def far_loop(self, total: int, stage: Stage) -> list[ir.Step]:
        u = self.var("u", total)
        _, k, edge, inner = self._row(Block(index(u), ZERO, index(u), 1, total), stage)
        nest: list[Statement] = [For(k, inner, "vector", self._width(k))]
        nest = [For(u, nest)] if total > 1 else nest
        cost = 12.0 * total * k.extent / self.planner.lanes
        return [self.kernel([For(u, edge)], 4.0 * total), self.kernel(nest, cost)]

    # ---- real rows

    def row_loop(self, block: Block, stage: Stage) -> list[Statement]:
        """A loop over each row of a block."""
        c, k, edge, inner = self._row(block, stage)
        rows: list[Statement] = [*edge, *([For(k, inner, "vector", self._width(k))] if k.extent else [])]
        return [For(c, rows)]

    def _row(self, block: Block, stage: Stage) -> tuple[Var, Var, list[Statement], list[Statement]]:
        assert stage.loop is not None
        c = self.var("c", block.lanes)
        exists = block.exists(index(c))
        get = functools.partial(stage.source.get, block.base(stage.source, index(c)), guard=exists)
        put = functools.partial(stage.target.put, block.base(stage.target, index(c)), guard=exists)
        edge, count, inner = stage.loop(get, put)
        k = self.var("k", count)
        return c, k, edge, inner(index(k) + 1) if count else []

    def _width(self, k: Var) -> int:
        return vector_width_for(k.extent, self.planner.lanes) if self.planner.lanes > 1 else 1

    def untangle(self, n: int, get: Get, put: Put) -> tuple[list[Statement], int, Callable]:
        """The transform of a real row from that of its pairs, z.

        Of z, E_k = (z_k + conj z_-k) / 2 and O_k = (z_k - conj z_-k) / 2i are the transforms of the even and of the odd
        elements; the result is E_k + w^k O_k and, at n/2 - k, its conjugate with the other sign of O.
        """
        half, zero, point5 = n // 2, const(self.real, 0), const(self.real, 0.5)
        a, b = get(ZERO)
        edge = [*put(ZERO, (plus(a, b), zero)), *put(Index(half), (minus(a, b), zero))]
        roots = self.grid(2, n // 4 + 1, n)

        def inner(k: Index) -> list[Statement]:
            (a, b), (c, d) = get(k), get(Index(half) - k)
            even = times(point5, plus(a, c)), times(point5, minus(b, d))
            odd = product((times(point5, plus(b, d)), times(point5, minus(c, a))), _at(roots, k + (n // 4 + 1)))
            (p, q), (r, s) = even, odd
            return [*put(k, (plus(p, r), plus(q, s))), *put(Index(half) - k, (minus(p, r), minus(s, q)))]

        return edge, half // 2, inner

    def tangle(self, n: int, get: Get, put: Put) -> tuple[list[Statement], int, Callable]:
        """Twice what `untangle` began with, E + i O, from its result; no imaginary part of the first and last."""
        half = n // 2
        a, b = get(ZERO)[0], get(Index(half))[0]
        edge = put(ZERO, (plus(a, b), minus(a, b)))
        roots = self.grid(2, n // 4 + 1, n)

        def inner(k: Index) -> list[Statement]:
            (a, b), (c, d) = get(k), get(Index(half) - k)
            p, q = plus(a, c), minus(b, d)
            cos, sin = _at(roots, k + (n // 4 + 1))
            r, s = product((minus(a, c), plus(b, d)), (cos, apply("negate", self.real, sin)))
            return [*put(k, (minus(p, s), plus(q, r))), *put(Index(half) - k, (plus(p, s), minus(r, q)))]

        return edge, half // 2, inner

    def mirror(self, n: int, get: Get, put: Put) -> tuple[list[Statement], int, Callable]:
        """All of the transform of a real row of odd length from its first half."""

        def inner(k: Index) -> list[Statement]:
            re, im = get(k)
            return [*put(k, (re, im)), *put(Index(n) - k, (re, apply("negate", self.real, im)))]

        return put(ZERO, (get(ZERO)[0], const(self.real, 0))), n // 2, inner


def _whole(opcode: str, a: Value, b: Value | int) -> Value:
    return apply(opcode, S64, a, const(S64, b) if isinstance(b, int) else b)


def _unrolled(n: int, get: Get, put: Put) -> list[Statement]:
    results = butterfly([get(Index(j)) for j in range(n)])
    return [s for k, z in enumerate(results) for s in put(Index(k), z)]


@functools.lru_cache(maxsize=64)
def _symmetric_roots(n: int, real: ElementType) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and sines of 2 pi j k / n for j and k from 1 to n // 2."""
    j = np.arange(1, n // 2 + 1)
    cos, sin = _exponentials(np.outer(j, j) % n, n, real)
    return cos, -sin
