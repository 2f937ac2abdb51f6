"""The smaller public modules: segments, images, containers, solvers; and how derivatives keep what they read."""

import functools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from xlac import lax, tree, tree_util
from xlac.ad_checkpoint import checkpoint_name
from xlac.errors import ShapeError, TraceError
from xlac.test_util import check_grads

evaluated = functools.partial(xlac.jit, options=EVALUATED)


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


# ---- segments and images


def test_rows_are_added_by_segment_and_other_ids_are_left_out():
    rows, ids = draw(6, 2), np.array([1, 0, 1, -1, 5, 2])
    got = evaluated(lambda r: xlac.ops.segment_sum(r, ids, 3))(rows)
    np.testing.assert_allclose(got, [rows[1], rows[0] + rows[2], rows[5]])
    assert xlac.ops.segment_max(np.array([1, 2], np.int8), np.array([2, 2])).tolist() == [-128, -128, 2]
    with pytest.raises(ShapeError, match="num_segments"):
        xlac.jit(lambda i: xlac.ops.segment_sum(rows, i))(ids)


def test_a_linear_resize_keeps_a_ramp_and_a_nearest_one_repeats():
    ramp = np.arange(8, dtype=np.float32)
    got = evaluated(lambda x: xlac.image.resize(x, (16,), "linear"))(ramp)
    np.testing.assert_allclose(got[1:-1], np.arange(16)[1:-1] / 2 - 0.25, atol=1e-5)
    assert xlac.image.resize(np.arange(3), (6,), "nearest").tolist() == [0, 0, 1, 1, 2, 2]
    with pytest.raises(ShapeError, match="2 dimensions"):
        xlac.image.resize(ramp, (3, 4), "linear")


# ---- containers


def test_paths_are_keys_and_classes_can_name_theirs():
    @tree_util.register_pytree_with_keys_class
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten_with_keys(self):
            return ((tree_util.GetAttrKey("a"), self.a), (tree_util.GetAttrKey("b"), self.b)), None

        @classmethod
        def tree_unflatten(cls, data, children):
            return cls(*children)

    value = {"x": [1, Pair(2, 3)]}
    found = tree_util.tree_leaves_with_path(value)
    assert [tree_util.keystr(p) for p, _ in found] == ["['x'][0]", "['x'][1].a", "['x'][1].b"]
    assert tree_util.keystr(found[1][0], simple=True, separator="/") == "x/1/a"
    named = tree_util.tree_map_with_path(lambda path, x: f"{len(path)}:{x}", value)
    assert named["x"][1].b == "3:3"
    with pytest.raises(ValueError, match="registered already"):
        tree_util.register_pytree_node(Pair, None, None)


def test_partial_functions_and_data_classes_are_containers():
    half = tree_util.Partial(lambda a, b: a * b, np.arange(3.0))
    np.testing.assert_allclose(evaluated(lambda f, x: f(x))(half, 2.0), [0, 2, 4])

    class Layer:
        def __init__(self, weight, size):
            self.weight, self.size = weight, size

    tree_util.register_dataclass(Layer, ["weight"], ["size"])
    assert tree.leaves(Layer(1.0, 5)) == [1.0] and tree.map(lambda w: w + 1, Layer(1.0, 5)).size == 5
    assert tree.broadcast({"a": 1, "b": 2}, {"a": [0, 0], "b": 0}) == {"a": [1, 1], "b": 2}
    assert tree.reduce_associative(lambda a, b: a + b, [1, 2, 3, 4, 5]) == 15
    outer = tree.structure([0, 0])
    assert tree.transpose(outer, None, [{"a": 1}, {"a": 2}]) == {"a": [1, 2]}


def test_a_container_goes_to_a_vector_and_back():
    value = {"a": np.arange(3, dtype=np.int32), "b": draw(2, 2).astype(np.float32)}
    vector, back = xlac.flatten_util.ravel_pytree(value)
    assert vector.shape == (7,) and vector.dtype.kind == "f"
    again = back(vector)
    assert tree.all(tree.map(lambda x, y: x.dtype == y.dtype and np.array_equal(x, y), value, again))
    with pytest.raises(ValueError, match="7 elements"):
        back(np.zeros(3))


# ---- solvers


def test_a_minimum_is_found_where_the_gradient_vanishes():
    def rosenbrock(x, scale):
        return xnp.sum(scale * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    found = evaluated(lambda x: xlac.scipy.optimize.minimize(rosenbrock, x, (100.0,), method="BFGS"))(np.zeros(3))
    assert found.success and found.status == 0 and found.nit > 5
    np.testing.assert_allclose(found.x, np.ones(3), atol=1e-5)
    with pytest.raises(TraceError, match="'BFGS'"):
        xlac.scipy.optimize.minimize(rosenbrock, np.zeros(2), (1.0,), method="Powell")


@pytest.mark.parametrize("name", ["cg", "gmres", "bicgstab"])
def test_krylov_solvers_agree_with_elimination(name):
    a = draw(6, 6) + 6 * np.eye(6)
    a = a @ a.T if name == "cg" else a
    b = draw(6)
    solve = getattr(xlac.scipy.sparse.linalg, name)
    x = evaluated(lambda a, b: solve(a, b, tol=1e-12)[0])(a, b)
    np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-8)
    found = evaluated(xlac.grad(lambda b: xnp.sum(solve(lambda v: a @ v, b, tol=1e-12)[0] ** 2)))(b)
    np.testing.assert_allclose(found, np.linalg.solve(a.T, 2 * np.linalg.solve(a, b)), rtol=1e-8)


