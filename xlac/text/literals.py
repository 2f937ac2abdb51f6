"""HLO's text of literals, both ways: `-42`, `{ { 1, 2 }, { nan, -inf } }`, `{(1, 2), (0, -1)}`.

Reading goes through NumPy in a few passes over the bytes, so that the text of a large constant costs about as much as
the numbers in it. The structure of braces and the count of numbers are checked against the shape before anything of its
size is allocated. Floats are written with the fewest digits that read back to the same bits; NaNs keep sign and
payload.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from functools import cache
from itertools import islice

import ml_dtypes
import numpy as np

from xlac.ir.shape import F64, ArrayShape, ElementType
from xlac.text.decimals import DecimalWriter, parse_floats, parse_integers
from xlac.text.shapes import TextError
from xlac.text.shortest import shortest_decimals

_INTEGER = re.compile(r"-?\d+\Z")
_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_NAN = re.compile(r"(-?)nan(?:\(0x([0-9a-fA-F]+)\))?")
_NAN_WORD = re.compile(r"(-?)nan\b(?:\s*\(([^()]*)\))?")
_WORD = re.compile(r"[^\s,{}()]+")
_SEPARATORS = b" \t\r\n,"
_BRACES_TO_SPACE = bytes.maketrans(b"{}(),\t\r\n", b"        ")
_NOT_BRACES = bytes(c for c in range(256) if c not in b"{}()")
# Texts up to this long are read word by word, longer ones by NumPy.
_SHORT = 400
# Arrays of up to this many elements are written one by one, larger ones by NumPy.
_FEW = 256
# Bits of the significand, the hidden one included.
_PRECISION = {"bf16": 8, "f16": 11, "f32": 24, "f64": 53}
# Characters of a long text that are read at once.
_PIECE = 1 << 18
# A vector of which the text gives one element may be this long.
_MOST_FROM_ONE = 2**20


def is_elided(text: str) -> bool:
    """Whether a literal's text is `{...}`: XLA left the elements out."""
    return len(text) < 64 and text.replace(" ", "") == "{...}"


# ---- reading


def parse_literal(text: str, shape: ArrayShape) -> np.ndarray:
    """The array that a literal's text, free of comments, spells.

    Raises:
      TextError: it does not have the shape's structure, or a value does not fit the element type.
    """
    row, dims = shape.element_type, shape.dims
    if not dims and row.kind != "c":
        word = text.strip()
        if not word or _WORD.fullmatch(word) or word.startswith(("nan(", "-nan(")):
            return _scalar(word, row, len(text) - len(text.lstrip()))
    if len(dims) == 1 and "{" not in text and row.kind != "c" and dims[0]:
        return _first_element(text, row, dims[0])
    if not text.isascii():
        offset = next(i for i, c in enumerate(text) if ord(c) > 127)
        raise TextError(f"{text[offset]!r} cannot stand in a literal", offset)
    # The payloads of NaNs are the only parentheses that are not parts of complex numbers.
    nans = _nans(text, row) if "nan" in text else None
    plain = _NAN_WORD.sub(lambda m: "nan".ljust(len(m[0])), text) if nans else text
    data = plain.encode()
    _check_structure(plain, data, row, dims)
    flat = _numbers(plain, data, row, shape.size)
    if nans:
        _set_nans(flat, nans, row)
    array = flat.reshape(dims)
    array.flags.writeable = False
    return array


def _scalar(word: str, row: ElementType, offset: int) -> np.ndarray:
    if not word:
        raise TextError(f"the literal of a {row.name} is missing; it must be one number", offset)
    array = np.empty((), row.dtype)
    nan = _NAN.fullmatch(word)
    if nan:
        flat = array.reshape(1)
        _set_nans(flat, [_nan_bits(nan[1], nan[2], row, offset)], row)
        return flat.reshape(())
    value = np.array([_value(word, row, offset)], _wide(row))
    array[...] = _convert(value, row, word, offset)[0]
    array.flags.writeable = False
    return array


