"""Elementwise functions of `xlac.numpy`: operands are promoted and broadcast, then one or a few opcodes each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core
from xlac.numpy._core import as_tracer, inexact, operands, operands_inexact, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _define(name: str, function: Callable[..., Any], what: str) -> Any:
    function.__name__ = function.__qualname__ = name
    function.__module__ = __name__
    function.__doc__ = what
    return _public(function)


def _math(name: str, function: Callable[[Tracer], Tracer], what: str) -> Any:
    """A function of floats; integers are converted."""

    def call(x: ArrayLike, /) -> Array:
        return function(inexact(x))

    return _define(name, call, what)


def _any(name: str, function: Callable[[Tracer], Tracer], what: str) -> Any:
    """A function of one array of any type."""

    def call(x: ArrayLike, /) -> Array:
        return function(as_tracer(x))

    return _define(name, call, what)


def _two(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str) -> Any:
    """A function of two arrays, promoted and broadcast."""

    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return function(*operands(name, x1, x2))

    return _define(name, call, what)


def _two_math(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str) -> Any:
    """A function of two arrays, promoted to floats and broadcast."""

    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return function(*operands_inexact(name, x1, x2))

    return _define(name, call, what)


def _is_bool(x: Tracer) -> bool:
    return x.dtype == np.bool_


def _is_complex(x: Tracer) -> bool:
    return dtypes.is_complex(x.dtype)


def _constant(x: Tracer, value: Any) -> Tracer:
    return lax.full_like(x, value)


# ---- arithmetic


def _subtract(x: Tracer, y: Tracer) -> Tracer:
    if _is_bool(x):
        raise trace.shape_error("subtract: bools have no difference; use ^ (logical_xor) or convert with astype")
    return lax.sub(x, y)


def _negative(x: Tracer) -> Tracer:
    if _is_bool(x):
        raise trace.shape_error("negative: bools have no negative; use ~ (logical_not)")
    return lax.neg(x)


add = _two("add", lax.add, "x1 + x2; of bools, or.")
subtract = _two("subtract", _subtract, "x1 - x2.")
multiply = _two("multiply", lax.mul, "x1 * x2; of bools, and.")
true_divide = _two_math("true_divide", lax.div, "x1 / x2 as floats.")
divide = _two_math("divide", lax.div, "x1 / x2 as floats.")
negative = _any("negative", _negative, "-x.")
positive = _any("positive", lambda x: x, "x.")


def _floor_divide(x: Tracer, y: Tracer) -> Tracer:
    kind = dtypes.kind(x.dtype)
    if kind == "p":
        x, y = lax.convert_element_type(x, np.int8), lax.convert_element_type(y, np.int8)
        kind = "s"
    if kind == "u":
        return _zero_if_zero(lax.div(x, y), y)
    if kind == "c":
        raise trace.shape_error("floor_divide: complex numbers have no floor")
    if kind == "s":
        quotient = lax.div(x, y)
        crosses = lax.bitwise_and(lax.ne(lax.sign(x), lax.sign(y)), lax.ne(lax.rem(x, y), 0))
        return _zero_if_zero(lax.select(crosses, lax.sub(quotient, _constant(x, 1)), quotient), y)
    return _float_floor_divide(x, y)


def _float_floor_divide(x: Tracer, y: Tracer) -> Tracer:
    """As CPython's float //, zeros signed; but by zero, and of or by infinity, the Array API's floor(x / y)."""
    remainder = lax.rem(x, y)
    quotient = lax.div(lax.sub(x, remainder), y)
    crosses = lax.bitwise_and(lax.ne(remainder, 0), lax.ne(lax.lt(y, 0), lax.lt(remainder, 0)))
    quotient = lax.select(crosses, lax.sub(quotient, _constant(x, 1)), quotient)
    down = lax.floor(quotient)
    down = lax.select(lax.gt(lax.sub(quotient, down), 0.5), lax.add(down, _constant(x, 1)), down)
    ratio = lax.div(x, y)
    down = lax.select(lax.eq(quotient, 0), _copysign(_constant(x, 0), ratio), down)
    simple = lax.bitwise_or(lax.eq(y, 0), lax.bitwise_not(lax.bitwise_and(lax.is_finite(x), lax.is_finite(y))))
    return lax.select(simple, ratio, down)


def _mod(x: Tracer, y: Tracer) -> Tracer:
    kind = dtypes.kind(x.dtype)
    if kind == "p":
        x, y = lax.convert_element_type(x, np.int8), lax.convert_element_type(y, np.int8)
    elif kind == "c":
        raise trace.shape_error("mod: complex numbers have no remainder")
    if kind == "u":
        return _zero_if_zero(lax.rem(x, y), y)
    remainder = lax.rem(x, y)
    crosses = lax.bitwise_and(lax.ne(remainder, 0), lax.ne(lax.lt(y, 0), lax.lt(remainder, 0)))
    result = lax.select(crosses, lax.add(remainder, y), remainder)
    if kind != "f":
        return _zero_if_zero(result, y)
    # Zeros have the sign of y: adding 0 makes them positive, and leaves the derivative as it is.
    zero = _constant(x, 0)
    return lax.select(lax.lt(y, 0), lax.neg(lax.add(lax.neg(result), zero)), lax.add(result, zero))


def _zero_if_zero(result: Tracer, y: Tracer) -> Tracer:
    """The integer remainder of a division by zero is zero in NumPy."""
    return lax.select(lax.eq(y, 0), _constant(y, 0), result)


floor_divide = _two("floor_divide", _floor_divide, "x1 / x2 rounded down.")
mod = _two("mod", _mod, "Remainder with the sign of x2.")
remainder = _two("remainder", _mod, "Remainder with the sign of x2.")


def _fmod(x: Tracer, y: Tracer) -> Tracer:
    if dtypes.is_inexact(x.dtype):
        return lax.rem(x, y)
    x, y = (_no_bool(v) for v in (x, y))
    none = lax.eq(y, 0)  # as in NumPy
    return lax.select(none, lax.full_like(x, 0), lax.rem(x, lax.select(none, lax.full_like(y, 1), y)))


def _no_bool(x: Tracer) -> Tracer:
    """Truth values as the small integers that NumPy calculates with."""
    return lax.convert_element_type(x, np.int8) if _is_bool(x) else x


fmod = _two("fmod", _fmod, "Remainder with the sign of x1.")


@_public
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Array, Array]:
    """(floor_divide(x1, x2), mod(x1, x2))."""
    return floor_divide(x1, x2), mod(x1, x2)


@_public
def modf(x: ArrayLike, /) -> tuple[Array, Array]:
    """Fractional and whole part, both with the sign of x."""
    x = inexact(x)
    whole = _trunc(x)
    fraction = lax.select(lax.eq(lax.abs(x), math.inf), _constant(x, 0), lax.sub(x, whole))
    return copysign(fraction, x), whole


@_public
def power(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 to the power x2. A fixed small integer exponent becomes multiplications, 0.5 a square root."""
    if isinstance(x2, (int, np.integer)) and not isinstance(x2, (bool, np.bool_)) and np.ndim(x2) == 0:
        x = as_tracer(x1)
        weak = isinstance(x2, int)
        if dtypes.is_inexact(x.dtype) and -1024 <= x2 <= 1024:
            return lax.integer_pow(x, int(x2))
        if weak and dtypes.is_integer(x.dtype):
            if x2 < 0:
                raise trace.shape_error(
                    "power: integers to negative powers are not integers; convert the base with astype(float)"
                )
            return lax.integer_pow(x, x2)
    if isinstance(x2, float) and x2 == 0.5 and dtypes.is_float(as_tracer(x1).dtype):
        return lax.sqrt(as_tracer(x1))
    x, y = operands("power", x1, x2)
    if _is_bool(x):
        x, y = lax.convert_element_type(x, np.int8), lax.convert_element_type(y, np.int8)
    return lax.pow(x, y)


