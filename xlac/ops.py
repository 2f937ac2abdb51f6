"""`xlac.ops`: reductions of array rows by segment."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.tracer import Tracer

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]


def _limit(dtype: np.dtype, lowest: bool) -> Any:
    if dtype == np.bool_:
        return not lowest
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return info.min if lowest else info.max
    if dtype.kind == "c":
        return complex(-np.inf if lowest else np.inf)
    info = ml_dtypes.finfo(dtype)
    return (
        info.min
        if dtype.itemsize == 1 and lowest
        else info.max
        if dtype.itemsize == 1
        else np.copysign(np.inf, -1 if lowest else 1)
    )


@array_function
def _segments(data: ArrayLike, segment_ids: ArrayLike, how: str, count: int, mode: Any) -> Array:
    import xlac.numpy as xnp

    rows, ids = xnp.asarray(data), xnp.asarray(segment_ids)
    if ids.dtype.kind not in "iu" or rows.shape[: ids.ndim] != ids.shape:
        raise ShapeError(
            f"segment_{how}: segment_ids is {ids.dtype.name}{list(ids.shape)} and data {rows.dtype.name}"
            f"{list(rows.shape)}; the ids must be integers, one for each row of data"
        )
    start = {"sum": 0, "prod": 1}.get(how)
    value = _limit(rows.dtype, how == "max") if start is None else start
    result = xnp.full((count, *rows.shape[ids.ndim :]), value, rows.dtype)
    # Negative ids belong to no segment.
    place = result.at[xnp.where(ids < 0, count, ids)]
    verb = {"sum": "add", "prod": "multiply", "max": "max", "min": "min"}[how]
    return getattr(place, verb)(rows, mode="drop" if mode is None else mode)


def _segment(
    how: str, data: Any, segment_ids: Any, num_segments: int | None, bucket_size: int | None, mode: Any
) -> Any:
    if num_segments is None:
        if isinstance(segment_ids, Tracer):
            raise ShapeError(f"segment_{how}: segment_ids is traced; give num_segments, which the result's shape needs")
        num_segments = int(np.max(segment_ids, initial=-1)) + 1
    if num_segments < 0:
        raise ShapeError(f"segment_{how}: num_segments is {num_segments}; it must not be negative")
    return _segments(data, segment_ids, how, int(num_segments), mode)


def segment_sum(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Array:
    """Sums of the rows of `data` with equal ids: row k of the result is that of id k.

    Ids outside of [0, num_segments) belong to no segment, and segments without rows are 0. Without `num_segments`,
    which traced ids need, it is the largest id and one. The other arguments are accepted as in JAX.
    """
    return _segment("sum", data, segment_ids, num_segments, bucket_size, mode)


def segment_prod(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Array:
    """As `segment_sum`, of products; segments without rows are 1."""
    return _segment("prod", data, segment_ids, num_segments, bucket_size, mode)


def segment_max(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Array:
    """As `segment_sum`, of maxima; segments without rows are the type's lowest value."""
    return _segment("max", data, segment_ids, num_segments, bucket_size, mode)


def segment_min(
    data: ArrayLike,
    segment_ids: ArrayLike,
    num_segments: int | None = None,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    bucket_size: int | None = None,
    mode: Any = None,
) -> Array:
    """As `segment_sum`, of minima; segments without rows are the type's highest value."""
    return _segment("min", data, segment_ids, num_segments, bucket_size, mode)
