"""Functions with rules of their own: `custom_jvp`, `custom_vjp`.

Each call is recorded as one `call` instruction with a note that has the rules; it is inlined when the program is
compiled, and nothing of it is left where no derivative is taken.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.arguments import as_tuple, check_names, check_numbers, completed, parameters_of
from xlac.frontend.autodiff import differentiable
from xlac.frontend.batching import Batched, batch, batch_leaves, effect_starts, join_effects
from xlac.frontend.forward import FLOAT0, is_float0, name_of
from xlac.frontend.linear import transpose, tuple_parts, zeros_like
from xlac.frontend.trace import emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.lax.operands import convert

Flat = Callable[..., Sequence[Any]]


# ---- calls with notes


def emit_call(
    name: str,
    shapes: Sequence[Any],
    build: Callable[[list[Tracer]], Sequence[Tracer]],
    arguments: Sequence[Tracer],
    note: Any,
    effects: Sequence[tuple[trace.Effect, int, int]] = (),
    anew: bool = False,
) -> list[Tracer]:
    """Record `build` as a computation of these shapes, and a call of it with a note; values it captures come last.

    `effects` are those that go through it among the arguments and results, as in `Session.call_effects`; the ones that
    it captures are carried through it and are not among the results that are given. `anew` is for a call that takes the
    place of something recorded long before, see `batching.effect_starts`.
    """
    active = trace.active()
    inner = trace.Trace(name, active)
    inner.carries = True
    with trace.recording(inner):
        parameters = [Tracer(inner, inner.parameter(s)) for s in shapes]
        results = [inner.use(t) for t in build(parameters)]
        carried = inner.carried()
        inner.computation.root = emit_instruction(op.tuple, *results, *(c.last for c in carried))
    starts = {c.outer: active.use(t) for c, t in zip(carried, effect_starts(carried))} if anew else {}
    operands = [*(active.use(a) for a in arguments), *(starts.get(x, x) for x in inner.captures)]
    made = emit_instruction(op.call, *operands, to_apply=inner.computation)
    active.session.notes[made] = note
    found = trace.elements(made)
    count = len(results)
    captured = [(c.effect, count + i, operands.index(starts.get(c.outer, c.outer))) for i, c in enumerate(carried)]
    active.session.call_effects[inner.computation] = [*effects, *captured]
    if anew:
        join_effects(carried, found[count:])
    else:
        active.carry(carried, [t._instruction for t in found[count:]])
    return found[:count]


def nested_call(
    name: str, leaves: Sequence[Any], function: Callable[[list[Tracer]], Any], note: Any
) -> tuple[list[Tracer], tree.Structure]:
    """Record a call of a function of flat arrays; the leaves of its result, and how they nest."""
    xs = [lift(x) for x in leaves]
    nesting: list[tree.Structure] = []
    weak: list[bool] = []

    def build(parameters: list[Tracer]) -> list[Tracer]:
        found, shape = tree.flatten(
            function([Tracer(p._trace, p._instruction, x.weak_type) for p, x in zip(parameters, xs)])
        )
        nesting.append(shape)
        outputs = [lift(f) for f in found]
        weak.extend(o.weak_type for o in outputs)
        return outputs

    results = emit_call(name, [x._instruction.shape for x in xs], build, xs, note)
    return [Tracer(r._trace, r._instruction, w) for r, w in zip(results, weak)], nesting[0]


def effects_of(instruction: Instruction) -> list[tuple[trace.Effect, int, int]]:
    """The effects that go through a call, with the numbers of the result and the operand."""
    return trace.active().session.call_effects.get(instruction["to_apply"], [])


def inlined(instruction: Instruction, inputs: Sequence[Instruction]) -> list[Instruction]:
    """The results of the called computation, inlined."""
    callee = instruction["to_apply"]
    return tuple_parts(trace.replay([callee.root], dict(zip(callee.parameters, inputs)))[0])


def batched_call(instruction: Instruction, values: Sequence[Batched], size: int, note: Any) -> list[Batched]:
    """The call for all examples, every result batched along dimension 0."""
    active = trace.active()
    callee = instruction["to_apply"]
    effects = effects_of(instruction)
    arguments = [v.value if v.axis is None else v.front(size) for v in values]

    def build(parameters: list[Tracer]) -> list[Tracer]:
        known = {p: Batched(t, None if v.axis is None else 0) for p, t, v in zip(callee.parameters, parameters, values)}
        (results,) = batch([callee.root], known, size)
        changed = {e: results[r] for e, r, _ in effects}
        last = {r: Tracer(trace.active(), e.merge(changed, size)) for e, r, _ in effects}
        return [last[k] if k in last else r.front(size) for k, r in enumerate(results)]

    shapes = [active.use(a).shape for a in arguments]
    made = emit_call(f"{callee.name}_vmap", shapes, build, arguments, note, effects)
    return [Batched(t, None if any(k == r for _, r, _ in effects) else 0) for k, t in enumerate(made)]


def redirect_results(instruction: Instruction, results: Sequence[Tracer], moved: list[Any] | None) -> None:
    """Let what a rule computed stand for the call's results: at once, or as `forward` does it.

    The call's effects do not take place, but for those that are among the results.
    """
    active = trace.active()
    before = {r: instruction.operands[o] for _, r, o in effects_of(instruction)}
    for user in list(instruction.users):
        if user.opcode.name == "get-tuple-element":
            k = user["index"]
            new = active.use(results[k]) if k < len(results) else active.session.resolve(before[k])
            if moved is None:
                active.session.redirect(user, new)
            else:
                moved.append((user, new))


def on_axes(function: Flat, axes: Sequence[int | None], size: int, axis_name: Any) -> Flat:
    """A function of flat arrays, for all examples; leaves of type float0 stay as they are."""

    def call(*arguments: Any) -> list[Any]:
        arrays = [(k, Batched(lift(a), axis)) for k, (a, axis) in enumerate(zip(arguments, axes)) if not is_float0(a)]

        def one(*examples: Tracer) -> Sequence[Any]:
            given = list(arguments)
            for (k, _), x in zip(arrays, examples):
                given[k] = x
            return function(*given)

        return batch_leaves(one, name_of(function), [v for _, v in arrays], size, axis_name)

    return call


# ---- arguments


class _Arguments:
    """How the arguments of a function with rules divide into settings and arrays."""

    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Iterable[int], nondiff_argnames: Iterable[str]
    ) -> None:
        self.fun, self.name = fun, name_of(fun)
        parameters = parameters_of(fun)
        self.signature = inspect.signature(fun) if parameters else None
        check_names(fun, parameters, "nondiff_argnames", nondiff_argnames)
        check_numbers(fun, parameters, "nondiff_argnums", nondiff_argnums)
        self.numbers, _ = completed(parameters, nondiff_argnums, nondiff_argnames)

    def positional(self, args: tuple, kwargs: dict[str, Any]) -> tuple:
        """All arguments by position, defaults included.

        Raises:
          TypeError: a keyword-only argument was given, or the arguments do not fit.
        """
        if self.signature is None:
            if kwargs:
                raise TypeError(f"{self.name} has derivative rules and no signature; pass its arguments by position")
            return args
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            raise TypeError(
                f"{self.name} has derivative rules; its keyword-only argument {next(iter(bound.kwargs))} cannot be used"
            )
        return bound.args

    def split(self, args: tuple) -> tuple[list[Any], list[Any]]:
        """The settings and the other arguments.

        Raises:
          TraceError: a setting is a traced value.
        """
        for n in sorted(self.numbers):
            if n < len(args) and any(isinstance(x, Tracer) for x in tree.leaves(args[n])):
                raise trace.trace_error(
                    f"argument {n} of {self.name} is a traced value but is named in nondiff_argnums; these are "
                    "settings, make it an ordinary argument"
                )
        fixed = [n for n in range(len(args)) if n in self.numbers]
        return [args[n] for n in fixed], [a for n, a in enumerate(args) if n not in self.numbers]

    def joined(self, count: int, settings: Sequence[Any], rest: Sequence[Any]) -> list[Any]:
        given, moving = iter(settings), iter(rest)
        return [next(given) if n in self.numbers else next(moving) for n in range(count)]


class _Ruled:
    """A function with rules: what `custom_jvp` and `custom_vjp` share."""

    def __init__(
        self, fun: Callable[..., Any], nondiff_argnums: Iterable[int] = (), nondiff_argnames: Iterable[str] = ()
    ) -> None:
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.arguments = _Arguments(fun, as_tuple(nondiff_argnums), as_tuple(nondiff_argnames))

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)


def _record(
    arguments: _Arguments, args: tuple, make: Callable[[list[Any], tree.Structure, tree.Structure], Any]
) -> Any:
    """Record one call of the function; `make(settings, structure of the arrays, structure of the result)` -> note."""
    settings, rest = arguments.split(args)
    leaves, structure = tree.flatten(tuple(rest))

    def function(given: list[Tracer]) -> Any:
        return arguments.fun(*arguments.joined(len(args), settings, tree.unflatten(structure, given)))

    results, nesting = nested_call(arguments.name, leaves, function, None)
    if results:
        trace.active().session.notes[results[0]._instruction.operands[0]] = make(settings, structure, nesting)
    return tree.unflatten(nesting, results)


def _zero(x: Tracer) -> Any:
    """The zero derivative of a value."""
    return zeros_like(x) if dtypes.is_inexact(x.dtype) else np.zeros(x.shape, FLOAT0)


def _matching(found: Any, want: tree.Structure, what: str) -> list[Any]:
    leaves, structure = tree.flatten(found)
    if structure != want:
        raise trace.trace_error(f"{what} is nested as {structure}; it must be nested as {want}")
    return leaves


def _derivative(value: Any, like: Tracer, what: str) -> Any:
    """What a rule gave as the derivative of a value, checked: None where it can have none.

    Raises:
      TraceError: shape or type differ.
    """

    if not dtypes.is_inexact(like.dtype) or value is None or is_float0(value):
        return None
    t = lift(value)
    if t.shape != like.shape or (t.dtype != like.dtype and not t.weak_type):
        raise trace.trace_error(f"{what} is {t._instruction.shape}; it must be {like._instruction.shape}")
    return convert(t, like.dtype)


def _captured(name: str) -> Exception:
    return trace.trace_error(
        f"{name} reads a variable of the surrounding function that the derivative is taken by; its rule knows of its "
        "arguments only, so pass the variable as one"
    )


def _replaced(instruction: Instruction, found: Sequence[Any], rule: str, moved: list[Any] | None) -> list[Tracer]:
    """Let what a rule gave stand for the results of a call; give the call's own, its effects left out.

    Raises:
      TraceError: a shape differs.
    """

    effects = {r for _, r, _ in effects_of(instruction)}
    outs = [t for k, t in enumerate(trace.elements(instruction)) if k not in effects]
    results = [lift(r) for r in found]
    for n, (r, o) in enumerate(zip(results, outs)):
        if r.shape != o.shape:
            raise trace.trace_error(
                f"{rule} gives {r._instruction.shape} as result {n}; the function gives {o._instruction.shape}"
            )
    redirect_results(instruction, [convert(r, o.dtype) for r, o in zip(results, outs)], moved)
    return outs


# ---- custom_jvp


@dataclass
class CustomJvp:
    """The note of a call with a forward rule.

    Attributes:
      rule: flat: the primals and then the tangents of all of them -> results, and then their tangents.
      count: how many operands are arguments; the rest is captured.
      name: the function's name.
    """

    rule: Flat
    count: int
    name: str

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any] | None) -> Any:
        if any(t is not None for t in tangents[self.count :]):
            raise _captured(self.name)
        owner = trace.active()
        primals = [Tracer(owner, x) for x in instruction.operands[: self.count]]
        given = [_zero(x) if t is None else t for x, t in zip(primals, tangents)]
        found = list(self.rule(*primals, *given))
        half = len(found) // 2
        outs = _replaced(instruction, found[:half], f"the jvp rule of {self.name}", moved)
        return [
            _derivative(t, o, f"the tangent of result {n} that the jvp rule of {self.name} gives")
            for n, (t, o) in enumerate(zip(found[half:], outs))
        ]

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> Any:
        """The rule's linear program, transposed."""
        arguments = instruction.operands[: self.count]
        at = [k for k, x in enumerate(arguments) if differentiable(x) and needed(x)]

        def push(tangents: list[Tracer]) -> list[Any]:
            given: list[Any] = [None] * len(instruction.operands)
            for k, t in zip(at, tangents):
                given[k] = t
            return self.jvp(instruction, given, None)

        if any(needed(x) for x in instruction.operands[self.count :]):
            self.jvp(instruction, [1] * len(instruction.operands), [])
        found = dict(zip(at, transpose(push, [arguments[k].shape for k in at], cotangent)))
        return [found.get(k) for k in range(len(instruction.operands))]

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        axes = [None if v.axis is None else 0 for v in values[: self.count]]
        rule = all_batched(on_axes(self.rule, [*axes, *axes], size, trace.active().session.axis_name), size)
        return batched_call(instruction, values, size, CustomJvp(rule, self.count, self.name))


