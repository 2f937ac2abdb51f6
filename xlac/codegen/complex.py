"""Complex functions as straight-line LLVM IR, on pairs of float or double values of any number of lanes.

Infinities, NaN and signed zeros give what C99's Annex G says, and so do the branch cuts: each is continuous from the
side that the sign of a zero part names. Nothing overflows on the way to a result that does not; errors are a few units
in the last place of the result's magnitude, and mostly of each part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import NamedTuple

from xlac.codegen import math as real
from xlac.codegen.emit import FunctionEmitter, Value
from xlac.codegen.float_parts import avx512, format_of, power_of_two
from xlac.codegen.hyperbolic import quarter_expm1
from xlac.codegen.lanes import Lanes, fma, polynomial, select
from xlac.codegen.power import power as power_of
from xlac.codegen.trigonometry import atan2, sin_and_cos

Pair = tuple[Lanes, Lanes]
_INF, _NAN = math.inf, math.nan


class Complex(NamedTuple):
    """Real and imaginary parts."""

    re: Value
    im: Value


# Scaling by powers of two, which rounds nothing.


def _larger(a: Lanes, b: Lanes) -> Lanes:
    return select(a > b, a, b)


def _unit_scale(m: Lanes, even: bool = False) -> tuple[Lanes, Lanes]:
    """2^-k and the integer k such that m 2^-k is about 1 (denormal m stay smaller), for m >= 0; k even if `even`."""
    e, f = m.e, format_of(m)
    exponent = m.bits >> f.fraction
    low, high = (e.const(exponent.type, n) for n in (2, 2 * f.bias))
    k = Lanes(e, e.smin(e.smax(exponent.v, low), high)) - (f.bias + 1)
    if even:
        k = k & -2
    return power_of_two(-k, m.type), k


def _times_power_of_two(x: Lanes, n: Lanes) -> Lanes:
    """x * 2^n for integers n of up to four times the exponent's range."""
    scaled = avx512("mask.scalef", x, n.cast("sitofp", "double" if "double" in x.type else "float"))
    if scaled is not None:
        return scaled
    quarter = n >> 2
    power = power_of_two(quarter, x.type)
    return x * power * power * power * power_of_two(n - quarter * 3, x.type)


def _sum_of_products(a: Lanes, b: Lanes, c: Lanes, d: Lanes) -> Lanes:
    """a b + c d, with an error of little more than one rounding even where the terms cancel (Kahan)."""
    product = c * d
    return fma(a, b, product) + fma(c, d, -product)


def _is_infinite(x: Lanes) -> Lanes:
    return x.abs().eq(_INF)


def _is_finite(x: Lanes) -> Lanes:
    return x.abs() < _INF


def _zero_like(x: Lanes) -> Lanes:
    """0 with the sign of x."""
    return x.like(0.0).with_sign_of(x)


# Arithmetic


def _hypot(a: Lanes, b: Lanes) -> Lanes:
    a, b = a.abs(), b.abs()
    m = _larger(a, b)
    down, k = _unit_scale(m)
    x, y = a * down, b * down
    size = fma(x, x, y * y).call("sqrt") * power_of_two(k, m.type)
    return select(a.eq(_INF) | b.eq(_INF), _INF, size)


