"""What a call costs: compiled programs on arrays of 8 floats, beside NumPy, ctypes and (if installed) jax.jit.

python bench/dispatch.py [--seconds S] [--json FILE]

Each statement runs in short bursts that take turns with the others'; the best burst of each counts, so that other load
on the machine disturbs little. The kernels do next to nothing: what is measured is the way from Python to them and
back.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Case = tuple[str, str, dict[str, Any]]  # name, statement, its variables


def burst(statement: str, variables: dict[str, Any]) -> Callable[[int], float]:
    """A function that runs the statement about so many times and gives nanoseconds a run."""
    source = "def run(turns):\n    for _ in range(turns):\n" + f"        {statement}\n" * 10
    space = dict(variables)
    exec(source, space)
    run = space["run"]

    def timed(count: int) -> float:
        turns = max(1, count // 10)
        start = time.perf_counter_ns()
        run(turns)
        return (time.perf_counter_ns() - start) / (10 * turns)

    return timed


def measure(cases: list[Case], seconds: float) -> dict[str, float]:
    """Nanoseconds per run of each case's statement, the best of many bursts of about 0.2 ms."""
    bursts = {name: burst(statement, variables) for name, statement, variables in cases}
    for run in bursts.values():
        run(20)  # compiles
    best = {name: run(20) for name, run in bursts.items()}
    counts = {name: max(10, round(2e5 / ns)) for name, ns in best.items()}
    end = time.perf_counter() + seconds * len(cases)
    while time.perf_counter() < end:
        for name, run in bursts.items():
            best[name] = min(best[name], run(counts[name]))
    return best


def tree_of(arrays: list[Any]) -> dict[str, dict[str, Any]]:
    return {f"layer{i}": {"w": arrays[2 * i], "b": arrays[2 * i + 1]} for i in range(3)}


def numpy_cases(xs: list[np.ndarray]) -> list[Case]:
    x, y = xs[:2]
    return [
        ("Python: empty function", "f(x, y)", {"f": lambda x, y: None, "x": x, "y": y}),
        ("NumPy: x + y", "x + y", {"x": x, "y": y}),
        ("NumPy: np.add(x, y, out)", "f(x, y, o)", {"f": np.add, "x": x, "y": y, "o": np.empty_like(x)}),
    ]


