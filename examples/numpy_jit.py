"""Compile functions written with plain NumPy, look at what became of them, and take a gradient.

python examples/numpy_jit.py
"""

import time

import numpy as np

import xlac


@xlac.jit
def normalize(x):
    """Layer normalization: NumPy makes six passes over memory, the compiled kernel one."""
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered * centered).mean(axis=-1, keepdims=True)
    return centered / np.sqrt(variance + 1e-5)


def loss(weights, x, y):
    """Mean squared error of a small network."""
    hidden = np.tanh(x @ weights["w1"] + weights["b1"])
    return np.mean((hidden @ weights["w2"] - y) ** 2)


@xlac.jit
def train_step(weights, x, y):
    value, gradient = xlac.value_and_grad(loss)(weights, x, y)
    return value, {name: weights[name] - 0.1 * gradient[name] for name in weights}


def best_ms(function, *arguments, runs=10):
    """The shortest of several runs, in milliseconds."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        function(*arguments)
        times.append(time.perf_counter() - started)
    return 1e3 * min(times)


def main():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2048, 1024), dtype=np.float32)
    plain = normalize.__wrapped__
    np.testing.assert_allclose(normalize(x), plain(x), rtol=1e-4, atol=1e-4)
    print(f"layer norm of 2048x1024: NumPy {best_ms(plain, x):.2f} ms, compiled {best_ms(normalize, x):.2f} ms")
    print("\nThe program after the passes:\n")
    print(normalize.lower(x).compile().as_text("optimized"))

    x = rng.standard_normal((256, 4), dtype=np.float32)
    y = np.sin(x.sum(axis=1, keepdims=True))
    weights = {
        "w1": rng.standard_normal((4, 32), dtype=np.float32),
        "b1": np.zeros(32, np.float32),
        "w2": 0.1 * rng.standard_normal((32, 1), dtype=np.float32),
    }
    for step in range(301):
        value, weights = train_step(weights, x, y)
        if step % 100 == 0:
            print(f"step {step:3d}  loss {value:.4f}")


if __name__ == "__main__":
    main()
