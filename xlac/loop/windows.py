"""Windows as values at an index: reduce-window and convolution."""

from __future__ import annotations

from xlac.ir.module import Instruction
from xlac.ir.shape import PRED, TupleShape
from xlac.ir.window import WindowDim
from xlac.loop.elemental import (
    Elemental,
    Indices,
    accumulator_type,
    both,
    convert,
    elemental_rule,
    is_false,
    is_true,
    several_rule,
    zero,
)
from xlac.loop.ir import Index, Value, apply, in_range


def window_place(w: WindowDim, position: Index, offset: Index, extent: int) -> tuple[Index, Value | None]:
    """The element that window element `offset` covers at `position`, and when it exists (None: always).

    The element's index is meaningless where it does not exist.
    """
    inside_window = Index(w.size - 1) - offset if w.reversal else offset
    place = position * w.stride + inside_window * w.rhs_dilate - w.pad_low
    guard: Value | None = None
    span = (extent - 1) * w.lhs_dilate + 1 if extent else 0
    test = in_range(place, 0, span)
    if not is_true(test):
        guard = test
    if w.lhs_dilate > 1:
        # Shifted up by a multiple, so that division rounds down.
        lift = -(place.low // w.lhs_dilate) if place.low < 0 else 0
        lifted = place + lift * w.lhs_dilate
        on_element = in_range(lifted.mod(w.lhs_dilate), 0, 1)
        if not is_true(on_element):
            guard = both(guard, on_element)
        place = lifted.floordiv(w.lhs_dilate) - lift
    return place, guard


def _places(
    window: tuple[WindowDim, ...], positions: Indices, offsets: Indices, dims: tuple[int, ...]
) -> tuple[Indices, Value | None]:
    guard: Value | None = None
    places = []
    for w, position, offset, extent in zip(window, positions, offsets, dims):
        place, test = window_place(w, position, offset, extent)
        places.append(place)
        guard = both(guard, test)
    return tuple(places), guard


def reduce_window_at(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> tuple[Value, ...]:
    """All results of a reduce-window; what the window covers beyond the array does not count."""
    n = len(x.operands) // 2
    inputs, inits = x.operands[:n], x.operands[n:]
    window, reducer = x["window"], x["to_apply"]

    def element(offsets: Indices) -> list[Value]:
        places, inside = _places(window, i, offsets, inputs[0].dims)
        return [
            convert(e.at(v, places, both(guard, inside)), p.shape.element_type)
            for v, p in zip(inputs, reducer.parameters[n:])
        ]

    shapes = list(x.shape) if isinstance(x.shape, TupleShape) else [x.shape]
    return e.accumulate(
        [w.size for w in window],
        [convert(e.at(v, (), guard), p.shape.element_type) for v, p in zip(inits, reducer.parameters)],
        element,
        reducer,
        result_types=[s.element_type for s in shapes],
        exists=lambda offsets: _places(window, i, offsets, inputs[0].dims)[1],
    )


@elemental_rule("reduce-window")
def _reduce_window(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return reduce_window_at(e, x, i, guard)[0]


several_rule("reduce-window", reduce_window_at)


@elemental_rule("convolution")
def _convolution(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    """A sum over the window and the input features of the group that the output feature belongs to."""
    lhs, kernel = x.operands
    d = x["dim_labels"]
    window = x["window"]
    feature_groups, batch_groups = x["feature_group_count"], x["batch_group_count"]
    features = kernel.dims[d.kernel_input_feature]
    out_features = kernel.dims[d.kernel_output_feature]
    batch = lhs.dims[d.input_batch] // batch_groups
    o = i[d.output_feature]
    first_feature = o.floordiv(out_features // feature_groups) * features if feature_groups > 1 else Index(0)
    row = i[d.output_batch]
    if batch_groups > 1:
        row = o.floordiv(out_features // batch_groups) * batch + row
    wide = accumulator_type(x.shape.element_type)
    extents = tuple(lhs.dims[s] for s in d.input_spatial)
    positions = tuple(i[s] for s in d.output_spatial)

    def element(at: Indices) -> list[Value]:
        offsets, feature = at[:-1], at[-1]
        places, inside = _places(window, positions, offsets, extents)
        left: list[Index] = [Index(0)] * len(lhs.dims)
        right: list[Index] = [Index(0)] * len(kernel.dims)
        left[d.input_batch], left[d.input_feature] = row, first_feature + feature
        right[d.kernel_input_feature], right[d.kernel_output_feature] = feature, o
        for s, t, place, offset in zip(d.input_spatial, d.kernel_spatial, places, offsets):
            left[s], right[t] = place, offset
        if inside is not None and is_false(inside):
            return [zero(wide)]
        a = convert(e.at(lhs, tuple(left), both(guard, inside)), wide)
        b = convert(e.at(kernel, tuple(right), guard), wide)
        if inside is not None:
            a = apply("select", wide, inside, a, zero(wide))
        return [apply("and" if wide is PRED else "multiply", wide, a, b)]

    (total,) = e.accumulate(
        [*(w.size for w in window), features],
        [zero(wide)],
        element,
        "or" if wide is PRED else "add",
        result_types=[x.shape.element_type],
    )
    return total
