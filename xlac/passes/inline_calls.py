"""Inline `call`, and fusions that the text came with: what is computed together is decided anew here."""

from __future__ import annotations

from xlac.ir.module import Computation, Module, inline
from xlac.passes.rewrite import has_control

# A computation does not grow beyond this by inlining, so that calls of calls of calls cannot fill the memory.
MAX_INSTRUCTIONS = 200_000


def inline_calls(module: Module) -> bool:
    """Replace calls and fusions by copies of what they call; return whether any was replaced.

    Callees come first, so that one visit of each computation suffices.
    """
    changed = False
    for computation in module.computations:
        changed |= _inline_into(computation)
    return changed


def _inline_into(computation: Computation) -> bool:
    changed = False
    calls = [i for i in computation._instructions if i.opcode.name in ("call", "fusion")]
    for instruction in calls:
        (callee,) = instruction.called
        if len(computation) + len(callee) > MAX_INSTRUCTIONS:
            continue
        before = instruction.control_predecessors
        if before and has_control(callee):
            continue
        count = len(computation)
        result = inline(callee, computation, instruction.operands)
        if before:
            for new in list(computation._instructions)[count:]:
                new.control_predecessors = (*new.control_predecessors, *before)
        computation.replace(instruction, result)
        instruction.control_predecessors = ()
        computation.remove(instruction)
        changed = True
    return changed
