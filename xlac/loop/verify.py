"""Static checks of loop programs: what every schedule must give, whatever the data.

Verified are: what is read has been written by some step; variables and registers exist where they are used; types fit;
vector loops are not nested and decide nothing lane by lane; every index that is affine lies inside its buffer; the
iterations of a parallel loop write to different elements, and read nothing that another one writes.

The range of an index is narrowed by the branches and guards around it: in `if (0 <= t < 3)` t is at most 2, and under
the guard `(0 <= 8*t + i < n)` the sum 8*t + i is one number below n.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from xlac.errors import CompileError
from xlac.ir.shape import PRED
from xlac.loop.ir import (
    Accumulate,
    Apply,
    Assign,
    Atom,
    Buffer,
    Copy,
    FloorDiv,
    For,
    FromIndex,
    FromValue,
    HostCall,
    If,
    Index,
    InRange,
    Kernel,
    Load,
    Loop,
    Mod,
    Program,
    Read,
    Register,
    Statement,
    Step,
    Store,
    Switch,
    Transpose,
    Value,
    Var,
    While,
    atom_range,
    statement_values,
    statements,
)
from xlac.loop.ir import operands as value_operands
from xlac.loop.printer import statement_text

Range = tuple[int, int]  # least and greatest


def verify_program(program: Program) -> None:
    """Check a planned program.

    Raises:
      CompileError: the message names the kernel, the statement and what is wrong with it.
    """
    read, written = _used(program.steps)
    for buffer in read - written:
        _check(buffer.space not in ("temp", "result"), f"{program.name}: {buffer} is read and no step writes it")
    _verify_steps(program, program.steps)


def _used(steps: Iterable[Step]) -> tuple[set[Buffer], set[Buffer]]:
    """The buffers that steps read, and those they write."""
    read: set[Buffer] = set()
    written: set[Buffer] = set()
    for step in steps:
        inner: list[Step] = []
        if isinstance(step, Kernel):
            read.update(step.buffers[0])
            written.update(step.buffers[1])
        elif isinstance(step, Copy):
            read.add(step.source)
            written.add(step.target)
        elif isinstance(step, HostCall):
            read.update(step.operands)
            written.update(step.results)
        elif isinstance(step, While):
            read.add(step.test)
            inner = [*step.condition, *step.body]
        else:
            assert isinstance(step, Switch)
            read.add(step.selector)
            inner = [s for branch in step.branches for s in branch]
        for found, more in zip((read, written), _used(inner)):
            found |= more
    return {b.resolve() for b in read if b.size}, {b.resolve() for b in written}


def _verify_steps(program: Program, steps: Sequence[Step]) -> None:
    for step in steps:
        if isinstance(step, Kernel):
            KernelVerifier(program, step).run()
        elif isinstance(step, Copy):
            _check(
                step.source.bytes == step.target.bytes, f"copy {step.target} = {step.source}: their sizes are different"
            )
            for buffer in (step.source, step.target):
                _check_place(program, buffer, f"copy {step.target.name} = {step.source.name}")
        elif isinstance(step, While):
            _check(step.test.element_type is PRED and step.test.size == 1, f"while: {step.test} must be pred[1]")
            _verify_steps(program, step.condition)
            _verify_steps(program, step.body)
        elif isinstance(step, HostCall):
            for buffer, shape in (*zip(step.operands, step.operand_shapes), *zip(step.results, step.result_shapes)):
                _check(
                    buffer.size == shape.size and buffer.element_type is shape.element_type,
                    f"host {step.name}: {buffer} is not {shape}",
                )
                _check_place(program, buffer, f"host {step.name}")
        else:
            assert isinstance(step, Switch)
            _check(
                step.selector.size == 1 and step.selector.element_type.kind in "ps",
                f"switch: {step.selector} must be one pred or signed integer",
            )
            least = 2 if step.selector.element_type is PRED else 1
            _check(len(step.branches) >= least, f"switch {step.selector.name}: it has {len(step.branches)} branches")
            for branch in step.branches:
                _verify_steps(program, branch)


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise CompileError(message)


def _check_place(program: Program, buffer: Buffer, where: str) -> None:
    """A buffer's memory is inside the arena, or it needs none of it; a merged one has the size of its home."""
    home = buffer.resolve()
    _check(home.bytes == buffer.bytes, f"{where}: {buffer} is merged with {home}, which has another size")
    if home.space == "temp" and buffer.bytes:
        _check(
            0 <= home.offset and home.offset + home.bytes <= program.arena_bytes,
            f"{where}: {home} at {home.offset} is not inside the arena of {program.arena_bytes} bytes",
        )


