"""Forward rules, one for each differentiable opcode.

`RULES[name](instruction, tangents, moved)` gives the tangent of the result from those of the operands, of which at
least one is not None (zero). The tangent of a tuple is a list. Loops and branches append to `moved` which new
instruction computes the value of which old one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace, vjp_rules
from xlac.frontend.autodiff import add_cotangents, differentiable
from xlac.frontend.flags import spread, union
from xlac.frontend.forward import Moved, diagonal, forward
from xlac.frontend.linear import zeros_like
from xlac.frontend.trace import emit, emit_instruction
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape, TupleShape
from xlac.ir.window import scan_form
from xlac.lax.operands import convert, expand

Rule = Callable[[Instruction, Sequence[Any], Moved], Any]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Declare the rule of opcodes as a function of (instruction, tangents, *operands)."""

    def declare(function: Callable[..., Any]) -> Any:
        for name in names:
            assert name in OPCODES, name
            RULES[name] = lambda i, tangents, moved: function(i, tangents, *_tracers(i))
        return function

    return declare


def _tracers(instruction: Instruction) -> list[Tracer]:
    owner = trace.active()
    return [Tracer(owner, x) for x in instruction.operands]


def _or_zeros(t: Tracer | None, x: Tracer) -> Tracer:
    return zeros_like(x) if t is None else t


def again(instruction: Instruction, *operands: Tracer) -> Tracer:
    """The instruction with other operands of the same shapes."""
    shape = instruction.shape if instruction.opcode.declared else None
    return emit(instruction.opcode, *operands, shape=shape, **instruction.attrs)


# ---- elementwise: the reverse rules multiply element by element, and so serve forwards too

NOT_DIAGONAL = ("real", "imag", "complex", "convert", "clamp", "abs", "sign")


def _elementwise(name: str) -> None:
    RULES[name] = lambda i, tangents, moved: diagonal(vjp_rules.RULES[name], i, tangents)


for _name in vjp_rules.RULES:
    if OPCODES[_name].elementwise and _name not in NOT_DIAGONAL:
        _elementwise(_name)


