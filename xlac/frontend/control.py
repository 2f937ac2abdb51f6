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

_MAX_PROMOTIONS = 4


def _lifted(value: Any) -> tuple[list[Tracer], tree.Structure, list[str]]:
    """Leaves as tracers, structure, and how each leaf is reached."""
    found, structure = tree.flatten(value)
    return [lift(x) for x in found], structure, tree.paths(value)


def _convert(x: Tracer, dtype: np.dtype, weak: bool = False) -> Tracer:
    from xlac import lax

    return lax._convert(x, dtype, weak)


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
    if len(test.outputs) != 1 or test.outputs[0].shape != ArrayShape(PRED):
        shapes = ", ".join(str(o.shape) for o in test.outputs)
        raise trace.trace_error(f"while_loop: the condition gives {shapes or 'nothing'}; it must give one bool scalar")
    captured = _union(body, test)
    instruction = _emit_while(carry, captured, test, body)
    results = elements(instruction)[: len(carry)]
    return tree.unflatten(structure, [Tracer(r._trace, r._instruction, t.weak_type) for r, t in zip(results, carry)])


def _union(*regions: Region) -> list[Instruction]:
    """The values of the current trace that the regions read, each once."""
    return list(dict.fromkeys(c for r in regions for c in r.captured))


def _inline(region: Region, leaves: Sequence[Tracer], values: dict[Instruction, Tracer]) -> list[Tracer]:
    """The region's results in the current trace; `values` gives what stands for each captured instruction."""
    active = trace.active()
    mapping = {p: active.use(t) for p, t in zip(region.inputs, leaves)}
    mapping |= {inner: active.use(values[outer]) for outer, inner in region.trace.captures.items()}
    return [Tracer(active, i, w) for i, w in zip(replay(region.outputs, mapping), region.weak)]


def _emit_while(carry: list[Tracer], captured: list[Instruction], test: Region, body: Region) -> Instruction:
    active = trace.active()
    n = len(carry)
    state = [active.use(t) for t in carry] + captured
    shapes = [i.shape for i in state]

    def wrapped(region: Region, keep: bool) -> Computation:
        def build(parts: list[Tracer]) -> Any:
            results = _inline(region, parts[:n], dict(zip(captured, parts[n:])))
            return [*results, *parts[n:]] if keep else results[0]

        return trace.tuple_computation(region.trace.computation.name, shapes, build)

    condition, loop = wrapped(test, False), wrapped(body, True)
    return emit_instruction(op.while_, emit_instruction(op.tuple, *state), condition=condition, body=loop)


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
) -> tuple[Any, Any]:
    """Carry a state along the first axis of `xs`: `carry, y = f(carry, x)`; gives the last carry and the stacked ys.

    Args:
      f: the step; its carry must keep nesting, shapes and types.
      init: the first carry.
      xs: arrays of equal first extent, or None with `length`.
      reverse: take xs, and stack ys, from the end.
      unroll: accepted as in JAX; True unrolls completely.

    Raises:
      TraceError: the carry changes, or the extents of xs differ.
    """
    from xlac import lax

    inputs, structure_xs, paths_xs = _lifted(xs)
    for x, path in zip(inputs, paths_xs):
        if not x.ndim:
            raise trace.trace_error(f"scan: xs{path} is a scalar; it needs a first axis to scan along")
        if x.shape[0] != (inputs[0].shape[0] if length is None else length):
            wanted = inputs[0].shape[0] if length is None else length
            raise trace.trace_error(f"scan: xs{path} has {x.shape[0]} elements along its first axis; expected {wanted}")
    if not inputs and length is None:
        raise trace.trace_error("scan: give length where xs is None")
    count = inputs[0].shape[0] if inputs else int(length)  # type: ignore[arg-type]
    carry, structure, paths = _lifted(init)
    k = len(carry)
    if unroll is True:
        return _unrolled(f, init, inputs, structure_xs, count, reverse)

    def rebuild(leaves: list[Tracer]) -> Any:
        return tree.unflatten(structure, leaves[:k]), tree.unflatten(structure_xs, leaves[k:])

    def carried(found: tree.Structure) -> Any:
        if found.kind is not tuple or len(found.children) != 2:
            raise trace.trace_error(f"scan: f gives {found}; it must give a pair (carry, y)")
        return found.children[0]

    slices = [ArrayShape(element_type(x.dtype), x.shape[1:]) for x in inputs]
    body, carry = _record_loop("scan", f, carry, structure, paths, slices, rebuild, carried, "scan")
    captured = [Tracer(trace.active(), c) for c in body.captured]
    note = ScanNote(
        outputs=body.outputs,
        parameters=[*body.trace.captures.values(), *body.inputs],
        constants=len(captured),
        carries=k,
        inputs=len(inputs),
        length=count,
        reverse=reverse,
    )
    if count == 0:
        ys = [lax.full((0, *o.shape.dims), lift(np.zeros((), o.shape.dtype))) for o in body.outputs[k:]]  # type: ignore[union-attr]
        results = [*carry, *ys]
    else:
        results = emit_scan(note, captured, carry, inputs)
    last = [Tracer(r._trace, r._instruction, t.weak_type) for r, t in zip(results, carry)]
    return tree.unflatten(structure, last), tree.unflatten(body.structure.children[1], results[k:])


