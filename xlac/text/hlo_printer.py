"""The printer of XLA's HLO text, in the form XLA itself prints.

Names with %, shapes with layouts, operands without shapes.
"""

from __future__ import annotations

import re
from typing import Any

from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import Kind
from xlac.ir.shape import ELEMENT_TYPES, PRED, ArrayShape, Shape, TupleShape
from xlac.text.attributes import (
    ELIDED,
    TUPLE_LITERAL,
    attribute_to_string,
    format_donors,
    metadata_to_string,
    parse_aliases,
    parse_donors,
)
from xlac.text.literals import literal_to_string
from xlac.text.shapes import TextError, shape_to_string

# Attributes that XLA's parser asks for even where the row has a default.
_ALWAYS = {
    ("broadcast", "dimensions"),
    ("fusion", "kind"),
    ("topk", "largest"),
    ("triangular-solve", "transpose_a"),
    ("dot", "lhs_contracting_dims"),
    ("dot", "rhs_contracting_dims"),
}


def print_module(module: Module) -> str:
    """The module as HLO text: callees before callers, the entry last. Reading it gives an equal module."""
    parts = [_header(module)]
    if "stack_frames" in module.attrs:
        parts.append(module.attrs["stack_frames"] + "\n")
    computations = _callees_first(module)
    names = _computation_names(computations)
    parts.extend(_computation(c, names, c is module.entry) for c in computations)
    return "\n".join(parts)


def print_computation(computation: Computation, is_entry: bool = False) -> str:
    """One computation as HLO text."""
    called = dict.fromkeys(c for i in computation.post_order() for c in i.called)
    return _computation(computation, _computation_names([*called, computation]), is_entry)


def print_instruction(instruction: Instruction) -> str:
    """One instruction as a line of text, with the names it and its computations have."""
    near = (instruction, *instruction.operands, *instruction.control_predecessors)
    return _instruction(instruction, {x: _clean(x.name) for x in near}, {c: _clean(c.name) for c in instruction.called})


def _callees_first(module: Module) -> list[Computation]:
    done: dict[Computation, None] = {}
    for uncalled in module.uncalled:
        done.update(dict.fromkeys(Module("", uncalled).computations))
    done.update(dict.fromkeys(module.computations))
    return list(done)


def _computation_names(computations: list[Computation]) -> dict[Computation, str]:
    """A name of its own for each computation."""
    names: dict[Computation, str] = {}
    taken: set[str] = set()
    for computation in computations:
        name, count = _clean(computation.name), 0
        while name in taken:
            count += 1
            name = f"{_clean(computation.name)}.{count}"
        taken.add(name)
        names[computation] = name
    return names


# The names of types, which XLA's parser takes for nothing else.
_RESERVED = frozenset({*ELEMENT_TYPES, "s1", "u1", "token", "opaque"})


def _clean(name: str) -> str:
    """A name in the characters that HLO allows."""
    if name.isidentifier() and name.isascii():
        return f"{name}_" if name in _RESERVED else name
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", name)
    return name if name[:1].isalpha() or name[:1] == "_" else f"_{name}"


def _header(module: Module) -> str:
    attributes = dict(module.attrs)
    attributes.pop("stack_frames", None)
    layout = _entry_layout(module, attributes.pop("entry_computation_layout", None))
    words = [f"HloModule {_clean(module.name)}"]
    scheduled = attributes.pop("is_scheduled", None)
    if scheduled == "true":
        words.append("is_scheduled=true")
    names = ("input_output_alias", "buffer_donor")
    said = parse_donors(attributes.get("buffer_donor", "{}"), module.parameter_shapes)
    aliases = attributes.get("input_output_alias", "{}")
    said += parse_aliases(aliases, module.parameter_shapes, module.entry.root.shape)
    if set(module.donated) - set(said):
        attributes["buffer_donor"] = format_donors({*module.donated, *said}, module.parameter_shapes)
        attributes.pop("input_output_alias", None)
    for name in names:
        if name in attributes:
            words.append(f"{name}={attributes.pop(name)}")
    words.append(f"entry_computation_layout={layout}")
    words.extend(f"{name}={value}" for name, value in attributes.items())
    return ", ".join(words) + "\n"


def _entry_layout(module: Module, text: str | None) -> str:
    """The entry's parameter and result shapes with layouts.

    As the text had them while they still fit, else those of the graph.
    """
    parameters: Shape = TupleShape(tuple(module.parameter_shapes))
    result = module.entry.root.shape
    if text is not None:
        from xlac.text.hlo_header import parse_entry_layout

        try:
            told_parameters, told_result = parse_entry_layout(text)
        except TextError:
            pass
        else:
            if told_parameters == parameters and told_result == result:
                parameters, result = told_parameters, told_result
    return f"{{{shape_to_string(parameters)}->{shape_to_string(result)}}}"


def _computation(computation: Computation, names: dict[Computation, str], is_entry: bool) -> str:
    order = computation.post_order()
    printed = _instruction_names(order)
    parameters = ", ".join(f"{printed[p]}: {shape_to_string(p.shape, layout=False)}" for p in computation.parameters)
    result = shape_to_string(computation.root.shape, layout=False)
    entry = "ENTRY " if is_entry else ""
    lines = [f"{entry}%{names[computation]} ({parameters}) -> {result} {{"]
    hidden = _literal_parts(order, computation.root)
    root = computation.root
    for instruction in order:
        if instruction not in hidden:
            mark = "ROOT " if instruction is root else ""
            lines.append(f"  {mark}{_instruction(instruction, printed, names)}")
    end = "}"
    if computation.extras:
        end += "".join(f", {name}={value}" for name, value in computation.extras.items())
    lines.append(end)
    return "\n".join(lines) + "\n"