@rule("real", "imag")
def _part(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    return again(i, tangents[0])


@rule("complex")
def _complex(i: Instruction, tangents: Sequence[Any], x: Tracer, y: Tracer) -> Any:
    return again(i, _or_zeros(tangents[0], x), _or_zeros(tangents[1], y))


@rule("convert")
def _convert(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    return None if tangents[0] is None else convert(tangents[0], i.shape.dtype)  # type: ignore[union-attr]


@rule("abs")
def _abs(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    (t,) = tangents
    if not dtypes.is_complex(x.dtype):
        # x itself at 0, as in JAX: functions of |x| that are smooth then have their derivatives there too.
        return lax.select(lax.ge(x, 0), t, lax.neg(t))
    y = Tracer(trace.active(), i)
    safe = lax.select(lax.eq(y, 0), lax.full_like(y, 1), y)
    return (lax.real(x) * lax.real(t) + lax.imag(x) * lax.imag(t)) / safe


@rule("sign")
def _sign(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    """Of complex numbers x / |x|: the tangent's part across x, over |x|."""
    if not dtypes.is_complex(x.dtype):
        return None
    (t,) = tangents
    y, size = Tracer(trace.active(), i), lax.abs(x)
    safe = lax.select(lax.eq(size, 0), lax.full_like(size, 1), size)
    across = lax.imag(lax.conj(y) * t) / safe
    return lax.complex(lax.neg(lax.imag(y)) * across, lax.real(y) * across)


@rule("clamp")
def _clamp(i: Instruction, tangents: Sequence[Any], low: Tracer, x: Tracer, high: Tracer) -> Any:
    def wide(v: Tracer) -> Tracer:
        return v if v.shape == x.shape else expand(v, x.shape, ())

    low, high = wide(low), wide(high)
    masks = [
        lax.bitwise_and(lax.gt(low, x), lax.lt(low, high)),
        lax.bitwise_and(lax.gt(x, low), lax.lt(x, high)),
        lax.lt(high, x),
    ]
    total = None
    for mask, t in zip(masks, tangents):
        if t is not None:
            total = add_cotangents(total, lax.select(mask, wide(t), zeros_like(x)))
    return total


@rule("bitcast-convert", "rng")
def _zero(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    return None


# ---- movement: the same of the tangents


@rule("broadcast", "reshape", "transpose", "reverse", "slice", "fft", "copy", "bitcast")
def _moved(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    return again(i, tangents[0])


@rule("add-dependency")
def _dependency(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    return tangents[0]


@rule("concatenate", "pad")
def _joined(i: Instruction, tangents: Sequence[Any], *xs: Tracer) -> Any:
    return again(i, *(_or_zeros(t, x) for t, x in zip(tangents, xs)))


@rule("dynamic-slice", "gather")
def _taken(i: Instruction, tangents: Sequence[Any], x: Tracer, *where: Tracer) -> Any:
    return None if tangents[0] is None else again(i, tangents[0], *where)


@rule("dynamic-update-slice")
def _dynamic_update_slice(i: Instruction, tangents: Sequence[Any], x: Tracer, update: Tracer, *starts: Tracer) -> Any:
    return again(i, _or_zeros(tangents[0], x), _or_zeros(tangents[1], update), *starts)


@rule("scatter")
def _scatter(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    name = vjp_rules.scatter_form(i, "forward")
    if name == "unique":
        return _expanded(i, tangents, {})
    x, indices, update = operands
    of_x, of_update = _or_zeros(tangents[0], x), _or_zeros(tangents[2], update)
    if name in ("add", "set"):
        return again(i, of_x, indices, of_update)
    owner = trace.active()
    hit_x, hit_update = vjp_rules.scatter_winners(i, Tracer(owner, i), x, indices, update)
    add = {**i.attrs, "to_apply": trace.reducer("add", x.dtype)}
    count = emit(op.scatter, hit_x, indices, hit_update, **add)
    total = emit(op.scatter, hit_x * of_x, indices, hit_update * of_update, **add)
    return total / lax.max(count, 1)


# ---- contractions: linear in each operand


@rule("dot", "convolution", "ragged-dot", "scaled-dot")
def _multilinear(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    total = None
    for k, t in enumerate(tangents):
        if t is not None:
            total = add_cotangents(total, again(i, *operands[:k], t, *operands[k + 1 :]))
    return total


# ---- reductions


@rule("reduce")
def _reduce(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    name = monoid(i["to_apply"])
    if len(operands) != 2 or name not in ("add", "maximum", "minimum"):
        return _dual(i, tangents, operands)
    x, init = operands
    t, of_init = tangents
    if name == "add":
        return again(i, _or_zeros(t, x), _or_zeros(of_init, init))
    if of_init is not None:
        return _dual(i, tangents, operands)
    axes = i["dimensions"]
    kept = [d for d in range(x.ndim) if d not in axes]
    result = Tracer(trace.active(), i)
    hits = convert(lax.eq(x, expand(result, x.shape, kept)), x.dtype)
    return lax.reduce_sum(hits * t, axes) / lax.reduce_sum(hits, axes)


@rule("reduce-window")
def _reduce_window(i: Instruction, tangents: Sequence[Any], *operands: Tracer) -> Any:
    name = monoid(i["to_apply"])
    if len(operands) == 2 and name == "add":
        return again(i, *(_or_zeros(t, x) for t, x in zip(tangents, operands)))
    if scan_form(i["window"], operands[0].shape) is not None:
        return _expanded(i, tangents, {})
    if len(operands) == 2 and name in ("maximum", "minimum") and tangents[1] is None:
        from xlac.frontend.vjp_windows import chosen_places, take_flat

        return take_flat(tangents[0], chosen_places(i, operands[0]))
    return _dual(i, tangents, operands)


def _dual(i: Instruction, tangents: Sequence[Any], operands: Sequence[Tracer]) -> Any:
    """Any reducer of dual numbers: pairs of value and tangent, combined by the reducer and its own derivative."""
    n = len(operands) // 2
    combine = i["to_apply"]
    flags = [tangents[k] is not None or tangents[n + k] is not None for k in range(n)]
    while True:
        (found,) = spread([combine.root], dict(zip(combine.parameters, [*flags, *flags])), differentiable)
        wider = union(flags, found if isinstance(found, list) else [found])
        if wider == flags:
            break
        flags = wider
    moving = [k for k in range(n) if flags[k]]
    scalars = [ArrayShape(operands[k]._instruction.shape.element_type) for k in [*range(n), *moving]]  # type: ignore[union-attr]

    def build(*parts: Tracer) -> list[Tracer]:
        half = len(parts) // 2
        active = trace.active()
        values = [*parts[:n], *parts[half : half + n]]
        slopes = [*parts[n:half], *parts[half + n :]]
        mapping = {p: active.use(v) for p, v in zip(combine.parameters, values)}
        root = trace.replay([combine.root], mapping)[0]
        results = list(root.operands) if root.opcode.name == "tuple" else [root]
        seeds = {active.use(values[k]): s for k, s in zip([*moving, *(n + k for k in moving)], slopes)}
        derivatives = forward([results[k] for k in moving], seeds)
        made = [Tracer(active, r) for r in results]
        return [*made, *(_or_zeros(d, made[k]) for d, k in zip(derivatives, moving))]

    reducer = trace.scalar_computation(f"{combine.name}_jvp", scalars * 2, build)
    active = trace.active()
    given = [*operands[:n], *(_or_zeros(tangents[k], operands[k]) for k in moving)]
    inits = [*operands[n:], *(_or_zeros(tangents[n + k], operands[n + k]) for k in moving)]
    made = emit_instruction(i.opcode, *[active.use(t) for t in (*given, *inits)], **{**i.attrs, "to_apply": reducer})
    slopes = dict(zip(moving, trace.elements(made)[n:]))
    return [slopes.get(k) for k in range(n)] if isinstance(i.shape, TupleShape) else slopes.get(0)


@rule("select-and-scatter")
def _select_and_scatter(i: Instruction, tangents: Sequence[Any], x: Tracer, source: Tracer, init: Tracer) -> Any:
    if monoid(i["scatter"]) != "add":
        raise trace.trace_error("only select-and-scatter that adds has a forward-mode derivative")
    if tangents[1] is None and tangents[2] is None:
        return None
    return again(i, x, _or_zeros(tangents[1], source), _or_zeros(tangents[2], init))


# ---- order


def take_along(x: Tracer, places: Tracer, dim: int) -> Tracer:
    """The elements of `x` at the places along a dimension; the other dimensions of both are equal."""
    others = tuple(d for d in range(x.ndim) if d != dim)
    numbers = lax.GatherDimensionNumbers((), (dim,), (dim,), others, others)
    return lax.gather(x, lax.reshape(places, (*places.shape, 1)), numbers, (1,) * x.ndim)


def _sort(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    (dim,) = i["dimensions"]
    order = vjp_rules.sorted_places(i)
    made = [None if t is None else take_along(t, order, dim) for t in tangents]
    return made if isinstance(i.shape, TupleShape) else made[0]


RULES["sort"] = _sort


@rule("topk")
def _topk(i: Instruction, tangents: Sequence[Any], x: Tracer) -> Any:
    places = trace.elements(i)[1]
    return [take_along(tangents[0], places, x.ndim - 1), None]


# ---- linear algebra


def _adjoint(x: Tracer) -> Tracer:
    return lax.conj(_swap(x))


def _swap(x: Tracer) -> Tracer:
    return lax.transpose(x, [*range(x.ndim - 2), x.ndim - 1, x.ndim - 2])


def _matmul(x: Tracer, y: Tracer) -> Tracer:
    batch = tuple(range(x.ndim - 2))
    return lax.dot_general(x, y, (((x.ndim - 1,), (x.ndim - 2,)), (batch, batch)))


def _triangle(x: Tracer, lower: bool, diagonal: float) -> Tracer:
    """The lower or upper triangle, its diagonal times a number."""
    row, column = (lax.broadcasted_iota(np.int32, x.shape, x.ndim - k) for k in (2, 1))
    inside = lax.gt(row, column) if lower else lax.lt(row, column)
    kept = lax.select(inside, x, zeros_like(x))
    if diagonal == 0:
        return kept
    return lax.select(lax.eq(row, column), x * lax.full_like(x, diagonal), kept)


def _solve(a: Tracer, b: Tracer, **attrs: Any) -> Tracer:
    settings = {"left_side": True, "lower": True, "unit_diagonal": False, "transpose_a": "NO_TRANSPOSE"}
    return emit(op.triangular_solve, a, b, **{**settings, **attrs})


@rule("cholesky")
def _cholesky(i: Instruction, tangents: Sequence[Any], a: Tracer) -> Any:
    """dL = L phi(L^-1 dA L^-*), phi the lower triangle with half the diagonal; only one triangle of A is read."""
    factor = Tracer(trace.active(), i)
    lower = i["lower"]
    half = _triangle(tangents[0], lower, 0.5)
    t = half + _adjoint(half)
    if dtypes.is_complex(t.dtype):
        # Of the diagonal only the real part counts.
        row, column = (lax.broadcasted_iota(np.int32, t.shape, t.ndim - k) for k in (2, 1))
        t = lax.select(lax.eq(row, column), lax.complex(lax.real(t), lax.full_like(lax.real(t), 0)), t)
    l = factor if lower else _adjoint(factor)  # noqa: E741
    inner = _solve(l, _solve(l, t), left_side=False, transpose_a="ADJOINT")
    result = _matmul(l, _triangle(inner, True, 0.5))
    return result if lower else _adjoint(result)


@rule("triangular-solve")
def _triangular_solve(i: Instruction, tangents: Sequence[Any], a: Tracer, b: Tracer) -> Any:
    """With op(a) x = b: op(a) dx = db - op(da) x, da's triangle alone; likewise from the right."""
    of_a, of_b = tangents
    right = of_b
    if of_a is not None:
        x = Tracer(trace.active(), i)
        da = _triangle(of_a, i["lower"], 0 if i["unit_diagonal"] else 1)
        if i["transpose_a"] != "NO_TRANSPOSE":
            da = _swap(da) if i["transpose_a"] == "TRANSPOSE" else _adjoint(da)
        product = lax.neg(_matmul(da, x) if i["left_side"] else _matmul(x, da))
        right = product if right is None else right + product
    return again(i, a, right)


# ---- opcodes that are short programs


def _expanded(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The rule of opcodes that are differentiated as the programs they stand for."""
    from xlac.frontend.expansions import EXPANSIONS

    active = trace.active()
    # Copies, so that an operand that is given twice has each time a tangent of its own.
    inputs = [emit(op.copy, x) for x in _tracers(i)]
    results = EXPANSIONS[i.opcode.name](i, *inputs)
    seeds = {active.use(x): t for x, t in zip(inputs, tangents) if t is not None}
    made = forward([active.use(r) for r in results], seeds)
    return made if isinstance(i.shape, TupleShape) else made[0]


for _name in ("batch-norm-training", "batch-norm-inference", "batch-norm-grad", "map"):
    RULES[_name] = _expanded


# ---- structure


def _tuple(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    return list(tangents)


def _get_tuple_element(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    return tangents[0][i["index"]]


def _opt_barrier(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    (t,) = tangents
    active = trace.active()
    if not isinstance(t, list):
        return emit(op.opt_barrier, t)
    present = [active.use(x) for x in t if x is not None]
    made = iter(trace.elements(emit_instruction(op.opt_barrier, emit_instruction(op.tuple, *present))))
    return [None if x is None else next(made) for x in t]


def _call(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The callee is inlined here."""
    callee = i["to_apply"]
    inputs = [emit_instruction(op.copy, x) if isinstance(x.shape, ArrayShape) else x for x in i.operands]
    root = trace.replay([callee.root], dict(zip(callee.parameters, inputs)))[0]
    seeds = {x: t for x, t in zip(inputs, tangents) if t is not None}
    return forward([root], seeds)[0]


def _lazily(name: str) -> Rule:
    """A rule of `forward_loops`, imported when it is first needed."""

    def push(i: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
        from xlac.frontend import forward_loops

        return getattr(forward_loops, name)(i, tangents, moved)

    return push


RULES["tuple"] = _tuple
RULES["get-tuple-element"] = _get_tuple_element
RULES["opt-barrier"] = _opt_barrier
RULES["call"] = _call
RULES["while"] = _lazily("while_jvp")
RULES["conditional"] = _lazily("conditional_jvp")
