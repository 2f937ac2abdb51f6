"""Generated code against the reference evaluator, instruction by instruction: which is the first that differs?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xlac.ir.evaluate import evaluate_instruction, refusals
from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape
from xlac.options import Options
from xlac.text.hlo_printer import print_instruction
from xlac.tools.compare import compare

Run = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
Compile = Callable[[Module], Run]


@dataclass(frozen=True)
class Mismatch:
    """An instruction whose value is wrong.

    Attributes:
      instruction: its name.
      line: its text.
      wrong, size: how many of its elements differ, of how many.
      max_error: the greatest absolute difference (NaN where one is not a number and the other is).
      index: where that is.
      got, want: both values there.
      alone: it was found by computing it as the program's only result, since all were right when all were results.
    """

    instruction: str
    line: str
    wrong: int
    size: int
    max_error: float
    index: tuple[int, ...]
    got: Any
    want: Any
    alone: bool = False

    def __str__(self) -> str:
        where = ", ".join(map(str, self.index))
        how = " (only where what lies between is not kept)" if self.alone else ""
        return (
            f"the first instruction that differs{how} is {self.instruction}: {self.wrong} of {self.size} elements, "
            f"by up to {self.max_error:.6g} at ({where}): {self.got}, expected {self.want}\n  {self.line}"
        )


def first_difference(
    module: Module, arrays: Sequence[np.ndarray], options: Options | None = None, compile: Compile | None = None
) -> Mismatch | None:
    """The first instruction of the entry, operands first, whose generated code disagrees with the evaluator.

    A copy of the module is compiled with every array of the entry as a result. The evaluator computes each instruction
    from the compiled values of its operands, so errors do not add up. If all agree, the fault is in what is computed
    together, and the arrays are tried as the only result, in halves.

    Args:
      arrays: the leaves of the parameters.
      compile: gives the function to be checked for a module; generated code with `options` if omitted.
    """
    if compile is None:
        from xlac.compiler import compile_module

        chosen = options or Options()

        def compile(changed: Module) -> Run:
            return compile_module(changed, chosen).run

    found = _all_kept(module, arrays, compile)
    return found if found is not None else _by_halves(module, arrays, compile)


def _all_kept(module: Module, arrays: Sequence[np.ndarray], compile: Compile) -> Mismatch | None:
    changed = module.clone()
    entry = changed.entry
    kept = _inner(changed)
    if not kept:
        return None
    entry.add(op.tuple.make(*kept))
    results = dict(zip(kept, compile(changed)([np.array(a) for a in arrays])))
    values: dict[Instruction, Any] = {}
    with np.errstate(all="ignore"), refusals(module.name):
        for instruction, value in _evaluated(changed, arrays, values):
            got = results.get(instruction)
            if got is not None:
                wrong = _mismatch(instruction, got, np.asarray(value))
                if wrong is not None:
                    return wrong
                values[instruction] = got
    return None


def _by_halves(module: Module, arrays: Sequence[np.ndarray], compile: Compile) -> Mismatch | None:
    """The earliest wrong instruction that halving finds if each is the program's only result."""
    expected: dict[str, np.ndarray] = {}
    wanted = {x.name for x in _inner(module)}
    with np.errstate(all="ignore"), refusals(module.name):
        for instruction, value in _evaluated(module, arrays, {}):
            if instruction.name in wanted:
                expected[instruction.name] = np.asarray(value)
    names = list(expected)

    def wrong(name: str) -> Mismatch | None:
        changed = module.clone()
        instruction = changed.entry.find(name)
        assert instruction is not None
        changed.entry.root = instruction
        changed.entry.remove_dead()
        (got,) = compile(changed)([np.array(a) for a in arrays])
        return _mismatch(instruction, got, expected[name], alone=True)

    low, high, best = 0, len(names), None
    # Once a value is wrong, what is computed from it mostly is too.
    while low < high:
        middle = (low + high) // 2
        found = wrong(names[middle])
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
    return best


def _inner(module: Module) -> list[Instruction]:
    """The entry's arrays that are computed."""
    found = []
    for x in module.entry.post_order():
        given = x.operands[0] if x.opcode.name == "get-tuple-element" else x
        if isinstance(x.shape, ArrayShape) and given.opcode.name not in ("parameter", "constant", "tuple"):
            found.append(x)
    return found


def _evaluated(
    module: Module, arrays: Sequence[np.ndarray], values: dict[Instruction, Any]
) -> Iterator[tuple[Instruction, Any]]:
    """Each instruction of the entry with its value; what the caller puts into `values` is used from then on."""
    from xlac.runtime.executable import nest

    flat = iter(arrays)
    arguments = [nest(p.shape, flat) for p in module.entry.parameters]
    for instruction in module.entry.post_order():
        if instruction.opcode.name == "parameter":
            value = arguments[instruction["number"]]
        else:
            value = evaluate_instruction(instruction, [values[x] for x in instruction.operands])
        values[instruction] = value
        yield instruction, value


def _mismatch(instruction: Instruction, got: np.ndarray, want: np.ndarray, alone: bool = False) -> Mismatch | None:
    bad, error = compare(got, want)
    if not bad.any():
        return None
    place = int(np.argmax(np.where(bad, np.where(np.isnan(error), np.inf, error), -1.0)))
    index = tuple(int(i) for i in np.unravel_index(place, want.shape))
    return Mismatch(
        instruction.name,
        print_instruction(instruction)[:400],
        int(bad.sum()),
        want.size,
        float(np.asarray(error).reshape(-1)[place]),
        index,
        got.reshape(-1)[place],
        want.reshape(-1)[place],
        alone,
    )
