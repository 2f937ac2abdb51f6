"""`xlac.experimental.ode`: initial value problems of ordinary differential equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import lax, tree
from xlac.api import vjp
from xlac.custom_derivatives import closure_convert, custom_vjp
from xlac.flatten_util import ravel_pytree
from xlac.frontend.eager import program_function
from xlac.frontend.trace import trace_error

__all__ = ["odeint"]

# Dormand and Prince, "A family of embedded Runge-Kutta formulae" (1980); the middle value as in Shampine (1986).
_STAGES = np.array([1 / 5, 3 / 10, 4 / 5, 8 / 9, 1, 1])
_WEIGHTS = [
    np.array(row)
    for row in (
        [1 / 5],
        [3 / 40, 9 / 40],
        [44 / 45, -56 / 15, 32 / 9],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    )
]
_ERROR = np.array([35 / 384 - 1951 / 21600, 0, 500 / 1113 - 22642 / 50085, 125 / 192 - 451 / 720,
                   -2187 / 6784 + 12231 / 42400, 11 / 84 - 649 / 6300, -1 / 60])  # fmt: skip
_MIDDLE = 0.5 * np.array([6025192743 / 30085553152, 0, 51252292925 / 65400821598, -2691868925 / 45128329728,
                          187940372067 / 1594534317056, -1776094331 / 19743644256, 11237099 / 235043384])  # fmt: skip

Field = Callable[..., Any]


def _combined(weights: np.ndarray, slopes: list[Any]) -> Any:
    parts = [s * float(w) for w, s in zip(weights, slopes) if w]
    return sum(parts[1:], parts[0])


def _step(field: Field, y: Any, slope: Any, t: Any, h: Any) -> tuple[Any, Any, Any, list[Any]]:
    """(value, slope, error, all slopes) after a step."""
    slopes = [slope]
    for stage, weights in zip(_STAGES, _WEIGHTS):
        at = y + h * _combined(weights, slopes)
        slopes.append(field(at, t + h * float(stage)))
    return at, slopes[-1], h * _combined(_ERROR, slopes), slopes


def _between(y0: Any, y1: Any, middle: Any, slope0: Any, slope1: Any, h: Any) -> Any:
    """The coefficients, highest first, of the quartic through three values with slopes at both ends."""
    a = 2 * h * (slope1 - slope0) - 8 * (y1 + y0) + 16 * middle
    b = h * (5 * slope0 - 3 * slope1) + 18 * y0 + 14 * y1 - 32 * middle
    c = h * (slope1 - 4 * slope0) - 11 * y0 - 5 * y1 + 16 * middle
    return xnp.stack([a, b, c, h * slope0, y0])


def _ratio(error: Any, rtol: float, atol: float, y0: Any, y1: Any) -> Any:
    """The error in units of what is allowed."""
    allowed = atol + rtol * xnp.maximum(xnp.abs(y0), xnp.abs(y1))
    return xnp.sqrt(xnp.mean(xnp.square(xnp.abs(error / allowed))))


def _first_step(field: Field, t: Any, y: Any, rtol: float, atol: float, slope: Any) -> Any:
    """Hairer, Norsett and Wanner, "Solving Ordinary Differential Equations I", II.4."""
    scale = atol + xnp.abs(y) * rtol
    d0, d1 = (xnp.linalg.norm(v / scale) for v in (y, slope))
    h0 = xnp.where((d0 < 1e-5) | (d1 < 1e-5), 1e-6, 0.01 * d0 / xnp.where(d1 == 0, 1, d1))
    ahead = field(y + h0 * slope, t + h0)
    d2 = xnp.linalg.norm((ahead - slope) / scale) / h0
    most = xnp.maximum(d1, d2)
    h1 = xnp.where(most <= 1e-15, xnp.maximum(1e-6, h0 * 1e-3), (0.01 / xnp.where(most == 0, 1, most)) ** 0.2)
    return xnp.minimum(100 * h0, h1)


def _solution(field: Field, y0: Any, ts: Any, rtol: float, atol: float, mxstep: float, hmax: float) -> Any:
    """The values at all times, by steps whose errors are within the tolerances."""

    def to(carry: Any, target: Any) -> tuple[Any, Any]:
        def go_on(state: Any) -> Any:
            count, _, _, t, h, _, _ = state
            return (t < target) & (count < mxstep) & (h > 0)

        def turn(state: Any) -> Any:
            count, y, slope, t, h, last, curve = state
            new_y, new_slope, error, slopes = _step(field, y, slope, t, h)
            ratio = _ratio(error, rtol, atol, y, new_y)
            middle = y + h * _combined(_MIDDLE, slopes)
            fitted = _between(y, new_y, middle, slope, new_slope, h)
            factor = xnp.where(ratio == 0, 10, xnp.clip(0.9 * ratio**-0.2, 0.2, 10))
            factor = xnp.where(ratio < 1, xnp.maximum(factor, 1), factor)
            grown = xnp.clip(h * factor, 0, hmax)
            ok = ratio <= 1
            taken = (new_y, new_slope, t + h, grown, t, fitted)
            kept = (y, slope, t, grown, last, curve)
            return (count + 1, *(xnp.where(ok, a, b) for a, b in zip(taken, kept)))

        state = lax.while_loop(go_on, turn, (0.0, *carry))
        _, _, _, t, _, last, curve = state
        share = (target - last) / xnp.where(t == last, 1, t - last)
        return state[1:], xnp.polyval(curve, share)

    slope = field(y0, ts[0])
    h = xnp.clip(_first_step(field, ts[0], y0, rtol, atol, slope), 0, hmax).astype(ts.dtype)
    start = (y0, slope, ts[0], h, ts[0], xnp.stack([y0 * 0] * 4 + [y0]))
    _, ys = lax.scan(to, start, ts[1:])
    return xnp.concatenate([y0[None], ys])


@program_function
def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    *args: Any,
    rtol: float = 1.4e-8,
    atol: float = 1.4e-8,
    mxstep: float = xnp.inf,
    hmax: float = xnp.inf,
) -> Any:
    """The solution of dy/dt = func(y, t, *args) with y(t[0]) = y0, at all times t.

    By Runge-Kutta steps of order 5 with step control. Gradients are found by solving the adjoint equation backward.

    Args:
      func: gives the derivative, nested as y0.
      y0: floats: an array, or a container of arrays.
      t: ascending times, a vector; they are taken in the precision of y0.
      rtol, atol: the error allowed in each step, relative and absolute.
      mxstep: the most steps between two times; beyond them the solution stops short.
      hmax: the longest step.
    Returns: nested as y0, with the times in front of each array.

    Raises:
      TraceError: `t` is no vector, or y0 holds no floats.
    """
    start, back = ravel_pytree(tree.map(xnp.asarray, y0))
    times = xnp.asarray(t)
    if times.ndim != 1:
        raise trace_error(f"odeint: t is of shape {list(times.shape)}; it must be a vector")
    if not xnp.issubdtype(start.dtype, xnp.inexact):
        raise trace_error(f"odeint: y0 is of type {start.dtype.name}; it must be a float or complex type")
    times = times.astype(xnp.finfo(start.dtype).dtype)
    arguments = tuple(tree.map(xnp.asarray, a) for a in args)

    def field(y: Any, at: Any, *given: Any) -> Any:
        return ravel_pytree(func(back(y), at, *given))[0].astype(start.dtype)

    converted, read = closure_convert(field, start, times[0], *arguments)
    given = (*arguments, *read)

    @custom_vjp
    def solve(y0: Any, ts: Any, given: tuple) -> Any:
        return _solution(lambda y, at: converted(y, at, *given), y0, ts, rtol, atol, mxstep, hmax)

    def forward(y0: Any, ts: Any, given: tuple) -> Any:
        ys = solve(y0, ts, given)
        return ys, (ys, ts, given)

    def backward(kept: Any, g: Any) -> Any:
        ys, ts, given = kept
        flat, apart = ravel_pytree((ys[0], ys[0], ts[0], _floats(given)))

        def adjoint(state: Any, at: Any) -> Any:
            """Backward in time: y, its cotangent, that of the start time and those of the arguments."""
            y, bar, _, _ = apart(state)
            slope, pull = vjp(lambda y, at, some: converted(y, at, *_merged(given, some)), y, -at, _floats(given))
            of_y, of_t, of_given = pull(bar)
            return ravel_pytree((-slope, of_y, of_t, of_given))[0].astype(flat.dtype)

        def interval(carry: Any, k: Any) -> Any:
            bar, of_first, of_given = carry
            slope = converted(ys[k], ts[k], *given)
            of_time = xnp.real(xnp.sum(slope * g[k])).astype(ts.dtype)
            state, _ = ravel_pytree((ys[k], bar, of_first - of_time, of_given))
            span = xnp.stack([-ts[k], -ts[k - 1]])
            made = _solution(adjoint, state.astype(flat.dtype), span, rtol, atol, mxstep, hmax)[1]
            _, bar, of_first, of_given = apart(made)
            return (bar + g[k - 1], of_first, of_given), of_time

        nothing = tree.map(xnp.zeros_like, _floats(given))
        first = (g[-1], xnp.zeros((), ts.dtype), nothing)
        (bar, of_first, of_given), of_times = lax.scan(interval, first, xnp.arange(ts.shape[0] - 1, 0, -1))
        found = iter(of_given)
        of_all = tree.map(lambda x: next(found) if xnp.issubdtype(x.dtype, xnp.inexact) else None, given)
        return bar, xnp.concatenate([of_first[None], of_times[::-1]]), of_all

    solve.defvjp(forward, backward)
    ys = solve(start, times, given)
    return _rows(ys, back)


def _rows(ys: Any, back: Callable[[Any], Any]) -> Any:
    """Each row in the nesting of the start, with the times in front."""
    from xlac.api import vmap

    return vmap(back)(ys)


def _floats(values: Any) -> list[Any]:
    """The leaves that can have derivatives."""
    return [x for x in tree.leaves(values) if xnp.issubdtype(x.dtype, xnp.inexact)]


def _merged(values: Any, floats: list[Any]) -> Any:
    """`values` with these in the places of `_floats`."""
    found = iter(floats)
    return tree.map(lambda x: next(found) if xnp.issubdtype(x.dtype, xnp.inexact) else x, values)
