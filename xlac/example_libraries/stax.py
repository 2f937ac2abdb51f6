"""Layers of neural networks as pairs of functions, and how to put them together.

A layer is `(init, apply)`: `init(key, input_shape)` gives (output_shape, params), `apply(params, inputs, **kwargs)` the
outputs; `rng=key` among kwargs is for layers that draw. A number of examples of -1 in shapes stands for any.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import xlac
import xlac.numpy as xnp
from xlac import lax, nn, random
from xlac.errors import EstimatorError
from xlac.nn.initializers import glorot_normal, normal, ones, zeros

__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Conv1DTranspose",
    "ConvTranspose",
    "Dense",
    "Dropout",
    "Elu",
    "Exp",
    "FanInConcat",
    "FanInSum",
    "FanOut",
    "Flatten",
    "Gelu",
    "GeneralConv",
    "GeneralConvTranspose",
    "Identity",
    "LeakyRelu",
    "LogSoftmax",
    "MaxPool",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SumPool",
    "Tanh",
    "elementwise",
    "parallel",
    "serial",
    "shape_dependent",
]

Shape = tuple[int, ...]
Layer = tuple[Callable[..., Any], Callable[..., Any]]

_GLOROT, _NORMAL, _SMALL = glorot_normal(), normal(), normal(1e-6)

# JAX's names of functions that layers are made of.
glorot, randn = glorot_normal, normal


def _output_shape(apply: Callable[[Any], Any], shape: Shape, place: int) -> Shape:
    """The shape of the outputs; -1 at a place where it is among those of the inputs."""
    given = tuple(1 if n == -1 else n for n in shape)
    made = xlac.eval_shape(apply, xlac.ShapeDtypeStruct(given, np.float32)).shape
    return tuple(-1 if d == place and -1 in shape else n for d, n in enumerate(made))


def Dense(out_dim: int, W_init: Any = _GLOROT, b_init: Any = _NORMAL) -> Layer:
    """x W + b over the last dimension."""

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        first, second = random.split(rng)
        params = W_init(first, (input_shape[-1], out_dim)), b_init(second, (out_dim,))
        return (*input_shape[:-1], out_dim), params

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        weights, bias = params
        return xnp.dot(inputs, weights) + bias

    return init, apply


def _convolution(
    run: Callable[..., Any],
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None,
    padding: Any,
    W_init: Any,
    b_init: Any,
) -> Layer:
    lhs, rhs, out = dimension_numbers
    steps = tuple(strides or (1,) * len(filter_shape))
    weights_init = W_init or glorot_normal(rhs.index("I"), rhs.index("O"))

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        extents = iter(filter_shape)
        named = {"O": out_chan, "I": input_shape[lhs.index("C")]}
        kernel = tuple(named[c] if c in named else next(extents) for c in rhs)
        first, second = random.split(rng)
        params = weights_init(first, kernel), b_init(second, tuple(out_chan if c == "C" else 1 for c in out))
        return _output_shape(lambda x: apply(params, x), input_shape, out.index("N")), params

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        weights, bias = params
        return run(inputs, weights, steps, padding, dimension_numbers=dimension_numbers) + bias

    return init, apply


def GeneralConv(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _SMALL,
) -> Layer:
    """A convolution and a bias; `dimension_numbers` as of `lax.conv_general_dilated`."""
    run = lax.conv_general_dilated
    return _convolution(run, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


def GeneralConvTranspose(
    dimension_numbers: tuple[str, str, str],
    out_chan: int,
    filter_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    padding: Any = "VALID",
    W_init: Any = None,
    b_init: Any = _SMALL,
) -> Layer:
    """A transposed convolution and a bias."""
    run = lax.conv_transpose
    return _convolution(run, dimension_numbers, out_chan, filter_shape, strides, padding, W_init, b_init)


Conv = functools.partial(GeneralConv, ("NHWC", "HWIO", "NHWC"))
Conv1DTranspose = functools.partial(GeneralConvTranspose, ("NHC", "HIO", "NHC"))
ConvTranspose = functools.partial(GeneralConvTranspose, ("NHWC", "HWIO", "NHWC"))


def BatchNorm(
    axis: int | Sequence[int] = (0, 1, 2),
    epsilon: float = 1e-5,
    center: bool = True,
    scale: bool = True,
    beta_init: Any = zeros,
    gamma_init: Any = ones,
) -> Layer:
    """Inputs of mean 0 and variance 1 over axes of the batch at hand, then scaled by gamma and shifted by beta."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)

    def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        shape = tuple(n for d, n in enumerate(input_shape) if d not in axes)
        first, second = random.split(rng)
        return input_shape, (beta_init(first, shape) if center else (), gamma_init(second, shape) if scale else ())

    def apply(params: Any, x: Any, **kwargs: Any) -> Any:
        beta, gamma = (xnp.expand_dims(p, axes) if len(p) else p for p in params)
        z = nn.standardize(x, axes, epsilon=epsilon)
        z = gamma * z if scale else z
        return z + beta if center else z

    return init, apply


def elementwise(fun: Callable[..., Any], **fun_kwargs: Any) -> Layer:
    """A layer without parameters that applies a function."""
    return (lambda rng, input_shape: (input_shape, ())), (lambda params, inputs, **kwargs: fun(inputs, **fun_kwargs))


