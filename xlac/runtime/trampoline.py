"""The native function behind calls of compiled programs: it checks arguments, runs the program and nests the results.

One function serves every program: it is an interpreter of small tables of words that `dispatch` writes, so nothing is
compiled per program and the object is cached on disk like any other. It has the signature of CPython's vectorcall
protocol (PEP 590). What a table does not describe is left to a Python function, which gets the arguments untouched.

Only documented C functions are called; the few fields that are read directly (of arrays, tuples, lists, floats and
types) are compared with what Python says about sample objects before the function is used for the first time. Where
anything is unknown (another interpreter, no GIL, another release) there is no trampoline, and calls stay in Python.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from string import Template
from typing import Any

import numpy as np

from xlac.array import Array

KNOWN_PYTHONS = range(10, 14)  # minor versions of CPython 3 this was tested with
NUMPY_ABI = 0x02000000  # of NumPy 2

# Offsets of fields that are read directly; `_layout_is_known` compares all of them with sample objects.
_HEADER = getattr(object, "__basicsize__", 0)
_TYPE = 8
_TYPE_VECTORCALL_OFFSET = 56  # PyTypeObject.tp_vectorcall_offset
_ARRAY_DATA, _ARRAY_NDIM, _ARRAY_DIMS, _ARRAY_DESCR, _ARRAY_FLAGS = (_HEADER + x for x in (0, 8, 16, 40, 48))
_SIZE, _TUPLE_ITEMS = _HEADER, getattr(tuple, "__basicsize__", 0)
_LIST_ITEMS = _HEADER + 8
_FLOAT_VALUE = _HEADER

C_CONTIGUOUS, ALIGNED, WRITEABLE = 0x1, 0x100, 0x400  # NumPy's array flags

# Kinds of argument nodes. A node is its kind and then, in words:
ARRAY = 0  # parameter number, dtype, ndim, required flags, bytes, dimensions...
IS = 1  # object
TUPLE = 2  # type, length; nodes of the items
LIST = 3  # length; nodes of the items
DICT = 4  # length; key and node of each item
FLOAT, INT32, INT64, BOOL = 5, 6, 7, 8  # parameter number; an int is INT64 if it does not fit INT32
INTEGER = 9  # value

# Kinds of result nodes.
RESULT = 0  # the next result
NONE = 1
NEW_TUPLE = 2  # length; nodes of the items
NEW_LIST = 3  # length; nodes of the items
NEW_DICT = 4  # length; key and node of each item

# Words of a table: the largest SCRATCH of its programs, then bindings. A binding is its length in bytes (0: there are
# no more), the program's address, the number of arguments, a list that must be empty (or 0), a function for the list of
# results (or 0), the number of keywords; the keywords; the argument nodes; the result nodes.
BINDING_WORDS = 6

# Words of a program. The arenas' addresses are valid where FREE has a bit.
ENTRY, CONSTANTS, RELEASE, FREE, PARAMETERS, RESULTS, DONATED, SCRATCH, ARENAS = range(9)
MAX_ARENAS = 32
DONATED_LIST = ARENAS + MAX_ARENAS  # parameter numbers; then the results: each
RESULT_WORDS = 4  # parameter number (-1: a new array), dtype, ndim, function that makes it (or 0); dimensions...

LANES = 8  # memory ranges compared at once
STACK_WORDS = 960 if os.name == "posix" else 400  # scratch memory beyond this comes from the heap

_API = (
    "Py_IncRef Py_DecRef PyErr_Clear PyErr_NoMemory PyMem_Malloc PyMem_Free PyEval_SaveThread PyEval_RestoreThread "
    "PyLong_AsLongLongAndOverflow PyDict_Size PyDict_GetItemWithError PyDict_New PyDict_SetItem PyTuple_New "
    "PyTuple_SetItem PyList_New PyList_SetItem PyMethod_New PyObject_CallNoArgs PyObject_CallFunctionObjArgs"
).split()
_NEW_FROM_DESCR = 94  # its place in NumPy's table of C functions; 0 is PyArray_GetNDArrayCVersion


def trampoline_ir() -> str:
    """LLVM text of the trampoline for this interpreter."""
    from xlac.runtime.trampoline_ir import TEXT

    numbers = {name.removeprefix("_"): value for name, value in globals().items() if isinstance(value, int)}
    return Template(TEXT).substitute(numbers, LAST_LANE=LANES - 1, LANE_MASK=-LANES)


def interpreter_is_known() -> bool:
    """Whether the interpreter and NumPy are ones that the trampoline was written for."""
    return (
        sys.implementation.name == "cpython"
        and sys.version_info[0] == 3
        and sys.version_info[1] in KNOWN_PYTHONS
        and getattr(sys, "_is_gil_enabled", lambda: True)()
        and _HEADER == 16
        and ctypes.sizeof(ctypes.c_void_p) == 8
        and sys.byteorder == "little"
        and all(hasattr(ctypes.pythonapi, name) for name in _API)
    )


def _fallback(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The call of an object whose table is gone, as while it is being destroyed."""
    return type(self).__call__(self, *args, **kwargs)


