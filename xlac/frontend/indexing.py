"""NumPy indexing of traced arrays: `x[index]` and `x.at[index].set(y)`.

Slices, fixed integers, `None` and `...` become slice, reverse and reshape; a traced scalar becomes a dynamic-slice;
integer arrays become one gather, with NumPy's rules for where their dimensions go. Out-of-range traced indices are
clamped when read and dropped when written; `x.at[index]` treats fixed ones alike unless `mode` says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np

from xlac import lax
from xlac.errors import ShapeError
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import ArrayLike, array_function
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.lax.indexing import missing_value, scatter_combined
from xlac.lax.operands import convert, expand


@dataclass
class Plan:
    """An index, item by item, for an array of some shape.

    Attributes:
      slices: for each dimension its (start, stop, step), or None where an integer or array indexes it.
      arrays: dimension -> integer (fixed or traced scalar) or integer array.
      layout: the index in order: "new" for None, or the dimension of the array.
    """

    slices: list[tuple[int, int, int] | None]
    arrays: dict[int, Any]
    layout: list[Any]


def _is_int(item: Any) -> bool:
    return isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_))


# What the methods of `x.at[index]` may do with indices out of range, beside their defaults.
MODES = ("fill", "drop", "clip", "wrap", "promise_in_bounds")


@dataclass(frozen=True)
class Bounds:
    """What becomes of indices out of range: a mode, or None for the default; and whether negative ones count from the
    end."""

    mode: str | None = None
    wrap_negative: bool = True


def _is_bool(item: Any) -> bool:
    return isinstance(item, (bool, np.bool_)) or (
        isinstance(item, np.ndarray) and item.dtype == np.bool_ and not item.ndim
    )


def _with_arrays_for_bools(x: Tracer, index: Any) -> tuple[Tracer, Any]:
    """The same index with each True or False as an array of one or no index into a further dimension of size 1."""
    items = index if isinstance(index, tuple) else (index,)
    if not any(map(_is_bool, items)):
        return x, index
    used = sum(_width(item) for item in items)
    changed, dims, dim = [], [], 0
    for item in items:
        if _is_bool(item):
            dims.append(dim)
            item = np.zeros(int(bool(item)), np.int32)
            dim += 1
        elif item is Ellipsis:
            dim += max(x.ndim - used, 0)
        else:
            dim += _width(item)
        changed.append(item)
    return lax.expand_dims(x, dims), tuple(changed)


def plan_index(x: Tracer, index: Any, bounds: Bounds | None = None) -> Plan:
    """Sort the items of an index by dimension. Without `bounds`, fixed indices must be in range.

    Raises:
      ShapeError: too many items, a fixed index out of range, or items that are no index.
      TraceError: a traced boolean mask, whose number of results would not be known.
    """
    items = list(index) if isinstance(index, tuple) else [index]
    expanded: list[Any] = []
    for item in items:
        if isinstance(item, list):
            item = _listed(item)
        if isinstance(item, (np.ndarray, range)) or (isinstance(item, np.generic) and not _is_int(item)):
            item = np.asarray(item)
            if item.size == 0 and item.dtype.kind == "f":
                item = item.astype(np.int32)
            if item.dtype == np.bool_ and item.ndim:
                expanded.append(item)
                continue
            if dtypes.is_integer(item.dtype) and not item.ndim:
                item = int(item)
            elif not dtypes.is_integer(item.dtype):
                raise trace.shape_error(f"an index array is of type {item.dtype}; it must be integer or bool")
        elif isinstance(item, Tracer):
            if item.dtype == np.bool_:
                raise trace.trace_error(
                    "a traced bool mask cannot index, as the number of results is not known while tracing; use "
                    "xlac.numpy.where(mask, x, other), or x.at[mask].set(value)"
                )
            if not dtypes.is_integer(item.dtype):
                raise trace.shape_error(f"an index is of type {item.dtype}; it must be integer")
        elif not (item is None or item is Ellipsis or isinstance(item, slice) or _is_int(item)):
            raise trace.shape_error(f"{item!r} is no index; use integers, slices, None, ... or integer arrays")
        expanded.append(item)

    used = sum(_width(item) for item in expanded)
    if used > x.ndim:
        raise trace.shape_error(f"{used} indices for an array {trace.shown(x)}, which has {x.ndim} dimensions")
    if sum(item is Ellipsis for item in expanded) > 1:
        raise trace.shape_error("an index may have one ... only")
    if not any(item is Ellipsis for item in expanded):
        expanded.append(Ellipsis)

    slices: list[tuple[int, int, int] | None] = []
    arrays: dict[int, Any] = {}
    layout: list[Any] = []
    for item in expanded:
        dim = len(slices)
        if item is None:
            layout.append("new")
        elif item is Ellipsis:
            for d in range(dim, dim + x.ndim - used):
                slices.append((0, x.shape[d], 1))
                layout.append(d)
        elif isinstance(item, slice):
            slices.append(_slice_of(item, x.shape[dim]))
            layout.append(dim)
        elif isinstance(item, np.ndarray) and item.dtype == np.bool_:
            if item.shape != x.shape[dim : dim + item.ndim]:
                raise trace.shape_error(
                    f"a bool mask of shape {trace.shown(item)} cannot index dimensions "
                    f"{list(x.shape[dim : dim + item.ndim])}"
                )
            for places in item.nonzero():
                arrays[len(slices)] = places.astype(np.int32)
                layout.append(len(slices))
                slices.append(None)
        else:
            arrays[dim] = _checked(item, dim, x, bounds)
            layout.append(dim)
            slices.append(None)
    return Plan(slices, arrays, layout)


def _width(item: Any) -> int:
    """How many dimensions an item indexes."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, list):
        item = _listed(item)
    return item.ndim if isinstance(item, (np.ndarray, np.bool_)) and item.dtype == np.bool_ else 1


