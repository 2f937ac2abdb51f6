"""Hessenberg, tridiagonal and Schur forms and pivoted QR: the factors give the matrix back and have their forms."""

from __future__ import annotations

import numpy as np
import pytest

from xlac.ir.ops.schur import accumulate, hessenberg, pivoted_qr, schur, tridiagonal

DTYPES = [np.float32, np.float64, np.complex64, np.complex128]
SIZES = [1, 2, 3, 6, 20]


def matrix(n: int, dtype: type, columns: int | None = None) -> np.ndarray:
    rng = np.random.default_rng(n)
    a = rng.normal(size=(n, columns or n))
    if np.dtype(dtype).kind == "c":
        a = a + 1j * rng.normal(size=a.shape)
    return a.astype(dtype)


def assert_product(got: np.ndarray, want: np.ndarray) -> None:
    """Equal up to rounding of sums as long as a row."""
    scale = 20 * np.finfo(want.dtype).eps * len(want) * max(1.0, float(np.abs(want).max()))
    np.testing.assert_allclose(got, want, atol=scale, rtol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_schur_form_is_triangular_but_for_blocks_of_complex_pairs(n: int, dtype: type):
    a = matrix(n, dtype)
    t, q, failed = schur(a)
    assert failed == 0
    assert_product(q @ t @ np.conj(q.T), a)
    assert_product(np.conj(q.T) @ q, np.eye(n, dtype=dtype))
    below = np.diag(t, -1) != 0
    assert not np.tril(t, -2).any() and not (below[1:] & below[:-1]).any()
    if np.dtype(dtype).kind == "c":
        assert not below.any()
    for k in np.flatnonzero(below):
        assert t[k, k + 1] * t[k + 1, k] < 0, "a block with real eigenvalues is split"
        assert abs(t[k, k] - t[k + 1, k + 1]) <= 50 * np.finfo(dtype).eps * np.abs(t).max()


@pytest.mark.parametrize("special", ["zero", "identity", "cyclic", "defective"])
def test_schur_of_special_matrices(special: str):
    a = {
        "zero": np.zeros((4, 4)),
        "identity": np.eye(4),
        "cyclic": np.roll(np.eye(5), 1, 0),
        "defective": np.eye(4) + np.eye(4, k=1),
    }[special]
    t, q, failed = schur(a)
    assert failed == 0
    assert_product(q @ t @ q.T, a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", SIZES)
def test_hessenberg_form_is_similar(n: int, dtype: type):
    a = matrix(n, dtype)
    packed, taus = hessenberg(a)
    q = accumulate(packed, taus, 1)
    assert_product(q @ np.triu(packed, -1) @ np.conj(q.T), a)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tridiagonal_form_has_the_same_eigenvalues_and_reads_one_triangle(dtype: type, lower: bool):
    a = matrix(6, dtype)
    a = a + np.conj(a.T)
    _, d, e, _ = tridiagonal(np.tril(a) if lower else np.triu(a), lower)
    form = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
    assert_product(np.linalg.eigvalsh(form), np.linalg.eigvalsh(a))


@pytest.mark.parametrize("dtype", DTYPES)
def test_pivoted_qr_puts_marked_columns_first_and_then_the_longest(dtype: type):
    a = matrix(6, dtype, 4)
    a[:, 1] *= 100
    packed, order, taus = pivoted_qr(a, np.array([0, 0, 1, 0]))
    assert list(order[:2]) == [3, 2]
    assert_product(accumulate(packed, taus)[:, :4] @ np.triu(packed)[:4], a[:, order - 1])
