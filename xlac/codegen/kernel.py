"""A kernel of the loop IR as one LLVM function: its loops, vectors, masks, registers and stores.

`values` has the code of what the statements compute. The rest of a vector loop, shorter than a vector, runs once under
a constant mask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xlac.codegen import scalar
from xlac.codegen.emit import Block, ModuleEmitter, Value, lanes, vector
from xlac.codegen.scalar import Complex, Held
from xlac.codegen.values import Scope, Slot, ValueEmitter, alignment
from xlac.ir.shape import ElementType
from xlac.loop import ir
from xlac.loop.elemental import monoid_identity
from xlac.loop.ir import (
    Accumulate,
    Assign,
    Buffer,
    For,
    If,
    Kernel,
    Loop,
    Register,
    Statement,
    Store,
    Transpose,
)

# Numbers of stores that become one where each has its lanes' elements between those of the others.
INTERLEAVED = (2, 4)


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


class KernelEmitter(ValueEmitter):
    """Emits one kernel into a module as `void name(ptr buffers, i64 low, i64 high)`.

    The function finds its buffers' addresses, in the order of `buffers`, in the table it is given, so kernels that do
    the same to other buffers have the same code.
    """

    def __init__(self, module: ModuleEmitter, kernel: Kernel, name: str) -> None:
        arguments = [("buffers", "ptr noalias readonly"), ("low", "i64"), ("high", "i64")]
        super().__init__(module.function(name, arguments, internal=True))
        self.kernel = kernel
        self.table, self.low, self.high = self.e.arguments
        self.buffers: list[Buffer] = []
        self.partial: set[Register] = set()  # of which each lane of the vector loop at hand has a part

    def emit(self) -> None:
        if self.kernel.contract:
            self.e.fast_math = "contract "
        self.pointers()
        self.body(self.kernel.body)
        self.e.ret()
        self.e.end()

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

    def enter(self, scope: Scope) -> None:
        self.scopes[-1].insert = self.e.current_block
        self.scopes.append(scope)

    def leave(self) -> Scope:
        scope = self.scopes.pop()
        self.invalidate(scope.registers, scope.buffers)
        return scope

    # ---- loops

    def loop(self, loop: For) -> None:
        parallel = self.kernel.parallel is loop.var
        if loop.kind == "vector" and loop.width > 1:
            self.vector_loop(loop, parallel)
        elif loop.var.extent == 1 and not parallel:
            self.body(loop.body)
        elif loop.var.extent:
            low = self.low if parallel else self.e.const("i64", 0)
            high = self.high if parallel else self.e.const("i64", loop.var.extent)
            self.counted(loop, low, high, 1, guarded=parallel)

    def counted(self, loop: For, low: Value, high: Value, step: int, guarded: bool = False) -> None:
        """for loop.var = low; loop.var < high; loop.var += step; runs at least once unless `guarded`.

        What is hoisted before a guarded loop runs even if the loop does not; it has no effects and reads nothing that
        some other part of the loop would not.
        """
        e = self.e
        header, done = e.new_block("loop"), e.new_block("done")
        self.enter(Scope(loop.var, False, *changed(loop.body)))
        outer = self.scopes[-2]
        e.at(header)
        counter = e.phi("i64")
        self.variables[loop.var] = counter
        self.body(loop.body)
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

    def vector_loop(self, loop: For, parallel: bool) -> None:
        e, width, extent = self.e, loop.width, loop.var.extent
        whole, rest = divmod(extent, width)
        partial = self.open_accumulators(loop)
        self.vector, self.width = loop.var, width
        if whole == 1 and not parallel:
            self.once(loop, 0)
        elif whole:
            if parallel:
                units = e.const("i64", whole)
                last = e.smin(self.high, units) if rest else self.high
                low, high = (e.mul(x, e.const("i64", width)) for x in (self.low, last))
            else:
                low, high = e.const("i64", 0), e.const("i64", whole * width)
            self.counted(loop, low, high, width, guarded=parallel)
        if rest:
            done = None
            if parallel:
                tail, done = e.new_block("tail"), e.new_block("done")
                e.cond_br(e.icmp("sgt", self.high, e.const("i64", whole)), tail, done)
                e.at(tail)
            self.mask = e.lane_const(vector(width, "i1"), [i < rest for i in range(width)])
            self.once(loop, whole * width, done)
            self.mask = None
        self.vector, self.width = None, 1
        self.close_accumulators(partial)

    def once(self, loop: For, start: int, done: Block | None = None) -> None:
        """A loop's body with its variable at `start`; then on to the block `done`, if the body may be passed by."""
        e, body = self.e, self.e.new_block("once")
        self.enter(Scope(loop.var, done is not None, *changed(loop.body)))
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

    def open_accumulators(self, loop: For) -> list[tuple[Register, Slot, Slot, str]]:
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

    # ---- registers

    def new_slot(self, t: ElementType, n: int) -> Slot:
        kind = vector(n, scalar.held_type(t))
        return Slot(tuple(self.e.alloca(kind) for _ in range(2 if t.is_complex else 1)), kind, n)

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

    # ---- stores

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
