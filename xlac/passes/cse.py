"""Merge instructions that compute the same value, and computations that are the same program.

Two shapes that differ only in layout count as equal, unless a `bitcast`, whose meaning is in the layouts, is still
there.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np

from xlac.ir.match import COMMUTATIVE
from xlac.ir.module import Computation, Instruction, Module, is_pure
from xlac.ir.opcode import Kind
from xlac.ir.shape import leaves
from xlac.passes.rewrite import set_called

# Of a larger literal only the beginning is part of its key; equal keys are then compared in full.
KEY_BYTES = 256


def cse(module: Module) -> bool:
    """Redirect each later twin to its first equal and drop it; return whether any was dropped."""
    changed = False
    first_of: dict[Computation, Computation] = {}
    known: dict[Hashable, Computation] = {}
    pure: dict[Computation, bool] = {}
    for computation in module.computations:
        for instruction in computation._instructions:
            if instruction.opcode.has_regions:
                for callee in instruction.called:
                    if first_of.get(callee, callee) is not callee:
                        set_called(instruction, callee, first_of[callee])
                        changed = True
        changed |= _merge_instructions(computation, pure)
        if computation is not module.entry and len(computation) <= 16:
            first_of[computation] = known.setdefault(_computation_key(computation), computation)
    return changed


def _merge_instructions(computation: Computation, pure: dict[Computation, bool]) -> bool:
    layouts = any(i.opcode.layouts for i in computation._instructions)
    ordered = computation.has_control
    seen: dict[Hashable, Instruction] = {}
    literals: dict[Hashable, list[Instruction]] = {}
    merged: dict[Instruction, Instruction] = {}
    for instruction in computation.post_order():
        # Operands come first, so one look at each instruction leaves all reading what twins were merged into.
        if not merged.keys().isdisjoint(instruction.operands):
            for operand in instruction.operands:
                operand.users.pop(instruction, None)
            instruction.operands = tuple(merged.get(x, x) for x in instruction.operands)
            for operand in instruction.operands:
                operand.users[instruction] = None
        name = instruction.opcode.name
        if name == "parameter" or instruction.control_predecessors or not is_pure(instruction, pure):
            continue
        if name == "constant":
            first = _first_equal(literals, instruction, layouts)
        else:
            first = seen.setdefault(_key(instruction, instruction.operands, layouts), instruction)
        if first is not instruction:
            merged[instruction] = first
    for instruction, first in merged.items():
        computation.replace(instruction, first)
        if not ordered:
            computation.remove(instruction)
    return bool(merged)


def _key(instruction: Instruction, operands: tuple[Any, ...], layouts: bool) -> Hashable:
    """What decides an instruction's value: opcode, shape, operands, attributes."""
    row = instruction.opcode
    if row.name in COMMUTATIVE:
        operands = tuple(sorted(operands, key=id))
    attrs = tuple(instruction.attrs.values())
    return (row, instruction.shape, operands, attrs, _layout_key(instruction) if layouts else None)


def _layout_key(instruction: Instruction) -> Hashable:
    return tuple(getattr(leaf, "minor_to_major", None) for leaf in leaves(instruction.shape))


def _first_equal(literals: dict[Hashable, list[Instruction]], constant: Instruction, layouts: bool) -> Instruction:
    literal = constant["literal"]
    beginning = np.ascontiguousarray(literal.reshape(-1)[: KEY_BYTES // literal.dtype.itemsize]).tobytes()
    key = (constant.shape, beginning, _layout_key(constant) if layouts else None)
    candidates = literals.setdefault(key, [])
    for other in candidates:
        if (
            literal.nbytes <= KEY_BYTES
            or literal is other["literal"]
            or literal.tobytes() == other["literal"].tobytes()
        ):
            return other
    candidates.append(constant)
    return constant


def _computation_key(computation: Computation) -> Hashable:
    """Equal for computations that are the same but for names; callees are compared by identity, as they are merged
    before."""
    numbers: dict[Instruction, int] = {}
    rows: list[Hashable] = []
    for instruction in computation.post_order():
        attrs: list[Hashable] = []
        for name, attr in instruction.opcode.attrs.items():
            value = instruction.attrs[name]
            attrs.append((value.dtype, value.tobytes()) if attr.kind is Kind.LITERAL else value)
        if not instruction.opcode.pure or instruction.control_predecessors:
            return computation
        numbers[instruction] = len(rows)
        operands = tuple(numbers[x] for x in instruction.operands)
        rows.append((instruction.opcode, instruction.shape, _layout_key(instruction), operands, tuple(attrs)))
    return (tuple(rows), numbers[computation.root])
