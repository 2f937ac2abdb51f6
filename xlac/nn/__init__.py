"""`xlac.nn`: activations, attention and initial values of neural networks, with the names of `jax.nn`."""

from __future__ import annotations

from typing import Any

from xlac.nn import attention, functions, scaled
from xlac.nn.attention import *  # noqa: F403
from xlac.nn.functions import *  # noqa: F403
from xlac.nn.scaled import *  # noqa: F403

__all__ = [*attention.__all__, *functions.__all__, *scaled.__all__, "initializers"]  # noqa: F405


def __getattr__(name: str) -> Any:
    # Initializers need xlac.random, which needs this package.
    if name == "initializers":
        import importlib

        return importlib.import_module("xlac.nn.initializers")
    raise AttributeError(f"module 'xlac.nn' has no attribute {name!r}")
