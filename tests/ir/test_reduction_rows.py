"""reduce and map with reducers of every sort."""

import numpy as np
import pytest

from tests.rows import array, infer, of_scalars, reducer, run
from xlac.errors import EvaluateError, ShapeError
from xlac.ir.module import Computation
from xlac.ir.opcode import op


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


def test_scan_can_be_made_but_not_evaluated():
    attrs = {"shape": array("f32[3]"), "dimensions": (0,), "num_carries": 1, "to_apply": reducer("add")}
    assert infer("scan", array("f32[3]"), array("f32[]"), **attrs) == array("f32[3]")
    with pytest.raises(EvaluateError, match="scan"):
        run("scan", np.zeros(3, np.float32), np.float32(0), **attrs)
