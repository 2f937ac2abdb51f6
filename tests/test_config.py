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


def test_what_a_function_was_compiled_for_before_is_forgotten_with_its_jits(wide):
    def makes(n):
        return xnp.ones(2) * n

    assert xlac.jit(makes)(2.0).dtype == np.float64
    xlac.config.update("jax_enable_x64", False)
    assert xlac.jit(makes)(2.0).dtype == np.float32


CONTEXTS = {
    "debug_nans": True,
    "debug_infs": True,
    "enable_x64": True,
    "default_prng_impl": "rbg",
    "explain_cache_misses": True,
    "transfer_guard": "disallow",
    "log_compiles": True,
    "default_device": None,
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_context_has_a_setting_for_a_while(name):
    before = xlac.config.read(f"jax_{name}")
    with getattr(xlac, name)(CONTEXTS[name]):
        assert getattr(xlac.config, f"jax_{name}") == CONTEXTS[name]
    assert xlac.config.values[f"jax_{name}"] == before


def test_jit_can_be_switched_off_and_on():
    seen = []
    append = xlac.jit(lambda x: seen.append(type(x)) or x)
    try:
        xlac.config.update("jax_disable_jit", True)
        append(np.ones(2))
        assert xlac.config.jax_disable_jit and seen == [np.ndarray]
    finally:
        xlac.config.update("jax_disable_jit", False)
    append(np.ones(2))
    assert not xlac.config.jax_disable_jit and seen[1] is not np.ndarray


def test_the_folder_of_compiled_objects_is_a_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("XLAC_CACHE_DIR", "")
    monkeypatch.setenv("XLAC_CACHE", "0")
    xlac.config.update("jax_compilation_cache_dir", tmp_path)
    xlac.config.update("jax_enable_compilation_cache", True)
    assert xlac.config.jax_compilation_cache_dir == str(tmp_path) and xlac.config.jax_enable_compilation_cache
    xlac.jit(lambda x: x * 3.25)(np.ones(7))
    assert any(path.is_file() for path in tmp_path.rglob("*"))


def test_settings_that_say_what_is_so_are_taken():
    xlac.config.update("jax_platforms", "cpu")
    xlac.config.update("jax_default_matmul_precision", "highest")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("jax_default_prng_impl", "philox", "one of threefry2x32, rbg, unsafe_rbg"),
        ("jax_numpy_rank_promotion", "raise", "it must be one of 'allow'"),
        ("jax_platforms", "gpu", "jax_platforms='gpu'; it must be one of None, '', 'cpu'"),
        ("jax_nothing", 1, "there is no setting 'jax_nothing'; there are jax_enable_x64"),
    ],
)
def test_other_settings_are_refused(name, value, message):
    with pytest.raises(OptionError, match=message):
        xlac.config.update(name, value)
