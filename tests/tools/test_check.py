"""`first_difference`: the first wrong instruction, with its error and where it is greatest."""

from pathlib import Path

import numpy as np
import pytest

from xlac import cli
from xlac.compiler import compile_module
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo
from xlac.tools.check import first_difference

PROGRAM = """HloModule m

ENTRY main {
  x = f32[4,3] parameter(0)
  a = f32[4,3] multiply(x, x)
  b = f32[4,3] tanh(a)
  c = f32[4,3] add(a, b)
  ROOT d = f32[4,3] negate(c)
}
"""


def faulty(opcode, only_if=lambda text: True):
    """A compiler that makes the element (2, 1) of every `opcode` wrong by one half, where `only_if` holds."""

    def compile(module):
        changed = module.clone()
        for instruction in list(changed.entry.post_order()):
            if instruction.opcode.name == opcode and only_if(module):
                from xlac.ir.opcode import op

                error = np.zeros(instruction.dims, np.float32)
                error[2, 1] = 0.5
                users = list(instruction.users)
                extra = op.constant.make(shape=instruction.shape, literal=error)
                root = changed.entry.root
                wrong = changed.entry.add(op.add.make(instruction, extra))
                changed.entry.root = wrong if root is instruction else root
                for user in users:
                    for k, operand in enumerate(user.operands):
                        if operand is instruction:
                            user.set_operand(k, wrong)
        return compile_module(changed, Options(evaluate=True)).run

    return compile


@pytest.fixture
def arrays():
    return [np.arange(12, dtype=np.float32).reshape(4, 3) / 10]


def test_a_right_program_has_no_difference(arrays):
    assert first_difference(parse_hlo(PROGRAM), arrays, Options(cache=False)) is None


@pytest.mark.parametrize(("opcode", "name"), [("multiply", "a"), ("tanh", "b"), ("add", "c"), ("negate", "d")])
def test_the_first_wrong_instruction_is_named(opcode, name, arrays):
    found = first_difference(parse_hlo(PROGRAM), arrays, compile=faulty(opcode))
    assert (found.instruction, found.wrong, found.size, found.index) == (name, 1, 12, (2, 1))
    assert found.max_error == pytest.approx(0.5, rel=1e-4) and f"%{name} = " in found.line


def test_a_fault_of_what_is_computed_together_is_found_by_halves(arrays):
    found = first_difference(
        parse_hlo(PROGRAM), arrays, compile=faulty("tanh", lambda module: module.entry.root.opcode.name != "tuple")
    )
    assert found.alone and found.instruction == "b"


def test_the_command_reports_the_instruction(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("m.hlo").write_text(PROGRAM)

    class Executable:
        def __init__(self, module):
            self.run = faulty("tanh")(module)

    monkeypatch.setattr(cli, "_compile", lambda module, arguments: Executable(module))
    assert cli.main(["run", "m.hlo", "--check"]) == 1
    said = capsys.readouterr().err
    assert "the first instruction that differs is b: 1 of 12 elements, by up to 0.5 at (2, 1)" in said
