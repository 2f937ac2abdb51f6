"""Reductions along dimensions, by any reducer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import COMPUTATION, INTS, opcode
from xlac.ir.ops.elementwise import is_narrow, quiet, require_array
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import ArrayShape, Shape, TupleShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation

# Reducers that are one binary opcode of the two parameters, with NumPy's function and the identity.
MONOIDS: dict[str, np.ufunc] = {
    "add": np.add,
    "multiply": np.multiply,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def monoid(computation: Computation) -> str | None:
    """The opcode name if `computation` is `op(p0, p1)` or `op(p1, p0)` for an op of `MONOIDS`, else None."""
    root = computation.root
    if (
        len(computation.parameters) == 2
        and root.opcode.name in MONOIDS
        and set(root.operands) == set(computation.parameters)
        and len(set(root.operands)) == 2
    ):
        return root.opcode.name
    return None


def check_reducer(name: str, reducer: Computation, types: list[ArrayShape]) -> None:
    """Raise unless `reducer` takes the accumulators and then the elements, scalars, and gives the accumulators."""
    n = len(types)
    if len(reducer.parameters) != 2 * n:
        raise ShapeError(f"{name}: computation {reducer.name} takes {len(reducer.parameters)} parameters; it must take {2 * n}")
    for i, parameter in enumerate(reducer.parameters):
        if not isinstance(parameter.shape, ArrayShape) or parameter.shape.dims:
            raise ShapeError(f"{name}: parameter {i} of {reducer.name} is {parameter.shape}; it must be a scalar")
    results = list(reducer.root.shape) if isinstance(reducer.root.shape, TupleShape) else [reducer.root.shape]
    if len(results) != n:
        raise ShapeError(f"{name}: computation {reducer.name} gives {len(results)} results; it must give {n}")


def _reduce_shape(*operands: Shape, dimensions: tuple[int, ...], to_apply: Computation) -> Shape:
    if len(operands) % 2:
        raise ShapeError(f"reduce: got {len(operands)} operands; it takes arrays and as many initial values")
    n = len(operands) // 2
    arrays = [require_array("reduce", i, s) for i, s in enumerate(operands)]
    inputs, inits = arrays[:n], arrays[n:]
    for i, shape in enumerate(inputs):
        if shape.dims != inputs[0].dims:
            raise ShapeError(f"reduce: operand {i} is {shape} but operand 0 is {inputs[0]}; the dimensions must be equal")
    for i, shape in enumerate(inits):
        if shape.dims:
            raise ShapeError(f"reduce: operand {n + i} is {shape}; an initial value must be a scalar")
    check_dims("reduce", "dimensions", dimensions, inputs[0].rank)
    check_reducer("reduce", to_apply, inits)
    results = list(to_apply.root.shape) if isinstance(to_apply.root.shape, TupleShape) else [to_apply.root.shape]
    dims = inputs[0].without(*dimensions).dims
    shapes = tuple(ArrayShape(r.element_type, dims) for r in results)
    return TupleShape(shapes) if isinstance(to_apply.root.shape, TupleShape) else shapes[0]


def scalar_only(computation: Computation) -> bool:
    """Whether the computation is made of scalar elementwise opcodes, so that it maps over arrays of any shape."""
    plain = ("parameter", "constant", "tuple", "get-tuple-element")
    return all(i.opcode.elementwise or i.opcode.name in plain for i in computation)


def fold(
    arrays: list[np.ndarray], accumulators: list[np.ndarray], reducer: Computation, call: Callable[..., Any]
) -> list[np.ndarray]:
    """Fold `arrays` of shape [n, ...] along the first axis into accumulators of shape [...], in order."""
    several = len(arrays) > 1 or isinstance(reducer.root.shape, TupleShape)
    if scalar_only(reducer):
        for k in range(arrays[0].shape[0]):
            result = call(reducer, *accumulators, *(a[k] for a in arrays))
            accumulators = list(result) if several else [result]
            accumulators = [np.broadcast_to(a, arrays[0].shape[1:]) for a in accumulators]
        return accumulators
    results = [a.copy() for a in accumulators]
    for index in np.ndindex(*arrays[0].shape[1:]):
        state = [a[index] for a in accumulators]
        for k in range(arrays[0].shape[0]):
            result = call(reducer, *state, *(a[(k, *index)] for a in arrays))
            state = list(result) if several else [result]
        for into, value in zip(results, state):
            into[index] = value
    return results


def _reduce(*operands: np.ndarray, dimensions: tuple[int, ...], to_apply: Computation, call: Callable[..., Any]) -> Any:
    n = len(operands) // 2
    inputs, inits = operands[:n], operands[n:]
    kept = [d for d in range(inputs[0].ndim) if d not in dimensions]
    dims = tuple(inputs[0].shape[d] for d in kept)
    name = monoid(to_apply)
    x, init = inputs[0], inits[0]
    if n == 1 and name is not None and x.dtype == init.dtype and np.dtype(x.dtype).kind in "biufc" + ("V" * is_narrow(x.dtype)):
        wide = x.astype(np.float32) if is_narrow(x.dtype) else x
        start = init.astype(wide.dtype)
        if x.dtype == np.bool_:
            function = {"add": np.logical_or, "multiply": np.logical_and}.get(name, MONOIDS[name])
        else:
            function = MONOIDS[name]
        total = function.reduce(wide, axis=tuple(dimensions), dtype=wide.dtype, initial=start[()])
        return np.asarray(total).astype(x.dtype)
    count = int(np.prod([inputs[0].shape[d] for d in dimensions], dtype=np.int64))
    flat = [a.transpose([*dimensions, *kept]).reshape(count, *dims) for a in inputs]
    results = fold(flat, [np.broadcast_to(i, dims) for i in inits], to_apply, call)
    return tuple(results) if isinstance(to_apply.root.shape, TupleShape) else results[0]


opcode(
    "reduce",
    arity=(2, None),
    attrs={"dimensions": INTS, "to_apply": COMPUTATION},
    shape=_reduce_shape,
    evaluate=quiet(_reduce),
)
