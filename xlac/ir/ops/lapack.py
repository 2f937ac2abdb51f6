"""LAPACK kernels that programs call by name (`lapack_spotrf_ffi`, ...), on batches of matrices, by NumPy alone.

Older programs call `lapack_spotrf` and the like: options are leading operands, all scalars, and workspaces are among
the results.

Operands and results are those of the kernels of that name: factorisations overwrite their matrix, pivots count from 1,
and `info` is 0 for success and the 1-based place of the first bad pivot otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.ir.ops import schur, tridiagonal
from xlac.ir.ops.linalg import adjoint, cholesky_factor, solve_lower, triangular_solve
from xlac.ir.shape import ArrayShape, Shape, TupleShape

KERNELS: dict[str, Callable[..., Any]] = {}


def _kernel(name: str, types: str = "sdcz") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for letter in types:
            KERNELS[f"lapack_{letter}{name}_ffi"] = function
        return function

    return register


def option_letter(config: dict[str, Any], name: str, default: str) -> str:
    """A one-letter option, which configurations hold as its character code."""
    value = config.get(name, default)
    return chr(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _info(a: np.ndarray) -> np.ndarray:
    return np.zeros(a.shape[:-2], np.int32)


@_kernel("trsm")
def _trsm(a: np.ndarray, b: np.ndarray, *factor: np.ndarray, config: dict[str, Any], **_: Any) -> np.ndarray:
    """The solution for `b`, times the factor if there is one."""
    b = (b * factor[0]).astype(b.dtype) if factor else b
    transpose = {"N": "NO_TRANSPOSE", "T": "TRANSPOSE", "C": "ADJOINT"}[option_letter(config, "trans_x", "N")]
    return triangular_solve(
        a,
        b,
        left_side=option_letter(config, "side", "L") == "L",
        lower=option_letter(config, "uplo", "L") == "L",
        unit_diagonal=option_letter(config, "diag", "N") == "U",
        transpose_a=transpose,
    )


@_kernel("potrf")
def _potrf(a: np.ndarray, *, config: dict[str, Any], **_: Any) -> tuple[np.ndarray, np.ndarray]:
    lower = option_letter(config, "uplo", "L") == "L"
    factor = cholesky_factor(a if lower else adjoint(a))
    failed = np.isnan(factor).any(axis=(-2, -1)) if a.size else np.zeros(a.shape[:-2], bool)
    below = np.tril(factor)
    result = below + np.triu(a, 1) if lower else adjoint(below) + np.tril(a, -1)
    info = np.zeros(failed.shape, np.int32)
    for at in map(tuple, np.argwhere(failed)):
        # The order of the first leading block that is not positive definite.
        block = a[at]
        info[at] = next(
            k
            for k in range(1, block.shape[-1] + 1)
            if np.isnan(cholesky_factor((block if lower else adjoint(block))[:k, :k])).any()
        )
    return result.astype(a.dtype), info


# Columns that are factored before what is right of them is updated.
_PANEL = 32


@_kernel("getrf")
def _getrf(a: np.ndarray, **_: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PA = LU with partial pivoting: L and U in one matrix, the row each step swaps with, info."""
    lu = np.array(a).reshape(-1, *a.shape[-2:])
    batch, m, n = lu.shape
    steps = min(m, n)
    pivots = np.zeros((batch, steps), np.int32)
    info = np.zeros(batch, np.int32)
    each = np.arange(batch)
    for start in range(0, steps, _PANEL):
        end = min(start + _PANEL, steps)
        for j in range(start, end):
            column = lu[:, j:, j]
            size = np.abs(column.real) + np.abs(column.imag) if lu.dtype.kind == "c" else np.abs(column)
            p = j + np.argmax(size, axis=1)
            pivots[:, j] = p + 1
            swapped = lu[each, p].copy()
            lu[each, p] = lu[:, j]
            lu[:, j] = swapped
            pivot = lu[:, j, j]
            info = np.where((pivot == 0) & (info == 0), j + 1, info).astype(np.int32)
            lu[:, j + 1 :, j] /= np.where(pivot == 0, 1, pivot)[:, None]
            lu[:, j + 1 :, j + 1 : end] -= lu[:, j + 1 :, j, None] * lu[:, j, None, j + 1 : end]
        if end < n:
            lu[:, start:end, end:] = solve_lower(lu[:, start:end, start:end], lu[:, start:end, end:], True)
            lu[:, end:, end:] -= np.matmul(lu[:, end:, start:end], lu[:, start:end, end:])
    lead = a.shape[:-2]
    return lu.reshape(a.shape), pivots.reshape(*lead, steps), info.reshape(lead)


