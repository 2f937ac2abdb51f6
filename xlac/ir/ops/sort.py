"""sort by any comparator, and topk. All sorts are stable."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import BOOL, COMPUTATION, INT, INTS, opcode
from xlac.ir.ops.elementwise import is_narrow, quiet, require_array, require_kind, total_order
from xlac.ir.ops.movement import check_dims
from xlac.ir.ops.reduction import map_scalars, scalar_only
from xlac.ir.shape import PRED, S32, ArrayShape, Shape, TupleShape, element_type

if TYPE_CHECKING:
    from xlac.ir.module import Computation, Instruction


def _sort_shape(*operands: Shape, dimensions: tuple[int, ...], is_stable: bool, to_apply: Computation) -> Shape:
    arrays = [require_array("sort", i, s) for i, s in enumerate(operands)]
    first = arrays[0]
    for i, shape in enumerate(arrays):
        if shape.dims != first.dims:
            raise ShapeError(f"sort: operand {i} is {shape} but operand 0 is {first}; the dimensions must be equal")
    if len(dimensions) != 1:
        raise ShapeError(f"sort: dimensions={{{','.join(map(str, dimensions))}}}; it must name one dimension")
    check_dims("sort", "dimensions", dimensions, first.rank)
    parameters = to_apply.parameters
    if len(parameters) != 2 * len(arrays):
        raise ShapeError(
            f"sort: computation {to_apply.name} takes {len(parameters)} parameters; it must take {2 * len(arrays)}"
        )
    for i, parameter in enumerate(parameters):
        wanted = ArrayShape(arrays[i // 2].element_type)
        if parameter.shape != wanted:
            raise ShapeError(f"sort: parameter {i} of {to_apply.name} is {parameter.shape}; it must be {wanted}")
    if to_apply.root.shape != ArrayShape(PRED):
        raise ShapeError(f"sort: computation {to_apply.name} gives {to_apply.root.shape}; it must give pred[]")
    shapes = tuple(ArrayShape(s.element_type, s.dims) for s in arrays)
    return shapes[0] if len(shapes) == 1 else TupleShape(shapes)


def _mirrored(left: Instruction, right: Instruction, pairs: dict[Instruction, Instruction]) -> bool:
    """Whether `right` is what `left` becomes when each pair of parameters is swapped; fills `pairs`."""
    if left in pairs:
        return pairs[left] is right
    if left.opcode is not right.opcode or left.shape != right.shape or len(left.operands) != len(right.operands):
        return False
    if left.opcode.name == "parameter":
        a, b = left["number"], right["number"]
        same = a % 2 == 0 and b == a + 1
    elif left.opcode.name == "constant":
        a, b = left["literal"], right["literal"]
        same = a.dtype == b.dtype and a.tobytes() == b.tobytes()
    else:
        same = left.attrs == right.attrs and all(_mirrored(a, b, pairs) for a, b in zip(left.operands, right.operands))
    pairs[left] = right
    return same


def _key(comparator: Computation) -> tuple[Instruction, bool] | None:
    """The function of the first of each pair that decides the order, and whether larger ones come first.

    None unless the comparator is `compare(f(a), f(b))` for less or greater.
    """
    root = comparator.root
    if root.opcode.name != "compare" or root["direction"] not in ("LT", "GT") or not scalar_only(comparator):
        return None
    left, right = root.operands
    if _mirrored(left, right, {}):
        return left, root["direction"] == "GT"
    if _mirrored(right, left, {}):
        return right, root["direction"] == "LT"
    return None


def _partial(instruction: Instruction, arrays: list[np.ndarray]) -> np.ndarray:
    """The value of an instruction of a scalar computation whose even parameters are bound to `arrays`."""
    from xlac.ir.evaluate import evaluate_instruction

    values: dict[Instruction, Any] = {}

    def value(i: Instruction) -> Any:
        if i not in values:
            if i.opcode.name == "parameter":
                values[i] = arrays[i["number"] // 2]
            else:
                values[i] = evaluate_instruction(i, [value(x) for x in i.operands])
        return values[i]

    return np.broadcast_to(value(instruction), arrays[0].shape)


def _argsort(key: np.ndarray, descending: bool, total: bool) -> np.ndarray | None:
    """Stable order along the last axis; None where NaNs make it no order."""
    row = element_type(key.dtype)
    if row.is_float:
        if total:
            key = total_order(key)
        else:
            key = key.astype(np.float32) if is_narrow(key.dtype) else key
            if np.isnan(key).any():
                return None
            return np.argsort(-key if descending else key, axis=-1, kind="stable")
    elif row.is_complex:
        return None
    elif row.bits < 8:
        key = key.astype(np.int32)
    return np.argsort(~key if descending else key, axis=-1, kind="stable")


def _merge_order(arrays: list[np.ndarray], comparator: Computation, call: Callable[..., Any]) -> np.ndarray:
    """Stable order along the last axis of [rows, n] arrays by merging runs, each level for all runs at once."""
    rows, n = arrays[0].shape
    order = np.broadcast_to(np.arange(n), (rows, n)).copy()
    row = np.arange(rows)[:, None]

    def before(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the elements `first` come before the elements `second` (indices into each row)."""
        pairs = [x for a in arrays for x in (a[row, first], a[row, second])]
        return map_scalars(comparator, call, *pairs)[0]

    width = 1
    while width < n:
        at = np.arange(n)
        start = at // (2 * width) * (2 * width)
        middle, end = np.minimum(start + width, n), np.minimum(start + 2 * width, n)
        on_left = at < middle
        # For each element, how many of the other run come before it: a binary search in that run.
        low = np.broadcast_to(np.where(on_left, middle, start), (rows, n)).copy()
        high = np.broadcast_to(np.where(on_left, end, middle), (rows, n)).copy()
        base = np.where(on_left, middle, start)
        while (low < high).any():
            probe = (low + high) // 2
            other = order[row, np.minimum(probe, n - 1)]
            # A left element follows only what is strictly before it; a right one also follows its equals.
            first = np.where(on_left, other, order)
            second = np.where(on_left, order, other)
            strictly = before(first, second)
            goes = np.where(on_left, strictly, ~before(second, first)) & (low < high)
            low = np.where(goes, probe + 1, low)
            high = np.where(goes, high, np.minimum(high, probe))
        place = np.where(on_left, at, start + at - middle) + (low - base)
        merged = np.full((rows, n), -1)
        merged[row, place] = order
        if (merged < 0).any():
            # The comparator contradicts itself, as with NaNs; any permutation is as good.
            return _slow_order(arrays, comparator, call)
        order = merged
        width *= 2
    return order


