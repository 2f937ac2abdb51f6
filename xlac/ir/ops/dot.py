"""dot: the general tensor contraction."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INTS, WORD, WORDS, opcode
from xlac.ir.ops.elementwise import convert_values, quiet, require_array, wrap
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import C64, C128, F64, ArrayShape, ElementType, Shape, element_type


def _dot_shape(
    lhs: Shape,
    rhs: Shape,
    *,
    shape: Shape | None = None,
    lhs_batch_dims: tuple[int, ...],
    lhs_contracting_dims: tuple[int, ...],
    rhs_batch_dims: tuple[int, ...],
    rhs_contracting_dims: tuple[int, ...],
    **_: Any,
) -> ArrayShape:
    x, y = require_array("dot", 0, lhs), require_array("dot", 1, rhs)
    for side, operand, batch, contracting in (
        ("lhs", x, lhs_batch_dims, lhs_contracting_dims),
        ("rhs", y, rhs_batch_dims, rhs_contracting_dims),
    ):
        check_dims("dot", f"{side} batch and contracting dimensions ", batch + contracting, operand.rank)
    for what, left, right in (
        ("batch", lhs_batch_dims, rhs_batch_dims),
        ("contracting", lhs_contracting_dims, rhs_contracting_dims),
    ):
        if len(left) != len(right):
            raise ShapeError(f"dot: {len(left)} lhs but {len(right)} rhs {what} dimensions; the numbers must be equal")
        for i, j in zip(left, right):
            if x.dims[i] != y.dims[j]:
                raise ShapeError(
                    f"dot: {what} dimension {i} of operand 0, {x}, is {x.dims[i]} but dimension {j} of operand 1, {y}, "
                    f"is {y.dims[j]}; they must be equal"
                )
    dims = (
        *(x.dims[d] for d in lhs_batch_dims),
        *(n for d, n in enumerate(x.dims) if d not in lhs_batch_dims + lhs_contracting_dims),
        *(n for d, n in enumerate(y.dims) if d not in rhs_batch_dims + rhs_contracting_dims),
    )
    if isinstance(shape, ArrayShape):
        if shape.dims != dims:
            raise ShapeError(f"dot: the result is {shape} but the operands, {x} and {y}, give dimensions {list(dims)}")
        return shape
    return ArrayShape(wider(x.element_type, y.element_type), dims)


def matmul_form(
    x: np.ndarray, y: np.ndarray, batch: tuple, contracting: tuple, rhs_batch: tuple, rhs_contracting: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Both operands as [batch, m, k] and [batch, k, n]."""
    rows = [d for d in range(x.ndim) if d not in batch + contracting]
    columns = [d for d in range(y.ndim) if d not in rhs_batch + rhs_contracting]
    b = math.prod(x.shape[d] for d in batch)
    k = math.prod(x.shape[d] for d in contracting)
    m, n = math.prod(x.shape[d] for d in rows), math.prod(y.shape[d] for d in columns)
    return (
        x.transpose([*batch, *rows, *contracting]).reshape(b, m, k),
        y.transpose([*rhs_batch, *rhs_contracting, *columns]).reshape(b, k, n),
    )


# Which kinds of numbers hold more than others.
_HOLDS = {"p": 0, "s": 1, "u": 1, "f": 2, "c": 3}


def wider(x: ElementType, y: ElementType) -> ElementType:
    """The type of a product of two types where none is given: the one that holds more, as in XLA."""
    return max(x, y, key=lambda r: (_HOLDS[r.kind], r.bits))


def between(row: ElementType, *operands: ElementType) -> ElementType:
    """The type a product is rounded to before it becomes one of `row`: another where that holds less than an operand.

    So integers of floats are products of floats, rounded once, and predicates of integers are sums that are not zero.
    """
    return functools.reduce(wider, (r for r in operands if _HOLDS[r.kind] > _HOLDS[row.kind]), row)


def accumulator(row: ElementType) -> ElementType:
    """The type sums are kept in before they are rounded to `row`: the widest float or complex type."""
    return F64 if row.is_float else C128 if row.is_complex else row


def _dot(
    x: np.ndarray,
    y: np.ndarray,
    *,
    shape: ArrayShape,
    lhs_batch_dims: tuple[int, ...],
    lhs_contracting_dims: tuple[int, ...],
    rhs_batch_dims: tuple[int, ...],
    rhs_contracting_dims: tuple[int, ...],
    **_: Any,
) -> np.ndarray:
    """Integers are summed in the result's type, c64 in that type in order, as is usual; other sums are rounded once."""
    result = between(shape.element_type, element_type(x.dtype), element_type(y.dtype))
    wide = accumulator(result)
    a, b = matmul_form(x, y, lhs_batch_dims, lhs_contracting_dims, rhs_batch_dims, rhs_contracting_dims)
    if result.kind == "p":
        product = np.matmul(a.astype(np.int64), b.astype(np.int64)) != 0
    elif result.is_integer and result.bits < 8:
        product = wrap(np.matmul(a.astype(np.int64), b.astype(np.int64)), result)
    elif result is C64:
        a, b = convert_values(a, C64), convert_values(b, C64)
        product = np.zeros((a.shape[0], a.shape[1], b.shape[2]), np.complex64)
        for k in range(a.shape[2]):
            product += a[:, :, k, np.newaxis] * b[:, k, np.newaxis, :]
    else:
        product = np.matmul(convert_values(a, wide), convert_values(b, wide))
    return convert_values(convert_values(product.reshape(shape.dims), result), shape.element_type)


opcode(
    "dot",
    arity=2,
    attrs={
        "lhs_batch_dims": INTS.optional(()),
        "lhs_contracting_dims": INTS.optional(()),
        "rhs_batch_dims": INTS.optional(()),
        "rhs_contracting_dims": INTS.optional(()),
        "operand_precision": WORDS.optional(()),
        "algorithm": WORD.optional(None),
    },
    shape=_dot_shape,
    evaluate=quiet(_dot),
    declared=True,
)
