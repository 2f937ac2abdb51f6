"""`xlac.experimental.compilation_cache.compilation_cache`: where compiled objects are kept."""

from __future__ import annotations

import os

from xlac import config

__all__ = ["reset_cache", "set_cache_dir"]


def set_cache_dir(path: str | os.PathLike[str]) -> None:
    """Keep compiled objects in this folder: the setting "jax_compilation_cache_dir"."""
    config.update("jax_compilation_cache_dir", path)


def reset_cache() -> None:
    """Go back to the usual folder."""
    config.update("jax_compilation_cache_dir", None)
