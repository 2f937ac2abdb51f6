"""dot of every type, ragged-dot and scaled-dot."""

import numpy as np
import pytest

from tests.rows import array, infer, run
from xlac.api import compile
from xlac.errors import ShapeError
from xlac.ir.evaluate import evaluate
from xlac.ir.ops.elementwise import convert_values
from xlac.ir.shape import ArrayShape, element_type
from xlac.text.hlo_parser import parse_hlo
from xlac.text.stablehlo_parser import parse_stablehlo

ROWS = {"lhs_contracting_dims": (1,), "rhs_contracting_dims": (1,), "lhs_ragged_dims": (0,), "rhs_group_dims": (0,)}
MATMUL = {"lhs_contracting_dims": (1,), "rhs_contracting_dims": (0,)}


@pytest.mark.parametrize(
    "element", ["pred", "s4", "u4", "s8", "u16", "s32", "u64", "f8e4m3fn", "bf16", "f16", "f32", "f64", "c64"]
)
def test_dot_sums_in_the_results_type(element):
    row = element_type(element)
    x = (np.arange(12).reshape(3, 4) % 5 % 3 % 2).astype(np.int8).astype(row.dtype)
    got = run("dot", x, x.T.copy(), shape=ArrayShape(row, (3, 3)), **MATMUL)
    whole = x.astype(np.int64) @ x.T.astype(np.int64)
    assert np.array_equal(got.astype(np.complex64), (whole != 0 if row.kind == "p" else whole).astype(np.complex64))


def test_dot_of_bytes_in_a_wider_type():
    x = np.full((1, 3), 127, np.int8)
    assert run("dot", x, x.T, shape=array("s32[1,1]"), **MATMUL).item() == 3 * 127 * 127
    assert run("dot", x, x.T, shape=array("s8[1,1]"), **MATMUL).item() == 3


@pytest.mark.parametrize("opcode", ["dot", "convolution"])
@pytest.mark.parametrize(
    ("left", "right", "result"),
    [("f32", "f32", "s32"), ("bf16", "s8", "s32"), ("s16", "f64", "u8"), ("f8e5m2", "u8", "s64"), ("s8", "s8", "pred")],
)
def test_a_product_of_wider_kinds_is_converted_at_its_end(opcode, left, right, result):
    rng = np.random.default_rng(0)
    x = convert_values(rng.integers(-64, 65, (1, 4, 9)) / 32, element_type(left))
    y = convert_values(rng.integers(-64, 65, (1, 9, 3)) / 32, element_type(right))
    between = element_type(left if element_type(left).is_float or result == "pred" else right)
    exact = np.matmul(x.astype(np.float64), y.astype(np.float64))
    want = convert_values(convert_values(exact, between), element_type(result))
    dims = "lhs_batch_dims={0}, rhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_contracting_dims={1}"
    attributes = dims if opcode == "dot" else "window={size=1}, dim_labels=b0f_0io->b0f"
    text = f"""HloModule m
      ENTRY main {{
        x = {left}[1,4,9] parameter(0)
        y = {right}[1,9,3] parameter(1)
        ROOT p = {result}[1,4,3] {opcode}(x, y), {attributes}
      }}"""
    module = parse_hlo(text)
    assert np.array_equal(evaluate(module, x, y), want)
    assert np.array_equal(evaluate(parse_stablehlo(module.to_string("stablehlo")), x, y), want)
    assert np.array_equal(compile(text)(x, y), want)


def test_ragged_rows_meet_their_groups_matrix():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(6, 4)), rng.normal(size=(3, 4, 5))
    sizes = np.array([2, 0, 3], np.int32)
    got = run(
        "ragged-dot",
        x,
        y,
        sizes,
        shape=array("f64[6,5]"),
        lhs_contracting_dims=(1,),
        rhs_contracting_dims=(1,),
        lhs_ragged_dims=(0,),
        rhs_group_dims=(0,),
    )
    wanted = np.concatenate([x[:2] @ y[0], x[2:5] @ y[2], np.zeros((1, 5))])
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_a_ragged_contraction_gives_a_product_for_each_group():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 6)), rng.normal(size=(6, 2))
    sizes = np.array([4, 2], np.int64)
    got = run("ragged-dot", x, y, sizes, shape=array("f64[2,3,2]"), lhs_ragged_dims=(1,), **MATMUL)
    np.testing.assert_allclose(got, np.stack([x[:, :4] @ y[:4], x[:, 4:] @ y[4:]]), rtol=1e-12)


def test_a_ragged_batch_is_a_batched_product():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(5, 3, 4)), rng.normal(size=(5, 4, 2))
    attrs = {"lhs_batch_dims": (0,), "rhs_batch_dims": (0,), "lhs_contracting_dims": (2,), "rhs_contracting_dims": (1,)}
    sizes = np.array([2, 3], np.int32)
    got = run("ragged-dot", x, y, sizes, shape=array("f64[5,3,2]"), lhs_ragged_dims=(0,), **attrs)
    np.testing.assert_allclose(got, x @ y, rtol=1e-12)


def test_ragged_dot_names_groups_that_do_not_match():
    with pytest.raises(ShapeError, match=r"dimension 0 of operand 1, f32\[3,4,5\], must be the number of groups"):
        infer("ragged-dot", array("f32[6,4]"), array("f32[3,4,5]"), array("s32[2]"), shape=array("f32[6,5]"), **ROWS)


def test_scaled_dot_multiplies_blocks_by_their_scales():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 4)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    scale = np.array([[1, 2], [3, 4]], np.float32)
    got = run("scaled-dot", x, y, scale, np.float32(2), shape=array("f32[2,3]"), **MATMUL)
    np.testing.assert_allclose(got, (x * np.repeat(scale, 2, axis=1)) @ (y * 2), rtol=1e-5)
    with pytest.raises(
        ShapeError, match=r"operand 2 is f32\[2,3\]; it must be a scalar, or its dimensions must divide"
    ):
        infer(
            "scaled-dot",
            array("f32[2,4]"),
            array("f32[4,3]"),
            array("f32[2,3]"),
            array("f32[]"),
            shape=array("f32[2,3]"),
            **MATMUL,
        )
