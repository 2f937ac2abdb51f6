"""A multilayer perceptron on three interleaved spirals: parameters in a pytree, Adam from scratch, mini-batches.

python examples/porting/mlp_classifier.py
"""

from functools import partial
from typing import NamedTuple

import xlac
import xlac.numpy as jnp
from xlac import nn, random

CLASSES = 3


class AdamState(NamedTuple):
    step: xlac.Array
    mean: list
    variance: list


def spirals(key, per_class):
    """Points on three arms, and the arm each is on."""
    radius = jnp.linspace(0.1, 1.0, per_class)
    arm = jnp.arange(CLASSES)[:, None]
    angle = 4.0 * radius + 2 * jnp.pi * arm / CLASSES + 0.15 * random.normal(key, (CLASSES, per_class))
    points = jnp.stack([radius * jnp.cos(angle), radius * jnp.sin(angle)], axis=-1)
    return points.reshape(-1, 2), jnp.repeat(jnp.arange(CLASSES), per_class)


def init_params(key, sizes):
    keys = random.split(key, len(sizes) - 1)
    glorot = nn.initializers.glorot_normal()
    return [
        {"w": glorot(k, (fan_in, fan_out)), "b": jnp.zeros(fan_out)}
        for k, fan_in, fan_out in zip(keys, sizes, sizes[1:])
    ]


def predict(params, x):
    *hidden, last = params
    for layer in hidden:
        x = nn.relu(x @ layer["w"] + layer["b"])
    return x @ last["w"] + last["b"]


def loss_fn(params, x, y, decay=1e-4):
    logits = nn.log_softmax(predict(params, x))
    cross_entropy = -jnp.mean(jnp.sum(nn.one_hot(y, CLASSES) * logits, axis=-1))
    penalty = sum(jnp.vdot(layer["w"], layer["w"]) for layer in params)
    return cross_entropy + decay * penalty


def adam_init(params):
    zeros = xlac.tree.map(jnp.zeros_like, params)
    return AdamState(jnp.zeros((), jnp.int32), zeros, zeros)


@partial(xlac.jit, static_argnames=("learning_rate",))
def update(params, state, x, y, learning_rate=3e-2, b1=0.9, b2=0.999, eps=1e-8):
    loss, grads = xlac.value_and_grad(loss_fn)(params, x, y)
    step = state.step + 1
    mean = xlac.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, grads)
    variance = xlac.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, state.variance, grads)

    def new_value(p, m, v):
        return p - learning_rate * (m / (1 - b1**step)) / (jnp.sqrt(v / (1 - b2**step)) + eps)

    return xlac.tree.map(new_value, params, mean, variance), AdamState(step, mean, variance), loss


@xlac.jit
def accuracy(params, x, y):
    return jnp.mean(jnp.argmax(predict(params, x), axis=-1) == y)


def main():
    data_key, param_key, shuffle_key = random.split(random.PRNGKey(0), 3)
    x, y = spirals(data_key, 200)
    params = init_params(param_key, (2, 32, 32, CLASSES))
    state = adam_init(params)
    first, _ = xlac.value_and_grad(loss_fn)(params, x, y)
    for epoch in range(20):
        order = random.permutation(random.fold_in(shuffle_key, epoch), len(x))
        for batch in order.reshape(-1, 60):
            params, state, loss = update(params, state, x[batch], y[batch])
        if epoch % 5 == 4:
            print(f"epoch {epoch + 1}: loss {loss:.3f}")
    final = accuracy(params, x, y)
    norms = [jnp.linalg.norm(leaf) for leaf in xlac.tree.leaves(params)]
    print(f"accuracy {final:.3f}")
    return {"first_loss": first, "accuracy": final, "steps": state.step, "norms": jnp.stack(norms)}


if __name__ == "__main__":
    main()
