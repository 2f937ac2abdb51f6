"""reduce and map with reducers of every sort."""

import numpy as np
import pytest

from tests.rows import array, infer, of_scalars, reducer, run
from tests.values import assert_close, assert_same
from xlac.api import compile as compile_module
from xlac.api import parse
from xlac.errors import ShapeError
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import op
from xlac.ir.shape import shape_of
from xlac.passes.pipeline import run_passes


@pytest.mark.parametrize(
    "element", ["pred", "s4", "u2", "s8", "u32", "s64", "f8e5m2", "bf16", "f16", "f32", "f64", "c64"]
)
@pytest.mark.parametrize("opcode", ["add", "multiply", "maximum", "minimum"])
def test_reduce_by_every_monoid_of_every_type(element, opcode):
    row = array(f"{element}[]").element_type
    x = (np.arange(24).reshape(2, 3, 4) % 3 % 2).astype(np.int8).astype(row.dtype)
    init = np.array(1, np.int8).astype(row.dtype)
    got = run("reduce", x, init, dimensions=(0, 2), to_apply=reducer(opcode, element))
    for i in range(3):
        total = init
        for value in x[:, i].reshape(-1):
            total = run(opcode, total, value)
        assert complex(got[i]) == complex(total)


@pytest.mark.parametrize(
    "element", ["f4e2m1fn", "f8e4m3fn", "f8e4m3fnuz", "f8e4m3b11fnuz", "f8e5m2fnuz", "f8e5m2", "bf16", "c64"]
)
@pytest.mark.parametrize("opcode", ["maximum", "minimum"])
def test_lanes_start_from_the_last_number_also_where_a_type_has_no_infinity(element, opcode):
    row = array(f"{element}[]").element_type
    x = (np.random.default_rng(0).integers(-9, 10, (6, 37)) / 4).astype(np.complex64 if row.is_complex else row.dtype)
    results = both_engines(x, np.zeros((), row.dtype), (1,), reducer(opcode, element))
    wide = x.astype(np.complex128)
    assert_same(results[0], results[1])
    assert_same(results[0].astype(np.complex128).real, getattr(np, f"{opcode[:3]}")(wide.real, axis=1, initial=0))


def test_a_sum_in_a_type_without_zero_is_compiled():
    dtype = array("f8e8m0fnu[]").element_type.dtype
    x = np.ones((3, 40), np.float32).astype(dtype)
    results = both_engines(x, np.array(1, np.float32).astype(dtype), (1,), reducer("add", "f8e8m0fnu"))
    assert results[0].shape == results[1].shape == (3,)


# How often XLA 0.10 on a CPU lets the initial value enter, read off sums of zeros with initial value one.
ENTRIES = [
    ((31,), (0,), 1),
    ((32,), (0,), 1),
    ((33,), (0,), 3),
    ((64,), (0,), 3),
    ((65,), (0,), 4),
    ((1000,), (0,), 33),
    ((1024,), (0,), 33),
    ((1025,), (0,), 36),
    ((40000,), (0,), 1293),
    ((40, 50), (0,), 3),
    ((40, 50), (1,), 3),
    ((40, 50), (0, 1), 5),
    ((3, 50), (0, 1), 3),
    ((2, 3, 100), (0, 2), 5),
    ((1, 100), (0, 1), 5),
    ((7, 40000), (1,), 1293),
    ((0, 50), (0, 1), 1),
    ((1,), (0,), 0),
    ((1, 3, 1), (0, 2), 0),
    ((4,), (), 0),
    ((1, 3), (0, 1), 1),
]


def both_engines(x, init, dimensions, region, *, constant=False):
    """A reduction evaluated and compiled; the initial value is an argument or a constant."""
    main = Computation("main")
    operand = main.parameter(shape_of(x))
    start = op.constant.make(shape=shape_of(init), literal=init) if constant else main.parameter(shape_of(init))
    main.add(op.reduce.make(operand, start, dimensions=dimensions, to_apply=region))
    module = Module("m", main)
    arguments = [x] if constant else [x, init]
    return evaluate(module, *arguments), compile_module(module)(*arguments)


@pytest.mark.parametrize("constant", [False, True], ids=["argument", "constant"])
@pytest.mark.parametrize("dims, dimensions, count", ENTRIES)
def test_an_initial_value_enters_once_per_window_as_in_xla(dims, dimensions, count, constant):
    for element in ("s32", "u64", "f16", "f32", "f64"):
        row = array(f"{element}[]").element_type
        once = element in ("f32", "f64") and np.prod(dims) >= 4096
        x, one = np.zeros(dims, row.dtype), np.ones((), row.dtype)
        for got in both_engines(x, one, dimensions, reducer("add", element), constant=constant):
            assert_close(got, np.full(got.shape, 1 if once else count, row.dtype), 1e-3)
    x, minus_one = np.ones(dims, np.float32), np.float32(-1)
    for got in both_engines(x, minus_one, dimensions, reducer("multiply"), constant=constant):
        assert (got == (-1) ** count).all()
    x, one = np.zeros(dims, np.uint8), np.uint8(1)
    for got in both_engines(x, one, dimensions, reducer("xor", "u8"), constant=constant):
        assert (got == count % 2).all()
    for got in both_engines(x, one, dimensions, reducer("maximum", "u8"), constant=constant):
        assert (got == min(count, 1)).all()


