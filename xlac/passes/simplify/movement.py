"""Laws of what moves elements without computing: moves that meet become one, moves of nothing vanish, generators
sink."""

from __future__ import annotations

import math

import numpy as np

from xlac.ir.match import Any, Splat, broadcast_scalar, full, one_of, rule, splat_value
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import ArrayShape

x, y = Any("x"), Any("y")
c = Splat(name="c")

_ELEMENTWISE = tuple(name for name, row in OPCODES.items() if row.elementwise)
# Of these, results without elements need no computation.
_MOVES = (
    "broadcast",
    "reshape",
    "transpose",
    "slice",
    "concatenate",
    "pad",
    "reverse",
    "dynamic-slice",
    "gather",
    "iota",
)


def _array(x: Instruction) -> ArrayShape:
    assert isinstance(x.shape, ArrayShape)
    return x.shape


def _identity(dims: tuple[int, ...]) -> bool:
    return dims == tuple(range(len(dims)))


def _reshaped(x: Instruction, dims: tuple[int, ...]) -> Instruction:
    return x if x.dims == dims else op.reshape.make(x, shape=_array(x).with_dims(dims))


@rule(one_of((*_ELEMENTWISE, *_MOVES, "dot", "dynamic-update-slice"))())
def nothing_of_anything(root):
    """An array without elements is a constant."""
    shape = root.shape
    if not isinstance(shape, ArrayShape) or shape.size:
        return None
    return op.constant.make(shape=shape, literal=np.zeros(shape.dims, shape.dtype))


@rule(op.constant())
def constant_of_one_value(root):
    """A constant array of one value is a broadcast scalar."""
    literal = root["literal"]
    if literal.ndim == 0 or literal.size == 0:
        return None
    flat = np.ascontiguousarray(literal).reshape(-1)
    first, last = flat[:1].tobytes(), flat[-1:].tobytes()
    if first != last or (flat.view(np.uint8).reshape(flat.size, -1) != np.frombuffer(first, np.uint8)).any():
        return None
    one = op.constant.make(shape=_array(root).with_dims(()), literal=literal.reshape(-1)[0:1].reshape(()).copy())
    return broadcast_scalar(one, root.dims)


# ---- broadcast


@rule(op.broadcast(x))
def broadcast_without_new_elements(root, x):
    """A broadcast that repeats nothing is x, a transpose or a reshape of it."""
    dimensions = root["dimensions"]
    if x.dims == root.dims and _identity(dimensions):
        return x
    if _array(x).size != _array(root).size or not x.dims:
        return None
    order = tuple(sorted(range(len(dimensions)), key=lambda i: dimensions[i]))
    moved = x if _identity(order) else op.transpose.make(x, dimensions=order)
    return _reshaped(moved, root.dims)


@rule(op.broadcast(op.broadcast(x, name="inner")))
def broadcast_twice(root, inner, x):
    """broadcast(broadcast(x, p), q) = broadcast(x, [q[i] for i in p])."""
    outer = root["dimensions"]
    return op.broadcast.make(x, shape=root.shape, dimensions=tuple(outer[i] for i in inner["dimensions"]))


@rule(op.broadcast(x))
def broadcast_of_size_one_dimension(root, x):
    """Dimensions of one element are reshaped away before a broadcast."""
    if 1 not in x.dims or _array(x).size == _array(root).size:
        return None
    kept = [i for i, n in enumerate(x.dims) if n != 1]
    return op.broadcast.make(
        _reshaped(x, tuple(x.dims[i] for i in kept)),
        shape=root.shape,
        dimensions=tuple(root["dimensions"][i] for i in kept),
    )


def _spread_over(x: Instruction, like: Instruction) -> Instruction | None:
    """What a broadcast that repeats as `like` does would repeat for `x`: a scalar, or x's operand if it repeats the
    same way."""
    if x.opcode is not op.broadcast or x.dims != like.dims:
        return None
    if not x["dimensions"]:
        return broadcast_scalar(x.operands[0], like.operands[0].dims)
    return x.operands[0] if x["dimensions"] == like["dimensions"] else None


