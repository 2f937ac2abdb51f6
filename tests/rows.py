"""Evaluates single opcode rows, and makes small computations of two scalars for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import ELEMENT_TYPES, ArrayShape, Shape, shape_of


def parameters(*shapes: Shape) -> list[Instruction]:
    """Instructions of those shapes, to make others from."""
    computation = Computation("operands")
    return [computation.parameter(shape) for shape in shapes]


def run(name: str, *arrays: Any, shape: Shape | None = None, **attrs: Any) -> Any:
    """The value of one opcode of arrays; its shape is checked too."""
    operands = [np.asarray(a) for a in arrays]
    made = OPCODES[name].make(*parameters(*(shape_of(a) for a in operands)), shape=shape, **attrs)
    value = evaluate_instruction(made, operands)
    if isinstance(made.shape, ArrayShape):
        assert shape_of(np.asarray(value)) == made.shape
    else:
        assert [shape_of(np.asarray(v)) for v in value] == list(made.shape)
    return value


def infer(name: str, *shapes: Shape, shape: Shape | None = None, **attrs: Any) -> Shape:
    """The shape of one opcode's result."""
    return OPCODES[name].make(*parameters(*shapes), shape=shape, **attrs).shape


def array(text: str) -> ArrayShape:
    """The shape of a text such as f32[2,3]."""
    name, _, dims = text.rstrip("]").partition("[")
    return ArrayShape(ELEMENT_TYPES[name], tuple(int(d) for d in dims.split(",") if d))


def of_scalars(*types: str, build: Callable[..., Instruction], name: str = "region") -> Computation:
    """The computation of scalars of `types` that `build` makes of its parameters."""
    computation = Computation(name)
    computation.add(build(*(computation.parameter(array(f"{t}[]")) for t in types)))
    return computation


def reducer(opcode: str, element: str = "f32") -> Computation:
    """`opcode(a, b)` of two scalars."""
    return of_scalars(element, element, build=OPCODES[opcode].make, name=f"region_{opcode}")


def take_second(element: str = "f32") -> Computation:
    """The second of two scalars."""
    computation = Computation("second")
    computation.parameter(array(f"{element}[]"))
    computation.root = computation.parameter(array(f"{element}[]"))
    return computation


def less_than(*elements: str, direction: str = "LT", type: str | None = None) -> Computation:
    """Compares the first pair of scalars; each element type has two parameters."""
    doubled = [t for t in elements for _ in range(2)]
    return of_scalars(
        *doubled, build=lambda a, b, *_: op.compare.make(a, b, direction=direction, type=type), name="before"
    )
