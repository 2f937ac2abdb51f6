"""How HLO instructions are written as StableHLO, where it takes more than a row of names.

`WRITERS` maps HLO opcodes to functions of the printer and the instruction. A tuple has no line of its own: it is the
list of its elements' names, so that state and results of control flow become several values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import CompileError
from xlac.ir.module import Computation, Instruction
from xlac.ir.ops.dot import between
from xlac.ir.shape import S64, ArrayShape, TupleShape
from xlac.ir.window import ConvolutionDims, WindowDim
from xlac.text.stablehlo_literals import print_dense

if TYPE_CHECKING:
    from xlac.text.stablehlo_printer import Printer

WRITERS: dict[str, Callable[[Printer, Instruction], None]] = {}


def _writes(
    *opcodes: str,
) -> Callable[[Callable[[Printer, Instruction], None]], Callable[[Printer, Instruction], None]]:
    def register(function: Callable[[Printer, Instruction], None]) -> Callable[[Printer, Instruction], None]:
        for opcode in opcodes:
            WRITERS[opcode] = function
        return function

    return register


def _list(values: Any) -> str:
    return "[" + ", ".join(map(str, values)) + "]"


def _array(values: Any) -> str:
    return "array<i64: " + ", ".join(map(str, values)) + ">" if values else "array<i64>"


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _table(rows: Any) -> str:
    """Pairs as a dense attribute."""
    array = np.array(rows, np.int64).reshape(-1, 2)
    return f"{print_dense(array, S64)} : tensor<{array.shape[0]}x2xi64>"


def _precision(words: tuple[str, ...]) -> str:
    return _list(f"#stablehlo<precision {w.upper()}>" for w in words)


def _is_array(x: Instruction) -> ArrayShape:
    if not isinstance(x.shape, ArrayShape):
        raise CompileError(f"{x.name}: {x.opcode.name} of {x.shape} has no form in StableHLO; it must be an array")
    return x.shape


# ---- values without a line


@_writes("tuple")
def _tuple(p: Printer, i: Instruction) -> None:
    p.names[i] = tuple(p.names[x] for x in i.operands)


@_writes("get-tuple-element")
def _element(p: Printer, i: Instruction) -> None:
    p.names[i] = p.names[i.operands[0]][i["index"]]


@_writes("copy", "domain", "copy-done", "add-dependency", "optimization-barrier")
def _same(p: Printer, i: Instruction) -> None:
    p.names[i] = p.names[i.operands[0]]


# ---- constants and movement


@_writes("constant")
def _constant(p: Printer, i: Instruction) -> None:
    shape = _is_array(i)
    p.line(i, f"stablehlo.constant {print_dense(i['literal'], shape.element_type)} : {p.type(shape)}")


@_writes("iota")
def _iota(p: Printer, i: Instruction) -> None:
    p.line(i, f"stablehlo.iota dim = {i['iota_dimension']} : {p.type(i.shape)}")


@_writes("broadcast")
def _broadcast(p: Printer, i: Instruction) -> None:
    p.pretty(i, "stablehlo.broadcast_in_dim", f"dims = {_list(i['dimensions'])}")


@_writes("bitcast")
def _bitcast(p: Printer, i: Instruction) -> None:
    """The elements in the operand's layout order, put in the result's: transpose, reshape, transpose back."""
    source, result = _is_array(i.operands[0]), _is_array(i)
    if source.element_type is not result.element_type:
        raise CompileError(f"{i.name}: bitcast between element types has no form in StableHLO; use bitcast-convert")
    row = source.element_type
    read, write = source.minor_to_major[::-1], result.minor_to_major[::-1]
    inverse = tuple(write.index(d) for d in range(result.rank))
    steps = [
        ("transpose", read, ArrayShape(row, tuple(source.dims[d] for d in read))),
        ("reshape", None, ArrayShape(row, tuple(result.dims[d] for d in write))),
        ("transpose", inverse, ArrayShape(row, result.dims)),
    ]
    name, here = p.name(i.operands[0]), p.type(source)
    for operation, order, shape in steps:
        if order == tuple(range(shape.rank)) or (order is None and p.type(shape) == here):
            continue
        rest = "" if order is None else f", dims = {_list(order)}"
        name = p.fresh(f"stablehlo.{operation} {name}{rest} : ({here}) -> {p.type(shape)}")
        here = p.type(shape)
    p.names[i] = name


@_writes("reshape", "convert", "bitcast-convert", "dynamic-update-slice")
def _plain(p: Printer, i: Instruction) -> None:
    if i.is_a("dynamic-update-slice") and _vector_starts(i, 2):
        names, types = _starts(p, i, 2)
        p.given(i, "stablehlo.dynamic_update_slice", names, types)
        return
    p.pretty(i, "stablehlo." + i.opcode.name.replace("-", "_"), typed=True)


@_writes("dynamic-reshape")
def _dynamic_reshape(p: Printer, i: Instruction) -> None:
    p.given(i, "stablehlo.reshape", [p.name(i.operands[0])], [p.type(i.operands[0].shape)])


@_writes("slice")
def _slice(p: Printer, i: Instruction) -> None:
    ranges = ", ".join(f"{a}:{b}" + (f":{c}" if c != 1 else "") for a, b, c in i["slice"])
    p.given(i, "stablehlo.slice", [p.name(i.operands[0])], [p.type(i.operands[0].shape)], f" [{ranges}]")


@_writes("pad")
def _pad(p: Printer, i: Instruction) -> None:
    low, high, interior = ([row[k] for row in i["padding"]] for k in range(3))
    p.pretty(i, "stablehlo.pad", f"low = {_list(low)}, high = {_list(high)}, interior = {_list(interior)}")


def _vector_starts(i: Instruction, first: int) -> bool:
    return len(i.operands) == first + 1 and len(_is_array(i.operands[first]).dims) == 1


def _starts(p: Printer, i: Instruction, first: int) -> tuple[list[str], list[str]]:
    """Names and types of all operands, with start indices that are given as one vector taken apart."""
    names, types = [p.name(x) for x in i.operands], [p.type(x.shape) for x in i.operands]
    if not _vector_starts(i, first):
        return names, types
    vector = _is_array(i.operands[first])
    row, scalar = p.type(ArrayShape(vector.element_type, (1,))), p.type(ArrayShape(vector.element_type))
    parts = []
    for d in range(vector.dims[0]):
        part = p.fresh(f"stablehlo.slice {names[first]} [{d}:{d + 1}] : ({types[first]}) -> {row}")
        parts.append(p.fresh(f"stablehlo.reshape {part} : ({row}) -> {scalar}"))
    return names[:first] + parts, types[:first] + [scalar] * len(parts)


@_writes("dynamic-slice")
def _dynamic_slice(p: Printer, i: Instruction) -> None:
    p.given(i, "stablehlo.dynamic_slice", *_starts(p, i, 1), f", sizes = {_list(i['dynamic_slice_sizes'])}")


@_writes("gather")
def _gather(p: Printer, i: Instruction) -> None:
    fields = ", ".join(
        f"{n} = {_list(i[n])}"
        for n in (
            "offset_dims",
            "collapsed_slice_dims",
            "operand_batching_dims",
            "start_indices_batching_dims",
            "start_index_map",
        )
        if i[n]
    )
    fields += (", " if fields else "") + f"index_vector_dim = {i['index_vector_dim']}"
    attrs = {
        "dimension_numbers": f"#stablehlo.gather<{fields}>",
        "indices_are_sorted": _flag(i["indices_are_sorted"]),
        "slice_sizes": _array(i["slice_sizes"]),
    }
    p.generic(i, "stablehlo.gather", attrs)


@_writes("scatter")
def _scatter(p: Printer, i: Instruction) -> None:
    fields = ", ".join(
        f"{n} = {_list(i[n])}"
        for n in (
            "update_window_dims",
            "inserted_window_dims",
            "input_batching_dims",
            "scatter_indices_batching_dims",
            "scatter_dims_to_operand_dims",
        )
        if i[n]
    )
    fields += (", " if fields else "") + f"index_vector_dim = {i['index_vector_dim']}"
    attrs = {
        "indices_are_sorted": _flag(i["indices_are_sorted"]),
        "scatter_dimension_numbers": f"#stablehlo.scatter<{fields}>",
        "unique_indices": _flag(i["unique_indices"]),
    }
    p.generic(i, "stablehlo.scatter", attrs, (i["to_apply"],))


@_writes("get-dimension-size")
def _size(p: Printer, i: Instruction) -> None:
    p.pretty(i, "stablehlo.get_dimension_size", f"dim = {i['dimensions'][0]}")


@_writes("set-dimension-size")
def _set_size(p: Printer, i: Instruction) -> None:
    p.pretty(i, "stablehlo.set_dimension_size", f"dim = {i['dimensions'][0]}")


# ---- elementwise


@_writes("compare")
def _compare(p: Printer, i: Instruction) -> None:
    names, types = [p.name(x) for x in i.operands], [p.type(x.shape) for x in i.operands]
    kind = _is_array(i.operands[0]).element_type.kind
    usual = {"f": "FLOAT", "c": "FLOAT", "s": "SIGNED", "u": "UNSIGNED", "p": "UNSIGNED"}[kind]
    text = f"stablehlo.compare {i['direction']}, {', '.join(names)}, {i['type'] or usual}"
    p.line(i, f"{text} : ({', '.join(types)}) -> {p.type(i.shape)}")


@_writes("reduce-precision")
def _reduce_precision(p: Printer, i: Instruction) -> None:
    p.pretty(i, "stablehlo.reduce_precision", f"format = e{i['exponent_bits']}m{i['mantissa_bits']}")


@_writes("stochastic-convert")
def _wrapped(p: Printer, i: Instruction) -> None:
    """An operation of HLO alone, wrapped in a custom call."""
    name = _quoted("mhlo." + i.opcode.name.replace("-", "_"))
    attrs = {"call_target_name": name, "mhlo.attributes": "{}", "mhlo.version": "1 : i64"}
    p.generic(i, "stablehlo.custom_call", attrs)


@_writes("erf", "acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh")
def _client(p: Printer, i: Instruction) -> None:
    p.arrow(i, "chlo." + i.opcode.name)


@_writes("mulhi")
def _mulhi(p: Printer, i: Instruction) -> None:
    p.generic(i, "chlo.mulhi", {})


@_writes("topk")
def _top_k(p: Printer, i: Instruction) -> None:
    if not i["largest"]:
        raise CompileError(f"{i.name}: topk of the smallest elements has no form in StableHLO; use sort and slice")
    (x,) = i.operands
    types = ", ".join(p.type(s) for s in i.shape)  # type: ignore[union-attr]
    p.line(i, f"chlo.top_k({p.name(x)}, k = {i['k']}) : {p.type(x.shape)} -> ({types})")


# ---- contractions and linear algebra


_ALGORITHM = re.compile(r"dot_(any_f8|[a-z]+\d+)_(any_f8|[a-z]+\d+)_([a-z]+\d+)(_fast_accum)?(?:_x(\d+))?\Z")


def _algorithm(i: Instruction) -> str:
    match = _ALGORITHM.match(i["algorithm"])
    if match is None:
        raise CompileError(f"{i.name}: the dot algorithm {i['algorithm']} has no form in StableHLO")
    types = [match[1], match[2]]
    for k in (0, 1):
        if types[k] == "any_f8":
            given = _is_array(i.operands[k]).element_type.mlir
            types[k] = given if given.startswith("f8") else "f8E5M2"
    return (
        f", algorithm = <lhs_precision_type = {types[0]}, rhs_precision_type = {types[1]}, "
        f"accumulation_type = {match[3]}, lhs_component_count = 1, rhs_component_count = 1, "
        f"num_primitive_operations = {match[5] or 1}, allow_imprecise_accumulation = {_flag(bool(match[4]))}>"
    )


@_writes("dot")
def _dot(p: Printer, i: Instruction) -> None:
    text = ""
    if i["lhs_batch_dims"]:
        text += f"batching_dims = {_list(i['lhs_batch_dims'])} x {_list(i['rhs_batch_dims'])}, "
    text += f"contracting_dims = {_list(i['lhs_contracting_dims'])} x {_list(i['rhs_contracting_dims'])}"
    if i["operand_precision"]:
        text += f", precision = {_list(w.upper() for w in i['operand_precision'])}"
    if i["algorithm"]:
        text += _algorithm(i)
    names, types, result = _factors(p, i)
    product = f"stablehlo.dot_general {', '.join(names)}, {text} : ({', '.join(types)}) -> {result}"
    _converted(p, i, product, result)


def _factors(p: Printer, i: Instruction) -> tuple[list[str], list[str], str]:
    """Names and types of both operands, and the product's type.

    Different element types of the operands, which StableHLO refuses, become the product's.
    """
    names, types = [p.name(x) for x in i.operands], [p.type(x.shape) for x in i.operands]
    lhs, rhs = (_is_array(x) for x in i.operands)
    row = between(_is_array(i).element_type, lhs.element_type, rhs.element_type)
    if lhs.element_type is not rhs.element_type:
        for k, shape in enumerate((lhs, rhs)):
            wide = p.type(ArrayShape(row, shape.dims))
            if wide != types[k]:
                names[k] = p.fresh(f"stablehlo.convert {names[k]} : ({types[k]}) -> {wide}")
                types[k] = wide
    return names, types, p.type(_is_array(i).with_type(row))


def _converted(p: Printer, i: Instruction, product: str, result: str) -> None:
    """A line for the product, of type `result`, as the instruction's type."""
    if result != p.type(i.shape):
        product = f"stablehlo.convert {p.fresh(product)} : ({result}) -> {p.type(i.shape)}"
    p.line(i, product)


