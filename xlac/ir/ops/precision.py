"""Roundings: reduce-precision and stochastic-convert."""

from __future__ import annotations

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INT, opcode
from xlac.ir.ops.elementwise import quiet, require_array, require_kind, same_dims, same_shapes, wrap
from xlac.ir.shape import ArrayShape, Shape, element_type


def _reduce_precision(x: np.ndarray, *, exponent_bits: int, mantissa_bits: int) -> np.ndarray:
    """Round to fewer exponent and mantissa bits, ties to even; overflow gives infinity, underflow a signed zero."""
    row = element_type(x.dtype)
    if row.bits < 16:
        wide = _reduce_precision(x.astype(np.float32), exponent_bits=exponent_bits, mantissa_bits=mantissa_bits)
        return wide.astype(x.dtype)
    mantissa, total = {"f64": (52, 64), "f32": (23, 32), "f16": (10, 16), "bf16": (7, 16)}[row.name]
    unsigned = np.dtype(f"u{total // 8}").type
    bits = np.asarray(x, order="C").view(unsigned)
    if mantissa_bits < mantissa:
        last = unsigned(1) << unsigned(mantissa - mantissa_bits)
        bias = (last >> unsigned(1)) - unsigned(1) + ((bits & last) >> unsigned(mantissa - mantissa_bits))
        bits = (bits + bias) & ~(last - unsigned(1))
    exponent = total - mantissa - 1
    if exponent_bits < exponent:
        sign = bits & (unsigned(1) << unsigned(total - 1))
        field = bits & (((unsigned(1) << unsigned(exponent)) - unsigned(1)) << unsigned(mantissa))
        full_bias, bias_now = (1 << (exponent - 1)) - 1, (1 << (exponent_bits - 1)) - 1
        largest = unsigned((full_bias + bias_now) << mantissa)
        smallest = unsigned((full_bias - bias_now) << mantissa)
        infinity = ((unsigned(1) << unsigned(exponent)) - unsigned(1)) << unsigned(mantissa)
        bits = np.where(field > largest, sign | infinity, np.where(field <= smallest, sign, bits))
    result = bits.astype(unsigned).view(x.dtype)
    return np.where(np.isnan(x), x, result)


def _reduce_precision_shape(x: Shape, *, exponent_bits: int, mantissa_bits: int) -> ArrayShape:
    if exponent_bits < 1 or mantissa_bits < 0:
        raise ShapeError(
            f"reduce-precision: exponent_bits={exponent_bits} and mantissa_bits={mantissa_bits}; "
            "they must be at least 1 and 0"
        )
    return same_shapes("reduce-precision", (x,), "f")


opcode(
    "reduce-precision",
    arity=1,
    attrs={"exponent_bits": INT, "mantissa_bits": INT},
    shape=_reduce_precision_shape,
    evaluate=quiet(_reduce_precision),
    elementwise=True,
)


def _stochastic_convert_shape(x: Shape, random: Shape, *, shape: Shape) -> ArrayShape:
    name = "stochastic-convert"
    operand, bits = same_dims(name, (x, random))
    require_kind(name, 0, operand, "f")
    require_kind(name, 1, bits, "u")
    if bits.element_type.bits != operand.element_type.bits:
        raise ShapeError(
            f"{name}: operand 1 is {bits} but operand 0 is {operand}; their elements must have as many bits"
        )
    result = require_array(name, 0, shape)
    if result.dims != operand.dims:
        raise ShapeError(f"{name}: operand 0 is {operand} but the result is {result}; the dimensions must be equal")
    require_kind(name, 0, result, "s")
    return result


def _stochastic_convert(x: np.ndarray, random: np.ndarray, *, shape: ArrayShape) -> np.ndarray:
    """Round to one of the two nearest integers, away from zero where the random number, as a fraction, is below the
    part cut off; saturate; NaN becomes 0."""
    to, bits = shape.element_type, element_type(x.dtype).bits
    low, high = -(1 << (to.bits - 1)), (1 << (to.bits - 1)) - 1
    value = x.astype(np.float64)
    inside = (value > low) & (value < high)
    size = np.where(inside, np.abs(value), 0)
    whole = np.trunc(size)
    cut = np.ldexp(size - whole, bits)
    step = random.astype(np.uint64) < np.minimum(cut, 2.0**63).astype(np.uint64)
    if bits == 64:
        step = np.where(cut >= 2.0**63, random < np.where(cut >= 2.0**63, cut, 0).astype(np.uint64), step)
    count = whole.astype(np.int64) + step
    count = np.where(value < 0, -count, count)
    count = np.where(value >= high, high, np.where(value <= low, low, count))
    return wrap(count.astype(np.int64), to)


opcode(
    "stochastic-convert",
    arity=2,
    shape=_stochastic_convert_shape,
    evaluate=quiet(_stochastic_convert),
    elementwise=True,
    declared=True,
)
