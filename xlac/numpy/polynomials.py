"""Polynomials in `xlac.numpy`, as vectors of coefficients, the highest power first."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike, array_function, made
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import expand
from xlac.numpy import _core, calculus, elementwise, joining, products, shaping
from xlac.numpy._core import as_tracer, public_names

__all__: list[str] = []
_public = public_names(__all__)


@_public
def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Array:
    """Powers of each element of a vector, as rows."""
    a = as_tracer(x)
    n = a.shape[0] if N is None else N
    powers = [lax.integer_pow(a, i) for i in range(n)]
    return joining.stack(powers if increasing else powers[::-1], 1)


@_public
def polyval(p: ArrayLike, x: ArrayLike, *, unroll: int = 16) -> Array:
    """The polynomial at x, by Horner's rule."""
    coefficients, at = _core.promote(p, x)
    result = lax.full_like(at, 0)
    for i in range(coefficients.shape[0]):
        result = elementwise.add(lax.mul(result, at), lax.index_in_dim(coefficients, i, keepdims=False))
    return result


def _same_length(x: Tracer, y: Tracer) -> tuple[Tracer, Tracer]:
    n = max(x.shape[0], y.shape[0])
    zero = np.zeros((), x.dtype)
    return tuple(lax.pad(v, zero, [(n - v.shape[0], 0, 0)]) for v in (x, y))  # type: ignore[return-value]


def _vectors(*values: Any) -> list[Tracer]:
    return [shaping.atleast_1d(v) for v in _core.promote(*values)]