def test_a_differential_equation_is_solved_and_differentiated():
    times = np.linspace(0.0, 1.0, 4)

    def decay(rate, start):
        return xlac.experimental.ode.odeint(lambda y, t, r: -r * y, start, times, rate)

    start = np.array([1.0, 3.0])
    np.testing.assert_allclose(evaluated(decay)(2.0, start), start * np.exp(-2 * times)[:, None], rtol=1e-6)
    slope = evaluated(xlac.grad(lambda r: decay(r, start)[-1, 0]))(np.float64(2))
    np.testing.assert_allclose(slope, -np.exp(-2.0), rtol=1e-6)


# ---- derivatives


def body(c, x):
    c = xnp.sin(c * x) + c
    return c, c[0] * x


@pytest.mark.parametrize("reverse", [False, True])
def test_an_unrolled_scan_is_the_same_scan(reverse):
    c, xs = draw(3), draw(7, 3)

    def run(unroll, c, xs):
        return lax.scan(body, c, xs, reverse=reverse, unroll=unroll)

    want = evaluated(functools.partial(run, 1))(c, xs)
    for unroll in (2, 7, 20, True):
        for g, w in zip(evaluated(functools.partial(run, unroll))(c, xs), want):
            np.testing.assert_allclose(g, w, rtol=1e-12)
    grads = [evaluated(xlac.grad(lambda c, u=u: xnp.sum(run(u, c, xs)[1] ** 2)))(c) for u in (1, 3)]
    np.testing.assert_allclose(*grads, rtol=1e-12)
    with pytest.raises(TraceError, match="unroll=0"):
        lax.scan(body, c, xs, unroll=0)


def test_a_linearized_scan_reads_what_the_first_one_kept():
    def inner(c, x):
        return lax.scan(lambda d, s: (xnp.sin(d * s), xnp.tanh(d)), c, xnp.stack([x, x * x]))

    def outer(c, xs):
        def step(c, x):
            d, ys = inner(xnp.cos(c), x)
            return d, ys.sum() * c

        return lax.scan(step, c, xs)

    c, xs = draw(3), draw(4, 3)
    tangents = draw(3, seed=1), draw(4, 3, seed=1)
    value, push = xlac.linearize(outer, c, xs)
    want = xlac.jvp(outer, (c, xs), tangents)
    for g, w in zip((*value, *push(*tangents)), (*want[0], *want[1])):
        np.testing.assert_allclose(g, w, rtol=1e-10)
    text = xlac.jit(lambda *t: push(*t)).lower(*tangents).as_text()
    assert "while(" in text and not any(f"{name}(" in text for name in ("sine", "cosine", "tanh"))


def test_policies_keep_what_is_named():
    w = draw(3, 3)

    def products(policy):
        @functools.partial(xlac.checkpoint, policy=policy)
        def f(x):
            return xnp.sum(xnp.sin(checkpoint_name(x @ w, "kept")))

        lowered = xlac.jit(xlac.value_and_grad(f)).lower(draw(2, 3))
        return lowered.compile().as_text("optimized").count(" dot(")

    policies = xlac.checkpoint_policies
    once = products(policies.save_only_these_names("kept"))
    assert once < products(policies.save_only_these_names("other")) == products(None)
    assert once == products(policies.save_any_names_but_these("other"))
    assert once == products(
        policies.save_from_both_policies(policies.nothing_saveable, policies.save_anything_except_these_names())
    )


def test_a_function_can_come_with_its_gradient():
    @xlac.custom_gradient
    def half_slope(x):
        y = xnp.sin(x)
        return y * y, lambda g: g * y

    x = np.arange(3.0)
    np.testing.assert_allclose(evaluated(xlac.vmap(xlac.grad(half_slope)))(x), np.sin(x))
    forward, backward = xlac.fwd_and_bwd(lambda a, b: a * b, (0, 1))
    value, residuals = forward(2.0, 3.0)
    assert value == 6 and [float(g) for g in backward(residuals, 1.0)] == [3.0, 2.0]


def test_derivatives_by_call_notes_go_through_loops():
    def run(x):
        a = np.float64(2.5)
        return lax.scan(lambda c, _: (lax.igamma(a, c + 1) + lax.lgamma(c + 1.5), None), x, None, length=3)[0]

    check_grads(run, (np.float64(0.7),), order=2)


def test_grouped_and_scaled_products_have_derivatives():
    sizes = np.array([2, 0, 3])
    check_grads(lambda x, w: lax.ragged_dot(x, w, sizes), (draw(6, 3), draw(3, 3, 2)), order=2)
    check_grads(
        lambda x, y, a, b: lax.scaled_dot(x, y, lhs_scale=a, rhs_scale=b, preferred_element_type=np.float64),
        (draw(2, 4), draw(4, 3), draw(2, 2), draw(2, 3)),
        order=1,
    )


def test_a_wrong_rule_is_found():
    @xlac.custom_jvp
    def f(x):
        return x**2

    f.defjvp(lambda primals, tangents: (f(*primals), 3 * primals[0] * tangents[0]))
    with pytest.raises(AssertionError, match="tangent"):
        check_grads(f, (np.float64(1.5),), order=1)
