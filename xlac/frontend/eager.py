"""Array functions that record instructions while tracing, and run at once on concrete arrays."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, Union

import numpy as np

from xlac import tree
from xlac.array import Array
from xlac.frontend import trace
from xlac.frontend.tracer import Tracer
from xlac.runtime.dispatch import Dispatching, forget, learn, remember

# In an annotation, `ArrayLike` marks an argument as data; all others are settings, part of the signature.
ArrayLike = Union[np.ndarray, np.generic, Tracer, bool, int, float, complex]
Axis = Union[int, Sequence[int], None]

F = TypeVar("F", bound=Callable[..., Any])


# Keywords of JAX that functions take without having them: where a result shall be, how exact. There is one of each.
_PLACEMENT = frozenset({"accuracy", "out_sharding", "sharding"})


class _Unhashable:
    """A setting without a hash: equal to itself only."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def freeze(value: Any) -> Any:
    """A hashable stand-in for a setting: lists become tuples."""
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, dict):
        return ("dict", *((k, freeze(v)) for k, v in value.items()))
    if isinstance(value, slice):
        return ("slice", freeze(value.start), freeze(value.stop), freeze(value.step))
    if isinstance(value, np.ndarray):
        return ("array", value.dtype.str, value.shape, value.tobytes())
    try:
        hash(value)
    except TypeError:
        return _Unhashable(value)
    return (type(value), value) if isinstance(value, (bool, int, float)) else value


class ArrayFunction(Dispatching):
    """A function of traced arrays that runs on concrete ones too, as a program compiled once for each signature.

    Attributes:
      traced: the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        remember(self)
        self.traced = function
        self._programs: dict[Any, Any] = {}

    def __repr__(self) -> str:
        return f"<function {self.traced.__qualname__}>"

    def __reduce__(self) -> str:
        return self.traced.__qualname__

    def clear_cache(self) -> None:
        """Forget every compiled signature."""
        forget(self)
        self._programs.clear()

    @functools.cached_property
    def _parameters(self) -> tuple[list[str], str | None, set[str]]:
        """The names of positional parameters, of the one that takes the rest of them, and of those that are data."""
        names: list[str] = []
        data: set[str] = set()
        variadic = None
        for p in inspect.signature(self.traced).parameters.values():
            if "ArrayLike" in str(p.annotation):
                data.add(p.name)
            if p.kind is p.VAR_POSITIONAL:
                variadic = p.name
            elif p.kind is not p.KEYWORD_ONLY:
                names.append(p.name)
        return names, variadic, data

    def _is_setting(self, key: int | str) -> bool:
        """Whether the argument at a position, or with a name, is no data."""
        names, variadic, data = self._parameters
        if isinstance(key, int):
            key = names[key] if key < len(names) else variadic  # type: ignore[assignment]
        return key not in data

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs and not _PLACEMENT.isdisjoint(kwargs):
            known = inspect.signature(self.traced).parameters
            kwargs = {k: v for k, v in kwargs.items() if k not in _PLACEMENT or k in known}
        if trace.current() is not None:
            return self.traced(*args, **kwargs)
        from xlac.frontend.stages import Compiled, Program, leaf_signature, trace_program

        given, kwargs = kwargs, dict(sorted(kwargs.items()))
        data: list[Any] = []
        settings: list[Any] = []
        fixed = [self._is_setting(key) for key in (*range(len(args)), *kwargs)]
        for value, is_setting in zip((*args, *kwargs.values()), fixed):
            (settings if is_setting else data).append(value)
        leaves, structure = tree.flatten(data)
        if (outer := trace.waiting_for(leaves)) is not None:
            with trace.resumed(outer):
                return self.traced(*args, **kwargs)
        name = self.traced.__name__
        of = "" if name.startswith("_") else f" of {name}"  # messages show the user's line, not private names
        signatures = tuple([leaf_signature(leaf, f"{i}{of}") for i, leaf in enumerate(leaves)])
        key = (structure, signatures, tuple(fixed), tuple(kwargs), freeze(settings))
        program = self._programs.get(key)
        if program is not None:
            return program.call_leaves(leaves)

        def run(parameters: list[Tracer]) -> Any:
            moving, still = iter(tree.unflatten(structure, parameters)), iter(settings)
            values = [next(still) if is_setting else next(moving) for is_setting in fixed]
            return self.traced(*values[: len(args)], **dict(zip(kwargs, values[len(args) :])))

        program = self._programs[key] = Program(Compiled(trace_program(run, name, signatures)))
        result = program.call_leaves(leaves)
        if all(_is_fixed(value) for value in settings):
            native, nested = program.compiled.executable.native, program.compiled.traced.out_structure
            learn(self, native, args, given, nested, self._is_setting, trace.open_traces)
        return result


def _is_fixed(value: Any) -> bool:
    """Whether an object that is this one, or an integer equal to it, always means the same setting."""
    if type(value) is tuple:
        return all(_is_fixed(v) for v in value)
    return value is None or isinstance(value, (bool, int, float, complex, str, type, np.dtype))


def made(array: Any) -> Any:
    """An array that NumPy made as a result: a constant while tracing, otherwise an `Array`."""
    return trace.lift(array) if trace.current() is not None else as_array(array)


def as_array(array: Any) -> Array:
    """A NumPy array or scalar as an `Array` of the same memory."""
    return array if type(array) is Array else np.asarray(array).view(Array)


def array_function(function: F) -> F:
    """Make a function of traced arrays run on concrete ones too, as a program compiled for their signature.

    Arguments whose annotation names `ArrayLike` are data; all others are settings.
    """
    return ArrayFunction(function)  # type: ignore[return-value]


def program_function(function: F) -> F:
    """Make a function that takes Python functions (a loop, a branch) run on concrete arrays too.

    Outside a trace it is traced anew at each call, as the Python functions may read other variables.
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if trace.current() is not None:
            return function(*args, **kwargs)
        if trace.jit_disabled():
            from xlac.frontend import stepwise

            plain = getattr(stepwise, function.__name__, None)
            if plain is not None:
                return plain(*args, **kwargs)
        return run_program(lambda: function(*args, **kwargs), function.__name__)

    return call  # type: ignore[return-value]


def run_program(function: Callable[[], Any], name: str) -> Any:
    """Trace and run a function of no arguments; the arrays it reads become parameters."""
    from xlac.frontend.jit import run_once

    return run_once(function, name, ())
