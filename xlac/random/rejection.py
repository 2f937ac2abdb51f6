"""Samples found by rejection: gamma and Poisson numbers, and what is made from gamma numbers.

Loops go on until every element has been accepted. Each element of a gamma array has a key of its own, so that it does
not depend on how long the others took.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend.custom import custom_jvp
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import as_dims
from xlac.nn.functions import softmax
from xlac.numpy._core import as_tracer
from xlac.random.continuous import exponential, normal, to_normal
from xlac.random.discrete import rademacher
from xlac.random.keys import (
    float_dtype,
    integer_dtype,
    key_words,
    parameter,
    sample_shape,
    split,
    uniform,
    unit,
    unit_width,
)
from xlac.random.threefry import Words, child, counters, hash_words, mixed


def _own_uniform(keys: Words, dtype: np.dtype) -> Tracer:
    """One number in [0, 1) from each of many keys."""
    return unit(mixed(child(keys, 0), unit_width(dtype)), dtype)


def _where(mask: Tracer, new: Words, old: Words) -> Words:
    return lax.select(mask, new[0], old[0]), lax.select(mask, new[1], old[1])


def _positive(keys: Words, c: Tracer, active: Tracer) -> tuple[Tracer, Tracer]:
    """Normal x, drawn until v = 1 + c x is positive, and v; where not active, anything."""

    def draw(state: Any) -> Any:
        keys, x, v = state
        wanted = lax.le(v, 0)
        drawn = to_normal(_own_uniform(child(keys, 1), c.dtype))
        x = lax.select(wanted, drawn, x)
        return child(keys, 0), x, lax.select(wanted, lax.add(1, lax.mul(drawn, c)), v)

    v = lax.select(active, lax.full_like(c, -1), lax.full_like(c, 1))
    first = draw((keys, lax.full_like(c, 0), v))
    _, x, v = lax.while_loop(lambda state: xnp.any(lax.le(state[2], 0)), draw, first)
    return x, v


@functools.partial(custom_jvp, nondiff_argnums=(2,))
def _gamma(key: Any, alpha: Tracer, log_space: bool) -> Tracer:
    """Gamma numbers, or their logarithms, by the method of Marsaglia and Tsang (2000).

    They are d V for V = (1 + c x)^3 and normal x, if a uniform number accepts them. A number for alpha below 1 is
    one for alpha + 1 times u^(1 / alpha).
    """
    dims, dtype = alpha.shape, alpha.dtype
    alpha = lax.reshape(alpha, (alpha.size,))
    # Each number has a key of its own, of two words whatever the generator.
    keys = hash_words(key_words("gamma", key)[:2], counters(alpha.shape))
    large = lax.ge(alpha, 1)
    shifted = lax.select(large, alpha, lax.add(alpha, 1))
    third = lift(np.asarray(1 / 3, dtype))
    d = lax.sub(shifted, third)
    c = lax.div(third, lax.sqrt(d))

    def step(state: Any) -> Any:
        keys, value, active = state
        x, v = _positive(child(keys, 1), c, active)
        u = _own_uniform(child(keys, 2), dtype)
        square, cube = lax.mul(x, x), lax.mul(lax.mul(v, v), v)
        quick = lax.ge(u, lax.sub(1, lax.mul(lift(np.asarray(0.0331, dtype)), lax.mul(square, square))))
        bound = lax.add(lax.mul(square, 0.5), lax.mul(d, lax.add(lax.sub(1, cube), lax.log(cube))))
        rejected = lax.bitwise_and(quick, lax.ge(lax.log(u), bound))
        return child(keys, 0), lax.select(active, cube, value), lax.bitwise_and(active, rejected)

    start = (child(keys, 0), lax.full_like(alpha, 1), lax.full_like(large, True))
    _, value, _ = lax.while_loop(lambda state: xnp.any(state[2]), step, start)
    u = _own_uniform(child(keys, 1), dtype)
    inverse = lax.div(1, alpha)
    if log_space:
        log_u = lax.log1p(lax.neg(u))
        whole = lax.bitwise_or(large, lax.eq(log_u, 0))
        boost = lax.select(whole, lax.full_like(alpha, 0), lax.mul(log_u, inverse))
        result = lax.add(lax.add(lax.log(d), lax.log(value)), boost)
    else:
        boost = lax.select(large, lax.full_like(alpha, 1), lax.pow(lax.sub(1, u), inverse))
        result = lax.mul(lax.mul(d, value), boost)
    return lax.reshape(result, dims)


@_gamma.defjvp
def _gamma_jvp(log_space: bool, primals: Any, tangents: Any) -> tuple[Tracer, Tracer]:
    """The derivative at a fixed quantile."""
    key, alpha = primals
    made = _gamma(key, alpha, log_space)
    if not log_space:
        return made, lax.mul(tangents[1], lax.random_gamma_grad(alpha, made))
    # Where the sample itself is 0, the least float stands for it.
    sample = lax.max(lax.exp(made), lax.full_like(made, float(ml_dtypes.finfo(made.dtype).tiny)))
    return made, lax.mul(tangents[1], lax.div(lax.random_gamma_grad(alpha, sample), sample))


def _gamma_samples(name: str, key: Any, a: Any, shape: Any, dtype: Any, log_space: bool) -> Tracer:
    kind = float_dtype(name, dtype)
    alpha = as_tracer(a)
    dims = sample_shape(name, shape, alpha.shape)
    return _gamma(key, parameter(alpha, kind, dims), log_space)


@array_function
def gamma(key: ArrayLike, a: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Gamma floats of shape parameter `a` and scale 1."""
    return _gamma_samples("gamma", key, a, shape, dtype, False)


