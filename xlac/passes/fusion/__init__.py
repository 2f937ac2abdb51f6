"""Decide what is computed together: group instructions into `fusion` instructions, each of which becomes one kernel.

    classify.py   what an opcode costs, and whether it can be fused at all
    group.py      producers join their consumers, where that computes nothing twice that is dear
    merge.py      groups over the same loop become one group with several outputs
    emit.py       groups become `fusion` instructions

Fusions that are there already are left as they are. Reducers, comparators and fused computations are not looked into.
"""

from __future__ import annotations

from xlac.ir.module import Module
from xlac.passes.fusion.emit import emit_groups
from xlac.passes.fusion.group import form_groups
from xlac.passes.fusion.merge import merge_groups
from xlac.passes.rewrite import Names, control_computations

__all__ = ["fusion"]


def fusion(module: Module) -> bool:
    """Fuse in the entry and in every loop's and branch's computation; return whether anything was fused."""
    changed = False
    names = Names(module)
    for computation in control_computations(module):
        if not computation.has_control:
            groups = form_groups(computation)
            merge_groups(groups)
            changed |= emit_groups(groups, names)
    return changed
