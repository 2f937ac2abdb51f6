"""Functions given by an equation: `custom_linear_solve`, `custom_root`, with implicit derivatives.

A solver's call is recorded with a note that has the equation and the solvers as flat functions of the values they read
and of their arguments, so that a derivative is one more solve, whatever the solver is made of.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.eager import program_function
from xlac.frontend.trace import emit, lift
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.lax.elementwise import neg, sub

__all__ = ["custom_linear_solve", "custom_root"]

# Of flat lists: the values that a function reads, its arguments -> its results.
Flat = Callable[..., "list[Any]"]


def _structured(what: str, found: Any, like: tree.Structure, leaves: Sequence[Any]) -> list[Tracer]:
    """A solution's leaves.

    Raises:
      TraceError: it is nested otherwise than the right-hand side, or a leaf has another shape or type.
    """
    parts, structure = tree.flatten(found)
    if structure != like:
        raise trace.trace_error(f"{what} is nested as {structure}; it must be nested as {like}")
    values = [lift(p) for p in parts]
    for v, x in zip(values, leaves):
        if v.shape != x.shape or (v.dtype != x.dtype and not v.weak_type):
            raise trace.trace_error(f"{what} holds {v._instruction.shape}; it must be {x._instruction.shape}")
    return [v if v.dtype == x.dtype else v.astype(x.dtype) for v, x in zip(values, leaves)]


class _Recorder:
    """Records functions of flat lists of arrays, and what all of them read from the surrounding trace."""

    def __init__(self) -> None:
        self.regions: list[trace.Region] = []

    def record(self, name: str, function: Callable[[list[Tracer]], Sequence[Any]], like: Sequence[Tracer]) -> None:
        specs = [(x._instruction.shape, False) for x in like]
        self.regions.append(trace.record_region(name, function, specs, lambda leaves: (leaves,)))

    def finished(self) -> tuple[list[Tracer], list[Flat]]:
        """The values read, and the functions of lists of stand-ins for them and of arguments."""
        read = list(dict.fromkeys(c for r in self.regions for c in r.captured))

        def flat(region: trace.Region) -> Flat:
            def call(*given: Any) -> list[Any]:
                active = trace.active()
                known = dict(zip(read, given))
                mapping = {p: active.use(lift(x)) for p, x in zip(region.inputs, given[len(read) :])}
                mapping |= {inner: active.use(lift(known[o])) for o, inner in region.trace.captures.items()}
                return [Tracer(active, i) for i in trace.replay(region.outputs, mapping)]

            return call

        active = trace.active()
        return [Tracer(active, c) for c in read], [flat(r) for r in self.regions]


def _slopes(function: Flat, consts: Sequence[Tracer], x: Sequence[Tracer], tangents: Sequence[Any]) -> list[Any]:
    """The tangents of `function(*consts, *x)` from those of consts; None is zero."""
    from xlac.frontend.forward import forward

    active = trace.active()
    copies = [emit(op.copy, c) for c in consts]
    seeds = {active.use(c): t for c, t in zip(copies, tangents) if t is not None}
    if not seeds:
        return [None] * len(x)
    return forward([active.use(r) for r in function(*copies, *x)], seeds, redirect=False)


@dataclass
class _Solved:
    """What the notes of both kinds share.

    Attributes:
      solve: of consts and the right-hand side (or guess): the solution and further results.
      count: how many arrays the solution has; the call's first operands are as many, the others are consts.
      name: for messages.
    """

    solve: Flat
    count: int
    name: str

    def emit(self, right: Sequence[Tracer], consts: Sequence[Tracer]) -> list[Tracer]:
        """Record a call with this note; its operands are `right` and consts."""
        from xlac.frontend.custom import emit_call

        arguments = [*right, *consts]
        n = self.count
        shapes = [trace.active().use(a).shape for a in arguments]
        return emit_call(self.name, shapes, lambda p: self.solve(*p[n:], *p[:n]), arguments, self)

    def parts(self, instruction: Instruction) -> tuple[list[Tracer], list[Tracer], list[Tracer]]:
        """(operands before consts, consts, solution) of a call."""
        active = trace.active()
        operands = [Tracer(active, x) for x in instruction.operands]
        return operands[: self.count], operands[self.count :], trace.elements(instruction)[: self.count]

    def _for_all(self, size: int, axes: Sequence[int | None]) -> _Solved:
        raise NotImplementedError

    def batch(self, instruction: Instruction, values: Sequence[Any], size: int) -> list[Any]:
        from xlac.frontend.batching import Batched

        n = self.count
        right = [v.front(size) for v in values[:n]]
        consts = [v.value if v.axis is None else v.front(size) for v in values[n:]]
        note = self._for_all(size, [None if v.axis is None else 0 for v in values[n:]])
        return [Batched(t, 0) for t in note.emit(right, consts)]


def _mapped(function: Flat, axes: Sequence[int | None], size: int) -> Flat:
    """A flat function for all examples; the axes are those of consts, arguments count the examples first."""
    from xlac.frontend.custom import all_batched, on_axes

    axis_name = trace.active().session.axis_name

    def call(*given: Any) -> list[Any]:
        rest = [0] * (len(given) - len(axes))
        return all_batched(on_axes(function, [*axes, *rest], size, axis_name), size)(*given)

    return call


# ---- linear equations


@dataclass
class _LinearSolve(_Solved):
    """The note of a linear solver's call.

    Attributes:
      matvec: of consts and x: the product.
      transposed: solves with the transposed product; None where there is no such solver.
    """

    matvec: Flat
    transposed: Flat | None

    def _turned(self) -> _LinearSolve:
        """The note for the transposed equation."""
        from xlac.frontend.linear import transpose

        if self.transposed is None:
            raise trace.trace_error(
                f"{self.name}: reverse-mode derivatives need transpose_solve, or symmetric=True where it is true"
            )

        def vecmat(*given: Any) -> list[Any]:
            consts, values = given[: -self.count], given[-self.count :]
            shapes = [v._instruction.shape for v in values]
            return _filled(transpose(lambda x: self.matvec(*consts, *x), shapes, list(values)), values)

        return _LinearSolve(self.transposed, self.count, self.name, vecmat, self.solve)

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> list[Any]:
        """dx solves A dx = db - dA x."""
        right, consts, x = self.parts(instruction)
        of_right = _filled(tangents[: self.count], right)
        of_product = _slopes(self.matvec, consts, x, tangents[self.count :])
        change = [r if p is None else sub(r, p) for r, p in zip(of_right, of_product)]
        made = self.emit(change, consts)
        return [*made[: self.count], *[None] * (len(made) - self.count)]

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> list[Any]:
        """The right-hand side's cotangent b' solves A^T b' = x'; A's is that of the product -A x by b'."""
        from xlac.frontend.autodiff import backward

        right, consts, x = self.parts(instruction)
        of_right = self._turned().emit(_filled(cotangent[: self.count], x), consts)[: self.count]
        wanted = [k for k, c in enumerate(consts) if dtypes.is_inexact(c.dtype) and needed(c._instruction)]
        of_consts: list[Any] = [None] * len(consts)
        if wanted:
            active = trace.active()
            copies = [emit(op.copy, c) for c in consts]
            product = [active.use(p) for p in self.matvec(*copies, *x)]
            pairs = [(p, neg(g)) for p, g in zip(product, of_right)]
            for k, g in zip(wanted, backward(pairs, [active.use(copies[k]) for k in wanted])):
                of_consts[k] = g
        return [*of_right, *of_consts]

    def _for_all(self, size: int, axes: Sequence[int | None]) -> _LinearSolve:
        solve, matvec = _mapped(self.solve, axes, size), _mapped(self.matvec, axes, size)
        turned = None if self.transposed is None else _mapped(self.transposed, axes, size)
        return _LinearSolve(solve, self.count, self.name, matvec, turned)


def _filled(values: Sequence[Any], like: Sequence[Tracer]) -> list[Tracer]:
    from xlac.frontend.linear import zeros_like

    return [zeros_like(x) if v is None else v for v, x in zip(values, like)]


@program_function
def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """x with matvec(x) = b, as `solve(matvec, b)` finds it; a derivative is one more solve.

    Args:
      matvec: a linear function; derivatives by what it reads are taken too.
      b: the right-hand side, nested as x.
      solve: need not be differentiable itself.
      transpose_solve: solves with the transposed function, for reverse-mode derivatives.
      symmetric: `solve` does this, as `matvec` is its own transpose.
      has_aux: solvers give a pair of the solution and more, which has no derivative.

    Raises:
      TraceError: the solution, or a product, is not nested as b, or of other shapes or types.
    """
    from xlac.frontend.linear import transpose

    leaves, structure = tree.flatten(b)
    right = [lift(x) for x in leaves]
    right = [x if dtypes.is_inexact(x.dtype) else x.astype(dtypes.as_dtype(float)) for x in right]
    shapes = [x._instruction.shape for x in right]
    nesting: list[tree.Structure] = []

    def product(x: list[Tracer]) -> list[Tracer]:
        made = matvec(tree.unflatten(structure, x))
        return _structured("custom_linear_solve: what matvec gives", made, structure, right)

    def vecmat(x: Any) -> Any:
        values = [lift(v) for v in tree.leaves(x)]
        return tree.unflatten(structure, _filled(transpose(product, shapes, values), values))

    def solver(function: Any, by: Callable[[Any], Any], what: str) -> Callable[[list[Tracer]], list[Any]]:
        def run(given: list[Tracer]) -> list[Any]:
            found = function(by, tree.unflatten(structure, given))
            x, aux = found if has_aux else (found, None)
            more, shape = tree.flatten(aux)
            nesting.append(shape)
            return [*_structured(f"custom_linear_solve: what {what} gives", x, structure, right), *more]

        return run

    recorder = _Recorder()
    recorder.record("matvec", product, right)
    recorder.record("solve", solver(solve, matvec, "solve"), right)
    if transpose_solve is not None and not symmetric:
        recorder.record("transpose_solve", solver(transpose_solve, vecmat, "transpose_solve"), right)
    consts, functions = recorder.finished()
    turned = functions[1] if symmetric else functions[2] if len(functions) > 2 else None
    note = _LinearSolve(functions[1], len(right), "custom_linear_solve", functions[0], turned)
    made = note.emit(right, consts)
    x = tree.unflatten(structure, made[: len(right)])
    return (x, tree.unflatten(nesting[0], made[len(right) :])) if has_aux else x


# ---- roots


@dataclass
class _Root(_Solved):
    """The note of a root finder's call.

    Attributes:
      function: of consts and x: what is zero at the solution.
      step: of consts, x and a change of the function's value: the change of x that makes it.
    """

    function: Flat
    step: Flat

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: list[Any]) -> list[Any]:
        """dx solves (df/dx) dx = -df."""
        results = trace.elements(instruction)
        _, consts, x = self.parts(instruction)
        change = _slopes(self.function, consts, x, tangents[self.count :])
        made: list[Any] = [None] * len(results)
        if any(c is not None for c in change):
            made[: self.count] = [neg(s) for s in self.step(*consts, *x, *_filled(change, x))]
        return made

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> list[Any]:
        from xlac.frontend.linear import transpose

        operands = instruction.operands
        at = [k for k in range(self.count, len(operands)) if dtypes.is_inexact(operands[k].shape.dtype)]
        at = [k for k in at if needed(operands[k])]

        def push(given: list[Tracer]) -> list[Any]:
            known = dict(zip(at, given))
            return self.jvp(instruction, [known.get(k) for k in range(len(operands))], [])

        found = dict(zip(at, transpose(push, [operands[k].shape for k in at], list(cotangent))))
        return [found.get(k) for k in range(len(operands))]

    def _for_all(self, size: int, axes: Sequence[int | None]) -> _Root:
        solve, function, step = (_mapped(f, axes, size) for f in (self.solve, self.function, self.step))
        return _Root(solve, self.count, self.name, function, step)


@program_function
def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """x with f(x) = 0, as `solve(f, initial_guess)` finds it; derivatives by the implicit function theorem.

    Args:
      f: gives as much as it takes; derivatives are those by what it reads.
      initial_guess: where `solve` begins.
      solve: need not be differentiable itself.
      tangent_solve: `tangent_solve(g, y)` gives x with g(x) = y, for a linear function g.
      has_aux: `solve` gives a pair of the solution and more, which has no derivative.

    Raises:
      TraceError: the solution, or a value of f, is not nested as the guess, or of other shapes or types.
    """
    from xlac import jvp

    leaves, structure = tree.flatten(initial_guess)
    guess = [lift(x) for x in leaves]
    n = len(guess)
    nesting: list[tree.Structure] = []

    def value(x: list[Tracer]) -> list[Tracer]:
        return _structured("custom_root: what f gives", f(tree.unflatten(structure, x)), structure, guess)

    def root(given: list[Tracer]) -> list[Any]:
        found = solve(f, tree.unflatten(structure, given))
        x, aux = found if has_aux else (found, None)
        more, shape = tree.flatten(aux)
        nesting.append(shape)
        return [*_structured("custom_root: what solve gives", x, structure, guess), *more]

    def step(given: list[Tracer]) -> list[Any]:
        x, y = (tree.unflatten(structure, part) for part in (given[:n], given[n:]))
        found = tangent_solve(lambda v: jvp(f, (x,), (v,))[1], y)
        return _structured("custom_root: what tangent_solve gives", found, structure, guess)

    recorder = _Recorder()
    recorder.record("function", value, guess)
    recorder.record("solve", root, guess)
    recorder.record("tangent_solve", step, [*guess, *guess])
    consts, (function, finder, tangent) = recorder.finished()
    made = _Root(finder, n, "custom_root", function, tangent).emit(guess, consts)
    x = tree.unflatten(structure, made[:n])
    return (x, tree.unflatten(nesting[0], made[n:])) if has_aux else x
