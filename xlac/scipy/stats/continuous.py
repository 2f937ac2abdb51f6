"""Distributions of real numbers, with `loc` and `scale` as in SciPy."""

from __future__ import annotations

import math
from collections.abc import Callable
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


def _norm_isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    q, loc, scale = _core.operands_inexact("norm.isf", q, loc, scale)
    return lax.sub(loc, lax.mul(special.ndtri(q), scale))


norm = distribution(
    "normal", logpdf=_norm_logpdf, cdf=_norm_cdf, logcdf=_norm_logcdf, sf=_norm_sf, logsf=_norm_logsf, ppf=_norm_ppf,
    isf=_norm_isf,
)  # fmt: skip


def _quantile(name: str, standard: Callable[[Tracer], Tracer]) -> Callable[..., Any]:
    """The quantile function of a distribution with `loc` and `scale`; NaN outside of [0, 1]."""

    def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
        p, loc, scale = _core.operands_inexact(f"{name}.ppf", q, loc, scale)
        inner = lax.bitwise_and(lax.ge(p, 0), lax.le(p, 1))
        return inside(inner, lax.add(lax.mul(standard(p), scale), loc), math.nan)

    return ppf


def _log_mass(low: Tracer, high: Tracer) -> Tracer:
    """The logarithm of the normal mass between two limits, taken on the side where the tails are small."""
    flip = lax.gt(low, 0)
    first, second = lax.select(flip, lax.neg(high), low), lax.select(flip, lax.neg(low), high)
    upper, lower = special.log_ndtr(second), special.log_ndtr(first)
    return lax.add(upper, lax.log1p(lax.neg(lax.exp(lax.sub(lower, upper)))))


def _truncnorm_logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, low, high = _standard("truncnorm.logpdf", x, loc, scale, a, b)
    value = lax.sub(lax.mul(lax.mul(z, z), like(z, -0.5)), like(z, _HALF_LOG_TAU))
    value = lax.sub(value, lax.add(_log_mass(low, high), log_scale))
    return inside(lax.bitwise_and(lax.ge(z, low), lax.le(z, high)), value)


