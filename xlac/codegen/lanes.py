"""Values with arithmetic operators, so that formulas over FunctionEmitter values read as formulas."""

from __future__ import annotations

from collections.abc import Sequence

from xlac.codegen.emit import FunctionEmitter, Value, integer, is_float, with_scalar


class Lanes:
    """A value with operators. Numbers in an expression become constants of the other operand's type.

    Comparisons are ordered, and signed for integers; they give lanes of i1. >> keeps the sign.
    """

    __slots__ = ("e", "v", "type", "float")

    def __init__(self, e: FunctionEmitter, v: Value) -> None:
        self.e, self.v, self.type = e, v, v.type
        self.float = is_float(v.type)

    def lift(self, x: Lanes | float) -> Value:
        return x.v if isinstance(x, Lanes) else self.e.const(self.type, x)

    def like(self, number: float) -> Lanes:
        return Lanes(self.e, self.e.const(self.type, number))

    @property
    def bits(self) -> Lanes:
        return Lanes(self.e, self.e.bitcast(self.v, integer(self.type)))

    def as_float(self, type: str) -> Lanes:
        return Lanes(self.e, self.e.bitcast(self.v, type))

    def cast(self, op: str, element: str) -> Lanes:
        return Lanes(self.e, self.e.cast(op, self.v, with_scalar(self.type, element)))

    def call(self, name: str, *args: Lanes | float) -> Lanes:
        return Lanes(self.e, self.e.intrinsic(name, self.type, self.v, *map(self.lift, args)))

    def _binary(self, float_op: str, int_op: str, a: Value, b: Value) -> Lanes:
        return Lanes(self.e, getattr(self.e, float_op if self.float else int_op)(a, b))

    def __add__(self, x: Lanes | float) -> Lanes:
        return self._binary("fadd", "add", self.v, self.lift(x))

    def __radd__(self, x: float) -> Lanes:
        return self._binary("fadd", "add", self.lift(x), self.v)

    def __sub__(self, x: Lanes | float) -> Lanes:
        return self._binary("fsub", "sub", self.v, self.lift(x))

    def __rsub__(self, x: float) -> Lanes:
        return self._binary("fsub", "sub", self.lift(x), self.v)

    def __mul__(self, x: Lanes | float) -> Lanes:
        return self._binary("fmul", "mul", self.v, self.lift(x))

    def __rmul__(self, x: float) -> Lanes:
        return self._binary("fmul", "mul", self.lift(x), self.v)

    def __truediv__(self, x: Lanes | float) -> Lanes:
        return Lanes(self.e, self.e.fdiv(self.v, self.lift(x)))

    def __rtruediv__(self, x: float) -> Lanes:
        return Lanes(self.e, self.e.fdiv(self.lift(x), self.v))

    def __neg__(self) -> Lanes:
        return Lanes(self.e, self.e.fneg(self.v)) if self.float else 0 - self

    def __and__(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.and_(self.v, self.lift(x)))

    def __or__(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.or_(self.v, self.lift(x)))

    def __xor__(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.xor(self.v, self.lift(x)))

    def __invert__(self) -> Lanes:
        return Lanes(self.e, self.e.not_(self.v))

    def __lshift__(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.shl(self.v, self.lift(x)))

    def __rshift__(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.ashr(self.v, self.lift(x)))

    def shift_right_logical(self, x: Lanes | int) -> Lanes:
        return Lanes(self.e, self.e.lshr(self.v, self.lift(x)))

    def compare(self, predicate: str, x: Lanes | float) -> Lanes:
        """By lt, le, gt, ge, eq or ne, ordered or signed, or by an fcmp predicate of three letters."""
        if self.float:
            return Lanes(
                self.e, self.e.fcmp(predicate if len(predicate) == 3 else "o" + predicate, self.v, self.lift(x))
            )
        signed = predicate if predicate in ("eq", "ne") else "s" + predicate
        return Lanes(self.e, self.e.icmp(signed, self.v, self.lift(x)))

    def __lt__(self, x: Lanes | float) -> Lanes:
        return self.compare("lt", x)

    def __le__(self, x: Lanes | float) -> Lanes:
        return self.compare("le", x)

    def __gt__(self, x: Lanes | float) -> Lanes:
        return self.compare("gt", x)

    def __ge__(self, x: Lanes | float) -> Lanes:
        return self.compare("ge", x)

    def eq(self, x: Lanes | float) -> Lanes:
        return self.compare("eq", x)

    def ne(self, x: Lanes | float) -> Lanes:
        """Not equal; true for a NaN."""
        return self.compare("une" if self.float else "ne", x)

    def is_nan(self) -> Lanes:
        return self.compare("uno", self)

    def not_less(self, x: Lanes | float) -> Lanes:
        """Greater, equal or NaN."""
        return self.compare("uge", x)

    def abs(self) -> Lanes:
        return self.call("fabs")

    def with_sign_of(self, x: Lanes) -> Lanes:
        return self.call("copysign", x)

    def at_most(self, x: float) -> Lanes:
        """The lesser of both; NaN stays."""
        return select(self > x, x, self)

    def at_least(self, x: float) -> Lanes:
        """The greater of both; NaN stays."""
        return select(self < x, x, self)

    def negative_if(self, condition: Lanes) -> Lanes:
        return select(condition, -self, self)


def select(condition: Lanes, a: Lanes | float, b: Lanes | float) -> Lanes:
    like = a if isinstance(a, Lanes) else b
    assert isinstance(like, Lanes)
    return Lanes(like.e, like.e.select(condition.v, like.lift(a), like.lift(b)))


def fma(a: Lanes | float, b: Lanes | float, c: Lanes | float) -> Lanes:
    """a * b + c, rounded once."""
    like = a if isinstance(a, Lanes) else b if isinstance(b, Lanes) else c
    assert isinstance(like, Lanes)
    return Lanes(like.e, like.e.fma(like.lift(a), like.lift(b), like.lift(c)))


def polynomial(x: Lanes, coefficients: Sequence[float]) -> Lanes:
    """Horner's scheme; coefficients from low to high order."""
    result: Lanes | float = coefficients[-1]
    for c in coefficients[-2::-1]:
        result = fma(result, x, c)
    assert isinstance(result, Lanes)
    return result
