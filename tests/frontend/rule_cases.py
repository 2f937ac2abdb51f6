"""Functions of doubles for every form of every differentiable operation: the table of `test_every_rule.py`.

Written for `xlac.lax` and `jax.lax` alike: each function gets the module, then the arrays.
"""

import numpy as np


def draw(*shape, low=-1.5, high=1.5, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def draw_complex(*shape, seed=0):
    return draw(*shape, seed=seed) + 1j * draw(*shape, seed=seed + 50)


X, Y, V = draw(3, 4), draw(3, 4, seed=1), draw(4)
POSITIVE, ABOVE, UNIT = draw(3, 4, low=0.3, high=2.5), draw(3, 4, low=1.2, high=2.5), draw(3, 4, low=-0.9, high=0.9)
Z, W = draw_complex(3, 4), draw_complex(3, 4, seed=1)
CUBE, MATRICES = draw(2, 3, 4), draw(2, 3, 3)
DOUBLE = np.dtype(np.float64)

# name -> (function of (lax, *arrays), arrays); the derivatives that exist; what jax.lax lacks or does otherwise
CASES, ONCE, FORWARD, NOT_JAX = {}, set(), set(), set()


def case(name, function, *arrays, jax=True, orders=2, reverse=True):
    assert name not in CASES, name
    CASES[name] = (function, arrays)
    for table, member in ((ONCE, orders == 1), (FORWARD, not reverse), (NOT_JAX, not jax)):
        table.update([name] if member else [])


def each(names, *arrays, suffix="", axes=(), **settings):
    for name in names.split():
        case(name + suffix, lambda lax, *a, f=name: getattr(lax, f)(*a, *axes), *arrays, **settings)


# ---- elementwise

each("neg exp exp2 expm1 sin cos tan tanh sinh cosh asinh atan logistic erf erfc cbrt square abs sign floor ceil", X)
each("bessel_i0e bessel_i1e reciprocal lgamma digamma", X)
each("log log1p sqrt rsqrt", POSITIVE)
each("lgamma digamma bessel_i0e bessel_i1e", POSITIVE * 6, suffix=" of greater numbers")
each("acosh", ABOVE)
each("asin acos atanh erf_inv", UNIT)
each("add sub mul div rem max min atan2 complex", X, Y)
each("pow", POSITIVE, Y)
each("igamma igammac", POSITIVE, ABOVE, orders=1)
each("igamma igammac", np.array([0.4, 1.0, 7.5]), np.array([1.3, 0.2, 9.0]), suffix=" far", orders=1)
each("igamma igammac", POSITIVE, ABOVE, suffix=" twice", jax=False)
case("igamma by its argument", lambda lax, x: lax.igamma(POSITIVE, x), ABOVE)
case("zeta", lambda lax, q: lax.zeta(np.full(3, 2.5), q), np.array([0.5, 1.5, 7.0]), jax=False)
case("polygamma", lambda lax, x: lax.polygamma(np.full(3, 2.0), x), np.array([0.5, 1.5, 7.0]))
case(
    "betainc", lambda lax, x: lax.betainc(np.full((3, 4), 1.5), np.full((3, 4), 2.5), x), draw(3, 4, low=0.1, high=0.9)
)
case("round", lambda lax, x: lax.round(x, 0) + lax.round(x * 3, 1) + x, X)
for _n in (5, 2, 1, 0, -1, -3):
    case(f"integer_pow {_n}", lambda lax, x, n=_n: lax.integer_pow(x, n), X)
case("negative base, constant exponent", lambda lax, x: lax.pow(x, np.full((3, 4), -3.0)), X)
case("integer exponents", lambda lax, x: lax.pow(x, np.array([-2, 0, 3, 1])), draw(4))
case("clamp by scalars", lambda lax, lo, x, hi: lax.clamp(lo, x, hi), np.array(-0.4), X, np.array(0.7), jax=False)
case("clamp by arrays", lambda lax, lo, x, hi: lax.clamp(lo, x, hi), X - 0.5, Y, X + 0.5)
case("select", lambda lax, x, y: lax.select(lax.gt(x, y), x * y, y), X, Y)
case("select_n", lambda lax, x, y: lax.select_n(np.array([0, 2, 1, 0]), x, y, x * y), V, V * V)
case("convert to single and back", lambda lax, x: lax.convert_element_type(x, np.float64) * x, X)
case("convert to complex", lambda lax, x: lax.square(lax.convert_element_type(x, np.complex128)), X)
case(
    "convert to integers", lambda lax, x: lax.convert_element_type(lax.convert_element_type(x, np.int32), DOUBLE) * x, X
)
case("reduce_precision", lambda lax, x: lax.reduce_precision(x, 11, 52) * x, X)
case("stop_gradient", lambda lax, x: lax.sin(x) + lax.stop_gradient(lax.floor(x)), X)
case("optimization_barrier", lambda lax, x, y: lax.mul(*lax.optimization_barrier((lax.sin(x), y))), X, Y, jax=False)
case("bits", lambda lax, x: lax.bitcast_convert_type(lax.bitcast_convert_type(lax.round(x), np.int64), DOUBLE) + x, X)

# ---- complex numbers

each("neg exp expm1 log log1p sin cos tan tanh sinh cosh asin acos atan", Z, suffix=" of complex")
each("asinh atanh logistic sqrt rsqrt square reciprocal abs conj real imag", Z, suffix=" of complex")
each("acosh sign", Z, suffix=" of complex", jax=False)  # JAX takes another branch for one, 0 for the other
each("add sub mul div pow", Z, W, suffix=" of complex")
case("integer_pow of complex", lambda lax, z: lax.integer_pow(z, 4) + lax.integer_pow(z, -2), Z)
case("complex of a real part", lambda lax, x: lax.exp(lax.complex(lax.sin(x), x)), X)
case("complex select", lambda lax, z, w: lax.select(lax.gt(lax.real(z), lax.imag(w)), z * w, w), Z, W)
case("complex products", lambda lax, z, w: lax.dot(z, lax.transpose(w, (1, 0))), Z, W)
case("complex cumulative products", lambda lax, z: lax.cumprod(z, 1) + lax.cumsum(z * z, 0), Z)
case("complex reductions", lambda lax, z: lax.reduce_sum(z * z, (0,)) + lax.reduce_prod(z, (0,)), Z)

# ---- movement

case("broadcasts", lambda lax, v, c:
     lax.broadcast_in_dim(v, (2, 4, 3), (1,)) * lax.broadcast_in_dim(c, (2, 4, 3), (0, 2)), V, draw(2, 3))  # fmt: skip
case("broadcast that stretches", lambda lax, x: lax.broadcast_in_dim(x, (3, 4, 2), (0, 2)) ** 2, draw(3, 1))
case("reshape", lambda lax, x, y: lax.reshape(x, (2, 6)) * lax.reshape(y, (2, 6)), X, Y)
case("transpose", lambda lax, x: lax.transpose(x, (2, 0, 1)) * lax.transpose(lax.sin(x), (2, 0, 1)), CUBE)
case("rev", lambda lax, x: lax.rev(x, (0, 1)) * x, X)
case("slice", lambda lax, x: lax.slice(x, (1, 0), (3, 4), (1, 3)) ** 2, X)
case(
    "slice of nothing",
    lambda lax, x: lax.reduce_sum(lax.slice(x, (1, 0), (1, 4)), (0,)) + lax.reduce_sum(x * x, (0,)),
    X,
)
case("concatenate", lambda lax, x, y: lax.concatenate([x, y * y, x], 1) ** 2, X, Y)
case("pad and cut", lambda lax, x, v: lax.pad(x, v, [(1, -1, 2), (-2, 3, 1)]) ** 2, X, np.array(0.7))
case("pad inside", lambda lax, x, v: lax.pad(x, v, [(0, 0, 1), (2, 0, 0)]) ** 2, X, np.array(0.7))
case("dynamic_slice", lambda lax, x: lax.dynamic_slice(x, (np.int32(1), np.int32(9)), (2, 2)) ** 2, X)
case("dynamic_update_slice", lambda lax, x, u: lax.dynamic_update_slice(x, u * u, (np.int32(1), np.int32(9))) ** 2,
     X, draw(2, 2))  # fmt: skip

# ---- gather and scatter


def gather(lax, x, mode):
    where = np.array([[2, 1], [0, 9], [-7, 2], [2, 1]], np.int32)
    numbers = lax.GatherDimensionNumbers((1,), (0,), (0, 1))
    return lax.gather(x, where, numbers, (1, 2), mode=getattr(lax.GatherScatterMode, mode), fill_value=0.5) ** 2


for _mode in ("CLIP", "FILL_OR_DROP"):
    case(f"gather, {_mode}", lambda lax, x, m=_mode: gather(lax, x, m), X)
case("gather with batches", lambda lax, x: lax.gather(
    x, np.array([[1, 3], [0, 0], [2, 1]], np.int32)[..., None],
    lax.GatherDimensionNumbers((), (1,), (1,), (0,), (0,)), (1, 1)) ** 2, X)  # fmt: skip

ROWS = {"repeated": np.array([[2], [0], [2], [7]], np.int32), "unique": np.array([[2], [0], [3], [7]], np.int32)}


def scatter(lax, x, u, function, how, mode):
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    made = getattr(lax, function)(
        x, ROWS[how], u, numbers, unique_indices=how == "unique", mode=getattr(lax.GatherScatterMode, mode)
    )
    return made * made


for _f in ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max"):
    for _how in ROWS:
        if (_f, _how) == ("scatter_mul", "repeated"):
            continue  # refused, as by JAX
        case(f"{_f} at {_how} indices", lambda lax, x, u, f=_f, how=_how: scatter(lax, x, u, f, how, "FILL_OR_DROP"),
             draw(4, 3), draw(4, 3, seed=2))  # fmt: skip
for _f in ("scatter", "scatter_add", "scatter_max"):
    case(f"{_f}, clipped", lambda lax, x, u, f=_f: scatter(lax, x, u, f, "repeated", "CLIP"),
         draw(4, 3), draw(4, 3, seed=2), jax=_f != "scatter_max")  # fmt: skip
case("scatter_apply", lambda lax, x: lax.scatter_apply(
    x, np.array([[2], [0]], np.int32), lambda v: v * v, lax.ScatterDimensionNumbers((1,), (0,), (0,)),
    update_shape=(2, 3), unique_indices=True), draw(4, 3), jax=False)  # fmt: skip

# ---- reductions

each("reduce_sum reduce_prod reduce_max reduce_min", CUBE, axes=((0, 2),))
case("product with one zero", lambda lax, x: lax.reduce_prod(x * np.array([1.0, 0, 2, 1]), (1,)), X)
case("product with two zeros", lambda lax, x: lax.reduce_prod(x * np.array([1.0, 0, 2, 0]), (1,)), X)
for _f, _start in (("add", 0.3), ("mul", 1.7), ("max", 0.2), ("min", 0.2)):
    case(f"reduce by {_f} from a start", lambda lax, x, s, f=_f: lax.reduce(x, s, getattr(lax, f), (1,)),
         X, np.array(_start), jax=False)  # fmt: skip


def logaddexp(lax):
    def combine(a, b):
        high = lax.max(a, b)
        return high + lax.log(lax.exp(a - high) + lax.exp(b - high))

    return combine


def argmin(lax, x, y):
    """The least of x along the rows, the y beside it, and its place."""

    def combine(a, b):
        keep = lax.le(a[0], b[0])
        return tuple(lax.select(keep, u, v) for u, v in zip(a, b))

    places = np.broadcast_to(np.arange(4, dtype=np.int32), (3, 4))
    starts = np.float64(np.inf), np.float64(0), np.int32(-1)
    least, beside, _ = lax.reduce((x, y, places), starts, combine, (1,))
    return least * beside


case("reduce by a function", lambda lax, x: lax.reduce(x, np.float64(-50), logaddexp(lax), (2, 0)), CUBE, jax=False)
case("variadic argmin", argmin, X, Y, jax=False)
case("argmax beside its value", lambda lax, x: lax.reduce_max(x, (1,)) * lax.convert_element_type(
    lax.argmax(x, 1, np.int32), DOUBLE), X)  # fmt: skip
for _f in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"):
    for _reverse in (False, True):
        case(f"{_f}, reverse={_reverse}", lambda lax, x, f=_f, r=_reverse: getattr(lax, f)(x, 1, r) ** 2, CUBE)
case("cumprod with zeros", lambda lax, x: lax.cumprod(x * np.array([1.0, 0, 2, 0]), 1), X)
case("associative_scan", lambda lax, x, y: lax.associative_scan(
    lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1]), (x, y), axis=1)[1], X, Y)  # fmt: skip

