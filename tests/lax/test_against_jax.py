"""Functions of `xlac.lax` and `xlac.numpy` give JAX's values; skipped where JAX is not installed."""

import importlib

import numpy as np
import pytest

import xlac
from tests.evaluated import EVALUATED
from xlac import lax, tree

jax = pytest.importorskip("jax", reason="jax is not installed")
pytestmark = pytest.mark.jax


def floats(*shape, seed=0, low=-2.0, high=2.0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(np.float32)


def integers(*shape, seed=0, low=-9, high=9, dtype=np.int32):
    return np.random.default_rng([seed, *shape]).integers(low, high, shape, endpoint=True).astype(dtype)


IMAGE, KERNEL = floats(2, 3, 8, 9), floats(4, 3, 3, 2)
LAST, LAST_KERNEL = floats(2, 8, 9, 3), floats(3, 2, 3, 4)
NHWC = ("NHWC", "HWIO", "NHWC")
X, POSITIVE, UNIT = floats(3, 5), floats(3, 5, low=0.1, high=4.0), floats(3, 5, low=-0.95, high=0.95)
GATHER = ((1,), (0,), (0,))
CASES = [
    ("conv", IMAGE, KERNEL, (1, 1), "SAME"),
    ("conv", IMAGE, KERNEL, (2, 3), "VALID"),
    ("conv_with_general_padding", IMAGE, KERNEL, (1, 2), [(1, 2), (0, 3)], (2, 1), (1, 2)),
    ("conv_general_dilated", LAST, LAST_KERNEL, (2, 1), "SAME", None, (1, 2), NHWC),
    ("conv_general_dilated", LAST, LAST_KERNEL, (1, 1), "SAME_LOWER", None, None, NHWC),
    ("conv_general_dilated", floats(2, 8, 9, 6), LAST_KERNEL, (1, 1), "VALID", None, None, NHWC, 2),
    ("conv_general_dilated", floats(4, 8, 9, 3), LAST_KERNEL, (1, 1), "VALID", None, None, NHWC, 1, 2),
    ("conv_transpose", LAST, LAST_KERNEL, (2, 3), "SAME"),
    ("conv_transpose", LAST, LAST_KERNEL, (2, 1), "VALID", (1, 2)),
    ("conv_transpose", LAST, floats(3, 2, 4, 3), (2, 2), "SAME", None, NHWC, True),
    ("conv_general_dilated_patches", IMAGE, (2, 3), (2, 1), "VALID"),
    ("conv_general_dilated_patches", LAST, (2, 3), (1, 1), "SAME", None, None, NHWC),
    ("conv_general_dilated_local", IMAGE, floats(4, 18, 7, 7), (1, 1), "VALID", (2, 3)),
    ("reduce_window", IMAGE, -np.inf, "max", (1, 1, 2, 3), (1, 1, 2, 2), "SAME"),
    ("reduce_window", IMAGE, np.float32(0), "add", (1, 1, 3, 3), (1, 1, 1, 2), "VALID", None, (1, 1, 2, 1)),
    ("sort", X),
    ("sort", (integers(3, 5), X), 0),
    ("sort_key_val", integers(7), floats(7)),
    ("top_k", X, 3),
    ("argmax", X, 1, np.int32),
    ("argmin", X, 0, np.int32),
    ("cumsum", X, 1),
    ("cumsum", X, 0, True),
    ("cumprod", X, 1),
    ("cummax", X, 1),
    ("cummin", X, 1, True),
    ("cumlogsumexp", X, 1),
    ("reduce_precision", X, 5, 3),
    ("bitcast_convert_type", X, np.int32),
    ("bitcast_convert_type", X, np.uint8),
    ("population_count", integers(5)),
    ("clz", integers(5)),
    ("batch_matmul", floats(2, 3, 4), floats(2, 4, 5)),
    ("dot", floats(3, 4), floats(4, 5)),
    ("collapse", floats(2, 3, 4), 1, 3),
    ("expand_dims", X, (0, 3)),
    ("squeeze", floats(3, 1, 2), (1,)),
    ("rem", X, POSITIVE),
    ("nextafter", X, POSITIVE),
    ("clamp", -0.5, X, 0.5),
    ("fft", (X + 1j * UNIT).astype(np.complex64), "FFT", (5,)),
    ("fft", X, "RFFT", (3, 5)),
    ("mulhi", integers(6, low=-(2**31), high=2**31 - 1), integers(6, seed=1, low=-(2**31), high=2**31 - 1)),
    ("index_take", floats(4, 5), (integers(3, low=0, high=3), integers(3, low=0, high=4)), (0, 1)),
    ("split", X, [1, 4], 1),
    ("tile", X, (2, 3)),
    ("stack", [X, X], 1),
    ("broadcast_to_rank", X, 4),
    ("pad", X, np.float32(7), [(1, -1, 0), (0, 2, 1)]),
    ("dynamic_slice", X, (np.int32(2), np.int32(1)), (2, 3)),
    ("dynamic_update_slice", X, floats(2, 2), (np.int32(2), np.int32(-1))),
    ("select_n", np.array([0, 2, 1]), floats(3), floats(3, seed=1), floats(3, seed=2)),
    ("atan", X),
    ("linalg.triangular_solve", np.tril(floats(3, 3)) + 2 * np.eye(3, dtype=np.float32), floats(2, 3)),
    ("linalg.triangular_solve", np.triu(floats(3, 3)) + 2 * np.eye(3, dtype=np.float32), floats(3)),
    ("linalg.householder_product", np.tril(floats(4, 3), -1), floats(3, low=0.1, high=1.0)),
    ("linalg.symmetric_product", floats(3, 4), floats(3, 3)),
    *((name, X) for name in "sinh cosh asinh tan exp2 expm1 erf erfc logistic sign bessel_i0e bessel_i1e".split()),
    *((name, UNIT) for name in "asin acos atanh erf_inv".split()),
    *((name, POSITIVE) for name in "lgamma digamma rsqrt cbrt log1p".split()),
    ("acosh", POSITIVE + 1),
    ("igamma", POSITIVE, np.abs(X)),
    ("igammac", POSITIVE, np.abs(X)),
    ("betainc", POSITIVE, POSITIVE[::-1].copy(), np.abs(UNIT)),
    ("zeta", POSITIVE + 1, np.abs(X) + 0.1),
    ("polygamma", np.round(POSITIVE), np.abs(X) + 0.1),
]


def find(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c[0]}" for i, c in enumerate(CASES)])
def test_a_function_of_lax_gives_jaxs_values(case):
    name, *args = case
    ours, theirs = list(args), list(args)
    if name == "reduce_window":
        ours[2], theirs[2] = getattr(lax, args[2]), getattr(jax.lax, args[2])
    importlib.import_module("xlac.lax.linalg")
    importlib.import_module("jax.lax.linalg")
    arrays, structure = tree.flatten(ours)
    moving = [isinstance(x, (np.ndarray, np.generic)) for x in arrays]

    def run(*given):
        values = iter(given)
        return find(lax, name)(*tree.unflatten(structure, [next(values) if m else x for x, m in zip(arrays, moving)]))

    got = xlac.jit(run, options=EVALUATED)(*[x for x, m in zip(arrays, moving) if m])
    want = find(jax.lax, name)(*theirs)
    got, want = tree.leaves(got), [np.asarray(w) for w in jax.tree.leaves(want)]
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g.shape == w.shape
        assert g.dtype == w.dtype
        np.testing.assert_allclose(g, w, rtol=3e-5, atol=3e-5)


SCATTERS = ["scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max"]


@pytest.mark.parametrize("mode", ["clip", "fill"])
@pytest.mark.parametrize("name", SCATTERS)
def test_scatters_place_and_drop_updates_as_jax_does(name, mode):
    x, where, updates = floats(5, 3), np.array([[0], [3], [7]], np.int32), floats(3, 3, seed=1)
    numbers = ((1,), (0,), (0,))
    got = getattr(lax, name)(x, where, updates, lax.ScatterDimensionNumbers(*numbers), mode=mode)
    theirs = jax.lax.ScatterDimensionNumbers(
        update_window_dims=(1,), inserted_window_dims=(0,), scatter_dims_to_operand_dims=(0,)
    )
    np.testing.assert_allclose(got, getattr(jax.lax, name)(x, where, updates, theirs, mode=mode), rtol=1e-6)


@pytest.mark.parametrize("mode", ["clip", "fill"])
def test_gather_fills_or_clamps_as_jax_does(mode):
    x, where = floats(5, 3), np.array([[0], [3], [7], [-2]], np.int32)
    got = lax.gather(x, where, lax.GatherDimensionNumbers((1,), (0,), (0,)), (1, 3), mode=mode)
    theirs = jax.lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,))
    np.testing.assert_array_equal(got, jax.lax.gather(x, where, theirs, (1, 3), mode=mode))


