"""MLIR's literals in both directions: `dense<...>` and the numbers in it to NumPy arrays, and arrays to such text."""

from __future__ import annotations

import re

import numpy as np

from xlac.errors import ParseError
from xlac.ir.shape import ArrayShape, ElementType
from xlac.text.decimals import parse_floats, parse_integers
from xlac.text.literals import integer_range

# Larger arrays than this are written as their bytes in hexadecimal, as MLIR does.
HEX_ABOVE = 100

_NOT_BRACKETS = bytes(c for c in range(256) if c not in b"[](),")
_NO_BRACKETS = bytes.maketrans(b"[]()", b"    ")
# Pieces of text longer than this are read by whole-array operations.
_LONG = 400
# Characters of a long text that are read at once.
_PIECE = 1 << 18
_BRACKETS_TO_SPACE = bytes.maketrans(b"[](),\t\r\n", b"        ")
# A character's kind: 1 a comma, 2 an opening and 3 a closing bracket, 0 any other; and the pairs of kinds, as
# 4 * first + second, that may follow each other.
_KINDS = bytes({",": 1, "[": 2, "(": 2, "]": 3, ")": 3}.get(chr(c), 0) for c in range(256))
_FITTING = bytes(4 * a + b for a, b in ((0, 0), (0, 1), (0, 3), (1, 0), (1, 2), (2, 0), (2, 2), (3, 1), (3, 3)))
_COMPLEX = re.compile(r"\(([^(),]*),([^(),]*)\)")
_NUMBER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)\Z")


def parse_dense(text: str, shape: ArrayShape) -> np.ndarray:
    """The array of a `dense<...>` attribute of type `shape`; one value for all gives a broadcast view.

    Raises:
      ParseError: the text is no literal of that shape; line and column are left to the caller.
    """
    body = text[text.index("<") + 1 : -1].strip()
    row = shape.element_type
    if body.startswith('"'):
        return _from_hex(body.strip('"'), shape)
    if not body:
        if shape.size:
            raise ParseError(f"the literal is empty but its type, {shape}, has {shape.size} elements")
        return np.zeros(shape.dims, row.dtype)
    if "[" not in body:
        scalar = _numbers([body] if not row.is_complex else _pair(body), row)
        return np.broadcast_to(scalar.reshape(()), shape.dims)
    if not body.isascii():
        raise ParseError(f"{next(c for c in body if ord(c) > 127)!r} cannot stand in a literal")
    data = body.encode()
    del body
    found = data.translate(None, _NOT_BRACKETS)
    elements = found.count(b"(") if row.is_complex else found.count(b",") + 1
    if elements != shape.size and shape.size:
        raise ParseError(f"the literal has {elements} elements but its type, {shape}, has {shape.size}")
    innermost = b"(,)" if row.is_complex else b""
    if len(found) != _skeleton_length(shape.dims, len(innermost)) or found != _skeleton(shape.dims, innermost):
        pairs = " of pairs (real, imaginary)" if row.is_complex else ""
        raise ParseError(
            f"the literal's lists{pairs} are not nested as its type, {shape}, asks: {shape.dims} elements a level"
        )
    result = np.empty(shape.dims, row.dtype)
    if shape.size:
        _read_pieces(data, shape, result.reshape(-1).view(row.real.dtype if row.is_complex else row.dtype))
    return result


def _read_pieces(data: bytes, shape: ArrayShape, into: np.ndarray) -> None:
    """Read the numbers of a text whose brackets and commas are right; pieces with words that are not plain numbers are
    read word by word."""
    row = shape.element_type
    start = done = 0
    while start < len(data):
        end = data.find(b"(" if row.is_complex else b",", start + _PIECE)
        if end >= 0 and row.is_complex:
            end = data.rfind(b",", start, end)
        end = end if end >= 0 else len(data)
        piece = data[start:end]
        count = piece.count(b",") + 1
        if not _each_in_its_place(piece):
            raise ParseError(f"a number of the literal of type {shape} does not stand between its commas and brackets")
        numbers = _many_numbers(piece, row.real if row.is_complex else row) if len(piece) > _LONG else None
        if numbers is None or numbers.size != count:
            words = piece.translate(_NO_BRACKETS).decode().split(",")
            numbers = _numbers(words, row.real if row.is_complex else row)
        into[done : done + count] = numbers
        done += count
        start = end + 1


