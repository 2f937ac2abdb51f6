"""Traces: the record of the operations a Python function performs on arrays.

While a function is traced its arrays are `Tracer`s (see `tracer.py`), each standing for an instruction of the
computation being recorded. A loop body, a branch or a reducer is recorded in a trace of its own whose parent is the
trace around it; a value of the parent that it reads becomes a captured parameter. All traces of one program share a
`Session`.

What changes in the course of a program without being an argument or a result - the token that keeps effects in order,
the error of checks - is an `Effect`. A trace knows the value at hand of each; an inner trace captures it, and whoever
records a loop, a branch or a call carries it through. So effects are data flow like everything else, and what neither
the results nor the last value of an effect needs is dead.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError, TraceError
from xlac.frontend import dtypes
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Computation, Instruction, operands_first
from xlac.ir.opcode import OPCODES, Opcode, op
from xlac.ir.shape import ArrayShape, Shape, TupleShape, element_type, in_numpy_words, leaves

if TYPE_CHECKING:
    from xlac.frontend.tracer import Tracer

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_SCIPY = os.path.join(os.path.dirname(_NUMPY[:-1]), "scipy") + os.sep
_LIBRARY_FILES = (functools.__file__, contextlib.__file__)
_internal_files: dict[str, bool] = {}

# Constants of at most this many elements are repeated inside loop bodies and branches instead of being passed in.
SMALL_CONSTANT = 1


# ---- where the user's code is


def _is_internal(filename: str) -> bool:
    known = _internal_files.get(filename)
    if known is None:
        folders = (_PACKAGE, _NUMPY, _SCIPY)
        known = filename.startswith(folders) or os.path.abspath(filename).startswith(folders)
        known = known or filename.startswith("<frozen") or filename in _LIBRARY_FILES
        _internal_files[filename] = known
    return known


def name_of(function: Callable[..., Any]) -> str:
    """A function's name; that of a partial is its function's, that of an object its class's."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)


def place_of(function: Callable[..., Any]) -> tuple[str, int] | None:
    """File and line where a Python function begins; None for others."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else None


def user_place() -> tuple[str, int]:
    """File and line of the innermost frame outside this package, NumPy and SciPy."""
    frame = sys._getframe(1)
    last = frame
    while frame is not None:
        if not _is_internal(frame.f_code.co_filename):
            return frame.f_code.co_filename, frame.f_lineno
        last, frame = frame, frame.f_back  # type: ignore[assignment]
    return last.f_code.co_filename, last.f_lineno


def located(message: str, place: tuple[str, int] | None = None) -> str:
    """`message` with the user's file, line and line text, its shapes in NumPy's words."""
    filename, line = place or user_place()
    text = linecache.getline(filename, line).strip()
    return f"{filename}:{line}: {in_numpy_words(message)}" + (f"\n    {text}" if text else "")


def shown(x: Any) -> str:
    """Type and shape of an array or number, for messages: float32[3,4]."""
    if isinstance(x, (bool, int, float, complex)):
        return str(ArrayShape(element_type(dtypes.type_of(x)[0])))
    try:
        return in_numpy_words(str(ArrayShape(element_type(x.dtype), tuple(x.shape))))
    except ShapeError:
        return f"{x.dtype}{list(x.shape)}"


def trace_error(message: str, place: tuple[str, int] | None = None) -> TraceError:
    """A TraceError that shows the user's line."""
    return TraceError(located(message, place))


def shape_error(message: str) -> ShapeError:
    """A ShapeError that shows the user's line."""
    return ShapeError(located(message))


# ---- traces


