"""Functions run by the reference evaluator, which starts at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xlac

EVALUATED = xlac.Options(evaluate=True)


def evaluated(function: Callable[..., Any]) -> Any:
    """`function`, traced, and run by the evaluator."""
    return xlac.jit(function, options=EVALUATED)


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    """The result of `function` for the arrays, traced and evaluated."""
    return evaluated(function)(*arrays)
