"""Functions of `xlac.numpy` give NumPy's values: inside jit, outside it, and called by plain NumPy's name."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from tests.frontend import functions
from xlac import lax, tree
from xlac.errors import ShapeError

IDS = [f"{i}-{name}" for i, (name, _, _) in enumerate(functions.CASES)]


def find(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def is_data(value):
    return isinstance(value, (np.ndarray, np.generic))


def split(args, kwargs):
    """The arrays among the arguments, and a function that puts others in their places."""
    leaves, structure = tree.flatten((args, kwargs))
    arrays = [x for x in leaves if is_data(x)]

    def rebuild(given):
        values = iter(given)
        return tree.unflatten(structure, [next(values) if is_data(x) else x for x in leaves])

    return arrays, rebuild


def check(got, want, depth):
    """Equal nesting, shapes and kinds; values within the rounding of sums of `depth` float32 terms."""
    got, want = tree.leaves(got), tree.leaves(want)
    assert len(got) == len(want)
    for g, w in zip(got, want):
        w = np.asarray(w)
        assert isinstance(g, np.ndarray)
        assert g.shape == w.shape
        assert np.dtype(g.dtype).kind in {"i": "iu", "u": "iu"}.get(w.dtype.kind, w.dtype.kind)
        if w.dtype.kind in "fc":
            scale = np.max(np.abs(w[np.isfinite(w)]), initial=1.0)
            np.testing.assert_allclose(g, w, rtol=4e-6, atol=scale * np.finfo(np.float32).eps * (4 + depth))
        else:
            np.testing.assert_array_equal(g, w)


# Functions whose results' sizes depend on values, and which take no part in tracing.
UNSIZED = set(
    """where nonzero argwhere flatnonzero extract unique union1d intersect1d setdiff1d setxor1d trim_zeros
    bincount""".split()
)


def sized_by_values(name, args):
    return name in UNSIZED and not (name == "where" and len(args) > 1)


def fixed_by_traced_value(name, args):
    """Cases whose second argument must be fixed: numbers of repeats, places, boundaries."""
    return name in ("repeat", "delete", "insert") and len(args) > 1 and is_data(args[1])


@pytest.mark.parametrize(("name", "args", "kwargs"), functions.CASES, ids=IDS)
def test_a_function_gives_numpys_values_inside_jit(name, args, kwargs):
    if sized_by_values(name, args) or name == "compress":
        pytest.skip("the result's size depends on values")
    arrays, rebuild = split(args, kwargs)
    fixed = fixed_by_traced_value(name, args)

    def run(*given):
        positional, named = rebuild(given)
        return find(xnp, name)(*((positional[0], *args[1:]) if fixed else positional), **named)

    want = find(np, name)(*args, **kwargs)
    check(xlac.jit(run, options=EVALUATED)(*arrays), want, sum(a.size for a in arrays))


# NumPy does not hand these over: they take no array, or nested lists of arrays, or functions.
ONLY_OURS = set(
    """select meshgrid compress diag_indices tril_indices triu_indices indices fft.fftfreq fft.rfftfreq""".split()
)


@pytest.mark.parametrize(("name", "args", "kwargs"), functions.CASES, ids=IDS)
def test_plain_numpy_inside_jit_gives_the_same_program(name, args, kwargs):
    arrays, rebuild = split(args, kwargs)
    if name in ONLY_OURS or fixed_by_traced_value(name, args) or sized_by_values(name, args):
        pytest.skip("checked inside xlac.numpy only")

    def run(module):
        def call(*given):
            positional, named = rebuild(given)
            return find(module, name)(*positional, **named)

        return [s for s in xlac.jit(call).trace(*arrays).out_shapes]

    assert run(np) == run(xnp)


FIRST = {name: i for i, (name, _, _) in reversed(list(enumerate(functions.CASES)))}
EAGER = [
    pytest.param(*c, id=i, marks=[] if FIRST[c[0]] == n else [pytest.mark.slow])
    for n, (c, i) in enumerate(zip(functions.CASES, IDS))
]


@pytest.mark.parametrize(("name", "args", "kwargs"), EAGER)
def test_a_function_outside_jit_runs_at_once_as_native_code(name, args, kwargs):
    arrays, _ = split(args, kwargs)
    want = find(np, name)(*args, **kwargs)
    check(find(xnp, name)(*args, **kwargs), want, sum(a.size for a in arrays))


def test_creation_functions_give_float32_and_int32_in_and_out_of_jit():
    def make():
        return {
            "zeros": xnp.zeros((2, 3)),
            "ones": xnp.ones(2),
            "full": xnp.full((2,), 7),
            "arange": xnp.arange(5),
            "steps": xnp.arange(1, 9, 3),
            "floats": xnp.arange(0.0, 1.0, 0.1),
            "linspace": xnp.linspace(0, 1, 5),
            "eye": xnp.eye(3, 4, 1),
            "tri": xnp.tri(3),
            "list": xnp.asarray([1, 2.5]),
            "nested": xnp.array([[1, 2], [3, 4]]),
        }

    eager, jitted = make(), xlac.jit(make, options=EVALUATED)()
    for name, value in eager.items():
        assert value.dtype == (np.int32 if name in ("full", "arange", "steps", "nested") else np.float32), name
        assert jitted[name].dtype == value.dtype
        np.testing.assert_allclose(jitted[name], value, rtol=1e-6)
    np.testing.assert_allclose(eager["floats"], np.arange(0.0, 1.0, 0.1), rtol=1e-6)
    np.testing.assert_array_equal(eager["steps"], np.arange(1, 9, 3))


def test_likes_and_copies_keep_type_and_shape():
    x = np.ones((2, 3), np.float64)
    for function in (xnp.zeros_like, xnp.ones_like, xnp.empty_like):
        assert function(x).dtype == np.float64
        assert xlac.jit(function)(x).shape == (2, 3)
    assert xnp.full_like(x, 3).dtype == np.float64
    assert xnp.zeros_like(x, dtype=np.int32).dtype == np.int32


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64", "int8", "int64", "uint8", "bool", "complex128"])
def test_arrays_keep_their_type_through_arithmetic(dtype):
    x = np.ones(3, xnp.dtype(dtype))
    result = xlac.jit(lambda v: v * 1 + v if dtype != "bool" else v | True, options=EVALUATED)(x)
    assert result.dtype == x.dtype


def test_sums_of_narrow_floats_are_taken_in_float32():
    x = np.full(4096, 1.0, xnp.bfloat16)
    total = xlac.jit(xnp.sum, options=EVALUATED)(x)
    assert total.dtype == xnp.bfloat16
    assert float(total) == 4096.0


def test_types_of_elements_can_be_called():
    assert xnp.float32 == np.float32 and np.dtype(xnp.bfloat16).name == "bfloat16"
    assert {np.int8: 1}[xnp.int8] == 1
    made = xlac.jit(lambda x: (xnp.float32(x), xnp.int8(2.7), xnp.complex64(x)))(np.arange(3))
    assert [m.dtype for m in made] == [np.float32, np.int8, np.complex64]
    assert made[1] == 2
    assert xnp.float16(1.5).dtype == xnp.float16
    assert isinstance(np.float32(1), xnp.float32)


def test_ldexp_rounds_once_over_the_whole_range_of_exponents():
    x = np.array([1.0, 1.0, 3.0, 0.0, np.inf, 5e-324, 1e308, 2.0**-1000, 1.7, -1.3])
    shift = np.array([2000, -2000, -1074, 10**6, -(10**6), 2100, -2098, 2000, -1040, -1060])
    with np.errstate(all="ignore"):
        want = np.ldexp(x, shift)
    np.testing.assert_array_equal(xnp.ldexp(x, shift), want)
    np.testing.assert_allclose(xlac.grad(lambda v: xnp.sum(xnp.ldexp(v, 3)))(np.array([1.5, 0.1])), [8, 8])


def test_quantiles_between_infinite_elements():
    x = np.array([1.0, np.inf, 2.0, -np.inf])
    np.testing.assert_array_equal(xnp.quantile(x, np.array([0.25, 0.5, 0.9])), [-np.inf, 1.5, np.inf])
    assert np.isnan(xnp.median(np.array([-np.inf, np.inf])))
    assert xnp.quantile(np.array([-1.5e308, 1.5e308]), 0.5) == 0


def test_settings_that_jax_has_and_numpy_has_not():
    small = np.array([100, 100], np.int8)
    assert xnp.sum(small, promote_integers=False).dtype == np.int8
    assert xnp.prod(small).dtype == np.int32
    x = np.array([1.0, np.nan, 3.0])
    assert xnp.nanvar(x, mean=np.array(1.0)) == 2
    assert xnp.linalg.matrix_rank(np.array([[1.0, 2.0], [2.0, 4.0]]), hermitian=True) == 1
    y = np.array([1 + 2j, -3j])
    np.testing.assert_allclose(xnp.logaddexp(y, 1j), np.log(np.exp(y) + np.exp(1j)))
    assert xlac.jit(lambda v: v[True])(x).shape == (1, 3)
    matrix = np.eye(2, dtype=np.float32)
    for precision in ("tensorfloat32", lax.Precision.HIGH, lax.DotAlgorithmPreset.F32_F32_F32, "BF16_BF16_F32_X3"):
        np.testing.assert_array_equal(xnp.matmul(matrix, matrix, precision=precision), matrix)
    with pytest.raises(ShapeError, match="precision='exact'"):
        xnp.matmul(matrix, matrix, precision="exact")


def test_unique_numbers_of_narrow_floats_with_nan():
    x = np.array([np.nan, 1, np.nan, 2, 1, np.nan]).astype(xnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(xnp.unique(x), np.float32), [1, 2, np.nan])


def test_gradient_reads_the_neighbours_only():
    x = np.array([1.0, 2.0, -np.inf, 3.0, 4.0, 5.0])
    np.testing.assert_array_equal(xnp.gradient(x), np.gradient(x))
