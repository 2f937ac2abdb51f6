"""Complex functions against mpmath, and against C99's Annex G as NumPy has it at infinities, NaN and signed zeros."""

import ctypes
import itertools
import math
from functools import cache

import mpmath
import numpy as np
import pytest

from tests.codegen.test_math import portable
from xlac.codegen.complex import COMPLEX, Complex, absolute, divide, sign
from xlac.codegen.emit import ModuleEmitter, vector
from xlac.codegen.link import emit_object, load
from xlac.codegen.target import Target


def magnitude(e, z):
    return Complex(absolute(e, z), e.const(z.re.type, 0.0))


FUNCTIONS = {**COMPLEX, "divide": divide, "abs": magnitude, "sign": sign}
BINARY = ("power", "atan2", "divide")
UNARY = [name for name in FUNCTIONS if name not in BINARY]
TYPES = {np.dtype(np.complex64): "float", np.dtype(np.complex128): "double"}
PAD = 16


@cache
def library(type, n, host):
    """Every function of separate real and imaginary parts, `n` elements at a time."""
    target = Target.host() if host else portable()
    m, size = ModuleEmitter(target), 4 if type == "float" else 8
    symbols = []
    for name, function in FUNCTIONS.items():
        symbols.append(name.replace("-", "_"))
        count = 2 if name in BINARY else 1
        parameters = [f"{part}{i}" for i in range(count + 1) for part in ("re", "im")]
        with m.function(symbols[-1], [*[(p, "ptr") for p in parameters], ("count", "i64")]) as f:
            *parts, total = f.arguments
            before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
            f.br(loop)
            f.at(loop)
            i = f.phi("i64", [(f.const("i64", 0), before)])
            places = [f.gep(p, f.mul(i, f.const("i64", size))) for p in parts]
            values = [f.load(vector(n, type), p, size) for p in places[:-2]]
            result = function(f, *[Complex(*values[k : k + 2]) for k in range(0, len(values), 2)])
            f.store(result.re, places[-2], size)
            f.store(result.im, places[-1], size)
            after = f.add(i, f.const("i64", n))
            f.add_incoming(i, after, f.current_block)
            f.cond_br(f.icmp("ult", after, total), loop, done)
            f.at(done)
    return load(emit_object(m.text(), target), symbols)


def call(name, *zs, host=True, n=4):
    type = TYPES[zs[0].dtype]
    part = zs[0].real.dtype
    pad = -len(zs[0]) % PAD
    parts = [np.concatenate([p, np.ones(pad, part)]) for z in zs for p in (z.real, z.imag)]
    parts += [np.empty_like(parts[0]), np.empty_like(parts[0])]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(parts), ctypes.c_int64)
    function(library(type, n, host).address(name.replace("-", "_")))(*[p.ctypes.data for p in parts], len(parts[0]))
    result = np.empty(len(zs[0]), zs[0].dtype)
    result.real, result.imag = parts[-2][: len(result)], parts[-1][: len(result)]
    return result


MP = {
    "exponential": mpmath.exp,
    "exponential-minus-one": lambda z: mpmath.exp(z) - 1,
    "log": mpmath.log,
    "log-plus-one": lambda z: mpmath.log(1 + z),
    "logistic": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "sine": mpmath.sin,
    "cosine": mpmath.cos,
    "tan": mpmath.tan,
    "asin": mpmath.asin,
    "acos": mpmath.acos,
    "asinh": mpmath.asinh,
    "acosh": mpmath.acosh,
    "atanh": mpmath.atanh,
    "sqrt": mpmath.sqrt,
    "rsqrt": lambda z: 1 / mpmath.sqrt(z),
    "power": mpmath.power,
    "atan2": lambda y, x: -1j * mpmath.log((x + 1j * y) / mpmath.sqrt(x * x + y * y)),
    "divide": lambda x, y: x / y,
    "abs": abs,
    "sign": lambda z: z / abs(z),
}
GROWING = ("exponential", "exponential-minus-one", "logistic", "sinh", "cosh", "sine", "cosine")


def spread(rng, count, low, high):
    return np.exp(rng.uniform(math.log(low), math.log(high), count)) * rng.choice([-1, 1], count)


