"""The complex numbers of Fourier transforms: pairs of values, and the signals in memory that hold them.

First of four modules: `roots` makes tables of roots of unity as pairs of buffers, `butterfly` transforms of a few pairs
and passes of those over a signal, and `fft` what leads from an instruction's operand to its result.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from xlac.ir.shape import ElementType
from xlac.loop.elemental import both, is_false, is_true, vector_width_for
from xlac.loop.ir import ZERO, Buffer, For, Index, Kernel, Statement, Store, Value, Var, apply, const, in_range, load
from xlac.loop.schedule import Machine, parallel_kernel

# Bytes of the vectors used: transposing tiles of longer ones takes longer than they gain elsewhere.
VECTOR_BYTES = 32
# Bytes of one scratch array on a kernel's stack.
LOCAL_BYTES = 1 << 19
# Nanoseconds of one operation on a vector.
_OPERATION_NS = 0.4

Pair = tuple[Value, Value]  # real and imaginary part
Planar = tuple[Buffer, Buffer]  # real and imaginary parts


def plus(a: Value, b: Value) -> Value:
    return apply("add", a.element_type, a, b)


def minus(a: Value, b: Value) -> Value:
    return apply("subtract", a.element_type, a, b)


def times(a: Value, b: Value) -> Value:
    return apply("multiply", a.element_type, a, b)


def product(z: Pair, w: Pair) -> Pair:
    (a, b), (c, d) = z, w
    return minus(times(a, c), times(b, d)), plus(times(a, d), times(b, c))


def at(planar: Planar, j: Index, guard: Value | None = None) -> Pair:
    return load(planar[0], j, guard), load(planar[1], j, guard)


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
    roots: Planar | None = None

    def get(self, base: Index, j: Index, guard: Value | None = None) -> Pair:
        known = in_range(j, 0, self.count)
        inside = both(known, guard)
        place = base + j * self.step
        first = self.buffers[0]
        kind = first.element_type.real
        if len(self.buffers) == 2:
            re, im = at(self.buffers, place, inside)
        elif first.element_type.is_complex:
            z = load(first, place, inside)
            re, im = apply("real", kind, z), apply("imag", kind, z)
        else:
            re, im = load(first, place, inside), const(kind, 0)
        if self.swap:
            re, im = im, re
        if self.roots is not None:
            z = product((re, im), at(self.roots, j, known))
            re, im = (apply("select", kind, known, x, const(kind, 0)) for x in z)
        return re, im

    def put(self, base: Index, j: Index, z: Pair, guard: Value | None = None) -> list[Statement]:
        known = in_range(j, 0, self.count)
        inside = both(known, guard)
        if self.roots is not None:
            z = product(z, at(self.roots, j, known))
        if self.scale != 1.0:
            z = tuple(times(x, const(x.element_type, self.scale)) for x in z)  # type: ignore[assignment]
        parts = z[::-1] if self.swap else z
        if inside is not None and is_false(inside):
            return []
        guard = None if inside is None or is_true(inside) else inside
        kind = self.buffers[0].element_type
        values = (apply("complex", kind, *parts),) if kind.is_complex else parts  # of a real array, the real part
        return [Store(b, base + j * self.step, value, guard) for b, value in zip(self.buffers, values)]


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


class Builder:
    """Makes the variables, memory and kernels of one instruction, whose numbers are of the type `real`."""

    def __init__(self, name: str, real: ElementType, machine: Machine) -> None:
        self.name, self.real, self.machine = name, real, machine
        self.lanes = min(machine.lanes(real), VECTOR_BYTES // real.dtype.itemsize)
        self.bytes = 2 * real.dtype.itemsize  # of a complex number
        self._numbers = itertools.count()

    def begin(self, blocks: int) -> None:
        """Begin a kernel of so many blocks; scratch memory is its own."""
        self._blocks = blocks
        self._scratch: dict[tuple[str, int], Planar] = {}

    def var(self, prefix: str, extent: int) -> Var:
        return Var(f"{prefix}{next(self._numbers)}", extent)

    def planar(self, name: str, size: int, space: str = "temp") -> Planar:
        name = f"{self.name}.{name}"
        return Buffer(f"{name}.re", self.real, size, space), Buffer(f"{name}.im", self.real, size, space)

    def local(self, name: str, size: int, blocks: int = 0) -> Planar:
        """Scratch memory on the stack or, of so many blocks, in the arena."""
        key = name, size
        if key not in self._scratch:
            self._scratch[key] = self.planar(name, size * (blocks or 1), "temp" if blocks else "local")
        return self._scratch[key]

    def scratch(self, name: str, block: Block, size: int, count: int, step: int, unit: int) -> Signal:
        """Memory for one block: on the stack, or its own part of the arena where that is too much."""
        stack = size * self.bytes <= LOCAL_BYTES
        buffers = self.local(name, size, 0 if stack else self._blocks)
        return Signal(buffers, count, step, unit, local=True, start=ZERO if stack else block.number * size)

    def each(self, k: Var, body: list[Statement]) -> For:
        """A vector loop."""
        return For(k, body, "vector", vector_width_for(k.extent, self.lanes) if self.lanes > 1 else 1)

    def kernel(self, body: list[Statement], operations: float) -> Kernel:
        return parallel_kernel(self.machine, self.name, body, operations * _OPERATION_NS, contract=True)