def _labels(first: str, at: int, second: str, other: int, spatial: tuple[int, ...]) -> str:
    labels = {at: first, other: second} | {d: str(k) for k, d in enumerate(spatial)}
    return "[" + ", ".join(labels[d] for d in sorted(labels)) + "]"


@_writes("convolution")
def _convolution(p: Printer, i: Instruction) -> None:
    d: ConvolutionDims = i["dim_labels"]
    window: tuple[WindowDim, ...] = i["window"]
    labels = (
        _labels("b", d.input_batch, "f", d.input_feature, d.input_spatial)
        + "x"
        + _labels("i", d.kernel_input_feature, "o", d.kernel_output_feature, d.kernel_spatial)
        + "->"
        + _labels("b", d.output_batch, "f", d.output_feature, d.output_spatial)
    )
    fields = [
        f"stride = {_list(w.stride for w in window)}",
        "pad = [" + ", ".join(f"[{w.pad_low}, {w.pad_high}]" for w in window) + "]",
        f"lhs_dilate = {_list(w.lhs_dilate for w in window)}",
        f"rhs_dilate = {_list(w.rhs_dilate for w in window)}",
        f"reverse = {_list(_flag(w.reversal) for w in window)}",
    ]
    attrs = [
        f"batch_group_count = {i['batch_group_count']} : i64",
        f"feature_group_count = {i['feature_group_count']} : i64",
    ]
    if i["operand_precision"]:
        attrs.append(f"precision_config = {_precision(i['operand_precision'])}")
    names, types, result = _factors(p, i)
    inner = f"{{{', '.join(fields)}}}" if window else "{}"
    text = f"stablehlo.convolution({', '.join(names)}) dim_numbers = {labels}, window = {inner} {{{', '.join(attrs)}}}"
    _converted(p, i, f"{text} : ({', '.join(types)}) -> {result}", result)


