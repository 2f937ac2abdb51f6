"""Calls of compiled programs without Python on the way: which arguments go to which program, as tables of words.

An object of a class with the mixin `Dispatching` is called like any other. Once a call has gone through its `__call__`,
`learn` writes down what arguments it was called with and which program ran; calls with such arguments are native from
then on, through the function that `trampoline` makes. All others reach `__call__` as before, so that alone decides what
a call means.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.array import Array
from xlac.runtime import memory
from xlac.runtime import trampoline as t

MAX_BINDINGS = 16  # signatures of one object that are native; the latest stay
MAX_DEPTH = 64  # containers in containers
RELEASE_BYTES = 16 << 10  # programs that touch more memory let other Python threads run meanwhile
RELEASE_STEPS = 64

_CARRAY = t.C_CONTIGUOUS | t.ALIGNED


class NativeProgram:
    """A compiled program as the trampoline sees it: its entry, constants, arenas, donated parameters and results.

    Args:
      entry: address of the entry function.
      constants: address of the table of constants.
      arena_bytes: scratch memory of one run.
      parameters: (dims, dtype) of each.
      results: (dims, dtype) of each.
      aliases: result number -> number of the parameter that it is.
      donated: parameter numbers whose memory the program writes to.
      steps: how many kernels it has; many let other Python threads run meanwhile.
      long: it may run long whatever the sizes are.
      keep: what must live as long as the program.
    """

    def __init__(
        self,
        entry: int,
        constants: int,
        arena_bytes: int,
        parameters: Sequence[tuple[tuple[int, ...], np.dtype]],
        results: Sequence[tuple[tuple[int, ...], np.dtype]],
        aliases: Mapping[int, int],
        donated: Sequence[int],
        long: bool = False,
        steps: int = 1,
        keep: Any = None,
    ) -> None:
        self.parameters = list(parameters)
        self.donated = frozenset(donated) | frozenset(aliases.values())
        self.result_count = len(results)
        self.arena_bytes = max(64, arena_bytes)
        self._keep: list[Any] = [keep]
        touched = arena_bytes + sum(_bytes(*shape) for shape in (*parameters, *results))
        release = long or touched > RELEASE_BYTES or steps > RELEASE_STEPS
        words = [0] * t.DONATED_LIST
        words[t.ENTRY], words[t.CONSTANTS], words[t.RELEASE] = entry, constants, int(release)
        words[t.PARAMETERS], words[t.RESULTS], words[t.DONATED] = len(parameters), len(results), len(self.donated)
        padded = -(-len(parameters) // t.LANES) * t.LANES
        words[t.SCRATCH] = self.scratch_words = 2 * padded + 3 * len(parameters) + 2 * len(results)
        words += sorted(self.donated)
        for number, (dims, dtype) in enumerate(results):
            maker = 0
            if _bytes(dims, dtype) >= memory.POOLED_BYTES:
                self._keep.append(memory.allocator(dims, dtype))
                maker = id(self._keep[-1])
            self._keep.append(dtype)
            words += [aliases.get(number, -1), id(dtype), len(dims), maker, *dims]
        self._words = np.array([w & _WORD for w in words], np.uint64)
        self.address: int = self._words.ctypes.data
        self._arenas = 0
        self._lock = threading.Lock()
        if self.arena_bytes < memory.POOLED_BYTES:  # else when it is first needed
            self.add_arena()

    def add_arena(self) -> None:
        """Allow one more run at the same time, up to MAX_ARENAS."""
        native = t.trampoline()
        assert native is not None
        with self._lock:
            if self._arenas < t.MAX_ARENAS:
                arena = memory.aligned_bytes(self.arena_bytes)
                self._keep.append(arena)
                native.add_arena(self.address, self._arenas, arena.ctypes.data)
                self._arenas += 1

    def is_busy(self) -> bool:
        """Whether all arenas are taken."""
        return not self._words[t.FREE]


_WORD = (1 << 64) - 1


def _bytes(dims: Sequence[int], dtype: np.dtype) -> int:
    size = dtype.itemsize
    for n in dims:
        size *= n
    return size


class Unsupported(Exception):
    """These arguments are not among those that can be described to the trampoline."""


class Binding:
    """Arguments that a call may have, the program for them, and how its results nest; as words of a table."""

    def __init__(self, program: NativeProgram) -> None:
        self.program = program
        self.words: list[int] = []
        self.keep: list[Any] = [program]
        self._numbers: Iterator[int] = iter(range(len(program.parameters)))

    def _refer(self, value: Any) -> int:
        self.keep.append(value)
        return id(value)

    def begin(
        self, arguments: int, names: Sequence[str] = (), unless: list | None = None, finish: Callable | None = None
    ) -> None:
        """The head: how many arguments, of them the last `names` by keyword; `unless` and `finish` as in `learn`."""
        quiet = 0 if unless is None else self._refer(unless)
        function = 0 if finish is None else self._refer(finish)
        self.words += [0, self.program.address, arguments, quiet, function, len(names)]
        # A keyword in a call is an interned string.
        self.words += [self._refer(sys.intern(name)) for name in names]

    def array(self) -> None:
        """The next argument is the next parameter, as an array."""
        number = next(self._numbers)
        dims, dtype = self.program.parameters[number]
        flags = _CARRAY | (t.WRITEABLE if number in self.program.donated else 0)
        self.words += [t.ARRAY, number, self._refer(dtype), len(dims), flags, _bytes(dims, dtype), *dims]

    def same(self, value: Any) -> None:
        """The next argument is this object; of integers and tuples, one equal to it."""
        if type(value) is int and -(2**63) <= value < 2**63:
            self.words += [t.INTEGER, value & _WORD]
        elif type(value) is tuple:
            self.tuple(len(value))
            for item in value:
                self.same(item)
        else:
            self.words += [t.IS, self._refer(value)]

    def tuple(self, length: int, kind: type = tuple) -> None:
        """The next argument is a tuple, or named tuple, of the next `length` ones."""
        self.words += [t.TUPLE, self._refer(kind), length]

    def argument(self, value: Any, depth: int = 0) -> None:
        """The next argument is nested like `value`, with arrays and numbers of the same types.

        Raises:
          Unsupported: there is something else in it.
        """
        kind = type(value)
        if depth > MAX_DEPTH:
            raise Unsupported
        if kind is np.ndarray or kind is Array:
            self.array()
        elif value is None:
            self.same(value)
        elif kind is list:
            self.words += [t.LIST, len(value)]
            for item in value:
                self.argument(item, depth + 1)
        elif kind is dict:
            # Keys of these types compare without running Python code.
            if not all(type(key) is str or type(key) is int for key in value):
                raise Unsupported
            try:
                keys = sorted(value)
            except TypeError:
                raise Unsupported from None
            self.words += [t.DICT, len(keys)]
            for key in keys:
                self.words.append(self._refer(sys.intern(key) if type(key) is str else key))
                self.argument(value[key], depth + 1)
        elif kind is tuple or _is_named_tuple(value):
            self.tuple(len(value), kind)
            for item in value:
                self.argument(item, depth + 1)
        elif kind in _NUMBERS:
            self._number(value)
        else:
            raise Unsupported

    def _number(self, value: bool | int | float) -> None:
        number = next(self._numbers)
        dims, dtype = self.program.parameters[number]
        node = _NUMBERS[type(value)].get(dtype)
        if node is None or dims or number in self.program.donated:
            raise Unsupported
        if type(value) is int and (-(2**31) <= value < 2**31) != (node == t.INT32):
            raise Unsupported
        self.words += [node, number]

    def all_parameters_given(self) -> bool:
        return next(self._numbers, None) is None

    def result(self, structure: tree.Structure) -> bool:
        """The results nest like this. False, and nothing is written, if only Python can build that."""
        words: list[int] = []
        keep: list[Any] = []

        def visit(node: tree.Structure, depth: int) -> bool:
            kind = node.kind
            if depth > MAX_DEPTH:
                return False
            if kind is tree.Structure:
                words.append(t.RESULT)
            elif kind is None:
                words.append(t.NONE)
            elif kind is tuple or kind is list:
                words.extend((t.NEW_TUPLE if kind is tuple else t.NEW_LIST, len(node.parts)))
                return all(visit(child, depth + 1) for child in node.parts)
            elif kind is dict:
                words.extend((t.NEW_DICT, len(node.parts)))
                for key, child in zip(node.data, node.parts):
                    keep.append(key)
                    words.append(id(key))
                    if not visit(child, depth + 1):
                        return False
            else:
                return False
            return True

        if not visit(structure, 0):
            return False
        self.words += words
        self.keep += keep
        return True

    def flat_result(self) -> None:
        """The results come as one list."""
        self.words += [t.NEW_LIST, self.program.result_count, *[t.RESULT] * self.program.result_count]


def _is_named_tuple(value: Any) -> bool:
    return isinstance(value, tuple) and hasattr(value, "_fields") and tree.flatten(value)[1].data is None


# The node for a number of a type where the parameter has a dtype.
_NUMBERS: dict[type, dict[np.dtype, int]] = {
    float: {np.dtype(np.float64): t.FLOAT},
    int: {np.dtype(np.int32): t.INT32, np.dtype(np.int64): t.INT64},
    bool: {np.dtype(np.bool_): t.BOOL},
}


# ---- objects that are called natively


# The functions that hold compiled programs.
_FUNCTIONS: weakref.WeakSet[Any] = weakref.WeakSet()


def remember(function: Any) -> None:
    """Have `clear_caches` call the function's `clear_cache`."""
    _FUNCTIONS.add(function)


