"""Effects in the rules of custom_vjp and custom_jvp, wherever the function with the rules is called."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import TraceError

X = np.float64(0.7)

# Where a function of a number is called.
PLACES = {
    "plain": lambda f, x: f(x),
    "cond": lambda f, x: lax.cond(x > 0, f, lambda y: 2 * y, x),
    "switch": lambda f, x: lax.switch(xnp.int32(x * 0) + 2, [xnp.cos, f, lambda y: f(f(y))], x),
    "scan": lambda f, x: lax.scan(lambda c, _: (f(c), c), x, None, length=2)[0],
    "cond in scan": lambda f, x: lax.scan(
        lambda c, i: (lax.cond(i > 0, f, lambda y: 2 * y, c), c), x, xnp.arange(2))[0],
    "scan in cond": lambda f, x: lax.cond(x > 0, lambda y: PLACES["scan"](f, y), lambda y: y, x),
    "checkpointed cond": lambda f, x: xlac.checkpoint(lambda y: PLACES["cond"](f, y))(x),
    "vmap of cond": lambda f, x: xnp.sum(xlac.vmap(lambda y: PLACES["cond"](f, y))(x * xnp.ones(2))),
    "while": lambda f, x: lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, f(s[1])), (0, x))[1],
}  # fmt: skip
ONCE, TWICE = [0.7], [0.7, np.sin(0.7)]
CALLS = {"plain": ONCE, "cond": ONCE, "checkpointed cond": ONCE, "cond in scan": [1.4], "vmap of cond": [0.7, 0.7]}


def calls(place):
    """What the function is called with."""
    return CALLS.get(place, TWICE)


def with_vjp(log):
    @xlac.custom_vjp
    def f(x):
        return xnp.sin(x)

    def fwd(x):
        xlac.debug.callback(lambda v: log.append(("fwd", float(v))), x)
        return xnp.sin(x), x

    def bwd(x, g):
        xlac.debug.callback(lambda v, g: log.append(("bwd", float(v), float(g))), x, g)
        return (g * xnp.cos(x),)

    f.defvjp(fwd, bwd)
    return f


def with_jvp(log):
    @xlac.custom_jvp
    def f(x):
        return xnp.sin(x)

    @f.defjvp
    def rule(primals, tangents):
        xlac.debug.callback(lambda *given: log.append(tuple(map(float, given))), *primals, *tangents)
        return xnp.sin(*primals), xnp.cos(*primals) * tangents[0]

    return f


def derivatives(function):
    return float(xlac.grad(function)(X)), float(xlac.hessian(function)(X))


@pytest.mark.parametrize("place", [p for p in PLACES if p != "while"])
@pytest.mark.parametrize("order", [1, 2])
def test_both_rules_of_a_custom_vjp_have_their_effects(place, order):
    log = []
    f, call = with_vjp(log), PLACES[place]
    transformed = xlac.jit(xlac.grad(lambda x: call(f, x)) if order == 1 else xlac.hessian(lambda x: call(f, x)))
    want = derivatives(lambda x: call(xnp.sin, x))[order - 1]
    np.testing.assert_allclose(transformed(X), want, rtol=1e-12)
    xs = calls(place)
    slopes = [1.0] * len(xs) if "vmap" in place else [np.prod(np.cos(xs[k + 1 :])) for k in range(len(xs))]
    expected = [("fwd", x) for x in xs] + [("bwd", x, g) for x, g in zip(xs, slopes)]
    assert sorted(log) == [(kind, *map(pytest.approx, row)) for kind, *row in sorted(expected)]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["jvp", "linearize"])
@pytest.mark.parametrize("jitted", [True, False])
def test_a_jvp_rule_shows_the_tangents_that_are_pushed(place, how, jitted):
    log = []
    f, call = with_jvp(log), PLACES[place]

    def slope(x, t):
        if how == "jvp":
            return xlac.jvp(lambda v: call(f, v), (x,), (t,))[1]
        return xlac.linearize(lambda v: call(f, v), x)[1](t)

    got = (xlac.jit(slope) if jitted else slope)(X, np.float64(0.5))
    np.testing.assert_allclose(got, xlac.jvp(lambda v: call(xnp.sin, v), (X,), (np.float64(0.5),))[1], rtol=1e-12)
    xs = calls(place)
    first = xs[0] / X * 0.5
    tangents = [first] * len(xs) if "vmap" in place else [first * np.prod(np.cos(xs[:k])) for k in range(len(xs))]
    assert sorted(log) == [tuple(map(pytest.approx, row)) for row in sorted(zip(xs, tangents))]


@pytest.mark.parametrize("place", [p for p in PLACES if p != "while"])
def test_a_transposed_jvp_rule_has_no_tangents_to_show(place):
    log = []
    f, call = with_jvp(log), PLACES[place]
    np.testing.assert_allclose(derivatives(lambda x: call(f, x)), derivatives(lambda x: call(xnp.sin, x)), rtol=1e-12)
    assert not log


@pytest.mark.parametrize("place", ["plain", "cond", "scan"])
def test_a_pullback_shows_each_cotangent(place):
    log = []
    f = with_vjp(log)
    _, pull = xlac.vjp(lambda x: PLACES[place](f, x), X)
    assert all(row[0] == "fwd" for row in log)
    log.clear()
    for g in (1.0, 2.0):
        pull(np.float64(g))
    shown = [row[2] for row in log if row[0] == "bwd"]
    count = len(calls(place))
    assert len(shown) == 2 * count
    np.testing.assert_allclose(shown[count:], 2 * np.array(shown[:count]))


def test_checks_in_rules_are_found_in_branches_and_loops():
    from xlac.experimental import checkify

    @xlac.custom_jvp
    def f(x):
        return xnp.sin(x)

    @f.defjvp
    def rule(primals, tangents):
        checkify.check(primals[0] < 1, "{} is too great", primals[0])
        return xnp.sin(*primals), tangents[0]

    for place in ("cond", "scan", "cond in scan", "while"):
        checked = checkify.checkify(lambda x, p=place: xlac.jvp(lambda v: PLACES[p](f, v), (x,), (x,))[1])
        assert checked(np.float64(0.3))[0].get() is None, place
        assert "1.25 is too great" in checked(np.float64(0.625 if place == "cond in scan" else 1.25))[0].get(), place


def test_a_rule_whose_value_is_an_effects_result_is_refused_in_a_loop():
    @xlac.custom_vjp
    def f(x):
        return x

    shape = xlac.ShapeDtypeStruct((), np.float64)
    f.defvjp(lambda x: (xlac.io_callback(lambda v: v, shape, x), None), lambda _, g: (g,))
    assert xlac.grad(f)(X) == 1
    with pytest.raises(TraceError, match="io_callback, inside a loop or a branch"):
        xlac.grad(lambda x: PLACES["scan"](f, x))(X)


def test_linearize_keeps_what_a_branch_has_computed():
    calls = []

    def slow(x):
        calls.append(float(x))
        return np.sin(x)

    @xlac.custom_jvp
    def f(x):
        return xlac.pure_callback(slow, x, x)

    f.defjvps(lambda t, y, x: xlac.pure_callback(np.cos, x, x) * t)
    _, push = xlac.linearize(lambda x: lax.cond(x > 0, lambda v: xnp.exp(f(v)), lambda v: v, x), X)
    calls.clear()
    np.testing.assert_allclose([push(t) for t in (1.0, 2.0)], np.exp(np.sin(X)) * np.cos(X) * np.array([1, 2]))
    assert not calls
