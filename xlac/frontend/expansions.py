"""Opcodes as the short programs they stand for, which is how some are differentiated.

`EXPANSIONS[name](instruction, *operands)` gives the results, recorded in the current trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.batching import Batched, batch
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.ir.window import WindowDim, scan_form
from xlac.lax.operands import convert, expand

EXPANSIONS: dict[str, Callable[..., Sequence[Tracer]]] = {}


def expansion(*names: str) -> Callable[[Callable[..., Sequence[Tracer]]], Any]:
    """Declare the program of opcodes."""

    def declare(function: Callable[..., Sequence[Tracer]]) -> Any:
        EXPANSIONS.update(dict.fromkeys(names, function))
        return function

    return declare


# ---- batch normalisation


def _others(x: Tracer, feature: int) -> list[int]:
    return [d for d in range(x.ndim) if d != feature]


def _mean(x: Tracer, feature: int) -> Tracer:
    n = max(x.size // max(x.shape[feature], 1), 1)
    return lax.reduce_sum(x, _others(x, feature)) / n


@expansion("batch-norm-training")
def _training(i: Instruction, x: Tracer, scale: Tracer, offset: Tracer) -> Sequence[Tracer]:
    feature = i["feature_index"]
    mean = _mean(x, feature)
    centred = x - _along(mean, x, feature)
    variance = _mean(centred * centred, feature)
    (normal,) = _inference(i, x, scale, offset, mean, variance)
    return normal, convert(mean, scale.dtype), convert(variance, scale.dtype)


def _along(v: Tracer, x: Tracer, feature: int) -> Tracer:
    return expand(convert(v, x.dtype), x.shape, (feature,))


@expansion("batch-norm-inference")
def _inference(
    i: Instruction, x: Tracer, scale: Tracer, offset: Tracer, mean: Tracer, variance: Tracer
) -> Sequence[Tracer]:
    feature = i["feature_index"]
    inverse = lax.rsqrt(_along(variance, x, feature) + i["epsilon"])
    centred = x - _along(mean, x, feature)
    return [centred * inverse * _along(scale, x, feature) + _along(offset, x, feature)]


@expansion("batch-norm-grad")
def _grad(i: Instruction, x: Tracer, scale: Tracer, mean: Tracer, variance: Tracer, g: Tracer) -> Sequence[Tracer]:
    feature = i["feature_index"]
    centred = x - _along(mean, x, feature)
    inverse = lax.rsqrt(variance + i["epsilon"])
    of_offset = lax.reduce_sum(g, _others(x, feature))
    of_scale = lax.reduce_sum(g * centred, _others(x, feature)) * convert(inverse, x.dtype)
    wide = _along(inverse, x, feature)
    shift = (
        _along(_mean(g, feature), x, feature) + centred * wide * _along(_mean(g * centred, feature), x, feature) * wide
    )
    of_x = _along(scale, x, feature) * wide * (g - shift)
    return of_x, convert(of_scale, scale.dtype), convert(of_offset, scale.dtype)


# ---- computations of scalars


def _applied(computation: Computation, arrays: Sequence[Tracer]) -> list[Tracer]:
    """A computation of scalars on each element of arrays of one shape."""
    shape = arrays[0].shape
    n = math.prod(shape)
    flat = [Batched(lax.reshape(a, (n,)), 0) for a in arrays]
    (made,) = batch([computation.root], dict(zip(computation.parameters, flat)), n)
    parts = made if isinstance(made, list) else [made]
    return [lax.reshape(p.front(n), shape) for p in parts]


@expansion("map")
def _map(i: Instruction, *xs: Tracer) -> Sequence[Tracer]:
    return _applied(i["to_apply"], xs)


@expansion("reduce")
def _reduce(i: Instruction, *operands: Tracer) -> Sequence[Tracer]:
    """Halves combined until one element is left, which is combined with the initial value."""
    n = len(operands) // 2
    axes = i["dimensions"]
    kept = [d for d in range(operands[0].ndim) if d not in axes]
    dims = [operands[0].shape[d] for d in kept]
    count = math.prod(operands[0].shape[d] for d in axes)
    xs = [lax.reshape(lax.transpose(x, [*axes, *kept]), (count, *dims)) for x in operands[:n]]
    inits = [expand(v, dims, ()) for v in operands[n:]]
    if count == 0:
        return inits
    while count > 1:
        half = count // 2
        first = [lax.slice_in_dim(x, 0, half) for x in xs]
        second = [lax.slice_in_dim(x, half, 2 * half) for x in xs]
        made = _applied(i["to_apply"], [*first, *second])
        rest = [lax.slice_in_dim(x, 2 * half, count) for x in xs]
        xs = [lax.concatenate([m, r], 0) if count % 2 else m for m, r in zip(made, rest)]
        count = half + count % 2
    return _applied(i["to_apply"], [*inits, *(lax.reshape(x, dims) for x in xs)])


@expansion("reduce-window")
def _reduce_window(i: Instruction, *operands: Tracer) -> Sequence[Tracer]:
    """One element of each window after the other combined, for all windows at once."""
    n = len(operands) // 2
    window: tuple[WindowDim, ...] = i["window"]
    shape = i.shape[0] if isinstance(i.shape, TupleShape) else i.shape
    dims = shape.dims  # type: ignore[union-attr]
    totals = [expand(v, dims, ()) for v in operands[n:]]
    if 0 in dims:
        return totals
    scan = scan_form(window, operands[0].shape)
    if scan is not None:
        return _applied(i["to_apply"], [*totals, *_running(i["to_apply"], operands[:n], *scan)])
    config = [(d.pad_low, d.pad_high, d.lhs_dilate - 1) for d in window]
    wide = [lax.pad(x, trace.literal(np.zeros((), x.dtype)), config) for x in operands[:n]]
    inside = lax.pad(lax.full(operands[0].shape, True), trace.literal(np.asarray(False)), config)
    holes = any(p != (0, 0, 0) for p in config)

    def at(x: Tracer, offset: tuple[int, ...]) -> Tracer:
        offset = tuple(d.size - 1 - k if d.reversal else k for k, d in zip(offset, window))
        starts = [k * d.rhs_dilate for k, d in zip(offset, window)]
        limits = [s + (m - 1) * d.stride + 1 for s, m, d in zip(starts, dims, window)]
        return lax.slice(x, starts, limits, [d.stride for d in window])

    for offset in np.ndindex(*(d.size for d in window)):
        made = _applied(i["to_apply"], [*totals, *(at(x, offset) for x in wide)])
        totals = [lax.select(at(inside, offset), m, t) for m, t in zip(made, totals)] if holes else made
    return totals


def _running(combine: Computation, xs: Sequence[Tracer], axis: int, reverse: bool) -> Sequence[Tracer]:
    """In log2(n) steps, each combining every element with the one that is 1, 2, 4, ... before it."""
    n = xs[0].shape[axis]
    step = 1
    while step < n:
        near = [lax.slice_in_dim(x, 0, n - step, axis=axis) for x in xs]
        far = [lax.slice_in_dim(x, step, n, axis=axis) for x in xs]
        made = _applied(combine, [*far, *near] if reverse else [*near, *far])
        ends = [lax.slice_in_dim(x, *((n - step, n) if reverse else (0, step)), axis=axis) for x in xs]
        xs = [lax.concatenate([m, e] if reverse else [e, m], axis) for m, e in zip(made, ends)]
        step *= 2
    return xs


@expansion("scatter")
def _scatter(i: Instruction, *operands: Tracer) -> Sequence[Tracer]:
    """At unique indices: the elements there, combined with the updates, and put back."""
    from xlac.frontend.vjp_rules import at_updates

    n = len(operands) // 2
    xs, indices, updates = operands[:n], operands[n], operands[n + 1 :]
    made = _applied(i["to_apply"], [*(at_updates(i, x, indices, u)[0] for x, u in zip(xs, updates)), *updates])
    results = []
    for x, new in zip(xs, made):
        scalar = ArrayShape(element_type(x.dtype))
        second = trace.scalar_computation("second", (scalar, scalar), lambda old, new: new)
        results.append(trace.emit(op.scatter, x, indices, new, **{**i.attrs, "to_apply": second}))
    return results


# ---- products

_DOT_DIMS = ("lhs_contracting_dims", "rhs_contracting_dims", "lhs_batch_dims", "rhs_batch_dims")


def _dot(i: Instruction, x: Tracer, y: Tracer, gone: int | None = None) -> Tracer:
    """The product with the instruction's dimensions, of which rhs lacks one."""
    a, b, c, d = (i[key] for key in _DOT_DIMS)
    if gone is not None:
        b, d = (tuple(n - (n > gone) for n in dims) for dims in (b, d))
    return lax.dot_general(x, y, ((a, b), (c, d)), preferred_element_type=i.shape.dtype)  # type: ignore[union-attr]