@dataclass
class Facts:
    """What is known where a statement is: ranges of variables narrower than their own, from the branches around it."""

    ranges: dict[Var, Range] = field(default_factory=dict)
    _divided: dict[Atom, Range] = field(default_factory=dict)  # ranges of divisions and remainders

    def with_condition(self, condition: Value, holds: bool) -> Facts:
        """The facts where a condition holds, or does not."""
        ranges = dict(self.ranges)
        if holds:
            parts = list(conjunction(condition))
        else:
            parts = [condition] if isinstance(condition, InRange) else []
        for part in parts:
            if not isinstance(part, InRange) or len(part.index.terms) != 1:
                continue
            ((variable, factor),) = part.index.terms
            if not isinstance(variable, Var) or factor != 1:
                continue
            low, high = ranges.get(variable, (0, variable.extent - 1))
            first, last = part.low - part.index.const, part.high - part.index.const - 1
            if holds:
                ranges[variable] = max(low, first), min(high, last)
            elif first <= low:
                ranges[variable] = max(low, last + 1), high
            elif last >= high:
                ranges[variable] = low, min(high, first - 1)
        return Facts(ranges)

    def range_of(self, i: Index, leave: Var | None = None) -> Range:
        """The least and greatest value of an index, without the terms of the variable `leave`."""
        low = high = i.const
        for atom, factor in i.terms:
            if atom is not leave:
                a, b = self.atom_range(atom)
                low, high = low + min(factor * a, factor * b), high + max(factor * a, factor * b)
        return low, high

    def atom_range(self, atom: Atom) -> Range:
        if isinstance(atom, Var):
            return self.ranges.get(atom) or atom_range(atom)
        if isinstance(atom, FromValue):
            return atom_range(atom)
        found = self._divided.get(atom)
        if found is None:
            low, high = self.range_of(atom.index)
            found = low // atom.divisor, high // atom.divisor
            if isinstance(atom, Mod):
                found = (low % atom.divisor, high % atom.divisor) if found[0] == found[1] else atom_range(atom)
            self._divided[atom] = found
        return found

    @property
    def impossible(self) -> bool:
        return any(low > high for low, high in self.ranges.values())


def conjunction(condition: Value | None) -> Iterator[Value]:
    """The conditions that all hold where this one does."""
    if isinstance(condition, Apply) and condition.opcode == "and" and condition.element_type is PRED:
        for part in condition.args:
            yield from conjunction(part)
    elif condition is not None:
        yield condition


def under_guard(i: Index, guard: Value | None, leave: Var | None = None) -> Index:
    """An index whose sums that the guard bounds are one variable each; sums with the variable `leave` stay."""
    for test in conjunction(guard):
        if not isinstance(test, InRange) or not test.index.terms or test.high <= test.low:
            continue
        times = _multiple(i, test.index) if leave is None or leave not in test.index.variables else 0
        if not times:
            continue
        whole = Var("sum", test.high - test.low)
        i = i - test.index * times + Index(test.low * times, ((whole, times),))
    return i


@dataclass
class Access:
    """A load or store of a kernel."""

    buffer: Buffer
    index: Index
    guard: Value | None
    facts: Facts
    statement: Statement
    write: bool


