"""Distributions of integers; places that are no integers have probability 0."""

from __future__ import annotations

from xlac import lax
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.tracer import Tracer
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


bernoulli = distribution("Bernoulli", logpmf=_bernoulli_logpmf)


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


poisson = distribution("Poisson", logpmf=_poisson_logpmf, cdf=_poisson_cdf)
