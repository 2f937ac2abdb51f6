"""Formulas as instructions: arrays with operators, loops, and the runner of expansions.

An expansion replaces an instruction by simpler ones that compute the same. `Array` wraps an instruction that is in no
computation yet (or an operand that is in one), so that a formula reads like NumPy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Union

import numpy as np

from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import S32, ArrayShape, ElementType, TupleShape
from xlac.passes.rewrite import Names, sort_instructions

Number = Union[bool, int, float, complex, np.generic]


class Array:
    """An instruction with an array's shape, with operators that make further ones; numbers are broadcast."""

    __slots__ = ("node",)

    def __init__(self, node: Instruction) -> None:
        self.node = node

    @property
    def shape(self) -> ArrayShape:
        assert isinstance(self.node.shape, ArrayShape)
        return self.node.shape

    @property
    def dims(self) -> tuple[int, ...]:
        return self.shape.dims

    @property
    def type(self) -> ElementType:
        return self.shape.element_type

    # ---- elementwise

    def apply(self, name: str, *others: Array | Number, **attrs: Any) -> Array:
        """An elementwise opcode of this array and others."""
        return Array(OPCODES[name].make(self.node, *(self._like(x).node for x in others), **attrs))

    def _like(self, x: Array | Number) -> Array:
        return x if isinstance(x, Array) else full(self.type, x, self.dims)

    def __add__(self, other: Array | Number) -> Array:
        return self.apply("add", other)

    def __sub__(self, other: Array | Number) -> Array:
        return self.apply("subtract", other)

    def __mul__(self, other: Array | Number) -> Array:
        return self.apply("multiply", other)

    def __truediv__(self, other: Array | Number) -> Array:
        return self.apply("divide", other)

    def __rtruediv__(self, other: Number) -> Array:
        return self._like(other).apply("divide", self)

    def __rsub__(self, other: Number) -> Array:
        return self._like(other).apply("subtract", self)

    def __mod__(self, other: Array | Number) -> Array:
        return self.apply("remainder", other)

    def __and__(self, other: Array | Number) -> Array:
        return self.apply("and", other)

    def __or__(self, other: Array | Number) -> Array:
        return self.apply("or", other)

    def __xor__(self, other: Array | Number) -> Array:
        return self.apply("xor", other)

    def __lshift__(self, other: Array | Number) -> Array:
        return self.apply("shift-left", other)

    def __rshift__(self, other: Array | Number) -> Array:
        """The logical shift."""
        return self.apply("shift-right-logical", other)

    def __neg__(self) -> Array:
        return self.apply("negate")

    def __invert__(self) -> Array:
        return self.apply("not")

    def compare(self, direction: str, other: Array | Number) -> Array:
        return self.apply("compare", other, direction=direction)

    def select(self, on_true: Array | Number, on_false: Array | Number) -> Array:
        """`on_true` where this pred array is true; at least one of them is an array."""
        known = on_true if isinstance(on_true, Array) else on_false
        assert isinstance(known, Array)
        return Array(op.select.make(self.node, known._like(on_true).node, known._like(on_false).node))

    def convert(self, to: ElementType) -> Array:
        if to is self.type:
            return self
        return Array(op.convert.make(self.node, shape=self.shape.with_layout(None).with_type(to)))

    def bitcast(self, to: ElementType) -> Array:
        """The same bits as elements of another type of the same width."""
        if to is self.type:
            return self
        return Array(op.bitcast_convert.make(self.node, shape=ArrayShape(to, self.dims)))

    def real(self) -> Array:
        return self.apply("real") if self.type.is_complex else self

    def imag(self) -> Array:
        return self.apply("imag")

    def conj(self) -> Array:
        return self.real().apply("complex", -self.imag()) if self.type.is_complex else self

    # ---- movement

    def reshape(self, *dims: int) -> Array:
        return self if dims == self.dims else Array(op.reshape.make(self.node, shape=self.shape.with_dims(dims)))

    def transpose(self, *order: int) -> Array:
        return self if order == tuple(range(len(order))) else Array(op.transpose.make(self.node, dimensions=order))

    def broadcast(self, dims: Sequence[int], dimensions: Sequence[int]) -> Array:
        """Of `dims`, constant along those not in `dimensions`."""
        if tuple(dims) == self.dims:
            return self
        shape = ArrayShape(self.type, tuple(dims))
        return Array(op.broadcast.make(self.node, shape=shape, dimensions=tuple(dimensions)))

    def slice(self, dim: int, start: int, limit: int, step: int = 1) -> Array:
        """Elements start, start + step, ... below limit of one dimension."""
        if (start, limit, step) == (0, self.dims[dim], 1):
            return self
        parts = [(0, n, 1) for n in self.dims]
        parts[dim] = (start, limit, step)
        return Array(op.slice.make(self.node, slice=tuple(parts)))

    def reverse(self, *dims: int) -> Array:
        return Array(op.reverse.make(self.node, dimensions=dims))

    def pad(self, *high: int) -> Array:
        """Zeros after the end of each dimension, `high` of them."""
        if not any(high):
            return self
        zero = constant(self.type, 0)
        return Array(op.pad.make(self.node, zero.node, padding=tuple((0, h, 0) for h in high)))

    def dynamic_slice(self, starts: Sequence[Array | int], sizes: Sequence[int]) -> Array:
        nodes = [x.node if isinstance(x, Array) else constant(S32, x).node for x in starts]
        return Array(op.dynamic_slice.make(self.node, *nodes, dynamic_slice_sizes=tuple(sizes)))

    def dynamic_update(self, update: Array, starts: Sequence[Array | int]) -> Array:
        nodes = [x.node if isinstance(x, Array) else constant(S32, x).node for x in starts]
        return Array(op.dynamic_update_slice.make(self.node, update.node, *nodes))

    # ---- sums

    def reduce(self, name: str, init: Number, *dims: int) -> Array:
        """Reduce dimensions by a binary opcode."""
        start = constant(self.type, init)
        reducer = binary(name, self.type)
        return Array(op.reduce.make(self.node, start.node, dimensions=dims, to_apply=reducer))

    def sum(self, *dims: int) -> Array:
        return self.reduce("add", 0, *dims)

    def dot(
        self,
        other: Array,
        contracting: tuple[Sequence[int], Sequence[int]],
        batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
        result: ElementType | None = None,
    ) -> Array:
        """Batch dimensions, then what is left of this array, then of the other."""
        left = [n for d, n in enumerate(self.dims) if d not in (*batch[0], *contracting[0])]
        right = [n for d, n in enumerate(other.dims) if d not in (*batch[1], *contracting[1])]
        made = op.dot.make(
            self.node,
            other.node,
            shape=ArrayShape(result or self.type, (*(self.dims[d] for d in batch[0]), *left, *right)),
            lhs_batch_dims=tuple(batch[0]),
            rhs_batch_dims=tuple(batch[1]),
            lhs_contracting_dims=tuple(contracting[0]),
            rhs_contracting_dims=tuple(contracting[1]),
        )
        return Array(made)