@dataclass
class Note:
    """What the front end knows of an instruction beyond its opcode; this one is of an elementwise instruction.

    Notes of other kinds have the same three methods. A tangent or cotangent of a tuple is a list, with None for zero.

    Attributes:
      vjp: reverse rule used in place of the opcode's: `vjp(instruction, cotangent, needed) -> cotangents of the
        operands`, where `needed(operand)` tells whether one is asked for. Part k is the cotangent times the derivative
        by operand k, element by element, so that the forward rule follows from it.
    """

    vjp: Callable[[Instruction, Any, Callable[[Instruction], bool]], Sequence[Any]]

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> Any:
        """The result's tangent; see `forward.forward`."""
        from xlac.frontend.forward import diagonal

        return diagonal(self.vjp, instruction, tangents)

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> Any:
        """The result for batched operands; see `batching.batch`."""
        from xlac.frontend.batching import apply_rule

        result = apply_rule(instruction, values, size)
        made = result.value._instruction
        if made.opcode is instruction.opcode:
            active().session.notes[made] = self
        return result


NO_DERIVATIVE = Note(lambda instruction, cotangent, needed: [None])
"""Of an instruction through which no derivative goes."""


@dataclass
class Session:
    """What all traces of one program share.

    Attributes:
      name: the function's name; the module is called jit_<name>.
      notes: notes by instruction.
      replaced: instructions whose place another one has taken.
      order: a number for each instruction that grows with the time it was made.
      origin: metadata for the instructions made now, in place of the user's line; used by derived code.
      reducers: computations of reducers that are one opcode, by opcode and type.
      call_effects: for computations that calls with notes are made of, the effects that go through them, each with
        the numbers of the result and of the operand that are its value.
      lifted: where constants become parameters of the entry, their values; None where they stay constants.
      place: the function's file and line, where they are known.
      argument_names: how the user reaches each leaf of the arguments, where that is known.
      checks: those of the checkified functions that are being traced, inner ones last.
      axis_name: the name of the axis over which what was recorded is being mapped, for rules that are traced meanwhile.
      watch: called with each instruction that a function records, but not with copies of recorded ones.
    """

    name: str
    place: tuple[str, int] | None = None
    argument_names: Sequence[str] = ()
    checks: list[Any] = field(default_factory=list)
    axis_name: Any = None
    watch: Callable[[Instruction], None] | None = None
    notes: dict[Instruction, Note] = field(default_factory=dict)
    replaced: dict[Instruction, Instruction] = field(default_factory=dict)
    order: dict[Instruction, int] = field(default_factory=dict)
    origin: dict[str, Any] | None = None
    reducers: dict[tuple[str, str], Computation] = field(default_factory=dict)
    call_effects: dict[Computation, list[tuple[Effect, int, int]]] = field(default_factory=dict)
    lifted: list[np.ndarray] | None = None
    _names: dict[str, int] = field(default_factory=dict)

    def unique(self, name: str) -> str:
        """A computation name that this program has not used."""
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return f"{name}.{count}" if count else name

    def resolve(self, instruction: Instruction) -> Instruction:
        """The instruction that stands in the place of this one now."""
        while instruction in self.replaced:
            instruction = self.replaced[instruction]
        return instruction

    def operands(self, instruction: Instruction) -> list[Instruction]:
        """What stands in the places of an instruction's operands now."""
        return [self.resolve(x) for x in instruction.operands]

    def redirect(self, old: Instruction, new: Instruction) -> None:
        """Let every reader of `old`, now and later, read `new` of the same computation."""
        for user in list(old.users):
            if user is not new:
                user.operands = tuple(new if x is old else x for x in user.operands)
                new.users[user] = None
                old.users.pop(user, None)
        self.replaced[old] = new


class Effect:
    """What is carried through a program beside its values.

    Attributes:
      owner: the trace in which it begins; None for that of the whole program.
    """

    owner: Trace | None = None

    def initial(self) -> Instruction:
        """The value before the first change, recorded in the current trace."""
        raise NotImplementedError

    def merge(self, values: dict[Effect, Any], size: int) -> Instruction:
        """The value after `size` examples were computed at once; `values` are those of all effects, as Batched."""
        raise NotImplementedError


