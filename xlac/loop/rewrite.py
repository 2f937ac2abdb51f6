"""Rewriting of statements by a map of indices, and the merging of loops that it makes possible."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from xlac.ir.shape import PRED
from xlac.loop.ir import (
    Accumulate,
    Apply,
    Assign,
    Buffer,
    Const,
    FloorDiv,
    For,
    FromIndex,
    FromValue,
    If,
    Index,
    InRange,
    Load,
    Loop,
    Mod,
    Statement,
    Store,
    Transpose,
    Value,
    Var,
    apply,
    from_index,
    in_range,
    index,
    load,
    operands_first,
    statement_values,
    statements,
)


def indices_of(body: Iterable[Statement]) -> set[Index]:
    """Every index in the statements, those inside other indices and values included."""
    found: set[Index] = set()
    seen: set[Value] = set()

    def visit_index(i: Index) -> None:
        if i in found:
            return
        found.add(i)
        for atom, _ in i.terms:
            if isinstance(atom, (FloorDiv, Mod)):
                visit_index(atom.index)
            elif isinstance(atom, FromValue):
                visit(atom.value)

    def visit(value: Value) -> None:
        stack = [value]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, Apply):
                stack.extend(node.args)
            elif isinstance(node, Load):
                visit_index(node.index)
                if node.guard is not None:
                    stack.append(node.guard)
            elif isinstance(node, (FromIndex, InRange)):
                visit_index(node.index)

    for statement in statements(body):
        if isinstance(statement, Store):
            visit_index(statement.index)
        for value in statement_values(statement):
            visit(value)
    return found


class Rewriter:
    """Rebuilds statements with every index's terms changed by a function, and the values in `known` replaced; loads
    for which `guard` gives a condition are made under it, and `buffer` gives the buffer that takes another's place."""

    def __init__(
        self,
        change: Callable[[Index], Index],
        known: Mapping[Value, Value] | None = None,
        guard: Callable[[Load], Value | None] = lambda _: None,
        buffer: Callable[[Buffer], Buffer] = lambda b: b,
    ) -> None:
        self._change, self._guard, self._buffer = change, guard, buffer
        self._indices: dict[Index, Index] = {}
        self._values: dict[Value, Value] = dict(known or {})

    def index(self, i: Index) -> Index:
        found = self._indices.get(i)
        if found is None:
            terms = []
            for atom, coefficient in i.terms:
                if isinstance(atom, FloorDiv):
                    atom = FloorDiv(self.index(atom.index), atom.divisor)
                elif isinstance(atom, Mod):
                    atom = Mod(self.index(atom.index), atom.divisor)
                elif isinstance(atom, FromValue):
                    atom = FromValue(self.value(atom.value), atom.low, atom.high)
                terms.append((atom, coefficient))
            found = self._indices[i] = self._change(Index(i.const, tuple(terms)))
        return found

    def value(self, value: Value) -> Value:
        for node in operands_first(value, self._values):
            self._values[node] = self._rebuilt(node)
        return self._values[value]

    def _rebuilt(self, value: Value) -> Value:
        """A value whose operands have been rewritten."""
        result: Value | None = value
        if isinstance(value, Apply):
            args = [self.value(a) for a in value.args]
            result = _decided(value.opcode, args)
            if result is None:
                result = apply(value.opcode, value.element_type, *args, **dict(value.attrs))
        elif isinstance(value, Load):
            conditions = [self._guard(value), None if value.guard is None else self.value(value.guard)]
            known = [c for c in conditions if c is not None]
            guard = apply("and", PRED, *known) if len(known) == 2 else known[0] if known else None
            result = load(self._buffer(value.buffer), self.index(value.index), guard)
        elif isinstance(value, FromIndex):
            result = from_index(self.index(value.index), value.element_type)
        elif isinstance(value, InRange):
            result = in_range(self.index(value.index), value.low, value.high)
        return result

    def body(self, body: Iterable[Statement]) -> list[Statement]:
        return [self.statement(s) for s in body]

    def statement(self, s: Statement) -> Statement:
        if isinstance(s, For):
            return For(s.var, self.body(s.body), s.kind, s.width)
        if isinstance(s, Store):
            guard = None if s.guard is None else self.value(s.guard)
            return Store(self._buffer(s.buffer), self.index(s.index), self.value(s.value), guard)
        if isinstance(s, Assign):
            return Assign(s.register, self.value(s.value))
        if isinstance(s, Accumulate):
            factor = None if s.factor is None else self.value(s.factor)
            return Accumulate(s.register, s.opcode, self.value(s.value), factor)
        if isinstance(s, If):
            return If(self.value(s.condition), self.body(s.body), self.body(s.otherwise))
        if isinstance(s, Transpose):
            return s
        assert isinstance(s, Loop)
        return Loop(self.value(s.condition), self.body(s.body))


