"""Reverse-mode derivatives of traced programs: `grad`, `value_and_grad`, `vjp`.

The function is traced in place, from copies of its arguments. From its result the recorded instructions are then walked
backwards, each by its rule in `vjp_rules.py`; the rules record ordinary instructions, so derivatives can be taken
again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.errors import TraceError
from xlac.frontend import dtypes, trace
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.lax.operands import expand


def differentiable(instruction: Instruction) -> bool:
    """Whether an instruction's result can have a derivative: floats, complex numbers, and tuples."""
    shape = instruction.shape
    return isinstance(shape, TupleShape) or (isinstance(shape, ArrayShape) and shape.element_type.is_inexact)


def add_cotangents(x: Any, y: Any) -> Any:
    """The sum of two cotangents of one value; None is zero, a list stands for a tuple."""
    from xlac import lax

    if x is None or y is None:
        return y if x is None else x
    if isinstance(x, list):
        return [add_cotangents(a, b) for a, b in zip(x, y)]
    return lax.add(x, y)


def dependents(outputs: Iterable[Instruction], inputs: Sequence[Instruction]) -> list[Instruction]:
    """The instructions on differentiable ways from the inputs to the outputs, operands before users.

    The inputs included.
    """
    session = trace.active().session
    oldest = min((session.order[i] for i in inputs), default=0)
    leaves = set(inputs)
    needed: dict[Instruction, bool] = dict.fromkeys(inputs, True)
    order: list[Instruction] = []
    stack = list(outputs)
    while stack:
        top = stack[-1]
        if top in needed:
            stack.pop()
            continue
        stops = session.notes.get(top) is trace.NO_DERIVATIVE
        if stops or session.order.get(top, -1) < oldest or not differentiable(top):
            needed[top] = False
            stack.pop()
            continue
        missing = [x for x in top.operands if x not in needed]
        if missing:
            stack.extend(missing)
            continue
        needed[top] = any(needed[x] for x in top.operands)
        if needed[top]:
            order.append(top)
        stack.pop()
    return [*leaves, *order]


def backward(outputs: Sequence[tuple[Instruction, Any]], inputs: Sequence[Instruction]) -> list[Tracer | None]:
    """The inputs' cotangents from those of the outputs, recorded in the current trace; None is zero.

    Raises:
      TraceError: an instruction on the way has no reverse rule.
    """
    from xlac.frontend.vjp_rules import RULES

    active = trace.active()
    session = active.session
    if not inputs:
        return []
    outputs = [(session.resolve(o), g) for o, g in outputs if g is not None]
    order = dependents([o for o, _ in outputs], inputs)
    needed = set(order)
    leaves = set(inputs)
    cotangents: dict[Instruction, Any] = {}
    for instruction, cotangent in outputs:
        if instruction in needed:
            cotangents[instruction] = add_cotangents(cotangents.get(instruction), cotangent)
    origin = session.origin
    try:
        for instruction in reversed(order):
            if instruction in leaves:
                continue
            cotangent = cotangents.pop(instruction, None)
            if cotangent is None:
                continue
            session.origin = origin or _reverse_metadata(instruction)
            note = session.notes.get(instruction)
            if note is not None:
                parts = note.vjp(instruction, cotangent, needed.__contains__)
            else:
                rule = RULES.get(instruction.opcode.name)
                if rule is None:
                    raise missing_rule(instruction, "reverse-mode derivative")
                parts = rule(instruction, cotangent, needed.__contains__)
            for operand, part in zip(instruction.operands, parts):
                if part is not None and operand in needed:
                    value = part() if callable(part) else part
                    cotangents[operand] = add_cotangents(cotangents.get(operand), value)
    finally:
        session.origin = origin
    return [cotangents.get(i) for i in inputs]


def _reverse_metadata(instruction: Instruction) -> dict[str, Any] | None:
    metadata = instruction.metadata
    if not metadata:
        return None
    return {**metadata, "op_name": f"{metadata.get('op_name', '')}/transpose"}


def missing_rule(instruction: Instruction, what: str) -> TraceError:
    """The error for an opcode without a rule; it names the opcode and shows the user's line."""
    metadata = instruction.metadata or {}
    place = (metadata["source_file"], metadata["source_line"]) if "source_file" in metadata else None
    callback = instruction.attrs.get("callback")
    if callback is not None:
        return trace.trace_error(
            f"{callback.what} has no {what}; give the function around it one with custom_jvp or custom_vjp, or cut the "
            "derivative off with xlac.lax.stop_gradient",
            place,
        )
    target = instruction.attrs.get("custom_call_target")
    name = f"{instruction.opcode.name} of {target}" if target else instruction.opcode.name
    return trace.trace_error(f"{name} has no {what}", place)