def _slice_of(item: slice, n: int) -> tuple[int, int, int]:
    try:
        return item.indices(n)
    except TypeError as error:
        if any(isinstance(v, Tracer) for v in (item.start, item.stop, item.step)):
            raise trace.trace_error(
                "the bounds of a slice are traced values, so its length is not known; use "
                "xlac.lax.dynamic_slice_in_dim(x, "
                "start, size), which has a fixed size"
            ) from None
        raise trace.shape_error(str(error)) from None


def _listed(item: list) -> Any:
    """A list in an index as an array."""
    from xlac.numpy._core import as_tracer, has_tracer

    return as_tracer(item) if has_tracer(item) else np.asarray(item)


def _checked(item: Any, dim: int, x: Tracer, bounds: Bounds | None) -> Any:
    """An index made non-negative. A fixed one is checked or, with bounds, data where it is out of range."""
    n = x.shape[dim]
    mode = None if bounds is None else bounds.mode
    if isinstance(item, Tracer):
        if dtypes.kind(item.dtype) == "s":
            if item.dtype.itemsize < 4:
                item = lax.convert_element_type(item, np.int32)
            if mode != "wrap" and (bounds is None or bounds.wrap_negative):
                item = lax.select(lax.lt(item, 0), lax.add(item, lax.full_like(item, n)), item)
        elif item.dtype.itemsize < 4:
            item = lax.convert_element_type(item, np.int32)
        if mode == "clip":
            return lax.clamp(0, item, max(n - 1, 0))
        if mode == "wrap":
            from xlac.numpy.elementwise import mod

            return mod(item, max(n, 1))
        return item
    array = np.asarray(item)
    if bounds is None and array.size and (array.min() < -n or array.max() >= n):
        wrong = int(array.min()) if array.min() < -n else int(array.max())
        raise trace.shape_error(f"index {wrong} is out of range for dimension {dim} of an array {trace.shown(x)}")
    wide = array.astype(np.int64)
    if mode == "wrap":
        wide = wide % max(n, 1)
    elif bounds is None or bounds.wrap_negative:
        wide = np.where(wide < 0, wide + n, wide)
    if mode == "clip":
        wide = np.clip(wide, 0, max(n - 1, 0))
    narrow = wide.astype(np.int32 if n < 2**31 else np.int64)
    if not np.array_equal(wide, narrow):  # far out of range, and must stay so
        narrow = wide
    if not _is_int(item):
        return narrow
    return int(wide) if 0 <= wide < n else lift(narrow)


