"""Tuples taken apart again, branches whose choice is known, loops that never run."""

from __future__ import annotations

from xlac.ir.counting import counted_end
from xlac.ir.match import Any, Constant, op, rule, scalar
from xlac.ir.module import Instruction, inline
from xlac.ir.ops.control import chosen_branch
from xlac.ir.shape import ArrayShape, TupleShape

x, c = Any("x"), Constant("c")


@rule(op.get_tuple_element(op.tuple(name="made")))
def element_of_tuple(root, made):
    """get-tuple-element(tuple(..., x, ...)) = x."""
    return made.operands[root["index"]]


@rule(op.tuple())
def tuple_of_elements(root):
    """tuple(get-tuple-element(x, 0), ..., get-tuple-element(x, n - 1)) = x for x of n elements."""
    if not root.operands or root.operands[0].opcode is not op.get_tuple_element:
        return None
    x = root.operands[0].operands[0]
    if not isinstance(x.shape, TupleShape) or len(x.shape) != len(root.operands):
        return None
    # A loop's state stays a tuple of its elements, so that passes see what is carried.
    if x.opcode.name == "parameter" and root.is_root or any(u.opcode is op.while_ for u in root.users):
        return None
    whole = all(
        e.opcode is op.get_tuple_element and e.operands[0] is x and e["index"] == i for i, e in enumerate(root.operands)
    )
    return x if whole else None


@rule(op.conditional())
def conditional_on_constant(root):
    """A branch that is always taken takes the conditional's place."""
    index = root.operands[0]
    if index.opcode is not op.constant:
        return None
    branches = root["branch_computations"]
    chosen = chosen_branch(index["literal"], len(branches))
    return _inlined(root, branches[chosen], root.operands[1 + chosen])


@rule(op.conditional())
def conditional_of_same(root):
    """Branches that are one computation of one operand make no choice."""
    branches, operands = root["branch_computations"], root.operands[1:]
    if any(b is not branches[0] for b in branches) or any(o is not operands[0] for o in operands):
        return None
    return _inlined(root, branches[0], operands[0])


@rule(op.while_(x))
def while_never(root, x):
    """A loop whose condition is false from the start gives its initial state."""
    test = root["condition"].root
    return x if test.opcode is op.constant and not test["literal"] else None


@rule(op.while_(Constant("first")))
def while_that_counts(root, first):
    """A loop that steps an integer by a constant until it fails a comparison gives the integer it ends with."""
    if not isinstance(root.shape, ArrayShape) or root.shape.dims or not root.shape.element_type.is_integer:
        return None
    end = counted_end(root["condition"], root["body"], int(first["literal"]))
    return None if end is None else scalar(end, root.shape.element_type)


def _inlined(root: Instruction, branch, operand: Instruction) -> Instruction:
    assert root.parent is not None
    return inline(branch, root.parent, [operand])
