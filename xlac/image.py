"""`xlac.image`: arrays resampled to other sizes, with the methods and signatures of `jax.image`."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.errors import ShapeError
from xlac.frontend.eager import Array, ArrayLike, array_function

__all__ = ["ResizeMethod", "resize", "scale_and_translate"]


class ResizeMethod(enum.Enum):
    """How values between the samples are found; `from_string` takes the names in small letters as well."""

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4
    CUBIC_PYTORCH = 5
    AREA = 6

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        names = {
            "bilinear": "linear",
            "trilinear": "linear",
            "triangle": "linear",
            "bicubic": "cubic",
            "tricubic": "cubic",
        }
        name = names.get(s, s.replace("bicubic-", "cubic-").replace("-", "_")).upper()
        if name not in ResizeMethod.__members__:
            raise ShapeError(
                f"method is {s!r}; it must be nearest, linear, cubic, cubic-pytorch, area, lanczos3 or lanczos5"
            )
        return ResizeMethod[name]


def _method(method: Any) -> ResizeMethod:
    return method if isinstance(method, ResizeMethod) else ResizeMethod.from_string(method)


def _triangle(x: Any) -> Any:
    return xnp.maximum(0, 1 - x)


def _lanczos(radius: float) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        y = radius * xnp.sin(math.pi * x) * xnp.sin(math.pi * x / radius)
        inside = xnp.where(x > 1e-3, y / xnp.where(x != 0, math.pi**2 * x**2, 1), 1)
        return xnp.where(x > radius, 0, inside)

    return kernel


def _cubic(a: float) -> Callable[[Any], Any]:
    """Keys' cubic."""

    def kernel(x: Any) -> Any:
        near = (((a + 2) * x - (a + 3)) * x) * x + 1
        far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
        return xnp.where(x >= 2, 0, xnp.where(x >= 1, far, near))

    return kernel


