"""Modules to StableHLO's MLIR text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from xlac.errors import CompileError
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.shape import ArrayShape, Shape, TokenShape, TupleShape
from xlac.text.stablehlo_ops import BY_OPCODE
from xlac.text.stablehlo_write import WRITERS


def print_module(module: Module) -> str:
    """The StableHLO text of a module, which XLA and `parse_stablehlo` accept.

    Tuples are taken apart: a parameter or result that is one becomes several, nested ones in order.

    Raises:
      CompileError: an instruction has no form in StableHLO.
    """
    functions = _Functions(module)
    parts = []
    while functions.pending:
        parts.append(_function(functions, *functions.pending.pop(0)))
    body = "\n".join(parts)
    attributes = "mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32"
    return f"module @{_symbol(module.name)} attributes {{{attributes}}} {{\n{body}\n}}\n"


class _Functions:
    """The computations that become functions: the entry and all that is called."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names: dict[Computation, str] = {module.entry: "main"}
        self.pending: list[tuple[Computation, str]] = [(module.entry, "main")]

    def name(self, computation: Computation) -> str:
        if computation not in self.names:
            name = _symbol(computation.name)
            taken = set(self.names.values())
            count = 0
            while name in taken:
                count += 1
                name = f"{_symbol(computation.name)}_{count}"
            self.names[computation] = name
            self.pending.append((computation, name))
        return self.names[computation]


def _symbol(name: str) -> str:
    """`name` as an MLIR symbol."""
    name = re.sub(r"[^\w$.]", "_", name) or "module"
    return name if name[0].isalpha() or name[0] == "_" else f"_{name}"


def _function(functions: _Functions, computation: Computation, name: str) -> str:
    p = Printer(functions)
    donated = functions.module.donated if name == "main" else ()
    arguments = []
    for number, parameter in enumerate(computation.parameters):
        names = p.bind(parameter, "arg")
        mark = " {jax.buffer_donor = true}" if number in donated else ""
        arguments += [f"{n}: {t}{mark}" for n, t in zip(names, p.leaf_types(parameter.shape))]
    p.indent = 2
    p.body(computation)
    results = p.leaves(computation.root)
    types = p.leaf_types(computation.root.shape)
    p.lines.append(f"    return {', '.join(results)} : {', '.join(types)}" if results else "    return")
    visibility = "public" if name == "main" else "private"
    given = types[0] if len(types) == 1 else f"({', '.join(types)})"
    head = f"  func.func {visibility} @{name}({', '.join(arguments)}) -> {given} {{"
    return "\n".join([head, *p.lines, "  }"])


Names = Any  # the name of a value, or a tuple of Names


