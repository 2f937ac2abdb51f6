"""Random numbers: JAX's values for the same keys, their distributions, and what is refused."""

import json
import math
import pathlib

import ml_dtypes
import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests import random_cases
from tests.evaluated import EVALUATED
from tests.random_cases import CASES, SEED
from xlac import lax, random
from xlac.errors import ShapeError, TraceError

GOLDEN = json.loads(pathlib.Path(__file__).with_name("random_golden.json").read_text())
# One of each family: the others are made of the same parts.
TRACED = [
    "split in a matrix",
    "bits uint64",
    "uniform bfloat16",
    "normal float32",
    "randint int32",
    "bernoulli",
    "permutation of rows",
    "choice with probabilities",
    "categorical",
    "gamma float32",
    "poisson",
]


def call(name, key):
    function, args, kwargs, _ = CASES[name]
    found = getattr(random, function)(key, *args, **kwargs)
    return random.key_data(found) if function in ("split", "fold_in") else found


def golden(name):
    row = GOLDEN[name]
    dtype = xnp.dtype(row["dtype"])
    if dtype.kind == "c":
        return np.array(row["values"], xnp.dtype(f"f{dtype.itemsize // 2}")).view(dtype).reshape(row["shape"])
    return np.array(row["values"], xnp.uint64 if dtype == xnp.uint64 else None).astype(dtype).reshape(row["shape"])


def check(name, got, want):
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
    else:
        tolerance = CASES[name][3] * float(ml_dtypes.finfo(got.dtype).eps)
        wide = np.complex128 if got.dtype.kind == "c" else np.float64
        np.testing.assert_allclose(got.astype(wide), want.astype(wide), rtol=tolerance, atol=tolerance)


@pytest.fixture(scope="module")
def key():
    return random.key(SEED)


@pytest.mark.parametrize("name", CASES)
def test_the_same_key_gives_the_numbers_of_jax(name, key):
    check(name, call(name, key), golden(name))


@pytest.mark.parametrize("name", TRACED)
def test_numbers_under_jit_are_those_outside(name, key):
    check(name, xlac.jit(lambda k: call(name, k))(key), golden(name))


@pytest.mark.parametrize("name", TRACED)
def test_numbers_by_the_evaluator_are_those_of_native_code(name, key):
    check(name, xlac.jit(lambda k: call(name, k), options=EVALUATED)(key), golden(name))


@pytest.mark.jax
@pytest.mark.parametrize("name", CASES)
def test_another_key_gives_the_numbers_of_jax_too(name):
    check(name, call(name, random.key(2**31 + 5)), random_cases.run_jax(name, 2**31 + 5))


# ---- keys


def test_a_key_is_the_upper_and_lower_half_of_the_seed():
    assert random.PRNGKey(7).tolist() == [0, 7]
    assert random.PRNGKey(2**32 - 1).tolist() == [0, 2**32 - 1]
    assert random.PRNGKey(2**40 + 3).tolist() == [2**8, 3]
    assert random.PRNGKey(np.int64(-1)).tolist() == [2**32 - 1] * 2
    assert random.PRNGKey(np.int32(-1)).tolist() == [0, 2**32 - 1]
    assert random.PRNGKey(-1).tolist() == [0, 2**32 - 1]
    assert random.PRNGKey(np.uint64(2**64 - 2)).tolist() == [2**32 - 1, 2**32 - 2]
    assert xlac.jit(random.PRNGKey)(np.int64(2**40)).tolist() == [2**8, 0]
    assert random.PRNGKey(5).dtype == np.uint32
    for seed in (7, -1, 2**40 + 3, np.int64(-1)):
        np.testing.assert_array_equal(random.key_data(random.key(seed)), random.PRNGKey(seed))


@pytest.mark.parametrize("name", TRACED)
def test_words_of_a_key_give_the_numbers_of_the_key(name, key):
    words = random.key_data(key)
    np.testing.assert_array_equal(call(name, words), call(name, key))
    assert random.split(words, 3).dtype == np.uint32


