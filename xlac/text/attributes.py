"""The text of attribute values by `Kind`, both ways.

Values that name computations are the parser's and the printer's own.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from xlac.errors import ShapeError
from xlac.ir.opcode import Kind
from xlac.ir.shape import ArrayShape, Shape, TupleShape, leaves
from xlac.ir.window import dim_labels_to_string, parse_dim_labels, parse_window, window_to_string
from xlac.text.shapes import TextError

# Extras that are no attributes: of a tuple that was one constant, and of a constant whose elements were left out.
TUPLE_LITERAL = "tuple_literal"
ELIDED = "elided"

# Attributes that every instruction may have. They are kept as text and mean nothing here.
COMMON_ATTRIBUTES = (
    "sharding",
    "frontend_attributes",
    "backend_config",
    "origin",
    "statistics",
    "parameter_replication",
)

# Attributes of single opcodes that say how XLA runs them or where they came from, not what they compute.
OPAQUE_ATTRIBUTES = frozenset(
    {
        "_scheduling_group_id",
        "async_execution_thread",
        "called_computations",
        "conv_kind",
        "convolution_kind",
        "is_composite",
        "is_host_transfer",
        "mode",
        "operand_layout_constraints",
        "output_to_operand_aliasing",
        "outer_dimension_partitions",
        "raw_backend_config",
        "schedule",
        "custom_call_schedule",
        "custom_call_has_side_effect",
        "padding_type",
        "sharding_rule",
        "sparsity_config",
        "version",
    }
)

_ACCURACY = re.compile(
    r"\{\s*(?:mode\s*=\s*(?:default|highest)|"
    r"tolerance\s*=\s*\{(?:\s*,?\s*(?:[ar]tol|ulps)\s*=\s*[-+.\w]+)*\s*\})\s*\}\Z"
)

_INT = re.compile(r"-?\d{1,19}\Z")
_LONG_INTEGER = re.compile(r"\d{19}")
_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z|-?(?:inf|nan)\Z")
_WORD = re.compile(r"[A-Za-z_][\w.\-]*\Z")
_SLICE = re.compile(r"\s*\[\s*(\d{1,19})\s*:\s*(\d{1,19})\s*(?::\s*(\d{1,19})\s*)?\]\s*")
_PADDING = re.compile(r"(-?\d{1,19})_(-?\d{1,19})(?:_(\d{1,19}))?\Z")
_STRING = re.compile(r"""(?s:"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*')\Z""")
_ESCAPE = re.compile(r"\\(?:([nrtabfv\\'\"?])|x([0-9a-fA-F]{1,2})|([0-7]{1,3}))")
_LETTERS = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_METADATA = re.compile(r"""\s*,?\s*([A-Za-z_]\w*)\s*=\s*("[^"\\]*(?:\\.[^"\\]*)*"|\{[^{}"]*\}|[^\s,{}"]+)""", re.DOTALL)


class RawText(str):
    """A value of the metadata that is neither a number nor a string, such as `{1}`; printed as it is."""


