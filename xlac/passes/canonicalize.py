"""Rewrite what later stages need not see: layouts and `bitcast`, `copy`, and the order a scheduler once chose.

Runs before any pass that makes instructions, because those do not keep layouts and a `bitcast` is defined by them.
"""

from __future__ import annotations

import math

import numpy as np

from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ELEMENT_TYPES, F64, ArrayShape, ElementType


def canonicalize(module: Module) -> bool:
    """Lower every `bitcast`, drop every `copy`; return whether anything changed."""
    changed = False
    if "is_scheduled" in module.attrs:
        del module.attrs["is_scheduled"]
        changed = True
    for computation in module.computations:
        # All bitcasts first: the layout of a copy's result decides what a bitcast of it means.
        changed |= _replace_all(computation, "bitcast", lower_bitcast)
        changed |= _replace_all(computation, "copy", lambda copy: copy.operands[0])
    return changed


def _replace_all(computation: Computation, name: str, replacement: object) -> bool:
    changed = False
    # Users first: what replaces an instruction has no layout, which its users may be defined by.
    for instruction in [i for i in reversed(computation.post_order()) if i.opcode.name == name]:
        new = replacement(instruction)  # type: ignore[operator]
        if new is None:
            continue
        computation.replace(instruction, new)
        if not instruction.control_predecessors:
            computation.remove(instruction)
        changed = True
    return changed


def lower_bitcast(bitcast: Instruction) -> Instruction | None:
    """`bitcast` by what it does to values: transpose to memory order, reinterpret, reshape, transpose back."""
    (x,) = bitcast.operands
    source, target = x.shape, bitcast.shape
    assert isinstance(source, ArrayShape) and isinstance(target, ArrayShape)
    if target.size == 0:
        return op.constant.make(shape=target, literal=np.zeros(target.dims, target.dtype))
    stored = tuple(reversed(target.minor_to_major))
    value = _transposed(x, tuple(reversed(source.minor_to_major)))
    reinterpreted = _reinterpreted(value, target.element_type, tuple(target.dims[d] for d in stored))
    back = [0] * len(stored)
    for position, dim in enumerate(stored):
        back[dim] = position
    result = _transposed(reinterpreted, tuple(back))
    return result if result is not bitcast else None


def _transposed(x: Instruction, order: tuple[int, ...]) -> Instruction:
    return x if order == tuple(range(len(order))) else op.transpose.make(x, dimensions=order)


def _reshaped(x: Instruction, dims: tuple[int, ...]) -> Instruction:
    return x if x.dims == dims else op.reshape.make(x, shape=x.shape.with_dims(dims))  # type: ignore[union-attr]


def _reinterpreted(x: Instruction, row: ElementType, dims: tuple[int, ...]) -> Instruction:
    """The row-major bits of `x` as an array of type `row` and `dims`."""
    shape = x.shape
    assert isinstance(shape, ArrayShape)
    source = shape.element_type
    if source is row:
        return _reshaped(x, dims)
    if source.bits == 128 and source.is_complex:
        parts = [
            op.reshape.make(part, shape=ArrayShape(F64, (*x.dims, 1))) for part in (op.real.make(x), op.imag.make(x))
        ]
        return _reinterpreted(op.concatenate.make(*parts, dimensions=(len(x.dims),)), row, dims)
    if row.bits == 128 and row.is_complex:
        flat = _reinterpreted(x, F64, (math.prod(dims), 2))
        parts = [op.slice.make(flat, slice=((0, flat.dims[0], 1), (i, i + 1, 1))) for i in (0, 1)]
        return _reshaped(op.complex.make(*parts), dims)
    if source.is_complex != row.is_complex and source.bits != row.bits:
        between = ELEMENT_TYPES[f"u{source.bits if source.is_complex else row.bits}"]
        flat = _reinterpreted(x, between, (math.prod(dims) * row.bits // between.bits,))
        return _reinterpreted(flat, row, dims)
    if source.bits < row.bits:
        x = _reshaped(x, (shape.size * source.bits // row.bits, row.bits // source.bits))
        return _reshaped(op.bitcast_convert.make(x, shape=ArrayShape(row, x.dims[:1])), dims)
    extra = (source.bits // row.bits,) if source.bits > row.bits else ()
    return _reshaped(op.bitcast_convert.make(x, shape=ArrayShape(row, (*x.dims, *extra))), dims)
