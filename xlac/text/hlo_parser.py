"""The parser of XLA's HLO text.

`hlo.lark` gives the structure; pieces with a small language of their own (shapes, literals, attribute values) are read
by the modules beside this one, most of them from a cache. The graph is built computation by computation, callees first,
and each instruction is checked against its opcode row as it is built, so a fault is reported at its line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from xlac.errors import ParseError, ShapeError, XlacError
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import OPCODES, Kind, Opcode, find_opcode
from xlac.ir.shape import PRED, ArrayShape, Shape, TupleShape, leaves
from xlac.python_limits import much_made
from xlac.text.attributes import (
    COMMON_ATTRIBUTES,
    ELIDED,
    OPAQUE_ATTRIBUTES,
    TUPLE_LITERAL,
    parse_metadata,
)
from xlac.text.hlo_blocks import BRANCHES, Blocks, called_from
from xlac.text.hlo_forms import make_plain
from xlac.text.hlo_header import plain_layouts, read_donated, read_header
from xlac.text.hlo_syntax import Block, Call, ProgramText, Statement, near, parse_tree, shape_end, value_of
from xlac.text.literals import is_elided, parse_literal, stand_in, warn_of_stand_ins
from xlac.text.shapes import TextError, parse_shape
from xlac.text.source import Source

# Opcodes of which there is no asynchronous form, and the attribute of the form itself.
_LEAVES = ("parameter", "constant", "async-start", "async-update", "async-done")
_OF_ASYNC = ("async_execution_thread", "metadata", "control-predecessors")

_CUSTOM_CALL_WORDS = {
    "api_version": tuple(
        f"API_VERSION_{word}" for word in ("ORIGINAL", "STATUS_RETURNING", "STATUS_RETURNING_UNIFIED", "TYPED_FFI")
    ),
    "schedule": ("SCHEDULE_NONE", "SCHEDULE_LATEST", "SCHEDULE_EARLIEST"),
}
_OPERAND = re.compile(r"\s*%?([A-Za-z_][\w.\-]*)\s*(?:,|\Z)")
_NO_NAME = re.compile(r"\s*(?:,|\Z)")
_NAME = re.compile(r"%?([A-Za-z_][\w.\-]*)\Z")


def parse_hlo(text: str, path: str | None = None, fill_constants: str | None = None) -> Module:
    """The module that an HLO text spells.

    A text without the `HloModule` line is taken too, and so is a single instruction, whose undefined operands become
    parameters.

    Args:
      text: the program.
      path: the file's name, for error messages.
      fill_constants: what to put for constants whose elements were left out of the text, written `{...}`: None for
        zeros and a warning, "random" for repeatable random numbers.

    Raises:
      ParseError: the text is no valid program; the error tells line, column and what would be right.
    """
    if not isinstance(text, str):
        raise ParseError(f"the program must be a str, not {type(text).__name__}", path=path)
    if fill_constants not in (None, "random"):
        raise ParseError(f'fill_constants is {fill_constants!r}; it must be None or "random"', path=path)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ParseError(
                f"character {error.start} of the text is half of a pair and no character", path=path
            ) from None
    if text.startswith("\ufeff"):
        text = text[1:]
    source = Source(text, path)
    with much_made(source.error_at("the program is nested too deep", 0)):
        return _Builder(source, fill_constants).build(parse_tree(source, source.skeleton, 0))


# ---- from statements to a module


@cache
def _infers_alone(row: Opcode) -> bool:
    """Whether the shape rule of a row that is usually given its result shape can do without."""
    import inspect

    if not row.declared:
        return False
    parameter = inspect.signature(row.shape).parameters.get("shape")
    return parameter is not None and parameter.default is None


class _Builder:
    """Builds the module of one text."""

    def __init__(self, source: Source, fill_constants: str | None) -> None:
        self.source = source
        self.fill_constants = fill_constants
        self.elided: list[int] = []
        self.blocks = Blocks(source)
        self.built: dict[Block, Computation] = {}
        self.names = self.blocks.names
        self.started: set[Computation] = set()  # what async-starts call
        self.unwrapped: dict[Computation, Computation] = {}

    def build(self, text: ProgramText) -> Module:
        if text.single is not None:
            return self._single(text.single)
        entry = self.blocks.index(text.blocks)
        blocks = list(self.blocks.callees_first(text.blocks))
        needed = called_from(entry)
        for block in blocks:
            try:
                self.built[block] = self._computation(block)
            except ParseError:  # what nothing runs may hold what is not known here, such as dynamic shapes
                if block in needed:
                    raise
        name = (
            re.sub(r"HloModule\s+%?", "", str(text.header)).strip(" \t\r\n:") if text.header else f"module_{entry.name}"
        )
        module = Module(name, self.built[entry], read_header(self.source, text, self.built[entry]))
        module.donated = read_donated(self.source, text, module)
        if text.tables:
            module.attrs["stack_frames"] = text.tables
        reached = set(module.computations)
        reached.update(self.unwrapped)
        uncalled = [c for c in self.built.values() if c not in reached or c is module.entry]
        module.uncalled = tuple(uncalled[:-1] if uncalled[-1] is module.entry else uncalled)
        warn_of_stand_ins(self.elided, self.fill_constants)
        return module

    def _single(self, statement: Statement) -> Module:
        """A text of one instruction: operands that nothing defines become parameters of their shape."""
        block = Block(None, [statement], [])
        block.name = "_"
        self.names.add("_")
        computation = Computation("_")
        scope = _Scope(computation)
        pending: list[Any] = [statement]
        while pending:
            call = pending.pop()
            for shape, name, place in reversed(list(self._operands(call, block))):
                if name.__class__ is not str:
                    pending.append(name)
                elif name not in scope.names:
                    if shape is None:
                        raise self.source.error(
                            f"operand {name} is not defined; give it a shape to make it a parameter", place
                        )
            for shape, name, place in self._operands(call, block):
                if name.__class__ is str and name not in scope.names:
                    scope.names[name] = computation.parameter(self._shape(shape, place), "" if "@" in name else name)
        self.blocks.find_callees(block)
        for callee in self.blocks.callees_first(block.callees):
            self.built[callee] = self._computation(callee)
        self._statement(block, scope, statement)
        warn_of_stand_ins(self.elided, self.fill_constants)
        layouts = {"is_scheduled": "true", "entry_computation_layout": plain_layouts(computation)}
        return Module("_", computation, layouts)

    # -- computations

    def _computation(self, block: Block) -> Computation:
        if not block.name:  # written inside an attribute; XLA numbers those as it comes to their ends
            count = 0
            block.name = "_"
            while block.name in self.names:
                count += 1
                block.name = f"_.{count}"
            self.names.add(block.name)
        computation = Computation(block.name)
        scope = _Scope(computation)
        root: Instruction | None = None
        for statement in block.statements:
            instruction = self._statement(block, scope, statement)
            if statement.assign.startswith("ROOT") and re.match(r"ROOT\s", statement.assign):
                if root is not None:
                    raise self._error(
                        block, statement.assign, f"{instruction.name} is a second ROOT; {root.name} is one already"
                    )
                root = instruction
        if root is not None:
            computation.root = root
        self._control_predecessors(scope)
        for number, parameter in enumerate(computation.parameters):
            if parameter.attrs["number"] != number:
                raise self._error(block, block.head, f"computation {block.name}: parameter({number}) is missing")
        self._signature(block, computation)
        for name, value, place in block.attributes:
            if name != "execution_thread":
                raise self.source.error(
                    f"unknown attribute {name} of a computation; it may have execution_thread", block.base + place
                )
            computation.extras[name] = value
        return computation

    def _signature(self, block: Block, computation: Computation) -> None:
        """Check the result of `(x: f32[2]) -> f32[2]` against the root.

        Like XLA, take what it says of parameters for a comment.
        """
        head = str(block.head)
        start = head.find("(")
        if start < 0:
            return
        arrow = head.rfind("->")
        while arrow > 0 and head.count("(", arrow) != head.count(")", arrow):
            arrow = head.rfind("->", 0, arrow)
        result_text = head[arrow + 2 : head.rfind("{")]
        place = block.base + block.head.start_pos
        result = self._shape_at(result_text, place + arrow + 2)
        root = computation.root
        if result != root.shape:
            raise self.source.error(
                f"computation {block.name} is said to give {result} but its root {root.name} is {root.shape}",
                place + arrow + 2 + len(result_text) - len(result_text.lstrip()),
            )

    def _control_predecessors(self, scope: _Scope) -> None:
        for instruction, value, place in scope.predecessors:
            found = []
            for word in value.strip("{}").split(","):
                word = word.strip().lstrip("%")
                if not word:
                    continue
                before = scope.names.get(word)
                if before is None:
                    raise self.source.error(
                        f"control-predecessors: instruction {word} is not defined in this computation", place
                    )
                found.append(before)
            instruction.control_predecessors = tuple(found)
        if scope.predecessors:
            try:
                scope.computation.post_order()
            except XlacError as error:
                raise self.source.error(str(error), scope.predecessors[0][2]) from None

    # -- instructions

    def _statement(self, block: Block, scope: _Scope, statement: Statement) -> Instruction:
        name = statement.assign.rpartition("=")[0].rstrip()
        if name.startswith("ROOT") and name != "ROOT":
            head = name.split(None, 1)
            name = head[1] if len(head) == 2 and head[0] == "ROOT" else name
        name = name.lstrip("%")
        first = scope.names.get(name)
        if first is not None:
            line = self.source.line(block.base + scope.places[name])
            raise self._error(block, statement.assign, f"instruction {name} is defined already, at line {line}")
        if statement.operands.__class__ is list:
            self._nested(block, scope, statement)
        instruction = self._instruction(block, scope, statement, statement.attributes, name)
        scope.names[name] = instruction
        scope.places[name] = statement.assign.start_pos
        return instruction

    def _nested(self, block: Block, scope: _Scope, statement: Statement) -> None:
        """Build the instructions written as operands, innermost first."""
        stack: list[tuple[Call, bool]] = [(c, False) for c in reversed(statement.operands) if c.__class__ is Call]
        while stack:
            call, ready = stack.pop()
            if not ready and call.operands.__class__ is list:
                stack.append((call, True))
                stack.extend((c, False) for c in reversed(call.operands) if c.__class__ is Call)
                continue
            opcode = call.opcode.rstrip()[:-1].rstrip()
            scope.anonymous[call] = self._instruction(block, scope, call, [], f"{opcode}.anon")

    def _operands(self, call: Call, block: Block) -> Iterator[tuple[str | None, Any, int]]:
        """(shape text or None, name or nested call, place) of each operand.

        One without a name, which only the text of a single instruction may have, is called `@` and its place.
        """
        if call.operands.__class__ is list:
            for x in call.operands:
                if x.__class__ is Call:
                    yield None, x, block.base + x.opcode.start_pos
                else:
                    place = x.shape if x.shape is not None else x.name
                    shape = None if x.shape is None else str(x.shape)
                    yield shape, x.name.strip().lstrip("%"), block.base + place.start_pos
            return
        token = call.operands
        text = token.rstrip()[:-1]
        start, place, end = 0, block.base + token.start_pos, len(text)
        while start < end:
            match = _OPERAND.match(text, start)
            shape = None
            if match is None:
                stop = shape_end(text, start)
                shape = text[start:stop]
                match = _OPERAND.match(text, stop)
                if match is None:
                    if not text[start:].strip():
                        return
                    unnamed = _NO_NAME.match(text, stop)
                    if stop > start and unnamed:
                        yield shape, f"@{place + start}", place + start
                        start = unnamed.end()
                        continue
                    word = text[start:].strip().split(",")[0][:40]
                    raise self.source.error(
                        f"{word} is not an operand; it must be the name of an instruction", place + start
                    )
            yield shape, match[1], place + start
            start = match.end()

    def _instruction(
        self, block: Block, scope: _Scope, call: Call, attributes: list[tuple[str, str, int]], name: str
    ) -> Instruction:
        opcode_name = call.opcode.rstrip()[:-1].rstrip()
        row, wrapped = OPCODES.get(opcode_name), None
        if row is None:
            base, _, part = opcode_name.rpartition("-")
            if f"async-{part}" in OPCODES and base in OPCODES and base not in _LEAVES:
                row, wrapped, opcode_name = OPCODES[f"async-{part}"], OPCODES[base], f"async-{part}"
        if row is None:
            try:
                find_opcode(opcode_name)
            except ShapeError as error:
                raise self._error(block, call.opcode, str(error)) from None
            raise AssertionError(opcode_name)
        shape: Shape | None = None
        if call.shape is not None:
            shape = self._shape(call.shape.rstrip(), block.base + call.shape.start_pos)
        if opcode_name == "constant" or opcode_name == "parameter":
            return self._leaf(block, scope, row, call, shape, attributes, name)
        operands = self._operand_instructions(block, scope, call)
        bits = opcode_name == "rng-bit-generator" and operands and isinstance(shape, ArrayShape)
        if bits:  # of the new state and the bits, XLA also gives the bits alone
            shape = TupleShape((operands[0].shape, shape))  # type: ignore[arg-type]
        instruction = Instruction(row, shape, operands)  # type: ignore[arg-type]
        if wrapped is not None and opcode_name == "async-start":
            attributes, known = self._wrap(block, scope, call, instruction, wrapped, attributes, name)
        else:
            known = {}
        self._set_attributes(block, scope, call, instruction, attributes, known)
        make_plain(instruction, shape, self.unwrapped)
        self._infer(block, call, instruction, shape)
        if opcode_name in ("async-start", "async-update", "async-done"):
            self._check_async(block, call, instruction, wrapped)
        elif opcode_name == "custom-call":
            self._check_custom_call(block, call, instruction)
        elif opcode_name == "conditional":
            self._check_branches(block, attributes, operands[0].shape)
        if bits:
            pair = scope.add(instruction, f"{name}.pair")
            return scope.add(OPCODES["get-tuple-element"].make(pair, index=1), name)
        return scope.add(instruction, name)

    def _wrap(
        self,
        block: Block,
        scope: _Scope,
        call: Call,
        start: Instruction,
        wrapped: Opcode,
        attributes: list[tuple[str, str, int]],
        name: str,
    ) -> tuple[list[tuple[str, str, int]], dict[str, Any]]:
        """For `start`, written as the start of one opcode such as slice-start: make a computation of that opcode.

        What is left of the attributes is the start's own, beside the value of its attribute `calls`.
        """
        shape = start.shape
        if not isinstance(shape, TupleShape) or len(shape) < 2:
            raise self._error(
                block,
                call.opcode,
                f"{wrapped.name}-start: the result is {shape}; it must begin with the operands and the result",
            )
        computation = Computation(self._fresh(f"async_{name}"))
        parameters = [computation.parameter(x.shape) for x in start.operands]
        inner = Instruction(wrapped, shape[1], parameters)
        own = [a for a in attributes if a[0] in _OF_ASYNC or (a[0] not in wrapped.attrs and a[0] not in BRANCHES)]
        self._set_attributes(block, scope, call, inner, [a for a in attributes if a not in own], {})
        self._infer(block, call, inner, shape[1])
        computation.add(inner)
        return own, {"calls": computation}

    def _fresh(self, name: str) -> str:
        """A name for a computation that no other one of the text has."""
        made, count = name, 0
        while made in self.names:
            count += 1
            made = f"{name}.{count}"
        self.names.add(made)
        return made

    def _check_async(self, block: Block, call: Call, instruction: Instruction, wrapped: Opcode | None) -> None:
        """One async-start calls a computation; its async-update and -done may repeat it, not name another one."""
        if instruction.opcode.name == "async-start":
            called = instruction.attrs["calls"]
            if called in self.started:
                raise self._error(
                    block, call.opcode, f"async-start: another one calls computation {called.name} already"
                )
            self.started.add(called)
            return
        source = instruction.operands[0]
        started = source.attrs.get("calls")
        while source.opcode.name == "async-update":
            source = source.operands[0]
        thread, own = instruction.attrs["async_execution_thread"], source.attrs.get("async_execution_thread") or "main"
        if thread is not None and thread != own:
            raise self._error(
                block,
                call.opcode,
                f'{instruction.opcode.name}: async_execution_thread="{thread}" but the start has "{own}"',
            )
        if wrapped is not None and (started is None or started.root.opcode is not wrapped):
            raise self._error(
                block,
                call.opcode,
                f"{call.opcode.rstrip()[:-1].rstrip()}: operand 0 is no {wrapped.name} that was started",
            )
        named = instruction.attrs.get("calls")
        if named is not None and started is not None and named is not started:
            raise self._error(
                block,
                call.opcode,
                f"{instruction.opcode.name}: calls={named.name} but its operand was started with calls={started.name}",
            )
        if named is None and "calls" in instruction.attrs:
            instruction.attrs["calls"] = started

    def _check_custom_call(self, block: Block, call: Call, instruction: Instruction) -> None:
        """Its words must be known, and the layouts it asks for be those of its operands' shapes."""
        attrs = instruction.attrs
        for name, known in _CUSTOM_CALL_WORDS.items():
            if attrs[name] is not None and attrs[name] not in known:
                raise self._error(
                    block, call.opcode, f"custom-call: {name}={attrs[name]}; it must be one of {', '.join(known)}"
                )
        text = attrs["operand_layout_constraints"]
        if text is None:
            return
        wanted = self._shape(f"({text.strip()[1:-1]})", block.base + call.opcode.start_pos)
        given = TupleShape(tuple(x.shape for x in instruction.operands))
        if wanted != given:
            raise self._error(
                block,
                call.opcode,
                f"custom-call: operand_layout_constraints are of shapes {wanted} but the operands are {given}",
            )

    def _check_branches(self, block: Block, attributes: list[tuple[str, str, int]], index: Shape) -> None:
        """A conditional with a predicate names its two branches, one with a number lists them."""
        pairs = isinstance(index, ArrayShape) and index.element_type is PRED
        wanted = "true_computation and false_computation" if pairs else "branch_computations={...}"
        for name, _, place in attributes:
            if name in (("branch_computations",) if pairs else BRANCHES):
                raise self.source.error(
                    f"{name} cannot stand at a conditional with {'a pred' if pairs else index}; it takes {wanted}",
                    block.base + place,
                )

    def _operand_instructions(self, block: Block, scope: _Scope, call: Call) -> tuple[Instruction, ...]:
        token = call.operands
        names = scope.names
        if token.__class__ is not list and "[" not in token:
            text = token.rstrip()[:-1].replace("%", "").replace(" ", "")
            if not text:
                return ()
            try:
                return tuple([names[word] for word in text.split(",")])
            except KeyError:
                pass  # the careful way says which one
        result = []
        for shape_text, what, place in self._operands(call, block):
            if what.__class__ is not str:
                result.append(scope.anonymous[what])
                continue
            operand = names.get(what)
            if operand is None:
                raise self._undefined(block, what, place)
            if shape_text is not None:
                shape = self._shape(shape_text, place)
                if shape != operand.shape:
                    raise self.source.error(f"operand {what} is said to be {shape} but is {operand.shape}", place)
            result.append(operand)
        return tuple(result)

    def _undefined(self, block: Block, name: str, place: int) -> ParseError:
        """The error for an operand that no instruction before has defined."""
        if name.startswith("@"):
            return self.source.error("the operand has no name; one looks like %x, or f32[2] %x", place)
        for statement in block.statements:
            if re.sub(r"ROOT\s|[%=\s]", "", str(statement.assign)) == name:
                line = self.source.line(block.base + statement.assign.start_pos)
                return self.source.error(
                    f"operand {name} is defined only later, at line {line}; operands come first", place
                )
        known = [re.sub(r"ROOT\s|[%=\s]", "", str(s.assign)) for s in block.statements[:2000]]
        return self.source.error(f"operand {name} is not defined in computation {block.name}{near(name, known)}", place)

    def _leaf(
        self,
        block: Block,
        scope: _Scope,
        row: Opcode,
        call: Call,
        shape: Shape | None,
        attributes: list[tuple[str, str, int]],
        name: str,
    ) -> Instruction:
        """A parameter or a constant: what stands in parentheses is a number or a literal."""
        token = call.operands
        if shape is None:
            raise self._error(block, call.opcode, f"{row.name}: its shape must be given, as in f32[2] {row.name}(...)")
        text = "?" if token.__class__ is list else token.rstrip()[:-1].strip()
        place = block.base + (call.opcode if token.__class__ is list else token).start_pos
        if row.name == "parameter":
            if not re.fullmatch(r"\d{1,9}", text):
                raise self.source.error(f"parameter({text[:40]}): it must be the parameter's number, 0, 1, ...", place)
            number = int(text)
            if number in scope.parameters:
                raise self.source.error(f"parameter({number}) is defined twice in computation {block.name}", place)
            scope.parameters.add(number)
            instruction = Instruction(row, shape, (), {"number": number})
        else:
            if not text.startswith("@"):
                raise self.source.error("constant: its operand must be a literal such as 1.5 or {1, 2}", place)
            literal, origin = self.source.literals[int(text[1:])]
            if isinstance(shape, TupleShape):
                instruction = self._tuple_literal(scope, row, literal, origin, shape, name)
            elif not isinstance(shape, ArrayShape):
                raise self._error(
                    block, call.shape, f"a constant cannot be {shape}; it must be an array or a tuple of arrays"
                )
            else:
                instruction = Instruction(row, shape, (), {"literal": self._literal(literal, origin, shape)})
                if self.fill_constants is None and is_elided(literal):
                    instruction.extras = {ELIDED: "true"}
        self._set_extras(block, scope, row, instruction, attributes)
        return scope.add(instruction, name)

    def _literal(self, text: str, origin: int, shape: ArrayShape) -> np.ndarray:
        if is_elided(text):
            self.elided.append(self.source.line_column(origin)[0])
        try:
            if is_elided(text):
                return stand_in(shape, self.fill_constants, len(self.elided))
            return parse_literal(text, shape)
        except TextError as error:
            raise self.source.error_at(error.message, origin + error.offset) from None

    def _tuple_literal(
        self, scope: _Scope, row: Opcode, text: str, origin: int, shape: TupleShape, name: str
    ) -> Instruction:
        """A constant tuple becomes a tuple of constants.

        `TUPLE_LITERAL` in the extras lets the printer write it as it was.
        """
        elided = is_elided(text)
        pieces = iter([(text, 0)] * len(leaves(shape)) if elided else self._tuple_pieces(text, origin, shape))
        make: list[tuple[TupleShape, list[Instruction]]] = [(shape, [])]
        while True:
            current, parts = make[-1]
            if len(parts) == len(current.shapes):
                made = Instruction(OPCODES["tuple"], current, parts)
                make.pop()
                if not make:
                    made.extras = {TUPLE_LITERAL: "true"}
                    return made
                make[-1][1].append(scope.add(made, f"{name}.tuple"))
                continue
            part = current.shapes[len(parts)]
            if isinstance(part, TupleShape):
                make.append((part, []))
                continue
            if not isinstance(part, ArrayShape):
                raise self.source.error_at(f"a constant cannot hold {part}", origin)
            piece, offset = next(pieces)
            constant = Instruction(row, part, (), {"literal": self._literal(piece, origin + offset, part)})
            parts.append(scope.add(constant, f"{name}.part"))

    def _tuple_pieces(self, text: str, origin: int, shape: TupleShape) -> list[tuple[str, int]]:
        """The literals of the leaves in a tuple literal such as `(1, {2, 3}, (4))`, each with its offset."""
        tokens = [(m[0], m.start(), m.end()) for m in re.finditer(r"nan\s*\([^()]*\)|[^\s,{}()]+|[{}()]", text)]
        at = 0

        def fail(what: str, i: int) -> ParseError:
            offset = tokens[i][1] if i < len(tokens) else len(text)
            return self.source.error_at(f"the literal does not have the structure of {shape}: {what}", origin + offset)

        pieces: list[tuple[str, int]] = []
        todo: list[Shape | str] = [shape]
        while todo:
            part = todo.pop()
            if at >= len(tokens):
                raise fail("it is cut off", at)
            token = tokens[at]
            if isinstance(part, str) or isinstance(part, TupleShape):
                wanted = part if isinstance(part, str) else "("
                if token[0] != wanted:
                    raise fail(f"{wanted} was expected", at)
                at += 1
                if not isinstance(part, str):
                    todo.append(")")
                    todo.extend(reversed(part.shapes))
                continue
            first, depth = at, 0
            while True:
                if at >= len(tokens):
                    raise fail("it is cut off", at)
                c = tokens[at][0]
                depth += (c in "({") - (c in ")}")
                if depth < 0:
                    raise fail("a part is missing", at)
                at += 1
                if not depth:
                    break
            pieces.append((text[tokens[first][1] : tokens[at - 1][2]], tokens[first][1]))
        if at < len(tokens):
            raise fail("there is more after its end", at)
        return pieces

    # -- attributes

    def _set_attributes(
        self,
        block: Block,
        scope: _Scope,
        call: Call,
        instruction: Instruction,
        attributes: list[tuple[str, str, int]],
        values: dict[str, Any],
    ) -> None:
        """Read the attributes, those of the row into `attrs` (beside the `values` known) and the rest into `extras` and
        `metadata`."""
        row = instruction.opcode
        if not attributes:
            instruction.attrs = self._complete(block, call, row, values)
            return
        rest = []
        for attribute in attributes:
            name, text, place = attribute
            attr = row.attrs.get(name)
            if attr is None or attr.kind is Kind.OBJECT:
                if name in BRANCHES and row.name == "conditional":
                    branches = values.setdefault("branch_computations", [None, None])
                    if branches.__class__ is not list or branches[BRANCHES[name]] is not None:
                        raise self.source.error(
                            f"attribute {name} is given twice, or beside branch_computations", block.base + place
                        )
                    branches[BRANCHES[name]] = self._one_called(block, name, text, place)
                else:
                    rest.append(attribute)
                continue
            if name in values:
                raise self.source.error(f"attribute {name} is given twice", block.base + place)
            if attr.kind is Kind.COMPUTATION:
                values[name] = self._one_called(block, name, text, place)
            elif attr.kind is Kind.COMPUTATIONS:
                values[name] = tuple(self._called(block, name, text, place))
            else:
                values[name] = value_of(self.source, attr, name, text, block.base + place)
        branches = values.get("branch_computations")
        if branches.__class__ is list:
            if None in branches:
                raise self._error(
                    block, call.opcode, "conditional: true_computation and false_computation must both be given"
                )
            values["branch_computations"] = tuple(branches)
        instruction.attrs = self._complete(block, call, row, values)
        if rest:
            self._set_extras(block, scope, row, instruction, rest)

    def _complete(self, block: Block, call: Call, row: Opcode, values: dict[str, Any]) -> dict[str, Any]:
        if not row.attrs:
            return values
        try:
            return row.complete(values)
        except ShapeError as error:
            raise self._error(block, call.opcode, str(error)) from None

    def _set_extras(
        self,
        block: Block,
        scope: _Scope,
        row: Opcode,
        instruction: Instruction,
        attributes: list[tuple[str, str, int]],
    ) -> None:
        """Attributes that any opcode may have."""
        for name, text, place in attributes:
            if name == "metadata":
                if instruction.metadata is not None:
                    raise self.source.error("attribute metadata is given twice", block.base + place)
                try:
                    instruction.metadata = parse_metadata(text)
                except TextError as error:
                    raise self.source.error(error.message, block.base + place + error.offset) from None
            elif name == "control-predecessors":
                scope.predecessors.append((instruction, text, block.base + place))
            elif name in COMMON_ATTRIBUTES or name in OPAQUE_ATTRIBUTES:
                if instruction.extras is None:
                    instruction.extras = {}
                if name in instruction.extras:
                    raise self.source.error(f"attribute {name} is given twice", block.base + place)
                instruction.extras[name] = text
            else:
                own = () if row.name in ("constant", "parameter") else tuple(row.attrs)
                known = (*own, "metadata", "control-predecessors", *COMMON_ATTRIBUTES)
                raise self.source.error(
                    f"unknown attribute {name} of {row.name}{near(name, known)}; it may have {', '.join(known)}",
                    block.base + place,
                )

    def _one_called(self, block: Block, name: str, text: str, place: int) -> Computation:
        called = self._called(block, name, text, place)
        if len(called) != 1:
            raise self.source.error(f"{name} must be one computation", block.base + place)
        return called[0]

    def _called(self, block: Block, name: str, text: str, place: int) -> list[Computation]:
        inline = block.inline.get(place)
        if inline is not None:
            return [self.built[b] for b in inline if b in self.built]
        words = text[1:-1].split(",") if text.startswith("{") else [text]
        if text.startswith("{") and not text[1:-1].strip():
            return []
        result = []
        for word in words:
            match = _NAME.match(word.strip())
            if not match:
                raise self.source.error(
                    f"{name}={text[:40]}; it must name a computation, as in {name}=%add", block.base + place
                )
            callee = self.blocks.by_name.get(match[1])
            if callee is None:
                hint = near(match[1], list(self.blocks.by_name))
                raise self.source.error(f"computation {match[1]} is not defined{hint}", block.base + place)
            if callee not in self.built:
                raise self.source.error(f"computation {match[1]} has an error", block.base + place)
            result.append(self.built[callee])
        return result

    # -- shapes

    def _infer(self, block: Block, call: Call, instruction: Instruction, shape: Shape | None) -> None:
        """Give the instruction its shape: the declared one if the row agrees with it, else the inferred one."""
        row = instruction.opcode
        try:
            shapes = tuple([x.shape for x in instruction.operands])
            if shape is None and _infers_alone(row):
                inferred = row.shape(*shapes, **instruction.attrs)
            else:
                inferred = row.infer(shapes, instruction.attrs, shape)
        except XlacError as error:
            raise self._error(block, call.opcode, str(error)) from None
        except Exception as error:  # a shape rule that did not foresee these attributes must not look like a crash
            detail = f"{type(error).__name__}: {error}"
            raise self._error(
                block, call.opcode, f"{row.name}: operands and attributes do not fit ({detail})"
            ) from None
        if shape is None:
            instruction.shape = _with_operand_layout(instruction, inferred)
        elif inferred is not shape and inferred != shape:
            raise self._error(
                block, call.shape, f"{row.name}: the result is said to be {shape} but its operands give {inferred}"
            )

    def _shape(self, text: str, place: int) -> Shape:
        return self._shape_at(text, place)

    def _shape_at(self, text: str, place: int) -> Shape:
        if "@" in text:  # too deep for the grammar
            text = self.source.skeleton[place : place + len(text)]
        try:
            return parse_shape(text)
        except TextError as error:
            raise self.source.error(error.message, place + error.offset) from None

    def _error(self, block: Block, token: Any, message: str) -> ParseError:
        """A ParseError at a token of a block; for names the place after ROOT is not worth the trouble."""
        return self.source.error(message, block.base + token.start_pos)


