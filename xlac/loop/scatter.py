"""The schedules of scatter and select-and-scatter: a copy of the operand, then updates in order."""

from __future__ import annotations

from collections.abc import Sequence

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED, S64
from xlac.loop import ir
from xlac.loop.elemental import Elemental, Indices, Storage, both, convert, linearize, start_index, zero
from xlac.loop.ir import (
    Assign,
    Buffer,
    For,
    FromValue,
    If,
    Index,
    Kernel,
    Statement,
    Store,
    Value,
    apply,
    const,
    from_index,
    index,
    load,
    read,
)
from xlac.loop.schedule import Machine, loop_nest
from xlac.loop.windows import window_place


def schedule_scatter(
    name: str, x: Instruction, outputs: Sequence[Buffer], storage: dict[Instruction, Storage], machine: Machine
) -> list[ir.Step]:
    """Each update's window, in the order of the indices, is combined with what is there, or dropped if it does not
    fit inside.

    Elements of one window go to different places, so the window's last dimension is a vector loop.
    """
    n = len(x.operands) // 2
    inputs, indices, updates = x.operands[:n], x.operands[n], x.operands[n + 1 :]
    dims = inputs[0].dims
    steps: list[ir.Step] = []
    e = Elemental(storage)
    for operand, output in zip(inputs, outputs):
        source = e.buffer_of(operand)
        if source is None:
            value = storage[operand]
            assert isinstance(value, Value)
            steps.append(Kernel(f"{name}.init", [Store(output, Index(0), value)]))
        else:
            steps.append(ir.Copy(source, output))
    if not updates[0].shape.size or not inputs[0].shape.size:
        return steps
    window_dims = sorted(x["update_window_dims"])
    batch_dims = [d for d in range(len(updates[0].dims)) if d not in window_dims]
    dropped = (*x["inserted_window_dims"], *x["input_batching_dims"])
    operand_window = [d for d in range(len(dims)) if d not in dropped]
    batch_vars = {d: e.fresh("u", updates[0].dims[d]) for d in batch_dims}
    window_vars = {d: e.fresh("w", updates[0].dims[d]) for d in window_dims}
    batch_at = [index(batch_vars[d]) for d in batch_dims]
    vector_dim = x["index_vector_dim"]
    extents = {d: updates[0].dims[u] for d, u in zip(operand_window, window_dims)}

    fits: Value | None = None
    starts: list[Index] = []
    for d, extent in enumerate(dims):
        start = Index(0)
        if d in x["scatter_dims_to_operand_dims"]:
            at = list(batch_at)
            if vector_dim < len(indices.dims):
                at.insert(vector_dim, Index(x["scatter_dims_to_operand_dims"].index(d)))
            raw = e.at(indices, tuple(at))
            top = extent - extents.get(d, 1)
            inside = _between(raw, top)
            fits = inside if fits is None else apply("and", PRED, fits, inside)
            start = start_index(raw, top)
        elif d in x["input_batching_dims"]:
            axis = x["scatter_indices_batching_dims"][x["input_batching_dims"].index(d)]
            start = batch_at[axis - (axis > vector_dim)]
        starts.append(start)
    place_at = list(starts)
    for d, u in zip(operand_window, window_dims):
        place_at[d] = starts[d] + index(window_vars[u])
    place = linearize(place_at, dims)
    update_at: list[Index] = [Index(0)] * len(updates[0].dims)
    for d, v in (*batch_vars.items(), *window_vars.items()):
        update_at[d] = index(v)
    reducer = x["to_apply"]
    e.body = inner = []
    old = [convert(load(o, place), p.shape.element_type) for o, p in zip(outputs, reducer.parameters)]
    new = [convert(e.at(u, tuple(update_at)), p.shape.element_type) for u, p in zip(updates, reducer.parameters[n:])]
    results = e.inline(reducer, [*old, *new])
    for output, value in zip(outputs, results):
        inner.append(Store(output, place, convert(value, output.element_type)))
    last = operand_window[-1] if operand_window else None
    width = machine.lanes(outputs[0].element_type) if last == len(dims) - 1 else 1
    loops = [window_vars[d] for d in window_dims]
    body: list[Statement] = loop_nest(loops, inner, width) if width > 1 else _serial(loops, inner)
    if fits is not None:
        body = [If(fits, body)]
    body = _serial([batch_vars[d] for d in batch_dims], body)
    steps.append(Kernel(name, body))
    return steps


def _between(raw: Value, top: int) -> Value:
    """Whether 0 <= raw <= top, in the index's own type."""
    if top < 0:
        return const(PRED, False)
    t = raw.element_type
    most = (1 << (t.bits - (t.kind == "s"))) - 1
    below = apply("compare", PRED, raw, const(t, min(top, most)), direction="LE", type=None)
    if t.kind != "s":
        return below
    return apply("and", PRED, below, apply("compare", PRED, raw, const(t, 0), direction="GE", type=None))


def _serial(variables: Sequence[ir.Var], body: list[Statement]) -> list[Statement]:
    for variable in reversed(variables):
        body = [For(variable, body)]
    return body


def schedule_select_and_scatter(
    name: str, x: Instruction, outputs: Sequence[Buffer], storage: dict[Instruction, Storage], machine: Machine
) -> list[ir.Step]:
    """Each window keeps its first element that `select` prefers; the source's element is combined there, in order."""
    operand, source, init = x.operands
    (output,) = outputs
    window = x["window"]
    e = Elemental(storage)
    fill = e.fresh("f", output.size)
    width = machine.lanes(output.element_type)
    steps: list[ir.Step] = [
        Kernel(f"{name}.init", loop_nest([fill], [Store(output, index(fill), e.at(init, ()))], width))
    ]
    if not source.shape.size:
        return steps
    body: list[Statement] = []
    e = Elemental(storage)
    at = [e.fresh("s", n) for n in source.dims]
    where: Indices = tuple(index(v) for v in at)
    kind = x["select"].parameters[0].shape.element_type
    best, place, found = e.register("best", kind), e.register("place", S64), e.register("found", PRED)
    body += [Assign(best, zero(kind)), Assign(place, const(S64, 0)), Assign(found, const(PRED, False))]
    offsets = [e.fresh("o", w.size) for w in window]
    guard: Value | None = None
    places = []
    for w, position, offset, extent in zip(window, where, offsets, operand.dims):
        p, test = window_place(w, position, index(offset), extent)
        places.append(p)
        guard = both(guard, test)
    inner: list[Statement] = []
    e.body = inner
    value = convert(e.at(operand, tuple(places), guard), kind)
    (keep,) = e.inline(x["select"], [read(best), value])
    take = apply("or", PRED, apply("not", PRED, read(found)), apply("not", PRED, keep))
    if guard is not None:
        take = apply("and", PRED, take, guard)
    better = [Assign(best, value), Assign(place, from_index(linearize(places, operand.dims), S64)),
              Assign(found, const(PRED, True))]  # fmt: skip
    inner.append(If(take, better))
    body.extend(_serial(offsets, inner))
    target = index(FromValue(read(place), 0, max(output.size - 1, 0)))
    e.body = update = []
    old, new = load(output, target), e.at(source, where)
    (combined,) = e.inline(x["scatter"], [old, new])
    update.append(Store(output, target, convert(combined, output.element_type)))
    body.append(If(read(found), update))
    steps.append(Kernel(name, _serial(at, body)))
    return steps
