"""The shortest decimals of floats, for a whole array at once, in integers alone.

The algorithm is Schubfach (Giulietti, "The Schubfach way to render doubles", 2021): of the decimals that read back to
the float it finds the one of the fewest digits, and of those the closest. Three products with a tabled power of ten,
rounded to odd, tell where the float and the ends of its interval lie among the decimals.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


def shortest_decimals(bits: np.ndarray, precision: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers m (uint64) and exponents k (int64) with m * 10**k the shortest decimal of each float's magnitude.

    m may end in zeros. What a NaN or an infinity gives means nothing.

    Args:
      bits: the floats' bits as uint64, one-dimensional.
      precision: bits of a significand, with the hidden one: 53 for float64, 8 for bfloat16; at most 53.
      width: bits of a float; the exponent's bias is that of IEEE 754, and its range at most float64's.
    """
    stored = precision - 1
    exponent_bits = width - precision
    fraction = bits & np.uint64((1 << stored) - 1)
    exponent = ((bits >> np.uint64(stored)) & np.uint64((1 << exponent_bits) - 1)).view(np.int64)
    normal = exponent > 0
    c = fraction | (normal.astype(np.uint64) << np.uint64(stored))
    q = np.maximum(exponent, 1) - ((1 << (exponent_bits - 1)) - 1 + stored)
    closer = (fraction == 0) & (exponent > 1)  # a power of two: the float below is half as far as the one above
    k = (q * 1262611 - closer * np.int64(524031)) >> 22
    h = (q + ((-k * 1741647) >> 19) + 1).view(np.uint64)
    middle = c << np.uint64(2)
    # Up to 26 bits and a shift of at most 4 fit into 32: one word of the power of ten is enough for them.
    scaled = _narrow_product if precision <= 26 else _wide_product
    power = [words[324 - k] for words in _powers(128 if precision > 26 else 64)]
    at = scaled(power, middle << h)
    odd = c & np.uint64(1)
    lower = scaled(power, (middle - np.uint64(2) + closer) << h) + odd
    upper = scaled(power, (middle + np.uint64(2)) << h) - odd
    s = at >> np.uint64(2)
    tens = s // np.uint64(10)
    forty = tens * np.uint64(40)
    down, up = lower <= forty, forty + np.uint64(40) <= upper
    shorter = (down != up) & (s >= 10)
    four = s << np.uint64(2)
    fits_down, fits_up = lower <= four, four + np.uint64(4) <= upper
    rest = at - four
    nearest_up = (rest > 2) | ((rest == 2) & ((s & np.uint64(1)) == 1))
    m = s + np.where(fits_down != fits_up, fits_up, nearest_up)
    return np.where(shorter, tens + up, m) * (c != 0), k + shorter


@cache
def _powers(bits: int) -> list[np.ndarray]:
    """The leading bits of 10**e for e from -324 to 324, rounded up, in words of 64 from the highest to the lowest."""
    numbers = []
    for e in range(-324, 325):
        # 10**e as a fraction, shifted so that the quotient has as many bits as wanted.
        above, below = 10 ** max(e, 0), 10 ** max(-e, 0)
        shift = bits - (above.bit_length() if e >= 0 else 1 - (below - 1).bit_length())
        numbers.append(-(-(above << max(shift, 0)) // (below << max(-shift, 0))))
    return [np.array([n >> s & (2**64 - 1) for n in numbers], np.uint64) for s in range(bits - 64, -1, -64)]


def _narrow_product(power: list[np.ndarray], factor: np.ndarray) -> np.ndarray:
    """The top 32 bits of power * factor, of 64 and 32; the last of them is set where anything but zeros follows."""
    (high,) = power
    product = (high >> _32) * factor + (((high & _LOW) * factor) >> _32)
    return (product >> _32) | ((product & _LOW) > 1)


def _wide_product(power: list[np.ndarray], factor: np.ndarray) -> np.ndarray:
    """The top 64 bits of power * factor, of 128 and 64, rounded to odd likewise."""
    high, low = power
    below = high * factor
    middle = below + _upper_product(low, factor)
    return (_upper_product(high, factor) + (middle < below)) | (middle > 1)


def _upper_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The upper 64 bits of products of 64-bit words."""
    x1, x0, y1, y0 = x >> _32, x & _LOW, y >> _32, y & _LOW
    cross = x1 * y0 + ((x0 * y0) >> _32)
    return x1 * y1 + (cross >> _32) + ((x0 * y1 + (cross & _LOW)) >> _32)
