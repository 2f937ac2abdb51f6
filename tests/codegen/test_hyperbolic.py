"""Hyperbolic and inverse functions against mpmath, and exactly where C99 fixes the result."""

import ctypes
import math
from functools import cache

import mpmath
import numpy as np
import pytest

from tests.codegen.test_math import double_ulps, portable
from xlac.codegen.emit import ModuleEmitter, bits, vector
from xlac.codegen.hyperbolic import HYPERBOLIC, ULP
from xlac.codegen.link import emit_object, load
from xlac.codegen.target import Target

DTYPES = {"float": np.float32, "double": np.float64}
PAD = 48


@cache
def library(type, n, host):
    target = Target.host() if host else portable()
    m, size = ModuleEmitter(target), bits(type) // 8
    for name, function in HYPERBOLIC.items():
        with m.function(name, [("x", "ptr"), ("out", "ptr"), ("count", "i64")]) as f:
            x, out, count = f.arguments
            before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
            f.br(loop)
            f.at(loop)
            i = f.phi("i64", [(f.const("i64", 0), before)])
            offset = f.mul(i, f.const("i64", size))
            f.store(function(f, f.load(vector(n, type), f.gep(x, offset), size)), f.gep(out, offset), size)
            after = f.add(i, f.const("i64", n))
            f.add_incoming(i, after, f.current_block)
            f.cond_br(f.icmp("ult", after, count), loop, done)
            f.at(done)
    return load(emit_object(m.text(), target), list(HYPERBOLIC))


def call(name, x, n=8, host=True):
    type = next(t for t, d in DTYPES.items() if x.dtype == d)
    pad = -len(x) % PAD
    x = np.concatenate([x, np.ones(pad, x.dtype)])
    out = np.empty_like(x)
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function(library(type, n, host).address(name))(x.ctypes.data, out.ctypes.data, len(x))
    return out[: len(x) - pad]


def sample(name, type, count):
    """Finite arguments with finite results other than exact zeros."""
    rng = np.random.default_rng(7)
    info = np.finfo(DTYPES[type])
    tiny, huge = float(info.smallest_subnormal), float(info.max)

    def spread(a, b, signed=True):
        x = np.exp(rng.uniform(math.log(a), math.log(b), count))
        return x * rng.choice([-1, 1], count) if signed else x

    overflow = math.log(huge) + math.log(2) - 1e-4
    inside = [spread(tiny * 4, 0.99), rng.uniform(-1, 1, count), 1 - spread(float(info.eps), 0.5, signed=False)]
    hyperbolic = [spread(tiny * 4, 1), rng.uniform(-3, 3, count), rng.uniform(-overflow, overflow, count)]
    parts = {
        "sinh": [*hyperbolic, [overflow, -overflow, math.log(huge)]],
        "cosh": [*hyperbolic, [overflow, -overflow, math.log(huge)]],
        "asin": [*inside, [1.0, -1.0]],
        "acos": [*inside, [-1.0, 0.0]],
        "asinh": [spread(tiny * 4, huge / 1.01), rng.uniform(-4, 4, count)],
        "acosh": [spread(1.5, huge / 1.01, signed=False), 1 + spread(float(info.eps), 2, signed=False)],
        "atanh": inside,
    }[name]
    x = np.concatenate(parts).astype(DTYPES[type])
    return x[(np.abs(x) < 1)] if name == "atanh" else x[x != 1] if name in ("acos", "acosh") else x


def float_ulps(got, want):
    unit = mpmath.ldexp(1, max(mpmath.frexp(want)[1] - 24, -149))
    return float(abs(mpmath.mpf(got) - want) / unit) if math.isfinite(got) else math.inf


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("type", DTYPES)
@pytest.mark.parametrize("name", HYPERBOLIC)
def test_results_are_within_their_bound(name, type, host):
    x = sample(name, type, 300)
    got = call(name, x, host=host)
    ulps = float_ulps if type == "float" else double_ulps
    with mpmath.workprec(160):
        errors = [ulps(g, getattr(mpmath, name)(mpmath.mpf(v))) for g, v in zip(got.tolist(), x.tolist(), strict=True)]
    worst = int(np.argmax(errors))
    assert errors[worst] <= ULP[name], f"{name}({x[worst]!r}) = {got[worst]!r}, {errors[worst]:.3f} ULP off"


@pytest.mark.parametrize("n", [1, 3, 16])
def test_lane_counts_do_not_change_results(n):
    for name in HYPERBOLIC:
        for type in DTYPES:
            x = sample(name, type, 40)
            np.testing.assert_array_equal(call(name, x, n), call(name, x), strict=True)


inf, nan = math.inf, math.nan
SPECIAL_RESULTS = {
    "sinh": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (1e4, inf), (-1e4, -inf)],
    "cosh": [(0.0, 1), (-0.0, 1), (inf, inf), (-inf, inf), (1e4, inf), (-1e4, inf)],
    "asin": [(0.0, 0.0), (-0.0, -0.0), (1, math.pi / 2), (1.5, nan), (-1.5, nan), (inf, nan), (-inf, nan)],
    "acos": [(1, 0.0), (-1, math.pi), (1.5, nan), (-1.5, nan), (inf, nan), (-inf, nan)],
    "asinh": [(0.0, 0.0), (-0.0, -0.0), (inf, inf), (-inf, -inf)],
    "acosh": [(1, 0.0), (inf, inf), (0.5, nan), (0.0, nan), (-1, nan), (-3, nan), (-inf, nan)],
    "atanh": [(0.0, 0.0), (-0.0, -0.0), (1, inf), (-1, -inf), (1.5, nan), (-1.5, nan), (inf, nan), (-inf, nan)],
}


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("type", DTYPES)
@pytest.mark.parametrize("name", HYPERBOLIC)
def test_special_arguments_give_the_exact_results(name, type, host):
    x, want = np.array([*SPECIAL_RESULTS[name], (nan, nan)], DTYPES[type]).T.copy()
    got = call(name, x, host=host)
    np.testing.assert_array_equal(got, want)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()
