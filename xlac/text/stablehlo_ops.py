"""The table of StableHLO's and CHLO's operations: what each one is in HLO, in both directions.

A row of names and attributes is enough where the operations agree but for words; others name a function that reads them
(`stablehlo_read`, `stablehlo_read_control`) and one that writes them (`stablehlo_write`, keyed by HLO opcode).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xlac.text import stablehlo_read as read
from xlac.text import stablehlo_read_control as control

if TYPE_CHECKING:
    from xlac.text.stablehlo_parser import Reader


@dataclass(frozen=True)
class Kind:
    """How an attribute is read, and written in the generic and in the pretty form."""

    read: Callable[[Reader, tuple[str, ...], Any], Any]
    generic: Callable[[Any], str]
    pretty: Callable[[Any], str]


def _list(values: tuple[int, ...]) -> str:
    return "[" + ", ".join(map(str, values)) + "]"


def _array(values: tuple[int, ...]) -> str:
    return "array<i64: " + ", ".join(map(str, values)) + ">" if values else "array<i64>"


_REQUIRED: Any = object()


def _get(method: str) -> Callable[[Reader, tuple[str, ...], Any], Any]:
    def get(o: Reader, names: tuple[str, ...], default: Any) -> Any:
        return getattr(o, method)(*names) if default is _REQUIRED else getattr(o, method)(*names, default=default)

    return get


def _bool(value: bool) -> str:
    return "true" if value else "false"


INT = Kind(_get("integer"), lambda v: f"{v} : i64", str)
INTS = Kind(_get("ints"), _array, _list)
BOOL = Kind(_get("flag"), _bool, _bool)
# One dimension where HLO has a list of one.
ONE = Kind(lambda o, names, default: (o.integer(*names),), lambda v: f"{v[0]} : i64", lambda v: str(v[0]))


def enum(name: str) -> Kind:
    """A word of the enumeration `name`."""
    return Kind(_get("word"), lambda v: f"#stablehlo<{name} {v}>", str)


@dataclass(frozen=True)
class Attribute:
    """An attribute: StableHLO's name, HLO's name, how it is written, the pretty form's word, the default."""

    name: str
    hlo: str
    kind: Kind
    word: str = ""
    default: Any = _REQUIRED


@dataclass(frozen=True)
class Row:
    """One operation.

    Attributes:
      name: without dialect.
      opcode: the HLO opcode it is written from; empty where it is only read.
      attrs: attributes that differ by name and form only.
      pretty: whether attributes are written in the pretty form, after the operands.
      reader: reads it; by default operands and attributes go to the opcode of the row as they are.
    """

    name: str
    opcode: str = ""
    attrs: tuple[Attribute, ...] = ()
    pretty: bool = True
    dialect: str = "stablehlo"
    reader: Callable[[Reader], Any] | None = None

    def read(self, o: Reader) -> Any:
        """The HLO instruction, or instructions, of an operation."""
        if self.reader is not None:
            return self.reader(o)
        attrs = {a.hlo: a.kind.read(o, (a.name, a.word) if a.word else (a.name,), a.default) for a in self.attrs}
        return o.make(self.opcode, *read.arrays(o), **attrs)


ROWS: dict[str, Row] = {}


def _row(name: str, opcode: str = "", *attrs: Attribute, **rest: Any) -> None:
    if name in ROWS:
        raise AssertionError(f"operation {name} is declared twice")
    ROWS[name] = Row(name, opcode, attrs, **rest)


def _chlo(name: str, opcode: str = "", **rest: Any) -> None:
    _row(name, opcode, dialect="chlo", **rest)


# ---- elementwise

for _name in (
    "abs", "add", "and", "atan2", "ceil", "clamp", "complex", "divide", "floor", "imag", "is_finite", "multiply",
    "negate", "not", "or", "popcnt", "power", "real", "remainder", "round_nearest_afz", "round_nearest_even", "select",
    "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign", "subtract", "xor", "count_leading_zeros",
):  # fmt: skip
    _row(_name, _name.replace("_", "-"))
for _name in (
    "cosine", "exponential", "exponential_minus_one", "log", "log_plus_one", "logistic", "rsqrt", "sine", "sqrt",
    "tanh",
):  # fmt: skip
    _row(_name, _name.replace("_", "-"), reader=read.read_accurate(_name.replace("_", "-")))
_row("tan", "tan", reader=read.read_accurate("tan"))
_row("cbrt", "cbrt", reader=read.read_cbrt)
_row("maximum", "maximum", reader=read.read_extreme)
_row("minimum", "minimum", reader=read.read_extreme)
_row("compare", "compare", reader=read.read_compare)
_row("convert", "convert", reader=read.read_convert)
_row("bitcast_convert", "bitcast-convert", reader=read.read_bitcast_convert)
_row("reduce_precision", "reduce-precision", reader=read.read_reduce_precision)

# ---- constants and movement

