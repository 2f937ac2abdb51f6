"""Plain NumPy on traced arrays: which function of `xlac.numpy` stands for which of NumPy's.

NumPy hands a call with a traced array among its arguments to `call_ufunc` or `call_function`. Functions are found by
name; the tables below hold only what has another name or behaves differently.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import numpy as np

from xlac.frontend import trace
from xlac.frontend.tracer import Tracer

# NumPy's ufunc name -> xlac.numpy's, where they differ.
UFUNC_NAMES: dict[str, str] = {
    "divide": "true_divide",
    "remainder": "mod",
    "conjugate": "conj",
    "absolute": "abs",
}

# What to use in place of functions that cannot work on traced arrays.
INSTEAD: dict[str, str] = {
    "nonzero": "xlac.numpy.where(mask, x, y)",
    "where": "xlac.numpy.where(mask, x, y) with three arguments",
    "copyto": "x = xlac.numpy.where(mask, y, x)",
    "put": "x = x.at[index].set(values)",
    "place": "x = xlac.numpy.where(mask, y, x)",
    "putmask": "x = xlac.numpy.where(mask, y, x)",
    "fill_diagonal": "xlac.numpy.where(xlac.numpy.eye(n, dtype=bool), value, x)",
    "put_along_axis": "x = x.at[index].set(values)",
    "vectorize": "whole-array operations",
    "isnat": "integers in place of dates",
    **dict.fromkeys(
        ("save", "savez", "savez_compressed", "savetxt", "array2string", "array_repr", "array_str"),
        "the result of the jitted function",
    ),
    "min_scalar_type": "the array's dtype",
}


def _xnp() -> Any:
    import xlac.numpy

    return xlac.numpy


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple, kwargs: dict[str, Any]) -> Any:
    """Run a ufunc, or one of its methods, on traced arrays.

    Raises:
      TraceError: out= was given, or where= to other than a reduction; or there is no such function on traced arrays.
    """
    name = ufunc.__name__
    shown = name if method == "__call__" else f"{name}.{method}"
    out = kwargs.pop("out", None)
    where = kwargs.pop("where", True)
    if where is not True and method == "__call__":
        other = "x" if out is None else "out"
        raise trace.trace_error(
            f"numpy.{name}: where= cannot be used on traced values; use numpy.where(mask, numpy.{name}(...), {other})"
        )
    if out is not None and any(o is not None for o in (out if isinstance(out, tuple) else (out,))):
        raise _no_out(shown, out[0] if isinstance(out, tuple) else out)
    if method == "at":
        raise trace.trace_error(
            f"numpy.{name}.at changes its argument; use x = xlac.numpy.{name}.at(x, indices, values, inplace=False)"
        )
    function = getattr(_xnp(), UFUNC_NAMES.get(name, name), None)
    dtype = kwargs.pop("dtype", None)
    for setting in ("casting", "order", "subok"):
        kwargs.pop(setting, None)
    if function is None:
        raise _unsupported(shown, kwargs)
    if method == "__call__":
        if kwargs:
            raise _unsupported(name, kwargs)
        if dtype is None:
            return function(*inputs)
        wide = np.dtype(dtype)
        if wide != np.bool_:  # the function is computed in the type, not converted to it
            inputs = tuple(_xnp().astype(_xnp().asarray(x), wide) for x in inputs)
        return _xnp().astype(function(*inputs), wide)
    from xlac.numpy.ufuncs import methods_of

    settings = {k: v for k, v in kwargs.items() if v is not np._NoValue and v is not None}
    if "axis" in kwargs:
        settings["axis"] = kwargs["axis"]
    if method == "reduce" and where is not True:
        settings["where"] = where
    if dtype is not None:
        settings["dtype"] = dtype
    return getattr(methods_of(name, function), method)(*inputs, **settings)


def _no_out(name: str, target: Any) -> Exception:
    if isinstance(target, Tracer):
        hint = f"assign the result: x = numpy.{name}(...)"
    else:
        hint = f"x = x + y in place of x += y where x is a NumPy array, or numpy.{name}(...) without out="
    return trace.trace_error(f"numpy.{name}: a traced value cannot be written into an array (out=); use {hint}")


# NumPy's functions that xlac.numpy has under another name.
NAMES = {"amax": "max", "amin": "min", "round_": "round"}
# Arguments that say how a result lies in memory, or how it is computed, not what it is.
_IGNORED = frozenset(("out", "subok", "like", "casting", "kind", "optimize", "copy", "overwrite_input"))


# Where NumPy's default is another one.
DEFAULTS: dict[str, dict[str, Any]] = {
    "linalg.eigh": {"UPLO": "L"},
    "linalg.eigvalsh": {"UPLO": "L"},
    "linalg.cholesky": {"symmetrize_input": False},
}


def call_function(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Run a NumPy function on traced arrays.

    Raises:
      TraceError: there is no such function, or argument of it, on traced arrays.
    """
    xnp = _xnp()
    module, name = getattr(func, "__module__", "numpy") or "numpy", func.__name__
    part = next((p for p in ("linalg", "fft") if module.startswith(f"numpy.{p}")), "")
    home = getattr(xnp, part) if part else xnp
    name = NAMES.get(name, name)
    shown = f"{part}.{name}" if part else name
    function = getattr(home, name, None) if name in getattr(home, "__all__", ()) else None
    if not part and name in OTHERS:
        function = OTHERS[name]
    if function in (None, func) or name in INSTEAD and name != "where":
        raise _unsupported(shown, kwargs)
    if kwargs.get("out") is not None:
        raise _no_out(shown, kwargs["out"])
    positional, named = _arguments(func, function, shown, args, kwargs)
    return function(*positional, **{**DEFAULTS.get(shown, {}), **named})


