"""Optimizers: pure (init, update) pairs over pytrees of arrays, and learning rates that depend on the step.

`init(variables)` makes the slots, on the host, as zeros or constants. `update(gradients, slots, variables, step)` gives
new variables and slots; it is traced into the training step. `step` counts the updates done before this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlac.errors import EstimatorError
from xlac.estimator.spec import TrainOp, check_count, check_real, describe

Tree = Any
Schedule = Callable[[Any], Any]


@dataclass(frozen=True)
class Optimizer:
    """An optimizer.

    Attributes:
      name: for messages.
      init: variables -> slots, a pytree of arrays.
      update: (gradients, slots, variables, step) -> (variables, slots).
      settings: what it was made with, for messages.
    """

    name: str
    init: Callable[[Tree], Tree] = field(repr=False)
    update: Callable[[Tree, Tree, Tree, Any], tuple[Tree, Tree]] = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)

    def minimize(self, loss: Any = None) -> TrainOp:
        """The `train_op` of an EstimatorSpec: lower `loss`, or the spec's where it is None."""
        return TrainOp(self, loss)


def _rate(value: float | Schedule) -> Schedule:
    """A learning rate as a function of the step."""
    if callable(value):
        return value
    rate = check_real(value, "learning_rate", 0.0)
    return lambda step: rate


def _fill(variables: Tree, value: float = 0.0) -> Tree:
    from xlac import tree

    return tree.map(lambda v: np.full(np.shape(v), value, v.dtype), variables)


def _as(value: Any, array: Any) -> Any:
    """A scalar in the type of an array, so that it does not widen it."""
    return value.astype(array.dtype) if hasattr(value, "astype") else value


def _each(function: Callable[..., Any], gradients: Tree, variables: Tree, *slots: Tree) -> list[Tree]:
    """`function(g, v, *s)` on corresponding leaves; its results' elements, each as a tree."""
    from xlac import tree

    grads, structure = tree.flatten(gradients)
    rows = [function(*leaf) for leaf in zip(grads, *(tree.leaves(t) for t in (variables, *slots)))]
    return [tree.unflatten(structure, column) for column in zip(*rows)]


def sgd(learning_rate: float | Schedule = 0.01) -> Optimizer:
    """Stochastic gradient descent: v - rate * g."""
    rate = _rate(learning_rate)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        lr = rate(step)
        (new,) = _each(lambda g, v: (v - _as(lr, v) * g,), gradients, variables)
        return new, slots

    return Optimizer("sgd", lambda variables: {}, update, {"learning_rate": learning_rate})


def momentum(learning_rate: float | Schedule = 0.01, momentum: float = 0.9, nesterov: bool = False) -> Optimizer:
    """Momentum: m <- mu m + g; v - rate * m, or with Nesterov's look ahead, v - rate * (g + mu m)."""
    rate, mu = _rate(learning_rate), check_real(momentum, "momentum", 0.0, 1.0)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        lr = rate(step)

        def one(g: Any, v: Any, m: Any) -> tuple[Any, Any]:
            m = mu * m + g
            return v - _as(lr, v) * (g + mu * m if nesterov else m), m

        new, moments = _each(one, gradients, variables, slots["momentum"])
        return new, {"momentum": moments}

    settings = {"learning_rate": learning_rate, "momentum": momentum, "nesterov": nesterov}
    return Optimizer("momentum", lambda variables: {"momentum": _fill(variables)}, update, settings)


def adamw(
    learning_rate: float | Schedule = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019): Adam's step and, beside it, - rate * decay * v."""
    rate = _rate(learning_rate)
    b1, b2 = check_real(beta1, "beta1", 0.0, 1.0), check_real(beta2, "beta2", 0.0, 1.0)
    eps, decay = check_real(epsilon, "epsilon", 0.0), check_real(weight_decay, "weight_decay", 0.0)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        from xlac import numpy as xnp

        lr = rate(step)
        # 1 - b**t cancels for small t, hence the wide type; these are two scalars a step.
        t = xnp.asarray(step).astype(np.float64) + 1.0
        correction1, correction2 = (1.0 - xnp.exp(t * math.log(b)) if b > 0.0 else 1.0 for b in (b1, b2))

        def one(g: Any, v: Any, m: Any, s: Any) -> tuple[Any, Any, Any]:
            m = b1 * m + (1.0 - b1) * g
            s = b2 * s + (1.0 - b2) * (g * g)
            change = (m / _as(correction1, v)) / (xnp.sqrt(s / _as(correction2, v)) + eps)
            if decay:
                change = change + decay * v
            return v - _as(lr, v) * change, m, s

        new, first, second = _each(one, gradients, variables, slots["m"], slots["v"])
        return new, {"m": first, "v": second}

    settings = {"learning_rate": learning_rate, "beta1": b1, "beta2": b2, "epsilon": eps, "weight_decay": decay}
    return Optimizer("adamw", lambda variables: {"m": _fill(variables), "v": _fill(variables)}, update, settings)


def adam(
    learning_rate: float | Schedule = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8
) -> Optimizer:
    """Adam (Kingma and Ba 2015, algorithm 1): moments m and v of g and g**2, corrected for their start at zero;
    v - rate * m^ / (sqrt(v^) + epsilon)."""
    base = adamw(learning_rate, beta1, beta2, epsilon, 0.0)
    settings = {name: value for name, value in base.settings.items() if name != "weight_decay"}
    return Optimizer("adam", base.init, base.update, settings)


