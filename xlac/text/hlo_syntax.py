"""The syntax of HLO text: lark, with the grammar in `hlo.lark`, turns a text into the records below.

They hold tokens, pieces of text with their place, and know nothing of opcodes. A fault in the syntax becomes a
ParseError here; lark only tells where a token could not be read, so the long tokens are looked into for the exact
place.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from xlac.errors import ParseError
from xlac.ir.opcode import Attr
from xlac.text.attributes import parse_attribute
from xlac.text.shapes import MAX_TUPLE_DEPTH, TextError
from xlac.text.source import Source

# Braces as deep as this are one token of the grammar; tuple shapes as deep as that, one level being for parameters.
_GRAMMAR_DEPTH = 5
_TUPLE_DEPTH = 7

_ARRAY_SHAPE = re.compile(r"\s*[A-Za-z]\w*\[[^\[\]]*\](?:\s*\{[^{}]*\})?\s*")
BRACE = re.compile(r'[{}]|"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_PARENTHESIS = re.compile(r'[()]|"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_SHOW = re.compile(r"\s*([^\s,;{}()]+|.)", re.DOTALL)


class Call:
    """An opcode applied to operands: `shape opcode(operands)`.

    Fields are tokens; operands of a nested call are a list.
    """

    __slots__ = ("opcode", "operands", "shape")

    def __init__(self, shape: Any, opcode: Any, operands: Any) -> None:
        self.shape, self.opcode, self.operands = shape, opcode, operands


class Statement(Call):
    """An instruction as written; attributes as (name, value, place of the value)."""

    __slots__ = ("assign", "attributes")

    def __init__(self, assign: Any, call: Call, attributes: list[tuple[str, str, int]]) -> None:
        super().__init__(call.shape, call.opcode, call.operands)
        self.assign, self.attributes = assign, attributes


class Block:
    """A computation as written."""

    __slots__ = ("attributes", "base", "callees", "depth", "head", "inline", "name", "statements")

    def __init__(self, head: Any, statements: list[Statement], attributes: list[tuple[str, str, int]]) -> None:
        self.head, self.statements, self.attributes = head, statements, attributes
        self.base = 0
        self.depth = 0
        self.name = ""
        self.callees: list[Block] = []
        # Computations written inside attributes, by the place of the attribute's value.
        self.inline: dict[int, list[Block]] = {}


class Reference:
    """An operand that is a name, with the shape it is said to have."""

    __slots__ = ("name", "shape")

    def __init__(self, shape: Any, name: Any) -> None:
        self.shape, self.name = shape, name


class ProgramText:
    """What a whole text holds."""

    def __init__(self) -> None:
        self.header: Any = None
        self.attributes: list[tuple[str, str, int]] = []
        self.tables = ""
        self.blocks: list[Block] = []
        self.single: Statement | None = None


def _attribute(token: Any) -> tuple[str, str, int]:
    name, _, value = token.partition("=")
    stripped = value.strip()
    return name[1:].strip(), stripped, token.start_pos + len(name) + 1 + len(value) - len(value.lstrip())


@lru_cache(maxsize=1)
def _grammar() -> Any:
    """The LALR parser; lark is imported when the first text is parsed."""
    from importlib.resources import files

    import lark

    class Build(lark.Transformer):
        """Makes the records above as rules are recognised."""

        def start(self, children: list[Any]) -> ProgramText:
            if isinstance(children[0], ProgramText):
                return children[0]
            text = ProgramText()
            text.single = children[0]
            return text

        def module(self, children: list[Any]) -> ProgramText:
            text = ProgramText()
            for child in children:
                if child.__class__ is Block:
                    text.blocks.append(child)
                elif child.type == "HEADER":
                    text.header = child
                elif child.type == "ATTRIBUTE":
                    text.attributes.append(_attribute(child))
                else:
                    text.tables = str(child).strip()
            return text

        def computation(self, children: list[Any]) -> Block:
            end = len(children) - 1
            while children[end].type != "CLOSE":
                end -= 1
            return Block(children[0], children[1:end], [_attribute(c) for c in children[end + 1 :]])

        def instruction(self, children: list[Any]) -> Statement:
            if children[1].type == "SHAPE":
                return Statement(children[0], Call(*children[1:4]), [_attribute(c) for c in children[4:]])
            return Statement(children[0], Call(None, children[1], children[2]), [_attribute(c) for c in children[3:]])

        def unnamed(self, children: list[Any]) -> Statement:
            name = lark.Token.new_borrow_pos("ASSIGN", "", children[0])
            return Statement(name, Call(*children[:3]), [_attribute(c) for c in children[3:]])

        def call(self, children: list[Any]) -> Call:
            return Call(*children) if len(children) == 3 else Call(None, *children)

        def reference(self, children: list[Any]) -> Reference:
            return Reference(*children) if len(children) == 2 else Reference(None, children[0])

        def nested(self, children: list[Any]) -> list[Any]:
            return children[:-1]

    text = (files("xlac.text") / "hlo.lark").read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", lexer="contextual", transformer=Build(), maybe_placeholders=False)


def parse_tree(source: Source, skeleton: str, base: int) -> ProgramText:
    """The records of a text; `base` is where in the source's skeleton it starts."""
    import lark

    lead = len(skeleton) - len(skeleton.lstrip())
    if lead == len(skeleton):
        raise source.error_at(
            "the text is empty; it must hold an HloModule, a computation or an instruction", len(source.text)
        )
    # Leading white space is no token's; it stays in the count of places.
    text = skeleton[lead:] if lead else skeleton
    lifted: list[str] = []
    try:
        result = _grammar().parse(text)
    except lark.exceptions.UnexpectedInput:
        text = _lift_deep_braces(text, lifted)
        whole, text = text, _lift_deep_tuples(text)
        try:
            result = _grammar().parse(text)
        except lark.exceptions.UnexpectedInput as error:
            raise _syntax_error(source, text, base + lead, error) from None
        _put_back(result, lifted, whole)
    for block in result.blocks:
        block.base = lead
    return result


