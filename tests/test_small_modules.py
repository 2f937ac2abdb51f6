"""Small modules by JAX's names: profiles, types, tokens."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import TraceError

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_annotations_of_profiles_are_scopes_of_programs(tmp_path):
    def step(x):
        with xlac.profiler.StepTraceAnnotation("train", step_num=3), xlac.profiler.TraceAnnotation("inner"):
            return xlac.profiler.annotate_function(lambda x: x * 2, "double")(x)

    with xlac.profiler.trace(tmp_path):
        xlac.profiler.start_trace(tmp_path)
        text = xlac.jit(step).lower(X).as_text()
        xlac.profiler.stop_trace()
    assert "train/inner/double/multiply" in text
    assert not list(tmp_path.iterdir())


def test_questions_about_types_have_jaxs_names():
    assert (xlac.dtypes.itemsize_bits("int4"), xlac.dtypes.itemsize_bits(np.float64)) == (4, 64)
    numbers = (np.ones(1), 3, True, 2j, xlac.dtypes.bfloat16(1))
    assert [xlac.dtypes.scalar_type_of(x) for x in numbers] == [float, int, bool, complex, float]
    assert isinstance(xnp.ones(2), xlac.typing.Array) and (lax.dtype(2.5), lax.dtype("int8")) == (np.float32, np.int8)
    np.testing.assert_array_equal(xlac.dlpack.from_dlpack(X), X)


def test_tokens_order_nothing_and_stages_are_arrays():
    assert lax.after_all(lax.create_token(), lax.create_token()).size == 0
    assert isinstance(lax.stage(3.0), xlac.Array) and lax.dce_sink(X) is None
    exact = lax.exp(X, accuracy=lax.AccuracyMode.HIGHEST)
    np.testing.assert_array_equal(exact, xlac.jit(lambda x: lax.exp(x, accuracy=lax.Tolerance(rtol=1e-3)))(X))
    np.testing.assert_array_equal(lax.dynamic_slice_in_dim(X, -1, 1, 1), X[:, 2:])
    np.testing.assert_array_equal(lax.dynamic_slice_in_dim(X, -1, 1, 1, allow_negative_indices=False), X[:, :1])


def test_containers_are_taken_apart_one_level():
    from xlac import tree_util

    children, data = tree_util.flatten_one_level({"b": [1], "a": 2})
    assert (children, data) == ((2, [1]), ("a", "b"))
    pairs, _ = tree_util.flatten_one_level_with_keys((3, 4))
    assert pairs == ((tree_util.SequenceKey(0), 3), (tree_util.SequenceKey(1), 4))
    assert [tree_util.is_tree_node(t) for t in (dict, tuple, type(None), int)] == [True, True, True, False]
    with pytest.raises(ValueError, match="int is no container"):
        tree_util.flatten_one_level(3)


def test_where_arrays_are_can_be_looked_at(capsys):
    seen = []
    xlac.debug.inspect_array_sharding(xnp.ones(2), callback=seen.append)
    xlac.debug.visualize_array_sharding(xnp.ones((2, 3)))
    assert seen == [xnp.ones(2).sharding] and capsys.readouterr().out == "[2, 3]: CPU 0\n"


def test_the_folder_of_compiled_objects_can_be_set_by_its_older_name(tmp_path, monkeypatch):
    from xlac.experimental.compilation_cache import compilation_cache

    monkeypatch.setenv("XLAC_CACHE_DIR", "")
    compilation_cache.set_cache_dir(tmp_path)
    assert xlac.config.jax_compilation_cache_dir == str(tmp_path)
    compilation_cache.reset_cache()
    assert xlac.config.jax_compilation_cache_dir is None


def test_a_product_may_be_of_another_type():
    x = np.array([100, 3], np.int8)
    np.testing.assert_array_equal(lax.mul(x, x, out_dtype=np.int32), [10000, 9])
    assert lax.mul(x, x, out_dtype=np.int32).dtype == np.int32


def test_a_debugging_check_is_one_where_its_error_is_a_result():
    from xlac.experimental import checkify

    def f(x):
        checkify.debug_check(x > 0, "x is {}", x)
        return x

    assert xlac.jit(f)(-1.0) == -1
    error, _ = checkify.checkify(f)(-1.0)
    assert isinstance(error.get_exception(), checkify.JaxRuntimeError) and "x is -1.0" in str(error.get_exception())
    assert checkify.checkify(f)(1.0)[0].get_exception() is None


def test_an_area_is_the_mean_of_what_it_covers_and_a_cubic_keeps_a_line():
    image = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_allclose(xlac.image.resize(image, (2, 2), "area"), image.reshape(2, 2, 2, 3).mean((1, 3)))
    doubled = xlac.image.resize(image, (8, 6), "cubic-pytorch", antialias=False)
    np.testing.assert_allclose(doubled[4:6, 0], [10.5, 13.5], atol=0.6)
    np.testing.assert_allclose(np.asarray(doubled).mean(), image.mean(), rtol=1e-5)


@pytest.mark.parametrize("scaled", [True, False])
def test_a_jet_is_the_taylor_series_along_a_curve(scaled):
    from math import factorial

    from xlac.experimental.jet import jet

    along = np.polynomial.Polynomial([0.3, 1.0, 0.5, -0.2])
    terms = [along.coef[k] * (factorial(k) if scaled else 1) for k in (1, 2, 3)]
    f = lambda x, y: {"cube": x**3 * y, "exp": (xnp.exp(y),)}  # noqa: E731
    run = xlac.jit(lambda x: jet(f, (x, np.array([2.0, 1.0])), (terms, [0.0, 0.0, 0.0]), factorial_scaled=scaled))
    value, series = run(np.float64(0.3))
    np.testing.assert_allclose(value["cube"], 0.027 * np.array([2.0, 1.0]))
    cube = (along**3).coef
    for k in (1, 2, 3):
        want = cube[k] * (factorial(k) if scaled else 1)
        np.testing.assert_allclose(series["cube"][k - 1], want * np.array([2.0, 1.0]), rtol=1e-12)
        np.testing.assert_array_equal(series["exp"][0][k - 1], [0, 0])
    with pytest.raises(TraceError, match="series of lengths"):
        jet(f, (0.3, 2.0), ([1.0], [0.0, 0.0]))
    with pytest.raises(TraceError, match="it must be of floats"):
        jet(f, (3, 2.0), ([1.0], [0.0]))


@pytest.mark.jax
def test_a_jet_is_jaxs():
    jet = pytest.importorskip("jax.experimental.jet").jet
    import jax.numpy as jnp

    given = ((0.3, 2.0), ((1.0, 0.5, 0.2), (0.1, 0.0, 1.0)))
    ours = xlac.experimental.jet.jet(lambda x, y: xnp.sin(x * y), *given)
    theirs = jet(lambda x, y: jnp.sin(x * y), *given)
    for got, want in zip(xlac.tree.leaves(ours), [theirs[0], *theirs[1]]):
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_a_breakpoint_shows_the_variables_that_the_program_has_there(monkeypatch, capsys):
    def f(x, settings):
        doubled = x * 2
        xlac.debug.breakpoint()
        return {"sum": doubled.sum(), "name": settings["name"]}["sum"]

    for run in (lambda x: f(x, {"name": "a"}), xlac.jit(lambda x: f(x, {"name": "a"}))):
        typed = iter(["print(doubled.tolist(), settings['name'])"])

        def read(prompt, typed=typed):
            try:
                return next(typed)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr("builtins.input", read)
        assert run(np.array([1.0, 2.0])) == 6
        shown = capsys.readouterr()
        assert "[2.0, 4.0] a" in shown.out
        assert "test_small_modules.py" in shown.err and "with doubled, settings, x" in shown.err
