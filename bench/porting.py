"""The programs of examples/porting on xlac and on JAX: the same text, only the import lines differ.

Each program has a process of its own, without caches on disk. The first run of its `main` includes tracing and
compiling; both libraries have compiled something small before, so that loading them is not counted. Then runs take
turns and the best of each counts. Python's own loops, and what a program prints, are part of all of these times.

    python bench/porting.py [--only kmeans,vae] [--seconds 2] [--output bench/results]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "porting")]

from under_jax import NAMES, load  # noqa: E402

LIBRARIES = ("xlac", "jax")


def seconds_of(program: types.ModuleType) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        program.main()
        return time.perf_counter() - start


def measure(name: str, seconds: float) -> dict[str, list[float]]:
    """Per library the seconds of the first run, and of the best of the later ones."""
    import jax
    import numpy as np

    import xlac

    for library in (xlac, jax):
        library.jit(lambda x: x @ x + 1)(np.ones((4, 4), np.float32))
    programs = {library: load(name, library) for library in LIBRARIES}
    first = {library: seconds_of(program) for library, program in programs.items()}
    best = {library: seconds_of(program) for library, program in programs.items()}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for library, program in programs.items():
            best[library] = min(best[library], seconds_of(program))
    return {library: [first[library], best[library]] for library in LIBRARIES}


def table(results: dict[str, dict[str, list[float]]]) -> str:
    lines = [
        "| program | first run, xlac s | JAX s | JAX / xlac | later runs, xlac ms | JAX ms | JAX / xlac |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, result in results.items():
        (first, best), (first_jax, best_jax) = result["xlac"], result["jax"]
        lines.append(
            f"| {name} | {first:.2f} | {first_jax:.2f} | {first_jax / first:.2f}x "
            f"| {1e3 * best:.2f} | {1e3 * best_jax:.2f} | {best_jax / best:.2f}x |"
        )
    return "\n".join(lines) + "\n"


def about() -> str:
    """The machine, the versions and the day."""
    from fusion import processor, version

    versions = ", ".join(f"{name} {version(name.lower())}" for name in ("NumPy", "JAX"))
    return f"{processor()}, {os.cpu_count()} threads; xlac against {versions}, {time.strftime('%Y-%m-%d')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="names of programs, with commas between them")
    parser.add_argument("--seconds", type=float, default=2.0, help="of alternating runs each (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="folder for porting.json and porting.md")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.seconds)))
        return
    names = options.only.split(",") if options.only else NAMES
    environment = {**os.environ, "XLAC_CACHE": "0", "JAX_PLATFORMS": "cpu"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    results: dict[str, dict[str, list[float]]] = {}
    for name in names:
        command = [sys.executable, __file__, "--measure", name, "--seconds", str(options.seconds)]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        results[name] = json.loads(done.stdout.splitlines()[-1])
        print(table({name: results[name]}).splitlines()[-1], flush=True)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "porting.json").write_text(json.dumps(results, indent=1) + "\n")
        (options.output / "porting.md").write_text(f"# Programs in JAX's idioms\n\n{about()}\n\n{table(results)}")


if __name__ == "__main__":
    main()