pow = power
__all__.append("pow")
float_power = _two_math("float_power", lax.pow, "x1 to the power x2 as floats.")


def _abs(x: Tracer) -> Tracer:
    return x if dtypes.kind(x.dtype) in "pu" else lax.abs(x)


abs = _any("abs", _abs, "Absolute value; of complex numbers, their size.")
absolute = abs
fabs = _math("fabs", _abs, "Absolute value as a float.")
__all__.append("absolute")


@_public
def sign(x: ArrayLike, /) -> Array:
    """-1, 0 or 1; x / |x| of complex numbers. The sign of -0.0 is 0.0, as the Array API has it."""
    x = as_tracer(x)
    if _is_bool(x):
        return x
    return lax.add(lax.sign(x), _constant(x, 0)) if dtypes.is_inexact(x.dtype) else lax.sign(x)


square = _any("square", lambda x: lax.mul(x, x), "x * x.")
reciprocal = _math("reciprocal", lambda x: lax.div(_constant(x, 1), x), "1 / x.")
sqrt = _math("sqrt", lax.sqrt, "Square root.")
cbrt = _math("cbrt", lax.cbrt, "Cube root.")


# ---- exponentials

_LN2, _LN10 = math.log(2), math.log(10)


def _log_over(divisor: float) -> Callable[[Tracer], Tracer]:
    def function(x: Tracer) -> Tracer:
        y = lax.log(x)
        if not dtypes.is_complex(x.dtype):
            return lax.div(y, _constant(y, divisor))
        # Part by part: the quotient of two complex numbers would turn infinities into NaN.
        return lax.complex(*(lax.div(part, _constant(part, divisor)) for part in (lax.real(y), lax.imag(y))))

    return function


