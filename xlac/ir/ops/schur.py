"""Factorisations of single matrices by Householder reflections: Hessenberg, tridiagonal and Schur forms, pivoted QR.

Reflections are H = I - tau v v*, v beginning with 1, as LAPACK's: H* x is real and zero but for its first element. The
algorithms are those of Golub and Van Loan, Matrix Computations, 4th edition: 5.4.2 (pivoting), 7.4.2 (Hessenberg),
7.5.1 and 7.5.2 (Francis' double shifts).
"""

from __future__ import annotations

import math

import numpy as np

# Steps for one eigenvalue after which the iteration is taken not to converge.
MAX_STEPS = 60


def reflector(x: np.ndarray) -> tuple[float, complex, np.ndarray]:
    """beta, tau and v with (I - tau v v*)* x = beta e_1, beta real and v[0] = 1."""
    alpha, rest = x[0], np.linalg.norm(x[1:])
    v = np.array(x)
    v[0] = 1
    if rest == 0 and alpha.imag == 0:
        v[1:] = 0
        return alpha.real, 0.0, v
    beta = -math.copysign(math.hypot(abs(alpha), rest), alpha.real)
    v[1:] = x[1:] / (alpha - beta)
    tau = (beta - alpha) / beta
    return beta, tau if np.iscomplexobj(x) else tau.real, v


