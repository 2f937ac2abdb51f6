"""Matrices of a known form, for `xlac.scipy.linalg`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error

__all__ = [
    "circulant",
    "companion",
    "convolution_matrix",
    "dft",
    "fiedler",
    "fiedler_companion",
    "hadamard",
    "hankel",
    "helmert",
    "hilbert",
    "invhilbert",
    "invpascal",
    "leslie",
    "pascal",
]


def _vector(name: str, a: Any) -> Any:
    x = xnp.asarray(a)
    if x.ndim < 1:
        raise shape_error(f"{name}: a scalar; it must be a vector")
    return x


def _floats(x: Any) -> Any:
    return x if xnp.issubdtype(x.dtype, xnp.inexact) else x.astype(np.float32)


@array_function
def circulant(c: ArrayLike) -> Array:
    """The matrices whose columns are `c`, each turned one place further than the one before."""
    x = _vector("circulant", c)
    n = x.shape[-1]
    return x[..., (np.arange(n)[:, None] - np.arange(n)[None, :]) % max(n, 1)]


@array_function
def companion(a: ArrayLike) -> Array:
    """The companion matrices of polynomials, whose coefficients come highest first."""
    x = _floats(_vector("companion", a))
    n = x.shape[-1] - 1
    if n < 1:
        raise shape_error(f"companion: {n + 1} coefficients; there must be at least two")
    rest = xnp.broadcast_to(xnp.eye(n, k=-1, dtype=x.dtype), (*x.shape[:-1], n, n))
    return rest.at[..., 0, :].set(-x[..., 1:] / x[..., :1])


@array_function
def convolution_matrix(a: ArrayLike, n: int, mode: str = "full") -> Array:
    """The matrix that convolves vectors of n elements with `a`."""
    x = _vector("convolution_matrix", a)
    m = x.shape[-1]
    rows, columns = np.indices((m + n - 1, n))
    place = rows - columns
    full = xnp.where((place >= 0) & (place < m), x[..., np.clip(place, 0, m - 1)], 0)
    if mode == "full":
        return full
    length = {"same": max(m, n), "valid": max(m, n) - min(m, n) + 1}.get(mode)
    if length is None:
        raise shape_error(f"convolution_matrix: mode={mode!r}; it must be full, same or valid")
    start = (min(m, n) - 1) // 2 if mode == "same" else min(m, n) - 1
    return full[..., start : start + length, :]


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Array:
    """The matrix of the discrete Fourier transform; `scale` "sqrtn" makes it unitary, "n" its columns' mean."""
    factors = {None: 1.0, "sqrtn": 1 / math.sqrt(n), "n": 1 / n}
    if scale not in factors:
        raise shape_error(f"dft: scale={scale!r}; it must be None, 'sqrtn' or 'n'")
    powers = np.outer(np.arange(n), np.arange(n)) % n
    return xnp.asarray((np.exp(-2j * math.pi * powers / n) * factors[scale]).astype(dtype or np.complex64))


@array_function
def fiedler(a: ArrayLike) -> Array:
    """The matrices of differences' sizes, |a_i - a_j|."""
    x = _vector("fiedler", a)
    return xnp.abs(x[..., :, None] - x[..., None, :])


@array_function
def fiedler_companion(a: ArrayLike) -> Array:
    """Companion matrices of five diagonals, of coefficients that come highest first."""
    x = _floats(_vector("fiedler_companion", a))
    n = x.shape[-1] - 1
    if n < 1:
        raise shape_error(f"fiedler_companion: {n + 1} coefficients; there must be at least two")
    x = x / x[..., :1]
    made = xnp.zeros((*x.shape[:-1], n, n), x.dtype)
    if n == 1:
        return made.at[..., 0, 0].set(-x[..., 1])
    made = made.at[..., np.arange(0, n - 2, 2), np.arange(2, n, 2)].set(1)
    made = made.at[..., np.arange(3, n, 2), np.arange(1, n - 2, 2)].set(1)
    made = made.at[..., 0, 0].set(-x[..., 1]).at[..., 0, 1].set(1)
    made = made.at[..., np.arange(0, n - 1, 2), np.arange(1, n, 2)].set(-x[..., 2::2][..., : len(range(0, n - 1, 2))])
    made = made.at[..., np.arange(2, n, 2), np.arange(1, n - 1, 2)].set(-x[..., 3::2])
    return made.at[..., 1, 0].set(1)


