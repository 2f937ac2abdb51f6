"""Compute before a loop what is the same in each of its turns.

An instruction of the body is invariant if it depends only on elements of the state that the body leaves alone. Those
that take work and do not grow their operands are computed once, outside, and carried as further elements.
"""

from __future__ import annotations

from collections.abc import Iterable

from xlac.ir.module import Computation, Instruction, Module, is_pure
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape
from xlac.passes.rewrite import Names, control_computations
from xlac.passes.while_state import has_plain_state, invariant_elements

# Cheaper to do again than to store: these leave the loop only with what is made of them.
_CHEAP = frozenset(("broadcast", "iota", "reshape", "bitcast", "slice", "get-tuple-element", "tuple", "constant"))


def hoist(module: Module) -> bool:
    """Move invariant instructions of loops before them; return whether any was."""
    changed = False
    names: Names | None = None
    for computation in control_computations(module):
        for loop in [i for i in computation._instructions if i.opcode.name == "while"]:
            if has_plain_state(loop):
                found = _worth_moving(loop["body"], invariant_elements(loop))
                if found:
                    names = names or Names(module)
                    _move(loop, found, names)
                    changed = True
    return changed


def _worth_moving(body: Computation, elements: Iterable[int]) -> list[Instruction]:
    """The invariant instructions that others of the body use and that are worth an element of the state."""
    state, invariant = body.parameters[0], set(elements)
    if not invariant:
        return []
    fixed: set[Instruction] = set()
    known: dict[Computation, bool] = {}
    order = body.post_order()
    for x in order:
        if x.opcode.name == "get-tuple-element" and x.operands[0] is state:
            same = x["index"] in invariant
        else:
            same = x is not state and all(o in fixed for o in x.operands) and is_pure(x, known)
        if same and not x.control_predecessors:
            fixed.add(x)
    found: dict[Instruction, None] = {}
    seen: set[Instruction] = set()
    stack = [o for x in order if x not in fixed for o in x.operands if o in fixed]
    while stack:
        x = stack.pop()
        if x in seen:
            continue
        seen.add(x)
        if _takes_work(x):
            found[x] = None
        else:
            stack.extend(x.operands)
    return [x for x in order if x in found]


def _takes_work(x: Instruction) -> bool:
    if not isinstance(x.shape, ArrayShape) or x.opcode.name in _CHEAP:
        return False
    if x.opcode.elementwise and x.shape.size == 1:
        return False
    read = sum(o.shape.byte_size for o in x.operands if isinstance(o.shape, ArrayShape))
    return x.shape.byte_size <= read or any(isinstance(o.shape, TupleShape) for o in x.operands)


def _move(loop: Instruction, found: list[Instruction], names: Names) -> None:
    """Replace the loop by one whose state has these instructions' values as well."""
    outer = loop.parent
    assert outer is not None and isinstance(loop.shape, TupleShape)
    root, body, initial = outer.root, loop["body"], loop.operands[0]
    values: dict[Instruction, Instruction] = {}
    for x in _needed(found):
        if x.opcode.name == "get-tuple-element" and x.operands[0] is body.parameters[0]:
            values[x] = initial.operands[x["index"]]
        else:
            values[x] = outer.add(x.clone(values[o] for o in x.operands))
    shape = TupleShape((*loop.shape, *(x.shape for x in found)))
    places = {x: len(loop.shape) + i for i, x in enumerate(found)}
    new = op.while_.make(
        op.tuple.make(*initial.operands, *(values[x] for x in found)),
        condition=_widened(loop["condition"], shape, {}, names),
        body=_widened(body, shape, places, names),
    )
    new.metadata, new.extras = loop.metadata, loop.extras
    outer.add(new, loop.name)
    for user in list(loop.users):
        user.set_operand(0, new)
    outer.root = root
    outer.remove(loop)


def _needed(found: list[Instruction]) -> list[Instruction]:
    """The instructions and all that they depend on but the state, operands first."""
    result: dict[Instruction, None] = {}
    stack: list[tuple[Instruction, bool]] = [(x, False) for x in reversed(found)]
    while stack:
        x, ready = stack.pop()
        if ready:
            result[x] = None
        elif x not in result:
            stack.append((x, True))
            if x.opcode.name != "get-tuple-element" or x.operands[0].opcode.name != "parameter":
                stack.extend((o, False) for o in x.operands)
    return list(result)


def _widened(old: Computation, shape: TupleShape, places: dict[Instruction, int], names: Names) -> Computation:
    """A copy of a loop's computation for the larger state, from which it reads the instructions with `places`.

    A body gives those elements back as they are.
    """
    new = Computation(names.fresh(old.name))
    state = new.parameter(shape, old.parameters[0].name)
    copies = {old.parameters[0]: state}
    for x in old.post_order():
        if x in places:
            copies[x] = new.add(op.get_tuple_element.make(state, index=places[x]))
        elif x not in copies:
            copy = x.clone(copies[o] for o in x.operands)
            copy.control_predecessors = tuple(copies[o] for o in x.control_predecessors)
            copies[x] = new.add(copy)
    new.root = copies[old.root]
    if places:
        more = [op.get_tuple_element.make(state, index=i) for i in places.values()]
        new.root = new.add(op.tuple.make(*new.root.operands, *more))
    new.remove_dead()
    return new
