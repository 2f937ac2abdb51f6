"""Numbers that describe samples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import xlac.numpy as xnp
from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function

__all__ = ["ModeResult", "mode", "rankdata", "sem"]


class ModeResult(NamedTuple):
    """The most frequent values, and how often they occur."""

    mode: Any
    count: Any


def _propagated(name: str, nan_policy: str) -> None:
    if nan_policy != "propagate":
        raise ShapeError(f"{name}: nan_policy is {nan_policy!r}; it must be 'propagate'")


def _flat(a: Any, axis: int | None) -> tuple[Any, int]:
    x = xnp.asarray(a)
    return (x.ravel(), 0) if axis is None else (x, axis)


@array_function
def mode(a: ArrayLike, axis: int | None = 0, nan_policy: str = "propagate", keepdims: bool = False) -> ModeResult:
    """The most frequent value along an axis, the least of several, and its count; of everything for None.

    Raises:
      ShapeError: nan_policy is not "propagate".
    """
    _propagated("mode", nan_policy)
    x, at = _flat(a, axis)
    ordered = xnp.moveaxis(xnp.sort(x, axis=at), at, -1)
    equal = (ordered[..., :, None] == ordered[..., None, :]).sum(-1)
    best = xnp.argmax(equal, axis=-1, keepdims=True)
    value = xnp.take_along_axis(ordered, best, -1)
    # NaN equals nothing, and is once there.
    count = xnp.maximum(xnp.take_along_axis(equal, best, -1), 1)
    if axis is None and keepdims:
        shape = (1,) * xnp.ndim(a)
        return ModeResult(value.reshape(shape), count.reshape(shape))
    kept = (xnp.moveaxis(v, -1, at) if keepdims else v[..., 0] for v in (value, count))
    return ModeResult(*kept)


@array_function
def rankdata(a: ArrayLike, method: str = "average", *, axis: int | None = None, nan_policy: str = "propagate") -> Array:
    """Ranks from 1, of everything or along an axis; equal values share the average, min or max of their ranks.

    With method "dense" ranks are numbers of distinct values, and "ordinal" tells equal values apart by their places.

    Raises:
      ShapeError: the method is another, or nan_policy is not "propagate".
    """
    _propagated("rankdata", nan_policy)
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ShapeError(f"rankdata: method is {method!r}; it must be average, min, max, dense or ordinal")
    x, at = _flat(a, axis)
    rows = xnp.moveaxis(x, at, -1)
    order = xnp.argsort(rows, axis=-1, stable=True)
    place = xnp.argsort(order, axis=-1, stable=True)
    if method == "ordinal":
        found = place + 1
    else:
        ordered = xnp.take_along_axis(rows, order, -1)
        new = xnp.concatenate([xnp.ones_like(ordered[..., :1], bool), ordered[..., 1:] != ordered[..., :-1]], -1)
        dense = xnp.cumsum(new, axis=-1)
        if method == "dense":
            ranks = dense
        else:
            same = dense[..., :, None] == dense[..., None, :]
            below = (dense[..., None, :] < dense[..., :, None]).sum(-1)
            size = same.sum(-1)
            ranks = {"min": below + 1, "max": below + size}.get(method)
            ranks = below + (size + 1) / 2 if ranks is None else ranks
        found = xnp.take_along_axis(ranks, place, -1)
    if method == "average":
        found = found.astype(x.dtype if xnp.issubdtype(x.dtype, xnp.floating) else xnp.float32)
    if xnp.issubdtype(x.dtype, xnp.inexact):
        bad = xnp.isnan(rows).any(axis=-1, keepdims=True)
        found = xnp.where(bad, xnp.nan, found.astype(x.dtype))
    return xnp.moveaxis(found, -1, at)


@array_function
def sem(
    a: ArrayLike, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *, keepdims: bool = False
) -> Array:
    """The standard error of the mean along an axis, or of everything for None; "omit" leaves NaN out.

    Raises:
      ShapeError: nan_policy is another than "propagate" and "omit".
    """
    x, at = _flat(a, axis)
    if nan_policy == "omit":
        count = (~xnp.isnan(x)).sum(axis=at, keepdims=keepdims)
        return xnp.nanstd(x, axis=at, ddof=ddof, keepdims=keepdims) / xnp.sqrt(count.astype(x.dtype))
    _propagated("sem", nan_policy)
    return xnp.std(x, axis=at, ddof=ddof, keepdims=keepdims) / math.sqrt(x.shape[at])
