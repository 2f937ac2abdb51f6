"""Control flow as Python, for `disable_jit`: the functions of `control.py` on concrete arrays, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import tree


def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    state = _arrays(init_val)
    while bool(cond_fun(state)):
        state = body_fun(state)
    return state


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, *, unroll: Any = None) -> Any:
    state = _arrays(init_val)
    for i in range(int(lower), int(upper)):
        state = body_fun(_arrays(i), state)
    return state


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    import xlac.numpy as xnp
    from xlac.frontend import control

    found, nesting = tree.flatten(_arrays(xs))
    count = len(found[0]) if found else length
    if not count or any(x.shape[:1] != (count,) for x in found):
        with_trace = control.scan.__wrapped__  # type: ignore[attr-defined]
        return _traced(lambda: with_trace(f, init, xs, length, reverse))
    carry, ys = _arrays(init), []
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, tree.unflatten(nesting, [x[i] for x in found]))
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map(lambda *parts: xnp.stack(parts), *ys)


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    return (true_fun if bool(pred) else false_fun)(*_arrays(operands))


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    return branches[int(np.clip(index, 0, len(branches) - 1))](*_arrays(operands))


def _arrays(value: Any) -> Any:
    """The leaves as arrays, as traced functions see them."""
    import xlac.numpy as xnp

    return tree.map(xnp.asarray, value)


def _traced(function: Callable[[], Any]) -> Any:
    """What has no steps, or is wrong: as it is compiled, with its shapes and errors."""
    from xlac.frontend.eager import run_program

    return run_program(function, "scan")
