"""`vmap`: a function of one example becomes a function of many.

The function is traced once, on examples; what was recorded is then recorded again with a further dimension wherever a
value depends on a mapped argument, each instruction by its rule in `batching_rules.py`. What does not depend on one is
recorded as it is, once for all examples.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import trace
from xlac.frontend.autodiff import missing_rule
from xlac.frontend.forward import FLOAT0, is_float0, leaf_shape, name_of, run_eagerly
from xlac.frontend.trace import emit, emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction, operands_first
from xlac.ir.opcode import op
from xlac.ir.shape import TOKEN, ArrayShape, TupleShape
from xlac.lax.operands import expand


class Batched:
    """A value for each example: an array and which of its dimensions counts the examples (None: one for all)."""

    __slots__ = ("axis", "value")

    def __init__(self, value: Tracer, axis: int | None) -> None:
        self.value = value
        self.axis = axis

    @property
    def ndim(self) -> int:
        """Dimensions of one example."""
        return self.value.ndim - (self.axis is not None)

    @property
    def dims(self) -> tuple[int, ...]:
        """Shape of one example."""
        return tuple(n for d, n in enumerate(self.value.shape) if d != self.axis)

    def at(self, axis: int, size: int) -> Tracer:
        """The array with the examples along `axis`; one for all is repeated."""
        from xlac import lax

        x = self.value
        if self.axis is None:
            shape = (*x.shape[:axis], size, *x.shape[axis:])
            return expand(x, shape, [d for d in range(len(shape)) if d != axis])
        if self.axis == axis:
            return x
        order = [d for d in range(x.ndim) if d != self.axis]
        order.insert(axis, self.axis)
        return lax.transpose(x, order)

    def front(self, size: int) -> Tracer:
        """The array with the examples along dimension 0."""
        return self.at(0, size)


# A Batched, or for a tuple a list of them.
Value = Any


def is_batched(value: Value) -> bool:
    """Whether a value, or an element of it, differs between examples."""
    return any(map(is_batched, value)) if isinstance(value, list) else value.axis is not None


def values_of(instruction: Instruction) -> Value:
    """An instruction's result as the same for all examples."""
    if isinstance(instruction.shape, TupleShape):
        parts = instruction.operands if instruction.opcode.name == "tuple" else None
        found = parts or [t._instruction for t in trace.elements(instruction)]
        return [values_of(x) for x in found]
    return Batched(Tracer(trace.active(), instruction), None)


def instruction_of(value: Value) -> Instruction:
    """The instruction of a value: the array's, or a tuple of the elements'."""
    if isinstance(value, list):
        return emit_instruction(op.tuple, *[instruction_of(v) for v in value])
    return trace.active().use(value.value)


def batch(outputs: Sequence[Instruction], known: dict[Instruction, Value], size: int) -> list[Value]:
    """Record what the outputs need, in the current trace; `known` gives the values of instructions where it starts.

    Raises:
      TraceError: an instruction has no batching rule.
    """
    session = trace.active().session
    wanted = [session.resolve(o) for o in outputs]
    origin, watch = session.origin, session.watch
    session.watch = None  # what is batched has been seen
    try:
        for top in operands_first(wanted, known, session.operands):
            session.origin = origin or top.metadata
            known[top] = batch_one(top, [known[x] for x in session.operands(top)], size)
    finally:
        session.origin, session.watch = origin, watch
    return [known[o] for o in wanted]


def batch_one(instruction: Instruction, values: list[Value], size: int) -> Value:
    """One instruction on values that may be batched."""
    name = instruction.opcode.name
    if name == "tuple":
        return list(values)
    if name == "get-tuple-element":
        return values[0][instruction["index"]]
    notes = trace.active().session.notes
    note = notes.get(instruction)
    if not any(map(is_batched, values)):
        if name == "parameter":
            raise AssertionError(f"parameter {instruction.name} has no value")
        copy = instruction.clone([instruction_of(v) for v in values])
        copy.name = name
        made = trace.active().add(copy)
        if note is not None:
            notes[made] = note
        return values_of(made)
    if note is not None:
        return note.batch(instruction, values, size)
    return apply_rule(instruction, values, size)


def apply_rule(instruction: Instruction, values: Sequence[Value], size: int) -> Value:
    """The opcode's batching rule."""
    from xlac.frontend.batching_rules import RULES

    rule = RULES.get(instruction.opcode.name)
    if rule is None:
        raise missing_rule(instruction, "batching rule, which vmap needs")
    return rule(instruction, list(values), size)


