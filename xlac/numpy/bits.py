"""Bits and bytes in `xlac.numpy`: packbits, unpackbits."""

from __future__ import annotations

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.lax.operands import expand
from xlac.numpy import elementwise
from xlac.numpy._core import as_tracer, normalize_axis, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _order(name: str, bitorder: str) -> np.ndarray:
    if bitorder not in ("big", "little"):
        raise trace.shape_error(f"{name}: bitorder={bitorder!r}; it must be 'big' or 'little'")
    shifts = np.arange(8, dtype=np.uint8)
    return shifts[::-1].copy() if bitorder == "big" else shifts


@_public
def packbits(a: ArrayLike, axis: int | None = None, bitorder: str = "big") -> Array:
    """Eight truth values along an axis (of the flat array, without one) as the bits of a byte."""
    x = elementwise.truth(as_tracer(a))
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "packbits")
    n = x.shape[axis]
    x = lax.convert_element_type(x, np.uint8)
    x = lax.pad(x, np.uint8(0), [(0, -n % 8 if d == axis else 0, 0) for d in range(x.ndim)])
    shape = (*x.shape[:axis], -(-n // 8), 8, *x.shape[axis + 1 :])
    shifts = expand(trace.lift(_order("packbits", bitorder)), shape, (axis + 1,))
    return lax.reduce_or(lax.shift_left(lax.reshape(x, shape), shifts), (axis + 1,))


@_public
def unpackbits(a: ArrayLike, axis: int | None = None, count: int | None = None, bitorder: str = "big") -> Array:
    """The bits of bytes along an axis (of the flat array, without one): `count` of them, or all but the last -count."""
    x = as_tracer(a)
    if x.dtype != np.uint8:
        raise trace.shape_error(f"unpackbits: an array of type {x.dtype.name}; it must be uint8")
    if axis is None:
        x, axis = lax.reshape(x, (x.size,)), 0
    axis = normalize_axis(axis, x.ndim, "unpackbits")
    shape = (*x.shape[: axis + 1], 8, *x.shape[axis + 1 :])
    wide = expand(x, shape, [d for d in range(x.ndim + 1) if d != axis + 1])
    shifts = expand(trace.lift(_order("unpackbits", bitorder)), shape, (axis + 1,))
    bits = lax.bitwise_and(lax.shift_right_logical(wide, shifts), lax.full_like(wide, 1))
    n = x.shape[axis] * 8
    bits = lax.reshape(bits, (*x.shape[:axis], n, *x.shape[axis + 1 :]))
    if count is None:
        return bits
    wanted = n + count if count < 0 else count
    cut = [(0, wanted - n if d == axis else 0, 0) for d in range(bits.ndim)]
    return lax.pad(bits, np.uint8(0), cut)
