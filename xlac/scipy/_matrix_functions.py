"""Functions of matrices by their Schur forms, and other decompositions of `xlac.scipy.linalg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend.eager import Array, ArrayLike, array_function, program_function
from xlac.frontend.trace import shape_error
from xlac.lax import linalg

__all__ = [
    "eigh_tridiagonal",
    "expm_frechet",
    "funm",
    "hessenberg",
    "polar",
    "qr_multiply",
    "rsf2csf",
    "schur",
    "solve_sylvester",
    "sqrtm",
]


def _square(name: str, a: Any) -> Any:
    x = xnp.asarray(a)
    x = x if xnp.issubdtype(x.dtype, xnp.inexact) else x.astype(np.float32)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise shape_error(f"{name}: an array of shape {list(x.shape)}; its last two dimensions must be equal")
    return x


def _complex(x: Any) -> Any:
    return x.astype(np.result_type(x.dtype, np.complex64))


def _adjoint(x: Any) -> Any:
    return xnp.conj(xnp.swapaxes(x, -1, -2))


def _by_diagonals(n: int, start: Any, entry: Callable[[Any], Any]) -> Any:
    """An upper triangular matrix, whose diagonals above the main one are found from those below them in turn.

    `entry(matrix so far)` gives what belongs at every place whose distance from the diagonal is next.
    """
    rows, columns = np.indices((n, n))
    distance = lax.convert_element_type(columns - rows, np.int32)

    def turn(d: Any, matrix: Any) -> Any:
        return xnp.where(distance == d, entry(matrix), matrix)

    return lax.fori_loop(1, n, turn, start) if n > 1 else start


@array_function
def schur(a: ArrayLike, output: str = "real") -> tuple[Array, Array]:
    """T and Z with a = Z T Z*; T is triangular, but for 2x2 blocks where the matrix and the output are real."""
    if output not in ("real", "complex"):
        raise shape_error(f"schur: output={output!r}; it must be 'real' or 'complex'")
    x = _square("schur", a)
    return linalg.schur(_complex(x) if output == "complex" else x)


@array_function
def rsf2csf(T: ArrayLike, Z: ArrayLike, check_finite: bool = True) -> tuple[Array, Array]:
    """The complex Schur form and vectors from the real ones."""
    t, q = linalg.schur(_complex(_square("rsf2csf", T)))
    return t, xnp.matmul(_complex(xnp.asarray(Z)), q)


@array_function
def hessenberg(a: ArrayLike, *, calc_q: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """H, zero below its first subdiagonal; with `calc_q` also Q with a = Q H Q*."""
    x = _square("hessenberg", a)
    packed, taus = linalg.hessenberg(x)
    h = xnp.triu(packed, -1)
    if not calc_q:
        return h
    n = x.shape[-1]
    q = xnp.broadcast_to(xnp.eye(n, dtype=x.dtype), x.shape)
    if n > 1:
        q = q.at[..., 1:, 1:].set(linalg.householder_product(packed[..., 1:, :-1], taus))
    return h, q


@array_function
def polar(
    a: ArrayLike, side: str = "right", *, method: str = "qdwh", eps: float | None = None,
    max_iterations: int | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """U and P with a = U P, or P U for side "left": U has orthonormal columns (or rows), P is positive semidefinite."""
    if side not in ("right", "left"):
        raise shape_error(f"polar: side={side!r}; it must be 'right' or 'left'")
    if method not in ("qdwh", "svd"):
        raise shape_error(f"polar: method={method!r}; it must be 'qdwh' or 'svd'")
    u, s, vh = linalg.svd(xnp.asarray(a), full_matrices=False)
    basis = _adjoint(vh) if side == "right" else u
    return xnp.matmul(u, vh), xnp.matmul(basis * s[..., None, :].astype(basis.dtype), _adjoint(basis))


@array_function
def sqrtm(A: ArrayLike, blocksize: int = 1) -> Array:
    """The principal square root of a matrix, complex; by its complex Schur form (Bjorck and Hammarling, 1983)."""
    t, z = linalg.schur(_complex(_square("sqrtm", A)))
    roots = xnp.sqrt(xnp.diagonal(t, axis1=-2, axis2=-1))
    sums = roots[..., :, None] + roots[..., None, :]
    safe = xnp.where(sums == 0, 1, sums)
    eye = xnp.eye(t.shape[-1], dtype=bool)
    diagonal = xnp.where(eye, roots[..., None, :], 0)

    def entry(r: Any) -> Any:
        above = xnp.where(eye, 0, r)
        return (t - xnp.matmul(above, above)) / safe

    r = _by_diagonals(t.shape[-1], diagonal, entry)
    return xnp.matmul(xnp.matmul(z, r), _adjoint(z))


@program_function
def funm(A: Any, func: Callable[[Any], Any], disp: bool = True) -> Any:
    """A function of a matrix, by Parlett's recurrence on its complex Schur form; eigenvalues must be distinct.

    `func` is applied to eigenvalues, element by element. Without `disp` a second result estimates the relative error.
    """
    x = _square("funm", A)
    t, z = linalg.schur(_complex(x))
    w = xnp.diagonal(t, axis1=-2, axis2=-1)
    values = xnp.asarray(func(w)).astype(t.dtype)
    gaps = w[..., None, :] - w[..., :, None]
    safe = xnp.where(gaps == 0, np.finfo(t.dtype).eps, gaps)
    eye = xnp.eye(t.shape[-1], dtype=bool)
    above = xnp.where(eye, 0, t)

    def entry(f: Any) -> Any:
        """f t = t f, solved for f_ij, which is 0 so far."""
        return (xnp.matmul(above, f) - xnp.matmul(f, above)) / safe

    f = _by_diagonals(t.shape[-1], xnp.where(eye, values[..., None, :], 0), entry)
    made = xnp.matmul(xnp.matmul(z, f), _adjoint(z))
    if disp:
        return made
    smallest = xnp.min(xnp.where(eye, xnp.inf, xnp.abs(gaps)))
    eps = np.finfo(t.dtype).eps
    error = xnp.minimum(1, xnp.maximum(eps, eps / xnp.maximum(smallest, eps) * xnp.linalg.norm(xnp.triu(t, 1), 1)))
    return made, error


@array_function
def solve_sylvester(A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur", tol: float = 1e-8) -> Array:
    """X with A X + X B = C, by the Schur forms of A and B (Bartels and Stewart, 1972)."""
    a, b, c = _square("solve_sylvester", A), _square("solve_sylvester", B), xnp.asarray(C)
    if c.shape != (a.shape[0], b.shape[0]):
        raise shape_error(f"solve_sylvester: C is of shape {list(c.shape)}; it must be {[a.shape[0], b.shape[0]]}")
    if method not in ("schur", "eigen"):
        raise shape_error(f"solve_sylvester: method={method!r}; it must be 'schur' or 'eigen'")
    kind = np.result_type(a.dtype, b.dtype, c.dtype, np.float32)
    (t, u), (s, v) = (linalg.schur(_complex(x.astype(kind))) for x in (a, b))
    right = xnp.matmul(xnp.matmul(_adjoint(u), _complex(c.astype(kind))), v)
    n = b.shape[0]
    eye = xnp.eye(a.shape[0], dtype=t.dtype)

    def column(j: Any, y: Any) -> Any:
        given = right[:, j] - xnp.matmul(y, s[:, j])
        found = linalg.triangular_solve(t + s[j, j] * eye, given[:, None], left_side=True, lower=False)
        return y.at[:, j].set(found[:, 0])

    y = lax.fori_loop(0, n, column, xnp.zeros_like(right))
    made = xnp.matmul(xnp.matmul(u, y), _adjoint(v))
    return made if kind.kind == "c" else xnp.real(made)


@array_function
def expm_frechet(A: ArrayLike, E: ArrayLike, *, method: str | None = None, compute_expm: bool = True) -> Any:
    """The exponential of a matrix and its derivative along E; the derivative alone without `compute_expm`."""
    from xlac.api import jvp
    from xlac.scipy.linalg import expm

    made = jvp(expm, (_square("expm_frechet", A),), (_square("expm_frechet", E),))
    return made if compute_expm else made[1]


@array_function
def eigh_tridiagonal(
    d: ArrayLike, e: ArrayLike, *, eigvals_only: bool = False, select: str = "a", select_range: Any = None,
    tol: float | None = None, key: Any = None,
) -> Any:  # fmt: skip
    """Eigenvalues, and eigenvectors, of a Hermitian matrix of which diagonal and off-diagonal are given.

    `select` "i" gives those with numbers from select_range[0] to select_range[1], which is included.
    """
    if select not in ("a", "i"):
        raise shape_error(f"eigh_tridiagonal: select={select!r}; it must be 'a' or 'i'")
    diagonal, off = xnp.asarray(d), xnp.asarray(e)
    kind = np.result_type(diagonal.dtype, off.dtype, np.float32)
    matrix = xnp.diag(diagonal.astype(kind)) + xnp.diag(off.astype(kind), -1) + xnp.diag(xnp.conj(off).astype(kind), 1)
    v, w = linalg.eigh(matrix)
    if select == "i":
        low, high = select_range
        v, w = v[:, low : high + 1], w[low : high + 1]
    return w if eigvals_only else (w, v)


@array_function
def qr_multiply(
    a: ArrayLike, c: ArrayLike, mode: str = "right", pivoting: bool = False, conjugate: bool = False,
    overwrite_a: bool = False, overwrite_c: bool = False,
) -> tuple[Array, ...]:  # fmt: skip
    """Q c, or c Q for mode "right", and R of a = Q R; with `pivoting` also the order of the columns."""
    if mode not in ("left", "right"):
        raise shape_error(f"qr_multiply: mode={mode!r}; it must be 'left' or 'right'")
    q, *rest = linalg.qr(xnp.asarray(a), pivoting=pivoting, full_matrices=False)
    q = xnp.conj(q) if conjugate else q
    other = xnp.asarray(c)
    if other.ndim == 1:
        other = other[:, None] if mode == "left" else other[None, :]
        made = xnp.matmul(q, other)[..., 0] if mode == "left" else xnp.matmul(other, q)[..., 0, :]
    else:
        made = xnp.matmul(q, other) if mode == "left" else xnp.matmul(other, q)
    return (made, *rest)