exp = _math("exp", lax.exp, "e^x.")
exp2 = _math("exp2", lax.exp2, "2^x.")
expm1 = _math("expm1", lax.expm1, "e^x - 1.")
log = _math("log", lax.log, "Natural logarithm.")
log1p = _math("log1p", lax.log1p, "log(1 + x).")
log2 = _math("log2", _log_over(_LN2), "Logarithm to the base 2.")
log10 = _math("log10", _log_over(_LN10), "Logarithm to the base 10.")


def _logaddexp(x: Tracer, y: Tracer) -> Tracer:
    """By selections, not by max and abs, so that derivatives of all orders hold where x = y too."""
    if _is_complex(x):
        return _complex_logaddexp(x, y)
    above = lax.gt(x, y)
    # Equal infinities have no difference; their sum is the number itself.
    same = lax.bitwise_and(lax.eq(x, y), lax.eq(lax.abs(x), math.inf))
    gap = lax.select(above, lax.sub(y, x), lax.sub(x, y))
    return lax.add(lax.select(above, x, y), lax.log1p(lax.exp(lax.select(same, _constant(x, 0), gap))))


def _complex_logaddexp(x: Tracer, y: Tracer) -> Tracer:
    """By way of the number with the greater real part; the result's imaginary part is from -pi to pi."""
    above = lax.gt(lax.real(x), lax.real(y))
    most, least = lax.select(above, x, y), lax.select(above, y, x)
    gap = lax.sub(least, most)
    # Real parts that are equal infinities count as equal.
    real = lax.select(lax.eq(lax.real(x), lax.real(y)), _constant(lax.real(gap), 0), lax.real(gap))
    total = lax.add(most, lax.log1p(lax.exp(lax.complex(real, lax.imag(gap)))))
    imag = lax.imag(total)
    turns = lax.round(lax.div(imag, _constant(imag, 2 * math.pi)))
    return lax.complex(lax.real(total), lax.sub(imag, lax.mul(turns, _constant(imag, 2 * math.pi))))


logaddexp = _two_math("logaddexp", _logaddexp, "log(e^x1 + e^x2), without overflow.")
logaddexp2 = _two_math(
    "logaddexp2",
    lambda x, y: lax.div(
        _logaddexp(lax.mul(x, _constant(x, _LN2)), lax.mul(y, _constant(y, _LN2))), _constant(x, _LN2)
    ),
    "log2(2^x1 + 2^x2), without overflow.",
)


# ---- trigonometry


def _largest(dtype: np.dtype) -> Any:
    import ml_dtypes

    return ml_dtypes.finfo(dtype).max


