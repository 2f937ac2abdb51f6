"""`xlac.scipy.special`: error, gamma, beta and Bessel functions, and those of information theory."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike, Axis, array_function
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert
from xlac.lax.special import no_slope, ruled
from xlac.nn.functions import logsumexp
from xlac.numpy import _core, elementwise, reductions
from xlac.scipy import _error_functions, _hypergeometric

__all__: list[str] = ["logsumexp", "psi"]


def _public(function: Callable[..., Any], name: str | None = None, what: str | None = None) -> Any:
    if name is not None:
        function.__name__ = function.__qualname__ = name
        function.__module__, function.__doc__ = __name__, what
    __all__.append(function.__name__)
    return array_function(function)


def _declared(name: str, function: Callable[..., Any], parameters: str, what: str) -> Any:
    """A public function of arrays of floats, which are broadcast; `parameters` are their names."""
    names = parameters.split()

    def call(*args: Any, **kwargs: Any) -> Any:
        bound = call.__signature__.bind(*args, **kwargs)  # type: ignore[attr-defined]
        return function(*_core.operands_inexact(name, *bound.args))

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    given = [inspect.Parameter(n, kind, annotation="ArrayLike") for n in names]
    call.__signature__ = inspect.Signature(given, return_annotation="Array")  # type: ignore[attr-defined]
    return _public(call, name, what)


def _one(name: str, function: Callable[[Tracer], Any], what: str, parameter: str = "x") -> Any:
    return _declared(name, function, parameter, what)


def _two(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str, parameters: str = "x y") -> Any:
    return _declared(name, function, parameters, what)


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


def _exp_abs(x: Tracer) -> Tracer:
    """e^|x|, of the derivative 0 at 0 that the scaled functions have."""
    return lax.exp(lax.mul(lax.sign(x), x))


i0 = _one("i0", lambda x: lax.mul(_exp_abs(x), lax.bessel_i0e(x)), "Modified Bessel function of order 0.")
i0e = _one("i0e", lax.bessel_i0e, "e^-|x| i0(x).")
i1 = _one("i1", lambda x: lax.mul(_exp_abs(x), lax.bessel_i1e(x)), "Modified Bessel function of order 1.")
i1e = _one("i1e", lax.bessel_i1e, "e^-|x| i1(x).")
gammainc = _two("gammainc", lax.igamma, "Regularised lower incomplete gamma function.", "a x")
gammaincc = _two("gammaincc", lax.igammac, "Regularised upper incomplete gamma function.", "a x")


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


betaln = _two("betaln", _betaln, "Logarithm of the absolute value of the beta function.", "a b")
beta = _two(
    "beta",
    lambda a, b: lax.mul(
        lax.mul(lax.mul(_gammasgn(a), _gammasgn(b)), _gammasgn(lax.add(a, b))), lax.exp(_betaln(a, b))
    ),
    "The beta function.",
    "a b",
)
poch = _two(
    "poch",
    lambda z, m: lax.select(lax.eq(m, 0), _like(m, 1), lax.exp(lax.sub(lax.lgamma(lax.add(z, m)), lax.lgamma(z)))),
    "gamma(z + m) / gamma(z).",
    "z m",
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
    return _times_log(x, y, lax.log, 1)


def _xlog1py(x: Tracer, y: Tracer) -> Tracer:
    return _times_log(x, y, lax.log1p, 0)


def _times_log(x: Tracer, y: Tracer, log: Callable[[Tracer], Tracer], one: int) -> Tracer:
    """x log(y). For x = 0 the logarithm is replaced where it is not finite only: it is the derivative."""
    value = log(y)
    other = lax.bitwise_and(lax.bitwise_not(lax.is_finite(value)), lax.eq(y, y))
    none = lax.bitwise_and(lax.eq(x, 0), other)
    return lax.mul(x, log(lax.select(none, _like(y, one), y)))


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
rel_entr = _two("rel_entr", lambda p, q: _relative(p, q, False), "p log(p / q).", "p q")
kl_div = _two("kl_div", lambda p, q: _relative(p, q, True), "p log(p / q) - p + q.", "p q")


def _boxcox(x: Tracer, power: Tracer) -> Tracer:
    """(x^power - 1) / power by expm1, log(x) at 0."""
    log = lax.log(x)
    zero = lax.eq(power, 0)
    safe = lax.select(zero, _like(power, 1), power)
    return lax.select(zero, log, lax.div(lax.expm1(lax.mul(safe, log)), safe))


boxcox = _two("boxcox", _boxcox, "Box and Cox' power transformation.", "x lmbda")
boxcox1p = _two("boxcox1p", lambda x, p: _boxcox(lax.add(x, _like(x, 1)), p), "boxcox(1 + x, lmbda).", "x lmbda")


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
    safe = lax.select(upper, _like(x, 0.5), lower_tail)  # the tail may be 0
    value = lax.select(upper, lax.log1p(lax.neg(lower_tail)), lax.log(safe))
    return lax.select(far, tail, value)


ndtri = _one("ndtri", _ndtri, "The inverse of `ndtr`.", "p")


@_public
def log_ndtr(x: ArrayLike, series_order: int = 3) -> Array:
    """Logarithm of the standard normal distribution function, without underflow."""
    return _log_ndtr(_core.inexact(x))


# ---- softmax


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


# ---- integrals


def _e1(x: Tracer) -> Tracer:
    """E1 of positive numbers: its series up to 1, Legendre's continued fraction beyond."""
    one = _like(x, 1)
    near = lax.le(x, one)
    z = lax.select(near, x, one)
    total, term = _like(x, 0), one
    for k in range(1, 25):
        term = lax.mul(term, lax.mul(z, _like(x, -1 / k)))
        total = lax.sub(total, lax.mul(term, _like(x, 1 / k)))
    series = lax.sub(total, lax.add(lax.log(lax.max(z, _like(x, 0))), _like(x, _EULER)))
    far = lax.max(x, one)
    fraction = _like(x, 0)
    for k in range(90, 0, -1):
        fraction = lax.div(_like(x, k), lax.add(one, lax.div(_like(x, k), lax.add(far, fraction))))
    return lax.select(near, series, lax.div(lax.exp(lax.neg(far)), lax.add(far, fraction)))