def _first_element(text: str, row: ElementType, extent: int) -> np.ndarray:
    """A lone number for a vector is its first element, and the rest are zeros: XLA reads it so."""
    word = text.strip()
    if not word or len(word.split()) > 1:
        raise TextError(f"the literal of {row.name}[{extent}] must stand in braces, as in {{1, 2}}", 0)
    first = _scalar(word, row, len(text) - len(text.lstrip()))
    if not first.tobytes().strip(b"\0"):
        return np.broadcast_to(first, (extent,))
    if extent > _MOST_FROM_ONE:
        raise TextError(f"one number for the {extent} elements of {row.name}[{extent}]", 0)
    array = np.zeros(extent, row.dtype)
    array[0] = first
    array.flags.writeable = False
    return array


def _wide(row: ElementType) -> np.dtype:
    """The type numbers of a row are read in before they are narrowed."""
    if row.is_inexact:
        return np.dtype(np.float64)
    return np.dtype(np.uint64 if row.name == "u64" else np.int64)


def _value(word: str, row: ElementType, offset: int) -> float | int:
    """The number a word spells, in range of the row's wide type."""
    if row.is_inexact:
        if word in ("inf", "-inf", "nan", "-nan"):
            return float(word)
        if word in ("true", "false"):
            return float(word == "true")
        if not _FLOAT.match(word):
            raise TextError(
                f"{word[:40]} is not a number; {row.name} takes numbers such as -1.5e3, inf and nan", offset
            )
        return float(word)
    if row.kind == "p":
        if word in ("true", "false"):
            return int(word == "true")
        if not _INTEGER.match(word):
            raise TextError(f"{word[:40]} is not a pred; it must be true, false, 1 or 0", offset)
        return int(bool(word.strip("-0")))  # any integer but 0 is true, as in XLA
    if not _INTEGER.match(word):
        raise TextError(f"{word[:40]} is not an integer, which {row.name} needs", offset)
    low, high = integer_range(row)
    # Long words are compared by length first: int() of thousands of digits is slow and, beyond a limit, refused.
    if len(word) > 40 and word.lstrip("-0").isdigit() and len(word.lstrip("-0")) > 20:
        raise TextError(f"{word[:20]}... is out of range for {row.name}, which holds {low} to {high}", offset)
    value = int(word[:1] + word[1:].lstrip("0") if len(word) > 40 else word) if word.strip("-0") else 0
    if row.name == "u64" and -(2**63) <= value < 0:  # XLA reads it as a signed number
        return value + 2**64
    if not low <= value <= high:
        raise TextError(f"{word[:40]} is out of range for {row.name}, which holds {low} to {high}", offset)
    return value


def integer_range(row: ElementType) -> tuple[int, int]:
    """The least and greatest value of an integer type."""
    if row.kind == "p":
        return 0, 1
    if row.kind == "u":
        return 0, 2**row.bits - 1
    return -(2 ** (row.bits - 1)), 2 ** (row.bits - 1) - 1


def _numbers(text: str, data: bytes, row: ElementType, size: int) -> np.ndarray:
    """The numbers of a text whose structure is checked, as a new one-dimensional array of the row's type.

    A long text is read in pieces; those with words that are not plain numbers are read word by word.
    """
    count = size * 2 if row.is_complex else size
    # There are at most as many numbers as characters, whatever the shape says.
    result = np.empty(min(count, len(data)), row.real.dtype if row.is_complex else row.dtype)
    done = start = 0
    while start < len(data):
        end = data.find(b",", start + _PIECE)
        end = end if end >= 0 else len(data)
        wide = _numbers_fast(data[start:end], row) if end - start > _SHORT else None
        if wide is None:
            wide = np.array([_value(m[0], row, m.start()) for m in _WORD.finditer(text, start, end)], _wide(row))
        if done + wide.size <= result.size:
            result[done : done + wide.size] = _convert(wide, row, text[start:end], start)
        done += wide.size
        start = end
    if done != count:
        what = "numbers (two for each complex)" if row.is_complex else "numbers"
        raise TextError(f"the literal has {done} {what} but its shape needs {count}", 0)
    return result.view(row.dtype)


