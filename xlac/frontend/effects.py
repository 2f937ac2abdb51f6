"""Python functions that compiled programs call: debug.print, debug.callback, pure_callback, io_callback.

Each is a `custom-call` that holds the function. Those with effects take the program's token and give the next one, so
that they run once each and in the order of the program, in loops and branches too; `pure_callback` is an ordinary
value. Arguments are copied for the function, which may keep them.
"""

from __future__ import annotations

import string
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xlac import tree
from xlac.errors import EvaluateError
from xlac.frontend import dtypes, trace
from xlac.frontend.batching import Batched, Value
from xlac.frontend.trace import emit_instruction, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.ops.custom_call import PYTHON_CALLBACK
from xlac.ir.shape import TOKEN, ArrayShape, Shape, TupleShape, element_type, in_numpy_words
from xlac.text.attributes import quote

VMAP_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all", "legacy_vectorized")


class _Order(trace.Effect):
    """The token that effects take from one another."""

    def initial(self) -> Instruction:
        return emit_instruction(op.after_all)

    def merge(self, values: dict[trace.Effect, Any], size: int) -> Instruction:
        return trace.active().use(values[self].value)


ORDER = _Order()


class _Fixed:
    """A leaf that is no array, such as a string; equal to equal ones where it can be compared."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Fixed) or type(self.value) is not type(other.value):
            return False
        return self.value is other.value or (_hashable(self.value) and bool(self.value == other.value))

    def __hash__(self) -> int:
        return hash(self.value) if _hashable(self.value) else id(self.value)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


_ARRAY = object()  # stands for an array among the leaves


@dataclass(frozen=True)
class HostFunction:
    """What a callback's instruction holds: a function of flat arrays that gives a list of flat arrays.

    Two are equal if they call the same function in the same way.

    Attributes:
      target: the user's function.
      structure: how its arguments (args, kwargs) nest.
      leaves: their leaves: _ARRAY, or a `_Fixed` value.
      results: shapes of the results for one example.
      nesting: how the results nest.
      what: the name of what the user called, such as "pure_callback".
      ordered: the order counts; refused under vmap.
      method: how vmap goes through it; None where it does not.
      layers: one for each vmap that calls the function for one example after the other: which arguments differ between
        examples, and how many examples there are.
      place: the user's file and line.
    """

    target: _Fixed
    structure: tree.Structure
    leaves: tuple[Any, ...]
    results: tuple[ArrayShape, ...]
    nesting: tree.Structure
    what: str
    ordered: bool = False
    method: str | None = None
    layers: tuple[tuple[tuple[bool, ...], int], ...] = ()
    place: tuple[str, int] = field(default=("", 0), compare=False)

    @property
    def function(self) -> Callable[..., Any]:
        return self.target.value

    def __repr__(self) -> str:
        own = f" of {trace.name_of(self.function)}" if self.function is not _print else ""
        return f"{self.what}{own} at {self.place[0]}:{self.place[1]}"

    def __call__(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Call the function for all examples.

        Raises:
          EvaluateError: it gives something else than it was said to give.
        """
        return self._run(len(self.layers), [np.array(x) for x in arrays])

    def _run(self, depth: int, arrays: list[np.ndarray]) -> list[np.ndarray]:
        if not depth:
            return self._once(arrays)
        batched, size = self.layers[depth - 1]
        columns: list[list[np.ndarray]] = []
        for i in range(size):
            columns.append(self._run(depth - 1, [x[i, ...] if b else x for x, b in zip(arrays, batched)]))
        if not columns:
            outer = tuple(size for _, size in reversed(self.layers[:depth]))
            return [np.zeros((*outer, *s.dims), s.dtype) for s in self.results]
        return [np.stack(parts) for parts in zip(*columns)]

    def _once(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        given = iter(arrays)
        args, kwargs = tree.unflatten(self.structure, [next(given) if x is _ARRAY else x.value for x in self.leaves])
        found = self.function(*args, **kwargs)
        if not self.results and self.what.startswith("debug"):
            return []
        leaves, nesting = tree.flatten(found)
        if nesting != self.nesting:
            raise EvaluateError(f"{self!r}: it gave results nested as {nesting}; it must give {self.nesting}")
        return [self._checked(leaf, shape) for leaf, shape in zip(leaves, self.results)]

    def _checked(self, leaf: Any, shape: ArrayShape) -> np.ndarray:
        array = np.asarray(leaf)
        if array.shape != shape.dims or not np.can_cast(array.dtype, shape.dtype, "same_kind"):
            raise EvaluateError(f"{self!r}: it gave {trace.shown(array)}; it must give {in_numpy_words(str(shape))}")
        return array.astype(shape.dtype, copy=False)


def _is_array(leaf: Any) -> bool:
    if isinstance(leaf, (bool, int, float, complex, np.ndarray, Tracer)):
        return True
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype")


def _call(
    what: str,
    function: Callable[..., Any],
    shapes: Any,
    args: tuple,
    kwargs: dict[str, Any],
    *,
    effect: bool,
    ordered: bool = False,
    method: str | None = None,
) -> Any:
    """Call `function` now, or record that the program does."""
    if not callable(function):
        raise TypeError(f"{what} takes a function, got {function!r}")
    found, structure = tree.flatten((args, kwargs))
    wanted, nesting = tree.flatten(shapes)
    results = tuple(ArrayShape(element_type(dtypes.as_dtype(s.dtype)), tuple(s.shape)) for s in wanted)
    leaves = tuple(_ARRAY if _is_array(x) else _Fixed(x) for x in found)
    arrays = [x for x in found if _is_array(x)]
    place = trace.user_place()
    host = HostFunction(_Fixed(function), structure, leaves, results, nesting, what, ordered, method, (), place)
    if trace.current() is None:
        return tree.unflatten(nesting, host(*map(_concrete, arrays)))
    active = trace.active()
    operands = [active.use(lift(x)) for x in arrays]
    if effect:
        operands.insert(0, active.effect(ORDER))
    made = _emit(host, operands, results, effect)
    if effect:
        active.effects[ORDER] = made[0]
    return tree.unflatten(nesting, [Tracer(active, x) for x in made[effect:]])


def _concrete(x: Any) -> np.ndarray:
    return np.asarray(x, dtypes.type_of(x)[0]) if isinstance(x, (bool, int, float, complex)) else np.asarray(x)


def _emit(
    host: HostFunction, operands: Sequence[Instruction], results: Sequence[ArrayShape], effect: bool
) -> list[Instruction]:
    shapes: tuple[Shape, ...] = (TOKEN, *results) if effect else tuple(results)
    made = emit_instruction(
        op.custom_call,
        *operands,
        shape=TupleShape(shapes),
        custom_call_target=PYTHON_CALLBACK,
        custom_call_has_side_effect=effect,
        backend_config=quote(repr(host)),
        callback=host,
    )
    return [t._instruction for t in trace.elements(made)]


def callback_batch(instruction: Instruction, values: list[Value], size: int) -> Value:
    """The call for all examples: one after the other, or all at once if the function can."""
    from xlac import lax

    active = trace.active()
    host: HostFunction = instruction["callback"]
    effect = bool(instruction["custom_call_has_side_effect"])
    if host.ordered:
        raise trace.trace_error(f"vmap cannot go through {host.what} with ordered=True; examples have no order")
    if host.method is None:
        methods = ", ".join(f'"{m}"' for m in VMAP_METHODS[:1] + VMAP_METHODS[2:4])
        raise trace.trace_error(f"vmap cannot go through {host.what} without vmap_method; give one of {methods}")
    tokens, arguments = (values[:1], values[1:]) if effect else ([], values)
    batched = tuple(v.axis is not None for v in arguments)
    if host.method.startswith("sequential"):
        host = replace(host, layers=(*host.layers, (batched, size)))
        given = [v.front(size) if b else v.value for v, b in zip(arguments, batched)]
    else:
        given = []
        for v, b in zip(arguments, batched):
            if b or host.method == "broadcast_all":
                given.append(v.front(size))
            else:
                given.append(lax.reshape(v.value, (1, *v.value.shape)) if host.method == "expand_dims" else v.value)
        host = replace(host, results=tuple(ArrayShape(s.element_type, (size, *s.dims)) for s in host.results))
    inner = [s for s in instruction.shape if isinstance(s, ArrayShape)]  # type: ignore[union-attr]
    shapes = [ArrayShape(s.element_type, (size, *s.dims)) for s in inner]
    operands = [active.use(t.value) for t in tokens] + [active.use(t) for t in given]
    made = [Tracer(active, x) for x in _emit(host, operands, shapes, effect)]
    return [Batched(t, None) for t in made[: len(tokens)]] + [Batched(t, 0) for t in made[len(tokens) :]]


# ---- what users call


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    vectorized: bool | None = None,
    **kwargs: Any,
) -> Any:
    """See `xlac.pure_callback`."""
    if vectorized is not None:
        vmap_method = "legacy_vectorized" if vectorized else "sequential"
    if vmap_method is not None and vmap_method not in VMAP_METHODS:
        raise ValueError(f"pure_callback: vmap_method is {vmap_method!r}; it must be None or one of {VMAP_METHODS}")
    return _call("pure_callback", callback, result_shape_dtypes, args, kwargs, effect=False, method=vmap_method)


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """See `xlac.io_callback`."""
    settings: dict[str, Any] = {"effect": True, "ordered": ordered, "method": "sequential"}
    return _call("io_callback", callback, result_shape_dtypes, args, kwargs, **settings)


