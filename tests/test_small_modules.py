"""Small modules by JAX's names: profiles, types, tokens."""

import numpy as np

import xlac
import xlac.numpy as xnp
from xlac import lax

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