def hessenberg(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Hessenberg form of a matrix [n, n] with the vectors v below its first subdiagonal, and their tau [n - 1]."""
    n = a.shape[-1]
    h, taus = np.array(a), np.zeros(max(n - 1, 0), a.dtype)
    for k in range(n - 1):
        beta, tau, v = reflector(h[k + 1 :, k])
        h[k + 1 :, k + 1 :] -= np.conj(tau) * np.outer(v, np.conj(v) @ h[k + 1 :, k + 1 :])
        h[:, k + 1 :] -= tau * np.outer(h[:, k + 1 :] @ v, np.conj(v))
        h[k + 1, k], h[k + 2 :, k], taus[k] = beta, v[1:], tau
    return h, taus


def accumulate(packed: np.ndarray, taus: np.ndarray, below: int = 0) -> np.ndarray:
    """H(1) H(2) ... as a square matrix, from the vectors that start `below` rows under the diagonal."""
    m = packed.shape[0]
    q = np.eye(m, dtype=packed.dtype)
    for k in reversed(range(len(taus))):
        v = np.concatenate([np.ones(1, packed.dtype), packed[k + below + 1 :, k]])
        q[k + below :] -= taus[k] * np.outer(v, np.conj(v) @ q[k + below :])
    return q


def tridiagonal(a: np.ndarray, lower: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The packed form, diagonal, off-diagonal and taus of a Hermitian matrix, of which one triangle is read."""
    if not lower:
        packed, d, e, taus = tridiagonal(a[::-1, ::-1], True)
        return packed[::-1, ::-1], d[::-1], e[::-1], taus[::-1]
    below = np.tril(a, -1)
    packed, taus = hessenberg(below + np.conj(below.T) + np.diag(np.diag(a).real).astype(a.dtype))
    return np.tril(packed) + np.triu(a, 1), np.diag(packed).real, np.diag(packed, -1).real, taus


def pivoted_qr(a: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R and the vectors of A P = Q R, the columns' old places (from 1), and tau.

    Columns that `first` marks come first, in their order; of the others, the longest remainder comes next.
    """
    m, n = a.shape
    order = np.concatenate([np.flatnonzero(first), np.flatnonzero(first == 0)])
    fixed = int(np.count_nonzero(first))
    packed, taus = np.array(a[:, order]), np.zeros(min(m, n), a.dtype)
    for k in range(min(m, n)):
        if k >= fixed:
            longest = k + int(np.argmax(np.linalg.norm(packed[k:, k:], axis=0)))
            packed[:, [k, longest]] = packed[:, [longest, k]]
            order[[k, longest]] = order[[longest, k]]
        beta, tau, v = reflector(packed[k:, k])
        packed[k:, k + 1 :] -= np.conj(tau) * np.outer(v, np.conj(v) @ packed[k:, k + 1 :])
        packed[k, k], packed[k + 1 :, k], taus[k] = beta, v[1:], tau
    return packed, order + 1, taus


def schur(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """T and Q with a = Q T Q*, and 0 or the number of eigenvalues that did not converge.

    T is upper triangular; that of a real matrix has 2 by 2 blocks for complex pairs.
    """
    packed, taus = hessenberg(a)
    t, q = np.triu(packed, -1), accumulate(packed, taus, 1)
    step = _complex_step if np.iscomplexobj(a) else _francis_step
    high, steps = a.shape[-1] - 1, 0
    while high > 0:
        for k in range(1, high + 1):
            if abs(t[k, k - 1]) <= np.finfo(a.dtype).eps * (abs(t[k, k]) + abs(t[k - 1, k - 1])):
                t[k, k - 1] = 0
        low = high
        while low > 0 and t[low, low - 1] != 0:
            low -= 1
        if low == high:
            high, steps = high - 1, 0
        elif low == high - 1 and not np.iscomplexobj(a):
            _standardize(t, q, low)
            high, steps = high - 2, 0
        elif steps == MAX_STEPS:
            return t, q, high + 1
        else:
            steps += 1
            step(t, q, low, high, exceptional=steps % 10 == 0)
    return t, q, 0


def _reflect(t: np.ndarray, q: np.ndarray, at: int, x: np.ndarray) -> None:
    """Apply the similarity that maps x, at rows at ..., to a multiple of the first unit vector."""
    _, tau, v = reflector(x)
    rows = slice(at, at + len(x))
    t[rows] -= np.conj(tau) * np.outer(v, np.conj(v) @ t[rows])
    t[:, rows] -= tau * np.outer(t[:, rows] @ v, np.conj(v))
    q[:, rows] -= tau * np.outer(q[:, rows] @ v, np.conj(v))


def _francis_step(t: np.ndarray, q: np.ndarray, low: int, high: int, exceptional: bool) -> None:
    """One implicit step with both eigenvalues of the last 2 by 2 block as shifts."""
    trace = t[high - 1, high - 1] + t[high, high]
    determinant = t[high - 1, high - 1] * t[high, high] - t[high - 1, high] * t[high, high - 1]
    if exceptional:
        size = abs(t[high, high - 1]) + abs(t[high - 1, high - 2])
        trace, determinant = 1.5 * size, size * size
    x = np.array(
        [
            t[low, low] * (t[low, low] - trace) + t[low, low + 1] * t[low + 1, low] + determinant,
            t[low + 1, low] * (t[low, low] + t[low + 1, low + 1] - trace),
            t[low + 1, low] * t[low + 2, low + 1],
        ],
        t.dtype,
    )
    for k in range(low, high):
        _reflect(t, q, k, x[: high - k + 1])
        if k > low:
            t[k + 1 : min(k + 3, high + 1), k - 1] = 0
        x = np.array(t[k + 1 : min(k + 4, high + 1), k])


def _complex_step(t: np.ndarray, q: np.ndarray, low: int, high: int, exceptional: bool) -> None:
    """One implicit step with the eigenvalue of the last 2 by 2 block that is nearer to its last element as shift."""
    block = t[high - 1 : high + 1, high - 1 : high + 1]
    values = np.linalg.eigvals(block)
    shift = values[np.argmin(abs(values - block[1, 1]))]
    if exceptional:
        shift = abs(t[high, high - 1]) + block[1, 1]
    x = np.array([t[low, low] - shift, t[low + 1, low]], t.dtype)
    for k in range(low, high):
        _reflect(t, q, k, x)
        if k > low:
            t[k + 1, k - 1] = 0
        if k + 2 <= high:
            x = np.array(t[k + 1 : k + 3, k])


def _standardize(t: np.ndarray, q: np.ndarray, k: int) -> None:
    """Rotate the block at k: to a triangle if its eigenvalues are real, else until its diagonal elements are equal."""
    a, b, c, d = t[k, k], t[k, k + 1], t[k + 1, k], t[k + 1, k + 1]
    half = (a - d) / 2
    square = half * half + b * c
    if square >= 0:
        # (value - d, c) is an eigenvector of the value further from d.
        x = np.array([half + math.copysign(math.sqrt(square), half), c], t.dtype)
    else:
        # By an angle with tan(2 angle) = (d - a) / (b + c), which makes both diagonal elements their mean.
        angle = 0.5 * math.atan2(a - d, b + c) if a != d else 0.0
        x = np.array([math.cos(angle), -math.sin(angle)], t.dtype)
        if angle == 0.0:
            return
    size = math.hypot(x[0], x[1])
    cos, sin = x / size
    turn = np.array([[cos, -sin], [sin, cos]], t.dtype)
    rows = slice(k, k + 2)
    t[rows] = turn.T @ t[rows]
    t[:, rows] = t[:, rows] @ turn
    q[:, rows] = q[:, rows] @ turn
    if square >= 0:
        t[k + 1, k] = 0
