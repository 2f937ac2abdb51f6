"""Shrink a program that fails to a small one that fails in the same way.

The program is the smallest that no single step makes smaller: another result, instructions cut off (their values become
parameters), passed over or made constants, parameters dropped, dimensions made shorter. Steps are first tried on many
instructions at once, as in delta debugging.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from xlac.errors import XlacError
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import Kind, op
from xlac.ir.shape import ArrayShape, Shape, TupleShape

Fails = Callable[[Module], bool]
Edit = Callable[[Module], bool]  # changes the module in place; returns whether it did


def shrink(module: Module, fails: Fails, report: Callable[[str], None] | None = None) -> Module:
    """The smallest module that the steps lead to for which `fails` still holds; `module` itself is not changed.

    Args:
      fails: the failure to keep; it gets verified modules only, and holds for `module`.
      report: called with a line after each step that made the module smaller.
    """
    shrinker = _Shrinker(module.clone(), fails, report or (lambda line: None))
    shrinker.run()
    return shrinker.best


def size(module: Module) -> tuple[int, int]:
    """What shrinks: the number of instructions, and the number of elements they have."""
    instructions = [i for c in module.computations for i in c.post_order()]
    arrays = [i.shape.size for i in instructions if isinstance(i.shape, ArrayShape)]
    return len(instructions), sum(arrays)


class _Shrinker:
    def __init__(self, module: Module, fails: Fails, report: Callable[[str], None]) -> None:
        self.best, self.fails, self.report = module, fails, report
        self.tried: set[str] = set()

    def run(self) -> None:
        while True:
            before = size(self.best)
            self.results()
            for name in [c.name for c in reversed(self.best.computations)]:
                self.instructions(name, _cut_off)
                self.instructions(name, _pass_over)
                self.instructions(name, _make_constant)
            self.attempt(_inline_branches, "branches")
            self.dimensions()
            if size(self.best) >= before:
                return

    def attempt(self, edit: Edit, what: str) -> bool:
        """Keep what an edit makes of the best module if that is smaller, valid, and fails."""
        candidate = self.best.clone()
        try:
            if not edit(candidate):
                return False
            _tidy(candidate)
            candidate.verify()
            text = candidate.to_string()
        except XlacError:
            return False
        if text in self.tried or size(candidate) >= size(self.best):
            return False
        self.tried.add(text)
        if not self.fails(candidate):
            return False
        self.best = candidate
        instructions, elements = size(candidate)
        self.report(f"{what}: {instructions} instructions, {elements} elements")
        return True

    def results(self) -> None:
        """Make an inner instruction the only result, one near the parameters first; else drop results of a tuple."""
        names = [i.name for i in self.best.entry.post_order() if isinstance(i.shape, ArrayShape)]
        count = len(names)
        # From short prefixes to long ones: 1/8, 1/4, 1/2 of the program, then the operands of the root one by one.
        for part in (8, 4, 2):
            if count >= 2 * part and self.attempt(lambda m, n=names[count // part]: _set_root(m, n), "result"):
                return self.results()
        root = self.best.entry.root
        for name in dict.fromkeys(x.name for x in root.operands):
            if self.attempt(lambda m, n=name: _set_root(m, n), "result"):
                return self.results()
        if root.opcode.name == "tuple" and len(root.operands) > 1:
            self.reduce(list(range(len(root.operands))), _drop_results, "results")
        return None

    def instructions(self, computation: str, change: Callable[[Module, Instruction], bool]) -> None:
        """Change instructions of one computation, as many at once as still fail."""
        found = next((c for c in self.best.computations if c.name == computation), None)
        if found is None:
            return
        names = [i.name for i in reversed(found.post_order()) if i.opcode.name not in ("parameter", "constant")]

        def edit(module: Module, chosen: Iterable[str]) -> bool:
            inside = next((c for c in module.computations if c.name == computation), None)
            changed = False
            for name in chosen if inside is not None else ():
                instruction = inside.find(name)  # type: ignore[union-attr]
                changed |= instruction is not None and change(module, instruction)
            return changed

        self.reduce(names, edit, change.__name__.strip("_").replace("_", " "))

    def reduce(self, items: Sequence, edit: Callable[[Module, Sequence], bool], what: str) -> None:
        """Apply an edit to runs of items: halves, quarters, down to single ones."""
        length = max(1, len(items) // 2)
        while True:
            # Positions count from the end, so that items keep theirs when later ones go.
            for start in range(len(items) - length, -length, -length):
                chosen = items[max(start, 0) : start + length]
                self.attempt(lambda m, c=chosen: edit(m, c), what)
            if length == 1:
                return
            length = max(1, length // 2)

    def dimensions(self) -> None:
        """Shorten every dimension of one extent, everywhere."""
        shapes = [s for c in self.best.computations for i in c.post_order() for s in _arrays(i.shape)]
        for extent in sorted({d for s in shapes for d in s.dims if d > 1}, reverse=True):
            for shorter in dict.fromkeys((1, 2, 3, extent // 4, extent // 2, extent - 1)):
                if 0 < shorter < extent and self.attempt(lambda m, a=extent, b=shorter: _resize(m, a, b), "dimension"):
                    break


# ---- edits


def _tidy(module: Module) -> None:
    """Remove what is dead, the parameters that nothing reads included, and call one another's copies by own names."""
    for computation in reversed(module.computations):
        computation.remove_dead()
    entry = module.entry
    for parameter in list(entry.parameters):
        if not parameter.users and parameter is not entry.root:
            entry.remove(parameter)
            entry.parameters.remove(parameter)
    for number, parameter in enumerate(entry.parameters):
        parameter.attrs["number"] = number
    module.donated = ()
    module.attrs = {}
    module.uncalled = ()


