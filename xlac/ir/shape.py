"""Element types and shapes.

An element type is one row of `ELEMENT_TYPES`. A shape is an `ArrayShape`, a `TupleShape` or the token. Layouts say in
which order XLA would store the dimensions; they are kept for the text and for `bitcast`, and take no part in equality.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Union

import ml_dtypes
import numpy as np

from xlac.errors import ShapeError


@dataclass(frozen=True, eq=False)
class ElementType:
    """One element type: HLO's and MLIR's names, the NumPy dtype that holds it, its width in bits and its kind.

    `kind` is "p" (pred), "s" (signed), "u" (unsigned), "f" (float) or "c" (complex).
    """

    name: str
    mlir: str
    dtype: np.dtype
    bits: int
    kind: str

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name

    @property
    def is_integer(self) -> bool:
        return self.kind in "su"

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        return self.kind in "fc"

    @property
    def real(self) -> ElementType:
        """The type of the real and imaginary parts of a complex type; any other type itself."""
        return {"c64": F32, "c128": F64}.get(self.name, self)


def _row(name: str, mlir: str, dtype: object, bits: int, kind: str) -> ElementType:
    return ElementType(name, mlir, np.dtype(dtype), bits, kind)


ELEMENT_TYPES: dict[str, ElementType] = {
    row.name: row
    for row in (
        _row("pred", "i1", np.bool_, 8, "p"),
        _row("s2", "i2", ml_dtypes.int2, 2, "s"),
        _row("s4", "i4", ml_dtypes.int4, 4, "s"),
        _row("s8", "i8", np.int8, 8, "s"),
        _row("s16", "i16", np.int16, 16, "s"),
        _row("s32", "i32", np.int32, 32, "s"),
        _row("s64", "i64", np.int64, 64, "s"),
        _row("u2", "ui2", ml_dtypes.uint2, 2, "u"),
        _row("u4", "ui4", ml_dtypes.uint4, 4, "u"),
        _row("u8", "ui8", np.uint8, 8, "u"),
        _row("u16", "ui16", np.uint16, 16, "u"),
        _row("u32", "ui32", np.uint32, 32, "u"),
        _row("u64", "ui64", np.uint64, 64, "u"),
        _row("f4e2m1fn", "f4E2M1FN", ml_dtypes.float4_e2m1fn, 4, "f"),
        _row("f6e2m3fn", "f6E2M3FN", ml_dtypes.float6_e2m3fn, 6, "f"),
        _row("f6e3m2fn", "f6E3M2FN", ml_dtypes.float6_e3m2fn, 6, "f"),
        _row("f8e3m4", "f8E3M4", ml_dtypes.float8_e3m4, 8, "f"),
        _row("f8e4m3", "f8E4M3", ml_dtypes.float8_e4m3, 8, "f"),
        _row("f8e4m3fn", "f8E4M3FN", ml_dtypes.float8_e4m3fn, 8, "f"),
        _row("f8e4m3fnuz", "f8E4M3FNUZ", ml_dtypes.float8_e4m3fnuz, 8, "f"),
        _row("f8e4m3b11fnuz", "f8E4M3B11FNUZ", ml_dtypes.float8_e4m3b11fnuz, 8, "f"),
        _row("f8e5m2", "f8E5M2", ml_dtypes.float8_e5m2, 8, "f"),
        _row("f8e5m2fnuz", "f8E5M2FNUZ", ml_dtypes.float8_e5m2fnuz, 8, "f"),
        _row("f8e8m0fnu", "f8E8M0FNU", ml_dtypes.float8_e8m0fnu, 8, "f"),
        _row("bf16", "bf16", ml_dtypes.bfloat16, 16, "f"),
        _row("f16", "f16", np.float16, 16, "f"),
        _row("f32", "f32", np.float32, 32, "f"),
        _row("f64", "f64", np.float64, 64, "f"),
        _row("c64", "complex<f32>", np.complex64, 64, "c"),
        _row("c128", "complex<f64>", np.complex128, 128, "c"),
    )
}

PRED, BF16, F16, F32, F64 = (ELEMENT_TYPES[n] for n in ("pred", "bf16", "f16", "f32", "f64"))
S8, S16, S32, S64 = (ELEMENT_TYPES[n] for n in ("s8", "s16", "s32", "s64"))
U8, U16, U32, U64 = (ELEMENT_TYPES[n] for n in ("u8", "u16", "u32", "u64"))
C64, C128 = ELEMENT_TYPES["c64"], ELEMENT_TYPES["c128"]

_BY_DTYPE = {row.dtype: row for row in ELEMENT_TYPES.values()}
_BY_MLIR = {row.mlir: row for row in ELEMENT_TYPES.values()}

# The largest number of elements or bytes a dimension, a shape or a buffer may have.
MAX_BYTES = 2**62


def element_type(what: str | np.dtype | type | ElementType) -> ElementType:
    """The element type of an HLO name ("f32"), a NumPy or ml_dtypes dtype, or an element type.

    Raises:
      ShapeError: there is no such element type.
    """
    if isinstance(what, ElementType):
        return what
    if isinstance(what, str) and what in ELEMENT_TYPES:
        return ELEMENT_TYPES[what]
    try:
        return _BY_DTYPE[np.dtype(what)]
    except (KeyError, TypeError):
        known = ", ".join(ELEMENT_TYPES)
        raise ShapeError(f"{what!r} is not an element type; the element types are {known}") from None


def mlir_element_type(name: str) -> ElementType | None:
    """The element type of an MLIR name ("complex<f32>"), or None."""
    return _BY_MLIR.get(name)


def descending_layout(rank: int) -> tuple[int, ...]:
    """Row-major minor-to-major order: the last dimension is the fastest."""
    return tuple(range(rank - 1, -1, -1))


@dataclass(frozen=True)
class ArrayShape:
    """Element type and dimensions, with the layout (minor to major order of the dimensions; None for row-major)."""

    element_type: ElementType
    dims: tuple[int, ...] = ()
    layout: tuple[int, ...] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if any(d < 0 for d in self.dims):
            raise ShapeError(f"a dimension cannot be negative: {self}")

    @property
    def rank(self) -> int:
        return len(self.dims)

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.dims)

    @property
    def byte_size(self) -> int:
        """Bytes of the array in memory; types narrower than a byte take one byte an element."""
        return self.size * self.element_type.dtype.itemsize

    @property
    def dtype(self) -> np.dtype:
        return self.element_type.dtype

    @property
    def minor_to_major(self) -> tuple[int, ...]:
        return descending_layout(self.rank) if self.layout is None else self.layout

    def with_dims(self, dims: tuple[int, ...]) -> ArrayShape:
        return ArrayShape(self.element_type, tuple(dims))

    def with_dim(self, dim: int, extent: int) -> ArrayShape:
        return self.with_dims((*self.dims[:dim], extent, *self.dims[dim + 1 :]))

    def without(self, *dims: int) -> ArrayShape:
        """This shape less the named dimensions."""
        return self.with_dims(tuple(d for i, d in enumerate(self.dims) if i not in dims))

    def with_type(self, new: ElementType | str) -> ArrayShape:
        return replace(self, element_type=element_type(new))

    def with_layout(self, layout: tuple[int, ...] | None) -> ArrayShape:
        return replace(self, layout=layout)

    def __str__(self) -> str:
        return f"{self.element_type}[{','.join(map(str, self.dims))}]"

    __repr__ = __str__


@dataclass(frozen=True)
class TupleShape:
    """A tuple of shapes."""

    shapes: tuple[Shape, ...] = ()

    def __len__(self) -> int:
        return len(self.shapes)

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.shapes)

    def __getitem__(self, i: int) -> Shape:
        return self.shapes[i]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.shapes))})"

    __repr__ = __str__


@dataclass(frozen=True)
class TokenShape:
    """The shape of a token: it orders effects and holds no data."""

    def __str__(self) -> str:
        return "token[]"

    __repr__ = __str__


TOKEN = TokenShape()


@dataclass(frozen=True)
class OpaqueShape:
    """An opaque value; it can be named in text but not computed."""

    def __str__(self) -> str:
        return "opaque[]"

    __repr__ = __str__


Shape = Union[ArrayShape, TupleShape, TokenShape, OpaqueShape]


def in_numpy_words(text: str) -> str:
    """A message with shapes in NumPy's words: float32[3,4] for f32[3,4]."""
    return _SHAPE.sub(lambda m: f"{ELEMENT_TYPES[m[1]].dtype.name}[" if m[1] in ELEMENT_TYPES else m[0], text)


_SHAPE = re.compile(r"\b([a-z]\w{1,11})\[(?=[\d,]*\])")


def leaves(shape: Shape) -> list[ArrayShape | TokenShape | OpaqueShape]:
    """The non-tuple shapes inside `shape`, in tuple order."""
    if isinstance(shape, TupleShape):
        return [leaf for part in shape.shapes for leaf in leaves(part)]
    return [shape]


def shape_of(array: np.ndarray) -> ArrayShape:
    """The shape of a NumPy array."""
    return ArrayShape(element_type(array.dtype), tuple(array.shape))
