"""`xlac.experimental.compilation_cache`: the folder of compiled objects."""

from xlac.experimental.compilation_cache import compilation_cache

__all__ = ["compilation_cache"]
