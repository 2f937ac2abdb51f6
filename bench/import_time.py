"""How long `import xlac` takes beside `import numpy`, each in processes of their own that take turns.

python bench/import_time.py [--runs N]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time


def seconds(statement: str) -> float:
    """Wall time of a fresh interpreter that runs the statement."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    arguments = parser.parse_args()
    statements = ("pass", "import numpy", "import xlac")
    times: dict[str, list[float]] = {s: [] for s in statements}
    for _ in range(arguments.runs):
        for statement in statements:
            times[statement].append(seconds(statement))
    best = {s: min(t) for s, t in times.items()}
    for statement in statements:
        print(f"{statement:14s} {1e3 * best[statement]:7.1f} ms")
    ratio = best["import xlac"] / best["import numpy"]
    print(f"import xlac takes {ratio:.2f} times as long as import numpy")
    return 0


if __name__ == "__main__":
    sys.exit(main())
