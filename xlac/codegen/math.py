"""Elementary functions as straight-line LLVM IR, for float and double, for scalars and vectors of any length.

Every function takes a FunctionEmitter and values of one type and returns a value of that type, so it can stand
anywhere in a kernel. All are branch-free, except that sin, cos and tan jump to an exact reduction when some argument is
large. NaN, infinities, signed zeros, denormals and the special cases of C99's Annex F are kept: nothing is flushed to
zero. half and bfloat are computed in float. `ULP` bounds the errors.

Polynomials are weighted least-squares fits on Chebyshev nodes, reweighted towards minimax (Lawson's algorithm), whose
coefficients were rounded to their format one after the other with a new fit of the rest after each. They are listed
from low to high order, and the function that each approximates is named beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

from xlac.codegen import power as powers
from xlac.codegen import trigonometry
from xlac.codegen.emit import FunctionEmitter, Value, scalar
from xlac.codegen.float_parts import (
    avx512,
    format_of,
    fraction_and_exponent,
    power_of_two,
    quotient,
    rounded,
    scaled,
)
from xlac.codegen.lanes import Lanes, fma, polynomial, select

# Bounds of the error in units in the last place, over all arguments, keyed by HLO opcode and LLVM type.
ULP: dict[tuple[str, str], float] = {
    ("exponential", "float"): 1.0,
    ("exponential", "double"): 1.0,
    ("exponential-minus-one", "float"): 1.5,
    ("exponential-minus-one", "double"): 1.5,
    ("log", "float"): 1.0,
    ("log", "double"): 1.0,
    ("log-plus-one", "float"): 1.5,
    ("log-plus-one", "double"): 1.5,
    ("tanh", "float"): 2.0,
    ("tanh", "double"): 2.0,
    ("logistic", "float"): 2.0,
    ("logistic", "double"): 2.0,
    ("erf", "float"): 1.5,
    ("erf", "double"): 1.5,
    ("sine", "float"): 1.6,
    ("sine", "double"): 1.5,
    ("cosine", "float"): 1.6,
    ("cosine", "double"): 1.5,
    ("tan", "float"): 3.0,
    ("tan", "double"): 2.5,
    ("sqrt", "float"): 0.5,
    ("sqrt", "double"): 0.5,
    ("rsqrt", "float"): 1.1,
    ("rsqrt", "double"): 1.1,
    ("cbrt", "float"): 1.0,
    ("cbrt", "double"): 1.0,
    ("power", "float"): 1.0,
    ("power", "double"): 1.0,
    ("atan2", "float"): 2.0,
    ("atan2", "double"): 2.0,
}

_LOG_FLOAT = (  # (log(1+f) - f + f^2/2) / f^3 for 1+f in [3/4, 3/2]
    0.3333345055580139,
    -0.25000104308128357,
    0.19990813732147217,
    -0.166469544172287,
    0.1447833776473999,
    -0.13164618611335754,
    0.10470695048570633,
    -0.04512510448694229,
)
_LOG_DOUBLE = (  # (2 atanh(s)/s - 2) / z, z = s^2, s = f/(2+f)
    0.666666666666666,
    0.4000000000005659,
    0.2857142855585984,
    0.22222224292177403,
    0.18181666161110585,
    0.15391101988720157,
    0.13173774415855355,
    0.13841815331814727,
)
_RECIPROCAL_CBRT = (  # m^(-1/3) for m in [3/4, 3/2], to 17 bits
    1.9603060483932495,
    -2.298175811767578,
    2.433697462081909,
    -1.559794306755066,
    0.5428997278213501,
    -0.0789346843957901,
)


# Exponentials: x = n ln 2 + r (Cody and Waite), exp(x) = 2^n (1 + r + r^2 P(r)).


def reduce_exp(x: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """n (twice: float, integer), and r = x - n ln 2 as a sum whose second part is a rounding error."""
    f = format_of(x)
    n, ni = rounded(x, 1 / math.log(2))
    high = fma(n, -f.ln2[0], x)  # exact
    r = fma(n, -f.ln2[1], high)
    return n, ni, r, fma(n, -f.ln2[1], high - r)


def _exp_normal(x: Lanes) -> Lanes:
    """exp where the result is a normal number."""
    n, ni, r, _ = reduce_exp(x)
    p = 1 + fma(r * r, polynomial(r, format_of(x).exp), r)
    result = avx512("mask.scalef", p, n)
    return p * power_of_two(ni, x.type) if result is None else result


def _exp(x: Lanes) -> Lanes:
    f = format_of(x)
    # Lanes that end as 0 are taken out first: each vector in which a result underflows costs a microcode assist on some
    # processors, a hundred times the time of everything else.
    zero = x < f.exp_zero
    n, ni, r, _ = reduce_exp(select(zero, 0.0, x.at_most(f.exp_inf)))
    p = 1 + fma(r * r, polynomial(r, f.exp), r)
    return select(zero, 0.0, scaled(p, n, ni))


def _expm1(x: Lanes) -> Lanes:
    f = format_of(x)
    _, ni, r, low = reduce_exp(x.at_most(f.exp_inf).at_least(f.expm1_low))
    s = power_of_two(ni - 1, x.type)  # half of what is meant, lest it overflow
    low = fma(r * r, polynomial(r, f.exp), low)
    result = fma(s, low, fma(s, r, s - 0.5))
    return select(x.abs() < f.epsilon / 4, x, result + result)


def _logistic(x: Lanes) -> Lanes:
    # 1/(1 + exp(-x)) or exp(x)/(1 + exp(x)), whichever has exp(-|x|); both keep their digits.
    e = _exp(-x.abs())
    total = e + 1
    return quotient(select(x < 0, e, 1.0), 0.0, total, e - (total - 1))


def _tanh(x: Lanes) -> Lanes:
    f = format_of(x)
    a = x.abs()
    small, z = a < 0.625, x * x
    b = a.at_most(f.tanh_one)
    e = _exp_normal(b + b)
    # x + x z P(z)/Q(z) or 1 - 2/(exp(2x) + 1), with one division for both
    numerator = select(small, a * (z * polynomial(z, f.tanh[0])), -2.0)
    denominator = select(small, polynomial(z, f.tanh[1]), e + 1)
    return (select(small, a, 1.0) + numerator / denominator).with_sign_of(x)


def _erf(x: Lanes) -> Lanes:
    f = format_of(x)
    a, z = x.abs().at_most(f.erf_one), x * x
    near = fma(polynomial(z, f.erf), x, x)
    far = (1 - _exp_normal(-polynomial(a, f.erfc))).with_sign_of(x)
    return select(a.not_less(f.erf_split), far, near)


# Logarithms: x = m 2^e with m near 1, log(x) = e ln 2 + log(m).


def _log_of(f: Lanes, low: Lanes | None, e: Lanes) -> Lanes:
    """e ln 2 + log(1 + f + low), where `low` is a rounding error of f."""
    high_ln2, low_ln2 = format_of(f).ln2
    square = f * f
    if scalar(f.type) == "double":
        s = f / (f + 2)
        z = s * s
        half = square * 0.5
        # log(1+f) = f - (half - s (half + z P(z))): only small terms are rounded
        t = fma(s, half + z * polynomial(z, _LOG_DOUBLE), e * low_ln2)
        if low is not None:
            t = t + fma(-low, f, low)
        return fma(e, high_ln2, f + (t - half))
    t = fma(e, low_ln2, f * square * polynomial(f, _LOG_FLOAT))
    if low is not None:
        t = t + fma(-low, f, low)
    return fma(e, high_ln2, f + fma(square, -0.5, t))


def _log_special(x: Lanes, at_zero: float, result: Lanes) -> Lanes:
    result = select(x.eq(math.inf), math.inf, result)
    result = select(x.eq(at_zero), -math.inf, result)
    return select(x >= at_zero, result, math.nan)


def _log(x: Lanes) -> Lanes:
    m, e, ei = fraction_and_exponent(x)
    result = _log_of(m - 1, None, e)
    return result if ei is None else _log_special(x, 0.0, result)


def _log_of_sum(u: Lanes, c: Lanes, shift: Lanes | None = None) -> Lanes:
    """log(u + c) + shift ln 2 for positive finite normal u, of which c is a rounding error."""
    f = format_of(u)
    m, e, ei = fraction_and_exponent(u)
    if ei is None:
        scaled = avx512("mask.scalef", c, -e)
        assert scaled is not None
    else:
        # Beyond the bound the error is negligible, and 2^-e would not be a normal number.
        scaled = c * power_of_two(-select(ei > f.bias - 20, ei.like(f.bias - 20), ei), u.type)
    high = (m - 1) + scaled
    return _log_of(high, scaled - (high - (m - 1)), e if shift is None else e + shift)


def log1p_of_lanes(x: Lanes) -> Lanes:
    f = format_of(x)
    u = x + 1
    result = _log_of_sum(u, x - (u - 1))  # the rounding error is exact where it matters
    return select(x.abs() < f.epsilon / 4, x, _log_special(x, -1.0, result))


# Roots


def _sqrt(x: Lanes) -> Lanes:
    return x.call("sqrt")


def _rsqrt(x: Lanes) -> Lanes:
    estimate = avx512("rsqrt14", x, rounding=False)
    y = estimate if estimate is not None else 1 / x.call("sqrt")
    special = x.eq(0.0) | x.eq(math.inf)  # y is right there, but x * y is not
    double = scalar(x.type) == "double"
    result = y
    for last in (False, True) if double and estimate is not None else (True,):  # Newton's method
        h = x * result
        e = fma(-h, result, 1.0)
        if double and last:
            e = fma(fma(-x, result, h), result, e)  # what h lost
        result = fma(result * 0.5, e, result)
    return select(special, y, result)


def _cbrt(x: Lanes) -> Lanes:
    a = x.abs()
    m, e, _ = fraction_and_exponent(a)
    # e = 3n + k, k in {0, 1, 2}: e/3 - 1/3 is never half-way between integers
    n, ni = rounded(fma(e, 1 / 3, -1 / 3), 1.0)
    k = fma(n, -3.0, e)
    one, two = k.eq(1.0), k.eq(2.0)
    r = polynomial(m, _RECIPROCAL_CBRT) * select(one, x.like(2 ** (-1 / 3)), select(two, x.like(2 ** (-2 / 3)), 1.0))
    m = m * select(one, x.like(2.0), select(two, x.like(4.0), 1.0))
    if scalar(x.type) == "double":  # Newton's method for m^(-1/3)
        r = fma(r * fma(-(m * r), r * r, 1.0), 1 / 3, r)
    # and for y
    square = r * r
    y = m * square
    y = fma(fma(-(y * y), y, m) * square, 1 / 3, y) * power_of_two(ni, x.type)
    finite = (a > 0) & (a < math.inf)
    return select(finite, y.with_sign_of(x), x + x)


def elementary(compute: Callable[..., Lanes]) -> Callable[..., Value]:
    """The same for values: half and bfloat in float, and no fast-math flags, which would undo the compensations."""

    @wraps(compute)
    def emit(e: FunctionEmitter, *values: Value) -> Value:
        type, flags = values[0].type, e.fast_math
        narrow = scalar(type) in ("half", "bfloat")
        e.fast_math = ""
        arguments = [Lanes(e, v).cast("fpext", "float") if narrow else Lanes(e, v) for v in values]
        result = compute(*arguments)
        if narrow:
            result = result.cast("fptrunc", scalar(type))
        e.fast_math = flags
        return result.v

    return emit


exp = elementary(_exp)
expm1 = elementary(_expm1)
log = elementary(_log)
log1p = elementary(log1p_of_lanes)
tanh = elementary(_tanh)
logistic = elementary(_logistic)
erf = elementary(_erf)
sin = elementary(trigonometry.sin)
cos = elementary(trigonometry.cos)
tan = elementary(trigonometry.tan)
sqrt = elementary(_sqrt)
rsqrt = elementary(_rsqrt)
cbrt = elementary(_cbrt)
power = elementary(powers.power)
atan2 = elementary(trigonometry.atan2)

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exponential": exp,
    "exponential-minus-one": expm1,
    "log": log,
    "log-plus-one": log1p,
    "tanh": tanh,
    "logistic": logistic,
    "erf": erf,
    "sine": sin,
    "cosine": cos,
    "tan": tan,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    "cbrt": cbrt,
    "power": power,
    "atan2": atan2,
}
