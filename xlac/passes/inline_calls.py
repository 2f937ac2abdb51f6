"""Inline `call`, and fusions that the text came with: what is computed together is decided anew here."""

from __future__ import annotations

from collections import deque
from itertools import islice

from xlac.ir.module import Computation, Instruction, Module, inline

# A module does not grow by more than this, so that calls of calls of calls cannot fill the memory; the rest stay calls.
MAX_GROWTH = 50_000


def inline_calls(module: Module) -> bool:
    """Replace calls and fusions by copies of what they call; return whether any was replaced.

    Callers come first, so that what is inlined is copied once for each place it ends up in.
    """
    inliner = _Inliner()
    waiting = [module.entry]
    seen = set(waiting)
    while waiting:
        computation = waiting.pop()
        inliner.run(computation)
        for instruction in computation._instructions:
            for callee in instruction.called:
                if callee not in seen:
                    seen.add(callee)
                    waiting.append(callee)
    return inliner.changed


class _Inliner:
    """What is left to grow, and which computations have been inlined somewhere: only further copies are growth."""

    def __init__(self) -> None:
        self.left = MAX_GROWTH
        self.copied: set[Computation] = set()
        self.changed = False

    def run(self, computation: Computation) -> None:
        calls = deque(i for i in computation._instructions if _is_call(i))
        while calls:
            instruction = calls.popleft()
            (callee,) = instruction.called
            grown = len(callee) if callee in self.copied else 0
            before = instruction.control_predecessors
            if grown > self.left or (before and callee.has_control):
                continue
            self.left -= grown
            self.copied.add(callee)
            count = len(computation)
            result = inline(callee, computation, instruction.operands)
            new = list(islice(reversed(computation._instructions), len(computation) - count))
            for copy in reversed(new):
                if before:
                    copy.control_predecessors = (*copy.control_predecessors, *before)
                if _is_call(copy):
                    calls.append(copy)
            computation.replace(instruction, result)
            instruction.control_predecessors = ()
            computation.remove(instruction)
            self.changed = True


def _is_call(instruction: Instruction) -> bool:
    return instruction.opcode.name in ("call", "fusion")
