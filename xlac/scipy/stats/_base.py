"""What distributions share: functions by name, standardised places, and masks of their support."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from xlac import lax
from xlac.frontend.eager import array_function
from xlac.frontend.tracer import Tracer
from xlac.numpy import elementwise


def distribution(name: str, **functions: Callable[..., Any]) -> Any:
    """An object whose attributes are array functions; what is not given follows from what is, such as `pdf` or `sf`."""
    made = SimpleNamespace(__doc__=f"The {name} distribution.")
    for density in ("pdf", "pmf"):
        log = functions.get(f"log{density}")
        if log is not None and density not in functions:
            functions[density] = _after(elementwise.exp, log)
    for tail, log_tail in (("cdf", "logcdf"), ("sf", "logsf")):
        if tail not in functions and log_tail in functions:
            functions[tail] = _after(elementwise.exp, functions[log_tail])
    for tail, other in (("cdf", "sf"), ("sf", "cdf")):
        if tail not in functions and other in functions:
            functions[tail] = _after(lambda p: elementwise.subtract(1, p), functions[other])
    for tail, log_tail in (("cdf", "logcdf"), ("sf", "logsf")):
        if tail in functions and log_tail not in functions:
            functions[log_tail] = _after(elementwise.log, functions[tail])
    if "ppf" in functions and "isf" not in functions:
        functions["isf"] = _of_rest(functions["ppf"])
    for key, function in functions.items():
        function.__name__ = key
        function.__doc__ = function.__doc__ or f"{key} of the {name} distribution."
        setattr(made, key, array_function(function))
    return made


def _after(outer: Callable[[Any], Any], inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def composed(*args: Any, **kwargs: Any) -> Any:
        return outer(inner(*args, **kwargs))

    composed.__doc__ = None
    return composed


def _of_rest(ppf: Callable[..., Any]) -> Callable[..., Any]:
    """The quantile of 1 - q."""

    @functools.wraps(ppf)
    def isf(q: Any, *args: Any, **kwargs: Any) -> Any:
        return ppf(elementwise.subtract(1, q), *args, **kwargs)

    isf.__doc__ = None
    return isf


def like(x: Tracer, value: float) -> Tracer:
    """A number as an array of the shape of another."""
    return lax.full_like(x, value)


def inside(mask: Tracer, value: Tracer, outside: float = -math.inf) -> Tracer:
    """`value` where the mask holds, else a number."""
    return lax.select(mask, value, lax.full_like(value, outside))