# ---- grad


def _argnums(argnums: int | Sequence[int], count: int, name: str, what: str = "grad") -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -count <= n < count:
            raise trace.trace_error(
                f"{what}: argnums={argnums} but {name} was called with {count} positional arguments"
            )
    return [n % count for n in numbers]


def _marked(
    value: Any, what: str, holomorphic: bool, by: str = "grad", allow_int: bool = False
) -> tuple[Any, list[Tracer], tree.Structure]:
    """The argument with each leaf copied, the copies, and the structure.

    Raises:
      TraceError: a leaf is no float (or, where holomorphic, no complex) array.
    """
    found, structure = tree.flatten(value)
    marks = []
    for leaf, path in zip(found, tree.paths(value)):
        x = lift(leaf)
        if not dtypes.is_inexact(x.dtype):
            if allow_int:
                marks.append(x)
                continue
            raise trace.trace_error(
                f"{by}: {what}{path} is {x._instruction.shape}; derivatives exist for floats only (convert it with "
                "astype, or choose other arguments with argnums)"
            )
        if holomorphic and not dtypes.is_complex(x.dtype):
            raise trace.trace_error(
                f"grad: {what}{path} is {x._instruction.shape}; with holomorphic=True it must be complex"
            )
        marks.append(emit(op.copy, x, weak=x.weak_type))
    return tree.unflatten(structure, marks), marks, structure


