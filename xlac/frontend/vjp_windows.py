"""Reverse rules of convolution, reduce-window and select-and-scatter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.trace import emit, emit_instruction
from xlac.frontend.tracer import Tracer
from xlac.frontend.vjp_rules import RULES, Needed, expanded, structural
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape, element_type
from xlac.ir.window import ConvolutionDims, Window, WindowDim, scan_form
from xlac.lax.operands import convert


def _dilated(extent: int, dilation: int) -> int:
    return (extent - 1) * dilation + 1 if extent else 0


def _padding_back(d: WindowDim, extent: int, positions: int) -> tuple[int, int]:
    """Padding of the dilated cotangents under which each element sees all windows it was in."""
    low = d.span - 1 - d.pad_low
    return low, _dilated(extent, d.lhs_dilate) + d.span - 1 - _dilated(positions, d.stride) - low


# ---- convolution


def _moved_groups(x: Tracer, source: int, target: int, groups: int) -> Tracer:
    """The leading factor `groups` of one dimension moved in front of another."""
    shape = x.shape
    split = lax.reshape(x, (*shape[:source], groups, shape[source] // groups, *shape[source + 1 :]))
    order = [d for d in range(split.ndim) if d != source]
    place = order.index(target if target < source else target + 1)
    order.insert(place, source)
    dims = list(shape)
    dims[source] //= groups
    dims[target] *= groups
    return lax.reshape(lax.transpose(split, order), dims)


@structural("convolution")
def _convolution(i: Instruction, g: Tracer, x: Tracer, kernel: Tracer) -> Any:
    """Both are convolutions: of the cotangents with the turned kernel, and of the input with the cotangents."""
    labels: ConvolutionDims = i["dim_labels"]
    window: Window = i["window"]
    features, batches = i["feature_group_count"], i["batch_group_count"]
    extents = [x.shape[d] for d in labels.input_spatial]
    positions = [g.shape[d] for d in labels.output_spatial]
    reversed_dims = [k for d, k in zip(window, labels.kernel_spatial) if d.reversal]

    def convolve(a: Tracer, b: Tracer, shape: Sequence[int], **attrs: Any) -> Tracer:
        made = ArrayShape(element_type(g.dtype), tuple(shape))
        return emit(op.convolution, a, b, shape=made, operand_precision=i["operand_precision"], **attrs)

    def of_input() -> Tracer:
        if 0 in g.shape or 0 in x.shape:
            return lax.full_like(x, 0)
        groups = features * batches
        turned = lax.rev(kernel, [k for k in labels.kernel_spatial if k not in reversed_dims])
        if groups > 1:
            turned = _moved_groups(turned, labels.kernel_output_feature, labels.kernel_input_feature, groups)
        dims = ConvolutionDims(
            labels.output_batch,
            labels.output_feature,
            labels.output_spatial,
            labels.kernel_output_feature,
            labels.kernel_input_feature,
            labels.kernel_spatial,
            labels.input_batch,
            labels.input_feature,
            labels.input_spatial,
        )
        shape = list(x.shape)
        shape[labels.input_batch] //= batches
        shape[labels.input_feature] *= batches
        back = []
        for d, n, m in zip(window, extents, positions):
            low, high = _padding_back(d, n, m)
            back.append(WindowDim(d.size, d.lhs_dilate, low, high, d.stride, d.rhs_dilate))
        made = convolve(
            convert(g, kernel.dtype),
            turned,
            shape,
            window=tuple(back),
            dim_labels=dims,
            feature_group_count=groups,
            batch_group_count=1,
        )
        if batches > 1:
            made = _moved_groups(made, labels.input_feature, labels.input_batch, batches)
        return convert(made, x.dtype)

    def of_kernel() -> Tracer:
        if 0 in g.shape or 0 in kernel.shape:
            return lax.full_like(kernel, 0)
        dims = ConvolutionDims(
            labels.input_feature,
            labels.input_batch,
            labels.input_spatial,
            labels.output_batch,
            labels.output_feature,
            labels.output_spatial,
            labels.kernel_input_feature,
            labels.kernel_output_feature,
            labels.kernel_spatial,
        )
        over = []
        for d, n, m in zip(window, extents, positions):
            high = _dilated(m, d.stride) - _dilated(n, d.lhs_dilate) + d.span - d.pad_low - 1
            over.append(WindowDim(m, d.rhs_dilate, d.pad_low, high, d.lhs_dilate, d.stride))
        made = convolve(
            x,
            convert(g, x.dtype),
            kernel.shape,
            window=tuple(over),
            dim_labels=dims,
            feature_group_count=batches,
            batch_group_count=features,
        )
        return convert(lax.rev(made, reversed_dims), kernel.dtype)

    return [of_input, of_kernel]


# ---- windows


def _places(window: Window, x: Tracer, keep: Callable[[Tracer, Tracer], Tracer]) -> Tracer:
    """The row-major number of the element that each window chooses, -1 where it covers none.

    `keep(chosen, candidate)` tells whether the element chosen so far stays.
    """
    kind = np.dtype(np.int32) if x.size < 2**31 else np.dtype(np.int64)
    index = lax.reshape(lax.iota(kind, x.size), x.shape)
    scalars = [ArrayShape(element_type(d)) for d in (x.dtype, kind)] * 2

    def choose(a: Tracer, at_a: Tracer, b: Tracer, at_b: Tracer) -> list[Tracer]:
        better = lax.bitwise_and(lax.ge(at_b, 0), lax.bitwise_not(keep(a, b)))
        take = lax.bitwise_or(lax.lt(at_a, 0), better)
        return [lax.select(take, b, a), lax.select(take, at_b, at_a)]

    chooser = trace.scalar_computation("choose", scalars, choose)
    none = [trace.literal(np.zeros((), x.dtype)), trace.literal(np.asarray(-1, kind))]
    active = trace.active()
    made = emit_instruction(
        op.reduce_window, *[active.use(t) for t in (x, index, *none)], window=window, to_apply=chooser
    )
    return trace.elements(made)[1]


def chosen_places(i: Instruction, x: Tracer) -> Tracer:
    """Where each window of a reduce-window by maximum or minimum has its (first) greatest or least element."""
    keep = lax.ge if monoid(i["to_apply"]) == "maximum" else lax.le
    return _places(i["window"], x, keep)


def take_flat(x: Tracer, places: Tracer) -> Tracer:
    """The elements of `x` with these row-major numbers; zero for -1."""
    flat = lax.reshape(x, (x.size,))
    numbers = lax.GatherDimensionNumbers((), (0,), (0,))
    found = lax.gather(flat, lax.reshape(places, (*places.shape, 1)), numbers, (1,))
    return lax.select(lax.ge(places, 0), found, lax.full_like(found, 0))


def _reduce_window(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    owner = trace.active()
    x, init = (Tracer(owner, o) for o in instruction.operands[:2])
    name = monoid(instruction["to_apply"])
    if len(instruction.operands) == 2 and name == "add":
        return [lambda: _spread(instruction["window"], g, x), lambda: lax.reduce_sum(g, range(g.ndim))]
    if scan_form(instruction["window"], x.shape) is not None:
        return expanded(instruction, g, needed)
    if len(instruction.operands) == 2 and name in ("maximum", "minimum") and not needed(instruction.operands[1]):
        return [lambda: _to_chosen(instruction, g, x, "GE" if name == "maximum" else "LE"), None]
    return expanded(instruction, g, needed)


RULES["reduce-window"] = _reduce_window


def _spread(window: Window, g: Tracer, x: Tracer) -> Tracer:
    """For each element the sum over the windows that cover it."""
    if 0 in g.shape or 0 in x.shape:
        return lax.full_like(x, 0)
    config, back = [], []
    for d, n, m in zip(window, x.shape, g.shape):
        config.append((*_padding_back(d, n, m), d.stride - 1))
        back.append(WindowDim(d.size, d.lhs_dilate, rhs_dilate=d.rhs_dilate))
    zero = trace.literal(np.zeros((), g.dtype))
    if scan_form(window, x.shape) is not None:  # its spread is the running sum from the other end
        back = [replace(d, pad_low=low, pad_high=high) for d, (low, high, _) in zip(back, config)]
        config = [(0, 0, 0)] * g.ndim
    wide = lax.pad(g, zero, config)
    return emit(op.reduce_window, wide, zero, window=tuple(back), to_apply=trace.reducer("add", g.dtype))


def _to_chosen(i: Instruction, g: Tracer, x: Tracer, direction: str) -> Tracer:
    """Each window's cotangent to the element it chose."""
    scalar = ArrayShape(element_type(x.dtype))
    select = trace.scalar_computation(
        f"select_{direction}", (scalar, scalar), lambda a, b: emit(op.compare, a, b, direction=direction, type=None)
    )
    zero = trace.literal(np.zeros((), g.dtype))
    return emit(
        op.select_and_scatter,
        x,
        g,
        zero,
        window=i["window"],
        select=select,
        scatter=trace.reducer("add", g.dtype),
    )


@structural("select-and-scatter")
def _select_and_scatter(i: Instruction, g: Tracer, x: Tracer, source: Tracer, init: Tracer) -> Any:
    if monoid(i["scatter"]) != "add":
        raise trace.trace_error("only select-and-scatter that adds has a reverse-mode derivative")

    def keep(a: Tracer, b: Tracer) -> Tracer:
        active = trace.active()
        mapping = {p: active.use(t) for p, t in zip(i["select"].parameters, (a, b))}
        return Tracer(active, trace.replay([i["select"].root], mapping)[0])

    return [
        None,
        lambda: take_flat(g, _places(i["window"], x, keep)),
        lambda: lax.reduce_sum(g, range(g.ndim)),
    ]
