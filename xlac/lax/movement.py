"""Functions that move elements: reshape, transpose, slice, pad, concatenate."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.operands import Declared, as_dims, convert, expand

__all__: list[str] = ["broadcast_shapes"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


@public
def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Array:
    """Add leading dimensions."""
    x = lift(operand)
    dims = as_dims(sizes)
    return expand(x, dims + x.shape, range(len(dims), len(dims) + x.ndim))


@public
def broadcast_in_dim(operand: ArrayLike, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Array:
    """Dimension i of the operand becomes dimension `broadcast_dimensions[i]` of the result.

    Those of extent 1 are stretched.
    """
    x = lift(operand)
    shape, where = as_dims(shape), tuple(broadcast_dimensions)
    if len(where) != x.ndim:
        raise shape_error(
            f"broadcast_in_dim: {len(where)} broadcast_dimensions for an operand of shape {trace.shown(x)}"
        )
    if x.shape == shape and where == tuple(range(len(shape))):
        return x
    keep = [i for i, d in enumerate(where) if not (x.shape[i] == 1 and shape[d] != 1)]
    if len(keep) < x.ndim:
        x, where = reshape(x, [x.shape[i] for i in keep]), tuple(where[i] for i in keep)
    target = ArrayShape(element_type(x.dtype), shape)
    return emit(op.broadcast, x, shape=target, dimensions=where, weak=x.weak_type)


@public
def reshape(operand: ArrayLike, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None) -> Array:
    """The elements in row-major order in another shape (of the transposed array, where `dimensions` is given)."""
    x = lift(operand)
    if dimensions is not None:
        x = transpose(x, dimensions)
    dims = as_dims(new_sizes)
    if dims == x.shape:
        return x
    return emit(op.reshape, x, shape=ArrayShape(element_type(x.dtype), dims), weak=x.weak_type)


@public
def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Add dimensions of extent 1 at these places of the result."""
    x = lift(array)
    rank = x.ndim + len(dimensions)
    places = {d % rank for d in dimensions}
    rest = iter(x.shape)
    return reshape(x, [1 if d in places else next(rest) for d in range(rank)])


@public
def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Drop dimensions of extent 1."""
    x = lift(array)
    places = {d % x.ndim for d in dimensions}
    for d in places:
        if x.shape[d] != 1:
            raise shape_error(f"squeeze: dimension {d} of an array {trace.shown(x)} is {x.shape[d]} long; it must be 1")
    return reshape(x, [n for d, n in enumerate(x.shape) if d not in places])


@public
def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """Merge the dimensions from start up to stop into one."""
    x = lift(operand)
    start, stop, _ = builtins.slice(start_dimension, stop_dimension).indices(x.ndim)
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:stop]), *x.shape[stop:]))


@public
def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Array:
    """Dimension i of the result is dimension `permutation[i]` of the operand."""
    x = lift(operand)
    if tuple(permutation) == tuple(range(x.ndim)):
        return x
    return emit(op.transpose, x, dimensions=tuple(int(d) for d in permutation), weak=x.weak_type)


@public
def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Reverse the order along dimensions."""
    x = lift(operand)
    return emit(op.reverse, x, dimensions=tuple(dimensions), weak=x.weak_type) if len(tuple(dimensions)) else x


@public
def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Array:
    """The elements from start up to limit, every `strides`-th."""
    x = lift(operand)
    steps = tuple(strides) if strides is not None else (1,) * x.ndim
    ranges = tuple(zip(as_dims(start_indices), as_dims(limit_indices), steps))
    if all(r == (0, n, 1) for r, n in zip(ranges, x.shape)) and len(ranges) == x.ndim:
        return x
    return emit(op.slice, x, slice=ranges, weak=x.weak_type)


@public
def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Array:
    """`slice` along one dimension; negative indices count from the end."""
    x = lift(operand)
    axis %= x.ndim
    n = x.shape[axis]
    start = 0 if start_index is None else start_index + n if start_index < 0 else start_index
    limit = n if limit_index is None else limit_index + n if limit_index < 0 else limit_index
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], limits[axis], strides[axis] = start, limit, stride
    return slice(x, starts, limits, strides)


