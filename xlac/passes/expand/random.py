"""rng-bit-generator by integer arithmetic, and rng by that from the process's random state.

The generators and which counter gives which element are those of the opcodes' rows, bit for bit.
"""

from __future__ import annotations

import math

import numpy as np

from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.ops.random import PHILOX, PHILOX_KEYS, ROTATIONS, THREE_FRY_PARITY
from xlac.ir.shape import ELEMENT_TYPES, F64, S64, U8, U32, U64, ArrayShape, ElementType, TupleShape
from xlac.passes.expand.build import Array, concatenate, constant, expand, full, iota, stack, tuple_


def expand_random(module: Module) -> bool:
    """Replace random number generators by integer arithmetic; return whether there were any."""
    return expand(module, {"rng-bit-generator": _bit_generator, "rng": _rng})


def _low(x: Array) -> Array:
    return x.convert(U32)


def _high(x: Array) -> Array:
    return (x >> 32).convert(U32)


def _joined(low: Array, high: Array) -> Array:
    return low.convert(U64) | (high.convert(U64) << 32)


def _everywhere(x: Array, dims: tuple[int, ...]) -> Array:
    return x.broadcast(dims, ())


def three_fry(counter: Array, key: Array) -> tuple[Array, Array]:
    """ThreeFry-2x32-20 of 64-bit counters under a scalar 64-bit key: two 32-bit words each."""
    keys = [_low(key), _high(key)]
    keys.append(keys[0] ^ keys[1] ^ THREE_FRY_PARITY)
    x, y = _low(counter) + _everywhere(keys[0], counter.dims), _high(counter) + _everywhere(keys[1], counter.dims)
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << distance) | (y >> (32 - distance)))
        x = x + _everywhere(keys[(group + 1) % 3], x.dims)
        y = y + _everywhere(keys[(group + 2) % 3] + (group + 1), y.dims)
    return x, y


def philox(low: Array, high: Array, key: Array) -> list[Array]:
    """Philox-4x32-10 of 128-bit counters (low and high 64 bits) under a scalar 64-bit key: four 32-bit words each."""
    k0, k1 = _low(key), _high(key)
    x = [_low(low), _high(low), _low(high), _high(high)]
    dims = low.dims
    for _ in range(10):
        first, second = x[0].convert(U64) * PHILOX[0], x[2].convert(U64) * PHILOX[1]
        x = [
            _high(second) ^ x[1] ^ _everywhere(k0, dims),
            _low(second),
            _high(first) ^ x[3] ^ _everywhere(k1, dims),
            _low(first),
        ]
        k0, k1 = k0 + PHILOX_KEYS[0], k1 + PHILOX_KEYS[1]
    return x


