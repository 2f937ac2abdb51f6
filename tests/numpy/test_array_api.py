"""`xlac.numpy` as the namespace of the Python Array API standard 2024.12: what no other file of it tests."""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac.errors import ShapeError, TraceError


def test_types_and_constants_of_the_standard_are_there():
    types = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
    assert [n for n in (*types.split(), "e", "inf", "nan", "newaxis", "pi") if not hasattr(xnp, n)] == []
    assert xnp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match="only 'cpu'"):
        xnp.zeros(3, device="tpu")


def test_limits_of_types_beyond_the_standards():
    assert isinstance(xnp.finfo(xnp.bfloat16).eps, float)
    with pytest.raises(ShapeError, match="use iinfo"):
        xnp.finfo(np.int32)


def test_kinds_of_types():
    assert xnp.isdtype(np.float32, "real floating") and xnp.isdtype(xnp.bfloat16, "numeric")
    assert xnp.isdtype(np.int8, ("bool", "signed integer")) and not xnp.isdtype(np.bool_, "numeric")
    assert xnp.isdtype(np.int8, np.int8) and not xnp.isdtype(np.int8, (np.int16, "unsigned integer"))
    with pytest.raises(ValueError, match="must be a type or one of"):
        xnp.isdtype(np.int8, "whole")


def test_issubdtype_places_the_types_that_numpy_does_not_have():
    for name in (xnp.bfloat16, np.dtype(xnp.bfloat16), "bfloat16", xnp.float8_e5m2):
        assert all(xnp.issubdtype(name, kind) for kind in (np.floating, np.inexact, np.number, np.generic, name))
        assert not xnp.issubdtype(name, np.complexfloating) and not xnp.issubdtype(name, np.float32)
    assert xnp.issubdtype(xnp.int4, np.signedinteger) and xnp.issubdtype(xnp.uint4, np.unsignedinteger)
    assert not xnp.issubdtype(xnp.int4, np.floating)
    assert xnp.issubdtype(np.float32, np.floating) and xnp.issubdtype(np.floating, np.inexact)
    assert xnp.can_cast(np.int8, np.int16) and not xnp.can_cast(np.ones(1, np.float64), np.float32)
    assert xnp.result_type(np.ones(1, np.float32), 1.0) == np.float32


def test_integers_divided_by_zero_are_zero_as_numpys():
    x = np.array([3, -3, 0], np.int32)
    for name in ("floor_divide", "remainder"):
        np.testing.assert_array_equal(getattr(xnp, name)(x, np.zeros(3, np.int32)), 0)


# ---- sets, cumulative sums, results with names


def test_nans_are_unique_values_of_their_own():
    x = np.array([np.nan, 1.0, np.nan, 1.0])
    found = xnp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    np.testing.assert_array_equal(found.values, [1.0, np.nan, np.nan])
    np.testing.assert_array_equal(found.counts, [2, 1, 1])
    np.testing.assert_array_equal(found.values[found.inverse_indices], x)
    assert found.indices.dtype == np.int32
    assert xnp.unique_inverse(np.ones((2, 3))).inverse_indices.shape == (2, 3)


def test_arrays_without_elements_have_results():
    empty = np.zeros((0, 3), np.float32)
    assert xnp.sum(empty, axis=0).tolist() == [0.0] * 3
    assert xnp.linalg.inv(np.zeros((0, 2, 2))).shape == (0, 2, 2)
    assert xnp.linalg.det(np.zeros((0, 0))) == 1.0
    assert xnp.sort(empty).shape == xnp.cumulative_sum(empty, axis=0).shape == (0, 3)
    assert xnp.concat([empty, empty]).shape == (0, 3)
    with pytest.raises(ShapeError, match="has no elements"):
        xnp.max(empty)


def test_copies_that_are_needed_but_refused_are_errors():
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
        (lambda: xnp.linalg.inv(np.ones((2, 3))), ShapeError, r"inv: an array .*\[2, ?3\]; it must be square"),
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


def test_axes_are_any_sequence_of_integers():
    x = xnp.asarray(np.arange(24.0).reshape(2, 3, 4))
    for axes in (range(1, 3), [1, 2], range(-2, 0)):
        assert xnp.sum(x, axis=axes).tolist() == np.sum(np.asarray(x), axis=(1, 2)).tolist()
    assert xnp.expand_dims(x, range(2)).shape == (1, 1, 2, 3, 4)
    assert xnp.roll(x, (1, 1), range(2))[0, 0, 0] == x[1, 2, 0]
