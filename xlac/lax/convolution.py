"""Convolutions: conv_general_dilated, its shorthands and its transpose."""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from xlac.frontend import dtypes
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift, shape_error, shown
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.ir.window import ConvolutionDims, WindowDim
from xlac.lax.contraction import dot_general, operand_precision
from xlac.lax.movement import rev, transpose
from xlac.lax.operands import Declared, as_dims, convert
from xlac.lax.windows import padtype_to_pads

__all__: list[str] = [
    "ConvDimensionNumbers",
    "conv_dimension_numbers",
    "conv_general_permutations",
    "conv_general_shape_tuple",
    "conv_shape_tuple",
    "conv_transpose_shape_tuple",
]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


class ConvDimensionNumbers(NamedTuple):
    """Which dimension is what: (batch, feature, spatial...) of input and output.

    For the kernel, (output feature, input feature, spatial...).
    """

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """The dimension numbers that three strings such as ("NHWC", "HWIO", "NHWC") stand for; None is NCHW, OIHW, NCHW.

    Raises:
      ShapeError: ranks differ, or the strings do not name each dimension once.
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    rank = len(lhs_shape)
    if len(rhs_shape) != rank:
        raise shape_error(
            f"convolution: the input is of shape {list(lhs_shape)} and the kernel of shape {list(rhs_shape)}; they "
            "must have as many dimensions"
        )
    if dimension_numbers is None:
        order = tuple(range(rank))
        return ConvDimensionNumbers(order, order, order)
    return ConvDimensionNumbers(*conv_general_permutations(dimension_numbers, rank))


def conv_general_permutations(dimension_numbers: Sequence[str], rank: int | None = None) -> list[tuple[int, ...]]:
    """For input, kernel and output strings, the places of batch and features, then of the spatial dimensions.

    The spatial ones are in the kernel's order.
    """
    if len(dimension_numbers) != 3:
        raise shape_error(f"dimension_numbers={dimension_numbers!r}; they must be three strings")
    lhs, rhs, out = dimension_numbers
    for word, marks in ((lhs, "NC"), (rhs, "OI"), (out, "NC")):
        if (
            (rank is not None and len(word) != rank)
            or any(word.count(c) != 1 for c in marks)
            or len(set(word)) != len(word)
        ):
            raise shape_error(
                f"dimension_numbers: {word!r} must name {marks[0]}, {marks[1]} and each spatial dimension once"
            )
    space = [c for c in rhs if c not in "OI"]
    if {c for c in lhs if c not in "NC"} != set(space) or {c for c in out if c not in "NC"} != set(space):
        raise shape_error(f"dimension_numbers {lhs}, {rhs}, {out} name different spatial dimensions")
    return [tuple(word.index(c) for c in (*marks, *space)) for word, marks in ((lhs, "NC"), (rhs, "OI"), (out, "NC"))]


@public
def conv_general_dilated(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Convolution (cross-correlation) of any number of dimensions, with strides, dilations and groups.

    Raises:
      ShapeError: shapes, dimension numbers or groups do not fit.
    """
    x, kernel = lift(lhs), lift(rhs)
    dtype, _ = dtypes.promote((x.dtype, x.weak_type), (kernel.dtype, kernel.weak_type))
    x, kernel = (convert(t, dtype) if t.weak_type else t for t in (x, kernel))
    numbers = conv_dimension_numbers(x.shape, kernel.shape, dimension_numbers)
    spatial = len(numbers.lhs_spec) - 2
    ones = (1,) * spatial
    strides, base, dilation = (as_dims(v or ones) for v in (window_strides, lhs_dilation, rhs_dilation))
    for what, given in (("window_strides", strides), ("lhs_dilation", base), ("rhs_dilation", dilation)):
        if len(given) != spatial:
            raise shape_error(f"conv_general_dilated: {what} {list(given)} for {spatial} spatial dimensions")
    sizes = [kernel.shape[d] for d in numbers.rhs_spec[2:]]
    extents = [x.shape[d] for d in numbers.lhs_spec[2:]]
    wide = [(n - 1) * b + 1 if n else 0 for n, b in zip(extents, base)]
    spans = [(k - 1) * d + 1 if k else 0 for k, d in zip(sizes, dilation)]
    pads = padtype_to_pads(wide, spans, strides, padding)
    window = tuple(
        WindowDim(size=k, stride=s, pad_low=p[0], pad_high=p[1], lhs_dilate=b, rhs_dilate=d)
        for k, s, p, b, d in zip(sizes, strides, pads, base, dilation)
    )
    labels = ConvolutionDims(
        input_batch=numbers.lhs_spec[0],
        input_feature=numbers.lhs_spec[1],
        input_spatial=tuple(numbers.lhs_spec[2:]),
        kernel_output_feature=numbers.rhs_spec[0],
        kernel_input_feature=numbers.rhs_spec[1],
        kernel_spatial=tuple(numbers.rhs_spec[2:]),
        output_batch=numbers.out_spec[0],
        output_feature=numbers.out_spec[1],
        output_spatial=tuple(numbers.out_spec[2:]),
    )
    attrs = {
        "window": window,
        "dim_labels": labels,
        "feature_group_count": feature_group_count,
        "batch_group_count": batch_group_count,
        "operand_precision": operand_precision("conv_general_dilated", precision),
    }
    if preferred_element_type is None and x.dtype != kernel.dtype:
        raise shape_error(
            f"conv_general_dilated: the input is of type {x.dtype.name} and the kernel of {kernel.dtype.name}; they "
            "must be equal, or give preferred_element_type"
        )
    result = x.dtype if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    made = _result_dims(x.shape, kernel.shape, window, labels, batch_group_count)
    shape = ArrayShape(element_type(result), made)
    return emit(op.convolution, x, kernel, shape=shape, **attrs)


