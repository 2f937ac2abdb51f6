"""The linalg and fft extensions of the Python Array API standard 2024.12 on drawn arrays: shapes, types, identities.

XLAC_TEST_EXAMPLES sets how many arguments are drawn for each function.
"""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac.numpy as xnp
from xlac.numpy import fft, linalg

EXAMPLES = int(os.environ.get("XLAC_TEST_EXAMPLES", "4"))
INEXACT = ["float32", "float64", "complex64", "complex128"]
NUMERIC = [f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)] + INEXACT
stacks = st.lists(st.integers(0, 3), max_size=2).map(tuple)
sides = st.integers(0, 4)


def drawn(**strategies):
    return lambda test: settings(max_examples=EXAMPLES)(given(**strategies)(test))


def matrices(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(-4, 5, shape).astype(dtype) if np.dtype(dtype).kind in "iu" else rng.standard_normal(shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.standard_normal(shape)
    return xnp.asarray(x.astype(dtype))


def real(dtype):
    return np.zeros(0, dtype).real.dtype


def tolerance(dtype, n=8):
    return 60 * n * float(np.finfo(dtype).eps)


def near(got, want, dtype=None, shape=None):
    want = np.asarray(want)
    assert got.dtype == (want.dtype if dtype is None else dtype)
    assert got.shape == (want.shape if shape is None else shape)
    assert got.__array_namespace__() is xnp
    rtol = tolerance(got.dtype)
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(np.abs(want).max(initial=1), 1))


def plain(x):
    return np.asarray(x)


def adjoint(x):
    return np.conj(plain(x).swapaxes(-1, -2))


def symmetric(stack, n, dtype):
    x = matrices((*stack, n, n), dtype)
    return xnp.asarray(((plain(x) + adjoint(x)) / 2).astype(dtype))


# ---- linalg


@drawn(stack=stacks, n=sides, dtype=st.sampled_from(INEXACT), upper=st.booleans())
def test_cholesky(stack, n, dtype, upper):
    x = matrices((*stack, n, n), dtype)
    positive = xnp.asarray((plain(x) @ adjoint(x) + 5 * np.eye(n)).astype(dtype))
    c = linalg.cholesky(positive, upper=upper)
    near(c, np.triu(c) if upper else np.tril(c), dtype)
    near(
        linalg.matmul(linalg.matrix_transpose(xnp.conj(c)), c) if upper else xnp.asarray(plain(c) @ adjoint(c)),
        positive,
    )


@drawn(stack=stacks, n=sides, dtype=st.sampled_from(INEXACT))
def test_hermitian_eigenvalues(stack, n, dtype):
    x = symmetric(stack, n, dtype)
    found = linalg.eigh(x)
    assert found._fields == ("eigenvalues", "eigenvectors")
    values, vectors = found
    assert (values.dtype, values.shape) == (real(dtype), x.shape[:-1])
    near(xnp.asarray(plain(vectors) * plain(values)[..., None, :] @ adjoint(vectors)), x, dtype, x.shape)
    near(linalg.eigvalsh(x), values)


@pytest.mark.parametrize("dtype", INEXACT)
def test_eigenvalues_and_singular_values_of_the_largest_and_smallest_numbers(dtype):
    info = np.finfo(dtype)
    for size in (info.max / 4, info.tiny, float(info.smallest_subnormal) * 8):
        x = np.array([[1, 2], [2, 1]], dtype) * np.asarray(size, dtype)
        np.testing.assert_allclose(linalg.eigvalsh(x), np.array([-1, 3]) * size, rtol=0.1)
        np.testing.assert_allclose(linalg.svdvals(x), np.array([3, 1]) * size, rtol=0.1)
    assert linalg.eigvalsh(np.array([[info.max]], dtype)).tolist() == [info.max]


@drawn(stack=stacks, n=sides, dtype=st.sampled_from(INEXACT))
def test_determinants_and_inverses(stack, n, dtype):
    x = xnp.asarray((plain(matrices((*stack, n, n), dtype)) + 6 * np.eye(n)).astype(dtype))
    near(linalg.inv(x), np.linalg.inv(x))
    near(linalg.det(x), np.linalg.det(x))
    found = linalg.slogdet(x)
    assert found._fields == ("sign", "logabsdet")
    near(found.sign, np.linalg.slogdet(x)[0], dtype)
    near(found.logabsdet, np.linalg.slogdet(x)[1], real(dtype))
    for power in (-2, 0, 3):
        near(linalg.matrix_power(x, power), np.linalg.matrix_power(x, power))


def test_the_determinant_of_a_singular_matrix():
    x = np.array([[1.0, 2.0], [2.0, 4.0]])
    assert linalg.det(x) == 0 and linalg.slogdet(x).sign == 0 and linalg.slogdet(x).logabsdet == -np.inf


@drawn(a=stacks, n=sides, k=sides, one=st.sampled_from(INEXACT), two=st.sampled_from(INEXACT), data=st.data())
def test_solve(a, n, k, one, two, data):
    x1 = xnp.asarray((plain(matrices((*a, n, n), one)) + 6 * np.eye(n)).astype(one))
    b = tuple(data.draw(st.sampled_from([1, m])) for m in a)[data.draw(st.integers(0, len(a))) :]
    for x2 in (matrices((*b, n, k), two, 1), matrices((n,), two, 1)):
        want = (
            np.linalg.solve(plain(x1), plain(x2))
            if x2.ndim > 1
            else np.linalg.solve(plain(x1), plain(x2)[:, None])[..., 0]
        )
        near(linalg.solve(x1, x2), want, np.result_type(one, two))


@drawn(stack=stacks, m=sides, n=sides, dtype=st.sampled_from(INEXACT), mode=st.sampled_from(["reduced", "complete"]))
def test_qr(stack, m, n, dtype, mode):
    x = matrices((*stack, m, n), dtype)
    found = linalg.qr(x, mode=mode)
    assert found._fields == ("Q", "R")
    k = m if mode == "complete" else min(m, n)
    assert (found.Q.shape, found.R.shape) == ((*stack, m, k), (*stack, k, n))
    np.testing.assert_array_equal(found.R, np.triu(found.R))
    near(xnp.asarray(plain(found.Q) @ plain(found.R)), x, dtype)
    near(xnp.asarray(adjoint(found.Q) @ plain(found.Q)), np.broadcast_to(np.eye(k), (*stack, k, k)), dtype)


@drawn(stack=stacks, m=sides, n=sides, dtype=st.sampled_from(INEXACT), full=st.booleans())
def test_singular_values(stack, m, n, dtype, full):
    x = matrices((*stack, m, n), dtype)
    k = min(m, n)
    found = linalg.svd(x, full_matrices=full)
    assert found._fields == ("U", "S", "Vh")
    assert found.U.shape == (*stack, m, m if full else k) and found.Vh.shape == (*stack, n if full else k, n)
    assert (found.S.shape, found.S.dtype) == ((*stack, k), real(dtype))
    assert (plain(found.S)[..., :-1] >= plain(found.S)[..., 1:]).all()
    near(xnp.asarray(plain(found.U)[..., :k] * plain(found.S)[..., None, :] @ plain(found.Vh)[..., :k, :]), x, dtype)
    near(linalg.svdvals(x), found.S)
    near(linalg.pinv(x), np.linalg.pinv(x) if x.size else np.zeros((*stack, n, m), dtype))
    rank = linalg.matrix_rank(x)
    assert rank.shape == stack and rank.dtype == np.int32
    np.testing.assert_array_equal(rank, k)


@drawn(data=st.data())
def test_relative_tolerances_are_numbers_or_arrays(data):
    stack = data.draw(stacks)
    x = matrices((*stack, 3, 2), "float32")
    wide = np.asarray(np.full(stack, 2.0), np.float32)
    for rtol in (2.0, wide):
        np.testing.assert_array_equal(linalg.matrix_rank(x, rtol=rtol), np.zeros(stack))
        np.testing.assert_array_equal(linalg.pinv(x, rtol=rtol), np.zeros((*stack, 2, 3)))
    near(linalg.pinv(x, rtol=1e-6), np.linalg.pinv(x))


@pytest.mark.parametrize("order", [-np.inf, -2, -1, 1, 2, np.inf, "fro", "nuc"])
@drawn(stack=stacks, m=st.integers(1, 4), n=st.integers(1, 4), dtype=st.sampled_from(INEXACT), keep=st.booleans())
def test_matrix_norms(order, stack, m, n, dtype, keep):
    x = matrices((*stack, m, n), dtype)
    near(
        linalg.matrix_norm(x, ord=order, keepdims=keep),
        np.linalg.matrix_norm(plain(x), ord=order, keepdims=keep),
        real(dtype),
    )


@pytest.mark.parametrize("order", [2, 1, 0, -1, -2, np.inf, -np.inf, 3, -5, 2.5, 100])
@drawn(shape=st.lists(st.integers(1, 4), max_size=3).map(tuple), dtype=st.sampled_from(INEXACT), data=st.data())
def test_vector_norms(order, shape, dtype, data):
    x = matrices(shape, dtype)
    axes = st.none()
    if shape:
        axes |= st.integers(-len(shape), len(shape) - 1) | st.permutations(range(len(shape))).map(tuple)
    keywords = {"axis": data.draw(axes), "keepdims": data.draw(st.booleans()), "ord": order}
    with np.errstate(all="ignore"):
        want = np.linalg.vector_norm(plain(x), **keywords)
    if np.isfinite(want).all() and (np.abs(want) < 1e30).all():
        near(linalg.vector_norm(x, **keywords), want, real(dtype))
    else:
        assert linalg.vector_norm(x, **keywords).shape == want.shape


@drawn(stack=stacks, m=sides, n=sides, dtype=st.sampled_from(NUMERIC), offset=st.integers(-20, 20))
def test_diagonals_and_traces(stack, m, n, dtype, offset):
    x = matrices((*stack, m, n), dtype)
    near_type = {"i": "int32", "u": "uint32"}.get(np.dtype(dtype).kind, dtype)
    got = linalg.diagonal(x, offset=offset)
    np.testing.assert_array_equal(got, np.linalg.diagonal(plain(x), offset=offset))
    assert got.dtype == dtype
    want = np.linalg.trace(plain(x), offset=offset, dtype=np.promote_types(dtype, near_type))
    np.testing.assert_allclose(linalg.trace(x, offset=offset), want, rtol=1e-5, atol=1e-5)
    assert linalg.trace(x, offset=offset).dtype == want.dtype
    assert linalg.trace(x, dtype="complex128").dtype == np.complex128


@drawn(stack=stacks, dtype=st.sampled_from(NUMERIC), axis=st.integers(-3, -1))
def test_cross(stack, dtype, axis):
    shape = list((*stack, 2, 1, 3))
    shape[-1], shape[axis] = shape[axis], 3
    x, y = matrices(shape, dtype), matrices(shape[-3:], dtype, 1)
    want = np.moveaxis(np.cross(np.moveaxis(plain(x), axis, -1), np.moveaxis(plain(y), axis, -1)), -1, axis)
    got = linalg.cross(x, y, axis=axis)
    assert got.dtype == dtype and got.shape == tuple(shape)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    with pytest.raises(Exception, match="cross"):
        linalg.cross(matrices((2, 4), dtype), matrices((2, 4), dtype))


# ---- fft


@st.composite
def spectra(draw, minimum=1):
    shape = tuple(draw(st.lists(st.integers(minimum, 5), min_size=1, max_size=3)))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    n = draw(st.none() | st.integers(1, 7))
    return shape, {"axis": axis, "n": n, "norm": draw(st.sampled_from(["backward", "ortho", "forward"]))}


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@drawn(drawn_spectrum=spectra(2), wide=st.booleans())
def test_transforms_along_one_dimension(name, drawn_spectrum, wide):
    shape, keywords = drawn_spectrum
    takes_real, gives_real = name in ("rfft", "ihfft"), name in ("irfft", "hfft")
    floats, pairs = ("float64", "complex128") if wide else ("float32", "complex64")
    x = matrices(shape, floats if takes_real else pairs)
    want = getattr(np.fft, name)(plain(x).astype(float if takes_real else complex), **keywords)
    near(getattr(fft, name)(x, **keywords), want, floats if gives_real else pairs)


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
@drawn(drawn_spectrum=spectra(2), wide=st.booleans(), data=st.data())
def test_transforms_along_several_dimensions(name, drawn_spectrum, wide, data):
    shape, keywords = drawn_spectrum
    floats, pairs = ("float64", "complex128") if wide else ("float32", "complex64")
    x = matrices(shape, floats if name == "rfftn" else pairs)
    axes = data.draw(st.none() | st.permutations(range(len(shape))))
    keywords = {"axes": axes, "norm": keywords["norm"]}
    if axes is not None and data.draw(st.booleans()):
        keywords["s"] = tuple(data.draw(st.integers(2, 6)) for _ in axes)
    want = getattr(np.fft, name)(plain(x).astype(float if name == "rfftn" else complex), **keywords)
    near(getattr(fft, name)(x, **keywords), want, floats if name == "irfftn" else pairs)


@drawn(n=st.integers(1, 60), d=st.floats(0.1, 5), data=st.data())
def test_frequencies_and_shifts(n, d, data):
    dtype = data.draw(st.sampled_from([None, "float32", "float64"]))
    near(fft.fftfreq(n, d=d, dtype=dtype, device="cpu"), np.fft.fftfreq(n, d), dtype or "float32")
    near(fft.rfftfreq(n, d=d, dtype=dtype), np.fft.rfftfreq(n, d), dtype or "float32")
    x = matrices((3, n), data.draw(st.sampled_from(INEXACT)))
    for axes in (None, 0, (1,), (0, 1)):
        near(fft.fftshift(x, axes=axes), np.fft.fftshift(plain(x), axes))
        near(fft.ifftshift(x, axes=axes), np.fft.ifftshift(plain(x), axes))
