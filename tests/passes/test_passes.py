"""Text cases of passes: HLO in, checks of the HLO that comes out. Each case is also checked for what all passes owe:

the text parses and prints alike, every module verifies, values are the evaluator's before and after, a second run
changes nothing.

A case is headed by `// PASSES: a, b`; `// INPUTS: ints` draws small whole numbers (for sums that must not depend on
their order); `// ZEROS: any` lets zeros differ in sign (a sum of one product may be 0 for -0); `// CLOSE: 1e-5` lets
values differ by that part of the largest (for expansions that round elsewhere), on ordinary values.
Cases are parted by `// -----`. The module's name is the test's.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.filecheck import check, checks_of
from tests.values import assert_close, assert_same, random_value
from xlac.ir.evaluate import evaluate
from xlac.passes.pipeline import fingerprint, run_passes
from xlac.passes.simplify import RULES, simplify
from xlac.text.hlo_parser import parse_hlo

FOLDER = Path(__file__).parent
SEPARATOR = "// -----"


def cases() -> list[object]:
    found = []
    for path in sorted(FOLDER.glob("*.hlo")):
        line = 1
        for text in path.read_text().split(SEPARATOR):
            name = re.search(r"HloModule\s+([\w.-]+)", text)
            assert name, f"{path.name}:{line}: a case without HloModule"
            found.append(pytest.param(text, id=f"{path.stem}-{name[1]}"))
            line += text.count("\n")
    return found


def passes_of(text: str) -> list[str]:
    match = re.search(r"//\s*PASSES:(.*)", text)
    assert match, "a case says which passes run: // PASSES: cse"
    return [name.strip() for name in match[1].split(",")]


@pytest.mark.parametrize("text", cases())
def test_case(text: str) -> None:
    original = parse_hlo(text)
    original.verify()
    printed = original.to_string()
    assert parse_hlo(printed).to_string() == printed, "parse and print do not agree"

    module = original.clone()
    passes = passes_of(text)
    run_passes(module, passes, verify=True)
    module.verify()
    result = module.to_string()
    assert parse_hlo(result).to_string() == result, "parse and print do not agree on the result"
    check(re.sub(r"/\*.*?\*/", "", result), checks_of(text))

    rng = np.random.default_rng(0)
    whole, signed_zeros = "// INPUTS: ints" in text, "// ZEROS: any" not in text
    close = re.search(r"//\s*CLOSE:\s*(\S+)", text)
    for _ in range(3):
        arguments = [random_value(p.shape, rng, whole=whole, edges=not close) for p in original.entry.parameters]
        if close:
            assert_close(evaluate(module, *arguments), evaluate(original, *arguments), float(close[1]))
            continue
        assert_same(evaluate(module, *arguments), evaluate(original, *arguments), signed_zeros=signed_zeros)

    before = fingerprint(module)
    run_passes(module, passes, verify=True)
    assert fingerprint(module) == before, f"a second run changes\n{result}\nto\n{module}"


def test_every_rule_fires_in_some_case() -> None:
    """Rules that no case exercises are either untested or can never match."""
    counts = {one: one.matches for one in RULES}
    for param in cases():
        module = parse_hlo(param.values[0])  # type: ignore[attr-defined]
        run_passes(module, [name for name in passes_of(param.values[0]) if name != "fusion"])  # type: ignore[attr-defined]
        simplify(parse_hlo(param.values[0]), inexact=True)  # type: ignore[attr-defined]
    silent = [f"{one.family}.{one.name}" for one in RULES if one.matches == counts[one]]
    assert not silent, f"rules without a case: {', '.join(silent)}"
