"""Options(check_nan=True): what made the first NaN or infinity of a result."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import NonFiniteError

X = np.array([1.0, -2.0, 3.0], np.float32)
HERE = __file__


@pytest.fixture(params=["fused", "unfused", "evaluated"])
def checked(request):
    options = {
        "fused": xlac.Options(check_nan=True),
        "unfused": xlac.Options(check_nan=True, fusion=False),
        "evaluated": xlac.Options(check_nan=True, evaluate=True),
    }[request.param]
    return lambda f, **settings: xlac.jit(f, options=options, **settings)


def message_of(f, *args):
    with pytest.raises(NonFiniteError) as caught:
        f(*args)
    assert isinstance(caught.value, FloatingPointError)
    return str(caught.value)


def test_the_instruction_its_line_and_its_operands_are_named(checked):
    def f(x):
        doubled = x * 2
        logs = xnp.log(doubled)  # the culprit
        return xnp.tanh(doubled), logs + 1

    message = message_of(checked(f), X)
    assert "result 1 holds NaN in 1 of 3 elements, first at [1]: made by log at " in message
    assert f"{HERE}:" in message and "# the culprit" in message
    assert "operand 0, float32[3], is -4.0 there" in message


def test_what_no_result_holds_is_no_fault(checked):
    f = checked(lambda x: xnp.where(x > 0, xnp.log(x), 0))
    np.testing.assert_allclose(f(X), [0, 0, np.log(np.float32(3))], rtol=1e-6)


def test_arguments_that_hold_nan_already_are_told_apart(checked):
    message = message_of(checked(lambda x, y: x + y), X, np.array([0, 0, np.nan], np.float32))
    assert "argument 1 (y), float32[3], holds NaN already, first at [2]" in message


def test_an_infinity_is_followed_to_where_it_was_made(checked):
    def f(x):
        big = xnp.exp(x * 100)  # overflow
        return big - big

    message = message_of(checked(f), X)
    assert "made by subtract" in message and "is inf there" in message
    assert "its infinity is made by exponential" in message and "# overflow" in message


def test_a_constant_is_named(checked):
    assert "a constant of the program" in message_of(checked(lambda x: x * np.float32(np.inf)), X)


def test_the_turn_of_a_scan_is_named(checked):
    def f(x):
        def step(carry, a):
            carry = carry * 10 - a
            return carry, xnp.exp(carry)  # turn by turn

        return lax.scan(step, np.float32(1), x)

    message = message_of(checked(f), np.arange(5, dtype=np.float32))
    assert "result 1 holds infinity in 4 of 5 elements" in message
    assert "made by exponential" in message and "# turn by turn" in message
    assert "is 99.0 there\n    in turn 2 of the loop at" in message


def test_a_fault_that_is_carried_is_followed_to_the_turn_that_made_it(checked):
    def f(x):
        def turn(state):
            i, total, other = state
            return i + 1, total + xnp.sqrt(3 - i.astype(np.float32)), other + total

        return lax.while_loop(lambda s: s[0] < 8, turn, (0, x, x))[2]

    message = message_of(checked(f), np.float32(0))
    assert "made by sqrt" in message and "is -1.0 there" in message and "in turn 5 of the loop" in message


def test_branches_and_calls_are_looked_into(checked):
    @xlac.checkpoint
    def inner(x):
        return x / (x - x)  # zero by zero

    f = checked(lambda x: lax.cond(x[0] > 0, lambda: inner(x * 0).sum(), lambda: x.sum()))
    message = message_of(f, X)
    assert "made by divide" in message and "# zero by zero" in message


def test_gradients_are_named_as_such(checked):
    f = checked(xlac.grad(lambda x: xnp.sqrt(x).sum()))
    message = message_of(f, np.zeros(2, np.float32))
    assert "made by divide at the gradient of" in message and HERE in message


def test_donated_arguments_are_seen_as_they_were(checked):
    message = message_of(checked(lambda x: xnp.log(x - 1), donate_argnums=0), np.array([0.5], np.float32))
    assert "is -0.5 there" in message


def test_integers_and_narrow_floats_are_looked_through(checked):
    import ml_dtypes

    f = checked(lambda x, n: (x.astype(ml_dtypes.bfloat16) / x.astype(ml_dtypes.bfloat16), n // 1))
    assert f(X, np.int32(3))[1] == 3
    assert "made by divide" in message_of(f, X * 0, np.int32(3))


def test_callbacks_without_results_are_not_repeated(checked):
    log = []

    def f(x):
        xlac.debug.callback(lambda: log.append(1))
        return xnp.log(x)

    message_of(checked(f), np.float32(-1))
    assert log == [1]


def test_a_callback_that_gives_nan_is_named(checked):
    spec = xlac.ShapeDtypeStruct((), np.float32)
    message = message_of(checked(lambda x: xlac.pure_callback(lambda v: np.nan, spec, x) + 1), np.float32(1))
    assert "given by pure_callback of <lambda> at" in message and HERE in message


def test_the_variable_switches_it_on(monkeypatch):
    monkeypatch.setenv("XLAC_CHECK_NAN", "1")
    assert "made by log" in message_of(xlac.jit(lambda x: xnp.log(x)), X)
    assert "made by log" in message_of(lambda x: xlac.value_and_grad(lambda v: xnp.log(v * 1.25))(x), np.float32(-1))
    monkeypatch.delenv("XLAC_CHECK_NAN")
    assert np.isnan(xlac.jit(lambda x: xnp.log(x))(X)[1])


def test_the_setting_of_jax_switches_it_on_and_off(monkeypatch):
    monkeypatch.setenv("XLAC_CHECK_NAN", "0")
    f = xlac.jit(lambda x: xnp.log(x))
    assert np.isnan(f(X)[1])
    xlac.config.update("jax_debug_nans", True)
    assert xlac.config.jax_debug_nans and xlac.config.jax_debug_infs
    message_of(f, X)
    xlac.config.update("jax_debug_nans", False)
    assert np.isnan(f(X)[1])


def test_a_program_text_is_checked_by_instruction_name():
    program = xlac.compile(
        "HloModule m\nENTRY e { x = f32[2] parameter(0)\n ROOT r = f32[2] divide(x, x) }",
        options=xlac.Options(check_nan=True),
    )
    assert "made by divide at r" in message_of(program, np.zeros(2, np.float32))
