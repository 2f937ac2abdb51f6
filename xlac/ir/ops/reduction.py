"""Reductions along dimensions by any reducer, and map: computations of scalars applied to arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import BOOL, COMPUTATION, INT, INTS, OPCODES, WORD, opcode
from xlac.ir.ops.control import Value, check_call
from xlac.ir.ops.elementwise import convert_values, is_narrow, quiet, require_array, same_dims
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import ArrayShape, Shape, TupleShape, leaves, shape_of
from xlac.ir.window import Window, WindowDim

if TYPE_CHECKING:
    from xlac.ir.module import Computation, Instruction

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
        raise ShapeError(
            f"{name}: computation {reducer.name} takes {len(reducer.parameters)} parameters; it must take {2 * n}"
        )
    for i, parameter in enumerate(reducer.parameters):
        if not isinstance(parameter.shape, ArrayShape) or parameter.shape.dims:
            raise ShapeError(f"{name}: parameter {i} of {reducer.name} is {parameter.shape}; it must be a scalar")
    results = list(reducer.root.shape) if isinstance(reducer.root.shape, TupleShape) else [reducer.root.shape]
    if len(results) != n:
        raise ShapeError(f"{name}: computation {reducer.name} gives {len(results)} results; it must give {n}")


def inputs_and_inits(name: str, operands: Sequence[Shape]) -> tuple[list[ArrayShape], list[ArrayShape]]:
    """The arrays of a reduction, of equal dimensions, and their scalar initial values. ShapeError if they are not."""
    if len(operands) % 2:
        raise ShapeError(f"{name}: got {len(operands)} operands; it takes arrays and as many initial values")
    n = len(operands) // 2
    arrays = [require_array(name, i, s) for i, s in enumerate(operands)]
    inputs, inits = arrays[:n], arrays[n:]
    for i, shape in enumerate(inputs):
        if shape.dims != inputs[0].dims:
            raise ShapeError(
                f"{name}: operand {i} is {shape} but operand 0 is {inputs[0]}; the dimensions must be equal"
            )
    for i, shape in enumerate(inits):
        if shape.dims:
            raise ShapeError(f"{name}: operand {n + i} is {shape}; an initial value must be a scalar")
    return inputs, inits


def _reduce_shape(*operands: Shape, dimensions: tuple[int, ...], to_apply: Computation) -> Shape:
    inputs, inits = inputs_and_inits("reduce", operands)
    check_dims("reduce", "dimensions", dimensions, inputs[0].rank)
    check_reducer("reduce", to_apply, inits)
    results = list(to_apply.root.shape) if isinstance(to_apply.root.shape, TupleShape) else [to_apply.root.shape]
    dims = inputs[0].without(*dimensions).dims
    shapes = tuple(ArrayShape(r.element_type, dims) for r in results)
    return TupleShape(shapes) if isinstance(to_apply.root.shape, TupleShape) else shapes[0]


def scalar_only(computation: Computation) -> bool:
    """Whether the computation is made of scalar elementwise opcodes, so that it maps over arrays of any shape."""
    plain = ("parameter", "constant", "tuple", "get-tuple-element")
    for instruction in computation:
        name = instruction.opcode.name
        if name in ("call", "fusion"):
            if not all(scalar_only(c) for c in instruction.called):
                return False
        elif name == "bitcast-convert":
            if instruction.shape.dims or instruction.operands[0].shape.dims:
                return False
        elif not (instruction.opcode.elementwise or name in plain):
            return False
        if any(not isinstance(leaf, ArrayShape) or leaf.dims for leaf in leaves(instruction.shape)):
            return False
    return True


def map_scalars(computation: Computation, call: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
    """The results of a computation of scalars for each element of `arrays`, which broadcast together.

    All elements are computed at once where the computation allows it, else one after the other.
    """
    several = isinstance(computation.root.shape, TupleShape)
    dims = np.broadcast_shapes(*(a.shape for a in arrays))
    if scalar_only(computation):
        values = call(computation, *arrays)
        return [np.broadcast_to(v, dims) for v in (values if several else (values,))]
    wide = [np.broadcast_to(a, dims) for a in arrays]
    results = [np.empty(dims, leaf.dtype) for leaf in leaves(computation.root.shape) if isinstance(leaf, ArrayShape)]
    for index in np.ndindex(*dims):
        values = call(computation, *(a[(*index, ...)] for a in wide))
        for into, value in zip(results, values if several else (values,)):
            into[index] = value
    return results


def as_parameters(arrays: Sequence[np.ndarray], parameters: Sequence[Instruction]) -> list[np.ndarray]:
    """`arrays` in the element types of a reducer's parameters, which may be of another precision."""
    return [convert_values(a, p.shape.element_type) for a, p in zip(arrays, parameters)]