def _set_root(module: Module, name: str) -> bool:
    instruction = module.entry.find(name)
    if instruction is None or instruction.is_root:
        return False
    module.entry.root = instruction
    return True


def _drop_results(module: Module, indices: Sequence[int]) -> bool:
    entry = module.entry
    root = entry.root
    if root.opcode.name != "tuple" or max(indices, default=0) >= len(root.operands):
        return False
    kept = [x for i, x in enumerate(root.operands) if i not in indices]
    if not kept:
        return False
    entry.add(op.tuple.make(*kept))
    return True


def _cut_off(module: Module, instruction: Instruction) -> bool:
    """Make the value a parameter, in the entry."""
    computation = instruction.parent
    if computation is not module.entry or instruction.is_root or not isinstance(instruction.shape, ArrayShape):
        return False
    root = computation.root
    parameter = computation.parameter(_plain(instruction.shape), f"{instruction.name}_value")
    computation.root = root
    computation.replace(instruction, parameter)
    return True


def _pass_over(module: Module, instruction: Instruction) -> bool:
    """Read an operand of the same shape instead."""
    computation = instruction.parent
    for operand in instruction.operands:
        if computation is not None and operand.shape == instruction.shape:
            computation.replace(instruction, operand)
            return True
    return False


def _make_constant(module: Module, instruction: Instruction) -> bool:
    """Make the value ones."""
    computation, shape = instruction.parent, instruction.shape
    if computation is None or not isinstance(shape, ArrayShape):
        return False
    one = op.constant.make(shape=ArrayShape(shape.element_type), literal=np.ones((), shape.dtype))
    if instruction.opcode.name == "broadcast" and instruction.operands[0].opcode.name == "constant":
        return False
    new = op.broadcast.make(one, shape=_plain(shape), dimensions=()) if shape.dims else one
    computation.replace(instruction, new)
    return True


def _inline_branches(module: Module) -> bool:
    """Put calls, and the branches of conditionals that have one argument, in the place of what runs them."""
    from xlac.ir.module import inline

    changed = False
    for computation in module.computations:
        for instruction in list(computation.post_order()):
            name = instruction.opcode.name
            if name in ("call", "fusion"):
                arguments = instruction.operands
            elif name == "conditional":
                arguments = instruction.operands[1:2]
            else:
                continue
            computation.replace(instruction, inline(instruction.called[0], computation, arguments))
            changed = True
    return changed


def _plain(shape: ArrayShape) -> ArrayShape:
    return shape.with_layout(None)


def _arrays(shape: Shape) -> Iterator[ArrayShape]:
    if isinstance(shape, TupleShape):
        for part in shape:
            yield from _arrays(part)
    elif isinstance(shape, ArrayShape):
        yield shape


def _resize(module: Module, extent: int, shorter: int) -> bool:
    """Rebuild every instruction with dimensions of `extent` made `shorter`; XlacError where that has no meaning."""

    def resized(shape: Shape) -> Shape:
        if isinstance(shape, TupleShape):
            return TupleShape(tuple(resized(s) for s in shape))
        if isinstance(shape, ArrayShape):
            return _plain(shape.with_dims(tuple(shorter if d == extent else d for d in shape.dims)))
        return shape

    def number(value: int) -> int:
        return shorter if value == extent else value

    new: dict[Computation, Computation] = {}
    for computation in module.computations:
        copy = Computation(computation.name)
        copies: dict[Instruction, Instruction] = {}
        for x in computation.post_order():
            attrs = dict(x.attrs)
            for name, attr in x.opcode.attrs.items():
                value = attrs.get(name)
                if value is None:
                    continue
                if attr.kind is Kind.COMPUTATION:
                    attrs[name] = new[value]
                elif attr.kind is Kind.COMPUTATIONS:
                    attrs[name] = tuple(new[c] for c in value)
                elif attr.kind is Kind.LITERAL:
                    dims = resized(x.shape).dims if isinstance(x.shape, ArrayShape) else value.shape  # type: ignore[union-attr]
                    attrs[name] = value[tuple(slice(0, d) for d in dims)]
                elif attr.kind is Kind.SLICES:
                    attrs[name] = tuple((min(a, number(b)), number(b), c) for a, b, c in value)
                elif name in ("dynamic_slice_sizes", "slice_sizes"):
                    attrs[name] = tuple(map(number, value))
                elif attr.kind is Kind.WINDOW and value is not None:
                    attrs[name] = tuple(replace(w, size=number(w.size)) for w in value)
            operands = [copies[o] for o in x.operands]
            made = x.opcode.make(*operands, shape=resized(x.shape), **attrs)
            copies[x] = copy.add(made, x.name)
        for x, made in copies.items():
            made.control_predecessors = tuple(copies[p] for p in x.control_predecessors)
        copy.root = copies[computation.root]
        new[computation] = copy
    changed = any(resized(i.shape) != i.shape for c in module.computations for i in c.post_order())
    module.entry = new[module.entry]
    return changed
