"""Find what made the first NaN or infinity in a program's results: `Options(check_nan=True)`.

The results of each call are looked through. Where one holds NaN or an infinity, the program as it was traced is run
again by the reference evaluator, and the fault is followed from the result back through the instructions, loops and
branches to the one whose operands were sound. So what a program makes and throws away, such as the branch that `where`
does not take, is no fault. The second run costs what NumPy costs, and memory for all values; callbacks without results
are left out of it, those with results are called again.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac.errors import NonFiniteError
from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.shape import TOKEN, ArrayShape, Shape, TupleShape, element_type, in_numpy_words, leaves

Path = tuple[int, ...]  # an element of a nested tuple
Values = dict[Instruction, Any]


def check(module: Module, arguments: Sequence[Any], results: Sequence[np.ndarray]) -> None:
    """Look through the results of a call.

    Args:
      module: the program as it was traced.
      arguments: the values of its parameters before the call.
      results: the arrays of its result, in tuple order.
    Raises:
      NonFiniteError: one holds NaN or an infinity; the message names what made it.
    """
    kinds = [_fault(r) for r in results]
    number = next((i for i, k in enumerate(kinds) if k == "NaN"), None)
    if number is None:
        number = next((i for i, k in enumerate(kinds) if k), None)
    if number is None:
        return
    kind, result = kinds[number], results[number]
    assert kind is not None
    several = f"result {number}" if len(results) > 1 else "its result"
    bad = _where(result, kind)
    message = (
        f"{module.name}: {several} holds {kind} in {np.count_nonzero(bad)} of {result.size} elements, first at "
        f"{_place(bad)}"
    )
    found = _Search().follow(module.entry, list(arguments), _paths(module.entry.root.shape)[number], kind)
    raise NonFiniteError(f"{message}: {in_numpy_words(found)}")


def _fault(x: Any) -> str | None:
    """ "NaN" or "infinity" if an array holds one."""
    if not isinstance(x, np.ndarray) or not element_type(x.dtype).is_inexact:
        return None
    wide = _wide(x)
    if np.isfinite(wide).all():
        return None
    return "NaN" if np.isnan(wide).any() else "infinity"


def _wide(x: np.ndarray) -> np.ndarray:
    return x if x.dtype.kind in "fc" else x.astype(np.float32)


def _where(x: np.ndarray, kind: str) -> np.ndarray:
    return np.isnan(_wide(x)) if kind == "NaN" else ~np.isfinite(_wide(x))


def _holds(value: Any, kind: str) -> bool:
    fault = _fault(value)
    return fault is not None and (kind == "infinity" or fault == "NaN")


def _place(bad: np.ndarray) -> str:
    return str([int(i) for i in np.unravel_index(np.argmax(bad), bad.shape)])


def _paths(shape: Shape) -> list[Path]:
    """Where the arrays are inside a shape."""
    if isinstance(shape, TupleShape):
        return [(i, *rest) for i, part in enumerate(shape) for rest in _paths(part)]
    return [()] if isinstance(shape, ArrayShape) else []


def _at(value: Any, path: Path) -> Any:
    for i in path:
        value = value[i]
    return value


def _source(instruction: Instruction) -> str:
    """The user's file, line and line text."""
    metadata = instruction.metadata or {}
    if "source_file" not in metadata:
        return f"{instruction.name}"
    filename, line = metadata["source_file"], metadata.get("source_line", 0)
    text = linecache.getline(filename, line).strip()
    of = "the gradient of " if str(metadata.get("op_name", "")).endswith("/transpose") else ""
    return f"{of}{filename}:{line}" + (f": {text}" if text else "")


@dataclass
class _Argument:
    """The fault came in by a parameter of the computation."""

    number: int
    path: Path


