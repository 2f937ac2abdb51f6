"""`xlac.experimental`: what `jax.experimental` has and stands on its own."""

from __future__ import annotations

from typing import Any

__all__ = [
    "checkify",
    "compilation_cache",
    "enable_x64",
    "io_callback",
    "jet",
    "mesh_utils",
    "multihost_utils",
    "ode",
    "shard_map",
]

# Names that have come to stand at the top level.
_MOVED = {"enable_x64": "xlac.config", "io_callback": "xlac.api"}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _MOVED:
        return getattr(importlib.import_module(_MOVED[name]), name)
    if name not in __all__:
        raise AttributeError(f"module 'xlac.experimental' has no attribute {name!r}")
    return importlib.import_module(f"xlac.experimental.{name}")
