"""How StableHLO's control flow, scans, calls, tuples and collectives become HLO.

Each function takes the operation's `Reader` and gives its result, or its results as a list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import S32, S64, ArrayShape, Shape, TupleShape
from xlac.text import chlo
from xlac.text.stablehlo_read import Results, arrays, dims_of, inner_entries, precision, read_top_k
from xlac.text.stablehlo_syntax import Dictionary, Group, Item, fields, integers, split_values

if TYPE_CHECKING:
    from xlac.text.stablehlo_parser import Reader


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
    dimension, backwards = o.integer("dimension"), o.flag("is_reverse", default=False)
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
    """chlo.ragged_dot: each group of rows (of the contracted dimension, of batches) with its part of the other side.

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
    words = precision(o, "precision_config")
    if d in lhs_batch:
        return o.make(
            "dot", x, y, shape=result, lhs_batch_dims=lhs_batch, rhs_batch_dims=rhs_batch,
            lhs_contracting_dims=lhs_contract, rhs_contracting_dims=rhs_contract, operand_precision=words,
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
            lhs_contracting_dims=lhs_contract, rhs_contracting_dims=rhs_contract, operand_precision=words,
        )  # fmt: skip
        at = len(lhs_batch)
        order = (at, *(i for i in range(shape.rank) if i != at))
        return o.make("transpose", product, dimensions=order)
    return o.make(
        "dot", masked, y, shape=result, lhs_batch_dims=lhs_batch, rhs_batch_dims=rhs_batch,
        lhs_contracting_dims=(0, *lhs_contract), rhs_contracting_dims=(*group, *rhs_contract),
        operand_precision=words,
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
    index = o.integer("index", default=None)
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
    attrs = {"epsilon": o.number("epsilon"), "feature_index": o.integer("feature_index")}
    return o.unpack(o.make(o.operation.replace("_", "-"), *arrays(o), **attrs))


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
        listed = [
            f"{s}{{{','.join(map(str, s.minor_to_major))}}}" if isinstance(s, ArrayShape) else str(s) for s in operands
        ]
        attrs["operand_layout_constraints"] = "{" + ", ".join(listed) + "}"
    aliases = [_alias(str(i)) for g in o.find("output_operand_aliases") or [] if isinstance(g, Group) for i in g.items]
    if aliases:
        attrs["output_to_operand_aliasing"] = "{" + ", ".join(aliases) + "}"
    config = o.find("mhlo.backend_config") or o.find("backend_config")
    if config and item_text(config).strip('"'):
        attrs["backend_config"] = item_text(config)
    if o.flag("has_side_effect", default=False):
        attrs["custom_call_has_side_effect"] = True
    if o.has("mhlo.backend_config"):
        attrs["api_version"] = "API_VERSION_TYPED_FFI"
    elif o.has("api_version"):
        versions = ("", "ORIGINAL", "STATUS_RETURNING", "STATUS_RETURNING_UNIFIED", "TYPED_FFI")
        number = o.integer("api_version")
        if 1 < number < len(versions):
            attrs["api_version"] = f"API_VERSION_{versions[number]}"
    called = o.find("called_computations")
    if called and isinstance(called[0], Group) and called[0].items:
        attrs["called_computations"] = (o.symbol("called computation"),)
    return o.unpack(o.make("custom-call", *o.operands, shape=shape, **attrs))


# Calls that say where a value lives and compute nothing.
_ANNOTATIONS = ("Sharding", "LayoutConstraint", "annotate_device_placement", "xla.sdy.FuncResultSharding")


def _wrapped(o: Reader, target: str) -> Results:
    """An operation wrapped in a custom call, as JAX once did: mhlo.topk, mhlo.erf, ..."""
    attributes = inner_entries(o, "mhlo.attributes")
    o.syntax.attrs.update(attributes)
    name = target.partition(".")[2]
    if name == "topk":
        return read_top_k(o)
    row = OPCODES.get(name.replace("_", "-"))
    if row is not None and not any(a.required for a in row.attrs.values()):
        return o.add(row.make(*o.operands, shape=o.array_result if row.declared else None))
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
        number = int(fields(str(channel[0])).get("handle", 0)) if "<" in str(channel[0]) else o.integer("channel_id")
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
        attrs["dimensions"] = (o.integer("all_gather_dim"),)
    elif name == "reduce-scatter":
        attrs["dimensions"] = (o.integer("scatter_dimension"),)
    elif name == "all-to-all":
        return _all_to_all(o, attrs)
    attrs = {k: v for k, v in attrs.items() if k in row.attrs}
    shape = o.results[0] if len(o.results) == 1 else TupleShape(tuple(o.results))
    return o.unpack(o.make(name, *arrays(o), shape=shape, **attrs))


def _all_to_all(o: Reader, attrs: dict[str, Any]) -> Results:
    """all_to_all of one array. HLO's splits and concatenates along one dimension; others are moved there."""
    (x, *more) = arrays(o)
    split, concat, count = o.integer("split_dimension"), o.integer("concat_dimension"), o.integer("split_count")
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


def refuse(why: str) -> Callable[[Reader], Results]:
    """The reader of an operation that cannot be had."""

    def read(o: Reader) -> Results:
        raise o.fail(why)

    return read
