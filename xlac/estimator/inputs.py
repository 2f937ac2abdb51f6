"""Data sets: arrays checked once, then cut into batches in an order that (seed, epoch) alone determines.

Features are an array, a dict of arrays, or a tuple of arrays, that agree in their first dimension; so are labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from xlac.errors import EstimatorError
from xlac.estimator.spec import describe

Arrays = Any
"""An ndarray, a dict of them by name, or a tuple of them."""

SHUFFLE_STREAM = 1


def random_generator(seed: int, stream: int, number: int) -> np.random.Generator:
    """A generator whose values depend on nothing but its three arguments (Philox, counter-based)."""
    mask = (1 << 64) - 1
    return np.random.Generator(np.random.Philox(key=[seed & mask, number & mask], counter=[0, 0, 0, stream]))


def as_array(value: Any, what: str) -> np.ndarray:
    """One array of a data set.

    Raises:
      EstimatorError: it is ragged, of Python objects, a scalar, or sparse.
    """
    if hasattr(value, "toarray") and not isinstance(value, np.ndarray):
        raise EstimatorError(f"{what} is a sparse {type(value).__name__}; pass {what}.toarray()")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise EstimatorError(f"{what} is ragged: its rows must all have the same length ({error})") from None
    if array.dtype == object:
        if all(isinstance(item, str) for item in array.flat):
            return array.astype(str)
        raise EstimatorError(
            f"{what} is an array of Python objects; its rows must be numbers, and all of the same length"
        )
    if array.ndim == 0:
        raise EstimatorError(f"{what} is {describe(value)}; it must have a first dimension, the rows")
    return array


def as_arrays(value: Arrays, what: str) -> Arrays:
    """Features or labels as NumPy arrays in the same structure.

    Raises:
      EstimatorError: a part is no proper array, or parts have different numbers of rows.
    """
    if isinstance(value, Mapping):
        if not value:
            raise EstimatorError(f"{what} is an empty dict")
        result: Arrays = {name: as_array(part, f"{what}[{name!r}]") for name, part in value.items()}
        parts = list(result.items())
    elif isinstance(value, tuple) and value and all(hasattr(part, "shape") and np.ndim(part) for part in value):
        result = tuple(as_array(part, f"{what}[{i}]") for i, part in enumerate(value))
        parts = list(enumerate(result))
    else:
        return as_array(value, what)
    first, head = parts[0]
    for key, part in parts[1:]:
        if len(part) != len(head):
            raise EstimatorError(
                f"{what}[{key!r}] has {len(part)} rows but {what}[{first!r}] has "
                f"{len(head)}; all must have the same number"
            )
    return result


def leaves(value: Arrays) -> list[np.ndarray]:
    """The arrays of features or labels, in order; none for None."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.values())
    return list(value) if isinstance(value, tuple) else [value]


def map_arrays(function: Callable[[np.ndarray], np.ndarray], value: Arrays) -> Arrays:
    """Features or labels with each array replaced by the function's result."""
    if value is None:
        return None
    if isinstance(value, Mapping):
        return {name: function(part) for name, part in value.items()}
    return tuple(function(part) for part in value) if isinstance(value, tuple) else function(value)


def take_rows(value: Arrays, rows: slice) -> Arrays:
    """Features or labels of these rows only."""
    return map_arrays(lambda array: array[rows], value)


def row_count(value: Arrays) -> int:
    """Rows of features or labels."""
    return len(leaves(value)[0])


