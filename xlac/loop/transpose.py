"""Tiling of loops that walk some operand across its rows.

A vector loop over v whose loads step over memory, while another loop variable u walks it in order, touches a cache
line for every element. The tiled loops read a square tile along u into a buffer on the stack, then compute along v
from there:

    for u: for v (vector): out[u, v] = f(in[v, u])
    ->  for u tile: for v tile:
            for v in tile: for u in tile (vector): local[v, u] = in[v, u]
            transpose local
            for u in tile: for v in tile (vector): out[u, v] = f(local[u, v])
"""

from __future__ import annotations

from collections.abc import Sequence

from xlac.ir.shape import PRED
from xlac.loop.ir import (
    Buffer,
    For,
    Index,
    Load,
    Statement,
    Store,
    Transpose,
    Value,
    Var,
    apply,
    const,
    in_range,
    index,
    load,
    loads,
    statement_values,
)
from xlac.loop.rewrite import Rewriter

# Bytes in a row of a tile: a cache line, one vector of the widest kind.
ROW_BYTES = 64


def crossing_loads(variables: Sequence[Var], body: Sequence[Statement]) -> tuple[list[Load], Var] | None:
    """The loads that step over memory along the innermost variable, and the variable they walk in order along."""
    inner = variables[-1]
    if not all(isinstance(s, Store) for s in body):
        return None
    found: list[Load] = []
    walked: Var | None = None
    for access in loads(v for s in body for v in statement_values(s)):
        step = access.index.coefficient(inner)
        if abs(step) < 2 or access.guard is not None or access.element_type.is_complex:
            continue
        if any(not isinstance(a, Var) for a, _ in access.index.terms):
            continue
        along = next((v for v in variables[:-1] if access.index.coefficient(v) == 1), None)
        if along is None or (walked is not None and along is not walked):
            return None
        walked = along
        found.append(access)
    if walked is None or walked.extent < 4 or inner.extent < 4:
        return None
    if any(s.index.coefficient(inner) != 1 for s in body if isinstance(s, Store)):
        return None
    return found, walked


def tile_loops(variables: Sequence[Var], body: list[Statement], width: int) -> list[Statement] | None:
    """The nest of loops over `variables` around `body`, tiled, or None where nothing crosses."""
    if len(variables) < 2:
        return None
    crossing = crossing_loads(variables, body)
    if crossing is None:
        return None
    found, u = crossing
    v = variables[-1]
    size = max(4, ROW_BYTES // max(4, *(x.element_type.dtype.itemsize for x in found)))
    ut, vt = Var(f"{u.name}t", -(-u.extent // size)), Var(f"{v.name}t", -(-v.extent // size))
    ui, vi = Var(f"{u.name}i", size), Var(f"{v.name}i", size)
    inside_u = in_range(index(ut) * size + index(ui), 0, u.extent)
    inside_v = in_range(index(vt) * size + index(vi), 0, v.extent)

    def change(i: Index) -> Index:
        result = Index(i.const)
        for atom, factor in i.terms:
            if atom is u:
                result = result + (index(ut) * size + index(ui)) * factor
            elif atom is v:
                result = result + (index(vt) * size + index(vi)) * factor
            else:
                result = result + Index(0, ((atom, factor),))
        return result

    rewriter = Rewriter(change)
    guard = _both(inside_u, inside_v)
    tiles: dict[Value, Value] = {}
    fill: list[Statement] = []
    turns: list[Statement] = []
    place, across = index(vi) * size + index(ui), index(ui) * size + index(vi)
    for access in found:
        local = Buffer(f"{access.buffer.name}.tile", access.element_type, size * size, "local")
        moved = rewriter.index(access.index)
        fill.append(Store(local, place, load(access.buffer, moved, guard)))
        tiles[access] = load(local, across)
        turns.append(Transpose(local, size, size))

    def inside(access: Load) -> Value | None:
        """What is not read from a tile is read at its own place, which the last tiles go beyond."""
        return guard if {u, v} & access.variables else None

    compute = Rewriter(change, tiles, inside).body(body)
    if guard is not None:
        compute = [Store(s.buffer, s.index, s.value, _both(guard, s.guard)) for s in compute if isinstance(s, Store)]
    lanes = min(width, size)
    tile: list[Statement] = [
        For(vi, [For(ui, fill, "vector", lanes)]),
        *turns,
        For(ui, [For(vi, compute, "vector", lanes)]),
    ]
    nest = tile
    for variable in reversed([*(x for x in variables if x is not u and x is not v), ut, vt]):
        if variable.extent > 1:
            nest = [For(variable, nest)]
    return nest


def _both(a: Value | None, b: Value | None) -> Value | None:
    """The conjunction of two conditions; None and a constant true are always true."""
    always = const(PRED, True)
    parts = [x for x in (a, b) if x is not None and x is not always]
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else apply("and", PRED, *parts)