def sample(name, dtype, count, seed):
    """Finite numbers of all magnitudes that the function's results allow, and near where it is delicate."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    low, high = (1e-6, 80) if name in GROWING else (float(info.smallest_subnormal) * 8, float(info.max) / 1.01)
    if name in ("power", "atan2", "divide"):
        low, high = {"power": (1e-2, 8), "atan2": (1e-3, 1e3), "divide": (1e-15, 1e15)}[name]
    z = np.empty(3 * count, dtype)
    z.real = np.concatenate([spread(rng, count, low, high), rng.uniform(-3, 3, count), spread(rng, count, 0.9, 1.1)])
    z.imag = np.concatenate([spread(rng, count, low, high), rng.uniform(-3, 3, count), spread(rng, count, 1e-9, 1e-2)])
    if name == "log":
        angle = rng.uniform(-math.pi, math.pi, count)
        z[-count:].real, z[-count:].imag = np.cos(angle), np.sin(angle)
    return z


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_results_are_near_the_exact_ones(name, dtype, host):
    zs = [sample(name, dtype, 60, seed) for seed in range(2 if name in BINARY else 1)]
    got = call(name, *zs, host=host)
    info = np.finfo(dtype)
    with mpmath.workprec(2200 if name in ("asin", "acos", "asinh", "acosh", "atanh", "log-plus-one") else 400):
        for row in zip(got.tolist(), *[z.tolist() for z in zs], strict=True):
            want = mpmath.mpc(MP[name](*map(mpmath.mpmathify, row[1:])))
            size = abs(want)
            bound = {"logistic": 6 * max(1, size), "atan2": 12 * max(1, 1 / size)}.get(name, 6.0)
            if name == "power":
                bound = 12 + 8 * abs(row[2] * np.log(row[1]))
            unit = max(size * float(info.eps), mpmath.mpf(float(info.smallest_subnormal)))
            error = abs(mpmath.mpc(row[0]) - want)
            assert error <= bound * unit, f"{name}{row[1:]} = {row[0]}, {float(error / unit):.1f} eps off {want}"


REFERENCE = {
    "exponential": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "sine": np.sin,
    "cosine": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "sqrt": np.sqrt,
    "abs": lambda z: np.abs(z).astype(z.dtype),
}
inf, nan = math.inf, math.nan
PARTS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, inf, -inf, nan]


def pairs(parts, dtype):
    z = np.empty(len(parts) ** 2, dtype)
    z.real, z.imag = np.array(list(itertools.product(parts, parts))).T
    return z


def same(got, want, eps):
    with np.errstate(invalid="ignore"):
        near = np.abs(got - want) <= 8 * eps * np.maximum(np.abs(want), eps)
    signs = (np.signbit(got) == np.signbit(want)) | (want != 0) & np.isfinite(want)
    return np.isnan(want) & np.isnan(got) | (near | (got == want)) & signs


# Where Annex G leaves the sign open, by function: the parts whose sign is not compared.
OPEN = {
    "exponential": lambda z: np.isneginf(z.real) & ~np.isfinite(z.imag) | np.isposinf(z.real) & ~np.isfinite(z.imag),
    "sinh": lambda z: ~np.isfinite(z.imag) | np.isnan(z.real),
    "cosh": lambda z: ~np.isfinite(z.imag) | np.isnan(z.real),
    "sine": lambda z: ~np.isfinite(z.real) | np.isnan(z.imag),
    "cosine": lambda z: ~np.isfinite(z.real) | np.isnan(z.imag),
    "tanh": lambda z: ~np.isfinite(z.imag) | np.isnan(z.real),
    "tan": lambda z: ~np.isfinite(z.real) | np.isnan(z.imag),
}


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", REFERENCE)
def test_special_numbers_give_what_annex_g_says(name, dtype, host):
    z = pairs(PARTS, dtype)
    if name == "acosh" and np.lib.NumpyVersion(np.__version__) < "2.3.0":
        z = z[(z.real != 0) | ~np.isnan(z.imag)]  # where older NumPy does not give the quarter turn
    with np.errstate(all="ignore"):
        got, want = call(name, z, host=host), REFERENCE[name](z)
    eps = float(np.finfo(dtype).eps)
    free = OPEN[name](z) if name in OPEN else np.isnan(z.real) | np.isnan(z.imag)
    for part in ("real", "imag"):
        g, w = getattr(got, part), getattr(want, part)
        ok = same(g, w, eps) | free & same(np.abs(g), np.abs(w), eps)
        wrong = [f"{name}({a}) = {x}, not {y}" for a, x, y in zip(z[~ok], got[~ok], want[~ok])]
        assert not wrong, "\n".join(wrong)


def test_complex_results_do_not_depend_on_the_number_of_lanes():
    for name in FUNCTIONS:
        for dtype in TYPES:
            zs = [sample(name, dtype, 16, seed) for seed in range(2 if name in BINARY else 1)]
            want = call(name, *zs)
            for n in (1, 16):
                np.testing.assert_array_equal(call(name, *zs, n=n), want)


def test_numbers_as_large_or_small_as_can_be_do_not_overflow_on_the_way():
    for dtype in TYPES:
        info = np.finfo(dtype)
        for part in (float(info.max) / 2, float(info.smallest_normal), float(info.smallest_subnormal)):
            z = np.array([complex(part, part)], dtype)
            np.testing.assert_allclose(call("divide", z, z), [1], rtol=4 * info.eps)
            np.testing.assert_allclose(call("sign", z), [(1 + 1j) / math.sqrt(2)], rtol=4 * info.eps)
            root = call("sqrt", z).astype(np.complex128)
            np.testing.assert_allclose(
                root**2, z.astype(np.complex128), rtol=8 * info.eps, atol=info.smallest_subnormal
            )
            assert np.isfinite(call("log", z)).all()
        z = np.array([complex(float(info.max), 0)], dtype)
        np.testing.assert_array_equal(call("divide", z, np.array([1], dtype)), z)
