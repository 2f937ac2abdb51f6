"""Derivatives of a choice that are computed after it: its reverse, and its tangents where they are a linear program.

Each branch and its derivative are recorded together, as in `reverse_loops.py`. What the derivative of a branch reads
and cannot cheaply make again is handed on by a second version of the choice, which takes the place of the first;
branches share the places for it, and fill those that are not theirs with zeros. The derivative is a choice as well, by
the same index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xlac.frontend import trace
from xlac.frontend.autodiff import backward, differentiable
from xlac.frontend.linear import tuple_parts, zeros
from xlac.frontend.reverse_loops import beside_effects, residuals_of
from xlac.frontend.trace import Carried, emit, emit_instruction
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import TOKEN, Shape

Derive = Callable[[list[Instruction], list[Instruction], dict[int, Instruction]], list[Any]]


@dataclass
class _Side:
    """A branch and its derivative.

    Attributes:
      inputs: parameters for the state.
      incoming: parameters for some of the given tangents or cotangents, by number.
      outputs: the branch's results.
      derived: the derivatives, or their shapes where they are zero.
      carried: the effects of the rules that derivatives are taken by.
      residuals: what the derivative takes over from the branch.
      slots: in which places they are handed on.
    """

    inputs: list[Instruction]
    incoming: dict[int, Instruction]
    outputs: list[Instruction]
    derived: list[Any]
    carried: list[Carried]
    residuals: list[Instruction]
    slots: list[int] = field(default_factory=list)


def _record(branch: Computation, incoming: dict[int, Shape], single: bool, derive: Derive) -> _Side:
    """Record a branch and `derive(inputs, outputs, incoming)`."""
    joint = trace.Trace(f"{branch.name}_joint", trace.active())
    joint.carries = True
    with trace.recording(joint):
        inputs = [joint.parameter(s) for s in branch.parameters[0].shape]  # type: ignore[union-attr]
        state = emit_instruction(op.tuple, *inputs)
        root = trace.replay([branch.root], {branch.parameters[0]: state})[0]
        outputs = [root] if single else tuple_parts(root)
        given = {k: joint.parameter(s) for k, s in incoming.items()}
        found = derive(inputs, outputs, given)
        derived = [joint.use(d) if isinstance(d, Tracer) else d for d in found]
        outputs = [joint.session.resolve(o) for o in outputs]
        carried = joint.carried()
    assert len(joint.captures) == len(carried)
    beside_effects(outputs, carried)
    ends = [d for d in derived if isinstance(d, Instruction)] + [c.last for c in carried]
    residuals = residuals_of(ends, inputs, 0, 0, {*given.values(), *(c.first for c in carried)})
    return _Side(inputs, given, outputs, derived, carried, residuals)


def _assign(sides: Sequence[_Side]) -> list[Shape]:
    """Places for the residuals of all branches, each used at most once by a branch; their shapes."""
    places: list[Shape] = []
    for side in sides:
        free = list(range(len(places)))
        for residual in side.residuals:
            slot = next((s for s in free if places[s] == residual.shape), None)
            if slot is None:
                slot = len(places)
                places.append(residual.shape)
            else:
                free.remove(slot)
            side.slots.append(slot)
    return places


def _keeping(
    instruction: Instruction, sides: Sequence[_Side], slots: Sequence[Shape], single: bool
) -> tuple[list[Tracer], list[tuple[Instruction, Instruction]]]:
    """The choice that hands residuals on: those, and pairs of a result of the first choice and that of this one."""
    if not slots:
        return [], []
    index, *states = instruction.operands

    def keeping(side: _Side, state: Instruction) -> Computation:
        def build(values: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            mapping = {p: inner.use(v) for p, v in zip(side.inputs, values)}
            made = [Tracer(inner, i) for i in trace.replay([*side.outputs, *side.residuals], mapping)]
            filled = dict(zip(side.slots, made[len(side.outputs) :]))
            handed = [filled[k] if k in filled else zeros(shape) for k, shape in enumerate(slots)]
            return [*made[: len(side.outputs)], *handed]

        return trace.tuple_computation("branch_kept", list(state.shape), build)  # type: ignore[arg-type]

    branches = tuple(keeping(side, state) for side, state in zip(sides, states))
    results = trace.elements(emit_instruction(op.conditional, index, *states, branch_computations=branches))
    count = len(sides[0].outputs)
    if single:
        moved = [(instruction, results[0]._instruction)]
    else:
        users = [u for u in instruction.users if u.opcode.name == "get-tuple-element"]
        moved = [(user, results[user["index"]]._instruction) for user in users]
    return results[count:], moved


def _derived(
    index: Instruction, states: Sequence[Instruction], sides: Sequence[_Side], kept: list[Tracer], given: list[Tracer]
) -> list[Tracer]:
    """The choice between the derivatives; the effects of their rules take place now."""
    owner = trace.active()
    flat: list[Tracer] = []
    start: dict[Instruction, int] = {}
    for s in states:
        if s not in start:
            start[s] = len(flat)
            for x in tuple_parts(s):
                # A token that the branch hands on is no value; here there is always another one.
                flat.append(emit(op.after_all) if x.shape == TOKEN else Tracer(owner, owner.session.resolve(x)))
    carried = list({c.effect: c for side in sides for c in side.carried}.values())
    effects = [Tracer(owner, owner.effect(c.effect)) for c in carried]
    parts = [flat, kept, given, effects]
    bundle = emit_instruction(op.tuple, *[owner.use(t) for part in parts for t in part])
    ends = [sum(map(len, parts[: n + 1])) for n in range(3)]

    def derivative(side: _Side, state: Instruction) -> Computation:
        def build(values: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            held = [inner.use(v) for v in values]
            mapping = dict(zip(side.inputs, held[start[state] :]))
            mapping |= {r: held[ends[0] + k] for r, k in zip(side.residuals, side.slots)}
            mapping |= {p: held[ends[1] + k] for k, p in side.incoming.items()}
            now = dict(zip((c.effect for c in carried), held[ends[2] :]))
            mapping |= {c.first: now[c.effect] for c in side.carried}
            there = [d for d in side.derived if isinstance(d, Instruction)]
            made = iter(trace.replay([*there, *(c.last for c in side.carried)], mapping))
            found = [Tracer(inner, next(made)) if isinstance(d, Instruction) else zeros(d) for d in side.derived]
            now |= {c.effect: next(made) for c in side.carried}
            return [*found, *(Tracer(inner, now[c.effect]) for c in carried)]

        return trace.tuple_computation("branch_derivative", list(bundle.shape), build)  # type: ignore[arg-type]

    branches = tuple(derivative(side, state) for side, state in zip(sides, states))
    results = trace.elements(
        emit_instruction(op.conditional, index, *[bundle] * len(sides), branch_computations=branches)
    )
    count = len(sides[0].derived)
    owner.carry(carried, [t._instruction for t in results[count:]])
    return results[:count]


def conditional_vjp(instruction: Instruction, g: Any, needed: Callable[[Instruction], bool]) -> Sequence[Any]:
    """Cotangents of the operands (index, state of each branch) from those of the result."""
    session = trace.active().session
    index, *states = instruction.operands
    single = not isinstance(g, list)
    given = {k: x for k, x in enumerate([g] if single else g) if x is not None}
    numbers = {k: n for n, k in enumerate(given)}

    def asked_of(state: Instruction) -> list[int]:
        if not needed(state):
            return []
        known = state.operands if state.opcode.name == "tuple" else None
        parts = tuple_parts(state)
        return [j for j, x in enumerate(parts) if differentiable(x) and (known is None or needed(known[j]))]

    asked = {s: asked_of(s) for s in dict.fromkeys(states)}
    if not any(asked.values()):
        return [None] * (1 + len(states))

    def reverse(state: Instruction) -> Derive:
        def derive(inputs: list[Instruction], outputs: list[Instruction], incoming: dict[int, Instruction]) -> list:
            joint = trace.active()
            pairs = [(outputs[k], Tracer(joint, incoming[n])) for k, n in numbers.items()]
            mine = asked[state]
            found = dict(zip(mine, backward(pairs, [inputs[j] for j in mine])))
            # A state that several branches take has one cotangent, the sum: each branch but the chosen one gives zeros.
            given = [(s.shape[j], found.get(j) if s is state else None) for s in asked for j in asked[s]]  # type: ignore[index]
            return [shape if x is None else x for shape, x in given]

        return derive

    branches = instruction["branch_computations"]
    shapes = {numbers[k]: t._instruction.shape for k, t in given.items()}
    sides = [_record(b, shapes, single, reverse(s)) for b, s in zip(branches, states)]
    kept, moved = _keeping(instruction, sides, _assign(sides), single)
    for old, new in moved:
        session.redirect(old, new)
    found = iter(_derived(index, states, sides, kept, list(given.values())))
    columns: dict[Instruction, list[Any]] = {}
    for s in asked:
        columns[s] = [None] * len(s.shape)  # type: ignore[arg-type]
        for j in asked[s]:
            columns[s][j] = next(found)
    return [None, *(columns.pop(s, None) for s in states)]


def conditional_linear(
    instruction: Instruction, tangents: Sequence[Any], at: Sequence[int], single: bool
) -> tuple[list[Tracer], list[tuple[Instruction, Instruction]]]:
    """The tangents of those results that can have one, apart from the values; and what takes the results' places."""
    from xlac.frontend.forward import forward

    index, *states = instruction.operands
    given: list[Tracer] = []
    numbers: dict[Instruction, dict[int, int]] = {}  # of each state's tangents
    for state, column in zip(states, tangents):
        if state not in numbers:
            numbers[state] = {}
            for j, t in enumerate(column):
                if t is not None:
                    numbers[state][j] = len(given)
                    given.append(t)

    def push(state: Instruction) -> Derive:
        def derive(inputs: list[Instruction], outputs: list[Instruction], incoming: dict[int, Instruction]) -> list:
            joint = trace.active()
            seeds = {inputs[j]: Tracer(joint, incoming[n]) for j, n in numbers[state].items()}
            found = forward([outputs[j] for j in at], seeds, redirect=False)
            return [outputs[j].shape if t is None else t for j, t in zip(at, found)]

        return derive

    sides = []
    for branch, state in zip(instruction["branch_computations"], states):
        shapes = {n: given[n]._instruction.shape for n in numbers[state].values()}
        sides.append(_record(branch, shapes, single, push(state)))
    kept, moved = _keeping(instruction, sides, _assign(sides), single)
    return _derived(index, states, sides, kept, given), moved