def batch_leaves(
    function: Callable[..., Sequence[Any]], name: str, arguments: Sequence[Batched], size: int, axis_name: Any = None
) -> list[Any]:
    """`function` of one example's arrays, on batched ones: Batched results, or what is no array as it is.

    Within it, `axis_name` names the examples for the functions of `xlac.lax.parallel`.
    """
    from xlac import lax

    active = trace.active()
    session = active.session
    places = None if axis_name is None else lax.iota(np.int32, size)
    inner = trace.Trace(name, active)
    inner.carries = True
    with trace.recording(inner):
        parameters, given = [], []
        if places is not None:
            parameter = inner.parameter(places._instruction.shape.without(0))  # type: ignore[union-attr]
            parameters.append((parameter, Batched(places, 0)))
            inner.axis = axis_name, size, Tracer(inner, parameter)
        for argument in arguments:
            x = argument.value
            if argument.axis is None:
                given.append(x)
                continue
            parameter = inner.parameter(ArrayShape(x._instruction.shape.element_type, argument.dims))  # type: ignore[union-attr]
            parameters.append((parameter, argument))
            given.append(Tracer(inner, parameter, x.weak_type))
        results = list(function(*given))
        outputs = [None if is_float0(r) else lift(r) for r in results]
        ends = [None if o is None else inner.use(o) for o in outputs]
        carried = inner.carried()
    known: dict[Instruction, Value] = dict(parameters)
    for outer, parameter in inner.captures.items():
        known[parameter] = values_of(outer)
    outer_name, session.axis_name = session.axis_name, axis_name
    try:
        values = batch([*(c.last for c in carried), *(e for e in ends if e is not None)], known, size)
    finally:
        session.axis_name = outer_name
    merged = {c.effect: v for c, v in zip(carried, values)}
    active.carry(carried, [c.effect.merge(merged, size) for c in carried])
    found = iter(values[len(carried) :])
    made: list[Any] = []
    for result, output in zip(results, outputs):
        if output is None:
            made.append(result)
            continue
        value = next(found)
        x = value.value
        made.append(Batched(Tracer(x._trace, x._instruction, output.weak_type), value.axis))
    return made


# ---- vmap


def axes_of(axes: Any, value: Any, what: str, of: str) -> list[int | None]:
    """One axis for each leaf of `value`, from axes nested as a prefix of it.

    Raises:
      TraceError: the axes are nested differently, or hold anything but integers and None.
    """
    found: list[int | None] = []

    def visit(axis: Any, node: Any, path: str) -> None:
        if axis is None or (isinstance(axis, (int, np.integer)) and not isinstance(axis, bool)):
            found.extend([None if axis is None else int(axis)] * len(tree.leaves(node)))
            return
        parts = None if node is None else tree._children(node)
        given = tree._children(axis)
        if given is None:
            raise trace.trace_error(f"vmap: {what}{path} is {axis!r}; it must be an integer or None")
        if parts is None or type(axis) is not type(node) or given[0] != parts[0] or len(given[1]) != len(parts[1]):
            raise trace.trace_error(
                f"vmap: {what}{path} is {axis!r}, which does not fit {of} nested as {tree.structure(node)}; "
                f"{what} must be a prefix of it"
            )
        for a, child, key in zip(given[1], parts[1], tree._keys(node, parts[0], len(parts[1]))):
            visit(a, child, f"{path}{key}")

    visit(axes, value, "")
    return found


def _checked_axis(axis: int | None, rank: int, what: str) -> int | None:
    if axis is None:
        return None
    if not -rank <= axis < rank:
        right = f"it must be from {-rank} to {rank - 1}, or None" if rank else "a scalar has none, give None"
        raise trace.trace_error(f"vmap: axis {axis} of {what} is out of range; {right}")
    return axis % rank


