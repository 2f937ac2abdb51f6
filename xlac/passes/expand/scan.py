"""scan by a loop that slices what it scans and writes what it makes of it."""

from __future__ import annotations

from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.shape import TupleShape
from xlac.passes.expand.build import Array, element, expand, full, loop, tuple_


def expand_scan(module: Module) -> bool:
    """Replace scans by loops; return whether there were any."""
    return expand(module, {"scan": _scan})


def _scan(x: Instruction) -> Instruction:
    (along,) = x["dimensions"]
    operands = [Array(o) for o in x.operands]
    count = operands[0].dims[along]
    several = isinstance(x.shape, TupleShape)
    shapes = list(x.shape) if several else [x.shape]  # type: ignore[call-overload]
    made = len(shapes) - x["num_carries"]
    inputs, carries = operands[: len(operands) - x["num_carries"]], operands[len(operands) - x["num_carries"] :]
    totals = [full(s.element_type, 0, s.dims) for s in shapes[:made]]

    def body(i: Array, *state: Array) -> list[Array]:
        totals, carries, inputs = state[:made], state[made : len(shapes)], state[len(shapes) :]
        at = count - 1 - i if x["is_reverse"] else i
        slices = [_row(array, along, at) for array in inputs]
        called = op.call.make(*(a.node for a in (*slices, *carries)), to_apply=x["to_apply"])
        results = [element(called, k) for k in range(len(shapes))] if isinstance(called.shape, TupleShape) else []
        results = results or [Array(called)]
        return [*(_written(t, along, at, r) for t, r in zip(totals, results)), *results[made:]]

    # Nothing can be sliced from arrays without elements.
    results = [*totals, *carries] if count == 0 else loop("scan", count, [*totals, *carries], body, inputs)
    return tuple_(*results) if several else results[0].node


def _row(array: Array, along: int, at: Array) -> Array:
    sizes = [1 if d == along else n for d, n in enumerate(array.dims)]
    starts = [at if d == along else 0 for d in range(len(array.dims))]
    return array.dynamic_slice(starts, sizes).reshape(*array.dims[:along], *array.dims[along + 1 :])


def _written(array: Array, along: int, at: Array, row: Array) -> Array:
    dims = (*row.dims[:along], 1, *row.dims[along:])
    return array.dynamic_update(row.reshape(*dims), [at if d == along else 0 for d in range(len(dims))])