def rmsprop(learning_rate: float | Schedule = 1e-3, decay: float = 0.9, epsilon: float = 1e-7) -> Optimizer:
    """RMSProp (Tieleman and Hinton 2012): s <- decay s + (1 - decay) g**2; v - rate * g / (sqrt(s) + epsilon)."""
    rate, rho, eps = _rate(learning_rate), check_real(decay, "decay", 0.0, 1.0), check_real(epsilon, "epsilon", 0.0)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        from xlac import numpy as xnp

        lr = rate(step)

        def one(g: Any, v: Any, s: Any) -> tuple[Any, Any]:
            s = rho * s + (1.0 - rho) * (g * g)
            return v - _as(lr, v) * g / (xnp.sqrt(s) + eps), s

        new, squares = _each(one, gradients, variables, slots["square"])
        return new, {"square": squares}

    settings = {"learning_rate": learning_rate, "decay": decay, "epsilon": epsilon}
    return Optimizer("rmsprop", lambda variables: {"square": _fill(variables)}, update, settings)


def adagrad(
    learning_rate: float | Schedule = 0.05, initial_accumulator: float = 0.1, epsilon: float = 1e-7
) -> Optimizer:
    """Adagrad (Duchi, Hazan and Singer 2011): s <- s + g**2; v - rate * g / (sqrt(s) + epsilon)."""
    rate, eps = _rate(learning_rate), check_real(epsilon, "epsilon", 0.0)
    start = check_real(initial_accumulator, "initial_accumulator", 0.0)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        from xlac import numpy as xnp

        lr = rate(step)

        def one(g: Any, v: Any, s: Any) -> tuple[Any, Any]:
            s = s + g * g
            return v - _as(lr, v) * g / (xnp.sqrt(s) + eps), s

        new, sums = _each(one, gradients, variables, slots["accumulator"])
        return new, {"accumulator": sums}

    settings = {"learning_rate": learning_rate, "initial_accumulator": start, "epsilon": epsilon}
    return Optimizer("adagrad", lambda variables: {"accumulator": _fill(variables, start)}, update, settings)


def clip_by_global_norm(optimizer: Optimizer, norm: float) -> Optimizer:
    """`optimizer`, given gradients scaled down so that the root of the sum of all their squares is at most `norm`."""
    limit = check_real(norm, "norm", 0.0)

    def update(gradients: Tree, slots: Tree, variables: Tree, step: Any) -> tuple[Tree, Tree]:
        from xlac import numpy as xnp
        from xlac import tree

        total = xnp.sqrt(sum(xnp.sum(xnp.square(g.astype(np.float32))) for g in tree.leaves(gradients)))
        scale = limit / xnp.maximum(total, limit)
        return optimizer.update(tree.map(lambda g: g * _as(scale, g), gradients), slots, variables, step)

    return Optimizer(f"clipped {optimizer.name}", optimizer.init, update, {**optimizer.settings, "norm": limit})


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": lambda learning_rate=0.01: momentum(learning_rate, nesterov=True),
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
}


def get(optimizer: Any, learning_rate: float | Schedule | None = None) -> Any:
    """An optimizer by name, or the object itself.

    Raises:
      EstimatorError: there is no such name, or `learning_rate` is given besides an object that has its own.
    """
    if isinstance(optimizer, str):
        if optimizer not in OPTIMIZERS:
            raise EstimatorError(
                f"optimizer is {optimizer!r}; it must be one of {', '.join(OPTIMIZERS)}, or an Optimizer"
            )
        make = OPTIMIZERS[optimizer]
        return make() if learning_rate is None else make(learning_rate)
    if not callable(getattr(optimizer, "init", None)) or not callable(getattr(optimizer, "update", None)):
        raise EstimatorError(
            f"optimizer is {describe(optimizer)}; it must be one of {', '.join(OPTIMIZERS)}, or an Optimizer"
        )
    if learning_rate is not None:
        raise EstimatorError("learning_rate is given besides an optimizer object, which has its own; give one of them")
    return optimizer


def exponential_decay(initial: float, steps: int, rate: float, staircase: bool = False) -> Schedule:
    """initial * rate ** (step / steps); with `staircase` the quotient is rounded down."""
    start, span = check_real(initial, "initial", 0.0), check_count(steps, "steps", 1)
    factor = check_real(rate, "rate", 0.0)
    if factor == 0.0:
        raise EstimatorError("rate is 0; it must be above 0")

    def schedule(step: Any) -> Any:
        from xlac import numpy as xnp

        quotient = xnp.asarray(step).astype(np.float32) / span
        return start * xnp.exp((xnp.floor(quotient) if staircase else quotient) * math.log(factor))

    return schedule


def cosine_decay(initial: float, steps: int, warmup: int = 0, final: float = 0.0) -> Schedule:
    """Rises from 0 to `initial` over `warmup` steps, then falls along half a cosine to `final` at `steps`."""
    top, end = check_real(initial, "initial", 0.0), check_real(final, "final", 0.0)
    rise = check_count(warmup, "warmup")
    span = check_count(steps, "steps", rise + 1) - rise

    def schedule(step: Any) -> Any:
        from xlac import numpy as xnp

        t = xnp.asarray(step).astype(np.float32)
        fall = end + (top - end) * 0.5 * (1.0 + xnp.cos(math.pi * xnp.clip((t - rise) / span, 0.0, 1.0)))
        return xnp.where(t < rise, top * (t + 1.0) / rise, fall) if rise else fall

    return schedule


def piecewise_constant(boundaries: Sequence[int], values: Sequence[float]) -> Schedule:
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], and so on; one value more."""
    if len(values) != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        raise EstimatorError(
            f"{len(boundaries)} boundaries and {len(values)} values; boundaries rise, values are one more"
        )

    def schedule(step: Any) -> Any:
        from xlac import numpy as xnp

        rate = xnp.asarray(np.float32(values[0]))
        for boundary, value in zip(boundaries, values[1:]):
            rate = xnp.where(xnp.asarray(step) > boundary, np.float32(value), rate)
        return rate

    return schedule
