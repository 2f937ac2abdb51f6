"""Instructions that are equal but for their operands have their kernels' code in common, and no memory."""

from __future__ import annotations

import pytest

from tests.loop.checked import check_text, program_of
from xlac.errors import CompileError
from xlac.loop import ir
from xlac.loop.verify import verify_program
from xlac.text.hlo_parser import parse_hlo

TYPES = {  # of operand and result
    "fft": ("c64[2,16,16]", "c64[2,16,16]"),
    "rfft": ("f32[2,16,16]", "c64[2,16,9]"),
    "irfft": ("c64[2,16,9]", "f32[2,16,16]"),
}


def twice(kind: str) -> str:
    """The transform of the parameter less that of its double."""
    given, made = TYPES[kind]
    settings = f"fft_type={kind.upper()}, fft_length={{16,16}}"
    return f"""HloModule m
ENTRY e {{
  p = {given} parameter(0)
  a = {made} fft(p), {settings}
  q = {given} add(p, p)
  b = {made} fft(q), {settings}
  ROOT r = {made} subtract(a, b)
}}"""


@pytest.mark.parametrize("kind", TYPES)
def test_equal_transforms(kind: str) -> None:
    text = twice(kind)
    check_text(text, tolerance=1e-4)
    kernels = [s for s in program_of(parse_hlo(text), False).steps if isinstance(s, ir.Kernel)]
    assert any(isinstance(k, ir.SharedKernel) for k in kernels)


def test_memory_that_is_read_and_never_written_is_found() -> None:
    program = program_of(parse_hlo(twice("fft")), False)
    step = next(s for s in program.steps if isinstance(s, ir.SharedKernel))
    stray = ir.Buffer("stray", step.own(next(iter(step.template.buffers[0]))).element_type, 512)
    own = {b: step.own(b) for found in step.template.buffers for b in found}
    first = next(iter(step.template.buffers[0]))
    program.steps[program.steps.index(step)] = ir.SharedKernel("k", step.template, {**own, first: stray})
    with pytest.raises(CompileError, match="stray.*is read and no step writes it"):
        verify_program(program)
