"""Inline `call`, and fusions that the text came with: what is computed together is decided anew here."""

from __future__ import annotations

from collections import Counter

from xlac.ir.module import Computation, Module, inline
from xlac.passes.rewrite import has_control

# A module does not grow by more than this, so that calls of calls of calls cannot fill the memory; the rest stay calls.
# What is called once takes the place of its call, and nothing grows.
MAX_GROWTH = 50_000


def inline_calls(module: Module) -> bool:
    """Replace calls and fusions by copies of what they call; return whether any was replaced.

    Callees come first, so that one visit of each computation suffices.
    """
    changed = False
    left = MAX_GROWTH
    computations = module.computations
    callers = Counter(c for computation in computations for i in computation._instructions for c in i.called)
    for computation in computations:
        inlined, left = _inline_into(computation, left, callers)
        changed |= inlined
    return changed


def _inline_into(computation: Computation, left: int, callers: Counter[Computation]) -> tuple[bool, int]:
    """Inline calls as long as `left` instructions may be added; also returns how many may still be."""
    changed = False
    calls = [i for i in computation._instructions if i.opcode.name in ("call", "fusion")]
    for instruction in calls:
        (callee,) = instruction.called
        grown = len(callee) if callers[callee] > 1 else 0
        if grown > left:
            continue
        before = instruction.control_predecessors
        if before and has_control(callee):
            continue
        left -= grown
        count = len(computation)
        result = inline(callee, computation, instruction.operands)
        if before:
            for new in list(computation._instructions)[count:]:
                new.control_predecessors = (*new.control_predecessors, *before)
        computation.replace(instruction, result)
        instruction.control_predecessors = ()
        computation.remove(instruction)
        changed = True
    return changed, left
