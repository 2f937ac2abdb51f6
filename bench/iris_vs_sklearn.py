"""Training on iris against scikit-learn: the same network, Adam, mini-batches and number of steps, in one run.

Both sides train a 4-10-20-10-3 relu network on the same 70 percent of the rows, in the same order of mini-batches:
DNNClassifier.fit, tracing and compiling included, and MLPClassifier.partial_fit once a batch. Rounds alternate between
them. The first round may have to compile what later rounds find in a cache, so the first and the median are both shown.
Accuracy is of the other 30 percent, the mean over as many seeds as there are.

    python bench/iris_vs_sklearn.py [--steps 2000] [--rounds 5] [--seeds 10]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))

from iris_dnn import load_iris, split  # noqa: E402

from xlac.estimator import ArrayInput, DNNClassifier  # noqa: E402

HIDDEN = (10, 20, 10)
BATCH = 32
LEARNING_RATE = 3e-3


def train_xlac(x: np.ndarray, y: np.ndarray, steps: int, seed: int) -> DNNClassifier:
    model = DNNClassifier(HIDDEN, 3, learning_rate=LEARNING_RATE, batch_size=BATCH, seed=seed, progress=False)
    return model.fit(x, y, steps=steps)


def train_sklearn(x: np.ndarray, y: np.ndarray, steps: int, seed: int):
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        HIDDEN, solver="adam", alpha=0.0, batch_size=BATCH, learning_rate_init=LEARNING_RATE, random_state=seed
    )
    classes = np.unique(y)
    batches = ArrayInput(x, y, BATCH, True, seed).stream()
    for _ in range(steps):
        features, labels = next(batches)
        model.partial_fit(features, labels, classes=classes)
    return model


TRAINERS = {"xlac DNNClassifier": train_xlac, "scikit-learn MLPClassifier": train_sklearn}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000, help="training steps (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="alternations that are timed (default: %(default)s)")
    parser.add_argument(
        "--seeds", type=int, default=10, help="seeds the accuracy is the mean of (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        import sklearn
    except ImportError:
        sys.exit("this comparison needs scikit-learn: pip install scikit-learn")
    warnings.filterwarnings("ignore", module="sklearn")
    features, species = load_iris()
    labels = np.unique(species, return_inverse=True)[1].astype(np.int32)
    names = list(TRAINERS)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    accuracy: dict[str, list[float]] = {name: [] for name in names}
    for number in range(max(options.rounds, options.seeds)):
        x_train, y_train, x_test, y_test = split(features, labels, number)
        for name in names if number % 2 == 0 else names[::-1]:
            start = time.perf_counter()
            model = TRAINERS[name](x_train, y_train, options.steps, number)
            took = time.perf_counter() - start
            if number < options.rounds:
                seconds[name].append(took)
            if number < options.seeds:
                accuracy[name].append(float(np.mean(model.predict(x_test) == y_test)))
    print(f"{options.steps} steps of {BATCH} rows, NumPy {np.__version__}, scikit-learn {sklearn.__version__}")
    print(f"{'':28}{'first s':>9}{'median s':>10}{'min s':>8}{'steps/s':>9}{'accuracy':>10}{'worst':>8}")
    for name in names:
        median = statistics.median(seconds[name])
        print(
            f"{name:28}{seconds[name][0]:9.3f}{median:10.3f}{min(seconds[name]):8.3f}{options.steps / median:9.0f}"
            f"{np.mean(accuracy[name]):10.4f}{min(accuracy[name]):8.4f}"
        )
    ratio = statistics.median(seconds[names[1]]) / statistics.median(seconds[names[0]])
    print(f"scikit-learn takes {ratio:.2f} times as long (medians of {options.rounds} alternations)")


if __name__ == "__main__":
    main()
