"""Samples of continuous distributions that are a formula of uniform or normal ones.

Inverse transforms unless said otherwise; the ends of the uniform interval are chosen, as in JAX, so that no sample is
infinite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax import linalg
from xlac.lax.operands import as_dims
from xlac.numpy._core import as_tracer, promote_inexact
from xlac.random.discrete import rademacher
from xlac.random.keys import (
    float_dtype,
    key_words,
    parameter,
    sample_shape,
    split,
    uniform,
    unit_floats,
)

COVARIANCE_METHODS = ("cholesky", "eigh", "svd")
GUMBEL_MODES = ("low", "high")


def to_normal(u: Tracer) -> Tracer:
    """Standard normal numbers from uniform ones in [0, 1), which are first spread over (-1, 1)."""
    least = np.nextafter(np.asarray(-1, u.dtype), np.asarray(0, u.dtype), dtype=u.dtype)
    low, span = lift(least), lift(np.asarray(np.asarray(1, u.dtype) - least))
    centred = lax.max(low, lax.add(lax.mul(u, span), low))
    return lax.mul(lift(np.asarray(math.sqrt(2), u.dtype)), lax.erf_inv(centred))


@array_function
def normal(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Standard normal floats: sqrt(2) erf_inv of uniform ones. Complex ones have variance 1/2 in each part."""
    kind = float_dtype("normal", dtype, complex_too=True)
    dims = as_dims(shape)
    if dtypes.is_complex(kind):
        part = dtypes.real_dtype(kind)
        real, imag = split(key)
        scale = lift(np.asarray(math.sqrt(2), part))
        return lax.complex(lax.div(normal(real, dims, part), scale), lax.div(normal(imag, dims, part), scale))
    return to_normal(unit_floats(key_words("normal", key), dims, kind))


@array_function
def truncated_normal(
    key: ArrayLike, lower: ArrayLike, upper: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None
) -> Array:
    """Standard normal floats given that they are between `lower` and `upper`."""
    kind = float_dtype("truncated_normal", dtype)
    low, high = as_tracer(lower), as_tracer(upper)
    dims = sample_shape("truncated_normal", shape, low.shape, high.shape)
    root = lift(np.asarray(math.sqrt(2), kind))
    low, high = parameter(low, kind), parameter(high, kind)
    u = uniform(key, dims, kind, lax.erf(lax.div(low, root)), lax.erf(lax.div(high, root)))
    result = lax.mul(root, lax.erf_inv(u))
    # Rounding must not bring samples to the limits.
    least = lax.nextafter(lax.stop_gradient(low), lift(np.asarray(math.inf, kind)))
    most = lax.nextafter(lax.stop_gradient(high), lift(np.asarray(-math.inf, kind)))
    return xnp.clip(result, least, most)


