"""Layers: functions that make their variables in the model function that calls them, as TF1's `tf.layers` did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.errors import EstimatorError
from xlac.estimator.spec import check_count, check_real, describe, is_floating
from xlac.estimator.variables import assign, current_scope, normal, ones, random_key, variable, variable_scope, zeros

ACTIVATIONS = ("relu", "relu6", "elu", "selu", "gelu", "leaky_relu", "sigmoid", "silu", "softplus", "softmax", "tanh")
"""Activations that layers take by name; each is xlac.nn's, except tanh, xlac.numpy's."""


def activation_function(activation: str | Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    """The function of an activation given by name, as a function, or as None or "linear" for the identity.

    Raises:
      EstimatorError: there is no such name.
    """
    if activation is None or activation in ("linear", "identity"):
        return lambda x: x
    if callable(activation):
        return activation
    if activation not in ACTIVATIONS:
        raise EstimatorError(
            f"activation is {activation!r}; it must be one of {', '.join(ACTIVATIONS)}, linear, a function, or None"
        )
    from xlac import nn
    from xlac import numpy as xnp

    return xnp.tanh if activation == "tanh" else getattr(nn, activation)


def _floating(x: Any, layer: str) -> Any:
    if not hasattr(x, "shape") or not hasattr(x, "dtype"):
        raise EstimatorError(f"{layer}: x is {describe(x)}; it must be an array")
    if not is_floating(x.dtype):
        raise EstimatorError(f"{layer}: x is {describe(x)}; it must be floating, use x.astype(float32)")
    return x


def dense(
    x: Any,
    units: int,
    activation: str | Callable[[Any], Any] | None = None,
    use_bias: bool = True,
    kernel_initializer: Any = None,
    bias_initializer: Any = 0.0,
    name: str | None = None,
) -> Any:
    """activation(x @ kernel + bias): x [..., inputs] -> [..., units], in x's type.

    Variables: `name/kernel` [inputs, units], Glorot uniform unless said otherwise, and `name/bias` [units].
    """
    _floating(x, "dense")
    units = check_count(units, "dense: units", 1)
    if len(x.shape) < 2:
        raise EstimatorError(f"dense: x is {describe(x)}; it must have a dimension of rows and one of inputs")
    function = activation_function(activation)
    with variable_scope(name or current_scope().unique("dense")):
        result = x @ variable("kernel", (x.shape[-1], units), kernel_initializer, x.dtype)
        if use_bias:
            result = result + variable("bias", (units,), bias_initializer, x.dtype)
    return function(result)


def dropout(x: Any, rate: float, training: bool) -> Any:
    """x with each element set to 0 with probability `rate` and the others divided by 1 - rate; x where not training."""
    _floating(x, "dropout")
    rate = check_real(rate, "dropout: rate", 0.0, 1.0)
    if not training or rate == 0.0:
        return x
    from xlac import numpy as xnp
    from xlac import random

    kept = random.bernoulli(random_key(), 1.0 - rate, x.shape)
    return xnp.where(kept, x / (1.0 - rate), xnp.zeros_like(x))


def batch_normalization(
    x: Any, training: bool, momentum: float = 0.99, epsilon: float = 1e-3, name: str | None = None
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over all dimensions but the last (Ioffe and Szegedy 2015).

    In training the batch's moments are used, and moving averages of them are kept as variables for the other modes.
    """
    _floating(x, "batch_normalization")
    from xlac import numpy as xnp

    features = (x.shape[-1],)
    with variable_scope(name or current_scope().unique("batch_normalization")):
        gamma, beta = variable("gamma", features, ones, x.dtype), variable("beta", features, zeros, x.dtype)
        moving_mean = variable("moving_mean", features, zeros, x.dtype, trainable=False)
        moving_variance = variable("moving_variance", features, ones, x.dtype, trainable=False)
        mean, variance = moving_mean, moving_variance
        if training:
            axes = tuple(range(len(x.shape) - 1))
            mean = xnp.mean(x, axis=axes)
            variance = xnp.mean(xnp.square(x - mean), axis=axes)
            assign("moving_mean", momentum * moving_mean + (1.0 - momentum) * mean)
            assign("moving_variance", momentum * moving_variance + (1.0 - momentum) * variance)
    return (x - mean) / xnp.sqrt(variance + epsilon) * gamma + beta


def layer_normalization(x: Any, epsilon: float = 1e-5, name: str | None = None) -> Any:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over the last dimension (Ba, Kiros and Hinton 2016)."""
    _floating(x, "layer_normalization")
    from xlac import numpy as xnp

    features = (x.shape[-1],)
    with variable_scope(name or current_scope().unique("layer_normalization")):
        gamma, beta = variable("gamma", features, ones, x.dtype), variable("beta", features, zeros, x.dtype)
    mean = xnp.mean(x, axis=-1, keepdims=True)
    variance = xnp.mean(xnp.square(x - mean), axis=-1, keepdims=True)
    return (x - mean) / xnp.sqrt(variance + epsilon) * gamma + beta


def embedding(ids: Any, size: int, units: int, dtype: Any = np.float32, name: str | None = None) -> Any:
    """Rows of a table `name/table` [size, units], normal of deviation 1/sqrt(units): integers [...] -> [..., units]."""
    if not hasattr(ids, "dtype") or np.dtype(ids.dtype).kind not in "iu":
        raise EstimatorError(f"embedding: ids is {describe(ids)}; it must be an array of integers")
    units = check_count(units, "embedding: units", 1)
    from xlac import numpy as xnp

    with variable_scope(name or current_scope().unique("embedding")):
        table = variable("table", (check_count(size, "embedding: size", 1), units), normal(units**-0.5), dtype)
    return xnp.take(table, ids, axis=0)


def flatten(x: Any) -> Any:
    """[rows, ...] -> [rows, product of the rest]."""
    return x.reshape((x.shape[0], int(np.prod(x.shape[1:]))))
