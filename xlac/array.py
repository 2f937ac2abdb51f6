"""`Array`: what programs return, a NumPy array with the operators, methods and `.at` of traced arrays.

Everything that takes a NumPy array takes it, without a copy. Its operators run as compiled programs and promote types
as traced ones do (int32 / int32 is float32), so a function gives the same inside `jit` and outside. They never change
an operand: `x += y` makes a new array. Indexing gives views, as NumPy's; `x[i] = v` changes the array in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from xlac.errors import OptionError, ShapeError, TraceError

# Operators and the functions of `xlac.numpy` behind them; traced arrays have the same.
BINARY = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "floordiv": "floor_divide",
    "mod": "mod",
    "divmod": "divmod",
    "pow": "power",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
    "lshift": "left_shift",
    "rshift": "right_shift",
}
COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
}
UNARY = {"neg": "negative", "abs": "abs", "invert": "bitwise_not"}
# Methods that are functions of `xlac.numpy` of that name.
METHODS = (
    "sum prod mean std var max min any all argmax argmin cumsum cumprod dot clip conj take round repeat trace nonzero "
    "ptp sort argsort argpartition searchsorted compress choose"
).split()
_NUMBERS = (bool, int, float, complex, np.ndarray, np.generic)
ARRAY_TYPES: set[type] = {np.ndarray}  # and Array, and the class of traced arrays once there is one


def function_of(name: str) -> Callable[[], Any]:
    """A function that gives `xlac.numpy`'s of that name, imported when it is first needed."""
    found: Any = None

    def get() -> Any:
        nonlocal found
        if found is None:
            import xlac.numpy

            found = getattr(xlac.numpy, name)
        return found

    return get


def is_operand(value: Any) -> bool:
    """Whether operators take it."""
    return type(value) in ARRAY_TYPES or isinstance(value, _NUMBERS)


def install(cls: type, views: Iterable[str] = ()) -> None:
    """Give a class of arrays the operators and methods above, and methods of these names too."""
    ARRAY_TYPES.add(cls)

    def binary(name: str, swapped: bool) -> Any:
        get = function_of(name)

        def operator(self: Any, other: Any) -> Any:
            if not is_operand(other):
                return NotImplemented
            return get()(other, self) if swapped else get()(self, other)

        return operator

    def method(name: str) -> Any:
        get = function_of(name)

        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return get()(self, *args, **kwargs)

        call.__doc__ = f"`xlac.numpy.{name}` of this array."
        return call

    for operator, name in BINARY.items():
        setattr(cls, f"__{operator}__", binary(name, False))
        setattr(cls, f"__r{operator}__", binary(name, True))
    for operator, name in COMPARISONS.items():
        setattr(cls, f"__{operator}__", binary(name, False))
    for operator, name in UNARY.items():
        setattr(cls, f"__{operator}__", method(name))
    for name in (*METHODS, *views):
        setattr(cls, name, method(name))
    cls.conjugate = method("conj")  # type: ignore[attr-defined]


def namespace(api_version: str | None) -> Any:
    """`xlac.numpy`, for a version of the Array API standard.

    Raises:
      OptionError: there is no such version, or it is newer.
    """
    import xlac.numpy

    known = ("2021.12", "2022.12", "2023.12", xlac.numpy.__array_api_version__)
    if api_version is not None and api_version not in known:
        raise OptionError(f"api_version={api_version!r}; it must be one of {', '.join(known)}")
    return xlac.numpy


_astype = function_of("astype")


class _ArrayType(type):
    """The class of `Array`: traced arrays are instances of it too."""

    def __instancecheck__(cls, value: Any) -> bool:
        kind = type(value)
        return kind in ARRAY_TYPES and kind is not np.ndarray


