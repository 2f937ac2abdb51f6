"""The code of a kernel's values: what statements compute, the indices in it, and the elements that it loads.

Every value is emitted once, in the outermost loop it can be computed in: what a loop does not change is hoisted
before it. In a vector loop, values that depend on its variable are vectors of its width, all others scalars, splatted
where they meet. `kernel` emits the statements and loops around them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from xlac.codegen import scalar
from xlac.codegen.emit import Block, FunctionEmitter, Value, lanes, vector, with_scalar
from xlac.codegen.scalar import Complex, Held
from xlac.ir.shape import S32, S64, ElementType
from xlac.loop import ir
from xlac.loop.ir import (
    Apply,
    Buffer,
    Const,
    FloorDiv,
    FromIndex,
    FromValue,
    Index,
    InRange,
    Load,
    Mod,
    Read,
    Register,
    Var,
)

_Held = TypeVar("_Held", bound=Held)

# Levels of operands after which values are emitted operands first, so that long chains do not exhaust Python's stack.
MAX_DEPTH = 40
# The most elements from one lane's to the next's that are loaded with all between them, and not one by one.
MAX_STEP = 4


@dataclass(eq=False)
class Scope:
    """A loop body (or the function, or a branch) that values can be emitted in.

    `insert` is the block that takes what is hoisted out of the scopes inside; `barrier` scopes let nothing out.
    """

    variable: Var | None = None
    barrier: bool = False
    registers: frozenset[Register] = frozenset()
    buffers: frozenset[Buffer] = frozenset()
    insert: Block | None = None
    memo: dict[tuple, Held] = field(default_factory=dict)
    volatile: dict[tuple, tuple[frozenset[Register], frozenset[Buffer]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stride:
    """Lanes' elements `step` apart, the first in memory `before` elements from where loading begins."""

    step: int
    before: int


@dataclass(eq=False)
class Slot:
    """A register's memory: one pointer, or two for complex numbers, of `lanes` lanes."""

    pointers: tuple[Value, ...]
    type: str
    lanes: int


