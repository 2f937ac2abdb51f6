"""The generators rbg and unsafe_rbg: JAX's bits for the same keys, and how keys of theirs look."""

import numpy as np
import pytest

import xlac
from xlac import random
from xlac.errors import ShapeError

# Of the key 42, by JAX 0.10.
DRAWS = {
    "bits": [2620864722, 2991908441, 282133475],
    "bytes": [210, 89, 227],
    "uniform": [0.6102175712585449, 0.6966079473495483, 0.06568920612335205],
}
GOLDEN = {
    "rbg": {
        "split": [
            [1832780943, 270669613, 1832780943, 270669613],
            [64467757, 2916123636, 64467757, 2916123636],
        ],
        "fold_in": [2547012911, 1371500959, 2547012911, 1371500959],
        "randint": [1, 20, 35, 41],
        "permutation": [2, 1, 3, 4, 5, 0],
        **DRAWS,
    },
    "unsafe_rbg": {
        "split": [
            [2620864722, 2991908441, 282133475, 2589630650],
            [4105776319, 298289174, 864345282, 274752888],
        ],
        "fold_in": [2104303640, 250182049, 1106406590, 1983638428],
        "randint": [39, 91, 59, 37],
        "permutation": [4, 3, 0, 2, 1, 5],
        **DRAWS,
    },
}
CALLS = {
    "split": random.split,
    "fold_in": lambda k: random.fold_in(k, 7),
    "bits": lambda k: random.bits(k, (3,)),
    "bytes": lambda k: random.bits(k, (3,), np.uint8),
    "uniform": lambda k: random.uniform(k, (3,)),
    "randint": lambda k: random.randint(k, (4,), 0, 100),
    "permutation": lambda k: random.permutation(k, 6),
}


@pytest.mark.parametrize("impl", GOLDEN)
def test_numbers_are_those_of_jax_by_key_and_by_words_and_under_jit(impl):
    with xlac.default_prng_impl(impl):
        for make in (random.key, random.PRNGKey):
            key = make(42)
            assert (key.shape, key.dtype, random.key_impl(key)) == ((4,), np.uint32, impl)
            for name, call in CALLS.items():
                np.testing.assert_array_equal(call(key), GOLDEN[impl][name])
                np.testing.assert_array_equal(xlac.jit(call)(key), GOLDEN[impl][name])
    assert random.key(42).dtype == np.uint64


def test_keys_of_four_words_are_rbgs_where_threefry_is_usual():
    key = random.key(42, impl="rbg")
    assert random.key_impl(key) == "rbg" and random.key_impl(random.key(42)) == "threefry2x32"
    np.testing.assert_array_equal(random.split(key), GOLDEN["rbg"]["split"])
    np.testing.assert_array_equal(random.wrap_key_data(random.key_data(key), impl="rbg"), key)
    assert (random.key_dtype("rbg"), random.key_dtype()) == (np.uint32, np.uint64)
    with pytest.raises(ShapeError, match=r"u32\[..., 4\]"):
        random.wrap_key_data(np.zeros(2, np.uint32), impl="rbg")


@pytest.mark.parametrize("impl", GOLDEN)
def test_each_key_of_many_gives_its_own_numbers(impl):
    with xlac.default_prng_impl(impl):
        keys = random.split(random.key(1), 3)
        many = xlac.vmap(lambda k: (random.normal(k, (2,)), random.split(k), random.gamma(k, 2.5)))(keys)
        for i, key in enumerate(keys):
            one = random.normal(key, (2,)), random.split(key), random.gamma(key, 2.5)
            for m, o in zip(many, one):
                np.testing.assert_allclose(m[i], o, rtol=1e-6)


@pytest.mark.jax
@pytest.mark.parametrize("impl", GOLDEN)
def test_numbers_are_those_of_the_jax_that_is_installed(impl):
    jax = pytest.importorskip("jax")
    with xlac.default_prng_impl(impl), jax.default_prng_impl(impl):
        for name, call in CALLS.items():
            theirs = {
                "split": jax.random.split,
                "fold_in": lambda k: jax.random.fold_in(k, 7),
                "bits": lambda k: jax.random.bits(k, (3,)),
                "bytes": lambda k: jax.random.bits(k, (3,), np.uint8),
                "uniform": lambda k: jax.random.uniform(k, (3,)),
                "randint": lambda k: jax.random.randint(k, (4,), 0, 100),
                "permutation": lambda k: jax.random.permutation(k, 6),
            }[name]
            np.testing.assert_array_equal(call(random.PRNGKey(9)), theirs(jax.random.PRNGKey(9)))
