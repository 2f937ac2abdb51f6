"""Arrays from nothing and from other data.

Outside a trace these are NumPy arrays at once, without compiling anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import ArrayLike, as_array, made
from xlac.frontend.stages import leaf_array
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand
from xlac.numpy import _core
from xlac.numpy.types import check_device

__all__ = [
    "arange",
    "array",
    "asarray",
    "bartlett",
    "blackman",
    "copy",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "frombuffer",
    "fromfunction",
    "fromiter",
    "fromstring",
    "full",
    "full_like",
    "geomspace",
    "hamming",
    "hanning",
    "identity",
    "indices",
    "kaiser",
    "linspace",
    "logspace",
    "meshgrid",
    "mgrid",
    "ogrid",
    "ones",
    "ones_like",
    "tri",
    "zeros",
    "zeros_like",
]


def _tracing() -> bool:
    return trace.current() is not None


def _filled(shape: Any, value: Any, dtype: np.dtype) -> Any:
    if not _tracing():
        array = np.zeros(_core.dims(shape), dtype)
        if value:
            array.fill(value)
        return as_array(array)
    return expand(lift(np.asarray(value).astype(dtype)), _core.dims(shape), ())


def zeros(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Zeros, float32 by default."""
    check_device(device)
    return _filled(shape, 0, dtypes.as_dtype(float if dtype is None else dtype))


