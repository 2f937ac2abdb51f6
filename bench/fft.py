"""Fourier transforms against NumPy, SciPy (pocketfft) and, where it is installed, JAX (XLA:CPU), in one run.

    python bench/fft.py [--seconds S] [--threads N]

The variants of a row take turns in short bursts; the best call counts. GFLOP/s count 5 n log2 n operations for a
complex transform of n elements and half as many for a real one, whatever an algorithm does. Results are compared with
NumPy's in double precision first.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

import numpy as np
from bursts import best

import xlac

LENGTHS = [64, 256, 1000, 1024, 4096, 65536, 1 << 20, 997]
BATCHES = [1, 16, 256]
# Elements of the largest arrays: what is larger measures the memory.
MOST = 1 << 22


def measure(name: str, x: np.ndarray, axes: tuple[int, ...], seconds: float, threads: int | None, peers: dict) -> float:
    """Print one row; returns how many times xlac is as fast as the fastest of the others."""
    real = x.dtype.kind == "f"
    kind = "rfftn" if real else "fftn"
    options = xlac.Options(threads=threads)
    own = xlac.jit(lambda x: getattr(xlac.numpy.fft, kind)(x, axes=axes), options=options)
    want = getattr(np.fft, kind)(x.astype(np.float64 if real else np.complex128), axes=axes)
    eps = np.finfo(x.dtype).eps
    points = math.prod(x.shape[d] for d in axes)
    error = np.abs(own(x) - want).max() / np.abs(want).max() / eps
    assert error < 3 * math.log2(2 * points), error
    variants = {"xlac": lambda: own(x), "numpy": lambda: getattr(np.fft, kind)(x, axes=axes)}
    if "scipy" in peers:
        variants["scipy"] = lambda: getattr(peers["scipy"], kind)(x, axes=axes)
    if "jax" in peers:
        other = peers["jax"].jit(lambda x: getattr(peers["jax"].numpy.fft, kind)(x, axes=axes))
        given = peers["jax"].numpy.asarray(x)
        variants["jax"] = lambda: other(given).block_until_ready()
    times = best(variants, seconds, 0.02)
    flops = 5 * x.size * math.log2(points) / (2 if real else 1)
    cells = [f"{variant} {1e6 * t:9.1f} us {flops / t / 1e9:6.2f}" for variant, t in times.items()]
    ratio = min(t for variant, t in times.items() if variant != "xlac") / times["xlac"]
    print(f"{name:20}", " | ".join(cells), f"| {ratio:5.2f} x, error {error:.1f} eps", flush=True)
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.3, help="for each variant of each row")
    parser.add_argument("--threads", type=int, default=None, help="threads of xlac; all cores if not given")
    arguments = parser.parse_args()
    peers: dict[str, Any] = {}
    try:
        import jax

        peers["jax"] = jax
    except ImportError:
        pass
    try:
        import scipy.fft

        peers["scipy"] = scipy.fft
    except ImportError:
        pass
    rng = np.random.default_rng(0)
    cases = [(f"{n}", (batch, n), (1,)) for n in LENGTHS for batch in BATCHES if n * batch <= MOST]
    cases.append(("512x512", (512, 512), (0, 1)))
    ratios = []
    print("each: microseconds, GFLOP/s; xlac against the fastest other")
    for name, dims, axes in cases:
        for kind in ("c64", "f32"):
            x = rng.standard_normal(dims).astype(np.float32)
            if kind == "c64":
                x = (x + 1j * rng.standard_normal(dims)).astype(np.complex64)
            label = f"{kind} {name}" + (f" x {dims[0]}" if len(axes) == 1 else "")
            ratios.append(measure(label, x, axes, arguments.seconds, arguments.threads, peers))
    print(f"geometric mean {math.exp(np.mean(np.log(ratios))):.2f} x, least {min(ratios):.2f} x")


if __name__ == "__main__":
    main()
