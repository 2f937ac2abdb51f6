"""Runs a planned loop program in Python, checking every access: what the generated code would do, made visible.

Memory is what generated code has: one arena, the parameters, results and constants, and the buffers on the stack of a
kernel. Each byte knows which buffer wrote it last. An access outside of its buffer, a read of what was never written or
has been overwritten by another buffer, a write to a parameter or constant, and two iterations of a parallel loop that
meet at one byte raise an error which names the kernel and the statement.

Values are computed by the evaluators of the opcode rows; the lanes of a vector loop are a NumPy array. Sums have the
order of the generated code; a product added with one rounding there may be rounded twice here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Union

import numpy as np

from xlac.errors import CompileError, EvaluateError
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.opcode import OPCODES
from xlac.ir.ops.elementwise import convert_values
from xlac.ir.shape import S64, ArrayShape, ElementType
from xlac.loop.elemental import monoid_identity
from xlac.loop.ir import (
    Accumulate,
    Apply,
    Assign,
    Atom,
    Buffer,
    Const,
    Copy,
    FloorDiv,
    For,
    FromIndex,
    FromValue,
    HostCall,
    If,
    Index,
    InRange,
    Kernel,
    Load,
    Loop,
    Program,
    Read,
    Register,
    Statement,
    Step,
    Store,
    Switch,
    Transpose,
    Value,
    Var,
    While,
    statements,
)
from xlac.loop.printer import statement_text

Number = Union[int, np.ndarray]  # of one lane, or of all
NOBODY = -1


def interpret(program: Program, arrays: Sequence[np.ndarray], donated: Iterable[int] = ()) -> list[np.ndarray]:
    """The results of a planned program for the arrays of its parameters.

    Args:
      program: a program whose buffers have places.
      arrays: one for each parameter, of its element type and size, in any shape; they are not changed.
      donated: the parameters that the program may write to, besides those that results take the memory of.

    Returns:
      One flat array for each result.

    Raises:
      CompileError: the program does what generated code must not do; the message names the kernel and statement.
      EvaluateError: the arrays are not what the program takes.
    """
    return Interpreter(program, arrays, donated).run()


class Memory:
    """A block of bytes. `owner` has for each byte the number of the buffer that wrote it last, `NOBODY` at first;
    `writer` and `reader` the iteration of the running parallel loop that wrote or read it, `NOBODY` if none did and -2
    if several read it."""

    def __init__(self, size: int, writable: bool = True) -> None:
        self.data = np.zeros(size, np.uint8)
        self.owner = np.full(size, NOBODY, np.int64)
        self.writable = writable
        self.writer: np.ndarray | None = None
        self.reader: np.ndarray | None = None

    def begin_parallel(self) -> None:
        if self.writer is None:
            self.writer = np.full(self.data.size, NOBODY, np.int64)
            self.reader = np.full(self.data.size, NOBODY, np.int64)

    def end_parallel(self) -> None:
        self.writer = self.reader = None


class View:
    """A buffer's elements in memory, with the bookkeeping of each of their bytes."""

    def __init__(self, buffer: Buffer, memory: Memory, start: int, number: int) -> None:
        self.buffer, self.memory, self.number = buffer, memory, number
        self.part = slice(start, start + buffer.bytes)
        self.data = memory.data[self.part].view(buffer.element_type.dtype)
        self.owner = self.by_element(memory.owner)

    def by_element(self, per_byte: np.ndarray) -> np.ndarray:
        return per_byte[self.part].reshape(self.buffer.size, self.buffer.element_type.dtype.itemsize)


