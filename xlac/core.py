"""`xlac.core`: traced programs as `make_jaxpr` gives them, with the names that readers of JAX's jaxprs use.

A program here is a module of HLO: printing one gives its text, and an equation is an instruction, whose primitive has
the name of the opcode and whose parameters are its attributes; loops' bodies and branches are programs among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from xlac import tree
from xlac.api import ensure_compile_time_eval
from xlac.errors import OptionError
from xlac.frontend import trace
from xlac.frontend.jit import run_once
from xlac.frontend.stages import ShapeDtypeStruct as ShapedArray
from xlac.frontend.stages import leaf_signature, trace_program
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.shape import ArrayShape, TupleShape

__all__ = [
    "ClosedJaxpr",
    "Jaxpr",
    "JaxprEqn",
    "Literal",
    "Primitive",
    "ShapedArray",
    "Tracer",
    "Var",
    "ensure_compile_time_eval",
    "eval_jaxpr",
    "jaxpr_as_fun",
    "make_jaxpr",
]


@dataclass(frozen=True)
class Primitive:
    """What an equation does: an opcode, by name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Var:
    """The result of an instruction."""

    instruction: Instruction

    @property
    def aval(self) -> Any:
        """Shape and dtype; a tuple of them for a tuple."""
        return _aval(self.instruction.shape)

    def __repr__(self) -> str:
        return f"{self.instruction.name}:{self.instruction.shape}"


class Literal(Var):
    """A constant of the program."""

    @property
    def val(self) -> Any:
        return self.instruction["literal"]


@dataclass(frozen=True)
class JaxprEqn:
    """One instruction: its operands, its result, its opcode and attributes."""

    invars: list[Var]
    outvars: list[Var]
    primitive: Primitive
    params: dict[str, Any]


def _aval(shape: Any) -> Any:
    if isinstance(shape, ArrayShape):
        return ShapedArray(shape.dims, shape.dtype)
    return tuple(map(_aval, shape)) if isinstance(shape, TupleShape) else shape


def _var(instruction: Instruction) -> Var:
    return Literal(instruction) if instruction.opcode.name == "constant" else Var(instruction)


def _param(value: Any) -> Any:
    if isinstance(value, Computation):
        return Jaxpr(value)
    return tuple(map(_param, value)) if isinstance(value, tuple) else value


class Jaxpr:
    """A computation: parameters, instructions in an order in which they can run, results.

    Attributes:
      invars, outvars, eqns: as of JAX's.
      constvars: parameters that stand for arrays from outside.
    """

    def __init__(self, computation: Computation, constants: int = 0) -> None:
        self.computation = computation
        parameters = [Var(p) for p in computation.parameters]
        split = len(parameters) - constants
        self.invars, self.constvars = parameters[:split], parameters[split:]
        root = computation.root
        bundled = root.opcode.name == "tuple"
        self.outvars = [_var(x) for x in root.operands] if bundled else [_var(root)]
        self.eqns = [
            JaxprEqn(
                [_var(y) for y in x.operands],
                [Var(x)],
                Primitive(x.opcode.name),
                {name: _param(v) for name, v in x.attrs.items()},
            )
            for x in computation.post_order()
            if x.opcode.name not in ("parameter", "constant") and not (bundled and x is root)
        ]

    def __repr__(self) -> str:
        return _text(Module(self.computation.name, self.computation))


class ClosedJaxpr:
    """A traced program and the arrays that it read from outside.

    Attributes:
      jaxpr: the program, with a parameter at the end for each of these arrays.
      consts: the arrays.
      module: the program as HLO.
    """

    def __init__(self, module: Module, consts: Sequence[Any]) -> None:
        self.module, self.consts = module, list(consts)
        self.jaxpr = Jaxpr(module.entry, len(self.consts))

    literals = property(lambda self: self.consts)
    eqns = property(lambda self: self.jaxpr.eqns)
    in_avals = property(lambda self: [v.aval for v in self.jaxpr.invars])
    out_avals = property(lambda self: [v.aval for v in self.jaxpr.outvars])

    def __repr__(self) -> str:
        return _text(self.module)


def _text(module: Module) -> str:
    """A module without the places its instructions come from."""
    copy = module.clone()
    for computation in copy.computations:
        for instruction in computation:
            instruction.metadata = None
    return copy.to_string()


def eval_jaxpr(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any) -> list[Any]:
    """The results of a program for arrays: run, or made part of the function that is traced.

    Rules of their own that functions in it had for derivatives are gone; `scan`s are loops without reverse mode.

    Raises:
      TraceError: there is another number of arguments than of parameters.
    """
    if len(args) != len(jaxpr.invars):
        raise trace.trace_error(f"eval_jaxpr: {len(args)} arguments for {len(jaxpr.invars)} parameters")
    if trace.current() is None:
        return run_once(lambda *given: eval_jaxpr(jaxpr, consts, *given), jaxpr.computation.name, args)
    active = trace.active()
    parameters = [v.instruction for v in (*jaxpr.invars, *jaxpr.constvars)]
    mapping = {p: active.use(trace.lift(x)) for p, x in zip(parameters, (*args, *consts))}
    return [Tracer(active, x) for x in trace.replay([v.instruction for v in jaxpr.outvars], mapping)]


def jaxpr_as_fun(closed_jaxpr: ClosedJaxpr) -> Callable[..., list[Any]]:
    """A program as a function of arrays that gives the list of its results."""
    return lambda *args: eval_jaxpr(closed_jaxpr.jaxpr, closed_jaxpr.consts, *args)


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Iterable[int] = (),
    axis_env: Any = None,
    return_shape: bool = False,
) -> Callable[..., Any]:
    """A function that gives the program which `fun` is traced to for given arguments, as a `ClosedJaxpr`.

    It prints as HLO, before all optimisation; see `xlac.core` for its parts. `xlac.make_hlo` gives the module alone.

    Args:
      fun: a function of arrays and containers of them; arguments may be `ShapeDtypeStruct`s.
      static_argnums: positions of arguments that are no arrays.
      axis_env: None; names of axes come from `vmap`.
      return_shape: give a pair with the shapes and dtypes of the results, nested as they are.

    >>> program = xlac.make_jaxpr(lambda x: x + 1)(np.float32(0))
    >>> [str(eqn.primitive) for eqn in program.eqns], program.out_avals
    (['add'], [ShapeDtypeStruct(shape=(), dtype=float32)])
    """
    if axis_env:
        raise OptionError(f"make_jaxpr: axis_env is {axis_env!r}; names come from vmap(..., axis_name=...)")
    fixed = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
    name = trace.name_of(fun)

    def make(*args: Any, **kwargs: Any) -> Any:
        still = {n % len(args) for n in fixed} if args else set()
        leaves, structure = tree.flatten(([None if n in still else a for n, a in enumerate(args)], kwargs))

        def run(parameters: list[Tracer]) -> Any:
            given, named = tree.unflatten(structure, parameters)
            return fun(*(args[n] if n in still else a for n, a in enumerate(given)), **named)

        signatures = [
            (x.shape, x.dtype, x.weak_type) if isinstance(x, Tracer) else leaf_signature(x, f"{n} of {name}")
            for n, x in enumerate(leaves)
        ]
        traced = trace_program(run, name, signatures, lift_constants=True, place=trace.place_of(fun))
        made = ClosedJaxpr(traced.module, traced.lifted)
        return (made, traced.out_info) if return_shape else made

    return make