@expansion("ragged-dot")
def _ragged_dot(i: Instruction, x: Tracer, y: Tracer, sizes: Tracer) -> Sequence[Tracer]:
    """One product for each group, of the rows that are in it."""
    (ragged,) = i["lhs_ragged_dims"]
    if ragged in i["lhs_batch_dims"]:
        return [_dot(i, x, y)]
    sizes = convert(sizes, np.dtype(np.int64))
    ends = lax.cumsum(sizes)
    place = lax.iota(np.int64, x.shape[ragged])

    def own(size: Tracer, end: Tracer) -> Tracer:
        inside = (place < end) & (place >= end - size)
        return lax.select(expand(inside, x.shape, (ragged,)), x, lax.full_like(x, 0))

    if ragged in i["lhs_contracting_dims"]:
        made = lax.scan(lambda _, g: (None, _dot(i, own(*g), y)), None, (sizes, ends))[1]
        return [made]
    (group,) = i["rhs_group_dims"]
    matrices = lax.transpose(y, (group, *(d for d in range(y.ndim) if d != group)))
    start = lax.full(i.shape.dims, np.zeros((), i.shape.dtype))  # type: ignore[union-attr]

    def add(total: Tracer, g: tuple) -> tuple[Tracer, None]:
        size, end, matrix = g
        return total + _dot(i, own(size, end), matrix, group), None

    return [lax.scan(add, start, (sizes, ends, matrices))[0]]


@expansion("scaled-dot")
def _scaled_dot(i: Instruction, x: Tracer, y: Tracer, x_scale: Tracer, y_scale: Tracer) -> Sequence[Tracer]:
    """The product of what each element is times the scale of its block."""
    dtype = i.shape.dtype  # type: ignore[union-attr]
    wide = np.dtype(np.float32) if dtype.itemsize < 4 else dtype

    def scaled(v: Tracer, scale: Tracer) -> Tracer:
        factor, v = convert(scale, wide), convert(v, wide)
        if not scale.ndim:
            return v * factor
        split = [part for n, s in zip(v.shape, scale.shape) for part in (s, n // s)]
        spread = expand(factor, split, range(0, len(split), 2))
        return v * lax.reshape(spread, v.shape)

    return [_dot(i, scaled(x, x_scale), scaled(y, y_scale))]
