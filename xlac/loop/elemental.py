"""HLO instructions as values at an index: the way a fused computation becomes expressions of the loop IR.

`Elemental.at(instruction, indices)` gives the element of an instruction's result at the indices, recursively through
its operands, once for each index. What is already in memory (an operand of the kernel) becomes a load; what sums over
elements (reduce, dot, ...) first appends loops that fill registers to the statements built so far.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Union

import ml_dtypes
import numpy as np

from xlac.errors import CompileError
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import Opcode
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import F32, PRED, ElementType, TupleShape
from xlac.loop.ir import (
    ZERO,
    Accumulate,
    Assign,
    Buffer,
    For,
    FromValue,
    Index,
    Register,
    Statement,
    Value,
    Var,
    apply,
    const,
    from_index,
    in_range,
    index,
    load,
    read,
)

Indices = tuple[Index, ...]
Storage = Union[Buffer, Value, tuple["Storage", ...]]  # a value is a scalar that needs no memory


# The most values one kernel computes: an instruction counts once for each index it is needed at.
MAX_VALUES = 20_000
# Levels of operands after which values are computed operands first, so that long chains do not exhaust Python's stack.
MAX_DEPTH = 40


def linearize(indices: Sequence[Index], dims: Sequence[int]) -> Index:
    """The row-major place of an element."""
    total = ZERO
    for i, extent in zip(indices, dims):
        total = total * extent + i
    return total


def delinearize(place: Index, dims: Sequence[int]) -> Indices:
    """The indices of the element at a row-major place."""
    result: list[Index] = []
    for extent in reversed(dims):
        result.append(ZERO if extent == 1 else place.mod(extent))
        place = place.floordiv(extent) if extent else ZERO
    return tuple(reversed(result))


def accumulator_type(element_type: ElementType) -> ElementType:
    """The type sums are kept in: float32 for narrower floats, otherwise the type itself."""
    return F32 if element_type.is_float and element_type.bits < 32 else element_type


def convert(value: Value, to: ElementType) -> Value:
    return value if value.element_type is to else apply("convert", to, value)


class Elemental:
    """Values of instructions at indices, given where the kernel's operands are stored.

    Attributes:
      storage: instructions whose result is in memory.
      known: values that a schedule has computed already, by instruction and indices.
      body: the statements under construction; loops that `at` needs are appended to it.
      vector_width: lanes for vector reductions begun by `at`; 1 inside a vector loop.
    """

    def __init__(self, storage: dict[Instruction, Storage], vector_width: int = 1) -> None:
        self.storage = storage
        self.known: dict[tuple[Instruction, Indices], Value] = {}
        self.body: list[Statement] = []
        self.vector_width = vector_width
        self.several: dict[tuple, tuple[Value, ...]] = {}
        self._memo: dict[tuple, Value] = {}
        self._scalars: dict[Instruction, Value] = {}
        self._numbers = itertools.count()
        self._computed = itertools.count(1)
        self._depth = 0

    def fresh(self, prefix: str, extent: int) -> Var:
        return Var(f"{prefix}{next(self._numbers)}", extent)

    def register(self, prefix: str, element_type: ElementType) -> Register:
        return Register(f"{prefix}{next(self._numbers)}", element_type)

    # ---- values

    def buffer_of(self, instruction: Instruction) -> Buffer | None:
        """The buffer that holds an array instruction, or None if it must be computed."""
        found = self._storage(instruction)
        return found if isinstance(found, Buffer) else None

    def _storage(self, instruction: Instruction) -> Storage | None:
        found = self.storage.get(instruction)
        if found is None and instruction.is_a("get-tuple-element"):
            parts = self._storage(instruction.operands[0])
            if isinstance(parts, tuple):
                return parts[instruction["index"]]
        return found

    def at(self, instruction: Instruction, indices: Indices, guard: Value | None = None) -> Value:
        """The element of `instruction` at `indices`. Nothing is read from memory where `guard` is false."""
        key = (instruction, indices)
        value = self.known.get(key)
        if value is not None:
            return value
        memo = (instruction, indices, guard)
        value = self._memo.get(memo)
        if value is not None:
            return value
        if next(self._computed) > MAX_VALUES:
            raise CompileError(f"{instruction.name}: one kernel would compute more than {MAX_VALUES} values")
        if self._depth >= MAX_DEPTH:
            self._operands_first(instruction, indices, guard)
        depth_body = self.body
        self._depth += 1
        value = self._compute(instruction, indices, guard)
        self._depth -= 1
        # A value that needed loops lives in the statements that hold them.
        if not value.registers or self.body is depth_body:
            self._memo[memo] = value
        return value

    def _operands_first(self, instruction: Instruction, indices: Indices, guard: Value | None) -> None:
        """Compute what elementwise instructions above this one need at the same indices, the first of them first."""
        order: list[Instruction] = []
        done: set[Instruction] = set()
        stack = [(instruction, False)]
        while stack:
            x, leaving = stack.pop()
            if leaving:
                order.append(x)
            elif x not in done and x.opcode.elementwise and x not in self._scalars and self._storage(x) is None:
                done.add(x)
                stack.append((x, True))
                stack.extend((o, False) for o in reversed(x.operands))
        depth, self._depth = self._depth, 0
        for x in order[:-1]:
            self.at(x, indices if x.dims else (), guard)
        self._depth = depth

    def _compute(self, instruction: Instruction, indices: Indices, guard: Value | None) -> Value:
        scalar = self._scalars.get(instruction)
        if scalar is not None:
            return scalar
        found = self._storage(instruction)
        if isinstance(found, Buffer):
            return load(found, linearize(indices, instruction.dims), guard)
        if isinstance(found, Value):
            return found
        rule = _RULES.get(instruction.opcode.name)
        if rule is not None:
            return rule(self, instruction, indices, guard)
        if instruction.opcode.elementwise:
            args = tuple(self.at(x, indices if x.dims else (), guard) for x in instruction.operands)
            return apply(instruction.opcode.name, instruction.shape.element_type, *args, **_scalar_attrs(instruction))
        raise CompileError(f"{instruction.name}: {instruction.opcode.name} cannot be computed element by element")

    def leave(self, body: list[Statement]) -> None:
        """Go on appending to `body`: registers that were filled in the body left are not known to hold there."""
        self.body = body
        self._memo = {k: v for k, v in self._memo.items() if not v.registers}
        self.several = {}

    # ---- scalar computations

    def inline(
        self, computation: Computation, arguments: Sequence[Value], root: Instruction | None = None
    ) -> tuple[Value, ...]:
        """The results of a computation of scalars (a reducer, comparator, ...) for scalar arguments, or the value of
        another of its instructions."""
        inner = Elemental({}, 1)
        inner._numbers, inner._computed, inner._depth = self._numbers, self._computed, self._depth
        inner.body = self.body
        for parameter, argument in zip(computation.parameters, arguments, strict=True):
            inner._scalars[parameter] = argument
        root = root or computation.root
        if isinstance(root.shape, TupleShape):
            if not root.is_a("tuple"):
                raise CompileError(f"{computation.name}: its root must be a tuple instruction")
            return tuple(inner.at(x, ()) for x in root.operands)
        return (inner.at(root, ()),)

    # ---- loops that fill registers

    def accumulate(
        self,
        extents: Sequence[int],
        initial: Sequence[Value],
        element: Callable[[Indices], Sequence[Value]],
        reducer: Computation | str,
        vector: bool = False,
        result_types: Sequence[ElementType] | None = None,
        exists: Callable[[Indices], Value | None] | None = None,
    ) -> tuple[Value, ...]:
        """Reduce `element(indices)` over all indices below `extents`, from `initial`, by a computation or a monoid's
        opcode.

        Appends the loops and returns the registers' values. With `vector` the last dimension is a vector loop.
        Elements for which `exists` gives a false value are left out.
        """
        name = reducer if isinstance(reducer, str) else monoid(reducer)
        wide = [accumulator_type(v.element_type) if name in ("add", "multiply") else v.element_type for v in initial]
        registers = [self.register("acc", t) for t in wide]
        for register, value in zip(registers, initial):
            self.body.append(Assign(register, convert(value, register.element_type)))
        if math.prod(extents):
            variables = [self.fresh("r", n) for n in extents]
            outer, width = self.body, self.vector_width
            innermost: list[Statement] = []
            last_vector = bool(vector and name is not None and variables and width > 1 and variables[-1].extent > 1)
            if last_vector:
                self.vector_width = 1
            saved, saved_several = self._memo, self.several
            self._memo, self.several = dict(saved), dict(saved_several)
            self.body = innermost
            at = tuple(index(v) for v in variables)
            values = element(at)
            inside = exists(at) if exists is not None else None
            if name is not None:
                for register, value in zip(registers, values):
                    value = convert(value, register.element_type)
                    if inside is not None:
                        identity = const(register.element_type, monoid_identity(name, register.element_type))
                        value = apply("select", register.element_type, inside, value, identity)
                    innermost.append(accumulate_statement(register, name, value))
            else:
                assert not isinstance(reducer, str)
                before = [read(r) for r in registers]
                results = self.inline(reducer, [*before, *values])
                if inside is not None:
                    results = tuple(
                        apply("select", old.element_type, inside, new, old) for new, old in zip(results, before)
                    )
                parts = [
                    Assign(self.register("next", v.element_type), v) for v in results
                ]  # all are computed before any register changes
                innermost.extend(parts)
                innermost.extend(Assign(r, read(p.register)) for r, p in zip(registers, parts))
            body = innermost
            for depth, variable in enumerate(reversed(variables)):
                if variable.extent > 1:
                    if depth == 0 and last_vector:
                        body = [For(variable, body, "vector", vector_width_for(variable.extent, 2 * width))]
                    else:
                        body = [For(variable, body)]
            self.body, self.vector_width = outer, width
            self._memo, self.several = saved, saved_several
            self.body.extend(body)
        types = result_types or [v.element_type for v in initial]
        return tuple(convert(read(r), t) for r, t in zip(registers, types))


def accumulate_statement(register: Register, name: str, value: Value) -> Accumulate:
    """Accumulate a value; a product of floats is added with one rounding."""
    from xlac.loop.ir import Apply

    if (
        name == "add"
        and isinstance(value, Apply)
        and value.opcode == "multiply"
        and value.element_type.is_float
        and value.element_type is register.element_type
    ):
        return Accumulate(register, name, value.args[0], value.args[1])
    return Accumulate(register, name, value)


def monoid_identity(name: str, element_type: ElementType) -> object:
    """The number that a monoid's opcode leaves every other number as it is."""
    dtype = element_type.dtype
    if name in ("add", "or", "xor"):
        return -0.0 if element_type.is_float else 0
    if name == "multiply":
        return 1
    if element_type is PRED:
        return name in ("minimum", "and")
    if name == "and":
        return -1 if element_type.kind == "s" else (1 << element_type.bits) - 1
    if element_type.is_complex:
        return complex(-np.inf, -np.inf) if name == "maximum" else complex(np.inf, np.inf)
    if element_type.is_float:
        limits = ml_dtypes.finfo(dtype)
        # Some narrow types have no infinity; one would become their NaN.
        infinite = np.isinf(np.array(np.inf).astype(dtype).astype(np.float64))
        low, high = (-np.inf, np.inf) if infinite else (float(limits.min), float(limits.max))
        return low if name == "maximum" else high
    if element_type.bits < 8:
        low = -(1 << (element_type.bits - 1)) if element_type.kind == "s" else 0
        high = (1 << (element_type.bits - (element_type.kind == "s"))) - 1
        return low if name == "maximum" else high
    return np.iinfo(dtype).min if name == "maximum" else np.iinfo(dtype).max


