"""Opcodes that move elements without computing: broadcast, reshape, transpose, slice, concatenate, pad, iota, ..."""

from __future__ import annotations

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INT, INTS, LITERAL, PADDING, SLICES, VARIADIC, opcode
from xlac.ir.ops.elementwise import convert_values, require_array, require_kind
from xlac.ir.shape import ArrayShape, ElementType, Shape, element_type


def check_dims(name: str, attribute: str, dims: tuple[int, ...], rank: int) -> None:
    """Raise unless `dims` are distinct dimensions of an array of `rank`."""
    if len(set(dims)) != len(dims) or any(not 0 <= d < rank for d in dims):
        raise ShapeError(f"{name}: {attribute}={{{','.join(map(str, dims))}}}; they must be distinct and below {rank}")


def _broadcast_shape(x: Shape, *, shape: Shape, dimensions: tuple[int, ...]) -> ArrayShape:
    operand, result = require_array("broadcast", 0, x), require_array("broadcast", 0, shape)
    check_dims("broadcast", "dimensions", dimensions, result.rank)
    if len(dimensions) != operand.rank:
        raise ShapeError(
            f"broadcast: operand 0 is {operand}; dimensions must name one of the result's for each of its own"
        )
    for i, d in enumerate(dimensions):
        if operand.dims[i] != result.dims[d]:
            raise ShapeError(
                f"broadcast: dimension {i} of operand 0, {operand}, is {operand.dims[i]} but dimension {d} of the "
                f"result, {result}, is {result.dims[d]}; they must be equal"
            )
    if operand.element_type is not result.element_type:
        raise ShapeError(f"broadcast: operand 0 is {operand} but the result is {result}; the types must be equal")
    return result


def _broadcast(x: np.ndarray, *, shape: ArrayShape, dimensions: tuple[int, ...]) -> np.ndarray:
    order = np.argsort(dimensions) if dimensions else ()
    wide = [1] * shape.rank
    for i, d in enumerate(dimensions):
        wide[d] = x.shape[i]
    return np.broadcast_to(x.transpose(order).reshape(wide), shape.dims)


opcode(
    "broadcast",
    arity=1,
    attrs={"dimensions": INTS.optional(())},
    shape=_broadcast_shape,
    evaluate=_broadcast,
    declared=True,
)


def _reshape_shape(x: Shape, *, shape: Shape, inferred_dimension: int | None) -> ArrayShape:
    operand, result = require_array("reshape", 0, x), require_array("reshape", 0, shape)
    if operand.size != result.size or operand.element_type is not result.element_type:
        raise ShapeError(
            f"reshape: operand 0 is {operand} with {operand.size} elements but the result is {result} with "
            f"{result.size}; number and type of elements must be equal"
        )
    return result


opcode(
    "reshape",
    arity=1,
    attrs={"inferred_dimension": INT.optional(None)},
    shape=_reshape_shape,
    evaluate=lambda x, *, shape, inferred_dimension: x.reshape(shape.dims),
    declared=True,
)


def _transpose_shape(x: Shape, *, dimensions: tuple[int, ...]) -> ArrayShape:
    operand = require_array("transpose", 0, x)
    if sorted(dimensions) != list(range(operand.rank)):
        raise ShapeError(
            f"transpose: dimensions={{{','.join(map(str, dimensions))}}} is not a permutation of operand 0's, {operand}"
        )
    return operand.with_dims(tuple(operand.dims[d] for d in dimensions))


opcode(
    "transpose",
    arity=1,
    attrs={"dimensions": INTS},
    shape=_transpose_shape,
    evaluate=lambda x, *, dimensions: x.transpose(dimensions),
)


