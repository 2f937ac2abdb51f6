"""cholesky and triangular-solve as blocked loops of matrix products.

Each works on one batch dimension and lower triangles; other forms are brought to that. Blocks on the diagonal are done
row by row and all else by products of matrices, of which the triangular ones' inverses on the diagonal are factors.
"""

from __future__ import annotations

import math

import numpy as np

from xlac.ir.module import Instruction, Module
from xlac.ir.shape import F32, S32, ElementType
from xlac.passes.expand.build import Array, complex_, expand, full, iota, loop

# Rows of a block: enough for products to pay, few enough for the rest not to matter.
BLOCK = 32


def expand_linalg(module: Module) -> bool:
    """Replace cholesky and triangular-solve by loops of matrix products; return whether there were any."""
    return expand(module, {"cholesky": _cholesky, "triangular-solve": _triangular_solve})


def _wide(x: Array) -> Array:
    return x.convert(F32) if x.type.is_float and x.type.bits < 32 else x


def batched(x: Array) -> Array:
    """[..., m, n] as [batch, m, n]."""
    return x.reshape(math.prod(x.dims[:-2]), *x.dims[-2:])


def adjoint(x: Array) -> Array:
    return x.transpose(0, 2, 1).conj()


def row_and_column(dims: tuple[int, ...]) -> tuple[Array, Array]:
    """The row and the column of each element."""
    return iota(S32, dims, len(dims) - 2), iota(S32, dims, len(dims) - 1)


def eye(element_type: ElementType, dims: tuple[int, ...]) -> Array:
    rows, columns = row_and_column(dims)
    return rows.compare("EQ", columns).select(full(element_type, 1, dims), full(element_type, 0, dims))


def _padded(x: Array, size: int) -> Array:
    """[batch, n, n] as [batch, size, size], with ones on the diagonal of what is new."""
    n = x.dims[-1]
    if n == size:
        return x
    wide = x.pad(0, size - n, size - n)
    rows, _ = row_and_column(wide.dims)
    return rows.compare("GE", n).select(eye(x.type, wide.dims), wide)


def _divided(x: Array, by: Array) -> Array:
    """`x`, which may be complex, over real numbers."""
    return complex_(x.real() / by, x.imag() / by) if x.type.is_complex else x / by


# ---- cholesky


def _cholesky(x: Instruction) -> Instruction | None:
    given = Array(x.operands[0])
    a = _wide(given)
    if not a.shape.size:
        return given.node
    a = batched(a)
    factor = with_nans(cholesky_factor(adjoint(a) if x["lower"] else a))
    result = adjoint(factor) if x["lower"] else factor
    return result.reshape(*x.dims).convert(given.type).node


