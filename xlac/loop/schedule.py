"""Schedules: how a kernel's values are looped over. Fusion decided what is computed together; here it is decided how.

Every schedule gives kernels that store the roots of a computation into their buffers. It may reorder, vectorise and
split loops, but never changes in which order the terms of a sum are added by the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from xlac.ir.module import Instruction
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape, ElementType
from xlac.loop import ir
from xlac.loop.elemental import (
    Elemental,
    Indices,
    Storage,
    accumulate_statement,
    accumulator_type,
    convert,
    linearize,
    monoid_identity,
    reduce_indices,
    update_starts,
    vector_width_for,
)
from xlac.loop.ir import (
    Apply,
    Assign,
    Buffer,
    For,
    If,
    Kernel,
    Load,
    Statement,
    Store,
    Value,
    Var,
    const,
    index,
    load,
    read,
)
from xlac.loop.rewrite import merge_loops, split_phases
from xlac.loop.transpose import tile_loops

# Nanoseconds an elementwise opcode takes in one lane of a full vector; those not listed take the default.
_OPCODE_NS = {
    "exponential": 0.2,
    "exponential-minus-one": 0.3,
    "log": 0.3,
    "log-plus-one": 0.35,
    "tanh": 0.3,
    "logistic": 0.3,
    "erf": 0.4,
    "sine": 0.3,
    "cosine": 0.3,
    "tan": 0.5,
    "power": 1.5,
    "cbrt": 0.5,
    "atan2": 0.8,
    "divide": 0.1,
    "remainder": 1.0,
    "sqrt": 0.1,
    "rsqrt": 0.1,
}
_DEFAULT_NS = 0.02
_BYTE_NS = 0.04

# A kernel is split over threads when it takes longer than this, in pieces of at least PIECE_NS.
PARALLEL_NS = 40_000.0
PIECE_NS = 10_000.0

# Vectors of neighbouring columns that a reduction over rows keeps sums of: a few cache lines of each row at a time.
COLUMN_VECTORS = 8

# Loops that kernels merged into one have together.
MAX_MERGED = 64

# The longest row, in bytes, that is kept on the stack between two passes over it.
ROW_BYTES = 1 << 15


@dataclass(frozen=True)
class Machine:
    """What a schedule has to know of the processor: bytes in a vector register, the number of them, and whether
    kernels may be split over threads (which changes no result)."""

    vector_bytes: int = 64
    vector_registers: int = 32
    parallel: bool = True

    def lanes(self, element_type: ElementType) -> int:
        """Lanes of a full vector; types narrower than four bytes are computed in four."""
        return max(1, self.vector_bytes // max(4, element_type.real.dtype.itemsize))


def parallel_kernel(
    machine: Machine, name: str, body: list[Statement], total_ns: float, contract: bool = False
) -> Kernel:
    """A kernel whose one outer loop is split over threads if that pays."""
    if machine.parallel and len(body) == 1 and isinstance(body[0], For) and total_ns > PARALLEL_NS:
        outer = body[0]
        units = -(-outer.var.extent // outer.width)
        grain = max(1, math.ceil(units * PIECE_NS / total_ns))
        if grain < units:
            return Kernel(name, body, outer.var, grain, contract)
    return Kernel(name, body, contract=contract)


def live_instructions(roots: Sequence[Instruction], storage: dict[Instruction, Storage]) -> list[Instruction]:
    """What must be computed for the roots, operands first: everything above them that is not in memory."""
    order: list[Instruction] = []
    done: set[Instruction] = set()
    stack = [(r, False) for r in reversed(roots)]
    while stack:
        x, leaving = stack.pop()
        if leaving:
            order.append(x)
        elif x not in done and x not in storage:
            done.add(x)
            stack.append((x, True))
            stack.extend((o, False) for o in reversed(x.operands))
    return order


def schedule(
    name: str,
    roots: Sequence[Instruction],
    outputs: Sequence[Buffer],
    storage: dict[Instruction, Storage],
    machine: Machine,
) -> list[ir.Step]:
    """Kernels that store `roots` (arrays of equal or, around reductions, related dimensions) into `outputs`."""
    live = live_instructions(roots, storage)
    scheduler = Scheduler(name, list(roots), list(outputs), storage, machine, live)
    kinds = {x.opcode.name for x in live}
    if len(roots) == 1 and roots[0].is_a("dynamic-update-slice"):
        return scheduler.update_in_place()
    if len(roots) == 1 and roots[0].is_a("concatenate"):
        return scheduler.concatenate()
    if kinds & {"dot", "convolution"}:
        steps = scheduler.contraction()
        if steps is not None:
            return steps
    if "reduce" in kinds:
        steps = scheduler.reduction()
        if steps is not None:
            return steps
    return scheduler.loops()


class Scheduler:
    """The schedules of one kernel; each method is one of them and gives None where it does not apply."""

    def __init__(
        self,
        name: str,
        roots: list[Instruction],
        outputs: list[Buffer],
        storage: dict[Instruction, Storage],
        machine: Machine,
        live: list[Instruction],
    ) -> None:
        self.name, self.roots, self.outputs, self.storage, self.machine, self.live = (
            name,
            roots,
            outputs,
            storage,
            machine,
            live,
        )
        types = [leaf.element_type for x in live for leaf in ([x.shape] if isinstance(x.shape, ArrayShape) else [])]
        self.width = min(
            (machine.lanes(t) for t in types if t.kind != "p"), default=machine.lanes(roots[0].shape.element_type)
        )

    def elemental(self, vector: bool) -> Elemental:
        """A fresh value builder, whose reductions are vector loops if `vector`."""
        return Elemental(self.storage, self.width if vector else 1)

    def variables(self, e: Elemental, dims: Sequence[int]) -> list[Var]:
        return [e.fresh("ijklmnop"[min(d, 7)], n) for d, n in enumerate(dims)]

    # ---- loops over the elements of the results

    def loops(self) -> list[ir.Step]:
        """One nest over the dimensions of the roots; equal dimensions share a nest."""
        groups: dict[tuple[int, ...], list[tuple[Instruction, Buffer]]] = {}
        for root, output in zip(self.roots, self.outputs):
            if root.shape.size:
                groups.setdefault(root.dims, []).append((root, output))
        steps: list[ir.Step] = []
        for dims, pairs in groups.items():
            inner = any(self._wants_inner_vector(x) for x in live_instructions([r for r, _ in pairs], self.storage))
            e = self.elemental(vector=inner)
            variables = self.variables(e, dims)
            at = tuple(index(v) for v in variables)
            values = [e.at(root, at) for root, _ in pairs]
            body = [*e.body, *(Store(o, linearize(at, dims), v) for (_, o), v in zip(pairs, values))]
            steps.append(self.nest(self.name, variables, body, vector=not inner))
        return steps

    @staticmethod
    def _wants_inner_vector(x: Instruction) -> bool:
        """Whether an instruction is a loop by itself whose last dimension should be the vector loop."""
        if x.is_a("reduce"):
            rank = len(x.operands[0].dims)
            return rank - 1 in x["dimensions"] and monoid(x["to_apply"]) is not None and x.operands[0].dims[-1] >= 4
        if x.is_a("dot"):
            lhs, rhs = x.operands
            return x["lhs_contracting_dims"] == (len(lhs.dims) - 1,) and x["rhs_contracting_dims"] == (
                len(rhs.dims) - 1,
            )
        return False

    def nest(
        self, name: str, variables: Sequence[Var], body: list[Statement], vector: bool, last: int | None = None
    ) -> Kernel:
        """A kernel of loops over `variables`, outermost first, with the innermost a vector loop if `vector`."""
        kept = [v for v in variables if v.extent > 1]
        kept, body = merge_loops(kept, body)
        cost = body_ns(body, self.width if vector else 1)
        if vector:
            kept, body = split_phases(kept, body)
        tiled = tile_loops(kept, body, self.width) if vector else None
        if tiled is not None:
            return self.parallel(name, tiled, 2 * cost * math.prod(v.extent for v in kept))
        for depth, variable in enumerate(reversed(kept)):
            if depth == 0 and vector:
                body = [For(variable, body, "vector", vector_width_for(variable.extent, self.width))]
            else:
                body = [For(variable, body)]
        return self.parallel(name, body, cost * math.prod(v.extent for v in kept))

    def parallel(self, name: str, body: list[Statement], total_ns: float) -> Kernel:
        return parallel_kernel(self.machine, name, body, total_ns)

    # ---- pieces

    def concatenate(self) -> list[ir.Step]:
        """One nest for each operand, into its part of the result."""
        (root,), (output,) = self.roots, self.outputs
        (dim,) = root["dimensions"]
        steps: list[ir.Step] = []
        start = 0
        for operand in root.operands:
            if operand.shape.size:
                e = self.elemental(vector=False)
                variables = self.variables(e, operand.dims)
                at = tuple(index(v) for v in variables)
                value = e.at(operand, at)
                place = linearize((*at[:dim], at[dim] + start, *at[dim + 1 :]), root.dims)
                steps.append(self.nest(self.name, variables, [*e.body, Store(output, place, value)], vector=True))
            start += operand.dims[dim]
        return merge_kernels(self.name, steps)

    def update_in_place(self) -> list[ir.Step]:
        """dynamic-update-slice: the operand is copied, which the buffer plan makes nothing where it may, then the
        slice written."""
        (root,), (output,) = self.roots, self.outputs
        operand, update = root.operands[:2]
        steps: list[ir.Step] = []
        source = self.elemental(vector=False).buffer_of(operand)
        if source is not None:
            steps.append(ir.Copy(source, output))
        elif root.shape.size:
            e = self.elemental(vector=False)
            variables = self.variables(e, root.dims)
            at = tuple(index(v) for v in variables)
            value = e.at(operand, at)
            steps.append(
                self.nest(self.name, variables, [*e.body, Store(output, linearize(at, root.dims), value)], True)
            )
        if update.shape.size:
            e = self.elemental(vector=False)
            variables = self.variables(e, update.dims)
            at = tuple(index(v) for v in variables)
            # The update may read the operand elsewhere; then the copy must not have become nothing, which the plan sees
            # by the kernel's loads.
            place = linearize(tuple(j + s for j, s in zip(at, update_starts(e, root))), root.dims)
            value = e.at(update, at)
            steps.append(self.nest(self.name, variables, [*e.body, Store(output, place, value)], True))
        return steps

    # ---- reductions

    def reduction(self) -> list[ir.Step] | None:
        """Rows: every reduce is over the same trailing dimensions of equal operands, and a loop over the leading
        dimensions makes passes over the row. Few long sums are split in two stages."""
        reduces = [x for x in self.live if x.is_a("reduce")]
        first = reduces[0]
        dims = first.operands[0].dims
        reduced = sorted(first["dimensions"])
        if any(x.operands[0].dims != dims or sorted(x["dimensions"]) != reduced for x in reduces):
            return None
        lead = tuple(n for d, n in enumerate(dims) if d not in reduced)
        if any(r.shape.size == 0 for r in self.roots if isinstance(r.shape, ArrayShape)) or 0 in dims:
            return None
        trailing = reduced == list(range(len(dims) - len(reduced), len(dims)))
        if all(self._is_reduce_result(r) for r in self.roots):
            steps = self._two_stages(reduces, lead, dims, reduced)
            if steps is not None:
                return steps
        if not trailing or any(r.dims not in (lead, dims) for r in self.roots):
            return None
        if any(monoid(x["to_apply"]) is None for x in reduces) or not reduced:
            return None
        if math.prod(dims[d] for d in reduced) < 4 and math.prod(lead) >= 4:
            return None
        return [self._rows(reduces, lead, dims)]

    def _is_reduce_result(self, x: Instruction) -> bool:
        return x.is_a("reduce")

    def _rows(self, reduces: list[Instruction], lead: tuple[int, ...], dims: tuple[int, ...]) -> Kernel:
        e = self.elemental(vector=False)
        lead_vars = self.variables(e, lead)
        at_lead = tuple(index(v) for v in lead_vars)
        rank = len(lead)
        level: dict[Instruction, int] = {}
        depends: dict[Instruction, int] = {}
        for x in self.live:
            above = max((depends.get(o, 0) for o in x.operands), default=0)
            if x in reduces:
                level[x] = above
                above += 1
            depends[x] = above
        body: list[Statement] = []
        row = dims[rank:]
        width = vector_width_for(row[-1], 2 * self.width)
        kept_rows = self._values_worth_keeping(reduces, level, dims)
        kept_buffers: dict[Instruction, Buffer] = {}
        wide_roots = [(r, o) for r, o in zip(self.roots, self.outputs) if r.dims != lead]
        for depth in range(max(level.values()) + 1):
            group = [x for x in reduces if level[x] == depth]
            registers = []
            e.leave(body)
            for x in group:
                name = monoid(x["to_apply"])
                kept = x.shape.element_type
                wide = accumulator_type(kept) if name in ("add", "multiply") else kept
                register = e.register("acc", wide)
                registers.append(register)
                body.append(Assign(register, convert(e.at(x.operands[1], ()), wide)))
            row_vars = [e.fresh("r", n) for n in row]
            row_at = tuple(index(v) for v in row_vars)
            at = (*at_lead, *row_at)
            inner: list[Statement] = []
            e.leave(inner)
            self._use_kept(e, kept_buffers, at, row_at, row)
            for x in kept_rows.get(depth, ()):
                kept_buffers[x] = Buffer(f"{x.name}.row", x.shape.element_type, math.prod(row), "local")
                inner.append(Store(kept_buffers[x], linearize(row_at, row), e.at(x, at)))
            # What a reduce takes and the kernel gives is computed once.
            taken = set(live_instructions([x.operands[0] for x in group], self.storage))
            for root, output in [pair for pair in wide_roots if pair[0] in taken]:
                inner.append(Store(output, linearize(at, dims), e.at(root, at)))
                wide_roots.remove((root, output))
            for x, register in zip(group, registers):
                # The operand's indices in the order of the row, whatever order the reduce names its dimensions in.
                value = convert(e.at(x.operands[0], at), register.element_type)
                inner.append(accumulate_statement(register, str(monoid(x["to_apply"])), value))
            body.extend(loop_nest(row_vars, inner, width))
            e.leave(body)
            for x, register in zip(group, registers):
                e.known[(x, at_lead)] = convert(read(register), x.shape.element_type)
        stores: list[Statement] = []
        row_vars = [e.fresh("j", n) for n in row]
        row_at = tuple(index(v) for v in row_vars)
        at = (*at_lead, *row_at)
        e.leave(stores)
        self._use_kept(e, kept_buffers, at, row_at, row)
        for root, output in zip(self.roots, self.outputs):
            if root.dims == lead:
                e.leave(body)
                body.append(Store(output, linearize(at_lead, lead), e.at(root, at_lead)))
                e.leave(stores)
        values = [e.at(r, at) for r, _ in wide_roots]
        stores.extend(Store(o, linearize(at, dims), v) for (_, o), v in zip(wide_roots, values))
        if wide_roots:
            body.extend(loop_nest(row_vars, stores, vector_width_for(row[-1], self.width)))
        cost = body_ns(body, self.width)
        kept = [v for v in lead_vars if v.extent > 1]
        kept, body = merge_loops(kept, body)
        for variable in reversed(kept):
            body = [For(variable, body)]
        return self.parallel(self.name, body, cost * math.prod(lead))

    def _use_kept(
        self, e: Elemental, kept: dict[Instruction, Buffer], at: Indices, row_at: Indices, row: tuple[int, ...]
    ) -> None:
        """Let values kept from an earlier pass be loaded."""
        for x, buffer in kept.items():
            e.known[(x, at)] = load(buffer, linearize(row_at, row))

    def _values_worth_keeping(
        self, reduces: list[Instruction], level: dict[Instruction, int], dims: tuple[int, ...]
    ) -> dict[int, list[Instruction]]:
        """Costly row values that one pass computes and a later one needs again, by the first pass that computes
        them."""
        row_size = math.prod(dims[d] for d in range(len(dims)) if d in reduces[0]["dimensions"])
        passes = max(level.values()) + 1
        needed: list[list[Instruction]] = []
        for depth in range(passes + 1):
            tops = [x.operands[0] for x in reduces if level[x] == depth] if depth < passes else self.roots
            needed.append([x for x in live_instructions(tops, {**self.storage, **dict.fromkeys(reduces, ())})])
        result: dict[int, list[Instruction]] = {}
        seen: set[Instruction] = set()
        for depth in range(passes):
            later = {x for d in range(depth + 1, passes + 1) for x in needed[d]}
            for x in needed[depth]:
                costly = _OPCODE_NS.get(x.opcode.name, 0.0) >= 0.2 and x.dims == dims
                size = row_size * x.shape.element_type.dtype.itemsize if costly else 0
                if costly and x in later and x not in seen and size <= ROW_BYTES:
                    seen.add(x)
                    result.setdefault(depth, []).append(x)
        return result

    def _two_stages(
        self, reduces: list[Instruction], lead: tuple[int, ...], dims: tuple[int, ...], reduced: list[int]
    ) -> list[ir.Step] | None:
        """Partial results for pieces of the first reduced dimension, then their reduction; pieces depend on shapes
        alone."""
        count = math.prod(dims[d] for d in reduced)
        kept = math.prod(lead)
        extent = dims[reduced[0]]
        pieces = min(extent, count * kept // 32768, 128)
        if pieces < 2 or kept > 4096 or (kept >= 64 and count < 1024) or count < 4096:
            return None
        if any(monoid(x["to_apply"]) is None for x in reduces) or set(reduces) != set(self.roots):
            return None
        size = -(-extent // pieces)
        pieces = -(-extent // size)
        tail = extent - (pieces - 1) * size
        vector_inside = len(dims) - 1 in reduced and (dims[-1] if reduced[0] != len(dims) - 1 else size) >= 4
        partials = []
        e = self.elemental(vector=vector_inside)
        piece = e.fresh("piece", pieces)
        branches = []
        for root, output in zip(self.roots, self.outputs):
            name = str(monoid(root["to_apply"]))
            wide = accumulator_type(root.shape.element_type) if name in ("add", "multiply") else root.shape.element_type
            partials.append((root, output, name, wide, Buffer(f"{output.name}.partial", wide, pieces * kept)))
        for n in (size, tail):
            e.leave([])
            lead_vars = [e.fresh("i", d) for d in lead]
            at_lead = tuple(index(v) for v in lead_vars)
            stores: list[Statement] = []
            for root, _, name, wide, partial in partials:
                extents = [n if d == reduced[0] else dims[d] for d in reduced]

                def element(
                    r: Indices, root: Instruction = root, wide: ElementType = wide, at_lead: Indices = at_lead
                ) -> list[Value]:
                    shifted = (r[0] + index(piece) * size, *r[1:])
                    by_dim = dict(zip(reduced, shifted))
                    order = tuple(by_dim[d] for d in root["dimensions"])
                    return [convert(e.at(root.operands[0], reduce_indices(root, at_lead, order)), wide)]

                identity = const(wide, monoid_identity(name, wide))
                (total,) = e.accumulate(extents, [identity], element, name, vector=vector_inside)
                stores.append(Store(partial, index(piece) * kept + linearize(at_lead, lead), total))
            body = [*e.body, *stores]
            live_vars = [v for v in lead_vars if v.extent > 1]
            live_vars, body = merge_loops(live_vars, body)
            for depth, variable in enumerate(reversed(live_vars)):
                if depth == 0 and not vector_inside:
                    width = vector_width_for(variable.extent, COLUMN_VECTORS * self.width)
                    body = [For(variable, body, "vector", width)]
                else:
                    body = [For(variable, body)]
            branches.append(body)
        whole, last = branches
        inner = whole if size == tail else [If(ir.in_range(index(piece), 0, pieces - 1), whole, last)]
        first = Kernel(self.name, [For(piece, inner)], piece if self.machine.parallel else None, 1)
        e = self.elemental(vector=True)
        lead_vars = [e.fresh("i", d) for d in lead]
        at_lead = tuple(index(v) for v in lead_vars)
        stores = []
        for root, output, name, wide, partial in partials:
            initial = convert(e.at(root.operands[1], ()), wide)

            def part(r: Indices, partial: Buffer = partial) -> list[Value]:
                return [load(partial, r[0] * kept + linearize(at_lead, lead))]

            (total,) = e.accumulate([pieces], [initial], part, name, vector=kept == 1)
            stores.append(Store(output, linearize(at_lead, lead), convert(total, root.shape.element_type)))
        second = self.nest(f"{self.name}.combine", lead_vars, [*e.body, *stores], vector=kept > 1)
        return [first, second]

    # ---- dot, convolution

    def contraction(self) -> list[ir.Step] | None:
        """Register tiles of the one dot or convolution, which the roots have the dimensions of."""
        from xlac.loop.contraction import schedule_contraction

        found = [x for x in self.live if x.is_a("dot", "convolution")]
        if len(found) != 1 or any(r.dims != found[0].dims for r in self.roots):
            return None
        return schedule_contraction(self, found[0])


def loop_nest(variables: Sequence[Var], body: list[Statement], width: int) -> list[Statement]:
    """Loops over `variables`, the last one a vector loop; neighbouring ones that walk memory as one are merged."""
    kept = [v for v in variables if v.extent > 1]
    kept, body = merge_loops(kept, body)
    for depth, variable in enumerate(reversed(kept)):
        body = [
            For(variable, body, "vector", vector_width_for(variable.extent, width))
            if depth == 0
            else For(variable, body)
        ]
    return body


def merge_kernels(name: str, steps: list[ir.Step]) -> list[ir.Step]:
    """Small serial kernels in a row as one."""
    result: list[ir.Step] = []
    for step in steps:
        last = result[-1] if result else None
        serial = [k for k in (step, last) if isinstance(k, Kernel) and k.parallel is None]
        if len(serial) == 2 and sum(len(k.body) for k in serial) <= MAX_MERGED:
            last.body.extend(step.body)  # type: ignore[union-attr]
        else:
            result.append(step)
    return result


def body_ns(body: Sequence[Statement], width: int) -> float:
    """About how long one run of the statements takes."""
    total = 0.0
    seen: set[Value] = set()
    for statement in body:
        if isinstance(statement, For):
            inner = body_ns(statement.body, statement.width if statement.width > 1 else width)
            total += inner * statement.var.extent
        elif isinstance(statement, If):
            total += max(body_ns(statement.body, width), body_ns(statement.otherwise, width))
        else:
            for value in ir.statement_values(statement):
                total += value_ns(value, width, seen)
            if isinstance(statement, Store):
                total += _BYTE_NS * statement.buffer.element_type.dtype.itemsize
    return total


def value_ns(value: Value, width: int, seen: set[Value]) -> float:
    """About how long a value takes, what is in `seen` excepted; adds it there."""
    total = 0.0
    stack = [value]
    slow = 16 / max(width, 1)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, Apply):
            total += _OPCODE_NS.get(node.opcode, _DEFAULT_NS) * slow
            stack.extend(node.args)
        elif isinstance(node, Load):
            total += _BYTE_NS * node.buffer.element_type.dtype.itemsize
    return total
