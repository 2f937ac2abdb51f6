"""Reductions and running reductions of `xlac.numpy`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, Axis
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert, expand, identity
from xlac.lax.reductions import arg_extreme, reduce_named
from xlac.numpy import _core, elementwise
from xlac.numpy._core import as_tracer, normalize_axes, normalize_axis, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _keep(x: Tracer, result: Tracer, axes: tuple[int, ...], keepdims: bool) -> Tracer:
    return lax.reshape(result, [1 if d in axes else n for d, n in enumerate(x.shape)]) if keepdims else result


def _masked(x: Tracer, where: Any, name: str) -> Tracer:
    """`x` with the neutral value of a reducer where the mask does not hold."""
    if where is None:
        return x
    mask, x = _core.broadcast("where", [elementwise.truth(as_tracer(where)), x])
    return lax.select(mask, x, expand(trace.lift(identity(name, x.dtype)), x.shape, ()))


def _sum_type(x: Tracer, dtype: Any) -> tuple[np.dtype, np.dtype]:
    """(type to add in, type of the result): narrow integers as the default, narrow floats in float32."""
    if dtype is not None:
        result = dtypes.as_dtype(dtype)
    elif x.dtype == np.bool_ or (dtypes.is_integer(x.dtype) and x.dtype.itemsize < dtypes.default_int().itemsize):
        result = np.dtype(dtypes.default_int().name.replace("int", "uint" if dtypes.kind(x.dtype) == "u" else "int"))
    else:
        result = x.dtype
    narrow = dtypes.is_float(result) and result.itemsize < 4
    return (dtypes.FLOAT32 if narrow else result), result


def _accumulate(
    name: str, opcode: str, a: Any, axis: Axis, dtype: Any, keepdims: bool, initial: Any, where: Any, widen: bool
) -> Tracer:
    x = as_tracer(a)
    if not widen and dtype is None and dtypes.is_integer(x.dtype):
        dtype = x.dtype
    compute, result = _sum_type(x, dtype)
    weak = x.weak_type and dtype is None
    x = _masked(convert(x, compute), where, opcode)
    axes = normalize_axes(axis, x.ndim, name)
    total = reduce_named(opcode, x, axes)
    if initial is not None:
        total = elementwise.add(total, initial) if opcode == "add" else elementwise.multiply(total, initial)
    return _keep(x, convert(total, result, weak), axes, keepdims)


@_public
def sum(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Array:
    """Sum over axes; float16 and bfloat16 are added in float32.

    Integers narrower than 32 bits are added as int32 or uint32, or with `promote_integers=False` in their own type.
    """
    _core.no_out("sum", out)
    return _accumulate("sum", "add", a, axis, dtype, keepdims, initial, where, promote_integers)


@_public
def prod(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
    promote_integers: bool = True,
) -> Array:
    """Product over axes, in types as `sum`'s."""
    _core.no_out("prod", out)
    return _accumulate("prod", "multiply", a, axis, dtype, keepdims, initial, where, promote_integers)


def _extreme(name: str, opcode: str, a: Any, axis: Axis, out: Any, keepdims: bool, initial: Any, where: Any) -> Tracer:
    _core.no_out(name, out)
    x = as_tracer(a)
    axes = normalize_axes(axis, x.ndim, name)
    if initial is None and 0 in [x.shape[d] for d in axes]:
        raise trace.shape_error(f"{name}: an array {trace.shown(x)} has no elements along axis {axis}; give initial=")
    if where is not None and initial is None:
        raise trace.shape_error(f"{name}: where= needs initial=, for the case that it holds nowhere")
    x = _masked(x, where, opcode)
    result = reduce_named(opcode, x, axes)
    if initial is not None:
        result = (elementwise.maximum if opcode == "maximum" else elementwise.minimum)(result, initial)
    return _keep(x, result, axes, keepdims)


