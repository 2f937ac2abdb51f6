"""Elements at equal distances: loaded with what lies between them, stored between each other, without gathers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.loop.checked import MACHINES, check
from tests.values import assert_same
from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.loop.printer import print_program
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo

PROGRAMS = {
    "every other element": "ROOT y = {t}[{h}] slice(x), slice={{[1:{n}:2]}}",
    "from the last": """r = {t}[{n}] reverse(x), dimensions={{0}}
      ROOT y = {t}[{h}] slice(r), slice={{[0:{n}:2]}}""",
    "neighbours added": """a = {t}[{h}] slice(x), slice={{[0:{n}:2]}}
      b = {t}[{h}] slice(x), slice={{[1:{n}:2]}}
      ROOT y = {t}[{h}] add(a, b)""",
    "two rows shuffled": """a = {t}[{h}] slice(x), slice={{[0:{h}]}}
      b = {t}[{h}] slice(x), slice={{[{h}:{n}]}}
      zero = {t}[] constant({z})
      p = {t}[{n}] pad(a, zero), padding=0_1_1
      q = {t}[{n}] pad(b, zero), padding=1_0_1
      ROOT y = {t}[{n}] add(p, q)""",
    "each element four times": """b = {t}[{n},4] broadcast(x), dimensions={{0}}
      flat = {t}[{m}] reshape(b)
      ROOT y = {t}[{m}] negate(flat)""",
    "a result that is also summed": """zero = {t}[] constant({z})
      a = {t}[{h}] slice(x), slice={{[0:{n}:2]}}
      y = {t}[{h}] multiply(a, a)
      s = {t}[] reduce(y, zero), dimensions={{0}}, to_apply=sum
      ROOT both = ({t}[{h}], {t}[]) tuple(y, s)""",
}


def module_of(name: str, kind: str, n: int):
    body = PROGRAMS[name].format(t=kind, n=n, h=n // 2, m=4 * n, z="(0, 0)" if kind == "c64" else 0)
    return parse_hlo(f"""
        sum {{
          p = {kind}[] parameter(0)
          q = {kind}[] parameter(1)
          ROOT r = {kind}[] add(p, q)
        }}
        ENTRY main {{
          x = {kind}[{n}] parameter(0)
          {body}
        }}""")


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("kind", ["f32", "f64", "s8", "c64"])
@pytest.mark.parametrize("n", [2, 8, 14, 64, 200])
def test_the_right_elements(name: str, kind: str, n: int) -> None:
    module = module_of(name, kind, n)
    x = np.random.default_rng(n).integers(-3, 4, n).astype(module.parameter_shapes[0].element_type.dtype)
    want = evaluate(module, x)
    got = compile_module(module, Options().resolve())(x)
    for g, w in zip(got, want) if isinstance(want, tuple) else [(got, want)]:
        assert_same(g, w)
    for machine in MACHINES.values():
        check(module, x, machine=machine)


@pytest.mark.parametrize("name", [name for name in PROGRAMS if "summed" not in name])
def test_no_gathers(name: str) -> None:
    program = compile_module(module_of(name, "f32", 128), Options(target="x86-64-v4").resolve())
    assert "gather" not in program.as_text("llvm") and "scatter" not in program.as_text("llvm")


def test_what_a_reduction_takes_and_the_kernel_gives_is_computed_once() -> None:
    text = print_program(check(module_of("a result that is also summed", "f32", 64), np.ones(64, np.float32)))
    assert text.count("multiply(") == 1