def unquote(text: str) -> str:
    """The string that quoted text with C escapes spells."""
    body = text[1:-1]
    if "\\" not in body:
        return body

    # Escapes name bytes; UTF-8 is put together again at the end.
    def plain(match: re.Match[str]) -> str:
        if match[1]:
            return _LETTERS.get(match[1], match[1])
        code = int(match[2], 16) if match[2] else int(match[3], 8) & 255
        return chr(code) if code < 128 else chr(0xDC00 + code)

    # Lone surrogates stand for the bytes above 127 until they are decoded together.
    return _ESCAPE.sub(plain, body).encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def quote(text: str) -> str:
    """A string in quotes, with C escapes as XLA writes them."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text and "'" not in text:
        return f'"{text}"'
    out = []
    for byte in text.encode("utf-8", "surrogateescape"):
        c = chr(byte)
        if c in "\\\"'":
            out.append("\\" + c)
        elif c in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[c])
        elif 32 <= byte < 127:
            out.append(c)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def _items(text: str, what: str) -> list[str]:
    """The comma-separated items between braces."""
    if not (text.startswith("{") and text.endswith("}")):
        raise TextError(f"{text[:40]} is not {what}")
    body = text[1:-1].strip()
    return [item.strip() for item in body.split(",")] if body else []


def _int(text: str) -> int:
    if not _INT.match(text) or abs(int(text)) >= 2**63:
        raise TextError(f"{text[:40]} is not an integer of 64 bits")
    return int(text)


def _ints(text: str) -> tuple[int, ...]:
    return tuple(_int(item) for item in _items(text, "a list of integers such as {0,1}"))


def _float(text: str) -> float:
    if not _FLOAT.match(text):
        raise TextError(f"{text[:40]} is not a number such as 0.001")
    return float(text)


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise TextError(f"{text[:40]} is neither true nor false")
    return text == "true"


def _word(text: str) -> str:
    if not _WORD.match(text):
        raise TextError(f"{text[:40]} is not a word")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(_word(item) for item in _items(text, "a list of words such as {default,highest}"))


def _string(text: str) -> str:
    if not _STRING.match(text):
        raise TextError(f'{text[:40]} is not a string in quotes such as "name"')
    return unquote(text)


def _accuracy(text: str) -> str:
    if not _ACCURACY.match(text):
        raise TextError(
            f"{text[:40]} is not an accuracy such as {{mode=highest}} or {{tolerance={{atol=0.1,rtol=0.5,ulps=2}}}}"
        )
    return text


def _slices(text: str) -> tuple[tuple[int, int, int], ...]:
    what = "a list of slices such as {[0:2], [1:9:2]}"
    if not (text.startswith("{") and text.endswith("}")):
        raise TextError(f"{text[:40]} is not {what}")
    result, position, end = [], 1, len(text) - 1
    if not text[1:-1].strip():
        return ()
    while True:
        match = _SLICE.match(text, position, end)
        if not match:
            raise TextError(
                f"{text[position:end][:40].strip() or text[:40]} is not a slice; this must be {what}", position
            )
        result.append((int(match[1]), int(match[2]), int(match[3]) if match[3] else 1))
        position = match.end()
        if position == end:
            return tuple(result)
        if text[position] != ",":
            raise TextError(f"{text[position]!r} between slices; a comma was expected", position)
        position += 1


def _padding(text: str) -> tuple[tuple[int, int, int], ...]:
    if not text:
        return ()
    result = []
    for part in text.split("x"):
        match = _PADDING.match(part)
        if not match:
            raise TextError(
                f"{text[:40]} is not a padding; it must be low_high or low_high_interior, joined by x, as in 0_1x2_0_1"
            )
        result.append((int(match[1]), int(match[2]), int(match[3] or 0)))
    return tuple(result)


_PARSERS = {
    Kind.INT: _int,
    Kind.INTS: _ints,
    Kind.FLOAT: _float,
    Kind.BOOL: _bool,
    Kind.WORD: _word,
    Kind.WORDS: _words,
    Kind.STRING: _string,
    Kind.RAW: str,
    Kind.ACCURACY: _accuracy,
    Kind.SLICES: _slices,
    Kind.PADDING: _padding,
    Kind.WINDOW: parse_window,
    Kind.DIM_LABELS: parse_dim_labels,
}


@lru_cache(maxsize=8192)
def parse_attribute(kind: Kind, text: str) -> Any:
    """The value of an attribute of a kind from its text.

    Raises:
      TextError: it is not a value of that kind; the message says what one looks like.
    """
    if kind is Kind.WINDOW and _LONG_INTEGER.search(text):
        raise TextError(f"{text[:40]} holds an integer of more than 18 digits")
    try:
        return _PARSERS[kind](text)
    except ShapeError as error:
        raise TextError(str(error)) from None


def float_to_string(value: float) -> str:
    """A float attribute with the fewest digits that read back to it."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return str(int(value))
    return repr(float(value))


