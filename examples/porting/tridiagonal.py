"""Heat flow with implicit steps: tridiagonal systems solved by sweeps (scan) and in parallel (associative_scan).

python examples/porting/tridiagonal.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax

xlac.config.update("jax_enable_x64", True)

POINTS = 1024


def thomas(lower, diagonal, upper, rhs):
    """Gaussian elimination down, substitution up; lower[0] and upper[-1] are not used."""

    def down(carry, row):
        c, d = carry
        a, b, u, r = row
        pivot = b - a * c
        new = u / pivot, (r - a * d) / pivot
        return new, new

    def up(x, row):
        c, d = row
        x = d - c * x
        return x, x

    zero = jnp.zeros((), rhs.dtype)
    _, coefficients = lax.scan(down, (zero, zero), (lower.at[0].set(0.0), diagonal, upper.at[-1].set(0.0), rhs))
    return lax.scan(up, zero, coefficients, reverse=True)[1]


def affine_after(first, second):
    """x -> a2 (a1 x + b1) + b2"""
    return second[0] * first[0], second[0] * first[1] + second[1]


def matrix_after(first, second):
    """The product of 2x2 matrices, scaled so that it neither grows nor vanishes."""
    product = second @ first
    return product / jnp.max(jnp.abs(product), axis=(-2, -1), keepdims=True)


def parallel(lower, diagonal, upper, rhs):
    """The same: pivots by a scan of 2x2 matrices (a continued fraction), both substitutions by scans of affine maps."""
    a, u = lower.at[0].set(0.0), jnp.roll(upper, 1).at[0].set(0.0)
    ones, zeros = jnp.ones_like(a), jnp.zeros_like(a)
    # pivot[i] = diagonal[i] - a[i] u[i] / pivot[i - 1]: a Moebius map of the ratio of two numbers.
    moebius = jnp.stack([jnp.stack([diagonal, -a * u], -1), jnp.stack([ones, zeros], -1)], -2)
    product = lax.associative_scan(matrix_after, moebius)
    pivot = product[:, 0].sum(-1) / product[:, 1].sum(-1)
    _, d = lax.associative_scan(affine_after, (-a / pivot, rhs / pivot))
    _, x = lax.associative_scan(affine_after, (-upper.at[-1].set(0.0) / pivot, d), reverse=True)
    return x


@partial(xlac.jit, static_argnums=(0, 3))
def heat(solver, conductivity, temperature, steps, dt=1e-4):
    """Implicit Euler for u_t = (k u_x)_x with fixed ends."""
    h = 1.0 / (POINTS + 1)
    flow = dt / h**2 * conductivity
    lower, upper = -flow[:-1], -flow[1:]
    diagonal = 1.0 + flow[:-1] + flow[1:]

    def body(u, _):
        u = solver(lower, diagonal, upper, u)
        return u, u.sum() * h

    return lax.scan(body, temperature, None, length=steps)


@partial(xlac.jit, static_argnums=0)
def sensitivity(solver, conductivity, temperature):
    """How the final heat content answers to the conductivity: reverse mode through the solves."""
    return xlac.grad(lambda k: heat(solver, k, temperature, 20)[1][-1])(conductivity)


def main():
    x = jnp.linspace(0.0, 1.0, POINTS + 2)[1:-1]
    conductivity = 1.0 + 0.5 * jnp.sin(6 * jnp.pi * jnp.linspace(0.0, 1.0, POINTS + 1))
    start = jnp.sin(jnp.pi * x) + 0.3 * (x > 0.7)
    swept, content = heat(thomas, conductivity, start, 100)
    scanned, _ = heat(parallel, conductivity, start, 100)
    gradient = sensitivity(thomas, conductivity, start)
    gradient2 = sensitivity(parallel, conductivity, start)
    difference = jnp.abs(swept - scanned).max()
    print(f"heat {content[0]:.5f} -> {content[-1]:.5f}; the solvers differ by {difference:.1e}")
    print(f"largest sensitivity {gradient.min():.3e} at {jnp.argmin(gradient)}")
    return {
        "content": content[::33],
        "profile": swept[::256],
        "solvers_agree": difference < 1e-11,
        "gradients_agree": jnp.allclose(gradient, gradient2, rtol=1e-6, atol=1e-12),
        "gradient": gradient[::256],
    }


if __name__ == "__main__":
    main()
