"""`xlac.distributed`: what programs that may run as several processes ask for; there is one."""

from __future__ import annotations

from typing import Any

from xlac.errors import OptionError

__all__ = ["initialize", "is_initialized", "shutdown"]

_initialized = False


def initialize(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
    local_device_ids: Any = None,
    **settings: Any,
) -> None:
    """Nothing, for one process.

    Raises:
      OptionError: `num_processes` is more.
    """
    global _initialized
    if num_processes not in (None, 1):
        raise OptionError(f"distributed.initialize: num_processes is {num_processes}; programs run in one process")
    _initialized = True


def is_initialized() -> bool:
    """Whether `initialize` has been called."""
    return _initialized


def shutdown() -> None:
    """The end of `initialize`."""
    global _initialized
    _initialized = False
