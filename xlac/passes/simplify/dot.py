"""Contractions brought to a form that code generation does well: no transposes before them, no trivial ones."""

from __future__ import annotations

import math

from xlac.ir.match import Any, full, rule
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import F32, F64, ArrayShape

x, y = Any("x"), Any("y")


@rule(op.dot(op.transpose(x, name="moved"), y))
def dot_of_transposed_lhs(root, moved, x, y):
    """dot(transpose(x), y) contracts other dimensions of x, where the free dimensions keep their order."""
    return _absorb(root, moved, x, y, "lhs")


@rule(op.dot(x, op.transpose(y, name="moved")))
def dot_of_transposed_rhs(root, moved, x, y):
    """dot(x, transpose(y)) contracts other dimensions of y, where the free dimensions keep their order."""
    return _absorb(root, moved, x, y, "rhs")


@rule(op.transpose(op.dot(x, y, name="inner")))
def transpose_of_dot(root, inner, x, y):
    """A transpose that puts y's free dimensions before x's, and is alone in reading the contraction, exchanges x and
    y."""
    batch = len(inner["lhs_batch_dims"])
    left = batch + x.shape.rank - batch - len(inner["lhs_contracting_dims"])
    rank = inner.shape.rank
    if root["dimensions"] != (*range(batch), *range(left, rank), *range(batch, left)) or len(inner.users) != 1:
        return None
    attrs = dict(inner.attrs)
    for kind in ("batch_dims", "contracting_dims"):
        attrs[f"lhs_{kind}"], attrs[f"rhs_{kind}"] = inner[f"rhs_{kind}"], inner[f"lhs_{kind}"]
    attrs["operand_precision"] = tuple(reversed(inner["operand_precision"]))
    return op.dot.make(y, x, shape=root.shape, **attrs)


def _absorb(root: Instruction, moved: Instruction, x: Instruction, y: Instruction, side: str) -> Instruction | None:
    order = moved["dimensions"]
    batch, contracting = root[f"{side}_batch_dims"], root[f"{side}_contracting_dims"]
    free = [order[d] for d in range(len(order)) if d not in batch + contracting]
    if free != sorted(free):
        return None
    attrs = dict(root.attrs)
    attrs[f"{side}_batch_dims"] = tuple(order[d] for d in batch)
    attrs[f"{side}_contracting_dims"] = tuple(order[d] for d in contracting)
    return op.dot.make(x, y, shape=root.shape, **attrs)


@rule(op.dot(x, y))
def dot_of_nothing(root, x, y):
    """A sum of no products is 0."""
    return full(root.shape, 0) if _contracted(root) == 0 else None


@rule(op.dot(x, y), kinds="psuf")
def outer_product(root, x, y):
    """A contraction over one element is a product, which can be computed with what uses it."""
    if _contracted(root) != 1 or root.shape.size == 0 or not all(_keeps(v, root) for v in (x, y)):
        return None
    batch = len(root["lhs_batch_dims"])
    lhs_free = x.shape.rank - batch - len(root["lhs_contracting_dims"])
    lhs = _spread(root, x, "lhs", range(batch, batch + lhs_free))
    rhs = _spread(root, y, "rhs", range(batch + lhs_free, root.shape.rank))
    return op.multiply.make(lhs, rhs)


def _keeps(x: Instruction, root: Instruction) -> bool:
    """Whether an operand may be converted to the result's type before it is multiplied."""
    have, wanted = x.shape.element_type, root.shape.element_type  # type: ignore[union-attr]
    if have.is_integer and wanted.is_integer:
        return True
    return have is wanted or (have.is_float and wanted in (F32, F64) and have.bits < wanted.bits)


def _contracted(root: Instruction) -> int:
    return math.prod(root.operands[0].dims[d] for d in root["lhs_contracting_dims"])


def _spread(root: Instruction, x: Instruction, side: str, free_at: range) -> Instruction:
    """One side of an outer product, without its contracting dimensions, broadcast to the result's dimensions."""
    shape = x.shape
    assert isinstance(shape, ArrayShape)
    batch, contracting = root[f"{side}_batch_dims"], root[f"{side}_contracting_dims"]
    kept = [d for d in range(shape.rank) if d not in contracting]
    free = iter(free_at)
    target = tuple(batch.index(d) if d in batch else next(free) for d in kept)
    if contracting:
        x = op.reshape.make(x, shape=shape.without(*contracting))
    row = root.shape.element_type  # type: ignore[union-attr]
    if shape.element_type is not row:
        x = op.convert.make(x, shape=x.shape.with_type(row))  # type: ignore[union-attr]
    return op.broadcast.make(x, shape=root.shape, dimensions=target)
