"""`xlac.numpy.linalg`: products, factorisations, systems of equations, norms, on batches of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error, shown
from xlac.frontend.tracer import Tracer
from xlac.lax import linalg
from xlac.lax.operands import convert, expand
from xlac.numpy import _core, creation, elementwise, products, reductions, shaping
from xlac.numpy._core import as_tracer, normalize_axes, normalize_axis, public_names
from xlac.numpy.products import matmul, tensordot, vecdot
from xlac.numpy.shaping import matrix_transpose

__all__: list[str] = ["cross", "matmul", "matrix_transpose", "tensordot", "vecdot"]
_public = public_names(__all__)


class EighResult(NamedTuple):
    """Results of `eigh`."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Results of `eig`."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """Results of `qr`."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """Results of `svd`."""

    U: Any
    S: Any
    Vh: Any


class SlogdetResult(NamedTuple):
    """Results of `slogdet`."""

    sign: Any
    logabsdet: Any


def _matrix(name: str, a: Any, square: bool = False) -> Tracer:
    x = _core.inexact(a)
    x = convert(x, x.dtype)
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        what = "square in its last two dimensions" if square else "of at least two dimensions"
        raise shape_error(f"{name}: an array {shown(x)}; it must be {what}")
    return x


# ---- products and parts


@_public
def outer(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Products of each element of one vector with each of another."""
    x, y = _core.promote(x1, x2)
    if x.ndim != 1 or y.ndim != 1:
        raise shape_error(f"outer: operands {shown(x)} and {shown(y)}; they must be vectors")
    return products.outer(x, y)