def all_batched(function: Flat, size: int) -> Flat:
    """The arrays of a function of all examples, with the examples along dimension 0."""
    return lambda *given: [r.front(size) if isinstance(r, Batched) else r for r in function(*given)]


class custom_jvp(_Ruled):
    """See `xlac.custom_jvp`."""

    jvp: Callable[..., Any] | None = None

    def defjvp(self, jvp: Callable[..., Any], symbolic_zeros: bool = False) -> Callable[..., Any]:
        """Set the rule `jvp(*settings, primals, tangents) -> (result, its tangent)`; usable as a decorator."""
        self.jvp = jvp
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """Set one rule for each argument, `rule(tangent, result, *primals) -> part of the result's tangent`."""
        if self.arguments.numbers:
            raise TypeError("defjvps cannot be used with nondiff_argnums; use defjvp")

        def jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
            result = self.fun(*primals)
            parts = [
                rule(t, result, *primals)
                for rule, t in zip(jvps, tangents)
                if rule is not None and not all(map(is_float0, tree.leaves(t)))
            ]
            if not parts:
                return result, tree.map(lambda r: _zero(lift(r)), result)
            return result, functools.reduce(lambda a, b: tree.map(lambda x, y: lift(x) + y, a, b), parts)

        self.jvp = jvp

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = self.arguments.positional(args, kwargs)
        if self.jvp is None:
            raise trace.trace_error(f"{self.arguments.name} has no jvp rule yet; set one with defjvp or defjvps")
        if trace.current() is None:
            return self.fun(*args)
        rule = self.jvp
        name = self.arguments.name

        def make(settings: list[Any], structure: tree.Structure, nesting: tree.Structure) -> CustomJvp:
            n = structure.num_leaves

            def flat(*given: Any) -> list[Any]:
                primals, tangents = tree.unflatten(structure, given[:n]), tree.unflatten(structure, given[n:])
                pair = rule(*settings, primals, tangents)
                if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                    raise trace.trace_error(f"the jvp rule of {name} must give a pair (result, tangent)")
                result = _matching(pair[0], nesting, f"the result that the jvp rule of {name} gives")
                return result + _matching(pair[1], nesting, f"the tangent that the jvp rule of {name} gives")

            return CustomJvp(flat, n, name)

        return _record(self.arguments, args, make)