@dataclass
class Carried:
    """An effect that an inner trace has changed.

    Attributes:
      outer: its value in the trace around.
      first, last: its value inside, a parameter, and in the end.
    """

    effect: Effect
    outer: Instruction
    first: Instruction
    last: Instruction


class Trace:
    """One computation being recorded.

    Attributes:
      computation: what has been recorded.
      parent: the trace around this one.
      session: shared by all traces of the program.
      captures: for each captured instruction of the parent, the parameter that stands for it here.
      effects: the value at hand of each effect that was changed here.
      carries: whoever made this trace carries effects through it.
      closed: recording has ended; values of this trace can no longer be used.
      axis: of what `vmap` maps over an axis with a name: the name, the number of examples, this example's place.
    """

    def __init__(self, name: str, parent: Trace | None = None, session: Session | None = None) -> None:
        self.parent = parent
        self.session: Session = session or (parent.session if parent else Session(name))
        self.computation = Computation(self.session.unique(name))
        self.captures: dict[Instruction, Instruction] = {}
        self.effects: dict[Effect, Instruction] = {}
        self.carries = parent is None
        self._entered: dict[Effect, tuple[Instruction, Instruction]] = {}
        self.closed = False
        self.axis: tuple[Any, int, Any] | None = None
        self._repeated: dict[Instruction, Instruction] = {}
        self._scalars: dict[tuple[str, bytes], Instruction] = {}
        self._arrays: dict[int, tuple[np.ndarray, Instruction]] = {}

    def parameter(self, shape: Shape, name: str = "") -> Instruction:
        """Add the next parameter."""
        instruction = self.computation.parameter(shape, name)
        self.session.order[instruction] = len(self.session.order)
        return instruction

    def add(self, instruction: Instruction) -> Instruction:
        """Record an instruction."""
        if instruction.metadata is None:
            instruction.metadata = self.session.origin or self._metadata(instruction.opcode.name)
        self.computation.add(instruction)
        self.session.order[instruction] = len(self.session.order)
        return instruction

    def _metadata(self, name: str) -> dict[str, Any]:
        filename, line = user_place()
        path = "/".join((f"jit({self.session.name})", *_state.scopes, name))
        return {"op_name": path, "source_file": filename, "source_line": line}

    def use(self, tracer: Tracer) -> Instruction:
        """The instruction of this trace for a traced value, captured from a trace around this one if need be.

        Raises:
          TraceError: the value belongs to a trace that has ended or that does not enclose this one.
        """
        owner = tracer._trace
        if owner is self:
            return self.session.resolve(tracer._instruction) if self.session.replaced else tracer._instruction
        chain = [self]
        while chain[-1] is not owner:
            parent = chain[-1].parent
            if parent is None:
                raise leaked(tracer)
            chain.append(parent)
        if owner.closed:
            raise leaked(tracer)
        instruction = self.session.resolve(tracer._instruction)
        for trace in reversed(chain[:-1]):
            instruction = trace._capture(instruction)
        return instruction

    def _capture(self, outer: Instruction) -> Instruction:
        inner = self.captures.get(outer) or self._repeated.get(outer)
        if inner is None:
            if is_small_constant(outer):
                inner = outer.clone([self._capture(x) for x in outer.operands])
                inner.name = outer.opcode.name
                self._repeated[outer] = self.add(inner)
            else:
                inner = self.captures[outer] = self.parameter(outer.shape, f"captured_{outer.name}")
        return inner

    def effect(self, effect: Effect) -> Instruction:
        """The value of an effect, which the caller is about to change by setting `effects[effect]`.

        Raises:
          TraceError: this is a reducer, or another computation that nothing can be carried through.
        """
        found = self.effects.get(effect)
        if found is not None:
            return self.session.resolve(found)
        if self.parent is None or effect.owner is self:
            with resumed(self):
                return effect.initial()
        if not self.carries:
            raise trace_error(
                "debug.print, callbacks and checks cannot be used in a reducer or a comparator; move the call out of it"
            )
        outer = self.parent.effect(effect)
        first = self.parameter(outer.shape, "effect")
        self.parent.effects.setdefault(effect, outer)
        self.captures[outer] = first
        self._entered[effect] = outer, first
        return first

    def carried(self) -> list[Carried]:
        """The effects that were changed here, of a trace with a parent."""
        last = self.session.resolve
        return [Carried(e, outer, first, last(self.effects[e])) for e, (outer, first) in self._entered.items()]

    def carry(self, carried: Iterable[Carried], values: Iterable[Instruction]) -> None:
        """Set effects to their values after what an inner trace has recorded."""
        for one, value in zip(carried, values):
            self.effects[one.effect] = value

    def constant(self, value: np.ndarray) -> Instruction:
        """A constant, shared by equal scalars and by uses of the same array."""
        row = element_type(value.dtype)
        if value.ndim == 0:
            key = (row.name, value.tobytes())
            found = self._scalars.get(key)
            if found is None:
                found = self._scalars[key] = self._literal(np.array(value, row.dtype))
            return found
        held = self._arrays.get(id(value))
        if held is not None and held[0] is value:
            literal = held[1].attrs.get("literal")
            if literal is not None and np.array_equal(literal, value):
                return held[1]
        if self.session.lifted is not None:
            if self.parent is not None:
                return self._capture(self.parent.constant(value))
            instruction = self.parameter(ArrayShape(row, value.shape), "constant")
            self.session.lifted.append(np.array(value, row.dtype, order="C"))
            return instruction
        literal = np.array(value, row.dtype, order="C")
        literal.flags.writeable = False
        instruction = self._literal(literal)
        self._arrays[id(value)] = (value, instruction)
        return instruction

    def _literal(self, literal: np.ndarray) -> Instruction:
        shape = ArrayShape(element_type(literal.dtype), literal.shape)
        return self.add(op.constant.make(shape=shape, literal=literal))


