"""Products: dot_general and its shorthands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax._core import Declared, convert

__all__: list[str] = ["Precision"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


@public
def dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    dimension_numbers: tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]],
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Sum of products over contracting dimensions, for each index of the batch dimensions.

    `dimension_numbers` is ((lhs contracting, rhs contracting), (lhs batch, rhs batch)). The result has the batch
    dimensions, then the rest of lhs, then the rest of rhs. Float sums narrower than float32 are taken in float32.
    """
    a, b = lift(lhs), lift(rhs)
    dtype, weak = dtypes.promote((a.dtype, a.weak_type), (b.dtype, b.weak_type))
    a, b = (convert(a, dtype) if a.weak_type else a), (convert(b, dtype) if b.weak_type else b)
    (lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch) = dimension_numbers
    attrs = {
        "lhs_batch_dims": tuple(lhs_batch),
        "lhs_contracting_dims": tuple(lhs_contracting),
        "rhs_batch_dims": tuple(rhs_batch),
        "rhs_contracting_dims": tuple(rhs_contracting),
    }
    if precision is not None:
        words = (precision, precision) if isinstance(precision, str) or not isinstance(precision, tuple) else precision
        attrs["operand_precision"] = tuple(str(getattr(w, "name", w)).lower() for w in words)
    if preferred_element_type is None and a.dtype != b.dtype:
        raise shape_error(
            f"dot_general: the operands are of types {a.dtype.name} and {b.dtype.name}; they must be equal, or give "
            "preferred_element_type"
        )
    result = a.dtype if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    free = [n for d, n in enumerate(a.shape) if d not in (*lhs_batch, *lhs_contracting)]
    free += [n for d, n in enumerate(b.shape) if d not in (*rhs_batch, *rhs_contracting)]
    shape = ArrayShape(element_type(result), (*(a.shape[d] for d in lhs_batch), *free))
    return emit(op.dot, a, b, shape=shape, weak=weak, **attrs)


@public
def dot(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Product of vectors and matrices."""
    a, b = lift(lhs), lift(rhs)
    if a.ndim not in (1, 2) or b.ndim not in (1, 2):
        raise shape_error(
            f"dot: the operands are of shapes {list(a.shape)} and {list(b.shape)}; they must be vectors or matrices"
        )
    return dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())), precision, preferred_element_type)


@public
def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Matrix product for each index of the leading dimensions."""
    a, b = lift(lhs), lift(rhs)
    batch = tuple(range(a.ndim - 2))
    return dot_general(a, b, (((a.ndim - 1,), (b.ndim - 2,)), (batch, batch)), precision)


class Precision:
    """How exact products are; sums of float32 are always taken in float32."""

    DEFAULT, HIGH, HIGHEST = "default", "high", "highest"
