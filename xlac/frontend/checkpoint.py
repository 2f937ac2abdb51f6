"""`checkpoint`: values that are computed again for a gradient instead of being kept, and policies that keep some."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.arguments import as_tuple, check_names, check_numbers, completed, parameters_of
from xlac.frontend.autodiff import backward, differentiable
from xlac.frontend.custom import batched_call, effects_of, emit_call, inlined, nested_call, redirect_results
from xlac.frontend.forward import forward, name_of
from xlac.frontend.linear import tuple_parts
from xlac.frontend.trace import Note, emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape

Policy = Callable[[Instruction], bool]


@dataclass
class Checkpoint:
    """The note of a call whose values are computed again, not kept, for its reverse.

    Attributes:
      policy: tells of an instruction whether its result is kept all the same.
    """

    policy: Callable[[Instruction], bool] | None

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> Any:
        active = trace.active()
        session = active.session
        operands = instruction.operands
        given = [g for g in cotangent if g is not None]
        # The barrier keeps the second computation apart from the first, and after the cotangents.
        bundle = emit_instruction(op.tuple, *operands, *[active.use(g) for g in given])
        parts = trace.elements(emit_instruction(op.opt_barrier, bundle))
        inputs = [p._instruction for p in parts[: len(operands)]]
        incoming = iter(parts[len(operands) :])
        callee = instruction["to_apply"]
        again: dict[Instruction, Instruction] = dict(zip(callee.parameters, inputs))
        root = trace.replay([callee.root], again)[0]
        full = [None if g is None else next(incoming) for g in cotangent]
        wanted = [k for k, x in enumerate(operands) if differentiable(x) and needed(x)]
        found = dict(zip(wanted, backward(list(zip(tuple_parts(root), full)), [inputs[k] for k in wanted])))
        if self.policy is not None:
            first: dict[Instruction, Instruction] = dict(zip(callee.parameters, operands))
            trace.replay([callee.root], first)
            for inner, copy in again.items():
                # Parameters, and elements of tuples that are known, have no copy.
                copied = copy.opcode is inner.opcode and inner.opcode.name not in ("parameter", "get-tuple-element")
                if copied and isinstance(inner.shape, ArrayShape) and self.policy(inner):
                    session.redirect(copy, first[inner])
        return [found.get(k) for k in range(len(operands))]

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> Any:
        owner = trace.active()
        at = [k for k, t in enumerate(tangents) if t is not None]
        n = len(instruction.operands)
        arguments = [Tracer(owner, x) for x in instruction.operands] + [tangents[k] for k in at]
        moving: list[int] = []

        def build(parameters: list[Tracer]) -> list[Tracer]:
            inner = trace.active()
            values = [inner.use(p) for p in parameters[:n]]
            results = inlined(instruction, values)
            slopes = forward(results, {values[k]: t for k, t in zip(at, parameters[n:])})
            moving[:] = [k for k, s in enumerate(slopes) if s is not None]
            outs = [Tracer(inner, inner.session.resolve(r)) for r in results]
            return [*outs, *(slopes[k] for k in moving)]

        shapes = [owner.use(a).shape for a in arguments]
        name = f"{instruction['to_apply'].name}_jvp"
        made = emit_call(name, shapes, build, arguments, self, effects_of(instruction), anew=True)
        count = len(made) - len(moving)
        redirect_results(instruction, made[:count], moved)
        slopes = dict(zip(moving, made[count:]))
        return [slopes.get(k) for k in range(count)]

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        return batched_call(instruction, values, size, self)


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Policy | None = None,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    concrete: bool = False,
) -> Callable[..., Any]:
    """See `xlac.checkpoint`."""
    if fun is None:
        settings = {"policy": policy, "static_argnums": static_argnums, "static_argnames": static_argnames}
        return functools.partial(checkpoint, **settings)  # type: ignore[arg-type]
    parameters = parameters_of(fun)
    check_names(fun, parameters, "static_argnames", as_tuple(static_argnames))
    check_numbers(fun, parameters, "static_argnums", as_tuple(static_argnums))
    fixed, names = completed(parameters, as_tuple(static_argnums), as_tuple(static_argnames))
    name = name_of(fun)

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        if trace.current() is None:
            return fun(*args, **kwargs)
        settings = {k: v for k, v in kwargs.items() if k in names}
        moving = tuple(None if n in fixed else a for n, a in enumerate(args))
        leaves, structure = tree.flatten((moving, {k: v for k, v in kwargs.items() if k not in names}))

        def function(parameters: list[Tracer]) -> Any:
            given, named = tree.unflatten(structure, parameters)
            positional = (args[n] if n in fixed else a for n, a in enumerate(given))
            return fun(*positional, **named, **settings)

        results, nesting = nested_call(name, leaves, function, Checkpoint(policy))
        return tree.unflatten(nesting, results)

    return call


# ---- policies


@dataclass
class Named(Note):
    """The note of a value that `checkpoint_name` has given a name."""

    name: str


def _named(x: Any, name: str) -> Tracer:
    value = lift(x)
    made = emit(op.copy, value, weak=value.weak_type)
    trace.active().session.notes[made._instruction] = Named(lambda i, g, needed: [g], name)
    return made


def checkpoint_name(x: Any, name: str) -> Any:
    """The same arrays, under a name that policies such as `save_only_these_names` know."""
    if trace.current() is None:
        return x
    return tree.map(lambda leaf: _named(leaf, name), x)


def name_in(instruction: Instruction) -> str | None:
    """The name that `checkpoint_name` gave a value."""
    note = trace.active().session.notes.get(instruction)
    return note.name if isinstance(note, Named) else None


class checkpoint_policies:
    """Which results `checkpoint` keeps: `policy=xlac.checkpoint_policies.dots_saveable`."""

    @staticmethod
    def everything_saveable(instruction: Instruction) -> bool:
        """All results."""
        return True

    @staticmethod
    def nothing_saveable(instruction: Instruction) -> bool:
        """No result."""
        return False

    @staticmethod
    def dots_saveable(instruction: Instruction) -> bool:
        """Products: those of `dot` and `convolution`."""
        return instruction.opcode.name in ("dot", "convolution")

    checkpoint_dots = dots_saveable

    @staticmethod
    def dots_with_no_batch_dims_saveable(instruction: Instruction) -> bool:
        """Products without batch dimensions."""
        return instruction.opcode.name == "dot" and not instruction["lhs_batch_dims"]

    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
        """Values that `checkpoint_name` gave one of these names."""
        return lambda instruction: name_in(instruction) in names_which_can_be_saved

    @staticmethod
    def save_any_names_but_these(*names_not_to_save: str) -> Policy:
        """Values with a name that is none of these."""
        return lambda instruction: name_in(instruction) not in (None, *names_not_to_save)

    @staticmethod
    def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
        """All values but those with one of these names."""
        return lambda instruction: name_in(instruction) not in names_not_to_save

    @staticmethod
    def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
        """What either of two policies keeps."""
        return lambda instruction: policy_1(instruction) or policy_2(instruction)
