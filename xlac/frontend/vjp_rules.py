"""Reverse rules, one for each differentiable opcode.

`RULES[name](instruction, cotangent, needed)` gives the cotangents of the operands: traced values, functions that make
them (called only for operands that need one), or None for zero. The cotangent of a tuple is a list. Derivatives at
kinks are JAX's: ties of maximum and minimum share equally, |x| has 0 at 0.

Complex numbers follow JAX: the cotangent g of z stands for the linear form dz -> Re(g dz).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.trace import emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.reduction import init_count, monoid
from xlac.ir.shape import ArrayShape, TupleShape
from xlac.lax.operands import convert, expand

Needed = Callable[[Instruction], bool]
Rule = Callable[[Instruction, Any, Needed], Sequence[Any]]

RULES: dict[str, Rule] = {}

# Opcodes whose derivative is zero wherever it exists.
ZERO = (
    "ceil", "floor", "round-nearest-afz", "round-nearest-even", "bitcast-convert", "rng", "rng-uniform",
)  # fmt: skip


def _tracers(instruction: Instruction) -> list[Tracer]:
    owner = trace.active()
    return [Tracer(owner, x) for x in instruction.operands]


def elementwise(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare the rule of an opcode as a function of (cotangent, result, *operands)."""

    def declare(function: Callable[..., Any]) -> Any:
        assert name in OPCODES, name

        def rule(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
            return function(g, Tracer(trace.active(), instruction), *_tracers(instruction))

        RULES[name] = rule
        return function

    return declare


def structural(name: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare the rule of an opcode as a function of (instruction, cotangent, *operands)."""

    def declare(function: Callable[..., Any]) -> Any:
        assert name in OPCODES, name

        def rule(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
            return function(instruction, g, *_tracers(instruction))

        RULES[name] = rule
        return function

    return declare


def _zero_rule(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    return [None] * len(instruction.operands)


for _name in ZERO:
    if _name in OPCODES:
        RULES[_name] = _zero_rule


def _zeros(x: Tracer) -> Tracer:
    return expand(lift(np.zeros((), x.dtype)), x.shape, ())


def _scalar(value: float, x: Tracer) -> Tracer:
    """A number with the type and shape of `x`."""
    return lax.full_like(x, value)


def _masked(mask: Tracer, g: Tracer) -> Tracer:
    return lax.select(mask, g, _zeros(g))


# ---- elementwise, one operand

_SIMPLE: dict[str, Callable[[Tracer, Tracer, Tracer], Tracer]] = {
    "negate": lambda g, y, x: lax.neg(g),
    "copy": lambda g, y, x: g,
    "exponential": lambda g, y, x: g * y,
    "exponential-minus-one": lambda g, y, x: g * (y + 1),
    "log": lambda g, y, x: g / x,
    "log-plus-one": lambda g, y, x: g / (x + 1),
    "logistic": lambda g, y, x: g * (y * (1 - y)),
    "tanh": lambda g, y, x: g * (1 - y * y),
    "sine": lambda g, y, x: g * lax.cos(x),
    "cosine": lambda g, y, x: g * lax.neg(lax.sin(x)),
    "tan": lambda g, y, x: g * (1 + y * y),
    "sinh": lambda g, y, x: g * lax.cosh(x),
    "cosh": lambda g, y, x: g * lax.sinh(x),
    "asin": lambda g, y, x: g * lax.rsqrt(1 - x * x),
    "acos": lambda g, y, x: lax.neg(g * lax.rsqrt(1 - x * x)),
    "asinh": lambda g, y, x: g * lax.rsqrt(x * x + 1),
    "acosh": lambda g, y, x: g * (lax.rsqrt(x - 1) * lax.rsqrt(x + 1)),
    "atanh": lambda g, y, x: g / (1 - x * x),
    "sqrt": lambda g, y, x: g * (0.5 / y),
    "rsqrt": lambda g, y, x: g * (-0.5 * (y / x)),
    "cbrt": lambda g, y, x: g * ((y / x) / 3),
    "erf": lambda g, y, x: g * (2 / math.sqrt(math.pi) * lax.exp(lax.neg(x * x))),
    "real": lambda g, y, x: lax.complex(g, _zeros(g)) if dtypes.is_complex(x.dtype) else g,
    "imag": lambda g, y, x: lax.complex(_zeros(g), lax.neg(g)) if dtypes.is_complex(x.dtype) else _zeros(g),
}


def _declare_simple(name: str, function: Callable[..., Tracer]) -> None:
    elementwise(name)(lambda g, y, x: [lambda: function(g, y, x)])


for _name, _function in _SIMPLE.items():
    _declare_simple(_name, _function)


@elementwise("abs")
def _abs(g: Tracer, y: Tracer, x: Tracer) -> Any:
    if dtypes.is_complex(x.dtype):
        safe = lax.select(lax.eq(y, 0), _scalar(1, y), y)
        return [lambda: lax.complex(g / safe, _zeros(g)) * lax.conj(x)]
    return [lambda: lax.select(lax.ge(x, 0), g, lax.neg(g))]


@structural("convert")
def _convert(i: Instruction, g: Tracer, x: Tracer) -> Any:
    if not dtypes.is_inexact(x.dtype):
        return [None]
    if dtypes.is_complex(g.dtype) and not dtypes.is_complex(x.dtype):
        return [lambda: convert(lax.real(g), x.dtype)]
    return [lambda: convert(g, x.dtype)]


@structural("reduce-precision")
def _reduce_precision(i: Instruction, g: Tracer, x: Tracer) -> Any:
    return [lambda: lax.reduce_precision(g, i["exponent_bits"], i["mantissa_bits"])]


@elementwise("sign")
def _sign(g: Tracer, y: Tracer, x: Tracer) -> Any:
    if not dtypes.is_complex(x.dtype):
        return [None]
    size = lax.abs(x)
    safe = lax.select(lax.eq(size, 0), _scalar(1, size), size)
    across = lax.real(g * lax.complex(lax.neg(lax.imag(y)), lax.real(y))) / safe
    return [lambda: lax.conj(y) * lax.complex(_zeros(across), lax.neg(across))]


# ---- elementwise, two and three operands


@elementwise("add")
def _add(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    return [g, g]


@elementwise("subtract")
def _subtract(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    return [g, lambda: lax.neg(g)]


@elementwise("multiply")
def _multiply(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    return [lambda: g * y, lambda: g * x]


@elementwise("divide")
def _divide(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    return [lambda: g / y, lambda: lax.neg(g * (r / y))]


@elementwise("remainder")
def _remainder(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    def second() -> Tracer:
        quotient = x / y
        whole = lax.mul(lax.sign(quotient), lax.floor(lax.abs(quotient)))
        return lax.neg(g * whole)

    return [g, second]


@elementwise("power")
def _power(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    def base() -> Tracer:
        exponent = lax.select(lax.eq(y, 0), _scalar(1, y), y - 1)
        return g * (y * lax.pow(x, exponent))

    def exponent() -> Tracer:
        safe = lax.select(lax.eq(x, 0), _scalar(1, x), x)
        return g * (lax.log(safe) * r)

    return [base, exponent]


@elementwise("atan2")
def _atan2(g: Tracer, r: Tracer, y: Tracer, x: Tracer) -> Any:
    def over() -> Tracer:
        return g / (x * x + y * y)

    return [lambda: over() * x, lambda: over() * lax.neg(y)]


def _extreme(name: str, first_wins: Callable[..., Tracer]) -> None:
    @elementwise(name)
    def rule(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
        half = g * 0.5 if dtypes.is_float(g.dtype) else g * _scalar(0.5, g)
        tie = lax.eq(x, y)

        def side(a: Tracer, b: Tracer) -> Tracer:
            return lax.select(first_wins(a, b), g, lax.select(tie, half, _zeros(g)))

        return [lambda: side(x, y), lambda: side(y, x)]


_extreme("maximum", lax.gt)
_extreme("minimum", lax.lt)


@elementwise("complex")
def _complex(g: Tracer, r: Tracer, x: Tracer, y: Tracer) -> Any:
    return [lambda: lax.real(g), lambda: lax.neg(lax.imag(g))]


@elementwise("select")
def _select(g: Tracer, r: Tracer, p: Tracer, x: Tracer, y: Tracer) -> Any:
    return [None, lambda: lax.select(p, g, _zeros(g)), lambda: lax.select(p, _zeros(g), g)]


@elementwise("clamp")
def _clamp(g: Tracer, r: Tracer, low: Tracer, x: Tracer, high: Tracer) -> Any:
    def wide(v: Tracer) -> Tracer:
        return v if v.shape == x.shape else expand(v, x.shape, ())

    def narrow(v: Tracer, like: Tracer) -> Tracer:
        return v if like.shape == x.shape else lax.reduce_sum(v, range(x.ndim))

    inside = lambda: _masked(lax.bitwise_and(lax.gt(x, wide(low)), lax.lt(x, wide(high))), g)  # noqa: E731
    return [
        lambda: narrow(_masked(lax.bitwise_and(lax.gt(wide(low), x), lax.lt(wide(low), wide(high))), g), low),
        inside,
        lambda: narrow(_masked(lax.lt(wide(high), x), g), high),
    ]


# ---- movement


@structural("broadcast")
def _broadcast(i: Instruction, g: Tracer, x: Tracer) -> Any:
    def sum_back() -> Tracer:
        dimensions = i["dimensions"]
        total = lax.reduce_sum(g, [d for d in range(g.ndim) if d not in dimensions])
        order = np.argsort(np.argsort(dimensions)) if dimensions else ()
        return lax.transpose(total, [int(d) for d in order])

    return [sum_back]


@structural("reshape")
def _reshape(i: Instruction, g: Tracer, x: Tracer) -> Any:
    return [lambda: lax.reshape(g, x.shape)]


@structural("bitcast")
def _bitcast(i: Instruction, g: Tracer, x: Tracer) -> Any:
    return [lambda: emit(op.bitcast, g, shape=x._instruction.shape)]


@structural("transpose")
def _transpose(i: Instruction, g: Tracer, x: Tracer) -> Any:
    return [lambda: lax.transpose(g, [int(d) for d in np.argsort(i["dimensions"])])]


@structural("reverse")
def _reverse(i: Instruction, g: Tracer, x: Tracer) -> Any:
    return [lambda: lax.rev(g, i["dimensions"])]


@structural("slice")
def _slice(i: Instruction, g: Tracer, x: Tracer) -> Any:
    def spread() -> Tracer:
        if 0 in g.shape:
            return _zeros(x)
        config = []
        for (start, _, stride), n, k in zip(i["slice"], x.shape, g.shape):
            config.append((start, n - (start + (k - 1) * stride + 1), stride - 1))
        return lax.pad(g, lift(np.zeros((), g.dtype)), config)

    return [spread]


@structural("pad")
def _pad(i: Instruction, g: Tracer, x: Tracer, value: Tracer) -> Any:
    zero = lift(np.zeros((), g.dtype))

    def inner() -> Tracer:
        cut = lax.pad(g, zero, [(-low, -high, 0) for low, high, _ in i["padding"]])
        return lax.slice(cut, [0] * g.ndim, cut.shape, [step + 1 for _, _, step in i["padding"]])

    def outer() -> Tracer:
        everywhere = range(g.ndim)
        return lax.reduce_sum(g, everywhere) - lax.reduce_sum(inner(), everywhere)

    return [inner, outer]


@structural("concatenate")
def _concatenate(i: Instruction, g: Tracer, *xs: Tracer) -> Any:
    (dim,) = i["dimensions"]
    parts: list[Any] = []
    start = 0
    for x in xs:
        stop = start + x.shape[dim]
        parts.append(lambda a=start, b=stop: lax.slice_in_dim(g, a, b, axis=dim))
        start = stop
    return parts


@structural("dynamic-slice")
def _dynamic_slice(i: Instruction, g: Tracer, x: Tracer, *starts: Tracer) -> Any:
    return [lambda: emit(op.dynamic_update_slice, _zeros(x), g, *starts), *[None] * len(starts)]


@structural("dynamic-update-slice")
def _dynamic_update_slice(i: Instruction, g: Tracer, x: Tracer, update: Tracer, *starts: Tracer) -> Any:
    return [
        lambda: emit(op.dynamic_update_slice, g, _zeros(update), *starts),
        lambda: emit(op.dynamic_slice, g, *starts, dynamic_slice_sizes=update.shape),
        *[None] * len(starts),
    ]


@structural("gather")
def _gather(i: Instruction, g: Tracer, x: Tracer, indices: Tracer) -> Any:
    def spread() -> Tracer:
        where = indices
        if i["index_vector_dim"] == indices.ndim:
            where = lax.reshape(indices, (*indices.shape, 1))
        elif i["index_vector_dim"] != indices.ndim - 1:
            last = i["index_vector_dim"]
            where = lax.transpose(indices, [*(d for d in range(indices.ndim) if d != last), last])
        # Gather clamps its indices where scatter drops them.
        sizes = i["slice_sizes"]
        top = np.array([x.shape[d] - sizes[d] for d in i["start_index_map"]], where.dtype)
        high = expand(trace.literal(top), where.shape, (where.ndim - 1,))
        where = lax.max(lax.min(where, high), 0)
        numbers = lax.ScatterDimensionNumbers(
            i["offset_dims"],
            i["collapsed_slice_dims"],
            i["start_index_map"],
            i["operand_batching_dims"],
            i["start_indices_batching_dims"],
        )
        return lax.scatter_add(_zeros(x), where, g, numbers, indices_are_sorted=i["indices_are_sorted"])

    return [spread, None]


def _index_vectors(i: Instruction, indices: Tracer) -> Tracer:
    """Scatter's indices with the index vectors along the last dimension."""
    last = i["index_vector_dim"]
    if last == indices.ndim:
        return lax.reshape(indices, (*indices.shape, 1))
    return lax.transpose(indices, [*(d for d in range(indices.ndim) if d != last), last])


def at_updates(i: Instruction, x: Tracer, indices: Tracer, updates: Tracer) -> tuple[Tracer, Tracer]:
    """For each update the element of `x` at its place, and whether it has one: those outside were dropped."""
    inserted = (*i["inserted_window_dims"], *i["input_batching_dims"])
    window = iter([updates.shape[d] for d in i["update_window_dims"]])
    sizes = [1 if d in inserted else next(window) for d in range(x.ndim)]
    where = _index_vectors(i, indices)
    numbers = lax.GatherDimensionNumbers(
        i["update_window_dims"],
        i["inserted_window_dims"],
        i["scatter_dims_to_operand_dims"],
        i["input_batching_dims"],
        i["scatter_indices_batching_dims"],
    )
    top = np.array([x.shape[d] - sizes[d] for d in i["scatter_dims_to_operand_dims"]], where.dtype)
    high = expand(trace.literal(top), where.shape, (where.ndim - 1,))
    valid = lax.reduce_and(lax.bitwise_and(lax.ge(where, 0), lax.le(where, high)), (where.ndim - 1,))
    rest = [d for d in range(updates.ndim) if d not in i["update_window_dims"]]
    return lax.gather(x, where, numbers, sizes), expand(valid, updates.shape, rest)


def scatter_winners(
    i: Instruction, result: Tracer, x: Tracer, indices: Tracer, updates: Tracer
) -> tuple[Tracer, Tracer]:
    """Of a scatter by maximum or minimum: 1 where the operand, and where an update, is the result's element, else 0."""
    found, valid = at_updates(i, result, indices, updates)
    hit = lax.bitwise_and(valid, lax.eq(found, updates))
    return convert(lax.eq(x, result), x.dtype), convert(hit, x.dtype)


def scatter_form(i: Instruction, mode: str) -> str:
    """How a scatter is differentiated: "add", "set", "maximum", "minimum", or at "unique" indices by any function."""
    root = i["to_apply"].root
    name = monoid(i["to_apply"])
    if len(i.operands) == 3:
        if name in ("add", "maximum", "minimum"):
            return name
        if root.opcode.name == "parameter" and root["number"] == 1:
            return "set"
    if i["unique_indices"]:
        return "unique"
    raise trace.trace_error(
        "only scatter of one operand that adds, replaces, or takes the greatest or least, and any scatter at unique "
        f"indices (unique_indices=True) has a {mode}-mode derivative"
    )


def _scatter(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    name = scatter_form(instruction, "reverse")
    if name == "unique":
        return expanded(instruction, g, needed)
    return _scatter_one(instruction, g, name, *_tracers(instruction))


RULES["scatter"] = _scatter


def _scatter_one(i: Instruction, g: Tracer, name: str, x: Tracer, indices: Tracer, updates: Tracer) -> Any:
    def taken(v: Tracer) -> Tracer:
        found, valid = at_updates(i, v, indices, updates)
        return _masked(valid, found)

    if name == "add":
        return [g, None, lambda: taken(g)]
    if name == "set":
        return [
            lambda: _masked(_kept(i, x, indices, updates), g),
            None,
            lambda: _last_writer(i, x, indices, updates, taken(g)),
        ]
    result = Tracer(trace.active(), i)
    hit_x, hit_updates = scatter_winners(i, result, x, indices, updates)
    add = {**i.attrs, "to_apply": trace.reducer("add", x.dtype)}
    share = g / lax.max(emit(op.scatter, hit_x, indices, hit_updates, **add), 1)
    return [lambda: hit_x * share, None, lambda: hit_updates * taken(share)]


def _kept(i: Instruction, x: Tracer, indices: Tracer, updates: Tracer) -> Tracer:
    """Where the operand's element survives."""
    marks = emit(
        op.scatter,
        lax.full_like(x, 0, np.int32),
        indices,
        lax.full_like(updates, 1, np.int32),
        **{**i.attrs, "to_apply": trace.reducer("add", dtypes.INT32)},
    )
    return lax.eq(marks, 0)


def _last_writer(i: Instruction, x: Tracer, indices: Tracer, updates: Tracer, g: Tracer) -> Tracer:
    """`g` for those updates that no later one has overwritten."""
    count = lax.reshape(lax.iota(np.int32, updates.size), updates.shape)
    shape = ArrayShape(count._instruction.shape.element_type)  # type: ignore[union-attr]
    second = trace.scalar_computation("second", (shape, shape), lambda old, new: new)
    last = emit(op.scatter, lax.full_like(x, -1, np.int32), indices, count, **{**i.attrs, "to_apply": second})
    found, _ = at_updates(i, last, indices, updates)
    return _masked(lax.eq(found, count), g)


# ---- contraction and reduction


@structural("dot")
def _dot(i: Instruction, g: Tracer, x: Tracer, y: Tracer) -> Any:
    xb, xc = i["lhs_batch_dims"], i["lhs_contracting_dims"]
    yb, yc = i["rhs_batch_dims"], i["rhs_contracting_dims"]
    x_free = [d for d in range(x.ndim) if d not in xb + xc]
    y_free = [d for d in range(y.ndim) if d not in yb + yc]
    batch = range(len(xb))

    def side(
        other: Tracer, mine: Tracer, b: tuple, c: tuple, ob: tuple, oc: tuple, free: list, mine_first: bool
    ) -> Tracer:
        """g . other over the other's free dimensions, its dimensions put in the order of `mine`."""
        n_free = mine.ndim - len(b) - len(c)
        offset = len(b) + (n_free if mine_first else 0)
        contracted = range(offset, offset + len(free))
        if mine_first:
            made = lax.dot_general(g, other, ((contracted, free), (batch, ob)), preferred_element_type=_wider(g, other))
            rest = [d for d in range(other.ndim) if d in oc]
            ours = [*b, *(d for d in range(mine.ndim) if d not in b + c), *(c[oc.index(d)] for d in rest)]
        else:
            made = lax.dot_general(other, g, ((free, contracted), (ob, batch)), preferred_element_type=_wider(g, other))
            rest = [d for d in range(other.ndim) if d in oc]
            ours = [*b, *(c[oc.index(d)] for d in rest), *(d for d in range(mine.ndim) if d not in b + c)]
        return convert(lax.transpose(made, [int(d) for d in np.argsort(ours)]), mine.dtype)

    return [
        lambda: side(y, x, xb, xc, yb, yc, y_free, True),
        lambda: side(x, y, yb, yc, xb, xc, x_free, False),
    ]


def _wider(x: Tracer, y: Tracer) -> Any:
    """The result type of a product of two types, or None where they are equal."""
    if x.dtype == y.dtype:
        return None
    return x.dtype if x.dtype.itemsize >= y.dtype.itemsize else y.dtype


def _reduce_by_monoid(i: Instruction, g: Tracer, *operands: Tracer) -> Any:
    name = monoid(i["to_apply"])
    x, init = operands
    axes = i["dimensions"]
    kept = [d for d in range(x.ndim) if d not in axes]

    def wide(v: Tracer) -> Tracer:
        return expand(v, x.shape, kept)

    def of_init() -> Any:
        total = lax.reduce_sum(g, range(g.ndim))
        times = init_count(i.operands[0].shape, axes, i["to_apply"]) if name == "add" else 1  # type: ignore[arg-type]
        return total if times == 1 else total * times

    if name == "add":
        return [lambda: wide(g), of_init]
    if name == "multiply":
        return [lambda: wide(g) * _products_of_others(x, axes, init), of_init]

    def share() -> Tracer:
        result = Tracer(trace.active(), i)
        hits = convert(lax.eq(x, wide(result)), x.dtype)
        return hits * wide(g / lax.reduce_sum(hits, axes))

    return [share, of_init]


def _reduce(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    xs = _tracers(instruction)
    name = monoid(instruction["to_apply"])
    plain = name == "add" or (name in ("maximum", "minimum", "multiply") and not needed(instruction.operands[-1]))
    if len(xs) == 2 and plain:
        return _reduce_by_monoid(instruction, g, *xs)
    return expanded(instruction, g, needed)


RULES["reduce"] = _reduce


def _products_of_others(x: Tracer, axes: tuple[int, ...], init: Tracer) -> Tracer:
    """For each element, the product of the others along the axes: exact where some are zero."""
    kept = [d for d in range(x.ndim) if d not in axes]
    order = [*kept, *axes]
    moved = lax.transpose(x, order)
    last = len(kept)
    n = math.prod(x.shape[d] for d in axes)
    flat = lax.reshape(moved, (*(x.shape[d] for d in kept), n))
    one = lift(np.ones((), x.dtype))
    before = [(0, 0, 0)] * last + [(1, -1, 0)]
    after = [(0, 0, 0)] * last + [(-1, 1, 0)]
    left = lax.cumprod(lax.pad(flat, one, before), last)
    right = lax.cumprod(lax.pad(flat, one, after), last, reverse=True)
    others = left * right * expand(init, flat.shape, ())
    return lax.transpose(lax.reshape(others, moved.shape), [int(d) for d in np.argsort(order)])


# ---- structure


def _tuple(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    return g


def _get_tuple_element(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    shape = instruction.operands[0].shape
    assert isinstance(shape, TupleShape)
    parts: list[Any] = [None] * len(shape)
    parts[instruction["index"]] = g
    return [parts]


def _while(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    metadata = instruction.metadata or {}
    place = (metadata["source_file"], metadata["source_line"]) if "source_file" in metadata else None
    raise trace.trace_error(
        "reverse-mode derivatives cannot go through while_loop, nor fori_loop with traced bounds, as the number of "
        "turns is not "
        "known; use scan, or fori_loop with fixed bounds",
        place,
    )


def _call(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    """The callee is computed again here, from copies of its arguments, and walked backwards."""
    from xlac.frontend.autodiff import backward

    callee = instruction["to_apply"]
    inputs = [emit_instruction(op.copy, x) for x in instruction.operands]
    root = trace.replay([callee.root], dict(zip(callee.parameters, inputs)))[0]
    wanted = [x for x, operand in zip(inputs, instruction.operands) if needed(operand)]
    found = iter(backward([(root, g)], wanted))
    return [next(found) if needed(operand) else None for operand in instruction.operands]


def _conditional(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    from xlac.frontend.reverse_branches import conditional_vjp

    return conditional_vjp(instruction, g, needed)


def sorted_places(instruction: Instruction) -> Tracer:
    """Where a sort took each element from, along its dimension."""
    (dim,) = instruction["dimensions"]
    owner = trace.active()
    index = lax.broadcasted_iota(np.int32, instruction.operands[0].dims, dim)
    made = emit_instruction(
        op.sort,
        *instruction.operands,
        owner.use(index),
        dimensions=(dim,),
        is_stable=instruction["is_stable"],
        to_apply=_with_one_more(instruction["to_apply"]),
    )
    return trace.elements(made)[-1]


def put_along(g: Tracer, places: Tracer, dim: int, extent: int) -> Tracer:
    """`g` put to places, each another one, along a dimension of that extent; zeros elsewhere."""
    others = tuple(d for d in range(g.ndim) if d != dim)
    numbers = lax.ScatterDimensionNumbers((), (dim,), (dim,), others, others)
    start = expand(trace.literal(np.zeros((), g.dtype)), (*g.shape[:dim], extent, *g.shape[dim + 1 :]), ())
    return lax.scatter_add(start, lax.reshape(places, (*places.shape, 1)), g, numbers, unique_indices=True)


def _sort(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    """The cotangents go back to where the sort took the elements from."""
    (dim,) = instruction["dimensions"]
    order = sorted_places(instruction)
    given = g if isinstance(g, list) else [g]
    return [None if x is None else lambda x=x: put_along(x, order, dim, x.shape[dim]) for x in given]


def _topk(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    if g[0] is None:
        return [None]
    places = trace.elements(instruction)[1]
    dims = instruction.operands[0].dims
    return [lambda: put_along(g[0], places, len(dims) - 1, dims[-1])]


def _with_one_more(comparator: Any) -> Any:
    """The comparator with a further pair of integers, which it does not look at."""
    scalar = ArrayShape(lift(np.int32(0))._instruction.shape.element_type)  # type: ignore[union-attr]
    shapes = [*(p.shape for p in comparator.parameters), scalar, scalar]

    def build(*parameters: Tracer) -> Tracer:
        owner = trace.active()
        mapping = {p: owner.use(t) for p, t in zip(comparator.parameters, parameters)}
        return Tracer(owner, trace.replay([comparator.root], mapping)[0])

    return trace.scalar_computation(comparator.name, shapes, build)


def _opt_barrier(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    return [g]


def _add_dependency(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    return [g, None]


def expanded(instruction: Instruction, g: Any, needed: Needed) -> Sequence[Any]:
    """The rule of opcodes that are differentiated as the programs they stand for."""
    from xlac.frontend.autodiff import backward
    from xlac.frontend.expansions import EXPANSIONS

    owner = trace.active()
    inputs = [emit(op.copy, x) for x in _tracers(instruction)]
    results = EXPANSIONS[instruction.opcode.name](instruction, *inputs)
    pairs = list(zip([owner.use(r) for r in results], g if isinstance(g, list) else [g]))
    wanted = [owner.use(x) for x, operand in zip(inputs, instruction.operands) if needed(operand)]
    found = iter(backward(pairs, wanted))
    return [next(found) if needed(operand) else None for operand in instruction.operands]


for _name in ("batch-norm-training", "batch-norm-inference", "batch-norm-grad", "map", "ragged-dot", "scaled-dot"):
    RULES[_name] = expanded
RULES["sort"] = _sort
RULES["topk"] = _topk
RULES["opt-barrier"] = _opt_barrier
RULES["add-dependency"] = _add_dependency
RULES["tuple"] = _tuple
RULES["get-tuple-element"] = _get_tuple_element
RULES["while"] = _while
RULES["call"] = _call
RULES["conditional"] = _conditional

from xlac.frontend import vjp_linalg, vjp_windows  # noqa: E402, F401  (their rows of the table)
