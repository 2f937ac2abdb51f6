"""Faddeeva's, hypergeometric and other special functions give SciPy's values, in all types, and have derivatives."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from xlac import tree
from xlac.errors import ShapeError, TraceError
from xlac.scipy import special

scipy_special = pytest.importorskip("scipy.special", reason="SciPy is not installed")

RNG = np.random.default_rng(7)
EDGES = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-300, 1e-8, 5.0, 25.0])
REAL = np.concatenate([EDGES, 10 ** RNG.uniform(-6, 2, 200) * RNG.choice([-1, 1], 200)])
PLANE = REAL[13:113] + 1j * RNG.uniform(-5, 12, 100)
A, B, C = (RNG.uniform(0.1, 9, 200) for _ in range(3))
N, M, L = (np.round(x) + 1 for x in (A, B, C))
BELOW_ONE = RNG.uniform(-3, 1, 200)
UP_TO_ONE = np.where(RNG.uniform(size=200) < 0.2, 1.0, RNG.uniform(0.85, 1, 200))
H, SLOPES = RNG.uniform(-5, 5, 60), 10 ** RNG.uniform(-3, 3, 60) * RNG.choice([-1, 1], 60)
H_EDGES, SLOPE_EDGES = np.array([0, 1, np.inf, -2, 0, 0, 1]), np.array([1, np.inf, 1, -3, np.inf, 0, -np.inf])

# name -> arguments, and the relative error beside that of 1e-15 absolute
CASES = [
    ("dawsn", (REAL,), 2e-15),
    ("erfcx", (REAL,), 4e-15),
    ("erfcx", (PLANE[PLANE.real > -20],), 1e-13),
    ("wofz", (np.concatenate([PLANE, [0, 1, 1j, -1j, 1e10 + 1j, 1e200 + 1e200j, -3 + 1e-300j]]),), 1e-13),
    ("fresnel", (REAL,), 2e-14),
    ("sici", (REAL,), 1e-12),
    ("owens_t", (H, SLOPES), 1e-12),
    ("owens_t", (H_EDGES, SLOPE_EDGES), 1e-12),
    ("hyp1f1", (A, B, RNG.uniform(-20, 20, 200)), 1e-11),
    ("hyp1f1", (-A / 4, B, RNG.uniform(-5, 5, 200)), 1e-10),
    ("hyp2f1", (A / 3, B / 3, C, BELOW_ONE), 1e-9),
    ("hyp2f1", (A / 3, B / 3, C, UP_TO_ONE), 1e-11),
    ("hyp2f1", (N, M, L, UP_TO_ONE), 1e-11),
    ("hyp2f1", (N - 0.5, M - 0.5, L, UP_TO_ONE), 1e-11),
    ("hyp2f1", (-np.round(A / 3), B, C, UP_TO_ONE), 1e-9),
]
IDS = [f"{i}-{c[0]}" for i, c in enumerate(CASES)]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_function_gives_scipys_values(case):
    name, args, tolerance = case
    with np.errstate(all="ignore"):
        want = getattr(scipy_special, name)(*args)
    for got, expected in zip(tree.leaves(getattr(special, name)(*args)), tree.leaves(want)):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=1e-15)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_narrower_types_are_those_values_rounded(case):
    name, args, tolerance = case
    narrow = [a.astype(np.complex64 if a.dtype.kind == "c" else np.float32) for a in args]
    exact = getattr(special, name)(*(a.astype(f"{a.dtype.kind}{2 * a.dtype.itemsize}") for a in narrow))
    for got, want in zip(tree.leaves(getattr(special, name)(*narrow)), tree.leaves(exact)):
        assert got.dtype == (np.complex64 if want.dtype.kind == "c" else np.float32)
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(got, want.astype(got.dtype))
    if not any(a.dtype.kind == "c" for a in args):
        halves = getattr(special, name)(*(xnp.asarray(a, "bfloat16") for a in args))
        assert all(h.dtype.name in ("bfloat16", "complex64") for h in tree.leaves(halves))


@pytest.mark.parametrize("name", ["dawsn", "erfcx", "fresnel", "sici", "owens_t", "hyp1f1", "hyp2f1"])
def test_evaluated_mapped_and_native_values_are_one(name):
    count = {"owens_t": 2, "hyp1f1": 3, "hyp2f1": 4}.get(name, 1)
    args = [RNG.uniform(0.1, 0.8, 3) for _ in range(count)]
    function = getattr(special, name)
    want = tree.leaves(function(*args))
    for other in (xlac.jit(function, options=EVALUATED), xlac.vmap(function)):
        for got, expected in zip(tree.leaves(other(*args)), want):
            np.testing.assert_allclose(got, expected, rtol=1e-14)


POINTS = [
    ("dawsn", (1.3,)),
    ("dawsn", (-0.2,)),
    ("erfcx", (-0.7,)),
    ("erfcx", (8.0,)),
    ("owens_t", (1.0, 0.5)),
    ("owens_t", (-0.7, -3.0)),
    ("hyp1f1", (1.2, 0.7, 0.3)),
    ("hyp1f1", (1.2, 0.7, -2.5)),
    ("hyp1f1", (-1.2, 0.7, 0.5)),
    ("hyp2f1", (1.2, 0.7, 2.5, 0.3)),
    ("hyp2f1", (1.2, 0.7, 2.5, -0.5)),
    ("hyp2f1", (1.2, 0.7, 2.5, 0.8)),
]


@pytest.mark.parametrize(("name", "point"), POINTS, ids=[f"{i}-{p[0]}" for i, p in enumerate(POINTS)])
def test_derivatives_by_all_arguments_are_those_of_central_differences(name, point):
    function, point, h = getattr(special, name), np.array(point), 1e-6
    slopes = xlac.grad(lambda p: function(*p))(point)
    for k, slope in enumerate(slopes):
        step = h * np.eye(len(point))[k]
        want = (function(*(point + step)) - function(*(point - step))) / (2 * h)
        np.testing.assert_allclose(slope, want, rtol=1e-7, atol=1e-9)


def test_derivatives_of_pairs_are_the_integrands():
    x = np.array([0.4, 1.3, 2.9, 7.7, -3.1])
    along = np.ones(5)
    (_, (s, c)) = xlac.jvp(special.fresnel, (x,), (along,))
    np.testing.assert_allclose(s, np.sin(np.pi / 2 * x**2), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(c, np.cos(np.pi / 2 * x**2), rtol=1e-12, atol=1e-13)
    (_, (s, c)) = xlac.jvp(special.sici, (x,), (along,))
    np.testing.assert_allclose(s, np.sin(x) / x, rtol=1e-14)
    np.testing.assert_allclose(c, np.cos(x) / x, rtol=1e-14)
    z = x + 0.3j
    slope = xlac.jvp(special.wofz, (z,), (np.ones(5, complex),))[1]
    np.testing.assert_allclose(slope, 2j / np.sqrt(np.pi) - 2 * z * scipy_special.wofz(z), rtol=1e-12)


def test_bessel_functions_of_all_orders_come_along_a_dimension_in_front():
    z = np.concatenate([RNG.uniform(-25, 25, 40), [0.0, 1e-8, -1e-3]]).reshape(43, 1)
    made = special.bessel_jn(z, v=6)
    assert made.shape == (7, 43, 1)
    np.testing.assert_allclose(made, [scipy_special.jv(n, z) for n in range(7)], atol=1e-12)
    slope = xlac.jvp(lambda x: special.bessel_jn(x, v=6), (z,), (np.ones_like(z),))[1]
    np.testing.assert_allclose(slope, [scipy_special.jvp(n, z) for n in range(7)], atol=1e-11)
    assert special.bessel_jn(np.float32(2), v=2).dtype == np.float32
    for bad in (-1, 1.5, True):
        with pytest.raises(ShapeError, match="v must be 0, 1"):
            special.bessel_jn(z, v=bad)


def test_spherical_harmonics_are_scipys_and_smooth():
    n = RNG.integers(0, 12, 60)
    m = np.array([RNG.integers(-k, k + 1) for k in n])
    theta, phi = RNG.uniform(0, np.pi, 60), RNG.uniform(0, 2 * np.pi, 60)
    want = scipy_special.sph_harm_y(n, m, theta, phi)
    np.testing.assert_allclose(special.sph_harm_y(n, m, theta, phi), want, atol=1e-13)
    jitted = xlac.jit(lambda n, m, t, p: special.sph_harm_y(n, m, t, p, n_max=11))
    np.testing.assert_allclose(jitted(n, m, theta, phi), want, atol=1e-13)
    slope = xlac.jvp(lambda t: special.sph_harm_y(n, m, t, phi), (theta,), (np.ones(60),))[1]
    h = 1e-6
    above, below = (scipy_special.sph_harm_y(n, m, theta + s, phi) for s in (h, -h))
    np.testing.assert_allclose(slope, (above - below) / (2 * h), atol=1e-7)
    with pytest.raises(TraceError, match="n_max must be given"):
        xlac.jit(special.sph_harm_y)(n, m, theta, phi)


def test_arguments_have_the_names_of_jax():
    np.testing.assert_allclose(special.gammainc(a=2.0, x=1.0), scipy_special.gammainc(2, 1), rtol=1e-6)
    np.testing.assert_allclose(special.beta(a=2.0, b=1.5), scipy_special.beta(2, 1.5), rtol=1e-6)
    np.testing.assert_allclose(special.ndtri(p=0.3), scipy_special.ndtri(0.3), rtol=1e-6)
    with pytest.raises(TypeError):
        special.erf(y=2.0)
