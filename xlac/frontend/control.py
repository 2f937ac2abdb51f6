"""Control flow on traced values: while_loop, fori_loop, scan, cond, switch, map, with JAX's signatures.

A body is recorded flat (one parameter for each leaf) and then wrapped into the one-tuple computations that HLO's
`while` and `conditional` call. Traced values that a body reads from outside are passed along as further, unchanged
state. A scan is a `while` that counts; a note on it keeps the flat body, from which its reverse is made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import program_function
from xlac.frontend.trace import Region, elements, emit, emit_instruction, lift, replay
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import PRED, ArrayShape, Shape, TupleShape, element_type
from xlac.lax.operands import convert

_MAX_PROMOTIONS = 4
_NONE_GIVEN = object()


def _lifted(value: Any) -> tuple[list[Tracer], tree.Structure, list[str]]:
    """Leaves as tracers, structure, and how each leaf is reached."""
    found, structure = tree.flatten(value)
    return [lift(x) for x in found], structure, tree.paths(value)


def _convert(x: Tracer, dtype: np.dtype, weak: bool = False) -> Tracer:

    return convert(x, dtype, weak)


def _record_loop(
    name: str,
    function: Callable[..., Any],
    carry: list[Tracer],
    structure: tree.Structure,
    paths: list[str],
    extra: Sequence[Shape],
    rebuild: Callable[[list[Tracer]], Any],
    carried: Callable[[Any], Any],
    what: str,
) -> tuple[Region, list[Tracer]]:
    """Record a body whose carry must keep its types; weakly typed carries take the body's types.

    `carried(structure of the result)` gives the structure of the carry within it, which comes first.

    Raises:
      TraceError: nesting, shape or type of the carry changes; the message names the leaf.
    """
    for _ in range(_MAX_PROMOTIONS):
        specs = [(ArrayShape(element_type(t.dtype), t.shape), t.weak_type) for t in carry]
        region = trace.record_region(name, function, [*specs, *((s, False) for s in extra)], rebuild)
        found = carried(region.structure)
        if found != structure:
            raise trace.trace_error(
                f"{what}: the body gives a carry nested as {found}; it got {structure}, and they must be equal"
            )
        changed = False
        for i, (given, made, weak) in enumerate(zip(carry, region.outputs, region.weak)):
            shape = made.shape
            assert isinstance(shape, ArrayShape)
            kept = given.weak_type or dtypes.promote((shape.dtype, weak), (given.dtype, False))[0] == given.dtype
            if shape.dims != given.shape or (shape.dtype != given.dtype and not (kept and (given.weak_type or weak))):
                at = f"carry{paths[i]}" if paths[i] else "the carry"
                raise trace.trace_error(
                    f"{what}: the body gives {shape} for {at} but got {given._instruction.shape}; shape and type "
                    "must stay the "
                    "same (convert the initial value or the result with astype)"
                )
            if shape.dtype != given.dtype and given.weak_type:
                if weak and dtypes.promote((shape.dtype, True), (given.dtype, True))[0] == given.dtype:
                    continue
                carry[i] = _convert(given, shape.dtype, weak)
                changed = True
            elif given.weak_type and not weak:
                carry[i] = Tracer(given._trace, given._instruction, False)
                changed = True
        if not changed:
            # A result that stands for a Python number takes the carry's type.
            if any(o.shape != s[0] for o, s in zip(region.outputs, specs)):
                with_types = _converting(function, [t.dtype for t in carry])
                region = trace.record_region(name, with_types, [*specs, *((s, False) for s in extra)], rebuild)
            return region, carry
    raise trace.trace_error(f"{what}: the carry's types do not settle; convert the initial values with astype")


def _converting(function: Callable[..., Any], dtypes_: list[np.dtype]) -> Callable[..., Any]:
    """`function` with its first result leaves converted to these types."""

    def call(*arguments: Any) -> Any:
        found, structure = tree.flatten(function(*arguments))
        parts = [lift(x) for x in found]
        head = [_convert(x, d) if x.dtype != d else x for x, d in zip(parts, dtypes_)]
        return tree.unflatten(structure, [*head, *parts[len(dtypes_) :]])

    return call


# ---- while


@program_function
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """Apply `body_fun` to the state while `cond_fun` of it holds.

    Gradients cannot go backward through it, as the number of turns is not known; use scan or fori_loop with fixed
    bounds there.

    Raises:
      TraceError: the body changes nesting, shape or type of the state, or the condition gives no single bool.
    """
    carry, structure, paths = _lifted(init_val)

    def rebuild(leaves: list[Tracer]) -> Any:
        return (tree.unflatten(structure, leaves),)

    body, carry = _record_loop(
        "while_body", body_fun, carry, structure, paths, (), rebuild, lambda found: found, "while_loop"
    )
    specs = [(ArrayShape(element_type(t.dtype), t.shape), t.weak_type) for t in carry]
    test = trace.record_region("while_condition", cond_fun, specs, rebuild)
    if test.carried:
        return _tested_before(cond_fun, body_fun, tree.unflatten(structure, carry))
    if len(test.outputs) != 1 or test.outputs[0].shape != ArrayShape(PRED):
        shapes = ", ".join(str(o.shape) for o in test.outputs)
        raise trace.trace_error(f"while_loop: the condition gives {shapes or 'nothing'}; it must give one bool scalar")
    captured = _union(body, test)
    results = _emit_while(carry, captured, test, body)
    return tree.unflatten(structure, [Tracer(r._trace, r._instruction, t.weak_type) for r, t in zip(results, carry)])


def _tested_before(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """A loop whose condition has effects: it is computed before the loop and at the end of each turn."""

    def turn(state: Any) -> Any:
        value = body_fun(state[0])
        return value, cond_fun(value)

    return while_loop(lambda state: state[1], turn, (init_val, cond_fun(init_val)))[0]


def _union(*regions: Region) -> list[Instruction]:
    """The values of the current trace that the regions read, each once."""
    return list(dict.fromkeys(c for r in regions for c in r.captured))


def _inline(
    region: Region, leaves: Sequence[Tracer], values: dict[Instruction, Tracer]
) -> tuple[list[Tracer], dict[Instruction, Tracer]]:
    """The region's results in the current trace, and what captured instructions that stand for effects have become.

    `values` gives what stands for each captured instruction.
    """
    active = trace.active()
    mapping = {p: active.use(t) for p, t in zip(region.inputs, leaves)}
    mapping |= {inner: active.use(values[outer]) for outer, inner in region.trace.captures.items()}
    made = replay([*region.outputs, *(c.last for c in region.carried)], mapping)
    results = [Tracer(active, i, w) for i, w in zip(made, region.weak)]
    return results, {c.outer: Tracer(active, i) for c, i in zip(region.carried, made[len(results) :])}


def _emit_while(carry: list[Tracer], captured: list[Instruction], test: Region, body: Region) -> list[Tracer]:
    active = trace.active()
    n = len(carry)
    state = [active.use(t) for t in carry] + captured
    shapes = [i.shape for i in state]

    def wrapped(region: Region, keep: bool) -> Computation:
        def build(parts: list[Tracer]) -> Any:
            held = dict(zip(captured, parts[n:]))
            results, changed = _inline(region, parts[:n], held)
            return [*results, *(held | changed).values()] if keep else results[0]

        return trace.tuple_computation(region.trace.computation.name, shapes, build)

    condition, loop = wrapped(test, False), wrapped(body, True)
    made = emit_instruction(op.while_, emit_instruction(op.tuple, *state), condition=condition, body=loop)
    results = elements(made)
    active.carry(body.carried, [results[n + captured.index(c.outer)]._instruction for c in body.carried])
    return results


# ---- scan


@dataclass
class ScanNote:
    """What a counted loop computes.

    Attributes:
      body: outputs by parameters, flat: constants, carry, elements of xs -> carry, elements of ys.
      parameters: the body's parameters, in that order.
      constants, carries, inputs: how many of the parameters are of each kind.
      length: number of turns.
      reverse: the first turn takes the last elements.
    """

    outputs: list[Instruction]
    parameters: list[Instruction]
    constants: int
    carries: int
    inputs: int
    length: int
    reverse: bool

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> Any:
        from xlac.frontend.reverse_loops import scan_vjp

        return scan_vjp(self, instruction, cotangent, needed)

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> Any:
        from xlac.frontend.forward_loops import scan_jvp

        return scan_jvp(self, instruction, tangents, moved)

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        from xlac.frontend.batched_loops import scan_batch

        return scan_batch(self, instruction, list(values), size)

    def run(self, arguments: Sequence[Tracer]) -> list[Tracer]:
        """The body's results in the current trace."""
        active = trace.active()
        mapping = {p: active.use(a) for p, a in zip(self.parameters, arguments)}
        return [Tracer(active, i) for i in replay(self.outputs, mapping)]


