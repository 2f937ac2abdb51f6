"""Collective operations over the named axes of `vmap`: values, derivatives, control flow, and what is refused."""

import functools
import importlib.util

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import AxisNameError, ShapeError, TraceError

if importlib.util.find_spec("jax") is not None:
    import jax
    import jax.numpy as jnp

X = np.random.default_rng(0).standard_normal((4, 4, 8))

# name -> a function of one example's array [4, 8], for a module with `lax` and its NumPy.
CASES = {
    "psum": lambda lax, np: lambda x: lax.psum(np.sin(x), "i"),
    "psum of a tree": lambda lax, np: lambda x: lax.psum({"a": x, "b": (x[0],)}, "i")["b"][0] * x,
    "psum of what all share": lambda lax, np: lambda x: x * lax.psum(np.ones(8) * 2, "i"),
    "psum of a number": lambda lax, np: lambda x: x / lax.psum(1, "i"),
    "psum of bools": lambda lax, np: lambda x: x * lax.psum(x[0, 0] > 0, "i"),
    "pmean": lambda lax, np: lambda x: x - lax.pmean(x, "i"),
    "pmax": lambda lax, np: lambda x: lax.pmax(lax.stop_gradient(x), "i") * x,
    "pmin": lambda lax, np: lambda x: lax.pmin(lax.stop_gradient(x), "i") * x,
    "axis_index": lambda lax, np: lambda x: x * lax.axis_index("i"),
    "all_gather": lambda lax, np: lambda x: np.sin(lax.all_gather(x, "i", axis=1)) * x[0, 0],
    "all_gather tiled": lambda lax, np: lambda x: np.sin(lax.all_gather(x, "i", axis=1, tiled=True)),
    "psum_scatter": lambda lax, np: lambda x: lax.psum_scatter(x * x, "i"),
    "psum_scatter tiled": lambda lax, np: lambda x: lax.psum_scatter(x * x, "i", scatter_dimension=1, tiled=True),
    "ppermute": lambda lax, np: lambda x: x * lax.ppermute(x, "i", [(0, 1), (1, 2), (2, 3), (3, 0)]),
    "pshuffle": lambda lax, np: lambda x: x * lax.pshuffle(x, "i", [3, 0, 2, 1]),
    "all_to_all": lambda lax, np: lambda x: lax.all_to_all(x, "i", 0, 1) ** 2,
    "all_to_all tiled": lambda lax, np: lambda x: lax.all_to_all(x, "i", 1, 0, tiled=True) ** 2,
    "pswapaxes": lambda lax, np: lambda x: lax.pswapaxes(x, "i", 0) ** 3,
    "in a scan": lambda lax, np: lambda x: lax.scan(lambda c, r: (np.tanh(c + lax.pmean(r * c, "i")), c), x[0], x),
    "in a branch": lambda lax, np: lambda x: lax.cond(x[0, 0] > 0, lambda v: lax.psum(v, "i") * v, lambda v: v, x),
}


# JAX's rule for all_to_all confuses the shapes of different axes, and its branches that are selections stop the
# derivatives of what other examples get from an example in the other branch.
WITHOUT_GRADIENTS_IN_JAX = ("all_to_all", "in a branch")


def same(got, want, rtol=1e-9):
    got, want = (xlac.tree.leaves(tree) for tree in (got, want))
    assert len(got) == len(want)
    for g, w in zip(got, want):
        np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-12)


def mapped(module, lax, np, name):
    return module.vmap(CASES[name](lax, np), axis_name="i")


def weigh(module, np, results):
    """A number made of all elements, which each count by another weight."""
    leaves = module.tree.leaves(results)
    return sum(np.sum(x * np.cos(np.arange(x.size, dtype="float64")).reshape(x.shape)) for x in leaves)


def weighted(module, lax, np, name):
    return lambda x: weigh(module, np, mapped(module, lax, np, name)(x))


def test_each_example_sees_what_all_have():
    def several(x):
        index = lax.axis_index("i")
        whole = lax.all_gather(x, "i")
        return lax.psum(x, "i"), lax.pmean(x, "i"), lax.pmax(x, "i"), lax.pmin(x, "i"), whole[index], x * index

    got = xlac.jit(xlac.vmap(several, axis_name="i"))(X)
    repeated = [np.broadcast_to(f(X, 0), X.shape) for f in (np.sum, np.mean, np.max, np.min)]
    same(got, [*repeated, X, X * np.arange(4)[:, None, None]])


def test_results_equal_for_all_examples_need_no_axis():
    total = xlac.vmap(lambda x: lax.psum(x, "i"), axis_name="i", out_axes=None)(X)
    same(total, X.sum(0))


def test_parts_are_exchanged():
    def several(x):
        parts = lax.all_to_all(x, "i", 0, 0)
        return parts, lax.psum_scatter(x, "i"), lax.ppermute(x, "i", [(0, 1), (3, 0)])

    exchanged, scattered, sent = xlac.vmap(several, axis_name="i")(X)
    same(exchanged, X.swapaxes(0, 1))
    same(scattered, X.sum(0))
    same(sent, np.stack([X[3], X[0], 0 * X[0], 0 * X[0]]))


