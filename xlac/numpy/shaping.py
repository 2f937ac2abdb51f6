"""Functions of `xlac.numpy` that move the elements of one array: reshape, transpose, repeat, flip, roll, diagonals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, indexing, trace
from xlac.frontend.eager import Array, ArrayLike, Axis, array_function, made
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, elementwise
from xlac.numpy._core import as_tracer, normalize_axes, normalize_axis, public_names
from xlac.numpy.types import check_device

__all__: list[str] = []
_public = public_names(__all__)


# ---- same elements, other shape


def reshape(a: Any, shape: Any, order: str = "C", *, copy: bool | None = None) -> Any:
    """Another shape of as many elements; one extent may be -1. Order is "C" or "F".

    Outside a trace the result is a new array, or a view of the same memory where `copy` is False.

    Raises:
      ValueError: `copy` is False but the elements do not lie in memory as the new shape needs them.
    """
    if copy is False and isinstance(a, np.ndarray):
        result = a.reshape(_reshaped_dims(a, shape), order=order)  # type: ignore[call-overload]
        if a.size and not np.may_share_memory(result, a):
            raise ValueError(
                f"reshape: {trace.shown(a)} cannot become {trace.shown(result)} without a copy (copy=False)"
            )
        return made(result)
    return _reshaped(a, shape, order)


__all__.append("reshape")


def _reshaped_dims(x: Any, shape: Any) -> list[int]:
    """A shape argument of `reshape`, with its -1 replaced."""
    target = list(_core.dims(shape))
    if -1 in target:
        at = target.index(-1)
        rest = math.prod(n for i, n in enumerate(target) if i != at)
        if target.count(-1) > 1 or (rest and x.size % rest) or not rest:
            raise trace.shape_error(f"reshape: an array {trace.shown(x)} cannot take the shape {target}")
        target[at] = x.size // rest
    if math.prod(target) != x.size or any(n < 0 for n in target):
        raise trace.shape_error(
            f"reshape: an array {trace.shown(x)} has {x.size} elements; shape {target} needs {math.prod(target)}"
        )
    return target


@array_function
def _reshaped(a: ArrayLike, shape: Any, order: str) -> Array:
    x = as_tracer(a)
    target = _reshaped_dims(x, shape)
    if order == "F":
        flipped = lax.transpose(x, range(x.ndim)[::-1])
        return lax.transpose(lax.reshape(flipped, target[::-1]), range(len(target))[::-1])
    if order not in ("C", "A", "K"):
        raise ValueError(f"order={order!r}; it must be 'C' or 'F'")
    return lax.reshape(x, target)


@_public
def ravel(a: ArrayLike, order: str = "C") -> Array:
    """All elements in one dimension."""
    return reshape(a, -1 if as_tracer(a).size else 0, order)


@_public
def transpose(a: ArrayLike, axes: Sequence[int] | None = None) -> Array:
    """Dimensions in the order of `axes`, or reversed."""
    x = as_tracer(a)
    if axes is None:
        return lax.transpose(x, range(x.ndim)[::-1])
    order = tuple(normalize_axis(d, x.ndim, "transpose") for d in axes)
    if sorted(order) != list(range(x.ndim)):
        raise trace.shape_error(
            f"transpose: axes {tuple(axes)} for an array of {x.ndim} dimensions; each must appear once"
        )
    return lax.transpose(x, order)


permute_dims = transpose
__all__.append("permute_dims")


@_public
def matrix_transpose(x: ArrayLike, /) -> Array:
    """The last two dimensions exchanged."""
    a = as_tracer(x)
    if a.ndim < 2:
        raise trace.shape_error(f"matrix_transpose: an array {trace.shown(a)} has fewer than 2 dimensions")
    return swapaxes(a, -1, -2)


@_public
def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Array:
    """Two dimensions exchanged."""
    x = as_tracer(a)
    order = list(range(x.ndim))
    i, j = normalize_axis(axis1, x.ndim, "swapaxes"), normalize_axis(axis2, x.ndim, "swapaxes")
    order[i], order[j] = order[j], order[i]
    return lax.transpose(x, order)


@_public
def moveaxis(a: ArrayLike, source: Axis, destination: Axis) -> Array:
    """Dimensions moved to other places, the rest in order."""
    x = as_tracer(a)
    from_, to = normalize_axes(source, x.ndim, "moveaxis"), normalize_axes(destination, x.ndim, "moveaxis")
    if len(from_) != len(to):
        raise trace.shape_error(f"moveaxis: {len(from_)} sources but {len(to)} destinations")
    order = [d for d in range(x.ndim) if d not in from_]
    for t, f in sorted(zip(to, from_)):
        order.insert(t, f)
    return lax.transpose(x, order)


@_public
def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Array:
    """A dimension moved back before another."""
    x = as_tracer(a)
    axis = normalize_axis(axis, x.ndim, "rollaxis")
    start = start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


@_public
def expand_dims(a: ArrayLike, axis: Axis = 0) -> Array:
    """Dimensions of extent 1 added at places of the result."""
    x = as_tracer(a)
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)  # type: ignore[arg-type]
    places = normalize_axes(axes, x.ndim + len(axes), "expand_dims")
    return lax.expand_dims(x, places) if places else x


@_public
def squeeze(a: ArrayLike, axis: Axis = None) -> Array:
    """Dimensions of extent 1 dropped."""
    x = as_tracer(a)
    if axis is None:
        return lax.reshape(x, [n for n in x.shape if n != 1])
    return lax.squeeze(x, normalize_axes(axis, x.ndim, "squeeze"))


@_public
def broadcast_to(array: ArrayLike, shape: Any) -> Array:
    """Stretched to a shape by NumPy's rules."""
    x, target = as_tracer(array), _core.dims(shape)
    offset = len(target) - x.ndim
    if offset < 0 or any(n not in (1, target[d + offset]) for d, n in enumerate(x.shape)):
        raise trace.shape_error(f"broadcast_to: an array {trace.shown(x)} does not broadcast to {list(target)}")
    return _core.stretch(x, target)


