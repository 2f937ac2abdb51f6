"""jvp, linearize, jacobians and vmap: against reverse mode and loops (`test_every_rule.py`: each rule)."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED, run
from tests.frontend import derivatives, opcode_cases
from xlac import lax, nn
from xlac.errors import TraceError


def _bound(function):
    return lambda *given: function(xnp, lax, nn, *given)


CASES = {name: (_bound(f), arrays) for name, (f, arrays) in derivatives.CASES.items()}
CASES |= opcode_cases.CASES
X = np.arange(6, dtype=np.float64).reshape(2, 3) / 3 + 0.1


def weighted(name):
    function, arrays = CASES[name]

    def scalar(*given):
        result = function(*given)
        weights = np.random.default_rng(7).uniform(0.5, 1.5, np.shape(result))
        return xnp.sum(result * weights)

    return scalar, arrays


def directions(arrays, seed=0):
    return tuple(np.random.default_rng(i + seed).uniform(-1, 1, np.shape(x)) for i, x in enumerate(arrays))


def close(got, want, name=""):
    tolerance = 1e-5 if name == "convert" else 1e-9
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", derivatives.CASES)
def test_forward_mode_agrees_with_reverse_mode(name):
    function, arrays = weighted(name)
    along = directions(arrays)
    value, slope = run(lambda a, t: xlac.jvp(function, a, t), arrays, along)
    want, grads = run(xlac.value_and_grad(function, argnums=tuple(range(len(arrays)))), *arrays)
    close(value, want, name)
    close(slope, sum(np.sum(g * d) for g, d in zip(grads, along)), name)


SECOND = (
    "tanh,power,prod,max,sort,einsum,softmax,gather,scatter set,scatter add,dynamic update,scan,reverse scan,"
    "scan in scan,fori loop over rows,cond,cond in scan,scan in cond,layer norm,relu,take,"
    "convolution, strided;convolution, feature groups;windows, sum, pooling;windows, maximum, pooling;"
    "select and scatter;reduction by a function;reduction of pairs;scatter_max of rows;topk;cholesky, lower=True;"
    "triangular solve, lower=True, left=True, TRANSPOSE;RFFT of 5;IRFFT to 4;batch norm, training;"
    "complex absolute value and sign;batch norm, grad;barrier"
)
SECOND = SECOND.split("take,")[0].strip(",").split(",") + ["take"] + SECOND.split("take,")[1].split(";")


@pytest.mark.parametrize("name", [name for name in SECOND if name in derivatives.CASES])
def test_all_orders_of_second_derivatives_agree(name):
    function, arrays = weighted(name)
    numbers = tuple(range(len(arrays)))
    first, second = directions(arrays), directions(arrays, 40)

    def slope(*given):
        return xlac.jvp(function, given, first)[1]

    def sum_of_grads(*given):
        return sum(xnp.sum(g * d) for g, d in zip(xlac.grad(function, argnums=numbers)(*given), first))

    found = run(lambda *a: xlac.jvp(slope, a, second)[1], *arrays)
    forward_of_reverse = run(lambda *a: xlac.jvp(sum_of_grads, a, second)[1], *arrays)
    reverse_of_forward = run(xlac.grad(slope, argnums=numbers), *arrays)
    close(forward_of_reverse, found)
    close(sum(np.sum(g * d) for g, d in zip(reverse_of_forward, second)), found)


def stacked(arrays, mapped, axis=0, size=3):
    """Several examples of those arrays that are mapped, each a little different."""
    rng = np.random.default_rng(5)
    return [np.stack([x + 0.05 * rng.uniform(-1, 1, np.shape(x)) for _ in range(size)], axis) if m else x
            for x, m in zip(arrays, mapped)]  # fmt: skip


def patterns():
    for name, (_, arrays) in CASES.items():
        yield name, (True,) * len(arrays)
        if len(arrays) > 1:
            for i in range(len(arrays)):
                yield name, tuple(j == i for j in range(len(arrays)))


@pytest.mark.parametrize(("name", "mapped"), list(patterns()))
def test_vmap_is_a_loop_over_examples(name, mapped):
    function, arrays = CASES[name]
    given = stacked(arrays, mapped)
    got = run(xlac.vmap(function, in_axes=tuple(0 if m else None for m in mapped)), *given)
    one = xlac.jit(function, options=EVALUATED)
    want = [one(*(np.asarray(x[i]) if m else x for x, m in zip(given, mapped))) for i in range(3)]
    close(got, np.stack(want), name)


@pytest.mark.parametrize("name", [n for n, (_, a) in CASES.items() if np.ndim(a[0])])
def test_vmap_of_gradients_is_a_loop_over_examples(name):
    function, arrays = weighted(name)
    mapped = (True,) * len(arrays)
    given = stacked(arrays, mapped, axis=-1)
    numbers = tuple(range(len(arrays)))
    got = run(xlac.vmap(xlac.grad(function, argnums=numbers), in_axes=-1, out_axes=-1), *given)
    one = xlac.jit(xlac.grad(function, argnums=numbers), options=EVALUATED)
    want = [one(*(np.asarray(x[..., i]) for x in given)) for i in range(3)]
    for g, column in zip(got, zip(*want)):
        close(g, np.stack(column, -1), name)


@pytest.mark.parametrize("name", SECOND)
def test_gradients_of_vmap_are_gradients_of_examples(name):
    function, arrays = weighted(name)
    numbers = tuple(range(len(arrays)))
    given = stacked(arrays, (True,) * len(arrays))
    got = run(xlac.grad(lambda *a: xlac.vmap(function)(*a).sum(), argnums=numbers), *given)
    want = run(xlac.vmap(xlac.grad(function, argnums=numbers)), *given)
    for g, w in zip(got, want):
        close(g, w)


@pytest.mark.parametrize("name", ["scan", "matmul", "convolution, plain", "softmax", "cond in scan", "sort"])
def test_native_code_gives_the_same(name):
    function, arrays = weighted(name)
    numbers = tuple(range(len(arrays)))
    given = stacked(arrays, (True,) * len(arrays))
    transformed = xlac.vmap(xlac.grad(function, argnums=numbers))
    for g, w in zip(xlac.jit(transformed)(*given), run(transformed, *given)):
        np.testing.assert_allclose(g, w, rtol=1e-10, atol=1e-12)


# ---- jvp and linearize


def test_jvp_through_while_loops():
    def power(x, n):
        return lax.while_loop(lambda s: s[1] < n, lambda s: (s[0] * x, s[1] + 1), (xnp.ones_like(x), 0))[0]

    value, slope = xlac.jvp(lambda x: power(x, 5), (2.0,), (1.0,))
    assert (value, slope) == (32, 80)
    value, slope = xlac.jvp(xlac.jit(lambda x: lax.fori_loop(0, xnp.asarray(3), lambda i, v: v * x, x)), (2.0,), (1.0,))
    assert (value, slope) == (16, 32)
    assert xlac.jacfwd(xlac.jacfwd(lambda x: power(x, 5)))(2.0) == 160


def test_jvp_of_containers_aux_and_integers():
    def f(p, n):
        return {"y": p["a"] * n, "n": n + 1}, p["a"]

    tangent = np.zeros((), xlac.float0)
    value, slope, aux = xlac.jvp(f, ({"a": X}, 3), ({"a": np.ones_like(X)}, tangent), has_aux=True)
    np.testing.assert_allclose(slope["y"], 3 * np.ones_like(X))
    assert slope["n"].dtype == xlac.float0 and value["n"] == 4
    np.testing.assert_array_equal(aux, X)


def test_linearize_runs_the_function_once():
    calls = []

    def f(x, y):
        calls.append(1)
        return xnp.sin(x) * y, x.sum()

    (value, total), push = xlac.linearize(f, X, X + 1)
    np.testing.assert_allclose(value, np.sin(X) * (X + 1))
    for scale in (1.0, 2.0):
        slope, of_total = push(scale * np.ones_like(X), np.zeros_like(X))
        np.testing.assert_allclose(slope, scale * np.cos(X) * (X + 1))
        assert of_total == pytest.approx(6 * scale)
    assert len(calls) == 1 and total == pytest.approx(X.sum())


def test_linear_functions_can_be_mapped():
    def f(x):
        return lax.scan(lambda c, r: (xnp.sin(c * r), c * c), x[0], x)[1] * x.sum()

    x, basis = np.array([0.3, 0.7, 1.1]), np.eye(3)
    want = run(xlac.jacfwd(f), x)
    _, push = xlac.linearize(f, x)
    close(xlac.vmap(push, out_axes=-1)(basis), want)
    close(run(lambda x: xlac.vmap(xlac.linearize(f, x)[1], out_axes=-1)(basis), x), want)
    _, pull = xlac.vjp(f, x)
    close(xlac.vmap(pull)(basis)[0], want)
    close(run(lambda x: xlac.vmap(xlac.vjp(f, x)[1])(basis)[0], x), want)
    close(run(lambda x: lax.map(lambda g: xlac.vjp(f, x)[1](g)[0], basis), x), want)


def test_pullbacks_are_called_often_and_the_function_once():
    calls = []

    def f(x):
        calls.append(1)
        return xnp.exp(x)

    _, pullback = xlac.vjp(f, X)
    close(pullback(np.ones_like(X))[0], np.exp(X))
    close(pullback(2 * np.ones_like(X))[0], 2 * np.exp(X))
    assert len(calls) == 1


def test_linear_transpose_needs_shapes_only():
    a = X[:, :2]
    transposed = xlac.linear_transpose(lambda v: a @ v, xlac.ShapeDtypeStruct((2,), np.float64))
    close(transposed(np.array([1.0, 2.0]))[0], a.T @ [1, 2])


@pytest.mark.parametrize("jacobian", [xlac.jacfwd, xlac.jacrev])
def test_jacobians_nest_as_results_and_arguments(jacobian):
    def f(p, y):
        return {"u": p["a"] * y, "v": (p["b"].sum() * y[0], p["a"])}

    p = {"a": np.array([1.0, 2.0]), "b": np.array([[3.0], [4.0]])}
    y = np.array([5.0, 6.0])
    found = jacobian(f, argnums=(0, 1))(p, y)
    close(found["u"][0]["a"], np.diag(y))
    close(found["u"][0]["b"], np.zeros((2, 2, 1)))
    close(found["u"][1], np.diag(p["a"]))
    close(found["v"][0][0]["b"], np.full((2, 1), 5.0))
    close(found["v"][0][1], [7.0, 0])
    close(found["v"][1][0]["a"], np.eye(2))
    single, aux = jacobian(lambda x: (x**2, {"x": x}), has_aux=True)(y)
    close(single, np.diag(2 * y))
    close(aux["x"], y)


def test_hessians_are_symmetric_and_right():
    a = derivatives.SQUARE
    x = derivatives.V
    close(xlac.hessian(lambda x: x @ (a @ x))(x), a + a.T)
    by_parts = xlac.hessian(lambda x, y: (x * y).sum() ** 2, argnums=(0, 1))(x, x + 1)
    close(by_parts[0][1], by_parts[1][0].T)


def test_holomorphic_jacobians():
    z = np.array([1 + 2j, 3 - 1j])
    close(xlac.jacfwd(lambda z: z**3, holomorphic=True)(z), np.diag(3 * z**2))
    close(xlac.jacrev(lambda z: z**3, holomorphic=True)(z), np.diag(3 * z**2))


# ---- vmap


def test_axes_of_arguments_and_results_are_prefixes():
    def f(p, y):
        return {"s": p["a"] * y, "t": p["b"] + y}, y

    p = {"a": X, "b": X.T}
    found, y = xlac.vmap(f, in_axes=({"a": 0, "b": 1}, None), out_axes=(1, None))(p, np.array([1.0, 2, 3]))
    close(found["s"], (X * [1, 2, 3]).T)
    close(found["t"], (X + [1, 2, 3]).T)
    close(y, [1, 2, 3])
    nested = xlac.vmap(xlac.vmap(lambda a, b: a * b, in_axes=(None, 0)), in_axes=(0, None))
    close(nested(X[0], X[1]), np.outer(X[0], X[1]))
    assert xlac.vmap(lambda: xnp.zeros(2), axis_size=3)().shape == (3, 2)
    close(xlac.vmap(lambda x, *, y: x + y)(X[0], y=X[1]), X[0] + X[1])


def test_vmap_of_loops_that_end_at_different_turns():
    def halvings(x):
        return lax.while_loop(lambda s: s[0] > 1, lambda s: (s[0] / 2, s[1] + 1), (x, 0))[1]

    np.testing.assert_array_equal(xlac.vmap(halvings)(np.array([0.5, 8, 100, 3], np.float32)), [0, 3, 7, 2])
    counts = np.array([0, 3, 5], np.int32)
    sums = xlac.vmap(lambda n: lax.fori_loop(0, n, lambda i, t: t + i, 0))(counts)
    np.testing.assert_array_equal(sums, [0, 3, 10])


def test_vmap_of_choices_that_differ():
    x = np.array([-1.0, 2.0, 3.0])
    close(xlac.vmap(lambda v: lax.cond(v > 0, lambda v: v * 2, lambda v: -v, v))(x), [1, 4, 6])
    branches = [lambda v: v, lambda v: v * v, lambda v: -v]
    close(xlac.vmap(lambda i, v: lax.switch(i, branches, v))(np.array([1, 0, 9], np.int32), x), [1, 2, -3])
    close(xlac.vmap(lambda v: lax.cond(True, lambda v: v * 2, lambda v: -v, v))(x), 2 * x)


def test_vmap_of_indices_that_differ():
    rows = np.arange(12.0).reshape(3, 4)
    at = np.array([3, 0, 7], np.int32)
    close(xlac.vmap(lambda x, i: lax.dynamic_slice(x, (i,), (2,)))(rows, at), [[2, 3], [4, 5], [10, 11]])
    close(xlac.vmap(lambda i: lax.dynamic_slice(rows[0], (i,), (2,)))(at), [[2, 3], [0, 1], [2, 3]])
    changed = xlac.vmap(lambda x, i: lax.dynamic_update_slice(x, -np.ones(2), (i,)))(rows, at)
    close(changed, [[0, 1, -1, -1], [-1, -1, 6, 7], [8, 9, -1, -1]])
    close(xlac.vmap(lambda x, i: x[i])(rows, at % 4), rows[[0, 1, 2], at % 4])
    close(xlac.vmap(lambda x, i: x.at[i].add(1.0), in_axes=(None, 0))(rows[0], at % 4),
          rows[0] + np.eye(4)[at % 4])  # fmt: skip


def test_closures_over_traced_values_are_shared():
    def f(w, xs):
        return xlac.vmap(lambda x: xnp.tanh(w @ x))(xs).sum()

    w, xs = derivatives.SQUARE, derivatives.A
    want = sum(xlac.grad(lambda w, x: xnp.tanh(w @ x).sum())(w, x) for x in xs)
    close(xlac.grad(f)(w, xs), want)
    module = xlac.jit(f).trace(w, xs).module
    assert not any(i.is_a("while") for c in module.computations for i in c)


def test_stop_gradient_and_slopes_of_relu_survive_vmap():
    close(xlac.vmap(xlac.grad(lambda x: nn.relu(x) * 1.0))(np.array([-1.0, 0.0, 2.0])), [0, 0, 1])
    close(xlac.grad(lambda x: xlac.vmap(nn.relu)(x).sum())(np.zeros(2)), [0, 0])
    close(xlac.jvp(nn.relu, (np.zeros(2),), (np.ones(2),))[1], [0, 0])
    close(xlac.grad(lambda x: xlac.vmap(lambda v: v * lax.stop_gradient(v))(x).sum())(X[0]), X[0])
    close(xlac.jvp(lambda x: x * lax.stop_gradient(x), (X,), (np.ones_like(X),))[1], X)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: xlac.vmap(lambda x, y: x + y)(X, X.T), r"equal extents.*2 along axis 0.*3 along axis 0"),
        (lambda: xlac.vmap(lambda x: x, in_axes=2)(X), "axis 2 of argument.*has 2 dimensions"),
        (lambda: xlac.vmap(lambda x: x, in_axes=None)(X), "no argument is mapped"),
        (lambda: xlac.vmap(lambda x: x, in_axes=(0, 0))(X), "in_axes has 2 entries but.*1 positional"),
        (lambda: xlac.vmap(lambda p: p["a"], in_axes=({"b": 0},))({"a": X}), "must be a prefix"),
        (lambda: xlac.vmap(lambda x: x, out_axes=None)(X), "out_axes is None for a result.*differs"),
        (lambda: xlac.vmap(lambda x: x, out_axes=3)(X), "axis 3 of a result"),
        (lambda: xlac.jvp(lambda x: x, (X,), (X[0],)), r"float64\[2,3\] but its tangent is of shape float64\[3\]"),
        (lambda: xlac.jvp(lambda x: x, (X,), (X.astype(np.float32),)), "float64 but its tangent is of type float32"),
        (lambda: xlac.jvp(lambda x: x, (3,), (1,)), "float0"),
        (lambda: xlac.jacfwd(lambda x: x)(np.arange(3)), r"jacfwd: argument \[0\] is int64\[3\]; it must hold real"),
        (lambda: xlac.vjp(lambda x: x, X)[1](X[0]), r"float64\[3\]; it must be \[2, 3\]"),
        (lambda: xlac.hessian(lambda x: x, argnums=1)(X), "argnums=1 but <lambda> was called with 1"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(TraceError, match=message):
        call()


def test_updates_outside_an_array_are_dropped():
    x = np.arange(3.0)
    for at, want in ((1, [0, 9, 2]), (-1, [0, 1, 9]), (3, x), (-4, x)):
        close(xlac.jit(lambda i: xnp.asarray(x).at[i].set(9.0))(np.int32(at)), want)
        close(xlac.vmap(lambda i: xnp.asarray(x).at[i].set(9.0))(np.array([at], np.int32))[0], want)