class Array(np.ndarray, metaclass=_ArrayType):
    """A NumPy array that a program has returned."""

    __slots__ = ()
    weak_type = False

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        return namespace(api_version)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's own functions see a plain array, and with it NumPy's methods; what they make is an `Array` again."""
        if not all(issubclass(kind, np.ndarray) for kind in types):
            return NotImplemented
        return _each(_ours, func(*_each(_plain, args), **_each(_plain, kwargs)))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        """NumPy's ufuncs see plain arrays, too; operators of a NumPy scalar and an array, which call them, are ours."""
        if ufunc in _OPERATORS and method == "__call__" and isinstance(inputs[0], np.generic) and out is None:
            return _OPERATORS[ufunc]()(*inputs, **kwargs)
        if out is not None:
            kwargs["out"] = tuple([_plain(x) for x in out])
        result = getattr(ufunc, method)(*[_plain(x) for x in inputs], **kwargs)
        if out is not None:
            return out[0] if len(out) == 1 else out
        return tuple([_ours(x) for x in result]) if type(result) is tuple else _ours(result)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __str__(self) -> str:
        return str(self.view(np.ndarray))

    def __hash__(self) -> int:
        """Of an array of no dimension, its number's, as NumPy's scalars have it."""
        if self.ndim:
            raise TypeError("unhashable type: 'Array'; arrays of dimensions have no hash")
        return hash(self.item())

    def __getitem__(self, index: Any) -> Any:
        try:
            item = _getitem(self, index)
        except TraceError:
            if not _is_traced(index):
                raise
            from xlac.frontend.indexing import getitem
            from xlac.frontend.trace import lift

            return getitem(lift(self), index)
        return item if type(item) is Array else np.asarray(item).view(Array)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return map(self.__getitem__, range(len(self)))

    def __round__(self, ndigits: int | None = None) -> Any:
        return self.round(ndigits or 0)

    def __pos__(self) -> Array:
        return self

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """`xlac.numpy.astype` of this array; NumPy's own for types that programs have not, as object and str."""
        try:
            return _astype()(self, dtype, *args, **kwargs)
        except (ShapeError, TypeError):
            return super().astype(dtype, *args, **kwargs)

    @property
    def at(self) -> _At:
        """`x.at[index].set(y)`, `.add(y)`, ...: a copy of x changed at the index."""
        return _At(self)

    def block_until_ready(self) -> Array:
        """This array: results are complete when they are returned."""
        return self

    # ---- where it is: in this process's memory, all of it

    committed = is_fully_addressable = is_fully_replicated = True

    @property
    def aval(self) -> Any:
        """Shape and dtype."""
        from xlac.api import typeof

        return typeof(self)

    @property
    def sharding(self) -> Any:
        """That of arrays on the one device."""
        from xlac.sharding import Device, SingleDeviceSharding

        return SingleDeviceSharding(Device())

    def devices(self) -> set[Any]:
        """The one device."""
        return self.sharding.device_set

    @property
    def addressable_shards(self) -> list[Any]:
        """The one part, which is the whole."""
        from xlac.sharding import Shard

        return [Shard(self)]

    global_shards = addressable_shards

    def addressable_data(self, index: int) -> Array:
        """The data of a part: of the one there is, this array."""
        return self.addressable_shards[index].data

    def copy_to_host_async(self) -> None:
        """Nothing: it is in the host's memory."""

    def is_ready(self) -> bool:
        """True."""
        return True

    def delete(self) -> None:
        """Nothing: the memory is free when the array's last name is gone."""

    def is_deleted(self) -> bool:
        """False."""
        return False

    def on_device_size_in_bytes(self) -> int:
        """Bytes of the elements."""
        return self.nbytes

    def unsafe_buffer_pointer(self) -> int:
        """The address of the first element."""
        return self.ctypes.data


_getitem = np.ndarray.__getitem__

install(Array)
for _operator in BINARY:
    if hasattr(np.ndarray, f"__i{_operator}__"):
        setattr(Array, f"__i{_operator}__", getattr(Array, f"__{_operator}__"))


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """`function` of the leaves of nested tuples, lists and dicts."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind([_each(function, v) for v in value])
    if kind is dict:
        return {k: _each(function, v) for k, v in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return kind(*[_each(function, v) for v in value])
    return function(value)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if type(value) is Array else value


def _ours(value: Any) -> Any:
    return value.view(Array) if type(value) is np.ndarray else value


# What NumPy calls for the operators of its scalars.
_OPERATORS = {getattr(np, name): function_of(name) for name in (*BINARY.values(), *COMPARISONS.values())}


def _is_traced(index: Any) -> bool:
    from xlac.frontend.tracer import Tracer

    return any(isinstance(item, Tracer) for item in (index if isinstance(index, tuple) else (index,)))


class _At:
    """`x.at` of a concrete array: indexed to give what can be changed there."""

    __slots__ = ("array",)

    def __init__(self, array: Array) -> None:
        self.array = array

    def __getitem__(self, index: Any) -> _AtIndex:
        return _AtIndex(self.array, index)


class _AtIndex:
    """`x.at[index]` of a concrete array: each method of `indexing.AtIndex` as one program.

    Whole numbers and arrays in the index are data, so that one program serves all places.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Array, index: Any) -> None:
        self.array, self.index = array, index

    def __getattr__(self, name: str) -> Any:
        from xlac.frontend.indexing import AtIndex, change_at

        if name.startswith("_") or not hasattr(AtIndex, name):
            raise AttributeError(f"x.at[index] has no method {name!r}")

        def change(*args: Any, **settings: Any) -> Any:
            return change_at(self.array, self.index, name, args, settings)

        return change
