"""Windows and dimension labels, reduce-window and select-and-scatter against loops."""

import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import array, infer, of_scalars, reducer, run
from xlac.errors import ShapeError
from xlac.ir.opcode import op
from xlac.ir.ops.window import window_view
from xlac.ir.window import (
    ConvolutionDims,
    WindowDim,
    dim_labels_to_string,
    parse_dim_labels,
    parse_window,
    window_to_string,
)

window_dims = st.builds(
    WindowDim,
    size=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad_low=st.integers(-1, 2),
    pad_high=st.integers(-1, 2),
    lhs_dilate=st.integers(1, 3),
    rhs_dilate=st.integers(1, 2),
)


@given(st.lists(window_dims, max_size=4).map(tuple))
def test_a_window_survives_its_text(window):
    assert parse_window(window_to_string(window)) == window
    assert parse_window("{" + window_to_string(window) + "}") == window


def test_a_windows_text_leaves_out_what_is_default():
    assert window_to_string((WindowDim(2), WindowDim(3))) == "size=2x3"
    reversed_window = (WindowDim(2, stride=2, pad_low=-1), WindowDim(3, reversal=True))
    assert window_to_string(reversed_window) == "size=2x3 stride=2x1 pad=-1_0x0_0 rhs_reversal=0x1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stride=2", "size is missing"),
        ("size=2x2 stride=2", "stride has 1 dimensions but size has 2"),
        ("size=2 colour=3", "colour=3 is not one of its fields"),
        ("size=2 size=2", "size is given twice"),
        ("size=2 pad=1", "low_high pairs"),
        ("size=a", "integers joined by x"),
        ("size=2 rhs_reversal=2", "0s and 1s"),
    ],
)
def test_a_bad_window_text_is_explained(text, message):
    with pytest.raises(ShapeError, match=message):
        parse_window(text)


@pytest.mark.parametrize(
    "text", ["b01f_01io->b01f", "bf_io->bf", "f0b_0oi->b0f", "b?01f_01io->b01f", "bf012_012io->2b1f0"]
)
def test_dim_labels_survive_their_text(text):
    assert dim_labels_to_string(parse_dim_labels(text)) == text


def test_dim_labels_name_each_dimension():
    assert parse_dim_labels("b0f_oi0->0bf") == ConvolutionDims(0, 2, (1,), 1, 0, (2,), 1, 2, (0,))


@pytest.mark.parametrize("text", ["b01f_01io", "b00f_01io->b01f", "b0f_01io->b01f", "b02f_01io->b01f", "bb_io->bf"])
def test_bad_dim_labels_are_explained(text):
    with pytest.raises(ShapeError, match="dim_labels"):
        parse_dim_labels(text)


