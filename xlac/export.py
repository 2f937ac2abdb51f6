"""`xlac.export`: traced functions as bytes, to be called by another process, with the names of `jax.export`.

The bytes are xlac's own: a line that tells the format, a line of JSON with names and nesting, and the program in
StableHLO. Reading them runs no code of theirs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from xlac import tree
from xlac.errors import OptionError, ParseError
from xlac.frontend import trace
from xlac.frontend.jit import Jit
from xlac.frontend.stages import NUMBERS, ShapeDtypeStruct, leaf_array
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Module

__all__ = [
    "Exported",
    "default_export_platform",
    "deserialize",
    "export",
    "is_symbolic_dim",
    "register_namedtuple_serialization",
    "register_pytree_node_serialization",
]

_HEADER = b"xlac exported 1\n"

# Classes that containers in stored programs may be of -> their name, and their data as bytes and back.
_CLASSES: dict[type, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]] = {}

T = TypeVar("T", bound=type)


def default_export_platform() -> str:
    """ "cpu"."""
    return "cpu"


def is_symbolic_dim(p: Any) -> bool:
    """False: all extents are numbers."""
    return False


def register_pytree_node_serialization(
    nodetype: T,
    *,
    serialized_name: str,
    serialize_auxdata: Callable[[Any], bytes],
    deserialize_auxdata: Callable[[bytes], Any],
    from_children: Any = None,
) -> T:
    """Let containers of a class, which `xlac.tree_util` knows, be part of stored programs.

    Args:
      nodetype: the class.
      serialized_name: its name there; unique.
      serialize_auxdata, deserialize_auxdata: what belongs to the structure beside the children, as bytes and back.
      from_children: accepted as in JAX.
    Raises: ValueError if the class or the name is registered already.
    """
    if nodetype in _CLASSES or any(name == serialized_name for name, _, _ in _CLASSES.values()):
        raise ValueError(f"{nodetype.__name__} or the name {serialized_name!r} is registered already")
    _CLASSES[nodetype] = (serialized_name, serialize_auxdata, deserialize_auxdata)
    return nodetype


def register_namedtuple_serialization(nodetype: T, *, serialized_name: str) -> T:
    """As `register_pytree_node_serialization`, for a class of named tuples."""
    return register_pytree_node_serialization(
        nodetype, serialized_name=serialized_name, serialize_auxdata=lambda _: b"", deserialize_auxdata=lambda _: None
    )


@dataclass
class Exported:
    """A program with what it takes and gives.

    Attributes:
      fun_name: of the function.
      in_tree, out_tree: how arguments, as (args, kwargs), and results nest.
      in_avals, out_avals: shapes and dtypes of their leaves.
      module: the program.
    """

    fun_name: str
    in_tree: tree.Structure
    in_avals: tuple[ShapeDtypeStruct, ...]
    out_tree: tree.Structure
    out_avals: tuple[ShapeDtypeStruct, ...]
    module: Module
    platforms: tuple[str, ...] = ("cpu",)
    nr_devices: int = 1
    _executable: Any = field(default=None, repr=False)

    def mlir_module(self) -> str:
        """The program in StableHLO."""
        return self.module.to_string("stablehlo")

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, or make it part of the function that is traced.

        Rules of their own that functions in it had for derivatives are gone; `scan`s are loops without reverse mode.

        Raises:
          TraceError: nesting, shapes or types are others than it was exported for.
        """
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self.in_tree:
            raise trace.trace_error(
                f"{self.fun_name} was exported for arguments nested as {self.in_tree}; got {structure}"
            )
        traced = trace.current() is not None
        values = []
        for k, (leaf, aval) in enumerate(zip(leaves, self.in_avals)):
            if isinstance(leaf, NUMBERS) and not isinstance(leaf, np.generic):
                leaf = leaf_array(leaf, aval.dtype)
            value = lift(leaf) if traced else np.asarray(leaf)
            if (value.shape, value.dtype) != (aval.shape, aval.dtype):
                got = f"{value.dtype.name}{list(value.shape)}"
                raise trace.trace_error(
                    f"{self.fun_name} was exported for {aval.str_short()} as leaf {k} of the arguments; got {got}"
                )
            values.append(value)
        if traced:
            active = trace.active()
            mapping = {p: active.use(v) for p, v in zip(self.module.entry.parameters, values)}
            root = self.module.entry.root
            outputs = list(root.operands) if root.opcode.name == "tuple" else [root]
            return tree.unflatten(self.out_tree, [Tracer(active, x) for x in trace.replay(outputs, mapping)])
        if self._executable is None:
            from xlac.compiler import compile_module

            self._executable = compile_module(self.module)
        return tree.unflatten(self.out_tree, self._executable.run(values))

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """The program as bytes, for `deserialize`.

        Raises:
          OptionError: `vjp_order` is not 0, or a container's class has no name for storage.
        """
        if vjp_order:
            raise OptionError(
                f"serialize: vjp_order is {vjp_order}; derivatives are not stored, xlac.vjp(exported.call, ...) makes "
                "them"
            )
        about = {
            "fun_name": self.fun_name,
            "in_tree": _to_json(self.in_tree),
            "out_tree": _to_json(self.out_tree),
        }
        text = self.mlir_module()
        return bytearray(_HEADER + json.dumps(about).encode() + b"\n" + text.encode())


