"""fft of every kind, length and place against the reference evaluator: interpreted, and as native code."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.loop.checked import MACHINES, check
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import op
from xlac.ir.shape import C64, C128, F32, F64, ArrayShape
from xlac.loop import butterfly, fft, roots, signal
from xlac.loop.ir import Const, const
from xlac.options import Options

KINDS = ["FFT", "IFFT", "RFFT", "IRFFT"]


def transform(kind: str, dims: tuple[int, ...], count: int, wide: bool = False) -> tuple[Module, np.ndarray]:
    """A module that transforms the last `count` dimensions, the real side's `dims`, and an argument."""
    lengths = dims[len(dims) - count :]
    given_type = (F64 if wide else F32) if kind == "RFFT" else (C128 if wide else C64)
    given_dims = (*dims[:-1], dims[-1] // 2 + 1 if dims[-1] else 0) if kind == "IRFFT" else dims
    main = Computation("main")
    main.add(op.fft.make(main.parameter(ArrayShape(given_type, given_dims)), fft_type=kind, fft_length=lengths))
    rng = np.random.default_rng(sum(dims))
    x = rng.normal(size=given_dims) + (0 if kind == "RFFT" else 1j * rng.normal(size=given_dims))
    return Module("m", main), x.astype(given_type.dtype)


def tolerance(dims: tuple[int, ...], count: int, wide: bool) -> float:
    """Of the greatest element: rounding errors grow with the depth of the sums."""
    return 2 * float(np.finfo(np.float64 if wide else np.float32).eps) * math.log2(2 * math.prod(dims[-count:]) + 2)


def assert_native(kind: str, dims: tuple[int, ...], count: int, wide: bool = False) -> None:
    module, x = transform(kind, dims, count, wide)
    got, want = compile_module(module, Options().resolve())(x), evaluate(module, x)
    assert got.dtype == want.dtype and got.shape == want.shape
    assert np.abs(got - want).max(initial=0) <= tolerance(dims, count, wide) * np.abs(want).max(initial=0)


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.integers(1, 300), st.sampled_from([512, 960, 1009, 1024, 67 * 71, 2 * 1009, 3**7, 4096])),
    st.sampled_from([1, 2, 5, 17]),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_rows_of_any_length(n: int, rows: int, kind: str, wide: bool) -> None:
    assert_native(kind, (rows, n), 1, wide)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 17, 33, 101]), min_size=2, max_size=4),
    st.integers(2, 3),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_several_dimensions(dims: list[int], count: int, kind: str, wide: bool) -> None:
    if math.prod(dims) <= 1 << 16:
        assert_native(kind, tuple(dims), min(count, len(dims)), wide)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "dims, count", [((3, 8), 1), ((21, 5), 1), ((60,), 1), ((6, 10), 2), ((2, 3, 4), 3), ((2, 34), 1)]
)
def test_every_access_is_inside_its_buffer(dims: tuple[int, ...], count: int, kind: str, machine: str) -> None:
    module, x = transform(kind, dims, count)
    check(module, x, machine=MACHINES[machine], tolerance=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "dims, count", [((96,), 1), ((3, 60), 1), ((24, 9), 2), ((101,), 1), ((2, 70), 1), ((101, 9), 2)]
)
def test_long_transforms_in_small(
    kind: str, dims: tuple[int, ...], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kernels a transform, scratch in the arena and roots computed at run time, as for lengths of millions."""
    for module in (fft, signal):
        monkeypatch.setattr(module, "LOCAL_BYTES", 512)
    monkeypatch.setattr(fft, "FAR_BYTES", 256)
    monkeypatch.setattr(roots, "STORED", 8)
    module, x = transform(kind, dims, count)
    check(module, x, tolerance=1e-4)
    assert_native(kind, dims, count)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [1 << 17, 3**11, 65537])
@pytest.mark.slow
def test_long_rows(kind: str, n: int) -> None:
    assert_native(kind, (2, n), 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dims, count", [((0, 4), 1), ((3, 0), 1), ((0, 4), 2), ((2, 0, 4), 2)])
def test_nothing_to_transform(kind: str, dims: tuple[int, ...], count: int) -> None:
    assert_native(kind, dims, count)


@pytest.mark.parametrize("n", [8, 60, 101, 1024])
@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_a_row_that_is_not_finite_spoils_no_other(n: int, special: float) -> None:
    module, x = transform("FFT", (20, n), 1)
    want = compile_module(module, Options().resolve())(x)
    x[7, n // 2] = special
    got = compile_module(module, Options().resolve())(x)
    assert not np.isfinite(got[7]).any()
    np.testing.assert_array_equal(np.delete(got, 7, 0), np.delete(want, 7, 0))


def test_imaginary_parts_that_a_real_row_cannot_have_are_not_read() -> None:
    for n in (2, 9, 16):
        module, x = transform("IRFFT", (3, n), 1)
        want = compile_module(module, Options().resolve())(x)
        x[:, 0] += 5j
        if n % 2 == 0:
            x[:, -1] -= 3j
        np.testing.assert_array_equal(compile_module(module, Options().resolve())(x), want)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_transform_of_the_same_kind_reads_its_own_array(kind: str) -> None:
    """Equal kernels share code; the complex numbers that real rows are read or written as are a view of other bytes."""
    module, x = transform(kind, (3, 16), 1)
    first = module.entry.root
    second = first.opcode.make(module.entry.parameter(first.operands[0].shape), **first.attrs)
    module.entry.add(op.tuple.make(first, module.entry.add(second)))
    arguments = x, 2 * x[::-1]
    check(module, *arguments, tolerance=1e-5)
    for got, want in zip(compile_module(module, Options().resolve())(*arguments), evaluate(module, *arguments)):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("n", range(1, butterfly.RADIX + 1))
def test_a_butterfly_is_the_transform(n: int) -> None:
    def number(value: object) -> float:
        if isinstance(value, Const):
            return float(value.number)
        a = [number(x) for x in value.args]  # type: ignore[attr-defined]
        opcode = value.opcode  # type: ignore[attr-defined]
        return {"add": sum, "multiply": math.prod, "subtract": lambda a: a[0] - a[1], "negate": lambda a: -a[0]}[
            opcode
        ](a)

    x = np.random.default_rng(n).normal(size=(n, 2))
    made = butterfly.butterfly([(const(F64, a), const(F64, b)) for a, b in x])
    got = [complex(number(re), number(im)) for re, im in made]
    np.testing.assert_allclose(got, np.fft.fft(x[:, 0] + 1j * x[:, 1]), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("n", [*range(1, 200), 1000, 1024, 6561, 1 << 20, 3 * 5 * 7 * 11 * 13])
def test_radices_multiply_to_the_length(n: int) -> None:
    cost, found = butterfly.radices(n)
    assert (cost == math.inf) == (greatest_prime(n) > butterfly.PRIME)
    assert cost == math.inf or math.prod(found) == n


def greatest_prime(n: int) -> int:
    d, greatest = 2, 1
    while n > 1:
        while n % d == 0:
            n, greatest = n // d, d
        d += 1
    return greatest