def _result_dims(
    lhs: Sequence[int], rhs: Sequence[int], window: Sequence[WindowDim], labels: ConvolutionDims, groups: int
) -> tuple[int, ...]:
    """The dimensions of a convolution's result."""
    dims = [0] * len(lhs)
    dims[labels.output_batch] = lhs[labels.input_batch] // groups
    dims[labels.output_feature] = rhs[labels.kernel_output_feature]
    for d, i, o in zip(window, labels.input_spatial, labels.output_spatial):
        dims[o] = d.positions(lhs[i])
    return tuple(dims)


def conv_shape_tuple(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], strides: Sequence[int], pads: Any, batch_group_count: int = 1
) -> tuple[int, ...]:
    """The shape of a convolution in NCHW and OIHW order."""
    sizes = tuple(rhs_shape[2:])
    pairs = padtype_to_pads(lhs_shape[2:], sizes, strides, pads)
    space = [WindowDim(k, s, *p).positions(n) for n, k, s, p in zip(lhs_shape[2:], sizes, strides, pairs)]
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *space)


def conv_general_shape_tuple(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
    dimension_numbers: Any,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of a convolution with these dimension numbers."""
    numbers = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    made = conv_shape_tuple(
        [lhs_shape[d] for d in numbers.lhs_spec], [rhs_shape[d] for d in numbers.rhs_spec], window_strides, padding
    )
    return tuple(made[numbers.out_spec.index(d)] for d in range(len(made)))


@public
def conv(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Any,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Convolution in NCHW and OIHW order."""
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, precision=precision, preferred_element_type=preferred_element_type
    )


