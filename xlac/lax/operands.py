"""What all of `xlac.lax` shares: conversion and broadcasting of operands, and how its functions are declared."""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.frontend import dtypes, trace
from xlac.frontend.eager import array_function
from xlac.frontend.trace import emit, lift, shape_error, shown
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, element_type


class Declared:
    """The functions of one module: `public` declares one, and its name is put into `names`."""

    def __init__(self, module: str, names: list[str]) -> None:
        self.module, self.names = module, names

    def public(self, function: Callable[..., Any]) -> Any:
        """A function of arrays, which runs on concrete ones too."""
        self.names.append(function.__name__)
        return array_function(function)

    def named(self, function: Callable[..., Any], name: str, what: str) -> Any:
        """`public` of a function that a factory made."""
        function.__name__ = function.__qualname__ = name
        function.__module__ = self.module
        function.__doc__ = what
        return self.public(function)


def convert(x: Tracer, dtype: np.dtype, weak: bool = False) -> Tracer:
    """`x` in another type.

    What stands for a Python number is converted from that number, so that it is rounded once.
    """
    if x.dtype == dtype:
        return x if x.weak_type == weak else Tracer(x._trace, x._instruction, weak, x.exact if weak else None)
    if isinstance(x.exact, Tracer):
        if dtype == x.exact.dtype:
            return Tracer(x.exact._trace, x.exact._instruction, weak)
        return emit(op.convert, x.exact, shape=ArrayShape(element_type(dtype)), weak=weak)
    if x.exact is not None and (dtypes.is_complex(dtype) or not isinstance(x.exact, builtins.complex)):
        active = trace.active()
        return Tracer(active, active.constant(trace.scalar_array(x.exact, dtype)), weak, x.exact if weak else None)
    return emit(op.convert, x, shape=ArrayShape(element_type(dtype), x.shape), weak=weak)


def expand(x: Tracer, shape: Sequence[int], dimensions: Sequence[int]) -> Tracer:
    """HLO's broadcast: dimension i of `x` becomes dimension `dimensions[i]` of the result."""
    if x.shape == tuple(shape):
        return x
    target = ArrayShape(element_type(x.dtype), tuple(shape))
    return emit(op.broadcast, x, shape=target, dimensions=tuple(dimensions), weak=x.weak_type)


def match(name: str, values: Sequence[Any]) -> list[Tracer]:
    """The operands of an elementwise opcode, in one type and shape: weak ones converted, scalars broadcast."""
    operands = [lift(v) for v in values]
    strong = [t for t in operands if not t.weak_type]
    for t in strong:
        if t.dtype != strong[0].dtype:
            raise shape_error(
                f"{name}: operands {' and '.join(map(shown, operands))}; they must be of one type (convert one with "
                "lax.convert_element_type, or use xlac.numpy, which promotes)"
            )
    dtype, weak = dtypes.promote(*((t.dtype, t.weak_type) for t in operands))
    operands = [convert(t, dtype, weak) for t in operands]
    shapes = [t.shape for t in operands if t.shape]
    if shapes:
        operands = [expand(t, shapes[0], ()) if not t.shape else t for t in operands]
        for t in operands:
            if t.shape != shapes[0]:
                listed = " and ".join(map(shown, operands))
                raise shape_error(f"{name}: operands {listed}; they must be of one shape (xlac.numpy broadcasts)")
    return operands


def as_dims(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple; traced values in it raise with the user's line."""
    if not isinstance(shape, (tuple, list)):
        shape = (shape,) if isinstance(shape, Tracer) or np.ndim(shape) == 0 else shape
    return tuple([n.__index__() for n in shape])


def identity(name: str, dtype: np.dtype) -> Any:
    """The neutral value of a reducer."""
    row = element_type(dtype)
    if name in ("add", "or", "xor"):
        return np.zeros((), dtype)
    if name == "multiply":
        return np.ones((), dtype)
    if name == "and":
        return np.asarray(True) if row.kind == "p" else ~np.zeros((), dtype)
    high = name == "minimum"
    if row.kind == "p":
        return np.asarray(high)
    if row.is_float:
        import ml_dtypes

        info = ml_dtypes.finfo(dtype)
        with np.errstate(all="ignore"):
            limit = np.asarray(math.inf if high else -math.inf).astype(dtype)
        return limit if np.isinf(limit.astype(np.float32)) else np.asarray(info.max if high else info.min, dtype)
    if row.is_complex:
        value = builtins.complex(math.inf, math.inf) if high else builtins.complex(-math.inf, -math.inf)
        return np.asarray(value, dtype)
    edge = (1 << (row.bits - (row.kind == "s"))) - 1 if high else -(1 << (row.bits - 1)) if row.kind == "s" else 0
    return np.asarray(edge).astype(dtype)
