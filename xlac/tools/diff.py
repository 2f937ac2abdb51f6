"""Whether two modules are the same program but for names, the order of instructions, layouts and metadata."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xlac.ir.module import Computation, Instruction, Module, is_pure
from xlac.ir.opcode import Kind
from xlac.text.hlo_printer import print_instruction


@dataclass(frozen=True)
class Difference:
    """The first place where two programs part: what differs, and the line of each (empty where one has none)."""

    why: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.why}\n< {self.left}\n> {self.right}"


def diff(a: Module, b: Module) -> Difference | None:
    """None if `a` and `b` are the same program, else their first difference in the order in which `a` is computed.

    Graphs are followed from the roots, so instructions are told apart by what they compute and where that goes, not by
    name or place. An instruction that one program shares and the other has twice is a difference; a computation that
    one program shares is none.
    """
    walk = _Walk()
    walk.call(a.entry, b.entry, None)
    while walk.calls:
        walk.computation(*walk.calls.pop())
    if sorted(a.donated) != sorted(b.donated):
        walk.found.append((None, Difference(f"donated parameters: {a.donated} against {b.donated}", "", "")))
    if not walk.found:
        return None
    place = {x: i for i, x in enumerate(x for c in a.computations for x in c.post_order())}
    return min(walk.found, key=lambda item: place.get(item[0], len(place)))[1]  # type: ignore[arg-type]


Pair = tuple[Instruction, Instruction]


class _Walk:
    """The differences found so far, and the pairs of computations met and still to be walked."""

    def __init__(self) -> None:
        self.found: list[tuple[Instruction | None, Difference]] = []
        self.met: set[tuple[Computation, Computation]] = set()
        self.calls: list[tuple[Computation, Computation]] = []

    def differ(self, why: str, x: Instruction | None, y: Instruction | None) -> None:
        lines = ["" if i is None else _line(i) for i in (x, y)]
        self.found.append((x, Difference(why, *lines)))

    def call(self, a: Computation, b: Computation, callers: Pair | None) -> None:
        if (a, b) in self.met:
            return
        self.met.add((a, b))
        if len(a.parameters) != len(b.parameters):
            why = f"computation {a.name} takes {len(a.parameters)} parameters, {b.name} takes {len(b.parameters)}"
            self.differ(why, *(callers or (None, None)))
        else:
            self.calls.append((a, b))

    def computation(self, a: Computation, b: Computation) -> None:
        """Walk two graphs at once."""
        there: dict[Instruction, Instruction] = {}
        back: dict[Instruction, Instruction] = {}
        stack: list[tuple[Instruction, Instruction, Pair | None]] = [(a.root, b.root, None)]
        # What has an effect but no reader is not met from the root: it must come in the same order.
        effects = [[i for i in c.post_order() if not i.users and i is not c.root and not is_pure(i)] for c in (a, b)]
        for x in effects[0][len(effects[1]) :]:
            self.differ("the second program lacks this", x, None)
        for y in effects[1][len(effects[0]) :]:
            self.differ("the first program lacks this", None, y)
        stack.extend((x, y, None) for x, y in zip(*effects))
        stack.extend((p, q, None) for p, q in zip(a.parameters, b.parameters))
        while stack:
            x, y, users = stack.pop()
            if x in there or y in back:
                if there.get(x) is not y:
                    why = f"{x.name} and {y.name} are not the same value: each is read in the other's place elsewhere"
                    self.differ(why, *(users or (x, y)))
                continue
            there[x], back[y] = y, x
            why = compare(x, y)
            if why is not None:
                self.differ(why, x, y)
                continue
            stack.extend((p, q, (x, y)) for p, q in reversed(tuple(zip(x.operands, y.operands))))
            for c, d in zip(x.called, y.called):
                self.call(c, d, (x, y))


def compare(x: Instruction, y: Instruction) -> str | None:
    """What differs between two instructions themselves, operands and called computations aside."""
    if x.opcode is not y.opcode:
        return f"opcode: {x.opcode.name} against {y.opcode.name}"
    if x.shape != y.shape:
        return f"shape: {x.shape} against {y.shape}"
    if len(x.operands) != len(y.operands):
        return f"{len(x.operands)} operands against {len(y.operands)}"
    if len(x.called) != len(y.called):
        return f"{len(x.called)} called computations against {len(y.called)}"
    for name, attr in x.opcode.attrs.items():
        one, two = x.attrs.get(name), y.attrs.get(name)
        if attr.kind in (Kind.COMPUTATION, Kind.COMPUTATIONS):
            continue
        if attr.kind is Kind.LITERAL:
            if one is not two and one.tobytes() != two.tobytes():
                return f"value: {_first_unequal(one, two)}"
        elif one != two:
            return f"{name}: {one} against {two}"
    if len(x.control_predecessors) != len(y.control_predecessors):
        return f"{len(x.control_predecessors)} control predecessors against {len(y.control_predecessors)}"
    return None


def _first_unequal(one: np.ndarray, two: np.ndarray) -> str:
    size = one.dtype.itemsize
    raw = [np.ascontiguousarray(v).reshape(-1).view(np.uint8).reshape(-1, size) for v in (one, two)]
    place = int(np.flatnonzero((raw[0] != raw[1]).any(axis=1))[0])
    where = ", ".join(map(str, np.unravel_index(place, one.shape)))
    return f"{one.reshape(-1)[place]} against {two.reshape(-1)[place]} at ({where})"


def _line(instruction: Instruction, limit: int = 400) -> str:
    text = print_instruction(instruction)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