def _ei(x: Tracer) -> Tracer:
    """Ei: of negative numbers by E1; else its series up to 40, and the asymptotic one beyond."""
    one = _like(x, 1)
    z = lax.clamp(_like(x, 0), x, _like(x, 40))
    total, term = _like(x, 0), one
    for k in range(1, 130):
        term = lax.mul(term, lax.mul(z, _like(x, 1 / k)))
        total = lax.add(total, lax.mul(term, _like(x, 1 / k)))
    series = lax.add(lax.add(total, lax.log(z)), _like(x, _EULER))
    inverse = lax.div(one, lax.max(x, _like(x, 40)))
    tail = one
    for k in range(30, 0, -1):
        tail = lax.add(one, lax.mul(tail, lax.mul(inverse, _like(x, k))))
    large = lax.mul(lax.mul(lax.exp(lax.max(x, _like(x, 40))), inverse), tail)
    above = lax.select(lax.le(x, 40), series, large)
    return lax.select(lax.lt(x, 0), lax.neg(_e1(lax.abs(x))), above)


_EULER = 0.5772156649015329
_expi = ruled("expi", _ei, lambda x, y: lax.div(lax.exp(x), x))
_exp1 = ruled(
    "exp1",
    lambda x: lax.select(lax.lt(x, 0), _like(x, math.nan), _e1(lax.abs(x))),
    lambda x, y: lax.neg(lax.div(lax.exp(lax.neg(x)), x)),
)
expi = _one("expi", _expi, "The exponential integral, of e^t / t from -inf to x.")
exp1 = _one("exp1", _exp1, "The exponential integral, of e^-t / t from x to inf, for positive x.")


@_public
def expn(n: ArrayLike, x: ArrayLike) -> Array:
    """The exponential integral of e^(-x t) / t^n from 1 to inf, for whole n >= 0 and x >= 0."""
    order, z = _core.operands_inexact("expn", n, x)
    return _expn(order, z)


def _en(n: Tracer, x: Tracer) -> Tracer:
    """Up from E1 by recurrence while n is less than x, for which it is stable; else the continued fraction."""
    one = _like(x, 1)
    positive = lax.max(x, _like(x, 1e-300 if x.dtype.itemsize == 8 else 1e-37))
    # Lentz' fraction for x >= 1; for smaller x the series, of which term n - 1 has a logarithm.
    far = lax.max(positive, one)
    fraction = lax.add(far, lax.add(n, _like(x, 180)))
    for k in range(90, 0, -1):
        step = lax.mul(_like(x, k), lax.add(n, _like(x, k - 1)))
        fraction = lax.sub(lax.add(far, lax.add(n, _like(x, 2 * (k - 1)))), lax.div(step, fraction))
    large = lax.div(lax.exp(lax.neg(far)), fraction)
    z = lax.min(positive, one)
    total, term = _like(x, 0), one
    for k in range(30):
        if k:
            term = lax.mul(term, lax.mul(z, _like(x, -1 / k)))
        gap = lax.sub(_like(x, k + 1), n)
        special_term = lax.eq(gap, 0)
        part = lax.div(term, lax.select(special_term, one, gap))
        log = lax.mul(term, lax.sub(lax.digamma(lax.max(n, one)), lax.log(z)))
        total = lax.add(total, lax.select(special_term, log, lax.neg(part)))
    beyond = lax.gt(n, _like(x, 30))
    extra = lax.exp(lax.sub(lax.mul(lax.sub(n, one), lax.log(z)), lax.lgamma(n)))
    sign = lax.sub(one, lax.mul(lax.rem(lax.sub(n, one), _like(x, 2)), _like(x, 2)))
    logs = lax.mul(lax.mul(extra, sign), lax.sub(lax.digamma(lax.max(n, one)), lax.log(z)))
    small = lax.add(total, lax.select(beyond, logs, _like(x, 0)))
    value = lax.select(lax.ge(positive, one), large, small)
    value = lax.select(lax.eq(n, 0), lax.div(lax.exp(lax.neg(positive)), positive), value)
    start = lax.select(lax.le(n, one), _like(x, math.inf), lax.div(one, lax.sub(lax.max(n, _like(x, 2)), one)))
    value = lax.select(lax.eq(x, 0), start, value)
    valid = lax.bitwise_and(lax.ge(x, 0), lax.bitwise_and(lax.ge(n, 0), lax.eq(n, lax.floor(n))))
    return lax.select(valid, value, _like(x, math.nan))


