"""Writing HLO text: XLA's form, names of their own, and text that XLA itself reads as the same module."""

from __future__ import annotations

import re

import numpy as np
import pytest

from xlac.ir.module import Computation, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.text.hlo_parser import parse_hlo
from xlac.text.hlo_printer import print_computation, print_module

PROGRAM = """
HloModule all, entry_computation_layout={(f32[2,3]{0,1}, pred[], s32[2]{0})->(f32[2], f32[2,2])}

add {
  x = f32[] parameter(0)
  y = f32[] parameter(1)
  ROOT s = f32[] add(x, y)
}
body {
  ROOT p = (s32[], f32[2,3]) parameter(0)
}
cond {
  p = (s32[], f32[2,3]) parameter(0)
  ROOT l = pred[] constant(false)
}
keep { ROOT p = f32[2] parameter(0) }
flip { p = f32[2] parameter(0) ROOT n = f32[2] negate(p) }
fused { p = f32[2] parameter(0) ROOT n = f32[2] tanh(p) }

ENTRY main {
  a = f32[2,3]{0,1} parameter(0), metadata={op_type="x" op_name="a\\"b" source_file="f.py" source_line=3}
  pick = pred[] parameter(1)
  i = s32[2] parameter(2), frontend_attributes={k="v"}
  zero = f32[] constant(0)
  r = f32[2] reduce(a, zero), dimensions={1}, to_apply=add
  c = f32[2] conditional(pick, r, r), true_computation=keep, false_computation=flip
  f = f32[2] fusion(c), kind=kLoop, calls=fused
  n = s32[] constant(7)
  t = (s32[], f32[2,3]) tuple(n, a)
  w = (s32[], f32[2,3]) while(t), condition=cond, body=body
  b = f32[2,3] get-tuple-element(w), index=1
  d = f32[2,2] dot(a, b), lhs_contracting_dims={1}, rhs_contracting_dims={1}, operand_precision={highest,default}
  s = f32[1,3] slice(a), slice={[0:1], [0:3:1]}, control-predecessors={d, r}
  p = f32[3,4] pad(s, zero), padding=1_1x0_1
  g = f32[2,3] gather(a, i), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1,
    slice_sizes={1,3}
  k = f16[3] constant({1e-7, 65504, 0.1})
  m = c64[2] constant({(1, 2), (-0.5, inf)})
  q = bf16[2,2,2] constant({{{1,2},{3,4}},{{5,6},{7,-nan}}})
  tuple_constant = (f32[2], s32[], (pred[])) constant(({1,2}, 3, (true)))
  ROOT out = (f32[2], f32[2,2]) tuple(f, d)
}
"""


def f32(*dims: int) -> ArrayShape:
    return ArrayShape(element_type("f32"), dims)


def test_the_form_is_that_of_xla():
    text = "HloModule m\nENTRY e { a = f32[2,3]{0,1} parameter(0) ROOT b = f32[3,2] transpose(a), dimensions={1,0} }"
    assert print_module(parse_hlo(text)) == (
        "HloModule m, entry_computation_layout={(f32[2,3]{0,1})->f32[3,2]{1,0}}\n"
        "\n"
        "ENTRY %e (a: f32[2,3]) -> f32[3,2] {\n"
        "  %a = f32[2,3]{0,1} parameter(0)\n"
        "  ROOT %b = f32[3,2]{1,0} transpose(%a), dimensions={1,0}\n"
        "}\n"
    )


def test_attributes_at_their_default_are_left_out_unless_xla_asks_for_them():
    printed = print_module(parse_hlo(PROGRAM))
    assert "fusion(%c), kind=kLoop, calls=%fused" in printed
    assert "conditional(%pick, %r, %r), true_computation=%keep, false_computation=%flip" in printed
    assert "slice={[0:1], [0:3]}, control-predecessors={%d, %r}" in printed
    assert "padding=1_1x0_1" in printed
    assert "indices_are_sorted" not in printed and "operand_batching_dims" not in printed


def test_printing_is_a_fixed_point():
    first = print_module(parse_hlo(PROGRAM))
    assert print_module(parse_hlo(first)) == first


