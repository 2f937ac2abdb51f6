"""cholesky, triangular-solve, fft and the batch norms against NumPy's own."""

import itertools

import numpy as np
import pytest

from tests.rows import array, infer, run
from xlac.errors import ShapeError

INEXACT = ("f32", "f64", "c64", "c128")


def matrix(element, dims, seed=0):
    rng = np.random.default_rng(seed)
    value = rng.normal(size=dims)
    if element.startswith("c"):
        value = value + 1j * rng.normal(size=dims)
    return value.astype(array(f"{element}[]").dtype)


def tolerance(element):
    return 1e-4 if element in ("f32", "c64") else 1e-11


@pytest.mark.parametrize("element", INEXACT)
@pytest.mark.parametrize("lower", [True, False])
def test_cholesky_reads_one_triangle_and_zeroes_the_other(element, lower):
    root = matrix(element, (2, 3, 4, 4))
    a = root @ np.conj(np.swapaxes(root, -1, -2)) + 4 * np.eye(4, dtype=root.dtype)
    spoilt = a + (np.triu(np.ones((4, 4)), 1) if lower else np.tril(np.ones((4, 4)), -1)).astype(a.dtype)
    got = run("cholesky", spoilt, lower=lower)
    wanted = np.linalg.cholesky(a)
    wanted = wanted if lower else np.conj(np.swapaxes(wanted, -1, -2))
    np.testing.assert_allclose(got, wanted, atol=tolerance(element), rtol=tolerance(element))


def test_cholesky_of_a_matrix_that_is_not_positive_is_nan_for_that_matrix_alone():
    a = np.stack([np.eye(3), -np.eye(3)]).astype(np.float32)
    got = run("cholesky", a, lower=True)
    assert np.array_equal(got[0], np.eye(3)) and np.isnan(got[1]).all()


@pytest.mark.parametrize("element", INEXACT)
def test_triangular_solve_with_every_option(element):
    a = matrix(element, (2, 4, 4), 1) + 3 * np.eye(4, dtype=array(f"{element}[]").dtype)
    for left, lower, unit, transpose in itertools.product(
        (True, False), (True, False), (True, False), ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT")
    ):
        triangle = np.tril(a) if lower else np.triu(a)
        if unit:
            triangle = triangle - triangle * np.eye(4) + np.eye(4)
        if transpose != "NO_TRANSPOSE":
            triangle = np.swapaxes(triangle, -1, -2)
        if transpose == "ADJOINT":
            triangle = np.conj(triangle)
        x = matrix(element, (2, 4, 3) if left else (2, 3, 4), 2)
        b = (triangle @ x if left else x @ triangle).astype(x.dtype)
        got = run("triangular-solve", a, b, left_side=left, lower=lower, unit_diagonal=unit, transpose_a=transpose)
        np.testing.assert_allclose(got, x, atol=20 * tolerance(element), rtol=20 * tolerance(element))


def test_linalg_opcodes_name_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"operand 0 is f32\[2,3\]; its last two dimensions must be equal"):
        infer("cholesky", array("f32[2,3]"))
    with pytest.raises(ShapeError, match=r"operand 0 is s32\[2,2\]; its elements must be floating point or complex"):
        infer("cholesky", array("s32[2,2]"))
    with pytest.raises(ShapeError, match=r"operand 1 is f32\[3,2\] but operand 0 is f32\[2,2\]"):
        infer("triangular-solve", array("f32[2,2]"), array("f32[3,2]"), left_side=True)
    with pytest.raises(ShapeError, match="transpose_a=MAYBE; it must be one of"):
        infer("triangular-solve", array("f32[2,2]"), array("f32[2,2]"), transpose_a="MAYBE")


