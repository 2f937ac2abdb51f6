"""fft: discrete Fourier transforms over the last one to three dimensions."""

from __future__ import annotations

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INTS, WORD, opcode
from xlac.ir.ops.elementwise import quiet, require_array
from xlac.ir.shape import C64, C128, F32, F64, ArrayShape, Shape

TYPES = ("FFT", "IFFT", "RFFT", "IRFFT")


def _fft_shape(x: Shape, *, fft_type: str, fft_length: tuple[int, ...]) -> ArrayShape:
    operand = require_array("fft", 0, x)
    if fft_type not in TYPES:
        raise ShapeError(f"fft: fft_type={fft_type}; it must be one of {', '.join(TYPES)}")
    n = len(fft_length)
    if not 1 <= n <= 3 or n > operand.rank:
        raise ShapeError(
            f"fft: {n} dimensions of operand 0, {operand}; it must be 1 to 3 and no more than the operand has"
        )
    wanted = (F32, F64) if fft_type == "RFFT" else (C64, C128)
    if operand.element_type not in wanted:
        raise ShapeError(f"fft: operand 0 is {operand}; {fft_type} takes {wanted[0]} or {wanted[1]}")
    have = operand.dims[-n:]
    half = (*fft_length[:-1], fft_length[-1] // 2 + 1 if fft_length[-1] else 0)
    need = half if fft_type == "IRFFT" else tuple(fft_length)
    if have != need:
        raise ShapeError(
            f"fft: operand 0 is {operand}; for {fft_type} of fft_length {list(fft_length)} its last dimensions must be "
            f"{list(need)}"
        )
    if fft_type == "RFFT":
        return ArrayShape(C64 if operand.element_type is F32 else C128, (*operand.dims[:-n], *half))
    if fft_type == "IRFFT":
        return ArrayShape(operand.element_type.real, (*operand.dims[:-n], *fft_length))
    return ArrayShape(operand.element_type, operand.dims)


def _fft(x: np.ndarray, *, fft_type: str, fft_length: tuple[int, ...]) -> np.ndarray:
    """Computed in double precision and rounded to the operand's."""
    single = x.dtype in (np.float32, np.complex64)
    real = fft_type == "IRFFT"
    dtype = np.dtype((np.float32 if real else np.complex64) if single else (np.float64 if real else np.complex128))
    n = len(fft_length)
    axes = tuple(range(x.ndim - n, x.ndim))
    dims = (*x.shape[:-n], *fft_length) if real else x.shape
    if fft_type == "RFFT":
        dims = (*x.shape[:-1], x.shape[-1] // 2 + 1 if x.shape[-1] else 0)
    if 0 in dims or x.size == 0:
        return np.zeros(dims, dtype)
    wide = x.astype(np.float64 if fft_type == "RFFT" else np.complex128)
    if fft_type == "RFFT":
        result = np.fft.rfftn(wide, fft_length, axes)
    elif fft_type == "IRFFT":
        result = np.fft.irfftn(wide, fft_length, axes)
    else:
        result = (np.fft.fftn if fft_type == "FFT" else np.fft.ifftn)(wide, axes=axes)
    return result.astype(dtype)


opcode("fft", arity=1, attrs={"fft_type": WORD, "fft_length": INTS}, shape=_fft_shape, evaluate=quiet(_fft))
