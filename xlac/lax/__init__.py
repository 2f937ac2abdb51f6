"""`xlac.lax`: the operations of HLO as functions, with JAX's names and signatures.

Operands must have equal shapes and types, except that Python numbers take the type of the arrays beside them and
scalars are broadcast. `xlac.numpy` has NumPy's broadcasting and type promotion.
"""

from __future__ import annotations

from xlac.frontend.control import (
    associative_scan,
    cond,
    fori_loop,
    map,
    scan,
    switch,
    while_loop,
)
from xlac.lax import (
    contraction,
    convolution,
    creation,
    elementwise,
    implicit,
    indexing,
    linalg,
    movement,
    order,
    parallel,
    reductions,
    special,
    transforms,
    windows,
)
from xlac.lax.contraction import *  # noqa: F403
from xlac.lax.convolution import *  # noqa: F403
from xlac.lax.creation import *  # noqa: F403
from xlac.lax.elementwise import *  # noqa: F403
from xlac.lax.implicit import *  # noqa: F403
from xlac.lax.indexing import *  # noqa: F403
from xlac.lax.movement import *  # noqa: F403
from xlac.lax.order import *  # noqa: F403
from xlac.lax.parallel import *  # noqa: F403
from xlac.lax.reductions import *  # noqa: F403
from xlac.lax.special import *  # noqa: F403
from xlac.lax.transforms import *  # noqa: F403
from xlac.lax.windows import *  # noqa: F403

__all__ = [
    *contraction.__all__,
    *convolution.__all__,
    *creation.__all__,
    *elementwise.__all__,
    *implicit.__all__,
    *indexing.__all__,
    *movement.__all__,
    *order.__all__,
    *parallel.__all__,
    *reductions.__all__,
    *special.__all__,
    *transforms.__all__,
    *windows.__all__,
    "associative_scan",
    "cond",
    "fori_loop",
    "linalg",
    "map",
    "scan",
    "switch",
    "while_loop",
]
