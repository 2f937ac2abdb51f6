"""Opcodes of sliding windows: reduce-window and select-and-scatter.

Padding and the holes of base dilation hold no elements: a window skips them and starts from the initial value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import COMPUTATION, WINDOW, opcode
from xlac.ir.ops.elementwise import convert_values, is_narrow, quiet, require_array
from xlac.ir.ops.movement import pad_array
from xlac.ir.ops.reduction import as_parameters, check_reducer, inputs_and_inits, map_scalars, monoid, monoid_parts
from xlac.ir.ops.scatter import combine_at
from xlac.ir.shape import ArrayShape, Shape, TupleShape, leaves
from xlac.ir.window import Window, scan_form

if TYPE_CHECKING:
    from xlac.ir.module import Computation


def check_window(name: str, window: Window, rank: int, operand: str) -> None:
    """Raise unless `window` has `rank` dimensions with possible numbers."""
    if len(window) != rank:
        raise ShapeError(
            f"{name}: the window has {len(window)} dimensions but {operand} has {rank}; the numbers must be equal"
        )
    for d, dim in enumerate(window):
        fault = dim.fault()
        if fault:
            raise ShapeError(f"{name}: window dimension {d}: {fault}")


def window_base(x: np.ndarray, fill: Any, window: Window) -> np.ndarray:
    """`x` with base dilation and padding; the places that hold no element have the value `fill`."""
    padding = tuple((d.pad_low, d.pad_high, d.lhs_dilate - 1) for d in window)
    if not any(low or high or interior for low, high, interior in padding):
        return x
    return pad_array(x, fill, padding=padding)


# The numbers of types that other packages add to NumPy begin here (NPY_USERDEF).
_FIRST_FOREIGN = 256


def window_view(base: np.ndarray, window: Window, dims: tuple[int, ...]) -> np.ndarray:
    """A read-only view [positions..., sizes...] of a dilated and padded array: what each window covers."""
    sizes = tuple(d.size for d in window)
    if math.prod(dims) * math.prod(sizes) == 0:
        return np.empty(dims + sizes, base.dtype)
    outer = tuple(s * d.stride for s, d in zip(base.strides, window))
    inner = tuple(s * d.rhs_dilate for s, d in zip(base.strides, window))
    # As bytes where the type is not NumPy's own: as_strided goes by a type's name, and takes some for unknown ones.
    raw = base.view(f"u{base.dtype.itemsize}") if base.dtype.num >= _FIRST_FOREIGN else base
    view = np.lib.stride_tricks.as_strided(raw, dims + sizes, outer + inner, writeable=False).view(base.dtype)
    back = tuple(len(dims) + i for i, d in enumerate(window) if d.reversal)
    return np.flip(view, back) if back else view


def has_holes(window: Window) -> bool:
    """Whether windows may cover places that hold no element."""
    return any(d.pad_low > 0 or d.pad_high > 0 or d.lhs_dilate > 1 for d in window)


def _reduce_window_shape(*operands: Shape, window: Window, to_apply: Computation) -> Shape:
    inputs, inits = inputs_and_inits("reduce-window", operands)
    check_window("reduce-window", window, inputs[0].rank, f"operand 0, {inputs[0]},")
    check_reducer("reduce-window", to_apply, inits)
    dims = tuple(d.positions(extent) for d, extent in zip(window, inputs[0].dims))
    root = to_apply.root.shape
    if isinstance(root, TupleShape):
        return TupleShape(
            tuple(ArrayShape(require_array("reduce-window", i, r).element_type, dims) for i, r in enumerate(root))
        )
    return ArrayShape(require_array("reduce-window", 0, root).element_type, dims)


def _reduce_window(*operands: np.ndarray, window: Window, to_apply: Computation, call: Callable[..., Any]) -> Any:
    n = len(operands) // 2
    parameters = to_apply.parameters
    inits, inputs = as_parameters(operands[n:], parameters[:n]), as_parameters(operands[:n], parameters[n:])
    dims = tuple(d.positions(extent) for d, extent in zip(window, inputs[0].shape))
    several = isinstance(to_apply.root.shape, TupleShape)
    if not window:  # as in a reduction of dimensions of one element
        results = [convert_values(x, s.element_type) for x, s in zip(inputs, leaves(to_apply.root.shape))]
        return tuple(results) if several else results[0]
    name = monoid(to_apply)
    scan = scan_form(window, dims)
    if scan is not None:
        totals = _running(inputs, inits, *scan, to_apply, call)
        return tuple(totals) if several else totals[0]
    if name is not None and not several:
        x = inputs[0]
        wide = x.astype(np.float32) if is_narrow(x.dtype) else x
        parts = monoid_parts(name, wide.dtype)
        if parts is not None:
            function, identity = parts
            view = window_view(window_base(wide, identity, window), window, dims)
            axes = tuple(range(len(dims), view.ndim))
            kind = {} if wide.dtype == np.bool_ else {"dtype": wide.dtype}
            total = function.reduce(view, axis=axes, initial=inits[0].astype(wide.dtype)[()], **kind)
            return np.asarray(total).astype(x.dtype)
    views = [window_view(window_base(x, np.zeros((), x.dtype), window), window, dims) for x in inputs]
    here = window_view(window_base(np.ones(inputs[0].shape, bool), False, window), window, dims)
    totals = [np.broadcast_to(i, dims) for i in inits]
    for offset in np.ndindex(*(d.size for d in window)):
        at = (..., *offset)
        new = map_scalars(to_apply, call, *totals, *(v[at] for v in views))
        totals = [np.where(here[at], a, b) for a, b in zip(new, totals)] if has_holes(window) else new
    return tuple(totals) if several else totals[0]


def _running(
    inputs: list[np.ndarray],
    inits: list[np.ndarray],
    axis: int,
    reverse: bool,
    reducer: Computation,
    call: Callable[..., Any],
) -> list[np.ndarray]:
    """The reduction of all elements up to each position along an axis, or from it on."""
    order = [np.moveaxis(np.flip(x, axis) if reverse else x, axis, 0) for x in inputs]
    name = monoid(reducer)
    narrow = is_narrow(order[0].dtype)
    wide = order[0].astype(np.float32 if narrow else order[0].dtype)
    parts = None if name is None else monoid_parts(name, wide.dtype)
    if parts is not None:
        wide[0] = parts[0](inits[0].astype(wide.dtype), wide[0])
        kind = {} if wide.dtype == np.bool_ else {"dtype": wide.dtype}
        results = [parts[0].accumulate(wide, axis=0, **kind).astype(order[0].dtype)]
    else:
        results = [np.empty(x.shape, i.dtype) for x, i in zip(order, inits)]
        totals: list[np.ndarray] = [np.broadcast_to(i, x.shape[1:]) for i, x in zip(inits, order)]
        for k in range(order[0].shape[0]):
            here = [x[k] for x in order]
            totals = map_scalars(reducer, call, *(here + totals if reverse else totals + here))
            for result, total in zip(results, totals):
                result[k] = total
    back = [np.moveaxis(r, 0, axis) for r in results]
    return [np.ascontiguousarray(np.flip(r, axis) if reverse else r) for r in back]


opcode(
    "reduce-window",
    arity=(2, None),
    attrs={"window": WINDOW.optional(()), "to_apply": COMPUTATION},
    shape=_reduce_window_shape,
    evaluate=quiet(_reduce_window),
)


def _select_and_scatter_shape(
    x: Shape, source: Shape, init: Shape, *, window: Window, select: Computation, scatter: Computation
) -> ArrayShape:
    name = "select-and-scatter"
    operand, updates, start = (require_array(name, i, s) for i, s in enumerate((x, source, init)))
    check_window(name, window, operand.rank, f"operand 0, {operand},")
    dims = tuple(d.positions(extent) for d, extent in zip(window, operand.dims))
    if updates.dims != dims:
        raise ShapeError(
            f"{name}: operand 1 is {updates}; the windows over operand 0, {operand}, have dimensions {list(dims)}"
        )
    if start.dims or start.element_type is not updates.element_type:
        raise ShapeError(
            f"{name}: operand 2 is {start}; it must be a scalar of operand 1's type, {updates.element_type}[]"
        )
    for what, computation, given in (("select", select, operand), ("scatter", scatter, updates)):
        if len(computation.parameters) != 2 or any(
            not isinstance(p.shape, ArrayShape) or p.shape.dims for p in computation.parameters
        ):
            raise ShapeError(
                f"{name}: {what} computation {computation.name} must take two {given.element_type}[] scalars"
            )
    return ArrayShape(updates.element_type, operand.dims)


def _select_and_scatter(
    x: np.ndarray,
    source: np.ndarray,
    init: np.ndarray,
    *,
    window: Window,
    select: Computation,
    scatter: Computation,
    call: Callable[..., Any],
) -> np.ndarray:
    """Each window keeps its first element that `select` prefers to those before; the source is combined there."""
    dims = source.shape
    places = np.arange(x.size).reshape(x.shape)
    where = window_view(window_base(places, -1, window), window, dims)
    (values,) = as_parameters([x], select.parameters)
    view = window_view(window_base(values, np.zeros((), values.dtype), window), window, dims)
    chosen = np.full(dims, -1)
    best = np.zeros(dims, values.dtype)
    for offset in np.ndindex(*(d.size for d in window)):
        at = (..., *offset)
        (keep,) = map_scalars(select, call, best, view[at])
        take = (where[at] >= 0) & ((chosen < 0) | ~keep)
        chosen, best = np.where(take, where[at], chosen), np.where(take, view[at], best)
    found = chosen >= 0
    result = np.full(x.size, init, source.dtype)
    combine_at([result], chosen[found], [source[found]], scatter, call)
    return result.reshape(x.shape)


opcode(
    "select-and-scatter",
    arity=3,
    attrs={"window": WINDOW.optional(()), "select": COMPUTATION, "scatter": COMPUTATION},
    shape=_select_and_scatter_shape,
    evaluate=quiet(_select_and_scatter),
)
