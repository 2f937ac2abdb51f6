"""What the host computes for native code: values, loops around it, errors, and what is refused at compile time."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import xlac
from xlac.errors import CompileError, EvaluateError
from xlac.options import Options

QR = """
HloModule qr
ENTRY main {
  a = f32[2,4,3] parameter(0)
  packed = (f32[2,4,3], f32[2,3]) custom-call(a), custom_call_target="lapack_sgeqrf_ffi"
  p = f32[2,4,3] get-tuple-element(packed), index=0
  t = f32[2,3] get-tuple-element(packed), index=1
  ROOT q = f32[2,4,3] custom-call(p, t), custom_call_target="lapack_sorgqr_ffi"
}
"""

IN_A_LOOP = """
HloModule loop
condition {
  s = (s32[], f32[3,3]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(5)
  ROOT less = pred[] compare(i, n), direction=LT
}
body {
  s = (s32[], f32[3,3]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  one = s32[] constant(1)
  next = s32[] add(i, one)
  a = f32[3,3] get-tuple-element(s), index=1
  qr = (f32[3,3], f32[3]) custom-call(a), custom_call_target="lapack_sgeqrf_ffi"
  b = f32[3,3] get-tuple-element(qr), index=0
  c = f32[3,3] add(a, b)
  ROOT r = (s32[], f32[3,3]) tuple(next, c)
}
ENTRY main {
  a = f32[3,3] parameter(0)
  zero = s32[] constant(0)
  start = (s32[], f32[3,3]) tuple(zero, a)
  ROOT end = (s32[], f32[3,3]) while(start), condition=condition, body=body
}
"""

RESIZED = """
HloModule resized
ENTRY main {
  x = f32[4] parameter(0)
  n = s32[] parameter(1)
  ROOT y = f32[4] set-dimension-size(x, n), dimensions={0}
}
"""


def native(text: str) -> xlac.Executable:
    return xlac.compile(text, options=Options(evaluate=False))


def test_a_lapack_kernel_is_called_on_the_programs_buffers():
    a = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    q = native(QR)(a)
    np.testing.assert_allclose(np.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-6)


def test_a_host_call_inside_a_loop_sees_each_iterations_values():
    a = np.random.default_rng(1).normal(size=(3, 3)).astype(np.float32)
    executable = native(IN_A_LOOP)
    assert len(executable.program.host_calls) == 1
    count, got = executable(a)
    _, want = xlac.evaluate(executable.module, a)
    assert count == 5
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_an_error_of_the_host_is_raised_and_the_next_call_is_as_before():
    executable = native(RESIZED)
    x = np.arange(4, dtype=np.float32)
    with pytest.raises(EvaluateError, match="size 3 of a dimension of 4"):
        executable(x, np.int32(3))
    np.testing.assert_array_equal(executable(x, np.int32(4)), x)


def test_errors_reach_the_thread_that_called():
    executable = native(RESIZED)
    x = np.arange(4, dtype=np.float32)
    seen: dict[int, object] = {}

    def call(size: int) -> None:
        try:
            seen[size] = executable(x, np.int32(size))
        except EvaluateError as error:
            seen[size] = error

    threads = [threading.Thread(target=call, args=(size,)) for size in (2, 4, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(seen[2], EvaluateError) and "size 2" in str(seen[2])
    assert isinstance(seen[3], EvaluateError) and "size 3" in str(seen[3])
    np.testing.assert_array_equal(seen[4], x)


def test_a_map_with_a_loop_inside_is_computed_by_the_host():
    text = """
HloModule halving
condition {
  x = f32[] parameter(0)
  one = f32[] constant(1)
  ROOT large = pred[] compare(x, one), direction=GT
}
body {
  x = f32[] parameter(0)
  half = f32[] constant(0.5)
  ROOT y = f32[] multiply(x, half)
}
reduced {
  x = f32[] parameter(0)
  ROOT y = f32[] while(x), condition=condition, body=body
}
ENTRY main {
  x = f32[5] parameter(0)
  ROOT y = f32[5] map(x), dimensions={0}, to_apply=reduced
}
"""
    np.testing.assert_array_equal(native(text)(np.float32([0.5, 1, 3, 8, 20])), np.float32([0.5, 1, 0.75, 1, 0.625]))


def test_the_loops_show_what_the_host_is_asked():
    assert "host" in native(QR).as_text("loops")


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ('ROOT y = f32[4] custom-call(x), custom_call_target="lapack_sgetrg_ffi"', "did you mean lapack_sgetrf_ffi"),
        ("ROOT y = f32[8] all-gather(x), dimensions={0}, replica_groups={{0,1}}", "needs 2 devices; there is one"),
        ("ROOT y = f32[4] collective-permute(x), source_target_pairs={{0,1},{1,0}}", "names devices other than 0"),
        ("t = token[] after-all()\n  ROOT y = token[] outfeed(x, t)", "outfeed: there is no host queue"),
    ],
)
def test_what_cannot_be_computed_here_is_refused_when_compiled(instruction: str, message: str):
    with pytest.raises(CompileError, match=message):
        native(f"HloModule refused\nENTRY main {{\n  x = f32[4] parameter(0)\n  {instruction}\n}}")


def test_a_collective_that_takes_tuples_is_refused_when_compiled():
    text = """
HloModule sent
ENTRY main {
  x = f32[4] parameter(0)
  y = f32[8] broadcast(f32[] constant(0)), dimensions={}
  zero = s32[] constant(0)
  from = (s32[]) tuple(zero)
  to = (s32[]) tuple(zero)
  ROOT r = f32[8] collective-permute(x, y, from, to), source_target_pairs={{0,1}}, slice_sizes={{4}}
}
"""
    with pytest.raises(CompileError, match="slice_sizes=.* needs several devices"):
        xlac.compile(text)
