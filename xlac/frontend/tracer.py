"""`Tracer`: the array a traced function sees. It has NumPy's operators, methods and protocols, and no values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.array import install, namespace
from xlac.errors import TraceError
from xlac.frontend import trace
from xlac.ir.module import Instruction

if TYPE_CHECKING:
    from xlac.frontend.indexing import At

_xnp: Any = None


def _numpy() -> Any:
    """`xlac.numpy`, imported when the first operator needs it."""
    global _xnp
    if _xnp is None:
        import xlac.numpy

        _xnp = xlac.numpy
    return _xnp


# What stands in the place of attributes that arrays have in memory only, or that change an array.
_INSTEAD = {
    "fill": "use xlac.numpy.full_like(x, value), which gives a new array",
    "put": "use x = x.at[index].set(values)",
    "itemset": "use x = x.at[index].set(value)",
    "partition": "use x = xlac.numpy.partition(x, kth)",
    "resize": "use x = xlac.numpy.resize(x, shape)",
    "byteswap": "use x.view(numpy.uint8) where the bytes of a number matter",
    **dict.fromkeys(
        ("tobytes", "tofile", "dump", "dumps", "data", "ctypes", "flags", "strides", "base", "setflags", "getfield"),
        "it has no memory until the program runs; use the result of the jitted function",
    ),
}


class Tracer:
    """A traced array: an instruction's result, not known until the program runs.

    Attributes:
      weak_type: it stands for a Python number, and takes the type of the arrays it meets.
      exact: the Python number, or its traced value in double precision, where one is known; conversions start from it.
    """

    __slots__ = ("_instruction", "_trace", "exact", "weak_type")
    __array_priority__ = 1000

    def __init__(self, owner: trace.Trace, instruction: Instruction, weak: bool = False, exact: Any = None) -> None:
        self._trace = owner
        self._instruction = instruction
        self.weak_type = weak
        self.exact = exact

    def __repr__(self) -> str:
        return f"Tracer<{self._instruction.shape}>"

    # ---- what is known while tracing

    @property
    def shape(self) -> tuple[int, ...]:
        return self._instruction.shape.dims  # type: ignore[union-attr]

    @property
    def dtype(self) -> np.dtype:
        return self._instruction.shape.dtype  # type: ignore[union-attr]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self._instruction.shape.size  # type: ignore[union-attr]

    @property
    def itemsize(self) -> int:
        return self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def aval(self) -> Any:
        """Shape and dtype."""
        from xlac.api import typeof

        return typeof(self)

    def __len__(self) -> int:
        if not self.shape:
            raise trace.trace_error(f"len() of a traced scalar, {self._instruction.shape}")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tracer]:
        if not self.shape:
            raise trace.trace_error(f"a traced scalar, {self._instruction.shape}, cannot be iterated over")
        return iter([self[i] for i in range(self.shape[0])])

    # ---- what is not

    def __getattr__(self, name: str) -> Any:
        instead = _INSTEAD.get(name)
        if instead is None:
            raise AttributeError(f"a traced array has no attribute {name!r}", name=name, obj=self)
        raise AttributeError(trace.located(f"a traced array has no attribute {name!r}; {instead}"), name=name, obj=self)

    def _unknown(self, what: str, instead: str) -> TraceError:
        if self._trace.closed:
            return trace.leaked(self)
        names = trace.arguments_of(self._instruction, self._trace)
        depends = f", as it depends on {', '.join(names)}" if names else ""
        return trace.trace_error(
            f"{what} of a traced value {self._instruction.shape}: its value is not known while the function "
            f"is traced{depends}; {instead}"
        )

    def __bool__(self) -> bool:
        raise self._unknown(
            "the truth value",
            "use xlac.lax.cond or xlac.numpy.where in place of `if`, xlac.lax.while_loop in place of `while`, & | ~ "
            "in place of "
            "and, or, not; or name the argument in static_argnums if it may be fixed at compile time",
        )

    def _number(self, name: str) -> TraceError:
        return self._unknown(
            f"{name}()",
            "compute with the array itself (astype changes its type; xlac.random draws by it where numpy.random "
            "cannot), or name the argument in static_argnums if it may be fixed at compile time",
        )

    def __int__(self) -> int:
        raise self._number("int")

    def __float__(self) -> float:
        raise self._number("float")

    def __complex__(self) -> complex:
        raise self._number("complex")

    def __index__(self) -> int:
        raise self._unknown(
            "the integer value",
            "shapes, range() and list indices must be fixed: name the argument in static_argnums, use "
            "xlac.lax.fori_loop in place "
            "of range(), or xlac.lax.dynamic_slice to cut at a computed place",
        )

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self._unknown(
            "the NumPy array",
            "use xlac.numpy.asarray or xlac.numpy.stack in place of numpy.array, and xlac.random in place of "
            "numpy.random, and convert after the jitted function has returned",
        )

    def __hash__(self) -> int:
        raise self._unknown("the hash", "it cannot be a key of a dictionary or an element of a set")

    def __format__(self, format_spec: str) -> str:
        if not format_spec:
            return repr(self)
        raise self._unknown("the formatted text", "use xlac.debug.print, which prints when the program runs")

    def item(self, *args: Any) -> Any:
        raise self._number("item")

    def tolist(self) -> Any:
        raise self._number("tolist")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise trace.trace_error(
            "a traced array cannot be changed in place; write x = x.at[index].set(value) in place of x[index] = value"
        )

    # ---- NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from xlac.frontend.numpy_protocol import call_ufunc

        return call_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from xlac.frontend.numpy_protocol import call_function

        return call_function(func, args, kwargs)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        return namespace(api_version)

    @property
    def device(self) -> str:
        """There is one device."""
        return "cpu"

    def to_device(self, device: Any, /, *, stream: Any = None) -> Tracer:
        """This array: there is one device."""
        from xlac.numpy.types import check_device

        check_device(device)
        return self

    # ---- indexing

    def __getitem__(self, index: Any) -> Tracer:
        from xlac.frontend.indexing import getitem

        return getitem(self, index)

    @property
    def at(self) -> At:
        """`x.at[index].set(y)`, `.add(y)`, ...: a copy of x changed at the index."""
        from xlac.frontend.indexing import At

        return At(self)

    # ---- views of the same data

    @property
    def T(self) -> Tracer:
        return _numpy().transpose(self)

    @property
    def mT(self) -> Tracer:
        return _numpy().matrix_transpose(self)

    @property
    def real(self) -> Tracer:
        return _numpy().real(self)

    @property
    def imag(self) -> Tracer:
        return _numpy().imag(self)

    @property
    def flat(self) -> Tracer:
        return _numpy().ravel(self)

    def astype(self, dtype: Any, copy: bool = True, **_: Any) -> Tracer:
        from xlac import lax

        return lax.convert_element_type(self, float if dtype is None else dtype)

    def view(self, dtype: Any) -> Tracer:
        return _numpy().view(self, dtype)

    def reshape(self, *shape: Any, order: str = "C") -> Tracer:
        return _numpy().reshape(self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Tracer:
        if not axes or axes == (None,):
            return _numpy().transpose(self)
        return _numpy().transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    def block_until_ready(self) -> Tracer:
        return self

    def __round__(self, ndigits: int | None = None) -> Tracer:
        return _numpy().round(self, ndigits or 0)

    def __pos__(self) -> Tracer:
        return self

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self


install(Tracer, ("ravel", "squeeze", "swapaxes", "copy", "diagonal"))
Tracer.flatten = Tracer.ravel  # type: ignore[attr-defined]