# ---- custom_vjp


@dataclass
class CustomVjp:
    """The note of a call with a reverse rule.

    Attributes:
      fwd: flat: arguments -> results and then residuals, of which it also gives what `bwd` needs to know.
      bwd: flat: what it needs to know, residuals and then the results' cotangents -> the arguments' cotangents.
      count: how many operands are arguments; the rest is captured.
      name: the function's name.
    """

    fwd: Callable[..., tuple[list[Any], list[Any], Any]]
    bwd: Callable[..., list[Any]]
    count: int
    name: str

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> Any:
        raise trace.trace_error(
            f"{self.name} has a custom_vjp rule, so that forward-mode derivatives (jvp, linearize, jacfwd) cannot go "
            "through it; give it a custom_jvp rule, which serves both ways"
        )

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> Any:
        if any(needed(x) for x in instruction.operands[self.count :]):
            raise _captured(self.name)
        owner = trace.active()
        arguments = [Tracer(owner, x) for x in instruction.operands[: self.count]]
        results, residuals, info = self.fwd(*arguments)
        outs = _replaced(instruction, results, f"the fwd rule of {self.name}", None)
        given = [_zero(o) if g is None else g for o, g in zip(outs, cotangent)]
        found = self.bwd(info, residuals, given)
        made = [
            _derivative(g, x, f"the cotangent of argument leaf {n} that the bwd rule of {self.name} gives")
            for n, (g, x) in enumerate(zip(found, arguments))
        ]
        return [*made, *[None] * (len(instruction.operands) - self.count)]

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        axis_name = trace.active().session.axis_name
        axes = [None if v.axis is None else 0 for v in values[: self.count]]

        def fwd(*arguments: Any) -> tuple[list[Any], list[Any], Any]:
            kept: list[Any] = []

            def flat(*examples: Any) -> list[Any]:
                results, residuals, info = self.fwd(*examples)
                kept[:] = [len(results), info]
                return [*results, *residuals]

            found = on_axes(flat, axes, size, axis_name)(*arguments)
            n, info = kept
            residuals = found[n:]
            held = [r.value if isinstance(r, Batched) else r for r in residuals]
            where = [r.axis if isinstance(r, Batched) else None for r in residuals]
            return [r.front(size) for r in found[:n]], held, (info, where)

        def bwd(info: Any, residuals: list[Any], cotangents: list[Any]) -> list[Any]:
            from xlac import lax

            inner, where = info
            n = len(residuals)
            present: list[bool] = []

            def flat(*given: Any) -> list[Any]:
                made = self.bwd(inner, list(given[:n]), list(given[n:]))
                present[:] = [m is not None and not is_float0(m) for m in made]
                return [m for m, there in zip(made, present) if there]

            made = on_axes(flat, [*where, *[0] * len(cotangents)], size, axis_name)(*residuals, *cotangents)
            found = iter(made)
            result: list[Any] = []
            for there, axis in zip(present, axes):
                value = next(found) if there else None
                if value is None:
                    result.append(None)
                elif axis is None:
                    # One argument for all examples: their cotangents add up.
                    result.append(lax.reduce_sum(value.front(size), (0,)))
                else:
                    result.append(value.front(size))
            return result

        return batched_call(instruction, values, size, CustomVjp(fwd, bwd, self.count, self.name))


