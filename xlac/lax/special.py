"""Error and gamma functions, each several opcodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from xlac.frontend import dtypes, trace
from xlac.frontend.eager import Array, ArrayLike
from xlac.frontend.trace import Note, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax._core import Declared
from xlac.lax.elementwise import exp, mul, ne, select

__all__: list[str] = []
public = Declared(__name__, __all__).public


def _expanded(name: str, operand: ArrayLike) -> Tracer:
    """A function of CHLO, which is several opcodes, of an array of floats."""
    from xlac.text.chlo import FUNCTIONS, Value

    x = lift(operand)
    if not dtypes.is_float(x.dtype):
        raise shape_error(f"{name}: the operand is of type {x.dtype.name}; it must be a float")
    active = trace.active()
    result = FUNCTIONS[name](Value(active.use(x))).instruction
    stack = [result]
    while stack:
        missing = [i for i in stack[-1].operands if i.parent is None]
        if missing:
            stack += missing
        elif stack[-1].parent is None:
            active.add(stack.pop())
        else:
            stack.pop()
    return Tracer(active, result, x.weak_type)


def _with_slope(x: Tracer, y: Tracer, slope: Callable[[Tracer, Tracer], Tracer]) -> Tracer:
    """y, a function of x that is NaN where x is, with the derivative `slope(x, y)` in place of that of its opcodes."""
    result = select(ne(x, x), x, y)

    def vjp(instruction: Any, g: Any, needed: Any) -> list[Any]:
        owner = trace.active()
        given, made = Tracer(owner, instruction.operands[1]), Tracer(owner, instruction)
        return [None, lambda: mul(g, slope(given, made)), None]

    result._trace.session.notes[result._instruction] = Note(vjp)
    return result


@public
def erf_inv(x: ArrayLike) -> Array:
    """Inverse of the error function: infinite at -1 and 1, NaN beyond."""
    x = lift(x)
    return _with_slope(x, _expanded("erf_inv", x), lambda x, y: mul(math.sqrt(math.pi) / 2, exp(mul(y, y))))


@public
def erfc(x: ArrayLike) -> Array:
    """1 - erf(x), without cancellation for large x."""
    x = lift(x)
    return _with_slope(x, _expanded("erfc", x), lambda x, y: mul(-2 / math.sqrt(math.pi), exp(mul(x, -x))))


@public
def digamma(x: ArrayLike) -> Array:
    """Derivative of the logarithm of the gamma function."""
    return _expanded("digamma", x)


@public
def lgamma(x: ArrayLike) -> Array:
    """Logarithm of the absolute value of the gamma function."""
    x = lift(x)
    return _with_slope(x, _expanded("lgamma", x), lambda x, y: digamma(x))
