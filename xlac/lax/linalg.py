"""`xlac.lax.linalg`: factorisations and triangular systems on batches of matrices, by LAPACK's kernels.

The last two dimensions are the matrix, all others are a batch. float16 and bfloat16 are computed in float32.
Factorisations are `call`s of small computations around the kernels; the forward derivative of each stands beside it,
and the reverse one is its transpose.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.control import fori_loop, scan
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.lax._core import Declared, convert, expand
from xlac.lax.contraction import dot_general
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
    le,
    mul,
    ne,
    real,
    select,
    sign,
    sub,
)
from xlac.lax.indexing import GatherDimensionNumbers, dynamic_index_in_dim, gather
from xlac.lax.movement import concatenate, expand_dims, pad, slice, slice_in_dim, squeeze, transpose
from xlac.lax.reductions import reduce_sum

__all__: list[str] = []
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named

_LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


# ---- parts shared by all


def _matrix(name: str, a: Any, square: bool = False) -> Tracer:
    x = lift(a)
    if not dtypes.is_inexact(x.dtype):
        raise shape_error(f"{name}: the matrix is of type {x.dtype.name}; it must be a float or complex type")
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square in its last two dimensions" if square else "of at least two dimensions"
        raise shape_error(f"{name}: an array of shape {list(x.shape)}; it must be {kind}")
    return x


def _kernel(name: str, operands: Sequence[Tracer], shapes: Sequence[ArrayShape], **config: str) -> list[Tracer]:
    """Call the LAPACK kernel of the first operand's type; options are single letters."""
    words = ", ".join(f"{key} = {ord(letter)} : ui8" for key, letter in config.items())
    active = trace.active()
    made = TupleShape(tuple(shapes)) if len(shapes) > 1 else shapes[0]
    instruction = trace.emit_instruction(
        op.custom_call,
        *[active.use(x) for x in operands],
        shape=made,
        custom_call_target=f"lapack_{_LETTERS[operands[0].dtype.name]}{name}_ffi",
        api_version="API_VERSION_TYPED_FFI",
        backend_config="{" + words + "}" if words else None,
    )
    return trace.elements(instruction) if len(shapes) > 1 else [Tracer(active, instruction)]


def _array(dtype: Any, *dims: int) -> ArrayShape:
    return ArrayShape(element_type(np.dtype(dtype)), dims)


def _failed(info: Tracer, values: Tracer) -> Tracer:
    """NaN for those matrices of a batch whose kernel reported a failure."""
    bad = ne(info, full_like(info, 0))
    wide = expand(bad, values.shape, range(bad.ndim))
    return select(wide, full_like(values, math.nan), values)


def adjoint(a: Any) -> Tracer:
    """The conjugate transpose of the last two dimensions."""
    return conj(_swap(lift(a)))


def _swap(x: Tracer) -> Tracer:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _product(a: Tracer, b: Tracer) -> Tracer:
    batch = tuple(range(a.ndim - 2))
    return dot_general(a, b, (((a.ndim - 1,), (b.ndim - 2,)), (batch, batch)))


def _triangle(x: Tracer, k: int, lower: bool) -> Tracer:
    """Zeros above (or below) the k-th diagonal."""
    rows, columns = (broadcasted_iota(np.int32, x.shape, x.ndim - 2 + i) for i in (0, 1))
    moved = add(rows, full_like(rows, k))
    keep = ge(moved, columns) if lower else le(moved, columns)
    return select(keep, x, full_like(x, 0))


def _diagonal_mask(x: Tracer) -> Tracer:
    rows, columns = (broadcasted_iota(np.int32, x.shape, x.ndim - 2 + i) for i in (0, 1))
    return eq(rows, columns)


def _identity_like(x: Tracer) -> Tracer:
    return convert(_diagonal_mask(x), x.dtype)


def _diagonal(x: Tracer) -> Tracer:
    """The diagonals of square matrices."""
    zeros = full_like(x, 0)
    return reduce_sum(select(_diagonal_mask(x), x, zeros), (x.ndim - 1,))


def _columns(v: Tracer, x: Tracer) -> Tracer:
    """v[..., j] at each place [..., i, j] of `x`."""
    return expand(v, (*x.shape[:-2], x.shape[-2], v.shape[-1]), (*range(x.ndim - 2), x.ndim - 1))


def _rows(v: Tracer, x: Tracer) -> Tracer:
    """v[..., i] at each place [..., i, j] of `x`."""
    return expand(v, (*x.shape[:-2], v.shape[-1], x.shape[-1]), range(x.ndim - 1))


def _cut(x: Tracer, rows: int, columns: int) -> Tracer:
    lead = x.shape[:-2]
    return slice(x, (0,) * x.ndim, (*lead, rows, columns))


def _enlarge(x: Tracer, rows: int, columns: int) -> Tracer:
    """Zeros below and beside the matrices."""
    m, n = x.shape[-2:]
    return pad(x, np.zeros((), x.dtype), [(0, 0, 0)] * (x.ndim - 2) + [(0, rows - m, 0), (0, columns - n, 0)])


def symmetrize(x: Any) -> Tracer:
    """(x + x*) / 2."""
    a = lift(x)
    return mul(add(a, adjoint(a)), full_like(a, 0.5))