def test_reductions_of_one_element_leave_the_reducer_out():
    text = """
    HloModule m
    pair {
      a = f32[] parameter(0)
      i = s32[] parameter(1)
      b = f32[] parameter(2)
      j = s32[] parameter(3)
      c = f32[] subtract(a, b)
      k = s32[] add(i, j)
      ROOT r = (f32[], s32[]) tuple(c, k)
    }
    ENTRY main {
      x = f32[3,1] parameter(0)
      y = s32[3,1] parameter(1)
      u = f32[] constant(5)
      v = s32[] constant(7)
      z = f32[] parameter(2)
      w = s32[] parameter(3)
      r = (f32[3], s32[3]) reduce(x, y, u, v), dimensions={1}, to_apply=pair
      s = (f32[], s32[]) reduce-window(z, w, u, v), to_apply=pair
      ROOT t = ((f32[3], s32[3]), (f32[], s32[])) tuple(r, s)
    }
    """
    x, y = np.arange(3, dtype=np.float32)[:, None], np.arange(4, 7, dtype=np.int32)[:, None]
    module = parse(text)
    arguments = (x, y, np.float32(2), np.int32(3))
    for (a, b), (c, d) in (evaluate(module, *arguments), compile_module(module)(*arguments)):
        assert np.array_equal(a, x[:, 0]) and np.array_equal(b, y[:, 0]) and c == 2 and d == 3


@pytest.mark.parametrize("n, want", [(32, 2.0**-32), (33, 0.25 + 2.0**-15 * 0.625), (64, 0.25 + 2.0**-33 * 3)])
def test_a_reducer_that_is_no_monoid_reduces_windows_and_then_their_results(n, want):
    # XLA's answers for a / 2 + b with zeros and initial value one: 2.3283e-10, 0.250019073, 0.25000000035.
    region = of_scalars("f64", "f64", build=lambda a, b: op.add.make(op.multiply.make(a, half()), b))
    for got in both_engines(np.zeros(n), np.ones(()), (0,), region):
        assert abs(got - want) < 1e-12


def half():
    return op.constant.make(shape=array("f64[]"), literal=np.array(0.5))


def test_a_variadic_reduction_starts_once():
    pair = of_scalars(*["s32"] * 4, build=lambda a, b, c, d: op.tuple.make(op.add.make(a, c), op.add.make(b, d)))
    x, one = np.zeros(100, np.int32), np.ones((), np.int32)
    assert run("reduce", x, x, one, one, dimensions=(0,), to_apply=pair) == (1, 1)


def test_a_reduction_with_a_neutral_initial_value_stays_as_it_is():
    text = """
    HloModule m
    add { a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = f32[] add(a, b) }
    pick { a = f32[] parameter(0)
      b = f32[] parameter(1)
      greater = pred[] compare(a, b), direction=GT
      ROOT c = f32[] select(greater, a, b) }
    ENTRY e { x = f32[100] parameter(0)
      zero = f32[] constant(0)
      least = f32[] constant(-inf)
      sum = f32[] reduce(x, zero), dimensions={0}, to_apply=add
      top = f32[] reduce(x, least), dimensions={0}, to_apply=pick
      ROOT both = (f32[], f32[]) tuple(sum, top) }"""
    assert not run_passes(parse(text, "hlo"), ["expand_initial_values"], verify=True)


def test_reduce_converts_elements_to_the_reducers_types():
    x = np.array([256, 1, 1, 1], np.float32).astype(array("bf16[]").dtype)
    got = run("reduce", x, np.float32(0), dimensions=(0,), to_apply=reducer("add", "f32"))
    assert got == 259 and got.dtype == np.float32


def test_reduce_by_a_reducer_that_is_no_monoid_goes_in_order():
    region = of_scalars("s32", "s32", build=lambda a, b: op.subtract.make(op.add.make(a, a), b))
    x = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    assert run("reduce", x, np.int32(1), dimensions=(1,), to_apply=region).tolist() == [-3, -24]


def test_a_reducer_that_calls_another_computation_is_mapped_too():
    inner = reducer("add", "s32")
    region = of_scalars("s32", "s32", build=lambda a, b: op.call.make(a, b, to_apply=inner))
    assert run("reduce", np.arange(5, dtype=np.int32), np.int32(0), dimensions=(0,), to_apply=region) == 10


