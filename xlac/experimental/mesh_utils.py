"""`xlac.experimental.mesh_utils`: the device as an array for `xlac.sharding.Mesh`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xlac.sharding import make_mesh

__all__ = ["create_device_mesh"]


def create_device_mesh(
    mesh_shape: Sequence[int],
    devices: Any = None,
    *,
    contiguous_submeshes: bool = False,
    allow_split_physical_axes: bool = False,
) -> Any:
    """The device in an array whose extents are all 1.

    Raises:
      OptionError: the extents ask for several devices.
    """
    return make_mesh(mesh_shape, tuple(map(str, range(len(mesh_shape))))).devices