def _unrolled(
    f: Callable[..., Any], carry: Any, xs: list[Tracer], structure: tree.Structure, count: int, reverse: bool
) -> tuple[Any, Any]:
    ys = []
    for i in reversed(range(count)) if reverse else range(count):
        carry, y = f(carry, tree.unflatten(structure, [x[i] for x in xs]))
        ys.append(y)
    if reverse:
        ys.reverse()
    if not ys:
        raise trace.trace_error("scan: unroll=True needs at least one turn")
    import xlac.numpy as xnp

    return carry, tree.map(lambda *parts: xnp.stack(parts), ys[0], *ys[1:])


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
        (_, result), _ = scan(step, (start, init_val), None, length=max(last - first, 0))
        return result
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
    """`f` of each element along the first axis, one after the other, stacked."""
    return scan(lambda _, x: (None, f(x)), None, xs)[1]


# ---- branches


@program_function
def cond(pred: Any, true_fun: Callable[..., Any], false_fun: Callable[..., Any], *operands: Any) -> Any:
    """`true_fun(*operands)` if `pred` holds, else `false_fun(*operands)`; only one of them runs.

    Raises:
      TraceError: the results differ in nesting, shape or type, or `pred` is no scalar.
    """
    if not callable(true_fun) or not callable(false_fun):
        raise trace.trace_error("cond takes (pred, true_fun, false_fun, *operands)")
    chosen = lift(pred)
    if chosen.shape:
        raise trace.trace_error(
            f"cond: pred is of shape {list(chosen.shape)}; it must be a scalar (numpy.where chooses by element)"
        )
    if chosen.dtype != np.bool_:
        from xlac import lax

        chosen = lax.ne(chosen, 0)
    return _branches("cond", chosen, [true_fun, false_fun], operands, ["true_fun", "false_fun"])


@program_function
def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """`branches[index](*operands)`; an index out of range takes the nearest branch.

    Raises:
      TraceError: the results differ in nesting, shape or type, or `index` is no integer scalar.
    """
    from xlac import lax

    branches = list(branches)
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
    active = trace.active()
    state = emit_instruction(op.tuple, *[active.use(t) for t in leaves], *captured)
    assert isinstance(state.shape, TupleShape)
    n = len(leaves)

    def wrapped(region: Region, name: str) -> Computation:
        def build(parts: list[Tracer]) -> list[Tracer]:
            results = _inline(region, parts[:n], dict(zip(captured, parts[n:])))
            return [_convert(r, dtype, weak) for r, (dtype, weak) in zip(results, types)]

        return trace.tuple_computation(name, list(state.shape), build)  # type: ignore[arg-type]

    computations = tuple(wrapped(r, f"{what}_{i}") for i, r in enumerate(regions))
    instruction = emit_instruction(
        op.conditional, active.use(index), *[state] * len(computations), branch_computations=computations
    )
    results = [Tracer(t._trace, t._instruction, weak) for t, (_, weak) in zip(elements(instruction), types)]
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