def ones(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """Ones, float32 by default."""
    check_device(device)
    return _filled(shape, 1, dtypes.as_dtype(float if dtype is None else dtype))


def empty(shape: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """As `zeros`: results do not depend on what memory held."""
    return zeros(shape, dtype, device=device)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Any:
    """An array of one value, which is broadcast to the shape; its type by default."""
    check_device(device)
    if isinstance(fill_value, Tracer) or _tracing():
        value = _core.as_tracer(fill_value)
        value = value if dtype is None else lax.convert_element_type(value, dtype)
        return _core.stretch(convert(value, value.dtype), _core.dims(shape))
    kind = dtypes.type_of(fill_value)[0] if dtype is None and np.ndim(fill_value) == 0 else dtype
    return as_array(np.full(_core.dims(shape), fill_value, None if kind is None else dtypes.as_dtype(kind)))


def _like(a: Any, dtype: Any, shape: Any) -> tuple[tuple[int, ...], np.dtype]:
    if isinstance(a, (list, tuple)):
        a = _core.sequence_array(a)
    own = a.dtype if hasattr(a, "dtype") else dtypes.type_of(a)[0]
    return (np.shape(a) if not hasattr(a, "shape") else tuple(a.shape)) if shape is None else _core.dims(shape), (
        np.dtype(own) if dtype is None else dtypes.as_dtype(dtype)
    )


def zeros_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Zeros with the shape and type of `a`."""
    check_device(device)
    dims, kind = _like(a, dtype, shape)
    return _filled(dims, 0, kind)


def ones_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """Ones with the shape and type of `a`."""
    check_device(device)
    dims, kind = _like(a, dtype, shape)
    return _filled(dims, 1, kind)


def empty_like(a: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """As `zeros_like`."""
    return zeros_like(a, dtype, shape, device=device)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None, *, device: Any = None) -> Any:
    """An array of one value with the shape and type of `a`."""
    check_device(device)
    dims, kind = _like(a, dtype, shape)
    return full(dims, fill_value, kind)


def asarray(
    a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, device: Any = None
) -> Any:
    """`a` as an array: arrays keep their type, Python numbers take the default types (and stay weak while tracing).

    Raises:
      ValueError: `copy` is False but a copy is needed.
      RangeError: a Python integer is not in the integer type asked for.
    """
    check_device(device)
    if dtype is not None and isinstance(a, (bool, int, float, complex)):
        if copy is False:
            raise ValueError("asarray: a number cannot become an array without a copy (copy=False)")
        kind = dtypes.as_dtype(dtype)
        if isinstance(a, int) and dtypes.is_integer(kind):
            dtypes.check_range(a, kind)
        with np.errstate(all="ignore"):
            return made(np.asarray(a).astype(kind))
    if not _tracing():
        if isinstance(a, (list, tuple)):
            if copy is False:
                raise ValueError("asarray: a list cannot become an array without a copy (copy=False)")
            return as_array(_core.sequence_array(a, None if dtype is None else dtypes.as_dtype(dtype)))
        if isinstance(a, range):
            return arange(a.start, a.stop, a.step, dtype)
        if not hasattr(a, "dtype") and not isinstance(a, (bool, int, float, complex)):
            a = np.asarray(a)  # a buffer, or what NumPy knows how to convert
            dtypes.as_dtype(a.dtype)
        foreign = hasattr(a, "__array__") and not isinstance(a, (np.ndarray, np.generic))
        kind = dtypes.type_of(np.asarray(a) if foreign else a)[0]
        result = leaf_array(a, kind)
        if dtype is not None:
            result = result.astype(dtypes.as_dtype(dtype), copy=False)
        if copy is False and result is not a:
            raise ValueError(
                f"asarray: {trace.shown(a)} cannot become {trace.shown(result)} without a copy (copy=False)"
            )
        return as_array(np.array(result) if copy and result is a else result)
    if dtype is not None and isinstance(a, (list, tuple)) and not _core.has_tracer(a):
        return lift(_core.sequence_array(a, dtypes.as_dtype(dtype)))
    x = _core.as_tracer(a)
    return x if dtype is None else lax.convert_element_type(x, dtype)


def array(
    object: Any, dtype: Any = None, copy: bool = True, order: str | None = None, ndmin: int = 0, *, device: Any = None
) -> Any:
    """As `asarray`; outside a trace, a new array."""
    result = asarray(object, dtype, device=device)
    if not _tracing():
        result = as_array(np.array(result, ndmin=ndmin))
    elif result.ndim < ndmin:
        result = lax.reshape(result, (1,) * (ndmin - result.ndim) + result.shape)
    return result


def copy(a: Any, order: str | None = None) -> Any:
    """A copy; while tracing the value itself, as traced arrays are not changed in place."""
    return _core.as_tracer(a) if _tracing() else as_array(np.array(a))


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Any:
    """A buffer's bytes as a one-dimensional array."""
    result = np.frombuffer(buffer, dtypes.as_dtype(dtype), count, offset)
    return made(result)


def _fixed(value: Any) -> Any:
    if isinstance(value, Tracer):
        value.__index__()
    return value


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None, *, device: Any = None) -> Any:
    """start, start + step, ... up to but without stop; all three fixed. int32 of integers, float32 of floats."""
    check_device(device)
    start, stop, step = _fixed(start), _fixed(stop), _fixed(step)
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else step
    given = [v for v in (start, stop, step) if v is not None]
    if dtype is not None:
        kind = dtypes.as_dtype(dtype)
    elif all(type(v) is int for v in given):
        kind = dtypes.default_int() if all(-(2**31) <= v < 2**31 for v in given) else dtypes.INT64
    else:
        kind = dtypes.result_type(*given)
    if not _tracing() or step != 1 or start != 0 or not dtypes.is_integer(kind):
        whole = dtypes.is_integer(kind) and all(isinstance(v, int) for v in (start, stop, step))
        if whole and all(-(2**63) <= v < 2**63 for v in (start, stop, step)):
            result = np.arange(start, stop, step, np.int64)
        elif whole:
            # Modulo 2^64, so that all 64-bit types count exactly.
            first, by = (np.uint64(v % 2**64) for v in (start, step))
            result = np.arange(len(range(start, stop, step)), dtype=np.uint64) * by + first
        else:
            result = np.arange(start, stop, step)
        # Numbers that are not whole are rounded once from double precision.
        result = result.astype(kind)
        if not _tracing():
            return as_array(result)
        if len(result) <= 16 or not dtypes.is_integer(kind):
            return _line(start, step, len(result), kind)
    n = (
        len(range(0, int(np.ceil((stop - start) / step))))
        if not isinstance(stop, int)
        else len(range(start, stop, step))
    )
    return _line(start, step, n, kind)


def _line(start: Any, step: Any, n: int, kind: np.dtype) -> Tracer:
    """start + i * step by iota; computed in double precision where the numbers are not whole."""
    whole = all(float(v) == int(v) for v in (start, step))
    if whole and dtypes.kind(kind) in "sufc":
        x = lax.iota(kind, n)
        if step != 1:
            x = lax.mul(x, np.asarray(int(step)).astype(kind))
        return lax.add(x, np.asarray(int(start)).astype(kind)) if start else x
    wide = lax.iota(np.float64, n)
    x = lax.add(lax.mul(wide, np.float64(step)), np.float64(start))
    return lax.convert_element_type(x, kind)


def linspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    *,
    device: Any = None,
) -> Any:
    """`num` numbers at equal distances from start to stop."""
    check_device(device)
    num = int(_fixed(num))
    if num < 0:
        raise trace.shape_error(f"linspace: num is {num}; it must not be negative")
    kind = dtypes.to_inexact(dtypes.result_type(start, stop)) if dtype is None else dtypes.as_dtype(dtype)
    concrete = not isinstance(start, Tracer) and not isinstance(stop, Tracer)
    if concrete:
        result, step = np.linspace(start, stop, num, endpoint, True, None, axis)
        result = (np.floor(result) if dtypes.is_integer(kind) else result).astype(kind)
        result = made(result)
        return (result, step) if retstep else result
    compute = kind if dtypes.is_inexact(kind) else dtypes.default_float()
    first, last = (lax.convert_element_type(_core.as_tracer(v), compute) for v in (start, stop))
    first, last = _core.broadcast("linspace", [first, last])
    parts = max(num - 1, 1) if endpoint else max(num, 1)
    t = np.arange(num, dtype=np.float64) / parts
    t = t.astype(compute).reshape((num,) + (1,) * first.ndim)
    import xlac.numpy as xnp

    result = xnp.add(xnp.multiply(first, 1 - t), xnp.multiply(last, t))
    if dtypes.is_integer(kind):
        result = lax.convert_element_type(lax.floor(result), kind)
    result = xnp.moveaxis(result, 0, axis)
    return (result, xnp.true_divide(xnp.subtract(last, first), parts)) if retstep else result