@_public
def broadcast_arrays(*args: ArrayLike) -> list[Array]:
    """All stretched to their common shape."""
    return _core.broadcast("broadcast_arrays", [as_tracer(a) for a in args])


@_public
def atleast_1d(*arys: ArrayLike) -> Any:
    """Scalars as arrays of one dimension."""
    return _each(arys, lambda x: lax.reshape(x, (1,)) if x.ndim == 0 else x)


@_public
def atleast_2d(*arys: ArrayLike) -> Any:
    """Arrays with at least two dimensions, added in front."""
    return _each(arys, lambda x: lax.reshape(x, (1,) * max(0, 2 - x.ndim) + x.shape))


@_public
def atleast_3d(*arys: ArrayLike) -> Any:
    """Arrays with at least three dimensions."""

    def widen(x: Tracer) -> Tracer:
        if x.ndim >= 3:
            return x
        return lax.reshape(x, {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}[x.ndim])

    return _each(arys, widen)


def _each(values: Sequence[Any], function: Callable[[Tracer], Tracer]) -> Any:
    results = [function(as_tracer(v)) for v in values]
    return results[0] if len(results) == 1 else results


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """Another element type; without `copy`, an array that has it already is returned itself."""
    check_device(device)
    if not copy and isinstance(x, np.ndarray) and x.dtype == dtypes.as_dtype(dtype):
        return made(x)
    return _converted(x, dtype)


__all__.append("astype")


@array_function
def _converted(x: ArrayLike, dtype: Any) -> Array:
    return lax.convert_element_type(as_tracer(x), float if dtype is None else dtype)


