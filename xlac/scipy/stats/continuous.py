"""Distributions of real numbers, with `loc` and `scale` as in SciPy."""

from __future__ import annotations

import math
from typing import Any

from xlac import lax
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, elementwise
from xlac.scipy import special
from xlac.scipy.stats._base import distribution, inside, like

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def _standard(name: str, x: Any, loc: Any, scale: Any, *shapes: Any) -> list[Tracer]:
    """((x - loc) / scale, log(scale), the shape parameters), broadcast together."""
    a, b, c, *rest = _core.operands_inexact(name, x, loc, scale, *shapes)
    return [lax.div(lax.sub(a, b), c), lax.log(c), *rest]


# ---- normal


def _norm_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("norm.logpdf", x, loc, scale)
    return lax.sub(lax.mul(lax.mul(z, z), like(z, -0.5)), lax.add(log_scale, like(z, _HALF_LOG_TAU)))


def _norm_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return special.ndtr(_standard("norm.cdf", x, loc, scale)[0])


def _norm_logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return special.log_ndtr(_standard("norm.logcdf", x, loc, scale)[0])


def _norm_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return special.ndtr(lax.neg(_standard("norm.sf", x, loc, scale)[0]))


def _norm_logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return special.log_ndtr(lax.neg(_standard("norm.logsf", x, loc, scale)[0]))


def _norm_ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    q, loc, scale = _core.operands_inexact("norm.ppf", q, loc, scale)
    return lax.add(lax.mul(special.ndtri(q), scale), loc)


norm = distribution(
    "normal", logpdf=_norm_logpdf, cdf=_norm_cdf, logcdf=_norm_logcdf, sf=_norm_sf, logsf=_norm_logsf, ppf=_norm_ppf
)


def _truncnorm_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, low, high = _standard("truncnorm.logpdf", x, loc, scale, a, b)
    # The mass between the limits, on the side where the tails are small.
    flip = lax.gt(low, 0)
    first, second = lax.select(flip, lax.neg(high), low), lax.select(flip, lax.neg(low), high)
    upper, lower = special.log_ndtr(second), special.log_ndtr(first)
    mass = lax.add(upper, lax.log1p(lax.neg(lax.exp(lax.sub(lower, upper)))))
    value = lax.sub(lax.sub(lax.mul(lax.mul(z, z), like(z, -0.5)), like(z, _HALF_LOG_TAU)), lax.add(mass, log_scale))
    return inside(lax.bitwise_and(lax.ge(z, low), lax.le(z, high)), value)


truncnorm = distribution("truncated normal", logpdf=_truncnorm_logpdf)


# ---- exponential families


def _expon_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("expon.logpdf", x, loc, scale)
    return inside(lax.ge(z, 0), lax.sub(lax.neg(z), log_scale))


def _expon_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("expon.cdf", x, loc, scale)
    return inside(lax.ge(z, 0), lax.neg(lax.expm1(lax.neg(z))), 0.0)


expon = distribution("exponential", logpdf=_expon_logpdf, cdf=_expon_cdf)


def _gamma_logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, shape = _standard("gamma.logpdf", x, loc, scale, a)
    ok = lax.ge(z, 0)
    safe = lax.select(ok, z, like(z, 1))
    value = lax.sub(special.xlogy(lax.sub(shape, like(z, 1)), safe), safe)
    return inside(ok, lax.sub(value, lax.add(lax.lgamma(shape), log_scale)))


def _gamma_cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, shape = _standard("gamma.cdf", x, loc, scale, a)
    return lax.igamma(shape, lax.max(z, like(z, 0)))


gamma = distribution("gamma", logpdf=_gamma_logpdf, cdf=_gamma_cdf)


def _chi2_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return _gamma_logpdf(x, elementwise.multiply(df, 0.5), loc, elementwise.multiply(scale, 2.0))


def _chi2_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return _gamma_cdf(x, elementwise.multiply(df, 0.5), loc, elementwise.multiply(scale, 2.0))


chi2 = distribution("chi-squared", logpdf=_chi2_logpdf, cdf=_chi2_cdf)