@rule(one_of(_ELEMENTWISE)())
def elementwise_of_broadcasts(root):
    """f(broadcast(x), broadcast(y)) = broadcast(f(x, y)): compute before repeating."""
    widest = None
    for operand in root.operands:
        if operand.opcode is op.broadcast:
            if widest is None or len(operand["dimensions"]) > len(widest["dimensions"]):
                widest = operand
        elif operand.dims or not root.dims:
            return None
    if widest is None or _array(widest.operands[0]).size >= _array(root).size:
        return None
    operands = []
    for operand in root.operands:
        inner = operand if operand.opcode is not op.broadcast else _spread_over(operand, widest)
        if inner is None:
            return None
        operands.append(inner)
    made = _remade(root, operands, widest.operands[0].dims)
    return op.broadcast.make(made, shape=root.shape, dimensions=widest["dimensions"])


@rule(one_of(_ELEMENTWISE)())
def elementwise_of_added_dimensions(root):
    """f(reshape(x), reshape(y)) = reshape(f(x, y)) where the reshapes only add or remove dimensions of one element."""
    source = None
    for operand in root.operands:
        if operand.opcode is op.reshape and source is None:
            source = operand.operands[0]
    if source is None or matched_dimensions(source.dims, root.dims) is None or root.dims == source.dims:
        return None
    operands = []
    for operand in root.operands:
        if operand.opcode is op.reshape and operand.operands[0].dims == source.dims:
            operands.append(operand.operands[0])
        elif operand.opcode is op.broadcast and not operand["dimensions"]:
            operands.append(broadcast_scalar(operand.operands[0], source.dims))
        elif not operand.dims and root.dims and root.opcode.name in ("select", "clamp"):
            operands.append(operand)
        else:
            return None
    return _reshaped(_remade(root, operands, source.dims), root.dims)


def _remade(root: Instruction, operands: list[Instruction], dims: tuple[int, ...]) -> Instruction:
    """The elementwise `root` of other operands."""
    given = {"shape": _array(root).with_dims(dims)} if root.opcode.declared else {}
    return root.opcode.make(*operands, **given, **root.attrs)


# ---- reshape


@rule(op.reshape(x))
def reshape_to_same(root, x):
    """A reshape to the dimensions x has is x."""
    return x if x.dims == root.dims else None


@rule(op.reshape(op.reshape(x)))
def reshape_twice(root, x):
    """Only the last reshape counts."""
    return op.reshape.make(x, shape=root.shape)


@rule(op.reshape(op.broadcast(x, name="inner")))
def reshape_of_broadcast(root, inner, x):
    """A reshape of a repeated scalar, or one that adds or removes dimensions of one element, makes another
    broadcast."""
    if not inner["dimensions"]:
        return broadcast_scalar(x, root.dims)
    places = matched_dimensions(inner.dims, root.dims)
    if places is None:
        return None
    at = [places[d] for d in inner["dimensions"]]
    kept = [i for i, d in enumerate(at) if d is not None]
    return op.broadcast.make(
        _reshaped(x, tuple(x.dims[i] for i in kept)), shape=root.shape, dimensions=tuple(at[i] for i in kept)
    )


def matched_dimensions(source: tuple[int, ...], target: tuple[int, ...]) -> list[int | None] | None:
    """Where each dimension of `source` goes (None for nowhere) in a reshape that only adds or removes dimensions of one
    element; None for any other reshape."""
    wide = [d for d, n in enumerate(source) if n != 1]
    wide_target = [d for d, n in enumerate(target) if n != 1]
    if [source[d] for d in wide] != [target[d] for d in wide_target]:
        return None
    result: list[int | None] = [None] * len(source)
    for d, e in zip(wide, wide_target):
        result[d] = e
    return result


@rule(op.reshape(op.iota(name="inner")))
def reshape_of_iota(root, inner):
    """Adding or removing dimensions of one element renumbers iota's dimension."""
    places = matched_dimensions(inner.dims, root.dims)
    if places is None or places[inner["iota_dimension"]] is None:
        return None
    return op.iota.make(shape=root.shape, iota_dimension=places[inner["iota_dimension"]])


# ---- transpose


@rule(op.transpose(x))
def transpose_to_same(root, x):
    """The identity permutation vanishes."""
    return x if _identity(root["dimensions"]) else None


