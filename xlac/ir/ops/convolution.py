"""convolution: any dimension order, strides, padding, dilations, reversal and groups."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import DIM_LABELS, INT, WINDOW, WORDS, opcode
from xlac.ir.ops.dot import accumulator, between, wider
from xlac.ir.ops.elementwise import convert_values, quiet, require_array
from xlac.ir.ops.window import check_window, window_base
from xlac.ir.shape import ArrayShape, Shape, element_type
from xlac.ir.window import ConvolutionDims, Window, WindowDim


def _convolution_shape(
    lhs: Shape,
    rhs: Shape,
    *,
    shape: Shape | None = None,
    window: Window,
    dim_labels: ConvolutionDims,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> ArrayShape:
    name = "convolution"
    x, kernel = require_array(name, 0, lhs), require_array(name, 1, rhs)
    spatial = len(dim_labels.input_spatial)
    for i, operand in enumerate((x, kernel)):
        if operand.rank != spatial + 2:
            raise ShapeError(f"{name}: operand {i} is {operand}; its dim_labels name {spatial + 2} dimensions")
    check_window(name, window, spatial, "dim_labels")
    if feature_group_count < 1 or batch_group_count < 1 or (feature_group_count > 1 and batch_group_count > 1):
        raise ShapeError(
            f"{name}: feature_group_count={feature_group_count} and batch_group_count={batch_group_count}; "
            "they must be positive, and one of them 1"
        )
    for d, k in zip(window, dim_labels.kernel_spatial):
        if d.size != kernel.dims[k]:
            raise ShapeError(
                f"{name}: a window dimension of size {d.size}, but dimension {k} of operand 1 is {kernel.dims[k]}"
            )
    batch, features = x.dims[dim_labels.input_batch], x.dims[dim_labels.input_feature]
    taken, given = kernel.dims[dim_labels.kernel_input_feature], kernel.dims[dim_labels.kernel_output_feature]
    if features != taken * feature_group_count:
        raise ShapeError(
            f"{name}: operand 0, {x}, has {features} features; operand 1, {kernel}, takes {taken} in each of "
            f"{feature_group_count} groups, that is {taken * feature_group_count}"
        )
    if given % feature_group_count or given % batch_group_count or batch % batch_group_count:
        raise ShapeError(
            f"{name}: {given} output features of operand 1, {kernel}, and batch {batch} of operand 0, {x}, cannot be "
            f"split into {feature_group_count} feature groups and {batch_group_count} batch groups"
        )
    extents = {dim_labels.output_batch: batch // batch_group_count, dim_labels.output_feature: given}
    for d, i, o in zip(window, dim_labels.input_spatial, dim_labels.output_spatial):
        extents[o] = d.positions(x.dims[i])
    dims = tuple(extents[d] for d in range(spatial + 2))
    if isinstance(shape, ArrayShape):
        if shape.dims != dims:
            raise ShapeError(
                f"{name}: the result is {shape} but the operands, {x} and {kernel}, give dimensions {list(dims)}"
            )
        return shape
    return ArrayShape(wider(x.element_type, kernel.element_type), dims)


def _convolution(
    x: np.ndarray,
    kernel: np.ndarray,
    *,
    shape: ArrayShape,
    window: Window,
    dim_labels: ConvolutionDims,
    feature_group_count: int,
    batch_group_count: int,
    **_: Any,
) -> np.ndarray:
    """One matrix product for each element of the window, summed as dot sums."""
    labels = dim_labels
    result = between(shape.element_type, element_type(x.dtype), element_type(kernel.dtype))
    wide = accumulator(result)
    x = convert_values(x, wide).transpose(labels.input_batch, *labels.input_spatial, labels.input_feature)
    kernel = convert_values(kernel, wide).transpose(
        *labels.kernel_spatial, labels.kernel_input_feature, labels.kernel_output_feature
    )
    kernel = np.flip(kernel, [i for i, d in enumerate(window) if d.reversal])
    groups = feature_group_count * batch_group_count
    batch, taken, given = x.shape[0] // batch_group_count, kernel.shape[-2], kernel.shape[-1]
    # [batch groups, batch, spatial..., feature groups, features]
    x = x.reshape(batch_group_count, batch, *x.shape[1:-1], feature_group_count, taken)
    n = len(window)
    base = x.transpose(0, 2 + n, 1, *range(2, 2 + n), 3 + n).reshape(groups, batch, *x.shape[2 : 2 + n], taken)
    positions = tuple(d.positions(extent) for d, extent in zip(window, base.shape[2:-1]))
    base = _pad_spatial(base, window)
    places = batch * math.prod(positions)
    total = np.zeros((groups, places, given // groups), wide.dtype)
    if total.size:
        for offset in np.ndindex(*kernel.shape[:n]):
            at = tuple(
                slice(k * d.rhs_dilate, k * d.rhs_dilate + (p - 1) * d.stride + 1, d.stride)
                for k, d, p in zip(offset, window, positions)
            )
            rows = base[(slice(None), slice(None), *at)].reshape(groups, places, taken)
            # [taken, groups, features of the group] -> one matrix for each group
            matrix = kernel[offset].reshape(taken, groups, given // groups).transpose(1, 0, 2)
            total += np.matmul(rows, matrix)
    y = total.reshape(groups, batch, *positions, given // groups)
    y = np.moveaxis(y, 0, -2).reshape(batch, *positions, given)
    source = {labels.output_batch: 0, labels.output_feature: n + 1}
    source |= {o: 1 + i for i, o in enumerate(labels.output_spatial)}
    rounded = convert_values(y.transpose([source[d] for d in range(n + 2)]), result)
    return convert_values(rounded, shape.element_type)


def _pad_spatial(base: np.ndarray, window: Window) -> np.ndarray:
    """Dilate and pad the dimensions between the first two and the last."""
    still = WindowDim(1)
    return window_base(base, np.zeros((), base.dtype), (still, still, *window, still))


opcode(
    "convolution",
    arity=2,
    attrs={
        "window": WINDOW.optional(()),
        "dim_labels": DIM_LABELS,
        "feature_group_count": INT.optional(1),
        "batch_group_count": INT.optional(1),
        "operand_precision": WORDS.optional(()),
    },
    shape=_convolution_shape,
    evaluate=quiet(_convolution),
    declared=True,
)
