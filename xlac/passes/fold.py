"""Compute instructions of constants at compile time, by the reference evaluator, within bounds of size and work."""

from __future__ import annotations

import math

import numpy as np

from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Computation, Instruction, Module, is_pure
from xlac.ir.opcode import op
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape

# A folded constant is at most this large, unless it is no larger than the constants it replaces.
MAX_BYTES = 4096
# The largest number of element operations spent on one instruction; a reducer that is not a NumPy function costs far
# more.
MAX_WORK = 1 << 20
MAX_CALLS = 1 << 10

# What an element of an opcode of unknown cost (a convolution, a sort) is taken to cost.
COST_OF_OTHERS = 256

_LINEAR = frozenset(
    ("reshape", "transpose", "slice", "concatenate", "pad", "reverse", "reduce", "dynamic-slice", "bitcast-convert")
)
# Generators stay as they are: they cost less than reading what they would make.
_GENERATORS = frozenset({"broadcast", "iota"})
_REGIONS = frozenset({"reduce"})


def fold(module: Module) -> bool:
    """Replace instructions whose operands are constants by their values; return whether any was."""
    changed = False
    pure: dict[Computation, bool] = {}
    for computation in module.computations:
        changed |= _fold_computation(computation, pure)
    return changed


def _fold_computation(computation: Computation, pure: dict[Computation, bool]) -> bool:
    if computation.has_control:
        return False
    changed = False
    for instruction in computation.post_order():
        if not (instruction.operands and _is_foldable(instruction, pure)):
            continue
        values = [_value(x) for x in instruction.operands]
        result = np.ascontiguousarray(evaluate_instruction(instruction, values)).reshape(instruction.dims)
        new = op.constant.make(shape=ArrayShape(instruction.shape.element_type, instruction.dims), literal=result)  # type: ignore[union-attr]
        new.metadata = instruction.metadata
        computation.replace(instruction, new)
        changed = True
    if changed:
        computation.remove_dead(pure)
    return changed


def _is_foldable(instruction: Instruction, pure: dict[Computation, bool]) -> bool:
    shape, row = instruction.shape, instruction.opcode
    if not isinstance(shape, ArrayShape) or not is_pure(instruction, pure):
        return False
    if row.has_regions and row.name not in _REGIONS:
        return False
    if row.name in _GENERATORS:
        return False
    stored, largest, whole = 0, shape.size, shape.size <= 1
    for x in instruction.operands:
        if not isinstance(x.shape, ArrayShape):
            return False
        if x.opcode.name == "constant":
            stored += x.shape.byte_size
            whole |= x.shape.size > 1
        elif not (x.opcode.name in _GENERATORS and all(y.opcode.name == "constant" for y in x.operands)):
            return False
        largest = max(largest, x.shape.size)
    if not whole or shape.byte_size > max(MAX_BYTES, stored):
        return False
    return _work(instruction, largest) <= MAX_WORK


def _work(instruction: Instruction, largest: int) -> int:
    if instruction.opcode.name == "dot":
        return (
            instruction.shape.size
            * math.prod(  # type: ignore[union-attr]
                instruction.operands[0].dims[d] for d in instruction["lhs_contracting_dims"]
            )
            + largest
        )
    if instruction.opcode.name == "reduce" and monoid(instruction["to_apply"]) is None and largest > MAX_CALLS:
        return MAX_WORK + 1
    if not (instruction.opcode.elementwise or instruction.opcode.name in _LINEAR):
        return largest * COST_OF_OTHERS
    return largest


def _value(instruction: Instruction) -> np.ndarray:
    """The value of a constant, or of a generator over constants."""
    return evaluate_instruction(instruction, [_value(x) for x in instruction.operands])
