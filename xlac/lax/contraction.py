"""Products: dot_general and its shorthands."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error, shown
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.operands import Declared, convert

__all__: list[str] = ["DotAlgorithm", "DotAlgorithmPreset", "Precision", "PrecisionLike", "RaggedDotDimensionNumbers"]
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
    words = operand_precision("dot_general", precision)
    if words:
        attrs["operand_precision"] = words
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
def dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    *,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Product of vectors and matrices; with `dimension_numbers`, that of `dot_general`."""
    a, b = lift(lhs), lift(rhs)
    if dimension_numbers is not None:
        return dot_general(a, b, dimension_numbers, precision, preferred_element_type)
    if a.ndim not in (1, 2) or b.ndim not in (1, 2):
        raise shape_error(
            f"dot: the operands are of shapes {shown(a)} and {shown(b)}; they must be vectors or matrices"
        )
    return dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())), precision, preferred_element_type)


class RaggedDotDimensionNumbers(NamedTuple):
    """What `ragged_dot_general` multiplies.

    Attributes:
      dot_dimension_numbers: as of `dot_general`.
      lhs_ragged_dimensions: the one dimension of lhs that is divided into groups.
      rhs_group_dimensions: where the rows are divided, the one dimension of rhs that counts the groups; else none.
    """

    dot_dimension_numbers: Any
    lhs_ragged_dimensions: Sequence[int]
    rhs_group_dimensions: Sequence[int]


@public
def ragged_dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    group_sizes: ArrayLike,
    ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: ArrayLike | None = None,
) -> Array:
    """A product for each group of places of one dimension of lhs, of which `group_sizes` tells how many each has.

    Where the ragged dimension is one of the rows, each group meets a matrix of its own; rows of no group give 0. Where
    it is contracted, the result has a matrix for each group, in front.

    Raises:
      ShapeError: shapes, types or dimension numbers do not fit, or `group_offset` is given, which has no meaning yet.
    """
    if group_offset is not None:
        raise shape_error("ragged_dot: group_offset must be None")
    a, b, sizes = lift(lhs), lift(rhs), lift(group_sizes)
    numbers = ragged_dot_dimension_numbers
    (a_contracting, b_contracting), (a_batch, b_batch) = numbers.dot_dimension_numbers
    if a.dtype != b.dtype and preferred_element_type is None:
        raise shape_error(
            f"ragged_dot: the operands are of types {a.dtype.name} and {b.dtype.name}; they must be equal, or give "
            "preferred_element_type"
        )
    dtype = a.dtype if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    (ragged,), groups = tuple(numbers.lhs_ragged_dimensions), tuple(numbers.rhs_group_dimensions)
    dims = [a.shape[d] for d in a_batch]
    dims += [n for d, n in enumerate(a.shape) if d not in (*a_batch, *a_contracting)]
    dims += [n for d, n in enumerate(b.shape) if d not in (*b_batch, *b_contracting, *groups)]
    if ragged in tuple(a_contracting):
        dims = [*sizes.shape, *dims]
    return emit(
        op.ragged_dot, a, b, sizes, shape=ArrayShape(element_type(dtype), tuple(dims)),
        lhs_batch_dims=tuple(a_batch), lhs_contracting_dims=tuple(a_contracting), rhs_batch_dims=tuple(b_batch),
        rhs_contracting_dims=tuple(b_contracting), lhs_ragged_dims=(ragged,), rhs_group_dims=groups,
    )  # fmt: skip


@public
def ragged_dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    group_sizes: ArrayLike,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: ArrayLike | None = None,
) -> Array:
    """Rows of lhs [m, k] times the matrix of their group, of rhs [groups, k, n].

    Group g has the next group_sizes[g] rows; rows of no group give 0.
    """
    numbers = RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))
    return ragged_dot_general(lhs, rhs, group_sizes, numbers, precision, preferred_element_type, group_offset)


