"""custom_jvp, custom_vjp and checkpoint, alone and under every other transformation."""

import functools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from xlac import lax
from xlac.errors import TraceError

X = np.array([0.3, -0.7, 1.2])


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-12)


@xlac.custom_jvp
def tripled_sine(x, y):
    """sin(x) y, with three times its derivative by x, so that the rule can be told from the true one."""
    return xnp.sin(x) * y


@tripled_sine.defjvp
def _tripled_sine_jvp(primals, tangents):
    (x, y), (of_x, of_y) = primals, tangents
    return tripled_sine(x, y), 3 * xnp.cos(x) * y * of_x + xnp.sin(x) * of_y


@xlac.custom_vjp
def doubled_sine(x, y):
    """sin(x) y, with twice its derivative by x and none by y."""
    return xnp.sin(x) * y


doubled_sine.defvjp(
    lambda x, y: (xnp.sin(x) * y, {"slope": 2 * xnp.cos(x) * y}), lambda kept, g: (g * kept["slope"], None)
)


def by_loop(f, x):
    """f(x[0]) + f(x[1]) + ..., by a scan."""
    return lax.scan(lambda total, v: (total + f(v), None), 0.0 * x[0], x)[0]


def by_choice(f, x):
    return lax.cond(x[0] > 0, lambda x: f(x).sum(), lambda x: x.sum(), x)


WRAPPED = {
    "plainly": lambda f, x: f(x).sum(),
    "in jit": lambda f, x: xlac.jit(f)(x).sum(),
    "in vmap": lambda f, x: xlac.vmap(f)(x).sum(),
    "in vmap of vmap": lambda f, x: xlac.vmap(xlac.vmap(f))(x[:, None]).sum(),
    "in scan": by_loop,
    "in scan in vmap": lambda f, x: xlac.vmap(lambda v: by_loop(f, v[None]))(x).sum(),
    "in cond": by_choice,
    "in checkpoint": lambda f, x: xlac.checkpoint(f)(x).sum(),
    "in a loop": lambda f, x: lax.fori_loop(0, 1, lambda i, v: f(v), x).sum(),
}


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("compiled", [False, True])
def test_jvp_rules_serve_both_ways(how, compiled):
    def f(x):
        return WRAPPED[how](lambda v: tripled_sine(v, 2.0), x)

    outer = xlac.jit if compiled else lambda g: g
    close(outer(f)(X), 2 * np.sin(X).sum())
    close(outer(xlac.grad(f))(X), 6 * np.cos(X))
    value, slope = outer(lambda x: xlac.jvp(f, (x,), (np.ones(3),)))(X)
    close(value, 2 * np.sin(X).sum())
    close(slope, 6 * np.cos(X).sum())


@pytest.mark.parametrize("how", WRAPPED)
def test_vjp_rules_serve_backwards(how):
    def f(x):
        return WRAPPED[how](lambda v: doubled_sine(v, 2.0), x)

    close(f(X), 2 * np.sin(X).sum())
    close(xlac.grad(f)(X), 4 * np.cos(X))
    close(xlac.jit(xlac.jacrev(f))(X), 4 * np.cos(X))
    # The rule is differentiated again: the derivative of 4 cos.
    close(np.diag(xlac.hessian(f)(X)), -4 * np.sin(X))


def test_mapped_rules_add_up_what_examples_share():
    def f(x, y):
        return xlac.vmap(doubled_sine, in_axes=(None, 0))(x, y).sum()

    x = np.float64(0.5)
    close(xlac.grad(f)(x, X), 2 * np.cos(0.5) * X.sum())
    close(xlac.vmap(xlac.grad(doubled_sine), in_axes=(None, 0))(x, X), 2 * np.cos(0.5) * X)
    close(xlac.grad(f, argnums=1)(x, X), np.zeros(3))


def test_one_rule_for_each_argument():
    @xlac.custom_jvp
    def f(x, y):
        return xnp.sin(x) * y

    f.defjvps(lambda t, result, x, y: 5 * t * y, None)
    close(xlac.grad(f, argnums=(0, 1))(np.float64(1), np.float64(2)), (10, 0))
    value, slope = xlac.jvp(f, (X, X), (np.ones(3), np.ones(3)))
    close(slope, 5 * X)


def test_settings_are_passed_to_the_rules_first():
    plain = xlac.custom_jvp(lambda f, x: f(x), nondiff_argnums=(0,))
    plain.defjvp(lambda f, primals, tangents: (f(*primals), 7 * tangents[0]))
    close(xlac.grad(lambda x: plain(xnp.sin, x).sum())(X), np.full(3, 7.0))

    power = xlac.custom_vjp(lambda x, n: x**n, nondiff_argnums=(1,))
    power.defvjp(lambda x, n: (x**n, x), lambda n, x, g: (g * n * 100 * x ** (n - 1),))
    close(xlac.grad(lambda x: power(x, n=3).sum())(X), 300 * X**2)


