"""What programs return: NumPy arrays with JAX's operators, types and `.at`."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import random
from xlac.array import Array


def made(values, dtype=np.float32):
    return xnp.asarray(np.array(values, dtype))


def test_results_are_numpy_arrays_of_this_class():
    x = xlac.jit(lambda x: x + 1)(np.zeros(3, np.float32))
    assert type(x) is Array
    assert isinstance(x, np.ndarray)
    assert isinstance(x, xlac.Array)
    assert repr(x) == "array([1., 1., 1.], dtype=float32)"
    for values in (np.float32(0.1), np.array([0.1, 1 / 3], np.float32)):
        assert str(xnp.asarray(values)) == str(values)
    assert type(np.asarray(x)) is np.ndarray
    assert np.shares_memory(np.asarray(x), x)


def test_traced_arrays_are_instances_too():
    seen = []
    xlac.jit(lambda x: seen.append(isinstance(x, xlac.Array)) or x)(np.ones(2))
    assert seen == [True]
    assert not isinstance(np.ones(2), xlac.Array)


@pytest.mark.parametrize(
    "expression, dtype",
    [
        ("i / 2", "float32"),
        ("i / i", "float32"),
        ("i * f", "float32"),
        ("f * 2.5", "float32"),
        ("i + 1.5", "float32"),
        ("i // 2", "int32"),
        ("2**f", "float32"),
        ("f + np.float64(1)", "float32"),
        ("np.float64(1) * f", "float32"),
        ("np.sqrt(2.0) < f", "bool"),
        ("f - np.int64(1)", "float32"),
        ("f * np.array(2.0)", "float64"),
        ("i * np.float64(2)", "float64"),
        ("f + np.complex128(1j)", "complex64"),
        ("f.astype(np.float64) * np.float32(2)", "float64"),
        ("f < i", "bool"),
        ("-i", "int32"),
        ("i.sum()", "int32"),
        ("i.mean()", "float32"),
        ("f @ f", "float32"),
        ("i @ f", "float32"),
        ("plain + f", "float32"),
        ("plain * i", "int32"),
        ("divmod(i, 2)[1]", "int32"),
    ],
)
def test_types_are_those_of_traced_arrays(expression, dtype):
    names = {"i": made([1, 2, 3], np.int32), "f": made([1, 2, 3]), "plain": np.array([3, 2, 1], np.int32), "np": np}
    result = eval(expression, dict(names))
    traced = xlac.jit(lambda i, f: eval(expression, {**names, "i": i, "f": f}))(names["i"], names["f"])
    assert result.dtype == traced.dtype == dtype
    np.testing.assert_array_equal(result, traced)


def test_updates_in_place_make_new_arrays():
    x = made([1, 2, 3])
    y = x
    y += 1
    y *= 2
    np.testing.assert_array_equal(x, [1, 2, 3])
    np.testing.assert_array_equal(y, [4, 6, 8])


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda x: x.at[1].set(9.0), [1, 9, 3, 4]),
        (lambda x: x.at[-1].set(9.0), [1, 2, 3, 9]),
        (lambda x: x.at[1:3].add(1.0), [1, 3, 4, 4]),
        (lambda x: x.at[::2].multiply(2.0), [2, 2, 6, 4]),
        (lambda x: x.at[np.array([0, 0, 2])].add(1.0), [3, 2, 4, 4]),
        (lambda x: x.at[[3, 1]].set([7.0, 8.0]), [1, 8, 3, 7]),
        (lambda x: x.at[x > 2].set(0.0), [1, 2, 0, 0]),
        (lambda x: x.at[x > 2].set(np.array([5.0, 6.0])), [1, 2, 5, 6]),
        (lambda x: x.at[0].apply(lambda v: v + 41), [42, 2, 3, 4]),
        (lambda x: x.at[1:3].get(), [2, 3]),
        (lambda x: x.at[...].set(1.0), [1, 1, 1, 1]),
        (lambda x: x.at[3].min(-1.0), [1, 2, 3, -1]),
        (lambda x: x.at[0].max(10.0), [10, 2, 3, 4]),
        (lambda x: x.at[1].divide(2.0), [1, 1, 3, 4]),
        (lambda x: x.at[2].power(2.0), [1, 2, 9, 4]),
    ],
)
def test_at_gives_changed_copies(change, expected):
    x = made([1, 2, 3, 4])
    np.testing.assert_array_equal(change(x), np.array(expected, np.float32))
    np.testing.assert_array_equal(x, [1, 2, 3, 4])


def test_at_of_many_places_is_one_program():
    from xlac.frontend.indexing import _change_at

    x = xnp.zeros(50)
    x.at[0].set(1.0)
    before = len(_change_at._programs)
    for i in range(1, 50):
        x = x.at[i].set(float(i))
    np.testing.assert_array_equal(x, np.arange(50))
    assert len(_change_at._programs) == before


def test_a_method_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no method 'put'"):
        xnp.zeros(3).at[0].put(1.0)


def test_elements_are_arrays_and_slices_are_views():
    x = made([[1, 2], [3, 4]])
    assert type(x[0, 1]) is Array
    assert x[0, 1].shape == ()
    assert np.shares_memory(x[1:], x)
    assert [type(row) for row in x] == [Array, Array]
    with pytest.raises(IndexError):
        x[5]
    with pytest.raises(TypeError, match="0-d"):
        iter(x[0, 0])


def test_a_concrete_array_can_be_indexed_by_a_traced_one():
    table = made([10, 20, 30])
    look = xlac.jit(lambda i: table[i])
    assert look(np.int32(2)) == 30
    np.testing.assert_array_equal(look(np.array([1, 0])), [20, 10])
    np.testing.assert_array_equal(xlac.jit(lambda i: table[None, i])(np.int32(1)), [20])


def test_numpy_functions_see_a_plain_array():
    x = made([[3, 1], [2, 5]])
    out = np.empty(2, np.float32)
    assert np.sum(x, axis=0, out=out) is not None
    np.testing.assert_array_equal(out, [5, 6])
    np.testing.assert_array_equal(np.sort(x, axis=1), [[1, 3], [2, 5]])
    assert type(np.concatenate([x, x])) is Array
    assert np.argsort(x, kind="stable", axis=1).tolist() == [[1, 0], [0, 1]]
    assert np.mean(made([1, 2], np.int32)).dtype == np.float64
    values, counts = np.unique(x, return_counts=True)
    assert type(values) is type(counts) is Array
    np.testing.assert_array_equal(x.sort(axis=1), [[1, 3], [2, 5]])
    np.testing.assert_array_equal(x, [[3, 1], [2, 5]])


def test_numpy_functions_of_concrete_and_traced_arrays_are_traced():
    x = made([1, 2])
    result = xlac.jit(lambda y: np.concatenate([x, y]) + np.where(y > 0, x, y).sum())(made([3, 4]))
    np.testing.assert_array_equal(result, [4, 5, 6, 7])


def test_operands_of_other_classes_may_take_over():
    class Other:
        def __radd__(self, left):
            return "taken"

    assert made([1.0]) + Other() == "taken"
    with pytest.raises(TypeError):
        made([1.0]) + "text"
    assert (made([1.0]) == "text") is False


def test_copies_and_pickles_keep_class_and_values():
    x = made([1, 2, 3])
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert type(other) is Array
        assert not np.shares_memory(other, x)
        np.testing.assert_array_equal(other, x)


def test_its_namespace_is_xlac_numpy():
    assert made([1.0]).__array_namespace__() is xnp
    assert made([1.0]).block_until_ready().at is not None


def test_functions_keep_name_documentation_and_signature():
    import inspect

    assert xnp.add.__name__ == "add"
    assert "axis" in inspect.signature(xnp.sum).parameters
    assert xnp.exp.__doc__
    assert pickle.loads(pickle.dumps(xnp.exp)) is xnp.exp


@pytest.mark.parametrize("value", [[2, 3], (2, 3), np.array([2, 3])])
def test_settings_that_change_are_read_anew(value):
    x = xnp.arange(6)
    assert xnp.reshape(x, tuple(value)).shape == (2, 3)
    assert xnp.reshape(x, value).shape == (2, 3)
    if isinstance(value, list):
        value[:] = [3, 2]
        assert xnp.reshape(x, value).shape == (3, 2)


def test_settings_are_compared_by_value_and_type():
    x = xnp.asarray(np.arange(2000.0).reshape(2, 1000))
    for n in (1000, 500, 1000):
        assert xnp.roll(x, n, 1)[0, 0] == (1000 - n) % 1000
    assert xnp.sum(x, 0).shape == (1000,)
    assert xnp.sum(x, 0, keepdims=True).shape == (1, 1000)
    assert xnp.sum(x, 0, keepdims=False).shape == (1000,)


@pytest.mark.parametrize("order", [("minval", "maxval"), ("maxval", "minval")])
def test_data_given_by_name_may_come_in_any_order(order):
    ends = {"minval": np.float32(2), "maxval": np.float32(3)}
    settings = {name: ends[name] for name in order}
    expected = random.uniform(random.PRNGKey(1), (4,), np.float32, 2, 3)
    for _ in range(3):  # traced, then native
        np.testing.assert_array_equal(random.uniform(random.PRNGKey(1), (4,), **settings), expected)
        np.testing.assert_array_equal(random.uniform(random.PRNGKey(1), (4,), **dict(settings)), expected)
