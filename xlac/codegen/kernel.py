"""A kernel of the loop IR as one LLVM function: loops, vectors, masks and registers.

Every value is emitted once, in the outermost loop it can be computed in: what a loop does not change is hoisted
before it. In a vector loop, values that depend on its variable are vectors of its width, all others scalars, splatted
where they meet. The rest of a vector loop, shorter than a vector, runs once under a constant mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from xlac.codegen import scalar
from xlac.codegen.emit import Block, FunctionEmitter, ModuleEmitter, Value, lanes, vector, with_scalar
from xlac.codegen.scalar import Complex, Held
from xlac.ir.shape import ElementType
from xlac.loop import ir
from xlac.loop.elemental import monoid_identity
from xlac.loop.ir import (
    Accumulate,
    Apply,
    Assign,
    Buffer,
    Const,
    FloorDiv,
    For,
    FromIndex,
    FromValue,
    If,
    Index,
    InRange,
    Kernel,
    Load,
    Loop,
    Mod,
    Read,
    Register,
    Statement,
    Store,
    Transpose,
    Var,
)

# Levels of operands after which values are emitted operands first, so that long chains do not exhaust Python's stack.
MAX_DEPTH = 40

# The most elements from one lane's to the next's that are loaded with all between them, and not one by one.
MAX_STEP = 4
# Numbers of stores that become one where each has its lanes' elements between those of the others.
INTERLEAVED = (2, 4)


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


def changed(body: Iterable[Statement]) -> tuple[frozenset[Register], frozenset[Buffer]]:
    """The registers and buffers that statements write."""
    registers: set[Register] = set()
    buffers: set[Buffer] = set()
    for statement in ir.statements(body):
        if isinstance(statement, (Assign, Accumulate)):
            registers.add(statement.register)
        elif isinstance(statement, (Store, Transpose)):
            buffers.add(statement.buffer.resolve())
    return frozenset(registers), frozenset(buffers)


class KernelEmitter:
    """Emits one kernel into a module as `void name(ptr buffers, i64 low, i64 high)`.

    The function finds its buffers' addresses, in the order of `buffers`, in the table it is given, so kernels that do
    the same to other buffers have the same code.
    """

    def __init__(self, module: ModuleEmitter, kernel: Kernel, name: str) -> None:
        self.kernel = kernel
        self.e: FunctionEmitter = module.function(
            name, [("buffers", "ptr noalias readonly"), ("low", "i64"), ("high", "i64")], internal=True
        )
        self.table, self.low, self.high = self.e.arguments
        self.scopes: list[Scope] = [Scope()]
        self.variables: dict[Var, Value] = {}
        self.slots: dict[Register, Slot] = {}
        self.vector: Var | None = None
        self.width = 1
        self.mask: Value | None = None
        self.pointer: dict[Buffer, Value] = {}
        self.buffers: list[Buffer] = []
        self.unstable: frozenset[Buffer] = frozenset()  # loaded from and stored to
        self.partial: set[Register] = set()
        self.depth = 0

    def emit(self) -> None:
        if self.kernel.contract:
            self.e.fast_math = "contract "
        self.pointers()
        self.body(self.kernel.body)
        self.e.ret()
        self.e.end()

    # ---- statements

    def body(self, body: Sequence[Statement]) -> None:
        pending: list[Store] = []
        for statement in body:
            if isinstance(statement, Store):
                pending.append(statement)
                continue
            self.stores(pending)
            pending = []
            if isinstance(statement, For):
                self.loop(statement)
            elif isinstance(statement, Assign):
                self.assign(statement)
            elif isinstance(statement, Accumulate):
                self.accumulate(statement)
            elif isinstance(statement, If):
                self.branch(statement)
            elif isinstance(statement, Transpose):
                self.transpose(statement)
            else:
                self.while_loop(statement)
        self.stores(pending)

    def stores(self, stores: list[Store]) -> None:
        """All places and values first, then the stores: a result may take the memory of an operand."""
        for s in stores:
            if self.varying_index(s.index) and not self.direction(s.index):
                self.vector_index(s.index * s.buffer.element_type.dtype.itemsize)
            else:
                self.base(s.buffer, s.index)
        ready = [(s, self.value(s.value, self.lanes_of_store(s)), self.guard(s.guard)) for s in stores]
        rows: dict[tuple, dict[int, tuple[Store, Held, Value | None]]] = {}
        for item in ready:
            rows.setdefault(self.row_of(item[0]), {})[item[0].index.const] = item
        for (step, *_), row in rows.items():
            places = sorted(row)
            if step > 1 and places == list(range(places[0], places[0] + step)):
                self.store_interleaved([row[p] for p in places])
            else:
                for statement, value, guard in row.values():
                    self.store(statement, value, guard)
        for statement in stores:
            self.invalidate((), (statement.buffer.resolve(),))

    def row_of(self, s: Store) -> tuple:
        """The stores whose lanes' elements lie between each other's, so that one can store them all, have the same row;
        its first item is how far apart the lanes' elements are, 1 for stores by themselves."""
        step = 1 if self.vector is None else s.index.coefficient(self.vector)
        other = any(self.varying_atom(a) for a, _ in s.index.terms if a is not self.vector)
        if step not in INTERLEAVED or other or s.guard is not None or self.mask is not None:
            return 1, s
        return (1, s) if s.buffer.element_type.is_complex else (step, s.buffer, s.index.terms)

    def store_interleaved(self, row: Sequence[tuple[Store, Held, Value | None]]) -> None:
        """The first lanes of all, the second lanes of all, and so on, as one vector."""
        e, first = self.e, row[0][0]
        t = first.buffer.element_type
        parts = [scalar.to_memory(e, value, t) for _, value, _ in row if isinstance(value, Value)]
        while len(parts) > 1:
            half, n = len(parts) // 2, lanes(parts[0].type)
            order = [k // 2 + n * (k % 2) for k in range(2 * n)]
            parts = [e.shuffle(a, b, order) for a, b in zip(parts[:half], parts[half:])]
        e.store(parts[0], self.address(first.buffer, first.index), alignment(t))

    def lanes_of_store(self, s: Store) -> int:
        inside = self.vector is not None and (
            self.varying_index(s.index) or self.varying(s.value) or (s.guard is not None and self.varying(s.guard))
        )
        return self.width if inside else 1

    def guard(self, guard: ir.Value | None) -> Value | None:
        if guard is None:
            return None
        value = self.value(guard, self.width if self.varying(guard) else 1)
        assert isinstance(value, Value)
        return value

    def enter(self, scope: Scope) -> None:
        self.scopes[-1].insert = self.e.current_block
        self.scopes.append(scope)

    def leave(self) -> Scope:
        scope = self.scopes.pop()
        self.invalidate(scope.registers, scope.buffers)
        return scope

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

    def remember(self, level: int, key: tuple, value: Held, registers: frozenset, buffers: frozenset) -> None:
        """Keep an emitted value for the rest of its scope, or until what it depends on changes."""
        scope = self.scopes[level]
        scope.memo[key] = value
        buffers = buffers & self.unstable if buffers and self.unstable else frozenset()
        if registers or buffers:
            scope.volatile[key] = (registers, buffers)

    def loop(self, loop: For) -> None:
        registers, buffers = changed(loop.body)
        parallel = self.kernel.parallel is loop.var
        if loop.kind == "vector" and loop.width > 1:
            self.vector_loop(loop, registers, buffers, parallel)
        elif loop.var.extent == 1 and not parallel:
            self.body(loop.body)
        elif loop.var.extent:
            low = self.low if parallel else self.e.const("i64", 0)
            high = self.high if parallel else self.e.const("i64", loop.var.extent)
            self.counted(loop.var, low, high, 1, loop.body, registers, buffers, guarded=parallel)

    def counted(
        self,
        variable: Var,
        low: Value,
        high: Value,
        step: int,
        body: Sequence[Statement],
        registers: frozenset[Register],
        buffers: frozenset[Buffer],
        guarded: bool = False,
    ) -> None:
        """for variable = low; variable < high; variable += step; runs at least once unless `guarded`.

        What is hoisted before a guarded loop runs even if the loop does not; it has no effects and reads nothing that
        some other part of the loop would not.
        """
        e = self.e
        header, done = e.new_block("loop"), e.new_block("done")
        self.enter(Scope(variable, registers=registers, buffers=buffers))
        outer = self.scopes[-2]
        e.at(header)
        counter = e.phi("i64")
        self.variables[variable] = counter
        self.body(body)
        following = e.add(counter, e.const("i64", step))
        latch = e.current_block
        e.cond_br(e.icmp("slt", following, high), header, done)
        e.at(outer.insert)
        e.add_incoming(counter, low, e.current_block)
        e.add_incoming(counter, following, latch)
        if guarded:
            e.cond_br(e.icmp("slt", low, high), header, done)
        else:
            e.br(header)
        e.at(done)
        self.leave()

    def vector_loop(
        self, loop: For, registers: frozenset[Register], buffers: frozenset[Buffer], parallel: bool
    ) -> None:
        e, width, extent = self.e, loop.width, loop.var.extent
        whole, rest = divmod(extent, width)
        partial = self.open_accumulators(loop, registers)
        self.vector, self.width = loop.var, width
        if whole == 1 and not parallel:
            self.once(loop, 0, registers, buffers)
        elif whole:
            if parallel:
                units = e.const("i64", whole)
                last = e.smin(self.high, units) if rest else self.high
                low, high = (e.mul(x, e.const("i64", width)) for x in (self.low, last))
            else:
                low, high = e.const("i64", 0), e.const("i64", whole * width)
            self.counted(loop.var, low, high, width, loop.body, registers, buffers, guarded=parallel)
        if rest:
            done = None
            if parallel:
                tail, done = e.new_block("tail"), e.new_block("done")
                e.cond_br(e.icmp("sgt", self.high, e.const("i64", whole)), tail, done)
                e.at(tail)
            self.mask = e.lane_const(vector(width, "i1"), [i < rest for i in range(width)])
            self.once(loop, whole * width, registers, buffers, done)
            self.mask = None
        self.vector, self.width = None, 1
        self.close_accumulators(partial)

    def once(
        self,
        loop: For,
        start: int,
        registers: frozenset[Register],
        buffers: frozenset[Buffer],
        done: Block | None = None,
    ) -> None:
        """A loop's body with its variable at `start`; then on to the block `done`, if the body may be passed by."""
        e, body = self.e, self.e.new_block("once")
        self.enter(Scope(loop.var, done is not None, registers, buffers))
        outer = self.scopes[-2]
        e.at(body)
        self.variables[loop.var] = e.const("i64", start)
        self.body(loop.body)
        last = e.current_block
        e.at(outer.insert)
        e.br(body)
        e.at(last)
        if done is not None:
            e.br(done)
            e.at(done)
        self.leave()

    def open_accumulators(self, loop: For, registers: frozenset[Register]) -> list[tuple[Register, Slot, Slot, str]]:
        """Give each register that the vector loop accumulates one accumulator a lane, from the identity."""
        opened = []
        found: dict[Register, str] = {}
        for statement in ir.statements(loop.body):
            if isinstance(statement, Accumulate) and statement.register in self.slots:
                found[statement.register] = statement.opcode
        for register, opcode in found.items():
            scalar_slot = self.slots[register]
            lane_slot = self.new_slot(register.element_type, loop.width)
            identity = monoid_identity(opcode, register.element_type)
            self.write(lane_slot, scalar.constant(self.e, register.element_type, identity, loop.width))
            self.slots[register] = lane_slot
            self.partial.add(register)
            opened.append((register, scalar_slot, lane_slot, opcode))
        if found:
            self.invalidate(found, ())
        return opened

    def close_accumulators(self, opened: list[tuple[Register, Slot, Slot, str]]) -> None:
        for register, scalar_slot, lane_slot, opcode in opened:
            t = register.element_type
            total = self.reduce_lanes(self.read(lane_slot), opcode, t)
            self.slots[register] = scalar_slot
            self.partial.discard(register)
            before = self.read(scalar_slot)
            self.write(scalar_slot, scalar.emit_opcode(self.e, opcode, t, (t, t), (before, total), {}))
        if opened:
            self.invalidate([o[0] for o in opened], ())

    def reduce_lanes(self, value: Held, opcode: str, t: ElementType) -> Held:
        """Combine lanes, halves first."""
        e = self.e
        n = lanes(value.re.type if isinstance(value, Complex) else value.type)
        while n > 1:
            n //= 2
            low, high = range(n), range(n, 2 * n)
            if isinstance(value, Complex):
                a = Complex(e.shuffle(value.re, None, low), e.shuffle(value.im, None, low))
                b: Held = Complex(e.shuffle(value.re, None, high), e.shuffle(value.im, None, high))
            else:
                a, b = e.shuffle(value, None, low), e.shuffle(value, None, high)
            value = scalar.emit_opcode(e, opcode, t, (t, t), (a, b), {})
        return value

    def branch(self, statement: If) -> None:
        e = self.e
        condition = self.value(statement.condition, 1)
        assert isinstance(condition, Value)
        then, done = e.new_block("then"), e.new_block("join")
        otherwise = e.new_block("else") if statement.otherwise else done
        registers, buffers = changed([statement])
        e.cond_br(condition, then, otherwise)
        for block, body in ((then, statement.body), (otherwise, statement.otherwise)):
            if block is done:
                continue
            self.enter(Scope(None, True, registers, buffers))
            e.at(block)
            self.body(body)
            e.br(done)
            self.leave()
        e.at(done)

    def while_loop(self, statement: Loop) -> None:
        e = self.e
        registers, buffers = changed([statement])
        header, inside, done = e.new_block("while"), e.new_block("do"), e.new_block("done")
        e.br(header)
        self.invalidate(registers, buffers)
        self.enter(Scope(None, True, registers, buffers))
        e.at(header)
        condition = self.value(statement.condition, 1)
        assert isinstance(condition, Value)
        e.cond_br(condition, inside, done)
        e.at(inside)
        self.scopes[-1].memo, self.scopes[-1].volatile = {}, {}
        self.body(statement.body)
        e.br(header)
        e.at(done)
        self.leave()

    def transpose(self, statement: Transpose) -> None:
        """Rows as vectors, whose off-diagonal blocks change places: halves, then quarters, down to single elements."""
        e, t, n = self.e, statement.buffer.element_type, statement.size
        kind = vector(n, scalar.memory_type(t))
        base = self.pointer[statement.buffer.resolve()]
        places = [e.gep(base, k * statement.pitch * t.dtype.itemsize) for k in range(n)]
        rows = [e.load(kind, p, alignment(t)) for p in places]
        block = n // 2
        while block:
            upper = [c if not c & block else n + c - block for c in range(n)]
            lower = [c + block if not c & block else n + c for c in range(n)]
            for i in range(n):
                if not i & block:
                    a, b = rows[i], rows[i + block]
                    rows[i], rows[i + block] = e.shuffle(a, b, upper), e.shuffle(a, b, lower)
            block //= 2
        for row, p in zip(rows, places):
            e.store(row, p, alignment(t))
        self.invalidate((), (statement.buffer.resolve(),))

    # ---- registers

    def new_slot(self, t: ElementType, n: int) -> Slot:
        kind = vector(n, scalar.held_type(t))
        return Slot(tuple(self.e.alloca(kind) for _ in range(2 if t.is_complex else 1)), kind, n)

    def read(self, slot: Slot) -> Held:
        parts = [self.e.load(slot.type, p, 64) for p in slot.pointers]
        return parts[0] if len(parts) == 1 else Complex(*parts)

    def write(self, slot: Slot, value: Held) -> None:
        for part, pointer in zip([value] if isinstance(value, Value) else value, slot.pointers):
            self.e.store(part, pointer, 64)

    def assign(self, statement: Assign) -> None:
        slot = self.slots.get(statement.register)
        n = slot.lanes if slot is not None else self.width if self.vector is not None else 1
        value = self.value(statement.value, n)
        if slot is None:
            slot = self.slots[statement.register] = self.new_slot(statement.register.element_type, n)
        self.write(slot, value)
        self.invalidate((statement.register,), ())

    def accumulate(self, statement: Accumulate) -> None:
        e, register = self.e, statement.register
        slot, t = self.slots[register], register.element_type
        value = self.value(statement.value, slot.lanes)
        before = self.read(slot)
        if statement.factor is not None:
            factor = self.value(statement.factor, slot.lanes)
            assert isinstance(value, Value) and isinstance(factor, Value) and isinstance(before, Value)
            after: Held = e.fma(value, factor, before)
        else:
            after = scalar.emit_opcode(e, statement.opcode, t, (t, t), (before, value), {})
        if self.mask is not None and register in self.partial:
            if isinstance(after, Complex) and isinstance(before, Complex):
                after = Complex(e.select(self.mask, after.re, before.re), e.select(self.mask, after.im, before.im))
            else:
                after = e.select(self.mask, after, before)  # type: ignore[arg-type]
        self.write(slot, after)
        self.invalidate((register,), ())

    # ---- where values live

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
        return any(self.varying(a.value) for a, _ in i.terms if isinstance(a, FromValue)) or any(
            self.varying_index(a.index) for a, _ in i.terms if isinstance(a, (FloorDiv, Mod))
        )

    def place(
        self, key: tuple, variables: frozenset, registers: frozenset, buffers: frozenset
    ) -> tuple[int, Held | None]:
        """The scope a value belongs in, and the value if it is there already."""
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

    def emit_in(self, level: int) -> Block | None:
        """Go to the block that code of a scope is appended to; returns the block to come back to, if another."""
        if level == len(self.scopes) - 1:
            return None
        here = self.e.current_block
        insert = self.scopes[level].insert
        assert insert is not None
        self.e.at(insert)
        return here

    def come_back(self, level: int, here: Block | None) -> None:
        if here is not None:
            self.scopes[level].insert = self.e.current_block
            self.e.at(here)

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
        level, found = self.place(key, v.variables, v.registers, v.buffers)
        if found is not None:
            return found
        single = self.own_value(v)
        here = self.emit_in(level)
        result: Held
        if isinstance(single, Complex):
            result = Complex(self.e.splat(single.re, n), self.e.splat(single.im, n))
        else:
            result = self.e.splat(single, n)
        self.come_back(level, here)
        self.remember(level, key, result, v.registers, v.buffers)
        return result

    def own_value(self, v: ir.Value) -> Held:
        if isinstance(v, Const):
            return scalar.constant(self.e, v.element_type, v.number)
        key = (v, "mask" if self.mask is not None and self.varying(v) else "")
        level, found = self.place(key, v.variables, v.registers, v.buffers)
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
        here = self.emit_in(level)
        result = self.compute(v, parts, n)
        self.come_back(level, here)
        self.remember(level, key, result, v.registers, v.buffers)
        return result

    def compute(self, v: ir.Value, parts: list[Held], n: int) -> Held:
        e = self.e
        if isinstance(v, Apply):
            types = [a.element_type for a in v.args]
            return scalar.emit_opcode(e, v.opcode, v.element_type, types, parts, dict(v.attrs))
        if isinstance(v, Read):
            return self.read(self.slots[v.register])
        if isinstance(v, FromIndex):
            from xlac.ir.shape import S32, S64

            (place,) = parts
            assert isinstance(place, Value)
            if -(2**31) <= v.index.low and v.index.high < 2**31:
                return scalar.convert(e, e.cast("trunc", place, with_scalar(place.type, "i32")), S32, v.element_type)
            return scalar.convert(e, place, S64, v.element_type)
        assert isinstance(v, InRange)
        (place,) = parts
        assert isinstance(place, Value)
        shifted = e.sub(place, e.const(place.type, v.low)) if v.low else place
        return e.icmp("ult", shifted, e.const(place.type, v.high - v.low))

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
        variables, registers, buffers = i.variables, i.registers, i.buffers
        level, found = self.place(key, variables, registers, buffers)
        if found is not None:
            assert isinstance(found, Value)
            return found
        if len(i.terms) == 1:
            atom, factor = i.terms[0]
            part = self.atom(atom)
            here = self.emit_in(level)
            result = part if factor == 1 else e.mul(part, e.const("i64", factor))
            if i.const:
                result = e.add(result, e.const("i64", i.const))
        else:
            # The term of the innermost scope is added last, so that the others are hoisted.
            terms = [Index(0, (t,)) for t in i.terms]
            levels = [self.place((t, "scalar"), t.variables, t.registers, t.buffers)[0] for t in terms]
            k = max(range(len(levels)), key=lambda j: (levels[j], j))
            rest = self.scalar_index(Index(i.const, i.terms[:k] + i.terms[k + 1 :]))
            term = self.scalar_index(terms[k])
            here = self.emit_in(level)
            result = e.add(rest, term)
        self.come_back(level, here)
        self.remember(level, key, result, registers, buffers)
        return result

    def atom(self, atom: ir.Atom) -> Value:
        e = self.e
        if isinstance(atom, Var):
            return self.variables[atom]
        whole = Index(0, ((atom, 1),))
        key = (whole, "atom")
        variables, registers, buffers = whole.variables, whole.registers, whole.buffers
        level, found = self.place(key, variables, registers, buffers)
        if found is not None:
            assert isinstance(found, Value)
            return found
        if isinstance(atom, FromValue):
            held = self.own_value(atom.value)
            here = self.emit_in(level)
            assert isinstance(held, Value)
            result = self.clamped(atom, held)
        else:
            inner = self.scalar_index(atom.index)
            here = self.emit_in(level)
            divide = (
                (e.udiv if isinstance(atom, FloorDiv) else e.urem)
                if atom.index.low >= 0
                else (e.sdiv if isinstance(atom, FloorDiv) else e.srem)
            )
            result = divide(inner, e.const("i64", atom.divisor))
        self.come_back(level, here)
        self.remember(level, key, result, registers, buffers)
        return result

    def clamped(self, atom: FromValue, held: Value) -> Value:
        e, t = self.e, atom.value.element_type
        if t.kind == "u" or t.kind == "p":
            wide = e.cast("zext", held, with_scalar(held.type, "i64"))
            return e.umax(e.umin(wide, e.const(wide.type, atom.high)), e.const(wide.type, atom.low))
        wide = e.cast("sext", held, with_scalar(held.type, "i64"))
        return e.smax(e.smin(wide, e.const(wide.type, atom.high)), e.const(wide.type, atom.low))

    def vector_index(self, i: Index) -> Value:
        """An index that varies over the lanes, as a vector of i64."""
        e, n = self.e, self.width
        key = (i, "vector")
        variables, registers, buffers = i.variables, i.registers, i.buffers
        level, found = self.place(key, variables, registers, buffers)
        if found is not None:
            assert isinstance(found, Value)
            return found
        affine = tuple((a, c) for a, c in i.terms if isinstance(a, Var) or not self.varying_atom(a))
        base = self.scalar_index(Index(i.const, affine))
        others = [
            (a, self.atom_input(a), c) for a, c in i.terms if not (isinstance(a, Var) or not self.varying_atom(a))
        ]
        step = i.coefficient(self.vector) if self.vector is not None else 0
        here = self.emit_in(level)
        result = e.splat(base, n)
        if step:
            result = e.add(result, e.lane_const(vector(n, "i64"), [step * k for k in range(n)]))
        for atom, inner, factor in others:
            part = self.vector_atom(atom, inner)
            result = e.add(result, part if factor == 1 else e.mul(part, e.const(part.type, factor)))
        self.come_back(level, here)
        self.remember(level, key, result, registers, buffers)
        return result

    def varying_atom(self, atom: ir.Atom) -> bool:
        return self.varying_index(Index(0, ((atom, 1),)))

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

    # ---- memory

    def pointers(self) -> None:
        """Load the address of every buffer the kernel uses from its table."""
        e = self.e
        used: dict[Buffer, None] = {}
        loaded: set[Buffer] = set()
        stored: set[Buffer] = set()
        for statement in ir.statements(self.kernel.body):
            for access in ir.loads(ir.statement_values(statement)):
                used[access.buffer.resolve()] = None
                loaded.add(access.buffer)
            if isinstance(statement, (Store, Transpose)):
                used[statement.buffer.resolve()] = None
                stored.add(statement.buffer.resolve())
        self.unstable = frozenset(b for b in loaded if b.resolve() in stored)
        self.buffers = [b for b in used if b.space != "local"]
        for buffer in used:
            if buffer.space == "local":
                element = scalar.memory_type(buffer.element_type)
                self.pointer[buffer] = e.alloca(f"[{buffer.bytes // alignment(buffer.element_type)} x {element}]")
        for i, buffer in enumerate(self.buffers):
            self.pointer[buffer] = e.load("ptr", e.gep(self.table, 8 * i), 8)

    def base(self, buffer: Buffer, i: Index) -> Value:
        """The address of element i - i.const, the first lane's: what elements a fixed distance apart have in common."""
        pointer = self.pointer[buffer.resolve()]
        if not i.terms:
            return pointer
        whole = Index(0, i.terms) * buffer.element_type.dtype.itemsize
        key = (whole, pointer)
        level, found = self.place(key, i.variables, i.registers, i.buffers)
        if found is None:
            offset = self.scalar_index(whole)
            here = self.emit_in(level)
            found = self.e.gep(pointer, offset)
            self.come_back(level, here)
            self.remember(level, key, found, i.registers, i.buffers)
        assert isinstance(found, Value)
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

    def load_strided(self, v: Load, first: Index, stride: Stride, level: int, base: Value, n: int) -> Value:
        """Every so many elements of some neighbours, which are loaded once for all that are taken of them."""
        e, t, step = self.e, v.element_type, abs(stride.step)
        key = (v.buffer, first, n * step)
        wide = self.scopes[level].memo.get(key)
        if wide is None:
            place = e.gep(base, first.const * t.dtype.itemsize) if first.const else base
            wide = e.load(vector(n * step, scalar.memory_type(t)), place, alignment(t))
            self.remember(level, key, wide, v.registers, v.buffers)
        assert isinstance(wide, Value)
        lanes_ = range(stride.before, n * step, step)
        return e.shuffle(wide, None, lanes_ if stride.step > 0 else lanes_[::-1])

    def turned(self, x: Value) -> Value:
        """The lanes from last to first."""
        return self.e.shuffle(x, None, range(lanes(x.type) - 1, -1, -1))

    def load(self, v: Load, key: tuple, level: int, n: int) -> Held:
        e, t = self.e, v.element_type
        guard = self.guard(v.guard)
        # What the access needs is computed in its own scopes, before the load is placed.
        pointer = self.pointer[v.buffer.resolve()]
        direction = self.direction(v.index) if n > 1 else 0
        stride = self.stride(v) if n > 1 and not direction and guard is None else None
        first = v.index
        if direction < 0:
            first = first - (n - 1)
        elif stride is not None:
            first = first - stride.before + min(0, stride.step) * (n - 1)
        if n == 1 and guard is not None:
            place = self.scalar_index(v.index * t.dtype.itemsize)
        elif n == 1 or direction or stride is not None:
            place = self.base(v.buffer, first)
        else:
            place = self.index(v.index * t.dtype.itemsize, n)
        here = self.emit_in(level)
        if place.type == "ptr" and first.const and stride is None:
            place = e.gep(place, first.const * t.dtype.itemsize)
        if n == 1:
            if guard is not None:
                place = e.gep(pointer, e.select(guard, place, e.const("i64", 0)))
            parts = [e.load(k, a, alignment(t)) for k, a in self.parts(t, 1, place)]
        elif stride is not None:
            parts = [self.load_strided(v, first, stride, level, place, n)]
        else:
            mask = self.combined_mask(guard, n)
            if direction:
                mask = mask and (self.turned(mask) if direction < 0 else mask)
                parts = self.load_neighbours(t, n, place, mask)
                parts = [self.turned(p) for p in parts] if direction < 0 else parts
            else:
                many = e.gep(pointer, place)
                parts = [e.gather(k, p, mask, e.const(k, 0), alignment(t)) for k, p in self.parts(t, n, many)]
        held = [scalar.from_memory(e, p, t) for p in parts]
        result: Held = held[0] if len(held) == 1 else Complex(*held)
        self.come_back(level, here)
        self.remember(level, key, result, v.registers, v.buffers)
        return result

    def combined_mask(self, guard: Value | None, n: int) -> Value | None:
        e = self.e
        if guard is not None and n > 1 and lanes(guard.type) == 1:
            guard = e.splat(guard, n)
        if guard is None or self.mask is None:
            return self.mask if guard is None else guard
        return e.and_(self.mask, guard)

    def parts(self, t: ElementType, n: int, address: Value) -> list[tuple[str, Value]]:
        """Memory type and address of each part of an element: one, or two for complex numbers."""
        kind = vector(n, scalar.memory_type(t))
        if not t.is_complex:
            return [(kind, address)]
        return [(kind, address), (kind, self.e.gep(address, self.offsets(n, t.dtype.itemsize // 2, address)))]

    def offsets(self, n: int, size: int, address: Value) -> Value | int:
        return self.e.const(vector(n, "i64"), size) if address.type[0] == "<" else size

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

    def store(self, s: Store, value: Held, guard: Value | None) -> None:
        e, t = self.e, s.buffer.element_type
        n = lanes(value.re.type if isinstance(value, Complex) else value.type)
        parts = [scalar.to_memory(e, p, t) for p in ([value] if isinstance(value, Value) else value)]
        align = alignment(t)
        if n == 1:
            self.store_one(s, parts, guard)
            return
        mask = self.combined_mask(guard, n)
        direction = self.direction(s.index)
        if direction:
            first = s.index
            if direction < 0:
                first = first - (n - 1)
                parts, mask = [self.turned(p) for p in parts], mask and self.turned(mask)
            address = self.address(s.buffer, first)
            if t.is_complex:
                data = e.shuffle(parts[0], parts[1], [k // 2 + n * (k % 2) for k in range(2 * n)])
                mask = mask and e.shuffle(mask, None, [k // 2 for k in range(2 * n)])
            else:
                (data,) = parts
            if mask is None:
                e.store(data, address, align)
            else:
                e.masked_store(data, address, mask, align)
            return
        if self.varying_index(s.index):
            many = self.addresses(s.buffer, s.index)
        else:
            many = e.splat(self.address(s.buffer, s.index), n)
        for part, (_, p) in zip(parts, self.parts(t, n, many)):
            e.scatter(part, p, mask, align)

    def store_one(self, s: Store, parts: list[Value], guard: Value | None) -> None:
        e, t = self.e, s.buffer.element_type
        address = self.address(s.buffer, s.index)
        done = None
        if guard is not None:
            then, done = e.new_block("store"), e.new_block("stored")
            e.cond_br(guard, then, done)
            e.at(then)
        for part, (_, p) in zip(parts, self.parts(t, 1, address)):
            e.store(part, p, alignment(t))
        if done is not None:
            e.br(done)
            e.at(done)


def alignment(t: ElementType) -> int:
    """The alignment that memory of an element type has at least."""
    return t.dtype.itemsize // (2 if t.is_complex else 1)
