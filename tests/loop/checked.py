"""Programs of loops run by the checking interpreter and compared with the reference evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.values import assert_same, random_array
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Module
from xlac.ir.shape import ArrayShape, Shape, TupleShape
from xlac.loop import ir
from xlac.loop.interpret import interpret
from xlac.loop.lower import lower
from xlac.loop.plan import plan
from xlac.loop.printer import print_program
from xlac.loop.schedule import Machine
from xlac.loop.verify import verify_program
from xlac.options import Options
from xlac.passes.pipeline import optimize
from xlac.text.hlo_parser import parse_hlo

# Processors with long vectors, as most servers have; with short ones; and with none but eight bytes.
MACHINES = {"wide": Machine(64, 32), "narrow": Machine(16, 16), "two lanes": Machine(8, 16)}


def program_of(module: Module, fusion: bool = True, machine: Machine = MACHINES["wide"]) -> ir.Program:
    """The planned loop program of a module."""
    ir.clear_interned()
    program = lower(optimize(module, Options(fusion=fusion).resolve()), machine)
    plan(program, module.donated)
    verify_program(program)
    return program


def array_shapes(shape: Shape) -> Iterator[ArrayShape]:
    if isinstance(shape, TupleShape):
        for part in shape:
            yield from array_shapes(part)
    elif isinstance(shape, ArrayShape):
        yield shape


def leaves(value: Any) -> list[np.ndarray]:
    return [x for part in value for x in leaves(part)] if isinstance(value, tuple) else [np.asarray(value)]


def check(
    module: Module,
    *arguments: Any,
    fusion: bool = True,
    machine: Machine = MACHINES["wide"],
    tolerance: float | None = None,
) -> ir.Program:
    """Interpret a module's loops and compare with the evaluator: bit for bit but for the sign of zeros, or within a
    relative tolerance. Gives the program."""
    program = program_of(module, fusion, machine)
    got = interpret(program, leaves(arguments), module.donated)
    want = leaves(evaluate(module, *arguments))
    assert len(got) == len(want)
    for i, (g, w) in enumerate(zip(got, want)):
        try:
            if tolerance is None:
                assert_same(g.reshape(w.shape), w, f"result {i}", signed_zeros=False)
            else:
                wide = np.complex128 if w.dtype.kind == "c" else np.float64
                left, right = g.reshape(w.shape).astype(wide), w.astype(wide)
                np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{module}\n{print_program(program)}") from None
    return program


def check_text(
    text: str, *arguments: Any, seed: int = 0, machine: Machine = MACHINES["wide"], tolerance: float | None = None
) -> None:
    """Check HLO text, fused and not. Arguments not given are small whole numbers."""
    module = parse_hlo(text)
    rng = np.random.default_rng(seed)
    rest = [random_array(s, rng, whole=True) for s in module.parameter_shapes[len(arguments) :]]  # type: ignore[arg-type]
    for fusion in (True, False):
        check(module, *arguments, *rest, fusion=fusion, machine=machine, tolerance=tolerance)
