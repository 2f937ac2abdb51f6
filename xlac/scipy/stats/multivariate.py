"""Distributions of vectors."""

from __future__ import annotations

import math

import numpy as np

from xlac import lax
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import shape_error, shown
from xlac.lax import linalg
from xlac.numpy import _core, elementwise, reductions, shaping
from xlac.numpy._core import as_tracer
from xlac.scipy import special
from xlac.scipy.stats._base import distribution


def _normal_logpdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike, allow_singular: None = None) -> Array:
    """Along the last axis of x, by Cholesky's factor of the covariance, a matrix or one number."""
    if allow_singular is not None:
        raise shape_error("multivariate_normal.logpdf: allow_singular is not supported")
    a, centre, spread = _core.promote_inexact(x, mean, cov)
    apart = elementwise.subtract(a, centre)
    if not spread.ndim:
        n = apart.shape[-1] if apart.ndim else 1
        square = lax.mul(apart, apart)
        total = reductions.sum(square, -1) if apart.ndim else square
        value = elementwise.add(elementwise.divide(total, spread), n * math.log(2 * math.pi))
        return elementwise.multiply(-0.5, elementwise.add(value, elementwise.multiply(n, lax.log(spread))))
    n = spread.shape[-1]
    factor = linalg.cholesky(spread)
    column = lax.expand_dims(apart, (apart.ndim,))
    lead = np.broadcast_shapes(column.shape[:-2], factor.shape[:-2])
    wide = _core.stretch(factor, (*lead, n, n))
    solved = linalg.triangular_solve(wide, _core.stretch(column, (*lead, n, 1)), left_side=True, lower=True)
    distance = reductions.sum(lax.mul(solved, solved), (-2, -1))
    log_det = reductions.sum(lax.log(shaping.diagonal(factor, 0, -2, -1)), -1)
    total = elementwise.add(distance, elementwise.multiply(2.0, log_det))
    return elementwise.multiply(-0.5, elementwise.add(total, n * math.log(2 * math.pi)))


multivariate_normal = distribution("multivariate normal", logpdf=_normal_logpdf)


def _dirichlet_logpdf(x: ArrayLike, alpha: ArrayLike) -> Array:
    """Along the first axis of x."""
    a, weights = _core.promote_inexact(x, alpha)
    if a.shape[0] != weights.shape[0]:
        raise shape_error(f"dirichlet.logpdf: x of shape {shown(a)} for {weights.shape[0]} weights; they must be equal")
    norm = lax.sub(reductions.sum(lax.lgamma(weights)), lax.lgamma(reductions.sum(weights)))
    wide = lax.reshape(weights, (weights.shape[0],) + (1,) * (a.ndim - 1))
    value = reductions.sum(special.xlogy(elementwise.subtract(wide, 1), a), 0)
    return elementwise.subtract(value, norm)


dirichlet = distribution("Dirichlet", logpdf=_dirichlet_logpdf)


def _multinomial_logpmf(x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Array:
    """Along the last axis of x."""
    counts, share = _core.promote_inexact(x, p)
    total = lax.convert_element_type(as_tracer(n), counts.dtype)
    one = lax.full_like(counts, 1)
    ways = reductions.sum(elementwise.subtract(special.xlogy(counts, share), lax.lgamma(lax.add(counts, one))), -1)
    value = elementwise.add(lax.lgamma(lax.add(total, lax.full_like(total, 1))), ways)
    return elementwise.where(elementwise.equal(reductions.sum(counts, -1), total), value, -math.inf)


multinomial = distribution("multinomial", logpmf=_multinomial_logpmf)
