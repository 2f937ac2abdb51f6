"""Losses (means over the rows of a batch) and metrics (means over the rows of an evaluation), for model functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac.errors import EstimatorError
from xlac.estimator.spec import Metric, describe


def _agree(what: str, labels: Any, predictions: Any) -> None:
    if tuple(labels.shape) != tuple(predictions.shape):
        raise EstimatorError(
            f"{what}: labels are {describe(labels)} but predictions are {describe(predictions)}; "
            "they must have the same shape, or every row would be compared with every other"
        )


def softmax_cross_entropy_rows(labels: Any, logits: Any) -> Any:
    """- log softmax(logits)[label] of each row: integer labels [rows], logits [rows, classes] -> [rows]."""
    from xlac import nn
    from xlac import numpy as xnp

    if (
        len(logits.shape) != 2
        or tuple(labels.shape) != tuple(logits.shape[:1])
        or np.dtype(labels.dtype).kind not in "iu"
    ):
        raise EstimatorError(
            f"softmax_cross_entropy: labels are {describe(labels)} and logits {describe(logits)}; "
            "labels must be integers [rows], logits [rows, classes]"
        )
    # A mask, not a gather: it fuses with the softmax, and its gradient is no scatter.
    classes = xnp.arange(logits.shape[1], dtype=labels.dtype)
    mask = labels[:, None] == classes[None, :]
    return -xnp.sum(xnp.where(mask, nn.log_softmax(logits, axis=-1), xnp.zeros_like(logits)), axis=-1)


def softmax_cross_entropy(labels: Any, logits: Any) -> Any:
    """Mean of `softmax_cross_entropy_rows`."""
    from xlac import numpy as xnp

    return xnp.mean(softmax_cross_entropy_rows(labels, logits))


def sigmoid_cross_entropy(labels: Any, logits: Any) -> Any:
    """Mean of max(z, 0) - z y + log(1 + exp(-|z|)) for logits z and labels y in [0, 1], of the same shape."""
    from xlac import numpy as xnp

    _agree("sigmoid_cross_entropy", labels, logits)
    labels = labels.astype(logits.dtype)
    return xnp.mean(xnp.maximum(logits, 0) - logits * labels + xnp.log1p(xnp.exp(-xnp.abs(logits))))


def mean_squared_error(labels: Any, predictions: Any) -> Any:
    """Mean of (predictions - labels)**2; both of the same shape."""
    from xlac import numpy as xnp

    _agree("mean_squared_error", labels, predictions)
    return xnp.mean(xnp.square(predictions - labels.astype(predictions.dtype)))


def mean_absolute_error(labels: Any, predictions: Any) -> Any:
    """Mean of |predictions - labels|; both of the same shape."""
    from xlac import numpy as xnp

    _agree("mean_absolute_error", labels, predictions)
    return xnp.mean(xnp.abs(predictions - labels.astype(predictions.dtype)))


def mean(values: Any) -> Metric:
    """The metric that is the mean of all elements of all batches."""
    from xlac import numpy as xnp

    return Metric(xnp.sum(values), int(np.prod(values.shape)))


def accuracy(labels: Any, predictions: Any) -> Metric:
    """The metric that is the fraction of predicted classes equal to the labels; both integers of the same shape."""
    _agree("accuracy", labels, predictions)
    return mean((labels == predictions).astype(np.float32))
