"""`xlac.scipy`: SciPy's functions on traced arrays, with the names and signatures of `jax.scipy`."""

from __future__ import annotations

from typing import Any

__all__ = [
    "cluster",
    "fft",
    "integrate",
    "interpolate",
    "linalg",
    "ndimage",
    "optimize",
    "signal",
    "sparse",
    "spatial",
    "special",
    "stats",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'xlac.scipy' has no attribute {name!r}")
    import importlib

    return importlib.import_module(f"xlac.scipy.{name}")
