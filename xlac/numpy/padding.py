"""`pad` of `xlac.numpy`: elements added around an array, in each of NumPy's modes."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, indexing, trace
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, elementwise
from xlac.numpy._core import as_tracer
from xlac.numpy.shaping import take_fixed

__all__ = ["pad"]


@array_function
def pad(array: ArrayLike, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Array:
    """Elements added before and after each dimension.

    Args:
      pad_width: one number, a pair, a pair for each dimension, or a dictionary of pairs by axis.
      mode: "constant" (with constant_values), "edge", "wrap", "reflect" and "symmetric" (with reflect_type "even" or
        "odd"), "linear_ramp" (with end_values), "maximum", "minimum", "mean" and "median" (with stat_length), "empty",
        or a function as NumPy's.
    """
    x = as_tracer(array)
    widths = _widths(pad_width, x.ndim)
    if any(w < 0 for pair in widths for w in pair):
        raise trace.shape_error(f"pad: widths {widths} must not be negative")
    if callable(mode):
        return _pad_by_function(x, widths, mode, kwargs)
    known = {"constant": {"constant_values"}, "linear_ramp": {"end_values"}, "edge": set(), "wrap": set(),
             "empty": set(), "reflect": {"reflect_type"}, "symmetric": {"reflect_type"}, "maximum": {"stat_length"},
             "minimum": {"stat_length"}, "mean": {"stat_length"}, "median": {"stat_length"}}  # fmt: skip
    if mode not in known:
        raise trace.shape_error(f"pad: mode={mode!r}; it must be one of {', '.join(known)}, or a function")
    if set(kwargs) - known[mode]:
        raise trace.shape_error(f"pad: {', '.join(set(kwargs) - known[mode])} does not go with mode={mode!r}")
    if mode in ("constant", "empty"):
        return _pad_constant(x, widths, kwargs.get("constant_values", 0))
    if mode == "linear_ramp":
        return _pad_ramp(x, widths, kwargs.get("end_values", 0))
    if mode in ("maximum", "minimum", "mean", "median"):
        return _pad_statistic(x, widths, mode, kwargs.get("stat_length"))
    odd = kwargs.get("reflect_type", "even") == "odd"
    for d, (low, high) in enumerate(widths):
        if not (low or high):
            continue
        n = x.shape[d]
        if n == 0:
            raise trace.shape_error(
                f"pad: axis {d} of an array {trace.shown(x)} is empty; mode {mode!r} needs an element"
            )
        if odd:
            x = _pad_odd(x, d, low, high, mode)
            continue
        x = take_fixed(x, np.pad(np.arange(n), (low, high), mode=mode), d)
    return x


def _widths(pad_width: Any, ndim: int) -> list[tuple[int, int]]:
    if isinstance(pad_width, dict):
        found = {d % ndim: (w, w) if np.ndim(w) == 0 else tuple(w) for d, w in pad_width.items()}
        return [found.get(d, (0, 0)) for d in range(ndim)]  # type: ignore[misc]
    try:
        return [(int(a), int(b)) for a, b in np.broadcast_to(np.asarray(pad_width), (ndim, 2))]
    except ValueError:
        raise trace.shape_error(
            f"pad: pad_width {pad_width!r} for {ndim} dimensions; it must be a number, a pair, or a pair for each"
        ) from None


def _pad_constant(x: Tracer, widths: list[tuple[int, int]], constant: Any) -> Tracer:
    value = as_tracer(constant)
    if not value.shape:
        return lax.pad(x, lax.convert_element_type(value, x.dtype), [(a, b, 0) for a, b in widths])
    value = _core.stretch(value, (x.ndim, 2))
    for d, (low, high) in enumerate(widths):
        for side, config in ((0, (low, 0, 0)), (1, (0, high, 0))):
            fill = lax.convert_element_type(indexing.getitem(value, (d, side)), x.dtype)
            x = lax.pad(x, fill, [config if i == d else (0, 0, 0) for i in range(x.ndim)])
    return x


def _pad_ramp(x: Tracer, widths: list[tuple[int, int]], end_values: Any) -> Tracer:
    """From the edges, straight lines to the end values."""
    ends = _core.stretch(lax.convert_element_type(as_tracer(end_values), x.dtype), (x.ndim, 2))
    whole = dtypes.is_integer(x.dtype)
    for d, (low, high) in enumerate(widths):
        parts = [x]
        for side, width in ((0, low), (1, high)):
            if not width:
                continue
            edge = lax.index_in_dim(x, 0 if side == 0 else x.shape[d] - 1, d)
            kind = np.dtype(np.float64) if whole else x.dtype
            steps = np.arange(width) / width if side == 0 else (width - 1 - np.arange(width)) / width
            share = steps.astype(kind).reshape([-1 if i == d else 1 for i in range(x.ndim)])
            end = lax.convert_element_type(indexing.getitem(ends, (d, side)), kind)
            first = lax.convert_element_type(edge, kind)
            ramp = elementwise.add(end, elementwise.multiply(elementwise.subtract(first, end), share))
            ramp = lax.convert_element_type(lax.floor(ramp) if whole else ramp, x.dtype)
            parts = [ramp, *parts] if side == 0 else [*parts, ramp]
        x = lax.concatenate(parts, d)
    return x


def _pad_statistic(x: Tracer, widths: list[tuple[int, int]], mode: str, stat_length: Any) -> Tracer:
    from xlac.numpy import reductions, statistics

    functions = {"maximum": reductions.max, "minimum": reductions.min, "mean": reductions.mean,
                 "median": statistics.median}  # fmt: skip
    lengths = None if stat_length is None else np.broadcast_to(np.asarray(stat_length), (x.ndim, 2))
    for d, (low, high) in enumerate(widths):
        n = x.shape[d]
        parts = [x]
        for side, width in ((0, low), (1, high)):
            if not width:
                continue
            length = n if lengths is None else min(int(lengths[d][side]), n)
            part = lax.slice_in_dim(x, 0, length, axis=d) if side == 0 else lax.slice_in_dim(x, n - length, n, axis=d)
            value = functions[mode](part, axis=d, keepdims=True)
            if dtypes.is_integer(x.dtype) and dtypes.is_float(value.dtype):
                value = lax.round(value, 1)
            wide = [width if i == d else e for i, e in enumerate(x.shape)]
            block = lax.broadcast_in_dim(lax.convert_element_type(value, x.dtype), wide, range(x.ndim))
            parts = [block, *parts] if side == 0 else [*parts, block]
        x = lax.concatenate(parts, d)
    return x


def _pad_odd(x: Tracer, d: int, low: int, high: int, mode: str) -> Tracer:
    """Reflections about the edge values: 2 edge - x, repeated as far as needed."""
    least = 1 if mode == "reflect" else 0
    n = x.shape[d]
    if n == 1 and mode == "reflect":
        return take_fixed(x, np.zeros(low + 1 + high, np.int32), d)
    while low or high:
        n = x.shape[d]
        parts = [x]
        for side, width in ((0, low), (1, high)):
            take = min(width, n - least)
            if not take:
                continue
            if side == 0:
                edge = lax.index_in_dim(x, 0, d)
                part = lax.slice_in_dim(x, least, least + take, axis=d)
            else:
                edge = lax.index_in_dim(x, n - 1, d)
                part = lax.slice_in_dim(x, n - least - take, n - least, axis=d)
            block = elementwise.subtract(elementwise.multiply(edge, 2), lax.rev(part, (d,)))
            parts = [block, *parts] if side == 0 else [*parts, block]
            low, high = (low - take, high) if side == 0 else (low, high - take)
        x = lax.concatenate(parts, d)
    return x


def _pad_by_function(x: Tracer, widths: list[tuple[int, int]], function: Any, kwargs: dict[str, Any]) -> Tracer:
    """`function(vector, widths, axis, kwargs)` gives the padded vector, for each vector along each axis."""
    from xlac.numpy.functional import apply_along_axis

    x = _pad_constant(x, widths, 0)
    for d, pair in enumerate(widths):

        def run(vector: Any, pair: tuple[int, int] = pair, d: int = d) -> Any:
            result = function(vector, pair, d, kwargs)
            return vector if result is None else result

        x = apply_along_axis(run, d, x)
    return x
