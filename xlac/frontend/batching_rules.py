"""Batching rules, one for each opcode that `vmap` can go through.

`RULES[name](instruction, values, size)` records the instruction for `size` examples at once; at least one of the
values is batched. Most rules put the examples along dimension 0; elementwise opcodes and products leave them where
they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.batching import Batched, Value, each, instruction_of, is_batched
from xlac.frontend.trace import emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape, TupleShape
from xlac.ir.window import WindowDim
from xlac.lax.operands import convert, expand, identity

Rule = Callable[[Instruction, list[Value], int], Value]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare the rule of opcodes as a function of (instruction, size, *values)."""

    def declare(function: Callable[..., Any]) -> Any:
        for name in names:
            assert name in OPCODES, name
            RULES[name] = lambda i, values, size: function(i, size, *values)
        return function

    return declare


def _up(dims: Sequence[int], by: int = 1) -> tuple[int, ...]:
    """Dimension numbers after `by` further dimensions were put in front."""
    return tuple(d + by for d in dims)


def _shape(instruction: Instruction, size: int, axis: int = 0) -> ArrayShape:
    """The shape of the batched result."""
    shape = instruction.shape
    assert isinstance(shape, ArrayShape)
    return ArrayShape(shape.element_type, (*shape.dims[:axis], size, *shape.dims[axis:]))


def _emit(instruction: Instruction, size: int, *operands: Tracer, axis: int = 0, **attrs: Any) -> Batched:
    """The instruction with other operands and some other attributes, the examples of the result along `axis`."""
    shape = _shape(instruction, size, axis) if instruction.opcode.declared else None
    return Batched(emit(instruction.opcode, *operands, shape=shape, **{**instruction.attrs, **attrs}), axis)


def _emit_all(instruction: Instruction, size: int, *operands: Tracer, **attrs: Any) -> Value:
    """As `_emit` for opcodes that may give a tuple; the examples are along dimension 0."""
    active = trace.active()
    shape: Any = None
    if instruction.opcode.declared:
        parts = instruction.shape
        if isinstance(parts, TupleShape):
            shape = TupleShape(tuple(ArrayShape(p.element_type, (size, *p.dims)) for p in parts))  # type: ignore[union-attr]
        else:
            shape = _shape(instruction, size)
    made = emit_instruction(
        instruction.opcode, *[active.use(t) for t in operands], shape=shape, **{**instruction.attrs, **attrs}
    )
    if isinstance(made.shape, TupleShape):
        return [Batched(t, 0) for t in trace.elements(made)]
    return Batched(Tracer(active, made), 0)


# ---- elementwise


def _elementwise(i: Instruction, values: list[Value], size: int) -> Value:
    """Where all batched operands agree on the axis it stays; scalars beside arrays are repeated."""
    rank = max(v.ndim for v in values)
    axes = {v.axis for v in values if v.axis is not None and v.ndim == rank}
    axis = axes.pop() if len(axes) == 1 else 0
    operands = []
    for v in values:
        if v.ndim == rank:
            operands.append(v.at(axis, size))
        elif v.axis is None:
            operands.append(v.value)  # a scalar that the opcode takes beside arrays
        else:
            operands.append(expand(v.value, _shape(i, size, axis).dims, (axis,)))
    return _emit(i, size, *operands, axis=axis)


for _name, _row in OPCODES.items():
    if _row.elementwise:
        RULES[_name] = _elementwise


# ---- movement


@rule("broadcast")
def _broadcast(i: Instruction, size: int, x: Batched) -> Value:
    return _emit(i, size, x.front(size), dimensions=(0, *_up(i["dimensions"])))


@rule("reshape", "bitcast-convert", "bitcast")
def _reshape(i: Instruction, size: int, x: Batched) -> Value:
    return _emit(i, size, x.front(size))


@rule("transpose")
def _transpose(i: Instruction, size: int, x: Batched) -> Value:
    return _emit(i, size, x.front(size), dimensions=(0, *_up(i["dimensions"])))


