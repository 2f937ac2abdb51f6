"""Decimal numbers read and written many at a time, exactly rounded, by whole-array operations.

Reading: a decimal of up to 18 digits is an integer m and a power of ten. Where m is below 2^53 and the power at most
10^22 both are exact doubles, so one division or multiplication rounds just as reading the decimal does. Other numbers
go through `float`.

Writing: a step's numbers become a matrix with a row for each place of the text, such as the second digit after the
point, and a column for each number; places that a number has no use for hold zero bytes, which are taken out.
"""

from __future__ import annotations

import re
import warnings
from math import prod

import numpy as np

# Bytes of text per step: the arrays of a step stay in the cache.
_STEP = 1 << 18
_TENS = 10.0 ** np.arange(23)
_DIGITS = 18
# Numbers written per step.
_WRITTEN = 1 << 13
_ZERO = np.uint8(ord("0"))
_INTEGER_TENS = np.array([10**i for i in range(20)], np.uint64)


def parse_decimals(data: bytes) -> np.ndarray | None:
    """The doubles of numbers parted by spaces, or None unless `data` holds plain numbers only.

    A plain number is `-?digits`, with a point and an exponent if wanted; nan and inf are not plain.
    """
    parts = []
    position, end = 0, len(data)
    while position < end:
        stop = end if end - position <= _STEP else data.rfind(b" ", position, position + _STEP) + 1
        if stop <= position:
            return None  # a word as long as a step
        values = _step(data[position:stop])
        if values is None:
            return None
        parts.append(values)
        position = stop
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0), *parts])


def parse_floats(data: bytes) -> np.ndarray | None:
    """The doubles of numbers parted by spaces, inf and nan among them, or None where `data` holds anything else."""
    plain = parse_decimals(data)
    # NumPy also takes forms that programs do not have, such as +1, INF and infinity.
    if plain is not None or data.translate(None, b"0123456789-.eE+infa ") or re.search(rb"(?<![eE])\+", data):
        return plain
    return _from_string(data, np.dtype(np.float64))


def _from_string(data: bytes, dtype: np.dtype) -> np.ndarray | None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            return np.fromstring(data, dtype, sep=" ")
        except (DeprecationWarning, ValueError):
            return None


def parse_integers(data: bytes, low: int, high: int) -> np.ndarray | None:
    """The integers between `low` and `high` from text parted by spaces, or None unless it holds just those.

    They are int64, or uint64 where `high` needs it.
    """
    dtype = np.dtype(np.uint64 if high >> 63 else np.int64)
    if data.translate(None, b"0123456789- ") or (dtype.kind == "u" and b"-" in data):
        return None
    values = _from_string(data, dtype)
    if values is not None and values.size:
        # NumPy clamps what exceeds 64 bits; numbers at the very ends are left to those who look closer.
        least, greatest, ends = int(values.min()), int(values.max()), np.iinfo(dtype)
        if least < low or greatest > high or greatest == ends.max or (ends.min and least == ends.min):
            return None
    return values


