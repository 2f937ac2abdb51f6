"""How long a training step takes to trace and differentiate, beside JAX tracing the same code.

python bench/tracing.py [--layers 3 6 12] [--runs N]

The step is a decoder transformer's: embedding, causal attention, layer norm, GELU, cross entropy, gradients and Adam.
What is timed is `jit(step).trace(...)`: from calling the function to a finished program, with nothing compiled. The two
take turns, and the best run of each counts, in processor time, so that other load matters little. JAX's caches of
traced functions are cleared before each run, as tracing a program once is what a user waits for.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

WIDTH, HEADS, VOCABULARY, LENGTH, BATCH = 64, 4, 128, 32, 2


def modules(name: str) -> SimpleNamespace:
    """The front end `xlac` or `jax`, by the names its programs import."""
    top = importlib.import_module(name)
    parts = {part: importlib.import_module(f"{name}.{part}") for part in ("numpy", "nn", "lax")}
    return SimpleNamespace(top=top, **parts)


def parameters(layers: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def matrix(*dims: int) -> np.ndarray:
        return rng.normal(0, 0.02, dims).astype(np.float32)

    def layer() -> dict[str, np.ndarray]:
        return {
            "scale1": np.ones(WIDTH, np.float32),
            "bias1": np.zeros(WIDTH, np.float32),
            "qkv": matrix(WIDTH, 3 * WIDTH),
            "out": matrix(WIDTH, WIDTH),
            "scale2": np.ones(WIDTH, np.float32),
            "bias2": np.zeros(WIDTH, np.float32),
            "up": matrix(WIDTH, 4 * WIDTH),
            "up_bias": np.zeros(4 * WIDTH, np.float32),
            "down": matrix(4 * WIDTH, WIDTH),
            "down_bias": np.zeros(WIDTH, np.float32),
        }

    return {
        "embed": matrix(VOCABULARY, WIDTH),
        "position": matrix(LENGTH, WIDTH),
        "layers": [layer() for _ in range(layers)],
    }


def step_of(m: SimpleNamespace) -> Callable[..., Any]:
    """A training step with Adam, written with a front end's functions."""
    jnp, nn, tree = m.numpy, m.nn, m.top.tree

    def layer_norm(x: Any, scale: Any, bias: Any) -> Any:
        mean = jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.var(x, axis=-1, keepdims=True)
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale + bias

    def attention(p: dict[str, Any], x: Any) -> Any:
        q, k, v = jnp.split(x @ p["qkv"], 3, axis=-1)
        q, k, v = (t.reshape(*t.shape[:-1], HEADS, -1).transpose(0, 2, 1, 3) for t in (q, k, v))
        scores = q @ k.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // HEADS)
        mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
        weights = nn.softmax(jnp.where(mask, scores, -1e9), axis=-1)
        mixed = (weights @ v).transpose(0, 2, 1, 3).reshape(x.shape)
        return mixed @ p["out"]

    def loss(params: dict[str, Any], tokens: Any) -> Any:
        x = params["embed"][tokens] + params["position"]
        for p in params["layers"]:
            x = x + attention(p, layer_norm(x, p["scale1"], p["bias1"]))
            h = layer_norm(x, p["scale2"], p["bias2"])
            x = x + nn.gelu(h @ p["up"] + p["up_bias"]) @ p["down"] + p["down_bias"]
        logits = nn.log_softmax(x @ params["embed"].T, axis=-1)
        targets = nn.one_hot(jnp.roll(tokens, -1, axis=1), VOCABULARY)
        return -jnp.mean(jnp.sum(logits * targets, axis=-1))

    def step(params: Any, first: Any, second: Any, t: Any, tokens: Any) -> Any:
        value, grads = m.top.value_and_grad(loss)(params, tokens)
        first = tree.map(lambda a, g: 0.9 * a + 0.1 * g, first, grads)
        second = tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, second, grads)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        params = tree.map(lambda p, a, b: p - rate * a / (jnp.sqrt(b) + 1e-8), params, first, second)
        return params, first, second, t + 1, value

    return step


def seconds(m: SimpleNamespace, arguments: tuple, clear: Callable[[], Any]) -> float:
    """Processor time of one trace."""
    clear()
    step = m.top.jit(step_of(m))
    start = time.process_time()
    step.trace(*arguments)
    return time.process_time() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--layers", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    ends: dict[str, tuple[SimpleNamespace, Callable[[], Any]]] = {"xlac": (modules("xlac"), lambda: None)}
    try:
        jax: ModuleType = importlib.import_module("jax")
        ends["JAX"] = modules("jax"), jax.clear_caches
    except ImportError:
        print("JAX is not installed: xlac alone")
    figures: dict[str, dict[str, float]] = {}
    for layers in options.layers:
        params = parameters(layers)
        zeros = ends["xlac"][0].top.tree.map(np.zeros_like, params)
        tokens = np.zeros((BATCH, LENGTH), np.int32)
        arguments = (params, zeros, zeros, np.float32(1), tokens)
        best = dict.fromkeys(ends, float("inf"))
        for _ in range(options.runs):
            for name, (m, clear) in ends.items():
                best[name] = min(best[name], seconds(m, arguments, clear))
        figures[str(layers)] = best
        row = "   ".join(f"{name} {1e3 * value:7.1f} ms" for name, value in best.items())
        ratio = f"   {best['xlac'] / best['JAX']:.2f} of JAX's time" if "JAX" in best else ""
        print(f"{layers:3d} layers   {row}{ratio}", flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
