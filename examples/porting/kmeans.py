"""Lloyd's k-means with k-means++ seeding: distances by vmap, sums by segment, until nothing moves.

python examples/porting/kmeans.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, random


def clusters(key, k, per_cluster):
    centre_key, noise_key = random.split(key)
    centres = random.uniform(centre_key, (k, 1, 2), minval=-10.0, maxval=10.0)
    return (centres + random.normal(noise_key, (k, per_cluster, 2))).reshape(-1, 2)


def distances(points, centres):
    """Squared distances [point, centre]."""
    return xlac.vmap(lambda p: xlac.vmap(lambda c: jnp.sum((p - c) ** 2))(centres))(points)


def seed(key, points, k):
    """k-means++: each next centre is drawn with probability proportional to its squared distance from the others."""

    def body(i, state):
        centres, key, nearest = state
        key, choice_key = random.split(key)
        chosen = points[random.categorical(choice_key, jnp.log(nearest + 1e-12))]
        centres = centres.at[i].set(chosen)
        return centres, key, jnp.minimum(nearest, jnp.sum((points - chosen) ** 2, axis=1))

    first = points[0]
    centres = jnp.zeros((k, points.shape[1])).at[0].set(first)
    return lax.fori_loop(1, k, body, (centres, key, jnp.sum((points - first) ** 2, axis=1)))[0]


@partial(xlac.jit, static_argnames=("k",))
def kmeans(key, points, k):
    """Centres, the centre of each point, and the number of iterations."""

    def assign(centres):
        return jnp.argmin(distances(points, centres), axis=1)

    def moving(state):
        _, change, iteration = state
        return (change > 1e-4) & (iteration < 100)

    def move(state):
        centres, _, iteration = state
        labels = assign(centres)
        sums = xlac.ops.segment_sum(points, labels, num_segments=k)
        counts = jnp.zeros(k).at[labels].add(1.0)
        new = jnp.where(counts[:, None] > 0, sums / jnp.maximum(counts, 1.0)[:, None], centres)
        return new, jnp.abs(new - centres).max(), iteration + 1

    centres, _, iterations = lax.while_loop(moving, move, (seed(key, points, k), jnp.inf, 0))
    return centres, assign(centres), iterations


def main():
    data_key, seed_key = random.split(random.PRNGKey(8))
    points = clusters(data_key, 8, 500)
    centres, labels, iterations = kmeans(seed_key, points, k=8)
    sizes = jnp.bincount(labels, length=8)
    inertia = jnp.sum(jnp.min(distances(points, centres), axis=1))
    print(f"{iterations} iterations, inertia {inertia:.1f}, sizes {sizes}")
    order = jnp.argsort(centres[:, 0])
    return {"centres": centres[order], "sizes": sizes[order], "inertia": inertia}


if __name__ == "__main__":
    main()
