"""What concerns other devices, hosts and the order of effects, on the one device there is.

Asynchronous calls run where they start; collectives of one participant exchange nothing; hints about placement say
nothing about values; sizes of dimensions are what the shapes say. What would need another device stays, and is refused
later.
"""

from __future__ import annotations

import re

import numpy as np

from xlac.ir.module import Instruction, Module, inline
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.collective import own_group
from xlac.ir.ops.custom_call import IDENTITIES
from xlac.ir.shape import S32, U32, ArrayShape, Shape, TokenShape, TupleShape
from xlac.passes.expand.build import Array, Rule, constant, expand, full, tuple_


def expand_devices(module: Module) -> bool:
    """Replace asynchronous opcodes, collectives of one device, and hints; return whether there were any."""
    return expand(module, _RULES)


def expand_sizes(module: Module) -> bool:
    """Replace dynamic sizes that are known to be what the shapes say; return whether there were any."""
    return expand(module, _SIZES)


# ---- asynchronous calls and copies


def _contexts(shape: TupleShape, first: int) -> list[Instruction]:
    """Values for the parts of an asynchronous result from `first` on, which nobody reads."""
    return [_nothing(s) for s in shape.shapes[first:]]


def _nothing(shape: Shape) -> Instruction:
    if isinstance(shape, ArrayShape):
        return full(shape.element_type, 0, shape.dims).node
    if isinstance(shape, TupleShape):
        return op.tuple.make(*map(_nothing, shape))
    return op.after_all.make()


def _has_opaque(shape: Shape) -> bool:
    if isinstance(shape, TupleShape):
        return any(map(_has_opaque, shape))
    return not isinstance(shape, (ArrayShape, TokenShape))


def _async_start(x: Instruction) -> Instruction | None:
    assert x.parent is not None and isinstance(x.shape, TupleShape)
    if _has_opaque(x.shape):
        return None
    result = inline(x["calls"], x.parent, x.operands)
    return tuple_(op.tuple.make(*x.operands), result, *_contexts(x.shape, 2))


def _copy_start(x: Instruction) -> Instruction | None:
    assert isinstance(x.shape, TupleShape)
    if _has_opaque(x.shape):
        return None
    (operand,) = x.operands
    return tuple_(operand, operand, *_contexts(x.shape, 2))


def _first_operand(x: Instruction) -> Instruction:
    return x.operands[0]


def _operands(x: Instruction) -> Instruction:
    """The operand, or a tuple of several."""
    return x.operands[0] if len(x.operands) == 1 and not isinstance(x.shape, TupleShape) else op.tuple.make(*x.operands)


def _part(index: int) -> Rule:
    return lambda x: op.get_tuple_element.make(x.operands[0], index=index)


# ---- collectives


def _alone(x: Instruction) -> bool:
    group = own_group(x["replica_groups"])
    return group is None or len(group) <= 1


def _unchanged(x: Instruction) -> Instruction | None:
    """A collective that gives its operands back, if it concerns one device alone."""
    if not _alone(x):
        return None
    new = _operands(x)
    return new if new.shape == x.shape else None


def _all_to_all(x: Instruction) -> Instruction | None:
    return _unchanged(x) if len(x.operands) == 1 else None


def _gather_start(x: Instruction) -> Instruction | None:
    assert isinstance(x.shape, TupleShape)
    if not _alone(x) or _has_opaque(x.shape):
        return None
    several = op.tuple.make(*x.operands) if len(x.operands) > 1 else x.operands[0]
    new = tuple_(several, several, *_contexts(x.shape, 2))
    return new if new.shape == x.shape else None


def _permuted(x: Instruction) -> Instruction | None:
    """The operands where the first device sends to itself, zeros where nobody sends."""
    if x["slice_sizes"] is not None:
        return None
    pairs = [(int(a), int(b)) for a, b in re.findall(r"\{\s*(\d+)\s*,\s*(\d+)\s*\}", x["source_target_pairs"])]
    if any(max(pair) > 0 for pair in pairs):
        return None
    parts = [o if (0, 0) in pairs else _nothing(o.shape) for o in x.operands]
    return parts[0] if len(parts) == 1 else op.tuple.make(*parts)


def _permute_start(x: Instruction) -> Instruction | None:
    assert isinstance(x.shape, TupleShape)
    result = None if _has_opaque(x.shape) else _permuted(x)
    if result is None:
        return None
    sent = op.tuple.make(*x.operands) if len(x.operands) > 1 else x.operands[0]
    return tuple_(sent, result, *_contexts(x.shape, 2))


def _first_device(x: Instruction) -> Instruction:
    return constant(U32, 0).node


# ---- custom calls


def _custom_call(x: Instruction) -> Instruction | None:
    """Hints about sharding and placement, new memory, and elementwise functions under another name."""
    target = x["custom_call_target"]
    if target in IDENTITIES and x.operands:
        new = x.operands[0] if len(x.operands) == 1 else op.tuple.make(*x.operands)
        return new if new.shape == x.shape else None
    if target == "AllocateBuffer" and isinstance(x.shape, ArrayShape):
        return _nothing(x.shape)
    row = OPCODES.get(target.removeprefix("mhlo."))
    if target.startswith("mhlo.") and row is not None and row.elementwise and len(x.operands) == row.arity[0] == 1:
        new = row.make(x.operands[0])
        return new if new.shape == x.shape else None
    return None


# ---- sizes


def _get_size(x: Instruction) -> Instruction:
    return constant(S32, x.operands[0].dims[x["dimensions"][0]]).node


def _set_size(x: Instruction) -> Instruction | None:
    operand, size = x.operands
    known = size.opcode.name == "constant" and int(size["literal"]) == operand.dims[x["dimensions"][0]]
    return operand if known else None


def _dynamic_reshape(x: Instruction) -> Instruction | None:
    operand, *sizes = x.operands
    known = all(s.opcode.name == "constant" and np.size(s["literal"]) == 1 for s in sizes)
    if not known or tuple(int(s["literal"]) for s in sizes) != x.dims:
        return None
    return Array(operand).reshape(*x.dims).node


_RULES = {
    "async-start": _async_start,
    "async-update": _first_operand,
    "async-done": _part(1),
    "copy-start": _copy_start,
    "copy-done": _part(0),
    "domain": _first_operand,
    "all-reduce": _unchanged,
    "all-reduce-start": _unchanged,
    "all-reduce-done": _first_operand,
    "all-gather": _unchanged,
    "all-gather-start": _gather_start,
    "all-gather-done": _part(1),
    "reduce-scatter": _unchanged,
    "all-to-all": _all_to_all,
    "collective-broadcast": _unchanged,
    "collective-permute": _permuted,
    "collective-permute-start": _permute_start,
    "collective-permute-done": _part(1),
    "partition-id": _first_device,
    "replica-id": _first_device,
    "custom-call": _custom_call,
}
_SIZES = {
    "get-dimension-size": _get_size,
    "set-dimension-size": _set_size,
    "dynamic-reshape": _dynamic_reshape,
}
