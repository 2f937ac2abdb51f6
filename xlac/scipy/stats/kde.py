"""`gaussian_kde`: a density from samples of it, the mean of normal distributions around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac.errors import TraceError
from xlac.frontend.trace import shape_error
from xlac.lax import linalg
from xlac.nn.functions import logsumexp
from xlac.scipy.special import ndtr
from xlac.tree_util import register_pytree_node_class


@register_pytree_node_class
class gaussian_kde:
    """Kernel density estimation with normal kernels; a container of arrays, so that functions can take and give it.

    Args:
      dataset: the samples, [n] or [dimensions, n].
      bw_method: how wide kernels are against the samples' covariance: "scott" (the usual), "silverman", a number, or a
        function of this object.
      weights: of the samples, [n]; equal if left out.
    Raises: ShapeError if there are fewer than two samples, or weights do not fit.

    Attributes:
      dataset: [dimensions, n].
      weights: [n], of sum 1.
      covariance, inv_cov: of each kernel.
      neff: how many samples of equal weights would tell as much.
    """

    def __init__(self, dataset: Any, bw_method: Any = None, weights: Any = None) -> None:
        points = xnp.atleast_2d(xnp.asarray(dataset))
        if points.dtype.kind == "c" or points.ndim != 2 or points.shape[1] < 2:
            raise shape_error(
                f"gaussian_kde: dataset is of shape {list(points.shape)} and type {points.dtype.name}; it must be "
                "real, [dimensions, n] with n of at least 2"
            )
        points = points if xnp.issubdtype(points.dtype, np.floating) else points.astype(float)
        dims, count = points.shape
        if weights is None:
            weights = xnp.full((count,), 1 / count, points.dtype)
        else:
            weights = xnp.asarray(weights).astype(points.dtype)
            if weights.shape != (count,):
                raise shape_error(
                    f"gaussian_kde: weights are of shape {list(weights.shape)}; there are {count} samples"
                )
            weights = weights / weights.sum()
        self.dataset, self.weights, self.neff = points, weights, 1 / (weights**2).sum()
        factor = self._factor(bw_method, dims)
        spread = xnp.atleast_2d(xnp.cov(points, rowvar=True, bias=False, aweights=weights))
        self.covariance = spread * factor**2
        self.inv_cov = xnp.linalg.inv(spread) / factor**2

    def _factor(self, method: str | float | Callable[..., Any] | None, dims: int) -> Any:
        if method is None or method == "scott":
            return self.neff ** (-1 / (dims + 4))
        if method == "silverman":
            return (self.neff * (dims + 2) / 4) ** (-1 / (dims + 4))
        if callable(method):
            return method(self)
        if isinstance(method, str):
            raise shape_error(
                f"gaussian_kde: bw_method is {method!r}; it must be scott, silverman, a number or function"
            )
        return method

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.dataset.shape[1]

    def tree_flatten(self) -> tuple[tuple, None]:
        """The arrays."""
        return (self.neff, self.dataset, self.weights, self.covariance, self.inv_cov), None

    @classmethod
    def tree_unflatten(cls, data: None, children: Sequence[Any]) -> gaussian_kde:
        """The object of these arrays."""
        made = object.__new__(cls)
        made.neff, made.dataset, made.weights, made.covariance, made.inv_cov = children
        return made

    # ---- the density

    def evaluate(self, points: Any) -> Any:
        """The density at points, [m] or [dimensions, m]."""
        return xnp.exp(self.logpdf(points))

    def __call__(self, points: Any) -> Any:
        return self.evaluate(points)

    def pdf(self, x: Any) -> Any:
        """As `evaluate`."""
        return self.evaluate(x)

    def logpdf(self, x: Any) -> Any:
        """The logarithm of the density at points.

        Raises:
          ShapeError: they are of another number of dimensions.
        """
        points = xnp.atleast_2d(xnp.asarray(x))
        if points.shape[0] != self.d and points.shape == (1, self.d):
            points = xnp.reshape(points, (self.d, 1))
        if points.ndim != 2 or points.shape[0] != self.d:
            raise shape_error(f"gaussian_kde: points are of shape {list(points.shape)}; it must be [{self.d}, m]")
        return self._log_mean(points, self.covariance, self.weights)

    def _log_mean(self, points: Any, covariance: Any, weights: Any) -> Any:
        """The logarithm of the weighted mean over the samples of normal densities around them, at each point."""
        chol = linalg.cholesky(covariance)
        moved = linalg.triangular_solve(chol, points, left_side=True, lower=True)
        centres = linalg.triangular_solve(chol, self.dataset, left_side=True, lower=True)
        apart = moved[:, :, None] - centres[:, None, :]
        energy = 0.5 * (apart**2).sum(0)
        scale = xnp.log(xnp.diagonal(chol)).sum() + 0.5 * self.d * math.log(2 * math.pi)
        return logsumexp(-energy, axis=1, b=weights[None, :]) - scale

    # ---- integrals

    def integrate_gaussian(self, mean: Any, cov: Any) -> Any:
        """The integral of the density times a normal one.

        Raises:
          ShapeError: mean or covariance do not fit the dimensions.
        """
        mean, cov = xnp.atleast_1d(xnp.squeeze(xnp.asarray(mean))), xnp.atleast_2d(xnp.asarray(cov))
        if mean.shape != (self.d,) or cov.shape != (self.d, self.d):
            raise shape_error(
                f"integrate_gaussian: mean is {list(mean.shape)} and covariance {list(cov.shape)}; they must be "
                f"[{self.d}] and [{self.d}, {self.d}]"
            )
        return xnp.exp(self._log_mean(mean[:, None], self.covariance + cov, self.weights))[0]

    def integrate_box_1d(self, low: Any, high: Any) -> Any:
        """The integral from `low` to `high` of a density of one dimension.

        Raises:
          ShapeError: there are more dimensions, or bounds are no scalars.
        """
        if self.d != 1 or xnp.ndim(low) or xnp.ndim(high):
            raise shape_error("integrate_box_1d: the density must be of one dimension, the bounds scalars")
        width = xnp.sqrt(self.covariance[0, 0])
        below, above = ((xnp.asarray(bound) - self.dataset[0]) / width for bound in (low, high))
        return (self.weights * (ndtr(above) - ndtr(below))).sum()

    def integrate_kde(self, other: gaussian_kde) -> Any:
        """The integral of the product with another estimate.

        Raises:
          ShapeError: it is of another number of dimensions.
        """
        if other.d != self.d:
            raise shape_error(f"integrate_kde: densities of {self.d} and {other.d} dimensions; they must be equal")
        logs = self._log_mean(other.dataset, self.covariance + other.covariance, self.weights)
        return (xnp.exp(logs) * other.weights).sum()

    # ---- samples

    def resample(self, key: Any, shape: Sequence[int] = ()) -> Any:
        """Numbers drawn from the density, [dimensions, *shape]."""
        from xlac import random

        which, noise = random.split(key)
        places = random.choice(which, self.n, shape, p=self.weights)
        apart = random.multivariate_normal(
            noise, xnp.zeros(self.d, self.covariance.dtype), self.covariance, shape, self.dataset.dtype
        )
        return self.dataset[:, places] + xnp.moveaxis(apart, -1, 0)

    def integrate_box(self, low_bounds: Any, high_bounds: Any, maxpts: Any = None) -> Any:
        """Not there, as in JAX."""
        raise TraceError("gaussian_kde.integrate_box: integrals over boxes of several dimensions are not there")

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Not there, as in JAX: make another estimate."""
        raise TraceError("gaussian_kde.set_bandwidth: make another estimate, gaussian_kde(dataset, bw_method)")
