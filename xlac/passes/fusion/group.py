"""Grouping, consumers first: an instruction joins the group that reads it, or begins a group of its own.

An instruction joins if the group is its only reader, so groups never depend on each other in a cycle; cheap ones are
copied into every group that reads them. A group has a loop: the dimensions of its outputs, or of what it reduces.
Reductions of trailing dimensions join what reads their results row by row (softmax, layer norm); other reductions only
end groups.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from xlac.ir.module import Computation, Instruction
from xlac.ir.shape import ArrayShape
from xlac.passes.fusion.classify import (
    CHEAP,
    EXPENSIVE,
    GENERATORS,
    MAX_BUFFERS,
    MAX_COPIES,
    MAX_DOT_OUTPUTS,
    MAX_INSTRUCTIONS,
    MAX_PLACES,
    MAX_REPEATED,
    Rows,
    is_fusible,
    is_part_of_reduce,
    is_pointwise,
    may_be_read_through,
    moves_minor,
    only_size_one,
    reduced_rows,
    row_fits_cache,
    size,
)


@dataclass(eq=False)
class Group:
    """Instructions computed by one kernel.

    Attributes:
      outputs: those that others read; the first is the one the group began with.
      dims: the loop's dimensions: the outputs', or the reduced operand's where something is reduced.
      reduced: the reduced dimensions, or None.
      nodes: all that is computed in it, each with an estimate of how often an element of it is computed in total.
      inputs: what it reads.
      row_nodes: instructions other than reductions that are computed once per row.
      reads_back: whether rows are read again after they were reduced.
      repeated: instructions computed more often than they have elements.
      places: at how many different indices an instruction is computed in one run of the loop's body, where not at one.
    """

    outputs: list[Instruction]
    dims: tuple[int, ...]
    reduced: tuple[int, ...] | None = None
    nodes: dict[Instruction, float] = field(default_factory=dict)
    inputs: dict[Instruction, None] = field(default_factory=dict)
    row_nodes: dict[Instruction, None] = field(default_factory=dict)
    dot: Instruction | None = None
    reads_back: bool = False
    closed: bool = False
    repeated: int = 0
    places: dict[Instruction, int] = field(default_factory=dict)

    @property
    def rows(self) -> Rows | None:
        """The loop as rows, where its trailing dimensions are reduced."""
        if self.reduced is None:
            return None
        kept = len(self.dims) - len(self.reduced)
        return (self.dims, kept) if all(d >= kept for d in self.reduced) else None

    @property
    def buffers(self) -> int:
        """Arrays read or written; scalar constants are no buffers."""
        return len(self.outputs) + sum(not _is_scalar_constant(x) for x in self.inputs)

    def put(self, node: Instruction, evaluations: float) -> None:
        """Take in an instruction."""
        self.nodes[node] = evaluations
        self.inputs.pop(node, None)
        for operand in node.operands:
            if operand not in self.nodes:
                self.inputs[operand] = None


@dataclass(eq=False)
class Groups:
    """The groups of a computation.

    Attributes:
      computation: it.
      order: its instructions, operands before users.
      all: the groups.
      owner: the group that writes an instruction to memory, for those that a group writes.
      rows: for results of reductions of trailing dimensions, and what is computed row by row from them: the rows they
        are of.
    """

    computation: Computation
    order: list[Instruction]
    all: list[Group] = field(default_factory=list)
    owner: dict[Instruction, Group] = field(default_factory=dict)
    rows: dict[Instruction, Rows] = field(default_factory=dict)


def form_groups(computation: Computation) -> Groups:
    """Group the computation's instructions; it is not changed."""
    order = computation.post_order()
    groups = Groups(computation, order, rows=_row_values(order))
    _Former(groups).run()
    return groups


def _is_scalar_constant(x: Instruction) -> bool:
    return x.opcode.name == "constant" and isinstance(x.shape, ArrayShape) and not x.shape.dims


def _reads_memory(user: Instruction, node: Instruction) -> bool:
    """Whether `user`, though fused, needs `node` in memory: a contraction's operands, what is updated in place."""
    return user.opcode.name == "dot" or (user.opcode.name == "dynamic-update-slice" and user.operands[0] is node)


def _row_values(order: list[Instruction]) -> dict[Instruction, Rows]:
    """Every value that there is one of for each row of something reduced, and those rows."""
    rows: dict[Instruction, Rows] = {}
    for instruction in order:
        name = instruction.opcode.name
        if name == "reduce":
            found = reduced_rows(instruction)
        elif name == "reshape" and only_size_one(instruction.operands[0].dims, instruction.dims):
            found = rows.get(instruction.operands[0])
        elif is_pointwise(instruction):
            found = next((rows[x] for x in instruction.operands if x in rows), None)
            if found is not None and size(instruction) != math.prod(found[0][: found[1]]):
                found = None
        else:
            continue
        if found is not None:
            rows[instruction] = found
    return rows


