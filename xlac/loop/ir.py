"""The loop IR: kernels of parallel, vector and serial loops over flat buffers.

A *program* is a list of steps: kernels, copies, loops and branches over whole steps, calls of the host. A *kernel* is
a tree of statements. Its expressions come in two sorts: *indices*, 64-bit integers that are affine in loop variables,
and *values*, elements of HLO types. Every array lies in a flat row-major buffer, so an access is a buffer and one
index.

A vector loop runs its body for `width` neighbouring values of its variable at once: whatever depends on the variable
is a vector, whatever does not is a scalar. Nodes are immutable and interned, so equal expressions are one object and
are computed once.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Union

import numpy as np

from xlac.ir.shape import S64, ArrayShape, ElementType

# ---- indices

_EMPTY: frozenset[Any] = frozenset()


class Var:
    """A loop variable, which takes the values 0 .. extent-1."""

    __slots__ = ("extent", "name")

    def __init__(self, name: str, extent: int) -> None:
        self.name, self.extent = name, extent

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class FloorDiv:
    """index // divisor, of an index that is not negative."""

    index: Index
    divisor: int


@dataclass(frozen=True)
class Mod:
    """index % divisor, of an index that is not negative."""

    index: Index
    divisor: int


@dataclass(frozen=True)
class FromValue:
    """A value used as an index: an integer clamped to low .. high."""

    value: Value
    low: int
    high: int


Atom = Union[Var, FloorDiv, Mod, FromValue]


