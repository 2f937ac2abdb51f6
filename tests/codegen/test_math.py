"""Vector math against NumPy in double (for float) and mpmath (for double), and exactly where C99 fixes the result."""

import ctypes
import itertools
import math
from dataclasses import replace
from functools import cache

import ml_dtypes
import mpmath
import numpy as np
import pytest

from xlac.codegen.emit import ModuleEmitter, bits, vector
from xlac.codegen.link import assembly, emit_object, load
from xlac.codegen.math import FUNCTIONS, ULP
from xlac.codegen.target import Target

BINARY = ("power", "atan2")
UNARY = [name for name in FUNCTIONS if name not in BINARY]
DTYPES = {"float": np.float32, "double": np.float64, "half": np.float16, "bfloat": ml_dtypes.bfloat16}
FULL = {"float": 16, "double": 8}
PAD = 96  # a multiple of every lane count below
SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1.5, -2.5]


def portable() -> Target:
    """The host without AVX-512."""
    host = Target.host()
    features = frozenset(f for f in host.features if not f.startswith("avx512"))
    off = ",".join(f"-{f}" for f in sorted(host.features - features))
    return replace(
        host, features=features, feature_string=f"{host.feature_string},{off}" if off else host.feature_string
    )


@cache
def library(type: str, n: int, host: bool = True, fast_math: str = ""):
    """Every function as a kernel of (inputs..., output, count) with `n` lanes."""
    target = Target.host() if host else portable()
    m, size = ModuleEmitter(target), bits(type) // 8
    for name, function in FUNCTIONS.items():
        inputs = [(f"x{i}", "ptr") for i in range(1 + (name in BINARY))]
        with m.function(name.replace("-", "_"), [*inputs, ("out", "ptr"), ("count", "i64")]) as f:
            *xs, out, count = f.arguments
            before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
            f.br(loop)
            f.at(loop)
            i = f.phi("i64", [(f.const("i64", 0), before)])
            offset = f.mul(i, f.const("i64", size))
            f.fast_math = fast_math
            result = function(f, *[f.load(vector(n, type), f.gep(x, offset), size) for x in xs])
            assert f.fast_math == fast_math
            f.store(result, f.gep(out, offset), size)
            after = f.add(i, f.const("i64", n))
            f.add_incoming(i, after, f.current_block)
            f.cond_br(f.icmp("ult", after, count), loop, done)
            f.at(done)
    symbols = [name.replace("-", "_") for name in FUNCTIONS]
    return load(emit_object(m.text(), target), symbols)


def call(name, *xs, lanes=None, host=True, fast_math=""):
    dtype = xs[0].dtype
    type = next(t for t, d in DTYPES.items() if np.dtype(d) == dtype)
    address = library(type, lanes or FULL.get(type, 16), host, fast_math).address(name.replace("-", "_"))
    pad = -len(xs[0]) % PAD
    xs = [np.concatenate([x, np.ones(pad, dtype)]) for x in xs]
    out = np.empty_like(xs[0])
    pointers = [a.ctypes.data for a in (*xs, out)]
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(pointers), ctypes.c_int64)(address)(*pointers, len(out))
    return out[: len(out) - pad]


# float against double


def logistic(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1.0) / (1 + e)


def erf(x):
    return np.frompyfunc(math.erf, 1, 1)(x).astype(np.float64)


REFERENCE = {
    "exponential": np.exp,
    "exponential-minus-one": np.expm1,
    "log": np.log,
    "log-plus-one": np.log1p,
    "tanh": np.tanh,
    "logistic": logistic,
    "erf": erf,
    "sine": np.sin,
    "cosine": np.cos,
    "tan": np.tan,
    "sqrt": np.sqrt,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "cbrt": np.cbrt,
    "power": np.power,
    "atan2": np.arctan2,
}


def float_ulps(got, want):
    """Error of float results in units of the last place of the double `want`; infinite where the kind is wrong."""
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        unit = np.ldexp(1.0, np.maximum(np.frexp(want)[1] - 24, -149))
        limit = 2.0**128  # what an overflow stands for
        error = np.abs(np.clip(got.astype(np.float64), -limit, limit) - np.clip(want, -limit, limit)) / unit
        right = (got == rounded) & (np.signbit(got) == np.signbit(rounded)) | np.isnan(got) & np.isnan(rounded)
        wrong = (np.isnan(got) != np.isnan(rounded)) | (got == rounded) & (np.signbit(got) != np.signbit(rounded))
    exact = right & ~(np.isfinite(want) & (want != 0))
    return np.where(wrong, np.inf, np.where(exact, 0, error))


