"""First-order optimizers as triples of functions, and schedules of their step sizes.

`init, update, get_params = adam(1e-3)`: `init(params)` gives a state, `update(i, gradients, state)` the next one, where
i counts the steps from 0, and `get_params(state)` its parameters. States are containers of arrays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import xlac.numpy as xnp
from xlac import tree
from xlac.errors import EstimatorError
from xlac.tree_util import register_pytree_node

__all__ = [
    "JoinPoint",
    "Optimizer",
    "OptimizerState",
    "adagrad",
    "adam",
    "adamax",
    "clip_grads",
    "constant",
    "exponential_decay",
    "inverse_time_decay",
    "l2_norm",
    "make_schedule",
    "momentum",
    "nesterov",
    "optimizer",
    "pack_optimizer_state",
    "piecewise_constant",
    "polynomial_decay",
    "rmsprop",
    "rmsprop_momentum",
    "sgd",
    "sm3",
    "unpack_optimizer_state",
]

Schedule = Callable[[Any], Any]


class OptimizerState(NamedTuple):
    """The arrays of each parameter's state, how the parameters nest, and how each state does."""

    packed_state: Any
    tree_def: Any
    subtree_defs: Any


register_pytree_node(
    OptimizerState,
    lambda state: ((state.packed_state,), (state.tree_def, state.subtree_defs)),
    lambda data, children: OptimizerState(children[0], *data),
)


class Optimizer(NamedTuple):
    """The functions of an optimizer, by name and in order."""

    init_fn: Callable[[Any], OptimizerState]
    update_fn: Callable[[Any, Any, OptimizerState], OptimizerState]
    params_fn: Callable[[OptimizerState], Any]


def optimizer(opt_maker: Callable[..., tuple[Callable, Callable, Callable]]) -> Callable[..., Optimizer]:
    """Make of an optimizer of one array, a function that gives `init(x)`, `update(i, g, state)` and `get(state)`,
    one of containers of arrays."""

    @functools.wraps(opt_maker)
    def make(*args: Any, **kwargs: Any) -> Optimizer:
        init, update, get = opt_maker(*args, **kwargs)

        def packed(states: list[Any], structure: Any) -> OptimizerState:
            flat = [tree.flatten(s) for s in states]
            return OptimizerState(tuple(tuple(f[0]) for f in flat), structure, tuple(f[1] for f in flat))

        def states_of(state: OptimizerState) -> list[Any]:
            return [tree.unflatten(d, s) for d, s in zip(state.subtree_defs, state.packed_state)]

        def tree_init(params: Any) -> OptimizerState:
            leaves, structure = tree.flatten(params)
            return packed([init(xnp.asarray(x)) for x in leaves], structure)

        def tree_update(i: Any, grads: Any, state: OptimizerState) -> OptimizerState:
            leaves, structure = tree.flatten(grads)
            if structure != state.tree_def:
                raise EstimatorError(f"gradients are nested as {structure}; the parameters as {state.tree_def}")
            return packed([update(i, g, s) for g, s in zip(leaves, states_of(state))], structure)

        def tree_get(state: OptimizerState) -> Any:
            return tree.unflatten(state.tree_def, [get(s) for s in states_of(state)])

        return Optimizer(tree_init, tree_update, tree_get)

    return make


def _first(state: Any) -> Any:
    return state[0]


def _inverse_root(x: Any) -> Any:
    """1 / sqrt(x), 0 of 0."""
    return xnp.where(x > 0, 1 / xnp.sqrt(xnp.where(x > 0, x, 1)), 0)


@optimizer
def sgd(step_size: Any) -> tuple[Callable, Callable, Callable]:
    """Gradient descent: x - step g."""
    step = make_schedule(step_size)
    return lambda x: x, lambda i, g, x: x - step(i) * g, lambda x: x