class _Search:
    """Follows a fault from a result to what made it."""

    def follow(self, entry: Computation, arguments: list[Any], path: Path, kind: str) -> str:
        found = self.back(entry, self.values(entry, arguments), entry.root, path, kind)
        if isinstance(found, str):
            return found
        parameter = entry.parameters[found.number]
        value = _at(arguments[found.number], found.path)
        return (
            f"argument {found.number} ({parameter.name}), {parameter.shape}, holds {kind} already, first at "
            f"{_place(_where(value, kind))}"
        )

    def values(self, computation: Computation, arguments: Sequence[Any]) -> Values:
        """The values of all instructions."""
        values: Values = {}
        for x in computation.post_order():
            if x.opcode.name == "parameter":
                values[x] = arguments[x["number"]]
            elif x.attrs.get("callback") is not None and all(s == TOKEN for s in leaves(x.shape)):
                values[x] = ((),)
            else:
                values[x] = evaluate_instruction(x, [values[y] for y in x.operands])
        return values

    def back(
        self, computation: Computation, values: Values, top: Instruction, path: Path, kind: str
    ) -> str | _Argument:
        """What made the fault that `top` holds at `path`."""
        while True:
            if not _holds(_at(values[top], path), kind):
                return "evaluating the program again does not show it"
            name = top.opcode.name
            if name == "parameter":
                return _Argument(top["number"], path)
            if name == "tuple":
                top, path = top.operands[path[0]], path[1:]
                continue
            if name == "get-tuple-element":
                top, path = top.operands[0], (top["index"], *path)
                continue
            inside = self.inside(top, values, path, kind)
            if isinstance(inside, str):
                return inside
            if inside is not None:
                top, path = inside
                continue
            for operand in top.operands:
                faulty = next((p for p in _paths(operand.shape) if _holds(_at(values[operand], p), kind)), None)
                if faulty is not None:
                    top, path = operand, faulty
                    break
            else:
                found = self.made(top, values, path, kind)
                if kind == "NaN":
                    infinite = (o for o in top.operands if _holds(values[o], "infinity"))
                    for operand in infinite:
                        before = self.back(computation, values, operand, (), "infinity")
                        if isinstance(before, str):
                            found += f"\n    its infinity is {before}"
                            break
                return found

    def inside(self, x: Instruction, values: Values, path: Path, kind: str) -> str | tuple[Instruction, Path] | None:
        """For a loop, branch or call: what in it made the fault, or by which operand it came; None for others."""
        name = x.opcode.name
        if name == "while":
            return self.turns(x, values[x.operands[0]], path, kind)
        if name in ("call", "fusion"):
            (callee,) = x.called
            operands = list(x.operands)
        elif name == "conditional":
            branches = x["branch_computations"]
            index = values[x.operands[0]]
            chosen = int(not index) if index.dtype == np.bool_ else int(index)
            chosen = chosen if 0 <= chosen < len(branches) else len(branches) - 1
            callee, operands = branches[chosen], [x.operands[1 + chosen]]
        else:
            return None
        inner = self.values(callee, [values[o] for o in operands])
        found = self.back(callee, inner, callee.root, path, kind)
        return found if isinstance(found, str) else (operands[found.number], found.path)

    def turns(self, x: Instruction, start: Any, path: Path, kind: str) -> str | tuple[Instruction, Path]:
        """As `inside`, for a loop: the turn in which an element of the state went bad, and so on back."""
        body = x["body"]
        paths = _paths(x.shape)
        history = [{p for p in paths if _holds(_at(s, p), kind)} for s in self.states(x, start)]
        turn = len(history) - 1
        while True:
            while turn and path in history[turn - 1]:
                turn -= 1
            if not turn:
                return x.operands[0], path
            state = next(s for i, s in enumerate(self.states(x, start)) if i == turn - 1)
            found = self.back(body, self.values(body, [state]), body.root, path, kind)
            if isinstance(found, str):
                return f"{found}\n    in turn {turn} of the loop at {_source(x)}"
            turn, path = turn - 1, found.path

    def states(self, x: Instruction, state: Any) -> Iterator[Any]:
        """The state of a loop before each turn, and at the end."""
        condition, body = x["condition"], x["body"]
        while True:
            yield state
            if not self.values(condition, [state])[condition.root]:
                return
            state = self.values(body, [state])[body.root]

    def made(self, x: Instruction, values: Values, path: Path, kind: str) -> str:
        value = _at(values[x], path)
        bad = _where(value, kind)
        if x.opcode.name == "constant":
            return f"a constant of the program, at {_source(x)}"
        callback = x.attrs.get("callback")
        lines = [f"made by {x.opcode.name} at {_source(x)}" if callback is None else f"given by {callback!r}"]
        index = np.unravel_index(np.argmax(bad), bad.shape)
        for i, operand in enumerate(x.operands):
            given = values[operand]
            if not isinstance(given, np.ndarray) or not given.size:
                continue
            if x.opcode.elementwise and given.shape == value.shape:
                lines.append(f"operand {i}, {operand.shape}, is {given[index]} there")
            elif element_type(given.dtype).kind in "fsu":
                wide = _wide(given) if element_type(given.dtype).is_inexact else given.astype(np.int64)
                lines.append(f"operand {i}, {operand.shape}, has values from {wide.min()} to {wide.max()}")
        return "\n    ".join(lines)
