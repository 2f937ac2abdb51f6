"""Sorting and the greatest elements."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type
from xlac.lax.creation import broadcasted_iota, full_like
from xlac.lax.elementwise import bitwise_and, bitwise_or, eq, eq_to, imag, lt, lt_to, ne, real, select
from xlac.lax.movement import slice_in_dim
from xlac.lax.operands import Declared

__all__: list[str] = ["sort", "sort_key_val"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Sort along a dimension, NaN last.

    Of a tuple of arrays, all by the first `num_keys`, the earlier deciding first.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(lambda: sort(operand, dimension, is_stable, num_keys), "sort")
    several = isinstance(operand, (tuple, list))
    xs = [lift(x) for x in (operand if several else (operand,))]
    if not 1 <= num_keys <= len(xs):
        raise shape_error(f"sort: num_keys={num_keys} of {len(xs)} operands")
    results = _sort(xs, dimension % xs[0].ndim, is_stable, num_keys, False)
    return tuple(results) if several else results[0]


def _sort(xs: list[Tracer], dimension: int, is_stable: bool, num_keys: int, descending: bool) -> list[Tracer]:
    """One sort instruction."""
    active = trace.active()
    key = ("descending" if descending else "sort", ",".join([str(num_keys), *(x.dtype.name for x in xs)]))
    if key not in active.session.reducers:
        scalars = [ArrayShape(element_type(x.dtype)) for x in xs for _ in range(2)]

        def before(*pairs: Tracer) -> Tracer:
            result = None
            for a, b in reversed(list(zip(pairs[: 2 * num_keys : 2], pairs[1 : 2 * num_keys : 2]))):
                less, equal = _before(b, a) if descending else _before(a, b)
                result = less if result is None else bitwise_or(less, bitwise_and(equal, result))
            return result  # type: ignore[return-value]

        active.session.reducers[key] = trace.scalar_computation("compare", scalars, before)
    instruction = trace.emit_instruction(
        op.sort,
        *[active.use(x) for x in xs],
        dimensions=(dimension,),
        is_stable=is_stable,
        to_apply=active.session.reducers[key],
    )
    return [Tracer(active, instruction, xs[0].weak_type)] if len(xs) == 1 else trace.elements(instruction)


def _before(a: Tracer, b: Tracer) -> tuple[Tracer, Tracer]:
    """Whether a comes before b, and whether they are equal: NaN last, both zeros alike."""
    if dtypes.is_complex(a.dtype):
        (real_less, real_equal), (imag_less, imag_equal) = (_before(f(a), f(b)) for f in (real, imag))
        return bitwise_or(real_less, bitwise_and(real_equal, imag_less)), bitwise_and(real_equal, imag_equal)
    if dtypes.is_float(a.dtype):
        a, b = (_canonical(v) for v in (a, b))
        return lt_to(a, b), eq_to(a, b)
    return lt(a, b), eq(a, b)


def _canonical(x: Tracer) -> Tracer:
    """-0.0 as 0.0, and every NaN as the positive one."""
    x = select(eq(x, 0), full_like(x, 0), x)
    return select(ne(x, x), full_like(x, math.nan), x)


def sort_key_val(keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Both sorted by the keys."""
    return sort((keys, values), dimension, is_stable, 1)


def _first_k(x: Tracer, k: int, axis: int, descending: bool) -> tuple[Tracer, Tracer]:
    axis %= x.ndim
    values, indices = _sort([x, broadcasted_iota(np.int32, x.shape, axis)], axis, True, 1, descending)
    return slice_in_dim(values, 0, k, axis=axis), slice_in_dim(indices, 0, k, axis=axis)


@public
def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k greatest along an axis, descending, and their indices; of equals the first."""
    x = lift(operand)
    if x.ndim == 0 or not -x.ndim <= axis < x.ndim or not 0 <= k <= x.shape[axis]:
        raise shape_error(f"top_k: k={k} along axis {axis} of an array {trace.shown(x)}; it must be at most the extent")
    return _first_k(x, k, axis, True)


@public
def approx_max_k(
    operand: ArrayLike,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k greatest along a dimension, and their indices; exactly these, whatever recall is asked for."""
    return top_k(operand, k, axis=reduction_dimension)


@public
def approx_min_k(
    operand: ArrayLike,
    k: int,
    reduction_dimension: int = -1,
    recall_target: float = 0.95,
    reduction_input_size_override: int = -1,
    aggregate_to_topk: bool = True,
) -> tuple[Array, Array]:
    """The k least along a dimension, and their indices; exactly these, whatever recall is asked for."""
    return _first_k(lift(operand), k, reduction_dimension, False)
