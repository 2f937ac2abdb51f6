"""`xlac.experimental.jet`: Taylor series of functions along series of their arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import xlac
import xlac.numpy as xnp
from xlac import tree
from xlac.frontend import dtypes, trace

__all__ = ["jet"]


def jet(
    fun: Callable[..., Any], primals: Sequence[Any], series: Sequence[Sequence[Any]], *, factorial_scaled: bool = True
) -> tuple[Any, Any]:
    """The value of `fun` at `primals`, and the derivatives by t of fun(x(t)) for x(t) with the given ones at t = 0.

    The derivatives are those of forward mode, one within the other, so that time and memory double with each order.

    Args:
      fun: a function of arrays of floats and containers of them.
      primals: a tuple of its arguments, x(0).
      series: for each argument a list of its first, second, ... derivatives, all of one length, nested as it is.
      factorial_scaled: False for coefficients of t^k, derivatives divided by k!, in and out.
    Returns: (value, series), where each leaf of the value has in its place in the second a list of derivatives.
    Raises: TraceError if the lists have different lengths, or an argument holds no floats.

    >>> value, (first, second) = xlac.experimental.jet.jet(np.exp, (0.0,), ([1.0, 0.0],))
    >>> float(first), float(second)
    (1.0, 1.0)
    """
    given = [list(terms) for terms in series]
    lengths = sorted({len(terms) for terms in given})
    if len(given) != len(primals) or len(lengths) != 1:
        raise trace.trace_error(
            f"jet: {len(primals)} arguments and series of lengths {[len(t) for t in given]}; there must be one for "
            "each argument, all of one length"
        )
    order = lengths[0]
    scales = [1 / math.factorial(k) if factorial_scaled else 1.0 for k in range(order + 1)]

    def along(t: Any) -> Any:
        def moved(x: Any, *terms: Any) -> Any:
            value = xnp.asarray(x)
            if not dtypes.is_inexact(value.dtype):
                raise trace.trace_error(f"jet: an argument is of type {value.dtype.name}; it must be of floats")
            step = xnp.asarray(t).astype(value.dtype)
            rest = xnp.zeros_like(value)
            for scale, term in zip(scales[:0:-1], terms[::-1]):
                rest = (rest + xnp.asarray(term, value.dtype) * scale) * step
            return value + rest

        return fun(*(tree.map(moved, x, *terms) for x, terms in zip(primals, given)))

    def with_derivative(function: Callable[[Any], list[Any]]) -> Callable[[Any], list[Any]]:
        def both(t: Any) -> list[Any]:
            values, slopes = xlac.jvp(function, (t,), (xnp.ones_like(t),))
            return [*values, slopes[-1]]

        return both

    derivatives: Callable[[Any], list[Any]] = lambda t: [along(t)]  # noqa: E731
    for _ in range(order):
        derivatives = with_derivative(derivatives)
    real = np.dtype(np.float64) if any(x.dtype.itemsize >= 8 for x in map(xnp.asarray, tree.leaves(primals))) else None
    value, *found = derivatives(xnp.zeros((), real))
    if not factorial_scaled:
        found = [tree.map(lambda d, k=k: d / math.factorial(k), part) for k, part in enumerate(found, 1)]
    return value, tree.map(lambda _, *terms: list(terms), value, *found)
