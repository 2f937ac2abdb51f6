"""Differences, integrals, interpolation and convolution in `xlac.numpy`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, Axis
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, elementwise, reductions
from xlac.numpy._core import as_tracer, normalize_axes, normalize_axis, public_names
from xlac.numpy.indexing import take
from xlac.numpy.sorting import searchsorted

__all__: list[str] = []
_public = public_names(__all__)


@_public
def diff(
    a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None, append: ArrayLike | None = None
) -> Array:
    """Differences of neighbours along an axis, n times; values may be put before and after first."""
    x = as_tracer(a)
    if not x.ndim:
        raise trace.shape_error("diff: a scalar has no neighbours")
    along = normalize_axis(axis, x.ndim, "diff")
    if n < 0:
        raise trace.shape_error(f"diff: n={n}; it must not be negative")
    if n == 0:
        return x

    def beside(v: Any) -> Tracer:
        value = as_tracer(v)
        return (
            _core.stretch(value, [1 if d == along else m for d, m in enumerate(x.shape)]) if not value.ndim else value
        )

    parts = [*([] if prepend is None else [beside(prepend)]), x, *([] if append is None else [beside(append)])]
    if len(parts) > 1:
        x = lax.concatenate(_core.promote(*parts), along)
    for _ in range(n):
        m = x.shape[along]
        if m == 0:
            break
        later, earlier = lax.slice_in_dim(x, 1, m, axis=along), lax.slice_in_dim(x, 0, m - 1, axis=along)
        x = lax.ne(later, earlier) if x.dtype == np.bool_ else lax.sub(later, earlier)
    return x


@_public
def ediff1d(ary: ArrayLike, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None) -> Array:
    """Differences of neighbours in the flat array, with values before and after."""
    x = as_tracer(ary)
    made = diff(lax.reshape(x, (x.size,))) if x.size else lax.reshape(x, (0,))
    parts = [made]
    for given, place in ((to_begin, 0), (to_end, 2)):
        if given is not None:
            value = lax.convert_element_type(as_tracer(given), x.dtype)
            value = lax.reshape(value, (value.size,))
            parts = [value, *parts] if place == 0 else [*parts, value]
    return lax.concatenate(parts, 0)


@_public
def gradient(f: ArrayLike, *varargs: ArrayLike, axis: Axis = None, edge_order: int | None = None) -> Any:
    """Derivatives along axes by central differences, one-sided at the edges.

    Args:
      varargs: the distance between neighbours, one for all axes or one for each; or the coordinates along each.
      edge_order: 1, or 2 for one-sided differences of second order.
    """
    x = _core.inexact(f)
    axes = normalize_axes(axis, x.ndim, "gradient")
    order = 1 if edge_order is None else edge_order
    if order not in (1, 2):
        raise trace.shape_error(f"gradient: edge_order={edge_order}; it must be 1 or 2")
    if len(varargs) not in (0, 1, len(axes)):
        raise trace.shape_error(f"gradient: {len(varargs)} distances for {len(axes)} axes")
    steps = [1.0] * len(axes) if not varargs else list(varargs) * (len(axes) if len(varargs) == 1 else 1)
    results = [_slope(x, d, as_tracer(step), order) for d, step in zip(axes, steps)]
    return results[0] if len(results) == 1 else results


def _slope(x: Tracer, d: int, step: Tracer, order: int) -> Tracer:
    n = x.shape[d]
    if n < order + 1:
        raise trace.shape_error(f"gradient: axis {d} has {n} elements; it needs {order + 1}")
    step = lax.convert_element_type(step, dtypes.real_dtype(x.dtype))

    def part(start: int, stop: int) -> Tracer:
        return lax.slice_in_dim(x, start, stop, axis=d)

    def wide(v: Tracer, like: Tracer) -> Tracer:
        v = convert(v, like.dtype)
        return expand(v, like.shape, () if not v.ndim else (d,))

    def over(value: Tracer, by: Tracer) -> Tracer:
        return lax.div(value, wide(by, value))

    if step.ndim:
        if step.ndim != 1 or step.shape[0] != n:
            raise trace.shape_error(f"gradient: coordinates of shape {trace.shown(step)} along an axis of {n}")
        gaps = lax.sub(lax.slice_in_dim(step, 1, n), lax.slice_in_dim(step, 0, n - 1))
    else:
        gaps = expand(step, (n - 1,), ())
    parts = []
    left, right = lax.slice_in_dim(gaps, 0, 1), lax.slice_in_dim(gaps, n - 2, n - 1)
    first, last = over(lax.sub(part(1, 2), part(0, 1)), left), over(lax.sub(part(n - 1, n), part(n - 2, n - 1)), right)
    if order == 2:
        second, before = lax.slice_in_dim(gaps, 1, 2), lax.slice_in_dim(gaps, n - 3, n - 2)
        next_ = over(lax.sub(part(2, 3), part(1, 2)), second)
        turn = lax.div(left, lax.add(left, second))
        first = lax.sub(first, lax.mul(lax.sub(next_, first), wide(turn, first)))
        previous = over(lax.sub(part(n - 2, n - 1), part(n - 3, n - 2)), before)
        turn = lax.div(right, lax.add(right, before))
        last = lax.add(last, lax.mul(lax.sub(last, previous), wide(turn, last)))
    parts.append(first)
    if n > 2 and not step.ndim:
        parts.append(over(lax.sub(part(2, n), part(0, n - 2)), lax.mul(step, 2)))
    elif n > 2:
        ahead, behind = lax.sub(part(2, n), part(1, n - 1)), lax.sub(part(1, n - 1), part(0, n - 2))
        # The slopes on both sides, each weighted by the other side's distance.
        h0, h1 = lax.slice_in_dim(gaps, 0, n - 2), lax.slice_in_dim(gaps, 1, n - 1)
        both = lax.add(h0, h1)
        parts.append(
            lax.add(
                lax.mul(over(ahead, h1), wide(lax.div(h0, both), ahead)),
                lax.mul(over(behind, h0), wide(lax.div(h1, both), behind)),
            )
        )
    parts.append(last)
    return lax.concatenate(parts, d)


@_public
def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1) -> Array:
    """Integral along an axis by the trapezoidal rule, over places x or at distances dx."""
    values = _core.inexact(y)
    along = normalize_axis(axis, values.ndim, "trapezoid")
    n = values.shape[along]
    both = lax.add(lax.slice_in_dim(values, min(1, n), n, axis=along),
                   lax.slice_in_dim(values, 0, max(n - 1, 0), axis=along))  # fmt: skip
    if x is None:
        return elementwise.multiply(reductions.sum(both, along), elementwise.multiply(dx, 0.5))
    places = as_tracer(x)
    gaps = diff(places, axis=-1 if places.ndim == 1 else along)
    if places.ndim == 1:
        gaps = lax.reshape(gaps, [gaps.size if d == along else 1 for d in range(values.ndim)])
    return elementwise.multiply(reductions.sum(elementwise.multiply(both, gaps), along), 0.5)


@_public
def unwrap(p: ArrayLike, discont: ArrayLike | None = None, axis: int = -1, period: ArrayLike = 2 * math.pi) -> Array:
    """Angles with jumps of more than half a period taken away by adding whole periods."""
    x = as_tracer(p)
    whole = dtypes.is_integer(x.dtype) and dtypes.is_integer(as_tracer(period).dtype)
    x = x if whole else _core.inexact(x)
    along = normalize_axis(axis, x.ndim, "unwrap")
    if x.shape[along] < 2:
        return x
    turn = lax.convert_element_type(as_tracer(period), x.dtype)
    half = elementwise.floor_divide(turn, 2) if whole else elementwise.divide(turn, 2)
    step = diff(x, axis=along)
    reduced = elementwise.subtract(elementwise.mod(elementwise.add(step, half), turn), half)
    at_edge = elementwise.logical_and(elementwise.equal(reduced, elementwise.negative(half)), lax.gt(step, 0))
    if not whole:
        reduced = elementwise.where(at_edge, half, reduced)
    limit = half if discont is None else discont
    change = elementwise.where(elementwise.less(elementwise.abs(step), limit), 0, elementwise.subtract(reduced, step))
    rest = lax.add(lax.slice_in_dim(x, 1, x.shape[along], axis=along), lax.cumsum(change, along))
    return lax.concatenate([lax.slice_in_dim(x, 0, 1, axis=along), rest], along)


@_public
def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    left: ArrayLike | None = None,
    right: ArrayLike | None = None,
    period: ArrayLike | None = None,
) -> Array:
    """Linear interpolation of the points (xp, fp) at x; xp increases, or is taken modulo a period."""
    values = _core.inexact(fp)
    a, points = _core.promote_inexact(x, xp)
    if points.ndim != 1 or values.shape != points.shape or not points.size:
        raise trace.shape_error(
            f"interp: xp of shape {trace.shown(points)} and fp of shape {trace.shown(values)}; they must be vectors of "
            "one length"
        )
    if not dtypes.is_complex(values.dtype):
        a, points, values = _core.promote_inexact(a, points, values)
    if period is not None:
        left = right = None
        turn = lax.convert_element_type(elementwise.abs(as_tracer(period)), a.dtype)
        a, points = elementwise.mod(a, turn), elementwise.mod(points, turn)
        points, order = lax.sort((points, lax.iota(np.int32, points.shape[0])), num_keys=1)
        values = take(values, order, mode="clip")

        def ends(v: Tracer, step: Any) -> Tracer:
            first, last = lax.slice_in_dim(v, 0, 1), lax.slice_in_dim(v, v.shape[0] - 1, v.shape[0])
            if step is not None:
                first, last = elementwise.add(first, step), elementwise.subtract(last, step)
            return lax.concatenate([last, v, first], 0)

        points, values = ends(points, turn), ends(values, None)
    n = points.shape[0]
    if n == 1:
        points = lax.concatenate([points, lax.add(points, lax.full_like(points, 1))], 0)
        values = lax.concatenate([values, values], 0)
    at = lax.clamp(1, searchsorted(points, a, "right"), points.shape[0] - 1)
    x0, x1 = take(points, lax.sub(at, np.int32(1)), mode="clip"), take(points, at, mode="clip")
    y0, y1 = take(values, lax.sub(at, np.int32(1)), mode="clip"), take(values, at, mode="clip")
    width = lax.sub(x1, x0)
    flat = lax.eq(width, 0)
    steps = lax.select(flat, lax.full_like(width, 1), width)
    share = convert(lax.div(lax.sub(a, x0), steps), y0.dtype)
    result = lax.select(flat, y1, lax.add(y0, lax.mul(lax.sub(y1, y0), share)))
    first, last = lax.index_in_dim(values, 0, keepdims=False), lax.index_in_dim(values, n - 1, keepdims=False)
    low, high = lax.index_in_dim(points, 0, keepdims=False), lax.index_in_dim(points, n - 1, keepdims=False)
    result = elementwise.where(elementwise.less(a, low), first if left is None else left, result)
    return elementwise.where(elementwise.greater(a, high), last if right is None else right, result)


@_public
def convolve(
    a: ArrayLike, v: ArrayLike, mode: str = "full", *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """Discrete convolution of two vectors."""
    x, y = _core.promote(a, v)
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise trace.shape_error(
            f"convolve: operands {trace.shown(x)} and {trace.shown(y)}; they must be vectors of some length"
        )
    if x.shape[0] < y.shape[0]:
        x, y = y, x
    m, n = x.shape[0], y.shape[0]
    before = {"full": n - 1, "same": n - 1 - (n - 1) // 2, "valid": 0}.get(mode)
    if before is None:
        raise ValueError(f"convolve: mode={mode!r}; it must be 'full', 'same' or 'valid'")
    after = {"full": n - 1, "same": (n - 1) // 2, "valid": 0}[mode]
    made = lax.conv_general_dilated(
        lax.reshape(x, (1, 1, m)),
        lax.reshape(lax.rev(y, (0,)), (1, 1, n)),
        (1,),
        [(before, after)],
        precision=precision,
        preferred_element_type=preferred_element_type,
    )
    return lax.reshape(made, (made.size,))


@_public
def correlate(
    a: ArrayLike, v: ArrayLike, mode: str = "valid", *, precision: Any = None, preferred_element_type: Any = None
) -> Array:
    """Sums of products of a with v at every shift, v conjugated."""
    x, y = _core.promote(a, v)
    if x.ndim != 1 or y.ndim != 1:
        raise trace.shape_error(f"correlate: operands {trace.shown(x)} and {trace.shown(y)}; they must be vectors")
    settings = {"precision": precision, "preferred_element_type": preferred_element_type}
    if x.shape[0] >= y.shape[0]:
        return convolve(x, lax.rev(lax.conj(y), (0,)), mode, **settings)
    # The shorter one slides; NumPy then counts the shifts from the other end.
    return (
        lax.rev(convolve(y, lax.rev(x, (0,)), mode, **settings), (0,))
        if not dtypes.is_complex(x.dtype)
        else lax.rev(lax.conj(convolve(y, lax.rev(lax.conj(x), (0,)), mode, **settings)), (0,))
    )