@_kernel("geqrf")
def _geqrf(a: np.ndarray, **_: Any) -> tuple[np.ndarray, np.ndarray]:
    """R on and above the diagonal, Householder vectors below it, and their factors tau."""
    if not a.size:
        return a, np.zeros((*a.shape[:-2], min(a.shape[-2:])), a.dtype)
    packed, tau = np.linalg.qr(a, mode="raw")
    return np.swapaxes(packed, -1, -2).astype(a.dtype), tau.astype(a.dtype)


@_kernel("orgqr", "sd")
@_kernel("ungqr", "cz")
def _orgqr(a: np.ndarray, tau: np.ndarray, **_: Any) -> np.ndarray:
    """The first columns of H(1) H(2) ..., H(i) = I - tau v v*, from the vectors below the diagonal of `a`."""
    m, n = a.shape[-2:]
    q = np.zeros(a.shape, a.dtype)
    q[..., np.arange(min(m, n)), np.arange(min(m, n))] = 1
    for i in range(tau.shape[-1] - 1, -1, -1):
        v = np.concatenate([np.ones((*a.shape[:-2], 1), a.dtype), a[..., i + 1 :, i]], axis=-1)
        row = np.matmul(np.conj(v)[..., None, :], q[..., i:, :])
        q[..., i:, :] -= tau[..., i, None, None] * v[..., :, None] * row
    return q