def monoid_parts(name: str, dtype: np.dtype) -> tuple[np.ufunc, Any] | None:
    """NumPy's function and the identity of a reducer of `MONOIDS` on `dtype`; None where NumPy cannot reduce it."""
    if dtype == np.bool_:
        function = {"add": np.logical_or, "multiply": np.logical_and}.get(name, MONOIDS[name])
        return function, name in ("multiply", "and", "minimum")
    if dtype.kind not in "iufc":
        return None
    if name in ("maximum", "minimum"):
        if dtype.kind == "c":
            return None
        if dtype.kind == "f":
            return MONOIDS[name], dtype.type(-np.inf if name == "maximum" else np.inf)
        limits = np.iinfo(dtype)
        return MONOIDS[name], dtype.type(limits.min if name == "maximum" else limits.max)
    # Minus zero, not zero: minus zero plus it stays minus zero.
    identity = {"add": -0.0 if dtype.kind in "fc" else 0, "multiply": 1, "and": -1, "or": 0, "xor": 0}[name]
    return MONOIDS[name], np.asarray(identity).astype(dtype)[()]


def fold(
    arrays: list[np.ndarray], accumulators: list[np.ndarray], reducer: Computation, call: Callable[..., Any]
) -> list[np.ndarray]:
    """Fold `arrays` of shape [n, ...] along the first axis into accumulators of shape [...], in order."""
    for k in range(arrays[0].shape[0]):
        accumulators = map_scalars(reducer, call, *accumulators, *(a[k] for a in arrays))
    return accumulators


# The length of the windows in which a long dimension is reduced, and how many elements of a sum of float32 or float64
# are reduced without windows: those of XLA's CPU compiler.
_WINDOW = 32
_LONG_SUM = 4096


def tree_window(x: ArrayShape, dimensions: Sequence[int], reducer: Computation) -> Window | None:
    """The windows of a reduction of one array whose results, reduced in their turn, are the result; None if it is done
    in one go.

    HLO leaves open how often the initial value enters a reduction. Here it enters each of these windows once, then
    what follows, which is how XLA's CPU compiler counts (xla/service/tree_reduction_rewriter.cc). Only an initial value
    that is not neutral shows it; with a neutral one a reduction may be done in any way.
    """
    root = reducer.root.shape
    if isinstance(root, TupleShape) or any(p.shape != root for p in reducer.parameters):
        return None
    if all(x.dims[d] <= _WINDOW for d in dimensions) or x.size == 0:
        return None
    if x.size >= _LONG_SUM and x.element_type.name in ("f32", "f64") and monoid(reducer) == "add":
        return None
    return tuple(_window_along(n) if d in dimensions else WindowDim(1) for d, n in enumerate(x.dims))


