"""What calls outside `jit` cost: functions and operators of `xlac.numpy` on small arrays, beside NumPy's and JAX's.

python bench/eager.py [--size N] [--seconds S] [--json FILE]

Each line is one expression over arrays of N floats, run by all three in short bursts that take turns; the best burst of
each counts. Each works on arrays of its own kind.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from dispatch import measure

EXPRESSIONS = (
    "x + y",
    "x * 2.5",
    "x @ y",
    "x < y",
    "np.add(x, y)",
    "np.exp(x)",
    "np.sum(x)",
    "np.mean(m, axis=0)",
    "np.max(m, axis=1, keepdims=True)",
    "np.argmax(m, axis=1)",
    "np.where(x > 0, x, y)",
    "np.concatenate([x, y])",
    "np.reshape(m, (-1,))",
    "np.transpose(m)",
    "np.stack([x, y])",
    "np.sort(x)",
    "np.cumsum(x)",
    "np.zeros((3, 3))",
    "np.arange(8)",
    "x[2]",
    "x[1:3]",
    "m[:, 0]",
    "float(np.sum(x))",
)
UPDATE = ("x.at[2].set(1.0)", "z = x.copy(); z[2] = 1.0")  # ours and JAX's, NumPy's


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=0.2, help="for each expression (default: %(default)s)")
    parser.add_argument("--json", help="write the figures, in nanoseconds, to this file")
    arguments = parser.parse_args()
    names = {"NumPy": "numpy", "xlac": "xlac.numpy", "JAX": "jax.numpy"}
    x = np.arange(arguments.size, dtype=np.float32) / 7
    cases: list[tuple[str, str, dict[str, Any]]] = []
    columns = []
    for column, name in names.items():
        try:
            module = importlib.import_module(name)
        except ImportError:
            print(f"without {column}: it is not installed", file=sys.stderr)
            continue
        columns.append(column)
        variables = {"np": module, "x": module.asarray(x), "y": module.asarray(x + 1)}
        variables["m"] = module.reshape(variables["x"], (2, -1))
        update = UPDATE[1] if column == "NumPy" else UPDATE[0]
        cases += [(f"{column}: {text}", text, variables) for text in EXPRESSIONS]
        cases.append((f"{column}: {UPDATE[0]}", update, variables))
    best = measure(cases, arguments.seconds)
    print(f"{'nanoseconds a call':36s}" + "".join(f"{column:>10s}" for column in columns))
    for text in (*EXPRESSIONS, UPDATE[0]):
        print(f"{text:36s}" + "".join(f"{best[f'{column}: {text}']:10.0f}" for column in columns))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(best, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
