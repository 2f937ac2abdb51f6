"""StableHLO text out: what is printed reads back to the same program."""

from __future__ import annotations

import numpy as np
import pytest

from xlac.errors import CompileError
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import F32, PRED, S32, ArrayShape, TupleShape
from xlac.text.hlo_parser import parse_hlo
from xlac.text.stablehlo_ops import BY_OPCODE, ROWS
from xlac.text.stablehlo_parser import parse_stablehlo
from xlac.text.stablehlo_printer import print_module
from xlac.text.stablehlo_write import WRITERS

VECTOR = ArrayShape(F32, (4,))
X = np.array([1.5, -2.0, 0.25, 3.0], np.float32)


def round_trip(module: Module) -> Module:
    again = parse_stablehlo(print_module(module))
    again.verify()
    return again


def reducer(name: str = "add") -> Computation:
    computation = Computation("reducer")
    x, y = computation.parameter(ArrayShape(F32)), computation.parameter(ArrayShape(F32))
    computation.add(OPCODES[name].make(x, y))
    return computation


def test_every_row_names_an_opcode_that_exists() -> None:
    assert [row.name for row in ROWS.values() if row.opcode and row.opcode not in OPCODES] == []
    assert [name for name in WRITERS if name not in OPCODES and name != "optimization-barrier"] == []
    assert all(row.reader is None or name in WRITERS or not row.attrs for name, row in BY_OPCODE.items())


@pytest.mark.parametrize(
    "text",
    [
        "%0 = stablehlo.add %arg0, %arg0 : tensor<4xf32>",
        "%0 = stablehlo.broadcast_in_dim %arg0, dims = [1] : (tensor<4xf32>) -> tensor<2x4xf32>",
        "%0 = stablehlo.compare LT, %arg0, %arg0, TOTALORDER : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xi1>",
        "%0 = stablehlo.slice %arg0 [0:4:2] : (tensor<4xf32>) -> tensor<2xf32>",
        "%0 = stablehlo.reduce_precision %arg0, format = e5m10 : tensor<4xf32>",
        "%0 = chlo.erf %arg0 : tensor<4xf32> -> tensor<4xf32>",
        "%0 = stablehlo.reverse %arg0, dims = [0] : (tensor<4xf32>) -> tensor<4xf32>",
        "%0 = stablehlo.concatenate %arg0, %arg0, dim = 0 : (tensor<4xf32>, tensor<4xf32>) -> tensor<8xf32>",
    ],
)
def test_the_pretty_form_is_a_fixed_point(text: str) -> None:
    result = text.rpartition("->")[2].rpartition(" : ")[2].strip()
    head = "module @m attributes {mhlo.num_partitions = 1 : i32, mhlo.num_replicas = 1 : i32} {\n"
    program = (
        f"{head}  func.func public @main(%arg0: tensor<4xf32>) -> {result} {{\n    {text}\n"
        f"    return %0 : {result}\n  }}\n}}\n"
    )
    assert print_module(parse_stablehlo(program)) == program


def test_tuples_are_taken_apart() -> None:
    main = Computation("main")
    pair = main.parameter(TupleShape((VECTOR, TupleShape((ArrayShape(S32),)))))
    first = op.get_tuple_element.make(pair, index=0)
    second = op.get_tuple_element.make(pair, index=1)
    main.add(op.tuple.make(op.tuple.make(second, first), op.negate.make(first)))
    module = Module("nested", main)
    again = round_trip(module)
    number = np.int32(7)
    ((inner, x), negated) = evaluate(module, (X, (number,)))
    np.testing.assert_array_equal(evaluate(again, X, number)[0], inner[0])
    np.testing.assert_array_equal(evaluate(again, X, number)[1:], (x, negated))


