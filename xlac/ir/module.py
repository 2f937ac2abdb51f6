"""Instructions, computations and modules: the graph every stage works on.

An instruction names its operands; a computation is an unordered graph with a root; a module is the set of
computations that can be reached from its entry. Shape rules live in the opcode table, text forms in `xlac/text`,
checks in `verify.py`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

from xlac.errors import VerifyError
from xlac.ir.opcode import Kind, Opcode, op
from xlac.ir.shape import Shape


class Instruction:
    """One operation: an opcode row, a shape, operands and attributes.

    Attributes:
      name: unique within its computation, given when it is added to one.
      opcode: the row of the opcode table.
      shape: the shape of the result.
      operands: the instructions it reads; change them with `Computation.replace` or `set_operand`.
      attrs: the attributes the row declares, complete with defaults; read one as `instruction["dimensions"]`.
      users: the instructions of its computation that read it, in the order they were added.
      parent: its computation, or None.
      metadata: where it came from: op_name, source_file, source_line, ...
      extras: attributes every opcode may have, as text: sharding, frontend_attributes, backend_config, ...
      control_predecessors: instructions that must run before it.
    """

    __slots__ = (
        "_predecessors",
        "attrs",
        "extras",
        "metadata",
        "name",
        "opcode",
        "operands",
        "parent",
        "shape",
        "users",
    )

    def __init__(
        self,
        opcode: Opcode,
        shape: Shape,
        operands: Iterable[Instruction] = (),
        attrs: dict[str, Any] | None = None,
        name: str = "",
    ) -> None:
        self.name = name
        self.opcode = opcode
        self.shape = shape
        self.operands: tuple[Instruction, ...] = tuple(operands)
        self.attrs: dict[str, Any] = {} if attrs is None else attrs
        self.users: dict[Instruction, None] = {}
        self.parent: Computation | None = None
        self.metadata: dict[str, Any] | None = None
        self.extras: dict[str, str] | None = None
        self._predecessors: tuple[Instruction, ...] = ()

    @property
    def control_predecessors(self) -> tuple[Instruction, ...]:
        return self._predecessors

    @control_predecessors.setter
    def control_predecessors(self, instructions: tuple[Instruction, ...]) -> None:
        self._predecessors = instructions
        if instructions and self.parent is not None:
            self.parent._ordered = True

    def __getitem__(self, attribute: str) -> Any:
        return self.attrs[attribute]

    def __repr__(self) -> str:
        operands = ", ".join(x.name for x in self.operands)
        return f"<{self.name or '?'} = {self.shape} {self.opcode.name}({operands})>"

    def is_a(self, *names: str) -> bool:
        """Whether the opcode is one of `names` (HLO text names)."""
        return self.opcode.name in names

    @property
    def dims(self) -> tuple[int, ...]:
        return self.shape.dims  # type: ignore[union-attr]

    @property
    def is_root(self) -> bool:
        return self.parent is not None and self.parent.root is self

    @property
    def called(self) -> tuple[Computation, ...]:
        """The computations this instruction calls, in the order of its attributes."""
        if not self.opcode.has_regions:
            return ()
        result: list[Computation] = []
        for name, attr in self.opcode.attrs.items():
            value = self.attrs.get(name)
            if value is None:
                continue
            if attr.kind is Kind.COMPUTATION:
                result.append(value)
            elif attr.kind is Kind.COMPUTATIONS:
                result.extend(value)
        return tuple(result)

    def set_operand(self, index: int, new: Instruction) -> None:
        """Make operand `index` read `new`, which is in the same computation."""
        old = self.operands[index]
        self.operands = (*self.operands[:index], new, *self.operands[index + 1 :])
        if old not in self.operands:
            old.users.pop(self, None)
        new.users[self] = None

    def clone(self, operands: Iterable[Instruction] | None = None) -> Instruction:
        """A copy that is in no computation, with other operands if given; called computations are shared."""
        copy = Instruction(
            self.opcode, self.shape, self.operands if operands is None else operands, dict(self.attrs), self.name
        )
        copy.metadata, copy.extras = self.metadata, self.extras
        return copy


class Computation:
    """A graph of instructions with numbered parameters and a root."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.root: Instruction = None  # type: ignore[assignment]
        self.parameters: list[Instruction] = []
        self._instructions: dict[Instruction, None] = {}
        self._names: dict[str, Instruction] = {}
        self._counts: dict[str, int] = {}
        self.extras: dict[str, str] = {}
        self._ordered = False  # whether any instruction has had control predecessors

    def __repr__(self) -> str:
        return f"<computation {self.name}, {len(self._instructions)} instructions>"

    def __len__(self) -> int:
        return len(self._instructions)

    def __iter__(self) -> Iterator[Instruction]:
        return iter(self.post_order())

    @property
    def shape(self) -> Shape:
        return self.root.shape

    def add(self, instruction: Instruction, name: str = "") -> Instruction:
        """Put an instruction, and those of its operands that are in no computation yet, into this one; return it.

        The last instruction added becomes the root unless `root` is set afterwards.
        """
        stack = [instruction]
        while stack:
            top = stack[-1]
            if top.parent is self:
                stack.pop()
                continue
            if top.parent is not None:
                raise VerifyError(f"{top.name} belongs to computation {top.parent.name}, not to {self.name}")
            missing = [x for x in top.operands if x.parent is not self]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            self._adopt(top, name if top is instruction else "")
        self.root = instruction
        return instruction

    def _adopt(self, instruction: Instruction, name: str) -> None:
        instruction.name = self._unique(name or instruction.name or instruction.opcode.name)
        instruction.parent = self
        self._instructions[instruction] = None
        self._names[instruction.name] = instruction
        for operand in instruction.operands:
            operand.users[instruction] = None
        if instruction._predecessors:
            self._ordered = True
        if instruction.opcode.name == "parameter":
            insort(self.parameters, instruction, key=lambda p: p.attrs["number"])

    def _unique(self, name: str) -> str:
        if name not in self._names:
            return name
        base, _, tail = name.rpartition(".")
        stem = base if base and tail.isdigit() else name
        count = self._counts.get(stem, 0) + 1
        while f"{stem}.{count}" in self._names:
            count += 1
        self._counts[stem] = count
        return f"{stem}.{count}"

    def parameter(self, shape: Shape, name: str = "") -> Instruction:
        """Add the next parameter."""
        number = len(self.parameters)
        return self.add(op.parameter.make(shape=shape, number=number), name or f"arg{number}")

    @property
    def has_control(self) -> bool:
        """Whether any instruction must wait for one that it does not read."""
        return self._ordered and any(i._predecessors for i in self._instructions)

    def find(self, name: str) -> Instruction | None:
        return self._names.get(name)

    def post_order(self) -> list[Instruction]:
        """All instructions, operands and control predecessors before users; the order of addition where it is one.

        Raises:
          VerifyError: the graph has a cycle.
        """
        done: set[Instruction] = set()
        order: list[Instruction] = []
        for start in self._instructions:
            if start in done:
                continue
            if done.issuperset(start.operands) and done.issuperset(start._predecessors):
                done.add(start)
                order.append(start)
                continue
            stack = [start]
            path: set[Instruction] = set()
            while stack:
                top = stack[-1]
                if top in done:
                    stack.pop()
                    continue
                needs = [x for x in (*top.operands, *top._predecessors) if x not in done]
                if not needs:
                    done.add(top)
                    order.append(top)
                    path.discard(top)
                    stack.pop()
                    continue
                if top in path:
                    raise VerifyError(f"{self.name}: instruction {top.name} depends on itself")
                path.add(top)
                stack.extend(needs)
        return order

    def replace(self, old: Instruction, new: Instruction) -> None:
        """Make every user of `old` read `new` instead, and the root too; `old` stays until `remove_dead`."""
        if new.parent is None:
            root = self.root
            self.add(new)
            self.root = root
        for user in old.users:
            user.operands = tuple(new if x is old else x for x in user.operands)
            new.users[user] = None
        old.users = {}
        for instruction in self._instructions if self._ordered else ():
            if old in instruction.control_predecessors:
                instruction.control_predecessors = tuple(
                    new if x is old else x
                    for x in instruction.control_predecessors
                    if x is not old or new is not instruction
                )
        if self.root is old:
            self.root = new

    def remove(self, instruction: Instruction) -> None:
        """Take out an instruction that nothing reads."""
        if instruction.users or instruction is self.root:
            raise VerifyError(f"{instruction.name} is still used and cannot be removed")
        for operand in instruction.operands:
            operand.users.pop(instruction, None)
        del self._instructions[instruction]
        self._names.pop(instruction.name, None)
        instruction.parent = None

    def remove_dead(self, known: dict[Computation, bool] | None = None) -> bool:
        """Remove instructions without effect that the root does not need (parameters stay); return whether any went.

        `known` is as for `is_pure`.
        """
        known = {} if known is None else known
        return self.keep([self.root, *(i for i in self._instructions if not is_pure(i, known))])

    def keep(self, wanted: Iterable[Instruction]) -> bool:
        """Remove all that is neither a parameter nor needed by `wanted`; return whether any went."""
        live: set[Instruction] = set()
        stack = [*wanted, *self.parameters]
        while stack:
            top = stack.pop()
            if top not in live:
                live.add(top)
                stack.extend(top.operands)
                stack.extend(top._predecessors)
        dead = [i for i in self._instructions if i not in live]
        for instruction in dead:
            for operand in instruction.operands:
                operand.users.pop(instruction, None)
            del self._instructions[instruction]
            self._names.pop(instruction.name, None)
            instruction.parent = None
        return bool(dead)

    def clone(self, name: str | None = None) -> Computation:
        """A copy with new instructions; called computations are shared."""
        copy = Computation(name or self.name)
        copy.root = inline(self, copy, None)
        copy.extras = dict(self.extras)
        return copy