def emit_scan(
    note: ScanNote, constants: Sequence[Tracer], carry: Sequence[Tracer], xs: Sequence[Tracer]
) -> list[Tracer]:
    """Record the loop; gives the last carry and then the stacked results."""
    from xlac import lax

    active = trace.active()
    ys = []
    for made in note.outputs[note.carries :]:
        shape = made.shape
        assert isinstance(shape, ArrayShape)
        ys.append(lax.full((note.length, *shape.dims), lift(np.zeros((), shape.dtype))))
    zero = lift(np.int32(0))
    parts = [zero, *constants, *carry, *xs, *ys]
    state = [active.use(t) for t in parts]
    shapes = [i.shape for i in state]
    c, k, m = note.constants, note.carries, note.inputs

    def test(state: list[Tracer]) -> Tracer:
        return lax.lt(state[0], np.int32(note.length))

    def body(state: list[Tracer]) -> list[Tracer]:
        count, rest = state[0], state[1:]
        fixed, carried, inputs, outputs = rest[:c], rest[c : c + k], rest[c + k : c + k + m], rest[c + k + m :]
        at = lax.sub(np.int32(note.length - 1), count) if note.reverse else count

        def starts(x: Tracer) -> list[Tracer]:
            return [at, *[lift(np.int32(0))] * (x.ndim - 1)]

        slices = []
        for x in inputs:
            row = emit(op.dynamic_slice, x, *starts(x), dynamic_slice_sizes=(1, *x.shape[1:]))
            slices.append(lax.reshape(row, x.shape[1:]))
        results = note.run([*fixed, *carried, *slices])
        stacked = []
        for y, result in zip(outputs, results[k:]):
            stacked.append(emit(op.dynamic_update_slice, y, lax.reshape(result, (1, *result.shape)), *starts(y)))
        return [lax.add(count, np.int32(1)), *fixed, *results[:k], *inputs, *stacked]

    condition = trace.tuple_computation("scan_condition", shapes, test)
    loop = trace.tuple_computation("scan_body", shapes, body)
    instruction = emit_instruction(op.while_, emit_instruction(op.tuple, *state), condition=condition, body=loop)
    active.session.notes[instruction] = note  # type: ignore[assignment]
    results = elements(instruction)[1 + c :]
    return results[:k] + results[k + m :]


