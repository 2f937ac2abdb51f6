"""Random small modules for property tests: `draw_module(draw)` gives a module and inputs for it.

Programs mix elementwise chains over several types with broadcasts, reductions, reshapes, transposes, slices,
concatenations, pads, selections and contractions. Every value is defined bit for bit: functions that are only
approximated are left out unless asked for, and what a sum of floats adds are small whole numbers (or NaN), whose sum
does not depend on the order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.values import edge_values, random_array
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import ELEMENT_TYPES, F32, PRED, S32, ArrayShape, ElementType

Draw = Callable[[st.SearchStrategy[Any]], Any]

TYPES = ("f32", "f32", "f32", "s32", "pred", "f64", "bf16", "f16", "u8", "s64", "u32", "s8")
EXTENTS = (1, 2, 3, 4, 5, 8, 0)
# The largest array that a program may make.
MAX_SIZE = 600

EXACT_UNARY = {
    "f": ("negate", "abs", "sign", "floor", "ceil", "round-nearest-even", "sqrt"),
    "su": ("negate", "abs", "not", "sign"),
    "p": ("not",),
}
APPROXIMATE_UNARY = ("exponential", "tanh", "logistic", "log", "sine", "rsqrt")
BINARY = {
    "f": ("add", "subtract", "multiply", "divide", "maximum", "minimum"),
    "su": ("add", "subtract", "multiply", "divide", "remainder", "maximum", "minimum", "and", "or", "xor"),
    "p": ("and", "or", "xor"),
}
MONOIDS = {"f": ("add", "maximum", "minimum"), "su": ("add", "maximum", "minimum", "xor", "and"), "p": ("and", "or")}
SHIFTS = ("shift-left", "shift-right-logical", "shift-right-arithmetic")


def draw_module(
    draw: Draw, *, max_steps: int = 12, types: Sequence[str] = TYPES, approximate: bool = False, max_results: int = 3
) -> tuple[Module, list[np.ndarray]]:
    """A random module and arguments for it.

    Args:
      draw: hypothesis' draw, of `@st.composite` or `st.data()`.
      max_steps: the largest number of operations (each may take some instructions).
      types: names of element types that parameters and conversions may have.
      approximate: also use functions whose last bits are not defined.
      max_results: the root is an array, or a tuple of at most so many.
    """
    program = _Program(draw, types, approximate)
    for _ in range(draw(st.integers(1, 3))):
        program.parameter()
    for _ in range(draw(st.integers(1, max_steps))):
        program.step()
    module = program.finish(draw(st.integers(1, max_results)))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    edges = draw(st.sampled_from((0.0, 0.2, 1.0)))
    arguments = [random_array(p.shape, rng, edges=edges) for p in module.entry.parameters]  # type: ignore[arg-type]
    return module, arguments


@st.composite
def modules(draw: Draw, **options: Any) -> tuple[Module, list[np.ndarray]]:
    """`draw_module` as a strategy."""
    return draw_module(draw, **options)


def _kinds(table: dict[str, tuple[str, ...]], row: ElementType) -> tuple[str, ...]:
    return next(names for kinds, names in table.items() if row.kind in kinds)


class _Program:
    """A computation under construction; `values` are the arrays made so far."""

    def __init__(self, draw: Draw, types: Sequence[str], approximate: bool) -> None:
        self.draw, self.types, self.approximate = draw, types, approximate
        self.entry = Computation("main")
        self.values: list[Instruction] = []
        self.reducers: dict[tuple[str, str], Computation] = {}
        self.steps = [
            self.unary, self.unary, self.binary, self.binary, self.binary, self.with_constant, self.compare_select,
            self.convert, self.broadcast, self.broadcast, self.reduce, self.reduce, self.normalize, self.reshape,
            self.transpose, self.slice, self.concatenate, self.pad, self.reverse, self.iota, self.dot,
            self.dynamic_slice, self.dynamic_update_slice, self.clamp, self.constant,
        ]  # fmt: skip

    # ---- choices

    def choose(self, options: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def value(self, accept: Callable[[Instruction], bool] = lambda x: True) -> Instruction | None:
        """One of the values that are accepted, recent ones first."""
        found = [x for x in reversed(self.values) if accept(x)]
        return self.choose(found) if found else None

    def like(self, x: Instruction) -> Instruction:
        """A value of x's shape: x itself, another one, or a constant."""
        same = [y for y in self.values if y.shape == x.shape]
        return self.choose(same) if self.draw(st.integers(0, 3)) else self.splat(x.shape)  # type: ignore[arg-type]

    def scalar(self, row: ElementType) -> Instruction:
        literal = self.choose(edge_values(row))
        return op.constant.make(shape=ArrayShape(row), literal=np.asarray(literal, row.dtype))

    def splat(self, shape: ArrayShape) -> Instruction:
        one = self.scalar(shape.element_type)
        return op.broadcast.make(one, shape=shape, dimensions=()) if shape.dims else one

    def dims(self, rank: int) -> tuple[int, ...]:
        return tuple(self.choose(EXTENTS[: -1 if self.draw(st.integers(0, 9)) else None]) for _ in range(rank))

    def keep(self, x: Instruction) -> None:
        """Take an instruction into the program, unless its array is too large."""
        if x.shape.size <= MAX_SIZE:  # type: ignore[union-attr]
            self.values.append(self.entry.add(x))

    # ---- steps

    def parameter(self) -> None:
        row = ELEMENT_TYPES[self.choose(self.types)]
        self.values.append(self.entry.parameter(ArrayShape(row, self.dims(self.draw(st.integers(0, 3))))))

    def step(self) -> None:
        self.choose(self.steps)()

    def unary(self) -> None:
        x = self.value()
        assert x is not None
        row = x.shape.element_type  # type: ignore[union-attr]
        names = _kinds(EXACT_UNARY, row)
        if self.approximate and row.is_float:
            names += APPROXIMATE_UNARY
        self.keep(OPCODES[self.choose(names)].make(x))

    def binary(self) -> None:
        x = self.value()
        assert x is not None
        y = self.like(x)
        row = x.shape.element_type  # type: ignore[union-attr]
        names = _kinds(BINARY, row) + (SHIFTS if row.is_integer else ())
        self.keep(OPCODES[self.choose(names)].make(*self.choose(((x, y), (y, x)))))

    def with_constant(self) -> None:
        x = self.value()
        assert x is not None
        y = self.splat(x.shape)  # type: ignore[arg-type]
        names = _kinds(BINARY, x.shape.element_type)  # type: ignore[union-attr]
        self.keep(OPCODES[self.choose(names)].make(*self.choose(((x, y), (y, x)))))

    def compare_select(self) -> None:
        x = self.value()
        assert x is not None
        test = op.compare.make(x, self.like(x), direction=self.choose(("EQ", "NE", "LT", "LE", "GT", "GE")))
        self.keep(test if self.draw(st.booleans()) else op.select.make(test, x, self.like(x)))

    def clamp(self) -> None:
        x = self.value(lambda v: v.shape.element_type is not PRED)
        if x is not None:
            row = x.shape.element_type  # type: ignore[union-attr]
            low, high = (self.scalar(row) if self.draw(st.booleans()) else self.like(x) for _ in range(2))
            self.keep(op.clamp.make(low, x, high))

    def convert(self) -> None:
        x = self.value()
        assert x is not None
        self.keep(op.convert.make(x, shape=x.shape.with_type(self.choose(self.types))))  # type: ignore[union-attr]

    def constant(self) -> None:
        row = ELEMENT_TYPES[self.choose(self.types)]
        shape = ArrayShape(row, self.dims(self.draw(st.integers(0, 2))))
        rng = np.random.default_rng(self.draw(st.integers(0, 99)))
        self.keep(op.constant.make(shape=shape, literal=random_array(shape, rng)))

    def iota(self) -> None:
        row = ELEMENT_TYPES[self.choose([t for t in self.types if ELEMENT_TYPES[t] is not PRED])]
        dims = self.dims(self.draw(st.integers(1, 3)))
        self.keep(op.iota.make(shape=ArrayShape(row, dims), iota_dimension=self.choose(range(len(dims)))))

    def broadcast(self) -> None:
        x = self.value(lambda v: len(v.dims) <= 2)
        if x is None:
            return
        rank = len(x.dims) + self.draw(st.integers(0, 2))
        at = tuple(self.draw(st.permutations(range(rank)))[: len(x.dims)])
        dims = list(self.dims(rank))
        for i, d in enumerate(at):
            dims[d] = x.dims[i]
        if math.prod(dims) <= MAX_SIZE:
            self.keep(op.broadcast.make(x, shape=x.shape.with_dims(tuple(dims)), dimensions=at))  # type: ignore[union-attr]

    def reshape(self) -> None:
        x = self.value()
        assert x is not None
        dims = list(x.dims)
        kind = self.choose(("flat", "one", "merge", "split"))
        if kind == "flat":
            dims = [math.prod(dims)]
        elif kind == "one":
            dims.insert(self.draw(st.integers(0, len(dims))), 1)
        elif kind == "merge" and len(dims) > 1:
            i = self.draw(st.integers(0, len(dims) - 2))
            dims[i : i + 2] = [dims[i] * dims[i + 1]]
        elif kind == "split" and dims:
            i = self.draw(st.integers(0, len(dims) - 1))
            if dims[i] % 2 == 0:
                dims[i : i + 1] = [2, dims[i] // 2]
        self.keep(op.reshape.make(x, shape=x.shape.with_dims(tuple(dims))))  # type: ignore[union-attr]

    def transpose(self) -> None:
        x = self.value()
        assert x is not None
        self.keep(op.transpose.make(x, dimensions=tuple(self.draw(st.permutations(range(len(x.dims)))))))

    def slice(self) -> None:
        x = self.value()
        assert x is not None
        ranges = []
        for n in x.dims:
            start = self.draw(st.integers(0, n))
            ranges.append((start, self.draw(st.integers(start, n)) if start else n, self.choose((1, 1, 2))))
        self.keep(op.slice.make(x, slice=tuple(ranges)))

    def concatenate(self) -> None:
        x = self.value(lambda v: bool(v.dims))
        if x is None:
            return
        dim = self.choose(range(len(x.dims)))
        fit = [
            y
            for y in self.values
            if len(y.dims) == len(x.dims) and y.shape.without(dim) == x.shape.without(dim)  # type: ignore[union-attr]
        ]
        parts = [x, *(self.choose(fit) for _ in range(self.draw(st.integers(0, 2))))]
        self.keep(op.concatenate.make(*parts, dimensions=(dim,)))

    def pad(self) -> None:
        x = self.value()
        assert x is not None
        padding = []
        for n in x.dims:
            low, high, inner = (self.choose(p) for p in ((0, 0, 1, 2, -1), (0, 0, 1, -1), (0, 0, 1)))
            fits = n + low + high + max(n - 1, 0) * inner >= 0
            padding.append((low, high, inner) if fits else (0, 0, 0))
        self.keep(op.pad.make(x, self.scalar(x.shape.element_type), padding=tuple(padding)))  # type: ignore[union-attr]

    def reverse(self) -> None:
        x = self.value()
        assert x is not None
        self.keep(op.reverse.make(x, dimensions=tuple(d for d in range(len(x.dims)) if self.draw(st.booleans()))))

    def start(self) -> Instruction:
        found = [v for v in self.values if v.shape == ArrayShape(S32)]
        if found and self.draw(st.booleans()):
            return self.choose(found)
        return op.constant.make(shape=ArrayShape(S32), literal=np.asarray(self.draw(st.integers(-2, 6)), np.int32))

    def dynamic_slice(self) -> None:
        x = self.value(lambda v: bool(v.dims))
        if x is not None:
            sizes = tuple(self.draw(st.integers(0 if n == 0 else 1, n)) for n in x.dims)
            self.keep(op.dynamic_slice.make(x, *(self.start() for _ in x.dims), dynamic_slice_sizes=sizes))

    def dynamic_update_slice(self) -> None:
        x = self.value(lambda v: bool(v.dims))
        if x is None:
            return
        fit = [
            y
            for y in self.values
            if y.shape.element_type is x.shape.element_type  # type: ignore[union-attr]
            and len(y.dims) == len(x.dims)
            and all(m <= n for m, n in zip(y.dims, x.dims))
        ]
        self.keep(op.dynamic_update_slice.make(x, self.choose(fit), *(self.start() for _ in x.dims)))

    # ---- sums

    def reducer(self, name: str, row: ElementType) -> Computation:
        if (name, row.name) not in self.reducers:
            made = Computation(f"{name}_{row.name}")
            x, y = made.parameter(ArrayShape(row)), made.parameter(ArrayShape(row))
            made.add(OPCODES[name].make(x, y))
            self.reducers[name, row.name] = made
        return self.reducers[name, row.name]

    def summable(self, x: Instruction) -> Instruction:
        """x with floats made small whole numbers, so that sums of them (and of products of two) are exact in any
        order."""
        row = x.shape.element_type  # type: ignore[union-attr]
        if not row.is_float:
            return x
        low, high = (op.constant.make(shape=ArrayShape(row), literal=np.asarray(v, row.dtype)) for v in (-2, 2))
        return op.round_nearest_even.make(op.clamp.make(low, x, high))

    def initial(self, name: str, row: ElementType) -> Instruction:
        if name == "add":
            value: Any = 0
        elif name in ("or", "xor"):
            value = 0
        elif name == "and":
            value = True if row is PRED else -1 if row.kind == "s" else (1 << row.bits) - 1
        elif row.is_float:
            value = -math.inf if name == "maximum" else math.inf
        else:
            return self.scalar(row)
        return op.constant.make(shape=ArrayShape(row), literal=np.asarray(value).astype(row.dtype))

    def reduced(self, name: str, x: Instruction, dimensions: tuple[int, ...]) -> Instruction:
        row = x.shape.element_type  # type: ignore[union-attr]
        source = self.summable(x) if name == "add" else x
        init = self.initial(name, row)
        return op.reduce.make(source, init, dimensions=dimensions, to_apply=self.reducer(name, row))

    def reduce(self) -> None:
        x = self.value()
        assert x is not None
        name = self.choose(_kinds(MONOIDS, x.shape.element_type))  # type: ignore[union-attr]
        self.keep(self.reduced(name, x, tuple(d for d in range(len(x.dims)) if self.draw(st.booleans()))))

    def normalize(self) -> None:
        """What softmax and layer norm do: reduce rows, and combine each row with its result."""
        x = self.value(lambda v: bool(v.dims) and v.shape.element_type is not PRED)
        if x is None:
            return
        kept = self.draw(st.integers(0, len(x.dims) - 1))
        name = self.choose(_kinds(MONOIDS, x.shape.element_type))  # type: ignore[union-attr]
        rows = self.reduced(name, x, tuple(range(kept, len(x.dims))))
        if self.draw(st.booleans()):
            rows = op.abs.make(rows)
        spread = op.broadcast.make(rows, shape=x.shape, dimensions=tuple(range(kept)))
        combine = self.choose(("subtract", "divide", "maximum"))
        self.keep(OPCODES[combine].make(x, spread))

    def dot(self) -> None:
        x = self.value(lambda v: 1 <= len(v.dims) <= 2 and v.shape.element_type in (F32, S32))
        if x is None:
            return
        fit = [
            (y, i, j)
            for y in self.values
            if y.shape.element_type is x.shape.element_type and len(y.dims) <= 2  # type: ignore[union-attr]
            for i in range(len(x.dims))
            for j in range(len(y.dims))
            if x.dims[i] == y.dims[j]
        ]
        y, i, j = self.choose(fit)
        shape = x.shape.with_dims((*x.shape.without(i).dims, *y.shape.without(j).dims))  # type: ignore[union-attr]
        sides = {"lhs_contracting_dims": (i,), "rhs_contracting_dims": (j,)}
        made = op.dot.make(self.summable(x), self.summable(y), shape=shape, **sides)
        # A sum of products of one zero may be 0 or -0: adding 0 leaves only 0.
        zero = op.constant.make(shape=shape.with_dims(()), literal=np.zeros((), shape.dtype))
        self.keep(op.add.make(made, op.broadcast.make(zero, shape=shape, dimensions=()) if shape.dims else zero))

    def finish(self, results: int) -> Module:
        """The module whose root is the last value, or a tuple of it and others."""
        chosen = [self.values[-1], *(self.choose(self.values) for _ in range(results - 1))]
        self.entry.root = chosen[0]
        if len(chosen) > 1:
            self.entry.add(op.tuple.make(*chosen))
        self.entry.remove_dead()
        return Module("random", self.entry)
