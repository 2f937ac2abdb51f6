"""`jit`: a Python function is traced once for each signature of its arguments, compiled, and called from then on.

A call with arguments of a known kind does not come here: `learn` has made it native. Where that cannot be, the path of
a call whose arguments are all plain arrays is short on purpose: a tuple of shapes and types, one dictionary look-up,
the executable, and the results put back into their containers.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
import weakref
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.array import Array
from xlac.errors import ShapeError, TraceError
from xlac.frontend import dtypes, trace
from xlac.frontend.arguments import as_tuple, check_names, check_numbers, completed, parameters_of, positional_names
from xlac.frontend.explain import explain
from xlac.frontend.stages import (
    NUMBERS,
    Compiled,
    Lowered,
    Program,
    Traced,
    check_dtype,
    eval_shape,
    leaf_array,
    leaf_signature,
    trace_program,
)
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import Kind
from xlac.ir.shape import element_type
from xlac.options import Options, environment
from xlac.runtime.dispatch import Dispatching, forget, learn, remember


class Static:
    """Marks a static argument in a signature; equal where the values are equal and of one type."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and type(self.value) is type(other.value) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


# Shape, dtype and class of an array: all that matters of it to a compiled program.
_kind_of_array = operator.attrgetter("shape", "dtype", "__class__")


class _Unusual(Exception):
    """An argument that the quick walk does not know."""


def _walk(value: Any, leaves: list[Any], key: list[Any]) -> None:
    """Append the leaves of common containers, and what tells their signature."""
    kind = type(value)
    if kind is Array or kind is np.ndarray:
        leaves.append(value)
        key.append(value.shape)
        key.append(value.dtype)
    elif kind is dict:
        names = sorted(value)
        key.append(("dict", *names))
        for name in names:
            _walk(value[name], leaves, key)
    elif kind is tuple or kind is list:
        key.append(kind)
        key.append(len(value))
        for part in value:
            _walk(part, leaves, key)
    elif value is None:
        key.append(None)
    elif kind in NUMBERS:
        leaves.append(value)
        key.append(kind)
        if kind is int:
            key.append(dtypes.scalar_dtype(value))
    elif issubclass(kind, np.generic):
        leaves.append(value)
        key.append(kind)
    else:
        raise _Unusual


class _Caches:
    """What a function was compiled for, under one choice of settings: `jit(f)` twice compiles `f` once."""

    def __init__(self) -> None:
        remember(self)  # it may outlive the `Jit`s that it is of
        self.fast: dict[Hashable, Callable[[Sequence[np.ndarray]], Any]] = {}
        self.nested: dict[Hashable, Program] = {}
        self.programs: dict[Hashable, Program] = {}

    @classmethod
    def of(cls, function: Callable[..., Any], settings: Hashable) -> _Caches:
        """Those of this very function; they stand among its attributes and end with it."""
        try:
            owner, found = vars(function).get("_xlac_caches", (None, {}))
            if owner is None or owner() is not function:  # `functools.wraps` copies attributes
                owner, found = function._xlac_caches = (weakref.ref(function), {})  # type: ignore[attr-defined]
        except (TypeError, AttributeError):  # a builtin, a bound method
            return cls()
        return found.setdefault(settings, cls())

    def clear_cache(self) -> None:
        self.fast.clear()
        self.nested.clear()
        self.programs.clear()