class ArrayInput:
    """Arrays in memory as batches; what an `input_fn` may return so that training resumes exactly where it stopped.

    Args:
      x: features.
      y: labels, or None.
      batch_size: rows a batch; no more than there are rows.
      shuffle: each epoch in an order of its own.
      seed: with the epoch's number, determines that order.

    Raises:
      EstimatorError: the arrays are empty or do not agree in their rows.
    """

    def __init__(self, x: Arrays, y: Arrays = None, batch_size: int = 32, shuffle: bool = True, seed: int = 0) -> None:
        self.x = as_arrays(x, "x")
        self.y = None if y is None else as_arrays(y, "y")
        self.rows = row_count(self.x)
        if self.y is not None and row_count(self.y) != self.rows:
            raise EstimatorError(f"x has {self.rows} rows but y has {row_count(self.y)}; each row needs its label")
        if self.rows == 0:
            raise EstimatorError("x has no rows")
        self.batch_size = min(batch_size, self.rows)
        self.shuffle, self.seed = shuffle, seed

    def order(self, epoch: int) -> np.ndarray:
        """Row numbers in the order of an epoch."""
        if not self.shuffle:
            return np.arange(self.rows)
        return random_generator(self.seed, SHUFFLE_STREAM, epoch).permutation(self.rows)

    def stream(self, position: int = 0) -> Iterator[tuple[Arrays, Arrays]]:
        """Batches of training without end, from sample `position` of the epochs laid end to end.

        Every batch has `batch_size` rows: one that an epoch's end would cut short goes on into the next epoch, so that
        no row is left out. The arrays are the same from batch to batch, with new contents: use them before asking for
        the next.
        """
        rows, size = self.rows, self.batch_size
        features, labels = (map_arrays(lambda a: np.empty((size, *a.shape[1:]), a.dtype), v) for v in (self.x, self.y))
        takes = list(zip(leaves(self.x) + leaves(self.y), leaves(features) + leaves(labels)))
        batch = (features, labels)
        across = np.empty(size, np.intp)
        epoch, start = divmod(position, rows)
        order = self.order(epoch)
        while True:
            if start + size <= rows:
                chosen = order[start : start + size]
                start += size
            else:
                chosen, filled = across, 0
                while filled < size:
                    if start == rows:
                        epoch, start = epoch + 1, 0
                        order = self.order(epoch)
                    count = min(size - filled, rows - start)
                    across[filled : filled + count] = order[start : start + count]
                    filled, start = filled + count, start + count
            for array, buffer in takes:
                array.take(chosen, 0, buffer, "clip")  # "clip", as "raise" would copy through another buffer
            yield batch

    def once(self, batch_size: int | None = None) -> Iterator[tuple[Arrays, Arrays]]:
        """All rows once, in their own order; the last batch may be smaller."""
        size = batch_size or self.batch_size
        for start in range(0, self.rows, size):
            rows = slice(start, start + size)
            yield take_rows(self.x, rows), take_rows(self.y, rows)


def batches_of(source: Any) -> Iterator[tuple[Arrays, Arrays]]:
    """Checked (features, labels) from an iterable of batches, as an `input_fn` may return.

    An item that is a tuple of two is features and labels; anything else is features alone.

    Raises:
      EstimatorError: it is not iterable, or an item is no proper batch.
    """
    if not isinstance(source, Iterable):
        raise EstimatorError(
            f"input_fn returned {describe(source)}; it must return (x, y) "
            "arrays, an ArrayInput, or an iterable of batches"
        )
    for number, item in enumerate(source):
        features, labels = item if isinstance(item, tuple) and len(item) == 2 else (item, None)
        features = as_arrays(features, f"features of batch {number}")
        if labels is not None:
            labels = as_arrays(labels, f"labels of batch {number}")
            if row_count(labels) != row_count(features):
                raise EstimatorError(
                    f"batch {number} has {row_count(features)} rows of features but {row_count(labels)} of labels"
                )
        if row_count(features) == 0:
            raise EstimatorError(f"batch {number} has no rows")
        yield features, labels


def open_input(x: Any, y: Any, batch_size: int, shuffle: bool, seed: int) -> ArrayInput | Any:
    """What to take batches from: an ArrayInput for arrays, else the iterable that the input_fn `x` returned.

    Raises:
      EstimatorError: both an input_fn and labels are given, or the arrays are not proper.
    """
    if isinstance(x, ArrayInput):
        return x
    if callable(x) and not hasattr(x, "__array__"):
        if y is not None:
            raise EstimatorError("y is given besides an input_fn; the input_fn returns the labels too")
        x = x()
        if isinstance(x, ArrayInput):
            return x
        if isinstance(x, tuple) and len(x) == 2 and not isinstance(x[0], tuple):
            x, y = x
        elif isinstance(x, Iterable) and not isinstance(x, Mapping) and not hasattr(x, "__array__"):
            return x
    return ArrayInput(x, y, batch_size, shuffle, seed)
