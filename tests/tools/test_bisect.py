"""`shrink` and `xlac bisect`: a failing program becomes a minimal one that fails in the same way."""

import sys
from pathlib import Path

import pytest

from xlac import cli
from xlac.text.hlo_parser import parse_hlo
from xlac.tools.bisect import shrink, size
from xlac.tools.failure import Trial

PROGRAM = """HloModule m

add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

body {
  s = (s32[], f32[8,6]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  v = f32[8,6] get-tuple-element(s), index=1
  one = s32[] constant(1)
  j = s32[] add(i, one)
  e = f32[8,6] exponential(v)
  t = f32[8,6] tanh(e)
  ROOT n = (s32[], f32[8,6]) tuple(j, t)
}

condition {
  s = (s32[], f32[8,6]) parameter(0)
  i = s32[] get-tuple-element(s), index=0
  n = s32[] constant(3)
  ROOT l = pred[] compare(i, n), direction=LT
}

ENTRY main {
  x = f32[8,6] parameter(0)
  y = f32[6,8] parameter(1)
  d = f32[8,8] dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  l = f32[8,8] logistic(d)
  zero = f32[] constant(0)
  r = f32[8] reduce(l, zero), dimensions={1}, to_apply=add
  c = f32[8] cosine(r)
  start = s32[] constant(0)
  init = (s32[], f32[8,6]) tuple(start, x)
  w = (s32[], f32[8,6]) while(init), condition=condition, body=body
  g = f32[8,6] get-tuple-element(w), index=1
  ROOT out = (f32[8], f32[8,6]) tuple(c, g)
}
"""


def opcodes(module):
    return sorted(i.opcode.name for c in module.computations for i in c.post_order())


def has(name):
    return lambda module: name in opcodes(module)


@pytest.mark.parametrize(
    ("opcode", "least"),
    [
        ("cosine", ["cosine", "parameter"]),
        ("dot", ["dot", "parameter", "parameter"]),
        ("logistic", ["logistic", "parameter"]),
    ],
)
def test_a_program_shrinks_to_the_instruction_that_fails(opcode, least):
    module = parse_hlo(PROGRAM)
    smallest = shrink(module, has(opcode))
    assert opcodes(smallest) == least
    assert all(extent == 1 for i in smallest.entry.post_order() for extent in i.dims)
    assert module.to_string() == parse_hlo(PROGRAM).to_string()


def test_two_instructions_that_fail_together_are_both_kept():
    def fails(module):
        return any(
            i.opcode.name == "reduce" and i.operands[0].opcode.name == "logistic" for i in module.entry.post_order()
        )

    smallest = shrink(parse_hlo(PROGRAM), fails)
    assert fails(smallest) and size(smallest)[0] <= 7


def test_what_is_inside_a_loop_shrinks_too():
    smallest = shrink(parse_hlo(PROGRAM), has("tanh"))
    assert "exponential" not in opcodes(smallest) and "dot" not in opcodes(smallest)
    assert size(smallest)[0] <= 16


def test_a_failure_that_depends_on_sizes_keeps_them():
    smallest = shrink(parse_hlo(PROGRAM), lambda m: any(i.opcode.name == "dot" and i.dims[0] >= 5 for i in m.entry))
    (dot,) = [i for i in smallest.entry.post_order() if i.opcode.name == "dot"]
    assert 5 <= dot.dims[0] <= 8 and dot.operands[0].dims[1] == 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("m.hlo").write_text(PROGRAM)
    Path("fails.py").write_text(
        "import os, sys\ntext = open(sys.argv[1]).read()\nif 'cosine(' in text:\n    os.abort()\n"
    )
    return tmp_path


def test_the_command_shrinks_a_program_that_crashes_another(folder, capsys):
    command = f"{sys.executable} -S fails.py {{}}"
    assert cli.main(["bisect", "m.hlo", "--command", command, "-o", "small.hlo"]) == 0
    smallest = parse_hlo(Path("small.hlo").read_text())
    assert opcodes(smallest) == ["cosine", "parameter"]
    assert "SIGABRT" in capsys.readouterr().err


def test_a_program_that_does_not_fail_is_left_alone(folder, capsys):
    assert cli.main(["bisect", "m.hlo", "--command", f"{sys.executable} -S -c 0 {{}}"]) == 1
    assert "does not fail" in capsys.readouterr().err


def test_a_command_that_cannot_be_run_is_bad_input(folder, capsys):
    assert cli.main(["bisect", "m.hlo", "--command", "nothing-of-this-name {}"]) == 2
    assert cli.main(["bisect", "m.hlo", "--command", "no-place"]) == 2
    assert "{}" in capsys.readouterr().err


def test_hangs_crashes_and_statuses_are_told_apart(folder):
    module = parse_hlo(PROGRAM)

    def kind(code, timeout=30.0):
        found = Trial(f'{sys.executable} -S -c "{code}" {{}}', timeout=timeout).failure(module)
        return None if found is None else found.kind

    assert kind("pass") is None
    assert kind("raise SystemExit(3)") == "status 3"
    assert kind("import os; os.abort()") == "crash 6"
    assert kind("import time; time.sleep(60)", timeout=0.3) == "timeout"
