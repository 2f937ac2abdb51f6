"""`xlac.numpy` as the namespace of the Python Array API standard 2024.12: names, types, special cases."""

import inspect
import itertools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac.errors import ShapeError, TraceError

NAMES = """
abs acos acosh add all any arange argmax argmin argsort asarray asin asinh astype atan atan2 atanh bitwise_and
bitwise_invert bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor bool broadcast_arrays broadcast_to can_cast
ceil clip complex128 complex64 concat conj copysign cos cosh count_nonzero cumulative_prod cumulative_sum diff divide e
empty empty_like equal exp expand_dims expm1 eye finfo flip float32 float64 floor floor_divide from_dlpack full
full_like greater greater_equal hypot iinfo imag inf int16 int32 int64 int8 isdtype isfinite isinf isnan less less_equal
linspace log log10 log1p log2 logaddexp logical_and logical_not logical_or logical_xor matmul matrix_transpose max
maximum mean meshgrid min minimum moveaxis multiply nan negative newaxis nextafter nonzero not_equal ones ones_like
permute_dims pi positive pow prod real reciprocal remainder repeat reshape result_type roll round searchsorted sign
signbit sin sinh sort sqrt square squeeze stack std subtract sum take take_along_axis tan tanh tensordot tile tril triu
trunc uint16 uint32 uint64 uint8 unique_all unique_counts unique_inverse unique_values unstack var vecdot where zeros
zeros_like
""".split()
LINALG = """
cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank matrix_transpose outer pinv qr
slogdet solve svd svdvals tensordot trace vecdot vector_norm
""".split()
FFT = "fft ifft fftn ifftn rfft irfft rfftn irfftn hfft ihfft fftfreq rfftfreq fftshift ifftshift".split()


def test_every_name_of_the_standard_is_there():
    assert [n for n in NAMES if not hasattr(xnp, n)] == []
    assert [n for n in LINALG if not hasattr(xnp.linalg, n)] == []
    assert [n for n in FFT if not hasattr(xnp.fft, n)] == []
    assert xnp.__array_api_version__ == "2024.12"