@rule(op.transpose(op.transpose(x, name="inner")))
def transpose_twice(root, inner, x):
    """transpose(transpose(x, p), q) = transpose(x, [p[i] for i in q])."""
    return op.transpose.make(x, dimensions=tuple(inner["dimensions"][i] for i in root["dimensions"]))


@rule(op.transpose(x))
def transpose_of_size_one_dimensions(root, x):
    """A transpose that moves only dimensions of one element is a reshape."""
    order = [d for d in root["dimensions"] if x.dims[d] != 1]
    return _reshaped(x, root.dims) if order == sorted(order) and not _identity(root["dimensions"]) else None


@rule(op.transpose(op.broadcast(x, name="inner")))
def transpose_of_broadcast(root, inner, x):
    """A transpose of repeated elements repeats them along other dimensions."""
    order = root["dimensions"]
    return op.broadcast.make(x, shape=root.shape, dimensions=tuple(order.index(d) for d in inner["dimensions"]))


@rule(op.transpose(op.iota(name="inner")))
def transpose_of_iota(root, inner):
    """A transpose renumbers iota's dimension."""
    return op.iota.make(shape=root.shape, iota_dimension=root["dimensions"].index(inner["iota_dimension"]))


# ---- iota


@rule(op.iota())
def iota_of_one(root):
    """Counting to one gives 0."""
    return full(root.shape, 0) if root.dims[root["iota_dimension"]] == 1 else None


# ---- slice


def _slice(x: Instruction, ranges: list[tuple[int, int, int]]) -> Instruction:
    return op.slice.make(x, slice=tuple(ranges))


@rule(op.slice(x))
def slice_of_everything(root, x):
    """A slice of all elements is x."""
    return x if x.dims == root.dims else None


@rule(op.slice(op.slice(x, name="inner")))
def slice_twice(root, inner, x):
    """A slice of a slice is one slice: starts add up, strides multiply."""
    ranges = []
    for (start, limit, stride), (inner_start, _, inner_stride), extent in zip(root["slice"], inner["slice"], root.dims):
        begin, step = inner_start + start * inner_stride, stride * inner_stride
        if extent == 0 or limit == start:
            return None
        ranges.append((begin, begin + (extent - 1) * step + 1, step))
    return _slice(x, ranges)


@rule(op.slice(op.broadcast(x, name="inner")))
def slice_of_broadcast(root, inner, x):
    """A slice of repeated elements repeats a slice of them."""
    ranges = [root["slice"][d] for d in inner["dimensions"]]
    sliced = _slice(x, ranges) if ranges else x
    if sliced.shape == x.shape:
        sliced = x
    return op.broadcast.make(sliced, shape=root.shape, dimensions=inner["dimensions"])


@rule(op.slice(op.iota(name="inner")))
def slice_of_iota(root, inner):
    """A slice that begins at iota's 0 and skips nothing counts less far."""
    start, _, stride = root["slice"][inner["iota_dimension"]]
    if start or stride != 1:
        return None
    return op.iota.make(shape=root.shape, iota_dimension=inner["iota_dimension"])


@rule(op.slice(op.concatenate(name="joined")))
def slice_of_concatenate(root, joined):
    """A slice that lies in some of the joined arrays needs no others."""
    (dim,) = joined["dimensions"]
    start, limit, stride = root["slice"][dim]
    if root.dims[dim] == 0:
        return None
    limit = start + (root.dims[dim] - 1) * stride + 1
    inside, base, offset = [], None, 0
    for part in joined.operands:
        extent = part.dims[dim]
        if offset < limit and offset + extent > start and extent:
            base = offset if base is None else base
            inside.append(part)
        offset += extent
    if len(inside) == len(joined.operands) or base is None:
        return None
    ranges = list(root["slice"])
    ranges[dim] = (start - base, limit - base, stride)
    rest = inside[0] if len(inside) == 1 else op.concatenate.make(*inside, dimensions=(dim,))
    return _slice(rest, ranges)


