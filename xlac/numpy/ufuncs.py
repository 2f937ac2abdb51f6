"""The methods that NumPy's ufuncs have, for functions of `xlac.numpy`: reduce, accumulate, outer, reduceat and at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import indexing, trace
from xlac.frontend.eager import Array, ArrayLike, array_function, program_function
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import identity
from xlac.lax.reductions import reduce_named, running
from xlac.numpy import _core, elementwise, functional, reductions, shaping
from xlac.numpy._core import as_tracer, no_out, normalize_axis


@array_function
def _cumlogsumexp(a: ArrayLike, axis: int) -> Array:
    return lax.cumlogsumexp(_core.inexact(a), axis)


# Functions with a reduction of their own, and with a running one.
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "add": reductions.sum,
    "multiply": reductions.prod,
    "maximum": reductions.max,
    "minimum": reductions.min,
    "logical_and": reductions.all,
    "logical_or": reductions.any,
    "fmax": reductions.nanmax,
    "fmin": reductions.nanmin,
}
RUNNING: dict[str, Callable[..., Any]] = {
    "add": reductions.cumsum,
    "multiply": reductions.cumprod,
    "maximum": lax.cummax,
    "minimum": lax.cummin,
    "logaddexp": _cumlogsumexp,
}
# Functions that are one opcode on whole numbers, or on truth values.
BITS = {"bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor"}
TRUTHS = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}
IDENTITIES = {
    "add": 0,
    "subtract": None,
    "multiply": 1,
    "logical_and": True,
    "logical_or": False,
    "logical_xor": False,
    "bitwise_and": -1,
    "bitwise_or": 0,
    "bitwise_xor": 0,
    "logaddexp": -np.inf,
    "logaddexp2": -np.inf,
}


class Methods:
    """The methods of one function of `nin` arrays.

    Attributes:
      name: NumPy's name of the function.
      function: it takes and gives traced arrays.
      identity: the number that leaves every other as it is, or None.
    """

    def __init__(self, name: str, function: Callable[..., Any], nin: int, nout: int, identity: Any = None) -> None:
        self.name, self.function, self.nin, self.nout, self.identity = name, function, nin, nout, identity
        self.nargs = nin + nout

    def __repr__(self) -> str:
        return f"<ufunc {self.name}>"

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.nin:
            raise trace.shape_error(f"{self.name}: {len(args)} arguments; it takes {self.nin}")
        return self.function(*args)

    def _binary(self, method: str, out: Any = None) -> None:
        no_out(f"{self.name}.{method}", out)
        if (self.nin, self.nout) != (2, 1):
            raise trace.trace_error(f"{self.name}.{method}: only functions of two arrays with one result have it")

    def _opcode(self, a: Any) -> tuple[Tracer, str | None]:
        """The array, and the opcode that combines its elements if there is one."""
        x = as_tracer(a)
        if self.name in TRUTHS:
            return elementwise.truth(x), TRUTHS[self.name]
        return x, BITS.get(self.name)

    def _rows(self, a: Any, axis: int, dtype: Any, initial: Any = None) -> tuple[Tracer, Tracer | None]:
        """What is folded, along the first axis and in the type of the results; and the initial value in it."""
        x = as_tracer(a)
        x = lax.transpose(x, [axis, *(d for d in range(x.ndim) if d != axis)])
        if dtype is None:
            one = lax.full(x.shape[1:], 1, x.dtype)
            dtype = as_tracer(self.function(one, one)).dtype
        x = lax.convert_element_type(x, dtype)
        return x, None if initial is None else lax.convert_element_type(as_tracer(initial), dtype)

    def reduce(
        self,
        a: Any,
        axis: Any = 0,
        dtype: Any = None,
        out: None = None,
        keepdims: bool = False,
        initial: Any = None,
        where: Any = None,
    ) -> Any:
        """The elements along an axis combined, the first with the second, that with the third, and so on.

        Raises:
          TraceError: there are no elements and no initial value, or `where` is given to a function without identity.
        """
        self._binary("reduce", out)
        named = REDUCTIONS.get(self.name)
        if named is not None:
            settings = {"dtype": dtype} if self.name in ("add", "multiply") else {}
            if initial is not None and self.name not in ("logical_and", "logical_or"):
                settings["initial"] = initial
            if where is not None:
                settings["where"] = where
            return named(a, axis=axis, keepdims=keepdims, **settings)
        return self._reduce(a, axis, dtype, keepdims, initial, where)

    @program_function
    def _reduce(self, a: Any, axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any) -> Any:
        x, opcode = self._opcode(a)
        axes = _core.normalize_axes(axis, x.ndim, f"{self.name}.reduce")
        if where is not None:
            if self.identity is None:
                raise trace.trace_error(f"{self.name}.reduce: where= needs a function that has an identity")
            neutral = lax.full_like(x, self.identity)
            x = elementwise.where(where, x, neutral)
        if opcode is not None:
            result = reduce_named(opcode, x, axes)
            if initial is not None:
                result = self.function(result, initial)
        else:
            if len(axes) != 1:
                raise trace.shape_error(f"{self.name}.reduce: axis={axis!r}; its order matters, so give one axis")
            result = self._fold(x, axes[0], dtype, initial)
        if keepdims:
            result = lax.expand_dims(result, axes)
        return result if dtype is None else lax.convert_element_type(result, dtype)

    def _fold(self, x: Tracer, axis: int, dtype: Any, initial: Any) -> Tracer:
        rows, start = self._rows(x, axis, dtype, self.identity if initial is None and not x.shape[axis] else initial)
        if start is None:
            if not rows.shape[0]:
                raise trace.trace_error(f"{self.name}.reduce: there is nothing to reduce, and no initial value")
            start, rows = rows[0], rows[1:]
        start = _core.stretch(start, rows.shape[1:])
        return self._scan(start, rows)[0]

    def _scan(self, start: Tracer, rows: Tracer) -> tuple[Tracer, Tracer]:
        def step(total: Tracer, row: Tracer) -> tuple[Tracer, Tracer]:
            new = lax.convert_element_type(as_tracer(self.function(total, row)), start.dtype)
            return new, new

        return lax.scan(step, start, rows)

    def accumulate(self, a: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """The results of reducing the first, the first two, ... elements along an axis."""
        self._binary("accumulate", out)
        named = RUNNING.get(self.name)
        if named is not None and (dtype is None or self.name in ("add", "multiply")):
            return named(a, axis, **({} if dtype is None else {"dtype": dtype}))
        return self._accumulate(a, axis, dtype)

    @program_function
    def _accumulate(self, a: Any, axis: int, dtype: Any) -> Any:
        x, opcode = self._opcode(a)
        along = normalize_axis(axis, x.ndim, f"{self.name}.accumulate")
        if opcode is not None:
            x = x if dtype is None else lax.convert_element_type(x, dtype)
            init = identity(opcode, x.dtype)
            return running(x, along, False, init, trace.reducer(opcode, x.dtype))
        rows, _ = self._rows(x, along, dtype)
        if rows.shape[0]:
            _, later = self._scan(rows[0], rows[1:])
            rows = lax.concatenate([rows[:1], later], 0)
        return shaping.moveaxis(rows, 0, along)

    def outer(self, A: Any, B: Any, /) -> Any:
        """The function of each element of A with each of B."""
        self._binary("outer")
        x, y = (v if hasattr(v, "ndim") else np.asarray(v) for v in (A, B))
        return self.function(shaping.expand_dims(x, tuple(range(x.ndim, x.ndim + y.ndim))), B)

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None, out: None = None) -> Any:
        """For each of the fixed indices, what stands between it and the next one reduced along an axis.

        Where the next index is not greater, the result is the element at the index.
        """
        self._binary("reduceat", out)
        if isinstance(indices, Tracer):
            raise trace.trace_error(f"{self.name}.reduceat: the indices are traced; they must be fixed")
        starts = np.asarray(indices, np.int64)
        return self._reduceat(a, tuple(starts.tolist()), axis, dtype)

    @program_function
    def _reduceat(self, a: Any, starts: Sequence[int], axis: int, dtype: Any) -> Any:
        x = as_tracer(a)
        along = normalize_axis(axis, x.ndim, f"{self.name}.reduceat")
        n = x.shape[along]
        for start in starts:
            if not 0 <= start < n:
                raise trace.shape_error(f"{self.name}.reduceat: index {start} along an axis of extent {n}")
        parts = [
            self.reduce(lax.slice_in_dim(x, i, max(j, i + 1), axis=along), along, dtype, keepdims=True)
            for i, j in zip(starts, [*starts[1:], n])
        ]
        return lax.concatenate(parts, along)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """`a` with the function of its elements at the indices, and of `b`, once for each time a place is named.

        Raises:
          TraceError: `inplace` is not False, as arrays are not changed in place.
        """
        if inplace:
            raise trace.trace_error(
                f"{self.name}.at: arrays are not changed in place; use x = {self.name}.at(x, indices, b, inplace=False)"
            )
        if self.nin == 1:
            return lift_at(a)[indices].apply(self.function)
        self._binary("at")
        return _combined_at(a, indices, b, self.function)


def lift_at(a: Any) -> Any:
    """`a.at`, for arrays of any class."""
    from xlac.frontend.eager import as_array

    return indexing.At(a) if isinstance(a, Tracer) or trace.current() is not None else as_array(a).at


@program_function
def _combined_at(a: Any, indices: Any, b: Any, function: Callable[..., Any]) -> Any:
    return indexing.AtIndex(as_tracer(a), indices).combine(function, b)


def methods_of(name: str, function: Callable[..., Any]) -> Methods:
    """The methods of the function that stands for NumPy's ufunc of this name."""
    row = getattr(np, name)
    return Methods(name, function, row.nin, row.nout, IDENTITIES.get(name))


def install(namespace: dict[str, Any]) -> None:
    """Give the functions of a namespace that are ufuncs in NumPy the methods and attributes of ufuncs."""
    for name, function in namespace.items():
        row = getattr(np, name, None) if hasattr(function, "traced") else None
        if isinstance(row, np.ufunc):
            methods = methods_of(name, function)
            for attribute in ("nin", "nout", "nargs", "identity", "reduce", "accumulate", "outer", "reduceat", "at"):
                setattr(function, attribute, getattr(methods, attribute))


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> Methods:
    """A function of `nin` scalars with `nout` results as a ufunc: mapped over arrays that broadcast, with methods."""
    return Methods(getattr(func, "__name__", "function"), functional.vectorize(func), nin, nout, identity)


__all__ = ["frompyfunc"]
