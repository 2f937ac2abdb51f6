"""What depends on what: flags spread from some instructions of a graph to others.

The flag of an array is a bool, that of a tuple a list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xlac.frontend import trace
from xlac.ir.module import Instruction, operands_first
from xlac.ir.shape import TOKEN, TupleShape


def union(x: Any, y: Any) -> Any:
    """Where either is set."""
    if isinstance(x, list):
        return [union(a, b) for a, b in zip(x, y)]
    return x or y


def any_of(flag: Any) -> bool:
    """Whether a flag, or any element's, is set."""
    return any(any_of(f) for f in flag) if isinstance(flag, list) else flag


def filled(instruction: Instruction, flag: bool) -> Any:
    """The flag for an instruction all of whose elements are alike."""
    shape = instruction.shape
    return [flag] * len(shape) if isinstance(shape, TupleShape) else flag


def spread(
    outputs: Sequence[Instruction], seeds: Mapping[Instruction, Any], counts: Callable[[Instruction], bool]
) -> list[Any]:
    """The outputs' flags from those of the seeds; only instructions that count can have one.

    Loops are followed until nothing changes. A choice that depends on flagged data flags all its results.
    """
    session = trace.active().session
    known: dict[Instruction, Any] = dict(seeds)
    wanted = [session.resolve(o) for o in outputs]
    for top in operands_first(wanted, known, session.operands):
        known[top] = _flag(top, [known[x] for x in session.operands(top)], counts)
    return [known[o] for o in wanted]


def _flag(instruction: Instruction, given: list[Any], counts: Callable[[Instruction], bool]) -> Any:
    name = instruction.opcode.name
    if name == "tuple":
        return list(given)
    if name == "get-tuple-element":
        return given[0][instruction["index"]] and counts(instruction)
    if not any(any_of(g) for g in given):
        return filled(instruction, False)
    if name == "while":
        return while_flags(instruction, given[0], counts)[0]
    if name == "conditional" and not given[0]:
        found = [
            spread([b.root], {b.parameters[0]: g}, counts)[0]
            for b, g in zip(instruction["branch_computations"], given[1:])
        ]
        total = found[0]
        for other in found[1:]:
            total = union(total, other)
        return total
    if name == "call" and instruction not in trace.active().session.notes:
        callee = instruction["to_apply"]
        return spread([callee.root], dict(zip(callee.parameters, given)), counts)[0]
    if name == "opt-barrier":
        return given[0]
    if instruction.shape == TOKEN:
        return False
    if isinstance(instruction.shape, TupleShape):
        return [counts(instruction) and shape != TOKEN for shape in instruction.shape]
    return filled(instruction, counts(instruction))


def while_flags(
    instruction: Instruction, given: list[bool], counts: Callable[[Instruction], bool]
) -> tuple[list[bool], bool]:
    """The flags of a loop's state, and of its condition; a flagged condition flags all that the loop changes."""
    body, condition = instruction["body"], instruction["condition"]
    flags = list(given)
    while True:
        (found,) = spread([body.root], {body.parameters[0]: flags}, counts)
        (test,) = spread([condition.root], {condition.parameters[0]: flags}, counts)
        wider = union(flags, found)
        if test:
            same = [kept or shape == TOKEN for kept, shape in zip(unchanged(body), instruction.shape)]
            wider = [w or not kept for w, kept in zip(wider, same)]
        if wider == flags:
            return flags, test
        flags = wider


def unchanged(body: Any) -> list[bool]:
    """Which elements of its state a loop body hands on as they are."""
    root = body.root
    if root.opcode.name != "tuple":
        return [False] * len(root.shape)
    return [
        x.opcode.name == "get-tuple-element" and x.operands[0] is body.parameters[0] and x["index"] == j
        for j, x in enumerate(root.operands)
    ]
