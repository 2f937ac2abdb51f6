"""`xlac.scipy.special`: error, gamma, beta and Bessel functions, and those of information theory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike, Axis, array_function
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, elementwise, reductions

__all__: list[str] = ["psi"]


def _public(function: Callable[..., Any], name: str | None = None, what: str | None = None) -> Any:
    if name is not None:
        function.__name__ = function.__qualname__ = name
        function.__module__, function.__doc__ = __name__, what
    __all__.append(function.__name__)
    return array_function(function)


def _one(name: str, function: Callable[[Tracer], Tracer], what: str) -> Any:
    def call(x: ArrayLike) -> Array:
        return function(_core.inexact(x))

    return _public(call, name, what)


def _two(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str) -> Any:
    def call(x: ArrayLike, y: ArrayLike) -> Array:
        return function(*_core.operands_inexact(name, x, y))

    return _public(call, name, what)


def _like(x: Tracer, value: float) -> Tracer:
    return lax.full_like(x, value)


erf = _one("erf", lax.erf, "Error function.")
erfc = _one("erfc", lax.erfc, "1 - erf(x), without cancellation.")
erfinv = _one("erfinv", lax.erf_inv, "Inverse of the error function.")
expit = _one("expit", lax.logistic, "1 / (1 + e^-x).")
logit = _one("logit", lambda x: lax.sub(lax.log(x), lax.log1p(lax.neg(x))), "log(x / (1 - x)).")
gammaln = _one("gammaln", lax.lgamma, "Logarithm of the absolute value of the gamma function.")
loggamma = _one("loggamma", lax.lgamma, "Logarithm of the gamma function of positive numbers.")
digamma = _one("digamma", lax.digamma, "Derivative of `gammaln`.")
psi = digamma
i0 = _one("i0", lambda x: lax.mul(lax.exp(lax.abs(x)), lax.bessel_i0e(x)), "Modified Bessel function of order 0.")
i0e = _one("i0e", lax.bessel_i0e, "e^-|x| i0(x).")
i1 = _one("i1", lambda x: lax.mul(lax.exp(lax.abs(x)), lax.bessel_i1e(x)), "Modified Bessel function of order 1.")
i1e = _one("i1e", lax.bessel_i1e, "e^-|x| i1(x).")
gammainc = _two("gammainc", lax.igamma, "Regularised lower incomplete gamma function, gammainc(a, x).")
gammaincc = _two("gammaincc", lax.igammac, "Regularised upper incomplete gamma function, gammaincc(a, x).")


def _gammasgn(x: Tracer) -> Tracer:
    """1 for positive numbers; below 0 it changes at each integer, where it is NaN."""
    whole = lax.floor(x)
    odd = lax.ne(lax.rem(whole, _like(x, 2)), _like(x, 0))
    sign = lax.select(lax.bitwise_and(lax.lt(x, 0), odd), _like(x, -1), _like(x, 1))
    sign = lax.select(lax.bitwise_and(lax.lt(x, 0), lax.eq(whole, x)), _like(x, math.nan), sign)
    return lax.select(lax.ne(x, x), x, sign)


gammasgn = _one("gammasgn", _gammasgn, "Sign of the gamma function; NaN at negative integers.")


def _gamma(x: Tracer) -> Tracer:
    value = lax.mul(_gammasgn(x), lax.exp(lax.lgamma(x)))
    return lax.select(lax.eq(x, 0), lax.div(_like(x, 1), x), value)


gamma = _one("gamma", _gamma, "The gamma function; NaN at negative integers.")


@_public
def factorial(n: ArrayLike, exact: bool = False) -> Array:
    """n! as a float; 0 for negative n."""
    if exact:
        raise trace.trace_error("factorial: exact=True needs integers of any size; use math.factorial")
    x = _core.inexact(n)
    return lax.select(lax.lt(x, 0), _like(x, 0), lax.exp(lax.lgamma(lax.add(x, _like(x, 1)))))


def _betaln(a: Tracer, b: Tracer) -> Tracer:
    return lax.sub(lax.add(lax.lgamma(a), lax.lgamma(b)), lax.lgamma(lax.add(a, b)))


betaln = _two("betaln", _betaln, "Logarithm of the absolute value of the beta function.")
beta = _two(
    "beta",
    lambda a, b: lax.mul(
        lax.mul(lax.mul(_gammasgn(a), _gammasgn(b)), _gammasgn(lax.add(a, b))), lax.exp(_betaln(a, b))
    ),
    "The beta function.",
)
poch = _two(
    "poch",
    lambda z, m: lax.select(lax.eq(m, 0), _like(m, 1), lax.exp(lax.sub(lax.lgamma(lax.add(z, m)), lax.lgamma(z)))),
    "gamma(z + m) / gamma(z).",
)


@_public
def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """Regularised incomplete beta function."""
    return lax.betainc(*_core.operands_inexact("betainc", a, b, x))


@_public
def zeta(x: ArrayLike, q: ArrayLike = 1.0) -> Array:
    """Hurwitz' zeta function; Riemann's for q = 1."""
    return lax.zeta(*_core.operands_inexact("zeta", x, q))


@_public
def polygamma(n: ArrayLike, x: ArrayLike) -> Array:
    """The n-th derivative of digamma."""
    return lax.polygamma(*_core.operands_inexact("polygamma", n, x))


@_public
def multigammaln(a: ArrayLike, d: int) -> Array:
    """Logarithm of the gamma function of dimension d."""
    x = _core.inexact(a)
    total = _like(x, d * (d - 1) / 4 * math.log(math.pi))
    for j in range(d):
        total = lax.add(total, lax.lgamma(lax.sub(x, _like(x, j / 2))))
    return total


# ---- information and entropy


def _xlogy(x: Tracer, y: Tracer) -> Tracer:
    none = lax.bitwise_and(lax.eq(x, 0), lax.eq(y, y))
    return lax.select(none, _like(x, 0), lax.mul(x, lax.log(lax.select(none, _like(y, 1), y))))


def _xlog1py(x: Tracer, y: Tracer) -> Tracer:
    none = lax.bitwise_and(lax.eq(x, 0), lax.eq(y, y))
    return lax.select(none, _like(x, 0), lax.mul(x, lax.log1p(lax.select(none, _like(y, 0), y))))


xlogy = _two("xlogy", _xlogy, "x log(y), 0 for x = 0.")
xlog1py = _two("xlog1py", _xlog1py, "x log(1 + y), 0 for x = 0.")


def _entr(x: Tracer) -> Tracer:
    value = lax.neg(_xlogy(x, lax.select(lax.gt(x, 0), x, _like(x, 1))))
    return lax.select(lax.lt(x, 0), _like(x, -math.inf), value)


def _relative(p: Tracer, q: Tracer, extra: bool) -> Tracer:
    """p log(p / q), with q - p for `extra`; infinite outside the domain."""
    both = lax.bitwise_and(lax.gt(p, 0), lax.gt(q, 0))
    safe_p, safe_q = lax.select(both, p, _like(p, 1)), lax.select(both, q, _like(q, 1))
    value = lax.mul(safe_p, lax.sub(lax.log(safe_p), lax.log(safe_q)))
    if extra:
        value = lax.add(lax.sub(value, safe_p), safe_q)
    edge = lax.bitwise_and(lax.eq(p, 0), lax.ge(q, 0))
    value = lax.select(both, value, lax.select(edge, q if extra else _like(p, 0), _like(p, math.inf)))
    return lax.select(lax.bitwise_or(lax.ne(p, p), lax.ne(q, q)), _like(p, math.nan), value)


entr = _one("entr", _entr, "-x log(x), 0 at 0, -inf below.")
rel_entr = _two("rel_entr", lambda p, q: _relative(p, q, False), "p log(p / q).")
kl_div = _two("kl_div", lambda p, q: _relative(p, q, True), "p log(p / q) - p + q.")


def _boxcox(x: Tracer, power: Tracer) -> Tracer:
    """(x^power - 1) / power by expm1, log(x) at 0."""
    log = lax.log(x)
    zero = lax.eq(power, 0)
    safe = lax.select(zero, _like(power, 1), power)
    return lax.select(zero, log, lax.div(lax.expm1(lax.mul(safe, log)), safe))


boxcox = _two("boxcox", _boxcox, "Box and Cox' power transformation.")
boxcox1p = _two("boxcox1p", lambda x, p: _boxcox(lax.add(x, _like(x, 1)), p), "boxcox(1 + x, power).")


# ---- the normal distribution


def _ndtr(x: Tracer) -> Tracer:
    return lax.mul(lax.erfc(lax.mul(x, _like(x, -math.sqrt(0.5)))), _like(x, 0.5))


ndtr = _one("ndtr", _ndtr, "The standard normal distribution function.")


def _ndtri(p: Tracer) -> Tracer:
    """By the inverse error function; below 1/8 refined by Newton's method in the logarithm."""
    centre = lax.mul(lax.erf_inv(lax.sub(lax.mul(p, _like(p, 2)), _like(p, 1))), _like(p, math.sqrt(2)))
    tail = lax.min(p, lax.sub(_like(p, 1), p))
    small = lax.bitwise_and(lax.lt(tail, 0.125), lax.gt(tail, 0))
    safe = lax.select(small, tail, _like(p, 0.1))
    log = lax.log(safe)
    t = lax.sqrt(lax.mul(log, _like(p, -2)))
    x = lax.neg(lax.sub(t, lax.div(lax.log(lax.mul(t, _like(p, math.sqrt(2 * math.pi)))), t)))
    for _ in range(4):
        value = _log_ndtr(x)
        slope = lax.exp(
            lax.sub(lax.sub(lax.mul(lax.mul(x, x), _like(p, -0.5)), _like(p, 0.5 * math.log(2 * math.pi))), value)
        )
        x = lax.sub(x, lax.div(lax.sub(value, log), slope))
    x = lax.select(lax.lt(p, 0.5), x, lax.neg(x))
    return lax.select(small, x, centre)


