"""A decoder-only transformer that learns to reverse digits: layers scanned and rematerialised, Adam, a KV cache.

python examples/porting/transformer.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random

VOCAB, DIGITS, WIDTH, HEADS, LAYERS = 11, 6, 32, 4, 2
SEPARATOR = 10
LENGTH = 2 * DIGITS + 1


def make_batch(key, count):
    """Sequences `digits, separator, digits in reverse`."""
    digits = random.randint(key, (count, DIGITS), 0, 10)
    middle = jnp.full((count, 1), SEPARATOR)
    return jnp.concatenate([digits, middle, digits[:, ::-1]], axis=1)


def init(key):
    keys = iter(random.split(key, 8))

    def weight(*shape):
        return random.normal(next(keys), shape) / jnp.sqrt(shape[-2])

    blocks = {
        "qkv": weight(LAYERS, WIDTH, 3 * WIDTH),
        "out": weight(LAYERS, WIDTH, WIDTH),
        "up": weight(LAYERS, WIDTH, 4 * WIDTH),
        "down": weight(LAYERS, 4 * WIDTH, WIDTH),
        "norm1": jnp.ones((LAYERS, WIDTH)),
        "norm2": jnp.ones((LAYERS, WIDTH)),
    }
    return {
        "embed": 0.1 * random.normal(next(keys), (VOCAB, WIDTH)),
        "place": 0.1 * random.normal(next(keys), (LENGTH, WIDTH)),
        "blocks": blocks,
        "norm": jnp.ones(WIDTH),
    }


def layer_norm(x, scale):
    mean = x.mean(-1, keepdims=True)
    var = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
    return scale * (x - mean) / jnp.sqrt(var + 1e-5)


def split_heads(x):
    return x.reshape(*x.shape[:-1], HEADS, WIDTH // HEADS)


def attend(q, k, v, mask):
    """Scaled dot-product attention; q is [batch, time, head, feature]."""
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / jnp.sqrt(q.shape[-1])
    weights = nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(*q.shape[:2], WIDTH)


def block(x, p, mask, cache=None, position=None):
    q, k, v = (split_heads(part) for part in jnp.split(layer_norm(x, p["norm1"]) @ p["qkv"], 3, axis=-1))
    if cache is not None:
        k = lax.dynamic_update_slice(cache[0], k, (0, position, 0, 0))
        v = lax.dynamic_update_slice(cache[1], v, (0, position, 0, 0))
    x = x + attend(q, k, v, mask) @ p["out"]
    hidden = nn.gelu(layer_norm(x, p["norm2"]) @ p["up"])
    return x + hidden @ p["down"], (k, v)


def forward(params, tokens):
    x = params["embed"][tokens] + params["place"][: tokens.shape[1]]
    mask = jnp.tril(jnp.ones((tokens.shape[1], tokens.shape[1]), bool))

    @xlac.checkpoint
    def body(x, p):
        return block(x, p, mask)[0], None

    x, _ = lax.scan(body, x, params["blocks"])
    return layer_norm(x, params["norm"]) @ params["embed"].T


def loss_fn(params, tokens):
    logits = nn.log_softmax(forward(params, tokens[:, :-1]))
    target = tokens[:, 1:, None]
    return -jnp.mean(jnp.take_along_axis(logits, target, axis=-1)[:, DIGITS:])


@partial(xlac.jit, donate_argnums=(0, 1, 2))
def train_step(params, mean, var, tokens, step):
    loss, grads = xlac.value_and_grad(loss_fn)(params, tokens)
    mean = xlac.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
    var = xlac.tree.map(lambda v, g: 0.98 * v + 0.02 * g * g, var, grads)
    rate = 5e-3 * jnp.minimum(1.0, step / 20)

    def move(p, m, v):
        return p - rate * (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.98**step)) + 1e-8)

    return xlac.tree.map(move, params, mean, var), mean, var, loss


@xlac.jit
def generate(params, prompt):
    """The most likely continuation, one token at a time, keys and values of earlier ones kept."""
    count = prompt.shape[0]
    empty = jnp.zeros((LAYERS, count, LENGTH, HEADS, WIDTH // HEADS))
    tokens = jnp.pad(prompt, ((0, 0), (0, LENGTH - prompt.shape[1])))

    def decode(position, state):
        tokens, cache = state
        current = lax.dynamic_slice_in_dim(tokens, position, 1, axis=1)
        x = params["embed"][current] + params["place"][position]
        mask = jnp.arange(LENGTH) <= position

        def body(x, layer):
            p, cache = layer
            return block(x, p, mask, cache, position)

        x, cache = lax.scan(body, x, (params["blocks"], cache))
        logits = layer_norm(x[:, 0], params["norm"]) @ params["embed"].T
        given = tokens[:, position + 1]
        chosen = jnp.where(position + 1 < prompt.shape[1], given, jnp.argmax(logits, -1).astype(given.dtype))
        return tokens.at[:, position + 1].set(chosen), cache

    return lax.fori_loop(0, LENGTH - 1, decode, (tokens, (empty, empty)))[0]


def main():
    init_key, data_key, test_key = random.split(random.PRNGKey(2), 3)
    params = init(init_key)
    start = loss_fn(params, make_batch(test_key, 64))
    mean, var = xlac.tree.map(jnp.zeros_like, (params, params))
    losses = []
    for step in range(1, 201):
        tokens = make_batch(random.fold_in(data_key, step), 64)
        params, mean, var, loss = train_step(params, mean, var, tokens, step)
        losses.append(loss)
    test = make_batch(test_key, 64)
    output = generate(params, test[:, : DIGITS + 1])
    exact = float(jnp.mean(jnp.all(output == test, axis=1)))
    print(f"loss {start:.3f} -> {losses[-1]:.4f}; reversed exactly: {exact:.2f}; {output[0]}")
    return {"start": start, "early_losses": jnp.stack(losses[:5]), "exact": exact, "prompt": test[0]}


if __name__ == "__main__":
    main()
