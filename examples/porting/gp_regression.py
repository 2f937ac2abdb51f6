"""Gaussian process regression in float64: Cholesky solves, and hyperparameters fitted by gradient.

python examples/porting/gp_regression.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random
from xlac.scipy.linalg import cho_factor, cho_solve, solve_triangular

xlac.config.update("jax_enable_x64", True)


def squared_distance(a, b):
    return jnp.sum((a - b) ** 2)


def kernel(params, a, b):
    """Squared-exponential covariance of every pair of points."""
    scaled_a, scaled_b = (v / jnp.exp(params["log_length"]) for v in (a, b))
    distances = xlac.vmap(lambda p: xlac.vmap(partial(squared_distance, p))(scaled_b))(scaled_a)
    return jnp.exp(2 * params["log_scale"] - 0.5 * distances)


def noisy_covariance(params, x):
    return kernel(params, x, x) + jnp.exp(2 * params["log_noise"]) * jnp.eye(len(x))


def negative_log_likelihood(params, x, y):
    factor = jnp.linalg.cholesky(noisy_covariance(params, x))
    white = solve_triangular(factor, y, lower=True)
    return 0.5 * white @ white + jnp.sum(jnp.log(jnp.diag(factor))) + 0.5 * len(y) * jnp.log(2 * jnp.pi)


@partial(xlac.jit, static_argnames="steps")
def fit(params, x, y, steps):
    """Gradient descent with momentum on the marginal likelihood; the loss before each step."""

    def body(carry, _):
        params, velocity = carry
        loss, grads = xlac.value_and_grad(negative_log_likelihood)(params, x, y)
        velocity = xlac.tree.map(lambda v, g: 0.8 * v - 1e-3 * g, velocity, grads)
        return (xlac.tree.map(jnp.add, params, velocity), velocity), loss

    (params, _), losses = lax.scan(body, (params, xlac.tree.map(jnp.zeros_like, params)), None, length=steps)
    return params, losses


@xlac.jit
def posterior(params, x, y, x_new):
    """Mean and standard deviation at new points."""
    factor = cho_factor(noisy_covariance(params, x), lower=True)
    cross = kernel(params, x, x_new)
    mean = cross.T @ cho_solve(factor, y)
    variance = jnp.diag(kernel(params, x_new, x_new) - cross.T @ cho_solve(factor, cross))
    return mean, jnp.sqrt(variance)


def main():
    place_key, noise_key = random.split(random.PRNGKey(4))
    x = random.uniform(place_key, (60, 2), minval=-3.0, maxval=3.0)
    y = jnp.sin(x[:, 0]) * jnp.cos(0.5 * x[:, 1]) + 0.1 * random.normal(noise_key, (60,))
    params = {"log_length": jnp.zeros(2), "log_scale": jnp.array(0.0), "log_noise": jnp.array(-1.0)}
    params, losses = fit(params, x, y, steps=150)
    x_new = jnp.stack([jnp.linspace(-2, 2, 5), jnp.linspace(2, -2, 5)], axis=1)
    mean, deviation = posterior(params, x, y, x_new)
    truth = jnp.sin(x_new[:, 0]) * jnp.cos(0.5 * x_new[:, 1])
    curvature = xlac.hessian(negative_log_likelihood)(params, x, y)["log_noise"]["log_noise"]
    print(f"-log likelihood {losses[0]:.3f} -> {losses[-1]:.3f}")
    print(f"length scales {jnp.exp(params['log_length'])}, noise {jnp.exp(params['log_noise']):.3f}")
    print(f"largest error in standard deviations {jnp.max(jnp.abs(mean - truth) / deviation):.2f}")
    return {"losses": losses[::50], "params": params, "mean": mean, "deviation": deviation, "curvature": curvature}


if __name__ == "__main__":
    main()
