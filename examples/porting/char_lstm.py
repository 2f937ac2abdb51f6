"""An LSTM that predicts the next character of a rhyme: scan over time, clipped gradients, sampling with a temperature.

python examples/porting/char_lstm.py
"""

from typing import NamedTuple

import numpy as np

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random
from xlac.tree_util import tree_leaves, tree_map

TEXT = "one red fox and two grey owls met three old bears by four tall trees; " * 8
LETTERS = sorted(set(TEXT))
CODES = np.array([LETTERS.index(c) for c in TEXT], np.int32)
HIDDEN, WINDOW, BATCH = 64, 35, 8


class Cell(NamedTuple):
    h: xlac.Array
    c: xlac.Array


def init(key):
    k1, k2, k3 = random.split(key, 3)
    orthogonal = nn.initializers.orthogonal()
    return {
        "embed": random.normal(k1, (len(LETTERS), 4 * HIDDEN)) * 0.1,
        "recur": orthogonal(k2, (HIDDEN, 4 * HIDDEN)),
        "bias": jnp.zeros(4 * HIDDEN).at[HIDDEN : 2 * HIDDEN].set(1.0),
        "out": random.normal(k3, (HIDDEN, len(LETTERS))) * 0.1,
    }


def zero_cell(batch):
    return Cell(jnp.zeros((batch, HIDDEN)), jnp.zeros((batch, HIDDEN)))


def lstm(params, cell, token):
    gates = params["embed"][token] + cell.h @ params["recur"] + params["bias"]
    i, f, o, g = jnp.split(gates, 4, axis=-1)
    c = nn.sigmoid(f) * cell.c + nn.sigmoid(i) * jnp.tanh(g)
    h = nn.sigmoid(o) * jnp.tanh(c)
    return Cell(h, c), h


def loss_fn(params, window):
    inputs, targets = window[:, :-1].T, window[:, 1:].T
    _, hidden = lax.scan(lambda cell, t: lstm(params, cell, t), zero_cell(window.shape[0]), inputs)
    logits = hidden @ params["out"]
    picked = jnp.sum(logits * nn.one_hot(targets, len(LETTERS)), axis=-1)
    return jnp.mean(nn.logsumexp(logits, axis=-1) - picked)


def clip_by_global_norm(grads, limit):
    norm = jnp.sqrt(sum(jnp.vdot(g, g) for g in tree_leaves(grads)))
    return tree_map(lambda g: g * jnp.minimum(1.0, limit / norm), grads), norm


@xlac.jit
def train_step(params, velocity, window):
    loss, grads = xlac.value_and_grad(loss_fn)(params, window)
    grads, norm = clip_by_global_norm(grads, 1.0)
    velocity = tree_map(lambda v, g: 0.9 * v + g, velocity, grads)
    return tree_map(lambda p, v: p - 0.2 * v, params, velocity), velocity, loss, norm


@xlac.jit
def sample(params, key, start):
    """Sixty characters after the first, drawn at temperature 0.3."""

    def body(carry, key):
        cell, token = carry
        cell, h = lstm(params, cell, token)
        token = random.categorical(key, h @ params["out"] / 0.3, axis=-1).astype(jnp.int32)
        return (cell, token), token

    return lax.scan(body, (zero_cell(1), start[None]), random.split(key, 60))[1][:, 0]


def main():
    init_key, window_key, sample_key = random.split(random.PRNGKey(11), 3)
    params = init(init_key)
    velocity = tree_map(jnp.zeros_like, params)
    losses, norms = [], []
    for step in range(150):
        starts = random.randint(random.fold_in(window_key, step), (BATCH,), 0, len(CODES) - WINDOW)
        window = CODES[np.asarray(starts)[:, None] + np.arange(WINDOW)]
        params, velocity, loss, norm = train_step(params, velocity, window)
        losses.append(float(loss))
        norms.append(float(norm))
    codes = sample(params, sample_key, jnp.asarray(CODES[0]))
    text = "".join(LETTERS[int(i)] for i in codes)
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}\n{text!r}")
    return {
        "losses": np.array(losses[:40:8], np.float32),
        "norms": np.array(norms[:40:8], np.float32),
        "learned": losses[-1] < 0.5,
    }


if __name__ == "__main__":
    main()