def _numpy_functions() -> Any:
    """NumPy's table of C functions, or None if it is not the known one."""
    capsule = np._core._multiarray_umath._ARRAY_API  # type: ignore[attr-defined]
    address = _address(ctypes.pythonapi.PyCapsule_GetPointer)
    get = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(address)
    table = ctypes.cast(get(capsule, None), ctypes.POINTER(ctypes.c_void_p))
    version = ctypes.CFUNCTYPE(ctypes.c_uint)(table[0] or 0)
    return table if version() == NUMPY_ABI and table[2] == id(np.ndarray) else None


def _address(function: Any) -> int:
    """Of a C function; types are given to copies, as `ctypes.pythonapi` is everybody's."""
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _layout_is_known() -> bool:
    """Compare the fields at the offsets above with what Python says about sample objects."""
    for sample in (np.ones((1, 2, 3), np.int16)[:, :, ::2], np.zeros((), np.float64), np.zeros((7, 0))):
        a, dims = id(sample), _word(id(sample) + _ARRAY_DIMS)
        known = (
            _word(a + _TYPE) == id(np.ndarray)
            and _word(a + _ARRAY_DATA) == sample.ctypes.data
            and ctypes.c_int.from_address(a + _ARRAY_NDIM).value == sample.ndim
            and all(_word(dims + 8 * i) == n for i, n in enumerate(sample.shape))
            and _word(a + _ARRAY_DESCR) == id(sample.dtype)
            and ctypes.c_int.from_address(a + _ARRAY_FLAGS).value == sample.flags.num
        )
        if not known:
            return False
    flags = np.zeros(3).flags
    if flags.num & (C_CONTIGUOUS | ALIGNED | WRITEABLE) != C_CONTIGUOUS | ALIGNED | WRITEABLE:
        return False
    number, items, pair = 1.5, [object(), object()], (object(), object())
    return (
        all(_word(id(x) + _TYPE) == id(type(x)) for x in (number, items, pair, {}, 1, True))
        and ctypes.c_double.from_address(id(number) + _FLOAT_VALUE).value == number
        and _word(id(items) + _SIZE) == 2
        and [_word(_word(id(items) + _LIST_ITEMS) + 8 * i) for i in range(2)] == [id(x) for x in items]
        and _word(id(pair) + _SIZE) == 2
        and [_word(id(pair) + _TUPLE_ITEMS + 8 * i) for i in range(2)] == [id(x) for x in pair]
    )


def offset_in_type_is_known(type_: type, offset: int) -> bool:
    """Whether the trampoline would find a type's vectorcall offset."""
    return _word(id(type_) + _TYPE_VECTORCALL_OFFSET) == offset


def keep_forever(value: Any) -> None:
    """Never free an object that native code or CPython has the address of."""
    ctypes.PYFUNCTYPE(None, ctypes.py_object)(_address(ctypes.pythonapi.Py_IncRef))(value)


class Trampoline:
    """The native function, loaded.

    Attributes:
      address: of the vectorcall function; valid for the life of the process.
      add_arena: function of a program's address, an arena's number and its address.
      sample: address of a small program to try it with.
    """

    def __init__(self, table: Any) -> None:
        from xlac.codegen.link import load
        from xlac.codegen.target import Target
        from xlac.runtime.cache import compile_object

        imports = {name: _address(getattr(ctypes.pythonapi, name)) for name in _API}
        imports["PyArray_NewFromDescr"] = table[_NEW_FROM_DESCR]
        objects = (np.ndarray, Array, list, dict, float, int)
        imports |= {kind.__name__: id(kind) for kind in objects}
        singletons = {"None": None, "True": True, "False": False, "fallback": _fallback}
        imports |= {name: id(value) for name, value in singletons.items()}
        symbols = ["xlac_call", "xlac_sample", "xlac_add_arena"]
        library = load(compile_object(trampoline_ir(), Target.host()), symbols, imports)
        # Objects with its address may be called until the very end of the process.
        library.keep_forever()
        keep_forever(_fallback)
        self.address = library.address("xlac_call")
        arena = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
        self.add_arena = arena(library.address("xlac_add_arena"))
        self.sample = library.address("xlac_sample")


_lock = threading.Lock()
_made: list[Trampoline | None] = []


def trampoline() -> Trampoline | None:
    """The trampoline, or None where this interpreter has none."""
    if not _made:
        with _lock:
            if not _made:
                table = _numpy_functions() if interpreter_is_known() and _layout_is_known() else None
                _made.append(Trampoline(table) if table is not None else None)
    return _made[0]
