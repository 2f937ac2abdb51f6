"""Hyperbolic functions and the inverses of trigonometric and hyperbolic ones, from those of `math`.

The same promises hold: float and double, any number of lanes, and the special cases of C99's Annex F. `ULP` bounds the
errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from xlac.codegen import trigonometry
from xlac.codegen.emit import Value
from xlac.codegen.float_parts import format_of, power_of_two
from xlac.codegen.lanes import Lanes, fma, polynomial, select
from xlac.codegen.math import elementary, log1p_of_lanes, reduce_exp

# Bounds of the error in units in the last place, over all arguments, in float and in double.
ULP: dict[str, float] = {
    "sinh": 2.5,
    "cosh": 2.0,
    "asin": 3.0,
    "acos": 3.0,
    "asinh": 3.0,
    "acosh": 3.5,
    "atanh": 3.0,
}


def quarter_expm1(a: Lanes) -> tuple[Lanes, Lanes]:
    """(exp(a) - 1)/4 and exp(a)/4 for a >= 0; they overflow only where exp(a)/2 does, and NaN stays."""
    f = format_of(a)
    _, ni, r, low = reduce_exp(a.at_most(f.exp_inf + 0.6))
    s = power_of_two(ni - 2, a.type)
    low = fma(r * r, polynomial(r, f.exp), low)
    return fma(s, low, fma(s, r, s - 0.25)), fma(s, r + low, s)


def _sinh(x: Lanes) -> Lanes:
    a = x.abs()
    q, _ = quarter_expm1(a)
    # sinh = (m + m/(m + 1))/2 with m = exp(a) - 1 = 4q
    result = q + q / fma(q, 4.0, 1.0)
    result = select(a.not_less(format_of(x).exp_inf + 0.6), a + math.inf, result + result)
    return select(a < format_of(x).epsilon, a, result).with_sign_of(x)


def _cosh(x: Lanes) -> Lanes:
    a = x.abs()
    _, p = quarter_expm1(a)
    result = p + 0.0625 / p
    return select(a.not_less(format_of(x).exp_inf + 0.6), a + math.inf, result + result)


def _asin(x: Lanes) -> Lanes:
    return trigonometry.atan2(x, ((1 - x) * (x + 1)).call("sqrt"))


def _acos(x: Lanes) -> Lanes:
    return trigonometry.atan2(((1 - x) * (x + 1)).call("sqrt"), x)


def _log1p_or_log(large: Lanes, a: Lanes, small: Lanes) -> Lanes:
    """log(1 + small), or log(2a) where `large`, which then is that to the last place."""
    return log1p_of_lanes(select(large, a, small)) + select(large, a.like(math.log(2)), 0.0)


def _asinh(x: Lanes) -> Lanes:
    a, square = x.abs(), x * x
    large = a > 8 / format_of(x).epsilon
    # a + sqrt(a^2 + 1) = 1 + a + a^2/(1 + sqrt(a^2 + 1))
    small = a + square / ((square + 1).call("sqrt") + 1)
    return _log1p_or_log(large, a, small).with_sign_of(x)


def _acosh(x: Lanes) -> Lanes:
    t = x - 1
    small = t + (t * (t + 2)).call("sqrt")
    result = _log1p_or_log(x > 8 / format_of(x).epsilon, x, small)
    return select(x < 1, math.nan, result)


def _atanh(x: Lanes) -> Lanes:
    a = x.abs()
    return (log1p_of_lanes((a + a) / (1 - a)) * 0.5).with_sign_of(x)


HYPERBOLIC: dict[str, Callable[..., Value]] = {
    "sinh": elementary(_sinh),
    "cosh": elementary(_cosh),
    "asin": elementary(_asin),
    "acos": elementary(_acos),
    "asinh": elementary(_asinh),
    "acosh": elementary(_acosh),
    "atanh": elementary(_atanh),
}