class Interpreter:
    """One run of a program."""

    def __init__(self, program: Program, arrays: Sequence[np.ndarray], donated: Iterable[int]) -> None:
        if len(arrays) != len(program.parameters):
            raise EvaluateError(f"{program.name} takes {len(program.parameters)} arrays, got {len(arrays)}")
        self.program = program
        self.memories: dict[Buffer, Memory] = {}
        self.views: dict[Buffer, View] = {}
        self.numbers: dict[Buffer, int] = {}
        self.arena = Memory(program.arena_bytes)
        self.constants: dict[Const, np.ndarray] = {}
        writable = {*donated, *program.aliases.values()}
        for buffer, array in zip(program.parameters, arrays):
            if array.dtype != buffer.element_type.dtype or array.size != buffer.size:
                raise EvaluateError(f"{buffer.name} is {array.dtype} of {array.size} elements; it must be {buffer}")
            self.fill(buffer, array, buffer.number in writable)
        for buffer in program.constants:
            assert buffer.literal is not None
            self.fill(buffer, buffer.literal, False)
        for buffer in program.results:
            if buffer.merged is None:
                self.memories[buffer] = Memory(buffer.bytes)

    def run(self) -> list[np.ndarray]:
        self.steps(self.program.steps)
        results = []
        for buffer in self.program.results:
            if buffer.resolve().space not in ("result", "parameter"):
                raise CompileError(f"{self.program.name}: {buffer} is in {buffer.resolve()}")
            view = self.view(buffer)
            self.check_written(view, slice(None), f"{self.program.name}: at the end, {buffer.name}")
            results.append(view.data.copy())
        return results

    # ---- memory

    def fill(self, buffer: Buffer, array: np.ndarray, writable: bool) -> None:
        memory = self.memories[buffer] = Memory(buffer.bytes, writable)
        memory.data[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        memory.owner[:] = self.number(buffer)

    def number(self, buffer: Buffer) -> int:
        return self.numbers.setdefault(buffer.resolve(), len(self.numbers))

    def name(self, number: int) -> str:
        return next(b.name for b, n in self.numbers.items() if n == number)

    def view(self, buffer: Buffer) -> View:
        found = self.views.get(buffer)
        if found is None:
            home = buffer.resolve()
            if home.bytes != buffer.bytes:
                raise CompileError(f"{self.program.name}: {buffer} is merged with {home}, which has another size")
            if home.space == "temp":
                if buffer.bytes and not 0 <= home.offset <= self.arena.data.size - home.bytes:
                    raise CompileError(f"{self.program.name}: {home} at {home.offset} is not inside the arena")
                memory, start = self.arena, max(home.offset, 0)
            else:
                if home.space == "local" and home not in self.memories:
                    self.memories[home] = Memory(home.bytes)
                memory, start = self.memories[home], 0
            found = self.views[buffer] = View(buffer, memory, start, self.number(buffer))
        return found

    def check_written(self, view: View, which: Any, what: str) -> None:
        """Raise unless the bytes of some elements hold what this very buffer wrote."""
        owner = view.owner[which]
        wrong = owner != view.number
        if wrong.any():
            places = np.arange(view.buffer.size)[which]
            place = np.broadcast_to(places, owner.shape[:-1]).reshape(-1)[wrong.any(axis=-1).argmax()]
            other = owner[wrong][0]
            why = "was never written" if other == NOBODY else f"was overwritten by {self.name(other)}"
            raise CompileError(f"{what}: element {place} of {view.buffer.name} {why}")

    # ---- steps

    def steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, Kernel):
                KernelRun(self, step).run()
            elif isinstance(step, Copy):
                self.copy(step)
            elif isinstance(step, While):
                self.steps(step.condition)
                while self.scalar(step.test):
                    self.steps(step.body)
                    self.steps(step.condition)
            elif isinstance(step, HostCall):
                self.host_call(step)
            else:
                assert isinstance(step, Switch)
                self.switch(step)

    def scalar(self, buffer: Buffer) -> Any:
        view = self.view(buffer)
        self.check_written(view, slice(0, 1), f"{self.program.name}: a choice")
        return view.data[0]

    def switch(self, step: Switch) -> None:
        chosen = self.scalar(step.selector)
        if step.selector.element_type.kind == "p":
            number = 0 if chosen else 1
        else:
            number = int(chosen) if 0 <= chosen < len(step.branches) else len(step.branches) - 1
        self.steps(step.branches[number])

    def copy(self, copy: Copy) -> None:
        if copy.source.resolve() is copy.target.resolve() or not copy.target.bytes:
            return
        what = f"{self.program.name}: copy {copy.target.name} = {copy.source.name}"
        source, target = self.view(copy.source), self.view(copy.target)
        if copy.source.bytes != copy.target.bytes:
            raise CompileError(f"{what}: {copy.source.bytes} bytes to {copy.target.bytes}")
        apart = abs(source.part.start - target.part.start)
        if source.memory is target.memory and apart < copy.target.bytes:
            raise CompileError(f"{what}: they overlap")
        self.check_written(source, slice(None), what)
        self.put(target, slice(None), source.data.view(target.data.dtype), what)

    def put(self, view: View, which: Any, data: np.ndarray, what: str) -> None:
        if not view.memory.writable:
            raise CompileError(f"{what}: it writes to {view.buffer.resolve()}, which must not change")
        view.data[which] = data
        view.owner[which] = view.number

    def host_call(self, step: HostCall) -> None:
        what = f"{self.program.name}: host {step.name}"
        arrays = []
        for buffer, shape in zip(step.operands, step.operand_shapes):
            view = self.view(buffer)
            self.check_written(view, slice(None), what)
            arrays.append(view.data.copy().reshape(shape.dims))
        for buffer, shape, result in zip(step.results, step.result_shapes, step.function(*arrays)):
            if result.shape != shape.dims or result.dtype != buffer.element_type.dtype:
                raise CompileError(f"{what}: it gives {result.dtype}{list(result.shape)}, not {shape}")
            self.put(self.view(buffer), slice(None), result.reshape(-1), what)


