"""Executables: what compiling gives, called with arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac import tree
from xlac.array import Array
from xlac.errors import AllocationError, CompileError, EvaluateError, ShapeError
from xlac.ir.evaluate import evaluate_computation, refusals
from xlac.ir.module import Module
from xlac.ir.shape import ArrayShape, Shape, TupleShape, leaves, shape_of
from xlac.options import Options
from xlac.runtime import memory, nonfinite
from xlac.runtime.dispatch import Binding, Dispatching, NativeProgram, Unsupported, available, bind
from xlac.runtime.host import Host

if TYPE_CHECKING:
    from xlac.codegen.link import Library
    from xlac.codegen.target import Target
    from xlac.loop.ir import Program


def flatten(value: Any, shape: Shape, what: str, into: list[np.ndarray]) -> None:
    """Append the arrays of `value`, which must have `shape`, to `into`.

    Raises:
      EvaluateError: nesting, dimensions or element types differ; the message names the argument.
    """
    if isinstance(shape, TupleShape):
        if not isinstance(value, (tuple, list)) or len(value) != len(shape):
            raise EvaluateError(f"{what} must be a tuple of {len(shape)}, {shape}")
        for i, (part, inner) in enumerate(zip(value, shape)):
            flatten(part, inner, f"{what}.{i}", into)
    elif isinstance(shape, ArrayShape):
        try:
            array = np.asarray(value)
        except ValueError as error:  # lists of unequal lengths
            raise EvaluateError(f"{what} is not an array, {error}; the program takes {shape}") from None
        if array.shape != shape.dims or array.dtype != shape.dtype:
            try:
                have = str(shape_of(array))
            except ShapeError:
                have = f"an array of dtype {array.dtype}"
            raise EvaluateError(f"{what} is {have}; the program takes {shape}")
        into.append(array)


def nest(shape: Shape, arrays: Any) -> Any:
    """The next arrays of the iterator `arrays`, nested as `shape` is."""
    if isinstance(shape, TupleShape):
        return tuple(nest(part, arrays) for part in shape)
    return next(arrays) if isinstance(shape, ArrayShape) else ()


class Executable:
    """A compiled program.

    Attributes:
      module: the module as it was given.
      options: the resolved options.
      native: what native calls need; None where there are none.
    """

    native: NativeProgram | None = None

    def __init__(self, module: Module, options: Options) -> None:
        self.module = module
        self.options = options
        self._shapes = module.parameter_shapes
        self._result = module.entry.root.shape

    def __call__(self, *arguments: Any) -> Any:
        """Run the program on arrays (or nested tuples of them, as its parameters are); return its array or tuple.

        Raises:
          EvaluateError: the arguments are not what the program takes.
        """
        if len(arguments) != len(self._shapes):
            raise EvaluateError(f"{self.module.name} takes {len(self._shapes)} arguments, got {len(arguments)}")
        flat: list[np.ndarray] = []
        for i, (argument, shape) in enumerate(zip(arguments, self._shapes)):
            flatten(argument, shape, f"argument {i}", flat)
        return nest(self._result, iter(self.run(flat)))

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run on the leaves of the parameters, of the right shapes and types; return the leaves of the result."""
        raise NotImplementedError

    def as_text(self, stage: str = "hlo") -> str:
        """The program as it is at a stage: "hlo", "stablehlo", "optimized" (hlo after the passes), "loops", "llvm",
        "asm"."""
        raise NotImplementedError


class EvaluatorExecutable(Executable):
    """A program run by the reference evaluator."""

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        flat = iter(arrays)
        values = [nest(shape, flat) for shape in self._shapes]
        with refusals(self.module.name):
            result = evaluate_computation(self.module.entry, *values)
        into: list[np.ndarray] = []
        flatten(result, self._result, "result", into)
        if self.options.check_nan:
            nonfinite.check(self.module, values, into)
        return [np.array(a).view(Array) for a in into]

    def as_text(self, stage: str = "hlo") -> str:
        return self.module.to_string("stablehlo" if stage == "stablehlo" else "hlo")


