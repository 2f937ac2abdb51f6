"""Rewriting by rules: a worklist that visits each instruction, and again only what a rewrite may have touched."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice

from xlac.ir.match import Rule
from xlac.ir.module import Computation, Instruction, Module, is_pure
from xlac.ir.opcode import Kind, Opcode

RuleIndex = dict[Opcode, list[Rule]]


def index_rules(rules: Iterable[Rule], *, inexact: bool = False) -> RuleIndex:
    """The rules by the opcodes their roots may have; those that are not exact only if asked for."""
    index: RuleIndex = {}
    for one in rules:
        if one.exact or inexact:
            for row in one.pattern.rows:
                index.setdefault(row, []).append(one)
    return index


def sort_instructions(computation: Computation) -> None:
    """Make the order of addition one in which operands come first, so that listing the computation again is the
    same."""
    computation._instructions = dict.fromkeys(computation.post_order())


def rewrite(computation: Computation, rules: RuleIndex, pure: dict[Computation, bool] | None = None) -> bool:
    """Apply rules until none fits; return whether any did. Instructions that become unused are removed on the way.

    The number of rewrites is capped in proportion to the computation, so that rules which undo each other end. `pure`
    is what `is_pure` knows of the computations called.
    """
    pure = {} if pure is None else pure
    queue = deque(computation.post_order())
    waiting = set(queue)
    ordered = computation.has_control
    budget = 20 * len(queue) + 1000
    changed = False

    def enqueue(instructions: Iterable[Instruction]) -> None:
        for instruction in instructions:
            if instruction not in waiting:
                waiting.add(instruction)
                queue.append(instruction)

    while queue and budget:
        instruction = queue.popleft()
        waiting.discard(instruction)
        if instruction.parent is not computation:
            continue
        if (
            not instruction.users
            and instruction is not computation.root
            and _removable(instruction, pure)
            and not ordered
        ):
            computation.remove(instruction)
            enqueue(instruction.operands)
            changed = True
            continue
        row = instruction.opcode
        found = rules.get(row)
        if (
            not found
            or instruction.control_predecessors
            or not row.pure
            or (row.has_regions and not is_pure(instruction, pure))
        ):
            continue
        size = len(computation._instructions)
        for one in found:
            new = one.apply(instruction)
            if new is None:
                continue
            if new is instruction or new.shape != instruction.shape:
                raise AssertionError(f"rule {one.name} turned {instruction!r} into {new!r}")
            one.matches += 1
            budget -= 1
            changed = True
            if new.metadata is None and new.parent is None:
                new.metadata = instruction.metadata
            computation.replace(instruction, new)
            enqueue(reversed(list(islice(reversed(computation._instructions), len(computation) - size))))
            enqueue((new, *new.users, instruction))
            break
    return changed


def _removable(instruction: Instruction, pure: dict[Computation, bool]) -> bool:
    return instruction.opcode.name != "parameter" and is_pure(instruction, pure)


# ---- which computations are what


def control_computations(module: Module) -> list[Computation]:
    """The computations whose instructions run one after the other on whole arrays, callees before callers.

    They are the entry, and bodies, conditions, branches and callees; not reducers, comparators and fused computations.
    """
    wanted: dict[Computation, None] = {module.entry: None}
    stack = [module.entry]
    while stack:
        for instruction in stack.pop()._instructions:
            if instruction.opcode.name in ("while", "conditional", "call"):
                for callee in instruction.called:
                    if callee not in wanted:
                        wanted[callee] = None
                        stack.append(callee)
    return [c for c in module.computations if c in wanted]


def set_called(instruction: Instruction, old: Computation, new: Computation) -> None:
    """Make an instruction call `new` wherever it called `old`."""
    for name, attr in instruction.opcode.attrs.items():
        value = instruction.attrs.get(name)
        if attr.kind is Kind.COMPUTATION and value is old:
            instruction.attrs[name] = new
        elif attr.kind is Kind.COMPUTATIONS and old in value:
            instruction.attrs[name] = tuple(new if c is old else c for c in value)


class Names:
    """Names for new computations of a module, distinct from those in use."""

    def __init__(self, module: Module) -> None:
        self._used = {c.name for c in module.computations}
        self._counts: dict[str, int] = {}

    def fresh(self, base: str) -> str:
        """`base`, or `base.N` if that is taken."""
        name = base
        while name in self._used:
            self._counts[base] = self._counts.get(base, 0) + 1
            name = f"{base}.{self._counts[base]}"
        self._used.add(name)
        return name