@_public
def max(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Greatest over axes; NaN if there is one."""
    return _extreme("max", "maximum", a, axis, out, keepdims, initial, where)


@_public
def min(
    a: ArrayLike,
    axis: Axis = None,
    out: None = None,
    keepdims: bool = False,
    initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:
    """Least over axes; NaN if there is one."""
    return _extreme("min", "minimum", a, axis, out, keepdims, initial, where)


amax, amin = max, min
__all__ += ["amax", "amin"]


def _logic(name: str, opcode: str, a: Any, axis: Axis, out: Any, keepdims: bool, where: Any) -> Tracer:
    _core.no_out(name, out)
    x = _masked(elementwise.truth(as_tracer(a)), where, opcode)
    axes = normalize_axes(axis, x.ndim, name)
    return _keep(x, reduce_named(opcode, x, axes), axes, keepdims)


@_public
def any(
    a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: ArrayLike | None = None
) -> Array:
    """Whether any element over axes is true."""
    return _logic("any", "or", a, axis, out, keepdims, where)


@_public
def all(
    a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, *, where: ArrayLike | None = None
) -> Array:
    """Whether all elements over axes are true."""
    return _logic("all", "and", a, axis, out, keepdims, where)


def _count(x: Tracer, axes: tuple[int, ...], where: Any, dtype: np.dtype, keepdims: bool) -> Any:
    """How many elements are reduced, as a number or, under a mask, an array."""
    if where is None:
        return math.prod(x.shape[d] for d in axes)
    mask = _core.stretch(elementwise.truth(as_tracer(where)), x.shape)
    return _keep(x, reduce_named("add", convert(mask, dtype), axes), axes, keepdims)


@_public
def mean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
) -> Array:
    """Mean over axes; of integers, a float."""
    _core.no_out("mean", out)
    x = as_tracer(a)
    result = dtypes.as_dtype(dtype) if dtype is not None else dtypes.to_inexact(x.dtype)
    weak = x.weak_type and dtype is None
    compute = dtypes.FLOAT32 if dtypes.is_float(result) and result.itemsize < 4 else result
    axes = normalize_axes(axis, x.ndim, "mean")
    x = convert(x, compute)
    total = _keep(x, reduce_named("add", _masked(x, where, "add"), axes), axes, keepdims)
    n = _count(x, axes, where, compute, keepdims)
    total = lax.div(total, n if isinstance(n, Tracer) else lax.full_like(total, n))
    return convert(total, result, weak)


_mean = mean


@_public
def average(
    a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None, returned: bool = False, keepdims: bool = False
) -> Any:
    """Mean over axes, weighted."""
    x = as_tracer(a)
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        if not returned:
            return result
        axes = normalize_axes(axis, x.ndim, "average")
        return result, lax.full_like(result, math.prod(x.shape[d] for d in axes))
    w = as_tracer(weights)
    if w.shape != x.shape:
        axes = normalize_axes(axis, x.ndim, "average")
        if w.shape != tuple(x.shape[d] for d in axes):
            raise trace.shape_error(
                f"average: weights of shape {trace.shown(w)} for an array {trace.shown(x)} along {axis}"
            )
        w = expand(w, x.shape, axes)
    x, w = _core.operands_inexact("average", x, w)
    total = sum(w, axis, keepdims=keepdims)
    result = lax.div(sum(lax.mul(x, w), axis, keepdims=keepdims), total)
    return (result, total) if returned else result


@_public
def var(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    correction: float | None = None,
) -> Array:
    """Variance over axes: mean of |a - mean|^2, with n - ddof in place of n."""
    _core.no_out("var", out)
    ddof = ddof if correction is None else correction  # type: ignore[assignment]
    x = as_tracer(a)
    result = dtypes.as_dtype(dtype) if dtype is not None else dtypes.to_inexact(x.dtype)
    compute = dtypes.FLOAT32 if dtypes.is_float(result) and result.itemsize < 4 else result
    x = convert(x, compute)
    axes = normalize_axes(axis, x.ndim, "var")
    centre = _mean(x, axis, keepdims=True, where=where) if mean is None else convert(as_tracer(mean), compute)
    apart = lax.sub(x, _core.stretch(centre, x.shape))
    squares = lax.real(lax.mul(apart, lax.conj(apart))) if dtypes.is_complex(compute) else lax.mul(apart, apart)
    total = _keep(squares, reduce_named("add", _masked(squares, where, "add"), axes), axes, keepdims)
    n = _count(squares, axes, where, squares.dtype, keepdims)
    if isinstance(n, Tracer):
        divisor = lax.max(lax.sub(n, lax.full_like(n, ddof)), lax.full_like(n, 0))
    else:
        divisor = lax.full_like(total, n - ddof if n > ddof else 0)
    return convert(lax.div(total, divisor), dtypes.real_dtype(result))


@_public
def std(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    ddof: int = 0,
    keepdims: bool = False,
    *,
    where: ArrayLike | None = None,
    mean: ArrayLike | None = None,
    correction: float | None = None,
) -> Array:
    """Standard deviation over axes."""
    return lax.sqrt(var(a, axis, dtype, out, ddof, keepdims, where=where, mean=mean, correction=correction))


@_public
def ptp(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False) -> Array:
    """Greatest minus least over axes."""
    return elementwise.subtract(max(a, axis, out, keepdims), min(a, axis, out, keepdims))


@_public
def count_nonzero(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """How many elements over axes are not zero, int32."""
    return sum(elementwise.truth(as_tracer(a)), axis, dtype=np.int32, keepdims=keepdims)


@_public
def argmax(a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """Index of the greatest element along an axis (of the flat array, without one), the first of several; int32."""
    return _arg("maximum", "argmax", a, axis, out, bool(keepdims))


@_public
def argmin(a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """Index of the least element along an axis (of the flat array, without one), the first of several; int32."""
    return _arg("minimum", "argmin", a, axis, out, bool(keepdims))


def _arg(opcode: str, name: str, a: Any, axis: int | None, out: Any, keepdims: bool) -> Tracer:
    _core.no_out(name, out)
    x = as_tracer(a)
    ndim = x.ndim
    if axis is None:
        x, along = lax.reshape(x, (x.size,)), 0
    else:
        along = normalize_axis(axis, x.ndim, name)
    if x.shape[along] == 0:
        raise trace.shape_error(f"{name}: an array {trace.shown(x)} has no elements along axis {axis}")
    result = arg_extreme(x, along, np.int32, opcode)
    if not keepdims:
        return result
    return lax.reshape(result, (1,) * ndim) if axis is None else lax.expand_dims(result, (along,))


# ---- ignoring NaN


def _without_nan(a: Any, opcode: str) -> Tracer:
    x = as_tracer(a)
    if not dtypes.is_inexact(x.dtype):
        return x
    return lax.select(lax.ne(x, x), expand(trace.lift(identity(opcode, x.dtype)), x.shape, ()), x)


def _valid(a: Any) -> Tracer:
    x = as_tracer(a)
    return lax.eq(x, x)


def _both(valid: Tracer, where: Any) -> Tracer:
    return valid if where is None else elementwise.logical_and(valid, where)


@_public
def nansum(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Sum over axes, NaN as 0."""
    return sum(_without_nan(a, "add"), axis, dtype, out, keepdims, initial, where)


@_public
def nanprod(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, out: None = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Product over axes, NaN as 1."""
    return prod(_without_nan(a, "multiply"), axis, dtype, out, keepdims, initial, where)


@_public
def nanmean(
    a: ArrayLike,
    axis: Axis = None,
    dtype: Any = None,
    out: None = None,
    keepdims: bool = False,
    where: ArrayLike | None = None,
) -> Array:
    """Mean over axes of what is not NaN."""
    return mean(a, axis, dtype, out, keepdims, where=_both(_valid(a), where))


@_public
def nanvar(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False,
    where: ArrayLike | None = None, mean: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Variance over axes of what is not NaN; `mean` is their mean where it is known."""
    return var(a, axis, dtype, out, ddof, keepdims, where=_both(_valid(a), where), mean=mean)


@_public
def nanstd(
    a: ArrayLike, axis: Axis = None, dtype: Any = None, out: None = None, ddof: int = 0, keepdims: bool = False,
    where: ArrayLike | None = None, mean: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Standard deviation over axes of what is not NaN; see `nanvar`."""
    return lax.sqrt(nanvar(a, axis, dtype, out, ddof, keepdims, where, mean))


def _nan_extreme(function: Any, opcode: str, a: Any, axis: Axis, keepdims: bool, initial: Any, where: Any) -> Tracer:
    x = as_tracer(a)
    result = function(_without_nan(x, opcode), axis, keepdims=keepdims, initial=initial, where=where)
    if not dtypes.is_inexact(x.dtype) or initial is not None:
        return result
    return lax.select(any(_valid(x), axis, keepdims=keepdims), result, lax.full_like(result, math.nan))


@_public
def nanmax(
    a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Greatest over axes of what is not NaN."""
    _core.no_out("nanmax", out)
    return _nan_extreme(max, "maximum", a, axis, keepdims, initial, where)


@_public
def nanmin(
    a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, initial: ArrayLike | None = None,
    where: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """Least over axes of what is not NaN."""
    _core.no_out("nanmin", out)
    return _nan_extreme(min, "minimum", a, axis, keepdims, initial, where)


def _nan_arg(opcode: str, name: str, a: Any, axis: int | None, out: Any, keepdims: bool) -> Tracer:
    """-1 where all are NaN."""
    x = as_tracer(a)
    found = _arg(opcode, name, _without_nan(x, opcode), axis, out, bool(keepdims))
    if not dtypes.is_inexact(x.dtype):
        return found
    present = any(_valid(x), axis, keepdims=bool(keepdims))
    return lax.select(present, found, lax.full_like(found, -1))


@_public
def nanargmax(a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """Index of the greatest element that is not NaN; -1 where all are."""
    return _nan_arg("maximum", "nanargmax", a, axis, out, bool(keepdims))


@_public
def nanargmin(a: ArrayLike, axis: int | None = None, out: None = None, keepdims: bool | None = None) -> Array:
    """Index of the least element that is not NaN; -1 where all are."""
    return _nan_arg("minimum", "nanargmin", a, axis, out, bool(keepdims))


@_public
def logsumexp(a: ArrayLike, axis: Axis = None, b: ArrayLike | None = None, keepdims: bool = False) -> Array:
    """log(sum(b e^a)) over axes, without overflow."""
    x = _core.inexact(a)
    weights = None
    if b is not None:
        x, weights = _core.operands_inexact("logsumexp", x, b)
    top = lax.stop_gradient(max(x, axis, keepdims=True))
    top = lax.select(lax.is_finite(top), top, lax.full_like(top, 0))
    terms = lax.exp(lax.sub(x, _core.stretch(top, x.shape)))
    total = sum(terms if weights is None else lax.mul(terms, weights), axis, keepdims=keepdims)
    return lax.add(lax.log(total), lax.reshape(top, total.shape))


# ---- running reductions


def _running(name: str, function: Any, a: Any, axis: int | None, dtype: Any, out: Any) -> Tracer:
    _core.no_out(name, out)
    x = as_tracer(a)
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    compute, result = _sum_type(x, dtype)
    along = normalize_axis(axis, x.ndim, name)
    return convert(function(convert(x, compute), along), result)


@_public
def cumsum(a: ArrayLike, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """Running sum along an axis (of the flat array, without one)."""
    return _running("cumsum", lax.cumsum, a, axis, dtype, out)


@_public
def cumprod(a: ArrayLike, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """Running product along an axis (of the flat array, without one)."""
    return _running("cumprod", lax.cumprod, a, axis, dtype, out)


@_public
def nancumsum(a: ArrayLike, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """Running sum along an axis, NaN as 0."""
    return _running("nancumsum", lax.cumsum, _without_nan(a, "add"), axis, dtype, out)


@_public
def nancumprod(a: ArrayLike, axis: int | None = None, dtype: Any = None, out: None = None) -> Array:
    """Running product along an axis, NaN as 1."""
    return _running("nancumprod", lax.cumprod, _without_nan(a, "multiply"), axis, dtype, out)


def _with_initial(x: Tracer, result: Tracer, axis: int, first: int) -> Tracer:
    """The result with a first element before it along the axis."""
    config = [(1 if d == axis else 0, 0, 0) for d in range(x.ndim)]
    return lax.pad(result, np.asarray(first, result.dtype), config)


def _cumulative(name: str, function: Any, x: Any, axis: int | None, dtype: Any, initial: bool, first: int) -> Tracer:
    a = as_tracer(x)
    if axis is None:
        if a.ndim > 1:
            raise trace.shape_error(f"{name}: give axis= for an array {trace.shown(a)}")
        a, axis = lax.reshape(a, (a.size,)), 0
    along = normalize_axis(axis, a.ndim, name)
    result = _running(name, function, a, along, dtype, None)
    return _with_initial(a, result, along, first) if initial else result


@_public
def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    """Running sum along an axis, which a vector need not name; with `include_initial` from 0 on."""
    return _cumulative("cumulative_sum", lax.cumsum, x, axis, dtype, include_initial, 0)


@_public
def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Array:
    """Running product along an axis, which a vector need not name; with `include_initial` from 1 on."""
    return _cumulative("cumulative_prod", lax.cumprod, x, axis, dtype, include_initial, 1)


@_public
def allclose(
    a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-5, atol: ArrayLike = 1e-8, equal_nan: bool = False
) -> Array:
    """Whether all elements are close (see `isclose`)."""
    return all(elementwise.isclose(a, b, rtol, atol, equal_nan))


@_public
def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Array:
    """Whether shapes broadcast together and all elements are then equal."""
    x, y = as_tracer(a1), as_tracer(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return trace.lift(np.asarray(False))
    return all(elementwise.equal(x, y))


@_public
def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Array:
    """Whether shapes and all elements are equal."""
    x, y = as_tracer(a1), as_tracer(a2)
    if x.shape != y.shape:
        return trace.lift(np.asarray(False))
    same = elementwise.equal(x, y)
    if equal_nan:
        same = lax.bitwise_or(same, lax.bitwise_and(elementwise.isnan(x), elementwise.isnan(y)))
    return all(same)
