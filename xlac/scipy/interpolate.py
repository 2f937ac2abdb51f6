"""`xlac.scipy.interpolate`: interpolation on regular grids."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import tree_util
from xlac.errors import ShapeError

__all__ = ["RegularGridInterpolator"]


@tree_util.register_pytree_node_class
class RegularGridInterpolator:
    """Values on a rectangular grid, to be read anywhere inside.

    Args:
      points: for each of the first dimensions of `values`, the ascending coordinates of the grid.
      values: of shape (len(points[0]), ..., *any others).
      method: linear or nearest.
      bounds_error: must be False, as a program cannot raise for a value.
      fill_value: what is given outside of the grid; None extrapolates.

    Raises:
      ShapeError: the coordinates do not fit the values, or the method is another.
    """

    def __init__(
        self,
        points: Sequence[Any],
        values: Any,
        method: str = "linear",
        bounds_error: bool = False,
        fill_value: Any = np.nan,
    ) -> None:
        if method not in ("linear", "nearest"):
            raise ShapeError(f"RegularGridInterpolator: method is {method!r}; it must be linear or nearest")
        if bounds_error:
            raise ShapeError("RegularGridInterpolator: bounds_error=True; only False is possible, see fill_value")
        self.method, self.bounds_error, self.fill_value = method, bounds_error, fill_value
        self.values = xnp.asarray(values)
        if self.values.dtype.kind not in "fc":
            self.values = self.values.astype(np.float32)
        self.grid = tuple(xnp.asarray(p) for p in points)
        if len(self.grid) > self.values.ndim:
            raise ShapeError(
                f"RegularGridInterpolator: there are {len(self.grid)} coordinates but values are of shape "
                f"{list(self.values.shape)}"
            )
        for d, p in enumerate(self.grid):
            if p.shape != (self.values.shape[d],):
                raise ShapeError(
                    f"RegularGridInterpolator: points[{d}] is of shape {list(p.shape)}; values have "
                    f"{self.values.shape[d]} along that dimension"
                )

    def tree_flatten(self) -> tuple[tuple, tuple]:
        return (self.grid, self.values, self.fill_value), (self.method, self.bounds_error)

    @classmethod
    def tree_unflatten(cls, data: tuple, children: Any) -> RegularGridInterpolator:
        made = object.__new__(cls)
        made.method, made.bounds_error = data
        made.grid, made.values, made.fill_value = children
        return made

    def __call__(self, xi: Any, method: str | None = None) -> Any:
        """The values at places of shape [..., dimensions], or at a tuple of coordinates that broadcast together."""
        method = self.method if method is None else method
        n = len(self.grid)
        if isinstance(xi, tuple):
            xi = xnp.stack(xnp.broadcast_arrays(*xi), axis=-1)
        at = xnp.asarray(xi)
        at = at[:, None] if at.ndim == 1 and n == 1 else at
        if at.shape[-1:] != (n,):
            raise ShapeError(f"the places are of shape {list(at.shape)}; the last dimension must be {n}")
        flat = at.reshape(-1, n)
        rest = self.values.ndim - n
        low, share, outside = [], [], xnp.zeros(flat.shape[0], bool)
        for d, grid in enumerate(self.grid):
            x = flat[:, d]
            i = xnp.clip(xnp.searchsorted(grid, x) - 1, 0, max(grid.size - 2, 0))
            low.append(i)
            width = grid[xnp.minimum(i + 1, grid.size - 1)] - grid[i]
            share.append(xnp.where(width == 0, 0, (x - grid[i]) / xnp.where(width == 0, 1, width)))
            outside = outside | (x < grid[0]) | (x > grid[-1])
        if method == "nearest":
            made = self.values[tuple(xnp.where(s <= 0.5, i, i + 1) for i, s in zip(low, share))]
        else:
            made = 0
            for corner in itertools.product((0, 1), repeat=n):
                weight = 1
                for c, s in zip(corner, share):
                    weight = weight * (s if c else 1 - s)
                places = tuple(xnp.minimum(i + c, g.size - 1) for i, c, g in zip(low, corner, self.grid))
                made = made + self.values[places] * weight.reshape(-1, *[1] * rest)
        if self.fill_value is not None:
            made = xnp.where(outside.reshape(-1, *[1] * rest), self.fill_value, made)
        return made.reshape(*at.shape[:-1], *self.values.shape[n:])