@_writes("triangular-solve")
def _triangular_solve(p: Printer, i: Instruction) -> None:
    attrs = {n: _flag(i[n]) for n in ("left_side", "lower", "unit_diagonal")}
    p.generic(i, "stablehlo.triangular_solve", attrs | {"transpose_a": f"#stablehlo<transpose {i['transpose_a']}>"})


@_writes("batch-norm-training", "batch-norm-inference", "batch-norm-grad")
def _batch_norm(p: Printer, i: Instruction) -> None:
    epsilon = repr(float(i["epsilon"]))
    mantissa, mark, exponent = epsilon.partition("e")
    epsilon = (mantissa if "." in mantissa else mantissa + ".0") + mark + exponent
    attrs = {"epsilon": f"{epsilon} : f32", "feature_index": f"{i['feature_index']} : i64"}
    p.generic(i, "stablehlo." + i.opcode.name.replace("-", "_"), attrs)


# ---- reductions and sorting


@_writes("reduce")
def _reduce(p: Printer, i: Instruction) -> None:
    n = len(i.operands) // 2
    names, types = [p.name(x) for x in i.operands], [p.type(x.shape) for x in i.operands]
    binary = _binary(i["to_apply"])
    if n == 1 and binary and _is_array(i).element_type is _is_array(i.operands[0]).element_type:
        text = f"stablehlo.reduce({names[0]} init: {names[1]}) applies stablehlo.{binary}"
        p.line(i, f"{text} across dimensions = {_list(i['dimensions'])} : ({', '.join(types)}) -> {p.type(i.shape)}")
        return
    p.generic(i, "stablehlo.reduce", {"dimensions": _array(i["dimensions"])}, (i["to_apply"],))


