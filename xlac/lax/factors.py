"""What factorisations share: LAPACK's kernels as calls with a derivative, and parts of matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.trace import lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.lax.contraction import dot_general
from xlac.lax.creation import broadcasted_iota, full_like
from xlac.lax.elementwise import add, conj, eq, ge, le, mul, ne, select, sub
from xlac.lax.movement import pad, slice, transpose
from xlac.lax.operands import convert, expand
from xlac.lax.reductions import reduce_sum

_LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}


# ---- parts shared by all


def _matrix(name: str, a: Any, square: bool = False) -> Tracer:
    x = lift(a)
    if not dtypes.is_inexact(x.dtype):
        raise shape_error(f"{name}: the matrix is of type {x.dtype.name}; it must be a float or complex type")
    if x.ndim < 2 or (square and x.shape[-1] != x.shape[-2]):
        kind = "square in its last two dimensions" if square else "of at least two dimensions"
        raise shape_error(f"{name}: an array {trace.shown(x)}; it must be {kind}")
    return x


def _kernel(name: str, operands: Sequence[Tracer], shapes: Sequence[ArrayShape], **config: str | bool) -> list[Tracer]:
    """Call the LAPACK kernel of the first operand's type; options are single letters, or true and false."""
    words = ", ".join(
        f"{key} = {str(value).lower()}" if isinstance(value, bool) else f"{key} = {ord(value)} : ui8"
        for key, value in config.items()
    )
    active = trace.active()
    made = TupleShape(tuple(shapes)) if len(shapes) > 1 else shapes[0]
    instruction = trace.emit_instruction(
        op.custom_call,
        *[active.use(x) for x in operands],
        shape=made,
        custom_call_target=f"lapack_{_LETTERS[operands[0].dtype.name]}{name}_ffi",
        api_version="API_VERSION_TYPED_FFI",
        backend_config="{" + words + "}" if words else None,
    )
    return trace.elements(instruction) if len(shapes) > 1 else [Tracer(active, instruction)]


def _array(dtype: Any, *dims: int) -> ArrayShape:
    return ArrayShape(element_type(np.dtype(dtype)), dims)


def _failed(info: Tracer, values: Tracer) -> Tracer:
    """NaN for those matrices of a batch whose kernel reported a failure."""
    bad = ne(info, full_like(info, 0))
    wide = expand(bad, values.shape, range(bad.ndim))
    return select(wide, full_like(values, math.nan), values)


def adjoint(a: Any) -> Tracer:
    """The conjugate transpose of the last two dimensions."""
    return conj(_swap(lift(a)))


def _swap(x: Tracer) -> Tracer:
    return transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def _product(a: Tracer, b: Tracer) -> Tracer:
    batch = tuple(range(a.ndim - 2))
    return dot_general(a, b, (((a.ndim - 1,), (b.ndim - 2,)), (batch, batch)))


def _triangle(x: Tracer, k: int, lower: bool) -> Tracer:
    """Zeros above (or below) the k-th diagonal."""
    rows, columns = (broadcasted_iota(np.int32, x.shape, x.ndim - 2 + i) for i in (0, 1))
    moved = add(rows, full_like(rows, k))
    keep = ge(moved, columns) if lower else le(moved, columns)
    return select(keep, x, full_like(x, 0))


def _diagonal_mask(x: Tracer) -> Tracer:
    rows, columns = (broadcasted_iota(np.int32, x.shape, x.ndim - 2 + i) for i in (0, 1))
    return eq(rows, columns)


def _identity_like(x: Tracer) -> Tracer:
    return convert(_diagonal_mask(x), x.dtype)


def _diagonal(x: Tracer) -> Tracer:
    """The diagonals of square matrices."""
    zeros = full_like(x, 0)
    return reduce_sum(select(_diagonal_mask(x), x, zeros), (x.ndim - 1,))


def _columns(v: Tracer, x: Tracer) -> Tracer:
    """v[..., j] at each place [..., i, j] of `x`."""
    return expand(v, (*x.shape[:-2], x.shape[-2], v.shape[-1]), (*range(x.ndim - 2), x.ndim - 1))


