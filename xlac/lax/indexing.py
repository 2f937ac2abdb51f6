"""Slices, gathers and scatters at places that are data."""

from __future__ import annotations

import builtins
import enum
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.creation import full_like
from xlac.lax.elementwise import add, bitwise_and, ge, le, lt, max, min, neg, select
from xlac.lax.movement import concatenate, expand_dims, index_in_dim, squeeze
from xlac.lax.operands import Declared, as_dims, convert, expand, identity

__all__: list[str] = ["GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


def _starts(x: Tracer, starts: Any, negative: bool = True) -> list[Tracer]:
    """Start indices as scalars of one integer type; negative ones, if they are allowed, count from the end."""
    if isinstance(starts, Tracer) and starts.ndim == 1:
        starts = [index_in_dim(starts, i, keepdims=False) for i in range(starts.shape[0])]
    result = []
    for start, n in zip(starts, x.shape):
        if not isinstance(start, Tracer):
            start = int(start)
            start = lift(np.int32(start + n if start < 0 else start))
        elif negative and dtypes.kind(start.dtype) == "s":
            start = convert(start, start.dtype)
            start = select(lt(start, 0), add(start, lift(np.asarray(n, start.dtype))), start)
        result.append(convert(start, start.dtype))
    if len({s.dtype for s in result}) > 1:
        common = dtypes.INT64 if builtins.any(s.dtype.itemsize == 8 for s in result) else dtypes.INT32
        result = [convert(s, common) for s in result]
    return result


@public
def dynamic_slice(
    operand: ArrayLike,
    start_indices: Sequence[ArrayLike],
    slice_sizes: Sequence[int],
    *,
    allow_negative_indices: bool = True,
) -> Array:
    """A slice of fixed sizes at computed starts, moved inside the array where it would leave it.

    Negative starts count from the end, unless `allow_negative_indices` is False.
    """
    x = lift(operand)
    starts = _starts(x, start_indices, allow_negative_indices)
    if len(starts) != x.ndim:
        raise shape_error(f"dynamic_slice: {len(starts)} start indices for an array {trace.shown(x)}")
    if not x.ndim:
        return x
    return emit(op.dynamic_slice, x, *starts, dynamic_slice_sizes=as_dims(slice_sizes), weak=x.weak_type)


@public
def dynamic_slice_in_dim(
    operand: ArrayLike,
    start_index: ArrayLike,
    slice_size: int,
    axis: int = 0,
    *,
    allow_negative_indices: bool = True,
) -> Array:
    """`dynamic_slice` along one dimension."""
    x = lift(operand)
    axis %= x.ndim
    starts: list[Any] = [0] * x.ndim
    starts[axis] = start_index
    sizes = [slice_size if d == axis else n for d, n in enumerate(x.shape)]
    return dynamic_slice(x, starts, sizes, allow_negative_indices=allow_negative_indices)


@public
def dynamic_index_in_dim(
    operand: ArrayLike, index: ArrayLike, axis: int = 0, keepdims: bool = True, *, allow_negative_indices: bool = True
) -> Array:
    """One computed place along a dimension."""
    x = lift(operand)
    result = dynamic_slice_in_dim(x, index, 1, axis, allow_negative_indices=allow_negative_indices)
    return result if keepdims else squeeze(result, (axis % x.ndim,))


@public
def dynamic_update_slice(
    operand: ArrayLike,
    update: ArrayLike,
    start_indices: Sequence[ArrayLike],
    *,
    allow_negative_indices: bool = True,
) -> Array:
    """The operand with a block replaced at computed starts, moved inside where it would leave it.

    Negative starts count from the end, unless `allow_negative_indices` is False.
    """
    x, patch = lift(operand), lift(update)
    if patch.weak_type:
        patch = convert(patch, x.dtype)
    starts = _starts(x, start_indices, allow_negative_indices)
    if not x.ndim:
        return patch
    return emit(op.dynamic_update_slice, x, patch, *starts, weak=x.weak_type and patch.weak_type)


@public
def dynamic_update_slice_in_dim(
    operand: ArrayLike, update: ArrayLike, start_index: ArrayLike, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """`dynamic_update_slice` along one dimension."""
    x = lift(operand)
    starts: list[Any] = [0] * x.ndim
    starts[axis % x.ndim] = start_index
    return dynamic_update_slice(x, update, starts, allow_negative_indices=allow_negative_indices)


@public
def dynamic_update_index_in_dim(
    operand: ArrayLike, update: ArrayLike, index: ArrayLike, axis: int, *, allow_negative_indices: bool = True
) -> Array:
    """Replace one computed place along a dimension."""
    x, patch = lift(operand), lift(update)
    if patch.ndim != x.ndim:
        patch = expand_dims(patch, (axis % x.ndim,))
    return dynamic_update_slice_in_dim(x, patch, index, axis, allow_negative_indices=allow_negative_indices)


class GatherScatterMode(enum.Enum):
    """What happens to indices outside: dropped (gather: filled), clamped, or promised not to be there."""

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"
    ONE_HOT = "one_hot"

    @staticmethod
    def from_any(mode: Any) -> GatherScatterMode | None:
        """The mode a name stands for; None stays None.

        Raises:
          ShapeError: there is no such mode.
        """
        if mode is None or isinstance(mode, GatherScatterMode):
            return mode
        word = "fill" if mode == "drop" else mode
        for member in GatherScatterMode:
            if member.value == word:
                return member
        raise shape_error(f"mode={mode!r}; it must be clip, fill, drop or promise_in_bounds")


def _bounds(x: Tracer, where: Tracer, dims: Sequence[int], sizes: Sequence[int]) -> Tracer:
    """The greatest index vector at which a window of these sizes fits, as wide as the indices."""
    top = np.array([x.shape[d] - sizes[d] for d in dims], where.dtype)
    return expand(lift(top), where.shape, (where.ndim - 1,))


class GatherDimensionNumbers(NamedTuple):
    """How gather's operands and result correspond; index_vector_dim is always the last dimension of the indices."""

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


@public
def gather(
    operand: ArrayLike,
    start_indices: ArrayLike,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Array:
    """Slices of fixed sizes at computed places, clamped inside the operand (HLO's gather).

    With mode "fill", slices that leave the operand are `fill_value`: by default NaN, of signed integers the least
    number, of others the greatest.
    """
    x, indices = lift(operand), lift(start_indices)
    numbers = GatherDimensionNumbers(*dimension_numbers)
    found = emit(
        op.gather,
        x,
        indices,
        offset_dims=tuple(numbers.offset_dims),
        collapsed_slice_dims=tuple(numbers.collapsed_slice_dims),
        start_index_map=tuple(numbers.start_index_map),
        operand_batching_dims=tuple(numbers.operand_batching_dims),
        start_indices_batching_dims=tuple(numbers.start_indices_batching_dims),
        index_vector_dim=indices.ndim - 1,
        slice_sizes=as_dims(slice_sizes),
        indices_are_sorted=indices_are_sorted,
        weak=x.weak_type,
    )
    if GatherScatterMode.from_any(mode) is not GatherScatterMode.FILL_OR_DROP:
        return found
    high = _bounds(x, indices, numbers.start_index_map, slice_sizes)
    inside = _all_last(bitwise_and(ge(indices, 0), le(indices, high)))
    batch = [d for d in range(found.ndim) if d not in numbers.offset_dims]
    missing = missing_value(x.dtype) if fill_value is None else fill_value
    return select(expand(inside, found.shape, batch), found, full_like(found, missing))


def _all_last(mask: Tracer) -> Tracer:
    true = lift(np.asarray(True))
    reducer = trace.reducer("and", mask.dtype)
    return emit(op.reduce, mask, true, dimensions=(mask.ndim - 1,), to_apply=reducer)


def missing_value(dtype: np.dtype) -> Any:
    """What stands where an index is out of range: NaN, the least signed or greatest unsigned integer, or True."""
    kind = dtypes.kind(dtype)
    if kind in "fc":
        return math.nan
    return True if kind == "p" else identity("maximum" if kind == "s" else "minimum", dtype)[()].item()


class ScatterDimensionNumbers(NamedTuple):
    """How scatter's operands correspond; index_vector_dim is always the last dimension of the indices."""

    update_window_dims: tuple[int, ...]
    inserted_window_dims: tuple[int, ...]
    scatter_dims_to_operand_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()


def _scatter(
    name: str,
    opcode: str | None,
    operand: Any,
    indices: Any,
    updates: Any,
    numbers: ScatterDimensionNumbers,
    indices_are_sorted: bool,
    unique_indices: bool,
    mode: Any,
) -> Tracer:
    x, where, patch = lift(operand), lift(indices), lift(updates)
    if patch.weak_type:
        patch = convert(patch, x.dtype)
    numbers = ScatterDimensionNumbers(*numbers)
    if GatherScatterMode.from_any(mode) is GatherScatterMode.CLIP:
        still = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        window = iter([patch.shape[d] for d in numbers.update_window_dims])
        sizes = [1 if d in still else next(window) for d in range(x.ndim)]
        where = max(min(where, _bounds(x, where, numbers.scatter_dims_to_operand_dims, sizes)), 0)
    if opcode is None:
        shape = ArrayShape(element_type(x.dtype))
        session = trace.active().session
        key = ("second", shape.element_type.name)
        if key not in session.reducers:
            session.reducers[key] = trace.scalar_computation(f"second_{key[1]}", (shape, shape), lambda old, new: new)
        combine = session.reducers[key]
    else:
        combine = trace.reducer(opcode, x.dtype)
    return _emit_scatter(x, where, patch, numbers, combine, indices_are_sorted, unique_indices)


def _emit_scatter(
    x: Tracer, where: Tracer, patch: Tracer, numbers: Any, combine: Any, indices_are_sorted: bool, unique_indices: bool
) -> Tracer:
    return emit(
        op.scatter,
        x,
        where,
        patch,
        update_window_dims=tuple(numbers.update_window_dims),
        inserted_window_dims=tuple(numbers.inserted_window_dims),
        scatter_dims_to_operand_dims=tuple(numbers.scatter_dims_to_operand_dims),
        input_batching_dims=tuple(numbers.operand_batching_dims),
        scatter_indices_batching_dims=tuple(numbers.scatter_indices_batching_dims),
        index_vector_dim=where.ndim - 1,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        to_apply=combine,
    )


def _scatter_function(function: str, opcode: str | None, what: str, change: Callable[[Tracer], Any] = lift) -> Any:
    def call(
        operand: ArrayLike,
        scatter_indices: ArrayLike,
        updates: ArrayLike,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Array:
        return _scatter(
            function,
            opcode,
            operand,
            scatter_indices,
            change(updates),
            dimension_numbers,
            indices_are_sorted,
            unique_indices,
            mode,
        )

    return named(call, function, what)


scatter = _scatter_function("scatter", None, "Replace elements at computed places; updates outside are dropped.")
scatter_add = _scatter_function("scatter_add", "add", "Add to elements at computed places.")

scatter_sub = _scatter_function("scatter_sub", "add", "Subtract from elements at computed places.", neg)
scatter_mul = _scatter_function("scatter_mul", "multiply", "Multiply elements at computed places.")
scatter_min = _scatter_function("scatter_min", "minimum", "Lower elements at computed places.")
scatter_max = _scatter_function("scatter_max", "maximum", "Raise elements at computed places.")


@public
def scatter_apply(
    operand: ArrayLike,
    scatter_indices: ArrayLike,
    func: Callable[[Any], Any],
    dimension_numbers: ScatterDimensionNumbers,
    *,
    update_shape: Sequence[int] = (),
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
) -> Array:
    """`func` applied to the elements at computed places, once for each time a place is named."""
    x, where = lift(operand), lift(scatter_indices)
    updates = full_like(x, 0, shape=update_shape)
    promises = {"indices_are_sorted": indices_are_sorted, "unique_indices": unique_indices}
    return scatter_combined(x, where, updates, dimension_numbers, lambda old, new: func(old), **promises)


def scatter_combined(
    x: Tracer,
    where: Tracer,
    updates: Tracer,
    numbers: ScatterDimensionNumbers,
    function: Callable[[Any, Any], Any],
    indices_are_sorted: bool,
    unique_indices: bool,
) -> Tracer:
    """`function(element, update)` in place of the elements at computed places."""
    shape = ArrayShape(element_type(x.dtype))
    combine = trace.scalar_computation(
        "combine", (shape, shape), lambda old, new: convert(lift(function(old, new)), x.dtype)
    )
    numbers = ScatterDimensionNumbers(*numbers)
    return _emit_scatter(x, where, updates, numbers, combine, indices_are_sorted, unique_indices)


@public
def index_take(src: ArrayLike, idxs: ArrayLike, axes: Sequence[int]) -> Array:
    """The elements at computed places along the axes, one index array for each."""
    x = lift(src)
    indices = [lift(i) for i in idxs]
    count = indices[0].ndim
    joined = concatenate([expand_dims(i, (count,)) for i in indices], count)
    sizes = [1 if d in axes else n for d, n in enumerate(x.shape)]
    window = range(count, count + x.ndim - len(axes))
    return gather(x, joined, GatherDimensionNumbers(tuple(window), tuple(axes), tuple(axes)), sizes)
