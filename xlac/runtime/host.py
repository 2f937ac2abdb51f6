"""Functions of the host that native code calls: Python on views of the program's buffers.

Native code gets an address and passes an array of pointers, operands before results. Exceptions do not cross it: they
are kept, the program is told to end, and `run` raises them.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import EvaluateError

if TYPE_CHECKING:
    from xlac.ir.shape import ArrayShape
    from xlac.loop.ir import HostCall

_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(ctypes.c_void_p))


class Host:
    """The callable addresses of a program's host calls; they are valid as long as this object lives."""

    def __init__(self, calls: Sequence[HostCall]) -> None:
        self._raised = threading.local()
        self._callbacks: list[Any] = [_CALLBACK(self._guarded(call)) for call in calls]
        self.addresses = [ctypes.cast(c, ctypes.c_void_p).value for c in self._callbacks]

    def raise_error(self) -> None:
        """Raise what a host call of this thread's last run raised."""
        error = getattr(self._raised, "error", None)
        if error is not None:
            self._raised.error = None
            raise error

    def _guarded(self, call: HostCall) -> Callable[[Any], int]:
        raised = self._raised
        shapes = [*call.operand_shapes, *call.result_shapes]
        count = len(call.operand_shapes)

        def run(pointers: Any) -> int:
            try:
                arrays = [view(pointers[i], shape) for i, shape in enumerate(shapes)]
                for array in arrays[:count]:
                    array.flags.writeable = False
                # All values are there before any is stored: they may be views of what is overwritten.
                values = [np.array(v) for v in call.function(*arrays[:count])]
                check_results(call, values)
                for into, value in zip(arrays[count:], values):
                    into[...] = value
            except BaseException as error:
                raised.error = error
                return 1
            return 0

        return run


def check_results(call: HostCall, values: Sequence[np.ndarray]) -> None:
    """Raise EvaluateError unless the values have the shapes that the program states."""
    have, want = [v.shape for v in values], [s.dims for s in call.result_shapes]
    if have != want:
        raise EvaluateError(f"{call.name} gives arrays of shapes {have}; the program says {want}")


def view(address: int, shape: ArrayShape) -> np.ndarray:
    """The memory at an address as an array."""
    memory = (ctypes.c_char * shape.byte_size).from_address(address) if shape.byte_size else None
    return np.ndarray(shape.dims, shape.dtype, memory)
