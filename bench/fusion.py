"""Fused against unfused runs of the programs in `programs.py`, against NumPy, and against JAX where it is installed.

    python bench/fusion.py [--only REGEX] [--threads N] [--seconds S] [--no-jax] [--output FOLDER]

All variants of a program are timed in one process, in short bursts that take turns, so that each meets the same state
of the machine; the best run counts. Before timing, every variant's results are compared with NumPy's in float64. Beside
the times stand the kernels launched, the bytes they move, and a floor: the time of a plain copy that moves as many
bytes as the arguments read once and the results written once, on as many threads, measured in turn with the others.

Writes fusion.md, fusion.json and fusion.png (the plot needs matplotlib) into the folder.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import xlac
from xlac.runtime.threads import set_threads

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from programs import PROGRAMS, Program

BURST = 0.05
VARIANTS = ("fused", "unfused", "numpy", "jax")


@dataclass
class Row:
    """What was measured of one program."""

    name: str
    size: str
    memory_bound: bool
    milliseconds: dict[str, float] = field(default_factory=dict)
    kernels: dict[str, int | None] = field(default_factory=dict)
    moved_mib: dict[str, float] = field(default_factory=dict)
    least_mib: float = 0.0
    floor_milliseconds: float = 0.0


def measure(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """The best time of each call in milliseconds, all taking turns in bursts, `seconds` for each in total."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    end = time.perf_counter() + seconds * len(calls)
    while True:
        for name, call in calls.items():
            until = time.perf_counter() + BURST
            while True:
                started = time.perf_counter()
                call()
                now = time.perf_counter()
                best[name] = min(best[name], now - started)
                if now >= until:
                    break
        if time.perf_counter() >= end:
            return {name: 1e3 * value for name, value in best.items()}


def copy_call(total: int, pool: ThreadPoolExecutor, threads: int) -> Callable[[], Any]:
    """A plain copy that moves `total` bytes: half of them read, half written, split over the threads of the pool."""
    source = np.ones(max(1, total // 8), np.float32)
    target = np.zeros_like(source)
    if total < 1 << 20:
        return lambda: np.copyto(target, source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))


def flat_bytes(value: Any) -> int:
    """Bytes of the arrays in nested tuples."""
    if isinstance(value, (tuple, list)):
        return sum(flat_bytes(part) for part in value)
    return np.asarray(value).nbytes


def kernel_count(compiled: Any) -> int | None:
    """How many kernels a compiled program runs, or None where it cannot tell."""
    executable = getattr(compiled, "executable", compiled)
    return getattr(executable, "kernel_count", None)


def moved_bytes(compiled: Any) -> int:
    """Bytes the kernels of a compiled program read and write: operands and results of each top-level instruction.

    Instructions that move nothing (parameters, constants, tuples, bitcasts) do not count, nor does what stays inside a
    fusion.
    """
    module = xlac.parse_hlo(compiled.as_text("optimized"))
    total = 0
    for instruction in module.entry:
        if instruction.opcode.name in ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "reshape"):
            continue
        total += shape_bytes(instruction.shape) + sum(shape_bytes(x.shape) for x in instruction.operands)
    return total


def shape_bytes(shape: Any) -> int:
    from xlac.ir.shape import ArrayShape, leaves

    return sum(leaf.byte_size for leaf in leaves(shape) if isinstance(leaf, ArrayShape))


def check(name: str, got: Any, want: Any) -> None:
    """Raise unless a float32 result is that of float64 within what sums of this size may lose."""
    if isinstance(want, tuple):
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            check(f"{name}, result {i}", a, b)
        return
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    scale = float(np.abs(want).max()) or 1.0
    error = float(np.abs(got - want).max()) / scale
    if not error < 1e-3:
        raise SystemExit(f"{name}: differs from NumPy in float64 by {error:.2g} of its largest value")