def _instruction_names(order: list[Instruction]) -> dict[Instruction, str]:
    names: dict[Instruction, str] = {}
    taken: set[str] = set()
    for instruction in order:
        name = _clean(instruction.name or instruction.opcode.name)
        stem, count = name, 0
        while name in taken:
            count += 1
            name = f"{stem}.{count}"
        taken.add(name)
        names[instruction] = name
    return names


def _is_tuple_literal(instruction: Instruction) -> bool:
    """Whether a tuple can be written as one constant.

    It was read from one, and its parts are still constants of its own.
    """
    if instruction.opcode.name != "tuple" or not instruction.extras or TUPLE_LITERAL not in instruction.extras:
        return False
    return _owns_constants(instruction)


def _owns_constants(instruction: Instruction) -> bool:
    stack = [instruction]
    while stack:
        for part in stack.pop().operands:
            if len(part.users) != 1 or part.is_root or part.metadata or part.extras or part.control_predecessors:
                return False
            if part.opcode.name == "tuple":
                stack.append(part)
            elif part.opcode.name != "constant":
                return False
    return True


def _literal_parts(order: list[Instruction], root: Instruction) -> set[Instruction]:
    """The instructions that are written inside tuple literals."""
    hidden: set[Instruction] = set()
    for instruction in order:
        if instruction.extras and _is_tuple_literal(instruction):
            stack = list(instruction.operands)
            while stack:
                part = stack.pop()
                hidden.add(part)
                stack.extend(part.operands)
    return hidden


def _tuple_text(instruction: Instruction) -> str:
    """The literal of a tuple of constants; tuples nest no deeper than shapes may."""
    if instruction.opcode.name == "constant":
        return literal_to_string(instruction.attrs["literal"], _row(instruction.shape))
    return "( " + ", ".join(_tuple_text(x) for x in instruction.operands) + " )"


def _row(shape: Shape) -> Any:
    assert isinstance(shape, ArrayShape)
    return shape.element_type


def _instruction(instruction: Instruction, printed: dict[Instruction, str], names: dict[Computation, str]) -> str:
    opcode, attrs = instruction.opcode.name, instruction.attrs
    shape = shape_to_string(instruction.shape)
    head = f"%{printed[instruction]} = {shape} {opcode}("
    words: list[str] = []
    if opcode == "constant" and instruction.extras and ELIDED in instruction.extras:
        words.append(f"{head}{{...}})")
    elif opcode == "constant":
        words.append(f"{head}{literal_to_string(attrs['literal'], _row(instruction.shape))})")
    elif opcode == "parameter":
        words.append(f"{head}{attrs['number']})")
    elif instruction.extras and _is_tuple_literal(instruction):
        words.append(f"%{printed[instruction]} = {shape} constant({_tuple_text(instruction)})")
    else:
        operands = instruction.operands
        if len(operands) > 5:
            texts = [
                f"/*index={i}*/%{printed[x]}" if i and not i % 5 else f"%{printed[x]}" for i, x in enumerate(operands)
            ]
        else:
            texts = [f"%{printed[x]}" for x in operands]
        words.append(f"{head}{', '.join(texts)})")
        if attrs:
            words.extend(_attributes(instruction, names))
    extras = instruction.extras
    if extras:
        words.extend(
            f"{name}={value}" for name, value in extras.items() if name not in (ELIDED, TUPLE_LITERAL, "backend_config")
        )
    if instruction.control_predecessors:
        words.append(
            f"control-predecessors={{{', '.join('%' + printed[x] for x in instruction.control_predecessors)}}}"
        )
    if instruction.metadata:
        words.append(f"metadata={metadata_to_string(instruction.metadata)}")
    if extras and "backend_config" in extras:
        words.append(f"backend_config={extras['backend_config']}")
    return ", ".join(words)


def _attributes(instruction: Instruction, names: dict[Computation, str]) -> list[str]:
    """The row's attributes; those at their default are left out."""
    opcode, attrs = instruction.opcode, instruction.attrs
    words = []
    for name, attr in opcode.attrs.items():
        value = attrs.get(name)
        if (
            value is None
            or attr.kind is Kind.OBJECT
            or (not attr.required and value == attr.default and (opcode.name, name) not in _ALWAYS)
        ):
            continue
        if attr.kind is Kind.COMPUTATION:
            words.append(f"{name}=%{names[value]}")
        elif attr.kind is Kind.COMPUTATIONS:
            if opcode.name == "conditional" and instruction.operands[0].shape == ArrayShape(PRED) and len(value) == 2:
                words.append(f"true_computation=%{names[value[0]]}")
                words.append(f"false_computation=%{names[value[1]]}")
            else:
                words.append(f"{name}={{{', '.join('%' + names[c] for c in value)}}}")
        else:
            words.append(f"{name}={attribute_to_string(attr.kind, value)}")
    return words
