"""Conversions between float and the floating-point types of 16 bits and fewer, for scalars and vectors of any length.

Values are computed with as floats and rounded to their type by `round_narrow`; `encode_rounded` and `decode_narrow`
then are exact. Rounding is to nearest, ties to even, with denormals; overflow gives what the type has for it: infinity,
NaN or the largest number. The parameters of every format are read from ml_dtypes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import ml_dtypes
import numpy as np

from xlac.codegen.emit import FunctionEmitter, Value, scalar, with_scalar
from xlac.codegen.lanes import Lanes, select
from xlac.ir.shape import ELEMENT_TYPES, ElementType

_FRACTION, _BIAS, _INFINITY = 23, 127, 0x7F800000  # of float
_E8M0 = ELEMENT_TYPES["f8e8m0fnu"]  # powers of two without zero or sign


@dataclass(frozen=True)
class Format:
    """What the conversions know about a type with a sign."""

    fraction: int  # stored bits of the significand
    least_exponent: int  # of normal numbers
    bias: int
    sign: int  # the sign bit
    largest: float
    infinity: int | None  # bits of +infinity
    nan: int | None  # bits of a NaN with a clear sign bit
    signed_zero: bool  # and so a sign on NaN

    @property
    def least(self) -> float:
        """The least normal number."""
        return 2.0**self.least_exponent


@cache
def format_of(t: ElementType) -> Format:
    info = ml_dtypes.finfo(t.dtype)
    unsigned = np.dtype(f"u{t.dtype.itemsize}")
    with np.errstate(all="ignore"):
        codes = np.array([np.inf, np.nan, -0.0], np.float32).astype(t.dtype)
    infinity, nan, minus_zero = (int(c) for c in codes.view(unsigned))
    back = codes.astype(np.float32)
    return Format(
        fraction=int(info.nmant),
        least_exponent=int(info.minexp),
        bias=1 - int(info.minexp),
        sign=1 << t.bits - 1,
        largest=float(info.max),
        infinity=infinity if np.isinf(back[0]) else None,
        nan=nan if np.isnan(back[1]) else None,
        signed_zero=minus_zero != 0,
    )


def round_to_odd(e: FunctionEmitter, x: Value) -> Value:
    """double as float, toward zero but with the last bit set where inexact: rounding that once more, to two bits fewer,
    gives what rounding `x` itself would (Boldo and Melquiond, 2008)."""
    wide = Lanes(e, x)
    near = wide.cast("fptrunc", "float")
    back = near.cast("fpext", "double")
    bits = near.bits
    toward_zero = select(back.abs() > wide.abs(), bits - 1, bits)
    return select(back.compare("one", wide), toward_zero | 1, bits).as_float(near.type).v


def round_narrow(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """float or double, rounded once to a narrower type and held as float."""
    if scalar(x.type) == "double":
        x = round_to_odd(e, x)
    if t is _E8M0:
        return decode_narrow(e, _encode_power(e, x), t)
    flags, e.fast_math = e.fast_math, ""
    value, f = Lanes(e, x), format_of(t)
    size = value.abs()
    # Beyond any rounding into the type, but small enough for the sum below; NaN stays.
    limited = size.at_most(4 * f.largest)
    # Adding 2^(fraction + 23) units in the last place of the result rounds to such a unit: float has no bits below.
    exponent = limited.bits & _INFINITY
    exponent = Lanes(e, e.umax(exponent.v, e.const(exponent.type, f.least_exponent + _BIAS << _FRACTION)))
    magic = (exponent + (_FRACTION - f.fraction << _FRACTION)).as_float(x.type)
    rounded = (limited + magic) - magic
    if f.infinity is not None:
        overflow = float("inf")
    else:
        overflow = float("nan") if f.nan is not None else f.largest
    result = select(rounded > f.largest, overflow, rounded)
    if f.nan is None:
        result = select(value.is_nan(), 0.0, result)
        value = value.negative_if(value.is_nan())
    result = result.with_sign_of(value)
    if not f.signed_zero:
        result = result + 0.0  # -0 becomes 0
    e.fast_math = flags
    return result.v


def encode_rounded(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """The bits, as integers of the type's width in memory, of floats that are numbers of the type."""
    memory = "i8" if t.bits <= 8 else "i16"
    if t is _E8M0:
        return _encode_power(e, x)
    flags, e.fast_math = e.fast_math, ""
    f = format_of(t)
    bits, size = Lanes(e, x).bits, Lanes(e, x).abs()
    normal = (size.bits >> (_FRACTION - f.fraction)) - (_BIAS - f.bias << f.fraction)
    magic = 2.0 ** (f.least_exponent - f.fraction + _FRACTION)  # leaves a denormal's units in the last bits
    small = size + magic
    code = select(size < f.least, small.bits - small.like(magic).bits, normal)
    if f.infinity is not None:
        code = select(size.eq(float("inf")), f.infinity, code)
    sign = bits.shift_right_logical(31) << (t.bits - 1)
    if f.nan is not None and f.signed_zero:
        code = select(size.is_nan(), f.nan, code)
    code = code | sign
    if not f.signed_zero:
        code = select(size.is_nan(), f.sign, code)
    e.fast_math = flags
    return code.cast("trunc", memory).v


def encode_narrow(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """The bits of float or double, rounded once, as integers of the type's width in memory."""
    return encode_rounded(e, round_narrow(e, x, t), t)


def decode_narrow(e: FunctionEmitter, bits: Value, t: ElementType) -> Value:
    """The floats that bits, integers of the type's width in memory, stand for."""
    code = Lanes(e, bits).cast("zext", "i32")
    if t is _E8M0:
        power = select(code.eq(0), 1 << _FRACTION - 1, code << _FRACTION)
        return select(code.eq(0xFF), _INFINITY | 1 << _FRACTION - 1, power).as_float(with_scalar(code.type, "float")).v
    f = format_of(t)
    size = code & f.sign - 1
    normal = (size << (_FRACTION - f.fraction)) + (_BIAS - f.bias << _FRACTION)
    small = size.cast("uitofp", "float") * 2.0 ** (f.least_exponent - f.fraction)
    result = select(size < 1 << f.fraction, small.bits, normal)
    if f.infinity is not None:
        top = ((size & (1 << f.fraction) - 1) << (_FRACTION - f.fraction)) | _INFINITY
        result = select(size < f.infinity, result, top)
    sign = (code & f.sign) << (32 - t.bits)
    quiet = _INFINITY | 1 << _FRACTION - 1
    if f.nan is not None and f.signed_zero and f.infinity is None:
        result = select(size.eq(f.nan & f.sign - 1), quiet, result)
    result = result | sign
    if not f.signed_zero:
        result = select(code.eq(f.sign), quiet | 1 << 31, result)
    return result.as_float(with_scalar(result.type, "float")).v


def _encode_power(e: FunctionEmitter, x: Value) -> Value:
    """The nearest power of two, halves up, but all between the least two up, as in ml_dtypes; NaN unless positive."""
    bits = Lanes(e, x).bits
    rounded = (bits + (1 << _FRACTION - 1)).shift_right_logical(_FRACTION)
    code = select(bits <= 1 << _FRACTION - 1, 0, rounded)
    code = Lanes(e, e.umin(code.v, e.const(code.type, 0xFF)))
    return select(bits < 1, 0xFF, code).cast("trunc", "i8").v


__all__ = ["decode_narrow", "encode_narrow", "encode_rounded", "round_narrow", "round_to_odd"]
