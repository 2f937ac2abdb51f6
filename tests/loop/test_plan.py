"""The buffer plan: states of loops, donated parameters and in-place updates, checked by results and by the copies
that remain."""

from __future__ import annotations

import numpy as np
import pytest

from tests.values import assert_same, random_value
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.shape import F32
from xlac.loop.ir import ZERO, Buffer, Kernel, Program, Statement, Store, const
from xlac.loop.plan import plan
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo

PROGRAMS = {
    "a state whose parts change places": """
cond { s = (s32[], f32[4], f32[4]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(5)
  ROOT lt = pred[] compare(i, n), direction=LT }
body { s = (s32[], f32[4], f32[4]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  a = f32[4] get-tuple-element(s), index=1
  b = f32[4] get-tuple-element(s), index=2
  one = s32[] constant(1)
  next = s32[] add(i, one)
  ROOT t = (s32[], f32[4], f32[4]) tuple(next, b, a) }
ENTRY main { x = f32[4] parameter(0)
  y = f32[4] parameter(1)
  zero = s32[] constant(0)
  init = (s32[], f32[4], f32[4]) tuple(zero, x, y)
  ROOT w = (s32[], f32[4], f32[4]) while(init), condition=cond, body=body }""",
    "a state read after its next value is made": """
cond { s = (s32[], f32[4]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(3)
  ROOT lt = pred[] compare(i, n), direction=LT }
body { s = (s32[], f32[4]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  a = f32[4] get-tuple-element(s), index=1
  one = s32[] constant(1)
  next = s32[] add(i, one)
  rev = f32[4] reverse(a), dimensions={0}
  sum = f32[4] add(rev, a)
  ROOT t = (s32[], f32[4]) tuple(next, sum) }
ENTRY main { x = f32[4] parameter(0)
  zero = s32[] constant(0)
  init = (s32[], f32[4]) tuple(zero, x)
  w = (s32[], f32[4]) while(init), condition=cond, body=body
  r = f32[4] get-tuple-element(w), index=1
  ROOT out = (f32[4], f32[4], f32[4]) tuple(r, x, r) }""",
    "a loop in a loop": """
icond { s = (s32[], s32[]) parameter(0)
  j = s32[] get-tuple-element(s), index=0
  n = s32[] constant(3)
  ROOT lt = pred[] compare(j, n), direction=LT }
ibody { s = (s32[], s32[]) parameter(0)
  j = s32[] get-tuple-element(s), index=0
  t = s32[] get-tuple-element(s), index=1
  one = s32[] constant(1)
  nj = s32[] add(j, one)
  nt = s32[] add(t, nj)
  ROOT r = (s32[], s32[]) tuple(nj, nt) }
cond { s = (s32[], s32[]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(4)
  ROOT lt = pred[] compare(i, n), direction=LT }
body { s = (s32[], s32[]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  t = s32[] get-tuple-element(s), index=1
  zero = s32[] constant(0)
  init = (s32[], s32[]) tuple(zero, t)
  w = (s32[], s32[]) while(init), condition=icond, body=ibody
  nt = s32[] get-tuple-element(w), index=1
  one = s32[] constant(1)
  ni = s32[] add(i, one)
  both = s32[] multiply(nt, ni)
  ROOT r = (s32[], s32[]) tuple(ni, both) }
ENTRY main { x = s32[] parameter(0)
  zero = s32[] constant(0)
  init = (s32[], s32[]) tuple(zero, x)
  ROOT w = (s32[], s32[]) while(init), condition=cond, body=body }""",
    "a conditional whose branches give its argument back": """
yes { p = (f32[3], f32[3]) parameter(0)
  a = f32[3] get-tuple-element(p), index=0
  b = f32[3] get-tuple-element(p), index=1
  ROOT t = (f32[3], f32[3]) tuple(b, a) }
no { p = (f32[3], f32[3]) parameter(0)
  a = f32[3] get-tuple-element(p), index=0
  n = f32[3] negate(a)
  ROOT t = (f32[3], f32[3]) tuple(n, n) }
ENTRY main { x = f32[3] parameter(0)
  y = f32[3] parameter(1)
  c = pred[] parameter(2)
  e = f32[3] exponential(x)
  t = (f32[3], f32[3]) tuple(e, y)
  ROOT r = (f32[3], f32[3]) conditional(c, t, t), true_computation=yes, false_computation=no }""",
    "an operand that is updated and read": """
ENTRY main { x = f32[6] parameter(0)
  u = f32[2] parameter(1)
  i = s32[] parameter(2)
  e = f32[6] exponential(x)
  d = f32[6] dynamic-update-slice(e, u, i)
  s = f32[6] add(d, e)
  ROOT t = (f32[6], f32[6], f32[6]) tuple(d, s, e) }""",
    "an update that reads what it overwrites": """
ENTRY main { x = f32[6] parameter(0)
  i = s32[] parameter(1)
  e = f32[6] exponential(x)
  r = f32[6] reverse(e), dimensions={0}
  u = f32[3] slice(r), slice={[0:3]}
  ROOT d = f32[6] dynamic-update-slice(e, u, i) }""",
}


