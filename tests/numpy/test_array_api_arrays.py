"""Arrays of the Python Array API standard 2024.12: attributes, numbers, indexing, exchange of memory, the namespace."""

import operator

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def array(value=X, **settings):
    return xnp.asarray(value, copy=True, **settings)


def test_attributes():
    x = array()
    assert (x.dtype, x.ndim, x.shape, x.size) == (xnp.float32, 3, (2, 3, 4), 24)
    assert x.device == xnp.__array_namespace_info__().default_device() and x.to_device(x.device).shape == x.shape
    assert x.mT.shape == (2, 4, 3) and array(X[0]).T.shape == (4, 3)
    assert isinstance(x.shape, tuple) and isinstance(x.size, int)
    assert x.__array_namespace__() is x.__array_namespace__(api_version="2024.12") is xnp
    with pytest.raises(Exception, match="api_version"):
        x.__array_namespace__(api_version="2019.1")


@pytest.mark.parametrize("traced", [False, True])
def test_arrays_say_where_they_are(traced):
    def function(x):
        assert x.device == "cpu" and x.to_device("cpu") is not None
        with pytest.raises(ValueError, match="cpu"):
            x.to_device("tpu")
        return x

    (xlac.jit(function) if traced else function)(array())


@pytest.mark.parametrize("number", [True, 3, 2.5, 1 - 2j], ids=["bool", "int", "float", "complex"])
def test_arrays_of_no_dimension_are_numbers(number):
    x = xnp.asarray(number)
    assert type(number)(x) == number and complex(x) == number and bool(x) is True
    if isinstance(number, int):
        assert operator.index(xnp.asarray(int(number))) == int(number) and [5, 6, 7, 8][xnp.asarray(int(number))]
    for wrong in (xnp.asarray([1, 2]),):
        for convert in (bool, int, float, complex, operator.index):
            with pytest.raises((TypeError, ValueError)):
                convert(wrong)
    with pytest.raises(TypeError):
        operator.index(xnp.asarray(1.0))
    assert float(xnp.asarray(np.inf)) == np.inf and np.isnan(float(xnp.asarray(np.nan)))
    with pytest.raises(OverflowError):
        int(xnp.asarray(np.inf))


def indices():
    mask = X > 7
    return {
        "integer": 1,
        "negative": -1,
        "slice": slice(None, None, -1),
        "steps": (slice(0, 2), slice(2, 0, -2), slice(-3, None)),
        "ellipsis": ...,
        "ellipsis inside": (0, ..., -1),
        "new axis": (None, 0, ..., None, 1),
        "all integers": (1, -1, 2),
        "array of no dimension": (xnp.asarray(1), ..., xnp.asarray(-2)),
        "no index": (),
        "no elements": (slice(2, 2), 0),
        "mask": xnp.asarray(mask),
        "mask of the first dimension": xnp.asarray([False, True]),
        "mask of nothing": xnp.asarray(np.zeros((2, 3, 4), bool)),
        "mask of no dimension": xnp.asarray(True),
        "integers": (xnp.asarray([0, 1, 0]), xnp.asarray([2, -1, 0])),
        "integers that broadcast": (xnp.asarray([[0], [1]]), 1, xnp.asarray([3, 0])),
    }


@pytest.mark.parametrize("name", indices())
def test_indexing_gives_and_changes_elements(name):
    index = indices()[name]
    plain = tuple(np.asarray(i) if isinstance(i, np.ndarray) else i for i in index) if type(index) is tuple else index
    plain = np.asarray(plain) if isinstance(plain, np.ndarray) else plain
    got, want = array()[index], np.asarray(X[plain])
    assert got.dtype == want.dtype and got.shape == want.shape and got.__array_namespace__() is xnp
    np.testing.assert_array_equal(got, want)
    for value in (-1.0, 7, xnp.asarray(-2.0, dtype="float32"), xnp.asarray(want + 1)):
        x, changed = array(), X.copy()
        x[index] = value
        changed[plain] = np.asarray(value)
        np.testing.assert_array_equal(x, changed)
        assert x.dtype == np.float32


