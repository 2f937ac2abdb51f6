"""The reverse of a choice: the same choice between the branches' reverses.

Each branch and its reverse are recorded together, as in `reverse_loops.py`. What the reverse of a branch reads and
cannot cheaply make again is handed on by a second version of the choice, which takes the place of the first; branches
share the places for it, and fill those that are not theirs with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xlac.frontend import trace
from xlac.frontend.autodiff import backward, differentiable
from xlac.frontend.linear import tuple_parts, zeros, zeros_like
from xlac.frontend.reverse_loops import residuals_of
from xlac.frontend.trace import emit_instruction
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import Shape


@dataclass
class _Joint:
    """A branch and its reverse.

    Attributes:
      inputs, incoming: parameters for the state and for the results' cotangents.
      outputs: the branch's results.
      grads: the cotangents of those elements of the state that are asked for.
      residuals: what the reverse takes over from the branch.
      slots: in which places they are handed on.
    """

    inputs: list[Instruction]
    incoming: list[Instruction]
    outputs: list[Instruction]
    grads: list[Instruction]
    residuals: list[Instruction]
    slots: list[int]


def _record(branch: Computation, given: Sequence[Any], asked: Sequence[int], single: bool) -> _Joint:
    owner = trace.active()
    shapes = list(branch.parameters[0].shape)  # type: ignore[arg-type]
    joint = trace.Trace(f"{branch.name}_joint", owner)
    with trace.recording(joint):
        inputs = [joint.parameter(s) for s in shapes]
        state = emit_instruction(op.tuple, *inputs)
        root = trace.replay([branch.root], {branch.parameters[0]: state})[0]
        outputs = [root] if single else tuple_parts(root)
        present = [k for k, g in enumerate(given) if g is not None]
        incoming = [joint.parameter(outputs[k].shape) for k in present]
        found = backward(
            [(outputs[k], Tracer(joint, g)) for k, g in zip(present, incoming)], [inputs[j] for j in asked]
        )
        grads = [joint.use(zeros(inputs[j].shape) if f is None else f) for f, j in zip(found, asked)]
        outputs = [joint.session.resolve(o) for o in outputs]
    assert not joint.captures
    residuals = residuals_of(grads, inputs, 0, 0, set(incoming))
    return _Joint(inputs, incoming, outputs, grads, residuals, [])


def _assign(joints: Sequence[_Joint]) -> list[Shape]:
    """Places for the residuals of all branches, each used at most once by a branch; their shapes."""
    places: list[Shape] = []
    for joint in joints:
        free = list(range(len(places)))
        for residual in joint.residuals:
            slot = next((s for s in free if places[s] == residual.shape), None)
            if slot is None:
                slot = len(places)
                places.append(residual.shape)
            else:
                free.remove(slot)
            joint.slots.append(slot)
    return places


def conditional_vjp(instruction: Instruction, g: Any, needed: Callable[[Instruction], bool]) -> Sequence[Any]:
    """Cotangents of the operands (index, state of each branch) from those of the result."""
    owner = trace.active()
    session = owner.session
    index, *states = instruction.operands
    branches = instruction["branch_computations"]
    single = not isinstance(g, list)
    given = [g] if single else g
    cotangents = [x for x in given if x is not None]

    def asked_of(state: Instruction) -> list[int]:
        if not needed(state):
            return []
        known = state.operands if state.opcode.name == "tuple" else None
        shapes = tuple_parts(state)
        return [j for j, x in enumerate(shapes) if differentiable(x) and (known is None or needed(known[j]))]

    unique = list(dict.fromkeys(states))
    parts = {s: [Tracer(owner, session.resolve(x)) for x in tuple_parts(s)] for s in unique}
    asked = {s: asked_of(s) for s in unique}
    joints = [_record(b, given, asked[s], single) for b, s in zip(branches, states)]
    slots = _assign(joints)

    def forward_side(joint: _Joint, state: Instruction) -> Computation:
        def build(values: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            mapping = {p: inner.use(v) for p, v in zip(joint.inputs, values)}
            made = [Tracer(inner, i) for i in trace.replay([*joint.outputs, *joint.residuals], mapping)]
            filled = dict(zip(joint.slots, made[len(joint.outputs) :]))
            handed = [filled[k] if k in filled else zeros(shape) for k, shape in enumerate(slots)]
            return [*made[: len(joint.outputs)], *handed]

        return trace.tuple_computation("branch_kept", list(state.shape), build)  # type: ignore[arg-type]

    kept: list[Tracer] = []
    if slots:
        sides = tuple(forward_side(j, s) for j, s in zip(joints, states))
        results = trace.elements(emit_instruction(op.conditional, index, *states, branch_computations=sides))
        kept = results[len(given) :]
        if single:
            session.redirect(instruction, results[0]._instruction)
        else:
            for user in list(instruction.users):
                if user.opcode.name == "get-tuple-element":
                    session.redirect(user, results[user["index"]]._instruction)

    flat = [t for s in unique for t in parts[s]]
    start = {}
    for s in unique:
        start[s] = sum(len(parts[u]) for u in unique[: unique.index(s)])
    bundle = emit_instruction(op.tuple, *[owner.use(t) for t in (*flat, *kept, *cotangents)])

    def reverse_side(joint: _Joint, state: Instruction) -> Computation:
        def build(values: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            held = [inner.use(v) for v in values]
            mapping = dict(zip(joint.inputs, held[start[state] :]))
            mapping |= {r: held[len(flat) + k] for r, k in zip(joint.residuals, joint.slots)}
            mapping |= dict(zip(joint.incoming, held[len(flat) + len(kept) :]))
            made = iter(trace.replay(joint.grads, mapping))
            results: list[Tracer] = []
            for s in unique:
                for j in asked[s]:
                    results.append(Tracer(inner, next(made)) if s is state else zeros_like(values[start[s] + j]))
            return results

        return trace.tuple_computation("branch_transpose", list(bundle.shape), build)  # type: ignore[arg-type]

    sides = tuple(reverse_side(j, s) for j, s in zip(joints, states))
    if not any(asked.values()):
        return [None] * (1 + len(states))
    found = iter(
        trace.elements(emit_instruction(op.conditional, index, *[bundle] * len(sides), branch_computations=sides))
    )
    columns: dict[Instruction, list[Any]] = {}
    for s in unique:
        column: list[Any] = [None] * len(parts[s])
        for j in asked[s]:
            column[j] = next(found)
        columns[s] = column
    # A state that several branches take has one cotangent, the sum: each branch but the chosen one gives zeros.
    return [None, *(columns.pop(s, None) for s in states)]
