"""`xlac.custom_derivatives`: functions with derivative rules of their own, and what such rules are made with."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.custom import custom_jvp, custom_vjp
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.tree_util import Partial

__all__ = ["closure_convert", "custom_gradient", "custom_jvp", "custom_vjp"]


def closure_convert(fun: Callable[..., Any], *example_args: Any) -> tuple[Callable[..., Any], list[Any]]:
    """`fun` as a function that reads no traced values from outside, and the values that it read.

    Args:
      fun: a function of arrays and containers of them.
      example_args: what it is to be called with; values do not matter.
    Returns: (function, values), where `function(*args, *values)` is `fun(*args)`.
    """
    active = trace.current()
    if active is None:
        return fun, []
    leaves, structure = tree.flatten(example_args)
    tracers = [lift(x) for x in leaves]
    specs = [(x._instruction.shape, x.weak_type) for x in tracers]
    region = trace.record_region(
        getattr(fun, "__name__", "closure"), fun, specs, lambda parts: tree.unflatten(structure, parts)
    )
    count = len(example_args)

    def converted(*args: Any) -> Any:
        given, nesting = tree.flatten(args[:count])
        if nesting != structure:
            raise trace.trace_error(f"closure_convert: arguments are nested as {nesting}, the example as {structure}")
        if trace.current() is None:
            from xlac.frontend.jit import run_once

            return run_once(converted, region.trace.computation.name, args)
        inner = trace.active()
        values = [lift(x) for x in (*given, *args[count:])]
        mapping = {p: inner.use(v) for p, v in zip(region.parameters, values)}
        made = [Tracer(inner, i, w) for i, w in zip(trace.replay(region.outputs, mapping), region.weak)]
        return tree.unflatten(region.structure, made)

    return converted, [Tracer(active, c) for c in region.captured]


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose result comes with its reverse rule: `fun(*args)` gives (result, rule).

    `rule(cotangent)` gives the arguments' cotangents: one value for a single argument, else a tuple.

    >>> @xlac.custom_gradient
    ... def f(x):
    ...     return x**2, lambda g: g * x
    >>> xlac.grad(f)(3.0)
    array(3., dtype=float32)
    """

    @functools.wraps(fun)
    def value(*args: Any, **kwargs: Any) -> Any:
        return fun(*args, **kwargs)[0]

    ruled = custom_vjp(value)

    def fwd(*args: Any) -> tuple[Any, Partial]:
        result, rule = fun(*args)
        converted, read = closure_convert(rule, result)
        return result, Partial(converted, *read)

    def bwd(rule: Partial, cotangent: Any) -> tuple:
        # The values that the rule reads come behind its argument.
        made = rule.func(cotangent, *rule.args)
        return tuple(made) if isinstance(made, (tuple, list)) else (made,)

    ruled.defvjp(fwd, bwd)
    return ruled