def test_arrays_of_keys_have_the_shape_of_the_keys(key):
    assert key.shape == ()
    assert xlac.numpy.issubdtype(key.dtype, xlac.dtypes.prng_key)
    assert not xlac.numpy.issubdtype(random.key_data(key).dtype, xlac.dtypes.prng_key)
    keys = random.split(key, (2, 3))
    assert keys.shape == (2, 3)
    first, second = keys
    stacked = xnp.stack([first, second]).reshape(3, 2)
    np.testing.assert_array_equal(random.wrap_key_data(random.key_data(stacked)), keys.reshape(3, 2))
    draw = xlac.vmap(xlac.vmap(random.uniform, in_axes=-1), in_axes=-1)
    np.testing.assert_array_equal(draw(keys), [[random.uniform(keys[i, j]) for i in range(2)] for j in range(3)])
    tree = xlac.tree.unflatten(xlac.tree.structure({"b": 0, "w": 0}), list(first[:2]))
    np.testing.assert_array_equal(xlac.tree.map(random.normal, tree)["w"], random.normal(first[1]))
    chosen = xlac.jit(lambda p, keys: lax.cond(p, lambda k: k[0], lambda k: xnp.where(p, k[0], k[1]), keys))
    assert chosen(False, first) == first[1]


def test_each_part_of_a_split_is_a_key_of_its_own(key):
    parts = random.split(key, 1000)
    assert parts.shape == (1000,)
    assert len(set(parts.tolist())) == 1000
    np.testing.assert_array_equal(random.split(key, 3), parts[:3])


def test_folding_in_a_traced_number_is_folding_in_that_number(key):
    numbers = np.arange(4, dtype=np.int32)
    found = xlac.jit(lambda k, xs: lax.map(lambda x: random.fold_in(k, x), xs))(key, numbers)
    np.testing.assert_array_equal(found, [random.fold_in(key, int(n)) for n in numbers])


def test_numbers_in_a_loop_are_those_outside(key):
    def step(k, _):
        k, sub = random.split(k)
        return k, random.normal(sub, (3,))

    _, rows = xlac.jit(lambda k: lax.scan(step, k, None, length=3))(key)
    for row in rows:
        key, sub = random.split(key)
        np.testing.assert_array_equal(row, random.normal(sub, (3,)))


@pytest.mark.slow
def test_a_map_over_keys_gives_what_each_of_them_gives(key):
    keys = random.split(key, 3)

    def several(k):
        return (
            random.normal(k, (2,)),
            random.permutation(k, 5),
            random.gamma(k, 0.7, (2,)),
            random.poisson(k, 4.0, (3,)),
        )

    for found, wanted in zip(xlac.vmap(several)(keys), zip(*(several(k) for k in keys))):
        np.testing.assert_allclose(found, np.stack(wanted), rtol=1e-6)


def test_key_data_are_the_words_of_a_key(key):
    words = random.key_data(random.clone(key))
    np.testing.assert_array_equal(words, random.PRNGKey(SEED))
    np.testing.assert_array_equal(random.wrap_key_data(words), key)


# ---- distributions: the mean and variance of n samples, within five standard deviations of what they estimate

N = 20000
EULER = 0.5772156649015329

