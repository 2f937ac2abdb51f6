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
from xlac.ir.shape import ArrayShape, TupleShape


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
        if session.order.get(top, -1) < oldest or not differentiable(top):
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
                    raise _no_rule(instruction)
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


def _no_rule(instruction: Instruction) -> TraceError:
    metadata = instruction.metadata or {}
    place = (metadata["source_file"], metadata["source_line"]) if "source_file" in metadata else None
    return trace.trace_error(f"{instruction.opcode.name} has no reverse-mode derivative", place)


# ---- grad


def _argnums(argnums: int | Sequence[int], count: int, name: str) -> list[int]:
    numbers = [argnums] if isinstance(argnums, int) else list(argnums)
    for n in numbers:
        if not -count <= n < count:
            raise TraceError(f"grad: argnums={argnums} but {name} was called with {count} positional arguments")
    return [n % count for n in numbers]


def _marked(value: Any, what: str, holomorphic: bool) -> tuple[Any, list[Tracer], tree.Structure]:
    """The argument with each leaf copied, the copies, and the structure.

    Raises:
      TraceError: a leaf is no float (or, where holomorphic, no complex) array.
    """
    found, structure = tree.flatten(value)
    marks = []
    for leaf, path in zip(found, tree.paths(value)):
        x = lift(leaf)
        if not dtypes.is_inexact(x.dtype):
            raise trace.trace_error(
                f"grad: {what}{path} is {x._instruction.shape}; derivatives exist for floats only (convert it with "
                "astype, or choose other arguments with argnums)"
            )
        if holomorphic and not dtypes.is_complex(x.dtype):
            raise trace.trace_error(
                f"grad: {what}{path} is {x._instruction.shape}; with holomorphic=True it must be complex"
            )
        marks.append(emit(op.copy, x, weak=x.weak_type))
    return tree.unflatten(structure, marks), marks, structure


def _zeros_like(x: Tracer) -> Tracer:
    from xlac import lax

    return lax._broadcast(lift(np.zeros((), x.dtype)), x.shape, ())


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """See `xlac.value_and_grad`."""
    name = getattr(fun, "__name__", type(fun).__name__)

    def traced(args: tuple, kwargs: dict[str, Any], numbers: list[int]) -> Any:
        from xlac import lax

        marked = [_marked(args[n], f"argument {n} of {name}", holomorphic) for n in numbers]
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
                f"grad: {name} gives an array of shape {list(value.shape)}; it must give a scalar, such as its sum "
                "or mean"
            )
        if not dtypes.is_float(value.dtype) and not (holomorphic and dtypes.is_complex(value.dtype)):
            raise trace.trace_error(f"grad: {name} gives {value._instruction.shape}; it must give a float scalar")
        active = trace.active()
        inputs = [active.use(m) for _, marks, _ in marked for m in marks]
        found = iter(backward([(active.use(value), lax.full_like(lift(np.ones((), value.dtype)), 1))], inputs))
        grads = []
        for _, marks, structure in marked:
            parts = [next(found) for _ in marks]
            grads.append(tree.unflatten(structure, [_zeros_like(m) if g is None else g for g, m in zip(parts, marks)]))
        gradient = grads[0] if isinstance(argnums, int) else tuple(grads)
        return ((value, aux) if has_aux else value), gradient

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = _argnums(argnums, len(args), name)
        if trace.current() is not None:
            return traced(args, kwargs, numbers)
        from xlac.frontend.jit import run_once

        def run(*moving: Any) -> Any:
            arguments = list(args)
            for n, value in zip(numbers, moving):
                arguments[n] = value
            return traced(tuple(arguments), kwargs, numbers)

        return run_once(run, f"grad_{name}", tuple(args[n] for n in numbers))

    return call


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """See `xlac.grad`."""
    both = value_and_grad(fun, argnums, has_aux, holomorphic)

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return call


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """See `xlac.vjp`."""
    name = getattr(fun, "__name__", type(fun).__name__)
    if trace.current() is not None:
        return _traced_vjp(fun, primals, has_aux, name)
    from xlac.frontend.jit import run_once

    result = run_once(lambda *moving: fun(*moving), name, primals)

    def pullback(cotangent: Any) -> Any:
        def run(moving: tuple, given: Any) -> Any:
            return _traced_vjp(fun, moving, has_aux, name)[1](given)

        return run_once(run, f"vjp_{name}", (primals, cotangent))

    return (result[0], pullback, result[1]) if has_aux else (result, pullback)


def _traced_vjp(fun: Callable[..., Any], primals: tuple, has_aux: bool, name: str) -> Any:
    from xlac import lax

    marked = [_marked(p, f"argument {i} of {name}", False) for i, p in enumerate(primals)]
    result = fun(*(value for value, _, _ in marked))
    aux = None
    if has_aux:
        result, aux = result
    leaves, structure = tree.flatten(result)
    outputs = [lift(x) for x in leaves]
    owner = trace.active()
    instructions = [owner.use(o) for o in outputs]

    def pullback(cotangent: Any) -> tuple:
        if trace.active() is not owner:
            raise trace.trace_error("vjp: the pullback must be called in the function or loop body in which vjp was")
        given, found = tree.flatten(cotangent)
        if found != structure:
            raise trace.trace_error(
                f"vjp: the cotangent is nested as {found}; it must be nested as the result, {structure}"
            )
        pairs = []
        for instruction, o, g in zip(instructions, outputs, given):
            g = lift(g)
            if g.shape != o.shape:
                raise trace.trace_error(
                    f"vjp: the cotangent of a result of shape {list(o.shape)} is of shape {list(g.shape)}"
                )
            if dtypes.is_inexact(o.dtype):
                pairs.append((instruction, lax._convert(g, o.dtype)))
        parts = iter(backward(pairs, [owner.use(m) for _, marks, _ in marked for m in marks]))
        grads = []
        for _, marks, shape in marked:
            mine = [next(parts) for _ in marks]
            grads.append(tree.unflatten(shape, [_zeros_like(m) if g is None else g for g, m in zip(mine, marks)]))
        return tuple(grads)

    value = tree.unflatten(structure, outputs)
    return (value, pullback, aux) if has_aux else (value, pullback)