@array_function
def loggamma(key: ArrayLike, a: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Logarithms of gamma floats, finite for small `a` where the floats themselves are 0."""
    return _gamma_samples("loggamma", key, a, shape, dtype, True)


@array_function
def beta(key: ArrayLike, a: ArrayLike, b: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Beta floats: G(a) / (G(a) + G(b)) for two gamma floats, from their logarithms."""
    kind = float_dtype("beta", dtype)
    first, second = as_tracer(a), as_tracer(b)
    dims = sample_shape("beta", shape, first.shape, second.shape)
    key_a, key_b = split(key)
    x, y = _gamma(key_a, parameter(first, kind, dims), True), _gamma(key_b, parameter(second, kind, dims), True)
    top = lax.max(x, y)
    x, y = lax.exp(lax.sub(x, top)), lax.exp(lax.sub(y, top))
    return lax.div(x, lax.add(x, y))


@array_function
def dirichlet(key: ArrayLike, alpha: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Dirichlet vectors [*shape, n] of parameters [..., n]: gamma floats divided by their sum."""
    kind = float_dtype("dirichlet", dtype)
    given = as_tracer(alpha)
    if not given.ndim:
        raise shape_error("dirichlet: alpha is a scalar; it must be [..., n]")
    dims = sample_shape("dirichlet", shape, given.shape[:-1])
    logarithms = _gamma(key, parameter(given, kind, (*dims, given.shape[-1])), True)
    return softmax(logarithms, -1)


@array_function
def chisquare(key: ArrayLike, df: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Chi-square floats of `df` degrees of freedom: twice a gamma float of df / 2."""
    kind = float_dtype("chisquare", dtype)
    degrees = as_tracer(df)
    dims = sample_shape("chisquare", shape, degrees.shape)
    return lax.mul(lax.exp(_gamma(key, lax.div(parameter(degrees, kind, dims), 2), True)), 2)


@array_function
def f(
    key: ArrayLike, dfnum: ArrayLike, dfden: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None
) -> Array:
    """F floats: the quotient of two chi-square floats, each divided by its degrees of freedom."""
    kind = float_dtype("f", dtype)
    above, below = as_tracer(dfnum), as_tracer(dfden)
    dims = sample_shape("f", shape, above.shape, below.shape)
    above, below = parameter(above, kind, dims), parameter(below, kind, dims)
    key_below, key_above = split(key)
    numerator = lax.div(chisquare(key_above, above, dims, kind), above)
    return lax.div(numerator, lax.div(chisquare(key_below, below, dims, kind), below))


@array_function
def t(key: ArrayLike, df: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Student's t floats of `df` degrees of freedom."""
    kind = float_dtype("t", dtype)
    degrees = as_tracer(df)
    dims = sample_shape("t", shape, degrees.shape)
    key_n, key_g = split(key)
    half = lax.div(parameter(degrees, kind, dims), 2)
    return lax.mul(normal(key_n, dims, kind), lax.sqrt(lax.div(half, _gamma(key_g, half, False))))


@array_function
def generalized_normal(key: ArrayLike, p: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Floats with density in proportion to e^(-|x|^p), from gamma floats and signs."""
    kind = float_dtype("generalized_normal", dtype)
    power = as_tracer(p)
    dims = sample_shape("generalized_normal", shape, power.shape)
    inverse = lax.div(1, parameter(power, kind, dims))
    key_g, key_r = split(key)
    return lax.mul(rademacher(key_r, dims, kind), lax.pow(_gamma(key_g, inverse, False), inverse))


@array_function
def ball(key: ArrayLike, d: int, p: ArrayLike = 2, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Points [*shape, d] uniform in the unit ball of the p-norm (Barthe, Guedon, Mendelson and Naor, 2005)."""
    kind = float_dtype("ball", dtype)
    dims = as_dims(shape)
    power = parameter(p, kind)
    if power.shape:
        raise shape_error(f"ball: p is {power._instruction.shape}; it must be a single number")
    first, second = split(key)
    points = generalized_normal(first, power, (*dims, d), kind)
    size = xnp.sum(xnp.abs(points) ** power, -1) + exponential(second, dims, kind)
    return points / xnp.expand_dims(size ** (1 / power), -1)


# ---- Poisson numbers


def _poisson_small(key: Any, rate: Tracer, dtype: np.dtype, turns: int) -> Tracer:
    """The number of uniform numbers whose product stays above e^-rate (Knuth), for rates up to 10."""

    def wanted(state: Any) -> Any:
        return lax.gt(state[3], lax.neg(rate))

    def step(state: Any) -> Any:
        i, count, key, log_product = state
        key, subkey = split(key)
        count = lax.select(wanted(state), lax.add(count, 1), count)
        log_u = lax.log(uniform(subkey, rate.shape, rate.dtype))
        return lax.add(i, 1), count, key, lax.add(log_product, log_u)

    start = (lift(np.int32(0)), lax.full(rate.shape, 0, dtype), key, lax.full_like(rate, 0))
    state = lax.while_loop(lambda s: lax.bitwise_and(xnp.any(wanted(s)), lax.lt(s[0], turns)), step, start)
    return lax.sub(state[1], 1)


def _poisson_large(key: Any, rate: Tracer, dtype: np.dtype, turns: int) -> Tracer:
    """Hörmann's transformed rejection, "The transformed rejection method for generating Poisson random variables"
    (1993), algorithm PTRS, for rates from 10 up."""
    log_rate = lax.log(rate)
    b = 0.931 + 2.53 * lax.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2)

    def step(state: Any) -> Any:
        i, count, accepted, key = state
        key, first, second = split(key, 3)
        u = uniform(first, rate.shape, rate.dtype) - 0.5
        v = uniform(second, rate.shape, rate.dtype)
        inner = 0.5 - lax.abs(u)
        k = lax.floor((2 * a / inner + b) * u + rate + 0.43)
        s = lax.log(v * inverse_alpha / (a / (inner * inner) + b))
        exact = s <= -rate + k * log_rate - lax.lgamma(k + 1)
        certain = (inner >= 0.07) & (v <= quick)
        impossible = (k < 0) | ((inner < 0.013) & (v > inner))
        accept = certain | (~impossible & exact)
        return lax.add(i, 1), lax.select(accept, k, count), accepted | accept, key

    start = (lift(np.int32(0)), lax.full_like(rate, -1), lax.full(rate.shape, False, np.bool_), key)
    state = lax.while_loop(lambda s: xnp.any(~s[2]) & lax.lt(s[0], turns), step, start)
    return lax.convert_element_type(state[1], dtype)


@array_function
def poisson(key: ArrayLike, lam: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Poisson integers of rate `lam`, which is taken in float32; -1 where it is NaN; int32 without a dtype."""
    kind = integer_dtype("poisson", dtype)
    given = as_tracer(lam)
    dims = sample_shape("poisson", shape, given.shape)
    rate = parameter(given, np.dtype(np.float32), dims)
    key_words("poisson", key)
    key = as_tracer(key)
    small = lax.bitwise_or(lax.ne(rate, rate), lax.lt(rate, 10))
    turns = min(np.iinfo(kind).max, 2**31 - 1)
    # Rates that belong to the other method are replaced by ones that are soon done.
    low = _poisson_small(key, lax.select(small, rate, lax.full_like(rate, 0)), kind, turns)
    high = _poisson_large(key, lax.select(small, lax.full_like(rate, 1e5), rate), kind, turns)
    count = lax.select(small, low, high)
    return lax.select(lax.eq(rate, 0), lax.full_like(count, 0), count)


# ---- binomial numbers

# log(k!) less Stirling's formula for k + 1/2, for k = 0 to 9.
_STIRLING = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211,
    0.0138761288230707, 0.0118967099458917, 0.0104112652619720, 0.00925546218271273, 0.00833056343336287,
)  # fmt: skip


def _stirling_rest(k: Tracer) -> Tracer:
    """What Stirling's formula for log(k!) lacks: from a table up to 9, by its series beyond."""
    table = lift(np.asarray(_STIRLING, k.dtype))
    small = k <= 9
    k = xnp.clip(k, 0, 9)
    square = (k + 1) * (k + 1)
    series = (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
    return xnp.where(small, table[xnp.floor(k).astype(np.int32)], series)


def _by_inversion(key: Any, count: Tracer, p: Tracer) -> Tracer:
    """How many geometric waiting times fit into the trials: for few successes."""
    log = xnp.log1p(-p)

    def turn(state: Any) -> Any:
        number, total, key = state
        sub, key = _pair(key)
        number = xnp.where(total <= count, number + 1, number)
        return number, total + xnp.ceil(xnp.log(uniform(sub, p.shape, p.dtype)) / log), key

    zero = xnp.zeros_like(p)
    return lax.while_loop(lambda state: xnp.any(state[1] <= count), turn, (zero, zero, as_tracer(key)))[0] - 1


def _pair(key: Any) -> tuple[Tracer, Tracer]:
    keys = split(key)
    return keys[0], keys[1]


def _by_rejection(key: Any, count: Tracer, p: Tracer) -> Tracer:
    """The transformed rejection of Hormann, "The generation of binomial random variates" (1993), algorithm BTRS."""
    deviation = xnp.sqrt(count * p * (1 - p))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = count * p + 0.5
    squeeze = 0.92 - 4.2 / b
    odds = p / (1 - p)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = xnp.floor((count + 1) * p)

    def turn(state: Any) -> Any:
        found, accepted, key = state
        keys = split(key, 3)
        u, v = (uniform(keys[i], p.shape, p.dtype) for i in (1, 2))
        u = u - 0.5
        edge = 0.5 - xnp.abs(u)
        quick = (edge >= 0.07) & (v <= squeeze)
        k = xnp.floor((2 * a / edge + b) * u + centre)
        outside = (k < 0) | (k > count)
        v = xnp.log(v * alpha / (a / (edge * edge) + b))
        bound = (
            (mode + 0.5) * xnp.log((mode + 1) / (odds * (count - mode + 1)))
            + (count + 1) * xnp.log((count - mode + 1) / (count - k + 1))
            + (k + 0.5) * xnp.log(odds * (count - k + 1) / (k + 1))
            + _stirling_rest(mode)
            + _stirling_rest(count - mode)
            - _stirling_rest(k)
            - _stirling_rest(count - k)
        )
        accept = quick | (~outside & (v <= bound))
        return xnp.where(accept, k, found), accepted | accept, keys[0]

    start = (xnp.full_like(p, -1), xnp.zeros(p.shape, bool), as_tracer(key))
    return lax.while_loop(lambda state: xnp.any(~state[1]), turn, start)[0]


@array_function
def binomial(
    key: ArrayLike, n: ArrayLike, p: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None
) -> Array:
    """Numbers of successes, as floats, in n trials of probability p each; NaN where n or p is no such number."""
    kind = float_dtype("binomial", dtype)
    count, chance = as_tracer(n), xnp.asarray(as_tracer(p))
    dims = sample_shape("binomial", shape, count.shape, chance.shape)
    wide = chance.dtype if xnp.issubdtype(chance.dtype, xnp.floating) else np.dtype(np.float32)
    count, chance = parameter(count, wide, dims), parameter(chance, wide, dims)
    few = chance < 0.5
    q = xnp.where(few, chance, 1 - chance)
    bad_count, bad_chance = xnp.isnan(count) | (count < 0), xnp.isnan(q) | (q < 0)
    endless, no_number = xnp.isinf(count), xnp.isnan(q)
    q = xnp.where(bad_chance, 0.01, q)
    inverted = bad_count | (count * q <= 10)
    count = xnp.floor(count)
    # Each way gets harmless parameters where the other one is taken.
    made = xnp.where(
        inverted,
        _by_inversion(key, xnp.where(inverted, count, 0), q),
        _by_rejection(key, xnp.where(inverted, 1e4, count), xnp.where(inverted, 0.5, q)),
    )
    invalid = bad_count | bad_chance
    made = xnp.where(invalid, xnp.nan, made.astype(kind))
    made = xnp.where(endless & ~invalid, xnp.inf, made)
    return xnp.where(few | bad_count | no_number | endless, made, count.astype(kind) - made)


@array_function
def multinomial(
    key: ArrayLike,
    n: ArrayLike,
    p: ArrayLike,
    *,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    unroll: int | bool = 1,
) -> Array:
    """Numbers of outcomes of each kind, as floats, in n trials; the kinds' probabilities are along p's last axis.

    `shape` is that of the result, by default p's; n has, or broadcasts to, its shape without the last axis.
    """
    kind = float_dtype("multinomial", dtype)
    chance = xnp.asarray(as_tracer(p))
    dims = chance.shape if shape is None else as_dims(shape)
    wide = chance.dtype if xnp.issubdtype(chance.dtype, xnp.floating) else np.dtype(np.float32)
    left = parameter(n, wide, dims[:-1])
    rows = xnp.moveaxis(parameter(chance, wide, dims), -1, 0)
    rest = lax.cumsum(rows, 0, reverse=True)
    ratios = rows / xnp.where(rest == 0, 1, rest)

    def draw(left: Any, row: Any) -> Any:
        ratio, own = row
        count = binomial(own, left, xnp.clip(ratio, 0, 1), dtype=left.dtype)
        return left - count, count

    _, counts = lax.scan(draw, left, (ratios, split(key, dims[-1])), unroll=unroll)
    return xnp.moveaxis(counts, 0, -1).astype(kind)