KEYWORDS = {
    "zeros": "dtype device",
    "arange": "dtype device",
    "asarray": "dtype device copy",
    "eye": "k dtype device",
    "linspace": "dtype device endpoint",
    "full_like": "dtype device",
    "astype": "copy device",
    "sum": "axis dtype keepdims",
    "var": "axis correction keepdims",
    "sort": "axis descending stable",
    "argsort": "axis descending stable",
    "cumulative_sum": "axis dtype include_initial",
    "searchsorted": "side sorter",
    "diff": "axis n prepend append",
    "count_nonzero": "axis keepdims",
    "roll": "axis",
    "concat": "axis",
    "tril": "k",
    "linalg.svd": "full_matrices",
    "linalg.cholesky": "upper",
    "linalg.trace": "offset dtype",
    "linalg.pinv": "rtol",
    "linalg.vector_norm": "axis keepdims ord",
    "linalg.matrix_norm": "keepdims ord",
    "fft.fft": "n axis norm",
    "fft.fftn": "s axes norm",
    "fft.fftfreq": "d dtype device",
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_functions_take_the_standards_keywords(name):
    function = xnp
    for part in name.split("."):
        function = getattr(function, part)
    assert set(KEYWORDS[name].split()) <= set(inspect.signature(function).parameters)


def test_the_namespace_describes_itself():
    info = xnp.__array_namespace_info__()
    assert info.default_device() == "cpu" and info.devices() == ["cpu"]
    assert info.default_dtypes() == {
        "real floating": np.float32,
        "complex floating": np.complex64,
        "integral": np.int32,
        "indexing": np.int32,
    }
    assert set(info.dtypes(kind="integral")) == {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}
    assert set(info.dtypes(kind=("bool", "complex floating"))) == {"bool", "complex64", "complex128"}
    assert info.capabilities()["data-dependent shapes"] is True
    with pytest.raises(ValueError, match="only 'cpu'"):
        xnp.zeros(3, device="tpu")


def test_limits_of_types_are_python_numbers():
    info = xnp.finfo(np.complex64)
    assert (info.bits, info.eps, info.dtype) == (32, float(np.finfo(np.float32).eps), np.float32)
    assert isinstance(info.smallest_normal, float) and isinstance(info.max, float)
    assert isinstance(xnp.finfo(xnp.bfloat16).eps, float)
    assert (xnp.iinfo(np.uint8).max, xnp.iinfo(np.ones(1, np.int64)).min) == (255, -(2**63))
    assert xnp.finfo(np.ones(2, np.float64)).bits == 64
    with pytest.raises(ShapeError, match="use iinfo"):
        xnp.finfo(np.int32)


def test_kinds_of_types():
    assert xnp.isdtype(np.float32, "real floating") and xnp.isdtype(xnp.bfloat16, "numeric")
    assert xnp.isdtype(np.int8, ("bool", "signed integer")) and not xnp.isdtype(np.bool_, "numeric")
    assert xnp.isdtype(np.int8, np.int8) and not xnp.isdtype(np.int8, (np.int16, "unsigned integer"))
    with pytest.raises(ValueError, match="must be a type or one of"):
        xnp.isdtype(np.int8, "whole")
    assert xnp.can_cast(np.int8, np.int16) and not xnp.can_cast(np.ones(1, np.float64), np.float32)
    assert xnp.result_type(np.ones(1, np.float32), 1.0) == np.float32


# ---- special cases

INF, NAN = np.inf, np.nan
BINARY = {
    "floor_divide": [
        *((NAN, y, NAN) for y in (0.0, 1.0, INF, NAN)),
        *((x, y, NAN) for x, y in itertools.product((INF, -INF), repeat=2)),
        *((x, y, NAN) for x, y in itertools.product((0.0, -0.0), repeat=2)),
        (2.0, 0.0, INF),
        (2.0, -0.0, -INF),
        (-2.0, 0.0, -INF),
        (-2.0, -0.0, INF),
        (0.0, 2.0, 0.0),
        (-0.0, 2.0, -0.0),
        (0.0, -2.0, -0.0),
        (-0.0, -2.0, 0.0),
        (INF, 2.0, INF),
        (INF, -2.0, -INF),
        (-INF, 2.0, -INF),
        (-INF, -2.0, INF),
        (2.0, INF, 0.0),
        (2.0, -INF, -1.0),
        (-2.0, INF, -1.0),
        (-2.0, -INF, 0.0),
        (7.0, 2.0, 3.0),
        (-7.0, 2.0, -4.0),
        (1.0, 0.1, 9.0),
    ],
    "remainder": [
        *((NAN, y, NAN) for y in (0.0, 1.0, INF, NAN)),
        *((x, y, NAN) for x in (INF, -INF) for y in (INF, -INF, 2.0, -2.0, 0.0)),
        *((x, y, NAN) for x in (0.0, -0.0, 2.0, -2.0) for y in (0.0, -0.0)),
        (0.0, 2.0, 0.0),
        (-0.0, 2.0, 0.0),
        (0.0, -2.0, -0.0),
        (-0.0, -2.0, -0.0),
        (2.0, INF, 2.0),
        (2.0, -INF, -INF),
        (-2.0, INF, INF),
        (-2.0, -INF, -2.0),
        (6.0, 3.0, 0.0),
        (6.0, -3.0, -0.0),
        (-6.0, -3.0, -0.0),
        (-6.0, 3.0, 0.0),
        (7.0, -3.0, -2.0),
        (-7.0, 3.0, 2.0),
    ],
    "pow": [
        *((1.0, y, 1.0) for y in (NAN, INF, 0.0)),
        *((x, 0.0, 1.0) for x in (NAN, INF, -INF, 0.0)),
        (NAN, 2.0, NAN),
        (-1.0, INF, 1.0),
        (2.0, INF, INF),
        (0.5, INF, 0.0),
        (2.0, -INF, 0.0),
        (-INF, 3.0, -INF),
        (-INF, 2.0, INF),
        (-INF, -3.0, -0.0),
        (0.0, -1.0, INF),
        (-0.0, -1.0, -INF),
        (-0.0, 3.0, -0.0),
        (-2.0, 0.5, NAN),
    ],
    "atan2": [
        (0.0, 0.0, 0.0),
        (0.0, -0.0, np.pi),
        (-0.0, 0.0, -0.0),
        (-0.0, -0.0, -np.pi),
        (INF, INF, np.pi / 4),
        (INF, -INF, 3 * np.pi / 4),
        (-INF, -INF, -3 * np.pi / 4),
        (1.0, -INF, np.pi),
        (-1.0, INF, -0.0),
        (NAN, 1.0, NAN),
    ],
    "hypot": [(INF, NAN, INF), (NAN, -INF, INF), (NAN, 1.0, NAN), (-0.0, 0.0, 0.0), (3e300, 4e300, 5e300)],
    "logaddexp": [(INF, INF, INF), (-INF, -INF, -INF), (INF, -INF, INF), (NAN, 1.0, NAN), (-INF, 2.0, 2.0)],
    "copysign": [(1.0, -0.0, -1.0), (-1.0, 0.0, 1.0), (NAN, -1.0, NAN), (0.0, -2.0, -0.0)],
    "nextafter": [(NAN, 1.0, NAN), (1.0, 1.0, 1.0), (0.0, -0.0, -0.0), (-0.0, 0.0, 0.0), (0.0, 1.0, 5e-324)],
    "maximum": [(NAN, 1.0, NAN), (1.0, NAN, NAN), (INF, 1.0, INF)],
    "divide": [(1.0, -0.0, -INF), (0.0, 0.0, NAN), (-0.0, 2.0, -0.0), (INF, INF, NAN), (2.0, -INF, -0.0)],
}


@pytest.mark.parametrize("traced", [False, True], ids=["native", "evaluated"])
@pytest.mark.parametrize("name", BINARY)
def test_special_cases_of_functions_of_two(name, traced):
    function = getattr(xnp, name)
    run = xlac.jit(function, options=xlac.Options(evaluate=True)) if traced else function
    x, y, want = (np.array(column) for column in zip(*BINARY[name]))
    got = run(x, y)
    np.testing.assert_allclose(got, want, rtol=4e-16, err_msg=str(np.stack([x, y])))
    np.testing.assert_array_equal(np.signbit(got[want == want]), np.signbit(want[want == want]))


UNARY = """acos acosh asin asinh atan atanh ceil cos cosh exp expm1 floor log log10 log1p log2 round sin sinh sqrt tan
tanh trunc"""
PLACES = np.array([0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.5, -2.5, INF, -INF, NAN, 1e-310, -1e-310])


@pytest.mark.parametrize("name", UNARY.split())
def test_special_cases_of_functions_of_one_are_those_of_c(name):
    with np.errstate(all="ignore"):
        want = getattr(np, name)(PLACES)
    got = getattr(xnp, name)(PLACES)
    np.testing.assert_allclose(got, want, rtol=1e-14, atol=0)
    np.testing.assert_array_equal(np.signbit(got[want == want]), np.signbit(want[want == want]))


def test_integers_divided_by_zero_are_zero_as_numpys():
    x = np.array([3, -3, 0], np.int32)
    for name in ("floor_divide", "remainder"):
        np.testing.assert_array_equal(getattr(xnp, name)(x, np.zeros(3, np.int32)), 0)


# ---- sets, cumulative sums, results with names


def test_nans_are_unique_values_of_their_own():
    x = np.array([NAN, 1.0, NAN, 1.0])
    found = xnp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    np.testing.assert_array_equal(found.values, [1.0, NAN, NAN])
    np.testing.assert_array_equal(found.counts, [2, 1, 1])
    np.testing.assert_array_equal(found.values[found.inverse_indices], x)
    assert found.indices.dtype == np.int32
    assert xnp.unique_inverse(np.ones((2, 3))).inverse_indices.shape == (2, 3)


def test_results_have_the_standards_field_names():
    a = 3 * np.eye(2)
    assert xnp.linalg.svd(a)._fields == ("U", "S", "Vh")
    assert xnp.linalg.qr(a)._fields == ("Q", "R")
    assert xnp.linalg.eigh(a)._fields == ("eigenvalues", "eigenvectors")
    assert xnp.linalg.slogdet(a)._fields == ("sign", "logabsdet")


def test_sums_keep_wide_types_and_widen_narrow_ones():
    for dtype, want in ((np.int8, np.int32), (np.uint8, np.uint32), (np.int64, np.int64), (np.float64, np.float64)):
        assert xnp.sum(np.ones(3, dtype)).dtype == want
        assert xnp.cumulative_sum(np.ones(3, dtype)).dtype == want
        assert xnp.prod(np.ones(3, dtype)).dtype == want


def test_arrays_without_elements_have_results():
    empty = np.zeros((0, 3), np.float32)
    assert xnp.sum(empty, axis=0).tolist() == [0.0] * 3
    assert xnp.linalg.inv(np.zeros((0, 2, 2))).shape == (0, 2, 2)
    assert xnp.linalg.det(np.zeros((0, 0))) == 1.0
    assert xnp.sort(empty).shape == xnp.cumulative_sum(empty, axis=0).shape == (0, 3)
    assert xnp.concat([empty, empty]).shape == (0, 3)
    with pytest.raises(ShapeError, match="has no elements"):
        xnp.max(empty)


def test_copies_are_made_where_asked_for():
    x = np.ones(3, np.float32)
    assert np.shares_memory(xnp.asarray(x), x)
    assert not np.shares_memory(xnp.asarray(x, copy=True), x)
    with pytest.raises(ValueError, match="without a copy"):
        xnp.asarray(x, dtype=np.float64, copy=False)
    with pytest.raises(ValueError, match="without a copy"):
        xnp.asarray([1.0], copy=False)


def test_traced_arrays_give_this_namespace():
    def function(x):
        xp = x.__array_namespace__()
        return xp.sum(xp.abs(x), axis=0)

    assert xlac.jit(function)(np.array([-1.0, 2.0])) == 3.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: xnp.jit_unknown, AttributeError, "jit_unknown"),
        (lambda: xlac.jit(xnp.unique)(np.ones(3)), TraceError, "unique.*give size="),
        (lambda: xlac.jit(xnp.nonzero)(np.ones(3)), TraceError, "nonzero.*give size="),
        (lambda: xlac.jit(xnp.bincount)(np.ones(3, np.int32)), TraceError, "bincount.*give length="),
        (lambda: xlac.jit(xnp.roots)(np.ones(3)), TraceError, "strip_zeros=False"),
        (lambda: xnp.pad(np.ones(3), 1, mode="hexagonal"), ShapeError, "must be one of constant"),
        (lambda: xnp.pad(np.ones(3), 1, mode="edge", end_values=3), ShapeError, "end_values does not go with"),
        (lambda: xnp.linalg.inv(np.ones((2, 3))), ShapeError, r"inv: an array of shape \[2, 3\]; it must be square"),
        (lambda: xnp.linalg.cross(np.ones(2), np.ones(2)), ShapeError, "they must have 3"),
        (lambda: xnp.fft.rfft(np.ones(3, np.complex64)), ShapeError, "rfft.*must be real"),
        (lambda: xnp.fft.fft(np.ones(3), norm="twice"), ValueError, "norm='twice'"),
        (lambda: xnp.cumulative_sum(np.ones((2, 2))), ShapeError, "give axis="),
        (lambda: xnp.quantile(np.ones(3), 0.5, method="guess"), ShapeError, "method='guess'"),
        (lambda: xnp.searchsorted(np.ones(3), 1.0, side="top"), ShapeError, "side='top'"),
    ],
)
def test_bad_input_is_explained(call, error, message):
    with pytest.raises(error, match=message):
        call()