class _Former:
    """The state of one run over a computation."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.rows = groups.rows
        self.placed: dict[Instruction, list[Group]] = {}
        self.parts: dict[Instruction, Group] = {}
        self.normalized = self._normalized_values()

    def _normalized_values(self) -> set[Instruction]:
        """Arrays computed from rows and from what those rows were reduced to: results of softmax and the like."""
        result: set[Instruction] = set()
        for instruction in self.groups.order:
            if not is_pointwise(instruction):
                continue
            for x in instruction.operands:
                if x in result or (x.opcode.name == "broadcast" and self._reads_rows(x)):
                    result.add(instruction)
        return result

    def run(self) -> None:
        root = self.groups.computation.root
        for instruction in reversed(self.groups.order):
            if not is_fusible(instruction) or not (instruction.users or instruction is root):
                continue
            if instruction.opcode.name == "reduce" and not isinstance(instruction.shape, ArrayShape):
                self._place_several(instruction)
            else:
                self._place(instruction, instruction is root)

    def _place_several(self, reduce: Instruction) -> None:
        """A reduction of several arrays belongs to the group of its parts."""
        group = self.parts[reduce]
        self._join(reduce, group, size(reduce))

    def _place(self, node: Instruction, outside: bool) -> None:
        if is_part_of_reduce(node):
            self._begin_part(node)
            return
        readers: dict[Group, None] = {}
        for user in node.users:
            groups = self.placed.get(user)
            if not groups or _reads_memory(user, node):
                outside = True
            else:
                readers.update(dict.fromkeys(groups))
        name = node.opcode.name
        if name == "reshape" and not is_fusible(node.operands[0]):
            return  # another view of memory; it costs nothing by itself
        if name in CHEAP and (len(readers) <= MAX_COPIES or name == "constant"):
            refused = False
            for group in readers:
                evaluations = self._accepts(group, node)
                if evaluations is None:
                    refused = True
                else:
                    self._join(node, group, evaluations)
            if (outside or refused) and name not in ("constant", "reshape"):
                self._begin(node)
            return
        if not outside and len(readers) == 1:
            (group,) = readers
            evaluations = self._accepts(group, node)
            if evaluations is not None:
                self._join(node, group, evaluations)
                return
        if name != "dot" and name != "reshape":
            self._begin(node)

    def _begin(self, node: Instruction) -> Group:
        name = node.opcode.name
        if name == "reduce":
            group = Group([node], node.operands[0].dims, tuple(sorted(node["dimensions"])))
        elif name == "dynamic-update-slice":
            group = Group([node], node.operands[1].dims)
        else:
            group = Group([node], node.dims)
            # A large transpose is done in tiles, which leaves no place for computing.
            group.closed = name == "transpose" and moves_minor(node)
        group.put(node, math.prod(group.dims) if name == "dynamic-update-slice" else size(node))
        self.groups.all.append(group)
        self.groups.owner[node] = group
        self.placed.setdefault(node, []).append(group)
        return group

    def _begin_part(self, part: Instruction) -> None:
        (reduce,) = part.operands
        group = self.parts.get(reduce)
        if group is None:
            group = Group([], reduce.operands[0].dims, tuple(sorted(reduce["dimensions"])))
            self.parts[reduce] = group
            self.groups.all.append(group)
        group.outputs.append(part)
        group.put(part, size(part))
        self.groups.owner[part] = group
        self.placed[part] = [group]

    def _join(self, node: Instruction, group: Group, evaluations: float) -> None:
        if evaluations > size(node) and node.opcode.name not in GENERATORS:
            group.repeated += 1
        places = _places(group, node)
        if places > 1:
            group.places[node] = places
        group.put(node, evaluations)
        self.placed.setdefault(node, []).append(group)
        name = node.opcode.name
        if name == "dot":
            group.dot = node
        elif name == "reduce":
            group.dims, group.reduced = node.operands[0].dims, tuple(sorted(node["dimensions"]))
        elif name == "broadcast" and self._reads_rows(node):
            group.reads_back = True
        elif node in self.rows and self.rows[node][0] == group.dims:
            group.row_nodes[node] = None

    # ---- may it join?

    def _accepts(self, group: Group, node: Instruction) -> float | None:
        """How often the group would compute elements of `node` in total, or None if `node` should not join it."""
        name = node.opcode.name
        if name == "constant":
            return 1.0
        if group.closed or len(group.nodes) >= MAX_INSTRUCTIONS or not may_be_read_through(node):
            return None
        operands = sum(
            x not in group.nodes and x not in group.inputs for x in node.operands if not _is_scalar_constant(x)
        )
        if group.buffers + operands - 1 > MAX_BUFFERS:
            return None
        if name == "dot":
            return self._accepts_dot(group, node)
        if name == "reduce":
            return self._accepts_reduce(group, node)
        if node in self.normalized and node.dims != group.dims:
            return None
        if _places(group, node) > MAX_PLACES and name not in GENERATORS:
            return None
        evaluations = self._evaluations(group, node)
        if evaluations <= size(node) or name in GENERATORS:
            return evaluations
        if self.rows.get(node, (None,))[0] == group.dims and self._computes_rows(group, node):
            return size(node)
        if name in EXPENSIVE or (name not in CHEAP and group.repeated >= MAX_REPEATED):
            return None
        return evaluations

    def _accepts_dot(self, group: Group, dot: Instruction) -> float | None:
        """A contraction joins the elementwise computation that alone reads it, element by element."""
        if (
            group.dot is not None
            or group.reduced is not None
            or group.dims != dot.dims
            or len(group.outputs) > MAX_DOT_OUTPUTS
        ):
            return None
        seen: set[Instruction] = set()
        stack = [dot]
        while stack:
            for user in stack.pop().users:
                if user in group.nodes and user not in seen:
                    if not is_pointwise(user) or user.dims != group.dims:
                        return None
                    seen.add(user)
                    stack.append(user)
        return size(dot)

    def _accepts_reduce(self, group: Group, reduce: Instruction) -> float | None:
        rows = self.rows.get(reduce)
        if rows is None or group.dot is not None:
            return None
        if group.dims == rows[0] and group.reduced in (None, tuple(sorted(reduce["dimensions"]))):
            return size(reduce) if self._computes_rows(group, reduce) else None
        if group.reduced is None and group.dims == reduce.dims and is_epilogue(group):
            return size(reduce)
        return None

    def _computes_rows(self, group: Group, node: Instruction) -> bool:
        """Whether the group reads `node`, of which there is one for each row, row by row, and may read those rows
        again."""
        if group.dot is not None or (group.reduced is not None and group.rows != self.rows[node]):
            return False
        back = group.reads_back or any(u in group.nodes and u.opcode.name == "broadcast" for u in node.users)
        if back and not row_fits_cache(self.rows[node], node.shape.dtype.itemsize):  # type: ignore[union-attr]
            return False
        return reads_by_rows(group, node, self.rows)

    def _reads_rows(self, broadcast: Instruction) -> bool:
        """Whether a broadcast repeats a value of each row along the row."""
        rows = self.rows.get(broadcast.operands[0])
        return rows is not None and is_row_broadcast(broadcast, rows)

    def _evaluations(self, group: Group, node: Instruction) -> float:
        """How often elements of `node` would be computed in total.

        That is once per index for all that reads it at the loop's index, and again for each that reads it elsewhere.
        """
        here, elsewhere = 0.0, 0.0
        for user in node.users:
            if user not in group.nodes:
                continue
            times, name = group.nodes[user], user.opcode.name
            if name == "reduce" and node in user.operands[: len(user.operands) // 2]:
                here = max(here, size(user.operands[0]) * times / max(size(user), 1))
            elif is_pointwise(user):
                here = max(here, times)
            elif name in ("concatenate", "pad", "dynamic-update-slice"):
                elsewhere += (
                    times * min(1.0, size(node) / max(size(user), 1)) if name != "dynamic-update-slice" else times
                )
            else:
                elsewhere += times
        return here + elsewhere


def _places(group: Group, node: Instruction) -> int:
    """At how many indices the group's readers of `node` read it: at their own, or each at others."""
    here, elsewhere = 1, 0
    for user in node.users:
        if user in group.nodes:
            places = group.places.get(user, 1)
            if is_pointwise(user):
                here = max(here, places)
            else:
                elsewhere += places * user.operands.count(node)
    return max(here, elsewhere)


def is_row_broadcast(broadcast: Instruction, rows: Rows) -> bool:
    """Whether the broadcast's dimensions are the rows' and its operand has one element for each row."""
    dims, kept = rows
    return broadcast.dims == dims and broadcast["dimensions"] == tuple(range(kept))


def reads_by_rows(group: Group, node: Instruction, rows: dict[Instruction, Rows]) -> bool:
    """Whether all readers of `node` in the group read it once per row."""
    own = rows[node]
    for user in node.users:
        if user not in group.nodes or rows.get(user) == own:
            continue
        if user.opcode.name == "broadcast" and is_row_broadcast(user, own):
            continue
        if is_pointwise(user) and not node.dims:
            continue
        return False
    return True


def is_epilogue(group: Group) -> bool:
    """Whether the group is elementwise over its dimensions, so that it can follow a reduction to them."""
    return not group.closed and all(
        (is_pointwise(n) and n.dims in (group.dims, ())) or n.opcode.name in GENERATORS for n in group.nodes
    )