def is_pure(instruction: Instruction, known: dict[Computation, bool] | None = None) -> bool:
    """Whether the instruction, its called computations included, has no effect but its result.

    Args:
      known: answers of earlier calls about computations, and those of this one; for a pass, which asks about many.
    """
    row = instruction.opcode
    if not row.pure or instruction.attrs.get("custom_call_has_side_effect"):
        return False
    if not row.has_regions:
        return True
    known = {} if known is None else known
    called = instruction.called
    # Each computation is looked into once, callees first.
    stack = [c for c in called if c not in known]
    while stack:
        computation = stack[-1]
        waiting = [c for i in computation._instructions for c in i.called if c not in known]
        if waiting:
            stack += waiting
        else:
            known[computation] = all(is_pure(i, known) for i in computation._instructions)
            stack.pop()
    return all(known[c] for c in called)


def operands_first(
    roots: Sequence[Instruction],
    known: Container[Instruction],
    operands: Callable[[Instruction], Sequence[Instruction]] | None = None,
) -> Iterator[Instruction]:
    """Each instruction that the roots need and that is not `known`, after its operands.

    The reader puts each into `known` before it asks for the next one. `operands` gives what to look at in place of an
    instruction's own operands.
    """
    stack = list(reversed(roots))
    while stack:
        top = stack[-1]
        if top not in known:
            missing = [x for x in (operands(top) if operands else top.operands) if x not in known]
            if missing:
                stack.extend(reversed(missing))
                continue
            yield top
        stack.pop()


