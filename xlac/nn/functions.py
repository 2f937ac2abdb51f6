"""Activations and normalisations."""

from __future__ import annotations

import math
from typing import Any

import xlac.numpy as xnp
from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, Axis
from xlac.frontend.trace import Note
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.lax.operands import convert, expand
from xlac.numpy._core import as_tracer, inexact, normalize_axes, operands_inexact, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _relu_vjp(instruction: Instruction, g: Any, needed: Any) -> list[Any]:
    """The slope at 0 is 0, so that units that are off stay off."""
    x = Tracer(trace.active(), instruction.operands[0])
    return [lambda: lax.select(lax.gt(x, 0), g, lax.full_like(g, 0)), None]


@_public
def relu(x: ArrayLike) -> Array:
    """max(x, 0), with slope 0 at 0."""
    a = as_tracer(x)
    result = lax.max(a, lax.full_like(a, 0))
    result._trace.session.notes[result._instruction] = Note(_relu_vjp)
    return result


def _below_6_vjp(instruction: Instruction, g: Any, needed: Any) -> list[Any]:
    """The slope at 6 is 0."""
    x = Tracer(trace.active(), instruction.operands[0])
    return [lambda: lax.select(lax.lt(x, 6), g, lax.full_like(g, 0)), None]


@_public
def relu6(x: ArrayLike) -> Array:
    """min(max(x, 0), 6), with slope 0 at 0 and at 6."""
    a = relu(x)
    result = lax.min(a, lax.full_like(a, 6))
    result._trace.session.notes[result._instruction] = Note(_below_6_vjp)
    return result


