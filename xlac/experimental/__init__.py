"""`xlac.experimental`: what `jax.experimental` has and stands on its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from xlac import config
from xlac.api import io_callback

__all__ = ["enable_x64", "io_callback"]


@contextlib.contextmanager
def enable_x64(new_val: bool = True) -> Iterator[None]:
    """A context in which numbers created without a type are float64 and int64; see `xlac.config`.

    Arrays of 64-bit types work outside of it, too. Entering and leaving it forgets compiled programs.
    """
    before = config.jax_enable_x64
    config.update("jax_enable_x64", new_val)
    try:
        yield
    finally:
        config.update("jax_enable_x64", before)
