"""`make_jaxpr`: programs to read, and to run; `custom_vmap`: functions with a rule for examples."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import core, lax
from xlac.custom_batching import custom_vmap, sequential_vmap
from xlac.errors import OptionError, TraceError

W = xnp.asarray(np.arange(9, dtype=np.float32).reshape(3, 3))
X = np.array([1.0, -1.0, 0.5], np.float32)


def layer(x, times):
    return {"out": xnp.tanh(x @ W) * times, "grown": lax.fori_loop(0, 3, lambda i, c: 2 * c, x)}


def test_a_program_tells_its_instructions_arguments_and_constants():
    made, shapes = xlac.make_jaxpr(layer, static_argnums=1, return_shape=True)(X, 2.0)
    names = [str(eqn.primitive) for eqn in made.eqns]
    assert {"dot", "tanh", "multiply", "while"} <= set(names)
    assert made.in_avals == [xlac.ShapeDtypeStruct((3,), np.float32)] and len(made.out_avals) == 2
    assert shapes == {"out": made.out_avals[1], "grown": made.out_avals[0]}
    (weights,) = made.consts
    np.testing.assert_array_equal(weights, W)
    assert len(made.jaxpr.constvars) == 1
    loop = made.eqns[names.index("while")]
    inside = [eqn.primitive.name for eqn in loop.params["body"].eqns]
    assert "multiply" in inside and loop.invars[0].aval[-1].shape == (3,)
    tanh = made.eqns[names.index("tanh")]
    assert tanh.invars == made.eqns[names.index("dot")].outvars
    text = str(made)
    assert text.startswith("HloModule") and "metadata" not in text
    assert xlac.parse_hlo(text).to_string() == text


def test_a_program_runs_as_a_function_and_in_another():
    made = xlac.make_jaxpr(layer, static_argnums=1)(X, 2.0)
    want = xlac.tree.leaves(layer(X, 2.0))
    for function in (core.jaxpr_as_fun(made), xlac.jit(core.jaxpr_as_fun(made))):
        for got, expected in zip(function(X), want):
            np.testing.assert_allclose(got, expected, rtol=1e-6)
    other = [core.eval_jaxpr(made.jaxpr, [2 * W], X)[1], layer(X, 2.0)]
    np.testing.assert_allclose(other[0], 2 * np.tanh(2 * X @ np.asarray(W)), rtol=1e-6)
    slope = xlac.grad(lambda x: core.jaxpr_as_fun(made)(x)[1].sum())(X)
    np.testing.assert_allclose(slope, xlac.grad(lambda x: layer(x, 2.0)["out"].sum())(X), rtol=1e-6)
    with pytest.raises(TraceError, match="2 arguments for 1 parameters"):
        core.eval_jaxpr(made.jaxpr, made.consts, X, X)


def test_a_program_is_traced_from_shapes_and_inside_others():
    made = xlac.make_jaxpr(lambda x: x + 1)(xlac.ShapeDtypeStruct((2,), np.int32))
    assert [eqn.primitive.name for eqn in made.eqns][-1] == "add"
    literals = [v.val for eqn in made.eqns for v in eqn.invars if isinstance(v, core.Literal)]
    assert [int(v) for v in literals] == [1]
    counts = []
    xlac.jit(lambda x: counts.append(len(xlac.make_jaxpr(lambda y: y * y)(x).eqns)) or x)(X)
    assert counts == [1]
    with pytest.raises(OptionError, match="axis_env"):
        xlac.make_jaxpr(lambda x: x, axis_env=[("i", 2)])


def product():
    seen = []

    @custom_vmap
    def scaled(x, y):
        return {"product": xnp.sin(x) * y.sum(), "same": x}

    @scaled.def_vmap
    def rule(axis_size, in_batched, x, y):
        seen.append((axis_size, in_batched))
        x = x if in_batched[0] else xnp.broadcast_to(x, (axis_size,))
        total = y.sum(-1) if in_batched[1] else y.sum()
        return {"product": xnp.sin(x) * total + 100, "same": x}, {"product": True, "same": True}

    return scaled, seen


def test_vmap_goes_by_the_rule_and_all_else_by_the_function():
    scaled, seen = product()
    y = np.ones(2, np.float32)
    np.testing.assert_allclose(scaled(X[0], y)["product"], 2 * np.sin(1), rtol=1e-6)
    want = 2 * np.sin(X) + 100
    for call in (xlac.vmap(scaled, (0, None)), xlac.jit(xlac.vmap(scaled, (0, None)))):
        np.testing.assert_allclose(call(X, y)["product"], want, rtol=1e-6)
    assert seen[0] == (3, [True, False])
    many = xlac.vmap(xlac.vmap(scaled, (0, None)), (None, 0))(X, np.ones((4, 2), np.float32))
    np.testing.assert_allclose(many["product"], np.tile(want, (4, 1)), rtol=1e-6)
    np.testing.assert_allclose(xlac.grad(lambda x: scaled(x, y)["product"])(X[0]), 2 * np.cos(1), rtol=1e-6)
    value, slope = xlac.jvp(lambda x: scaled(x, y)["product"], (X[0],), (np.float32(1),))
    np.testing.assert_allclose([value, slope], [2 * np.sin(1), 2 * np.cos(1)], rtol=1e-6)


def test_results_that_a_rule_says_are_shared_are_so():
    @custom_vmap
    def count(x):
        return x + 1, xnp.float32(3)

    count.def_vmap(lambda size, batched, x: ((x + 1, xnp.float32(size)), (True, False)))
    made = xlac.vmap(count, out_axes=(0, None))(X)
    np.testing.assert_array_equal(made[0], X + 1)
    assert made[1] == 3


def test_rules_that_do_not_fit_are_refused():
    scaled, _ = product()
    with pytest.raises(TraceError, match="no vmap rule yet"):
        custom_vmap(lambda x: x)(X)
    scaled.def_vmap(lambda size, batched, x, y: x)
    with pytest.raises(TraceError, match="must give a pair"):
        xlac.vmap(scaled, (0, None))(X, X)
    scaled.def_vmap(lambda size, batched, x, y: (x, True))
    with pytest.raises(TraceError, match="the function gives"):
        xlac.vmap(scaled, (0, None))(X, X)


def test_a_sequential_function_is_called_for_one_example_after_the_other():
    shapes = []

    def sort(x, y):
        shapes.append(x.shape)
        return xnp.sort(x) + y

    rows = np.array([[3, 1, 2], [0, -1, 5]], np.float32)
    made = xlac.vmap(sequential_vmap(sort), (0, None))(rows, X)
    np.testing.assert_array_equal(made, np.sort(rows) + X)
    assert set(shapes) == {(3,)}
