"""Transformations under JAX: the same functions, the same nesting, the same numbers."""

import importlib.util

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED, run
from tests.frontend import derivatives
from tests.frontend import opcode_cases as opcodes
from xlac import lax, nn

pytestmark = pytest.mark.jax

if importlib.util.find_spec("jax") is not None:
    import jax
    import jax.numpy as jnp


NAMES = (
    "tanh,maximum,power,prod,max,sort,cumprod,gather,scatter set,scatter add,dynamic slice,dynamic update,einsum,"
    "softmax,scan,reverse scan,scan in scan,cond,cond in scan,switch,top k,interpolation,clip by arrays,relu"
).split(",")


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        yield


def both(name):
    function, arrays = derivatives.CASES[name]
    ours = lambda *a: function(xnp, lax, nn, *a)  # noqa: E731
    theirs = lambda *a: function(jnp, jax.lax, jax.nn, *a)  # noqa: E731
    return ours, theirs, arrays


def same(got, want):
    found, wanted = xlac.tree.leaves(got), jax.tree.leaves(want)
    assert len(found) == len(wanted)
    for g, w in zip(found, wanted):
        assert g.shape == w.shape and g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=1e-8, atol=1e-9)


def stack(arrays, size=3):
    return tuple(np.stack([np.asarray(x) * (1 + 0.1 * i) for i in range(size)]) for x in arrays)


@pytest.mark.parametrize("name", NAMES)
def test_jvp_and_jacobians_are_jaxs(name):
    ours, theirs, arrays = both(name)
    along = tuple(np.random.default_rng(3).uniform(-1, 1, np.shape(x)) for x in arrays)
    same(
        run(lambda a, t: xlac.jvp(ours, a, t), arrays, along),
        jax.jit(lambda a, t: jax.jvp(theirs, a, t))(arrays, along),
    )
    same(run(xlac.jacrev(ours), *arrays), jax.jit(jax.jacrev(theirs))(*arrays))


@pytest.mark.parametrize("name", NAMES)
def test_vmap_of_jacobians_is_jaxs(name):
    ours, theirs, arrays = both(name)
    axes = (0, *[None] * (len(arrays) - 1))
    given = (*stack(arrays[:1]), *arrays[1:])
    got = run(xlac.vmap(xlac.jacfwd(ours), in_axes=axes, out_axes=-1), *given)
    same(got, jax.jit(jax.vmap(jax.jacfwd(theirs), in_axes=axes, out_axes=-1))(*given))


@pytest.mark.parametrize("name", ["tanh", "softmax", "scan", "cond in scan", "scatter add", "prod"])
def test_hessians_are_jaxs(name):
    ours, theirs, arrays = both(name)
    got = run(xlac.hessian(lambda *a: ours(*a).sum()), *arrays)
    same(got, jax.jit(jax.hessian(lambda *a: theirs(*a).sum()))(*arrays))


LAYOUT = ("NCHW", "OIHW", "NCHW")
CONVOLUTIONS = {
    "plain": {"window_strides": (1, 1), "padding": [(0, 0), (0, 0)]},
    "strided": {"window_strides": (2, 3), "padding": [(1, 2), (0, 1)]},
    "dilated": {"window_strides": (1, 2), "padding": [(2, 1), (1, 1)], "lhs_dilation": (2, 1), "rhs_dilation": (1, 3)},
    "feature groups": {"window_strides": (2, 1), "padding": [(1, 1), (0, 0)], "feature_group_count": 2},
    "batch groups": {"window_strides": (1, 2), "padding": [(1, 1), (0, 0)], "batch_group_count": 2},
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("mapped", [(0, 0), (0, None), (None, 0)])
def test_convolutions_are_jaxs(name, mapped):
    from xlac.ir.window import WindowDim

    settings = CONVOLUTIONS[name]
    features, batches = settings.get("feature_group_count", 1), settings.get("batch_group_count", 1)
    draw = opcodes.draw
    x, k = draw(2 * batches, 2 * features, 6, 7), draw(4, 2, 3, 2)
    given = tuple(stack((v,))[0] if m == 0 else v for v, m in zip((x, k), mapped))
    dilated = zip((3, 2), settings["window_strides"], settings["padding"],
                  settings.get("lhs_dilation", (1, 1)), settings.get("rhs_dilation", (1, 1)))  # fmt: skip
    window = tuple(WindowDim(n, s, low, high, a, b) for n, s, (low, high), a, b in dilated)
    ours = opcodes.convolution(window, features=features, batches=batches)

    def theirs(x, k):
        return jax.lax.conv_general_dilated(x, k, dimension_numbers=LAYOUT, **settings)

    got = run(xlac.vmap(xlac.grad(lambda x, k: (ours(x, k) ** 2).sum(), argnums=(0, 1)), in_axes=mapped), *given)
    want = jax.jit(jax.vmap(jax.grad(lambda x, k: (theirs(x, k) ** 2).sum(), argnums=(0, 1)), in_axes=mapped))(*given)
    same(got, want)


def test_fourier_transforms_and_factorisations_are_jaxs():
    z = opcodes.draw(2, 3, 4) + 1j * opcodes.draw(2, 3, 4, seed=1)
    x = z.real.copy()
    pairs = []
    for kind, operand, lengths in (("FFT", z, (3, 4)), ("IFFT", z, (4,)), ("RFFT", x, (3, 4)), ("IRFFT", z, (3, 6))):

        def ours(v, kind=kind, lengths=lengths):
            return xnp.sum(xnp.abs(opcodes.emit("fft", v, fft_type=kind, fft_length=lengths)) ** 3)

        def theirs(v, kind=kind, lengths=lengths):
            return jnp.sum(jnp.abs(jax.lax.fft(v, kind, lengths)) ** 3)

        pairs.append((ours, theirs, operand))
    a = np.einsum("bij,bkj->bik", z, z.conj()) + 3 * np.eye(3)
    pairs.append((
        lambda v: xnp.sum(xnp.abs(opcodes.emit("cholesky", v, lower=True)) ** 3),
        lambda v: jnp.sum(jnp.abs(jax.lax.linalg.cholesky(v, symmetrize_input=False)) ** 3),
        a,
    ))  # fmt: skip
    for ours, theirs, operand in pairs:
        want = jax.grad(theirs)(operand)
        got = run(xlac.grad(ours), operand)
        if operand is a:  # which triangle is read is each library's own choice
            symmetric = lambda g: (np.asarray(g) + np.conj(np.swapaxes(g, -1, -2))) / 2  # noqa: E731
            got, want = symmetric(got), symmetric(want)
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-9)


