"""`xlac.nn.initializers`: initial values of variables, with the names and the numbers of `jax.nn.initializers`.

An initializer is a function of (key, shape, dtype) that gives an array; functions of this module that take settings
give one. Without a dtype it is the one named in the settings, or the default float type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import xlac.numpy as xnp
from xlac import random
from xlac.frontend import dtypes
from xlac.frontend.trace import shape_error

__all__ = [
    "Initializer",
    "constant",
    "delta_orthogonal",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "kaiming_normal",
    "kaiming_uniform",
    "lecun_normal",
    "lecun_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

Initializer = Callable[..., Any]
Axes = int | Sequence[int]

# Standard deviation of a standard normal variable given that it is between -2 and 2.
_TRUNCATED_DEVIATION = 0.87962566103423978
_MODES = ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
_DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")


def _type(dtype: Any) -> np.dtype:
    return dtypes.as_dtype(float if dtype is None else dtype)


def _scaled(value: Any, factor: float) -> Any:
    """value times a number that is first rounded to its type."""
    return xnp.multiply(value, np.asarray(factor, value.dtype))


def zeros(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """All 0."""
    return xnp.zeros(shape, _type(dtype))


def ones(key: Any, shape: Sequence[int], dtype: Any = None) -> Any:
    """All 1."""
    return xnp.ones(shape, _type(dtype))


def constant(value: Any, dtype: Any = None) -> Initializer:
    """All `value`, which may be an array that broadcasts."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        return xnp.full(shape, value, _type(dtype))

    return init


def uniform(scale: float = 1e-2, dtype: Any = None) -> Initializer:
    """Uniform in [0, scale)."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        return _scaled(random.uniform(key, shape, _type(dtype)), scale)

    return init


def normal(stddev: float = 1e-2, dtype: Any = None) -> Initializer:
    """Normal of mean 0."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        return _scaled(random.normal(key, shape, _type(dtype)), stddev)

    return init