def _numbers_fast(data: bytes, row: ElementType) -> np.ndarray | None:
    """The numbers, or None where a word is not a plain number of the type (the careful way then says which)."""
    if row.kind == "p":
        data = data.replace(b"true", b"   1").replace(b"false", b"    0")
    spaced = data.translate(_BRACES_TO_SPACE)
    if not row.is_inexact:
        return parse_integers(spaced, *integer_range(row))
    return parse_floats(spaced)


def _convert(wide: np.ndarray, row: ElementType, text: str, offset: int) -> np.ndarray:
    """The numbers in the row's own type, the parts of complex ones in theirs; `text` is what they are written as and
    `offset` where it starts, for errors."""
    if not row.is_inexact:
        if row.bits < 8:
            wide = wide.astype(np.int8 if row.kind == "s" else np.uint8)
        return wide.astype(row.dtype)
    with np.errstate(all="ignore"):
        result = wide.astype(row.real.dtype)
    _check_float_range(wide, result, row, text, offset)
    return result


def _check_float_range(wide: np.ndarray, result: np.ndarray, row: ElementType, text: str, offset: int) -> None:
    """Raise where a finite number became none, or where the type has no such special value."""
    back = result.astype(np.float64)
    special = ~np.isfinite(wide)
    lost = np.isfinite(wide) & ~np.isfinite(back)
    if special.any():
        # XLA reads an infinity as NaN where the type has that alone.
        lost |= ~np.isfinite(wide) & np.isfinite(back)
        lost |= np.isinf(wide) & _written_finite(wide, text)
    limits = ml_dtypes.finfo(row.real.dtype)
    if row.bits < 8:  # conversion to such a type saturates
        lost |= np.abs(wide) > float(limits.max)
    if lost.any():
        word = next(islice(_WORD.finditer(text), int(np.argmax(lost)), None))
        place = offset + word.start()
        for name, what in (("nan", "NaN"), ("inf", "infinity")):
            if name in word[0]:
                raise TextError(f"{row.name} has no {what}", place)
        raise TextError(
            f"{word[0][:40]} is out of range for {row.name}, which holds {limits.min} to {limits.max}", place
        )


def _written_finite(wide: np.ndarray, text: str) -> np.ndarray:
    """Which of the infinities in `wide` are digits in the text, too many for a double."""
    infinite = np.isinf(wide)
    if np.count_nonzero(infinite) == text.count("inf"):
        return np.zeros(wide.shape, bool)
    return infinite & np.array(["inf" not in m[0] for m in _WORD.finditer(text)])


# ---- structure


def _check_structure(text: str, data: bytes, row: ElementType, dims: tuple[int, ...]) -> None:
    """Raise unless the braces are those of the dimensions and each innermost pair holds as many words as it should."""
    # Nothing of the shape's size is built before the text is known to be as long.
    inner = dims[: dims.index(0) + 1] if 0 in dims else dims
    pair = b"()" if row.is_complex and 0 not in dims else b""
    wanted = len(pair)
    for extent in reversed(inner):
        wanted = wanted * extent + 2
    braces = data.translate(None, _NOT_BRACES)
    if len(braces) == wanted:
        expected = pair
        for extent in reversed(inner):
            expected = b"{" + expected * extent + b"}"
        if braces == expected and _rows_are_full(data, row, dims):
            return
    _explain_structure(text, row, dims)


