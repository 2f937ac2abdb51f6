"""Element types of results: JAX's promotion lattice with 64-bit types kept, weak Python scalars, and default types.

A weak type stands for a Python scalar: it takes the type of the arrays it meets. The lattice below has one node for
each element type and one weak node for each Python type (`int`, `float`, `complex`); the type of a result is the
least upper bound of its operands' nodes.
"""

from __future__ import annotations

import functools
from typing import Any

import ml_dtypes
import numpy as np

from xlac.errors import OptionError, RangeError, ShapeError
from xlac.ir.shape import element_type

INT32, INT64 = np.dtype(np.int32), np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
COMPLEX64, COMPLEX128 = np.dtype(np.complex64), np.dtype(np.complex128)

# Node -> the nodes just above it. "int*", "float*" and "complex*" are the weak ones.
_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int*",),
    "int*": ("uint8", "int8"),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float*",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float*",),
    "float*": ("complex*", "bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex*": ("complex64",),
    "complex64": ("complex128",),
    "complex128": (),
}


def _reach(node: str) -> frozenset[str]:
    found = {node}
    for above in _ABOVE[node]:
        found |= _reach(above)
    return frozenset(found)


_REACH = {node: _reach(node) for node in _ABOVE}


_defaults: dict[str, np.dtype] = {}  # "float" and "int", once they are known


def default_float() -> np.dtype:
    """The type of floats created without one: float32, or what `set_defaults` was told, or what XLAC_DEFAULT_FLOAT said
    when it was first needed.

    Raises:
      OptionError: the variable names neither float32 nor float64.
    """
    known = _defaults.get("float")
    if known is None:
        from xlac.options import environment

        name = environment("XLAC_DEFAULT_FLOAT") or "float32"
        if name not in ("float32", "float64"):
            raise OptionError(f"XLAC_DEFAULT_FLOAT={name!r}; it must be float32 or float64")
        known = _defaults["float"] = np.dtype(name)
    return known


def default_int() -> np.dtype:
    """The type of integers created without one: int32, or what `set_defaults` was told."""
    return _defaults.get("int", INT32)


def set_defaults(wide: bool) -> None:
    """Make the default types float64 and int64, or float32 and int32 again."""
    _defaults.update({"float": FLOAT64, "int": INT64} if wide else {"float": FLOAT32, "int": INT32})
    to_inexact.cache_clear()
    promote.cache_clear()


_narrowing = [False]


def narrow_foreign(on: bool) -> None:
    """Whether 64-bit types of NumPy's arrays, and those asked for, are taken as the default ones, as in JAX."""
    _narrowing[0] = on


def taken(dtype: np.dtype) -> np.dtype:
    """The type that an array of NumPy's has here: its own, but see `narrow_foreign`."""
    if not _narrowing[0]:
        return dtype
    return {INT64: default_int(), FLOAT64: default_float(), COMPLEX128: default_complex()}.get(dtype, dtype)


def default_complex() -> np.dtype:
    """The complex type whose parts are of the default float type."""
    return COMPLEX64 if default_float() == FLOAT32 else COMPLEX128


def scalar_dtype(value: bool | int | float | complex) -> np.dtype:
    """The type a Python scalar has where it meets no array: bool, default int (int64 if needed), float or complex."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return default_int()
        if -(2**63) <= value < 2**63:
            return INT64
        if 0 <= value < 2**64:
            return np.dtype(np.uint64)
        raise RangeError(f"the integer {value} needs more than 64 bits")
    return default_complex() if isinstance(value, complex) else default_float()


@functools.cache
def _limits(dtype: np.dtype) -> tuple[int, int]:
    info = ml_dtypes.iinfo(dtype)
    return int(info.min), int(info.max)


def check_range(value: int, dtype: np.dtype) -> None:
    """Raise unless an integer type holds the integer.

    Raises:
      RangeError: it does not.
    """
    least, greatest = _limits(dtype)
    if not least <= value <= greatest:
        raise RangeError(f"the integer {value} is not in {dtype}, which holds {least} to {greatest}")


def as_dtype(dtype: Any) -> np.dtype:
    """The NumPy dtype of a dtype argument; the Python types float, int and complex, and None, give the default types.

    Raises:
      ShapeError: it is no element type.
    """
    if dtype is float or dtype is None:
        return default_float()
    if dtype is int:
        return default_int()
    if dtype is complex:
        return default_complex()
    return taken(element_type(dtype).dtype)


def kind(dtype: np.dtype) -> str:
    """ "p" (bool), "s", "u", "f" or "c"."""
    return element_type(dtype).kind


_NUMPY_KIND = {"f": np.floating, "s": np.signedinteger, "u": np.unsignedinteger}


def issubdtype(arg1: Any, arg2: Any, /) -> bool:
    """NumPy's `issubdtype`, to which bfloat16 and the float8 types are kinds of `floating`, int4 of `signedinteger`."""
    abstract = isinstance(arg2, type) and issubclass(arg2, np.generic)
    if abstract and not (isinstance(arg1, type) and issubclass(arg1, np.generic)):
        arg1 = np.dtype(arg1).type
    if abstract and arg1.__module__ == "ml_dtypes":
        return arg1 is arg2 or issubclass(_NUMPY_KIND[kind(np.dtype(arg1))], arg2)
    return np.issubdtype(arg1, arg2)


