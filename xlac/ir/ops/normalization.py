"""batch-norm-training, batch-norm-inference and batch-norm-grad."""

from __future__ import annotations

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.opcode import FLOAT, INT, opcode
from xlac.ir.ops.elementwise import is_narrow, quiet, require_array, require_kind
from xlac.ir.shape import ArrayShape, Shape, TupleShape


def _check(name: str, feature_index: int, operands: tuple[Shape, ...], like_input: tuple[int, ...] = ()) -> ArrayShape:
    """The first operand's shape; those of `like_input` must have its dimensions, the others one for each feature."""
    arrays = [require_array(name, i, s) for i, s in enumerate(operands)]
    first = arrays[0]
    require_kind(name, 0, first, "f")
    if not 0 <= feature_index < first.rank:
        raise ShapeError(f"{name}: feature_index={feature_index}; operand 0, {first}, has {first.rank} dimensions")
    features = (first.dims[feature_index],)
    for i, shape in enumerate(arrays[1:], 1):
        require_kind(name, i, shape, "f")
        wanted = first.dims if i in like_input else features
        if shape.dims != wanted:
            raise ShapeError(f"{name}: operand {i} is {shape}; its dimensions must be {list(wanted)}")
    return ArrayShape(first.element_type, first.dims)


def single(epsilon: float) -> float:
    """An epsilon as programs hold it, in float32 whatever the type of the arrays."""
    return float(np.float32(epsilon))


def _training_shape(x: Shape, scale: Shape, offset: Shape, *, epsilon: float, feature_index: int) -> TupleShape:
    result = _check("batch-norm-training", feature_index, (x, scale, offset))
    each = ArrayShape(scale.element_type, scale.dims)  # type: ignore[union-attr]
    return TupleShape((result, each, each))


def _inference_shape(*operands: Shape, epsilon: float, feature_index: int) -> ArrayShape:
    return _check("batch-norm-inference", feature_index, operands)


def _grad_shape(*operands: Shape, epsilon: float, feature_index: int) -> TupleShape:
    result = _check("batch-norm-grad", feature_index, operands, like_input=(4,))
    each = ArrayShape(operands[1].element_type, operands[1].dims)  # type: ignore[union-attr]
    return TupleShape((result, each, each))


def _wide(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) if is_narrow(x.dtype) else x


def _along(vector: np.ndarray, x: np.ndarray, feature_index: int) -> np.ndarray:
    """`vector` shaped to broadcast along the feature dimension of `x`."""
    return _wide(vector).reshape([-1 if d == feature_index else 1 for d in range(x.ndim)])


def _others(x: np.ndarray, feature_index: int) -> tuple[int, ...]:
    return tuple(d for d in range(x.ndim) if d != feature_index)


def _training(x: np.ndarray, scale: np.ndarray, offset: np.ndarray, *, epsilon: float, feature_index: int) -> tuple:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, mean and variance over all but the feature dimension."""
    wide, axes = _wide(x), _others(x, feature_index)
    mean = np.mean(wide, axis=axes, keepdims=True)
    variance = np.mean(np.square(wide - mean), axis=axes, keepdims=True)
    normal = (wide - mean) / np.sqrt(variance + wide.dtype.type(single(epsilon)))
    result = normal * _along(scale, x, feature_index) + _along(offset, x, feature_index)
    return result.astype(x.dtype), mean.reshape(-1).astype(scale.dtype), variance.reshape(-1).astype(scale.dtype)


def _inference(
    x: np.ndarray,
    scale: np.ndarray,
    offset: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    *,
    epsilon: float,
    feature_index: int,
) -> np.ndarray:
    wide = _wide(x)
    spread = np.sqrt(_along(variance, x, feature_index) + wide.dtype.type(single(epsilon)))
    normal = (wide - _along(mean, x, feature_index)) / spread
    return (normal * _along(scale, x, feature_index) + _along(offset, x, feature_index)).astype(x.dtype)


def _grad(
    x: np.ndarray,
    scale: np.ndarray,
    mean: np.ndarray,
    variance: np.ndarray,
    grad: np.ndarray,
    *,
    epsilon: float,
    feature_index: int,
) -> tuple:
    """Gradients of input, scale and offset.

    With n elements a feature and s = 1 / sqrt(variance + epsilon): the offset's is sum(grad), the scale's is
    sum(grad (x - mean)) s, and the input's is scale s (grad - sum(grad) / n - (x - mean) s^2 sum(grad (x - mean)) / n).
    """
    wide, dy, axes = _wide(x), _wide(grad), _others(x, feature_index)
    n = wide.dtype.type(x.size // max(x.shape[feature_index], 1))
    centred = wide - _along(mean, x, feature_index)
    inverse = 1 / np.sqrt(_along(variance, x, feature_index) + wide.dtype.type(single(epsilon)))
    d_offset = np.sum(dy, axis=axes, keepdims=True)
    product = np.sum(dy * centred, axis=axes, keepdims=True)
    d_scale = product * inverse
    d_input = _along(scale, x, feature_index) * inverse * (dy - d_offset / n - centred * inverse * d_scale / n)
    return d_input.astype(x.dtype), d_scale.reshape(-1).astype(scale.dtype), d_offset.reshape(-1).astype(scale.dtype)


_ATTRS = {"epsilon": FLOAT, "feature_index": INT}
opcode("batch-norm-training", arity=3, attrs=_ATTRS, shape=_training_shape, evaluate=quiet(_training))
opcode("batch-norm-inference", arity=5, attrs=_ATTRS, shape=_inference_shape, evaluate=quiet(_inference))
opcode("batch-norm-grad", arity=5, attrs=_ATTRS, shape=_grad_shape, evaluate=quiet(_grad))