def _rows_are_full(data: bytes, row: ElementType, dims: tuple[int, ...]) -> bool:
    """Whether each innermost pair of braces (parentheses of complex numbers) holds as many words as the shape says."""
    if len(dims) + row.is_complex < 2:
        return True  # there is one pair, and the words are counted when they are read
    per_row = 2 if row.is_complex else dims[-1]
    codes = np.frombuffer(data, np.uint8)
    table = np.zeros(256, bool)
    table[np.frombuffer(_SEPARATORS + b"{}()", np.uint8)] = True
    gap = table[codes]
    starts = np.flatnonzero(gap[:-1] & ~gap[1:]) + 1
    if 0 in dims:
        return not starts.size
    opener, closer = (ord("("), ord(")")) if row.is_complex else (ord("{"), ord("}"))
    marks = np.flatnonzero((codes == opener) | (codes == closer))
    kinds = codes[marks]
    closes = marks[1:][(kinds[1:] == closer) & (kinds[:-1] == opener)]
    before = np.searchsorted(starts, closes)
    return bool(np.array_equal(before, np.arange(1, closes.size + 1) * per_row)) and int(before[-1]) == starts.size


def _explain_structure(text: str, row: ElementType, dims: tuple[int, ...]) -> None:
    """Raise a TextError that says where the text leaves the structure of the shape."""
    shape = f"{row.name}[{','.join(map(str, dims))}]"
    levels = [*dims, 2] if row.is_complex else list(dims)
    counts: list[int] = []
    rank = len(levels)
    if not rank and text.strip().startswith("{"):
        raise TextError(
            f"the literal has braces but its shape {shape} is a scalar; it must be one number", text.index("{")
        )
    for match in re.finditer(r"[{}()]|[^\s,{}()]+", text):
        token, at, depth = match[0], match.start(), len(counts)
        if token in "{(":
            complex_part = row.is_complex and depth == rank - 1
            if depth == rank:
                raise TextError(
                    f"the literal is nested deeper than its shape {shape}, which has {len(dims)} dimensions", at
                )
            if (token == "(") != complex_part:
                wanted = "a complex number such as (1, 2)" if complex_part else "{"
                raise TextError(f"{token} in the literal of {shape}; {wanted} was expected", at)
            _count(counts, levels, shape, at)
            counts.append(0)
        elif token in "})":
            if not counts:
                raise TextError(f"{token} closes nothing in the literal of {shape}", at)
            wanted_close = ")" if row.is_complex and depth == rank else "}"
            if token != wanted_close:
                raise TextError(f"{token} in the literal of {shape}; {wanted_close} was expected", at)
            have, extent = counts.pop(), levels[depth - 1]
            if have != extent:
                what = "numbers" if depth == rank else "parts"
                raise TextError(
                    f"{have} {what} in dimension {depth - 1} of the literal, but its shape {shape} needs {extent}", at
                )
        else:
            if depth < rank:
                what = "a complex number such as (1, 2)" if row.is_complex and depth == rank - 1 else "{"
                raise TextError(
                    f"{token} in the literal of {shape}; {what} was expected: it has {len(dims)} dimensions", at
                )
            if rank:
                _count(counts, levels, shape, at)
    if counts:
        raise TextError(f"the literal of {shape} is cut off; {len(counts)} closing braces are missing", len(text))
    raise TextError(f"this is not a literal of {shape}", 0)


def _count(counts: list[int], levels: list[int], shape: str, at: int) -> None:
    if counts:
        counts[-1] += 1
        extent = levels[len(counts) - 1]
        if counts[-1] > extent:
            raise TextError(
                f"more than {extent} parts in dimension {len(counts) - 1} of the literal; {shape} has {extent}",
                at,
            )


# ---- NaNs