def _factored(
    function: Callable[[np.ndarray], tuple[np.ndarray, ...]], a: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """NumPy's factorisations of finite matrices, and info; NaN where elements are not finite or steps do not converge.

    NumPy tells the whole batch that one of it did not converge, so that each is then tried alone.
    """
    finite = np.isfinite(a).all(axis=(-2, -1))
    safe = np.where(finite[..., None, None], a, 0)
    info = np.where(finite, 0, -4).astype(np.int32)
    try:
        results = list(function(safe))
    except np.linalg.LinAlgError:
        for at in np.ndindex(*info.shape):
            try:
                function(safe[at])
            except np.linalg.LinAlgError:
                safe[at], info[at] = 0, 1
        results = list(function(safe))
    for result in results:
        if result.dtype.kind in "fc" and info.any():
            result[info != 0] = np.nan
    return results, info


@_kernel("gesdd")
@_kernel("gesvd")
def _gesdd(a: np.ndarray, *, shape: TupleShape, config: dict[str, Any], **_: Any) -> tuple[Any, ...]:
    """Singular values and vectors: (overwritten matrix, s, u, v*, info)."""
    dims = [s.dims for s in shape if isinstance(s, ArrayShape)]
    mode = option_letter(config, "mode", "S")
    if mode == "N":
        (s,), info = _factored(lambda m: (np.linalg.svd(m, compute_uv=False),), a)
        u, vt = np.zeros(dims[2], a.dtype), np.zeros(dims[3], a.dtype)
    else:
        (u, s, vt), info = _factored(lambda m: np.linalg.svd(m, full_matrices=mode == "A"), a)
    return a, s.astype(a.real.dtype), u.astype(a.dtype), vt.astype(a.dtype), info


@_kernel("syevd", "sd")
@_kernel("heevd", "cz")
def _syevd(a: np.ndarray, *, config: dict[str, Any], **_: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvectors and ascending eigenvalues of a symmetric or Hermitian matrix, and info."""
    uplo = option_letter(config, "uplo", "L")
    (w, v), info = _factored(lambda m: np.linalg.eigh(m, UPLO=uplo), a)
    return v.astype(a.dtype), w.astype(a.real.dtype), np.abs(np.sign(info))


@_kernel("geev")
def _geev(a: np.ndarray, *, shape: TupleShape, **_: Any) -> tuple[Any, ...]:
    """Eigenvalues and left and right eigenvectors of a general matrix; each vector has length 1, as LAPACK's."""
    (w, left, right), info = _factored(_eigenvectors, a)
    if a.dtype.kind == "c":
        return w, left, right, info
    return w.real.astype(a.dtype), w.imag.astype(a.dtype), left, right, info


def _eigenvectors(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues, left and right eigenvectors."""
    wide = np.result_type(a.dtype, np.complex64)
    w, right = np.linalg.eig(a)
    w, right = w.astype(wide), right.astype(wide)
    # Left vectors are the rows of the inverse of the right ones, scaled to length 1.
    left = adjoint(np.linalg.pinv(right))
    left = left / np.where(norm := np.linalg.norm(left, axis=-2, keepdims=True), norm, 1)
    # As LAPACK's: the largest element is real.
    if left.size:
        largest = np.take_along_axis(left, np.argmax(np.abs(left), axis=-2)[..., None, :], axis=-2)
        left = left * np.conj(largest) / np.where(largest == 0, 1, np.abs(largest))
    return w, left.astype(wide), right


@_kernel("gtsv")
def _gtsv(lower: np.ndarray, main: np.ndarray, upper: np.ndarray, b: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
    """Solve a tridiagonal system; diagonals beside the main one may be as long, with one element that is not read."""
    n = main.shape[-1]
    ends = [(0, 0)] * (main.ndim - 1)
    x, info = tridiagonal.solve(
        np.pad(lower, [*ends, (n - lower.shape[-1], 0)]), main, np.pad(upper, [*ends, (0, n - upper.shape[-1])]), b
    )
    return lower, main, upper, x, info


def _each(function: Callable[..., tuple[Any, ...]], a: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Results of a function of one matrix, for each of a batch [..., m, n]; `others` have one vector for each."""
    lead = a.shape[:-2]
    results = [function(a[at], *(o[at] for o in others)) for at in np.ndindex(*lead)]
    if not results:  # one of zeros says what the results are
        results = [function(np.zeros(a.shape[-2:], a.dtype), *(np.zeros(o.shape[-1:], o.dtype) for o in others))]
    made = []
    for parts in zip(*results):
        stacked = np.stack([np.asarray(part) for part in parts])[: math.prod(lead)]
        made.append(stacked.reshape((*lead, *stacked.shape[1:])))
    return made


@_kernel("gehrd")
def _gehrd(a: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
    """Hessenberg form with the reflections' vectors below it, tau, info."""
    packed, taus = _each(schur.hessenberg, a)
    return packed, taus, _info(a)


@_kernel("sytrd", "sd")
@_kernel("hetrd", "cz")
def _sytrd(a: np.ndarray, *, config: dict[str, Any], **_: Any) -> tuple[np.ndarray, ...]:
    """Tridiagonal form with the reflections' vectors beside it, diagonal, off-diagonal, tau, info."""
    lower = option_letter(config, "uplo", "L") == "L"
    return *_each(lambda m: schur.tridiagonal(m, lower), a), _info(a)


@_kernel("geqp3")
def _geqp3(a: np.ndarray, first: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
    """R with the reflections' vectors below it, the columns' old places, tau."""
    packed, order, taus = _each(schur.pivoted_qr, a, first)
    return packed, order.astype(first.dtype), taus


@_kernel("ormqr", "sd")
@_kernel("unmqr", "cz")
def _ormqr(a: np.ndarray, tau: np.ndarray, c: np.ndarray, *, config: dict[str, Any], **_: Any) -> np.ndarray:
    """Q c, Q* c, c Q or c Q*, for Q of the reflections whose vectors are below the diagonal of `a`."""
    (q,) = _each(lambda m, t: (schur.accumulate(m, t),), a, tau)
    if config.get("transpose", False):
        q = adjoint(q)
    return np.matmul(q, c) if config.get("left", True) else np.matmul(c, q)


@_kernel("gees")
def _gees(a: np.ndarray, **_: Any) -> tuple[np.ndarray, ...]:
    """Schur form, Schur vectors, eigenvalues (real and imaginary parts of a real matrix), number selected, info."""
    (t, q, failed), info = _factored(lambda m: tuple(_each(schur.schur, m)), a)
    values = np.diagonal(t, axis1=-2, axis2=-1).copy()
    info = np.where(info == 0, failed, 1).astype(np.int32)
    if a.dtype.kind == "c":
        return t, q, values, _info(a), info
    # A block [[x, y], [z, x]] has the eigenvalues x +- i sqrt(-y z), the positive one first.
    imaginary = np.zeros_like(values)
    above, below = np.diagonal(t, 1, -2, -1), np.diagonal(t, -1, -2, -1)
    size = np.sqrt(np.abs(above)) * np.sqrt(np.abs(below))
    imaginary[..., :-1] += size
    imaginary[..., 1:] -= size
    return t, q, values, imaginary, _info(a), info


# ---- the older calling convention

# Kernels that had it, with their types and the configuration that their scalar operands stand for. Sizes come with the
# arrays.
_CLASSIC: dict[tuple[str, str], Callable[[list[int]], dict[str, Any]]] = {
    ("getrf", "sdcz"): lambda options: {},
    ("geqrf", "sdcz"): lambda options: {},
    ("geqp3", "sdcz"): lambda options: {},
    ("orgqr", "sd"): lambda options: {},
    ("ungqr", "cz"): lambda options: {},
    ("gehrd", "sdcz"): lambda options: {},
    ("gees", "sdcz"): lambda options: {},
    ("geev", "sdcz"): lambda options: {},
    ("potrf", "sdcz"): lambda options: {"uplo": "L" if options[0] else "U"},
    ("syevd", "sd"): lambda options: {"uplo": "L" if options[0] else "U"},
    ("heevd", "cz"): lambda options: {"uplo": "L" if options[0] else "U"},
    ("sytrd", "sd"): lambda options: {"uplo": "L" if options[1] else "U"},
    ("hetrd", "cz"): lambda options: {"uplo": "L" if options[1] else "U"},
    ("gesdd", "sdcz"): lambda options: {"mode": ("A" if options[0] else "S") if options[1] else "N"},
}
# Where a kernel's results, or None for a workspace, stood among those of old; elsewhere workspaces came last.
_ORDER: dict[tuple[str, bool], tuple[int | None, ...]] = {
    ("geev", False): (None, None, None, 0, 1, 2, 3, 4),
    ("geev", True): (None, None, 0, 1, 2, 3),
    ("gees", False): (0, 2, 3, 1, 4, 5),
    ("gees", True): (0, None, 2, 1, 3, 4),
}


def _classic(
    kernel: Callable[..., Any], configure: Callable[[list[int]], dict[str, Any]], order: tuple[int | None, ...] | None
) -> Callable[..., Any]:
    def run(*operands: np.ndarray, shape: Shape, **_: Any) -> Any:
        options = [int(x) for x in operands if x.ndim == 0]
        arrays = [x for x in operands if x.ndim]
        value = kernel(*arrays, shape=shape, config=configure(options))
        if not isinstance(shape, TupleShape):
            return value
        values = list(value) if isinstance(value, tuple) else [value]
        places = order or (*range(len(values)), *[None] * len(shape))
        # What the kernel does not give is a workspace, or info of what cannot fail.
        return tuple(
            np.zeros(s.dims, s.dtype) if place is None else values[place]
            for place, s in zip(places, shape)
            if isinstance(s, ArrayShape)
        )

    return run


for (_name, _types), _configure in _CLASSIC.items():
    for _type in _types:
        KERNELS[f"lapack_{_type}{_name}"] = _classic(
            KERNELS[f"lapack_{_type}{_name}_ffi"], _configure, _ORDER.get((_name, _type in "cz"))
        )


def _classic_trsm(*operands: np.ndarray, **_: Any) -> np.ndarray:
    """Options: left, lower, 0 or 1 for transpose or 2 for adjoint, unit diagonal, sizes; then the factor, a and b."""
    left, lower, transpose, unit = (int(x) for x in operands[:4])
    factor, a, b = operands[-3:]
    config = {
        "side": "L" if left else "R",
        "uplo": "L" if lower else "U",
        "trans_x": "NTC"[transpose],
        "diag": "U" if unit else "N",
    }
    return _trsm(a, b, factor, config=config)


KERNELS.update({f"blas_{_type}trsm": _classic_trsm for _type in "sdcz"})
