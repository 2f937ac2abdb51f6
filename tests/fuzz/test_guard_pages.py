"""Generated code reads and writes nothing outside of its arrays: these lie against pages without access."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PARTS = 12


def run(part: int, parts: int, *words: str) -> None:
    """Run every `parts`-th program, of those whose names have the words."""
    done = subprocess.run(
        [sys.executable, str(HERE / "guarded.py"), str(part), str(parts), *words],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    lines = done.stdout.splitlines() or ["nothing"]
    assert lines[-1] == "done", f"{lines[-1]}: exit status {done.returncode}\n{done.stderr[-2000:]}"


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="page protection by mprotect")


def test_no_access_outside_of_arrays_in_a_sample_of_programs():
    run(0, 25)


def test_a_rest_of_one_lane_is_stored_by_itself():
    run(0, 1, "bf16", "17")


@pytest.mark.parametrize("name", ["dynamic-slice", "dynamic-update-slice", "gather", "scatter"])
def test_wild_indices_are_clamped(name):
    run(0, 1, name, "s32", "17")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_access_outside_of_arrays(part):
    run(part, PARTS)
