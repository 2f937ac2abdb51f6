"""`xlac.typing`: what annotations name, and what `isinstance` can be asked about arrays."""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from xlac.array import Array
from xlac.frontend.eager import ArrayLike

DTypeLike = Union[str, type, np.dtype, Any]

__all__ = ["Array", "ArrayLike", "DTypeLike"]
