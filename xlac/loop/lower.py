"""HLO modules as loop programs: which buffer holds what, and which kernels run in which order.

Every array value gets a buffer; tuples are trees of buffers and cost nothing. Reshapes share their operand's buffer.
Values that must end in a given place (results, loop states) are copied there, and the buffer plan removes the copies
it can.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

import numpy as np

from xlac.errors import CompileError
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import Kind, op
from xlac.ir.shape import PRED, ArrayShape, Shape, TupleShape
from xlac.ir.window import scan_form
from xlac.loop import ir
from xlac.loop.elemental import Storage, has_code
from xlac.loop.fft import schedule_fft
from xlac.loop.host import host_call
from xlac.loop.ir import Buffer, Copy, HostCall, Kernel, Program, SharedKernel, Step, Switch, While
from xlac.loop.scan import schedule_scan
from xlac.loop.scatter import schedule_scatter, schedule_select_and_scatter
from xlac.loop.schedule import Machine, schedule
from xlac.loop.sort import schedule_sort


def lower(module: Module, machine: Machine) -> Program:
    """The program of a module, its buffers not yet placed.

    Raises:
      CompileError: an opcode cannot be compiled; the message names it and the instruction.
    """
    return Lowering(machine).program(module)


# Calls, branches and loops stand in the program once for each place that runs them. Where that makes more instructions
# than the module has, this many more are the most.
MAX_EXPANSION = 250_000


def check_expansion(module: Module) -> None:
    """Refuse a module whose computations, each copied to where it is called, make a program out of all proportion.

    Raises:
      CompileError: they do.
    """
    total: dict[Computation, int] = {}
    written = 0
    for computation in module.computations:  # callees first
        written += len(computation)
        steps = (c for i in computation._instructions if i.opcode.name in _CALLERS for c in i.called)
        total[computation] = len(computation) + sum(total[c] for c in steps)
    most = total[module.entry]
    if most > written + MAX_EXPANSION:
        shown = (
            str(most) if most < 10**12 else f"10^{len(str(most >> 2000)) + 602 if most >> 2000 else len(str(most)) - 1}"
        )
        raise CompileError(
            f"{module.name}: its {written} instructions become {shown} once every call and branch has its own copy; "
            f"at most {MAX_EXPANSION} more than there are can be compiled"
        )


def instruction_key(instruction: Instruction) -> Hashable:
    """Equal for instructions that do the same to operands of the same shapes."""
    rows: list[Hashable] = []
    numbers: dict[Instruction, int] = {}
    inside = instruction["calls"].post_order() if instruction.is_a("fusion") else ()
    for i in (*inside, instruction):
        attrs: list[Hashable] = []
        for name, attr in i.opcode.attrs.items():
            value = i.attrs[name]
            if attr.kind is Kind.LITERAL:
                value = (value.dtype, value.tobytes()) if value.nbytes <= SMALL_LITERAL else id(value)
            if name != "calls":
                attrs.append(value)
        operands = tuple(numbers[x] if i is not instruction else x.shape for x in i.operands)
        numbers[i] = len(rows)
        rows.append((i.opcode, i.shape, operands, tuple(attrs)))
    return tuple(rows), numbers[instruction["calls"].root] if inside else None


def storage_leaves(storage: Storage) -> Iterator[Storage]:
    """The buffers and scalars of a tree, in order."""
    if isinstance(storage, tuple):
        for part in storage:
            yield from storage_leaves(part)
    else:
        yield storage


# Literals of up to this many bytes are compared by their contents, larger ones by identity.
SMALL_LITERAL = 256


class Lowering:
    """The state of one lowering: buffers made so far and the steps of the computation at hand."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.constants: dict[int, Buffer] = {}
        self.steps: list[Step] = []
        self.host_calls: list[HostCall] = []
        # By what an instruction is and how its operands are stored: their storage, the result's, and the steps made.
        self._made: dict[Hashable, tuple[list[Storage], Storage, list[Step]]] = {}
        self._numbers: dict[str, int] = {}
        self._literals: list[np.ndarray] = []

    def name(self, base: str) -> str:
        """A unique name for a buffer or kernel."""
        count = self._numbers.get(base, 0)
        self._numbers[base] = count + 1
        return f"{base}.{count}" if count else base

    def program(self, module: Module) -> Program:
        parameters: list[Buffer] = []
        arguments = [self._parameter(p.shape, p.name, parameters) for p in module.entry.parameters]
        storage = self.computation(module.entry, arguments)
        results: list[Buffer] = []
        for part in storage_leaves(storage):
            source = self.buffer(part, "result")
            result = Buffer(f"result{len(results)}", source.element_type, source.size, "result", len(results))
            results.append(result)
            self.steps.append(Copy(source, result))
        return Program(module.name, parameters, results, list(self.constants.values()), self.steps, self.host_calls)

    def _parameter(self, shape: Shape, name: str, into: list[Buffer]) -> Storage:
        if isinstance(shape, TupleShape):
            return tuple(self._parameter(s, f"{name}.{i}", into) for i, s in enumerate(shape))
        if not isinstance(shape, ArrayShape):
            return ()
        into.append(Buffer(self.name(name), shape.element_type, shape.size, "parameter", len(into)))
        return into[-1]

    def temp(self, shape: Shape, name: str) -> Storage:
        """New buffers for a value of a shape."""
        if isinstance(shape, TupleShape):
            return tuple(self.temp(s, name) for s in shape)
        if not isinstance(shape, ArrayShape):
            return ()
        return Buffer(self.name(name), shape.element_type, shape.size)

    def buffer(self, storage: Storage, name: str) -> Buffer:
        """The buffer of an array; a scalar without memory gets a constant buffer."""
        if isinstance(storage, Buffer):
            return storage
        assert isinstance(storage, ir.Const), storage
        literal = np.asarray(storage.number, storage.element_type.dtype)
        return self.constant(literal, storage.element_type, name)

    def constant(self, literal: np.ndarray, element_type: ir.ElementType, name: str) -> Buffer:
        found = self.constants.get(id(literal))
        if found is None:
            self._literals.append(literal)  # its id stays its own
            found = Buffer(
                self.name(name), element_type, literal.size, "constant", len(self.constants), literal=literal
            )
            self.constants[id(literal)] = found
        return found

    # ---- computations

    def computation(self, computation: Computation, arguments: list[Storage]) -> Storage:
        """Append the steps of a computation; return where its root is."""
        values: dict[Instruction, Storage] = {}
        for instruction in computation.post_order():
            if instruction.is_a("parameter"):
                values[instruction] = arguments[instruction["number"]]
                continue
            operands = [values[x] for x in instruction.operands]
            rule = _RULES.get(instruction.opcode.name)
            if rule is None or rule in _SHARED:
                values[instruction] = self.shared(instruction, operands, rule or Lowering.kernel)
            else:
                values[instruction] = rule(self, instruction, operands)
        return values[computation.root]

    def sub(self, computation: Computation, arguments: list[Storage]) -> tuple[Storage, list[Step]]:
        """The steps of a computation by themselves, and where its root is."""
        outer, self.steps = self.steps, []
        storage = self.computation(computation, arguments)
        steps, self.steps = self.steps, outer
        return storage, steps

    def shared(self, instruction: Instruction, operands: list[Storage], how: Rule) -> Storage:
        """What `how` makes of an instruction; where it made kernels of an equal one before, they lend their code."""
        leaves = [leaf for operand in operands for leaf in storage_leaves(operand)]
        places: dict[Storage, int] = {}
        pattern = tuple(
            places.setdefault(part, len(places)) if isinstance(part, Buffer) else part
            for leaf in leaves
            for part in ((leaf, leaf.resolve()) if isinstance(leaf, Buffer) else (leaf,))
        )
        key = (instruction_key(instruction), pattern)
        found = self._made.get(key)
        if found is None:
            first = len(self.steps)
            result = how(self, instruction, operands)
            steps = self.steps[first:]
            if all(isinstance(step, (Kernel, Copy)) for step in steps):
                self._made[key] = leaves, result, steps
            return result
        before, result, steps = found
        own = {a: b for a, b in zip(before, leaves) if isinstance(a, Buffer) and isinstance(b, Buffer)}

        def mine(storage: Storage) -> Storage:
            if isinstance(storage, tuple):
                return tuple(map(mine, storage))
            if not isinstance(storage, Buffer):
                return storage
            if storage not in own:
                if storage.space in ("constant", "local"):
                    return storage
                whole = None if storage.merged is None else mine(storage.merged)  # a view of other bytes
                own[storage] = Buffer(  # type: ignore[assignment]
                    self.name(instruction.name), storage.element_type, storage.size, merged=whole
                )
            return own[storage]

        for step in steps:
            if isinstance(step, Kernel):
                used = [b for found in step.template.buffers for b in found]
                buffers = {b: mine(step.own(b)) for b in used}
                self.steps.append(SharedKernel(self.name(f"k.{instruction.name}"), step.template, buffers))  # type: ignore[arg-type]
            else:
                assert isinstance(step, Copy)
                source, target = mine(step.source), mine(step.target)
                assert isinstance(source, Buffer) and isinstance(target, Buffer)
                self.steps.append(Copy(source, target))
        return mine(result)

    def kernel(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """One instruction as a kernel."""
        if not has_code(instruction.opcode):
            return self.host(instruction, operands)
        try:
            return self.schedule([instruction], dict(zip(instruction.operands, operands)), instruction)
        except CompileError:  # a computation it applies to elements holds what has no code for single elements
            return self.host(instruction, operands)

    def host(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """An instruction that the host computes."""
        result = self.temp(instruction.shape, instruction.name)
        sources = [self.buffer(part, instruction.name) for part in storage_leaves(tuple(operands))]
        targets = [b for b in storage_leaves(result) if isinstance(b, Buffer)]
        step = host_call(instruction.name, instruction, sources, targets)
        step.number = len(self.host_calls)
        self.host_calls.append(step)
        self.steps.append(step)
        return result

    def fusion(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        computation = instruction["calls"]
        storage = dict(zip(computation.parameters, operands))
        for inner in computation.post_order():
            if inner.is_a("constant"):
                storage[inner] = self.literal(inner)
        root = computation.root
        several = isinstance(root.shape, TupleShape) and root.is_a("tuple")
        try:
            return self.schedule(list(root.operands) if several else [root], storage, instruction)
        except CompileError:  # too much for one kernel
            return self.computation(computation, operands)

    def schedule(self, roots: list[Instruction], storage: dict[Instruction, Storage], named: Instruction) -> Storage:
        """Schedule a kernel for `roots`; several, or one that is a tuple, give a tuple."""
        several = len(roots) > 1 or isinstance(named.shape, TupleShape)
        if len(roots) == 1 and isinstance(roots[0].shape, TupleShape):
            (whole,) = roots
            roots = [op.get_tuple_element.make(whole, index=i) for i in range(len(whole.shape))]
        outputs: list[Buffer] = []
        pending: list[tuple[Instruction, Buffer]] = []
        results: list[Storage] = []
        for root in roots:
            known = storage.get(root)
            if known is not None:
                results.append(known)
                continue
            output = self.temp(root.shape, named.name)
            if not isinstance(output, Buffer):
                raise CompileError(f"{named.name}: {root.opcode.name} of shape {root.shape} cannot be compiled")
            outputs.append(output)
            pending.append((root, output))
            results.append(output)
        pending = [(r, o) for r, o in pending if o.size]
        if pending:
            name = self.name(f"k.{named.name}")
            try:
                self.steps.extend(
                    schedule(name, [r for r, _ in pending], [o for _, o in pending], storage, self.machine)
                )
            except RecursionError:
                raise CompileError(f"{named.name}: it is nested too deeply to compile") from None
        return tuple(results) if several else results[0]

    def window(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """A reduce-window: a running reduction has a schedule, others are computed element by element."""
        scan = scan_form(instruction["window"], instruction.operands[0].dims)
        return (self.kernel if scan is None else self.ordered)(instruction, operands)

    def ordered(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """An instruction whose results are not independent elements: it has a schedule of its own."""
        result = self.temp(instruction.shape, instruction.name)
        outputs = [b for b in storage_leaves(result) if isinstance(b, Buffer)]
        storage = dict(zip(instruction.operands, operands))
        how = _SCHEDULES[instruction.opcode.name]
        if any(o.size for o in outputs):
            try:
                steps = how(self.name(f"k.{instruction.name}"), instruction, outputs, storage, self.machine)
            except (CompileError, RecursionError):
                return self.host(instruction, operands)
            self.steps.extend(steps)
        return result

    def fft(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        source, result = self.buffer(operands[0], instruction.name), self.temp(instruction.shape, instruction.name)
        assert isinstance(result, Buffer)
        if result.size:
            name = self.name(f"k.{instruction.name}")
            self.steps.extend(schedule_fft(name, instruction, source, result, self.machine, self.constant))
        return result

    # ---- instructions without kernels

    def literal(self, instruction: Instruction) -> Storage:
        literal = instruction["literal"]
        if literal.ndim == 0:
            return ir.const(instruction.shape.element_type, literal[()])
        return self.constant(literal, instruction.shape.element_type, instruction.name)

    def call(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        return self.computation(instruction["to_apply"], operands)

    def copies(self, sources: Storage, targets: Storage, name: str) -> None:
        for source, target in zip(storage_leaves(sources), storage_leaves(targets), strict=True):
            assert isinstance(target, Buffer)
            self.steps.append(Copy(self.buffer(source, name), target))

    def while_loop(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """The state has buffers of its own, which the body's results are copied to at its end."""
        (initial,) = operands
        state = self.temp(instruction.shape, instruction.name)
        self.copies(initial, state, instruction.name)
        test, condition = self.sub(instruction["condition"], [state])
        outer, self.steps = self.steps, []
        result = self.computation(instruction["body"], [state])
        pairs = [
            (self.buffer(source, instruction.name), target)
            for source, target in zip(storage_leaves(result), storage_leaves(state), strict=True)
            if source is not target
        ]
        places = set(storage_leaves(state))
        for i, (source, target) in enumerate(pairs):
            if source.resolve() in places:
                # Another part of the state, which its own copy is about to overwrite.
                moved = Buffer(self.name(f"{source.name}.moved"), source.element_type, source.size)
                self.steps.append(Copy(source, moved))
                pairs[i] = (moved, target)
        self.steps.extend(Copy(source, target) for source, target in pairs)
        body, self.steps = self.steps, outer
        flag = self.buffer(test, instruction.name)
        self.steps.append(While(condition, flag, body))
        return state

    def conditional(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        selector, *arguments = operands
        result = self.temp(instruction.shape, instruction.name)
        branches = []
        for computation, argument in zip(instruction["branch_computations"], arguments):
            outer, self.steps = self.steps, []
            self.copies(self.computation(computation, [argument]), result, instruction.name)
            steps, self.steps = self.steps, outer
            branches.append(steps)
        self.steps.append(Switch(self.buffer(selector, instruction.name), branches))
        return result

    def same(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """An instruction whose result is its first operand's memory."""
        (source, *_) = operands
        if isinstance(source, ir.Value) and isinstance(instruction.shape, ArrayShape) and instruction.shape.dims:
            return self.buffer(source, instruction.name)
        return source

    def bitcast_convert(self, instruction: Instruction, operands: list[Storage]) -> Storage:
        """The same bytes read as another type."""
        have, want = instruction.operands[0].shape.element_type, instruction.shape.element_type
        source = operands[0]
        if have.bits != want.bits:
            source = self.buffer(source, instruction.name)
        if PRED in (have, want) or min(have.bits, want.bits) < 8 or not isinstance(source, Buffer):
            return self.kernel(instruction, operands)
        return Buffer(self.name(instruction.name), want, instruction.shape.size, merged=source)


_CALLERS = frozenset(("call", "fusion", "while", "conditional"))

_SCHEDULES = {
    "reduce-window": schedule_scan,
    "scatter": schedule_scatter,
    "select-and-scatter": schedule_select_and_scatter,
    "sort": schedule_sort,
}

Rule = Callable[[Lowering, Instruction, list[Storage]], Storage]
_RULES: dict[str, Rule] = {
    "constant": lambda s, x, _: s.literal(x),
    "tuple": lambda s, x, operands: tuple(operands),
    "get-tuple-element": lambda s, x, operands: operands[0][x["index"]],  # type: ignore[index]
    "reshape": Lowering.same,
    "copy": Lowering.same,
    "opt-barrier": Lowering.same,
    "add-dependency": Lowering.same,
    "after-all": lambda s, x, _: (),
    "fusion": Lowering.fusion,
    "call": Lowering.call,
    "while": Lowering.while_loop,
    "conditional": Lowering.conditional,
    "bitcast-convert": Lowering.bitcast_convert,
    **dict.fromkeys(_SCHEDULES, Lowering.ordered),
    "reduce-window": Lowering.window,
    "fft": Lowering.fft,
}
# Rules that make kernels of one instruction by itself.
_SHARED = (Lowering.fusion, Lowering.ordered, Lowering.window, Lowering.fft)