@rule("reverse")
def _reverse(i: Instruction, size: int, x: Batched) -> Value:
    return _emit(i, size, x.front(size), dimensions=_up(i["dimensions"]))


@rule("slice")
def _slice(i: Instruction, size: int, x: Batched) -> Value:
    axis = x.axis
    assert axis is not None
    ranges = list(i["slice"])
    ranges.insert(axis, (0, size, 1))
    return _emit(i, size, x.value, axis=axis, slice=tuple(ranges))


@rule("concatenate")
def _concatenate(i: Instruction, size: int, *xs: Batched) -> Value:
    return _emit(i, size, *each(xs, size), dimensions=_up(i["dimensions"]))


@rule("pad")
def _pad(i: Instruction, size: int, x: Batched, value: Batched) -> Value:
    padding = ((0, 0, 0), *i["padding"])
    if value.axis is None:
        return _emit(i, size, x.front(size), value.value, padding=padding)
    # Each example has its own value: pad with anything and choose.
    operand = x.front(size)
    filler = lift(np.zeros((), operand.dtype))
    padded = emit(op.pad, operand, filler, padding=padding)
    inside = emit(op.pad, lax.full(operand.shape, True), lift(np.asarray(False)), padding=padding)
    return Batched(lax.select(inside, padded, expand(value.value, padded.shape, (0,))), 0)


# ---- indices that are data


def _start_vectors(starts: Sequence[Batched], size: int) -> Tracer:
    """The start indices of each example, [size, n], in one integer type."""
    wide = max((s.value.dtype for s in starts), key=lambda d: d.itemsize)
    columns = [lax.reshape(convert(s.front(size), wide), (size, 1)) for s in starts]
    return lax.concatenate(columns, 1)


@rule("dynamic-slice")
def _dynamic_slice(i: Instruction, size: int, x: Batched, *starts: Batched) -> Value:
    sizes = i["dynamic_slice_sizes"]
    if not is_batched(list(starts)):
        zero = lift(np.zeros((), starts[0].value.dtype)) if starts else lift(np.int32(0))
        return _emit(i, size, x.front(size), zero, *(s.value for s in starts), dynamic_slice_sizes=(size, *sizes))
    n = len(sizes)
    batched = x.axis is not None
    dims = _up(range(n)) if batched else tuple(range(n))
    numbers = lax.GatherDimensionNumbers(
        tuple(range(1, n + 1)), (), dims, (0,) if batched else (), (0,) if batched else ()
    )
    operand = x.front(size) if batched else x.value
    return Batched(lax.gather(operand, _start_vectors(starts, size), numbers, (1, *sizes) if batched else sizes), 0)


@rule("dynamic-update-slice")
def _dynamic_update_slice(i: Instruction, size: int, x: Batched, update: Batched, *starts: Batched) -> Value:
    operand, patch = x.front(size), update.front(size)
    if not is_batched(list(starts)):
        zero = lift(np.zeros((), starts[0].value.dtype)) if starts else lift(np.int32(0))
        return _emit(i, size, operand, patch, zero, *(s.value for s in starts))
    n = x.ndim
    where = _start_vectors(starts, size)
    # Scatter drops what would leave the operand; here it is moved inside.
    top = trace.literal(np.array([a - b for a, b in zip(x.dims, update.dims)], where.dtype))
    where = lax.min(where, expand(top, where.shape, (1,)))
    if where.dtype.kind == "i":
        where = lax.max(where, 0)
    numbers = lax.ScatterDimensionNumbers(tuple(range(1, n + 1)), (), tuple(range(1, n + 1)), (0,), (0,))
    return Batched(lax.scatter(operand, where, patch, numbers, indices_are_sorted=True, unique_indices=True), 0)


def _in_front(indices: Batched, index_vector_dim: int, size: int) -> tuple[Tracer, int]:
    """Batched indices with the examples along dimension 0, and where the index vectors are now."""
    return indices.front(size), index_vector_dim + 1


