"""`diff`: the same program up to names, order and layouts; otherwise the first difference with both lines."""

from pathlib import Path

import pytest

from xlac import cli
from xlac.text.hlo_parser import parse_hlo
from xlac.tools.diff import diff

PROGRAM = """HloModule m

add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

ENTRY main {
  x = f32[4,3] parameter(0)
  y = f32[4,3] parameter(1)
  p = f32[4,3] multiply(x, y)
  q = f32[4,3] subtract(x, y)
  zero = f32[] constant(0)
  r = f32[4] reduce(p, zero), dimensions={1}, to_apply=add
  s = f32[4] reduce(q, zero), dimensions={1}, to_apply=add
  ROOT t = (f32[4], f32[4]) tuple(r, s)
}
"""


def found(text, other=PROGRAM):
    return diff(parse_hlo(other), parse_hlo(text))


def test_a_program_is_the_same_under_other_names_in_another_order():
    text = PROGRAM.replace("add {", "plus {").replace("to_apply=add", "to_apply=plus")
    p = "  p = f32[4,3] multiply(x, y)\n"
    text = text.replace(p, "").replace("  zero =", f"{p}  zero =")
    for old, new in (("x", "u"), ("q", "left")):
        text = text.replace(f" {old} =", f" {new} =").replace(f"({old},", f"({new},")
    assert found(text) is None and found(PROGRAM) is None


@pytest.mark.parametrize(
    ("old", "new", "why", "lines"),
    [
        ("multiply(x, y)", "add(x, y)", "opcode: multiply against add", ("multiply", "add")),
        ("subtract(x, y)", "subtract(y, x)", "x and y are not the same value", ("subtract(%x", "subtract(%y")),
        ("constant(0)", "constant(1)", "value: 0.0 against 1.0 at ()", ("constant(0)", "constant(1)")),
        ("ROOT c = f32[] add", "ROOT c = f32[] maximum", "opcode: add against maximum", ("add(", "maximum(")),
        ("constant(0)", "constant(-0)", "value: 0.0 against -0.0 at ()", ("constant(0)", "constant(-0.0)")),
    ],
)
def test_the_first_difference_is_shown_with_both_lines(old, new, why, lines):
    difference = found(PROGRAM.replace(old, new))
    assert why in difference.why
    assert lines[0] in difference.left and lines[1] in difference.right


def test_of_two_differences_the_one_computed_first_is_shown():
    text = PROGRAM.replace("multiply(x, y)", "add(x, y)").replace("tuple(r, s)", "tuple(r, r)")
    assert found(text).why == "opcode: multiply against add"


def test_a_value_that_is_shared_in_one_program_only_is_a_difference():
    text = PROGRAM.replace("tuple(r, s)", "tuple(r, r)")
    assert "not the same value" in found(text, PROGRAM.replace("subtract", "multiply")).why


def test_the_command_prints_the_difference_and_gives_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("a.hlo").write_text(PROGRAM)
    Path("b.hlo").write_text(PROGRAM.replace("multiply", "divide"))
    assert cli.main(["diff", "a.hlo", "a.hlo"]) == 0
    assert cli.main(["diff", "a.hlo", "b.hlo"]) == 1
    first, left, right = capsys.readouterr().out.splitlines()
    assert first == "opcode: multiply against divide" and left.startswith("< ") and "divide(%x, %y)" in right


def test_a_program_is_the_same_after_a_round_trip_through_stablehlo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.hlo").write_text(PROGRAM)
    assert cli.main(["convert", "a.hlo", "-o", "a.mlir"]) == 0
    assert cli.main(["diff", "a.hlo", "a.mlir"]) == 0
