"""The schedule of dot and convolution: register tiles, with the epilogue applied to each tile before it is stored.

Both are sums of products a(out, k) * b(out, k) over contracted indices k. One dimension of the result, the *column*,
is the vector loop; a tile is one wide vector of columns by several *rows*, indices of another dimension which the
operand that varies with the column does not depend on. The tile's sums stay in registers over the whole contraction,
each step of which loads one vector and multiplies it by one broadcast element for every row.

Operands are brought into a form that needs no tests and has neighbouring columns side by side: a padded or dilated
convolution input is written out with its zeros, an operand that steps over memory along the column is transposed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED, ElementType
from xlac.ir.window import WindowDim
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
from xlac.loop.ir import (
    Accumulate,
    Assign,
    Buffer,
    For,
    Index,
    Register,
    Statement,
    Store,
    Value,
    Var,
    apply,
    index,
    load,
    read,
)
from xlac.loop.rewrite import merge_loops
from xlac.loop.windows import window_place

if TYPE_CHECKING:
    from xlac.loop.schedule import Scheduler

# Nanoseconds of one multiply-add in one lane of a full vector.
_FMA_NS = 0.012
# Nanoseconds to read a byte once.
_BYTE_NS = 0.04
# Lines of a first-level cache that share its sets are this far apart, and so many of them find place at once.
_SETS_BYTES, _LINE_BYTES, _WAYS = 4096, 64, 7
# The longest epilogue, in opcodes, that is written out for every row of a tile.
_UNROLLED_OPERATIONS = 6

Operand = Callable[[Indices, Indices], Value]


@dataclass
class Contraction:
    """x[out] = sum over k of a(out, k) * b(out, k).

    Attributes:
      x: the instruction.
      extents: those of the contracted indices.
      a, b: the operands' elements by the indices of the result and the contracted indices, none of them guarded.
      steps: what prepares the operands.
      pack: the dimensions of the result besides the column that b depends on, if b may be packed into panels.
      crossing: b steps over memory along the column.
    """

    x: Instruction
    extents: list[int]
    a: Operand
    b: Operand
    steps: list[ir.Step]
    pack: list[int] | None = None
    crossing: bool = False


def schedule_contraction(s: Scheduler, x: Instruction) -> list[ir.Step] | None:
    """Kernels for the one dot or convolution `x` among a scheduler's live instructions, and all that follows it.

    None where tiles make no sense: results with few columns, sums of nothing, transposing for few rows.
    """
    e = s.elemental(vector=False)
    operands = [e.buffer_of(o) for o in x.operands]
    left, right = operands[0], operands[1]
    if left is None or right is None or 0 in x.dims or not x.dims:
        return None
    column = len(x.dims) - 1
    if x.dims[column] < 4:
        return None
    if x.is_a("dot"):
        contraction = _dot(s, x, left, right)
    else:
        contraction = _convolution(s, x, left, right)
    if contraction is None or 0 in contraction.extents:
        return None
    tiling = Tiling(s, contraction, column)
    if contraction.crossing and tiling.rows < 4:
        return None  # a sum along both operands' rows is quicker than transposing one for so few uses
    return tiling.steps()


# ---- operands


def _transposed(
    s: Scheduler, source: Buffer, dims: Sequence[int], order: Sequence[int], name: str
) -> tuple[Buffer, list[int], ir.Step]:
    """A copy with its dimensions in another order; gives the pitch of each original dimension in it too."""
    packed = Buffer(f"{s.name}.{name}", source.element_type, source.size)
    e = s.elemental(vector=False)
    variables = [e.fresh("p", n) for n in dims]
    place = linearize([index(variables[d]) for d in order], [dims[d] for d in order])
    value = load(source, linearize([index(v) for v in variables], dims))
    kernel = s.nest(f"{s.name}.{name}", [variables[d] for d in order], [Store(packed, place, value)], vector=True)
    pitch = [0] * len(dims)
    step = 1
    for d in reversed(order):
        pitch[d] = step
        step *= dims[d]
    return packed, pitch, kernel


def _pitches(dims: Sequence[int]) -> list[int]:
    return [math.prod(dims[d + 1 :]) for d in range(len(dims))]


def _strided(buffer: Buffer, pitch: Sequence[int], at: Indices) -> Value:
    place = Index(0)
    for i, step in zip(at, pitch):
        place = place + i * step
    return load(buffer, place)


def _dot(s: Scheduler, x: Instruction, left: Buffer, right: Buffer) -> Contraction | None:
    lhs, rhs = x.operands
    extents = [lhs.dims[d] for d in x["lhs_contracting_dims"]]
    taken = (*x["rhs_batch_dims"], *x["rhs_contracting_dims"])
    free = [d for d in range(len(rhs.dims)) if d not in taken]
    if not free or not extents:
        return None
    pitch = _pitches(rhs.dims)
    batch = len(x["rhs_batch_dims"])
    first_column = len(x.dims) - len(free)

    def a(out: Indices, k: Indices) -> Value:
        return load(left, linearize(dot_indices(x, out, k)[0], lhs.dims))

    def b(out: Indices, k: Indices) -> Value:
        return _strided(right, pitch, dot_indices(x, out, k)[1])

    others = [*range(batch), *range(first_column, len(x.dims) - 1)]
    return Contraction(x, extents, a, b, [], others, pitch[free[-1]] != 1)


def _convolution(s: Scheduler, x: Instruction, left: Buffer, right: Buffer) -> Contraction | None:
    lhs, kernel = x.operands
    d, window = x["dim_labels"], x["window"]
    feature_groups, batch_groups = x["feature_group_count"], x["batch_group_count"]
    features, out_features = kernel.dims[d.kernel_input_feature], kernel.dims[d.kernel_output_feature]
    steps: list[ir.Step] = []
    input_dims = list(lhs.dims)
    if any(w.pad_low or w.pad_high or w.lhs_dilate != 1 for w in window):
        left, input_dims, step = _padded(s, left, lhs, x)
        steps.append(step)
    input_pitch = _pitches(input_dims)
    kernel_pitch = _pitches(kernel.dims)
    by_feature = d.output_feature == len(x.dims) - 1
    if by_feature and kernel_pitch[d.kernel_output_feature] != 1:
        order = [*d.kernel_spatial, d.kernel_input_feature, d.kernel_output_feature]
        right, kernel_pitch, step = _transposed(s, right, kernel.dims, order, "packed")
        steps.append(step)
    last = d.output_spatial.index(len(x.dims) - 1) if len(x.dims) - 1 in d.output_spatial else None
    if last is not None and input_pitch[d.input_spatial[last]] != 1:
        order = [i for i in range(len(input_dims)) if i != d.input_spatial[last]] + [d.input_spatial[last]]
        left, input_pitch, step = _transposed(s, left, input_dims, order, "input")
        steps.append(step)
    batch = input_dims[d.input_batch] // batch_groups

    def a(out: Indices, k: Indices) -> Value:
        o, row = out[d.output_feature], out[d.output_batch]
        at = [Index(0)] * len(input_dims)
        group = o.floordiv(out_features // feature_groups) * features if feature_groups > 1 else Index(0)
        if batch_groups > 1:
            row = o.floordiv(out_features // batch_groups) * batch + row
        at[d.input_batch], at[d.input_feature] = row, group + k[-1]
        for i, j, w, offset in zip(d.input_spatial, d.output_spatial, window, k):
            inside = Index(w.size - 1) - offset if w.reversal else offset
            at[i] = out[j] * w.stride + inside * w.rhs_dilate
        return _strided(left, input_pitch, tuple(at))

    def b(out: Indices, k: Indices) -> Value:
        at = [Index(0)] * len(kernel.dims)
        at[d.kernel_input_feature], at[d.kernel_output_feature] = k[-1], out[d.output_feature]
        for i, offset in zip(d.kernel_spatial, k):
            at[i] = offset
        return _strided(right, kernel_pitch, tuple(at))

    pack = [] if by_feature and feature_groups == batch_groups == 1 else None
    return Contraction(x, [*(w.size for w in window), features], a, b, steps, pack)


def _padded(s: Scheduler, left: Buffer, lhs: Instruction, x: Instruction) -> tuple[Buffer, list[int], ir.Step]:
    """The convolution's input with its padding and the holes of its dilation written out as zeros."""
    d, window = x["dim_labels"], x["window"]
    dims = list(lhs.dims)
    for i, w in zip(d.input_spatial, window):
        dims[i] = w.base_extent(lhs.dims[i])
    whole = Buffer(f"{s.name}.padded", left.element_type, math.prod(dims))
    e = s.elemental(vector=False)
    variables = [e.fresh("p", n) for n in dims]
    at = [index(v) for v in variables]
    guard: Value | None = None
    for i, w in zip(d.input_spatial, window):
        one = WindowDim(1, 1, w.pad_low, w.pad_high, w.lhs_dilate)
        at[i], test = window_place(one, at[i], Index(0), lhs.dims[i])
        if test is not None:
            guard = test if guard is None else apply("and", PRED, guard, test)
    value = load(left, linearize(at, lhs.dims), guard)
    if guard is not None:
        value = apply("select", left.element_type, guard, value, zero(left.element_type))
    place = linearize([index(v) for v in variables], dims)
    return whole, dims, s.nest(f"{s.name}.pad", variables, [Store(whole, place, value)], vector=True)