@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("lengths", [(1,), (5,), (8,), (4, 6), (3, 4, 5)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_fft_of_any_length_is_computed_in_double_precision(single, lengths, batch):
    real, complex_ = ("f32", "c64") if single else ("f64", "c128")
    axes = tuple(range(len(batch), len(batch) + len(lengths)))
    x, z = matrix(real, batch + lengths), matrix(complex_, batch + lengths)
    half = matrix(complex_, (*batch, *lengths[:-1], lengths[-1] // 2 + 1))
    for kind, operand, wanted in (
        ("FFT", z, np.fft.fftn(z.astype(np.complex128), axes=axes)),
        ("IFFT", z, np.fft.ifftn(z.astype(np.complex128), axes=axes)),
        ("RFFT", x, np.fft.rfftn(x.astype(np.float64), axes=axes)),
        ("IRFFT", half, np.fft.irfftn(half.astype(np.complex128), lengths, axes)),
    ):
        got = run("fft", operand, fft_type=kind, fft_length=lengths)
        assert np.array_equal(got, wanted.astype(got.dtype))


@pytest.mark.parametrize(
    ("shape", "kind", "lengths", "message"),
    [
        ("f32[4]", "FFT", (4,), r"operand 0 is f32\[4\]; FFT takes c64 or c128"),
        ("c64[4]", "RFFT", (4,), "RFFT takes f32 or f64"),
        ("c64[4]", "IRFFT", (4,), r"last dimensions must be \[3\]"),
        ("c64[4]", "DCT", (4,), "fft_type=DCT; it must be one of FFT, IFFT, RFFT, IRFFT"),
        ("c64[4]", "FFT", (4, 4), "2 dimensions of operand 0"),
    ],
)
def test_fft_names_what_does_not_fit(shape, kind, lengths, message):
    with pytest.raises(ShapeError, match=message):
        infer("fft", array(shape), fft_type=kind, fft_length=lengths)


@pytest.mark.parametrize("feature_index", [0, 1, 2])
@pytest.mark.parametrize("element", ["f32", "f64", "bf16"])
def test_batch_norms_follow_their_formulas(feature_index, element):
    dims = (3, 4, 5)
    dtype = array(f"{element}[]").dtype
    rng = np.random.default_rng(4)
    x, grad = (rng.normal(size=dims).astype(dtype) for _ in range(2))
    scale, offset, mean, variance = (rng.uniform(0.5, 2, dims[feature_index]).astype(dtype) for _ in range(4))
    attrs = {"epsilon": 0.01, "feature_index": feature_index}
    wide = [np.moveaxis(v.astype(np.float64), feature_index, -1) if v.ndim > 1 else v.astype(np.float64)
            for v in (x, scale, offset, mean, variance, grad)]  # fmt: skip
    w, s, o, m, v, dy = wide
    own_mean, own_variance = w.mean((0, 1)), w.var((0, 1))
    close = {"rtol": 0.05, "atol": 0.05} if element == "bf16" else {"rtol": 1e-3, "atol": 1e-4}

    def check(got, wanted):
        got = np.asarray(got).astype(np.float64)
        np.testing.assert_allclose(np.moveaxis(got, feature_index, -1) if got.ndim > 1 else got, wanted, **close)

    normal, got_mean, got_variance = run("batch-norm-training", x, scale, offset, **attrs)
    check(normal, (w - own_mean) / np.sqrt(own_variance + 0.01) * s + o)
    check(got_mean, own_mean)
    check(got_variance, own_variance)
    inferred = run("batch-norm-inference", x, scale, offset, mean, variance, **attrs)
    check(inferred, (w - m) / np.sqrt(v + 0.01) * s + o)
    # The gradient is that of training: its mean and variance are the input's own.
    parts = run("batch-norm-grad", x, scale, got_mean, got_variance, grad, **attrs)
    normalised = (w - own_mean) / np.sqrt(own_variance + 0.01)
    check(parts[1], (dy * normalised).sum((0, 1)))
    check(parts[2], dy.sum((0, 1)))
    centred = dy - dy.mean((0, 1)) - normalised * (dy * normalised).mean((0, 1))
    check(parts[0], s / np.sqrt(own_variance + 0.01) * centred)


def test_the_epsilon_of_a_batch_norm_is_a_float32():
    one, zero = np.ones(1), np.zeros(1)
    got = run("batch-norm-inference", np.ones((1, 1)), one, zero, zero, zero, epsilon=0.01, feature_index=1)
    assert got.item() == 1 / np.sqrt(np.float64(np.float32(0.01)))


def test_batch_norm_names_an_operand_without_an_element_for_each_feature():
    with pytest.raises(ShapeError, match=r"operand 2 is f32\[3\]; its dimensions must be \[4\]"):
        infer(
            "batch-norm-training",
            *(array("f32[2,4]"), array("f32[4]"), array("f32[3]")),
            epsilon=0.1,
            feature_index=1,
        )