def _lift_deep_braces(text: str, lifted: list[str]) -> str:
    """Replace braces in attributes that nest deeper than the grammar can tell by `@`.

    A number and spaces of the same length.
    """
    opened: list[tuple[int, bool]] = []  # place of each open brace, and whether an attribute's value begins with it
    deepest = 0
    pieces: list[str] = []
    done = 0
    for match in BRACE.finditer(text):
        if match[0] == "{":
            before = text[max(0, match.start() - 80) : match.start()].rstrip()
            opened.append((match.start(), before.endswith("=")))
            deepest = max(deepest, len(opened))
        elif match[0] == "}" and opened:
            start, is_value = opened.pop()
            if is_value and not any(v for _, v in opened):
                if deepest - len(opened) > _GRAMMAR_DEPTH:
                    name = f"@{len(lifted)}"
                    lifted.append(text[start : match.end()])
                    pieces += (text[done:start], name.ljust(match.end() - start))
                    done = match.end()
            if not opened:
                deepest = 0
            elif not any(v for _, v in opened):
                deepest = len(opened)
    pieces.append(text[done:])
    return "".join(pieces)


def _lift_deep_tuples(text: str) -> str:
    """Replace tuple shapes that nest deeper than the grammar can tell by `(@)` and spaces before the `)`.

    Whoever reads a shape with an `@` finds it in the source, at the same place.
    """
    opened: list[tuple[int, bool]] = []  # place of each open parenthesis, and whether a shape begins with it
    deepest = 0
    pieces: list[str] = []
    done = 0
    for match in _PARENTHESIS.finditer(text):
        start, end = match.span()
        if match[0] == "(":
            # After a name stand operands or parameters.
            before = text[max(0, start - 80) : start].rstrip()
            opened.append((start, not (before[-1:].isalnum() or before[-1:] in ("_", ".", "-"))))
            deepest = max(deepest, len(opened))
        elif match[0] == ")" and opened:
            start, is_shape = opened.pop()
            if is_shape and not (opened and opened[-1][1]) and _TUPLE_DEPTH < deepest - len(opened) <= MAX_TUPLE_DEPTH:
                pieces += (text[done:start], "(@".ljust(end - start - 1), ")")
                done = end
            if not (opened and opened[-1][1]):
                deepest = len(opened)
    pieces.append(text[done:])
    return "".join(pieces)


def _put_back(text: ProgramText, lifted: list[str], whole: str) -> None:
    """Give attributes the braces that were lifted out, and the tuple shapes as in the `whole` text before that."""
    lists = [text.attributes, *(b.attributes for b in text.blocks)]
    lists += [s.attributes for b in text.blocks for s in b.statements]
    if text.single is not None:
        lists.append(text.single.attributes)
    for attributes in lists:
        for i, (name, value, place) in enumerate(attributes):
            if value.startswith("@"):
                attributes[i] = (name, lifted[int(value[1:])], place)
            elif "(@" in value:
                attributes[i] = (name, whole[place : place + len(value)], place)


# ---- pieces of text


def value_of(source: Source, attr: Attr, name: str, text: str, place: int) -> Any:
    """The value that an attribute's text, at a place of the skeleton, spells."""
    try:
        return parse_attribute(attr.kind, text)
    except TextError as error:
        raise source.error(f"{name}: {error.message}", place + error.offset) from None