# ---- windows

WINDOWS = {
    "plain": ((2, 3), (1, 1), [(0, 0), (0, 0)], None, None),
    "strided": ((2, 3), (2, 1), [(1, 0), (1, 1)], None, None),
    "dilated": ((2, 2), (1, 2), [(1, 0), (0, 1)], (2, 1), (1, 2)),
    "cut": ((2, 3), (1, 2), [(-1, 2), (1, -1)], None, None),
}
for _f, _start in (("add", 0.0), ("max", -50.0), ("min", 50.0), ("mul", 1.0)):
    for _how, _window in WINDOWS.items():
        case(f"reduce_window by {_f}, {_how}", lambda lax, x, f=_f, s=_start, w=_window: lax.reduce_window(
             x, np.float64(s), getattr(lax, f), *w) ** 2, draw(5, 6), jax=_f == "add")  # fmt: skip
case("reduce_window by a function", lambda lax, x: lax.reduce_window(
    x, np.float64(-50), logaddexp(lax), *WINDOWS["strided"]), draw(5, 6), jax=False)  # fmt: skip
case("reduce_window from a start", lambda lax, x, s: lax.reduce_window(x, s, lax.add, *WINDOWS["strided"]) ** 2,
     draw(5, 6), np.array(0.3), jax=False)  # fmt: skip
