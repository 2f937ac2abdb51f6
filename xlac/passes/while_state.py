"""Shrink what `while` carries: elements nothing reads go, elements the body leaves alone are read from outside.

An element that the body returns as it got it has its initial value throughout. Where that value is a constant,
condition and body get the constant itself; and outside the loop it is always the initial value that is read.
"""

from __future__ import annotations

from collections import Counter

from xlac.ir.match import splat_value
from xlac.ir.module import Computation, Instruction, Module, inline, is_pure
from xlac.ir.opcode import op
from xlac.ir.shape import TupleShape
from xlac.passes.rewrite import Names, control_computations


def while_state(module: Module) -> bool:
    """Drop dead and forward invariant elements of every loop's state; return whether any loop changed."""
    changed = False
    names: Names | None = None
    callers: Counter[Computation] | None = None
    for computation in control_computations(module):
        for loop in [i for i in computation._instructions if i.opcode.name == "while"]:
            if has_plain_state(loop):
                callers = callers or _callers(module)
                # Condition and body may have other callers, which must not see them change.
                changed |= _forward_invariant(loop, shared=any(callers[c] > 1 for c in loop.called))
                live = _live_elements(loop)
                if len(live) < len(loop.shape):  # type: ignore[arg-type]
                    names = names or Names(module)
                    _keep(loop, live, names)
                    changed = True
    return changed


def has_plain_state(loop: Instruction) -> bool:
    """Whether the state is a tuple that is built, read and returned element by element, and no effect depends on
    order."""
    body, condition = loop["body"], loop["condition"]
    return (
        isinstance(loop.shape, TupleShape)
        and loop.operands[0].opcode.name == "tuple"
        and body.root.opcode.name == "tuple"
        and all(u.opcode.name == "get-tuple-element" for c in (body, condition) for u in c.parameters[0].users)
        and all(u.opcode.name == "get-tuple-element" for u in loop.users)
        and condition.root is not condition.parameters[0]
        and not loop.is_root
        and loop.parent is not None
        and not any(c.has_control for c in (body, condition, loop.parent))
    )


def _readers(computation: Computation) -> dict[int, list[Instruction]]:
    """The get-tuple-elements of the computation's state, by index."""
    result: dict[int, list[Instruction]] = {}
    for user in computation.parameters[0].users:
        result.setdefault(user["index"], []).append(user)
    return result


def invariant_elements(loop: Instruction) -> list[int]:
    """The elements that the body returns as it got them."""
    body = loop["body"]
    return [
        i
        for i, x in enumerate(body.root.operands)
        if x.opcode.name == "get-tuple-element" and x.operands[0] is body.parameters[0] and x["index"] == i
    ]


def _forward_invariant(loop: Instruction, *, shared: bool) -> bool:
    changed = False
    outer = loop.parent
    assert outer is not None
    invariant = invariant_elements(loop)
    for user in list(loop.users):
        if user["index"] in invariant and (user.users or user.is_root):
            outer.replace(user, loop.operands[0].operands[user["index"]])
            changed = True
    if shared:
        return changed
    body = loop["body"]
    for i in invariant:
        initial = loop.operands[0].operands[i]
        if initial.opcode.name != "constant" and splat_value(initial) is None:
            continue
        for computation in (body, loop["condition"]):
            for reader in _readers(computation).get(i, ()):
                for user in list(reader.users):
                    # The body's root keeps returning the element it got; that is what makes it invariant, and dead.
                    if user is not body.root or any(x is reader for k, x in enumerate(user.operands) if k != i):
                        _read_instead(computation, reader, user, i, initial)
                        changed = True
                if reader.is_root:
                    computation.replace(reader, _copy_constant(computation, initial))
                    changed = True
    return changed


def _read_instead(
    computation: Computation, reader: Instruction, user: Instruction, index: int, initial: Instruction
) -> None:
    value = _copy_constant(computation, initial)
    for k, operand in enumerate(user.operands):
        if operand is reader and not (user is computation.root and user.opcode.name == "tuple" and k == index):
            user.set_operand(k, value)


def _copy_constant(computation: Computation, constant: Instruction) -> Instruction:
    root = computation.root
    copy = computation.add(constant.clone(x.clone() for x in constant.operands))
    computation.root = root
    return copy


def _callers(module: Module) -> Counter[Computation]:
    """How often each computation is called."""
    return Counter(c for computation in module.computations for i in computation._instructions for c in i.called)


def _live_elements(loop: Instruction) -> list[int]:
    """The elements that the loop's readers, its condition, or an effect in it depend on, through any number of
    iterations."""
    body, condition = loop["body"], loop["condition"]
    live = {u["index"] for u in loop.users}
    live |= _needed(condition, [condition.root])
    live |= _needed(body, [])
    while True:
        more = live | _needed(body, [body.root.operands[i] for i in live])
        if more == live:
            return sorted(live)
        live = more


def _needed(computation: Computation, roots: list[Instruction]) -> set[int]:
    """The elements of the state that `roots` and the computation's effects depend on."""
    state = computation.parameters[0]
    stack = [*roots, *(i for i in computation._instructions if not is_pure(i))]
    seen: set[Instruction] = set()
    result: set[int] = set()
    while stack:
        top = stack.pop()
        if top in seen:
            continue
        seen.add(top)
        if top.opcode.name == "get-tuple-element" and top.operands[0] is state:
            result.add(top["index"])
        else:
            stack.extend(top.operands)
    return result


def _keep(loop: Instruction, live: list[int], names: Names) -> None:
    """Replace the loop by one that carries only the elements `live`."""
    outer = loop.parent
    assert outer is not None and isinstance(loop.shape, TupleShape)
    shape = TupleShape(tuple(loop.shape[i] for i in live))
    condition = _narrowed(loop["condition"], loop.shape, shape, live, names)
    body = _narrowed(loop["body"], loop.shape, shape, live, names)
    initial = loop.operands[0]
    new = op.while_.make(op.tuple.make(*(initial.operands[i] for i in live)), condition=condition, body=body)
    new.metadata, new.extras = loop.metadata, loop.extras
    root = outer.root
    outer.add(new, loop.name)
    for user in list(loop.users):
        element = outer.add(op.get_tuple_element.make(new, index=live.index(user["index"])))
        outer.root = root
        outer.replace(user, element)
        root = outer.root
        outer.remove(user)
    outer.root = root
    outer.remove(loop)


def _narrowed(old: Computation, wide: TupleShape, narrow: TupleShape, live: list[int], names: Names) -> Computation:
    """A copy of a loop's computation for the smaller state; a body returns the live elements only."""
    new = Computation(names.fresh(old.name))
    state = new.parameter(narrow, old.parameters[0].name)
    elements: list[Instruction] = []
    for i, shape in enumerate(wide):
        if i in live:
            elements.append(op.get_tuple_element.make(state, index=live.index(i)))
        else:
            # Read only by what becomes dead; a stand-in of the right shape keeps the copy well formed until then.
            elements.append(Instruction(op.tuple, shape, ()))
    whole = Instruction(op.tuple, wide, elements)
    root = inline(old, new, [whole])
    if root.shape == wide:
        root = new.add(op.tuple.make(*(root.operands[i] for i in live)))
    new.root = root
    for instruction in list(new._instructions):
        if instruction.opcode.name == "get-tuple-element" and instruction.operands[0] is whole:
            new.replace(instruction, elements[instruction["index"]])
    new.remove_dead()
    return new
