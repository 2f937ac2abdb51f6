"""Functions outside of `lax` and `numpy`, and derivatives of both, give JAX's values; skipped where JAX is not there.

Each case is written for any package with JAX's names, and is run by the evaluator.
"""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from xlac import tree

jax = pytest.importorskip("jax", reason="jax is not installed")
pytestmark = pytest.mark.jax

# name -> (function of (package, its numpy), relative tolerance)
CASES = {}


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


def case(name, function, rtol=1e-9):
    CASES[name] = (function, rtol)


def draw(*shape, low=-2.0, high=2.0, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


ROWS, IDS = draw(7, 3), np.array([0, 2, -1, 2, 9, 1, 0])
for _how in "sum prod max min".split():
    case(f"segment {_how}", lambda m, n, f=_how: getattr(m.ops, f"segment_{f}")(ROWS, IDS, 4))
    case(f"segment {_how} of small integers", lambda m, n, f=_how: getattr(m.ops, f"segment_{f}")(
        (ROWS * 9).astype(np.int8), IDS, 4))  # fmt: skip

IMAGE = draw(5, 7, 3)
for _method in "nearest linear cubic cubic-pytorch area lanczos3 lanczos5".split():
    for _shape, _smooth in (((9, 4, 3), True), ((3, 12, 2), False)):
        case(f"resize, {_method} {_shape} {_smooth}", lambda m, n, k=_method, s=_shape, a=_smooth: m.image.resize(
            IMAGE.astype(np.float32), s, k, antialias=a), 3e-5)  # fmt: skip
case("resize of integers", lambda m, n: m.image.resize((IMAGE * 50).astype(np.int32), (9, 4, 3), "linear"), 3e-5)
case("scaled and moved", lambda m, n: m.image.scale_and_translate(
    IMAGE, (9, 4, 3), (0, 1), n.array([1.5, 0.7]), n.array([0.3, -0.2]), "cubic"), 3e-5)  # fmt: skip

PLACES = [draw(20, low=-2, high=7), draw(20, low=-2, high=9, seed=1)]
for _mode in "constant nearest wrap mirror reflect".split():
    for _order in (0, 1):
        case(f"map_coordinates {_mode} {_order}", lambda m, n, k=_mode, o=_order: m.scipy.ndimage.map_coordinates(
            IMAGE[:, :, 0], PLACES, o, k, 1.5))  # fmt: skip
for _norm in (None, "ortho"):
    for _size in (None, 5, 9):
        for _name in ("dct", "idct"):
            case(f"{_name} {_norm} {_size}", lambda m, n, f=_name, k=_norm, s=_size: getattr(m.scipy.fft, f)(
                ROWS, n=s, axis=0, norm=k))  # fmt: skip
    case(f"dctn {_norm}", lambda m, n, k=_norm: m.scipy.fft.idctn(m.scipy.fft.dctn(ROWS, norm=k) ** 2, norm=k))
GRID, VALUES = (np.array([0, 1, 3.0, 4]), np.array([0, 0.5, 2.0])), draw(4, 3, 2)
for _method in ("linear", "nearest"):
    for _fill in (np.nan, None, 3.0):
        case(f"grid {_method} {_fill}", lambda m, n, k=_method, v=_fill: m.scipy.interpolate.RegularGridInterpolator(
            GRID, VALUES, k, fill_value=v)(draw(6, 2, low=-1, high=5)))  # fmt: skip

GENERAL = draw(6, 6) + 4 * np.eye(6)
DEFINITE, RIGHT = GENERAL @ GENERAL.T, draw(6)
for _name, _matrix in (("cg", DEFINITE), ("gmres", GENERAL), ("bicgstab", GENERAL)):

    def _solve(m, f, a, b):
        return getattr(m.scipy.sparse.linalg, f)(lambda v: a @ v, b, tol=1e-13)[0]  # fmt: skip

    case(_name, lambda m, n, f=_name, a=_matrix: _solve(m, f, a, RIGHT), 1e-8)
    case(f"{_name}, complex", lambda m, n, f=_name, a=_matrix: _solve(m, f, a + 0j, RIGHT * (1 - 2j)), 1e-8)
    case(f"{_name}, gradient", lambda m, n, f=_name, a=_matrix: m.grad(
        lambda a, b: n.sum(_solve(m, f, a, b) ** 3), (0, 1))(n.asarray(a), n.asarray(RIGHT)), 1e-6)  # fmt: skip

TIMES = np.linspace(0, 2, 4)


def _oscillator(m, n, start, times, w):
    def field(y, t, w):
        return {"u": y["v"], "v": -w * y["u"] - n.sin(t) * y["v"]}

    return m.experimental.ode.odeint(field, start, times, w, rtol=1e-9, atol=1e-9)


START = {"u": np.array([1.0, 2.0]), "v": np.array([0.0, 1.0])}
case("odeint", lambda m, n: _oscillator(m, n, START, TIMES, np.float64(2)), 1e-6)
case("odeint, gradient", lambda m, n: m.grad(lambda *a: n.sum(_oscillator(m, n, *a)["u"] ** 2), (0, 1, 2))(
    tree.map(n.asarray, START), n.asarray(TIMES), n.float64(2)), 1e-5)  # fmt: skip

SQUARE = draw(2, 5, 5)
for _kind, _x in (("real", SQUARE), ("complex", SQUARE + 1j * draw(2, 5, 5, seed=1))):
    case(f"hessenberg, {_kind}", lambda m, n, x=_x: m.lax.linalg.hessenberg(x), 1e-7)
    for _lower in (True, False):
        case(f"tridiagonal, {_kind} {_lower}", lambda m, n, x=_x, w=_lower: m.lax.linalg.tridiagonal(
            x + np.conj(np.swapaxes(x, -1, -2)), lower=w), 1e-7)  # fmt: skip
    for _full in (True, False):
        case(f"qr with pivots, {_kind} {_full}", lambda m, n, x=_x, f=_full: m.lax.linalg.qr(
            x[..., :3], pivoting=True, full_matrices=f), 1e-7)  # fmt: skip
    case(f"right eigenvectors, {_kind}", lambda m, n, x=_x: m.jvp(lambda a: [n.abs(v) for v in m.lax.linalg.eig(
        a, compute_left_eigenvectors=False, enable_eigvec_derivs=True)], (x[0],), (x[1],)), 1e-7)  # fmt: skip
# The vectors' phases are a kernel's own.
case("schur", lambda m, n: [n.abs(v) for v in m.lax.linalg.schur(SQUARE + 1j * draw(2, 5, 5, seed=1))], 1e-7)
case("polar factors", lambda m, n: m.lax.linalg.qdwh(SQUARE[0, :, :3])[:2], 1e-6)

GROUPS, MATRICES = np.array([2, 0, 4]), draw(3, 3, 4)
case("ragged dot", lambda m, n: m.lax.ragged_dot(ROWS, MATRICES, GROUPS))
case("ragged dot, gradient", lambda m, n: m.grad(lambda x, w: n.sum(m.lax.ragged_dot(x, w, GROUPS) ** 2), (0, 1))(
    n.asarray(ROWS), n.asarray(MATRICES)))  # fmt: skip
case("ragged dot, contracted", lambda m, n: m.lax.ragged_dot_general(
    ROWS, draw(7, 4), GROUPS, m.lax.RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), [0], [])))  # fmt: skip