def unspecified(element_type: ElementType) -> np.ndarray:
    """What a load gives whose guard is false: something that should not be in a result."""
    if element_type.kind == "p":
        return np.asarray(True)
    if element_type.is_integer:
        return np.asarray(85 if element_type.bits >= 8 else 1, np.int8).astype(element_type.dtype)
    return np.asarray(np.nan).astype(element_type.dtype)


class KernelRun:
    """One run of a kernel.

    Attributes:
      variables: values of the loop variables around the statement; an array for that of a vector loop.
      registers: their values; an array in a vector loop.
      partial: registers of which the running vector loop accumulates each lane by itself.
      lanes: how many lanes the vector loop has now (fewer in its rest); 0 outside of vector loops.
      unit: the iteration of the parallel loop, or `NOBODY`.
    """

    def __init__(self, program: Interpreter, kernel: Kernel) -> None:
        self.program, self.kernel = program, kernel
        self.variables: dict[Var, Number] = {}
        self.registers: dict[Register, np.ndarray] = {}
        self.partial: dict[Register, np.ndarray] = {}
        self.lanes = 0
        self.unit = NOBODY
        self.statement: Statement | None = None
        self.memo: dict[Value | Index, Any] = {}
        self.locals = {
            view.buffer.resolve()
            for s in statements(kernel.body)
            if isinstance(s, (Store, Transpose)) and s.buffer.resolve().space == "local"
            for view in [program.view(s.buffer)]
        }

    def run(self) -> None:
        self.forget_locals()
        if self.kernel.parallel is None:
            self.body(self.kernel.body)
            return
        # What is on the stack belongs to one iteration.
        memories = [self.program.arena, *(m for b, m in self.program.memories.items() if b.space != "local")]
        (loop,) = self.kernel.body
        assert isinstance(loop, For)
        step = max(loop.width, 1) if loop.kind == "vector" else 1
        for memory in memories:
            memory.begin_parallel()
        for unit, start in enumerate(range(0, loop.var.extent, step)):
            self.unit = unit
            self.registers = {}
            self.forget_locals()
            if step > 1:
                self.vector_part(loop, start, min(step, loop.var.extent - start))
            else:
                self.variables[loop.var] = start
                self.body(loop.body)
        for memory in memories:
            memory.end_parallel()

    def forget_locals(self) -> None:
        for buffer in self.locals:
            self.program.memories[buffer].owner[:] = NOBODY

    def error(self, what: str) -> CompileError:
        text = statement_text(self.statement) if self.statement is not None else ""
        text = text if len(text) <= 300 else f"{text[:300]}..."
        at = ", ".join(f"{v}={self.variables[v]}" for v in self.variables)
        return CompileError(f"kernel {self.kernel.name}: {text}: {what}{f' ({at})' if at else ''}")

    # ---- statements

    def body(self, body: Sequence[Statement]) -> None:
        pending: list[Store] = []
        for statement in body:
            if isinstance(statement, Store):
                pending.append(statement)
                continue
            if pending:
                self.stores(pending)
                pending = []
            self.statement = statement
            self.memo = {}
            if isinstance(statement, For):
                self.loop(statement)
            elif isinstance(statement, Assign):
                self.assign(statement)
            elif isinstance(statement, Accumulate):
                self.accumulate(statement)
            elif isinstance(statement, If):
                self.body(statement.body if self.condition(statement) else statement.otherwise)
            elif isinstance(statement, Loop):
                while self.condition(statement):
                    self.body(statement.body)
            else:
                self.transpose(statement)
        if pending:
            self.stores(pending)

    def condition(self, statement: If | Loop) -> bool:
        self.statement = statement
        self.memo = {}
        value = self.value(statement.condition)
        if value.ndim:
            raise self.error("the condition differs between the lanes")
        return bool(value)

    def loop(self, loop: For) -> None:
        if loop.kind == "vector" and loop.width > 1:
            self.vector_loop(loop)
            return
        for i in range(loop.var.extent):
            self.variables[loop.var] = i
            self.body(loop.body)
        self.variables.pop(loop.var, None)

    def vector_loop(self, loop: For) -> None:
        if self.lanes:
            raise self.error("a vector loop is inside a vector loop")
        accumulated = {
            s.register: s.opcode
            for s in statements(loop.body)
            if isinstance(s, Accumulate) and s.register in self.registers
        }
        for register, opcode in accumulated.items():
            identity = np.asarray(monoid_identity(opcode, register.element_type)).astype(register.element_type.dtype)
            self.partial[register] = np.full(loop.width, identity)
        for start in range(0, loop.var.extent, loop.width):
            self.vector_part(loop, start, min(loop.width, loop.var.extent - start))
        for register, opcode in accumulated.items():
            lanes = self.partial.pop(register)
            while lanes.size > 1:
                half = lanes.size // 2
                lanes = self.combine(opcode, lanes[:half], lanes[half:])
            total = self.combine(opcode, self.registers[register], lanes.reshape(()))
            self.registers[register] = total

    def vector_part(self, loop: For, start: int, lanes: int) -> None:
        """One run of a vector loop's body. Registers that it declares are gone afterwards."""
        outside = set(self.registers)
        self.lanes = lanes
        self.variables[loop.var] = np.arange(start, start + lanes)
        self.body(loop.body)
        self.lanes = 0
        del self.variables[loop.var]
        self.registers = {r: v for r, v in self.registers.items() if r in outside}

    def combine(self, opcode: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(OPCODES[opcode].evaluate(a, b))

    def assign(self, statement: Assign) -> None:
        value, register = self.value(statement.value), statement.register
        old = self.registers.get(register)
        if register in self.partial:
            raise self.error(f"{register.name} is assigned inside the vector loop that accumulates it")
        if old is None:
            shape: tuple[int, ...] = (self.lanes,) if self.lanes else ()
        else:
            shape = old.shape
        if value.ndim > len(shape):
            raise self.error(f"{register.name}, which has one lane, is assigned a value of {value.size}")
        if value.dtype != register.element_type.dtype:
            raise self.error(f"{register.name} is {register.element_type}, the value {value.dtype}")
        self.registers[register] = np.broadcast_to(value, shape)

    def accumulate(self, statement: Accumulate) -> None:
        register = statement.register
        value = self.value(statement.value)
        if register not in self.registers:
            raise self.error(f"{register.name} is accumulated before it is assigned")
        old = self.partial.get(register, self.registers[register])
        before = old[: self.lanes] if register in self.partial else old
        if value.ndim > before.ndim:
            raise self.error(f"{register.name}, which has one lane, accumulates a value of {value.size}")
        if value.dtype != register.element_type.dtype:
            raise self.error(f"{register.name} is {register.element_type}, the value {value.dtype}")
        value = np.broadcast_to(value, before.shape)
        if statement.factor is None:
            after = self.combine(statement.opcode, before, value)
        else:
            factor = np.broadcast_to(self.value(statement.factor), before.shape)
            after = fused_multiply_add(value, factor, before)
        if register in self.partial:
            old[: self.lanes] = after
        else:
            self.registers[register] = after

    def transpose(self, statement: Transpose) -> None:
        view, n, pitch = self.program.view(statement.buffer), statement.size, statement.pitch
        if view.buffer.resolve().space != "local" or pitch < n or (n - 1) * pitch + n > view.buffer.size:
            raise self.error(f"a tile of {n} rows {pitch} apart is not inside {view.buffer}")
        places = pitch * np.arange(n)[:, None] + np.arange(n)
        view.data[places], view.owner[places] = view.data[places.T], view.owner[places.T]

    # ---- loads and stores

    def stores(self, stores: list[Store]) -> None:
        """All values, places and guards first, then the stores."""
        self.memo = {}
        ready = []
        for s in stores:
            self.statement = s
            guard = None if s.guard is None else self.value(s.guard)
            value = self.value(s.value)
            if value.dtype != s.buffer.element_type.dtype:
                raise self.error(f"{s.buffer} is stored a value of {value.dtype}")
            ready.append((s, self.index(s.index), value, guard))
        for s, place, value, guard in ready:
            self.statement = s
            view = self.program.view(s.buffer)
            which, lanes = self.places(view, s.index, place, guard, value)
            if which is None:
                continue
            self.race(view, which, True)
            self.program.put(view, which, value if lanes is None or not value.ndim else value[lanes], "")

    def load(self, v: Load) -> np.ndarray:
        view = self.program.view(v.buffer)
        guard = None if v.guard is None else self.value(v.guard)
        which, lanes = self.places(view, v.index, self.index(v.index), guard)
        if which is None:
            return unspecified(v.element_type)
        owner = view.owner[which]
        if (owner != view.number).any():
            self.program.check_written(view, which, str(self.error("it reads memory without a value")))
        self.race(view, which, False)
        found = np.asarray(view.data[which])
        if lanes is None:
            return found
        result = np.full(self.lanes, unspecified(v.element_type))
        result[lanes] = found
        return result

    def places(
        self, view: View, index: Index, place: Number, guard: np.ndarray | None, value: np.ndarray | None = None
    ) -> tuple[Any, Any]:
        """The elements that an access touches (None for none), and which lanes they belong to (None for all)."""
        lanes = None
        varying = isinstance(place, np.ndarray) or (value is not None and value.ndim)
        if guard is not None and guard.ndim:
            (lanes,) = np.nonzero(guard)
            place = np.broadcast_to(np.asarray(place), guard.shape)[lanes]
            if not lanes.size:
                return None, None
        elif guard is not None and not guard:
            return None, None
        elif varying:
            place = np.broadcast_to(np.asarray(place), (self.lanes,))
        least, greatest = (
            (place, place) if isinstance(place, int) else (int(place.min()), int(place.max()))  # type: ignore[union-attr]
        )
        if least < 0 or greatest >= view.buffer.size:
            bad = least if least < 0 else greatest
            raise self.error(
                f"element {bad} of {view.buffer.name} is touched, which has {view.buffer.size} elements; "
                f"its index is {index}"
            )
        if least < index.low or greatest > index.high:
            raise self.error(f"the index {index} is {least} to {greatest}, known as {index.low} to {index.high}")
        return place, lanes

    def race(self, view: View, which: Any, write: bool) -> None:
        """Note an access of an iteration of a parallel loop, and see that no other iteration is in its way."""
        memory = view.memory
        if write and not memory.writable:
            raise self.error(f"it writes to {view.buffer.resolve()}, which must not change")
        if self.unit == NOBODY or memory.writer is None or memory.reader is None:
            return
        writer, reader = view.by_element(memory.writer), view.by_element(memory.reader)
        touched = writer[which]
        clash = (touched != NOBODY) & (touched != self.unit)
        if write:
            readers = reader[which]
            clash |= (readers != NOBODY) & (readers != self.unit)
            writer[which] = self.unit
        else:
            readers = reader[which]
            reader[which] = np.where((readers == NOBODY) | (readers == self.unit), self.unit, -2)
        if clash.any():
            raise self.error(f"two iterations of the parallel loop meet in {view.buffer.name}")

    # ---- values

    def value(self, v: Value) -> np.ndarray:
        found = self.memo.get(v)
        if found is None:
            found = self.memo[v] = self.compute(v)
        return found

    def compute(self, v: Value) -> np.ndarray:
        if isinstance(v, Const):
            constants = self.program.constants
            found = constants.get(v)
            if found is None:
                found = constants[v] = np.asarray(v.number).astype(v.element_type.dtype)
            return found
        if isinstance(v, Apply):
            return self.apply(v)
        if isinstance(v, Load):
            return self.load(v)
        if isinstance(v, Read):
            if v.register in self.partial:
                raise self.error(f"{v.register.name} is read inside the vector loop that accumulates it")
            if v.register not in self.registers:
                raise self.error(f"{v.register.name} is read before it is assigned")
            return self.registers[v.register]
        place = np.asarray(self.index(v.index), np.int64)  # type: ignore[attr-defined]
        if isinstance(v, FromIndex):
            return np.asarray(convert_values(place, v.element_type))
        assert isinstance(v, InRange)
        return np.asarray((v.low <= place) & (place < v.high))

    def apply(self, v: Apply) -> np.ndarray:
        row = OPCODES[v.opcode]
        args = [self.value(a) for a in v.args]
        if any(a.ndim for a in args):
            args = [a if a.ndim else np.broadcast_to(a, (self.lanes,)) for a in args]
        attrs = dict(v.attrs)
        if row.declared:
            attrs["shape"] = ArrayShape(v.element_type, args[0].shape)
        result = np.asarray(row.evaluate(*args, **attrs))
        if result.dtype != v.element_type.dtype or result.shape != args[0].shape:
            raise self.error(f"{v.opcode} gives {result.dtype}{list(result.shape)}, not {v.element_type}")
        return result

    def index(self, i: Index) -> Number:
        if not i.terms:
            return i.const
        found = self.memo.get(i)
        if found is None:
            total: Number = i.const
            for atom, factor in i.terms:
                total = total + factor * self.atom(atom)
            found = self.memo[i] = total
        return found

    def atom(self, atom: Atom) -> Number:
        if isinstance(atom, Var):
            if atom not in self.variables:
                raise self.error(f"{atom.name} is not a variable of a loop around it")
            return self.variables[atom]
        if isinstance(atom, FromValue):
            value = self.value(atom.value)
            wide = value.astype(np.uint64 if atom.value.element_type.kind == "u" else S64.dtype)
            inside = np.maximum(np.minimum(wide, wide.dtype.type(atom.high)), wide.dtype.type(atom.low))
            return inside.astype(np.int64) if value.ndim else int(inside)
        whole = self.index(atom.index)
        negative = whole < 0
        if atom.index.low >= 0 and np.any(negative):
            raise self.error(f"{atom.index} is {whole}, which is negative")
        # Of a negative index, which nothing may depend on, generated code truncates.
        size = abs(whole)
        sign = 1 - 2 * negative
        return sign * (size // atom.divisor if isinstance(atom, FloorDiv) else size % atom.divisor)


def fused_multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """a * b + c, in more digits than the operands have."""
    wide = np.float64 if a.dtype == np.float32 else np.longdouble
    with np.errstate(all="ignore"):
        return np.asarray(a.astype(wide) * b.astype(wide) + c.astype(wide)).astype(a.dtype)