def test_map_applies_a_computation_of_scalars():
    region = of_scalars("f32", "s32", build=lambda a, b: op.add.make(a, op.convert.make(b, shape=array("f32[]"))))
    x, y = np.ones((2, 3), np.float32), np.arange(6, dtype=np.int32).reshape(2, 3)
    assert run("map", x, y, dimensions=(0, 1), to_apply=region).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_map_of_a_constant_fills_the_array():
    region = Computation("seven")
    region.parameter(array("f32[]"))
    region.root = region.add(op.constant.make(shape=array("s32[]"), literal=np.array(7, np.int32)))
    assert run("map", np.zeros((2, 2), np.float32), to_apply=region).tolist() == [[7, 7], [7, 7]]


def test_map_with_a_loop_inside_runs_element_by_element():
    below, double = Computation("below"), Computation("double")
    p = below.parameter(array("s32[]"))
    below.add(
        op.compare.make(p, op.constant.make(shape=array("s32[]"), literal=np.array(10, np.int32)), direction="LT")
    )
    q = double.parameter(array("s32[]"))
    double.add(op.add.make(q, q))
    region = of_scalars("s32", build=lambda a: op.while_.make(a, condition=below, body=double))
    assert run("map", np.array([1, 3, 50], np.int32), dimensions=(0,), to_apply=region).tolist() == [16, 12, 50]


def test_map_names_a_computation_of_other_operands():
    with pytest.raises(ShapeError, match=r"map: operand 0 is s32\[\] but parameter 0 of region_add is f32\[\]"):
        infer("map", array("s32[2]"), array("s32[2]"), to_apply=reducer("add"))


SCAN = """HloModule m

step {
  x = f32[2] parameter(0)
  k = s32[] parameter(1)
  carry = f32[2] parameter(2)
  turns = s32[] parameter(3)
  wide = f32[] convert(k)
  factor = f32[2] broadcast(wide), dimensions={}
  product = f32[2] multiply(carry, factor)
  next = f32[2] add(product, x)
  one = s32[] constant(1)
  more = s32[] add(turns, one)
  ROOT all = (f32[2], s32[], f32[2], s32[]) tuple(next, turns, next, more)
}

ENTRY main {
  x = f32[2,5] parameter(0)
  k = s32[5] parameter(1)
  carry = f32[2] parameter(2)
  zero = s32[] constant(0)
  ROOT r = (f32[2,5], s32[5], f32[2], s32[]) scan(x, k, carry, zero), DIMS, num_carries=2, to_apply=step
}
"""


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_hands_carries_from_slice_to_slice(reverse):
    # Inputs of different rank share a scanned dimension only if it has one number in both: 1 has none in k.
    text = SCAN.replace("f32[2,5]", "f32[5,2]").replace("DIMS", f"dimensions={{0}}, is_reverse={str(reverse).lower()}")
    rng = np.random.default_rng(0)
    x, k, carry = rng.normal(size=(5, 2)).astype(np.float32), np.arange(5, dtype=np.int32) - 2, np.ones(2, np.float32)
    rows, places, last = np.zeros((5, 2), np.float32), np.zeros(5, np.int32), carry
    for turn, i in enumerate(reversed(range(5)) if reverse else range(5)):
        rows[i] = last = last * np.float32(k[i]) + x[i]
        places[i] = turn
    module = parse(text, "hlo")
    for got in (evaluate(module, x, k, carry), compile_module(module)(x, k, carry)):
        assert_close(got[0], rows, 1e-6)
        assert_same(got[1], places)
        assert_close(got[2], last, 1e-6)
        assert got[3] == 5


@pytest.mark.parametrize("n", [0, 1, 7])
def test_scan_along_a_later_dimension_gives_one_array(n):
    text = f"""HloModule m
    step {{
      x = s32[3] parameter(0)
      ROOT y = s32[3] negate(x)
    }}
    ENTRY main {{
      x = s32[3,{n}] parameter(0)
      ROOT r = s32[3,{n}] scan(x), dimensions={{1}}, num_carries=0, to_apply=step
    }}"""
    x = np.arange(3 * n, dtype=np.int32).reshape(3, n)
    module = parse(text, "hlo")
    assert_same(evaluate(module, x), -x)
    assert_same(compile_module(module)(x), -x)


@pytest.mark.parametrize(
    "attributes, message",
    [
        ({"dimensions": (0, 0), "num_carries": 1}, "must name one dimension"),
        ({"dimensions": (0,), "num_carries": 2}, "num_carries=2"),
        ({"dimensions": (1,), "num_carries": 1}, "dimensions"),
        ({"dimensions": (0,), "num_carries": 0}, "scan: "),
    ],
)
def test_scan_names_what_does_not_fit(attributes, message):
    with pytest.raises(ShapeError, match=message):
        infer("scan", array("f32[3]"), array("f32[]"), shape=array("f32[3]"), to_apply=reducer("add"), **attributes)
