"""Every derivative rule: against central differences in both modes and orders, under transformations, and under JAX."""

import importlib.util
import pathlib

import numpy as np
import pytest

import xlac
from xlac import lax, tree
from xlac.test_util import _difference, _inner, _random_like


def _load(name):
    spec = importlib.util.spec_from_file_location(name, pathlib.Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rules, opcodes = _load("rule_cases"), _load("opcode_cases")
EVALUATED = xlac.Options(evaluate=True)
CASES = {name: ((lambda *a, f=f: f(lax, *a)), arrays) for name, (f, arrays, _) in rules.CASES.items()}
CASES |= {f"opcode: {name}": given for name, given in opcodes.CASES.items()}
FORWARD_ONLY = {"while_loop"}


def evaluated(function):
    return xlac.jit(function, options=EVALUATED)


def same(got, want, tolerance):
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        size = np.max(np.abs(w), initial=1.0)
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * size)


def along(arrays, seed):
    return _random_like(np.random.default_rng(seed), tuple(arrays))


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_both_orders_are_the_limits_of_differences(name):
    """Tangents, cotangents by their product with them, and the second derivative in three of its four orders."""
    function, arrays = CASES[name]
    t = along(arrays, 1)
    value = evaluated(function)(*arrays)
    g = along([value], 2)[0]

    def pull(*a):
        return xlac.vjp(function, *a)[1](g)

    def push(*a):
        return xlac.jvp(function, a, t)[1]

    slope = evaluated(push)(*arrays)
    same(slope, _difference(evaluated(function), arrays, t, 1e-5), 1e-7)
    if name in FORWARD_ONLY:
        second = evaluated(lambda *a: xlac.jvp(push, a, t)[1])(*arrays)
        return same(second, _difference(evaluated(push), arrays, t, 1e-5), 1e-7)
    cotangents = evaluated(pull)(*arrays)
    assert _inner(cotangents, t) == pytest.approx(_inner(g, slope), rel=1e-10, abs=1e-10)
    second = evaluated(lambda *a: xlac.jvp(pull, a, t)[1])(*arrays)
    same(second, _difference(evaluated(pull), arrays, t, 1e-5), 1e-6)
    same(evaluated(lambda *a: xlac.vjp(push, *a)[1](g))(*arrays), second, 1e-10)
    same(evaluated(lambda *a: xlac.vjp(pull, *a)[1](t))(*arrays), second, 1e-10)
