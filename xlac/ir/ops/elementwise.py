"""Elementwise opcodes: operands of equal dimensions, one result element from the operand elements at the same index."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import ACCURACY, BOOL, WORD, opcode
from xlac.ir.shape import C64, C128, F32, F64, PRED, ArrayShape, ElementType, Shape, element_type

KIND_NAMES = {"p": "pred", "s": "signed integer", "u": "unsigned integer", "f": "floating point", "c": "complex"}


def require_array(name: str, index: int, shape: Shape) -> ArrayShape:
    """`shape`, which must be an array's."""
    if not isinstance(shape, ArrayShape):
        raise ShapeError(f"{name}: operand {index} is {shape}; it must be an array")
    return shape


def require_kind(name: str, index: int, shape: ArrayShape, kinds: str) -> None:
    """Raise unless the element type's kind is among `kinds`."""
    if shape.element_type.kind not in kinds:
        wanted = " or ".join(KIND_NAMES[k] for k in kinds)
        raise ShapeError(f"{name}: operand {index} is {shape}; its elements must be {wanted}")


def same_dims(name: str, shapes: tuple[Shape, ...]) -> list[ArrayShape]:
    """All operands as array shapes of equal dimensions."""
    arrays = [require_array(name, i, s) for i, s in enumerate(shapes)]
    for i, shape in enumerate(arrays):
        if shape.dims != arrays[0].dims:
            raise ShapeError(
                f"{name}: operand {i} is {shape} but operand 0 is {arrays[0]}; "
                "HLO does not broadcast by itself, use broadcast"
            )
    return arrays


def same_shapes(name: str, shapes: tuple[Shape, ...], kinds: str) -> ArrayShape:
    """The one shape all operands have, of a kind among `kinds`."""
    arrays = same_dims(name, shapes)
    for i, shape in enumerate(arrays):
        require_kind(name, i, shape, kinds)
        if shape.element_type is not arrays[0].element_type:
            raise ShapeError(
                f"{name}: operand {i} is {shape} but operand 0 is {arrays[0]}; convert one to the other's element type"
            )
    return ArrayShape(arrays[0].element_type, arrays[0].dims)


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` without NumPy's floating point warnings: HLO defines those cases."""

    def run(*arrays: np.ndarray, **attrs: Any) -> Any:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(*arrays, **attrs)

    return run


def is_narrow(dtype: np.dtype) -> bool:
    """Whether values of this floating dtype are computed in float32 and rounded: bf16, f16, f8, f4."""
    row = element_type(dtype)
    return row.is_float and row.bits < 32


def widened(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` computed in float32 for floats narrower than that, its result rounded to the operands' type."""

    def run(*arrays: np.ndarray, **attrs: Any) -> Any:
        dtype = arrays[0].dtype
        if not is_narrow(dtype):
            return function(*arrays, **attrs)
        result = function(*(a.astype(np.float32) if a.dtype == dtype else a for a in arrays), **attrs)
        return result.astype(dtype) if result.dtype == np.float32 else result

    return quiet(run)