def _size(leaves: Sequence[Any], axes: Sequence[int | None], paths: Sequence[str], given: int | None) -> int:
    """The number of examples.

    Raises:
      TraceError: the mapped dimensions have different extents, or nothing is mapped and axis_size is not given.
    """
    found = [(p, x, a, leaf_shape(x)[a]) for x, a, p in zip(leaves, axes, paths) if a is not None]
    sizes = {n for *_, n in found} | ({given} if given is not None else set())
    if not sizes:
        raise trace.trace_error(
            "vmap: no argument is mapped; at least one in_axes must be an integer, or give axis_size"
        )
    if len(sizes) > 1:
        listed = ", ".join(f"{n} along axis {a} of argument {p}, {trace.shown(x)}" for p, x, a, n in found)
        wanted = f"; axis_size={given}" if given is not None else ""
        raise trace.trace_error(f"vmap: the mapped dimensions must have equal extents, but there are {listed}{wanted}")
    return sizes.pop()


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> Callable[..., Any]:
    """See `xlac.vmap`."""
    name = name_of(fun)
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if not (in_axes is None or isinstance(in_axes, (int, np.integer, tuple))):
        raise TypeError(
            f"vmap: in_axes is {in_axes!r}; it must be an integer, None or a tuple with one entry for each argument"
        )

    def plan(args: tuple, kwargs: dict[str, Any]) -> tuple[list[Any], tree.Structure, list[int | None], int]:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise trace.trace_error(
                f"vmap: in_axes has {len(in_axes)} entries but {name} was called with {len(args)} positional arguments"
            )
        leaves, structure = tree.flatten((args, kwargs))
        paths = tree.paths((args, kwargs))
        axes = axes_of(in_axes, args, "in_axes", "arguments") + [0] * len(tree.leaves(kwargs))
        checked = [
            _checked_axis(a, len(leaf_shape(x)), f"argument {p[3:]} of {name}, {trace.shown(x)},")
            for a, x, p in zip(axes, leaves, paths)
        ]
        return leaves, structure, checked, _size(leaves, checked, [p[3:] for p in paths], axis_size)

    def traced(leaves: list[Any], structure: tree.Structure, axes: list[int | None], size: int) -> Any:
        mapped = [Batched(lift(x), a) for x, a in zip(leaves, axes) if a is not None]
        shape: list[tree.Structure] = []

        def flat(*examples: Tracer) -> list[Any]:
            values = iter(examples)
            # Shared arrays are traced too: unlike NumPy's, they can be indexed by what differs between examples.
            given = [_traced_array(x) if a is None else next(values) for x, a in zip(leaves, axes)]
            args, kwargs = tree.unflatten(structure, given)
            found, nesting = tree.flatten(fun(*args, **kwargs))
            shape.append(nesting)
            return found

        made = batch_leaves(flat, name, mapped, size, axis_name)
        nested = tree.unflatten(shape[0], made)
        wanted = axes_of(out_axes, nested, "out_axes", "results")
        return tree.unflatten(shape[0], [_placed(m, a, size, name) for m, a in zip(made, wanted)])

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, structure, axes, size = plan(args, kwargs)
        if trace.current() is not None:
            return traced(leaves, structure, axes, size)

        def run(*moving: Any) -> Any:
            values = iter(moving)
            return traced([x if a is None else next(values) for x, a in zip(leaves, axes)], structure, axes, size)

        return run_eagerly(run, f"vmap_{name}", tuple(x for x, a in zip(leaves, axes) if a is not None))

    return call


def _traced_array(x: Any) -> Any:
    return lift(x) if isinstance(x, np.ndarray) and not is_float0(x) else x


def _placed(value: Any, axis: int | None, size: int, name: str) -> Any:
    """A result with the examples where out_axes says.

    Raises:
      TraceError: out_axes is None for a result that differs between examples, or out of range.
    """
    if is_float0(value):
        return np.zeros(value.shape if axis is None else (size, *value.shape), FLOAT0)
    if axis is None:
        if value.axis is not None:
            raise trace.trace_error(
                f"vmap: out_axes is None for a result of {name} of shape {list(value.dims)} that differs between "
                "examples; give an integer"
            )
        return value.value
    place = _checked_axis(axis, value.ndim + 1, f"a result of {name}, {list(value.dims)} for one example,")
    assert place is not None
    made = value.at(place, size)
    return Tracer(made._trace, made._instruction, value.value.weak_type)


def each(values: Iterable[Batched], size: int) -> list[Tracer]:
    """The arrays with the examples along dimension 0."""
    return [v.front(size) for v in values]


# ---- effects of two parts of a program that do not know of each other


def effect_starts(effects: Sequence[trace.Carried]) -> list[Tracer]:
    """Values for effects to begin anew with, in what takes the place of something recorded long before."""
    return [Tracer(trace.active(), e.effect.initial()) for e in effects]


def join_effects(effects: Sequence[trace.Carried], made: Sequence[Tracer]) -> None:
    """Let what effects that began anew have become count as well, as if there were two examples."""
    from xlac import lax

    active = trace.active()
    both: dict[trace.Effect, Batched] = {}
    for e, new in zip(effects, made):
        now = Tracer(active, active.effect(e.effect))
        if now._instruction.shape == TOKEN:
            both[e.effect] = Batched(emit(op.after_all, now, new), None)
        else:
            both[e.effect] = Batched(lax.concatenate([lax.expand_dims(x, (0,)) for x in (now, new)], 0), 0)
    for effect in both:
        active.effects[effect] = effect.merge(both, 2)