@functools.cache
def _parameters(function: Any) -> dict[str, inspect.Parameter] | None:
    try:
        return dict(inspect.signature(function).parameters)
    except ValueError:
        return None


def _arguments(
    func: Any, function: Any, name: str, args: tuple, kwargs: dict[str, Any]
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call of NumPy's function for that of xlac: by name, or by place where the names differ.

    Raises:
      TraceError: xlac's function has no such argument, and it is not at its default.
    """
    theirs, ours = _parameters(func), _parameters(function)
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    if theirs is None or ours is None or any("VAR" in p.kind.name for p in (*theirs.values(), *ours.values())):
        return list(args), {k: v for k, v in kwargs.items() if k not in _IGNORED}
    if len(args) > len(theirs):
        raise TypeError(f"{name}: {len(args)} positional arguments; it takes {len(theirs)}")
    names, places = list(theirs), list(ours)
    given = {**dict(zip(names, args)), **kwargs}
    if given.get("out") is not None:
        raise _no_out(name, given["out"])
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for key, value in given.items():
        parameter = theirs.get(key)
        at = names.index(key) if key in theirs else len(places)
        twin = places[at] if at < len(places) and places[at] not in theirs else None
        mine = ours.get(key) or ours.get(twin)  # type: ignore[arg-type]
        if mine is not None and mine.annotation == "ArrayLike" and isinstance(value, (list, tuple)):
            value = _xnp().asarray(value)
        if key in ours and ours[key].kind is not inspect.Parameter.POSITIONAL_ONLY:
            named[key] = value
        elif key in ours or (twin is not None and ours[twin].kind is inspect.Parameter.POSITIONAL_ONLY):
            positional.append(value)
        elif twin is not None:
            named[twin] = value
        elif key in _IGNORED or (parameter is not None and value is parameter.default):
            continue
        else:
            raise trace.trace_error(
                f"numpy.{name}: {key}={value!r} cannot be used on traced arrays; xlac.numpy.{name} takes "
                f"{', '.join(places)}"
            )
    return positional, named


def _real_if_close(a: Any, tol: float = 100) -> Any:
    if np.issubdtype(a.dtype, np.complexfloating):
        raise trace.trace_error(
            "numpy.real_if_close: the type of its result depends on values, which are not known while tracing; use "
            "numpy.real"
        )
    return a


def _sliding_window_view(
    x: Any, window_shape: Any, axis: Any = None, *, subok: bool = False, writeable: bool = False
) -> Any:
    """The windows of an array, in new last dimensions."""
    from xlac.numpy._core import normalize_axis

    sizes = (window_shape,) if isinstance(window_shape, (int, np.integer)) else tuple(window_shape)
    axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    axes = [normalize_axis(a, x.ndim, "sliding_window_view") for a in axes]
    if len(axes) != len(sizes):
        raise trace.shape_error(f"sliding_window_view: window_shape={sizes} for {len(axes)} axes")
    for a, size in zip(axes, sizes):
        if not 0 <= size <= x.shape[a]:
            raise trace.shape_error(f"sliding_window_view: a window of {size} along an axis of extent {x.shape[a]}")
        places = np.arange(x.shape[a] - size + 1)[:, None] + np.arange(size)
        x = _xnp().moveaxis(_xnp().take(x, places.astype(np.int32), axis=a), a + 1, -1)
    return x


def _common_type(*arrays: Any) -> Any:
    types = [np.dtype(np.float64) if np.issubdtype(a.dtype, np.integer) else a.dtype for a in arrays]
    return np.result_type(np.float16, *types).type


def _einsum_path(*operands: Any, optimize: Any = "greedy", einsum_call: bool = False) -> Any:
    """NumPy's own: the shapes alone count."""
    arrays = [np.broadcast_to(np.zeros((), x.dtype), x.shape) if isinstance(x, Tracer) else x for x in operands]
    return np.einsum_path(*arrays, optimize=optimize, einsum_call=einsum_call)


# NumPy's functions on traced arrays that xlac.numpy does not have.
OTHERS: dict[str, Any] = {
    "common_type": _common_type,
    "einsum_path": _einsum_path,
    "real_if_close": _real_if_close,
    "sliding_window_view": _sliding_window_view,
}


def _unsupported(name: str, kwargs: dict[str, Any]) -> Exception:
    short = name.split(".")[-1] if name.startswith(("linalg.", "fft.")) else name.split(".")[0]
    from xlac.scipy import special

    if short in INSTEAD:
        instead = f"use {INSTEAD[short]}"
    elif short not in _xnp().__all__ and hasattr(special, short):
        return trace.trace_error(
            f"scipy.special.{short} does not work on traced arrays; use xlac.scipy.special.{short}"
        )
    else:
        import difflib

        near = difflib.get_close_matches(short, _xnp().__all__, n=2)
        instead = "write it with functions of xlac.numpy and xlac.lax" + (
            f", such as {' or '.join(near)}" if near else ""
        )
    given = f" with {', '.join(kwargs)}" if kwargs else ""
    return trace.trace_error(
        f"numpy.{name}{given} does not work on traced arrays; {instead}, or call it outside the jitted function"
    )