def hadamard(n: int, dtype: Any = None) -> Array:
    """Sylvester's matrix of ones and minus ones with orthogonal rows; n is a power of two."""
    if n < 1 or n & (n - 1):
        raise shape_error(f"hadamard: n={n}; it must be a power of two")
    signs = np.bitwise_and.outer(np.arange(n), np.arange(n))
    odd = np.array([bin(v).count("1") % 2 for v in signs.ravel()]).reshape(n, n)
    return xnp.asarray((1 - 2 * odd).astype(dtype or np.int32))


@array_function
def hankel(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with `c` as its first column and `r` as its last row, equal along each antidiagonal."""
    column = xnp.ravel(_vector("hankel", xnp.atleast_1d(xnp.asarray(c))))
    row = xnp.zeros_like(column) if r is None else xnp.ravel(xnp.atleast_1d(xnp.asarray(r)))
    values = xnp.concatenate([column, row[1:]])
    return values[np.add.outer(np.arange(column.shape[0]), np.arange(row.shape[0]))]


def helmert(n: int, full: bool = False) -> Array:
    """Helmert's matrix of contrasts with orthonormal rows; `full` has the constant row in front."""
    made = np.tril(np.ones((n, n)), -1) - np.diag(np.arange(n))
    made[0] = 1
    made /= np.sqrt(np.r_[n, np.arange(1, n) * np.arange(2, n + 1)])[:, None]
    return xnp.asarray((made if full else made[1:]).astype(np.float32))


def hilbert(n: int) -> Array:
    """1 / (i + j + 1)."""
    return xnp.asarray((1 / (1 + np.add.outer(np.arange(n), np.arange(n)))).astype(np.float32))


def invhilbert(n: int, exact: bool = False) -> Array:
    """The inverse of `hilbert`, of whole numbers."""
    made = [
        [
            (-1) ** (i + j) * (i + j + 1) * math.comb(n + i, n - j - 1) * math.comb(n + j, n - i - 1)
            * math.comb(i + j, i) ** 2
            for j in range(n)
        ]
        for i in range(n)
    ]  # fmt: skip
    return xnp.asarray(np.array(made, np.float64).reshape(n, n).astype(np.int64 if exact else np.float32))


def _pascal(n: int, kind: str, sign: int) -> np.ndarray:
    lower = np.array([[sign ** (i - j) * math.comb(i, j) for j in range(n)] for i in range(n)], np.float64)
    lower = np.tril(lower.reshape(n, n))
    if kind == "lower":
        return lower
    if kind == "upper":
        return lower.T
    if kind != "symmetric":
        raise shape_error(f"pascal: kind={kind!r}; it must be symmetric, lower or upper")
    return lower @ lower.T if sign > 0 else lower.T @ lower


def pascal(n: int, kind: str | None = None) -> Array:
    """Binomial coefficients: (i + j over i) for "symmetric", (i over j) for "lower", (j over i) for "upper"."""
    return xnp.asarray(_pascal(n, kind or "symmetric", 1).astype(np.float32))


def invpascal(n: int, kind: str | None = None) -> Array:
    """The inverse of `pascal`."""
    return xnp.asarray(_pascal(n, kind or "symmetric", -1).astype(np.float32))


@array_function
def leslie(f: ArrayLike, s: ArrayLike) -> Array:
    """The matrices of population growth: births `f` in the first row, survivals `s` below the diagonal."""
    births, kept = _vector("leslie", f), _vector("leslie", s)
    n = births.shape[-1]
    if kept.shape[-1] != n - 1 or n < 2:
        raise shape_error(
            f"leslie: f has {n} and s {kept.shape[-1]} elements; s must have one less, and f at least two"
        )
    made = xnp.zeros((*births.shape, n), np.result_type(births.dtype, kept.dtype))
    return made.at[..., 0, :].set(births).at[..., np.arange(1, n), np.arange(n - 1)].set(kept)
