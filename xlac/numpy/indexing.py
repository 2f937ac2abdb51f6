"""Functions of `xlac.numpy` that take, put and find elements by their indices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, indexing, trace
from xlac.frontend.eager import Array, ArrayLike, array_function, made
from xlac.frontend.tracer import Tracer
from xlac.lax.indexing import missing_value
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, elementwise
from xlac.numpy._core import as_tracer, normalize_axis, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _exported(function: Any) -> Any:
    __all__.append(function.__name__)
    return function


# ---- taking by index


@_public
def take(
    a: ArrayLike,
    indices: ArrayLike,
    axis: int | None = None,
    out: None = None,
    mode: str | None = None,
    unique_indices: bool = False,
    indices_are_sorted: bool = False,
    fill_value: ArrayLike | None = None,
) -> Array:
    """Elements at indices along an axis.

    Traced indices out of range give NaN (of integers, the least number; of bool, True) unless `mode` is "clip" or
    "wrap".
    """
    _core.no_out("take", out)
    x = as_tracer(a)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "take")
    if mode not in (None, "fill", "clip", "wrap", "promise_in_bounds"):
        raise trace.shape_error(f"take: mode={mode!r}; it must be fill, clip, wrap or promise_in_bounds")
    if not _traced(indices):
        places = np.asarray(indices)
        if mode == "clip":
            places = np.clip(places, 0, x.shape[axis] - 1)
        elif mode == "wrap":
            places = places % x.shape[axis]
        return indexing.getitem(x, (*[slice(None)] * axis, places))
    where = as_tracer(indices)
    n = x.shape[axis]
    if mode == "wrap":
        where = elementwise.mod(where, n)
    elif mode == "clip":
        where = lax.clamp(0, where, n - 1)
    found = indexing.getitem(x, (*[slice(None)] * axis, where))
    if mode in ("wrap", "clip", "promise_in_bounds"):
        return found
    inside = (
        lax.bitwise_and(lax.ge(where, -n), lax.lt(where, n)) if dtypes.kind(where.dtype) == "s" else lax.lt(where, n)
    )
    inside = expand(inside, found.shape, range(axis, axis + where.ndim))
    missing = missing_value(x.dtype) if fill_value is None else fill_value
    return lax.select(inside, found, lax.full_like(found, missing))


def _traced(value: Any) -> bool:
    return _core.has_tracer(value)


@_public
def take_along_axis(
    arr: ArrayLike,
    indices: ArrayLike,
    axis: int | None = -1,
    mode: str | None = None,
    fill_value: ArrayLike | None = None,
) -> Array:
    """For each place of `indices`, the element at that index along the axis and at the same place otherwise."""
    x, where = as_tracer(arr), as_tracer(indices)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    if where.ndim != x.ndim:
        raise trace.shape_error(f"take_along_axis: indices of shape {trace.shown(where)} for an array {trace.shown(x)}")
    axis = normalize_axis(axis, x.ndim, "take_along_axis")
    common = [max(a, b) if 1 in (a, b) else a for a, b in zip(x.shape, where.shape)]
    x = _core.stretch(x, [n if d == axis else c for d, (n, c) in enumerate(zip(x.shape, common))])
    where = _core.stretch(where, [n if d == axis else c for d, (n, c) in enumerate(zip(where.shape, common))])
    n = x.shape[axis]
    where = lax.convert_element_type(where, np.int32) if where.dtype.itemsize < 4 else where
    where = lax.select(lax.lt(where, 0), lax.add(where, lax.full_like(where, n)), where)
    batch = tuple(d for d in range(x.ndim) if d != axis)
    if not where.size:
        return lax.full_like(x, 0, shape=where.shape)
    found = lax.gather(
        x,
        lax.reshape(where, (*where.shape, 1)),
        lax.GatherDimensionNumbers(
            offset_dims=(),
            collapsed_slice_dims=(axis,),
            start_index_map=(axis,),
            operand_batching_dims=batch,
            start_indices_batching_dims=batch,
        ),
        [1] * x.ndim,
    )
    if mode == "clip" or not _traced(indices):
        return found
    inside = lax.bitwise_and(lax.ge(where, 0), lax.lt(where, n))
    missing = missing_value(x.dtype) if fill_value is None else fill_value
    return lax.select(inside, found, lax.full_like(found, missing))


@_public
def choose(a: ArrayLike, choices: Sequence[ArrayLike], out: None = None, mode: str = "clip") -> Array:
    """For each element of `a`, the element of the choice it numbers; other numbers are clamped, or wrapped."""
    _core.no_out("choose", out)
    which, *options = (as_tracer(v) for v in (a, *choices))
    options = _core.promote(*options)
    which, *options = _core.broadcast("choose", [which, *options])
    which = elementwise.mod(which, len(options)) if mode == "wrap" else lax.clamp(0, which, len(options) - 1)
    return lax.select_n(lax.convert_element_type(which, np.int32), *options)


# ---- putting


def _changed(inplace: bool, direct: Callable[[], Any], arr: Any, traced: Callable[[], Any], name: str) -> Any:
    """A function that NumPy runs in place: it does so on NumPy arrays, and gives a changed copy where told to."""
    if inplace and isinstance(arr, np.ndarray):
        direct()
        return arr
    if inplace:
        raise trace.trace_error(f"{name}: traced arrays are not changed in place; use x = {name}(..., inplace=False)")
    return traced()


@array_function
def _put_along(arr: ArrayLike, indices: ArrayLike, values: ArrayLike, axis: int | None, mode: str | None) -> Array:
    x, where = as_tracer(arr), as_tracer(indices)
    shape = x.shape
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "put_along_axis")
    if where.ndim != x.ndim:
        raise trace.shape_error(f"put_along_axis: indices of shape {trace.shown(where)} for an array {trace.shown(x)}")
    dims = [n if d == axis else m for d, (n, m) in enumerate(zip(where.shape, x.shape))]
    where = _core.stretch(where, dims)
    n = x.shape[axis]
    where = lax.convert_element_type(where, np.int32) if where.dtype.itemsize < 4 else where
    where = elementwise.where(lax.lt(where, 0), lax.add(where, lax.full_like(where, n)), where)
    if mode == "clip":
        where = lax.clamp(0, where, n - 1)
    patch = _core.stretch(lax.convert_element_type(as_tracer(values), x.dtype), dims)
    batch = tuple(d for d in range(x.ndim) if d != axis)
    numbers = lax.ScatterDimensionNumbers((), (axis,), (axis,), batch, batch)
    return lax.reshape(lax.scatter(x, lax.reshape(where, (*dims, 1)), patch, numbers), shape)


@_exported
def put_along_axis(
    arr: Any, indices: Any, values: Any, axis: int | None, inplace: bool = True, *, mode: str | None = None
) -> Any:
    """For each place of `indices`, set the element at that index along the axis and at the same place otherwise."""
    return _changed(
        inplace,
        lambda: np.put_along_axis(arr, np.asarray(indices), values, axis),
        arr,
        lambda: _put_along(arr, indices, values, axis, mode),
        "put_along_axis",
    )


@array_function
def _put(a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str | None) -> Array:
    x, where, values = as_tracer(a), as_tracer(ind), as_tracer(v)
    where = lax.reshape(where, (where.size,))
    values = lax.reshape(values, (values.size,))
    flat = lax.reshape(x, (x.size,))
    if not where.size or not values.size:
        return x
    if mode == "clip":
        where = lax.clamp(0, where, x.size - 1)
    elif mode == "wrap":
        where = elementwise.mod(where, x.size)
    if values.shape[0] < where.shape[0]:
        values = lax.concatenate([values] * -(-where.shape[0] // values.shape[0]), 0)
    values = lax.slice_in_dim(values, 0, where.shape[0])
    return lax.reshape(indexing.At(flat)[where].set(values), x.shape)


@_exported
def put(a: Any, ind: Any, v: Any, mode: str | None = None, *, inplace: bool = True) -> Any:
    """Set elements of the flat array at indices, values repeated as needed."""
    return _changed(inplace, lambda: np.put(a, ind, v, mode or "raise"), a, lambda: _put(a, ind, v, mode), "put")


@array_function
def _place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike) -> Array:
    x, chosen, values = as_tracer(arr), elementwise.truth(as_tracer(mask)), as_tracer(vals)
    chosen = lax.reshape(chosen, (chosen.size,))
    values = lax.convert_element_type(lax.reshape(values, (values.size,)), x.dtype)
    turn = lax.sub(lax.cumsum(convert(chosen, np.dtype(np.int32))), np.int32(1))
    picked = take(values, turn, mode="wrap")
    return lax.reshape(lax.select(chosen, picked, lax.reshape(x, (x.size,))), x.shape)


@_exported
def place(arr: Any, mask: Any, vals: Any, *, inplace: bool = True) -> Any:
    """Set the elements where the mask holds to the values in turn, repeated as needed."""
    return _changed(inplace, lambda: np.place(arr, mask, vals), arr, lambda: _place(arr, mask, vals), "place")


@array_function
def _fill_diagonal(a: ArrayLike, val: ArrayLike, wrap: bool) -> Array:
    x, values = as_tracer(a), as_tracer(val)
    if x.ndim < 2:
        raise trace.shape_error(f"fill_diagonal: an array {trace.shown(x)} has no diagonal")
    if x.ndim == 2:
        step = x.shape[1] + 1
        stop = x.size if wrap else min(x.shape[1] * x.shape[1], x.size)
    else:
        if len(set(x.shape)) > 1:
            raise trace.shape_error(f"fill_diagonal: the extents of {trace.shown(x)} must be equal")
        step, stop = 1 + int(np.cumprod(x.shape[:-1]).sum()), x.size
    return _put(x, np.arange(0, stop, step, dtype=np.int32), lax.convert_element_type(values, x.dtype), None)


@_exported
def fill_diagonal(a: Any, val: Any, wrap: bool = False, *, inplace: bool = True) -> Any:
    """Set the main diagonal."""
    return _changed(
        inplace, lambda: np.fill_diagonal(a, val, wrap), a, lambda: _fill_diagonal(a, val, wrap), "fill_diagonal"
    )


# ---- removing and inserting


@_public
def delete(arr: ArrayLike, obj: Any, axis: int | None = None, *, assume_unique_indices: bool = False) -> Array:
    """Without the elements at fixed places along an axis (of the flat array, without one)."""
    x = as_tracer(arr)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "delete")
    if isinstance(obj, Tracer):
        raise trace.trace_error("delete: the places are traced, so they may repeat; they must be fixed")
    kept = np.delete(np.arange(x.shape[axis], dtype=np.int32), obj)
    return indexing.getitem(x, (*[slice(None)] * axis, kept))


@_public
def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Array:
    """With values put before fixed places along an axis (of the flat array, without one)."""
    x, new = as_tracer(arr), as_tracer(values)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "insert")
    if isinstance(obj, Tracer):
        raise trace.trace_error("insert: the places are traced; they must be fixed")
    n = x.shape[axis]
    places = np.arange(*obj.indices(n)) if isinstance(obj, slice) else np.asarray(obj)
    if places.dtype == np.bool_:
        places = np.flatnonzero(places)
    new = lax.convert_element_type(new, x.dtype)
    if places.ndim == 0:
        new = lax.reshape(new, (1,) * (x.ndim - new.ndim) + new.shape)
        order = [d for d in range(1, x.ndim)]
        order.insert(axis, 0)
        new = lax.transpose(new, order)
        count = new.shape[axis]
    else:
        count = places.size
    shape = [count if d == axis else m for d, m in enumerate(x.shape)]
    order = np.insert(np.arange(n), obj if places.ndim else int(places), n + np.arange(count))
    joined = lax.concatenate([x, _core.stretch(new, shape)], axis)
    return indexing.getitem(joined, (*[slice(None)] * axis, order.astype(np.int32)))


# ---- where conditions hold


@array_function
def nonzero_places(mask: ArrayLike, size: int, fill: int) -> Array:
    """The flat indices of the first `size` true elements; `fill` where there are fewer."""
    x = elementwise.truth(as_tracer(mask))
    n = x.size
    flat = lax.reshape(x, (n,))
    if n == 0 or size == 0:
        return lax.full((size,), np.int32(fill))
    count = lax.cumsum(convert(flat, np.dtype(np.int32)))
    place = lax.select(flat, lax.sub(count, np.int32(1)), lax.full_like(count, size))  # `size` is outside: dropped
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    found = lax.full((size,), np.int32(fill))
    return lax.scatter(found, lax.reshape(place, (n, 1)), lax.iota(np.int32, n), numbers, unique_indices=True)


def _concrete(*values: Any) -> bool:
    return not _core.has_tracer(list(values))


def _unsized(name: str) -> Exception:
    return trace.trace_error(
        f"{name}: the size of its result depends on values, which are not known while tracing; give size=, or use "
        "xlac.numpy.where(mask, x, y)"
    )


def _given(result: Any) -> Any:
    """Indices that NumPy found, in the default integer type, as constants while tracing."""
    array = np.asarray(result).astype(dtypes.default_int())
    return made(array)


@_exported
def nonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> tuple[Any, ...]:
    """The indices of elements that are not zero, one array for each dimension.

    With `size` there are as many, the first ones, and after the last one `fill_value` (0, or one for each dimension).

    Raises:
      TraceError: the array is traced and no size is given.
    """
    if size is None:
        if not _concrete(a):
            raise _unsized("nonzero")
        array = np.asarray(a)
        if not array.ndim:
            raise trace.shape_error("nonzero: a scalar has no indices; use atleast_1d")
        return tuple(_given(i) for i in array.nonzero())
    shape = np.shape(a) if not hasattr(a, "shape") else tuple(a.shape)
    flat = nonzero_places(a, int(size), -1)
    fills = fill_value if isinstance(fill_value, (tuple, list)) else [fill_value or 0] * len(shape)
    return tuple(_unflatten(flat, shape, d, fills[d]) for d in range(len(shape)))


@array_function
def _unflatten(flat: ArrayLike, shape: tuple[int, ...], d: int, fill: ArrayLike) -> Array:
    x = as_tracer(flat)
    rest = math.prod(shape[d + 1 :])
    index = lax.rem(lax.div(x, lax.full_like(x, max(rest, 1))), lax.full_like(x, max(shape[d], 1)))
    return lax.select(lax.ge(x, 0), index, lax.full_like(x, fill))


@_exported
def flatnonzero(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The indices of the flat array's elements that are not zero."""
    from xlac.numpy.shaping import ravel

    return nonzero(ravel(a), size=size, fill_value=fill_value)[0]