class NativeExecutable(Dispatching, Executable):
    """A program compiled to native code.

    Attributes:
      optimized: the module after the passes.
      program: the loop program.
      target: the processor it was compiled for.
      object_code: the relocatable object file.
    """

    def __init__(
        self,
        module: Module,
        options: Options,
        optimized: Module,
        program: Program,
        llvm: str,
        target: Target,
        object_code: bytes,
        library: Library | None,
    ) -> None:
        super().__init__(module, options)
        self.optimized, self.program, self.target, self.object_code = optimized, program, target, object_code
        self._llvm, self._library = llvm, library
        self._parameter_table = ctypes.c_void_p * max(1, len(program.parameters))
        result_shapes = _arrays([self._result])
        self._allocate = [memory.allocator(s.dims, s.dtype) for s in result_shapes]
        self._aliases = dict(program.aliases)
        given = _arrays(self._shapes)
        # Results that are another view of their parameter's memory.
        self._recast = {i: result_shapes[i] for i, j in self._aliases.items() if result_shapes[i] != given[j]}
        self._result_table = ctypes.c_void_p * max(1, len(program.results))
        try:
            self._constants = [np.ascontiguousarray(c.literal) for c in program.constants]
        except MemoryError as error:
            raise CompileError(f"{module.name}: not enough memory for its constants: {error}") from None
        own = (s.byte_size for i, s in enumerate(result_shapes) if i not in self._aliases)
        self._memory_bytes = program.arena_bytes + sum(own)
        self._host = Host(program.host_calls) if program.host_calls else None
        addresses = [c.ctypes.data for c in self._constants]
        if self._host is not None:
            addresses += self._host.addresses
        self._constant_table = (ctypes.c_void_p * max(1, len(addresses)))(*addresses)
        self._arenas: list[Any] = []
        if library is not None:
            from xlac.codegen.program import ENTRY

            self._entry = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(library.address(ENTRY))
        # The program writes into what aliases a result, and may use what is donated as scratch memory.
        self._written = sorted({*module.donated, *self._aliases.values()})
        self._flat = _Flat(self)
        plain = self._host is None and not self._recast and not options.check_nan
        if library is not None and plain and available() and self._fits():
            self.native = self._native_program(library)
            self._bind(self.native)

    def _fits(self) -> bool:
        """Whether this machine has the memory that a run takes for results and temporaries."""
        have = memory.physical_bytes()
        return not have or self._memory_bytes <= have

    def _native_program(self, library: Library) -> NativeProgram:
        from xlac.codegen.program import ENTRY
        from xlac.loop.ir import While

        program = self.program

        return NativeProgram(
            entry=library.address(ENTRY),
            constants=ctypes.addressof(self._constant_table),
            arena_bytes=program.arena_bytes,
            parameters=[(s.dims, s.dtype) for s in _arrays(self._shapes)],
            results=[(s.dims, s.dtype) for s in _arrays([self._result])],
            aliases=self._aliases,
            donated=self._written,
            steps=len(program.steps),
            long=any(isinstance(step, While) for step in program.steps),
            keep=(library, self._constants, self._constant_table),
        )

    def _bind(self, native: NativeProgram) -> None:
        """Make calls with arrays of the right types native: those of this object, and those of `run`."""
        flat = Binding(native)
        flat.begin(len(native.parameters))
        for _ in native.parameters:
            flat.array()
        flat.flat_result()
        bind(self._flat, flat)
        nested = Binding(native)
        nested.begin(len(self._shapes))
        try:
            for shape in self._shapes:
                _bind_parameter(nested, shape)
        except Unsupported:
            return
        if nested.result(_structure(self._result)):
            bind(self, nested)

    @property
    def kernel_count(self) -> int:
        """How many kernels the program has."""
        from xlac.loop.printer import kernel_count

        return kernel_count(self.program.steps)

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self._flat(*arrays)

    def _run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`run` in Python, for all that is not native: it brings arrays into the form that the program needs."""
        if self._library is None:
            raise CompileError(f"this program was compiled for {self.target.triple}, which is not this machine")
        inputs = list(arrays)
        if len(inputs) != len(self.program.parameters):
            raise EvaluateError(f"{self.module.name} takes {len(self.program.parameters)} arrays, got {len(inputs)}")
        if not self._fits():
            raise AllocationError(
                f"{self.module.name}: not enough memory: its results and temporaries need "
                f"{self._memory_bytes / 2**30:.1f} GiB; this machine has {memory.physical_bytes() / 2**30:.1f} GiB"
            )
        if self.native is not None and self.native.is_busy():
            self.native.add_arena()
        for i, array in enumerate(inputs):
            flags = array.flags
            if not (flags.c_contiguous and flags.aligned):
                inputs[i] = np.array(array, order="C")
        if self._written:
            shared = _overlapping(inputs)
            for i in self._written:
                if i in shared or not inputs[i].flags.writeable:
                    inputs[i] = np.array(inputs[i])
        results = [
            inputs[self._aliases[i]] if i in self._aliases else allocate() for i, allocate in enumerate(self._allocate)
        ]
        given: list[np.ndarray] = []
        if self.options.check_nan:
            given = [np.array(a) if i in self._written else a for i, a in enumerate(inputs)]
        try:
            arena = self._arenas.pop()
        except IndexError:
            arena = memory.aligned_bytes(max(64, self.program.arena_bytes))
        self._entry(
            self._parameter_table(*[a.ctypes.data for a in inputs]),
            self._result_table(*[a.ctypes.data for a in results]),
            self._constant_table,
            arena.ctypes.data,
        )
        if self.native is None:
            self._arenas.append(arena)
        if self._host is not None:
            self._host.raise_error()
        for i, shape in self._recast.items():
            results[i] = results[i].reshape(-1).view(np.uint8).view(shape.dtype).reshape(shape.dims)
        if self.options.check_nan:
            flat = iter(given)
            nonfinite.check(self.module, [nest(shape, flat) for shape in self._shapes], results)
        return results

    def as_text(self, stage: str = "hlo") -> str:
        from xlac.codegen import link
        from xlac.loop.printer import print_program

        if stage == "hlo":
            return self.module.to_string()
        if stage == "stablehlo":
            return self.module.to_string("stablehlo")
        if stage == "optimized":
            return self.optimized.to_string()
        if stage == "loops":
            return print_program(self.program)
        if stage == "llvm":
            return self._llvm
        if stage == "asm":
            return link.assembly(self._llvm, self.target)
        raise ValueError(f"stage is {stage!r}; the stages are hlo, stablehlo, optimized, loops, llvm, asm")


class _Flat(Dispatching):
    """`NativeExecutable.run` with the arrays as arguments, which can be called natively."""

    def __init__(self, executable: NativeExecutable) -> None:
        self._executable = executable

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        return self._executable._run(arrays)


def _arrays(shapes: Iterable[Shape]) -> list[ArrayShape]:
    return [s for shape in shapes for s in leaves(shape) if isinstance(s, ArrayShape)]


def _overlapping(arrays: Sequence[np.ndarray]) -> set[int]:
    """The numbers of contiguous arrays whose memory overlaps that of another."""
    spans = sorted((a.ctypes.data, i, a.nbytes) for i, a in enumerate(arrays) if a.nbytes)
    found: set[int] = set()
    furthest, end = -1, 0  # the array that reaches furthest so far
    for start, i, nbytes in spans:
        if start < end:
            found |= {i, furthest}
        if start + nbytes > end:
            furthest, end = i, start + nbytes
    return found


def _bind_parameter(binding: Binding, shape: Shape) -> None:
    if isinstance(shape, ArrayShape):
        binding.array()
    elif isinstance(shape, TupleShape):
        binding.tuple(len(shape))
        for part in shape:
            _bind_parameter(binding, part)
    else:
        raise Unsupported


def _structure(shape: Shape) -> tree.Structure:
    """How `nest` nests a result."""
    if isinstance(shape, ArrayShape):
        return tree.LEAF
    return tree.Structure(tuple, None, tuple(map(_structure, shape)) if isinstance(shape, TupleShape) else ())