class _Scope:
    """What is known while a computation is built."""

    __slots__ = ("anonymous", "computation", "names", "parameters", "places", "predecessors")

    def __init__(self, computation: Computation) -> None:
        self.computation = computation
        self.names: dict[str, Instruction] = {}
        self.places: dict[str, int] = {}
        self.anonymous: dict[Call, Instruction] = {}
        self.parameters: set[int] = set()
        self.predecessors: list[tuple[Instruction, str, int]] = []

    def add(self, instruction: Instruction, name: str) -> Instruction:
        return self.computation.add(instruction, name)


def _with_operand_layout(instruction: Instruction, shape: Shape) -> Shape:
    """An inferred shape, with the layout XLA infers.

    That of the first operand for elementwise results and what is reversed, moved by a transpose.
    """
    row = instruction.opcode
    if row.name == "transpose" and isinstance(shape, ArrayShape):
        moved = {d: i for i, d in enumerate(instruction.attrs["dimensions"])}
        first = instruction.operands[0].shape
        assert isinstance(first, ArrayShape)
        return shape.with_layout(tuple(moved[d] for d in first.minor_to_major))
    operands = instruction.operands
    if (row.elementwise or row.name == "reverse") and operands and isinstance(shape, ArrayShape):
        first = operands[0].shape
        if isinstance(first, ArrayShape) and first.dims == shape.dims and first.layout != shape.layout:
            return shape.with_layout(first.layout)
    return shape
