"""A variational autoencoder of pictures of blobs: reparameterised samples, a custom loss, gradients through both.

python examples/porting/vae.py
"""

import xlac
import xlac.numpy as jnp
from xlac import nn, random

SIDE, LATENT, HIDDEN = 12, 2, 64


def blobs(key, count):
    """Images of one Gaussian blob each, at a random place."""
    centre = random.uniform(key, (count, 2, 1, 1), minval=3.0, maxval=SIDE - 3.0)
    rows, columns = jnp.meshgrid(jnp.arange(SIDE), jnp.arange(SIDE), indexing="ij")
    distance = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2
    return jnp.exp(-distance / 4.0).reshape(count, -1)


def dense_init(key, fan_in, fan_out):
    w_key, b_key = random.split(key)
    return nn.initializers.lecun_normal()(w_key, (fan_in, fan_out)), 0.01 * random.normal(b_key, (fan_out,))


def dense(layer, x):
    w, b = layer
    return jnp.dot(x, w) + b


def init(key):
    k1, k2, k3, k4, k5 = random.split(key, 5)
    encoder = (
        dense_init(k1, SIDE**2, HIDDEN),
        dense_init(k2, HIDDEN, LATENT),
        dense_init(k3, HIDDEN, LATENT),
    )
    decoder = (dense_init(k4, LATENT, HIDDEN), dense_init(k5, HIDDEN, SIDE**2))
    return encoder, decoder


def encode(encoder, image):
    first, to_mean, to_spread = encoder
    hidden = nn.swish(dense(first, image))
    return dense(to_mean, hidden), nn.softplus(dense(to_spread, hidden)) + 1e-4


def decode(decoder, z):
    return dense(decoder[1], nn.swish(dense(decoder[0], z)))


def kl_from_standard_normal(mean, spread):
    return 0.5 * jnp.sum(mean**2 + spread**2 - 1.0 - 2.0 * jnp.log(spread))


def bernoulli_log_likelihood(logits, x):
    return -jnp.sum(jnp.logaddexp(0.0, jnp.where(x > 0.5, -1.0, 1.0) * logits))


def elbo(params, key, image):
    """Evidence lower bound of one image, with one sample of its code."""
    encoder, decoder = params
    mean, spread = encode(encoder, image)
    z = mean + spread * random.normal(key, mean.shape)
    return bernoulli_log_likelihood(decode(decoder, z), image) - kl_from_standard_normal(mean, spread)


def loss_fn(params, key, images):
    keys = random.split(key, images.shape[0])
    return -jnp.mean(xlac.vmap(elbo, in_axes=(None, 0, 0))(params, keys, images))


@xlac.jit
def step(params, momentum, key, images):
    loss, grads = xlac.value_and_grad(loss_fn)(params, key, images)
    momentum = xlac.tree.map(lambda m, g: 0.9 * m + g, momentum, grads)
    return xlac.tree.map(lambda p, m: p - 2e-3 * m, params, momentum), momentum, loss


@xlac.jit
def traverse(decoder):
    """Pictures decoded from a grid of codes."""
    axis = jnp.linspace(-1.5, 1.5, 4)
    grid = jnp.stack(jnp.meshgrid(axis, axis), axis=-1).reshape(-1, LATENT)
    return nn.sigmoid(xlac.vmap(decode, (None, 0))(decoder, grid)).reshape(4, 4, SIDE, SIDE)


def main():
    data_key, init_key, noise_key, test_key = random.split(random.PRNGKey(3), 4)
    images = blobs(data_key, 256)
    params = init(init_key)
    momentum = xlac.tree.map(jnp.zeros_like, params)
    history = []
    for i in range(150):
        params, momentum, loss = step(params, momentum, random.fold_in(noise_key, i), images)
        history.append(loss)
    history = jnp.stack(history)
    test = xlac.jit(loss_fn)(params, noise_key, blobs(test_key, 64))
    pictures = traverse(params[1])
    print(f"negative ELBO {history[0]:.2f} -> {history[-1]:.2f}, on new images {test:.2f}")
    return {"history": history[::50], "test": test, "brightness": pictures.mean(axis=(2, 3))[0]}


if __name__ == "__main__":
    main()
