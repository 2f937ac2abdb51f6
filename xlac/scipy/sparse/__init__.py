"""`xlac.scipy.sparse`: solvers for matrices that are given by their products."""

from xlac.scipy.sparse import linalg

__all__ = ["linalg"]