@public
def conv_with_general_padding(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Convolution in NCHW and OIHW order, with dilations."""
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


_CHANNELS_LAST = {
    2: ("NC", "IO", "NC"),
    3: ("NHC", "HIO", "NHC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NHWDC", "HWDIO", "NHWDC"),
}


def _transposed_pads(
    spans: Sequence[int], strides: Sequence[int], padding: Any, consistent: bool
) -> list[tuple[int, int]]:
    """Padding around the dilated input.

    SAME gives extents multiplied by the strides, VALID those whose forward convolution gives the input's.
    """
    if not isinstance(padding, str):
        pairs = [(int(low), int(high)) for low, high in padding]
        return [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(spans, pairs)] if consistent else pairs
    name = padding.upper()
    if name not in ("SAME", "VALID"):
        raise shape_error(f"padding={padding!r}; it must be SAME, VALID or pairs of numbers")
    pads = []
    for k, s in zip(spans, strides):
        total = k + s - 2 + (builtins.max(k - s, 0) if name == "VALID" else 0)
        before = k - 1 if name == "VALID" or s > k - 1 else -(-total // 2)
        pads.append((before, total - before))
    return pads


@public
def conv_transpose(
    lhs: ArrayLike,
    rhs: ArrayLike,
    strides: Sequence[int],
    padding: Any,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Array:
    """Convolution of the input dilated by the strides; channels come last unless dimension numbers are given.

    With `transpose_kernel` it is the gradient of a convolution by the same kernel: space is flipped, features swapped.
    """
    x, kernel = lift(lhs), lift(rhs)
    if dimension_numbers is None:
        dimension_numbers = _CHANNELS_LAST.get(x.ndim)
        if dimension_numbers is None:
            raise shape_error(f"conv_transpose: give dimension_numbers for an input of shape {shown(x)}")
    numbers = conv_dimension_numbers(x.shape, kernel.shape, dimension_numbers)
    dilation = as_dims(rhs_dilation or (1,) * (x.ndim - 2))
    spans = [(kernel.shape[d] - 1) * r + 1 for d, r in zip(numbers.rhs_spec[2:], dilation)]
    pads = _transposed_pads(spans, strides, padding, use_consistent_padding)
    if transpose_kernel:
        kernel = rev(kernel, numbers.rhs_spec[2:])
        order = list(range(kernel.ndim))
        given, taken = numbers.rhs_spec[:2]
        order[given], order[taken] = taken, given
        kernel = transpose(kernel, order)
    return conv_general_dilated(
        x,
        kernel,
        (1,) * (x.ndim - 2),
        pads,
        strides,
        dilation,
        numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def conv_transpose_shape_tuple(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], window_strides: Sequence[int], padding: Any,
    dimension_numbers: Any,
) -> tuple[int, ...]:  # fmt: skip
    """The shape of `conv_transpose`'s result."""
    numbers = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    sizes = [rhs_shape[d] for d in numbers.rhs_spec[2:]]
    pads = _transposed_pads(sizes, window_strides, padding, False)
    extents = [lhs_shape[d] for d in numbers.lhs_spec[2:]]
    space = [WindowDim(k, 1, *p, lhs_dilate=s).positions(n) for n, k, s, p in zip(extents, sizes, window_strides, pads)]
    made = (lhs_shape[numbers.lhs_spec[0]], rhs_shape[numbers.rhs_spec[0]], *space)
    return tuple(made[numbers.out_spec.index(d)] for d in range(len(made)))


@public
def conv_general_dilated_patches(
    lhs: ArrayLike,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: Any,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """What each place of a convolution's window covers, in the feature dimension: channel by channel, row-major."""
    x = lift(lhs)
    sizes = as_dims(filter_shape)
    numbers = conv_dimension_numbers(x.shape, (1,) * x.ndim, dimension_numbers)
    channels = x.shape[numbers.lhs_spec[1]]
    count = math.prod(sizes)
    # One output feature for each element of the window: a kernel of unit matrices, each channel a group.
    unit = np.tile(np.eye(count).reshape(count, 1, *sizes), (channels, *[1] * (len(sizes) + 1)))
    kernel = np.transpose(unit, np.argsort(numbers.rhs_spec)).astype(x.dtype)
    return conv_general_dilated(
        x,
        kernel,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        numbers,
        feature_group_count=channels,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


@public
def conv_general_dilated_local(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: Any,
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Array:
    """Convolution with a kernel of its own at each place.

    The kernel's input features are those of `conv_general_dilated_patches`, its spatial dimensions the result's.
    """
    x, kernel = lift(lhs), lift(rhs)
    numbers = conv_dimension_numbers(x.shape, kernel.shape, dimension_numbers)
    patches = conv_general_dilated_patches(
        x, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, numbers, precision
    )
    made = dot_general(
        kernel,
        patches,
        (((numbers.rhs_spec[1],), (numbers.out_spec[1],)), (numbers.rhs_spec[2:], numbers.out_spec[2:])),
        precision,
    )
    # [space..., output feature, batch]
    n = len(numbers.out_spec) - 2
    source = {numbers.out_spec[0]: n + 1, numbers.out_spec[1]: n}
    source |= {d: i for i, d in enumerate(numbers.out_spec[2:])}
    return transpose(made, [source[d] for d in range(n + 2)])