def _divide(x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    up, j = _unit_scale(_larger(a.abs(), b.abs()))
    down, k = _unit_scale(_larger(c.abs(), d.abs()))
    p, q, r, s = a * up, b * up, c * down, d * down
    size = fma(r, r, s * s)
    re = _times_power_of_two(_sum_of_products(p, r, q, s) / size, j - k)
    im = _times_power_of_two(_sum_of_products(q, r, -p, s) / size, j - k)
    # Annex G: what is NaN in both parts may be an infinity or a zero
    lost = re.is_nan() & im.is_nan()

    def unit(v: Lanes) -> Lanes:
        return select(_is_infinite(v), v.like(1.0), 0.0).with_sign_of(v)

    by_zero = lost & c.eq(0.0) & d.eq(0.0) & ~(a.is_nan() & b.is_nan())
    from_infinity = lost & (_is_infinite(a) | _is_infinite(b)) & _is_finite(c) & _is_finite(d)
    by_infinity = lost & (_is_infinite(c) | _is_infinite(d)) & _is_finite(a) & _is_finite(b)
    p, q, r, s = (unit(v) for v in (a, b, c, d))
    re = select(by_infinity, (a * r + b * s) * 0.0, re)
    im = select(by_infinity, (b * r - a * s) * 0.0, im)
    re = select(from_infinity, (p * c + q * d) * _INF, re)
    im = select(from_infinity, (q * c - p * d) * _INF, im)
    infinity = c.like(_INF).with_sign_of(c)
    return select(by_zero, infinity * a, re), select(by_zero, infinity * b, im)


def _multiply(x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    return _sum_of_products(a, c, -b, d), _sum_of_products(a, d, b, c)


def _sign(a: Lanes, b: Lanes) -> Pair:
    size = _hypot(a, b)
    # Denormal numbers have a magnitude of few digits: both are scaled.
    up, _ = _unit_scale(_larger(a.abs(), b.abs()))
    x, y = a * up, b * up
    near = fma(x, x, y * y).call("sqrt")
    finite, nan = _is_finite(size), a.is_nan() | b.is_nan()
    re, im = select(finite, x / near, a / size), select(finite, y / near, b / size)
    zero = size.eq(0.0)
    re, im = select(zero, a, re), select(zero, b, im)
    return select(nan, _NAN, re), select(nan, _NAN, im)


# Square roots


def _sqrt(a: Lanes, b: Lanes) -> Pair:
    x, y = a.abs(), b.abs()
    down, k = _unit_scale(_larger(x, y), even=True)
    x, y = x * down, y * down
    # the larger part from x + |z|, the other from the product of both, which is b/2
    large = ((x + fma(x, x, y * y).call("sqrt")) * 0.5).call("sqrt")
    back = power_of_two(k >> 1, a.type)
    large, small = large * back, (y / (large + large)) * back
    left = a.bits < 0
    re, im = select(left, small, large), select(left, large, small)
    zero = a.eq(0.0) & b.eq(0.0)
    re, im = select(zero, 0.0, re), select(zero, 0.0, im)
    # infinities: of the imaginary part first
    re, im = select(a.eq(_INF), _INF, re), select(a.eq(_INF) & _is_finite(b), 0.0, im)
    re = select(a.eq(-_INF), select(b.is_nan(), _NAN, b.like(0.0)), re)
    im = select(a.eq(-_INF), _INF, im)
    vertical = _is_infinite(b)
    return select(vertical, _INF, re), select(vertical, _INF, im).with_sign_of(b)


def _rsqrt(a: Lanes, b: Lanes) -> Pair:
    return _divide((a.like(1.0), a.like(0.0)), _sqrt(a, b))


# Logarithms


def _log_of_size(u: Lanes, v: Lanes, u_low: Lanes | None = None) -> Lanes:
    """log |u + u_low + iv|, where u_low is a rounding error of u; accurate also where the result is near 0."""
    a, b = u.abs(), v.abs()
    m = _larger(a, b)
    down, k = _unit_scale(m)
    x, y = a * down, b * down
    x, y = _larger(x, y), select(x > y, y, x)
    p, q = x * x, y * y
    p_low, q_low = fma(x, x, -p), fma(y, y, -q)
    total = p + q
    low = (q - (total - p)) + (p_low + q_low)
    if u_low is not None:
        scaled = (u * down) * (u_low * down)
        low = low + (scaled + scaled)
    n = (k + k).cast("sitofp", "double" if "double" in u.type else "float")
    result = real._log_of_sum(total, low, n) * 0.5
    result = select(a.eq(0.0) & b.eq(0.0), -_INF, result)
    return select(a.eq(_INF) | b.eq(_INF), _INF, result)


def _log(a: Lanes, b: Lanes) -> Pair:
    return _log_of_size(a, b), atan2(b, a)


def _log1p(a: Lanes, b: Lanes) -> Pair:
    u = a + 1
    back = u - a  # Knuth's sum: exact whichever is larger
    low = (a - (u - back)) + (1 - back)
    low = select(_is_finite(u), low, 0.0)
    return _log_of_size(u, b, low), atan2(b, u)


# Exponentials


def _exp_parts(a: Lanes) -> tuple[Lanes, Lanes]:
    """p and n with exp(a) = p 2^n, for all that may become a finite number when multiplied by one."""
    f = format_of(a)
    limit = 2.5 * f.exp_inf
    _, n, r, _ = real.reduce_exp(a.at_most(limit).at_least(-limit))
    return 1 + fma(r * r, polynomial(r, f.exp), r), n


def _exp(a: Lanes, b: Lanes) -> Pair:
    p, n = _exp_parts(a)
    s, c = sin_and_cos(b)
    re, im = _times_power_of_two(p * c, n), _times_power_of_two(p * s, n)
    turning = ~_is_finite(b)
    vanishes = turning & a.eq(-_INF)
    re = select(turning & a.eq(_INF), _INF, select(vanishes, 0.0, re))
    return re, select(b.eq(0.0), b, select(vanishes, 0.0, im))


def _expm1(a: Lanes, b: Lanes) -> Pair:
    re, im = _exp(a, b)
    # exp(a) cos(b) - 1 = (exp(a) - 1) cos(b) - 2 sin(b/2)^2
    half, _ = sin_and_cos(b * 0.5)
    _, c = sin_and_cos(b)
    square = half * half
    near = fma(real._expm1(a), c, -(square + square)) + 0.0  # a zero is positive, as in the array API standard
    re = select(a <= 40.0, near, re)
    return select(a.eq(-_INF), -1.0, select(a.eq(_INF) & b.eq(0.0), _INF, re)), im


def _logistic(a: Lanes, b: Lanes) -> Pair:
    re, im = _exp(-a, -b)
    return _divide((a.like(1.0), a.like(0.0)), (re + 1, im))


# Hyperbolic and trigonometric functions


def _sinh_and_cosh(a: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """s, c and n with sinh(a) = s 2^n and cosh(a) = c 2^n, which do not overflow; n is 0 for small a."""
    f, size = format_of(a), a.abs()
    q, p = quarter_expm1(size.at_most(f.tanh_one))
    s, c = q + q / fma(q, 4.0, 1.0), p + 0.0625 / p
    s = select(size < f.epsilon, size, s + s)
    large, n = _exp_parts(size)
    beyond = size > f.tanh_one
    s, c = select(beyond, large, s), select(beyond, large, c + c)
    return s.with_sign_of(a), c, select(beyond, n - 1, 0)


def _sinh(a: Lanes, b: Lanes) -> Pair:
    s, c, n = _sinh_and_cosh(a)
    sine, cosine = sin_and_cos(b)
    re, im = _times_power_of_two(s * cosine, n), _times_power_of_two(c * sine, n)
    turning = ~_is_finite(b)
    re = select(a.eq(0.0) & turning, a, select(_is_infinite(a) & turning, a, re))
    return re, select(b.eq(0.0), b, im)


def _cosh(a: Lanes, b: Lanes) -> Pair:
    s, c, n = _sinh_and_cosh(a)
    sine, cosine = sin_and_cos(b)
    re, im = _times_power_of_two(c * cosine, n), _times_power_of_two(s * sine, n)
    re = select(_is_infinite(a) & ~_is_finite(b), _INF, re)
    still = b.eq(0.0)
    negative = a.bits < 0
    im = select(still, b.negative_if(negative), im)
    return re, select(a.eq(0.0) & ~_is_finite(b), a, im)


def _sin(a: Lanes, b: Lanes) -> Pair:
    """-i sinh(iz)"""
    re, im = _sinh(-b, a)
    return im, -re


def _cos(a: Lanes, b: Lanes) -> Pair:
    """cosh(iz)"""
    return _cosh(-b, a)


def _tanh(a: Lanes, b: Lanes) -> Pair:
    f, size = format_of(a), a.abs()
    s, c, _ = _sinh_and_cosh(a.at_most(f.tanh_one).at_least(-f.tanh_one))
    sine, cosine = sin_and_cos(b)
    turn = sine * cosine
    denominator = fma(s, s, cosine * cosine)
    beyond = size > f.tanh_one
    # beyond: tanh(a + bi) = 1 + 4i sin(b) cos(b) exp(-2a)
    re = select(beyond, a.like(1.0).with_sign_of(a), s * c / denominator)
    im = select(beyond, turn * 4 * real._exp(size * -2), turn / denominator)
    re = select(a.eq(0.0), a, select(beyond & ~_is_infinite(a) & turn.is_nan(), turn, re))
    im = select(_is_infinite(a) & ~_is_finite(b), _zero_like(b), im)
    return re, select(b.eq(0.0), b, im)


def _tan(a: Lanes, b: Lanes) -> Pair:
    """-i tanh(iz)"""
    re, im = _tanh(-b, a)
    return im, -re


# Inverse functions (Hull, Fairgrieve and Tang, "Implementing the complex arcsine and arccosine functions using
# exception handling", 1997), without the case distinctions where one formula does.


def _inverse(x: Lanes, y: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """For x, y >= 0: the numerator and denominator of tan(asin(x + iy).re), and asin(x + iy).im."""
    f = format_of(x)
    m = _larger(x, y)
    huge = m.not_less(1 / f.epsilon)
    u, v = select(huge, 1.0, x), select(huge, 1.0, y)
    plus, minus = u + 1, u - 1
    r, s = _hypot(plus, v), _hypot(minus, v)
    mean = (r + s) * 0.5
    inside = u <= 1.0
    up = 1 / (r + plus)  # v^2 up = r - (u + 1)
    far = s + minus.abs()  # s + |u - 1|
    on_edge = far < f.epsilon * 0.25  # 1 + iy for tiny y, whose inverse may overflow
    down = 1 / select(on_edge, 1.0, far)  # v^2 down = s - |u - 1|
    half_sum = (mean + u) * 0.5
    denominator = select(
        inside,
        (half_sum * fma(v * v, up, far)).call("sqrt"),
        v * (half_sum * (up + down)).call("sqrt"),
    )
    # mean - 1, and the square root of mean^2 - 1 with v taken out of the root where it may be tiny
    below = (up + down) * 0.5
    above = fma(v * v, up, far) * 0.5
    less = select(inside, v * v * below, above)
    root = select(inside & ~on_edge, v * (below * (mean + 1)).call("sqrt"), (less * (mean + 1)).call("sqrt"))
    less, root = select(inside & on_edge, v * 0.5, less), select(inside & on_edge, v.call("sqrt"), root)
    near = real.log1p_of_lanes(less + root)
    imag = select(huge, _log_of_size(x, y) + math.log(2), near)
    return select(huge, x, u), select(huge, y, denominator), imag


def _asin_parts(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """asin's real part and that of acos, for the signs of the arguments, and the magnitude of the imaginary part."""
    x, d, imag = _inverse(a.abs(), b.abs())
    return atan2(x.with_sign_of(a), d), atan2(d, x.with_sign_of(a)), imag


def _asin(a: Lanes, b: Lanes) -> Pair:
    re, _, im = _asin_parts(a, b)
    re = select(a.eq(0.0), a, re)
    # An infinite imaginary part outlasts any NaN in the real one.
    return re, im.with_sign_of(b)


def _acos(a: Lanes, b: Lanes) -> Pair:
    _, re, im = _asin_parts(a, b)
    re = select(a.eq(0.0) & ~_is_infinite(b), math.pi / 2, re)
    return re, im.with_sign_of(-b)


def _acosh(a: Lanes, b: Lanes) -> Pair:
    _, angle, size = _asin_parts(a, b)
    angle = select(a.eq(0.0) & ~_is_infinite(b), math.pi / 2, angle)
    return size, angle.with_sign_of(b)


def _asinh(a: Lanes, b: Lanes) -> Pair:
    """-i asin(iz)"""
    re, im = _asin(-b, a)
    return im, -re


def _atanh(a: Lanes, b: Lanes) -> Pair:
    f = format_of(a)
    x, y = a.abs(), b.abs()
    m = _larger(x, y)
    huge = m.not_less(4 / f.epsilon)
    u, v = select(huge, 1.0, x), select(huge, 1.0, y)
    w = 1 - u
    square = v * v
    near = real.log1p_of_lanes(u * 4 / fma(w, w, square)) * 0.25
    # 1 + iy for tiny y, whose square would vanish
    edge = w.eq(0.0) & (v < f.epsilon)
    near = select(edge, (math.log(2) - real._log(v)) * 0.5, near)
    # far out, the real part is that of 1/z
    down, k = _unit_scale(m)
    p, q = x * down, y * down
    far = _times_power_of_two(p / fma(p, p, q * q), -k)
    far = select(_is_infinite(x) | _is_infinite(y), 0.0, far)
    re = select(huge, far, near)
    re = select(x.eq(0.0), 0.0, re)
    angle = atan2(v + v, fma(w, u + 1, -square)) * 0.5
    angle = select(huge, math.pi / 2, angle)
    angle = select(y.is_nan() | (x.is_nan() & ~_is_infinite(y)), _NAN, angle)
    return re.with_sign_of(a), angle.with_sign_of(b)


# Two arguments


def _power(x: Pair, y: Pair) -> Pair:
    """|x|^c exp(-d arg x) (cos t + i sin t), t = c arg x + d log |x|, for y = c + id."""
    (a, b), (c, d) = x, y
    size, angle, logarithm = _hypot(a, b), atan2(b, a), _log_of_size(a, b)
    straight = d.eq(0.0)
    # |x| may overflow where its powers do not
    large = size.eq(_INF) & _is_finite(a) & _is_finite(b)
    extra = select(large, c * logarithm, 0.0)
    damping = select(straight, 0.0, -(d * angle))
    radius = power_of(select(large, 1.0, size), c) * real._exp(damping + extra)
    turn = _sum_of_products(c, angle, select(straight, 0.0, d), select(straight, 0.0, logarithm))
    s, k = sin_and_cos(turn)
    re, im = radius * k, select(turn.eq(0.0), turn, radius * s)
    zero = a.eq(0.0) & b.eq(0.0) & (c > 0.0)
    re, im = select(zero, 0.0, re), select(zero, 0.0, im)
    one = c.eq(0.0) & straight
    return select(one, 1.0, re), select(one, 0.0, im)


def _atan2(y: Pair, x: Pair) -> Pair:
    """-i log((x + iy) / sqrt(x^2 + y^2))"""
    direction = (x[0] - y[1], x[1] + y[0])
    squares = [_multiply(v, v) for v in (x, y)]
    length = _sqrt(squares[0][0] + squares[1][0], squares[0][1] + squares[1][1])
    re, im = _log(*_divide(direction, length))
    return im, -re


# For values


def _on_parts(compute: Callable[..., Pair]) -> Callable[..., Complex]:
    """A function of one complex number for values, without fast-math flags."""
    return _on_pairs(wraps(compute)(lambda x: compute(*x)))


def _on_pairs(compute: Callable[..., Pair]) -> Callable[..., Complex]:
    @wraps(compute)
    def emit(e: FunctionEmitter, *values: Complex) -> Complex:
        flags, e.fast_math = e.fast_math, ""
        re, im = compute(*[(Lanes(e, z.re), Lanes(e, z.im)) for z in values])
        e.fast_math = flags
        return Complex(re.v, im.v)

    return emit


def absolute(e: FunctionEmitter, z: Complex) -> Value:
    """|z|; infinite if either part is, even beside a NaN."""
    flags, e.fast_math = e.fast_math, ""
    result = _hypot(Lanes(e, z.re), Lanes(e, z.im))
    e.fast_math = flags
    return result.v


divide = _on_pairs(_divide)
sign = _on_parts(_sign)  # z/|z|; a zero stays, and NaN in one part is NaN in both

COMPLEX: dict[str, Callable[..., Complex]] = {
    "exponential": _on_parts(_exp),
    "exponential-minus-one": _on_parts(_expm1),
    "log": _on_parts(_log),
    "log-plus-one": _on_parts(_log1p),
    "logistic": _on_parts(_logistic),
    "tanh": _on_parts(_tanh),
    "sinh": _on_parts(_sinh),
    "cosh": _on_parts(_cosh),
    "sine": _on_parts(_sin),
    "cosine": _on_parts(_cos),
    "tan": _on_parts(_tan),
    "asin": _on_parts(_asin),
    "acos": _on_parts(_acos),
    "asinh": _on_parts(_asinh),
    "acosh": _on_parts(_acosh),
    "atanh": _on_parts(_atanh),
    "sqrt": _on_parts(_sqrt),
    "rsqrt": _on_parts(_rsqrt),
    "power": _on_pairs(_power),
    "atan2": _on_pairs(_atan2),
}