def _binary(computation: Computation) -> str | None:
    """The operation of a reducer that is one binary operation of its parameters, in order."""
    root = computation.root
    if root.opcode.arity != (2, 2) or root.opcode.attrs or not root.opcode.elementwise:
        return None
    return root.opcode.name.replace("-", "_") if list(root.operands) == computation.parameters else None


def _window(window: tuple[WindowDim, ...]) -> dict[str, str]:
    if any(w.reversal for w in window):
        raise CompileError("reversed windows have no form in StableHLO outside of convolutions")
    return {
        "padding": _table([(w.pad_low, w.pad_high) for w in window]),
        "window_dimensions": _array([w.size for w in window]),
        "window_strides": _array([w.stride for w in window]),
    }


@_writes("reduce-window")
def _reduce_window(p: Printer, i: Instruction) -> None:
    attrs = _window(i["window"])
    attrs["base_dilations"] = _array([w.lhs_dilate for w in i["window"]])
    attrs["window_dilations"] = _array([w.rhs_dilate for w in i["window"]])
    p.generic(i, "stablehlo.reduce_window", attrs, (i["to_apply"],))


@_writes("select-and-scatter")
def _select_and_scatter(p: Printer, i: Instruction) -> None:
    if any(w.lhs_dilate != 1 or w.rhs_dilate != 1 for w in i["window"]):
        raise CompileError(f"{i.name}: select-and-scatter with dilation has no form in StableHLO")
    p.generic(i, "stablehlo.select_and_scatter", _window(i["window"]), (i["select"], i["scatter"]))


