"""`xlac.debug`: looking into compiled programs while they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlac.frontend import effects as _effects

__all__ = ["breakpoint", "callback", "inspect_array_sharding", "print", "visualize_array_sharding"]


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


def breakpoint(
    *,
    backend: str | None = None,
    filter_frames: bool = True,
    num_frames: int | None = None,
    ordered: bool = False,
    token: Any = None,
    **kwargs: Any,
) -> None:
    """Stop each time the program comes by, at a prompt where the variables of the calling function have their values.

    It is Python's interpreter: type their names, or any expression; the end of input (Ctrl-D) goes on, `exit()` ends
    the program. Under `vmap` it stops for each example. All arguments but `ordered` are accepted as in JAX.
    """
    import sys

    frame = sys._getframe(1)
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    _effects.debug_callback(_prompt, place, dict(frame.f_locals), ordered=ordered)


def _prompt(place: str, values: dict[str, Any]) -> None:
    import code

    code.interact(f"stopped at {place}, with {', '.join(sorted(values)) or 'no variables'}", local=values, exitmsg="")


def inspect_array_sharding(value: Any, *, callback: Callable[[Any], None]) -> None:
    """Call a function with the sharding of arrays: that on the one device."""
    from xlac.sharding import Device, SingleDeviceSharding

    callback(SingleDeviceSharding(Device()))


def visualize_array_sharding(arr: Any, **kwargs: Any) -> None:
    """Print where the parts of an array are: the whole on the one device."""
    import builtins

    builtins.print(f"{list(arr.shape)}: CPU 0")
