"""How operations of StableHLO and CHLO become HLO instructions, where it takes more than a row of names.

Each function takes the operation's `Reader` and gives its result, or its results as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import C64, C128, F32, F64, S32, S64, ArrayShape, Shape, TupleShape, element_type
from xlac.ir.window import ConvolutionDims, WindowDim
from xlac.text import chlo
from xlac.text.stablehlo_syntax import Dictionary, Group, Item, fields, integers, split_values

if TYPE_CHECKING:
    from xlac.text.stablehlo_parser import Reader

Results = Instruction | list[Instruction]


def arrays(o: Reader, least: int = 1) -> list[Instruction]:
    """The operands, which must be arrays, at least so many."""
    operands = o.operands
    if len(operands) < least:
        raise o.fail(f"it has {len(operands)} operands; it needs {least}")
    for i, x in enumerate(operands):
        if not isinstance(x.shape, ArrayShape):
            raise o.fail(f"operand {i} is {x.shape}; it must be a tensor")
    return operands


def dims_of(x: Instruction) -> tuple[int, ...]:
    assert isinstance(x.shape, ArrayShape)
    return x.shape.dims


# ---- constants and shapes


def literal(o: Reader, array: np.ndarray, shape: ArrayShape) -> Instruction:
    """A constant; one value for all elements becomes a broadcast scalar."""
    if shape.dims and array.size > 1 and not any(array.strides):
        scalar = op.constant.make(shape=ArrayShape(shape.element_type), literal=np.array(array[(0,) * array.ndim]))
        return o.make("broadcast", scalar, shape=ArrayShape(shape.element_type, shape.dims), dimensions=())
    return o.make("constant", shape=shape, literal=np.ascontiguousarray(array).reshape(shape.dims))


def read_constant(o: Reader) -> Results:
    value = o.find("value")
    if value is None:
        value = [w for w in o.syntax.words if getattr(w, "type", "") == "DENSE"]
    if value and getattr(value[0], "type", "") != "DENSE":
        value = None
    if not value:
        raise o.fail("its value is missing; expected dense<...> : tensor<...>")
    return literal(o, o.to_array(value[:1] if not o.has("value") else value, "value"), o.array_result)


def read_constant_like(o: Reader) -> Results:
    (x,) = arrays(o)
    value = o.find("value") or []
    shape = ArrayShape(x.shape.element_type, dims_of(x))
    if value and getattr(value[0], "type", "") == "DENSE":
        number: Any = o.to_array(value, "value").reshape(-1)[0]
    else:
        number = float(o.text("value"))
    return o.add(chlo.fill(number, shape))


def read_iota(o: Reader) -> Results:
    return o.make("iota", shape=o.array_result, iota_dimension=o.int("iota_dimension", "dim"))


def read_dynamic_iota(o: Reader) -> Results:
    return read_iota(o)


def broadcast(o: Reader, x: Instruction, result: ArrayShape, dimensions: Sequence[int]) -> Instruction:
    """StableHLO's broadcast_in_dim: dimensions of extent 1 may grow."""
    dims = dims_of(x)
    if len(dimensions) != len(dims) or any(not 0 <= d < result.rank for d in dimensions):
        raise o.fail(f"dims = {list(dimensions)} must name a dimension of {result} for each of {x.shape}'s")
    if dims == result.dims and tuple(dimensions) == tuple(range(result.rank)):
        return x
    kept = [i for i, d in enumerate(dimensions) if dims[i] == result.dims[d] or dims[i] != 1]
    if len(kept) != len(dims):
        x = op.reshape.make(x, shape=ArrayShape(result.element_type, tuple(dims[i] for i in kept)))
    return o.make("broadcast", x, shape=result, dimensions=tuple(dimensions[i] for i in kept))


def read_broadcast_in_dim(o: Reader) -> Results:
    x = arrays(o)[0]
    return broadcast(o, x, o.array_result, o.ints("broadcast_dimensions", "dims", default=()))


def read_broadcast(o: Reader) -> Results:
    x, sizes = arrays(o)[0], o.ints("broadcast_sizes", "sizes")
    shape = ArrayShape(x.shape.element_type, sizes + dims_of(x))
    return o.make("broadcast", x, shape=shape, dimensions=tuple(range(len(sizes), shape.rank)))


def read_reshape(o: Reader) -> Results:
    """reshape and dynamic_reshape: the declared result says all."""
    return o.make("reshape", arrays(o)[0], shape=o.array_result)


def read_convert(o: Reader) -> Results:
    (x,) = arrays(o)
    shape = o.array_result
    return x if x.shape == shape else o.make("convert", x, shape=shape)


def read_bitcast_convert(o: Reader) -> Results:
    return o.make("bitcast-convert", arrays(o)[0], shape=o.array_result)


def read_slice(o: Reader) -> Results:
    (x,) = arrays(o)
    if o.has("start_indices"):
        start, limit = o.ints("start_indices"), o.ints("limit_indices")
        return o.make("slice", x, slice=tuple(zip(start, limit, o.ints("strides", default=(1,) * len(start)))))
    text = next((w for w in o.syntax.words if getattr(w, "type", "") in ("SLICES", "INTS")), None)
    if text is None:
        raise o.fail("its ranges are missing; expected [start:limit, start:limit:stride]")
    ranges = [tuple(map(int, r.split(":"))) for r in text[1:-1].split(",") if r.strip()]
    if any(len(r) not in (2, 3) for r in ranges):
        raise o.fail("a range is start:limit or start:limit:stride")
    return o.make("slice", x, slice=tuple((*r, 1)[:3] for r in ranges))


def read_real_dynamic_slice(o: Reader) -> Results:
    x, start, limit, strides = arrays(o, 4)
    step = [int(i) for i in o.constant(strides, "strides").reshape(-1)]
    if start.opcode.name == "constant" and limit.opcode.name == "constant":
        first, last = o.constant(start, "start"), o.constant(limit, "limit")
        return o.make("slice", x, slice=tuple((int(a), int(b), c) for a, b, c in zip(first, last, step)))
    if any(s != 1 for s in step):
        raise o.fail("its strides must be 1 where its start is not a constant")
    return o.make("dynamic-slice", x, *scalars(start), dynamic_slice_sizes=o.array_result.dims)


