"""Decimals written and read many at a time: the same text and the same bits as one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlac.errors import ParseError
from xlac.ir.shape import ELEMENT_TYPES, ArrayShape
from xlac.text import literals
from xlac.text.decimals import DecimalWriter, parse_decimals, parse_floats
from xlac.text.literals import literal_to_string, parse_literal
from xlac.text.shortest import shortest_decimals
from xlac.text.stablehlo_literals import parse_dense

FORMATS = {"f64": (53, repr), "f32": (24, str), "f16": (11, str)}


def patterns(name: str) -> np.ndarray:
    """Bits of finite floats: random ones, powers of two and of ten with their neighbours, the ends of the range."""
    row = ELEMENT_TYPES[name]
    rng = np.random.default_rng(row.bits)
    unsigned = np.dtype(f"u{row.bits // 8}")
    random = rng.integers(0, 1 << row.bits, 4000, dtype=np.uint64).astype(unsigned)
    limits = np.finfo(row.dtype)
    twos = np.arange(1, 2 * limits.maxexp, dtype=unsigned) << unsigned.type(limits.nmant)
    tens = np.array([float(f"1e{e}") for e in range(-330, 309)])
    with np.errstate(over="ignore"):
        tens = tens.astype(row.dtype).view(unsigned)
    near = np.concatenate([twos, tens])
    least = np.arange(300, dtype=unsigned)
    greatest = np.array(limits.max).view(unsigned) - least
    normal = rng.standard_normal(2000).astype(row.dtype).view(unsigned)
    bits = np.concatenate([random, near, near + 1, np.maximum(near, 1) - 1, least, greatest, normal])
    return bits[np.isfinite(bits.view(row.dtype))]


@pytest.mark.parametrize("name", FORMATS)
def test_the_shortest_decimal_is_what_numpy_and_python_print(name):
    precision, spell = FORMATS[name]
    bits = patterns(name)
    m, k = shortest_decimals(bits.astype(np.uint64), precision, 8 * bits.itemsize)
    for value, digits, exponent in zip(np.abs(bits.view(ELEMENT_TYPES[name].dtype)), m.tolist(), k.tolist()):
        text = spell(float(value)) if name == "f64" else spell(value)
        mantissa, _, power = text.partition("e")
        whole, _, fraction = mantissa.partition(".")
        wanted = (whole + fraction).lstrip("0")
        assert str(digits).rstrip("0") == wanted.rstrip("0"), text
        if wanted:
            assert digits * 10 ** (exponent + 400) == int(whole + fraction) * 10 ** (
                int(power or 0) - len(fraction) + 400
            )


def test_the_shortest_decimal_of_each_bfloat16_reads_back_and_no_shorter_one_does():
    row = ELEMENT_TYPES["bf16"]
    bits = np.arange(1, 0x7F80, dtype=np.uint16)
    m, k = shortest_decimals(bits.astype(np.uint64), 8, 16)
    back = np.array([float(f"{d}e{e}") for d, e in zip(m.tolist(), k.tolist())]).astype(row.dtype)
    assert back.tobytes() == bits.tobytes()
    digits = [str(d).rstrip("0") for d in m.tolist()]
    for value, d in zip(bits.view(row.dtype).astype(float).tolist(), digits):
        fewer = f"{value:.{len(d) - 2}e}" if len(d) > 1 else None
        assert fewer is None or row.dtype.type(float(fewer)) != row.dtype.type(value)


@pytest.mark.parametrize("name", [n for n, row in ELEMENT_TYPES.items() if n != "f8e8m0fnu"])
def test_many_elements_are_written_as_few_are(name, monkeypatch):
    row = ELEMENT_TYPES[name]
    if name in ("f32", "f64"):
        array = np.resize(patterns(name), (9, 500, 2)).view(row.dtype)
    elif row.bits < 8:
        array = np.arange(1 << row.bits).astype(np.uint8).view(row.dtype).repeat(2).reshape(2, -1, 2)
        array = array if row.is_inexact else array.astype(np.int8).astype(row.dtype)
    else:
        array = np.random.default_rng(0).integers(0, 256, (3, 1024, 2 * row.dtype.itemsize), np.uint8)
        array = (array < 128 if name == "pred" else array).view(row.dtype)
    for part in (array, array.reshape(-1), array[:1, :1], array[:, :0]):
        monkeypatch.setattr(literals, "_FEW", array.size)
        one_by_one = literal_to_string(part, row)
        monkeypatch.setattr(literals, "_FEW", 1)
        assert literal_to_string(part, row) == one_by_one
        again = parse_literal(one_by_one, ArrayShape(row, part.shape))
        assert again.tobytes() == np.ascontiguousarray(part).tobytes()


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=True), min_size=2, max_size=40), st.integers(1, 7))
def test_rows_are_marked_wherever_steps_end(values, step):
    row = ELEMENT_TYPES["f64"]
    array = np.array(values * 6).reshape(2, -1, 3)
    with pytest.MonkeyPatch.context() as patch:
        wanted = literal_to_string(array, row)
        patch.setattr(literals, "_FEW", 1)
        patch.setattr(DecimalWriter, "step", step)
        assert literal_to_string(array, row) == wanted


# ---- lists of numbers in StableHLO


def listed(values: list, name: str, dims: tuple[int, ...]) -> np.ndarray:
    return parse_dense(f"dense<{values}>", ArrayShape(ELEMENT_TYPES[name], dims))


@pytest.mark.parametrize("name", ["f64", "f32", "bf16", "s8", "s64", "u8", "u64", "pred"])
def test_long_lists_are_read_as_short_ones_are(name, monkeypatch):
    row = ELEMENT_TYPES[name]
    if name == "pred":
        array = np.arange(600).reshape(3, 200) % 3 == 0
        text = str(array.tolist()).lower()
    elif row.is_inexact:
        array = np.random.default_rng(1).standard_normal((3, 200)).astype(row.dtype)
        text = str(array.astype(np.float64).tolist())
    else:
        limits = np.iinfo(row.dtype)
        array = np.random.default_rng(1).integers(limits.min, limits.max, (3, 200), row.dtype, endpoint=True)
        text = str(array.tolist())
    assert listed(text, name, (3, 200)).tobytes() == array.tobytes()


@pytest.mark.parametrize(
    ("old", "new"),
    [(" 7,", " 7 7,"), (" 7,", ","), (" 7,", " 7 ],["), (" 7,", " 7x,"), (" 7,", " 1e,"), ("[7", "7["), ("7]", "]7")],
)
@pytest.mark.parametrize("name", ["s32", "f32"])
def test_a_long_list_with_a_number_out_of_place_is_refused(name, old, new):
    text = str([[7] * 100] * 3)
    with pytest.raises(ParseError):
        listed(text.replace(old, new, 1), name, (3, 100))


def test_a_long_list_of_too_large_an_integer_is_refused():
    text = str([[7] * 100] * 3)
    for name, wrong in (("s8", "256"), ("u8", "-129"), ("s64", str(2**64)), ("pred", "2")):
        with pytest.raises(ParseError):
            listed(text.replace(" 7,", f" {wrong},", 1) if name != "pred" else text, name, (3, 100))


# ---- reading: as float reads each word

DIGITS = st.text("0123456789", min_size=1, max_size=20)
DECIMALS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(lambda x: str(np.float32(x))),
    st.floats(-1e6, 1e6).flatmap(lambda x: st.integers(0, 17).map(lambda digits: f"{x:.{digits}f}")),
    st.builds(lambda whole, part, power: f"{whole}.{part}e{power}", DIGITS, DIGITS, st.integers(-340, 320)),
    st.integers(2**52, 2**64).map(str),
)


@given(st.lists(DECIMALS, min_size=1, max_size=30))
@settings(max_examples=300)
def test_many_decimals_are_read_as_float_reads_each(words):
    values = parse_floats(" ".join(words).encode())
    if values is not None:  # digits that 64 bits do not hold
        assert values.tobytes() == np.array([float(w) for w in words]).tobytes()


def test_decimals_at_and_beside_the_middle_of_two_doubles_are_rounded_exactly():
    words = []
    for x in np.random.default_rng(0).integers(2**52, 2**53, 300).tolist():
        for exponent in (1, 2, 5, 10):
            middle = (2 * x + 1) << (exponent - 1)
            words += [str(n) for n in (middle - 1, middle, middle + 1) if n < 10**19]
    words += [f"{2**53 + n}.5" for n in range(-4, 5)]
    words += ["9007199254740993", "1e23", "8.5e22", "5e-324", "2.2250738585072011e-308", "1.7976931348623157e308"]
    values = parse_decimals(" ".join(words).encode())
    assert values.tobytes() == np.array([float(w) for w in words]).tobytes()


@pytest.mark.parametrize(
    "word", "1..2 --1 1-2 1.2.3 . - e5 1e 1e+ 1e5e5 1e- +1 0x1 1_0 1e12345 abc 1.-2 1.e -. 12345678a 1:2 1e5.0".split()
)
@pytest.mark.parametrize("text", ["{}", "1.0 {} 2.0", "{} 3", "4 {}"])
def test_what_is_no_plain_decimal_is_left_to_who_looks_closer(word, text):
    assert parse_decimals(text.format(word).encode()) is None


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("[1.0 2.0,, 3.0" + ", 1.0" * 200 + "]", (203,)),
        ("[" + "1.0, " * 200 + ", 2.0 3.0]", (202,)),
        ("[" + "[1.0, 2.0], " * 200 + "3.0[, 4.0]]", (201, 2)),
        ("[" + "[1.0, 2.0], " * 200 + "[3.0, ]4.0]", (201, 2)),
        ("1.0[" + "[1.0, 2.0], " * 200 + "[, 4.0]]", (201, 2)),
    ],
)
def test_a_number_out_of_its_place_in_a_long_literal_is_refused(text, shape):
    with pytest.raises(ParseError, match="does not stand between its commas and brackets|is not a number"):
        parse_dense(f"dense<{text}>", ArrayShape(ELEMENT_TYPES["f32"], shape))
