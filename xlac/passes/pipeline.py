"""The pass runner, the passes by name, and the order in which they run.

A pass is a function on a module that returns whether it changed anything. The runner times passes, dumps what they
leave, and on request verifies the module after each and checks that "unchanged" is true.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Union

from xlac.errors import OptionError, VerifyError, XlacError
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import Kind
from xlac.options import Options
from xlac.passes.canonicalize import canonicalize
from xlac.passes.cse import cse
from xlac.passes.dce import dce
from xlac.passes.expand import (
    expand_batch_norm,
    expand_devices,
    expand_initial_values,
    expand_lapack,
    expand_linalg,
    expand_products,
    expand_random,
    expand_scalar_branches,
    expand_scan,
    expand_sizes,
    expand_topk,
)
from xlac.passes.fold import fold
from xlac.passes.fusion import fusion
from xlac.passes.hoist import hoist
from xlac.passes.inline_calls import inline_calls
from xlac.passes.simplify import simplify
from xlac.passes.while_state import while_state


@dataclass(frozen=True)
class Pass:
    """A pass: its name, its function, and its first line of documentation."""

    name: str
    run: Callable[[Module], bool]
    meaning: str


@dataclass(frozen=True)
class Fixpoint:
    """Passes run over and over until none changes anything, at most `limit` times."""

    passes: tuple[str | Pass, ...]
    limit: int = 4


@dataclass(frozen=True)
class PassRun:
    """What `on_pass` is told of one run of one pass."""

    name: str
    seconds: float
    changed: bool


Step = Union[str, Pass, Fixpoint]


def _pass(run: Callable[[Module], bool]) -> Pass:
    return Pass(run.__name__, run, (run.__doc__ or "").split("\n")[0])


PASSES: dict[str, Pass] = {
    made.name: made
    for made in map(
        _pass,
        (
            canonicalize,
            cse,
            dce,
            expand_batch_norm,
            expand_devices,
            expand_initial_values,
            expand_lapack,
            expand_linalg,
            expand_products,
            expand_random,
            expand_scalar_branches,
            expand_scan,
            expand_sizes,
            expand_topk,
            fold,
            fusion,
            hoist,
            inline_calls,
            simplify,
            while_state,
        ),
    )
}


def pipeline(options: Options) -> list[Step]:
    """The passes that `options` ask for, in order."""
    steps: list[Step] = [
        "canonicalize",  # while layouts still mean something: what comes next makes instructions without any
        "expand_scan",
        "inline_calls",  # one graph: what is computed together is decided later, by fusion
        "expand_devices",
        "expand_sizes",
        "dce",
        "expand_scalar_branches",
        "expand_products",
        "expand_topk",
        "expand_lapack",
        "expand_linalg",
        "expand_batch_norm",
        "expand_random",
        "expand_initial_values",
        "dce",
        # Each of these makes work for the others: a folded condition inlines a branch, a merged operand cancels.
        Fixpoint(("simplify", "fold", "cse", "while_state", "hoist", "expand_sizes")),
        "dce",
    ]
    if options.fusion is not False:
        steps.append("fusion")
    return steps


def find_pass(name: str) -> Pass:
    """The pass of a name.

    Raises:
      OptionError: there is none; the message lists those there are.
    """
    if name not in PASSES:
        near = difflib.get_close_matches(name, PASSES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise OptionError(f"there is no pass {name!r}; {hint}The passes are: {', '.join(PASSES)}")
    return PASSES[name]


def run_passes(
    module: Module,
    passes: Iterable[Step],
    *,
    verify: bool = False,
    dump: Callable[[str, Module], None] | None = None,
    on_pass: Callable[[PassRun], None] | None = None,
) -> bool:
    """Run passes on a module, in place; return whether any changed it.

    Args:
      passes: names of passes, passes, and fixpoints of them.
      verify: verify the module after each pass that changed it, and check that the others did not.
      dump: called with a pass's name and the module after each pass that changed it.
      on_pass: called after each run of a pass.
    Raises:
      OptionError: a name is not a pass's.
      VerifyError: with `verify`, a pass broke the module or denied a change; the message names the pass.
    """
    changed = False
    for step in _resolved(passes):
        if isinstance(step, Fixpoint):
            for _ in range(step.limit):
                if not run_passes(module, step.passes, verify=verify, dump=dump, on_pass=on_pass):
                    break
                changed = True
        else:
            changed |= _run_pass(module, step, verify, dump, on_pass)
    return changed


def _resolved(passes: Iterable[Step]) -> list[Pass | Fixpoint]:
    return [find_pass(step) if isinstance(step, str) else step for step in passes]


def _run_pass(
    module: Module,
    one: Pass,
    verify: bool,
    dump: Callable[[str, Module], None] | None,
    on_pass: Callable[[PassRun], None] | None,
) -> bool:
    before = fingerprint(module) if verify else None
    start = time.perf_counter()
    changed = one.run(module)
    seconds = time.perf_counter() - start
    if verify:
        if changed:
            try:
                module.verify()
            except XlacError as error:
                raise VerifyError(f"after pass {one.name}: {error}") from error
        elif fingerprint(module) != before:
            raise VerifyError(f"pass {one.name} changed the module but says that it did not")
    if changed and dump is not None:
        dump(one.name, module)
    if on_pass is not None:
        on_pass(PassRun(one.name, seconds, changed))
    return changed


def optimize(
    module: Module, options: Options | None = None, *, on_pass: Callable[[PassRun], None] | None = None
) -> Module:
    """A copy of the module after all the passes that the options ask for; the module itself is not changed.

    With `options.dump_to`, the module before the passes and after each that changed it is written into that folder.
    """
    options = (options or Options()).resolve()
    result = module.clone()
    dump = Dump(options.dump_to) if options.dump_to else None
    if dump is not None:
        dump("before", result)
    run_passes(result, pipeline(options), verify=bool(options.verify), dump=dump, on_pass=on_pass)
    return result


class Dump:
    """Writes modules into a folder, numbered in the order they come: `name.03.cse.hlo`."""

    def __init__(self, folder: str) -> None:
        self.folder, self._count = folder, 0

    def __call__(self, stage: str, module: Module) -> None:
        os.makedirs(self.folder, exist_ok=True)
        stem = re.sub(r"[^\w.-]", "_", module.name) or "module"
        path = os.path.join(self.folder, f"{stem}.{self._count:02d}.{stage}.hlo")
        self._count += 1
        with open(path, "w", encoding="utf-8") as file:
            file.write(module.to_string())


def fingerprint(module: Module) -> Hashable:
    """Equal for modules that print the same: names, opcodes, shapes, operands and attributes of all instructions."""
    return tuple(_computation_fingerprint(c) for c in module.computations) + (tuple(sorted(module.attrs.items())),)


def _computation_fingerprint(computation: Computation) -> Hashable:
    rows = []
    for instruction in computation.post_order():
        attrs = []
        for name, attr in instruction.opcode.attrs.items():
            value = instruction.attrs[name]
            if attr.kind is Kind.LITERAL:
                value = value.tobytes()
            elif attr.kind is Kind.COMPUTATION:
                value = value and value.name
            elif attr.kind is Kind.COMPUTATIONS:
                value = tuple(c.name for c in value)
            attrs.append((name, value))
        operands = tuple(x.name for x in instruction.operands)
        rows.append((instruction.name, instruction.opcode.name, str(instruction.shape), operands, tuple(attrs)))
    return (computation.name, computation.root.name, tuple(rows))
