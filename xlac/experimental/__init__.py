"""`xlac.experimental`: what `jax.experimental` has and stands on its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["checkify", "enable_x64", "io_callback", "ode"]


@contextlib.contextmanager
def enable_x64(new_val: bool = True) -> Iterator[None]:
    """A context in which numbers created without a type are float64 and int64; see `xlac.config`.

    Arrays of 64-bit types work outside of it, too. Entering and leaving it forgets compiled programs.
    """
    from xlac import config

    before = config.jax_enable_x64
    config.update("jax_enable_x64", new_val)
    try:
        yield
    finally:
        config.update("jax_enable_x64", before)


def __getattr__(name: str) -> Any:
    import importlib

    if name == "io_callback":
        return importlib.import_module("xlac.api").io_callback
    if name not in __all__:
        raise AttributeError(f"module 'xlac.experimental' has no attribute {name!r}")
    return importlib.import_module(f"xlac.experimental.{name}")
