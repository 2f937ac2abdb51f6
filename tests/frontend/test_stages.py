"""What surrounds `jit`: stages, scopes, running without it, and why functions are traced again."""

import functools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import TraceError

X = np.array([1.0, 2.0, 3.0], np.float32)


# ---- stages


def model(params, x, n=2, *, scale=1.0):
    return {"y": x @ params["w"] * scale, "n": x.shape[0] * n}


def test_every_stage_tells_shapes_and_nesting():
    f = xlac.jit(model, static_argnames="n")
    params = {"w": np.ones((3, 4), np.float32)}
    traced = f.trace(params, X, scale=X[0])
    wanted = {"y": xlac.ShapeDtypeStruct((4,), np.float32), "n": xlac.ShapeDtypeStruct((), np.int32)}
    assert traced.fun_name == "model"
    lowered = traced.lower()
    for stage in (traced, lowered, f.lower(params, X, scale=X[0]), f.lower(params, X, scale=X[0]).compile()):
        assert stage.out_info == wanted
    lowered = f.lower(params, X, scale=X[0])
    for stage in (lowered, lowered.compile()):
        assert stage.out_tree == xlac.tree.structure(wanted)
        args, kwargs = stage.args_info
        assert args[0]["w"].shape == (3, 4) and args[1].dtype == np.float32 and kwargs["scale"].shape == ()
        assert stage.in_tree == xlac.tree.structure(((params, X), {"scale": 0}))
        assert stage.cost_analysis()["flops"] >= 24
    compiled = lowered.compile()
    assert compiled.memory_analysis()["argument_size_in_bytes"] == 4 * (12 + 3 + 1)
    np.testing.assert_array_equal(compiled(params, X, scale=X[0])["y"], model(params, X)["y"])
    for stage in ("hlo", "stablehlo", "optimized", "loops", "llvm", "asm"):
        assert compiled.as_text(stage)
    for dialect in ("hlo", "stablehlo"):
        assert "jit_model" in lowered.as_text(dialect)
    with pytest.raises(ValueError, match="stage is 'jaxpr'"):
        compiled.as_text("jaxpr")


def test_shapes_are_enough_to_lower():
    spec = xlac.ShapeDtypeStruct((3,), np.float32)
    compiled = xlac.jit(lambda x: x * 2).lower(spec).compile()
    np.testing.assert_array_equal(compiled(X), X * 2)
    with pytest.raises(TraceError, match=r"compiled for float32\[3\].*got float32\[2\]"):
        compiled(X[:2])


def test_make_hlo_gives_the_module():
    module = xlac.make_hlo(lambda x, n: x**n, static_argnums=1)(X, 2)
    np.testing.assert_array_equal(xlac.evaluate(module, X), X**2)


class Scaler:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, x):
        return x * self.factor

    def scaled(self, x, *, twice=False):
        return x * self.factor * (2 if twice else 1)


@pytest.mark.parametrize(
    "function, name",
    [
        (functools.partial(lambda a, b: a * b, 3), "_lambda_"),
        (functools.partial(functools.partial(model, n=3), {"w": np.eye(3, dtype=np.float32)}), "model"),
        (Scaler(3), "Scaler"),
        (Scaler(3).scaled, "scaled"),
        (np.sin, "sin"),
    ],
)
def test_anything_callable_can_be_jitted(function, name):
    f = xlac.jit(function)
    assert f.lower(X).module.name == f"jit_{name}"
    for got, want in zip(xlac.tree.leaves(f(X)), xlac.tree.leaves(function(X))):
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_jit_is_a_decorator_with_settings():
    @xlac.jit
    def plain(x, n=2):
        return x * n

    @functools.partial(xlac.jit, static_argnames=("n",))
    def partial(x, n=2):
        return x[:n]

    @xlac.jit(static_argnums=1, keep_unused=True, inline=True)
    def settings(x, n=2, *, unused=None):
        return x[:n]

    np.testing.assert_array_equal(plain(X), X * 2)
    np.testing.assert_array_equal(plain(x=X, n=3), X * 3)
    for f in (partial, settings):
        assert [f(X).shape, f(X, 1).shape, f(X, n=1).shape, f(x=X, n=3).shape] == [(2,), (1,), (1,), (3,)]


def test_large_arrays_of_the_surroundings_are_not_part_of_the_code():
    table = np.arange(100_000, dtype=np.float32)
    compiled = xlac.jit(lambda i: xnp.asarray(table)[i]).lower(np.int32(0)).compile()
    assert compiled(np.int32(77_777)) == 77_777
    assert len(compiled.as_text("llvm")) < 50_000 and len(compiled.executable.object_code) < 50_000


def test_a_donated_array_gives_its_memory():
    x = np.ones(1 << 16, np.float32)
    y = xlac.jit(lambda x: x + 1, donate_argnums=0)(x)
    assert np.shares_memory(x, y) and y[0] == 2


# ---- scopes


def test_a_named_scope_is_in_the_op_names():
    @xlac.jit
    def f(x):
        with xlac.named_scope("layer"):
            with xlac.named_scope("inner"):
                y = xnp.sin(x)
            y = xnp.cos(y)
        return y + 1

    text = f.lower(X).as_text()
    assert 'op_name="jit(f)/layer/inner/sine"' in text
    assert 'op_name="jit(f)/layer/cosine"' in text and 'op_name="jit(f)/add"' in text

    @xlac.named_scope("whole")
    def g(x):
        return x * 2

    assert 'op_name="jit(g)/whole/multiply"' in xlac.jit(g).lower(X).as_text()
    with pytest.raises(TypeError, match="takes a name"), xlac.named_scope(3):
        pass


# ---- without jit


