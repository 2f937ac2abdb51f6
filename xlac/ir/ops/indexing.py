"""Opcodes whose indices are data: dynamic-slice, dynamic-update-slice, gather."""

from __future__ import annotations

import math

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import BOOL, INT, INTS, opcode
from xlac.ir.ops.elementwise import require_array, require_kind
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import ArrayShape, Shape


def _check_starts(name: str, starts: tuple[Shape, ...], first: int, rank: int) -> None:
    """Raise unless the start indices are `rank` integer scalars, or one vector of `rank`."""
    arrays = [require_array(name, first + i, s) for i, s in enumerate(starts)]
    for i, shape in enumerate(arrays):
        require_kind(name, first + i, shape, "su")
    if len(arrays) == 1 and arrays[0].rank == 1:
        if arrays[0].dims != (rank,):
            raise ShapeError(f"{name}: operand {first} is {arrays[0]}; it must have {rank} start indices")
        return
    if len(arrays) != rank:
        raise ShapeError(f"{name}: got {len(arrays)} start indices; operand 0 has {rank} dimensions")
    for i, shape in enumerate(arrays):
        if shape.dims:
            raise ShapeError(f"{name}: operand {first + i} is {shape}; a start index must be a scalar")


def _starts(indices: tuple[np.ndarray, ...], dims: tuple[int, ...], sizes: tuple[int, ...]) -> list[int]:
    """Start indices, clamped so that the slice is inside."""
    flat = list(indices[0]) if len(indices) == 1 and indices[0].ndim == 1 else list(indices)
    return [min(max(int(i), 0), n - size) for i, n, size in zip(flat, dims, sizes)]


def _dynamic_slice_shape(x: Shape, *starts: Shape, dynamic_slice_sizes: tuple[int, ...]) -> ArrayShape:
    operand = require_array("dynamic-slice", 0, x)
    _check_starts("dynamic-slice", starts, 1, operand.rank)
    if len(dynamic_slice_sizes) != operand.rank or any(s > n for s, n in zip(dynamic_slice_sizes, operand.dims)):
        raise ShapeError(
            f"dynamic-slice: sizes {list(dynamic_slice_sizes)} of operand 0, {operand}; one for each dimension, "
            "none larger"
        )
    return operand.with_dims(dynamic_slice_sizes)


def _dynamic_slice(x: np.ndarray, *starts: np.ndarray, dynamic_slice_sizes: tuple[int, ...]) -> np.ndarray:
    begin = _starts(starts, x.shape, dynamic_slice_sizes)
    return x[tuple(np.s_[b : b + n] for b, n in zip(begin, dynamic_slice_sizes))]


opcode(
    "dynamic-slice",
    arity=(1, None),
    attrs={"dynamic_slice_sizes": INTS},
    shape=_dynamic_slice_shape,
    evaluate=_dynamic_slice,
)


def _dynamic_update_slice_shape(x: Shape, update: Shape, *starts: Shape) -> ArrayShape:
    operand, patch = require_array("dynamic-update-slice", 0, x), require_array("dynamic-update-slice", 1, update)
    _check_starts("dynamic-update-slice", starts, 2, operand.rank)
    if (
        patch.rank != operand.rank
        or patch.element_type is not operand.element_type
        or any(p > n for p, n in zip(patch.dims, operand.dims))
    ):
        raise ShapeError(
            f"dynamic-update-slice: operand 1 is {patch}; it must have the type and rank of operand 0, {operand}, "
            "and be no larger in any dimension"
        )
    return ArrayShape(operand.element_type, operand.dims)


def _dynamic_update_slice(x: np.ndarray, update: np.ndarray, *starts: np.ndarray) -> np.ndarray:
    result = x.copy()
    begin = _starts(starts, x.shape, update.shape)
    result[tuple(np.s_[b : b + n] for b, n in zip(begin, update.shape))] = update
    return result


opcode(
    "dynamic-update-slice",
    arity=(2, None),
    shape=_dynamic_update_slice_shape,
    evaluate=_dynamic_update_slice,
)


