"""The reference evaluator: runs a module with NumPy, one instruction at a time, by the opcode rows. The oracle of all
stages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from xlac.errors import AllocationError, EvaluateError
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.shape import ArrayShape, Shape, TupleShape, shape_of

Value = Any  # an array, or a tuple of values


def evaluate(module: Module, *arguments: Any) -> Value:
    """The module's result for the arguments (arrays, or tuples of them), by NumPy alone.

    Raises:
      EvaluateError: the arguments are not what the entry computation takes.
    """
    parameters = module.entry.parameters
    if len(arguments) != len(parameters):
        raise EvaluateError(f"{module.name} takes {len(parameters)} arguments, got {len(arguments)}")
    values = [_argument(a, p.shape, f"argument {i}") for i, (a, p) in enumerate(zip(arguments, parameters))]
    with refusals(module.name):
        return evaluate_computation(module.entry, *values)


@contextlib.contextmanager
def refusals(name: str) -> Iterator[None]:
    """Say in xlac's own errors that a program needs too much memory, or calls that are nested too deeply."""
    try:
        yield
    except AllocationError:
        raise
    except MemoryError as error:
        raise AllocationError(f"{name}: not enough memory: {error}") from None
    except RecursionError:
        raise EvaluateError(f"{name}: its calls are nested too deeply to evaluate") from None


def _argument(value: Any, shape: Shape, what: str) -> Value:
    if isinstance(shape, TupleShape):
        if not isinstance(value, (tuple, list)) or len(value) != len(shape):
            raise EvaluateError(f"{what} must be a tuple of {len(shape)}, {shape}")
        return tuple(_argument(v, s, f"{what}.{i}") for i, (v, s) in enumerate(zip(value, shape)))
    if not isinstance(shape, ArrayShape):
        return ()
    array = np.asarray(value)
    have = shape_of(array)
    if have != shape:
        raise EvaluateError(f"{what} is {have}; the program takes {shape}")
    return array


def evaluate_instruction(instruction: Instruction, operands: list[Value]) -> Value:
    """The value of one instruction from those of its operands."""
    row = instruction.opcode
    extra: dict[str, Any] = {}
    if row.declared:
        extra["shape"] = instruction.shape
    if row.has_regions:
        extra["call"] = evaluate_computation
    if row.layouts:
        extra["operand_shapes"] = tuple(x.shape for x in instruction.operands)
    value = row.evaluate(*operands, **instruction.attrs, **extra)
    if isinstance(instruction.shape, ArrayShape):
        value = np.asarray(value)
        # Reducers are evaluated on whole arrays at once, so a scalar instruction may hold an array.
        if value.dtype != instruction.shape.dtype:
            raise AssertionError(f"{instruction!r} evaluated to {value.dtype}")
    return value


def evaluate_computation(computation: Computation, *arguments: Value) -> Value:
    """The root's value for the parameters' values."""
    values: dict[Instruction, Value] = {}
    for instruction in computation.post_order():
        if instruction.opcode.name == "parameter":
            values[instruction] = arguments[instruction.attrs["number"]]
        else:
            values[instruction] = evaluate_instruction(instruction, [values[x] for x in instruction.operands])
    return values[computation.root]
