"""`xlac.numpy.linalg`: norms and products of matrices."""

from __future__ import annotations

from typing import Any

from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.numpy import elementwise, products, shaping
from xlac.numpy.products import cross, matmul, norm, outer, tensordot, vecdot
from xlac.numpy.shaping import diagonal, matrix_transpose, trace_

__all__ = [
    "cross",
    "diagonal",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

trace = trace_


@array_function
def vector_norm(x: ArrayLike, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Array:
    """Norm of vectors along an axis, or of all elements."""
    if axis is None:
        size = shaping.ndim(x)
        made = norm(shaping.ravel(x), ord, 0)
        return shaping.reshape(made, (1,) * size) if keepdims else made
    return norm(x, ord, axis, keepdims)


@array_function
def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """Norm of matrices in the last two dimensions."""
    return norm(x, ord, (-2, -1), keepdims)


@array_function
def matrix_power(a: ArrayLike, n: int) -> Array:
    """A square matrix to a power of at least 1, by repeated squaring."""
    from xlac.frontend.trace import shape_error

    if n < 1:
        raise shape_error(f"matrix_power: n={n}; it must be at least 1")
    result: Any = None
    base: Any = a
    while n:
        if n & 1:
            result = base if result is None else products.matmul(result, base)
        n >>= 1
        if n:
            base = products.matmul(base, base)
    return elementwise.positive(result)


@array_function
def multi_dot(arrays: list[ArrayLike], *, precision: Any = None) -> Array:
    """Product of several matrices, in the cheapest order."""
    n = len(arrays)
    letters = [chr(97 + i) for i in range(n + 1)]
    terms = [letters[i] + letters[i + 1] for i in range(n)]
    first, last = shaping.ndim(arrays[0]) == 1, shaping.ndim(arrays[-1]) == 1
    result = ("" if first else letters[0]) + ("" if last else letters[-1])
    terms[0] = letters[1] if first else terms[0]
    terms[-1] = letters[n - 1] if last else terms[-1]
    return products.einsum(",".join(terms) + "->" + result, *arrays, precision=precision)
