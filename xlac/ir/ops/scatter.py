"""scatter: combines updates into arrays at places that are data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import BOOL, COMPUTATION, INT, INTS, opcode
from xlac.ir.ops.elementwise import quiet, require_array, require_kind
from xlac.ir.ops.indexing import index_vectors
from xlac.ir.ops.movement import check_dims
from xlac.ir.ops.reduction import as_parameters, check_reducer, map_scalars, monoid, monoid_parts
from xlac.ir.shape import ArrayShape, Shape, TupleShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation


def _replaces(combiner: Computation) -> bool:
    """Whether the combiner gives the updates themselves, whatever was there."""
    n = len(combiner.parameters) // 2
    root = combiner.root
    roots = root.operands if root.opcode.name == "tuple" else (root,)
    return tuple(roots) == tuple(combiner.parameters[n:])


def combine_at(
    targets: list[np.ndarray],
    places: np.ndarray,
    updates: list[np.ndarray],
    combiner: Computation,
    call: Callable[..., Any],
) -> None:
    """targets[places[i]] = combiner(targets[places[i]], updates[i]) for i = 0, 1, ... in order; all are vectors."""
    if not places.size:
        return
    if _replaces(combiner):
        # Of several updates to a place the last counts; NumPy leaves open which it stores, so earlier ones are dropped.
        last = places.size - 1 - np.unique(places[::-1], return_index=True)[1]
        for target, update in zip(targets, updates):
            target[places[last]] = update[last]
        return
    name = monoid(combiner)
    if name is not None and len(targets) == 1:
        parts = monoid_parts(name, targets[0].dtype)
        if parts is not None:
            parts[0].at(targets[0], places, updates[0])
            return
    # The k-th update of every place in round k: within a round all places differ.
    order = np.argsort(places, kind="stable")
    first = np.r_[True, places[order][1:] != places[order][:-1]]
    begin = np.maximum.accumulate(np.where(first, np.arange(places.size), 0))
    turn = np.empty(places.size, np.int64)
    turn[order] = np.arange(places.size) - begin
    by_turn = np.argsort(turn, kind="stable")
    for chosen in np.split(by_turn, np.cumsum(np.bincount(turn))[:-1]):
        at = places[chosen]
        new = map_scalars(combiner, call, *(t[at] for t in targets), *(u[chosen] for u in updates))
        for target, value in zip(targets, new):
            target[at] = value


def _scatter_shape(
    *operands: Shape,
    update_window_dims: tuple[int, ...],
    inserted_window_dims: tuple[int, ...],
    scatter_dims_to_operand_dims: tuple[int, ...],
    input_batching_dims: tuple[int, ...],
    scatter_indices_batching_dims: tuple[int, ...],
    index_vector_dim: int,
    indices_are_sorted: bool,
    unique_indices: bool,
    to_apply: Computation,
) -> Shape:
    if len(operands) % 2 == 0:
        raise ShapeError(
            f"scatter: got {len(operands)} operands; it takes arrays, one array of indices, and as many updates"
        )
    n = len(operands) // 2
    arrays = [require_array("scatter", i, s) for i, s in enumerate(operands)]
    inputs, indices, updates = arrays[:n], arrays[n], arrays[n + 1 :]
    require_kind("scatter", n, indices, "su")
    first = inputs[0]
    for i, shape in enumerate(inputs):
        if shape.dims != first.dims:
            raise ShapeError(f"scatter: operand {i} is {shape} but operand 0 is {first}; the dimensions must be equal")
    for i, shape in enumerate(updates):
        if shape.dims != updates[0].dims:
            raise ShapeError(
                f"scatter: operand {n + 1 + i} is {shape} but operand {n + 1} is {updates[0]}; "
                "the dimensions must be equal"
            )
    dropped = inserted_window_dims + input_batching_dims
    check_dims("scatter", "inserted_window_dims and input_batching_dims ", dropped, first.rank)
    check_dims(
        "scatter", "scatter_dims_to_operand_dims", scatter_dims_to_operand_dims + input_batching_dims, first.rank
    )
    check_dims("scatter", "update_window_dims", update_window_dims, updates[0].rank)
    check_dims("scatter", "scatter_indices_batching_dims", scatter_indices_batching_dims, indices.rank)
    if not 0 <= index_vector_dim <= indices.rank:
        raise ShapeError(f"scatter: index_vector_dim={index_vector_dim}; operand {n} is {indices}")
    parts = indices.dims[index_vector_dim] if index_vector_dim < indices.rank else 1
    if parts != len(scatter_dims_to_operand_dims):
        raise ShapeError(
            f"scatter: an index of operand {n}, {indices}, has {parts} parts but scatter_dims_to_operand_dims has "
            f"{len(scatter_dims_to_operand_dims)}"
        )
    if len(input_batching_dims) != len(scatter_indices_batching_dims):
        raise ShapeError("scatter: input_batching_dims and scatter_indices_batching_dims must be equally many")
    if len(update_window_dims) + len(dropped) != first.rank:
        raise ShapeError(
            f"scatter: {len(update_window_dims)} update_window_dims and {len(dropped)} inserted or batching "
            f"dimensions; together they must be the {first.rank} of operand 0, {first}"
        )
    for i, d in zip(input_batching_dims, scatter_indices_batching_dims):
        if first.dims[i] != indices.dims[d]:
            raise ShapeError(
                f"scatter: batching dimension {i} of operand 0, {first}, is {first.dims[i]} but dimension {d} "
                f"of operand {n}, {indices}, is {indices.dims[d]}; they must be equal"
            )
    batch = [extent for d, extent in enumerate(indices.dims) if d != index_vector_dim]
    have = [extent for d, extent in enumerate(updates[0].dims) if d not in update_window_dims]
    if batch != have:
        raise ShapeError(
            f"scatter: operand {n + 1} is {updates[0]}; less its update_window_dims it has dimensions {have}, "
            f"but operand {n}, {indices}, has indices of {batch}"
        )
    window = [d for d in range(first.rank) if d not in dropped]
    for d, u in zip(window, sorted(update_window_dims)):
        if updates[0].dims[u] > first.dims[d]:
            raise ShapeError(
                f"scatter: dimension {u} of operand {n + 1}, {updates[0]}, is {updates[0].dims[u]}, more than "
                f"dimension {d} of operand 0, {first}"
            )
    check_reducer("scatter", to_apply, inputs)
    if n == 1 and not isinstance(to_apply.root.shape, TupleShape):
        return ArrayShape(first.element_type, first.dims)
    return TupleShape(tuple(ArrayShape(shape.element_type, shape.dims) for shape in inputs))


def scatter_places(
    dims: tuple[int, ...],
    indices: np.ndarray,
    window_dims: tuple[int, ...],
    *,
    inserted_window_dims: tuple[int, ...],
    scatter_dims_to_operand_dims: tuple[int, ...],
    input_batching_dims: tuple[int, ...],
    scatter_indices_batching_dims: tuple[int, ...],
    index_vector_dim: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Where updates go in an array of `dims`: row-major places [indices..., window...], and which windows fit."""
    vectors = index_vectors(indices, index_vector_dim)
    batch = vectors.shape[:-1]
    window = [d for d in range(len(dims)) if d not in inserted_window_dims + input_batching_dims]
    extents = {d: extent for d, extent in zip(window, window_dims)}
    fits = np.ones(batch, bool)
    places = np.zeros(batch, np.int64)
    pitch = np.cumprod([1, *dims[:0:-1]])[::-1] if dims else []
    for d, extent in enumerate(dims):
        if d in scatter_dims_to_operand_dims:
            raw = vectors[..., scatter_dims_to_operand_dims.index(d)]
            raw = raw.astype(np.int32) if raw.dtype.kind == "V" else raw
            top = extent - extents.get(d, 1)
            # Compared in the indices' own type: large unsigned ones stay large.
            inside = (raw >= 0) & (raw <= np.asarray(min(top, np.iinfo(raw.dtype).max)).astype(raw.dtype)) & (top >= 0)
            fits &= inside
            places = places + np.where(inside, raw, 0).astype(np.int64) * int(pitch[d])
        elif d in input_batching_dims:
            axis = scatter_indices_batching_dims[input_batching_dims.index(d)]
            axis -= axis > index_vector_dim
            counts = np.arange(batch[axis]).reshape([-1 if i == axis else 1 for i in range(len(batch))])
            places = places + counts * int(pitch[d])
    for d in window:
        places = places[..., np.newaxis] + np.arange(extents[d]) * int(pitch[d])
    return places, fits


