"""Traced values: operators, methods, NumPy's protocols, indexing, and errors that show the user's line."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import run
from xlac.errors import ShapeError, TraceError

X = np.arange(12, dtype=np.float32).reshape(3, 4) - 5
Y = np.linspace(0.5, 2, 4, dtype=np.float32)
N = np.arange(12, dtype=np.int32).reshape(3, 4) - 5
CUBE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


OPERATORS = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "truediv": lambda x, y: x / y,
    "floordiv": lambda x, y: x // y,
    "mod": lambda x, y: x % y,
    "pow": lambda x, y: abs(x) ** y,
    "divmod": lambda x, y: divmod(x, y),
    "matmul": lambda x, y: x @ y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "gt": lambda x, y: x > y,
    "ge": lambda x, y: x >= y,
    "neg": lambda x, y: -x,
    "pos": lambda x, y: +x,
    "abs": lambda x, y: abs(x),
}


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("order", ["both traced", "array first", "array second", "number first", "number second"])
def test_operators_give_numpys_values_whichever_side_is_traced(name, order):
    f = OPERATORS[name]
    number = 2.0
    if "number" in order and name == "matmul":
        with pytest.raises(ShapeError, match="scalars are multiplied"):
            run(lambda x: f(x, number), X)
        return
    got, want = {
        "both traced": lambda: (run(f, X, Y), f(X, Y)),
        "array first": lambda: (run(lambda y: f(X, y), Y), f(X, Y)),
        "array second": lambda: (run(lambda x: f(x, Y), X), f(X, Y)),
        "number first": lambda: (run(lambda y: f(number, y), Y), f(np.float32(number), Y)),
        "number second": lambda: (run(lambda x: f(x, number), X), f(X, np.float32(number))),
    }[order]()
    for g, w in zip(got if isinstance(got, tuple) else [got], want if isinstance(want, tuple) else [want]):
        np.testing.assert_allclose(g, w, rtol=2e-6, atol=1e-6)
        assert np.shape(g) == np.shape(w)


@pytest.mark.parametrize(
    "f",
    [
        lambda n: n & 3,
        lambda n: 3 | n,
        lambda n: n ^ n,
        lambda n: ~n,
        lambda n: n << 2,
        lambda n: n >> 1,
        lambda n: 100 >> abs(n),
    ],
)
def test_bit_operators(f):
    np.testing.assert_array_equal(run(f, N), f(N))


def test_round_takes_decimals():
    np.testing.assert_array_equal(run(lambda y: round(y), Y), np.round(Y))
    np.testing.assert_array_equal(run(lambda y: round(y, 1), Y), np.round(Y, 1))


METHODS = [
    lambda x: x.sum(),
    lambda x: x.sum(0),
    lambda x: x.sum(axis=1, keepdims=True),
    lambda x: x.mean(-1),
    lambda x: x.max(axis=0),
    lambda x: x.min(),
    lambda x: x.prod(1),
    lambda x: x.std(ddof=1),
    lambda x: x.var(0),
    lambda x: (x > 0).any(1),
    lambda x: (x > 0).all(),
    lambda x: x.argmax(),
    lambda x: x.argmin(1),
    lambda x: x.T,
    lambda x: x.transpose(),
    lambda x: x.transpose(1, 0),
    lambda x: x.transpose((1, 0)),
    lambda x: x.reshape(4, 3),
    lambda x: x.reshape((2, -1)),
    lambda x: x.reshape(-1),
    lambda x: x.ravel(),
    lambda x: x.flatten(),
    lambda x: x[:, :1].squeeze(1),
    lambda x: x.dot(x.T),
    lambda x: x.clip(-1, 1),
    lambda x: x.cumsum(1),
    lambda x: x.cumprod(0),
    lambda x: x.swapaxes(0, 1),
    lambda x: x.copy(),
    lambda x: x.real,
    lambda x: x.imag,
    lambda x: x.conj(),
    lambda x: x.take(np.array([0, 2]), axis=0),
    lambda x: x.repeat(2, axis=0),
    lambda x: x.diagonal(),
    lambda x: x.trace(),
    lambda x: np.ptp(x, axis=None),
    lambda x: x.astype(np.int32),
    lambda x: x.astype(bool),
    lambda x: x.round(1),
    lambda x: x.argsort(1),
    lambda x: np.float32(len(x)) + x,
    lambda x: np.stack([row * 2 for row in x]),
    lambda x: x.view(np.int32),
]


@pytest.mark.parametrize("index", range(len(METHODS)))
def test_methods_give_numpys_values(index):
    f = METHODS[index]
    got, want = run(f, X), f(X)
    assert got.shape == np.shape(want)
    np.testing.assert_allclose(got, want, rtol=3e-6)


def test_what_is_known_of_a_traced_value():
    def f(x):
        assert (x.shape, x.ndim, x.size, x.dtype, x.nbytes, x.itemsize, len(x)) == ((3, 4), 2, 12, np.float32, 48, 4, 3)
        assert np.shape(x) == (3, 4) and np.ndim(x) == 2 and np.size(x) == 12
        assert "f32[3,4]" in repr(x)
        return x

    run(f, X)


INDICES = [
    np.s_[0],
    np.s_[-1],
    np.s_[1, 2],
    np.s_[1, 2, 3],
    np.s_[1:],
    np.s_[::2],
    np.s_[::-1],
    np.s_[2:0:-1],
    np.s_[:, 1:4:2],
    np.s_[..., -1],
    np.s_[1, ..., ::-2],
    np.s_[None],
    np.s_[:, None, 2],
    np.s_[..., None],
    np.s_[5:2],
    np.s_[10:],
    np.s_[np.array([2, 0, 2])],
    np.s_[:, np.array([[0, 1], [3, -1]])],
    np.s_[np.array([0, 2]), np.array([1, 3])],
    np.s_[np.array([0, 2]), :, np.array([1, 3])],
    np.s_[np.array([[0], [2]]), np.array([1, 3])],
    np.s_[:, np.array([1, 3]), 2],
    np.s_[0, :, np.array([1, 3])],
    np.s_[0, np.array([1, 3])],
    np.s_[None, np.array([1, 0]), ..., ::2],
    np.s_[:, None, np.array([1, 0]), np.array([2, 2])],
    np.s_[1:, np.array([1, 0]), ::-1],
    np.s_[[0, 1]],
    np.s_[np.array([True, False, True])],
    np.s_[:, np.array([True, False, True, True]), 0],
    np.s_[CUBE > 30],
    np.s_[np.int64(1)],
]


@pytest.mark.parametrize("number", range(len(INDICES)))
def test_indexing_gives_numpys_elements(number):
    index = INDICES[number]
    np.testing.assert_array_equal(run(lambda x: x[index], CUBE), CUBE[index])


@pytest.mark.parametrize("number", [i for i, x in enumerate(INDICES)])
@pytest.mark.parametrize("method", ["set", "add", "multiply", "max"])
def test_at_changes_what_the_index_names(number, method):
    index = INDICES[number]
    shape = CUBE[index].shape
    values = np.random.default_rng(0).uniform(-50, 50, shape).astype(np.float32)
    want = CUBE.copy()
    if method == "set":
        want[index] = values
    else:
        getattr(np, {"add": "add", "multiply": "multiply", "max": "maximum"}[method]).at(want, index, values)
    got = run(lambda x, v: getattr(x.at[index], method)(v), CUBE, values)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_at_broadcasts_values_and_takes_the_arrays_type():
    got = run(lambda n: n.at[1, ::2].set(7.9).at[:, 0].add(1), N)
    want = N.copy()
    want[1, ::2] = 7
    want[:, 0] += 1
    np.testing.assert_array_equal(got, want)
    with pytest.raises(ShapeError, match="do not broadcast to the indexed shape"):
        run(lambda x: x.at[0].set(np.ones(3, np.float32)), X)


def test_repeated_places_add_up():
    got = run(lambda x, i: x.at[i].add(1), np.zeros(4, np.float32), np.array([1, 1, 3, -1]))
    np.testing.assert_array_equal(got, [0, 2, 0, 2])


def test_a_traced_mask_can_be_set_but_not_taken():
    np.testing.assert_array_equal(run(lambda x: x.at[x < 0].set(0), X), np.maximum(X, 0))
    with pytest.raises(TraceError, match="mask cannot index.*where"):
        run(lambda x: x[x > 0], X)


def test_traced_indices_wrap_when_negative_and_clamp_when_out_of_range():
    i = np.array(-1, np.int32)
    np.testing.assert_array_equal(run(lambda x, i: x[i], X, i), X[-1])
    np.testing.assert_array_equal(run(lambda x, i: x[1:, i], X, i), X[1:, -1])
    np.testing.assert_array_equal(run(lambda x, i: x[i, i], X, np.int64(1)), X[1, 1])
    np.testing.assert_array_equal(run(lambda x, i: x[i], X, np.array([7, -2])), X[[2, 1]])
    np.testing.assert_array_equal(run(lambda x, i: x.at[i, 1].set(9), X, i)[-1, 1], 9)


def test_plain_numpy_works_on_traced_values():
    def f(x, w):
        h = np.tanh(x @ w) + np.sum(x, axis=0)
        h = np.where(h > 0, h, 0.1 * h)
        h = np.concatenate([h, np.zeros((3, 1), np.float32)], axis=1)
        return (
            np.einsum("ij,kj->ik", h, h),
            np.add.reduce(h),
            np.maximum.reduce(h, axis=1),
            np.multiply.outer(h[0], h[1]),
        )

    w = np.ones((4, 4), np.float32)
    for got, want in zip(run(f, X, w), f(X, w)):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=1e-4)


def test_numpy_scalars_and_arrays_meet_traced_values_from_the_left():
    np.testing.assert_array_equal(
        run(lambda x: np.float32(2) * x - Y / x, X + 20), np.float32(2) * (X + 20) - Y / (X + 20)
    )
    assert run(lambda x: np.float64(2) * x, X).dtype == X.dtype  # as a Python number


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: 1 if x.sum() > 0 else 2, "truth value.*xlac.lax.cond"),
        (lambda x: float(x.sum()), r"float\(\).*static_argnums"),
        (lambda x: int(x.sum()), r"int\(\)"),
        (lambda x: x.sum().item(), r"item\(\)"),
        (lambda x: range(x.astype(int)[0, 0]), "integer value.*fori_loop"),
        (lambda x: np.asarray(x), "NumPy array.*xlac.numpy.asarray"),
        (lambda x: np.array([x, x]), "NumPy array"),
        (lambda x: x[: x.astype(int)[0, 0]], "slice are traced.*dynamic_slice_in_dim"),
        (lambda x: x.__setitem__(0, 1.0), r"x\.at\[index\]\.set"),
        (lambda x: np.add(x, x, out=X), r"numpy\.add.*out="),
        (lambda x: np.add(x, x, where=X > 0), r"numpy\.add: where="),
        (lambda x: np.unique(x), "unique.*size"),
        (lambda x: np.may_share_memory(x, x), "numpy.may_share_memory does not work on traced arrays"),
        (lambda x: np.put(x, 0, 1), r"numpy\.put.*x\.at"),
        (lambda x: np.nonzero(x), "nonzero"),
        (lambda x: xnp.zeros(x.astype(int)[0]), "integer value"),
        (lambda x: list(x.sum()), "cannot be iterated"),
        (lambda x: np.where(x > 0), "where"),
    ],
)
def test_what_traced_values_cannot_do_is_said_with_the_users_line(function, message):
    with pytest.raises(TraceError, match=message) as caught:
        run(function, X)
    assert f"{__file__}:{function.__code__.co_firstlineno}: " in str(caught.value)
    assert "(lambda x:" in str(caught.value)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x + np.ones(3, np.float32), r"add: float32\[3,4\] and float32\[3\] do not broadcast"),
        (lambda x: x @ x, r"matmul: operands float32\[3,4\] and float32\[3,4\]"),
        (lambda x: x.reshape(5), "12 elements"),
        (lambda x: x[5], "index 5 is out of range for dimension 0"),
        (lambda x: x[0, 0, 0], "3 indices"),
        (lambda x: x.sum(axis=2), "axis 2 of an array of 2 dimensions"),
        (lambda x: np.concatenate([x, x.T]), "concatenate"),
        (lambda x: x & 1, "bitwise_and"),
        (lambda x: x["a"], "is no index"),
    ],
)
def test_shapes_that_do_not_fit_are_named_with_the_users_line(function, message):
    with pytest.raises(ShapeError, match=message) as caught:
        run(function, X)
    assert f"{__file__}:{function.__code__.co_firstlineno}: " in str(caught.value)


def test_a_value_that_leaves_its_function_is_caught():
    kept = []
    run(lambda x: kept.append(x) or x, X)
    with pytest.raises(TraceError, match="used outside the function"):
        run(lambda x: x + kept[0], X)
    with pytest.raises(TraceError, match="used outside the function"):
        run(lambda x: x, kept[0])
    with pytest.raises(TraceError, match="used outside the function"):
        xnp.add(kept[0], 1)


def test_a_value_of_a_loop_body_that_leaves_it_is_caught():
    def f(x):
        kept = []
        xlac.lax.scan(lambda c, v: (kept.append(c) or c + v, None), xnp.zeros(4), x)
        return kept[0]

    with pytest.raises(TraceError, match="used outside the function"):
        run(f, X)