case("maximum window from a start", lambda lax, x, s: lax.reduce_window(x, s, lax.max, *WINDOWS["strided"]) ** 2,
     draw(5, 6), np.array(0.3), jax=False)  # fmt: skip
case("select_and_scatter_add", lambda lax, x, s: lax.select_and_scatter_add(
    s * s, x, lax.ge, (2, 3), (2, 1), [(1, 0), (1, 1)]), draw(5, 6), draw(3, 6), jax=False)  # fmt: skip

# ---- order

case("sort", lambda lax, x: lax.sort(x, dimension=0) ** 2, X)
for _keys in (1, 2):
    case(f"sort of three, num_keys={_keys}", lambda lax, x, y, k=_keys: sum(
        (n + 1) * p * p for n, p in enumerate(lax.sort((lax.round(x), x, y), dimension=1, num_keys=k))),
         X, Y)  # fmt: skip
case("sort_key_val", lambda lax, x, y: lax.sort_key_val(x, y, 0)[1] ** 2, X, Y)
case("top_k", lambda lax, x: lax.top_k(x, 2)[0] ** 2, X)
case("approx_min_k", lambda lax, x: lax.approx_min_k(x, 3, recall_target=1.0)[0] ** 2, X)

# ---- contraction

case("dot", lambda lax, x, v: lax.dot(x, v) * lax.dot(v, v), X, V)
case("dot_general with batches", lambda lax, x, y: lax.dot_general(x, y, (((1, 3), (2, 0)), ((0,), (1,)))) ** 2,
     draw(2, 3, 2, 4), draw(4, 2, 3, 2))  # fmt: skip
