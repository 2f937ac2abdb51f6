"""`xlac.test_util`: derivatives checked against central differences."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xlac import tree

__all__ = ["check_grads", "check_jvp", "check_vjp"]

# Tolerances by type: a central difference of step eps^(1/3) is right to about eps^(2/3).
_STEP = {"float16": 1e-2, "bfloat16": 1e-1, "float32": 1e-2, "float64": 1e-4}
_TOLERANCE = {"float16": 1e-1, "bfloat16": 2e-1, "float32": 3e-3, "float64": 1e-5}


def _real_name(leaf: Any) -> str:
    dtype = np.asarray(leaf).dtype
    return {"complex64": "float32", "complex128": "float64"}.get(dtype.name, dtype.name)


def _inexact(leaf: Any) -> bool:
    return _real_name(leaf) in _STEP


def _coarsest(table: dict[str, float], value: Any) -> float:
    """The table's entry for the coarsest type of a container."""
    return max((table[_real_name(x)] for x in tree.leaves(value) if _inexact(x)), default=0.0)


def _random_like(rng: np.random.Generator, value: Any) -> Any:
    """A standard normal of each leaf's shape and type; float0 for integers."""
    from xlac import float0

    def one(x: Any) -> Any:
        x = np.asarray(x)
        if not _inexact(x):
            return np.zeros(x.shape, float0)
        drawn = rng.standard_normal(x.shape)
        if x.dtype.kind == "c":
            drawn = drawn + 1j * rng.standard_normal(x.shape)
        return np.asarray(drawn, x.dtype)

    return tree.map(one, value)


def _moved(value: Any, tangent: Any, step: float) -> Any:
    return tree.map(lambda x, t: (np.asarray(x) + np.asarray(t * step, t.dtype)) if _inexact(x) else x, value, tangent)


def _inner(x: Any, y: Any) -> float:
    """The real part of the sum of products, in the widest type."""
    pairs = [(a, b) for a, b in zip(tree.leaves(x), tree.leaves(y)) if _inexact(a)]
    return float(sum(np.sum(np.asarray(a, np.complex128) * np.asarray(b, np.complex128)).real for a, b in pairs))


def _difference(f: Callable[..., Any], args: Sequence[Any], tangents: Sequence[Any], step: float) -> Any:
    ahead, behind = (f(*_moved(tuple(args), tuple(tangents), s)) for s in (step, -step))
    return tree.map(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * step) if _inexact(a) else None, ahead, behind)


def _close(got: Any, want: Any, atol: float, rtol: float, message: str) -> None:
    for g, w in zip(tree.leaves(got), tree.leaves(want)):
        if _inexact(g) and _inexact(w):
            wide = np.complex128 if np.asarray(w).dtype.kind == "c" else np.float64
            np.testing.assert_allclose(np.asarray(g, wide), np.asarray(w, wide), rtol, atol, err_msg=message)


def _directions(
    args: Sequence[Any], atol: float | None, rtol: float | None, eps: float | None
) -> tuple[np.random.Generator, tuple, float, tuple[float, float]]:
    """A random generator, a random tangent drawn from it, the step of the differences, and (atol, rtol)."""
    rng = np.random.default_rng(0)
    tolerance = _coarsest(_TOLERANCE, args)
    limits = (tolerance if atol is None else atol, tolerance if rtol is None else rtol)
    return rng, tuple(_random_like(rng, tuple(args))), _coarsest(_STEP, args) if eps is None else eps, limits


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Check `f_jvp(primals, tangents)` against a central difference along a random direction.

    Raises:
      AssertionError: value or tangent differ by more than the tolerances.
    """
    _, tangents, step, limits = _directions(args, atol, rtol, eps)
    value, slope = f_jvp(tuple(args), tangents)
    _close(value, f(*args), *limits, f"{err_msg}: the value beside the tangent".lstrip(": "))
    _close(slope, _difference(f, args, tangents, step), *limits, f"{err_msg}: the tangent".lstrip(": "))


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Check `f_vjp(*args) -> (value, pullback)` against a central difference, each times a random direction.

    Raises:
      AssertionError: value or cotangent differ by more than the tolerances.
    """
    rng, tangents, step, limits = _directions(args, atol, rtol, eps)
    value, pullback = f_vjp(*args)
    _close(value, f(*args), *limits, f"{err_msg}: the value beside the cotangent".lstrip(": "))
    cotangent = _random_like(rng, value)
    along = _inner(_difference(f, args, tangents, step), cotangent)
    np.testing.assert_allclose(
        _inner(tangents, tuple(pullback(cotangent))), along, limits[1], limits[0], err_msg=err_msg
    )


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Iterable[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check the derivatives of `f` up to an order against central differences, in every mixture of the modes.

    Args:
      f: a function of float and complex arrays, differentiable where it is checked.
      args: where.
      order: at least 1.
      modes: "fwd", "rev", or both.
      atol, rtol: tolerances; without them, those of the arguments' type.
      eps: the step of the differences.

    Raises:
      AssertionError: a derivative differs.
    """
    import xlac

    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    args = tuple(args)

    def check(function: Callable[..., Any], at: tuple, left: int, how: str) -> None:
        if "fwd" in modes:
            name = f"{how}jvp"
            check_jvp(function, lambda p, t: xlac.jvp(function, p, t), at, atol, rtol, eps, name)
            if left > 1:
                tangents = tuple(_random_like(np.random.default_rng(left), at))
                check(lambda *a: xlac.jvp(function, a, tangents), at, left - 1, f"{name} of ")
        if "rev" in modes:
            name = f"{how}vjp"
            check_vjp(function, lambda *a: xlac.vjp(function, *a), at, atol, rtol, eps, name)
            if left > 1:
                value, _ = xlac.vjp(function, *at)
                cotangent = _random_like(np.random.default_rng(left + 100), value)
                check(lambda *a: xlac.vjp(function, *a)[1](cotangent), at, left - 1, f"{name} of ")

    check(f, args, order, "")
