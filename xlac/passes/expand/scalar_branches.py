"""conditional inside computations of scalars (reducers, comparators, ...): both branches and a choice.

Those computations become straight-line code at each element, where nothing is skipped.
"""

from __future__ import annotations

from xlac.ir.module import Computation, Instruction, Module, inline
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, leaves
from xlac.passes.expand.build import Array, constant
from xlac.passes.rewrite import control_computations


def expand_scalar_branches(module: Module) -> bool:
    """Replace conditionals of scalars in reducers, comparators and the like by selects; return whether any was."""
    control = set(control_computations(module))
    changed = False
    for computation in module.computations:
        if computation not in control:
            changed |= _expand(computation)
    return changed


def _expand(computation: Computation) -> bool:
    changed = False
    for instruction in computation.post_order():
        if instruction.opcode.name != "conditional":
            continue
        if not all(isinstance(s, ArrayShape) and not s.dims for s in leaves(instruction.shape)):
            continue
        new = _choice(instruction)
        computation.replace(instruction, new)
        computation.remove(instruction)
        changed = True
    return changed


def _choice(x: Instruction) -> Instruction:
    assert x.parent is not None
    index, *operands = x.operands
    results = [inline(c, x.parent, [o]) for c, o in zip(x["branch_computations"], operands)]
    chosen = results[-1]
    for i in reversed(range(len(results) - 1)):
        test = Array(index)
        # A pred chooses the first branch where it is true; a number out of range chooses the last.
        if test.type.kind != "p":
            test = test.compare("EQ", constant(test.type, i))
        chosen = _selected(test.node, results[i], chosen)
    return chosen


def _selected(test: Instruction, on_true: Instruction, on_false: Instruction) -> Instruction:
    if not isinstance(on_true.shape, TupleShape):
        return op.select.make(test, on_true, on_false)
    parts = [
        _selected(test, *(op.get_tuple_element.make(v, index=i) for v in (on_true, on_false)))
        for i in range(len(on_true.shape))
    ]
    return op.tuple.make(*parts)