case("dot_general, preferred type", lambda lax, x, y: lax.dot_general(
    x, y, (((1,), (1,)), ((), ())), preferred_element_type=np.complex128), X, Y, jax=False)  # fmt: skip
case(
    "ragged_dot", lambda lax, x, y: lax.ragged_dot(x, y, np.array([2, 0, 3], np.int32)) ** 2, draw(5, 4), draw(3, 4, 2)
)
case(
    "scaled_dot",
    lambda lax, x, y: lax.scaled_dot(x, y, preferred_element_type=DOUBLE) ** 2,
    CUBE,
    draw(2, 4, 3),
    jax=False,
)

CONVOLUTIONS = {
    "no dimension": ((2, 3), (4, 3), "NC", {"window_strides": (), "padding": []}),
    "one dimension": ((2, 3, 7), (4, 3, 3), "NCH", {"window_strides": (2,), "padding": [(1, 2)]}),
    "last": ((2, 6, 5, 3), (3, 2, 3, 4), "NHWC", {"window_strides": (2, 1), "padding": "SAME"}),
    "dilated": ((1, 2, 5, 6), (3, 2, 3, 2), "NCHW", {"window_strides": (1, 2), "padding": [(2, 1), (1, 3)],
                "lhs_dilation": (2, 1), "rhs_dilation": (1, 2)}),
    "cut": ((1, 2, 6, 7), (3, 2, 3, 2), "NCHW", {"window_strides": (1, 2), "padding": [(-1, 2), (1, -2)]}),
    "feature groups": ((2, 4, 7), (6, 2, 3), "NCH",
                       {"window_strides": (2,), "padding": "VALID", "feature_group_count": 2}),
    "batch groups": ((4, 3, 7), (6, 3, 3), "NCH", {"window_strides": (2,), "padding": "SAME", "batch_group_count": 2}),
    "three dimensions": ((1, 2, 3, 4, 3), (2, 2, 2, 2, 2), "NCDHW", {"window_strides": (1, 2, 1), "padding": "SAME"}),
}  # fmt: skip
for _name, (_lhs, _rhs, _layout, _settings) in CONVOLUTIONS.items():
    _kernel = "HWIO" if _layout == "NHWC" else _layout.replace("N", "O", 1).replace("C", "I", 1)
    case(f"convolution, {_name}", lambda lax, x, k, a=(_layout, _kernel, _layout), s=_settings:
         lax.conv_general_dilated(x, k, dimension_numbers=a, **s) ** 2, draw(*_lhs), draw(*_rhs))  # fmt: skip