@program_function
def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
) -> tuple[Any, Any]:
    """Carry a state along the first axis of `xs`: `carry, y = f(carry, x)`; gives the last carry and the stacked ys.

    Args:
      f: the step; its carry must keep nesting, shapes and types.
      init: the first carry.
      xs: arrays of equal first extent, or None with `length`.
      reverse: take xs, and stack ys, from the end.
      unroll: how many steps one turn of the loop takes; True unrolls completely.

    Raises:
      TraceError: the carry changes, or the extents of xs differ.
    """
    from xlac import lax

    inputs, structure_xs, paths_xs = _lifted(xs)
    for x, path in zip(inputs, paths_xs):
        if not x.ndim:
            raise trace.trace_error(
                f"scan: xs{path} is a scalar, {trace.shown(x)}; it needs a first axis to scan along"
            )
        if x.shape[0] != (inputs[0].shape[0] if length is None else length):
            wanted = inputs[0].shape[0] if length is None else length
            raise trace.trace_error(
                f"scan: xs{path}, {trace.shown(x)}, has {x.shape[0]} elements along its first axis; expected {wanted}"
            )
    if not inputs and length is None:
        raise trace.trace_error("scan: give length where xs is None")
    count = inputs[0].shape[0] if inputs else int(length)  # type: ignore[arg-type]
    carry, structure, paths = _lifted(init)
    k = len(carry)
    if not isinstance(unroll, bool) and (not isinstance(unroll, (int, np.integer)) or unroll < 1):
        raise trace.trace_error(f"scan: unroll={unroll!r}; it must be a positive integer or a bool")
    turns = max(count, 1) if unroll is True else min(int(unroll) or 1, max(count, 1))

    def rebuild(leaves: list[Tracer]) -> Any:
        return tree.unflatten(structure, leaves[:k]), tree.unflatten(structure_xs, leaves[k:])

    def carried(found: tree.Structure) -> Any:
        if found.kind is not tuple or len(found.parts) != 2:
            raise trace.trace_error(f"scan: f gives {found}; it must give a pair (carry, y)")
        return found.parts[0]

    slices = [ArrayShape(element_type(x.dtype), x.shape[1:]) for x in inputs]
    body, carry = _record_loop("scan", f, carry, structure, paths, slices, rebuild, carried, "scan")
    active = trace.active()
    changed = {c.outer: c.first for c in body.carried}  # effects are part of the carry
    fixed = {outer: inner for outer, inner in body.trace.captures.items() if outer not in changed}
    note = ScanNote(
        outputs=[*(c.last for c in body.carried), *body.outputs],
        parameters=[*fixed.values(), *changed.values(), *body.inputs],
        constants=len(fixed),
        carries=len(changed) + k,
        inputs=len(inputs),
        length=count,
        reverse=reverse,
    )
    if count == 0:
        ys = [lax.full((0, *o.shape.dims), lift(np.zeros((), o.shape.dtype))) for o in body.outputs[k:]]  # type: ignore[union-attr]
        results = [*carry, *ys]
    else:
        state = [*(Tracer(active, c) for c in changed), *carry]
        constants = [Tracer(active, c) for c in fixed]
        results = (
            emit_scan(note, constants, state, inputs)
            if turns == 1
            else _emit_unrolled(note, constants, state, inputs, turns)
        )
        active.carry(body.carried, [r._instruction for r in results])
        results = results[len(changed) :]
    last = [Tracer(r._trace, r._instruction, t.weak_type) for r, t in zip(results, carry)]
    return tree.unflatten(structure, last), tree.unflatten(body.structure.parts[1], results[k:])