@_writes("sort")
def _sort(p: Printer, i: Instruction) -> None:
    attrs = {"dimension": f"{i['dimensions'][0]} : i64", "is_stable": _flag(i["is_stable"])}
    p.generic(i, "stablehlo.sort", attrs, (i["to_apply"],))


@_writes("map")
def _map(p: Printer, i: Instruction) -> None:
    rank = len(_is_array(i.operands[0]).dims)
    p.generic(i, "stablehlo.map", {"dimensions": _array(i["dimensions"] or tuple(range(rank)))}, (i["to_apply"],))


# ---- control flow


@_writes("while")
def _while(p: Printer, i: Instruction) -> None:
    state = p.leaves(i.operands[0])
    types = p.leaf_types(i.shape)
    p.define(i)
    p.loop(i, state, types, (i["condition"], i["body"]))


@_writes("conditional")
def _conditional(p: Printer, i: Instruction) -> None:
    index, *operands = i.operands
    name = "stablehlo.if" if _is_array(index).element_type.kind == "p" else "stablehlo.case"
    p.define(i)
    p.branches(i, name, p.name(index), p.type(index.shape), list(zip(i["branch_computations"], operands)))


@_writes("call", "fusion", "async-start")
def _call(p: Printer, i: Instruction) -> None:
    if i.is_a("async-start"):
        raise CompileError(f"{i.name}: asynchronous calls have no form in StableHLO")
    (computation,) = i.called
    names = [n for x in i.operands for n in p.leaves(x)]
    types = [t for x in i.operands for t in p.leaf_types(x.shape)]
    p.several(i, f"func.call @{p.function(computation)}({', '.join(names)}) : ({', '.join(types)})")


