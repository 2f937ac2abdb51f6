"""Expansions: opcodes without code of their own, rewritten to simpler HLO.

build.py            formulas as instructions, loops, and how an expansion replaces an instruction
devices.py          asynchronous opcodes, collectives, hints, sizes
linalg.py           cholesky, triangular-solve
normalization.py    batch-norm-training, -inference, -grad
products.py         ragged-dot, scaled-dot
random.py           rng-bit-generator, rng
reduction.py        reduce with an initial value that is not neutral
scalar_branches.py  conditional in computations of scalars
scan.py             scan
sorting.py          topk
"""

from __future__ import annotations

from xlac.passes.expand.devices import expand_devices, expand_sizes
from xlac.passes.expand.lapack import expand_lapack
from xlac.passes.expand.linalg import expand_linalg
from xlac.passes.expand.normalization import expand_batch_norm
from xlac.passes.expand.products import expand_products
from xlac.passes.expand.random import expand_random
from xlac.passes.expand.reduction import expand_initial_values
from xlac.passes.expand.scalar_branches import expand_scalar_branches
from xlac.passes.expand.scan import expand_scan
from xlac.passes.expand.sorting import expand_topk

__all__ = [
    "expand_batch_norm",
    "expand_devices",
    "expand_initial_values",
    "expand_lapack",
    "expand_linalg",
    "expand_products",
    "expand_random",
    "expand_scalar_branches",
    "expand_scan",
    "expand_sizes",
    "expand_topk",
]
