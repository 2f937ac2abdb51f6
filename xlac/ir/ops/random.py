"""Random numbers: rng-bit-generator (ThreeFry and Philox), rng, rng-get-and-update-state.

ThreeFry-2x32 with 20 rounds and Philox-4x32 with 10 rounds are those of Salmon, Moraes, Dror and Shaw, "Parallel random
numbers: as easy as 1, 2, 3" (SC 2011). Which counter gives which element follows XLA, bit for bit.
"""

from __future__ import annotations

import math
import threading

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INT, WORD, opcode
from xlac.ir.ops.elementwise import quiet, require_array, require_kind
from xlac.ir.shape import U64, ArrayShape, Shape, TupleShape, element_type

ALGORITHMS = ("rng_default", "rng_three_fry", "rng_philox")

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
THREE_FRY_PARITY = 0x1BD11BDA
PHILOX = (0xD2511F53, 0xCD9E8D57)  # multipliers
PHILOX_KEYS = (0x9E3779B9, 0xBB67AE85)  # what the key grows by from round to round
_MASK32 = np.uint64(0xFFFFFFFF)


def _halves(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The low and high words of 64-bit numbers."""
    x = np.asarray(x, np.uint64)
    return (x & _MASK32).astype(np.uint32), (x >> np.uint64(32)).astype(np.uint32)


def _joined(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)


def three_fry(counter: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ThreeFry-2x32-20 of 64-bit counters under a 64-bit key: two 32-bit words each."""
    keys = list(_halves(key))
    keys.append(keys[0] ^ keys[1] ^ np.uint32(THREE_FRY_PARITY))
    x, y = _halves(counter)
    x, y = x + keys[0], y + keys[1]
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x = x + y
            y = (y << np.uint32(distance)) | (y >> np.uint32(32 - distance))
            y = x ^ y
        x = x + keys[(group + 1) % 3]
        y = y + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def philox(low: np.ndarray, high: np.ndarray, key: np.ndarray) -> list[np.ndarray]:
    """Philox-4x32-10 of 128-bit counters (low and high 64 bits) under a 64-bit key: four 32-bit words each."""
    k0, k1 = _halves(key)
    x = [*_halves(low), *_halves(high)]
    for _ in range(10):
        first = x[0].astype(np.uint64) * np.uint64(PHILOX[0])
        second = x[2].astype(np.uint64) * np.uint64(PHILOX[1])
        (low0, high0), (low1, high1) = _halves(first), _halves(second)
        x = [high1 ^ x[1] ^ k0, low1, high0 ^ x[3] ^ k1, low0]
        k0, k1 = k0 + np.uint32(PHILOX_KEYS[0]), k1 + np.uint32(PHILOX_KEYS[1])
    return x


def _three_fry_words(state: np.ndarray, dims: tuple[int, ...], wide: bool) -> tuple[np.ndarray, np.ndarray]:
    """Words of `dims` (64-bit where `wide`) and the next counter, from the state [key, counter]."""
    key, counter = state[0], state[1]
    size = math.prod(dims)
    if wide:
        words = _joined(*three_fry(counter + np.arange(size, dtype=np.uint64), key))
        return words.reshape(dims), counter + np.uint64(size)
    # Each counter gives two 32-bit words, neighbours along one dimension: the first even one, else the longest.
    shape = dims or (1,)
    even = [d for d, n in enumerate(shape) if n % 2 == 0]
    split = even[0] if dims and even else int(np.argmax(shape))
    half = (*shape[:split], -(-shape[split] // 2), *shape[split + 1 :])
    size = math.prod(half)
    first, second = three_fry(counter + np.arange(size, dtype=np.uint64), key)
    pairs = np.stack([first.reshape(half), second.reshape(half)], axis=split + 1)
    merged = pairs.reshape(*half[:split], 2 * half[split], *half[split + 1 :])
    words = np.take(merged, np.arange(shape[split]), axis=split)
    return words.reshape(dims), counter + np.uint64(size)


def _add128(low: np.ndarray, high: np.ndarray, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    total = low + delta
    return total, high + (total < low).astype(np.uint64)


def _philox_words(
    key: np.ndarray, low: np.ndarray, high: np.ndarray, dims: tuple[int, ...], wide: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Words of `dims` (64-bit where `wide`) and the next 128-bit counter."""
    size = math.prod(dims)
    blocks = -(-size * (2 if wide else 1) // 4)
    w = philox(*_add128(low, high, np.arange(blocks, dtype=np.uint64)), key)
    columns = [_joined(w[0], w[1]), _joined(w[2], w[3])] if wide else w
    words = np.stack(columns, axis=1).reshape(-1)[:size].reshape(dims)
    return (words, *_add128(low, high, np.uint64(blocks)))


def _bits_shape(state: Shape, *, shape: Shape, algorithm: str) -> TupleShape:
    name = "rng-bit-generator"
    if algorithm not in ALGORITHMS:
        raise ShapeError(f"{name}: algorithm={algorithm}; it must be one of {', '.join(ALGORITHMS)}")
    given = require_array(name, 0, state)
    sizes = (2,) if algorithm == "rng_three_fry" else (2, 3)
    if given not in [ArrayShape(U64, (n,)) for n in sizes]:
        wanted = " or ".join(f"u64[{n}]" for n in sizes)
        raise ShapeError(f"{name}: operand 0 is {given}; the state of {algorithm} is {wanted}")
    if not isinstance(shape, TupleShape) or len(shape) != 2 or shape[0] != given:
        raise ShapeError(
            f"{name}: the result is {shape}; it must be a tuple of the new state, {given}, and an array of bits"
        )
    bits = require_array(name, 0, shape[1])
    require_kind(name, 0, bits, "suf")
    return shape


def random_bits(state: np.ndarray, shape: ArrayShape, algorithm: str) -> tuple[np.ndarray, np.ndarray]:
    """(new state, bits of `shape`); narrow types take the low bits of 32-bit words. The default is Philox."""
    row = element_type(shape.dtype)
    wide = row.bits == 64
    if algorithm == "rng_three_fry":
        words, counter = _three_fry_words(state, shape.dims, wide)
        new = np.array([state[0], counter], np.uint64)
    else:
        # Three words are the key and the counter's low and high half; of two, the key is the high half as well.
        low, high = (state[1], state[2]) if state.size == 3 else (state[1], state[0])
        words, low, high = _philox_words(state[0], low, high, shape.dims, wide)
        new = np.array([state[0], low, high][: state.size], np.uint64)
    unsigned = np.dtype(f"u{max(row.bits, 8) // 8}")
    bits = words.astype(unsigned)
    if row.bits < 8:
        bits = bits & unsigned.type((1 << row.bits) - 1)
        if row.kind == "s":
            bits = (bits ^ (1 << (row.bits - 1))).astype(np.int8) - (1 << (row.bits - 1))
        return new, bits.astype(row.dtype)
    return new, np.asarray(bits, order="C").view(row.dtype)


def _bits(state: np.ndarray, *, shape: TupleShape, algorithm: str) -> tuple[np.ndarray, np.ndarray]:
    return random_bits(state, shape[1], algorithm)  # type: ignore[arg-type]


opcode(
    "rng-bit-generator",
    arity=1,
    attrs={"algorithm": WORD},
    shape=_bits_shape,
    evaluate=quiet(_bits),
    declared=True,
)


class _State:
    """The process's 128-bit random state, which rng and rng-get-and-update-state share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0x7012395

    def advance(self, delta: int) -> np.ndarray:
        """The state as [low, high] 64-bit words; it is `delta` larger afterwards."""
        with self._lock:
            old = self.value
            self.value = (old + delta) % (1 << 128)
        return np.array([old & 0xFFFFFFFFFFFFFFFF, old >> 64], np.uint64)


_STATE = _State()


def _update_state_shape(*, shape: Shape, delta: int) -> Shape:
    if shape != ArrayShape(U64, (2,)):
        raise ShapeError(f"rng-get-and-update-state: the result is {shape}; it must be u64[2]")
    return shape


opcode(
    "rng-get-and-update-state",
    arity=0,
    attrs={"delta": INT},
    shape=_update_state_shape,
    evaluate=lambda *, shape, delta: _STATE.advance(delta),
    declared=True,
    pure=False,
)


def _rng_shape(first: Shape, second: Shape, *, shape: Shape, distribution: str) -> ArrayShape:
    if distribution not in ("rng_uniform", "rng_normal"):
        raise ShapeError(f"rng: distribution={distribution}; it must be rng_uniform or rng_normal")
    result = require_array("rng", 0, shape)
    for i, operand in enumerate((first, second)):
        if operand != ArrayShape(result.element_type):
            raise ShapeError(
                f"rng: operand {i} is {operand}; it must be {result.element_type}[] as the result is {result}"
            )
    require_kind("rng", 0, result, "f" if distribution == "rng_normal" else "psuf")
    return result


def _rng(first: np.ndarray, second: np.ndarray, *, shape: ArrayShape, distribution: str) -> np.ndarray:
    """Uniform in [first, second), or normal of mean `first` and standard deviation `second`."""
    row = shape.element_type
    state = _STATE.advance(-(-2 * shape.size // 4))
    words = _philox_words(np.uint64(0), state[0], state[1], shape.dims, True)[0]
    if row.kind == "p":
        return np.where(first == second, first, (words & np.uint64(1)) != 0)
    if row.is_integer:
        low, high = int(first), int(second)
        span = np.uint64(max(high - low, 1) % (1 << 64))
        return (
            (words % span + np.uint64(low % (1 << 64)))
            .astype(np.int64 if row.kind == "s" else np.uint64)
            .astype(row.dtype)
        )
    unit = (words >> np.uint64(11)) * 2.0**-53
    low, high = first.astype(np.float64), second.astype(np.float64)
    if distribution == "rng_uniform":
        result = (low + (high - low) * unit).astype(row.dtype)
        return np.where((result >= second) & (first < second), first, result).astype(row.dtype)
    # Box and Muller: a radius and an angle for each element.
    state = _STATE.advance(-(-2 * shape.size // 4))
    angle = (_philox_words(np.uint64(0), state[0], state[1], shape.dims, True)[0] >> np.uint64(11)) * 2.0**-53
    normal = np.sqrt(-2 * np.log1p(-unit)) * np.cos(2 * np.pi * angle)
    return (low + high * normal).astype(row.dtype)


opcode(
    "rng",
    arity=2,
    attrs={"distribution": WORD},
    shape=_rng_shape,
    evaluate=quiet(_rng),
    declared=True,
    pure=False,
)
