"""Spectra of signals by short Fourier transforms, for `xlac.scipy.signal`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error

__all__ = ["csd", "detrend", "istft", "stft", "welch"]

# Cosine windows: the coefficients of cos(2 pi k i / n), with alternating signs.
_COSINES = {
    "boxcar": (1.0,),
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
}


def _window(name: str, window: Any, size: int | None, longest: int) -> tuple[Any, int]:
    """A window and its length, at most that of the signal."""
    if isinstance(window, (str, tuple)):
        if window not in _COSINES:
            raise shape_error(f"{name}: window={window!r}; it must be an array or one of {', '.join(_COSINES)}")
        n = min(256 if size is None else int(size), longest)
        places = 2 * math.pi * np.arange(n) / n
        return sum((-1) ** k * c * np.cos(k * places) for k, c in enumerate(_COSINES[window])), n
    made = xnp.asarray(window)
    if made.ndim != 1 or made.shape[0] > longest or (size is not None and size != made.shape[0]):
        raise shape_error(
            f"{name}: the window is of shape {list(made.shape)}; it must be a vector of nperseg={size} elements, at "
            f"most as long as the signal, {longest}"
        )
    return made, made.shape[0]


def _lengths(name: str, n: int, overlap: int | None, transform: int | None) -> tuple[int, int]:
    overlap = n // 2 if overlap is None else int(overlap)
    transform = n if transform is None else int(transform)
    if overlap >= n or transform < n:
        raise shape_error(f"{name}: noverlap={overlap} must be less, and nfft={transform} not less, than nperseg={n}")
    return overlap, transform


def _floats(x: Any) -> Any:
    return x if xnp.issubdtype(x.dtype, xnp.inexact) else x.astype(np.float32)


def _rows(x: Any, n: int, step: int) -> Any:
    """The segments of n elements along the last axis, step by step."""
    count = (x.shape[-1] - n) // step + 1
    return x[..., np.arange(count)[:, None] * step + np.arange(n)[None, :]]


def _straightened(x: Any, kind: str, points: Sequence[int] = (0,)) -> Any:
    """The last axis without its mean, or without its straight line between break points."""
    if kind == "constant":
        return x - x.mean(-1, keepdims=True)
    n = x.shape[-1]
    ends = sorted({0, n, *points})
    parts = []
    for a, b in zip(ends[:-1], ends[1:]):
        line = np.stack([np.ones(b - a), np.arange(1, b - a + 1) / (b - a)], 1)
        # The projection on what the two columns span.
        basis = np.linalg.qr(line)[0].astype(xnp.finfo(x.dtype).dtype)
        part = x[..., a:b]
        parts.append(part - xnp.matmul(xnp.matmul(part, basis.astype(x.dtype)), basis.T.astype(x.dtype)))
    return xnp.concatenate(parts, -1)


@array_function
def detrend(data: ArrayLike, axis: int = -1, type: str = "linear", bp: Any = 0, overwrite_data: Any = None) -> Array:
    """The data without its line, or its mean for type "constant", along an axis; `bp` are where lines break."""
    if type not in ("linear", "constant"):
        raise shape_error(f"detrend: type={type!r}; it must be 'linear' or 'constant'")
    x = xnp.moveaxis(_floats(xnp.asarray(data)), axis, -1)
    points = [int(b) for b in np.atleast_1d(bp)]
    if any(not 0 <= b <= x.shape[-1] for b in points):
        raise shape_error(f"detrend: bp={bp}; break points must be within the data's {x.shape[-1]} elements")
    return xnp.moveaxis(_straightened(x, type, points), -1, axis)


def _spectra(x: Any, window: Any, overlap: int, transform: int, kind: Any, onesided: bool) -> Any:
    n = window.shape[0]
    rows = _rows(x, n, n - overlap)
    if kind:
        rows = _straightened(rows, "constant" if kind is True else kind)
    rows = rows * window
    return xnp.fft.rfft(rows, transform) if onesided else xnp.fft.fft(rows, transform)


def _frequencies(transform: int, fs: Any, onesided: bool, dtype: Any) -> Any:
    made = np.fft.rfftfreq(transform) if onesided else np.fft.fftfreq(transform)
    return xnp.asarray(made.astype(dtype)) * fs


def _median_bias(n: int) -> float:
    later = 2 * np.arange(1, (n - 1) // 2 + 1)
    return 1 + float(np.sum(1 / (later + 1) - 1 / later))


@array_function
def csd(
    x: ArrayLike, y: ArrayLike | None, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int | None = None,
    noverlap: int | None = None, nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True,
    scaling: str = "density", axis: int = -1, average: str = "mean",
) -> tuple[Array, Array]:  # fmt: skip
    """Frequencies and the cross power of two signals, by Welch's method: the average of that of their segments.

    Args:
      fs: samples in the unit of time.
      window: an array, or a name such as "hann".
      nperseg, noverlap, nfft: the length of a segment (256), of overlaps (half), and of transforms (that of a segment).
      detrend: "constant", "linear" or False: what is taken out of each segment.
      return_onesided: leave the negative frequencies of real signals out, and double the others.
      scaling: "density" for power by frequency, "spectrum" for power.
      average: "mean" or "median".
    """
    if scaling not in ("density", "spectrum") or average not in ("mean", "median"):
        raise shape_error(
            f"csd: scaling={scaling!r} must be 'density' or 'spectrum', and average={average!r} 'mean' or 'median'"
        )
    first = xnp.moveaxis(_floats(xnp.asarray(x)), axis, -1)
    second = first if y is None else xnp.moveaxis(_floats(xnp.asarray(y)), axis, -1)
    longest = max(first.shape[-1], second.shape[-1])
    first, second = (
        xnp.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, longest - v.shape[-1])]) if v.shape[-1] < longest else v
        for v in (first, second)
    )
    weights, n = _window("csd", window, nperseg, longest)
    overlap, transform = _lengths("csd", n, noverlap, nfft)
    kind = np.result_type(first.dtype, second.dtype)
    real = xnp.finfo(kind).dtype
    weights = xnp.asarray(weights).astype(real)
    onesided = return_onesided and kind.kind == "f"
    a = _spectra(first, weights, overlap, transform, detrend, onesided)
    b = a if y is None else _spectra(second, weights, overlap, transform, detrend, onesided)
    scale = 1 / (fs * xnp.sum(weights**2)) if scaling == "density" else 1 / xnp.sum(weights) ** 2
    power = xnp.conj(a) * b * scale
    if onesided:
        doubled = np.full(power.shape[-1], 2.0)
        doubled[0] = 1
        if transform % 2 == 0:
            doubled[-1] = 1
        power = power * doubled.astype(real)
    if average == "mean":
        power = power.mean(-2)
    else:
        count = power.shape[-2]
        middle = xnp.median(xnp.real(power), -2) + (0 if y is None else 1j * xnp.median(xnp.imag(power), -2))
        power = middle / _median_bias(count)
    power = xnp.moveaxis(xnp.real(power) if y is None else power, -1, axis)
    return _frequencies(transform, fs, onesided, real), power


@array_function
def welch(
    x: ArrayLike, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
    axis: int = -1, average: str = "mean",
) -> tuple[Array, Array]:  # fmt: skip
    """Frequencies and the power of a signal; see `csd`."""
    return csd.traced(x, None, fs, window, nperseg, noverlap, nfft, detrend, return_onesided, scaling, axis, average)


@array_function
def stft(
    x: ArrayLike, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int = 256, noverlap: int | None = None,
    nfft: int | None = None, detrend: Any = False, return_onesided: bool = True, boundary: str | None = "zeros",
    padded: bool = True, axis: int = -1,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """Frequencies, times and the Fourier transforms of a signal's segments, the times along the last axis.

    Args: as of `csd`; `boundary` "zeros" puts half a segment of zeros at both ends (also "even", "odd", "constant"),
      and `padded` fills the last segment up.
    """
    pads = {"zeros": ("constant", {}), "even": ("reflect", {}), "constant": ("edge", {}),
            "odd": ("reflect", {"reflect_type": "odd"})}  # fmt: skip
    a = xnp.moveaxis(_floats(xnp.asarray(x)), axis, -1)
    weights, n = _window("stft", window, nperseg, a.shape[-1])
    overlap, transform = _lengths("stft", n, noverlap, nfft)
    step = n - overlap
    if boundary is not None:
        if boundary not in pads:
            raise shape_error(f"stft: boundary={boundary!r}; it must be None or one of {', '.join(pads)}")
        mode, settings = pads[boundary]
        a = xnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(n // 2, n // 2)], mode=mode, **settings)
    if padded:
        a = xnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, -(a.shape[-1] - n) % step % n)])
    real = xnp.finfo(a.dtype).dtype
    weights = xnp.asarray(weights).astype(real)
    onesided = return_onesided and a.dtype.kind == "f"
    made = _spectra(a, weights, overlap, transform, detrend, onesided) / xnp.sum(weights)
    times = np.arange(n / 2, a.shape[-1] - n / 2 + 1, step) - (n / 2 if boundary is not None else 0)
    # Frequencies take the place of the signal's axis, times are last.
    made = xnp.moveaxis(made, -1, axis - 1 if axis < 0 else axis)
    return _frequencies(transform, fs, onesided, real), xnp.asarray(times.astype(real)) / fs, made


@array_function
def istft(
    Zxx: ArrayLike, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int | None = None, noverlap: int | None = None,
    nfft: int | None = None, input_onesided: bool = True, boundary: bool = True, time_axis: int = -1,
    freq_axis: int = -2,
) -> tuple[Array, Array]:  # fmt: skip
    """Times and the signal of which `stft` made the transforms, by overlapping segments added up."""
    z = xnp.asarray(Zxx)
    z = xnp.moveaxis(z, (time_axis, freq_axis), (-2, -1))
    bins = z.shape[-1]
    full = 2 * (bins - 1) if input_onesided else bins
    size = full if nperseg is None else int(nperseg)
    weights, n = _window("istft", window, size, size)
    overlap = n // 2 if noverlap is None else int(noverlap)
    transform = (full + 1 if input_onesided and n == full + 1 else full) if nfft is None else int(nfft)
    if overlap >= n or transform < n:
        raise shape_error(f"istft: noverlap={overlap} must be less, and nfft={transform} not less, than nperseg={n}")
    step = n - overlap
    rows = (xnp.fft.irfft(z, transform) if input_onesided else xnp.fft.ifft(z, transform))[..., :n]
    real = xnp.finfo(rows.dtype).dtype
    weights = xnp.asarray(weights).astype(real)
    count = rows.shape[-2]
    length = n + (count - 1) * step
    place = np.arange(count)[:, None] * step + np.arange(n)[None, :]
    signal = xnp.zeros((*rows.shape[:-2], length), rows.dtype).at[..., place].add(rows * weights * xnp.sum(weights))
    norm = xnp.zeros(length, real).at[place].add(xnp.broadcast_to(weights**2, place.shape))
    if boundary:
        signal, norm = signal[..., n // 2 : length - n // 2], norm[n // 2 : length - n // 2]
    signal = signal / xnp.where(norm > 1e-10, norm, 1)
    times = xnp.asarray(np.arange(signal.shape[-1]).astype(real)) / fs
    rank = z.ndim
    if rank > 2 and time_axis % rank != rank - 1:
        at = (time_axis if freq_axis % rank > time_axis % rank else time_axis - 1) % rank
        signal = xnp.moveaxis(signal, -1, at)
    return times, signal