@cache
def _nan_layout(row: ElementType) -> tuple[np.dtype, int, int, bool]:
    """Of a row's real part: the type of its bits, its default NaN, its payload bits or 0, whether NaNs have signs."""
    real = row.real
    bits = np.dtype(f"u{max(real.bits, 8) // 8}")
    default = int(np.full(1, np.nan, real.dtype).view(bits)[0])
    sign = 1 << (real.bits - 1)
    # In a type with infinities every mantissa above one is a NaN; the others have one NaN, with a sign or without.
    infinite = np.isinf(np.array(np.inf, real.dtype).astype(np.float64))
    if infinite:
        mantissa = ml_dtypes.finfo(real.dtype).nmant
        exponent = int(np.full(1, np.inf, real.dtype).view(bits)[0])
        return bits, exponent | 1 << (mantissa - 1), (1 << mantissa) - 1, True
    signed = real.name == "f8e4m3fn"
    return bits, default & ~sign if signed else default, 0, signed


def _nan_bits(sign: str, payload: str | None, row: ElementType, offset: int) -> int:
    if not row.is_inexact:
        raise TextError(
            f"nan in the literal of {row.name}, which holds {'true and false' if row.kind == 'p' else 'integers'}",
            offset,
        )
    if row.name == "f4e2m1fn":
        raise TextError(f"{row.name} has no NaN", offset)
    _, default, mask, signed = _nan_layout(row)
    bits = default
    if payload is not None:
        value = int(payload, 16) if len(payload) <= 32 else 0
        if not mask or not 0 < value <= mask:
            hint = f"it must be from 0x1 to {mask:#x}" if mask else "its one NaN has no payload"
            raise TextError(f"NaN payload 0x{payload[:40]} does not fit {row.name}; {hint}", offset)
        bits = default & ~mask | value
    return bits | (1 << (row.real.bits - 1)) if sign and signed else bits


def _nans(text: str, row: ElementType) -> list[int]:
    """The bits of each NaN of the text, in order."""
    result = []
    for match in _NAN_WORD.finditer(text):
        payload = match[2]
        if payload is not None:
            payload = payload.strip()
            if not re.fullmatch(r"0x[0-9a-fA-F]+", payload):
                raise TextError(f"NaN payload {payload[:40]}; it must be hexadecimal, as in nan(0x1)", match.start())
            payload = payload[2:]
        result.append(_nan_bits(match[1], payload, row, match.start()))
    return result


def _set_nans(flat: np.ndarray, bits: list[int], row: ElementType) -> None:
    """Give the NaNs of a flat array their bits, in order; one that holds no number yet is all NaN."""
    unsigned = _nan_layout(row)[0]
    parts = flat.view(row.real.dtype) if row.is_complex else flat
    if flat.size == 1 and len(bits) == 1 and not row.is_complex:
        flat.view(unsigned)[0] = bits[0]
        return
    where = np.flatnonzero(np.isnan(parts))
    if where.size == len(bits):
        parts.view(unsigned)[where] = np.array(bits, unsigned)


def nan_to_string(bits: int, row: ElementType) -> str:
    """`nan`, `-nan` or `nan(0x1)` for the bits of a NaN."""
    _, default, mask, signed = _nan_layout(row)
    sign = "-" if signed and bits >> (row.real.bits - 1) & 1 else ""
    payload = bits & mask
    return f"{sign}nan" if not mask or payload == default & mask else f"{sign}nan({payload:#x})"


# ---- writing


def literal_to_string(array: np.ndarray, row: ElementType) -> str:
    """The literal's text in XLA's form, every element in full; reading it gives the same bits.

    Only large zeros that share one element in memory, as stand-ins of elided constants do, are elided again.
    """
    if array.size > 1 and not any(array.strides):
        if array.size > _MOST_FROM_ONE and not array[(0,) * array.ndim].tobytes().strip(b"\0"):
            return "{...}"
        return _repeated(array, row)
    if array.size > _FEW:
        return _long_text(np.ascontiguousarray(array), row)
    if not row.is_inexact:
        small = array.astype(np.int8 if row.kind == "s" else np.uint8) if row.bits < 8 else array
        if row.kind == "p":
            if not array.ndim:
                return "true" if array else "false"
            small = array.astype(np.uint8)
        return _braced(repr(small.tolist()), array.ndim)
    if row.is_complex:
        return _braced(_complex_text(array, row), array.ndim)
    return _braced(_float_text(array, row), array.ndim)


