"""A Kalman filter and Rauch-Tung-Striebel smoother in two scans; the likelihood's gradient fits the noise.

python examples/porting/kalman.py
"""

from typing import NamedTuple

import xlac
import xlac.numpy as jnp
from xlac import lax, random

DT = 0.1


class Model(NamedTuple):
    transition: xlac.Array
    process: xlac.Array
    observation: xlac.Array
    noise: xlac.Array


def make_model(log_noises):
    """Constant velocity in the plane, with positions observed; the state is (x, y, vx, vy)."""
    q, r = jnp.exp(log_noises)
    eye, zero = jnp.eye(2), jnp.zeros((2, 2))
    transition = jnp.block([[eye, DT * eye], [zero, eye]])
    process = q * jnp.block([[DT**3 / 3 * eye, DT**2 / 2 * eye], [DT**2 / 2 * eye, DT * eye]])
    return Model(transition, process, jnp.hstack([eye, zero]), r * eye)


@xlac.jit
def simulate(key, model):
    root_q, root_r = jnp.linalg.cholesky(model.process), jnp.linalg.cholesky(model.noise)

    def body(state, key):
        k1, k2 = random.split(key)
        state = model.transition @ state + root_q @ random.normal(k1, (4,))
        return state, (state, model.observation @ state + root_r @ random.normal(k2, (2,)))

    return lax.scan(body, jnp.array([0.0, 0.0, 1.0, 0.5]), random.split(key, 200))[1]


def kalman_filter(model, observations):
    """Filtered and predicted moments of each step, and the log-likelihood."""

    def body(carry, y):
        mean, cov, total = carry
        mean_p = model.transition @ mean
        cov_p = model.transition @ cov @ model.transition.T + model.process
        innovation = y - model.observation @ mean_p
        s = model.observation @ cov_p @ model.observation.T + model.noise
        gain = jnp.linalg.solve(s, model.observation @ cov_p).T
        mean = mean_p + gain @ innovation
        cov = cov_p - gain @ s @ gain.T
        _, logdet = jnp.linalg.slogdet(2 * jnp.pi * s)
        total = total - 0.5 * (logdet + innovation @ jnp.linalg.solve(s, innovation))
        return (mean, cov, total), (mean, cov, mean_p, cov_p)

    (_, _, total), moments = lax.scan(body, (jnp.zeros(4), jnp.eye(4), 0.0), observations)
    return total, moments


def smoother(model, moments):
    means, covs, means_p, covs_p = moments

    def body(later, moment):
        mean_s, cov_s = later
        mean, cov, mean_p, cov_p = moment
        gain = jnp.linalg.solve(cov_p, model.transition @ cov).T
        smoothed = mean + gain @ (mean_s - mean_p), cov + gain @ (cov_s - cov_p) @ gain.T
        return smoothed, smoothed

    # Each step needs the predictions of the step after it.
    inputs = (means[:-1], covs[:-1], means_p[1:], covs_p[1:])
    _, (smooth_means, _) = lax.scan(body, (means[-1], covs[-1]), inputs, reverse=True)
    return jnp.concatenate([smooth_means, means[-1:]])


@xlac.jit
def fit(log_noises, observations):
    """Gradient ascent on the likelihood, by a scan."""

    def negative(log_noises):
        return -kalman_filter(make_model(log_noises), observations)[0] / len(observations)

    def body(value, _):
        loss, gradient = xlac.value_and_grad(negative)(value)
        return value - 0.5 * gradient, loss

    return lax.scan(body, log_noises, length=30)


@xlac.jit
def smooth(log_noises, observations):
    model = make_model(log_noises)
    total, moments = kalman_filter(model, observations)
    return total, moments[0], smoother(model, moments)


def main():
    truth = jnp.log(jnp.array([0.5, 0.2]))
    states, observations = simulate(random.PRNGKey(6), make_model(truth))
    fitted, losses = fit(jnp.zeros(2), observations)
    likelihood, filtered, smoothed = smooth(fitted, observations)

    def error(means):
        return jnp.sqrt(jnp.mean((means - states) ** 2))

    print(f"fitted noises {jnp.exp(fitted)} (true 0.5, 0.2), log-likelihood {likelihood:.2f}")
    print(f"errors: filter {error(filtered):.3f}, smoother {error(smoothed):.3f}")
    return {
        "fitted": fitted,
        "losses": losses[::10],
        "likelihood": likelihood,
        "errors": jnp.stack([error(filtered), error(smoothed)]),
        "last": smoothed[-1],
    }


if __name__ == "__main__":
    main()