def getitem(x: Tracer, index: Any) -> Tracer:
    """`x[index]`."""
    x, index = _with_arrays_for_bools(x, index)
    return take_plan(x, plan_index(x, index))


def take_plan(x: Tracer, plan: Plan) -> Tracer:
    """The elements a plan names."""
    whole = [(0, n, 1) for n in x.shape]
    fixed = {d: i for d, i in plan.arrays.items() if isinstance(i, int)}
    advanced = any(not isinstance(i, int) and np.ndim(i) > 0 for i in plan.arrays.values())
    # Slices first, over every dimension that has one; fixed integers as slices of one.
    ranges, flips = list(whole), []
    for d, part in enumerate(plan.slices):
        if part is not None:
            start, stop, step = part
            count = len(range(start, stop, step))
            if step < 0:
                flips.append(d)
                start, step = start + (count - 1) * step, -step
            start = min(max(start, 0), x.shape[d])
            ranges[d] = (start, start + (count - 1) * step + 1, step) if count else (start, start, 1)
        elif d in fixed and not advanced:
            ranges[d] = (fixed[d], fixed[d] + 1, 1)
    x = lax.slice(x, *([r[i] for r in ranges] for i in range(3)))
    if flips:
        x = lax.rev(x, flips)
    if not advanced:
        scalars = {d: i for d, i in plan.arrays.items() if not isinstance(i, int)}
        if scalars:
            starts = [scalars.get(d, 0) for d in range(x.ndim)]
            sizes = [1 if d in scalars else n for d, n in enumerate(x.shape)]
            x = lax.dynamic_slice(x, starts, sizes, allow_negative_indices=False)
        return lax.reshape(x, _basic_shape(plan, x.shape))
    return _gather(x, plan)


def _basic_shape(plan: Plan, shape: Sequence[int]) -> list[int]:
    return [1 if item == "new" else shape[item] for item in plan.layout if item == "new" or item not in plan.arrays]


def _index_arrays(arrays: dict[int, Any]) -> tuple[list[int], list[Tracer], tuple[int, ...]]:
    """The dimensions indexed, their index arrays in one type broadcast together, and the common shape."""
    import xlac.numpy as xnp

    dims = sorted(arrays)
    values = [lift(v if isinstance(v, Tracer) else np.asarray(v, np.int32 if isinstance(v, int) else None)) for v in
              (arrays[d] for d in dims)]  # fmt: skip
    wide = any(v.dtype.itemsize == 8 or v.dtype == np.uint32 for v in values)
    values = [convert(v, dtypes.INT64 if wide else dtypes.INT32) for v in values]
    try:
        common = np.broadcast_shapes(*(v.shape for v in values))
    except ValueError:
        listed = ", ".join(str(list(v.shape)) for v in values)
        raise trace.shape_error(f"the index arrays are of shapes {listed}, which do not broadcast together") from None
    return dims, [xnp.broadcast_to(v, common) for v in values], tuple(common)


def _gather(x: Tracer, plan: Plan) -> Tracer:
    dims, values, common = _index_arrays(plan.arrays)
    indices = lax.concatenate([lax.reshape(v, (*common, 1)) for v in values], len(common))
    window = [d for d in range(x.ndim) if d not in dims]
    # The gather puts the dimensions of the indices first; they belong where the arrays stand if those stand together.
    sizes = [1 if d in dims else n for d, n in enumerate(x.shape)]
    rank = len(common) + len(window)
    first = _advanced_place(plan)
    before = sum(1 for d in window if d in plan.layout[:first])
    batch = range(before, before + len(common))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(d for d in range(rank) if d not in batch),
        collapsed_slice_dims=tuple(dims),
        start_index_map=tuple(dims),
    )
    shape: list[int] = []
    placed = False
    for position, item in enumerate(plan.layout):
        if position == first:
            shape.extend(common)
            placed = True
        if item == "new":
            shape.append(1)
        elif item not in plan.arrays:
            shape.append(x.shape[item])
    assert placed
    empty = [d for d in dims if not x.shape[d]]
    if empty and 0 not in common:
        raise trace.shape_error(f"an index into dimension {empty[0]} of shape {trace.shown(x)}, which has no elements")
    return lax.full(shape, 0, x.dtype) if empty else lax.reshape(lax.gather(x, indices, numbers, sizes), shape)


