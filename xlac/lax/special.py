"""Error and gamma functions, each several opcodes."""

from __future__ import annotations

import builtins
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.control import while_loop
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax.creation import full_like
from xlac.lax.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    div,
    eq,
    exp,
    gt,
    le,
    log,
    log1p,
    lt,
    max,
    mul,
    ne,
    neg,
    select,
    sign,
    sqrt,
    sub,
)
from xlac.lax.factors import CallNote
from xlac.lax.operands import Declared, convert, match
from xlac.lax.reductions import reduce_or

__all__: list[str] = []
public = Declared(__name__, __all__).public


def expanded(name: str, *operands: ArrayLike) -> Tracer:
    """A function of CHLO, which is several opcodes, of arrays of floats of one shape."""
    from xlac.text.chlo import FUNCTIONS, Value

    xs = [lift(x) for x in operands]
    x = xs[0]
    if not dtypes.is_float(x.dtype):
        raise shape_error(f"{name}: the operand is of type {x.dtype.name}; it must be a float")
    active = trace.active()
    result = FUNCTIONS[name](*(Value(active.use(v)) for v in xs)).instruction
    stack = [result]
    while stack:
        missing = [i for i in stack[-1].operands if i.parent is None]
        if missing:
            stack += missing
        elif stack[-1].parent is None:
            active.add(stack.pop())
        else:
            stack.pop()
    return Tracer(active, result, x.weak_type)


Slope = Callable[..., Tracer]


def ruled(name: str, build: Callable[..., Tracer], *slopes: Slope) -> Callable[..., Tracer]:
    """A function of floats of one shape, NaN where an operand is, whose derivatives are the slopes.

    `slopes[k](*operands, result)` is the derivative by operand k, in place of that of the opcodes it is made of.
    """

    def result(*xs: Tracer) -> list[Tracer]:
        made = build(*xs)
        for x in xs:
            made = select(ne(x, x), x, made)
        return [made]

    def derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Any]) -> list[Any]:
        parts = [mul(t, slope(*operands, *results)) for slope, t in zip(slopes, tangents) if t is not None]
        return [functools.reduce(add, parts)]

    note = CallNote(name, result, derivative)

    def call(*xs: Tracer) -> Tracer:
        (made,) = note.emit(*xs)
        return Tracer(made._trace, made._instruction, builtins.all(x.weak_type for x in xs))

    return call


def no_slope(name: str, by: str) -> Slope:
    def refuse(*_: Tracer) -> Tracer:
        raise trace.trace_error(f"{name} has no derivative by {by}")

    return refuse


def _chlo(name: str, *slopes: Slope) -> Callable[..., Tracer]:
    return ruled(name, functools.partial(expanded, name), *slopes)


_erf_inv = _chlo("erf_inv", lambda x, y: mul(math.sqrt(math.pi) / 2, exp(mul(y, y))))
_erfc = _chlo("erfc", lambda x, y: mul(-2 / math.sqrt(math.pi), exp(mul(x, -x))))
_digamma = _chlo("digamma", lambda x, y: polygamma(full_like(x, 1), x))
_lgamma = _chlo("lgamma", lambda x, y: digamma(x))
_zeta = _chlo("zeta", no_slope("zeta", "x"), lambda x, q, y: mul(neg(x), zeta(add(x, full_like(x, 1)), q)))
_polygamma = _chlo("polygamma", no_slope("polygamma", "m"), lambda m, x, y: polygamma(add(m, full_like(m, 1)), x))


@public
def erf_inv(x: ArrayLike) -> Array:
    """Inverse of the error function: infinite at -1 and 1, NaN beyond."""
    return _erf_inv(lift(x))


@public
def erfc(x: ArrayLike) -> Array:
    """1 - erf(x), without cancellation for large x."""
    return _erfc(lift(x))


@public
def digamma(x: ArrayLike) -> Array:
    """Derivative of the logarithm of the gamma function."""
    return _digamma(lift(x))


@public
def lgamma(x: ArrayLike) -> Array:
    """Logarithm of the absolute value of the gamma function."""
    return _lgamma(lift(x))


@public
def zeta(x: ArrayLike, q: ArrayLike) -> Array:
    """Hurwitz' zeta function, the sum of 1 / (k + q)^x over k >= 0; it has a derivative by q only."""
    return _zeta(*match("zeta", (x, q)))