def constant(element_type: ElementType, number: Number | np.ndarray) -> Array:
    """A number, or an array of numbers."""
    literal = np.asarray(number).astype(element_type.dtype)
    return Array(op.constant.make(shape=ArrayShape(element_type, literal.shape), literal=literal))


def full(element_type: ElementType, number: Number, dims: Sequence[int]) -> Array:
    return constant(element_type, number).broadcast(tuple(dims), ())


def iota(element_type: ElementType, dims: Sequence[int], dim: int = 0) -> Array:
    return Array(op.iota.make(shape=ArrayShape(element_type, tuple(dims)), iota_dimension=dim))


def concatenate(arrays: Sequence[Array], dim: int) -> Array:
    return Array(op.concatenate.make(*(x.node for x in arrays), dimensions=(dim,)))


def stack(arrays: Sequence[Array], dim: int) -> Array:
    """Arrays of equal dimensions along a new one."""
    parts = [x.reshape(*x.dims[:dim], 1, *x.dims[dim:]) for x in arrays]
    return concatenate(parts, dim)


def complex_(real: Array, imag: Array) -> Array:
    return real.apply("complex", imag)


def element(x: Instruction, index: int) -> Array:
    """One part of a tuple."""
    return Array(op.get_tuple_element.make(x, index=index))


def tuple_(*parts: Array | Instruction) -> Instruction:
    return op.tuple.make(*(x.node if isinstance(x, Array) else x for x in parts))


def binary(name: str, element_type: ElementType) -> Computation:
    """The computation of a binary opcode on two scalars."""
    made = Computation(f"{name}_{element_type}")
    x, y = made.parameter(ArrayShape(element_type), "x"), made.parameter(ArrayShape(element_type), "y")
    made.add(OPCODES[name].make(x, y))
    return made


def loop(
    name: str,
    count: int,
    state: Sequence[Array],
    body: Callable[..., Sequence[Array]],
    invariant: Sequence[Array] = (),
) -> list[Array]:
    """The state after state = body(i, *state, *invariant) for i (s32) of 0 .. count-1."""
    initial = [constant(S32, 0), *state, *invariant]
    shape = TupleShape(tuple(ArrayShape(x.type, x.dims) for x in initial))
    condition = Computation(f"{name}_condition")
    counter = element(condition.parameter(shape, "state"), 0)
    condition.add(counter.compare("LT", count).node)
    inner = Computation(f"{name}_body")
    argument = inner.parameter(shape, "state")
    parts = [element(argument, i) for i in range(len(initial))]
    results = body(*parts)
    inner.add(tuple_(parts[0] + 1, *results, *parts[1 + len(results) :]))
    made = op.while_.make(tuple_(*initial), condition=condition, body=inner)
    return [element(made, 1 + i) for i in range(len(state))]


Rule = Callable[[Instruction], Union[Instruction, None]]


def expand(module: Module, rules: Mapping[str, Rule]) -> bool:
    """Replace each instruction by what the rule of its opcode makes of it, if anything; return whether any was.

    What an expansion contains is expanded in its turn.
    """
    known = module.computations
    changed: list[Computation] = []
    for computation in known:
        if not any(i.opcode.name in rules for i in computation._instructions):
            continue
        size = len(changed)
        waiting = deque(i for i in computation.post_order() if i.opcode.name in rules)
        while waiting:
            instruction = waiting.popleft()
            count = len(computation)
            new = rules[instruction.opcode.name](instruction)
            if new is None:
                continue
            if new.shape != instruction.shape:
                raise AssertionError(f"{instruction!r} was expanded to {new!r}")
            if new.parent is None and new.metadata is None:
                new.metadata = instruction.metadata
            computation.replace(instruction, new)
            added = list(islice(reversed(computation._instructions), len(computation) - count))[::-1]
            waiting.extend(i for i in added if i.opcode.name in rules)
            instruction.control_predecessors = ()
            computation.remove(instruction)
            if len(changed) == size:
                changed.append(computation)
    for computation in changed:
        sort_instructions(computation)
    if changed:
        _name_computations(module, known)
    return bool(changed)


def _name_computations(module: Module, known: Sequence[Computation]) -> None:
    """Give computations that were not there before names of their own."""
    names = Names(module)
    before = set(known)
    used = {c.name for c in known}
    for computation in module.computations:
        if computation not in before:
            if computation.name in used:
                computation.name = names.fresh(computation.name)
            used.add(computation.name)
