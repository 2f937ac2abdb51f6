"""StableHLO's MLIR text to modules.

`stablehlo_syntax` says how operations are written and `stablehlo_ops` what each of them is in HLO. This file does what
they have in common: names and scopes, types, functions, regions, and errors that tell the place. Regions become
computations: those of loops and branches take one tuple, to which the values they use from outside are added; those of
reductions may use constants only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac.errors import ParseError, ShapeError
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import OPCODES, Opcode, op
from xlac.ir.shape import S64, ArrayShape, Shape, TokenShape, TupleShape, mlir_element_type
from xlac.python_limits import much_made
from xlac.text.literals import stand_in, warn_of_stand_ins
from xlac.text.shapes import MAX_TUPLE_DEPTH, TextError
from xlac.text.stablehlo_literals import from_bytes, parse_dense
from xlac.text.stablehlo_ops import ROWS
from xlac.text.stablehlo_syntax import (
    MAX_DEPTH,
    MAX_RESULTS,
    Block,
    Dictionary,
    Group,
    Item,
    Region,
    Syntax,
    fields,
    integers,
    parse_syntax,
    split_signature,
    split_types,
    walk,
)

_RETURNS = frozenset(("stablehlo.return", "func.return", "return", "mhlo.return", "chlo.return"))
_FUNCTIONS = frozenset(("func.func", "func", "builtin.func"))
_CALLS = frozenset(("call", "func.call"))
_MODULES = frozenset(("module", "builtin.module"))
# Operations on types, shapes and meshes that compute nothing.
_IGNORED = frozenset(("sdy.mesh", "shape.assuming_yield"))
_DIALECTS = ("stablehlo", "chlo", "mhlo", "arith", "sdy", "tensor")


def parse_stablehlo(text: str, path: str | None = None, fill_constants: str | None = None) -> Module:
    """The module of a StableHLO program; `main`, or the first public function, becomes its entry.

    A function of several results gives a tuple. Arguments marked as donated, or aliased to a result, are
    `module.donated`.

    Args:
      text: an MLIR module, in pretty or generic form.
      path: the file's name, for error messages.
      fill_constants: what to put for constants whose elements were left out of the text, which MLIR writes
        `dense_resource<__elided__>`: None for zeros and a warning, "random" for repeatable random numbers.
    Raises:
      ParseError: the text is not MLIR, or an operation, attribute or type in it is wrong or not supported.
    """
    if fill_constants not in (None, "random"):
        raise ParseError(f'fill_constants is {fill_constants!r}; it must be None or "random"', path=path)
    with much_made(ParseError("the program is nested too deep", path=path)):
        operations, aliases, blobs = parse_syntax(text, path)
        return _Builder(operations, aliases, blobs, path, fill_constants).module()


class Scope:
    """The names of one region, and the computation that is being built from it.

    Attributes:
      parent: the scope around the region, or None for a function.
      captures: values of the parent that the region uses, with their numbers; None where it may use constants only.
      parameter, first: where a captured value is read from: element `first + number` of the tuple `parameter`.
    """

    __slots__ = ("captured", "captures", "computation", "depth", "first", "kind", "parameter", "parent", "values")

    def __init__(
        self,
        computation: Computation,
        parent: Scope | None = None,
        kind: str = "",
        captures: dict[Instruction, int] | None = None,
    ) -> None:
        self.computation, self.parent, self.kind, self.captures = computation, parent, kind, captures
        self.values: dict[str, Instruction | tuple[Instruction, ...]] = {}
        self.captured: dict[Instruction, Instruction] = {}
        self.parameter: Instruction | None = None
        self.first = 0
        self.depth = 0 if parent is None else parent.depth + 1


class _Builder:
    def __init__(
        self,
        operations: list[Syntax],
        aliases: dict[str, list[Item]],
        blobs: str,
        path: str | None,
        fill_constants: str | None,
    ) -> None:
        self.path = path
        self.fill_constants = fill_constants
        self.elided: list[int] = []
        self.aliases = aliases
        self.blobs = blobs
        self.types: dict[str, Shape] = {}
        self.extents: dict[str, tuple[int, int]] = {}  # how deep tuple types are nested, and how many types they hold
        self.signatures: dict[str, tuple[tuple[Shape, ...], tuple[Shape, ...] | None]] = {}
        self.functions: dict[str, Syntax] = {}
        self.built: dict[str, Computation] = {}
        self.counts: dict[str, int] = {}
        self.name = "module"
        self.top = operations
        self.donated: tuple[int, ...] = ()

    def fail(self, message: str, token: Any = None) -> ParseError:
        if token is None:
            return ParseError(message, path=self.path)
        return ParseError(message, token.line, token.column, self.path)

    # ---- types

    def shape(self, text: str, token: Any = None) -> Shape:
        """The shape of a type."""
        known = self.types.get(text)
        if known is None:
            known = self.types[text] = self._shape(text, token)
        return known

    def _shape(self, text: str, token: Any) -> Shape:
        if text.startswith("!"):
            if text in self.aliases:
                item = self.aliases[text][0]
                self.aliases = {k: v for k, v in self.aliases.items() if k != text}  # an alias of itself is unknown
                shape = self.shape(str(item), token)
                self.extents[text] = self.extents.get(str(item), (0, 1))
                return shape
            if text.endswith(".token"):
                return TokenShape()
            if text.startswith("!quant."):
                raise self.fail(f"the quantised type {text} is not supported; dequantise the program first", token)
            raise self.fail(f"unknown type {text}; expected tensor<...>, tuple<...> or !stablehlo.token", token)
        if text.startswith("tuple<"):
            parts = split_types(text[6:-1])
            shapes = tuple(self.shape(t, token) for t in parts)
            # An alias may stand for many types, and be in an alias many times.
            extents = [self.extents.get(t, (0, 1)) for t in parts]
            depth, count = 1 + max((d for d, _ in extents), default=0), sum(n for _, n in extents)
            if depth > MAX_TUPLE_DEPTH or count > MAX_RESULTS:
                limits = f"more than {MAX_TUPLE_DEPTH} deep, or hold more than {MAX_RESULTS} types"
                raise self.fail(f"tuples may not be nested {limits}", token)
            self.extents[text] = depth, count
            return TupleShape(shapes)
        match = _TENSOR.fullmatch(text)
        if match is None:
            if "*x" in text:
                raise self.fail(f"{text} has no rank; all shapes must be static", token)
            raise self.fail(
                f"{text} is not a type that can be used here; expected tensor<...>, as in tensor<2x3xf32>", token
            )
        dims, element, encoding = match[1], match[2], match[3]
        if "?" in dims:
            bound = " bounded" if encoding and "bounds" in encoding else ""
            raise self.fail(f"{text} has{bound} dynamic dimensions; all dimensions must be numbers", token)
        if element.startswith("!quant."):
            raise self.fail(f"the quantised type {element} is not supported; dequantise the program first", token)
        if element in self.aliases:
            element = str(self.aliases[element][0])
        row = (
            S64
            if element == "index"
            else mlir_element_type(element.removeprefix("s") if element[:2] == "si" else element)
        )
        if row is None:
            raise self.fail(f"{element} is not a supported element type; in {text}", token)
        try:
            return ArrayShape(row, tuple(int(d) for d in dims.split("x") if d))
        except ValueError:
            raise self.fail(f"{text} has a dimension that is no reasonable number", token) from None

    def signature(self, text: str, token: Any) -> tuple[tuple[Shape, ...], tuple[Shape, ...] | None]:
        """Operand and result shapes of the types after an operation's colon; None for the results of a plain list."""
        known = self.signatures.get(text)
        if known is None:
            operands, results = split_signature(text)
            known = self.signatures[text] = (
                tuple(self.shape(t, token) for t in operands),
                None if results is None else tuple(self.shape(t, token) for t in results),
            )
        return known

    # ---- functions

    def module(self) -> Module:
        main = self._entry()
        for name in self._order(main):
            self.built[name] = self._function(self.functions[name], name, name == main)
        module = Module(self.name, self.built[main])
        module.donated = self.donated
        warn_of_stand_ins(self.elided, self.fill_constants)
        return module

    def _entry(self) -> str:
        """Collect the functions; the name of the one to run."""
        operations = list(self.top)
        while len(operations) == 1 and operations[0].name in _MODULES:
            module = operations[0]
            symbols = [w for w in module.words if isinstance(w, str) and w.type == "SYMBOL"]
            name = symbols[0] if symbols else _text(module.attrs.get("sym_name", ""))
            self.name = _identifier(name) or "module"
            operations = [o for region in module.regions for block in region.blocks for o in block.operations]
        public = []
        for operation in operations:
            if operation.name in _FUNCTIONS:
                name = self._function_name(operation)
                if name in self.functions:
                    raise self.fail(f"function @{name} is defined twice", operation.token)
                self.functions[name] = operation
                words = [str(w) for w in operation.words if isinstance(w, str)]
                hidden = "private" in words or "private" in _text(operation.attrs.get("sym_visibility", ""))
                if not hidden and operation.regions:
                    public.append(name)
            elif operation.name in _MODULES:
                raise self.fail("a module inside a module cannot be run; give it alone", operation.token)
            elif operation.name not in _IGNORED:
                raise self.fail(f"{operation.name} stands outside of a function; expected func.func", operation.token)
        if "main" in self.functions:
            return "main"
        if not public:
            found = ", ".join(f"@{n}" for n in list(self.functions)[:5]) or "no function"
            raise self.fail(f"there is no function @main and no other public function to run; found {found}")
        return public[0]

    def _function_name(self, operation: Syntax) -> str:
        for word in operation.words:
            if isinstance(word, str) and word.type == "SYMBOL":
                return word[1:].strip('"')
        if "sym_name" in operation.attrs:
            return _text(operation.attrs["sym_name"])
        raise self.fail("the function has no name; expected func.func @name(...)", operation.token)

    def _callees(self, name: str, from_: Any) -> list[tuple[str, Any]]:
        operation = self.functions.get(name)
        if operation is None:
            near = difflib.get_close_matches(name, self.functions, n=2)
            hint = f"; did you mean {' or '.join('@' + n for n in near)}?" if near else ""
            raise self.fail(f"there is no function @{name}{hint}", from_)
        body = [o for region in operation.regions for block in region.blocks for o in block.operations]
        return [(callee(o), o.token) for o in walk(body) if callee(o)]

    def _order(self, main: str) -> list[str]:
        """The functions that `main` needs, callees first."""
        done: dict[str, None] = {}
        path: set[str] = set()
        stack: list[tuple[str, Any, bool]] = [(main, None, False)]
        while stack:
            name, token, leaving = stack.pop()
            if leaving:
                path.discard(name)
                done[name] = None
                continue
            if name in done:
                continue
            if name in path:
                raise self.fail(f"function @{name} calls itself; recursion cannot be compiled", token)
            path.add(name)
            stack.append((name, token, True))
            for other, at in self._callees(name, token):
                if other in path:
                    raise self.fail(f"function @{other} calls itself; recursion cannot be compiled", at)
                if other not in done:
                    stack.append((other, at, False))
        return list(done)

    def _function(self, operation: Syntax, name: str, entry: bool) -> Computation:
        if not operation.regions:
            raise self.fail(f"function @{name} is declared but not defined", operation.token)
        computation = Computation(self.unique(_identifier(name)))
        scope = Scope(computation)
        (block, *more) = operation.regions[-1].blocks
        if more:
            raise self.fail(
                f"function @{name} has several blocks; only structured control flow is supported", operation.token
            )
        groups = [w for w in operation.words if isinstance(w, Group)]
        items = block.arguments or (groups[0].items if groups and "function_type" not in operation.attrs else [])
        donated = []
        for number, (argument, shape, attrs) in enumerate(self.arguments(items)):
            parameter = computation.parameter(shape, _identifier(argument[1:]))
            scope.values[argument] = parameter
            if _flag(attrs.get("jax.buffer_donor")) or "tf.aliasing_output" in attrs:
                donated.append(number)
        if "arg_attrs" in operation.attrs:
            donated += self._generic_donations(operation.attrs["arg_attrs"])
        results = self.block(scope, block, operation)
        declared = self._declared_results(operation)
        if declared is not None and declared != [r.shape for r in results]:
            have = ", ".join(str(r.shape) for r in results)
            want = ", ".join(map(str, declared))
            raise self.fail(f"function @{name} returns ({have}) but is declared to return ({want})", operation.token)
        computation.root = results[0] if len(results) == 1 else computation.add(op.tuple.make(*results))
        if entry:
            self.donated = tuple(donated)
        return computation

    def _generic_donations(self, value: list[Item]) -> list[int]:
        items = value[0].items if value and isinstance(value[0], Group) else []
        dictionaries = [i for i in items if isinstance(i, Dictionary)]
        return [
            number
            for number, d in enumerate(dictionaries)
            if _flag(d.entries.get("jax.buffer_donor")) or "tf.aliasing_output" in d.entries
        ]

    def _declared_results(self, operation: Syntax) -> list[Shape] | None:
        if "function_type" in operation.attrs:
            (token,) = operation.attrs["function_type"][:1] or (None,)
            if getattr(token, "type", "") != "FUNCTION_TYPE":
                raise self.fail("function_type must be as in (tensor<f32>) -> tensor<f32>", operation.token)
            _, results = self.signature(token[token.index("=") + 1 :].strip(), token)
            return list(results or ())
        items = operation.items
        for i, item in enumerate(items):
            if isinstance(item, str) and item.type == "ARROW" and i + 1 < len(items):
                after = items[i + 1]
                listed = after.items if isinstance(after, Group) else [after]
                return [self.shape(str(t), t) for t in listed if isinstance(t, str) and t.type == "TYPE"]
        return [] if any(isinstance(i, Group) for i in items) else None

    def arguments(self, items: list[Item]) -> list[tuple[str, Shape, dict[str, list[Item]]]]:
        """Name, shape and attributes of each argument of a list `%a: T {...}, %b: T`."""
        found: list[tuple[str, Shape, dict[str, list[Item]]]] = []
        name = None
        for item in items:
            if isinstance(item, Dictionary):
                if found:
                    found[-1][2].update(item.entries)
            elif isinstance(item, str) and item.type == "VALUES":
                name = item
            elif isinstance(item, str) and item.type == "SIGNATURE" and name is not None:
                (shape,) = self.signature(item[1:].strip(), item)[0][:1] or (None,)
                if shape is None:
                    raise self.fail(f"argument {name} has no type", name)
                found.append((str(name), shape, {}))
                name = None
            else:
                raise self.fail(
                    "expected an argument as in %arg0: tensor<2x3xf32>", item if isinstance(item, str) else None
                )
        if name is not None:
            raise self.fail(f"argument {name} has no type; expected {name}: tensor<...>", name)
        return found

    def unique(self, name: str) -> str:
        """A computation name that no other computation has."""
        count = self.counts.get(name, 0)
        self.counts[name] = count + 1
        return self.unique(f"{name}.{count}") if count else name

    # ---- values

    def value(self, scope: Scope, name: str, token: Any) -> Instruction:
        """The instruction that `name` stands for, made visible in `scope`."""
        base, _, number = name.partition("#")
        found = scope.values.get(base)
        if found is None:
            if scope.parent is None:
                near = difflib.get_close_matches(base, scope.values, n=2)
                hint = f"; did you mean {' or '.join(near)}?" if near else ""
                raise self.fail(f"{base} is not defined here{hint}", token)
            return self._captured(scope, self.value(scope.parent, name, token), name, token)
        if isinstance(found, tuple):
            index = int(number) if number else 0
            if index >= len(found):
                raise self.fail(f"{name}: {base} has {len(found)} values, numbered from 0", token)
            return found[index]
        if number not in ("", "0"):
            raise self.fail(f"{name}: {base} has one value", token)
        return found

    def _captured(self, scope: Scope, outer: Instruction, name: str, token: Any) -> Instruction:
        known = scope.captured.get(outer)
        if known is not None:
            return known
        if _is_constant(outer):
            new = outer.clone(x.clone() for x in outer.operands)
            new.name = ""
            scope.computation.add(new)
        elif scope.captures is None:
            raise self.fail(
                f"the region of {scope.kind} uses {name} from outside, which is not a constant; "
                "pass it as an operand, or do that computation outside",
                token,
            )
        else:
            number = scope.captures.setdefault(outer, len(scope.captures))
            assert scope.parameter is not None
            index = {"index": scope.first + number}
            new = scope.computation.add(
                Instruction(OPCODES["get-tuple-element"], outer.shape, (scope.parameter,), index)
            )
        scope.captured[outer] = new
        return new

    # ---- operations

    def block(self, scope: Scope, block: Block, parent: Syntax) -> list[Instruction]:
        """Build the operations of a block; the values it returns."""
        if scope.depth > MAX_DEPTH:
            raise self.fail(f"regions are nested more than {MAX_DEPTH} deep", parent.token)
        for operation in block.operations:
            if operation.name in _RETURNS:
                return [self.value(scope, v, operation.token) for v in operation.values]
            self.operation(scope, operation)
        raise self.fail(f"the region of {parent.name} does not end with a return", parent.token)

    def operation(self, scope: Scope, syntax: Syntax) -> None:
        """Build one operation and bind its results."""
        name = syntax.name
        if name in _IGNORED:
            return
        row = ROWS.get(name if name in _CALLS else name.partition(".")[2])
        if row is None or (name not in _CALLS and name.partition(".")[0] not in _DIALECTS):
            raise self.fail(self._unknown(name), syntax.token)
        reader = Reader(self, scope, syntax)
        try:
            given = row.read(reader)
        except ShapeError as error:
            raise self.fail(f"{name}: {error}", syntax.token) from None
        except ParseError as error:
            if error.line:
                raise
            raise self.fail(f"{name}: {error.message}", syntax.token) from None
        except (LookupError, ArithmeticError, MemoryError, ValueError, TypeError, AttributeError) as error:
            detail = str(error) or type(error).__name__
            raise self.fail(f"{name}: its operands or attributes do not fit: {detail}", syntax.token) from None
        values = (given,) if isinstance(given, Instruction) else tuple(given)
        expected = sum(n for _, n in syntax.results)
        if expected != len(values) and syntax.results:
            raise self.fail(f"{name} gives {len(values)} results but {expected} are named", syntax.token)
        for value, shape in zip(values, reader.results):
            if value.shape != shape:
                raise self.fail(
                    f"{name}: the result is declared {shape} but its operands give {value.shape}", syntax.token
                )
        at = 0
        for result, count in syntax.results:
            if result in scope.values:
                raise self.fail(f"{result} is defined twice", syntax.token)
            scope.values[result] = values[at] if count == 1 else values[at : at + count]
            at += count

    def _unknown(self, name: str) -> str:
        dialect, _, word = name.partition(".")
        near = [_full_name(n) for n in difflib.get_close_matches(word or dialect, ROWS, n=3)]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        if dialect not in _DIALECTS and word:
            return f"{name}: operations of the dialect {dialect} are not supported; expected stablehlo or chlo{hint}"
        return f"{name} is not an operation of StableHLO that is supported{hint}"

    def blob(self, key: str, shape: ArrayShape, token: Any) -> np.ndarray:
        """The array of a `dense_resource<key>`."""
        match = re.search(rf'(?<![\w.$-]){re.escape(key)}"?\s*:\s*"0x([0-9a-fA-F]*)"', self.blobs)
        if match is None and key == "__elided__":
            self.elided.append(token.line)
            try:
                return stand_in(shape, self.fill_constants, len(self.elided))
            except TextError as error:
                raise self.fail(error.message, token) from None
        if match is None:
            raise self.fail(f"the text has no data for dense_resource<{key}>")
        return from_bytes(bytes.fromhex(match[1])[4:], shape)


