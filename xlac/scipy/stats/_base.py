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
    """An object whose attributes are array functions; `pdf` or `pmf` follow from the logarithm's."""
    made = SimpleNamespace(__doc__=f"The {name} distribution.")
    for density in ("pdf", "pmf"):
        log = functions.get(f"log{density}")
        if log is not None and density not in functions:
            functions[density] = _exponential(log)
    for key, function in functions.items():
        function.__name__ = key
        function.__doc__ = function.__doc__ or f"{key} of the {name} distribution."
        setattr(made, key, array_function(function))
    return made


def _exponential(log: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(log)
    def density(*args: Any, **kwargs: Any) -> Any:
        return elementwise.exp(log(*args, **kwargs))

    density.__doc__ = None
    return density


def like(x: Tracer, value: float) -> Tracer:
    """A number as an array of the shape of another."""
    return lax.full_like(x, value)


def inside(mask: Tracer, value: Tracer, outside: float = -math.inf) -> Tracer:
    """`value` where the mask holds, else a number."""
    return lax.select(mask, value, lax.full_like(value, outside))