sin = _math("sin", lax.sin, "Sine.")
cos = _math("cos", lax.cos, "Cosine.")
tan = _math("tan", lax.tan, "Tangent.")
tanh = _math("tanh", lax.tanh, "Hyperbolic tangent.")
sinh = _math("sinh", lax.sinh, "Hyperbolic sine.")
cosh = _math("cosh", lax.cosh, "Hyperbolic cosine.")
arcsin = _math("arcsin", lax.asin, "Inverse sine; NaN outside [-1, 1].")
arccos = _math("arccos", lax.acos, "Inverse cosine; NaN outside [-1, 1].")
arctan = _math("arctan", lax.atan, "Inverse tangent.")
arcsinh = _math("arcsinh", lax.asinh, "Inverse hyperbolic sine.")
arccosh = _math("arccosh", lax.acosh, "Inverse hyperbolic cosine; NaN below 1.")
arctanh = _math("arctanh", lax.atanh, "Inverse hyperbolic tangent.")
arctan2 = _two_math("arctan2", lax.atan2, "Angle of the point (x2, x1).")
asin, acos, atan, asinh, acosh, atanh, atan2 = arcsin, arccos, arctan, arcsinh, arccosh, arctanh, arctan2
__all__ += ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh"]
deg2rad = _math("deg2rad", lambda x: lax.mul(x, _constant(x, math.pi / 180)), "Degrees to radians.")
rad2deg = _math("rad2deg", lambda x: lax.mul(x, _constant(x, 180 / math.pi)), "Radians to degrees.")
radians, degrees = deg2rad, rad2deg
__all__ += ["degrees", "radians"]


def _sinc(x: Tracer) -> Tracer:
    """Near 0 by the first terms of its series, which have the derivatives too."""
    scaled = lax.mul(x, _constant(x, math.pi))
    near = lax.lt(lax.abs(scaled), 0.125)
    square = lax.mul(scaled, scaled)
    series = _constant(x, 0)
    for n in range(5, -1, -1):
        series = lax.add(lax.mul(series, square), _constant(x, (-1) ** n / math.factorial(2 * n + 1)))
    safe = lax.select(near, _constant(x, 1), scaled)
    return lax.select(near, series, lax.div(lax.sin(safe), safe))


sinc = _math("sinc", _sinc, "sin(pi x) / (pi x).")


def _hypot(x: Tracer, y: Tracer) -> Tracer:
    """Scaled by the greater, so that squares neither overflow nor vanish."""
    size_x, size_y = lax.abs(x), lax.abs(y)
    above = lax.gt(size_x, size_y)
    high, low = lax.select(above, x, y), lax.select(above, y, x)
    ratio = lax.div(low, lax.select(lax.eq(high, 0), _constant(x, 1), high))
    result = lax.mul(lax.abs(high), lax.sqrt(lax.add(_constant(x, 1), lax.mul(ratio, ratio))))
    infinite = lax.bitwise_or(lax.eq(size_x, math.inf), lax.eq(size_y, math.inf))
    return lax.select(infinite, _constant(x, math.inf), result)


hypot = _two_math("hypot", _hypot, "sqrt(x1^2 + x2^2), without overflow.")


# ---- rounding


def _trunc(x: Tracer) -> Tracer:
    return lax.select(lax.lt(x, 0), lax.ceil(x), lax.floor(x))


def _rounding(function: Callable[[Tracer], Tracer]) -> Callable[[Tracer], Tracer]:
    return lambda x: x if dtypes.kind(x.dtype) in "psu" else function(x)


floor = _any("floor", _rounding(lax.floor), "Round down.")
ceil = _any("ceil", _rounding(lax.ceil), "Round up.")
trunc = _any("trunc", _rounding(_trunc), "Round toward zero.")
fix = _any("fix", _rounding(_trunc), "Round toward zero.")


def _rint(x: Tracer) -> Tracer:
    if dtypes.is_complex(x.dtype):
        return lax.complex(lax.round(lax.real(x), 1), lax.round(lax.imag(x), 1))
    return lax.round(x, 1)


rint = _math("rint", _rint, "Nearest whole number, halves to even.")


@_public
def round(a: ArrayLike, decimals: int = 0, out: None = None) -> Array:
    """Round to a number of decimals, halves to even."""
    _core.no_out("round", out)
    x = as_tracer(a)
    if not dtypes.is_inexact(x.dtype):
        if decimals >= 0:
            return x
        factor = _constant(x, 10**-decimals)
        rounded = lax.round(lax.div(lax.convert_element_type(x, np.float64), float(10**-decimals)), 1)
        return lax.mul(lax.convert_element_type(rounded, x.dtype), factor)
    if _is_complex(x):
        return lax.complex(round.traced(lax.real(x), decimals), round.traced(lax.imag(x), decimals))
    if decimals == 0:
        return lax.round(x, 1)
    factor = _constant(x, float(10**decimals)) if decimals > 0 else _constant(x, float(10**-decimals))
    if decimals > 0:
        scaled = lax.mul(x, factor)
        return lax.select(lax.is_finite(scaled), lax.div(lax.round(scaled, 1), factor), x)
    return lax.mul(lax.round(lax.div(x, factor), 1), factor)


