"""`xlac.custom_batching`: functions whose rule for `vmap` is given: `custom_vmap`, `sequential_vmap`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.batching import Batched
from xlac.frontend.custom import nested_call
from xlac.frontend.forward import name_of
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction

__all__ = ["custom_vmap", "sequential_vmap"]


@dataclass
class CustomVmap:
    """The note of a call with a rule for examples.

    Attributes:
      rule: (number of examples, whether each leaf is mapped, leaves) -> results, and whether each is mapped.
      count: how many operands are arguments; the rest is captured.
      name: the function's name.
    """

    rule: Callable[[int, list[bool], list[Tracer]], tuple[list[Tracer], list[bool]]]
    count: int
    name: str

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> Any:
        from xlac.frontend.jvp_rules import RULES

        return RULES["call"](instruction, tangents, moved)

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> Any:
        from xlac.frontend.vjp_rules import RULES

        return RULES["call"](instruction, cotangent, needed)

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        if any(v.axis is not None for v in values[self.count :]):
            raise trace.trace_error(
                f"{self.name} reads a variable of the surrounding function that differs between examples; its vmap "
                "rule knows of its arguments only, so pass the variable as one"
            )
        given = values[: self.count]
        arguments = [v.value if v.axis is None else v.front(size) for v in given]
        results, mapped = self.rule(size, [v.axis is not None for v in given], arguments)
        return [Batched(r, 0 if m else None) for r, m in zip(results, mapped)]


class custom_vmap:
    """A function whose rule for `vmap` is given by `def_vmap`; derivatives are those of the function itself.

    >>> @xlac.custom_batching.custom_vmap
    ... def double(x):
    ...     return 2 * x
    >>> @double.def_vmap
    ... def rule(axis_size, in_batched, x):
    ...     return x + x, in_batched[0]
    >>> xlac.vmap(double)(np.arange(3.0))
    array([0., 2., 4.])
    """

    def __init__(self, fun: Callable[..., Any]) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.vmap_rule: Callable[..., Any] | None = None

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Set the rule; usable as a decorator.

        Args:
          vmap_rule: `rule(axis_size, in_batched, *args)` gets the arguments with the examples along dimension 0 of
            those that `in_batched`, nested as they are, says differ between examples; it gives the result and, nested
            as it, whether its leaves have the examples along dimension 0 or are the same for all.
        """
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = name_of(self.fun)
        if self.vmap_rule is None:
            raise trace.trace_error(f"{name} has no vmap rule yet; set one with def_vmap")
        if trace.current() is None:
            return self.fun(*args, **kwargs)
        if kwargs:
            raise trace.trace_error(f"{name}: functions with a vmap rule take their arguments by position")
        rule = self.vmap_rule
        leaves, structure = tree.flatten(args)

        def batched(size: int, mapped: list[bool], arrays: list[Tracer]) -> tuple[list[Tracer], list[bool]]:
            pair = rule(size, list(tree.unflatten(structure, mapped)), *tree.unflatten(structure, arrays))
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise trace.trace_error(f"the vmap rule of {name} must give a pair (result, out_batched)")
            found, nesting = tree.flatten(pair[0])
            flags = tree.leaves(tree.broadcast(pair[1], pair[0]))
            if nesting != shapes[0]:
                raise trace.trace_error(f"the vmap rule of {name} gives {nesting}; the function gives {shapes[0]}")
            return [lift(x) for x in found], [bool(f) for f in flags]

        results, nesting = nested_call(
            name,
            leaves,
            lambda given: self.fun(*tree.unflatten(structure, given)),
            CustomVmap(batched, len(leaves), name),
        )
        shapes = [nesting]
        return tree.unflatten(nesting, results)


def sequential_vmap(f: Callable[..., Any]) -> custom_vmap:
    """The function, which `vmap` calls for one example after the other, in a loop."""
    mapped = custom_vmap(f)

    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        from xlac import lax

        leaves, structure = tree.flatten(args)
        flags = tree.leaves(in_batched)

        def one(moving: list[Any]) -> Any:
            found = iter(moving)
            return f(*tree.unflatten(structure, [next(found) if m else x for x, m in zip(leaves, flags)]))

        made = lax.map(one, [x for x, m in zip(leaves, flags) if m])
        return made, tree.map(lambda _: True, made)

    mapped.def_vmap(rule)
    return mapped