def jax_call(program: Program, arguments: Sequence[np.ndarray]) -> Callable[[], Any] | None:
    """The program under jax.jit on arrays that JAX already holds; None without JAX."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax
    except ImportError:
        return None
    compiled = jax.jit(lambda *a: program.function(jax.numpy, *a))
    held = [jax.device_put(a) for a in arguments]
    return lambda: jax.block_until_ready(compiled(*held))


def run_program(program: Program, threads: int, seconds: float, with_jax: bool) -> Row:
    """Check and time one program in all its variants."""
    arguments = program.arguments(np.random.default_rng(0))
    row = Row(program.name, program.size, program.memory_bound)
    exact = program.function(np, *(a.astype(np.float64) for a in arguments))
    calls: dict[str, Callable[[], Any]] = {}
    for variant in ("fused", "unfused"):
        options = xlac.Options(fusion=variant == "fused", threads=threads)
        compiled = xlac.jit(lambda *a: program.function(np, *a)).lower(*arguments).compile(options)
        calls[variant] = lambda compiled=compiled: compiled(*arguments)
        row.kernels[variant] = kernel_count(compiled)
        row.moved_mib[variant] = moved_bytes(compiled) / 2**20
    calls["numpy"] = lambda: program.function(np, *arguments)
    jax = jax_call(program, arguments) if with_jax else None
    if jax is not None:
        calls["jax"] = jax
    for variant, call in calls.items():
        check(f"{program.name}, {variant}", call(), exact)
    least = flat_bytes(arguments) + flat_bytes(calls["numpy"]())
    with ThreadPoolExecutor(threads) as pool:
        row.milliseconds = measure({**calls, "copy": copy_call(least, pool, threads)}, seconds)
    row.least_mib, row.floor_milliseconds = least / 2**20, row.milliseconds.pop("copy")
    return row


def table(rows: Sequence[Row], about: dict[str, Any]) -> str:
    """The measurements as Markdown."""
    lines = [
        "# Fused against unfused",
        "",
        f"{about['processor']}, {about['threads']} threads, float32, best of bursts that take turns; "
        f"xlac {about['xlac']}, NumPy {about['numpy']}, JAX {about['jax']}, {about['date']}.",
        "Least: arguments and results, each moved once. Floor: a plain copy of as many bytes. Of floor: floor / fused.",
        "",
        "| program | size | fused ms | unfused ms | NumPy ms | JAX ms | unfused / fused | NumPy / fused | JAX / fused "
        "| kernels fused / unfused | MiB moved fused / unfused | least MiB | floor ms | of floor |",
        "|---|---|" + "---:|" * 12,
    ]
    for row in rows:
        ms = row.milliseconds
        cells = [row.name, row.size]
        cells += [f"{ms[v]:.3f}" if v in ms else "-" for v in VARIANTS]
        cells += [f"{ms[v] / ms['fused']:.2f}x" if v in ms else "-" for v in VARIANTS[1:]]
        counts = [row.kernels[v] for v in ("fused", "unfused")]
        cells.append(" / ".join("-" if c is None else str(c) for c in counts))
        cells.append(" / ".join(f"{row.moved_mib[v]:.1f}" for v in ("fused", "unfused")))
        cells += [f"{row.least_mib:.2f}", f"{row.floor_milliseconds:.3f}"]
        cells.append(f"{row.floor_milliseconds / ms['fused']:.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot(rows: Sequence[Row], path: Path) -> bool:
    """Times relative to the fused program as bars; False without matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(10, 4.5), constrained_layout=True)
    shown = [v for v in VARIANTS if any(v in row.milliseconds for row in rows)]
    colors = {"fused": "#1b6ca8", "unfused": "#8fbcdb", "numpy": "#d9a441", "jax": "#7a7a7a"}
    labels = {"fused": "xlac, fused", "unfused": "xlac, unfused", "numpy": "NumPy", "jax": "JAX"}
    width = 0.8 / len(shown)
    for i, variant in enumerate(shown):
        at = [x + (i - (len(shown) - 1) / 2) * width for x in range(len(rows))]
        ratios = [row.milliseconds.get(variant, 0.0) / row.milliseconds["fused"] for row in rows]
        bars = axes.bar(at, ratios, width, label=labels[variant], color=colors[variant])
        axes.bar_label(bars, [f"{r:.1f}" if r else "" for r in ratios], fontsize=7)
    axes.set_yscale("log")
    axes.set_ylabel("time relative to fused (lower is faster)")
    axes.set_xticks(range(len(rows)), [f"{row.name}\n{row.size}" for row in rows], fontsize=7)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return True


def processor() -> str:
    """The processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def version(name: str) -> str:
    """The installed version of a package."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="programs whose name matches")
    parser.add_argument("--threads", type=int, default=None, help="threads of xlac (default: all cores)")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each variant of each program (default 2)")
    parser.add_argument("--no-jax", action="store_true", help="leave JAX out")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results", metavar="FOLDER")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = arguments.threads or cores
    set_threads(arguments.threads)
    about = {
        "processor": processor(),
        "threads": threads,
        "date": time.strftime("%Y-%m-%d"),
        "xlac": getattr(xlac, "__version__", version("xlac")),
        "numpy": np.__version__,
        "jax": "left out" if arguments.no_jax else version("jax"),
    }
    rows = []
    for program in PROGRAMS:
        if re.search(arguments.only, program.name):
            row = run_program(program, threads, arguments.seconds, not arguments.no_jax)
            rows.append(row)
            times = ", ".join(f"{name} {ms:.3f}" for name, ms in row.milliseconds.items())
            print(f"{program.name}: {times} ms", file=sys.stderr)
    if not rows:
        parser.error(f"no program's name matches {arguments.only!r}")
    text = table(rows, about)
    print(text)
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "fusion.md").write_text(text)
    (arguments.output / "fusion.json").write_text(
        json.dumps({**about, "programs": [asdict(row) for row in rows]}, indent=1) + "\n"
    )
    if not plot(rows, arguments.output / "fusion.png"):
        print("no plot: matplotlib is not installed (pip install 'xlac[bench]')", file=sys.stderr)
    slower = [r.name for r in rows if r.memory_bound and r.milliseconds["fused"] >= r.milliseconds["unfused"]]
    if slower:
        print(f"fused is not faster than unfused: {', '.join(slower)}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
