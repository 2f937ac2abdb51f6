"""`xlac.scipy.linalg`: SciPy's factorisations and solvers, on batches of matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import shape_error, shown
from xlac.frontend.tracer import Tracer
from xlac.lax import linalg
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, elementwise, reductions, shaping, sorting
from xlac.numpy import linalg as xnp_linalg
from xlac.numpy._core import as_tracer, public_names
from xlac.numpy.indexing import take
from xlac.scipy import _matrix_functions, _special_matrices
from xlac.scipy._matrix_functions import *  # noqa: F403
from xlac.scipy._special_matrices import *  # noqa: F403

__all__: list[str] = [*_matrix_functions.__all__, *_special_matrices.__all__]
_public = public_names(__all__)


def _matrix(a: Any) -> Tracer:
    x = _core.inexact(a)
    return convert(x, x.dtype)


@_public
def cholesky(a: ArrayLike, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """U with U* U = a, or L with L L* = a."""
    factor = linalg.cholesky(_matrix(a))
    return factor if lower else linalg.adjoint(factor)


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Any, bool]:
    """A factor for `cho_solve`, and whether it is the lower one."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    """x with a x = b, from the factor of `cho_factor`."""
    factor, lower = c_and_lower
    first = solve_triangular(factor, b, trans=0 if lower else 2, lower=bool(lower))
    return solve_triangular(factor, first, trans=2 if lower else 0, lower=bool(lower))


__all__ += ["cho_factor", "cho_solve"]


@_public
def solve_triangular(
    a: ArrayLike,
    b: ArrayLike,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    debug: Any = None,
    check_finite: bool = True,
) -> Array:
    """x with op(a) x = b; op is the identity (trans 0 or "N"), the transpose (1, "T") or the adjoint (2, "C")."""
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise shape_error(f"solve_triangular: trans={trans!r}; it must be 0, 1, 2, 'N', 'T' or 'C'")
    x, y = (convert(t, t.dtype) for t in _core.promote_inexact(a, b))
    vector = y.ndim == x.ndim - 1
    y = lax.expand_dims(y, (y.ndim,)) if vector else y
    lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    x, y = (_core.stretch(t, (*lead, *t.shape[-2:])) for t in (x, y))
    made = linalg.triangular_solve(
        x,
        y,
        left_side=True,
        lower=lower,
        transpose_a=trans not in (0, "N"),
        conjugate_a=trans in (2, "C"),
        unit_diagonal=unit_diagonal,
    )
    return lax.squeeze(made, (made.ndim - 1,)) if vector else made


@_public
def solve(
    a: ArrayLike, b: ArrayLike, lower: bool = False, overwrite_a: bool = False, overwrite_b: bool = False,
    debug: bool = False, check_finite: bool = True, assume_a: str = "gen",
) -> Array:  # fmt: skip
    """x with a x = b, by LU, or by Cholesky's factor where assume_a is "pos"."""
    if assume_a == "pos":
        return cho_solve((cholesky(a, True), True), b)
    if assume_a not in ("gen", "sym", "her"):
        raise shape_error(f"solve: assume_a={assume_a!r}; it must be gen, sym, her or pos")
    x = _matrix(a)
    right = as_tracer(b)
    if right.ndim == x.ndim - 1:
        made = xnp_linalg.solve(x, lax.expand_dims(right, (right.ndim,)))
        return lax.squeeze(made, (made.ndim - 1,))
    return xnp_linalg.solve(x, right)