@array_function
def _cross(x1: ArrayLike, x2: ArrayLike, axis: int) -> Array:
    x, y = _core.operands("cross", x1, x2)
    along = normalize_axis(axis, x.ndim, "cross")
    if x.shape[along] != 3:
        raise shape_error(f"cross: vectors of {x.shape[along]} elements; they must have 3")
    return products.cross(x, y, axis=along)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Cross product of vectors of 3 elements along an axis."""
    return _cross(x1, x2, axis)


@_public
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Array:
    """The diagonals of matrices in the last two dimensions."""
    return shaping.diagonal(x, offset, -2, -1)


@_public
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: Any = None) -> Array:
    """The sums of the diagonals of matrices in the last two dimensions."""
    return reductions.sum(shaping.diagonal(x, offset, -2, -1), -1, dtype)


@_public
def matrix_power(a: ArrayLike, n: int) -> Array:
    """A square matrix to an integer power, by repeated squaring; of its inverse, for negative ones."""
    base: Any = as_tracer(a)
    if base.ndim < 2 or base.shape[-1] != base.shape[-2]:
        raise shape_error(f"matrix_power: an array {shown(base)}; it must be square in the last two "
                          "dimensions")  # fmt: skip
    if n < 0:
        base, n = inv(base), -n
    if n == 0:
        unit = creation.eye(base.shape[-1], dtype=base.dtype)
        return _core.stretch(as_tracer(unit), base.shape)
    result: Any = None
    while n:
        if n & 1:
            result = base if result is None else products.matmul(result, base)
        n >>= 1
        if n:
            base = products.matmul(base, base)
    return elementwise.positive(result)


@_public
def multi_dot(arrays: list[ArrayLike], *, precision: Any = None) -> Array:
    """Product of several matrices, in the cheapest order."""
    n = len(arrays)
    letters = [chr(97 + i) for i in range(n + 1)]
    terms = [letters[i] + letters[i + 1] for i in range(n)]
    first, last = shaping.ndim(arrays[0]) == 1, shaping.ndim(arrays[-1]) == 1
    result = ("" if first else letters[0]) + ("" if last else letters[-1])
    terms[0] = letters[1] if first else terms[0]
    terms[-1] = letters[n - 1] if last else terms[-1]
    return products.einsum(",".join(terms) + "->" + result, *arrays, precision=precision)


# ---- factorisations


@_public
def cholesky(a: ArrayLike, *, upper: bool = False, symmetrize_input: bool = True) -> Array:
    """L with L L* = a, or U with U* U = a; NaN where a is not positive definite."""
    x = _matrix("cholesky", a, square=True)
    lower = linalg.cholesky(x, symmetrize_input=symmetrize_input)
    return linalg.adjoint(lower) if upper else lower


@_public
def qr(a: ArrayLike, mode: str = "reduced") -> Any:
    """Q R = a; `mode` is "reduced", "complete", "r" (R alone), or "raw" (NumPy's packed form and tau)."""
    x = _matrix("qr", a)
    if mode == "raw":
        packed, tau = linalg._householder(x)
        return QRResult(shaping.matrix_transpose(packed), tau)
    if mode not in ("reduced", "complete", "r"):
        raise shape_error(f"qr: mode={mode!r}; it must be reduced, complete, r or raw")
    q, r = linalg.qr(x, full_matrices=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


@_public
def svd(
    a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False,
    subset_by_index: Any = None,
) -> Any:  # fmt: skip
    """U diag(S) Vh = a, S descending; S alone without `compute_uv`."""
    x = _matrix("svd", a)
    if hermitian and not compute_uv:
        w = elementwise.abs(eigvalsh(x))
        return lax.rev(lax.sort(w, dimension=w.ndim - 1), (w.ndim - 1,))
    found = linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv, subset_by_index=subset_by_index)
    return SVDResult(*found) if compute_uv else found


@_public
def svdvals(x: ArrayLike, /) -> Array:
    """The singular values, descending."""
    return linalg.svd(_matrix("svdvals", x), compute_uv=False)


@_public
def eigh(a: ArrayLike, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Ascending eigenvalues, and eigenvectors as columns, of Hermitian matrices.

    With `symmetrize_input` (a + a*) / 2 is taken; without it, or with UPLO, one triangle is read.
    """
    x = _matrix("eigh", a, square=True)
    if UPLO not in (None, "L", "U"):
        raise shape_error(f"eigh: UPLO={UPLO!r}; it must be 'L' or 'U'")
    v, w = linalg.eigh(x, lower=UPLO != "U", symmetrize_input=symmetrize_input and UPLO is None)
    return EighResult(w, v)


@_public
def eigvalsh(a: ArrayLike, UPLO: str | None = None, symmetrize_input: bool = True) -> Array:
    """Ascending eigenvalues of Hermitian matrices."""
    return eigh(a, UPLO, symmetrize_input)[0]


@_public
def eig(a: ArrayLike) -> EigResult:
    """Eigenvalues, and eigenvectors as columns, of general matrices; complex."""
    w, v = linalg.eig(_matrix("eig", a, square=True), compute_left_eigenvectors=False)
    return EigResult(w, v)


@_public
def eigvals(a: ArrayLike) -> Array:
    """Eigenvalues of general matrices; complex."""
    x = _matrix("eigvals", a, square=True)
    return linalg.eig(x, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0]


# ---- determinants, systems, inverses


@_public
def slogdet(a: ArrayLike, *, method: str | None = None) -> SlogdetResult:
    """Sign (or phase) and logarithm of the absolute value of determinants."""
    x = _matrix("slogdet", a, square=True)
    n = x.shape[-1]
    real_type = dtypes.real_dtype(x.dtype)
    if n == 0:
        lead = x.shape[:-2]
        return SlogdetResult(lax.full(lead, np.ones((), x.dtype)), lax.full(lead, np.zeros((), real_type)))
    packed, pivots, _ = linalg.lu(x)
    main = shaping.diagonal(packed, 0, -2, -1)
    size = lax.abs(main)
    swaps = convert(
        lax.ne(pivots, lax.broadcasted_iota(pivots.dtype, pivots.shape, pivots.ndim - 1)), np.dtype(np.int32)
    )
    odd = lax.eq(lax.rem(lax.reduce_sum(swaps, (swaps.ndim - 1,)), 2), 1)
    if dtypes.is_complex(x.dtype):
        zero = lax.eq(size, 0)
        phase = lax.div(main, convert(lax.select(zero, lax.full_like(size, 1), size), x.dtype))
        phase = lax.select(zero, lax.full_like(phase, 0), phase)
    else:
        phase = lax.sign(main)
    sign = lax.reduce_prod(phase, (phase.ndim - 1,))
    sign = lax.select(odd, lax.neg(sign), sign)
    return SlogdetResult(sign, lax.reduce_sum(lax.log(size), (size.ndim - 1,)))


@_public
def det(a: ArrayLike) -> Array:
    """Determinants, by LU; of up to 3 rows by the formula, whose derivatives exist at singular matrices too."""
    x = _matrix("det", a, square=True)
    n = x.shape[-1]
    if n == 0:
        return lax.full(x.shape[:-2], np.ones((), x.dtype))
    if n <= 3:

        def at(i: int, j: int) -> Tracer:
            return x[..., i, j]

        if n == 1:
            return at(0, 0)
        if n == 2:
            return at(0, 0) * at(1, 1) - at(0, 1) * at(1, 0)
        return (
            at(0, 0) * (at(1, 1) * at(2, 2) - at(1, 2) * at(2, 1))
            - at(0, 1) * (at(1, 0) * at(2, 2) - at(1, 2) * at(2, 0))
            + at(0, 2) * (at(1, 0) * at(2, 1) - at(1, 1) * at(2, 0))
        )
    packed, pivots, _ = linalg.lu(x)
    swaps = convert(
        lax.ne(pivots, lax.broadcasted_iota(pivots.dtype, pivots.shape, pivots.ndim - 1)), np.dtype(np.int32)
    )
    odd = lax.eq(lax.rem(lax.reduce_sum(swaps, (swaps.ndim - 1,)), 2), 1)
    value = reductions.prod(shaping.diagonal(packed, 0, -2, -1), -1)
    return lax.select(odd, lax.neg(value), value)


@_public
def solve(a: ArrayLike, b: ArrayLike) -> Array:
    """x with a x = b, by LU; b is a vector if it has one dimension, else a stack of matrices. Stacks broadcast."""
    x, y = (convert(t, t.dtype) for t in _core.promote_inexact(a, b))
    x = _matrix("solve", x, square=True)
    vector = y.ndim == 1
    if vector:
        y = lax.expand_dims(y, (1,))
    if y.ndim < 2 or y.shape[-2] != x.shape[-1]:
        raise shape_error(f"solve: a matrix of shape {shown(x)} and a right side of shape {list(shaping.shape(b))}")
    try:
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        raise shape_error(f"solve: stacks of shapes {shown(x)} and {shown(y)} do not broadcast") from None
    if not x.shape[:-2] and lead:
        # One matrix for all: the right sides become further columns, so that it is factored once.
        order = [y.ndim - 2, *range(y.ndim - 2), y.ndim - 1]
        moved = lax.transpose(y, order)
        found = linalg.solve(x, lax.reshape(moved, (moved.shape[0], math.prod(moved.shape[1:]))))
        return lax.transpose(lax.reshape(found, moved.shape), [int(d) for d in np.argsort(order)])
    made = linalg.solve(_core.stretch(x, (*lead, *x.shape[-2:])), _core.stretch(y, (*lead, *y.shape[-2:])))
    return lax.squeeze(made, (made.ndim - 1,)) if vector else made


@_public
def inv(a: ArrayLike) -> Array:
    """Inverses of square matrices, by LU."""
    x = _matrix("inv", a, square=True)
    unit = creation.eye(x.shape[-1], dtype=x.dtype)
    return linalg.solve(x, _core.stretch(as_tracer(unit), x.shape))


def _rank_limit(name: str, s: Tracer, shape: Sequence[int], rtol: Any) -> Tracer:
    """Singular values up to this one count as zero: a share of the greatest."""
    if rtol is None:
        share: Any = lax.full_like(s, max(shape[-2:]) * float(np.finfo(s.dtype).eps), shape=s.shape[:-1])
    else:
        share = _core.stretch(lax.convert_element_type(as_tracer(rtol), s.dtype), s.shape[:-1])
    return lax.mul(reductions.max(s, -1, initial=0), share)


@_public
def matrix_rank(
    M: ArrayLike, rtol: ArrayLike | None = None, *, tol: ArrayLike | None = None, hermitian: bool = False
) -> Array:
    """How many singular values are above rtol times the greatest, or above tol.

    With `hermitian`, they are found as the absolute values of its eigenvalues, as `eigvalsh` computes them.
    """
    x = _core.inexact(M)
    if x.ndim < 2:
        return convert(reductions.any(lax.ne(x, lax.full_like(x, 0))), dtypes.INT32)
    s = lax.abs(eigvalsh(x)) if hermitian else svdvals(x)
    limit = _rank_limit("matrix_rank", s, x.shape, rtol)
    if tol is not None:
        limit = _core.stretch(lax.convert_element_type(as_tracer(tol), s.dtype), s.shape[:-1])
    above = lax.gt(s, expand(limit, s.shape, range(s.ndim - 1)))
    return lax.reduce_sum(convert(above, dtypes.INT32), (s.ndim - 1,))


@_public
def pinv(
    a: ArrayLike, rtol: ArrayLike | None = None, hermitian: bool = False, *, rcond: ArrayLike | None = None
) -> Array:
    """Moore and Penrose's inverse: singular values up to rtol times the greatest count as zero."""
    x = _matrix("pinv", a)
    u, s, vh = linalg.svd(x, full_matrices=False)
    limit = _rank_limit("pinv", s, x.shape, rcond if rtol is None else rtol)
    keep = lax.gt(s, expand(limit, s.shape, range(s.ndim - 1)))
    inverse = lax.select(keep, lax.div(1, lax.select(keep, s, lax.full_like(s, 1))), lax.full_like(s, 0))
    scaled = lax.mul(linalg.adjoint(u), _rows(convert(inverse, u.dtype), linalg.adjoint(u)))
    return products.matmul(linalg.adjoint(vh), scaled)


def _rows(v: Tracer, x: Tracer) -> Tracer:
    return expand(v, x.shape, range(x.ndim - 1))


@_public
def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None, *, numpy_resid: bool = False) -> Any:
    """x with the least |b - a x|, and of several the least |x|, by the singular value decomposition.

    Returns:
      x; the squared sizes of b - a x for each column (none where the rank is known to be short only with
      numpy_resid, which needs values); the rank; the singular values.
    """
    x, y = (convert(t, t.dtype) for t in _core.promote_inexact(a, b))
    if x.ndim != 2 or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise shape_error(f"lstsq: a matrix of shape {shown(x)} and a right side of shape {shown(y)}")
    vector = y.ndim == 1
    y = lax.expand_dims(y, (1,)) if vector else y
    m, n = x.shape
    if x.size == 0:
        found = lax.full((n, y.shape[1]), np.zeros((), x.dtype))
        values, rank = lax.full((0,), np.zeros((), dtypes.real_dtype(x.dtype))), lax.full((), np.int32(0))
        rest = lax.full((0,), np.zeros((), dtypes.real_dtype(x.dtype)))
    else:
        u, values, vh = linalg.svd(x, full_matrices=False)
        share = float(np.finfo(x.dtype).eps) * max(m, n) if rcond is None or rcond < 0 else rcond
        limit = lax.mul(lax.index_in_dim(values, 0, keepdims=False), lax.full_like(values, share, shape=()))
        keep = lax.gt(values, expand(limit, values.shape, ()))
        rank = lax.reduce_sum(convert(keep, dtypes.INT32), (0,))
        inverse = lax.select(keep, lax.div(1, lax.select(keep, values, lax.full_like(values, 1))),
                             lax.full_like(values, 0))  # fmt: skip
        inner = products.matmul(linalg.adjoint(u), y)
        found = products.matmul(linalg.adjoint(vh), lax.mul(inner, _rows(convert(inverse, inner.dtype), inner)))
        gap = lax.abs(elementwise.subtract(y, products.matmul(x, found)))
        rest = lax.reduce_sum(lax.mul(gap, gap), (0,))
        if m <= n:
            rest = lax.slice_in_dim(rest, 0, 0)
    return (lax.squeeze(found, (1,)) if vector else found), rest, rank, values


@_public
def cond(x: ArrayLike, p: Any = None) -> Array:
    """The condition number: a norm of the matrix times that of its inverse."""
    a = _matrix("cond", x)
    if p in (None, 2, -2):
        s = svdvals(a)
        high, low = s[..., 0], s[..., -1]
        return elementwise.true_divide(low, high) if p == -2 else elementwise.true_divide(high, low)
    return elementwise.multiply(matrix_norm(a, ord=p), matrix_norm(inv(a), ord=p))


@_public
def tensorinv(a: ArrayLike, ind: int = 2) -> Array:
    """The inverse of a tensor as a map from its last dimensions to its first `ind` ones."""
    x = _core.inexact(a)
    if ind < 1:
        raise shape_error(f"tensorinv: ind={ind}; it must be positive")
    first, rest = x.shape[:ind], x.shape[ind:]
    if math.prod(first) != math.prod(rest):
        raise shape_error(f"tensorinv: {list(first)} and {list(rest)} have different numbers of elements")
    made = inv(lax.reshape(x, (math.prod(first), math.prod(rest))))
    return lax.reshape(made, (*rest, *first))


@_public
def tensorsolve(a: ArrayLike, b: ArrayLike, axes: Sequence[int] | None = None) -> Array:
    """x with tensordot(a, x, x.ndim) = b."""
    x, y = _core.promote_inexact(a, b)
    if axes is not None:
        back = [normalize_axis(d, x.ndim, "tensorsolve") for d in axes]
        x = lax.transpose(x, [*(d for d in range(x.ndim) if d not in back), *back])
    shape = x.shape[y.ndim :]
    if math.prod(shape) != y.size:
        raise shape_error(f"tensorsolve: a of shape {shown(x)} and b of shape {shown(y)} give no square system")
    made = solve(lax.reshape(x, (y.size, y.size)), lax.reshape(y, (y.size,)))
    return lax.reshape(made, shape)


# ---- norms


@_public
def norm(x: ArrayLike, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Array:
    """Norm of vectors along an axis, or of matrices over two: of all elements without axis and order.

    Orders of vectors are numbers, also infinite; of matrices "fro", "nuc", 1, -1, 2, -2, inf and -inf.
    """
    a = _core.inexact(x)
    axes = normalize_axes(axis, a.ndim, "norm")
    if ord is None or ord in ("fro", "f") and len(axes) == 2:
        return _vector_norm(a, 2, axes, keepdims)
    if len(axes) == 1:
        return _vector_norm(a, ord, axes, keepdims)
    if len(axes) != 2:
        raise shape_error(f"norm: ord={ord!r} over {len(axes)} axes; name one or two in axis")
    rows, columns = axes
    size = elementwise.abs(a)
    if ord in (1, -1, math.inf, -math.inf):
        along, over = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = reductions.sum(size, along, keepdims=True)
        result = reductions.max(sums, over, keepdims=True, initial=0) if ord > 0 else reductions.min(
            sums, over, keepdims=True)  # fmt: skip
        return result if keepdims else shaping.squeeze(result, axes)
    if ord in ("nuc", 2, -2):
        s = svdvals(shaping.moveaxis(a, axes, (-2, -1)))
        if ord == "nuc":
            result = reductions.sum(s, -1)
        else:
            result = reductions.max(s, -1, initial=0) if ord == 2 else reductions.min(s, -1)
        return shaping.expand_dims(result, tuple(sorted(axes))) if keepdims else result
    raise shape_error(f"norm: ord={ord!r} of matrices; it must be None, fro, nuc, 1, -1, 2, -2, inf or -inf")


def _vector_norm(a: Tracer, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Tracer:
    if isinstance(ord, str):
        raise shape_error(f"norm: ord={ord!r} of vectors; it must be a number")
    if ord == 2:
        # Squares without abs, whose derivatives at 0 are none of the square's.
        parts = (lax.real(a), lax.imag(a)) if dtypes.is_complex(a.dtype) else (a,)
        squares = [lax.mul(part, part) for part in parts]
        return lax.sqrt(reductions.sum(sum(squares[1:], squares[0]), axes, keepdims=keepdims))
    size = elementwise.abs(a)
    if ord == math.inf:
        return reductions.max(size, axes, keepdims=keepdims, initial=0)
    if ord == -math.inf:
        return reductions.min(size, axes, keepdims=keepdims, initial=math.inf)
    if ord == 0:
        return reductions.sum(convert(lax.ne(size, lax.full_like(size, 0)), size.dtype), axes, keepdims=keepdims)
    if ord == 1:
        return reductions.sum(size, axes, keepdims=keepdims)
    total = reductions.sum(elementwise.power(size, ord), axes, keepdims=keepdims)
    return elementwise.power(total, 1.0 / ord)


@_public
def vector_norm(x: ArrayLike, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """Norm over one or several axes taken as one vector, by default all."""
    a = _core.inexact(x)
    return _vector_norm(a, ord, normalize_axes(axis, a.ndim, "vector_norm"), keepdims)


@_public
def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Norm of matrices in the last two dimensions."""
    return norm(x, ord, (-2, -1), keepdims)
