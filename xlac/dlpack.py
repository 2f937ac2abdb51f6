"""`xlac.dlpack`: arrays of other libraries without a copy."""

from __future__ import annotations

from xlac.numpy import from_dlpack

__all__ = ["from_dlpack"]
