"""Logistic regression by second-order methods: Newton with the Hessian, Newton-CG by jvp of the gradient, and L-BFGS.

python examples/porting/second_order.py
"""

from functools import partial

import xlac
import xlac.numpy as jnp
from xlac import lax, nn, random
from xlac.flatten_util import ravel_pytree

MEMORY = 6


def make_data(key, rows=2000, features=20):
    k1, k2, k3 = random.split(key, 3)
    x = random.normal(k1, (rows, features)) * jnp.linspace(0.3, 3.0, features)
    w = random.normal(k2, (features,))
    return x, random.bernoulli(k3, nn.sigmoid(x @ w + 0.5)).astype(jnp.float32)


def loss_tree(params, x, y):
    logits = x @ params["w"] + params["b"]
    return jnp.mean(nn.softplus(logits) - y * logits) + 1e-3 * jnp.sum(params["w"] ** 2)


def conjugate_gradient(matvec, b, iterations):
    def body(state, _):
        x, r, p = state
        image = matvec(p)
        alpha = r @ r / (p @ image)
        x, new_r = x + alpha * p, r - alpha * image
        return (x, new_r, new_r + (new_r @ new_r) / (r @ r) * p), jnp.linalg.norm(new_r)

    return lax.scan(body, (jnp.zeros_like(b), b, b), None, length=iterations)[0][0]


def newton(loss, w):
    return w - jnp.linalg.solve(xlac.hessian(loss)(w), xlac.grad(loss)(w))


def newton_cg(loss, w):
    gradient, hvp = xlac.linearize(xlac.grad(loss), w)
    return w - conjugate_gradient(hvp, gradient, 15)


def backtrack(loss, w, direction, slope, value):
    """The first of 1, 1/2, 1/4, ... that decreases the loss enough."""

    def too_long(t):
        return (loss(w + t * direction) > value + 1e-4 * t * slope) & (t > 1e-6)

    return lax.while_loop(too_long, lambda t: t / 2, 1.0)


def lbfgs(loss, w, iterations):
    """Two-loop recursion over a rolling memory; the oldest pair leaves at the front."""

    def direction(gradient, s, y, rho):
        def first(i, state):
            q, alphas = state
            j = MEMORY - 1 - i
            alpha = rho[j] * s[j] @ q
            return q - alpha * y[j], alphas.at[j].set(alpha)

        q, alphas = lax.fori_loop(0, MEMORY, first, (gradient, jnp.zeros(MEMORY)))
        scale = jnp.where(rho[-1] > 0, 1.0 / jnp.maximum(rho[-1] * (y[-1] @ y[-1]), 1e-30), 1.0)

        def second(j, r):
            return r + s[j] * (alphas[j] - rho[j] * y[j] @ r)

        return -lax.fori_loop(0, MEMORY, second, scale * q)

    def body(state, _):
        w, value, gradient, s, y, rho = state
        step = direction(gradient, s, y, rho)
        t = backtrack(loss, w, step, gradient @ step, value)
        new_w = w + t * step
        new_value, new_gradient = xlac.value_and_grad(loss)(new_w)
        ds, dy = new_w - w, new_gradient - gradient
        curvature = ds @ dy
        s, y = (jnp.roll(m, -1, axis=0).at[-1].set(d) for m, d in ((s, ds), (y, dy)))
        rho = jnp.roll(rho, -1).at[-1].set(jnp.where(curvature > 1e-10, 1.0 / curvature, 0.0))
        return (new_w, new_value, new_gradient, s, y, rho), value

    empty = jnp.zeros((MEMORY, w.shape[0]))
    start = (w, *xlac.value_and_grad(loss)(w), empty, empty, jnp.zeros(MEMORY))
    (w, *_), values = lax.scan(body, start, None, length=iterations)
    return w, values


@partial(xlac.jit, static_argnums=0)
def solve(method, x, y):
    params = {"w": jnp.zeros(x.shape[1]), "b": jnp.zeros(())}
    flat, unravel = ravel_pytree(params)

    def loss(w):
        return loss_tree(unravel(w), x, y)

    if method == "lbfgs":
        w, _ = lbfgs(loss, flat, 25)
    else:
        step = newton if method == "newton" else newton_cg
        w = lax.fori_loop(0, 8, lambda _, w: step(loss, w), flat)
    return unravel(w), loss(w), jnp.linalg.norm(xlac.grad(loss)(w))


def main():
    x, y = make_data(random.PRNGKey(12))
    results = {}
    for method in ("newton", "newton_cg", "lbfgs"):
        params, loss, norm = solve(method, x, y)
        print(f"{method:10} loss {loss:.6f}, gradient norm {norm:.1e}")
        results[method] = {"loss": loss, "w": params["w"][:4], "b": params["b"], "converged": norm < 1e-3}
    return results


if __name__ == "__main__":
    main()