# ---- tiles


class Tiling:
    """The tiles of one contraction."""

    def __init__(self, s: Scheduler, c: Contraction, column: int) -> None:
        self.s, self.c, self.x = s, c, c.x
        self.wide: ElementType = accumulator_type(c.x.shape.element_type)
        self.e = s.elemental(vector=False)
        self.out = s.variables(self.e, c.x.dims)
        self.k = [self.e.fresh("k", n) for n in c.extents]
        self.column = column
        self.at: list[Index] = [index(v) for v in self.out]
        self.panel: Var | None = None
        self.lane: Var | None = None
        self.packed_rows: Callable[[Indices, Index, int, Indices], Value] | None = None
        lanes = s.machine.lanes(self.wide)
        self.row = self._choose_row()
        # Two vectors of columns for as many rows as there are registers for; more where there are few rows.
        spare = s.machine.vector_registers - 4
        self.rows = c.x.dims[self.row] if self.row is not None else 1
        vectors = 2
        while vectors < 16 and 2 * vectors * self.rows <= spare:
            vectors *= 2
        self.width = vector_width_for(c.x.dims[column], vectors * lanes)
        registers = max(1, self.width // lanes) * (2 if self.wide.is_complex else 1)
        self.most_rows = max(1, spare // registers)

    def _choose_row(self) -> int | None:
        """The dimension that tiles have rows of: the longest that only the broadcast operand depends on."""
        at, k = tuple(index(v) for v in self.out), tuple(index(v) for v in self.k)
        a, b = self.c.a(at, k), self.c.b(at, k)
        column = self.out[self.column]
        vectors = [v for v in (a, b) if column in v.variables]
        best: int | None = None
        for d, v in enumerate(self.out):
            if d == self.column or v.extent == 1 or any(v in x.variables for x in vectors):
                continue
            if best is None or v.extent >= self.out[best].extent:
                best = d
        return best

    def steps(self) -> list[ir.Step]:
        x, s = self.x, self.s
        row = self.out[self.row] if self.row is not None else None
        tiles = self._tile_count()
        base, extra = divmod(self.rows, tiles)
        lanes = s.machine.lanes(self.wide)
        operand_bytes = sum(o.shape.byte_size for o in x.operands)
        total_ns = max(x.shape.size * math.prod(self.c.extents) * _FMA_NS * 16 / lanes, operand_bytes * _BYTE_NS)
        column = self.out[self.column]
        columns = -(-column.extent // self.width)
        wanted = self.c.crossing or self._worth_packing() or (tiles > 1 and self._long_epilogue())
        if self.c.pack is not None and wanted:
            self._pack(columns)
        if columns >= 4 and self._rows_collide(base):
            self._pack_rows(base, extra, tiles)
        others = [v for v in self.out if v is not row and v is not column and v.extent > 1]
        # A loop that splits well over threads goes outermost.
        others.sort(key=lambda v: v.extent < 8)
        if not others and columns < 4 and tiles >= 8 and total_ns > 40_000:
            body = self._rows_outermost(base, extra, tiles)
        elif self.panel is not None and self.lane is not None and columns >= 4:
            # A panel stays in the cache while all that it is multiplied by goes past.
            shared = [v for d, v in enumerate(self.out) if v in others and d not in (self.c.pack or ())]
            body = [For(self.lane, self._row_loops(base, extra, tiles), "vector", self.width)]
            for variable in reversed(shared):
                body = [For(variable, body)]
            body = [For(self.panel, body)]
            others = [v for v in others if v not in shared]
        else:
            body = self._columns(self._row_loops(base, extra, tiles))
        for variable in reversed(others):
            body = [For(variable, body)]
        return [*self.c.steps, s.parallel(s.name, body, total_ns)]

    def _tile_count(self) -> int:
        """As few tiles as there are registers for, but some more if all are then equal, which halves the code."""
        least = -(-self.rows // self.most_rows)
        equal = (t for t in range(least, least + least // 2 + 1) if self.rows % t == 0)
        return next(equal, least)

    def _worth_packing(self) -> bool:
        """Whether b is read by enough tiles, and is too large to be found in the nearest cache in any order."""
        if self.c.pack is None:
            return False
        depends = [self.column, *self.c.pack]
        reads = math.prod(n for d, n in enumerate(self.x.dims) if d not in depends) / self.most_rows
        size = math.prod(self.c.extents) * self.x.dims[self.column] * self.wide.dtype.itemsize
        return reads >= 4 and size > 1 << 17

    def _pack(self, panels: int) -> None:
        """Copy b into panels [other dimensions, panel, contracted indices, lanes], which are read from end to end."""
        s, x, c, width = self.s, self.x, self.c, self.width
        assert c.pack is not None
        others = c.pack
        count, rest = divmod(x.dims[self.column], width)
        dims = [*(x.dims[d] for d in others), panels, *c.extents, width]
        first = c.b(tuple(index(v) for v in self.out), tuple(index(v) for v in self.k))
        packed = Buffer(f"{s.name}.panels", first.element_type, math.prod(dims))
        for many, start in ((count, 0), (min(rest, 1), count)):
            if not many:
                continue
            e = s.elemental(vector=False)
            panel, lane = e.fresh("p", many), e.fresh("l", width)
            by_dim = {d: e.fresh("b", x.dims[d]) for d in others}
            k = [e.fresh("k", n) for n in c.extents]
            at = [index(by_dim[d]) if d in by_dim else Index(0) for d in range(len(x.dims))]
            at[self.column] = (index(panel) + start) * width + index(lane)
            value = c.b(tuple(at), tuple(index(v) for v in k))
            if start == count:
                inside = ir.in_range(at[self.column], 0, x.dims[self.column])
                assert isinstance(value, ir.Load)
                there = load(value.buffer, value.index, inside)
                value = apply("select", value.element_type, inside, there, zero(value.element_type))
            where = [*(index(by_dim[d]) for d in others), index(panel) + start, *(index(v) for v in k), index(lane)]
            loops = [*(by_dim[d] for d in others), panel, *k, lane]
            c.steps.append(s.nest(f"{s.name}.pack", loops, [Store(packed, linearize(where, dims), value)], vector=True))
        self.panel, self.lane = self.e.fresh("jo", panels), self.e.fresh("ji", width)
        self.at[self.column] = index(self.panel) * width + index(self.lane)

        def b(out: Indices, k: Indices) -> Value:
            return load(packed, linearize([*(out[d] for d in others), index(self.panel), *k, index(self.lane)], dims))

        c.b = b

    def _rows_collide(self, count: int) -> bool:
        """Whether a tile's rows lie such that the nearest cache cannot hold a line of each at once."""
        if self.row is None:
            return False
        k = tuple(index(v) for v in self.k)
        first = self.c.a(tuple(self.at), k)
        second = self.c.a(tuple(i + (d == self.row) for d, i in enumerate(self.at)), k)
        if not isinstance(first, ir.Load) or not isinstance(second, ir.Load):
            return False
        step = second.index - first.index
        if step.terms or not step.const:
            return False
        apart = math.gcd(step.const * first.element_type.dtype.itemsize, _SETS_BYTES)
        return count > _WAYS * (_SETS_BYTES // max(apart, _LINE_BYTES))

    def _pack_rows(self, base: int, extra: int, tiles: int) -> None:
        """Copy a to [other dimensions, tile, contracted indices, rows], which tiles read from end to end."""
        s, x, c = self.s, self.x, self.c
        assert self.row is not None
        k = tuple(index(v) for v in self.k)
        whole = c.a(tuple(self.at), k)
        others = [d for d, v in enumerate(self.out) if d != self.row and v in whole.variables]
        dims = [*(x.dims[d] for d in others), tiles, *c.extents, base + (extra > 0)]
        packed = Buffer(f"{s.name}.rows", whole.element_type, math.prod(dims))

        def place(out: Sequence[Index], tile: Index, row: Index, k: Sequence[Index]) -> Index:
            return linearize([*(out[d] for d in others), tile, *k, row], dims)

        for count, many, first in self._groups(base, extra, tiles):
            e = s.elemental(vector=False)
            tile, row = e.fresh("t", many), e.fresh("r", count)
            by_dim = {d: e.fresh("b", x.dims[d]) for d in others}
            ks = [e.fresh("k", n) for n in c.extents]
            out = [index(by_dim[d]) if d in by_dim else Index(0) for d in range(len(x.dims))]
            at = tuple(index(v) for v in ks)
            into = place(out, index(tile) + first, index(row), at)
            out[self.row] = index(tile) * count + first * (base + 1) + index(row)
            loops = [*by_dim.values(), tile, row, *ks]
            c.steps.append(s.nest(f"{s.name}.rows", loops, [Store(packed, into, c.a(tuple(out), at))], vector=True))
        self.packed_rows = lambda out, tile, row, k: load(packed, place(out, tile, Index(row), k))

    def _columns(self, body: list[Statement]) -> list[Statement]:
        """The loops over the columns."""
        if self.panel is None or self.lane is None:
            return [For(self.out[self.column], body, "vector", self.width)]
        inner: list[Statement] = [For(self.lane, body, "vector", self.width)]
        return [For(self.panel, inner)]

    def _row_loops(self, base: int, extra: int, tiles: int) -> list[Statement]:
        """Tiles of base + 1 rows, then tiles of base rows."""
        if self.row is None:
            return self._tile(Index(0), 1, Index(0))
        result: list[Statement] = []
        for count, many, first in self._groups(base, extra, tiles):
            t = self.e.fresh("t", many)
            body = self._tile(index(t) * count + first * (base + 1), count, index(t) + first)
            result.extend([For(t, body)] if many > 1 else body)
        return result

    def _groups(self, base: int, extra: int, tiles: int) -> list[tuple[int, int, int]]:
        """Rows of a tile, number of such tiles, number of the first."""
        return [g for g in ((base + 1, extra, 0), (base, tiles - extra, extra)) if g[1]]

    def _rows_outermost(self, base: int, extra: int, tiles: int) -> list[Statement]:
        """for tile of rows (outermost, to be split over threads): for vector of columns."""
        t = self.e.fresh("t", tiles)

        def columns(first: Index, count: int) -> list[Statement]:
            return self._columns(self._tile(first, count, index(t)))

        if not extra:
            return [For(t, columns(index(t) * base, base))]
        big = columns(index(t) * (base + 1), base + 1)
        small = columns(index(t) * base + extra, base)
        return [For(t, [ir.If(ir.in_range(index(t), 0, extra), big, small)])]

    def _tile(self, first: Index, count: int, number: Index) -> list[Statement]:
        """One tile: `count` rows from `first` on, by one vector of columns."""
        s, x, wide = self.s, self.x, self.wide
        builder = Elemental(s.storage)
        builder._numbers = self.e._numbers
        outs: list[Indices] = []
        for r in range(count):
            out = list(self.at)
            if self.row is not None:
                out[self.row] = first + r
            outs.append(tuple(out))
        sums = [builder.register("acc", wide) for _ in outs]
        body: list[Statement] = [Assign(r, zero(wide)) for r in sums]
        inner: list[Statement] = []
        k = tuple(index(v) for v in self.k)
        for row, (out, register) in enumerate(zip(outs, sums)):
            a = self.c.a(out, k) if self.packed_rows is None else self.packed_rows(out, number, row, k)
            a, b = convert(a, wide), convert(self.c.b(out, k), wide)
            if wide is PRED:
                inner.append(Accumulate(register, "or", apply("and", wide, b, a)))
            else:
                inner.append(accumulate_statement(register, "add", apply("multiply", wide, b, a)))
        kept, inner = merge_loops([v for v in self.k if v.extent > 1], inner)
        for variable in reversed(kept):
            inner = [For(variable, inner)]
        body.extend(inner)
        builder.body = body
        stores: list[Statement] = []
        inside = ir.in_range(self.at[self.column], 0, x.dims[self.column])
        guard = None if isinstance(inside, ir.Const) else inside
        for out, register in zip(outs, sums):
            builder.known[(x, out)] = convert(read(register), x.shape.element_type)
        if count > 1 and self.lane is not None and self._long_epilogue():
            return [*body, *self._epilogue_loop(first, count, sums, guard)]
        for out in outs:
            for root, output in zip(s.roots, s.outputs):
                stores.append(Store(output, linearize(out, x.dims), builder.at(root, out, guard), guard))
        return [*body, *stores]

    def _long_epilogue(self) -> bool:
        """Whether what follows the sums is too much code to repeat for every row."""
        builder = Elemental(self.s.storage)
        at = tuple(index(v) for v in self.out)
        builder.known[(self.x, at)] = zero(self.x.shape.element_type)
        return operations([builder.at(root, at) for root in self.s.roots]) > _UNROLLED_OPERATIONS

    def _epilogue_loop(self, first: Index, count: int, sums: list[Register], guard: Value | None) -> list[Statement]:
        """A long epilogue as a loop over the tile's rows, which are put on the stack for it: less code, as quick."""
        s, x, width = self.s, self.x, self.width
        assert self.row is not None and self.lane is not None
        lane = index(self.lane)
        tile = Buffer(f"{s.name}.tile", self.wide, count * width, "local")
        kept: list[Statement] = [Store(tile, lane + r * width, read(register)) for r, register in enumerate(sums)]
        row = self.e.fresh("e", count)
        builder = Elemental(s.storage)
        builder._numbers = self.e._numbers
        out = list(self.at)
        out[self.row] = first + index(row)
        at = tuple(out)
        builder.known[(x, at)] = convert(load(tile, lane + index(row) * width), x.shape.element_type)
        stores: list[Statement] = []
        builder.body = stores
        values = [builder.at(root, at, guard) for root in s.roots]
        stores.extend(Store(o, linearize(at, x.dims), v, guard) for o, v in zip(s.outputs, values))
        return [*kept, For(row, stores)]


def operations(values: Sequence[Value]) -> int:
    """How many opcodes are applied to compute the values."""
    seen: set[Value] = set()
    stack = list(values)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(ir.operands(node))
    return sum(isinstance(v, ir.Apply) for v in seen)
