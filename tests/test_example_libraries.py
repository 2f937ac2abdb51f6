"""Layers and optimizers of the example libraries: they train, and under JAX give the same numbers."""

import importlib

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import random
from xlac.errors import EstimatorError
from xlac.example_libraries import optimizers, stax

X = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
PARAMS = {"w": np.arange(6, dtype=np.float32).reshape(2, 3) / 4, "b": [np.float32(0.5)]}
OPTIMIZERS = {
    "sgd": (0.1,),
    "momentum": (0.1, 0.9),
    "nesterov": (0.1, 0.9),
    "adagrad": (0.1,),
    "rmsprop": (0.1,),
    "rmsprop_momentum": (0.02,),
    "adam": (0.1,),
    "adamax": (0.1,),
    "sm3": (0.1,),
}
SCHEDULES = {
    "constant": (0.5,),
    "exponential_decay": (0.5, 10, 0.5),
    "inverse_time_decay": (0.5, 2, 0.5, True),
    "polynomial_decay": (0.5, 5, 0.01, 2.0),
    "piecewise_constant": ([3, 6], [1.0, 0.5, 0.1]),
}


def network(s):
    return s.serial(
        s.Conv(4, (3, 3), padding="SAME"), s.BatchNorm(), s.Relu, s.MaxPool((2, 2), (2, 2)),
        s.ConvTranspose(3, (2, 2), (2, 2)), s.AvgPool((2, 2), padding="SAME"), s.SumPool((2, 2), spec="NHWC"),
        s.FanOut(2), s.parallel(s.Identity, s.Tanh), s.FanInConcat(), s.FanOut(2), s.parallel(s.Sigmoid, s.Gelu),
        s.FanInSum, s.Flatten, s.Dense(5), s.Dropout(0.5), s.shape_dependent(lambda d: s.Dense(d[-1] + 1)),
        s.LogSoftmax,
    )  # fmt: skip


def run(m, libraries, rng):
    """The outputs of a network, and the parameters after some steps of each optimizer."""
    init, apply = network(libraries.stax)
    _, params = init(rng, (3, 8, 8, 2))
    out = apply(params, X, rng=rng)
    found = [out]
    for name, args in OPTIMIZERS.items():
        start, update, get = getattr(libraries.optimizers, name)(*args)
        state = start(PARAMS)
        for i in range(4):
            grads = m.grad(lambda p: (m.numpy.sin(p["w"]) * p["b"][0]).sum())(get(state))
            state = update(i, libraries.optimizers.clip_grads(grads, 1.5), state)
        found += [get(state)["w"], get(state)["b"][0]]
    for name, args in SCHEDULES.items():
        schedule = getattr(libraries.optimizers, name)(*args)
        found += [schedule(i) for i in (0, 3, 4, 7)]
    return found


@pytest.mark.jax
def test_outputs_and_parameters_are_jaxs():
    jax = pytest.importorskip("jax")
    for name in ("optimizers", "stax"):
        importlib.import_module(f"jax.example_libraries.{name}")
    ours = run(xlac, xlac.example_libraries, random.PRNGKey(0))
    theirs = run(jax, jax.example_libraries, jax.random.PRNGKey(0))
    for got, want in zip(ours, theirs):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_shapes_are_told_before_any_example_is_there():
    init, apply = network(stax)
    shape, params = init(random.key(0), (-1, 8, 8, 2))
    assert shape == (-1, 6)
    out = xlac.jit(apply)(params, X, rng=random.key(1))
    assert out.shape == (3, 6)
    np.testing.assert_allclose(np.exp(out).sum(1), 1, rtol=1e-5)
    with pytest.raises(EstimatorError, match="rng=key"):
        apply(params, X)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_downhill_in_one_program(name):
    target = {"w": xnp.asarray(PARAMS["w"]) + 1, "b": [xnp.float32(-0.5)]}

    def loss(params):
        return sum(((p - t) ** 2).sum() for p, t in zip(xlac.tree.leaves(params), xlac.tree.leaves(target)))

    init, update, get = getattr(optimizers, name)(*OPTIMIZERS[name])
    step = xlac.jit(lambda i, state: update(i, xlac.grad(loss)(get(state)), state))
    state = init(PARAMS)
    for i in range(60):
        state = step(i, state)
    assert loss(get(state)) < 0.1 * loss(PARAMS)
    stored = optimizers.unpack_optimizer_state(state)
    assert set(stored) == {"w", "b"} and isinstance(stored["w"], optimizers.JoinPoint)
    again = optimizers.pack_optimizer_state(stored)
    assert all(map(np.array_equal, xlac.tree.leaves(again), xlac.tree.leaves(state)))


def test_adam_is_its_formula():
    init, update, get = optimizers.adam(0.1, 0.8, 0.9, 1e-3)
    state, x, m, v = init(np.array([1.0, -2.0])), np.array([1.0, -2.0]), 0, 0
    for i in range(3):
        g = np.cos(x)
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        state = update(i, g, state)
        x = x - 0.1 * (m / (1 - 0.8 ** (i + 1))) / (np.sqrt(v / (1 - 0.9 ** (i + 1))) + 1e-3)
        np.testing.assert_allclose(get(state), x, rtol=1e-12)


def test_what_does_not_fit_is_refused():
    init, update, _ = optimizers.sgd(0.1)
    with pytest.raises(EstimatorError, match="gradients are nested"):
        update(0, [1.0], init(PARAMS))
    with pytest.raises(EstimatorError, match="one value more"):
        optimizers.piecewise_constant([1, 2], [0.1, 0.2])
    with pytest.raises(EstimatorError, match="number or a function"):
        optimizers.make_schedule([1.0, 2.0])
    with pytest.raises(EstimatorError, match="JoinPoints"):
        optimizers.pack_optimizer_state(PARAMS)


def test_the_nearest_of_some_vectors_is_found():
    vq = pytest.importorskip("scipy.cluster.vq").vq
    points, codes = X[0, 0].astype(float), X[1, :3, 0].astype(float)
    for ours, theirs in zip(xlac.scipy.cluster.vq.vq(points, codes), vq(points, codes)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for ours, theirs in zip(xlac.scipy.cluster.vq.vq(points[:, 0], codes[:, 0]), vq(points[:, 0], codes[:, 0])):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
