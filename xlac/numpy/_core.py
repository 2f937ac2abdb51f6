"""What all of `xlac.numpy` shares: public names, promotion, broadcasting, axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from xlac import lax
from xlac.errors import AxisError, ShapeError
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import array_function
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import as_dims, convert


def public_names(names: list[str]) -> Callable[[Callable[..., Any]], Any]:
    """A decorator of a module's functions: arrays, too, may be their arguments; `names` is the module's `__all__`."""

    def public(function: Callable[..., Any]) -> Any:
        names.append(function.__name__)
        return array_function(function)

    return public


def as_tracer(value: Any) -> Tracer:
    """`value` as a traced array; nested lists of numbers and arrays are stacked."""
    if isinstance(value, (list, tuple)):
        return _from_sequence(value)
    return lift(value)


def _from_sequence(value: Sequence[Any]) -> Tracer:
    if not has_tracer(value):
        return lift(sequence_array(value))
    parts = [as_tracer(v) for v in value]
    dtype, weak = dtypes.promote(*((p.dtype, p.weak_type) for p in parts))
    for p in parts:
        if p.shape != parts[0].shape:
            raise shape_error(f"a list holds arrays {trace.shown(parts[0])} and {trace.shown(p)}; they must be equal")
    rows = [lax.reshape(convert(p, dtype), (1, *p.shape)) for p in parts]
    return lax.concatenate(rows, 0)


def has_tracer(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(has_tracer(v) for v in value)
    return isinstance(value, Tracer)


def _flat(value: Sequence[Any]) -> tuple[list[Any], set[type]]:
    """What nested lists hold, and its types."""
    items = list(value)
    while True:
        kinds = set(map(type, items))
        nested = [k for k in kinds if issubclass(k, (list, tuple))]
        if not nested:
            return items, kinds
        if len(nested) == len(kinds):
            items = list(chain.from_iterable(items))
        else:
            items = list(chain.from_iterable(x if isinstance(x, (list, tuple)) else [x] for x in items))


def _integers(items: list[Any], kinds: set[type]) -> tuple[int, ...]:
    """The least and the greatest Python integer among the items, if there are any."""
    integers = items if kinds == {int} else [x for x in items if isinstance(x, int)]
    return (min(integers), max(integers)) if integers else ()


def _common_type(items: list[Any], kinds: set[type]) -> np.dtype:
    """The type of an array of these: as they promote, but an integer that needs 64 bits gets them."""
    if kinds <= {bool, int, float, complex}:  # of each type, a few speak for all
        items = [*_integers(items, kinds), *(k() for k in kinds - {int})]
    types = [
        dtypes.type_of(x)
        if isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic)
        else (np.asarray(x).dtype, False)
        for x in items
    ]
    if not types:
        return dtypes.default_float()
    dtype = dtypes.promote(*dict.fromkeys(types))[0]
    wide = any(weak and own in (dtypes.INT64, np.dtype(np.uint64)) for own, weak in types)
    return dtypes.INT64 if wide and dtype == dtypes.INT32 else dtype


def sequence_array(value: Any, dtype: np.dtype | None = None) -> np.ndarray:
    """Nested lists as a NumPy array; Python numbers give the default types, arrays inside keep theirs.

    Raises:
      ShapeError: the lists are not rectangular.
      RangeError: a Python integer is not in `dtype`.
    """
    items, kinds = _flat(value)
    if dtype is None:
        dtype = _common_type(items, kinds)
    whole = dtypes.is_integer(dtype)
    if whole and int in kinds:
        for extreme in _integers(items, kinds):
            dtypes.check_range(extreme, dtype)
    with np.errstate(all="ignore"):
        try:
            array = np.array(value)
            # NumPy makes floats of integers of which some need 64 bits without a sign.
            if whole and array.dtype.kind == "f" and (np.abs(array) >= 2**53).any():
                array = np.array(value, object)
        except ValueError as error:
            raise shape_error(f"a list is not rectangular: {error}") from None
        return array.astype(dtype)


def promote(*values: Any) -> list[Tracer]:
    """The values as tracers of their common type, not broadcast."""
    xs = [as_tracer(v) for v in values]
    try:
        dtype, weak = dtypes.promote(*((x.dtype, x.weak_type) for x in xs))
    except ShapeError as error:
        raise shape_error(str(error)) from None
    return [convert(x, dtype, weak) for x in xs]


def promote_inexact(*values: Any) -> list[Tracer]:
    """As `promote`, with integers and bools as floats."""
    xs = promote(*values)
    dtype = dtypes.to_inexact(xs[0].dtype)
    return [convert(x, dtype, x.weak_type) for x in xs]


def broadcast(name: str, xs: Sequence[Tracer]) -> list[Tracer]:
    """Stretch to the common shape by NumPy's rules."""
    shapes = [x.shape for x in xs]
    if all(s == shapes[0] for s in shapes):
        return list(xs)
    try:
        common = np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(map(trace.shown, xs))
        raise shape_error(
            f"{name}: {listed} do not broadcast together; aligned at the right, extents must be equal or 1"
        ) from None
    return [stretch(x, common) for x in xs]


def stretch(x: Tracer, shape: Sequence[int]) -> Tracer:
    """Broadcast to a shape that NumPy's rules allow."""
    shape = tuple(shape)
    if x.shape == shape:
        return x
    return lax.broadcast_in_dim(x, shape, range(len(shape) - x.ndim, len(shape)))


def operands(name: str, *values: Any) -> list[Tracer]:
    """Promoted and broadcast."""
    return broadcast(name, promote(*values))


def operands_inexact(name: str, *values: Any) -> list[Tracer]:
    """Promoted to floats and broadcast."""
    return broadcast(name, promote_inexact(*values))


def inexact(x: Any) -> Tracer:
    """The value as a float or complex tracer."""
    return promote_inexact(x)[0]


def range_of(ndim: int) -> str:
    """Which axes there are."""
    return f"it must be from {-ndim} to {ndim - 1}" if ndim else "a scalar has no axes"


def normalize_axis(axis: Any, ndim: int, name: str) -> int:
    """One axis as a non-negative number."""
    if isinstance(axis, Tracer):
        axis.__index__()
    axis = int(axis)
    if not -ndim <= axis < ndim:
        raise AxisError(trace.located(f"{name}: axis {axis} of an array of {ndim} dimensions; {range_of(ndim)}"))
    return axis % ndim


def normalize_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """Axes as distinct non-negative numbers; None is all."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, Sequence):
        axes = tuple(normalize_axis(a, ndim, name) for a in axis)
        if len(set(axes)) != len(axes):
            raise shape_error(f"{name}: axis {tuple(axis)} names a dimension twice")
        return axes
    return (normalize_axis(axis, ndim, name),)


def dims(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple."""
    return as_dims(shape)


def no_out(name: str, out: Any) -> None:
    """Raise where a result array was given: results cannot be written in place."""
    if out is not None:
        raise trace.trace_error(
            f"{name}: out= cannot be used, as traced arrays are not changed in place; assign the result"
        )
