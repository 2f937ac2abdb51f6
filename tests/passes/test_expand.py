"""Expansions over sizes and options that text cases are too few for, evaluated and compared with the opcodes' rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.values import assert_close, assert_same
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ELEMENT_TYPES, ArrayShape, TupleShape
from xlac.passes.expand import linalg
from xlac.passes.pipeline import run_passes


def shape(name: str, *dims: int) -> ArrayShape:
    return ArrayShape(ELEMENT_TYPES[name], dims)


def both(build, shapes, arguments, name: str):
    """What the module `build` makes of its parameters gives, expanded and as it is."""
    main = Computation("main")
    main.add(build(*(main.parameter(s) for s in shapes)))
    module = Module("m", main)
    expanded = module.clone()
    assert run_passes(expanded, [name], verify=True)
    assert not any(i.opcode.name == main.root.opcode.name for c in expanded.computations for i in c)
    return evaluate(expanded, *arguments), evaluate(module, *arguments)


def numbers(name: str, *dims: int) -> np.ndarray:
    rng = np.random.default_rng(sum(dims))
    dtype = ELEMENT_TYPES[name].dtype
    real = rng.normal(size=dims)
    return (real + 1j * rng.normal(size=dims) if dtype.kind == "c" else real).astype(dtype)


def tolerance(name: str, depth: int) -> float:
    """Of sums `depth` long in that type."""
    return 8 * float(np.finfo(ELEMENT_TYPES[name].dtype).eps) * max(1, np.log2(depth))


@pytest.mark.parametrize("name", ["f32", "c128"])
@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("n", [1, 4, 8, 9, 16])
def test_cholesky_in_blocks(n: int, lower: bool, name: str, monkeypatch):
    monkeypatch.setattr(linalg, "BLOCK", 4)
    x = numbers(name, 2, n, n + 1)
    a = np.matmul(x, np.conj(np.swapaxes(x, -1, -2)))
    got, want = both(lambda x: op.cholesky.make(x, lower=lower), [shape(name, 2, n, n)], [a], "expand_linalg")
    assert_close(got, want, 100 * tolerance(name, n))


def test_cholesky_gives_nan_for_the_matrices_of_a_batch_that_are_not_positive(monkeypatch):
    monkeypatch.setattr(linalg, "BLOCK", 4)
    a = np.stack([np.eye(11, dtype=np.float32)] * 3)
    a[1, 5, 5] = -1
    got, _ = both(lambda x: op.cholesky.make(x, lower=True), [shape("f32", 3, 11, 11)], [a], "expand_linalg")
    assert_same(got[::2], a[::2])
    assert np.isnan(got[1]).all()


@pytest.mark.parametrize(
    ("left_side", "lower", "unit_diagonal", "transpose_a"),
    list(itertools.product([True, False], [True, False], [True, False], ["NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"])),
)
def test_triangular_solve_with_every_option(left_side, lower, unit_diagonal, transpose_a, monkeypatch):
    monkeypatch.setattr(linalg, "BLOCK", 4)
    n = 10
    a, b = (
        numbers("c64", 2, n, n) / n + 2 * np.eye(n, dtype=np.complex64),
        numbers("c64", 2, *((n, 3) if left_side else (3, n))),
    )
    attrs = {"left_side": left_side, "lower": lower, "unit_diagonal": unit_diagonal, "transpose_a": transpose_a}
    got, want = both(
        lambda a, b: op.triangular_solve.make(a, b, **attrs),
        [shape("c64", *a.shape), shape("c64", *b.shape)],
        [a, b],
        "expand_linalg",
    )
    assert_close(got, want, 10 * tolerance("c64", n))


@pytest.mark.parametrize("name", ["f32", "c128"])
@pytest.mark.parametrize("dims", [(2, 5, 5), (2, 9, 14), (2, 15, 10), (17, 17)])
def test_lu_in_panels(dims: tuple[int, ...], name: str, monkeypatch):
    monkeypatch.setattr(linalg, "BLOCK", 4)
    lead, steps = dims[:-2], min(dims[-2:])
    result = TupleShape((shape(name, *dims), shape("s32", *lead, steps), shape("s32", *lead)))
    target = {"f32": "lapack_sgetrf_ffi", "c128": "lapack_zgetrf_ffi"}[name]
    a = numbers(name, *dims)
    a[(0,) * len(lead) + (slice(None), 2)] = 0
    got, want = both(
        lambda x: op.custom_call.make(x, shape=result, custom_call_target=target),
        [shape(name, *dims)],
        [a],
        "expand_lapack",
    )
    assert_close(got, want, 100 * tolerance(name, max(dims)))


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(["rng_three_fry", "rng_philox", "rng_default"]),
    st.sampled_from(["u8", "s16", "u32", "u64", "f32", "bf16", "s4", "f64"]),
    st.lists(st.integers(0, 5), max_size=3),
    st.integers(0, (1 << 64) - 1),
)
def test_random_bits_are_the_rows_bit_for_bit(algorithm: str, name: str, dims: list[int], counter: int):
    state = np.array([0x123456789ABCDEF, counter], np.uint64)
    result = TupleShape((shape("u64", 2), shape(name, *dims)))
    got, want = both(
        lambda s: op.rng_bit_generator.make(s, shape=result, algorithm=algorithm),
        [shape("u64", 2)],
        [state],
        "expand_random",
    )
    assert_same(got, want)


@pytest.mark.parametrize("name", ["f32", "s32", "u8", "pred", "s64"])
def test_rng_expands_to_draws_from_the_process_state(name: str):
    main = Computation("main")
    low, high = main.parameter(shape(name)), main.parameter(shape(name))
    main.add(op.rng.make(low, high, shape=shape(name, 200), distribution="rng_uniform"))
    module = Module("m", main)
    run_passes(module, ["expand_random"], verify=True)
    dtype = ELEMENT_TYPES[name].dtype
    arguments = (np.zeros((), dtype), np.array(1 if name == "pred" else 5, dtype))
    first, second = evaluate(module, *arguments), evaluate(module, *arguments)
    assert first.min() >= arguments[0] and (name == "pred" or first.max() < 5)
    assert (first != second).any(), "each run draws anew"