def is_small_constant(instruction: Instruction) -> bool:
    """Whether an instruction is cheaper to repeat in an inner computation than to pass into it."""
    name = instruction.opcode.name
    if name == "constant":
        return instruction.shape.size <= SMALL_CONSTANT  # type: ignore[union-attr]
    if name == "broadcast":
        return is_small_constant(instruction.operands[0])
    return name == "iota"


def leaked(tracer: Tracer) -> TraceError:
    """The error for a traced value used outside the function it belongs to."""
    made = tracer._instruction.metadata
    name = tracer._trace.session.name
    if made:
        where = f"made at {made['source_file']}:{made['source_line']} in {name}"
    else:
        where = f"an argument ({tracer._instruction.name}) of {name}"
        if tracer._trace.session.place is not None:
            where += " at {}:{}".format(*tracer._trace.session.place)
    return trace_error(
        f"a traced value {tracer._instruction.shape}, {where}, is used outside the function it was traced in; return "
        "it from that function instead of storing it in a global, an attribute or an outer list"
    )


def arguments_of(instruction: Instruction, trace: Trace) -> list[str]:
    """The names of the traced function's arguments that a value is computed from; of many, the first three."""
    wanted = {instruction}
    while trace.parent is not None:
        inner = {p: outer for outer, p in trace.captures.items()}
        wanted = {inner[x] for x in _sources(wanted) if x in inner}
        trace = trace.parent
    names = trace.session.argument_names
    known = [names[x["number"]] if x["number"] < len(names) else x.name for x in _sources(wanted)]
    return known if len(known) < 4 else [*known[:3], "others"]


def _sources(wanted: Iterable[Instruction]) -> list[Instruction]:
    """The parameters that instructions depend on, in their order."""
    known: dict[Instruction, None] = {}
    for top in operands_first(list(wanted), known):
        known[top] = None
    return sorted((x for x in known if x.opcode.name == "parameter"), key=lambda x: x["number"])