class KernelVerifier:
    """Walks one kernel in the order it runs."""

    def __init__(self, program: Program, kernel: Kernel) -> None:
        self.program, self.kernel = program, kernel
        self.variables: set[Var] = set()
        self.assigned: set[Register] = set()
        self.lanes: dict[Register, int] = {}  # of its slot: 1, or the width of the vector loop that declares it
        self.vector: For | None = None
        self.accumulated: set[Register] = set()  # by the vector loop around
        self.accesses: list[Access] = []
        self.statement: Statement | None = None

    def run(self) -> None:
        kernel = self.kernel
        if kernel.parallel is not None:
            alone = len(kernel.body) == 1 and isinstance(kernel.body[0], For)
            self.check(alone and kernel.body[0].var is kernel.parallel, "the parallel loop must be its one outermost")  # type: ignore[union-attr]
            self.check(kernel.grain >= 1, f"its grain is {kernel.grain}")
        self.body(kernel.body, Facts())
        if kernel.parallel is not None:
            self.parallel(kernel.parallel)

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            text = ""
            if self.statement is not None:
                text = statement_text(self.statement)
                text = f"{text if len(text) <= 300 else text[:300] + '...'}: "
            raise CompileError(f"kernel {self.kernel.name}: {text}{what}")

    # ---- statements

    def body(self, body: Iterable[Statement], facts: Facts) -> None:
        for statement in body:
            self.statement = statement
            for value in statement_values(statement):
                self.value(value, statement, facts)
            if isinstance(statement, For):
                self.loop(statement, facts)
            elif isinstance(statement, Store):
                self.store(statement, facts)
            elif isinstance(statement, Assign):
                self.assign(statement)
            elif isinstance(statement, Accumulate):
                self.accumulate(statement)
            elif isinstance(statement, If):
                self.condition(statement)
                before = set(self.assigned)
                self.body(statement.body, facts.with_condition(statement.condition, True))
                after, self.assigned = self.assigned, before
                self.body(statement.otherwise, facts.with_condition(statement.condition, False))
                self.assigned &= after
            elif isinstance(statement, Loop):
                self.condition(statement)
                before = set(self.assigned)
                self.body(statement.body, facts)
                self.assigned = before
            else:
                assert isinstance(statement, Transpose)
                self.transpose(statement)

    def loop(self, loop: For, facts: Facts) -> None:
        self.check(loop.kind in ("serial", "vector"), f"a loop cannot be {loop.kind}")
        self.check(loop.var not in self.variables, f"{loop.var} is the variable of a loop around it too")
        width = loop.width
        self.check(width >= 1 and width & (width - 1) == 0, f"a vector cannot have {width} lanes")
        self.check(loop.kind == "vector" or width == 1, "only vector loops have lanes")
        if not loop.var.extent:
            return
        vector = loop.kind == "vector" and width > 1
        before = set(self.assigned)
        if vector:
            self.check(self.vector is None, f"the vector loop over {loop.var} is inside another vector loop")
            self.vector = loop
            found: dict[Register, str] = {}
            for s in statements(loop.body):
                if isinstance(s, Accumulate) and s.register in before:
                    same = found.setdefault(s.register, s.opcode) == s.opcode
                    self.check(same, f"{s.register.name} is accumulated by two opcodes")
            self.accumulated = set(found)
        if loop.var.extent == 1 and not vector and loop.var is not self.kernel.parallel:
            self.body(loop.body, facts)  # its variable is nowhere: it is 0
        else:
            self.variables.add(loop.var)
            self.body(loop.body, facts)
            self.variables.discard(loop.var)
        self.statement = loop
        if vector:
            self.vector, self.accumulated = None, set()
        if vector:
            self.assigned = before

    def condition(self, statement: If | Loop) -> None:
        self.check(statement.condition.element_type is PRED, f"the condition is {statement.condition.element_type}")
        self.check(not self.varying(statement.condition), "the condition may differ between the lanes")

    def varying(self, value: Value) -> bool:
        if self.vector is None:
            return False
        return self.vector.var in value.variables or any(self.lanes.get(r, 1) > 1 for r in value.registers)

    def width(self) -> int:
        return 1 if self.vector is None else self.vector.width

    def assign(self, s: Assign) -> None:
        self.check(
            s.value.element_type is s.register.element_type,
            f"{s.register.name} is {s.register.element_type}, the value {s.value.element_type}",
        )
        self.check(s.register not in self.accumulated, f"{s.register.name} is assigned while its lanes accumulate")
        lanes = self.lanes.setdefault(s.register, self.width())
        self.check(lanes in (1, self.width()), f"{s.register.name} has {lanes} lanes here and {self.width()} there")
        self.check(lanes > 1 or not self.varying(s.value), f"{s.register.name} has one lane, the value several")
        self.assigned.add(s.register)

    def accumulate(self, s: Accumulate) -> None:
        t = s.register.element_type
        self.check(s.register in self.assigned, f"{s.register.name} is accumulated before it is assigned")
        self.check(s.value.element_type is t, f"{s.register.name} is {t}, the value {s.value.element_type}")
        if s.factor is not None:
            self.check(s.opcode == "add" and t.is_float, f"a factor of {s.opcode} of {t}")
            self.check(s.factor.element_type is t, f"{s.register.name} is {t}, the factor {s.factor.element_type}")
        lanes = self.width() if s.register in self.accumulated else self.lanes[s.register]
        varying = self.varying(s.value) or (s.factor is not None and self.varying(s.factor))
        self.check(lanes > 1 or not varying, f"{s.register.name} has one lane, the value several")

    def store(self, s: Store, facts: Facts) -> None:
        t = s.buffer.element_type
        self.check(s.value.element_type is t, f"{s.buffer.name} is {t}, the value {s.value.element_type}")
        self.check(s.buffer.space != "constant" and s.buffer.resolve().space != "constant", f"{s.buffer} is constant")
        self.check(s.buffer.space != "parameter", f"{s.buffer} is stored to")
        self.place(s.buffer)
        self.access(Access(s.buffer, s.index, s.guard, facts, s, True))
        self.index(s.index)

    def transpose(self, s: Transpose) -> None:
        self.check(s.buffer.resolve().space == "local", f"{s.buffer} is not on the stack")
        self.check(s.size >= 2 and s.size & (s.size - 1) == 0, f"a tile cannot have {s.size} rows")
        inside = s.pitch >= s.size and (s.size - 1) * s.pitch + s.size <= s.buffer.size
        self.check(inside, f"rows {s.pitch} apart are not inside {s.buffer}")
        self.check(self.vector is None, "it is inside a vector loop")

    # ---- values

    def value(self, value: Value, statement: Statement, facts: Facts) -> None:
        """Check a value and all it is computed from; note its loads."""
        seen: set[Value] = set()
        stack = [value]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            stack.extend(value_operands(node))
            if isinstance(node, Read):
                self.check(node.register in self.assigned, f"{node.register.name} is read before it is assigned")
                lanes = self.lanes[node.register]
                here = node.register not in self.accumulated and lanes in (1, self.width())
                self.check(here, f"{node.register.name} has other lanes than its reader")
            elif isinstance(node, Load):
                self.place(node.buffer)
                self.index(node.index)
                self.access(Access(node.buffer, node.index, node.guard, facts, statement, False))
            elif isinstance(node, (FromIndex, InRange)):
                self.index(node.index)

    def index(self, i: Index) -> None:
        """Its variables are those of loops around it."""
        for variable in i.variables:
            self.check(variable in self.variables, f"{variable} is not the variable of a loop around it")

    def place(self, buffer: Buffer) -> None:
        try:
            _check_place(self.program, buffer, "access")
        except CompileError as error:
            self.check(False, str(error))

    def access(self, a: Access) -> None:
        """Its index is inside the buffer, where that can be known: without divisions, or by their ranges alone."""
        if a.guard is not None:
            self.check(a.guard.element_type is PRED, f"the guard is {a.guard.element_type}")
        if a.facts.impossible:
            return
        self.accesses.append(a)
        # Where its guard is false, a load of one element reads the first instead.
        self.check(a.buffer.size > 0, f"{a.buffer} is empty")
        low, high = a.facts.range_of(under_guard(a.index, a.guard))
        inside = low >= 0 and high < a.buffer.size
        if not inside and a.guard is None and affine(a.index):
            verb = "stored to" if a.write else "read"
            self.check(False, f"{a.buffer} is {verb} at {a.index}, which is {low} to {high}")

    # ---- parallel loops

    def parallel(self, variable: Var) -> None:
        """Iterations meet in no memory that one of them writes to."""
        written = {a.buffer.resolve() for a in self.accesses if a.write and a.buffer.resolve().space != "local"}
        for buffer in written:
            accesses = [a for a in self.accesses if a.buffer.resolve() is buffer]
            sizes = {a.buffer.element_type.dtype.itemsize for a in accesses}
            if len(sizes) > 1 or not all(separable(a.index, variable) for a in accesses):
                continue
            self.statement = next(a.statement for a in accesses if a.write)
            self.check(disjoint(accesses, variable), f"iterations of {variable} may meet in {buffer.name}")


