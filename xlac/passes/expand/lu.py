"""LU factorisation with partial pivoting (LAPACK's getrf) by loops: panels of columns, and products for the rest."""

from __future__ import annotations

import math

from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import S32
from xlac.passes.expand import linalg
from xlac.passes.expand.build import Array, constant, full, iota, loop, tuple_


def getrf(x: Instruction) -> Instruction | None:
    """L and U in one matrix, the row (from 1) each step swaps with, and the step (from 1) of the first zero pivot."""
    given = Array(x.operands[0])
    if not given.shape.size:
        return None
    *lead, m, n = given.dims
    a = given.reshape(math.prod(lead), m, n)
    steps = min(m, n)
    if steps <= 2 * linalg.BLOCK:
        factors, pivots, _, info = _panel(a, constant(S32, 0), steps, steps)
    else:
        factors, pivots, info = _blocks(a, steps)
    return tuple_(
        factors.reshape(*given.dims),
        (pivots + 1).slice(1, 0, steps).reshape(*lead, steps),
        info.reshape(*lead),
    )


def _here(vector: Array, place: Array) -> Array:
    """Whether each element of [batch, n] is the one at `place`, a number or one of each of the batch."""
    places = iota(S32, vector.dims, 1)
    return places.compare("EQ", place.broadcast(vector.dims, (0,) if place.dims else ()))


def _picked(vector: Array, place: Array) -> Array:
    """The element of [batch, n] at a place of each of the batch."""
    return _here(vector, place).select(vector, 0).sum(1)


def _swapped(vector: Array, first: Array, second: Array) -> Array:
    """[batch, n] with the elements at `first`, a number, and `second`, one of each of the batch, exchanged."""
    batch = vector.dims[0]
    at_first = vector.dynamic_slice((0, first), (batch, 1)).reshape(batch).broadcast(vector.dims, (0,))
    at_second = _picked(vector, second).broadcast(vector.dims, (0,))
    return _here(vector, first).select(at_second, _here(vector, second).select(at_first, vector))


def _panel(a: Array, start: Array, steps: int, real_steps: int) -> tuple[Array, Array, Array, Array]:
    """Eliminate below rows start, start + 1, ... with columns 0, 1, ...; give factors, swaps, order of rows, info.

    Steps from `real_steps` on are of padding, whose zero pivots are no failure.
    """
    batch, m, n = a.dims
    rows, columns = iota(S32, a.dims, 1), iota(S32, a.dims, 2)

    def body(j: Array, a: Array, pivots: Array, order: Array, info: Array, start: Array) -> list[Array]:
        row = start + j
        column = a.dynamic_slice((0, 0, j), (batch, m, 1)).reshape(batch, m)
        size = column.real().apply("abs")
        if column.type.is_complex:
            size = size + column.imag().apply("abs")
        places = iota(S32, (batch, m), 1)
        size = places.compare("LT", row.broadcast((batch, m), ())).select(-1, size)
        # The first of the largest; a NaN is larger than all.
        largest = size.reduce("maximum", -1, 1).broadcast((batch, m), (0,))
        best = size.compare("EQ", largest) | size.compare("NE", size)
        pivot_row = best.select(places, m - 1).reduce("minimum", m - 1, 1)
        upper = a.dynamic_slice((0, row, 0), (batch, 1, n)).reshape(batch, n)
        chosen = pivot_row.broadcast(a.dims, (0,))
        lower = rows.compare("EQ", chosen).select(a, 0).sum(1)
        pivot = lower.dynamic_slice((0, j), (batch, 1)).reshape(batch)
        zero = pivot.compare("EQ", 0)
        here = row.broadcast(a.dims, ())
        swapped = rows.compare("EQ", chosen).select(upper.broadcast(a.dims, (0, 2)), a)
        swapped = rows.compare("EQ", here).select(lower.broadcast(a.dims, (0, 2)), swapped)
        divisor = zero.select(1, pivot).broadcast((batch, m), (0,))
        factor = (_swapped(column, row, pivot_row) / divisor).broadcast(a.dims, (0, 1))
        updated = swapped - factor * lower.broadcast(a.dims, (0, 2))
        right = columns.compare("GT", j.broadcast(a.dims, ())).select(updated, swapped)
        below = columns.compare("EQ", j.broadcast(a.dims, ())).select(factor, right)
        first_zero = zero & info.compare("EQ", 0) & row.broadcast((batch,), ()).compare("LT", real_steps)
        return [
            rows.compare("GT", here).select(below, swapped),
            pivots.dynamic_update(pivot_row.reshape(batch, 1), (0, j)),
            _swapped(order, row, pivot_row),
            first_zero.select((row + 1).broadcast((batch,), ()), info),
        ]

    state = [a, full(S32, 0, (batch, steps)), iota(S32, (batch, m), 1), full(S32, 0, (batch,))]
    factors, pivots, order, info = loop("lu_panel", steps, state, body, [start])
    return factors, pivots, order, info


def _permuted_rows(a: Array, order: Array) -> Array:
    """The rows of [batch, m, n] in the order [batch, m]."""
    made = op.gather.make(
        a.node,
        order.node,
        offset_dims=(2,),
        collapsed_slice_dims=(1,),
        start_index_map=(1,),
        operand_batching_dims=(0,),
        start_indices_batching_dims=(0,),
        index_vector_dim=2,
        slice_sizes=(1, 1, a.dims[2]),
    )
    return Array(made)


def _blocks(a: Array, steps: int) -> tuple[Array, Array, Array]:
    """The factors, pivots and info of a matrix with many columns."""
    batch, m, n = a.dims
    width = linalg.BLOCK
    count = -(-steps // width)
    a = a.pad(0, max(count * width - m, 0), max(count * width - n, 0))
    _, tall, wide = a.dims

    def body(t: Array, a: Array, pivots: Array, info: Array) -> list[Array]:
        at = t * width
        panel = a.dynamic_slice((0, 0, at), (batch, tall, width))
        panel, swaps, order, failed = _panel(panel, at, width, steps)
        corner = panel.dynamic_slice((0, at, 0), (batch, width, width))
        eye = linalg.eye(a.type, corner.dims)
        below = iota(S32, corner.dims, 1).compare("GT", iota(S32, corner.dims, 2))
        inverse = linalg.solve_rows(below.select(corner, eye), eye)
        rest = _permuted_rows(a, order).dynamic_update(panel, (0, 0, at))
        top = rest.dynamic_slice((0, at, 0), (batch, width, wide))
        right = iota(S32, top.dims, 2).compare("GE", (at + width).broadcast(top.dims, ()))
        solved = inverse.dot(right.select(top, 0), ((2,), (1,)), ((0,), (0,)))
        lower = iota(S32, panel.dims, 1).compare("GE", (at + width).broadcast(panel.dims, ())).select(panel, 0)
        rest = rest.dynamic_update(right.select(solved, top), (0, at, 0))
        rest = rest - lower.dot(solved, ((2,), (1,)), ((0,), (0,)))
        return [rest, pivots.dynamic_update(swaps, (0, at)), info.compare("EQ", 0).select(failed, info)]

    state = [a, full(S32, 0, (batch, count * width)), full(S32, 0, (batch,))]
    factors, pivots, info = loop("lu", count, state, body)
    return factors.slice(1, 0, m).slice(2, 0, n), pivots, info
