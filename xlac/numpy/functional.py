"""Functions of `xlac.numpy` that take functions: vectorize, apply_along_axis, piecewise."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax, tree
from xlac.frontend import trace
from xlac.frontend.eager import program_function, run_program
from xlac.frontend.tracer import Tracer
from xlac.numpy import _core, elementwise
from xlac.numpy._core import as_tracer, normalize_axis

__all__ = ["apply_along_axis", "apply_over_axes", "piecewise", "vectorize"]


def _map_rows(function: Callable[..., Any], rows: Sequence[Tracer]) -> Any:
    """`function` of each place along the first axis of all, its results stacked."""
    from xlac.frontend.batching import vmap

    return vmap(function)(*rows)


@program_function
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """`func1d` of each vector along an axis; its results take the vector's place."""
    x = as_tracer(arr)
    axis = normalize_axis(axis, x.ndim, "apply_along_axis")
    rest = [d for d in range(x.ndim) if d != axis]
    shape = tuple(x.shape[d] for d in rest)
    rows = lax.reshape(lax.transpose(x, [*rest, axis]), (math.prod(shape), x.shape[axis]))
    made = as_tracer(_map_rows(lambda row: as_tracer(func1d(row, *args, **kwargs)), [rows]))
    inner = made.shape[1:]
    made = lax.reshape(made, (*shape, *inner))
    order = list(range(len(shape)))
    order[axis:axis] = range(len(shape), len(shape) + len(inner))
    return lax.transpose(made, order)


@program_function
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: Any) -> Any:
    """`func(array, axis)` for one axis after the other; a dimension it drops is put back with extent 1."""
    x = as_tracer(a)
    for axis in (axes,) if np.ndim(axes) == 0 else axes:
        axis = normalize_axis(axis, x.ndim, "apply_over_axes")
        made = as_tracer(func(x, axis))
        if made.ndim == x.ndim - 1:
            made = lax.expand_dims(made, (axis,))
        if made.ndim != x.ndim:
            raise trace.shape_error(f"apply_over_axes: the function gives an array {trace.shown(made)}")
        x = made
    return x


@program_function
def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """For each element, the function (or number) of the last condition that holds; one more is for all others."""
    at = as_tracer(x)
    if (
        isinstance(condlist, (list, tuple))
        and condlist
        and np.ndim(condlist[0]) == at.ndim
        and not isinstance(condlist[0], (bool, np.bool_))
    ):
        conditions = [elementwise.truth(as_tracer(c)) for c in condlist]
    elif isinstance(condlist, (list, tuple)):
        conditions = [elementwise.truth(as_tracer(c)) for c in condlist]
    else:
        given = elementwise.truth(as_tracer(condlist))
        conditions = list(given) if given.ndim > at.ndim else [given]
    functions = list(funclist)
    if len(functions) == len(conditions) + 1:
        other = functions.pop()
    elif len(functions) == len(conditions):
        other = 0
    else:
        raise trace.shape_error(f"piecewise: {len(functions)} functions for {len(conditions)} conditions")

    def value(f: Any) -> Tracer:
        made = f(at, *args, **kw) if callable(f) else f
        return _core.stretch(lax.convert_element_type(as_tracer(made), at.dtype), at.shape)

    result = value(other)
    for condition, f in zip(conditions, functions):
        result = lax.select(_core.stretch(condition, at.shape), value(f), result)
    return result


_CORE = re.compile(r"\(([^()]*)\)")


def _signature(text: str) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    """The core dimensions of arguments and results of a signature such as "(m,n),(n)->(m)"."""
    left, arrow, right = text.replace(" ", "").partition("->")
    if not arrow or _CORE.sub("", left).strip(",") or _CORE.sub("", right).strip(","):
        raise ValueError(f"vectorize: signature={text!r}; it must be like '(m,n),(n)->(m)'")
    return tuple([tuple(filter(None, part.split(","))) for part in _CORE.findall(side)] for side in (left, right))  # type: ignore[return-value]


class vectorize:
    """A function of scalars, or of arrays of the core dimensions of `signature`, mapped over all other dimensions.

    The other dimensions of the arguments broadcast. `excluded` names arguments, by place or name, that are passed as
    they are.
    """

    def __init__(
        self, pyfunc: Callable[..., Any], *, excluded: Any = frozenset(), signature: str | None = None
    ) -> None:
        functools.update_wrapper(self, pyfunc)
        self.pyfunc, self.excluded = pyfunc, frozenset(excluded)
        self.signature = None if signature is None else _signature(signature)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if trace.current() is None:
            return run_program(lambda: self._run(args, kwargs), "vectorize")
        return self._run(args, kwargs)

    def _run(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        moving = [i for i in range(len(args)) if i not in self.excluded]
        names = [n for n in kwargs if n not in self.excluded]
        xs = [as_tracer(v) for v in (*(args[i] for i in moving), *(kwargs[n] for n in names))]
        cores = [()] * len(xs) if self.signature is None else self.signature[0]
        if len(cores) != len(xs):
            raise trace.shape_error(f"vectorize: {len(xs)} arguments for a signature of {len(cores)}")
        sizes: dict[str, int] = {}
        leads = []
        for i, (x, core) in enumerate(zip(xs, cores)):
            if x.ndim < len(core):
                raise trace.shape_error(f"vectorize: argument {i} of shape {trace.shown(x)} lacks dimensions {core}")
            split = x.ndim - len(core)
            leads.append(x.shape[:split])
            for name, n in zip(core, x.shape[split:]):
                if sizes.setdefault(name, n) != n:
                    raise trace.shape_error(f"vectorize: core dimension {name} is {sizes[name]} and {n}")
        try:
            lead = np.broadcast_shapes(*leads)
        except ValueError:
            listed = ", ".join(str(list(s)) for s in leads)
            raise trace.shape_error(f"vectorize: shapes {listed} do not broadcast together") from None
        count = math.prod(lead)
        rows = []
        for x, own in zip(xs, leads):
            wide = _core.stretch(x, (*lead, *x.shape[len(own) :]))
            rows.append(lax.reshape(wide, (count, *x.shape[len(own) :])))

        def one(*parts: Any) -> Any:
            given = list(args)
            for i, value in zip(moving, parts):
                given[i] = value
            named = {**kwargs, **dict(zip(names, parts[len(moving) :]))}
            return self.pyfunc(*given, **named)

        if not lead:
            return one(*[lax.reshape(r, r.shape[1:]) for r in rows])
        made = _map_rows(one, rows)
        return tree.map(lambda r: lax.reshape(r, (*lead, *r.shape[1:])), made)