def _slice_text(start: int, limit: int, stride: int) -> str:
    return f"[{start}:{limit}]" if stride == 1 else f"[{start}:{limit}:{stride}]"


def _padding_text(value: tuple[tuple[int, int, int], ...]) -> str:
    interior = any(p[2] for p in value)
    return "x".join("_".join(map(str, p if interior else p[:2])) for p in value)


_PRINTERS = {
    Kind.INT: str,
    Kind.INTS: lambda v: "{" + ",".join(map(str, v)) + "}",
    Kind.FLOAT: float_to_string,
    Kind.BOOL: lambda v: "true" if v else "false",
    Kind.WORD: str,
    Kind.WORDS: lambda v: "{" + ",".join(v) + "}",
    Kind.STRING: quote,
    Kind.RAW: str,
    Kind.ACCURACY: str,
    Kind.SLICES: lambda v: "{" + ", ".join(_slice_text(*s) for s in v) + "}",
    Kind.PADDING: _padding_text,
    Kind.WINDOW: lambda v: "{" + window_to_string(v) + "}",
    Kind.DIM_LABELS: dim_labels_to_string,
}


def attribute_to_string(kind: Kind, value: Any) -> str:
    """The text of an attribute's value."""
    return _PRINTERS[kind](value)


def parse_metadata(text: str) -> dict[str, Any]:
    """The fields of `{op_type="..." op_name="..." source_line=3}`: strings as str, numbers as int, the rest as RawText.

    Raises:
      TextError: not of that form.
    """
    if not (text.startswith("{") and text.endswith("}")):
        raise TextError(f'{text[:40]} is not metadata; it must look like {{op_name="add" source_line=3}}')
    result: dict[str, Any] = {}
    position, end = 1, len(text) - 1
    while position < end:
        match = _METADATA.match(text, position, end)
        if not match:
            if not text[position:end].strip():
                break
            raise TextError('metadata fields look like op_name="add" or source_line=3', position)
        name, value = match.groups()
        if value[0] == '"':
            result[name] = unquote(value)
        elif _INT.match(value):
            result[name] = int(value)
        else:
            result[name] = RawText(value)
        position = match.end()
    return result


def metadata_to_string(metadata: dict[str, Any]) -> str:
    """The text of an instruction's metadata, in braces."""
    fields = []
    for name, value in metadata.items():
        if isinstance(value, str) and not isinstance(value, RawText):
            value = quote(value)
        elif isinstance(value, bool):
            value = "true" if value else "false"
        fields.append(f"{name}={value}")
    return "{" + " ".join(fields) + "}"


# ---- input_output_alias and buffer_donor of a module

_PATH = r"\{\s*((?:\d{1,9}\s*(?:,\s*\d{1,9}\s*)*)?)\}"
_DONOR = re.compile(rf"\s*\(\s*(?P<number>\d{{1,9}})\s*,\s*{_PATH}\s*\)\s*")
_ALIAS = re.compile(rf"\s*{_PATH}\s*:\s*\(\s*(?P<number>\d{{1,9}})\s*,\s*{_PATH}\s*(?:,\s*(?:may|must)-alias\s*)?\)\s*")


def parse_donors(text: str, parameters: Sequence[Shape]) -> list[int]:
    """The parameters named in `{ (1, {0}), (2, {}) }`, as numbers among the arrays of all.

    Raises:
      TextError: the text has another form, or there is no such parameter or part of one.
    """
    numbers: set[int] = set()
    arrays = _Arrays(TupleShape(tuple(parameters)), "parameter")
    for match in _entries(text, _DONOR, "(parameter, {index}), as in (1, {})"):
        numbers.update(arrays.at(match, 2)[0])
    return sorted(numbers)


