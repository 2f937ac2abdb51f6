"""Functions with derivatives, each with arguments: the table of `test_autodiff.py` and `test_jax.py`.

Written for any module with NumPy's names and the matching `lax` and `nn`, so that they run under JAX too.
"""

import numpy as np


def draw(*shape, low=-1.5, high=1.5, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


A, B, V = draw(3, 4), draw(3, 4, seed=1), draw(4)
POSITIVE = draw(3, 4, low=0.3, high=2.0)
UNIT = draw(3, 4, low=-0.9, high=0.9)
SQUARE = draw(4, 4, seed=3)
CUBE = draw(2, 3, 4)
INDEX = np.array([2, 0, 2, 1], np.int32)
KNOTS = np.linspace(-2.0, 2.0, 4)

# name -> (function of (np, lax, nn, *arrays), arrays)
CASES = {}


def case(name, function, *arrays):
    CASES[name] = (function, arrays)


for _name in (
    "sin cos tan tanh sinh cosh exp exp2 expm1 cbrt arctan arcsinh square reciprocal negative abs sign floor sinc "
    "ravel transpose sum prod max min mean var std cumsum cumprod sort nan_to_num deg2rad"
).split():
    case(_name, lambda np, lax, nn, x, f=_name: getattr(np, f)(x), A)
for _name in "log log1p log2 log10 sqrt arccosh".split():
    case(_name, lambda np, lax, nn, x, f=_name: getattr(np, f)(x + (1 if f == "arccosh" else 0)), POSITIVE)
for _name in "arcsin arccos arctanh".split():
    case(_name, lambda np, lax, nn, x, f=_name: getattr(np, f)(x), UNIT)
for _name in "add subtract multiply divide maximum minimum arctan2 hypot logaddexp fmod mod".split():
    case(_name, lambda np, lax, nn, x, y, f=_name: getattr(np, f)(x, y), A, B)
case("power", lambda np, lax, nn, x, y: x**y, POSITIVE, B)
case("integer power", lambda np, lax, nn, x: x**5 + x**-2, A)
case("remainder", lambda np, lax, nn, x, y: lax.rem(x, y), A, B)
case("broadcasting", lambda np, lax, nn, x, v: x * v + v[0], A, V)
for _name in "sum prod max min mean var std".split():
    case(f"{_name} along an axis", lambda np, lax, nn, x, f=_name: getattr(np, f)(x, axis=1), CUBE)
case("product with a zero", lambda np, lax, nn, x: np.prod(x * np.array([0.0, 1.0, 2.0, 3.0]), axis=1), A)
case("masked sum", lambda np, lax, nn, x: np.sum(x, where=x > 0), A)
case("nanmean", lambda np, lax, nn, x: np.nanmean(x * x), A)
case("where", lambda np, lax, nn, x, y: np.where(x > y, x * 2, y), A, B)
case("clip", lambda np, lax, nn, x: np.clip(x, -0.5, 0.7), A)
case("clip by arrays", lambda np, lax, nn, x, y: np.clip(x, y - 0.3, y + 0.3), A, B)
case("rsqrt and logistic", lambda np, lax, nn, x: lax.rsqrt(x) + lax.logistic(x), POSITIVE)
case("erf", lambda np, lax, nn, x: lax.erf(x), A)
case("reshape and back", lambda np, lax, nn, x: (x.reshape(2, 6) @ np.ones((6, 2))).T.ravel() ** 2, A)
case("slices", lambda np, lax, nn, x: x[1:, ::2] * x[::-1, 1][0] + x[-1, None, 1:3], A)
case("pad", lambda np, lax, nn, x: np.pad(x, ((1, 2), (0, 1)), constant_values=0) ** 2, A)
case("interior pad", lambda np, lax, nn, x, v: lax.pad(x, v[0], [(1, -1, 2), (0, 3, 1)]) ** 2, A, V)
case("concatenate", lambda np, lax, nn, x, y: np.concatenate([x, y * y, x], axis=1) ** 2, A, B)
case("stack and split", lambda np, lax, nn, x, y: np.stack(np.split(x * y, 2, axis=1), 0) ** 2, A, B)
case("flip and roll", lambda np, lax, nn, x: np.roll(np.flip(x, 0), 1, axis=1) * x, A)
case("tile and repeat", lambda np, lax, nn, x: np.tile(x, (2, 1)) ** 2 * np.repeat(x, 2, axis=0), A)
case("triangles", lambda np, lax, nn, x: np.tril(x) @ np.triu(x), SQUARE)
case("diagonal", lambda np, lax, nn, x: np.diagonal(x) * np.trace(x) + np.diag(x[0])[1], SQUARE)
case("gather", lambda np, lax, nn, x: x[INDEX % 3] ** 2, A)
case("gather along an axis", lambda np, lax, nn, x: np.take_along_axis(x, np.argsort(x, axis=1)[:, :2], axis=1) ** 2, A)
case("take", lambda np, lax, nn, x: np.take(x, INDEX, axis=1) ** 3, A)
case("two index arrays", lambda np, lax, nn, x: x[INDEX % 3, INDEX] ** 2, A)
case("scatter set", lambda np, lax, nn, x, v: x.at[1].set(v * v) ** 2, A, V)
case("scatter add", lambda np, lax, nn, x, v: x.at[INDEX % 3, np.array([0, 1, 2, 3])].add(v * v) ** 2, A, V)
case("scatter set by array", lambda np, lax, nn, x, v: x.at[np.array([2, 0])].set(v * v) ** 2, A, V)
case("dynamic slice", lambda np, lax, nn, x: lax.dynamic_slice(x, (INDEX[3], INDEX[1]), (2, 2)) ** 2, A)
case(
    "dynamic update",
    lambda np, lax, nn, x, v: lax.dynamic_update_slice(x, v[None, :2] ** 2, (INDEX[3], INDEX[1])) ** 2,
    A,
    V,
)
case("matmul", lambda np, lax, nn, x, y: (x @ y.T) ** 2, A, B)
case("batched matmul", lambda np, lax, nn, x, y: np.matmul(x, np.swapaxes(y, 1, 2)) ** 2, CUBE, CUBE + 1)
case("matrix times vector", lambda np, lax, nn, x, v: (x @ v) ** 2, A, V)
case("vector product", lambda np, lax, nn, v: np.dot(v, v) * np.outer(v, v), V)
case("einsum", lambda np, lax, nn, x, y: np.einsum("bij,kj,bil->bkl", x, y, x) ** 2, CUBE, A)
case(
    "dot general",
    lambda np, lax, nn, x, y: lax.dot_general(x, y, (((1,), (2,)), ((0,), (0,)))) ** 2,
    CUBE,
    draw(2, 4, 3),
)
case("tensordot", lambda np, lax, nn, x, y: np.tensordot(x, y, ([2, 1], [1, 0])) ** 2, CUBE, draw(3, 4))
case("norm", lambda np, lax, nn, x: np.linalg.norm(x) + np.linalg.norm(x, axis=1), A)
case(
    "layer norm",
    lambda np, lax, nn, x: (x - x.mean(1, keepdims=True)) * lax.rsqrt(x.var(1, keepdims=True) + 1e-5) * B,
    A,
)
for _name in (
    "relu softplus silu gelu elu selu leaky_relu sigmoid log_sigmoid softmax log_softmax celu soft_sign hard_tanh"
).split():
    case(_name, lambda np, lax, nn, x, f=_name: getattr(nn, f)(x) * B, A)
case("exact gelu", lambda np, lax, nn, x: nn.gelu(x, approximate=False), A)
case("logsumexp", lambda np, lax, nn, x: nn.logsumexp(x, axis=1), A)
case("cross entropy", lambda np, lax, nn, x: -np.mean(np.sum(nn.one_hot(INDEX[:3], 4) * nn.log_softmax(x), axis=-1)), A)
case("stop gradient", lambda np, lax, nn, x: x * lax.stop_gradient(x * 2), A)
case("convert", lambda np, lax, nn, x: (x.astype(np.float32) ** 2).astype(np.float64), A)
case("cumulative max", lambda np, lax, nn, x: lax.cummax(x, axis=1) ** 2, A)
case("top k", lambda np, lax, nn, x: lax.top_k(x, 2)[0] ** 2, A)
case("sort pairs", lambda np, lax, nn, x, y: lax.sort((x, y), dimension=1, num_keys=1)[1] * B, A, B)
case("interpolation", lambda np, lax, nn, x, v: np.interp(x, KNOTS, v), A, V)


def _rnn(np, lax, nn, xs, w, h):
    def step(h, x):
        h = np.tanh(h @ w + x)
        return h, h * h

    last, ys = lax.scan(step, h, xs)
    return last.sum() + (ys * ys).sum(axis=1)


case("scan", _rnn, draw(5, 4), SQUARE, V)
case("reverse scan", lambda np, lax, nn, xs, c: lax.scan(
    lambda c, x: (c * x[0] + x[1], np.sin(c)), c, xs, reverse=True)[1],
     draw(5, 2), np.array(0.7))  # fmt: skip
case(
    "scan that shares a matrix",
    lambda np, lax, nn, x, w: lax.scan(lambda c, _: (c @ (w + w.T), c[0]), x, None, length=3)[0],
    A,
    SQUARE,
)
case("scan in scan", lambda np, lax, nn, x, w: lax.scan(
    lambda c, r: (lax.scan(lambda d, s: (np.sin(d * s + w[0]), d), c, r)[0], c), w[1], x)[1], A, V)  # fmt: skip
case("fori loop", lambda np, lax, nn, x, w: lax.fori_loop(0, 3, lambda i, c: np.tanh(c @ w) * (i + 1), x), A, SQUARE)
case("fori loop over rows", lambda np, lax, nn, x: lax.fori_loop(0, 3, lambda i, c: c * c + x[i], x[0]), A)
case("map", lambda np, lax, nn, x: lax.map(lambda r: np.sin(r).sum() * r, x), A)
case(
    "cond", lambda np, lax, nn, x, w: lax.cond(x[0, 0] > 0, lambda a: np.sin(a) @ w, lambda a: a @ w * 3, x), A, SQUARE
)
case("cond in scan", lambda np, lax, nn, x: lax.scan(
    lambda c, r: (lax.cond(r[0] > 0, lambda c: c * r, lambda c: c + r * c, c), c), x[0], x)[1], A)  # fmt: skip
case("scan in cond", lambda np, lax, nn, x: lax.cond(
    x[0, 0] > -9, lambda x: lax.scan(lambda c, r: (c * r, c), x[0], x)[0], lambda x: x[1], x), A)  # fmt: skip
case("switch", lambda np, lax, nn, x: lax.switch(INDEX[3], [lambda x: x, lambda x: x * x, lambda x: x**3], x), A)


def weighted(name, xnp, lax, nn):
    """A case as a scalar, its result times fixed weights and summed, with the modules given; and its arguments."""
    function, arrays = CASES[name]

    def scalar(*given):
        result = function(xnp, lax, nn, *given)
        weights = np.random.default_rng(7).uniform(0.5, 1.5, np.shape(result))
        return xnp.sum(result * weights)

    return scalar, arrays
