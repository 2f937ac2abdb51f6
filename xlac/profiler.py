"""`xlac.profiler`: the names of `jax.profiler`. Annotations become scopes of programs; there is no trace to record.

How long a program takes, kernel by kernel, `xlac bench` and `XLAC_DEBUG=1` tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from xlac.api import named_call, named_scope

__all__ = [
    "StepTraceAnnotation",
    "TraceAnnotation",
    "annotate_function",
    "start_server",
    "start_trace",
    "stop_server",
    "stop_trace",
    "trace",
]


def TraceAnnotation(name: str, **kwargs: Any) -> Any:
    """A context (or decorator) in which traced instructions have `name` in their op_name."""
    return named_scope(name)


def StepTraceAnnotation(name: str, **kwargs: Any) -> Any:
    """As `TraceAnnotation`; the number of the step is not kept."""
    return named_scope(name)


def annotate_function(func: Callable[..., Any], name: str | None = None, **decorator_kwargs: Any) -> Callable[..., Any]:
    """The function in a `TraceAnnotation`, by default of its own name."""
    return named_call(func, name=name)


def start_trace(
    log_dir: Any, create_perfetto_link: bool = False, create_perfetto_trace: bool = False, profiler_options: Any = None
) -> None:
    """Nothing: no trace is recorded, and nothing is written to `log_dir`."""


def stop_trace() -> None:
    """Nothing, as `start_trace`."""


@contextlib.contextmanager
def trace(
    log_dir: Any, create_perfetto_link: bool = False, create_perfetto_trace: bool = False, profiler_options: Any = None
) -> Iterator[None]:
    """A block of which no trace is recorded."""
    yield


def start_server(port: int, requires_backend: bool = True) -> None:
    """Nothing: there is no server."""


def stop_server() -> None:
    """Nothing, as `start_server`."""