def _several(note: ScanNote, values: Sequence[Tracer], count: int) -> list[Tracer]:
    """As many turns one after the other: the carry, and the stacked ys, from constants, carry and stacked xs."""
    from xlac import lax

    c, k = note.constants, note.carries
    fixed, carry, xs = values[:c], list(values[c : c + k]), values[c + k :]
    rows = []
    for i in reversed(range(count)) if note.reverse else range(count):
        made = note.run([*fixed, *carry, *(lax.index_in_dim(x, i, 0, keepdims=False) for x in xs)])
        carry = made[:k]
        rows.append([lax.expand_dims(y, (0,)) for y in made[k:]])
    if note.reverse:
        rows.reverse()
    return [*carry, *(lax.concatenate(column, 0) for column in zip(*rows))]


def _emit_unrolled(
    note: ScanNote, constants: list[Tracer], carry: list[Tracer], xs: list[Tracer], unroll: int
) -> list[Tracer]:
    """As `emit_scan`, with so many turns of the body in each turn of the loop."""
    from xlac import lax

    c, k, m = note.constants, note.carries, note.inputs
    blocks, rest = divmod(note.length, unroll)
    looped = blocks * unroll
    first, last = (rest, note.length) if note.reverse else (0, looped)
    parts = [lax.slice_in_dim(x, first, last) for x in xs]
    if blocks == 1:
        results = _several(note, [*constants, *carry, *parts], unroll)
    else:
        inner = trace.Trace("scan_block", trace.active())
        with trace.recording(inner):
            inputs = [ArrayShape(p.shape.element_type, (unroll, *p.shape.dims)) for p in note.parameters[c + k :]]  # type: ignore[union-attr]
            parameters = [inner.parameter(s) for s in (*(p.shape for p in note.parameters[: c + k]), *inputs)]
            outputs = [inner.use(t) for t in _several(note, [Tracer(inner, p) for p in parameters], unroll)]
        block = ScanNote(outputs, parameters, c, k, m, blocks, note.reverse)
        rows = [lax.reshape(x, (blocks, unroll, *x.shape[1:])) for x in parts]
        results = emit_scan(block, constants, carry, rows)
        results[k:] = [lax.reshape(y, (looped, *y.shape[2:])) for y in results[k:]]
    if not rest:
        return results
    left = [lax.slice_in_dim(x, 0, rest) if note.reverse else lax.slice_in_dim(x, looped, note.length) for x in xs]
    more = _several(note, [*constants, *results[:k], *left], rest)
    order = (more, results) if note.reverse else (results, more)
    return [*more[:k], *(lax.concatenate([a, b], 0) for a, b in zip(order[0][k:], order[1][k:]))]


