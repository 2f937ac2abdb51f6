"""The schedule of dot: register tiles, with the epilogue applied to each tile before it is stored.

A tile is some rows of the left operand by one wide vector of the right operand's columns. Its sums stay in registers over the
whole contraction, each step of which multiplies one broadcast element of the left by one vector of the right.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED
from xlac.loop import ir
from xlac.loop.elemental import (
    Elemental,
    Indices,
    accumulate_statement,
    accumulator_type,
    convert,
    dot_indices,
    linearize,
    vector_width_for,
    zero,
)
from xlac.loop.ir import Accumulate, Assign, Buffer, For, Index, Kernel, Statement, Store, Value, Var, apply, index, load, read
from xlac.loop.rewrite import merge_loops

if TYPE_CHECKING:
    from xlac.loop.schedule import Scheduler

# Nanoseconds of one multiply-add in one lane of a full vector.
_FMA_NS = 0.012


def schedule_dot(s: Scheduler, x: Instruction, left: Buffer, right: Buffer) -> list[ir.Step]:
    """Kernels for the one dot `x` among the live instructions of a scheduler, and all that follows it."""
    lhs, rhs = x.operands
    batch = len(x["lhs_batch_dims"])
    columns = len(rhs.dims) - batch - len(x["rhs_contracting_dims"])
    contracted = [lhs.dims[d] for d in x["lhs_contracting_dims"]]
    wide = accumulator_type(x.shape.element_type)
    total_ns = x.shape.size * math.prod(contracted) * _FMA_NS * (64 / max(s.machine.lanes(wide) * 4, 1))

    column_extent = x.dims[-1] if columns else 1
    if column_extent < 4:
        # Few columns: each result is a sum along the contraction, a vector loop where both operands are contiguous there.
        return s.loops()

    steps: list[ir.Step] = []
    right_index = _access(x, rhs_side=True)
    if right_index.coefficient_of_last_column not in (0, 1):
        right, packed = _transposed(s, x, rhs, right)
        steps.append(packed)
    else:
        packed = None

    e = s.elemental(vector=False)
    out_vars = s.variables(e, x.dims)
    row_positions = [d for d in range(batch, len(x.dims) - columns)]
    k_vars = [e.fresh("k", n) for n in contracted]
    at_out = tuple(index(v) for v in out_vars)
    row = out_vars[row_positions[-1]] if row_positions else None
    rows = row.extent if row is not None else 1

    width = vector_width_for(column_extent, 2 * s.machine.lanes(wide))
    registers_per_vector = max(1, width // s.machine.lanes(wide))
    tile = max(1, (s.machine.vector_registers - 4) // registers_per_vector)
    tiles = -(-rows // tile)
    base, extra = divmod(rows, tiles)

    def right_at(out: Indices, k: Indices) -> Value:
        if packed is not None:
            (offset, strides_out, strides_k) = packed_layout(x, rhs)
            place = Index(offset)
            for i, stride in zip(out, strides_out):
                place = place + i * stride
            for i, stride in zip(k, strides_k):
                place = place + i * stride
            return load(right, place)
        _, places = dot_indices(x, out, k)
        return load(right, linearize(places, rhs.dims))

    def tile_body(first_row: Index, count: int) -> list[Statement]:
        builder = Elemental(s.storage)
        builder._numbers = e._numbers
        sums = [builder.register("acc", wide) for _ in range(count)]
        body: list[Statement] = [Assign(r, zero(wide)) for r in sums]
        inner: list[Statement] = []
        k_at = tuple(index(v) for v in k_vars)
        outs = []
        for r in range(count):
            out = list(at_out)
            if row is not None:
                out[row_positions[-1]] = first_row + r
            outs.append(tuple(out))
        b = convert(right_at(outs[0], k_at), wide)
        for out, register in zip(outs, sums):
            places, _ = dot_indices(x, out, k_at)
            a = convert(load(left, linearize(places, lhs.dims)), wide)
            if wide is PRED:
                inner.append(Accumulate(register, "or", apply("and", wide, b, a)))
            else:
                inner.append(accumulate_statement(register, "add", apply("multiply", wide, b, a)))
        kept, inner = merge_loops([v for v in k_vars if v.extent > 1], inner)
        for variable in reversed(kept):
            inner = [For(variable, inner)]
        body.extend(inner)
        stores: list[Statement] = []
        builder.body = body
        for out, register in zip(outs, sums):
            builder.known[(x, out)] = convert(read(register), x.shape.element_type)
            for root, output in zip(s.roots, s.outputs):
                stores.append(Store(output, linearize(out, x.dims), builder.at(root, out)))
        return [*body, *stores]

    def row_loops() -> list[Statement]:
        if row is None:
            return tile_body(Index(0), 1)
        result: list[Statement] = []
        for count, many, start in ((base + 1, extra, 0), (base, tiles - extra, extra * (base + 1))):
            if many:
                t = e.fresh("t", many)
                body = tile_body(index(t) * count + start, count)
                result.extend([For(t, body)] if many > 1 else body)
        return result

    column = out_vars[-1]
    others = [v for v in out_vars if v is not row and v is not column and v.extent > 1]
    # Outermost the loop that splits best over threads: other dimensions, then columns, whose part of the right operand stays
    # in the cache while the rows go by.
    body: list[Statement] = [For(column, row_loops(), "vector", width)] if column.extent > 1 else row_loops()
    if not others and -(-column.extent // width) < 4 and tiles >= 8 and total_ns > 40_000:
        body = _rows_outermost(e, s, tile_body, row, column, base, extra, tiles, width)
    for variable in reversed(others):
        body = [For(variable, body)]
    steps.append(s.parallel(s.name, body, total_ns))
    return steps


def _rows_outermost(
    e: Elemental, s: Scheduler, tile_body, row: Var, column: Var, base: int, extra: int, tiles: int, width: int
) -> list[Statement]:
    """for tile of rows (outermost, to be split over threads): for vector of columns."""
    t = e.fresh("t", tiles)

    def columns_of(first: Index, count: int) -> list[Statement]:
        body = tile_body(first, count)
        return [For(column, body, "vector", width)] if column.extent > 1 else body

    if not extra:
        return [For(t, columns_of(index(t) * base, base))]
    big = columns_of(index(t) * (base + 1), base + 1)
    small = columns_of(index(t) * base + extra, base)
    return [For(t, [ir.If(ir.in_range(index(t), 0, extra), big, small)])]


class _Access:
    def __init__(self, coefficient: int) -> None:
        self.coefficient_of_last_column = coefficient


def _access(x: Instruction, rhs_side: bool) -> _Access:
    """How the right operand is walked along the result's last dimension."""
    rhs = x.operands[1]
    taken = (*x["rhs_batch_dims"], *x["rhs_contracting_dims"])
    free = [d for d in range(len(rhs.dims)) if d not in taken]
    if not free:
        return _Access(0)
    return _Access(math.prod(rhs.dims[free[-1] + 1 :]))


