"""Transformations and control flow nested in one another: derivatives against differences, and everything under JAX."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
import xlac.numpy as xnp
from tests.evaluated import evaluated
from tests.frontend import nesting
from xlac import lax

X, ALONG, WEIGHTS = np.array([0.4, -0.3, 0.6]), np.array([0.5, 1.0, -0.7]), np.array([1.0, -0.5, 0.3])
NAMES = list(nesting.AROUND)
STEP = 1e-5


def derivative(lib, f, mode):
    """The derivative of f along ALONG, or that of its weighted sum."""
    if mode == "fwd":
        return lambda x: lib.jvp(f, (x,), (ALONG,))[1]
    return lambda x: lib.vjp(f, x)[1](WEIGHTS)[0]


def check(names):
    """Check the derivatives of a nesting in both modes against central differences of its values."""
    modes = nesting.modes(names)
    if modes is None:
        return
    f = nesting.nested(xlac, xnp, lax, names)
    value = evaluated(f)
    slope = (np.asarray(value(X + STEP * ALONG)) - np.asarray(value(X - STEP * ALONG))) / (2 * STEP)
    # The differences are off by STEP^2 times a third derivative and by rounding over STEP.
    for mode in modes:
        got = evaluated(derivative(xlac, f, mode))(X)
        if mode == "fwd":
            np.testing.assert_allclose(got, slope, rtol=1e-6, atol=1e-7, err_msg=str(names))
        else:
            np.testing.assert_allclose(np.vdot(got, ALONG), np.vdot(WEIGHTS, slope), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_each_around_itself_has_right_derivatives(name):
    check((name,))
    check((name, name))


@pytest.mark.slow
@pytest.mark.parametrize("outer", NAMES)
def test_each_around_each_has_right_derivatives(outer):
    for inner in NAMES:
        check((inner, outer))


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(NAMES), min_size=3, max_size=3))
def test_three_around_each_other_have_right_derivatives(names):
    check(tuple(names))


@pytest.mark.parametrize(("inner", "outer"), [("custom_vjp", "jvp"), ("while_loop", "grad"), ("custom_vjp", "jacfwd")])
def test_a_mode_that_a_function_does_not_have_is_refused(inner, outer):
    assert nesting.modes((inner, outer)) is None
    with pytest.raises(xlac.errors.TraceError, match="cannot go through"):
        evaluated(nesting.nested(xlac, xnp, lax, (inner, outer)))(X)


@pytest.mark.parametrize("names", [("cond", "scan", "grad"), ("custom_root", "vmap", "jacrev"), ("map", "hessian")])
def test_native_code_gives_the_same(names):
    f = nesting.nested(xlac, xnp, lax, names)
    many = xlac.vmap(f)
    xs = np.stack([X, 2 * X])
    np.testing.assert_allclose(xlac.jit(many)(xs), [evaluated(f)(x) for x in xs], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(f(X), evaluated(f)(X), rtol=1e-12, atol=1e-14)


# ---- JAX

DRAWN = np.random.default_rng(0).choice(NAMES, (60, 3)).tolist()
DEEP = [tuple(names) for names in DRAWN if nesting.modes(names)]
PAIRS = [names for names in itertools.product(NAMES, repeat=2) if nesting.modes(names)]


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize("names", PAIRS[::5] + DEEP, ids="-".join)
def test_nestings_are_jaxs(names):
    import jax
    import jax.numpy as jnp

    ours, theirs = nesting.nested(xlac, xnp, lax, names), nesting.nested(jax, jnp, jax.lax, names)
    with jax.enable_x64(True):
        want = jax.jit(lambda x: [theirs(x), *(derivative(jax, theirs, m)(x) for m in nesting.modes(names))])(X)
        want = [np.asarray(w) for w in want]
    got = evaluated(lambda x: [ours(x), *(derivative(xlac, ours, m)(x) for m in nesting.modes(names))])(X)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-11)
