"""The Mandelbrot set with complex numbers: a masked while_loop over the picture, and one per point under vmap.

python examples/porting/mandelbrot.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax

ROWS, COLUMNS, LIMIT = 160, 240, 100


def grid():
    real = jnp.linspace(-2.2, 0.8, COLUMNS)
    imaginary = jnp.linspace(-1.2, 1.2, ROWS)
    return real[None, :] + 1j * imaginary[:, None]


@partial(xlac.jit, static_argnames="limit")
def escape_times(c, limit):
    """Iterations until |z| > 2, all points in step; stops when all have left."""

    def body(state):
        z, count, i = state
        z = jnp.where(jnp.abs(z) <= 2, z * z + c, z)
        return z, count + (jnp.abs(z) <= 2), i + 1

    def cond(state):
        z, _, i = state
        return (i < limit) & jnp.any(jnp.abs(z) <= 2)

    return lax.while_loop(cond, body, (jnp.zeros_like(c), jnp.zeros(c.shape, jnp.int32), 0))[1]


@xlac.jit
@partial(xlac.vmap, in_axes=0)
@partial(xlac.vmap, in_axes=0)
def escape_time(c):
    """The same for one point, in real arithmetic; vmap makes it a picture."""

    def cond(state):
        x, y, count = state
        return (x * x + y * y <= 4) & (count < LIMIT)

    def body(state):
        x, y, count = state
        return x * x - y * y + c.real, 2 * x * y + c.imag, count + 1

    return lax.while_loop(cond, body, (0.0, 0.0, 0))[2]


@xlac.jit
def distance_estimate(c):
    """Distance to the set by the derivative of the iteration, carried along by jvp."""

    def after(c):
        return lax.fori_loop(0, 6, lambda _, z: z * z + c, jnp.zeros_like(c))

    z, derivative = xlac.jvp(after, (c,), (jnp.ones_like(c),))
    size = jnp.abs(z)
    return size * jnp.log(size) / jnp.abs(derivative)


def main():
    c = grid()
    counts = escape_times(c, LIMIT)
    single = escape_time(c)
    inside = counts >= LIMIT
    area = inside.mean() * 3.0 * 2.4
    distances = distance_estimate(jnp.array([0.4 + 0.4j, -1.2 + 0.4j, 0.4 - 0.5j], jnp.complex64))
    print(f"distances {distances}")
    print(f"area about {area:.3f} (1.507), the two agree on {(inside == (single >= LIMIT)).mean():.4f} of the points")
    for row in counts[8 :: ROWS // 12, :: COLUMNS // 60]:
        print("".join(" .:-=+*#%@"[min(int(n) // 4, 9)] for n in row))
    histogram, _ = jnp.histogram(counts, bins=jnp.array([0, 2, 4, 6, 8]))
    return {"area": area, "histogram": histogram.astype(jnp.int32), "distances": distances}


if __name__ == "__main__":
    main()
