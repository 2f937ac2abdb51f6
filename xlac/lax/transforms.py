"""Fourier transforms, random bits, what chooses between programs, and what orders and places values."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike, made
from xlac.frontend.trace import emit, lift, shape_error
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.lax.elementwise import bitcast_convert_type
from xlac.lax.movement import reshape
from xlac.lax.operands import Declared, as_dims, convert, match

__all__: list[str] = [
    "AccuracyMode",
    "DotDimensionNumbers",
    "FftType",
    "RandomAlgorithm",
    "Tolerance",
    "after_all",
    "composite",
    "create_token",
    "dce_sink",
    "dtype",
    "platform_dependent",
    "rng_bit_generator",
    "stage",
    "with_sharding_constraint",
]
_declared = Declared(__name__, __all__)
public, named = _declared.public, _declared.named


class FftType(enum.Enum):
    """Complex transforms, and those from and to real arrays, which store half of the symmetric result."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


@public
def fft(x: ArrayLike, fft_type: Any, fft_lengths: Sequence[int]) -> Array:
    """Discrete Fourier transform over the last one to three dimensions; of more, in turns of three.

    Raises:
      ShapeError: types or extents do not fit.
    """
    a = lift(x)
    kind = fft_type.name if isinstance(fft_type, FftType) else str(fft_type).upper()
    lengths = as_dims(fft_lengths)
    if kind not in FftType.__members__:
        raise shape_error(f"fft: fft_type={fft_type!r}; it must be one of {', '.join(FftType.__members__)}")
    if kind == "RFFT":
        if not dtypes.is_float(a.dtype):
            raise shape_error(f"fft: RFFT of an array of type {a.dtype.name}; it must be real")
    elif not dtypes.is_complex(a.dtype):
        a = convert(a, np.result_type(a.dtype, np.complex64))
    if a.dtype.itemsize < 4:
        a = convert(a, dtypes.FLOAT32)
    return emit(op.fft, a, fft_type=kind, fft_length=lengths)


# ---- random bits


class RandomAlgorithm(enum.IntEnum):
    """How bits are made from the state."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2


def rng_bit_generator(
    key: Any, shape: Sequence[int], dtype: Any = np.uint32, algorithm: Any = RandomAlgorithm.RNG_DEFAULT
) -> tuple[Any, Any]:
    """The next state and an array of random bits.

    The state is four uint32 words (two uint64 words are taken as well). `xlac.random` has keys and distributions.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(lambda: rng_bit_generator(key, shape, dtype, algorithm), "rng_bit_generator")
    state = lift(key)
    kind = dtypes.as_dtype(dtype)
    narrow = state.dtype == np.uint32
    if narrow:
        if state.shape != (4,):
            raise shape_error(f"rng_bit_generator: the key is of shape {trace.shown(state)}; it must be uint32[4]")
        state = bitcast_convert_type(reshape(state, (2, 2)), np.uint64)
    algorithm = RandomAlgorithm(algorithm)
    given = ArrayShape(element_type(np.dtype(np.uint64)), state.shape)
    made = TupleShape((given, ArrayShape(element_type(kind), as_dims(shape))))
    instruction = trace.emit_instruction(
        op.rng_bit_generator, trace.active().use(state), shape=made, algorithm=algorithm.name.lower()
    )
    new, bits = trace.elements(instruction)
    return (reshape(bitcast_convert_type(new, np.uint32), (4,)) if narrow else new), bits


@public
def rng_uniform(a: ArrayLike, b: ArrayLike, shape: Sequence[int]) -> Array:
    """Numbers uniform in [a, b) from the process's random state, which differ from call to call."""
    low, high = match("rng_uniform", (a, b))
    target = ArrayShape(element_type(low.dtype), as_dims(shape))
    return emit(op.rng, low, high, shape=target, distribution="rng_uniform")


# ---- choosing programs


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """The function itself: what it is made of is compiled."""

    @functools.wraps(decomposition)
    def call(*args: Any, **kwargs: Any) -> Any:
        return decomposition(*args, **kwargs)

    return call


def platform_dependent(
    *args: Any, default: Callable[..., Any] | None = None, **per_platform: Callable[..., Any]
) -> Any:
    """`per_platform["cpu"]`, or `default`, of the arguments.

    Raises:
      TraceError: neither is given.
    """
    chosen = per_platform.get("cpu", default)
    if chosen is None:
        raise trace.trace_error(
            f"platform_dependent: none of {', '.join(per_platform)} is cpu, and there is no default"
        )
    return chosen(*args)


# ---- order and place


def create_token(_: Any = None) -> Any:
    """A token, an array of no elements: effects take place in the order of the program, whatever waits for whom."""
    return made(np.zeros((0,), np.bool_))


def after_all(*operands: Any) -> Any:
    """A token that stands for several."""
    return create_token()


def dce_sink(val: Any, *, prevent_mlir_dce: bool = False) -> None:
    """Nothing: what no result needs is not computed."""


@public
def stage(x: ArrayLike, /) -> Array:
    """The value as an array, traced inside a traced function."""
    return lift(x)


def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """The same arrays: on one device every sharding leaves them whole."""
    return tree.map(stage, x)


def dtype(x: Any) -> np.dtype:
    """The dtype of an array, or that of arrays made of a Python number or a type."""
    if hasattr(x, "dtype") and not isinstance(x, type):
        return np.dtype(x.dtype)
    return dtypes.as_dtype(x) if isinstance(x, (type, str, np.dtype)) else dtypes.type_of(x)[0]


class AccuracyMode(enum.Enum):
    """How exact functions shall be; here they have one form."""

    HIGHEST = 1
    DEFAULT = 2


@dataclass(frozen=True)
class Tolerance:
    """How far results of functions may be off; here they have one form."""

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0


# The dimension numbers of `dot_general`: ((contracting, contracting), (batch, batch)).
DotDimensionNumbers = tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]]
