"""`xlac.stages`: the classes of what `jit` makes on the way to a compiled program."""

from __future__ import annotations

from xlac.frontend.jit import Jit as Wrapped
from xlac.frontend.stages import Compiled, Lowered, Traced
from xlac.frontend.stages import ShapeDtypeStruct as ArgInfo

__all__ = ["ArgInfo", "Compiled", "Lowered", "Traced", "Wrapped"]