def _en_slope(n: Tracer, x: Tracer, y: Tracer) -> Tracer:
    below = _expn(lax.max(lax.sub(n, _like(n, 1)), _like(n, 0)), x)
    end = lax.neg(lax.mul(lax.exp(lax.neg(x)), lax.div(lax.add(x, _like(x, 1)), lax.mul(x, x))))
    return lax.select(lax.eq(n, 0), end, lax.neg(below))


_expn = ruled("expn", _en, no_slope("expn", "n"), _en_slope)


def _dilogarithm(x: Tracer) -> Tracer:
    """Li2(1 - x), by reflections to where the series of Debye in log(x) converges fast."""
    one = _like(x, 1)
    sixth = math.pi**2 / 6
    inverted = lax.gt(x, one)
    z = lax.select(inverted, lax.div(one, lax.max(x, one)), x)
    reflected = lax.lt(z, 0.5)
    w = lax.select(reflected, lax.sub(one, z), z)
    # Li2(1 - w) with u = -log(w): the sum of B_k u^(k + 1) / (k + 1)!.
    u = lax.neg(lax.log(w))
    square = lax.mul(u, u)
    tail = _like(x, 0)
    for k in range(20, 0, -2):
        coefficient = float(_BERNOULLI[k]) / math.factorial(k + 1)
        tail = lax.mul(lax.add(tail, _like(x, coefficient)), square)
    value = lax.mul(u, lax.add(lax.sub(one, lax.mul(u, _like(x, 0.25))), tail))
    safe = lax.select(lax.gt(z, 0), z, one)
    logs = lax.select(
        lax.gt(z, 0), lax.mul(lax.log(safe), lax.log1p(lax.neg(lax.min(safe, _like(x, 0.5))))), _like(x, 0)
    )
    value = lax.select(reflected, lax.sub(lax.sub(_like(x, sixth), logs), value), value)
    log = lax.log(lax.max(x, one))
    value = lax.select(inverted, lax.sub(lax.mul(lax.mul(log, log), _like(x, -0.5)), value), value)
    return lax.select(lax.lt(x, 0), _like(x, math.nan), value)


def _dilogarithm_slope(x: Tracer, y: Tracer) -> Tracer:
    one = lax.eq(x, 1)
    safe = lax.select(one, _like(x, 2), x)
    return lax.select(one, _like(x, -1), lax.div(lax.log(safe), lax.sub(_like(x, 1), safe)))


def _bernoulli_numbers(n: int) -> list[Fraction]:
    found = [Fraction(1)]
    for m in range(1, n + 1):
        found.append(-sum((math.comb(m + 1, k) * b for k, b in enumerate(found)), Fraction(0)) / (m + 1))
    return found


_BERNOULLI = _bernoulli_numbers(20)
spence = _one(
    "spence", ruled("spence", _dilogarithm, _dilogarithm_slope), "Spence's function, of log(t) / (1 - t) from 1 to x."
)


def bernoulli(n: int) -> Array:
    """The Bernoulli numbers from B_0 to B_n, B_1 being -1/2."""
    import xlac.numpy as xnp

    return xnp.asarray(np.array([float(b) for b in _bernoulli_numbers(max(n, 2))][: n + 1], np.float32))