def test_axes_nest_and_are_told_apart_by_name():
    def one(x):
        both = lax.psum(x, ("i", "j"))
        place = lax.axis_index(("i", "j"))
        return lax.psum(x, "i"), lax.psum(x, "j"), both, place, lax.all_gather(x, ("i", "j")), lax.axis_size("j")

    inner = xlac.vmap(one, axis_name="j", in_axes=1, out_axes=(0, 0, 0, 0, 0, None))
    x = X[:3]
    rows, columns, both, place, whole, size = xlac.vmap(inner, axis_name="i", out_axes=(0, 0, 0, 0, 0, None))(x)
    values = x.swapaxes(1, 2)  # [i, j, 4]
    same(rows, np.broadcast_to(values.sum(0), values.shape))
    same(columns, np.broadcast_to(values.sum(1, keepdims=True), values.shape))
    same(both, np.broadcast_to(values.sum((0, 1)), values.shape))
    same(place, np.arange(24).reshape(3, 8))
    same(whole, np.broadcast_to(values.reshape(24, 4), (3, 8, 24, 4)))
    assert int(size) == 8


def test_the_innermost_axis_of_a_name_counts():
    def inner(x):
        return lax.psum(x, "i")

    got = xlac.vmap(lambda row: xlac.vmap(inner, axis_name="i")(row), axis_name="i")(X[0])
    same(got, np.broadcast_to(X[0].sum(1, keepdims=True), X[0].shape))


def test_the_derivative_of_each_example_sums_those_of_all():
    gradient = xlac.vmap(xlac.grad(lambda x: lax.psum(xnp.sum(x**2), "i")), axis_name="i")(X)
    same(gradient, 4 * 2 * X)
    tangent = xlac.vmap(lambda x: xlac.jvp(lambda y: lax.psum(y**2, "i"), (x,), (x,))[1], axis_name="i")(X)
    same(tangent, np.broadcast_to(2 * (X**2).sum(0), X.shape))


@pytest.mark.parametrize("name", CASES)
def test_derivatives_through_the_map_are_those_of_differences(name):
    loss = weighted(xlac, lax, xnp, name)
    x = X[..., :8]
    direction = np.cos(np.arange(x.size)).reshape(x.shape)
    value, gradient = xlac.jit(xlac.value_and_grad(loss))(x)
    step = 1e-6
    slope = (loss(x + step * direction) - loss(x - step * direction)) / (2 * step)
    if name not in ("pmax", "pmin"):
        np.testing.assert_allclose(np.sum(gradient * direction), slope, rtol=1e-6, atol=1e-6)
    same(value, loss(x))


def test_rules_of_a_functions_own_can_use_the_axis():
    @xlac.custom_vjp
    def f(x):
        return x

    f.defvjp(lambda x: (x, lax.pmean(x, "i")), lambda mean, g: (g * mean + lax.axis_index("i"),))
    got = xlac.vmap(xlac.grad(lambda x: xnp.sum(f(x))), axis_name="i")(X)
    want = np.broadcast_to(X.mean(0), X.shape) + np.arange(4)[:, None, None]
    same(got, want)
    around = xlac.grad(lambda x: xnp.sum(xlac.vmap(f, axis_name="i")(x)))(X)
    same(around, want)


def test_loops_whose_condition_needs_all_examples():
    def until_small(x):
        state = lax.while_loop(lambda s: lax.pmax(s[0], "i") > 1, lambda s: (s[0] / 2, s[1] + 1), (x, 0))
        return state[1]

    assert xlac.vmap(until_small, axis_name="i")(np.array([3.0, 0.1, 40.0])).tolist() == [6, 6, 6]


def test_normalization_over_the_batch():
    def norm(x):
        mean = lax.pmean(x, axis_name="batch")
        return (x - mean) / xnp.sqrt(lax.pmean((x - mean) ** 2, axis_name="batch") + 1e-5)

    got = xlac.jit(xlac.vmap(norm, axis_name="batch"))(X)
    same(got, (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5))


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda x: lax.psum(x, "j"), AxisNameError, "axis_name is 'j', but axes with names here are 'i'"),
        (lambda x: lax.axis_index("batch"), NameError, "xlac.vmap(..., axis_name='batch')"),
        (lambda x: lax.psum(x, "i", axis_index_groups=[[0, 1], [2, 3]]), TraceError, "axis_index_groups"),
        (lambda x: lax.ppermute(x, "i", [(0, 1), (1, 1)]), ShapeError, "distinct numbers below 4"),
        (lambda x: lax.all_to_all(x, "i", 1, 0), ShapeError, "extent 8; it must be 4"),
        (lambda x: lax.psum_scatter(x, "i", scatter_dimension=2), ShapeError, "dimension 2"),
    ],
)
def test_what_cannot_be_is_refused(function, error, message):
    with pytest.raises(error) as caught:
        xlac.vmap(function, axis_name="i")(X)
    assert message in str(caught.value)


@pytest.mark.parametrize("wrap", [lambda f: f, xlac.jit, xlac.vmap])
def test_a_name_is_known_inside_its_map_only(wrap):
    with pytest.raises(AxisNameError, match="no axis has a name here"):
        wrap(functools.partial(lax.psum, axis_name="i"))(X)


@pytest.mark.jax
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_jax(name):
    with jax.enable_x64(True):
        same(mapped(xlac, lax, xnp, name)(X), mapped(jax, jax.lax, jnp, name)(X))
        if name in WITHOUT_GRADIENTS_IN_JAX:
            return
        same(xlac.grad(weighted(xlac, lax, xnp, name))(X), jax.grad(weighted(jax, jax.lax, jnp, name))(X))

        def each(module, lax, np):
            return module.vmap(module.grad(lambda x: weigh(module, np, CASES[name](lax, np)(x))), axis_name="i")

        same(each(xlac, lax, xnp)(X), each(jax, jax.lax, jnp)(X))