def test_rules_see_and_give_containers():
    @xlac.custom_vjp
    def f(p, n):
        return {"u": p["a"] * n, "v": p["b"].sum()}

    f.defvjp(
        lambda p, n: (f(p, n), (p, n)),
        lambda kept, g: ({"a": g["u"] * 10, "b": xnp.ones(2, np.float64) * g["v"]}, None),
    )
    p = {"a": np.float64(2), "b": X[:2]}
    grads = xlac.grad(lambda p: f(p, 3)["u"] + f(p, 3)["v"])(p)
    close(grads["a"], 10)
    close(grads["b"], [1, 1])

    @xlac.custom_jvp
    def g(p):
        return p["a"], p["b"] * 2

    g.defjvp(lambda primals, tangents: (g(*primals), (tangents[0]["a"] * 9, tangents[0]["b"] * 2)))
    close(xlac.grad(lambda p: g(p)[0] + g(p)[1].sum())(p)["a"], 9)


def test_methods_can_have_rules():
    class Model:
        scale = 3.0

        @functools.partial(xlac.custom_jvp, nondiff_argnums=(0,))
        def __call__(self, x):
            return self.scale * x

        @__call__.defjvp
        def _rule(self, primals, tangents):
            return self.scale * primals[0], tangents[0] * 11

    close(xlac.grad(lambda x: Model()(x).sum())(X), np.full(3, 11.0))


def test_functions_with_rules_run_outside_traces():
    close(tripled_sine(X, 2.0), 2 * np.sin(X))
    close(doubled_sine(X, y=2.0), 2 * np.sin(X))
    assert tripled_sine.__name__ == "tripled_sine" and "three times" in tripled_sine.__doc__


@pytest.mark.parametrize(
    ("how", "policy"),
    [
        *((how, None) for how in WRAPPED),
        ("plainly", "dots_saveable"),
        ("plainly", "nothing_saveable"),
        *((how, "everything_saveable") for how in ("plainly", "in scan", "in vmap", "in cond")),
    ],
)
def test_checkpointed_functions_have_the_same_derivatives(how, policy):
    w = np.random.default_rng(0).uniform(-1, 1, (3, 3))
    chosen = None if policy is None else getattr(xlac.checkpoint_policies, policy)

    def layer(v):
        return xnp.tanh(xnp.sin(v) * 2) if how.startswith("in vmap") or "scan" in how else xnp.tanh(w @ xnp.sin(v))

    def f(x, layer):
        return WRAPPED[how](layer, x)

    saved = xlac.checkpoint(layer, policy=chosen)
    for transform in (xlac.grad, xlac.hessian):
        found, want = (xlac.jit(transform(lambda x, g=g: f(x, g)), options=EVALUATED)(X) for g in (saved, layer))
        close(found, want)


def test_checkpointed_scans_keep_only_the_carry():
    def step(c, x):
        for _ in range(4):
            c = xnp.sin(c * x)
        return c, None

    def stacks(step):
        module = xlac.jit(xlac.grad(lambda c, xs: lax.scan(step, c, xs)[0].sum())).trace(X, np.ones((10, 3))).module
        return max(sum(s.dims == (10, 3) for s in i.shape) for i in module.entry if i.is_a("while"))

    assert stacks(xlac.checkpoint(step)) < stacks(step)
    assert stacks(xlac.checkpoint(step)) == 2


def test_checkpoint_computes_again():
    def f(x):
        return xnp.sin(xnp.sin(x)).sum()

    def sines(f):
        module = xlac.jit(xlac.value_and_grad(f)).trace(X).module
        return sum(i.is_a("sine") for c in module.computations for i in c)

    assert sines(xlac.remat(f)) > sines(f)
    with_settings = xlac.checkpoint(lambda x, n: x**n, static_argnums=1)
    close(xlac.grad(lambda x: with_settings(x, 3).sum())(X), 3 * X**2)


def wrong_vjp(fwd, bwd):
    f = xlac.custom_vjp(lambda x: x * 2)
    f.defvjp(fwd, bwd)
    return xlac.grad(lambda x: f(x).sum())(X)