def _long_text(array: np.ndarray, row: ElementType) -> str:
    """`literal_to_string` for many elements."""
    opening, closing = (["{ "] * array.ndim, [" }"] * array.ndim) if array.ndim > 1 else (["{"], ["}"])
    dims, flat = array.shape, array.reshape(-1)
    if row.is_complex:
        dims, flat, row = (*dims, 2), flat.view(row.real.dtype), row.real
        opening, closing = [*opening, "("], [*closing, ")"]
    writer = DecimalWriter(dims)
    write = _write_floats if row.is_inexact else _write_integers
    for start in range(0, flat.size, writer.step):
        write(writer, flat[start : start + writer.step], row)
    text = _spell_nans(writer.text(), flat, row)
    for level in range(1, len(dims)):
        between = f"{''.join(closing[: -level - 1 : -1])}, {''.join(opening[-level:])}"
        text = text.replace(chr(128 + level), between)
    return f"{''.join(opening)}{text}{''.join(reversed(closing))}"


def _write_integers(writer: DecimalWriter, part: np.ndarray, row: ElementType) -> None:
    # Widening keeps a number modulo 2**64, and with it the magnitude of what is negated.
    m = part.astype(np.uint8 if row.bits < 8 and row.kind == "u" else np.int64).astype(np.int64).view(np.uint64)
    negative = (m >> np.uint64(63) == 1) & (row.kind == "s")
    writer.write_integers(np.where(negative, np.uint64(0) - m, m), negative)


def _write_floats(writer: DecimalWriter, part: np.ndarray, row: ElementType) -> None:
    if row.bits < 16:
        part, row = shortest_doubles(part, row), F64
    bits = part.view(f"u{part.dtype.itemsize}").astype(np.uint64)
    sign = np.uint64(1 << (row.bits - 1))
    magnitude = bits & ~sign
    infinity = ((np.uint64(1) << np.uint64(row.bits - _PRECISION[row.name])) - np.uint64(1)) << np.uint64(
        _PRECISION[row.name] - 1
    )
    nan = magnitude > infinity
    m, k = shortest_decimals(bits, _PRECISION[row.name], row.bits)
    writer.write_floats(m, k, (bits >= sign) & ~nan, [(magnitude == infinity, "inf"), (nan, "nan")])


def _repeated(array: np.ndarray, row: ElementType) -> str:
    """The text of an array that repeats one element, such as the stand-in of an elided constant."""
    text = literal_to_string(array[(0,) * array.ndim], row)
    if row.kind == "p":
        text = "1" if text == "true" else "0"
    for level, extent in enumerate(reversed(array.shape)):
        joined = ", ".join([text] * extent)
        text = f"{{{joined}}}" if level == 0 and array.ndim == 1 else f"{{ {joined} }}"
    return text


def _braced(text: str, rank: int) -> str:
    """Brackets of Python's lists as HLO's braces."""
    if rank < 2:
        return text.replace("[", "{").replace("]", "}")
    return text.replace("[", "{ ").replace("]", " }")


def _trim(text: str) -> str:
    """Whole floats without `.0`, as XLA writes them.

    `-0.0` keeps it, since XLA reads `-0` as an integer without sign.
    """
    if ".0" not in text:
        return text
    if text.endswith(".0"):
        return text if text == "-0.0" else text[:-2]
    text = text.replace(".0,", ",").replace(".0]", "]")
    return text.replace("-0,", "-0.0,").replace("-0]", "-0.0]")


def _float_text(array: np.ndarray, row: ElementType) -> str:
    """The elements in the brackets of Python's lists."""
    text = _trim(repr(shortest_doubles(array, row).tolist()))
    return _spell_nans(text, np.ascontiguousarray(array).reshape(-1), row)