def test_disable_jit_runs_functions_as_python():
    seen = []

    @functools.partial(xlac.jit, static_argnums=1)
    def f(x, n):
        seen.append(type(x))
        return x * n if x.sum() > 0 else -x

    with xlac.disable_jit():
        np.testing.assert_array_equal(f(X, 2), X * 2)
        np.testing.assert_array_equal(f(-X, 2), X)
        assert seen == [np.ndarray] * 2
    with pytest.raises(TraceError, match="truth value"):
        f(X, 2)
    g = xlac.jit(lambda x: seen.append(0) or x)
    g(X), g(X)
    assert seen.count(0) == 1
    with xlac.disable_jit():
        g(X), g(X)
        with xlac.disable_jit(False):
            g(X)
    assert seen.count(0) == 3


def looping(x):
    def turn(i, state):
        return state * 2 + i

    total = lax.fori_loop(1, 4, turn, x)
    last = lax.while_loop(lambda s: s.sum() < 1000, lambda s: s + x, total)
    carry, ys = lax.scan(lambda c, a: (c + a, (c, a * 2)), np.float32(0), x, reverse=True)
    sign = lax.cond(carry > 0, lambda v: v, lambda v: -v, carry)
    pick = lax.switch(7, [lambda v: v, lambda v: v * 2], carry)
    return total, last, carry, ys, sign, pick, lax.map(lambda a: a * 3, x), lax.scan(lambda c, _: (c, c), 1, None, 2)


def test_control_flow_runs_as_python_without_jit():
    want = looping(X)
    values = []
    with xlac.disable_jit():
        got = looping(X)
        lax.fori_loop(0, 3, lambda i, s: (values.append(int(i)), s)[1], 0)
    assert values == [0, 1, 2]
    assert xlac.tree.structure(got) == xlac.tree.structure(want)
    for g, w in zip(xlac.tree.leaves(got), xlac.tree.leaves(want)):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=1e-6)


def test_derivatives_still_work_without_jit():
    with xlac.disable_jit():
        assert xlac.grad(lambda x: lax.fori_loop(0, 3, lambda i, s: s * x, 1.0))(np.float32(2)) == 12


def test_concrete_values_can_be_computed_while_tracing():
    @xlac.jit
    def f(x):
        with xlac.ensure_compile_time_eval():
            n = int(xnp.sum(np.arange(3)))
            flag = bool(xnp.all(np.ones(2) > 0))
        return x * n if flag else x

    np.testing.assert_array_equal(f(X), X * 3)

    @xlac.jit
    def g(x):
        with xlac.ensure_compile_time_eval():
            with xlac.ensure_compile_time_eval():
                wide = xlac.jit(xnp.square)(x)
            return (x == x) & (wide < int(xnp.sum(np.arange(3))))

    np.testing.assert_array_equal(g(X), X * X < 3)


# ---- why a function is traced


@pytest.fixture
def explained(monkeypatch, capsys):
    monkeypatch.setenv("XLAC_EXPLAIN_CACHE", "1")

    def call(f, *args, **kwargs):
        f(*args, **kwargs)
        return capsys.readouterr().err

    return call


def test_a_hit_is_silent_and_a_miss_says_what_differed(explained):
    def step(params, x, n=1, *, mode="a"):
        return xlac.tree.map(lambda p: p * x, params)

    f = xlac.jit(step, static_argnames=("n", "mode"))
    line = step.__code__.co_firstlineno
    first = explained(f, {"w": X}, X)
    assert first == f"xlac: {__file__}:{line}: step is traced: it has not been called before\n"
    assert explained(f, {"w": X}, X + 1) == ""
    assert "argument x is float32[], was float32[3]\n" in explained(f, {"w": X}, X[0])
    assert "argument params['w'] is float64[3], was float32[3]\n" in explained(f, {"w": X.astype(np.float64)}, X)
    assert "argument x is a Python number (float64[], weakly typed), was float32[]\n" in explained(f, {"w": X}, 2.0)
    assert "static argument 2 is 5, was not given\n" in explained(f, {"w": X}, X, 5)
    assert "static argument 'mode' is 'b', was not given\n" in explained(f, {"w": X}, X, mode="b")
    assert "the arguments are nested as" in explained(f, {"w": X, "b": X}, X)
    f.clear_cache()
    assert "its cache was cleared" in explained(f, {"w": X}, X)


def test_a_function_made_anew_is_told(explained):
    def make(options=None):
        return xlac.jit(lambda x: x + 1, options=options)

    assert "has not been called before\n" in explained(make(), X)
    assert "another function made at this place has" in explained(make(), X)
    assert "the options changed" in explained(make(xlac.Options(fusion=False)), X)


def test_nothing_is_said_unasked(capsys):
    xlac.jit(lambda x: x + 1)(X)
    assert capsys.readouterr().err == ""


def test_stages_tell_arguments_and_results_leaf_by_leaf():
    x = np.ones(3, np.float32)
    traced = xlac.jit(lambda a, b: {"sum": a + b["y"]}, donate_argnums=0).trace(x, {"y": x})
    spec = xlac.ShapeDtypeStruct((3,), np.float32)
    assert (traced.in_avals, traced.out_avals) == ([spec, spec], [spec])
    assert [eqn.primitive.name for eqn in traced.jaxpr.eqns] == ["add"]
    lowered = traced.lower()
    assert (lowered.donate_argnums, lowered.in_avals, lowered.compile().in_avals) == ((0,), *[[spec, spec]] * 2)
    assert isinstance(traced, xlac.stages.Traced) and isinstance(lowered, xlac.stages.Lowered)
    assert (spec.str_short(), spec.str_short(True)) == ("float32[3]", "f32[3]")
    assert spec.update(shape=(2,), dtype=np.int32) == xlac.ShapeDtypeStruct((2,), np.int32, sharding=None)