@public
def polygamma(m: ArrayLike, x: ArrayLike) -> Array:
    """The m-th derivative of digamma; it has a derivative by x only."""
    return _polygamma(*match("polygamma", (m, x)))


# Chebyshev coefficients of e^-|x| I0(x) on [0, 8] and of sqrt(x) e^-x I0(x) beyond, of the Cephes library (Moshier).
_I0E_INNER = (
    -4.4153416464793395e-18, 3.3307945188222384e-17, -2.431279846547955e-16, 1.715391285555133e-15,
    -1.1685332877993451e-14, 7.676185498604936e-14, -4.856446783111929e-13, 2.95505266312964e-12,
    -1.726826291441556e-11, 9.675809035373237e-11, -5.189795601635263e-10, 2.6598237246823866e-09,
    -1.300025009986248e-08, 6.046995022541919e-08, -2.670793853940612e-07, 1.1173875391201037e-06,
    -4.4167383584587505e-06, 1.6448448070728896e-05, -5.754195010082104e-05, 0.00018850288509584165,
    -0.0005763755745385824, 0.0016394756169413357, -0.004324309995050576, 0.010546460394594998,
    -0.02373741480589947, 0.04930528423967071, -0.09490109704804764, 0.17162090152220877,
    -0.3046826723431984, 0.6767952744094761,
)  # fmt: skip
_I0E_OUTER = (
    -7.233180487874754e-18, -4.830504485944182e-18, 4.46562142029676e-17, 3.461222867697461e-17,
    -2.8276239805165836e-16, -3.425485619677219e-16, 1.7725601330565263e-15, 3.8116806693526224e-15,
    -9.554846698828307e-15, -4.150569347287222e-14, 1.54008621752141e-14, 3.8527783827421426e-13,
    7.180124451383666e-13, -1.7941785315068062e-12, -1.3215811840447713e-11, -3.1499165279632416e-11,
    1.1889147107846439e-11, 4.94060238822497e-10, 3.3962320257083865e-09, 2.266668990498178e-08,
    2.0489185894690638e-07, 2.8913705208347567e-06, 6.889758346916825e-05, 0.0033691164782556943,
    0.8044904110141088,
)  # fmt: skip


def _chebyshev(x: Tracer, coefficients: tuple[float, ...]) -> Tracer:
    """Clenshaw's recurrence, highest first."""
    before, last, result = (full_like(x, 0) for _ in range(3))
    for c in coefficients:
        before, last = last, result
        result = add(sub(mul(x, last), before), full_like(x, c))
    return mul(sub(result, before), full_like(x, 0.5))


def _i0e(x: Tracer) -> Tracer:
    z = abs(x)
    # Small floats do not see the first coefficients.
    skip = (0, 0) if x.dtype.itemsize == 8 else (12, 18)
    inner = _chebyshev(sub(mul(z, full_like(z, 0.5)), full_like(z, 2)), _I0E_INNER[skip[0] :])
    far = max(z, full_like(z, 8))
    outer = div(_chebyshev(sub(div(full_like(z, 32), far), full_like(z, 2)), _I0E_OUTER[skip[1] :]), sqrt(far))
    return select(le(z, 8), inner, outer)


def _i1e_slope(x: Tracer, y: Tracer) -> Tracer:
    """I1' = I0 - I1 / x; at 0, 1/2."""
    zero = eq(x, 0)
    safe = select(zero, full_like(x, 1), x)
    away = sub(bessel_i0e(x), mul(y, add(sign(x), div(full_like(x, 1), safe))))
    return select(zero, full_like(x, 0.5), away)


_bessel_i0e = ruled("bessel_i0e", _i0e, lambda x, y: sub(bessel_i1e(x), mul(sign(x), y)))
_bessel_i1e = _chlo("bessel_i1e", _i1e_slope)


@public
def bessel_i0e(x: ArrayLike) -> Array:
    """e^-|x| times the modified Bessel function of order 0."""
    return _bessel_i0e(lift(x))


@public
def bessel_i1e(x: ArrayLike) -> Array:
    """e^-|x| times the modified Bessel function of order 1."""
    return _bessel_i1e(lift(x))