class Jit(Dispatching):
    """A function compiled on first use for each signature; made by `jit`."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        static_argnums: int | Iterable[int] | None = None,
        static_argnames: str | Iterable[str] | None = None,
        donate_argnums: int | Iterable[int] | None = None,
        donate_argnames: str | Iterable[str] | None = None,
        options: Options | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"jit takes a function, got {function!r}")
        functools.update_wrapper(self, function)
        remember(self)
        self._function = function
        self._name = trace.name_of(function)
        self._options = options
        parameters = parameters_of(function)
        self._argument_names = positional_names(parameters)
        self._static_nums, self._static_names = self._meant(parameters, "static", static_argnums, static_argnames)
        self._donate_nums, self._donate_names = self._meant(parameters, "donate", donate_argnums, donate_argnames)
        self._plain = not self._static_nums and not self._static_names
        settings = (self._static_nums, self._static_names, self._donate_nums, self._donate_names, options)
        compiled = self._compiled = _Caches.of(function, settings)
        self._fast, self._nested, self._programs = compiled.fast, compiled.nested, compiled.programs
        self._cleared = False

    def _meant(self, parameters: list[inspect.Parameter], what: str, numbers: Any, names: Any) -> Any:
        """The positions and names of the arguments that a setting means."""
        numbers, names = as_tuple(numbers), as_tuple(names)
        check_names(self._function, parameters, f"{what}_argnames", names)
        check_numbers(self._function, parameters, f"{what}_argnums", numbers)
        return completed(parameters, numbers, names)

    # -- calls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not trace.open_traces and not kwargs:
            # Only arrays: of these, shape, dtype and class are the whole signature.
            try:
                call = self._fast[tuple(map(_kind_of_array, args))]
            except (AttributeError, KeyError, TypeError):
                pass
            else:
                return call(args)
        return self._nested_call(args, kwargs)

    def _nested_call(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """A call with common containers, numbers and static arguments."""
        if trace.jit_disabled():
            self._check_static(args, kwargs)
            return self._function(*args, **kwargs)
        if trace.current() is not None:
            return self._inline(args, kwargs)
        if (outer := trace.waiting_for(tree.leaves((args, kwargs)))) is not None:
            with trace.resumed(outer):
                return self._inline(args, kwargs)
        leaves: list[Any] = []
        key: list[Any] = []
        try:
            for i, value in enumerate(args):
                if i in self._static_nums:
                    key.append(Static(value))
                else:
                    _walk(value, leaves, key)
            key.extend(kwargs)  # their order, too, as far as native calls are concerned
            for name in sorted(kwargs):
                key.append(name)
                if name in self._static_names:
                    key.append(Static(kwargs[name]))
                else:
                    _walk(kwargs[name], leaves, key)
            key = tuple(key)  # type: ignore[assignment]
            program = self._nested.get(key)
        except (_Unusual, TypeError, ShapeError):
            return self._slow_call(args, kwargs)[0]
        if program is not None:
            return program.call_leaves(leaves)
        result, self._nested[key] = self._slow_call(args, kwargs)
        return result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def _slow_call(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Program]:
        """A call with anything; gives the result and the program."""
        leaves, structure, static = self._split(args, kwargs)
        signatures = self._signatures(leaves, args, kwargs, structure)
        key = (structure, static, tuple(signatures))
        program = self._programs.get(key)
        if program is None:
            if environment("XLAC_EXPLAIN_CACHE"):
                explain(self._function, self._options, key, self._programs, self._cleared, self._leaf_names)
            traced = self._trace(args, kwargs, leaves, structure, static, signatures)
            program = self._programs[key] = Program(Compiled(traced, self._options))
        if self._plain and not kwargs and all(type(a) in (np.ndarray, Array) and a.dtype.isnative for a in args):
            self._fast[tuple(map(_kind_of_array, args))] = program.call
        result = program.call_leaves(leaves)
        native = program.compiled.executable.native
        learn(self, native, args, kwargs, program.compiled.traced.out_structure, self._fixed, trace.open_traces)
        return result, program

    def _fixed(self, key: int | str) -> bool:
        """Whether the argument at a position, or with a name, is static."""
        return key in self._static_nums or key in self._static_names

    def _inline(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Inside another trace the function becomes part of it."""
        self._check_static(args, kwargs)
        result = self._function(*args, **kwargs)
        return tree.map(trace.lift, result)

    def _check_static(self, args: tuple, kwargs: dict[str, Any]) -> None:
        for number, value in enumerate(args):
            if number in self._static_nums:
                _require_hashable(value, self._name, f"{number}")
        for name, value in kwargs.items():
            if name in self._static_names:
                _require_hashable(value, self._name, f"{name!r}")

    def _split(self, args: tuple, kwargs: dict[str, Any]) -> tuple[list[Any], tree.Structure, tuple]:
        """The array leaves, their structure, and the static arguments."""
        if self._plain:
            leaves, structure = tree.flatten((args, kwargs))
            return leaves, structure, ()
        self._check_static(args, kwargs)
        numbers, names = self._static_nums, self._static_names
        moving = tuple(None if i in numbers else a for i, a in enumerate(args))
        moving_named = {k: v for k, v in kwargs.items() if k not in names}
        static = (
            tuple((i, Static(a)) for i, a in enumerate(args) if i in numbers),
            tuple(sorted(((k, Static(v)) for k, v in kwargs.items() if k in names), key=lambda kv: kv[0])),
        )
        leaves, structure = tree.flatten((moving, moving_named))
        return leaves, structure, static

    def _signatures(self, leaves: list[Any], args: tuple, kwargs: dict, structure: tree.Structure) -> list:
        try:
            result = [leaf_signature(leaf) for leaf in leaves]
            for _, dtype, _ in result:
                element_type(dtype)
            return result
        except (TraceError, ShapeError):
            for name, leaf in zip(self._leaf_names(structure), leaves):
                check_dtype(leaf_signature(leaf, f"{name} of {self._name}")[1], f"{name} of {self._name}")
            raise

    def _leaf_names(self, structure: tree.Structure) -> list[str]:
        """A name for each leaf of the arguments: "x", "params['w']"."""
        n = structure.num_leaves
        paths = tree.paths(tree.unflatten(structure, list(range(n))))
        names = []
        for path in paths:
            position, _, rest = path[4:].partition("]")
            if path.startswith("[0]"):
                i = int(position)
                names.append((self._argument_names[i] if i < len(self._argument_names) else f"arg{i}") + rest)
            else:
                names.append(position.strip("'") + rest)
        return names

    def _donated(self, structure: tree.Structure) -> list[int]:
        """The parameter numbers of donated arguments."""
        if not self._donate_nums and not self._donate_names:
            return []
        positional, named = structure.parts
        result: list[int] = []
        count = 0
        donated = [i in self._donate_nums for i in range(len(positional.parts))]
        donated += [k in self._donate_names for k in named.data]
        for chosen, child in zip(donated, (*positional.parts, *named.parts)):
            if chosen:
                result.extend(range(count, count + child.num_leaves))
            count += child.num_leaves
        return result

    def _trace(
        self, args: tuple, kwargs: dict, leaves: list, structure: tree.Structure, static: tuple, signatures: Sequence
    ) -> Traced:
        fixed = {i: s.value for i, s in static[0]} if static else {}
        fixed_named = {k: s.value for k, s in static[1]} if static else {}

        def run(parameters: list[Tracer]) -> Any:
            moving, named = tree.unflatten(structure, parameters)
            arguments = [fixed[i] if i in fixed else a for i, a in enumerate(moving)]
            return self._function(*arguments, **named, **fixed_named)

        traced = trace_program(
            run,
            self._name,
            signatures,
            names=self._leaf_names(structure),
            donated=self._donated(structure),
            place=trace.place_of(self._function),
        )
        traced.options = self._options
        return traced

    # -- stages

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """Trace for these arguments (arrays, or anything with `shape` and `dtype`) without compiling."""
        leaves, structure, static = self._split(args, kwargs)
        return self._trace(args, kwargs, leaves, structure, static, self._signatures(leaves, args, kwargs, structure))

    def lower(self, *args: Any, **kwargs: Any) -> _JitLowered:
        """Trace for these arguments; the result has `as_text` and `compile`."""
        _, structure, _ = self._split(args, kwargs)
        return _JitLowered(self, self.trace(*args, **kwargs), structure)

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        return eval_shape(self._function, *args, **kwargs)

    def clear_cache(self) -> None:
        """Forget every compiled signature."""
        forget(self)
        self._compiled.clear_cache()
        self._cleared = True

    def _cache_size(self) -> int:
        return len(self._programs)


