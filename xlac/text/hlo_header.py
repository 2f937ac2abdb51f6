"""The header of an HLO text: its attributes, what they say of donated memory and of the entry's layout."""

from __future__ import annotations

from xlac.ir.module import Computation, Module
from xlac.ir.opcode import Attr, Kind
from xlac.ir.shape import Shape, TupleShape
from xlac.text.attributes import parse_aliases, parse_donors
from xlac.text.hlo_syntax import ProgramText, near, shape_end, value_of
from xlac.text.shapes import TextError, parse_shape
from xlac.text.source import Source

HEADER_ATTRIBUTES = (
    "is_scheduled",
    "entry_computation_layout",
    "input_output_alias",
    "buffer_donor",
    "alias_passthrough_params",
    "allow_spmd_sharding_propagation_to_parameters",
    "allow_spmd_sharding_propagation_to_output",
    "replica_count",
    "num_partitions",
    "frontend_attributes",
    "origin_recovery_table",
)

# Where a text has one of these and tells no entry layout, XLA takes plain layouts, whatever the instructions say.
_CONFIGURES = {
    "alias_passthrough_params",
    "allow_spmd_sharding_propagation_to_parameters",
    "allow_spmd_sharding_propagation_to_output",
}


def read_header(source: Source, text: ProgramText, entry: Computation) -> dict[str, str]:
    """The attributes of the module, with the entry's layout where they leave it open."""
    attributes: dict[str, str] = {}
    base = text.blocks[0].base
    for name, value, place in text.attributes:
        if name in attributes:
            raise source.error(f"attribute {name} is given twice", base + place)
        if name not in HEADER_ATTRIBUTES:
            known = ", ".join(HEADER_ATTRIBUTES)
            raise source.error(
                f"unknown attribute {name} of a module{near(name, HEADER_ATTRIBUTES)}; they are {known}",
                base + place,
            )
        if name in ("is_scheduled", "alias_passthrough_params"):
            value_of(source, Attr(Kind.BOOL), name, value, base + place)
        elif name in ("replica_count", "num_partitions"):
            value_of(source, Attr(Kind.INT), name, value, base + place)
        elif name == "entry_computation_layout":
            _check_entry_layout(source, value, base + place, entry)
        attributes[name] = value
    several = any(attributes.get(name, "1") != "1" for name in ("replica_count", "num_partitions"))
    if "entry_computation_layout" not in attributes and (several or _CONFIGURES & set(attributes)):
        attributes["entry_computation_layout"] = plain_layouts(entry)
    return attributes


def read_donated(source: Source, text: ProgramText, module: Module) -> tuple[int, ...]:
    """The arrays among the parameters whose memory a run may take over."""
    found: set[int] = set()
    for name, value, place in text.attributes:
        try:
            if name == "input_output_alias":
                found.update(parse_aliases(value, module.parameter_shapes, module.entry.root.shape))
            elif name == "buffer_donor":
                found.update(parse_donors(value, module.parameter_shapes))
        except TextError as error:
            raise source.error(f"{name}: {error.message}", text.blocks[0].base + place + error.offset) from None
    return tuple(sorted(found))


def _check_entry_layout(source: Source, value: str, place: int, entry: Computation) -> None:
    """Check entry_computation_layout={(f32[2]{0})->f32[2]{0}} against the entry."""
    try:
        parameters, result = parse_entry_layout(value)
    except TextError as error:
        raise source.error(f"entry_computation_layout: {error.message}", place + error.offset) from None
    have = TupleShape(tuple(p.shape for p in entry.parameters))
    if parameters != have:
        raise source.error(
            f"entry_computation_layout has parameters {parameters} but those of {entry.name} are {have}", place
        )
    if result != entry.root.shape:
        raise source.error(
            f"entry_computation_layout has the result {result} but {entry.name} gives {entry.root.shape}", place
        )


def parse_entry_layout(value: str) -> tuple[TupleShape, Shape]:
    """The parameter shapes and the result shape of `{(f32[2]{0}, s32[])->f32[2]{0}}`.

    Raises:
      TextError: not of that form.
    """
    inner = value.strip()[1:-1]
    stop = shape_end(inner, 0)
    arrow = inner.find("->", stop)
    if not inner.lstrip().startswith("(") or arrow < 0 or inner[stop:arrow].strip():
        raise TextError("it must look like {(f32[2]{0}, s32[])->f32[2]{0}}")
    parameters = parse_shape(inner[:stop])
    assert isinstance(parameters, TupleShape)
    try:
        return parameters, parse_shape(inner[arrow + 2 :])
    except TextError as error:
        raise TextError(error.message, error.offset + arrow + 3) from None


def plain_layouts(entry: Computation) -> str:
    """An entry_computation_layout of row-major arrays."""
    return f"{{{TupleShape(tuple(p.shape for p in entry.parameters))}->{entry.root.shape}}}"