@public
def scaled_dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    *,
    lhs_scale: ArrayLike | None = None,
    rhs_scale: ArrayLike | None = None,
    dimension_numbers: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """The product of operands that are multiplied by scales first, each scale serving a block of elements.

    Args:
      lhs_scale, rhs_scale: of extents that divide those of the operands; 1 without them.
      dimension_numbers: as of `dot_general`; by default matrix products for all leading dimensions.
      preferred_element_type: the result's type, bfloat16 by default.

    Raises:
      ShapeError: extents do not divide, or the operands do not fit.
    """
    a, b = lift(lhs), lift(rhs)
    if dimension_numbers is None:
        if a.ndim < 2:
            raise shape_error(f"scaled_dot: lhs is of shape {shown(a)}; it must have at least two dimensions")
        batch = tuple(range(a.ndim - 2))
        dimension_numbers = (((a.ndim - 1,), (a.ndim - 2,)), (batch, batch))
    (a_contracting, b_contracting), (a_batch, b_batch) = dimension_numbers
    scales = [lift(np.ones((), np.float32)) if s is None else lift(s) for s in (lhs_scale, rhs_scale)]
    dtype = dtypes.as_dtype("bfloat16" if preferred_element_type is None else preferred_element_type)
    dims = [a.shape[d] for d in a_batch]
    dims += [n for d, n in enumerate(a.shape) if d not in (*a_batch, *a_contracting)]
    dims += [n for d, n in enumerate(b.shape) if d not in (*b_batch, *b_contracting)]
    return emit(
        op.scaled_dot, a, b, *scales, shape=ArrayShape(element_type(dtype), tuple(dims)),
        lhs_batch_dims=tuple(a_batch), lhs_contracting_dims=tuple(a_contracting), rhs_batch_dims=tuple(b_batch),
        rhs_contracting_dims=tuple(b_contracting),
    )  # fmt: skip


@public
def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Matrix product for each index of the leading dimensions."""
    a, b = lift(lhs), lift(rhs)
    batch = tuple(range(a.ndim - 2))
    return dot_general(a, b, (((a.ndim - 1,), (b.ndim - 2,)), (batch, batch)), precision)


class Precision(enum.Enum):
    """How exact products are asked to be; sums of float32 are always taken in float32."""

    DEFAULT, HIGH, HIGHEST = "default", "high", "highest"


@dataclass(frozen=True)
class DotAlgorithm:
    """How a device may take products apart; every one asks for no more than the operands' own type, which is used."""

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


DotAlgorithmPreset = enum.Enum(  # type: ignore[misc]
    "DotAlgorithmPreset",
    "DEFAULT ANY_F8_ANY_F8_F32 ANY_F8_ANY_F8_F32_FAST_ACCUM ANY_F8_ANY_F8_ANY ANY_F8_ANY_F8_ANY_FAST_ACCUM F16_F16_F16 "
    "F16_F16_F32 BF16_BF16_BF16 BF16_BF16_F32 BF16_BF16_F32_X3 BF16_BF16_F32_X6 BF16_BF16_F32_X9 TF32_TF32_F32 "
    "TF32_TF32_F32_X3 F32_F32_F32 F64_F64_F64",
    module=__name__,
)
DotAlgorithmPreset.__doc__ = "Names of `DotAlgorithm`s."
PrecisionLike = Any

_WORDS = {word.value: word.value for word in Precision} | {
    "fastest": "default",
    "bfloat16": "default",
    "bfloat16_3x": "high",
    "tensorfloat32": "high",
    "float32": "highest",
}


def operand_precision(name: str, precision: Any) -> tuple[str, ...]:
    """HLO's words for a `precision` argument, one for each operand; none for None and for algorithms.

    Raises:
      ShapeError: it is, or holds, something else than a `Precision` or its name in JAX, or a `DotAlgorithm`.
    """
    if precision is None or isinstance(precision, (DotAlgorithm, DotAlgorithmPreset)):
        return ()
    if isinstance(precision, str) and precision.upper() in DotAlgorithmPreset.__members__.keys() - {"DEFAULT"}:
        return ()
    words = tuple(precision) if isinstance(precision, (tuple, list)) else (precision, precision)
    texts = ["default" if w is None else str(getattr(w, "value", w)).lower() for w in words]
    found = [_WORDS.get(text) for text in texts]
    if len(found) != 2 or None in found:
        raise shape_error(
            f"{name}: precision={precision!r}; it must be None, a lax.Precision, one of {', '.join(_WORDS)}, a pair of "
            "those, or a lax.DotAlgorithm"
        )
    return tuple(map(str, found))
