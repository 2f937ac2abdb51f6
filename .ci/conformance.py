#!/usr/bin/env python3
"""Run conformance samples against xlac and compare the numbers passed with those recorded in thresholds.json.

    python .ci/conformance.py FOLDER [--only SET] [--engine xlac|evaluator] [--update]

FOLDER holds the runners check_hlo.py, check_stablehlo.py and run_zoo.py beside their samples. The exit status is 1 if
any set passes fewer than recorded. `--update` records the numbers of this run where they are higher.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THRESHOLDS = Path(__file__).with_name("thresholds.json")
LIMIT_SECONDS = 900

Cases = list[tuple[str, bool, str]]  # name, whether it passed, why not


@dataclass(frozen=True)
class Set:
    """A runner with its options, and how the cases are read from what it writes."""

    command: tuple[str, ...]
    cases: Callable[[Any], Cases]
    engines: tuple[str, ...] = ("xlac", "evaluator")


def _hlo(results: Any) -> Cases:
    return [(r["name"], r["ok"], r.get("reason", "")) for r in results]


def _stablehlo(results: Any) -> Cases:
    return [(r["name"], r["ok"], f"{r.get('stage', '')}: {r.get('reason', '')}") for r in results["results"]]


def _zoo(results: Any) -> Cases:
    return [(r["name"], r["ok"], r.get("note", "")) for r in results["rows"]]


_TIMING = ("--budget", "0.1", "--rounds", "1", "--min-runs", "1")

SETS = {
    "hlo": Set(("check_hlo.py",), _hlo),
    "stablehlo": Set(("check_stablehlo.py", "--jobs", "2"), _stablehlo),
    "stablehlo-barrier": Set(("check_stablehlo.py", "--jobs", "2", "--barrier"), _stablehlo),
    "zoo-stablehlo": Set(("run_zoo.py", *_TIMING), _zoo, ("xlac",)),
    "zoo-hlo": Set(("run_zoo.py", "--format", "hlo", *_TIMING), _zoo, ("xlac",)),
}


def run_set(one: Set, folder: Path, engine: str) -> Cases:
    """Run the set's cases; an empty list if its runner gave no results."""
    script, *options = one.command
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "results.json")
        command = [sys.executable, str(folder / script), "--engine", engine, "--json", str(out), *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
            said = done.stdout + done.stderr
        except subprocess.TimeoutExpired:
            said = f"stopped after {LIMIT_SECONDS} s"
        if not out.exists():
            print(f"{' '.join(command)} gave no results:\n{said[-2000:]}", file=sys.stderr)
            return []
        return one.cases(json.loads(out.read_text()))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=tuple(SETS), action="append", help="run only this set (may be repeated)")
    parser.add_argument("--engine", choices=("xlac", "evaluator"), default="xlac")
    parser.add_argument("--update", action="store_true", help="raise the recorded numbers to those of this run")
    parser.add_argument("--failures", type=int, default=10, metavar="N", help="failures to list per set (default 10)")
    arguments = parser.parse_args()
    recorded = json.loads(THRESHOLDS.read_text()) if THRESHOLDS.exists() else {}
    rows, short = [], False
    for name, one in SETS.items():
        if (arguments.only and name not in arguments.only) or arguments.engine not in one.engines:
            continue
        started = time.monotonic()
        cases = run_set(one, arguments.folder, arguments.engine)
        passed = sum(ok for _, ok, _ in cases)
        for case, _, why in [c for c in cases if not c[1]][: arguments.failures]:
            print(f"{name}: {case}: {why[:160]}")
        needed = recorded.get(name, 0)
        verdict = "ok" if cases and passed >= needed else "FEWER THAN RECORDED" if cases else "NO RESULTS"
        short |= verdict != "ok"
        rows.append((name, str(passed), str(len(cases)), str(needed), f"{time.monotonic() - started:.0f} s", verdict))
        if arguments.engine == "xlac":
            recorded[name] = max(needed, passed)
    for row in [("set", "passed", "of", "recorded", "time", ""), *rows]:
        print("{:20s} {:>7s} {:>6s} {:>9s} {:>7s}  {}".format(*row))
    if arguments.update and arguments.engine == "xlac":
        THRESHOLDS.write_text(json.dumps({name: recorded.get(name, 0) for name in SETS}, indent=2) + "\n")
    return int(short)


if __name__ == "__main__":
    sys.exit(main())
