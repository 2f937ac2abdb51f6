"""An implicit layer: a fixed point found by a while_loop, differentiated by the implicit function theorem.

python examples/porting/deep_equilibrium.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random

WIDTH = 24


def layer(params, x, z):
    return jnp.tanh(z @ params["w"] + x @ params["u"] + params["b"])


def iterate(f, start, tolerance=1e-6, limit=200):
    def moving(state):
        before, now, count = state
        return (jnp.max(jnp.abs(now - before)) > tolerance) & (count < limit)

    def body(state):
        _, now, count = state
        return now, f(now), count + 1

    return lax.while_loop(moving, body, (start, f(start), 1))[1]


@partial(xlac.custom_vjp, nondiff_argnums=(0,))
def fixed_point(f, params, x):
    return iterate(lambda z: f(params, x, z), jnp.zeros((*x.shape[:-1], WIDTH)))


def fixed_point_forward(f, params, x):
    z = fixed_point(f, params, x)
    return z, (params, x, z)


def fixed_point_backward(f, residuals, cotangent):
    """With z = f(z), the adjoint is itself a fixed point: a = cotangent + a . df/dz."""
    params, x, z = residuals
    _, pull_z = xlac.vjp(lambda z: f(params, x, z), z)
    adjoint = iterate(lambda a: cotangent + pull_z(a)[0], jnp.zeros_like(z))
    _, pull_inputs = xlac.vjp(lambda params, x: f(params, x, z), params, x)
    return pull_inputs(adjoint)


fixed_point.defvjp(fixed_point_forward, fixed_point_backward)


def predict(params, x):
    return fixed_point(layer, params, x) @ params["out"]


def unrolled(params, x):
    """The same by forty plain iterations, to compare gradients with."""
    z = jnp.zeros((*x.shape[:-1], WIDTH))
    return lax.fori_loop(0, 40, lambda _, z: layer(params, x, z), z) @ params["out"]


def loss_fn(model, params, x, y):
    return jnp.mean((model(params, x) - y) ** 2)


@xlac.jit
def train_step(params, x, y):
    loss, grads = xlac.value_and_grad(partial(loss_fn, predict))(params, x, y)
    return xlac.tree.map(lambda p, g: p - 0.05 * g, params, grads), loss


def main():
    k1, k2, k3, k4 = random.split(random.PRNGKey(17), 4)
    x = random.uniform(k1, (128, 2), minval=-1.0)
    y = jnp.sin(3.0 * x[:, :1]) * x[:, 1:]
    params = {
        "w": 0.4 * random.normal(k2, (WIDTH, WIDTH)) / jnp.sqrt(WIDTH),
        "u": random.normal(k3, (2, WIDTH)),
        "b": jnp.zeros(WIDTH),
        "out": 0.3 * random.normal(k4, (WIDTH, 1)),
    }
    implicit = xlac.jit(xlac.grad(partial(loss_fn, predict)))(params, x, y)
    explicit = xlac.jit(xlac.grad(partial(loss_fn, unrolled)))(params, x, y)
    gap = max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(xlac.tree.leaves(implicit), xlac.tree.leaves(explicit)))
    losses = []
    for _ in range(200):
        params, loss = train_step(params, x, y)
        losses.append(loss)
    losses = jnp.stack(losses)
    print(f"gradients differ by {gap:.1e}; loss {losses[0]:.4f} -> {losses[-1]:.4f}")
    return {"losses": losses[::50], "close": gap < 1e-4, "gradient": implicit["w"][0, :4]}


if __name__ == "__main__":
    main()
