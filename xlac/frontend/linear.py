"""Linear programs: what derivatives are made of, recorded once and run on any number of values.

A linear program starts at placeholders (marked zeros of the right shapes) and ends at outputs; everything that depends
on a placeholder belongs to it, and all else is a value that it reads. It can be called in the trace it was recorded in
and in any trace inside that one, such as that of a `vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xlac.frontend import trace
from xlac.frontend.trace import emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, operands_first
from xlac.ir.opcode import op
from xlac.ir.shape import TOKEN, ArrayShape, Shape, TupleShape
from xlac.lax.operands import expand


def zeros(shape: Shape) -> Tracer:
    """An array of zeros."""

    assert isinstance(shape, ArrayShape)
    return expand(lift(np.zeros((), shape.dtype)), shape.dims, ())


def zeros_like(x: Tracer) -> Tracer:
    """An array of zeros of the shape and type of `x`."""
    return zeros(x._instruction.shape)


def placeholder(shape: Shape) -> Tracer:
    """Zeros that nothing else stands for, where a linear program starts."""
    return emit(op.copy, zeros(shape))


def tuple_parts(instruction: Instruction) -> list[Instruction]:
    """The elements of an instruction whose shape is a tuple, in the current trace."""
    if instruction.opcode.name == "tuple":
        return list(instruction.operands)
    return [t._instruction for t in trace.elements(instruction)]


def transpose(
    push: Callable[[list[Tracer]], Sequence[Any]], shapes: Sequence[Shape], cotangents: Sequence[Any]
) -> list:
    """The cotangents of the arguments of a linear function from those of its results; None is zero."""
    from xlac.frontend.autodiff import backward

    active = trace.active()
    before = dict(active.effects)
    inputs = [placeholder(s) for s in shapes]
    outputs = push(inputs)
    take_effects(inputs, before)  # those that show tangents do not take place: there are none
    pairs = [(active.use(o), g) for o, g in zip(outputs, cotangents) if o is not None and g is not None]
    return backward(pairs, [active.use(x) for x in inputs])


class LinearProgram:
    """A recorded linear function of flat lists of arrays; None among the outputs is zero.

    Attributes:
      effects: for each effect of it, its value at the beginning and in the end.
    """

    def __init__(
        self,
        inputs: Sequence[Tracer],
        outputs: Sequence[Tracer | None],
        effects: dict[trace.Effect, tuple[Instruction, Instruction]],
    ) -> None:
        self.owner = trace.active()
        self.effects = effects
        self.inputs = [self.owner.use(x) for x in inputs]
        self.outputs = [None if x is None else self.owner.use(x) for x in outputs]

    def __call__(self, values: Sequence[Tracer]) -> list[Tracer | None]:
        """Record it again in the current trace, which is its own or inside it."""
        active, owner = trace.active(), self.owner
        session = active.session
        outputs = [None if o is None else session.resolve(o) for o in self.outputs]
        ends = [o for o in outputs if o is not None] + [session.resolve(last) for _, last in self.effects.values()]
        mapping = {i: active.use(v) for i, v in zip(self.inputs, values)}
        mapping |= {first: active.effect(e) for e, (first, _) in self.effects.items()}
        linear = _depending(ends, mapping)
        read = [session.resolve(x) for i in linear for x in i.operands] + ends
        for x in read:
            if x not in linear and x not in mapping:
                mapping[x] = _brought(x, owner)
        found = iter(trace.replay(ends, mapping))
        results = [None if o is None else Tracer(active, next(found)) for o in outputs]
        active.effects |= {e: next(found) for e in self.effects}
        return results

    def region(self) -> tuple[trace.Trace, list[Instruction], list[Instruction | None]]:
        """The program in a trace of its own: its trace, parameters and outputs; it captures what it reads."""
        inner = trace.Trace("linear", self.owner)
        inner.carries = True
        with trace.resumed(self.owner), trace.recording(inner):
            parameters = [inner.parameter(i.shape) for i in self.inputs]
            results = self([Tracer(inner, p) for p in parameters])
            outputs = [None if r is None else inner.use(r) for r in results]
        return inner, parameters, outputs


def record_linear(function: Callable[[list[Tracer]], Sequence[Any]], shapes: Sequence[Shape]) -> LinearProgram:
    """Record a linear function of flat lists of arrays."""
    before = dict(trace.active().effects)
    inputs = [placeholder(s) for s in shapes]
    outputs = function(inputs)
    return LinearProgram(inputs, outputs, take_effects(inputs, before))


def take_effects(
    inputs: Sequence[Tracer], before: dict[trace.Effect, Instruction]
) -> dict[trace.Effect, tuple[Instruction, Instruction]]:
    """Take the effects that depend on placeholders out of the current trace; they keep their order.

    `before` are the effects when the placeholders were made. Gives, for each effect, its value before the first and
    after the last of what was taken out.
    """
    active = trace.active()
    taken = {}
    for effect, last in list(active.effects.items()):
        if last.shape != TOKEN or last is before.get(effect):
            continue
        start = active.session.resolve(before[effect] if effect in before else effect.initial())
        links = _links(start, last, inputs)
        linear = _depending(links, {active.use(x): True for x in inputs}, values_only=True)
        chosen = [x for x in links if x in linear]
        if chosen:
            first = emit_instruction(op.after_all)
            active.effects[effect] = _chained([x for x in links if x not in linear], start)
            taken[effect] = first, _chained(chosen, first)
    return taken


def _links(start: Instruction, end: Instruction, inputs: Sequence[Tracer]) -> list[Instruction]:
    """What hands a token on from start to end, in an order in which it can; nothing older than the placeholders."""
    session = trace.active().session
    oldest = min((session.order[x._instruction] for x in inputs), default=0)

    def earlier(x: Instruction) -> list[Instruction]:
        return [] if session.order.get(x, -1) < oldest else session.operands(x)

    found: dict[Instruction, None] = {}
    for top in operands_first([start], found, session.operands):
        found[top] = None
    passed = len(found)
    for top in operands_first([session.resolve(end)], found, earlier):
        found[top] = None
    own = ("get-tuple-element", "tuple", "after-all", "parameter")
    made = list(found)[passed:]
    return [x for x in made if _holds_token(x) and x.opcode.name not in own and session.order.get(x, -1) >= oldest]


def _holds_token(x: Instruction) -> bool:
    return x.shape == TOKEN or (isinstance(x.shape, TupleShape) and TOKEN in x.shape)


def _chained(links: Sequence[Instruction], token: Instruction) -> Instruction:
    """Let each take the token that the one before hands on; gives the last."""
    for link in links:
        operands = []
        for x in link.operands:
            if x.shape == TOKEN:
                x = token
            elif x.opcode.name == "tuple" and _holds_token(x):
                x = emit_instruction(op.tuple, *(token if y.shape == TOKEN else y for y in x.operands))
            operands.append(x)
        for old in link.operands:
            old.users.pop(link, None)
        link.operands = tuple(operands)
        for new in operands:
            new.users[link] = None
        made = [x for x in link.users if x.shape == TOKEN]
        token = made[0] if len(made) == 1 else emit_instruction(op.after_all, *made)
    return token


def _brought(instruction: Instruction, owner: trace.Trace) -> Instruction:
    """A value of an outer trace in the current one; tuples are taken apart first."""
    active = trace.active()
    if active is owner or not isinstance(instruction.shape, TupleShape):
        return active.use(Tracer(owner, instruction))
    with trace.resumed(owner):
        parts = [Tracer(owner, x) for x in tuple_parts(instruction)]
    return emit_instruction(op.tuple, *[active.use(p) for p in parts])


def _depending(
    outputs: Iterable[Instruction], inputs: dict[Instruction, Any], values_only: bool = False
) -> set[Instruction]:
    """The instructions between inputs and outputs that depend on an input, the inputs left out.

    With `values_only`, what follows an effect does not depend on it for that.
    """
    session = trace.active().session
    known: dict[Instruction, bool] = dict.fromkeys(inputs, True)
    oldest = min((session.order[i] for i in inputs), default=0)

    def operands(x: Instruction) -> list[Instruction]:
        if session.order.get(x, -1) < oldest:
            return []
        found = session.operands(x)
        return [y for y in found if y.shape != TOKEN] if values_only else found

    for top in operands_first(list(outputs), known, operands):
        known[top] = any(known[x] for x in operands(top))
    return {i for i, depends in known.items() if depends and i not in inputs}