def vector_width_for(extent: int, width: int) -> int:
    """The lanes for a loop of `extent`: no more than the next power of two."""
    while width // 2 >= extent and width > 2:
        width //= 2
    return width


def _scalar_attrs(instruction: Instruction) -> dict:
    """The attributes that scalar code needs."""
    return {k: v for k, v in instruction.attrs.items() if k != "result_accuracy"}


# ---- rules by opcode

Rule = Callable[[Elemental, Instruction, Indices, "Value | None"], Value]
_RULES: dict[str, Rule] = {}


def elemental_rule(*names: str) -> Callable[[Rule], Rule]:
    """Register how an opcode's result is computed at an index."""

    def register(rule: Rule) -> Rule:
        for name in names:
            _RULES[name] = rule
        return rule

    return register


def both(a: Value | None, b: Value | None) -> Value | None:
    """The conjunction of two guards, of which None is always true."""
    if a is None or b is None:
        return b if a is None else a
    if is_false(a) or is_true(b):
        return a
    return b if a is b or is_true(a) or is_false(b) else apply("and", PRED, a, b)


def is_true(guard: Value) -> bool:
    from xlac.loop.ir import Const

    return isinstance(guard, Const) and bool(guard.number)


def is_false(guard: Value) -> bool:
    from xlac.loop.ir import Const

    return isinstance(guard, Const) and not guard.number


