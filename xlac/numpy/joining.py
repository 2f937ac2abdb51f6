"""Functions of `xlac.numpy` that join arrays along an axis or a new one, and split them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, shaping
from xlac.numpy._core import as_tracer, normalize_axis, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _common(name: str, arrays: Any) -> list[Tracer]:
    if isinstance(arrays, Tracer):
        arrays = list(arrays)
    if len(arrays) == 0:
        raise trace.shape_error(f"{name}: there are no arrays")
    return _core.promote(*arrays)


@_public
def concatenate(arrays: Sequence[ArrayLike], axis: int | None = 0, dtype: Any = None) -> Array:
    """Arrays joined along an axis (flat, if it is None)."""
    xs = _common("concatenate", arrays)
    if axis is None:
        xs, axis = [lax.reshape(x, (x.size,)) for x in xs], 0
    for x in xs:
        if not x.ndim:
            raise trace.shape_error("concatenate: scalars have no axis to be joined along; use stack")
    joined = lax.concatenate(xs, normalize_axis(axis, xs[0].ndim, "concatenate"))
    return joined if dtype is None else lax.convert_element_type(joined, dtype)


concat = concatenate
__all__.append("concat")


@_public
def stack(arrays: Sequence[ArrayLike], axis: int = 0, dtype: Any = None) -> Array:
    """Arrays of one shape joined along a new axis."""
    xs = _common("stack", arrays)
    for x in xs:
        if x.shape != xs[0].shape:
            raise trace.shape_error(f"stack: arrays {trace.shown(xs[0])} and {trace.shown(x)}; they must be equal")
    place = normalize_axis(axis, xs[0].ndim + 1, "stack")
    joined = lax.concatenate([lax.expand_dims(x, (place,)) for x in xs], place)
    return joined if dtype is None else lax.convert_element_type(joined, dtype)


@_public
def vstack(tup: Sequence[ArrayLike], dtype: Any = None) -> Array:
    """Arrays joined along the first axis, vectors as rows."""
    return concatenate([shaping.atleast_2d(x) for x in tup], 0, dtype)


@_public
def hstack(tup: Sequence[ArrayLike], dtype: Any = None) -> Array:
    """Arrays joined along the second axis, vectors along their only one."""
    xs = [shaping.atleast_1d(x) for x in tup]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1, dtype)


@_public
def dstack(tup: Sequence[ArrayLike], dtype: Any = None) -> Array:
    """Arrays joined along the third axis."""
    return concatenate([shaping.atleast_3d(x) for x in tup], 2, dtype)


@_public
def column_stack(tup: Sequence[ArrayLike]) -> Array:
    """Vectors as the columns of a matrix."""
    xs = [as_tracer(x) for x in tup]
    return concatenate([lax.reshape(x, (x.size, 1)) if x.ndim < 2 else x for x in xs], 1)


@_public
def block(arrays: list[ArrayLike]) -> Array:
    """Nested lists of arrays put together: the innermost along the last axis, the next along the one before."""

    def depth(node: Any) -> int:
        return 1 + max((depth(n) for n in node), default=0) if isinstance(node, list) else 0

    levels = depth(arrays)

    def rank(node: Any) -> int:
        return max(rank(n) for n in node) if isinstance(node, list) else as_tracer(node).ndim

    least = max(levels, rank(arrays))

    def join(node: Any, level: int) -> Tracer:
        if not isinstance(node, list):
            x = as_tracer(node)
            return lax.reshape(x, (1,) * (least - x.ndim) + x.shape)
        if not node:
            raise trace.shape_error("block: a list is empty")
        return concatenate([join(n, level + 1) for n in node], least - (levels - level))

    return join(arrays, 0)


@_public
def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Array:
    """Values joined at the end."""
    return concatenate([as_tracer(arr), as_tracer(values)], axis)


def _split(name: str, x: Tracer, sections: Any, axis: int, equal: bool) -> list[Tracer]:
    axis = normalize_axis(axis, x.ndim, name)
    n = x.shape[axis]
    if isinstance(sections, Tracer):
        sections.__index__()
    if np.ndim(sections) == 0:
        count = int(sections)
        if equal and n % count:
            raise trace.shape_error(f"{name}: {n} elements along axis {axis} do not split into {count} equal parts")
        sizes = [n // count + (i < n % count) for i in range(count)]
        points = np.cumsum([0, *sizes])
    else:
        points = np.clip([0, *(int(p) + n * (int(p) < 0) for p in sections), n], 0, n)
    return [lax.slice_in_dim(x, int(a), int(max(a, b)), axis=axis) for a, b in zip(points, points[1:])]


@_public
def split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Equal parts, or parts cut at the given places."""
    return _split("split", as_tracer(ary), indices_or_sections, axis, True)


@_public
def array_split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """As `split`; parts may differ by one."""
    return _split("array_split", as_tracer(ary), indices_or_sections, axis, False)


@_public
def dsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Split along the third axis."""
    return _split("dsplit", as_tracer(ary), indices_or_sections, 2, True)


@_public
def hsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Split along the second axis (of a vector, its only one)."""
    x = as_tracer(ary)
    return _split("hsplit", x, indices_or_sections, 0 if x.ndim == 1 else 1, True)


@_public
def vsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Split along the first axis."""
    return _split("vsplit", as_tracer(ary), indices_or_sections, 0, True)


@_public
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The elements along an axis."""
    a = as_tracer(x)
    along = normalize_axis(axis, a.ndim, "unstack")
    return tuple(lax.index_in_dim(a, i, along, keepdims=False) for i in range(a.shape[along]))
