"""Scaled dot product attention."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend import dtypes
from xlac.frontend.eager import ArrayLike, array_function
from xlac.frontend.trace import shape_error
from xlac.frontend.tracer import Tracer
from xlac.nn.functions import logsumexp, softmax
from xlac.numpy._core import as_tracer

__all__ = ["dot_product_attention"]

# Logits of what is masked are this part of the greatest float: finite, so that rows of nothing else have no NaN.
_MASKED = -0.7


def _four(name: str, value: Any) -> Tracer:
    """An operand with leading dimensions of extent 1 up to four."""
    x = as_tracer(value)
    if not 1 <= x.ndim <= 4:
        raise shape_error(f"dot_product_attention: {name} is {x._instruction.shape}; it must have at most 4 dimensions")
    return lax.reshape(x, (*[1] * (4 - x.ndim), *x.shape))


def _grouped(name: str, x: Tracer, dims: tuple[int, int, int, int, int]) -> Tracer:
    """A bias or mask that broadcasts to [B, N, T, S], as one that broadcasts to [B, K, G, T, S]."""
    b, k, g, t, s = dims
    if any(have not in (1, want) for have, want in zip(x.shape, (b, k * g, t, s))):
        raise shape_error(
            f"dot_product_attention: {name} is {x._instruction.shape}; it must broadcast to [{b}, {k * g}, {t}, {s}], "
            "which is [batch, query heads, query length, key length]"
        )
    heads = (k, g) if x.shape[1] > 1 else (1, 1)
    return lax.reshape(x, (x.shape[0], *heads, *x.shape[2:]))


def _lengths(name: str, value: Any, batch: int) -> Tracer:
    x = as_tracer(value)
    if x.shape != (batch,) or not dtypes.is_integer(x.dtype):
        raise shape_error(f"dot_product_attention: {name} is {x._instruction.shape}; it must be {batch} integers")
    return x


@array_function
def dot_product_attention(
    query: ArrayLike,
    key: ArrayLike,
    value: ArrayLike,
    bias: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: ArrayLike | None = None,
    key_value_seq_lengths: ArrayLike | None = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
    return_residual: bool = False,
) -> Any:
    """softmax(scale query key^T + bias) value, for each head.

    Args:
      query: [batch, T, N, H], or without the batch dimension.
      key: [batch, S, K, H]; N is a multiple of K, and neighbouring query heads share a key head.
      value: as key.
      bias: added to the logits; broadcasts to [batch, N, T, S].
      mask: bools of such a shape; logits where it is false do not count.
      scale: 1 / sqrt(H) if left out.
      is_causal: query i sees keys up to i only.
      query_seq_lengths: integers [batch]; results of later queries are 0.
      key_value_seq_lengths: integers [batch]; later keys do not count.
      local_window_size: query i sees keys from i - left to i + right, of (left, right) or of one number for both.
      implementation: None or "xla".
      return_residual: give the logsumexp of the logits, [batch, T, N], too.
    Returns: an array of the query's shape and type. Logits and softmax are float32, or float64.
    """
    if implementation not in (None, "xla"):
        raise shape_error(f"dot_product_attention: implementation is {implementation!r}; it must be None or 'xla'")
    given = as_tracer(query)
    q, k, v = _four("query", query), _four("key", key), _four("value", value)
    b, s, heads, h = k.shape
    t, n = q.shape[1:3]
    if v.shape != k.shape or q.shape != (b, t, n, h) or len({q.dtype, k.dtype, v.dtype}) > 1 or (heads and n % heads):
        listed = ", ".join(str(x._instruction.shape) for x in (q, k, v))
        raise shape_error(
            f"dot_product_attention: query, key and value are {listed}; they must be of one type and [B, T, N, H], "
            "[B, S, K, H] and [B, S, K, H] with N a multiple of K"
        )
    wide = dtypes.promote((q.dtype, False), (dtypes.FLOAT32, False))[0]
    dims = (b, heads, n // max(heads, 1), t, s)
    grouped = lax.reshape(q, (b, t, dims[1], dims[2], h))
    logits = xnp.einsum("btkgh,bskh->bkgts", grouped, k, preferred_element_type=wide)
    logits = logits * (1 / math.sqrt(h) if scale is None else scale)
    if bias is not None:
        logits = lax.convert_element_type(logits + _grouped("bias", _four("bias", bias), dims), wide)
    seen = []
    if mask is not None:
        given_mask = _four("mask", mask)
        if given_mask.dtype != np.bool_:
            raise shape_error(
                f"dot_product_attention: mask is {given_mask._instruction.shape}; its elements must be bool"
            )
        seen.append(_grouped("mask", given_mask, dims))
    row, column = (lax.broadcasted_iota(np.int32, (1, 1, 1, t, s), d) for d in (3, 4))
    if is_causal:
        seen.append(column <= row)
    if local_window_size is not None:
        left, right = (local_window_size,) * 2 if isinstance(local_window_size, int) else local_window_size
        seen += [row <= column + left, row >= column - right]
    for name, lengths, index in (
        ("query_seq_lengths", query_seq_lengths, row),
        ("key_value_seq_lengths", key_value_seq_lengths, column),
    ):
        if lengths is not None:
            seen.append(index < lax.reshape(_lengths(name, lengths, b), (b, 1, 1, 1, 1)))
    if seen:
        together = seen[0]
        for part in seen[1:]:
            together = xnp.logical_and(together, part)
        masked = _MASKED * min(float(ml_dtypes.finfo(wide).max), float(np.finfo(np.float32).max))
        logits = xnp.where(together, logits, masked)
    probabilities = lax.convert_element_type(softmax(logits, -1), k.dtype)
    result = lax.reshape(xnp.einsum("bkgts,bskh->btkgh", probabilities, v), (b, t, n, h))
    if query_seq_lengths is not None:
        place = lax.broadcasted_iota(np.int32, (1, t, 1, 1), 1)
        inside = place < lax.reshape(as_tracer(query_seq_lengths), (b, 1, 1, 1))
        result = xnp.where(inside, result, 0)
    result = lax.reshape(result, given.shape)
    if not return_residual:
        return result
    residual = lax.convert_element_type(logsumexp(logits, -1), k.dtype)
    residual = lax.stop_gradient(xnp.moveaxis(lax.reshape(residual, (b, n, t)), 1, 2))
    return result, lax.reshape(residual, given.shape[:-1])
