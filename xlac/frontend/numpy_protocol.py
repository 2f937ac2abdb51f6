"""Plain NumPy on traced arrays: which function of `xlac.numpy` stands for which of NumPy's.

NumPy hands a call with a traced array among its arguments to `call_ufunc` or `call_function`. Functions are found by
name; the tables below hold only what has another name or behaves differently.
"""

from __future__ import annotations

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

# The reductions, and running reductions, of ufuncs.
REDUCTIONS: dict[str, str] = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
    "fmax": "nanmax",
    "fmin": "nanmin",
}
ACCUMULATIONS: dict[str, str] = {"add": "cumsum", "multiply": "cumprod"}

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
    "save": "the result of the jitted function",
    "array2string": "the result of the jitted function",
    "array_repr": "the result of the jitted function",
    "array_str": "the result of the jitted function",
}


def _xnp() -> Any:
    import xlac.numpy

    return xlac.numpy


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple, kwargs: dict[str, Any]) -> Any:
    """Run a ufunc, or its reduce, accumulate or outer, on traced arrays.

    Raises:
      TraceError: out= or where= was given, or there is no such function on traced arrays.
    """
    name = ufunc.__name__
    out = kwargs.pop("out", None)
    if out is not None and any(o is not None for o in (out if isinstance(out, tuple) else (out,))):
        target = out[0] if isinstance(out, tuple) else out
        if not isinstance(target, Tracer):
            hint = f"x = x + y in place of x += y where x is a NumPy array, or numpy.{name}(...) without out="
        else:
            hint = f"assign the result: x = numpy.{name}(...)"
        raise trace.trace_error(f"numpy.{name}: a traced value cannot be written into an array (out=); use {hint}")
    if method == "__call__":
        if kwargs.pop("where", True) is not True:
            raise trace.trace_error(
                f"numpy.{name}: where= cannot be used on traced values; use xlac.numpy.where(mask, {name}(...), x)"
            )
        dtype = kwargs.pop("dtype", None)
        for setting in ("casting", "order", "subok"):
            kwargs.pop(setting, None)
        function = getattr(_xnp(), UFUNC_NAMES.get(name, name), None)
        if function is None or kwargs:
            raise _unsupported(name, kwargs)
        result = function(*inputs)
        return result if dtype is None else _xnp().astype(result, dtype)
    table = {"reduce": REDUCTIONS, "accumulate": ACCUMULATIONS}.get(method)
    if table is not None and name in table:
        function = getattr(_xnp(), table[name])
        array, *rest = inputs
        settings = {k: v for k, v in kwargs.items() if v is not np._NoValue}
        if rest:
            settings["axis"] = rest[0]
        settings.setdefault("axis", 0)
        if settings.get("where") is True:
            settings.pop("where")
        if name in ("maximum", "minimum", "logical_and", "logical_or", "fmax", "fmin"):
            settings.pop("dtype", None)
        return function(array, **settings)
    if method == "outer" and len(inputs) == 2:
        x, y = (_xnp().asarray(v) for v in inputs)
        wide = _xnp().expand_dims(x, tuple(range(x.ndim, x.ndim + y.ndim)))
        return call_ufunc(ufunc, "__call__", (wide, y), kwargs)
    if method == "at":
        raise trace.trace_error(f"numpy.{name}.at changes its argument; use x = x.at[index].{name}(values)")
    raise _unsupported(f"{name}.{method}", {})


def call_function(func: Any, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Run a NumPy function on traced arrays.

    Raises:
      TraceError: there is no such function on traced arrays.
    """
    xnp = _xnp()
    module, name = getattr(func, "__module__", "numpy") or "numpy", func.__name__
    home = xnp.linalg if module.startswith("numpy.linalg") else xnp
    if module.startswith(("numpy.fft", "numpy.random")):
        home = getattr(xnp, module.split(".")[1], None)
    name = {"amax": "max", "amin": "min", "round_": "round"}.get(name, name)
    function = getattr(home, name, None) if name in getattr(home, "__all__", ()) else None
    if function is None or name in INSTEAD and name != "where":
        raise _unsupported(name, kwargs)
    if kwargs.get("out") is not None:
        raise trace.trace_error(
            f"numpy.{name}: a traced value cannot be written into an array (out=); assign the result"
        )
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue and k not in ("out", "subok", "like", "casting")}
    try:
        return function(*args, **kwargs)
    except TypeError as error:
        if "unexpected keyword argument" in str(error) or "positional argument" in str(error):
            raise trace.trace_error(f"numpy.{name}: {error}; on traced arrays use xlac.numpy.{name}") from None
        raise


def _unsupported(name: str, kwargs: dict[str, Any]) -> Exception:
    short = name.split(".")[0]
    if short in INSTEAD:
        instead = f"use {INSTEAD[short]}"
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
