"""jit: nesting, static arguments, retracing, types of results, constants, stages."""

import dataclasses
import functools
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from xlac.errors import ShapeError, TraceError

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def jit(f=None, **settings):
    settings.setdefault("options", EVALUATED)
    return xlac.jit(f, **settings)


Point = namedtuple("Point", "x y")


@xlac.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    weight: np.ndarray
    bias: np.ndarray
    name: str = dataclasses.field(default="dense", metadata={"static": True})


def test_results_are_numpy_arrays_nested_as_the_function_nests_them():
    @jit
    def f(tree):
        return {
            "tuple": (tree["a"], [tree["b"] * 2]),
            "point": Point(tree["a"].sum(), None),
            "layer": Layer(tree["a"], tree["b"]),
            "ordered": OrderedDict(z=tree["a"], y=1.5),
        }

    result = f({"b": X, "a": X + 1})
    np.testing.assert_array_equal(result["tuple"][1][0], X * 2)
    assert isinstance(result["point"], Point) and result["point"].x.shape == () and result["point"].y is None
    assert result["layer"].name == "dense"
    assert list(result["ordered"]) == ["z", "y"]
    assert isinstance(result["point"].x, np.ndarray)


def test_arguments_may_be_dataclasses_named_tuples_and_numbers():
    @jit
    def f(layer, point, scale, *, shift):
        return layer.weight @ layer.bias * scale + shift, point.x + point.y

    first, second = f(Layer(X, X[0]), Point(1, 2.5), 2.0, shift=np.float32(1))
    np.testing.assert_allclose(first, X @ X[0] * 2 + 1)
    assert second == 3.5 and second.dtype == np.float32


def test_a_function_is_traced_once_for_each_signature():
    traces = []

    @jit
    def f(x, y=None):
        traces.append(x.shape)
        return x if y is None else x + y

    for _ in range(3):
        f(X)
    assert len(traces) == 1
    f(X + 1)
    assert len(traces) == 1
    f(X[:1])
    f(X.astype(np.float64))
    f(X, X)
    f(X, y=X)
    f(X, 1.0)
    f(X, 2.0)
    f(X, 1)
    f(np.float32(1))
    f(np.zeros((), np.float32))
    assert len(traces) == 8


def test_a_numpy_scalar_and_a_0d_array_give_the_same_result():
    f = jit(lambda x: x + 1)
    assert f(np.zeros((), np.float32)) == f(np.float32(0)) == 1


def test_static_arguments_are_python_values_and_part_of_the_signature():
    traces = []

    def f(x, n, mode="a"):
        traces.append((n, mode))
        return x * n if mode == "a" else x + n

    g = jit(f, static_argnums=1, static_argnames="mode")
    np.testing.assert_array_equal(g(X, 2), X * 2)
    np.testing.assert_array_equal(g(X, n=2), X * 2)
    np.testing.assert_array_equal(g(X, 3, mode="b"), X + 3)
    g(X, 2)
    assert {type(n) for n, _ in traces} == {int}
    assert len(traces) == 3
    g(X, True)
    assert len(traces) == 4


def test_a_static_argument_without_a_hash_is_named():
    def f(x, n):
        return x

    with pytest.raises(TraceError, match=r"static argument 1 of f is \[1\].*not hashable"):
        jit(f, static_argnums=1)(X, [1])


def test_unknown_names_and_numbers_are_refused_at_once():
    with pytest.raises(ValueError, match="has no such argument"):
        jit(lambda x: x, static_argnames="y")
    with pytest.raises(ValueError, match="1 positional"):
        jit(lambda x: x, donate_argnums=3)


def test_an_argument_that_is_no_array_is_named():
    def f(x, setting):
        return x

    with pytest.raises(TraceError, match="argument setting of f is 'fast'.*static_argnums"):
        jit(f)(X, "fast")
    with pytest.raises(ShapeError, match="argument x of f"):
        jit(f)(np.array(["a"]), 1)


def test_a_result_that_is_no_array_is_named():
    with pytest.raises(TraceError, match=r"returns 'text' of type str at \[1\]"):
        jit(lambda x: (x, "text"))(X)


def test_python_numbers_take_the_arrays_type():
    for dtype in (np.float16, np.float32, np.float64, np.int8, np.int64, xnp.bfloat16, np.complex64):
        x = np.ones(2, dtype)
        assert jit(lambda v: v * 2 + 1)(x).dtype == dtype
    assert jit(lambda v: v * 2.5)(np.ones(2, np.int32)).dtype == np.float32
    assert jit(lambda v: v * 2.5)(np.ones(2, np.int64)).dtype == np.float64
    assert jit(lambda v, s: v * s)(np.ones(2, np.float16), 2.5).dtype == np.float16
    assert jit(lambda s: s)(1.5).dtype == np.float32
    assert jit(lambda s: s)(1).dtype == np.int32
    assert jit(lambda s: s)(2**40).dtype == np.int64


def test_python_numbers_keep_their_precision_beside_doubles():
    x = np.zeros(2)
    for f in (lambda v: v + 0.1, lambda v: 0.1 - v, lambda v: np.where(v == 0, 0.1, v), lambda v: v + 0.1 * 1):
        np.testing.assert_array_equal(jit(f)(x), [0.1, 0.1])
    np.testing.assert_array_equal(jit(lambda v, s: v + s)(x, 0.1), [0.1, 0.1])
    np.testing.assert_array_equal(xnp.add(x, 0.1), [0.1, 0.1])
    assert jit(lambda s: s + 1)(0.1).dtype == np.float32