def _many_numbers(data: bytes, row: ElementType) -> np.ndarray | None:
    """The numbers of a text whose structure is checked, or None where it takes more care to read them."""
    if row.kind == "p":
        data = data.replace(b"true", b"   1").replace(b"false", b"    0")
    spaced = data.translate(_BRACKETS_TO_SPACE)
    if not row.is_inexact:
        integers = parse_integers(spaced, *integer_range(row))
        return None if integers is None else integers.astype(np.int8 if row.bits < 8 else row.dtype).astype(row.dtype)
    values = parse_floats(spaced)
    with np.errstate(all="ignore"):
        return None if values is None else _narrowed(values, row)


def _each_in_its_place(data: bytes) -> bool:
    """Whether there is a word, and nothing but a word, in each place between the brackets and commas."""
    kinds = np.frombuffer(b"\1" + data.translate(_KINDS, b" \t\r\n") + b"\1", np.uint8)
    return not (kinds[:-1] * 4 + kinds[1:]).tobytes().translate(None, _FITTING)


def _pair(body: str) -> list[str]:
    match = _COMPLEX.fullmatch(body)
    if match is None:
        raise ParseError(f"a complex number is written (real, imaginary), not {body}")
    return [match[1], match[2]]


def _skeleton(dims: tuple[int, ...], inner: bytes) -> bytes:
    """The brackets and commas of nested lists of these extents, with `inner` for each element."""
    for extent in reversed(dims):
        inner = b"[" + ((inner + b",") * extent)[:-1] + b"]"
    return inner


def _skeleton_length(dims: tuple[int, ...], length: int) -> int:
    for extent in reversed(dims):
        length = 2 + extent * length + max(extent - 1, 0)
    return length


def _numbers(words: list[str], row: ElementType) -> np.ndarray:
    """The values of number words; complex types take two words a value."""
    if row.is_complex:
        real = _numbers(words, row.real)
        return real.view(row.dtype)
    words = [w.strip() for w in words]
    if row.kind == "p":
        if not set(words) <= {"true", "false", "0", "1"}:
            bad = next(w for w in words if w not in ("true", "false"))
            raise ParseError(f"{bad} is not a value of type {row.mlir}; write true or false")
        return np.array([w in ("true", "1") for w in words], bool)
    if row.is_integer:
        return _integers(words, row)
    with np.errstate(all="ignore"):
        try:
            return _narrowed(np.array(words, np.float64), row)
        except ValueError:
            return _floats(words, row)


def _narrowed(values: np.ndarray, row: ElementType) -> np.ndarray:
    return values.astype(np.float32 if row.bits < 32 else row.dtype).astype(row.dtype)


