"""How far apart two arrays are, and how far apart they may be for their type."""

from __future__ import annotations

import numpy as np

from xlac.ir.shape import element_type


def compare(got: np.ndarray, want: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where two arrays of one shape and type disagree, and the absolute difference of all elements.

    Integers and booleans must be equal; floats may differ by eps**(2/3) of the largest expected magnitude, which leaves
    room for another order of summation. NaNs are equal, and differ from all else by NaN.
    """
    row = element_type(want.dtype)
    if not row.is_inexact:
        # float64 is only for the report: equality is decided in the type itself.
        return got != want, np.abs(got.astype(np.float64) - want.astype(np.float64))
    import ml_dtypes

    eps = float(ml_dtypes.finfo(want.dtype).eps)
    wide = np.complex128 if row.is_complex else np.float64
    a, b = got.astype(wide), want.astype(wide)
    with np.errstate(all="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        error = np.where(equal, 0.0, np.abs(a - b))
        return ~(error <= eps ** (2 / 3) * magnitude(want)), error


def magnitude(array: np.ndarray) -> float:
    """The largest finite absolute value, 1 if there is none."""
    wide = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    finite = np.abs(wide[np.isfinite(wide)])
    return float(finite.max()) if finite.size else 1.0