def _window_along(extent: int) -> WindowDim:
    size = min(extent, _WINDOW)
    padding = -extent % size
    return WindowDim(size, stride=size, pad_low=padding // 2, pad_high=padding - padding // 2)


def reduces_nothing(dims: Sequence[int], dimensions: Sequence[int]) -> bool:
    """Whether each element of the result is one of the operand: then the reducer and the initial value stay out, as
    they do in XLA, which takes the initial value for neutral."""
    return all(dims[d] == 1 for d in dimensions)


def init_count(x: ArrayShape, dimensions: Sequence[int], reducer: Computation) -> int:
    """How often the initial value enters each element of the result of a reduction of one array."""
    if reduces_nothing(x.dims, dimensions):
        return 0
    window = tree_window(x, dimensions, reducer)
    if window is None:
        return 1
    inner = x.with_dims(tuple(d.positions(n) for d, n in zip(window, x.dims)))
    return math.prod(inner.dims[d] for d in dimensions) + init_count(inner, dimensions, reducer)


# Elements on which a reducer is tried, in their type.
_PROBES = (-7, -3, -1, 0, 1, 2, 6)


def is_neutral(init: np.ndarray, reducer: Computation, call: Callable[..., Any]) -> bool:
    """Whether a reducer of one array gives back some typical elements combined with the initial value."""
    with np.errstate(all="ignore"):
        (init,) = as_parameters([init], reducer.parameters[:1])
        probes = np.asarray(_PROBES).astype(init.dtype)
        (results,) = map_scalars(reducer, call, init, probes)
        return bool(np.all((results == probes) | (probes != probes)))


def _reduce(*operands: np.ndarray, dimensions: tuple[int, ...], to_apply: Computation, call: Callable[..., Any]) -> Any:
    n = len(operands) // 2
    parameters = to_apply.parameters
    inits, inputs = as_parameters(operands[n:], parameters[:n]), as_parameters(operands[:n], parameters[n:])
    kept = [d for d in range(inputs[0].ndim) if d not in dimensions]
    dims = tuple(inputs[0].shape[d] for d in kept)
    if reduces_nothing(inputs[0].shape, dimensions):
        results = [convert_values(x, s.element_type).reshape(dims) for x, s in zip(inputs, leaves(to_apply.root.shape))]
        return tuple(results) if isinstance(to_apply.root.shape, TupleShape) else results[0]
    name = monoid(to_apply)
    if name is not None and not isinstance(to_apply.root.shape, TupleShape):
        x = inputs[0]
        wide = x.astype(np.float32) if is_narrow(x.dtype) else x
        parts = monoid_parts(name, wide.dtype)
        if parts is not None:
            function, identity = parts
            kind = {"dtype": wide.dtype} if wide.dtype != np.bool_ else {}
            times = init_count(shape_of(x), dimensions, to_apply)
            init = function.reduce(np.full(times, inits[0].astype(wide.dtype)), initial=identity, **kind)
            total = function.reduce(wide, axis=tuple(dimensions), initial=init, **kind)
            return np.asarray(total).astype(x.dtype)
    window = tree_window(shape_of(inputs[0]), dimensions, to_apply) if n == 1 else None
    if window is not None and not is_neutral(inits[0], to_apply, call):
        inner = OPCODES["reduce-window"].evaluate(inputs[0], inits[0], window=window, to_apply=to_apply, call=call)
        return _reduce(inner, inits[0], dimensions=dimensions, to_apply=to_apply, call=call)
    count = math.prod(inputs[0].shape[d] for d in dimensions)
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


def _map_shape(*operands: Shape, dimensions: tuple[int, ...], to_apply: Computation) -> ArrayShape:
    arrays = same_dims("map", operands)
    check_dims("map", "dimensions", dimensions, arrays[0].rank)
    check_call("map", to_apply, tuple(ArrayShape(a.element_type) for a in arrays))
    result = require_array("map", 0, to_apply.root.shape)
    if result.dims:
        raise ShapeError(f"map: computation {to_apply.name} gives {result}; it must give a scalar")
    return result.with_dims(arrays[0].dims)


def _map(*xs: np.ndarray, dimensions: tuple[int, ...], to_apply: Computation, call: Callable[..., Any]) -> np.ndarray:
    return map_scalars(to_apply, call, *xs)[0]


opcode(
    "map",
    arity=(1, None),
    attrs={"dimensions": INTS.optional(()), "to_apply": COMPUTATION},
    shape=_map_shape,
    evaluate=quiet(_map),
)


def _scan_shape(
    *operands: Shape,
    shape: Shape | None = None,
    dimensions: tuple[int, ...],
    num_carries: int,
    to_apply: Computation,
    **_: Any,
) -> Shape:
    if not 0 <= num_carries < len(operands):
        raise ShapeError(f"scan: num_carries={num_carries} of {len(operands)} operands; it needs an array to scan")
    if len(dimensions) != 1:
        raise ShapeError(f"scan: dimensions={{{','.join(map(str, dimensions))}}}; it must name one dimension")
    (along,) = dimensions
    inputs = [require_array("scan", i, s) for i, s in enumerate(operands[: len(operands) - num_carries])]
    for i, operand in enumerate(inputs):
        check_dims("scan", "dimensions", dimensions, operand.rank)
        if operand.dims[along] != inputs[0].dims[along]:
            raise ShapeError(
                f"scan: operand {i} is {operand} but operand 0 is {inputs[0]}; dimension {along} must be equal"
            )
    given = (*(x.without(along) for x in inputs), *operands[len(inputs) :])
    root = check_call("scan", to_apply, given)
    results = list(root) if isinstance(root, TupleShape) else [root]
    carries = results[len(results) - num_carries :]
    if len(results) < num_carries or list(operands[len(inputs) :]) != carries:
        raise ShapeError(f"scan: computation {to_apply.name} gives {root}; the last {num_carries} must be the carries")
    stacked = []
    for i, result in enumerate(results[: len(results) - num_carries]):
        row = require_array("scan", i, result)
        if along > row.rank:
            raise ShapeError(f"scan: computation {to_apply.name} gives {row}, which cannot be stacked along {along}")
        stacked.append(row.with_dims((*row.dims[:along], inputs[0].dims[along], *row.dims[along:])))
    whole = (*stacked, *carries)
    if not isinstance(shape, TupleShape) and len(whole) == 1:
        return whole[0]
    return TupleShape(whole)


def _scan(
    *operands: Value,
    shape: Shape,
    dimensions: tuple[int, ...],
    num_carries: int,
    is_reverse: bool,
    to_apply: Computation,
    call: Callable[..., Any],
    **_: Any,
) -> Any:
    """Results of the computation for one slice after the other, and what it hands on from each to the next."""
    (along,) = dimensions
    inputs, carries = operands[: len(operands) - num_carries], operands[len(operands) - num_carries :]
    shapes = list(shape) if isinstance(shape, TupleShape) else [shape]
    totals = [np.zeros(s.dims, s.dtype) for s in shapes[: len(shapes) - num_carries] if isinstance(s, ArrayShape)]
    steps = range(inputs[0].shape[along])
    for k in reversed(steps) if is_reverse else steps:
        made = call(to_apply, *(x.take(k, along) for x in inputs), *carries)
        made = made if isinstance(to_apply.root.shape, TupleShape) else (made,)
        for total, row in zip(totals, made):
            np.moveaxis(total, along, 0)[k] = row
        carries = made[len(totals) :]
    results = (*totals, *carries)
    return results if isinstance(shape, TupleShape) else results[0]


opcode(
    "scan",
    arity=(1, None),
    attrs={
        "dimensions": INTS,
        "num_carries": INT.optional(0),
        "is_reverse": BOOL.optional(False),
        "is_associative": WORD.optional(None),
        "to_apply": COMPUTATION,
    },
    shape=_scan_shape,
    evaluate=quiet(_scan),
    declared=True,
)
