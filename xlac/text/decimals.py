"""Decimal numbers read and written many at a time, exactly rounded, by whole-array operations.

Reading: a decimal is an integer m and a power of ten. Its digits are taken eight at a time, as the bytes of one 64-bit
word. Where m is below 2^53 and the power at most 10^22 both are exact doubles, so one division or multiplication
rounds just as reading the decimal does. Elsewhere the first 64 bits of m times those of the power decide, if nothing
left out can change how they round (D. Lemire, Number Parsing at a Gigabyte per Second, 2021); the few other numbers go
through `float`.

Writing: a step's numbers become a matrix with a row for each place of the text, such as the second digit after the
point, and a column for each number; places that a number has no use for hold zero bytes, which are taken out.
"""

from __future__ import annotations

import warnings
from functools import cache
from math import prod

import numpy as np

# Bytes of text per step: the arrays of a step stay in the cache.
_STEP = 1 << 16
_TENS = 10.0 ** np.arange(23)
_MOST = 330  # the greatest power of ten, and less its sign the least, of which the first 64 bits are kept
# Numbers written per step.
_WRITTEN = 1 << 13
_ZERO = np.uint8(ord("0"))
# Spaces before a step's text, so that 24 bytes before each number can be read.
_FRONT = b" " * 24
# Of words of eight digits: the characters of zero, what takes all but digits to the high bits, and those.
_ZEROS, _TO_HIGH, _HIGH = (np.uint64(int.from_bytes(bytes([c]) * 8, "little")) for c in (0x30, 0x76, 0x80))
_KEEP = np.array([2**64 - 2 ** (64 - 8 * n) for n in range(9)], np.uint64)
_PAIRS, _TO_HUNDREDS, _TO_ONES = np.uint64(0xFF000000FF), np.uint64(100 + (10**6 << 32)), np.uint64(1 + (10**4 << 32))
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
    if plain is not None or data.translate(None, b"0123456789-.eE+infa "):
        return plain
    if data.count(b"+") != data.count(b"e+") + data.count(b"E+"):
        return None
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
    codes = np.frombuffer(_FRONT + data + b" " * 8, np.uint8)
    gap = codes <= 32
    edges = np.flatnonzero(gap[1:] != gap[:-1]) + 1
    starts, ends = edges[::2], edges[1::2]
    if not starts.size:
        return np.empty(0)
    # The eight bytes at each place as one number.
    words = np.ndarray((codes.size - 7,), "<u8", codes, strides=(1,))
    negative = codes[starts] == ord("-")
    begin = starts + negative
    power, stops = np.zeros(starts.size, np.int64), ends
    if b"e" in data or b"E" in data:
        marks = np.flatnonzero((codes | 32) == ord("e"))
        owners = np.searchsorted(starts, marks, "right") - 1
        if (owners[1:] == owners[:-1]).any():
            return None
        stops = ends.copy()
        stops[owners] = marks
        sign = codes[marks + 1]
        length = ends[owners] - marks - 1 - ((sign == ord("-")) | (sign == ord("+")))
        value = _spelled(words, ends[owners], length, 1)
        if value is None or int(length.min()) < 1 or int(length.max()) > 4:
            return None
        value = value.view(np.int64)
        power[owners] = np.where(sign == ord("-"), -value, value)
    points = np.flatnonzero(codes == ord("."))
    after = np.zeros(starts.size, np.int64)  # digits after the point
    before = stops - begin
    if points.size:
        owners = slice(None) if points.size == starts.size else np.searchsorted(starts, points, "right") - 1
        after[owners] = stops[owners] - points - 1
        before = before - after
        before[owners] -= 1
        if points.size != starts.size and (owners[1:] == owners[:-1]).any():  # type: ignore[index]
            return None
    if int(before.min()) < 0 or int(after.min()) < 0 or not (before + after).all():
        return None
    if int(before.max()) > 19 or int(after.max()) > 24:
        return None
    whole = _spelled(words, begin + before, before, -(-int(before.max()) // 8))
    fraction = _spelled(words, stops, after, -(-int(after.max()) // 8))
    # Nothing may exceed 64 bits.
    if whole is None or fraction is None or ((whole != 0) & (before + after > 19)).any():
        return None
    mantissa = whole * _INTEGER_TENS[np.minimum(after, 19)] + fraction
    power -= after
    values = _scaled(mantissa, power)
    if int(mantissa.max()) >= 2**53 or int(power.min()) < -22 or int(power.max()) > 22:
        for i in np.flatnonzero(np.isnan(values)).tolist():
            values[i] = abs(float(codes[starts[i] : ends[i]].tobytes()))
    np.negative(values, out=values, where=negative)
    return values


def _spelled(words: np.ndarray, ends: np.ndarray, length: np.ndarray, blocks: int) -> np.ndarray | None:
    """The integers below 10^19 of the `length` digits before each end, eight in a block; None for other words."""
    result = np.zeros(ends.size, np.uint64)
    for k in reversed(range(blocks)):
        # Eight bytes, the last digit's the highest; those that are not the number's are made zeros.
        digits = (words[ends - 8 * (k + 1)] ^ _ZEROS) & _KEEP[np.clip(length - 8 * k, 0, 8)]
        if (((digits + _TO_HIGH) | digits) & _HIGH).any():
            return None
        # Neighbours become numbers of two digits, then of four, then of eight.
        digits = digits * np.uint64(10) + (digits >> np.uint64(8))
        low, high = digits & _PAIRS, (digits >> np.uint64(16)) & _PAIRS
        part = (low * _TO_HUNDREDS + high * _TO_ONES) >> np.uint64(32)
        if k == 2 and (part > 999).any():
            return None
        result = result * np.uint64(10**8) + part
    return result


def _scaled(mantissa: np.ndarray, power: np.ndarray) -> np.ndarray:
    """mantissa * 10^power as doubles, NaN where more digits of the power would be needed to round it."""
    size = np.abs(power)
    scale = _TENS[np.minimum(size, 22)]
    m = mantissa.astype(np.float64)
    values = np.where(power < 0, m / scale, m * scale)
    hard = np.flatnonzero((mantissa >= 2**53) | (size > 22))
    if hard.size:
        values[hard] = _rounded(mantissa[hard], power[hard])
    return values


def _rounded(m: np.ndarray, power: np.ndarray) -> np.ndarray:
    """`_scaled` by the first 64 bits of the products of 64 bits."""
    table, exponents = _powers()
    index = np.clip(power, -_MOST, _MOST) + _MOST
    # m with its first bit set; as a double it may have been rounded up to the next power of two.
    shift = 1086 - (m.astype(np.float64).view(np.int64) >> 52)
    shift += (m << shift.astype(np.uint64)) >> np.uint64(63) == 0
    m = m << shift.astype(np.uint64)
    t = table[index]
    low, half = np.uint64(2**32 - 1), np.uint64(32)
    m1, m0, t1, t0 = m >> half, m & low, t >> half, t & low
    middle = m1 * t0 + (m0 * t0 >> half)
    across = m0 * t1 + (middle & low)
    top = m1 * t1 + (middle >> half) + (across >> half)
    next_bit = (across >> np.uint64(31)) & np.uint64(1)
    # The product has 128 bits or 127: what is left out adds less than 2 to `top`, or 4 after the shift.
    short = top >> np.uint64(63) == 0
    top = np.where(short, (top << np.uint64(1)) | next_bit, top)
    exponent = exponents[index] + 1023 + 127 - shift - short
    rest = top & np.uint64(2047)
    bits = (top >> np.uint64(11)) + (rest >> np.uint64(10))
    values = (bits + ((exponent - 1).astype(np.uint64) << np.uint64(52))).view(np.float64)
    unsure = (rest >= 1020) & (rest <= 1024) | (exponent < 1) | (exponent > 2045) | (np.abs(power) > _MOST)
    values[unsure] = np.nan
    values[m == 0] = 0
    return values


@cache
def _powers() -> tuple[np.ndarray, np.ndarray]:
    """The first 64 bits of each power of ten, and the power of two that they are times."""
    table, exponents = [], []
    for p in range(-_MOST, _MOST + 1):
        exact = 10**p if p >= 0 else (1 << 2400) // 10**-p
        cut = exact.bit_length() - 64
        table.append(exact >> cut if cut >= 0 else exact << -cut)
        exponents.append(cut - (0 if p >= 0 else 2400))
    return np.array(table, np.uint64), np.array(exponents, np.int64)


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