def _rows(v: Tracer, x: Tracer) -> Tracer:
    """v[..., i] at each place [..., i, j] of `x`."""
    return expand(v, (*x.shape[:-2], v.shape[-1], x.shape[-1]), range(x.ndim - 1))


def _cut(x: Tracer, rows: int, columns: int) -> Tracer:
    lead = x.shape[:-2]
    return slice(x, (0,) * x.ndim, (*lead, rows, columns))


def _enlarge(x: Tracer, rows: int, columns: int) -> Tracer:
    """Zeros below and beside the matrices."""
    m, n = x.shape[-2:]
    return pad(x, np.zeros((), x.dtype), [(0, 0, 0)] * (x.ndim - 2) + [(0, rows - m, 0), (0, columns - n, 0)])


def symmetrize(x: Any) -> Tracer:
    """x + (x* - x) / 2: x itself, however large, where it is Hermitian; for factorisations that read one triangle."""
    a = lift(x)
    return add(a, mul(sub(adjoint(a), a), full_like(a, 0.5)))


# ---- factorisations as calls with a derivative

Build = Callable[..., "list[Tracer]"]
Jvp = Callable[["list[Tracer]", "list[Tracer]", "list[Any]"], "list[Any]"]


class CallNote:
    """What the front end knows of the call of a short program with a derivative of its own, such as a factorisation.

    Attributes:
      build: the results of the operands, any batch dimensions in front.
      derivative: (operands, results, tangents of the operands) -> tangents of the results; None for zero.
    """

    def __init__(self, name: str, build: Build, derivative: Jvp | None) -> None:
        self.name, self.build, self.derivative = name, build, derivative

    def emit(self, *operands: Tracer) -> list[Tracer]:
        """The call, in the current trace."""
        active = trace.active()
        shapes = [x._instruction.shape for x in operands]
        computation = trace.scalar_computation(self.name, shapes, lambda *xs: self.build(*xs))
        instruction = trace.emit_instruction(op.call, *[active.use(x) for x in operands], to_apply=computation)
        active.session.notes[instruction] = self  # type: ignore[assignment]
        return trace.elements(instruction)

    def _tangents(self, instruction: Any, tangents: Sequence[Any]) -> list[Any]:
        if self.derivative is None:
            raise trace.trace_error(f"{self.name} has no derivative")
        active = trace.active()
        operands = [Tracer(active, x) for x in instruction.operands]
        return self.derivative(operands, trace.elements(instruction), list(tangents))

    def jvp(self, instruction: Any, tangents: Sequence[Any], moved: list[Any]) -> Any:
        """The tangents of the results."""
        return self._tangents(instruction, tangents)

    def vjp(self, instruction: Any, cotangent: Any, needed: Callable[[Any], bool]) -> Sequence[Any]:
        """The cotangents of the operands: the transpose of the derivative."""
        from xlac.frontend.linear import transpose as transposed

        operands = instruction.operands
        at = [k for k, x in enumerate(operands) if needed(x)]

        def push(tangents: list[Tracer]) -> list[Any]:
            known = dict(zip(at, tangents))
            return self._tangents(instruction, [known.get(k) for k in range(len(operands))])

        found = dict(zip(at, transposed(push, [operands[k].shape for k in at], list(cotangent))))
        return [found.get(k) for k in range(len(operands))]

    def batch(self, instruction: Any, values: Sequence[Any], size: int) -> Any:
        """The results for operands of which some have a batch dimension."""
        from xlac.frontend.batching import Batched

        return [Batched(t, 0) for t in self.emit(*(value.front(size) for value in values))]


def _narrow(function: Callable[..., Any], x: Tracer) -> Any:
    """`function` of a matrix, computed in float32 where it is narrower."""
    if x.dtype.itemsize >= 4:
        return function(x)
    made = function(convert(x, dtypes.FLOAT32))
    results = [convert(r, x.dtype) if dtypes.is_float(r.dtype) else r for r in made]
    return results
