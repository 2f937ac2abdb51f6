"""`xlac.scipy.ndimage`: arrays read between their elements."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function

__all__ = ["map_coordinates"]


def _mirror(index: Any, size: int) -> Any:
    last = size - 1
    return xnp.abs((index + last) % max(2 * last, 1) - last)


_INDEX: dict[str, Callable[[Any, int], Any]] = {
    "constant": lambda index, size: index,
    "nearest": lambda index, size: xnp.clip(index, 0, size - 1),
    "wrap": lambda index, size: index % size,
    "mirror": _mirror,
    "reflect": lambda index, size: _mirror(2 * index + 1, 2 * size + 1) // 2,
}


@array_function
def map_coordinates(
    input: ArrayLike, coordinates: ArrayLike, order: int, mode: str = "constant", cval: ArrayLike = 0.0
) -> Array:
    """The array at places between its elements.

    Args:
      coordinates: for each dimension of the array, where along it; all of one shape, that of the result.
      order: 0 for the nearest element, 1 for linear interpolation.
      mode: what is read outside: constant (`cval`), nearest, wrap, mirror or reflect.

    Raises:
      ShapeError: the order or mode is another, or there are not as many coordinates as dimensions.
    """
    x = xnp.asarray(input)
    places = [xnp.asarray(c) for c in coordinates]  # type: ignore[union-attr]
    if len(places) != x.ndim:
        raise ShapeError(f"map_coordinates: there are {len(places)} coordinates; the array has {x.ndim} dimensions")
    if mode not in _INDEX:
        raise ShapeError(f"map_coordinates: mode is {mode!r}; it must be one of {', '.join(_INDEX)}")
    if order not in (0, 1):
        raise ShapeError(f"map_coordinates: order is {order}; it must be 0 or 1")
    outside = xnp.asarray(cval).astype(x.dtype)
    nodes: list[list[tuple[Any, Any, Any]]] = []
    for place, size in zip(places, x.shape):
        found = []
        if order == 0:
            rounded = place if place.dtype.kind in "iu" else lax.round(place)
            around = [(rounded.astype(np.int32), 1)]
        else:
            low = xnp.floor(place)
            above = place - low
            index = low.astype(np.int32)
            around = [(index, 1 - above), (index + 1, above)]
        for index, weight in around:
            inside = (index >= 0) & (index < size) if mode == "constant" else None
            found.append((_INDEX[mode](index, size), inside, weight))
        nodes.append(found)
    parts = []
    for corner in itertools.product(*nodes):
        value = x[tuple(index for index, _, _ in corner)] if corner else x
        if mode == "constant":
            value = xnp.where(functools.reduce(operator.and_, (ok for _, ok, _ in corner)), value, outside)
        parts.append(functools.reduce(operator.mul, (w for _, _, w in corner)) * value)
    total = functools.reduce(operator.add, parts)
    return (lax.round(total) if x.dtype.kind in "iu" and total.dtype.kind == "f" else total).astype(x.dtype)