class _State(threading.local):
    trace: Trace | None = None
    waiting: Trace | None = None  # while values are computed within `evaluated`
    scopes: tuple[str, ...] = ()  # of `named_scope`
    jit_disabled: bool = False


_state = _State()

# The open traces of all threads: where there are none, callers know at once that nothing is being traced.
open_traces: list[Trace] = []


@contextlib.contextmanager
def resumed(trace: Trace) -> Iterator[Trace]:
    """Record into a trace around the current one for a while.

    Raises:
      TraceError: it has ended.
    """
    inner = _state.trace
    if trace.closed:
        raise trace_error("this function belongs to a traced function that has returned; call it there")
    _state.trace = trace
    try:
        yield trace
    finally:
        _state.trace = inner


def current() -> Trace | None:
    """The trace being recorded in this thread, or None."""
    return _state.trace if open_traces else None


@contextlib.contextmanager
def recording(trace: Trace) -> Iterator[Trace]:
    """Record into `trace`; close it at the end."""
    outer = _state.trace
    open_traces.append(trace)
    _state.trace = trace
    try:
        yield trace
    finally:
        _state.trace = outer
        trace.closed = True
        open_traces.remove(trace)


@contextlib.contextmanager
def named_scope(name: str) -> Iterator[None]:
    """See `xlac.named_scope`."""
    if not isinstance(name, str):
        raise TypeError(f"named_scope takes a name, got {name!r}")
    outer = _state.scopes
    _state.scopes = (*outer, name)
    try:
        yield
    finally:
        _state.scopes = outer


@contextlib.contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """See `xlac.disable_jit`."""
    outer = _state.jit_disabled
    _state.jit_disabled = disable
    # While something stands here no call is native, and calls look what is the case.
    mark: Any = object()
    open_traces.append(mark)
    try:
        yield
    finally:
        _state.jit_disabled = outer
        open_traces.remove(mark)


def jit_disabled() -> bool:
    """Whether this thread is to run functions as Python."""
    return _state.jit_disabled


@contextlib.contextmanager
def evaluated() -> Iterator[None]:
    """See `xlac.ensure_compile_time_eval`."""
    outer, waiting = _state.trace, _state.waiting
    _state.trace, _state.waiting = None, outer or waiting
    try:
        yield
    finally:
        _state.trace, _state.waiting = outer, waiting


def waiting_for(values: Iterable[Any]) -> Trace | None:
    """The trace that `evaluated` holds up, where a function of these values belongs: one of them is traced."""
    from xlac.frontend.tracer import Tracer

    return _state.waiting if _state.trace is None and any(isinstance(v, Tracer) for v in values) else None


def active() -> Trace:
    """The trace being recorded.

    Raises:
      TraceError: there is none.
    """
    trace = _state.trace
    if trace is None:
        raise trace_error("this can only be used while a function is traced, inside xlac.jit or xlac.grad")
    return trace


# ---- emitting instructions


def emit_instruction(row: Opcode, *operands: Instruction, shape: Shape | None = None, **attrs: Any) -> Instruction:
    """Record one instruction of operands that are in the current trace already.

    Raises:
      ShapeError: operands or attributes do not fit; the message shows the user's line.
    """
    try:
        instruction = row.make(*operands, shape=shape, **attrs)
    except ShapeError as error:
        raise shape_error(str(error)) from None
    trace = active()
    trace.add(instruction)
    if trace.session.watch is not None:
        trace.session.watch(instruction)
    return instruction


def emit(row: Opcode, *operands: Tracer, shape: Shape | None = None, weak: bool = False, **attrs: Any) -> Tracer:
    """Record one instruction whose result is an array."""
    from xlac.frontend.tracer import Tracer

    trace = active()
    instruction = emit_instruction(row, *[trace.use(x) for x in operands], shape=shape, **attrs)
    return Tracer(trace, instruction, weak)


