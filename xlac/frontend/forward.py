"""Forward-mode derivatives of traced programs: `jvp`, `linearize`.

As in reverse mode the function is traced in place, from copies of its arguments. The recorded instructions are then
walked forwards, each by its rule in `jvp_rules.py`, and the rules record ordinary instructions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.autodiff import add_cotangents, dependents, missing_rule
from xlac.frontend.linear import LinearProgram, record_linear, zeros_like
from xlac.frontend.trace import emit, emit_instruction, lift, name_of
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import TOKEN
from xlac.lax.operands import convert

# The type of derivatives of integers and booleans, which hold nothing; JAX's float0.
FLOAT0 = float0 = np.dtype([("float0", np.void, 0)])

# Pairs of an instruction and the one that computes the same value beside its tangent.
Moved = list[tuple[Instruction, Instruction]]


class Unapplied(list):
    """`Moved` without effect: values are to be computed apart from the tangents.

    Attributes:
      kept: pairs that do take effect: the second of them keeps values that the tangents read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: Moved = []


def forward(outputs: Sequence[Instruction], seeds: Mapping[Instruction, Any], redirect: bool = True) -> list[Any]:
    """The outputs' tangents from those of the seeds, recorded in the current trace; None is zero.

    Loops and branches are recorded anew, computing values and tangents together, and the new ones take the place of
    the old ones. Without `redirect` the values stay independent of the tangents: a scan's tangents are a loop of their
    own, that reads what the first loop keeps.

    Raises:
      TraceError: an instruction on the way has no forward rule.
    """
    session = trace.active().session
    outputs = [session.resolve(o) for o in outputs]
    tangents: dict[Instruction, Any] = dict(seeds)
    moved: Moved = [] if redirect else Unapplied()
    origin = session.origin
    try:
        for instruction in dependents(outputs, list(seeds)):
            if instruction in seeds:
                continue
            given = [tangents.get(x) for x in instruction.operands]
            if all(g is None for g in given):
                continue
            session.origin = origin or _forward_metadata(instruction)
            made = push(instruction, given, moved)
            if isinstance(made, list) and all(m is None for m in made):
                made = None
            tangents[instruction] = made
    finally:
        session.origin = origin
    for old, new in moved.kept if isinstance(moved, Unapplied) else moved:
        session.redirect(old, new)
    return [tangents.get(o) for o in outputs]


def push(instruction: Instruction, tangents: Sequence[Any], moved: Moved) -> Any:
    """The tangent of one instruction's result."""
    from xlac.frontend.jvp_rules import RULES

    note = trace.active().session.notes.get(instruction)
    if note is not None:
        return note.jvp(instruction, tangents, moved)
    rule = RULES.get(instruction.opcode.name)
    if rule is None:
        raise missing_rule(instruction, "forward-mode derivative")
    return rule(instruction, tangents, moved)


def diagonal(vjp: Callable[..., Sequence[Any]], instruction: Instruction, tangents: Sequence[Any]) -> Any:
    """The tangent of an elementwise instruction by its reverse rule, whose parts multiply element by element."""
    total = None
    for k, tangent in enumerate(tangents):
        if tangent is not None:
            part = vjp(instruction, tangent, lambda _: True)[k]
            total = add_cotangents(total, part() if callable(part) else part)
    return total


def _forward_metadata(instruction: Instruction) -> dict[str, Any] | None:
    metadata = instruction.metadata
    return {**metadata, "op_name": f"{metadata.get('op_name', '')}/jvp"} if metadata else None


# ---- arguments


def mark(value: Any, tangent: Any, what: str) -> tuple[Any, list[tuple[Tracer, Tracer]]]:
    """An argument with its inexact leaves copied, and each copy with its tangent.

    Raises:
      TraceError: the tangent is nested differently, or a leaf of it has another shape or type.
    """
    found, structure = tree.flatten(value)
    given, nesting = tree.flatten(tangent)
    if nesting != structure:
        raise trace.trace_error(f"jvp: the tangent of {what} is nested as {nesting}; it must be nested as {structure}")
    leaves, pairs = [], []
    for leaf, t, path in zip(found, given, tree.paths(value)):
        x = lift(leaf)
        if not dtypes.is_inexact(x.dtype):
            if getattr(t, "dtype", None) != FLOAT0:
                raise trace.trace_error(
                    f"jvp: {what}{path} is {x._instruction.shape}; the tangent of integers and booleans must be of "
                    "type float0, as np.zeros(shape, xlac.float0)"
                )
            leaves.append(x)
            continue
        copy = emit(op.copy, x, weak=x.weak_type)
        leaves.append(copy)
        pairs.append((copy, checked_tangent(x, lift(t), f"{what}{path}")))
    return tree.unflatten(structure, leaves), pairs


def checked_tangent(x: Tracer, t: Tracer, what: str) -> Tracer:
    """`t` in the type of `x`.

    Raises:
      TraceError: the shapes differ, or the types do and none of them is that of a Python number.
    """

    if t.shape != x.shape:
        raise trace.trace_error(
            f"jvp: {what} is of shape {trace.shown(x)} but its tangent is of shape {trace.shown(t)}; they must be equal"
        )
    if t.dtype != x.dtype and not (t.weak_type or x.weak_type):
        raise trace.trace_error(
            f"jvp: {what} is of type {x.dtype.name} but its tangent is of type {t.dtype.name}; they must be equal"
        )
    return convert(t, x.dtype)