def _three_fry_words(key: Array, counter: Array, dims: tuple[int, ...], wide: bool) -> tuple[Array, Array]:
    """Words of `dims` (64-bit where `wide`) and the next counter."""
    if wide:
        size = math.prod(dims)
        words = _joined(*three_fry(iota(U64, (size,)) + _everywhere(counter, (size,)), key))
        return words.reshape(*dims), counter + size
    # Each counter gives two 32-bit words, neighbours along one dimension: the first even one, else the longest.
    shape = dims or (1,)
    even = [d for d, n in enumerate(shape) if n % 2 == 0]
    split = even[0] if dims and even else int(np.argmax(shape))
    half = (*shape[:split], -(-shape[split] // 2), *shape[split + 1 :])
    size = math.prod(half)
    first, second = three_fry(iota(U64, (size,)) + _everywhere(counter, (size,)), key)
    pairs = stack([first.reshape(*half), second.reshape(*half)], split + 1)
    merged = pairs.reshape(*half[:split], 2 * half[split], *half[split + 1 :])
    return merged.slice(split, 0, shape[split]).reshape(*dims), counter + size


def _add128(low: Array, high: Array, delta: Array | int) -> tuple[Array, Array]:
    total = low + delta
    return total, high + total.compare("LT", low).convert(U64)


def _philox_words(key: Array, low: Array, high: Array, dims: tuple[int, ...], wide: bool) -> tuple[Array, Array, Array]:
    """Words of `dims` (64-bit where `wide`) and the next 128-bit counter."""
    size = math.prod(dims)
    blocks = -(-size * (2 if wide else 1) // 4)
    every = (blocks,)
    w = philox(*_add128(_everywhere(low, every), _everywhere(high, every), iota(U64, every)), key)
    columns = [_joined(w[0], w[1]), _joined(w[2], w[3])] if wide else w
    words = stack(columns, 1).reshape(blocks * len(columns)).slice(0, 0, size).reshape(*dims)
    return (words, *_add128(low, high, blocks))


def _as_bits(words: Array, row: ElementType) -> Array:
    """The low bits of words as elements of a type."""
    unsigned = ELEMENT_TYPES[f"u{row.bits}"]
    if row.bits < 8:
        return words.convert(U8).convert(row)
    return words.convert(unsigned).bitcast(row)


def _bit_generator(x: Instruction) -> Instruction | None:
    assert isinstance(x.shape, TupleShape)
    result = x.shape[1]
    assert isinstance(result, ArrayShape)
    row, dims = result.element_type, result.dims
    if row.bits < 8 and not row.is_integer:
        return None
    state = Array(x.operands[0])
    parts = [state.slice(0, i, i + 1).reshape() for i in range(state.dims[0])]
    wide = row.bits == 64
    if not result.size:
        return tuple_(state, full(row, 0, dims))
    if x["algorithm"] == "rng_three_fry":
        words, counter = _three_fry_words(parts[0], parts[1], dims, wide)
        new = [parts[0], counter]
    else:
        # Three words are the key and the counter's low and high half; of two, the key is the high half as well.
        low, high = (parts[1], parts[2]) if len(parts) == 3 else (parts[1], parts[0])
        words, low, high = _philox_words(parts[0], low, high, dims, wide)
        new = [parts[0], low, high][: len(parts)]
    return tuple_(concatenate([p.reshape(1) for p in new], 0), _as_bits(words, row))


def _fresh_words(dims: tuple[int, ...]) -> Array:
    """64-bit words from the process's random state."""
    delta = -(-2 * math.prod(dims) // 4)
    state = op.rng_get_and_update_state.make(shape=ArrayShape(U64, (2,)), delta=delta)
    low, high = (Array(state).slice(0, i, i + 1).reshape() for i in (0, 1))
    return _philox_words(constant(U64, 0), low, high, dims, True)[0]


def _rng(x: Instruction) -> Instruction:
    """Uniform in [first, second), or normal of mean `first` and standard deviation `second`."""
    shape = x.shape
    assert isinstance(shape, ArrayShape)
    row, dims = shape.element_type, shape.dims
    if not shape.size:
        return full(row, 0, dims).node
    first, second = (_everywhere(Array(o), dims) for o in x.operands)
    words = _fresh_words(dims)
    if row.kind == "p":
        return first.compare("EQ", second).select(first, (words & 1).compare("NE", 0)).node
    if row.is_integer:
        widest = S64 if row.kind == "s" else U64
        low, high = (v.convert(widest).bitcast(U64) for v in (first, second))
        span = second.compare("GT", first).select(high - low, 1)
        return ((words % span) + low).bitcast(widest).convert(row).node
    unit = (words >> 11).convert(F64) * 2.0**-53
    low, high = first.convert(F64), second.convert(F64)
    if x["distribution"] == "rng_uniform":
        result = (low + (high - low) * unit).convert(row)
        beyond = result.compare("GE", second) & first.compare("LT", second)
        return beyond.select(first, result).node
    # Box and Muller: a radius and an angle for each element.
    angle = (_fresh_words(dims) >> 11).convert(F64) * 2.0**-53
    radius = (-unit).apply("log-plus-one") * -2
    normal = radius.apply("sqrt") * (angle * (2 * np.pi)).apply("cosine")
    return (low + high * normal).convert(row).node
