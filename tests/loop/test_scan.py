"""Running reductions, which are reduce-windows: loops against the evaluator, and that against the definition."""

from __future__ import annotations

import numpy as np
import pytest

from tests.loop.checked import MACHINES, check, program_of
from tests.values import assert_same, random_array
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Module
from xlac.ir.ops.reduction import monoid_parts
from xlac.ir.shape import ArrayShape, element_type
from xlac.loop import ir
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo

# Around the lengths at which rows are cut into chunks, whole groups of them and a smaller one.
SHAPES = [((7,), 0), ((255,), 0), ((256,), 0), ((2063,), 0), ((3, 259), 1), ((40, 5), 0), ((2, 9, 3), 1), ((6, 5), 1)]
FLOATS, INTEGERS = ("f32", "f64", "bf16"), ("s8", "u16", "s64")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


COMBINERS = {
    "add": (*FLOATS, *INTEGERS, "c64", "pred"),
    "multiply": (*FLOATS, *INTEGERS, "c64"),
    "maximum": (*FLOATS, *INTEGERS, "pred"),
    "minimum": (*FLOATS, *INTEGERS),
    "and": (*INTEGERS, "pred"),
    "or": (*INTEGERS, "pred"),
    "xor": (*INTEGERS, "pred"),
}


def running(kind: str, shape: tuple[int, ...], axis: int, reverse: bool, body: str = "", initial: str = "") -> Module:
    n = shape[axis]
    size = "x".join(str(n) if d == axis else "1" for d in range(len(shape)))
    pads = f"0_{n - 1}" if reverse else f"{n - 1}_0"
    pad = "x".join(pads if d == axis else "0_0" for d in range(len(shape)))
    dims = ",".join(map(str, shape))
    return parse_hlo(f"""
        combine {{
          a = {kind}[] parameter(0)
          b = {kind}[] parameter(1)
          {body}
        }}
        ENTRY main {{
          x = {kind}[{dims}] parameter(0)
          start = {kind}[] {initial or "parameter(1)"}
          ROOT y = {kind}[{dims}] reduce-window(x, start), window={{size={size} pad={pad}}}, to_apply=combine
        }}""")


def monoid_of(name: str, kind: str, shape: tuple[int, ...], axis: int, reverse: bool) -> Module:
    return running(kind, shape, axis, reverse, f"ROOT r = {kind}[] {name}(a, b)")


CASES = [
    (name, kind, *SHAPES[(i + j) % len(SHAPES)], bool((i + j) % 2))
    for i, (name, kinds) in enumerate(COMBINERS.items())
    for j, kind in enumerate(kinds)
] + [("add", "f32", *shape, reverse) for shape in SHAPES for reverse in (False, True)]


@pytest.mark.parametrize("name, kind, shape, axis, reverse", CASES)
def test_loops_equal_the_evaluator(
    name: str, kind: str, shape: tuple[int, ...], axis: int, reverse: bool, rng: np.random.Generator
) -> None:
    module = monoid_of(name, kind, shape, axis, reverse)
    dtype = element_type(kind).dtype
    x, start = (random_array(ArrayShape(element_type(kind), s), rng) for s in (shape, ()))
    if kind in (*FLOATS, "c64"):
        x = np.asarray(x / 4 if name == "add" else 1 + x / 1024, dtype)
    # A sum of n terms in another order differs by at most n roundings, the last of them to the narrow type.
    tolerance = None
    if kind in (*FLOATS, "c64"):
        tolerance = 2.0**-7 if kind == "bf16" else 4 * shape[axis] * float(np.finfo(dtype).eps)
    for machine in (MACHINES["wide"], MACHINES["two lanes"]):
        program = check(module, x, start, machine=machine, tolerance=tolerance)
        assert all(isinstance(step, (ir.Kernel, ir.Copy)) for step in program.steps)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "minimum"])
def test_the_evaluator_reduces_each_prefix(name: str, reverse: bool, rng: np.random.Generator) -> None:
    x, start = rng.integers(-3, 4, (4, 9, 2)), np.asarray(2)
    got = evaluate(monoid_of(name, "s64", x.shape, 1, reverse), x, start)
    function, _ = monoid_parts(name, x.dtype)
    for k in range(9):
        part = x[:, k:] if reverse else x[:, : k + 1]
        assert np.array_equal(got[:, k], function.reduce(part, axis=1, initial=2))