def _narrow_integers(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` for 2- and 4-bit integers too, computed in int32 and wrapped."""

    def run(*arrays: np.ndarray, **attrs: Any) -> Any:
        row = element_type(arrays[0].dtype)
        if not (row.is_integer and row.bits < 8):
            return function(*arrays, **attrs)
        result = function(*(a.astype(np.int32) for a in arrays), **attrs)
        return wrap(result, row) if result.dtype == np.int32 else result

    return run


def wrap(values: np.ndarray, row: ElementType) -> np.ndarray:
    """Integers reduced modulo 2^bits into the integer type `row`."""
    if row.bits >= 8:
        return values.astype(row.dtype)
    low = values.astype(np.int64) & ((1 << row.bits) - 1)
    if row.kind == "s":
        low = np.where(low >= 1 << (row.bits - 1), low - (1 << row.bits), low)
    return low.astype(np.int8).astype(row.dtype)


def _unary(name: str, kinds: str, function: Callable[..., Any], attrs: dict | None = None, wide: bool = True) -> None:
    def shape(x: Shape, **_: Any) -> ArrayShape:
        return same_shapes(name, (x,), kinds)

    def evaluate(x: np.ndarray, **_: Any) -> np.ndarray:
        return function(x)

    opcode(
        name,
        arity=1,
        attrs=attrs,
        shape=shape,
        evaluate=widened(_narrow_integers(evaluate)) if wide else quiet(evaluate),
        elementwise=True,
    )


def _binary(name: str, kinds: str, function: Callable[..., Any], wide: bool = True) -> None:
    def shape(x: Shape, y: Shape) -> ArrayShape:
        return same_shapes(name, (x, y), kinds)

    evaluate = widened(_narrow_integers(function)) if wide else quiet(function)
    opcode(name, arity=2, shape=shape, evaluate=evaluate, elementwise=True)


def _unary_math(name: str, function: Callable[..., Any]) -> None:
    """A transcendental function of floats and complex numbers, which may state how accurate it must be."""
    _unary(name, "fc", function, {"result_accuracy": ACCURACY.optional(None)})


# ---- unary


def _round_half_away(x: np.ndarray) -> np.ndarray:
    whole = np.trunc(x)
    return np.copysign(np.where(np.abs(x - whole) >= 0.5, np.abs(whole) + 1, np.abs(whole)), x).astype(x.dtype)


def _sign(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        size = np.abs(x)
        nan = np.isnan(x.real) | np.isnan(x.imag)
        unit = np.where(size == 0, x, _complex(x.real / size, x.imag / size))
        return np.where(nan, np.array(complex(math.nan, math.nan), x.dtype), unit).astype(x.dtype)
    if x.dtype.kind == "f":
        return np.where(np.isnan(x) | (x == 0), x, np.copysign(np.ones((), x.dtype), x))
    return np.sign(x)


def _not(x: np.ndarray) -> np.ndarray:
    return ~x


def _logistic(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return _complex_divide(np.ones((), x.dtype), 1 + np.exp(-x))
    small = np.exp(-np.abs(x))
    return np.where(np.isnan(x), x, np.where(x >= 0, 1 / (1 + small), small / (1 + small))).astype(x.dtype)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _log_plus_one(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind != "c":
        return np.log1p(x)
    # |1 + x|^2 - 1 without the cancellation; NumPy's own loses digits near 0. Large numbers need no care.
    wide = x.astype(np.complex128)
    a, b = wide.real, wide.imag
    small = (np.abs(a) < 0.5) & (np.abs(b) < 0.5)
    a, b = np.where(small, a, 0), np.where(small, b, 0)
    accurate = np.empty(x.shape, np.complex128)
    accurate.real, accurate.imag = 0.5 * np.log1p(a * (2 + a) + b * b), np.arctan2(wide.imag, 1 + wide.real)
    return np.where(small, accurate, np.log1p(wide)).astype(x.dtype)


def _rsqrt(x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return _complex_divide(np.ones((), x.dtype), np.sqrt(x))
    if x.dtype == np.float32:
        return (1 / np.sqrt(x.astype(np.float64))).astype(np.float32)
    return 1 / np.sqrt(x)


def _unsigned(x: np.ndarray) -> tuple[np.ndarray, int]:
    """The bits of integers as uint64 numbers, and how many there are."""
    row = element_type(x.dtype)
    if row.bits < 8:
        return x.astype(np.int64).astype(np.uint64) & np.uint64((1 << row.bits) - 1), row.bits
    return np.asarray(x, order="C").view(f"u{x.dtype.itemsize}").astype(np.uint64).reshape(x.shape), row.bits


def _popcnt(x: np.ndarray) -> np.ndarray:
    value, bits = _unsigned(x)
    count = np.zeros(x.shape, np.uint8)
    for byte in range((bits + 7) // 8):
        count = count + _BYTE_POPCNT[(value >> np.uint64(8 * byte)).astype(np.uint8)]
    return wrap(count.astype(np.int64), element_type(x.dtype))


_BYTE_POPCNT = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def _clz(x: np.ndarray) -> np.ndarray:
    value, bits = _unsigned(x)
    length = np.zeros(x.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        high = value >> np.uint64(step)
        length = np.where(high != 0, length + step, length)
        value = np.where(high != 0, high, value)
    return wrap(bits - length - (value != 0), element_type(x.dtype))


def _abs_shape(x: Shape) -> ArrayShape:
    shape = same_shapes("abs", (x,), "sufc")
    return shape.with_type(shape.element_type.real)


opcode("abs", arity=1, shape=_abs_shape, evaluate=widened(_narrow_integers(np.abs)), elementwise=True)
_unary("negate", "sufc", np.negative)
_unary("sign", "sufc", _sign)
_unary("ceil", "f", np.ceil)
_unary("floor", "f", np.floor)
_unary("round-nearest-afz", "f", _round_half_away)
_unary("round-nearest-even", "f", np.rint)
_unary("not", "psu", _not)
_unary("popcnt", "su", _popcnt, wide=False)
_unary("count-leading-zeros", "su", _clz, wide=False)
_unary_math("exponential", np.exp)
_unary_math("exponential-minus-one", np.expm1)
_unary_math("log", np.log)
_unary_math("log-plus-one", _log_plus_one)
_unary_math("logistic", _logistic)
_unary_math("tanh", np.tanh)
_unary_math("sine", np.sin)
_unary_math("cosine", np.cos)
_unary_math("tan", np.tan)
_unary_math("acos", np.arccos)
_unary_math("acosh", np.arccosh)
_unary_math("asin", np.arcsin)
_unary_math("asinh", np.arcsinh)
_unary_math("atanh", np.arctanh)
_unary_math("cosh", np.cosh)
_unary_math("sinh", np.sinh)
_unary_math("sqrt", np.sqrt)
_unary_math("rsqrt", _rsqrt)
_unary("cbrt", "f", np.cbrt, {"result_accuracy": ACCURACY.optional(None)})
_unary("erf", "f", lambda x: _erf(x).astype(x.dtype), {"result_accuracy": ACCURACY.optional(None)})


def _is_finite_shape(x: Shape) -> ArrayShape:
    return same_shapes("is-finite", (x,), "f").with_type(PRED)


opcode("is-finite", arity=1, shape=_is_finite_shape, evaluate=widened(np.isfinite), elementwise=True)


def _part(name: str, function: Callable[..., Any]) -> None:
    def shape(x: Shape) -> ArrayShape:
        result = same_shapes(name, (x,), "fc")
        return result.with_type(result.element_type.real)

    opcode(name, arity=1, shape=shape, evaluate=function, elementwise=True)


_part("real", lambda x: x.real.copy() if x.dtype.kind == "c" else x)
_part("imag", lambda x: x.imag.copy() if x.dtype.kind == "c" else np.zeros(x.shape, np.float32).astype(x.dtype))


# ---- conversions


def convert_values(x: np.ndarray, to: ElementType) -> np.ndarray:
    """`x` in the element type `to`.

    Floats to integers saturate and truncate (NaN to 0), integers wrap, complex to real drops the imaginary part,
    anything but 0 is true.
    """
    source = element_type(x.dtype)
    if source is to:
        return x
    if source.is_complex and not to.is_complex:
        x, source = x.real, source.real
    if to.kind == "p":
        return x.astype(np.float32) != 0 if is_narrow(x.dtype) else x.astype(bool)
    if source.kind == "p":
        return x.astype(np.uint8).astype(to.dtype)
    if to.is_integer:
        if source.is_float:
            return _saturate(x.astype(np.float64), to)
        return wrap(x.astype(np.int32) if source.bits < 8 else x, to)
    with np.errstate(all="ignore"):
        if source.is_integer and to.is_float and to.bits < 32:
            return _round_once(x, to)
        if source.is_float and to.is_float and to.bits < 32:
            return (_round_to_odd(x) if source is F64 else x.astype(np.float32)).astype(to.dtype)
        return (x.astype(np.int32) if source.is_integer and source.bits < 8 else x).astype(to.dtype)


def _round_once(x: np.ndarray, to: ElementType) -> np.ndarray:
    """Integers to a narrow float by way of float32, as compilers do for types without direct conversions."""
    return (x.astype(np.int32) if element_type(x.dtype).bits < 8 else x).astype(np.float32).astype(to.dtype)


def _round_to_odd(x: np.ndarray) -> np.ndarray:
    """Doubles as floats, the odd one of both neighbours where inexact: what rounds that once more rounds as if once."""
    near = x.astype(np.float32)
    back, bits = near.astype(np.float64), near.view(np.uint32)
    toward_zero = bits - (np.abs(back) > np.abs(x))
    inexact = (back != x) & np.isfinite(x)
    return np.where(inexact, toward_zero | 1, bits).astype(np.uint32).view(np.float32)


def _saturate(x: np.ndarray, to: ElementType) -> np.ndarray:
    low = -(1 << (to.bits - 1)) if to.kind == "s" else 0
    high = (1 << (to.bits - (to.kind == "s"))) - 1
    with np.errstate(all="ignore"):
        inside = (x > low) & (x < high)
        whole = np.where(inside, np.trunc(np.where(inside, x, 0)), 0)
        carrier = np.int64 if to.kind == "s" else np.uint64
        result = whole.astype(carrier)
    result = np.where(x >= high, carrier(high), np.where(x <= low, carrier(low), result))
    return wrap(result, to) if to.bits < 8 else result.astype(to.dtype)


def _convert_shape(x: Shape, *, shape: Shape) -> ArrayShape:
    source, result = require_array("convert", 0, x), require_array("convert", 0, shape)
    if source.dims != result.dims:
        raise ShapeError(f"convert: operand 0 is {source} but the result is {result}; the dimensions must be equal")
    return result


opcode(
    "convert",
    arity=1,
    shape=_convert_shape,
    evaluate=lambda x, *, shape: convert_values(x, shape.element_type),
    elementwise=True,
    declared=True,
)


def _copy_shape(x: Shape) -> Shape:
    return x


opcode("copy", arity=1, shape=_copy_shape, evaluate=lambda x: x, elementwise=True)


def _bitcast_convert_shape(x: Shape, *, shape: Shape) -> ArrayShape:
    source, result = require_array("bitcast-convert", 0, x), require_array("bitcast-convert", 0, shape)
    wide, narrow = source.element_type, result.element_type
    wanted = source.dims
    if wide.is_complex != narrow.is_complex and wide.bits != narrow.bits:
        raise ShapeError(f"bitcast-convert: cannot reinterpret {source} as {result}")
    if wide.bits > narrow.bits:
        wanted = (*source.dims, wide.bits // narrow.bits)
    elif wide.bits < narrow.bits:
        wanted = source.dims[:-1]
        if not source.dims or source.dims[-1] != narrow.bits // wide.bits:
            raise ShapeError(
                f"bitcast-convert: operand 0 is {source}; to become {narrow}, its last dimension must be "
                f"{narrow.bits // wide.bits}"
            )
    if result.dims != wanted:
        expected = ArrayShape(narrow, wanted)
        raise ShapeError(f"bitcast-convert: operand 0 is {source}, so the result must be {expected}, not {result}")
    return result


def to_bits(x: np.ndarray) -> np.ndarray:
    """The bits of each element, one 0/1 byte a bit, least significant first, in a new last dimension."""
    row = element_type(x.dtype)
    raw = np.ascontiguousarray(x).view(np.uint8).reshape(*x.shape, x.dtype.itemsize)
    return np.unpackbits(raw, axis=-1, bitorder="little")[..., : row.bits if row.kind != "p" else 8]


def from_bits(bits: np.ndarray, row: ElementType) -> np.ndarray:
    """The inverse of `to_bits`."""
    if row.bits < 8:
        bits = np.concatenate([bits, np.zeros((*bits.shape[:-1], 8 - row.bits), np.uint8)], axis=-1)
    raw = np.packbits(bits, axis=-1, bitorder="little")
    if row.kind == "s" and row.bits < 8:
        return wrap(raw[..., 0].astype(np.int32), row)
    return np.asarray(raw, order="C").view(row.dtype)[..., 0]


def _bitcast_convert(x: np.ndarray, *, shape: ArrayShape) -> np.ndarray:
    row = shape.element_type
    if row.bits == element_type(x.dtype).bits >= 8:
        return np.asarray(x, order="C").view(row.dtype).reshape(x.shape)
    if x.size == 0:
        return np.zeros(shape.dims, row.dtype)
    # Scalars may stand for arrays here, as everywhere in a computation of scalars.
    dims = shape.dims if row.bits != element_type(x.dtype).bits else x.shape
    return from_bits(to_bits(x).reshape(*dims, row.bits), row)


opcode("bitcast-convert", arity=1, shape=_bitcast_convert_shape, evaluate=_bitcast_convert, declared=True)


# ---- binary


def _add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x | y if x.dtype == np.bool_ else x + y


def _subtract(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x ^ y if x.dtype == np.bool_ else x - y


def _multiply(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x & y if x.dtype == np.bool_ else x * y


def _truncated(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quotient toward zero and remainder with the sign of x, where y is not 0 and the quotient does not overflow."""
    quotient = x // y
    remainder = x - quotient * y
    adjust = (remainder != 0) & ((x < 0) != (y < 0))
    return np.where(adjust, quotient + 1, quotient), np.where(adjust, remainder - y, remainder)


def _divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return _complex_divide(x, y)
    if x.dtype.kind not in "iu":
        return (x / y).astype(x.dtype)
    zero = y == 0
    overflow = (x == np.iinfo(x.dtype).min) & (y == -1) if x.dtype.kind == "i" else np.zeros_like(zero)
    safe = np.where(zero | overflow, np.ones((), x.dtype), y)
    quotient = _truncated(x, safe)[0]
    return np.where(zero, ~np.zeros((), x.dtype), np.where(overflow, x, quotient)).astype(x.dtype)


def _complex_divide(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x / y with C's Annex G results where parts are infinite or y is zero."""
    quotient = np.asarray(np.divide(x, y, dtype=x.dtype))
    lost = np.isnan(quotient.real) & np.isnan(quotient.imag)
    if not lost.any():
        return quotient
    x, y = np.broadcast_arrays(x, y)
    a, b, c, d = x.real, x.imag, y.real, y.imag
    infinity = x.real.dtype.type(np.inf)

    def unit(part: np.ndarray) -> np.ndarray:
        return np.copysign(np.isinf(part).astype(part.dtype), part)

    def choose(where: np.ndarray, real: np.ndarray, imag: np.ndarray) -> None:
        quotient.real[...] = np.where(where, real, quotient.real)
        quotient.imag[...] = np.where(where, imag, quotient.imag)

    by_zero = lost & (c == 0) & (d == 0) & ~(np.isnan(a) & np.isnan(b))
    from_infinity = lost & ~by_zero & (np.isinf(a) | np.isinf(b)) & np.isfinite(c) & np.isfinite(d)
    by_infinity = lost & (np.isinf(c) | np.isinf(d)) & np.isfinite(a) & np.isfinite(b)
    choose(by_zero, np.copysign(infinity, c) * a, np.copysign(infinity, c) * b)
    p, q = unit(a), unit(b)
    choose(from_infinity, infinity * (p * c + q * d), infinity * (q * c - p * d))
    p, q = unit(c), unit(d)
    choose(by_infinity, 0 * (a * p + b * q), 0 * (b * p - a * q))
    return quotient


def _remainder(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "iu":
        return np.fmod(x, y)
    zero = y == 0
    overflow = (x == np.iinfo(x.dtype).min) & (y == -1) if x.dtype.kind == "i" else np.zeros_like(zero)
    safe = np.where(zero | overflow, np.ones((), x.dtype), y)
    remainder = _truncated(x, safe)[1]
    return np.where(zero, x, np.where(overflow, np.zeros((), x.dtype), remainder)).astype(x.dtype)


def _atan2(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    if y.dtype.kind != "c":
        return np.arctan2(y, x)
    a, b = x.astype(np.complex128), y.astype(np.complex128)
    return (-1j * np.log((a + 1j * b) / np.sqrt(a * a + b * b))).astype(y.dtype)


def _maximum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """NaN where either is; 0 is above -0; complex numbers by real part, then imaginary part."""
    if x.dtype.kind == "c":
        first = (x.real > y.real) | ((x.real == y.real) & (x.imag > y.imag))
        return np.where(first, x, y)
    if x.dtype.kind == "f":
        return np.where((x == 0) & (y == 0), x + y, np.maximum(x, y))
    return np.maximum(x, y)


def _minimum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """NaN where either is; -0 is below 0; complex numbers by real part, then imaginary part."""
    if x.dtype.kind == "c":
        first = (x.real < y.real) | ((x.real == y.real) & (x.imag < y.imag))
        return np.where(first, x, y)
    if x.dtype.kind == "f":
        return np.where((x == 0) & (y == 0), -(-x - y), np.minimum(x, y))
    return np.minimum(x, y)


def _power(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if x.dtype.kind not in "iu":
        return np.power(x, y)
    negative = y < 0 if x.dtype.kind == "i" else np.zeros(y.shape, bool)
    result, base, exponent = np.ones_like(x), x.copy(), np.where(negative, 0, y).astype(np.uint64)
    for _ in range(8 * x.dtype.itemsize):
        result = np.where(exponent & np.uint64(1), result * base, result).astype(x.dtype)
        base = (base * base).astype(x.dtype)
        exponent = exponent >> np.uint64(1)
    if x.dtype.kind == "i":
        odd = (y & 1) != 0
        inverse = np.where(x == 1, 1, np.where(x == -1, np.where(odd, -1, 1), 0)).astype(x.dtype)
        result = np.where(negative, inverse, result)
    return result


def _shift_left(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    value, bits = _unsigned(x)
    amount, _ = _unsigned(y)
    inside = amount < bits
    shifted = np.where(inside, value << np.where(inside, amount, np.uint64(0)), np.uint64(0))
    return wrap(shifted.astype(np.int64), element_type(x.dtype))


def _shift_right_arithmetic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    value, bits = _unsigned(x)
    amount, _ = _unsigned(y)
    # The sign bit moved to the top of 64 bits, so that the shift back copies it.
    top = np.uint64(64 - bits)
    signed = (value << top).view(np.int64) >> np.int64(64 - bits)
    shifted = signed >> np.minimum(amount, np.uint64(bits - 1)).astype(np.int64)
    return wrap(shifted, element_type(x.dtype))


def _shift_right_logical(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    value, bits = _unsigned(x)
    amount, _ = _unsigned(y)
    inside = amount < bits
    shifted = np.where(inside, value >> np.where(inside, amount, np.uint64(0)), np.uint64(0))
    return wrap(shifted.astype(np.int64), element_type(x.dtype))


def _multiply_high(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The upper half of the product of twice as many bits."""
    row = element_type(x.dtype)
    if row.bits <= 32:
        return wrap((x.astype(np.int64) * y.astype(np.int64)) >> np.int64(row.bits), row)
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    (a, _), (b, _) = _unsigned(x), _unsigned(y)
    middle = (a & mask) * (b >> half) + ((a & mask) * (b & mask) >> half)
    other = (a >> half) * (b & mask) + (middle & mask)
    high = (a >> half) * (b >> half) + (middle >> half) + (other >> half)
    if row.kind == "s":
        # Each negative factor was read 2^64 too large.
        high = high - np.where(x < 0, b, np.uint64(0)) - np.where(y < 0, a, np.uint64(0))
    return wrap(high, row)


_binary("add", "psufc", _add)
_binary("subtract", "psufc", _subtract)
_binary("multiply", "psufc", _multiply)
_binary("divide", "sufc", _divide)
_binary("remainder", "suf", _remainder)
_binary("maximum", "psufc", _maximum)
_binary("minimum", "psufc", _minimum)
_binary("power", "sufc", _power)
_binary("atan2", "fc", _atan2)
_binary("and", "psu", np.bitwise_and)
_binary("or", "psu", np.bitwise_or)
_binary("xor", "psu", np.bitwise_xor)
_binary("shift-left", "su", _shift_left, wide=False)
_binary("shift-right-arithmetic", "su", _shift_right_arithmetic, wide=False)
_binary("shift-right-logical", "su", _shift_right_logical, wide=False)
_binary("mulhi", "su", _multiply_high, wide=False)


def _complex_shape(x: Shape, y: Shape) -> ArrayShape:
    part = same_shapes("complex", (x, y), "f")
    if part.element_type not in (F32, F64):
        raise ShapeError(f"complex: operand 0 is {part}; its elements must be f32 or f64")
    return part.with_type(C64 if part.element_type is F32 else C128)


def _complex(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result = np.empty(np.broadcast_shapes(x.shape, y.shape), np.complex64 if x.dtype == np.float32 else np.complex128)
    result.real, result.imag = x, y
    return result


opcode("complex", arity=2, shape=_complex_shape, evaluate=_complex, elementwise=True)

DIRECTIONS = ("EQ", "NE", "GE", "GT", "LE", "LT")
COMPARE_TYPES = (None, "FLOAT", "TOTALORDER", "SIGNED", "UNSIGNED")


def _compare_shape(x: Shape, y: Shape, *, direction: str, type: str | None) -> ArrayShape:
    shape = same_shapes("compare", (x, y), "psufc")
    if direction not in DIRECTIONS:
        raise ShapeError(f"compare: direction={direction}; it must be one of {', '.join(DIRECTIONS)}")
    if type not in COMPARE_TYPES:
        raise ShapeError(f"compare: type={type}; it must be FLOAT, TOTALORDER, SIGNED or UNSIGNED")
    if shape.element_type.is_complex and direction not in ("EQ", "NE"):
        raise ShapeError(f"compare: operand 0 is {shape}; complex numbers compare only with EQ and NE")
    return shape.with_type(PRED)


def total_order(x: np.ndarray) -> np.ndarray:
    """Signed integers that order as IEEE's totalOrder does: -NaN < -inf < ... < -0 < 0 < ... < inf < NaN."""
    if element_type(x.dtype).bits < 16:
        x = x.astype(np.float32)  # 4- and 8-bit floats do not all have the sign in the first bit
    signed = np.asarray(x, order="C").view(f"i{x.dtype.itemsize}")
    return np.where(signed < 0, signed ^ np.iinfo(signed.dtype).max, signed)


def _compare(x: np.ndarray, y: np.ndarray, *, direction: str, type: str | None) -> np.ndarray:
    row = element_type(x.dtype)
    if row.is_float and type == "TOTALORDER":
        x, y = total_order(x), total_order(y)
    elif is_narrow(x.dtype):
        x, y = x.astype(np.float32), y.astype(np.float32)
    elif row.is_integer and row.bits < 8:
        x, y = x.astype(np.int32), y.astype(np.int32)
    return {
        "EQ": np.equal,
        "NE": np.not_equal,
        "GE": np.greater_equal,
        "GT": np.greater,
        "LE": np.less_equal,
        "LT": np.less,
    }[direction](x, y)


opcode(
    "compare",
    arity=2,
    attrs={"direction": WORD, "type": WORD.optional(None)},
    shape=_compare_shape,
    evaluate=quiet(_compare),
    elementwise=True,
)

# ---- ternary


def _scalar_or_same(name: str, index: int, shape: ArrayShape, other: ArrayShape) -> None:
    if shape.dims not in ((), other.dims):
        raise ShapeError(f"{name}: operand {index} is {shape}; its dimensions must be none or those of {other}")


def _select_shape(pred: Shape, on_true: Shape, on_false: Shape) -> ArrayShape:
    chosen = require_array("select", 0, pred)
    require_kind("select", 0, chosen, "p")
    if on_true != on_false:
        raise ShapeError(f"select: operand 1 is {on_true} but operand 2 is {on_false}; they must be equal")
    result = require_array("select", 1, on_true)
    _scalar_or_same("select", 0, chosen, result)
    return ArrayShape(result.element_type, result.dims)


opcode(
    "select",
    arity=3,
    shape=_select_shape,
    evaluate=lambda p, x, y: np.where(p, x, y).astype(x.dtype),
    elementwise=True,
)


def _clamp_shape(low: Shape, x: Shape, high: Shape) -> ArrayShape:
    arrays = [require_array("clamp", i, s) for i, s in enumerate((low, x, high))]
    for i, shape in enumerate(arrays):
        require_kind("clamp", i, shape, "psuf")
        if shape.element_type is not arrays[1].element_type:
            raise ShapeError(f"clamp: operand {i} is {shape} but operand 1 is {arrays[1]}; the types must be equal")
        _scalar_or_same("clamp", i, shape, arrays[1])
    return ArrayShape(arrays[1].element_type, arrays[1].dims)


opcode(
    "clamp",
    arity=3,
    shape=_clamp_shape,
    evaluate=widened(_narrow_integers(lambda low, x, high: _minimum(_maximum(x, low), high))),
    elementwise=True,
)

__all__ = ["BOOL", "convert_values", "quiet", "require_array", "require_kind", "same_dims", "same_shapes", "widened"]
