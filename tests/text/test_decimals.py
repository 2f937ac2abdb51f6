"""Decimals written and read many at a time: the same text and the same bits as one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlac.errors import ParseError
from xlac.ir.shape import ELEMENT_TYPES, ArrayShape
from xlac.text import literals
from xlac.text.decimals import DecimalWriter
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
