"""Damaged programs: real ones with pieces cut, repeated, moved and replaced are compiled, or refused in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xlac.cli_files import parse_program
from xlac.compiler import compile_module
from xlac.errors import XlacError
from xlac.ir.opcode import OPCODES
from xlac.ir.shape import ArrayShape, leaves
from xlac.options import Options

CORPUS = {path.name: path.read_text() for path in sorted((Path(__file__).parent / "corpus").iterdir())}

# What stands in for a piece of a program.
PIECES = [
    *"{}()[]<>,=%:\"'/\\*-?!",
    *("0", "1", "-1", "2", "7", "64", "65536", "2147483648", "4611686018427387904", "99999999999999999999", "1e999"),
    *("nan", "-inf", "true", "f32", "s4", "c128", "pred", "token[]", "opaque[]", "f8e4m3fn", "(", "f32[]", "f32[2,2]"),
    *("ROOT ", "ENTRY ", "{...}", "/*", "*/", "//", "->", "x", "i", "add", "while", "call", "parameter(0)", "index=9"),
    *("tensor<?xf32>", "tensor<2x0xf32>", "dense<>", 'dense<"0x00">', "^bb0", "stablehlo.", "func.func", "loc(", "\0"),
    *("\ufeff", "\u2028", "\u00e9", "\U0001f600", "\r\n", "\t", " " * 300, "{" * 300, "(" * 300),
]
WORD = re.compile(r"[\w.\-%]+|[^\s\w]")

# Words of one kind, and what stands in for one of them beside the others of its kind in the text: such programs often
# get past the parser.
KINDS = {
    re.compile(r"(?<![\w.])-?\d+(?![\w.])"): "0 1 -1 2 3 5 100 65536 1000000000000 4611686018427387904".split(),
    re.compile(r"%[\w.\-]+(?=[,)])|(?<=[( ])[a-z_][\w.\-]*(?=[,)])"): [],
    re.compile(r"(?<= )[a-z][a-z\-]+(?=\()"): sorted(OPCODES),
    re.compile(r"(?<=stablehlo\.)[a-z_]+"): [name.replace("-", "_") for name in sorted(OPCODES)],
    re.compile(r"\b(?:pred|c64|bf16|[fsui]+\d+)\b"): "f32 f64 bf16 s4 s32 u8 pred c64 i32 i1 f8e4m3fn c128".split(),
}


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """The text after one to four edits."""
    for _ in range(draw(st.integers(1, 4))):
        words = [m.span() for m in WORD.finditer(text)] or [(0, 0)]
        start, end = draw(st.sampled_from(words))
        other = draw(st.sampled_from(words))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            text = text[:start] + draw(st.sampled_from(PIECES)) + text[end:]
        elif kind == 1:
            text = text[:start] + text[end:]
        elif kind == 2:
            text = text[:start] + text[slice(*other)] + text[end:]
        elif kind == 3:
            text = text[:end] + draw(st.sampled_from(PIECES)) + text[end:]
        elif kind == 4:  # repeat a stretch elsewhere
            text = text[:start] + text[min(start, other[0]) : max(end, other[1])][:400] + text[start:]
        elif kind == 5:  # take out a line, or put it elsewhere
            lines = text.splitlines(keepends=True)
            line = lines.pop(draw(st.integers(0, len(lines) - 1))) if lines else ""
            if draw(st.booleans()):
                lines.insert(draw(st.integers(0, len(lines))), line)
            text = "".join(lines)
        elif kind == 6:
            text = text[: draw(st.integers(0, len(text)))]
        else:
            pattern = draw(st.sampled_from(list(KINDS)))
            found = [m.span() for m in pattern.finditer(text)]
            if found:
                start, end = draw(st.sampled_from(found))
                others = sorted({text[slice(*span)] for span in found})
                text = text[:start] + draw(st.sampled_from([*others, *KINDS[pattern]])) + text[end:]
    return text


def try_to_compile(text: str, name: str, compiling: bool) -> None:
    """Anything but an XlacError is a fault of xlac's."""
    try:
        module = parse_program(text, name)
        again = parse_program(module.to_string(), "printed", "hlo")
        assert again.to_string() == module.to_string()
        # Constants of the program's size are in memory, so sizes are kept small here.
        shapes = [s for c in module.computations for i in c for s in leaves(i.shape) if isinstance(s, ArrayShape)]
        if compiling and sum(s.byte_size for s in shapes) < 1 << 20:
            compile_module(module, Options(cache=False, verify=True))
    except XlacError as error:
        assert str(error)


def quickly(examples: int) -> settings:
    return settings(max_examples=examples, derandomize=True, deadline=None, database=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.mark.parametrize("name", CORPUS)
def test_the_corpus_is_read_and_compiled(name):
    compile_module(parse_program(CORPUS[name], name), Options(cache=False))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CORPUS)
def test_damaged_programs_are_read_or_refused(name):
    @quickly(150)
    @given(damaged(CORPUS[name]))
    def check(text: str) -> None:
        try_to_compile(text, name, compiling=False)

    check()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CORPUS)
def test_many_damaged_programs_are_compiled_or_refused(name):
    @quickly(600)
    @given(damaged(CORPUS[name]))
    def check(text: str) -> None:
        try_to_compile(text, name, compiling=True)

    check()
