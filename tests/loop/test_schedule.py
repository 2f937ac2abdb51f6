"""Schedules as text: HLO in, loops out, for a processor of 64-byte vectors; and that threads change no result."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

import xlac
from tests.loop.checked import program_of
from tests.values import random_array
from xlac.compiler import compile_module
from xlac.loop.printer import print_program
from xlac.options import Options
from xlac.runtime import threads
from xlac.text.hlo_parser import parse_hlo

REDUCERS = """
add { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT s = f32[] add(a, b) }
max { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT s = f32[] maximum(a, b) }
"""


def loops(text: str) -> str:
    """The steps of a program, without its buffers."""
    lines = print_program(program_of(parse_hlo(text))).splitlines()
    first = next(i for i, line in enumerate(lines) if line.split()[0] in ("kernel", "copy", "while:", "switch", "host"))
    return textwrap.dedent("\n".join(lines[first:]))


def expect(text: str, wanted: str) -> None:
    got = loops(text)
    assert got == textwrap.dedent(wanted).strip("\n"), f"the loops are\n{got}"


def test_elementwise_operations_share_one_merged_loop() -> None:
    expect(
        """
        ENTRY main {
          x = f32[20,30] parameter(0)
          y = f32[20,30] parameter(1)
          p = f32[20,30] multiply(x, y)
          ROOT z = f32[20,30] add(p, x)
        }""",
        """
        kernel k.add_fusion:
          for j1 < 600: vector of 16
            result0[j1] = add(multiply(x[j1], y[j1]), x[j1])
        """,
    )


def test_a_row_that_is_broadcast_keeps_the_loops_apart() -> None:
    expect(
        """
        ENTRY main {
          x = f32[20,30] parameter(0)
          b = f32[30] parameter(1)
          c = f32[20,30] broadcast(b), dimensions={1}
          ROOT z = f32[20,30] add(x, c)
        }""",
        """
        kernel k.add_fusion:
          for i0 < 20:
            for j1 < 30: vector of 16
              result0[30*i0 + j1] = add(x[30*i0 + j1], b[j1])
        """,
    )


def test_softmax_passes_over_each_row_and_keeps_its_exponentials() -> None:
    expect(
        REDUCERS
        + """
        ENTRY main {
          x = f32[20,64] parameter(0)
          low = f32[] constant(-inf)
          zero = f32[] constant(0)
          m = f32[20] reduce(x, low), dimensions={1}, to_apply=max
          mb = f32[20,64] broadcast(m), dimensions={0}
          d = f32[20,64] subtract(x, mb)
          e = f32[20,64] exponential(d)
          s = f32[20] reduce(e, zero), dimensions={1}, to_apply=add
          sb = f32[20,64] broadcast(s), dimensions={0}
          ROOT y = f32[20,64] divide(e, sb)
        }""",
        """
        kernel k.divide_fusion:
          for i0 < 20:
            acc1 = -inf
            for r2 < 64: vector of 32
              acc1 maximum= x[64*i0 + r2]
            acc3 = 0.0
            for r4 < 64: vector of 32
              %0 = exponential(subtract(x[64*i0 + r4], acc1))
              e.row[r4] = %0
              acc3 add= %0
            for j5 < 64: vector of 16
              result0[64*i0 + j5] = divide(e.row[j5], acc3)
        """,
    )


def test_a_column_sum_is_a_vector_of_sums() -> None:
    expect(
        REDUCERS
        + """
        ENTRY main {
          x = f32[20,64] parameter(0)
          zero = f32[] constant(0)
          ROOT s = f32[64] reduce(x, zero), dimensions={0}, to_apply=add
        }""",
        """
        kernel k.s:
          for i0 < 64: vector of 16
            acc1 = 0.0
            for r2 < 20:
              acc1 add= x[64*r2 + i0]
            result0[i0] = acc1
        """,
    )


def test_a_long_sum_has_two_stages() -> None:
    expect(
        REDUCERS
        + """
        ENTRY main {
          x = f32[100000] parameter(0)
          zero = f32[] constant(0)
          ROOT s = f32[] reduce(x, zero), dimensions={0}, to_apply=add
        }""",
        """
        kernel k.s, parallel over piece0 by 1:
          for piece0 < 3:
            if (0 <= piece0 < 2):
              acc1 = -0.0
              for r2 < 33334: vector of 32
                acc1 add= x[r2 + 33334*piece0]
              s.partial@0[piece0] = acc1
            else:
              acc3 = -0.0
              for r4 < 33332: vector of 32
                acc3 add= x[r4 + 33334*piece0]
              s.partial@0[piece0] = acc3
        kernel k.s.combine:
          acc0 = 0.0
          for r1 < 3: vector of 4
            acc0 add= s.partial[r1]
          result0[0] = acc0
        """,
    )


def test_a_dot_is_tiles_of_sums_with_its_epilogue() -> None:
    expect(
        """
        ENTRY main {
          x = f32[2,32] parameter(0)
          w = f32[32,48] parameter(1)
          b = f32[48] parameter(2)
          d = f32[2,48] dot(x, w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
          c = f32[2,48] broadcast(b), dimensions={1}
          ROOT s = f32[2,48] add(d, c)
        }""",
        """
        kernel k.add_fusion:
          for j1 < 48: vector of 64
            acc4 = 0.0
            acc5 = 0.0
            for k2 < 32:
              acc4 add= w[48*k2 + j1] * x[k2]
              acc5 add= w[48*k2 + j1] * x[k2 + 32]
            result0[j1] = add(acc4, b[j1])
            result0[j1 + 48] = add(acc5, b[j1])
        """,
    )


def test_a_convolution_writes_its_padding_out_and_is_tiled() -> None:
    expect(
        """
        ENTRY main {
          x = f32[5,2,3] parameter(0)
          w = f32[3,3,16] parameter(1)
          ROOT y = f32[5,2,16] convolution(x, w), window={size=3 pad=1_1}, dim_labels=b0f_0io->b0f
        }""",
        """
        kernel k.y.pad:
          for p0 < 5:
            for p1 < 4:
              for p2 < 3: vector of 4
                k.y.padded@0[12*p0 + 3*p1 + p2] = select((0 <= p1 + -1 < 2), x[6*p0 + 3*p1 + p2 + -3 if (0 <= p1 + -1 < 2)], 0.0)
        kernel k.y:
          for j1 < 2:
            for k2 < 16: vector of 16
              acc6 = 0.0
              acc7 = 0.0
              acc8 = 0.0
              acc9 = 0.0
              acc10 = 0.0
              for k4 < 9:
                acc6 add= w[16*k4 + k2] * k.y.padded[3*j1 + k4]
                acc7 add= w[16*k4 + k2] * k.y.padded[3*j1 + k4 + 12]
                acc8 add= w[16*k4 + k2] * k.y.padded[3*j1 + k4 + 24]
                acc9 add= w[16*k4 + k2] * k.y.padded[3*j1 + k4 + 36]
                acc10 add= w[16*k4 + k2] * k.y.padded[3*j1 + k4 + 48]
              result0[16*j1 + k2] = acc6
              result0[16*j1 + k2 + 32] = acc7
              result0[16*j1 + k2 + 64] = acc8
              result0[16*j1 + k2 + 96] = acc9
              result0[16*j1 + k2 + 128] = acc10
        """,  # noqa: E501
    )


def test_a_transpose_turns_tiles_on_the_stack() -> None:
    expect(
        """
        ENTRY main {
          x = f32[32,64] parameter(0)
          ROOT t = f32[64,32] transpose(x), dimensions={1,0}
        }""",
        """
        kernel k.t:
          for i0t < 4:
            for j1t < 2:
              for j1i < 16:
                for i0i < 16: vector of 16
                  x.tile[16*j1i + i0i] = x[1024*j1t + 64*j1i + 16*i0t + i0i]
              transpose x.tile, 16 x 16
              for i0i < 16:
                for j1i < 16: vector of 16
                  result0[512*i0t + 32*i0i + 16*j1t + j1i] = x.tile[16*i0i + j1i]
        """,
    )


def test_the_last_tiles_of_a_transpose_read_and_write_only_inside() -> None:
    expect(
        """
        ENTRY main {
          x = f32[20,30] parameter(0)
          y = f32[30,20] parameter(1)
          t = f32[30,20] transpose(x), dimensions={1,0}
          ROOT s = f32[30,20] add(t, y)
        }""",
        """
        kernel k.add_fusion:
          for i0t < 2:
            for j1t < 2:
              for j1i < 16:
                for i0i < 16: vector of 16
                  %0 = and((0 <= 16*i0t + i0i < 30), (0 <= 16*j1t + j1i < 20))
                  x.tile[16*j1i + i0i] = x[480*j1t + 30*j1i + 16*i0t + i0i if %0]
              transpose x.tile, 16 x 16
              for i0i < 16:
                for j1i < 16: vector of 16
                  %0 = and((0 <= 16*i0t + i0i < 30), (0 <= 16*j1t + j1i < 20))
                  result0[320*i0t + 20*i0i + 16*j1t + j1i] = add(x.tile[16*i0i + j1i], y[320*i0t + 20*i0i + 16*j1t + j1i if %0]) if %0
        """,  # noqa: E501
    )


def test_each_operand_of_a_concatenate_has_its_own_loops() -> None:
    expect(
        """
        ENTRY main {
          x = f32[4,6] parameter(0)
          y = f32[4,2] parameter(1)
          n = f32[4,6] negate(x)
          ROOT c = f32[4,8] concatenate(n, y), dimensions={1}
        }""",
        """
        kernel k.concatenate_fusion:
          for i0 < 4:
            for j1 < 6: vector of 8
              result0[8*i0 + j1] = negate(x[6*i0 + j1])
          for i0 < 4:
            for j1 < 2: vector of 2
              result0[8*i0 + j1 + 6] = y[2*i0 + j1]
        """,
    )


def test_an_update_writes_its_slice_into_a_copy() -> None:
    expect(
        """
        ENTRY main {
          x = f32[10,4] parameter(0)
          u = f32[1,4] parameter(1)
          i = s32[] parameter(2)
          zero = s32[] constant(0)
          ROOT d = f32[10,4] dynamic-update-slice(x, u, i, zero)
        }""",
        """
        copy result0 = x
        kernel k.d:
          for j1 < 4: vector of 4
            result0[4*clamp(i[0], 0, 9) + j1] = u[j1]
        """,
    )


def test_the_state_of_a_scan_is_updated_in_place() -> None:
    expect(
        """
        cond {
          s = (s32[], f32[4], f32[100,4]) parameter(0)
          i = s32[] get-tuple-element(s), index=0
          n = s32[] constant(100)
          ROOT lt = pred[] compare(i, n), direction=LT
        }
        body {
          s = (s32[], f32[4], f32[100,4]) parameter(0)
          i = s32[] get-tuple-element(s), index=0
          h = f32[4] get-tuple-element(s), index=1
          a = f32[100,4] get-tuple-element(s), index=2
          zero = s32[] constant(0)
          twice = f32[4] add(h, h)
          row = f32[1,4] reshape(twice)
          new = f32[100,4] dynamic-update-slice(a, row, i, zero)
          one = s32[] constant(1)
          next = s32[] add(i, one)
          ROOT t = (s32[], f32[4], f32[100,4]) tuple(next, twice, new)
        }
        ENTRY main {
          h = f32[4] parameter(0)
          zero = s32[] constant(0)
          z = f32[] constant(0)
          x = f32[100,4] broadcast(z), dimensions={}
          init = (s32[], f32[4], f32[100,4]) tuple(zero, h, x)
          w = (s32[], f32[4], f32[100,4]) while(init), condition=cond, body=body
          ROOT r = f32[100,4] get-tuple-element(w), index=2
        }""",
        """
        kernel k.x:
          for j1 < 400: vector of 16
            result0[j1] = 0.0
        copy next@0 = w.3
        copy twice@64 = h
        while:
            kernel k.lt:
              lt@128[0] = compare(next[0], 100, direction=LT)
          test lt@128, do:
            kernel k.twice:
              for i0 < 4: vector of 4
                twice@64[i0] = add(twice[i0], twice[i0])
            kernel k.new:
              for j1 < 4: vector of 4
                result0[4*clamp(next[0], 0, 99) + j1] = twice[j1]
            kernel k.next:
              next@0[0] = add(next[0], 1)
        """,
    )


# ---- threads

PROGRAMS = {
    "a chain": """ENTRY main { x = f32[300,401] parameter(0)
      t = f32[300,401] tanh(x)
      ROOT y = f32[300,401] multiply(t, x) }""",
    "a sum of all": REDUCERS
    + """ENTRY main { x = f32[300,401] parameter(0)
      zero = f32[] constant(0)
      ROOT s = f32[] reduce(x, zero), dimensions={0,1}, to_apply=add }""",
    "sums of rows and of columns": REDUCERS
    + """ENTRY main { x = f32[700,801] parameter(0)
      zero = f32[] constant(0)
      r = f32[700] reduce(x, zero), dimensions={1}, to_apply=add
      c = f32[801] reduce(x, zero), dimensions={0}, to_apply=add
      ROOT t = (f32[700], f32[801]) tuple(r, c) }""",
    "a softmax": REDUCERS
    + """ENTRY main { x = f32[300,401] parameter(0)
      zero = f32[] constant(0)
      e = f32[300,401] exponential(x)
      s = f32[300] reduce(e, zero), dimensions={1}, to_apply=add
      sb = f32[300,401] broadcast(s), dimensions={0}
      ROOT y = f32[300,401] divide(e, sb) }""",
    "a dot": """ENTRY main { x = f32[300,401] parameter(0)
      y = f32[401,77] parameter(1)
      ROOT d = f32[300,77] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0} }""",
    "a dot of few rows": """ENTRY main { x = f32[3,401] parameter(0)
      y = f32[401,1000] parameter(1)
      ROOT d = f32[3,1000] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0} }""",
    "a transpose": """ENTRY main { x = f32[300,401] parameter(0)
      ROOT t = f32[401,300] transpose(x), dimensions={1,0} }""",
    "a convolution": """ENTRY main { x = f32[8,30,30,7] parameter(0)
      w = f32[3,3,7,20] parameter(1)
      ROOT y = f32[8,30,30,20] convolution(x, w), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f }""",
    "a sort": """lt { a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = pred[] compare(a, b), direction=LT }
    ENTRY main { x = f32[300,41] parameter(0)
      ROOT s = f32[300,41] sort(x), dimensions={1}, to_apply=lt }""",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_results_do_not_depend_on_threads(name: str) -> None:
    module = parse_hlo(PROGRAMS[name])
    rng = np.random.default_rng(0)
    inputs = [random_array(s, rng, edges=0.0) for s in module.parameter_shapes]  # type: ignore[arg-type]

    def run(options: Options) -> list[bytes]:
        return [a.tobytes() for a in compile_module(module, options).run(inputs)]

    wanted = run(Options(threads=1))
    before = threads.get_threads()
    try:
        several = compile_module(module, Options(threads=2))
        if name != "a dot of few rows":
            assert "parallel over" in several.as_text("loops")
        for count in (2, 3, 1):
            threads.set_threads(count)
            for _ in range(4):
                assert [a.tobytes() for a in several.run(inputs)] == wanted, f"{name} by {count} threads"
    finally:
        threads.set_threads(before)


@pytest.mark.parametrize(
    "dims, columns, dtype, packed",
    [
        ((37, 1024), 200, "float32", True),
        ((2, 37, 1024), 200, "float32", True),
        ((30, 512), 150, "float64", True),
        ((37, 2, 512), 200, "float32", True),
        ((37, 1000), 200, "float32", False),
        ((37, 1024), 40, "float32", False),  # few columns for which to copy
        ((3, 1024), 200, "float32", False),
    ],
)
def test_rows_that_meet_in_the_cache_are_copied_next_to_one_another(dims, columns, dtype, packed) -> None:
    rng = np.random.default_rng(0)
    axes = dims[1:] if len(dims) == 3 and dims[0] == 37 else dims[-1:]
    x, y = rng.normal(size=dims).astype(dtype), rng.normal(size=(*axes, columns)).astype(dtype)
    if len(axes) == 2:
        lowered = xlac.jit(lambda x, y: np.tensordot(x, y, 2)).lower(x, y)
        expected = np.tensordot(x.astype(float), y.astype(float), 2)
    else:
        lowered = xlac.jit(lambda x, y: x @ y).lower(x, y)
        expected = x.astype(float) @ y.astype(float)
    assert (".rows:" in print_program(program_of(lowered.module))) == packed
    bound = 2 * np.finfo(dtype).eps * np.prod(axes) ** 0.5 * np.abs(expected).max() + 1e-30
    np.testing.assert_allclose(lowered.compile()(x, y), expected, rtol=0, atol=bound)
