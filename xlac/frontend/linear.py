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
from xlac.ir.shape import ArrayShape, Shape, TupleShape
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
    inputs = [placeholder(s) for s in shapes]
    outputs = push(inputs)
    pairs = [(active.use(o), g) for o, g in zip(outputs, cotangents) if o is not None and g is not None]
    return backward(pairs, [active.use(x) for x in inputs])


class LinearProgram:
    """A recorded linear function of flat lists of arrays; None among the outputs is zero."""

    def __init__(self, inputs: Sequence[Tracer], outputs: Sequence[Tracer | None]) -> None:
        self.owner = trace.active()
        self.inputs = [self.owner.use(x) for x in inputs]
        self.outputs = [None if x is None else self.owner.use(x) for x in outputs]

    def __call__(self, values: Sequence[Tracer]) -> list[Tracer | None]:
        """Record it again in the current trace, which is its own or inside it."""
        active, owner = trace.active(), self.owner
        session = active.session
        outputs = [None if o is None else session.resolve(o) for o in self.outputs]
        ends = [o for o in outputs if o is not None]
        mapping = {i: active.use(v) for i, v in zip(self.inputs, values)}
        linear = _depending(ends, mapping)
        read = [session.resolve(x) for i in linear for x in i.operands] + ends
        for x in read:
            if x not in linear and x not in mapping:
                mapping[x] = _brought(x, owner)
        found = iter(trace.replay(ends, mapping))
        return [None if o is None else Tracer(active, next(found)) for o in outputs]

    def region(self) -> tuple[trace.Trace, list[Instruction], list[Instruction | None]]:
        """The program in a trace of its own: its trace, parameters and outputs; it captures what it reads."""
        inner = trace.Trace("linear", self.owner)
        with trace.resumed(self.owner), trace.recording(inner):
            parameters = [inner.parameter(i.shape) for i in self.inputs]
            results = self([Tracer(inner, p) for p in parameters])
            outputs = [None if r is None else inner.use(r) for r in results]
        return inner, parameters, outputs


def record_linear(function: Callable[[list[Tracer]], Sequence[Any]], shapes: Sequence[Shape]) -> LinearProgram:
    """Record a linear function of flat lists of arrays."""
    inputs = [placeholder(s) for s in shapes]
    return LinearProgram(inputs, function(inputs))


def _brought(instruction: Instruction, owner: trace.Trace) -> Instruction:
    """A value of an outer trace in the current one; tuples are taken apart first."""
    active = trace.active()
    if active is owner or not isinstance(instruction.shape, TupleShape):
        return active.use(Tracer(owner, instruction))
    with trace.resumed(owner):
        parts = [Tracer(owner, x) for x in tuple_parts(instruction)]
    return emit_instruction(op.tuple, *[active.use(p) for p in parts])


def _depending(outputs: Iterable[Instruction], inputs: dict[Instruction, Any]) -> set[Instruction]:
    """The instructions between inputs and outputs that depend on an input, the inputs left out."""
    session = trace.active().session
    known: dict[Instruction, bool] = dict.fromkeys(inputs, True)
    oldest = min((session.order[i] for i in inputs), default=0)

    def operands(x: Instruction) -> list[Instruction]:
        return [] if session.order.get(x, -1) < oldest else session.operands(x)

    for top in operands_first(list(outputs), known, operands):
        known[top] = any(known[x] for x in operands(top))
    return {i for i, depends in known.items() if depends and i not in inputs}