# ---- tokens, barriers, random numbers, calls of the outside


@_writes("opt-barrier")
def _barrier(p: Printer, i: Instruction) -> None:
    names, types = p.leaves(i.operands[0]), p.leaf_types(i.shape)
    if not names:
        p.names[i] = ()
        return
    p.define(i)
    p.put(i, f"stablehlo.optimization_barrier {', '.join(names)} : {', '.join(types)}")


@_writes("after-all")
def _after_all(p: Printer, i: Instruction) -> None:
    if not i.operands:
        p.line(i, "stablehlo.create_token : !stablehlo.token")
    else:
        names = ", ".join(p.name(x) for x in i.operands)
        p.line(i, f"stablehlo.after_all {names} : !stablehlo.token")


@_writes("rng")
def _rng(p: Printer, i: Instruction) -> None:
    shape = _is_array(i)
    vector = np.array(shape.dims, np.int64)
    dims_type = f"tensor<{vector.size}xi64>"
    dims = p.fresh(f"stablehlo.constant {print_dense(vector, S64)} : {dims_type}")
    names = [p.name(x) for x in i.operands] + [dims]
    types = [p.type(x.shape) for x in i.operands] + [dims_type]
    word = i["distribution"].removeprefix("rng_").upper()
    p.given(i, "stablehlo.rng", names, types, f", distribution =  {word}")


@_writes("rng-bit-generator")
def _rng_bits(p: Printer, i: Instruction) -> None:
    shape = i.shape
    if not isinstance(shape, TupleShape):
        raise CompileError(f"{i.name}: rng-bit-generator without a state has no form in StableHLO")
    word = i["algorithm"].removeprefix("rng_").upper()
    p.generic(i, "stablehlo.rng_bit_generator", {"rng_algorithm": f"#stablehlo<rng_algorithm {word}>"})


@_writes("partition-id", "replica-id")
def _device(p: Printer, i: Instruction) -> None:
    p.line(i, f"stablehlo.{i.opcode.name.replace('-', '_')} : {p.type(i.shape)}")


_VERSIONS = ("", "API_VERSION_ORIGINAL", "API_VERSION_STATUS_RETURNING", "API_VERSION_STATUS_RETURNING_UNIFIED")