def elements(instruction: Instruction) -> list[Tracer]:
    """The elements of an instruction whose shape is a tuple."""
    from xlac.frontend.tracer import Tracer

    trace = active()
    return [
        Tracer(trace, emit_instruction(op.get_tuple_element, instruction, index=i))
        for i in range(len(instruction.shape))  # type: ignore[arg-type]
    ]


def lift(value: Any, dtype: np.dtype | None = None) -> Tracer:
    """`value` as a traced value: itself if it is one, a constant for an array or a Python number.

    Raises:
      TraceError: it is neither; lists, strings and objects are not arrays.
    """
    from xlac.frontend.tracer import Tracer

    if isinstance(value, Tracer):
        return value
    trace = active()
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        weak = dtype is None and not isinstance(value, bool)
        kind = dtypes.scalar_dtype(value) if dtype is None else dtype
        return Tracer(trace, trace.constant(scalar_array(value, kind)), weak, value if weak else None)
    if not isinstance(value, (np.ndarray, np.generic)):
        if hasattr(value, "__array__"):
            value = np.asarray(value)
        else:
            raise trace_error(
                f"{value!r} of type {type(value).__name__} is not an array; use xlac.numpy.asarray, or name the "
                "argument in "
                "static_argnums if it is a setting"
            )
    try:
        element_type(value.dtype)
    except ShapeError as error:
        raise shape_error(str(error)) from None
    array = value if isinstance(value, np.ndarray) else np.asarray(value)
    if type(value) is np.ndarray or isinstance(value, np.generic):
        array = array.astype(dtypes.taken(array.dtype), copy=False)
    if isinstance(value, dtypes.WEAK_SCALARS):
        return Tracer(trace, trace.constant(array), True, value.item())
    return Tracer(trace, trace.constant(array), False)


def literal(value: np.ndarray) -> Tracer:
    """A constant that rules make; unlike `lift` it never becomes a parameter."""
    from xlac.frontend.tracer import Tracer

    trace = active()
    return Tracer(trace, trace._literal(np.array(value, order="C")))


def scalar_array(value: bool | int | float | complex, dtype: np.dtype) -> np.ndarray:
    """A Python number as a 0-d array of a type.

    Raises:
      ShapeError: an integer does not fit.
    """
    row = element_type(dtype)
    if row.is_integer and isinstance(value, int) and not isinstance(value, bool):
        low = -(1 << (row.bits - 1)) if row.kind == "s" else 0
        high = (1 << (row.bits - (row.kind == "s"))) - 1
        if not low <= value <= high:
            raise shape_error(
                f"the integer {value} does not fit {dtype.name}, which holds {low} to {high}; convert the array first"
            )
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(row.dtype)


# ---- regions: loop bodies, branches, reducers


@dataclass
class Region:
    """A recorded sub-function, flat: one parameter for each leaf and then one for each captured value.

    Attributes:
      trace: the trace it was recorded in.
      inputs: the parameters of the leaves.
      outputs: the results' instructions.
      weak: whether each result is weakly typed.
      structure: how the results nest.
      captured: values of the surrounding trace that it reads, in the order of their parameters.
    """

    trace: Trace
    inputs: list[Instruction]
    outputs: list[Instruction]
    weak: list[bool]
    structure: Any
    captured: list[Instruction]
    paths: list[str]
    carried: list[Carried]

    @property
    def parameters(self) -> list[Instruction]:
        return [*self.inputs, *self.trace.captures.values()]


