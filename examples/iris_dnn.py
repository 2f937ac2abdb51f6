"""Iris flowers told apart by a network of 4-10-20-10-3 units, trained twice: by DNNClassifier, and by a jitted loop.

python examples/iris_dnn.py [--steps 2000] [--seed 0]
"""

from __future__ import annotations

import argparse
import csv
import re
import time
from pathlib import Path

import numpy as np

import xlac
import xlac.numpy as xnp
from xlac.estimator import DNNClassifier

HIDDEN = (10, 20, 10)
BATCH = 32
LEARNING_RATE = 0.003


def load_iris() -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [150, 4] and species names [150]."""
    with open(Path(__file__).with_name("iris.csv"), newline="") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    names = ("sepal_length", "sepal_width", "petal_length", "petal_width")
    features = np.array([[float(row[name]) for name in names] for row in rows], np.float32)
    return features, np.array([row["species"] for row in rows])


def split(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training and test rows, 70 to 30 percent, shuffled."""
    order = np.random.default_rng(seed).permutation(len(x))
    test, train = np.split(order, [round(0.3 * len(x))])
    return x[train], y[train], x[test], y[test]


def sparkline(values: np.ndarray, width: int = 60) -> str:
    """A curve as a line of text: mean values of `width` stretches, on a logarithmic scale."""
    means = np.log([part.mean() for part in np.array_split(values, min(width, len(values)))])
    level = (means - means.min()) / max(float(np.ptp(means)), 1e-12)
    return "".join("▁▂▃▄▅▆▇█"[round(7 * v)] for v in level)


def initial_parameters(seed: int, sizes: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Kernels, Glorot uniform, and biases, 0."""
    rng = np.random.default_rng(seed)
    bounds = [(6.0 / (m + n)) ** 0.5 for m, n in zip(sizes, sizes[1:])]
    return [
        (rng.uniform(-b, b, (m, n)).astype(np.float32), np.zeros(n, np.float32))
        for m, n, b in zip(sizes, sizes[1:], bounds)
    ]


def logits(parameters, x):
    """The network, in plain NumPy style."""
    *hidden, (kernel, bias) = parameters
    for w, b in hidden:
        x = xnp.maximum(x @ w + b, 0)
    return x @ kernel + bias


def loss(parameters, x, y):
    """Mean cross entropy; y are class numbers."""
    z = logits(parameters, x)
    z = z - xnp.max(z, axis=1, keepdims=True)
    log_probabilities = z - xnp.log(xnp.sum(xnp.exp(z), axis=1, keepdims=True))
    hit = y[:, None] == xnp.arange(3, dtype=y.dtype)
    return -xnp.mean(xnp.sum(xnp.where(hit, log_probabilities, 0), axis=1))


def train_step(parameters, m, v, t, x, y):
    """One step of Adam; returns the new parameters, moments and step, and the loss."""
    value, gradients = xlac.value_and_grad(loss)(parameters, x, y)
    t = t + 1
    m = xlac.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = xlac.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradients)
    rate = LEARNING_RATE * xnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    parameters = xlac.tree.map(lambda p, m, v: p - rate * m / (xnp.sqrt(v) + 1e-8), parameters, m, v)
    return parameters, m, v, t, value


def train_by_hand(x: np.ndarray, y: np.ndarray, steps: int, seed: int):
    """Parameters, the loss of each step, and the compiled step."""
    parameters = initial_parameters(seed, (x.shape[1], *HIDDEN, 3))
    m, v = (xlac.tree.map(np.zeros_like, parameters) for _ in range(2))
    t = np.float32(0)
    compiled = xlac.jit(train_step, donate_argnums=(0, 1, 2)).lower(parameters, m, v, t, x[:BATCH], y[:BATCH]).compile()
    rng = np.random.default_rng(seed)
    curve = []
    while len(curve) < steps:
        order = rng.permutation(len(x))
        for start in range(0, len(x) - BATCH + 1, BATCH)[: steps - len(curve)]:
            rows = order[start : start + BATCH]
            parameters, m, v, t, value = compiled(parameters, m, v, t, x[rows], y[rows])
            curve.append(float(value))
    return parameters, np.array(curve), compiled


def sizes(text: str) -> str:
    """How many instructions a module has, and how many of them are fusions, from its text."""
    entry = text[text.index("ENTRY") :]
    count = len(re.findall(r"^\s+(?:ROOT )?%?[\w.-]+ = ", entry, re.M))
    fusions = len(re.findall(r"= .*\bfusion\(", entry))
    return f"{count} instructions" + (f", {fusions} of them fusions" if fusions else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="training steps (default: %(default)s)")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the split, the weights and the order (default: %(default)s)"
    )
    options = parser.parse_args()
    if options.steps < 1 or options.seed < 0:
        parser.error("--steps must be 1 or more, --seed 0 or more")
    x_train, species_train, x_test, species_test = split(*load_iris(), options.seed)

    print(f"DNNClassifier, {options.steps} steps of {BATCH} rows")
    start = time.perf_counter()
    classifier = DNNClassifier(HIDDEN, n_classes=3, learning_rate=LEARNING_RATE, batch_size=BATCH, seed=options.seed)
    classifier.fit(x_train, species_train, steps=options.steps)
    seconds = time.perf_counter() - start
    result = classifier.evaluate(x_test, species_test)
    print(f"  test accuracy {result['accuracy']:.3f}, loss {result['loss']:.3f}; {seconds:.2f} s with compilation")
    print(f"  a flower of {x_test[0].tolist()} cm is {classifier.predict(x_test[:1])[0]}")

    print("the same by xlac.jit and xlac.value_and_grad")
    classes, y_train = np.unique(species_train, return_inverse=True)
    start = time.perf_counter()
    parameters, curve, compiled = train_by_hand(x_train, y_train.astype(np.int32), options.steps, options.seed)
    seconds = time.perf_counter() - start
    guess = classes[np.argmax(xlac.jit(logits)(parameters, x_test), axis=1)]
    print(f"  test accuracy {np.mean(guess == species_test):.3f}; {seconds:.2f} s with compilation")
    print(f"  a training step as traced:    {sizes(compiled.as_text('hlo'))}")
    print(f"  a training step as optimised: {sizes(compiled.as_text('optimized'))}")
    print(f"  loss {curve[0]:.3f} {sparkline(curve)} {curve[-1]:.3f}")


if __name__ == "__main__":
    main()
