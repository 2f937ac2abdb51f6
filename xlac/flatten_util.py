"""`xlac.flatten_util`: a nested container of arrays as one vector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xlac import tree


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """All leaves, flat and in a common type, behind one another; and the function that undoes this.

    The second function gives leaves of the types that they had.

    Raises (the second function):
      ValueError: the vector has another length or type.
    """
    import xlac.numpy as xnp

    leaves, structure = tree.flatten(pytree)
    if not leaves:
        return xnp.zeros((0,)), lambda _: tree.unflatten(structure, [])
    arrays = [xnp.asarray(x) for x in leaves]
    vector = xnp.concatenate([xnp.ravel(x) for x in arrays])
    kinds = [(x.shape, x.dtype) for x in arrays]
    ends = np.cumsum([int(np.prod(shape)) for shape, _ in kinds])
    dtype, total = vector.dtype, int(ends[-1])

    def unravel(flat: Any) -> Any:
        v = xnp.asarray(flat)
        if v.shape != (total,):
            raise ValueError(f"the vector is of shape {list(v.shape)}; the container has {total} elements")
        if v.dtype != dtype and any(kind != dtype for _, kind in kinds):
            raise ValueError(f"the vector is of type {v.dtype.name}; the container's was {dtype.name}")
        same = all(kind == dtype for _, kind in kinds)
        parts = xnp.split(v, ends[:-1].tolist())
        shaped = [xnp.reshape(p, shape) for p, (shape, _) in zip(parts, kinds)]
        return tree.unflatten(structure, shaped if same else [p.astype(kind) for p, (_, kind) in zip(shaped, kinds)])

    return vector, unravel
