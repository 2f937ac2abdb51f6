"""Hamiltonian Monte Carlo: many chains at once by vmap, leapfrog in a fori_loop, the chain in a scan.

python examples/porting/hmc.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random

MEAN = jnp.array([1.0, -2.0, 0.5])
COVARIANCE = jnp.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.3], [0.0, -0.3, 0.5]])


def log_density(q):
    """A correlated Gaussian, up to a constant."""
    centred = q - MEAN
    return -0.5 * centred @ jnp.linalg.solve(COVARIANCE, centred)


def leapfrog(q, p, step_size, steps):
    gradient = xlac.grad(log_density)

    def body(_, state):
        q, p = state
        p = p + 0.5 * step_size * gradient(q)
        q = q + step_size * p
        p = p + 0.5 * step_size * gradient(q)
        return q, p

    return lax.fori_loop(0, steps, body, (q, p))


def transition(q, key, step_size, steps):
    """One proposal, accepted or not."""
    momentum_key, accept_key = random.split(key)
    p = random.normal(momentum_key, q.shape)
    new_q, new_p = leapfrog(q, p, step_size, steps)
    old_energy = 0.5 * p @ p - log_density(q)
    new_energy = 0.5 * new_p @ new_p - log_density(new_q)
    accept = jnp.log(random.uniform(accept_key)) < old_energy - new_energy
    return jnp.where(accept, new_q, q), accept


@partial(xlac.jit, static_argnums=(2, 3))
def sample(key, starts, samples, steps, step_size=0.3):
    """Samples [chain, sample, dimension], and how often proposals were accepted."""

    def chain(key, q):
        def body(q, key):
            q, accept = transition(q, key, step_size, steps)
            return q, (q, accept)

        _, (qs, accepted) = lax.scan(body, q, random.split(key, samples))
        return qs, accepted.mean()

    return xlac.vmap(chain)(random.split(key, len(starts)), starts)


def split_r_hat(samples):
    """Gelman and Rubin's diagnostic of each dimension: near 1 when the chains agree."""
    halves = jnp.concatenate(jnp.split(samples, 2, axis=1))
    length = halves.shape[1]
    within = halves.var(axis=1, ddof=1).mean(axis=0)
    between = length * halves.mean(axis=1).var(axis=0, ddof=1)
    return jnp.sqrt((length - 1) / length + between / (length * within))


def main():
    start_key, sample_key = random.split(random.PRNGKey(5))
    starts = 3.0 * random.normal(start_key, (16, 3))
    samples, accepted = sample(sample_key, starts, 500, 8)
    kept = samples[:, 100:]
    flat = kept.reshape(-1, 3)
    mean, covariance, r_hat = flat.mean(0), jnp.cov(flat.T), split_r_hat(kept)
    print(f"accepted {accepted.mean():.2f}, split R-hat {r_hat}")
    print(f"mean {mean}\ncovariance\n{covariance}")
    return {
        "first": samples[:, 0],
        "accepted": accepted.mean(),
        "off": jnp.array([jnp.abs(mean - MEAN).max() < 0.1, jnp.abs(covariance - COVARIANCE).max() < 0.2]),
        "agree": jnp.all(r_hat < 1.02),
    }


if __name__ == "__main__":
    main()