class ValueEmitter:
    """Emits the values of one kernel into a function; `scopes` are the loops it is in, the innermost last."""

    def __init__(self, e: FunctionEmitter) -> None:
        self.e = e
        self.scopes: list[Scope] = [Scope()]
        self.variables: dict[Var, Value] = {}
        self.slots: dict[Register, Slot] = {}
        self.vector: Var | None = None
        self.width = 1
        self.mask: Value | None = None
        self.pointer: dict[Buffer, Value] = {}
        self.unstable: frozenset[Buffer] = frozenset()  # loaded from and stored to
        self.depth = 0

    # ---- where values live

    def place(self, key: tuple, of: ir.Value | Index) -> tuple[int, Any]:
        """The scope for what depends on what `of` depends on, and what is there already under the key, or None."""
        variables, registers, buffers = of.variables, of.registers, of.buffers
        resolved = [b.resolve() for b in buffers & self.unstable] if buffers and self.unstable else ()
        level = len(self.scopes) - 1
        blocked: int | None = None
        while True:
            scope = self.scopes[level]
            found = scope.memo.get(key)
            if found is not None:
                return level, found
            if level == 0 or scope.variable in variables:
                break
            if scope.registers and not scope.registers.isdisjoint(registers):
                break
            if scope.buffers and any(b in scope.buffers for b in resolved):
                break
            if scope.barrier and blocked is None:
                blocked = level
            level -= 1
        return (level if blocked is None else blocked), None

    def hoist(self, level: int, key: tuple, of: ir.Value | Index, make: Callable[[], _Held]) -> _Held:
        """Emit a value after what its scope has taken so far, and remember it."""
        here, scope = self.e.current_block, self.scopes[level]
        outer = level < len(self.scopes) - 1
        if outer:
            assert scope.insert is not None
            self.e.at(scope.insert)
        result = make()
        if outer:
            scope.insert = self.e.current_block
            self.e.at(here)
        self.remember(level, key, result, of)
        return result

    def remember(self, level: int, key: tuple, value: Held, of: ir.Value | Index) -> None:
        """Keep an emitted value for the rest of its scope, or until what `of` depends on changes."""
        scope = self.scopes[level]
        scope.memo[key] = value
        buffers = of.buffers & self.unstable if of.buffers and self.unstable else frozenset()
        if of.registers or buffers:
            scope.volatile[key] = (of.registers, buffers)

    def invalidate(self, registers: Iterable[Register], buffers: Iterable[Buffer]) -> None:
        """Forget values that depend on what has just changed."""
        changed_registers, changed_buffers = frozenset(registers), frozenset(buffers)
        for scope in self.scopes:
            if scope.volatile:
                stale = [
                    key
                    for key, (r, b) in scope.volatile.items()
                    if not changed_registers.isdisjoint(r) or any(x.resolve() in changed_buffers for x in b)
                ]
                for key in stale:
                    del scope.memo[key], scope.volatile[key]

    def varying(self, value: ir.Value) -> bool:
        """Whether a value differs between the lanes of the current vector loop."""
        if self.vector is None:
            return False
        if self.vector in value.variables:
            return True
        return any(self.slots[r].lanes > 1 for r in value.registers)

    def varying_index(self, i: Index) -> bool:
        if self.vector is None:
            return False
        if self.vector in i.variables:
            return True
        return any(
            self.varying(a.value) if isinstance(a, FromValue) else self.varying_index(a.index)
            for a, _ in i.terms
            if not isinstance(a, Var)
        )

    def varying_atom(self, atom: ir.Atom) -> bool:
        return self.varying_index(Index(0, ((atom, 1),)))

    # ---- values

    def value(self, v: ir.Value, n: int) -> Held:
        """The code of a value in `n` lanes (1 for a scalar)."""
        own = self.width if self.varying(v) else 1
        if own == n:
            return self.own_value(v)
        assert own == 1, f"{v} differs between lanes where one value is needed"
        if isinstance(v, Const):
            return scalar.constant(self.e, v.element_type, v.number, n)
        key = (v, "splat", n)
        level, found = self.place(key, v)
        if found is not None:
            return found
        single = self.own_value(v)

        def splat() -> Held:
            if isinstance(single, Complex):
                return Complex(self.e.splat(single.re, n), self.e.splat(single.im, n))
            return self.e.splat(single, n)

        return self.hoist(level, key, v, splat)

    def own_value(self, v: ir.Value) -> Held:
        if isinstance(v, Const):
            return scalar.constant(self.e, v.element_type, v.number)
        key = (v, "mask" if self.mask is not None and self.varying(v) else "")
        level, found = self.place(key, v)
        if found is not None:
            return found
        n = self.width if self.varying(v) else 1
        parts: list[Held] = []
        if isinstance(v, Apply):
            if self.depth >= MAX_DEPTH:
                depth, self.depth = self.depth, 0
                for node in ir.operands_first(v)[:-1]:
                    self.own_value(node)
                self.depth = depth
            self.depth += 1
            parts = [self.value(a, n) for a in v.args]
            self.depth -= 1
        elif isinstance(v, Load):
            return self.load(v, key, level, n)
        elif isinstance(v, (FromIndex, InRange)):
            parts = [self.index(v.index, n)]
        return self.hoist(level, key, v, lambda: self.compute(v, parts, n))

    def compute(self, v: ir.Value, parts: list[Held], n: int) -> Held:
        e = self.e
        if isinstance(v, Apply):
            types = [a.element_type for a in v.args]
            return scalar.emit_opcode(e, v.opcode, v.element_type, types, parts, dict(v.attrs))
        if isinstance(v, Read):
            return self.read(self.slots[v.register])
        (place,) = parts
        assert isinstance(place, Value)
        if isinstance(v, FromIndex):
            if -(2**31) <= v.index.low and v.index.high < 2**31:
                return scalar.convert(e, e.cast("trunc", place, with_scalar(place.type, "i32")), S32, v.element_type)
            return scalar.convert(e, place, S64, v.element_type)
        assert isinstance(v, InRange)
        shifted = e.sub(place, e.const(place.type, v.low)) if v.low else place
        return e.icmp("ult", shifted, e.const(place.type, v.high - v.low))

    def guard(self, guard: ir.Value | None) -> Value | None:
        if guard is None:
            return None
        value = self.value(guard, self.width if self.varying(guard) else 1)
        assert isinstance(value, Value)
        return value

    def read(self, slot: Slot) -> Held:
        parts = [self.e.load(slot.type, p, 64) for p in slot.pointers]
        return parts[0] if len(parts) == 1 else Complex(*parts)

    # ---- indices

    def index(self, i: Index, n: int) -> Value:
        """An index as i64 in `n` lanes."""
        if not self.varying_index(i):
            single = self.scalar_index(i)
            return single if n == 1 else self.e.splat(single, n)
        return self.vector_index(i)

    def scalar_index(self, i: Index) -> Value:
        """An index as one i64: that of the first lane where its variable is the vector loop's."""
        e = self.e
        if not i.terms:
            return e.const("i64", i.const)
        key = (i, "scalar")
        level, found = self.place(key, i)
        if found is not None:
            return found
        if len(i.terms) == 1:
            atom, factor = i.terms[0]
            part = self.atom(atom)

            def scaled() -> Value:
                product = part if factor == 1 else e.mul(part, e.const("i64", factor))
                return e.add(product, e.const("i64", i.const)) if i.const else product

            return self.hoist(level, key, i, scaled)
        # The term of the innermost scope is added last, so that the others are hoisted.
        terms = [Index(0, (t,)) for t in i.terms]
        levels = [self.place((t, "scalar"), t)[0] for t in terms]
        k = max(range(len(levels)), key=lambda j: (levels[j], j))
        rest = self.scalar_index(Index(i.const, i.terms[:k] + i.terms[k + 1 :]))
        term = self.scalar_index(terms[k])
        return self.hoist(level, key, i, lambda: e.add(rest, term))

    def atom(self, atom: ir.Atom) -> Value:
        e = self.e
        if isinstance(atom, Var):
            return self.variables[atom]
        whole = Index(0, ((atom, 1),))
        key = (whole, "atom")
        level, found = self.place(key, whole)
        if found is not None:
            return found
        if isinstance(atom, FromValue):
            held = self.own_value(atom.value)
            assert isinstance(held, Value)
            return self.hoist(level, key, whole, lambda: self.clamped(atom, held))
        inner = self.scalar_index(atom.index)
        floor, unsigned = isinstance(atom, FloorDiv), atom.index.low >= 0
        divide = (e.udiv if unsigned else e.sdiv) if floor else (e.urem if unsigned else e.srem)
        return self.hoist(level, key, whole, lambda: divide(inner, e.const("i64", atom.divisor)))

    def clamped(self, atom: FromValue, held: Value) -> Value:
        e, t = self.e, atom.value.element_type
        cast, least, most = ("zext", e.umin, e.umax) if t.kind in "up" else ("sext", e.smin, e.smax)
        wide = e.cast(cast, held, with_scalar(held.type, "i64"))
        return most(least(wide, e.const(wide.type, atom.high)), e.const(wide.type, atom.low))

    def vector_index(self, i: Index) -> Value:
        """An index that varies over the lanes, as a vector of i64."""
        e, n = self.e, self.width
        key = (i, "vector")
        level, found = self.place(key, i)
        if found is not None:
            return found
        varies = [not isinstance(a, Var) and self.varying_atom(a) for a, _ in i.terms]
        base = self.scalar_index(Index(i.const, tuple(t for t, own in zip(i.terms, varies) if not own)))
        others = [(a, self.atom_input(a), c) for (a, c), own in zip(i.terms, varies) if own]
        step = i.coefficient(self.vector) if self.vector is not None else 0

        def total() -> Value:
            result = e.splat(base, n)
            if step:
                result = e.add(result, e.lane_const(vector(n, "i64"), [step * k for k in range(n)]))
            for atom, inner, factor in others:
                part = self.vector_atom(atom, inner)
                result = e.add(result, part if factor == 1 else e.mul(part, e.const(part.type, factor)))
            return result

        return self.hoist(level, key, i, total)

    def atom_input(self, atom: ir.Atom) -> Value:
        """What a varying atom is computed from, in all lanes."""
        if isinstance(atom, FromValue):
            held = self.value(atom.value, self.width)
            assert isinstance(held, Value)
            return held
        assert isinstance(atom, (FloorDiv, Mod))
        return self.vector_index(atom.index)

    def vector_atom(self, atom: ir.Atom, inner: Value) -> Value:
        e = self.e
        if isinstance(atom, FromValue):
            return self.clamped(atom, inner)
        assert isinstance(atom, (FloorDiv, Mod))
        floor = isinstance(atom, FloorDiv)
        if 0 <= atom.index.low and atom.index.high < 2**31:
            small = e.cast("trunc", inner, with_scalar(inner.type, "i32"))
            part = (e.udiv if floor else e.urem)(small, e.const(small.type, atom.divisor))
            return e.cast("zext", part, inner.type)
        return (e.sdiv if floor else e.srem)(inner, e.const(inner.type, atom.divisor))

    # ---- addresses

    def base(self, buffer: Buffer, i: Index) -> Value:
        """The address of element i - i.const, the first lane's: what elements a fixed distance apart have in common."""
        pointer = self.pointer[buffer.resolve()]
        if not i.terms:
            return pointer
        whole = Index(0, i.terms) * buffer.element_type.dtype.itemsize
        key = (whole, pointer)
        level, found = self.place(key, i)
        if found is None:
            offset = self.scalar_index(whole)
            return self.hoist(level, key, i, lambda: self.e.gep(pointer, offset))
        return found

    def address(self, buffer: Buffer, i: Index) -> Value:
        """The address of an element, the first lane's where the index varies."""
        base, distance = self.base(buffer, i), i.const * buffer.element_type.dtype.itemsize
        return self.e.gep(base, distance) if distance else base

    def addresses(self, buffer: Buffer, i: Index) -> Value:
        """The addresses of the elements of all lanes."""
        pointer = self.pointer[buffer.resolve()]
        return self.e.gep(pointer, self.vector_index(i * buffer.element_type.dtype.itemsize))

    def direction(self, i: Index) -> int:
        """1 if the lanes' elements are neighbours in order, -1 if they are from last to first, else 0."""
        step = 0 if self.vector is None else i.coefficient(self.vector)
        if step not in (1, -1) or any(self.varying_atom(a) for a, _ in i.terms if a is not self.vector):
            return 0
        return step

    def stride(self, v: Load) -> Stride | None:
        """How the lanes' elements lie a few elements apart, where what lies between them is in the buffer too."""
        i = v.index
        step = 0 if self.vector is None else i.coefficient(self.vector)
        gap = abs(step) - 1
        if self.mask is not None or not 1 <= gap < MAX_STEP or v.element_type.is_complex:
            return None
        if any(self.varying_atom(a) for a, _ in i.terms if a is not self.vector):
            return None
        for before in (i.const % (gap + 1), 0, gap):
            if i.low >= before and i.high - before + gap < v.buffer.size:
                return Stride(step, before)
        return None

    def parts(self, t: ElementType, n: int, address: Value) -> list[tuple[str, Value]]:
        """Memory type and address of each part of an element: one, or two for complex numbers."""
        kind, half = vector(n, scalar.memory_type(t)), t.dtype.itemsize // 2
        if not t.is_complex:
            return [(kind, address)]
        offset = self.e.const(vector(n, "i64"), half) if address.type[0] == "<" else half
        return [(kind, address), (kind, self.e.gep(address, offset))]

    def turned(self, x: Value) -> Value:
        """The lanes from last to first."""
        return self.e.shuffle(x, None, range(lanes(x.type) - 1, -1, -1))

    def combined_mask(self, guard: Value | None, n: int) -> Value | None:
        e = self.e
        if guard is not None and n > 1 and lanes(guard.type) == 1:
            guard = e.splat(guard, n)
        if guard is None or self.mask is None:
            return self.mask if guard is None else guard
        return e.and_(self.mask, guard)

    # ---- loads

    def load(self, v: Load, key: tuple, level: int, n: int) -> Held:
        e, t, align = self.e, v.element_type, alignment(v.element_type)
        guard = self.guard(v.guard)
        # What the access needs is computed in its own scopes, before the load is placed.
        pointer, size = self.pointer[v.buffer.resolve()], t.dtype.itemsize
        direction = self.direction(v.index) if n > 1 else 0
        stride = self.stride(v) if n > 1 and not direction and guard is None else None
        first = v.index
        if direction < 0:
            first = first - (n - 1)
        elif stride is not None:
            first = first - stride.before + min(0, stride.step) * (n - 1)
        based = stride is not None or direction or (n == 1 and guard is None)
        start = self.base(v.buffer, first) if based else self.index(v.index * size, n)

        def parts() -> list[Value]:
            if stride is not None:
                return [self.load_strided(v, first, stride, level, start, n)]
            if based:
                place = e.gep(start, first.const * size) if first.const else start
            elif n == 1:
                place = e.gep(pointer, e.select(guard, start, e.const("i64", 0)))
            else:
                mask, many = self.combined_mask(guard, n), e.gep(pointer, start)
                return [e.gather(k, p, mask, e.const(k, 0), align) for k, p in self.parts(t, n, many)]
            if not direction:
                return [e.load(k, p, align) for k, p in self.parts(t, 1, place)]
            mask = self.combined_mask(guard, n)
            if direction > 0:
                return self.load_neighbours(t, n, place, mask)
            return [self.turned(p) for p in self.load_neighbours(t, n, place, mask and self.turned(mask))]

        def held() -> Held:
            found = [scalar.from_memory(e, p, t) for p in parts()]
            return found[0] if len(found) == 1 else Complex(*found)

        return self.hoist(level, key, v, held)

    def load_strided(self, v: Load, first: Index, stride: Stride, level: int, base: Value, n: int) -> Value:
        """Every so many elements of some neighbours, which are loaded once for all that are taken of them."""
        e, t, step = self.e, v.element_type, abs(stride.step)
        key = (v.buffer, first, n * step)
        wide = self.scopes[level].memo.get(key)
        if wide is None:
            place = e.gep(base, first.const * t.dtype.itemsize) if first.const else base
            wide = e.load(vector(n * step, scalar.memory_type(t)), place, alignment(t))
            self.remember(level, key, wide, v)
        assert isinstance(wide, Value)
        lanes_ = range(stride.before, n * step, step)
        return e.shuffle(wide, None, lanes_ if stride.step > 0 else lanes_[::-1])

    def load_neighbours(self, t: ElementType, n: int, address: Value, mask: Value | None) -> list[Value]:
        e = self.e
        kind, align = vector(n, scalar.memory_type(t)), alignment(t)
        if not t.is_complex:
            if mask is None:
                return [e.load(kind, address, align)]
            return [e.masked_load(kind, address, mask, e.const(kind, 0), align)]
        both = vector(2 * n, scalar.memory_type(t))
        if mask is None:
            pairs = e.load(both, address, align)
        else:
            twice = e.shuffle(mask, None, [k // 2 for k in range(2 * n)])
            pairs = e.masked_load(both, address, twice, e.const(both, 0), align)
        return [e.shuffle(pairs, None, range(k, 2 * n, 2)) for k in (0, 1)]


def alignment(t: ElementType) -> int:
    """The alignment that memory of an element type has at least."""
    return t.dtype.itemsize // (2 if t.is_complex else 1)
