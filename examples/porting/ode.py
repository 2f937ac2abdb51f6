"""Ordinary differential equations: adaptive Dormand-Prince, a neural ODE, and its adjoint as a custom gradient.

python examples/porting/ode.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random

xlac.config.update("jax_enable_x64", True)

# The tableau of Dormand and Prince (1980); the last row gives the error estimate.
NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
WEIGHTS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


@partial(xlac.jit, static_argnums=0)
def dormand_prince(f, y0, t0, t1, rtol=1e-8, atol=1e-10):
    """The solution at t1, with the numbers of accepted and of rejected steps."""

    def cond(state):
        return state[1] < t1

    def body(state):
        y, t, h, accepted, rejected = state
        h = jnp.minimum(h, t1 - t)
        slopes = [f(t, y)]
        for node, row in zip(NODES[1:], WEIGHTS):
            slopes.append(f(t + node * h, y + h * sum(w * k for w, k in zip(row, slopes))))
        new = y + h * sum(w * k for w, k in zip(WEIGHTS[-1], slopes))
        error = h * sum(w * k for w, k in zip(ERROR, slopes))
        ratio = jnp.sqrt(jnp.mean((error / (atol + rtol * jnp.maximum(jnp.abs(y), jnp.abs(new)))) ** 2))
        scale = jnp.clip(0.9 * ratio**-0.2, 0.2, 5.0)
        return lax.cond(
            ratio <= 1.0,
            lambda: (new, t + h, h * scale, accepted + 1, rejected),
            lambda: (y, t, h * scale, accepted, rejected + 1),
        )

    y, _, _, accepted, rejected = lax.while_loop(cond, body, (y0, t0, 0.01, 0, 0))
    return y, accepted, rejected


def three_bodies(t, y):
    """Restricted three-body problem; the state is (x, y, vx, vy) in the rotating frame."""
    mu = 0.012277471
    x, z, vx, vz = y
    d1 = ((x + mu) ** 2 + z**2) ** 1.5
    d2 = ((x - 1 + mu) ** 2 + z**2) ** 1.5
    ax = x + 2 * vz - (1 - mu) * (x + mu) / d1 - mu * (x - 1 + mu) / d2
    az = z - 2 * vx - (1 - mu) * z / d1 - mu * z / d2
    return jnp.stack([vx, vz, ax, az])


def field(params, y):
    w1, b1, w2 = params
    return jnp.tanh(y**3 @ w1 + b1) @ w2


def rk4(f, y0, h, steps):
    def body(y, _):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        return y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lax.scan(body, y0, None, length=steps)[0]


def flow(params, y0):
    return rk4(partial(field, params), y0, 0.05, 20)


@xlac.custom_vjp
def adjoint_flow(params, y0):
    return flow(params, y0)


def adjoint_forward(params, y0):
    y1 = flow(params, y0)
    return y1, (params, y1)


def adjoint_backward(residuals, cotangent):
    """Integrate the state, its adjoint and the parameters' gradient backwards in time."""
    params, y1 = residuals

    def backward(state):
        y, a, _ = state
        value, pullback = xlac.vjp(field, params, y)
        grad_params, grad_y = pullback(a)
        return -value, grad_y, grad_params

    def body(state, _):
        def at(slopes, h):
            return xlac.tree.map(lambda s, k: s + h * k, state, slopes)

        k1 = backward(state)
        k2 = backward(at(k1, 0.025))
        k3 = backward(at(k2, 0.025))
        k4 = backward(at(k3, 0.05))
        mean = xlac.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, k1, k2, k3, k4)
        return at(mean, 0.05), None

    start = (y1, cotangent, xlac.tree.map(jnp.zeros_like, params))
    (_, grad_y0, grad_params), _ = lax.scan(body, start, None, length=20)
    return grad_params, grad_y0


adjoint_flow.defvjp(adjoint_forward, adjoint_backward)


@partial(xlac.jit, static_argnums=0)
def train(solver, params, y0, y1):
    def loss(params):
        return jnp.mean((solver(params, y0) - y1) ** 2)

    def body(params, _):
        value, grads = xlac.value_and_grad(loss)(params)
        return xlac.tree.map(lambda p, g: p - 0.3 * g, params, grads), value

    return lax.scan(body, params, None, length=60)


def main():
    orbit = jnp.array([0.994, 0.0, 0.0, -2.00158510637908252240])
    end, accepted, rejected = dormand_prince(three_bodies, orbit, 0.0, 17.0652165601579625589)
    print(f"after one period off by {jnp.abs(end - orbit).max():.1e} in {accepted} steps ({rejected} rejected)")

    k1, k2, k3 = random.split(random.PRNGKey(7), 3)
    y0 = random.uniform(k1, (64, 2), minval=-1.0)
    matrix = jnp.array([[-0.1, 2.0], [-2.0, -0.1]])
    y1 = rk4(lambda y: y**3 @ matrix, y0, 0.05, 20)
    params = (0.5 * random.normal(k2, (2, 16)), jnp.zeros(16), 0.3 * random.normal(k3, (16, 2)))
    fitted, losses = train(flow, params, y0, y1)
    _, adjoint_losses = train(adjoint_flow, params, y0, y1)
    print(f"neural ODE: loss {losses[0]:.4f} -> {losses[-1]:.4f}; by the adjoint {adjoint_losses[-1]:.4f}")
    return {
        "period_error_small": jnp.abs(end - orbit)[:2].max() < 1e-2,
        "steps": accepted,
        "losses": losses[::20],
        "adjoint_losses": adjoint_losses[::20],
        "norm": jnp.linalg.norm(fitted[2]),
    }


if __name__ == "__main__":
    main()