class Index:
    """const + sum of coefficient * atom. Interned: equal indices are the same object.

    `variables`, `registers` and `buffers` are those it depends on; `low` and `high` its least and greatest value.
    """

    __slots__ = ("__weakref__", "buffers", "const", "high", "low", "registers", "terms", "variables")
    _interned: dict[tuple, Index] = {}

    def __new__(cls, const: int, terms: tuple[tuple[Atom, int], ...] = ()) -> Index:
        key = (const, terms)
        found = cls._interned.get(key)
        if found is not None:
            return found
        self = super().__new__(cls)
        self.const, self.terms = const, terms
        low = high = const
        self.variables = self.registers = self.buffers = _EMPTY
        for atom, coefficient in terms:
            a, b = atom_range(atom)
            low += min(coefficient * a, coefficient * b)
            high += max(coefficient * a, coefficient * b)
            if isinstance(atom, Var):
                self.variables |= {atom}
            else:
                inner = atom.value if isinstance(atom, FromValue) else atom.index
                self.variables |= inner.variables
                self.registers |= inner.registers
                self.buffers |= inner.buffers
        self.low, self.high = low, high
        cls._interned[key] = self
        return self

    def __add__(self, other: Index | int) -> Index:
        if isinstance(other, int):
            return Index(self.const + other, self.terms)
        if not other.terms:
            return Index(self.const + other.const, self.terms)
        if not self.terms:
            return Index(self.const + other.const, other.terms)
        terms = dict(self.terms)
        for atom, coefficient in other.terms:
            total = terms.get(atom, 0) + coefficient
            if total:
                terms[atom] = total
            else:
                del terms[atom]
        # (x // d) * d*c + (x % d) * c = x * c: what splitting a place into indices took apart
        for atom, coefficient in tuple(terms.items()):
            if isinstance(atom, Mod) and atom in terms:
                quotient = FloorDiv(atom.index, atom.divisor)
                if terms.get(quotient) == coefficient * atom.divisor:
                    del terms[atom], terms[quotient]
                    rest = Index(self.const + other.const, tuple(terms.items()))
                    return rest + atom.index * coefficient
        return Index(self.const + other.const, tuple(terms.items()))

    def __mul__(self, factor: int) -> Index:
        if factor == 1:
            return self
        if factor == 0:
            return ZERO
        return Index(self.const * factor, tuple((a, c * factor) for a, c in self.terms))

    def __sub__(self, other: Index | int) -> Index:
        return self + (-other if isinstance(other, int) else other * -1)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text({})

    def text(self, names: dict[Value | Index, str]) -> str:
        """The index as text, with `names` in place of the values in it that have one."""
        parts = [f"{c}*{atom_text(a, names)}" if c != 1 else atom_text(a, names) for a, c in self.terms]
        if self.const or not parts:
            parts.append(str(self.const))
        return " + ".join(parts)

    def coefficient(self, variable: Var) -> int:
        """The factor of `variable` itself (its part inside divisions and moduli not counted)."""
        return next((c for a, c in self.terms if a is variable), 0)

    def floordiv(self, divisor: int) -> Index:
        """self // divisor, for an index that is not negative."""
        if divisor == 1:
            return self
        if self.low >= 0 and self.high < divisor:
            return ZERO
        whole, rest = self._split(divisor)
        if rest.low < 0:
            return Index(0, ((FloorDiv(self, divisor), 1),))
        if rest.high < divisor:
            return whole
        return whole + Index(0, ((FloorDiv(rest, divisor), 1),))

    def mod(self, divisor: int) -> Index:
        """self % divisor, for an index that is not negative."""
        if divisor == 1:
            return ZERO
        if self.low >= 0 and self.high < divisor:
            return self
        _, rest = self._split(divisor)
        if 0 <= rest.low and rest.high < divisor:
            return rest
        if rest.low >= 0:
            return Index(0, ((Mod(rest, divisor), 1),))
        return Index(0, ((Mod(self, divisor), 1),))

    def _split(self, divisor: int) -> tuple[Index, Index]:
        """whole, rest with self = whole * divisor + rest, by terms."""
        whole = Index(self.const // divisor, tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0))
        rest = Index(self.const % divisor, tuple((a, c) for a, c in self.terms if c % divisor))
        return whole, rest


ZERO = Index(0)


def index(what: Var | FromValue | int) -> Index:
    """A variable, a value or a number as an index."""
    if isinstance(what, int):
        return Index(what)
    if isinstance(what, Var) and what.extent == 1:
        return ZERO
    return Index(0, ((what, 1),))


def atom_range(atom: Atom) -> tuple[int, int]:
    """Least and greatest value of an atom."""
    if isinstance(atom, Var):
        return 0, atom.extent - 1
    if isinstance(atom, FloorDiv):
        return atom.index.low // atom.divisor, atom.index.high // atom.divisor
    if isinstance(atom, Mod):
        return 0, min(atom.divisor - 1, atom.index.high)
    return atom.low, atom.high


def atom_text(atom: Atom, names: dict[Value | Index, str]) -> str:
    if isinstance(atom, Var):
        return atom.name
    if isinstance(atom, FromValue):
        return f"clamp({names.get(atom.value) or atom.value.text(names)}, {atom.low}, {atom.high})"
    sign = "//" if isinstance(atom, FloorDiv) else "%"
    return f"(({names.get(atom.index) or atom.index.text(names)}) {sign} {atom.divisor})"


# ---- buffers and registers


@dataclass(eq=False)
class Buffer:
    """A flat array.

    `space` is "parameter", "constant", "result", "temp" (in the arena), or "local" (on the stack of the kernel that
    uses it). `number` counts within parameters, constants and results; `offset` is the place in the arena. A buffer
    merged with another by the buffer plan has `merged` set to it. A view reads another buffer's bytes as another
    type.
    """

    name: str
    element_type: ElementType
    size: int
    space: str = "temp"
    number: int = -1
    offset: int = -1
    merged: Buffer | None = None
    literal: np.ndarray | None = None

    @property
    def bytes(self) -> int:
        return self.size * self.element_type.dtype.itemsize

    def resolve(self) -> Buffer:
        """The buffer this one was merged into, at the end of the chain."""
        buffer = self
        while buffer.merged is not None:
            buffer = buffer.merged
        return buffer

    def __repr__(self) -> str:
        return f"{self.name}: {self.element_type}[{self.size}] {self.space}"


@dataclass(eq=False)
class Register:
    """A mutable scalar of a kernel (a vector inside a vector loop)."""

    name: str
    element_type: ElementType


# ---- values


class Value:
    """An element of an HLO type. Interned: equal values are the same object.

    Attributes:
      element_type: its type.
      variables: the loop variables it depends on.
      registers: the registers it reads.
      buffers: the buffers it loads from.
    """

    __slots__ = ("buffers", "element_type", "registers", "variables")
    element_type: ElementType
    variables: frozenset[Var]
    registers: frozenset[Register]
    buffers: frozenset[Buffer]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return self.text({})

    def text(self, names: dict[Value | Index, str]) -> str:
        """The value as text, with `names` in place of the operands that have one."""
        raise NotImplementedError


_values: dict[tuple, Value] = {}


def clear_interned() -> None:
    """Forget interned nodes; programs built before stay valid but share nothing with those built after."""
    _values.clear()
    Index._interned.clear()
    Index._interned[(0, ())] = ZERO


class Const(Value):
    """A number. `bits` distinguishes -0.0 from 0.0 and one NaN from another."""

    __slots__ = ("number",)
    number: Any

    def text(self, names: dict[Value | Index, str]) -> str:
        return str(self.number)


class Load(Value):
    """buffer[index]; where `guard` is given and false, nothing is read and the value is unspecified but harmless."""

    __slots__ = ("buffer", "guard", "index")
    buffer: Buffer
    index: Index
    guard: Value | None

    def text(self, names: dict[Value | Index, str]) -> str:
        guard = "" if self.guard is None else f" if {names.get(self.guard) or self.guard.text(names)}"
        return f"{self.buffer.resolve().name}[{self.index.text(names)}{guard}]"


class Apply(Value):
    """An elementwise HLO opcode of values, with its attributes."""

    __slots__ = ("args", "attrs", "opcode")
    opcode: str
    args: tuple[Value, ...]
    attrs: tuple[tuple[str, Any], ...]

    def text(self, names: dict[Value | Index, str]) -> str:
        attrs = "".join(f", {k}={v}" for k, v in self.attrs if v is not None)
        kind = f".{self.element_type}" if self.opcode in ("convert", "bitcast-convert") else ""
        args = ", ".join(names.get(a) or a.text(names) for a in self.args)
        return f"{self.opcode}{kind}({args}{attrs})"


class FromIndex(Value):
    """An index as a number of some type, converted as HLO's convert does."""

    __slots__ = ("index",)
    index: Index

    def text(self, names: dict[Value | Index, str]) -> str:
        return f"{self.element_type}({self.index.text(names)})"


class InRange(Value):
    """pred: low <= index < high."""

    __slots__ = ("high", "index", "low")
    index: Index
    low: int
    high: int

    def text(self, names: dict[Value | Index, str]) -> str:
        return f"({self.low} <= {self.index.text(names)} < {self.high})"


class Read(Value):
    """The current value of a register."""

    __slots__ = ("register",)
    register: Register

    def text(self, names: dict[Value | Index, str]) -> str:
        return self.register.name


def _fill(
    node: Value, element_type: ElementType, variables: frozenset, registers: frozenset, buffers: frozenset
) -> None:
    node.element_type, node.variables, node.registers, node.buffers = element_type, variables, registers, buffers


def const(element_type: ElementType, number: Any) -> Const:
    array = np.asarray(number, element_type.dtype)
    key = ("const", element_type, array.tobytes())
    node = _values.get(key)
    if node is None:
        node = _values[key] = Const()
        _fill(node, element_type, _EMPTY, _EMPTY, _EMPTY)
        value = array[()]
        node.number = value.item() if element_type.bits >= 32 or element_type.kind != "f" else float(value)
    return node  # type: ignore[return-value]


def load(buffer: Buffer, at: Index, guard: Value | None = None) -> Value:
    """buffer[at], under a guard; what a guard never allows is a zero, since the buffer may have no elements at all."""
    if isinstance(guard, Const):
        if not guard.number:
            return const(buffer.element_type, 0)
        guard = None
    key = ("load", buffer, at, guard)
    node = _values.get(key)
    if node is None:
        node = _values[key] = Load()
        variables, registers, buffers = at.variables, at.registers, at.buffers
        if guard is not None:
            variables, registers, buffers = (
                variables | guard.variables,
                registers | guard.registers,
                buffers | guard.buffers,
            )
        _fill(node, buffer.element_type, variables, registers, buffers | {buffer})
        node.buffer, node.index, node.guard = buffer, at, guard
    return node


def apply(opcode: str, element_type: ElementType, *args: Value, **attrs: Any) -> Apply:
    key = ("apply", opcode, element_type, args, tuple(attrs.items()))
    node = _values.get(key)
    if node is None:
        node = _values[key] = Apply()
        _fill(
            node,
            element_type,
            frozenset().union(*(a.variables for a in args)),
            frozenset().union(*(a.registers for a in args)),
            frozenset().union(*(a.buffers for a in args)),
        )
        node.opcode, node.args, node.attrs = opcode, args, tuple(attrs.items())
    return node  # type: ignore[return-value]


def from_index(at: Index, element_type: ElementType = S64) -> FromIndex:
    key = ("from_index", at, element_type)
    node = _values.get(key)
    if node is None:
        node = _values[key] = FromIndex()
        _fill(node, element_type, at.variables, at.registers, at.buffers)
        node.index = at
    return node  # type: ignore[return-value]


def in_range(at: Index, low: int, high: int) -> Value:
    """Whether low <= at < high; a constant where that is known."""
    from xlac.ir.shape import PRED

    if low <= at.low and at.high < high:
        return const(PRED, True)
    if at.high < low or at.low >= high or low >= high:
        return const(PRED, False)
    key = ("in_range", at, low, high)
    node = _values.get(key)
    if node is None:
        node = _values[key] = InRange()
        _fill(node, PRED, at.variables, at.registers, at.buffers)
        node.index, node.low, node.high = at, low, high
    return node


def read(register: Register) -> Read:
    key = ("read", register)
    node = _values.get(key)
    if node is None:
        node = _values[key] = Read()
        _fill(node, register.element_type, _EMPTY, frozenset((register,)), _EMPTY)
        node.register = register
    return node  # type: ignore[return-value]


# ---- statements


@dataclass(eq=False)
class For:
    """Run `body` for each value of `var`; with `kind` "vector", for `width` values at once."""

    var: Var
    body: list[Statement]
    kind: str = "serial"
    width: int = 1


@dataclass(eq=False)
class Store:
    """buffer[index] = value, where `guard`, if given, is true. Neighbouring stores compute all their values first."""

    buffer: Buffer
    index: Index
    value: Value
    guard: Value | None = None


@dataclass(eq=False)
class Assign:
    """register = value. The first assignment of a register, outside of the loops that change it, declares it."""

    register: Register
    value: Value


@dataclass(eq=False)
class Accumulate:
    """register = opcode(register, value) for a commutative, associative opcode.

    In a vector loop inside the register's scope, each lane accumulates by itself from the opcode's identity, and the
    lanes are combined after the loop in a fixed order. With `factor`, the value is value * factor, added with one
    rounding.
    """

    register: Register
    opcode: str
    value: Value
    factor: Value | None = None


@dataclass(eq=False)
class If:
    """Run `body` if the condition, which does not depend on a vector loop's variable, holds, else `otherwise`."""

    condition: Value
    body: list[Statement]
    otherwise: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class Loop:
    """Run `body` while `condition`, computed anew before each run from registers and buffers, holds."""

    condition: Value
    body: list[Statement]


@dataclass(eq=False)
class Transpose:
    """Exchange the rows and columns of a square tile of `size` in a buffer on the stack, whose rows are `pitch`
    apart."""

    buffer: Buffer
    size: int
    pitch: int


Statement = Union[For, Store, Assign, Accumulate, If, Loop, Transpose]

# ---- steps


@dataclass(eq=False)
class Kernel:
    """A nest of loops that is called as one function.

    With `parallel`, which is the variable of its one outermost loop, the iterations of that loop run in any order and
    on any thread; `grain` is the least number of them worth a thread.
    """

    name: str
    body: list[Statement]
    parallel: Var | None = None
    grain: int = 1
    contract: bool = False

    @property
    def template(self) -> Kernel:
        """The kernel whose code this one shares: itself, unless it is a `SharedKernel`."""
        return self

    def own(self, buffer: Buffer) -> Buffer:
        """The buffer that this kernel uses where its template uses `buffer`."""
        return buffer

    @functools.cached_property
    def buffers(self) -> tuple[dict[Buffer, None], dict[Buffer, None]]:
        """The buffers it loads from and those it stores to, in order, local ones included."""
        loaded: dict[Buffer, None] = {}
        stored: dict[Buffer, None] = {}
        for statement in statements(self.body):
            loaded.update((x.buffer, None) for x in loads(statement_values(statement)))
            if isinstance(statement, (Store, Transpose)):
                stored[statement.buffer] = None
        return loaded, stored


class SharedKernel(Kernel):
    """A kernel that does to other buffers what its template does; it has statements of its own only when asked."""

    def __init__(self, name: str, template: Kernel, buffers: dict[Buffer, Buffer]) -> None:
        self.name, self.parallel, self.grain = name, template.parallel, template.grain
        self.contract = template.contract
        self._template, self._own = template, buffers

    @property
    def template(self) -> Kernel:
        return self._template

    def own(self, buffer: Buffer) -> Buffer:
        return self._own.get(buffer, buffer)

    @functools.cached_property
    def body(self) -> list[Statement]:  # type: ignore[override]
        from xlac.loop.rewrite import Rewriter

        return Rewriter(lambda i: i, buffer=self.own).body(self._template.body)

    @functools.cached_property
    def buffers(self) -> tuple[dict[Buffer, None], dict[Buffer, None]]:
        loaded, stored = ({self.own(b): None for b in found} for found in self._template.buffers)
        return loaded, stored


@dataclass(eq=False)
class Copy:
    """target[:] = source[:]. It vanishes where the buffer plan makes them one."""

    source: Buffer
    target: Buffer


@dataclass(eq=False)
class While:
    """Run `condition`; while the pred in `test` is true then, run `body` and `condition` again."""

    condition: list[Step]
    test: Buffer
    body: list[Step]


@dataclass(eq=False)
class Switch:
    """Run the branch that the number in `selector` chooses: false and out-of-range numbers take the last."""

    selector: Buffer
    branches: list[list[Step]]


@dataclass(eq=False)
class HostCall:
    """Call `function`, which is Python, on the operands' arrays and put the arrays it returns into the results.

    It is the way to compute what has no code of its own. `number` counts within a program; `operand_shapes` and
    `result_shapes` say how the flat buffers are seen. If the function raises, the program ends.
    """

    name: str
    function: Callable[..., list[np.ndarray]]
    operands: list[Buffer]
    results: list[Buffer]
    operand_shapes: list[ArrayShape]
    result_shapes: list[ArrayShape]
    number: int = -1


Step = Union[Kernel, Copy, While, Switch, HostCall]


@dataclass(eq=False)
class Program:
    """Steps over buffers. `aliases` maps a result's number to the parameter whose memory it takes."""

    name: str
    parameters: list[Buffer]
    results: list[Buffer]
    constants: list[Buffer]
    steps: list[Step]
    host_calls: list[HostCall] = field(default_factory=list)
    arena_bytes: int = 0
    aliases: dict[int, int] = field(default_factory=dict)


# ---- walks


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """Every statement, outer before inner."""
    for statement in body:
        yield statement
        if isinstance(statement, (For, Loop)):
            yield from statements(statement.body)
        elif isinstance(statement, If):
            yield from statements(statement.body)
            yield from statements(statement.otherwise)


def statement_values(statement: Statement) -> list[Value]:
    """The values a statement itself computes, those inside its index included."""
    if isinstance(statement, Store):
        extra = [] if statement.guard is None else [statement.guard]
        return [statement.value, *extra, *_index_values(statement.index)]
    if isinstance(statement, Assign):
        return [statement.value]
    if isinstance(statement, Accumulate):
        return [statement.value] if statement.factor is None else [statement.value, statement.factor]
    if isinstance(statement, (If, Loop)):
        return [statement.condition]
    return []


def loads(values: Iterable[Value]) -> Iterator[Load]:
    """Every load among the values, each once."""
    seen: set[Value] = set()
    stack = list(values)
    while stack:
        node = stack.pop()
        if node in seen or not node.buffers:
            continue
        seen.add(node)
        if isinstance(node, Load):
            yield node
        stack.extend(operands(node))


def operands_first(value: Value, known: Container[Value] = ()) -> list[Value]:
    """The value and all it is computed from, operands before users, but for those in `known` and what only they
    need."""
    order: list[Value] = []
    done: set[Value] = set()
    stack = [(value, False)]
    while stack:
        node, leaving = stack.pop()
        if leaving:
            order.append(node)
        elif node not in done and node not in known:
            done.add(node)
            stack.append((node, True))
            stack.extend((o, False) for o in reversed(operands(node)))
    return order


def operands(value: Value) -> list[Value]:
    """The values that a value is computed from, those inside its index included."""
    if isinstance(value, Apply):
        return list(value.args)
    if isinstance(value, Load):
        inner = _index_values(value.index)
        return inner if value.guard is None else [*inner, value.guard]
    if isinstance(value, (FromIndex, InRange)):
        return _index_values(value.index)
    return []


def _index_values(index: Index) -> list[Value]:
    """The values inside an index."""
    found: dict[Value, None] = {}
    seen = {index}
    stack = [index]
    while stack:
        for atom, _ in stack.pop().terms:
            if isinstance(atom, FromValue):
                found[atom.value] = None
            elif isinstance(atom, (FloorDiv, Mod)) and atom.index not in seen:
                seen.add(atom.index)
                stack.append(atom.index)
    return list(found)
