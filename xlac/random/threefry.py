"""Keys, and the bits and uniform floats they give: ThreeFry-2x32 with 20 rounds.

The generator is that of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011): a
bijection of two 32-bit words under a key of two more. An element's counter is its row-major index, high word first, so
that each element depends on the key and on its own place only. How its bits come from the two words is JAX's choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.lax.operands import as_dims, convert, expand
from xlac.numpy._core import as_tracer, stretch

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_UINT32 = np.dtype(np.uint32)

_UINT64 = np.dtype(np.uint64)

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


def key_words(name: str, key: Any) -> Words:
    """The two words of one key.

    Raises:
      ShapeError: it is no key, or several.
    """
    x = as_tracer(key)
    if not is_keys(x) or x.shape != key_dims(x):
        what = "several keys, of which it takes one" if is_keys(x) else "no key"
        raise shape_error(
            f"{name}: key is {x._instruction.shape}, {what}; a key is u64[], as xlac.random.key(seed) gives, or "
            "u32[2], as xlac.random.PRNGKey(seed) does"
        )
    return words_of(x)


def key_dims(x: Tracer) -> tuple[int, ...]:
    """The dimensions that one key has in an array of keys."""
    return () if x.dtype == _UINT64 else (2,)


def is_keys(x: Tracer) -> bool:
    """Whether an array can be one or more keys: uint64[...] or uint32[..., 2]."""
    return x.dtype == _UINT64 or (x.dtype == _UINT32 and x.shape[-1:] == (2,))


def words_of(keys: Tracer) -> Words:
    """The two words of each key."""
    if keys.dtype == _UINT64:
        return convert(lax.shift_right_logical(keys, lax.full_like(keys, 32)), _UINT32), convert(keys, _UINT32)
    return tuple(lax.index_in_dim(keys, i, axis=-1, keepdims=False) for i in range(2))  # type: ignore[return-value]


def keys_like(key: ArrayLike, words: Words) -> Tracer:
    """The keys of pairs of words, in the form in which `key` is."""
    return mixed(words, 64) if as_tracer(key).dtype == _UINT64 else join(words)


def child(key: Words, number: int) -> Words:
    """The key that `split` puts at this place; `key` may hold many keys, as two arrays of words."""
    return hash_words(key, (lift(np.uint32(0)), lift(np.uint32(number))))


def join(words: Words) -> Tracer:
    """The two words along a new last dimension."""
    return lax.concatenate([lax.reshape(w, (*w.shape, 1)) for w in words], words[0].ndim)


def mixed(words: Words, width: int) -> Tracer:
    """Random bits of a width from the words of each element."""
    unsigned = np.dtype(f"u{width // 8}")
    if width == 64:
        high, low = (convert(w, unsigned) for w in words)
        return lax.bitwise_or(lax.shift_left(high, lax.full_like(high, 32)), low)
    return convert(lax.bitwise_xor(*words), unsigned)


def unit(words: Words, dtype: np.dtype) -> Tracer:
    """Floats in [0, 1) from the words of each element: the bits become the mantissa of a number in [1, 2)."""
    info = ml_dtypes.finfo(dtype)
    width = info.bits if info.nmant >= 8 else 8
    unsigned = np.dtype(f"u{info.bits // 8}")
    raw = convert(mixed(words, width), unsigned)
    mantissa = lax.shift_right_logical(raw, lift(np.asarray(width - info.nmant, unsigned)))
    one = np.ones((), dtype)
    return lax.sub(lax.bitcast_convert_type(lax.bitwise_or(mantissa, lift(one.view(unsigned))), dtype), lift(one))


# ---- arguments of samplers


def float_dtype(name: str, dtype: Any, complex_too: bool = False) -> np.dtype:
    """A dtype argument of a sampler of floats; None is the default float type.

    Raises:
      ShapeError: it is none of float16, bfloat16, float32, float64 (or, where they are allowed, complex64, complex128).
    """
    kind = dtypes.as_dtype(float if dtype is None else dtype)
    if (dtypes.is_float(kind) and kind.itemsize >= 2) or (complex_too and dtypes.is_complex(kind)):
        return kind
    allowed = "float16, bfloat16, float32 or float64" + (", or complex" if complex_too else "")
    raise shape_error(f"{name}: dtype is {kind.name}; it must be {allowed}")


def integer_dtype(name: str, dtype: Any) -> np.dtype:
    """A dtype argument of a sampler of integers; None is int32.

    Raises:
      ShapeError: it is no integer type of 8 to 64 bits.
    """
    kind = dtypes.as_dtype(int if dtype is None else dtype)
    if kind.kind in "iu":
        return kind
    raise shape_error(f"{name}: dtype is {kind.name}; it must be an integer type of 8, 16, 32 or 64 bits")


def sample_shape(name: str, shape: Any, *parameters: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the samples: what the parameters' shapes broadcast to if none is given.

    Raises:
      ShapeError: the parameters do not broadcast together, or to the shape that is given.
    """
    listed = " and ".join(str(list(p)) for p in parameters)
    try:
        common = np.broadcast_shapes(*parameters)
    except ValueError:
        raise shape_error(f"{name}: parameters of shapes {listed} do not broadcast together") from None
    if shape is None:
        return common
    dims = as_dims(shape)
    try:
        fits = np.broadcast_shapes(dims, common) == dims
    except ValueError:
        fits = False
    if not fits:
        raise shape_error(
            f"{name}: parameters of shapes {listed} do not broadcast to the shape {list(dims)} of the samples"
        )
    return dims