def inline(source: Computation, into: Computation, arguments: Iterable[Instruction] | None) -> Instruction:
    """Copy the instructions of `source` into `into` with `arguments` for its parameters; return the copy of its root.

    With `arguments` None the parameters are copied too. `into`'s root is left as it was.
    """
    root = into.root
    new: dict[Instruction, Instruction] = {}
    if arguments is not None:
        new.update(zip(source.parameters, arguments, strict=True))
    for instruction in source.post_order():
        if instruction not in new:
            copy = instruction.clone(new[x] for x in instruction.operands)
            copy.control_predecessors = tuple(new[x] for x in instruction.control_predecessors)
            new[instruction] = into.add(copy)
    into.root = root
    return new[source.root]


class Module:
    """A program: its entry computation and all it calls.

    Attributes:
      name: the module's name.
      entry: the computation that is run.
      attrs: header attributes as text, such as is_scheduled or input_output_alias.
      donated: parameter numbers whose memory the result may take over.
      uncalled: computations of the text that nothing reaches; they are printed and mean nothing. The entry is among
        them where it stands before one.
    """

    def __init__(self, name: str, entry: Computation, attrs: dict[str, str] | None = None) -> None:
        self.name = name
        self.entry = entry
        self.attrs = dict(attrs or {})
        self.donated: tuple[int, ...] = ()
        self.uncalled: tuple[Computation, ...] = ()

    @property
    def computations(self) -> list[Computation]:
        """Every computation reachable from the entry, callees before callers, the entry last.

        Raises:
          VerifyError: a computation calls itself.
        """
        done: dict[Computation, None] = {}
        stack: list[tuple[Computation, bool]] = [(self.entry, False)]
        path: set[Computation] = set()
        while stack:
            computation, leaving = stack.pop()
            if leaving:
                path.discard(computation)
                done[computation] = None
                continue
            if computation in done:
                continue
            if computation in path:
                raise VerifyError(f"computation {computation.name} calls itself")
            path.add(computation)
            stack.append((computation, True))
            called = [c for i in computation._instructions if i.opcode.has_regions for c in i.called]
            for callee in reversed(called):
                if callee in path:
                    raise VerifyError(f"computation {callee.name} calls itself")
                if callee not in done:
                    stack.append((callee, False))
        return list(done)

    @property
    def parameter_shapes(self) -> list[Shape]:
        return [p.shape for p in self.entry.parameters]

    def verify(self) -> None:
        """Check that every part fits.

        Raises:
          VerifyError: it does not; the message names computation and instruction.
        """
        from xlac.ir.verify import verify

        verify(self)

    def to_string(self, dialect: str = "hlo") -> str:
        """The module as text, "hlo" or "stablehlo"."""
        if dialect == "hlo":
            from xlac.text.hlo_printer import print_module
        elif dialect == "stablehlo":
            from xlac.text.stablehlo_printer import print_module
        else:
            raise ValueError(f"dialect is {dialect!r}; it must be 'hlo' or 'stablehlo'")
        return print_module(self)

    __str__ = to_string

    def clone(self) -> Module:
        """A deep copy: passes may change one without touching the other."""
        copies: dict[Computation, Computation] = {}
        for computation in self.computations:
            copy = computation.clone()
            for instruction in copy._instructions:
                for name, attr in instruction.opcode.attrs.items():
                    value = instruction.attrs.get(name)
                    if attr.kind is Kind.COMPUTATION and value is not None:
                        instruction.attrs[name] = copies[value]
                    elif attr.kind is Kind.COMPUTATIONS and value is not None:
                        instruction.attrs[name] = tuple(copies[c] for c in value)
            copies[computation] = copy
        module = Module(self.name, copies[self.entry], self.attrs)
        module.donated = self.donated
        return module