# name -> (function, arguments, mean, variance, fourth central moment over the squared variance)
MOMENTS = {
    "uniform": ("uniform", (), 1 / 2, 1 / 12, 1.8),
    "normal": ("normal", (), 0, 1, 3),
    "exponential": ("exponential", (), 1, 1, 9),
    "laplace": ("laplace", (), 0, 2, 6),
    "logistic": ("logistic", (), 0, math.pi**2 / 3, 4.2),
    "gumbel": ("gumbel", (), EULER, math.pi**2 / 6, 5.4),
    "rademacher": ("rademacher", (), 0, 1, 1),
    "maxwell": ("maxwell", (), 2 * math.sqrt(2 / math.pi), 3 - 8 / math.pi, 3.2),
    "gamma": ("gamma", (2.5,), 2.5, 2.5, 3 + 6 / 2.5),
    "gamma below 1": ("gamma", (0.3,), 0.3, 0.3, 3 + 6 / 0.3),
    "poisson of a low rate": ("poisson", (3.0,), 3, 3, 3 + 1 / 3),
    "poisson of a high rate": ("poisson", (50.0,), 50, 50, 3.02),
    "bernoulli": ("bernoulli", (0.3,), 0.3, 0.21, 1.8),
    "geometric": ("geometric", (0.25,), 4, 12, 9.1),
    "wald": ("wald", (1.0,), 1, 1, 18),
    "triangular": ("triangular", (0.0, 1.0, 2.0), 1, 1 / 6, 2.4),
    "rayleigh": ("rayleigh", (1.0,), math.sqrt(math.pi / 2), 2 - math.pi / 2, 3.3),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_samples_have_the_moments_of_their_distribution(name, key):
    function, args, mean, variance, kurtosis = MOMENTS[name]
    x = getattr(random, function)(random.fold_in(key, 99), *args, shape=(N,)).astype(np.float64)
    assert abs(x.mean() - mean) < 5 * math.sqrt(variance / N)
    assert abs(np.mean((x - mean) ** 2) - variance) <= 5 * variance * math.sqrt((kurtosis - 1) / N)


def test_samples_of_narrow_floats_are_in_range(key):
    for dtype in (np.float16, ml_dtypes.bfloat16):
        x = random.uniform(key, (N,), dtype).astype(np.float64)
        assert 0 <= x.min() and x.max() < 1
        assert abs(x.mean() - 0.5) < 5 * math.sqrt(1 / 12 / N) + float(ml_dtypes.finfo(dtype).eps)
        assert np.isfinite(random.normal(key, (N,), dtype).astype(np.float64)).all()


def test_bits_are_each_set_half_the_time(key):
    x = random.bits(key, (N,), np.uint64)
    counts = ((x[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)).sum(0)
    assert np.all(np.abs(counts - N / 2) < 5 * math.sqrt(N / 4))


def test_truncated_normal_samples_keep_to_their_limits(key):
    x = random.truncated_normal(key, -0.5, np.float32(3), (N,))
    assert -0.5 < x.min() and x.max() < 3
    assert random.truncated_normal(key, 6.0, 7.0, (100,)).min() > 6


def test_every_class_is_drawn_as_often_as_it_should_be(key):
    p = np.array([0.1, 0.2, 0.3, 0.4])
    for drawn in (
        random.categorical(key, np.log(p).astype(np.float32), shape=(N,)),
        random.choice(key, 4, (N,), p=p.astype(np.float32)),
    ):
        counts = np.bincount(drawn, minlength=4)
        assert np.all(np.abs(counts - N * p) < 5 * np.sqrt(N * p * (1 - p)))


def test_integers_are_equally_frequent(key):
    counts = np.bincount(random.randint(key, (N,), 0, 7), minlength=7)
    assert counts.size == 7 and np.all(np.abs(counts - N / 7) < 5 * math.sqrt(N * 6 / 49))


def test_dirichlet_vectors_sum_to_one_with_the_right_means(key):
    alpha = np.array([0.5, 1.0, 2.5], np.float32)
    x = random.dirichlet(key, alpha, (N,))
    np.testing.assert_allclose(x.sum(-1), 1, rtol=1e-6)
    mean = alpha / 4
    assert np.all(np.abs(x.mean(0) - mean) < 5 * np.sqrt(mean * (1 - mean) / 5 / N))


def test_multivariate_normal_samples_have_the_covariance(key):
    x = random.multivariate_normal(key, np.ones(3, np.float32), random_cases.COVARIANCE, (N,))
    found = np.cov(x.T.astype(np.float64))
    c = random_cases.COVARIANCE.astype(np.float64)
    deviation = np.sqrt((np.outer(np.diag(c), np.diag(c)) + c * c) / N)
    assert np.all(np.abs(found - c) < 5 * deviation)
    batched = random.multivariate_normal(
        key, np.ones((2, 3), np.float32), np.stack([random_cases.COVARIANCE] * 2), (4, 2)
    )
    assert batched.shape == (4, 2, 3)
    assert np.isnan(random.multivariate_normal(key, np.zeros(2, np.float32), np.diag([1.0, -1.0]))[1])


def test_orthogonal_matrices_are_orthogonal(key):
    for n, m in ((5, 5), (2, 6), (6, 2)):
        q = random.orthogonal(key, n, (3,), np.float64, m=m)
        assert q.shape == (3, n, m)
        product = q @ q.mT if n < m else q.mT @ q
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(min(n, m)), product.shape), atol=1e-14)


def test_points_of_a_ball_are_inside_and_spread_evenly(key):
    x = random.ball(key, 3, shape=(N,))
    radius = np.linalg.norm(x, axis=-1)
    assert radius.max() < 1
    # The fraction within radius r of the ball in three dimensions is r^3.
    assert abs(np.mean(radius**3) - 0.5) < 5 * math.sqrt(1 / 12 / N)


def test_permutations_keep_every_element_once(key):
    for n in (0, 1, 2, 1000):
        assert sorted(random.permutation(key, n).tolist()) == list(range(n))
    x = random.permutation(key, np.arange(2000).reshape(1000, 2))
    np.testing.assert_array_equal(x[:, 0] + 1, x[:, 1])
    each = random.permutation(key, np.tile(np.arange(50), (4, 1)), axis=1, independent=True)
    np.testing.assert_array_equal(np.sort(each, axis=1), np.tile(np.arange(50), (4, 1)))
    assert len({tuple(row) for row in each.tolist()}) == 4


