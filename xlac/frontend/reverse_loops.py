"""The reverse of a scan: a scan in the other direction.

The body and its reverse are recorded together. Every value of the body that its reverse reads and that changes from
turn to turn is stacked by a second version of the forward loop, which takes the place of the first; what is cheap to
make again is made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.frontend import trace
from xlac.frontend.autodiff import add_cotangents, backward, differentiable
from xlac.frontend.control import ScanNote, emit_scan
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, operands_first
from xlac.ir.shape import ArrayShape
from xlac.lax.operands import expand

# Opcodes that the reverse repeats instead of reading their stacked results.
CHEAP = ("broadcast", "reshape", "transpose", "reverse", "convert", "iota", "constant", "tuple", "copy")


def _zeros(shape: Any) -> Tracer:

    return expand(trace.lift(np.zeros((), shape.dtype)), shape.dims, ())


def scan_vjp(
    note: ScanNote, instruction: Instruction, cotangent: list[Any], needed: Callable[[Instruction], bool]
) -> Any:
    """Cotangents of the loop's state tuple (counter, constants, carry, xs, ys) from those of its result."""
    owner = trace.active()
    session = owner.session
    c, k, m = note.constants, note.carries, note.inputs
    state = instruction.operands[0]
    values = [Tracer(owner, session.resolve(x)) for x in state.operands]
    constants, carry, xs = values[1 : 1 + c], values[1 + c : 1 + c + k], values[1 + c + k : 1 + c + k + m]
    of_carry, of_ys = cotangent[1 + c : 1 + c + k], cotangent[1 + c + k + m :]

    # One turn and its reverse, recorded together.
    joint = trace.Trace("scan_joint", owner)
    joint.carries = True
    with trace.recording(joint):
        parameters = [joint.parameter(p.shape) for p in note.parameters]
        outputs = [joint.use(t) for t in note.run([Tracer(joint, p) for p in parameters])]
        carried = [j for j in range(k) if differentiable(outputs[j])]
        stacked = [j for j, g in enumerate(of_ys) if g is not None and differentiable(outputs[k + j])]
        g_carry = [joint.parameter(outputs[j].shape) for j in carried]
        g_ys = [joint.parameter(outputs[k + j].shape) for j in stacked]
        fixed = [j for j in range(c) if differentiable(parameters[j]) and needed(state.operands[1 + j])]
        sliced = [
            j for j in range(m) if differentiable(parameters[c + k + j]) and needed(state.operands[1 + c + k + j])
        ]
        asked = [
            *(parameters[c + j] for j in carried),
            *(parameters[j] for j in fixed),
            *(parameters[c + k + j] for j in sliced),
        ]
        pairs = [(outputs[j], Tracer(joint, g)) for j, g in zip(carried, g_carry)]
        pairs += [(outputs[k + j], Tracer(joint, g)) for j, g in zip(stacked, g_ys)]
        found = backward(pairs, asked)
        made = [_zeros(a.shape) if g is None else g for g, a in zip(found, asked)]
        # The reverse adds up the constants' cotangents from turn to turn.
        sums = [joint.parameter(parameters[j].shape) for j in fixed]
        n = len(carried)
        for i, total in enumerate(sums):
            if found[n + i] is not None:
                made[n + i] = add_cotangents(Tracer(joint, total), made[n + i])
            else:
                made[n + i] = Tracer(joint, total)
        results = [joint.use(t) for t in made]
        outputs = [session.resolve(o) for o in outputs]
        carried_on = joint.carried()  # effects of rules that custom_vjp was given
        firsts, lasts = [e.first for e in carried_on], [e.last for e in carried_on]
    assert len(joint.captures) == len(carried_on)
    beside_effects(outputs, carried_on)

    residuals = residuals_of([*results, *lasts], parameters, c, k, {*g_carry, *g_ys, *sums, *firsts})

    stacks, moved = stack_residuals(note, instruction, outputs, parameters, residuals)
    for old, new in moved:
        session.redirect(old, new)

    read = reached([*results, *lasts])
    kept_constants = [j for j in range(c) if parameters[j] in read]
    kept_xs = [j for j in range(m) if parameters[c + k + j] in read]
    inputs = [*(parameters[c + k + j] for j in kept_xs), *residuals, *g_ys]
    reverse = ScanNote(
        outputs=[*lasts, *results],
        parameters=[*(parameters[j] for j in kept_constants), *firsts, *g_carry, *sums, *inputs],
        constants=len(kept_constants),
        carries=len(firsts) + len(g_carry) + len(sums),
        inputs=len(inputs),
        length=note.length,
        reverse=not note.reverse,
    )
    start = [_zeros(carry[j]._instruction.shape) if of_carry[j] is None else of_carry[j] for j in carried]
    start += [_zeros(parameters[j].shape) for j in fixed]
    sources = [*(xs[j] for j in kept_xs), *stacks, *(of_ys[j] for j in stacked)]
    start = [*(Tracer(owner, owner.effect(e.effect)) for e in carried_on), *start]
    grads = emit_scan(reverse, [constants[j] for j in kept_constants], start, sources)
    owner.carry(carried_on, [g._instruction for g in grads])
    grads = grads[len(carried_on) :]

    column: list[Any] = [None] * len(values)
    for i, j in enumerate(carried):
        column[1 + c + j] = grads[i]
    for i, j in enumerate(fixed):
        column[1 + j] = grads[len(carried) + i]
    for i, j in enumerate(sliced):
        column[1 + c + k + j] = grads[len(carried) + len(fixed) + i]
    return [column]


