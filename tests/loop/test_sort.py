"""Sorts by a key, which are radix sorts where rows are long, against the reference evaluator."""

from __future__ import annotations

import numpy as np
import pytest

from tests.loop.checked import check, program_of
from tests.values import assert_same
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Module
from xlac.ir.shape import element_type
from xlac.loop.printer import print_program
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo

KINDS = ["s8", "u8", "s16", "u32", "s64", "u64", "f16", "bf16", "f32", "f64"]


def sort_of(kind: str, dims: str, axis: int, direction: str, body: str = "", names: str = "a, b") -> Module:
    total = ", type=TOTALORDER" if "f" in kind else ""
    return parse_hlo(f"""
        before {{
          a = {kind}[] parameter(0)
          b = {kind}[] parameter(1)
          i = s32[] parameter(2)
          j = s32[] parameter(3)
          {body}
          ROOT first = pred[] compare({names}), direction={direction}{total}
        }}
        ENTRY main {{
          x = {kind}[{dims}] parameter(0)
          at = s32[{dims}] iota(), iota_dimension={axis}
          ROOT y = ({kind}[{dims}], s32[{dims}]) sort(x, at), dimensions={{{axis}}}, is_stable=true, to_apply=before
        }}""")


def numbers(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Few different numbers, so that many are equal, and the extremes; both zeros and NaNs of floats."""
    rng, dtype = np.random.default_rng(3), element_type(kind).dtype
    if "f" in kind:
        x = (rng.integers(-40, 40, shape) / 4).astype(dtype)
        special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, -np.nan], np.float32).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        x = rng.integers(max(limits.min, -40), 40, shape).astype(dtype)
        special = np.array([limits.min, limits.max, 0], dtype)
    x.reshape(-1)[: special.size] = special
    return x


def is_by_digits(module: Module) -> bool:
    return "counts" in print_program(program_of(module))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction, names", [("LT", "a, b"), ("GT", "a, b"), ("LT", "b, a")])
def test_a_long_row_is_sorted_by_digits(kind: str, direction: str, names: str) -> None:
    module, x = sort_of(kind, "300", 0, direction, names=names), numbers(kind, (300,))
    assert is_by_digits(module)
    want = evaluate(module, x)
    assert_same(compile_module(module, Options().resolve())(x), want)
    if kind in ("u8", "f16"):
        check(module, x)


@pytest.mark.parametrize("kind", ["s32", "f32", "f64", "bf16"])
@pytest.mark.parametrize("dims, axis", [("5000", 0), ("3,257", 1), ("260,5", 0)])
def test_rows_of_any_dimension_are(kind: str, dims: str, axis: int) -> None:
    module = sort_of(kind, dims, axis, "LT")
    x = numbers(kind, tuple(map(int, dims.split(","))))
    assert_same(compile_module(module, Options().resolve())(x), evaluate(module, x))


def test_the_key_may_be_a_function_of_the_element() -> None:
    body = "u = f32[] negate(a)\n v = f32[] negate(b)"
    module, x = sort_of("f32", "400", 0, "LT", body, "u, v"), numbers("f32", (400,))
    assert is_by_digits(module)
    assert_same(compile_module(module, Options().resolve())(x), evaluate(module, x))


@pytest.mark.parametrize(
    "body, names",
    [
        ("u = s32[] add(a, i)\n v = s32[] add(b, j)", "u, v"),
        ("u = s32[] negate(a)", "u, b"),
        ("u = s32[] subtract(a, b)\n v = s32[] subtract(b, a)", "u, v"),
    ],
)
def test_other_comparators_merge(body: str, names: str) -> None:
    module, x = sort_of("s32", "300", 0, "LT", body, names), np.arange(300, dtype=np.int32)[::-1].copy()
    assert not is_by_digits(module)
    assert_same(compile_module(module, Options().resolve())(x), evaluate(module, x))


def test_floats_in_partial_order_merge() -> None:
    module = parse_hlo(str(sort_of("f32", "300", 0, "LT")).replace(", type=TOTALORDER", ""))
    assert not is_by_digits(module)
