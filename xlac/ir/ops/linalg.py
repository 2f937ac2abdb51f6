"""cholesky and triangular-solve on batches of matrices."""

from __future__ import annotations

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import BOOL, WORD, opcode
from xlac.ir.ops.elementwise import is_narrow, quiet, require_array, require_kind
from xlac.ir.shape import ArrayShape, Shape

TRANSPOSES = ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT")


def adjoint(a: np.ndarray) -> np.ndarray:
    """The conjugate transpose of the last two dimensions."""
    return np.conj(np.swapaxes(a, -1, -2)) if a.dtype.kind == "c" else np.swapaxes(a, -1, -2)


def _require_square(name: str, index: int, shape: ArrayShape) -> None:
    require_kind(name, index, shape, "fc")
    if shape.rank < 2 or shape.dims[-1] != shape.dims[-2]:
        raise ShapeError(f"{name}: operand {index} is {shape}; its last two dimensions must be equal")


def _cholesky_shape(a: Shape, *, lower: bool) -> ArrayShape:
    operand = require_array("cholesky", 0, a)
    _require_square("cholesky", 0, operand)
    return ArrayShape(operand.element_type, operand.dims)


def cholesky_factor(a: np.ndarray) -> np.ndarray:
    """L with L L* = a, from the lower triangle of a [..., n, n]; zero above it, NaN where a is not positive."""
    n = a.shape[-1]
    factor = np.zeros_like(a)
    good = np.ones(a.shape[:-2], bool)
    for j in range(n):
        row = factor[..., j, :j]
        pivot = a[..., j, j].real - np.sum((row * np.conj(row)).real, axis=-1)
        good &= pivot > 0
        root = np.sqrt(pivot)
        factor[..., j, j] = root
        if j + 1 < n:
            below = a[..., j + 1 :, j] - np.matmul(factor[..., j + 1 :, :j], np.conj(row)[..., None])[..., 0]
            factor[..., j + 1 :, j] = below / root[..., None]
    if not good.all():
        factor[~good] = np.nan
    return factor


def _cholesky(a: np.ndarray, *, lower: bool) -> np.ndarray:
    wide = a.astype(np.float32) if is_narrow(a.dtype) else a
    factor = cholesky_factor(wide if lower else adjoint(wide))
    return (factor if lower else adjoint(factor)).astype(a.dtype)


opcode(
    "cholesky",
    arity=1,
    attrs={"lower": BOOL.optional(False)},
    shape=_cholesky_shape,
    evaluate=quiet(_cholesky),
)


def _triangular_solve_shape(
    a: Shape, b: Shape, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str
) -> ArrayShape:
    name = "triangular-solve"
    matrix, right = require_array(name, 0, a), require_array(name, 1, b)
    _require_square(name, 0, matrix)
    if matrix.element_type is not right.element_type:
        raise ShapeError(f"{name}: operand 1 is {right} but operand 0 is {matrix}; the element types must be equal")
    if transpose_a not in TRANSPOSES:
        raise ShapeError(f"{name}: transpose_a={transpose_a}; it must be one of {', '.join(TRANSPOSES)}")
    axis = -2 if left_side else -1
    if right.rank != matrix.rank or right.dims[:-2] != matrix.dims[:-2] or right.dims[axis] != matrix.dims[-1]:
        raise ShapeError(
            f"{name}: operand 1 is {right} but operand 0 is {matrix}; the leading dimensions must be equal, and the "
            f"{'second last' if left_side else 'last'} of operand 1 must be {matrix.dims[-1]}"
        )
    return ArrayShape(right.element_type, right.dims)


def solve_lower(a: np.ndarray, b: np.ndarray, unit_diagonal: bool) -> np.ndarray:
    """x with a x = b, a [..., n, n] lower triangular (the rest is not read), b [..., n, m]; forward substitution."""
    x = np.array(b)
    for i in range(a.shape[-1]):
        if i:
            x[..., i, :] -= np.matmul(a[..., i : i + 1, :i], x[..., :i, :])[..., 0, :]
        if not unit_diagonal:
            x[..., i, :] /= a[..., i, i, None]
    return x


def triangular_solve(
    a: np.ndarray, b: np.ndarray, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str
) -> np.ndarray:
    """op(a) x = b, or x op(a) = b; op is the identity, the transpose or the conjugate transpose; batched."""
    dtype = b.dtype
    if is_narrow(dtype):
        a, b = a.astype(np.float32), b.astype(np.float32)
    if transpose_a == "ADJOINT":
        a = np.conj(a)
    if transpose_a != "NO_TRANSPOSE":
        a, lower = np.swapaxes(a, -1, -2), not lower
    if not left_side:
        # x a = b is a^T x^T = b^T.
        a, b, lower = np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2), not lower
    if lower:
        x = solve_lower(a, b, unit_diagonal)
    else:
        # Upper triangular systems become lower ones when rows and columns run backwards.
        x = solve_lower(a[..., ::-1, ::-1], b[..., ::-1, :], unit_diagonal)[..., ::-1, :]
    return (x if left_side else np.swapaxes(x, -1, -2)).astype(dtype)


opcode(
    "triangular-solve",
    arity=2,
    attrs={
        "left_side": BOOL.optional(False),
        "lower": BOOL.optional(False),
        "unit_diagonal": BOOL.optional(False),
        "transpose_a": WORD.optional("NO_TRANSPOSE"),
    },
    shape=_triangular_solve_shape,
    evaluate=quiet(triangular_solve),
)