def callee(operation: Syntax) -> str:
    """The name of the function that an operation calls, or nothing."""
    if operation.name in _CALLS:
        value: Any = operation.attrs.get("callee") or [w for w in operation.words if getattr(w, "type", "") == "SYMBOL"]
    elif operation.name.endswith(".composite"):
        value = operation.attrs.get("decomposition", [])
    elif operation.name.endswith(".custom_call") and "called_computations" in operation.attrs:
        value = operation.attrs["called_computations"]
        value = value[0].items if value and isinstance(value[0], Group) else []
    else:
        return ""
    return str(value[0])[1:].strip('"') if value else ""


def _is_constant(x: Instruction) -> bool:
    """Whether it is a constant, or one broadcast."""
    return x.opcode.name == "constant" or (x.opcode.name == "broadcast" and x.operands[0].opcode.name == "constant")


def _full_name(name: str) -> str:
    row = ROWS[name]
    return f"{row.dialect}.{name}" if row.dialect else name


_TENSOR = re.compile(r"tensor<((?:(?:\d{1,18}|\?)x)*)([A-Za-z_!][^,<>]*(?:<.*>)?)\s*(,.*)?>")
_NOT_NAME = re.compile(r"[^\w.-]")


def _identifier(name: str) -> str:
    """`name` as an HLO name, without sigil; nothing for a number."""
    name = _NOT_NAME.sub("_", name.lstrip("@%").strip('"'))
    return name if name[:1].isalpha() or name[:1] == "_" else ""


