"""`xlac.lax.linalg`: factorisations and triangular systems on batches of matrices, by LAPACK's kernels.

The last two dimensions are the matrix, all others are a batch. float16 and bfloat16 are computed in float32.
Factorisations are `call`s of small computations around the kernels; the forward derivative of each stands beside it,
and the reverse one is its transpose.
"""

from __future__ import annotations

import builtins
import enum
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.control import fori_loop, scan
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.lax.creation import broadcasted_iota, full_like
from xlac.lax.elementwise import (
    add,
    bitwise_and,
    complex,
    conj,
    div,
    eq,
    ge,
    imag,
    mul,
    real,
    select,
    sign,
    sub,
)
from xlac.lax.factors import (
    Build,
    CallNote,
    Jvp,
    _array,
    _columns,
    _cut,
    _diagonal,
    _diagonal_mask,
    _enlarge,
    _failed,
    _identity_like,
    _kernel,
    _matrix,
    _narrow,
    _product,
    _rows,
    _swap,
    _triangle,
    adjoint,
    symmetrize,
)
from xlac.lax.indexing import GatherDimensionNumbers, dynamic_index_in_dim, gather
from xlac.lax.movement import concatenate, expand_dims, slice_in_dim, squeeze, transpose
from xlac.lax.operands import Declared, convert, expand
from xlac.lax.reductions import argmax, reduce_sum


class EigImplementation(enum.Enum):
    """Accepted as in JAX: the algorithm is LAPACK's."""

    CUSOLVER = "cusolver"
    MAGMA = "magma"
    LAPACK = "lapack"


class EighImplementation(enum.Enum):
    """Accepted as in JAX: the algorithm is LAPACK's."""

    QR = "qr"
    JACOBI = "jacobi"
    QDWH = "qdwh"


class SvdAlgorithm(enum.Enum):
    """Accepted as in JAX: the algorithm is LAPACK's."""

    DEFAULT = "default"
    QR = "QR"
    JACOBI = "Jacobi"
    POLAR = "polar"
    DIVIDE_AND_CONQUER = "divide_and_conquer"


