"""Statistics of `xlac.numpy`: quantiles, histograms, covariance."""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, Axis, array_function
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, elementwise, joining, products, reductions, shaping
from xlac.numpy._core import as_tracer, normalize_axes, public_names
from xlac.numpy.creation import linspace
from xlac.numpy.indexing import take_along_axis
from xlac.numpy.sorting import searchsorted

__all__: list[str] = []
_public = public_names(__all__)


def _exported(function: Any) -> Any:
    __all__.append(function.__name__)
    return function


# ---- quantiles

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(
    name: str, a: Any, q: Any, axis: Axis, method: str, keepdims: bool, skip_nan: bool, weights: Any = None
) -> Tracer:
    """Elements at the place q (n - 1) of the sorted ones along the axes, between two of them by the method."""
    if method not in _METHODS:
        raise trace.shape_error(f"{name}: method={method!r}; it must be one of {', '.join(_METHODS)}")
    if weights is not None:
        raise trace.shape_error(f"{name}: weights are not supported")
    x = _core.inexact(a)
    if dtypes.is_complex(x.dtype):
        raise trace.shape_error(f"{name}: complex numbers have no order")
    share = lax.convert_element_type(as_tracer(q), x.dtype)
    axes = normalize_axes(axis, x.ndim, name)
    kept = [d for d in range(x.ndim) if d not in axes]
    n = math.prod(x.shape[d] for d in axes)
    shape = tuple(x.shape[d] for d in kept)
    rows = lax.reshape(lax.transpose(x, [*kept, *axes]), (*shape, n))
    if n == 0:
        result = lax.full((*share.shape, *shape), np.asarray(np.nan, x.dtype))
    else:
        result = _at_share(rows, share, method, skip_nan)
    if keepdims:
        wide = [1 if d in axes else m for d, m in enumerate(x.shape)]
        result = lax.reshape(result, (*share.shape, *wide))
    return result


def _at_share(rows: Tracer, share: Tracer, method: str, skip_nan: bool) -> Tracer:
    *shape, n = rows.shape
    ordered = lax.sort(rows, dimension=rows.ndim - 1)
    full = (*share.shape, *shape)
    wide = expand(share, full, range(share.ndim))
    lead = range(share.ndim, len(full))
    if skip_nan:
        present = lax.reduce_sum(convert(lax.eq(rows, rows), np.dtype(np.int32)), (rows.ndim - 1,))
        count = expand(convert(present, rows.dtype), full, lead)
    else:
        count = lax.full_like(wide, n)
    last = lax.max(lax.sub(count, lax.full_like(count, 1)), lax.full_like(count, 0))
    place = lax.mul(wide, last)
    low, high = lax.floor(place), lax.ceil(place)
    weight = lax.sub(place, low)
    if method == "nearest":
        low = high = lax.round(place, 1)
    elif method == "lower":
        high = low
    elif method == "higher":
        low = high

    def pick(where: Tracer) -> Tracer:
        index = lax.clamp(0, convert(where, np.dtype(np.int32)), n - 1)
        flat = lax.reshape(index, (math.prod(share.shape), *shape))
        found = take_along_axis(ordered, lax.transpose(flat, [*range(1, flat.ndim), 0]), -1, mode="clip")
        found = lax.transpose(found, [found.ndim - 1, *range(found.ndim - 1)])
        return lax.reshape(found, full)

    first, second = pick(low), pick(high)
    if method == "midpoint":
        weight = lax.full_like(weight, 0.5)
    if method in ("linear", "midpoint"):
        # No difference of the two: it overflows, and those of infinities are NaN.
        mixed = lax.add(lax.mul(first, lax.sub(1, weight)), lax.mul(second, weight))
        result = lax.select(lax.eq(first, second), first, mixed)
    else:
        result = first
    missing = lax.full_like(result, np.nan)
    if skip_nan:
        return lax.select(lax.eq(count, lax.full_like(count, 0)), missing, result)
    bad = lax.reduce_or(lax.ne(rows, rows), (rows.ndim - 1,))
    return lax.select(expand(bad, full, lead), missing, result)