def _spell_nans(text: str, flat: np.ndarray, row: ElementType) -> str:
    """The text with the sign and payload of each NaN."""
    if not row.is_inexact or "nan" not in text:
        return text
    layout = _nan_layout(row)
    with np.errstate(invalid="ignore"):  # from NaNs that signal
        bits = flat.view(layout[0])[np.isnan(flat.astype(np.float64))]
    if (bits == layout[1]).all():
        return text
    order = iter(bits.tolist())
    return re.sub("nan", lambda _: nan_to_string(next(order), row), text)


def _complex_text(array: np.ndarray, row: ElementType) -> str:
    parts = np.ascontiguousarray(array).reshape(*array.shape, 1).view(row.real.dtype)
    text = _float_text(parts, row.real)
    return re.sub(r"\[([^\[\]]*)\]", r"(\1)", text) if array.size else text


def shortest_doubles(array: np.ndarray, row: ElementType) -> np.ndarray:
    """Doubles whose shortest decimal form is the shortest that reads back to the elements of a float array.

    A double prints with the fewest digits that tell it from other doubles. The double next to the shortest decimal of a
    narrow float therefore prints as just that decimal.
    """
    if row.name == "f64":
        return array
    flat = np.ascontiguousarray(array).reshape(-1)
    if flat.size <= 16:
        return np.array([_shortest(x, row) for x in flat], np.float64).reshape(array.shape)
    bits, index = np.unique(flat.view(_nan_layout(row)[0]), return_inverse=True)
    values = np.array([_shortest(x, row) for x in bits.view(row.dtype)], np.float64)
    return values[index.reshape(array.shape)]


def _shortest(x: np.generic, row: ElementType) -> float:
    """The double next to the shortest decimal that reads back to `x`."""
    if row.name in ("f32", "f16"):
        return float(str(x))
    value = float(x)
    if not math.isfinite(value) or not value:
        return value
    most = float(ml_dtypes.finfo(row.dtype).max) if row.bits < 8 else math.inf  # the narrowest types saturate
    for digits in range(10):
        m, _, exponent = f"{abs(value):.{digits}e}".partition("e")
        nearest = int(m.replace(".", ""))
        # At a power of two the closest decimal may be too low where the next, though farther, is not too high.
        for candidate in (nearest, nearest + 1):
            shortest = math.copysign(float(f"{candidate}e{int(exponent) - digits}"), value)
            if abs(shortest) <= most and row.dtype.type(shortest) == x:
                return shortest
    return value


# ---- constants whose elements are left out

# Elements of such a constant that are made up, rather than zeros that take no memory.
MAX_RANDOM_ELEMENTS = 2**31


def stand_in(shape: ArrayShape, fill_constants: str | None, number: int) -> np.ndarray:
    """Elements for the constant of that number that a text leaves out: zeros, or with "random" random ones.

    Raises:
      TextError: they are too many to make up.
    """
    if fill_constants is None:
        return np.broadcast_to(np.zeros((), shape.dtype), shape.dims)
    if shape.size > MAX_RANDOM_ELEMENTS:
        raise TextError(f"{shape} is too large to fill with random numbers", 0)
    generator = np.random.default_rng(number)
    if shape.element_type.is_complex:
        parts = generator.standard_normal((*shape.dims, 2))
        return (parts[..., 0] + 1j * parts[..., 1]).astype(shape.dtype)
    if shape.element_type.is_float:
        return generator.standard_normal(shape.dims).astype(shape.dtype)
    return generator.integers(0, 2, shape.dims, np.int8).astype(shape.dtype)


def warn_of_stand_ins(lines: Sequence[int], fill_constants: str | None) -> None:
    """Say that constants left out of the text, at these lines, are zeros."""
    if lines and fill_constants is None:
        places = ", ".join(map(str, sorted(set(lines))[:5]))
        warnings.warn(
            f"{len(lines)} constants whose elements are left out of the text are zeros (line {places})", stacklevel=5
        )
