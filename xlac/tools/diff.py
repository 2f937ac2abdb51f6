"""Whether two modules are the same program but for names, the order of instructions, layouts and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac.ir.module import Computation, Instruction, Module
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
    name or place. An instruction that one program shares and the other has twice is a difference.
    """
    walk = _Walk()
    walk.computations(a.entry, b.entry)
    walk.run()
    if sorted(a.donated) != sorted(b.donated):
        walk.found.append((None, Difference(f"donated parameters: {a.donated} against {b.donated}", "", "")))
    if not walk.found:
        return None
    place = {x: i for i, x in enumerate(x for c in a.computations for x in c.post_order())}
    return min(walk.found, key=lambda item: place.get(item[0], len(place)))[1]  # type: ignore[arg-type]


class _Walk:
    """Pairs of instructions found so far, both ways, and pairs still to be followed."""

    def __init__(self) -> None:
        self.found: list[tuple[Instruction | None, Difference]] = []
        self.other: dict[Any, Any] = {}
        self.stack: list[tuple[Instruction, Instruction]] = []

    def differ(self, why: str, x: Instruction | None, y: Instruction | None) -> None:
        lines = ["" if i is None else _line(i) for i in (x, y)]
        self.found.append((x, Difference(why, *lines)))

    def is_new_pair(self, x: Any, y: Any) -> bool | None:
        """True for a pair to follow, False for one followed before, None if either has another partner."""
        if x in self.other or ("right", y) in self.other:
            return False if self.other.get(x) is y and self.other.get(("right", y)) is x else None
        self.other[x], self.other["right", y] = y, x
        return True

    def computations(self, a: Computation, b: Computation, caller: tuple[Instruction, Instruction] | None = None) -> None:
        new = self.is_new_pair(a, b)
        if new is None:
            self.differ(f"computations {a.name} and {b.name} are called in different places", *(caller or (None, None)))
        if not new:
            return
        if len(a.parameters) != len(b.parameters):
            why = f"computation {a.name} takes {len(a.parameters)} parameters, {b.name} takes {len(b.parameters)}"
            self.differ(why, *(caller or (None, None)))
            return
        self.stack.append((a.root, b.root))
        self.stack.extend(zip(a.parameters, b.parameters))
        # What has an effect but no reader is not met from the root: it must come in the same order.
        effects = [[i for i in c.post_order() if not i.users and i is not c.root and i.opcode.name != "parameter"
                    and not i.opcode.pure] for c in (a, b)]  # fmt: skip
        for x, y in zip(*effects):
            self.stack.append((x, y))
        for x in effects[0][len(effects[1]) :]:
            self.differ("the second program lacks this", x, None)
        for y in effects[1][len(effects[0]) :]:
            self.differ("the first program lacks this", None, y)

    def run(self) -> None:
        while self.stack:
            x, y = self.stack.pop()
            new = self.is_new_pair(x, y)
            if new is None:
                self.differ("one program shares a value that the other computes apart", x, y)
            elif new:
                why = self.compare(x, y)
                if why is not None:
                    self.differ(why, x, y)
                    continue
                self.stack.extend(zip(x.operands, y.operands))
                for c, d in zip(x.called, y.called):
                    self.computations(c, d, (x, y))

    @staticmethod
    def compare(x: Instruction, y: Instruction) -> str | None:
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
                if one.tobytes() != two.tobytes():
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
