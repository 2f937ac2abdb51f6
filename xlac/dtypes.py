"""`xlac.dtypes`: questions about element types under the names of `jax.dtypes`."""

from __future__ import annotations

import numpy as np
from ml_dtypes import bfloat16, finfo, iinfo
from numpy import issubdtype

from xlac.frontend.dtypes import as_dtype as canonicalize_dtype
from xlac.frontend.dtypes import result_type
from xlac.frontend.forward import FLOAT0 as float0

__all__ = [
    "bfloat16",
    "canonicalize_dtype",
    "extended",
    "finfo",
    "float0",
    "iinfo",
    "issubdtype",
    "prng_key",
    "result_type",
]


class _TypesOfKeys(type):
    def __subclasscheck__(cls, other: type) -> bool:
        return other is np.uint64 or super().__subclasscheck__(other)


class extended(np.generic, metaclass=_TypesOfKeys):
    """The kind of types that NumPy does not have: here `prng_key` only."""


class prng_key(extended):
    """The kind of the type of `xlac.random.key`'s keys, uint64: `issubdtype(key.dtype, prng_key)`."""
