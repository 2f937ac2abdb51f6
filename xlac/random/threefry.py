"""The generator of keys of two words: ThreeFry-2x32 with 20 rounds.

The generator is that of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a
bijection of two 32-bit words under a key of two more. An element's counter is its row-major index, high word first, so
that each element depends on the key and on its own place only. How its bits come from the two words is JAX's choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.lax.operands import convert, expand

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_UINT32 = np.dtype(np.uint32)

Words = tuple[Tracer, Tracer]


def hash_words(key: Words, counter: Words) -> Words:
    """The two words that ThreeFry makes of each counter; keys and counters are uint32 of one shape, or scalars."""
    dims = max((w.shape for w in (*key, *counter)), key=len)
    wide: dict[Any, Tracer] = {}

    def spread(x: Tracer) -> Tracer:
        return expand(x, dims, ())

    def number(value: int) -> Tracer:
        if value not in wide:
            wide[value] = spread(lift(np.uint32(value)))
        return wide[value]

    keys = [*key, emit(op.xor, emit(op.xor, *key), expand(lift(_PARITY), key[0].shape, ()))]
    x, y = (emit(op.add, spread(c), spread(k)) for c, k in zip(counter, keys))
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            x = emit(op.add, x, y)
            left = emit(op.shift_left, y, number(distance))
            y = emit(op.or_, left, emit(op.shift_right_logical, y, number(32 - distance)))
            y = emit(op.xor, x, y)
        x = emit(op.add, x, spread(keys[(group + 1) % 3]))
        second = keys[(group + 2) % 3]
        y = emit(op.add, y, spread(emit(op.add, second, expand(lift(np.uint32(group + 1)), second.shape, ()))))
    return x, y


def counters(shape: Sequence[int]) -> Words:
    """The row-major index of each element of a shape, as high and low words."""
    size = math.prod(shape)
    if size <= 1 << 32:
        return lift(np.uint32(0)), lax.reshape(lax.iota(_UINT32, size), shape)
    index = lax.reshape(lax.iota(np.uint64, size), shape)
    high = lax.shift_right_logical(index, lift(np.uint64(32)))
    return convert(high, _UINT32), convert(index, _UINT32)


def child(key: Words, number: int) -> Words:
    """The key that `split` puts at this place; `key` may hold many keys, as two arrays of words."""
    return hash_words(key, (lift(np.uint32(0)), lift(np.uint32(number))))


def join(words: Sequence[Tracer]) -> Tracer:
    """The words along a new last dimension."""
    return lax.concatenate([lax.reshape(w, (*w.shape, 1)) for w in words], words[0].ndim)


def mixed(words: Words, width: int) -> Tracer:
    """Random bits of a width from the words of each element."""
    unsigned = np.dtype(f"u{width // 8}")
    if width == 64:
        high, low = (convert(w, unsigned) for w in words)
        return lax.bitwise_or(lax.shift_left(high, lax.full_like(high, 32)), low)
    return convert(lax.bitwise_xor(*words), unsigned)
