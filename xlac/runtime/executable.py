"""Executables: what compiling gives, called with arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac.errors import EvaluateError
from xlac.ir.evaluate import evaluate_computation
from xlac.ir.module import Module
from xlac.ir.shape import ArrayShape, Shape, TupleShape, leaves, shape_of
from xlac.options import Options


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
        array = np.asarray(value)
        if array.shape != shape.dims or array.dtype != shape.dtype:
            raise EvaluateError(f"{what} is {shape_of(array)}; the program takes {shape}")
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
    """

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
        """The program as it is at a stage: "hlo", "stablehlo", "optimized" (hlo after the passes), "loops", "llvm", "asm"."""
        raise NotImplementedError


class EvaluatorExecutable(Executable):
    """A program run by the reference evaluator."""

    def run(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        flat = iter(arrays)
        values = [nest(shape, flat) for shape in self._shapes]
        result = evaluate_computation(self.module.entry, *values)
        into: list[np.ndarray] = []
        flatten(result, self._result, "result", into)
        return [np.array(a) for a in into]

    def as_text(self, stage: str = "hlo") -> str:
        return self.module.to_string("stablehlo" if stage == "stablehlo" else "hlo")