def export(
    fun_jit: Jit, *, platforms: Sequence[str] | None = None, disabled_checks: Any = ()
) -> Callable[..., Exported]:
    """A function that gives a jitted function as an `Exported`, for arguments or `ShapeDtypeStruct`s in their place.

    Args:
      fun_jit: what `xlac.jit` gave.
      platforms: ("cpu",) if given.
      disabled_checks: accepted as in JAX.
    Raises: OptionError if `fun_jit` is no jitted function, or a platform is another.

    >>> exported = xlac.export.export(xlac.jit(lambda x: x + 1))(xlac.ShapeDtypeStruct((2,), np.float32))
    >>> again = xlac.export.deserialize(exported.serialize())
    >>> again.call(np.zeros(2, np.float32))
    array([1., 1.], dtype=float32)
    """
    if not isinstance(fun_jit, Jit):
        raise OptionError(f"export takes a jitted function, got {fun_jit!r}; use xlac.jit")
    if platforms is not None and set(platforms) != {"cpu"}:
        raise OptionError(f"export: platforms is {tuple(platforms)}; it must be ('cpu',)")

    def make(*args: Any, **kwargs: Any) -> Exported:
        lowered = fun_jit.lower(*args, **kwargs)
        traced = lowered.traced
        return Exported(
            traced.fun_name,
            lowered.in_tree,  # type: ignore[arg-type]
            tuple(traced.in_avals),
            traced.out_tree,
            tuple(traced.out_avals),
            lowered.module,
        )

    return make


def deserialize(blob: bytes | bytearray) -> Exported:
    """The program of bytes that `Exported.serialize` made.

    Raises:
      ParseError, VerifyError: the bytes are no such program.
    """
    from xlac.text.stablehlo_parser import parse_stablehlo

    data = bytes(blob)
    if not data.startswith(_HEADER):
        raise ParseError("these bytes are no exported program: they must begin with " + _HEADER.decode().strip())
    line, _, text = data[len(_HEADER) :].partition(b"\n")
    try:
        about = json.loads(line)
        name, trees = str(about["fun_name"]), [_from_json(about[key]) for key in ("in_tree", "out_tree")]
        program = text.decode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ParseError(f"an exported program is damaged: {error}") from None
    module = parse_stablehlo(program)
    shapes = [
        [s for x in group for s in trace.flat_shapes(x)] for group in (module.parameter_shapes, [module.entry.shape])
    ]
    if [t.num_leaves for t in trees] != [len(s) for s in shapes]:
        raise ParseError("an exported program is damaged: its nesting has other numbers of leaves than its program")
    avals = [tuple(ShapeDtypeStruct(s.dims, s.dtype) for s in group) for group in shapes]
    return Exported(name, trees[0], avals[0], trees[1], avals[1], module)


# ---- nesting as JSON


def _to_json(structure: tree.Structure) -> Any:
    """A leaf as "*", None as null, a container as [kind, data, child, ...]."""
    if structure == tree.LEAF:
        return "*"
    if structure == tree.NONE:
        return None
    parts = [_to_json(p) for p in structure.parts]
    kind = structure.kind
    if kind in (tuple, list):
        return [kind.__name__, None, *parts]
    if kind is dict and all(isinstance(k, str) for k in structure.data):
        return ["dict", list(structure.data), *parts]
    if kind in _CLASSES:
        name, pack, _ = _CLASSES[kind]
        return ["class", [name, bytes(pack(structure.data)).hex()], *parts]
    raise OptionError(
        f"serialize: a container is of the class {getattr(kind, '__name__', kind)}; tuples, lists, dictionaries of "
        "strings and classes given to xlac.export.register_pytree_node_serialization can be stored"
    )


def _from_json(value: Any) -> tree.Structure:
    if value == "*":
        return tree.LEAF
    if value is None:
        return tree.NONE
    kind, data, *parts = value
    children = tuple(_from_json(p) for p in parts)
    if kind in ("tuple", "list"):
        return tree.Structure(tuple if kind == "tuple" else list, None, children)
    if kind == "dict":
        keys = tuple(str(k) for k in data)
        if list(keys) != sorted(set(keys)) or len(keys) != len(children):
            raise ValueError("the keys of a dictionary do not fit")
        return tree.Structure(dict, keys, children)
    for cls, (name, _, unpack) in _CLASSES.items():
        if kind == "class" and name == data[0]:
            return tree.Structure(cls, unpack(bytes.fromhex(data[1])), children)
    raise ValueError(f"there is no container {data[0] if kind == 'class' else kind!r}")