def _zeros_like(x: Tracer) -> Tracer:

    return expand(lift(np.zeros((), x.dtype)), x.shape, ())


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """See `xlac.value_and_grad`."""
    name = getattr(fun, "__name__", type(fun).__name__)

    def traced(args: tuple, kwargs: dict[str, Any], numbers: list[int]) -> Any:
        from xlac import lax
        from xlac.frontend.forward import result_derivative

        marked = [_marked(args[n], f"argument {n} of {name}", holomorphic, "grad", allow_int) for n in numbers]
        arguments = list(args)
        for n, (value, _, _) in zip(numbers, marked):
            arguments[n] = value
        result = fun(*arguments, **kwargs)
        aux = None
        if has_aux:
            if not isinstance(result, (tuple, list)) or len(result) != 2:
                raise trace.trace_error(f"grad: with has_aux=True, {name} must give a pair (value, aux)")
            result, aux = result
        if isinstance(result, (tuple, list, dict)) or result is None:
            hint = "; use has_aux=True if it gives a value and more" if isinstance(result, tuple) else ""
            raise trace.trace_error(f"grad: {name} gives a {type(result).__name__}; it must give one scalar{hint}")
        value = lift(result)
        if value.shape:
            raise trace.trace_error(
                f"grad: {name} gives an array {trace.shown(value)}; it must give a scalar, such as its sum or mean"
            )
        if not dtypes.is_float(value.dtype) and not (holomorphic and dtypes.is_complex(value.dtype)):
            raise trace.trace_error(f"grad: {name} gives {value._instruction.shape}; it must give a float scalar")
        active = trace.active()
        inputs = [active.use(m) for _, marks, _ in marked for m in marks if dtypes.is_inexact(m.dtype)]
        found = iter(backward([(active.use(value), lax.full_like(lift(np.ones((), value.dtype)), 1))], inputs))
        grads = []
        for _, marks, structure in marked:
            parts = [next(found) if dtypes.is_inexact(m.dtype) else None for m in marks]
            grads.append(tree.unflatten(structure, [result_derivative(m, g) for g, m in zip(parts, marks)]))
        gradient = grads[0] if isinstance(argnums, int) else tuple(grads)
        return ((value, aux) if has_aux else value), gradient

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = _argnums(argnums, len(args), name)
        if trace.current() is not None:
            return traced(args, kwargs, numbers)
        from xlac.frontend.forward import run_eagerly

        def run(*moving: Any) -> Any:
            arguments = list(args)
            for n, value in zip(numbers, moving):
                arguments[n] = value
            return traced(tuple(arguments), kwargs, numbers)

        return run_eagerly(run, f"grad_{name}", tuple(args[n] for n in numbers))

    return call


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """See `xlac.grad`."""
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def _pulled(fun: Callable[..., Any], primals: Sequence[Any], has_aux: bool) -> tuple[Any, Any, Callable, list[Any]]:
    """(value, aux, pull, shapes): `pull` gives the primals' cotangents from the results' of inexact type, all flat."""
    from xlac.frontend.forward import split_aux

    name = getattr(fun, "__name__", type(fun).__name__)
    marked = []
    for i, p in enumerate(primals):
        marked.append(_marked(p, f"argument {i} of {name}", False, "vjp", allow_int=True))
    value, aux = split_aux(fun(*(m for m, _, _ in marked)), has_aux, "vjp")
    leaves, structure = tree.flatten(value)
    outputs = [lift(x) for x in leaves]
    owner = trace.active()
    inputs = [owner.use(x) for _, marks, _ in marked for x in marks if dtypes.is_inexact(x.dtype)]
    instructions = [owner.use(o) for o in outputs if dtypes.is_inexact(o.dtype)]

    def pull(cotangents: list[Tracer]) -> list[Tracer | None]:
        return backward(list(zip(instructions, cotangents)), inputs)

    return tree.unflatten(structure, outputs), aux, pull, [i.shape for i in instructions]


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """See `xlac.vjp`."""
    from xlac.frontend.forward import cotangent_array, leaf_dtype, leaf_shape, result_derivative, run_with_program
    from xlac.frontend.linear import LinearProgram, record_linear

    name = getattr(fun, "__name__", type(fun).__name__)
    run: Callable[[list[Any]], list[Any]]
    if trace.current() is not None:
        owner = trace.active()
        value, aux, pull, shapes = _pulled(fun, primals, has_aux)
        programs: list[LinearProgram] = []

        def run(cotangents: list[Any]) -> list[Any]:
            if trace.active() is owner:
                return pull(cotangents)
            if not programs:
                with trace.resumed(owner):
                    programs.append(record_linear(pull, shapes))
            return programs[0](cotangents)

    else:

        def both(*moving: Any) -> tuple[Any, LinearProgram]:
            value, aux, pull, shapes = _pulled(fun, moving, has_aux)
            return (value, aux), record_linear(pull, shapes)

        (value, aux), run = run_with_program(both, f"vjp_{name}", primals)
    leaves, structure = tree.flatten(value)
    given_leaves, nesting = tree.flatten(tuple(primals))

    def pullback(cotangent: Any) -> tuple:
        given, found = tree.flatten(cotangent)
        if found != structure:
            raise trace.trace_error(
                f"vjp: the cotangent is nested as {found}; it must be nested as the result, {structure}"
            )
        flat = [
            cotangent_array(g, leaf_shape(o), leaf_dtype(o), "vjp: the cotangent of a result")
            for g, o in zip(given, leaves)
            if dtypes.is_inexact(leaf_dtype(o))
        ]
        made = iter(run(flat))
        grads = [result_derivative(x, next(made) if dtypes.is_inexact(leaf_dtype(x)) else None) for x in given_leaves]
        return tree.unflatten(nesting, grads)

    return (value, pullback, aux) if has_aux else (value, pullback)


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple]:
    """See `xlac.linear_transpose`."""
    from xlac.frontend.linear import placeholder, take_effects

    leaves, nesting = tree.flatten(tuple(primals))
    name = getattr(fun, "__name__", type(fun).__name__)
    shapes = [ArrayShape(element_type(dtypes.type_of(x)[0]), tuple(getattr(x, "shape", ()))) for x in leaves]
    for shape in shapes:
        if not shape.element_type.is_inexact:
            raise trace.trace_error(f"linear_transpose: {name} has an argument of shape {shape}; it must hold floats")

    def transposed(cotangent: Any) -> tuple:
        def run(given: Any) -> tuple:
            before = dict(trace.active().effects)
            inputs = [placeholder(s) for s in shapes]
            found, structure = tree.flatten(fun(*tree.unflatten(nesting, inputs)))
            take_effects(inputs, before)
            outputs = [lift(x) for x in found]
            cotangents, other = tree.flatten(given)
            if other != structure:
                raise trace.trace_error(
                    f"linear_transpose: the cotangent is nested as {other}; it must be nested as {structure}"
                )
            owner = trace.active()
            pairs = [(owner.use(o), lift(g)) for o, g in zip(outputs, cotangents)]
            made = backward(pairs, [owner.use(x) for x in inputs])
            return tree.unflatten(nesting, [_zeros_like(x) if m is None else m for m, x in zip(made, inputs)])

        if trace.current() is not None:
            return run(cotangent)
        from xlac.frontend.jit import run_once

        return run_once(run, f"transpose_{name}", (cotangent,))

    return transposed
