"""Distributions of integers; places that are no integers have probability 0."""

from __future__ import annotations

import math

from xlac import lax
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import expand
from xlac.numpy import _core
from xlac.scipy import special
from xlac.scipy.stats._base import distribution, inside, like


def _whole(k: Tracer) -> Tracer:
    return lax.eq(k, lax.floor(k))


def _bernoulli_logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, share, shift = _core.operands_inexact("bernoulli.logpmf", k, p, loc)
    x = lax.sub(x, shift)
    ok = lax.bitwise_or(lax.eq(x, 0), lax.eq(x, 1))
    value = lax.add(special.xlogy(x, share), special.xlog1py(lax.sub(like(x, 1), x), lax.neg(share)))
    return inside(ok, value)


def _bernoulli_cdf(k: ArrayLike, p: ArrayLike) -> Array:
    x, share = _core.operands_inexact("bernoulli.cdf", k, p)
    made = lax.select(lax.lt(x, 1), lax.sub(like(x, 1), share), like(x, 1))
    made = inside(lax.ge(x, 0), made, 0.0)
    return inside(lax.bitwise_and(lax.ge(share, 0), lax.le(share, 1)), made, math.nan)


def _bernoulli_ppf(q: ArrayLike, p: ArrayLike) -> Array:
    x, share = _core.operands_inexact("bernoulli.ppf", q, p)
    made = lax.select(lax.le(x, lax.sub(like(x, 1), share)), like(x, 0), like(x, 1))
    valid = lax.bitwise_and(
        lax.bitwise_and(lax.ge(x, 0), lax.le(x, 1)), lax.bitwise_and(lax.ge(share, 0), lax.le(share, 1))
    )
    return inside(valid, made, math.nan)


bernoulli = distribution("Bernoulli", logpmf=_bernoulli_logpmf, cdf=_bernoulli_cdf, ppf=_bernoulli_ppf)


def _betabinom_logpmf(k: ArrayLike, n: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, count, first, second, shift = _core.operands_inexact("betabinom.logpmf", k, n, a, b, loc)
    x = lax.sub(lax.floor(x), shift)
    ok = lax.bitwise_and(lax.ge(x, 0), lax.le(x, count))
    x = lax.select(ok, x, like(x, 0))
    one, rest = like(x, 1), lax.sub(count, x)
    ways = lax.neg(lax.add(lax.log(lax.add(count, one)), special.betaln(lax.add(rest, one), lax.add(x, one))))
    share = lax.sub(special.betaln(lax.add(x, first), lax.add(rest, second)), special.betaln(first, second))
    valid = lax.bitwise_and(lax.ge(count, 0), lax.bitwise_and(lax.gt(first, 0), lax.gt(second, 0)))
    return inside(valid, inside(ok, lax.add(ways, share)), math.nan)


betabinom = distribution("beta-binomial", logpmf=_betabinom_logpmf)


def _binom_logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, count, share, shift = _core.operands_inexact("binom.logpmf", k, n, p, loc)
    x = lax.sub(x, shift)
    ok = lax.bitwise_and(_whole(x), lax.bitwise_and(lax.ge(x, 0), lax.le(x, count)))
    x = lax.select(ok, x, like(x, 0))
    one = like(x, 1)
    rest = lax.sub(count, x)
    ways = lax.sub(
        lax.lgamma(lax.add(count, one)), lax.add(lax.lgamma(lax.add(x, one)), lax.lgamma(lax.add(rest, one)))
    )
    return inside(ok, lax.add(ways, lax.add(special.xlogy(x, share), special.xlog1py(rest, lax.neg(share)))))


binom = distribution("binomial", logpmf=_binom_logpmf)


def _nbinom_logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, count, share, shift = _core.operands_inexact("nbinom.logpmf", k, n, p, loc)
    x = lax.sub(x, shift)
    ok = lax.bitwise_and(_whole(x), lax.ge(x, 0))
    x = lax.select(ok, x, like(x, 0))
    ways = lax.sub(lax.lgamma(lax.add(count, x)), lax.add(lax.lgamma(count), lax.lgamma(lax.add(x, like(x, 1)))))
    return inside(ok, lax.add(ways, lax.add(special.xlogy(count, share), special.xlog1py(x, lax.neg(share)))))


nbinom = distribution("negative binomial", logpmf=_nbinom_logpmf)


def _geom_logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, share, shift = _core.operands_inexact("geom.logpmf", k, p, loc)
    x = lax.sub(x, shift)
    ok = lax.bitwise_and(_whole(x), lax.ge(x, 1))
    return inside(ok, lax.add(special.xlog1py(lax.sub(x, like(x, 1)), lax.neg(share)), lax.log(share)))


geom = distribution("geometric", logpmf=_geom_logpmf)


def _poisson_logpmf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, mean, shift = _core.operands_inexact("poisson.logpmf", k, mu, loc)
    x = lax.sub(x, shift)
    ok = lax.bitwise_and(_whole(x), lax.ge(x, 0))
    x = lax.select(ok, x, like(x, 0))
    return inside(ok, lax.sub(lax.sub(special.xlogy(x, mean), lax.lgamma(lax.add(x, like(x, 1)))), mean))


def _poisson_cdf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    x, mean, shift = _core.operands_inexact("poisson.cdf", k, mu, loc)
    x = lax.sub(x, shift)
    ok = lax.ge(x, 0)
    whole = lax.floor(lax.select(ok, x, like(x, 0)))
    return inside(ok, lax.igammac(lax.add(whole, like(x, 1)), mean), 0.0)


def _poisson_entropy(mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The sum over all counts that matter for means up to 100; beyond, the asymptotic series."""
    mean, _ = _core.operands_inexact("poisson.entropy", mu, loc)
    small = lax.clamp(like(mean, 0), mean, like(mean, 100))
    count = expand(lax.iota(mean.dtype, 300), (*mean.shape, 300), (mean.ndim,))
    wide = expand(small, count.shape, range(mean.ndim))
    log = lax.sub(lax.sub(special.xlogy(count, wide), lax.lgamma(lax.add(count, like(count, 1)))), wide)
    exact = lax.reduce_sum(special.entr(lax.exp(log)), (mean.ndim,))
    large = lax.max(mean, like(mean, 1))
    inverse = lax.div(like(mean, 1), large)
    series = like(mean, -19 / 360)
    for coefficient in (-1 / 24, -1 / 12):
        series = lax.add(lax.mul(series, inverse), like(mean, coefficient))
    start = lax.mul(lax.add(lax.log(large), like(mean, math.log(2 * math.pi) + 1)), like(mean, 0.5))
    made = lax.select(lax.le(mean, 100), exact, lax.add(start, lax.mul(series, inverse)))
    return inside(lax.ge(mean, 0), made, math.nan)


poisson = distribution("Poisson", logpmf=_poisson_logpmf, cdf=_poisson_cdf, entropy=_poisson_entropy)