def _quantile_function(name: str, percent: bool, skip_nan: bool, what: str) -> Any:
    def call(
        a: ArrayLike,
        q: ArrayLike,
        axis: Axis = None,
        out: None = None,
        overwrite_input: bool = False,
        method: str = "linear",
        keepdims: bool = False,
        *,
        weights: ArrayLike | None = None,
    ) -> Array:
        _core.no_out(name, out)
        share = elementwise.true_divide(q, 100) if percent else q
        return _quantile(name, a, share, axis, method, keepdims, skip_nan, weights)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = what
    return _public(call)


quantile = _quantile_function(
    "quantile",
    False,
    False,
    "The element below which a share q lies; between two, by `method`: linear, lower, higher, midpoint or nearest.",
)
nanquantile = _quantile_function("nanquantile", False, True, "As `quantile`, of what is not NaN.")
percentile = _quantile_function("percentile", True, False, "As `quantile`, the share in percent.")
nanpercentile = _quantile_function("nanpercentile", True, True, "As `percentile`, of what is not NaN.")


@_public
def median(
    a: ArrayLike, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Array:
    """The middle one of the sorted elements over axes, or the mean of the middle two."""
    _core.no_out("median", out)
    return _quantile("median", a, 0.5, axis, "midpoint", keepdims, False)


@_public
def nanmedian(
    a: ArrayLike, axis: Axis = None, out: None = None, overwrite_input: bool = False, keepdims: bool = False
) -> Array:
    """As `median`, of what is not NaN."""
    _core.no_out("nanmedian", out)
    return _quantile("nanmedian", a, 0.5, axis, "midpoint", keepdims, True)


# ---- counting


@array_function
def _counts(x: ArrayLike, weights: ArrayLike | None, length: int) -> Array:
    where = as_tracer(x)
    if where.ndim != 1:
        raise trace.shape_error(f"bincount: an array {trace.shown(where)}; it must be a vector")
    if not dtypes.is_integer(where.dtype) and where.dtype != np.bool_:
        raise trace.shape_error(f"bincount: an array of type {where.dtype.name}; it must be integer")
    where = lax.max(lax.convert_element_type(where, np.int32), np.int32(0))
    amount = lax.full_like(where, 1) if weights is None else as_tracer(weights)
    zeros = lax.full((length,), np.zeros((), amount.dtype))
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    return lax.scatter_add(zeros, lax.reshape(where, (where.shape[0], 1)), amount, numbers)


@_exported
def bincount(x: Any, weights: Any = None, minlength: int = 0, *, length: int | None = None) -> Any:
    """How often each of 0, 1, ... is in a vector, or the sums of its weights.

    With `length` there are as many, and greater numbers are not counted.

    Raises:
      TraceError: the vector is traced and no length is given.
    """
    if length is None:
        if _core.has_tracer([x]):
            raise trace.trace_error(
                "bincount: the size of its result depends on values, which are not known while tracing; give length="
            )
        array = np.asarray(x)
        length = max(int(array.max(initial=-1)) + 1, minlength)
        if array.size and array.min() < 0:
            raise trace.shape_error("bincount: a number is negative")
    return _counts(x, weights, length)


def _edges(x: Tracer, bins: Any, range: Any, name: str) -> Tracer:
    """The boundaries between the bins, of a float type."""
    if isinstance(bins, str):
        raise trace.shape_error(f"{name}: bins={bins!r}; it must be a number of bins or the boundaries between them")
    if np.ndim(bins) == 1 or (isinstance(bins, Tracer) and bins.ndim == 1):
        return as_tracer(bins)
    count = int(bins.__index__())
    kind = dtypes.to_inexact(x.dtype)
    if range is not None:
        low, high = (lax.convert_element_type(as_tracer(v), kind) for v in range)
    elif x.size == 0:
        low, high = (trace.lift(np.asarray(v, kind)) for v in (0, 1))
    else:
        low, high = (lax.convert_element_type(f(x), kind) for f in (reductions.min, reductions.max))
    flat = lax.eq(low, high)
    half = lax.full_like(low, 0.5)
    low, high = lax.select(flat, lax.sub(low, half), low), lax.select(flat, lax.add(high, half), high)
    return linspace(low, high, count + 1, dtype=kind)


@_public
def histogram_bin_edges(a: ArrayLike, bins: Any = 10, range: Any = None, weights: ArrayLike | None = None) -> Array:
    """The boundaries of bins of equal width between the least and the greatest element, or over a range."""
    x = as_tracer(a)
    return _edges(lax.reshape(x, (x.size,)), bins, range, "histogram_bin_edges")


def _bin_of(x: Tracer, edges: Tracer) -> Tracer:
    """The number of each element's bin; the last one holds its upper boundary, and -1 or beyond is outside."""
    place = lax.sub(searchsorted(edges, x, "right"), np.int32(1))
    last = lax.index_in_dim(edges, edges.shape[0] - 1, keepdims=False)
    _, top = _core.promote(x, last)
    at_end = lax.eq(_core.promote(x, last)[0], expand(top, x.shape, ()))
    return lax.select(at_end, lax.full_like(place, edges.shape[0] - 2), place)


@_public
def histogram(
    a: ArrayLike,
    bins: Any = 10,
    range: Any = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Array, Array]:
    """How many elements are in each bin, or the sums of their weights, and the bins' boundaries.

    With `density` the counts are divided by their sum and the bins' widths.
    """
    x = as_tracer(a)
    flat = lax.reshape(x, (x.size,))
    edges = _edges(flat, bins, range, "histogram")
    count = edges.shape[0] - 1
    place = _bin_of(flat, edges)
    amount = None if weights is None else lax.reshape(as_tracer(weights), (x.size,))
    inside = lax.bitwise_and(lax.ge(place, 0), lax.lt(place, count))
    place = lax.select(inside, place, lax.full_like(place, count))
    total = _counts(place, amount, count)
    if density:
        widths = lax.sub(lax.slice_in_dim(edges, 1, count + 1), lax.slice_in_dim(edges, 0, count))
        whole = elementwise.multiply(reductions.sum(total), widths)
        return elementwise.true_divide(total, whole), edges
    return total, edges


@_public
def histogramdd(
    sample: ArrayLike,
    bins: Any = 10,
    range: Any = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Array, list[Array]]:
    """How many points, rows of a matrix, are in each bin of a grid, and the boundaries along each dimension."""
    points = as_tracer(sample)
    if points.ndim != 2:
        raise trace.shape_error(f"histogramdd: points of shape {trace.shown(points)}; they must be rows of a matrix")
    n, rank = points.shape
    each = list(bins) if isinstance(bins, (list, tuple)) else [bins] * rank
    ranges = [None] * rank if range is None else list(range)
    if len(each) != rank or len(ranges) != rank:
        raise trace.shape_error(f"histogramdd: {len(each)} bins and {len(ranges)} ranges for {rank} dimensions")
    edges, flat, inside = [], lax.full((n,), np.int32(0)), lax.full((n,), np.asarray(True))
    counts = []
    for d, (b, r) in enumerate(zip(each, ranges)):
        column = lax.reshape(lax.slice_in_dim(points, d, d + 1, axis=1), (n,))
        boundary = _edges(column, b, r, "histogramdd")
        place = _bin_of(column, boundary)
        count = boundary.shape[0] - 1
        inside = lax.bitwise_and(inside, lax.bitwise_and(lax.ge(place, 0), lax.lt(place, count)))
        flat = lax.add(lax.mul(flat, np.int32(count)), place)
        edges.append(boundary)
        counts.append(count)
    size = math.prod(counts)
    total = _counts(lax.select(inside, flat, lax.full_like(flat, size)), weights, size)
    total = lax.reshape(total, counts)
    if not dtypes.is_inexact(total.dtype):
        total = lax.convert_element_type(total, dtypes.default_float())
    if density:
        whole: Any = reductions.sum(total)
        for d, (boundary, count) in enumerate(zip(edges, counts)):
            widths = lax.sub(lax.slice_in_dim(boundary, 1, count + 1), lax.slice_in_dim(boundary, 0, count))
            whole = elementwise.multiply(
                whole, lax.reshape(widths, [count if i == d else 1 for i in builtins.range(rank)])
            )
        total = elementwise.true_divide(total, whole)
    return total, edges


@_public
def histogram2d(
    x: ArrayLike,
    y: ArrayLike,
    bins: Any = 10,
    range: Any = None,
    weights: ArrayLike | None = None,
    density: bool | None = None,
) -> tuple[Array, Array, Array]:
    """How many points are in each bin of a plane grid, and the boundaries along x and y."""
    a, b = _core.promote(x, y)
    points = lax.concatenate([lax.reshape(v, (v.size, 1)) for v in (a, b)], 1)
    pair = list(bins) if isinstance(bins, (list, tuple)) and len(bins) == 2 else [bins, bins]
    total, (first, second) = histogramdd(points, pair, range, weights, density)
    return total, first, second


# ---- covariance


@_public
def cov(
    m: ArrayLike,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
    dtype: Any = None,
) -> Array:
    """Covariance matrix of variables in rows (in columns, with rowvar=False), observations weighted."""
    x = shaping.atleast_2d(_core.inexact(m))
    x = x if dtype is None else lax.convert_element_type(x, dtype)
    if not rowvar and x.shape[0] != 1:
        x = lax.transpose(x, (1, 0))
    if y is not None:
        other = shaping.atleast_2d(_core.inexact(y))
        x = joining.concatenate([x, other if rowvar or other.shape[0] == 1 else lax.transpose(other, (1, 0))], 0)
    ddof = (0 if bias else 1) if ddof is None else ddof
    n = x.shape[1]
    real_type = dtypes.real_dtype(x.dtype)
    weights: Any = None
    for given in (fweights, aweights):
        if given is not None:
            w = lax.convert_element_type(as_tracer(given), real_type)
            if w.shape != (n,):
                raise trace.shape_error(f"cov: weights of shape {trace.shown(w)} for {n} observations")
            weights = w if weights is None else lax.mul(weights, w)
    if weights is None:
        apart = elementwise.subtract(x, reductions.mean(x, 1, keepdims=True))
        divisor: Any = lax.full((), np.asarray(n - ddof, real_type))
        scaled = apart
    else:
        total = reductions.sum(weights)
        wide = expand(convert(weights, x.dtype), x.shape, (1,))
        centre = lax.div(reductions.sum(lax.mul(x, wide), 1, keepdims=True), convert(total, x.dtype))
        apart = elementwise.subtract(x, centre)
        scaled = lax.mul(apart, wide)
        if ddof == 0:
            divisor = total
        elif aweights is None:
            divisor = lax.sub(total, lax.full_like(total, ddof))
        else:
            inner = reductions.sum(lax.mul(weights, lax.convert_element_type(as_tracer(aweights), real_type)))
            divisor = lax.sub(total, lax.div(lax.mul(lax.full_like(total, ddof), inner), total))
    made = products.dot(apart, lax.transpose(lax.conj(scaled), (1, 0)))
    made = lax.div(made, expand(convert(divisor, made.dtype), made.shape, ()))
    return shaping.squeeze(made)


@_public
def corrcoef(x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, dtype: Any = None) -> Array:
    """Correlation coefficients of variables in rows (in columns, with rowvar=False)."""
    c = cov(x, y, rowvar, dtype=dtype)
    if not c.ndim:
        return lax.div(c, c)
    size = lax.sqrt(lax.real(shaping.diagonal(c)) if dtypes.is_complex(c.dtype) else shaping.diagonal(c))
    size = convert(size, c.dtype)
    c = lax.div(lax.div(c, expand(size, c.shape, (0,))), expand(size, c.shape, (1,)))

    def limited(v: Tracer) -> Tracer:
        return lax.clamp(-1.0, v, 1.0)

    if dtypes.is_complex(c.dtype):
        return lax.complex(limited(lax.real(c)), limited(lax.imag(c)))
    return limited(c)