def affine(i: Index) -> bool:
    """Whether an index has no divisions, so that its range is exact or a clamped value's own."""
    return all(isinstance(a, (Var, FromValue)) for a, _ in i.terms)


def separable(i: Index, variable: Var) -> bool:
    """Whether an index is a multiple of the variable plus what does not depend on it but by a clamped value."""
    return not any(isinstance(a, (FloorDiv, Mod)) and variable in a.index.variables for a, _ in i.terms)


# Iterations that are looked at one by one; of longer loops it is only seen that every access moves with them.
MAX_TRIED = 1 << 22


def disjoint(accesses: Sequence[Access], variable: Var) -> bool:
    """Whether different values of the variable give places that never coincide.

    Each value's places, taken modulo some period that the other loops step by, lie in an interval; the intervals of
    different values must not overlap.
    """
    if _separated(accesses, variable):
        return True
    pairs = ((w, a) for w in accesses if w.write for a in accesses)
    return all(_far(w, a) or _separated((w, a), variable) for w, a in pairs)


def _far(a: Access, b: Access) -> bool:
    """Whether two accesses never touch the same place, whatever the iterations."""
    (low, high), (least, most) = (x.facts.range_of(under_guard(x.index, x.guard)) for x in (a, b))
    return high < least or most < low


def _separated(accesses: Sequence[Access], variable: Var) -> bool:
    """Whether all places of one iteration are apart from all places of another, for some period."""
    indices = [under_guard(a.index, a.guard, variable) for a in accesses]
    steps = {abs(c) for i in indices for a, c in i.terms if a is not variable}
    steps |= {abs(i.const - indices[0].const) for i in indices} - {0}
    descending = sorted(steps, reverse=True)
    common = itertools.accumulate(descending, math.gcd)
    return any(_apart(accesses, indices, variable, p) for p in dict.fromkeys((0, *descending, *common)))


