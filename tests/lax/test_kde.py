"""`gaussian_kde` gives SciPy's densities and integrals, under transformations too."""

import numpy as np
import pytest

import xlac
from xlac import random
from xlac.errors import ShapeError, TraceError
from xlac.scipy.stats import gaussian_kde

scipy_stats = pytest.importorskip("scipy.stats", reason="SciPy is not installed")

DATA = np.random.default_rng(0).normal(size=(2, 20))
POINTS = np.random.default_rng(1).normal(size=(2, 5))
WIDTHS = {"usual": None, "silverman": "silverman", "number": 0.3, "function": lambda kde: 0.5}


@pytest.mark.parametrize("weights", [None, np.arange(1, 21.0)], ids=["equal", "weighted"])
@pytest.mark.parametrize("width", WIDTHS)
def test_densities_and_integrals_are_scipys(width, weights):
    ours, theirs = (f(DATA, WIDTHS[width], weights) for f in (gaussian_kde, scipy_stats.gaussian_kde))
    for name, args in (
        ("evaluate", (POINTS,)),
        ("pdf", (POINTS,)),
        ("logpdf", (POINTS,)),
        ("integrate_gaussian", (np.ones(2), np.eye(2) / 2)),
    ):
        np.testing.assert_allclose(getattr(ours, name)(*args), getattr(theirs, name)(*args), rtol=1e-10)
    np.testing.assert_allclose(ours.integrate_kde(ours), theirs.integrate_kde(theirs), rtol=1e-10)
    for name in ("neff", "covariance", "inv_cov", "weights"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-10)
    ours, theirs = (f(DATA[0], WIDTHS[width], weights) for f in (gaussian_kde, scipy_stats.gaussian_kde))
    np.testing.assert_allclose(ours.integrate_box_1d(-1, 0.5), theirs.integrate_box_1d(-1, 0.5), rtol=1e-10)
    np.testing.assert_allclose(ours(np.array([0.3])), theirs(0.3), rtol=1e-10)


def test_an_estimate_is_a_container_and_a_step_of_programs():
    kde = gaussian_kde(DATA)
    np.testing.assert_allclose(xlac.jit(lambda k, x: k(x))(kde, POINTS), kde(POINTS), rtol=1e-12)
    np.testing.assert_allclose(xlac.vmap(kde, 1)(POINTS)[:, 0], kde(POINTS), rtol=1e-12)
    slope = xlac.grad(lambda data: gaussian_kde(data).logpdf(POINTS).sum())(DATA)
    step = np.zeros_like(DATA)
    step[1, 3] = 1e-6
    above, below = (scipy_stats.gaussian_kde(DATA + s).logpdf(POINTS).sum() for s in (step, -step))
    np.testing.assert_allclose(slope[1, 3], (above - below) / 2e-6, rtol=1e-6)


def test_samples_have_the_moments_of_the_density():
    kde = gaussian_kde(DATA)
    drawn = kde.resample(random.key(0), (100, 200))
    assert drawn.shape == (2, 100, 200)
    flat = np.asarray(drawn).reshape(2, -1)
    np.testing.assert_allclose(flat.mean(1), DATA.mean(1), atol=0.03)
    np.testing.assert_allclose(np.cov(flat), np.cov(DATA, bias=True) + kde.covariance, atol=0.03)


@pytest.mark.jax
def test_samples_are_jaxs():
    jax = pytest.importorskip("jax")
    small = DATA.astype(np.float32)
    ours = gaussian_kde(small).resample(random.PRNGKey(3), (4,))
    theirs = jax.scipy.stats.gaussian_kde(small).resample(jax.random.PRNGKey(3), (4,))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gaussian_kde(np.ones((2, 1))), "n of at least 2"),
        (lambda: gaussian_kde(DATA, "wide"), "scott, silverman, a number or function"),
        (lambda: gaussian_kde(DATA, weights=np.ones(3)), "there are 20 samples"),
        (lambda: gaussian_kde(DATA)(np.ones((3, 4))), r"must be \[2, m\]"),
        (lambda: gaussian_kde(DATA).integrate_box_1d(0, 1), "of one dimension"),
        (lambda: gaussian_kde(DATA).integrate_gaussian(np.ones(3), np.eye(2)), r"must be \[2\]"),
        (lambda: gaussian_kde(DATA).integrate_kde(gaussian_kde(DATA[0])), "2 and 1 dimensions"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ShapeError, match=message):
        make()
    with pytest.raises(TraceError, match="make another estimate"):
        gaussian_kde(DATA).set_bandwidth(1)
