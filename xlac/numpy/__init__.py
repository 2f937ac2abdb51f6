"""`xlac.numpy`: NumPy's functions on traced arrays, and on concrete ones, where they run as compiled programs.

Names and signatures are those of `jax.numpy` and of the Python Array API standard 2024.12, whose namespace this is;
integers and floats of different types meet by JAX's promotion with 64-bit types kept, Python numbers take the type of
the arrays beside them, and created floats are float32, integers int32.
"""

from __future__ import annotations

import numpy as _np
from numpy import array_repr as array_repr
from numpy import array_str as array_str
from numpy import (
    character,
    complexfloating,
    dtype,
    e,
    euler_gamma,
    flexible,
    floating,
    generic,
    get_printoptions,
    index_exp,
    inexact,
    inf,
    integer,
    isscalar,
    iterable,
    load,
    nan,
    newaxis,
    number,
    object_,
    pi,
    printoptions,
    s_,
    save,
    savez,
    set_printoptions,
    signedinteger,
    unsignedinteger,
)
from numpy.exceptions import ComplexWarning

from xlac.array import Array as ndarray
from xlac.frontend.dtypes import issubdtype, result_type
from xlac.lax.movement import broadcast_shapes
from xlac.numpy import (
    bits,
    calculus,
    creation,
    elementwise,
    fft,
    functional,
    index_tricks,
    indexing,
    joining,
    linalg,
    padding,
    polynomials,
    products,
    reductions,
    shaping,
    sorting,
    statistics,
    types,
    ufuncs,
)
from xlac.numpy.bits import *  # noqa: F403
from xlac.numpy.calculus import *  # noqa: F403
from xlac.numpy.creation import *  # noqa: F403
from xlac.numpy.elementwise import *  # noqa: F403
from xlac.numpy.functional import *  # noqa: F403
from xlac.numpy.index_tricks import *  # noqa: F403
from xlac.numpy.indexing import *  # noqa: F403
from xlac.numpy.joining import *  # noqa: F403
from xlac.numpy.padding import *  # noqa: F403
from xlac.numpy.polynomials import *  # noqa: F403
from xlac.numpy.products import *  # noqa: F403
from xlac.numpy.reductions import *  # noqa: F403
from xlac.numpy.shaping import *  # noqa: F403
from xlac.numpy.shaping import trace_ as trace
from xlac.numpy.sorting import *  # noqa: F403
from xlac.numpy.statistics import *  # noqa: F403
from xlac.numpy.types import *  # noqa: F403
from xlac.numpy.types import ArrayNamespaceInfo as _ArrayNamespaceInfo
from xlac.numpy.ufuncs import *  # noqa: F403
from xlac.numpy.ufuncs import Methods as ufunc

# Names of NumPy's and of the standard; the module's own functions do not read them.
bool, float_, int_, uint, complex_ = bool_, float32, int32, uint32, complex64  # noqa: F405
half, single, double, csingle, cdouble = float16, float32, float64, complex64, complex128  # noqa: F405
einsum_path = _np.einsum_path

ufuncs.install(globals())

__array_api_version__ = "2024.12"


def __array_namespace_info__() -> _ArrayNamespaceInfo:
    """What this namespace can do; see the Array API standard."""
    return _ArrayNamespaceInfo()


__all__ = [
    *bits.__all__,
    *calculus.__all__,
    *creation.__all__,
    *elementwise.__all__,
    *functional.__all__,
    *index_tricks.__all__,
    *indexing.__all__,
    *joining.__all__,
    *padding.__all__,
    *polynomials.__all__,
    *products.__all__,
    *reductions.__all__,
    *shaping.__all__,
    *sorting.__all__,
    *statistics.__all__,
    *types.__all__,
    *ufuncs.__all__,
    "ComplexWarning",
    "array_repr",
    "array_str",
    "bool",
    "broadcast_shapes",
    "cdouble",
    "character",
    "complex_",
    "complexfloating",
    "csingle",
    "double",
    "dtype",
    "e",
    "einsum_path",
    "euler_gamma",
    "fft",
    "flexible",
    "float_",
    "floating",
    "generic",
    "get_printoptions",
    "half",
    "index_exp",
    "inexact",
    "inf",
    "int_",
    "integer",
    "isscalar",
    "issubdtype",
    "iterable",
    "linalg",
    "load",
    "nan",
    "ndarray",
    "newaxis",
    "number",
    "object_",
    "pi",
    "printoptions",
    "result_type",
    "s_",
    "save",
    "savez",
    "set_printoptions",
    "signedinteger",
    "single",
    "trace",
    "ufunc",
    "uint",
    "unsignedinteger",
]
