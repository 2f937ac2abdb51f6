"""`xlac.ops`: reductions of array rows by segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.tracer import Tracer

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

# The opcode whose neutral value segments start from, and the method of `at` that combines.
_HOW = {"sum": ("add", "add"), "prod": ("multiply", "multiply"), "max": ("maximum", "max"), "min": ("minimum", "min")}


@array_function
def _segments(data: ArrayLike, segment_ids: ArrayLike, how: str, count: int, mode: Any) -> Array:
    import xlac.numpy as xnp
    from xlac.lax.operands import identity

    rows, ids = xnp.asarray(data), xnp.asarray(segment_ids)
    if ids.dtype.kind not in "iu" or rows.shape[: ids.ndim] != ids.shape:
        raise ShapeError(
            f"segment_{how}: segment_ids is {ids.dtype.name}{list(ids.shape)} and data {rows.dtype.name}"
            f"{list(rows.shape)}; the ids must be integers, one for each row of data"
        )
    opcode, verb = _HOW[how]
    result = xnp.full((count, *rows.shape[ids.ndim :]), identity(opcode, rows.dtype), rows.dtype)
    # Negative ids belong to no segment.
    place = result.at[xnp.where(ids < 0, count, ids)]
    return getattr(place, verb)(rows, mode="drop" if mode is None else mode)


def _segment_function(how: str, what: str) -> Callable[..., Array]:
    def segment(
        data: ArrayLike,
        segment_ids: ArrayLike,
        num_segments: int | None = None,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        bucket_size: int | None = None,
        mode: Any = None,
    ) -> Array:
        if num_segments is None:
            if isinstance(segment_ids, Tracer):
                raise ShapeError(
                    f"segment_{how}: segment_ids is traced; give num_segments, which the result's shape needs"
                )
            num_segments = int(np.max(segment_ids, initial=-1)) + 1
        if num_segments < 0:
            raise ShapeError(f"segment_{how}: num_segments is {num_segments}; it must not be negative")
        return _segments(data, segment_ids, how, int(num_segments), mode)

    segment.__name__ = segment.__qualname__ = f"segment_{how}"
    segment.__doc__ = what
    return segment


segment_sum = _segment_function(
    "sum",
    """Sums of the rows of `data` with equal ids: row k of the result is that of id k.

    Ids outside of [0, num_segments) belong to no segment, and segments without rows are 0. Without `num_segments`,
    which traced ids need, it is the largest id and one. The other arguments are accepted as in JAX.
    """,
)
segment_prod = _segment_function("prod", "As `segment_sum`, of products; segments without rows are 1.")
segment_max = _segment_function(
    "max", "As `segment_sum`, of maxima; segments without rows are the type's lowest value."
)
segment_min = _segment_function(
    "min", "As `segment_sum`, of minima; segments without rows are the type's highest value."
)
