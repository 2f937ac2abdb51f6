"""`xlac.scipy.spatial`: rotations."""

from xlac.scipy.spatial import transform

__all__ = ["transform"]
