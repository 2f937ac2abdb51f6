"""HLO's text of shapes, both ways: `f32[2,3]{1,0}`, `(s32[], f32[4]{0:T(128)})`, `token[]`.

Of a layout only the order of the dimensions means anything here. What else it says (tiles, memory space, element size)
is kept as text beside the order, so that a shape that passes through unchanged is printed as it was read.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache

from xlac.errors import XlacError
from xlac.ir.shape import (
    ELEMENT_TYPES,
    MAX_BYTES,
    ArrayShape,
    OpaqueShape,
    Shape,
    TokenShape,
    TupleShape,
    descending_layout,
)

# NumPy's limit; XLA has none, but no program comes near it.
MAX_RANK = 64
MAX_TUPLE_DEPTH = 64

_ARRAY = re.compile(r"\s*([A-Za-z]\w*)\[([^\[\]]*)\](?:\s*\{([\d,\s]*)(:[^{}]*)?\})?\s*")
_DIMS = re.compile(r"\s*(?:\d{1,19}\s*(?:,\s*\d{1,19}\s*)*)?\Z")
_ANNOTATIONS = re.compile(
    r"(?:D\(D(?:,D)*\))?(?:T(?:\((?:-?\d+|\*)(?:,(?:-?\d+|\*))*\))+)?(?:#\(\w+\))?(?:\*\(\w+\))?"
    r"(?:L\(\d+\))?(?:E\(\d+\))?(?:S\(\d+\))?(?:SC\([\d:,()]*\))*(?:M\(\d+\))?\Z"
)
_TOKEN, _OPAQUE = TokenShape(), OpaqueShape()


class TextError(XlacError):
    """A fault in a piece of text; `offset` is where in the piece. The parser turns it into a ParseError."""

    def __init__(self, message: str, offset: int = 0) -> None:
        self.message, self.offset = message, offset
        super().__init__(message)


class AnnotatedLayout(tuple):
    """A minor-to-major order that remembers what else the text said of the layout, such as `T(8,128)S(1)`."""

    annotations: str

    def __new__(cls, order: tuple[int, ...], annotations: str) -> AnnotatedLayout:
        self = super().__new__(cls, order)
        self.annotations = annotations
        return self

    def __getnewargs__(self) -> tuple[tuple[int, ...], str]:
        return tuple(self), self.annotations


def _array(match: re.Match[str]) -> Shape:
    name, dims_text, layout_text, annotations = match.groups()
    if name == "token" or name == "opaque":
        if dims_text.strip():
            raise TextError(f"a {name} has no dimensions; write {name}[]", match.start(2))
        return _TOKEN if name == "token" else _OPAQUE
    row = ELEMENT_TYPES.get(name)
    if row is None:
        raise TextError(f"{name} is not an element type; they are {', '.join(ELEMENT_TYPES)}", match.start(1))
    if not _DIMS.match(dims_text):
        if "<=" in dims_text or "?" in dims_text:
            raise TextError(
                f"{name}[{dims_text}] has a dynamic dimension; only fixed sizes are supported", match.start(2)
            )
        raise TextError(
            f"{name}[{dims_text}]: dimensions must be integers from 0 to 2^62, parted by commas", match.start(2)
        )
    dims = tuple(int(d) for d in dims_text.split(",")) if dims_text.strip() else ()
    if len(dims) > MAX_RANK:
        raise TextError(f"{len(dims)} dimensions; a shape may have at most {MAX_RANK}", match.start(2))
    # The largest prefix counts too: a zero later on must not hide an impossible extent.
    if math.prod(d for d in dims if d) * row.dtype.itemsize > MAX_BYTES:
        raise TextError(f"{name}[{dims_text}] is larger than 2^62 bytes", match.start(2))
    return ArrayShape(row, dims, _layout(match, len(dims), layout_text, annotations))


def _layout(match: re.Match[str], rank: int, order_text: str | None, annotations: str | None) -> tuple[int, ...] | None:
    """The layout as None (row-major), a plain order, or an order with annotations."""
    if order_text is None:
        return None
    try:
        order = tuple(int(d) for d in order_text.split(",")) if order_text.strip() else ()
    except ValueError:
        raise TextError(
            f"layout {{{order_text}}}: it must be dimension numbers parted by commas", match.start(3)
        ) from None
    if not order and annotations and rank > 1:
        order = descending_layout(rank)
    if not order and annotations and rank == 1:
        order = (0,)
    if sorted(order) != list(range(rank)):
        wanted = ",".join(map(str, descending_layout(rank)))
        raise TextError(
            f"layout {{{order_text}}} of a shape with {rank} dimensions; it must name each once, as in {{{wanted}}}",
            match.start(3),
        )
    if annotations is not None:
        extra = re.sub(r"\s+", "", annotations[1:])
        if "P(" in extra:
            raise TextError("the layout has a physical shape, but the array is not sparse", match.start(4))
        if "D(" in extra and not re.match(r"D\(D(?:,D)*\)", extra):
            raise TextError("sparse layouts are not supported; every dimension must be dense", match.start(4))
        if not _ANNOTATIONS.match(extra):
            raise TextError(f"layout {{{order_text}:{extra}}}: after the colon stand tiles, as in T(8,128)S(1)",
                            match.start(4))  # fmt: skip
        extra = re.sub(r"^D\(D(?:,D)*\)", "", extra)
        if extra:
            return AnnotatedLayout(order, extra)
    return None if order == descending_layout(rank) else order


@lru_cache(maxsize=8192)
def parse_shape(text: str) -> Shape:
    """The shape that `text`, free of comments, spells.

    Raises:
      TextError: it spells none, or one that nothing could hold.
    """
    match = _ARRAY.match(text)
    if match and match.end() == len(text):
        return _array(match)
    return _tuple(text)


def _tuple(text: str) -> Shape:
    """A shape that may be a tuple; `open_` holds the parts so far of each tuple that is not closed yet."""
    open_: list[list[Shape]] = []
    position, end = len(text) - len(text.lstrip()), len(text)
    shape: Shape | None = None
    while position < end:
        c = text[position]
        if shape is not None:
            if open_ and c == ",":
                open_[-1].append(shape)
                shape = None
                position += 1
            elif open_ and c == ")":
                shape = TupleShape((*open_.pop(), shape))
                position += 1
            else:
                raise TextError(
                    f"{c!r} after a shape; {'a comma or )' if open_ else 'nothing more'} was expected", position
                )
        elif c == "(":
            open_.append([])
            if len(open_) > MAX_TUPLE_DEPTH:
                raise TextError(f"tuples nested more than {MAX_TUPLE_DEPTH} deep", position)
            position += 1
        elif c == ")" and open_ and not open_[-1]:
            open_.pop()
            shape = TupleShape(())
            position += 1
        else:
            match = _ARRAY.match(text, position)
            if not match:
                raise TextError(
                    "this is not a shape; one looks like f32[2,3]{1,0}, (s32[], f32[4]) or token[]", position
                )
            shape = _array(match)
            position = match.end()
        while position < end and text[position].isspace():
            position += 1
    if open_ or shape is None:
        raise TextError("the shape is not complete; a ) is missing" if open_ else "a shape is missing", end)
    return shape


@lru_cache(maxsize=8192)
def _array_text(name: str, dims: tuple[int, ...], layout: tuple[int, ...] | None, annotations: str) -> str:
    text = f"{name}[{','.join(map(str, dims))}]"
    if layout is None:
        return text
    order = ",".join(map(str, layout))
    return f"{text}{{{order}:{annotations}}}" if annotations else f"{text}{{{order}}}" if order else text


def shape_to_string(shape: Shape, layout: bool = True) -> str:
    """The text of a shape as XLA writes it, with the layouts of its arrays unless `layout` is False."""
    if isinstance(shape, ArrayShape):
        if not layout:
            return _array_text(shape.element_type.name, shape.dims, None, "")
        order = shape.minor_to_major
        return _array_text(shape.element_type.name, shape.dims, tuple(order), getattr(order, "annotations", ""))
    if isinstance(shape, TupleShape):
        parts = [shape_to_string(part, layout) for part in shape.shapes]
        # XLA numbers every fifth part of long tuples.
        return "(" + ", ".join(f"/*index={i}*/{p}" if i and not i % 5 else p for i, p in enumerate(parts)) + ")"
    return str(shape)