def covered(index, window, dims):
    """The places inside an array of `dims` that the window at `index` covers, in order."""
    for offset in itertools.product(*(range(d.size) for d in window)):
        place = []
        for i, k, d, n in zip(index, offset, window, dims):
            at = i * d.stride + k * d.rhs_dilate - d.pad_low
            if at % d.lhs_dilate or not 0 <= at // d.lhs_dilate < n:
                break
            place.append(at // d.lhs_dilate)
        else:
            yield tuple(place)


@given(st.data())
def test_reduce_window_is_a_loop_over_what_each_window_covers(data):
    window = tuple(data.draw(st.lists(window_dims, min_size=1, max_size=3)))
    dims = tuple(data.draw(st.integers(1, 5)) for _ in window)
    x = np.arange(np.prod(dims), dtype=np.int32).reshape(dims) * 7 % 11 - 4
    name = data.draw(st.sampled_from(["add", "multiply", "maximum", "minimum", "xor", "subtract"]))
    init = np.int32(data.draw(st.integers(-3, 3)))
    got = run("reduce-window", x, init, window=window, to_apply=reducer(name, "s32"))
    assert got.shape == tuple(d.positions(n) for d, n in zip(window, dims))
    function = {
        "add": np.add,
        "multiply": np.multiply,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "xor": np.bitwise_xor,
        "subtract": np.subtract,
    }[name]
    for index in np.ndindex(*got.shape):
        total = init
        for place in covered(index, window, dims):
            total = function(total, x[place])
        assert got[index] == total


def test_a_variadic_reduce_window_finds_the_place_of_the_largest():
    def larger(value, place, other, elsewhere):
        first = op.compare.make(value, other, direction="GE")
        return op.tuple.make(op.select.make(first, value, other), op.select.make(first, place, elsewhere))

    region = of_scalars("f32", "s32", "f32", "s32", build=larger)
    x = np.array([3.0, 1.0, 4.0, 1.0, 5.0], np.float32)
    places = np.arange(5, dtype=np.int32)
    window = (WindowDim(3, pad_low=1, pad_high=1),)
    values, at = run("reduce-window", x, places, np.float32(-np.inf), np.int32(-1), window=window, to_apply=region)
    assert values.tolist() == [3, 4, 4, 5, 5]
    assert at.tolist() == [0, 2, 2, 4, 4]


def test_reduce_window_of_narrow_floats_sums_in_single_precision():
    x = np.full((1, 300), 1.0).astype(array("bf16[]").dtype)
    got = run("reduce-window", x, x[0, 0] * 0, window=(WindowDim(1), WindowDim(300)), to_apply=reducer("add", "bf16"))
    assert got.astype(np.float32).tolist() == [[300.0]]


def test_reduce_window_names_a_window_of_the_wrong_rank():
    with pytest.raises(ShapeError, match=r"window has 1 dimensions but operand 0, f32\[2,3\], has 2"):
        infer("reduce-window", array("f32[2,3]"), array("f32[]"), window=(WindowDim(1),), to_apply=reducer("add"))
    with pytest.raises(ShapeError, match="stride=0 is not positive"):
        infer(
            "reduce-window", array("f32[2]"), array("f32[]"), window=(WindowDim(1, stride=0),), to_apply=reducer("add")
        )
    with pytest.raises(ShapeError, match=r"operand 1 is f32\[1\]; an initial value must be a scalar"):
        infer("reduce-window", array("f32[2]"), array("f32[1]"), window=(WindowDim(1),), to_apply=reducer("add"))


def test_select_and_scatter_adds_each_source_where_its_window_is_largest():
    x = np.array([[1, 5, 2, 2], [5, 0, 2, 9]], np.float32)
    source = np.array([[10, 20]], np.float32)
    window = (WindowDim(2, stride=2), WindowDim(2, stride=2))
    select = of_scalars("f32", "f32", build=lambda a, b: op.compare.make(a, b, direction="GE"))
    got = run("select-and-scatter", x, source, np.float32(1), window=window, select=select, scatter=reducer("add"))
    # Of equal elements the first is kept.
    assert got.tolist() == [[1, 11, 1, 1], [1, 1, 1, 21]]


def test_select_and_scatter_combines_windows_that_choose_the_same_place():
    x = np.array([1, 9, 2], np.int32)
    source = np.array([4, 5, 6], np.int32)
    select = of_scalars("s32", "s32", build=lambda a, b: op.compare.make(a, b, direction="GE"))
    window = (WindowDim(2, pad_low=1),)
    got = run("select-and-scatter", x, source, np.int32(0), window=window, select=select, scatter=reducer("add", "s32"))
    assert got.tolist() == [4, 11, 0]


def test_select_and_scatter_names_a_source_of_the_wrong_dimensions():
    select = of_scalars("f32", "f32", build=lambda a, b: op.compare.make(a, b, direction="GE"))
    with pytest.raises(
        ShapeError, match=r"operand 1 is f32\[4\]; the windows over operand 0, f32\[4\], have dimensions \[2\]"
    ):
        infer(
            "select-and-scatter",
            *(array("f32[4]"), array("f32[4]"), array("f32[]")),
            window=(WindowDim(2, stride=2),),
            select=select,
            scatter=reducer("add"),
        )


@pytest.mark.parametrize("dtype", [np.complex128, np.float32, ml_dtypes.bfloat16])
def test_windows_of_arrays_that_came_from_a_file(dtype):
    x = pickle.loads(pickle.dumps(np.arange(6).reshape(2, 3).astype(dtype)))  # its type is an object of its own
    view = window_view(x, (WindowDim(2), WindowDim(2)), (1, 2))
    assert view.dtype == dtype and view[0, 1].astype(np.complex128).tolist() == [[1, 2], [4, 5]]