@pytest.mark.parametrize("fusion", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_results_are_the_evaluators(name: str, fusion: bool) -> None:
    module = parse_hlo(PROGRAMS[name])
    rng = np.random.default_rng(0)
    executable = compile_module(module, Options(fusion=fusion))
    for _ in range(3):
        inputs = [random_value(p.shape, rng, whole=True) for p in module.entry.parameters]
        if "exponential" in PROGRAMS[name]:
            inputs[0] = np.zeros_like(inputs[0])
        before = [np.array(x) for x in inputs]
        assert_same(executable(*inputs), evaluate(module, *inputs))
        for x, old in zip(inputs, before):
            np.testing.assert_array_equal(x, old)


SCAN = """
cond { s = (s32[], f32[100,8]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(100)
  ROOT lt = pred[] compare(i, n), direction=LT }
body { s = (s32[], f32[100,8]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  a = f32[100,8] get-tuple-element(s), index=1
  zero = s32[] constant(0)
  row = f32[1,8] dynamic-slice(a, i, zero), dynamic_slice_sizes={1,8}
  twice = f32[1,8] add(row, row)
  new = f32[100,8] dynamic-update-slice(a, twice, i, zero)
  one = s32[] constant(1)
  next = s32[] add(i, one)
  ROOT t = (s32[], f32[100,8]) tuple(next, new) }
ENTRY main { x = f32[100,8] parameter(0)
  zero = s32[] constant(0)
  init = (s32[], f32[100,8]) tuple(zero, x)
  w = (s32[], f32[100,8]) while(init), condition=cond, body=body
  ROOT r = f32[100,8] get-tuple-element(w), index=1 }
"""


def test_a_loop_updates_its_state_in_place() -> None:
    module = parse_hlo(SCAN)
    executable = compile_module(module)
    loop = executable.as_text("loops").split("do:")[1]
    copies = [line.split() for line in loop.splitlines() if "copy" in line]
    assert [words[-1].split("@")[0] for words in copies] == ["next"]  # the counter; not the array
    x = np.ones((100, 8), np.float32)
    np.testing.assert_array_equal(executable(x), 2 * x)


def test_donated_parameters_give_their_memory_to_results() -> None:
    module = parse_hlo(
        "ENTRY main { p = f32[64] parameter(0)\n g = f32[64] parameter(1)\n ROOT r = f32[64] subtract(p, g) }"
    )
    module.donated = (0,)
    executable = compile_module(module)
    p, g = np.full(64, 3, np.float32), np.ones(64, np.float32)
    result = executable(p, g)
    assert result is p
    np.testing.assert_array_equal(result, np.full(64, 2, np.float32))


def test_a_donated_parameter_that_is_read_out_of_order_is_not_overwritten() -> None:
    module = parse_hlo(
        "ENTRY main { p = f32[64] parameter(0)\n r = f32[64] reverse(p), dimensions={0}\n ROOT s = f32[64] add(p, r) }"
    )
    module.donated = (0,)
    p = np.arange(64, dtype=np.float32)
    np.testing.assert_array_equal(compile_module(module)(p.copy()), p + p[::-1])


def test_temporaries_share_the_arena() -> None:
    lines = ["x0 = f32[256,256] parameter(0)"]
    for i in range(1, 9):
        lines.append(f"x{i} = f32[256,256] transpose(x{i - 1}), dimensions={{1,0}}")
        lines.append(f"y{i} = f32[256,256] dot(x{i}, x{i}), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}")
        lines.append(f"z{i} = f32[256,256] tanh(y{i})")
        lines[-3] = lines[-3].replace(f"x{i - 1}", f"z{i - 1}" if i > 1 else "x0")
    lines[-1] = "ROOT " + lines[-1]
    executable = compile_module(parse_hlo("ENTRY main {\n" + "\n".join(lines) + "}"))
    assert executable.program.arena_bytes <= 4 * 256 * 256 * 4


def test_buffers_alive_together_are_packed_in_the_order_of_their_stores() -> None:
    """So that a program compiles to the same code in every process, and a cache finds it."""
    buffers = [Buffer(f"b{i}", F32, 16) for i in range(16)]
    order = [buffers[5 * i % 16] for i in range(16)]
    stores: list[Statement] = [Store(b, ZERO, const(F32, 0)) for b in order]
    program = Program("p", [], [], [], [Kernel("k", stores)])
    plan(program, ())
    assert [b.offset for b in order] == [64 * i for i in range(16)]
