"""xlac.nn: its functions against their formulas in float64, attention against its definition, initial values."""

import math

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax, nn, random
from xlac.errors import ShapeError

RNG = np.random.default_rng(0)
X = np.concatenate([RNG.uniform(-8, 8, 300), [-100, -6, -3, -1, -0.0, 0, 1, 3, 6, 100, 1e-8, -1e-8]])
SPREAD = np.linspace(-40, 40, 300)


def sigmoid(x):
    return np.where(x < 0, np.exp(np.minimum(x, 0)), 1) / (1 + np.exp(-np.abs(x)))


def softplus(x):
    return np.logaddexp(x, 0)


def elu(x, alpha=1.0):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def normal_distribution(x):
    return np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x])


def relu6(x):
    return np.clip(x, 0, 6)


# name -> (formula in float64, tolerance in units of the type, absolute)
FORMULAS = {
    "relu": (lambda x: np.maximum(x, 0), 0),
    "relu6": (relu6, 0),
    "identity": (lambda x: x, 0),
    "hard_tanh": (lambda x: np.clip(x, -1, 1), 0),
    "hard_sigmoid": (lambda x: relu6(x + 3) / 6, 4),
    "hard_silu": (lambda x: x * relu6(x + 3) / 6, 4),
    "hard_swish": (lambda x: x * relu6(x + 3) / 6, 4),
    "sigmoid": (sigmoid, 4),
    "log_sigmoid": (lambda x: -softplus(-x), 4),
    "softplus": (softplus, 4),
    "squareplus": (lambda x: np.where(x > 0, x, 0) + 2 / (np.sqrt(x * x + 4) + np.abs(x)), 4),
    "sparse_plus": (lambda x: np.where(x <= -1, 0, np.where(x >= 1, x, (x + 1) ** 2 / 4)), 4),
    "sparse_sigmoid": (lambda x: np.clip(x + 1, 0, 2) / 2, 4),
    "soft_sign": (lambda x: x / (1 + np.abs(x)), 4),
    "silu": (lambda x: x * sigmoid(x), 4),
    "swish": (lambda x: x * sigmoid(x), 4),
    "mish": (lambda x: x * np.tanh(softplus(x)), 8),
    "gelu": (lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), 8),
    "elu": (elu, 4),
    "celu": (elu, 4),
    "selu": (lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772), 4),
    "leaky_relu": (lambda x: np.where(x < 0, 0.01 * x, x), 4),
    "tanh": (np.tanh, 4),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", FORMULAS)
def test_activations_follow_their_formulas(name, dtype):
    formula, ulps = FORMULAS[name]
    x = X.astype(dtype)
    got = getattr(nn, name)(x)
    assert got.dtype == dtype
    tolerance = ulps * np.finfo(dtype).eps
    np.testing.assert_allclose(got, formula(x.astype(np.float64)), rtol=tolerance, atol=tolerance)


def test_activations_of_other_parameters_follow_their_formulas():
    x = X.astype(np.float64)
    np.testing.assert_allclose(nn.gelu(x, approximate=False), x * normal_distribution(x), atol=1e-14)
    np.testing.assert_allclose(nn.elu(x, 0.3), elu(x, 0.3), rtol=1e-14)
    np.testing.assert_allclose(nn.celu(x, 2.0), np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2)), rtol=1e-14)
    np.testing.assert_allclose(nn.leaky_relu(x, 0.2), np.where(x < 0, 0.2 * x, x), rtol=1e-14)
    np.testing.assert_allclose(nn.squareplus(x, 1.0), (x + np.sqrt(x * x + 1)) / 2, rtol=1e-13, atol=1e-13)
    y = np.array([1e-10, 1e-3, 0.5, math.log(2), 1.0, 30.0, 300.0])
    want = [math.log(-math.expm1(-v)) if v < 0.5 else math.log1p(-math.exp(-v)) for v in y]
    np.testing.assert_allclose(nn.log1mexp(y), want, rtol=1e-14)
    np.testing.assert_allclose(xlac.grad(lambda v: nn.log1mexp(v).sum())(y), 1 / np.expm1(y), rtol=1e-13)