Tanh = elementwise(xnp.tanh)
Relu = elementwise(nn.relu)
Exp = elementwise(xnp.exp)
LogSoftmax = elementwise(nn.log_softmax, axis=-1)
Softmax = elementwise(nn.softmax, axis=-1)
Softplus = elementwise(nn.softplus)
Sigmoid = elementwise(nn.sigmoid)
Elu = elementwise(nn.elu)
LeakyRelu = elementwise(nn.leaky_relu)
Selu = elementwise(nn.selu)
Gelu = elementwise(nn.gelu)


# ---- pooling


def _pooling(reducer: Callable[..., Any], start: float, mean: bool, what: str) -> Callable[..., Layer]:
    def make(
        window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: Any = "VALID", spec: Any = None
    ) -> Layer:
        steps = list(strides or (1,) * len(window_shape))
        window = list(window_shape)
        batch, channel = (0, len(window) + 1) if spec is None else (spec.index("N"), spec.index("C"))
        for d in sorted((batch, channel)):
            window.insert(d, 1)
            steps.insert(d, 1)

        def init(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
            return _output_shape(lambda x: apply((), x), input_shape, batch), ()

        def pool(x: Any) -> Any:
            return lax.reduce_window(x, start, reducer, window, steps, padding)

        def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
            made = pool(inputs)
            # Windows that reach beyond the edge have fewer elements.
            return made / pool(xnp.ones_like(inputs)) if mean else made

        return init, apply

    make.__name__, make.__doc__ = what, f"{what} over windows; `spec` names the dimensions, such as NHWC (the usual)."
    return make


MaxPool = _pooling(lax.max, -math.inf, False, "MaxPool")
SumPool = _pooling(lax.add, 0.0, False, "SumPool")
AvgPool = _pooling(lax.add, 0.0, True, "AvgPool")


# ---- shapes


Flatten: Layer = (
    lambda rng, input_shape: ((input_shape[0], math.prod(input_shape[1:])), ()),
    lambda params, inputs, **kwargs: xnp.reshape(inputs, (inputs.shape[0], -1)),
)
Identity: Layer = elementwise(lambda x: x)


def FanOut(num: int) -> Layer:
    """The inputs, several times, for `parallel`."""
    return (lambda rng, shape: ([shape] * num, ())), (lambda params, inputs, **kwargs: [inputs] * num)


FanInSum: Layer = (
    lambda rng, input_shapes: (input_shapes[0], ()),
    lambda params, inputs, **kwargs: functools.reduce(operator.add, inputs),
)


def FanInConcat(axis: int = -1) -> Layer:
    """Several inputs along an axis."""

    def init(rng: Any, input_shapes: Sequence[Shape]) -> tuple[Shape, Any]:
        place = axis % len(input_shapes[0])
        total = sum(shape[place] for shape in input_shapes)
        return (*input_shapes[0][:place], total, *input_shapes[0][place + 1 :]), ()

    return init, lambda params, inputs, **kwargs: xnp.concatenate(inputs, axis)


def Dropout(rate: float, mode: str = "train") -> Layer:
    """Inputs kept with probability `rate` and divided by it, else 0; all as they are where the mode is not "train"."""

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        rng = kwargs.get("rng")
        if rng is None:
            raise EstimatorError("Dropout: apply needs a key, apply(params, inputs, rng=key)")
        if mode != "train":
            return inputs
        keep = random.bernoulli(rng, rate, inputs.shape)
        return xnp.where(keep, inputs / rate, 0)

    return (lambda rng, input_shape: (input_shape, ())), apply


# ---- combinations


def _keys(rng: Any, count: int) -> Any:
    return (None,) * count if rng is None else random.split(rng, count)


def serial(*layers: Layer) -> Layer:
    """Layers one after the other."""
    inits, applies = zip(*layers) if layers else ((), ())

    def init(rng: Any, input_shape: Any) -> tuple[Any, list[Any]]:
        params = []
        for each in inits:
            rng, own = random.split(rng)
            input_shape, made = each(own, input_shape)
            params.append(made)
        return input_shape, params

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        keys = _keys(kwargs.pop("rng", None), len(layers))
        for each, own, key in zip(applies, params, keys):
            inputs = each(own, inputs, rng=key, **kwargs)
        return inputs

    return init, apply


def parallel(*layers: Layer) -> Layer:
    """Layers side by side: a list of inputs, one for each, and a list of outputs."""
    inits, applies = zip(*layers) if layers else ((), ())

    def init(rng: Any, input_shape: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        keys = random.split(rng, len(layers))
        made = [each(key, shape) for each, key, shape in zip(inits, keys, input_shape)]
        return [shape for shape, _ in made], [params for _, params in made]

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        keys = _keys(kwargs.pop("rng", None), len(layers))
        return [each(p, x, rng=key, **kwargs) for each, p, x, key in zip(applies, params, inputs, keys)]

    return init, apply


def shape_dependent(make_layer: Callable[[Any], Layer]) -> Layer:
    """The layer that `make_layer` gives for the inputs' shape."""

    def shapes(inputs: Any) -> Any:
        return [shapes(x) for x in inputs] if isinstance(inputs, (list, tuple)) else inputs.shape

    def init(rng: Any, input_shape: Any) -> tuple[Any, Any]:
        return make_layer(input_shape)[0](rng, input_shape)

    def apply(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return make_layer(shapes(inputs))[1](params, inputs, **kwargs)

    return init, apply
