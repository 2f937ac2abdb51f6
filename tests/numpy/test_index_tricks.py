"""`r_` and `c_`."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac.errors import OptionError

X = np.arange(6, dtype=np.float32).reshape(2, 3)
V = np.arange(3, dtype=np.float32)

KEYS = [
    (slice(1, 4), 0, 4),
    (slice(0, 1, 5j), 2.5),
    (V, 0, 0, V),
    slice(5),
    (X, X),
    ("-1", X, X),
    ("0,2", V, V),
    ("0,2,0", V, [1, 2]),
    ("1,2,0", V, V),
    ("1,3", V, V),
    ("0,3,1", V, V),
]


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_rows(key):
    expected = np.r_[key]
    for result in (xnp.r_[key], xlac.jit(lambda: xnp.r_[key])()):
        assert isinstance(result, xlac.Array)
        np.testing.assert_array_equal(result, expected)
        assert result.dtype.itemsize == 4


@pytest.mark.parametrize("key", [(V, V), (V, 0 * V, X.T), (slice(3), V), 4], ids=str)
def test_columns(key):
    np.testing.assert_array_equal(xnp.c_[key], np.c_[key])


def test_traced_arrays_are_joined():
    np.testing.assert_array_equal(xlac.jit(lambda v: xnp.r_[v, 1:3, 0.5])(V), np.r_[V, 1:3, 0.5])


def test_matrices_are_not_made():
    with pytest.raises(OptionError, match="three integers"):
        xnp.r_["r", V]
