"""Running sums, sorts, searches and the like of a million float32 against NumPy and, where it is installed, JAX.

    python bench/library.py [--seconds S] [NAME ...]

The variants of a row take turns in short bursts; the best call counts, in milliseconds.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from bursts import best

import xlac
import xlac.numpy as xnp

N = 1_000_000
Row = tuple[Callable[[Any], Callable[..., Any]], tuple[np.ndarray, ...]]


def rows() -> dict[str, Row]:
    """Name -> (the function by module, its arguments)."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(N, dtype=np.float32) for _ in range(2))
    square, line, kernel = x.reshape(1000, 1000), np.sort(x), y[:101]
    whole, few = rng.integers(0, N, N, dtype=np.int32), rng.integers(0, 1000, N, dtype=np.int32)
    length = {"length": 1000}
    return {
        "cumsum": (lambda m: m.cumsum, (x,)),
        "cumsum of columns": (lambda m: lambda v: m.cumsum(v, axis=0), (square,)),
        "cumprod of rows": (lambda m: lambda v: m.cumprod(v, axis=1), (square,)),
        "sort": (lambda m: m.sort, (x,)),
        "sort of rows": (lambda m: lambda v: m.sort(v, axis=1), (square,)),
        "sort of integers": (lambda m: m.sort, (whole,)),
        "argsort": (lambda m: m.argsort, (x,)),
        "median": (lambda m: m.median, (x,)),
        "percentile": (lambda m: lambda v: m.percentile(v, 30), (x,)),
        "searchsorted": (lambda m: m.searchsorted, (line, y)),
        "interp": (lambda m: lambda q, s: m.interp(q, s[::1000], s[::1000]), (y, line)),
        "histogram": (lambda m: lambda v: m.histogram(v, bins=100)[0], (x,)),
        "bincount": (lambda m: lambda v: m.bincount(v, **({} if m is np else length)), (few,)),
        "unique": (lambda m: lambda v: m.unique(v, **({} if m is np else {"size": 1000})), (few,)),
        "nonzero": (lambda m: lambda v: m.nonzero(v > 1, **({} if m is np else {"size": N // 5})), (x,)),
        "take": (lambda m: lambda v, i: m.take(v, i, mode="clip"), (x, whole)),
        "one-hot": (
            lambda m: lambda i: (i[:, None] == m.arange(10, dtype=m.int32)).astype(m.float32),
            (few[: N // 10],),
        ),
        "convolve by 101": (lambda m: lambda v, w: m.convolve(v, w, mode="same"), (x, kernel)),
        "flip": (lambda m: lambda v: m.flip(v) + 0, (x,)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="rows to run; all without")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each variant")
    options = parser.parse_args()
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        jax = None
    print(f"{'':20}{'xlac':>10}{'NumPy':>10}{'JAX':>10}")
    for name, (function, arguments) in rows().items():
        if options.names and name not in options.names:
            continue
        own, plain = xlac.jit(function(xnp)), function(np)
        variants = {"xlac": lambda f=own, a=arguments: f(*a), "numpy": lambda f=plain, a=arguments: f(*a)}
        if jax is not None:
            theirs, given = jax.jit(function(jnp)), [jnp.asarray(a) for a in arguments]
            variants["jax"] = lambda f=theirs, a=given: jax.block_until_ready(f(*a))
        times = best(variants, options.seconds)
        print(
            f"{name:20}"
            + "".join(f"{1e3 * times[v]:10.3f}" if v in times else f"{'-':>10}" for v in ("xlac", "numpy", "jax"))
        )


if __name__ == "__main__":
    main()