case("conv_transpose", lambda lax, x, k: lax.conv_transpose(x, k, (2,), "SAME") ** 2, draw(2, 5, 3), draw(3, 3, 2))

# ---- transforms

for _kind in ("FFT", "IFFT"):
    case(_kind, lambda lax, z, k=_kind: lax.fft(z, k, (3, 4)) ** 2, Z)
for _n in (4, 5):
    case(f"RFFT of {_n}", lambda lax, x, n=_n: lax.fft(x, "RFFT", (3, n)) ** 2, draw(2, 3, _n))
    case(f"IRFFT to {_n}", lambda lax, z, n=_n: lax.fft(z, "IRFFT", (3, n)) ** 2, draw_complex(2, 3, _n // 2 + 1))

# ---- linear algebra: results that are free up to a sign or a phase enter through what is not


def adjoint(lax, a):
    turned = lax.transpose(a, (*range(a.ndim - 2), a.ndim - 1, a.ndim - 2))
    return lax.conj(turned) if turned.dtype.kind == "c" else turned


def product(lax, a, b):
    batch = tuple(range(a.ndim - 2))
    return lax.dot_general(a, b, (((a.ndim - 1,), (a.ndim - 2,)), (batch, batch)))


def positive(lax, a):
    return product(lax, a, adjoint(lax, a)) + 2 * np.eye(a.shape[-1])


def modulus(lax, a):
    return lax.abs(a) ** 2


for _type, _m in (("", MATRICES), (" of complex", draw_complex(2, 3, 3))):
    case(f"cholesky{_type}", lambda lax, a: lax.linalg.cholesky(positive(lax, a)), _m)
    case(f"eigh{_type}", lambda lax, a: lax.linalg.eigh(positive(lax, a))[1][..., None, :] + modulus(
        lax, lax.linalg.eigh(positive(lax, a))[0]), _m)  # fmt: skip
    case(f"qr{_type}", lambda lax, a: modulus(lax, lax.linalg.qr(a, full_matrices=False)[0])
         + modulus(lax, lax.linalg.qr(a, full_matrices=False)[1]), _m)  # fmt: skip
    case(f"lu{_type}", lambda lax, a: lax.linalg.lu(a)[0], _m)
    case(f"svd{_type}", lambda lax, a: lax.linalg.svd(a, full_matrices=False)[1][..., None, :] + modulus(
        lax, lax.linalg.svd(a, full_matrices=False)[0]) + modulus(lax, lax.linalg.svd(a, full_matrices=False)[2]),
         _m)  # fmt: skip
    case(f"eig{_type}", lambda lax, a: lax.linalg.eig(
        a, compute_left_eigenvectors=False, compute_right_eigenvectors=False)[0], _m, jax=False)  # fmt: skip
    case(f"solve by lu{_type}", lambda lax, a, b: product(lax, lax.linalg.lu(a)[0], b), _m, _m[..., :2])
    for _left in (True, False):
        for _turn in (dict(), dict(transpose_a=True), dict(transpose_a=True, conjugate_a=True), dict(conjugate_a=True)):
            for _lower, _unit in ((True, False), (False, True)):
                case(f"triangular_solve{_type}, left={_left}, lower={_lower}, unit={_unit}, {' '.join(_turn)}",
                     lambda lax, a, b, s=dict(left_side=_left, lower=_lower, unit_diagonal=_unit, **_turn):
                     lax.linalg.triangular_solve(a + 3 * np.eye(3), b, **s),
                     _m, _m[..., :2] if _left else _m[:, :2])  # fmt: skip
case("wide lu", lambda lax, a: lax.linalg.lu(a)[0], CUBE)
case("tall lu", lambda lax, a: lax.linalg.lu(a)[0], draw(4, 2), jax=False)
case("tall qr", lambda lax, a: modulus(lax, lax.linalg.qr(a, full_matrices=False)[0]), draw(4, 3))
case("wide svd", lambda lax, a: lax.linalg.svd(a, full_matrices=False, compute_uv=False), CUBE, jax=False)
case("full svd values", lambda lax, a: lax.linalg.svd(a, compute_uv=False), draw(4, 2))
case("tridiagonal_solve", lambda lax, d, b: lax.linalg.tridiagonal_solve(
    np.array([0.0, 1, 2]), d + 5, np.array([1.0, 2, 0]), b), draw(3), draw(3, 2), jax=False)  # fmt: skip

# ---- loops, branches, implicit functions


def custom_linear_solve(lax, a, b):
    a = a + 3 * np.eye(3)
    solve = lambda m: lambda _, v: lax.linalg.triangular_solve(  # noqa: E731
        lax.linalg.cholesky(m), lax.linalg.triangular_solve(
            lax.linalg.cholesky(m), v[:, None], left_side=True, lower=True),
        left_side=True, lower=True, transpose_a=True)[:, 0]  # fmt: skip
    symmetric = product(lax, a, adjoint(lax, a))
    return lax.custom_linear_solve(lambda v: lax.dot(symmetric, v), b, solve(symmetric), symmetric=True)


def custom_root(lax, a):
    """The root of x^3 + x = a."""
    newton = lambda f, x: lax.fori_loop(0, 40, lambda _, v: v - f(v) / (3 * v * v + 1), x)  # noqa: E731
    return lax.custom_root(lambda x: x * x * x + x - a, np.zeros(4), newton, lambda g, y: y / g(np.ones(4)))


case("while_loop", lambda lax, x: lax.while_loop(
    lambda s: lax.lt(s[0], 3), lambda s: (s[0] + 1, lax.sin(s[1]) * x), (0, x))[1], V, reverse=False)  # fmt: skip
case("fori_loop", lambda lax, x, w: lax.fori_loop(0, 3, lambda i, c: lax.tanh(c * w), x), V, V + 1)
for _reverse, _unroll in ((False, 1), (True, 1), (False, 2)):
    case(f"scan, reverse={_reverse}, unroll={_unroll}", lambda lax, c, xs, r=_reverse, u=_unroll: lax.scan(
         lambda c, x: (lax.sin(c * x), c * c), c, xs, reverse=r, unroll=u)[1], V, draw(5, 4))  # fmt: skip
case("map", lambda lax, x: lax.map(lambda r: lax.sin(r) * lax.reduce_sum(r, (0,)), x), X)
case("cond", lambda lax, x, y: lax.cond(
    lax.reduce_sum(x, (0, 1)) > -100, lambda a, b: a * lax.sin(b), lambda a, b: b, x, y), X, Y)  # fmt: skip
case("switch", lambda lax, x: lax.switch(2, [lax.sin, lax.cos, lambda v: v * v * v], x), X)
case("custom_linear_solve", custom_linear_solve, draw(3, 3), draw(3))
case("custom_root", custom_root, V)
