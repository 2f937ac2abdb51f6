"""Opcodes of structure: parameters, tuples, calls, fusion, loops and branches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.counting import counted_end
from xlac.ir.opcode import COMPUTATION, COMPUTATIONS, INT, WORD, opcode
from xlac.ir.shape import PRED, S32, ArrayShape, Shape, TupleShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation

Value = Any  # an array, or a tuple of values
Call = Callable[..., Value]


def check_call(name: str, computation: Computation, operands: tuple[Shape, ...]) -> Shape:
    """The result of calling `computation`; raises unless its parameters have the operands' shapes."""
    parameters = computation.parameters
    if len(parameters) != len(operands):
        raise ShapeError(
            f"{name}: computation {computation.name} takes {len(parameters)} parameters, got {len(operands)} operands"
        )
    for i, (parameter, operand) in enumerate(zip(parameters, operands)):
        if parameter.shape != operand:
            raise ShapeError(
                f"{name}: operand {i} is {operand} but parameter {i} of {computation.name} is {parameter.shape}"
            )
    return computation.root.shape


def _parameter(*, shape: Shape, number: int) -> Value:
    raise AssertionError("the evaluator binds parameters itself")


def _parameter_shape(*, shape: Shape, number: int) -> Shape:
    if number < 0:
        raise ShapeError(f"parameter: its number is {number}; it must not be negative")
    return shape


opcode("parameter", arity=0, attrs={"number": INT}, shape=_parameter_shape, evaluate=_parameter, declared=True)
opcode("tuple", arity=(0, None), shape=lambda *xs: TupleShape(xs), evaluate=lambda *xs: xs)


def _element_shape(x: Shape, *, index: int) -> Shape:
    if not isinstance(x, TupleShape):
        raise ShapeError(f"get-tuple-element: operand 0 is {x}; it must be a tuple")
    if not 0 <= index < len(x):
        raise ShapeError(f"get-tuple-element: index={index}; operand 0, {x}, has {len(x)} elements")
    return x[index]


opcode(
    "get-tuple-element",
    arity=1,
    attrs={"index": INT},
    shape=_element_shape,
    evaluate=lambda x, *, index: x[index],
)


def _call_shape(*operands: Shape, to_apply: Computation) -> Shape:
    return check_call("call", to_apply, operands)


opcode(
    "call",
    arity=(0, None),
    attrs={"to_apply": COMPUTATION},
    shape=_call_shape,
    evaluate=lambda *xs, to_apply, call: call(to_apply, *xs),
)


def _fusion_shape(*operands: Shape, kind: str, calls: Computation) -> Shape:
    return check_call("fusion", calls, operands)


opcode(
    "fusion",
    arity=(0, None),
    attrs={"kind": WORD.optional("kLoop"), "calls": COMPUTATION},
    shape=_fusion_shape,
    evaluate=lambda *xs, kind, calls, call: call(calls, *xs),
)


def _while_shape(state: Shape, *, condition: Computation, body: Computation) -> Shape:
    test = check_call("while", condition, (state,))
    if test != ArrayShape(PRED):
        raise ShapeError(f"while: condition {condition.name} gives {test}; it must give pred[]")
    result = check_call("while", body, (state,))
    if result != state:
        raise ShapeError(f"while: body {body.name} gives {result} but operand 0 is {state}; they must be equal")
    return result


def _while(state: Value, *, condition: Computation, body: Computation, call: Call) -> Value:
    if isinstance(state, np.ndarray) and not state.ndim and state.dtype.kind in "iu":
        end = counted_end(condition, body, int(state))
        if end is not None:
            return np.array(end, state.dtype)
    while bool(call(condition, state)):
        state = call(body, state)
    return state


opcode(
    "while",
    arity=1,
    attrs={"condition": COMPUTATION, "body": COMPUTATION},
    shape=_while_shape,
    evaluate=_while,
)


def _conditional_shape(index: Shape, *operands: Shape, branch_computations: tuple[Computation, ...]) -> Shape:
    if index not in (ArrayShape(PRED), ArrayShape(S32)):
        raise ShapeError(f"conditional: operand 0 is {index}; it must be pred[] or s32[]")
    if not branch_computations or len(branch_computations) != len(operands):
        raise ShapeError(f"conditional: {len(branch_computations)} branches but {len(operands)} operands for them")
    if index == ArrayShape(PRED) and len(branch_computations) != 2:
        raise ShapeError(f"conditional: a pred chooses between 2 branches, got {len(branch_computations)}")
    results = [check_call("conditional", b, (x,)) for b, x in zip(branch_computations, operands)]
    for branch, result in zip(branch_computations, results):
        if result != results[0]:
            first = branch_computations[0].name
            raise ShapeError(f"conditional: branch {branch.name} gives {result} but {first} gives {results[0]}")
    return results[0]


def chosen_branch(index: np.ndarray, count: int) -> int:
    """The branch that runs: true is the first; a number out of range takes the last."""
    if index.dtype == np.bool_:
        return 0 if index else 1
    return int(index) if 0 <= index < count else count - 1


def _conditional(
    index: np.ndarray, *operands: Value, branch_computations: tuple[Computation, ...], call: Call
) -> Value:
    chosen = chosen_branch(index, len(branch_computations))
    return call(branch_computations[chosen], operands[chosen])


opcode(
    "conditional",
    arity=(2, None),
    attrs={"branch_computations": COMPUTATIONS},
    shape=_conditional_shape,
    evaluate=_conditional,
)
