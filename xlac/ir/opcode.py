"""The opcode table: one row per opcode, holding all that is known of it outside code generation.

A row is declared once, by `opcode(...)` in `xlac/ir/ops/`. It gives the text name, the arity, the attributes with
their text forms, the shape rule, and the reference evaluation. Tables of code generation, differentiation and
batching use the same names as keys and check themselves against this table at import.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from xlac.errors import ShapeError

if TYPE_CHECKING:
    from xlac.ir.module import Instruction
    from xlac.ir.shape import Shape


class Kind(enum.Enum):
    """What an attribute holds, and so how it is written in text."""

    INT = "int"  # index=0
    INTS = "tuple of ints"  # dimensions={0,1}
    FLOAT = "float"  # epsilon=0.001
    BOOL = "bool"  # is_stable=true
    WORD = "word"  # direction=LT
    WORDS = "tuple of words"  # operand_precision={default,highest}
    STRING = "str"  # custom_call_target="f"
    RAW = "text kept as it is"  # replica_groups=[2,4]<=[8]
    ACCURACY = "text of an accuracy"  # result_accuracy={mode=highest}
    COMPUTATION = "Computation"  # to_apply=%add
    COMPUTATIONS = "tuple of Computations"  # branch_computations={%a, %b}
    SLICES = "tuple of (start, limit, stride)"  # slice={[0:2], [1:9:2]}
    PADDING = "tuple of (low, high, interior)"  # padding=0_1_2x0_0
    WINDOW = "tuple of WindowDim"  # window={size=2x2 stride=2x2}
    DIM_LABELS = "ConvolutionDims"  # dim_labels=b01f_01io->b01f
    LITERAL = "numpy.ndarray"  # constant's operand text
    OBJECT = "a Python object"  # in memory only; text leaves it out


REQUIRED: Any = object()


@dataclass(frozen=True)
class Attr:
    """An attribute of an opcode: its kind, and its default where it may be left out."""

    kind: Kind
    default: Any = REQUIRED

    def optional(self, default: Any) -> Attr:
        return Attr(self.kind, default)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


INT, INTS, FLOAT, BOOL, WORD, WORDS, STRING, RAW = (
    Attr(kind) for kind in (Kind.INT, Kind.INTS, Kind.FLOAT, Kind.BOOL, Kind.WORD, Kind.WORDS, Kind.STRING, Kind.RAW)
)
COMPUTATION, COMPUTATIONS, SLICES, PADDING, WINDOW, DIM_LABELS, LITERAL, OBJECT, ACCURACY = (
    Attr(kind)
    for kind in (
        Kind.COMPUTATION,
        Kind.COMPUTATIONS,
        Kind.SLICES,
        Kind.PADDING,
        Kind.WINDOW,
        Kind.DIM_LABELS,
        Kind.LITERAL,
        Kind.OBJECT,
        Kind.ACCURACY,
    )
)

VARIADIC = (0, None)


@dataclass(frozen=True, eq=False)
class Opcode:
    """One row of the table.

    Attributes:
      name: the HLO text name, the key of every table.
      arity: least and greatest number of operands (None: no limit).
      attrs: attribute name to `Attr`.
      shape: `shape(*operand_shapes, **attrs) -> Shape`; raises ShapeError. Where `declared`, it also gets `shape=`, the
        shape the instruction claims, and checks it.
      evaluate: `evaluate(*arrays, **attrs) -> array or tuple`; also gets `shape=` where `declared`, and `call=` (a
      function of a
        computation and its arguments) where the opcode has regions.
      elementwise: the result at an index depends on the operands at that index alone, all of equal dimensions.
      declared: the shape cannot be inferred from operands and attributes and is given.
      layouts: the result depends on layouts; `evaluate` also gets `operand_shapes=` (and is `declared`).
      pure: no effect but its result; equal operands give equal results.
    """

    name: str
    arity: tuple[int, int | None]
    attrs: dict[str, Attr]
    shape: Callable[..., Shape]
    evaluate: Callable[..., Any]
    elementwise: bool = False
    declared: bool = False
    layouts: bool = False
    pure: bool = True
    has_regions: bool = field(init=False)

    def __post_init__(self) -> None:
        regions = (Kind.COMPUTATION, Kind.COMPUTATIONS)
        object.__setattr__(self, "has_regions", any(a.kind in regions for a in self.attrs.values()))

    def __repr__(self) -> str:
        return f"<opcode {self.name}>"

    def __call__(self, *operands: Any, name: str = "") -> Any:
        """A pattern that matches this opcode over operand patterns (see `xlac/ir/match.py`); `make` builds
        instructions."""
        from xlac.ir.match import Op

        return Op((self,), operands, name)

    def infer(self, operand_shapes: tuple[Shape, ...], attrs: dict[str, Any], shape: Shape | None = None) -> Shape:
        """The shape of the result; `shape` is the declared one, which opcodes that cannot infer theirs need.

        Raises:
          ShapeError: wrong number of operands, or shapes and attributes that do not fit.
        """
        least, most = self.arity
        if len(operand_shapes) < least or (most is not None and len(operand_shapes) > most):
            wanted = str(least) if least == most else f"{least} or more" if most is None else f"{least} to {most}"
            raise ShapeError(f"{self.name}: takes {wanted} operands, got {len(operand_shapes)}")
        if self.declared:
            if shape is None:
                raise ShapeError(f"{self.name}: its result shape must be given")
            return self.shape(*operand_shapes, shape=shape, **attrs)
        return self.shape(*operand_shapes, **attrs)

    def complete(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """`attrs` with defaults filled in, in the row's order.

        Raises:
          ShapeError: an attribute is missing or unknown.
        """
        result = {}
        for name, attr in self.attrs.items():
            value = attrs.get(name, attr.default)
            if value is REQUIRED:
                raise ShapeError(f"{self.name}: attribute {name} is missing")
            result[name] = value
        if len(attrs) != len(result) or not attrs.keys() <= result.keys():
            unknown = [name for name in attrs if name not in result]
            if unknown:
                known = ", ".join(self.attrs) or "none"
                raise ShapeError(f"{self.name}: unknown attribute {unknown[0]}; its attributes are: {known}")
        return result

    def make(self, *operands: Instruction, shape: Shape | None = None, **attrs: Any) -> Instruction:
        """A new instruction that is in no computation yet; its shape is inferred.

        Raises:
          ShapeError: operands or attributes do not fit.
        """
        from xlac.ir.module import Instruction

        attrs = self.complete(attrs)
        return Instruction(self, self.infer(tuple(x.shape for x in operands), attrs, shape), operands, attrs)


OPCODES: dict[str, Opcode] = {}

# The rows as attributes, for code that builds instructions: `op.add.make(x, y)`, `op.dynamic_slice.make(...)`.
op: Any = SimpleNamespace()


def opcode(
    name: str,
    *,
    arity: int | tuple[int, int | None],
    shape: Callable[..., Shape],
    evaluate: Callable[..., Any],
    attrs: dict[str, Attr] | None = None,
    elementwise: bool = False,
    declared: bool = False,
    layouts: bool = False,
    pure: bool = True,
) -> Opcode:
    """Declare an opcode row (see `Opcode`)."""
    if name in OPCODES:
        raise AssertionError(f"opcode {name} is declared twice")
    limits = (arity, arity) if isinstance(arity, int) else arity
    row = Opcode(name, limits, dict(attrs or {}), shape, evaluate, elementwise, declared, layouts, pure)
    OPCODES[name] = row
    attribute = name.replace("-", "_")
    setattr(op, attribute + "_" if attribute in ("and", "or", "not", "while") else attribute, row)
    return row


def find_opcode(name: str) -> Opcode:
    """The row of an opcode's text name.

    Raises:
      ShapeError: there is none; the message offers the nearest names.
    """
    row = OPCODES.get(name)
    if row is None:
        import difflib

        near = difflib.get_close_matches(name, OPCODES, n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ShapeError(f"unknown opcode {name}{hint}")
    return row