def is_inexact(dtype: np.dtype) -> bool:
    return element_type(dtype).is_inexact


def is_float(dtype: np.dtype) -> bool:
    return element_type(dtype).is_float


def is_complex(dtype: np.dtype) -> bool:
    return dtype.kind == "c"


def is_integer(dtype: np.dtype) -> bool:
    return element_type(dtype).is_integer


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The type of the real part."""
    return element_type(dtype).real.dtype


@functools.cache
def to_inexact(dtype: np.dtype) -> np.dtype:
    """The type in which functions such as `sin` compute.

    Floats and complex numbers compute in their own, 64-bit integers in float64, others and bool in the default float.
    """
    if is_inexact(dtype):
        return dtype
    return FLOAT64 if dtype in (INT64, np.dtype(np.uint64)) else default_float()


def _weak_node(dtype: np.dtype) -> str:
    row = element_type(dtype)
    return "int*" if row.is_integer else "float*" if row.is_float else "complex*" if row.is_complex else "bool"


@functools.cache
def promote(*types: tuple[np.dtype, bool]) -> tuple[np.dtype, bool]:
    """The type of a result of operands of these (dtype, weak) pairs, and whether it is weak.

    Raises:
      ShapeError: the types have no common type without an explicit conversion (8- and 4-bit floats, 4-bit integers).
    """
    first, *rest = types
    if all(t == first for t in rest):
        return first
    strong = {dtype for dtype, weak in types if not weak}
    for dtype in strong:
        if dtype.name not in _REACH:
            # Small floats and integers mix with bool and with Python scalars of their kind only.
            order = "psufc"
            others = [(d, w) for d, w in types if d != dtype]
            if all(d == BOOL or (w and order.index(kind(d)) <= order.index(kind(dtype))) for d, w in others):
                return dtype, False
            clash = next(d for d, w in others if not w or order.index(kind(d)) > order.index(kind(dtype)))
            raise ShapeError(f"{dtype.name} and {clash.name} have no common type; convert one with astype")
    nodes = [_weak_node(dtype) if weak else dtype.name for dtype, weak in types]
    common = frozenset.intersection(*(_REACH[n] for n in nodes))
    # The least upper bound is the common node from which all others are reached.
    best = next(n for n in common if _REACH[n] >= common)
    if not best.endswith("*"):
        return np.dtype(best if best != "bfloat16" else ml_dtypes.bfloat16), False
    return _weak_result(best, [d for d, _ in types])


def _weak_result(node: str, dtypes: list[np.dtype]) -> tuple[np.dtype, bool]:
    """The type that stands for a weak node: wide if one of the operands was."""
    wide = any(d.itemsize >= 8 and d.kind in "iuf" or d == COMPLEX128 for d in dtypes)
    if node == "int*":
        return (INT64 if wide else default_int()), True
    if node == "float*":
        return (FLOAT64 if wide else default_float()), True
    return (COMPLEX128 if wide or default_float() == FLOAT64 else COMPLEX64), True


def result_type(*values: Any) -> np.dtype:
    """The type of a result of these arrays, traced values, Python scalars or dtypes."""
    return promote(*(type_of(v) for v in values))[0]


# NumPy's scalars of these types, as `np.sqrt(2)`, are weak like Python's numbers, which they are instances of: they
# take the type of an array beside them. Where there is none they keep their own.
WEAK_SCALARS = (np.float64, np.complex128)


def type_of(value: Any) -> tuple[np.dtype, bool]:
    """The (dtype, weak) pair of an array, a traced value, a Python or NumPy scalar or a dtype."""
    if isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        return scalar_dtype(value), not isinstance(value, bool)
    if value is int or value is float or value is complex:
        return as_dtype(value), True
    if isinstance(value, (type, str, np.dtype)):
        return as_dtype(value), False
    own = np.dtype(value.dtype)
    if type(value) is np.ndarray or isinstance(value, np.generic):
        own = taken(own)
    return own, bool(getattr(value, "weak_type", False)) or isinstance(value, WEAK_SCALARS)