__all__: list[str] = ["EigImplementation", "EighImplementation", "SvdAlgorithm"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


@public
def cholesky(x: ArrayLike, *, symmetrize_input: bool = True) -> Array:
    """L, lower triangular, with L L* = x; NaN where x is not positive definite."""
    a = _matrix("cholesky", x, square=True)
    if symmetrize_input:
        a = symmetrize(a)
    return _triangle(emit(op.cholesky, a, lower=True), 0, True)


@public
def triangular_solve(
    a: ArrayLike,
    b: ArrayLike,
    *,
    left_side: bool = False,
    lower: bool = False,
    transpose_a: bool = False,
    conjugate_a: bool = False,
    unit_diagonal: bool = False,
) -> Array:
    """x with op(a) x = b, or x op(a) = b; of a, only one triangle is read."""
    matrix = _matrix("triangular_solve", a, square=True)
    right = convert(lift(b), matrix.dtype)
    vector = right.ndim == matrix.ndim - 1
    if vector:
        right = expand_dims(right, (right.ndim if left_side else right.ndim - 1,))
    if conjugate_a and not transpose_a:
        matrix = conj(matrix)
    word = "NO_TRANSPOSE" if not transpose_a else "ADJOINT" if conjugate_a else "TRANSPOSE"
    made = emit(
        op.triangular_solve,
        matrix,
        right,
        left_side=left_side,
        lower=lower,
        unit_diagonal=unit_diagonal,
        transpose_a=word,
    )
    return squeeze(made, (made.ndim - 1 if left_side else made.ndim - 2,)) if vector else made


def _solve(a: Tracer, b: Tracer, lower: bool, left: bool = True, unit: bool = False, adjoint: bool = False) -> Tracer:
    return triangular_solve(
        a, b, left_side=left, lower=lower, unit_diagonal=unit, transpose_a=adjoint, conjugate_a=adjoint
    )


# ---- LU


def _lu_build(x: Tracer) -> list[Tracer]:
    *lead, m, n = x.shape
    k = builtins.min(m, n)
    packed, pivots, _ = _kernel("getrf", [x], [_array(x.dtype, *x.shape), _array(np.int32, *lead, k),
                                               _array(np.int32, *lead)])  # fmt: skip
    pivots = sub(pivots, full_like(pivots, 1))
    return [packed, pivots, _permutation(pivots, m)]


def _permutation(pivots: Tracer, size: int) -> Tracer:
    """The rows' order after each row i in turn is exchanged with row pivots[i]."""
    *lead, k = pivots.shape
    start = broadcasted_iota(pivots.dtype, (*lead, size), len(lead))
    if not k or not size:
        return start
    place = broadcasted_iota(pivots.dtype, (*lead, size), len(lead))

    def wide(v: Tracer) -> Tracer:
        return expand(v, start.shape, range(len(lead)))

    def exchange(i: Any, order: Tracer) -> Tracer:
        i = convert(lift(i), pivots.dtype)
        here = eq(place, wide(expand(i, lead, ())))
        other = dynamic_index_in_dim(pivots, i, len(lead), keepdims=False)
        there = eq(place, wide(other))
        zero = full_like(order, 0)
        mine = reduce_sum(select(here, order, zero), (len(lead),))
        theirs = reduce_sum(select(there, order, zero), (len(lead),))
        return select(here, wide(theirs), select(there, wide(mine), order))

    return fori_loop(0, k, exchange, start)


def _lu_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """With P a = L U: d(LU) = L tril(L^-1 P da U^-1, -1) + triu(L^-1 P da U^-1) U."""
    (a,), (packed, _, order), (da,) = operands, results, tangents
    m, n = a.shape[-2:]
    k = builtins.min(m, n)
    moved = _take_rows(da, order)
    lower = _enlarge(_triangle(_cut(packed, m, k), -1, True), m, m)
    lower = add(lower, _identity_like(lower))
    upper = _enlarge(_triangle(_cut(packed, k, n), 0, False), n, n)
    rows = broadcasted_iota(np.int32, upper.shape, upper.ndim - 2)
    spare = bitwise_and(_diagonal_mask(upper), ge(rows, full_like(rows, k)))
    upper = select(spare, full_like(upper, 1), upper)
    inner = _solve(upper, _solve(lower, moved, True, unit=True), False, left=False)
    change = add(_product(lower, _triangle(inner, -1, True)), _product(_triangle(inner, 0, False), upper))
    return [change, None, None]


def _take_rows(x: Tracer, order: Tracer) -> Tracer:
    """x[..., order[..., i], :] for each i."""
    lead = x.ndim - 2
    if not x.size:
        return x
    batch = tuple(range(lead))
    numbers = GatherDimensionNumbers(
        offset_dims=(lead + 1,),
        collapsed_slice_dims=(lead,),
        start_index_map=(lead,),
        operand_batching_dims=batch,
        start_indices_batching_dims=batch,
    )
    return gather(x, expand_dims(order, (order.ndim,)), numbers, (*[1] * lead, 1, x.shape[-1]))


_LU = CallNote("lu", _lu_build, _lu_derivative)


@public
def lu(x: ArrayLike) -> tuple[Array, Array, Array]:
    """P x = L U with partial pivoting.

    Returns:
      L below and U on and above the diagonal of one matrix, the row each step exchanges with, and the rows' order.
    """
    a = _matrix("lu", x)
    return tuple(_narrow(lambda v: _LU.emit(v), a))  # type: ignore[return-value]


@public
def lu_pivots_to_permutation(pivots: ArrayLike, permutation_size: int) -> Array:
    """The rows' order that a sequence of exchanges gives: row i with row pivots[i], for i = 0, 1, ..."""
    return _permutation(lift(pivots), permutation_size)


# ---- QR


def _householder(x: Tracer) -> tuple[Tracer, Tracer]:
    *lead, m, n = x.shape
    packed, tau = _kernel("geqrf", [x], [_array(x.dtype, *x.shape), _array(x.dtype, *lead, builtins.min(m, n))])
    return packed, tau


def _reflectors(a: Tracer, tau: Tracer) -> Tracer:
    name = "ungqr" if dtypes.is_complex(a.dtype) else "orgqr"
    return _kernel(name, [a, tau], [_array(a.dtype, *a.shape)])[0]


def _qr_build(full: bool) -> Build:
    def build(x: Tracer) -> list[Tracer]:
        *lead, m, n = x.shape
        k = builtins.min(m, n)
        packed, tau = _householder(x)
        if full and m > n:
            q = _reflectors(_enlarge(packed, m, m), tau)
            r = packed
        else:
            q = _reflectors(_cut(packed, m, k), tau)
            r = _cut(packed, k, n)
        return [q, _triangle(r, 0, False)]

    return build


def _qr_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """With C = Q* da R^-1: dR = (C - W) R, dQ = Q (W - C) + da R^-1, where W is the skew part that keeps R triangular.

    https://arxiv.org/abs/1009.6112
    """
    (a,), (q, r), (da,) = operands, results, tangents
    if a.shape[-2] < a.shape[-1] or q.shape[-2:] != a.shape[-2:]:
        raise trace.trace_error(
            "qr has derivatives of matrices with at least as many rows as columns only, and with full_matrices=False "
            "unless they are square"
        )
    right = _solve(r, da, False, left=False)
    c = _product(adjoint(q), right)
    below = _triangle(c, -1, True)
    skew = sub(below, adjoint(below))
    if dtypes.is_complex(c.dtype):
        zero = full_like(real(c), 0)
        skew = add(skew, select(_diagonal_mask(c), complex(zero, imag(c)), full_like(c, 0)))
    return [add(_product(q, sub(skew, c)), right), _product(sub(c, skew), r)]


_QR = {full: CallNote("qr", _qr_build(full), _qr_derivative) for full in (False, True)}


def _pivoted_build(full: bool) -> Build:
    def build(x: Tracer) -> list[Tracer]:
        *lead, m, n = x.shape
        k = builtins.min(m, n)
        free = full_like(broadcasted_iota(np.int32, (*lead, n), len(lead)), 0)
        shapes = [_array(x.dtype, *x.shape), _array(np.int32, *lead, n), _array(x.dtype, *lead, k)]
        packed, order, tau = _kernel("geqp3", [x, free], shapes)
        wide = _enlarge(packed, m, m) if full and m > n else _cut(packed, m, k)
        r = packed if full else _cut(packed, k, n)
        return [_reflectors(wide, tau), _triangle(r, 0, False), sub(order, full_like(order, 1))]

    return build


def _pivoted_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """That of the matrix whose columns are in the order found."""
    (a,), (q, r, order), (da,) = operands, results, tangents
    a, da = (_swap(_take_rows(_swap(v), order)) for v in (a, da))
    return [*_qr_derivative([a], [q, r], [da]), None]


_PIVOTED = {full: CallNote("qr", _pivoted_build(full), _pivoted_derivative) for full in (False, True)}


@public
def qr(x: ArrayLike, *, pivoting: bool = False, full_matrices: bool = True, use_magma: bool | None = None) -> Any:
    """Q R = x, Q unitary and R upper triangular; without `full_matrices` Q has min(m, n) columns.

    With `pivoting` there is a third result, the order p of x's columns, with Q R = x[..., p] and the size of R's
    diagonal descending.
    """
    a = _matrix("qr", x)
    if pivoting:
        return tuple(_narrow(lambda v: _PIVOTED[full_matrices].emit(v), a))
    return tuple(_narrow(lambda v: _QR[full_matrices].emit(v), a))  # type: ignore[return-value]


@public
def householder_product(a: ArrayLike, taus: ArrayLike) -> Array:
    """The first columns of H(0) H(1) ...: H(i) = I - taus[i] v v*, v being column i of `a` below a one."""
    return _reflectors(_matrix("householder_product", a), lift(taus))


@public
def cholesky_update(r_matrix: ArrayLike, w_vector: ArrayLike) -> Array:
    """R', upper triangular with a positive diagonal, with R'^T R' = R^T R + w w^T."""
    r = _matrix("cholesky_update", r_matrix, square=True)
    w = lift(w_vector)
    rows = concatenate([r, expand_dims(w, (w.ndim - 1,))], r.ndim - 2)
    _, made = qr(rows, full_matrices=False)
    signs = sign(_diagonal(made))
    return mul(made, _rows(select(eq(signs, 0), full_like(signs, 1), signs), made))


# ---- symmetric eigenvalues


def _eigh_build(lower: bool) -> Build:
    def build(x: Tracer) -> list[Tracer]:
        *lead, n, _ = x.shape
        hermitian = dtypes.is_complex(x.dtype)
        real_type = dtypes.real_dtype(x.dtype)
        v, w, info = _kernel(
            "heevd" if hermitian else "syevd",
            [x],
            [_array(x.dtype, *x.shape), _array(real_type, *lead, n), _array(np.int32, *lead)],
            mode="V",
            uplo="L" if lower else "U",
        )
        return [_failed(info, v), _failed(info, w)]

    return build


def _eigh_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """With C = V* da V: dw = diag(C), dV = V (F C), F_ij = 1 / (w_j - w_i) off the diagonal (eigenvalues distinct)."""
    (v, w), (da,) = results, tangents
    inner = _product(adjoint(v), _product(da, v))
    gaps = sub(_columns(w, v), _rows(w, v))
    diagonal = _diagonal_mask(v)
    f = select(diagonal, full_like(gaps, 0), div(1, select(diagonal, full_like(gaps, 1), gaps)))
    return [_product(v, mul(convert(f, v.dtype), inner)), real(_diagonal(inner))]


_EIGH = {lower: CallNote("eigh", _eigh_build(lower), _eigh_derivative) for lower in (False, True)}


@public
def eigh(
    x: ArrayLike,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
    implementation: EighImplementation | None = None,
) -> tuple[Array, Array]:
    """Eigenvectors, as columns, and ascending eigenvalues of Hermitian matrices; one triangle is read."""
    a = _matrix("eigh", x, square=True)
    if symmetrize_input:
        a = symmetrize(a)
    v, w = _narrow(lambda m: _EIGH[lower].emit(m), a)
    if subset_by_index is not None:
        low, high = subset_by_index
        v, w = slice_in_dim(v, low, high, axis=v.ndim - 1), slice_in_dim(w, low, high, axis=w.ndim - 1)
    return v, w


# ---- singular values


def _svd_build(full: bool) -> Build:
    def build(x: Tracer) -> list[Tracer]:
        *lead, m, n = x.shape
        k = builtins.min(m, n)
        columns, rows = (m, n) if full else (k, k)
        _, s, u, vt, info = _kernel(
            "gesdd",
            [x],
            [
                _array(x.dtype, *x.shape),
                _array(dtypes.real_dtype(x.dtype), *lead, k),
                _array(x.dtype, *lead, m, columns),
                _array(x.dtype, *lead, rows, n),
                _array(np.int32, *lead),
            ],
            mode="A" if full else "S",
        )
        return [_failed(info, u), _failed(info, s), _failed(info, vt)]

    return build


def _svd_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """Derivatives of U, s, V* for distinct singular values: https://j-towns.github.io/papers/svd-derivative.pdf."""
    (a,), (u, s, vt), (da,) = operands, results, tangents
    m, n = a.shape[-2:]
    if (u.shape[-1], vt.shape[-2]) != (builtins.min(m, n),) * 2:
        raise trace.trace_error("svd has derivatives with full_matrices=False only, unless the matrix is square")
    v = adjoint(vt)
    inner = _product(adjoint(u), _product(da, v))
    ds = real(_diagonal(inner))
    diagonal = _diagonal_mask(inner)
    right, left = _columns(s, inner), _rows(s, inner)
    gaps = mul(add(right, left), sub(right, left))
    f = select(diagonal, full_like(gaps, 0), div(1, select(diagonal, full_like(gaps, 1), gaps)))
    f = convert(f, inner.dtype)
    scaled = mul(inner, convert(right, inner.dtype))
    other = mul(inner, convert(left, inner.dtype))
    zero = eq(s, 0)
    inverse = select(zero, full_like(s, 0), div(1, select(zero, full_like(s, 1), s)))
    wide = convert(_columns(inverse, inner), inner.dtype)
    phase = mul(mul(sub(inner, adjoint(inner)), full_like(inner, 0.5)), wide)
    phase = select(diagonal, phase, full_like(phase, 0))
    du = _product(u, add(mul(f, add(scaled, adjoint(scaled))), phase))
    dv = _product(v, mul(f, add(other, adjoint(other))))
    if m > n:
        outside = _product(da, v)
        outside = sub(outside, _product(u, _product(adjoint(u), outside)))
        du = add(du, mul(outside, convert(_columns(inverse, outside), outside.dtype)))
    if n > m:
        outside = _product(adjoint(da), u)
        outside = sub(outside, _product(v, _product(vt, outside)))
        dv = add(dv, mul(outside, convert(_columns(inverse, outside), outside.dtype)))
    return [du, ds, adjoint(dv)]


_SVD = {full: CallNote("svd", _svd_build(full), _svd_derivative) for full in (False, True)}


@public
def svd(
    x: ArrayLike,
    *,
    full_matrices: bool = True,
    compute_uv: bool = True,
    subset_by_index: Any = None,
    algorithm: SvdAlgorithm | None = None,
) -> Any:
    """U, s, V* with U diag(s) V* = x, s descending; s alone without `compute_uv`."""
    a = _matrix("svd", x)
    u, s, vt = _narrow(lambda v: _SVD[full_matrices and compute_uv].emit(v), a)
    if subset_by_index is not None:
        low, high = subset_by_index
        u, s = slice_in_dim(u, low, high, axis=u.ndim - 1), slice_in_dim(s, low, high, axis=s.ndim - 1)
        vt = slice_in_dim(vt, low, high, axis=vt.ndim - 2)
    return (u, s, vt) if compute_uv else s


# ---- general eigenvalues


def _eig_build(x: Tracer) -> list[Tracer]:
    *lead, n, _ = x.shape
    wide = np.result_type(x.dtype, np.complex64)
    vectors, values, info = _array(wide, *lead, n, n), _array(x.dtype, *lead, n), _array(np.int32, *lead)
    if dtypes.is_complex(x.dtype):
        w, left, right, _ = _kernel("geev", [x], [values, vectors, vectors, info], compute_left="V", compute_right="V")
        return [w, left, right]
    re, im, left, right, _ = _kernel(
        "geev", [x], [values, values, vectors, vectors, info], compute_left="V", compute_right="V"
    )
    return [complex(re, im), left, right]


def _eig_derivative(left: bool, right: bool, vectors: bool) -> Jvp:
    def derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
        """dw = diag(C) for C = V^-1 da V; those of the vectors, and of da* for the left ones, by `_vectors_change`."""
        (w, vl, vr), (da,) = results, tangents
        if (left or right) and not vectors:
            raise trace.trace_error(
                "eig: eigenvectors have derivatives where the eigenvalues are distinct, and with "
                "enable_eigvec_derivs=True; take eigenvalues alone with both compute_..._eigenvectors=False"
            )
        da = convert(da, vr.dtype)
        inner = _product(_general_solve(vr, da), vr)
        of_left = None
        if left:
            of_left = _vectors_change(conj(w), vl, _product(_general_solve(vl, adjoint(da)), vl))
        return [_diagonal(inner), of_left, _vectors_change(w, vr, inner)]  # of vr: for the second derivative of w

    return derivative


def _vectors_change(w: Tracer, v: Tracer, inner: Tracer) -> Tracer:
    """V (F C), F_ij = 1 / (w_j - w_i), and multiples of V's columns that keep them normal.

    Columns have norm 1 and a largest element that is real.
    """
    gaps = sub(_columns(w, v), _rows(w, v))
    diagonal = _diagonal_mask(v)
    safe = select(diagonal, full_like(gaps, 1), gaps)
    change = _product(v, select(diagonal, full_like(inner, 0), div(inner, safe)))
    length = reduce_sum(real(mul(conj(v), change)), (v.ndim - 2,))
    size = add(mul(real(v), real(v)), mul(imag(v), imag(v)))
    place = broadcasted_iota(np.int32, v.shape, v.ndim - 2)
    largest = eq(place, _columns(argmax(size, v.ndim - 2, np.int32), v))
    zeros = full_like(size, 0)
    turn = reduce_sum(select(largest, div(imag(change), select(largest, real(v), full_like(size, 1))), zeros),
                      (v.ndim - 2,))  # fmt: skip
    return sub(change, mul(v, _columns(complex(length, turn), v)))


_EIG = {key: CallNote("eig", _eig_build, _eig_derivative(*key)) for key in itertools.product((False, True), repeat=3)}


@public
def eig(
    x: ArrayLike,
    *,
    compute_left_eigenvectors: bool = True,
    compute_right_eigenvectors: bool = True,
    enable_eigvec_derivs: bool = False,
    implementation: EigImplementation | None = None,
    use_magma: bool | None = None,
) -> list[Array]:
    """Eigenvalues, and left and right eigenvectors as columns, of general matrices; all are complex.

    Derivatives are those of the eigenvalues alone, unless `enable_eigvec_derivs` says that eigenvalues are distinct;
    those of the vectors then keep their norm 1, and their largest element real.
    """
    a = _matrix("eig", x, square=True)
    a = convert(a, dtypes.FLOAT32) if a.dtype.itemsize < 4 else a
    note = _EIG[compute_left_eigenvectors, compute_right_eigenvectors, enable_eigvec_derivs]
    w, left, right = note.emit(a)
    return [w, *([left] if compute_left_eigenvectors else []), *([right] if compute_right_eigenvectors else [])]


# ---- systems of equations


def _general_solve(a: Tracer, b: Tracer) -> Tracer:
    """x with a x = b, by LU; b has the matrix's batch dimensions."""
    packed, _, order = lu(a)
    return _solve(packed, _solve(packed, _take_rows(b, order), True, unit=True), False)


@public
def solve(a: ArrayLike, b: ArrayLike) -> Array:
    """x with a x = b for square matrices a, by LU with partial pivoting; b of shape [..., n, m]."""
    return _general_solve(_matrix("solve", a, square=True), lift(b))


@public
def tridiagonal_solve(
    dl: ArrayLike, d: ArrayLike, du: ArrayLike, b: ArrayLike, *, perturb_singular: bool = False
) -> Array:
    """x with t x = b, t having the diagonals dl, d, du, each of the system's size; dl[0] and du[-1] are not read.

    By elimination along the diagonals, in a scan: derivatives go through it.
    """
    lower, main, upper, right = (lift(v) for v in (dl, d, du, b))
    n, lead = main.shape[-1], main.ndim - 1
    first = [transpose(v, (lead, *range(lead))) for v in (lower, main, upper)]
    rows = transpose(right, (lead, *range(lead), lead + 1))

    def wide(v: Tracer) -> Tracer:
        return expand(v, rows.shape[1:], range(lead))

    zero, one = full_like(first[0][0], 0), full_like(first[0][0], 1)

    def down(carry: Any, row: Any) -> Any:
        ratio, value = carry
        below, centre, above, given = row
        pivot = sub(centre, mul(below, ratio))
        ratio = div(above, pivot)
        value = div(sub(given, mul(wide(below), value)), wide(pivot))
        return (ratio, value), (ratio, value)

    below = concatenate([expand_dims(zero, (0,)), slice_in_dim(first[0], 1, n)], 0)
    start = (zero, full_like(rows[0], 0))
    _, (ratios, values) = scan(down, start, (below, first[1], first[2], rows))

    def up(later: Any, row: Any) -> Any:
        ratio, value = row
        found = sub(value, mul(wide(ratio), later))
        return found, found

    last = concatenate([slice_in_dim(ratios, 0, n - 1), expand_dims(mul(zero, one), (0,))], 0)
    _, x = scan(up, full_like(rows[0], 0), (last, values), reverse=True)
    return transpose(x, (*range(1, lead + 1), 0, lead + 1))


@public
def symmetric_product(
    a_matrix: ArrayLike, c_matrix: ArrayLike, *, alpha: float = 1.0, beta: float = 0.0, symmetrize_output: bool = False
) -> Array:
    """alpha a a^T + beta c."""
    a, c = lift(a_matrix), lift(c_matrix)
    made = add(mul(_product(a, _swap(a)), full_like(c, alpha)), mul(c, full_like(c, beta)))
    if not symmetrize_output:
        return made
    below = _triangle(made, 0, True)
    return add(below, _swap(_triangle(below, -1, True)))


# ---- reduced forms, which have no derivatives


def _hessenberg_build(x: Tracer) -> list[Tracer]:
    *lead, n, _ = x.shape
    shapes = [_array(x.dtype, *x.shape), _array(x.dtype, *lead, builtins.max(n - 1, 0)), _array(np.int32, *lead)]
    packed, tau, info = _kernel("gehrd", [x], shapes)
    return [_failed(info, packed), _failed(info, tau)]


_HESSENBERG = CallNote("hessenberg", _hessenberg_build, None)


@public
def hessenberg(a: ArrayLike) -> tuple[Array, Array]:
    """The Hessenberg form of square matrices, with the reflections that make it.

    Returns: the form on and above the first subdiagonal and the reflections' vectors below it, and their factors; of
      these, `householder_product` makes Q.
    """
    return tuple(_narrow(lambda v: _HESSENBERG.emit(v), _matrix("hessenberg", a, square=True)))  # type: ignore[return-value]


def _tridiagonal_build(lower: bool) -> Build:
    def build(x: Tracer) -> list[Tracer]:
        *lead, n, _ = x.shape
        kind, less = dtypes.real_dtype(x.dtype), builtins.max(n - 1, 0)
        shapes = [_array(x.dtype, *x.shape), _array(kind, *lead, n), _array(kind, *lead, less),
                  _array(x.dtype, *lead, less), _array(np.int32, *lead)]  # fmt: skip
        name = "hetrd" if dtypes.is_complex(x.dtype) else "sytrd"
        *made, info = _kernel(name, [x], shapes, uplo="L" if lower else "U")
        return [_failed(info, m) for m in made]

    return build


_TRIDIAGONAL = {lower: CallNote("tridiagonal", _tridiagonal_build(lower), None) for lower in (False, True)}


@public
def tridiagonal(a: ArrayLike, *, lower: bool = True) -> tuple[Array, Array, Array, Array]:
    """The tridiagonal form of Hermitian matrices, of which one triangle is read.

    Returns: the reflections' vectors, the real diagonal, the real off-diagonal, and the reflections' factors.
    """
    x = _matrix("tridiagonal", a, square=True)
    return tuple(_narrow(lambda v: _TRIDIAGONAL[lower].emit(v), x))  # type: ignore[return-value]


@public
def ormqr(a: ArrayLike, taus: ArrayLike, c: ArrayLike, *, left: bool = True, transpose: bool = False) -> Array:
    """Q c, or c Q without `left`, or those with Q*, for the Q of the reflections below the diagonal of `a`."""
    x, tau, right = _matrix("ormqr", a), lift(taus), lift(c)
    name = "unmqr" if dtypes.is_complex(x.dtype) else "ormqr"
    return _kernel(name, [x, tau, right], [_array(x.dtype, *right.shape)], left=left, transpose=transpose)[0]


def _schur_build(x: Tracer) -> list[Tracer]:
    *lead, n, _ = x.shape
    hermitian = dtypes.is_complex(x.dtype)
    values = [_array(x.dtype, *lead, n)] * (1 if hermitian else 2)
    shapes = [_array(x.dtype, *x.shape), _array(x.dtype, *x.shape), *values, *[_array(np.int32, *lead)] * 2]
    made = _kernel("gees", [x], shapes, mode="V", sort="N")
    return [_failed(made[-1], made[0]), _failed(made[-1], made[1])]


_SCHUR = CallNote("schur", _schur_build, None)


@public
def schur(
    x: ArrayLike,
    *,
    compute_schur_vectors: bool = True,
    sort_eig_vals: bool = False,
    select_callable: Callable[..., Any] | None = None,
) -> Any:
    """T and Q with x = Q T Q*, Q unitary and T upper triangular; of real matrices with 2x2 blocks on the diagonal.

    Returns: (T, Q), or (T,) without `compute_schur_vectors`.

    Raises:
      TraceError: sorted eigenvalues are asked for, which no kernel gives.
    """
    if sort_eig_vals or select_callable is not None:
        raise trace.trace_error("schur: there is no kernel that sorts eigenvalues; leave sort_eig_vals=False")
    t, q = _narrow(lambda v: _SCHUR.emit(v), _matrix("schur", x, square=True))
    return (t, q) if compute_schur_vectors else (t,)


@public
def qdwh(
    x: ArrayLike,
    *,
    is_hermitian: bool = False,
    max_iterations: int | None = None,
    eps: float | None = None,
    dynamic_shape: tuple[int, int] | None = None,
) -> tuple[Array, Array, Array, Array]:
    """The polar decomposition U H = x, U with orthonormal columns and H positive semidefinite, of tall matrices.

    Returns: U, H, and what an iteration would say: 0 steps, converged. It is made of singular values.

    Raises:
      TraceError: there are more columns than rows, or `dynamic_shape` is given.
    """
    a = _matrix("qdwh", x)
    if a.shape[-2] < a.shape[-1] or dynamic_shape is not None:
        raise trace.trace_error("qdwh: matrices must have at least as many rows as columns, and no dynamic_shape")
    u, s, vt = svd(a, full_matrices=False)
    h = _product(mul(adjoint(vt), convert(_columns(s, adjoint(vt)), vt.dtype)), vt)
    half = mul(add(h, adjoint(h)), full_like(h, 0.5))
    return _product(u, vt), half, lift(np.int32(0)), lift(np.bool_(True))