@_public
def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + e^-x)."""
    return lax.logistic(inexact(x))


@_public
def log_sigmoid(x: ArrayLike) -> Array:
    """log(sigmoid(x)), without overflow."""
    return xnp.negative(softplus(xnp.negative(inexact(x))))


@_public
def softplus(x: ArrayLike) -> Array:
    """log(1 + e^x), without overflow."""
    return xnp.logaddexp(inexact(x), 0.0)


@_public
def squareplus(x: ArrayLike, b: ArrayLike = 4) -> Array:
    """(x + sqrt(x^2 + b)) / 2, a smooth relu; below 0 as (b / 2) / (sqrt(x^2 + b) - x), which does not cancel."""
    a = inexact(x)
    root = xnp.sqrt(a * a + b)
    above = a > 0
    return xnp.where(above, (a + root) / 2, xnp.true_divide(b, 2) / xnp.where(above, 1, root - a))


@_public
def sparse_plus(x: ArrayLike) -> Array:
    """0 up to -1, x from 1 on, (x + 1)^2 / 4 between."""
    a = inexact(x)
    return xnp.where(a <= -1.0, 0.0, xnp.where(a >= 1.0, a, lax.square(a + 1.0) / 4))


@_public
def sparse_sigmoid(x: ArrayLike) -> Array:
    """(x + 1) / 2 limited to [0, 1]: the derivative of `sparse_plus`."""
    return 0.5 * xnp.clip(inexact(x) + 1.0, 0.0, 2.0)


@_public
def log1mexp(x: ArrayLike) -> Array:
    """log(1 - e^-x) for positive x, without cancellation (Maechler, 2012)."""
    a = inexact(x)
    small = lax.lt(a, math.log(2))
    # Each form sees only arguments for which it is finite, so that derivatives are too.
    near = lax.log(-lax.expm1(-xnp.where(small, a, 1.0)))
    return xnp.where(small, near, lax.log1p(-lax.exp(-xnp.where(small, 1.0, a))))


@_public
def soft_sign(x: ArrayLike) -> Array:
    """x / (1 + |x|)."""
    a = inexact(x)
    return a / (xnp.abs(a) + 1)


@_public
def silu(x: ArrayLike) -> Array:
    """x sigmoid(x)."""
    a = inexact(x)
    return lax.mul(a, lax.logistic(a))


swish = silu
__all__.append("swish")


@_public
def mish(x: ArrayLike) -> Array:
    """x tanh(softplus(x))."""
    a = inexact(x)
    return lax.mul(a, lax.tanh(softplus(a)))


@_public
def gelu(x: ArrayLike, approximate: bool = True) -> Array:
    """x times the normal distribution function of x; by tanh where approximate, else by erf."""
    a = inexact(x)
    if approximate:
        inner = math.sqrt(2 / math.pi) * (a + 0.044715 * (a * a * a))
        return a * (0.5 * (1.0 + lax.tanh(inner)))
    return 0.5 * a * (1.0 + lax.erf(a * math.sqrt(0.5)))


@_public
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """x above 0, alpha (e^x - 1) below."""
    a = inexact(x)
    positive = lax.gt(a, 0)
    return xnp.where(positive, a, alpha * lax.expm1(xnp.where(positive, 0.0, a)))


@_public
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """max(x, 0) + min(0, alpha (e^(x / alpha) - 1))."""
    a = inexact(x)
    return xnp.maximum(a, 0.0) + alpha * lax.expm1(xnp.minimum(a, 0.0) / alpha)


@_public
def selu(x: ArrayLike) -> Array:
    """Scaled elu, with the constants of self-normalising networks."""
    return 1.0507009873554804934193349852946 * elu(x, 1.6732632423543772848170429916717)


@_public
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 1e-2) -> Array:
    """x above 0, negative_slope x below."""
    a = inexact(x)
    return xnp.where(lax.ge(a, 0), a, negative_slope * a)


@_public
def hard_tanh(x: ArrayLike) -> Array:
    """x limited to [-1, 1]."""
    a = as_tracer(x)
    return xnp.where(lax.gt(a, 1), 1, xnp.where(lax.lt(a, -1), -1, a))


@_public
def hard_sigmoid(x: ArrayLike) -> Array:
    """relu6(x + 3) / 6."""
    return relu6(inexact(x) + 3.0) / 6.0


@_public
def hard_silu(x: ArrayLike) -> Array:
    """x hard_sigmoid(x)."""
    a = inexact(x)
    return a * hard_sigmoid(a)


hard_swish = hard_silu
__all__.append("hard_swish")


@_public
def glu(x: ArrayLike, axis: int = -1) -> Array:
    """The first half along an axis times the sigmoid of the second."""
    first, second = xnp.split(inexact(x), 2, axis)
    return first * lax.logistic(second)


def _shifted(x: Any, axis: Axis, where: Any) -> Tracer:
    """x less its greatest along the axis, which is taken as a constant; -inf where not `where`."""
    a = inexact(x)
    top = xnp.max(a, axis, keepdims=True, where=where, initial=None if where is None else -math.inf)
    shifted = a - lax.stop_gradient(top)
    return shifted if where is None else xnp.where(where, shifted, -math.inf)


def _total(terms: Any, axis: Axis, where: Any) -> Tracer:
    """The sum along the axis; 1 in place of the sum of nothing."""
    total = xnp.sum(terms, axis, keepdims=True)
    return total if where is None else xnp.where(lax.eq(total, 0), 1.0, total)


@_public
def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """e^x / sum(e^x) along an axis, without overflow; 0 where not `where`."""
    terms = lax.exp(_shifted(x, axis, where))
    return terms / _total(terms, axis, where)


@_public
def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """log(softmax(x)), without overflow; -inf where not `where`."""
    shifted = _shifted(x, axis, where)
    return shifted - lax.log(_total(lax.exp(shifted), axis, where))


@_public
def logsumexp(
    a: ArrayLike,
    axis: Axis = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """log(sum(b e^a)) over axes, without overflow.

    Args:
      b: weights, 1 if left out.
      return_sign: give the logarithm of the absolute value of the sum, and its sign.
      where: elements to leave out are false.
    """
    x = inexact(a)
    if b is None and where is None and not return_sign:
        return xnp.logsumexp(x, axis, keepdims=keepdims)
    if where is not None:
        x = xnp.where(where, x, -math.inf)
    if b is not None:
        x, weights = operands_inexact("logsumexp", x, b)
        x = xnp.where(lax.eq(weights, 0), -math.inf, x)
    top = lax.stop_gradient(xnp.max(x, axis, keepdims=True, initial=-math.inf))
    top = xnp.where(lax.is_finite(top), top, 0)
    terms = lax.exp(x - top)
    if b is not None:
        terms = xnp.where(lax.eq(terms, 0), 0, terms * weights)
    total = xnp.sum(terms, axis, keepdims=keepdims)
    shift = lax.reshape(top, total.shape)
    if return_sign:
        return lax.log(lax.abs(total)) + shift, lax.sign(total)
    return lax.log(total) + shift


@_public
def logmeanexp(x: ArrayLike, axis: Axis = None, where: ArrayLike | None = None, keepdims: bool = False) -> Array:
    """log(mean(e^x)) over axes, without overflow."""
    a = inexact(x)
    counted = lax.full_like(a, 1) if where is None else xnp.where(where, lax.full_like(a, 1), 0)
    count = xnp.sum(counted, axis, keepdims=keepdims)
    return logsumexp(a, axis, keepdims=keepdims, where=where) - lax.log(count)


STANDARDIZE_ALGORITHMS = ("stable", "fast")


@_public
def standardize(
    x: ArrayLike,
    axis: Axis = -1,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
    epsilon: ArrayLike = 1e-5,
    where: ArrayLike | None = None,
    *,
    algorithm: str = "stable",
) -> Array:
    """(x - mean) / sqrt(variance + epsilon) along an axis.

    Args:
      where: elements that do not count in mean and variance are false.
      algorithm: the variance is the mean of (x - mean)^2 ("stable"), or the mean of x^2 less mean^2 ("fast"), which
        cancels where the mean is much greater than the deviation.
    """
    if algorithm not in STANDARDIZE_ALGORITHMS:
        listed = ", ".join(STANDARDIZE_ALGORITHMS)
        raise trace.shape_error(f"standardize: algorithm is {algorithm!r}; it must be one of {listed}")
    a = inexact(x)
    mean = xnp.mean(a, axis, keepdims=True, where=where) if mean is None else mean
    if variance is None:
        if algorithm == "fast":
            square = xnp.mean(a * a, axis, keepdims=True, where=where)
            variance = xnp.maximum(square - xnp.square(mean), 0)
        else:
            apart = xnp.subtract(a, mean)
            variance = xnp.mean(apart * apart, axis, keepdims=True, where=where)
    return xnp.subtract(a, mean) * lax.rsqrt(xnp.add(variance, epsilon))


@_public
def one_hot(x: ArrayLike, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Array:
    """1 at the class each integer names, 0 elsewhere, along a new axis; all 0 where it names none."""
    a = as_tracer(x)
    kind = dtypes.as_dtype(float if dtype is None else dtype)
    rank = a.ndim + 1
    (place,) = normalize_axes(axis, rank, "one_hot")
    rest = iter(a.shape)
    dims = [num_classes if d == place else next(rest) for d in range(rank)]
    wide = expand(convert(a, a.dtype), dims, [d for d in range(rank) if d != place])
    index = dtypes.INT32 if not dtypes.is_integer(a.dtype) else a.dtype
    classes = lax.broadcasted_iota(index, dims, place)
    return convert(xnp.equal(wide, classes), kind)


identity = xnp.positive
tanh = xnp.tanh
__all__ += ["identity", "tanh"]
