"""Generated code against the reference evaluator, on random programs and on each kind of kernel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.random_programs import draw_module
from tests.values import assert_same
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.options import Options


@pytest.mark.parametrize("fusion", [True, False], ids=["fused", "unfused"])
@settings(max_examples=60)
@given(data=st.data())
def test_random_programs_give_the_evaluators_results(fusion: bool, data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    want = evaluate(module, *inputs)
    got = compile_module(module, Options(fusion=fusion))(*inputs)
    assert_same(got, want, signed_zeros=False)


@pytest.mark.slow
@settings(max_examples=1500)
@given(data=st.data())
def test_many_random_programs_give_the_evaluators_results(data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    assert_same(compile_module(module)(*inputs), evaluate(module, *inputs), signed_zeros=False)


def test_arguments_may_be_strided_reversed_or_unaligned() -> None:
    from xlac.text.hlo_parser import parse_hlo

    module = parse_hlo("ENTRY main { x = f32[5,7] parameter(0)\n ROOT y = f32[5,7] add(x, x) }")
    executable = compile_module(module)
    base = np.arange(10 * 14, dtype=np.float32).reshape(10, 14)
    unaligned = np.frombuffer(b"\0" + base[:5, :7].tobytes(), np.uint8)[1:].view(np.float32).reshape(5, 7)
    for x in (base[::2, ::2], base[4::-1, 6::-1], np.asfortranarray(base[:5, :7]), unaligned):
        np.testing.assert_array_equal(executable(x), x + x)