def wrong_jvp(rule):
    f = xlac.custom_jvp(lambda x: x * 2)
    f.defjvp(rule)
    return xlac.jvp(f, (X,), (X,))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: xlac.jvp(doubled_sine, (X, X), (X, X)), "doubled_sine has a custom_vjp rule.*custom_jvp"),
        (lambda: xlac.custom_jvp(lambda x: x)(X), "no jvp rule"),
        (lambda: xlac.custom_vjp(lambda x: x)(X), "no vjp rule"),
        (lambda: wrong_vjp(lambda x: x, lambda r, g: (g,)), "fwd rule of <lambda> must give a pair"),
        (lambda: wrong_vjp(lambda x: (x, None), lambda r, g: g), "bwd rule of <lambda> gives Tracer; it must"),
        (lambda: wrong_vjp(lambda x: (x, None), lambda r, g: (g, g)), "gives 2 entries; it must give a tuple of 1"),
        (lambda: wrong_vjp(lambda x: (x, None), lambda r, g: (g[0],)), r"is float64\[\]; it must be float64\[3\]"),
        (lambda: wrong_vjp(lambda x: ((x, x), None), lambda r, g: (g,)), "the result that the fwd rule"),
        (lambda: wrong_jvp(lambda p, t: p[0]), "must give a pair"),
        (lambda: wrong_jvp(lambda p, t: (p[0], t)), "the tangent that the jvp rule of <lambda> gives is nested"),
        (lambda: wrong_jvp(lambda p, t: (p[0], t[0][0])), r"is float64\[\]; it must be float64\[3\]"),
    ],
)
def test_rules_that_do_not_fit_are_refused(call, message):
    with pytest.raises(TraceError, match=message):
        call()


def test_variables_of_the_surrounding_function_are_no_arguments():
    def outer(a):
        f = xlac.custom_vjp(lambda x: x * a)
        f.defvjp(lambda x: (x * 2, None), lambda r, g: (g,))
        return f(X).sum()

    with pytest.raises(TraceError, match="reads a variable of the surrounding function"):
        xlac.grad(outer)(2.0)

    def settings(a):
        f = xlac.custom_vjp(lambda x, a: x * a, nondiff_argnums=(1,))
        f.defvjp(lambda x, a: (x * 2, None), lambda a, r, g: (g,))
        return f(X, a).sum()

    with pytest.raises(TraceError, match="nondiff_argnums; these are settings"):
        xlac.grad(settings)(2.0)


def test_a_rule_may_read_a_variable_that_no_derivative_goes_through():
    def by_custom_vjp(a):
        b = xlac.lax.stop_gradient(a * 3)
        f = xlac.custom_vjp(lambda x: x * b)
        f.defvjp(lambda x: (x * b, None), lambda r, g: (g * 10,))
        return f(a) + b

    def by_custom_jvp(a):
        b = xlac.lax.stop_gradient(a * 3)
        f = xlac.custom_jvp(lambda x: x * b)
        f.defjvp(lambda p, t: (p[0] * b, t[0] * 10))
        return f(a) + b

    for function in (by_custom_vjp, by_custom_jvp):
        assert xlac.value_and_grad(function)(2.0) == (18.0, 10.0)
        assert xlac.jit(xlac.jacrev(function))(2.0) == 10.0
    assert xlac.jvp(by_custom_jvp, (2.0,), (1.0,)) == (18.0, 10.0)
    assert xlac.grad(xlac.grad(lambda a: a * xlac.lax.stop_gradient(a) * a))(2.0) == 4.0


# ---- settings


def scaled(x, count, name="plain"):
    return x * count if isinstance(count, int) and isinstance(name, str) else 1 / 0


def with_rule(**settings):
    f = xlac.custom_jvp(scaled, **settings)
    f.defjvp(lambda count, name, primals, tangents: (primals[0] * count, tangents[0] * count))
    return f


@pytest.mark.parametrize("positions", [(1, 2), (-1, -2), (1, -1)])
@pytest.mark.parametrize("what", ["numbers", "names"])
def test_settings_are_meant_by_position_from_either_end_or_by_name(positions, what):
    names = tuple("x count name".split()[n] for n in positions)
    chosen = {"static_argnums": positions} if what == "numbers" else {"static_argnames": names}
    own = {"nondiff_argnums": positions} if what == "numbers" else {"nondiff_argnames": names}
    for f in (xlac.checkpoint(scaled, **chosen), xlac.jit(scaled, **chosen), with_rule(**own)):
        for call in (lambda x, f=f: f(x, 3, "n"), lambda x, f=f: f(x, count=3, name="n")):
            assert xlac.jit(xlac.grad(call))(2.0) == 3


def test_settings_that_a_function_does_not_have_are_refused():
    for wrap, what in ((xlac.jit, "static"), (xlac.checkpoint, "static"), (xlac.custom_jvp, "nondiff")):
        with pytest.raises(ValueError, match=f"{what}_argnames='scale': scaled has no such argument; it has x, count"):
            wrap(scaled, **{f"{what}_argnames": ("scale",)})
        with pytest.raises(ValueError, match=f"{what}_argnums=3: scaled has 3 positional arguments"):
            wrap(scaled, **{f"{what}_argnums": (3,)})