@array_function
def lognormal(key: ArrayLike, sigma: ArrayLike = 1.0, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """e to the power of normal floats of standard deviation `sigma`."""
    kind = float_dtype("lognormal", dtype)
    spread = as_tracer(sigma)
    dims = sample_shape("lognormal", shape, spread.shape)
    return lax.exp(lax.mul(normal(key, dims, kind), parameter(spread, kind, dims)))


@array_function
def exponential(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Exponential floats of mean 1: -log(1 - u)."""
    return lax.neg(lax.log1p(lax.neg(uniform(key, shape, float_dtype("exponential", dtype)))))


@array_function
def pareto(key: ArrayLike, b: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Pareto floats from 1 up, with density b x^(-b-1): e^(exponential / b)."""
    kind = float_dtype("pareto", dtype)
    power = as_tracer(b)
    dims = sample_shape("pareto", shape, power.shape)
    return lax.exp(lax.div(exponential(key, dims, kind), parameter(power, kind, dims)))


@array_function
def rayleigh(key: ArrayLike, scale: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Rayleigh floats: scale sqrt(-2 log u)."""
    kind = float_dtype("rayleigh", dtype)
    size = as_tracer(scale)
    dims = sample_shape("rayleigh", shape, size.shape)
    return lax.mul(parameter(size, kind, dims), lax.sqrt(lax.mul(lax.log(uniform(key, dims, kind)), -2)))


@array_function
def weibull_min(
    key: ArrayLike, scale: ArrayLike, concentration: ArrayLike, shape: Sequence[int] = (), dtype: Any = None
) -> Array:
    """Weibull floats: scale (-log(1 - u))^(1 / concentration)."""
    kind = float_dtype("weibull_min", dtype)
    size, power = as_tracer(scale), as_tracer(concentration)
    dims = sample_shape("weibull_min", shape, size.shape, power.shape)
    exponent = lax.div(lift(np.ones((), kind)), parameter(power, kind, dims))
    return lax.mul(lax.pow(exponential(key, dims, kind), exponent), parameter(size, kind, dims))


@array_function
def cauchy(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Standard Cauchy floats: tan(pi (u - 1/2))."""
    kind = float_dtype("cauchy", dtype)
    u = uniform(key, shape, kind, minval=float(ml_dtypes.finfo(kind).eps), maxval=1.0)
    return lax.tan(lax.mul(math.pi, lax.sub(u, 0.5)))


@array_function
def laplace(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Standard Laplace floats: sign(u) log(1 - |u|), u uniform in (-1, 1)."""
    kind = float_dtype("laplace", dtype)
    u = uniform(key, shape, kind, minval=float(-1 + ml_dtypes.finfo(kind).epsneg), maxval=1.0)
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


@array_function
def logistic(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Standard logistic floats: log(u / (1 - u))."""
    kind = float_dtype("logistic", dtype)
    u = uniform(key, shape, kind, minval=_tiny(kind), maxval=1.0)
    return lax.sub(lax.log(u), lax.log1p(lax.neg(u)))


def _tiny(dtype: np.dtype) -> Any:
    """The least positive normal number of a float type."""
    return np.asarray(ml_dtypes.finfo(dtype).tiny, dtype)


@array_function
def gumbel(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None, mode: str | None = None) -> Array:
    """Standard Gumbel floats: -log(-log u).

    The mode "high" draws twice as many bits, for finer samples at the upper end; None is "low".
    """
    kind = float_dtype("gumbel", dtype)
    mode = "low" if mode is None else mode
    if mode not in GUMBEL_MODES:
        raise shape_error(f"gumbel: mode is {mode!r}; it must be one of {', '.join(GUMBEL_MODES)}")
    dims = as_dims(shape)
    if mode == "low":
        return _gumbel_of(lax.log(uniform(key, dims, kind, minval=_tiny(kind), maxval=1.0)))
    both = uniform(key, (2, *dims), kind)
    high, low = (lax.index_in_dim(both, i, keepdims=False) for i in range(2))
    step = lift(np.asarray(2.0 ** -ml_dtypes.finfo(kind).nmant, kind))
    finer = lax.add(lax.add(high, lax.mul(step, low)), lift(_tiny(kind)))
    return _gumbel_of(lax.log1p(lax.neg(lax.select(lax.ge(high, 0.5), high, finer))))


def _gumbel_of(log_u: Tracer) -> Tracer:
    return lax.neg(lax.log(lax.neg(log_u)))


@array_function
def triangular(
    key: ArrayLike,
    left: ArrayLike,
    mode: ArrayLike,
    right: ArrayLike,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
) -> Array:
    """Floats whose density rises linearly from `left` to `mode` and falls linearly to `right`."""
    kind = float_dtype("triangular", dtype)
    given = [as_tracer(v) for v in (left, mode, right)]
    dims = sample_shape("triangular", shape, *(v.shape for v in given))
    a, c, b = (parameter(v, kind, dims) for v in given)
    u = uniform(key, dims, kind)
    width = lax.sub(b, a)
    rising = lax.add(a, lax.sqrt(lax.mul(lax.mul(u, width), lax.sub(c, a))))
    falling = lax.sub(b, lax.sqrt(lax.mul(lax.mul(lax.sub(1, u), width), lax.sub(b, c))))
    return lax.select(lax.lt(u, lax.div(lax.sub(c, a), width)), rising, falling)


@array_function
def wald(key: ArrayLike, mean: ArrayLike, shape: Sequence[int] | None = None, dtype: Any = None) -> Array:
    """Wald (inverse Gaussian) floats of scale 1, by the method of Michael, Schucany and Haas (1976)."""
    kind = float_dtype("wald", dtype)
    given = as_tracer(mean)
    dims = sample_shape("wald", shape, given.shape)
    m = parameter(given, kind, dims)
    first, second = split(key)
    y = lax.square(normal(first, dims, kind))
    z = uniform(second, dims, kind)
    square = lax.square(m)
    root = lax.sqrt(4 * m * y + square * lax.square(y))
    x = m + square * y / 2 - m / 2 * root
    return lax.select(lax.le(z, m / (m + x)), x, square / x)


@array_function
def maxwell(key: ArrayLike, shape: Sequence[int] = (), dtype: Any = None) -> Array:
    """Maxwell floats of scale 1: the lengths of normal vectors in three dimensions."""
    kind = float_dtype("maxwell", dtype)
    return xnp.linalg.norm(normal(key, (*as_dims(shape), 3), kind), axis=-1)


@array_function
def double_sided_maxwell(
    key: ArrayLike, loc: ArrayLike, scale: ArrayLike, shape: Sequence[int] = (), dtype: Any = None
) -> Array:
    """Maxwell floats of random sign, times `scale`, plus `loc`; the parameters' dimensions follow those of `shape`."""
    kind = float_dtype("double_sided_maxwell", dtype)
    centre, size = as_tracer(loc), as_tracer(scale)
    common = sample_shape("double_sided_maxwell", None, centre.shape, size.shape)
    # A shape left out is that of the parameters, which then come twice, as in JAX.
    dims = (*(as_dims(shape) or common), *common)
    first, second = split(key)
    signed = lax.mul(rademacher(second, dims, kind), maxwell(first, dims, kind))
    return lax.add(lax.mul(signed, parameter(size, kind, dims)), parameter(centre, kind, dims))


# ---- vectors and matrices


@array_function
def multivariate_normal(
    key: ArrayLike,
    mean: ArrayLike,
    cov: ArrayLike,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    method: str = "cholesky",
) -> Array:
    """Normal vectors [*shape, n] of mean [..., n] and covariance [..., n, n].

    Args:
      method: how the covariance is factored: "cholesky", which gives NaN where it is not positive definite, "eigh" or
        "svd", for which it may be singular.

    Raises:
      ShapeError: shapes do not fit, or there is no such method.
    """
    centre, matrix = promote_inexact(mean, cov)
    if method not in COVARIANCE_METHODS:
        listed = ", ".join(COVARIANCE_METHODS)
        raise shape_error(f"multivariate_normal: method is {method!r}; it must be one of {listed}")
    n = centre.shape[-1] if centre.ndim else 0
    if not centre.ndim or matrix.ndim < 2 or matrix.shape[-2:] != (n, n):
        raise shape_error(
            f"multivariate_normal: mean is {centre._instruction.shape} and cov {matrix._instruction.shape}; they must "
            "be [..., n] and [..., n, n]"
        )
    kind = float_dtype("multivariate_normal", centre.dtype if dtype is None else dtype)
    dims = sample_shape("multivariate_normal", shape, centre.shape[:-1], matrix.shape[:-2])
    independent = normal(key, (*dims, n), kind)
    if method == "cholesky":
        factor = linalg.cholesky(matrix)
    else:
        if method == "eigh":
            vectors, squares = linalg.eigh(matrix)
        else:
            vectors, squares, _ = linalg.svd(matrix)
        factor = xnp.multiply(vectors, xnp.expand_dims(lax.sqrt(squares), -2))
    return xnp.add(centre, xnp.einsum("...ij,...j->...i", factor, independent))


@array_function
def orthogonal(key: ArrayLike, n: int, shape: Sequence[int] = (), dtype: Any = None, m: int | None = None) -> Array:
    """Matrices [*shape, n, m] uniform among those with orthonormal rows or columns; m is n if left out.

    They are Q of the QR decomposition of a normal matrix, in the form in which R has a positive diagonal.
    """
    kind = float_dtype("orthogonal", dtype, complex_too=True)
    m = n if m is None else m
    q, r = linalg.qr(normal(key, (*as_dims(shape), max(n, m), min(n, m)), kind), full_matrices=False)
    q = xnp.multiply(q, xnp.expand_dims(lax.sign(xnp.diagonal(r, axis1=-2, axis2=-1)), -2))
    return xnp.matrix_transpose(q) if n < m else q
