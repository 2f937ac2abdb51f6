"""Implicit functions, mapped functions and barriers: values, and derivatives in closed form."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import TraceError
from xlac.flatten_util import ravel_pytree
from xlac.test_util import check_grads

MATRIX = np.array([[3.0, 1.0], [1.0, 2.0]])


def test_a_custom_linear_solve_is_differentiated_by_one_more_solve():
    def solve(b):
        return lax.custom_linear_solve(
            lambda v: MATRIX @ v, b, lambda f, r: xnp.linalg.solve(MATRIX, r), symmetric=True
        )

    b = np.array([1.0, -2.0])
    np.testing.assert_allclose(MATRIX @ solve(b), b)
    np.testing.assert_allclose(xlac.grad(lambda v: solve(v)[0])(b), np.linalg.inv(MATRIX)[0])


def test_a_custom_root_is_differentiated_by_the_implicit_function_theorem():
    def root(a):
        def newton(f, x):
            return lax.fori_loop(0, 20, lambda _, v: v - f(v) / (2 * v), x)

        return lax.custom_root(lambda x: x * x - a, np.float64(1.0), newton, lambda g, y: y / g(xnp.ones_like(y)))

    np.testing.assert_allclose(root(np.float64(2.0)), np.sqrt(2))
    np.testing.assert_allclose(xlac.grad(root)(np.float64(2.0)), 0.5 / np.sqrt(2))


def test_vectorize_maps_core_dimensions_and_broadcasts_the_others():
    distance = xnp.vectorize(lambda a, b: xnp.sqrt(((a - b) ** 2).sum()), signature="(n),(n)->()")
    x, y = np.arange(12.0).reshape(2, 1, 6), np.ones((3, 6))
    np.testing.assert_allclose(distance(x, y), np.linalg.norm(x - y, axis=-1))
    clipped = xnp.vectorize(lambda v, limit: xnp.minimum(v, limit), excluded={1})
    np.testing.assert_allclose(xlac.jit(lambda v: clipped(v, 3.0))(x), np.minimum(x, 3))


def test_piecewise_takes_the_last_condition_that_holds():
    x = np.linspace(-2, 2, 9)
    conditions = [x < 0, x >= 1]
    functions = [lambda v: -v, lambda v: v + 10, 7.0]
    np.testing.assert_allclose(xnp.piecewise(x, conditions, functions), np.piecewise(x, conditions, functions))


def test_a_barrier_gives_its_operands():
    pair = lax.optimization_barrier((np.ones(2), {"a": np.zeros(3)}))
    assert pair[0].tolist() == [1.0, 1.0] and pair[1]["a"].shape == (3,)


def test_random_bits_repeat_for_a_state_and_go_on():
    state = np.arange(4, dtype=np.uint32)
    new, bits = lax.rng_bit_generator(state, (5,))
    again = lax.rng_bit_generator(state, (5,))[1]
    np.testing.assert_array_equal(bits, again)
    assert not np.array_equal(new, state)
    assert not np.array_equal(lax.rng_bit_generator(new, (5,))[1], bits)


def test_scatter_apply_changes_named_places():
    numbers = lax.ScatterDimensionNumbers((), (0,), (0,))
    made = lax.scatter_apply(np.array([1.0, 2.0, 3.0]), np.array([[2], [0]]), xnp.square, numbers, update_shape=(2,))
    np.testing.assert_allclose(made, [1.0, 2.0, 9.0])


def conjugate_gradients(matvec, b):
    """A solver that no reverse-mode derivative goes through by itself."""

    def go_on(state):
        _, r, _, k = state
        return (xnp.vdot(r, r) > 1e-26) & (k < 50)

    def turn(state):
        x, r, p, k = state
        ap = matvec(p)
        alpha = xnp.vdot(r, r) / xnp.vdot(p, ap)
        new = r - alpha * ap
        return x + alpha * p, new, new + xnp.vdot(new, new) / xnp.vdot(r, r) * p, k + 1

    return lax.while_loop(go_on, turn, (xnp.zeros_like(b), b, b, 0))[0]


def spd(seed):
    a = np.random.default_rng(seed).normal(size=(4, 4))
    return a @ a.T + np.eye(4)


def test_a_linear_solve_has_derivatives_by_the_matrix_of_both_orders_and_modes():
    root, b = np.linalg.cholesky(spd(0)), np.arange(4.0)

    def f(root):
        a = root @ root.T
        x = lax.custom_linear_solve(lambda v: a @ v, b, conjugate_gradients, symmetric=True)
        return xnp.sum(x**3)

    check_grads(f, (root,), order=2)


def test_a_linear_solve_uses_the_transposed_solver_and_can_be_mapped():
    a, b = np.stack([spd(0) + np.triu(spd(2)), spd(1)]), np.arange(8.0).reshape(2, 4)

    def solve(a, b):
        return lax.custom_linear_solve(
            lambda v: a @ v, b, lambda mv, r: xnp.linalg.solve(a, r), lambda mv, r: xnp.linalg.solve(a.T, r)
        )

    np.testing.assert_allclose(xlac.vmap(solve)(a, b), np.linalg.solve(a, b[..., None])[..., 0])
    got = xlac.vmap(xlac.grad(lambda a, b: xnp.sum(solve(a, b) ** 2), argnums=(0, 1)))(a, b)
    want = xlac.grad(lambda a, b: xnp.sum(xnp.linalg.solve(a, b[..., None]) ** 2), argnums=(0, 1))(a, b)
    for g, w in zip(got, want):
        np.testing.assert_allclose(g, w, rtol=1e-9)
    shared = xlac.vmap(lambda b: xlac.grad(lambda a: xnp.sum(solve(a, b)))(a[0]))(b)
    assert shared.shape == (2, 4, 4)


def test_auxiliary_results_of_a_solver_come_back():
    x, count = lax.custom_linear_solve(
        lambda v: {"a": 2 * v["a"]}, {"a": np.ones(3)}, lambda mv, r: ({"a": r["a"] / 2}, np.int32(7)), has_aux=True
    )
    assert count == 7 and x["a"].tolist() == [0.5] * 3


def test_a_linear_solve_without_a_transposed_solver_says_what_is_missing():
    with pytest.raises(TraceError, match="transpose_solve"):
        xlac.grad(lambda b: lax.custom_linear_solve(lambda v: 2 * v, b, lambda mv, r: r / 2))(1.0)


def test_roots_of_containers_have_second_derivatives_and_can_be_mapped():
    def root(a):
        def f(x):
            return {"u": x["u"] ** 3 + x["v"] - a, "v": x["v"] - 2 * x["u"] - a}

        def newton(f, x):
            def turn(_, x):
                u = x["u"] - (x["u"] ** 3 + 2 * x["u"]) / (3 * x["u"] ** 2 + 2)
                return {"u": u, "v": 2 * u + a}

            return lax.while_loop(lambda s: s[0] < 60, lambda s: (s[0] + 1, turn(0, s[1])), (0, x))[1]

        def tangent_solve(g, y):
            flat, back = ravel_pytree(y)
            return back(xnp.linalg.solve(xlac.jacfwd(lambda v: ravel_pytree(g(back(v)))[0])(flat * 0), flat))

        return lax.custom_root(f, {"u": a * 0, "v": a}, newton, tangent_solve)["v"]

    a = np.linspace(0.5, 2, 3)
    np.testing.assert_allclose(xlac.vmap(xlac.grad(root))(a), np.ones(3), atol=1e-12)
    assert abs(xlac.grad(xlac.grad(root))(a[0])) < 1e-12
