"""A ray marcher of signed distance functions: normals by grad, rays by vmap, and the light fitted by gradient.

python examples/porting/ray_marcher.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax

WIDTH, HEIGHT = 96, 64


def norm(v, axis=-1, keepdims=False, eps=1e-12):
    return jnp.sqrt((v * v).sum(axis, keepdims=keepdims) + eps)


def normalize(v):
    return v / norm(v, keepdims=True)


def sphere(p, centre, radius):
    return norm(p - jnp.array(centre)) - radius


def box(p, centre, half):
    q = jnp.abs(p - jnp.array(centre)) - jnp.array(half)
    return norm(jnp.maximum(q, 0.0)) + jnp.minimum(q.max(), 0.0)


def smooth_min(a, b, k):
    h = jnp.clip(0.5 + 0.5 * (b - a) / k, 0.0, 1.0)
    return b + h * (a - b) - k * h * (1.0 - h)


def scene(p):
    ball = sphere(p, (0.0, 0.3, 0.0), 0.8)
    cube = box(p, (0.9, -0.2, 0.3), (0.4, 0.4, 0.4))
    return jnp.minimum(smooth_min(ball, cube, 0.3), p[1] + 0.8)


def march(origin, direction, steps=48):
    def body(_, p):
        return p + scene(p) * direction

    return lax.fori_loop(0, steps, body, origin)


def shadow(p, light):
    """Soft: how near the ray to the light passes by something."""

    def body(_, state):
        t, lit = state
        h = scene(p + t * light)
        return t + jnp.clip(h, 0.05, 0.5), jnp.minimum(lit, 8.0 * h / t)

    return jnp.clip(lax.fori_loop(0, 24, body, (0.05, 1.0))[1], 0.0, 1.0)


def camera(eye, target):
    forward = normalize(target - eye)
    right = normalize(jnp.cross(forward, jnp.array([0.0, 1.0, 0.0])))
    return jnp.stack([right, jnp.cross(right, forward), forward])


def shade(eye, light, direction):
    p = march(eye, direction)
    normal = xlac.grad(scene)(p)
    hit = jnp.abs(scene(p)) < 1e-2
    diffuse = jnp.maximum(normal @ light, 0.0) * shadow(p + 0.02 * normal, light)
    ambient = 0.15 + 0.1 * normal[1]
    return jnp.where(hit, ambient + 0.75 * diffuse, 0.6)


@xlac.jit
def render(eye, light):
    x, y = jnp.meshgrid(jnp.linspace(-0.9, 0.9, WIDTH), jnp.linspace(0.6, -0.6, HEIGHT))
    local = jnp.stack([x, y, 1.5 * jnp.ones_like(x)], axis=-1).reshape(-1, 3)
    directions = normalize(local @ camera(eye, jnp.zeros(3)))
    return xlac.vmap(partial(shade, eye, normalize(light)))(directions).reshape(HEIGHT, WIDTH)


@xlac.jit
def light_gradient(eye, light, picture):
    def misfit(light):
        return jnp.mean((render(eye, light) - picture) ** 2)

    return xlac.value_and_grad(misfit)(light)


def main():
    eye, light = jnp.array([1.5, 1.2, 3.5]), jnp.array([0.6, 1.0, 0.5])
    picture = render(eye, light)
    guess = jnp.array([0.2, 1.0, 0.8])
    misfits = []
    for _ in range(10):
        misfit, gradient = light_gradient(eye, guess, picture)
        guess = normalize(guess - 3.0 * gradient)
        misfits.append(misfit)
    for row in picture[::3, ::2]:
        print("".join(" .:-=+*#%@"[int(v * 9.99)] for v in jnp.clip(row, 0, 1)))
    print(f"mean brightness {picture.mean():.4f}, misfit of the light {misfits[0]:.5f} -> {misfits[-1]:.5f}")
    return {
        "mean": picture.mean(),
        "rows": picture.mean(axis=1)[::16],
        "first": misfits[0],
        "fitted": misfits[-1] < 1e-4,
    }


if __name__ == "__main__":
    main()