def _log_ndtr(x: Tracer) -> Tracer:
    """By erfc where it does not underflow, else by the asymptotic series of 8 terms."""
    limit = -10.0 if x.dtype.itemsize == 4 else -20.0
    far = lax.lt(x, limit)
    z = lax.select(far, x, _like(x, limit))
    inverse = lax.div(_like(x, 1), lax.mul(z, z))
    series, term = _like(x, 1), _like(x, 1)
    for k in range(1, 9):
        term = lax.mul(lax.mul(term, inverse), _like(x, -(2 * k - 1)))
        series = lax.add(series, term)
    tail = lax.sub(
        lax.mul(lax.mul(z, z), _like(x, -0.5)), lax.log(lax.mul(lax.neg(z), _like(x, math.sqrt(2 * math.pi))))
    )
    tail = lax.add(tail, lax.log(series))
    near = lax.select(far, _like(x, limit), x)
    upper = lax.gt(near, 0)
    lower_tail = _ndtr(lax.select(upper, lax.neg(near), near))
    value = lax.select(upper, lax.log1p(lax.neg(lower_tail)), lax.log(lower_tail))
    return lax.select(far, tail, value)


ndtri = _one("ndtri", _ndtri, "The inverse of `ndtr`.")


@_public
def log_ndtr(x: ArrayLike, series_order: int = 3) -> Array:
    """Logarithm of the standard normal distribution function, without underflow."""
    return _log_ndtr(_core.inexact(x))