def tangent_of(output: Tracer, tangent: Any) -> Any:
    """A result's tangent as it is handed out: zeros where there is none, float0 where there can be none."""
    if not dtypes.is_inexact(output.dtype):
        return np.zeros(output.shape, FLOAT0)
    return zeros_like(output) if tangent is None else tangent


def split_aux(result: Any, has_aux: bool, what: str) -> tuple[Any, Any]:
    """The value and the further results of a function.

    Raises:
      TraceError: it should give a pair and does not.
    """
    if not has_aux:
        return result, None
    if not isinstance(result, (tuple, list)) or len(result) != 2:
        raise trace.trace_error(f"{what}: with has_aux=True, the function must give a pair (value, aux)")
    return result[0], result[1]


def traced_jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, Any, Any]:
    """(value, tangent, aux) of a function in the current trace."""
    name = name_of(fun)
    marked = [mark(p, t, f"argument {i} of {name}") for i, (p, t) in enumerate(zip(primals, tangents))]
    value, aux = split_aux(fun(*(m for m, _ in marked)), has_aux, "jvp")
    found, structure = tree.flatten(value)
    outputs = [lift(x) for x in found]
    active = trace.active()
    seeds = {active.use(x): t for _, pairs in marked for x, t in pairs}
    made = forward([active.use(o) for o in outputs], seeds)
    derivative = [tangent_of(o, t) for o, t in zip(outputs, made)]
    return tree.unflatten(structure, outputs), tree.unflatten(structure, derivative), aux


def jvp(fun: Callable[..., Any], primals: Any, tangents: Any, has_aux: bool = False) -> Any:
    """See `xlac.jvp`."""
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError(
            f"jvp takes primals and tangents as tuples or lists; got {type(primals).__name__} and "
            f"{type(tangents).__name__}"
        )
    if len(primals) != len(tangents):
        raise TypeError(f"jvp: there are {len(primals)} primals and {len(tangents)} tangents")
    primals, tangents = tuple(primals), tuple(tangents)
    if trace.current() is not None:
        value, derivative, aux = traced_jvp(fun, primals, tangents, has_aux)
    else:
        value, derivative, aux = run_eagerly(
            lambda p, t: traced_jvp(fun, p, t, has_aux), f"jvp_{name_of(fun)}", (primals, tangents)
        )
    return (value, derivative, aux) if has_aux else (value, derivative)


def is_float0(leaf: Any) -> bool:
    """Whether a leaf is the derivative of an integer or boolean."""
    return getattr(leaf, "dtype", None) == FLOAT0


def run_eagerly(function: Callable[..., Any], name: str, args: Any) -> Any:
    """As `jit.run_once`, for arguments and results with leaves of type float0, which no program sees."""
    from xlac.frontend.jit import run_once

    leaves, structure = tree.flatten(args)
    moving = [x for x in leaves if not is_float0(x)]
    kept: list[Any] = []

    def run(*given: Any) -> list[Any]:
        values = iter(given)
        found, shape = tree.flatten(
            function(*tree.unflatten(structure, [x if is_float0(x) else next(values) for x in leaves]))
        )
        kept[:] = [shape, [x if is_float0(x) else None for x in found]]
        return [x for x in found if not is_float0(x)]

    def paths() -> list[str]:
        return [p for p, x in zip(tree.paths(args), leaves) if not is_float0(x)]

    results = iter(run_once(run, name, tuple(moving), paths))
    shape, empty = kept
    return tree.unflatten(shape, [next(results) if x is None else x for x in empty])


# ---- linearize


def run_with_program(function: Callable[[], tuple[Any, LinearProgram]], name: str, args: Any) -> tuple[Any, Any]:
    """Trace and run `function(*args)`, which gives results and a linear program.

    Gives the results and the program as a function of concrete flat arrays, which holds the values that it reads.
    """
    kept: list[Any] = []

    def run(*moving: Any) -> Any:
        results, program = function(*moving)
        inner, parameters, outputs = program.region()
        found, shape = tree.flatten(results)
        kept[:] = [inner, parameters, outputs, shape, [x if is_float0(x) else None for x in found]]
        # A token that a branch hands on is no value; there is always another one.
        residuals = [Tracer(program.owner, c) for c in inner.captures if c.shape != TOKEN]
        return [x for x in found if not is_float0(x)], residuals

    from xlac.frontend.jit import run_once

    found, residuals = run_once(run, name, args)
    inner, parameters, outputs, shape, empty = kept
    values = iter(found)
    results = tree.unflatten(shape, [next(values) if x is None else x for x in empty])
    effects = [c for c in inner.carried() if c.first.shape == TOKEN]
    ends = [*(o for o in outputs if o is not None), *(c.last for c in effects)]
    captured = [p for p in inner.captures.values() if p.shape != TOKEN]
    tokens = [p for p in inner.captures.values() if p.shape == TOKEN]

    def linear(given: list[Any]) -> list[Any]:
        def again(held: list[Tracer], moving: list[Tracer]) -> list[Tracer]:
            active = trace.active()
            mapping = {p: active.use(lift(t)) for p, t in zip((*captured, *parameters), (*held, *moving))}
            mapping |= {p: emit_instruction(op.after_all) for p in tokens}
            mapping |= {c.first: active.effect(c.effect) for c in effects}
            made = trace.replay(ends, mapping)
            active.carry(effects, made[len(made) - len(effects) :])
            return [Tracer(active, i) for i in made[: len(made) - len(effects)]]

        if trace.current() is not None:
            made = iter(again([lift(r) for r in residuals], [lift(g) for g in given]))
        else:
            made = iter(run_once(again, f"linear_{name}", (residuals, given)))
        return [None if o is None else next(made) for o in outputs]

    return results, linear


