"""Faddeeva's function and what is made of it: erfcx, Dawson's, Fresnel's, the sine and cosine integrals, Owen's T.

All is computed in double precision. Faddeeva's function is the trapezoidal rule with the residues of its poles, at 12
points (Al Azah and Chandler-Wilde, "Computation of the complex error function using modified trapezoidal rules", 2021).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from xlac import lax
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert
from xlac.lax.special import ruled

_POINTS = 12
_H = math.sqrt(math.pi / _POINTS)
_TURN = math.pi / _H
_SQRT_PI = math.sqrt(math.pi)
_MIDDLES = [(k + 0.5) * _H for k in range(_POINTS)]
_STEPS = [k * _H for k in range(1, _POINTS)]
_EULER = 0.5772156649015329


def in_doubles(function: Callable[..., Tracer]) -> Callable[..., Tracer]:
    """A function computed in double precision, with a result of the operands' type."""

    def call(*operands: Tracer) -> Tracer:
        dtype = operands[0].dtype
        wide = np.dtype(np.complex128 if dtype.kind == "c" else np.float64)
        return convert(function(*(convert(x, wide) for x in operands)), dtype)

    return call


def _where(mask: Tracer, x: Tracer | float, y: Tracer | float) -> Tracer:
    like = x if isinstance(x, Tracer) else y
    a, b = (v if isinstance(v, Tracer) else lax.full_like(like, v) for v in (x, y))
    return lax.select(mask, a, b)


def _poles(square: Tracer, points: list[float]) -> Tracer:
    """The sum of e^(-t^2) / (z^2 - t^2) over the points."""
    terms = [math.exp(-t * t) / (square - t * t) for t in points]
    return functools.reduce(lax.add, terms)


def _near_a_middle(x: Tracer) -> Tracer:
    """Whether the middles between the trapezoidal rule's points are nearer to x than the points are."""
    part = x / _H - lax.floor(x / _H)
    return (part >= 0.25) & (part <= 0.75)


# ---- Faddeeva's function


def _wofz(z: Tracer) -> Tracer:
    """In the first quadrant by the rule; w(-conj z) = conj w(z), w(-z) = 2 e^(-z^2) - w(z)."""
    x, y = lax.abs(lax.real(z)), lax.abs(lax.imag(z))
    far = x + y > 1e8
    x, y = _where(far, 1.0, x), _where(far, 1.0, y)
    q = lax.complex(x, y)
    square = q * q
    turned = q * (2j * _TURN)
    once = lax.exp(turned)
    both = 2.0 * lax.exp(turned - square)
    scale = q * (2j * _H / math.pi)
    middles = scale * _poles(square, _MIDDLES)
    by_middles = middles + both / (1.0 + once)
    points = (1j * _H / math.pi) / q + scale * _poles(square, _STEPS)
    by_points = points + both / (once - 1.0)
    near = _where((y < x) & _near_a_middle(x), by_points, by_middles)
    w = _where(y >= lax.max(x, lax.full_like(x, _TURN)), middles, near)
    first = lax.complex(lax.abs(lax.real(z)), lax.abs(lax.imag(z)))
    w = _where(far, (1j / _SQRT_PI) / first, w)
    below, left = lax.imag(z) < 0, lax.real(z) < 0
    # Below the real axis: the value at -z, which is in the upper half plane.
    upper = _where(lax.ne(left, below), lax.conj(w), w)
    return _where(below, 2.0 * lax.exp(-(z * z)) - upper, upper)


_faddeeva = ruled("wofz", in_doubles(_wofz), lambda z, w: -2.0 * z * w + 2j / _SQRT_PI)


def wofz(z: Tracer) -> Tracer:
    """e^(-z^2) erfc(-iz) of a complex number."""
    return _faddeeva(z)


def _erfcx(x: Tracer) -> Tracer:
    y = lax.abs(x)
    far = y > 1e8
    y = _where(far, 1.0, y)
    square = y * y
    value = functools.reduce(lax.add, [math.exp(-t * t) / (square + t * t) for t in _MIDDLES]) * (2 * _H / math.pi) * y
    close = y < _TURN
    safe = _where(close, y, 1.0)
    residue = 2.0 * lax.exp(safe * safe - 2 * _TURN * safe) / (1.0 + lax.exp(-2 * _TURN * safe))
    value = _where(close, value + residue, value)
    value = _where(far, 1 / _SQRT_PI / lax.abs(x), value)
    return _where(x < 0, 2.0 * lax.exp(x * x) - value, value)


