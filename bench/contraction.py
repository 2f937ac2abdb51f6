"""Matrix products and convolutions against NumPy (OpenBLAS) and, where it is installed, JAX (XLA:CPU), in one run.

    python bench/contraction.py [--seconds S]

The variants of a row take turns in short bursts; the best call counts. GFLOP/s count a multiply and an add as two.
The ceiling is that of the fastest row seen: no separate peak is measured.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from bursts import best

import xlac

PRODUCTS = [(64, 64, 64), (128, 128, 128), (256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (128, 784, 512)]
PRODUCTS += [(32, 128, 512), (10000, 64, 100), (1, 768, 3072)]
# images, height and width, input features, output features, window, stride
CONVOLUTIONS = [(8, 56, 64, 64, 3, 1), (8, 56, 64, 128, 1, 1), (8, 28, 128, 128, 3, 2), (8, 112, 3, 32, 3, 2)]

LABELS = ("NHWC", "HWIO", "NHWC")


def products(seconds: float, jax: Any) -> None:
    rng = np.random.default_rng(0)
    for m, k, n in PRODUCTS:
        a, b = rng.standard_normal((m, k), dtype=np.float32), rng.standard_normal((k, n), dtype=np.float32)
        own = xlac.jit(lambda a, b: a @ b)
        np.testing.assert_allclose(own(a, b), a @ b, rtol=1e-3, atol=1e-3 * k**0.5)
        variants = {"xlac": lambda f=own, a=a, b=b: f(a, b), "numpy": lambda a=a, b=b: a @ b}
        if jax is not None:
            other = jax.jit(lambda a, b: a @ b)
            variants["jax"] = lambda f=other, a=a, b=b: f(a, b).block_until_ready()
        report(f"{m}x{k}x{n}", 2 * m * k * n, best(variants, seconds))


def convolutions(seconds: float, jax: Any) -> None:
    rng = np.random.default_rng(0)
    for images, side, features, outputs, window, stride in CONVOLUTIONS:
        x = rng.standard_normal((images, side, side, features), dtype=np.float32)
        w = rng.standard_normal((window, window, features, outputs), dtype=np.float32)
        pad = (window - 1) // 2
        layout = {"window_strides": (stride, stride), "padding": [(pad, pad)] * 2, "dimension_numbers": LABELS}
        own = xlac.jit(lambda x, w, o=layout: xlac.lax.conv_general_dilated(x, w, **o))
        variants = {"xlac": lambda f=own, x=x, w=w: f(x, w)}
        size = own(x, w).size
        if jax is not None:
            other = jax.jit(lambda x, w, o=layout: jax.lax.conv_general_dilated(x, w, **o))
            np.testing.assert_allclose(own(x, w), other(x, w), rtol=1e-2, atol=1e-2)
            variants["jax"] = lambda f=other, x=x, w=w: f(x, w).block_until_ready()
        name = f"{images}x{side}x{side}x{features} -> {outputs}, {window}x{window}/{stride}"
        report(name, 2 * size * window * window * features, best(variants, seconds))


def report(name: str, flops: int, times: dict[str, float]) -> None:
    cells = [f"{variant} {1e6 * t:10.1f} us {flops / t / 1e9:5.0f} GFLOP/s" for variant, t in times.items()]
    print(f"{name:32}", " | ".join(cells), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each variant of each row")
    seconds = parser.parse_args().seconds
    try:
        import jax
    except ImportError:
        jax = None
    products(seconds, jax)
    convolutions(seconds, jax)


if __name__ == "__main__":
    main()