def parameter(x: Any, dtype: np.dtype, shape: Sequence[int] | None = None) -> Tracer:
    """A parameter of a distribution in the samples' type, and shape if one is given."""
    value = convert(as_tracer(x), dtype)
    return value if shape is None else stretch(value, shape)


def _check_impl(name: str, impl: Any) -> None:
    if impl not in (None, "threefry2x32"):
        raise shape_error(f"{name}: impl is {impl!r}; the one generator here is 'threefry2x32'")


# ---- public functions


def key_impl(keys: ArrayLike) -> str:
    """The name of the generator that keys are of."""
    return "threefry2x32"


@array_function
def key(seed: ArrayLike, *, impl: Any = None) -> Array:
    """The key of an integer seed, as uint64[].

    Integers of at most 32 bits, and Python integers that fit int32, have upper bits 0 even if they are negative, as in
    JAX without 64-bit types.

    Raises:
      ShapeError: the seed is no single integer, or `impl` names another generator.
    """
    return mixed(_seed_words("key", seed, impl), 64)


@array_function
def PRNGKey(seed: ArrayLike, *, impl: Any = None) -> Array:
    """The key that `key` gives, as its words uint32[2]."""
    return join(_seed_words("PRNGKey", seed, impl))


def _seed_words(name: str, seed: Any, impl: Any) -> Words:
    """The upper and lower 32 bits of a seed."""
    _check_impl(name, impl)
    x = as_tracer(seed)
    if x.shape or not dtypes.is_integer(x.dtype):
        raise shape_error(f"{name}: seed is {x._instruction.shape}; it must be a single integer")
    x = convert(x, x.dtype)
    if x.dtype.itemsize < 8:
        return lift(np.uint32(0)), convert(x, _UINT32)
    return words_of(convert(x, _UINT64))


@array_function
def split(key: ArrayLike, num: int | Sequence[int] = 2) -> Array:
    """New keys from one: an array [num], or [*num] for several dimensions, of keys in the form of the given one."""
    return keys_like(key, hash_words(key_words("split", key), counters(as_dims(num))))


@array_function
def fold_in(key: ArrayLike, data: ArrayLike) -> Array:
    """A new key from a key and an integer, of which the lower 32 bits count."""
    x = as_tracer(data)
    if x.shape or not dtypes.is_integer(x.dtype):
        raise shape_error(f"fold_in: data is {x._instruction.shape}; it must be a single integer")
    number = convert(convert(x, x.dtype), _UINT32)
    return keys_like(key, hash_words(key_words("fold_in", key), (lift(np.uint32(0)), number)))


@array_function
def clone(key: ArrayLike) -> Array:
    """The same key, for a use that is to see the same numbers."""
    return as_tracer(key)


@array_function
def key_data(keys: ArrayLike) -> Array:
    """The words of keys: uint32[..., 2].

    Raises:
      ShapeError: they are no keys.
    """
    x = as_tracer(keys)
    if not is_keys(x):
        raise shape_error(f"key_data: the array is {x._instruction.shape}; keys are u64[...] or u32[..., 2]")
    return join(words_of(x))


@array_function
def wrap_key_data(key_bits_array: ArrayLike, *, impl: Any = None) -> Array:
    """Keys uint64[...] of words uint32[..., 2].

    Raises:
      ShapeError: the words are of another type or shape, or `impl` names another generator.
    """
    _check_impl("wrap_key_data", impl)
    x = as_tracer(key_bits_array)
    if x.dtype != _UINT32 or not is_keys(x):
        raise shape_error(f"wrap_key_data: the array is {x._instruction.shape}; words of keys are u32[..., 2]")
    return mixed(words_of(x), 64)


@array_function
def bits(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Unsigned integers of uniform bits; uint32 without a dtype."""
    kind = dtypes.as_dtype(_UINT32 if dtype is None else dtype)
    if kind.kind != "u":
        raise shape_error(f"bits: dtype is {kind.name}; it must be uint8, uint16, uint32 or uint64")
    words = hash_words(key_words("bits", key), counters(as_dims(shape)))
    return mixed(words, 8 * kind.itemsize)


@array_function
def uniform(
    key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None, minval: ArrayLike = 0.0, maxval: ArrayLike = 1.0
) -> Array:
    """Floats uniform in [minval, maxval), whose shapes broadcast to `shape`."""
    kind = float_dtype("uniform", dtype)
    low, high = as_tracer(minval), as_tracer(maxval)
    dims = sample_shape("uniform", shape, low.shape, high.shape)
    floats = unit(hash_words(key_words("uniform", key), counters(dims)), kind)
    if (
        isinstance(low.exact, (int, float))
        and isinstance(high.exact, (int, float))
        and (low.exact, high.exact) == (0, 1)
    ):
        return floats
    low, high = parameter(low, kind, dims), parameter(high, kind, dims)
    return lax.max(low, lax.add(lax.mul(floats, lax.sub(high, low)), low))
