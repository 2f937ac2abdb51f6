"""Every program in examples/ runs, and every command in the first comment of a program text."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xlac import cli

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(p.name for p in EXAMPLES.glob("*.py"))
TEXTS = sorted([*EXAMPLES.glob("*.hlo"), *EXAMPLES.glob("*.mlir")])
COMMANDS = [
    line[2:].strip() for path in TEXTS for line in path.read_text().splitlines() if line.startswith("//   xlac ")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_script_runs(name, tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, f"examples/{name}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() and "Traceback" not in done.stderr
    if name == "iris_dnn.py":
        accuracies = [float(a) for a in re.findall(r"accuracy\D*?([01]\.\d+)", done.stdout)]
        assert accuracies and min(accuracies) >= 0.85


def test_each_program_text_has_its_command():
    assert len(TEXTS) >= 2
    for path in TEXTS:
        assert any(f"examples/{path.name}" in command for command in COMMANDS), path.name


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_program_text_succeeds(command, tmp_path, monkeypatch, capsys):
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(command)[1:]) == 0
    assert "error" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", ["fusion.py --only iris --seconds 0.05 --no-jax --output .", "import_time.py --runs 1"]
)
def test_a_benchmark_runs(command, tmp_path):
    script, *options = command.split()
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / script), *options],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "iris training step" in done.stdout or "import xlac" in done.stdout