@rule("gather")
def _gather(i: Instruction, size: int, x: Batched, indices: Batched) -> Value:
    offsets, sizes = i["offset_dims"], i["slice_sizes"]
    if indices.axis is None:
        return _emit(
            i,
            size,
            x.front(size),
            indices.value,
            offset_dims=(0, *_up(offsets)),
            slice_sizes=(size, *sizes),
            collapsed_slice_dims=_up(i["collapsed_slice_dims"]),
            start_index_map=_up(i["start_index_map"]),
            operand_batching_dims=_up(i["operand_batching_dims"]),
        )
    where, vector = _in_front(indices, i["index_vector_dim"], size)
    attrs = {
        "offset_dims": _up(offsets),
        "index_vector_dim": vector,
        "start_indices_batching_dims": _up(i["start_indices_batching_dims"]),
        "indices_are_sorted": False,
    }
    if x.axis is None:
        return _emit(i, size, x.value, where, **attrs)
    attrs |= {
        "slice_sizes": (1, *sizes),
        "collapsed_slice_dims": _up(i["collapsed_slice_dims"]),
        "start_index_map": _up(i["start_index_map"]),
        "operand_batching_dims": (0, *_up(i["operand_batching_dims"])),
        "start_indices_batching_dims": (0, *_up(i["start_indices_batching_dims"])),
    }
    return _emit(i, size, x.front(size), where, **attrs)


@rule("scatter")
def _scatter(i: Instruction, size: int, *values: Batched) -> Value:
    n = (len(values) - 1) // 2
    xs, indices, updates = values[:n], values[n], values[n + 1 :]
    attrs = {
        "inserted_window_dims": _up(i["inserted_window_dims"]),
        "scatter_dims_to_operand_dims": _up(i["scatter_dims_to_operand_dims"]),
        "input_batching_dims": _up(i["input_batching_dims"]),
        "update_window_dims": _up(i["update_window_dims"]),
    }
    if indices.axis is None:
        where = indices.value
        attrs["update_window_dims"] = (0, *attrs["update_window_dims"])
    else:
        where, vector = _in_front(indices, i["index_vector_dim"], size)
        attrs |= {
            "index_vector_dim": vector,
            "input_batching_dims": (0, *attrs["input_batching_dims"]),
            "scatter_indices_batching_dims": (0, *_up(i["scatter_indices_batching_dims"])),
            "indices_are_sorted": False,
        }
    return _emit_all(i, size, *each(xs, size), where, *each(updates, size), **attrs)


# ---- contractions


@rule("dot")
def _dot(i: Instruction, size: int, x: Batched, y: Batched) -> Value:
    xb, xc, yb, yc = (
        i[k] for k in ("lhs_batch_dims", "lhs_contracting_dims", "rhs_batch_dims", "rhs_contracting_dims")
    )

    def around(v: Batched, dims: Sequence[int]) -> tuple[int, ...]:
        """Dimension numbers of an example as those of the batched array."""
        return tuple(d if v.axis is None or d < v.axis else d + 1 for d in dims)

    numbers = [around(x, xb), around(x, xc), around(y, yb), around(y, yc)]
    if x.axis is not None and y.axis is not None:
        numbers[0], numbers[2] = (x.axis, *numbers[0]), (y.axis, *numbers[2])
        place = 0
    elif x.axis is not None:
        place = len(xb) + sum(d not in xb + xc for d in range(x.axis))
    else:
        assert y.axis is not None
        place = len(xb) + (x.ndim - len(xb) - len(xc)) + sum(d not in yb + yc for d in range(y.axis))
    return _emit(
        i,
        size,
        x.value,
        y.value,
        axis=place,
        lhs_batch_dims=numbers[0],
        lhs_contracting_dims=numbers[1],
        rhs_batch_dims=numbers[2],
        rhs_contracting_dims=numbers[3],
    )