@_public
def view(x: ArrayLike, dtype: Any) -> Array:
    """The same bytes as another type; the last dimension changes with its width."""
    a = as_tracer(x)
    old, new = a.dtype.itemsize, dtypes.as_dtype(dtype).itemsize
    if new > old:
        if not a.ndim or a.shape[-1] * old % new:
            raise trace.shape_error(
                f"view: the last dimension of {trace.shown(a)} does not hold whole elements of {new} bytes"
            )
        a = lax.reshape(a, (*a.shape[:-1], a.shape[-1] * old // new, new // old))
    result = lax.bitcast_convert_type(a, dtype)
    return lax.reshape(result, (*a.shape[:-1], a.shape[-1] * (old // new))) if new < old and a.ndim else result


# ---- repeating and rearranging


@_public
def tile(A: ArrayLike, reps: Any) -> Array:
    """The array repeated along each dimension."""
    x = as_tracer(A)
    counts = _core.dims(reps)
    rank = max(len(counts), x.ndim)
    counts = (1,) * (rank - len(counts)) + counts
    dims = (1,) * (rank - x.ndim) + x.shape
    places = [2 * d + 1 for d in range(rank)]
    wide = expand(lax.reshape(x, dims), [n for pair in zip(counts, dims) for n in pair], places)
    return lax.reshape(wide, [c * n for c, n in zip(counts, dims)])


@_public
def repeat(a: ArrayLike, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None) -> Array:
    """Each element along an axis repeated; with traced numbers, the length must be given."""
    x = as_tracer(a)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "repeat")
    if isinstance(repeats, Tracer):
        if total_repeat_length is None:
            raise trace.trace_error(
                "repeat: traced numbers of repeats give a result of unknown size; give total_repeat_length"
            )
        return _repeat_traced(x, repeats, axis, total_repeat_length)
    if np.ndim(repeats) == 0 or np.size(repeats) == 1:
        n = int(np.reshape(repeats, ()))
        dims = [*x.shape[: axis + 1], n, *x.shape[axis + 1 :]]
        wide = expand(x, dims, [d for d in range(x.ndim + 1) if d != axis + 1])
        return lax.reshape(wide, [*x.shape[:axis], x.shape[axis] * n, *x.shape[axis + 1 :]])
    places = np.repeat(np.arange(x.shape[axis]), np.asarray(repeats).astype(np.int64))
    if total_repeat_length is not None:
        last = places[-1:] if len(places) else np.zeros(1, np.int64)
        places = np.concatenate([places, np.repeat(last, max(total_repeat_length - len(places), 0))])
        places = places[:total_repeat_length]
    return take_fixed(x, places, axis)


def _repeat_traced(x: Tracer, repeats: Tracer, axis: int, length: int) -> Tracer:
    """Element i stands where the running number of repeats has reached i; the last one fills the rest."""
    n = x.shape[axis]
    counts = _core.stretch(lax.convert_element_type(repeats, np.int32), (n,))
    ends = lax.cumsum(counts)
    place = lax.iota(np.int32, length)
    passed = lax.le(expand(ends, (length, n), (1,)), expand(place, (length, n), (0,)))
    which = lax.reduce_sum(convert(passed, dtypes.INT32), (1,))
    which = lax.min(which, np.int32(max(n - 1, 0)))
    return indexing.getitem(x, (*[slice(None)] * axis, which))


def take_fixed(x: Tracer, places: np.ndarray, axis: int) -> Tracer:
    """The elements at `places` along an axis, which are known while tracing."""
    return indexing.getitem(x, (*[slice(None)] * axis, places.astype(np.int32)))


@_public
def resize(a: ArrayLike, new_shape: Any) -> Array:
    """The elements in row-major order, repeated as often as the new shape needs them."""
    x = as_tracer(a)
    target = _core.dims(new_shape)
    size = math.prod(target)
    flat = lax.reshape(x, (x.size,))
    if not x.size or not size:
        return lax.full_like(x, 0, shape=target)
    copies = -(-size // x.size)
    return lax.reshape(lax.slice_in_dim(lax.concatenate([flat] * copies, 0), 0, size), target)


@_public
def flip(m: ArrayLike, axis: Axis = None) -> Array:
    """Order reversed along axes."""
    x = as_tracer(m)
    return lax.rev(x, normalize_axes(axis, x.ndim, "flip"))


@_public
def fliplr(m: ArrayLike) -> Array:
    """Order reversed along the second axis."""
    return flip(m, 1)


@_public
def flipud(m: ArrayLike) -> Array:
    """Order reversed along the first axis."""
    return flip(m, 0)


@_public
def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """Turned by k right angles, from the first of two axes toward the second."""
    x = as_tracer(m)
    first, second = normalize_axes(tuple(axes), x.ndim, "rot90")
    k %= 4
    if k == 0:
        return x
    if k == 2:
        return flip(x, (first, second))
    if k == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


@_public
def roll(a: ArrayLike, shift: Any, axis: Axis = None) -> Array:
    """Elements moved along axes, those that leave coming back at the other end; the shift may be traced."""
    x = as_tracer(a)
    shape = x.shape
    if axis is None:
        x, axes = lax.reshape(x, (x.size,)), (0,)
    else:
        axes = tuple(normalize_axis(d, x.ndim, "roll") for d in (axis if isinstance(axis, Sequence) else (axis,)))
    shifts = tuple(shift) if isinstance(shift, (tuple, list)) else (shift,)
    count = max(len(shifts), len(axes))
    if {len(shifts), len(axes)} - {1, count}:
        raise trace.shape_error(f"roll: {len(shifts)} shifts along {len(axes)} axes; give one for each, or one for all")
    for amount, d in zip(shifts * (count // max(len(shifts), 1)), axes * (count // max(len(axes), 1))):
        n = x.shape[d]
        if n == 0:
            continue
        if isinstance(amount, Tracer):
            start = lax.convert_element_type(elementwise.mod(elementwise.negative(amount), n), np.int32)
            x = lax.dynamic_slice_in_dim(lax.concatenate([x, x], d), start, n, d)
        elif int(amount) % n:
            cut = n - int(amount) % n
            x = lax.concatenate([lax.slice_in_dim(x, cut, n, axis=d), lax.slice_in_dim(x, 0, cut, axis=d)], d)
    return lax.reshape(x, shape)


def _triangle(m: Any, k: int, lower: bool) -> Tracer:
    x = as_tracer(m)
    if x.ndim < 2:
        raise trace.shape_error(f"{'tril' if lower else 'triu'}: an array {trace.shown(x)} has fewer than 2 dimensions")
    rows, columns = (lax.broadcasted_iota(np.int32, x.shape, x.ndim - 2 + i) for i in (0, 1))
    k = min(max(k, -x.shape[-2]), x.shape[-1])
    keep = lax.ge(lax.add(rows, np.int32(k)), columns) if lower else lax.le(lax.add(rows, np.int32(k)), columns)
    return lax.select(keep, x, lax.full_like(x, 0))


@_public
def tril(m: ArrayLike, k: int = 0) -> Array:
    """Zeros above the k-th diagonal."""
    return _triangle(m, k, True)


@_public
def triu(m: ArrayLike, k: int = 0) -> Array:
    """Zeros below the k-th diagonal."""
    return _triangle(m, k, False)


# ---- diagonals


@_public
def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The elements where two indices differ by `offset`, along a new last axis."""
    x = as_tracer(a)
    first, second = normalize_axes((axis1, axis2), x.ndim, "diagonal")
    x = moveaxis(x, (first, second), (-2, -1))
    rows, columns = x.shape[-2:]
    if offset >= 0:
        x = lax.slice_in_dim(x, min(offset, columns), columns, axis=-1)
    else:
        x = lax.slice_in_dim(x, min(-offset, rows), rows, axis=-2)
    n = min(x.shape[-2:])
    # The diagonal of an n x n matrix lies every n + 1 elements.
    x = lax.slice_in_dim(lax.slice_in_dim(x, 0, n, axis=-2), 0, n, axis=-1)
    flat = lax.reshape(x, (*x.shape[:-2], n * n))
    return lax.slice_in_dim(flat, 0, n * n, n + 1, axis=-1) if n else flat


@_public
def diag(v: ArrayLike, k: int = 0) -> Array:
    """The k-th diagonal of a matrix, or a matrix with a vector on it."""
    x = as_tracer(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise trace.shape_error(f"diag: an array {trace.shown(x)}; it must be a vector or a matrix")
    n = x.shape[0] + abs(k)
    placed = lax.pad(x, lax.full_like(x, 0, shape=()), [(max(k, 0), max(-k, 0), 0)])
    rows, columns = (lax.broadcasted_iota(np.int32, (n, n), d) for d in (0, 1))
    return lax.select(lax.eq(lax.add(rows, np.int32(k)), columns), expand(placed, (n, n), (1,)), expand(
        lift(np.zeros((), x.dtype)), (n, n), ()))  # fmt: skip


@_public
def diagflat(v: ArrayLike, k: int = 0) -> Array:
    """A matrix with all elements on its k-th diagonal."""
    return diag(ravel(v), k)


@_public
def trace_(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: None = None) -> Array:
    """The sum of a diagonal."""
    from xlac.numpy.reductions import sum as sum_

    return sum_(diagonal(a, offset, axis1, axis2), -1, dtype, out)


__all__.remove("trace_")


# ---- what is known of shapes


def shape(a: Any) -> tuple[int, ...]:
    """The extents."""
    return tuple(a.shape) if hasattr(a, "shape") else np.shape(a)


def ndim(a: Any) -> int:
    """The number of dimensions."""
    return len(shape(a))


def size(a: Any, axis: int | None = None) -> int:
    """The number of elements, or the extent of an axis."""
    return math.prod(shape(a)) if axis is None else shape(a)[axis]


__all__ += ["ndim", "shape", "size"]