def check_float(name, *xs, **options):
    got = call(name, *xs, **options)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](*[x.astype(np.float64) for x in xs])
    error = float_ulps(got, want)
    worst = int(np.argmax(error))
    at = ", ".join(repr(x[worst]) for x in xs)
    assert error[worst] <= ULP[name, "float"], f"{name}({at}) = {got[worst]!r}, {error[worst]:.3f} ULP off"


EDGES = {  # where an algorithm changes or a result overflows or vanishes
    "exponential": [-104, -103.97208, -87.33655, -0.34657, 0, 0.34657, 88.72284],
    "exponential-minus-one": [-20, -17.328, -0.34657, 0.34657, 1.0397, 88.72284, 3e-8],
    "log": [1, 0.75, 1.5, 0.7071, 1.1754944e-38, 1e-45],
    "log-plus-one": [-1, -0.5, 0.5, 1, -0.25, 3e-8, 1.7e7, 3.4e38],
    "tanh": [0.625, -0.625, 9.01, 10],
    "logistic": [-104, -88, -16.6, 0, 16.6],
    "erf": [0.92, -0.92, 3.83, 4],
    "sine": [math.pi, 2 * math.pi, 131072, 355, 16367173 * 2.0**72],
    "cosine": [math.pi / 2, 3 * math.pi / 2, 131072, 16367173 * 2.0**72],
    "tan": [math.pi / 2, math.pi, 131072, 16367173 * 2.0**72],
    "sqrt": [1.1754944e-38, 1],
    "rsqrt": [1.1754944e-38, 1, 3.4028235e38],
    "cbrt": [1.1754944e-38, 1, 8, 0.75, 1.5],
}


def float_sample(name, count):
    """Bit patterns all over the range, every special number, and neighbours of each edge."""
    rng = np.random.default_rng(1)
    step = 2**32 // count
    spread = np.arange(0, 2**32, step) + rng.integers(0, step, count)
    edges = np.array(EDGES[name] + SPECIAL, np.float32).view(np.int32).astype(np.int64)
    near = (edges[:, None] + np.arange(-300, 300)).ravel() & 0xFFFFFFFF
    return np.concatenate([spread, near]).astype(np.uint32).view(np.float32)


def float_pairs(name, count):
    rng = np.random.default_rng(2)
    kinds = [
        rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32),
        rng.standard_normal(count).astype(np.float32),
        np.exp(3 * rng.standard_normal(count)).astype(np.float32),
    ]
    x, y = (np.choose(rng.integers(0, 3, count), kinds) for _ in range(2))
    pairs = np.array(list(itertools.product(SPECIAL, SPECIAL)), np.float32)
    x, y = np.concatenate([x, pairs[:, 0]]), np.concatenate([rng.permutation(y), pairs[:, 1]])
    if name == "power":  # results all over the range, denormals and overflow included
        base = np.abs(kinds[0])
        base = np.where((base > 0) & (base < np.inf), base, np.float32(3))
        with np.errstate(all="ignore"):
            exponent = (rng.uniform(-152, 129, count) / np.log2(base.astype(np.float64))).astype(np.float32)
        x, y = np.concatenate([x, base]), np.concatenate([y, exponent])
    return x, y


def float_arguments(name, count):
    return float_pairs(name, count) if name in BINARY else (float_sample(name, count),)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float_is_within_its_bound(name):
    check_float(name, *float_arguments(name, 2**18))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float_without_avx512_is_within_its_bound(name):
    check_float(name, *float_arguments(name, 2**16), host=False, lanes=8)


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 8, 32])
def test_every_lane_count_is_within_the_bounds(lanes):
    for name in FUNCTIONS:
        check_float(name, *float_arguments(name, 2**12), lanes=lanes)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float_sweep_is_within_its_bound(name):
    if name in BINARY:
        return check_float(name, *float_arguments(name, 2**22))
    stride, chunk = 257, 2**20
    for start in range(0, 2**32, stride * chunk):
        patterns = np.arange(start, min(start + stride * chunk, 2**32), stride)
        check_float(name, patterns.astype(np.uint32).view(np.float32))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("type", ["float", "double"])
def test_results_do_not_depend_on_the_number_of_lanes(name, type):
    xs = [x.astype(DTYPES[type]) for x in float_arguments(name, 2**10)]
    want = call(name, *xs)
    for lanes in (1, 2, 4, 32):
        np.testing.assert_array_equal(call(name, *xs, lanes=lanes), want, strict=True)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fast_math_flags_do_not_reach_the_functions(name):
    xs = float_arguments(name, 2**10)
    np.testing.assert_array_equal(call(name, *xs, fast_math="fast "), call(name, *xs), strict=True)


