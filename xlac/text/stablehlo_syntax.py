"""The syntax of MLIR text: operations as they are written, before anything is known of what they mean.

The grammar is `stablehlo.lark`. An operation is a name and a run of items: tokens, groups in brackets, attribute
dictionaries and regions. `Syntax` sorts them into operands, attributes, regions and types.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

from xlac.errors import ParseError
from xlac.text.shapes import MAX_TUPLE_DEPTH

Item = Any  # a lark Token, Group, Dictionary or Region

# Regions may nest this deep.
MAX_DEPTH = 128


class Group:
    """Items in parentheses or square brackets."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: str, items: list[Item]) -> None:
        self.kind, self.items = kind, items


class Dictionary:
    """An attribute dictionary: names to the items of their values (none for a unit attribute)."""

    __slots__ = ("entries",)

    def __init__(self, entries: dict[str, list[Item]]) -> None:
        self.entries = entries


class Block:
    """A block: the items of its argument list and its operations."""

    __slots__ = ("arguments", "operations")

    def __init__(self, arguments: list[Item]) -> None:
        self.arguments = arguments
        self.operations: list[Syntax] = []


class Region:
    """A region: its blocks."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: list[Block]) -> None:
        self.blocks = blocks


class Syntax:
    """An operation as written.

    Attributes:
      name: with its dialect, as in "stablehlo.add".
      token: the name's token, which knows line and column.
      results: (name, number of values) of each result name.
      items: all that follows the name.
      values: names of values, in the order written, those in parentheses included.
      attrs: attribute names to items.
      regions: the regions.
      signature: the text of the types after the colon, or None.
      words: all other items at the top: words, symbols, literals, type lists.
    """

    __slots__ = ("attrs", "items", "name", "regions", "results", "signature", "token", "values", "words")

    def __init__(self, name: str, token: Any, results: list[tuple[str, int]], items: list[Item]) -> None:
        self.name, self.token, self.results, self.items = name, token, results, items
        self.values: list[str] = []
        self.attrs: dict[str, list[Item]] = {}
        self.regions: list[Region] = []
        self.signature: str | None = None
        self.words: list[Item] = []
        self._sort(items, True)

    def _sort(self, items: list[Item], top: bool) -> None:
        count = len(items)
        i = 0
        while i < count:
            item = items[i]
            i += 1
            kind = item.type if isinstance(item, str) else type(item)
            if kind == "VALUES":
                self.values += split_values(item)
            elif kind == "SIGNATURE":
                if top and self.signature is None:
                    self.signature = item[1:]
            elif kind == "KEY":
                value = items[i : i + 1]
                i += 1
                if i + 1 < count and items[i] == "x":  # contracting_dims = [1] x [0]
                    value = items[i - 1 : i + 2]
                    i += 2
                self.attrs[key_name(item)] = value
            elif kind == "FUNCTION_TYPE":
                self.attrs["function_type"] = [item]
            elif kind is Dictionary:
                self.attrs.update(item.entries)
            elif kind is Region:
                self.regions.append(item)
            elif kind is Group and item.kind == "(" and top:
                self.words.append(item)
                self._sort(item.items, False)
            elif kind == "TYPE" or not top:
                if top:
                    self.words.append(item)
            else:
                self.words.append(item)


def key_name(token: str) -> str:
    """The attribute name of a KEY token, `dims =`."""
    return token[:-1].rstrip().strip('"')


def split_values(token: str) -> list[str]:
    """The value names of a VALUES token."""
    return [v.strip() for v in token.split(",")] if "," in token else [token]


_RESULT = re.compile(r"(%[\w$.-]+)(?::(\d+))?")
# More results than any operation has; a larger number is a mistake, or an attempt to use up memory.
MAX_RESULTS = 100_000


def _results(token: Any) -> list[tuple[str, int]]:
    found = [(m[1], int(m[2] or 1)) for m in _RESULT.finditer(token)]
    if any(n > MAX_RESULTS for _, n in found):
        raise ParseError(f"{token.rstrip(' =')} has too many results", token.line, token.column)
    return found


def _operation(children: list[Item]) -> Syntax:
    first = children[0]
    if first.type == "RESULTS":
        return Syntax(children[1].strip('"'), children[1], _results(first), children[2:])
    return Syntax(first.strip('"'), first, [], children[1:])


def _region(children: list[Item]) -> Region:
    blocks: list[Block] = []
    for child in children:
        if isinstance(child, Block):
            blocks.append(child)
        else:
            if not blocks:
                blocks.append(Block([]))
            blocks[-1].operations.append(child)
    return Region(blocks)


def _block(children: list[Item]) -> Block:
    return Block(children[1].items if isinstance(children[1], Group) else [])


def _dictionary(children: list[Item]) -> Dictionary:
    return Dictionary(dict(children))


def _entry(children: list[Item]) -> tuple[str, list[Item]]:
    name = children[0]
    if name.type == "FUNCTION_TYPE":
        return "function_type", [name]
    return (key_name(name) if name.type == "KEY" else name.strip('"')), children[1:]


# What the parser expected, in words.
_FRIENDLY = {
    "RESULTS": "%result =",
    "VALUES": "a value such as %0",
    "SIGNATURE": "': type'",
    "OPNAME": "an operation",
    "GENERIC_NAME": "an operation",
    "RETURN": "return",
    "KEY": "name =",
    "RBRACE": "'}'",
    "LBRACE": "'{'",
    "RPAR": "')'",
    "LPAR": "'('",
    "RSQB": "']'",
    "COMMA": "','",
    "COLON": "':'",
    "BLOCK_NAME": "a block label",
    "$END": "the end of the text",
}


def parse_syntax(text: str, path: str | None = None) -> tuple[list[Syntax], dict[str, list[Item]], str]:
    """The operations at the top of a text, its attribute and type aliases, and its resource section.

    Raises:
      ParseError: the text is not MLIR, or nested too deep.
    """
    from lark import Token
    from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

    check_depth(text, path)
    lifted: dict[str, str] = {}
    try:
        try:
            top = _parser().parse(text)
        except UnexpectedInput:
            shallow = _lift_tuples(text, lifted)
            if not lifted:
                raise
            top = _parser().parse(shallow)
    except UnexpectedToken as error:
        token = error.token
        wanted = sorted({_FRIENDLY[name] for name in error.expected if name in _FRIENDLY})
        hint = f"; expected {' or '.join(wanted)}" if wanted else ""
        if token.type == "$END":
            line = text.count("\n") + 1
            column = len(text) - text.rfind("\n")
            raise ParseError(f"the text ends too early{hint}", line, column, path) from None
        raise ParseError(f"unexpected {_short(token)}{hint}", token.line, token.column, path) from None
    except UnexpectedCharacters as error:
        rest = text[error.pos_in_stream : error.pos_in_stream + 24].split("\n")[0]
        raise ParseError(f"cannot read {rest!r} as MLIR", error.line, error.column, path) from None
    except UnexpectedInput as error:
        raise ParseError(str(error).split("\n")[0], error.line, error.column, path) from None
    except ParseError as error:
        raise ParseError(error.message, error.line, error.column, path) from None
    operations, blobs = [], ""
    aliases: dict[str, list[Item]] = {alias: [type_] for type_, alias in lifted.items()}
    for item in top:
        if isinstance(item, Syntax):
            operations.append(item)
        elif isinstance(item, Token):
            blobs += item
        else:
            aliases[item[0].rstrip("= \t\r\n")] = [item[1]]
    return operations, aliases, blobs


def _lift_tuples(text: str, lifted: dict[str, str]) -> str:
    """Replace tuple types inside others by aliases and spaces of the same length; `lifted` is filled with both.

    The grammar can tell types a few levels deep.
    """

    def alias(match: re.Match[str]) -> str:
        return lifted.setdefault(match[0], f"!{len(lifted)}").ljust(len(match[0]))

    for _ in range(MAX_TUPLE_DEPTH):
        text, count = _INNER_TUPLE.subn(alias, text)
        if not count:
            break
    return text


def _short(token: str) -> str:
    return repr(str(token)) if len(token) <= 40 else repr(token[:37] + "...")


@functools.lru_cache(maxsize=1)
def _parser() -> Any:
    """The parser of the grammar; made once, it is the slow part of a first parse."""
    from lark import Lark, Transformer

    build = Transformer()
    for name, function in {
        "start": lambda c: c,
        "alias": lambda c: (c[0], c[1]),
        "operation": _operation,
        "parens": lambda c: Group("(", c),
        "brackets": lambda c: Group("[", c),
        "dictionary": _dictionary,
        "properties": _dictionary,
        "entry": _entry,
        "region": _region,
        "block": _block,
    }.items():
        setattr(build, name, function)
    grammar = resources.files("xlac.text").joinpath("stablehlo.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", maybe_placeholders=False, transformer=build)


# Lists of numbers go as a whole: they are most of a program with large literals.
_BRACKET = re.compile(
    r'\[[-+.,()\s0-9A-Za-z]*\]|[(\[{)\]}]|"[^"\\\n]*(?:\\.[^"\\\n]*)*(?:"|\\?$)|//[^\n]*', re.MULTILINE
)
_NOT_PARENTHESES = bytes(c for c in range(256) if c not in b"()")
# What is read recursively, such as a configuration, is refused elsewhere at a smaller depth.
_DEEP = 4096


def check_depth(text: str, path: str | None = None) -> None:
    """Raise if brackets nest so deep that no sensible program can be meant."""
    too_deep = f"brackets are nested more than {_DEEP} deep"
    depth = 0
    for match in _BRACKET.finditer(text):
        mark = match[0]
        if len(mark) > 1:
            if mark[0] != "[" or "(" not in mark:
                continue
            # Complex numbers: pairs that stand side by side.
            inside = mark.encode().translate(None, _NOT_PARENTHESES)
            pairs = len(inside) // 2
            if inside == b"()" * pairs:
                continue
            most = max(itertools.accumulate(1 if c == ord("(") else -1 for c in inside))
            if depth + most > _DEEP:
                raise ParseError(too_deep, *_line_column(text, match.start()), path)
        elif mark in "([{":
            depth += 1
            if depth > _DEEP:
                raise ParseError(too_deep, *_line_column(text, match.start()), path)
        elif mark in ")]}":
            depth -= 1


def _line_column(text: str, position: int) -> tuple[int, int]:
    return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)


# ---- types


_ANGLES = r"<[^<>]*(?:<[^<>]*(?:<[^<>]*>[^<>]*)*>[^<>]*)*>"
# A tuple type that holds none, where another one holds it.
_INNER_TUPLE = re.compile(r"(?<=[<,\s])tuple<(?:[^<>]|(?<!tuple)<[^<>]*(?:<[^<>]*>[^<>]*)*>)*>(?=\s*[,>])")
_TYPE = re.compile(rf"(?:[A-Za-z_]\w*|![\w$.-]+)(?:{_ANGLES})?")


def split_types(text: str) -> list[str]:
    """The types of a list, with or without parentheses."""
    return _TYPE.findall(text)


def split_signature(text: str) -> tuple[list[str], list[str] | None]:
    """The operand types and the result types of `(T, T) -> T` or `T -> T`; None for the results of a plain list."""
    depth = 0
    for i, c in enumerate(text):
        if c == "<":
            depth += 1
        elif c == ">":
            if i and text[i - 1] == "-" and depth == 0:
                return split_types(text[: i - 1]), split_types(text[i + 1 :])
            depth -= 1
    return split_types(text), None


# ---- fields of attributes such as #stablehlo.gather<offset_dims = [1], index_vector_dim = 1>


_FIELD = re.compile(r"([A-Za-z_]\w*)\s*=\s*(\[[^\]]*\]|[^,<>\[\]]+(?:<[^<>]*>)?)")


def fields(text: str) -> dict[str, str]:
    """The `name = value` fields between the outer angle brackets of a dialect attribute."""
    inside = text[text.index("<") + 1 : -1] if "<" in text else text
    return {m[1]: m[2].strip() for m in _FIELD.finditer(inside)}


_INTEGER = re.compile(r"-?\d+")


def integers(text: str) -> tuple[int, ...]:
    """The integers in a text such as `[1, 2]`."""
    return tuple(map(int, _INTEGER.findall(text)))


def walk(operations: list[Syntax]) -> Iterator[Syntax]:
    """All operations, those in regions included."""
    stack = list(operations)
    while stack:
        operation = stack.pop()
        yield operation
        for region in operation.regions:
            for block in region.blocks:
                stack.extend(block.operations)