@_public
def comb(N: ArrayLike, k: ArrayLike, *, repetition: bool = False) -> Array:
    """How many ways there are to choose k of N things, as a float; 0 where there is none."""
    n, m = _core.operands_inexact("comb", N, k)
    if repetition:
        n = lax.sub(lax.add(n, m), _like(n, 1))
    one = _like(n, 1)
    ok = lax.bitwise_and(lax.le(m, n), lax.bitwise_and(lax.ge(n, 0), lax.ge(m, 0)))
    log = lax.sub(
        lax.lgamma(lax.add(n, one)), lax.add(lax.lgamma(lax.add(m, one)), lax.lgamma(lax.add(lax.sub(n, m), one)))
    )
    return lax.select(ok, lax.exp(log), _like(n, 0))


# ---- error functions of complex numbers, and other integrals


@_public
def wofz(z: ArrayLike) -> Array:
    """Faddeeva's function, e^(-z^2) erfc(-iz), as a complex number."""
    x = _core.inexact(z)
    return _error_functions.wofz(convert(x, np.result_type(x.dtype, np.complex64)))


erfcx = _one("erfcx", _error_functions.erfcx, "e^(x^2) erfc(x), without overflow for large x; of complex numbers too.")
dawsn = _one("dawsn", _error_functions.dawsn, "Dawson's integral, e^(-x^2) times the integral of e^(t^2) from 0 to x.")
fresnel = _one(
    "fresnel", _error_functions.fresnel, "Fresnel's integrals (S, C) of sin and cos of pi t^2 / 2 from 0 to x."
)
sici = _one(
    "sici",
    _error_functions.sici,
    "The integrals (Si, Ci) of sin(t) / t from 0 to x and of cos(t) / t from infinity to |x|.",
)
owens_t = _two(
    "owens_t",
    _error_functions.owens_t,
    "Owen's T: the integral of e^(-h^2 (1 + x^2) / 2) / (2 pi (1 + x^2)) for x from 0 to a.",
    "h a",
)


# ---- hypergeometric functions, Bessel functions, spherical harmonics

hyp1f1 = _declared(
    "hyp1f1",
    _hypergeometric.hyp1f1,
    "a b x",
    "Kummer's function, the sum of (a)_k / (b)_k x^k / k!; 1 for a = b = 0. Exact where the terms have one sign.",
)
hyp2f1 = _declared(
    "hyp2f1",
    _hypergeometric.hyp2f1,
    "a b c x",
    "Gauss' function, the sum of (a)_k (b)_k / (c)_k x^k / k!, for x up to 1; NaN beyond. It loses digits for x > 0.9 "
    "where c - a - b is close to a whole number.",
)


@_public
def bessel_jn(z: ArrayLike, *, v: int, n_iter: int = 50) -> Array:
    """Bessel functions of the first kind of the orders 0 to v, [v + 1, *z.shape].

    Args:
      z: real numbers; the result is good while |z| is less than n_iter by some 20.
      v: a whole number.
      n_iter: the order from which the recurrence goes down.
    Raises: ShapeError if v is no whole number, or z complex.
    """
    x = _core.inexact(z)
    if isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 0 or x.dtype.kind == "c":
        raise trace.shape_error(
            f"bessel_jn: v is {v!r} and z is {x._instruction.shape}; v must be 0, 1, ... and z real"
        )
    return _hypergeometric.bessel_jn(x, int(v), int(n_iter))


def sph_harm_y(
    n: ArrayLike,
    m: ArrayLike,
    theta: ArrayLike,
    phi: ArrayLike,
    diff_n: int | None = None,
    n_max: int | None = None,
) -> Array:
    """Spherical harmonics of degree n and order m at colatitude theta and longitude phi, complex and orthonormal.

    Args:
      n, m: integers with |m| <= n; all arguments are broadcast.
      diff_n: None.
      n_max: the greatest degree, to which n is clipped; found from n if left out, which must be concrete then.
    Raises: TraceError if n is traced and n_max not given.
    """
    if diff_n is not None:
        raise trace.trace_error("sph_harm_y: diff_n is not supported; xlac.jvp gives derivatives by theta and phi")
    if n_max is None:
        if isinstance(n, Tracer):
            raise trace.trace_error("sph_harm_y: n is traced, so that n_max must be given")
        n_max = int(np.max(np.asarray(n), initial=0))
    return _sph_harm_y(n, m, theta, phi, n_max)


@array_function
def _sph_harm_y(n: ArrayLike, m: ArrayLike, theta: ArrayLike, phi: ArrayLike, n_max: int) -> Array:
    degree, order = (_core.as_tracer(x) for x in (n, m))
    angles = _core.operands_inexact("sph_harm_y", theta, phi)
    dims = np.broadcast_shapes(degree.shape, order.shape, angles[0].shape)
    values = (_core.stretch(convert(x, x.dtype), dims) for x in (degree, order, *angles))
    return _hypergeometric.sph_harm_y(*values, n_max)


__all__ += ["bernoulli", "sph_harm_y"]