def traced_linearize(fun: Callable[..., Any], primals: Sequence[Any], has_aux: bool) -> tuple[Any, Any, LinearProgram]:
    """(value, aux, program from the tangents of the inexact leaves to those of the results)."""
    marked = []
    for p in primals:
        found, structure = tree.flatten(p)
        leaves = [lift(x) for x in found]
        marked.append(
            tree.unflatten(
                structure, [emit(op.copy, x, weak=x.weak_type) if dtypes.is_inexact(x.dtype) else x for x in leaves]
            )
        )
    value, aux = split_aux(fun(*marked), has_aux, "linearize")
    found, structure = tree.flatten(value)
    outputs = [lift(x) for x in found]
    active = trace.active()
    copies = [active.use(x) for m in marked for x in tree.leaves(m) if dtypes.is_inexact(x.dtype)]

    def push(tangents: list[Tracer]) -> list[Any]:
        return forward([active.use(o) for o in outputs], dict(zip(copies, tangents)), redirect=False)

    return tree.unflatten(structure, outputs), aux, record_linear(push, [c.shape for c in copies])


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """See `xlac.linearize`."""
    name = name_of(fun)
    if trace.current() is not None:
        value, aux, program = traced_linearize(fun, primals, has_aux)
        run: Callable[[list[Any]], list[Any]] = program
    else:

        def both(*moving: Any) -> tuple[Any, LinearProgram]:
            value, aux, program = traced_linearize(fun, moving, has_aux)
            return (value, aux), program

        (value, aux), run = run_with_program(both, name, primals)  # type: ignore[arg-type]
    kinds = [(leaf_shape(x), leaf_dtype(x)) for x in tree.leaves(primals)]
    nestings = [tree.structure(p) for p in primals]
    outs, structure = tree.flatten(value)

    def take(tangents: tuple) -> list[Any]:
        if len(tangents) != len(primals):
            raise TypeError(f"the linearized function takes {len(primals)} tangents; got {len(tangents)}")
        for i, (t, nesting) in enumerate(zip(tangents, nestings)):
            if tree.structure(t) != nesting:
                raise trace.trace_error(
                    f"linearize: the tangent of argument {i} is nested as {tree.structure(t)}; it must be nested as "
                    f"{nesting}"
                )
        given = []
        for leaf, (shape, dtype) in zip(tree.leaves(tangents), kinds):
            if dtypes.is_inexact(dtype):
                given.append(cotangent_array(leaf, shape, dtype, "linearize: a tangent"))
        return given

    def pushed(*tangents: Any) -> Any:
        made = run(take(tangents))
        return tree.unflatten(structure, [result_derivative(o, t) for o, t in zip(outs, made)])

    return (value, pushed, aux) if has_aux else (value, pushed)


def leaf_dtype(leaf: Any) -> np.dtype:
    """The type of an argument's leaf, Python numbers included."""
    return dtypes.type_of(leaf)[0]


def leaf_shape(leaf: Any) -> tuple[int, ...]:
    """The shape of an argument's leaf, Python numbers included."""
    return tuple(getattr(leaf, "shape", ()))


def cotangent_array(leaf: Any, shape: tuple[int, ...], dtype: np.dtype, what: str) -> Any:
    """A given tangent or cotangent in the shape and type it must have, traced or concrete.

    Raises:
      TraceError: the shape differs.
    """

    if trace.current() is not None:
        leaf = lift(leaf)
        if leaf.shape == shape:
            return convert(leaf, dtype)
    else:
        leaf = np.asarray(leaf)
        if leaf.shape == shape:
            return leaf.astype(dtype, copy=False)
    raise trace.trace_error(f"{what} is of shape {trace.shown(leaf)}; it must be {list(shape)}")


def result_derivative(output: Any, derivative: Any) -> Any:
    """What stands for a result's derivative, traced or concrete: zeros for None, float0 for integers."""
    dtype = leaf_dtype(output)
    if not dtypes.is_inexact(dtype):
        return np.zeros(leaf_shape(output), FLOAT0)
    if derivative is not None:
        return derivative
    if isinstance(output, Tracer) and trace.current() is not None:
        return zeros_like(lift(output))
    return np.zeros(leaf_shape(output), dtype)
