"""Factorisations of `xlac.lax.linalg`: their defining equations, derivatives, batches, and bad input."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import evaluated
from xlac.errors import ShapeError, TraceError
from xlac.lax import linalg
from xlac.test_util import check_grads


def matrices(*shape, complex_=False, seed=0):
    rng = np.random.default_rng([seed, *shape])
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if complex_ else x


def close(x, y, dtype=np.float64, depth=8):
    scale = np.max(np.abs(y), initial=1.0)
    np.testing.assert_allclose(x, y, rtol=0, atol=200 * depth * scale * np.finfo(np.dtype(dtype)).eps)


BOTH = pytest.mark.parametrize("complex_", [False, True], ids=["real", "complex"])
SHAPES = pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5), (2, 4, 3), (0, 3, 3), (1, 1)])


@BOTH
@SHAPES
def test_lu_multiplies_to_the_rows_in_its_order(shape, complex_):
    a = matrices(*shape, complex_=complex_)
    packed, pivots, order = linalg.lu(a)
    m, n = shape[-2:]
    k = min(m, n)
    lower = np.tril(packed[..., :k], -1) + np.eye(m, k)
    upper = np.triu(packed[..., :k, :])
    close(lower @ upper, np.take_along_axis(a, order[..., None], axis=-2))
    np.testing.assert_array_equal(linalg.lu_pivots_to_permutation(pivots, m), order)


@BOTH
@SHAPES
@pytest.mark.parametrize("full", [False, True])
def test_qr_and_svd_multiply_to_the_matrix(shape, complex_, full):
    a = matrices(*shape, complex_=complex_)
    k = min(shape[-2:])
    q, r = evaluated(lambda x: linalg.qr(x, full_matrices=full))(a)
    close(q @ r, a)
    close(np.conj(np.swapaxes(q, -1, -2)) @ q, np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2], *q.shape[-1:] * 2)))
    u, s, vh = evaluated(lambda x: linalg.svd(x, full_matrices=full))(a)
    assert u.shape[-1] == (shape[-2] if full else k)
    close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a)
    close(s, evaluated(lambda x: linalg.svd(x, compute_uv=False))(a))


@BOTH
def test_eigenvectors_are_scaled_by_the_matrix(complex_):
    a = matrices(2, 4, 4, complex_=complex_)
    hermitian = a + np.conj(np.swapaxes(a, -1, -2))
    v, w = linalg.eigh(hermitian)
    close(hermitian @ v, v * w[..., None, :])
    values, left, right = linalg.eig(a)
    close(a @ right, right * values[..., None, :])
    adjoint = np.conj(np.swapaxes(left, -1, -2))
    close(adjoint @ a, values[..., :, None] * adjoint)


def test_a_tridiagonal_system_is_solved():
    below, above, b = matrices(3, 6), matrices(3, 6, seed=1), matrices(3, 6, 2)
    main = matrices(3, 6, seed=2) + 9
    x = linalg.tridiagonal_solve(below, main, above, b)
    full = np.stack([np.diag(m) + np.diag(lo[1:], -1) + np.diag(up[:-1], 1) for lo, m, up in zip(below, main, above)])
    close(full @ x, b)


def test_an_updated_factor_multiplies_to_the_updated_matrix():
    a, w = matrices(4, 4), matrices(4)
    r = np.linalg.cholesky(a @ a.T + np.eye(4)).T
    made = linalg.cholesky_update(r, w)
    close(made.T @ made, r.T @ r + np.outer(w, w))
    assert (np.diag(made) > 0).all()


def test_narrow_floats_are_computed_in_float32():
    a = matrices(3, 3).astype(np.float16)
    q, r = linalg.qr(a)
    assert q.dtype == r.dtype == np.float16
    np.testing.assert_allclose((q @ r).astype(np.float32), a.astype(np.float32), atol=0.01)


def weighted(*results):
    """A number that depends on every element."""
    total = 0.0
    for i, x in enumerate(results):
        complex_ = np.dtype(x.dtype).kind == "c"
        total = total + xnp.sum(xnp.real(x * matrices(*x.shape, complex_=complex_, seed=10 + i)))
    return total


def projector(x):
    return x @ linalg.adjoint(x)


FUNCTIONS = {
    "cholesky": (lambda a: linalg.cholesky(projector(a) + np.eye(a.shape[-1])), (3, 3)),
    "lu": (lambda a: linalg.lu(a)[0], (4, 4)),
    "lu of a tall matrix": (lambda a: linalg.lu(a)[0], (4, 2)),
    "lu of a wide matrix": (lambda a: linalg.lu(a)[0], (2, 4)),
    "qr": (lambda a: weighted(*linalg.qr(a, full_matrices=False)), (2, 4, 3)),
    "eigenvalues of eigh": (lambda a: linalg.eigh(a)[1], (3, 3)),
    "projectors of eigh": (lambda a: xnp.abs(linalg.eigh(a)[0]) ** 2, (3, 3)),
    "singular values": (lambda a: linalg.svd(a, compute_uv=False), (4, 3)),
    "projectors of svd": (lambda a: projector(linalg.svd(a, full_matrices=False)[0][..., :2]), (4, 3)),
    "projectors of svd of a wide matrix": (lambda a: projector(linalg.svd(a, full_matrices=False)[0][..., :2]), (3, 4)),
    "solve": (lambda a: linalg.solve(a, np.eye(3, dtype=a.dtype)), (3, 3)),
    "eigvals": (lambda a: xnp.abs(xnp.linalg.eigvals(a)), (3, 3)),
    "slogdet": (lambda a: xnp.linalg.slogdet(a)[1], (4, 4)),
    "pinv": (lambda a: xnp.linalg.pinv(a), (4, 3)),
}


@BOTH
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_both_ways_are_those_of_central_differences(name, complex_):
    function, shape = FUNCTIONS[name]

    def scalar(x):
        return weighted(function(x))

    x = matrices(*shape, complex_=complex_, seed=3)
    direction = matrices(*shape, complex_=complex_, seed=4)
    run, h = evaluated(scalar), 1e-6
    slope = (run(x + h * direction) - run(x - h * direction)) / (2 * h)
    forward = evaluated(lambda v, t: xlac.jvp(scalar, (v,), (t,))[1])(x, direction)
    gradient = evaluated(xlac.grad(scalar))(x)
    np.testing.assert_allclose(forward, slope, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sum(gradient * direction).real, slope, rtol=1e-5, atol=1e-6)


def test_vmap_gives_a_batch_of_factorisations():
    x = matrices(3, 4, 4)
    close(xlac.vmap(lambda a: linalg.svd(a, compute_uv=False), in_axes=1)(np.moveaxis(x, 0, 1)),
          np.linalg.svd(x, compute_uv=False))  # fmt: skip
    gradient = xlac.vmap(xlac.grad(lambda a: xnp.linalg.slogdet(a)[1]))(x)
    close(gradient, np.swapaxes(np.linalg.inv(x), -1, -2))


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"cholesky: an array float64\[2,3\]; it must be square"):
        linalg.cholesky(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="qr: the matrix is of type int32"):
        linalg.qr(np.ones((2, 2), np.int32))
    with pytest.raises(TraceError, match="qr has derivatives"):
        xlac.grad(lambda a: linalg.qr(a)[0].sum())(np.ones((4, 2)))
    with pytest.raises(TraceError, match="svd has derivatives"):
        xlac.grad(lambda a: linalg.svd(a)[0].sum())(np.ones((4, 2)))
    with pytest.raises(TraceError, match="enable_eigvec_derivs"):
        xlac.jvp(lambda a: linalg.eig(a)[0], (np.eye(2),), (np.eye(2),))
    with pytest.raises(TraceError, match="schur has no derivative"):
        xlac.jvp(linalg.schur, (np.eye(2),), (np.eye(2),))


@BOTH
def test_reduced_forms_are_those_of_the_matrix(complex_):
    a = matrices(2, 5, 5, complex_=complex_)
    t, q = evaluated(linalg.schur)(a)
    close(q @ t @ adjoint(q), a)
    assert complex_ is False or not np.tril(t, -1).any()
    q, r, order = evaluated(lambda x: linalg.qr(x, pivoting=True))(a)
    close(q @ r, np.take_along_axis(a, order[..., None, :], -1))
    sizes = np.abs(np.diagonal(r, axis1=-2, axis2=-1))
    assert (np.diff(sizes) < 1e-12).all()
    packed, taus = evaluated(linalg.hessenberg)(a)
    q = np.zeros_like(a)
    q[..., 0, 0] = 1
    q[..., 1:, 1:] = linalg.householder_product(packed[..., 1:, :-1], taus)
    close(q @ np.triu(packed, -1) @ adjoint(q), a)
    u, h = evaluated(linalg.qdwh)(a)[:2]
    close(u @ h, a)
    close(adjoint(u) @ u, np.broadcast_to(np.eye(5), u.shape))


@BOTH
def test_a_tridiagonal_form_has_the_eigenvalues_of_the_matrix(complex_):
    a = matrices(5, 5, complex_=complex_)
    hermitian = a + adjoint(a)
    for lower in (True, False):
        _, d, e, _ = evaluated(lambda x, w=lower: linalg.tridiagonal(x, lower=w))(hermitian)
        close(np.linalg.eigvalsh(np.diag(d) + np.diag(e, 1) + np.diag(e, -1)), np.linalg.eigvalsh(hermitian))


@BOTH
@pytest.mark.parametrize("order", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_eigenvectors_have_derivatives_where_that_is_asked_for(complex_, order):
    a = matrices(3, 3, complex_=complex_)

    def sizes(x):
        w, left, right = linalg.eig(x, enable_eigvec_derivs=True)
        return xnp.abs(w), xnp.abs(left), xnp.abs(right)

    check_grads(sizes, (a,), order=order)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def test_failed_kernels_give_nan():
    a = np.array([[[1.0, 0.0], [0.0, 1.0]], [[np.nan, 0.0], [0.0, 1.0]]])
    w = linalg.eigh(a)[1]
    assert np.isfinite(w[0]).all() and np.isnan(w[1]).all()
    s = linalg.svd(a, compute_uv=False)
    assert np.isfinite(s[0]).all() and np.isnan(s[1]).all()
    assert np.isnan(linalg.cholesky(-np.eye(2))).any()