def parse_aliases(text: str, parameters: Sequence[Shape], result: Shape) -> list[int]:
    """The parameters named in `{ {0}: (1, {}, may-alias) }`, as numbers among the arrays of all.

    Raises:
      TextError: the text has another form, there is no such parameter, result or part of one, one of them is named
        twice, or one is not an array.
    """
    numbers: set[int] = set()
    outputs: set[int] = set()
    inputs, results = _Arrays(TupleShape(tuple(parameters)), "parameter"), _Arrays(result, "result")
    for match in _entries(text, _ALIAS, "{output index}: (parameter, {index}, may-alias)"):
        taken, parameter = inputs.at(match, 3)
        given, output = results.at(match, 1)
        for shape, what in ((parameter, "parameter"), (output, "result")):
            if not isinstance(shape, ArrayShape):
                raise TextError(f"the {what} of {match[0].strip()} is {shape}; only arrays share memory", match.start())
        for seen, new, what in ((outputs, given, "result"), (numbers, taken, "parameter")):
            if not seen.isdisjoint(new):
                raise TextError(f"{match[0].strip()}: that {what} has an alias already", match.start())
            seen.update(new)
    return sorted(numbers)


def _entries(text: str, entry: re.Pattern[str], form: str) -> Iterator[re.Match[str]]:
    """The matches of a list in braces, commas between them."""
    start = text.find("{") + 1
    end = text.rstrip().rfind("}")
    if not start or text[: start - 1].strip() or end < start or text[end + 1 :].strip():
        raise TextError("a list in braces was expected", 0)
    end = len(text[:end].rstrip())
    while start < end:
        match = entry.match(text, start, end)
        if match is None:
            raise TextError(f"{text[start : start + 40].strip()} is not of the form {form}", start)
        yield match
        start = match.end()
        if start < end and text[start] != ",":
            raise TextError(f"a comma was expected before {text[start : start + 40].strip()}", start)
        start += 1


class _Arrays:
    """The arrays in a shape, numbered in order.

    `what` is what the shape is of: "result", or "parameter" for a tuple of all, whose index starts with a number.
    """

    def __init__(self, shape: Shape, what: str) -> None:
        self.shape, self.what = shape, what
        self._before: dict[int, list[int]] = {}  # of tuples: how many arrays come before each part

    def at(self, match: re.Match[str], group: int) -> tuple[range, Shape]:
        """Where the index of a group leads: the numbers of the arrays there, and what is there."""
        path = [int(n) for n in match[group].split(",") if n.strip()]
        if self.what == "parameter":
            path = [int(match["number"]), *path]
        first, shape = 0, self.shape
        for n in path:
            if not isinstance(shape, TupleShape) or n >= len(shape):
                raise TextError(f"{match[0].strip()}: there is no such {self.what}", match.start())
            before = self._before.get(id(shape))
            if before is None:
                counts = map(_array_count, shape.shapes)
                before = self._before[id(shape)] = list(itertools.accumulate(counts, initial=0))
            first, shape = first + before[n], shape.shapes[n]
        return range(first, first + _array_count(shape)), shape


def _array_count(shape: Shape) -> int:
    return sum(isinstance(leaf, ArrayShape) for leaf in leaves(shape))


def format_donors(numbers: Iterable[int], parameters: Sequence[Shape]) -> str:
    """The text of `buffer_donor` for arrays of the parameters, by their numbers among all."""
    texts: list[str] = []
    stack = [((i,), shape) for i, shape in reversed(list(enumerate(parameters)))]
    while stack:
        path, shape = stack.pop()
        if isinstance(shape, TupleShape):
            stack += [((*path, i), part) for i, part in reversed(list(enumerate(shape)))]
        elif isinstance(shape, ArrayShape):
            texts.append(f"({path[0]}, {{{','.join(map(str, path[1:]))}}})")
    return f"{{ {', '.join(texts[n] for n in sorted(numbers))} }}"