@program_function
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, *, unroll: Any = None) -> Any:
    """Apply `body_fun(i, state)` for i from `lower` up to `upper`.

    With Python integers as bounds it is a scan, which gradients can go backward through; with traced bounds, a
    while_loop.
    """
    from xlac import lax

    fixed = not isinstance(lower, Tracer) and not isinstance(upper, Tracer)
    if fixed:
        first, last = int(lower), int(upper)
        dtype = np.dtype(np.int32) if -(2**31) <= min(first, last) and max(first, last) < 2**31 else np.dtype(np.int64)

        def step(state: Any, _: Any) -> Any:
            i, value = state
            return (lax.add(i, np.ones((), dtype)), body_fun(i, value)), None

        start = lift(np.asarray(first, dtype))
        turns = 1 if unroll is None else unroll
        (_, result), _ = scan(step, (start, init_val), None, length=max(last - first, 0), unroll=turns)
        return result
    if unroll is not None:
        raise trace.trace_error("fori_loop: unroll= needs bounds that are known while tracing")
    low, high = lift(lower), lift(upper)
    kind, _ = dtypes.promote((low.dtype, low.weak_type), (high.dtype, high.weak_type))
    low, high = _convert(low, kind), _convert(high, kind)

    def go_on(state: Any) -> Any:
        return lax.lt(state[0], high)

    def turn(state: Any) -> Any:
        return lax.add(state[0], np.ones((), kind)), body_fun(state[0], state[1])

    return while_loop(go_on, turn, (low, init_val))[1]


@program_function
def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """`f` of each element along the first axis, one after the other, stacked; or of `batch_size` elements at a time."""
    if batch_size is None:
        return scan(lambda _, x: (None, f(x)), None, xs)[1]
    from xlac import lax, vmap

    leaves, structure, _ = _lifted(xs)
    many = vmap(f)
    blocks, rest = divmod(leaves[0].shape[0], batch_size)
    parts = []
    if blocks:
        rows = [x[: blocks * batch_size].reshape(blocks, batch_size, *x.shape[1:]) for x in leaves]
        made = map(many, tree.unflatten(structure, rows))
        parts.append(tree.map(lambda y: y.reshape(blocks * batch_size, *y.shape[2:]), made))
    if rest or not blocks:
        parts.append(many(tree.unflatten(structure, [x[blocks * batch_size :] for x in leaves])))
    return parts[0] if len(parts) == 1 else tree.map(lambda a, b: lax.concatenate([a, b], 0), *parts)