_erfcx_real = ruled("erfcx", in_doubles(_erfcx), lambda x, y: 2.0 * x * y - 2 / _SQRT_PI)


def erfcx(x: Tracer) -> Tracer:
    """e^(x^2) erfc(x)."""
    return wofz(x * 1j) if x.dtype.kind == "c" else _erfcx_real(x)


def _dawsn(x: Tracer) -> Tracer:
    """Its series up to 3/4; beyond, the imaginary part of Faddeeva's function on the real axis."""
    far = lax.abs(x) > 1e8
    z = _where(far, 1.0, x)
    square = z * z
    decay = lax.exp(-square)
    angle = z * _TURN
    by_middles = (2 * _H / math.pi) * z * _poles(square, _MIDDLES) + decay * lax.tan(angle)
    safe = _where(lax.eq(z, 0), 1.0, z)
    by_points = (_H / math.pi) / safe + (2 * _H / math.pi) * z * _poles(square, _STEPS)
    by_points = by_points - decay / lax.tan(_where(lax.eq(z, 0), 1.0, angle))
    value = _where(_near_a_middle(lax.abs(z)), by_points, by_middles) * (_SQRT_PI / 2)
    small = lax.min(square, lax.full_like(square, 0.5625))
    series = lax.full_like(z, 1)
    for k in range(14, 0, -1):
        series = 1.0 - series * small * (2 / (2 * k + 1))
    value = _where(square < 0.5625, z * series, value)
    return _where(far, 0.5 / x, value)


dawsn = ruled("dawsn", in_doubles(_dawsn), lambda x, y: 1.0 - 2.0 * x * y)


# ---- Fresnel's integrals


def _quarter_turns(x: Tracer) -> tuple[Tracer, Tracer]:
    """The sine and cosine of pi x^2 / 2: x^2 by its parts modulo 4, without rounding of the large one."""
    a = lax.abs(x)
    a = _where(a < 1e7, a, 0.0)
    whole = lax.round(a)
    rest = a - whole
    four = lax.full_like(a, 4)
    phase = lax.rem(whole * whole, four) + lax.rem(2.0 * whole * rest, four) + rest * rest
    return lax.sin(phase * (math.pi / 2)), lax.cos(phase * (math.pi / 2))


def _fresnel(x: Tracer, sine: bool) -> Tracer:
    """Its series up to 1.6; beyond, 1/2 and the oscillation whose size Faddeeva's function gives."""
    a = lax.abs(x)
    near = a < 1.6
    t = _where(near, a, 1.0)
    fourth = lax.square(t * t * (math.pi / 2))
    first = 1 if sine else 0
    series = lax.full_like(t, 0)
    for k in reversed(range(16)):
        n = 2 * k + first
        series = series * fourth + (-1) ** k / (math.factorial(n) * (2 * n + 1))
    series = series * (t * t * t * (math.pi / 2) if sine else t)
    beyond = _where(near, 2.0, a)
    size = _wofz(lax.complex(beyond, beyond) * (_SQRT_PI / 2))
    f, g = lax.real(size), lax.imag(size)
    s, c = _quarter_turns(beyond)
    wave = s * (f - g) + c * (f + g) if sine else c * (f - g) - s * (f + g)
    value = _where(near, series, 0.5 - 0.5 * wave)
    value = _where(a < 1e7, value, 0.5)
    return _where(x < 0, -value, value)


_fresnel_s = ruled(
    "fresnel_s",
    in_doubles(functools.partial(_fresnel, sine=True)),
    lambda x, y: in_doubles(lambda v: _quarter_turns(v)[0])(x),
)
_fresnel_c = ruled(
    "fresnel_c",
    in_doubles(functools.partial(_fresnel, sine=False)),
    lambda x, y: in_doubles(lambda v: _quarter_turns(v)[1])(x),
)


def fresnel(x: Tracer) -> tuple[Tracer, Tracer]:
    """The integrals S and C of sin and cos of pi t^2 / 2 from 0 to x."""
    return _fresnel_s(x), _fresnel_c(x)


# ---- sine and cosine integrals