def _step(data: bytes) -> np.ndarray | None:
    codes = np.frombuffer(b" " + data + b" ", np.uint8)
    gap = codes <= 32
    edges = np.flatnonzero(gap[1:] != gap[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    if not starts.size:
        return np.empty(0)
    negative = codes[starts] == ord("-")
    begin = starts + negative
    exponent, stops = np.zeros(starts.size, np.int64), ends
    if b"e" in data or b"E" in data:
        marks = np.flatnonzero((codes | 32) == ord("e"))
        owners = np.searchsorted(starts, marks, "right") - 1
        if owners.size > 1 and (owners[1:] == owners[:-1]).any():
            return None
        stops = ends.copy()
        stops[owners] = marks
        sign = codes[marks + 1]
        skip = 1 + ((sign == ord("-")) | (sign == ord("+")))
        value = _integers(codes, marks + skip, ends[owners], 4)
        if value is None:
            return None
        exponent[owners] = np.where(sign == ord("-"), -value, value)
    length = stops - begin
    width = int(length.max())
    if width > _DIGITS + 1 or int(length.min()) < 1:
        return None
    mantissa = np.zeros(starts.size, np.int64)
    digits = np.zeros(starts.size, np.int64)
    fraction = np.zeros(starts.size, np.int64)
    point = np.zeros(starts.size, bool)
    for j in range(width):
        c = codes[np.minimum(begin + j, codes.size - 1)]
        inside = length > j
        digit = c - np.uint8(48)
        is_digit = (digit < 10) & inside
        is_point = (c == ord(".")) & inside
        if (inside & ~is_digit & (~is_point | point)).any():
            return None
        mantissa = np.where(is_digit, mantissa * 10 + digit, mantissa)
        digits += is_digit
        fraction += is_digit & point
        point |= is_point
    if not digits.all() or int(digits.max()) > _DIGITS:
        return None
    power = exponent - fraction
    exact = (mantissa < 2**53) & (np.abs(power) <= 22)
    scale = _TENS[np.minimum(np.abs(power), 22)]
    m = mantissa.astype(np.float64)
    values = np.where(power < 0, m / scale, m * scale)
    values = np.where(negative, -values, values)
    for i in np.flatnonzero(~exact).tolist():
        values[i] = float(codes[starts[i] : ends[i]].tobytes())
    return values


def _integers(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray, most: int) -> np.ndarray | None:
    """The integers of one to `most` digits that stand between `starts` and `ends`."""
    length = ends - starts
    if int(length.min()) < 1 or int(length.max()) > most:
        return None
    result = np.zeros(starts.size, np.int64)
    for j in range(int(length.max())):
        inside = length > j
        digit = codes[np.minimum(starts + j, codes.size - 1)] - np.uint8(48)
        if (inside & (digit > 9)).any():
            return None
        result = np.where(inside, result * 10 + digit, result)
    return result


# ---- writing


class DecimalWriter:
    """Writes the numbers of an array in order, a step at a time, with commas between them and marks between rows.

    Args:
      dims: the array's extents; character 128 + r stands for the comma where r innermost dimensions begin anew.
    """

    step = _WRITTEN

    def __init__(self, dims: tuple[int, ...]) -> None:
        self._pieces: list[bytes] = []
        self._done = 0
        self._rows = [prod(dims[i:]) for i in range(len(dims) - 1, 0, -1)]

    def text(self) -> str:
        """All that was written."""
        return b"".join(self._pieces).decode("latin-1")

    def write_integers(self, m: np.ndarray, negative: np.ndarray) -> None:
        """Add integers +-m; m is uint64."""
        length = _length(m)
        longest = int(length.max())
        digits = _digits(m, longest)
        self._write(
            [_places(negative, "-")] + [(row + _ZERO) * (length >= longest - j) for j, row in enumerate(digits)]
        )

    def write_floats(
        self, m: np.ndarray, k: np.ndarray, negative: np.ndarray, words: list[tuple[np.ndarray, str]]
    ) -> None:
        """Add numbers +-m * 10**k in the form that Python gives floats, but whole ones without `.0`; -0.0 keeps it.

        Args:
          m: uint64, below 10**18.
          k: exponents, int64.
          negative: which have a sign.
          words: which numbers are words such as inf, and what word.
        """
        length = _length(m)
        longest = int(length.max())
        digits = _digits(m * _INTEGER_TENS[longest - length], longest)
        count = np.ones(m.size, np.int64)  # digits up to the last that is not zero
        for j in range(1, longest):
            np.putmask(count, digits[j] != 0, j + 1)
        point = length + k  # digits before the point; where that is negative, zeros after it
        zero = m == 0
        point[zero] = 1
        count[zero & negative] = 2
        scientific = (point > 16) | (point < -3)
        before = np.where(scientific, 1, np.maximum(point, 0))
        rows = [_places(negative, "-")]
        for which, word in words:
            if which.any():
                rows += [_places(which, letter) for letter in word]
                scientific &= ~which
                point[which] = 1
                count[which] = before[which] = 0
                zero |= which
        rows.append(_places((before == 0) & ~zero, "0"))
        letters = [row + _ZERO for row in digits]
        letters += [np.full(m.size, _ZERO)] * (max(int(before.max()), int(count.max())) - longest)
        rows += [letters[j] * (before > j) for j in range(int(before.max()))]
        rows.append(_places(count > before, "."))
        rows += [_places((point < -j) & ~scientific, "0") for j in range(min(3, max(0, -int(point.min()))))]
        rows += [letters[j] * ((before <= j) & (count > j)) for j in range(int(before.min()), int(count.max()))]
        if scientific.any():
            power = np.abs(point - 1)
            rows += [
                _places(scientific, "e"),
                _places(scientific & (point < 1), "-"),
                _places(scientific & (point > 0), "+"),
            ]
            rows.append((power // 100 + _ZERO).astype(np.uint8) * (scientific & (power > 99)))
            rows += [(power // ten % 10 + _ZERO).astype(np.uint8) * scientific for ten in (10, 1)]
        self._write(rows)

    def _write(self, rows: list[np.ndarray]) -> None:
        n = rows[0].size
        rows = self._separators(n) + rows
        table = np.empty((n, len(rows)), np.uint8)
        for j, row in enumerate(rows):
            table[:, j] = row
        self._pieces.append(table.tobytes().translate(None, b"\0"))
        self._done += n

    def _separators(self, n: int) -> list[np.ndarray]:
        """The places of `, `, or of a mark; nothing stands before the first number."""
        comma, space = np.full(n, np.uint8(ord(","))), np.full(n, np.uint8(ord(" ")))
        for level, size in enumerate(self._rows, 1):
            start = -self._done % size
            comma[start::size], space[start::size] = 128 + level, 0
        if not self._done:
            comma[0] = space[0] = 0
        return [comma, space]


def _places(which: np.ndarray, character: str) -> np.ndarray:
    return which * np.uint8(ord(character))


def _length(m: np.ndarray) -> np.ndarray:
    """How many decimal digits each uint64 has; one for zero."""
    bits = (m.astype(np.float64).view(np.int64) >> 52) - 1022
    guess = np.maximum(bits * 1233 >> 12, 0)
    return np.maximum(guess + (m >= _INTEGER_TENS[guess]), 1)


def _digits(m: np.ndarray, count: int) -> list[np.ndarray]:
    """The last `count` digits of each uint64, from the first of them on, as rows of uint8."""
    result = []
    # Words of 32 bits are divided several times as fast as those of 64.
    for done in range(0, count, 9):
        rest = m // np.uint64(10**9) if count - done > 9 else np.uint64(0)
        part, m = (m - rest * np.uint64(10**9)).astype(np.uint32), rest
        for _ in range(min(9, count - done)):
            tenth = part // np.uint32(10)
            result.append((part - tenth * np.uint32(10)).astype(np.uint8))
            part = tenth
    return result[::-1]
