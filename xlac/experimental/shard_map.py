"""`xlac.experimental.shard_map`: `xlac.shard_map` with the signature that it had before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xlac import sharding

__all__ = ["shard_map"]


def shard_map(
    f: Callable[..., Any],
    mesh: Any,
    in_specs: Any,
    out_specs: Any,
    check_rep: bool = True,
    auto: Any = frozenset(),
) -> Callable[..., Any]:
    """See `xlac.shard_map`; `auto` are the axes of the mesh that get no name."""
    names = set(mesh.axis_names) - set(auto)
    return sharding.shard_map(f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, axis_names=names)
