"""`jit`: a Python function is traced once for each signature of its arguments, compiled, and called from then on.

A call with arguments of a known kind does not come here: `learn` has made it native. Where that cannot be, the path of
a call whose arguments are all plain arrays is short on purpose: a tuple of shapes and types, one dictionary look-up,
the executable, and the results put back into their containers.
"""

from __future__ import annotations

import functools
import inspect
import math
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
from xlac.frontend.explain import explain
from xlac.frontend.finish import finish, module_name
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import Kind, op
from xlac.ir.shape import ArrayShape, element_type, shape_of
from xlac.options import Options, environment
from xlac.runtime.dispatch import Dispatching, forget, learn, remember

_NUMBERS = (bool, int, float, complex)

# Python numbers are passed in full precision; where they meet no array they count as the default types.
PASSED_AS = {float: dtypes.FLOAT64, complex: dtypes.COMPLEX128}


# ---- leaves of arguments


def leaf_signature(value: Any, path: str = "") -> tuple[tuple[int, ...], np.dtype, bool]:
    """(dims, dtype, weak) of an argument: an array, a Python number, or anything with shape and dtype.

    Raises:
      TraceError: it is none of these.
    """
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.newbyteorder("="), False
    if isinstance(value, _NUMBERS) and not isinstance(value, np.generic):
        return (), PASSED_AS.get(type(value)) or dtypes.type_of(value)[0], not isinstance(value, bool)
    if isinstance(value, Tracer):
        raise trace.leaked(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return tuple(value.shape), np.dtype(value.dtype).newbyteorder("="), bool(getattr(value, "weak_type", False))
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.shape, array.dtype, False
    raise trace.trace_error(
        f"argument {path} is {value!r} of type {type(value).__name__}, which is no array; name it in static_argnums or "
        "static_argnames if it is a setting"
    )


def leaf_array(value: Any, dtype: np.dtype) -> np.ndarray:
    """An argument's leaf as the array that is passed to the program."""
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.dtype.isnative:
        return value
    if isinstance(value, _NUMBERS) and not isinstance(value, np.generic):
        return trace.scalar_array(value, dtype)
    return np.asarray(value, dtype)


def check_dtype(dtype: np.dtype, path: str) -> None:
    """Raise ShapeError unless arrays of this dtype can be passed to a program."""
    try:
        element_type(dtype)
    except ShapeError as error:
        raise ShapeError(f"argument {path}: {error}") from None


# ---- tracing a whole program


class Traced:
    """A traced function: its module, and how its arguments and results nest.

    Attributes:
      module: the program.
      in_dtypes: the dtype of each leaf of the arguments.
      out_structure: how the results nest.
      out_weak: whether each result stands for a Python number.
      lifted: values of further parameters, where constants were lifted.
    """

    def __init__(
        self,
        module: Module,
        in_dtypes: list[np.dtype],
        out_structure: tree.Structure,
        out_weak: list[bool],
        lifted: list[np.ndarray],
        options: Options | None = None,
    ) -> None:
        self.module = module
        self.in_dtypes = in_dtypes
        self.out_structure = out_structure
        self.out_weak = out_weak
        self.lifted = lifted
        self.options = options

    @property
    def out_shapes(self) -> list[ArrayShape]:
        return trace.flat_shapes(self.module.entry.root.shape)

    @property
    def out_info(self) -> Any:
        """Shapes and dtypes of the results, nested as they are."""
        made = [ShapeDtypeStruct(s.dims, s.dtype, w) for s, w in zip(self.out_shapes, self.out_weak)]
        return tree.unflatten(self.out_structure, made)

    @property
    def fun_name(self) -> str:
        return self.module.name.removeprefix("jit_")

    def lower(self) -> Lowered:
        return Lowered(self)

    def __repr__(self) -> str:
        return f"Traced({self.module.name})"


def trace_program(
    function: Callable[[list[Tracer]], Any],
    name: str,
    signatures: Sequence[tuple[tuple[int, ...], np.dtype, bool]],
    *,
    names: Sequence[str] = (),
    donated: Sequence[int] = (),
    lift_constants: bool = False,
    place: tuple[str, int] | None = None,
) -> Traced:
    """Trace `function`, which gets the list of the leaves' tracers, into a module.

    `place` is the user's file and line that it comes from.
    """
    root = trace.Trace(name)
    root.session.place = place
    if lift_constants:
        root.session.lifted = []
    with trace.recording(root):
        parameters = []
        for i, (dims, dtype, weak) in enumerate(signatures):
            shape = ArrayShape(element_type(dtype), tuple(dims))
            label = names[i] if i < len(names) else ""
            parameters.append(number_or_array(root, root.parameter(shape, module_name(label)), weak))
        result = function(parameters)
        leaves, structure = tree.flatten(result)
        outputs = []
        for leaf, path in zip(leaves, tree.paths(result)):
            try:
                outputs.append(trace.lift(leaf))
            except (TraceError, ShapeError):
                raise trace.trace_error(
                    f"{name} returns {leaf!r} of type {type(leaf).__name__}{' at ' + path if path else ''}; a traced "
                    "function "
                    "returns arrays, numbers and containers of them"
                ) from None
        instructions = [root.use(t) for t in outputs]
    module = finish(root, instructions, donated)
    return Traced(
        module, [s[1] for s in signatures], structure, [t.weak_type for t in outputs], root.session.lifted or []
    )


def number_or_array(owner: trace.Trace, parameter: Instruction, weak: bool) -> Tracer:
    """The traced value of a parameter.

    A Python float or complex number, passed as double, counts as the default type.
    """
    value = Tracer(owner, parameter, weak)
    usual = {dtypes.FLOAT64: dtypes.default_float(), dtypes.COMPLEX128: dtypes.default_complex()}.get(value.dtype)
    if not weak or usual is None or usual == value.dtype:
        return value
    narrow = trace.emit(op.convert, value, shape=ArrayShape(element_type(usual)), weak=True)
    narrow.exact = value
    return narrow


class _Stage:
    """What a lowered and a compiled program tell of the traced one.

    Attributes:
      in_structure: how the arguments (args, kwargs) nest, static ones left out; None where it is not known.
    """

    traced: Traced
    in_structure: tree.Structure | None = None

    @property
    def in_tree(self) -> tree.Structure | None:
        """How the arguments nest: a pair of positional ones and those by name."""
        return self.in_structure

    @property
    def out_tree(self) -> tree.Structure:
        """How the results nest."""
        return self.traced.out_structure

    @property
    def out_info(self) -> Any:
        """Shapes and dtypes of the results, nested as they are."""
        return self.traced.out_info

    @property
    def args_info(self) -> Any:
        """Shapes and dtypes of the arguments, nested as they are: (args, kwargs)."""
        shapes = [s for p in self.traced.module.parameter_shapes for s in trace.flat_shapes(p)]
        made = [ShapeDtypeStruct(s.dims, s.dtype) for s in shapes[: len(self.traced.in_dtypes)]]
        return made if self.in_structure is None else tree.unflatten(self.in_structure, made)

    def cost_analysis(self) -> dict[str, float]:
        """Floating point operations and bytes read and written, from the program as it was traced."""
        return cost_analysis(self.traced.module)


class Lowered(_Stage):
    """A traced program that is ready to compile."""

    def __init__(self, traced: Traced) -> None:
        self.traced = traced
        self.module = traced.module

    def as_text(self, dialect: str = "hlo") -> str:
        """The program as HLO or StableHLO text ("hlo" or "stablehlo")."""
        return self.module.to_string(dialect)

    def compiler_ir(self, dialect: str = "hlo") -> Module:
        return self.module

    def compile(self, options: Options | None = None) -> Compiled:
        """Compile the program for this machine."""
        return Compiled(self.traced, options)


class Compiled(Dispatching, _Stage):
    """A compiled program, called with arguments nested and typed as those it was lowered for."""

    def __init__(self, traced: Traced, options: Options | None = None) -> None:
        from xlac.compiler import compile_module

        self.traced = traced
        self.executable = compile_module(traced.module, options or traced.options)
        self._static: Callable[[tuple, dict], list[Any]] | None = None
        self._fixed: Callable[[int | str], bool] | None = None  # which arguments those are
        self._learned = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run on arguments of the shapes and types it was compiled for.

        Raises:
          TraceError: nesting, shapes or types differ.
        """
        if self._static is not None:
            leaves, structure = self._static(args, kwargs)
        else:
            leaves, structure = tree.flatten((args, kwargs))
        if self.in_structure is not None and structure != self.in_structure:
            raise trace.trace_error(
                f"the program was compiled for arguments nested as {self.in_structure}; got {structure}"
            )
        shapes = self.traced.module.parameter_shapes
        arrays = []
        for i, (leaf, dtype) in enumerate(zip(leaves, self.traced.in_dtypes)):
            array = leaf_array(leaf, dtype) if isinstance(leaf, _NUMBERS) else np.asarray(leaf)
            if shape_of(array) != shapes[i]:
                raise trace.trace_error(
                    f"the program was compiled for {shapes[i]} as leaf {i} of the arguments; got {shape_of(array)}"
                )
            arrays.append(array)
        result = tree.unflatten(self.traced.out_structure, self.executable.run([*arrays, *self.traced.lifted]))
        if not self._learned and not self.traced.lifted:
            self._learned = True
            learn(self, self.executable.native, args, kwargs, self.traced.out_structure, self._fixed)
        return result

    def as_text(self, stage: str = "optimized") -> str:
        """The program at a stage: "hlo", "stablehlo", "optimized", "loops", "llvm", "asm"."""
        return self.executable.as_text(stage)

    def runtime_executable(self) -> Any:
        """The `Executable`, which takes and gives flat arrays."""
        return self.executable

    def memory_analysis(self) -> dict[str, int]:
        """Bytes of arguments, results and temporaries."""
        module = self.traced.module
        program = getattr(self.executable, "program", None)
        shapes = [s for p in module.parameter_shapes for s in trace.flat_shapes(p)]
        return {
            "argument_size_in_bytes": sum(s.byte_size for s in shapes),
            "output_size_in_bytes": sum(s.byte_size for s in trace.flat_shapes(module.entry.root.shape)),
            "temp_size_in_bytes": 0 if program is None else program.arena_bytes,
        }


def cost_analysis(module: Module) -> dict[str, float]:
    """{"flops", "transcendentals", "bytes accessed"} of a module.

    Loop bodies count once, as their number of turns is data.
    """
    flops = transcendentals = moved = 0.0
    slow = {"exponential", "exponential-minus-one", "log", "log-plus-one", "logistic", "tanh", "sine", "cosine",
            "tan", "sqrt", "rsqrt", "cbrt", "erf", "power", "atan2"}  # fmt: skip
    for computation in module.computations:
        for instruction in computation:
            name = instruction.opcode.name
            sizes = trace.flat_shapes(instruction.shape)
            count = sum(s.size for s in sizes)
            if name == "dot":
                lhs = instruction.operands[0].shape
                flops += 2.0 * count * math.prod(lhs.dims[d] for d in instruction["lhs_contracting_dims"])
            elif name in slow:
                transcendentals += count
            elif name in ("reduce", "reduce-window", "scatter"):
                flops += sum(s.size for s in trace.flat_shapes(instruction.operands[0].shape))
            elif instruction.opcode.elementwise and name not in ("convert", "copy", "select"):
                flops += count
            if name not in ("parameter", "constant", "tuple", "get-tuple-element"):
                moved += sum(s.byte_size for s in sizes)
                moved += sum(s.byte_size for x in instruction.operands for s in trace.flat_shapes(x.shape))
    return {"flops": flops, "transcendentals": transcendentals, "bytes accessed": moved}


# ---- jit


class Static:
    """Marks a static argument in a signature; equal where the values are equal and of one type."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Static) and type(self.value) is type(other.value) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((type(self.value), self.value))


class _Program:
    """A compiled signature: what a call needs.

    Attributes:
      call: from the arrays of the leaves to the nested results.
      in_dtypes: the dtype of each leaf.
    """

    __slots__ = ("call", "compiled", "in_dtypes")

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self.in_dtypes = compiled.traced.in_dtypes
        self.call = _caller(compiled.executable.run, compiled.traced.out_structure)

    def call_leaves(self, leaves: Sequence[Any]) -> Any:
        """Run on leaves that may be numbers."""
        return self.call([leaf_array(leaf, dtype) for leaf, dtype in zip(leaves, self.in_dtypes)])


def _caller(run: Callable[[Sequence[np.ndarray]], list[np.ndarray]], structure: tree.Structure) -> Callable[..., Any]:
    """`run`, with its results nested as the structure."""
    if structure == tree.LEAF:
        return lambda arrays: run(arrays)[0]
    if structure.kind is tuple and all(c == tree.LEAF for c in structure.children):
        return lambda arrays: tuple(run(arrays))
    build = tree._build
    return lambda arrays: build(structure, iter(run(arrays)))


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
    elif kind in _NUMBERS:
        leaves.append(value)
        key.append(kind)
        if kind is int:
            key.append(dtypes.scalar_dtype(value))
    elif issubclass(kind, np.generic):
        leaves.append(value)
        key.append(kind)
    else:
        raise _Unusual


def _as_tuple(value: Any) -> tuple:
    if value is None:
        return ()
    return (value,) if isinstance(value, (int, str)) else tuple(value)


class _Caches:
    """What a function was compiled for, under one choice of settings: `jit(f)` twice compiles `f` once."""

    def __init__(self) -> None:
        self.fast: dict[Hashable, Callable[[Sequence[np.ndarray]], Any]] = {}
        self.nested: dict[Hashable, _Program] = {}
        self.programs: dict[Hashable, _Program] = {}

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
        self._static_names = frozenset(_as_tuple(static_argnames))
        self._donate_names = frozenset(_as_tuple(donate_argnames))
        self._static_nums = frozenset(_as_tuple(static_argnums))
        self._donate_nums = frozenset(_as_tuple(donate_argnums))
        self._argument_names: list[str] = []
        self._resolve_names()
        self._plain = not self._static_nums and not self._static_names
        settings = (self._static_nums, self._static_names, self._donate_nums, self._donate_names, options)
        compiled = _Caches.of(function, settings)
        self._fast, self._nested, self._programs = compiled.fast, compiled.nested, compiled.programs
        self._cleared = False

    def _resolve_names(self) -> None:
        """Complete numbers by names and names by numbers, as far as the function's signature tells."""
        try:
            parameters = list(inspect.signature(self._function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        self._argument_names = positional
        known = {p.name for p in parameters}
        open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters) or not parameters
        for what, names in (("static_argnames", self._static_names), ("donate_argnames", self._donate_names)):
            for name in names:
                if name not in known and not open_ended:
                    raise ValueError(
                        f"{what}={name!r}: {self._name} has no such argument; it has {', '.join(known) or 'none'}"
                    )
        variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters) or not parameters
        for what, numbers in (("static_argnums", self._static_nums), ("donate_argnums", self._donate_nums)):
            for number in numbers:
                if not variadic and not -len(positional) <= number < len(positional):
                    raise ValueError(f"{what}={number}: {self._name} has {len(positional)} positional arguments")

        def complete(numbers: frozenset, names: frozenset) -> tuple[frozenset, frozenset]:
            count = len(positional)
            numbers = frozenset(n + count if n < 0 else n for n in numbers)
            all_numbers = numbers | {positional.index(n) for n in names if n in positional}
            return all_numbers, names | {positional[n] for n in numbers if n < count}

        self._static_nums, self._static_names = complete(self._static_nums, self._static_names)
        self._donate_nums, self._donate_names = complete(self._donate_nums, self._donate_names)

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

    def _slow_call(self, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, _Program]:
        """A call with anything; gives the result and the program."""
        leaves, structure, static = self._split(args, kwargs)
        signatures = self._signatures(leaves, args, kwargs, structure)
        key = (structure, static, tuple(signatures))
        program = self._programs.get(key)
        if program is None:
            if environment("XLAC_EXPLAIN_CACHE"):
                explain(self._function, self._options, key, self._programs, self._cleared, self._leaf_names)
            traced = self._trace(args, kwargs, leaves, structure, static, signatures)
            program = self._programs[key] = _Program(Compiled(traced, self._options))
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
        positional, named = structure.children
        result: list[int] = []
        count = 0
        donated = [i in self._donate_nums for i in range(len(positional.children))]
        donated += [k in self._donate_names for k in named.data]
        for chosen, child in zip(donated, (*positional.children, *named.children)):
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
        self._fast.clear()
        self._nested.clear()
        self._programs.clear()
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


# ---- shapes without computing


class ShapeDtypeStruct:
    """Shape and dtype of an array, without its values."""

    __slots__ = ("dtype", "shape", "weak_type")

    def __init__(self, shape: Sequence[int], dtype: Any, weak_type: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = dtypes.as_dtype(dtype)
        self.weak_type = weak_type

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtypeStruct) and (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype.name})"


