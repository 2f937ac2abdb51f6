"""`xlac.dtypes`: questions about element types under the names of `jax.dtypes`."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_dtypes import bfloat16, finfo, iinfo

from xlac.frontend.dtypes import as_dtype as canonicalize_dtype
from xlac.frontend.dtypes import issubdtype, result_type
from xlac.frontend.forward import FLOAT0 as float0

__all__ = [
    "bfloat16",
    "canonicalize_dtype",
    "extended",
    "finfo",
    "float0",
    "iinfo",
    "issubdtype",
    "itemsize_bits",
    "prng_key",
    "result_type",
    "scalar_type_of",
]


def itemsize_bits(dtype: Any) -> int:
    """How many bits an element has."""
    from xlac.ir.shape import element_type

    return element_type(canonicalize_dtype(dtype)).bits


def scalar_type_of(x: Any) -> type:
    """The Python type of numbers of the kind of an array or number: bool, int, float or complex."""
    from xlac.frontend import dtypes
    from xlac.lax import dtype

    kind = dtype(x)
    if kind == np.bool_:
        return bool
    return int if dtypes.is_integer(kind) else complex if dtypes.is_complex(kind) else float


class _TypesOfKeys(type):
    def __subclasscheck__(cls, other: type) -> bool:
        return other is np.uint64 or super().__subclasscheck__(other)


class extended(np.generic, metaclass=_TypesOfKeys):
    """The kind of types that NumPy does not have: here `prng_key` only."""


class prng_key(extended):
    """The kind of the type of `xlac.random.key`'s keys, uint64: `issubdtype(key.dtype, prng_key)`."""