_row("constant", "constant", reader=read.read_constant)
_row("iota", "iota", reader=read.read_iota)
_row("dynamic_iota", reader=read.read_dynamic_iota)
_row("broadcast_in_dim", "broadcast", reader=read.read_broadcast_in_dim)
_row("dynamic_broadcast_in_dim", reader=read.read_broadcast_in_dim)
_row("broadcast", reader=read.read_broadcast)
_row("reshape", "reshape", reader=read.read_reshape)
_row("dynamic_reshape", reader=read.read_reshape)
_row("transpose", "transpose", Attribute("permutation", "dimensions", INTS, "dims"))
_row("reverse", "reverse", Attribute("dimensions", "dimensions", INTS, "dims"))
_row("concatenate", "concatenate", Attribute("dimension", "dimensions", ONE, "dim"))
_row("slice", "slice", reader=read.read_slice)
_row("real_dynamic_slice", reader=read.read_real_dynamic_slice)
_row("pad", "pad", reader=read.read_pad)
_row("dynamic_pad", reader=read.read_dynamic_pad)
_row("dynamic_slice", "dynamic-slice", reader=read.read_dynamic_slice)
_row("dynamic_update_slice", "dynamic-update-slice")
_row("gather", "gather", reader=read.read_gather)
_row("dynamic_gather", reader=read.read_gather)
_row("scatter", "scatter", reader=read.read_scatter)
_row("get_dimension_size", reader=read.read_get_dimension_size)
_row("set_dimension_size", reader=read.read_set_dimension_size)

# ---- contractions and linear algebra

_row("dot_general", "dot", reader=read.read_dot_general)
_row("dot", reader=read.read_dot)
_row("einsum", reader=read.read_einsum)
_row("convolution", "convolution", reader=read.read_convolution)
_row("dynamic_conv", reader=read.read_convolution)
_row("cholesky", "cholesky", Attribute("lower", "lower", BOOL, default=False), pretty=False)
_row("triangular_solve", "triangular-solve", reader=read.read_triangular_solve)
_row(
    "fft",
    "fft",
    Attribute("fft_type", "fft_type", enum("fft_type"), "type"),
    Attribute("fft_length", "fft_length", INTS, "length"),
)
for _name in ("batch_norm_training", "batch_norm_inference", "batch_norm_grad"):
    _row(_name, _name.replace("_", "-"), reader=control.read_batch_norm)

# ---- reductions, sorting, control flow

_row("reduce", "reduce", reader=read.read_reduce)
_row("reduce_window", "reduce-window", reader=read.read_reduce_window)
_row("select_and_scatter", "select-and-scatter", reader=read.read_select_and_scatter)
_row("map", "map", reader=read.read_map)
_row("sort", "sort", reader=read.read_sort)
_row("while", "while", reader=control.read_while)
_row("case", "conditional", reader=control.read_case)
_row("if", reader=control.read_case)
_row("call", "call", reader=control.read_call, dialect="")
_row("func.call", reader=control.read_call, dialect="")
_row("composite", reader=control.read_call)

# ---- tuples, tokens, the outside

_row("tuple", "tuple", reader=control.read_tuple)
_row("get_tuple_element", "get-tuple-element", reader=control.read_get_tuple_element)
_row("optimization_barrier", "opt-barrier", reader=control.read_barrier)
_row("create_token", reader=control.read_token)
_row("after_all", "after-all", reader=control.read_token)
_row("rng", "rng", reader=control.read_rng)
_row("rng_bit_generator", "rng-bit-generator", reader=control.read_rng_bit_generator)
_row("custom_call", "custom-call", reader=control.read_custom_call)
_row("partition_id", "partition-id", reader=control.read_device_id)
_row("replica_id", "replica-id", reader=control.read_device_id)
for _name in ("all_reduce", "all_gather", "all_to_all", "reduce_scatter", "collective_permute", "collective_broadcast"):
    _row(_name, _name.replace("_", "-"), reader=control.read_collective)
_row("sharding_constraint", reader=control.read_identity, dialect="sdy")
for _name in ("infeed", "outfeed", "send", "recv", "async_start", "async_done"):
    _row(_name, reader=control.refuse("programs that talk to a host while they run are not supported"))
for _name in ("uniform_quantize", "uniform_dequantize"):
    _row(_name, reader=control.refuse("quantised types are not supported; dequantise the program first"))
for _name in ("unary_einsum", "torch_index_select", "cross-replica-sum", "trace"):
    _row(
        _name,
        reader=control.refuse("it was removed from StableHLO; write it with other operations"),
    )

# ---- client functions

_chlo("erf", "erf", reader=read.read_accurate("erf"))
_chlo("top_k", "topk", reader=read.read_top_k)
for _name in ("acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh", "mulhi"):
    _chlo(_name, _name, reader=read.read_client)
for _name in sorted(set(read.chlo.FUNCTIONS) - set(ROWS)):
    _chlo(_name, reader=read.read_client)
_chlo("constant_like", reader=read.read_constant_like)
_chlo("scan", reader=control.read_scan)
_chlo("ragged_dot", reader=control.read_ragged_dot)
for _name in (
    "add", "and", "atan2", "compare", "complex", "divide", "maximum", "minimum", "multiply", "next_after", "or",
    "polygamma", "power", "remainder", "select", "shift_left", "shift_right_arithmetic", "shift_right_logical",
    "subtract", "xor", "zeta",
):  # fmt: skip
    _chlo(f"broadcast_{_name}", reader=read.read_broadcasting)

# HLO opcode to the row that writes it.
BY_OPCODE: dict[str, Row] = {row.opcode: row for row in ROWS.values() if row.opcode}
