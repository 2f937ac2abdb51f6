"""`xlac.scipy.optimize`: minima of smooth functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import xlac.numpy as xnp
from xlac import lax
from xlac.api import value_and_grad
from xlac.frontend.eager import program_function
from xlac.frontend.trace import shown, trace_error

__all__ = ["OptimizeResults", "minimize"]

# Constants of the strong Wolfe conditions: sufficient decrease, and curvature.
_DECREASE, _CURVATURE = 1e-4, 0.9


class OptimizeResults(NamedTuple):
    """What `minimize` gives.

    Attributes:
      x: the place of the minimum.
      success: whether the gradient is as small as asked for.
      status: 0 for success, 1 for too many iterations, 5 for a line search without a better place.
      fun, jac: value and gradient there.
      hess_inv: the estimate of the inverse Hessian.
      nfev, njev, nit: numbers of values, gradients and iterations.
    """

    x: Any
    success: Any
    status: Any
    fun: Any
    jac: Any
    hess_inv: Any
    nfev: Any
    njev: Any
    nit: Any


class _Search(NamedTuple):
    """A line search: steps low and high around the one looked for, with values and slopes there."""

    step: Any
    low: Any
    low_value: Any
    low_slope: Any
    high: Any
    high_value: Any
    x: Any
    value: Any
    gradient: Any
    count: Any
    done: Any


def _search(both: Callable[[Any], Any], x: Any, direction: Any, value: Any, gradient: Any, most: int) -> _Search:
    """A step that satisfies the strong Wolfe conditions (Nocedal and Wright, algorithms 3.5 and 3.6 as one loop)."""
    slope = xnp.vdot(gradient, direction)
    zero, one, far = (xnp.full((), v, value.dtype) for v in (0, 1, xnp.inf))

    def turn(s: _Search) -> _Search:
        place = x + s.step * direction
        f, g = both(place)
        d = xnp.vdot(g, direction)
        worse = ~(f <= value + _DECREASE * s.step * slope) | ((s.count > 0) & ~(f < s.low_value))
        done = ~worse & (xnp.abs(d) <= -_CURVATURE * slope)
        # A worse place is the upper end, a better one the lower end; where the slope turns, the other end follows.
        turned = ~worse & (d * (s.high - s.low) >= 0)
        high = xnp.where(worse, s.step, xnp.where(turned, s.low, s.high))
        high_value = xnp.where(worse, f, xnp.where(turned, s.low_value, s.high_value))
        low, low_value, low_slope = (
            xnp.where(worse, a, b) for a, b in ((s.low, s.step), (s.low_value, f), (s.low_slope, d))
        )
        # The minimum of the parabola through both ends, kept off them; twice the step while there is no upper end.
        width = high - low
        bent = high_value - low_value - low_slope * width
        share = -low_slope * width / xnp.where(bent == 0, 1, 2 * bent)
        share = xnp.where((bent > 0) & xnp.isfinite(share), xnp.clip(share, 0.1, 0.9), 0.5)
        step = xnp.where(xnp.isinf(high), 2 * s.step, low + share * width)
        step = xnp.where(done, s.step, step)
        better = ~worse | (s.count == 0)
        kept = [xnp.where(better, a, b) for a, b in ((place, s.x), (f, s.value), (g, s.gradient))]
        return _Search(step, low, low_value, low_slope, high, high_value, *kept, s.count + 1, done)

    start = _Search(one, zero, value, slope, far, far, x, value, gradient, xnp.int32(0), xnp.bool_(False))
    return lax.while_loop(lambda s: ~s.done & (s.count < most), turn, start)


class _State(NamedTuple):
    x: Any
    value: Any
    gradient: Any
    inverse: Any
    count: Any
    evaluations: Any
    failed: Any


@program_function
def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple = (),
    *,
    method: str,
    tol: float | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResults:
    """The minimum of `fun(x, *args)` near `x0`, by the method of Broyden, Fletcher, Goldfarb and Shanno.

    Derivatives do not go backward through it, as the number of iterations is not known.

    Args:
      fun: gives a float scalar of a vector.
      x0: where to begin, a vector of floats.
      method: "BFGS".
      tol: the gradient's largest norm at a minimum, as `gtol`.
      options: gtol (1e-5), norm (inf: which norm of the gradient), maxiter (200 for each unknown),
        line_search_maxiter (10).

    Raises:
      TraceError: x0 is no vector, the method is another, or an option is not known.
    """
    if method.lower() != "bfgs":
        raise trace_error(f"minimize: method is {method!r}; it must be 'BFGS'")
    settings = {"gtol": 1e-5 if tol is None else tol, "norm": xnp.inf, "maxiter": None, "line_search_maxiter": 10}
    unknown = set(options or {}) - set(settings)
    if unknown:
        raise trace_error(f"minimize: option {min(unknown)!r}; it must be one of {', '.join(settings)}")
    settings.update(options or {})
    x = xnp.asarray(x0)
    x = x if xnp.issubdtype(x.dtype, xnp.floating) else x.astype(float)
    if x.ndim != 1:
        raise trace_error(f"minimize: x0 is of shape {shown(x)}; it must be a vector")
    n = x.shape[0]
    most = 200 * n if settings["maxiter"] is None else settings["maxiter"]
    both = value_and_grad(lambda v: fun(v, *args))
    identity = xnp.eye(n, dtype=x.dtype)

    def converged(gradient: Any) -> Any:
        return xnp.linalg.norm(gradient, ord=settings["norm"]) < settings["gtol"]

    def turn(s: _State) -> _State:
        found = _search(both, s.x, -(s.inverse @ s.gradient), s.value, s.gradient, settings["line_search_maxiter"])
        moved, change = found.x - s.x, found.gradient - s.gradient
        curvature = xnp.vdot(change, moved)
        usable = curvature > 0
        rho = xnp.where(usable, 1 / xnp.where(usable, curvature, 1), 0)
        left = identity - rho * xnp.outer(moved, change)
        inverse = left @ s.inverse @ left.T + rho * xnp.outer(moved, moved)
        inverse = xnp.where(usable, inverse, s.inverse)
        failed = ~(found.value < s.value) & ~found.done
        return _State(
            xnp.where(failed, s.x, found.x), xnp.where(failed, s.value, found.value),
            xnp.where(failed, s.gradient, found.gradient), inverse, s.count + 1, s.evaluations + found.count, failed,
        )  # fmt: skip

    value, gradient = both(x)
    start = _State(x, value, gradient, identity, xnp.int32(0), xnp.int32(1), xnp.bool_(False))
    s = lax.while_loop(lambda s: ~converged(s.gradient) & ~s.failed & (s.count < most), turn, start)
    success = converged(s.gradient)
    status = xnp.where(success, 0, xnp.where(s.failed, 5, 1))
    return OptimizeResults(s.x, success, status, s.value, s.gradient, s.inverse, s.evaluations, s.evaluations, s.count)