def _slice_shape(x: Shape, *, slice: tuple[tuple[int, int, int], ...]) -> ArrayShape:
    operand = require_array("slice", 0, x)
    if len(slice) != operand.rank:
        raise ShapeError(f"slice: {len(slice)} ranges for operand 0, {operand}; it needs {operand.rank}")
    dims = []
    for d, (start, limit, stride) in enumerate(slice):
        if not 0 <= start <= limit <= operand.dims[d] or stride < 1:
            raise ShapeError(
                f"slice: [{start}:{limit}:{stride}] of dimension {d} of operand 0, {operand}; "
                f"0 <= start <= limit <= {operand.dims[d]} and stride >= 1 must hold"
            )
        dims.append(-(-(limit - start) // stride))
    return operand.with_dims(tuple(dims))


opcode(
    "slice",
    arity=1,
    attrs={"slice": SLICES},
    shape=_slice_shape,
    evaluate=lambda x, *, slice: x[tuple(np.s_[a:b:c] for a, b, c in slice)],
)


def _concatenate_shape(*operands: Shape, dimensions: tuple[int, ...]) -> ArrayShape:
    arrays = [require_array("concatenate", i, s) for i, s in enumerate(operands)]
    first = arrays[0]
    if len(dimensions) != 1:
        raise ShapeError(f"concatenate: dimensions={{{','.join(map(str, dimensions))}}}; it must name one dimension")
    check_dims("concatenate", "dimensions", dimensions, first.rank)
    (dim,) = dimensions
    for i, shape in enumerate(arrays):
        if shape.rank != first.rank or shape.without(dim) != first.without(dim):
            raise ShapeError(
                f"concatenate: operand {i} is {shape} but operand 0 is {first}; only dimension {dim} may differ"
            )
    return first.with_dim(dim, sum(s.dims[dim] for s in arrays))


opcode(
    "concatenate",
    arity=(1, None),
    attrs={"dimensions": INTS},
    shape=_concatenate_shape,
    evaluate=lambda *xs, dimensions: np.concatenate(xs, axis=dimensions[0]),
)


def _pad_shape(x: Shape, value: Shape, *, padding: tuple[tuple[int, int, int], ...]) -> ArrayShape:
    operand, fill = require_array("pad", 0, x), require_array("pad", 1, value)
    if fill.dims or fill.element_type is not operand.element_type:
        raise ShapeError(f"pad: operand 1 is {fill}; it must be a scalar of operand 0's type, {operand.element_type}[]")
    if len(padding) != operand.rank:
        raise ShapeError(f"pad: {len(padding)} paddings for operand 0, {operand}; it needs {operand.rank}")
    dims = []
    for d, (low, high, interior) in enumerate(padding):
        n = operand.dims[d]
        extent = n + low + high + max(n - 1, 0) * interior
        if interior < 0 or extent < 0:
            raise ShapeError(
                f"pad: {low}_{high}_{interior} makes dimension {d} of operand 0, {operand}, {extent} long; "
                "interior padding and the result's dimensions must not be negative"
            )
        dims.append(extent)
    return operand.with_dims(tuple(dims))


def pad_array(x: np.ndarray, value: np.ndarray, *, padding: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """`x` with `value` put around and between its elements: (low, high, interior) a dimension; negative cuts off."""
    dims = tuple(n + max(lo, 0) + max(hi, 0) + max(n - 1, 0) * step for n, (lo, hi, step) in zip(x.shape, padding))
    result = np.full(dims, value, x.dtype)
    into = tuple(
        np.s_[max(lo, 0) : max(lo, 0) + max(n - 1, 0) * (step + 1) + (n > 0) : step + 1]
        for n, (lo, _, step) in zip(x.shape, padding)
    )
    result[into] = x
    return result[tuple(np.s_[max(-lo, 0) : n - max(-hi, 0)] for n, (lo, hi, _) in zip(dims, padding))]


opcode("pad", arity=2, attrs={"padding": PADDING}, shape=_pad_shape, evaluate=pad_array)


def _reverse_shape(x: Shape, *, dimensions: tuple[int, ...]) -> ArrayShape:
    operand = require_array("reverse", 0, x)
    check_dims("reverse", "dimensions", dimensions, operand.rank)
    return ArrayShape(operand.element_type, operand.dims)


opcode(
    "reverse",
    arity=1,
    attrs={"dimensions": INTS},
    shape=_reverse_shape,
    evaluate=lambda x, *, dimensions: np.flip(x, dimensions) if dimensions else x,
)


def _iota_shape(*, shape: Shape, iota_dimension: int) -> ArrayShape:
    result = require_array("iota", 0, shape)
    require_kind("iota", 0, result, "sufc")
    if not 0 <= iota_dimension < result.rank:
        raise ShapeError(f"iota: iota_dimension={iota_dimension}; the result, {result}, has {result.rank} dimensions")
    return result


def _iota(*, shape: ArrayShape, iota_dimension: int) -> np.ndarray:
    if not shape.size:  # the other dimensions may be longer than memory
        return np.zeros(shape.dims, shape.dtype)
    counts = convert_values(np.arange(shape.dims[iota_dimension], dtype=np.int64), shape.element_type)
    return np.broadcast_to(counts.reshape([-1 if d == iota_dimension else 1 for d in range(shape.rank)]), shape.dims)


opcode("iota", arity=0, attrs={"iota_dimension": INT}, shape=_iota_shape, evaluate=_iota, declared=True)


def _constant_shape(*, shape: Shape, literal: np.ndarray) -> ArrayShape:
    result = require_array("constant", 0, shape)
    if literal.shape != result.dims or element_type(literal.dtype) is not result.element_type:
        have = ArrayShape(element_type(literal.dtype), literal.shape)
        raise ShapeError(f"constant: the literal is {have} but the result is {result}")
    return result


opcode(
    "constant",
    arity=0,
    attrs={"literal": LITERAL},
    shape=_constant_shape,
    evaluate=lambda *, shape, literal: literal,
    declared=True,
)


def _bitcast_shape(x: Shape, *, shape: Shape) -> ArrayShape:
    operand, result = require_array("bitcast", 0, x), require_array("bitcast", 0, shape)
    if _bits(operand) != _bits(result):
        raise ShapeError(f"bitcast: operand 0 is {operand} but the result is {result}; they must have as many bits")
    return result


def _bits(shape: ArrayShape) -> int:
    return shape.size * shape.element_type.bits


def reinterpret(x: np.ndarray, row: ElementType, dims: tuple[int, ...]) -> np.ndarray:
    """The bytes of `x` in row-major order as an array of another type and shape of equal size."""
    from xlac.ir.ops.elementwise import from_bits, to_bits

    if element_type(x.dtype) is row:
        return x.reshape(dims)
    if x.size == 0:
        return np.zeros(dims, row.dtype)
    return from_bits(to_bits(x).reshape(*dims, row.bits if row.kind != "p" else 8), row)


def _bitcast(x: np.ndarray, *, shape: ArrayShape, operand_shapes: tuple[ArrayShape, ...]) -> np.ndarray:
    """Read `x` in its layout's order, write the result in the result layout's order."""
    source = tuple(reversed(operand_shapes[0].minor_to_major))
    target = tuple(reversed(shape.minor_to_major))
    physical = reinterpret(
        np.ascontiguousarray(x.transpose(source)), shape.element_type, tuple(shape.dims[d] for d in target)
    )
    return physical.transpose(np.argsort(target) if target else ())


opcode("bitcast", arity=1, shape=_bitcast_shape, evaluate=_bitcast, declared=True, layouts=True)

__all__ = ["VARIADIC", "check_dims", "pad_array"]
