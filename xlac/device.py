"""What programs written for several devices and hosts ask for, answered for the one there is: this process's CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from xlac import tree

__all__ = [
    "Device",
    "block_until_ready",
    "copy_to_host_async",
    "default_backend",
    "default_matmul_precision",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "host_count",
    "host_id",
    "host_ids",
    "live_arrays",
    "local_device_count",
    "local_devices",
    "make_array_from_callback",
    "make_array_from_process_local_data",
    "make_array_from_single_device_arrays",
    "print_environment_info",
    "process_count",
    "process_index",
    "process_indices",
]


@dataclass(frozen=True)
class Device:
    """The CPU."""

    id: int = 0
    platform: str = "cpu"
    device_kind: str = "cpu"
    process_index: int = 0
    host_id: int = 0
    local_hardware_id: int = 0

    def memory_stats(self) -> None:
        """None, as of JAX's CPU: memory is the process's."""

    def __repr__(self) -> str:
        return f"CpuDevice(id={self.id})"


def devices(backend: str | None = None) -> list[Device]:
    """The one device.

    Raises:
      RuntimeError: the backend is another than "cpu".
    """
    if backend not in (None, "cpu"):
        raise RuntimeError(f"backend is {backend!r}; the only one is 'cpu'")
    return [Device()]


def local_devices(
    process_index: int | None = None, backend: str | None = None, host_id: int | None = None
) -> list[Device]:
    """As `devices`."""
    return devices(backend)


def device_count(backend: str | None = None) -> int:
    """1."""
    return len(devices(backend))


def local_device_count(backend: str | None = None) -> int:
    """1."""
    return len(devices(backend))


def process_index(backend: str | None = None) -> int:
    """0: there is one process."""
    return 0


def process_count(backend: str | None = None) -> int:
    """1."""
    return 1


def process_indices(backend: str | None = None) -> list[int]:
    """[0]."""
    return [0]


host_count, host_id, host_ids = process_count, process_index, process_indices


def default_backend() -> str:
    """The name of the backend: "cpu"."""
    return "cpu"


def device_put(
    x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: bool | None = None
) -> Any:
    """The arrays of a container as they are in the results of programs; traced values stay as they are."""
    import xlac.numpy as xnp

    return tree.map(xnp.asarray, x)


def device_get(x: Any) -> Any:
    """The arrays of a container as NumPy's."""
    import numpy as np

    return tree.map(np.asarray, x)


def make_array_from_callback(
    shape: Sequence[int], sharding: Any, data_callback: Callable[[Any], Any], dtype: Any = None
) -> Any:
    """The array that `data_callback` gives for the index of the one part, the whole.

    Raises:
      ShapeError: it is of another shape.
    """
    return _whole(data_callback((slice(None),) * len(shape)), shape, dtype)


def make_array_from_single_device_arrays(
    shape: Sequence[int], sharding: Any, arrays: Sequence[Any], *, dtype: Any = None
) -> Any:
    """The one array of a list, which is the whole.

    Raises:
      ShapeError: there are several, or it is of another shape.
    """
    from xlac.errors import ShapeError

    if len(arrays) != 1:
        raise ShapeError(f"make_array_from_single_device_arrays: {len(arrays)} arrays for the one device")
    return _whole(arrays[0], shape, dtype)


def make_array_from_process_local_data(sharding: Any, local_data: Any, global_shape: Any = None) -> Any:
    """The arrays of a container, of which the one process has all data."""
    return device_put(local_data)


def _whole(data: Any, shape: Sequence[int], dtype: Any) -> Any:
    import xlac.numpy as xnp
    from xlac.errors import ShapeError

    array = xnp.asarray(data, dtype)
    if array.shape != tuple(shape):
        raise ShapeError(f"the array of the one device is of shape {array.shape}; it must be {tuple(shape)}")
    return array


def live_arrays(platform: str | None = None) -> list[Any]:
    """The `xlac.Array`s in containers, attributes and the variables of running functions."""
    import gc
    import sys

    from xlac.array import Array

    holders: list[Any] = [thing for thing in gc.get_objects() if isinstance(thing, (dict, list, tuple))]
    for frame in sys._current_frames().values():
        while frame is not None:
            holders.append(frame.f_locals)
            frame = frame.f_back
    held = (v for h in holders for v in (list(h.values()) if isinstance(h, dict) else h))
    return list({id(value): value for value in held if type(value) is Array}.values())


def copy_to_host_async(x: Any) -> Any:
    """The same: arrays are in the host's memory."""
    return x


def print_environment_info(return_string: bool = False) -> str | None:
    """Print, or return, versions and the processor, for reports of errors."""
    import platform
    import sys

    import numpy as np

    import xlac

    lines = [
        f"xlac:   {xlac.__version__}",
        f"numpy:  {np.__version__}",
        f"python: {sys.version}",
        f"device: {devices()[0]!r}, {platform.processor() or platform.machine()}",
    ]
    text = "\n".join(lines)
    if return_string:
        return text
    print(text)
    return None


def block_until_ready(x: Any) -> Any:
    """The same: results are complete when a program returns."""
    return x


@contextlib.contextmanager
def default_matmul_precision(new_val: Any = None) -> Iterator[None]:
    """A block in which nothing changes: products always have the precision of their type."""
    yield