def shape_end(text: str, start: int) -> int:
    """Where the shape that begins at `start` ends, white space after it included; `start` where none begins."""
    match = _ARRAY_SHAPE.match(text, start)
    if match:
        return match.end()
    depth = 0
    for match in re.compile(r"[()]|[^\s()]").finditer(text, start):
        c = match[0]
        if c == "(":
            depth += 1
        elif c == ")":
            depth -= 1
            if not depth:
                return match.end()
        if not depth:
            break
    return start


def near(name: str, known: Any) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


# ---- syntax errors

_EXPECTATIONS = {
    "HEADER": "HloModule and a name",
    "HEAD": "a computation such as `ENTRY main {`",
    "ASSIGN": "an instruction such as `x = f32[2] add(a, b)`",
    "CLOSE": "} at the end of the computation",
    "SHAPE": "a shape such as f32[2,3]",
    "OPEN": "an opcode and (",
    "OPERANDS": "operands and )",
    "OPERAND": "an operand",
    "_COMMA": "a comma",
    "CLOSE_PARENTHESIS": ")",
    "ATTRIBUTE": "an attribute such as `, dimensions={0}`",
}
_ATTRIBUTE_NAME = re.compile(r",\s*([A-Za-z_][\w.\-]*)\s*=\s*")
_NAMED = re.compile(r"(?:ROOT\s+)?%?([A-Za-z_][\w.\-]*)\s*")
_ITEM = re.compile(
    r"(?:-?\d+|@\d+|(?:[A-Za-z]\w*\[[^\[\]]*\](?:\s*\{[\d,\s]*(?::[^{}]*)?\})?\s*)?%?[A-Za-z_][\w.\-]*)\s*"
)


def _syntax_error(source: Source, text: str, base: int, error: Any) -> ParseError:
    """The ParseError for what lark could not place in `text`, which starts at `base` of the skeleton."""
    import lark

    position = len(text)
    if isinstance(error, lark.exceptions.UnexpectedCharacters):
        position, expected = error.pos_in_stream, set(error.allowed or ())
    else:
        expected = set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())
        token = getattr(error, "token", None)
        if token is not None and token.type != "$END":
            position = token.start_pos
    if position < len(text):
        better = _precise(text, position, expected)
        if better:
            return source.error(better[0], base + better[1])
    wanted = [words for name, words in _EXPECTATIONS.items() if name in expected]
    hint = f"; expected {', '.join(wanted[:-1])}{' or ' if wanted[1:] else ''}{wanted[-1]}" if wanted else ""
    if position >= len(text):
        return source.error(f"the text ends too early{hint}", base + len(text.rstrip()))
    return source.error(f"{_shown(text, position)} cannot stand here{hint}", base + position)


def _shown(text: str, position: int) -> str:
    if not text[position:].strip():
        return "the end"
    match = _SHOW.match(text, position)
    word = match[1][:40] if match else text[position]
    return repr("a literal" if word.startswith("@") else word)


def _precise(text: str, position: int, expected: set[str]) -> tuple[str, int] | None:
    """A message and place for a fault inside a long token, which lark can only report at its beginning."""
    if "OPERANDS" in expected:
        while True:
            match = _ITEM.match(text, position)
            if not match:
                if text[position] == "(":
                    return None
                return f"{_shown(text, position)} is not an operand; one looks like %x, or f32[2] %x", position
            position = match.end()
            if position == len(text):
                return "the text ends inside the operands; ) is missing", position
            if text[position] != ",":
                return f"{_shown(text, position)} after an operand; a comma or ) was expected", position
            position += 1
            while position < len(text) and text[position].isspace():
                position += 1
            if position == len(text):
                return "the text ends inside the operands; ) is missing", position
    if "ATTRIBUTE" in expected and text[position] == ",":
        match = _ATTRIBUTE_NAME.match(text, position)
        if not match:
            return f"{_shown(text, position + 1)} is not an attribute; one looks like name=value", position + 1
        value = text[match.end() : match.end() + 1]
        if value == "{":
            return f"the braces of attribute {match[1]} are not closed; }} is missing", position
        if value in ('"', "'"):
            return f"the string of attribute {match[1]} is not closed; {value} is missing", match.end()
        return f"attribute {match[1]} has no value; one looks like {match[1]}=value", match.end()
    if "ASSIGN" in expected:
        match = _NAMED.match(text, position)
        if match and match[1] != "ENTRY" and text[match.end() : match.end() + 1] not in ("=", "{", "("):
            return f"{_shown(text, match.end())} after the name {match[1]}; = was expected", match.end()
    if "SHAPE" in expected and "OPEN" in expected and text[position] == "(":
        depth = 0
        for match in re.finditer(r"[()]", text[position : position + 4000]):
            depth += 1 if match[0] == "(" else -1
            if depth > MAX_TUPLE_DEPTH:
                return f"tuple shapes are nested more than {MAX_TUPLE_DEPTH} deep here", position
            if not depth:
                break
        return "this tuple shape is not complete", position
    return None
