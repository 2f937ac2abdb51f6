"""Forward derivatives through loops and branches: the values and their tangents computed side by side.

A tangent is carried only for those elements of the state that can have one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xlac.frontend import trace
from xlac.frontend.autodiff import differentiable
from xlac.frontend.batching import effect_starts, join_effects
from xlac.frontend.control import ScanNote, emit_scan
from xlac.frontend.flags import spread, union, while_flags
from xlac.frontend.forward import Moved, Unapplied, forward
from xlac.frontend.linear import tuple_parts, zeros, zeros_like
from xlac.frontend.reverse_branches import conditional_linear
from xlac.frontend.reverse_loops import beside_effects, reached, residuals_of, stack_residuals
from xlac.frontend.trace import emit_instruction
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import Shape


def _flags(tangents: Sequence[Any]) -> list[bool]:
    return [t is not None for t in tangents]


def _redirected(instruction: Instruction, new: dict[int, Instruction], moved: Moved) -> None:
    """Note for each element of a tuple who computes it now."""
    for user in instruction.users:
        if user.opcode.name == "get-tuple-element" and user["index"] in new:
            moved.append((user, new[user["index"]]))


def _recorded(name: str, shapes: Sequence[Shape], build: Callable[[list[Tracer]], list[Tracer]]) -> trace.Region:
    """A loop body or a branch with its derivative; all that it captures are effects of the derivative's rules."""
    region = trace.record_region(name, build, [(s, False) for s in shapes], lambda leaves: (leaves,))
    assert len(region.captured) == len(region.carried)
    return region


def _repeated(region: trace.Region, values: Sequence[Tracer]) -> list[Tracer]:
    """The results of a region and what its effects have become, from its inputs and its effects."""
    active = trace.active()
    mapping = dict(zip((*region.inputs, *(e.first for e in region.carried)), map(active.use, values)))
    return [Tracer(active, x) for x in trace.replay([*region.outputs, *(e.last for e in region.carried)], mapping)]