def eval_shape(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The results' shapes and dtypes, nested as the results, without computing anything.

    Arguments are arrays, or anything with `shape` and `dtype`.
    """
    leaves, structure = tree.flatten((args, kwargs))

    def specs(found: list[Tracer], shape: tree.Structure) -> Any:
        return tree.unflatten(shape, [ShapeDtypeStruct(t.shape, t.dtype, t.weak_type) for t in found])

    name = getattr(function, "__name__", "function")

    def run(parameters: list[Tracer]) -> Any:
        positional, named = tree.unflatten(structure, parameters)
        return function(*positional, **named)

    if trace.current() is None:
        traced = trace_program(run, name, [leaf_signature(leaf) for leaf in leaves])
        shapes = [ShapeDtypeStruct(s.dims, s.dtype, w) for s, w in zip(traced.out_shapes, traced.out_weak)]
        return tree.unflatten(traced.out_structure, shapes)
    inner = trace.Trace(name, trace.current())
    with trace.recording(inner):
        parameters = []
        for leaf in leaves:
            dims, dtype, weak = (
                (leaf.shape, leaf.dtype, leaf.weak_type) if isinstance(leaf, Tracer) else leaf_signature(leaf)
            )
            parameter = inner.parameter(ArrayShape(element_type(dtype), tuple(dims)))
            parameters.append(number_or_array(inner, parameter, weak))
        found, shape = tree.flatten(run(parameters))
        return specs([trace.lift(f) for f in found], shape)


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


def run_once(function: Callable[..., Any], name: str, args: Any) -> Any:
    """Trace `function(*args)` for arrays nested in `args`, compile it unless an equal program is at hand, and run it.

    Nothing is remembered by argument types, so the function may read other variables; arrays among those become
    parameters, so that their values do not matter to the compiled program.
    """
    leaves, structure = tree.flatten(args)
    signatures = [leaf_signature(leaf, f"{i} of {name}") for i, leaf in enumerate(leaves)]
    for i, (_, dtype, _) in enumerate(signatures):
        check_dtype(dtype, f"{i} of {name}")

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