# ---- softmax


@_public
def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """log(sum(b e^a)) over axes, without overflow; with `return_sign` of the absolute value, and the sum's sign."""
    if where is not None:
        a = elementwise.where(where, a, -math.inf)
    if not return_sign:
        return reductions.logsumexp(a, axis, b, keepdims)
    x = _core.inexact(a)
    weights = _like(x, 1) if b is None else b
    x, w = _core.operands_inexact("logsumexp", x, weights)
    top = lax.stop_gradient(reductions.max(x, axis, keepdims=True))
    top = lax.select(lax.is_finite(top), top, lax.full_like(top, 0))
    total = reductions.sum(lax.mul(lax.exp(lax.sub(x, _core.stretch(top, x.shape))), w), axis, keepdims=keepdims)
    return lax.add(lax.log(lax.abs(total)), lax.reshape(top, total.shape)), lax.sign(total)


@_public
def softmax(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    """e^x / sum(e^x) over axes."""
    a = _core.inexact(x)
    high = lax.stop_gradient(reductions.max(a, axis, keepdims=True))
    e = lax.exp(lax.sub(a, _core.stretch(high, a.shape)))
    return elementwise.divide(e, reductions.sum(e, axis, keepdims=True))


@_public
def log_softmax(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    """log(softmax(x)), without underflow."""
    a = _core.inexact(x)
    return elementwise.subtract(a, reductions.logsumexp(a, axis, keepdims=True))