def while_jvp(instruction: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The loop with the tangents as further state."""
    active = trace.active()
    (given,) = tangents
    state = [Tracer(active, x) for x in tuple_parts(instruction.operands[0])]
    n = len(state)
    body, condition = instruction["body"], instruction["condition"]
    flags, _ = while_flags(instruction, _flags(given), differentiable)
    at = [j for j in range(n) if flags[j]]
    full = [*state, *(zeros_like(state[j]) if given[j] is None else given[j] for j in at)]
    shapes = [active.use(t).shape for t in full]

    def values(computation: Computation, parts: list[Tracer]) -> Instruction:
        inner = trace.active()
        packed = emit_instruction(op.tuple, *[inner.use(p) for p in parts[:n]])
        return trace.replay([computation.root], {computation.parameters[0]: packed})[0]

    def turn(parts: list[Tracer]) -> list[Tracer]:
        inner = trace.active()
        results = tuple_parts(values(body, parts))
        seeds = {inner.use(parts[j]): t for j, t in zip(at, parts[n:])}
        slopes = forward([results[j] for j in at], seeds)
        made = [Tracer(inner, r) for r in results]
        return [*made, *(zeros_like(made[j]) if s is None else s for j, s in zip(at, slopes))]

    def test(parts: list[Tracer]) -> Tracer:
        return Tracer(trace.active(), values(condition, parts))

    region = _recorded(f"{body.name}_joint", [active.use(t).shape for t in full], turn)
    full += effect_starts(region.carried)
    shapes = [active.use(t).shape for t in full]
    made = emit_instruction(
        op.while_,
        emit_instruction(op.tuple, *[active.use(t) for t in full]),
        condition=trace.tuple_computation(f"{condition.name}_jvp", shapes, test),
        body=trace.tuple_computation(f"{body.name}_jvp", shapes, lambda parts: _repeated(region, parts)),
    )
    results = trace.elements(made)
    join_effects(region.carried, results[n + len(at) :])
    _redirected(instruction, {j: results[j]._instruction for j in range(n)}, moved)
    slopes = dict(zip(at, results[n:]))
    return [slopes.get(j) for j in range(n)]


def scan_jvp(note: ScanNote, instruction: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The scan with tangents among its constants, carry, inputs and results; or these alone, in a loop of their own."""
    active = trace.active()
    session = active.session
    (given,) = tangents
    c, k, m = note.constants, note.carries, note.inputs
    values = [Tracer(active, session.resolve(x)) for x in instruction.operands[0].operands]
    constants, carry, xs = values[1 : 1 + c], values[1 + c : 1 + c + k], values[1 + c + k : 1 + c + k + m]
    flags = _flags(given[1 : 1 + c + k + m])
    outputs = [session.resolve(o) for o in note.outputs]
    while True:
        found = spread(outputs, dict(zip(note.parameters, flags)), differentiable)
        wider = [*flags[:c], *union(flags[c : c + k], found[:k]), *flags[c + k :]]
        if wider == flags:
            break
        flags = wider
    ys = found[k:]
    kinds = [
        [j for j in range(c) if flags[j]],
        [j for j in range(k) if flags[c + j]],
        [j for j in range(m) if flags[c + k + j]],
    ]
    of_ys = [j for j, moving in enumerate(ys) if moving]

    joint = trace.Trace("scan_jvp", active)
    joint.carries = True
    with trace.recording(joint):
        groups = [note.parameters[:c], note.parameters[c : c + k], note.parameters[c + k :]]
        parameters: list[Instruction] = []
        primals: list[Instruction] = []
        seeds: dict[Instruction, Any] = {}
        for group, moving in zip(groups, kinds):
            mine = [joint.parameter(p.shape) for p in group]
            slopes = [joint.parameter(group[j].shape) for j in moving]
            seeds |= {mine[j]: Tracer(joint, s) for j, s in zip(moving, slopes)}
            primals += mine
            parameters += [*mine, *slopes]
        results = [joint.use(t) for t in note.run([Tracer(joint, p) for p in primals])]
        wanted = [*(results[j] for j in kinds[1]), *(results[k + j] for j in of_ys)]
        found_slopes = forward(wanted, seeds, redirect=not isinstance(moved, Unapplied))
        made = [joint.use(zeros(w.shape) if s is None else s) for w, s in zip(wanted, found_slopes)]
        results = [session.resolve(r) for r in results]
        carried = len(kinds[1])
        effects = joint.carried()  # of rules that custom_jvp was given
        firsts, lasts = [e.first for e in effects], [e.last for e in effects]
    assert len(joint.captures) == len(effects)

    def slope(j: int) -> Tracer:
        return zeros_like(values[1 + j]) if given[1 + j] is None else given[1 + j]

    n_ys = len(ys)
    column: list[Any] = list(given)
    column[1 + c : 1 + c + k] = [None] * k
    column[1 + c + k + m :] = [None] * n_ys

    def placed(of_last: Sequence[Tracer], of_stacked: Sequence[Tracer]) -> list[Any]:
        for j, t in zip(kinds[1], of_last):
            column[1 + c + j] = t
        for j, t in zip(of_ys, of_stacked):
            column[1 + c + k + m + j] = t
        return column

    if isinstance(moved, Unapplied):
        incoming = [session.resolve(t._instruction) for t in seeds.values()]
        beside_effects(results, effects)
        residuals = residuals_of([*made, *lasts], primals, c, k, {*incoming, *firsts})
        stacks, kept = stack_residuals(note, instruction, results, primals, residuals)
        moved.kept += kept
        read = reached([*made, *lasts])
        fixed = [j for j in range(c) if primals[j] in read]
        sliced = [j for j in range(m) if primals[c + k + j] in read]
        ends = [len(kinds[0]), len(kinds[0]) + carried]
        linear = ScanNote(
            outputs=[*lasts, *made],
            parameters=[
                *(primals[j] for j in fixed),
                *incoming[: ends[0]],
                *firsts,
                *incoming[ends[0] : ends[1]],
                *(primals[c + k + j] for j in sliced),
                *incoming[ends[1] :],
                *residuals,
            ],
            constants=len(fixed) + ends[0],
            carries=len(firsts) + carried,
            inputs=len(sliced) + len(kinds[2]) + len(residuals),
            length=note.length,
            reverse=note.reverse,
        )
        slopes_found = emit_scan(
            linear,
            [*(constants[j] for j in fixed), *(slope(j) for j in kinds[0])],
            [*(Tracer(active, active.effect(e.effect)) for e in effects), *(slope(c + j) for j in kinds[1])],
            [*(xs[j] for j in sliced), *(slope(c + k + j) for j in kinds[2]), *stacks],
        )
        active.carry(effects, [t._instruction for t in slopes_found])
        slopes_found = slopes_found[len(effects) :]
        return placed(slopes_found[:carried], slopes_found[carried:])

    results = [*results[:k], *made[:carried], *lasts, *results[k:], *made[carried:]]
    k2 = k + carried + len(lasts)
    at = len(parameters) - m - len(kinds[2])
    parameters[at:at] = firsts
    new = ScanNote(results, parameters, c + len(kinds[0]), k2, m + len(kinds[2]), note.length, note.reverse)

    found_values = emit_scan(
        new,
        [*constants, *(slope(j) for j in kinds[0])],
        [*carry, *(slope(c + j) for j in kinds[1]), *effect_starts(effects)],
        [*xs, *(slope(c + k + j) for j in kinds[2])],
    )
    last, of_last = found_values[:k], found_values[k : k + carried]
    stacked, of_stacked = found_values[k2 : k2 + n_ys], found_values[k2 + n_ys :]
    join_effects(effects, found_values[k + carried : k2])
    places = {1 + c + j: x._instruction for j, x in enumerate(last)}
    places |= {1 + c + k + m + j: x._instruction for j, x in enumerate(stacked)}
    _redirected(instruction, places, moved)
    return placed(of_last, of_stacked)


def conditional_jvp(instruction: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The same choice between branches that give values and tangents."""
    active = trace.active()
    index, *states = instruction.operands
    branches = instruction["branch_computations"]
    given = [t if t is not None else [None] * len(s.shape) for t, s in zip(tangents[1:], states)]  # type: ignore[arg-type]
    found = [spread([b.root], {b.parameters[0]: _flags(t)}, differentiable)[0] for b, t in zip(branches, given)]
    single = not isinstance(found[0], list)
    wanted = [any(column) for column in zip(*([f] if single else f for f in found))]
    at = [j for j, moving in enumerate(wanted) if moving]

    if isinstance(moved, Unapplied):
        apart, kept = conditional_linear(instruction, given, at, single)
        moved.kept += kept
        slopes = dict(zip(at, apart))
        return slopes.get(0) if single else [slopes.get(j) for j in range(len(wanted))]

    def side(branch: Computation, state: Instruction, slopes: list[Any]) -> tuple[list[Tracer], trace.Region]:
        n = len(slopes)
        moving = [j for j, s in enumerate(slopes) if s is not None]

        def build(values: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            mine = emit_instruction(op.tuple, *[inner.use(v) for v in values[:n]])
            root = trace.replay([branch.root], {branch.parameters[0]: mine})[0]
            results = [root] if single else tuple_parts(root)
            seeds = {inner.use(values[j]): t for j, t in zip(moving, values[n:])}
            made = forward([results[j] for j in at], seeds)
            outs = [Tracer(inner, r) for r in results]
            return [*outs, *(zeros_like(outs[j]) if t is None else t for j, t in zip(at, made))]

        full = [*(Tracer(active, x) for x in tuple_parts(state)), *(slopes[j] for j in moving)]
        return full, _recorded(f"{branch.name}_joint", [active.use(t).shape for t in full], build)

    sides = [side(b, s, t) for b, s, t in zip(branches, states, given)]
    effects = list({e.effect: e for _, region in sides for e in region.carried}.values())
    starts = effect_starts(effects)

    def completed(region: trace.Region) -> Callable[[list[Tracer]], list[Tracer]]:
        """The branch with all effects, those that it leaves alone too."""
        count = len(region.inputs)

        def build(parts: list[Tracer]) -> list[Tracer]:
            now = {e.effect: t for e, t in zip(effects, parts[count:])}
            made = _repeated(region, [*parts[:count], *(now[e.effect] for e in region.carried)])
            now |= {e.effect: t for e, t in zip(region.carried, made[len(region.outputs) :])}
            return [*made[: len(region.outputs)], *(now[e.effect] for e in effects)]

        return build

    packed = [emit_instruction(op.tuple, *[active.use(t) for t in (*full, *starts)]) for full, _ in sides]
    computations = [
        trace.tuple_computation(f"{b.name}_jvp", list(p.shape), completed(region))  # type: ignore[arg-type]
        for b, p, (_, region) in zip(branches, packed, sides)
    ]
    made = emit_instruction(op.conditional, index, *packed, branch_computations=tuple(computations))
    results = trace.elements(made)
    n = len(wanted)
    join_effects(effects, results[n + len(at) :])
    slopes = dict(zip(at, results[n:]))
    if single:
        moved.append((instruction, results[0]._instruction))
        return slopes.get(0)
    _redirected(instruction, {j: results[j]._instruction for j in range(n)}, moved)
    return [slopes.get(j) for j in range(n)]