def debug_callback(
    callback: Callable[..., Any], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any
) -> None:
    """See `xlac.debug.callback`."""
    settings: dict[str, Any] = {"effect": True, "ordered": ordered, "method": "sequential"}
    _call("debug.callback", callback, None, args, kwargs, **settings)


def debug_print(
    fmt: str,
    *args: Any,
    ordered: bool = False,
    partitioned: bool = False,
    skip_format_check: bool = False,
    **kwargs: Any,
) -> None:
    """See `xlac.debug.print`."""
    if not skip_format_check:
        _check_format(fmt, args, kwargs)
    settings: dict[str, Any] = {"effect": True, "ordered": ordered, "method": "sequential"}
    _call("debug.print", _print, None, (fmt, *args), kwargs, **settings)


def _print(fmt: str, *args: Any, **kwargs: Any) -> None:
    sys.stdout.write(_Formatter().vformat(fmt, args, kwargs) + "\n")


class _Formatter(string.Formatter):
    """As `str.format`, but a scalar array is shown with the digits that its type has, not those of a Python number."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return str(value) if isinstance(value, np.ndarray) and not format_spec else format(value, format_spec)


class _Checker(string.Formatter):
    """A formatter that formats nothing and notes which arguments are asked for."""

    def __init__(self) -> None:
        self.used: set[int | str] = set()

    def get_value(self, key: int | str, args: Any, kwargs: Any) -> Any:
        self.used.add(key)
        return args[key] if isinstance(key, int) else kwargs[key]

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        # What is behind a dot or in brackets is looked up when the values are there.
        first, _ = string._string.formatter_field_name_split(field_name)  # type: ignore[attr-defined]
        return self.get_value(first, args, kwargs), first

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return value

    def format_field(self, value: Any, format_spec: str) -> str:
        return ""


def _check_format(fmt: Any, args: tuple, kwargs: dict[str, Any]) -> None:
    """Check that a format asks for all of its arguments, and for no others.

    Raises:
      TypeError: `fmt` is no string.
      ValueError: it asks for an argument that is missing, or leaves one out, as an f-string does.
    """
    if not isinstance(fmt, str):
        raise TypeError(f"debug.print takes a format string and then the values, got {fmt!r} as the format")
    checker = _Checker()
    try:
        checker.vformat(fmt, args, kwargs)
    except (IndexError, KeyError) as error:
        raise ValueError(
            trace.located(f"debug.print: the format {fmt!r} asks for {error.args[0]!r}, which is not given")
        ) from None
    unused = [n for n in (*range(len(args)), *kwargs) if n not in checker.used]
    if unused:
        raise ValueError(
            trace.located(
                f"debug.print: the format {fmt!r} does not use argument {unused[0]!r}; write a format with {{}} for "
                "it, not an f-string"
            )
        )