def beside_effects(outputs: list[Instruction], carried: Sequence[trace.Carried]) -> None:
    """Check that the values of a loop or branch, computed first, need no effect that takes place in its derivative.

    Raises:
      TraceError: they do.
    """
    if carried and not reached(outputs).isdisjoint(c.first for c in carried):
        raise trace.trace_error(
            "a derivative rule gives a value that comes from io_callback, inside a loop or a branch; use pure_callback "
            "there, or call io_callback in the function around the loop"
        )


def stack_residuals(
    note: ScanNote,
    instruction: Instruction,
    outputs: list[Instruction],
    parameters: list[Instruction],
    residuals: list[Instruction],
) -> tuple[list[Tracer], list[tuple[Instruction, Instruction]]]:
    """Values of the body, stacked over the turns by a second version of the loop, and what takes the first one's place.

    Returns: the stacks, and pairs of a result of the first loop and that of the second.
    """
    owner = trace.active()
    c, k, m = note.constants, note.carries, note.inputs
    values = [Tracer(owner, owner.session.resolve(x)) for x in instruction.operands[0].operands]
    constants, carry, xs = values[1 : 1 + c], values[1 + c : 1 + c + k], values[1 + c + k : 1 + c + k + m]
    again = emit_scan(
        ScanNote([*outputs, *residuals], parameters, c, k, m, note.length, note.reverse), constants, carry, xs
    )
    places = [*range(1 + c, 1 + c + k), *range(1 + c + k + m, len(values))]
    moved = [
        (user, owner.use(again[places.index(user["index"])]))
        for user in instruction.users
        if user.opcode.name == "get-tuple-element" and user["index"] in places
    ]
    return again[len(outputs) :], moved


def reached(outputs: list[Instruction]) -> set[Instruction]:
    """Everything the outputs depend on."""
    session = trace.active().session
    found: set[Instruction] = set()
    stack = list(outputs)
    while stack:
        top = session.resolve(stack.pop())
        if top not in found:
            found.add(top)
            stack.extend(top.operands)
    return found


def residuals_of(
    results: list[Instruction], parameters: list[Instruction], constants: int, carries: int, incoming: set[Instruction]
) -> list[Instruction]:
    """The values of the forward turn, its carry included, that the reverse turn reads and cannot cheaply make."""
    at_hand = set(parameters[:constants]) | set(parameters[constants + carries :])
    depends: dict[Instruction, bool] = {}
    varies: dict[Instruction, bool] = {}

    def spread(seeds: set[Instruction], known: dict[Instruction, bool], start: Instruction) -> bool:
        for top in operands_first([start], known):
            known[top] = top in seeds or any(known[x] for x in top.operands)
        return known[start]

    changing = set(parameters[constants:])
    found: dict[Instruction, None] = {}
    seen: set[Instruction] = set()
    stack = list(results)
    while stack:
        top = stack.pop()
        if top in seen:
            continue
        seen.add(top)
        if top in incoming or top in at_hand:
            continue
        if spread(incoming, depends, top):
            stack.extend(top.operands)
        elif not spread(changing, varies, top) or (top.opcode.name in CHEAP and top.operands):
            stack.extend(top.operands)
        elif isinstance(top.shape, ArrayShape):
            found[top] = None
        else:
            stack.extend(top.operands)
    return list(found)
