"""Elementwise rows at the values where types and definitions matter, and the roundings."""

import itertools
import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import array, infer, run
from xlac.errors import ShapeError
from xlac.ir.shape import ELEMENT_TYPES

INTEGERS = ("s2", "u2", "s4", "u4", "s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64")


def limits(name):
    row = ELEMENT_TYPES[name]
    low = -(1 << (row.bits - 1)) if row.kind == "s" else 0
    return low, (1 << (row.bits - (row.kind == "s"))) - 1


def integers(name, values):
    row = ELEMENT_TYPES[name]
    wide = np.array(values, np.int64 if row.kind == "s" else np.uint64)
    return wide.astype(np.int8).astype(row.dtype) if row.bits < 8 else wide.astype(row.dtype)


def wrapped(name, value):
    """`value` modulo 2^bits as the type holds it."""
    low, high = limits(name)
    return (value - low) % (high - low + 1) + low


def quotient(name, a, b):
    if b == 0:
        return wrapped(name, -1)
    return wrapped(name, abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))


def unsigned(name, a):
    return a % (1 << ELEMENT_TYPES[name].bits)


def power(name, a, b):
    if b < 0:
        return {1: 1, -1: -1 if b % 2 else 1}.get(a, 0)
    return wrapped(name, pow(a, b, 1 << 64))


BINARY = {
    "add": lambda n, a, b: wrapped(n, a + b),
    "subtract": lambda n, a, b: wrapped(n, a - b),
    "multiply": lambda n, a, b: wrapped(n, a * b),
    "divide": quotient,
    "remainder": lambda n, a, b: a if b == 0 else wrapped(n, a - b * quotient(n, a, b)) if b != -1 else 0,
    "maximum": lambda n, a, b: max(a, b),
    "minimum": lambda n, a, b: min(a, b),
    "power": power,
    "and": lambda n, a, b: a & b,
    "or": lambda n, a, b: a | b,
    "xor": lambda n, a, b: a ^ b,
    "mulhi": lambda n, a, b: wrapped(n, (a * b) >> ELEMENT_TYPES[n].bits),
    "shift-left": lambda n, a, b: wrapped(n, a << unsigned(n, b)) if unsigned(n, b) < ELEMENT_TYPES[n].bits else 0,
    "shift-right-logical": lambda n, a, b: wrapped(n, unsigned(n, a) >> unsigned(n, b)),
    "shift-right-arithmetic": lambda n, a, b: wrapped(
        n,
        (unsigned(n, a) - ((unsigned(n, a) >> (ELEMENT_TYPES[n].bits - 1)) << ELEMENT_TYPES[n].bits)) >> unsigned(n, b),
    ),
}


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("opcode", sorted(BINARY))
def test_integer_arithmetic_wraps_and_is_defined_everywhere(opcode, name):
    low, high = limits(name)
    values = sorted({low, low + 1, high - 1, high, 0, 1, min(2, high), min(3, high), max(-1, low), max(-2, low)})
    pairs = [
        (a, b) for a, b in itertools.product(values, values) if "shift-r" not in opcode or unsigned(name, b) < 1 << 20
    ]
    a, b = (integers(name, column) for column in zip(*pairs))
    got = run(opcode, a, b)
    wanted = [BINARY[opcode](name, x, y) for x, y in pairs]
    assert [int(v) for v in got] == wanted


@pytest.mark.parametrize("name", ("s8", "u16", "s32", "u64"))
def test_shifts_to_the_right_by_any_amount(name):
    low, high = limits(name)
    far = integers(name, [high, ELEMENT_TYPES[name].bits])
    assert run("shift-right-logical", integers(name, [high, high]), far).tolist() == [0, 0]
    negative = integers(name, [low or high, low or high])
    assert [int(v) for v in run("shift-right-arithmetic", negative, far)] == [wrapped(name, -1)] * 2


@pytest.mark.parametrize("name", INTEGERS)
def test_bits_are_counted_in_the_types_own_width(name):
    low, high = limits(name)
    values = [0, 1, high, low, max(-1, low)]
    x = integers(name, values)
    bits = ELEMENT_TYPES[name].bits
    assert [int(v) for v in run("popcnt", x)] == [wrapped(name, bin(unsigned(name, v)).count("1")) for v in values]
    leading = [wrapped(name, bits - unsigned(name, v).bit_length()) for v in values]
    assert [int(v) for v in run("count-leading-zeros", x)] == leading
    assert [int(v) for v in run("not", x)] == [wrapped(name, ~v) for v in values]
    assert [int(v) for v in run("negate", x)] == [wrapped(name, -v) for v in values]
    assert [int(v) for v in run("abs", x)] == [wrapped(name, abs(v)) for v in values]


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64"])
def test_maximum_and_minimum_propagate_nan_and_order_zeros(name):
    dtype = array(f"{name}[]").dtype
    x, y = np.array([np.nan, 1, 0.0, -0.0], dtype), np.array([1, np.nan, -0.0, 0.0], dtype)
    for opcode, negative in (("maximum", False), ("minimum", True)):
        got = run(opcode, x, y).astype(np.float64)
        assert np.isnan(got[:2]).all() and (np.signbit(got[2:]) == negative).all()
    clamped = run("clamp", np.array(0, dtype), np.array([np.nan, -3, 3], dtype), np.array(1, dtype)).astype(np.float64)
    assert np.isnan(clamped[0]) and clamped[1:].tolist() == [0, 1]


