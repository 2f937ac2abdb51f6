"""`r_` and `c_`: arrays joined by writing them as an index."""

from __future__ import annotations

from typing import Any

from xlac.errors import OptionError
from xlac.numpy import creation, joining

__all__ = ["c_", "r_"]


class _Joined:
    """What is written as an index, one after the other along an axis: numbers, arrays, `start:stop:step`.

    A step that is a complex number tells how many numbers there shall be, both ends included. A first item that is a
    text of up to three integers sets, as NumPy's, the axis, the least number of dimensions, and at which dimension
    those of an array of fewer begin.
    """

    def __init__(self, axis: int, ndmin: int, begin: int) -> None:
        self.settings = (axis, ndmin, begin)

    def __getitem__(self, key: Any) -> Any:
        items = list(key) if isinstance(key, tuple) else [key]
        settings = self.settings
        if items and isinstance(items[0], str):
            settings = _settings(items.pop(0), settings)
        axis, ndmin, begin = settings
        return joining.concatenate([_widened(_array(item), ndmin, begin) for item in items], axis=axis)


def _settings(text: str, usual: tuple[int, int, int]) -> tuple[int, int, int]:
    try:
        given = [int(n) for n in text.split(",")]
    except ValueError:
        given = []
    if not 1 <= len(given) <= 3:
        raise OptionError(f"r_: {text!r}; it must be up to three integers, as '0,2,1' (matrices are not made)")
    return (*given, *usual[len(given) :])  # type: ignore[return-value]


def _array(item: Any) -> Any:
    if not isinstance(item, slice):
        return creation.asarray(item)
    start, step = item.start or 0, 1 if item.step is None else item.step
    if isinstance(step, complex):
        return creation.linspace(start, item.stop, int(abs(step)))
    return creation.arange(start, item.stop, step)


def _widened(x: Any, ndmin: int, begin: int) -> Any:
    """`x` with at least one dimension, and as many as are wanted."""
    missing = max(ndmin, 1) - x.ndim
    if missing <= 0:
        return x
    before = begin if begin >= 0 else begin + missing + 1
    return x.reshape((1,) * before + x.shape + (1,) * (missing - before))


r_ = _Joined(0, 1, -1)
c_ = _Joined(-1, 2, 0)