class Printer:
    """Writes the body of one function.

    Attributes:
      names: what each instruction's value is called; a tuple's is the tuple of its elements'.
    """

    def __init__(self, functions: _Functions) -> None:
        self.functions = functions
        self.lines: list[str] = []
        self.names: dict[Instruction, Names] = {}
        self.indent = 0
        self.count = 0
        self.arguments = 0

    # ---- types and names

    def type(self, shape: Shape) -> str:
        if isinstance(shape, ArrayShape):
            dims = "".join(f"{d}x" for d in shape.dims)
            return f"tensor<{dims}{shape.element_type.mlir}>"
        if isinstance(shape, TokenShape):
            return "!stablehlo.token"
        if isinstance(shape, TupleShape):
            return f"tuple<{', '.join(self.type(s) for s in shape)}>"
        raise CompileError(f"a value of shape {shape} has no type in StableHLO")

    def leaf_shapes(self, shape: Shape) -> list[Shape]:
        if isinstance(shape, TupleShape):
            return [leaf for part in shape for leaf in self.leaf_shapes(part)]
        return [shape]

    def leaf_types(self, shape: Shape) -> list[str]:
        return [self.type(s) for s in self.leaf_shapes(shape)]

    def leaves(self, instruction: Instruction) -> list[str]:
        """The names of an instruction's value, those of a tuple's elements in order."""
        return _flatten(self.names[instruction])

    def name(self, instruction: Instruction) -> str:
        name = self.names[instruction]
        if not isinstance(name, str):
            raise CompileError(f"{instruction.name}: a tuple cannot be an operand here in StableHLO")
        return name

    def bind(self, parameter: Instruction, stem: str) -> list[str]:
        """Name a parameter's leaves as arguments."""
        names = []
        for _ in self.leaf_shapes(parameter.shape):
            names.append(f"%{stem}{self.arguments}")
            self.arguments += 1
        self.names[parameter] = _nest(parameter.shape, iter(names))
        return names

    def function(self, computation: Computation) -> str:
        return self.functions.name(computation)

    # ---- lines

    def emit(self, text: str) -> None:
        self.lines.append("  " * self.indent + text)

    def define(self, instruction: Instruction) -> str:
        """Give an instruction's value its names; the text that stands before the `=`."""
        base = f"%{self.count}"
        self.count += 1
        shapes = self.leaf_shapes(instruction.shape)
        if len(shapes) == 1:
            self.names[instruction] = _nest(instruction.shape, iter([base]))
        else:
            self.names[instruction] = _nest(instruction.shape, (f"{base}#{i}" for i in range(len(shapes))))
        return self.left(instruction)

    def left(self, instruction: Instruction) -> str:
        names = self.leaves(instruction)
        if not names:
            return ""
        return f"{names[0]} = " if len(names) == 1 else f"{names[0].partition('#')[0]}:{len(names)} = "

    def put(self, instruction: Instruction, text: str) -> None:
        """Write the line of an instruction that is defined."""
        self.emit(self.left(instruction) + text)

    def line(self, instruction: Instruction, text: str) -> None:
        self.emit(self.define(instruction) + text)

    def fresh(self, text: str) -> str:
        """Write a line for a value that no instruction stands for; its name."""
        name = f"%{self.count}"
        self.count += 1
        self.emit(f"{name} = {text}")
        return name

    def given(self, i: Instruction, name: str, operands: Sequence[str], types: Sequence[str], rest: str = "") -> None:
        """`name operands rest : (types) -> type`."""
        self.line(i, f"{name} {', '.join(operands)}{rest} : ({', '.join(types)}) -> {self.type(i.shape)}")

    def pretty(self, i: Instruction, name: str, attrs: str = "", typed: bool = False) -> None:
        """An operation with its attributes after the operands; `: T` where all types are one, unless `typed`."""
        types = [self.type(x.shape) for x in i.operands]
        names = [self.name(x) for x in i.operands]
        result = self.type(i.shape)
        rest = f", {attrs}" if attrs else ""
        if not attrs and not typed and name != "stablehlo.select" and types and all(t == result for t in types):
            self.line(i, f"{name} {', '.join(names)} : {result}")
        elif name == "stablehlo.reduce_precision":
            self.line(i, f"{name} {names[0]}{rest} : {result}")
        else:
            self.given(i, name, names, types, rest)

    def arrow(self, i: Instruction, name: str) -> None:
        """`name operands : T, T -> T`, as CHLO writes it."""
        names, types = [self.name(x) for x in i.operands], [self.type(x.shape) for x in i.operands]
        self.line(i, f"{name} {', '.join(names)} : {', '.join(types)} -> {self.type(i.shape)}")

    def generic(self, i: Instruction, name: str, attrs: dict[str, str], regions: Sequence[Computation] = ()) -> None:
        """`"name"(operands) ({regions}) {attrs} : (types) -> types`; tuples are taken apart."""
        operands = [n for x in i.operands for n in self.leaves(x)]
        types = [t for x in i.operands for t in self.leaf_types(x.shape)]
        results = self.leaf_types(i.shape)
        left = self.define(i)
        given = ", ".join(f"{k} = {v}" if v != "unit" else k for k, v in sorted(attrs.items()))
        given = f" {{{given}}}" if given else ""
        tail = (
            f"{given} : ({', '.join(types)}) -> {results[0] if len(results) == 1 else '(' + ', '.join(results) + ')'}"
        )
        head = f'{left}"{name}"({", ".join(operands)})'
        if not regions:
            self.emit(head + tail)
            return
        self.emit(head + " ({")
        for number, computation in enumerate(regions):
            if number:
                self.emit("}, {")
            with _Names(self):
                self.block(computation)
        self.emit("})" + tail)

    def several(self, i: Instruction, text: str) -> None:
        """`text -> types` for a value that may be a tuple."""
        results = self.leaf_types(i.shape)
        given = results[0] if len(results) == 1 else f"({', '.join(results)})"
        self.line(i, f"{text} -> {given}")

    # ---- regions

    def block(self, computation: Computation) -> None:
        """The block of a region: its arguments are the parameters' leaves."""
        arguments = []
        for parameter in computation.parameters:
            names = self.bind(parameter, "arg")
            arguments += [f"{n}: {t}" for n, t in zip(names, self.leaf_types(parameter.shape))]
        if arguments:
            self.emit(f"^bb0({', '.join(arguments)}):")
        self.indent += 1
        self.body(computation)
        self.leave(computation)
        self.indent -= 1

    def body(self, computation: Computation) -> None:
        for instruction in computation.post_order():
            if instruction not in self.names:
                self.instruction(instruction)

    def leave(self, computation: Computation) -> None:
        names, types = self.leaves(computation.root), self.leaf_types(computation.root.shape)
        self.emit(f"stablehlo.return {', '.join(names)} : {', '.join(types)}" if names else "stablehlo.return")

    def loop(
        self, i: Instruction, operands: Sequence[str], types: Sequence[str], regions: Sequence[Computation]
    ) -> None:
        """A while operation, whose values have their names already."""
        self.emit(f'{self.left(i)}"stablehlo.while"({", ".join(operands)}) ({{')
        for number, computation in enumerate(regions):
            if number:
                self.emit("}, {")
            with _Names(self):
                self.block(computation)
        listed = ", ".join(types)
        self.emit(f"}}) : ({listed}) -> ({listed})")

    def branches(
        self,
        i: Instruction,
        name: str,
        index: str,
        index_type: str,
        branches: Sequence[tuple[Computation, Instruction]],
    ) -> None:
        """case and if: a branch's parameter is the operand, seen from inside."""
        self.emit(f'{self.left(i)}"{name}"({index}) ({{')
        for number, (computation, operand) in enumerate(branches):
            if number:
                self.emit("}, {")
            with _Names(self):
                self.names[computation.parameters[0]] = self.names[operand]
                self.indent += 1
                self.body(computation)
                self.leave(computation)
                self.indent -= 1
        self.emit(f"}}) : ({index_type}) -> ({', '.join(self.leaf_types(i.shape))})")

    def instruction(self, i: Instruction) -> None:
        writer = WRITERS.get(i.opcode.name)
        if writer is not None:
            writer(self, i)
            return
        row = BY_OPCODE.get(i.opcode.name)
        if row is None:
            raise CompileError(f"{i.name}: the opcode {i.opcode.name} has no form in StableHLO")
        name = f"{row.dialect}.{row.name}"
        if row.pretty:
            attrs = ", ".join(f"{a.word or a.name} = {a.kind.pretty(i[a.hlo])}" for a in row.attrs)
            self.pretty(i, name, attrs)
        else:
            self.generic(i, name, {a.name: a.kind.generic(i[a.hlo]) for a in row.attrs})


class _Names:
    """Names given inside are forgotten after: a computation may be printed in several regions."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer

    def __enter__(self) -> None:
        self.saved = self.printer.names
        self.printer.names = dict(self.saved)

    def __exit__(self, *_: object) -> None:
        self.printer.names = self.saved


def _flatten(names: Names) -> list[str]:
    if isinstance(names, str):
        return [names]
    return [name for part in names for name in _flatten(part)]


def _nest(shape: Shape, names: Any) -> Names:
    if isinstance(shape, TupleShape):
        return tuple(_nest(part, names) for part in shape)
    return next(names)