# ---- incomplete gamma and beta functions

_TERMS = 2000


def _until_done(step: Callable[..., Any], state: tuple[Tracer, ...]) -> tuple[Tracer, ...]:
    """Apply `step`, whose first state is a mask of unfinished elements, until none is left or the terms run out."""

    def unfinished(held: Any) -> Tracer:
        count, parts = held
        return bitwise_and(reduce_or(parts[0], range(parts[0].ndim)), lt(count, np.int32(_TERMS)))

    def turn(held: Any) -> Any:
        count, parts = held
        return add(count, np.int32(1)), step(*parts)

    return while_loop(unfinished, turn, (lift(np.int32(0)), state))[1]


def _precision_of(x: Tracer) -> float:
    return float(np.finfo(x.dtype).eps)


def _gamma_weight(a: Tracer, x: Tracer) -> Tracer:
    """x^a e^-x / gamma(a)."""
    return exp(sub(sub(mul(a, log(x)), x), lgamma(a)))


def _igamma_series(a: Tracer, x: Tracer, active: Tracer) -> Tracer:
    """x^a e^-x / gamma(a + 1) times the sum of x^k / ((a + 1) ... (a + k))."""
    one = full_like(x, 1)

    def step(going: Tracer, r: Tracer, term: Tracer, total: Tracer) -> tuple[Tracer, ...]:
        r = add(r, one)
        term = mul(term, div(x, r))
        total = add(total, select(going, term, full_like(x, 0)))
        return bitwise_and(going, gt(div(term, total), full_like(x, _precision_of(x)))), r, term, total

    total = _until_done(step, (active, a, one, one))[3]
    return div(mul(total, _gamma_weight(a, x)), a)


def _igammac_fraction(a: Tracer, x: Tracer, active: Tracer) -> Tracer:
    """x^a e^-x / gamma(a) times Legendre's continued fraction, by Lentz' method."""
    one, tiny = full_like(x, 1), full_like(x, float(np.finfo(x.dtype).tiny) * 4)
    b = sub(add(x, one), a)
    d = div(one, b)

    def kept(v: Tracer) -> Tracer:
        return select(lt(abs(v), tiny), tiny, v)

    def step(going: Tracer, k: Tracer, b: Tracer, c: Tracer, d: Tracer, h: Tracer) -> tuple[Tracer, ...]:
        k = add(k, one)
        factor = mul(neg(k), sub(k, a))
        b = add(b, full_like(x, 2))
        d = div(one, kept(add(mul(factor, d), b)))
        c = kept(add(b, div(factor, c)))
        change = mul(d, c)
        h = select(going, mul(h, change), h)
        return bitwise_and(going, gt(abs(sub(change, one)), full_like(x, _precision_of(x)))), k, b, c, d, h

    h = _until_done(step, (active, full_like(x, 0), b, div(one, tiny), d, d))[5]
    return mul(h, _gamma_weight(a, x))


def _wide(function: Callable[..., Tracer], *operands: Tracer) -> Tracer:
    """A function computed in float32 where the operands are narrower."""
    dtype = operands[0].dtype
    if dtype.itemsize >= 4:
        return function(*operands)
    return convert(function(*(convert(x, np.dtype(np.float32)) for x in operands)), dtype)


def _incomplete(a: Tracer, x: Tracer, upper: bool) -> Tracer:
    zero, one = full_like(x, 0), full_like(x, 1)
    invalid = bitwise_or(lt(x, zero), le(a, zero))
    ends = bitwise_or(eq(x, zero), eq(x, full_like(x, math.inf)))
    plain = bitwise_not(bitwise_or(bitwise_or(invalid, ends), bitwise_or(ne(x, x), ne(a, a))))
    by_series = bitwise_or(le(x, one), le(x, a))
    safe_x, safe_a = select(plain, x, one), select(plain, a, one)
    low = _igamma_series(safe_a, safe_x, bitwise_and(plain, by_series))
    high = _igammac_fraction(safe_a, safe_x, bitwise_and(plain, bitwise_not(by_series)))
    result = select(by_series, sub(one, low), high) if upper else select(by_series, low, sub(one, high))
    edge = eq(x, zero) if upper else ne(x, zero)
    result = select(ends, select(edge, one, zero), result)
    return select(invalid, full_like(x, math.nan), result)


