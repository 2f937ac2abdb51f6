"""The wave equation in two dimensions, explicit and with absorbing edges; the source is found again by gradient.

python examples/porting/waves.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax

SIZE, STEPS = 96, 160
COURANT = 0.5


def laplacian(u):
    padded = jnp.pad(u, 1)
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4.0 * u


def damping():
    """Friction that grows towards the edges."""
    distance = jnp.minimum(jnp.arange(SIZE), jnp.arange(SIZE)[::-1])
    edge = jnp.where(distance < 12, ((12 - distance) / 12.0) ** 2, 0.0)
    return 0.3 * jnp.maximum(edge[:, None], edge[None, :])


def bump(place, width=3.0):
    rows, columns = jnp.indices((SIZE, SIZE))
    return jnp.exp(-((rows - place[0]) ** 2 + (columns - place[1]) ** 2) / (2 * width**2))


@xlac.jit
def simulate(initial):
    """The field after all steps, what two microphones hear, and the energy."""
    friction = damping()

    def body(state, _):
        before, now = state
        after = (2 * now - (1 - friction) * before + COURANT**2 * laplacian(now)) / (1 + friction)
        heard = now[jnp.array([30, 66]), jnp.array([48, 30])]
        kinetic = jnp.sum((after - now) ** 2)
        potential = COURANT**2 * (jnp.sum(jnp.diff(now, axis=0) ** 2) + jnp.sum(jnp.diff(now, axis=1) ** 2))
        return (now, after), (heard, 0.5 * (kinetic + potential))

    (_, final), (heard, energy) = lax.scan(body, (initial, initial), None, length=STEPS)
    return final, heard, energy


@partial(xlac.jit, static_argnames="iterations")
def locate(heard, guess, iterations):
    """Gauss-Newton on the place of the source: forward-mode Jacobian of the whole simulation."""

    def residual(place):
        return (simulate(bump(place))[1] - heard).ravel()

    def body(place, _):
        r, jacobian = residual(place), xlac.jacfwd(residual)(place)
        normal = jacobian.T @ jacobian + 1e-6 * jnp.eye(2)
        return place - jnp.linalg.solve(normal, jacobian.T @ r), jnp.sum(r**2)

    return lax.scan(body, guess, None, length=iterations)


def main():
    place = jnp.array([40.0, 55.0])
    final, heard, energy = simulate(bump(place))
    found, misfits = locate(heard, place + jnp.array([-1.5, 1.0]), iterations=5)
    print(f"energy {energy[0]:.3f} -> {energy[-1]:.3f}; source at {found}; misfits {misfits}")
    return {"energy": energy[::40], "heard": heard[40:44], "centre": final[46:50, 48], "found": found}


if __name__ == "__main__":
    main()
