"""`xlac.experimental.checkify`: checks inside traced functions that are looked at after the program has run.

`checkify(f)` gives a function that returns an `Error` and the result of `f`. The error is a value of the program: a
code for the first check that failed (0 for none) and the values its message shows. Loops, branches, `vmap` and
derivatives carry it along as an effect (see `xlac/frontend/trace.py`), so that a checkified function is jitted as any
other.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac import tree
from xlac.errors import CheckError
from xlac.frontend import dtypes, trace
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.lax.operands import expand

__all__ = [
    "CheckError",
    "Error",
    "JaxRuntimeError",
    "ErrorCategory",
    "all_checks",
    "automatic_checks",
    "check",
    "check_error",
    "checkify",
    "debug_check",
    "div_checks",
    "float_checks",
    "index_checks",
    "nan_checks",
    "user_checks",
]

ErrorCategory = str
JaxRuntimeError = CheckError  # its name in JAX

user_checks = frozenset({"user"})
nan_checks = frozenset({"nan"})
div_checks = frozenset({"div"})
index_checks = frozenset({"index"})
float_checks = nan_checks | div_checks
automatic_checks = float_checks | index_checks
all_checks = automatic_checks | user_checks

# Opcodes that only move values, or whose parts were checked by themselves: NaN does not begin with them.
_MOVING = frozenset(
    (
        "broadcast", "bitcast-convert", "call", "concatenate", "conditional", "constant", "copy", "dynamic-slice",
        "dynamic-update-slice", "gather", "get-tuple-element", "iota", "opt-barrier", "pad", "parameter", "reshape",
        "reverse", "select", "slice", "transpose", "tuple", "while",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Site:
    """A check: its message, how the values that it shows nest, and the user's line."""

    message: str
    nesting: tree.Structure
    place: tuple[str, int]

    def text(self, values: Sequence[Any]) -> str:
        args, kwargs = tree.unflatten(self.nesting, values)
        message = self.message.format(*args, **kwargs) if values else self.message
        return _with_place(message, self.place)


def _with_place(message: str, place: tuple[str, int]) -> str:
    """A check's own message, which programs may look for at the start, and the user's line."""
    return f"{message} (check failed at {place[0]}:{place[1]})"


class Error:
    """What the checks of a checkified function found; a container of arrays, so that programs can return it.

    Attributes:
      code: 0, or the number of the first check that failed, counted from 1; an array of them after `vmap`.
      values: for each check what its message shows.
      sites: the checks.
    """

    __slots__ = ("code", "sites", "values")

    def __init__(self, code: Any, values: Sequence[Sequence[Any]], sites: tuple[Site, ...]) -> None:
        self.code, self.values, self.sites = code, values, sites

    def get(self) -> str | None:
        """The message of the first check that failed, of each example after `vmap`; None if none did."""
        if isinstance(self.code, Tracer):
            self.code.__bool__()
        codes = np.asarray(self.code)
        messages = []
        for where in zip(*np.nonzero(np.atleast_1d(codes))):
            index = tuple(int(i) for i in where) if codes.ndim else ()
            number = int(codes[index]) - 1
            text = self.sites[number].text([np.asarray(v)[index] for v in self.values[number]])
            at = f"at mapped index {', '.join(map(str, index))}: " if index else ""
            messages.append(at + text)
        return "\n".join(messages) or None

    def get_exception(self) -> CheckError | None:
        """What `throw` raises, or None."""
        message = self.get()
        return None if message is None else CheckError(message)

    def throw(self) -> None:
        """Raise what was found.

        Raises:
          CheckError: a check failed.
        """
        error = self.get_exception()
        if error is not None:
            raise error

    def __repr__(self) -> str:
        return "Error(traced)" if isinstance(self.code, Tracer) else f"Error({self.get()!r})"


tree.register(
    Error,
    lambda e: ((e.code, tuple(tuple(v) for v in e.values)), e.sites),
    lambda sites, children: Error(children[0], children[1], sites),
)


# ---- the error as an effect


class _Part(trace.Effect):
    """The code of an error (`site` is None), or one of the values that a check shows."""

    def __init__(self, checks: _Checks, shape: ArrayShape, site: int | None = None) -> None:
        self.checks, self.shape, self.site, self.owner = checks, shape, site, checks.owner

    def initial(self) -> Instruction:
        from xlac.frontend.linear import zeros

        # A copy, so that this is no other value's instruction.
        return emit(op.copy, zeros(self.shape))._instruction

    def merge(self, values: dict[trace.Effect, Any], size: int) -> Instruction:
        import xlac.numpy as xnp

        mine, code = values[self], values.get(self.checks.code)
        if mine.axis is None:
            return trace.active().use(mine.value)
        rows = mine.front(size)
        if code is None or code.axis is None:
            chosen: Any = 0
        else:
            codes = code.value
            chosen = xnp.argmax(codes != 0 if self.site is None else codes == self.site + 1)
        from xlac import lax

        return trace.active().use(lax.dynamic_index_in_dim(rows, chosen, 0, keepdims=False))