def logspace(
    start: ArrayLike,
    stop: ArrayLike,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """`num` numbers at equal ratios from base^start to base^stop."""
    import xlac.numpy as xnp

    result = xnp.power(xnp.asarray(base, dtypes.default_float()), linspace(start, stop, num, endpoint, axis=axis))
    return result if dtype is None else xnp.astype(result, dtype)


def geomspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """`num` numbers at equal ratios from start to stop."""
    import xlac.numpy as xnp

    kind = dtypes.to_inexact(dtypes.result_type(start, stop)) if dtype is None else dtypes.as_dtype(dtype)
    if not isinstance(start, Tracer) and not isinstance(stop, Tracer):
        result = np.geomspace(start, stop, num, endpoint, axis=axis).astype(kind)
        return made(result)
    return xnp.astype(xnp.exp(linspace(xnp.log(start), xnp.log(stop), num, endpoint, axis=axis)), kind)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, *, device: Any = None) -> Any:
    """Ones on the k-th diagonal of an N x M array, zeros elsewhere."""
    check_device(device)
    kind = dtypes.as_dtype(float if dtype is None else dtype)
    if not _tracing():
        return as_array(np.eye(N, M, k).astype(kind))
    dims = (int(_fixed(N)), int(_fixed(N if M is None else M)))
    rows, columns = (lax.broadcasted_iota(np.int32, dims, d) for d in (0, 1))
    return convert(lax.eq(lax.add(rows, np.int32(k)), columns), kind)


def identity(n: int, dtype: Any = None) -> Any:
    """The identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    """Ones on and below the k-th diagonal."""
    kind = dtypes.as_dtype(float if dtype is None else dtype)
    if not _tracing():
        return as_array(np.tri(N, M, k).astype(kind))
    dims = (N, N if M is None else M)
    rows, columns = (lax.broadcasted_iota(np.int32, dims, d) for d in (0, 1))
    return convert(lax.ge(lax.add(rows, np.int32(k)), columns), kind)


def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> list[Any]:
    """Coordinate arrays of a grid from the coordinates along each axis."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing={indexing!r}; it must be 'xy' or 'ij'")
    xs: Sequence[Any] = [asarray(x) for x in xi]
    if not _tracing():
        return [as_array(np.array(g)) for g in np.meshgrid(*xs, copy=copy, sparse=sparse, indexing=indexing)]
    xs = [lax.reshape(x, (x.size,)) for x in xs]
    order = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        order[0], order[1] = 1, 0
    dims = [0] * len(xs)
    for x, d in zip(xs, order):
        dims[d] = x.shape[0]
    result = []
    for x, d in zip(xs, order):
        shape = [1] * len(xs)
        shape[d] = x.shape[0]
        result.append(lax.reshape(x, shape) if sparse else expand(x, dims, (d,)))
    return result


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """An array from another library's, sharing its memory where it can."""
    check_device(device)
    if isinstance(x, Tracer):
        return x
    result = np.from_dlpack(x, copy=copy) if not isinstance(x, np.ndarray) or copy is None else np.array(x, copy=copy)
    return made(result)