def programs(lib, np_, lax_):
    """Programs that nest the transformations, for either library."""

    @lib.custom_jvp
    def sine(x):
        return np_.sin(x)

    sine.defjvp(lambda primals, tangents: (sine(*primals), 3 * np_.cos(primals[0]) * tangents[0]))

    @lib.custom_vjp
    def cube(x, y):
        return x**3 * y

    cube.defvjp(lambda x, y: (cube(x, y), (x, y)), lambda kept, g: (g * 5 * kept[0], None))
    x = np.linspace(0.2, 1.4, 4)
    w = np.linspace(-1, 1, 16).reshape(4, 4)
    tower = lib.checkpoint(lambda v: np_.tanh(w @ sine(v)))

    yield lambda: lib.hessian(lambda v: sine(v).sum())(x)
    yield lambda: lib.vmap(lib.grad(sine))(x)
    yield lambda: lib.grad(lambda v: lib.vmap(cube, in_axes=(0, None))(v, 2.0).sum())(x)
    yield lambda: lib.vmap(lib.vmap(cube, (None, 0)), (0, None))(x, x)
    yield lambda: lib.jacrev(tower)(x)
    yield lambda: lib.jacfwd(lib.jacrev(lambda v: tower(v).sum()))(x)
    yield lambda: lib.vmap(lambda t: lib.jvp(tower, (x,), (t,))[1])(np.eye(4))
    yield lambda: lib.vmap(lib.linearize(tower, x)[1])(np.eye(4))
    yield lambda: lib.vmap(lib.vjp(tower, x)[1])(np.eye(4))
    yield lambda: lib.linear_transpose(lambda v: w @ v, x)(x)
    yield lambda: lib.vmap(
        lambda v, n: lax_.while_loop(lambda s: s[1] < n, lambda s: (np_.sin(s[0]) * v, s[1] + 1), (v, 0))
    )(x, np.arange(4))
    yield lambda: lib.jvp(
        lambda v: lax_.while_loop(lambda s: s[0].sum() < 30, lambda s: (s[0] * v + 1, s[1] + 1), (v, 0))[0], (x,), (x,)
    )
    yield lambda: lib.grad(
        lambda v: lib.vmap(lambda i: lax_.dynamic_slice(v, (i,), (2,)) ** 2)(np.array([0, 2, 5])).sum()
    )(x)
    yield lambda: lib.vmap(lambda i, v: v.at[i].set(7.0), in_axes=(0, None))(np.array([0, 2, 9]), np_.asarray(x))
    yield lambda: lib.vmap(lambda v: lax_.cond(v > 0.5, np_.sin, np_.cos, v))(x)
    yield lambda: lib.value_and_grad(lambda v: (lax_.map(sine, v).sum(), v), has_aux=True)(x)


@pytest.mark.parametrize("number", range(16))
def test_nested_transformations_are_jaxs(number):
    got = list(programs(xlac, xnp, lax))[number]
    want = list(programs(jax, jnp, jax.lax))[number]
    found, wanted = xlac.tree.leaves(xlac.jit(got, options=EVALUATED)()), jax.tree.leaves(want())
    for g, w in zip(found, wanted):
        np.testing.assert_allclose(g, w, rtol=1e-7 if w.dtype != np.float32 else 1e-5, atol=1e-9)
    eager = xlac.tree.leaves(got())
    for g, w in zip(eager, wanted):
        np.testing.assert_allclose(g, w, rtol=1e-7 if w.dtype != np.float32 else 1e-5, atol=1e-9)
