"""Sliding windows: reduce_window, select_and_scatter, and how paddings are named."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.ir.window import WindowDim
from xlac.lax.elementwise import add
from xlac.lax.operands import Declared, as_dims, convert
from xlac.lax.reductions import reducer_of

__all__: list[str] = ["padtype_to_pads", "reduce_window", "reduce_window_shape_tuple", "select_and_scatter"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named

PaddingLike = Union[str, Sequence[tuple[int, int]]]


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int], padding: PaddingLike
) -> list[tuple[int, int]]:
    """Padding before and after each dimension: VALID is none, SAME gives ceil(extent / stride) places.

    SAME puts an odd one after, SAME_LOWER before; pairs stand for themselves.
    """
    if not isinstance(padding, str):
        pairs = [(int(low), int(high)) for low, high in padding]
        if len(pairs) != len(in_shape):
            raise shape_error(f"padding {pairs} names {len(pairs)} dimensions; there are {len(in_shape)}")
        return pairs
    name = padding.upper()
    if name == "VALID":
        return [(0, 0)] * len(in_shape)
    if name not in ("SAME", "SAME_LOWER"):
        raise shape_error(f"padding={padding!r}; it must be SAME, SAME_LOWER, VALID or pairs of numbers")
    pads = []
    for n, size, stride in zip(in_shape, window_shape, window_strides):
        total = builtins.max((-(-n // stride) - 1) * stride + size - n, 0)
        before = -(-total // 2) if name == "SAME_LOWER" else total // 2
        pads.append((before, total - before))
    return pads


def _window(
    shape: Sequence[int],
    sizes: Sequence[int],
    strides: Sequence[int] | None,
    padding: PaddingLike,
    base: Sequence[int] | None,
    dilation: Sequence[int] | None,
) -> tuple[WindowDim, ...]:
    ones = (1,) * len(shape)
    sizes, strides = as_dims(sizes), as_dims(strides or ones)
    base, dilation = as_dims(base or ones), as_dims(dilation or ones)
    if not len(sizes) == len(strides) == len(base) == len(dilation) == len(shape):
        raise shape_error(
            f"a window of dimensions {list(sizes)}, strides {list(strides)} and dilations {list(base)} and "
            f"{list(dilation)} over an array of shape {list(shape)}; the numbers of dimensions must be equal"
        )
    wide = [(n - 1) * b + 1 if n else 0 for n, b in zip(shape, base)]
    spans = [(k - 1) * d + 1 for k, d in zip(sizes, dilation)]
    pads = padtype_to_pads(wide, spans, strides, padding)
    return tuple(
        WindowDim(size=k, stride=s, pad_low=p[0], pad_high=p[1], lhs_dilate=b, rhs_dilate=d)
        for k, s, p, b, d in zip(sizes, strides, pads, base, dilation)
    )


def reduce_window_shape_tuple(
    operand_shape: Sequence[int],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: PaddingLike,
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """The shape of `reduce_window`'s result."""
    window = _window(operand_shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    return tuple(d.positions(n) for d, n in zip(window, operand_shape))


def reduce_window(
    operand: Any,
    init_value: Any,
    computation: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None,
    padding: PaddingLike = "VALID",
    base_dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Any:
    """Reduce each window by an associative function of scalars; padding holds the initial value, which is neutral.

    Of several operands of equal shape, nested as `init_value`, `computation(accumulators, elements)` gets scalars
    nested alike.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(
            lambda: reduce_window(
                operand,
                init_value,
                computation,
                window_dimensions,
                window_strides,
                padding,
                base_dilation,
                window_dilation,
            ),
            "reduce_window",
        )
    xs, inits, structure, reducer = reducer_of(operand, init_value, computation)
    window = _window(xs[0].shape, window_dimensions, window_strides, padding, base_dilation, window_dilation)
    active = trace.active()
    instruction = trace.emit_instruction(
        op.reduce_window, *[active.use(t) for t in (*xs, *inits)], window=window, to_apply=reducer
    )
    if isinstance(instruction.shape, TupleShape):
        return tree.unflatten(structure, trace.elements(instruction))
    return tree.unflatten(structure, [Tracer(active, instruction)])


def _scalar_function(name: str, function: Callable[[Any, Any], Any], dtype: np.dtype) -> Any:
    scalar = ArrayShape(element_type(dtype))
    return trace.scalar_computation(name, (scalar, scalar), function)


def select_and_scatter(
    operand: Any,
    select: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: PaddingLike,
    source: Any,
    init_value: Any,
    scatter: Callable[[Any, Any], Any],
) -> Any:
    """For each window over the operand, the source's element is combined into the place that `select` prefers."""
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(
            lambda: select_and_scatter(
                operand, select, window_dimensions, window_strides, padding, source, init_value, scatter
            ),
            "select_and_scatter",
        )
    x, updates = lift(operand), lift(source)
    init = convert(lift(init_value), updates.dtype)
    window = _window(x.shape, window_dimensions, window_strides, padding, None, None)
    return emit(
        op.select_and_scatter,
        x,
        updates,
        init,
        window=window,
        select=_scalar_function("select", select, x.dtype),
        scatter=_scalar_function("scatter", scatter, updates.dtype),
    )


@public
def select_and_scatter_add(
    source: ArrayLike,
    operand: ArrayLike,
    select: Callable[[Any, Any], Any],
    window_dimensions: Sequence[int],
    window_strides: Sequence[int],
    padding: Any,
) -> Array:
    """For each window over the operand, the source's element is added to the place that `select` prefers."""
    zero = np.zeros((), lift(source).dtype)
    return select_and_scatter(operand, select, window_dimensions, window_strides, padding, source, zero, add)