def fromfunction(function: Any, shape: Any, *, dtype: Any = float, **kwargs: Any) -> Any:
    """`function` of the index arrays of a shape, one for each dimension."""
    grids = indices(_core.dims(shape), dtype)
    return function(*(grids[d] for d in range(len(grids))), **kwargs)


def fromiter(iter: Any, dtype: Any, count: int = -1) -> Any:
    """An array of what an iterable gives."""
    result = np.fromiter(iter, dtypes.as_dtype(dtype), count)
    return made(result)


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Any:
    """An array of the numbers of a text."""
    result = np.fromstring(string, dtypes.as_dtype(dtype), count, sep=sep)
    return made(result)


def indices(dimensions: Any, dtype: Any = None, sparse: bool = False) -> Any:
    """For each dimension of a shape, the index along it at each place."""
    dims = _core.dims(dimensions)
    kind = dtypes.default_int() if dtype is None else dtypes.as_dtype(dtype)
    if not _tracing():
        grid = np.indices(dims, kind, sparse)  # type: ignore[call-overload]
        return tuple(map(as_array, grid)) if sparse else as_array(grid)
    if sparse:
        return tuple(
            lax.reshape(lax.iota(kind, n), [n if i == d else 1 for i in range(len(dims))]) for d, n in enumerate(dims)
        )
    rows = [lax.broadcasted_iota(kind, (1, *dims), d + 1) for d in range(len(dims))]
    return lax.concatenate(rows, 0) if rows else zeros((0,), kind)


class _Grid:
    """`mgrid[a:b:c, ...]`: coordinate arrays of slices, whole or (`ogrid`) of extent 1 in other dimensions."""

    def __init__(self, sparse: bool) -> None:
        self.sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        single = isinstance(key, slice)
        grid = (np.ogrid if self.sparse else np.mgrid)[key]
        parts = list(grid) if isinstance(grid, (tuple, list)) else grid
        if single or not self.sparse:
            result = np.asarray(parts).astype(_grid_type(np.asarray(parts)))
            return made(result)
        found = [p.astype(_grid_type(p)) for p in parts]
        return [made(p) for p in found]


def _grid_type(array: np.ndarray) -> np.dtype:
    return dtypes.default_float() if array.dtype.kind == "f" else dtypes.default_int()


mgrid, ogrid = _Grid(False), _Grid(True)


# ---- windows


def _window(name: str, what: str) -> Any:
    def call(M: int, *parameters: Any) -> Any:
        result = getattr(np, name)(int(_fixed(M)), *parameters).astype(dtypes.default_float())
        return made(result)

    call.__name__ = name
    call.__doc__ = what
    return call


bartlett = _window("bartlett", "The triangular window of M points, zero at both ends.")
blackman = _window("blackman", "Blackman's window of M points.")
hamming = _window("hamming", "Hamming's window of M points.")
hanning = _window("hanning", "Hann's window of M points.")


def kaiser(M: int, beta: Any) -> Any:
    """Kaiser's window of M points, with the shape parameter beta."""
    if not isinstance(beta, Tracer):
        result = np.kaiser(int(_fixed(M)), beta).astype(dtypes.default_float())
        return made(result)
    import xlac.numpy as xnp

    half = (M - 1) / 2
    place = (np.arange(M) - half) / half if M > 1 else np.zeros(M)
    return xnp.i0(beta * np.sqrt(1 - place**2).astype(dtypes.default_float())) / xnp.i0(beta)
