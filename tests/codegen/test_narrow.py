"""Conversions to and from narrow floats, bit for bit against ml_dtypes and NumPy."""

import ctypes
from functools import cache

import numpy as np
import pytest

from xlac.codegen.emit import ModuleEmitter, vector
from xlac.codegen.link import emit_object, load
from xlac.codegen.narrow import decode_narrow, encode_narrow
from xlac.codegen.target import Target
from xlac.ir.shape import ELEMENT_TYPES

TYPES = [t for t in ELEMENT_TYPES.values() if t.is_float and t.bits < 32 and t.name != "bf16"]
LANES = (1, 3, 16)
COUNT = 48  # a multiple of every lane count


@cache
def library(t):
    """A decoder, and encoders of float and double, for every lane count."""
    m, memory = ModuleEmitter(Target.host()), "i8" if t.bits <= 8 else "i16"
    symbols = []
    for n in LANES:
        for name, source, target in (("f", "float", memory), ("d", "double", memory), ("b", memory, "float")):
            symbols.append(f"{name}{n}")
            with m.function(symbols[-1], [("x", "ptr"), ("out", "ptr"), ("count", "i64")]) as f:
                x, out, count = f.arguments
                before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
                f.br(loop)
                f.at(loop)
                i = f.phi("i64", [(f.const("i64", 0), before)])
                size = {"float": 4, "double": 8, "i8": 1, "i16": 2}
                v = f.load(vector(n, source), f.gep(x, f.mul(i, f.const("i64", size[source]))), 1)
                result = decode_narrow(f, v, t) if name == "b" else encode_narrow(f, v, t)
                assert result.type == vector(n, target)
                f.store(result, f.gep(out, f.mul(i, f.const("i64", size[target]))), 1)
                after = f.add(i, f.const("i64", n))
                f.add_incoming(i, after, f.current_block)
                f.cond_br(f.icmp("ult", after, count), loop, done)
                f.at(done)
    return load(emit_object(m.text(), Target.host()), symbols)


def call(t, name, n, x, dtype):
    pad = -len(x) % COUNT
    x = np.concatenate([x, np.zeros(pad, x.dtype)])
    out = np.zeros(len(x), dtype)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function(library(t).address(f"{name}{n}"))(x.ctypes.data, out.ctypes.data, len(x))
    return out[: len(x) - pad]


def assert_same_bits(got, want, t):
    """Equal, with the payload of a NaN left open but not its sign."""
    if t.bits != 16:
        return np.testing.assert_array_equal(got, want)
    nan = np.isnan(want.view(np.float16))
    np.testing.assert_array_equal(got[~nan], want[~nan])
    assert np.isnan(got.view(np.float16)[nan]).all()


@pytest.mark.parametrize("t", TYPES, ids=str)
@pytest.mark.parametrize("n", LANES)
def test_every_code_decodes_to_its_number(t, n):
    codes = np.arange(2**t.bits, dtype=f"u{t.dtype.itemsize}")
    want = codes.view(t.dtype).astype(np.float32)
    got = call(t, "b", n, codes, np.float32)
    np.testing.assert_array_equal(got, want)
    numbers = ~np.isnan(want)
    np.testing.assert_array_equal(np.signbit(got)[numbers], np.signbit(want)[numbers])


def floats(t):
    """A sweep of all floats, and every number of the type and every half-way point with their neighbours."""
    spread = np.arange(0, 2**32, 40961).astype(np.uint32)
    codes = np.arange(2**t.bits, dtype=f"u{t.dtype.itemsize}").view(t.dtype).astype(np.float64)
    numbers = np.unique(codes[np.isfinite(codes)])
    middles = np.concatenate([numbers, (numbers[1:] + numbers[:-1]) / 2, [2 * numbers[-1] - numbers[-2]]])
    middles = np.concatenate([middles, [numbers[-1] + (numbers[-1] - numbers[-2]) / 2]])
    with np.errstate(over="ignore"):
        near = middles.astype(np.float32).view(np.uint32)
    near = (near[:, None].astype(np.int64) + np.arange(-2, 3)).ravel().astype(np.uint32)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan], np.float32).view(np.uint32)
    return np.concatenate([spread, near, special]).view(np.float32)


@pytest.mark.parametrize("t", TYPES, ids=str)
@pytest.mark.parametrize("n", LANES)
def test_floats_encode_as_ml_dtypes_rounds_them(t, n):
    x, unsigned = floats(t), np.dtype(f"u{t.dtype.itemsize}")
    with np.errstate(all="ignore"):
        want = x.astype(t.dtype).view(unsigned)
    assert_same_bits(call(t, "f", n, x, unsigned), want, t)


@pytest.mark.parametrize("t", TYPES, ids=str)
def test_doubles_are_rounded_once(t):
    unsigned = np.dtype(f"u{t.dtype.itemsize}")
    x = floats(t)
    x = x[np.isfinite(x)].astype(np.float64)
    for step in (0, -1, 1):  # next to a half-way point, what a first rounding to float would lose
        nudged = x if not step else np.nextafter(x, step * np.inf)
        with np.errstate(all="ignore"):
            near = nudged.astype(np.float32)
            back = near.astype(np.float64)
            away = np.nextafter(near, np.where(nudged > back, np.inf, -np.inf).astype(np.float32))
            odd = np.where((back == nudged) | (near.view(np.uint32) & 1 == 1), near, away)
            want = odd.astype(t.dtype).view(unsigned)
        assert_same_bits(call(t, "d", 16, nudged, unsigned), want, t)
