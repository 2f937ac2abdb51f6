"""The stages of a program: a Python function is traced to a module, which is lowered, and then compiled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.errors import ShapeError, TraceError
from xlac.frontend import dtypes, trace
from xlac.frontend.finish import finish, module_name
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type, shape_of
from xlac.options import Options
from xlac.runtime.dispatch import Dispatching, learn

NUMBERS = (bool, int, float, complex)

# Python numbers are passed in full precision; where they meet no array they count as the default types.
PASSED_AS = {float: dtypes.FLOAT64, complex: dtypes.COMPLEX128}

# In place of `weak`: weak, and where it meets no array of its own type.
KEEPS_TYPE = 2


# ---- leaves of arguments


def leaf_signature(value: Any, path: str = "") -> tuple[tuple[int, ...], np.dtype, bool]:
    """(dims, dtype, weak) of an argument: an array, a Python number, or anything with shape and dtype.

    Raises:
      TraceError: it is none of these.
    """
    if isinstance(value, np.ndarray):
        dtype = value.dtype.newbyteorder("=")
        return value.shape, dtypes.taken(dtype) if type(value) is np.ndarray else dtype, False
    if isinstance(value, NUMBERS) and not isinstance(value, np.generic):
        return (), PASSED_AS.get(type(value)) or dtypes.type_of(value)[0], not isinstance(value, bool)
    if isinstance(value, dtypes.WEAK_SCALARS):
        return (), dtypes.taken(value.dtype), KEEPS_TYPE
    if isinstance(value, Tracer):
        raise trace.leaked(value)
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = np.dtype(value.dtype).newbyteorder("=")
        if isinstance(value, np.generic):
            dtype = dtypes.taken(dtype)
        return tuple(value.shape), dtype, bool(getattr(value, "weak_type", False))
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        return array.shape, array.dtype, False
    raise trace.trace_error(
        f"argument {path} is {value!r} of type {type(value).__name__}, which is no array; name it in static_argnums or "
        "static_argnames if it is a setting, or give its class to tree_util.register_dataclass (register_pytree_node) "
        "if it contains arrays"
    )


def leaf_array(value: Any, dtype: np.dtype) -> np.ndarray:
    """An argument's leaf as the array that is passed to the program."""
    if isinstance(value, np.ndarray) and value.dtype == dtype and value.dtype.isnative:
        return value
    if isinstance(value, NUMBERS) and not isinstance(value, np.generic):
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
        made = [ShapeDtypeStruct(s.dims, s.dtype, weak_type=w) for s, w in zip(self.out_shapes, self.out_weak)]
        return tree.unflatten(self.out_structure, made)

    @property
    def in_avals(self) -> list[ShapeDtypeStruct]:
        """Shapes and dtypes of the leaves of the arguments."""
        shapes = [s for p in self.module.parameter_shapes for s in trace.flat_shapes(p)]
        return [ShapeDtypeStruct(s.dims, s.dtype) for s in shapes[: len(self.in_dtypes)]]

    @property
    def out_avals(self) -> list[ShapeDtypeStruct]:
        """Shapes and dtypes of the leaves of the results."""
        return tree.leaves(self.out_info)

    @property
    def out_tree(self) -> tree.Structure:
        """How the results nest."""
        return self.out_structure

    @property
    def jaxpr(self) -> Any:
        """The program as `xlac.make_jaxpr` gives it."""
        from xlac.core import ClosedJaxpr

        return ClosedJaxpr(self.module, self.lifted)

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
    root.session.place, root.session.argument_names = place, names
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
    value = Tracer(owner, parameter, bool(weak))
    usual = {dtypes.FLOAT64: dtypes.default_float(), dtypes.COMPLEX128: dtypes.default_complex()}.get(value.dtype)
    if not weak or weak == KEEPS_TYPE or usual is None or usual == value.dtype:
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
    def in_avals(self) -> list[ShapeDtypeStruct]:
        """Shapes and dtypes of the leaves of the arguments."""
        return self.traced.in_avals

    @property
    def donate_argnums(self) -> tuple[int, ...]:
        """The numbers of the leaves whose memory the results may take over."""
        return tuple(self.traced.module.donated)

    @property
    def args_info(self) -> Any:
        """Shapes and dtypes of the arguments, nested as they are: (args, kwargs)."""
        made = self.in_avals
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
            array = leaf_array(leaf, dtype) if isinstance(leaf, NUMBERS) else np.asarray(leaf)
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


class Program:
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
    if structure.kind is tuple and all(c == tree.LEAF for c in structure.parts):
        return lambda arrays: tuple(run(arrays))
    build = tree._build
    return lambda arrays: build(structure, iter(run(arrays)))


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


# ---- shapes without computing


class ShapeDtypeStruct:
    """Shape and dtype of an array, without its values."""

    __slots__ = ("dtype", "shape", "sharding", "weak_type")

    def __init__(self, shape: Sequence[int], dtype: Any, *, sharding: Any = None, weak_type: bool = False) -> None:
        self.shape = tuple(shape)
        self.dtype = dtypes.as_dtype(dtype)
        self.sharding = sharding
        self.weak_type = weak_type

    def update(self, **changes: Any) -> ShapeDtypeStruct:
        """The same with other attributes."""
        return ShapeDtypeStruct(**{**{name: getattr(self, name) for name in self.__slots__}, **changes})

    def str_short(self, short_dtypes: bool = False) -> str:
        """As "float32[2,3]", or "f32[2,3]"."""
        shape = ArrayShape(element_type(self.dtype), self.shape)
        return str(shape) if short_dtypes else f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

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
        return tree.unflatten(shape, [ShapeDtypeStruct(t.shape, t.dtype, weak_type=t.weak_type) for t in found])

    name = getattr(function, "__name__", "function")

    def run(parameters: list[Tracer]) -> Any:
        positional, named = tree.unflatten(structure, parameters)
        return function(*positional, **named)

    if trace.current() is None:
        traced = trace_program(run, name, [leaf_signature(leaf) for leaf in leaves])
        shapes = [ShapeDtypeStruct(s.dims, s.dtype, weak_type=w) for s, w in zip(traced.out_shapes, traced.out_weak)]
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