def _igamma_slope(a: Tracer, x: Tracer) -> Tracer:
    one = full_like(x, 1)
    return exp(sub(sub(mul(sub(a, one), log(x)), x), lgamma(a)))


def _igamma_by_a(a: Tracer, x: Tracer, order: int = 1) -> Tracer:
    """The first or second derivative of igamma by a: that of its series, term by term."""
    zero, one, two = full_like(x, 0), full_like(x, 1), full_like(x, 2)
    plain = bitwise_and(bitwise_and(gt(x, zero), gt(a, zero)), lt(x, full_like(x, math.inf)))
    safe_x, safe_a = select(plain, x, one), select(plain, a, one)

    def step(going: Tracer, r: Tracer, *state: Tracer) -> tuple:
        """The terms x^k / ((a + 1) ... (a + k)) and their derivatives, and the sums of each."""
        terms, totals = state[: order + 1], state[order + 1 :]
        r = add(r, one)
        ratio = div(safe_x, r)
        slope = sub(terms[1], div(terms[0], r))
        made = [mul(terms[0], ratio), mul(slope, ratio)]
        if order == 2:
            made.append(mul(sub(terms[2], div(mul(two, slope), r)), ratio))
        totals = tuple(add(total, select(going, term, zero)) for total, term in zip(totals, made))
        small = full_like(x, _precision_of(x))
        more = [gt(abs(term), mul(abs(total), small)) for total, term in zip(totals, made)]
        return bitwise_and(going, functools.reduce(bitwise_or, more)), r, *made, *totals

    state = _until_done(step, (plain, safe_a, *[one, zero, zero][: order + 1] * 2))
    total, *slopes = state[3 + order :]
    weight = div(_gamma_weight(safe_a, safe_x), safe_a)
    change = sub(log(safe_x), digamma(add(safe_a, one)))
    if order == 1:
        found = add(mul(total, change), slopes[0])
    else:
        bend = sub(mul(change, change), polygamma(one, add(safe_a, one)))
        found = add(add(mul(total, bend), mul(mul(two, change), slopes[0])), slopes[1])
    return select(plain, mul(weight, found), select(bitwise_or(lt(x, zero), le(a, zero)), full_like(x, math.nan), zero))


def _slope_by_a(a: Tracer, x: Tracer, order: int) -> Tracer:
    """The first or second derivative by a of `_igamma_slope`."""
    change = sub(log(x), digamma(a))
    factor = change if order == 1 else sub(mul(change, change), polygamma(full_like(a, 1), a))
    return mul(_igamma_slope(a, x), factor)


def _in_doubles(function: Callable[..., Tracer], *operands: Tracer) -> Tracer:
    return convert(function(*(convert(x, np.dtype(np.float64)) for x in operands)), operands[0].dtype)


def _sample_slope(a: Tracer, sample: Tracer) -> Tracer:
    """-(dP/da) / (dP/dx), the derivative of a sample at a fixed quantile."""
    return neg(div(_igamma_by_a(a, sample), _igamma_slope(a, sample)))


_igamma_grad_aa = ruled(
    "igamma_grad_aa",
    functools.partial(_in_doubles, functools.partial(_igamma_by_a, order=2)),
    no_slope("the second derivative of igamma by a", "a"),
    lambda a, x, y: _slope_by_a(a, x, 2),
)
_igamma_grad_a = ruled(
    "igamma_grad_a",
    functools.partial(_in_doubles, _igamma_by_a),
    lambda a, x, y: _igamma_grad_aa(a, x),
    lambda a, x, y: _slope_by_a(a, x, 1),
)
_random_gamma_grad = ruled(
    "random_gamma_grad",
    functools.partial(_in_doubles, _sample_slope),
    *(no_slope("random_gamma_grad", w) for w in ("a", "sample")),
)
_igamma = ruled(
    "igamma",
    functools.partial(_wide, lambda a, x: _incomplete(a, x, False)),
    lambda a, x, y: igamma_grad_a(a, x),
    lambda a, x, y: _igamma_slope(a, x),
)
_igammac = ruled(
    "igammac",
    functools.partial(_wide, lambda a, x: _incomplete(a, x, True)),
    lambda a, x, y: neg(igamma_grad_a(a, x)),
    lambda a, x, y: neg(_igamma_slope(a, x)),
)


