"""Array functions that record instructions while tracing, and run at once on concrete arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Union

import numpy as np

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.tracer import Tracer

# In an annotation, this marks an argument as data; all others are settings, part of the signature.
ArrayLike = Union[np.ndarray, np.generic, Tracer, bool, int, float, complex]
Array = Union[np.ndarray, Tracer]
Axis = Union[int, Sequence[int], None]

F = TypeVar("F", bound=Callable[..., Any])


class _Unhashable:
    """A setting without a hash: equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def freeze(value: Any) -> Any:
    """A hashable stand-in for a setting: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, slice):
        return ("slice", freeze(value.start), freeze(value.stop), freeze(value.step))
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.shape, value.tobytes())
    try:
        hash(value)
    except TypeError:
        return _Unhashable(value)
    return (type(value), value) if isinstance(value, (bool, int, float)) else value


class _Eager:
    """Runs one array function on concrete arrays, compiled once for each signature."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.programs: dict[Any, Any] = {}
        self.names: list[str] = []
        self.data: set[str] = set()
        self.variadic: str | None = None
        for p in inspect.signature(function).parameters.values():
            if "ArrayLike" in str(p.annotation):
                self.data.add(p.name)
            if p.kind is p.VAR_POSITIONAL:
                self.variadic = p.name
            elif p.kind is not p.KEYWORD_ONLY:
                self.names.append(p.name)
        self.is_data = [n in self.data for n in self.names]

    def name_of(self, position: int) -> str | None:
        return self.names[position] if position < len(self.names) else self.variadic

    def __call__(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        from xlac.frontend.jit import Compiled, _Program, leaf_signature, trace_program

        data: list[Any] = []
        settings: list[Any] = []
        where: list[bool] = []
        for i, value in enumerate(args):
            moving = self.name_of(i) in self.data
            where.append(moving)
            (data if moving else settings).append(value)
        names = []
        for name, value in kwargs.items():
            moving = name in self.data
            names.append((name, moving))
            (data if moving else settings).append(value)
        leaves, structure = tree.flatten(data)
        signatures = tuple([leaf_signature(leaf, f"{i} of {self.function.__name__}") for i, leaf in enumerate(leaves)])
        key = (structure, signatures, tuple(where), tuple(names), freeze(settings))
        program = self.programs.get(key)
        if program is None:

            def run(parameters: list[Tracer]) -> Any:
                moving = iter(tree.unflatten(structure, parameters))
                fixed = iter(settings)
                positional = [next(moving) if m else next(fixed) for m in where]
                named = {n: next(moving) if m else next(fixed) for n, m in names}
                return self.function(*positional, **named)

            program = _Program(Compiled(trace_program(run, self.function.__name__, signatures)))
            self.programs[key] = program
        return program.call_leaves(leaves)


def array_function(function: F) -> F:
    """Make a function of traced arrays run on concrete ones too, as a program compiled for their signature.

    Arguments whose annotation names `ArrayLike` are data; all others are settings.
    """
    eager: _Eager | None = None

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal eager
        if trace.current() is not None:
            return function(*args, **kwargs)
        if eager is None:
            eager = _Eager(function)
        return eager(args, kwargs)

    call.traced = function  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]


def program_function(function: F) -> F:
    """Make a function that takes Python functions (a loop, a branch) run on concrete arrays too.

    Outside a trace it is traced anew at each call, as the Python functions may read other variables.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if trace.current() is not None:
            return function(*args, **kwargs)
        return run_program(lambda: function(*args, **kwargs), function.__name__)

    return call  # type: ignore[return-value]


def run_program(function: Callable[[], Any], name: str) -> Any:
    """Trace and run a function of no arguments; the arrays it reads become parameters."""
    from xlac.frontend.jit import run_once

    return run_once(function, name, ())
