"""Random values of any shape, and comparison of values bit for bit (NaNs are equal, whatever their bits)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac.ir.shape import ArrayShape, ElementType, Shape, TupleShape, element_type


def edge_values(row: ElementType) -> np.ndarray:
    """Values of a type at which arithmetic is most likely to go wrong."""
    if row.kind == "p":
        return np.array([False, True])
    if row.is_integer:
        low = -(1 << (row.bits - 1)) if row.kind == "s" else 0
        high = (1 << (row.bits - (row.kind == "s"))) - 1
        return np.array([low, low + 1, 0, 1, 2, high - 1, high], np.int64 if row.kind == "s" else np.uint64).astype(
            row.dtype
        )
    if row.is_complex:
        return np.array([0, 1, -1j, complex(np.inf, 0), complex(0, np.nan), complex(-0.0, 2)], row.dtype)
    return np.array([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 2.0, -3.0], np.float64).astype(row.dtype)


def random_array(shape: ArrayShape, rng: np.random.Generator, *, whole: bool = False, edges: float = 0.2) -> np.ndarray:
    """An array of ordinary values with some edge values; with `whole`, small whole numbers only."""
    row = shape.element_type
    if row.kind == "p":
        return rng.integers(0, 2, shape.dims).astype(bool)
    low = 0 if row.kind == "u" else -1 if row.bits < 8 else -4
    numbers = rng.integers(low, 2 if row.bits < 8 else 5, shape.dims)
    if whole or row.is_integer:
        values = numbers.astype(np.int8).astype(row.dtype)
    elif row.is_complex:
        values = (rng.normal(size=shape.dims) + 1j * rng.normal(size=shape.dims)).astype(row.dtype)
    else:
        values = (rng.normal(size=shape.dims) * 2).astype(np.float32).astype(row.dtype)
    if whole:
        return values
    chosen = rng.choice(edge_values(row), shape.dims)
    return np.where(rng.random(shape.dims) < edges, chosen, values).astype(row.dtype)


def random_value(shape: Shape, rng: np.random.Generator, *, whole: bool = False, edges: bool = True) -> Any:
    """A random array, or a tuple of them."""
    if isinstance(shape, TupleShape):
        return tuple(random_value(part, rng, whole=whole, edges=edges) for part in shape)
    assert isinstance(shape, ArrayShape)
    return random_array(shape, rng, whole=whole, edges=0.2 if edges else 0.0)


def assert_close(got: Any, want: Any, tolerance: float, what: str = "result") -> None:
    """Raise unless values differ by at most `tolerance` times the largest of each array; NaNs must match."""
    if isinstance(want, tuple):
        assert isinstance(got, tuple) and len(got) == len(want), f"{what}: {got!r} is not a tuple of {len(want)}"
        for i, (g, w) in enumerate(zip(got, want)):
            assert_close(g, w, tolerance, f"{what}.{i}")
        return
    got, want = np.asarray(got), np.asarray(want)
    if not element_type(want.dtype).is_inexact:
        assert_same(got, want, what)
        return
    assert got.dtype == want.dtype and got.shape == want.shape, (
        f"{what}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    )
    wide = np.complex128 if want.dtype.kind == "c" else np.float64
    got, want = got.astype(wide), want.astype(wide)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), err_msg=what)
    error = np.nanmax(np.abs(got - want), initial=0.0)
    largest = np.nanmax(np.abs(want), initial=0.0)
    assert error <= tolerance * largest, f"{what}: off by {error:.3g} where the largest is {largest:.3g}"


def assert_same(got: Any, want: Any, what: str = "result", *, signed_zeros: bool = True) -> None:
    """Raise unless both values are the same bit for bit, NaNs aside; zeros of both signs are equal on request."""
    if isinstance(want, tuple):
        assert isinstance(got, tuple) and len(got) == len(want), f"{what}: {got!r} is not a tuple of {len(want)}"
        for i, (g, w) in enumerate(zip(got, want)):
            assert_same(g, w, f"{what}.{i}", signed_zeros=signed_zeros)
        return
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape, (
        f"{what}: {got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    )
    equal = _same(got, want, signed_zeros)
    if not equal.all():
        at = tuple(int(i) for i in np.argwhere(~equal)[0])
        raise AssertionError(
            f"{what}: {(~equal).sum()} of {got.size} differ, first at {at}: {got[at]!r}, not {want[at]!r}"
        )


def _same(got: np.ndarray, want: np.ndarray, signed_zeros: bool) -> np.ndarray:
    row = element_type(want.dtype)
    if row.is_complex:
        return _same(got.real, want.real, signed_zeros) & _same(got.imag, want.imag, signed_zeros)
    if not row.is_float:
        return got == want
    if row.bits < 32:
        got, want = got.astype(np.float32), want.astype(np.float32)
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    return equal & ((np.signbit(got) == np.signbit(want)) | np.isnan(want)) if signed_zeros else equal