def cholesky_factor(a: Array) -> Array:
    """U with U* U = a, from the upper triangle; from the first pivot on that is not positive, NaN.

    Rows of U are made from those above, since rows are contiguous.
    """
    batch, n, _ = a.dims
    if n <= 2 * BLOCK:
        return _factor_rows(a)
    size = -(-n // BLOCK) * BLOCK
    a = _padded(a, size)
    columns = iota(S32, (batch, BLOCK, size), 2)

    def body(k: Array, factor: Array, a: Array) -> list[Array]:
        at = k * BLOCK
        above = factor.dynamic_slice((0, 0, at), (batch, size, BLOCK)).conj()
        rest = a.dynamic_slice((0, at, 0), (batch, BLOCK, size)) - above.dot(factor, ((1,), (1,)), ((0,), (0,)))
        corner = _factor_rows(rest.dynamic_slice((0, 0, at), (batch, BLOCK, BLOCK)))
        inverse = solve_rows(adjoint(corner), eye(a.type, corner.dims))
        rows = inverse.dot(rest, ((2,), (1,)), ((0,), (0,)))
        rows = columns.compare("LT", at.broadcast(columns.dims, ())).select(0, rows)
        return [factor.dynamic_update(rows.dynamic_update(corner, (0, 0, at)), (0, at, 0))]

    (factor,) = loop("cholesky", size // BLOCK, [full(a.type, 0, a.dims)], body, [a])
    return factor.slice(1, 0, n).slice(2, 0, n)


def _factor_rows(a: Array) -> Array:
    """`cholesky_factor`, one row after the other."""
    batch, n, _ = a.dims
    real = a.type.real

    def body(j: Array, factor: Array, a: Array) -> list[Array]:
        above = factor.dynamic_slice((0, 0, j), (batch, n, 1)).reshape(batch, n).conj()
        row = a.dynamic_slice((0, j, 0), (batch, 1, n)).reshape(batch, n)
        rest = row - above.dot(factor, ((1,), (1,)), ((0,), (0,)))
        pivot = rest.dynamic_slice((0, j), (batch, 1)).reshape(batch).real()
        root = pivot.compare("GT", 0).select(pivot.apply("sqrt"), np.nan).broadcast((batch, n), (0,))
        places = iota(S32, (batch, n), 1)
        here = j.broadcast((batch, n), ())
        diagonal = complex_(root, full(real, 0, (batch, n))) if a.type.is_complex else root
        right = places.compare("GT", here).select(_divided(rest, root), 0)
        made = places.compare("EQ", here).select(diagonal, right)
        return [factor.dynamic_update(made.reshape(batch, 1, n), (0, j, 0))]

    (factor,) = loop("cholesky_rows", n, [full(a.type, 0, a.dims)], body, [a])
    return factor


def bad_pivots(factor: Array) -> Array:
    """Which pivots [batch, n] are NaN: from the first bad one on, all."""
    rows, columns = row_and_column(factor.dims)
    diagonal = rows.compare("EQ", columns).select(factor.real(), full(factor.type.real, 0, factor.dims)).sum(2)
    return diagonal.compare("NE", diagonal)


def with_nans(factor: Array) -> Array:
    """NaN throughout for each matrix that has a bad pivot."""
    n = factor.dims[-1]
    bad = bad_pivots(factor).slice(1, n - 1, n).reshape(factor.dims[0]).broadcast(factor.dims, (0,))
    nan = complex(np.nan, np.nan) if factor.type.is_complex else np.nan
    return bad.select(full(factor.type, nan, factor.dims), factor)


# ---- triangular-solve


def _triangular_solve(x: Instruction) -> Instruction | None:
    solved = triangular_solve(
        Array(x.operands[0]),
        Array(x.operands[1]),
        left_side=x["left_side"],
        lower=x["lower"],
        unit_diagonal=x["unit_diagonal"],
        transpose_a=x["transpose_a"],
    )
    return solved.node


def triangular_solve(
    a: Array, b: Array, *, left_side: bool, lower: bool, unit_diagonal: bool, transpose_a: str
) -> Array:
    """x with op(a) x = b, or x op(a) = b; see the opcode."""
    dims, element_type = b.dims, b.type
    if not b.shape.size:
        return b
    a, b = batched(_wide(a)), batched(_wide(b))
    if transpose_a == "ADJOINT":
        a = a.conj()
    if transpose_a != "NO_TRANSPOSE":
        a, lower = a.transpose(0, 2, 1), not lower
    if not left_side:
        # x a = b is a^T x^T = b^T.
        a, b, lower = a.transpose(0, 2, 1), b.transpose(0, 2, 1), not lower
    if not lower:
        # Upper triangular systems become lower ones when rows and columns run backwards.
        a, b = a.reverse(1, 2), b.reverse(1)
    rows, columns = row_and_column(a.dims)
    a = rows.compare("GE", columns).select(a, 0)
    if unit_diagonal:
        a = rows.compare("EQ", columns).select(1, a)
    x = _solve(a, b)
    if not lower:
        x = x.reverse(1)
    if not left_side:
        x = x.transpose(0, 2, 1)
    return x.reshape(*dims).convert(element_type)


def _solve(a: Array, b: Array) -> Array:
    """x with a x = b for a [batch, n, n], zero above the diagonal."""
    batch, n, m = b.dims
    if n <= BLOCK:
        return solve_rows(a, b)
    size = -(-n // BLOCK) * BLOCK
    count = size // BLOCK
    a, b = _padded(a, size), b.pad(0, size - n, 0)
    # The blocks on the diagonal, their inverses, and the matrix without them.
    blocks = a.reshape(batch, count, BLOCK, count, BLOCK)
    own = iota(S32, blocks.dims, 1).compare("EQ", iota(S32, blocks.dims, 3))
    corners = own.select(blocks, 0).sum(3).reshape(batch * count, BLOCK, BLOCK)
    inverses = solve_rows(corners, eye(a.type, corners.dims)).reshape(batch, count, BLOCK, BLOCK)
    rest = own.select(0, blocks).reshape(batch, size, size)

    def body(k: Array, x: Array, rest: Array, b: Array, inverses: Array) -> list[Array]:
        at = k * BLOCK
        rows = rest.dynamic_slice((0, at, 0), (batch, BLOCK, size))
        left = b.dynamic_slice((0, at, 0), (batch, BLOCK, m)) - rows.dot(x, ((2,), (1,)), ((0,), (0,)))
        inverse = inverses.dynamic_slice((0, k, 0, 0), (batch, 1, BLOCK, BLOCK)).reshape(batch, BLOCK, BLOCK)
        return [x.dynamic_update(inverse.dot(left, ((2,), (1,)), ((0,), (0,))), (0, at, 0))]

    (x,) = loop("triangular_solve", count, [full(b.type, 0, b.dims)], body, [rest, b, inverses])
    return x.slice(1, 0, n)


def solve_rows(a: Array, b: Array) -> Array:
    """`_solve`, one row after the other."""
    batch, n, m = b.dims
    rows, columns = row_and_column(a.dims)
    diagonal = rows.compare("EQ", columns).select(a, 0).sum(2)
    below = rows.compare("GT", columns).select(a, 0)

    def body(i: Array, x: Array, below: Array, diagonal: Array, b: Array) -> list[Array]:
        row = below.dynamic_slice((0, i, 0), (batch, 1, n)).reshape(batch, n)
        pivot = diagonal.dynamic_slice((0, i), (batch, 1)).reshape(batch).broadcast((batch, m), (0,))
        left = b.dynamic_slice((0, i, 0), (batch, 1, m)).reshape(batch, m) - row.dot(x, ((1,), (1,)), ((0,), (0,)))
        return [x.dynamic_update((left / pivot).reshape(batch, 1, m), (0, i, 0))]

    (x,) = loop("solve_rows", n, [full(b.type, 0, b.dims)], body, [below, diagonal, b])
    return x
