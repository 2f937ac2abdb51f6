"""`xlac.scipy.integrate`: integrals of samples."""

from __future__ import annotations

from xlac.numpy import trapezoid

__all__ = ["trapezoid"]
