"""Functions of `xlac.numpy` that sort, search sorted arrays, and treat arrays as sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, array_function, made
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand
from xlac.numpy import _core
from xlac.numpy._core import as_tracer, normalize_axis, public_names
from xlac.numpy.indexing import take

__all__: list[str] = []
_public = public_names(__all__)


def _exported(function: Any) -> Any:
    __all__.append(function.__name__)
    return function


def _sorted(name: str, a: Any, axis: int | None, descending: bool) -> tuple[Tracer, Tracer, int]:
    """Values and their former indices, stably sorted along an axis, NaN last."""
    x = as_tracer(a)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, name)
    index = lax.broadcasted_iota(np.int32, x.shape, axis)
    if descending:
        values, index = lax.sort((lax.rev(x, (axis,)), lax.rev(index, (axis,))), dimension=axis, num_keys=1)
        return lax.rev(values, (axis,)), lax.rev(index, (axis,)), axis
    values, index = lax.sort((x, index), dimension=axis, num_keys=1)
    return values, index, axis


@_public
def sort(
    a: ArrayLike, axis: int | None = -1, kind: str | None = None, order: None = None, *, stable: bool = True,
    descending: bool = False,
) -> Array:  # fmt: skip
    """Sorted along an axis (flat, if it is None), NaN last."""
    return _sorted("sort", a, axis, descending)[0]


@_public
def argsort(
    a: ArrayLike, axis: int | None = -1, kind: str | None = None, order: None = None, *, stable: bool = True,
    descending: bool = False,
) -> Array:  # fmt: skip
    """The indices that sort along an axis, stably; int32."""
    return _sorted("argsort", a, axis, descending)[1]


@_public
def searchsorted(
    a: ArrayLike, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None, *, method: str = "scan"
) -> Array:
    """Where values belong in a sorted vector, by halving; int32."""
    x, wanted = _core.promote(a, v)
    if side not in ("left", "right"):
        raise trace.shape_error(f"searchsorted: side={side!r}; it must be 'left' or 'right'")
    if x.ndim != 1:
        raise trace.shape_error(f"searchsorted: the array is of shape {trace.shown(x)}; it must be a sorted vector")
    if sorter is not None:
        x = take(x, sorter, mode="clip")
    n = x.shape[0]
    if n == 0:
        return lax.full_like(wanted, 0, np.int32)
    x, wanted = (lax.stop_gradient(v) for v in (x, wanted))
    goes_right = lax.lt if side == "left" else lax.le
    missing = lax.ne(wanted, wanted) if dtypes.is_inexact(x.dtype) else None
    steps = n.bit_length()

    # All before `low` go left of the value; so do the next 2^k, k descending, if the last of them does.
    def halve(turn: Tracer, low: Tracer) -> Tracer:
        step = lax.shift_left(lax.full_like(turn, 1), lax.sub(np.int32(steps - 1), turn))
        further = lax.add(low, expand(step, low.shape, ()))
        place = lax.reshape(lax.sub(further, np.int32(1)), (*low.shape, 1))
        here = lax.gather(x, place, lax.GatherDimensionNumbers((), (0,), (0,)), (1,))  # clamped
        right = goes_right(here, wanted)
        if missing is not None:  # NaN sorts last
            after = missing if side == "right" else lax.bitwise_and(missing, lax.eq(here, here))
            right = lax.bitwise_or(right, after)
        return lax.select(lax.bitwise_and(right, lax.le(further, np.int32(n))), further, low)

    # A loop, as one kernel of all steps would wait for each element's reads one after the other.
    low = lax.fori_loop(0, steps, halve, lax.full_like(wanted, 0, np.int32))
    return low


@_public
def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False, *, method: str | None = None) -> Array:
    """The number of the bin each value is in; bins increase, or decrease."""
    edges = as_tracer(bins)
    n = edges.shape[0] if edges.ndim == 1 else 0
    up = searchsorted(edges, x, "left" if right else "right")
    if n < 2:
        return up
    down = lax.sub(lax.full_like(up, n), searchsorted(lax.rev(edges, (0,)), x, "right" if right else "left"))
    increasing = lax.le(lax.index_in_dim(edges, 0, keepdims=False), lax.index_in_dim(edges, n - 1, keepdims=False))
    return lax.select(increasing, up, down)


@_public
def lexsort(keys: Sequence[ArrayLike], axis: int = -1) -> Array:
    """The indices that sort by the last key, then by the one before, and so on; int32."""
    xs = [as_tracer(k) for k in keys] if isinstance(keys, (list, tuple)) else list(as_tracer(keys))
    if not xs:
        raise trace.shape_error("lexsort: there are no keys")
    xs = _core.broadcast("lexsort", xs)
    if not xs[0].ndim:
        return lax.full((), np.int32(0))
    axis = normalize_axis(axis, xs[0].ndim, "lexsort")
    index = lax.broadcasted_iota(np.int32, xs[0].shape, axis)
    return lax.sort((*reversed(xs), index), dimension=axis, num_keys=len(xs))[-1]


@_public
def partition(a: ArrayLike, kth: int, axis: int = -1) -> Array:
    """As `sort`: the k-th element is where it would be in a sorted array, smaller ones before, greater ones after."""
    x = as_tracer(a)
    normalize_axis(kth, x.shape[normalize_axis(axis, x.ndim, "partition")], "partition: kth")
    return _sorted("partition", x, axis, False)[0]


@_public
def argpartition(a: ArrayLike, kth: int, axis: int = -1) -> Array:
    """As `argsort`; see `partition`."""
    x = as_tracer(a)
    normalize_axis(kth, x.shape[normalize_axis(axis, x.ndim, "argpartition")], "argpartition: kth")
    return _sorted("argpartition", x, axis, False)[1]


@_public
def sort_complex(a: ArrayLike) -> Array:
    """Sorted along the last axis by the real part and then the imaginary one; the result is complex."""
    x = as_tracer(a)
    if not dtypes.is_complex(x.dtype):
        wide = x.dtype.itemsize == 8
        x = lax.convert_element_type(x, np.complex128 if wide else np.complex64)
    return _sorted("sort_complex", x, -1, False)[0]


# ---- sets


def _concrete(*values: Any) -> bool:
    return not _core.has_tracer(list(values))


def _unsized(name: str) -> Exception:
    return trace.trace_error(
        f"{name}: the size of its result depends on values, which are not known while tracing; give size="
    )


def _values(array: np.ndarray) -> Any:
    return made(array)


def _places(array: np.ndarray) -> Any:
    return _values(array.astype(dtypes.default_int()))


@array_function
def _unique_sized(ar: ArrayLike, axis: int | None, size: int, fill_value: ArrayLike | None, equal_nan: bool) -> Any:
    """(values, first indices, inverse, counts) of the first `size` different elements, or slices along an axis."""
    x = as_tracer(ar)
    shape = x.shape
    if axis is None:
        rows = lax.reshape(x, (x.size, 1))
        rest: tuple[int, ...] = ()
    else:
        axis = normalize_axis(axis, x.ndim, "unique")
        order = [axis, *(d for d in range(x.ndim) if d != axis)]
        moved = lax.transpose(x, order)
        rest = moved.shape[1:]
        rows = lax.reshape(moved, (moved.shape[0], math.prod(rest)))
    n, m = rows.shape
    if n == 0:
        if size:
            raise trace.shape_error(f"unique: an array of shape {list(shape)} has no elements to fill size={size} with")
        zero = lax.full((0,), np.int32(0))
        return lax.reshape(rows, (0, *rest)), zero, zero, zero
    place = lax.iota(np.int32, n)
    columns = [lax.reshape(lax.slice_in_dim(rows, j, j + 1, axis=1), (n,)) for j in range(m)]
    *columns, index = lax.sort((*columns, place), num_keys=max(m, 1)) if m else (place,)
    new = lax.full((n,), np.asarray(False))
    for c in columns:
        before = lax.concatenate([lax.slice_in_dim(c, 0, 1), lax.slice_in_dim(c, 0, n - 1)], 0)
        differs = lax.ne(c, before)
        if equal_nan and dtypes.is_inexact(c.dtype):
            both = lax.bitwise_and(lax.ne(c, c), lax.ne(before, before))
            differs = lax.bitwise_and(differs, lax.bitwise_not(both))
        new = lax.bitwise_or(new, differs)
    new = lax.bitwise_or(new, lax.eq(place, np.int32(0)))
    group = lax.sub(lax.cumsum(convert(new, np.dtype(np.int32))), np.int32(1))
    count = lax.add(lax.index_in_dim(group, n - 1, keepdims=False), np.int32(1))
    slots = lax.iota(np.int32, size)
    start = searchsorted(group, slots)
    valid = lax.lt(slots, expand(count, (size,), ()))
    ends = searchsorted(group, slots, "right")
    counts = lax.select(valid, lax.sub(ends, start), lax.full_like(start, 0))
    safe = lax.min(start, np.int32(n - 1))
    first = take(index, safe, mode="clip")
    values = take(rows, first, axis=0, mode="clip")
    if fill_value is None:
        fill = lax.broadcast_in_dim(lax.slice_in_dim(values, 0, 1), values.shape, (0, 1)) if size else values
    else:
        fill = expand(lax.convert_element_type(as_tracer(fill_value), values.dtype), values.shape, ())
    values = lax.select(expand(valid, values.shape, (0,)), values, fill)
    first_valid = lax.index_in_dim(first, 0, keepdims=False) if size else np.int32(0)
    first = lax.select(valid, first, expand(trace.lift(first_valid), first.shape, ())) if size else first
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    inverse = lax.scatter(lax.full_like(index, 0), lax.reshape(index, (n, 1)), group, numbers)
    result = lax.reshape(values, (size, *rest))
    if axis is not None:
        back = list(range(1, result.ndim))
        back.insert(axis, 0)
        result = lax.transpose(result, back)
    return result, first, inverse, counts


@_exported
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    size: int | None = None,
    fill_value: Any = None,
    sorted: bool = True,
) -> Any:
    """The different elements, sorted, or the different slices along an axis.

    With `size` there are as many, the first ones, and after the last one `fill_value` (by default the first).

    Returns:
      the elements, and those asked for of: the index where each stands first, the number of each element's value, and
      how often each is there.

    Raises:
      TraceError: the array is traced and no size is given.
    """
    asked = (True, return_index, return_inverse, return_counts)
    if size is None:
        if not _concrete(ar):
            raise _unsized("unique")
        array = np.asarray(ar)
        found = np.unique(_sortable(array), True, True, True, axis, equal_nan=equal_nan)
        parts: tuple[Any, ...] = (_values(found[0].astype(array.dtype, copy=False)), *(_places(i) for i in found[1:]))
    else:
        values, first, inverse, counts = _unique_sized(ar, axis, int(size), fill_value, equal_nan)
        shape = tuple(ar.shape) if hasattr(ar, "shape") else np.shape(ar)
        parts = (values, first, inverse.reshape(shape) if axis is None else inverse, counts)
    chosen = [p for p, wanted in zip(parts, asked) if wanted]
    return chosen[0] if len(chosen) == 1 else tuple(chosen)


def _sortable(array: np.ndarray) -> np.ndarray:
    """The numbers in a type whose NaN NumPy sorts to the end, as it does not in the float types of ml_dtypes."""
    return array if array.dtype.isbuiltin == 1 or not dtypes.is_float(array.dtype) else array.astype(np.float32)


class UniqueAllResult(NamedTuple):
    """Results of `unique_all`."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """Results of `unique_counts`."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """Results of `unique_inverse`."""

    values: Any
    inverse_indices: Any


@_exported
def unique_all(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueAllResult:
    """The different elements, where each stands first, the number of each element's value, and how often it is there.

    NaNs count as different from each other.
    """
    return UniqueAllResult(*unique(x, True, True, True, equal_nan=False, size=size, fill_value=fill_value))


@_exported
def unique_counts(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueCountsResult:
    """The different elements, and how often each is there."""
    return UniqueCountsResult(*unique(x, return_counts=True, equal_nan=False, size=size, fill_value=fill_value))


@_exported
def unique_inverse(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> UniqueInverseResult:
    """The different elements, and the number of each element's value."""
    return UniqueInverseResult(*unique(x, return_inverse=True, equal_nan=False, size=size, fill_value=fill_value))


