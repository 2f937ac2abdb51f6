"""`xlac.scipy`: SciPy's functions on traced arrays, with the names and signatures of `jax.scipy`."""

from xlac.scipy import linalg, signal, special, stats

__all__ = ["linalg", "signal", "special", "stats"]
