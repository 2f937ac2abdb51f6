"""Collectives, on the one device there is: a group of one participant exchanges nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import EvaluateError, ShapeError
from xlac.ir.opcode import BOOL, COMPUTATION, INT, INTS, RAW, Attr, opcode
from xlac.ir.ops.elementwise import require_array
from xlac.ir.ops.movement import check_dims
from xlac.ir.ops.reduction import check_reducer
from xlac.ir.shape import U32, ArrayShape, Shape, TupleShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation

CHANNEL: dict[str, Attr] = {"channel_id": INT.optional(None)}
GROUPS: dict[str, Attr] = {**CHANNEL, "replica_groups": RAW.optional("{}")}


def own_group(groups: str | None) -> list[int] | None:
    """The participants of the group of device 0 in a text as `{{0,1},{2,3}}` or `[2,2]<=[4]`, or of the first group
    where none has it; None where the text names none."""
    text = re.sub(r"\s", "", groups or "")
    iota = re.match(r"\[(\d+),(\d+)\]<=", text)
    if iota:
        return list(range(int(iota[2])))
    listed = [[int(n) for n in group.split(",")] for group in re.findall(r"\{(\d+(?:,\d+)*)\}", text)]
    return next((group for group in listed if 0 in group), listed[0]) if listed else None


def require_alone(name: str, groups: str | None) -> None:
    """Raise unless the groups have one participant each."""
    group = own_group(groups)
    if group is not None and len(group) > 1:
        raise EvaluateError(f"{name}: replica_groups={groups} needs {len(group)} devices; there is one")


def _check_ids(name: str, attrs: dict[str, Any]) -> None:
    if attrs.get("use_global_device_ids") and attrs.get("channel_id") is None:
        raise ShapeError(f"{name}: use_global_device_ids=true needs a channel_id")


def _arrays(name: str, operands: tuple[Shape, ...]) -> list[ArrayShape]:
    return [require_array(name, i, s) for i, s in enumerate(operands)]


def _one_or_tuple(shapes: list[ArrayShape]) -> Shape:
    plain = tuple(ArrayShape(s.element_type, s.dims) for s in shapes)
    return plain[0] if len(plain) == 1 else TupleShape(plain)


def _same(name: str) -> Callable[..., Any]:
    """An evaluator that gives the operands back, a tuple where there are several."""

    def evaluate(*xs: Any, replica_groups: str | None = None, **_: Any) -> Any:
        require_alone(name, replica_groups)
        return xs if len(xs) > 1 else xs[0]

    return evaluate


def _all_reduce_shape(name: str) -> Callable[..., Shape]:
    def shape(*operands: Shape, to_apply: Computation, **attrs: Any) -> Shape:
        _check_ids(name, attrs)
        arrays = _arrays(name, operands)
        check_reducer(name, to_apply, [ArrayShape(a.element_type) for a in arrays[:1]])
        return _one_or_tuple(arrays)

    return shape


_REDUCE = {
    **GROUPS,
    "constrain_layout": BOOL.optional(False),
    "use_global_device_ids": BOOL.optional(False),
}
_GATHER = {
    **GROUPS,
    "constrain_layout": BOOL.optional(False),
    "dimensions": INTS,
    "use_global_device_ids": BOOL.optional(False),
}
for _name in ("all-reduce", "all-reduce-start"):
    opcode(
        _name,
        arity=(1, None),
        attrs={**_REDUCE, "to_apply": COMPUTATION},
        shape=_all_reduce_shape(_name),
        evaluate=_same(_name),
        pure=False,
    )
opcode("all-reduce-done", arity=1, shape=lambda x: x, evaluate=lambda x: x, pure=False)


def _resized(name: str, operand: ArrayShape, result: Shape, dimensions: tuple[int, ...], grows: bool) -> None:
    """Raise unless `result` is `operand` with one dimension a multiple (`grows`), or a divisor, of the operand's."""
    check_dims(name, "dimensions", dimensions, operand.rank)
    if len(dimensions) != 1:
        raise ShapeError(f"{name}: dimensions={{{','.join(map(str, dimensions))}}}; it must name one dimension")
    (dim,) = dimensions
    fits = (
        isinstance(result, ArrayShape) and result.rank == operand.rank and operand.without(dim) == result.without(dim)
    )
    if fits:
        assert isinstance(result, ArrayShape)
        have, want = operand.dims[dim], result.dims[dim]
        fits = (want % have == 0 if have else want == 0) if grows else (have % want == 0 if want else have == 0)
    if not fits:
        relation = "a multiple" if grows else "a divisor"
        raise ShapeError(
            f"{name}: operand 0 is {operand} but the result is {result}; only dimension {dim} may differ, as {relation}"
        )