def ctypes_cases(xs: list[np.ndarray]) -> list[Case]:
    """The same kernel through ctypes: with addresses at hand, and with those of the arrays given."""
    import xlac

    x, y = xs[:2]
    o = np.empty_like(x)
    compiled = xlac.jit(lambda x, y: x + y).lower(x, y).compile()
    entry, constants = compiled.executable._entry, compiled.executable._constant_table
    pointers = ctypes.c_void_p * 2
    inputs, outputs = pointers(x.ctypes.data, y.ctypes.data), pointers(o.ctypes.data)

    def call(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        entry(pointers(x.ctypes.data, y.ctypes.data), pointers(out.ctypes.data), constants, None)
        return out

    ready = {"f": entry, "a": inputs, "b": outputs, "c": constants, "keep": compiled}
    return [
        ("ctypes: addresses ready", "f(a, b, c, None)", ready),
        ("ctypes: x + y", "f(x, y)", {"f": call, "x": x, "y": y, "keep": compiled}),
    ]


def jit_cases(who: str, jit: Callable, as_array: Callable, wait: Callable | None, xs: list[Any]) -> list[Case]:
    """The same functions compiled by xlac and by jax; `wait` waits for a result."""
    xs = [as_array(x) for x in xs]
    tree = tree_of(xs)

    def case(name: str, function: Callable, call: str, **variables: Any) -> Case:
        compiled = jit(function)
        statement = f"f({call})" if wait is None else f"wait(f({call}))"
        return f"{who}: {name}", statement, {"f": compiled, "wait": wait, **variables}

    names = [f"x{i}" for i in range(20)]
    return [
        case("x + y", lambda x, y: x + y, "x, y", x=xs[0], y=xs[1]),
        case("x + y, y by keyword", lambda x, y: x + y, "x, y=y", x=xs[0], y=xs[1]),
        case("x + 2.5", lambda x, y: x + y, "x, 2.5", x=xs[0]),
        case("20 arrays -> 1", lambda *a: sum(a[1:], a[0]), ", ".join(names), **dict(zip(names, xs))),
        case("6 arrays in dictionaries -> 1", lambda p: sum(a for q in p.values() for a in q.values()), "p", p=tree),
        case("6 arrays in dictionaries -> same", update, "p", p=tree),
    ]


def update(p: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: {"w": q["w"] * 2, "b": q["b"] + 1} for name, q in p.items()}


def training_cases() -> list[Case]:
    """A step of training a network of four layers with Adam: 54 arrays in, 54 out, donated."""
    import xlac
    import xlac.numpy as xnp

    rng = np.random.default_rng(0)
    sizes = (4, 10, 20, 10, 3)
    layers = [{"w": rng.normal(size=s).astype("f4") / 2, "b": np.zeros(s[1], "f4")} for s in zip(sizes, sizes[1:])]
    state = [leaf for layer in layers for leaf in (layer["w"], layer["b"])]
    state = [np.array(a) for _ in range(6) for a in state] + [np.zeros((), "f4") for _ in range(6)]
    x, y = rng.normal(size=(32, 4)).astype("f4"), rng.integers(0, 3, 32)

    def loss(weights: list[Any], x: Any, y: Any) -> Any:
        h = x
        for i in range(0, 8, 2):
            h = h @ weights[i] + weights[i + 1]
            h = xnp.maximum(h, 0) if i < 6 else h
        h = h - xnp.max(h, axis=1, keepdims=True)
        rows = xnp.log(xnp.sum(xnp.exp(h), axis=1)) - xnp.sum(h * (y[:, None] == xnp.arange(3)), axis=1)
        return xnp.mean(rows)

    def step(*arrays: Any) -> tuple[Any, ...]:
        *state, x, y = arrays
        value, gradients = xlac.value_and_grad(loss)(state[:8], x, y)
        moved = [s * 0.9 + 0.1 * g for s, g in zip(state[8:48], gradients * 5)]
        weights = [w - 0.01 * m for w, m in zip(state[:8], moved)]
        return (*weights, *moved, *[c + value for c in state[48:]], value)

    train = xlac.jit(step, donate_argnums=tuple(range(54)))
    *state, _ = train(*state, x, y)
    arguments = {"f": train, "s": state, "x": x, "y": y}
    executable = next(iter(train._programs.values())).compiled.executable
    arrays = [*state, x, y]
    tables = executable._parameter_table(*[a.ctypes.data for a in arrays])
    results = [np.empty((), "f4")] if executable._aliases else []
    outputs = []
    for i, allocate in enumerate(executable._allocate):
        results.append(arrays[executable._aliases[i]] if i in executable._aliases else allocate())
        outputs.append(results[-1].ctypes.data)
    arena = np.empty(executable.program.arena_bytes + 128, np.uint8)
    kernels = {
        "f": executable._entry,
        "a": tables,
        "b": executable._result_table(*outputs),
        "c": executable._constant_table,
        "d": -(-arena.ctypes.data // 64) * 64,
        "keep": (arrays, results, arena, train),
    }
    return [
        ("xlac: training step, 54 arrays -> 54", "*r, v = f(*s, x, y)", arguments),
        ("ctypes: the training step's kernels alone", "f(a, b, c, d)", kernels),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.5, help="for each statement (default: %(default)s)")
    parser.add_argument("--json", help="write the results there, too")
    arguments = parser.parse_args()
    xs = [np.arange(8, dtype=np.float32) + i for i in range(20)]
    cases = numpy_cases(xs)
    try:
        import xlac
    except ImportError as error:
        print(f"without xlac: {error}", file=sys.stderr)
    else:
        cases += [*ctypes_cases(xs), *jit_cases("xlac", xlac.jit, np.asarray, None, xs), *training_cases()]
    try:
        import jax
    except ImportError:
        print("without jax: it is not installed", file=sys.stderr)
    else:
        cases += jit_cases("jax", jax.jit, jax.numpy.asarray, jax.block_until_ready, xs)
    best = measure(cases, arguments.seconds)
    for name, _, _ in cases:
        print(f"{name:45s} {best[name]:9.0f} ns", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(best, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
