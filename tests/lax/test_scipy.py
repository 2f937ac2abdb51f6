"""`xlac.scipy` gives SciPy's values, and derivatives that central differences confirm."""

import importlib

import numpy as np
import pytest

import xlac
import xlac.scipy
from tests.evaluated import EVALUATED
from xlac import tree

scipy = pytest.importorskip("scipy", reason="SciPy is not installed")


def floats(*shape, low=-3.0, high=3.0, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


X, P, Q, U = floats(20), floats(20, low=0.1, high=9.0), floats(20, low=0.1, high=9.0, seed=1), floats(20, low=0, high=1)
ENDS = np.array([0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 2.0])
SQUARE = floats(4, 4) + 4 * np.eye(4)
DEFINITE = SQUARE @ SQUARE.T
COUNTS = np.round(P)
CASES = [
    *((f"special.{n}", X) for n in "erf erfc expit i0 i0e i1 i1e gammaln gammasgn gamma ndtr log_ndtr entr".split()),
    *((f"special.{n}", U) for n in "logit erfinv ndtri".split()),
    *((f"special.{n}", P) for n in "digamma factorial".split()),
    *((f"special.{n}", ENDS) for n in "erf erfc expit logit ndtr entr gammasgn erfinv".split()),
    *((f"special.{n}", P, Q) for n in "gammainc gammaincc beta betaln poch xlogy xlog1py rel_entr kl_div".split()),
    ("special.ndtri", np.array([1e-12, 1e-5, 0.01, 0.124, 0.126, 0.9, 0.99999])),
    ("special.log_ndtr", np.array([-30.0, -20.5, -19.5, -5.0, 0.0, 3.0, 9.0])),
    ("special.xlogy", np.zeros(3), np.array([0.0, 1.0, np.nan])),
    ("special.boxcox", P, X),
    ("special.boxcox1p", P, np.zeros(20)),
    ("special.betainc", P, Q, U),
    ("special.zeta", P + 1.5, Q),
    ("special.polygamma", COUNTS.astype(int), Q),
    ("special.multigammaln", P + 2, 3),
    ("special.logsumexp", floats(3, 4), 1),
    ("special.softmax", floats(3, 4)),
    ("special.log_softmax", floats(3, 4)),
    ("linalg.cholesky", DEFINITE),
    ("linalg.cholesky", DEFINITE, True),
    ("linalg.solve", SQUARE, floats(4)),
    ("linalg.inv", SQUARE),
    ("linalg.det", SQUARE),
    ("linalg.solve_triangular", SQUARE, floats(4)),
    ("linalg.solve_triangular", SQUARE, floats(4, 2), 1, True),
    ("linalg.lu", SQUARE[::-1].copy()),
    ("linalg.lu", floats(3, 5)),
    ("linalg.lu", floats(5, 3), True),
    ("linalg.lu_factor", SQUARE),
    ("linalg.block_diag", floats(2, 3), floats(1, 2), np.ones(2)),
    ("linalg.toeplitz", floats(3), floats(4)),
    ("linalg.toeplitz", floats(3)),
    ("linalg.expm", floats(3, 3)),
    ("linalg.expm", 9 * floats(2, 3, 3)),
    ("linalg.expm", np.zeros((2, 2))),
    *(
        (f"signal.{f}", floats(3, 7), floats(2, 4), m)
        for f in ("convolve", "correlate")
        for m in ("full", "same", "valid")
    ),
    *(("signal.fftconvolve", floats(3, 7), floats(2, 4), m) for m in ("full", "same", "valid")),
    ("signal.convolve2d", floats(3, 7), floats(2, 4)),
    ("signal.correlate2d", floats(3, 7), floats(2, 4), "same"),
    *((f"stats.{n}.logpdf", X, 0.5, 2.0) for n in "norm expon uniform laplace logistic cauchy gumbel_r".split()),
    *((f"stats.{n}.cdf", X, 0.5, 2.0) for n in "norm expon uniform laplace logistic cauchy gumbel_r".split()),
    *((f"stats.{n}.logpdf", X, P, 0.5, 2.0) for n in "gamma chi2 t".split()),
    *((f"stats.{n}.pdf", X) for n in "norm laplace".split()),
    ("stats.pareto.logpdf", P, Q, 0.5, 2.0),
    ("stats.gamma.cdf", P, Q),
    ("stats.chi2.cdf", P, Q),
    ("stats.beta.logpdf", U, P, Q),
    ("stats.beta.cdf", U, P, Q),
    ("stats.norm.ppf", U, 1.0, 2.0),
    ("stats.norm.logcdf", X),
    ("stats.norm.sf", X),
    ("stats.norm.logsf", X),
    ("stats.logistic.sf", X),
    ("stats.truncnorm.logpdf", X, np.full(20, -1.0), np.full(20, 2.0), 0.1, 1.5),
    ("stats.truncnorm.logpdf", X + 4, np.full(20, 3.0), np.full(20, 5.0)),
    ("stats.bernoulli.logpmf", np.array([0, 1, 2]), 0.3),
    ("stats.binom.logpmf", np.arange(-1, 8), 6, 0.3),
    ("stats.nbinom.logpmf", np.arange(-1, 8), 6, 0.3),
    ("stats.geom.logpmf", np.arange(-1, 8), 0.3),
    ("stats.poisson.logpmf", np.array([-1, 0, 3, 9, 2.5]), 2.5),
    ("stats.poisson.cdf", np.array([-1, 0, 3, 9, 2.5]), 2.5),
    ("special.expi", 10 * X),
    ("special.exp1", 5 * P),
    ("special.expn", np.round(4 * P), Q),
    ("special.expn", np.round(4 * P), U),
    ("special.spence", P),
    ("special.spence", U),
    ("special.comb", COUNTS + 3, COUNTS),
    *(
        (f"stats.{n}.{f}", X, 0.5, 2.0)
        for n in "norm expon laplace logistic cauchy gumbel_r gumbel_l uniform".split()
        for f in "logpdf cdf logcdf sf logsf".split()
    ),
    *(
        (f"stats.{n}.{f}", U, 0.5, 2.0)
        for n in "norm expon logistic cauchy gumbel_r gumbel_l uniform".split()
        for f in ("ppf", "isf")
    ),
    *((f"stats.{n}.{f}", P, Q) for n in ("gamma", "chi2") for f in "cdf logcdf sf logsf".split()),
    *((f"stats.beta.{f}", U, P, Q) for f in "cdf logcdf sf logsf".split()),
    *((f"stats.pareto.{f}", P + 1, Q) for f in "cdf logcdf sf logsf".split()),
    *((f"stats.truncnorm.{f}", X, -P, Q, 0.1, 1.3) for f in "cdf logcdf sf logsf".split()),
    ("stats.pareto.ppf", U, Q),
    ("stats.gennorm.logpdf", X, Q),
    ("stats.gennorm.cdf", X, Q),
    ("stats.vonmises.logpdf", X, P),
    ("stats.wrapcauchy.logpdf", P, U),
    ("stats.bernoulli.cdf", np.array([-1.0, 0.0, 0.5, 1.0, 2.0]), 0.3),
    ("stats.bernoulli.ppf", U, 0.3),
    ("stats.betabinom.logpmf", np.arange(-1.0, 8), 6.0, 1.5, 2.5),
    ("stats.poisson.entropy", np.array([0.1, 1.0, 10.0, 90.0])),
    *(("stats.rankdata", np.round(floats(4, 6)), m) for m in "average min max dense ordinal".split()),
    ("stats.sem", floats(4, 6), 1),
    *((f"linalg.{n}", floats(5)) for n in "circulant companion fiedler fiedler_companion hankel".split()),
    *(("linalg.convolution_matrix", floats(n), 4, m) for n in (2, 5) for m in ("full", "same", "valid")),
    ("linalg.leslie", floats(4), floats(3)),
    ("linalg.sqrtm", DEFINITE.astype(complex)),
    ("linalg.solve_sylvester", SQUARE, floats(3, 3), floats(4, 3)),
    ("linalg.polar", SQUARE),
    ("linalg.polar", floats(5, 3), "left"),
    ("linalg.expm_frechet", SQUARE, DEFINITE),
    ("linalg.qr_multiply", floats(5, 3), floats(3, 2), "left"),
    ("signal.detrend", floats(2, 60)),
    ("signal.detrend", floats(2, 60), 0, "constant"),
    ("signal.detrend", floats(2, 60), -1, "linear", [20, 45]),
    *(("signal.welch", floats(2, 90), 2.0, w, n, o) for w, n, o in (("hann", 32, None), ("hamming", 25, 7))),
    ("signal.csd", floats(2, 90), floats(2, 90, seed=1), 2.0, "hann", 32),
    *(("signal.stft", floats(2, 90), 2.0, "hann", n, o) for n, o in ((32, None), (25, 9))),
    ("stats.multivariate_normal.logpdf", floats(5, 4), floats(4), DEFINITE),
    ("stats.dirichlet.logpdf", np.array([0.2, 0.3, 0.5]), np.array([1.0, 2.0, 3.0])),
    ("stats.multinomial.logpmf", np.array([[1, 2, 3], [1, 1, 1]]), 6, np.array([0.2, 0.3, 0.5])),
]


def find(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_a_function_gives_scipys_values(case):
    name, *args = case
    importlib.import_module(f"scipy.{name.split('.')[0]}")
    want = tree.leaves(find(scipy, name)(*args))
    moving = [a for a in args if isinstance(a, np.ndarray)]

    def run(*given):
        values = iter(given)
        return find(xlac.scipy, name)(*(next(values) if isinstance(a, np.ndarray) else a for a in args))

    got = tree.leaves(xlac.jit(run, options=EVALUATED)(*moving))
    assert len(got) == len(want)
    for g, w in zip(got, want):
        np.testing.assert_allclose(g, w, rtol=2e-11, atol=1e-12)


def test_factors_solve_systems_both_ways():
    linalg, b = xlac.scipy.linalg, floats(4, 2)
    for trans, matrix in ((0, SQUARE), (1, SQUARE.T)):
        np.testing.assert_allclose(matrix @ linalg.lu_solve(linalg.lu_factor(SQUARE), b, trans), b, atol=1e-12)
    for lower in (False, True):
        np.testing.assert_allclose(DEFINITE @ linalg.cho_solve(linalg.cho_factor(DEFINITE, lower), b), b, atol=1e-10)
    w, v = linalg.eigh(DEFINITE, DEFINITE + np.eye(4))
    np.testing.assert_allclose(DEFINITE @ v, (DEFINITE + np.eye(4)) @ v * w, atol=1e-10)


def test_a_signal_comes_back_from_its_transforms():
    signal = floats(3, 90)
    times, transforms = xlac.scipy.signal.stft(signal, 2.0, nperseg=32)[1:]
    assert times.shape[0] == transforms.shape[-1]
    np.testing.assert_allclose(xlac.scipy.signal.istft(transforms, 2.0, nperseg=32)[1][:, :90], signal, atol=1e-12)


def test_a_function_of_a_matrix_is_that_of_its_eigenvalues():
    import scipy.linalg

    made = xlac.scipy.linalg.funm(SQUARE, xlac.numpy.exp)
    np.testing.assert_allclose(made, scipy.linalg.expm(SQUARE), rtol=1e-9, atol=1e-9)
    h, q = xlac.scipy.linalg.hessenberg(SQUARE, calc_q=True)
    np.testing.assert_allclose(q @ h @ q.T, SQUARE, atol=1e-12)
    t, z = xlac.scipy.linalg.rsf2csf(*xlac.scipy.linalg.schur(SQUARE))
    np.testing.assert_allclose(z @ t @ np.conj(z.T), SQUARE, atol=1e-12)
    for name in "hadamard hilbert invhilbert invpascal pascal helmert dft".split():
        want = getattr(scipy.linalg, name)(4)
        np.testing.assert_allclose(getattr(xlac.scipy.linalg, name)(4), want, rtol=1e-6, atol=1e-6)


SLOPES = {
    "special.expi": 0.7,
    "special.exp1": 0.7,
    "special.spence": 0.7,
    "special.erfinv": 0.3,
    "special.gammaln": 2.3,
    "special.digamma": 2.3,
    "special.i0e": 1.2,
    "special.i1e": -1.2,
    "special.ndtri": 0.05,
    "special.log_ndtr": -12.0,
    "special.logit": 0.3,
    "special.entr": 0.4,
    "stats.norm.logpdf": 0.7,
    "stats.norm.logcdf": -1.7,
    "stats.cauchy.logpdf": 0.7,
}


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives_are_those_of_central_differences(name):
    function, x, h = find(xlac.scipy, name), np.float64(SLOPES[name]), 1e-6
    want = (function(x + h) - function(x - h)) / (2 * h)
    run = xlac.jit(xlac.grad(function), options=EVALUATED)
    np.testing.assert_allclose(run(x), want, rtol=1e-6)


def test_derivatives_of_functions_of_two_are_those_of_central_differences():
    special, h = xlac.scipy.special, 1e-6
    for name, first, x in (("gammainc", 2.5, 1.7), ("gammaincc", 2.5, 4.7), ("polygamma", 2.0, 1.7)):
        function, first, x = getattr(special, name), np.float64(first), np.float64(x)
        want = (function(first, x + h) - function(first, x - h)) / (2 * h)
        np.testing.assert_allclose(xlac.grad(function, argnums=1)(first, x), want, rtol=1e-6)
