"""ragged-dot and scaled-dot: contractions with groups of varying size, and with scales for blocks of elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import INTS, OPCODES, WORDS, opcode
from xlac.ir.ops.dot import accumulator
from xlac.ir.ops.elementwise import convert_values, quiet, require_array, require_kind
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import ArrayShape, Shape

Dims = tuple[int, ...]

_DIMS = ("lhs_batch_dims", "lhs_contracting_dims", "rhs_batch_dims", "rhs_contracting_dims")


def _dot_shape(x: ArrayShape, y: ArrayShape, dims: dict[str, Dims]) -> ArrayShape:
    return OPCODES["dot"].shape(x, y.with_type(x.element_type), **dims)  # type: ignore[return-value]


def _dot(x: np.ndarray, y: np.ndarray, result: ArrayShape, dims: dict[str, Dims]) -> np.ndarray:
    return OPCODES["dot"].evaluate(x, y, shape=result, **dims)


def _less(dims: Dims, gone: int) -> Dims:
    """`dims` after the dimension `gone`, which is not among them, is taken out."""
    return tuple(d - (d > gone) for d in dims)


def _ragged_mode(lhs_ragged_dims: Dims, dims: dict[str, Dims]) -> str:
    (ragged,) = lhs_ragged_dims
    if ragged in dims["lhs_contracting_dims"]:
        return "contracting"
    return "batch" if ragged in dims["lhs_batch_dims"] else "rows"


def _ragged_shape(
    lhs: Shape, rhs: Shape, sizes: Shape, *, shape: Shape, lhs_ragged_dims: Dims, rhs_group_dims: Dims, **attrs: Any
) -> ArrayShape:
    name = "ragged-dot"
    x, y, groups = (require_array(name, i, s) for i, s in enumerate((lhs, rhs, sizes)))
    require_kind(name, 2, groups, "su")
    if groups.rank != 1:
        raise ShapeError(f"{name}: operand 2 is {groups}; it must be a vector of group sizes")
    check_dims(name, "lhs_ragged_dims", lhs_ragged_dims, x.rank)
    check_dims(name, "rhs_group_dims", rhs_group_dims, y.rank)
    if len(lhs_ragged_dims) != 1:
        raise ShapeError(f"{name}: lhs_ragged_dims must name one dimension, got {len(lhs_ragged_dims)}")
    dims = {key: attrs[key] for key in _DIMS}
    mode = _ragged_mode(lhs_ragged_dims, dims)
    if len(rhs_group_dims) != (1 if mode == "rows" else 0):
        raise ShapeError(f"{name}: rhs_group_dims must name one dimension when rows are ragged, and none otherwise")
    if mode == "rows":
        (group,) = rhs_group_dims
        if y.dims[group] != groups.dims[0]:
            raise ShapeError(
                f"{name}: dimension {group} of operand 1, {y}, must be the number of groups of operand 2, {groups}"
            )
        dims |= {key: _less(dims[key], group) for key in _DIMS[2:]}
        y = y.without(group)
    wanted = _dot_shape(x, y, dims).dims
    if mode == "contracting":
        wanted = (groups.dims[0], *wanted)
    result = require_array(name, 0, shape)
    if result.dims != wanted:
        raise ShapeError(
            f"{name}: the result is {result} but the operands, {x} and {rhs}, give dimensions {list(wanted)}"
        )
    return result


def _ragged_dot(
    x: np.ndarray,
    y: np.ndarray,
    sizes: np.ndarray,
    *,
    shape: ArrayShape,
    lhs_ragged_dims: Dims,
    rhs_group_dims: Dims,
    **attrs: Any,
) -> np.ndarray:
    """Group g is the next sizes[g] places of the ragged dimension.

    Rows of a group meet the group's own matrix, and rows of no group give 0; a ragged contracted dimension gives one
    product for each group; a ragged batch dimension changes nothing.
    """
    dims = {key: attrs[key] for key in _DIMS}
    mode = _ragged_mode(lhs_ragged_dims, dims)
    if mode == "batch":
        return _dot(x, y, shape, dims)
    (ragged,) = lhs_ragged_dims
    ends = np.minimum(np.cumsum(sizes.astype(np.int64)), x.shape[ragged])
    starts = np.r_[0, ends[:-1]]
    result = np.zeros(shape.dims, shape.dtype)
    for g, (start, end) in enumerate(zip(starts, ends)):
        rows = x[(slice(None),) * ragged + (slice(start, end),)]
        if mode == "contracting":
            other = dims["rhs_contracting_dims"][dims["lhs_contracting_dims"].index(ragged)]
            part = y[(slice(None),) * other + (slice(start, end),)]
            result[g] = _dot(rows, part, shape.with_dims(shape.dims[1:]), dims)
            continue
        (group,) = rhs_group_dims
        inner = dims | {key: _less(dims[key], group) for key in _DIMS[2:]}
        kept = [d for d in range(x.ndim) if d not in dims["lhs_batch_dims"] + dims["lhs_contracting_dims"]]
        axis = len(dims["lhs_batch_dims"]) + kept.index(ragged)
        out = shape.with_dim(axis, int(end - start))
        result[(slice(None),) * axis + (slice(start, end),)] = _dot(rows, np.take(y, g, axis=group), out, inner)
    return result


_DOT_ATTRS = {key: INTS.optional(()) for key in _DIMS}
opcode(
    "ragged-dot",
    arity=3,
    attrs={
        **_DOT_ATTRS,
        "lhs_ragged_dims": INTS,
        "rhs_group_dims": INTS.optional(()),
        "operand_precision": WORDS.optional(()),
    },
    shape=_ragged_shape,
    evaluate=quiet(_ragged_dot),
    declared=True,
)


def _scaled_shape(
    lhs: Shape, rhs: Shape, lhs_scale: Shape, rhs_scale: Shape, *, shape: Shape, **attrs: Any
) -> ArrayShape:
    name = "scaled-dot"
    arrays = [require_array(name, i, s) for i, s in enumerate((lhs, rhs, lhs_scale, rhs_scale))]
    for i in (0, 1):
        operand, scale = arrays[i], arrays[i + 2]
        fits = scale.rank == operand.rank and all(s and n % s == 0 for n, s in zip(operand.dims, scale.dims))
        if scale.rank and not fits:
            raise ShapeError(
                f"{name}: operand {i + 2} is {scale}; it must be a scalar, or its dimensions must divide those of "
                f"operand {i}, {operand}"
            )
    wanted = _dot_shape(arrays[0], arrays[1], {key: attrs[key] for key in _DIMS}).dims
    result = require_array(name, 0, shape)
    if result.dims != wanted:
        raise ShapeError(
            f"{name}: the result is {result} but the operands, {arrays[0]} and {arrays[1]}, give dimensions "
            f"{list(wanted)}"
        )
    return result


def _scaled(x: np.ndarray, scale: np.ndarray, wide: Any) -> np.ndarray:
    """`x` times the scale of the block each element is in."""
    factor = convert_values(scale, wide)
    for axis, (n, s) in enumerate(zip(x.shape, scale.shape)):
        factor = np.repeat(factor, n // s, axis=axis)
    return convert_values(x, wide) * factor


def _scaled_dot(
    x: np.ndarray, y: np.ndarray, x_scale: np.ndarray, y_scale: np.ndarray, *, shape: ArrayShape, **attrs: Any
) -> np.ndarray:
    wide = accumulator(shape.element_type)
    dims = {key: attrs[key] for key in _DIMS}
    return _dot(_scaled(x, x_scale, wide), _scaled(y, y_scale, wide), shape, dims)


opcode(
    "scaled-dot",
    arity=4,
    attrs={**_DOT_ATTRS, "operand_precision": WORDS.optional(())},
    shape=_scaled_shape,
    evaluate=quiet(_scaled_dot),
    declared=True,
)
