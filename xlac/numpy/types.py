"""Questions about element types, and the Array API's description of this namespace."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from xlac.errors import ShapeError
from xlac.frontend import dtypes
from xlac.frontend.dtypes import as_dtype, promote

__all__ = ["can_cast", "finfo", "iinfo", "iscomplexobj", "isdtype", "isrealobj", "promote_types"]


def _dtype_of(value: Any) -> np.dtype:
    array = hasattr(value, "dtype") and not isinstance(value, (np.dtype, type))
    return np.dtype(value.dtype) if array else as_dtype(value)


class finfo:
    """Limits of a float type, or of a complex type's parts; numbers are Python floats.

    Attributes:
      bits, eps, max, min, smallest_normal (also tiny), smallest_subnormal, resolution, dtype: NumPy's.
    """

    def __init__(self, dtype: Any) -> None:
        kind = _dtype_of(dtype)
        if not dtypes.is_inexact(kind):
            raise ShapeError(f"finfo: {kind.name} is no float type; use iinfo")
        self.dtype = dtypes.real_dtype(kind)
        self._info = ml_dtypes.finfo(self.dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = getattr(self._info, name)
        return float(value) if isinstance(value, np.generic) and value.dtype == self.dtype else value

    def __repr__(self) -> str:
        return f"finfo(max={self.max}, min={self.min}, eps={self.eps}, dtype={self.dtype.name})"


class iinfo:
    """Limits of an integer type.

    Attributes:
      bits, max, min, dtype: NumPy's.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = _dtype_of(dtype)
        if not dtypes.is_integer(self.dtype):
            raise ShapeError(f"iinfo: {self.dtype.name} is no integer type; use finfo")
        info = ml_dtypes.iinfo(self.dtype)
        self.bits, self.kind = int(info.bits), info.kind
        self.max, self.min = int(info.max), int(info.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


_KINDS = {
    "bool": "p",
    "signed integer": "s",
    "unsigned integer": "u",
    "integral": "su",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "sufc",
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a type is of a kind ("bool", "integral", "real floating", ...), is a type, or is any of a tuple of those.

    Raises:
      ValueError: there is no such kind.
    """
    own = as_dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(own, k) for k in kind)
    if isinstance(kind, str) and kind in _KINDS:
        return dtypes.kind(own) in _KINDS[kind]
    if isinstance(kind, str):
        try:
            return own == as_dtype(kind)
        except ShapeError:
            raise ValueError(f"isdtype: kind={kind!r}; it must be a type or one of {', '.join(_KINDS)}") from None
    if isinstance(kind, type) and issubclass(kind, np.generic) and kind in _ABSTRACT:
        return dtypes.issubdtype(own, kind)
    return own == as_dtype(kind)


_ABSTRACT = {np.number, np.integer, np.signedinteger, np.unsignedinteger, np.inexact, np.floating, np.complexfloating}


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The type of a result of operands of these two types."""
    return promote((as_dtype(type1), False), (as_dtype(type2), False))[0]


def can_cast(from_: Any, to: Any, casting: str = "safe") -> bool:
    """Whether values of a type, or an array's, can be of another type by NumPy's casting rules."""
    return bool(np.can_cast(_dtype_of(from_), as_dtype(to), casting))  # type: ignore[arg-type]


def iscomplexobj(x: Any) -> bool:
    """Whether the element type is complex."""
    return dtypes.type_of(x)[0].kind == "c" if not isinstance(x, (list, tuple)) else np.iscomplexobj(x)


def isrealobj(x: Any) -> bool:
    """Whether the element type is not complex."""
    return not iscomplexobj(x)


class ArrayNamespaceInfo:
    """What `__array_namespace_info__()` gives: capabilities, devices and types."""

    def capabilities(self) -> dict[str, Any]:
        """Masks and repeats that are data work outside jit, where the sizes they give are known."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """There is one device."""
        return "cpu"

    def devices(self) -> list[str]:
        """There is one device."""
        return ["cpu"]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The types of arrays created without one."""
        check_device(device)
        return {
            "real floating": dtypes.default_float(),
            "complex floating": dtypes.default_complex(),
            "integral": dtypes.default_int(),
            "indexing": dtypes.default_int(),
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The standard's types of a kind, by name."""
        check_device(device)
        names = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128".split()
        found = {name: np.dtype(name) for name in names}
        return found if kind is None else {n: d for n, d in found.items() if isdtype(d, kind)}


def check_device(device: Any) -> None:
    """Raise unless the device is the one there is.

    Raises:
      ValueError: it is another.
    """
    if device is not None and str(device) != "cpu" and "cpu" not in str(device).lower():
        raise ValueError(f"device={device!r}; there is only 'cpu'")


class ScalarType(type):
    """The class of the types of elements: each is taken where a dtype is, and called, makes an array of its type.

    Unlike NumPy's, `xlac.numpy.float32` can be called with a traced value.
    """

    dtype: np.dtype

    def __new__(cls, name: str, dtype: Any) -> ScalarType:
        return super().__new__(cls, name, (), {"dtype": np.dtype(dtype), "__module__": "xlac.numpy"})

    def __init__(cls, name: str, dtype: Any) -> None:
        super().__init__(name, (), {})

    def __call__(cls, x: Any = 0, /) -> Any:
        """`x` as an array of this type.

        Raises:
          ShapeError: `x` is no array and no number.
        """
        from xlac.numpy.creation import asarray

        return asarray(x, cls.dtype)

    def __eq__(cls, other: object) -> bool:
        return cls is other or cls.dtype.type is other or (isinstance(other, (np.dtype, str)) and cls.dtype == other)

    def __hash__(cls) -> int:
        return hash(cls.dtype.type)

    def __instancecheck__(cls, value: Any) -> bool:
        return isinstance(value, cls.dtype.type)

    def __repr__(cls) -> str:
        return f"xlac.numpy.{cls.__name__}"


def _scalar_types() -> dict[str, ScalarType]:
    names = (
        "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64 complex128 bfloat16 "
        "float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz "
        "float8_e8m0fnu float4_e2m1fn int2 int4 uint2 uint4"
    )
    return {n: ScalarType(n, getattr(np, n, None) or getattr(ml_dtypes, n)) for n in names.split()}


_SCALARS = _scalar_types()
globals().update(_SCALARS)
__all__ += _SCALARS  # noqa: PLE0605