# ---- branches


def _operands(what: str, operands: tuple, operand: Any) -> tuple:
    """The operands, of which a single one may be given by name."""
    if operand is _NONE_GIVEN:
        return operands
    if operands:
        raise trace.trace_error(f"{what}: give operands by position, or one as operand=, not both")
    return (operand,)


@program_function
def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = _NONE_GIVEN,
) -> Any:
    """`true_fun(*operands)` if `pred` holds, else `false_fun(*operands)`; only one of them runs.

    The older form `cond(pred, true_operand, true_fun, false_operand, false_fun)` is taken, too.

    Raises:
      TraceError: the results differ in nesting, shape or type, or `pred` is no scalar.
    """
    if len(operands) == 2 and callable(false_fun) and callable(operands[1]) and not callable(true_fun):
        (first, when_true), (second, when_false) = (true_fun, false_fun), operands
        true_fun, false_fun = lambda a, _: when_true(a), lambda _, b: when_false(b)
        operands = (first, second)
    if not callable(true_fun) or not callable(false_fun):
        raise trace.trace_error("cond takes (pred, true_fun, false_fun, *operands)")
    operands = _operands("cond", operands, operand)
    chosen = lift(pred)
    if chosen.shape:
        raise trace.trace_error(
            f"cond: pred is of shape {trace.shown(chosen)}; it must be a scalar (numpy.where chooses by element)"
        )
    if chosen.dtype != np.bool_:
        from xlac import lax

        chosen = lax.ne(chosen, 0)
    return _branches("cond", chosen, [true_fun, false_fun], operands, ["true_fun", "false_fun"])


@program_function
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = _NONE_GIVEN) -> Any:
    """`branches[index](*operands)`; an index out of range takes the nearest branch.

    Raises:
      TraceError: the results differ in nesting, shape or type, or `index` is no integer scalar.
    """
    from xlac import lax

    branches = list(branches)
    operands = _operands("switch", operands, operand)
    chosen = lift(index)
    if chosen.shape or not dtypes.is_integer(chosen.dtype):
        raise trace.trace_error(f"switch: index is {chosen._instruction.shape}; it must be an integer scalar")
    if not branches:
        raise trace.trace_error("switch: there are no branches")
    if len(branches) == 1:
        return branches[0](*operands)
    chosen = _convert(chosen, dtypes.INT32) if chosen.dtype.itemsize <= 4 else chosen
    chosen = _convert(lax.clamp(0, chosen, len(branches) - 1), dtypes.INT32)
    return _branches("switch", chosen, branches, operands, [f"branches[{i}]" for i in range(len(branches))])


