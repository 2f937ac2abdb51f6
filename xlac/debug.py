"""`xlac.debug`: looking into compiled programs while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlac.frontend import effects as _effects

__all__ = ["callback", "print"]


def print(
    fmt: str,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> None:
    """Print `fmt.format(*args, **kwargs)` each time the program comes by, with the values of arrays.

    It works inside `jit`, loops, branches, `vmap` (once for each example) and `grad` (where it leaves derivatives
    alone). Prints come in the order of the program.

    Args:
      fmt: a format string, no f-string: that would be formatted while the function is traced.
      ordered: refuse `vmap`, which has no order among examples.
      partitioned: accepted as in JAX.
      skip_format_check: do not check that the format uses all arguments.
    Raises: ValueError if the format asks for what is not given, or does not use an argument.

    >>> f = xlac.jit(lambda x: xlac.debug.print("x = {}", x))
    >>> f(np.float32(2))
    x = 2.0
    """
    _effects.debug_print(
        fmt, *args, ordered=ordered, partitioned=partitioned, skip_format_check=skip_format_check, **kwargs
    )


def callback(
    callback: Callable[..., Any], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any
) -> None:
    """Call a Python function with the values of arrays each time the program comes by; its result is dropped.

    It is called with NumPy arrays, nested as the arguments are; what is no array is passed as it is. An exception it
    raises ends the program and reaches whoever called that.
    """
    _effects.debug_callback(callback, *args, ordered=ordered, partitioned=partitioned, **kwargs)
