"""`x.at[index]` with every method and mode, traced and not, against NumPy's in-place updates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac.errors import ShapeError, TraceError

X = np.random.default_rng(0).uniform(1, 2, (4, 5, 3)).astype(np.float32)
MASK = np.array([True, False, True, False])
INDICES: dict[str, Any] = {
    "integer": 1,
    "negative": -1,
    "array": np.array([0, 2, -1]),
    "repeated": (np.array([1, 1, 2]), slice(1, 4)),
    "apart": (np.array([0, 3]), slice(None), 1),
    "ellipsis": (..., 2),
    "new axes": (None, 2, None, np.array([[0, 1], [4, 2]])),
    "steps": (slice(None, None, -2), 2),
    "array between slices": (slice(3, 0, -1), np.array([0, 2]), slice(None, None, -1)),
    "two arrays": (np.array([[0], [3]]), None, np.array([1, 2])),
    "mask": MASK,
    "mask and array": (0, np.array([True, False, True, False, True])),
    "whole": (),
    "list": [0, 1],
    "range": range(1, 3),
    "true": True,
    "false": False,
    "true beside others": (1, True, slice(None, None, 2)),
    "false beside an array": (False, np.array([2])),
    "true apart from an array": (np.True_, slice(1, 3), np.array([0, 2])),
    "an array of no dimensions": (..., np.array(True)),
    "new axis and mask": (None, MASK),
}
BINARY = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}


@pytest.mark.parametrize("name", INDICES)
def test_methods_do_what_numpys_in_place_functions_do(name: str) -> None:
    index = INDICES[name]
    place = list(index) if isinstance(index, range) else index
    values = np.random.default_rng(1).uniform(1, 2, X[place].shape).astype(np.float32)
    wanted: dict[str, np.ndarray] = {"get": X[place]}
    changed = X.copy()
    changed[place] = values
    wanted["set"] = changed
    for method, ufunc in BINARY.items():
        wanted[method] = X.copy()
        ufunc.at(wanted[method], place, values)
    factor = np.ones_like(X)
    np.multiply.at(factor, place, values)
    wanted["divide"], wanted["power"] = X / factor, X**factor

    def run(x: Any) -> dict[str, Any]:
        return {m: getattr(x.at[index], m)(*([] if m == "get" else [values])) for m in wanted}

    for got in (xlac.jit(run)(X), run(xnp.asarray(X))):
        for method, want in wanted.items():
            np.testing.assert_allclose(got[method], want, rtol=1e-5, err_msg=method)


# mode -> (what is read at 4, 7 and -9 of [0, 10, 20, 30]; the array when 1, 2, 3 are added there).
NUMBERS = np.array([0, 10, 20, 30], np.int32)
LEAST = np.iinfo(np.int32).min
OUTSIDE = {
    None: ([30, 30, 0], [0, 10, 20, 30]),
    "fill": ([LEAST] * 3, [0, 10, 20, 30]),
    "drop": ([LEAST] * 3, [0, 10, 20, 30]),
    "clip": ([30, 30, 0], [3, 10, 20, 33]),
    "wrap": ([0, 30, 30], [1, 10, 20, 35]),
}


@pytest.mark.parametrize("mode", OUTSIDE)
@pytest.mark.parametrize("kind", ["fixed", "traced", "eager", "one by one"])
def test_indices_out_of_range_follow_the_mode(mode: str | None, kind: str) -> None:
    places, values = np.array([4, 7, -9]), np.array([1, 2, 3], np.int32)
    read, added = OUTSIDE[mode]

    def run(x: Any, where: Any) -> Any:
        if kind == "one by one":
            got = [x.at[int(i)].get(mode=mode) for i in places]
            for i, v in zip(places, values):
                x = x.at[int(i)].add(v, mode=mode)
            return xnp.stack(got), x
        return x.at[where].get(mode=mode), x.at[where].add(values, mode=mode)

    if kind == "eager":
        got = run(xnp.asarray(NUMBERS), places)
    elif kind == "traced":
        got = xlac.jit(run)(NUMBERS, places)
    else:
        got = xlac.jit(lambda x: run(x, places))(NUMBERS)
    assert got[0].tolist() == read
    assert got[1].tolist() == added


def test_get_fills_with_a_given_value_in_the_right_places() -> None:
    where = np.array([1, 9, -1])
    got = xlac.jit(lambda x, i: x.at[:, i, 0].get(mode="fill", fill_value=7))(X, where)
    assert np.array_equal(got, np.stack([X[:, 1, 0], np.full(4, 7), X[:, 4, 0]], 1))
    assert np.isnan(xlac.jit(lambda x: x.at[9].get(mode="fill"))(X)).all()


@pytest.mark.parametrize("mode", ["fill", "clip", "wrap", "promise_in_bounds", "drop"])
def test_what_is_read_and_written_has_derivatives_in_every_mode(mode: str) -> None:
    where = np.array([0, 2, 2]) if mode == "promise_in_bounds" else np.array([0, 5, -7])
    weights = np.array([1.0, 2.0, 3.0], np.float32)
    x = NUMBERS.astype(np.float32)

    def read(x: Any) -> Any:
        return xnp.nansum(x.at[where].get(mode=mode) * weights)

    def written(x: Any) -> Any:
        return (x.at[where].add(weights * x[:3], mode=mode) * xnp.arange(4.0)).sum()

    for function in (read, written):
        # Both are linear, so that the derivative along a unit vector is what the function gives for it.
        want = [xlac.jit(function)(e) for e in np.eye(4, dtype=np.float32)]
        if function is read and mode in ("fill", "drop"):
            want = [w if np.isfinite(w) else 0 for w in want]
        np.testing.assert_allclose(xlac.grad(function)(x), want)
        np.testing.assert_allclose(xlac.jacfwd(function)(x), want)


def test_negative_indices_count_from_the_front_if_told() -> None:
    got = xlac.jit(lambda x, i: x.at[i].set(5, wrap_negative_indices=False))(NUMBERS, np.array([-1, 1]))
    assert got.tolist() == [0, 5, 20, 30]


def test_apply_runs_once_for_each_naming() -> None:
    got = xlac.jit(lambda x, i: x.at[i].apply(lambda v: 2 * v + 1))(NUMBERS, np.array([1, 1, 3]))
    assert got.tolist() == [0, 43, 20, 61]


def test_a_traced_mask_takes_values_that_fit_each_place() -> None:
    row = np.array([1.0, 2.0, 3.0], np.float32)
    wide = X[:, :, 0] > 1.5
    want = X.copy()
    want[wide] = row
    assert np.array_equal(xlac.jit(lambda x, m: x.at[m].set(row))(X, wide), want)
    np.testing.assert_allclose(
        xlac.jit(lambda x, m: x.at[m].apply(xnp.sqrt))(X, MASK), np.where(MASK[:, None, None], np.sqrt(X), X), rtol=1e-6
    )
    with pytest.raises(TraceError, match="where"):
        xlac.jit(lambda x, m: x.at[m].set(X[:2]))(X, MASK)


def test_an_unknown_mode_is_named() -> None:
    with pytest.raises(ShapeError, match="mode='near'"):
        xlac.jit(lambda x: x.at[0].set(1, mode="near"))(X)
