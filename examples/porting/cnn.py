"""A small convolutional network on noisy bars: batch normalisation with running statistics, max pooling, dropout.

python examples/porting/cnn.py
"""

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random

SIZE, CLASSES = 16, 4
LAYOUT = ("NHWC", "HWIO", "NHWC")


def make_images(key, count):
    """Images with one bar: horizontal, vertical or along a diagonal; the class says which."""
    label_key, place_key, noise_key = random.split(key, 3)
    labels = random.randint(label_key, (count,), 0, CLASSES)
    place = random.randint(place_key, (count,), 3, SIZE - 3)
    rows, columns = jnp.mgrid[:SIZE, :SIZE]

    def draw(label, offset):
        half = SIZE // 2
        distance = jnp.stack(
            [rows - offset, columns - offset, rows - columns + offset - half, rows + columns - offset - half]
        )
        return (jnp.abs(distance[label]) <= 1).astype(jnp.float32)

    images = xlac.vmap(draw)(labels, place) + 0.5 * random.normal(noise_key, (count, SIZE, SIZE))
    return images[..., None], labels


def init(key, channels=(1, 8, 16)):
    keys = random.split(key, len(channels))
    he = nn.initializers.he_normal()
    params, stats = {"convs": []}, []
    for k, fan_in, fan_out in zip(keys, channels, channels[1:]):
        params["convs"].append(
            {"kernel": he(k, (3, 3, fan_in, fan_out)), "scale": jnp.ones(fan_out), "shift": jnp.zeros(fan_out)}
        )
        stats.append({"mean": jnp.zeros(fan_out), "var": jnp.ones(fan_out)})
    flat = (SIZE // 2 ** (len(channels) - 1)) ** 2 * channels[-1]
    params["dense"] = {"w": 0.01 * random.normal(keys[-1], (flat, CLASSES)), "b": jnp.zeros(CLASSES)}
    return params, stats


def batch_norm(x, layer, stat, train, momentum=0.9):
    if train:
        mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        stat = {
            "mean": momentum * stat["mean"] + (1 - momentum) * lax.stop_gradient(mean),
            "var": momentum * stat["var"] + (1 - momentum) * lax.stop_gradient(var),
        }
    else:
        mean, var = stat["mean"], stat["var"]
    return (x - mean) * lax.rsqrt(var + 1e-5) * layer["scale"] + layer["shift"], stat


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def dropout(key, x, rate):
    keep = random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def forward(params, stats, x, key=None):
    """Logits, and the running statistics; a key means training."""
    new_stats = []
    for layer, stat in zip(params["convs"], stats):
        x = lax.conv_general_dilated(x, layer["kernel"], (1, 1), "SAME", dimension_numbers=LAYOUT)
        x, stat = batch_norm(x, layer, stat, train=key is not None)
        x = max_pool(nn.relu(x))
        new_stats.append(stat)
    x = x.reshape(x.shape[0], -1)
    if key is not None:
        x = dropout(key, x, 0.25)
    return x @ params["dense"]["w"] + params["dense"]["b"], new_stats


def loss_fn(params, stats, x, y, key):
    logits, stats = forward(params, stats, x, key)
    chosen = jnp.take_along_axis(nn.log_softmax(logits), y[:, None], axis=1)
    return -chosen.mean(), stats


@xlac.jit
def train_step(params, stats, velocity, x, y, key):
    (loss, stats), grads = xlac.value_and_grad(loss_fn, has_aux=True)(params, stats, x, y, key)
    velocity = xlac.tree.map(lambda v, g: 0.9 * v - 0.05 * g, velocity, grads)
    return xlac.tree.map(jnp.add, params, velocity), stats, velocity, loss


@xlac.jit
def evaluate(params, stats, x, y):
    logits, _ = forward(params, stats, x)
    return jnp.mean(logits.argmax(-1) == y)


def main():
    train_key, test_key, init_key, drop_key = random.split(random.PRNGKey(1), 4)
    images, labels = xlac.jit(make_images, static_argnums=1)(train_key, 512)
    params, stats = init(init_key)
    velocity = xlac.tree.map(jnp.zeros_like, params)
    losses = []
    for step in range(48):
        start = 64 * (step % 8)
        batch = slice(start, start + 64)
        key = random.fold_in(drop_key, step)
        params, stats, velocity, loss = train_step(params, stats, velocity, images[batch], labels[batch], key)
        losses.append(loss)
    accuracy = float(evaluate(params, stats, *make_images(test_key, 256)))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}, test accuracy {accuracy:.3f}")
    return {"first_losses": jnp.stack(losses[:4]), "accuracy": accuracy, "running_mean": stats[0]["mean"]}


if __name__ == "__main__":
    main()