def _beta_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, p, q = _standard("beta.logpdf", x, loc, scale, a, b)
    ok = lax.bitwise_and(lax.ge(z, 0), lax.le(z, 1))
    safe = lax.select(ok, z, like(z, 0.5))
    one = like(z, 1)
    value = lax.add(special.xlogy(lax.sub(p, one), safe), special.xlog1py(lax.sub(q, one), lax.neg(safe)))
    return inside(ok, lax.sub(value, lax.add(special.betaln(p, q), log_scale)))


def _beta_cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, p, q = _standard("beta.cdf", x, loc, scale, a, b)
    return lax.betainc(p, q, lax.clamp(like(z, 0), z, like(z, 1)))


beta = distribution("beta", logpdf=_beta_logpdf, cdf=_beta_cdf)


# ---- others


def _uniform_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("uniform.logpdf", x, loc, scale)
    return inside(lax.bitwise_and(lax.ge(z, 0), lax.le(z, 1)), lax.neg(log_scale))


def _uniform_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("uniform.cdf", x, loc, scale)
    return lax.clamp(like(z, 0), z, like(z, 1))


uniform = distribution("uniform", logpdf=_uniform_logpdf, cdf=_uniform_cdf)


def _laplace_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("laplace.logpdf", x, loc, scale)
    return lax.neg(lax.add(lax.abs(z), lax.add(log_scale, like(z, math.log(2)))))


def _laplace_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("laplace.cdf", x, loc, scale)
    half = lax.mul(lax.exp(lax.neg(lax.abs(z))), like(z, 0.5))
    return lax.select(lax.le(z, 0), half, lax.sub(like(z, 1), half))


laplace = distribution("Laplace", logpdf=_laplace_logpdf, cdf=_laplace_cdf)


def _logistic_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("logistic.logpdf", x, loc, scale)
    size = lax.abs(z)
    return lax.neg(lax.add(lax.add(size, log_scale), lax.mul(lax.log1p(lax.exp(lax.neg(size))), like(z, 2))))


def _logistic_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return lax.logistic(_standard("logistic.cdf", x, loc, scale)[0])


def _logistic_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return lax.logistic(lax.neg(_standard("logistic.sf", x, loc, scale)[0]))


logistic = distribution("logistic", logpdf=_logistic_logpdf, cdf=_logistic_cdf, sf=_logistic_sf)


def _cauchy_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("cauchy.logpdf", x, loc, scale)
    return lax.neg(lax.add(lax.add(log_scale, like(z, math.log(math.pi))), lax.log1p(lax.mul(z, z))))


def _cauchy_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("cauchy.cdf", x, loc, scale)
    return lax.add(like(z, 0.5), lax.mul(lax.atan(z), like(z, 1 / math.pi)))


cauchy = distribution("Cauchy", logpdf=_cauchy_logpdf, cdf=_cauchy_cdf)


def _t_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, free = _standard("t.logpdf", x, loc, scale, df)
    half = lax.mul(free, like(z, 0.5))
    above = lax.add(half, like(z, 0.5))
    norm_ = lax.sub(lax.sub(lax.lgamma(above), lax.lgamma(half)),
                    lax.mul(lax.log(lax.mul(free, like(z, math.pi))), like(z, 0.5)))  # fmt: skip
    return lax.sub(lax.sub(norm_, log_scale), lax.mul(above, lax.log1p(lax.div(lax.mul(z, z), free))))


t = distribution("Student t", logpdf=_t_logpdf)


def _pareto_logpdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, shape = _standard("pareto.logpdf", x, loc, scale, b)
    ok = lax.ge(z, 1)
    safe = lax.select(ok, z, like(z, 1))
    value = lax.sub(lax.log(shape), lax.mul(lax.add(shape, like(z, 1)), lax.log(safe)))
    return inside(ok, lax.sub(value, log_scale))


pareto = distribution("Pareto", logpdf=_pareto_logpdf)


def _gumbel_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("gumbel_r.logpdf", x, loc, scale)
    return lax.neg(lax.add(lax.add(z, lax.exp(lax.neg(z))), log_scale))


def _gumbel_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return lax.exp(lax.neg(lax.exp(lax.neg(_standard("gumbel_r.cdf", x, loc, scale)[0]))))


gumbel_r = distribution("Gumbel", logpdf=_gumbel_logpdf, cdf=_gumbel_cdf)