def _decided(opcode: str, args: Sequence[Value]) -> Value | None:
    """One of the operands, where constant conditions among them decide that it is the result."""
    if opcode == "select" and isinstance(args[0], Const):
        return args[1] if args[0].number else args[2]
    if opcode in ("and", "or") and args[0].element_type is PRED:
        for i, a in enumerate(args):
            if isinstance(a, Const):
                return args[1 - i] if bool(a.number) == (opcode == "and") else a
    return None


# Steps that loops over elements with divided indices are taken in.
PHASES = (2, 4)


def split_phases(variables: Sequence[Var], body: list[Statement]) -> tuple[list[Var], list[Statement]]:
    """for i < P*n: out[i] = f(i // P, i % P)  ->  for j < n: out[P*j] = f(j, 0); ... out[P*j + P-1] = f(j, P-1)

    for the innermost variable, where a few phases P leave no division of it: conditions on remainders are decided then
    and the elements of one phase lie at equal distances.
    """
    result = list(variables)
    if not result or not all(isinstance(s, Store) and not s.buffer.element_type.is_complex for s in body):
        return result, body
    inner = result[-1]
    found = [i for i in indices_of(body) if _divides(i, inner)]
    if not found or any(s.index.coefficient(inner) != 1 for s in body if isinstance(s, Store)):
        return result, body
    for phases in PHASES:
        if inner.extent % phases or inner.extent // phases < 4:
            break
        j = Var(inner.name, inner.extent // phases)
        rewriters = [Rewriter(functools.partial(_at_phase, inner, j, phases, p)) for p in range(phases)]
        if any(_divides(r.index(i), j) for r in rewriters for i in found):
            continue
        return [*result[:-1], j], [s for r in rewriters for s in r.body(body)]
    return result, body


def _divides(i: Index, variable: Var) -> bool:
    """Whether an index has a division of what depends on the variable."""
    return any(isinstance(a, (FloorDiv, Mod)) and variable in a.index.variables for a, _ in i.terms)


def _at_phase(variable: Var, j: Var, phases: int, phase: int, i: Index) -> Index:
    """An index with j * phases + phase in place of the variable, and the divisions that this decides."""
    result = Index(i.const)
    for atom, factor in i.terms:
        if atom is variable:
            part = index(j) * phases + phase
        elif isinstance(atom, FloorDiv):
            part = atom.index.floordiv(atom.divisor)
        elif isinstance(atom, Mod):
            part = atom.index.mod(atom.divisor)
        else:
            part = Index(0, ((atom, 1),))
        result = result + part * factor
    return result


def merge_loops(variables: Sequence[Var], body: list[Statement]) -> tuple[list[Var], list[Statement]]:
    """for u < A: for v < B: body(u, v)  ->  for w < A*B: body, where every index depends on u and v through u*B + v
    alone.

    `variables` are those of perfectly nested loops around `body`, outermost first; returns what remains of them.
    """
    result = list(variables)
    if len(result) < 2:
        return result, body
    found = indices_of(body)
    position = len(result) - 1
    while position > 0:
        outer, inner = result[position - 1], result[position]
        if all(i.coefficient(outer) == i.coefficient(inner) * inner.extent for i in found if i.variables):
            merged = Var(inner.name, outer.extent * inner.extent)

            def change(i: Index, outer: Var = outer, inner: Var = inner, merged: Var = merged) -> Index:
                if not any(a is outer or a is inner for a, _ in i.terms):
                    return i
                return Index(i.const, tuple((merged if a is inner else a, c) for a, c in i.terms if a is not outer))

            body = Rewriter(change).body(body)
            found = indices_of(body)
            result[position - 1 : position + 1] = [merged]
        position -= 1
    return result, body