def _scatter(
    *operands: np.ndarray,
    update_window_dims: tuple[int, ...],
    inserted_window_dims: tuple[int, ...],
    scatter_dims_to_operand_dims: tuple[int, ...],
    input_batching_dims: tuple[int, ...],
    scatter_indices_batching_dims: tuple[int, ...],
    index_vector_dim: int,
    indices_are_sorted: bool,
    unique_indices: bool,
    to_apply: Computation,
    call: Callable[..., Any],
) -> Any:
    """Updates whose window does not fit inside are dropped; the others are combined in the order of the indices."""
    n = len(operands) // 2
    inputs, indices, updates = operands[:n], operands[n], operands[n + 1 :]
    window_dims = tuple(sorted(update_window_dims))
    order = [d for d in range(updates[0].ndim) if d not in window_dims] + list(window_dims)
    ordered = [u.transpose(order) for u in updates]
    places, fits = scatter_places(
        inputs[0].shape,
        indices,
        tuple(updates[0].shape[d] for d in window_dims),
        inserted_window_dims=inserted_window_dims,
        scatter_dims_to_operand_dims=scatter_dims_to_operand_dims,
        input_batching_dims=input_batching_dims,
        scatter_indices_batching_dims=scatter_indices_batching_dims,
        index_vector_dim=index_vector_dim,
    )
    dtypes = [x.dtype for x in inputs]
    targets = [np.array(x).reshape(-1) for x in as_parameters(inputs, to_apply.parameters)]
    chosen = [u[fits].reshape(-1) for u in as_parameters(ordered, to_apply.parameters[n:])]
    combine_at(targets, places[fits].reshape(-1), chosen, to_apply, call)
    results = [t.astype(dtype).reshape(inputs[0].shape) for t, dtype in zip(targets, dtypes)]
    return tuple(results) if isinstance(to_apply.root.shape, TupleShape) or n > 1 else results[0]


opcode(
    "scatter",
    arity=(3, None),
    attrs={
        "update_window_dims": INTS,
        "inserted_window_dims": INTS,
        "scatter_dims_to_operand_dims": INTS,
        "input_batching_dims": INTS.optional(()),
        "scatter_indices_batching_dims": INTS.optional(()),
        "index_vector_dim": INT,
        "indices_are_sorted": BOOL.optional(False),
        "unique_indices": BOOL.optional(False),
        "to_apply": COMPUTATION,
    },
    shape=_scatter_shape,
    evaluate=quiet(_scatter),
)