@rule(op.slice(op.reverse(x, name="inner")))
def slice_of_reverse(root, inner, x):
    """A slice of a reversal reverses the slice from the other end."""
    ranges = list(root["slice"])
    for d in inner["dimensions"]:
        start, _, stride = ranges[d]
        if root.dims[d] == 0:
            return None
        last = start + (root.dims[d] - 1) * stride
        ranges[d] = (x.dims[d] - 1 - last, x.dims[d] - start, stride)
    return op.reverse.make(_slice(x, ranges), dimensions=inner["dimensions"])


# ---- concatenate


@rule(op.concatenate(x))
def concatenate_one(root, x):
    """A concatenation of one array is that array."""
    return x


@rule(op.concatenate())
def concatenate_empty(root):
    """Arrays without elements add nothing to a concatenation."""
    kept = [part for part in root.operands if _array(part).size]
    if len(kept) == len(root.operands) or not kept:
        return None
    return op.concatenate.make(*kept, dimensions=root["dimensions"])


@rule(op.concatenate())
def concatenate_nested(root):
    """A concatenation within a concatenation along the same dimension, read only there, is dissolved."""
    parts: list[Instruction] = []
    for part in root.operands:
        nested = part.opcode is op.concatenate and part["dimensions"] == root["dimensions"] and len(part.users) == 1
        # Two copies of a concatenation that is read twice would be twice as long, and so on up a chain of them.
        nested = nested and root.operands.count(part) == 1
        parts.extend(part.operands if nested else (part,))
    return op.concatenate.make(*parts, dimensions=root["dimensions"]) if len(parts) > len(root.operands) else None


@rule(op.concatenate())
def concatenate_adjacent_slices(root):
    """Neighbouring slices of one array, joined again, are one slice."""
    (dim,) = root["dimensions"]
    parts: list[Instruction] = []
    for part in root.operands:
        merged = _joined_slices(parts[-1], part, dim) if parts else None
        if merged is not None:
            parts[-1] = merged
        else:
            parts.append(part)
    return op.concatenate.make(*parts, dimensions=(dim,)) if len(parts) < len(root.operands) else None


def _joined_slices(left: Instruction, right: Instruction, dim: int) -> Instruction | None:
    if left.opcode is not op.slice or right.opcode is not op.slice or left.operands != right.operands:
        return None
    ranges = list(left["slice"])
    for d, (a, b) in enumerate(zip(left["slice"], right["slice"])):
        if a[2] != b[2] or (d == dim and (a[2] != 1 or a[1] != b[0])) or (d != dim and a != b):
            return None
    ranges[dim] = (left["slice"][dim][0], right["slice"][dim][1], 1)
    return _slice(left.operands[0], ranges)


@rule(op.concatenate())
def concatenate_of_one_scalar(root):
    """Repeats of one scalar, joined, are repeats of it."""
    first = root.operands[0]
    if first.opcode is not op.broadcast or first["dimensions"]:
        return None
    (one,) = first.operands
    for part in root.operands:
        if part.opcode is not op.broadcast or part["dimensions"] or part.operands[0] is not one:
            return None
    return broadcast_scalar(one, root.dims)


# ---- pad


@rule(op.pad(x, y))
def pad_nothing(root, x, y):
    """A pad by nothing is x."""
    return x if all(p == (0, 0, 0) or (p[:2] == (0, 0) and n <= 1) for p, n in zip(root["padding"], x.dims)) else None


@rule(op.pad(x, y))
def pad_of_empty(root, x, y):
    """Padding an array without elements repeats the padding value."""
    return None if _array(x).size else broadcast_scalar(y, root.dims)


@rule(op.pad(op.broadcast(y), y))
def pad_with_same(root, y):
    """Padding repeats of a scalar with that scalar repeats it more often."""
    return broadcast_scalar(y, root.dims) if not y.dims else None


@rule(op.pad(op.pad(x, y, name="inner"), y))
def pad_twice(root, inner, x, y):
    """Two pads with the same value, neither cutting nor spreading, are one."""
    both = list(zip(root["padding"], inner["padding"]))
    if any(low < 0 or high < 0 or step for pair in both for low, high, step in pair):
        return None
    padding = tuple((a[0] + b[0], a[1] + b[1], 0) for a, b in both)
    return op.pad.make(x, y, padding=padding)