class _Checks:
    """The checks of one call of a checkified function."""

    def __init__(self, enabled: frozenset[str], owner: trace.Trace) -> None:
        self.enabled, self.owner = enabled, owner
        self.sites: list[Site] = []
        self.parts: list[list[_Part]] = []
        self.code = _Part(self, ArrayShape(element_type(np.dtype(np.int32))))
        self.busy = False

    def record(self, failed: Tracer, message: str, args: tuple, kwargs: dict[str, Any]) -> None:
        """Note in the current trace that a check fails where `failed` holds."""
        import xlac.numpy as xnp
        from xlac import lax

        active = trace.active()
        leaves, nesting = tree.flatten((args, kwargs))
        shown = [lift(x) for x in leaves]
        number = len(self.sites)
        self.sites.append(Site(message, nesting, trace.user_place()))
        self.parts.append([_Part(self, x._instruction.shape, number) for x in shown])  # type: ignore[arg-type]
        before = Tracer(active, active.effect(self.code))
        first = xnp.logical_and(failed, before == 0)
        active.effects[self.code] = active.use(lax.select(first, lift(np.int32(number + 1)), before))
        for part, x in zip(self.parts[number], shown):
            old = Tracer(active, active.effect(part))
            active.effects[part] = active.use(lax.select(expand(first, x.shape, ()), x, old))

    def error(self) -> Error:
        """What was found by the end of the owner's recording."""
        owner = self.owner

        def last(part: _Part) -> Tracer:
            value = Tracer(owner, owner.effect(part))
            owner.effects.pop(part, None)
            return value

        return Error(last(self.code), [[last(p) for p in parts] for parts in self.parts], tuple(self.sites))

    def watch(self, made: Instruction) -> None:
        """Record the automatic checks of an instruction that was just recorded."""
        inner: trace.Trace | None = trace.active()
        if self.busy:
            return
        while inner is not None and inner is not self.owner:
            if not inner.carries:
                return
            inner = inner.parent
        self.busy = True
        try:
            name = made.opcode.name
            if "nan" in self.enabled and name not in _MOVING:
                self._nan(made)
            if "div" in self.enabled and name in ("divide", "remainder"):
                self._division(made)
            if "index" in self.enabled and name in _INDEXED:
                self._index(made)
        finally:
            self.busy = False

    def _nan(self, made: Instruction) -> None:
        import xlac.numpy as xnp

        if isinstance(made.shape, ArrayShape) and made.shape.element_type.is_inexact:
            x = Tracer(trace.active(), made)
            self.record(xnp.any(x != x), f"nan generated by {made.opcode.name}", (), {})
        elif isinstance(made.shape, TupleShape) and made.opcode.name == "reduce":
            for part in trace.elements(made):
                if dtypes.is_inexact(part.dtype):
                    self.record(xnp.any(part != part), "nan generated by reduce", (), {})

    def _division(self, made: Instruction) -> None:
        import xlac.numpy as xnp

        divisor = Tracer(trace.active(), made.operands[1])
        self.record(xnp.any(divisor == 0), "division by zero", (), {})

    def _index(self, made: Instruction) -> None:
        import xlac.numpy as xnp

        active = trace.active()
        array = made.operands[0]
        starts, limits = _INDEXED[made.opcode.name](made)
        for d, (start, limit) in enumerate(zip(starts, limits)):
            index = Tracer(active, start) if isinstance(start, Instruction) else start
            wrong = xnp.logical_or(index < 0, index > limit)
            message = (
                f"out-of-bounds indexing for array of shape {list(array.dims)}: index {{}} is out of bounds for "
                f"dimension {d}, which takes 0 to {limit}"
            )
            flat_index, flat_wrong = xnp.ravel(index), xnp.ravel(wrong)
            if flat_index.size:
                self.record(xnp.any(wrong), message, (flat_index[xnp.argmax(flat_wrong)],), {})


def _slice_starts(i: Instruction) -> tuple[list[Any], list[int]]:
    sizes = i["dynamic_slice_sizes"]
    return list(i.operands[1:]), [n - k for n, k in zip(i.operands[0].dims, sizes)]


def _update_starts(i: Instruction) -> tuple[list[Any], list[int]]:
    return list(i.operands[2:]), [n - k for n, k in zip(i.operands[0].dims, i.operands[1].dims)]


def _gather_starts(i: Instruction) -> tuple[list[Any], list[int]]:
    dims, sizes = i.operands[0].dims, i["slice_sizes"]
    return _columns(i.operands[1], i["index_vector_dim"], i["start_index_map"]), [
        dims[d] - sizes[d] for d in i["start_index_map"]
    ]