def _integers(words: list[str], row: ElementType) -> np.ndarray:
    try:
        values = np.array(words, np.int64) if row.name != "u64" else np.array([int(w) for w in words], object)
    except (ValueError, OverflowError):
        values = np.array([_integer(w, row) for w in words], object)
    # Unsigned types are read from negative numbers too, and signed ones from large positive: the bits count.
    low = -(1 << (row.bits - 1))
    high = (1 << row.bits) - 1
    if values.size and (values.min() < low or values.max() > high):
        bad = next(w for w in words if not low <= _integer(w, row) <= high)
        raise ParseError(f"{bad} does not fit the type {row.mlir}")
    if row.bits < 8:
        limit = 1 << row.bits
        wrapped = np.array([int(v) % limit for v in values], np.int16)
        signed = np.where(wrapped >= limit // 2, wrapped - limit, wrapped) if row.kind == "s" else wrapped
        return signed.astype(np.int8).astype(row.dtype)
    if values.dtype == object:
        return np.array([int(v) & high for v in values], np.uint64).astype(f"u{row.dtype.itemsize}").view(row.dtype)
    return values.astype(row.dtype)


def _integer(word: str, row: ElementType) -> int:
    if word in ("true", "false"):
        return int(word == "true")
    if not _NUMBER.match(word):
        raise ParseError(f"{word or 'nothing'} is not a number of type {row.mlir}")
    try:
        return int(word, 0) if "x" in word.lower() else int(word)
    except ValueError:
        raise ParseError(f"{word} is not a number of type {row.mlir}; integers have no point or exponent") from None


def _floats(words: list[str], row: ElementType) -> np.ndarray:
    """Numbers some of which are written as their bits in hexadecimal."""
    carrier = np.dtype(f"u{row.dtype.itemsize}")
    values = np.empty(len(words), row.dtype)
    bits = values.view(carrier)
    middle = np.float32 if row.bits < 32 else row.dtype
    for i, word in enumerate(words):
        if not _NUMBER.match(word):
            raise ParseError(f"{word or 'nothing'} is not a number of type {row.mlir}")
        if word[:2] in ("0x", "0X"):
            number = int(word, 16)
            if number >> row.bits:
                raise ParseError(f"{word} has more bits than the type {row.mlir}")
            bits[i] = number
        else:
            values[i] = np.array(float(word)).astype(middle).astype(row.dtype)
    return values


def _from_hex(text: str, shape: ArrayShape) -> np.ndarray:
    try:
        raw = bytes.fromhex(text[2:] if text[:2] in ("0x", "0X") else text)
    except ValueError:
        raise ParseError("the bytes of a literal must be pairs of hexadecimal digits after 0x") from None
    return from_bytes(raw, shape)


def from_bytes(raw: bytes, shape: ArrayShape) -> np.ndarray:
    """The array whose little-endian bytes are `raw`; i1 has eight elements a byte, other narrow types one.

    Raises:
      ParseError: there are too few or too many bytes.
    """
    row = shape.element_type
    if row.kind == "p":
        if len(raw) == -(-shape.size // 8) and shape.size != 1:
            if len(raw) == 1 and raw in (b"\x00", b"\xff"):
                return np.broadcast_to(np.array(raw != b"\x00"), shape.dims)
            bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
            return bits[: shape.size].astype(bool).reshape(shape.dims)
        if len(raw) == 1:
            return np.broadcast_to(np.array(raw != b"\x00"), shape.dims)
    size = row.dtype.itemsize
    if len(raw) not in (size, size * shape.size) or (not raw and shape.size):
        raise ParseError(f"the literal has {len(raw)} bytes but its type, {shape}, needs {size * shape.size}")
    if row.is_integer and row.bits < 8:
        values = np.frombuffer(raw, np.uint8).astype(np.int16) & ((1 << row.bits) - 1)
        if row.kind == "s":
            values = np.where(values >= 1 << (row.bits - 1), values - (1 << row.bits), values)
        array = values.astype(np.int8).astype(row.dtype)
    else:
        array = np.frombuffer(raw, row.dtype)
    if len(raw) == size and shape.size != 1:
        return np.broadcast_to(array.reshape(()), shape.dims)
    return array.reshape(shape.dims)


def print_dense(array: np.ndarray, row: ElementType) -> str:
    """The `dense<...>` text of an array, without its type."""
    if array.size == 0:
        return "dense<>"
    first = array.reshape(-1)[:1]
    if array.size > 1 and bool((_bits(array) == _bits(first)).all()):
        return f"dense<{_number(first[0], row)}>"
    if array.size > HEX_ABOVE:
        return f'dense<"0x{_hex(array, row)}">'
    return f"dense<{_nested(array, row)}>"


def _bits(array: np.ndarray) -> np.ndarray:
    """The elements as rows of bytes, so that zeros of either sign and NaNs are told apart."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(array.size, -1)


def _hex(array: np.ndarray, row: ElementType) -> str:
    if row.kind == "p":
        return np.packbits(array.reshape(-1), bitorder="little").tobytes().hex().upper()
    if row.is_integer and row.bits < 8:
        return array.reshape(-1).astype(np.int8).tobytes().hex().upper()
    return np.ascontiguousarray(array).tobytes().hex().upper()


def _nested(array: np.ndarray, row: ElementType) -> str:
    if array.ndim == 0:
        return _number(array[()], row)
    return "[" + ", ".join(_nested(part, row) for part in array) + "]"


def _number(value: np.generic, row: ElementType) -> str:
    if row.kind == "p":
        return "true" if value else "false"
    if row.is_integer:
        return str(int(value))
    if row.is_complex:
        return f"({_number(value.real, row.real)}, {_number(value.imag, row.real)})"
    if not np.isfinite(np.float64(value)):
        digits = 2 * row.dtype.itemsize
        return f"0x{int(np.asarray(value).view(f'u{row.dtype.itemsize}')):0{digits}X}"
    text = repr(float(value)) if row.bits == 64 else str(np.float32(value))
    mantissa, mark, exponent = text.partition("e")
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + mark + exponent
