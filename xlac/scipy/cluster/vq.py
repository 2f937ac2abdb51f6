"""`xlac.scipy.cluster.vq`: which of some vectors is nearest."""

from __future__ import annotations

from typing import Any

import xlac.numpy as xnp
from xlac.frontend.eager import ArrayLike, array_function
from xlac.frontend.trace import shape_error
from xlac.numpy._core import promote_inexact

__all__ = ["vq"]


@array_function
def vq(obs: ArrayLike, code_book: ArrayLike, check_finite: bool = True) -> tuple[Any, Any]:
    """For each row of `obs` the number of the nearest row of `code_book`, int32, and its distance.

    Args:
      obs: [n, k], or [n] for k = 1.
      code_book: [m, k], or [m].
      check_finite: accepted as in SciPy.
    Raises: ShapeError if shapes do not fit.
    """
    points, codes = promote_inexact(obs, code_book)
    if points.ndim != codes.ndim or points.ndim not in (1, 2) or points.shape[1:] != codes.shape[1:]:
        raise shape_error(
            f"vq: obs is of shape {list(points.shape)}, code_book of {list(codes.shape)}; they must be [n, k] and "
            "[m, k]"
        )
    if points.ndim == 1:
        points, codes = points[:, None], codes[:, None]
    distances = xnp.linalg.norm(points[:, None] - codes[None], axis=-1)
    return xnp.argmin(distances, -1).astype(xnp.int32), xnp.min(distances, -1)