def _gather_shape(
    x: Shape,
    indices: Shape,
    *,
    offset_dims: tuple[int, ...],
    collapsed_slice_dims: tuple[int, ...],
    start_index_map: tuple[int, ...],
    operand_batching_dims: tuple[int, ...],
    start_indices_batching_dims: tuple[int, ...],
    index_vector_dim: int,
    slice_sizes: tuple[int, ...],
    indices_are_sorted: bool,
) -> ArrayShape:
    operand, starts = require_array("gather", 0, x), require_array("gather", 1, indices)
    require_kind("gather", 1, starts, "su")
    check_dims("gather", "collapsed_slice_dims and operand_batching_dims ",
               collapsed_slice_dims + operand_batching_dims, operand.rank)  # fmt: skip
    check_dims("gather", "start_index_map", start_index_map + operand_batching_dims, operand.rank)
    if not 0 <= index_vector_dim <= starts.rank:
        raise ShapeError(f"gather: index_vector_dim={index_vector_dim}; operand 1 is {starts}")
    vector = starts.dims[index_vector_dim] if index_vector_dim < starts.rank else 1
    if vector != len(start_index_map):
        raise ShapeError(f"gather: an index has {vector} parts but start_index_map has {len(start_index_map)}")
    if len(slice_sizes) != operand.rank or any(not 0 <= s <= n for s, n in zip(slice_sizes, operand.dims)):
        raise ShapeError(
            f"gather: slice_sizes {list(slice_sizes)} of operand 0, {operand}; one for each dimension, none larger"
        )
    if len(operand_batching_dims) != len(start_indices_batching_dims):
        raise ShapeError("gather: operand_batching_dims and start_indices_batching_dims must be equally many")
    for d in collapsed_slice_dims + operand_batching_dims:
        if slice_sizes[d] > 1:
            raise ShapeError(
                f"gather: slice size {slice_sizes[d]} of collapsed or batching dimension {d}; it must be at most 1"
            )
    batch = [n for d, n in enumerate(starts.dims) if d != index_vector_dim]
    window = [n for d, n in enumerate(slice_sizes) if d not in collapsed_slice_dims + operand_batching_dims]
    if len(window) != len(offset_dims):
        raise ShapeError(
            f"gather: {len(offset_dims)} offset_dims for slices of {len(window)} dimensions; they must be equally many"
        )
    rank = len(batch) + len(window)
    check_dims("gather", "offset_dims", offset_dims, rank)
    rest, inner = iter(batch), iter(window)
    return operand.with_dims(tuple(next(inner) if d in offset_dims else next(rest) for d in range(rank)))


def index_vectors(indices: np.ndarray, index_vector_dim: int) -> np.ndarray:
    """The indices as [..., parts]: the index vector dimension last (added where it is implicit)."""
    if index_vector_dim == indices.ndim:
        return indices[..., np.newaxis]
    return np.moveaxis(indices, index_vector_dim, -1)


def _gather(
    x: np.ndarray,
    indices: np.ndarray,
    *,
    offset_dims: tuple[int, ...],
    collapsed_slice_dims: tuple[int, ...],
    start_index_map: tuple[int, ...],
    operand_batching_dims: tuple[int, ...],
    start_indices_batching_dims: tuple[int, ...],
    index_vector_dim: int,
    slice_sizes: tuple[int, ...],
    indices_are_sorted: bool,
) -> np.ndarray:
    vectors = index_vectors(indices, index_vector_dim)
    batch = vectors.shape[:-1]
    window_dims = [d for d in range(x.ndim) if d not in collapsed_slice_dims + operand_batching_dims]
    window = tuple(slice_sizes[d] for d in window_dims)
    batch_rank = len(batch)
    if math.prod(batch) * math.prod(slice_sizes) == 0:
        chosen = np.zeros(batch + window, x.dtype)
    else:
        at = []
        for d in range(x.ndim):
            start: np.ndarray = np.zeros(batch, np.int64)
            if d in start_index_map:
                raw = vectors[..., start_index_map.index(d)]
                top = x.shape[d] - slice_sizes[d]
                start = (
                    np.minimum(raw.astype(np.uint64), np.uint64(top)).astype(np.int64)
                    if raw.dtype.kind == "u"
                    else np.clip(raw.astype(np.int64), 0, top)
                )
            elif d in operand_batching_dims:
                axis = start_indices_batching_dims[operand_batching_dims.index(d)]
                axis -= axis > index_vector_dim
                start = np.broadcast_to(
                    np.arange(batch[axis]).reshape([-1 if i == axis else 1 for i in range(batch_rank)]), batch
                )
            start = start.reshape(batch + (1,) * len(window))
            if d in window_dims:
                k = window_dims.index(d)
                shape = [1] * (batch_rank + len(window))
                shape[batch_rank + k] = slice_sizes[d]
                start = start + np.arange(slice_sizes[d]).reshape(shape)
            at.append(start)
        chosen = x[tuple(at)] if at else np.broadcast_to(x, batch + window)
    rank = batch_rank + len(window)
    batch_out = [d for d in range(rank) if d not in offset_dims]
    source = {d: i for i, d in enumerate(batch_out)} | {d: batch_rank + i for i, d in enumerate(offset_dims)}
    return chosen.transpose([source[d] for d in range(rank)])


opcode(
    "gather",
    arity=2,
    attrs={
        "offset_dims": INTS,
        "collapsed_slice_dims": INTS,
        "start_index_map": INTS,
        "operand_batching_dims": INTS.optional(()),
        "start_indices_batching_dims": INTS.optional(()),
        "index_vector_dim": INT,
        "slice_sizes": INTS,
        "indices_are_sorted": BOOL.optional(False),
    },
    shape=_gather_shape,
    evaluate=_gather,
)
