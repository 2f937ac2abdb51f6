"""The command line: what each command prints and writes, and its exit status. Faulty files are in test_bad_input.py."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from xlac import cli
from xlac.runtime import threads

ADD = """HloModule add_one

ENTRY main {
  x = f32[2,3] parameter(0)
  one = f32[] constant(1)
  ones = f32[2,3] broadcast(one), dimensions={}
  ROOT y = f32[2,3] add(x, ones)
}
"""
TWO = """HloModule two

ENTRY main {
  pair = (f32[2], s32[]) parameter(0)
  a = f32[2] get-tuple-element(pair), index=0
  n = s32[] get-tuple-element(pair), index=1
  flag = pred[2] parameter(1)
  f = f32[] convert(n)
  fs = f32[2] broadcast(f), dimensions={}
  sum = f32[2] add(a, fs)
  chosen = f32[2] select(flag, sum, a)
  ROOT out = (f32[2], s32[]) tuple(chosen, n)
}
"""
STABLEHLO = """func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = stablehlo.add %x, %x : tensor<4xf32>
  return %0 : tensor<4xf32>
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working folder with three programs in it."""
    monkeypatch.chdir(tmp_path)
    Path("add.hlo").write_text(ADD)
    Path("two.hlo").write_text(TWO)
    Path("double.mlir").write_text(STABLEHLO)
    yield tmp_path
    threads.set_threads(None)


def python(*arguments, **settings):
    """`python -m xlac` with the arguments, in a process of its own."""
    command = [sys.executable, "-m", "xlac", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


# ---- run


def test_run_prints_shape_range_and_small_values(folder, capsys):
    np.save("x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    assert cli.main(["run", "add.hlo", "--input", "x.npy"]) == 0
    out = capsys.readouterr().out
    assert "result: f32[2,3]  min 1  max 6  mean 3.5" in out
    assert "[[1., 2., 3.],\n [4., 5., 6.]]" in out


def test_run_reads_the_program_from_standard_input(folder):
    with python("run", "-", "--input", "ones", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(ADD)
    assert process.returncode == 0 and err == "" and "mean 2" in out


def test_run_without_input_says_that_it_is_random_and_repeats(folder, capsys):
    results = []
    for seed in ("0", "0", "1"):
        assert cli.main(["run", "add.hlo", "--seed", seed]) == 0
        captured = capsys.readouterr()
        assert "random" in captured.err
        results.append(captured.out)
    assert results[0] == results[1] != results[2]


def test_run_takes_tuples_apart_and_fills_up_with_the_last_word(folder, capsys):
    np.save("a.npy", np.array([1, 2], np.float32))
    np.save("n.npy", np.array(5, np.int32))
    assert cli.main(["run", "two.hlo", "--input", "a.npy", "--input", "n.npy", "--input", "ones"]) == 0
    out = capsys.readouterr().out
    assert "result 0: f32[2]" in out and "[6., 7.]" in out and "result 1: s32[]" in out
    assert cli.main(["run", "two.hlo", "--input", "a.npy", "--input", "zeros"]) == 0
    assert "[1., 2.]" in capsys.readouterr().out


@pytest.mark.parametrize("engine", [[], ["--evaluate"]])
def test_run_writes_results_that_can_be_inputs_again(folder, engine, capsys):
    assert cli.main(["run", "two.hlo", "--output", "out.npz", *engine]) == 0
    with np.load("out.npz") as out:
        assert out["out_0"].dtype == np.float32 and out["out_1"].shape == ()
    assert cli.main(["run", "two.hlo", "--input", "out.npz", "--input", "ones", *engine]) == 0


def test_run_keeps_types_that_numpy_lacks(folder, capsys):
    text = "HloModule m\nENTRY e {\n  x = bf16[2] parameter(0)\n  ROOT y = bf16[2] negate(x)\n}\n"
    Path("m.hlo").write_text(text)
    np.save("x.npy", np.array([1.5, -2], ml_dtypes.bfloat16))
    assert cli.main(["run", "m.hlo", "--input", "x.npy", "--output", "y.npy"]) == 0
    assert "bf16[2]" in capsys.readouterr().out
    assert cli.main(["run", "m.hlo", "--input", "y.npy"]) == 0
    assert "[ 1.5, -2. ]" in capsys.readouterr().out


def test_run_check_compares_with_the_evaluator(folder, capsys):
    assert cli.main(["run", "add.hlo", "--check", "--time"]) == 0
    captured = capsys.readouterr()
    assert "best run" in captured.out and "equal to the reference evaluator" in captured.err


def test_a_failed_comparison_gives_status_1(folder, capsys, monkeypatch):
    evaluator = cli._evaluator
    monkeypatch.setattr(cli, "_evaluator", lambda module: lambda arrays: [2 * a for a in evaluator(module)(arrays)])
    assert cli.main(["run", "add.hlo", "--check"]) == 1
    assert "result differs from that of the reference evaluator: 6 of 6 elements differ" in capsys.readouterr().err


def test_run_accepts_stablehlo_by_its_text(folder, capsys):
    assert cli.main(["run", "double.mlir", "--input", "ones"]) == 0
    assert "[2., 2., 2., 2.]" in capsys.readouterr().out


LEFT_OUT = {
    "c.hlo": "HloModule c\nENTRY e {\n  ROOT c = f32[3] constant({...})\n}\n",
    "c.mlir": """func.func @main() -> tensor<3xf32> {
      %0 = stablehlo.constant dense_resource<__elided__> : tensor<3xf32>
      return %0 : tensor<3xf32>
    }""",
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_left_out_constants_are_zeros_unless_random_is_asked_for(folder, capsys, name):
    Path(name).write_text(LEFT_OUT[name])
    assert cli.main(["run", name]) == 0
    captured = capsys.readouterr()
    assert "min 0  max 0" in captured.out and f"{name}: " in captured.err and "zeros" in captured.err
    assert cli.main(["run", name, "--fill-constants", "random"]) == 0
    captured = capsys.readouterr()
    assert "min 0  max 0" not in captured.out and captured.err == ""


# ---- compile, opt, convert, bench


@pytest.mark.parametrize(
    ("stage", "expected"),
    [("hlo", "HloModule"), ("stablehlo", "stablehlo"), ("llvm", "define "), ("asm", "\tret"), ("loops", "f32")],
)
def test_compile_emits_each_stage(folder, capsys, stage, expected):
    assert cli.main(["compile", "add.hlo", "--emit", stage]) == 0
    assert expected in capsys.readouterr().out
    assert cli.main(["compile", "add.hlo", "--emit", stage, "-o", "out.txt"]) == 0
    assert expected in Path("out.txt").read_text() and capsys.readouterr().out == ""


def test_compile_writes_an_object_file(folder):
    assert cli.main(["compile", "add.hlo", "-o", "add.o"]) == 0
    assert len(Path("add.o").read_bytes()) > 200
    assert sorted(p.name for p in folder.iterdir()) == ["add.hlo", "add.o", "double.mlir", "two.hlo"]


def test_compile_tells_the_stage_from_the_suffix(folder, capsys):
    assert cli.main(["compile", "add.hlo", "-o", "add.ll"]) == 0
    assert "define " in Path("add.ll").read_text()
    assert cli.main(["compile", "add.hlo", "-o", "add.xyz"]) == 2
    assert ".ll (llvm)" in capsys.readouterr().err


def test_opt_runs_the_named_passes(folder, capsys):
    dead = ADD.replace("  ROOT", "  unused = f32[2,3] negate(x)\n  ROOT")
    Path("dead.hlo").write_text(dead)
    assert cli.main(["opt", "dead.hlo", "--passes", "cse"]) == 0
    assert "negate" in capsys.readouterr().out
    assert cli.main(["opt", "dead.hlo", "--passes", "dce"]) == 0
    assert "negate" not in capsys.readouterr().out


def test_opt_prints_after_each_pass_on_standard_error(folder, capsys):
    assert cli.main(["opt", "add.hlo", "--passes", "simplify, dce", "--print-after-all"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("HloModule") and captured.out.count("HloModule") == 1
    assert "// after simplify" in captured.err and "// after dce" in captured.err


def test_opt_output_of_the_whole_pipeline_runs(folder, capsys):
    assert cli.main(["opt", "add.hlo", "-o", "fused.hlo"]) == 0
    assert cli.main(["run", "fused.hlo", "--input", "zeros"]) == 0
    assert "min 1  max 1" in capsys.readouterr().out


def test_opt_lists_the_passes(capsys):
    assert cli.main(["opt", "--list-passes"]) == 0
    assert {"cse", "dce", "fusion"} <= {line.split()[0] for line in capsys.readouterr().out.splitlines()}


def test_convert_goes_to_the_other_language_and_back(folder, capsys):
    assert cli.main(["convert", "add.hlo", "-o", "add.mlir"]) == 0
    assert "stablehlo.add" in Path("add.mlir").read_text()
    assert cli.main(["convert", "add.mlir"]) == 0
    assert capsys.readouterr().out.startswith("HloModule")
    assert cli.main(["convert", "add.mlir", "--to", "hlo", "-o", "back.hlo"]) == 0
    assert cli.main(["run", "back.hlo", "--input", "ones", "--check"]) == 0


def test_bench_times_variants_and_compares_their_results(folder, capsys):
    assert (
        cli.main(["bench", "add.hlo", "--compare", "fused,unfused,evaluate", "--seconds", "0.01", "--threads", "1"])
        == 0
    )
    captured = capsys.readouterr()
    rows = [line.split() for line in captured.out.splitlines()]
    assert [row[0] for row in rows] == ["variant", "fused", "unfused", "evaluate"]
    assert "unfused: equal to fused" in captured.err


# ---- usage, interruption


@pytest.mark.parametrize("command", ["run", "compile", "opt", "convert", "bench"])
def test_help_of_each_command_has_an_example(command, capsys):
    assert cli.main([command, "--help"]) == 0
    assert f"xlac {command} " in capsys.readouterr().out.split("example:")[1]


def test_help_lists_the_environment_variables(capsys):
    assert cli.main(["--help"]) == 0
    assert "XLAC_THREADS" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "COMMAND"),
        (["fly"], "invalid choice: 'fly'"),
        (["run"], "FILE"),
        (["run", "add.hlo", "--inputs", "random"], "--inputs"),
        (["run", "add.hlo", "--seed", "-1"], "'-1' is not a whole number of 0 or more"),
        (["run", "add.hlo", "--threads", "0"], "'0' is not a whole number of 1 or more"),
        (["run", "add.hlo", "--target", "z80"], "unknown target 'z80'; known are host, generic"),
        (["run", "add.hlo", "--output", "out.txt"], "results are written as .npz or .npy"),
        (["compile", "add.hlo", "--emit", "wasm"], "choose from"),
        (["opt"], "FILE is missing"),
        (["opt", "add.hlo", "--passes", "cse,dec"], "there is no pass 'dec'; did you mean dce?"),
        (["convert", "add.hlo", "--to", "onnx"], "invalid choice: 'onnx'"),
        (
            ["bench", "add.hlo", "--compare", "fused,jax"],
            "there is no variant 'jax'; known are fused, unfused, evaluate",
        ),
        (["bench", "add.hlo", "--seconds", "nan"], "'nan' is not a number of seconds"),
    ],
)
def test_wrong_usage_gives_status_2_and_says_what_would_be_right(folder, capsys, arguments, message):
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.out == ""


def test_an_unexpected_error_is_one_line_without_a_traceback(folder, capsys, monkeypatch):
    def broken(arguments):
        raise LookupError("lost")

    monkeypatch.setattr(cli, "_program", broken)
    assert cli.main(["run", "add.hlo"]) == 70
    assert capsys.readouterr().err == "xlac: internal error: LookupError: lost; XLAC_DEBUG=1 shows where\n"


def test_a_closed_pipe_ends_the_command_quietly(folder):
    with python("compile", "add.hlo", "--emit", "llvm") as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_an_interrupt_ends_the_command_without_a_traceback(folder):
    with python("run", "-", stdin=subprocess.PIPE) as process:
        # More than a pipe holds: once it is written, the command has begun to read and waits for the end.
        process.stdin.write(" " * (1 << 20))
        process.stdin.flush()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130 and err == "xlac: interrupted\n"