def truncated_normal(stddev: float = 1e-2, dtype: Any = None, lower: float = -2.0, upper: float = 2.0) -> Initializer:
    """`stddev` times standard normal numbers between `lower` and `upper`."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        return _scaled(random.truncated_normal(key, lower, upper, shape, _type(dtype)), stddev)

    return init


def _extent(shape: Sequence[int], axes: Axes) -> int:
    return shape[axes] if isinstance(axes, int) else math.prod(shape[a] for a in axes)


def fans(shape: Sequence[int], in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = ()) -> tuple[float, float]:
    """Inputs and outputs of a kernel: the extents of these axes times the size of all others but batch axes.

    Raises:
      ShapeError: the shape has no such axes.
    """
    count = len(shape)
    for axes in (in_axis, out_axis, batch_axis):
        for axis in (axes,) if isinstance(axes, int) else axes:
            if not -count <= axis < count:
                raise shape_error(
                    f"initializers: shape {list(shape)} has no axis {axis}; name the axes of inputs and outputs"
                )
    inputs, outputs, batch = (_extent(shape, a) for a in (in_axis, out_axis, batch_axis))
    if not inputs or not outputs or not batch:
        return 0.0, 0.0
    window = math.prod(shape) / inputs / outputs / batch
    return inputs * window, outputs * window


def variance_scaling(
    scale: float,
    mode: str,
    distribution: str,
    in_axis: Axes = -2,
    out_axis: Axes = -1,
    batch_axis: Axes = (),
    dtype: Any = None,
) -> Initializer:
    """Numbers of mean 0 and variance scale / n.

    Args:
      mode: n is the number of inputs ("fan_in"), outputs ("fan_out"), or their mean ("fan_avg", "fan_geo_avg").
      distribution: "uniform", "normal", or "truncated_normal" (at two standard deviations, before scaling).

    Raises:
      ShapeError: there is no such mode or distribution.
    """
    if mode not in _MODES:
        raise shape_error(f"variance_scaling: mode is {mode!r}; it must be one of {', '.join(_MODES)}")
    if distribution not in _DISTRIBUTIONS:
        raise shape_error(
            f"variance_scaling: distribution is {distribution!r}; it must be one of {', '.join(_DISTRIBUTIONS)}"
        )
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        kind = random.keys.float_dtype("variance_scaling", dtype, complex_too=distribution == "normal")
        inputs, outputs = fans(shape, in_axis, out_axis, batch_axis)
        n = {
            "fan_in": inputs,
            "fan_out": outputs,
            "fan_avg": (inputs + outputs) / 2,
            "fan_geo_avg": math.sqrt(inputs * outputs),
        }[mode]
        variance = np.asarray(scale / n if n else 0.0, kind)
        if distribution == "uniform":
            return xnp.multiply(random.uniform(key, shape, kind, -1), np.sqrt(np.asarray(3 * variance, kind)))
        deviation = np.sqrt(variance)
        if distribution == "normal":
            return xnp.multiply(random.normal(key, shape, kind), deviation)
        deviation = np.asarray(deviation / np.asarray(_TRUNCATED_DEVIATION, kind), kind)
        return xnp.multiply(random.truncated_normal(key, -2, 2, shape, kind), deviation)

    return init


def _family(name: str, scale: float, mode: str, distribution: str, what: str) -> Callable[..., Initializer]:
    def make(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None) -> Initializer:
        return variance_scaling(scale, mode, distribution, in_axis, out_axis, batch_axis, dtype)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = what
    return make


glorot_uniform = _family(
    "glorot_uniform", 1, "fan_avg", "uniform", "Uniform in +- sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010)."
)
glorot_normal = _family(
    "glorot_normal", 1, "fan_avg", "truncated_normal", "Truncated normal of variance 2 / (inputs + outputs)."
)
lecun_uniform = _family("lecun_uniform", 1, "fan_in", "uniform", "Uniform in +- sqrt(3 / inputs) (LeCun, 1998).")
lecun_normal = _family("lecun_normal", 1, "fan_in", "truncated_normal", "Truncated normal of variance 1 / inputs.")
he_uniform = _family("he_uniform", 2, "fan_in", "uniform", "Uniform in +- sqrt(6 / inputs) (He and others, 2015).")
he_normal = _family("he_normal", 2, "fan_in", "truncated_normal", "Truncated normal of variance 2 / inputs.")
xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal


def orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """`scale` times a random matrix of orthonormal rows or columns; all axes but `column_axis` count as its rows."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        if len(shape) < 2:
            raise shape_error(f"initializers.orthogonal: shape is {list(shape)}; it must have at least two dimensions")
        if 0 in shape:
            return xnp.zeros(shape, _type(dtype))
        columns = shape[column_axis]
        matrix = random.orthogonal(key, math.prod(shape) // columns, (), _type(dtype), columns)
        rest = [n for d, n in enumerate(shape) if d != column_axis % len(shape)]
        return _scaled(xnp.moveaxis(xnp.reshape(matrix, (*rest, columns)), -1, column_axis), scale)

    return init


def delta_orthogonal(scale: float = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Kernels [window..., inputs, outputs] of convolutions: orthogonal in the middle of the window, 0 elsewhere
    (Xiao and others, 2018)."""
    default = dtype

    def init(key: Any, shape: Sequence[int], dtype: Any = default) -> Any:
        if len(shape) not in (3, 4, 5) or shape[-1] < shape[-2]:
            raise shape_error(
                f"initializers.delta_orthogonal: shape is {list(shape)}; it must be [window..., inputs, outputs] of "
                "3 to 5 dimensions with no fewer outputs than inputs"
            )
        matrix = orthogonal(scale, column_axis, _type(dtype))(key, shape[-2:])
        before = [(n - 1) // 2 for n in shape[:-2]]
        after = [n - 1 - b for n, b in zip(shape[:-2], before)]
        middle = xnp.reshape(matrix, (*[1] * len(before), *shape[-2:]))
        return xnp.pad(middle, (*zip(before, after), (0, 0), (0, 0)))

    return init