class custom_vjp(_Ruled):
    """See `xlac.custom_vjp`."""

    fwd: Callable[..., Any] | None = None
    bwd: Callable[..., Any] | None = None

    def defvjp(
        self,
        fwd: Callable[..., Any],
        bwd: Callable[..., Any],
        symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:
        """Set the rules.

        `fwd(*args) -> (result, residuals)` takes the function's arguments; `bwd(*settings, residuals, cotangent)`
        gives a tuple with one cotangent, or None, for each of the other arguments.
        """
        self.fwd, self.bwd = fwd, bwd

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = self.arguments.positional(args, kwargs)
        if self.fwd is None or self.bwd is None:
            raise trace.trace_error(f"{self.arguments.name} has no vjp rule yet; set one with defvjp")
        if trace.current() is None:
            return self.fun(*args)
        return _record(self.arguments, args, functools.partial(self._note, len(args)))

    def _note(self, count: int, settings: list[Any], structure: tree.Structure, nesting: tree.Structure) -> CustomVjp:
        arguments, name = self.arguments, self.arguments.name

        def fwd(*leaves: Any) -> tuple[list[Any], list[Any], Any]:
            pair = self.fwd(*arguments.joined(count, settings, tree.unflatten(structure, leaves)))  # type: ignore[misc]
            if not isinstance(pair, (tuple, list)) or len(pair) != 2:
                raise trace.trace_error(f"the fwd rule of {name} must give a pair (result, residuals)")
            results = _matching(pair[0], nesting, f"the result that the fwd rule of {name} gives")
            residuals, shape = tree.flatten(pair[1])
            return results, residuals, shape

        def bwd(info: tree.Structure, residuals: list[Any], cotangents: list[Any]) -> list[Any]:
            given = tree.unflatten(info, residuals), tree.unflatten(nesting, cotangents)
            found = self.bwd(*settings, *given)  # type: ignore[misc]
            children = structure.parts
            if not isinstance(found, (tuple, list)) or len(found) != len(children):
                got = f"{len(found)} entries" if isinstance(found, (tuple, list)) else type(found).__name__
                raise trace.trace_error(
                    f"the bwd rule of {name} gives {got}; it must give a tuple of {len(children)}, one for each "
                    "argument that is no setting"
                )
            leaves: list[Any] = []
            for n, (part, child) in enumerate(zip(found, children)):
                if part is None:
                    leaves += [None] * child.num_leaves
                else:
                    leaves += _cotangent_leaves(
                        part, child, f"the cotangent of argument {n} that the bwd rule of {name} gives"
                    )
            return leaves

        return CustomVjp(fwd, bwd, structure.num_leaves, name)


def _cotangent_leaves(found: Any, want: tree.Structure, what: str) -> list[Any]:
    """Leaves nested as `want`, where None stands for a zero leaf or subtree."""
    leaves, structure = tree.flatten(found, is_leaf=lambda x: x is None)
    if structure == want:
        return leaves
    return _matching(found, want, what)
