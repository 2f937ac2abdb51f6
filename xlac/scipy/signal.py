"""`xlac.scipy.signal`: convolution and correlation of any number of dimensions, and spectra."""

from __future__ import annotations

from typing import Any

from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error, shown
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, fft
from xlac.numpy._core import as_tracer
from xlac.scipy import _spectral
from xlac.scipy._spectral import *  # noqa: F403

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "fftconvolve", *_spectral.__all__]


def _convolved(name: str, in1: Any, in2: Any, mode: str) -> Tracer:
    """By one convolution opcode of the second array, reversed."""
    x, y = _core.promote_inexact(in1, in2)
    if x.ndim != y.ndim:
        raise shape_error(f"{name}: arrays {shown(x)} and {shown(y)}; they need as many dimensions")
    if mode not in ("full", "same", "valid"):
        raise shape_error(f"{name}: mode={mode!r}; it must be full, same or valid")
    if mode == "valid" and any(m < n for m, n in zip(x.shape, y.shape)):
        x, y = y, x
    pads = {
        "full": [(n - 1, n - 1) for n in y.shape],
        "same": [(n - 1 - (n - 1) // 2, (n - 1) // 2) for n in y.shape],
        "valid": [(0, 0)] * y.ndim,
    }[mode]
    kernel = lax.rev(y, range(y.ndim))
    made = lax.conv_general_dilated(
        lax.reshape(x, (1, 1, *x.shape)), lax.reshape(kernel, (1, 1, *kernel.shape)), (1,) * x.ndim, pads
    )
    return lax.reshape(made, made.shape[2:])


@array_function
def convolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """Convolution; mode is "full", "same" (the first array's shape) or "valid"."""
    return _convolved("convolve", in1, in2, mode)


@array_function
def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full", axes: Any = None) -> Array:
    """As `convolve`, by Fourier transforms; over all axes."""
    if axes is not None:
        raise shape_error("fftconvolve: axes= is not supported; all axes are convolved")
    x, y = _core.promote_inexact(in1, in2)
    if x.ndim != y.ndim:
        raise shape_error(f"fftconvolve: arrays {shown(x)} and {shown(y)}; they need as many "
                          "dimensions")  # fmt: skip
    sizes = [m + n - 1 for m, n in zip(x.shape, y.shape)]
    if dtypes.is_complex(x.dtype):
        made = fft.ifftn(lax.mul(fft.fftn(x, sizes), fft.fftn(y, sizes)))
    else:
        made = fft.irfftn(lax.mul(fft.rfftn(x, sizes), fft.rfftn(y, sizes)), sizes)
    if mode == "full":
        return made
    if mode == "same":
        starts, shape = [(n - 1) // 2 for n in y.shape], x.shape
    elif mode == "valid":
        starts = [min(m, n) - 1 for m, n in zip(x.shape, y.shape)]
        shape = tuple(abs(m - n) + 1 for m, n in zip(x.shape, y.shape))
    else:
        raise shape_error(f"fftconvolve: mode={mode!r}; it must be full, same or valid")
    return lax.slice(made, starts, [s + n for s, n in zip(starts, shape)])


@array_function
def correlate(in1: ArrayLike, in2: ArrayLike, mode: str = "full", method: str = "auto", precision: Any = None) -> Array:
    """Correlation: `convolve` with the second array reversed and conjugated."""
    y = _core.inexact(in2)
    return _convolved("correlate", in1, lax.rev(lax.conj(y), range(y.ndim)), mode)


def _plain_boundary(name: str, boundary: str, fillvalue: Any) -> None:
    if boundary != "fill" or fillvalue != 0:
        raise shape_error(f"{name}: boundary={boundary!r} with fillvalue={fillvalue}; only 'fill' with 0 is supported")


@array_function
def convolve2d(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", boundary: str = "fill", fillvalue: float = 0,
    precision: Any = None,
) -> Array:  # fmt: skip
    """Convolution of matrices."""
    _plain_boundary("convolve2d", boundary, fillvalue)
    return _convolved("convolve2d", in1, in2, mode)


@array_function
def correlate2d(
    in1: ArrayLike, in2: ArrayLike, mode: str = "full", boundary: str = "fill", fillvalue: float = 0,
    precision: Any = None,
) -> Array:  # fmt: skip
    """Correlation of matrices."""
    _plain_boundary("correlate2d", boundary, fillvalue)
    if mode != "same":
        return correlate(in1, in2, mode)
    # Of a second array with an even extent the centre is the later one of the middle two.
    flipped = _convolved("correlate2d", lax.rev(as_tracer(in1), (0, 1)), lax.conj(_core.inexact(in2)), mode)
    return lax.rev(flipped, (0, 1))
