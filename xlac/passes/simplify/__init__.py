"""Algebraic simplification: the rules of all families, applied until none fits."""

from __future__ import annotations

from functools import lru_cache

from xlac.ir.match import Rule
from xlac.ir.module import Computation, Module
from xlac.passes.rewrite import RuleIndex, index_rules, rewrite
from xlac.passes.simplify import arithmetic, control, conversion, dot, logic, movement, reduction

__all__ = ["RULES", "arithmetic", "control", "conversion", "dot", "logic", "movement", "reduction", "simplify"]

RULES: tuple[Rule, ...] = tuple(Rule.all)


@lru_cache(maxsize=2)
def _index(inexact: bool) -> RuleIndex:
    return index_rules(RULES, inexact=inexact)


def simplify(module: Module, *, inexact: bool = False) -> bool:
    """Apply every exact rule (and with `inexact` the others) to each computation; return whether any fitted."""
    changed = False
    pure: dict[Computation, bool] = {}
    for computation in module.computations:
        changed |= rewrite(computation, _index(inexact), pure)
    return changed
