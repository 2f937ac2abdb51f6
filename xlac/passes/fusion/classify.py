"""What fusing may do with an instruction: the policy's numbers and its questions about single opcodes."""

from __future__ import annotations

import math

from xlac.ir.module import Instruction
from xlac.ir.ops.reduction import scalar_only
from xlac.ir.shape import ArrayShape

# Bounds of one fusion, so that a kernel compiles quickly and its pointers fit in registers.
MAX_INSTRUCTIONS = 200
MAX_BUFFERS = 20
# Outputs that a contraction's kernel writes.
MAX_DOT_OUTPUTS = 1
# A row that is read again after it was reduced must still be in the cache; the only row of an array is not worth
# giving up threads for.
MAX_ROW_BYTES = 256 << 10
MAX_ONLY_ROW_BYTES = 64 << 10
# Inexpensive instructions that one fusion may compute more often than they have elements.
MAX_REPEATED = 8
# Indices at which one kernel may need an instruction: code is written for each.
MAX_PLACES = 64
# Arrays so small that how they are read matters less than how many kernels run.
SMALL_ELEMENTS = 1024
# Groups that one cheap instruction is copied into.
MAX_COPIES = 64
MAX_CONCATENATED = 4

EXPENSIVE = frozenset(
    (
        "atan2", "cbrt", "cosine", "divide", "erf", "exponential", "exponential-minus-one", "gather", "log",
        "log-plus-one", "logistic", "power", "remainder", "rsqrt", "sine", "sqrt", "tan", "tanh", "reduce", "dot",
    )
)  # fmt: skip

# Computing these again costs no more than reading them.
CHEAP = frozenset(("constant", "iota", "broadcast", "reshape", "convert", "slice", "dynamic-slice"))
GENERATORS = frozenset(("constant", "iota", "broadcast"))

_MOVEMENT = frozenset(
    (
        "broadcast", "reshape", "transpose", "slice", "reverse", "iota", "concatenate", "pad", "dynamic-slice",
        "gather", "dynamic-update-slice",
    )
)  # fmt: skip


def size(instruction: Instruction) -> int:
    """Elements of an array, or of each of the arrays of a reduction of several."""
    shape = instruction.shape
    return shape.size if isinstance(shape, ArrayShape) else shape.shapes[0].size  # type: ignore[union-attr]


def is_fusible(instruction: Instruction) -> bool:
    """Whether a fusion can compute it (a `dot` only as the origin of an output fusion)."""
    name = instruction.opcode.name
    if not instruction.opcode.pure:
        return False
    if name == "get-tuple-element":
        return is_part_of_reduce(instruction)
    if name == "reduce":
        if not scalar_only(instruction["to_apply"]):
            return False
        # Several results are read one by one, or their tuple is needed.
        whole = instruction.is_root or not all(map(is_part_of_reduce, instruction.users))
        return isinstance(instruction.shape, ArrayShape) or not whole
    if not isinstance(instruction.shape, ArrayShape):
        return False
    if name == "constant":
        return not instruction.shape.dims
    if name == "bitcast-convert":
        return instruction.dims == instruction.operands[0].dims
    return instruction.opcode.elementwise or name in _MOVEMENT or name == "dot"


def is_part_of_reduce(instruction: Instruction) -> bool:
    """Whether it is one of the results of a reduction of several arrays."""
    return instruction.opcode.name == "get-tuple-element" and instruction.operands[0].opcode.name == "reduce"


def is_pointwise(instruction: Instruction) -> bool:
    """Whether the result at an index depends on the operands at that index (or on scalars) alone."""
    return instruction.opcode.elementwise or instruction.opcode.name == "bitcast-convert"


def moves_minor(transpose: Instruction) -> bool:
    """Whether a transpose of some size reads across the dimension that is contiguous in memory."""
    order = transpose["dimensions"]
    return bool(order) and order[-1] != len(order) - 1 and size(transpose) > SMALL_ELEMENTS


def only_size_one(source: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether a reshape between these dimensions only adds or removes dimensions of one element."""
    return [n for n in source if n != 1] == [n for n in target if n != 1]


def may_be_read_through(instruction: Instruction) -> bool:
    """Whether a consumer that computes this instruction index by index reads its operands well."""
    name = instruction.opcode.name
    if name in ("dynamic-update-slice", "get-tuple-element"):
        return False
    if not isinstance(instruction.shape, ArrayShape) or instruction.shape.size <= SMALL_ELEMENTS:
        return True
    minor = instruction.shape.rank - 1
    if name == "transpose":
        return not moves_minor(instruction)
    if name == "reshape":
        source, target = instruction.operands[0].dims, instruction.dims
        return source[-1:] == target[-1:] or only_size_one(source, target)
    if name == "concatenate":
        return len(instruction.operands) <= MAX_CONCATENATED and instruction["dimensions"][0] != minor
    if name == "pad":
        return instruction["padding"][minor] == (0, 0, 0)
    return True


Rows = tuple[tuple[int, ...], int]  # dimensions of what is reduced, and how many leading ones of them are kept


def reduced_rows(reduce: Instruction) -> Rows | None:
    """The dimensions a reduction of trailing dimensions reads, and how many of them it keeps; None for other
    reductions."""
    dims, dimensions = reduce.operands[0].dims, reduce["dimensions"]
    kept = len(dims) - len(dimensions)
    trailing = all(d >= kept for d in dimensions)
    return (dims, kept) if trailing and isinstance(reduce.shape, ArrayShape) else None


def row_fits_cache(rows: Rows, itemsize: int) -> bool:
    """Whether rows may be read several times in one kernel."""
    dims, kept = rows
    bytes_ = math.prod(dims[kept:]) * itemsize
    return bytes_ <= (MAX_ROW_BYTES if math.prod(dims[:kept]) > 1 else MAX_ONLY_ROW_BYTES)
