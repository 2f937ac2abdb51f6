"""Methods of ufuncs, of plain NumPy under jit and of `xlac.numpy`; and what plain NumPy cannot do on traced arrays."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing.overrides import get_overridable_numpy_array_functions

import xlac
import xlac.numpy as xnp
from xlac.errors import TraceError

F = np.random.default_rng(0).uniform(0.5, 2, (4, 5)).astype(np.float32)
I = np.random.default_rng(1).integers(1, 9, (4, 5)).astype(np.int32)  # noqa: E741
BINARY = sorted(
    name
    for name, row in vars(np).items()
    if isinstance(row, np.ufunc) and (row.nin, row.nout, row.signature) == (2, 1, None) and row.__name__ == name
)
UNFOLDED = {"ldexp", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal"}  # NumPy has no methods
WHOLE = {"bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm", "left_shift", "right_shift"}


def jitted(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """The function of its first argument, which is traced, and of the others as they are."""
    return xlac.jit(lambda x: function(x, *args[1:], **settings))(args[0])


def close(got: Any, want: np.ndarray) -> None:
    assert np.shape(got) == want.shape
    np.testing.assert_allclose(np.asarray(got, np.float64), want.astype(np.float64), rtol=2e-5)


@pytest.mark.parametrize("name", [n for n in BINARY if n not in UNFOLDED])
def test_the_methods_of_a_ufunc_give_numpys_values(name: str) -> None:
    row, ours = getattr(np, name), getattr(xnp, name)
    x = I if name in WHOLE else F
    calls = {
        "accumulate": ((x, 1), {}),
        "reduce": ((x, 0), {}),
        "outer": ((x, x[0]), {}),
        "reduceat": ((x, [0, 2, 1, 3]), {"axis": 0}),
    }
    for method, (args, settings) in calls.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = getattr(row, method)(*args, **settings)
        close(jitted(getattr(row, method), *args, **settings), want)
        close(getattr(ours, method)(*args, **settings), want)


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "logical_or", "fmax"])
def test_reductions_take_all_settings(name: str) -> None:
    row, mask = getattr(np, name), F > 1
    for settings in (
        {"axis": None},
        {"axis": (0, 1), "keepdims": True},
        {"axis": 1, "where": mask, "initial": np.float32(0.5)},
        {"axis": -1, "initial": np.float32(3), "dtype": np.float64},
    ):
        if name in ("logical_or", "maximum", "fmax"):
            settings.pop("dtype", None)
        if name == "logical_or":
            settings.pop("initial", None)
        close(jitted(row.reduce, F, **settings), np.asarray(row.reduce(F, **settings)))


def test_a_ufuncs_dtype_is_what_it_computes_in() -> None:
    x = np.full(3, 100, np.int8)
    got = xlac.jit(lambda v: np.add(v, v, dtype=np.int32))(x)
    assert got.dtype == np.int32
    assert got.tolist() == [200] * 3


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "floor_divide", "power"])
def test_at_applies_a_function_once_for_each_naming(name: str) -> None:
    x, places, values = I[0].copy(), np.array([0, 3, 0, -1]), np.array([2, 3, 1, 2], np.int32)
    want = x.copy()
    getattr(np, name).at(want, places, values)
    function = getattr(xnp, name)
    assert np.array_equal(function.at(x, places, values, inplace=False), want)
    assert np.array_equal(xlac.jit(lambda v, p: function.at(v, p, values, inplace=False))(x, places), want)
    with pytest.raises(TraceError, match="inplace=False"):
        xlac.jit(lambda v: getattr(np, name).at(v, places, values))(x)


def test_a_python_function_becomes_a_ufunc() -> None:
    norm = xnp.frompyfunc(lambda a, b: (a * a + b * b) ** 0.5, 2, 1, identity=0)
    close(norm(F, F[0]), np.hypot(F, F[0]))
    close(norm.reduce(F, 1), np.linalg.norm(F, axis=1))
    close(norm.outer(F[0], F[1]), np.hypot.outer(F[0], F[1]))


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda x: np.add(x, x, out=np.zeros(5)), "without out="),
        (lambda x: np.sum(x, out=np.zeros(())), "without out="),
        (lambda x: np.divide(x, x, where=x > 1), "numpy.where"),
        (lambda x: np.divide(x, x, out=x, where=x > 1), "numpy.where"),
        (lambda x: np.copyto(x, 1), "where"),
        (lambda x: np.putmask(x, x > 1, 0), "where"),
        (lambda x: np.put(x, [0], 1), "at"),
        (lambda x: np.isnat(x), "isnat"),
        (lambda x: np.real_if_close(x + 0j), "numpy.real"),
        (lambda x: np.random.permutation(x), "xlac.random"),
        (lambda x: np.random.normal(x), "xlac.random"),
        (lambda x: x.item(), "static_argnums"),
    ],
)
def test_what_cannot_be_traced_says_what_to_use(call: Any, hint: str) -> None:
    with pytest.raises(TraceError, match=hint):
        xlac.jit(call)(F[0])


# NumPy's functions of dates, text and files have no traced form.
FOREIGN = ("numpy.strings", "numpy.char", "numpy.rec", "numpy.lib.scimath")


def overridable() -> list[Any]:
    found = [f for f in get_overridable_numpy_array_functions() if not f.__module__.startswith(FOREIGN)]
    return sorted(found, key=lambda f: (f.__module__, f.__name__))


def test_every_function_numpy_hands_over_is_known_or_named_in_the_error() -> None:
    from xlac.frontend.numpy_protocol import OTHERS, call_function

    def of(x: Any) -> Any:
        for function in overridable():
            part = next((p for p in ("linalg", "fft") if function.__module__.startswith(f"numpy.{p}")), None)
            home = getattr(xnp, part) if part else xnp
            if function.__name__ in (*home.__all__, *OTHERS, "amax", "amin", "round_"):
                continue
            with pytest.raises(TraceError, match=f"numpy.*{function.__name__}.* use|numpy.*{function.__name__}.*write"):
                call_function(function, (x,), {})
        return x

    xlac.jit(of)(F)


@pytest.mark.parametrize(
    "call",
    [
        lambda np_, x: np_.linalg.matrix_rank(x, 1e-3),
        lambda np_, x: np_.histogram(x, 4, (0, 2), True)[0],
        lambda np_, x: np_.clip(x, a_min=0.7, a_max=1.2),
        lambda np_, x: np_.std(x, 0, None, None, 1),
        lambda np_, x: np_.partition(x, 2, -1, "introselect")[..., 2],
        lambda np_, x: np_.linalg.pinv(x, 1e-6),
        lambda np_, x: np_.real(val=x),
        lambda np_, x: np_.isfinite(np_.empty_like(prototype=x, shape=(2, 3))) | True,
        lambda np_, x: np_.sum(x, 0, np.float64, None, True),
    ],
)
def test_arguments_are_numpys_by_place_and_by_name(call: Any) -> None:
    want = np.asarray(call(np, F))
    got = xlac.jit(lambda x: call(np, x))(F)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_windows_of_an_array_as_views_are() -> None:
    view = np.lib.stride_tricks.sliding_window_view
    for shape, axis in (((2, 3), None), (2, 1), ((2, 2), (0, 0))):
        close(jitted(view, F, shape, axis=axis), view(F, shape, axis=axis))
