"""Hostile programs (see hostile.py) get an error in words, quickly and in little memory, or are compiled.

In this process only what is quick is tried; the slow tests give each program to the command line, in a process whose
memory is limited and whose time and memory are measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from xlac.cli_files import parse_program
from xlac.compiler import compile_module
from xlac.errors import XlacError
from xlac.options import Options

from .hostile import HEAVY, REFUSED

SECONDS, MEGABYTES = 2.0, 500
# Programs that are compiled in full: they may take as long as their size asks for.
PATIENCE = 60.0

# Tens of thousands of instructions: read in the slow tests only.
LARGE = {
    "hlo_fusion_of_many_instructions",
    "hlo_chain_of_adds",
    "hlo_chain_of_calls",
    "hlo_many_computations",
    "stablehlo_chain_of_functions",
}
# What used to exhaust the stack, time or memory, and compiles in about a second now.
COMPILED = [
    "hlo_concatenates_that_double",
    "hlo_gathers_that_double",
    "hlo_chain_of_dependent_gathers",
    "hlo_chain_of_reshapes_and_reverses",
    "hlo_slices_that_double",
    "hlo_fusion_that_doubles",
    "hlo_reductions_in_reductions",
    "hlo_chain_of_reverses_and_pads",
    "hlo_sort_with_a_long_comparator",
    "hlo_reduce_with_a_long_reducer",
    "hlo_chain_of_maps",
    "hlo_nested_while",
    "hlo_sort_of_many_operands",
    "hlo_reduce_of_many_operands",
    "hlo_dot_of_many_batch_dimensions",
    "hlo_rank_64",
    "hlo_huge_temporary",
    "hlo_huge_iota",
    "hlo_huge_results",
    "hlo_huge_interior_padding",
    "hlo_huge_constant_operands",
]


def read(name: str, text: str):
    return parse_program(text, f"{name}.{'mlir' if name.startswith('stablehlo') else 'hlo'}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_program_is_refused(name):
    if name == "hlo_nul":
        pytest.skip("only files can be told to be binary")
    with pytest.raises(XlacError) as found:
        read(name, REFUSED[name]())
    assert str(found.value).startswith(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(HEAVY.keys() - LARGE))
def test_what_is_large_is_read_or_refused(name):
    try:
        read(name, HEAVY[name]())
    except XlacError as error:
        assert str(error)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", COMPILED)
def test_what_used_to_take_too_much_compiles(name):
    compile_module(read(name, HEAVY[name]()), Options(cache=False))


@pytest.mark.parametrize(
    "name", ["hlo_gathers_that_double", "hlo_chain_of_dependent_gathers", "hlo_chain_of_reshapes_and_reverses"]
)
def test_the_text_of_values_that_share_operands_grows_with_their_number(name):
    executable = compile_module(read(name, HEAVY[name]()), Options(cache=False, verify=True))
    text = executable.as_text("loops")
    assert "%" in text and len(text) < 100_000


def test_calls_that_double_are_refused_before_they_are_copied():
    from xlac.errors import CompileError

    with pytest.raises(CompileError, match=r"instructions become \d+ once every call"):
        compile_module(read("hlo_calls_that_double", HEAVY["hlo_calls_that_double"]()), Options(cache=False))


def test_what_cannot_be_allocated_is_an_evaluate_error():
    from xlac.errors import EvaluateError

    executable = compile_module(read("hlo_huge_results", HEAVY["hlo_huge_results"]()), Options(cache=False))
    with pytest.raises(EvaluateError, match="memory"):
        executable(np.float32(1))
    executable = compile_module(read("hlo_huge_temporary", HEAVY["hlo_huge_temporary"]()), Options(evaluate=True))
    with pytest.raises(EvaluateError, match="memory"):
        executable(np.float32(1))


def test_a_host_function_whose_results_have_other_shapes_is_an_evaluate_error():
    from xlac.errors import EvaluateError

    text = """HloModule m
ENTRY e {
  x = f32[32,32] parameter(0)
  ROOT t = (f32[32,2], s32[32,32]) custom-call(x), custom_call_target="TopK"
}
"""
    with pytest.raises(EvaluateError, match="the program says"):
        compile_module(read("topk", text), Options(cache=False))(np.zeros((32, 32), np.float32))


def test_calls_nested_too_deeply_to_evaluate_are_an_evaluate_error():
    from xlac.errors import EvaluateError

    executable = compile_module(read("calls", HEAVY["hlo_chain_of_calls"]()), Options(evaluate=True))
    with pytest.raises(EvaluateError, match="nested too deeply"):
        executable(np.ones(4, np.float32))


def test_a_program_compiles_from_deep_inside_another():
    module = read("slices", HEAVY["hlo_chain_of_reverses_and_pads"]())

    def deeper(levels: int) -> None:
        if levels:
            deeper(levels - 1)
        else:
            compile_module(module, Options(cache=False))

    deeper(max(0, sys.getrecursionlimit() - 300))


# ---- the command line

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
from xlac.cli import main
status = main(sys.argv[1:])
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss: it begins with the memory of the process this one was forked from.
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(f"@{used.ru_utime + used.ru_stime:.3f} {peak >> 10}", file=sys.stderr)
sys.exit(status)
"""


def command(folder: Path, name: str, text: str, timeout: float) -> tuple[int, str, float, int]:
    """Exit status, what is said, seconds of processor time, and megabytes, of compiling a file."""
    path = folder / f"{name}.{'mlir' if name.startswith('stablehlo') else 'hlo'}"
    path.write_text(text, encoding="utf-8")
    words = ["compile", str(path), "--emit", "obj", "-o", str(folder / "out.o")]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "XLAC_CACHE": "0", "PYTHONPATH": root},
    )
    said, _, used = done.stderr.rpartition("@")
    assert used, f"exit status {done.returncode}: {done.stderr[-500:]}"
    seconds, megabytes = used.split()
    return done.returncode, said, float(seconds), int(megabytes)


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits and measures of memory")


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", REFUSED)
def test_the_command_refuses_what_is_no_program_quickly(name, tmp_path):
    status, said, seconds, megabytes = command(tmp_path, name, REFUSED[name](), 60)
    assert status == 2 and "internal error" not in said and "Traceback" not in said
    assert 0 < len(said) < 5000
    assert seconds < SECONDS and megabytes < MEGABYTES


@LINUX
@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_the_command_compiles_what_is_large_or_says_why_not(name, tmp_path):
    status, said, seconds, megabytes = command(tmp_path, name, HEAVY[name](), 10 * PATIENCE)
    assert status in (0, 2) and "internal error" not in said and "Traceback" not in said
    assert len(said) < 5000 and seconds < PATIENCE and megabytes < MEGABYTES


@LINUX
@pytest.mark.parametrize(
    "data",
    [b"HloModule m\n\xff\xfe", b"\xef\xbb\xbf\xef\xbb\xbfHloModule", b"HloModule m\0", b"\x80" * 1000, b"\r" * 100_000],
)
def test_bytes_that_are_no_text_are_refused(data, tmp_path, capsys):
    from xlac import cli

    path = tmp_path / "bytes.hlo"
    path.write_bytes(data)
    assert cli.main(["compile", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(str(path)) and "internal error" not in said


@LINUX
@pytest.mark.parametrize("name", ["hlo_line_of_operands", "hlo_dimension_of_a_million_digits", "stablehlo_open_braces"])
def test_the_command_refuses_in_few_words(name, tmp_path):
    status, said, seconds, megabytes = command(tmp_path, name, REFUSED[name](), 60)
    assert status == 2 and 0 < len(said) < 5000 and seconds < SECONDS and megabytes < MEGABYTES
