"""The programs of `fusion.py`, each written once. `np` is `numpy` for NumPy and xlac, and `jax.numpy` for JAX.

A program is a function of `np` and its arguments; `Program.arguments` makes the arguments from a random generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

Arrays = tuple[Any, ...]


@dataclass(frozen=True)
class Program:
    """A function to measure.

    Attributes:
      name, size: what it is, and how large its arguments are.
      function: called with the array module and the arguments.
      arguments: makes the arguments.
      memory_bound: limited by the memory's bandwidth rather than by arithmetic or call overhead once it is fused.
    """

    name: str
    size: str
    function: Callable[..., Any]
    arguments: Callable[[numpy.random.Generator], Arrays]
    memory_bound: bool = True


def chain(np, x, y):
    """Eight elementwise operations on two arrays."""
    z = x * y + 0.5
    z = np.maximum(z, 0.1) - x
    z = np.minimum(z * z, 4.0)
    return (z + y) * 0.25


def softmax(np, x):
    shifted = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return shifted / np.sum(shifted, axis=-1, keepdims=True)


def layer_norm(np, x, scale, bias):
    centered = x - np.mean(x, axis=-1, keepdims=True)
    variance = np.mean(centered * centered, axis=-1, keepdims=True)
    return centered / np.sqrt(variance + 1e-5) * scale + bias


def gelu(np, x):
    return 0.5 * x * (1.0 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))


def gelu_mlp(np, x, w1, b1, w2, b2):
    return gelu(np, x @ w1 + b1) @ w2 + b2


def adam(np, weight, gradient, mean, square):
    """One update of Kingma and Ba's Adam at step 10."""
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient * gradient
    rate = 1e-3 * (1.0 - 0.999**10) ** 0.5 / (1.0 - 0.9**10)
    return weight - rate * mean / (np.sqrt(square) + 1e-8), mean, square


def black_scholes(np, spot, strike, years):
    """Prices of European calls and puts; the normal distribution by Abramowitz and Stegun's formula 26.2.17."""
    rate, volatility = 0.03, 0.25

    def normal(d):
        k = 1.0 / (1.0 + 0.2316419 * np.abs(d))
        poly = k * (0.319381530 + k * (-0.356563782 + k * (1.781477937 + k * (-1.821255978 + k * 1.330274429))))
        tail = 0.3989422804 * np.exp(-0.5 * d * d) * poly
        return np.where(d > 0.0, 1.0 - tail, tail)

    root = volatility * np.sqrt(years)
    d1 = (np.log(spot / strike) + (rate + 0.5 * volatility * volatility) * years) / root
    d2 = d1 - root
    paid = strike * np.exp(-rate * years)
    call = spot * normal(d1) - paid * normal(d2)
    return call, call - spot + paid


def k_means(np, points, centers):
    """One step of Lloyd's algorithm: new centers and the sum of squared distances."""
    distances = (
        np.sum(points * points, axis=1, keepdims=True)
        - 2.0 * (points @ np.transpose(centers))
        + np.sum(centers * centers, axis=1)
    )
    nearest = np.min(distances, axis=1, keepdims=True)
    chosen = np.where(distances <= nearest, points[:1, :1] * 0.0 + 1.0, points[:1, :1] * 0.0)
    counts = np.sum(chosen, axis=0)
    return (np.transpose(chosen) @ points) / np.maximum(counts, 1.0)[:, None], np.sum(nearest)


def iris_step(np, x, y, w1, b1, w2, b2, w3, b3, w4, b4):
    """One gradient-descent step of a 4-10-20-10-3 classifier on a batch of 32, its gradient written out."""
    weights, biases = (w1, w2, w3, w4), (b1, b2, b3, b4)
    inputs = [x]
    for w, b in zip(weights[:-1], biases[:-1]):
        inputs.append(np.maximum(inputs[-1] @ w + b, 0.0))
    gradient = (softmax(np, inputs[-1] @ w4 + b4) - y) * (1.0 / 32.0)
    updated = []
    for i in reversed(range(4)):
        updated.append(weights[i] - 0.1 * (np.transpose(inputs[i]) @ gradient))
        updated.append(biases[i] - 0.1 * np.sum(gradient, axis=0))
        if i:
            gradient = np.where(inputs[i] > 0.0, gradient @ np.transpose(weights[i]), inputs[i] * 0.0)
    return tuple(updated)


def _normal(*shapes: tuple[int, ...]) -> Callable[[numpy.random.Generator], Arrays]:
    return lambda rng: tuple(rng.standard_normal(shape, numpy.float32) for shape in shapes)


def _uniform(count: int, *ranges: tuple[float, float]) -> Callable[[numpy.random.Generator], Arrays]:
    return lambda rng: tuple(rng.uniform(low, high, count).astype(numpy.float32) for low, high in ranges)


def _adam(rng: numpy.random.Generator) -> Arrays:
    weight, gradient, mean, square = (rng.standard_normal(4_000_000, numpy.float32) for _ in range(4))
    return weight, gradient, mean, square * square


def _iris(rng: numpy.random.Generator) -> Arrays:
    sizes = (4, 10, 20, 10, 3)
    labels = numpy.eye(3, dtype=numpy.float32)[rng.integers(0, 3, 32)]
    arrays = [rng.standard_normal((32, 4), numpy.float32), labels]
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        arrays.append(rng.standard_normal((fan_in, fan_out), numpy.float32) * numpy.float32((2 / fan_in) ** 0.5))
        arrays.append(numpy.zeros(fan_out, numpy.float32))
    return tuple(arrays)


PROGRAMS = (
    Program("elementwise chain", "2 x 16M", chain, _normal((1 << 24,), (1 << 24,))),
    Program("softmax", "4096x1024", softmax, _normal((4096, 1024))),
    Program("layer norm", "4096x1024", layer_norm, _normal((4096, 1024), (1024,), (1024,))),
    Program(
        "gelu MLP",
        "512x512x2048",
        gelu_mlp,
        lambda rng: tuple(
            numpy.float32(0.05) * a for a in _normal((512, 512), (512, 2048), (2048,), (2048, 512), (512,))(rng)
        ),
        memory_bound=False,
    ),
    Program("Adam update", "4M", adam, _adam),
    Program("Black-Scholes", "1M", black_scholes, _uniform(1 << 20, (50, 150), (50, 150), (0.1, 2.0))),
    Program("k-means step", "64k x 16, 16 centers", k_means, _normal((1 << 16, 16), (16, 16)), memory_bound=False),
    Program("iris training step", "32x4, 4-10-20-10-3", iris_step, _iris, memory_bound=False),
)