def _text(value: Any) -> str:
    """The text of an attribute that is one word, string, symbol or number."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value).strip('"') if isinstance(value, str) else ""


def _flag(value: list[Item] | None) -> bool:
    """Whether an attribute is given and not false."""
    return value is not None and _text(value) != "false"


_MISSING: Any = object()


class Reader:
    """One operation as its row reads it: operands, attributes by name, regions, declared results.

    Attributes are looked up under the names given, first found first: the generic form's name, then the pretty form's.
    """

    __slots__ = ("_operands", "builder", "results", "scope", "syntax")

    def __init__(self, builder: _Builder, scope: Scope, syntax: Syntax) -> None:
        self.builder, self.scope, self.syntax = builder, scope, syntax
        self._operands: list[Instruction] | None = None
        self.results: tuple[Shape, ...] = ()
        if syntax.signature is not None:
            operands, results = builder.signature(syntax.signature.strip(), syntax.token)
            if results is None:
                # `: T` gives the one result's type, and that of the operands; the operation's row knows about lists.
                count = sum(n for _, n in syntax.results)
                self.results = operands[-1:] if count <= 1 else operands
            else:
                self.results = results

    @property
    def name(self) -> str:
        return self.syntax.name

    @property
    def operation(self) -> str:
        """The name without its dialect."""
        return self.syntax.name.rpartition(".")[2]

    @property
    def result(self) -> Shape:
        """The declared shape of the one result."""
        if len(self.results) != 1:
            raise self.fail("its type is missing; expected ': type' after the operands")
        return self.results[0]

    @property
    def array_result(self) -> ArrayShape:
        shape = self.result
        if not isinstance(shape, ArrayShape):
            raise self.fail(f"its result is {shape}; it must be a tensor")
        return shape

    def fail(self, message: str) -> ParseError:
        """An error at this operation."""
        return self.builder.fail(f"{self.syntax.name}: {message}", self.syntax.token)

    # ---- operands

    @property
    def operands(self) -> list[Instruction]:
        if self._operands is None:
            self._operands = self.values(self.syntax.values)
            self._check_types(self._operands)
        return self._operands

    def values(self, names: Sequence[str]) -> list[Instruction]:
        return [self.builder.value(self.scope, n, self.syntax.token) for n in names]

    def _check_types(self, operands: list[Instruction]) -> None:
        """Raise unless the operands have the types written after the colon."""
        if self.syntax.signature is None:
            return
        types, results = self.builder.signature(self.syntax.signature.strip(), self.syntax.token)
        if results is None or len(types) != len(operands):
            if results is not None and len(types) != 1:
                raise self.fail(f"it has {len(operands)} operands but {len(types)} operand types")
            if len(types) != 1:
                return
            if results is None and len(operands) > 1 and any(o.shape != types[0] for o in operands):
                return  # select and clamp may take scalars; the row checks
            types = types * len(operands) if results is not None else ()
        for operand, shape, name in zip(operands, types, self.syntax.values):
            if operand.shape != shape:
                raise self.fail(f"{name} is {operand.shape} but is used as {shape}")

    # ---- building

    def opcode(self, name: str) -> Opcode:
        row = OPCODES.get(name)
        if row is None:
            raise self.fail(f"it needs the HLO opcode {name}, which is not supported")
        return row

    def add(self, instruction: Instruction) -> Instruction:
        """Put an instruction, named like the result, into the computation."""
        results = self.syntax.results
        name = _identifier(results[0][0]) if len(results) == 1 and results[0][1] == 1 else ""
        return self.scope.computation.add(instruction, name)

    def make(self, opcode: str, *operands: Instruction, shape: Shape | None = None, **attrs: Any) -> Instruction:
        """Add an instruction; opcodes that cannot infer their shape get `shape`, or the declared result."""
        row = self.opcode(opcode)
        if row.declared and shape is None:
            shape = self.result
        return self.add(row.make(*operands, shape=shape, **attrs) if row.declared else row.make(*operands, **attrs))

    def unpack(self, instruction: Instruction) -> list[Instruction]:
        """The elements of a tuple, or the one value."""
        if not isinstance(instruction.shape, TupleShape):
            return [instruction]
        add, make = self.scope.computation.add, op.get_tuple_element.make
        return [add(make(instruction, index=i)) for i in range(len(instruction.shape))]

    def constant(self, x: Instruction, what: str) -> np.ndarray:
        """The value of an operand that must be known now.

        Raises:
          ParseError: it depends on an argument, or takes too long to compute here.
        """
        order: list[Instruction] = []
        stack, seen = [x], set()
        while stack:
            top = stack.pop()
            if top in seen:
                continue
            seen.add(top)
            order.append(top)
            size = top.shape.size if isinstance(top.shape, ArrayShape) else 1 << 30
            if top.opcode.name in ("parameter", "get-tuple-element") or len(order) > 500 or size > 1 << 16:
                raise self.fail(f"{what} is not a constant; the shapes of a program must be known before it runs")
            stack.extend(top.operands)
        values: dict[Instruction, Any] = {}
        pending = [x]
        while pending:
            top = pending[-1]
            missing = [y for y in top.operands if y not in values]
            if missing:
                pending += missing
                continue
            pending.pop()
            if top not in values:
                values[top] = evaluate_instruction(top, [values[y] for y in top.operands])
        return np.asarray(values[x])

    # ---- attributes

    def find(self, *names: str) -> list[Item] | None:
        """The items of the first attribute of these names; aliases are looked up."""
        for name in names:
            value = self.syntax.attrs.get(name)
            if value is not None:
                return self.resolve(value)
        return None

    def resolve(self, value: list[Item]) -> list[Item]:
        for _ in range(8):
            if not (value and getattr(value[0], "type", "") == "ALIAS"):
                return value
            known = self.builder.aliases.get(str(value[0]))
            if known is None:
                raise self.builder.fail(f"the alias {value[0]} is not defined", value[0])
            value = known + value[1:]
        return value

    def has(self, *names: str) -> bool:
        return any(name in self.syntax.attrs for name in names)

    def _required(self, names: tuple[str, ...], default: Any) -> Any:
        if default is _MISSING:
            raise self.fail(f"the attribute {names[0]} is missing")
        return default

    def integer(self, *names: str, default: Any = _MISSING) -> int:
        value = self.find(*names)
        if value is None:
            return self._required(names, default)
        found = self.to_ints(value, names[0])
        if len(found) != 1:
            raise self.fail(f"{names[0]} must be one integer")
        return found[0]

    def ints(self, *names: str, default: Any = _MISSING) -> tuple[int, ...]:
        value = self.find(*names)
        return self._required(names, default) if value is None else self.to_ints(value, names[0])

    def to_ints(self, value: list[Item], what: str) -> tuple[int, ...]:
        """The integers of an attribute: `[1, 2]`, `array<i64: 1, 2>` or `dense<[1, 2]> : tensor<2xi64>`."""
        item = value[0] if value else None
        if isinstance(item, Group):
            return tuple(i for part in item.items for i in self.to_ints([part], what))
        if isinstance(item, str):
            if item.type == "INTS":
                return integers(item)
            if item.type == "NUMBER" and "." not in item:
                return (int(item, 0),)
            if item.type == "ARRAY":
                text = item.partition(":")[2]
                if "true" in text or "false" in text:
                    return tuple(int(w == "true") for w in re.findall("true|false", text))
                return integers(text)
            if item.type == "DENSE":
                return tuple(int(v) for v in self.to_array(value, what).reshape(-1))
            if item in ("true", "false"):
                return (int(item == "true"),)
        raise self.fail(f"{what} must be integers, as in [0, 1] or array<i64: 0, 1>")

    def to_array(self, value: list[Item], what: str) -> np.ndarray:
        """The array of a `dense<...> : type` attribute."""
        token = value[0] if value else None
        if getattr(token, "type", "") != "DENSE":
            raise self.fail(f"{what} must be a literal, as in dense<[0, 1]> : tensor<2xi64>")
        if len(value) > 1 and getattr(value[1], "type", "") == "SIGNATURE":
            shape = self.builder.signature(value[1][1:].strip(), value[1])[0][0]
        elif self.syntax.signature is not None:
            shape = self.result
        else:
            shape = None
        if not isinstance(shape, ArrayShape):
            raise self.fail(f"the literal of {what} needs the type of a tensor")
        try:
            if token.startswith("dense_resource"):
                return self.builder.blob(token[token.index("<") + 1 : -1].strip('"'), shape, token)
            return parse_dense(token, shape)
        except ParseError as error:
            raise self.builder.fail(error.message, token) from None

    def pairs(self, *names: str, rank: int) -> tuple[tuple[int, int], ...]:
        """Low and high of each dimension; zeros where the attribute is left out."""
        flat = self.ints(*names, default=(0, 0) * rank)
        if len(flat) != 2 * rank:
            raise self.fail(f"{names[0]} must have a pair of integers for each of {rank} dimensions")
        return tuple(zip(flat[::2], flat[1::2]))

    def flag(self, *names: str, default: Any = _MISSING) -> bool:
        value = self.find(*names)
        if value is None:
            return self._required(names, default)
        text = _text(value) if value else "true"
        if text not in ("true", "false", "1", "0"):
            raise self.fail(f"{names[0]} must be true or false, not {text}")
        return text in ("true", "1")

    def number(self, *names: str) -> float:
        value = self.find(*names)
        if value is None:
            raise self.fail(f"the attribute {names[0]} is missing")
        return _number(_text(value))

    def text(self, *names: str, default: Any = _MISSING) -> str:
        value = self.find(*names)
        return self._required(names, default) if value is None else _text(value)

    def word(self, *names: str, default: Any = _MISSING) -> str:
        """The word of an enumeration: `FFT`, `"FFT"` or `#stablehlo<fft_type FFT>`."""
        value = self.find(*names)
        return self._required(names, default) if value is None else enum_word(_text(value))

    def words(self, *names: str) -> tuple[str, ...]:
        """The words of a list of enumeration values, as in a precision configuration."""
        value = self.find(*names)
        if not value or not isinstance(value[0], Group):
            return ()
        return tuple(enum_word(str(self.resolve([i])[0])) for i in value[0].items)

    def fields(self, *names: str) -> dict[str, str]:
        """The fields of an attribute such as `#stablehlo.gather<offset_dims = [1]>`."""
        value = self.find(*names)
        if not value:
            raise self.fail(f"the attribute {names[0]} is missing")
        return fields(str(value[0]))

    def symbol(self, name: str) -> Computation:
        """The function that this operation calls."""
        computation = self.builder.built.get(callee(self.syntax))
        if computation is None:
            raise self.fail(f"the {name} is missing; expected @function")
        return computation

    # ---- regions

    def region(self, index: int) -> Region:
        if index >= len(self.syntax.regions):
            raise self.fail(f"it has {len(self.syntax.regions)} regions; region {index} is missing")
        region = self.syntax.regions[index]
        if len(region.blocks) != 1:
            raise self.fail("its region has several blocks; it must have one")
        return region

    def reducer(self, index: int = 0, arguments: list[Item] | None = None) -> Computation:
        """The computation of a region that uses nothing from outside but constants."""
        (block,) = self.region(index).blocks
        computation = Computation(self.builder.unique(f"{self.operation}_region"))
        scope = Scope(computation, self.scope, self.name)
        for name, shape, _ in self.builder.arguments(block.arguments or arguments or []):
            scope.values[name] = computation.parameter(shape)
        results = self.builder.block(scope, block, self.syntax)
        computation.root = results[0] if len(results) == 1 else computation.add(op.tuple.make(*results))
        return computation

    def control(
        self, index: int, states: Sequence[Shape], captures: dict[Instruction, int], names: Sequence[str] | None = None
    ) -> tuple[Computation, list[Instruction]]:
        """The computation of a region of control flow and the values it returns.

        Its one parameter is a tuple of `states` and of the captured values; the caller sets its shape when these are
        known.
        """
        (block,) = self.region(index).blocks
        computation = Computation(self.builder.unique(f"{self.operation}_region"))
        scope = Scope(computation, self.scope, self.name, captures)
        parameter = computation.parameter(TupleShape(tuple(states)), "state")
        scope.parameter, scope.first = parameter, len(states)
        if names is None:
            arguments = self.builder.arguments(block.arguments)
            names = [a[0] for a in arguments]
            if [a[1] for a in arguments] != list(states):
                raise self.fail(f"region {index} must take the operands' types, {TupleShape(tuple(states))}")
        for i, name in enumerate(names):
            scope.values[name] = computation.add(op.get_tuple_element.make(parameter, index=i))
        return computation, self.builder.block(scope, block, self.syntax)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ParseError(f"{text} is not a number") from None


_ENUM = re.compile(r"#[\w.]+<(?:\w+ )?\s*(\w+)\s*>")


def enum_word(text: str) -> str:
    match = _ENUM.fullmatch(text)
    return match[1] if match else text


__all__ = ["Reader", "Scope", "parse_stablehlo"]