@public
def igamma(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularised lower incomplete gamma function."""
    return _igamma(*match("igamma", (a, x)))


@public
def igammac(a: ArrayLike, x: ArrayLike) -> Array:
    """The regularised upper incomplete gamma function, 1 - igamma(a, x)."""
    return _igammac(*match("igammac", (a, x)))


@public
def igamma_grad_a(a: ArrayLike, x: ArrayLike) -> Array:
    """The derivative of `igamma` by a."""
    return _igamma_grad_a(*match("igamma_grad_a", (a, x)))


@public
def random_gamma_grad(a: ArrayLike, x: ArrayLike) -> Array:
    """The derivative of a gamma sample x by its parameter a, at a fixed quantile; it has none itself."""
    return _random_gamma_grad(*match("random_gamma_grad", (a, x)))


def _beta_fraction(a: Tracer, b: Tracer, x: Tracer) -> Tracer:
    """The continued fraction of the incomplete beta function (Didonato and Morris, 1992), by Lentz' method."""
    one, tiny = full_like(x, 1), full_like(x, float(np.finfo(x.dtype).tiny) * 4)

    def kept(v: Tracer) -> Tracer:
        return select(lt(abs(v), tiny), tiny, v)

    total = add(a, b)
    d = div(one, kept(sub(one, div(mul(total, x), add(a, one)))))

    def step(going: Tracer, m: Tracer, c: Tracer, d: Tracer, h: Tracer) -> tuple[Tracer, ...]:
        m = add(m, one)
        twice = add(m, m)
        even = div(mul(mul(m, sub(b, m)), x), mul(add(a, sub(twice, one)), add(a, twice)))
        d = div(one, kept(add(one, mul(even, d))))
        c = kept(add(one, div(even, c)))
        first = mul(d, c)
        odd = neg(div(mul(mul(add(a, m), add(total, m)), x), mul(add(a, twice), add(a, add(twice, one)))))
        d = div(one, kept(add(one, mul(odd, d))))
        c = kept(add(one, div(odd, c)))
        change = mul(d, c)
        h = select(going, mul(h, mul(first, change)), h)
        return bitwise_and(going, gt(abs(sub(change, one)), full_like(x, _precision_of(x)))), m, c, d, h

    going = eq(x, x)
    return _until_done(step, (going, full_like(x, 0), one, d, d))[4]


def _log_beta(a: Tracer, b: Tracer) -> Tracer:
    return sub(add(lgamma(a), lgamma(b)), lgamma(add(a, b)))


def _betainc(a: Tracer, b: Tracer, x: Tracer) -> Tracer:
    zero, one = full_like(x, 0), full_like(x, 1)
    invalid = bitwise_or(bitwise_or(le(a, zero), le(b, zero)), bitwise_or(lt(x, zero), gt(x, one)))
    swap = gt(x, div(add(a, one), add(add(a, b), full_like(x, 2))))
    p, q = select(swap, b, a), select(swap, a, b)
    z = select(swap, sub(one, x), x)
    inside = bitwise_and(gt(z, zero), lt(z, one))
    z = select(inside, z, full_like(x, 0.5))
    weight = exp(sub(add(mul(p, log(z)), mul(q, log1p(neg(z)))), _log_beta(p, q)))
    part = div(mul(weight, _beta_fraction(p, q, z)), p)
    part = select(inside, part, zero)
    return select(invalid, full_like(x, math.nan), select(swap, sub(one, part), part))


def _betainc_slope(a: Tracer, b: Tracer, x: Tracer, y: Tracer) -> Tracer:
    one = full_like(x, 1)
    return exp(sub(add(mul(sub(a, one), log(x)), mul(sub(b, one), log1p(neg(x)))), _log_beta(a, b)))


_beta_cdf = ruled(
    "betainc", functools.partial(_wide, _betainc), no_slope("betainc", "a"), no_slope("betainc", "b"), _betainc_slope
)


@public
def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """The regularised incomplete beta function; it has a derivative by x only."""
    return _beta_cdf(*match("betainc", (a, b, x)))