def test_an_integer_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="300 does not fit int8"):
        jit(lambda x: x + 300)(np.ones(2, np.int8))


def test_arrays_of_the_surroundings_become_constants():
    table = np.arange(4, dtype=np.float32)
    f = jit(lambda x: x + table + np.float32(1))
    np.testing.assert_array_equal(f(table), 2 * table + 1)
    assert "constant({0, 1, 2, 3})" in f.lower(table).as_text()


def test_jit_inside_jit_becomes_part_of_the_program():
    inner = jit(lambda x, n: x**n, static_argnums=1)
    outer = jit(lambda x: inner(x, 2) + 1)
    np.testing.assert_array_equal(outer(X), X**2 + 1)


def test_a_method_can_be_jitted():
    class Model:
        scale = 3.0

        @xlac.jit
        def apply(self, x):
            return x

    class Other:
        @staticmethod
        @xlac.jit
        def apply(x):
            return x + 1

    np.testing.assert_array_equal(Other.apply(X), X + 1)
    with pytest.raises(TraceError, match="no array"):
        Model().apply(X)


def test_lower_gives_text_and_compile_gives_a_callable():
    def model(x, n):
        return {"y": x * n}

    lowered = xlac.jit(model, static_argnames="n").lower(X, n=3)
    assert "HloModule jit_model" in lowered.as_text()
    assert "stablehlo.multiply" in lowered.as_text("stablehlo")
    compiled = lowered.compile()
    np.testing.assert_array_equal(compiled(X, n=3)["y"], X * 3)
    assert compiled.cost_analysis()["flops"] == 6
    memory = compiled.memory_analysis()
    assert (memory["argument_size_in_bytes"], memory["output_size_in_bytes"]) == (24, 24)
    assert "multiply" in compiled.as_text("hlo")
    with pytest.raises(TraceError, match=r"compiled for float32\[2,3\]"):
        compiled(X[:1], n=3)


def test_donated_arguments_are_recorded_by_parameter():
    def f(state, x):
        return {k: v + x for k, v in state.items()}

    state = {"a": X, "b": X}
    assert xlac.jit(f, donate_argnums=0).trace(state, X).module.donated == (0, 1)
    assert xlac.jit(f, donate_argnames="x").trace(state, X).module.donated == (2,)
    assert xlac.jit(f).trace(state, X).module.donated == ()


def test_instructions_carry_the_users_line():
    def f(x):
        return np.tanh(x)

    line = f.__code__.co_firstlineno + 1
    (tanh,) = [i for i in xlac.jit(f).trace(X).module.entry if i.is_a("tanh")]
    assert tanh.metadata["source_file"] == __file__
    assert tanh.metadata["source_line"] == line
    assert tanh.metadata["op_name"] == "jit(f)/tanh"


def test_no_results_and_no_arguments():
    assert jit(lambda: None)() is None
    assert jit(lambda x: ())(X) == ()
    np.testing.assert_array_equal(jit(lambda: xnp.arange(3))(), [0, 1, 2])


def test_results_may_be_arguments_or_repeat():
    a, b, c = jit(lambda x: (x, x, x + 1))(X)
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(c, X + 1)


def test_eval_shape_computes_nothing():
    spec = xlac.ShapeDtypeStruct((1000, 1000), np.float32)
    result = xlac.eval_shape(lambda x, s: {"y": x @ x * s, "n": x.shape[0]}, spec, 2.0)
    assert result["y"] == xlac.ShapeDtypeStruct((1000, 1000), np.float32)
    assert result["n"].dtype == np.int32
    inner = []
    jit(lambda x: inner.append(xlac.eval_shape(np.sum, x)) or x)(X)
    assert inner[0].shape == ()


def test_byte_order_does_not_matter():
    np.testing.assert_array_equal(jit(lambda x: x + 1)(X.astype(">f4")), X + 1)


def test_a_failed_trace_leaves_nothing_behind():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        jit(f)(X)
    np.testing.assert_array_equal(xnp.add(X, 1), X + 1)
    np.testing.assert_array_equal(jit(lambda x: x + 1)(X), X + 1)


def test_jit_of_one_function_twice_traces_it_once():
    traced = []

    def f(x, n=2):
        traced.append(n)
        return x * n

    x = np.ones(3, np.float32)
    for _ in range(3):
        assert xlac.jit(f)(x)[0] == 2
    assert traced == [2]
    assert xlac.jit(f, static_argnums=1)(x, 3)[0] == xlac.jit(f, static_argnums=1)(x, 3)[0] == 3
    assert traced == [2, 3]


def test_a_wrapper_that_copies_attributes_is_a_function_of_its_own():
    def f(x):
        return x + 1

    x = np.ones(3, np.float32)
    assert xlac.jit(f)(x)[0] == 2
    wrapper = functools.wraps(f)(lambda x: f(x) + 10)
    assert xlac.jit(wrapper)(x)[0] == 12
    assert xlac.jit(f)(x)[0] == 2
