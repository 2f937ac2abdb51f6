"""Samples of discrete distributions, permutations and choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import lift, shape_error, trace_error
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import as_dims, convert
from xlac.numpy._core import as_tracer, inexact, normalize_axis, promote_inexact, stretch
from xlac.random.keys import (
    bits,
    integer_dtype,
    key_words,
    parameter,
    random_bits,
    sample_shape,
    split,
    uniform,
)

BERNOULLI_MODES = ("low", "high")


# ---- integers


def _clipped(x: Tracer, low: int, high: int) -> Tracer:
    """`x` limited to [low, high] as far as its type reaches."""
    info = np.iinfo(x.dtype)
    return xnp.clip(x, lift(np.asarray(max(low, info.min), x.dtype)), lift(np.asarray(min(high, info.max), x.dtype)))


def _integers(name: str, x: Any) -> Tracer:
    value = as_tracer(x)
    if not dtypes.is_integer(value.dtype):
        value = lax.convert_element_type(value, np.int32)
    return convert(value, value.dtype)


@array_function
def randint(key: ArrayLike, shape: Sequence[int], minval: ArrayLike, maxval: ArrayLike, dtype: Any = None) -> Array:
    """Integers uniform in [minval, maxval), `minval` where that is empty; int32 without a dtype.

    A `maxval` one above the greatest number of the type includes that number. Samples are remainders of twice as many
    random bits as the type has (of 64 for narrow types), so that the bias is at most 2^-bits times the span.
    """
    kind = integer_dtype("randint", dtype)
    low, high = _integers("randint", minval), _integers("randint", maxval)
    dims = sample_shape("randint", shape, low.shape, high.shape)
    info = np.iinfo(kind)
    drawn = kind
    if info.bits < 32:
        drawn = np.dtype(np.int32)
        low = convert(_clipped(low, info.min, info.max), drawn)
        high = convert(_clipped(high, info.min, info.max + 1), drawn)
        info = np.iinfo(drawn)
    limit = lift(np.asarray(min(info.max, np.iinfo(high.dtype).max), high.dtype))
    beyond = stretch(lax.gt(high, limit), dims)
    low = stretch(convert(_clipped(low, info.min, info.max), drawn), dims)
    high = stretch(convert(_clipped(high, info.min, info.max), drawn), dims)
    unsigned = np.dtype(f"u{info.bits // 8}")
    span = convert(lax.sub(high, low), unsigned)
    span = lax.select(lax.le(high, low), lax.full_like(span, 1), span)
    span = lax.select(lax.bitwise_and(beyond, lax.gt(high, low)), lax.add(span, lax.full_like(span, 1)), span)
    first, second = split(key)
    upper, lower = (random_bits(key_words("randint", k), dims, info.bits) for k in (first, second))
    # (upper 2^bits + lower) mod span, with 2^bits mod span as the square of 2^(bits / 2) mod span.
    half = lax.rem(lax.full_like(span, 2 ** (info.bits // 2)), span)
    power = lax.rem(lax.mul(half, half), span)
    offset = lax.rem(lax.add(lax.mul(lax.rem(upper, span), power), lax.rem(lower, span)), span)
    return convert(lax.add(low, convert(offset, drawn)), kind)


@array_function
def bernoulli(key: ArrayLike, p: ArrayLike = 0.5, shape: Sequence[int] | None = None, mode: str = "low") -> Array:
    """Bools, true with probability `p`, a float; the mode "high" draws twice as many bits, for very small p."""
    if mode not in BERNOULLI_MODES:
        raise shape_error(f"bernoulli: mode is {mode!r}; it must be one of {', '.join(BERNOULLI_MODES)}")
    chance = as_tracer(p)
    if not dtypes.is_float(chance.dtype):
        raise shape_error(f"bernoulli: p is {chance._instruction.shape}; a probability is a float")
    dims = sample_shape("bernoulli", shape, chance.shape)
    kind = chance.dtype
    chance = parameter(chance, kind, dims)
    if mode == "low":
        return lax.lt(uniform(key, dims, kind), chance)
    both = uniform(key, (2, *dims), kind)
    coarse, fine = (lax.index_in_dim(both, i, keepdims=False) for i in range(2))
    fine = lax.mul(fine, lift(np.asarray(2.0 ** -ml_dtypes.finfo(kind).nmant, kind)))
    return lax.lt(fine, lax.sub(chance, coarse))


@array_function
def rademacher(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """-1 and 1 with equal probability; int32 without a dtype."""
    kind = dtypes.as_dtype(int if dtype is None else dtype)
    # JAX draws doubles where its 64-bit types are on, and has no 64-bit results where they are not.
    heads = bernoulli(key, np.asarray(0.5, "f8" if kind in ("i8", "u8", "f8", "c16") else "f4"), as_dims(shape))
    return lax.select(heads, lax.full(heads.shape, 1, kind), lax.neg(lax.full(heads.shape, 1, kind)))


@array_function
def geometric(key: ArrayLike, p: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """The number of trials up to the first success, which has probability `p` in each; int32 without a dtype."""
    kind = integer_dtype("geometric", dtype)
    chance = inexact(p)
    dims = sample_shape("geometric", shape, chance.shape)
    chance = parameter(chance, chance.dtype, dims)
    u = uniform(key, dims, chance.dtype)
    u = lax.select(lax.eq(u, 0), lax.full_like(u, 1), u)
    trials = lax.floor(lax.div(lax.log(u), lax.log1p(lax.neg(chance))))
    return lax.convert_element_type(lax.add(trials, 1), kind)


# ---- order and choice


def _count(name: str, x: Any) -> int | None:
    """The integer that stands for a range; None for an array."""
    if isinstance(x, (int, np.integer)) and not isinstance(x, bool):
        return int(x)
    if np.ndim(x) == 0 and not isinstance(x, (list, tuple)):
        if isinstance(x, Tracer):
            raise trace_error(f"{name}: a number must be known while tracing; name it in static_argnums")
        if isinstance(x, np.ndarray) and x.dtype.kind in "iu":
            return int(x)
        raise shape_error(f"{name}: {x!r} is neither an integer nor an array of at least one dimension")
    return None


def _shuffled(key: Any, x: Tracer, axis: int) -> Tracer:
    """`x` sorted along an axis by random 32-bit keys, again and again until equal keys hardly matter."""
    rounds = math.ceil(3 * math.log(max(1, x.size)) / math.log(2**32 - 1))
    for _ in range(rounds):
        key, subkey = split(key)
        _, x = lax.sort_key_val(bits(subkey, x.shape), x, axis)
    return x


@array_function
def _permuted_range(key: ArrayLike, n: int) -> Array:
    key_words("permutation", key)
    return _shuffled(key, lax.iota(np.int32, n), 0)


@array_function
def _permuted(key: ArrayLike, x: ArrayLike, axis: int, independent: bool) -> Array:
    x = as_tracer(x)
    key_words("permutation", key)
    axis = normalize_axis(axis, x.ndim, "permutation")
    if independent or x.ndim == 1:
        return _shuffled(key, x, axis)
    return xnp.take(x, _shuffled(key, lax.iota(np.int32, x.shape[axis]), 0), axis, mode="clip")


def permutation(key: ArrayLike, x: int | ArrayLike, axis: int = 0, independent: bool = False) -> Array:
    """An array with its slices along an axis in random order, or the integers below `x` in random order.

    Args:
      x: an array, or an integer that stands for arange(x).
      independent: order each vector along the axis by itself.

    Raises:
      TraceError: `x` is a traced number.
    """
    n = _count("permutation", x)
    if n is not None:
        return _permuted_range(key, n)
    return _permuted(key, x, axis, independent)


@array_function
def _choice_places(
    key: ArrayLike, n: int, shape: Sequence[int], replace: bool, p: ArrayLike | None, mode: str | None
) -> Array:
    from xlac.random.continuous import gumbel

    if p is None:
        return randint(key, shape, 0, n)
    (chances,) = promote_inexact(p)
    if chances.shape != (n,):
        raise shape_error(
            f"choice: p is {chances._instruction.shape}; it must have one element for each of the {n} choices"
        )
    if replace:
        sums = xnp.cumsum(chances)
        total = lax.index_in_dim(sums, n - 1, keepdims=False)
        r = lax.mul(stretch(total, shape), lax.sub(1, uniform(key, shape, sums.dtype)))
        return lax.convert_element_type(xnp.searchsorted(sums, r), np.int32)
    scores = lax.add(gumbel(key, (n,), chances.dtype, mode), lax.log(chances))
    return lax.reshape(lax.top_k(scores, math.prod(shape))[1], shape)


def choice(
    key: ArrayLike,
    a: int | ArrayLike,
    shape: Sequence[int] = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
    mode: str | None = None,
) -> Array:
    """Slices of an array along an axis, or integers below `a`, drawn at random.

    Args:
      a: an array, or an integer that stands for arange(a).
      shape: shape of the draws, which stands in the place of the axis.
      replace: whether one may be drawn more than once.
      p: their probabilities; equal if left out.
      mode: of the Gumbel samples behind draws with probabilities and without replacement; see `gumbel`.

    Raises:
      ShapeError: there are fewer choices than draws without replacement, or `p` has another length.
    """
    shape = as_dims(shape)
    n = _count("choice", a)
    values = None
    if n is None:
        values = a if isinstance(a, (np.ndarray, Tracer)) else xnp.asarray(a)
        axis = normalize_axis(axis, values.ndim, "choice")
        n = values.shape[axis]
    draws = math.prod(shape)
    if draws and n <= 0:
        raise shape_error(f"choice: there is nothing to choose from among {n}")
    if not replace and draws > n:
        raise shape_error(f"choice: {draws} draws of {n} without replacement; draw at most {n}")
    if draws == 0:
        dims = shape if values is None else (*values.shape[:axis], *shape, *values.shape[axis + 1 :])
        return xnp.zeros(dims, np.int32 if values is None else values.dtype)
    if p is None and not replace:
        if values is None:
            return _first(permutation(key, n), shape, 0)
        return _first(permutation(key, values, axis), shape, axis)
    places = _choice_places(key, n, shape, replace, p, mode)
    return places if values is None else xnp.take(values, places, axis, mode="clip")


@array_function
def _first(x: ArrayLike, shape: Sequence[int], axis: int) -> Array:
    """The first elements along an axis, as many as `shape` has, in that shape."""
    x = as_tracer(x)
    kept = lax.slice_in_dim(x, 0, math.prod(shape), axis=axis)
    return lax.reshape(kept, (*x.shape[:axis], *shape, *x.shape[axis + 1 :]))


@array_function
def categorical(
    key: ArrayLike,
    logits: ArrayLike,
    axis: int = -1,
    shape: Sequence[int] | None = None,
    replace: bool = True,
    mode: str | None = None,
) -> Array:
    """Classes, int32, with probabilities in proportion to e^logits along an axis.

    A class is the place of the greatest of logits + Gumbel samples.

    Args:
      shape: what the shape of the logits without the axis broadcasts to; further dimensions in front are further draws.
      replace: False draws each class at most once among those further draws.
      mode: see `gumbel`.

    Raises:
      ShapeError: the shape does not fit, or there are more draws than classes without replacement.
    """
    from xlac.random.continuous import gumbel

    scores = inexact(logits)
    axis = normalize_axis(axis, scores.ndim, "categorical")
    batch = (*scores.shape[:axis], *scores.shape[axis + 1 :])
    dims = sample_shape("categorical", shape, batch)
    prefix = dims[: len(dims) - len(batch)]
    if replace:
        inner = list(dims[len(prefix) :])
        inner.insert(axis, scores.shape[axis])
        noise = gumbel(key, (*prefix, *inner), scores.dtype, mode)
        return lax.argmax(lax.add(noise, stretch(scores, noise.shape)), len(prefix) + axis)
    draws = math.prod(prefix)
    if draws > scores.shape[axis] or dims[len(prefix) :] != batch:
        raise shape_error(
            f"categorical: {draws} draws without replacement of {scores.shape[axis]} classes, in shape {list(dims)}; "
            f"draw at most as many as there are classes, in a shape that ends with {list(batch)}"
        )
    scores = lax.add(scores, gumbel(key, scores.shape, scores.dtype, mode))
    _, places = lax.top_k(xnp.moveaxis(scores, axis, -1), draws)
    return lax.reshape(xnp.moveaxis(places, -1, 0), dims)
