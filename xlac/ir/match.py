"""Patterns over instruction graphs, and the rewrite rules made of them.

A pattern is written like the program it matches: `op.transpose(op.transpose(x, name="inner"))`, with `x = Any("x")`. A
rule is a function under a pattern; it gets the matched root and each named part, and returns what the root may be
replaced by.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any as AnyType
from typing import ClassVar

import numpy as np

from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, Opcode, op
from xlac.ir.shape import ArrayShape, ElementType

COMMUTATIVE = frozenset({"add", "multiply", "maximum", "minimum", "and", "or", "xor"})

Bindings = dict[str, Instruction]


class Pattern:
    """A test of an instruction that binds its named parts."""

    def match(self, instruction: Instruction, found: Bindings) -> bool:
        """Whether `instruction` fits; adds to `found` (also, in part, where it does not fit)."""
        raise NotImplementedError

    def names(self) -> set[str]:
        """The names it binds."""
        raise NotImplementedError


class Any(Pattern):
    """Any instruction; the same name twice means the same instruction twice."""

    def __init__(self, name: str) -> None:
        self.name = name

    def match(self, instruction: Instruction, found: Bindings) -> bool:
        return found.setdefault(self.name, instruction) is instruction

    def names(self) -> set[str]:
        return {self.name}


class Constant(Any):
    """A constant instruction."""

    def match(self, instruction: Instruction, found: Bindings) -> bool:
        return instruction.opcode.name == "constant" and super().match(instruction, found)


class Splat(Pattern):
    """A constant scalar, or a broadcast of one: of the exact `value` (the sign of a zero counts), or of any value if
    None."""

    def __init__(self, value: AnyType = None, name: str = "") -> None:
        self.value, self.name = value, name
        self.negative = value is not None and bool(np.signbit(np.float64(value)))

    def match(self, instruction: Instruction, found: Bindings) -> bool:
        value = splat_value(instruction)
        if value is None:
            return False
        if self.value is not None:
            if not value == self.value:
                return False
            if self.value == 0 and is_negative_zero(value) != self.negative:
                return False
        return not self.name or found.setdefault(self.name, instruction) is instruction

    def names(self) -> set[str]:
        return {self.name} if self.name else set()


class Op(Pattern):
    """One of some opcodes, over operand patterns (none: any operands). Commutative opcodes match in both orders."""

    def __init__(self, rows: tuple[Opcode, ...], operands: tuple[Pattern, ...], name: str = "") -> None:
        self.rows, self.operands, self.name = frozenset(rows), operands, name

    def match(self, instruction: Instruction, found: Bindings) -> bool:
        row = instruction.opcode
        if row not in self.rows:
            return False
        if self.operands:
            count = len(self.operands)
            if count != len(instruction.operands):
                return False
            if count == 2 and row.name in COMMUTATIVE:
                (a, b), (first, second) = instruction.operands, self.operands
                before = dict(found)
                if not (first.match(a, found) and second.match(b, found)):
                    found.clear()
                    found.update(before)
                    if not (first.match(b, found) and second.match(a, found)):
                        return False
            else:
                for pattern, operand in zip(self.operands, instruction.operands):
                    if not pattern.match(operand, found):
                        return False
        return not self.name or found.setdefault(self.name, instruction) is instruction

    def names(self) -> set[str]:
        return {self.name} - {""} | {n for x in self.operands for n in x.names()}


def one_of(names: Iterable[str]) -> Callable[..., Op]:
    """A maker of patterns for any of several opcodes: `one_of(("and", "or"))(x, x)`."""
    rows = tuple(OPCODES[name] for name in names)
    return lambda *operands, name="": Op(rows, operands, name)


@dataclass(eq=False)
class Rule:
    """A rewrite rule.

    Attributes:
      name, law: the function's name and docstring.
      pattern: what the root must fit.
      rewrite: `rewrite(root, **named_parts)` gives the replacement, new or from the graph, or None for "not mine".
      exact: the replacement has the root's value bit for bit (NaN payloads and what HLO leaves open aside).
      kinds: kinds of element type the root may have ("" for all, tuples included).
      matches: how often the rule has replaced something in this process.
    """

    name: str
    pattern: Op
    rewrite: Callable[..., Instruction | None]
    exact: bool
    kinds: str
    law: str
    family: str
    matches: int = 0

    all: ClassVar[list[Rule]] = []

    def apply(self, root: Instruction) -> Instruction | None:
        """The replacement of `root`, or None."""
        if self.kinds and kind_of(root) not in self.kinds:
            return None
        found: Bindings = {}
        if not self.pattern.match(root, found):
            return None
        return self.rewrite(root, **found)


def rule(pattern: Op, *, exact: bool = True, kinds: str = "") -> Callable[[Callable[..., Instruction | None]], Rule]:
    """Declare the decorated function as the rewrite of `pattern` (see `Rule`); its parameters are root and the
    pattern's names."""

    def declare(function: Callable[..., Instruction | None]) -> Rule:
        wanted, have = pattern.names() | {"root"}, set(inspect.signature(function).parameters)
        if wanted != have:
            raise AssertionError(f"rule {function.__name__} takes {sorted(have)}; its pattern names {sorted(wanted)}")
        law = inspect.getdoc(function) or ""
        made = Rule(function.__name__, pattern, function, exact, kinds, law, function.__module__.rpartition(".")[2])
        Rule.all.append(made)
        return made

    return declare


# ---- what rules ask and build


def kind_of(instruction: Instruction) -> str:
    """The element type's kind ("p", "s", "u", "f", "c"); "" for what is not an array."""
    shape = instruction.shape
    return shape.element_type.kind if isinstance(shape, ArrayShape) else ""


def splat_value(instruction: Instruction) -> AnyType:
    """The one value (a NumPy scalar) of a constant of one element or of a broadcast of such a constant; None
    otherwise."""
    if instruction.opcode.name == "broadcast":
        instruction = instruction.operands[0]
    if instruction.opcode.name != "constant":
        return None
    literal = instruction.attrs["literal"]
    return literal.reshape(-1)[0] if literal.size == 1 else None


def is_negative_zero(value: AnyType) -> bool:
    """Whether a NumPy scalar is a floating zero with the sign bit set."""
    kind = np.dtype(value.dtype).kind
    if kind in "biu":
        return False
    if kind == "c":
        return bool(np.signbit(value.real))
    return bool(value == 0 and np.signbit(np.float32(value)))


def scalar(value: AnyType, element_type: ElementType) -> Instruction:
    """A new scalar constant."""
    literal = np.asarray(value).astype(element_type.dtype).reshape(())
    return op.constant.make(shape=ArrayShape(element_type), literal=literal)


def broadcast_scalar(x: Instruction, dims: tuple[int, ...]) -> Instruction:
    """The scalar `x` in every element of an array of `dims` (`x` itself where `dims` are none)."""
    return op.broadcast.make(x, shape=x.shape.with_dims(dims), dimensions=()) if dims else x  # type: ignore[union-attr]


def full(shape: ArrayShape, value: AnyType) -> Instruction:
    """An array of one constant value."""
    return broadcast_scalar(scalar(value, shape.element_type), shape.dims)