_KERNELS: dict[ResizeMethod, Callable[[Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.LANCZOS3: _lanczos(3.0),
    ResizeMethod.LANCZOS5: _lanczos(5.0),
    ResizeMethod.CUBIC: _cubic(-0.5),
    ResizeMethod.CUBIC_PYTORCH: _cubic(-0.75),
}


def _weights(size: int, made: int, scale: Any, translation: Any, kind: ResizeMethod, antialias: bool) -> Any:
    """The matrix [size, made] that resamples one dimension; samples from outside of the image are zero.

    The cubic of PyTorch without antialiasing is another one, and repeats the edge outside.
    """
    if kind is ResizeMethod.CUBIC_PYTORCH and antialias:
        kind = ResizeMethod.CUBIC
    beyond = 2 if kind is ResizeMethod.CUBIC_PYTORCH else 0
    step = 1 / scale
    width = xnp.maximum(step, 1) if antialias else 1.0
    at = (xnp.arange(made, dtype=step.dtype) + 0.5) * step - translation * step - 0.5
    apart = xnp.abs(at[None, :] - xnp.arange(-beyond, size + beyond, dtype=step.dtype)[:, None])
    if kind is ResizeMethod.AREA:
        # How much of each pixel the result's covers.
        weights = xnp.clip((step + 1) / 2 - apart, 0, xnp.minimum(step, 1))
    else:
        weights = _KERNELS[kind](apart / width)
    if beyond:
        edges = [weights[:beyond].sum(0), weights[size + beyond :].sum(0)]
        weights = weights[beyond : size + beyond].at[0].add(edges[0]).at[-1].add(edges[1])
    total = xnp.sum(weights, axis=0, keepdims=True)
    some = xnp.abs(total) > 1000 * float(np.finfo(np.float32).eps)
    weights = xnp.where(some, weights / xnp.where(total != 0, total, 1), 0)
    return xnp.where(((at >= -0.5) & (at <= size - 0.5))[None, :], weights, 0)


def _resampled(
    x: Any, shape: Sequence[int], dims: Sequence[int], scale: Any, translation: Any, kind: ResizeMethod,
    antialias: bool, precision: Any,
) -> Any:  # fmt: skip
    for i, d in enumerate(dims):
        w = _weights(x.shape[d], shape[d], scale[i], translation[i], kind, antialias).astype(x.dtype)
        made = lax.dot_general(x, w, (((d,), (0,)), ((), ())), precision=precision)
        x = xnp.moveaxis(made, -1, d)
    return x


def _shape(name: str, image: Any, shape: Sequence[int]) -> tuple[int, ...]:
    dims = tuple(int(d) for d in shape)
    if len(dims) != image.ndim:
        raise ShapeError(f"{name}: shape has {len(dims)} dimensions; the image has {image.ndim}, {list(image.shape)}")
    return dims


def _floats(image: Any) -> Any:
    return image if xnp.issubdtype(image.dtype, xnp.inexact) else image.astype(xnp.result_type(image.dtype, np.float32))


@array_function
def scale_and_translate(
    image: ArrayLike,
    shape: Sequence[int],
    spatial_dims: Sequence[int],
    scale: ArrayLike,
    translation: ArrayLike,
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = lax.Precision.HIGHEST,
) -> Array:
    """The image with its place x at x * scale + translation of the result, along each of the spatial dimensions.

    Args:
      shape: of the result; equal to the image's but for the spatial dimensions.
      spatial_dims: the dimensions that are resampled.
      scale, translation: one number for each of them.
      method: linear, cubic, cubic-pytorch, area, lanczos3 or lanczos5.
      antialias: whether the kernel becomes wider where the image becomes smaller.

    Raises:
      ShapeError: the shape does not fit, or the method is "nearest".
    """
    x = _floats(xnp.asarray(image))
    dims = _shape("scale_and_translate", x, shape)
    kind = _method(method)
    if kind is ResizeMethod.NEAREST:
        raise ShapeError("scale_and_translate: method is nearest, which it does not have; use resize")
    at = [d % x.ndim for d in spatial_dims]
    other = [d for d in range(x.ndim) if d not in at and dims[d] != x.shape[d]]
    if other:
        raise ShapeError(f"scale_and_translate: shape differs in dimension {other[0]}, which is no spatial one")
    scale, translation = (_floats(xnp.asarray(v)) for v in (scale, translation))
    return _resampled(x, dims, at, scale, translation, kind, antialias, precision)


@array_function
def resize(
    image: ArrayLike,
    shape: Sequence[int],
    method: str | ResizeMethod,
    antialias: bool = True,
    precision: Any = lax.Precision.HIGHEST,
) -> Array:
    """The image in another size.

    Args:
      shape: of the result, with as many dimensions as the image.
      method: nearest, linear (bilinear, trilinear, triangle), cubic (bicubic, tricubic),
        cubic-pytorch, area, lanczos3 or lanczos5.
      antialias: whether the kernel becomes wider where the image becomes smaller.

    Raises:
      ShapeError: the shape does not fit.
    """
    x = xnp.asarray(image)
    dims = _shape("resize", x, shape)
    kind = _method(method)
    changed = [d for d in range(x.ndim) if dims[d] != x.shape[d]]
    if kind is ResizeMethod.NEAREST:
        for d in changed:
            # In float32, as the places at which JAX rounds.
            places = np.floor((np.arange(dims[d], dtype=np.float32) + np.float32(0.5)) * x.shape[d] / dims[d])
            x = xnp.take(x, places.astype(np.int32), axis=d, mode="clip")
        return x
    x = _floats(x)
    kept = xnp.float64 if x.dtype.itemsize // (2 if x.dtype.kind == "c" else 1) == 8 else xnp.float32
    scale = [xnp.asarray(dims[d] / x.shape[d] if dims[d] else 1.0, kept) for d in changed]
    return _resampled(x, dims, changed, scale, [0.0] * len(changed), kind, antialias, precision)
