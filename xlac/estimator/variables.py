"""Variables of a model function: made by name inside it, kept by the Estimator outside it.

While the Estimator traces the model function, a `Scope` is current. The first time, `variable` makes initial values, on
the host, each from the seed and its own name, so that they depend neither on the order of layers nor on the program.
Later, `variable` returns the traced value of that name.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from xlac.errors import EstimatorError
from xlac.estimator.inputs import random_generator
from xlac.estimator.spec import check_count, describe

Initializer = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

INITIAL_STREAM = 2

_current: ContextVar[Scope | None] = ContextVar("xlac_estimator_scope", default=None)


class Scope:
    """The variables of one tracing of a model function.

    Args:
      seed: of initial values.
      values: name -> traced value; None to make initial values.
      step: traced global step, for `random_key`.

    Attributes:
      values: name -> array.
      trainable: name -> whether an optimizer changes it.
      updates: name -> new value of a variable that the model function assigned.
    """

    def __init__(self, seed: int, values: Mapping[str, Any] | None = None, step: Any = 0) -> None:
        self.making = values is None
        self.seed, self.step = seed, step
        self.values: dict[str, Any] = dict(values or {})
        self.trainable: dict[str, bool] = {}
        self.updates: dict[str, Any] = {}
        self._prefix: tuple[str, ...] = ()
        self._reuse = False
        self._names: dict[str, int] = {}
        self._keys = 0

    @contextmanager
    def active(self) -> Iterator[Scope]:
        """Make this the current scope."""
        token = _current.set(self)
        try:
            yield self
        finally:
            _current.reset(token)

    def unique(self, name: str) -> str:
        """`name`, `name_1`, `name_2` ... as often as it is asked for under the same prefix."""
        full = "/".join((*self._prefix, name))
        number = self._names.get(full, 0)
        self._names[full] = number + 1
        return f"{name}_{number}" if number else name

    @contextmanager
    def under(self, name: str, reuse: bool) -> Iterator[None]:
        """Names inside start with `name/`."""
        prefix, before = self._prefix, self._reuse
        self._prefix, self._reuse = (*prefix, name), before or reuse
        try:
            yield
        finally:
            self._prefix, self._reuse = prefix, before

    def get(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], initializer: Any, trainable: bool) -> Any:
        """The value of a variable; see `variable`."""
        full = "/".join((*self._prefix, name))
        if full in self.trainable and not self._reuse:
            raise EstimatorError(
                f"variable {full!r} is made twice; give the second another name, or share it by "
                "variable_scope(name, reuse=True)"
            )
        if self.making and full not in self.trainable:
            self.values[full] = initial_value(self.seed, full, shape, dtype, initializer)
        if full not in self.values:
            raise EstimatorError(
                f"variable {full!r} is not among those the model was first made with "
                f"({', '.join(sorted(self.values)) or 'none'}); a model function "
                "must make the same variables in each mode"
            )
        value = self.values[full]
        if tuple(value.shape) != shape or np.dtype(value.dtype) != dtype:
            wanted = f"{dtype.name}[{','.join(map(str, shape))}]"
            raise EstimatorError(
                f"variable {full!r} is {describe(value)}, but the model function asks for {wanted}; "
                "features must have the same shape and type as in training"
            )
        self.trainable[full] = trainable
        if self.making:
            from xlac import numpy as xnp

            return xnp.asarray(value)
        return self.updates.get(full, value)

    def assign(self, name: str, value: Any) -> None:
        """See `assign`."""
        full = "/".join((*self._prefix, name))
        if full not in self.trainable:
            raise EstimatorError(
                f"assign: there is no variable {full!r}; made so far: {', '.join(self.trainable) or 'none'}"
            )
        if self.trainable[full]:
            raise EstimatorError(f"assign: variable {full!r} is the optimizer's; make it with trainable=False")
        held = self.values[full]
        if tuple(value.shape) != tuple(held.shape) or np.dtype(value.dtype) != np.dtype(held.dtype):
            raise EstimatorError(f"assign: variable {full!r} is {describe(held)}, the new value {describe(value)}")
        self.updates[full] = value


def current_scope() -> Scope:
    """The scope of the model function that is being traced.

    Raises:
      EstimatorError: none is.
    """
    scope = _current.get()
    if scope is None:
        raise EstimatorError("variables and layers are made inside a model function, which an Estimator calls")
    return scope


def variable(
    name: str,
    shape: Sequence[int] | int = (),
    initializer: Initializer | np.ndarray | float | None = None,
    dtype: Any = np.float32,
    trainable: bool = True,
) -> Any:
    """A variable of the model, in the value it has at this training step.

    Args:
      name: unique within the current `variable_scope`.
      shape: dimensions.
      initializer: one of `glorot_uniform`, `zeros` ..., an array or number; None for `glorot_uniform`, `zeros` below
        rank 2.
      dtype: element type.
      trainable: whether the optimizer changes it; otherwise only `assign` does.

    Raises:
      EstimatorError: the name is taken, or the variable was first made with another shape or type.
    """
    dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
    dims = tuple(check_count(n, f"variable {name!r}: a dimension of its shape {shape!r}") for n in dims)
    if not isinstance(name, str) or not name or name.startswith("/") or name.endswith("/"):
        raise EstimatorError(f"variable name is {name!r}; it must be a non-empty string that no slash begins or ends")
    return current_scope().get(name, dims, np.dtype(dtype), initializer, trainable)


def assign(name: str, value: Any) -> None:
    """Give a variable made with trainable=False a new value at the end of this training step (in other modes: no
    effect).

    Raises:
      EstimatorError: there is no such variable in the current `variable_scope`, or it has another shape or type.
    """
    current_scope().assign(name, value)


@contextmanager
def variable_scope(name: str, reuse: bool = False) -> Iterator[None]:
    """Variables made inside get names that start with `name/`; with `reuse` those made before are returned again."""
    with current_scope().under(name, reuse):
        yield


def random_key() -> Any:
    """A key for `xlac.random`, another at each step and each call, determined by the seed."""
    from xlac import random

    scope = current_scope()
    scope._keys += 1
    return random.fold_in(random.fold_in(random.key(scope.seed), scope.step), scope._keys)


def initial_value(seed: int, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], initializer: Any) -> np.ndarray:
    """The initial value of a variable; the same for the same seed and name."""
    if initializer is None:
        initializer = glorot_uniform if len(shape) >= 2 else zeros
    if callable(initializer):
        text = name.encode()
        number = zlib.crc32(text) << 32 | zlib.adler32(text)
        value = np.asarray(initializer(random_generator(seed, INITIAL_STREAM, number), shape))
    else:
        value = np.asarray(initializer)
        if value.shape == ():
            value = np.broadcast_to(value, shape)
    if value.shape != shape:
        raise EstimatorError(f"variable {name!r} has shape {shape}, but its initializer gave {describe(value)}")
    return np.array(value, dtype, order="C")


def fans(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inputs and outputs of a kernel [..., inputs, outputs]: each times the size of the leading window."""
    if len(shape) < 2:
        return (float(max(1, math.prod(shape))),) * 2
    window = math.prod(shape[:-2])
    return float(max(1, window * shape[-2])), float(max(1, window * shape[-1]))


def zeros(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All 0."""
    return np.zeros(shape)


def ones(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All 1."""
    return np.ones(shape)


def glorot_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +- sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010)."""
    bound = math.sqrt(6.0 / sum(fans(shape)))
    return generator.uniform(-bound, bound, shape)


def glorot_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal of variance 2 / (inputs + outputs)."""
    return generator.standard_normal(shape) * math.sqrt(2.0 / sum(fans(shape)))


def he_uniform(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +- sqrt(6 / inputs) (He and others 2015), for layers followed by relu."""
    bound = math.sqrt(6.0 / fans(shape)[0])
    return generator.uniform(-bound, bound, shape)


def he_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal of variance 2 / inputs."""
    return generator.standard_normal(shape) * math.sqrt(2.0 / fans(shape)[0])


def normal(deviation: float = 0.05, mean: float = 0.0) -> Initializer:
    """Normal of a given standard deviation and mean."""
    return lambda generator, shape: generator.standard_normal(shape) * deviation + mean


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform between two numbers."""
    return lambda generator, shape: generator.uniform(low, high, shape)
