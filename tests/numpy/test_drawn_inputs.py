"""Functions of `xlac.numpy` on drawn arrays of every type, in one program and outside of it, against NumPy and JAX.

Arrays have odd shapes, no elements or one, steps and negative steps, and hold NaN, infinities, signed zeros, the
greatest and the least numbers; complex ones are finite, as NumPy's own rules for infinite parts are not C's.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import xlac
import xlac.numpy as xnp

if importlib.util.find_spec("jax") is not None:
    import jax
    import jax.numpy as jnp

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
REALS = ["float16", "bfloat16", "float32", "float64"]
KINDS = {
    "c": ["complex64", "complex128"],
    "f": REALS,
    "n": [kind for kind in REALS if kind != "bfloat16"],
    "i": INTEGERS,
    "b": ["bool"],
}
SHAPES = [(), (0,), (1,), (7,), (1, 1), (3, 5), (17,), (2, 0, 3), (2, 3, 4)]

# function -> kinds of types it is drawn for. Integers and bools are given as what the function computes in.
MATH = {
    **dict.fromkeys("sqrt exp sin cos tan tanh sinh cosh arctan arcsinh expm1".split(), "cfib"),
    **dict.fromkeys("log log2 log10 log1p exp2 cbrt arcsin arccos arctanh deg2rad".split(), "fib"),
    **dict.fromkeys("floor ceil trunc rint signbit".split(), "f"),
    "nan_to_num": "n",
}
ONE = {
    **dict.fromkeys("absolute square conj real imag isnan isinf isfinite logical_not".split(), "cfi"),
    **dict.fromkeys(["negative", "sign"], "fi"),
    "angle": "cf",
    "invert": "ib",
    "bitwise_count": "i",
}
TWO = {
    **dict.fromkeys("add subtract multiply equal not_equal logical_and".split(), "cfi"),
    **dict.fromkeys("maximum minimum less greater_equal fmax fmin remainder fmod".split(), "fi"),
    **dict.fromkeys("arctan2 hypot copysign heaviside true_divide".split(), "f"),
    "nextafter": "n",
    **dict.fromkeys("bitwise_and bitwise_xor floor_divide gcd".split(), "i"),
}
ALONG = {
    **dict.fromkeys("max min argmax argmin sort nanmax nanmin flip".split(), "fi"),
    **dict.fromkeys("any all count_nonzero ravel".split(), "cfib"),
    **dict.fromkeys("sum prod cumsum nansum diff".split(), "cfi"),
    **dict.fromkeys("mean var nanmean median".split(), "cf"),
}
ALONG["median"] = "f"
SUMS = {"sum", "prod", "cumsum", "nansum", "mean", "var", "nanmean", "median"}


def is_narrow(dtype: np.dtype) -> bool:
    return dtype.itemsize == 2 and dtype.kind not in "iub"


def numbers(dtype: np.dtype, extremes: bool) -> list[Any]:
    """What arrays are filled with."""
    if dtype.kind == "b":
        return [False, True]
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return [0, 1, 3, 7, *([limits.min, limits.max, limits.max - 1] if extremes else [])]
    if dtype.kind == "c":
        return [complex(a, b) for a in (0.0, -0.0, 1.0, -2.5, 0.5) for b in (0.0, 3.5, -1.0)]
    plain = [0.0, -0.0, 1.0, -2.5, 0.5, 3.5, np.nan, np.inf, -np.inf]
    info = ml_dtypes.finfo(dtype)
    return [*plain, *(float(v) for v in (info.max, info.min, info.tiny, info.smallest_subnormal) if extremes)]


def drawn(rng: np.random.Generator, kind: str, extremes: bool, shape: tuple[int, ...]) -> np.ndarray:
    dtype = xnp.dtype(kind)
    wide = tuple(2 * n for n in shape)
    x = np.array(rng.choice(np.array(numbers(dtype, extremes), object), wide).tolist(), dtype).reshape(wide)
    x = x[tuple(slice(None, None, step) for step in rng.choice([-2, 2], len(shape)))]
    return x.T if rng.random() < 0.3 and shape else x


def rows_of(rng: np.random.Generator, kinds: str, count: int, extremes: bool = True) -> list[tuple[np.ndarray, ...]]:
    """Two rows of arguments for each type of the kinds."""
    rows = []
    for kind in [k for letter in kinds for k in KINDS[letter]]:
        for shape in rng.choice(np.array(SHAPES, object), 2):
            first = drawn(rng, kind, extremes, shape)
            rows.append((first, *(drawn(rng, kind, extremes, first.shape[::-1]).T for _ in range(count - 1))))
    return rows


def plain(x: np.ndarray, narrow: bool) -> np.ndarray:
    """The same numbers in a type that NumPy computes in; with `narrow`, float16 as float32 too."""
    return x.astype(np.float32) if is_narrow(x.dtype) and (narrow or x.dtype != np.float16) else x


def assert_close(got: Any, want: Any, what: str, units: float) -> None:
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, what
    if got.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want.astype(got.dtype), err_msg=what)
        return
    complex_ = got.dtype.kind == "c"
    info = ml_dtypes.finfo(got.real.dtype)
    with np.errstate(all="ignore"):
        wide = np.complex128 if complex_ else np.float64
        got, want = got.astype(wide), want.astype(got.dtype).astype(wide)
    tolerance = units * float(info.eps)
    least = 2 * float(info.smallest_subnormal) if units else 0
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=least, err_msg=what)


def check(function: str, rows: list[tuple[np.ndarray, ...]], units: float, narrow: bool = False) -> None:
    """All in one program, and each second one outside of it."""
    width, ours = len(rows[0]), getattr(xnp, function)
    kept, want = [], []
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for row in rows:
            try:
                want.append(np.asarray(getattr(np, function)(*(plain(x, narrow) for x in row))))
            except (ValueError, IndexError):  # no elements to choose from
                with pytest.raises(ValueError):
                    ours(*row)
            else:
                kept.append(row)

    def run(*xs: Any) -> Any:
        return [ours(*xs[i : i + width]) for i in range(0, len(xs), width)]

    flat = [x for row in kept for x in row]
    for k, (got, w, row) in enumerate(zip(xlac.jit(run)(*flat), want, kept)):
        what = f"{function} of {[f'{x.dtype.name}{list(x.shape)}' for x in row]}"
        assert_close(got, w, what, units)
        if k % 2:
            assert_close(ours(*row), w, what, units)


drawing = given(seed=st.integers(0, 2**32 - 1))
few = settings(max_examples=2, phases=[Phase.generate])


@pytest.mark.parametrize("function", MATH)
@few
@drawing
def test_elementary_functions_are_numpys(function: str, seed: int) -> None:
    rows = rows_of(np.random.default_rng(seed), MATH[function], 1)
    # NumPy computes narrow integers in float16; large integers lose digits on the way to a float in any case.
    floats = [tuple(x.astype(np.float32 if x.dtype.itemsize < 8 else float) if x.dtype.kind in "iub" else x for x in r)
              for r in rows]  # fmt: skip
    check(function, floats, units=8)


@pytest.mark.parametrize("function", ONE)
@few
@drawing
def test_functions_of_one_array_are_numpys(function: str, seed: int) -> None:
    check(function, rows_of(np.random.default_rng(seed), ONE[function], 1), units=2)


@pytest.mark.parametrize("function", TWO)
@few
@drawing
def test_functions_of_two_arrays_are_numpys(function: str, seed: int) -> None:
    check(function, rows_of(np.random.default_rng(seed), TWO[function], 2), units=4)


@pytest.mark.parametrize("function", ALONG)
@few
@drawing
def test_functions_of_whole_arrays_are_numpys(function: str, seed: int) -> None:
    rows = rows_of(np.random.default_rng(seed), ALONG[function], 1, extremes=function not in SUMS)
    check(function, rows, units=32 if function in SUMS else 0, narrow=True)


# ---- JAX

# function -> kinds for which JAX's values are other ones, and why.
OTHER_VALUES = {
    "floor_divide": ("i", "integers divided by zero give 0, as NumPy's do"),
    "all": ("c", "a complex number with a real part of 0 is true if its imaginary part is not 0"),
}
# function -> kinds for which JAX's types are other ones, and why.
OTHER_TYPES = {
    **dict.fromkeys(["argmax", "argmin", "count_nonzero"], ("cfib", "numbers of elements are int32")),
    **dict.fromkeys(["sum", "prod", "nansum"], ("i", "narrow integers are added as int32, not int64")),
    "cumsum": ("i", "narrow integers are added as int32, as the Array API standard has it"),
    "angle": ("fi", "the type of the argument is kept, and integers give float32"),
}


@pytest.mark.jax
@pytest.mark.parametrize("function", [*MATH, *ONE, *TWO, *ALONG])
def test_values_and_types_are_jaxs(function: str) -> None:
    kinds = {**MATH, **ONE, **TWO, **ALONG}[function]
    apart, retyped = (table.get(function, ("", ""))[0] for table in (OTHER_VALUES, OTHER_TYPES))
    with jax.enable_x64(True):
        for kind in set(kinds) - set(apart):
            for row in rows_of(np.random.default_rng(3), kind, 1 + (function in TWO), extremes=False):
                if not row[0].size and function in ("max", "min", "argmax", "argmin", "nanmax", "nanmin", "median"):
                    continue
                if not row[0].ndim and function in ("sort", "diff"):
                    continue
                want = getattr(jnp, function)(*map(jnp.asarray, row))
                got = getattr(xnp, function)(*row)
                what = f"{function} of {[f'{x.dtype.name}{list(x.shape)}' for x in row]}"
                assert kind in retyped or got.dtype == want.dtype, what
                assert_close(got, np.asarray(want).astype(got.dtype), what, units=32)
