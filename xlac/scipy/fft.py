"""`xlac.scipy.fft`: cosine transforms, by Fourier transforms of the same length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function

__all__ = ["dct", "dctn", "idct", "idctn"]


def _checked(name: str, type: int, norm: str | None) -> None:
    if type not in (2, 3):
        raise ShapeError(f"{name}: type is {type}; it must be 2 or 3")
    if norm not in (None, "backward", "ortho"):
        raise ShapeError(f"{name}: norm is {norm!r}; it must be None, 'backward' or 'ortho'")


def _cut(x: Any, n: int | None, axis: int) -> Any:
    """The first n elements along the last axis, which is `axis` moved there; zeros are added where there are fewer."""
    x = xnp.moveaxis(x, axis, -1)
    if n is None or n == x.shape[-1]:
        return x
    if n < x.shape[-1]:
        return x[..., :n]
    return xnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, n - x.shape[-1])])


def _phases(n: int, dtype: Any) -> Any:
    """e^(-i pi k / 2n)."""
    return np.exp(-0.5j * math.pi * np.arange(n) / n).astype(np.result_type(dtype, np.complex64))


def _forward(x: Any, ortho: bool) -> Any:
    """2 sum x_j cos(pi k (2j + 1) / 2n) along the last axis: the even places ahead, the odd ones back."""
    n = x.shape[-1]
    turned = xnp.concatenate([x[..., ::2], x[..., 1::2][..., ::-1]], axis=-1)
    found = 2 * xnp.real(xnp.fft.fft(turned) * _phases(n, x.dtype))
    return found * _scale(n, x.dtype) if ortho else found


def _scale(n: int, dtype: Any) -> Any:
    factors = np.full(n, math.sqrt(1 / (2 * n)))
    factors[0] = math.sqrt(1 / (4 * n))
    return factors.astype(dtype)


def _backward(y: Any, ortho: bool) -> Any:
    """The inverse of `_forward`."""
    n = y.shape[-1]
    y = y / _scale(n, y.dtype) if ortho else y
    mirrored = xnp.concatenate([xnp.zeros_like(y[..., :1]), y[..., :0:-1]], axis=-1)
    turned = xnp.real(xnp.fft.ifft((y - 1j * mirrored) * np.conj(_phases(n, y.dtype)) / 2))
    half = (n + 1) // 2
    rows = xnp.zeros_like(turned)
    return rows.at[..., ::2].set(turned[..., :half]).at[..., 1::2].set(turned[..., half:][..., ::-1])


def _transformed(x: Any, type: int, n: int | None, axis: int, norm: str | None, inverse: bool) -> Any:
    a = xnp.asarray(x)
    if a.dtype.kind == "c":
        raise ShapeError(f"a cosine transform of {a.dtype.name}; it must be real")
    a = _cut(a if a.dtype.kind == "f" else a.astype(np.float32), n, axis)
    size, ortho = a.shape[-1], norm == "ortho"
    # Type 3 is the inverse of type 2, but for a factor without "ortho".
    if (type == 2) != inverse:
        made = _forward(a, ortho)
        factor = 1.0 if type == 2 or ortho else 1 / (2 * size)
    else:
        made = _backward(a, ortho)
        factor = 1.0 if type == 2 or ortho else float(2 * size)
    return xnp.moveaxis(made * factor if factor != 1.0 else made, -1, axis)


@array_function
def dct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The cosine transform of type 2 or 3 along an axis, of its first n elements."""
    _checked("dct", type, norm)
    return _transformed(x, type, n, axis, norm, False)


@array_function
def idct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `dct`."""
    _checked("idct", type, norm)
    return _transformed(x, type, n, axis, norm, True)


def _many(name: str, x: Any, type: int, s: Any, axes: Any, norm: str | None, inverse: bool) -> Any:
    _checked(name, type, norm)
    a = xnp.asarray(x)
    if axes is None:
        axes = range(a.ndim) if s is None else range(a.ndim - len(s), a.ndim)
    sizes = [None] * len(axes) if s is None else list(s)
    if len(sizes) != len(axes):
        raise ShapeError(f"{name}: s has {len(sizes)} sizes for {len(axes)} axes")
    for axis, n in zip(axes, sizes):
        a = _transformed(a, type, n, axis, norm, inverse)
    return a


@array_function
def dctn(
    x: ArrayLike, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Array:  # fmt: skip
    """`dct` along several axes, by default all."""
    return _many("dctn", x, type, s, axes, norm, False)


@array_function
def idctn(
    x: ArrayLike, type: int = 2, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
    norm: str | None = None,
) -> Array:  # fmt: skip
    """The inverse of `dctn`."""
    return _many("idctn", x, type, s, axes, norm, True)
