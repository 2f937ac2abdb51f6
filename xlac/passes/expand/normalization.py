"""batch-norm-training, batch-norm-inference and batch-norm-grad by sums and elementwise opcodes."""

from __future__ import annotations

import math

from xlac.ir.module import Instruction, Module
from xlac.ir.ops.normalization import single
from xlac.ir.shape import F32
from xlac.passes.expand.build import Array, expand, tuple_


def expand_batch_norm(module: Module) -> bool:
    """Replace batch normalisations by sums and elementwise opcodes; return whether there were any."""
    return expand(
        module,
        {
            "batch-norm-training": _training,
            "batch-norm-inference": _inference,
            "batch-norm-grad": _grad,
        },
    )


def _operands(x: Instruction) -> list[Array]:
    """The operands, narrow floats as float32."""
    arrays = [Array(o) for o in x.operands]
    return [a.convert(F32) if a.type.bits < 32 else a for a in arrays]


class _Features:
    """The feature dimension of an array: vectors along it and sums over all else."""

    def __init__(self, dims: tuple[int, ...], feature_index: int) -> None:
        self.dims, self.feature = dims, feature_index
        self.others = tuple(d for d in range(len(dims)) if d != feature_index)
        self.count = math.prod(dims[d] for d in self.others)

    def along(self, vector: Array) -> Array:
        return vector.broadcast(self.dims, (self.feature,))

    def sum(self, x: Array) -> Array:
        return x.sum(*self.others)


def _training(x: Instruction) -> Instruction:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset, with the mean and variance of each feature."""
    a, scale, offset = _operands(x)
    f = _Features(a.dims, x["feature_index"])
    mean = f.sum(a) / f.count
    centred = a - f.along(mean)
    variance = f.sum(centred * centred) / f.count
    spread = (variance + single(x["epsilon"])).apply("sqrt")
    result = centred / f.along(spread) * f.along(scale) + f.along(offset)
    types = [s.element_type for s in x.shape]  # type: ignore[union-attr]
    return tuple_(*(v.convert(t) for v, t in zip((result, mean, variance), types)))


def _inference(x: Instruction) -> Instruction:
    a, scale, offset, mean, variance = _operands(x)
    f = _Features(a.dims, x["feature_index"])
    spread = (variance + single(x["epsilon"])).apply("sqrt")
    result = (a - f.along(mean)) / f.along(spread) * f.along(scale) + f.along(offset)
    return result.convert(x.shape.element_type).node  # type: ignore[union-attr]


def _grad(x: Instruction) -> Instruction:
    """With n elements a feature, s = 1 / sqrt(variance + epsilon) and p = sum(grad (x - mean)): the offset's gradient
    is sum(grad), the scale's is p s, and the input's is scale s (grad - sum(grad) / n - (x - mean) s^2 p / n).
    """
    a, scale, mean, variance, grad = _operands(x)
    f = _Features(a.dims, x["feature_index"])
    n = max(f.count, 1)
    inverse = 1 / (variance + single(x["epsilon"])).apply("sqrt")
    centred = a - f.along(mean)
    d_offset = f.sum(grad)
    d_scale = f.sum(grad * centred) * inverse
    slope = f.along(inverse * d_scale / n)
    d_input = f.along(scale * inverse) * (grad - f.along(d_offset / n) - centred * slope)
    types = [s.element_type for s in x.shape]  # type: ignore[union-attr]
    return tuple_(*(v.convert(t) for v, t in zip((d_input, d_scale, d_offset), types)))
