"""Passes on random programs: values stay what the evaluator says, bit for bit, and a second run changes nothing.

(The whole pipeline begins by taking fusions apart, so that of it only the part before fusion is run twice.)
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from tests.random_programs import modules
from tests.values import assert_same
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Module
from xlac.options import Options
from xlac.passes.pipeline import PASSES, Step, fingerprint, optimize, pipeline, run_passes

Program = tuple[Module, list[np.ndarray]]


def check_values(program: Program, passes: list[Step]) -> Module:
    """Run passes and compare values; give the resulting module."""
    module, arguments = program
    wanted = evaluate(module, *arguments)
    after = module.clone()
    run_passes(after, passes, verify=True)
    assert_same(evaluate(after, *arguments), wanted)
    return after


def check_passes(program: Program, passes: list[Step]) -> None:
    """Run passes twice: values stay, and the second run finds nothing to do."""
    after = check_values(program, passes)
    once = outline(after)
    run_passes(after, passes, verify=True)
    assert outline(after) == once, f"a second run changes the module to\n{after}"


def outline(module: Module) -> Counter[tuple[str, str]]:
    """How many instructions of each opcode and shape there are."""
    return Counter((i.opcode.name, str(i.shape)) for c in module.computations for i in c)


@pytest.mark.parametrize("name", sorted(PASSES))
@settings(max_examples=40)
@given(program=modules())
def test_a_pass_keeps_values(name: str, program: Program) -> None:
    check_passes(program, [name])


@settings(max_examples=150)
@given(program=modules(max_steps=20))
def test_the_pipeline_keeps_values(program: Program) -> None:
    check_values(program, pipeline(Options(fusion=True)))


@settings(max_examples=60)
@given(program=modules(max_steps=20))
def test_the_pipeline_before_fusion_leaves_nothing_to_do(program: Program) -> None:
    check_passes(program, pipeline(Options(fusion=False)))


@settings(max_examples=40)
@given(program=modules())
def test_optimizing_leaves_the_given_module_alone(program: Program) -> None:
    module, _ = program
    before = fingerprint(module)
    optimize(module, Options(verify=True))
    assert fingerprint(module) == before