def test_choices_without_replacement_are_distinct(key):
    assert len(set(random.choice(key, 10, (10,), replace=False).tolist())) == 10
    p = np.array([0, 1, 1, 1], np.float32) / 3
    assert set(random.choice(key, 4, (3,), False, p).tolist()) == {1, 2, 3}


# ---- derivatives


def test_samples_have_derivatives_by_their_parameters(key):
    def total(low, scale):
        return (random.uniform(key, (5,), np.float32, low, low + scale) * random.normal(key, (5,))).sum()

    u, z = random.uniform(key, (5,)), random.normal(key, (5,))
    by_low, by_scale = xlac.grad(total, argnums=(0, 1))(1.0, 2.0)
    np.testing.assert_allclose(by_low, z.sum(), rtol=1e-5)
    np.testing.assert_allclose(by_scale, (u * z).sum(), rtol=1e-5)


def test_special_functions_and_their_derivatives():
    scipy_special = pytest.importorskip("scipy.special")
    x = np.array([-0.9, -0.3, 0.0, 0.5, 0.99])
    np.testing.assert_allclose(lax.erf_inv(x), scipy_special.erfinv(x), rtol=1e-14, atol=1e-300)
    slope = xlac.grad(lambda v: lax.erf_inv(v).sum())(x)
    np.testing.assert_allclose(slope, math.sqrt(math.pi) / 2 * np.exp(scipy_special.erfinv(x) ** 2), rtol=1e-13)
    y = np.array([-2.5, 0.1, 1.0, 3.7, 30.0])
    np.testing.assert_allclose(lax.lgamma(y), scipy_special.gammaln(y), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(lax.digamma(y), scipy_special.digamma(y), rtol=1e-12)
    np.testing.assert_allclose(xlac.grad(lambda v: lax.lgamma(v).sum())(y), scipy_special.digamma(y), rtol=1e-12)
    z = np.array([-2.0, 0.0, 0.7, 3.0, 20.0])
    np.testing.assert_allclose(lax.erfc(z), scipy_special.erfc(z), rtol=1e-13)
    np.testing.assert_allclose(
        xlac.grad(lambda v: lax.erfc(v).sum())(z), -2 / math.sqrt(math.pi) * np.exp(-z * z), rtol=1e-13
    )


# ---- what is refused


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda k: random.uniform(np.zeros(2, np.float32)), "no key"),
        (lambda k: random.normal(random.split(k)), "several keys"),
        (lambda k: random.key(1.5), "single integer"),
        (lambda k: random.key(np.arange(3)), "single integer"),
        (lambda k: random.key(1, impl="philox"), "one of threefry2x32, rbg, unsafe_rbg"),
        (lambda k: random.key(1, impl="unsafe_rbg"), "make it the usual generator"),
        (lambda k: random.fold_in(k, 0.5), "single integer"),
        (lambda k: random.bits(k, (), np.int32), "must be uint8"),
        (lambda k: random.uniform(k, (), np.int32), "must be float16"),
        (lambda k: random.uniform(k, (3,), minval=np.zeros(2, np.float32)), "do not broadcast"),
        (lambda k: random.randint(k, (), 0, 3, np.float32), "integer type"),
        (lambda k: random.bernoulli(k, 1), "a probability is a float"),
        (lambda k: random.bernoulli(k, 0.5, mode="medium"), "one of low, high"),
        (lambda k: random.permutation(k, 2.5), "neither an integer nor an array"),
        (lambda k: random.choice(k, 3, (4,), replace=False), "at most 3"),
        (lambda k: random.choice(k, 0, (4,)), "nothing to choose"),
        (lambda k: random.choice(k, 3, (4,), p=np.ones(2, np.float32)), "one element for each"),
        (lambda k: random.categorical(k, np.zeros(3, np.float32), shape=(4,), replace=False), "at most"),
        (lambda k: random.multivariate_normal(k, np.zeros(3), np.eye(2)), r"\[..., n, n\]"),
        (lambda k: random.multivariate_normal(k, np.zeros(2), np.eye(2), method="qr"), "cholesky"),
        (lambda k: random.dirichlet(k, 1.0), "scalar"),
    ],
)
def test_bad_arguments_are_refused_with_what_would_be_right(function, message, key):
    with pytest.raises(ShapeError, match=message):
        function(key)


def test_a_permutation_of_a_traced_number_is_refused(key):
    with pytest.raises(TraceError, match="static_argnums"):
        xlac.jit(random.permutation)(key, 3)