def test_built_modules_print_with_names_of_their_own():
    inner = Computation("f")
    inner.add(op.negate.make(inner.parameter(f32(2), "x y")))
    other = inner.clone("f")
    main = Computation("main 1")
    p = main.parameter(f32(2), "1p")
    main.add(op.add.make(op.call.make(p, to_apply=inner), op.call.make(p, to_apply=other)))
    printed = print_module(Module("my module", main))
    assert printed.startswith("HloModule my_module,")
    assert "%f (x_y: f32[2]) -> f32[2] {" in printed and "%f.1 (" in printed
    assert "_1p" in printed
    parse_hlo(printed).verify()


def test_a_stale_entry_layout_is_not_printed():
    module = parse_hlo(
        "HloModule m, entry_computation_layout={(f32[2]{0})->f32[2]{0}}\nENTRY e { p = f32[2] parameter(0) }"
    )
    root = module.entry.add(op.tuple.make(module.entry.root))
    module.entry.root = root
    assert "entry_computation_layout={(f32[2]{0})->(f32[2]{0})}" in print_module(module)


def test_large_constants_are_written_in_full():
    values = np.random.default_rng(0).standard_normal((100, 50)).astype(np.float32)
    main = Computation("main")
    main.add(op.constant.make(shape=f32(100, 50), literal=values))
    again = parse_hlo(print_module(Module("m", main))).entry.root["literal"]
    assert again.tobytes() == values.tobytes()


def test_long_tuples_number_every_fifth_part():
    body = "p = f32[] parameter(0) ROOT t = tuple(" + ", ".join(["p"] * 7) + ")"
    printed = print_module(parse_hlo(f"HloModule m\nENTRY e {{ {body} }}"))
    assert "tuple(%p, %p, %p, %p, %p, /*index=5*/%p, %p)" in printed
    assert "(f32[], f32[], f32[], f32[], f32[], /*index=5*/f32[], f32[])" in printed


def test_one_computation_prints_alone():
    module = parse_hlo(PROGRAM)
    assert print_computation(module.entry.find("r")["to_apply"]).startswith("%add (x: f32[], y: f32[]) -> f32[] {")


@pytest.mark.jax
@pytest.mark.parametrize(
    "text",
    [PROGRAM, "foo = f32[10] add(f32[10] x, f32[10] y)", "a { p = f32[] parameter(0) }\nb { q = f32[] parameter(0) }"],
    ids=["program", "instruction", "no entry"],
)
def test_xla_reads_the_print_as_the_same_module(text: str):
    hlo = pytest.importorskip("jaxlib._hlo")

    def canonical(source: str) -> str:
        options = hlo.HloPrintOptions.canonical()
        options.print_large_constants = True
        # A lone instruction is a scheduled module to XLA.
        printed = hlo.hlo_module_from_text(source).to_string(options).replace(", is_scheduled=true", "")
        return re.sub(r"^HloModule [^\s,]+", "HloModule", printed)

    assert canonical(print_module(parse_hlo(text))) == canonical(text)


@pytest.mark.jax
def test_what_xla_prints_is_read():
    hlo = pytest.importorskip("jaxlib._hlo")
    module = hlo.hlo_module_from_text(PROGRAM)
    options = hlo.HloPrintOptions()
    options.print_large_constants = True
    for shapes in (False, True):
        options.print_operand_shape = shapes
        parse_hlo(module.to_string(options)).verify()
    parse_hlo(module.to_string(hlo.HloPrintOptions.short_parsable())).verify()
    canonical = hlo.HloPrintOptions.canonical()
    canonical.print_large_constants = True
    parse_hlo(module.to_string(canonical)).verify()


def test_names_of_types_are_not_printed_as_names():
    text = """HloModule m

    ENTRY e {
      f32 = f32[] parameter(0)
      f32_ = f32[] negate(f32)
      ROOT u1 = f32[] abs(f32_)
    }"""
    printed = str(parse_hlo(text))
    assert "%f32_ = f32[] parameter(0)" in printed and "%f32_.1 = f32[] negate(%f32_)" in printed
    assert "ROOT %u1_ = f32[] abs(%f32_.1)" in printed
    assert str(parse_hlo(printed)) == printed
