"""How operations of StableHLO and CHLO become HLO instructions, where it takes more than a row of names.

Each function takes the operation's `Reader` and gives its result, or its results as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import C64, C128, F32, F64, S32, ArrayShape, Shape
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
    return o.make("iota", shape=o.array_result, iota_dimension=o.integer("iota_dimension", "dim"))


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
    return o.add(chlo.constant(dims_of(x)[o.integer("dimension", "dim")], S32))


def read_set_dimension_size(o: Reader) -> Results:
    x, size = arrays(o, 2)
    d = o.integer("dimension", "dim")
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
        bits = o.integer("exponent_bits"), o.integer("mantissa_bits")
    return o.make("reduce-precision", x, exponent_bits=bits[0], mantissa_bits=bits[1])


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
    """chlo.broadcast_add and its like: NumPy's broadcasting, or broadcast_dimensions for the smaller operand."""
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


def precision(o: Reader, *names: str) -> tuple[str, ...]:
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
        operand_precision=precision(o, "precision_config", "precision"),
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
        operand_precision=precision(o, "precision_config", "precision"),
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
        operand_precision=precision(o, "precision_config"),
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


def inner_entries(o: Reader, name: str) -> Any:
    """A reader's view of a dictionary inside an attribute."""
    value = o.find(name)
    return value[0].entries if value and isinstance(value[0], Dictionary) else {}


def read_convolution(o: Reader) -> Results:
    x, kernel, *padding_operand = arrays(o, 2)
    labels = _convolution_dims(o)
    sizes = [dims_of(kernel)[d] for d in labels.kernel_spatial]
    rank = len(sizes)
    inner = inner_entries(o, "window")

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
        feature_group_count=o.integer("feature_group_count", default=1),
        batch_group_count=o.integer("batch_group_count", default=1),
        operand_precision=precision(o, "precision_config"),
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
    ordered = o.flag("indices_are_sorted", default=False)
    return o.make("gather", x, indices, slice_sizes=slice_sizes, indices_are_sorted=ordered, **given)


def read_scatter(o: Reader) -> Results:
    result = o.make(
        "scatter",
        *arrays(o, 3),
        **_numbers(o.fields("scatter_dimension_numbers"), _SCATTER),
        indices_are_sorted=o.flag("indices_are_sorted", default=False),
        unique_indices=o.flag("unique_indices", default=False),
        to_apply=o.reducer(),
    )
    return o.unpack(result)


def read_sort(o: Reader) -> Results:
    operands = arrays(o)
    rank = len(dims_of(operands[0]))
    dimension = o.integer("dimension", default=-1)
    attrs = {"dimensions": (dimension % rank if rank else dimension,), "is_stable": o.flag("is_stable", default=False)}
    return o.unpack(o.make("sort", *operands, to_apply=o.reducer(), **attrs))


def read_top_k(o: Reader) -> Results:
    (x,) = arrays(o)
    attrs = {"k": o.integer("k"), "largest": o.flag("largest", default=True)}
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


def read_triangular_solve(o: Reader) -> Results:
    a, b = arrays(o, 2)
    return o.make(
        "triangular-solve",
        a,
        b,
        left_side=o.flag("left_side"),
        lower=o.flag("lower"),
        unit_diagonal=o.flag("unit_diagonal", default=False),
        transpose_a=o.word("transpose_a", default="NO_TRANSPOSE"),
    )


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