@_public
def inv(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """Inverses, by LU."""
    return xnp_linalg.inv(a)


@_public
def det(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """Determinants."""
    return xnp_linalg.det(a)


@_public
def lu_factor(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> tuple[Array, Array]:
    """L and U in one matrix, and the row each step exchanges with."""
    packed, pivots, _ = linalg.lu(_matrix(a))
    return packed, pivots


@_public
def lu_solve(
    lu_and_piv: tuple[ArrayLike, ArrayLike], b: ArrayLike, trans: int = 0, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Array:  # fmt: skip
    """x with op(a) x = b, from the factors of `lu_factor`; op as in `solve_triangular`."""
    packed, pivots = (as_tracer(v) for v in lu_and_piv)
    right = lax.convert_element_type(as_tracer(b), packed.dtype)
    vector = right.ndim == packed.ndim - 1
    right = lax.expand_dims(right, (right.ndim,)) if vector else right
    order = linalg.lu_pivots_to_permutation(pivots, packed.shape[-1])
    if trans == 0:
        x = linalg._take_rows(right, order)
        x = solve_triangular(packed, x, lower=True, unit_diagonal=True)
        x = solve_triangular(packed, x)
    else:
        x = solve_triangular(packed, right, trans=trans)
        x = solve_triangular(packed, x, trans=trans, lower=True, unit_diagonal=True)
        x = linalg._take_rows(x, sorting.argsort(order, axis=-1))
    return lax.squeeze(x, (x.ndim - 1,)) if vector else x


@_public
def lu(
    a: ArrayLike, permute_l: bool = False, overwrite_a: bool = False, check_finite: bool = True,
    p_indices: bool = False,
) -> Any:  # fmt: skip
    """P, L and U with P L U = a; (P L, U) with permute_l; the rows' order in place of P with p_indices."""
    x = _matrix(a)
    m, n = x.shape[-2:]
    k = min(m, n)
    packed, _, order = linalg.lu(x)
    lower = linalg._triangle(linalg._cut(packed, m, k), -1, True)
    lower = lax.add(lower, linalg._identity_like(lower))
    upper = linalg._triangle(linalg._cut(packed, k, n), 0, False)
    back = sorting.argsort(order, axis=-1)
    if permute_l:
        return linalg._take_rows(lower, back), upper
    if p_indices:
        return back, lower, upper
    columns = lax.broadcasted_iota(order.dtype, (*order.shape, m), order.ndim)
    wide = expand(back, columns.shape, range(back.ndim))
    return lax.convert_element_type(lax.eq(wide, columns), x.dtype), lower, upper


@_public
def qr(
    a: ArrayLike, overwrite_a: bool = False, lwork: Any = None, mode: str = "full", pivoting: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Q and R; mode is "full", "economic" or "r"."""
    if mode not in ("full", "economic", "r"):
        raise shape_error(f"qr: mode={mode!r}; it must be full, economic or r")
    q, r = linalg.qr(_matrix(a), pivoting=pivoting, full_matrices=mode != "economic")
    return (r,) if mode == "r" else (q, r)


@_public
def svd(
    a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True, overwrite_a: bool = False,
    check_finite: bool = True, lapack_driver: str = "gesdd",
) -> Any:  # fmt: skip
    """U, s, V*, or s alone."""
    return linalg.svd(_matrix(a), full_matrices=full_matrices, compute_uv=compute_uv)


@_public
def eigh(
    a: ArrayLike, b: ArrayLike | None = None, lower: bool = True, eigvals_only: bool = False,
    overwrite_a: bool = False, overwrite_b: bool = False, turbo: bool = True, eigvals: None = None, type: int = 1,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Ascending eigenvalues and eigenvectors of Hermitian matrices; with b, of a v = w b v, by b's Cholesky factor."""
    if eigvals is not None or type != 1:
        raise shape_error("eigh: eigvals= and type other than 1 are not supported")
    x = _matrix(a)
    if b is None:
        v, w = linalg.eigh(x, lower=lower, symmetrize_input=False)
        return w if eigvals_only else (w, v)
    factor = linalg.cholesky(_matrix(b))
    inner = linalg.triangular_solve(factor, x, left_side=True, lower=True)
    inner = linalg.triangular_solve(factor, inner, lower=True, transpose_a=True, conjugate_a=True)
    v, w = linalg.eigh(inner)
    if eigvals_only:
        return w
    return w, linalg.triangular_solve(factor, v, left_side=True, lower=True, transpose_a=True, conjugate_a=True)


@_public
def block_diag(*arrs: ArrayLike) -> Array:
    """Matrices along the diagonal of one, zeros elsewhere."""
    blocks = [shaping.atleast_2d(x) for x in _core.promote(*arrs)]
    for x in blocks:
        if x.ndim != 2:
            raise shape_error(f"block_diag: an array {shown(x)}; it must be a matrix")
    width = sum(x.shape[1] for x in blocks)
    rows, at = [], 0
    for x in blocks:
        rows.append(lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), (at, width - at - x.shape[1], 0)]))
        at += x.shape[1]
    return lax.concatenate(rows, 0)


@_public
def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with constant diagonals whose first column is c and whose first row is r (by default conj(c))."""
    column, row = _core.promote(c, elementwise.conj(c) if r is None else r)
    column, row = lax.reshape(column, (column.size,)), lax.reshape(row, (row.size,))
    m, n = column.size, row.size
    line = lax.concatenate([lax.rev(column, (0,)), lax.slice_in_dim(row, 1, n)], 0)
    where = np.arange(m)[::-1, None] + np.arange(n)[None, :]
    return take(line, where.astype(np.int32))


_PADE = {
    3: (120.0, 60.0, 12.0, 1.0),
    5: (30240.0, 15120.0, 3360.0, 420.0, 30.0, 1.0),
    7: (17297280.0, 8648640.0, 1995840.0, 277200.0, 25200.0, 1512.0, 56.0, 1.0),
    13: (
        64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
        10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
    ),
}  # fmt: skip


@_public
def expm(A: ArrayLike, *, upper_triangular: bool = False, max_squarings: int = 48) -> Array:
    """e^A of square matrices, by Pade's approximant and repeated squaring (Higham, 2005).

    NaN where more than `max_squarings` are needed.
    """
    x = _matrix(A)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise shape_error(f"expm: an array {shown(x)}; it must be square in its last two dimensions")
    if x.shape[-1] == 0:
        return x
    single = dtypes.real_dtype(x.dtype).itemsize == 4
    order, limit = (7, 3.925724783138660) if single else (13, 5.371920351148152)
    size = reductions.max(reductions.sum(lax.abs(x), -2), -1)
    doublings = elementwise.log2(lax.div(size, lax.full_like(size, limit)))
    count = lax.stop_gradient(lax.ceil(lax.max(doublings, lax.full_like(size, 0))))
    wide = expand(convert(lax.pow(lax.full_like(count, 2), lax.neg(count)), x.dtype), x.shape, range(x.ndim - 2))
    scaled = lax.mul(x, wide)
    unit = _core.stretch(as_tracer(np.eye(x.shape[-1], dtype=x.dtype)), x.shape)
    square = linalg._product(scaled, scaled)
    b = _PADE[order]
    even, odd, power = lax.full_like(x, 0), lax.full_like(x, 0), unit
    for k in range(0, order, 2):
        even = lax.add(even, lax.mul(power, lax.full_like(x, b[k])))
        odd = lax.add(odd, lax.mul(power, lax.full_like(x, b[k + 1])))
        power = linalg._product(power, square)
    odd = linalg._product(scaled, odd)
    result = linalg.solve(lax.sub(even, odd), lax.add(even, odd))

    def step(made: Tracer, k: Tracer) -> Any:
        again = lax.lt(expand(convert(k, count.dtype), count.shape, ()), count)
        mask = expand(again, made.shape, range(made.ndim - 2))
        return lax.select(mask, linalg._product(made, made), made), None

    result, _ = lax.scan(step, result, np.arange(max_squarings, dtype=np.int32))
    over = expand(lax.gt(count, lax.full_like(count, max_squarings)), x.shape, range(x.ndim - 2))
    return lax.select(over, lax.full_like(result, math.nan), result)
