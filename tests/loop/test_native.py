"""Generated code against the reference evaluator, on random programs and on each kind of kernel."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.random_programs import draw_module
from tests.values import assert_same
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import op
from xlac.options import Options


@pytest.mark.parametrize("fusion", [True, False], ids=["fused", "unfused"])
@settings(max_examples=60)
@given(data=st.data())
def test_random_programs_give_the_evaluators_results(fusion: bool, data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    want = evaluate(module, *inputs)
    got = compile_module(module, Options(fusion=fusion))(*inputs)
    assert_same(got, want, signed_zeros=False)


@settings(max_examples=40)
@given(data=st.data())
def test_what_two_calls_compute_shares_code_and_no_memory(data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw, max_steps=6)
    main = Computation("twice")
    sides = [[main.parameter(p.shape) for p in module.entry.parameters] for _ in range(2)]
    calls = [main.add(op.call.make(*side, to_apply=module.entry)) for side in sides]
    main.add(op.tuple.make(*calls))
    others = [np.flip(x) for x in inputs]
    got = compile_module(Module("twice", main))(*inputs, *others)
    assert_same(got, (evaluate(module, *inputs), evaluate(module, *others)), signed_zeros=False)


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


REPEATED = """HloModule repeated

less {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = pred[] compare(a, b), direction=LT
}

add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

ENTRY main {
  x0 = f32[6,6] parameter(0)
  w = f32[6,6] parameter(1)
  zero = f32[] constant(0)
  at = s32[] constant(2)
  seven = f32[] constant(7)
  sevens = f32[6,6] broadcast(seven), dimensions={}
"""


def repeated(times: int) -> str:
    """The same instructions again and again: some read a parameter, some what may be overwritten, some one array
    twice."""
    lines = []
    product = "lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    for i in range(times):
        lines += [
            f"d{i} = f32[6,6] dot(x{i}, {'w' if i % 2 else f'x{i}'}), {product}",
            f"t{i} = f32[6,6] remainder(d{i}, sevens)",
            f"s{i} = f32[6,6] sort(t{i}), dimensions={{1}}, to_apply=less",
            f"r{i} = f32[6] reduce(s{i}, zero), dimensions={{1}}, to_apply=add",
            f"m{i} = f32[1,6] reshape(r{i})",
            f"u{i} = f32[6,6] dynamic-update-slice(s{i}, m{i}, at, at)",
            f"c{i} = f32[12,6] concatenate(u{i}, {'w' if i % 3 else f'u{i}'}), dimensions={{0}}",
            f"x{i + 1} = f32[6,6] slice(c{i}), slice={{[{i % 3}:{i % 3 + 6}], [0:6]}}",
        ]
    lines.append(f"ROOT r = (f32[6,6], f32[6]) tuple(x{times}, r0)")
    return REPEATED + "".join(f"  {line}\n" for line in lines) + "}\n"


@pytest.mark.parametrize("fusion", [True, False], ids=["fused", "unfused"])
def test_equal_instructions_share_their_kernels_and_give_the_evaluators_results(fusion: bool) -> None:
    from xlac.text.hlo_parser import parse_hlo

    module = parse_hlo(repeated(12))
    rng = np.random.default_rng(0)
    inputs = [rng.integers(-9, 9, (6, 6)).astype(np.float32) for _ in range(2)]  # whole numbers: sums are exact
    executable = compile_module(module, Options(fusion=fusion, verify=True))
    assert_same(executable(*inputs), evaluate(module, *inputs), signed_zeros=False)
    functions = executable.as_text("llvm").count("define internal void @kernel_")
    launched = executable.as_text("loops").count("  kernel ")
    assert launched >= 36 and functions <= launched / 2
    more = compile_module(parse_hlo(repeated(36)), Options(fusion=fusion))
    # Which buffers are one memory may differ here and there, and the code with it.
    assert more.as_text("llvm").count("define internal void @kernel_") <= functions + 3


def test_what_a_shared_kernel_is_printed_as_names_its_own_buffers() -> None:
    from xlac.text.hlo_parser import parse_hlo

    executable = compile_module(parse_hlo(repeated(3)), Options(fusion=False))
    text = executable.as_text("loops")
    sorts = re.findall(r"kernel k\.s\d:\n(.*?)  kernel ", text, re.DOTALL)
    assert len(sorts) == 3 and len(set(sorts)) == 3
