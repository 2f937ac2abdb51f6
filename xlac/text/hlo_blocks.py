"""The computations of an HLO text as written: their names, which of them call which, and those inside attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from xlac.ir.opcode import OPCODES, Kind
from xlac.text.hlo_syntax import BRACE, Block, parse_tree
from xlac.text.source import Source

# Computations written inside attributes, inside one another.
MAX_INLINE_DEPTH = 32
# A conditional's attributes that name one branch, and its number.
BRANCHES = {"true_computation": 0, "false_computation": 1}


@lru_cache(maxsize=1)
def _calling_attributes() -> frozenset[str]:
    """The names of attributes that hold computations, in any row."""
    kinds = (Kind.COMPUTATION, Kind.COMPUTATIONS)
    return frozenset(BRANCHES) | {n for row in OPCODES.values() for n, a in row.attrs.items() if a.kind in kinds}


class Blocks:
    """The blocks of one text.

    Attributes:
      by_name: those that are not inside attributes.
      names: their names, and those that computations without a block have been given.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.by_name: dict[str, Block] = {}
        self.names: set[str] = set()

    def index(self, blocks: list[Block]) -> Block:
        """Name the blocks and return the entry."""
        entry = None
        for block in blocks:
            head = str(block.head)
            is_entry = re.match(r"ENTRY\s", head) is not None
            block.name = re.match(r"(?:ENTRY\s+)?%?([\w.\-]+)", head)[1]  # type: ignore[index]
            place = block.base + block.head.start_pos
            if block.name in self.by_name:
                first = self.by_name[block.name]
                line = self.source.line(first.base + first.head.start_pos)
                raise self.source.error(f"computation {block.name} is defined already, at line {line}", place)
            if is_entry and entry is not None:
                raise self.source.error(f"{block.name} is a second ENTRY; {entry.name} is one already", place)
            self.by_name[block.name] = block
            self.names.add(block.name)
            entry = block if is_entry else entry
        return entry or blocks[-1]

    def find_callees(self, block: Block) -> None:
        """Fill `block.callees`, parsing computations that are written inside attributes."""
        calling = _calling_attributes()
        for statement in block.statements:
            for name, value, place in statement.attributes:
                if name not in calling:
                    continue
                if "=" in value:
                    inline = self._inline(block, name, value, place)
                    block.inline[place] = inline
                    block.callees.extend(inline)
                    continue
                for word in value.strip("{}").split(","):
                    callee = self.by_name.get(word.strip().lstrip("%"))
                    if callee is not None:  # a missing one is reported when the instruction is built
                        block.callees.append(callee)

    def _inline(self, block: Block, name: str, value: str, place: int) -> list[Block]:
        """The computations written in an attribute's value: one `{...}` or a list of them in braces."""
        if block.depth >= MAX_INLINE_DEPTH:
            raise self.source.error(
                f"computations are written inside others more than {MAX_INLINE_DEPTH} deep", block.base + place
            )
        spans = [(0, len(value))]
        if not re.match(r"\{\s*(?:ROOT\s|%?[\w.\-]+\s*=)", value):
            spans = self._brace_groups(value)
        result = []
        for start, end in spans:
            head = "_ "
            base = block.base + place + start - len(head)
            text = parse_tree(self.source, head + value[start:end], base)
            if len(text.blocks) != 1 or text.attributes:
                raise self.source.error(f"{name} must be a computation's name, or one in braces", block.base + place)
            new = text.blocks[0]
            new.base, new.depth = base, block.depth + 1
            result.append(new)
        return result

    @staticmethod
    def _brace_groups(value: str) -> list[tuple[int, int]]:
        """The places of the `{...}` directly inside the outer braces of `value`."""
        depth, start, groups = 0, 0, []
        for match in BRACE.finditer(value):
            if match[0] == "{":
                depth += 1
                if depth == 2:
                    start = match.start()
            elif match[0] == "}":
                if depth == 2:
                    groups.append((start, match.end()))
                depth -= 1
        return groups

    def callees_first(self, blocks: list[Block]) -> Iterator[Block]:
        """Every block, and every one it calls before it.

        Raises:
          ParseError: a computation calls itself.
        """
        done: set[Block] = set()
        path: set[Block] = set()
        for first in blocks:
            stack = [(first, False)]
            while stack:
                block, leaving = stack.pop()
                if leaving:
                    path.discard(block)
                    done.add(block)
                    yield block
                    continue
                if block in done:
                    continue
                if block in path:
                    place = block.base + block.head.start_pos
                    raise self.source.error(f"computation {block.name} calls itself, directly or through others", place)
                path.add(block)
                stack.append((block, True))
                self.find_callees(block)
                for callee in reversed(block.callees):
                    if callee in path:
                        place = callee.base + callee.head.start_pos
                        raise self.source.error(
                            f"computation {callee.name} calls itself, directly or through others", place
                        )
                    if callee not in done:
                        stack.append((callee, False))


def called_from(entry: Block) -> set[Block]:
    """The blocks that the entry calls, directly or through others, and the entry."""
    found, stack = {entry}, [entry]
    while stack:
        new = [b for b in stack.pop().callees if b not in found]
        found.update(new)
        stack.extend(new)
    return found
