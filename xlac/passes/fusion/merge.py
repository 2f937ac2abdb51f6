"""Merging: groups over the same loop become one group with several outputs, where that saves reading something again.

First a group takes in the groups whose results it reads at the loop's own index (they stay outputs, for their other
readers); then groups that read the same array become one. Neither may close a cycle through what lies between.
"""

from __future__ import annotations

from typing import Union

from xlac.ir.module import Instruction
from xlac.ir.shape import ArrayShape
from xlac.passes.fusion.classify import (
    EXPENSIVE,
    GENERATORS,
    MAX_BUFFERS,
    MAX_INSTRUCTIONS,
    is_part_of_reduce,
    is_pointwise,
    row_fits_cache,
)
from xlac.passes.fusion.group import Group, Groups, is_epilogue, reads_by_rows

Unit = Union[Group, Instruction]

# The search for a path between two groups gives up, and takes it that there is one, after so many steps.
MAX_SEARCH = 2000
# Groups of one array's readers that another reader is tried with.
MAX_TRIES = 4


def merge_groups(groups: Groups) -> None:
    """Merge groups of a computation, in place."""
    if len(groups.all) > 1:
        _Merger(groups).run()
    _evict_row_values(groups)


class _Merger:
    """The graph of groups, and of the instructions that belong to none, kept up to date while groups merge.

    `level` numbers units so that whatever depends on a unit has a higher number.
    """

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.owner = groups.owner
        self.before: dict[Unit, dict[Unit, None]] = {}
        self.after: dict[Unit, dict[Unit, None]] = {}
        self.level: dict[Unit, int] = {}
        self.alive: dict[Group, None] = dict.fromkeys(groups.all)
        self.steps_left = 1000 * len(groups.order) + 10_000
        self._connect()

    def _connect(self) -> None:
        alone = self._alone()
        units: list[Unit] = [*self.groups.all, *(i for i in self.groups.order if i in alone)]
        for unit in units:
            read = unit.inputs if isinstance(unit, Group) else unit.operands
            self.before[unit] = {self.owner.get(x, x): None for x in read}
            self.after[unit] = {}
        for unit in units:
            for earlier in self.before[unit]:
                self.after[earlier][unit] = None
        waiting = {unit: len(self.before[unit]) for unit in units}
        ready = [unit for unit in units if not waiting[unit]]
        for unit in ready:
            self.level[unit] = max((self.level[x] + 1 for x in self.before[unit]), default=0)
            for later in self.after[unit]:
                waiting[later] -= 1
                if not waiting[later]:
                    ready.append(later)
        assert len(ready) == len(units), "groups depend on each other"

    def _alone(self) -> set[Instruction]:
        """What no group writes and yet is in memory: instructions of no group, and those that groups hold copies of but
        whose result others read."""
        inside = {node for group in self.groups.all for node in group.nodes}
        alone: set[Instruction] = set()
        stack = [i for i in self.groups.order if i not in inside]
        stack.extend(x for group in self.groups.all for x in group.inputs if x not in self.owner)
        while stack:
            x = stack.pop()
            if x not in alone:
                alone.add(x)
                stack.extend(o for o in x.operands if o not in self.owner)
        return alone

    def run(self) -> None:
        self._take_in_all()
        if self._merge_siblings():
            self._take_in_all()
        self.groups.all = list(self.alive)

    def _take_in_all(self) -> None:
        # Consumers first, so that a chain of groups merges from its end.
        for group in sorted(self.alive, key=lambda g: -self.level[g]):
            if group in self.alive:
                self._take_in_producers(group)

    def _take_in_producers(self, consumer: Group) -> None:
        tried: set[Group] = set()
        again = True
        while again:
            again = False
            for x in list(consumer.inputs):
                producer = self.owner.get(x)
                if producer is None or producer is consumer or producer in tried:
                    continue
                tried.add(producer)
                if self._reads_at_index(producer, consumer) and self._fit(producer, consumer):
                    if not self._path(producer, consumer):
                        self._merge(producer, consumer)
                        # What lay between may have been the producer just taken in.
                        tried.clear()
                        again = True

    def _merge_siblings(self) -> bool:
        merged = False
        for x in self.groups.order:
            if len(x.users) < 2 or not isinstance(x.shape, ArrayShape) or x.opcode.name == "constant":
                continue
            kinds: dict[object, list[Group]] = {}
            for group in self._readers(x):
                if x.dims != group.dims:
                    continue
                tried = kinds.setdefault(group.reduced, [])
                for other in tried:
                    if other is group:
                        break
                    if other.dims == group.dims and self._fit(other, group) and self._independent(other, group):
                        self._merge(group, other)
                        merged = True
                        break
                else:
                    if len(tried) < MAX_TRIES:
                        tried.append(group)
        return merged

    def _readers(self, x: Instruction) -> list[Group]:
        return [u for u in self.after.get(self.owner.get(x, x), ()) if isinstance(u, Group) and x in u.inputs]

    # ---- may they merge?

    def _reads_at_index(self, producer: Group, consumer: Group) -> bool:
        """Whether all that the consumer reads of the producer it reads at its loop's index, or once per row."""
        rows = self.groups.rows
        same_loop = producer.dims == consumer.dims
        epilogue = (
            not same_loop
            and producer.rows is not None
            and consumer.reduced is None
            and consumer.dims == producer.dims[: producer.rows[1]]
            and is_epilogue(consumer)
        )
        if not same_loop and not epilogue:
            return False
        for x in producer.outputs:
            if x not in consumer.inputs:
                continue
            if epilogue:
                if x.dims != consumer.dims:
                    return False
            elif producer.rows is not None and rows.get(x) == producer.rows:
                itemsize = x.shape.dtype.itemsize  # type: ignore[union-attr]
                if not reads_by_rows(consumer, x, rows) or not row_fits_cache(producer.rows, itemsize):
                    return False
            elif x.dims != consumer.dims or not all(_at_index(u, x, consumer) for u in x.users if u in consumer.nodes):
                return False
        return True

    def _independent(self, a: Group, b: Group) -> bool:
        """Whether neither needs the other finished: what one reads of the other, if anything, it reads at its index."""
        return all(
            (x not in self.before[y] or self._reads_at_index(x, y)) and not self._path(x, y)
            for x, y in ((a, b), (b, a))
        )

    def _fit(self, a: Group, b: Group) -> bool:
        """Whether one kernel can compute both."""
        if a is b or len(a.nodes) + len(b.nodes) > MAX_INSTRUCTIONS:
            return False
        if a.reduced is not None and b.reduced is not None and a.reduced != b.reduced:
            return False
        if any(g.dot is not None or g.closed or _is_special(g) for g in (a, b)):
            return False
        inputs = {x for g in (a, b) for x in g.inputs if x not in a.nodes and x not in b.nodes}
        return len(inputs) + len(a.outputs) + len(b.outputs) <= MAX_BUFFERS

    def _path(self, start: Group, end: Group) -> bool:
        """Whether `end` depends on `start` by way of a third unit."""
        limit = self.level[end]
        stack = [u for u in self.after[start] if u is not end and self.level[u] < limit]
        seen = set(stack)
        steps = 0
        while stack:
            for later in self.after[stack.pop()]:
                if later is end:
                    return True
                if later not in seen and self.level[later] < limit:
                    seen.add(later)
                    stack.append(later)
            steps += 1
            if steps > MAX_SEARCH or self.steps_left <= 0:
                return True
        self.steps_left -= steps + 1
        return False

    def _merge(self, gone: Group, group: Group) -> None:
        """Move all of `gone` into `group`."""
        if gone.reduced is not None:
            group.dims, group.reduced = gone.dims, gone.reduced
        group.outputs.extend(gone.outputs)
        for node, evaluations in gone.nodes.items():
            group.nodes[node] = max(evaluations, group.nodes.get(node, 0.0))
        group.inputs = {x: None for g in (group, gone) for x in g.inputs if x not in group.nodes}
        group.row_nodes.update(gone.row_nodes)
        group.reads_back |= gone.reads_back
        group.repeated += gone.repeated
        for x in gone.outputs:
            self.owner[x] = group
        for here, there in ((self.before, self.after), (self.after, self.before)):
            for unit in here.pop(gone):
                there[unit].pop(gone, None)
                if unit is not group:
                    here[group][unit] = None
                    there[unit][group] = None
            here[group].pop(gone, None)
        del self.alive[gone]
        self._raise_level(group, max(self.level[group], self.level.pop(gone)))

    def _raise_level(self, unit: Unit, level: int) -> None:
        self.level[unit] = level
        stack = [unit]
        while stack:
            top = stack.pop()
            for later in self.after[top]:
                self.steps_left -= 1
                if self.level[later] <= self.level[top]:
                    self.level[later] = self.level[top] + 1
                    stack.append(later)


