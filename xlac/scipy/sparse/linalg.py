"""`xlac.scipy.sparse.linalg`: Krylov solvers of linear systems of which only the product is known.

Unknowns may be containers of arrays; they are solved for as one vector. Derivatives are those of the exact solution,
by one more solve.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xlac.numpy as xnp
from xlac import lax, tree
from xlac.flatten_util import ravel_pytree
from xlac.frontend.eager import program_function
from xlac.frontend.trace import shape_error, shown, trace_error

__all__ = ["bicgstab", "cg", "gmres"]

Product = Callable[[Any], Any]


def _norm(v: Any) -> Any:
    return xnp.sqrt(xnp.real(xnp.vdot(v, v)))


def _product(name: str, a: Any, what: str) -> Product:
    """A matrix, or a function, as a function."""
    if callable(a):
        return a
    matrix = xnp.asarray(a)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise shape_error(f"{name}: {what} is of shape {shown(matrix)}; it must be a square matrix or a function")
    return lambda v: matrix @ v


def _solved(
    name: str, method: Callable[..., Any], A: Any, b: Any, x0: Any, M: Any, symmetric: bool
) -> tuple[Any, None]:
    """`method(product, b, start, preconditioner)` on vectors, as an implicit function of all that it reads."""
    right, back = ravel_pytree(tree.map(xnp.asarray, b))
    if not xnp.issubdtype(right.dtype, xnp.inexact):
        raise trace_error(f"{name}: b is of type {right.dtype.name}; it must be a float or complex type")
    by = _product(name, A, "A")
    better = (lambda v: v) if M is None else _product(name, M, "M")
    if x0 is not None and tree.structure(x0) != tree.structure(b):
        raise trace_error(f"{name}: x0 is nested as {tree.structure(x0)}; it must be nested as b, {tree.structure(b)}")
    start = xnp.zeros_like(right) if x0 is None else ravel_pytree(x0)[0].astype(right.dtype)

    def flat(function: Product) -> Product:
        def call(v: Any) -> Any:
            made = ravel_pytree(function(back(v)))[0]
            if made.shape != v.shape:
                raise shape_error(f"{name}: the product has {made.size} elements; b has {v.size}")
            return made

        return call

    def solve(product: Product, given: Any) -> Any:
        return method(product, given, lax.stop_gradient(start), flat(better))

    real = xnp.issubdtype(right.dtype, xnp.floating)
    x = lax.custom_linear_solve(flat(by), right, solve, solve, symmetric=symmetric and bool(real))
    return back(x), None


def _limits(b: Any, tol: float, atol: float, maxiter: int | None) -> tuple[Any, int]:
    return xnp.maximum(tol * _norm(b), atol), 10 * b.size if maxiter is None else maxiter


def _safe(x: Any) -> Any:
    return xnp.where(x == 0, 1, x)


@program_function
def cg(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, None]:  # fmt: skip
    """x with A x = b for Hermitian positive definite A, by conjugate gradients.

    Args:
      A: a matrix, or a linear function.
      b: the right-hand side: an array, or a container of arrays.
      x0: where to begin; zeros without it.
      tol, atol: the residual's largest norm is max(tol |b|, atol).
      maxiter: the most steps; 10 for each unknown without it.
      M: an approximate inverse of A, as a matrix or function.
    Returns: (x, None).

    Raises:
      TraceError, ShapeError: b holds no floats, or shapes do not fit.
    """

    def method(product: Product, b: Any, x: Any, better: Product) -> Any:
        limit, most = _limits(b, tol, atol, maxiter)
        r = b - product(x)
        z = better(r)

        def go_on(state: Any) -> Any:
            _, r, _, _, k = state
            return (_norm(r) > limit) & (k < most)

        def turn(state: Any) -> Any:
            x, r, p, gamma, k = state
            q = product(p)
            alpha = gamma / _safe(xnp.vdot(p, q))
            x, r = x + alpha * p, r - alpha * q
            z = better(r)
            new = xnp.vdot(r, z)
            return x, r, z + new / _safe(gamma) * p, new, k + 1

        return lax.while_loop(go_on, turn, (x, r, z, xnp.vdot(r, z), 0))[0]

    return _solved("cg", method, A, b, x0, M, symmetric=True)


@program_function
def bicgstab(
    A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0, maxiter: int | None = None, M: Any = None
) -> tuple[Any, None]:  # fmt: skip
    """As `cg`, for any A, by stabilised biconjugate gradients (van der Vorst, 1992)."""

    def method(product: Product, b: Any, x: Any, better: Product) -> Any:
        limit, most = _limits(b, tol, atol, maxiter)
        r = b - product(x)
        shadow, one = r, xnp.ones((), r.dtype)

        def go_on(state: Any) -> Any:
            r, k = state[1], state[-1]
            return (_norm(r) > limit) & (k < most) & (k >= 0)

        def turn(state: Any) -> Any:
            x, r, p, v, rho, alpha, omega, k = state
            new = xnp.vdot(shadow, r)
            p = r + new / _safe(rho) * (alpha / _safe(omega)) * (p - omega * v)
            hat = better(p)
            v = product(hat)
            alpha = new / _safe(xnp.vdot(shadow, v))
            s = r - alpha * v
            near = better(s)
            t = product(near)
            omega = xnp.vdot(t, s) / _safe(xnp.vdot(t, t))
            x = x + alpha * hat + omega * near
            # Where it breaks down nothing can be gained: a negative count ends the loop.
            broken = (new == 0) | (omega == 0)
            return x, s - omega * t, p, v, new, alpha, omega, xnp.where(broken, -1, k + 1)

        zero = xnp.zeros_like(r)
        return lax.while_loop(go_on, turn, (x, r, zero, zero, one, one, one, 0))[0]

    return _solved("bicgstab", method, A, b, x0, M, symmetric=False)


@program_function
def gmres(
    A: Any,
    b: Any,
    x0: Any = None,
    *,
    tol: float = 1e-5,
    atol: float = 0.0,
    restart: int = 20,
    maxiter: int | None = None,
    M: Any = None,
    solve_method: str = "batched",
) -> tuple[Any, None]:
    """As `cg`, for any A, by the generalised minimal residual of subspaces of dimension `restart`.

    `maxiter` counts restarts. `solve_method` is "batched" or "incremental", as in JAX; both do the same here.
    """
    if solve_method not in ("batched", "incremental"):
        raise trace_error(f"gmres: solve_method is {solve_method!r}; it must be 'batched' or 'incremental'")

    def method(product: Product, b: Any, x: Any, better: Product) -> Any:
        limit, most = _limits(b, tol, atol, maxiter)
        size = min(restart, b.size)

        def extend(k: Any, state: Any) -> Any:
            basis, h = state
            w = better(product(basis[k]))
            # Twice, which keeps the basis orthogonal to rounding.
            first = xnp.conj(basis) @ w
            w = w - first @ basis
            second = xnp.conj(basis) @ w
            w = w - second @ basis
            length = _norm(w).astype(w.dtype)
            small = xnp.abs(length) <= xnp.finfo(w.dtype).eps * _norm(first)
            length = xnp.where(small, 0, length)
            column = (first + second).at[k + 1].set(length)
            return basis.at[k + 1].set(xnp.where(small, 0, w / _safe(length))), h.at[:, k].set(column)

        def cycle(state: Any) -> Any:
            x, r, k = state
            z = better(r)
            length = _norm(z).astype(z.dtype)
            basis = xnp.zeros((size + 1, b.size), b.dtype).at[0].set(z / _safe(length))
            basis, h = lax.fori_loop(0, size, extend, (basis, xnp.zeros((size + 1, size), b.dtype)))
            y = xnp.linalg.lstsq(h, xnp.zeros(size + 1, b.dtype).at[0].set(length))[0]
            x = x + y @ basis[:size]
            return x, b - product(x), k + 1

        def go_on(state: Any) -> Any:
            return (_norm(state[1]) > limit) & (state[2] < most)

        return lax.while_loop(go_on, cycle, (x, b - product(x), 0))[0]

    return _solved("gmres", method, A, b, x0, M, symmetric=False)