def packed_layout(x: Instruction, rhs: Instruction) -> tuple[int, list[int], list[int]]:
    """Strides of the packed right operand, [batch, contracted, columns], by result dimension and contracted dimension."""
    lhs = x.operands[0]
    batch = [rhs.dims[d] for d in x["rhs_batch_dims"]]
    k = [rhs.dims[d] for d in x["rhs_contracting_dims"]]
    taken = (*x["rhs_batch_dims"], *x["rhs_contracting_dims"])
    free = [rhs.dims[d] for d in range(len(rhs.dims)) if d not in taken]
    dims = [*batch, *k, *free]
    strides = [math.prod(dims[i + 1 :]) for i in range(len(dims))]
    rows = len(lhs.dims) - len(batch) - len(k)
    out = [*strides[: len(batch)], *([0] * rows), *strides[len(batch) + len(k) :]]
    return 0, out, strides[len(batch) : len(batch) + len(k)]


def _transposed(s: Scheduler, x: Instruction, rhs: Instruction, right: Buffer) -> tuple[Buffer, Kernel]:
    """A copy of the right operand as [batch, contracted, columns], so that columns are neighbours."""
    packed = Buffer(f"{s.name}.packed", right.element_type, right.size)
    e = s.elemental(vector=False)
    taken = (*x["rhs_batch_dims"], *x["rhs_contracting_dims"])
    free = [d for d in range(len(rhs.dims)) if d not in taken]
    order = [*taken, *free]
    variables = [e.fresh("p", n) for n in rhs.dims]
    place = linearize([index(variables[d]) for d in order], [rhs.dims[d] for d in order])
    source = linearize([index(v) for v in variables], rhs.dims)
    loops = [variables[d] for d in order]
    kernel = s.nest(f"{s.name}.pack", loops, [Store(packed, place, load(right, source))], vector=True)
    return packed, kernel