around = round
__all__.append("around")


# ---- comparison and logic


def _comparison(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str) -> Any:
    def run(x: Tracer, y: Tracer) -> Tracer:
        if _is_complex(x) and name not in ("equal", "not_equal"):
            raise trace.shape_error(f"{name}: complex numbers have no order; compare their abs, real or imag")
        return function(x, y)

    return _two(name, run, what)


equal = _comparison("equal", lax.eq, "x1 == x2.")
not_equal = _comparison("not_equal", lax.ne, "x1 != x2.")
less = _comparison("less", lax.lt, "x1 < x2.")
less_equal = _comparison("less_equal", lax.le, "x1 <= x2.")
greater = _comparison("greater", lax.gt, "x1 > x2.")
greater_equal = _comparison("greater_equal", lax.ge, "x1 >= x2.")


def truth(x: Tracer) -> Tracer:
    """Whether each element is not zero."""
    return x if _is_bool(x) else lax.ne(x, _constant(x, 0))


def _logical(name: str, function: Callable[[Tracer, Tracer], Tracer], what: str) -> Any:
    def call(x1: ArrayLike, x2: ArrayLike, /) -> Array:
        return function(*_core.broadcast(name, [truth(as_tracer(x1)), truth(as_tracer(x2))]))

    return _define(name, call, what)


logical_and = _logical("logical_and", lax.bitwise_and, "Both are true.")
logical_or = _logical("logical_or", lax.bitwise_or, "Either is true.")
logical_xor = _logical("logical_xor", lax.bitwise_xor, "One is true.")
logical_not = _any("logical_not", lambda x: lax.bitwise_not(truth(x)), "Not true.")


def _integral(name: str, function: Callable[..., Tracer]) -> Callable[..., Tracer]:
    def run(*xs: Tracer) -> Tracer:
        if dtypes.is_inexact(xs[0].dtype):
            raise trace.shape_error(f"{name}: operands are of type {xs[0].dtype.name}; they must be integer or bool")
        return function(*xs)

    return run


def _left_shift(x: Tracer, y: Tracer) -> Tracer:
    return lax.shift_left(_no_bool(x), _no_bool(y))


def _right_shift(x: Tracer, y: Tracer) -> Tracer:
    x, y = _no_bool(x), _no_bool(y)
    signed = dtypes.kind(x.dtype) == "s"
    return lax.shift_right_arithmetic(x, y) if signed else lax.shift_right_logical(x, y)


