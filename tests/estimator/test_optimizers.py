"""Optimizers against the formulas of their papers, in NumPy float64."""

from __future__ import annotations

import numpy as np
import pytest

import xlac
from xlac import numpy as xnp
from xlac.errors import EstimatorError
from xlac.estimator import optimizers

STEPS = 6
RNG = np.random.default_rng(1)
START = {"a": RNG.standard_normal((3, 2)).astype(np.float32), "b": [np.float32(0.5) * np.ones(4, np.float32)]}
GRADIENTS = [
    {"a": RNG.standard_normal((3, 2)).astype(np.float32), "b": [RNG.standard_normal(4).astype(np.float32)]}
    for _ in range(STEPS)
]


def run(optimizer, dtype=np.float32):
    """Variables after all steps, the update compiled."""
    variables = {"a": START["a"].astype(dtype), "b": [START["b"][0].astype(dtype)]}
    slots = optimizer.init(variables)
    update = xlac.jit(optimizer.update)
    for step, gradients in enumerate(GRADIENTS):
        gradients = {"a": gradients["a"].astype(dtype), "b": [gradients["b"][0].astype(dtype)]}
        variables, slots = update(gradients, slots, variables, np.int64(step))
    return variables


def by_formula(rule):
    """Variables after all steps of `rule(v, g, t, slots) -> v`, t from 1, in float64."""
    result = []
    for start, gradients in (
        (START["a"], [g["a"] for g in GRADIENTS]),
        (START["b"][0], [g["b"][0] for g in GRADIENTS]),
    ):
        v, slots = start.astype(np.float64), {}
        for t, g in enumerate(gradients, 1):
            v = rule(v, g.astype(np.float64), t, slots)
        result.append(v)
    return result


def momentum_rule(nesterov):
    def rule(v, g, t, s):
        s["m"] = 0.9 * s.get("m", 0.0) + g
        return v - 0.01 * (g + 0.9 * s["m"] if nesterov else s["m"])

    return rule


def adam_rule(decay):
    def rule(v, g, t, s):
        s["m"] = 0.9 * s.get("m", 0.0) + 0.1 * g
        s["v"] = 0.999 * s.get("v", 0.0) + 0.001 * g * g
        return v - 0.01 * (s["m"] / (1 - 0.9**t) / (np.sqrt(s["v"] / (1 - 0.999**t)) + 1e-8) + decay * v)

    return rule


def rmsprop_rule(v, g, t, s):
    s["s"] = 0.9 * s.get("s", 0.0) + 0.1 * g * g
    return v - 0.01 * g / (np.sqrt(s["s"]) + 1e-7)


def adagrad_rule(v, g, t, s):
    s["s"] = s.get("s", 0.1) + g * g
    return v - 0.01 * g / (np.sqrt(s["s"]) + 1e-7)


RULES = {
    "sgd": (optimizers.sgd(0.01), lambda v, g, t, s: v - 0.01 * g),
    "momentum": (optimizers.momentum(0.01), momentum_rule(False)),
    "nesterov": (optimizers.momentum(0.01, nesterov=True), momentum_rule(True)),
    "adam": (optimizers.adam(0.01), adam_rule(0.0)),
    "adamw": (optimizers.adamw(0.01, weight_decay=0.1), adam_rule(0.1)),
    "rmsprop": (optimizers.rmsprop(0.01), rmsprop_rule),
    "adagrad": (optimizers.adagrad(0.01), adagrad_rule),
    "scheduled": (
        optimizers.sgd(optimizers.exponential_decay(0.1, 2, 0.5)),
        lambda v, g, t, s: v - 0.1 * 0.5 ** ((t - 1) / 2) * g,
    ),
    "stepped": (
        optimizers.sgd(optimizers.piecewise_constant([1, 3], [0.1, 0.01, 0.001])),
        lambda v, g, t, s: v - (0.1 if t <= 2 else 0.01 if t <= 4 else 0.001) * g,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_an_optimizer_follows_its_formula(name):
    optimizer, rule = RULES[name]
    variables, expected = run(optimizer), by_formula(rule)
    # some ten roundings a step of values near 1; the schedule's exponential adds a few more
    tolerance = STEPS * 16 * 2**-24
    np.testing.assert_allclose(variables["a"], expected[0], rtol=0, atol=tolerance)
    np.testing.assert_allclose(variables["b"][0], expected[1], rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", RULES)
def test_variables_keep_their_type(name, dtype):
    variables = run(RULES[name][0], dtype)
    assert variables["a"].dtype == variables["b"][0].dtype == dtype


def test_cosine_decay_rises_falls_and_stays():
    rate = optimizers.cosine_decay(1.0, steps=14, warmup=4, final=0.1)
    values = [float(xlac.jit(rate)(np.int64(step))) for step in (0, 3, 4, 9, 14, 50)]
    np.testing.assert_allclose(values, [0.25, 1.0, 1.0, 0.55, 0.1, 0.1], rtol=1e-5)


def test_clipping_scales_all_gradients_by_their_common_norm():
    def rule_for(norm):
        lengths = [np.sqrt(np.square(g["a"]).sum() + np.square(g["b"][0]).sum(dtype=np.float64)) for g in GRADIENTS]
        return lambda v, g, t, s: v - 0.1 * g * min(1.0, norm / lengths[t - 1])

    for norm in (0.5, 100.0):
        variables = run(optimizers.clip_by_global_norm(optimizers.sgd(0.1), norm))
        expected = by_formula(rule_for(norm))
        np.testing.assert_allclose(variables["a"], expected[0], rtol=0, atol=STEPS * 16 * 2**-24)


def test_optimizers_are_found_by_name():
    assert optimizers.get("adam", 0.5).settings["learning_rate"] == 0.5
    assert optimizers.get("nesterov").settings["nesterov"] is True
    own = optimizers.sgd()
    assert optimizers.get(own) is own


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.get("adamm"), "'adamm'; it must be one of sgd, momentum"),
        (lambda: optimizers.get(3), "optimizer is int 3"),
        (lambda: optimizers.get(optimizers.sgd(), 0.1), "learning_rate is given besides"),
        (lambda: optimizers.sgd(-1.0), "learning_rate is -1.0; it must be a finite number of 0 or more"),
        (lambda: optimizers.adam(float("nan")), "learning_rate is nan"),
        (lambda: optimizers.adam(beta1=1.0), "beta1 is 1.0; .* below 1"),
        (lambda: optimizers.momentum(momentum="a"), "momentum is 'a'"),
        (lambda: optimizers.piecewise_constant([2, 1], [1.0, 2.0, 3.0]), "boundaries rise"),
        (lambda: optimizers.exponential_decay(0.1, 0, 0.5), "steps is 0"),
        (lambda: optimizers.cosine_decay(0.1, 3, 3), "steps is 3; it must be an integer of 4 or more"),
    ],
)
def test_improper_settings_are_refused(make, message):
    with pytest.raises(EstimatorError, match=message):
        make()


def test_an_optimizer_works_in_a_loop_of_ones_own():
    adam = optimizers.adam(0.1)

    @xlac.jit
    def step(variables, slots, number):
        gradients = xlac.grad(lambda v: xnp.sum(xnp.square(v - 3.0)))(variables)
        return adam.update(gradients, slots, variables, number)

    variables = np.zeros(2, np.float32)
    slots = adam.init(variables)
    for number in range(60):
        variables, slots = step(variables, slots, np.int32(number))
    np.testing.assert_allclose(variables, 3.0, atol=0.3)
