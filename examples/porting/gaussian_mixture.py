"""A mixture of Gaussians by expectation maximisation in log space, with full covariances.

python examples/porting/gaussian_mixture.py
"""

from functools import partial
from typing import NamedTuple

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random
from xlac.scipy.linalg import solve_triangular
from xlac.scipy.special import logsumexp


class Mixture(NamedTuple):
    log_weights: xlac.Array
    means: xlac.Array
    covariances: xlac.Array


def draw(key, mixture, count):
    component_key, noise_key = random.split(key)
    component = random.categorical(component_key, mixture.log_weights, shape=(count,))
    factors = jnp.linalg.cholesky(mixture.covariances)
    noise = random.normal(noise_key, (count, 2))
    return mixture.means[component] + jnp.einsum("nij,nj->ni", factors[component], noise)


def log_joint(mixture, x):
    """log p(x, component), [point, component]."""

    def one(log_weight, mean, covariance):
        factor = jnp.linalg.cholesky(covariance)
        white = solve_triangular(factor, (x - mean).T, lower=True)
        log_det = jnp.sum(jnp.log(jnp.diagonal(factor)))
        return log_weight - 0.5 * jnp.sum(white**2, axis=0) - log_det - x.shape[1] / 2 * jnp.log(2 * jnp.pi)

    return xlac.vmap(one, out_axes=1)(*mixture)


def em_step(x, mixture):
    joint = log_joint(mixture, x)
    evidence = logsumexp(joint, axis=1, keepdims=True)
    shares = jnp.exp(joint - evidence)
    total = shares.sum(axis=0)
    means = shares.T @ x / total[:, None]
    centred = x[:, None] - means
    covariances = jnp.einsum("nk,nki,nkj->kij", shares, centred, centred) / total[:, None, None]
    covariances += 1e-5 * jnp.eye(x.shape[1])
    return Mixture(jnp.log(total / len(x)), means, covariances), evidence.mean()


@partial(xlac.jit, static_argnums=2)
def fit(x, mixture, iterations):
    return lax.scan(lambda m, _: em_step(x, m), mixture, None, length=iterations)


@xlac.jit
def responsibilities(mixture, x):
    return nn.softmax(log_joint(mixture, x), axis=1)


def main():
    truth = Mixture(
        jnp.log(jnp.array([0.5, 0.3, 0.2])),
        jnp.array([[0.0, 0.0], [4.0, 4.0], [-4.0, 4.0]]),
        jnp.array([[[1.0, 0.5], [0.5, 1.0]], [[0.5, 0.0], [0.0, 1.5]], [[1.0, -0.6], [-0.6, 1.0]]]),
    )
    x = draw(random.PRNGKey(10), truth, 4000)
    guess = Mixture(
        jnp.full(3, -jnp.log(3.0)),
        jnp.array([[0.5, -1.0], [2.0, 3.0], [-2.0, 2.0]]),
        jnp.broadcast_to(2.0 * jnp.eye(2), (3, 2, 2)),
    )
    fitted, evidence = fit(x, guess, 40)
    middle = responsibilities(fitted, jnp.array([[1.5, 2.0], [-2.0, 2.0]]))
    print(f"mean log-likelihood {evidence[0]:.4f} -> {evidence[-1]:.4f}")
    print(f"weights {jnp.exp(fitted.log_weights)}\nmeans\n{fitted.means}")
    return {"evidence": evidence[::13], "fitted": fitted, "middle": middle}


if __name__ == "__main__":
    main()
