"""`xlac.experimental.multihost_utils`: what several processes say to each other; there is one."""

from __future__ import annotations

from typing import Any

from xlac import tree

__all__ = [
    "assert_equal",
    "broadcast_one_to_all",
    "global_array_to_host_local_array",
    "host_local_array_to_global_array",
    "process_allgather",
    "reached_preemption_sync_point",
    "sync_global_devices",
]


def assert_equal(in_tree: Any, fail_message: str = "") -> None:
    """Nothing: one process has equal values."""


def broadcast_one_to_all(in_tree: Any, is_source: bool | None = None) -> Any:
    """The values as they are."""
    return in_tree


def sync_global_devices(name: str) -> None:
    """Nothing: there is nobody to wait for."""


def reached_preemption_sync_point(step_id: int) -> bool:
    """False."""
    return False


def process_allgather(in_tree: Any, tiled: bool = False) -> Any:
    """The values of all processes along a new first dimension; concatenated, which is as they are, where tiled."""
    import xlac.numpy as xnp

    return tree.map(lambda x: xnp.asarray(x) if tiled else xnp.asarray(x)[None], in_tree)


def host_local_array_to_global_array(local_inputs: Any, global_mesh: Any, pspecs: Any) -> Any:
    """The arrays as they are: what one process has is all."""
    import xlac.numpy as xnp

    return tree.map(xnp.asarray, local_inputs)


def global_array_to_host_local_array(global_inputs: Any, global_mesh: Any, pspecs: Any) -> Any:
    """As `host_local_array_to_global_array`."""
    return host_local_array_to_global_array(global_inputs, global_mesh, pspecs)
