"""Remove what no result and no effect depends on. Parameters stay, since callers pass them by number."""

from __future__ import annotations

from xlac.ir.module import Computation, Module


def dce(module: Module) -> bool:
    """Remove dead instructions from every computation; return whether any was removed."""
    changed = False
    pure: dict[Computation, bool] = {}
    for computation in module.computations:
        changed |= computation.remove_dead(pure)
    return changed