def zero(element_type: ElementType) -> Value:
    return const(element_type, np.zeros((), element_type.dtype))


@elemental_rule("copy", "opt-barrier")
def _copy(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return e.at(x.operands[0], i, guard)


@elemental_rule("constant")
def _constant(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    literal = x["literal"]
    if literal.size == 1:
        return const(x.shape.element_type, literal.reshape(())[()])
    raise CompileError(f"{x.name}: an array constant must have a buffer")


@elemental_rule("broadcast")
def _broadcast(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return e.at(x.operands[0], tuple(i[d] for d in x["dimensions"]), guard)


@elemental_rule("reshape")
def _reshape(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    (operand,) = x.operands
    place = linearize(i, x.dims)
    buffer = e.buffer_of(operand)
    if buffer is not None:
        return load(buffer, place, guard)
    return e.at(operand, delinearize(place, operand.dims), guard)


@elemental_rule("transpose")
def _transpose(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    source: list[Index] = [ZERO] * len(i)
    for position, d in enumerate(x["dimensions"]):
        source[d] = i[position]
    return e.at(x.operands[0], tuple(source), guard)


@elemental_rule("slice")
def _slice(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return e.at(x.operands[0], tuple(j * step + start for j, (start, _, step) in zip(i, x["slice"])), guard)


@elemental_rule("reverse")
def _reverse(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    flipped = x["dimensions"]
    return e.at(
        x.operands[0], tuple(Index(n - 1) - j if d in flipped else j for d, (j, n) in enumerate(zip(i, x.dims))), guard
    )


@elemental_rule("iota")
def _iota(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return from_index(i[x["iota_dimension"]], x.shape.element_type)


@elemental_rule("concatenate")
def _concatenate(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    (d,) = x["dimensions"]
    result: Value | None = None
    start = 0
    pieces = []
    for operand in x.operands:
        pieces.append((operand, start, start + operand.dims[d]))
        start += operand.dims[d]
    for operand, low, high in reversed(pieces):
        inside = in_range(i[d], low, high)
        if low == high or is_false(inside):
            continue
        own = None if is_true(inside) else inside
        value = e.at(operand, (*i[:d], i[d] - low, *i[d + 1 :]), both(guard, own))
        result = value if result is None else apply("select", x.shape.element_type, inside, value, result)
    return zero(x.shape.element_type) if result is None else result


@elemental_rule("pad")
def _pad(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    operand, fill = x.operands
    inside: Value | None = None
    source = []
    for j, n, (low, _, interior) in zip(i, operand.dims, x["padding"]):
        shifted = j - low
        span = max(n - 1, 0) * (interior + 1) + (n > 0)
        test = in_range(shifted, 0, span)
        if is_false(test):
            return e.at(fill, (), guard)
        if not is_true(test):
            inside = both(inside, test)
        if interior:
            remainder = in_range(shifted.mod(interior + 1), 0, 1)
            if not is_true(remainder):
                inside = both(inside, remainder)
            shifted = shifted.floordiv(interior + 1)
        source.append(shifted)
    value = e.at(operand, tuple(source), both(guard, inside))
    return value if inside is None else apply("select", x.shape.element_type, inside, value, e.at(fill, (), guard))


@elemental_rule("bitcast-convert")
def _bitcast_convert(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    (operand,) = x.operands
    if operand.dims != x.dims:
        raise CompileError(f"{x.name}: a bitcast-convert that changes the shape cannot be fused")
    return apply("bitcast-convert", x.shape.element_type, e.at(operand, i, guard))


def start_index(value: Value, high: int) -> Index:
    """A start index clamped to 0 .. high."""
    from xlac.loop.ir import Const

    if high <= 0:
        return ZERO
    if isinstance(value, Const):
        return Index(min(max(int(value.number), 0), high))
    return index(FromValue(value, 0, high))


def _start_values(e: Elemental, operands: Sequence[Instruction], rank: int, guard: Value | None) -> list[Value]:
    if len(operands) == 1 and len(operands[0].dims) == 1:
        return [e.at(operands[0], (Index(d),), guard) for d in range(rank)]
    return [e.at(o, (), guard) for o in operands]


@elemental_rule("dynamic-slice")
def _dynamic_slice(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    operand, *starts = x.operands
    values = _start_values(e, starts, len(operand.dims), guard)
    source = tuple(
        j + start_index(v, n - size) for j, v, n, size in zip(i, values, operand.dims, x["dynamic_slice_sizes"])
    )
    return e.at(operand, source, guard)


def update_starts(e: Elemental, x: Instruction) -> list[Index]:
    """The clamped start indices of a dynamic-update-slice."""
    operand, update, *starts = x.operands
    values = _start_values(e, starts, len(operand.dims), None)
    return [start_index(v, n - size) for v, n, size in zip(values, operand.dims, update.dims)]


@elemental_rule("dynamic-update-slice")
def _dynamic_update_slice(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    operand, update = x.operands[:2]
    old = e.at(operand, i, guard)
    if update.shape.size == 0:
        return old
    inside: Value | None = None
    source = []
    for j, start, size in zip(i, update_starts(e, x), update.dims):
        source.append(j - start)
        test = in_range(j - start, 0, size)
        if not is_true(test):
            inside = both(inside, test)
    new = e.at(update, tuple(source), both(guard, inside))
    return new if inside is None else apply("select", x.shape.element_type, inside, new, old)


@elemental_rule("gather")
def _gather(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    operand, starts = x.operands
    offset_dims, vector_dim = x["offset_dims"], x["index_vector_dim"]
    batch = [j for d, j in enumerate(i) if d not in offset_dims]
    offsets = iter([i[d] for d in offset_dims])
    source = []
    for d, n in enumerate(operand.dims):
        size = x["slice_sizes"][d]
        place = ZERO
        if d in x["start_index_map"]:
            at = list(batch)
            if vector_dim < len(starts.dims):
                at.insert(vector_dim, Index(x["start_index_map"].index(d)))
            place = start_index(e.at(starts, tuple(at), guard), n - size)
        elif d in x["operand_batching_dims"]:
            axis = x["start_indices_batching_dims"][x["operand_batching_dims"].index(d)]
            place = batch[axis - (axis > vector_dim)]
        if d not in x["collapsed_slice_dims"] and d not in x["operand_batching_dims"]:
            place = place + next(offsets)
        source.append(place)
    return e.at(operand, tuple(source), guard)


def reduce_indices(instruction: Instruction, kept: Indices, reduced: Indices) -> Indices:
    """The operand's indices from those of the result and of the reduced dimensions."""
    rest, inner = iter(kept), iter(reduced)
    dims = instruction["dimensions"]
    order = {d: next(inner) for d in dims}
    rank = len(instruction.operands[0].dims)
    return tuple(order[d] if d in order else next(rest) for d in range(rank))


def reduce_at(e: Elemental, x: Instruction, i: Indices, guard: Value | None, vector: bool) -> tuple[Value, ...]:
    """All results of a reduce at the indices of its result."""
    n = len(x.operands) // 2
    inputs, inits = x.operands[:n], x.operands[n:]
    dims = x["dimensions"]
    shapes = list(x.shape) if isinstance(x.shape, TupleShape) else [x.shape]
    return e.accumulate(
        [inputs[0].dims[d] for d in dims],
        [e.at(v, (), guard) for v in inits],
        lambda reduced: [e.at(v, reduce_indices(x, i, reduced), guard) for v in inputs],
        x["to_apply"],
        vector=vector,
        result_types=[s.element_type for s in shapes],
    )


@elemental_rule("reduce")
def _reduce(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return reduce_at(e, x, i, guard, vector=len(x.operands[0].dims) - 1 in x["dimensions"])[0]


@elemental_rule("get-tuple-element")
def _get_tuple_element(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    (operand,) = x.operands
    if operand.is_a("tuple"):
        return e.at(operand.operands[x["index"]], i, guard)
    several = _SEVERAL.get(operand.opcode.name)
    if several is None:
        raise CompileError(f"{x.name}: {operand.opcode.name} cannot be computed element by element")
    memo = (operand, i, guard)
    results = e.several.get(memo)
    if results is None:
        results = e.several[memo] = several(e, operand, i, guard)
    return results[x["index"]]


Several = Callable[[Elemental, Instruction, Indices, "Value | None"], "tuple[Value, ...]"]
_SEVERAL: dict[str, Several] = {"reduce": lambda e, x, i, g: reduce_at(e, x, i, g, vector=False)}


def several_rule(name: str, rule: Several) -> None:
    """Register how all results of an opcode with a tuple result are computed at an index."""
    _SEVERAL[name] = rule


def has_code(row: Opcode) -> bool:
    """Whether an opcode can be computed element by element."""
    return row.elementwise or row.name in _RULES or row.name in _SEVERAL


@elemental_rule("map")
def _map(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    return e.inline(x["to_apply"], [e.at(o, i, guard) for o in x.operands])[0]


def dot_indices(x: Instruction, out: Indices, contracted: Indices) -> tuple[Indices, Indices]:
    """The indices of both operands from those of the result and of the contracting dimensions."""
    lhs, rhs = x.operands
    lb, lc, rb, rc = (
        x[k] for k in ("lhs_batch_dims", "lhs_contracting_dims", "rhs_batch_dims", "rhs_contracting_dims")
    )
    left: list[Index] = [ZERO] * len(lhs.dims)
    right: list[Index] = [ZERO] * len(rhs.dims)
    position = 0
    for a, b in zip(lb, rb):
        left[a] = right[b] = out[position]
        position += 1
    for d in range(len(lhs.dims)):
        if d not in lb and d not in lc:
            left[d] = out[position]
            position += 1
    for d in range(len(rhs.dims)):
        if d not in rb and d not in rc:
            right[d] = out[position]
            position += 1
    for a, b, k in zip(lc, rc, contracted):
        left[a] = right[b] = k
    return tuple(left), tuple(right)


@elemental_rule("dot")
def _dot(e: Elemental, x: Instruction, i: Indices, guard: Value | None) -> Value:
    lhs, rhs = x.operands
    result = x.shape.element_type
    wide = accumulator_type(result)

    def element(contracted: Indices) -> list[Value]:
        left, right = dot_indices(x, i, contracted)
        a, b = convert(e.at(lhs, left, guard), wide), convert(e.at(rhs, right, guard), wide)
        return [apply("and" if wide is PRED else "multiply", wide, a, b)]

    (total,) = e.accumulate(
        [lhs.dims[d] for d in x["lhs_contracting_dims"]],
        [zero(wide)],
        element,
        "or" if wide is PRED else "add",
        vector=True,
        result_types=[result],
    )
    return total