def test_booleans_add_as_or_and_multiply_as_and():
    x, y = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    assert run("add", x, y).tolist() == [False, True, True, True]
    assert run("multiply", x, y).tolist() == [False, False, False, True]
    assert run("maximum", x, y).tolist() == [False, True, True, True]


@pytest.mark.parametrize("name", ["bf16", "f16"])
def test_narrow_floats_are_rounded_after_every_operation(name):
    dtype = array(f"{name}[]").dtype
    x = np.linspace(-3, 3, 97).astype(dtype)
    for opcode, function in (("exponential", np.exp), ("tanh", np.tanh), ("logistic", lambda v: 1 / (1 + np.exp(-v)))):
        wanted = function(x.astype(np.float32)).astype(dtype)
        got = run(opcode, x)
        assert (
            np.abs(got.astype(np.float32) - wanted.astype(np.float32)).max()
            <= 2e-2 * np.abs(wanted.astype(np.float32)).max()
        )
    assert np.array_equal(run("add", x, x[::-1]), (x.astype(np.float32) + x[::-1].astype(np.float32)).astype(dtype))


@pytest.mark.parametrize("opcode", ["acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh", "tan", "cbrt", "erf"])
@pytest.mark.parametrize("name", ["f16", "f32", "f64"])
def test_functions_agree_with_pythons_math(opcode, name):
    x = (np.linspace(1, 4, 13) if opcode == "acosh" else np.linspace(-0.95, 0.95, 13)).astype(array(f"{name}[]").dtype)
    function = (lambda v: math.copysign(abs(v) ** (1 / 3), v)) if opcode == "cbrt" else getattr(math, opcode)
    wanted = [function(float(v)) for v in x]
    rtol = {"f16": 2e-3, "f32": 1e-6, "f64": 1e-13}[name]
    np.testing.assert_allclose(run(opcode, x).astype(np.float64), wanted, rtol=rtol, atol=rtol)


def test_complex_quotients_at_infinity_and_zero_are_those_of_c():
    x = np.array([1 + 1j, complex(np.inf, 1), 1 + 2j, complex(np.inf, np.nan)], np.complex64)
    y = np.array([complex(np.inf, 0), 2 + 0j, 0j, 1 + 1j], np.complex64)
    got = run("divide", x, y)
    assert got[0] == 0 and np.isinf(got[1:]).all() and not np.isnan(got[2].real)
    assert run("rsqrt", np.array([complex(np.inf, 0)], np.complex64))[0] == 0


def test_log_plus_one_of_small_complex_numbers_keeps_its_digits():
    x = np.array([1e-3, 1e-9 + 1e-5j, -1e-4j, 1e30, -0.7 + 3j], np.complex128)
    wanted = [complex(0.5 * math.log1p(v.real * (2 + v.real) + v.imag**2), math.atan2(v.imag, 1 + v.real)) for v in x]
    np.testing.assert_allclose(run("log-plus-one", x), wanted, rtol=1e-14)


@pytest.mark.parametrize("name", ["f16", "bf16", "f32", "f64"])
def test_compare_in_total_order_of_scalars_and_arrays(name):
    dtype = array(f"{name}[]").dtype
    order = np.array([-np.nan, -np.inf, -1, -0.0, 0.0, 1, np.inf, np.nan], np.float64).astype(dtype)
    order[0] = np.copysign(order[0].astype(np.float32), -1)
    x, y = np.broadcast_to(order[:, None], (8, 8)), np.broadcast_to(order, (8, 8))
    got = run("compare", x, y, direction="LT", type="TOTALORDER")
    assert np.array_equal(got, np.triu(np.ones((8, 8), bool), 1))
    assert run("compare", order[3], order[4], direction="LT", type="TOTALORDER").shape == ()


def test_compare_without_a_type_takes_nan_as_unequal_and_zeros_as_equal():
    x, y = np.array([np.nan, 0.0], np.float32), np.array([np.nan, -0.0], np.float32)
    assert run("compare", x, y, direction="EQ").tolist() == [False, True]
    assert run("compare", x, y, direction="NE").tolist() == [True, False]
    assert run("compare", x, y, direction="GE").tolist() == [False, True]