SIZED = [
    ("nonzero", (integers(4, 3, low=0, high=1),), {"size": 5}),
    ("nonzero", (integers(4, 3, low=0, high=1),), {"size": 20, "fill_value": 9}),
    ("flatnonzero", (integers(6, low=0, high=1),), {"size": 6, "fill_value": -1}),
    ("argwhere", (integers(4, 3, low=0, high=1),), {"size": 8}),
    ("where", (integers(4, low=0, high=1),), {"size": 3}),
    ("unique", (integers(9, low=0, high=4),), {"size": 3}),
    ("unique", (integers(9, low=0, high=4),), {"size": 8, "fill_value": 77}),
    ("unique", (np.array([1.0, np.nan, 0.0, np.nan], np.float32),), {"size": 5}),
    (
        "unique",
        (integers(9, low=0, high=4),),
        {"size": 7, "return_index": True, "return_inverse": True, "return_counts": True},
    ),
    ("unique", (integers(5, 2, low=0, high=1),), {"size": 4, "axis": 0, "return_counts": True}),
    ("union1d", (integers(4), integers(5, seed=1)), {"size": 12, "fill_value": 0}),
    ("setdiff1d", (integers(8, low=0, high=5), integers(3, low=0, high=5)), {"size": 6, "fill_value": -1}),
    ("setxor1d", (integers(6, low=0, high=5), integers(6, low=0, high=5, seed=2)), {"size": 9, "fill_value": -1}),
    ("intersect1d", (integers(8, low=0, high=5), integers(8, low=0, high=5, seed=1)), {"size": 8, "fill_value": -1}),
    ("bincount", (integers(9, low=0, high=5),), {"length": 4}),
    ("compress", (np.array([True, False, True]), floats(3, 4), 0), {"size": 3, "fill_value": 2.0}),
    ("extract", (np.array([True, False, True]), floats(3)), {"size": 3}),
    ("repeat", (floats(3), np.array([2, 0, 1])), {"total_repeat_length": 5}),
    ("put_along_axis", (floats(3, 4), np.array([[1], [0], [3]]), np.float32(9), 1), {"inplace": False}),
    ("place", (floats(3, 4), floats(3, 4) > 0, np.array([7.0, 8.0], np.float32)), {"inplace": False}),
    ("put", (floats(3, 4), np.array([1, 5, -1]), np.array([7.0, 8.0], np.float32)), {"inplace": False}),
    ("fill_diagonal", (floats(3, 4), np.float32(9)), {"inplace": False}),
    ("take", (floats(4), np.array([0, 5, -1, -9])), {}),
    ("take_along_axis", (floats(4), np.array([0, 3, -1])), {"fill_value": 3.0}),
]


@pytest.mark.parametrize("traced", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize(("name", "args", "kwargs"), SIZED, ids=[f"{i}-{c[0]}" for i, c in enumerate(SIZED)])
def test_results_of_a_given_size_are_jaxs(name, args, kwargs, traced):
    import xlac.numpy as xnp

    function = getattr(xnp, name)

    def call(*moving):
        parts = iter(moving)
        return function(*(next(parts) if isinstance(a, np.ndarray) else a for a in args), **kwargs)

    moving = [a for a in args if isinstance(a, np.ndarray)]
    got = (xlac.jit(call, options=EVALUATED) if traced else call)(*moving)
    want = getattr(jax.numpy, name)(*args, **kwargs)
    got, want = tree.leaves(got), [np.asarray(w) for w in jax.tree.leaves(want)]
    assert len(got) == len(want)
    for g, w in zip(got, want):
        np.testing.assert_allclose(g, w, rtol=1e-6)
