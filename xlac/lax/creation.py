"""Arrays from nothing: full, iota."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.operands import Declared, as_dims, convert, expand

__all__: list[str] = []
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


@public
def full(shape: Sequence[int], fill_value: ArrayLike, dtype: Any = None) -> Array:
    """An array of one value."""
    value = lift(fill_value)
    value = convert(value, value.dtype if dtype is None else dtypes.as_dtype(dtype))
    return expand(value, as_dims(shape), ())


@public
def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: Any = None, shape: Sequence[int] | None = None) -> Array:
    """An array of one value, with the shape and type of `x`."""
    x = lift(x)
    target = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(fill_value, (bool, int, float, builtins.complex)) and not isinstance(fill_value, np.generic):
        value = lift(trace.scalar_array(fill_value, target))
    else:
        value = convert(lift(fill_value), target)
    result = expand(value, x.shape if shape is None else as_dims(shape), ())
    return Tracer(result._trace, result._instruction, x.weak_type) if dtype is None and x.weak_type else result


@public
def iota(dtype: Any, size: int) -> Array:
    """0, 1, ..., size - 1."""
    return broadcasted_iota(dtype, (size,), 0)


@public
def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Array:
    """An array whose elements are their index along one dimension."""
    return emit(
        op.iota, shape=ArrayShape(element_type(dtypes.as_dtype(dtype)), as_dims(shape)), iota_dimension=dimension
    )


@public
def empty(shape: Sequence[int], dtype: Any) -> Array:
    """An array of zeros: results do not depend on what memory held."""
    return full(shape, 0, dtype)