@_writes("custom-call")
def _custom_call(p: Printer, i: Instruction) -> None:
    attrs = {
        "call_target_name": _quoted(i["custom_call_target"]),
        "has_side_effect": _flag(i["custom_call_has_side_effect"]),
    }
    version, config = i["api_version"], i["backend_config"]
    if version == "API_VERSION_TYPED_FFI":
        attrs["api_version"] = "4 : i32"
        attrs["backend_config"] = config if config and config.startswith("{") else "{}"
    else:
        if config:
            attrs["backend_config"] = config if config.startswith('"') else _quoted(config)
        if version in _VERSIONS[1:]:
            attrs["api_version"] = f"{_VERSIONS.index(version)} : i32"
    if i["operand_layout_constraints"]:
        given = re.findall(r"\w+\[[\d,]*\](?:\{([\d,]*)[^{}]*\})?|token\[\]", i["operand_layout_constraints"])
        attrs["operand_layouts"] = _layouts([[int(n) for n in g.split(",") if n] for g in given])
        shapes = p.leaf_shapes(i.shape)
        attrs["result_layouts"] = _layouts([s.minor_to_major if isinstance(s, ArrayShape) else () for s in shapes])
    aliases = re.findall(r"\{([\d, ]*)\}\s*:\s*\((\d+),\s*\{([\d, ]*)\}", i["output_to_operand_aliasing"] or "")
    if aliases:
        attrs["output_operand_aliases"] = _list(
            f"#stablehlo.output_operand_alias<output_tuple_indices = [{a}], operand_index = {n}, "
            f"operand_tuple_indices = [{b}]>"
            for a, n, b in aliases
        )
    called = i.called
    if called:
        attrs["called_computations"] = "[" + ", ".join(f"@{p.function(c)}" for c in called) + "]"
    p.generic(i, "stablehlo.custom_call", attrs)


def _layouts(layouts: Any) -> str:
    return _list(f"dense<{_list(d) if d else ''}> : tensor<{len(d)}xindex>" for d in layouts)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _groups(i: Instruction, name: str) -> str:
    rows = [[int(n) for n in re.findall(r"\d+", row)] for row in re.findall(r"\{([^{}]*)\}", i[name] or "")]
    rows = [r for r in rows if r]
    if not rows:
        if re.search(r"\d", i[name] or ""):
            raise CompileError(f"{i.name}: {name}={i[name]} is not a list of groups, which StableHLO needs")
        return "dense<> : tensor<0x0xi64>" if name == "replica_groups" else "dense<> : tensor<0x2xi64>"
    width = max(map(len, rows))
    table = np.array([r + [-1] * (width - len(r)) for r in rows], np.int64)
    return f"{print_dense(table, S64)} : tensor<{len(rows)}x{width}xi64>"


@_writes("all-reduce", "all-gather", "all-to-all", "reduce-scatter", "collective-permute", "collective-broadcast")
def _collective(p: Printer, i: Instruction) -> None:
    name = "source_target_pairs" if i.is_a("collective-permute") else "replica_groups"
    attrs = {name: _groups(i, name)}
    if i["channel_id"]:
        attrs["channel_handle"] = f"#stablehlo.channel_handle<handle = {i['channel_id']}, type = 1>"
    if i.attrs.get("use_global_device_ids"):
        attrs["use_global_device_ids"] = "unit"
    if i.is_a("all-gather"):
        attrs["all_gather_dim"] = f"{i['dimensions'][0]} : i64"
    elif i.is_a("reduce-scatter"):
        attrs["scatter_dimension"] = f"{i['dimensions'][0]} : i64"
    elif i.is_a("all-to-all"):
        if i["dimensions"] is None:
            raise CompileError(f"{i.name}: all-to-all of several arrays has no form in StableHLO")
        groups = re.findall(r"\{([^{}]*)\}", i["replica_groups"] or "")
        count = len(re.findall(r"\d+", groups[0])) if groups else 1
        d = i["dimensions"][0]
        attrs |= {"split_dimension": f"{d} : i64", "concat_dimension": f"{d} : i64", "split_count": f"{count} : i64"}
    p.generic(i, "stablehlo." + i.opcode.name.replace("-", "_"), attrs, i.called)
