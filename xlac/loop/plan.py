"""The buffer plan: which buffers share memory, and where each lies in the arena.

Every step has a position in program order and every buffer the interval of positions in which its contents matter.
Two buffers become one where a copy between them is the only point they meet at; a kernel's result takes the memory of
an operand that dies there if each element is read only where it is written; what remains is packed into one arena.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from xlac.loop import ir
from xlac.loop.ir import Buffer, Copy, HostCall, Kernel, Program, Step, Store, Switch, While

ALIGNMENT = 64
FOREVER = 1 << 60


@dataclass(eq=False)
class Access:
    """One step's use of a buffer: its position and the While steps around it, outermost first."""

    position: int
    write: bool
    loops: tuple[While, ...]
    step: Step | None


@dataclass(eq=False)
class Life:
    """All uses of one piece of memory, the first and last position of them, and the While steps around any."""

    accesses: list[Access] = field(default_factory=list)
    first: int = FOREVER
    last: int = -1
    loops: dict[While, None] = field(default_factory=dict)

    def add(self, accesses: list[Access]) -> None:
        """Add uses; what is asked often of a life is kept, since one may have as many uses as the program steps."""
        self.accesses += accesses
        for access in accesses:
            self.first, self.last = min(self.first, access.position), max(self.last, access.position)
            self.loops.update(dict.fromkeys(reversed(access.loops)))