@pytest.mark.parametrize("name", ["maximum", "minimum", "add"])
@pytest.mark.parametrize("length", [20, 3000])
def test_nan_reaches_all_that_follow(name: str, length: int) -> None:
    x = np.linspace(-1, 1, length, dtype=np.float32)
    x[length // 2] = np.nan
    module = monoid_of(name, "f32", (length,), 0, False)
    got = compile_module(module, Options().resolve())(x, np.float32(0))
    assert np.array_equal(np.isnan(got), np.arange(length) >= length // 2)


@pytest.mark.parametrize("shape, axis", [((12,), 0), ((900,), 0), ((5, 30), 1), ((30, 5), 0)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_reducer_that_does_not_commute_keeps_the_order(
    shape: tuple[int, ...], axis: int, reverse: bool, rng: np.random.Generator
) -> None:
    """Of two halves of an integer, the product of 2 x 2 matrices [[1, a], [0, b]]: (a, b)(c, d) = (c + a d, b d)."""
    body = """
      low = s64[] constant(65535)
      wide = s64[] constant(16)
      a0 = s64[] and(a, low)
      a1 = s64[] shift-right-logical(a, wide)
      b0 = s64[] and(b, low)
      b1 = s64[] shift-right-logical(b, wide)
      cross = s64[] multiply(a0, b1)
      sum = s64[] add(cross, b0)
      first = s64[] and(sum, low)
      product = s64[] multiply(a1, b1)
      second = s64[] and(product, low)
      high = s64[] shift-left(second, wide)
      ROOT r = s64[] or(first, high)
    """
    x = rng.integers(0, 2**32, shape)
    module = running("s64", shape, axis, reverse, body, f"constant({1 << 16})")
    check(module, x)
    got = compile_module(module, Options().resolve())(x)
    wanted = np.empty(shape, np.int64)
    order = np.moveaxis(x, axis, 0)
    total = np.full(order.shape[1:], 1 << 16)

    def product(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        first = ((p & 65535) * (q >> 16) + (q & 65535)) & 65535
        return first | (((p >> 16) * (q >> 16) & 65535) << 16)

    for k in reversed(range(shape[axis])) if reverse else range(shape[axis]):
        total = product(order[k], total) if reverse else product(total, order[k])
        np.moveaxis(wanted, axis, 0)[k] = total
    assert np.array_equal(got, wanted)


@pytest.mark.parametrize("length", [30, 700])
def test_several_arrays_are_reduced_together(length: int, rng: np.random.Generator) -> None:
    """The running maximum and where it was first seen."""
    module = parse_hlo(f"""
        later {{
          a = f32[] parameter(0)
          i = s32[] parameter(1)
          b = f32[] parameter(2)
          j = s32[] parameter(3)
          keep = pred[] compare(a, b), direction=GE
          v = f32[] select(keep, a, b)
          k = s32[] select(keep, i, j)
          ROOT r = (f32[], s32[]) tuple(v, k)
        }}
        ENTRY main {{
          x = f32[{length}] parameter(0)
          at = s32[{length}] iota(), iota_dimension=0
          low = f32[] constant(-inf)
          none = s32[] constant(-1)
          ROOT y = (f32[{length}], s32[{length}]) reduce-window(x, at, low, none),
            window={{size={length} pad={length - 1}_0}}, to_apply=later
        }}""")
    x = rng.integers(0, 50, length).astype(np.float32)
    check(module, x)
    values, places = compile_module(module, Options().resolve())(x)
    wanted = np.maximum.accumulate(x)
    assert np.array_equal(values, wanted)
    assert np.array_equal(places, [np.argmax(x[: k + 1]) for k in range(length)])


def test_a_long_row_has_three_passes_of_which_two_go_to_threads() -> None:
    steps = program_of(monoid_of("add", "f32", (1 << 20,), 0, False)).steps
    kernels = [s for s in steps if isinstance(s, ir.Kernel)]
    assert [k.parallel is not None for k in kernels if ".totals" not in k.name].count(True) == 2


def test_the_number_of_threads_changes_nothing(rng: np.random.Generator) -> None:
    module = monoid_of("add", "f32", (200_003,), 0, False)
    x = rng.standard_normal(200_003).astype(np.float32)
    one, two = (compile_module(module, Options(threads=n).resolve())(x, np.float32(0)) for n in (1, 2))
    assert_same(one, two)
    assert np.allclose(one, np.cumsum(x, dtype=np.float64), rtol=0, atol=200_003 * 2.0**-24 * 4)