def scalars(vector: Instruction) -> list[Instruction]:
    """The elements of a vector."""
    row = vector.shape.element_type  # type: ignore[union-attr]
    parts = [op.slice.make(vector, slice=((i, i + 1, 1),)) for i in range(dims_of(vector)[0])]
    return [op.reshape.make(part, shape=ArrayShape(row)) for part in parts]


def read_pad(o: Reader) -> Results:
    x, value = arrays(o, 2)[:2]
    low, high = o.ints("edge_padding_low", "low"), o.ints("edge_padding_high", "high")
    return o.make("pad", x, value, padding=tuple(zip(low, high, o.ints("interior_padding", "interior"), strict=True)))


def read_dynamic_pad(o: Reader) -> Results:
    x, value, *rest = arrays(o, 5)
    low, high, interior = ([int(i) for i in o.constant(r, "padding").reshape(-1)] for r in rest)
    return o.make("pad", x, value, padding=tuple(zip(low, high, interior)))


def read_dynamic_slice(o: Reader) -> Results:
    x, *starts = arrays(o)
    return o.make("dynamic-slice", x, *starts, dynamic_slice_sizes=o.ints("slice_sizes", "sizes"))


def read_get_dimension_size(o: Reader) -> Results:
    (x,) = arrays(o)
    return o.add(chlo.constant(dims_of(x)[o.int("dimension", "dim")], S32))


def read_set_dimension_size(o: Reader) -> Results:
    x, size = arrays(o, 2)
    d = o.int("dimension", "dim")
    if int(o.constant(size, "the size")) != dims_of(x)[d]:
        raise o.fail(f"it makes dimension {d} of {x.shape} dynamic; all dimensions must be numbers")
    return x


# ---- elementwise


def read_compare(o: Reader) -> Results:
    x, y = arrays(o, 2)
    words = [str(w) for w in o.syntax.words if getattr(w, "type", "") == "WORD"]
    direction = o.word("comparison_direction", default="") or (words[0] if words else "")
    kind: str | None = o.word("compare_type", default="") or (words[1] if len(words) > 1 else "NOTYPE")
    return o.make("compare", x, y, direction=direction, type=comparison_type(x.shape, kind))


def comparison_type(shape: Shape, kind: str | None) -> str | None:
    """The comparison's type where it is not the one the elements have anyway."""
    usual = {"f": "FLOAT", "c": "FLOAT", "s": "SIGNED", "u": "UNSIGNED", "p": "UNSIGNED"}
    element = shape.element_type.kind if isinstance(shape, ArrayShape) else ""
    return None if kind in ("NOTYPE", None, usual.get(element)) else kind


def read_reduce_precision(o: Reader) -> Results:
    (x,) = arrays(o)
    text = o.text("format", default="")
    if text:
        exponent, _, mantissa = text[1:].partition("m")
        if not (exponent.isdigit() and mantissa.isdigit() and text[0] == "e"):
            raise o.fail(f"format = {text}; it must be as in e5m10")
        bits = int(exponent), int(mantissa)
    else:
        bits = o.int("exponent_bits"), o.int("mantissa_bits")
    return o.make("reduce-precision", x, exponent_bits=bits[0], mantissa_bits=bits[1])


def read_select(o: Reader) -> Results:
    return o.make("select", *arrays(o, 3))


def read_accurate(opcode: str) -> Callable[[Reader], Results]:
    """A unary function that may say how accurate it must be."""

    def read(o: Reader) -> Results:
        attrs = {}
        if o.has("result_accuracy"):
            text = str((o.find("result_accuracy") or [""])[0])
            mode = fields(text).get("mode", "")
            given = fields(text)
            if "HIGHEST" in mode:
                attrs["result_accuracy"] = "{mode=highest}"
            elif "TOLERANCE" in mode:
                atol, rtol, ulps = (given.get(n, "0") for n in ("atol", "rtol", "ulps"))
                attrs["result_accuracy"] = f"{{tolerance={{atol={atol},rtol={rtol},ulps={ulps}}}}}"
        return o.make(opcode, *arrays(o), **attrs)

    return read


def read_client(o: Reader) -> Results:
    """A CHLO function: the HLO opcode of that name where there is one, else, and for complex numbers, its formula."""
    operands = arrays(o)
    name = o.operation
    row = OPCODES.get(name.replace("_", "-"))
    if row is not None and not operands[0].shape.element_type.is_complex:  # type: ignore[union-attr]
        return o.add(row.make(*operands))
    return o.add(chlo.FUNCTIONS[name](*map(chlo.Value, operands)).instruction)


def read_broadcasting(o: Reader) -> Results:
    """chlo.broadcast_add and its like: NumPy's broadcasting, or the given broadcast_dimensions for the smaller operand."""
    operands = arrays(o)
    result = o.array_result
    name = o.operation.removeprefix("broadcast_")
    given = o.ints("broadcast_dimensions", default=None)
    wide = []
    for x in operands:
        dims = dims_of(x)
        shape = ArrayShape(x.shape.element_type, result.dims)
        own = tuple(range(result.rank - len(dims), result.rank))
        wide.append(broadcast(o, x, shape, given if given is not None and len(dims) < result.rank else own))
    if name == "compare":
        kind = comparison_type(wide[0].shape, o.word("compare_type", default="NOTYPE"))
        return o.make("compare", *wide, direction=o.word("comparison_direction"), type=kind)
    if name in chlo.FUNCTIONS:
        return o.add(chlo.FUNCTIONS[name](*map(chlo.Value, wide)).instruction)
    return o.make(name.replace("_", "-"), *wide)


# ---- dot and convolution


