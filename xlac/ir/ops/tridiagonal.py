"""Tridiagonal systems by elimination with row exchanges, all systems of a batch at a time.

The algorithms are those of LAPACK's xGTSV, and of xLAGTF with xLAGTS where small pivots are perturbed.
"""

from __future__ import annotations

import numpy as np


def solve(lower: np.ndarray, main: np.ndarray, upper: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x of the systems, and info [...]: the 1-based place of the first zero pivot, or 0.

    Args:
      lower: [..., n], the first element not read.
      main: [..., n].
      upper: [..., n], the last element not read.
      b: right sides [..., n, m]; x is NaN where info is not 0.
    """
    u, x = _eliminate(lower, main, upper, b, scaled=False)
    zero = u[0] == 0
    info = np.zeros(zero.shape[:-1], np.int32)
    if zero.size:
        info[...] = np.where(zero.any(-1), np.argmax(zero, -1) + 1, 0)
    for k in reversed(range(main.shape[-1])):
        x[..., k, :] = _remaining(u, x, k) / u[0, ..., k, None]
    x[info != 0] = np.nan
    return x, info


def solve_perturbed(lower: np.ndarray, main: np.ndarray, upper: np.ndarray, b: np.ndarray) -> np.ndarray:
    """As `solve`, x alone, but pivots so small that a quotient overflows grow by eps times the largest element of U."""
    u, x = _eliminate(lower, main, upper, b, scaled=True)
    n = main.shape[-1]
    # As in the kernel of this name: elements of the first row before any exchange, of rows that two follow, and the
    # last pivot.
    counted = [np.abs(main[..., :1]), np.abs(u[0, ..., n - 1 :])]
    counted += [np.abs(upper[..., : min(1, n - 1)]), *np.abs(u[..., : max(n - 2, 0)])]
    perturb = np.finfo(main.dtype).eps * np.fmax.reduce(np.concatenate(counted, -1), -1, initial=0)
    for k in reversed(range(n)):
        pivot, row = _safe_pivot(u[0, ..., k], _remaining(u, x, k), perturb)
        # A lone row is divided; other rows are multiplied by the reciprocal.
        x[..., k, :] = row / pivot[..., None] if n == 1 else row * (1 / pivot)[..., None]
    return x


def _remaining(u: np.ndarray, x: np.ndarray, k: int) -> np.ndarray:
    """Row k of the right sides less what the unknowns after it contribute."""
    row = x[..., k, :]
    for distance in range(1, min(3, x.shape[-2] - k)):
        row = row - u[distance, ..., k, None] * x[..., k + distance, :]
    return row


def _eliminate(
    lower: np.ndarray, main: np.ndarray, upper: np.ndarray, b: np.ndarray, scaled: bool
) -> tuple[np.ndarray, np.ndarray]:
    """U's diagonal and the two above it [3, ..., n], and the right sides after the same steps.

    Rows are exchanged where the next one's element is the larger; `scaled` compares them relative to their rows.
    """
    n = main.shape[-1]
    u = np.zeros((3, *main.shape), main.dtype)
    x = np.array(b)
    u[0] = main
    u[1, ..., : n - 1] = upper[..., : n - 1]
    # LAPACK's size of a complex number that it compares unscaled is that of its parts.
    size = np.abs if scaled or main.dtype.kind != "c" else lambda z: np.abs(z.real) + np.abs(z.imag)
    scale = size(u[0, ..., 0]) + size(u[1, ..., 0]) if n else None
    for k in range(n - 1):
        below = lower[..., k + 1]
        here, next_ = size(u[0, ..., k]), size(below)
        next_scale = next_ + size(main[..., k + 1]) + size(u[1, ..., k + 1])
        if scaled:
            here, next_ = np.where(here == 0, 0, here / scale), next_ / next_scale
        swap = (next_ > here) & (below != 0)
        factor = np.where(swap, u[0, ..., k], below) / np.where(swap, below, u[0, ..., k])
        # The two rows from column k on, the one that stays first.
        first = (np.where(swap, below, u[0, ..., k]), np.where(swap, main[..., k + 1], u[1, ..., k]))
        second = np.where(swap, u[1, ..., k], main[..., k + 1])
        after = u[1, ..., k + 1].copy()
        u[0, ..., k], u[1, ..., k] = first
        u[2, ..., k] = np.where(swap, after, 0)
        # Where there is nothing to eliminate, zeros keep their signs and infinities do not spread.
        nothing = below == 0
        u[0, ..., k + 1] = np.where(nothing, second, second - factor * first[1])
        u[1, ..., k + 1] = np.where(swap, -factor * after, after)
        here, next_ = x[..., k, :].copy(), x[..., k + 1, :].copy()
        x[..., k, :] = np.where(swap[..., None], next_, here)
        moved = np.where(swap[..., None], here, next_)
        x[..., k + 1, :] = np.where(nothing[..., None], moved, moved - factor[..., None] * x[..., k, :])
        scale = np.where(swap, size(u[0, ..., k + 1]) + size(u[1, ..., k + 1]), next_scale)
    return u, x


def _safe_pivot(pivot: np.ndarray, row: np.ndarray, perturb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pivots [...] and rows [..., m] of which neither the quotients nor the pivots' reciprocals overflow."""
    real = pivot.real.dtype
    least = np.finfo(real).tiny
    most = 1 / least
    largest = np.abs(row).max(-1, initial=0)
    perturb = np.copysign(np.maximum(perturb, least), pivot.real)
    active = np.abs(pivot) < 1
    while active.any():
        size = np.abs(pivot)
        small = size < least
        active &= size < 1
        grow = active & np.where(small, (size == 0) | (largest * least > size), largest > size * most)
        scale = active & small & ~grow
        pivot = np.where(scale, pivot * most, np.where(grow, pivot + perturb, pivot))
        row = np.where(scale[..., None], row * most, row)
        perturb = np.where(grow, perturb * 2, perturb)
        active = grow
    return pivot, row
