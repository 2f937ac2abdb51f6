"""The functions of the Python Array API standard 2024.12 on drawn arrays: values, types and shapes, against NumPy's.

XLAC_TEST_EXAMPLES sets how many arguments are drawn for each function.
"""

import math
import operator
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
import xlac.numpy as xnp
from xlac.errors import ShapeError

EXAMPLES = int(os.environ.get("XLAC_TEST_EXAMPLES", "4"))
BOOL, SIGNED, UNSIGNED = ["bool"], ["int8", "int16", "int32", "int64"], ["uint8", "uint16", "uint32", "uint64"]
FLOAT, COMPLEX = ["float32", "float64"], ["complex64", "complex128"]
INTEGER, INEXACT = SIGNED + UNSIGNED, FLOAT + COMPLEX
REAL = INTEGER + FLOAT
NUMERIC = REAL + COMPLEX
ALL = BOOL + NUMERIC
BITS = BOOL + INTEGER
KINDS = {"b": BOOL, "i": SIGNED, "u": UNSIGNED, "f": FLOAT, "c": COMPLEX}


def drawn(**strategies):
    """As `given`, with EXAMPLES examples."""
    return lambda test: settings(max_examples=EXAMPLES)(given(**strategies)(test))


def filled(seed, dtype, shape, low=-5, high=6, finite=True):
    """An array of small numbers, quarters for floats."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype == np.bool_:
        return xnp.asarray(rng.integers(0, 2, shape), dtype=bool)
    low = max(low, 0) if dtype.kind == "u" else low
    x = rng.integers(low, high, shape).astype(dtype)
    if dtype.kind in "fc":
        x = (x + rng.integers(0, 4, shape) / 4).astype(dtype)
        x = x + (1j * rng.integers(low, high, shape)).astype(dtype) if dtype.kind == "c" else x
        if not finite:
            x = np.where(rng.random(shape) < 0.2, np.asarray(np.nan, dtype), x)
    return xnp.asarray(x)


shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
full_shapes = st.lists(st.integers(1, 4), max_size=3).map(tuple)
seeds = st.integers(0, 1000)


@st.composite
def arrays(draw, dtypes=ALL, shape=shapes, finite=True):
    return filled(
        draw(seeds), draw(st.sampled_from(dtypes)), draw(shape) if hasattr(shape, "map") else shape, finite=finite
    )


@st.composite
def broadcastable(draw, count):
    """Shapes that broadcast together."""
    common = draw(shapes)
    found = []
    for _ in range(count):
        rank = draw(st.integers(0, len(common)))
        found.append(tuple(1 if draw(st.booleans()) else n for n in common[len(common) - rank :]))
    return found


@st.composite
def promotable(draw, dtypes=ALL):
    """Two types of one kind, or a signed and an unsigned one with a common integer type."""
    first = draw(st.sampled_from(dtypes))
    kind = np.dtype(first).kind
    same = [d for d in dtypes if np.dtype(d).kind in ("iu" if kind in "iu" else kind)]
    second = draw(
        st.sampled_from([d for d in same if np.result_type(first, d).kind in ("iu" if kind in "iu" else kind)])
    )
    return first, second


def axis_of(x, tuples=True, none=True):
    choices = [st.none()] if none else []
    if x.ndim:
        choices.append(st.integers(-x.ndim, x.ndim - 1))
        if tuples:
            choices.append(st.lists(st.integers(0, x.ndim - 1), min_size=1, unique=True).map(tuple))
    return st.one_of(choices)


def agree(got, want, dtype=None, rtol=None):
    """Equal to NumPy's result, and an array of this namespace; the type is NumPy's unless given."""
    want = np.asarray(want)
    dtype = np.dtype(want.dtype if dtype is None else dtype)
    assert got.dtype == dtype, f"{got.dtype} is not {dtype}"
    assert got.shape == want.shape
    assert got.__array_namespace__(api_version="2024.12") is xnp
    if dtype.kind in "fc":
        rtol = (1e-5 if dtype.itemsize // (1 + (dtype.kind == "c")) == 4 else 1e-12) if rtol is None else rtol
        np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol)
    else:
        np.testing.assert_array_equal(got, want.astype(dtype))


# ---- functions of one and of two arrays

UNARY = {
    **dict.fromkeys("abs negative positive square sign conj real isfinite isinf isnan".split(), NUMERIC),
    **dict.fromkeys("ceil floor trunc".split(), REAL),
    **dict.fromkeys("exp expm1 sin cos tan sinh cosh tanh asinh atan sqrt reciprocal log1p".split(), INEXACT),
    **dict.fromkeys("acos acosh asin atanh log log2 log10".split(), INEXACT),
    "round": NUMERIC,
    "imag": COMPLEX,
    "signbit": FLOAT,
    "bitwise_invert": BITS,
    "logical_not": BOOL,
}
BINARY = {
    **dict.fromkeys("add subtract multiply".split(), NUMERIC),
    **dict.fromkeys("equal not_equal".split(), ALL),
    **dict.fromkeys("less less_equal greater greater_equal maximum minimum floor_divide remainder".split(), REAL),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), BITS),
    **dict.fromkeys("bitwise_left_shift bitwise_right_shift".split(), INTEGER),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), BOOL),
    **dict.fromkeys("atan2 copysign hypot logaddexp nextafter".split(), FLOAT),
    "divide": INEXACT,
    "pow": NUMERIC,
}
OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "pow": operator.pow,
    "bitwise_and": operator.and_,
    "bitwise_or": operator.or_,
    "bitwise_xor": operator.xor,
    "bitwise_left_shift": operator.lshift,
    "bitwise_right_shift": operator.rshift,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
IN_PLACE = {
    "add": operator.iadd,
    "subtract": operator.isub,
    "multiply": operator.imul,
    "divide": operator.itruediv,
    "floor_divide": operator.ifloordiv,
    "remainder": operator.imod,
    "pow": operator.ipow,
    "bitwise_and": operator.iand,
    "bitwise_or": operator.ior,
    "bitwise_xor": operator.ixor,
    "bitwise_left_shift": operator.ilshift,
    "bitwise_right_shift": operator.irshift,
}


@pytest.mark.parametrize("name", UNARY)
@drawn(data=st.data())
def test_functions_of_one_array(name, data):
    x = data.draw(arrays(UNARY[name], finite=False))
    if name == "abs" and x.dtype.kind == "c" or name in ("sinh", "cosh", "tan"):
        x = xnp.asarray(np.where(np.isnan(x), 1, x).astype(x.dtype))
    with np.errstate(all="ignore"):
        want = getattr(np, name)(np.asarray(x))
    agree(getattr(xnp, name)(x), np.asarray(want).astype(want.dtype))


def _operands(name, data):
    one, two = data.draw(promotable(BINARY[name]))
    if name == "nextafter":
        two = one
    first, second = data.draw(broadcastable(2))
    low = 1 if name in ("floor_divide", "remainder", "pow") or "shift" in name else -5
    x = filled(data.draw(seeds), one, first)
    y = filled(data.draw(seeds), two, second, low, 4 if low == 1 else 6)
    return x, y


@pytest.mark.parametrize("name", BINARY)
@drawn(data=st.data())
def test_functions_and_operators_of_two_arrays(name, data):
    x, y = _operands(name, data)
    with np.errstate(all="ignore"):
        want = getattr(np, name)(np.asarray(x), np.asarray(y))
    want = want if want.dtype == np.bool_ else np.asarray(want).astype(np.result_type(x, y))
    agree(getattr(xnp, name)(x, y), want)
    if name in OPERATORS:
        agree(OPERATORS[name](x, y), want)
    if name in IN_PLACE and x.shape == want.shape and x.dtype == want.dtype:
        agree(IN_PLACE[name](xnp.asarray(x, copy=True), y), want)


def scalars_for(dtype):
    """Python numbers that an array of a type meets without a change of its type."""
    kind = np.dtype(dtype).kind
    found = [True] if kind == "b" else [1, 3]
    return found + ([0.5, 2.0] if kind in "fc" else []) + ([1 + 2j] if kind == "c" else [])


@pytest.mark.parametrize("name", BINARY)
@drawn(data=st.data())
def test_python_numbers_take_the_type_of_the_array_beside_them(name, data):
    dtype = data.draw(st.sampled_from(BINARY[name]))
    number = data.draw(st.sampled_from(scalars_for(dtype)))
    x = filled(data.draw(seeds), dtype, data.draw(shapes), 1, 4)
    for ways in ([getattr(xnp, name)] + ([OPERATORS[name]] if name in OPERATORS else []),):
        for call in ways:
            with np.errstate(all="ignore"):
                after = getattr(np, name)(np.asarray(x), np.asarray(number, dtype))
                before = getattr(np, name)(np.asarray(number, dtype), np.asarray(x))
            agree(call(x, number), after)
            agree(call(number, x), before)


@drawn(data=st.data())
def test_clip(data):
    x = data.draw(arrays(REAL))
    low, high = (
        data.draw(
            st.sampled_from([None, v, np.asarray(v, x.dtype), filled(1, x.dtype, x.shape) + np.asarray(v, x.dtype)])
        )
        for v in (0, 6)
    )
    want = np.asarray(x)
    want = want if low is None else np.maximum(want, np.asarray(low).astype(x.dtype))
    want = want if high is None else np.minimum(want, np.asarray(high).astype(x.dtype))
    agree(xnp.clip(x, low, high), want)
    agree(xnp.clip(x, min=low, max=high), want)


@drawn(data=st.data())
def test_where_promotes_and_takes_python_numbers(data):
    one, two = data.draw(promotable())
    c, a, b = data.draw(broadcastable(3))
    condition, x, y = filled(1, "bool", c), filled(2, one, a), filled(3, two, b)
    agree(xnp.where(condition, x, y), np.where(condition, np.asarray(x), np.asarray(y)))
    number = data.draw(st.sampled_from(scalars_for(one)))
    agree(xnp.where(condition, x, number), np.where(condition, np.asarray(x), np.asarray(number, one)))


# ---- reductions


def summed_type(dtype):
    """Sums and products are at least of the default type of their kind."""
    wide = {"i": "int32", "u": "uint32", "f": "float32", "c": "complex64"}[np.dtype(dtype).kind]
    return np.promote_types(dtype, wide)


@pytest.mark.parametrize("name", "sum prod max min mean std var all any count_nonzero".split())
@drawn(data=st.data())
def test_reductions(name, data):
    dtypes = {"sum": NUMERIC, "prod": NUMERIC, "max": REAL, "min": REAL, "all": ALL, "any": ALL, "count_nonzero": ALL}
    nonempty = name not in ("sum", "prod", "all", "any", "count_nonzero")
    x = data.draw(arrays(dtypes.get(name, FLOAT), full_shapes if nonempty else shapes))
    keywords = {"axis": data.draw(axis_of(x)), "keepdims": data.draw(st.booleans())}
    wanted = dict(keywords)
    dtype = {"count_nonzero": "int32", "all": "bool", "any": "bool"}.get(name, x.dtype)
    if name in ("sum", "prod"):
        given_type = data.draw(st.sampled_from([None, x.dtype, np.promote_types(x.dtype, np.int64)]))
        dtype = summed_type(x.dtype) if given_type is None else given_type
        keywords["dtype"], wanted["dtype"] = given_type, dtype
    if name in ("std", "var"):
        correction = data.draw(st.sampled_from([0.0, 0, 0.5, 1]))
        keywords["correction"] = wanted["correction"] = correction
        with np.errstate(all="ignore"):
            want = getattr(np, name)(np.asarray(x), **wanted)
        agree(getattr(xnp, name)(x, **keywords), want, x.dtype)
        return
    agree(getattr(xnp, name)(x, **keywords), getattr(np, name)(np.asarray(x), **wanted), dtype)


def test_reductions_of_no_elements():
    empty = np.zeros((0,), np.float32)
    assert xnp.sum(empty) == 0 and xnp.prod(empty) == 1
    for name in ("mean", "std", "var"):
        assert np.isnan(getattr(xnp, name)(empty))


@pytest.mark.parametrize("name", ["max", "min", "mean", "std", "var", "sum", "prod"])
def test_reductions_pass_nan_on(name):
    assert np.isnan(getattr(xnp, name)(np.array([[1.0, np.nan], [3.0, 4.0]])))


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@drawn(data=st.data())
def test_running_sums_and_products(name, data):
    x = data.draw(arrays(NUMERIC, shapes.filter(len)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1) | (st.none() if x.ndim == 1 else st.nothing()))
    initial, given_type = data.draw(st.booleans()), data.draw(st.sampled_from([None, x.dtype]))
    dtype = summed_type(x.dtype) if given_type is None else given_type
    want = getattr(np, name)(np.asarray(x), axis=axis, dtype=dtype, include_initial=initial)
    agree(getattr(xnp, name)(x, axis=axis, dtype=given_type, include_initial=initial), want)


@drawn(data=st.data())
def test_differences(data):
    x = data.draw(arrays(NUMERIC, full_shapes.filter(len)))
    axis, n = data.draw(st.integers(-x.ndim, x.ndim - 1)), data.draw(st.integers(0, 3))
    ends = {k: x for k in ("prepend", "append") if data.draw(st.booleans())}
    want = np.diff(np.asarray(x), n, axis, **{k: np.asarray(v) for k, v in ends.items()})
    agree(xnp.diff(x, axis=axis, n=n, **ends), want)


# ---- searching, sorting, sets


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@drawn(data=st.data())
def test_places_of_extremes(name, data):
    x = data.draw(arrays(REAL, full_shapes))
    keywords = {"axis": data.draw(axis_of(x, tuples=False)), "keepdims": data.draw(st.booleans())}
    agree(getattr(xnp, name)(x, **keywords), getattr(np, name)(np.asarray(x), **keywords), "int32")


@drawn(x=arrays(ALL, shapes.filter(len)))
def test_nonzero(x):
    for got, want in zip(xnp.nonzero(x), np.nonzero(np.asarray(x)), strict=True):
        agree(got, want, "int32")


def test_nonzero_of_a_number_is_an_error():
    with pytest.raises(Exception, match="nonzero"):
        xnp.nonzero(xnp.asarray(3))


@drawn(data=st.data())
def test_searchsorted(data):
    dtype = data.draw(st.sampled_from(REAL))
    x1, x2 = filled(1, dtype, (data.draw(st.integers(1, 6)),)), filled(2, dtype, data.draw(shapes))
    side = data.draw(st.sampled_from(["left", "right"]))
    order = np.argsort(np.asarray(x1), stable=True)
    want = np.searchsorted(np.asarray(x1)[order], np.asarray(x2), side)
    agree(xnp.searchsorted(x1, x2, side=side, sorter=xnp.asarray(order)), want, "int32")
    agree(xnp.searchsorted(xnp.sort(x1), x2, side=side), want, "int32")


@drawn(data=st.data())
def test_sorting_and_its_order(data):
    x = data.draw(arrays(REAL, shapes.filter(len)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    descending, stable = data.draw(st.booleans()), data.draw(st.booleans())
    order = xnp.argsort(x, axis=axis, descending=descending, stable=stable)
    want = np.sort(np.asarray(x), axis=axis)
    want = np.flip(want, axis) if descending else want
    agree(xnp.sort(x, axis=axis, descending=descending, stable=stable), want)
    agree(xnp.take_along_axis(x, order, axis=axis), want)
    assert order.dtype == np.int32
    if stable:
        keys = np.asarray(x).astype(float) * (-1 if descending else 1)
        np.testing.assert_array_equal(order, np.argsort(keys, axis=axis, stable=True))


@drawn(x=arrays(ALL, full_shapes, finite=False))
def test_sets_of_values(x):
    found = xnp.unique_all(x)
    values, indices, inverse, counts = np.unique(np.asarray(x), True, True, True, equal_nan=False)
    agree(found.values, values)
    agree(found.values, xnp.unique_values(x))
    agree(found.indices, indices, "int32")
    agree(found.inverse_indices, inverse.reshape(x.shape), "int32")
    agree(found.counts, counts, "int32")
    agree(xnp.unique_counts(x).counts, counts, "int32")
    agree(xnp.unique_inverse(x).inverse_indices, inverse.reshape(x.shape), "int32")
    assert xnp.unique_inverse(x)._fields == ("values", "inverse_indices")
    assert xnp.unique_counts(x)._fields == ("values", "counts")


# ---- shapes


@drawn(data=st.data())
def test_concat_and_stack(data):
    one, two = data.draw(promotable())
    shape = data.draw(shapes.filter(len))
    x, y = filled(1, one, shape), filled(2, two, shape)
    axis = data.draw(st.none() | st.integers(-len(shape), len(shape) - 1))
    agree(xnp.concat([x, y], axis=axis), np.concat([np.asarray(x), np.asarray(y)], axis=axis))
    axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    agree(xnp.stack((x, y), axis=axis), np.stack([np.asarray(x), np.asarray(y)], axis))


@drawn(data=st.data())
def test_moves_of_elements(data):
    x = data.draw(arrays())
    a, n = np.asarray(x), x.ndim
    axes = data.draw(axis_of(x))
    agree(xnp.flip(x, axis=axes), np.flip(a, axes))
    order = tuple(data.draw(st.permutations(range(n))))
    agree(xnp.permute_dims(x, order), np.permute_dims(a, order))
    agree(xnp.moveaxis(x, order, tuple(range(n))), np.moveaxis(a, order, tuple(range(n))))
    shift = data.draw(st.integers(-9, 9))
    agree(xnp.roll(x, shift), np.roll(a, shift))
    if n:
        shifts, axis = tuple(range(n)), data.draw(st.integers(-n, n - 1))
        agree(xnp.roll(x, (shift, 1), axis=axis), np.roll(a, (shift, 1), axis))
        agree(xnp.roll(x, shifts, axis=shifts), np.roll(a, shifts, shifts))
        agree(xnp.roll(x, shift, axis=axis), np.roll(a, shift, axis))
        for got, want in zip(xnp.unstack(x, axis=axis), np.unstack(a, axis=axis), strict=True):
            agree(got, want)
    counts = data.draw(st.lists(st.integers(0, 3), max_size=4).map(tuple))
    agree(xnp.tile(x, counts), np.tile(a, counts))


@drawn(data=st.data())
def test_changes_of_shape(data):
    x = data.draw(arrays())
    a = np.asarray(x)
    axis = data.draw(st.integers(-x.ndim - 1, x.ndim))
    wide = xnp.expand_dims(x, axis=axis)
    agree(wide, np.expand_dims(a, axis))
    agree(xnp.squeeze(wide, axis), a)
    agree(xnp.reshape(x, (-1,) if x.size else (0,)), a.reshape(-1))
    agree(xnp.reshape(x, (1, *x.shape), copy=True), a[None])
    agree(xnp.broadcast_to(x, (2, *x.shape)), np.broadcast_to(a, (2, *x.shape)))
    for got, want in zip(xnp.broadcast_arrays(x, x[None]), np.broadcast_arrays(a, a[None]), strict=True):
        agree(got, want)


@drawn(data=st.data())
def test_repeat(data):
    x = data.draw(arrays())
    axis = data.draw(axis_of(x, tuples=False))
    count = data.draw(st.integers(0, 3))
    agree(xnp.repeat(x, count, axis=axis), np.repeat(np.asarray(x), count, axis))
    length = x.size if axis is None else x.shape[axis]
    each = filled(3, data.draw(st.sampled_from(INTEGER)), (length,), 0, 4)
    agree(xnp.repeat(x, each, axis=axis), np.repeat(np.asarray(x), np.asarray(each).astype(np.int64), axis))


def test_axes_that_are_not_there_are_errors_of_the_standards_kind():
    x = xnp.ones((2, 3))
    for axis in (-4, 3):
        with pytest.raises(IndexError):
            xnp.expand_dims(x, axis=axis)
    for axis in (0, (0, 1), -1):
        with pytest.raises(ValueError, match="squeeze"):
            xnp.squeeze(x, axis)
    for bad in ((2,), (4, 2), (-1, 4)):
        with pytest.raises(Exception, match="reshape"):
            xnp.reshape(x, bad)


@drawn(data=st.data())
def test_take(data):
    x = data.draw(arrays(ALL, full_shapes.filter(len)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    indices = filled(5, data.draw(st.sampled_from(["int8", "int32", "int64", "uint64"])), (3,), 0, x.shape[axis])
    agree(xnp.take(x, indices, axis=axis), np.take(np.asarray(x), np.asarray(indices).astype(int), axis))
    shape = list(x.shape)
    shape[axis] = 2
    places = filled(6, "int64", shape, -x.shape[axis], x.shape[axis])
    agree(xnp.take_along_axis(x, places, axis=axis), np.take_along_axis(np.asarray(x), np.asarray(places), axis))


@drawn(data=st.data())
def test_triangles(data):
    x = data.draw(arrays(ALL, st.tuples(*[st.integers(0, 4)] * 3)))
    k = data.draw(st.integers(-5, 5) | st.sampled_from([-(10**12), 10**12]))
    agree(xnp.tril(x, k=k), np.tril(np.asarray(x), k))
    agree(xnp.triu(x, k=k), np.triu(np.asarray(x), k))


# ---- creation


@drawn(data=st.data())
def test_arange(data):
    dtype = data.draw(st.sampled_from([None, *SIGNED, *FLOAT]))
    number = st.integers(-20, 20) if dtype in (None, *SIGNED) else st.integers(-20, 20) | st.floats(-20, 20, width=16)
    start, stop = data.draw(number), data.draw(st.none() | number)
    step = data.draw(st.none() | number.filter(lambda v: abs(v) > 0.5)) if stop is not None else None
    given_by_name = data.draw(st.booleans())
    if given_by_name and stop is not None:
        got = xnp.arange(start, stop=stop, dtype=dtype, **({} if step is None else {"step": step}))
    else:
        got = xnp.arange(*[v for v in (start, stop, step) if v is not None], dtype=dtype)
    first, last, by = (0, start, 1) if stop is None else (start, stop, 1 if step is None else step)
    count = max(math.ceil((last - first) / by), 0)
    assert got.shape == (count,)
    agree(got, [first + i * by for i in range(count)] if count else np.zeros(0), dtype or "int32")


def test_arange_of_floats_is_of_the_default_float():
    for arguments in ((3.0,), (0.0, 3), (0, 3, 0.5), (0, 3.5)):
        assert xnp.arange(*arguments).dtype == np.float32
    assert xnp.arange(2**40, 2**40 + 2).dtype == np.int64
    assert xnp.arange(2**63, 2**63 + 3, dtype="uint64").tolist() == [2**63, 2**63 + 1, 2**63 + 2]


NUMBERS = {
    "bool": [True, False],
    "int8": [-128, 127],
    "int64": [-(2**63), 2**63 - 1],
    "uint8": [0, 255],
    "uint64": [0, 2**64 - 1, 2**63],
    "float32": [0.5, float("inf"), -0.0, 1e-45],
    "float64": [5e-324, 1.7e308],
    "complex64": [1 + 2j],
    "complex128": [1e300 - 2j, 3, 0.5],
}


@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrays_from_python_numbers(dtype):
    for number in NUMBERS[dtype]:
        for got in (
            xnp.asarray(number, dtype=dtype),
            xnp.full((), number, dtype=dtype),
            xnp.full_like(xnp.zeros((), dtype=dtype), number),
        ):
            agree(got, np.asarray(number, dtype))
        agree(xnp.asarray([[number, number]], dtype=dtype), np.asarray([[number, number]], dtype))
        agree(xnp.full((2, 1), number, dtype=dtype), np.full((2, 1), number, dtype))
        assert xnp.asarray(number, dtype=dtype).item() == np.asarray(number, dtype).item()


def test_arrays_from_buffers_ranges_and_lists_of_arrays():
    memory = bytearray(b"abc")
    agree(xnp.asarray(memory), np.array([97, 98, 99], np.uint8))
    assert np.shares_memory(xnp.asarray(memoryview(memory), copy=False), np.frombuffer(memory, np.uint8))
    agree(xnp.asarray(range(1, 9, 3)), np.array([1, 4, 7], np.int32))
    x = xnp.asarray([[1.0, 2.0], [3.0, 4.0]])
    agree(xnp.asarray([[x[0, 0], 5], [6.0, x[1, 1]]]), np.array([[1, 5], [6, 4]], np.float32))
    agree(xnp.asarray(xnp.unstack(x), dtype=x.dtype), np.asarray(x))
    assert xnp.asarray([[], []]).dtype == np.float32 and xnp.asarray((), dtype="int8").dtype == np.int8
    agree(xnp.asarray([2**63 + 1, 5], dtype="uint64"), np.array([2**63 + 1, 5], np.uint64))
    with pytest.raises(TypeError):
        xnp.asarray({"a": 1})


@pytest.mark.parametrize(
    ("number", "dtype"), [(True, "bool"), (1, "int32"), (1.0, "float32"), (1j, "complex64"), (2**40, "int64")]
)
def test_types_of_arrays_from_python_numbers(number, dtype):
    assert xnp.asarray(number).dtype == xnp.full((2,), number).dtype == dtype
    assert xnp.asarray([number, number]).dtype == xnp.asarray([[number]]).dtype == dtype


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("value", "dtype"),
    [(128, "int8"), ([[0], [-1]], "uint8"), ((2.5, 2**63), "int64"), ([2**64], "uint64"), (8, xnp.int4)],
    ids=str,
)
def test_integers_that_a_type_does_not_hold_are_errors(value, dtype, traced):
    def make():
        return xnp.asarray(value, dtype=dtype)

    with pytest.raises(OverflowError, match="holds"):
        (xlac.jit(make) if traced else make)()


def test_integers_of_more_than_64_bits_are_errors_and_those_of_arrays_wrap():
    for value in (2**64, [2**64], [1, -(2**63) - 1]):
        with pytest.raises(OverflowError, match="64 bits"):
            xnp.asarray(value)
    with pytest.raises(OverflowError, match="int64"):
        xnp.asarray([2**63, -1])
    agree(xnp.asarray([np.int64(300), 5], dtype="int8"), np.array([44, 5], np.int8))


@drawn(
    value=st.recursive(
        st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.integers(-9, 9), st.floats(width=32)),
        lambda inner: inner.flatmap(lambda x: st.integers(0, 3).map(lambda n: [x] * n)),
        max_leaves=4,
    ),
    other=st.one_of(st.booleans(), st.integers(-9, 9), st.just(0.5)),
)
def test_lists_have_the_type_that_their_numbers_promote_to(value, other):
    def leaves(x):
        return [y for child in x for y in leaves(child)] if isinstance(x, list) else [x]

    value = [value, value]
    numbers = leaves(value)
    if np.ndim(value) == 1:
        value, numbers = [*value, other], [*numbers, other]
    want = xnp.result_type(*numbers) if numbers else np.dtype("float32")
    if want == np.int32 and any(not -(2**31) <= x < 2**31 for x in numbers):
        want = np.dtype("int64")
    got = xnp.asarray(value)
    assert got.dtype == want and got.shape == np.shape(value)
    np.testing.assert_array_equal(got, np.array(value, want))


@drawn(data=st.data())
def test_arrays_of_one_value(data):
    shape, dtype = data.draw(shapes | st.integers(0, 4)), data.draw(st.sampled_from([None, *ALL]))
    for name, value in (("zeros", 0), ("ones", 1)):
        got = getattr(xnp, name)(shape, **({} if dtype is None else {"dtype": dtype}))
        agree(got, np.full(shape, value, dtype or "float32"))
        agree(getattr(xnp, f"{name}_like")(got), np.full(shape, value, got.dtype))
        agree(getattr(xnp, f"{name}_like")(got, dtype="int8", device=got.device), np.full(shape, value, "int8"))
    assert xnp.empty(shape, dtype=dtype).shape == xnp.empty_like(got).shape == got.shape
    rows, columns, k = data.draw(st.tuples(st.integers(0, 5), st.none() | st.integers(0, 5), st.integers(-6, 6)))
    agree(xnp.eye(rows, columns, k=k, dtype=dtype), np.eye(rows, columns, k, dtype or "float32"))


@drawn(data=st.data())
def test_linspace(data):
    dtype = data.draw(st.sampled_from([None, *FLOAT, *COMPLEX]))
    start, stop = data.draw(st.integers(-9, 9)), data.draw(st.integers(-9, 9))
    num, endpoint = data.draw(st.integers(0, 9)), data.draw(st.booleans())
    got = xnp.linspace(start, stop, num, dtype=dtype, endpoint=endpoint)
    agree(got, np.linspace(start, stop, num, endpoint), dtype or "float32")
    assert num == 0 or got[0] == start
    assert num < 2 or not endpoint or got[-1] == stop


@drawn(data=st.data())
def test_meshgrid(data):
    dtype, indexing = data.draw(st.sampled_from(NUMERIC)), data.draw(st.sampled_from(["xy", "ij"]))
    xs = [filled(i, dtype, (n,)) for i, n in enumerate(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)))]
    for got, want in zip(
        xnp.meshgrid(*xs, indexing=indexing), np.meshgrid(*map(np.asarray, xs), indexing=indexing), strict=True
    ):
        agree(got, want)


@pytest.mark.parametrize("dtype", ALL)
def test_copies(dtype):
    x = filled(1, dtype, (2, 3))
    for copy in (None, False, True):
        for same in ({}, {"dtype": x.dtype}):
            got = xnp.asarray(x, copy=copy, **same)
            agree(got, np.asarray(x))
            assert np.shares_memory(got, x) == (not copy)
    assert not np.shares_memory(xnp.astype(x, x.dtype), x)
    assert np.shares_memory(xnp.astype(x, x.dtype, copy=False), x)
    assert not np.shares_memory(xnp.reshape(x, (6,), copy=True), x)
    assert np.shares_memory(xnp.reshape(x, (6,), copy=False), x)
    assert np.shares_memory(xnp.from_dlpack(x), x)
    assert not np.shares_memory(xnp.from_dlpack(x, copy=True), x)
    assert xnp.from_dlpack(np.asarray(x)).dtype == dtype


def test_reshape_never_copies_where_told_so():
    x = xnp.asarray(np.arange(6, dtype=np.float32))
    rows = xnp.reshape(x, (2, -1), copy=False)
    assert type(rows) is type(x) and rows.shape == (2, 3)
    rows[1, 0] = 9
    assert x[3] == 9
    with pytest.raises(ValueError, match=r"float32\[3,2\] cannot become float32\[6\] without a copy"):
        xnp.reshape(rows.T, (6,), copy=False)
    with pytest.raises(ShapeError, match="6 elements; shape .* needs 8"):
        xnp.reshape(x, (2, 4), copy=False)
    assert xnp.reshape(xnp.zeros((0, 3)), (3, 0), copy=False).shape == (3, 0)
    agree(xlac.jit(lambda a: xnp.reshape(a.T, (6,), copy=False))(rows), np.asarray(rows).T.reshape(6))


# ---- types


def test_astype_between_all_types():
    for dtype in ALL:
        for to in ALL:
            if np.dtype(dtype).kind == "c" and np.dtype(to).kind not in "cb":
                continue
            x = filled(1, dtype, (5,), 0, 6)
            agree(xnp.astype(x, getattr(xnp, to)), np.asarray(x).astype(to))


def test_result_type_and_can_cast_follow_the_standards_table():
    for a in ALL:
        for b in ALL:
            one, two = np.dtype(a), np.dtype(b)
            want = np.promote_types(one, two)
            if one.kind == two.kind or {one.kind, two.kind} == {"i", "u"} and want.kind in "iu":
                assert xnp.result_type(one, two) == xnp.result_type(xnp.zeros(1, dtype=a), two) == want
                assert xnp.can_cast(one, two) is (want == two)
                assert xnp.can_cast(xnp.zeros((2,), dtype=a), two) is (want == two)
    assert xnp.result_type(xnp.int8, 3) == np.int8
    assert xnp.result_type(xnp.asarray(1.0, dtype="float64"), 1j) == np.complex128
    assert xnp.result_type(xnp.float32, 1, 2.0) == np.float32


def test_names_of_types_are_types_that_can_be_compared():
    for name in ALL:
        assert xnp.zeros(1, dtype=getattr(xnp, name)).dtype == getattr(xnp, name)
        for other in ALL:
            assert (getattr(xnp, name) == xnp.zeros(1, dtype=other).dtype) == (name == other)


def test_limits_are_python_numbers():
    for name in INEXACT:
        for of in (getattr(xnp, name), xnp.zeros((), dtype=name)):
            info = xnp.finfo(of)
            assert [type(getattr(info, a)) for a in ("eps", "max", "min", "smallest_normal")] == [float] * 4
            assert type(info.bits) is int and info.dtype == np.zeros(0, name).real.dtype
    for name in INTEGER:
        for of in (getattr(xnp, name), xnp.zeros((), dtype=name)):
            info = xnp.iinfo(of)
            assert (info.min, info.max, info.bits) == (np.iinfo(name).min, np.iinfo(name).max, np.iinfo(name).bits)
            assert type(info.min) is type(info.max) is type(info.bits) is int and info.dtype == name


# ---- products


@drawn(data=st.data())
def test_matrix_products(data):
    one, two = data.draw(promotable(NUMERIC))
    n, m, k = (data.draw(st.integers(0, 4)) for _ in range(3))
    stacks = data.draw(broadcastable(2))
    shapes_of = data.draw(
        st.sampled_from([((k,), (k,)), ((k,), (*stacks[1], k, m)), ((*stacks[0], n, k), (k,)),
                         ((*stacks[0], n, k), (*stacks[1], k, m))])
    )  # fmt: skip
    x, y = filled(1, one, shapes_of[0]), filled(2, two, shapes_of[1])
    want = np.matmul(np.asarray(x), np.asarray(y))
    for call in (xnp.matmul, xnp.linalg.matmul, operator.matmul):
        agree(call(x, y), want)
    wrong = filled(1, one, (n, k + 1))
    with pytest.raises(Exception, match="matmul"):
        xnp.matmul(wrong, filled(2, two, (k, m)))
    with pytest.raises(Exception, match="matmul"):
        xnp.matmul(xnp.asarray(1, dtype=one), y)


@drawn(data=st.data())
def test_vecdot_and_outer(data):
    one, two = data.draw(promotable(NUMERIC))
    a, b = data.draw(broadcastable(2))
    x, y = filled(1, one, (*a, 3)), filled(2, two, (*b, 3))
    want = np.sum(np.conj(np.asarray(x)) * np.asarray(y), -1, dtype=np.result_type(one, two))
    agree(xnp.vecdot(x, y), want)
    agree(xnp.linalg.vecdot(xnp.moveaxis(x, -1, -1), y, axis=-1), want)
    with pytest.raises(Exception, match="vecdot"):
        xnp.vecdot(x, filled(2, two, (*b, 2)))
    u, v = filled(1, one, (data.draw(st.integers(0, 4)),)), filled(2, two, (3,))
    agree(xnp.linalg.outer(u, v), np.linalg.outer(np.asarray(u), np.asarray(v)))


@drawn(data=st.data())
def test_tensordot(data):
    one, two = data.draw(promotable(NUMERIC))
    count = data.draw(st.integers(0, 2))
    free, common = data.draw(shapes.filter(lambda s: len(s) < 3)), tuple(range(2, 2 + count))
    x, y = filled(1, one, (*free, *common)), filled(2, two, (*common, *free[::-1]))
    agree(xnp.tensordot(x, y, axes=count), np.tensordot(np.asarray(x), np.asarray(y), count))
    pairs = (tuple(range(-count, 0)), tuple(range(count)))
    agree(xnp.linalg.tensordot(x, y, axes=pairs), np.tensordot(np.asarray(x), np.asarray(y), pairs))
