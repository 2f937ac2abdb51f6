"""Other libraries on arrays of `xlac.numpy`: SciPy's functions, scikit-learn's estimators, Hypothesis's arrays.

Each is compared with itself on NumPy's arrays; a library that is not installed is left out.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.array_api import make_strategies_namespace

import xlac.numpy as xnp

rng = np.random.default_rng(0)
X = rng.standard_normal((60, 5)).astype(np.float32)
LABELS = (X[:, 0] + X[:, 1] > 0).astype(np.int32)
GUESSES = (X[:, 0] > 0).astype(np.int32)
CHANCES = 1 / (1 + np.exp(-X[:, 0]))

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def libraries_ask_arrays_for_their_namespace(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


def numbers(result):
    """All arrays and numbers of a result, one after the other."""
    if isinstance(result, (tuple, list)):
        return [n for part in result for n in numbers(part)]
    return [np.asarray(result)]


def same(function, *arrays):
    got, want = numbers(function(*map(xnp.asarray, arrays))), numbers(function(*arrays))
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g, w, rtol=2e-3, atol=2e-4)


SCIPY = """
special.expit:p special.logsumexp:p special.softmax:p special.betainc:ppp special.entr:p special.xlogy:pp stats.skew:x
stats.zscore:x stats.gmean:p stats.ttest_ind:vv stats.pearsonr:vv stats.normaltest:x stats.rankdata:v stats.describe:x
signal.convolve:vv signal.lfilter:vvv signal.welch:v signal.hilbert:v signal.detrend:v fft.fft:x fft.rfft2:x fft.dct:x
fft.irfft:x cluster.vq.whiten:x cluster.vq.vq:xx optimize.rosen:v optimize.rosen_der:v integrate.simpson:x
integrate.cumulative_trapezoid:x ndimage.label:x spatial.distance.cdist:xx linalg.svdvals:x
"""


@pytest.mark.parametrize("call", SCIPY.split())
def test_scipy(call):
    scipy = pytest.importorskip("scipy")
    name, kinds = call.split(":")
    function = scipy
    for part in name.split("."):
        function = getattr(pytest.importorskip(function.__name__), part)
    arrays = {"p": np.abs(X).astype(float) / 9, "x": X.astype(float), "v": X[0].astype(float)}
    same(function, *(arrays[k] for k in kinds))


ESTIMATORS = {
    "discriminant_analysis.LinearDiscriminantAnalysis": {},
    "decomposition.PCA": {"n_components": 2, "svd_solver": "full"},
    "linear_model.Ridge": {"solver": "svd"},
    "preprocessing.StandardScaler": {},
    "preprocessing.MinMaxScaler": {},
    "preprocessing.PolynomialFeatures": {},
    "naive_bayes.GaussianNB": {},
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_estimators_of_scikit_learn(name):
    pytest.importorskip("sklearn")
    import importlib

    import sklearn

    module, kind = name.split(".")
    make = getattr(importlib.import_module(f"sklearn.{module}"), kind)

    def run(x, y):
        estimator = make(**ESTIMATORS[name]).fit(x, y)
        return np.abs(getattr(estimator, "transform" if hasattr(estimator, "transform") else "predict")(x))

    with sklearn.config_context(array_api_dispatch=True):
        same(run, X, LABELS.astype(np.float32) if kind == "Ridge" else LABELS)


METRICS = {
    "accuracy_score": (LABELS, GUESSES),
    "f1_score": (LABELS, GUESSES),
    "confusion_matrix": (LABELS, GUESSES),
    "matthews_corrcoef": (LABELS, GUESSES),
    "log_loss": (LABELS, CHANCES),
    "roc_auc_score": (LABELS, CHANCES),
    "mean_squared_error": (X[:, 0], X[:, 1]),
    "r2_score": (X[:, 0], X[:, 1]),
    "pairwise.cosine_similarity": (X, X),
    "pairwise.rbf_kernel": (X, X),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_scikit_learn(name):
    pytest.importorskip("sklearn")
    import sklearn
    import sklearn.metrics

    function = sklearn.metrics
    for part in name.split("."):
        function = getattr(function, part)
    with sklearn.config_context(array_api_dispatch=True):
        same(function, *METRICS[name])


xps = make_strategies_namespace(xnp, api_version="2024.12")


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_hypothesis_draws_arrays(data):
    dtype = data.draw(xps.scalar_dtypes())
    x = data.draw(xps.arrays(dtype, xps.array_shapes(min_dims=0, min_side=0)))
    assert x.dtype == dtype and x.__array_namespace__() is xnp
    if x.size:
        assert x[data.draw(xps.indices(x.shape))].dtype == dtype
    if dtype != xnp.bool:
        values = data.draw(xps.arrays(dtype, 4, unique=True))
        assert xnp.unique_values(values).size == 4


def test_numbers_of_arrays_are_keys_as_numpys_are():
    x = xnp.asarray([3, 1, 3])
    assert {n: i for i, n in enumerate(x)}[3] == 2 and len({float(n) for n in x}) == 2
    assert hash(x[0]) == hash(3) and {2.5: 1}[xnp.asarray(2.5)] == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
