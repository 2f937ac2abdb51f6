"""Batching of loops, branches and calls.

A loop whose condition differs between examples turns until it holds for none, and keeps the state of those that are
done; a choice that differs between examples computes all branches and selects.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.batching import Batched, Value, batch, instruction_of
from xlac.frontend.control import ScanNote, emit_scan
from xlac.frontend.flags import spread, unchanged, union, while_flags
from xlac.frontend.trace import emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import TOKEN, ArrayShape
from xlac.lax.operands import expand


def _any(instruction: Instruction) -> bool:
    return True


def _flags(values: Sequence[Batched]) -> list[bool]:
    return [v.axis is not None for v in values]


def _wrapped(parts: Sequence[Tracer], flags: Sequence[bool]) -> list[Batched]:
    """The state of a loop as batched values."""
    return [Batched(p, 0 if moving else None) for p, moving in zip(parts, flags)]


def _in_form(values: Sequence[Batched], flags: Sequence[bool], size: int) -> list[Tracer]:
    """Values batched just where the flags say."""
    return [v.front(size) if moving else v.value for v, moving in zip(values, flags)]


def _root(computation: Computation, values: list[Batched], size: int) -> Value:
    """The result of a computation of one tuple."""
    return batch([computation.root], {computation.parameters[0]: values}, size)[0]


def _choose(mask: Tracer, on_true: Tracer, on_false: Tracer) -> Tracer:
    """`on_true` for the examples of the mask."""
    return lax.select(expand(mask, on_true.shape, (0,)), on_true, on_false)


def while_batch(instruction: Instruction, values: list[Value], size: int) -> Value:
    """The loop for all examples at once."""
    active = trace.active()
    (state,) = values
    body, condition = instruction["body"], instruction["condition"]
    flags, test = while_flags(instruction, _flags(state), _any)
    # What no example changes, and tokens, are as they come.
    kept = [same or shape == TOKEN for same, shape in zip(unchanged(body), instruction.shape)]  # type: ignore[arg-type]
    full = _in_form(state, flags, size)
    shapes = [active.use(t).shape for t in full]

    def holds(parts: list[Tracer]) -> Tracer:
        """Whether the loop goes on, for each example or for all."""
        value = _root(condition, _wrapped(parts, flags), size)
        return value.front(size) if test else value.value

    def go_on(parts: list[Tracer]) -> Tracer:
        mask = holds(parts)
        return lax.reduce_or(mask, (0,)) if test else mask

    def turn(parts: list[Tracer]) -> list[Tracer]:
        made = _in_form(_root(body, _wrapped(parts, flags), size), flags, size)
        if not test:
            return made
        mask = holds(parts)
        return [new if same else _choose(mask, new, old) for new, old, same in zip(made, parts, kept)]

    made = emit_instruction(
        op.while_,
        emit_instruction(op.tuple, *[active.use(t) for t in full]),
        condition=trace.tuple_computation(f"{condition.name}_vmap", shapes, go_on),
        body=trace.tuple_computation(f"{body.name}_vmap", shapes, turn),
    )
    return _wrapped(trace.elements(made), flags)


def scan_batch(note: ScanNote, instruction: Instruction, values: list[Value], size: int) -> Value:
    """The scan for all examples at once; it is a scan still."""
    active = trace.active()
    session = active.session
    (state,) = values
    c, k, m = note.constants, note.carries, note.inputs
    outputs = [session.resolve(o) for o in note.outputs]
    flags = _flags(state[1 : 1 + c + k + m])
    while True:
        found = spread(outputs, dict(zip(note.parameters, flags)), _any)
        wider = [*flags[:c], *union(flags[c : c + k], found[:k]), *flags[c + k :]]
        if wider == flags:
            break
        flags = wider
    results = [*flags[c : c + k], *found[k:]]

    inner = trace.Trace("scan_vmap", active)
    with trace.recording(inner):
        parameters, known = [], {}
        for p, moving in zip(note.parameters, flags):
            shape = p.shape
            if moving:
                assert isinstance(shape, ArrayShape)
                shape = ArrayShape(shape.element_type, (size, *shape.dims))
            new = inner.parameter(shape)
            parameters.append(new)
            known[p] = Batched(Tracer(inner, new), 0 if moving else None)
        made = _in_form(batch(outputs, known, size), results, size)
        ends = [inner.use(t) for t in made]
    assert not inner.captures

    given = state[1 : 1 + c + k + m]
    constants = _in_form(given[:c], flags[:c], size)
    carry = _in_form(given[c : c + k], flags[c : c + k], size)
    # The loop goes along dimension 0, so that the examples come second.
    xs = [v.at(1, size) if moving else v.value for v, moving in zip(given[c + k :], flags[c + k :])]
    new_note = ScanNote(ends, parameters, c, k, m, note.length, note.reverse)
    out = emit_scan(new_note, constants, carry, xs)
    last = _wrapped(out[:k], flags[c : c + k])
    ys = [Batched(y, 1 if moving else None) for y, moving in zip(out[k:], found[k:])]
    return [state[0], *given[:c], *last, *given[c + k :], *ys]


def conditional_batch(instruction: Instruction, values: list[Value], size: int) -> Value:
    """The same choice for all examples, or all branches and a selection."""
    active = trace.active()
    index, *states = values
    branches = instruction["branch_computations"]
    if index.axis is not None:
        return _selected(instruction, index, [_root(b, s, size) for b, s in zip(branches, states)], size)
    flags = [_flags(s) for s in states]
    found = [spread([b.root], {b.parameters[0]: f}, _any)[0] for b, f in zip(branches, flags)]
    single = not isinstance(found[0], list)
    wanted = [any(column) for column in zip(*([f] if single else f for f in found))]
    packed = [instruction_of([Batched(t, None) for t in _in_form(s, f, size)]) for s, f in zip(states, flags)]

    def side(branch: Computation, state: Instruction, moving: list[bool]) -> Computation:
        def build(parts: list[Tracer]) -> Any:
            root = _root(branch, _wrapped(parts, moving), size)
            made = _in_form([root] if single else root, wanted, size)
            return made[0] if single else made

        return trace.tuple_computation(f"{branch.name}_vmap", list(state.shape), build)  # type: ignore[arg-type]

    made = emit_instruction(
        op.conditional,
        active.use(index.value),
        *packed,
        branch_computations=tuple(side(b, p, f) for b, p, f in zip(branches, packed, flags)),
    )
    if single:
        return Batched(Tracer(active, made), 0 if wanted[0] else None)
    return _wrapped(trace.elements(made), wanted)


def _selected(instruction: Instruction, index: Batched, results: list[Value], size: int) -> Value:
    """For each example the result of its branch."""
    if isinstance(results[0], list):
        columns = list(zip(*results))
        return [_selected(instruction, index, list(column), size) for column in columns]
    if all(r.axis is None and r.value._instruction is results[0].value._instruction for r in results):
        return results[0]
    if results[0].value._instruction.shape == TOKEN:
        # All branches have run.
        return Batched(emit(op.after_all, *(r.value for r in results)), None)
    which = index.front(size)
    arrays = [r.front(size) for r in results]
    if which.dtype == np.bool_:
        return Batched(_choose(which, arrays[0], arrays[1]), 0)
    # As in HLO, an index out of range takes the last branch.
    total = arrays[-1]
    for n in reversed(range(len(arrays) - 1)):
        total = _choose(lax.eq(which, lift(np.asarray(n, which.dtype))), arrays[n], total)
    return Batched(total, 0)


def call_batch(instruction: Instruction, values: list[Value], size: int) -> Value:
    """The callee, inlined."""
    callee = instruction["to_apply"]
    return batch([callee.root], dict(zip(callee.parameters, values)), size)[0]
