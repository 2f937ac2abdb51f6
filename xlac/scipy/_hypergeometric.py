"""Hypergeometric functions by their series and its transformations, Bessel functions J, spherical harmonics.

Formulas have the numbers of Abramowitz and Stegun, Handbook of Mathematical Functions. All is computed in double
precision.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from xlac import lax
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert
from xlac.lax.special import _until_done, no_slope, ruled
from xlac.scipy._error_functions import _where, in_doubles

_EPSILON = float(np.finfo(np.float64).eps)

Sums = tuple[Tracer, ...]


# ---- the series


def _series(uppers: list[Tracer], lowers: list[Tracer], x: Tracer, active: Tracer, slopes: bool) -> Sums:
    """The sum of prod (upper)_k / prod (lower)_k x^k / k!, and its derivatives by the parameters if asked for."""
    one, zero = lax.full_like(x, 1), lax.full_like(x, 0)
    parameters = [*uppers, *lowers]
    count = len(parameters) if slopes else 0

    def step(going: Tracer, k: Tracer, *held: Tracer) -> Sums:
        term, moves, sums = held[0], held[1 : 1 + count], held[1 + count :]
        top = functools.reduce(lax.mul, (p + k for p in uppers)) * x
        bottom = functools.reduce(lax.mul, (p + k for p in lowers)) * (k + 1.0)
        ratio = top / bottom
        changed = []
        for i, move in enumerate(moves):
            # The derivative of the ratio by one parameter: the others' product, which may be where one is 0.
            if i < len(uppers):
                rest = functools.reduce(lax.mul, (p + k for j, p in enumerate(uppers) if j != i), x) / bottom
            else:
                rest = -ratio / (parameters[i] + k)
            changed.append(move * ratio + term * rest)
        term = term * ratio
        parts = [term, *changed]
        sums = tuple(s + _where(going, p, zero) for s, p in zip(sums, parts))
        more = functools.reduce(lax.bitwise_or, (lax.abs(p) > lax.abs(s) * (_EPSILON / 2) for p, s in zip(parts, sums)))
        return (going & more, k + 1.0, term, *changed, *sums)

    start = (active, zero, one, *[zero] * count, one, *[zero] * count)
    return _until_done(step, start)[3 + count :]


# ---- Kummer's function


def _kummer(a: Tracer, b: Tracer, x: Tracer, by: str) -> Tracer:
    """1F1 or its derivative by a parameter; of negative x by e^x 1F1(b - a; b; -x) (13.1.27)."""
    left = x < 0
    top = _where(left, b - a, a)
    same = lax.eq(a, b) & lax.eq(a, 0)
    sums = _series([top], [_where(same, 1.0, b)], lax.abs(x), lax.eq(x, x), by != "")
    scale = _where(left, lax.exp(x), 1.0)
    if by == "":
        value = sums[0]
        return _where(lax.eq(a, 0), 1.0, value * scale)
    if by == "a":
        return _where(left, -sums[1], sums[1]) * scale
    return _where(left, sums[1] + sums[2], sums[2]) * scale


def _kummer_by(name: str) -> Callable[..., Tracer]:
    return ruled(
        f"hyp1f1_by_{name}",
        in_doubles(functools.partial(_kummer, by=name)),
        *(no_slope(f"the derivative of hyp1f1 by {name}", p) for p in "abx"),
    )


hyp1f1 = ruled(
    "hyp1f1",
    in_doubles(functools.partial(_kummer, by="")),
    lambda a, b, x, y: _kummer_by("a")(a, b, x),
    lambda a, b, x, y: _kummer_by("b")(a, b, x),
    lambda a, b, x, y: _where(lax.eq(a, 0), 0.0, a / b) * hyp1f1(a + 1.0, b + 1.0, x),
)


# ---- Gauss' function


def _sign_of_gamma(x: Tracer) -> Tracer:
    """1 or -1; of poles, where 1 / gamma is 0, 0."""
    whole = lax.floor(x)
    odd = lax.ne(lax.rem(whole, lax.full_like(x, 2)), 0)
    sign = _where((x < 0) & odd, -1.0, lax.full_like(x, 1))
    return _where((x <= 0) & lax.eq(whole, x), 0.0, sign)


def _gammas(tops: list[Tracer], bottoms: list[Tracer]) -> Tracer:
    """The product of gammas over that of others; 0 where one of those below is infinite."""
    poles = [_sign_of_gamma(v) for v in bottoms]
    signs = functools.reduce(lax.mul, [*(_sign_of_gamma(v) for v in tops), *poles])
    safe = [_where(lax.eq(s, 0), 1.0, v) for v, s in zip(bottoms, poles)]
    logs = functools.reduce(lax.add, [*(lax.lgamma(v) for v in tops), *(-lax.lgamma(v) for v in safe)])
    return _where(lax.eq(signs, 0), 0.0, signs * lax.exp(logs))


def _is_pole(x: Tracer) -> Tracer:
    return (x <= 0) & lax.eq(x, lax.floor(x))


def _near_one(a: Tracer, b: Tracer, c: Tracer, x: Tracer, active: Tracer) -> Tracer:
    """By two series in 1 - x (15.3.6), or where c - a - b is whole, one with logarithms (15.3.10, 15.3.11)."""
    rest = c - a - b
    z = 1.0 - x
    whole = lax.eq(rest, lax.round(rest))
    # Not whole.
    d = _where(whole, 0.5, rest)
    first = _series([a, b], [1.0 - d], z, active & ~whole, False)[0] * _gammas([c, d], [c - a, c - b])
    second = _series([c - a, c - b], [1.0 + d], z, active & ~whole, False)[0] * _gammas([c, -d], [a, b])
    apart = first + lax.pow(z, d) * second
    # Whole: for m < 0 by the function of c - a and c - b, times z^m (15.3.3).
    p, q = _where(rest < 0, c - a, a), _where(rest < 0, c - b, b)
    m = _where(whole, lax.abs(rest), 0.0)
    finite = lax.full_like(x, 0)
    one = lax.full_like(x, 1)

    def finite_step(going: Tracer, n: Tracer, term: Tracer, total: Tracer) -> Sums:
        """The sum of (p)_n (q)_n / (n! (1 - m)_n) z^n for n < m."""
        total = total + _where(going, term, 0.0)
        below = (n + 1.0) * _where(lax.eq(n + 1.0, m), 1.0, 1.0 - m + n)
        return going & (n + 1.0 < m), n + 1.0, term * (p + n) * (q + n) / below * z, total

    finite = _until_done(finite_step, (active & whole & (m > 0), finite, one, finite))[3]
    upper = finite * _gammas([_where(m > 0, m, 1.0), p + q + m], [p + m, q + m])

    def step(going: Tracer, n: Tracer, weight: Tracer, psi: Tracer, total: Tracer) -> Sums:
        part = weight * psi
        total = total + _where(going, part, 0.0)
        psi = psi - 1.0 / (n + 1.0) - 1.0 / (n + m + 1.0) + 1.0 / (p + n + m) + 1.0 / (q + n + m)
        weight = weight * (p + m + n) * (q + m + n) / ((n + 1.0) * (n + m + 1.0)) * z
        more = (lax.abs(part) > lax.abs(total) * (_EPSILON / 2)) | (n < 2)
        return going & more, n + 1.0, weight, psi, total

    psi = (
        lax.log(z) - lax.digamma(one) - lax.digamma(m + 1.0)
        + lax.digamma(_where(_is_pole(p + m), 1.0, p + m)) + lax.digamma(_where(_is_pole(q + m), 1.0, q + m))
    )  # fmt: skip
    start = lax.exp(-lax.lgamma(m + 1.0))
    # Polynomials, of which a or b is no positive number, are summed directly.
    lower = _until_done(step, (active & whole, lax.full_like(x, 0), start, psi, lax.full_like(x, 0)))[4]
    # (p)_m (q)_m gamma(p + q + m) / (gamma(p + m) gamma(q + m)) = gamma(p + q + m) / (gamma(p) gamma(q)).
    lower = lower * _gammas([p + q + m], [p, q]) * lax.pow(-z, m)
    together = (upper - lower) * _where(rest < 0, lax.pow(z, _where(rest < 0, rest, 0.0)), 1.0)
    return _where(whole, together, apart)


def _gauss(a: Tracer, b: Tracer, c: Tracer, x: Tracer) -> Tracer:
    """2F1 of x <= 1; of x < 0 by (1 - x)^-a 2F1(a, c - b; c; x / (x - 1)) (15.3.4)."""
    left = x < 0
    z = _where(left, x / (x - 1.0), x)
    swap = left & (a > 0) & (b > a)  # so that c - b is not needlessly negative
    a, b = _where(swap, b, a), _where(swap, a, b)
    top = _where(left, c - b, b)
    ends = (_is_pole(a) | _is_pole(top)) & lax.eq(x, x)
    inside = lax.abs(z) < 1
    near = (z > 0.9) & ~ends & inside
    direct = (inside & ~near) | (ends & (z <= 1))
    sums = _series([a, top], [c], _where(direct, z, 0.0), direct, False)
    value = _where(near, _near_one(a, top, c, _where(near, z, 0.95), near), sums[0])
    rest = c - a - top
    one = _where(rest > 0, _gammas([c, _where(rest > 0, rest, 1.0)], [c - a, c - top]), math.inf)
    value = _where(lax.eq(z, 1) & ~ends, one, value)
    value = _where(z > 1, math.nan, value)
    value = _where(left, value * lax.pow(_where(left, 1.0 - x, 1.0), -a), value)
    return _where(lax.eq(a, 0) | lax.eq(b, 0), 1.0, value)


def _gauss_by(number: int) -> Callable[..., Tracer]:
    """The derivative by a parameter, for |x| < 1, by the series; it converges slowly close to 1."""
    name = f"the derivative of hyp2f1 by {'abc'[number]}"

    def value(a: Tracer, b: Tracer, c: Tracer, x: Tracer) -> Tracer:
        inside = lax.abs(x) < 1
        made = _series([a, b], [c], _where(inside, x, 0.0), inside, True)[1 + number]
        return _where(inside, made, math.nan)

    return ruled(f"hyp2f1_by_{'abc'[number]}", in_doubles(value), *(no_slope(name, p) for p in "abcx"))


hyp2f1 = ruled(
    "hyp2f1",
    in_doubles(_gauss),
    lambda a, b, c, x, y: _gauss_by(0)(a, b, c, x),
    lambda a, b, c, x, y: _gauss_by(1)(a, b, c, x),
    lambda a, b, c, x, y: _gauss_by(2)(a, b, c, x),
    lambda a, b, c, x, y: a * b / c * hyp2f1(a + 1.0, b + 1.0, c + 1.0, x),
)


# ---- Bessel functions J


def bessel_jn(z: Tracer, order: int, turns: int) -> Tracer:
    """J of orders 0 to `order` along a new first dimension: Miller's recurrence, downwards from order `turns`.

    J_k / J_(k-1) = z / (2k - z J_(k+1) / J_k), and J_0 + 2 (J_2 + J_4 + ...) = 1 (9.1.27, 9.1.46).
    """
    x = convert(z, np.dtype(np.float64))
    ratio = total = lax.full_like(x, 0)
    ratios: list[Tracer] = []
    first = max(turns, order + 2)
    for k in range(first + first % 2, 0, -1):
        below = 2.0 * k - x * ratio
        ratio = x / _where(lax.eq(below, 0), 1e-300, below)
        # The sum of J_2 / J_0 + J_4 / J_0 + ..., from within.
        total = ratio * (total if k % 2 else 1.0 + total)
        if k <= order:
            ratios.append(ratio)
    values = [1.0 / (1.0 + 2.0 * total)]
    for ratio in reversed(ratios):
        values.append(values[-1] * ratio)
    return convert(lax.concatenate([lax.reshape(v, (1, *v.shape)) for v in values], 0), z.dtype)


# ---- spherical harmonics


def sph_harm_y(n: Tracer, m: Tracer, theta: Tracer, phi: Tracer, top: int) -> Tracer:
    """Spherical harmonics of degrees up to `top`, by the recurrence of normalised Legendre functions in the degree."""
    dtype = theta.dtype
    wide = np.dtype(np.float64)
    degree, order = convert(n, wide), convert(lax.abs(m), wide)
    degree = lax.min(degree, lax.full_like(degree, top))
    angle, turn = convert(theta, wide), convert(phi, wide)
    x, s = lax.cos(angle), lax.sin(angle)
    diagonal = lax.full_like(x, 0.5 / math.sqrt(math.pi))  # of degree = order
    before, last = lax.full_like(x, 0), _where(lax.eq(order, 0), diagonal, 0.0)
    found = _where(lax.eq(degree, 0), last, 0.0)
    for k in range(1, top + 1):
        diagonal = diagonal * s * (-math.sqrt((2 * k + 1) / (2 * k)))
        inside = order < k
        gap = _where(inside, k * k - order * order, 1.0)
        scale = lax.sqrt((4.0 * k * k - 1) / gap)
        back = lax.sqrt(lax.max((k - 1.0) ** 2 - order * order, lax.full_like(x, 0)) / (4.0 * (k - 1) ** 2 - 1 or 1))
        value = _where(inside, scale * (x * last - back * before), 0.0)
        value = _where(lax.eq(order, k), diagonal, value)
        before, last = last, value
        found = _where(lax.eq(degree, k), value, found)
    sign = _where((m < 0) & lax.ne(lax.rem(m, lax.full_like(m, 2)), 0), lax.full_like(found, -1), 1.0)
    moved = turn * convert(m, wide)
    made = lax.complex(found * sign * lax.cos(moved), found * sign * lax.sin(moved))
    return convert(made, np.dtype(np.complex128 if dtype == wide else np.complex64))
