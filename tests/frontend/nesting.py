"""What can be put around a function of three numbers, for `xlac` and JAX alike: the table of `test_nesting.py`.

Each entry takes the library, its `numpy` and `lax`, and a smooth function of three doubles, and gives another one.
"""

import numpy as np

MATRIX = np.array([[2.0, 0.3, 0.0], [0.1, 1.5, -0.2], [0.0, 0.4, 1.8]])
WEIGHTS = np.array([0.7, -1.1, 0.4])


def base(lib, jnp, lax):
    """The innermost function: every number of the result depends on every number of the argument."""
    return lambda x: jnp.tanh(x * WEIGHTS + jnp.sum(x) * 0.3)


def with_jvp(lib, jnp, lax, f):
    @lib.custom_jvp
    def g(x):
        return f(x)

    g.defjvp(lambda primals, tangents: lib.jvp(f, primals, tangents))
    return g


def with_vjp(lib, jnp, lax, f):
    @lib.custom_vjp
    def g(x):
        return f(x)

    g.defvjp(lambda x: (f(x), x), lambda x, ct: lib.vjp(f, x)[1](ct))
    return g


def callback(lib, jnp, lax, f):
    """The sine by a callback, with its derivatives by others."""

    def host(k, x):
        functions = (np.sin, np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v))
        return lib.pure_callback(lambda v: functions[k % 4](np.asarray(v)), lib.ShapeDtypeStruct(x.shape, x.dtype), x,
                                 vmap_method="broadcast_all")  # fmt: skip

    def nth(k):
        g = lib.custom_jvp(lambda x: host(k, x))
        g.defjvp(lambda primals, tangents: (g(*primals), nth(k + 1)(*primals) * tangents[0]))
        return g

    return lambda x: f(nth(0)(x))


def linear_solve(lib, jnp, lax, f):
    def solve(matvec, b):
        return jnp.linalg.solve(jnp.asarray(MATRIX), b)

    def transposed(vecmat, b):
        return jnp.linalg.solve(jnp.asarray(MATRIX.T), b)

    return lambda x: lax.custom_linear_solve(lambda v: MATRIX @ v, f(x), solve, transposed)


def root(lib, jnp, lax, f):
    """y with 2 y + sin(y) / 2 = f(x), by Newton's method."""

    def g(x):
        b = f(x)
        residual = lambda y: 2 * y + 0.5 * jnp.sin(y) - b  # noqa: E731

        def solve(h, y):
            step = lambda _, z: z - h(z) / (2 + 0.5 * jnp.cos(z))  # noqa: E731
            return lax.fori_loop(0, 8, step, y)

        def tangent_solve(h, y):
            return y / h(jnp.ones_like(y))

        return lax.custom_root(residual, jnp.zeros_like(b), solve, tangent_solve)

    return g


def gradient(lib, f):
    return lib.grad(lambda x: (f(x) * WEIGHTS).sum())


AROUND = {
    "jit": lambda lib, jnp, lax, f: lib.jit(f),
    "checkpoint": lambda lib, jnp, lax, f: lib.checkpoint(f),
    "custom_jvp": with_jvp,
    "custom_vjp": with_vjp,
    "pure_callback": callback,
    "custom_linear_solve": linear_solve,
    "custom_root": root,
    "scan": lambda lib, jnp, lax, f: lambda x: lax.scan(
        lambda c, w: (f(c) * w, c), x, np.array([[0.9] * 3, [1.2] * 3]))[0],
    "while_loop": lambda lib, jnp, lax, f: lambda x: lax.while_loop(
        lambda s: s[0] < 2, lambda s: (s[0] + 1, f(s[1])), (0, x))[1],
    "cond": lambda lib, jnp, lax, f: lambda x: lax.cond(x[0] > 0, f, lambda v: v * v, x),
    "switch": lambda lib, jnp, lax, f: lambda x: lax.switch(
        (x[0] > 0).astype(np.int32) + 1, [jnp.sin, jnp.cos, lambda v: f(f(v))], x),
    "map": lambda lib, jnp, lax, f: lambda x: lax.map(f, jnp.stack([x, x * 0.5])).sum(0),
    "associative_scan": lambda lib, jnp, lax, f: lambda x: lax.associative_scan(
        lambda a, b: a * b + a, jnp.stack([x, f(x), x + 1]))[2],
    "vmap": lambda lib, jnp, lax, f: lambda x: lib.vmap(f, in_axes=1, out_axes=1)(jnp.stack([x, x * 0.5], 1)).sum(1),
    "grad": lambda lib, jnp, lax, f: gradient(lib, f),
    "value_and_grad": lambda lib, jnp, lax, f: lambda x: (
        lambda v, g: v * g)(*lib.value_and_grad(lambda v: f(v).sum())(x)),
    "jvp": lambda lib, jnp, lax, f: lambda x: lib.jvp(f, (x,), (x * WEIGHTS,))[1],
    "vjp": lambda lib, jnp, lax, f: lambda x: lib.vjp(f, x)[1](x * WEIGHTS)[0],
    "linearize": lambda lib, jnp, lax, f: lambda x: lib.linearize(f, x)[1](x * WEIGHTS),
    "jacfwd": lambda lib, jnp, lax, f: lambda x: lib.jacfwd(f)(x) @ x,
    "jacrev": lambda lib, jnp, lax, f: lambda x: lib.jacrev(f)(x) @ x,
    "hessian": lambda lib, jnp, lax, f: lambda x: lib.hessian(lambda v: (f(v) * WEIGHTS).sum())(x) @ x,
}  # fmt: skip

FORWARD = {"jvp", "linearize", "jacfwd"}
BACKWARD = {"grad", "value_and_grad", "vjp", "jacrev", "hessian"}


def nested(lib, jnp, lax, names):
    """The functions around `base`, the last name outermost."""
    f = base(lib, jnp, lax)
    for name in names:
        f = AROUND[name](lib, jnp, lax, f)
    return f


def modes(names):
    """The modes, "fwd" and "rev", in which a nesting has derivatives; None if it has no value.

    Nothing goes backward through a while_loop, and nothing forward through a custom_vjp, but through its rules.
    """
    forward = backward = within = True
    for name in names:
        if (name in FORWARD and not forward) or (name in BACKWARD and not backward):
            return None
        if name == "hessian" and not within:
            return None
        if name == "custom_vjp":
            within, forward = forward or (backward and within), False
        elif name == "custom_jvp":
            backward = backward and forward
        elif name == "while_loop":
            backward = False
        elif name in BACKWARD:
            forward = within
    return [m for m, there in (("fwd", forward), ("rev", backward)) if there]