def _slow_order(arrays: list[np.ndarray], comparator: Computation, call: Callable[..., Any]) -> np.ndarray:
    """Stable order along the last axis of [rows, n] arrays, one comparison after the other."""
    rows, n = arrays[0].shape
    order = np.empty((rows, n), np.int64)
    for r in range(rows):

        def compare(i: int, j: int, r: int = r) -> int:
            return -1 if call(comparator, *(x for a in arrays for x in (a[r, i, ...], a[r, j, ...]))) else 0

        order[r] = sorted(range(n), key=functools.cmp_to_key(compare))
    return order


def sort_order(arrays: list[np.ndarray], comparator: Computation, call: Callable[..., Any]) -> np.ndarray:
    """The stable order along the last axis of [rows, n] arrays that the comparator asks for."""
    found = _key(comparator)
    if found is not None:
        key, descending = found
        order = _argsort(_partial(key, arrays), descending, comparator.root["type"] == "TOTALORDER")
        if order is not None:
            return order
    return _merge_order(arrays, comparator, call)


def in_total_order(comparator: Computation) -> Computation:
    """The comparator, by total order if it compares floats that are its parameters; NaNs then come first or last."""
    made = comparator.clone()
    root = made.root
    parameters = all(x.opcode.name == "parameter" for x in root.operands)
    if root.opcode.name == "compare" and parameters and root.operands[0].shape.element_type.is_float:
        root.attrs["type"] = "TOTALORDER"
    return made


def _sort(
    *operands: np.ndarray, dimensions: tuple[int, ...], is_stable: bool, to_apply: Computation, call: Callable[..., Any]
) -> Any:
    (dim,) = dimensions
    moved = [np.moveaxis(x, dim, -1) for x in operands]
    n = moved[0].shape[-1]
    flat = [x.reshape(x.size // n if n else 0, n) for x in moved]
    order = sort_order(flat, to_apply, call) if moved[0].size else np.zeros(flat[0].shape, np.int64)
    results = tuple(
        np.moveaxis(np.take_along_axis(x, order, -1).reshape(y.shape), -1, dim) for x, y in zip(flat, moved)
    )
    return results if len(results) > 1 else results[0]


opcode(
    "sort",
    arity=(1, None),
    attrs={"dimensions": INTS, "is_stable": BOOL.optional(False), "to_apply": COMPUTATION},
    shape=_sort_shape,
    evaluate=quiet(_sort),
)


def _topk_shape(x: Shape, *, k: int, largest: bool) -> TupleShape:
    operand = require_array("topk", 0, x)
    require_kind("topk", 0, operand, "psuf")
    if not operand.rank or not 0 <= k <= operand.dims[-1]:
        raise ShapeError(f"topk: k={k} of operand 0, {operand}; it must be at most the last dimension")
    dims = (*operand.dims[:-1], k)
    return TupleShape((ArrayShape(operand.element_type, dims), ArrayShape(S32, dims)))


def top_k(x: np.ndarray, k: int, largest: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """The first k of the last axis in total order, and where they stood; of equals the earlier comes first."""
    order = _argsort(x, largest, True)
    assert order is not None
    order = order[..., :k]
    return np.take_along_axis(x, order, -1), order.astype(np.int32)


opcode(
    "topk",
    arity=1,
    attrs={"k": INT, "largest": BOOL.optional(True)},
    shape=_topk_shape,
    evaluate=quiet(lambda x, *, k, largest: top_k(x, k, largest)),
)