@_exported
def argwhere(a: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The indices of elements that are not zero, a row for each."""
    from xlac.numpy.joining import stack
    from xlac.numpy.shaping import atleast_1d, ndim, reshape

    found = nonzero(atleast_1d(a), size=size, fill_value=fill_value)
    if ndim(a) == 0:
        return reshape(found[0], (found[0].shape[0], 1))[:, :0]
    return stack(found, axis=1)


@_exported
def compress(
    condition: Any, a: Any, axis: int | None = None, *, size: int | None = None, fill_value: Any = 0, out: None = None
) -> Any:
    """The elements along an axis (of the flat array, without one) where the condition holds."""
    from xlac.numpy.shaping import ravel

    _core.no_out("compress", out)
    if axis is None:
        a, axis = ravel(a), 0
    if size is None:
        if not _concrete(condition):
            raise _unsized("compress")
        return take(a, np.flatnonzero(np.asarray(condition)).astype(np.int32), axis)
    where = flatnonzero(condition, size=size, fill_value=np.iinfo(np.int32).max)
    return take(a, where, axis, mode="fill", fill_value=fill_value)


@_exported
def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The flat array's elements where the condition holds."""
    from xlac.numpy.shaping import ravel

    return compress(ravel(condition), ravel(arr), 0, size=size, fill_value=fill_value)


# ---- indices of shapes


@_exported
def diag_indices(n: int, ndim: int = 2) -> tuple[Any, ...]:
    """The indices of the main diagonal of an array of `ndim` dimensions of extent n."""
    return tuple(_given(np.arange(n)) for _ in range(ndim))


@_exported
def diag_indices_from(arr: Any) -> tuple[Any, ...]:
    """The indices of an array's main diagonal."""
    if len(arr.shape) < 2 or len(set(arr.shape)) > 1:
        raise trace.shape_error(f"diag_indices_from: an array {trace.shown(arr)}; its extents must be equal")
    return diag_indices(arr.shape[0], len(arr.shape))


@_exported
def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices of the lower triangle of an n x m array."""
    return tuple(_given(i) for i in np.tril_indices(n, k, m))  # type: ignore[return-value]


@_exported
def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple[Any, Any]:
    """The indices of the upper triangle of an n x m array."""
    return tuple(_given(i) for i in np.triu_indices(n, k, m))  # type: ignore[return-value]


@_exported
def tril_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of an array's lower triangle."""
    return tril_indices(arr.shape[-2], k, arr.shape[-1])


@_exported
def triu_indices_from(arr: Any, k: int = 0) -> tuple[Any, Any]:
    """The indices of an array's upper triangle."""
    return triu_indices(arr.shape[-2], k, arr.shape[-1])


@_exported
def mask_indices(n: int, mask_func: Callable[..., Any], k: int = 0, *, size: int | None = None) -> tuple[Any, Any]:
    """The indices where `mask_func` of an n x n array of ones, such as `tril`, is not zero."""
    return nonzero(mask_func(np.ones((n, n), np.int32), k), size=size)  # type: ignore[return-value]


@_exported
def ix_(*args: Any) -> tuple[Any, ...]:
    """Vectors as index arrays of an open grid: each along a dimension of its own."""
    if _concrete(*args):
        return tuple(_given(i) for i in np.ix_(*args))
    rank = len(args)
    xs = [as_tracer(a) for a in args]
    return tuple(lax.reshape(x, [x.size if i == d else 1 for i in range(rank)]) for d, x in enumerate(xs))


@_public
def unravel_index(indices: ArrayLike, shape: Any) -> tuple[Array, ...]:
    """Indices into the flat array as indices into an array of a shape, clamped to it."""
    x = as_tracer(indices)
    dims = _core.dims(shape)
    total = math.prod(dims)
    x = lax.convert_element_type(x, np.int32) if x.dtype.itemsize < 4 else x
    x = elementwise.where(lax.lt(x, 0), lax.add(x, lax.full_like(x, total)), x)
    x = lax.clamp(0, x, max(total - 1, 0))
    result = []
    for n in reversed(dims):
        result.append(lax.rem(x, lax.full_like(x, max(n, 1))))
        x = lax.div(x, lax.full_like(x, max(n, 1)))
    return tuple(reversed(result))


@_public
def ravel_multi_index(
    multi_index: Sequence[ArrayLike], dims: Any, mode: Any = "clip", order: str = "C", *, dtype: Any = None
) -> Array:
    """Indices into an array of a shape as indices into the flat array; those outside are clamped, or wrapped."""
    extents = _core.dims(dims)
    parts = _core.operands("ravel_multi_index", *multi_index)
    if len(parts) != len(extents):
        raise trace.shape_error(f"ravel_multi_index: {len(parts)} index arrays for {len(extents)} dimensions")
    modes = mode if isinstance(mode, tuple) else (mode,) * len(extents)
    strides = np.cumprod([1, *(extents[::-1] if order == "C" else extents)])[:-1]
    strides = strides[::-1] if order == "C" else strides
    total = lax.full_like(parts[0], 0)
    for x, n, step, how in zip(parts, extents, strides, modes):
        x = elementwise.mod(x, n) if how == "wrap" else lax.clamp(0, x, n - 1)
        total = lax.add(total, lax.mul(x, lax.full_like(x, int(step))))
    return total if dtype is None else lax.convert_element_type(total, dtype)