@pytest.mark.parametrize("source", ["f16", "bf16", "f32", "f64", "f8e5m2", "f8e4m3fn"])
@pytest.mark.parametrize("target", INTEGERS)
def test_floats_become_integers_by_truncation_and_saturation(source, target):
    values = np.array([np.nan, np.inf, -np.inf, 1.5, -1.5, 0.9, 300, -300], np.float32).astype(
        array(f"{source}[]").dtype
    )
    low, high = limits(target)
    wanted = []
    for v in values.astype(np.float64):
        wanted.append(0 if math.isnan(v) else low if v <= low else high if v >= high else int(v))
    got = run("convert", values, shape=array(f"{target}[8]"))
    assert [int(v) for v in got] == wanted


def test_overflow_into_f8_follows_the_type():
    x = np.array([1e6, -1e6, np.inf, np.nan], np.float32)
    assert np.isinf(run("convert", x, shape=array("f8e5m2[4]")).astype(np.float32)[:3]).all()
    assert np.isnan(run("convert", x, shape=array("f8e4m3fn[4]")).astype(np.float32)).all()


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_reduce_precision_to_bfloat16_is_a_conversion(values):
    x = np.array(values, np.float32)
    got = run("reduce-precision", x, exponent_bits=8, mantissa_bits=7)
    with np.errstate(all="ignore"):
        wanted = x.astype(ml_dtypes.bfloat16).astype(np.float32)
    assert np.array_equal(got, wanted, equal_nan=True)


def test_reduce_precision_overflows_to_infinity_and_underflows_to_zero():
    x = np.array([70000, -70000, 1e-10, -1e-10, 1.0009765625], np.float32)
    got = run("reduce-precision", x, exponent_bits=5, mantissa_bits=10)
    assert got.tolist() == [np.inf, -np.inf, 0, 0, 1.0009765625] and np.signbit(got[3])
    assert run("reduce-precision", np.float32(1.3), exponent_bits=8, mantissa_bits=1).shape == ()


def test_stochastic_convert_steps_up_where_the_random_fraction_is_below_the_part_cut_off():
    x = np.array([1.25, 1.25, -1.25, -1.25, 2.0, np.nan, np.inf, -1e9], np.float32)
    quarter = 1 << 30
    random = np.array([quarter - 1, quarter, quarter - 1, quarter, 0, 0, 0, 0], np.uint32)
    got = run("stochastic-convert", x, random, shape=array("s8[8]"))
    assert got.tolist() == [2, 1, -2, -1, 2, 0, 127, -128]
    with pytest.raises(ShapeError, match="their elements must have as many bits"):
        infer("stochastic-convert", array("f32[2]"), array("u16[2]"), shape=array("s8[2]"))


@given(
    st.sampled_from(["u8", "s16", "f32", "c64", "u4", "bf16"]),
    st.sampled_from(["u8", "u16", "s32", "u64", "u4", "f64"]),
)
def test_bitcast_convert_keeps_every_bit(source, target):
    x, y = array(f"{source}[]").element_type, array(f"{target}[]").element_type
    if x.is_complex and x.bits != y.bits or x.is_complex:
        return
    dims = (3, 2 * max(y.bits // x.bits, 1)) if y.bits > x.bits else (3, 2)
    if y.bits > x.bits:
        dims = (3, y.bits // x.bits)
    rng = np.random.default_rng(5)
    value = rng.integers(0, 7, dims).astype(np.int8).astype(x.dtype)
    wide = dims if x.bits == y.bits else (*dims, x.bits // y.bits) if x.bits > y.bits else dims[:-1]
    there = run("bitcast-convert", value, shape=array(f"{target}[]").with_dims(wide))
    back = run("bitcast-convert", there, shape=array(f"{source}[]").with_dims(dims))
    assert np.array_equal(back.astype(np.float32), value.astype(np.float32))


def test_elementwise_rows_name_operand_and_shapes():
    with pytest.raises(
        ShapeError, match=r"add: operand 1 is f32\[3\] but operand 0 is f32\[4\]; HLO does not broadcast"
    ):
        infer("add", array("f32[4]"), array("f32[3]"))
    with pytest.raises(ShapeError, match=r"add: operand 1 is f64\[4\] but operand 0 is f32\[4\]; convert one"):
        infer("add", array("f32[4]"), array("f64[4]"))
    with pytest.raises(
        ShapeError, match=r"mulhi: operand 0 is f32\[4\]; its elements must be signed integer or unsigned"
    ):
        infer("mulhi", array("f32[4]"), array("f32[4]"))