# ---- factorisations as calls with a derivative

Build = Callable[..., "list[Tracer]"]
Jvp = Callable[["list[Tracer]", "list[Tracer]", "list[Tracer]"], "list[Any]"]


class FactorNote:
    """What the front end knows of a factorisation's call: how to make it of other operands, and its derivative.

    Attributes:
      build: the results of the operands, any batch dimensions in front.
      derivative: (operands, results, tangents of the operands) -> tangents of the results, None for zero.
    """

    def __init__(self, name: str, build: Build, derivative: Jvp | None) -> None:
        self.name, self.build, self.derivative = name, build, derivative

    def emit(self, *operands: Tracer) -> list[Tracer]:
        """The call, in the current trace."""
        active = trace.active()
        shapes = [x._instruction.shape for x in operands]
        computation = trace.scalar_computation(self.name, shapes, lambda *xs: self.build(*xs))
        instruction = trace.emit_instruction(op.call, *[active.use(x) for x in operands], to_apply=computation)
        active.session.notes[instruction] = self  # type: ignore[assignment]
        return trace.elements(instruction)

    def _tangents(self, instruction: Any, tangents: Sequence[Any]) -> list[Any]:
        if self.derivative is None:
            raise trace.trace_error(f"{self.name} has no derivative")
        active = trace.active()
        operands = [Tracer(active, x) for x in instruction.operands]
        filled = [full_like(x, 0) if t is None else t for x, t in zip(operands, tangents)]
        return self.derivative(operands, trace.elements(instruction), filled)

    def jvp(self, instruction: Any, tangents: Sequence[Any], moved: list[Any]) -> Any:
        """The tangents of the results."""
        return self._tangents(instruction, tangents)

    def vjp(self, instruction: Any, cotangent: Any, needed: Callable[[Any], bool]) -> Sequence[Any]:
        """The cotangents of the operands: the transpose of the derivative."""
        from xlac.frontend.linear import transpose as transposed

        shapes = [x.shape for x in instruction.operands]
        return transposed(lambda inputs: self._tangents(instruction, inputs), shapes, list(cotangent))

    def batch(self, instruction: Any, values: Sequence[Any], size: int) -> Any:
        """The results for operands of which some have a batch dimension."""
        from xlac.frontend.batching import Batched

        return [Batched(t, 0) for t in self.emit(*(value.front(size) for value in values))]


def _narrow(function: Callable[..., Any], x: Tracer) -> Any:
    """`function` of a matrix, computed in float32 where it is narrower."""
    if x.dtype.itemsize >= 4:
        return function(x)
    made = function(convert(x, dtypes.FLOAT32))
    results = [convert(r, x.dtype) if dtypes.is_float(r.dtype) else r for r in made]
    return results


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


_LU = FactorNote("lu", _lu_build, _lu_derivative)


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


_QR = {full: FactorNote("qr", _qr_build(full), _qr_derivative) for full in (False, True)}


@public
def qr(x: ArrayLike, *, pivoting: bool = False, full_matrices: bool = True) -> tuple[Array, Array]:
    """Q R = x, Q unitary and R upper triangular; without `full_matrices` Q has min(m, n) columns.

    Raises:
      TraceError: pivoting is asked for, for which there is no kernel.
    """
    if pivoting:
        raise trace.trace_error("qr: there is no kernel for pivoting=True; use svd to find the rank")
    a = _matrix("qr", x)
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


_EIGH = {lower: FactorNote("eigh", _eigh_build(lower), _eigh_derivative) for lower in (False, True)}


@public
def eigh(
    x: ArrayLike,
    *,
    lower: bool = True,
    symmetrize_input: bool = True,
    sort_eigenvalues: bool = True,
    subset_by_index: tuple[int, int] | None = None,
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


_SVD = {full: FactorNote("svd", _svd_build(full), _svd_derivative) for full in (False, True)}


@public
def svd(x: ArrayLike, *, full_matrices: bool = True, compute_uv: bool = True, subset_by_index: Any = None) -> Any:
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


def _eig_derivative(operands: list[Tracer], results: list[Tracer], tangents: list[Tracer]) -> list[Any]:
    """dw = diag(V^-1 da V); that of the vectors is not defined without a choice of their scale, and is refused."""
    (_, _, v), (da,) = results, tangents
    inner = _product(_general_solve(v, convert(da, v.dtype)), v)
    return [_diagonal(inner), None, None]


_EIG = FactorNote("eig", _eig_build, _eig_derivative)


@public
def eig(
    x: ArrayLike, *, compute_left_eigenvectors: bool = True, compute_right_eigenvectors: bool = True
) -> list[Array]:
    """Eigenvalues, and left and right eigenvectors as columns, of general matrices; all are complex.

    Derivatives are those of the eigenvalues; vectors count as constants.
    """
    a = _matrix("eig", x, square=True)
    a = convert(a, dtypes.FLOAT32) if a.dtype.itemsize < 4 else a
    w, left, right = _EIG.emit(a)
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
def tridiagonal_solve(dl: ArrayLike, d: ArrayLike, du: ArrayLike, b: ArrayLike) -> Array:
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
    return made