def test_loops_branches_and_calls_read_back() -> None:
    state = TupleShape((ArrayShape(S32), VECTOR))
    condition, body = Computation("condition"), Computation("body")
    s = condition.parameter(state)
    three = op.constant.make(shape=ArrayShape(S32), literal=np.array(3, np.int32))
    condition.add(op.compare.make(op.get_tuple_element.make(s, index=0), three, direction="LT"))
    s = body.parameter(state)
    one = op.constant.make(shape=ArrayShape(S32), literal=np.array(1, np.int32))
    x = op.get_tuple_element.make(s, index=1)
    body.add(op.tuple.make(op.add.make(op.get_tuple_element.make(s, index=0), one), op.add.make(x, x)))
    negate = Computation("negate_it")
    negate.add(op.negate.make(negate.parameter(VECTOR)))
    keep = Computation("keep")
    keep.add(op.copy.make(keep.parameter(VECTOR)))
    main = Computation("main")
    flag, x = main.parameter(ArrayShape(PRED)), main.parameter(VECTOR)
    zero = op.constant.make(shape=ArrayShape(S32), literal=np.array(0, np.int32))
    loop = op.while_.make(op.tuple.make(zero, x), condition=condition, body=body)
    doubled = op.get_tuple_element.make(loop, index=1)
    chosen = op.conditional.make(flag, doubled, x, branch_computations=(negate, keep))
    main.add(op.call.make(chosen, to_apply=negate))
    module = Module("control", main)
    module.donated = (1,)
    again = round_trip(module)
    assert again.donated == (1,)
    for choice in (np.array(True), np.array(False)):
        np.testing.assert_array_equal(evaluate(again, choice, X), evaluate(module, choice, X))


def test_reductions_sorts_and_windows_read_back() -> None:
    from xlac.ir.window import WindowDim

    main = Computation("main")
    x = main.parameter(ArrayShape(F32, (4, 6)))
    zero = op.constant.make(shape=ArrayShape(F32), literal=np.array(0, np.float32))
    less = Computation("less")
    a, b = less.parameter(ArrayShape(F32)), less.parameter(ArrayShape(F32))
    less.add(op.compare.make(a, b, direction="LT"))
    window = (WindowDim(2, 2), WindowDim(3, 1, 1, 1))
    main.add(
        op.tuple.make(
            op.reduce.make(x, zero, dimensions=(1,), to_apply=reducer()),
            op.reduce_window.make(x, zero, window=window, to_apply=reducer("maximum")),
            op.sort.make(x, dimensions=(0,), is_stable=True, to_apply=less),
        )
    )
    module = Module("reductions", main)
    data = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    for got, want in zip(evaluate(round_trip(module), data), evaluate(module, data)):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int8, np.uint64, np.bool_])
def test_constants_keep_every_bit(size: int, dtype: type) -> None:
    rng = np.random.default_rng(size)
    raw = rng.integers(0, 2, size).astype(bool) if dtype is np.bool_ else rng.bytes(size * np.dtype(dtype).itemsize)
    array = raw if dtype is np.bool_ else np.frombuffer(raw, dtype)
    main = Computation("main")
    from xlac.ir.shape import shape_of

    main.add(op.constant.make(shape=shape_of(array), literal=array))
    assert evaluate(round_trip(Module("c", main))).tobytes() == array.tobytes()


def test_an_opcode_without_a_form_is_named() -> None:
    main = Computation("main")
    x = main.parameter(VECTOR)
    main.add(op.topk.make(x, k=2, largest=False))
    with pytest.raises(CompileError, match="topk of the smallest"):
        print_module(Module("m", main))


def test_stochastic_convert_reads_back() -> None:
    text = """HloModule m

    ENTRY main {
      x = f32[8] parameter(0)
      r = u32[8] parameter(1)
      ROOT s = s8[8] stochastic-convert(x, r)
    }"""
    again = parse_stablehlo(parse_hlo(text).to_string("stablehlo"))
    assert again.entry.root.is_a("stochastic-convert") and str(again.entry.root.shape) == "s8[8]"