class _JitLowered(Lowered):
    """What `Jit.lower` gives: its compiled program splits static arguments off as the function does."""

    def __init__(self, function: Jit, traced: Traced, structure: tree.Structure) -> None:
        super().__init__(traced)
        self._jit, self.in_structure = function, structure

    def compile(self, options: Options | None = None) -> Compiled:
        compiled = super().compile(options)
        compiled.in_structure = self.in_structure
        compiled._static = lambda args, kwargs: self._jit._split(args, kwargs)[:2]  # type: ignore[assignment,return-value]
        compiled._fixed = self._jit._fixed
        return compiled


def _require_hashable(value: Any, name: str, which: str) -> None:
    if isinstance(value, Tracer):
        raise trace.trace_error(
            f"static argument {which} of {name} is a traced value; static arguments must be Python values"
        )
    try:
        hash(value)
    except TypeError:
        raise trace.trace_error(
            f"static argument {which} of {name} is {value!r} of type {type(value).__name__}, which is not hashable; "
            "pass a tuple "
            "in place of a list, or make it an ordinary argument"
        ) from None


def jit(function: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """See `xlac.jit`."""
    if function is None:
        return lambda f: Jit(f, **settings)
    return Jit(function, **settings)


# ---- programs run once: eager control flow and gradients

_programs_by_structure: dict[Hashable, Any] = {}
_PROGRAM_LIMIT = 512


def module_key(module: Module) -> Hashable:
    """A hashable value equal for modules that compute the same function."""
    numbers = {c: i for i, c in enumerate(module.computations)}

    def attribute(kind: Kind, value: Any) -> Any:
        if kind is Kind.COMPUTATION and value is not None:
            return numbers[value]
        if kind is Kind.COMPUTATIONS and value is not None:
            return tuple(numbers[c] for c in value)
        if kind is Kind.LITERAL:
            return (value.tobytes(), value.shape, value.dtype)
        return value

    parts = []
    for computation in numbers:
        order = computation.post_order()
        index: dict[Instruction, int] = {x: i for i, x in enumerate(order)}
        parts.append(
            tuple(
                (
                    x.opcode.name,
                    x.shape,
                    tuple(index[y] for y in x.operands),
                    tuple(attribute(x.opcode.attrs[n].kind, v) for n, v in x.attrs.items()),
                )
                for x in order
            )
            + (index[computation.root],)
        )
    return tuple(parts)


def run_once(
    function: Callable[..., Any], name: str, args: Any, paths: Callable[[], Sequence[str]] | None = None
) -> Any:
    """Trace `function(*args)` for arrays nested in `args`, compile it unless an equal program is at hand, and run it.

    Nothing is remembered by argument types, so the function may read other variables; arrays among those become
    parameters, so that their values do not matter to the compiled program. `paths` gives names of the leaves of `args`
    for messages, where these are not how the user wrote them.
    """
    leaves, structure = tree.flatten(args)
    try:
        signatures = [leaf_signature(leaf) for leaf in leaves]
        for _, dtype, _ in signatures:
            check_dtype(dtype, "")
    except (TraceError, ShapeError):
        for leaf, path in zip(leaves, paths() if paths else tree.paths(args)):
            check_dtype(leaf_signature(leaf, f"{path} of {name}")[1], f"{path} of {name}")
        raise

    def run(parameters: list[Tracer]) -> Any:
        return function(*tree.unflatten(structure, parameters))

    traced = trace_program(run, name, signatures, lift_constants=True)
    key = module_key(traced.module), Options().resolve()
    executable = _programs_by_structure.get(key)
    if executable is None:
        from xlac.compiler import compile_module

        executable = compile_module(traced.module)
        while len(_programs_by_structure) >= _PROGRAM_LIMIT:
            _programs_by_structure.pop(next(iter(_programs_by_structure)), None)
        _programs_by_structure[key] = executable
    arrays = [leaf_array(leaf, dtype) for leaf, dtype in zip(leaves, traced.in_dtypes)]
    return tree.unflatten(traced.out_structure, executable.run([*arrays, *traced.lifted]))
