"""What programs written for several devices and hosts ask for, answered for the one there is: this process's CPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from xlac import tree

__all__ = [
    "Device",
    "block_until_ready",
    "default_backend",
    "default_matmul_precision",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "local_device_count",
    "local_devices",
    "process_count",
    "process_index",
]


@dataclass(frozen=True)
class Device:
    """The CPU."""

    id: int = 0
    platform: str = "cpu"
    device_kind: str = "cpu"
    process_index: int = 0

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


def block_until_ready(x: Any) -> Any:
    """The same: results are complete when a program returns."""
    return x


@contextlib.contextmanager
def default_matmul_precision(new_val: Any = None) -> Iterator[None]:
    """A block in which nothing changes: products always have the precision of their type."""
    yield