def record_region(
    name: str, function: Callable[..., Any], specs: Sequence[tuple[Shape, bool]], rebuild: Callable[[list[Tracer]], Any]
) -> Region:
    """Record `function(*rebuild(leaf tracers))` for leaves of the given (shape, weak) pairs."""
    from xlac import tree
    from xlac.frontend.tracer import Tracer

    trace = Trace(name, active())
    trace.carries = True
    with recording(trace):
        inputs = [trace.parameter(shape) for shape, _ in specs]
        arguments = rebuild([Tracer(trace, p, weak) for p, (_, weak) in zip(inputs, specs)])
        result = function(*arguments)
        found, structure = tree.flatten(result)
        outputs = [lift(leaf) for leaf in found]
        instructions = [trace.use(t) for t in outputs]
        weak = [t.weak_type for t in outputs]
        carried = trace.carried()
    return Region(trace, inputs, instructions, weak, structure, list(trace.captures), tree.paths(result), carried)


def replay(outputs: Iterable[Instruction], mapping: dict[Instruction, Instruction]) -> list[Instruction]:
    """Copy what the outputs need into the current trace; `mapping` gives what stands for instructions already there.

    `mapping` is filled with the copies. Notes go along.
    """
    trace = active()
    session = trace.session
    wanted = [session.resolve(o) for o in outputs]
    for top in operands_first(wanted, mapping, session.operands):
        if top.opcode.name == "parameter":
            raise AssertionError(f"parameter {top.name} has no value")
        operands = [mapping[x] for x in session.operands(top)]
        if top.opcode.name == "get-tuple-element" and operands[0].opcode.name == "tuple":
            mapping[top] = operands[0].operands[top["index"]]
            continue
        copy = top.clone(operands)
        copy.name = top.opcode.name
        mapping[top] = trace.add(copy)
        if top in session.notes:
            session.notes[copy] = session.notes[top]
    return [mapping[o] for o in wanted]


def tuple_computation(
    name: str, shapes: Sequence[Shape], build: Callable[[list[Tracer]], Sequence[Tracer] | Tracer]
) -> Computation:
    """A computation of one tuple parameter with these element shapes; `build` gets the elements and gives the result's.

    A sequence becomes a tuple, a single value the root itself.
    """
    from xlac.frontend.tracer import Tracer

    trace = Trace(name, active())
    with recording(trace):
        state = trace.parameter(TupleShape(tuple(shapes)), "state")
        result = build(elements(state))
        if isinstance(result, Tracer):
            trace.computation.root = trace.use(result)
        else:
            trace.computation.root = emit_instruction(op.tuple, *[trace.use(t) for t in result])
    assert not trace.captures, f"{name} captures {list(trace.captures)}"
    return trace.computation


def reducer(name: str, dtype: np.dtype) -> Computation:
    """The reducer that is one opcode ("add", "maximum", ...) of two scalars of a type; one for the whole program."""
    session = active().session
    row = element_type(dtype)
    key = (name, row.name)
    if key not in session.reducers:
        shape = ArrayShape(row)
        session.reducers[key] = scalar_computation(
            f"{name}_{row.name}", (shape, shape), lambda x, y: emit(OPCODES[name], x, y)
        )
    return session.reducers[key]


def scalar_computation(name: str, shapes: Sequence[Shape], build: Callable[..., Any]) -> Computation:
    """A computation of these parameters (a reducer); `build` gets them as traced values and gives one value or several.

    Raises:
      TraceError: `build` reads a traced value from outside.
    """
    from xlac.frontend.tracer import Tracer

    trace = Trace(name, active())
    with recording(trace):
        result = build(*[Tracer(trace, trace.parameter(s)) for s in shapes])
        if isinstance(result, (tuple, list)):
            parts = [trace.use(lift(r)) for r in result]
            trace.computation.root = emit_instruction(op.tuple, *parts)
        else:
            trace.computation.root = trace.use(lift(result))
    if trace.captures:
        outer = next(iter(trace.captures))
        raise trace_error(
            f"a reducer may read only its two arguments, but this one reads a value of shape {outer.shape}"
        )
    return trace.computation


def flat_shapes(shape: Shape) -> list[ArrayShape]:
    """The array shapes inside a shape."""
    return [leaf for leaf in leaves(shape) if isinstance(leaf, ArrayShape)]