def _scatter_starts(i: Instruction) -> tuple[list[Any], list[int]]:
    count = len(i.operands) // 2
    dims, updates, window = i.operands[0].dims, i.operands[count + 1].dims, i["update_window_dims"]
    skipped = {*i["inserted_window_dims"], *i.attrs.get("input_batching_dims", ())}
    extents = iter(updates[d] for d in window)
    sizes = [1 if d in skipped else next(extents) for d in range(len(dims))]
    to = i["scatter_dims_to_operand_dims"]
    return _columns(i.operands[count], i["index_vector_dim"], to), [dims[d] - sizes[d] for d in to]


def _columns(indices: Instruction, axis: int, dims: Sequence[int]) -> list[Any]:
    """The indices into each dimension."""
    import xlac.numpy as xnp

    x = Tracer(trace.active(), indices)
    return [x] if axis == x.ndim else [xnp.take(x, k, axis=axis) for k in range(len(dims))]


_INDEXED: dict[str, Callable[[Instruction], tuple[list[Any], list[int]]]] = {
    "dynamic-slice": _slice_starts,
    "dynamic-update-slice": _update_starts,
    "gather": _gather_starts,
    "scatter": _scatter_starts,
}


# ---- what users call


def debug_check(pred: Any, msg: str, *fmt_args: Any, **fmt_kwargs: Any) -> None:
    """`check` that does nothing where the function is not checkified."""
    check(pred, msg, *fmt_args, debug=True, **fmt_kwargs)


def check(pred: Any, msg: str, *fmt_args: Any, debug: bool = False, **fmt_kwargs: Any) -> None:
    """Note an error if `pred` does not hold, with the message `msg.format(*fmt_args, **fmt_kwargs)`.

    Inside a traced function it works where that is checkified with `user_checks`, and does nothing where it is
    checkified without them.

    Args:
      pred: a bool, or an array of them, which all must hold.
      msg: a format string.
      debug: do nothing where the function is not checkified.
    Raises:
      CheckError: the values are known and it does not hold.
      TraceError: this is a traced function that is not checkified.
    """
    import xlac.numpy as xnp

    if trace.current() is None:
        if not np.all(pred):
            raise CheckError(_with_place(msg.format(*fmt_args, **fmt_kwargs), trace.user_place()))
        return
    checks = trace.active().session.checks
    if not checks:
        if debug:
            return
        raise trace.trace_error(
            "checkify.check in a traced function: its error has to be a result, so apply checkify.checkify to the "
            "function before jit"
        )
    innermost: _Checks = checks[-1]
    if "user" in innermost.enabled:
        busy, innermost.busy = innermost.busy, True
        try:
            innermost.record(xnp.logical_not(xnp.all(pred)), msg, fmt_args, fmt_kwargs)
        finally:
            innermost.busy = busy


def check_error(error: Error) -> None:
    """Raise an error that was found, or inside a checkified function make it that function's."""
    if trace.current() is None or not isinstance(error.code, Tracer):
        error.throw()
        return
    for number, (site, values) in enumerate(zip(error.sites, error.values)):
        args, kwargs = tree.unflatten(site.nesting, values)
        check(error.code != number + 1, site.message, *args, **kwargs)


def checkify(f: Callable[..., Any], errors: Iterable[str] = user_checks) -> Callable[..., tuple[Error, Any]]:
    """A function that gives a pair of the `Error` of the checks in `f` and the result of `f`.

    The program runs to its end in any case; `error.throw()` raises what the first check that failed says.

    Args:
      f: a function of arrays.
      errors: which checks: `user_checks` for calls of `check`; `nan_checks` that nothing computed is NaN, `div_checks`
        that no divisor is 0, `index_checks` that slices, gathers and scatters stay in the array; `float_checks`,
        `automatic_checks`, `all_checks` for several. Automatic checks cost a reduction for each instruction; they do
        not look into reducers.

    >>> def f(x):
    ...     check(x > 0, "x is {}, which is not positive", x)
    ...     return np.log(x)
    >>> error, y = xlac.jit(checkify(f))(np.float32(-1))
    >>> error.throw()  # raises CheckError
    """
    enabled = frozenset(errors)
    unknown = enabled - all_checks
    if unknown:
        raise ValueError(
            f"checkify: errors holds {sorted(unknown)[0]!r}; use the sets of this module, such as nan_checks"
        )

    def traced(args: tuple, kwargs: dict[str, Any]) -> tuple[Error, Any]:
        owner = trace.active()
        session = owner.session
        checks = _Checks(enabled, owner)
        outer = session.watch
        session.checks.append(checks)
        session.watch = checks.watch if enabled & automatic_checks else None
        try:
            result = f(*args, **kwargs)
        finally:
            session.checks.pop()
            session.watch = outer
        return checks.error(), result

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> tuple[Error, Any]:
        if trace.current() is not None:
            return traced(args, kwargs)
        from xlac.frontend.jit import run_once

        return run_once(lambda a, k: traced(a, k), f"checkify_{trace.name_of(f)}", (args, kwargs))

    return call
