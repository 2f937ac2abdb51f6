"""Products of matrices in 8- and 4-bit floats, in blocks that share a scale (the OCP microscaling formats, NVFP4)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.custom import custom_vjp
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error
from xlac.frontend.tracer import Tracer
from xlac.numpy._core import as_tracer

__all__ = ["get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul"]


@dataclass
class BlockScaleConfig:
    """How an operand is quantised.

    Attributes:
      mode: "mxfp8" or "nvfp4".
      block_size: how many elements along the contracted dimension share a scale.
      data_type, scale_type: of elements and scales.
      global_scale: by which all is divided first, float32[1]; None for mxfp8.
      infer_only: accepted as in JAX.
    """

    mode: str
    block_size: int
    data_type: Any
    scale_type: Any
    global_scale: Any = None
    infer_only: bool = False


def get_scaled_dot_general_config(mode: str, global_scale: Any = None) -> BlockScaleConfig:
    """The usual blocks of a mode: 32 of float8_e4m3fn with float8_e8m0fnu, or 16 of float4_e2m1fn with float8_e4m3fn.

    Raises:
      ShapeError: the mode is neither "mxfp8" nor "nvfp4".
    """
    if mode == "mxfp8":
        return BlockScaleConfig(mode, 32, np.dtype("float8_e4m3fn"), np.dtype("float8_e8m0fnu"))
    if mode == "nvfp4":
        scale = np.ones(1, np.float32) if global_scale is None else global_scale
        return BlockScaleConfig(mode, 16, np.dtype("float4_e2m1fn"), np.dtype("float8_e4m3fn"), scale)
    raise shape_error(f"get_scaled_dot_general_config: mode is {mode!r}; it must be 'mxfp8' or 'nvfp4'")


@array_function
def scaled_matmul(
    lhs: ArrayLike,
    rhs: ArrayLike,
    lhs_scales: ArrayLike,
    rhs_scales: ArrayLike,
    preferred_element_type: Any = np.float32,
) -> Array:
    """The product over the last dimension of matrices whose elements have a scale for each block along it.

    Args:
      lhs, rhs: [batch, m, k] and [batch, n, k].
      lhs_scales, rhs_scales: [batch, m, blocks] and [batch, n, blocks], with as many blocks as divide k.
      preferred_element_type: of the result [batch, m, n]; it is computed in float32.
    Raises: ShapeError if shapes do not fit.
    """
    a, b, a_scales, b_scales = (as_tracer(x) for x in (lhs, rhs, lhs_scales, rhs_scales))
    fits = (
        all(x.ndim == 3 for x in (a, b, a_scales, b_scales))
        and (a.shape[0], a.shape[2]) == (b.shape[0], b.shape[2])
        and a_scales.shape[:2] == a.shape[:2]
        and b_scales.shape[:2] == b.shape[:2]
        and a_scales.shape[2] == b_scales.shape[2]
        and a_scales.shape[2] > 0
        and a.shape[2] % a_scales.shape[2] == 0
    )
    if not fits:
        listed = ", ".join(str(list(x.shape)) for x in (a, b, a_scales, b_scales))
        raise shape_error(
            f"scaled_matmul: shapes {listed}; they must be [batch, m, k], [batch, n, k], [batch, m, blocks] and "
            "[batch, n, blocks], with blocks that divide k"
        )
    wide = _scaled(a, a_scales), _scaled(b, b_scales)
    product = lax.dot_general(*wide, (((2,), (2,)), ((0,), (0,))))
    return lax.convert_element_type(product, dtypes.as_dtype(preferred_element_type))


def _scaled(x: Tracer, scales: Tracer) -> Tracer:
    """Elements times the scales of their blocks, in float32."""
    x, scales = (lax.convert_element_type(v, np.float32) for v in (x, scales))
    return x * xnp.repeat(scales, x.shape[2] // scales.shape[2], 2)


# ---- quantised products


def _power_above(x: Tracer) -> Tracer:
    """The least power of two that is not less than a positive float32, at least 2^-127, as float8_e8m0fnu."""
    raw = lax.bitcast_convert_type(x, np.uint32)
    exponent, rest = raw >> 23, raw & 0x7FFFFF
    up = (rest > 0) & lax.ne(exponent, 0xFE) & ~(lax.eq(exponent, 0) & (rest <= 0x400000))
    exponent = lax.select(up, exponent + 1, exponent)
    return lax.bitcast_convert_type(lax.convert_element_type(exponent, np.uint8), np.dtype("float8_e8m0fnu"))


def _quantized(x: Tracer, config: BlockScaleConfig) -> tuple[Tracer, Tracer]:
    """Elements and scales of [batch, rows, k]."""
    size = config.block_size
    if x.shape[2] % size:
        raise shape_error(
            f"scaled_dot_general: {x.shape[2]} elements are contracted, in the product or in that of its derivative; "
            f"blocks of {config.mode} have {size}, so it must be a multiple of that"
        )
    greatest = float(ml_dtypes.finfo(config.data_type).max)
    blocks = lax.reshape(lax.convert_element_type(x, np.float32), (*x.shape[:2], x.shape[2] // size, size))
    if config.mode == "nvfp4":
        blocks = blocks / config.global_scale
    scales = xnp.max(xnp.abs(blocks), -1) / greatest
    if config.mode == "nvfp4":
        most = float(ml_dtypes.finfo(config.scale_type).max)
        scales = lax.convert_element_type(xnp.clip(scales, 0, most), config.scale_type)
    else:
        scales = _power_above(scales)
    wide = lax.convert_element_type(scales, np.float32)
    safe = xnp.where(lax.eq(wide, 0), 1.0, wide)  # a block of zeros
    parts = xnp.clip(blocks / safe[..., None], -greatest, greatest)
    return lax.reshape(lax.convert_element_type(parts, config.data_type), x.shape), scales


def _product(x: Tracer, y: Tracer, first: BlockScaleConfig, second: BlockScaleConfig, dtype: Any) -> Tracer:
    (a, a_scales), (b, b_scales) = _quantized(x, first), _quantized(y, second)
    made = scaled_matmul(a, b, a_scales, b_scales)
    if first.mode == "nvfp4":
        made = made * (first.global_scale * second.global_scale)
    return lax.convert_element_type(made, dtype)


def _turned(x: Tracer) -> Tracer:
    return lax.transpose(x, (0, 2, 1))


def _ruled(configs: tuple[BlockScaleConfig, ...], dtype: Any) -> Any:
    """The product [batch, m, n] of [batch, m, k] and [batch, n, k].

    In its derivative, too, products are quantised in mode mxfp8, the cotangent by the third configuration; in mode
    nvfp4 they are not, and elements beyond the greatest that the format has give no slope.
    """
    first, second, third = configs

    @custom_vjp
    def product(x: Tracer, y: Tracer) -> Tracer:
        return _product(x, y, first, second, dtype)

    def slope(g: Tracer, other: Tracer, like: Tracer, own: BlockScaleConfig, config: BlockScaleConfig) -> Tracer:
        if third.mode != "nvfp4":
            return lax.convert_element_type(_product(g, other, third, config, np.float32), like.dtype)
        made = lax.dot_general(
            lax.convert_element_type(g, np.float32),
            lax.convert_element_type(other, np.float32),
            (((2,), (2,)), ((0,), (0,))),
        )
        most = float(ml_dtypes.finfo(own.data_type).max) * float(ml_dtypes.finfo(own.scale_type).max)
        kept = xnp.abs(like) <= own.global_scale * most
        return lax.convert_element_type(xnp.where(kept, made, 0.0), like.dtype)

    def bwd(kept: tuple[Tracer, Tracer], g: Tracer) -> tuple[Tracer, Tracer]:
        x, y = kept
        return slope(g, _turned(y), x, first, second), slope(_turned(g), _turned(x), y, second, first)

    product.defvjp(lambda x, y: (product(x, y), (x, y)), bwd)
    return product


def _rows(x: Tracer, contracting: tuple[int, ...], batch: tuple[int, ...]) -> tuple[Tracer, list[int], list[int]]:
    """[batch, rows, contracted], and the extents of the batch dimensions and of the others."""
    kept = [d for d in range(x.ndim) if d not in (*contracting, *batch)]
    extents = [[x.shape[d] for d in dims] for dims in (batch, kept, contracting)]
    sizes = [functools.reduce(int.__mul__, e, 1) for e in extents]
    return lax.reshape(lax.transpose(x, (*batch, *kept, *contracting)), sizes), extents[0], extents[1]


def scaled_dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    dimension_numbers: Any,
    preferred_element_type: Any = np.float32,
    configs: Any = None,
    implementation: Any = None,
) -> Array:
    """`lax.dot_general` of operands that are quantised in blocks along the contracted dimensions.

    Args:
      lhs, rhs: arrays of floats.
      dimension_numbers: as of `lax.dot_general`.
      preferred_element_type: of the result.
      configs: of lhs, rhs and, for derivatives, the cotangent, from `get_scaled_dot_general_config`; without them
        nothing is quantised.
      implementation: accepted as in JAX.
    Raises: ShapeError if the contracted extent is no multiple of the blocks'.
    """

    @array_function
    def run(lhs: ArrayLike, rhs: ArrayLike) -> Array:
        if configs is None:
            return lax.dot_general(lhs, rhs, dimension_numbers, preferred_element_type=preferred_element_type)
        (contracting, batch) = ([tuple(d) for d in pair] for pair in dimension_numbers)
        x, lead, rows = _rows(as_tracer(lhs), contracting[0], batch[0])
        y, _, columns = _rows(as_tracer(rhs), contracting[1], batch[1])
        made = _ruled(tuple(configs), dtypes.as_dtype(preferred_element_type))(x, y)
        return lax.reshape(made, (*lead, *rows, *columns))

    return run(lhs, rhs)