@optimizer
def momentum(step_size: Any, mass: float) -> tuple[Callable, Callable, Callable]:
    """Gradient descent with v = mass v + g in place of g."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, v = state
        v = mass * v + g
        return x - step(i) * v, v

    return lambda x: (x, xnp.zeros_like(x)), update, _first


@optimizer
def nesterov(step_size: Any, mass: float) -> tuple[Callable, Callable, Callable]:
    """Nesterov's momentum: as `momentum`, a step ahead."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, v = state
        v = mass * v + g
        return x - step(i) * (mass * v + g), v

    return lambda x: (x, xnp.zeros_like(x)), update, _first


@optimizer
def adagrad(step_size: Any, momentum: float = 0.9) -> tuple[Callable, Callable, Callable]:
    """Adagrad (Duchi, Hazan and Singer, 2011) with momentum."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, total, m = state
        total = total + xnp.square(g)
        m = (1 - momentum) * (g * _inverse_root(total)) + momentum * m
        return x - step(i) * m, total, m

    return lambda x: (x, xnp.zeros_like(x), xnp.zeros_like(x)), update, _first


@optimizer
def rmsprop(step_size: Any, gamma: float = 0.9, eps: float = 1e-8) -> tuple[Callable, Callable, Callable]:
    """RMSProp: steps over the root of a moving mean of squares."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean = state
        mean = mean * gamma + xnp.square(g) * (1 - gamma)
        return x - step(i) * g / xnp.sqrt(mean + eps), mean

    return lambda x: (x, xnp.zeros_like(x)), update, _first


@optimizer
def rmsprop_momentum(
    step_size: Any, gamma: float = 0.9, eps: float = 1e-8, momentum: float = 0.9
) -> tuple[Callable, Callable, Callable]:
    """RMSProp with momentum."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, mean, m = state
        mean = mean * gamma + xnp.square(g) * (1 - gamma)
        m = momentum * m + step(i) * g / xnp.sqrt(mean + eps)
        return x - m, mean, m

    return lambda x: (x, xnp.zeros_like(x), xnp.zeros_like(x)), update, _first


@optimizer
def adam(step_size: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8) -> tuple[Callable, Callable, Callable]:
    """Adam (Kingma and Ba, 2015)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, v = state
        m = (1 - b1) * g + b1 * m
        v = (1 - b2) * xnp.square(g) + b2 * v
        first, second = (value / (1 - xnp.asarray(b, m.dtype) ** (i + 1)) for value, b in ((m, b1), (v, b2)))
        return x - step(i) * first / (xnp.sqrt(second) + eps), m, v

    return lambda x: (x, xnp.zeros_like(x), xnp.zeros_like(x)), update, _first


