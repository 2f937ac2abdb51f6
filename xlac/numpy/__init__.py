"""`xlac.numpy`: NumPy's functions on traced arrays, and on concrete ones, where they run as compiled programs.

Names and signatures are NumPy's; results follow JAX: integers and floats of different types meet by JAX's promotion
with 64-bit types kept, Python numbers take the type of the arrays beside them, and created floats are float32.
"""

from __future__ import annotations

import ml_dtypes as _ml_dtypes
import numpy as _np
from numpy import (
    bool_,
    complex64,
    complex128,
    dtype,
    e,
    euler_gamma,
    float16,
    float32,
    float64,
    inf,
    int8,
    int16,
    int32,
    int64,
    nan,
    ndarray,
    newaxis,
    pi,
    uint8,
    uint16,
    uint32,
    uint64,
)

from xlac.frontend.dtypes import as_dtype as _as_dtype
from xlac.frontend.dtypes import promote as _promote
from xlac.frontend.dtypes import result_type
from xlac.numpy import creation, elementwise, linalg, products, reductions, shaping
from xlac.numpy.creation import *  # noqa: F403
from xlac.numpy.elementwise import *  # noqa: F403
from xlac.numpy.products import *  # noqa: F403
from xlac.numpy.reductions import *  # noqa: F403
from xlac.numpy.shaping import *  # noqa: F403
from xlac.numpy.shaping import trace_ as trace

bfloat16 = _ml_dtypes.bfloat16
float8_e4m3fn, float8_e5m2 = _ml_dtypes.float8_e4m3fn, _ml_dtypes.float8_e5m2
int4, uint4 = _ml_dtypes.int4, _ml_dtypes.uint4
finfo, iinfo = _ml_dtypes.finfo, _ml_dtypes.iinfo
issubdtype, isscalar = _np.issubdtype, _np.isscalar
floating, integer, inexact, complexfloating, number = (
    _np.floating,
    _np.integer,
    _np.inexact,
    _np.complexfloating,
    _np.number,
)
signedinteger, unsignedinteger, generic = _np.signedinteger, _np.unsignedinteger, _np.generic
ix_, index_exp, s_ = _np.ix_, _np.index_exp, _np.s_
set_printoptions, printoptions = _np.set_printoptions, _np.printoptions


def promote_types(type1: object, type2: object) -> _np.dtype:
    """The type of a result of operands of these two types."""
    return _promote((_as_dtype(type1), False), (_as_dtype(type2), False))[0]


def iscomplexobj(x: object) -> bool:
    """Whether the element type is complex."""
    return _np.dtype(getattr(x, "dtype", type(x))).kind == "c"


def broadcast_shapes(*shapes: object) -> tuple[int, ...]:
    """The shape that arrays of these shapes broadcast to."""
    return tuple(_np.broadcast_shapes(*shapes))  # type: ignore[arg-type]


__all__ = [
    *creation.__all__,
    *elementwise.__all__,
    *products.__all__,
    *reductions.__all__,
    *shaping.__all__,
    "bfloat16",
    "bool_",
    "broadcast_shapes",
    "complex128",
    "complex64",
    "complexfloating",
    "dtype",
    "e",
    "euler_gamma",
    "finfo",
    "float16",
    "float32",
    "float64",
    "float8_e4m3fn",
    "float8_e5m2",
    "floating",
    "generic",
    "iinfo",
    "index_exp",
    "inexact",
    "inf",
    "int16",
    "int32",
    "int4",
    "int64",
    "int8",
    "integer",
    "iscomplexobj",
    "isscalar",
    "issubdtype",
    "ix_",
    "linalg",
    "nan",
    "ndarray",
    "newaxis",
    "number",
    "pi",
    "printoptions",
    "promote_types",
    "result_type",
    "s_",
    "set_printoptions",
    "signedinteger",
    "trace",
    "uint16",
    "uint32",
    "uint4",
    "uint64",
    "uint8",
    "unsignedinteger",
]
