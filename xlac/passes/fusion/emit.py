"""Turn groups into `fusion` instructions. A group of one instruction stays that instruction."""

from __future__ import annotations

from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import op
from xlac.passes.fusion.group import Group, Groups
from xlac.passes.rewrite import Names, sort_instructions


def emit_groups(groups: Groups, names: Names) -> bool:
    """Replace what each group computes by a fusion; return whether there was any."""
    position = {x: i for i, x in enumerate(groups.order)}
    for group in groups.all:
        _leave_views_outside(group)
    read = _read_from_memory(groups)
    results: dict[Instruction, Instruction] = {}
    for group in groups.all:
        if sum(n.opcode.name != "constant" for n in group.nodes) > 1:
            _emit(groups.computation, group, position, read, names, results)
    computation = groups.computation
    for old, new in results.items():
        computation.replace(old, new)
    if results:
        computation.remove_dead()
        sort_instructions(computation)
    return bool(results)


def _leave_views_outside(group: Group) -> None:
    """Take out reshapes of what the group reads: outside they are other views of memory, inside they cost index
    arithmetic."""
    for node in list(group.nodes):
        if node.opcode.name == "reshape" and node.operands[0] in group.inputs and node not in group.outputs:
            del group.nodes[node]
            group.inputs[node] = None
            if not any(node.operands[0] in other.operands for other in group.nodes):
                del group.inputs[node.operands[0]]


def _read_from_memory(groups: Groups) -> set[Instruction]:
    """What some group or some instruction outside of groups reads, and the root."""
    inside = {node for group in groups.all for node in group.nodes}
    read = {x for group in groups.all for x in group.inputs}
    # Views of memory that groups read are no part of them.
    views = {x for x in read if x not in groups.owner}
    read |= {x for i in groups.order if i not in inside or i in views for x in i.operands}
    return read | {groups.computation.root}


def _emit(
    computation: Computation,
    group: Group,
    position: dict[Instruction, int],
    read: set[Instruction],
    names: Names,
    results: dict[Instruction, Instruction],
) -> None:
    fused = Computation(names.fresh(f"fused_{_kind(group)[1:].lower()}"))
    copies: dict[Instruction, Instruction] = {}
    inputs: list[Instruction] = []
    nodes = sorted(group.nodes, key=position.__getitem__)
    for node in nodes:
        for x in node.operands:
            if x not in group.nodes and x not in copies:
                copies[x] = fused.parameter(x.shape, x.name)
                inputs.append(x)
    for node in nodes:
        copy = node.clone(copies[x] for x in node.operands)
        copies[node] = fused.add(copy)
    outputs = [x for x in sorted(group.outputs, key=position.__getitem__) if x in read]
    if len(outputs) == 1:
        fused.root = copies[outputs[0]]
    else:
        fused.root = fused.add(op.tuple.make(*(copies[x] for x in outputs)))
    fused.remove_dead()
    root = computation.root
    kernel = op.fusion.make(*inputs, kind=_kind(group), calls=fused)
    kernel.metadata = outputs[0].metadata
    computation.add(kernel, _name(group))
    for i, output in enumerate(outputs):
        results[output] = kernel if len(outputs) == 1 else computation.add(op.get_tuple_element.make(kernel, index=i))
    computation.root = root


def _kind(group: Group) -> str:
    if group.dot is not None:
        return "kOutput"
    return "kInput" if group.reduced is not None else "kLoop"


def _name(group: Group) -> str:
    """A name that says what is computed last: `multiply_reduce_fusion`."""
    words: list[str] = []
    for output in group.outputs[:3]:
        word = output.opcode.name.replace("-", "_")
        if word not in words:
            words.append(word)
    return "_".join((*words, "fusion"))