class Plan:
    """The analysis and its result for one program."""

    def __init__(self, program: Program, donated: Iterable[int]) -> None:
        self.program = program
        self.donated = set(donated)
        self.lives: dict[Buffer, Life] = {}
        self.spans: dict[While, tuple[int, int]] = {}
        self.copies: list[tuple[Copy, int, tuple[While, ...]]] = []
        self.kernels: list[tuple[Kernel, int]] = []
        self._reads: dict[Kernel, dict[Buffer, None]] = {}
        self._accesses: dict[Kernel, Accesses] = {}
        self._position = 0
        self._walk(program.steps, ())

    # ---- analysis

    def _walk(self, steps: list[Step], loops: tuple[While, ...]) -> None:
        for step in steps:
            self._position += 1
            if isinstance(step, Kernel):
                reads, writes = kernel_buffers(step)
                self._reads[step] = reads
                self.kernels.append((step, self._position))
                for buffer in reads:
                    self._note(buffer, False, loops, step)
                for buffer in writes:
                    self._note(buffer, True, loops, step)
            elif isinstance(step, Copy):
                self.copies.append((step, self._position, loops))
                self._note(step.source, False, loops, step)
                self._note(step.target, True, loops, step)
            elif isinstance(step, While):
                start = self._position
                inner = (*loops, step)
                self._walk(step.condition, inner)
                self._position += 1
                self._note(step.test, False, inner, step)
                self._walk(step.body, inner)
                self._position += 1
                self.spans[step] = (start, self._position)
            elif isinstance(step, HostCall):
                for buffer in step.operands:
                    self._note(buffer, False, loops, step)
                for buffer in step.results:
                    self._note(buffer, True, loops, step)
            else:
                assert isinstance(step, Switch)
                self._note(step.selector, False, loops, step)
                for branch in step.branches:
                    self._walk(branch, loops)
                    self._position += 1

    def _note(self, buffer: Buffer, write: bool, loops: tuple[While, ...], step: Step) -> None:
        self.life(buffer).add([Access(self._position, write, loops, step)])

    def life(self, buffer: Buffer) -> Life:
        return self.lives.setdefault(buffer.resolve(), Life())

    def interval(self, buffer: Buffer) -> tuple[int, int]:
        """First and last position at which the contents matter."""
        buffer = buffer.resolve()
        life = self.life(buffer)
        if buffer.space == "constant" or (buffer.space == "parameter" and buffer.number not in self.donated):
            return -1, FOREVER
        first, last = life.first, life.last
        for loop in life.loops:
            outside = any(loop not in a.loops for a in life.accesses)
            inside = min((a for a in life.accesses if loop in a.loops), key=lambda a: (a.position, a.write))
            if outside or not inside.write or buffer.space in ("parameter", "result"):
                first, last = min(first, self.spans[loop][0]), max(last, self.spans[loop][1])
        if buffer.space == "parameter":
            first = -1
        if buffer.space == "result" or buffer in self._aliased():
            last = FOREVER
        return first, last

    def _aliased(self) -> set[Buffer]:
        return {self.program.parameters[j] for j in self.program.aliases.values()}

    # ---- merging

    def run(self) -> None:
        for copy, position, loops in self.copies:
            if loops:
                self._merge_back_edge(copy, position, loops)
        for copy, position, _ in self.copies:
            self._merge_copy(copy, position)
        for kernel, position in self.kernels:
            self._merge_in_place(kernel, position)
        self._pack()

    def _can_join(self, source: Buffer, target: Buffer) -> bool:
        """Whether the two kinds of memory can become one, lifetimes aside."""
        if source is target or source.bytes != target.bytes or not source.bytes:
            return False
        spaces = {source.space, target.space}
        if spaces == {"temp"} or spaces == {"temp", "result"}:
            return True
        if "constant" in spaces or "local" in spaces:
            return False
        if "parameter" in spaces:
            parameter, other = (source, target) if source.space == "parameter" else (target, source)
            if other.space == "parameter" or parameter.number not in self.donated:
                return False
            return other.space == "temp" or parameter.number not in self.program.aliases.values()
        return False

    def _join(self, a: Buffer, b: Buffer) -> None:
        """Make `a` and `b` one piece of memory; that of a parameter before that of a result before the arena's."""
        order = {"parameter": 0, "result": 1, "temp": 2}
        winner, loser = (a, b) if order[a.space] <= order[b.space] else (b, a)
        if winner.space == "parameter" and loser.space == "result":
            self.program.aliases[loser.number] = winner.number
        self.life(winner).add(self.lives.pop(loser).accesses)
        loser.merged = winner

    def _merge_copy(self, copy: Copy, position: int) -> None:
        """Source and target are one if the source is not needed after the copy, nor the target before it."""
        source, target = copy.source.resolve(), copy.target.resolve()
        if not self._can_join(source, target):
            return
        (a, b), (c, d) = self.interval(source), self.interval(target)
        if (b <= position <= c) or (d <= position and position <= a):
            self._join(source, target)
        elif position == c and b == self._updated(copy, position):
            self._join(source, target)

    def _updated(self, copy: Copy, position: int) -> int:
        """The position of the kernel that first writes over the copied elements, if it may still read the originals:
        each only where it writes; -1 if there is none."""
        source, target = copy.source.resolve(), copy.target.resolve()
        after = [a for a in self.life(target).accesses if a.position > position]
        if not after:
            return -1
        first = min(after, key=lambda a: a.position)
        kernel = first.step
        if isinstance(kernel, Kernel) and self._in_place(kernel, source, target):
            return first.position
        return -1

    def _merge_back_edge(self, copy: Copy, position: int, loops: tuple[While, ...]) -> None:
        """A loop state's next value is computed in place of the state if nothing reads the old one any more."""
        source, target = copy.source.resolve(), copy.target.resolve()
        loop = loops[-1]
        if not self._can_join(source, target) or copy not in loop.body:
            return
        made = self.life(source).accesses
        if any(loop not in a.loops for a in made):
            return
        first = min(made, key=lambda a: (a.position, not a.write))
        if not first.write or max(a.position for a in made) > position:
            return
        for access in self.life(target).accesses:
            if loop not in access.loops or access.step is copy or access.position < first.position:
                continue
            if (
                access.position == first.position
                and not access.write
                and self._meets_in_place(first.step, target, source)
            ):
                continue
            if isinstance(first.step, Copy) and first.step.source.resolve() is target and not access.write:
                if access.position == self._updated(first.step, first.position):
                    continue
            return
        self._join(source, target)

    def _meets_in_place(self, step: Step | None, read: Buffer, written: Buffer) -> bool:
        if isinstance(step, Copy):
            return True
        return isinstance(step, Kernel) and self._in_place(step, read, written)

    def _merge_in_place(self, kernel: Kernel, position: int) -> None:
        """A kernel writes over an operand that nothing needs afterwards."""
        _, writes = kernel_buffers(kernel)
        for written in dict.fromkeys(w.resolve() for w in writes):
            if written.space not in ("temp", "result") or self.interval(written)[0] != position:
                continue
            for read in dict.fromkeys(r.resolve() for r in self._reads[kernel]):
                if (
                    self._can_join(read, written)
                    and self.interval(read)[1] == position
                    and self._in_place(kernel, read, written)
                ):
                    self._join(read, written)
                    break

    def _in_place(self, kernel: Kernel, read: Buffer, written: Buffer) -> bool:
        if any(b.resolve() is read for b in kernel.buffers[1]):
            return False  # what it reads there is of its own making
        accesses = self._accesses.get(kernel.template)
        if accesses is None:
            accesses = self._accesses[kernel.template] = Accesses(kernel.template)
        return in_place(accesses, kernel, read, written)

    # ---- the arena

    def _pack(self) -> None:
        """Linear scan: each buffer takes the first gap between those alive when it begins."""
        temps = [(self.interval(b), b) for b in self.lives if b.space == "temp"]
        temps.sort(key=lambda item: (item[0][0], -item[1].bytes))
        alive: list[tuple[int, int, int]] = []  # offset, end offset, last position
        top = 0
        for (first, last), buffer in temps:
            alive = [a for a in alive if a[2] >= first]
            size = -(-max(buffer.bytes, 1) // ALIGNMENT) * ALIGNMENT
            offset = 0
            for begin, end, _ in sorted(alive):
                if begin - offset >= size:
                    break
                offset = max(offset, end)
            buffer.offset = offset
            alive.append((offset, offset + size, last))
            top = max(top, offset + size)
        self.program.arena_bytes = top


def kernel_buffers(kernel: Kernel) -> tuple[dict[Buffer, None], dict[Buffer, None]]:
    """The buffers a kernel loads from and stores to, in order, those on its stack left out."""
    reads, writes = ({b.resolve(): None for b in found if b.space != "local"} for found in kernel.buffers)
    return reads, writes


def store_groups(body: list[ir.Statement]) -> Iterator[list[Store]]:
    """Runs of neighbouring stores, whose values are all computed before any is stored."""
    group: list[Store] = []
    for statement in body:
        if isinstance(statement, Store):
            group.append(statement)
            continue
        if group:
            yield group
            group = []
        if isinstance(statement, (ir.For, ir.Loop)):
            yield from store_groups(statement.body)
        elif isinstance(statement, ir.If):
            yield from store_groups(statement.body)
            yield from store_groups(statement.otherwise)
    if group:
        yield group


class Accesses:
    """What a kernel loads: with each group of stores, and the buffers outside of those."""

    def __init__(self, kernel: Kernel) -> None:
        self.groups = [
            (group, list(ir.loads(v for s in group for v in ir.statement_values(s))))
            for group in store_groups(kernel.body)
        ]
        self.elsewhere = {
            x.buffer
            for statement in ir.statements(kernel.body)
            if not isinstance(statement, Store)
            for x in ir.loads(ir.statement_values(statement))
        }


def in_place(accesses: Accesses, kernel: Kernel, read: Buffer, written: Buffer) -> bool:
    """Whether each element of `read` is loaded only by the group of stores that writes the same element of
    `written`; `accesses` are those of the kernel's template."""
    if any(kernel.own(buffer).resolve() is read for buffer in accesses.elsewhere):
        return False
    allowed = 0
    for group, loads in accesses.groups:
        own = [access for access in loads if kernel.own(access.buffer).resolve() is read]
        if not own:
            continue
        stores = [s for s in group if kernel.own(s.buffer).resolve() is written]
        places = {s.index for s in stores}
        for access in own:
            size = access.buffer.element_type.dtype.itemsize
            if access.index not in places or size != stores[0].buffer.element_type.dtype.itemsize:
                return False
            allowed += 1
    return allowed > 0


def plan(program: Program, donated: Iterable[int] = ()) -> None:
    """Place every buffer of a program; `donated` are the parameters whose memory results may take."""
    Plan(program, donated).run()