@optimizer
def adamax(
    step_size: Any, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> tuple[Callable, Callable, Callable]:
    """Adam with the greatest in place of the root mean square (Kingma and Ba, 2015)."""
    step = make_schedule(step_size)

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, u = state
        m = (1 - b1) * g + b1 * m
        u = xnp.maximum(b2 * u, xnp.abs(g))
        return x - (step(i) / (1 - xnp.asarray(b1, m.dtype) ** (i + 1))) * m / (u + eps), m, u

    return lambda x: (x, xnp.zeros_like(x), xnp.zeros_like(x)), update, _first


@optimizer
def sm3(step_size: Any, momentum: float = 0.9) -> tuple[Callable, Callable, Callable]:
    """SM3 (Anil, Gupta, Koren and Singer, 2019): Adagrad with one number for each row, column, ... of an array."""
    step = make_schedule(step_size)

    def init(x: Any) -> Any:
        return x, xnp.zeros_like(x), [xnp.zeros(n, x.dtype) for n in x.shape or ((),)]

    def update(i: Any, g: Any, state: Any) -> Any:
        x, m, lines = state
        wide = [xnp.reshape(v, tuple(-1 if d == k else 1 for d in range(x.ndim))) for k, v in enumerate(lines)]
        total = functools.reduce(xnp.minimum, wide) + xnp.square(g)
        m = (1 - momentum) * (g * _inverse_root(total)) + momentum * m
        lines = [total.max(tuple(d for d in range(x.ndim) if d != k)) for k in range(len(lines))]
        return x - step(i) * m, m, lines

    return init, update, _first


# ---- schedules


def constant(step_size: Any) -> Schedule:
    """Always the same step."""
    return lambda i: step_size


def exponential_decay(step_size: Any, decay_steps: Any, decay_rate: Any) -> Schedule:
    """step_size decay_rate^(i / decay_steps)."""
    return lambda i: step_size * decay_rate ** (i / decay_steps)


def inverse_time_decay(step_size: Any, decay_steps: Any, decay_rate: Any, staircase: bool = False) -> Schedule:
    """step_size / (1 + decay_rate i / decay_steps), where a staircase rounds i / decay_steps down."""
    turns = xnp.floor if staircase else xnp.asarray
    return lambda i: step_size / (1 + decay_rate * turns(xnp.true_divide(i, decay_steps)))


def polynomial_decay(step_size: Any, decay_steps: Any, final_step_size: Any, power: Any = 1.0) -> Schedule:
    """From step_size to final_step_size in decay_steps steps, by the power of what is left of them."""

    def schedule(i: Any) -> Any:
        rest = (1 - xnp.minimum(i, decay_steps) / decay_steps) ** power
        return rest * (step_size - final_step_size) + final_step_size

    return schedule


def piecewise_constant(boundaries: Any, values: Any) -> Schedule:
    """The first value up to the first boundary, and so on.

    Raises:
      EstimatorError: there is not one value more than boundaries.
    """
    limits, steps = xnp.asarray(boundaries), xnp.asarray(values)
    if limits.ndim != 1 or steps.shape != (limits.shape[0] + 1,):
        raise EstimatorError(
            f"piecewise_constant: boundaries of shape {list(limits.shape)} and values of {list(steps.shape)}; both "
            "must have one dimension, and there must be one value more"
        )
    return lambda i: steps[xnp.sum(i > limits)]


def make_schedule(scalar_or_schedule: Any) -> Schedule:
    """A schedule as it is, a number as a constant one.

    Raises:
      EstimatorError: it is neither.
    """
    if callable(scalar_or_schedule):
        return scalar_or_schedule
    if xnp.ndim(scalar_or_schedule) == 0:
        return constant(scalar_or_schedule)
    raise EstimatorError(f"a step size is a number or a function of the step, got {scalar_or_schedule!r}")


# ---- gradients


def l2_norm(tree_of_arrays: Any) -> Any:
    """The root of the sum of squares of all arrays of a container."""
    return xnp.sqrt(sum(xnp.vdot(x, x) for x in tree.leaves(tree_of_arrays)))


def clip_grads(grad_tree: Any, max_norm: Any) -> Any:
    """Gradients, made smaller all alike where their norm is more than `max_norm`."""
    norm = l2_norm(grad_tree)
    return tree.map(lambda g: xnp.where(norm < max_norm, g, g * (max_norm / norm)), grad_tree)


# ---- states to store


class JoinPoint:
    """In the place of a parameter its state, a leaf to all functions of containers."""

    def __init__(self, subtree: Any) -> None:
        self.subtree = subtree

    def __iter__(self) -> Any:
        yield self.subtree


def unpack_optimizer_state(opt_state: OptimizerState) -> Any:
    """The states in the container of the parameters, each as a `JoinPoint`."""
    states = (tree.unflatten(d, s) for d, s in zip(opt_state.subtree_defs, opt_state.packed_state))
    return tree.unflatten(opt_state.tree_def, [JoinPoint(s) for s in states])


def pack_optimizer_state(marked_pytree: Any) -> OptimizerState:
    """The state of what `unpack_optimizer_state` gave.

    Raises:
      EstimatorError: a leaf is no `JoinPoint`.
    """
    points, structure = tree.flatten(marked_pytree)
    if not all(isinstance(p, JoinPoint) for p in points):
        raise EstimatorError("pack_optimizer_state: all leaves must be JoinPoints, as unpack_optimizer_state gives")
    flat = [tree.flatten(p.subtree) for p in points]
    return OptimizerState(tuple(tuple(f[0]) for f in flat), structure, tuple(f[1] for f in flat))