def _merged(x: Tracer, dim: int, inside: int = 1) -> Tracer:
    """The examples, along dimension 0, merged into another dimension [a b] as [a, examples, b], where b is `inside`
    times smaller: `inside` = 1 puts the examples outermost."""
    n, rest = x.shape[0], x.shape[1:]
    split = lax.reshape(x, (n, *rest[:dim], inside, rest[dim] // inside, *rest[dim + 1 :]))
    order = [*range(1, dim + 2), 0, *range(dim + 2, split.ndim)]
    return lax.reshape(lax.transpose(split, order), (*rest[:dim], n * rest[dim], *rest[dim + 1 :]))


def _parted(x: Tracer, dim: int, size: int, inside: int = 1) -> Tracer:
    """The inverse of `_merged`: the examples taken out of a dimension to dimension 0."""
    shape = x.shape
    rest = shape[dim] // size // inside
    split = lax.reshape(x, (*shape[:dim], inside, size, rest, *shape[dim + 1 :]))
    order = [dim + 1, *range(dim + 1), *range(dim + 2, split.ndim)]
    return lax.reshape(lax.transpose(split, order), (size, *shape[:dim], inside * rest, *shape[dim + 1 :]))


@rule("convolution")
def _convolution(i: Instruction, size: int, x: Batched, kernel: Batched) -> Value:
    """The examples join the batch, the output features, or as groups the features of both."""
    labels, features, batches = i["dim_labels"], i["feature_group_count"], i["batch_group_count"]
    element = i.shape.element_type  # type: ignore[union-attr]
    dims = list(i.dims)

    def convolve(a: Tracer, b: Tracer, out: int, **attrs: Any) -> Tracer:
        dims[out] *= size
        return emit(op.convolution, a, b, shape=ArrayShape(element, tuple(dims)), **{**i.attrs, **attrs})

    if kernel.axis is None:
        made = convolve(_merged(x.front(size), labels.input_batch, batches), kernel.value, labels.output_batch)
        return Batched(_parted(made, labels.output_batch, size), 0)
    out = labels.output_feature
    if x.axis is None:
        groups = features * batches
        made = convolve(x.value, _merged(kernel.front(size), labels.kernel_output_feature, groups), out)
        return Batched(_parted(made, out, size, groups), 0)
    b = _merged(kernel.front(size), labels.kernel_output_feature)
    if batches > 1:
        a = _merged(x.front(size), labels.input_batch)
        made = convolve(a, b, out, batch_group_count=batches * size)
    else:
        a = _merged(x.front(size), labels.input_feature)
        made = convolve(a, b, out, feature_group_count=features * size)
    return Batched(_parted(made, out, size), 0)


# ---- reductions


def _reduced(i: Instruction, size: int, values: Sequence[Batched], **attrs: Any) -> Value:
    n = len(values) // 2
    arrays, inits = values[:n], values[n:]
    if not is_batched(list(inits)):
        return _emit_all(i, size, *each(arrays, size), *(v.value for v in inits), **attrs)
    name = monoid(i["to_apply"])
    if n == 1 and name is not None:
        # From the neutral value, and then each example's own.
        neutral = lift(identity(name, arrays[0].value.dtype))
        made = _emit_all(i, size, arrays[0].front(size), neutral, **attrs)
        start = expand(inits[0].value, made.value.shape, (0,))
        return Batched(emit(OPCODES[name], start, made.value), 0)
    return one_by_one(i, list(values), size)


@rule("reduce")
def _reduce(i: Instruction, size: int, *values: Batched) -> Value:
    return _reduced(i, size, values, dimensions=_up(i["dimensions"]))


@rule("reduce-window")
def _reduce_window(i: Instruction, size: int, *values: Batched) -> Value:
    return _reduced(i, size, values, window=(WindowDim(1), *i["window"]))


@rule("select-and-scatter")
def _select_and_scatter(i: Instruction, size: int, x: Batched, source: Batched, init: Batched) -> Value:
    if init.axis is not None:
        return one_by_one(i, [x, source, init], size)
    return _emit(i, size, *each((x, source), size), init.value, window=(WindowDim(1), *i["window"]))


@rule("map")
def _map(i: Instruction, size: int, *values: Batched) -> Value:
    arrays = each(values, size)
    return _emit_all(i, size, *arrays, dimensions=tuple(range(arrays[0].ndim)))


# ---- order, linear algebra, transforms: along given or the last dimensions


@rule("sort")
def _sort(i: Instruction, size: int, *values: Batched) -> Value:
    return _emit_all(i, size, *each(values, size), dimensions=_up(i["dimensions"]))


@rule("topk", "cholesky", "fft")
def _last_dimensions(i: Instruction, size: int, x: Batched) -> Value:
    return _emit_all(i, size, x.front(size))


@rule("triangular-solve")
def _triangular_solve(i: Instruction, size: int, a: Batched, b: Batched) -> Value:
    if a.axis is not None or a.ndim != 2:
        return _emit(i, size, *each((a, b), size))
    # One matrix for all: the examples are further right-hand sides.
    place = 1 if i["left_side"] else 0
    made = emit(op.triangular_solve, a.value, _merged(b.front(size), place), **i.attrs)
    return Batched(_parted(made, place, size), 0)


@rule("batch-norm-training", "batch-norm-inference", "batch-norm-grad")
def _batch_norm(i: Instruction, size: int, *values: Batched) -> Value:
    """The examples join the features."""
    active = trace.active()
    feature = i["feature_index"]
    merged = [_merged(v.front(size), feature if v.dims == values[0].dims else 0) for v in values]
    made = emit_instruction(i.opcode, *[active.use(t) for t in merged], **i.attrs)
    if not isinstance(made.shape, TupleShape):
        return Batched(_parted(Tracer(active, made), feature, size), 0)
    return [Batched(_parted(t, feature if t.ndim > 1 else 0, size), 0) for t in trace.elements(made)]


# ---- random numbers


@rule("rng")
def _rng(i: Instruction, size: int, *values: Batched) -> Value:
    return one_by_one(i, list(values), size)


@rule("custom-call")
def _custom_call(i: Instruction, size: int, *values: Batched) -> Value:
    if i["callback"] is not None:
        from xlac.frontend.effects import callback_batch

        return callback_batch(i, list(values), size)
    return one_by_one(i, list(values), size)


@rule("rng-bit-generator", "ragged-dot", "scaled-dot", "get-dimension-size", "scan")
def _one_after_another(i: Instruction, size: int, *values: Batched) -> Value:
    return one_by_one(i, list(values), size)


def one_by_one(i: Instruction, values: list[Batched], size: int) -> Value:
    """A loop over the examples, for opcodes that cannot take them all at once."""
    active = trace.active()
    moving = [v.front(size) for v in values if v.axis is not None]
    several = isinstance(i.shape, TupleShape)

    def turn(_: Any, examples: list[Tracer]) -> Any:
        given = iter(examples)
        inner = trace.active()
        operands = [inner.use(next(given) if v.axis is not None else v.value) for v in values]
        shape = i.shape if i.opcode.declared else None
        made = emit_instruction(i.opcode, *operands, shape=shape, **i.attrs)
        return None, tuple(trace.elements(made)) if several else Tracer(inner, made)

    _, results = lax.scan(turn, None, moving)
    assert active is trace.active()
    return [Batched(r, 0) for r in results] if several else Batched(results, 0)


# ---- structure


@rule("opt-barrier")
def _opt_barrier(i: Instruction, size: int, x: Value) -> Value:
    if not isinstance(x, list):
        return Batched(emit(op.opt_barrier, x.value), x.axis)
    made = trace.elements(emit_instruction(op.opt_barrier, instruction_of(x)))
    return [Batched(t, v.axis) for t, v in zip(made, x)]


@rule("add-dependency")
def _add_dependency(i: Instruction, size: int, x: Batched, token: Value) -> Value:
    return x


def _lazily(name: str) -> Rule:
    """A rule of `batched_loops`, imported when it is first needed."""

    def apply(i: Instruction, values: list[Value], size: int) -> Value:
        from xlac.frontend import batched_loops

        return getattr(batched_loops, name)(i, values, size)

    return apply


RULES["while"] = _lazily("while_batch")
RULES["conditional"] = _lazily("conditional_batch")
RULES["call"] = _lazily("call_batch")