def _precision(o: Reader, *names: str) -> tuple[str, ...]:
    words = tuple(w.lower() for w in o.words(*names))
    return () if all(w == "default" for w in words) else words


def _algorithm(o: Reader) -> str | None:
    """HLO's word for a dot algorithm, as in dot_bf16_bf16_f32_x3."""
    value = o.find("algorithm")
    if not value:
        return None
    given = fields(str(value[0]))
    if not given:
        return str(value[0])
    lhs, rhs, total = (given.get(f"{n}_type", "") for n in ("lhs_precision", "rhs_precision", "accumulation"))
    count = int(given.get("num_primitive_operations", 1))
    narrow = lhs.startswith("f8") or rhs.startswith("f8")
    word = "dot_any_f8_any_f8_f32" if narrow else f"dot_{lhs}_{rhs}_{total}"
    if given.get("allow_imprecise_accumulation") == "true":
        word += "_fast_accum"
    return word if count == 1 else f"{word}_x{count}"


def _product_dims(o: Reader, *names: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Both sides of `[0] x [1]`."""
    value = o.find(*names)
    if value is None:
        return (), ()
    if len(value) != 3:
        raise o.fail(f"{names[0]} must be as in [0] x [0]")
    return o.to_ints(value[:1], names[0]), o.to_ints(value[2:], names[0])


def read_dot_general(o: Reader) -> Results:
    x, y = arrays(o, 2)
    if o.has("dot_dimension_numbers"):
        given = o.fields("dot_dimension_numbers")
        batch, contracting = (
            tuple(integers(given.get(f"{side}_{kind}_dimensions", "")) for side in ("lhs", "rhs"))
            for kind in ("batching", "contracting")
        )
    else:
        batch, contracting = _product_dims(o, "batching_dims"), _product_dims(o, "contracting_dims")
    return o.make(
        "dot",
        x,
        y,
        shape=o.array_result,
        lhs_batch_dims=batch[0],
        rhs_batch_dims=batch[1],
        lhs_contracting_dims=contracting[0],
        rhs_contracting_dims=contracting[1],
        operand_precision=_precision(o, "precision_config", "precision"),
        algorithm=_algorithm(o),
    )


def read_dot(o: Reader) -> Results:
    """The older dot: the last dimension of the first with the first of the second."""
    x, y = arrays(o, 2)
    return o.make(
        "dot",
        x,
        y,
        shape=o.array_result,
        lhs_contracting_dims=(len(dims_of(x)) - 1,),
        rhs_contracting_dims=(0,),
        operand_precision=_precision(o, "precision_config", "precision"),
    )


def read_einsum(o: Reader) -> Results:
    """einsum of two operands, as a dot whose result is transposed into place."""
    x, y = arrays(o, 2)
    config = o.text("einsum_config", "config").replace(" ", "")
    left, arrow, out = config.partition("->")
    first, comma, second = left.partition(",")
    if not arrow or not comma or "." in config:
        raise o.fail(f'einsum_config = "{config}"; it must be as in "ab,bc->ac"')
    both = [c for c in first if c in second]
    batch, contracting = [c for c in both if c in out], [c for c in both if c not in out]
    free = [c for c in first if c not in both] + [c for c in second if c not in both]
    order = batch + free
    if len(set(first)) != len(first) or len(set(second)) != len(second) or sorted(order) != sorted(out):
        raise o.fail(f'einsum_config = "{config}" is not a product of two arrays; sum or take diagonals before')
    product = op.dot.make(
        x,
        y,
        shape=ArrayShape(
            o.array_result.element_type,
            tuple(dict([*zip(first, dims_of(x)), *zip(second, dims_of(y))])[c] for c in order),
        ),
        lhs_batch_dims=tuple(first.index(c) for c in batch),
        rhs_batch_dims=tuple(second.index(c) for c in batch),
        lhs_contracting_dims=tuple(first.index(c) for c in contracting),
        rhs_contracting_dims=tuple(second.index(c) for c in contracting),
        operand_precision=_precision(o, "precision_config"),
    )
    if order == list(out):
        return o.add(product)
    return o.make("transpose", product, dimensions=tuple(order.index(c) for c in out))


def _convolution_dims(o: Reader) -> ConvolutionDims:
    value = o.find("dimension_numbers", "dim_numbers")
    text = str(value[0]) if value else ""
    if "<" in text:
        text = text[text.index("<") + 1 : text.rindex(">")]
    sides = [[w.strip() for w in part.strip(" []x->").split(",")] for part in text.split("]")[:3]]
    if len(sides) != 3 or not text:
        raise o.fail("its dim_numbers must be as in [b, 0, 1, f]x[0, 1, i, o]->[b, 0, 1, f]")
    spatial = [str(i) for i in range(len(sides[0]) - 2)]
    numbers: list[Any] = []
    for labels, (first, second) in zip(sides, (("b", "f"), ("i", "o"), ("b", "f"))):
        if sorted(labels) != sorted([first, second, *spatial]):
            raise o.fail(f"[{', '.join(labels)}] must have {', '.join([first, second, *spatial])} once each")
        numbers += [labels.index(first), labels.index(second), tuple(labels.index(s) for s in spatial)]
    return ConvolutionDims(*numbers)


def _inner(o: Reader, name: str) -> Any:
    """A reader's view of a dictionary inside an attribute."""
    value = o.find(name)
    return value[0].entries if value and isinstance(value[0], Dictionary) else {}


def read_convolution(o: Reader) -> Results:
    x, kernel, *padding_operand = arrays(o, 2)
    labels = _convolution_dims(o)
    sizes = [dims_of(kernel)[d] for d in labels.kernel_spatial]
    rank = len(sizes)
    inner = _inner(o, "window")

    def numbers(name: str, word: str, default: int) -> tuple[int, ...]:
        found = o.to_ints(inner[word], word) if word in inner else o.ints(name, default=(default,) * rank)
        if len(found) != rank:
            raise o.fail(f"{word} has {len(found)} numbers; the window has {rank} dimensions")
        return found

    if padding_operand:
        flat = tuple(int(i) for i in o.constant(padding_operand[0], "padding").reshape(-1))
    elif "pad" in inner:
        flat = o.to_ints(inner["pad"], "pad")
    else:
        flat = o.ints("padding", default=(0, 0) * rank)
    if len(flat) != 2 * rank:
        raise o.fail(f"its padding must have a pair of integers for each of {rank} dimensions")
    window = tuple(
        WindowDim(size, stride, low, high, base, dilation, bool(back))
        for size, stride, low, high, base, dilation, back in zip(
            sizes,
            numbers("window_strides", "stride", 1),
            flat[::2],
            flat[1::2],
            numbers("lhs_dilation", "lhs_dilate", 1),
            numbers("rhs_dilation", "rhs_dilate", 1),
            numbers("window_reversal", "reverse", 0),
        )
    )
    return o.make(
        "convolution",
        x,
        kernel,
        shape=o.array_result,
        window=window,
        dim_labels=labels,
        feature_group_count=o.int("feature_group_count", default=1),
        batch_group_count=o.int("batch_group_count", default=1),
        operand_precision=_precision(o, "precision_config"),
    )


# ---- gather, scatter, sort


_GATHER = {
    "offset_dims": "offset_dims",
    "collapsed_slice_dims": "collapsed_slice_dims",
    "operand_batching_dims": "operand_batching_dims",
    "start_indices_batching_dims": "start_indices_batching_dims",
    "start_index_map": "start_index_map",
}
_SCATTER = {
    "update_window_dims": "update_window_dims",
    "inserted_window_dims": "inserted_window_dims",
    "input_batching_dims": "input_batching_dims",
    "scatter_indices_batching_dims": "scatter_indices_batching_dims",
    "scatter_dims_to_operand_dims": "scatter_dims_to_operand_dims",
}


def _numbers(given: dict[str, str], names: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {hlo: integers(given.get(name, "")) for name, hlo in names.items()}
    found["index_vector_dim"] = int(given.get("index_vector_dim", 0))
    return found


def read_gather(o: Reader) -> Results:
    x, indices, *sizes = arrays(o, 2)
    given = _numbers(o.fields("dimension_numbers"), _GATHER)
    slice_sizes = tuple(int(i) for i in o.constant(sizes[0], "slice_sizes")) if sizes else o.ints("slice_sizes")
    ordered = o.bool("indices_are_sorted", default=False)
    return o.make("gather", x, indices, slice_sizes=slice_sizes, indices_are_sorted=ordered, **given)


def read_scatter(o: Reader) -> Results:
    result = o.make(
        "scatter",
        *arrays(o, 3),
        **_numbers(o.fields("scatter_dimension_numbers"), _SCATTER),
        indices_are_sorted=o.bool("indices_are_sorted", default=False),
        unique_indices=o.bool("unique_indices", default=False),
        to_apply=o.reducer(),
    )
    return o.unpack(result)


def read_sort(o: Reader) -> Results:
    operands = arrays(o)
    rank = len(dims_of(operands[0]))
    dimension = o.int("dimension", default=-1)
    attrs = {"dimensions": (dimension % rank if rank else dimension,), "is_stable": o.bool("is_stable", default=False)}
    return o.unpack(o.make("sort", *operands, to_apply=o.reducer(), **attrs))


def read_top_k(o: Reader) -> Results:
    (x,) = arrays(o)
    attrs = {"k": o.int("k"), "largest": o.bool("largest", default=True)}
    return o.unpack(o.add(o.opcode("topk").make(x, **attrs)))


# ---- reductions


def read_reduce(o: Reader) -> Results:
    groups = [w for w in o.syntax.words if isinstance(w, Group)]
    pairs = []
    for group in groups:
        values = [v for i in group.items if getattr(i, "type", "") == "VALUES" for v in split_values(i)]
        if len(values) == 2 and "init" in group.items:
            pairs.append(values)
    if pairs:
        operands = o.values([p[0] for p in pairs] + [p[1] for p in pairs])
    else:
        operands = arrays(o, 2)
    applied = next((w for w in o.syntax.words if getattr(w, "type", "") == "APPLIES"), None)
    if applied is not None:
        reducer = _binary_reducer(o, applied.split()[1].strip('"'), operands[len(operands) // 2 :])
    else:
        reducer = o.reducer(0, _reducer_arguments(groups))
    return o.unpack(o.make("reduce", *operands, dimensions=o.ints("dimensions"), to_apply=reducer))


def _reducer_arguments(groups: list[Group]) -> list[Item]:
    """The arguments of `reducer(%a: T, %b: T) (%c: U, %d: U)`: accumulators first, then elements."""
    first, second = [], []
    for group in groups:
        items = group.items
        if len(items) == 4 and [getattr(i, "type", "") for i in items] == ["VALUES", "SIGNATURE"] * 2:
            first += items[:2]
            second += items[2:]
    return first + second


def _binary_reducer(o: Reader, name: str, inits: Sequence[Instruction]) -> Computation:
    """The reducer of `applies stablehlo.add`."""
    opcode = name.rpartition(".")[2].replace("_", "-")
    row = OPCODES.get(opcode)
    if row is None or row.arity != (2, 2) or row.attrs:
        raise o.fail(f"applies {name}; it must be a binary operation such as stablehlo.add")
    computation = Computation(o.builder.unique(f"reduce_{opcode}".replace("-", "_")))
    scalar = ArrayShape(inits[0].shape.element_type)  # type: ignore[union-attr]
    x, y = computation.parameter(scalar), computation.parameter(scalar)
    computation.add(row.make(x, y))
    return computation


def _window(o: Reader, rank: int) -> tuple[WindowDim, ...]:
    sizes = o.ints("window_dimensions")
    if len(sizes) != rank:
        raise o.fail(f"window_dimensions has {len(sizes)} numbers; the operand has {rank} dimensions")
    ones = (1,) * rank
    columns = (
        sizes,
        o.ints("window_strides", default=ones),
        [p[0] for p in o.pairs("padding", rank=rank)],
        [p[1] for p in o.pairs("padding", rank=rank)],
        o.ints("base_dilations", default=ones),
        o.ints("window_dilations", default=ones),
    )
    return tuple(WindowDim(*row) for row in zip(*columns, strict=True))


def read_reduce_window(o: Reader) -> Results:
    operands = arrays(o, 2)
    window = _window(o, len(dims_of(operands[0])))
    return o.unpack(o.make("reduce-window", *operands, window=window, to_apply=o.reducer()))


def read_select_and_scatter(o: Reader) -> Results:
    operands = arrays(o, 3)
    window = _window(o, len(dims_of(operands[0])))
    return o.make("select-and-scatter", *operands, window=window, select=o.reducer(0), scatter=o.reducer(1))


def read_map(o: Reader) -> Results:
    operands = arrays(o)
    dimensions = o.ints("dimensions", default=tuple(range(len(dims_of(operands[0])))))
    return o.make("map", *operands, dimensions=dimensions, to_apply=o.reducer())


# ---- control flow


def _tuple(values: Sequence[Instruction], o: Reader) -> Instruction:
    return o.scope.computation.add(op.tuple.make(*values))


def _set_state(computation: Computation, shapes: Sequence[Shape]) -> None:
    computation.parameters[0].shape = TupleShape(tuple(shapes))


def read_while(o: Reader) -> Results:
    """The state is one tuple: the values of the loop, then what its regions use from outside, passed through."""
    bindings = next((w for w in o.syntax.words if getattr(w, "type", "") == "BINDINGS"), None)
    names: list[str] | None = None
    if bindings is not None:
        parts = [p.split("=") for p in bindings.strip("()").split(",")]
        names = [p[0].strip() for p in parts]
        operands = o.values([p[1].strip() for p in parts])
    else:
        operands = o.operands
    states = [x.shape for x in operands]
    captures: dict[Instruction, int] = {}
    condition, tests = o.control(0, states, captures, names)
    body, values = o.control(1, states, captures, names)
    if len(tests) != 1:
        raise o.fail(f"its condition returns {len(tests)} values; it must return one tensor<i1>")
    condition.root = tests[0]
    if [v.shape for v in values] != states:
        found, wanted = (TupleShape(tuple(s)) for s in ([v.shape for v in values], states))
        raise o.fail(f"its body returns {found}; it must return the loop's values, {wanted}")
    outer = list(captures)
    shapes = states + [x.shape for x in outer]
    for computation in (condition, body):
        _set_state(computation, shapes)
    state = body.parameters[0]
    passed = [body.add(op.get_tuple_element.make(state, index=len(states) + i)) for i in range(len(outer))]
    body.add(op.tuple.make(*values, *passed))
    loop = o.make("while", _tuple([*operands, *outer], o), condition=condition, body=body)
    if not states:
        return []
    add, make = o.scope.computation.add, op.get_tuple_element.make
    return [add(make(loop, index=i)) for i in range(len(states))]


def read_case(o: Reader) -> Results:
    """case and if: each branch takes a tuple of the values it uses."""
    index = o.operands[0]
    branches, operands = [], []
    counts = set()
    for i in range(len(o.syntax.regions)):
        captures: dict[Instruction, int] = {}
        computation, values = o.control(i, [], captures, [])
        counts.add(len(values))
        computation.root = values[0] if len(values) == 1 else computation.add(op.tuple.make(*values))
        _set_state(computation, [x.shape for x in captures])
        branches.append(computation)
        operands.append(_tuple(list(captures), o))
    if len(counts) != 1:
        raise o.fail("its branches return different numbers of values; they must return the same")
    if len(branches) == 1:
        return o.unpack(o.make("call", operands[0], to_apply=branches[0]))
    return o.unpack(o.make("conditional", index, *operands, branch_computations=tuple(branches)))


def read_call(o: Reader) -> Results:
    """call, and composite by its decomposition."""
    return o.unpack(o.make("call", *o.operands, to_apply=o.symbol("function")))


def read_scan(o: Reader) -> Results:
    """chlo.scan: a loop over one dimension of the inputs that carries values along and stacks what each step gives."""
    groups = [w for w in o.syntax.words if isinstance(w, Group)]
    lists = [[v for i in g.items if getattr(i, "type", "") == "VALUES" for v in split_values(i)] for g in groups[:2]]
    operands = arrays(o)
    if "inits" in o.syntax.words:
        count = len(lists[0])
    else:
        count = (o.ints("operandSegmentSizes", "operand_segment_sizes", default=(len(operands) // 2, 0)))[0]
    inputs, inits = operands[:count], operands[count:]
    dimension, backwards = o.int("dimension"), o.bool("is_reverse", default=False)
    body = o.reducer()
    outputs = list(o.results[: len(o.results) - len(inits)])
    if not inputs:
        raise o.fail("it needs an input to scan over")
    length = dims_of(inputs[0])[dimension]
    empty = [chlo.fill(0, s) for s in outputs if isinstance(s, ArrayShape)]
    start = [chlo.constant(0, S32), *inits, *empty, *inputs]
    shapes = [x.shape for x in start]
    add = o.scope.computation.add
    state = add(op.tuple.make(*start))
    step = Computation(o.builder.unique("scan_body"))
    at = step.parameter(state.shape)
    values = [step.add(op.get_tuple_element.make(at, index=i)) for i in range(len(shapes))]
    counter, carried = values[0], values[1 : 1 + len(inits)]
    stacked, sources = values[1 + len(inits) : 1 + len(inits) + len(empty)], values[1 + len(inits) + len(empty) :]
    place = op.subtract.make(chlo.constant(length - 1, S32), counter) if backwards else counter

    def starts(rank: int) -> list[Instruction]:
        return [place if d == dimension else chlo.constant(0, S32) for d in range(rank)]

    slices = []
    for source in sources:
        dims = dims_of(source)
        sizes = (*dims[:dimension], 1, *dims[dimension + 1 :])
        part = op.dynamic_slice.make(source, *starts(len(dims)), dynamic_slice_sizes=sizes)
        shape = ArrayShape(source.shape.element_type, (*dims[:dimension], *dims[dimension + 1 :]))  # type: ignore[union-attr]
        slices.append(step.add(op.reshape.make(part, shape=shape)))
    called = step.add(op.call.make(*slices, *carried, to_apply=body))
    if isinstance(called.shape, TupleShape):
        given = [step.add(op.get_tuple_element.make(called, index=i)) for i in range(len(called.shape))]
    else:
        given = [called]
    written = []
    for whole, part in zip(stacked, given):
        dims = dims_of(whole)
        shape = ArrayShape(whole.shape.element_type, (*dims[:dimension], 1, *dims[dimension + 1 :]))  # type: ignore[union-attr]
        wide = op.reshape.make(part, shape=shape)
        written.append(op.dynamic_update_slice.make(whole, wide, *starts(len(dims))))
    following = op.add.make(counter, chlo.constant(1, S32))
    step.add(op.tuple.make(following, *given[len(empty) :], *written, *sources))
    condition = Computation(o.builder.unique("scan_condition"))
    parameter = condition.parameter(state.shape)
    counter = op.get_tuple_element.make(parameter, index=0)
    condition.add(op.compare.make(counter, chlo.constant(length, S32), direction="LT"))
    loop = o.make("while", state, condition=condition, body=step)
    results = [add(op.get_tuple_element.make(loop, index=i)) for i in range(1, 1 + len(inits) + len(empty))]
    return results[len(inits) :] + results[: len(inits)]


def read_ragged_dot(o: Reader) -> Results:
    """chlo.ragged_dot: each group of rows (or of the contracted dimension, or of batches) with its own part of the other side.

    Elements outside of a group are zeroed, one copy a group, and one dot adds the groups' products or keeps them apart.
    """
    x, y, sizes = arrays(o, 3)
    given = o.fields("ragged_dot_dimension_numbers")
    names = ("lhs_batching", "rhs_batching", "lhs_contracting", "rhs_contracting", "lhs_ragged", "rhs_group")
    lhs_batch, rhs_batch, lhs_contract, rhs_contract, ragged, group = (
        integers(given.get(f"{n}_dimensions", "")) for n in names
    )
    if len(ragged) != 1 or len(dims_of(sizes)) != 1:
        raise o.fail("it must have one ragged dimension and a vector of group sizes")
    (d,) = ragged
    result = o.array_result
    precision = _precision(o, "precision_config")
    if d in lhs_batch:
        return o.make(
            "dot", x, y, shape=result, lhs_batch_dims=lhs_batch, rhs_batch_dims=rhs_batch,
            lhs_contracting_dims=lhs_contract, rhs_contracting_dims=rhs_contract, operand_precision=precision,
        )  # fmt: skip
    (groups,) = dims_of(sizes)
    dims = dims_of(x)
    wide = (groups, *dims)
    counts = chlo.Value(sizes).convert(S64).instruction
    plane = ArrayShape(S64, (groups, groups))
    rows = chlo.Value(op.iota.make(shape=plane, iota_dimension=0))
    columns = chlo.Value(op.iota.make(shape=plane, iota_dimension=1))
    each = chlo.Value(op.broadcast.make(counts, shape=plane, dimensions=(1,)))
    add = Computation(o.builder.unique("ragged_add"))
    a, b = add.parameter(ArrayShape(S64)), add.parameter(ArrayShape(S64))
    add.add(op.add.make(a, b))
    before = (columns < rows).where(each, chlo.Value(chlo.fill(0, plane)))
    start = op.reduce.make(before.instruction, chlo.constant(0, S64), dimensions=(1,), to_apply=add)
    shape = ArrayShape(S64, wide)
    first = chlo.Value(op.broadcast.make(start, shape=shape, dimensions=(0,)))
    extent = chlo.Value(op.broadcast.make(counts, shape=shape, dimensions=(0,)))
    place = chlo.Value(op.iota.make(shape=shape, iota_dimension=d + 1))
    inside = (place >= first) & (place < first + extent)
    row = x.shape.element_type  # type: ignore[union-attr]
    copies = op.broadcast.make(x, shape=ArrayShape(row, wide), dimensions=tuple(range(1, len(wide))))
    masked = inside.where(chlo.Value(copies), 0).instruction
    lhs_batch, lhs_contract = (tuple(i + 1 for i in t) for t in (lhs_batch, lhs_contract))
    if d + 1 in lhs_contract:
        free = [result.dims[1 + i] for i in range(len(lhs_batch))]
        shape = ArrayShape(result.element_type, (*free, groups, *result.dims[1 + len(lhs_batch) :]))
        product = op.dot.make(
            masked, y, shape=shape, lhs_batch_dims=lhs_batch, rhs_batch_dims=rhs_batch,
            lhs_contracting_dims=lhs_contract, rhs_contracting_dims=rhs_contract, operand_precision=precision,
        )  # fmt: skip
        at = len(lhs_batch)
        order = (at, *(i for i in range(shape.rank) if i != at))
        return o.make("transpose", product, dimensions=order)
    return o.make(
        "dot", masked, y, shape=result, lhs_batch_dims=lhs_batch, rhs_batch_dims=rhs_batch,
        lhs_contracting_dims=(0, *lhs_contract), rhs_contracting_dims=(*group, *rhs_contract), operand_precision=precision,
    )  # fmt: skip


# ---- tuples, tokens, barriers, random numbers, calls of the outside


def read_barrier(o: Reader) -> Results:
    operands = o.operands
    if len(operands) == 1:
        return o.make("opt-barrier", operands[0])
    return o.unpack(o.make("opt-barrier", _tuple(operands, o)))


def read_tuple(o: Reader) -> Results:
    return o.make("tuple", *o.operands)


def read_get_tuple_element(o: Reader) -> Results:
    index = o.int("index", default=None)
    if index is None:
        words = [w for w in o.syntax.words if getattr(w, "type", "") == "INTS"]
        index = integers(words[0])[0] if words else 0
    return o.make("get-tuple-element", o.operands[0], index=index)


def read_identity(o: Reader) -> Results:
    return o.operands[0]


def read_rng(o: Reader) -> Results:
    low, high = arrays(o, 2)[:2]
    word = o.word("rng_distribution", "distribution").lower()
    return o.make("rng", low, high, shape=o.array_result, distribution=f"rng_{word}")


def read_rng_bit_generator(o: Reader) -> Results:
    word = o.word("rng_algorithm", "algorithm").lower()
    shape = TupleShape(tuple(o.results))
    return o.unpack(o.make("rng-bit-generator", arrays(o)[0], shape=shape, algorithm=f"rng_{word}"))


def read_batch_norm(o: Reader) -> Results:
    attrs = {"epsilon": o.float("epsilon"), "feature_index": o.int("feature_index")}
    return o.unpack(o.make(o.operation.replace("_", "-"), *arrays(o), **attrs))


def read_triangular_solve(o: Reader) -> Results:
    a, b = arrays(o, 2)
    return o.make(
        "triangular-solve",
        a,
        b,
        left_side=o.bool("left_side"),
        lower=o.bool("lower"),
        unit_diagonal=o.bool("unit_diagonal", default=False),
        transpose_a=o.word("transpose_a", default="NO_TRANSPOSE"),
    )


def item_text(items: Sequence[Item]) -> str:
    """Items as text again, attributes of a call that are passed on as they are."""
    parts = []
    for item in items:
        if isinstance(item, Dictionary):
            entries = [f"{k} = {item_text(v)}" if v else k for k, v in item.entries.items()]
            parts.append("{" + ", ".join(entries) + "}")
        elif isinstance(item, Group):
            left, right = ("(", ")") if item.kind == "(" else ("[", "]")
            parts.append(left + ", ".join(item_text([i]) for i in item.items) + right)
        else:
            text = str(item)
            parts.append(f" {text}" if text.startswith(":") else text)
    return "".join(parts)


def _with_layouts(o: Reader, name: str, shapes: Sequence[Shape]) -> tuple[Shape, ...]:
    """The shapes with the layouts that an attribute lists, minor dimension first."""
    value = o.find(name)
    if not value or not isinstance(value[0], Group):
        return tuple(shapes)
    items = value[0].items
    literals = [items[k : k + 2] for k, i in enumerate(items) if getattr(i, "type", "") == "DENSE"]
    layouts = [o.to_ints(part, name) for part in literals]
    if len(layouts) != len(shapes):
        raise o.fail(f"{name} has {len(layouts)} layouts; it needs {len(shapes)}")
    for layout, shape in zip(layouts, shapes):
        if isinstance(shape, ArrayShape) and sorted(layout) != list(range(shape.rank)):
            raise o.fail(f"{name}: {list(layout)} does not order the dimensions of {shape}")
    return tuple(s.with_layout(d) if isinstance(s, ArrayShape) else s for s, d in zip(shapes, layouts))


def _alias(text: str) -> str:
    """HLO's text of `#stablehlo.output_operand_alias<...>`."""
    given = fields(text)
    result, operand = (
        ",".join(map(str, integers(given.get(f"{side}_tuple_indices", "")))) for side in ("output", "operand")
    )
    return f"{{{result}}}: ({given.get('operand_index', '0')}, {{{operand}}})"


def read_custom_call(o: Reader) -> Results:
    target = next((str(w)[1:].strip('"') for w in o.syntax.words if getattr(w, "type", "") == "SYMBOL"), "")
    target = target or o.text("call_target_name", default="")
    if not target:
        raise o.fail("its target is missing; expected stablehlo.custom_call @name(...)")
    if target.startswith("mhlo.") and o.has("mhlo.attributes"):
        return _wrapped(o, target)
    if target in _ANNOTATIONS and [x.shape for x in o.operands] == list(o.results):
        return o.operands
    results = _with_layouts(o, "result_layouts", o.results)
    shape = results[0] if len(results) == 1 else TupleShape(results)
    attrs: dict[str, Any] = {"custom_call_target": target}
    if o.has("operand_layouts"):
        operands = _with_layouts(o, "operand_layouts", [x.shape for x in o.operands])
        listed = [f"{s}{{{','.join(map(str, s.minor_to_major))}}}" if isinstance(s, ArrayShape) else str(s) for s in operands]
        attrs["operand_layout_constraints"] = "{" + ", ".join(listed) + "}"
    aliases = [_alias(str(i)) for g in o.find("output_operand_aliases") or [] if isinstance(g, Group) for i in g.items]
    if aliases:
        attrs["output_to_operand_aliasing"] = "{" + ", ".join(aliases) + "}"
    config = o.find("mhlo.backend_config") or o.find("backend_config")
    if config and item_text(config).strip('"'):
        attrs["backend_config"] = item_text(config)
    if o.bool("has_side_effect", default=False):
        attrs["custom_call_has_side_effect"] = True
    if o.has("mhlo.backend_config"):
        attrs["api_version"] = "API_VERSION_TYPED_FFI"
    elif o.has("api_version"):
        versions = ("", "ORIGINAL", "STATUS_RETURNING", "STATUS_RETURNING_UNIFIED", "TYPED_FFI")
        number = o.int("api_version")
        if 1 < number < len(versions):
            attrs["api_version"] = f"API_VERSION_{versions[number]}"
    called = o.find("called_computations")
    if called and isinstance(called[0], Group) and called[0].items:
        attrs["called_computations"] = (o.symbol("called computation"),)
    return o.unpack(o.make("custom-call", *o.operands, shape=shape, **attrs))


# Calls that say where a value lives and compute nothing.
_ANNOTATIONS = ("Sharding", "LayoutConstraint", "annotate_device_placement", "xla.sdy.FuncResultSharding")


def _wrapped(o: Reader, target: str) -> Results:
    """An operation that older JAX wrapped in a custom call: mhlo.topk, mhlo.erf, ..."""
    attributes = _inner(o, "mhlo.attributes")
    o.syntax.attrs.update(attributes)
    name = target.partition(".")[2]
    if name == "topk":
        return read_top_k(o)
    row = OPCODES.get(name.replace("_", "-"))
    if row is not None and not any(a.required for a in row.attrs.values()):
        return o.add(row.make(*o.operands))
    if name in chlo.FUNCTIONS:
        return o.add(chlo.FUNCTIONS[name](*map(chlo.Value, arrays(o))).instruction)
    raise o.fail(f"the operation {target} is not supported in a custom call")


def _groups(o: Reader) -> dict[str, Any]:
    """Replica groups and channel as HLO writes them."""
    attrs: dict[str, Any] = {}
    for name, hlo in (("replica_groups", "replica_groups"), ("source_target_pairs", "source_target_pairs")):
        value = o.find(name)
        if value:
            table = o.to_array(value, name)
            rows = (
                ["{" + ",".join(str(int(i)) for i in row if i >= 0) + "}" for row in np.atleast_2d(table)]
                if table.size
                else []
            )
            attrs[hlo] = "{" + ",".join(rows) + "}"
    channel = o.find("channel_handle", "channel_id")
    if channel:
        number = int(fields(str(channel[0])).get("handle", 0)) if "<" in str(channel[0]) else o.int("channel_id")
        if number > 0:
            attrs["channel_id"] = number
    if o.has("use_global_device_ids"):
        attrs["use_global_device_ids"] = True
    return attrs


def read_collective(o: Reader) -> Results:
    name = o.operation.replace("_", "-")
    row = o.opcode(name)
    attrs = _groups(o)
    if "to_apply" in row.attrs:
        attrs["to_apply"] = o.reducer()
    if name == "all-gather":
        attrs["dimensions"] = (o.int("all_gather_dim"),)
    elif name == "reduce-scatter":
        attrs["dimensions"] = (o.int("scatter_dimension"),)
    elif name == "all-to-all":
        return _all_to_all(o, attrs)
    attrs = {k: v for k, v in attrs.items() if k in row.attrs}
    shape = o.results[0] if len(o.results) == 1 else TupleShape(tuple(o.results))
    return o.unpack(o.make(name, *arrays(o), shape=shape, **attrs))


def _all_to_all(o: Reader, attrs: dict[str, Any]) -> Results:
    """all_to_all of one array: HLO's form with a dimension splits and concatenates the same one; others are moved there."""
    (x, *more) = arrays(o)
    split, concat, count = o.int("split_dimension"), o.int("concat_dimension"), o.int("split_count")
    if more:
        raise o.fail("it has several operands; give one at a time")
    attrs = {k: v for k, v in attrs.items() if k in o.opcode("all-to-all").attrs}
    if split == concat:
        return o.make("all-to-all", x, dimensions=(split,), **attrs)
    dims, row = dims_of(x), x.shape.element_type  # type: ignore[union-attr]
    parts = ArrayShape(row, (*dims[:split], count, dims[split] // count, *dims[split + 1 :]))
    split_up = op.reshape.make(x, shape=parts)
    moved = op.all_to_all.make(split_up, dimensions=(split,), **attrs)
    # The count of devices goes before the dimension that grows.
    target = concat if concat < split else concat + 1
    order = [i for i in range(parts.rank) if i != split]
    order.insert(order.index(target), split)
    return o.make("reshape", op.transpose.make(moved, dimensions=tuple(order)), shape=o.array_result)


def read_token(o: Reader) -> Results:
    return o.make("after-all", *o.operands)


def read_device_id(o: Reader) -> Results:
    return o.make(o.operation.replace("_", "-"))


def read_complex_parts(o: Reader) -> Results:
    """real and imag of real numbers too."""
    return o.make(o.operation, *arrays(o))


def read_einsum_one(o: Reader) -> Results:
    raise o.fail("it is not supported; use transpose and reduce")


def refuse(why: str) -> Callable[[Reader], Results]:
    """The reader of an operation that cannot be had."""

    def read(o: Reader) -> Results:
        raise o.fail(why)

    return read


def read_cbrt(o: Reader) -> Results:
    """cbrt; of complex numbers by exp(log(z) / 3)."""
    (x,) = arrays(o)
    assert isinstance(x.shape, ArrayShape)
    if not x.shape.element_type.is_complex:
        return read_accurate("cbrt")(o)
    z = chlo.Value(x)
    re, im = z.unary("real").convert(F64), z.unary("imag").convert(F64)
    radius, angle = chlo.join(re, im).unary("abs").unary("cbrt"), im.binary("atan2", re) / 3
    part = F32 if x.shape.element_type is C64 else F64
    result = chlo.join((radius * angle.unary("cosine")).convert(part), (radius * angle.unary("sine")).convert(part))
    return o.add(result.instruction)


_EXTREME = {"maximum": "GT", "minimum": "LT"}


def read_extreme(o: Reader) -> Results:
    """maximum and minimum; complex numbers compare by real part, then by imaginary part."""
    x, y = arrays(o, 2)
    row = x.shape.element_type  # type: ignore[union-attr]
    if row not in (C64, C128) or x.shape != y.shape:
        return o.make(o.operation, x, y)
    direction = _EXTREME[o.operation]
    a, b = chlo.Value(x), chlo.Value(y)
    real_a, real_b, imag_a, imag_b = (v.unary(p) for p in ("real", "imag") for v in (a, b))
    first = real_a.compare(direction, real_b) | (real_a.equals(real_b) & imag_a.compare(direction, imag_b))
    return o.add(first.where(a, b).instruction)


def read_narrow_unsigned(o: Reader) -> Results:
    """A bit count whose result type is the operand's."""
    return o.make(o.operation.replace("_", "-"), *arrays(o))


__all__ = ["Results", "element_type"]