@pytest.mark.parametrize("type", ["half", "bfloat"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_half_and_bfloat_are_the_rounded_float_results(name, type):
    xs = [x[np.abs(x) < 6e4].astype(DTYPES[type])[:3000] for x in float_arguments(name, 2**13)]
    with np.errstate(all="ignore"):
        want = call(name, *[x.astype(np.float32) for x in xs]).astype(DTYPES[type])
    got = call(name, *xs)
    np.testing.assert_array_equal(got.astype(np.float32), want.astype(np.float32))


# double against mpmath


def mp_cbrt(x):
    return mpmath.sign(x) * mpmath.cbrt(abs(x))


PRECISE = {
    "exponential": mpmath.exp,
    "exponential-minus-one": mpmath.expm1,
    "log": mpmath.log,
    "log-plus-one": mpmath.log1p,
    "tanh": mpmath.tanh,
    "logistic": lambda x: 1 / (1 + mpmath.exp(-x)),
    "erf": mpmath.erf,
    "sine": mpmath.sin,
    "cosine": mpmath.cos,
    "tan": mpmath.tan,
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda x: 1 / mpmath.sqrt(x),
    "cbrt": mp_cbrt,
    "power": mpmath.power,
    "atan2": mpmath.atan2,
}
WORST_REDUCTION = 6381956970095103 * 2.0**797  # of all doubles, the closest to a multiple of pi/2 (Muller et al.)


def double_sample(name, count):
    """Finite arguments with finite results that are not exact zeros."""
    rng = np.random.default_rng(3)

    def uniform(a, b):
        return rng.uniform(a, b, count)

    def spread(a, b, signed=True):
        x = np.exp(uniform(math.log(a), math.log(b)))
        return x * rng.choice([-1, 1], count) if signed else x

    angles = [uniform(-10, 10), uniform(-1e6, 1e6), spread(1e6, 1.7e308), np.arange(1, count) * (math.pi / 2)]
    angles += [np.array([WORST_REDUCTION, -WORST_REDUCTION, 2.0**20, 1e22, 1.7e308, 5e-324, 1e-300])]
    positive = [spread(1e-320, 1.7e308, signed=False), uniform(0.5, 4), uniform(0.99, 1.01)]
    return np.concatenate(
        {
            "exponential": [uniform(-745, 709.7), uniform(-1, 1), spread(1e-20, 1)],
            "exponential-minus-one": [uniform(-45, 709.7), uniform(-2, 2), spread(1e-320, 1)],
            "log": positive,
            "log-plus-one": [spread(1e-320, 0.9), uniform(-0.99, 3), spread(1, 1.7e308, signed=False)],
            "tanh": [uniform(-3, 3), uniform(-25, 25), spread(1e-320, 1)],
            "logistic": [uniform(-745, 45), uniform(-5, 5), spread(1e-20, 1)],
            "erf": [uniform(-6.5, 6.5), uniform(-1.2, 1.2), spread(1e-300, 1)],
            "sine": angles,
            "cosine": angles,
            "tan": angles,
            "sqrt": positive,
            "rsqrt": positive,
            "cbrt": [spread(1e-320, 1.7e308), uniform(-8, 8)],
        }[name]
    )


def double_pairs(name, count):
    rng = np.random.default_rng(4)

    def spread(a, b):
        return np.exp(rng.uniform(math.log(a), math.log(b), count))

    if name == "power":
        x = np.concatenate([spread(1e-300, 1e300), spread(0.5, 2), spread(0.999, 1.001)])
        return x, rng.uniform(-1074, 1023.9, len(x)) / np.log2(x)
    kinds = (spread(1e-3, 1e3), spread(1e-300, 1e300), np.ones(count))
    x, y = (np.concatenate(kinds) * rng.choice([-1, 1], 3 * count) for _ in range(2))
    return rng.permutation(x), y


def double_ulps(got, want):
    if want == 0 or not math.isfinite(got):
        return 0.0 if got == want else math.inf
    unit = mpmath.ldexp(1, max(mpmath.frexp(want)[1] - 53, -1074))
    return float(abs(mpmath.mpf(got) - want) / unit)


def check_double(name, count, **options):
    xs = double_pairs(name, count) if name in BINARY else (double_sample(name, count),)
    got = call(name, *xs, **options)
    worst, where = 0.0, None
    with mpmath.workprec(1250 if name in ("sine", "cosine", "tan") else 140):
        for row in zip(got.tolist(), *[x.tolist() for x in xs], strict=True):
            error = double_ulps(row[0], PRECISE[name](*map(mpmath.mpf, row[1:])))
            if error > worst:
                worst, where = error, row
    assert worst <= ULP[name, "double"], f"{name}{where[1:]} = {where[0]!r}, {worst:.3f} ULP off"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_double_is_within_its_bound(name):
    check_double(name, 400)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_double_without_avx512_is_within_its_bound(name):
    check_double(name, 100, host=False, lanes=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_double_sweep_is_within_its_bound(name):
    check_double(name, 8000)


# Special cases (C99, Annex F)

inf, nan = math.inf, math.nan
SPECIAL_RESULTS = {
    "exponential": [(0.0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (1e4, inf), (-1e4, 0)],
    "exponential-minus-one": [(0.0, 0), (-0.0, -0.0), (inf, inf), (-inf, -1), (1e4, inf), (-1e4, -1)],
    "log": [(0.0, -inf), (-0.0, -inf), (1, 0), (inf, inf), (-inf, nan), (-1, nan), (-1e-310, nan)],
    "log-plus-one": [(0.0, 0), (-0.0, -0.0), (-1, -inf), (inf, inf), (-inf, nan), (-1.5, nan)],
    "tanh": [(0.0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (1e30, 1), (-1e30, -1)],
    "logistic": [(0.0, 0.5), (-0.0, 0.5), (inf, 1), (-inf, 0), (1e30, 1), (-1e30, 0)],
    "erf": [(0.0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (1e30, 1), (-1e30, -1)],
    "sine": [(0.0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "cosine": [(0.0, 1), (-0.0, 1), (inf, nan), (-inf, nan)],
    "tan": [(0.0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan)],
    "sqrt": [(0.0, 0), (-0.0, -0.0), (inf, inf), (-inf, nan), (-1, nan), (4, 2)],
    "rsqrt": [(0.0, inf), (-0.0, -inf), (inf, 0), (-inf, nan), (-1, nan), (4, 0.5)],
    "cbrt": [(0.0, 0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (8, 2), (-27, -3)],
}


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("type", ["float", "double"])
@pytest.mark.parametrize("name", UNARY)
def test_special_arguments_give_the_exact_results(name, type, host):
    table = [*SPECIAL_RESULTS[name], (nan, nan)]
    if type == "float":
        table = [(x, want) for x, want in table if x != -1e-310]
    x, want = np.array(table, DTYPES[type]).T.copy()
    got = call(name, x, host=host, lanes=4)
    np.testing.assert_array_equal(got, want)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("type", ["float", "double"])
@pytest.mark.parametrize("name", BINARY)
def test_special_pairs_give_the_results_of_c99(name, type, host):
    info = np.finfo(DTYPES[type])
    big, odd = float(info.max), 2.0 ** (info.nmant + 1) - 1
    numbers = [*SPECIAL, big, -big, float(info.smallest_subnormal), -float(info.smallest_subnormal), odd, -odd, odd + 1]
    numbers += [1 - float(info.epsneg), 1 + float(info.eps)]
    x, y = np.array(list(itertools.product(numbers, numbers)), DTYPES[type]).T.copy()
    got = call(name, x, y, host=host, lanes=4)
    with np.errstate(all="ignore"):
        want = REFERENCE[name](x.astype(np.float64), y.astype(np.float64)).astype(DTYPES[type])
    np.testing.assert_allclose(got, want, rtol=2 * float(info.eps), atol=0)
    exact = np.isin(np.abs(want), [0, 1, inf])
    np.testing.assert_array_equal(got[exact], want[exact])
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


@pytest.mark.parametrize(("type", "n"), [("float", 4), ("double", 2), ("float", 1), ("float", 16)])
def test_functions_compile_for_aarch64_without_library_calls(type, n):
    target = Target.parse("aarch64-neon")
    m = ModuleEmitter(target)
    for name, function in FUNCTIONS.items():
        with m.function(name.replace("-", "_"), [("x", "ptr"), ("y", "ptr")]) as f:
            x, y = (f.load(vector(n, type), a, 4) for a in f.arguments)
            f.store(function(f, x, y) if name in BINARY else function(f, x), f.arguments[1], 4)
    lines = [line.split() for line in assembly(m.text(), target).splitlines()]
    assert {line[1].rpartition("_")[0] for line in lines if line[:1] == ["bl"]} == {"reduce_large"}


def test_every_function_states_its_error_in_both_types():
    assert set(ULP) == set(itertools.product(FUNCTIONS, ("float", "double")))
