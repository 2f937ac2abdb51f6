"""`xlac.numpy.fft`: discrete Fourier transforms over any axes.

Results of float32 are complex64, of float64 complex128; integers are taken as the default float type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, Axis, made
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, elementwise, shaping
from xlac.numpy._core import as_tracer, normalize_axes, normalize_axis, public_names
from xlac.numpy.types import check_device

__all__: list[str] = []
_public = public_names(__all__)


_NORMS = (None, "backward", "ortho", "forward")


def _operand(name: str, a: Any, complex_: bool) -> Tracer:
    x = _core.inexact(a)
    if x.dtype.itemsize < 4:
        x = lax.convert_element_type(x, np.float32)
    if complex_ and not dtypes.is_complex(x.dtype):
        x = lax.convert_element_type(x, np.result_type(x.dtype, np.complex64))
    if not complex_ and dtypes.is_complex(x.dtype):
        raise trace.shape_error(f"{name}: an array of type {x.dtype.name}; it must be real")
    return x


def _fitted(name: str, x: Tracer, n: int, axis: int) -> Tracer:
    """Cut off or filled with zeros along an axis."""
    if n < 1:
        raise trace.shape_error(f"{name}: a length of {n}; it must be at least 1")
    if x.shape[axis] == n:
        return x
    return lax.pad(x, np.zeros((), x.dtype), [(0, n - x.shape[axis] if d == axis else 0, 0) for d in range(x.ndim)])


def _scale(name: str, x: Tracer, count: int, norm: str | None, inverse: bool) -> Tracer:
    """`lax.fft` scales inverse transforms by 1 / count; `norm` may move the factor or share it."""
    if norm not in _NORMS:
        raise ValueError(f"{name}: norm={norm!r}; it must be backward, ortho or forward")
    if norm in (None, "backward"):
        return x
    if norm == "ortho":
        factor = math.sqrt(count) if inverse else 1 / math.sqrt(count)
    else:
        factor = float(count) if inverse else 1 / count
    return lax.mul(x, lax.full_like(x, factor))


def _swap_norm(norm: str | None) -> str | None:
    return {None: "forward", "backward": "forward", "forward": "backward"}.get(norm, norm)


def _transform(name: str, a: Any, n: Any, axes: Sequence[int], norm: Any, kind: str) -> Tracer:
    """A transform over axes; a real one treats the last of them."""
    x = _operand(name, a, kind != "RFFT")
    axes = [normalize_axis(d, x.ndim, name) for d in axes]
    if not axes:
        return x
    lengths = [x.shape[d] for d in axes]
    if kind == "IRFFT":
        lengths[-1] = 2 * (lengths[-1] - 1)
    if n is not None:
        lengths = [own if given is None or given == -1 else int(given) for own, given in zip(lengths, n)]
    for d, length in zip(axes[:-1], lengths[:-1]):
        x = _fitted(name, x, length, d)
    last = lengths[-1] // 2 + 1 if kind == "IRFFT" else lengths[-1]
    x = _fitted(name, x, last, axes[-1])
    if lengths[-1] < 1:
        raise trace.shape_error(f"{name}: a length of {lengths[-1]}; it must be at least 1")
    inverse = kind.startswith("I")
    if len(set(axes)) != len(axes) or len(axes) > 3:
        # One axis after another; a real transform has its real side last of the inverse, first of the forward ones.
        steps = list(zip(axes, lengths))
        plain = "IFFT" if inverse else "FFT"
        if kind == "RFFT":
            x = _along(x, [steps[-1][0]], [steps[-1][1]], "RFFT")
            steps, real_last = steps[:-1], None
        else:
            real_last = steps.pop() if kind == "IRFFT" else None
        for d, length in reversed(steps):
            x = _along(x, [d], [length], plain)
        if real_last is not None:
            x = _along(x, [real_last[0]], [real_last[1]], "IRFFT")
    else:
        x = _along(x, axes, lengths, kind)
    return _scale(name, x, math.prod(lengths), norm, inverse)


def _along(x: Tracer, axes: Sequence[int], lengths: Sequence[int], kind: str) -> Tracer:
    order = [d for d in range(x.ndim) if d not in axes] + list(axes)
    made = lax.fft(lax.transpose(x, order), kind, tuple(lengths))
    return lax.transpose(made, [int(d) for d in np.argsort(order)])


def _one(name: str, kind: str, what: str) -> Any:
    def call(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
        return _transform(name, a, None if n is None else [n], [axis], norm, kind)

    call.__name__ = call.__qualname__ = name
    call.__module__, call.__doc__ = __name__, what
    return _public(call)


fft = _one("fft", "FFT", "Discrete Fourier transform along an axis.")
ifft = _one("ifft", "IFFT", "The inverse of `fft`.")
rfft = _one("rfft", "RFFT", "`fft` of real numbers: the first half of the symmetric result.")
irfft = _one("irfft", "IRFFT", "The inverse of `rfft`; n is the length of the result, by default 2 (m - 1).")


def _axes(name: str, a: Any, s: Any, axes: Any) -> Sequence[int]:
    ndim = as_tracer(a).ndim
    if axes is None:
        return range(-len(s), 0) if s is not None else range(ndim)
    axes = list(axes)
    if s is not None and len(s) != len(axes):
        raise trace.shape_error(f"{name}: {len(s)} lengths for {len(axes)} axes")
    return axes


def _several(name: str, kind: str, what: str) -> Any:
    def call(
        a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
    ) -> Array:
        return _transform(name, a, s, _axes(name, a, s, axes), norm, kind)

    call.__name__ = call.__qualname__ = name
    call.__module__, call.__doc__ = __name__, what
    return _public(call)


def _two(name: str, kind: str, what: str) -> Any:
    def call(
        a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: str | None = None
    ) -> Array:
        return _transform(name, a, s, _axes(name, a, s, axes), norm, kind)

    call.__name__ = call.__qualname__ = name
    call.__module__, call.__doc__ = __name__, what
    return _public(call)


fftn = _several("fftn", "FFT", "Discrete Fourier transform over axes, by default all.")
ifftn = _several("ifftn", "IFFT", "The inverse of `fftn`.")
rfftn = _several("rfftn", "RFFT", "`fftn` of real numbers: the first half along the last axis.")
irfftn = _several("irfftn", "IRFFT", "The inverse of `rfftn`.")
fft2 = _two("fft2", "FFT", "`fftn` over two axes.")
ifft2 = _two("ifft2", "IFFT", "The inverse of `fft2`.")
rfft2 = _two("rfft2", "RFFT", "`rfftn` over two axes.")
irfft2 = _two("irfft2", "IRFFT", "The inverse of `rfft2`.")


@_public
def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """`fft` of a signal whose other half is the conjugate of this one: real numbers."""
    x = _operand("hfft", a, True)
    return _transform("hfft", lax.conj(x), None if n is None else [n], [axis], _swap_norm(norm), "IRFFT")


@_public
def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: str | None = None) -> Array:
    """The inverse of `hfft`."""
    return lax.conj(_transform("ihfft", a, None if n is None else [n], [axis], _swap_norm(norm), "RFFT"))


@_public
def fftshift(x: ArrayLike, axes: Axis = None) -> Array:
    """Frequency zero moved to the middle."""
    a = as_tracer(x)
    places = normalize_axes(axes, a.ndim, "fftshift")
    return shaping.roll(a, tuple(a.shape[d] // 2 for d in places), places)


@_public
def ifftshift(x: ArrayLike, axes: Axis = None) -> Array:
    """The inverse of `fftshift`."""
    a = as_tracer(x)
    places = normalize_axes(axes, a.ndim, "ifftshift")
    return shaping.roll(a, tuple(-(a.shape[d] // 2) for d in places), places)


def _frequencies(name: str, numbers: np.ndarray, n: int, d: Any, dtype: Any, device: Any) -> Any:
    check_device(device)
    kind = dtypes.default_float() if dtype is None else dtypes.as_dtype(dtype)
    if not dtypes.is_float(kind):
        raise ValueError(f"{name}: dtype={kind.name}; it must be a float type")
    if isinstance(d, Tracer):
        return elementwise.true_divide(numbers.astype(kind), elementwise.multiply(d, float(n)))
    result = (numbers / (n * d)).astype(kind)
    return made(result)


def fftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `fft`'s results, for samples at distances d."""
    n = n.__index__()
    numbers = np.concatenate([np.arange((n - 1) // 2 + 1), np.arange(-(n // 2), 0)])
    return _frequencies("fftfreq", numbers, n, d, dtype, device)


def rfftfreq(n: int, d: Any = 1.0, *, dtype: Any = None, device: Any = None) -> Any:
    """The frequencies of `rfft`'s results, for samples at distances d."""
    n = n.__index__()
    return _frequencies("rfftfreq", np.arange(n // 2 + 1), n, d, dtype, device)


__all__ += ["fftfreq", "rfftfreq"]