def _resizing(name: str, grows: bool) -> Callable[..., Shape]:
    def rule(
        *operands: Shape, shape: Shape, dimensions: tuple[int, ...], to_apply: Computation | None = None, **attrs: Any
    ) -> Shape:
        _check_ids(name, attrs)
        arrays = _arrays(name, operands)
        results = list(shape) if isinstance(shape, TupleShape) else [shape]
        if len(results) != len(arrays):
            raise ShapeError(
                f"{name}: {len(arrays)} operands but the result is {shape}; it must have one part for each"
            )
        for array, result in zip(arrays, results):
            _resized(name, array, result, dimensions, grows)
        if to_apply is not None:
            check_reducer(name, to_apply, [ArrayShape(a.element_type) for a in arrays[:1]])
        return shape

    return rule


def _resized_value(name: str) -> Callable[..., Any]:
    def evaluate(*xs: np.ndarray, shape: Shape, replica_groups: str | None = None, **_: Any) -> Any:
        require_alone(name, replica_groups)
        results = list(shape) if isinstance(shape, TupleShape) else [shape]
        for x, result in zip(xs, results):
            if isinstance(result, ArrayShape) and result.dims != x.shape:
                raise EvaluateError(
                    f"{name}: the result {result} of an operand of {list(x.shape)} needs several devices"
                )
        return xs if isinstance(shape, TupleShape) else xs[0]

    return evaluate


opcode(
    "all-gather",
    arity=(1, None),
    attrs=_GATHER,
    shape=_resizing("all-gather", grows=True),
    evaluate=_resized_value("all-gather"),
    declared=True,
    pure=False,
)
opcode(
    "reduce-scatter",
    arity=(1, None),
    attrs={**_REDUCE, "dimensions": INTS, "to_apply": COMPUTATION},
    shape=_resizing("reduce-scatter", grows=False),
    evaluate=_resized_value("reduce-scatter"),
    declared=True,
    pure=False,
)


def _gather_start_shape(*operands: Shape, shape: Shape, dimensions: tuple[int, ...], **attrs: Any) -> Shape:
    name = "all-gather-start"
    _check_ids(name, attrs)
    arrays = _arrays(name, operands)
    if not isinstance(shape, TupleShape) or len(shape) < 2 or shape[0] != _one_or_tuple(arrays):
        raise ShapeError(f"{name}: the result is {shape}; it must be a tuple of the operands and the gathered arrays")
    results = list(shape[1]) if isinstance(shape[1], TupleShape) else [shape[1]]
    for array, result in zip(arrays, results):
        _resized(name, array, result, dimensions, grows=True)
    return shape


def _gather_start(*xs: np.ndarray, shape: TupleShape, **attrs: Any) -> Any:
    gathered = _resized_value("all-gather-start")(*xs, shape=shape[1], **attrs)
    return (xs if len(xs) > 1 else xs[0], gathered)


def started_result(name: str) -> dict[str, Any]:
    """Shape rule and evaluator of a -done opcode that takes (operand, result, ...) and gives the result."""

    def shape(x: Shape) -> Shape:
        if not isinstance(x, TupleShape) or len(x) < 2:
            raise ShapeError(
                f"{name}: operand 0 is {x}; it must be the tuple of operand and result that the start gives"
            )
        return x[1]

    return {"shape": shape, "evaluate": lambda x: x[1]}


opcode(
    "all-gather-start",
    arity=(1, None),
    attrs=_GATHER,
    shape=_gather_start_shape,
    evaluate=_gather_start,
    declared=True,
    pure=False,
)
opcode("all-gather-done", arity=1, pure=False, **started_result("all-gather-done"))


def _all_to_all_shape(*operands: Shape, dimensions: tuple[int, ...] | None, **_: Any) -> Shape:
    arrays = _arrays("all-to-all", operands)
    for i, shape in enumerate(arrays):
        if shape != arrays[0]:
            raise ShapeError(f"all-to-all: operand {i} is {shape} but operand 0 is {arrays[0]}; they must be equal")
    plain = tuple(ArrayShape(s.element_type, s.dims) for s in arrays)
    if dimensions is None:
        return TupleShape(plain)
    check_dims("all-to-all", "dimensions", dimensions, arrays[0].rank)
    return plain[0]


def _all_to_all(*xs: np.ndarray, dimensions: tuple[int, ...] | None, replica_groups: str | None, **_: Any) -> Any:
    require_alone("all-to-all", replica_groups)
    if len(xs) > 1:
        raise EvaluateError(f"all-to-all: {len(xs)} operands are for as many devices; there is one")
    return xs if dimensions is None else xs[0]


opcode(
    "all-to-all",
    arity=(1, None),
    attrs={**GROUPS, "constrain_layout": BOOL.optional(False), "dimensions": INTS.optional(None)},
    shape=_all_to_all_shape,
    evaluate=_all_to_all,
    pure=False,
)


def _ragged_shape(*operands: Shape, **_: Any) -> ArrayShape:
    arrays = _arrays("ragged-all-to-all", operands)
    if (
        arrays[0].element_type is not arrays[1].element_type
        or arrays[0].dims[1:] != arrays[1].dims[1:]
        or not arrays[0].rank
    ):
        raise ShapeError(
            f"ragged-all-to-all: operand 1 is {arrays[1]} but operand 0 is {arrays[0]}; only dimension 0 may differ"
        )
    for i, shape in enumerate(arrays[2:], 2):
        if not shape.element_type.is_integer or shape != arrays[2] or not 1 <= shape.rank <= 2:
            raise ShapeError(
                f"ragged-all-to-all: operand {i} is {shape}; the offsets and sizes must be equal integer vectors"
            )
    return ArrayShape(arrays[1].element_type, arrays[1].dims)


