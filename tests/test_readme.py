"""What README.md shows is run: its Python examples print what they promise, its commands work, its paths exist."""

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest

from xlac import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for block in SHELL for line in block.splitlines() if line.startswith("xlac ")]


def test_the_readme_has_examples():
    assert len(PYTHON) >= 3 and len(COMMANDS) >= 5


@pytest.mark.parametrize("source", PYTHON, ids=lambda s: f"example{PYTHON.index(s)}")
def test_a_python_example_prints_what_its_comments_say(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(source, "README.md", "exec"), {"__name__": "readme"})
    promised = [line.rsplit("  # ", 1)[1] for line in source.splitlines() if line.lstrip().startswith("print(")]
    assert [line.strip() for line in out.getvalue().splitlines()] == promised


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A working folder with the examples, as in a clone."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_succeeds(command, copy, capsys):
    assert cli.main(shlex.split(command)[1:]) == 0
    assert "error" not in capsys.readouterr().err


def test_the_two_first_commands_are_one_line_each():
    for name in ("run", "test"):
        block = re.search(rf"<!-- command: {name} -->\n```sh\n(.*?)```", README, re.DOTALL)[1]
        assert block.count("\n") == 1 and block.startswith("python3 -m venv .venv && ")


def test_paths_named_in_the_documents_exist():
    for document in ("README.md", "CONTRIBUTING.md", "bench/README.md"):
        text = (ROOT / document).read_text()
        for path in re.findall(r"\b(?:xlac|examples|bench|tests|\.ci)/[\w./]+", text):
            assert (ROOT / path.rstrip(".")).exists(), f"{document} names {path}"
