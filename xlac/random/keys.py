"""Keys in their forms, and the bits, keys and uniform floats they give.

A key of two words belongs to ThreeFry, one of four to the generators "rbg" and "unsafe_rbg". These draw by Philox, and
differ in how they make keys of keys: the first by ThreeFry, the second by Philox too. Which of them keys of four words
belong to, `xlac.config`'s "jax_default_prng_impl" tells: unsafe_rbg if that is it, else rbg.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from xlac import config, lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import as_dims, convert
from xlac.numpy._core import as_tracer, stretch
from xlac.random.threefry import counters, hash_words, join, mixed

_UINT32 = np.dtype(np.uint32)
_UINT64 = np.dtype(np.uint64)
_TURNS = 10  # blocks of Philox for each key that unsafe_rbg makes

Words = tuple[Tracer, ...]  # two or four


# ---- forms of keys


def key_words(name: str, key: Any) -> Words:
    """The words of one key.

    Raises:
      ShapeError: it is no key, or several.
    """
    x = as_tracer(key)
    if not is_keys(x) or x.shape != key_dims(x):
        what = "several keys, of which it takes one" if is_keys(x) else "no key"
        raise shape_error(
            f"{name}: key is {x._instruction.shape}, {what}; a key is u64[], as xlac.random.key(seed) gives, or "
            "u32[2], as xlac.random.PRNGKey(seed) does (u32[4] of the generator rbg)"
        )
    return words_of(x)


def key_dims(x: Tracer) -> tuple[int, ...]:
    """The dimensions that one key has in an array of keys."""
    return () if x.dtype == _UINT64 else x.shape[-1:]


def is_keys(x: Tracer) -> bool:
    """Whether an array can be one or more keys: uint64[...], uint32[..., 2] or uint32[..., 4]."""
    return x.dtype == _UINT64 or (x.dtype == _UINT32 and x.shape[-1:] in ((2,), (4,)))


def words_of(keys: Tracer) -> Words:
    """The words of each key."""
    if keys.dtype == _UINT64:
        return convert(lax.shift_right_logical(keys, lax.full_like(keys, 32)), _UINT32), convert(keys, _UINT32)
    return tuple(lax.index_in_dim(keys, i, axis=-1, keepdims=False) for i in range(keys.shape[-1]))


def keys_like(key: ArrayLike, words: Words) -> Tracer:
    """The keys of words, in the form in which `key` is."""
    return mixed(words, 64) if as_tracer(key).dtype == _UINT64 else join(words)


# ---- what keys give


def random_bits(words: Words, dims: Sequence[int], width: int) -> Tracer:
    """Unsigned integers of a width, uniform."""
    if len(words) == 2:
        return mixed(hash_words(words, counters(dims)), width)
    return lax.rng_bit_generator(join(words), dims, np.dtype(f"u{width // 8}"))[1]


def unit_width(dtype: np.dtype) -> int:
    """How many random bits a float in [0, 1) is made of."""
    info = ml_dtypes.finfo(dtype)
    return info.bits if info.nmant >= 8 else 8


def unit(raw: Tracer, dtype: np.dtype) -> Tracer:
    """Floats in [0, 1) from so many random bits: they become the mantissa of a number in [1, 2)."""
    info = ml_dtypes.finfo(dtype)
    unsigned = np.dtype(f"u{info.bits // 8}")
    raw = convert(raw, unsigned)
    mantissa = lax.shift_right_logical(raw, lift(np.asarray(unit_width(dtype) - info.nmant, unsigned)))
    one = np.ones((), dtype)
    return lax.sub(lax.bitcast_convert_type(lax.bitwise_or(mantissa, lift(one.view(unsigned))), dtype), lift(one))


def unit_floats(words: Words, dims: Sequence[int], dtype: np.dtype) -> Tracer:
    """Floats uniform in [0, 1)."""
    return unit(random_bits(words, dims, unit_width(dtype)), dtype)


def _by_threefry(words: Words, counter: Words) -> Words:
    """The words that ThreeFry makes of counters, for each two words of a key."""
    made = [hash_words(words[i : i + 2], counter) for i in range(0, len(words), 2)]
    return tuple(word for pair in made for word in pair)


def _unsafe(words: Words) -> bool:
    return len(words) == 4 and config.read("jax_default_prng_impl") == "unsafe_rbg"


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


def _chosen(name: str, impl: Any) -> str:
    """The name of a generator; the usual one for None.

    Raises:
      ShapeError: there is none of that name, or unsafe_rbg is not the usual one.
    """
    usual = config.read("jax_default_prng_impl")
    chosen = usual if impl is None else impl
    if chosen not in config.GENERATORS:
        raise shape_error(f"{name}: impl is {impl!r}; it must be one of {', '.join(config.GENERATORS)}")
    if chosen == "unsafe_rbg" != usual:
        raise shape_error(
            f"{name}: keys of unsafe_rbg are told from those of rbg by the setting; make it the usual generator with "
            "xlac.config.update('jax_default_prng_impl', 'unsafe_rbg')"
        )
    return chosen


# ---- public functions


def key_impl(keys: ArrayLike) -> str:
    """The name of the generator that keys are of."""
    if keys.dtype != _UINT32 or keys.shape[-1:] != (4,):  # type: ignore[union-attr]
        return "threefry2x32"
    return "unsafe_rbg" if config.read("jax_default_prng_impl") == "unsafe_rbg" else "rbg"


def key_dtype(impl_spec: Any = None) -> np.dtype:
    """The dtype of the keys that `key` makes: uint64 of ThreeFry, uint32 of others."""
    return _UINT64 if _chosen("key_dtype", impl_spec) == "threefry2x32" else _UINT32


@array_function
def key(seed: ArrayLike, *, impl: Any = None, dtype: Any = None) -> Array:
    """The key of an integer seed, as uint64[]; of the generators rbg and unsafe_rbg as its words uint32[4].

    Integers of at most 32 bits, and Python integers that fit int32, have upper bits 0 even if they are negative, as in
    JAX without 64-bit types.

    Args:
      seed: an integer.
      impl: the generator, "threefry2x32", "rbg" or "unsafe_rbg"; that of `xlac.config`'s "jax_default_prng_impl" if
        left out, which must be unsafe_rbg for keys of it.
      dtype: accepted as in JAX.
    Raises: ShapeError if the seed is no single integer, or there is no such generator.
    """
    words = _seed_words("key", seed, impl)
    return mixed(words, 64) if len(words) == 2 else join(words)


@array_function
def PRNGKey(seed: ArrayLike, *, impl: Any = None) -> Array:
    """The key that `key` gives, as its words: uint32[2], or uint32[4]."""
    return join(_seed_words("PRNGKey", seed, impl))


def _seed_words(name: str, seed: Any, impl: Any) -> Words:
    """The upper and lower 32 bits of a seed, twice for keys of four words."""
    times = 1 if _chosen(name, impl) == "threefry2x32" else 2
    x = as_tracer(seed)
    if x.shape or not dtypes.is_integer(x.dtype):
        raise shape_error(f"{name}: seed is {x._instruction.shape}; it must be a single integer")
    return _halves(x) * times


def _halves(x: Tracer) -> Words:
    """The upper and lower 32 bits of an integer."""
    x = convert(x, x.dtype)
    if x.dtype.itemsize < 8:
        return lift(np.uint32(0)), convert(x, _UINT32)
    return words_of(convert(x, _UINT64))


@array_function
def split(key: ArrayLike, num: int | Sequence[int] = 2) -> Array:
    """New keys from one: an array [num], or [*num] for several dimensions, of keys in the form of the given one."""
    words, dims = key_words("split", key), as_dims(num)
    if _unsafe(words):
        count = math.prod(dims)
        drawn = lax.rng_bit_generator(join(words), (_TURNS * count, 4), _UINT32)[1]
        return lax.reshape(lax.slice_in_dim(drawn, 0, _TURNS * count, _TURNS), (*dims, 4))
    return keys_like(key, _by_threefry(words, counters(dims)))


@array_function
def fold_in(key: ArrayLike, data: ArrayLike) -> Array:
    """A new key from a key and an integer, of which the lower 32 bits count."""
    x = as_tracer(data)
    if x.shape or not dtypes.is_integer(x.dtype):
        raise shape_error(f"fold_in: data is {x._instruction.shape}; it must be a single integer")
    words, number = key_words("fold_in", key), (lift(np.uint32(0)), convert(convert(x, x.dtype), _UINT32))
    if _unsafe(words):
        drawn = lax.rng_bit_generator(join(number * 2), (_TURNS, 4), _UINT32)[1]
        return lax.bitwise_xor(join(words), lax.index_in_dim(drawn, _TURNS - 1, keepdims=False))
    return keys_like(key, _by_threefry(words, number))


@array_function
def clone(key: ArrayLike) -> Array:
    """The same key, for a use that is to see the same numbers."""
    return as_tracer(key)


@array_function
def key_data(keys: ArrayLike) -> Array:
    """The words of keys: uint32[..., 2], or uint32[..., 4] of rbg and unsafe_rbg.

    Raises:
      ShapeError: they are no keys.
    """
    x = as_tracer(keys)
    if not is_keys(x):
        raise shape_error(
            f"key_data: the array is {x._instruction.shape}; keys are u64[...], u32[..., 2] or u32[..., 4]"
        )
    return join(words_of(x))


@array_function
def wrap_key_data(key_bits_array: ArrayLike, *, impl: Any = None, dtype: Any = None) -> Array:
    """Keys of words uint32[..., 2] as uint64[...]; those of four words are keys as they are.

    Raises:
      ShapeError: the words are of another type or shape than the generator's.
    """
    count = 2 if _chosen("wrap_key_data", impl) == "threefry2x32" else 4
    x = as_tracer(key_bits_array)
    if x.dtype != _UINT32 or x.shape[-1:] != (count,):
        raise shape_error(f"wrap_key_data: the array is {x._instruction.shape}; words of keys are u32[..., {count}]")
    return mixed(words_of(x), 64) if count == 2 else x


@array_function
def bits(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Unsigned integers of uniform bits; uint32 without a dtype."""
    kind = dtypes.as_dtype(_UINT32 if dtype is None else dtype)
    if kind.kind != "u":
        raise shape_error(f"bits: dtype is {kind.name}; it must be uint8, uint16, uint32 or uint64")
    return random_bits(key_words("bits", key), as_dims(shape), 8 * kind.itemsize)


@array_function
def uniform(
    key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None, minval: ArrayLike = 0.0, maxval: ArrayLike = 1.0
) -> Array:
    """Floats uniform in [minval, maxval), whose shapes broadcast to `shape`."""
    kind = float_dtype("uniform", dtype)
    low, high = as_tracer(minval), as_tracer(maxval)
    dims = sample_shape("uniform", shape, low.shape, high.shape)
    floats = unit_floats(key_words("uniform", key), dims, kind)
    if (
        isinstance(low.exact, (int, float))
        and isinstance(high.exact, (int, float))
        and (low.exact, high.exact) == (0, 1)
    ):
        return floats
    low, high = parameter(low, kind, dims), parameter(high, kind, dims)
    return lax.max(low, lax.add(lax.mul(floats, lax.sub(high, low)), low))