def _apart(accesses: Sequence[Access], indices: Sequence[Index], variable: Var, period: int) -> bool:
    if variable.extent > MAX_TRIED:
        return all(i.coefficient(variable) for i in indices)
    least = np.full(variable.extent, np.iinfo(np.int64).max)
    greatest = np.full(variable.extent, np.iinfo(np.int64).min)
    for access, i in zip(accesses, indices):
        if period:
            i = Index(i.const % period, tuple((a, c) for a, c in i.terms if c % period or a is variable))
        first, last = access.facts.ranges.get(variable, (0, variable.extent - 1))
        values = np.arange(first, last + 1)
        low, high = _places(access, i, variable, values)
        values, low, high = (x[low <= high] for x in (values, low, high))
        least[values] = np.minimum(least[values], low)
        greatest[values] = np.maximum(greatest[values], high)
    used = least <= greatest
    least, greatest = least[used], greatest[used]
    if not least.size:
        return True
    if period and greatest.max() - least.min() >= period:
        return False
    order = np.argsort(least)
    return bool((greatest[order][:-1] < least[order][1:]).all())


def _places(access: Access, i: Index, variable: Var, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least and greatest index for each of some values of the variable, as the access's guard bounds them."""
    bounds = []
    for test in conjunction(access.guard):
        times = _multiple(i, test.index) if isinstance(test, InRange) and variable in test.index.variables else 0
        if times and isinstance(test, InRange):
            i = i - test.index * times
            low, high = access.facts.range_of(test.index, leave=variable)
            step = test.index.coefficient(variable) * values
            ends = np.maximum(step + low, test.low), np.minimum(step + high, test.high - 1)
            bounds.append((ends[0] * times, ends[1] * times) if times > 0 else (ends[1] * times, ends[0] * times))
    low, high = access.facts.range_of(i, leave=variable)
    step = i.coefficient(variable) * values
    return sum((b[0] for b in bounds), step + low), sum((b[1] for b in bounds), step + high)


def _multiple(i: Index, part: Index) -> int:
    """How many times all terms of `part` are in an index; 0 if they are not."""
    have = dict(i.terms)
    first, factor = part.terms[0]
    times, rest = divmod(have.get(first, 0), factor)
    return times if not rest and all(have.get(a) == times * c for a, c in part.terms) else 0