@_exported
def unique_values(x: Any, /, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The different elements."""
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


@_public
def isin(
    element: ArrayLike,
    test_elements: ArrayLike,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    method: str = "auto",
) -> Array:
    """Whether each element is among the test elements."""
    x, tests = _core.promote(element, test_elements)
    tests = lax.reshape(tests, (tests.size,))
    if not tests.size:
        return lax.full_like(x, invert, np.bool_)
    if tests.size <= 64:
        wide = (*x.shape, tests.size)
        equal = lax.eq(expand(x, wide, range(x.ndim)), expand(tests, wide, (x.ndim,)))
        found = lax.reduce_or(equal, (x.ndim,))
    else:
        ordered = lax.sort(tests)
        place = lax.min(searchsorted(ordered, x), np.int32(tests.size - 1))
        found = lax.eq(take(ordered, place, mode="clip"), x)
    return lax.bitwise_not(found) if invert else found


def _joined(name: str, ar1: Any, ar2: Any) -> tuple[Tracer, Tracer]:
    x, y = _core.promote(ar1, ar2)
    return lax.reshape(x, (x.size,)), lax.reshape(y, (y.size,))


@array_function
def _select_sized(values: ArrayLike, keep: ArrayLike, size: int, fill_value: ArrayLike | None) -> Array:
    from xlac.numpy.indexing import nonzero_places

    x = as_tracer(values)
    where = nonzero_places(as_tracer(keep), size, -1)
    found = take(x, lax.max(where, np.int32(0)), mode="clip")
    if fill_value is None:
        fill = expand(lax.index_in_dim(found, 0, keepdims=False), found.shape, ()) if size else found
    else:
        fill = expand(lax.convert_element_type(as_tracer(fill_value), x.dtype), found.shape, ())
    return lax.select(lax.ge(where, 0), found, fill)


@_exported
def union1d(ar1: Any, ar2: Any, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The different elements of both."""
    from xlac.numpy.joining import concatenate
    from xlac.numpy.shaping import ravel

    return unique(concatenate([ravel(ar1), ravel(ar2)]), size=size, fill_value=fill_value)


@_exported
def setdiff1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The different elements of the first that are not in the second."""
    if size is None:
        if not _concrete(ar1, ar2):
            raise _unsized("setdiff1d")
        x, y = np.asarray(ar1), np.asarray(ar2)
        return _values(np.setdiff1d(_sortable(x), _sortable(y), assume_unique).astype(x.dtype, copy=False))
    return _difference(ar1, ar2, int(size), fill_value)


@array_function
def _difference(ar1: ArrayLike, ar2: ArrayLike, size: int, fill_value: ArrayLike | None) -> Array:
    x, y = _joined("setdiff1d", ar1, ar2)
    ordered = lax.sort(x)
    keep = lax.bitwise_and(_firsts(ordered), isin(ordered, y, invert=True))
    return _select_sized(ordered, keep, size, 0 if fill_value is None else fill_value)


def _firsts(ordered: Tracer) -> Tracer:
    """Which elements of a sorted vector differ from the one before."""
    n = ordered.shape[0]
    if not n:
        return lax.full((0,), np.asarray(False))
    before = lax.concatenate([lax.slice_in_dim(ordered, 0, 1), lax.slice_in_dim(ordered, 0, n - 1)], 0)
    return lax.bitwise_or(lax.ne(ordered, before), lax.eq(lax.iota(np.int32, n), np.int32(0)))


@_exported
def setxor1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, *, size: int | None = None, fill_value: Any = None
) -> Any:
    """The different elements that are in one of both only."""
    if size is None:
        if not _concrete(ar1, ar2):
            raise _unsized("setxor1d")
        return _values(np.setxor1d(ar1, ar2, assume_unique))
    return _symmetric_difference(ar1, ar2, int(size), fill_value)


@array_function
def _symmetric_difference(ar1: ArrayLike, ar2: ArrayLike, size: int, fill_value: ArrayLike | None) -> Array:
    x, y = _joined("setxor1d", ar1, ar2)
    both = lax.sort(lax.concatenate([x, y], 0))
    shared = lax.bitwise_and(isin(both, x), isin(both, y))
    keep = lax.bitwise_and(_firsts(both), lax.bitwise_not(shared))
    return _select_sized(both, keep, size, fill_value)


@_exported
def intersect1d(
    ar1: Any,
    ar2: Any,
    assume_unique: bool = False,
    return_indices: bool = False,
    *,
    size: int | None = None,
    fill_value: Any = None,
) -> Any:
    """The different elements that are in both, and the indices where they stand first, if asked for."""
    if size is None:
        if not _concrete(ar1, ar2):
            raise _unsized("intersect1d")
        found = np.intersect1d(ar1, ar2, assume_unique, return_indices)
        return (_values(found[0]), *(_places(i) for i in found[1:])) if return_indices else _values(found)
    values, first, second = _intersection(ar1, ar2, int(size), fill_value)
    return (values, first, second) if return_indices else values


@array_function
def _intersection(ar1: ArrayLike, ar2: ArrayLike, size: int, fill_value: ArrayLike | None) -> Any:
    x, y = _joined("intersect1d", ar1, ar2)
    n = x.shape[0]
    ordered, index = lax.sort((x, lax.iota(np.int32, n)), num_keys=1)
    other, where = lax.sort((y, lax.iota(np.int32, y.shape[0])), num_keys=1)
    keep = lax.bitwise_and(_firsts(ordered), isin(ordered, y))
    values = _select_sized(ordered, keep, size, fill_value)
    first = _select_sized(index, keep, size, n)
    place = lax.min(searchsorted(other, ordered), np.int32(max(y.shape[0] - 1, 0)))
    second = _select_sized(take(where, place, mode="clip"), keep, size, y.shape[0])
    return values, first, second