def _ragged(
    x: np.ndarray,
    output: np.ndarray,
    input_offsets: np.ndarray,
    send_sizes: np.ndarray,
    output_offsets: np.ndarray,
    recv_sizes: np.ndarray,
    *,
    replica_groups: str | None,
    **_: Any,
) -> np.ndarray:
    """Rows input_offsets[i] ... of x, send_sizes[i] of them, stand at output_offsets[i] of the output."""
    require_alone("ragged-all-to-all", replica_groups)
    result = output.copy()
    for start, count, into in zip(input_offsets.reshape(-1), send_sizes.reshape(-1), output_offsets.reshape(-1)):
        result[int(into) : int(into) + int(count)] = x[int(start) : int(start) + int(count)]
    return result


opcode(
    "ragged-all-to-all",
    arity=6,
    attrs=GROUPS,
    shape=_ragged_shape,
    evaluate=_ragged,
    pure=False,
)
opcode(
    "collective-broadcast",
    arity=(1, None),
    attrs=GROUPS,
    shape=lambda *xs, **_: _one_or_tuple(_arrays("collective-broadcast", xs)),
    evaluate=_same("collective-broadcast"),
    pure=False,
)

_PAIRS: dict[str, Attr] = {**CHANNEL, "source_target_pairs": RAW, "slice_sizes": RAW.optional(None)}


def _permuted(x: np.ndarray, pairs: str) -> np.ndarray:
    """What the first device receives: its own array where it sends it to itself, zeros where nobody sends."""
    listed = [(int(a), int(b)) for a, b in re.findall(r"\{\s*(\d+)\s*,\s*(\d+)\s*\}", pairs)]
    if any(max(pair) > 0 for pair in listed):
        raise EvaluateError(f"collective-permute: source_target_pairs={pairs} names devices other than 0; there is one")
    return x if (0, 0) in listed else np.zeros_like(x)


def _permute_shape(*operands: Shape, slice_sizes: str | None, **_: Any) -> Shape:
    """That of the operands, or with slice_sizes that of operand 1, into which slices of operand 0 are written."""
    if slice_sizes is None:
        return _one_or_tuple(_arrays("collective-permute", operands))
    if len(operands) != 4:
        raise ShapeError(
            f"collective-permute: {len(operands)} operands; with slice_sizes they are input, output and both's offsets"
        )
    return operands[1]


def _permute(*xs: Any, source_target_pairs: str, slice_sizes: str | None, **_: Any) -> Any:
    if slice_sizes is not None:
        raise EvaluateError(f"collective-permute: slice_sizes={slice_sizes} needs several devices; there is one")
    results = tuple(_permuted(x, source_target_pairs) for x in xs)
    return results if len(results) > 1 else results[0]


opcode(
    "collective-permute",
    arity=(1, None),
    attrs=_PAIRS,
    shape=_permute_shape,
    evaluate=_permute,
    pure=False,
)


def _permute_start_shape(*operands: Shape, shape: Shape, slice_sizes: str | None, **_: Any) -> Shape:
    result = _permute_shape(*operands, slice_sizes=slice_sizes)
    sent = result if slice_sizes is None else operands[0]
    if not isinstance(shape, TupleShape) or len(shape) < 2 or shape[0] != sent or shape[1] != result:
        raise ShapeError(
            f"collective-permute-start: the result is {shape}; it must begin with operand and result, {sent}, {result}"
        )
    return shape


def _permute_start(
    *xs: np.ndarray, shape: TupleShape, source_target_pairs: str, slice_sizes: str | None, **_: Any
) -> Any:
    result = _permute(*xs, source_target_pairs=source_target_pairs, slice_sizes=slice_sizes)
    return (xs if len(xs) > 1 else xs[0], result, *contexts(shape, 2))


def contexts(shape: TupleShape, first: int) -> list[Any]:
    """Values for the parts of an asynchronous result from `first` on, which nobody reads."""
    return [np.zeros(s.dims, s.dtype) if isinstance(s, ArrayShape) else () for s in shape.shapes[first:]]


opcode(
    "collective-permute-start",
    arity=(1, None),
    attrs=_PAIRS,
    shape=_permute_start_shape,
    evaluate=_permute_start,
    declared=True,
    pure=False,
)
opcode("collective-permute-done", arity=1, attrs=CHANNEL, pure=False, **{
    "shape": lambda x, channel_id: started_result("collective-permute-done")["shape"](x),
    "evaluate": lambda x, channel_id: x[1],
})  # fmt: skip

for _name in ("partition-id", "replica-id"):
    opcode(_name, arity=0, shape=lambda: ArrayShape(U32), evaluate=lambda: np.zeros((), np.uint32))