A, X = draw(30, low=0.05, high=30), draw(30, low=0.01, high=40, seed=1)
case("igamma by a", lambda m, n: m.grad(lambda a: n.sum(m.lax.igamma(a, X)))(n.asarray(A)), 1e-6)
case("igammac by both", lambda m, n: m.grad(lambda a, x: n.sum(m.lax.igammac(a, x) ** 2), (0, 1))(
    n.asarray(A), n.asarray(X)), 1e-6)  # fmt: skip
for _name in "erf_inv erfc digamma lgamma bessel_i0e bessel_i1e".split():
    case(f"{_name}, derivatives for many", lambda m, n, f=_name: m.vmap(m.grad(m.grad(
        lambda x: getattr(m.lax, f)(x) ** 2)))(n.asarray(X / 41)), 1e-6)  # fmt: skip
ALPHA = np.array([0.05, 0.3, 1.0, 2.5, 30, 200])
for _name in ("gamma", "loggamma", "t", "chisquare"):
    case(
        f"samples of {_name} by their parameter",
        lambda m, n, f=_name: m.grad(lambda a: n.sum(getattr(m.random, f)(m.random.key(7), a, (2, 6), np.float64)))(
            n.asarray(ALPHA)
        ),
        1e-5,
    )

for _axis in (0, 1, None):
    case(f"sem {_axis}", lambda m, n, k=_axis: m.scipy.stats.sem(ROWS, k))
    case(f"mode {_axis}", lambda m, n, k=_axis: m.scipy.stats.mode(np.round(ROWS), k).mode)
case("a container as a vector", lambda m, n: m.flatten_util.ravel_pytree({"b": ROWS, "a": (np.float32(3), IDS)})[0])


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_jax(name):
    import jax.experimental.ode
    import jax.flatten_util
    import jax.image
    import jax.ops
    import jax.scipy.fft
    import jax.scipy.interpolate
    import jax.scipy.ndimage
    import jax.scipy.sparse.linalg
    import jax.scipy.stats

    function, rtol = CASES[name]
    got = tree.leaves(xlac.jit(lambda: function(xlac, xnp), options=EVALUATED)())
    want = [np.asarray(x) for x in jax.tree.leaves(function(jax, jax.numpy))]
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g.shape == w.shape and g.dtype == w.dtype
        scale = np.max(np.abs(w[np.isfinite(w)]), initial=0) if w.dtype.kind in "fc" else 0
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol * float(scale))