def clear_caches() -> None:
    """Forget every signature that any function was compiled for; later calls trace and compile anew."""
    for function in list(_FUNCTIONS):
        function.clear_cache()


class Dispatching:
    """Mixin of classes with a `__call__`: `learn` makes later calls with arguments like those of a call native.

    An instance's real class is a subclass made here, which has room for the address of the native function. Of what is
    learned, only this instance knows; a copy would share it, so instances are not copied.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return object.__new__(_vectorcall_type(cls))

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        return self


def learn(
    target: Dispatching,
    program: NativeProgram | None,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    structure: tree.Structure,
    fixed: Callable[[int | str], bool] | None = None,
    unless: list | None = None,
) -> bool:
    """Call `program` natively whenever `target` is called with arguments like these.

    Args:
      program: None if there is no native one.
      args, kwargs: of a call whose array and number leaves, in the order of `xlac.tree`, were the program's parameters.
      structure: how the program's results nest.
      fixed: whether an argument, given by position or name, must be this very object instead.
      unless: a list; calls are native only while it is empty.

    Returns: False if there is no native way to do that.
    """
    if program is None or not available() or type(target) not in _types.values():
        return False
    binding = Binding(program)
    # Keywords are parameters in the order of their names, but arguments in the order they are given.
    if list(kwargs) != sorted(kwargs) and len(kwargs) > 1:
        binding._numbers = _numbers_by_name(args, kwargs, fixed)
    try:
        nested = Binding(program).result(structure)
        binding.begin(len(args) + len(kwargs), list(kwargs), unless, None if nested else _unflattener(structure))
        for key, value in (*enumerate(args), *kwargs.items()):
            if fixed is not None and fixed(key):
                binding.same(value)
            else:
                binding.argument(value)
        if not binding.all_parameters_given():
            return False
    except (Unsupported, StopIteration):
        return False
    if nested:
        binding.result(structure)
    else:
        binding.flat_result()
    bind(target, binding)
    return True


def _numbers_by_name(args: Sequence[Any], kwargs: Mapping[str, Any], fixed: Any) -> Iterator[int]:
    """The parameter numbers of the leaves in the order the arguments are given."""

    def count(key: int | str, value: Any) -> int:
        return 0 if fixed is not None and fixed(key) else tree.structure(value).num_leaves

    first = sum(count(i, value) for i, value in enumerate(args))
    yield from range(first)
    start = {}
    for name in sorted(kwargs):
        start[name] = first
        first += count(name, kwargs[name])
    for name, value in kwargs.items():
        yield from range(start[name], start[name] + count(name, value))


def _unflattener(structure: tree.Structure) -> Callable[[list[Any]], Any]:
    return lambda leaves: tree.unflatten(structure, leaves)


def bind(target: Dispatching, binding: Binding) -> None:
    """Add a binding; the latest is tried first."""
    native = t.trampoline()
    assert native is not None
    owner = getattr(target, "_dispatch_owner", ())
    if any(b.words == binding.words for b in owner[2:]):
        return
    bindings = (binding, *owner[2 : 2 + MAX_BINDINGS - 1])
    words = [max(b.program.scratch_words for b in bindings)]
    for b in bindings:
        words += [8 * len(b.words), *b.words[1:]]
    words.append(0)
    table = np.array(words, np.uint64)
    target._dispatch_owner = (table, type(target).__call__, *bindings)  # type: ignore[attr-defined]
    target._dispatch_call = native.address  # type: ignore[attr-defined]


def forget(target: Dispatching) -> None:
    """Undo all `learn` and `bind`."""
    if hasattr(target, "_dispatch_owner"):
        target._dispatch_call = 0  # type: ignore[attr-defined]
        del target._dispatch_owner


@functools.cache
def available() -> bool:
    """Whether calls can be native here: there is a trampoline, and a sample program gives what it should."""
    native = t.trampoline()
    return native is not None and _sample_works(native)


def _sample_works(native: t.Trampoline) -> bool:
    class Sample(Dispatching):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return args, kwargs

    word = ctypes.c_int64(100)
    constants = ctypes.c_void_p(ctypes.addressof(word))
    scalar, vector = ((), np.dtype(np.int64)), ((3,), np.dtype(np.int64))
    program = NativeProgram(
        entry=native.sample,
        constants=ctypes.addressof(constants),
        arena_bytes=8,
        parameters=[vector, vector, vector, vector, scalar, scalar],
        results=[vector, scalar],
        aliases={1: 5},
        donated=[5],
        keep=(word, constants),
    )
    x, total, sample = np.array([1, 2, 3], np.int64), np.array(10, np.int64), Sample()
    arguments = (x, [x], (x,), {"k": x}, 2**40, total)
    binding = Binding(program)
    binding.begin(len(arguments), unless=[])
    for argument in arguments:
        binding.argument(argument)
    binding.result(tree.structure(({"r": 0}, [0], None)))
    if not isinstance(sample, tuple(_types.values())):
        return False
    bind(sample, binding)
    result = sample(*arguments)
    return (
        type(result) is tuple
        and len(result) == 3
        and result[0]["r"].shape == (3,)
        and int(result[0]["r"][0]) == 4 * 1 + 2**40 + 10 + 100
        and result[1][0] is total
        and result[2] is None
        and sample(x, a=1) == ((x,), {"a": 1})
    )


# ---- the class of such objects

_MEMBERS, _OBJECT, _SSIZE, _ULONGLONG, _READONLY = 72, 16, 19, 18, 1  # Py_tp_members; kinds of PyMemberDef and its flag
_HAVE_VECTORCALL = 1 << 11

_types: dict[type, type] = {}


class _Slot(ctypes.Structure):
    _fields_ = [("slot", ctypes.c_int), ("value", ctypes.c_void_p)]


class _Member(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("kind", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Spec(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


def _vectorcall_type(cls: type) -> type:
    """The subclass of `cls` whose instances may have a vectorcall function; `cls` itself where there is no trampoline.

    Where an instance has none, as at first, CPython calls `__call__`.
    """
    made = _types.get(cls)
    if made is None:
        if cls in _types.values():
            return cls
        made = _make_type(cls) if t.interpreter_is_known() else cls
        made = _types.setdefault(cls, made)
    return made


def _make_type(cls: type) -> type:
    """The class by PyType_FromSpecWithBases: that sets the documented flag, which a `class` statement cannot."""
    offset = cls.__basicsize__
    members = (_Member * 4)(
        (b"__vectorcalloffset__", _SSIZE, offset, _READONLY, None),
        (b"_dispatch_call", _ULONGLONG, offset, 0, None),
        (b"_dispatch_owner", _OBJECT, offset + 8, 0, None),
    )
    slots = (_Slot * 2)((_MEMBERS, ctypes.addressof(members)))
    name = f"{cls.__module__}.{cls.__qualname__}".encode()
    spec = _Spec(name, offset + 16, 0, _HAVE_VECTORCALL, ctypes.addressof(slots))
    t.keep_forever((members, slots, spec, name))  # the class points into them
    address = ctypes.cast(ctypes.pythonapi.PyType_FromSpecWithBases, ctypes.c_void_p).value or 0
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object)(address)
    try:
        made = make(ctypes.addressof(spec), (cls,))
    except (SystemError, TypeError):
        return cls
    made.__doc__ = cls.__doc__
    return made if t.offset_in_type_is_known(made, offset) else cls