def _truncnorm_tail(name: str, upper: bool) -> Callable[..., Any]:
    def tail(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
        z, _, low, high = _standard(f"truncnorm.{name}", x, loc, scale, a, b)
        z = lax.max(low, lax.min(z, high))
        part = _log_mass(z, high) if upper else _log_mass(low, z)
        empty = lax.eq(z, high if upper else low)
        return inside(lax.bitwise_not(empty), lax.sub(part, _log_mass(low, high)))

    return tail


truncnorm = distribution(
    "truncated normal",
    logpdf=_truncnorm_logpdf,
    logcdf=_truncnorm_tail("logcdf", False),
    logsf=_truncnorm_tail("logsf", True),
)


# ---- exponential families


def _expon_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("expon.logpdf", x, loc, scale)
    return inside(lax.ge(z, 0), lax.sub(lax.neg(z), log_scale))


def _expon_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("expon.cdf", x, loc, scale)
    return inside(lax.ge(z, 0), lax.neg(lax.expm1(lax.neg(z))), 0.0)


def _expon_logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("expon.logsf", x, loc, scale)
    return inside(lax.ge(z, 0), lax.neg(z), 0.0)


expon = distribution(
    "exponential",
    logpdf=_expon_logpdf,
    cdf=_expon_cdf,
    logsf=_expon_logsf,
    ppf=_quantile("expon", lambda q: lax.neg(lax.log1p(lax.neg(q)))),
)


def _gamma_logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale, shape = _standard("gamma.logpdf", x, loc, scale, a)
    ok = lax.ge(z, 0)
    safe = lax.select(ok, z, like(z, 1))
    value = lax.sub(special.xlogy(lax.sub(shape, like(z, 1)), safe), safe)
    return inside(ok, lax.sub(value, lax.add(lax.lgamma(shape), log_scale)))


def _gamma_cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, shape = _standard("gamma.cdf", x, loc, scale, a)
    return lax.igamma(shape, lax.max(z, like(z, 0)))


def _gamma_sf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, shape = _standard("gamma.sf", x, loc, scale, a)
    return lax.igammac(shape, lax.max(z, like(z, 0)))


gamma = distribution("gamma", logpdf=_gamma_logpdf, cdf=_gamma_cdf, sf=_gamma_sf)


def _chi2_logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return _gamma_logpdf(x, elementwise.multiply(df, 0.5), loc, elementwise.multiply(scale, 2.0))


def _chi2_cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return _gamma_cdf(x, elementwise.multiply(df, 0.5), loc, elementwise.multiply(scale, 2.0))


def _chi2_sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return _gamma_sf(x, elementwise.multiply(df, 0.5), loc, elementwise.multiply(scale, 2.0))


chi2 = distribution("chi-squared", logpdf=_chi2_logpdf, cdf=_chi2_cdf, sf=_chi2_sf)


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


def _beta_sf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, p, q = _standard("beta.sf", x, loc, scale, a, b)
    return lax.betainc(q, p, lax.sub(like(z, 1), lax.clamp(like(z, 0), z, like(z, 1))))


beta = distribution("beta", logpdf=_beta_logpdf, cdf=_beta_cdf, sf=_beta_sf)


# ---- others


def _uniform_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("uniform.logpdf", x, loc, scale)
    return inside(lax.bitwise_and(lax.ge(z, 0), lax.le(z, 1)), lax.neg(log_scale))


def _uniform_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("uniform.cdf", x, loc, scale)
    return lax.clamp(like(z, 0), z, like(z, 1))


uniform = distribution("uniform", logpdf=_uniform_logpdf, cdf=_uniform_cdf, ppf=_quantile("uniform", lambda q: q))


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


logistic = distribution(
    "logistic", logpdf=_logistic_logpdf, cdf=_logistic_cdf, sf=_logistic_sf, ppf=_quantile("logistic", special.logit)
)


def _cauchy_logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, log_scale = _standard("cauchy.logpdf", x, loc, scale)
    return lax.neg(lax.add(lax.add(log_scale, like(z, math.log(math.pi))), lax.log1p(lax.mul(z, z))))


def _cauchy_cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("cauchy.cdf", x, loc, scale)
    return lax.add(like(z, 0.5), lax.mul(lax.atan(z), like(z, 1 / math.pi)))


def _cauchy_sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _ = _standard("cauchy.sf", x, loc, scale)
    return lax.sub(like(z, 0.5), lax.mul(lax.atan(z), like(z, 1 / math.pi)))


cauchy = distribution(
    "Cauchy",
    logpdf=_cauchy_logpdf,
    cdf=_cauchy_cdf,
    sf=_cauchy_sf,
    ppf=_quantile("cauchy", lambda q: lax.tan(lax.mul(lax.sub(q, like(q, 0.5)), like(q, math.pi)))),
)


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


def _pareto_logsf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    z, _, shape = _standard("pareto.logsf", x, loc, scale, b)
    return lax.neg(lax.mul(shape, lax.log(lax.max(z, like(z, 1)))))


def _pareto_cdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    return elementwise.negative(elementwise.expm1(_pareto_logsf(x, b, loc, scale)))


def _pareto_ppf(q: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    p, start, size, shape = _core.operands_inexact("pareto.ppf", q, loc, scale, b)
    value = lax.exp(lax.neg(lax.div(lax.log1p(lax.neg(p)), shape)))
    valid = lax.bitwise_and(lax.ge(p, 0), lax.le(p, 1))
    return inside(valid, lax.add(lax.mul(value, size), start), math.nan)


pareto = distribution("Pareto", logpdf=_pareto_logpdf, cdf=_pareto_cdf, logsf=_pareto_logsf, ppf=_pareto_ppf)


def _gumbel(name: str, sign: float) -> Any:
    """The distribution of the largest value (sign 1) or, mirrored, of the smallest (sign -1)."""

    def standard(what: str, x: Any, loc: Any, scale: Any) -> tuple[Tracer, Tracer]:
        z, log_scale = _standard(f"{name}.{what}", x, loc, scale)
        return lax.mul(z, like(z, sign)), log_scale

    def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
        z, log_scale = standard("logpdf", x, loc, scale)
        return lax.neg(lax.add(lax.add(z, lax.exp(lax.neg(z))), log_scale))

    def log_near(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
        return lax.neg(lax.exp(lax.neg(standard("logcdf", x, loc, scale)[0])))

    def far(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
        return lax.neg(lax.expm1(log_near(x, loc, scale)))

    if sign > 0:
        ppf = _quantile(name, lambda q: lax.neg(lax.log(lax.neg(lax.log(q)))))
        return distribution("Gumbel", logpdf=logpdf, logcdf=log_near, sf=far, ppf=ppf)
    ppf = _quantile(name, lambda q: lax.log(lax.neg(lax.log1p(lax.neg(q)))))
    return distribution("left-skewed Gumbel", logpdf=logpdf, logsf=log_near, cdf=far, ppf=ppf)


gumbel_r, gumbel_l = _gumbel("gumbel_r", 1.0), _gumbel("gumbel_l", -1.0)


def _gennorm_logpdf(x: ArrayLike, beta: ArrayLike) -> Array:
    z, power = _core.operands_inexact("gennorm.logpdf", x, beta)
    norm_ = lax.sub(lax.log(lax.mul(power, like(z, 0.5))), lax.lgamma(lax.div(like(z, 1), power)))
    return lax.sub(norm_, lax.pow(lax.abs(z), power))


def _gennorm_cdf(x: ArrayLike, beta: ArrayLike) -> Array:
    z, power = _core.operands_inexact("gennorm.cdf", x, beta)
    part = lax.igamma(lax.div(like(z, 1), power), lax.pow(lax.abs(z), power))
    return lax.mul(like(z, 0.5), lax.add(like(z, 1), lax.mul(lax.sign(z), part)))


gennorm = distribution("generalised normal", logpdf=_gennorm_logpdf, cdf=_gennorm_cdf)


def _vonmises_logpdf(x: ArrayLike, kappa: ArrayLike) -> Array:
    z, concentration = _core.operands_inexact("vonmises.logpdf", x, kappa)
    scaled = lax.log(lax.mul(lax.bessel_i0e(concentration), like(z, 2 * math.pi)))
    value = lax.sub(lax.mul(concentration, lax.sub(lax.cos(z), like(z, 1))), scaled)
    return inside(lax.gt(concentration, 0), value, math.nan)


vonmises = distribution("von Mises", logpdf=_vonmises_logpdf)


def _wrapcauchy_logpdf(x: ArrayLike, c: ArrayLike) -> Array:
    z, share = _core.operands_inexact("wrapcauchy.logpdf", x, c)
    square = lax.mul(share, share)
    below = lax.sub(lax.add(like(z, 1), square), lax.mul(lax.mul(share, lax.cos(z)), like(z, 2)))
    value = lax.sub(lax.log(lax.sub(like(z, 1), square)), lax.log(lax.mul(below, like(z, 2 * math.pi))))
    value = inside(lax.bitwise_and(lax.ge(z, 0), lax.le(z, 2 * math.pi)), value)
    return inside(lax.bitwise_and(lax.gt(share, 0), lax.lt(share, 1)), value, math.nan)


wrapcauchy = distribution("wrapped Cauchy", logpdf=_wrapcauchy_logpdf)