bitwise_and = _two("bitwise_and", _integral("bitwise_and", lax.bitwise_and), "x1 & x2.")
bitwise_or = _two("bitwise_or", _integral("bitwise_or", lax.bitwise_or), "x1 | x2.")
bitwise_xor = _two("bitwise_xor", _integral("bitwise_xor", lax.bitwise_xor), "x1 ^ x2.")
bitwise_not = _any("bitwise_not", _integral("bitwise_not", lax.bitwise_not), "~x.")
left_shift = _two("left_shift", _integral("left_shift", _left_shift), "x1 << x2.")
right_shift = _two("right_shift", _integral("right_shift", _right_shift), "x1 >> x2.")
invert = bitwise_invert = bitwise_not
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
__all__ += ["bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "invert"]
bitwise_count = _any(
    "bitwise_count",
    lambda x: lax.convert_element_type(lax.population_count(_abs(_no_bool(x))), np.uint8),
    "One bits of |x|.",
)


# ---- floats


def _per_part(function: Callable[[Tracer], Tracer], join: Callable[[Tracer, Tracer], Tracer], default: bool) -> Any:
    def run(x: Tracer) -> Tracer:
        if _is_complex(x):
            return join(function(lax.real(x)), function(lax.imag(x)))
        if not dtypes.is_float(x.dtype):
            return lax.full_like(x, default, np.bool_)
        return function(x)

    return run


isnan = _any("isnan", _per_part(lambda x: lax.ne(x, x), lax.bitwise_or, False), "Whether NaN.")
isinf = _any("isinf", _per_part(lambda x: lax.eq(lax.abs(x), math.inf), lax.bitwise_or, False), "Whether infinite.")
isfinite = _any("isfinite", _per_part(lax.is_finite, lax.bitwise_and, True), "Whether neither infinite nor NaN.")
isposinf = _any("isposinf", _per_part(lambda x: lax.eq(x, math.inf), lax.bitwise_or, False), "Whether +infinity.")
isneginf = _any("isneginf", _per_part(lambda x: lax.eq(x, -math.inf), lax.bitwise_or, False), "Whether -infinity.")


def _signbit(x: Tracer) -> Tracer:
    if not dtypes.is_float(x.dtype):
        return lax.lt(x, _constant(x, 0)) if dtypes.kind(x.dtype) == "s" else lax.full_like(x, False, np.bool_)
    raw = lax.bitcast_convert_type(x, np.dtype(f"i{x.dtype.itemsize}"))
    return lax.lt(raw, _constant(raw, 0))


def _copysign(x: Tracer, y: Tracer) -> Tracer:
    size = lax.abs(x)
    return lax.select(_signbit(y), lax.neg(size), size)


signbit = _any("signbit", _signbit, "Whether the sign bit is set, that of -0.0 included.")
copysign = _two_math("copysign", _copysign, "x1 with the sign of x2.")
nextafter = _two_math("nextafter", lambda x, y: lax.nextafter(x, y), "The float next to x1 toward x2.")
maximum = _two("maximum", lax.max, "The greater; NaN if either is.")
minimum = _two("minimum", lax.min, "The lesser; NaN if either is.")


def _but_nan(function: Callable[[Tracer, Tracer], Tracer]) -> Callable[[Tracer, Tracer], Tracer]:
    def run(x: Tracer, y: Tracer) -> Tracer:
        if not dtypes.is_inexact(x.dtype):
            return function(x, y)
        return lax.select(lax.ne(x, x), y, lax.select(lax.ne(y, y), x, function(x, y)))

    return run


fmax = _two("fmax", _but_nan(lax.max), "The greater; the other if one is NaN.")
fmin = _two("fmin", _but_nan(lax.min), "The lesser; the other if one is NaN.")


def _heaviside(x: Tracer, y: Tracer) -> Tracer:
    step = lax.select(lax.lt(x, 0), _constant(x, 0), lax.select(lax.gt(x, 0), _constant(x, 1), y))
    return lax.select(lax.ne(x, x), x, step)


heaviside = _two_math("heaviside", _heaviside, "0 below 0, x2 at 0, 1 above.")


@_public
def ldexp(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 * 2^x2 for integers x2, rounded once."""
    x, shift = inexact(x1), as_tracer(x2)
    if not dtypes.is_integer(shift.dtype) or _is_complex(x):
        raise trace.shape_error(
            f"ldexp: operands are {trace.shown(x)} and {trace.shown(shift)}; they must be real numbers and integers"
        )
    narrow = x.dtype
    x = lax.convert_element_type(x, np.float32) if narrow.itemsize < 4 else x
    # More than this gives 0 or infinity, whatever is multiplied.
    most = np.iinfo(shift.dtype).max
    shift = lax.clamp(_constant(shift, -min(3000, most + 1)), shift, _constant(shift, min(3000, most)))
    a, rest = _core.broadcast("ldexp", [x, lax.convert_element_type(shift, np.int32)])
    mantissa, bias = (23, 127) if a.dtype.itemsize == 4 else (52, 1023)
    integer = np.dtype(f"i{a.dtype.itemsize}")
    # As far as the exponent can fall without a loss, and then the rest, which rounds.
    room = lax.max(lax.add(frexp(lax.stop_gradient(a))[1], bias - 2), _constant(rest, 0))
    for last in (False, False, True):
        least = _constant(rest, 1 - bias)
        step = lax.clamp(least if last else lax.max(least, lax.neg(room)), rest, _constant(rest, bias))
        rest, room = lax.sub(rest, step), lax.add(room, step)
        raw = lax.shift_left(lax.convert_element_type(lax.add(step, bias), integer), integer.type(mantissa))
        a = lax.mul(a, lax.bitcast_convert_type(raw, a.dtype))
    return lax.convert_element_type(a, narrow)


@_public
def frexp(x: ArrayLike, /) -> tuple[Array, Array]:
    """Mantissas in [1/2, 1) and exponents with x = mantissa * 2^exponent; 0, infinities and NaN have exponent 0."""
    a = inexact(x)
    if _is_complex(a):
        raise trace.shape_error("frexp: complex numbers have no exponent")
    narrow = a.dtype
    a = lax.convert_element_type(a, np.float32) if a.dtype.itemsize < 4 else a
    bits = 8 * a.dtype.itemsize
    mantissa, bias = (23, 127) if bits == 32 else (52, 1023)
    integer = np.dtype(f"i{bits // 8}")
    # Subnormal numbers are scaled up first.
    small = lax.lt(lax.abs(a), float(np.finfo(a.dtype).tiny))
    scaled = lax.select(small, lax.mul(a, _constant(a, 2.0 ** (mantissa + 1))), a)
    raw = lax.bitcast_convert_type(scaled, integer)
    field = lax.bitwise_and(lax.shift_right_logical(raw, _constant(raw, mantissa)), _constant(raw, 2 * bias + 1))
    exponent = lax.sub(field, _constant(raw, bias - 1))
    exponent = lax.select(small, lax.sub(exponent, _constant(raw, mantissa + 1)), exponent)
    kept = lax.bitwise_and(raw, _constant(raw, ~((2 * bias + 1) << mantissa)))
    part = lax.bitcast_convert_type(lax.bitwise_or(kept, _constant(raw, (bias - 1) << mantissa)), a.dtype)
    odd = lax.bitwise_or(lax.bitwise_not(lax.is_finite(a)), lax.eq(a, 0))
    part = lax.convert_element_type(lax.select(odd, a, part), narrow)
    return part, lax.convert_element_type(lax.select(odd, _constant(exponent, 0), exponent), np.int32)


def _spacing(x: Tracer) -> Tracer:
    """To the next float away from zero."""
    away = lax.select(lax.lt(x, 0), _constant(x, -math.inf), _constant(x, math.inf))
    step = lax.sub(lax.nextafter(x, away), x)
    return lax.select(lax.is_finite(x), step, _constant(x, math.nan))


spacing = _math("spacing", _spacing, "The distance to the next float away from zero.")


def _i0(x: Tracer) -> Tracer:
    # The sign's product has the derivative 0 at 0, as the scaled function.
    return lax.mul(lax.exp(lax.mul(lax.sign(x), x)), lax.bessel_i0e(x))


i0 = _math("i0", _i0, "The modified Bessel function of order 0.")


def _gcd(x: Tracer, y: Tracer) -> Tracer:
    """Euclid's algorithm on all elements at once, until the last is done."""

    def step(state: tuple[Tracer, Tracer]) -> tuple[Tracer, Tracer]:
        a, b = state
        safe = lax.select(lax.eq(b, 0), _constant(b, 1), b)
        return lax.select(lax.eq(b, 0), a, b), lax.select(lax.eq(b, 0), b, lax.rem(a, safe))

    def unfinished(state: tuple[Tracer, Tracer]) -> Tracer:
        return lax.reduce_or(lax.ne(state[1], 0), range(state[1].ndim))

    return _abs(lax.while_loop(unfinished, step, (_abs(x), _abs(y)))[0])


def _lcm(x: Tracer, y: Tracer) -> Tracer:
    divisor = _gcd(x, y)
    none = lax.eq(divisor, 0)
    return _abs(lax.select(none, divisor, lax.mul(x, lax.div(y, lax.select(none, _constant(x, 1), divisor)))))


gcd = _two("gcd", _integral("gcd", _gcd), "The greatest common divisor of integers.")
lcm = _two("lcm", _integral("lcm", _lcm), "The least common multiple of integers.")
real = _any("real", lambda x: lax.real(x) if _is_complex(x) else x, "Real part.")
imag = _any("imag", lambda x: lax.imag(x) if _is_complex(x) else _constant(x, 0), "Imaginary part.")
isreal = _any("isreal", lambda x: lax.eq(lax.imag(x), 0) if _is_complex(x) else lax.full_like(x, True, np.bool_),
              "Whether the imaginary part is 0.")  # fmt: skip
iscomplex = _any("iscomplex", lambda x: lax.ne(lax.imag(x), 0) if _is_complex(x) else lax.full_like(x, False, np.bool_),
                 "Whether the imaginary part is not 0.")  # fmt: skip
conj = _any("conj", lax.conj, "Complex conjugate.")
conjugate = conj
__all__.append("conjugate")


@_public
def angle(z: ArrayLike, deg: bool = False) -> Array:
    """Angle of complex numbers, in radians or degrees."""
    x = inexact(z)
    zero = _constant(x, 0)
    result = lax.atan2(lax.imag(x), lax.real(x)) if _is_complex(x) else lax.atan2(zero, x)
    return lax.mul(result, 180 / math.pi) if deg else result


@_public
def nan_to_num(
    x: ArrayLike,
    copy: bool = True,
    nan: ArrayLike = 0.0,
    posinf: ArrayLike | None = None,
    neginf: ArrayLike | None = None,
) -> Array:
    """NaN and infinities replaced by numbers; infinities by the largest finite ones where none is given."""
    a = as_tracer(x)
    if not dtypes.is_inexact(a.dtype):
        return a
    if _is_complex(a):
        parts = (nan_to_num.traced(p, copy, nan, posinf, neginf) for p in (lax.real(a), lax.imag(a)))
        return lax.complex(*parts)
    largest = float(_largest(a.dtype))
    a = where(lax.ne(a, a), nan, a)
    a = where(lax.eq(a, math.inf), largest if posinf is None else posinf, a)
    return where(lax.eq(a, -math.inf), -largest if neginf is None else neginf, a)


# ---- choice


def where(condition: Any, x: Any = None, y: Any = None, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """x where the condition holds, else y; of the condition alone, the indices where it holds, as `nonzero`."""
    if x is None and y is None:
        from xlac.numpy.indexing import nonzero

        return nonzero(condition, size=size, fill_value=fill_value)
    if x is None or y is None:
        raise trace.trace_error("where: give the condition alone, or both x and y")
    return _choose(condition, x, y)


__all__.append("where")


@array_function
def _choose(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
    a, b = _core.promote(x, y)
    mask, a, b = _core.broadcast("where", [truth(as_tracer(condition)), a, b])
    return lax.select(mask, a, b)


@_public
def clip(
    a: ArrayLike,
    min: ArrayLike | None = None,
    max: ArrayLike | None = None,
    out: None = None,
    *,
    a_min: ArrayLike | None = None,
    a_max: ArrayLike | None = None,
) -> Array:
    """Values limited to [min, max]; None is no limit. At a limit its derivative is shared, as of `maximum`."""
    _core.no_out("clip", out)
    min, max = (a_min if min is None else min), (a_max if max is None else max)
    x = as_tracer(a)
    if min is None and max is None:
        return x
    given = [v for v in (min, max) if v is not None]
    x, *limits = operands("clip", x, *given)
    x = lax.max(x, limits[0]) if min is not None else x
    return lax.min(x, limits[-1]) if max is not None else x


@_public
def select(condlist: list[ArrayLike], choicelist: list[ArrayLike], default: ArrayLike = 0) -> Array:
    """For each element, the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise trace.shape_error(f"select: {len(condlist)} conditions but {len(choicelist)} choices")
    result: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = where(condition, choice, result)
    return result


@_public
def isclose(
    a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-5, atol: ArrayLike = 1e-8, equal_nan: bool = False
) -> Array:
    """Whether |a - b| <= atol + rtol |b|; infinities only if equal."""
    x, y = operands_inexact("isclose", a, b)
    near = less_equal(lax.abs(lax.sub(x, y)), add(atol, multiply(rtol, lax.abs(y))))
    finite = logical_and(isfinite(x), isfinite(y))
    result = lax.bitwise_or(lax.bitwise_and(near, finite), lax.eq(x, y))
    if equal_nan:
        result = lax.bitwise_or(result, lax.bitwise_and(isnan(x), isnan(y)))
    return result