def _sine_cosine(x: Tracer, sine: bool) -> Tracer:
    """Of positive numbers: the series up to 4, and beyond the continued fraction of E1(ix) for f and g."""
    near = x < 4.0
    t = _where(near, x, 1.0)
    square = t * t
    series = lax.full_like(t, 0)
    for k in reversed(range(18)):
        n = 2 * k + 1 if sine else 2 * k + 2
        series = series * square + (-1) ** (k if sine else k + 1) / (math.factorial(n) * n)
    series = series * t if sine else series * square + lax.log(t) + _EULER
    far = _where(near, 4.0, x)
    # e^z E1(z) = 1 / (z + 1 - 1 / (z + 3 - 4 / (z + 5 - ...))) at z = ix.
    real, imag = lax.full_like(far, 100), far
    for k in range(48, 0, -1):
        scale = (k * k) / (real * real + imag * imag)
        real, imag = (2 * k - 1) - real * scale, far + imag * scale
    norm = real * real + imag * imag
    f, g = imag / norm, real / norm  # e^z E1(z) = g - if
    s, c = lax.sin(far), lax.cos(far)
    value = math.pi / 2 - f * c - g * s if sine else f * s - g * c
    limit = math.pi / 2 if sine else 0.0
    value = _where(lax.eq(x, math.inf), limit, value)
    return _where(near, series, value)


def _si(x: Tracer) -> Tracer:
    value = _sine_cosine(lax.abs(x), True)
    return _where(x < 0, -value, value)


def _ci(x: Tracer) -> Tracer:
    value = _sine_cosine(lax.abs(x), False)
    value = _where(lax.eq(x, 0), -math.inf, value)
    return _where(lax.eq(x, -math.inf), math.nan, value)


def _sinc(x: Tracer) -> Tracer:
    safe = _where(lax.eq(x, 0), 1.0, x)
    return _where(lax.eq(x, 0), 1.0, lax.sin(safe) / safe)


_sine_integral = ruled("sine_integral", in_doubles(_si), lambda x, y: _sinc(x))
_cosine_integral = ruled("cosine_integral", in_doubles(_ci), lambda x, y: lax.cos(x) / x)


def sici(x: Tracer) -> tuple[Tracer, Tracer]:
    """The integrals of sin(t) / t from 0 to x and of cos(t) / t from infinity to x; the latter of |x| for x < 0."""
    return _sine_integral(x), _cosine_integral(x)


# ---- Owen's T function


def _normal_tail(x: Tracer) -> Tracer:
    return 0.5 * lax.erfc(x * math.sqrt(0.5))


def _owens_t(h: Tracer, a: Tracer) -> Tracer:
    """Gauss' quadrature for a <= 1, over the part where the integrand is not negligible; else by T(ah, 1/a)."""
    high, slope = lax.abs(h), lax.abs(a)
    steep = slope > 1.0
    inverse = 1.0 / _where(steep, slope, 1.0)
    moved = _where(lax.eq(high, 0), 0.0, high * slope)
    turned = _where(steep, moved, high)
    end = lax.min(_where(steep, inverse, slope), 9.0 / _where(turned > 1.0, turned, 1.0))
    end = _where(turned > 1.0, end, _where(steep, inverse, slope))
    finite = lax.min(turned, lax.full_like(turned, 40))
    places, weights = np.polynomial.legendre.leggauss(32)
    half = -0.5 * finite * finite
    total = lax.full_like(h, 0)
    for place, weight in zip(places, weights):
        s = end * float((place + 1) / 2)
        t = 1.0 + s * s
        total = total + float(weight / 2) * lax.exp(half * t) / t
    value = total * end / (2 * math.pi)
    p, q = _normal_tail(high), _normal_tail(moved)
    value = _where(steep, 0.5 * (p + q) - p * q - value, value)
    return _where(a < 0, -value, value)


def _owens_by_h(h: Tracer, a: Tracer, y: Tracer) -> Tracer:
    return lax.exp(-0.5 * h * h) * lax.erf(a * h * math.sqrt(0.5)) * (-0.5 / math.sqrt(2 * math.pi))


def _owens_by_a(h: Tracer, a: Tracer, y: Tracer) -> Tracer:
    square = 1.0 + a * a
    return lax.exp(-0.5 * h * h * square) / (2 * math.pi * square)


owens_t = ruled("owens_t", in_doubles(_owens_t), _owens_by_h, _owens_by_a)