@_public
def polyadd(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The sum of two polynomials."""
    return lax.add(*_same_length(*_vectors(a1, a2)))


@_public
def polysub(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The difference of two polynomials."""
    return lax.sub(*_same_length(*_vectors(a1, a2)))


@_public
def polymul(a1: ArrayLike, a2: ArrayLike, *, trim_leading_zeros: bool = False) -> Array:
    """The product of two polynomials."""
    x, y = _vectors(a1, a2)
    if trim_leading_zeros:
        x, y = trim_zeros(x, "f"), trim_zeros(y, "f")
    return calculus.convolve(x, y, "full")


@_public
def polydiv(u: ArrayLike, v: ArrayLike, *, trim_leading_zeros: bool = False) -> tuple[Array, Array]:
    """Quotient and remainder of a division; the remainder keeps leading zeros."""
    x, y = (shaping.atleast_1d(t) for t in _core.promote_inexact(u, v))
    m, n = x.shape[0], y.shape[0]
    if m < n:
        return lax.full((1,), np.zeros((), x.dtype)), x
    lead = lax.index_in_dim(y, 0)
    steps = []
    for k in range(m - n + 1):
        factor = lax.div(lax.slice_in_dim(x, k, k + 1), lead)
        steps.append(factor)
        taken = lax.pad(lax.mul(expand(lax.reshape(factor, ()), y.shape, ()), y), np.zeros((), x.dtype),
                        [(k, m - n - k, 0)])  # fmt: skip
        x = lax.sub(x, taken)
    rest = lax.slice_in_dim(x, m - n + 1, m) if n > 1 else lax.slice_in_dim(x, m - 1, m)
    return lax.concatenate(steps, 0), rest


@_public
def polyder(p: ArrayLike, m: int = 1) -> Array:
    """The m-th derivative."""
    x = _core.inexact(p)
    if m < 0:
        raise trace.shape_error(f"polyder: m={m}; it must not be negative")
    for _ in range(m):
        n = x.shape[0]
        if n <= 1:
            return lax.slice_in_dim(x, 0, 0)
        x = lax.mul(lax.slice_in_dim(x, 0, n - 1), np.arange(n - 1, 0, -1).astype(x.dtype))
    return x


@_public
def polyint(p: ArrayLike, m: int = 1, k: ArrayLike | None = None) -> Array:
    """The m-th integral, with the constants k (0 by default)."""
    x = _core.inexact(p)
    if m < 0:
        raise trace.shape_error(f"polyint: m={m}; it must not be negative")
    constants = lax.full((m,), np.zeros((), x.dtype)) if k is None else lax.convert_element_type(
        shaping.atleast_1d(as_tracer(k)), x.dtype)  # fmt: skip
    constants = _core.stretch(constants, (m,))
    for i in range(m):
        n = x.shape[0]
        scaled = lax.div(x, np.arange(n, 0, -1).astype(x.dtype))
        x = lax.concatenate([scaled, lax.slice_in_dim(constants, i, i + 1)], 0)
    return x


@_public
def poly(seq_of_zeros: ArrayLike) -> Array:
    """The polynomial with these zeros, or the characteristic one of a square matrix."""
    zeros = _core.inexact(seq_of_zeros)
    if zeros.ndim == 2:
        from xlac.numpy import linalg

        zeros = linalg.eigvals(zeros)
    if not zeros.ndim:
        raise trace.shape_error("poly: a scalar; it must be a vector of zeros or a square matrix")
    result = lax.full((1,), np.ones((), zeros.dtype))
    for i in range(zeros.shape[0]):
        factor = lax.concatenate(
            [lax.full((1,), np.ones((), zeros.dtype)), lax.neg(lax.slice_in_dim(zeros, i, i + 1))], 0
        )
        result = calculus.convolve(result, factor, "full")
    return result


@array_function
def _roots(p: ArrayLike) -> Array:
    """The eigenvalues of the companion matrix."""
    x = _core.inexact(p)
    if x.ndim != 1:
        raise trace.shape_error(f"roots: an array {trace.shown(x)}; it must be a vector")
    n = x.shape[0] - 1
    if n < 1:
        return lax.full((0,), np.zeros((), np.result_type(x.dtype, np.complex64)))
    from xlac.numpy import linalg

    top = lax.neg(lax.div(lax.slice_in_dim(x, 1, n + 1), expand(lax.index_in_dim(x, 0, keepdims=False), (n,), ())))
    below = np.eye(n - 1, n, dtype=x.dtype)
    return linalg.eigvals(
        lax.concatenate([lax.reshape(top, (1, n)), trace.lift(below)], 0) if n > 1 else lax.reshape(top, (1, 1))
    )


def _stripped(p: Any) -> Any:
    """Without leading and trailing zeros, and how many of the latter there were."""
    array = np.trim_zeros(np.atleast_1d(np.asarray(p)), "f")
    short = np.trim_zeros(array, "b")
    return short, len(array) - len(short)


def roots(p: Any, *, strip_zeros: bool = True) -> Any:
    """The zeros of a polynomial, complex: eigenvalues of the companion matrix.

    Leading zeros are cut off first, so that they must be known: for traced coefficients give strip_zeros=False, and
    the first one must not be zero.

    Raises:
      TraceError: the coefficients are traced and strip_zeros is true.
    """
    if not strip_zeros:
        return _roots(p)
    if _core.has_tracer([p]):
        raise trace.trace_error("roots: leading zeros of traced coefficients are not known; give strip_zeros=False")
    short, extra = _stripped(p)
    found = _roots(short) if len(short) else np.zeros(0, np.complex64)
    return joining.concatenate([found, np.zeros(extra, found.dtype)]) if extra else found


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Without the zeros at the front, the back or both.

    Raises:
      TraceError: the array is traced, so that the size of the result is not known.
    """
    if _core.has_tracer([filt]):
        raise trace.trace_error("trim_zeros: the size of its result depends on values, which are not known")
    result = np.trim_zeros(np.asarray(filt), trim)
    return made(result)


__all__ += ["roots", "trim_zeros"]


@_public
def polyfit(
    x: ArrayLike,
    y: ArrayLike,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: ArrayLike | None = None,
    cov: Any = False,
) -> Any:
    """The polynomial of a degree that fits points best in the sense of least squares, weighted.

    Returns:
      the coefficients; with `full` also residuals, rank, singular values and rcond; with `cov` their covariance.
    """
    from xlac.numpy import linalg

    a, b = _core.promote_inexact(x, y)
    if a.ndim != 1 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise trace.shape_error(
            f"polyfit: x of shape {trace.shown(a)} and y of shape {trace.shown(b)}; they must be vectors of one length"
        )
    rows = vander(a, deg + 1)
    if w is not None:
        weight = lax.convert_element_type(as_tracer(w), a.dtype)
        rows = lax.mul(rows, expand(weight, rows.shape, (0,)))
        b = lax.mul(b, expand(weight, b.shape, (0,)))
    limit = float(np.finfo(a.dtype).eps) * a.shape[0] if rcond is None else rcond
    scale = lax.sqrt(lax.reduce_sum(lax.mul(rows, rows), (0,)))
    rows = lax.div(rows, expand(scale, rows.shape, (1,)))
    found, residuals, rank, values = linalg.lstsq(rows, b, limit)
    found = lax.div(found, expand(scale, found.shape, (0,)))
    if full:
        return found, residuals, rank, values, np.asarray(limit, a.dtype)
    if not cov:
        return found
    base = linalg.inv(products.matmul(lax.transpose(rows, (1, 0)), rows))
    base = lax.div(base, products.outer(scale, scale))
    if cov == "unscaled":
        return found, base
    free = a.shape[0] - (deg + 1)
    if free <= 0:
        raise trace.shape_error(f"polyfit: {a.shape[0]} points are too few for a covariance with degree {deg}")
    factor = lax.div(residuals, lax.full_like(residuals, free))
    if b.ndim == 1:
        return found, elementwise.multiply(base, factor)
    return found, elementwise.multiply(shaping.expand_dims(base, -1), factor)
