"""Functions of `xlac.numpy` on every type, with its extremes, odd layouts and no elements, against NumPy's values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
FLOATS = ["float16", "float32", "float64"]
EXACT_BINARY = "add subtract multiply maximum minimum equal less greater_equal".split()
WHOLE_BINARY = "floor_divide remainder fmod gcd bitwise_and bitwise_or bitwise_xor".split()
UNARY = "absolute negative sign square positive isfinite".split()
FLOAT_UNARY = "floor ceil trunc rint sqrt isnan isinf signbit nan_to_num".split()
WHOLE_UNARY = "bitwise_count invert".split()
ALONG = "max min argmax argmin sort argsort any all count_nonzero ptp".split()


def values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng, dtype = np.random.default_rng(seed), np.dtype(name)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind == "f":
        x, special = rng.integers(-9, 9, shape) / 2, [0.0, -0.0, np.inf, -np.inf, np.nan, np.finfo(dtype).max]
    else:
        limits = np.iinfo(dtype)
        x, special = rng.integers(max(limits.min, -9), 9, shape), [limits.min, limits.max, 0, limits.max - 1]
    x = x.astype(dtype)
    x.reshape(-1)[: len(special)] = np.array(special, dtype)[: x.size]
    return x


def layouts(name: str, seed: int) -> list[np.ndarray]:
    """The same kind of numbers whole, every second one from the end, transposed, as one element and as none."""
    wide = values(name, (5, 14), seed)
    return [wide[:, :7].copy(), wide[::-1, ::-2], values(name, (7, 5), seed).T, wide[:1, :1], wide[:0, :7]]


def check(function: str, arguments: list[tuple[np.ndarray, ...]], settings: dict[str, Any]) -> None:
    """All in one program, and the first one outside of `jit`."""
    ours, theirs = getattr(xnp, function), getattr(np, function)
    flat = [x for row in arguments for x in row]
    width = len(arguments[0])

    def run(*xs: Any) -> Any:
        return [ours(*xs[i : i + width], **settings) for i in range(0, len(xs), width)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = [np.asarray(theirs(*row, **settings)) for row in arguments]
    for got in (xlac.jit(run)(*flat), [ours(*arguments[0], **settings)]):
        for g, w, row in zip(got, want, arguments):
            np.testing.assert_array_equal(np.asarray(g), w, err_msg=f"{function} of {row[0].dtype}{list(row[0].shape)}")
            assert np.asarray(g).dtype.kind in {"i": "iu", "u": "iu"}.get(w.dtype.kind, w.dtype.kind)


@pytest.mark.parametrize("function", [*EXACT_BINARY, *WHOLE_BINARY])
def test_functions_of_two_arrays(function: str) -> None:
    kinds = INTEGERS + (FLOATS if function in EXACT_BINARY else [])
    pairs = [(a, b) for kind in kinds for a, b in zip(layouts(kind, 0), layouts(kind, 1))]
    check(function, pairs, {})


@pytest.mark.parametrize("function", [*UNARY, *FLOAT_UNARY, *WHOLE_UNARY])
def test_functions_of_one_array(function: str) -> None:
    kinds = [*(INTEGERS if function not in FLOAT_UNARY else []), *(FLOATS if function not in WHOLE_UNARY else [])]
    check(function, [(x,) for kind in kinds for x in layouts(kind, 0)], {})


@pytest.mark.parametrize("function", ALONG)
@pytest.mark.parametrize("axis", [0, 1])
def test_functions_along_an_axis(function: str, axis: int) -> None:
    kinds = [*INTEGERS, *FLOATS, *(["bool"] if function not in ("sort", "argsort", "ptp") else [])]
    settings = {"axis": axis, **({"stable": True} if "sort" in function else {})}
    some = [x for kind in kinds for x in layouts(kind, 0)[: 5 if function in ("any", "all") else 4]]
    check(function, [(x,) for x in some], settings)
