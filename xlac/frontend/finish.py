"""The end of tracing: the module of a recorded program, without markers, dead code and effects of copies."""

from __future__ import annotations

from collections.abc import Sequence

from xlac.frontend.trace import Trace
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import Kind, op
from xlac.ir.shape import TOKEN, TupleShape


def finish(trace: Trace, outputs: Sequence[Instruction], donated: Sequence[int] = ()) -> Module:
    """The module of a closed root trace: markers and dead code removed, the root set."""
    entry = trace.computation
    outputs = [trace.session.resolve(o) for o in outputs]
    # Rules of derivatives replace calls, loops and branches by others; the effects of the old ones are in the new ones.
    needed = [trace.session.resolve(v) for v in trace.effects.values()]
    if len(outputs) == 1:
        entry.root = outputs[0]
    else:
        root = op.tuple.make(*outputs)
        entry.add(root)
        entry.root = root
    module = Module(f"jit_{module_name(trace.session.name)}", entry)
    for computation in module.computations:
        strip_copies(computation)
    for computation in module.computations:
        computation.keep([computation.root, *(needed if computation is entry else ())])
    if any(x.opcode is op.after_all for x in entry):
        _drop_unread_effects(entry, needed)
    module.donated = tuple(donated)
    return module


def _drop_unread_effects(computation: Computation, needed: Sequence[Instruction]) -> None:
    """Take the effects out of loops, branches and calls whose token nothing needs.

    They are copies that derivatives compute values by, beside those whose effects take place.
    """
    computation.keep([computation.root, *needed])
    for x in reversed(computation.post_order()):
        if x.opcode.name not in ("while", "conditional", "call") or x.parent is not computation:
            continue
        read = {u["index"] for u in x.users if u.opcode.name == "get-tuple-element"}
        tokens = [i for i, s in enumerate(x.shape) if s == TOKEN] if isinstance(x.shape, TupleShape) else []
        unread = [i for i in tokens if i not in read]
        if unread == tokens and _take_tokens_away(x):
            computation.keep([computation.root, *needed])
        for name, attr in x.opcode.attrs.items():
            value = x.attrs[name]
            if name == "condition" or value is None:
                continue
            if attr.kind is Kind.COMPUTATION:
                x.attrs[name] = _without_tokens(value, unread)
            elif attr.kind is Kind.COMPUTATIONS:
                x.attrs[name] = tuple(_without_tokens(c, unread) for c in value)


def _take_tokens_away(x: Instruction) -> bool:
    """Let a loop, branch or call take tokens that depend on nothing; return whether it took others."""
    computation = x.parent
    assert computation is not None
    root = computation.root
    changed = False
    for k, operand in enumerate(x.operands):
        given = operand.operands if operand.opcode is op.tuple else (operand,)
        if any(y.shape == TOKEN and y.opcode is not op.after_all for y in given):
            parts = [op.after_all.make() if y.shape == TOKEN else y for y in given]
            x.set_operand(k, computation.add(op.tuple.make(*parts) if operand.opcode is op.tuple else parts[0]))
            changed = True
    computation.root = root
    return changed


def _without_tokens(callee: Computation, unread: Sequence[int]) -> Computation:
    """A copy whose results with these numbers are tokens that depend on nothing, so that no effect is left for them."""
    copy = callee.clone() if unread else callee
    root = copy.root
    if unread and root.opcode.name == "tuple":
        fresh = copy.add(op.after_all.make())
        copy.add(op.tuple.make(*(fresh if i in unread else x for i, x in enumerate(root.operands))))  # the new root
    _drop_unread_effects(copy, ())
    return copy


def module_name(name: str) -> str:
    """`name` with anything but letters, digits and underscores replaced."""
    return "".join(c if c.isalnum() and c.isascii() else "_" for c in name)


def strip_copies(computation: Computation) -> None:
    """Let readers of `copy` instructions, which the front end uses as markers, read what was copied."""

    def source(instruction: Instruction) -> Instruction:
        while instruction.opcode.name == "copy":
            instruction = instruction.operands[0]
        return instruction

    for instruction in computation.post_order():
        if any(x.opcode.name == "copy" for x in instruction.operands):
            for x in instruction.operands:
                if x.opcode.name == "copy":
                    x.users.pop(instruction, None)
            instruction.operands = tuple(source(x) for x in instruction.operands)
            for x in instruction.operands:
                x.users[instruction] = None
    computation.root = source(computation.root)