@rule(op.pad(x, y))
def pad_that_cuts(root, x, y):
    """A pad that only cuts is a slice."""
    if any(low > 0 or high > 0 or step for low, high, step in root["padding"]):
        return None
    ranges = [(-low, n + high, 1) for (low, high, _), n in zip(root["padding"], x.dims)]
    if any(start > limit for start, limit, _ in ranges):
        return None
    return _slice(x, ranges)


# ---- reverse


@rule(op.reverse(x))
def reverse_of_size_one_dimensions(root, x):
    """Dimensions of one element are their own reversal."""
    kept = tuple(d for d in root["dimensions"] if x.dims[d] != 1)
    if len(kept) == len(root["dimensions"]):
        return None if kept else x
    return op.reverse.make(x, dimensions=kept) if kept else x


@rule(op.reverse(op.reverse(x, name="inner")))
def reverse_twice(root, inner, x):
    """Dimensions reversed twice are as they were."""
    once = tuple(sorted(set(root["dimensions"]) ^ set(inner["dimensions"])))
    return op.reverse.make(x, dimensions=once) if once else x


@rule(op.reverse(op.broadcast(x, name="inner")))
def reverse_of_broadcast(root, inner, x):
    """Repeats read the same from both ends."""
    kept = tuple(d for d in root["dimensions"] if d in inner["dimensions"])
    if len(kept) == len(root["dimensions"]):
        return None
    return op.reverse.make(inner, dimensions=kept) if kept else inner


# ---- dynamic slices and gather


def _constant_starts(
    starts: tuple[Instruction, ...], dims: tuple[int, ...], sizes: tuple[int, ...]
) -> list[int] | None:
    """Clamped start indices where all are constants or have only one place to go."""
    if len(starts) == 1 and starts[0].dims:
        if starts[0].opcode is op.constant:
            values = [int(v) for v in starts[0]["literal"]]
        elif splat_value(starts[0]) is not None:
            values = [int(splat_value(starts[0]))] * len(dims)
        else:
            return None
    else:
        values = []
        for start, n, size in zip(starts, dims, sizes):
            value = 0 if n == size else splat_value(start)
            if value is None:
                return None
            values.append(int(value))
    return [min(max(v, 0), n - size) for v, n, size in zip(values, dims, sizes)]


@rule(op.dynamic_slice())
def dynamic_slice_at_constant(root):
    """A dynamic slice whose place is known is a slice."""
    x, *starts = root.operands
    begin = _constant_starts(tuple(starts), x.dims, root.dims)
    return None if begin is None else _slice(x, [(b, b + n, 1) for b, n in zip(begin, root.dims)])


@rule(op.dynamic_update_slice())
def update_of_everything_or_nothing(root):
    """An update of all elements is the update; one of no elements changes nothing."""
    x, update = root.operands[:2]
    if update.dims == x.dims:
        return update
    return x if _array(update).size == 0 else None


@rule(op.dynamic_update_slice())
def update_of_repeated_scalar(root):
    """An update, at a known place, of repeats of a scalar is a pad."""
    x, update, *starts = root.operands
    if x.opcode is not op.broadcast or x["dimensions"]:
        return None
    begin = _constant_starts(tuple(starts), x.dims, update.dims)
    if begin is None:
        return None
    padding = tuple((b, n - b - m, 0) for b, n, m in zip(begin, x.dims, update.dims))
    return op.pad.make(update, x.operands[0], padding=padding)


@rule(op.gather(x, y))
def gather_of_one(root, x, y):
    """A gather of a single slice is a dynamic slice."""
    vector, parts = root["index_vector_dim"], root["start_index_map"]
    if root["operand_batching_dims"] or _array(y).size != len(parts) or not x.dims:
        return None
    if math.prod(n for d, n in enumerate(y.dims) if d != vector) != 1:
        return None
    flat = _reshaped(y, (len(parts),))
    zero = full(_array(y).with_dims(()), 0)
    starts = [zero] * len(x.dims)
    for i, d in enumerate(parts):
        starts[d] = _reshaped(_slice(flat, [(i, i + 1, 1)]), ())
    return _reshaped(op.dynamic_slice.make(x, *starts, dynamic_slice_sizes=root["slice_sizes"]), root.dims)
