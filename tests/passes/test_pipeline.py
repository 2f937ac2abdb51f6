"""The pass runner: names, verification, dumps, reports; what optimizing a module promises."""

from __future__ import annotations

import numpy as np
import pytest

from xlac.errors import OptionError, VerifyError
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Module
from xlac.ir.opcode import op
from xlac.options import Options
from xlac.passes.pipeline import PASSES, Fixpoint, Pass, fingerprint, optimize, pipeline, run_passes
from xlac.text.hlo_parser import parse_hlo

TEXT = """HloModule example
ENTRY main {
  x = f32[4] parameter(0)
  a = f32[4] negate(x)
  b = f32[4] negate(x)
  c = f32[4] exponential(a)
  ROOT r = f32[4] multiply(c, b)
}
"""


@pytest.fixture
def module() -> Module:
    return parse_hlo(TEXT)


def test_an_unknown_pass_is_refused_with_the_names_of_all(module: Module) -> None:
    with pytest.raises(OptionError, match="did you mean simplify.*canonicalize, cse, dce"):
        run_passes(module, ["simplfy"])


def test_unknown_names_are_found_before_any_pass_runs(module: Module) -> None:
    before = fingerprint(module)
    with pytest.raises(OptionError):
        run_passes(module, ["cse", "nonsense"])
    assert fingerprint(module) == before


def test_a_pass_that_denies_a_change_is_caught(module: Module) -> None:
    def lie(module: Module) -> bool:
        module.entry.replace(module.entry.find("b"), module.entry.find("a"))
        return False

    with pytest.raises(VerifyError, match="lie changed the module"):
        run_passes(module, [Pass("lie", lie, "")], verify=True)


def test_a_pass_that_breaks_the_module_is_named(module: Module) -> None:
    def spoil(module: Module) -> bool:
        module.entry.find("c").shape = module.entry.find("c").shape.with_dims((5,))
        return True

    with pytest.raises(VerifyError, match="after pass spoil"):
        run_passes(module, [Pass("spoil", spoil, "")], verify=True)


def test_a_fixpoint_ends_where_nothing_changes_and_at_its_limit(module: Module) -> None:
    runs = []

    def restless(module: Module) -> bool:
        runs.append("restless")
        return True

    assert run_passes(module, [Fixpoint((Pass("restless", restless, ""),), limit=3)])
    assert len(runs) == 3
    run_passes(module, [Fixpoint(("cse",), limit=9)], on_pass=lambda run: runs.append(run.name))
    assert runs[3:] == ["cse", "cse"]


def test_reports_give_name_time_and_whether_it_changed(module: Module) -> None:
    reports = []
    assert run_passes(module, ["cse", "cse"], on_pass=reports.append)
    assert [(r.name, r.changed) for r in reports] == [("cse", True), ("cse", False)]
    assert all(r.seconds >= 0 for r in reports)


def test_each_stage_is_dumped(module: Module, tmp_path) -> None:
    optimize(module, Options(dump_to=str(tmp_path / "stages")))
    names = sorted(path.name for path in (tmp_path / "stages").iterdir())
    assert names == ["example.00.before.hlo", "example.01.cse.hlo", "example.02.fusion.hlo"]
    parse_hlo((tmp_path / "stages" / names[-1]).read_text()).verify()


def test_every_pass_has_a_meaning() -> None:
    assert all(one.meaning.endswith(".") for one in PASSES.values())


def test_without_fusion_nothing_is_fused(module: Module) -> None:
    assert "fusion" in pipeline(Options(fusion=True)) and "fusion" not in pipeline(Options(fusion=False))
    plain, fused = (optimize(module, Options(fusion=f)) for f in (False, True))
    assert {i.opcode.name for i in plain.entry} == {"parameter", "negate", "exponential", "multiply"}
    assert {i.opcode.name for i in fused.entry} == {"parameter", "fusion"}
    x = np.array([1, -2, 0.5, np.nan], np.float32)
    np.testing.assert_array_equal(evaluate(plain, x), evaluate(fused, x))


def test_donated_parameters_stay_donated(module: Module) -> None:
    module.donated = (0,)
    assert optimize(module).donated == (0,)


def test_calls_that_double_at_each_level_do_not_fill_the_memory() -> None:
    """Forty levels of calling twice would be a million million instructions."""
    text = ["HloModule doubling", "f0 {\n x = f32[] parameter(0)\n ROOT r = f32[] sine(x)\n}"]
    for i in range(1, 40):
        text.append(
            f"f{i} {{\n x = f32[] parameter(0)\n a = f32[] call(x), to_apply=f{i - 1}\n"
            f" ROOT r = f32[] call(a), to_apply=f{i - 1}\n}}"
        )
    text.append("ENTRY main {\n x = f32[] parameter(0)\n ROOT r = f32[] call(x), to_apply=f39\n}")
    module = parse_hlo("\n".join(text))
    run_passes(module, ["inline_calls"])
    assert sum(len(c) for c in module.computations) < 10**6


def test_a_chain_of_thousands_is_no_matter_of_recursion(module: Module) -> None:
    x = module.entry.parameters[0]
    for i in range(3000):
        x = op.add.make(x, module.entry.find("c")) if i % 2 else op.tanh.make(x)
    module.entry.add(x)
    result = optimize(module, Options(verify=False))
    assert len(result.entry) < 200