def test_indices_out_of_range_are_errors():
    for index in (2, (0, -4), (0, 0, 0, 0), xnp.asarray([True, False, True])):
        with pytest.raises(IndexError):
            array()[index]
        with pytest.raises(IndexError):
            array()[index] = 1


def test_in_place_operators_give_the_result_to_the_name():
    x = array()
    for operate in (operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv, operator.imod):
        np.testing.assert_allclose(operate(array(), 3), getattr(operator, operate.__name__[1:])(X, np.float32(3)))
    x += 1
    x *= xnp.asarray([1, 2, 3, 4], dtype="float32")
    np.testing.assert_array_equal(x, (X + 1) * np.array([1, 2, 3, 4], np.float32))
    m = array(np.eye(2, dtype=np.float32))
    m @= array(np.ones((2, 2), np.float32))
    np.testing.assert_array_equal(m, np.ones((2, 2)))


def test_memory_is_exchanged_with_other_libraries():
    x = array()
    assert x.__dlpack_device__() == (1, 0)
    for capsule in (x.__dlpack__(), x.__dlpack__(max_version=(1, 0)), x.__dlpack__(copy=True, dl_device=(1, 0))):
        assert "dltensor" in repr(capsule)
    taken = np.from_dlpack(x)
    taken[0, 0, 0] = 5
    assert x[0, 0, 0] == 5
    back = xnp.from_dlpack(np.asarray(X), device="cpu")
    assert back.__array_namespace__() is xnp and back.dtype == np.float32
    assert xnp.from_dlpack(x, copy=True).__array_namespace__() is xnp


def test_results_are_arrays_of_the_namespace():
    x = array()
    results = [
        xnp.zeros(2), xnp.ones(2), xnp.empty(2), xnp.full(2, 1), xnp.arange(3), xnp.eye(2), xnp.linspace(0, 1, 3),
        xnp.asarray(1.0), xnp.asarray([1, 2]), xnp.asarray(X), xnp.meshgrid(xnp.arange(2))[0], xnp.tril(x), x.mT, x.T,
        x[0], x[0, 0, 0], xnp.sum(x), xnp.nonzero(x)[0], xnp.unique_values(x), xnp.astype(x, xnp.int8), xnp.sort(x),
        xnp.linalg.qr(x).Q, xnp.fft.fft(x), xnp.fft.fftfreq(3), xnp.broadcast_arrays(x)[0], xnp.unstack(x)[0], +x, -x,
        abs(x), x == x, ~xnp.asarray(True), x.to_device("cpu"), xnp.unique_all(x).counts, xnp.from_dlpack(x),
    ]  # fmt: skip
    assert [i for i, r in enumerate(results) if not hasattr(r, "shape") or r.__array_namespace__() is not xnp] == []


def test_the_namespace_describes_itself():
    info = xnp.__array_namespace_info__()
    assert set(info.capabilities()) == {"boolean indexing", "data-dependent shapes", "max dimensions"}
    assert info.capabilities()["boolean indexing"] is info.capabilities()["data-dependent shapes"] is True
    assert info.default_device() in info.devices()
    for kind, dtype in info.default_dtypes(device=info.default_device()).items():
        assert isinstance(kind, str) and xnp.zeros(1, dtype=dtype).dtype == dtype
    assert xnp.arange(3).dtype == info.default_dtypes()["integral"]
    assert xnp.argmax(xnp.arange(3)).dtype == info.default_dtypes()["indexing"]
    assert xnp.asarray(1j).dtype == info.default_dtypes()["complex floating"]
    for kind in (
        "bool",
        "signed integer",
        "unsigned integer",
        "integral",
        "real floating",
        "complex floating",
        "numeric",
    ):
        found = info.dtypes(kind=kind)
        assert found and all(d == getattr(xnp, n) and xnp.isdtype(d, kind) for n, d in found.items())
    assert info.dtypes(kind=()) == {} and len(info.dtypes()) == 13
    assert set(info.dtypes(kind=("bool", "real floating"))) == {"bool", "float32", "float64"}
    assert (xnp.e, xnp.pi, xnp.newaxis) == (np.e, np.pi, None) and np.isnan(xnp.nan) and xnp.inf == np.inf