def test_integers_are_taken_as_floats():
    assert nn.sigmoid(np.arange(3, dtype=np.int32)).dtype == np.float32
    assert nn.relu(np.arange(-1, 2, dtype=np.int32)).tolist() == [0, 0, 1]


def test_slopes_at_the_kinks_of_relu_are_zero():
    x = np.array([-1.0, 0.0, 3.0, 6.0, 7.0], np.float32)
    assert xlac.grad(lambda v: nn.relu(v).sum())(x).tolist() == [0, 0, 1, 1, 1]
    assert xlac.grad(lambda v: nn.relu6(v).sum())(x).tolist() == [0, 0, 1, 0, 0]


# ---- normalisations


def test_softmax_does_not_overflow_and_sums_to_one():
    x = np.array([[1000.0, 1001.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    e = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    np.testing.assert_allclose(nn.softmax(x), e / e.sum(-1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(nn.softmax(x, axis=(0, 1)).sum(), 1, rtol=1e-6)
    log = x - x.max(-1, keepdims=True) - np.log(e.sum(-1, keepdims=True))
    np.testing.assert_allclose(nn.log_softmax(x), log, rtol=1e-6)


def test_masked_elements_take_no_part_in_softmax_or_its_gradient():
    x = np.array([[1.0, 1e30, 2.0], [3.0, 4.0, 5.0]], np.float32)
    where = np.array([[True, False, True], [False, False, False]])
    got = nn.softmax(x, where=where)
    e = np.exp([1.0, 2.0])
    np.testing.assert_allclose(got, [[e[0] / e.sum(), 0, e[1] / e.sum()], [0, 0, 0]], rtol=1e-6)
    log = nn.log_softmax(x, where=where)
    np.testing.assert_allclose(log[0, ::2], np.log(e / e.sum()), rtol=1e-6)
    assert np.all(np.isneginf(log[~where]))
    gradient = xlac.grad(lambda v: (nn.softmax(v, where=where) * np.float32([1, 2, 3])).sum())(x)
    p = e / e.sum()
    np.testing.assert_allclose(gradient, [[-2 * p[0] * p[1], 0, 2 * p[0] * p[1]], [0, 0, 0]], rtol=1e-5)


def test_logsumexp_with_weights_signs_and_masks():
    x = np.array([[1.0, 700.0, 3.0], [-800.0, 2.0, -np.inf]])
    weights = np.array([[1.0, 0.0, -2.0], [0.5, 1.0, 3.0]])
    value, sign = nn.logsumexp(x, axis=1, b=weights, return_sign=True)
    np.testing.assert_allclose(value, [math.log(2 * math.exp(3) - math.exp(1)), 2.0], rtol=1e-14)
    assert sign.tolist() == [-1, 1]
    masked = nn.logsumexp(x, axis=1, where=np.array([[True, False, True], [False] * 3]), keepdims=True)
    np.testing.assert_allclose(masked, [[np.logaddexp(1, 3)], [-np.inf]])
    np.testing.assert_allclose(nn.logsumexp(x), np.logaddexp.reduce(x.ravel()))
    np.testing.assert_allclose(nn.logmeanexp(x, axis=0), np.logaddexp.reduce(x, axis=0) - math.log(2))
    np.testing.assert_allclose(
        nn.logmeanexp(x[0], where=np.array([True, False, True])), np.logaddexp(1, 3) - math.log(2)
    )


def test_standardized_rows_have_mean_zero_and_variance_one():
    x = RNG.normal(3, 5, (4, 64))
    for algorithm in ("stable", "fast"):
        y = nn.standardize(x, algorithm=algorithm)
        np.testing.assert_allclose(y.mean(-1), 0, atol=1e-12)
        np.testing.assert_allclose(y.var(-1), 1, rtol=1e-5)
    where = np.arange(64) < 40
    masked = nn.standardize(x, where=where)
    np.testing.assert_allclose(masked[:, :40].mean(-1), 0, atol=1e-12)
    given = nn.standardize(x, mean=1.0, variance=4.0, epsilon=0.0)
    np.testing.assert_allclose(given, (x - 1) / 2, rtol=1e-14)
    with pytest.raises(ShapeError, match="stable, fast"):
        nn.standardize(x, algorithm="slow")


def test_glu_and_one_hot():
    x = RNG.normal(size=(3, 6))
    np.testing.assert_allclose(nn.glu(x), x[:, :3] * sigmoid(x[:, 3:]), rtol=1e-14)
    assert nn.one_hot(np.array([2, 0, 3, -1]), 3).tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert nn.one_hot(np.array([1, 0]), 2, axis=0, dtype=np.int8).tolist() == [[0, 1], [1, 0]]
    with pytest.raises(ShapeError):
        nn.glu(x[:, :5])


# ---- attention


def attention(q, k, v, bias=0.0, mask=True, scale=None):
    """The definition in float64, head by head."""
    b, t, n, h = q.shape
    s, groups = k.shape[1], n // k.shape[2]
    bias, mask = np.broadcast_to(bias, (b, n, t, s)), np.broadcast_to(mask, (b, n, t, s))
    result = np.zeros(q.shape)
    for i in range(b):
        for j in range(n):
            logits = q[i, :, j] @ k[i, :, j // groups].T * (scale or 1 / math.sqrt(h)) + bias[i, j]
            weights = np.where(mask[i, j], np.exp(logits), 0)
            result[i, :, j] = weights / weights.sum(-1, keepdims=True) @ v[i, :, j // groups]
    return result


Q, K, V = RNG.normal(size=(2, 5, 4, 8)), RNG.normal(size=(2, 6, 2, 8)), RNG.normal(size=(2, 6, 2, 8))
ROW, COLUMN = np.arange(5)[:, None], np.arange(6)


def test_attention_is_a_weighted_mean_of_values():
    np.testing.assert_allclose(nn.dot_product_attention(Q, K, V), attention(Q, K, V), rtol=1e-12)
    np.testing.assert_allclose(nn.dot_product_attention(Q[0], K[0], V[0]), attention(Q, K, V)[0], rtol=1e-12)
    np.testing.assert_allclose(nn.dot_product_attention(Q, K, V, scale=0.3), attention(Q, K, V, scale=0.3), rtol=1e-12)
    narrow = nn.dot_product_attention(*(x.astype(xnp.bfloat16) for x in (Q, K, V)))
    assert narrow.dtype == xnp.bfloat16
    np.testing.assert_allclose(narrow.astype(np.float64), attention(Q, K, V), atol=0.05)


def test_attention_with_bias_and_masks():
    bias, mask = RNG.normal(size=(1, 4, 5, 6)), RNG.uniform(size=(2, 1, 5, 6)) < 0.7
    mask[..., 0] = True
    np.testing.assert_allclose(
        nn.dot_product_attention(Q, K, V, bias, mask), attention(Q, K, V, bias, mask), rtol=1e-12
    )
    np.testing.assert_allclose(
        nn.dot_product_attention(Q, K, V, is_causal=True), attention(Q, K, V, mask=COLUMN <= ROW), rtol=1e-12
    )
    window = (COLUMN >= ROW - 2) & (COLUMN <= ROW + 1)
    np.testing.assert_allclose(
        nn.dot_product_attention(Q, K, V, local_window_size=(2, 1)), attention(Q, K, V, mask=window), rtol=1e-12
    )


def test_attention_to_sequences_of_given_lengths():
    queries, keys = np.array([3, 5], np.int32), np.array([6, 2], np.int32)
    got, residual = nn.dot_product_attention(
        Q, K, V, query_seq_lengths=queries, key_value_seq_lengths=keys, return_residual=True
    )
    want = attention(Q, K, V, mask=COLUMN < keys[:, None, None, None])
    want[0, 3:] = 0
    np.testing.assert_allclose(got, want, rtol=1e-12)
    logits = np.einsum("btkgh,bskh->btkgs", Q.reshape(2, 5, 2, 2, 8), K).reshape(2, 5, 4, 6) / math.sqrt(8)
    np.testing.assert_allclose(residual[0, :3], np.logaddexp.reduce(logits, axis=-1)[0, :3], rtol=1e-12)


def test_attention_has_the_gradient_of_its_definition():
    def loss(q, k, v):
        return (nn.dot_product_attention(q, k, v, is_causal=True) ** 2).sum()

    gradients = xlac.jit(xlac.grad(loss, argnums=(0, 1, 2)))(Q, K, V)
    step = 1e-6
    for number, gradient in enumerate(gradients):
        arguments = [Q, K, V]
        direction = RNG.normal(size=arguments[number].shape)
        values = []
        for sign in (1, -1):
            moved = list(arguments)
            moved[number] = moved[number] + sign * step * direction
            values.append((attention(*moved, mask=COLUMN <= ROW) ** 2).sum())
        np.testing.assert_allclose((gradient * direction).sum(), (values[0] - values[1]) / (2 * step), rtol=1e-6)


def test_attention_refuses_operands_that_do_not_fit():
    for arguments, message in (
        ((Q, K[:, :, :1], V), "N a multiple of K"),
        ((Q[:, :, :3], K, V), "N a multiple of K"),
        ((Q, K.astype(np.float32), V), "of one type"),
        ((Q, K, V, None, np.ones((2, 4, 5, 6))), "must be bool"),
        ((Q, K, V, np.ones((2, 3, 5, 6))), "must broadcast"),
    ):
        with pytest.raises(ShapeError, match=message):
            nn.dot_product_attention(*arguments)


# ---- initial values

SHAPE = (3, 20, 100)
INPUTS, OUTPUTS = 60, 300
# name -> (settings, variance, greatest absolute value in standard deviations)
INITIALIZERS = {
    "glorot_uniform": ((), 2 / (INPUTS + OUTPUTS), math.sqrt(3)),
    "glorot_normal": ((), 2 / (INPUTS + OUTPUTS), 2 / 0.8796),
    "xavier_uniform": ((), 2 / (INPUTS + OUTPUTS), math.sqrt(3)),
    "lecun_uniform": ((), 1 / INPUTS, math.sqrt(3)),
    "lecun_normal": ((), 1 / INPUTS, 2 / 0.8796),
    "he_uniform": ((), 2 / INPUTS, math.sqrt(3)),
    "he_normal": ((), 2 / INPUTS, 2 / 0.8796),
    "kaiming_normal": ((), 2 / INPUTS, 2 / 0.8796),
    "normal": ((0.5,), 0.25, 6),
    "truncated_normal": ((0.5,), (0.5 * 0.87962566) ** 2, 2 / 0.8796),
    "variance_scaling": ((3.0, "fan_out", "normal"), 3 / OUTPUTS, 6),
}


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_values_have_the_variance_that_keeps_signals(name):
    settings, variance, bound = INITIALIZERS[name]
    x = getattr(nn.initializers, name)(*settings)(random.key(1), SHAPE)
    assert x.dtype == np.float32 and x.shape == SHAPE
    assert abs(x.mean()) < 5 * math.sqrt(variance / x.size)
    assert abs(x.var() / variance - 1) < 5 * math.sqrt(2 / x.size)
    assert np.abs(x).max() <= bound * math.sqrt(variance) * 1.001


def test_orthogonal_initial_values_keep_lengths():
    make = nn.initializers.orthogonal(scale=2.0, dtype=np.float64)
    q = make(random.key(0), (2, 3, 4)).reshape(6, 4)
    np.testing.assert_allclose(q.T @ q, 4 * np.eye(4), atol=1e-14)
    first = nn.initializers.orthogonal(column_axis=0)(random.key(0), (4, 6))
    np.testing.assert_allclose(first @ first.T, np.eye(4), atol=1e-6)
    kernel = nn.initializers.delta_orthogonal()(random.key(0), (3, 3, 2, 5))
    np.testing.assert_allclose(kernel[1, 1] @ kernel[1, 1].T, np.eye(2), atol=1e-6)
    assert np.count_nonzero(kernel) == np.count_nonzero(kernel[1, 1])


def test_plain_initial_values_and_their_types():
    key, init = random.key(0), nn.initializers
    assert init.zeros(key, (2, 3)).tolist() == [[0] * 3] * 2
    assert init.ones(key, (2,), np.float64).dtype == np.float64
    assert init.constant(7, np.int32)(key, (2,)).tolist() == [7, 7]
    assert init.uniform(0.1, xnp.bfloat16)(key, (50,)).dtype == xnp.bfloat16
    assert init.glorot_uniform(dtype=np.float64)(key, (2, 3), np.float32).dtype == np.float32
    traced = xlac.jit(lambda k: init.he_normal()(k, (4, 5)))(key)
    np.testing.assert_array_equal(traced, init.he_normal()(key, (4, 5)))


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda i: i.glorot_uniform(), (3,), "no axis -2"),
        (lambda i: i.variance_scaling(1.0, "fan_up", "normal"), (2, 3), "fan_in, fan_out"),
        (lambda i: i.variance_scaling(1.0, "fan_in", "cauchy"), (2, 3), "truncated_normal"),
        (lambda i: i.orthogonal(), (3,), "two dimensions"),
        (lambda i: i.delta_orthogonal(), (3, 5, 4), "no fewer outputs"),
    ],
)
def test_initializers_refuse_shapes_and_settings_that_do_not_fit(make, shape, message):
    with pytest.raises(ShapeError, match=message):
        make(nn.initializers)(random.key(0), shape)


# ---- the same under JAX


@pytest.mark.jax
@pytest.mark.parametrize("name", [*FORMULAS, "log1mexp", "logsumexp", "logmeanexp", "softmax", "log_softmax", "glu"])
def test_functions_and_their_gradients_are_jaxs(name):
    import jax

    x = np.abs(SPREAD) + 0.1 if name == "log1mexp" else np.concatenate([SPREAD, [0.0, 6.0]])
    weights = RNG.uniform(0.5, 1.5, x.size // 2 if name == "glu" else x.size)
    with jax.enable_x64(True):
        want, slope = jax.value_and_grad(lambda v: (getattr(jax.nn, name)(v) * weights).sum())(x)
        got, ours = xlac.value_and_grad(lambda v: (getattr(nn, name)(v) * weights).sum())(x)
        np.testing.assert_allclose(got, want, rtol=1e-12)
        np.testing.assert_allclose(ours, slope, rtol=1e-10, atol=1e-13)


@pytest.mark.jax
@pytest.mark.parametrize(
    ("name", "settings", "shape"),
    [
        *((name, settings, (6, 5)) for name, (settings, _, _) in INITIALIZERS.items()),
        ("orthogonal", (2.0,), (6, 5)),
        ("orthogonal", (1.0, 0), (2, 3, 4)),
        ("delta_orthogonal", (), (3, 3, 2, 4)),
        ("uniform", (0.1,), (4,)),
    ],
)
def test_initial_values_are_jaxs(name, settings, shape):
    import jax

    want = getattr(jax.nn.initializers, name)(*settings)(jax.random.PRNGKey(3), shape)
    got = getattr(nn.initializers, name)(*settings)(random.key(3), shape)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.jax
def test_attention_is_jaxs_even_where_everything_is_masked():
    import jax

    mask = RNG.uniform(size=(2, 4, 5, 6)) < 0.5
    mask[0, 1, 2] = False
    options = {"local_window_size": 3, "key_value_seq_lengths": np.array([6, 3], np.int32)}
    with jax.enable_x64(True):
        want = jax.nn.dot_product_attention(Q, K, V, mask=mask, **options)
        want32 = jax.nn.dot_product_attention(*(x.astype(np.float32) for x in (Q, K, V)), mask=mask, **options)
    # JAX takes the softmax of doubles in float32.
    np.testing.assert_allclose(nn.dot_product_attention(Q, K, V, mask=mask, **options), want, rtol=1e-5, atol=1e-5)
    got32 = nn.dot_product_attention(*(x.astype(np.float32) for x in (Q, K, V)), mask=mask, **options)
    np.testing.assert_allclose(got32, want32, rtol=1e-5, atol=1e-5)


def test_names_are_those_of_the_package():
    assert all(hasattr(nn, name) for name in nn.__all__)
    assert lax.erfc(0.0) == 1.0
