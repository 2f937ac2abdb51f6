"""topk, and the custom calls that are sorts, by a stable sort of values with their places."""

from __future__ import annotations

from xlac.ir.module import Computation, Instruction, Module, inline
from xlac.ir.opcode import op
from xlac.ir.ops.custom_call import parse_config
from xlac.ir.ops.sort import in_total_order
from xlac.ir.shape import S32, ArrayShape, ElementType, TupleShape
from xlac.passes.expand.build import Array, element, expand, iota, tuple_


def expand_topk(module: Module) -> bool:
    """Replace topk by a sort and a slice; return whether there were any."""
    return expand(module, {"topk": _topk, "custom-call": _custom_call})


def _topk(x: Instruction) -> Instruction:
    assert isinstance(x.shape, TupleShape)
    operand = Array(x.operands[0])
    return _first(operand, x["k"], _in_order(operand.type, x["largest"]), x.shape)


def _first(x: Array, k: int, comparator: Computation, shape: TupleShape) -> Instruction:
    """The first k values along the last dimension and where they stood; of equals the earlier comes first."""
    last = len(x.dims) - 1
    made = op.sort.make(x.node, iota(S32, x.dims, last).node, dimensions=(last,), is_stable=True, to_apply=comparator)
    values, places = (element(made, i).slice(last, 0, k) for i in (0, 1))
    return tuple_(values, places.convert(shape[1].element_type))  # type: ignore[union-attr]


def _comparator(element_type: ElementType) -> tuple[Computation, list[Instruction]]:
    made = Computation("compare")
    types = (element_type, element_type, S32, S32)
    return made, [made.parameter(ArrayShape(t)) for t in types]


def _in_order(element_type: ElementType, largest: bool) -> Computation:
    """The total order of values, the places not looked at."""
    made, (x, y, _, _) = _comparator(element_type)
    total = "TOTALORDER" if element_type.is_float else None
    made.add(op.compare.make(x, y, direction="GT" if largest else "LT", type=total))
    return made


def _by_values(comparator: Computation, element_type: ElementType) -> Computation:
    """A comparator of two values as one of two pairs."""
    made, (x, y, _, _) = _comparator(element_type)
    made.root = inline(comparator, made, [x, y])
    return made


def _custom_call(x: Instruction) -> Instruction | None:
    target = x["custom_call_target"]
    comparator = x["to_apply"] or (x["called_computations"][0] if x["called_computations"] else None)
    new = None
    if target in ("TopK", "__gpu$TopK", "mhlo.topk", "stablehlo.dynamic_top_k"):
        new = _named_topk(x, comparator)
    elif target in ("ApproxTopK", "PartialReduce"):
        new = _approximate(x, comparator)
    return new if new is not None and new.shape == x.shape else None


def _named_topk(x: Instruction, comparator: Computation | None) -> Instruction | None:
    operand = Array(x.operands[0])
    shape = x.shape
    if not isinstance(shape, TupleShape) or len(shape) != 2 or operand.type.kind not in "suf":
        return None
    if comparator is not None and len(comparator.parameters) == 2:
        order = _by_values(comparator, operand.type)
    else:
        order = _in_order(operand.type, bool(parse_config(x["backend_config"]).get("largest", True)))
    return _first(operand, shape[0].dims[-1], order, shape)  # type: ignore[union-attr]


def _approximate(x: Instruction, comparator: Computation | None) -> Instruction | None:
    """The exact first along `reduction_dim` by the comparator; after the arrays come initial values."""
    config = parse_config(x["backend_config"])
    arrays = x.operands[: len(x.operands) // 2]
    first = x.shape[0] if isinstance(x.shape, TupleShape) else x.shape
    if comparator is None or len(comparator.parameters) != 2 * len(arrays) or "reduction_dim" not in config:
        return None
    axis = int(config["reduction_dim"])
    made = op.sort.make(*arrays, dimensions=(axis,), is_stable=True, to_apply=in_total_order(comparator))
    if len(arrays) == 1:
        parts = [Array(made)]
    else:
        parts = [element(made, i) for i in range(len(arrays))]
    picked = [p.slice(axis, 0, first.dims[axis]) for p in parts]
    return tuple_(*picked) if isinstance(x.shape, TupleShape) else picked[0].node
