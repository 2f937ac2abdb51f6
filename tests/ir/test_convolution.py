"""convolution against the sum it stands for."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import array, infer, run
from xlac.errors import ShapeError
from xlac.ir.shape import ArrayShape, element_type
from xlac.ir.window import ConvolutionDims, WindowDim, parse_dim_labels

window_dims = st.builds(
    WindowDim,
    size=st.integers(1, 3),
    stride=st.integers(1, 2),
    pad_low=st.integers(-1, 2),
    pad_high=st.integers(-1, 2),
    lhs_dilate=st.integers(1, 2),
    rhs_dilate=st.integers(1, 2),
    reversal=st.booleans(),
)


def convolve(x, kernel, window, feature_groups, batch_groups):
    """By loops: [batch, features, spatial...] with kernel [inputs, outputs, spatial...]."""
    batch, outputs, inputs = x.shape[0] // batch_groups, kernel.shape[1], kernel.shape[0]
    result = np.zeros((batch, outputs, *(d.positions(n) for d, n in zip(window, x.shape[2:]))), x.dtype)
    for b, o, *at in np.ndindex(*result.shape):
        first_batch = o // (outputs // batch_groups) * batch
        first_feature = o // (outputs // feature_groups) * inputs
        for offset in itertools.product(*(range(d.size) for d in window)):
            place = []
            for i, k, d, n in zip(at, offset, window, x.shape[2:]):
                p = i * d.stride + k * d.rhs_dilate - d.pad_low
                if p % d.lhs_dilate or not 0 <= p // d.lhs_dilate < n:
                    break
                place.append(p // d.lhs_dilate)
            else:
                tap = tuple(d.size - 1 - k if d.reversal else k for k, d in zip(offset, window))
                for f in range(inputs):
                    result[(b, o, *at)] += x[(first_batch + b, first_feature + f, *place)] * kernel[(f, o, *tap)]
    return result


@settings(max_examples=40)
@given(st.data())
def test_convolution_is_the_sum_over_window_and_features_in_any_layout(data):
    n = data.draw(st.integers(0, 2))
    window = tuple(data.draw(window_dims) for _ in range(n))
    feature_groups, batch_groups = data.draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (1, 2)]))
    inputs, batch = data.draw(st.integers(1, 2)), batch_groups * data.draw(st.integers(1, 2))
    outputs = feature_groups * batch_groups * data.draw(st.integers(1, 2))
    spatial = [data.draw(st.integers(2, 5)) for _ in range(n)]
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x = rng.integers(-5, 6, (batch, inputs * feature_groups, *spatial)).astype(np.int32)
    kernel = rng.integers(-5, 6, (inputs, outputs, *(d.size for d in window))).astype(np.int32)
    expected = convolve(x, kernel, window, feature_groups, batch_groups)
    orders = [data.draw(st.permutations(range(n + 2))) for _ in range(3)]
    where = [[list(order).index(i) for i in range(n + 2)] for order in orders]
    labels = ConvolutionDims(*(part for w in where for part in (w[0], w[1], tuple(w[2:]))))
    got = run(
        "convolution",
        x.transpose(orders[0]),
        kernel.transpose(orders[1]),
        shape=ArrayShape(element_type("s32"), tuple(expected.shape[d] for d in orders[2])),
        window=window,
        dim_labels=labels,
        feature_group_count=feature_groups,
        batch_group_count=batch_groups,
    )
    assert np.array_equal(got, expected.transpose(orders[2]))


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64", "c64", "c128"])
def test_convolution_of_inexact_types_is_rounded_once(name):
    rng = np.random.default_rng(1)
    dtype = element_type(name).dtype
    x, kernel = rng.normal(size=(1, 2, 9)).astype(np.float32), rng.normal(size=(2, 3, 4)).astype(np.float32)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    window = (WindowDim(4, stride=2, pad_low=1),)
    labels = parse_dim_labels("bf0_io0->bf0")
    wide = np.complex128 if name.startswith("c") else np.float64
    expected = convolve(x.astype(wide), kernel.astype(wide), window, 1, 1)
    shape = ArrayShape(element_type(name), expected.shape)
    got = run("convolution", x, kernel, shape=shape, window=window, dim_labels=labels)
    if name in ("f16", "bf16", "f32"):
        assert np.array_equal(got, expected.astype(dtype))
    else:
        np.testing.assert_allclose(got, expected, rtol=1e-6 if name == "c64" else 1e-14)


def test_convolution_sums_bytes_in_the_type_of_the_result():
    x, kernel = np.full((1, 3, 1), 127, np.int8), np.full((3, 1, 1), 127, np.int8)
    got = run(
        "convolution",
        x,
        kernel,
        shape=array("s32[1,1,1]"),
        window=(WindowDim(1),),
        dim_labels=parse_dim_labels("bf0_io0->bf0"),
    )
    assert got.item() == 3 * 127 * 127


@pytest.mark.parametrize(
    ("x", "kernel", "attrs", "message"),
    [
        ("f32[1,4,8]", "f32[2,2,3]", {}, r"has 4 features; operand 1, f32\[2,2,3\], takes 2 in each of 1 groups"),
        ("f32[1,4,8]", "f32[4,2,2]", {}, "window dimension of size 3, but dimension 2 of operand 1 is 2"),
        ("f32[1,4]", "f32[4,2,3]", {}, r"operand 0 is f32\[1,4\]; its dim_labels name 3 dimensions"),
        ("f32[1,4,8]", "f32[2,3,3]", {"feature_group_count": 2}, "cannot be split into 2 feature groups"),
        ("f32[2,4,8]", "f32[2,2,3]", {"feature_group_count": 2, "batch_group_count": 2}, "and one of them 1"),
    ],
)
def test_convolution_names_what_does_not_fit(x, kernel, attrs, message):
    from xlac.ir.opcode import OPCODES

    row = OPCODES["convolution"]
    full = row.complete({"window": (WindowDim(3),), "dim_labels": parse_dim_labels("bf0_io0->bf0"), **attrs})
    with pytest.raises(ShapeError, match=message):
        row.shape(array(x), array(kernel), **full)


def test_a_convolution_over_no_features_is_zero():
    attrs = {"window": (WindowDim(3),), "dim_labels": parse_dim_labels("bf0_io0->bf0")}
    x, kernel = np.zeros((2, 0, 8), np.float32), np.zeros((0, 4, 3), np.float32)
    got = run("convolution", x, kernel, shape=array("f32[2,4,6]"), **attrs)
    assert np.array_equal(got, np.zeros((2, 4, 6), np.float32))


def test_convolution_refuses_a_result_of_other_dimensions():
    with pytest.raises(ShapeError, match=r"give dimensions \[1, 2, 6\]"):
        infer(
            "convolution",
            array("f32[1,4,8]"),
            array("f32[4,2,3]"),
            shape=array("f32[1,2,7]"),
            window=(WindowDim(3),),
            dim_labels=parse_dim_labels("bf0_io0->bf0"),
        )
