"""Reductions, running reductions, and indices of extremes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.ir.window import WindowDim
from xlac.lax.creation import broadcasted_iota, full_like
from xlac.lax.elementwise import (
    abs,
    add,
    bitwise_and,
    bitwise_or,
    eq,
    exp,
    gt,
    log1p,
    max,
    min,
    mul,
    ne,
    select,
    sub,
)
from xlac.lax.operands import Declared, convert, expand, identity

__all__: list[str] = ["reduce"]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


def reduce_named(name: str, x: Tracer, axes: Sequence[int]) -> Tracer:
    """Reduce by one opcode; no axes gives the operand."""
    if not len(tuple(axes)):
        return x
    init = lift(identity(name, x.dtype))
    return emit(op.reduce, x, init, dimensions=tuple(axes), to_apply=trace.reducer(name, x.dtype), weak=x.weak_type)


def _reduction(function: str, opcode: str, what: str) -> Any:
    def call(operand: ArrayLike, axes: Sequence[int]) -> Array:
        return reduce_named(opcode, lift(operand), axes)

    return named(call, function, what)


reduce_sum = _reduction("reduce_sum", "add", "Sum over axes.")
reduce_prod = _reduction("reduce_prod", "multiply", "Product over axes.")
reduce_max = _reduction("reduce_max", "maximum", "Greatest over axes; NaN if there is one.")
reduce_min = _reduction("reduce_min", "minimum", "Least over axes; NaN if there is one.")
reduce_and = _reduction("reduce_and", "and", "And of all over axes.")
reduce_or = _reduction("reduce_or", "or", "Or of all over axes.")
reduce_xor = _reduction("reduce_xor", "xor", "Exclusive or of all over axes.")


def reducer_of(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any]) -> tuple[Any, Any, Any, Any]:
    """The arrays, the initial values in their types, how the arrays nest, and the recorded function of scalars.

    Raises:
      TraceError: the function reads traced values other than its arguments.
    """
    found, structure = tree.flatten(operands)
    xs = [lift(x) for x in found]
    inits = []
    for x, init in zip(xs, tree.leaves(init_values)):
        value = lift(init)
        inits.append(convert(value, x.dtype) if value.weak_type else value)
    scalars = [ArrayShape(element_type(x.dtype)) for x in xs]

    def build(*parts: Tracer) -> Any:
        n = len(xs)
        result = computation(tree.unflatten(structure, parts[:n]), tree.unflatten(structure, parts[n:]))
        leaves = [convert(lift(r), x.dtype) if lift(r).weak_type else lift(r) for r, x in zip(tree.leaves(result), xs)]
        return leaves if n > 1 else leaves[0]

    return xs, inits, structure, trace.scalar_computation("reducer", scalars * 2, build)


def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]) -> Any:
    """Reduce arrays of equal shape over dimensions by any associative function.

    `computation(accumulators, elements)` gets scalars nested as `operands` and gives the new accumulators;
    `init_values`, nested alike, must be neutral. The function must not read other traced values.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(lambda: reduce(operands, init_values, computation, dimensions), "reduce")
    xs, inits, structure, reducer = reducer_of(operands, init_values, computation)
    active = trace.active()
    instruction = trace.emit_instruction(
        op.reduce, *[active.use(t) for t in (*xs, *inits)], dimensions=tuple(dimensions), to_apply=reducer
    )
    if isinstance(instruction.shape, TupleShape):
        return tree.unflatten(structure, trace.elements(instruction))
    return tree.unflatten(structure, [Tracer(active, instruction)])


@public
def argmax(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Array:
    """Index of the greatest element along an axis, the first of several; the first NaN if there is one."""
    return arg_extreme(lift(operand), axis, index_dtype, "maximum")


@public
def argmin(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Array:
    """Index of the least element along an axis, the first of several; the first NaN if there is one."""
    return arg_extreme(lift(operand), axis, index_dtype, "minimum")


def arg_extreme(x: Tracer, axis: int, index_dtype: Any, name: str) -> Tracer:
    """The least index whose element equals the extreme: two reductions by one opcode each, which vectorise."""
    axis %= x.ndim
    dtype = dtypes.as_dtype(index_dtype)
    best = reduce_named(name, x, (axis,))
    kept = [d for d in range(x.ndim) if d != axis]
    wide = expand(best, x.shape, kept) if best.shape != x.shape else best
    hit = emit(op.compare, x, wide, direction="EQ", type=None)
    if dtypes.is_inexact(x.dtype):
        hit = bitwise_or(hit, ne(x, x))
    index = broadcasted_iota(dtype, x.shape, axis)
    return reduce_named("minimum", select(hit, index, full_like(index, builtins.max(x.shape[axis] - 1, 0))), (axis,))


def running(x: Tracer, axis: int, reverse: bool, init: Any, reducer: Computation) -> Tracer:
    """A reduce-window whose windows hold all elements up to their position."""
    axis %= x.ndim
    n = x.shape[axis]
    if n < 2:
        return x
    window = [WindowDim(1)] * x.ndim
    window[axis] = WindowDim(n, 1, *((0, n - 1) if reverse else (n - 1, 0)))
    return emit(op.reduce_window, x, lift(init), window=tuple(window), to_apply=reducer, weak=x.weak_type)


def _scalar_reducer(name: str, x: Tracer, combine: Callable[[Any, Any], Any]) -> Computation:
    """The reducer that is a function of two elements of x; one for the whole program."""
    reducers = trace.active().session.reducers
    key = (name, x.dtype.name)
    if key not in reducers:
        scalar = ArrayShape(element_type(x.dtype))
        reducers[key] = trace.scalar_computation(name, (scalar, scalar), combine)
    return reducers[key]


def _cumulative(function: str, combine: Callable[[Any, Any], Any], opcode: str, what: str) -> Any:
    def call(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
        x = lift(operand)
        return running(x, axis, reverse, identity(opcode, x.dtype), _scalar_reducer(function, x, combine))

    return named(call, function, what)


cumsum = _cumulative("cumsum", add, "add", "Running sum along an axis.")
cumprod = _cumulative("cumprod", mul, "multiply", "Running product along an axis.")
cummax = _cumulative("cummax", max, "maximum", "Running maximum along an axis.")
cummin = _cumulative("cummin", min, "minimum", "Running minimum along an axis.")


@public
def cumlogsumexp(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Running log(sum(e^x)) along an axis, without overflow."""
    x = lift(operand)

    def combine(a: Tracer, b: Tracer) -> Tracer:
        # By selections, not by max and abs, so that derivatives hold where a = b too.
        above = gt(a, b)
        gap = select(above, sub(b, a), sub(a, b))
        gap = select(bitwise_and(eq(a, b), eq(abs(a), float("inf"))), full_like(a, 0), gap)
        return add(select(above, a, b), log1p(exp(gap)))

    reducer = _scalar_reducer("cumlogsumexp", x, combine)
    return running(x, axis, reverse, identity("maximum", x.dtype), reducer)
