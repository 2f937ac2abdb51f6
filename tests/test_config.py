"""`xlac.config`: the default types, and what else JAX's settings say."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import random
from xlac.errors import OptionError


@pytest.fixture
def wide():
    xlac.config.update("jax_enable_x64", True)
    yield
    xlac.config.update("jax_enable_x64", False)


def types():
    made = (xnp.zeros(2), xnp.arange(3), xnp.array([1.5, 2]), xnp.array([1, 2]), xnp.asarray(2j), random.normal(KEY))
    return [array.dtype.name for array in made]


KEY = np.array([0, 1], np.uint32)


def test_numbers_created_without_a_type_are_wide_where_they_shall_be(wide):
    assert types() == ["float64", "int64", "float64", "int64", "complex128", "float64"]


def test_arrays_keep_their_types_either_way(wide):
    x = np.ones(2, np.float32)
    assert xnp.sin(x).dtype == (x * 2.0).dtype == xlac.jit(lambda v: v + 1.5)(x).dtype == np.float32


def test_what_was_compiled_before_is_forgotten():
    makes = xlac.jit(lambda n: xnp.ones(2) * n)
    try:
        for setting, name in ((False, "float32"), (True, "float64"), (False, "float32")):
            xlac.config.update("jax_enable_x64", setting)
            assert xlac.config.jax_enable_x64 is setting
            assert [xnp.ones(3).dtype.name, makes(2.0).dtype.name, makes(2.0).dtype.name] == [name] * 3
    finally:
        xlac.config.update("jax_enable_x64", False)
    assert types() == ["float32", "int32", "float32", "int32", "complex64", "float32"]


def test_settings_that_say_what_is_so_are_taken():
    xlac.config.update("jax_platforms", "cpu")
    xlac.config.update("jax_default_matmul_precision", "highest")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jax_platforms", "gpu", "jax_platforms='gpu'; it must be one of None, '', 'cpu'"),
        ("jax_nothing", 1, "there is no setting 'jax_nothing'; there are jax_enable_x64"),
    ],
)
def test_other_settings_are_refused(name, value, message):
    with pytest.raises(OptionError, match=message):
        xlac.config.update(name, value)