def _advanced_place(plan: Plan) -> int:
    """Where in the layout the index arrays' dimensions go: at the first array if all stand together, else in front."""
    places = [i for i, item in enumerate(plan.layout) if item != "new" and item in plan.arrays]
    together = places[-1] - places[0] + 1 == len(places)
    return places[0] if together else 0


# ---- updates

_UPDATES: dict[str, tuple[str, str]] = {
    "add": ("add", "scatter_add"),
    "multiply": ("multiply", "scatter_mul"),
    "min": ("minimum", "scatter_min"),
    "max": ("maximum", "scatter_max"),
}


# What an update does with the old and the new elements: replace, an opcode, "apply", or a function of both.
How = Union[str, Callable[[Any, Any], Any], None]


class At:
    """`x.at`: indexed to give what can be changed there."""

    __slots__ = ("array",)

    def __init__(self, array: Any) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> AtIndex:
        return AtIndex(self.array, index)


class AtIndex:
    """`x.at[index]`: each method but `get` gives a changed copy of x.

    All take `mode` for indices out of range: updates there are dropped by default and with "drop" or "fill"; "clip"
    takes the nearest place and "wrap" counts on from the other end. `get` takes the nearest place by default; with
    "fill" or "drop" it gives `fill_value` (NaN, the least signed or greatest unsigned integer). "promise_in_bounds",
    `indices_are_sorted` and `unique_indices` promise what they say. Negative indices count from the end unless
    `wrap_negative_indices` is False.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Any, index: Any) -> None:
        self.array, self.index = array, index

    def get(self, *, fill_value: Any = None, **settings: Any) -> Any:
        """`x[index]`."""
        how = _settings(**settings)
        x, index = _with_arrays_for_bools(lift(self.array), self.index)
        plan = plan_index(x, index, how.bounds)
        found = take_plan(x, plan)
        if how.bounds.mode not in ("fill", "drop") and (fill_value is None or how.bounds.mode is not None):
            return found
        missing = missing_value(x.dtype) if fill_value is None else fill_value
        return _filled(x, plan, found, missing)

    def set(self, values: Any, **settings: Any) -> Any:
        """The array with `values` at the index."""
        return self._update(values, None, settings)

    def add(self, values: Any, **settings: Any) -> Any:
        """The array with `values` added at the index, once for each time a place is named."""
        return self._update(values, "add", settings)

    def subtract(self, values: Any, **settings: Any) -> Any:
        """The array with `values` subtracted at the index, once for each time a place is named."""
        import xlac.numpy as xnp

        return self._update(xnp.negative(values), "add", settings)

    sub = subtract

    def multiply(self, values: Any, **settings: Any) -> Any:
        """The array multiplied by `values` at the index, once for each time a place is named."""
        return self._update(values, "multiply", settings)

    mul = multiply

    def divide(self, values: Any, **settings: Any) -> Any:
        """The array divided by `values` at the index: by the product of all for a place that is named again."""
        import xlac.numpy as xnp

        x = lift(self.array)
        return xnp.true_divide(x, AtIndex(xnp.ones_like(x), self.index).multiply(values, **settings))

    def power(self, values: Any, **settings: Any) -> Any:
        """The array raised to `values` at the index: to the product of all for a place that is named again."""
        import xlac.numpy as xnp

        x = lift(self.array)
        return xnp.power(x, AtIndex(xnp.ones_like(x), self.index).multiply(values, **settings))

    def min(self, values: Any, **settings: Any) -> Any:
        """The array with the lesser of it and `values` at the index."""
        return self._update(values, "min", settings)

    def max(self, values: Any, **settings: Any) -> Any:
        """The array with the greater of it and `values` at the index."""
        return self._update(values, "max", settings)

    def apply(self, function: Callable[[Any], Any], **settings: Any) -> Any:
        """The array with an elementwise `function` applied at the index, once for each time a place is named."""
        return self._update(function, "apply", settings)

    def combine(self, function: Callable[[Any, Any], Any], values: Any, **settings: Any) -> Any:
        """The array with `function(element, value)` at the index, once for each time a place is named."""
        return self._update(values, function, settings)

    def _update(self, values: Any, how: How, settings: dict[str, Any]) -> Any:
        return _update(lift(self.array), self.index, values, how, _settings(**settings))


@dataclass(frozen=True)
class _Settings:
    bounds: Bounds
    promises: dict[str, bool]


def _settings(
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
    wrap_negative_indices: bool = True,
    out_sharding: None = None,
) -> _Settings:
    """The settings of a method of `x.at[index]`."""
    if isinstance(mode, lax.GatherScatterMode):
        mode = mode.value
    if mode is not None and mode not in MODES:
        raise trace.shape_error(f"mode={mode!r}; it must be one of {', '.join(MODES)}")
    promises = {"indices_are_sorted": bool(indices_are_sorted), "unique_indices": bool(unique_indices)}
    return _Settings(Bounds(mode, bool(wrap_negative_indices)), promises)


def _filled(x: Tracer, plan: Plan, found: Tracer, missing: Any) -> Tracer:
    """What was found, with `missing` where an index is out of range."""
    if not plan.arrays:
        return found
    dims, values, common = _index_arrays(plan.arrays)
    inside: Any = None
    for d, value in zip(dims, values):
        here = lax.bitwise_and(lax.ge(value, 0), lax.lt(value, x.shape[d]))
        inside = here if inside is None else lax.bitwise_and(inside, here)
    before = sum(item == "new" or item not in plan.arrays for item in plan.layout[: _advanced_place(plan)])
    wide = expand(inside, found.shape, range(before, before + len(common)))
    return lax.select(wide, found, lax.full_like(found, missing))


_PLACE = "an integer or array of the index"


def change_at(x: Any, index: Any, method: str, values: tuple, settings: dict[str, Any]) -> Any:
    """`getattr(x.at[index], method)(*values, **settings)` of a concrete array, as one program.

    Integers and arrays in the index are data, so that one program serves all places.
    """
    places: list[Any] = []
    layout: list[Any] = []
    for item in index if isinstance(index, tuple) else (index,):
        if isinstance(item, list):
            item = np.asarray(item, None if item else np.int32)
        if _is_bool(item):
            item = bool(item)
        alone = not isinstance(index, tuple) and method != "get" and not any(np.ndim(v) for v in values)
        if isinstance(item, np.ndarray) and item.dtype == np.bool_ and not alone:
            found = [place.astype(np.int32) for place in item.nonzero()]
        elif isinstance(item, np.ndarray) or _is_int(item):
            found = [item]
        else:
            layout.append(item)
            continue
        places += found
        layout += [_PLACE] * len(found)
    numbers = isinstance(index, tuple)
    if method == "apply":
        values, settings = (), {**settings, "function": values[0]}
    return _change_at(x, places, list(values), tuple(layout), numbers, method, tuple(settings.items()))


@array_function
def _change_at(
    x: ArrayLike,
    places: Sequence[ArrayLike],
    values: Sequence[ArrayLike],
    layout: tuple,
    several: bool,
    method: str,
    settings: tuple,
) -> Any:
    given = iter(places)
    items = tuple([next(given) if item is _PLACE else item for item in layout])
    return getattr(AtIndex(x, items if several or len(items) != 1 else items[0]), method)(*values, **dict(settings))


def _update(x: Tracer, index: Any, values: Any, how: How, settings: _Settings) -> Tracer:
    import xlac.numpy as xnp

    mask = index[0] if isinstance(index, tuple) and len(index) == 1 else index
    if isinstance(mask, Tracer) and mask.dtype == np.bool_:
        return _masked_update(x, mask, values, how)
    shape = x.shape
    x, index = _with_arrays_for_bools(x, index)
    plan = plan_index(x, index, settings.bounds)
    if any(not isinstance(i, int) and np.ndim(i) > 0 for i in plan.arrays.values()):
        return lax.reshape(_scatter(x, plan, values, how, settings.promises), shape)
    patch = _combined(xnp, None if how is None else take_plan(x, plan), values, how)
    return _set_block(x, plan, lax.convert_element_type(patch, x.dtype))


def _combined(xnp: Any, old: Tracer | None, values: Any, how: How) -> Tracer:
    """The new elements from the old ones."""
    if how is None or old is None:
        return xnp.asarray(values)
    if how == "apply":
        return xnp.asarray(values(old))
    if callable(how):
        return xnp.asarray(how(old, values))
    return getattr(xnp, _UPDATES[how][0])(old, lax.convert_element_type(xnp.asarray(values), old.dtype))


def _masked_update(x: Tracer, mask: Tracer, values: Any, how: How) -> Tracer:
    import xlac.numpy as xnp

    if how != "apply":
        values = xnp.asarray(values)
        if values.ndim == 1 + x.ndim - mask.ndim and values.shape[0] == 1:
            values = lax.reshape(values, values.shape[1:])
        if values.ndim > x.ndim - mask.ndim:
            raise trace.trace_error(
                "at[] with a traced bool mask takes values that fit each of its places, as the number of places is not "
                "known; use xlac.numpy.where(mask, values, x) with values of x's shape"
            )
    mask = xnp.expand_dims(mask, tuple(range(mask.ndim, x.ndim)))
    return xnp.where(mask, lax.convert_element_type(_combined(xnp, x, values, how), x.dtype), x)


def _set_block(x: Tracer, plan: Plan, patch: Tracer) -> Tracer:
    """Replace what integers and slices name."""
    import xlac.numpy as xnp

    counts, starts, steps, flips = [], [], [], []
    for d, n in enumerate(x.shape):
        part = plan.slices[d]
        if part is None:
            counts.append(1)
            starts.append(plan.arrays[d])
            steps.append(1)
            continue
        start, stop, step = part
        count = len(range(start, stop, step))
        if step < 0:
            flips.append(d)
            start, step = start + (count - 1) * step, -step
        counts.append(count)
        starts.append(min(max(start, 0), n))
        steps.append(step if count > 1 else 1)
    try:
        patch = xnp.broadcast_to(patch, _basic_shape(plan, counts))
    except ShapeError:
        wanted = _basic_shape(plan, counts)
        raise trace.shape_error(
            f"values of shape {trace.shown(patch)} do not broadcast to the indexed shape {wanted}"
        ) from None
    if 0 in counts:
        return x
    patch = lax.reshape(patch, counts)
    if flips:
        patch = lax.rev(patch, flips)
    if all(s == 1 for s in steps):
        if patch.shape == x.shape and not any(isinstance(s, Tracer) for s in starts):
            return patch
        return _put_block(x, patch, starts)
    # Every step-th place: spread the values out and choose them by a fixed mask.
    config, mask = [], np.ones((), bool)
    for d, n in enumerate(x.shape):
        at = starts[d] if isinstance(starts[d], int) else 0
        width = (counts[d] - 1) * steps[d] + 1
        config.append((at, n - at - width, steps[d] - 1) if isinstance(starts[d], int) else (0, 0, 0))
        hit = np.zeros(n, bool)
        hit[at : at + width : steps[d]] = True
        if isinstance(starts[d], int):
            mask = mask & hit.reshape([-1 if i == d else 1 for i in range(x.ndim)])
    traced = [d for d, s in enumerate(starts) if not isinstance(s, int)]
    if traced:
        spread_old = lax.dynamic_slice(
            x,
            [starts[d] if d in traced else 0 for d in range(x.ndim)],
            [1 if d in traced else n for d, n in enumerate(x.shape)],
            allow_negative_indices=False,
        )
    else:
        spread_old = x
    spread = lax.pad(patch, np.zeros((), x.dtype), config)
    chosen = xnp.where(xnp.broadcast_to(mask, spread.shape), spread, spread_old)
    if not traced:
        return chosen
    return _put_block(x, chosen, [starts[d] if d in traced else 0 for d in range(x.ndim)])


def _put_block(x: Tracer, patch: Tracer, starts: Sequence[Any]) -> Tracer:
    """The block replaced; where an integer that is data names no place, nothing is.

    Starts count from the front.
    """
    inside: Any = None
    for start, n in zip(starts, x.shape):
        if isinstance(start, Tracer):
            here = lax.bitwise_and(lax.ge(start, 0), lax.lt(start, n))
            inside = here if inside is None else lax.bitwise_and(inside, here)
    if inside is not None:
        patch = lax.select(inside, patch, lax.dynamic_slice(x, starts, patch.shape, allow_negative_indices=False))
    return lax.dynamic_update_slice(x, patch, starts, allow_negative_indices=False)


def _scatter(x: Tracer, plan: Plan, values: Any, how: How, promises: dict[str, bool]) -> Tracer:
    """Update what integer arrays name; slices beside them become index arrays too unless they are whole."""
    import xlac.numpy as xnp

    arrays = dict(plan.arrays)
    first = _advanced_place(plan)
    dims_in_layout = [item for item in plan.layout if item != "new"]
    common = _index_arrays(arrays)[2]
    # The shape that x[index] would have, dimension by dimension: an index dimension, a window dimension, or new.
    shape: list[int] = []
    window_at: dict[int, int] = {}
    batch_at = 0
    for position, item in enumerate(plan.layout):
        if position == first:
            batch_at = len(shape)
            shape.extend(common)
        if item == "new":
            shape.append(1)
        elif item not in plan.arrays:
            window_at[item] = len(shape)
            start, stop, step = plan.slices[item]  # type: ignore[misc]
            shape.append(len(range(start, stop, step)))
    apply = how == "apply"
    patch = lax.convert_element_type(xnp.asarray(0 if apply else values), x.dtype)
    try:
        patch = xnp.broadcast_to(patch, shape)
    except ShapeError:
        raise trace.shape_error(
            f"values of shape {trace.shown(patch)} do not broadcast to the indexed shape {shape}"
        ) from None
    partial = [d for d in window_at if plan.slices[d] != (0, x.shape[d], 1)]
    whole = [d for d in dims_in_layout if d in window_at and d not in partial]
    order = [
        *range(batch_at, batch_at + len(common)),
        *(window_at[d] for d in partial),
        *(window_at[d] for d in sorted(whole)),
    ]
    rest = [i for i in range(len(shape)) if i not in order]
    patch = lax.reshape(lax.transpose(patch, [*order, *rest]), [shape[i] for i in order])
    for i, d in enumerate(partial):
        start, stop, step = plan.slices[d]  # type: ignore[misc]
        covered = np.arange(start, stop, step, dtype=np.int32)
        arrays[d] = covered.reshape([-1 if j == i else 1 for j in range(len(partial))])
    for d in plan.arrays:
        value = lift(arrays[d] if isinstance(arrays[d], Tracer) else np.asarray(arrays[d]))
        arrays[d] = lax.reshape(value, (*value.shape, *[1] * len(partial)))
    dims, places, full = _index_arrays(arrays)
    indices = lax.concatenate([lax.reshape(v, (*full, 1)) for v in places], len(full))
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=tuple(range(len(full), patch.ndim)),
        inserted_window_dims=tuple(dims),
        scatter_dims_to_operand_dims=tuple(dims),
    )
    if apply:
        return lax.scatter_apply(x, indices, values, numbers, update_shape=patch.shape, **promises)
    if callable(how):
        return scatter_combined(x, indices, patch, numbers, how, **promises)
    function = lax.scatter if how is None else getattr(lax, _UPDATES[how][1])
    return function(x, indices, patch, numbers, **promises)


__all__ = ["At", "array_function", "getitem", "plan_index", "take_plan"]
