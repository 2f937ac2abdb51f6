"""Gradients: against central differences in float64, again of gradients, and what cannot be differentiated."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED, run
from tests.frontend import derivatives
from xlac import lax, nn
from xlac.errors import TraceError
from xlac.scipy import special

X = np.arange(6, dtype=np.float64).reshape(2, 3) / 3 + 0.1


def weighted(name):
    return derivatives.weighted(name, xnp, lax, nn)


def differences(function, arrays, step):
    """Central differences along one random direction for each array."""
    evaluate = xlac.jit(function, options=EVALUATED)
    for i, x in enumerate(arrays):
        direction = np.random.default_rng(i).uniform(-1, 1, np.shape(x))
        moved = [np.asarray(x + s * step * direction) for s in (1, -1)]
        values = [float(evaluate(*arrays[:i], m, *arrays[i + 1 :])) for m in moved]
        yield direction, (values[0] - values[1]) / (2 * step), max(abs(v) for v in values)


@pytest.mark.parametrize("name", [n for n in derivatives.CASES if n != "stop gradient"])
def test_gradients_are_the_limits_of_differences(name):
    function, arrays = weighted(name)
    single = name == "convert"
    step = 1e-2 if single else 1e-5
    grads = run(xlac.grad(function, argnums=tuple(range(len(arrays)))), *arrays)
    for grad, x, (direction, slope, size) in zip(grads, arrays, differences(function, arrays, step)):
        assert grad.shape == np.shape(x) and grad.dtype == np.float64
        assert np.sum(grad * direction) == pytest.approx(
            slope, rel=1e-3 if single else 1e-6, abs=1e-8 * (1 + size) + single * 1e-3
        )


@pytest.mark.parametrize(
    "name",
    (
        "tanh,power,prod,cumprod,max,sort,batched matmul,einsum,softmax,log_softmax,gather,scatter set,scatter add,"
        "dynamic update,scan,reverse scan,scan in scan,fori loop,fori loop over rows,cond,cond in scan,scan in cond,"
        "layer norm,relu,interior pad"
    ).split(","),
)
def test_gradients_of_gradients_are_the_limits_of_differences(name):
    function, arrays = weighted(name)
    direction = [np.random.default_rng(i + 50).uniform(-1, 1, np.shape(x)) for i, x in enumerate(arrays)]

    def slope(*given):
        grads = xlac.grad(function, argnums=tuple(range(len(arrays))))(*given)
        return sum(xnp.sum(g * d) for g, d in zip(grads, direction))

    grads = run(xlac.grad(slope, argnums=tuple(range(len(arrays)))), *arrays)
    for grad, (along, want, size) in zip(grads, differences(slope, arrays, 1e-5)):
        assert np.sum(grad * along) == pytest.approx(want, rel=1e-5, abs=1e-7 * (1 + size))


def test_gradients_run_as_native_code_too():
    function, arrays = weighted("scan")
    native = xlac.jit(xlac.grad(function, argnums=(0, 1, 2)))(*arrays)
    for got, want in zip(native, run(xlac.grad(function, argnums=(0, 1, 2)), *arrays)):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_value_and_grad_give_both_and_aux():
    def loss(params, x):
        y = x @ params["w"] + params["b"]
        return (y**2).sum(), {"y": y}

    params = {"w": np.ones(3, np.float32), "b": np.float32(1)}
    x = X.astype(np.float32)
    (value, aux), grads = xlac.value_and_grad(loss, has_aux=True)(params, x)
    y = x.sum(1) + 1
    np.testing.assert_allclose(aux["y"], y, rtol=1e-6)
    np.testing.assert_allclose(value, (y**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(grads["w"], 2 * y @ x, rtol=1e-6)
    np.testing.assert_allclose(grads["b"], 2 * y.sum(), rtol=1e-6)
    assert grads["w"].dtype == np.float32 and grads["b"].shape == ()
    grads, aux = xlac.grad(loss, has_aux=True)(params, x)
    assert set(grads) == {"w", "b"} and set(aux) == {"y"}


def test_argnums_choose_the_arguments():
    def f(x, y, *, scale):
        return x * y**2 * scale

    assert xlac.grad(f)(2.0, 3.0, scale=2.0) == 18
    assert xlac.grad(f, argnums=1)(2.0, 3.0, scale=2.0) == 24
    first, second = xlac.grad(f, argnums=(-1, 0))(2.0, 3.0, scale=2.0)
    assert (first, second) == (24, 18)


def test_outside_jit_other_variables_are_read_anew():
    batch = np.ones(3, np.float32)
    gradient = xlac.grad(lambda w: (w * batch).sum())
    w = np.ones(3, np.float32)
    np.testing.assert_array_equal(gradient(w), batch)
    batch = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(gradient(w), batch)


def test_arguments_that_are_not_differentiated_may_be_anything():
    def f(x, n, activation):
        for _ in range(n):
            x = activation(x)
        return x

    assert xlac.grad(f)(3.0, 2, lambda v: v * v) == 4 * 27


@pytest.mark.parametrize(
    ("function", "want"),
    [
        (lambda x: xnp.maximum(x, 0.0), 0.5),
        (lambda x: xnp.abs(x), 1.0),
        (lambda x: nn.relu(x), 0.0),
        (lambda x: xnp.clip(x, 0.0, 1.0), 0.5),
        (lambda x: xnp.max(xnp.stack([x, x, x - 1])), 1.0),
        (lambda x: xnp.where(x == 0, 2 * x, x), 2.0),
        (lambda x: xnp.sign(x) + xnp.floor(x), 0.0),
    ],
)
def test_slopes_at_kinks(function, want):
    assert run(xlac.grad(function), np.float64(0)) == want


def test_a_maximum_shares_its_gradient_among_ties():
    x = np.array([1.0, 3.0, 3.0, 2.0])
    np.testing.assert_array_equal(run(xlac.grad(np.max), x), [0, 0.5, 0.5, 0])


def test_gradients_of_results_that_do_not_depend_are_zero():
    assert xlac.grad(lambda x: xnp.asarray(3.0))(2.0) == 0
    np.testing.assert_array_equal(xlac.grad(lambda x: lax.stop_gradient(x).sum())(X), np.zeros_like(X))


def test_variables_of_an_outer_derivative_are_constants_of_an_inner_one():
    def outer(x):
        y = x * x
        return xlac.grad(lambda z: z * y)(x) * x

    assert xlac.grad(outer)(3.0) == 27


def test_complex_gradients_follow_jax():
    z = np.array(1.0 + 2.0j)
    np.testing.assert_allclose(run(xlac.grad(lambda z: xnp.abs(z) ** 2), z), 2 * np.conj(z))
    np.testing.assert_allclose(run(xlac.grad(lambda z: xnp.real(z * z)), z), 2 * z)
    np.testing.assert_allclose(run(xlac.grad(lambda z: z * z * z, holomorphic=True), z), 3 * z * z)


def test_vjp_pulls_cotangents_back():
    def f(x, y):
        return {"p": x @ y, "s": x.sum()}

    x, y = X, X.T.copy()
    value, pullback = xlac.vjp(f, x, y)
    np.testing.assert_allclose(value["p"], x @ y)
    g = np.ones((2, 2))
    gx, gy = pullback({"p": g, "s": np.float64(2)})
    np.testing.assert_allclose(gx, g @ y.T + 2)
    np.testing.assert_allclose(gy, x.T @ g)


def test_narrow_types_keep_their_type():
    for dtype in (np.float16, xnp.bfloat16, np.float32):
        assert run(xlac.grad(lambda x: (xnp.tanh(x) ** 2).sum()), np.ones(3, dtype)).dtype == dtype


def test_the_reverse_of_a_scan_stores_no_constants_and_no_inputs():
    def f(w, xs):
        return lax.scan(lambda c, x: (xnp.tanh(w @ c + x), None), xnp.zeros(8), xs)[0].sum()

    w, xs = np.ones((8, 8), np.float32), np.ones((100, 8), np.float32)
    module = xlac.jit(xlac.grad(f)).trace(w, xs).module
    loops = [i for i in module.entry if i.is_a("while")]
    assert len(loops) == 2
    # One stack each for the carry and for tanh; nothing of w's shape is stacked.
    for loop in loops:
        assert all(s.dims[:1] != (100,) or s.dims == (100, 8) for s in loop.shape)
        assert sum(s.dims == (100, 8) for s in loop.shape) <= 3


@pytest.mark.parametrize(
    ("function", "argument", "message"),
    [
        (lambda n: n * 2.0, 3, r"argument 0 of <lambda> is int32\[\].*floats only"),
        (lambda p: p["a"].sum(), {"a": np.ones(2, np.int32)}, r"argument 0 of <lambda>\['a'\] is int32\[2\]"),
        (lambda x: x, X, r"gives an array float64\[2,3\].*must give a scalar"),
        (lambda x: (x.sum(), x), X, "has_aux=True"),
        (lambda x: x.sum() > 0, X, "float scalar"),
        (lambda x: lax.while_loop(lambda v: v < 9, lambda v: v * 2, x), 1.0, "while_loop.*scan, or fori_loop"),
        (lambda x: lax.fori_loop(0, xnp.asarray(3), lambda i, v: v * 2, x), 1.0, "while_loop"),
        (lambda x: x.at[np.array([0, 0])].multiply(x).sum(), X, "scatter.*at unique indices"),
    ],
)
def test_what_has_no_gradient_is_named_with_the_users_line(function, argument, message):
    with pytest.raises(TraceError, match=message) as caught:
        xlac.grad(function)(argument)
    assert f"{__file__}:" in str(caught.value)


def test_argnums_out_of_range_are_refused():
    with pytest.raises(TraceError, match="argnums=1 but <lambda> was called with 1"):
        xlac.grad(lambda x: x, argnums=1)(1.0)


def test_the_reverse_of_a_choice_computes_nothing_again():
    def f(x):
        branches = [lambda v: xnp.exp(xnp.tanh(v)).sum(), lambda v: (v * 2).sum(), lambda v: xnp.tanh(v * v).sum()]
        return lax.switch((x[0, 0] * 3).astype(int), branches, x)

    module = xlac.jit(xlac.value_and_grad(f)).trace(X).module
    names = [i.opcode.name for c in module.computations for i in c]
    assert names.count("tanh") == 2 and names.count("exponential") == 1
    choices = [i for i in module.entry if i.is_a("conditional")]
    # The places for what the reverse reads are shared by the branches.
    assert sum(s.dims == X.shape for s in choices[0].shape) == 2


@pytest.mark.parametrize(
    ("function", "at", "want"),
    [
        (nn.softplus, 0.0, (0.5, 0.25, 0.0)),
        (lambda x: xnp.logaddexp(2.0, x), 2.0, (0.5, 0.25, 0.0)),
        (lambda x: xnp.hypot(x, 1.0), 0.0, (0.0, 1.0, 0.0)),
        (lambda x: xnp.linalg.norm(xnp.stack([x, 1.0])), 0.0, (0.0, 1.0, 0.0)),
        (lambda x: xnp.abs(x) ** 2, 0.0, (0.0, 2.0, 0.0)),
        (xnp.sinc, 0.0, (0.0, -(np.pi**2) / 3, 0.0)),
        (lambda x: x * (x % 0.7), 0.0, (0.0, 2.0, 0.0)),
        (lambda x: special.xlog1py(x, x), 0.0, (0.0, 2.0, -3.0)),
        (lambda x: special.xlogy(x, 3.0), 0.0, (np.log(3.0), 0.0, 0.0)),
        (special.log_ndtr, 0.0, (np.sqrt(2 / np.pi), -2 / np.pi, 4 * np.sqrt(2) / np.pi**1.5 - np.sqrt(2 / np.pi))),
        (special.log_ndtr, 40.0, (0.0, 0.0, 0.0)),
        (special.i0, 0.0, (0.0, 0.5, 0.0)),
        (lambda x: xlac.lax.cumlogsumexp(xnp.stack([x, 0.0]))[1], 0.0, (0.5, 0.25, 0.0)),
    ],
)
def test_smooth_functions_have_all_derivatives_where_their_formulas_switch(function, at, want):
    first = xlac.grad(function)
    second = xlac.grad(first)
    got = [run(f, np.float64(at)) for f in (first, second, xlac.grad(second))]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
