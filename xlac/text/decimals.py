"""Decimal numbers read many at a time, exactly rounded, by whole-array operations.

A decimal of up to 18 digits is an integer m and a power of ten. Where m is below 2^53 and the power at most 10^22 both
are exact doubles, so one division or multiplication rounds just as reading the decimal does. Other numbers go through
`float`.
"""

from __future__ import annotations

import numpy as np

# Bytes of text per step: the arrays of a step stay in the cache.
_STEP = 1 << 19
_TENS = 10.0 ** np.arange(23)
_DIGITS = 18


def parse_decimals(data: bytes, count: int) -> np.ndarray | None:
    """`count` doubles from numbers parted by spaces, or None unless `data` holds just so many plain numbers.

    A plain number is `-?digits`, with a point and an exponent if wanted; nan and inf are not plain.
    """
    result = np.empty(count, np.float64)
    done, position, end = 0, 0, len(data)
    while position < end:
        stop = end if end - position <= _STEP else data.rfind(b" ", position, position + _STEP) + 1
        if stop <= position:
            return None  # a word as long as a step
        values = _step(data[position:stop])
        if values is None or done + values.size > count:
            return None
        result[done : done + values.size] = values
        done += values.size
        position = stop
    return result if done == count else None


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
