"""Implicit functions, mapped functions and barriers: values, and derivatives in closed form."""

import numpy as np

import xlac
import xlac.numpy as xnp
from xlac import lax

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
