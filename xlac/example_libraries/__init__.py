"""`xlac.example_libraries`: the small libraries of `jax.example_libraries`, for layers and their training."""

from __future__ import annotations

from typing import Any

__all__ = ["optimizers", "stax"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'xlac.example_libraries' has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"xlac.example_libraries.{name}")