def _branches(
    what: str, index: Tracer, functions: list[Callable[..., Any]], operands: Sequence[Any], names: list[str]
) -> Any:
    leaves, structure, _ = _lifted(tuple(operands))
    specs = [(ArrayShape(element_type(t.dtype), t.shape), t.weak_type) for t in leaves]

    def rebuild(parts: list[Tracer]) -> Any:
        return tree.unflatten(structure, parts)

    regions = [trace.record_region(what, f, specs, rebuild) for f in functions]
    first = regions[0]
    for region, name in zip(regions, names):
        if region.structure != first.structure:
            raise trace.trace_error(
                f"{what}: {name} gives results nested as {region.structure} but {names[0]} gives {first.structure}; "
                "they must be equal"
            )
    types = []
    for i, column in enumerate(zip(*(r.outputs for r in regions))):
        shapes: list[Any] = [o.shape for o in column]
        weak = [r.weak[i] for r in regions]
        strong = {s.dtype for s, w in zip(shapes, weak) if not w}
        if len({s.dims for s in shapes}) > 1 or len(strong) > 1:
            at = f"result{first.paths[i]}" if first.paths[i] else "the result"
            listed = ", ".join(f"{s} from {n}" for s, n in zip(shapes, names))
            raise trace.trace_error(f"{what}: {at} is {listed}; shape and type must be equal (convert with astype)")
        types.append(dtypes.promote(*((s.dtype, w) for s, w in zip(shapes, weak))))
    captured = _union(*regions)
    carried = {c.outer: c for r in regions for c in r.carried}
    active = trace.active()
    state = emit_instruction(op.tuple, *[active.use(t) for t in leaves], *captured)
    assert isinstance(state.shape, TupleShape)
    n = len(leaves)

    def wrapped(region: Region, name: str) -> Computation:
        def build(parts: list[Tracer]) -> list[Tracer]:
            held = dict(zip(captured, parts[n:]))
            results, changed = _inline(region, parts[:n], held)
            held |= changed
            return [*(_convert(r, d, w) for r, (d, w) in zip(results, types)), *(held[c] for c in carried)]

        return trace.tuple_computation(name, list(state.shape), build)  # type: ignore[arg-type]

    computations = tuple(wrapped(r, f"{what}_{i}") for i, r in enumerate(regions))
    instruction = emit_instruction(
        op.conditional, active.use(index), *[state] * len(computations), branch_computations=computations
    )
    made = elements(instruction)
    active.carry(carried.values(), [t._instruction for t in made[len(types) :]])
    results = [Tracer(t._trace, t._instruction, weak) for t, (_, weak) in zip(made, types)]
    return tree.unflatten(first.structure, results)


# ---- scans of associative functions


@program_function
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """Running combination of elements along an axis by an associative function of whole arrays, in 2 log2(n) steps."""
    import xlac.numpy as xnp
    from xlac import lax

    found, structure = tree.flatten(elems)
    xs = [lift(x) for x in found]
    if reverse:
        xs = [xnp.flip(x, axis) for x in xs]

    def combine(a: list[Tracer], b: list[Tracer]) -> list[Tracer]:
        return [lift(r) for r in tree.leaves(fn(tree.unflatten(structure, a), tree.unflatten(structure, b)))]

    def run(parts: list[Tracer]) -> list[Tracer]:
        n = parts[0].shape[axis]
        if n < 2:
            return parts
        even = [lax.slice_in_dim(p, 0, n - 1, 2, axis) for p in parts]
        odd = [lax.slice_in_dim(p, 1, n, 2, axis) for p in parts]
        pairs = run(combine(even, odd))
        before = pairs if n % 2 else [lax.slice_in_dim(p, 0, n // 2 - 1, 1, axis) for p in pairs]
        after = combine(before, [lax.slice_in_dim(p, 2, n, 2, axis) for p in parts]) if n > 2 else []
        firsts = [lax.slice_in_dim(p, 0, 1, 1, axis) for p in parts]
        evens = [lax.concatenate([f, a], axis) for f, a in zip(firsts, after)] if after else firsts
        return [_interleave(e, o, axis, n) for e, o in zip(evens, pairs)]

    axis %= xs[0].ndim
    results = run(xs)
    if reverse:
        results = [xnp.flip(x, axis) for x in results]
    return tree.unflatten(structure, results)


def _interleave(even: Tracer, odd: Tracer, axis: int, n: int) -> Tracer:
    """e0 o0 e1 o1 ..., n elements along the axis."""
    from xlac import lax

    def spread(x: Tracer, low: int) -> Tracer:
        config = [(0, 0, 0)] * x.ndim
        length = 2 * x.shape[axis] - 1 + low
        config[axis] = (low, n - length, 1)
        return lax.pad(x, np.zeros((), x.dtype), config)

    if even.dtype == np.bool_:
        return lax.bitwise_or(spread(even, 0), spread(odd, 1))
    return lax.add(spread(even, 0), spread(odd, 1))