def _is_special(group: Group) -> bool:
    """Whether the group writes in place, or reduces several arrays at once: such kernels have no other outputs."""
    return any(x.opcode.name == "dynamic-update-slice" or is_part_of_reduce(x) for x in group.outputs)


def _at_index(user: Instruction, x: Instruction, group: Group) -> bool:
    if user.opcode.name == "reduce":
        return user.operands[0].dims == group.dims and x not in user.operands[len(user.operands) // 2 :]
    return is_pointwise(user) and user.dims == group.dims


# ---- what was taken for a row fusion and is none


def _evict_row_values(groups: Groups) -> None:
    """Give dear values of rows a group of their own where the reduction they come from did not join after all."""
    position: dict[Instruction, int] | None = None
    for group in list(groups.all):
        if group.reduced is not None or not group.row_nodes:
            continue
        dear = [n for n in group.row_nodes if n.opcode.name in EXPENSIVE and n not in group.outputs]
        if dear:
            position = position or {x: i for i, x in enumerate(groups.order)}
            # The last first: it takes along what only it reads.
            for node in sorted(dear, key=position.__getitem__, reverse=True):
                if node in group.nodes:
                    _evict(groups, group, node, position)


def _evict(groups: Groups, group: Group, node: Instruction, position: dict[Instruction, int]) -> None:
    """Move `node`, and what only it reads, out of the group into one before it."""
    own = Group([node], node.dims)
    own.put(node, group.nodes.pop(node))
    group.row_nodes.pop(node, None)
    shared: list[Instruction] = []
    for other in sorted(group.nodes, key=position.__getitem__, reverse=True):
        readers = [u for u in other.users if u in group.nodes or u in own.nodes]
        if not any(u in own.nodes for u in readers):
            continue
        if other not in group.outputs and all(u in own.nodes for u in readers):
            own.put(other, group.nodes.pop(other))
            group.row_nodes.pop(other, None)
        elif other.opcode.name in GENERATORS and other not in group.outputs:
            own.put(other, group.nodes[other])
        else:
            shared.append(other)
    groups.all.append(own)
    groups.owner[node] = own
    # What both need is computed before both.
    for other in shared:
        if other in group.nodes:
            if other in group.outputs:
                group.outputs.remove(other)
            _evict(groups, group, other, position)
    group.inputs = {x: None for n in group.nodes for x in n.operands if x not in group.nodes}