@public
def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """One place along a dimension."""
    x = lift(operand)
    axis %= x.ndim
    index += x.shape[axis] * (index < 0)
    result = slice_in_dim(x, index, index + 1, axis=axis)
    return result if keepdims else squeeze(result, (axis,))


@public
def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Array:
    """Arrays of one type joined along a dimension."""
    xs = [lift(x) for x in operands]
    if len(xs) == 1:
        return xs[0]
    return emit(op.concatenate, *xs, dimensions=(dimension,), weak=builtins.all(x.weak_type for x in xs))


@public
def pad(operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """Add (low, high, interior) padding to each dimension; negative low and high cut off."""
    x = lift(operand)
    value = lift(padding_value)
    if value.weak_type:
        value = convert(value, x.dtype)
    return emit(op.pad, x, value, padding=tuple(tuple(int(n) for n in p) for p in padding_config), weak=x.weak_type)


@public
def stack(operands: Sequence[ArrayLike], axis: int = 0) -> Array:
    """Arrays of one shape and type joined along a new axis."""
    xs = [lift(x) for x in operands]
    axis %= xs[0].ndim + 1
    return concatenate([expand_dims(x, (axis,)) for x in xs], axis)


@public
def unstack(x: ArrayLike, axis: int = 0) -> tuple[Array, ...]:
    """The elements along an axis."""
    a = lift(x)
    return tuple(index_in_dim(a, i, axis, keepdims=False) for i in range(a.shape[axis]))


@public
def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Parts of the given sizes, which must add up to the extent of the axis."""
    x = lift(operand)
    points = np.cumsum([0, *as_dims(sizes)])
    if points[-1] != x.shape[axis]:
        raise shape_error(
            f"split: sizes {list(sizes)} add up to {points[-1]}; axis {axis} of {trace.shown(x)} has {x.shape[axis]}"
        )
    return [slice_in_dim(x, int(a), int(b), axis=axis) for a, b in zip(points, points[1:])]


@public
def tile(operand: ArrayLike, reps: Sequence[int]) -> Array:
    """The array repeated along each dimension."""
    x = lift(operand)
    reps = as_dims(reps)
    if len(reps) != x.ndim:
        raise shape_error(f"tile: {len(reps)} numbers of repeats for an array {trace.shown(x)}")
    wide = expand(x, [n for pair in zip(reps, x.shape) for n in pair], range(1, 2 * x.ndim, 2))
    return reshape(wide, [r * n for r, n in zip(reps, x.shape)])


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    try:
        return tuple(np.broadcast_shapes(*(tuple(s) for s in shapes)))
    except ValueError:
        listed = ", ".join(str(list(s)) for s in shapes)
        raise shape_error(f"broadcast_shapes: shapes {listed} do not broadcast together") from None


@public
def broadcast_to_rank(x: ArrayLike, rank: int) -> Array:
    """Leading dimensions of extent 1 added up to a number of dimensions."""
    a = lift(x)
    return reshape(a, (1,) * (rank - a.ndim) + a.shape)


@public
def broadcast_like(arr: ArrayLike, like_arr: ArrayLike) -> Array:
    """An array stretched to the shape of another by NumPy's rules."""
    x, shape = lift(arr), lift(like_arr).shape
    return broadcast_in_dim(x, shape, range(len(shape) - x.ndim, len(shape)))


@public
def optimization_barrier(operand: ArrayLike) -> Any:
    """The operands themselves; what is before is not optimised together with what is after."""
    leaves, structure = tree.flatten(operand)
    xs = [lift(x) for x in leaves]
    if not xs:
        return operand
    if len(xs) == 1:
        return tree.unflatten(structure, [emit(op.opt_barrier, xs[0], weak=xs[0].weak_type)])
    active = trace.active()
    packed = trace.emit_instruction(op.tuple, *[active.use(x) for x in xs])
    return tree.unflatten(structure, trace.elements(trace.emit_instruction(op.opt_barrier, packed)))
