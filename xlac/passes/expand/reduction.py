"""Reductions with an initial value that is not neutral, by ones with a neutral one."""

from __future__ import annotations

from typing import cast

import numpy as np

from xlac.ir.evaluate import evaluate_computation
from xlac.ir.match import splat_value
from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.reduction import init_count, is_neutral, monoid, reduces_nothing, tree_window
from xlac.ir.shape import ArrayShape, TupleShape, leaves
from xlac.passes.expand.build import Array, constant, expand

# Of these any number of equal values is as one.
_IDEMPOTENT = ("maximum", "minimum", "and", "or")


def expand_initial_values(module: Module) -> bool:
    """Make the initial value of each reduction enter once; return whether one entered oftener, or never.

    A reduction over dimensions of one element is a reshape. Where it matters how often the value enters (see
    `tree_window`), a reduction by a monoid starts from the neutral value, and the initial ones are combined with the
    result; another becomes a reduction of windows and one of their results.
    """
    return expand(module, {"reduce": _reduce, "reduce-window": lambda x: None if x["window"] else _reshaped(x)})


def _reshaped(root: Instruction) -> Instruction:
    """The operands in the shape of the result."""
    pairs = zip(root.operands, cast("list[ArrayShape]", leaves(root.shape)))
    results = [Array(x).convert(to.element_type).reshape(*to.dims).node for x, to in pairs]
    return op.tuple.make(*results) if isinstance(root.shape, TupleShape) else results[0]


def _reduce(root: Instruction) -> Instruction | None:
    if reduces_nothing(root.operands[0].dims, root["dimensions"]):
        return _reshaped(root)
    if len(root.operands) != 2:
        return None
    x, init = root.operands
    reducer, dimensions = root["to_apply"], root["dimensions"]
    name = monoid(reducer)
    window = None if name in _IDEMPOTENT else tree_window(cast(ArrayShape, x.shape), dimensions, reducer)
    if window is None:
        return None
    value = splat_value(init)
    if value is not None and is_neutral(np.asarray(value), reducer, evaluate_computation):
        return None
    shape = cast(ArrayShape, root.shape)
    if name is None:
        inner = op.reduce_window.make(x, init, window=window, to_apply=reducer)
        return op.reduce.make(inner, init, dimensions=dimensions, to_apply=reducer)
    times = init_count(cast(ArrayShape, x.shape), dimensions, reducer)
    # Minus zero, not zero: minus zero plus it stays minus zero.
    zero = -0.0 if shape.element_type.is_inexact and shape.element_type.bits >= 16 else 0
    neutral = np.array(1 if name == "multiply" else zero).astype(shape.element_type.dtype)
    if not is_neutral(neutral, reducer, evaluate_computation):  # as in f8e8m0fnu, which has no zero
        return None
    start = constant(shape.element_type, neutral)
    inits = Array(init).broadcast((times,), ())
    first = op.reduce.make(inits.node, start.node, dimensions=(0,), to_apply=reducer)
    rest = op.reduce.make(x, start.node, dimensions=dimensions, to_apply=reducer)
    return OPCODES[name].make(Array(first).broadcast(shape.dims, ()).node, rest)
