"""Reading HLO text: what is accepted and what it means; refusals with line and column."""

from __future__ import annotations

import sys
import time
import warnings

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
from xlac.errors import ParseError, XlacError
from xlac.ir.shape import ArrayShape, TupleShape, element_type
from xlac.text import detect_format
from xlac.text.hlo_parser import parse_hlo
from xlac.text.hlo_printer import print_module

ADD = """
add {
  x = f32[] parameter(0)
  y = f32[] parameter(1)
  ROOT sum = f32[] add(x, y)
}
"""


def entry(body: str, before: str = "") -> str:
    return f"HloModule m\n{before}\nENTRY main {{\n{body}\n}}\n"


def root(body: str, before: str = ""):
    module = parse_hlo(entry(body, before))
    module.verify()
    return module.entry.root


def literal(shape: str, text: str) -> np.ndarray:
    return root(f"ROOT c = {shape} constant({text})")["literal"]


def refusal(text: str) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_hlo(text)
    return caught.value


def stable(text: str) -> str:
    """The print of a text; checks that reading and printing it changes nothing."""
    first = print_module(parse_hlo(text))
    assert print_module(parse_hlo(first)) == first
    return first


# ---- structure


def test_names_may_have_percent_signs_or_not():
    module = parse_hlo(entry("%p = f32[2] parameter(0)\n ROOT n = f32[2] add(p, %p)"))
    assert [i.name for i in module.entry] == ["p", "n"]
    assert module.entry.root.operands == (module.entry.find("p"),) * 2


def test_the_last_instruction_is_the_root_unless_one_is_marked():
    assert root("a = f32[] parameter(0)\n b = f32[] negate(a)").name == "b"
    assert root("ROOT a = f32[] parameter(0)\n b = f32[] negate(a)").name == "a"


def test_the_last_computation_is_the_entry_unless_one_is_marked():
    module = parse_hlo("HloModule m\na { ROOT x = f32[] parameter(0) }\nb { ROOT y = f32[1] parameter(0) }")
    assert module.entry.name == "b"
    assert [c.name for c in module.uncalled] == ["a"]
    assert parse_hlo("HloModule m\nENTRY a { x = f32[] parameter(0) }\nb { y = f32[] parameter(0) }").entry.name == "a"


def test_a_computation_may_stand_after_its_caller():
    after = "HloModule m\nENTRY main { p = f32[3] parameter(0) z = f32[] constant(0) "
    after += "ROOT r = f32[] reduce(p, z), dimensions={0}, to_apply=add }" + ADD
    assert parse_hlo(after).entry.root["to_apply"].name == "add"


def test_a_computation_may_be_written_inside_the_attribute():
    r = root(
        "p = f32[3] parameter(0)\n z = f32[] constant(0)\n"
        "ROOT r = f32[] reduce(p, z), dimensions={0}, "
        "to_apply={ x = f32[] parameter(0) y = f32[] parameter(1) ROOT s = f32[] add(x, y) }"
    )
    assert r["to_apply"].root.opcode.name == "add"
    stable(
        entry("p = f32[] parameter(0)\n ROOT c = f32[] call(p), to_apply={ x = f32[] parameter(0) y = f32[] tanh(x) }")
    )


def test_operands_may_have_shapes_and_index_comments():
    r = root(
        "p = (f32[2]{0}, (s32[], pred[])) parameter(0)\n"
        "ROOT t = (f32[2], s32[]) tuple(f32[2]{0} %g, /*index=1*/ s32[] %i)".replace(
            "ROOT",
            "g = f32[2] get-tuple-element((f32[2]{0}, (s32[], pred[])) p), index=0\n"
            "q = (s32[], pred[]) get-tuple-element(p), index=1\n i = s32[] get-tuple-element(q), index=0\n ROOT",
        )
    )
    assert [x.name for x in r.operands] == ["g", "i"]


def test_instructions_may_be_written_as_operands():
    module = parse_hlo(
        entry("add = add(f32[10] parameter(0), f32[10] parameter(1))\n ROOT add2 = add(add, add(add, add))")
    )
    assert [i.name for i in module.entry] == ["parameter.anon", "parameter.anon.1", "add", "add.anon", "add2"]
    assert module.entry.root.shape == ArrayShape(element_type("f32"), (10,))


def test_shapes_are_inferred_where_they_are_left_out():
    p = "p = f32[2,3] parameter(0)\n"
    assert root(p + "ROOT t = transpose(p), dimensions={1,0}").dims == (3, 2)
    assert root(p + "q = f32[2,3]{0,1} copy(p)\n ROOT t = tanh(q)").shape.layout == (0, 1)
    assert root(p + "ROOT d = dot(p, p), lhs_contracting_dims={1}, rhs_contracting_dims={1}").dims == (2, 2)


def test_comments_are_skipped_wherever_they_stand():
    text = "/* a */ HloModule m // b\n/*\nENTRY no {}\n*/ENTRY /*c*/ e { // d\n"
    text += " ROOT /*e*/ c = /*f*/ f32[2]{0} constant({1, /*g*/ 2}) }"
    assert parse_hlo(text).entry.root["literal"].tolist() == [1, 2]
    named = entry('ROOT p = f32[] parameter(0), metadata={op_name="http://x /* no comment */"}')
    assert parse_hlo(named).entry.root.metadata == {"op_name": "http://x /* no comment */"}


def test_text_without_a_header_and_single_instructions_are_programs():
    assert parse_hlo("test {\n ROOT root = f32[1,64]{1,0} parameter(0)\n} // test\n").name == "module_test"
    module = parse_hlo("%foo = f32[10] add(f32[10] %x, f32[10] negate(f32[10] %y))")
    module.verify()
    assert [p.name for p in module.entry.parameters] == ["x", "y"]
    stable("%foo = f32[10] add(f32[10] %x, f32[10] %y)")


def test_layouts_keep_their_order_and_print_what_else_they_say():
    text = entry("ROOT p = f32[8,128]{0,1:T(8,128)(2,1)S(1)} parameter(0)")
    shape = parse_hlo(text).entry.root.shape
    assert shape.layout == (0, 1)
    assert "f32[8,128]{0,1:T(8,128)(2,1)S(1)} parameter(0)" in stable(text)


def test_header_attributes_and_stack_frames_survive():
    text = (
        "HloModule m, is_scheduled=true, input_output_alias={ {}: (0, {}, may-alias) }, "
        "entry_computation_layout={(f32[2,3]{0,1})->f32[2,3]{0,1}}, replica_count=2\n\n"
        'FileNames\n1 "a.py"\n\nFunctionNames\n1 "main"\n\n'
        "FileLocations\n1 {file_name_id=1 function_name_id=1 line=1}\n\n"
        "StackFrames\n1 {file_location_id=1 parent_frame_id=1}\n\n"
        'ENTRY e { ROOT p = f32[2,3] parameter(0) }, execution_thread="main"'
    )
    printed = stable(text)
    for part in (
        "is_scheduled=true",
        "may-alias",
        "{(f32[2,3]{0,1})->f32[2,3]{0,1}}",
        "replica_count=2",
        '1 "a.py"',
        "StackFrames",
    ):
        assert part in printed


def test_both_forms_of_conditional_mean_branches():
    branches = "t { ROOT a = f32[] parameter(0) }\nf { b = f32[] parameter(0) ROOT n = f32[] negate(b) }"
    p = "p = pred[] parameter(0)\n x = f32[] parameter(1)\n"
    c = root(p + "ROOT c = f32[] conditional(p, x, x), true_computation=t, false_computation=f", branches)
    assert [b.name for b in c["branch_computations"]] == ["t", "f"]
    i = "i = s32[] parameter(0)\n x = f32[] parameter(1)\n"
    c = root(i + "ROOT c = f32[] conditional(i, x, x, x), branch_computations={%t, %f, t}", branches)
    assert [b.name for b in c["branch_computations"]] == ["t", "f", "t"]


def test_attributes_of_every_instruction_are_kept():
    text = entry(
        'p = f32[4] parameter(0), sharding={devices=[2]<=[2]}, frontend_attributes={a="x\\"y",b={1,2}}\n'
        'q = f32[4] negate(p), metadata={op_type="neg" op_name="a\\"b\\n\\303\\251" source_line=3 profile_type={1}}\n'
        "r = f32[4] tanh(p), control-predecessors={%q}, "
        'backend_config={"a": {"b": [1, {"c": {"d": {"e": {"f": 1}}}}]}}\n'
        'ROOT s = f32[4] add(q, r), statistics={visualizing_index=0,stat-1=33}, origin={{"x"}}'
    )
    module = parse_hlo(text)
    find = module.entry.find
    assert find("p").extras == {"sharding": "{devices=[2]<=[2]}", "frontend_attributes": '{a="x\\"y",b={1,2}}'}
    assert find("q").metadata == {"op_type": "neg", "op_name": 'a"b\né', "source_line": 3, "profile_type": "{1}"}
    assert find("r").control_predecessors == (find("q"),)
    assert find("r").extras["backend_config"].count("{") == 6
    assert find("s").extras == {"statistics": "{visualizing_index=0,stat-1=33}", "origin": '{{"x"}}'}
    printed = stable(text)
    assert 'op_name="a\\"b\\n\\303\\251" source_line=3 profile_type={1}' in printed


def test_attribute_kinds_are_read_by_the_row():
    p = "p = f32[6,4] parameter(0)\n z = f32[] constant(0)\n"
    assert root(p + "ROOT s = f32[2,2] slice(p), slice={[0:2], [0:4:2]}")["slice"] == ((0, 2, 1), (0, 4, 2))
    assert root(p + "ROOT s = f32[9,3] pad(p, z), padding=0_3x1_-2")["padding"] == ((0, 3, 0), (1, -2, 0))
    assert root(p + "ROOT s = pred[6,4] compare(p, p), direction=LT, type=TOTALORDER")["type"] == "TOTALORDER"
    d = root(
        p + "ROOT d = f32[6,6] dot(p, p), lhs_contracting_dims={1}, rhs_contracting_dims={1}, "
        "operand_precision={high,highest}"
    )
    assert d["operand_precision"] == ("high", "highest")
    w = root(p + "ROOT w = f32[3,2] reduce-window(p, z), window={size=2x2 stride=2x2}, to_apply=add", ADD)
    assert [x.stride for x in w["window"]] == [2, 2]


# ---- literals


@pytest.mark.parametrize(
    ("shape", "text", "expected"),
    [
        ("s32[]", "-42", -42),
        ("pred[]", "true", True),
        ("pred[]", "0", False),
        ("pred[3]", "{1, false, true}", [True, False, True]),
        ("s32[2,2]", "{ {1, 2}, { 3,4 } }", [[1, 2], [3, 4]]),
        ("s32[2]", "{1 2}", [1, 2]),
        ("f32[2,0]", "{ {}, {} }", [[], []]),
        ("f64[]", "1e-310", 1e-310),
        ("u64[]", "18446744073709551615", 2**64 - 1),
        ("s64[2]", "{-9223372036854775808, 9223372036854775807}", [-(2**63), 2**63 - 1]),
        ("s4[2]", "{-8, 7}", [-8, 7]),
        ("u4[2]", "{0, 15}", [0, 15]),
        ("c64[2]", "{(1, 2), (-0.5, inf)}", [1 + 2j, complex(-0.5, np.inf)]),
        ("c128[]", "(1, -2)", 1 - 2j),
        ("bf16[2]", "{0.1, 3e38}", np.array([0.1, 3e38], ml_dtypes.bfloat16).tolist()),
        ("f8e4m3fn[2]", "{448, -0.5}", [448, -0.5]),
        ("f32[3]", "7", [7, 0, 0]),
    ],
)
def test_literals_give_their_values(shape: str, text: str, expected):
    array = literal(shape, text)
    assert array.tolist() == expected
    assert str(ArrayShape(element_type(array.dtype), array.shape)) == shape.replace(" ", "")


@pytest.mark.parametrize(
    ("shape", "text", "bits"),
    [
        ("f32[4]", "{nan, -nan, nan(0x1), -nan(0x400001)}", [0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFC00001]),
        ("bf16[2]", "{-nan, nan(0x3)}", [0xFFC0, 0x7F83]),
        ("f16[1]", "{-nan(0x1)}", [0xFC01]),
        ("f8e4m3fn[2]", "{nan, -nan}", [0x7F, 0xFF]),
        ("f8e5m2[2]", "{nan, nan(0x1)}", [0x7E, 0x7D]),
        ("f8e5m2fnuz[1]", "{nan}", [0x80]),
    ],
)
def test_nans_keep_sign_and_payload_through_text(shape: str, text: str, bits: list[int]):
    array = literal(shape, text)
    assert array.view(f"u{array.dtype.itemsize}").tolist() == bits
    again = parse_hlo(print_module(parse_hlo(entry(f"ROOT c = {shape} constant({text})")))).entry.root["literal"]
    assert again.tobytes() == array.tobytes()


def test_a_constant_tuple_is_a_tuple_of_constants_and_prints_as_it_was():
    text = entry("ROOT c = (f32[2,1], s32[], (pred[])) constant(( { {1}, {nan(0x7)} }, -3, (true) ))")
    module = parse_hlo(text)
    assert module.entry.root.opcode.name == "tuple"
    assert isinstance(module.entry.root.shape, TupleShape)
    assert "(f32[2,1]{1,0}, s32[], (pred[])) constant(( { { 1 }, { nan(0x7) } }, -3, ( true ) ))" in stable(text)


def test_elided_constants_are_zeros_with_a_warning_or_random_numbers():
    text = entry("ROOT c = f32[2,3] constant({...})")
    with pytest.warns(UserWarning, match=r"left out .*line 4"):
        assert not parse_hlo(text).entry.root["literal"].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = parse_hlo(text, fill_constants="random").entry.root["literal"]
        assert np.array_equal(made, parse_hlo(text, fill_constants="random").entry.root["literal"])
    assert made.shape == (2, 3) and len(np.unique(made)) == 6


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(
        ["f16", "bf16", "f32", "f64", "f8e5m2", "f8e4m3fn", "s8", "u16", "s64", "u64", "s4", "pred", "c64"]
    ),
    st.lists(st.integers(0, 3), max_size=3),
    st.integers(0, 2**32 - 1),
)
def test_any_bits_survive_text(name: str, dims: list[int], seed: int):
    row = element_type(name)
    size = int(np.prod(dims, initial=1)) * row.dtype.itemsize
    raw = np.frombuffer(np.random.default_rng(seed).bytes(size), np.uint8)
    if name == "pred":
        raw = raw & 1
    elif name == "s4":
        raw = (raw.view(np.int8) % 16 - 8).astype(ml_dtypes.int4).view(np.uint8)
    array = raw.view(row.dtype).reshape(dims)
    from xlac.text.literals import literal_to_string, parse_literal

    again = parse_literal(literal_to_string(array, row), ArrayShape(row, tuple(dims)))
    assert again.tobytes() == array.tobytes()


@pytest.mark.parametrize("dims", [(1000,), (50, 20), (10, 10, 10)])
@pytest.mark.parametrize("name", ["f32", "f64", "bf16", "s32", "pred", "c64"])
def test_long_literals_survive_text_with_comments(name: str, dims: tuple[int, ...]):
    from xlac.text.literals import literal_to_string, parse_literal

    row = element_type(name)
    values = np.random.default_rng(0).standard_normal(dims) * 10.0 ** np.random.default_rng(1).integers(-9, 9, dims)
    array = (values > 0 if name == "pred" else values).astype(row.dtype)
    text = literal_to_string(array, row)
    assert np.array_equal(parse_literal(text, ArrayShape(row, dims)), array)
    commented = text.replace("}, {", "}, /*i0=1*/ {")
    assert np.array_equal(literal(f"{name}[{','.join(map(str, dims))}]", commented), array)


def test_floats_are_written_with_the_fewest_digits():
    from xlac.text.literals import literal_to_string

    def text(dtype: str, *values: float) -> str:
        row = element_type(dtype)
        return literal_to_string(np.array(values, row.dtype), row)

    assert text("f32", 0.1, 1e10, 3, -0.0) == "{0.1, 10000000000, 3, -0.0}"
    assert text("bf16", 0.1) == "{0.1}"
    assert text("f64", 0.1 + 0.2) == "{0.30000000000000004}"
    many = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert literal_to_string(many, element_type("f32")) == "{" + ", ".join(str(x) for x in many) + "}"


# ---- refusals


@pytest.mark.parametrize(
    ("body", "place", "words"),
    [
        ("a = f32[2] parameter(0)\n ROOT b = f32[2] add(a, aa)", (5, 24), "aa is not defined in computation main"),
        ("ROOT b = f32[2] negate(a)\n a = f32[2] parameter(0)", (4, 24), "defined only later, at line 5"),
        ("a = f32[2] parameter(0)\n a = f32[2] negate(a)", (5, 2), "instruction a is defined already, at line 4"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[2] negat(a)", (5, 18), "unknown opcode negat; did you mean negate"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[3] negate(a)", (5, 11), "f32[3] but its operands give f32[2]"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[2] negate(a), foo=3", (5, 33), "unknown attribute foo of negate"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[2] negate(f32[3] a)", (5, 25), "said to be f32[3] but is f32[2]"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[2] negate(a a)", (5, 27), "expected a comma or )"),
        ("a = f32[2] parameter(0)\n ROOT b = f32[2,2] broadcast(a), dimensions={x}", (5, 45), "x is not an integer"),
        ("a = f32[2] parameter(0)\n b = f32[2] parameter(0)", (5, 23), "parameter(0) is defined twice"),
        ("b = f32[2] parameter(1)", (3, 1), "parameter(0) is missing"),
        ("ROOT c = s32[2,2] constant({ {1, 2}, {3} })", (4, 40), "1 numbers in dimension 1"),
        ("ROOT c = s32[2] constant({1, 2, 3})", (4, 26), "the literal has 3 numbers but its shape needs 2"),
        ("ROOT c = s32[2] constant({1, 2.5})", (4, 30), "2.5 is not an integer"),
        ("ROOT c = u8[2] constant({1,\n 256})", (5, 2), "256 is out of range for u8, which holds 0 to 255"),
        ("ROOT c = f16[1] constant({1e5})", (4, 27), "1e5 is out of range for f16"),
        ("ROOT c = f4e2m1fn[1] constant({inf})", (4, 32), "has no infinity"),
        ("ROOT c = f32[] constant(0x10)", (4, 25), "0x10 is not a number"),
        ("ROOT c = f32[2] constant({1, 2}", (4, 26), "cut off"),
        ("ROOT p = f32[<=2] parameter(0)", (4, 14), "dynamic dimension"),
        ("ROOT p = f33[2] parameter(0)", (4, 10), "f33 is not an element type"),
        ("ROOT p = f32[2,2]{1,1} parameter(0)", (4, 19), "must name each once"),
        ("ROOT p = f32[4611686018427387904,4] parameter(0)", (4, 14), "larger than 2^62 bytes"),
        ("ROOT p = f32[2] parameter(0), metadata={op_name=\"x", (4, 29), "braces of attribute metadata are not closed"),
        ("ROOT p = f32[2] parameter(0), 3", (4, 30), "is not an attribute"),
        ("a = f32[] parameter(0)\n ROOT c = f32[] call(a), to_apply=no", (5, 35), "computation no is not defined"),
        ("ROOT p f32[2] parameter(0)", (4, 8), "= was expected"),
    ],
)  # fmt: skip
def test_faults_are_refused_at_their_place(body: str, place: tuple[int, int], words: str):
    error = refusal(entry(body))
    assert words in error.message
    assert (error.line, error.column) == place


def test_faults_of_whole_texts_are_refused():
    assert "the text is empty" in refusal(" \n").message
    assert "ends too early" in refusal("HloModule m\nENTRY e { p = f32[] parameter(0)").message
    assert "cannot stand here" in refusal("HloModule m\nENTRY e { p = f32[] parameter(0) } }").message
    assert "*/ is missing" in refusal("HloModule m\n/* x").message
    assert (
        "second ENTRY"
        in refusal("HloModule m\nENTRY a { p = f32[] parameter(0) }\nENTRY b { p = f32[] parameter(0) }").message
    )
    assert "second ROOT" in refusal(entry("ROOT a = f32[] parameter(0)\n ROOT b = f32[] negate(a)")).message
    assert "unknown attribute foo" in refusal("HloModule m, foo=3\nENTRY a { p = f32[] parameter(0) }").message
    error = refusal("HloModule m\nENTRY a (p: f32[]) -> f32[2] { p = f32[] parameter(0) }")
    assert "said to give f32[2]" in error.message and (error.line, error.column) == (2, 23)
    layout = "HloModule m, entry_computation_layout={(f32[3])->f32[2]}\nENTRY a { p = f32[2] parameter(0) }"
    assert "entry_computation_layout has parameters (f32[3])" in refusal(layout).message


def test_computations_that_call_themselves_are_refused():
    call = "{{ p = f32[] parameter(0) ROOT c = f32[] call(p), to_apply={} }}"
    text = f"HloModule m\na {call.format('b')}\nb {call.format('a')}\nENTRY e {call.format('a')}"
    assert "calls itself" in refusal(text).message


def test_a_path_is_part_of_the_error():
    with pytest.raises(ParseError, match=r"^model\.hlo:1:1: "):
        parse_hlo("?", path="model.hlo")


@pytest.mark.parametrize(
    "body",
    [
        "p = f32[] parameter(0), backend_config=" + "{" * 10000,
        "p = f32[2] constant(" + "{" * 10000 + "}" * 10000 + ")",
        "p = f32[2] constant(" + "(" * 10000 + ")" * 10000 + ")",
        "p = " + "(" * 10000 + "f32[]" + ")" * 10000 + " parameter(0)",
        "p = f32[] parameter(0)\n q = " + "negate(" * 10000,
        "p = f32[] parameter(0)\n q = call(p), to_apply=" + "{ a = f32[] parameter(0) b = call(a), to_apply=" * 300,
        "p = f32[1000000000000] constant({1, 2})",
        "p = f32[1000000000000] constant(1)",
        "p = s32[] constant(" + "9" * 100_000 + ")",
        "p = f32[" + "9" * 10_000 + "] parameter(0)",
        "p = f32[]" + " " * 100_000 + "!",
        "a = f32[] parameter(0), x=" + '"a" ' * 20_000,
    ],
    ids=lambda body: body[:40],
)
def test_hostile_text_is_refused_quickly(body: str):
    start = time.process_time()
    refusal(entry(body))
    assert time.process_time() - start < 5


def test_deep_but_sound_text_is_read():
    deep = "{" * 3000 + "}" * 3000
    text = entry(f"p = f32[] parameter(0), backend_config={deep}\n q = " + "negate(" * 3000 + "p" + ")" * 3000)
    module = parse_hlo(text)
    assert len(module.entry) == 3001
    assert module.entry.find("p").extras == {"backend_config": deep}


def test_constants_whose_elements_are_left_out_take_no_memory():
    with pytest.warns(UserWarning):
        module = parse_hlo(entry("ROOT c = f32[1000000000000] constant({...})"))
    assert module.entry.root["literal"].strides == (0,)
    assert "constant({...})" in print_module(module)


SAMPLE = entry(
    'p = (f32[2,2]{0,1}, s32[]) parameter(0), metadata={op_name="x"}\n a = f32[2,2] get-tuple-element(p), index=0\n'
    "z = f32[] constant(0)\n c = f32[2,2] constant({ {1, -nan}, {2.5, inf} })\n"
    "r = f32[2] reduce(f32[2,2] add(a, c), z), dimensions={0}, to_apply=add\n"
    "ROOT t = (f32[2], f32[1]) tuple(r, f32[1] slice(r), slice={[0:2:2]}".replace(
        "f32[1] slice(r), slice={[0:2:2]}", "s)"
    ).replace("ROOT", "s = f32[1] slice(r), slice={[0:2:2]}\n ROOT"),
    ADD,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_text_is_read_or_refused_but_nothing_else(data: st.DataObject):
    start = data.draw(st.integers(0, len(SAMPLE)))
    stop = data.draw(st.integers(start, min(len(SAMPLE), start + 12)))
    damaged = SAMPLE[:start] + data.draw(st.text('{}()[],=%"/*:->019 \n.afx<?', max_size=3)) + SAMPLE[stop:]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print_module(parse_hlo(damaged))
    except XlacError as error:
        assert isinstance(error, ParseError) and error.line >= 1


# ---- speed


def test_work_grows_with_the_text_and_not_faster():
    def calls(count: int) -> int:
        lines = "\n".join(
            f'v{i + 1} = f32[8,128]{{1,0}} add(v{i}, v{i}), metadata={{op_name="jit(f)/add{i}"}}' for i in range(count)
        )
        text = entry("v0 = f32[8,128]{1,0} parameter(0)\n" + lines)
        made = 0

        def count_calls(*_: object) -> None:
            nonlocal made
            made += 1

        outer = sys.getprofile()
        sys.setprofile(count_calls)
        try:
            parse_hlo(text)
        finally:
            sys.setprofile(outer)
        return made

    calls(10)
    assert calls(4000) < calls(1000) * 4.4


# ---- detect_format


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HloModule m\n", "hlo"),
        ("// c\n/* d */ HloModule m", "hlo"),
        ("ENTRY e { p = f32[] parameter(0) }", "hlo"),
        ("module { ROOT p = f32[] parameter(0) }", "hlo"),
        ("%foo = f32[10] add(f32[10] %x, f32[10] %y)", "hlo"),
        ("module @jit_f attributes {mhlo.num_partitions = 1 : i32} {\n", "stablehlo"),
        ("module {\n func.func @main() {", "stablehlo"),
        ("// RUN: x\nfunc.func @main(%a: tensor<2xf32>)", "stablehlo"),
        ("#loc = loc(unknown)\nmodule {", "stablehlo"),
        ('"builtin.module"() ({', "stablehlo"),
    ],
)
def test_the_language_of_a_text_is_told_by_its_beginning(text: str, expected: str):
    assert detect_format(text) == expected


STARTED = """HloModule m

sum {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}

double {
  a = f32[4] parameter(0)
  ROOT c = f32[4] add(a, a)
}

ENTRY e {
  p = f32[4] parameter(0)
  one = s32[] constant(1)
  STATEMENTS
}
"""


@pytest.mark.parametrize(
    "start, operation, want",
    [
        ("((f32[4]), f32[4], s32[]) negate-start(p)", "negate", [0, -1, -2, -3]),
        ('((f32[4], f32[4]), f32[4], u32[]) add-start(p, p), metadata={op_name="x"}', "add", [0, 2, 4, 6]),
        ('((f32[4]), f32[4]) call-start(p), async_execution_thread="t", to_apply=double', "call", [0, 2, 4, 6]),
        ("((f32[4]), f32[4], s32[]) fusion-start(p), kind=kLoop, calls=double", "fusion", [0, 2, 4, 6]),
        ("((f32[4]), f32[2], s32[]) slice-start(p), slice={[1:3]}", "slice", [1, 2]),
        (
            "((f32[4], s32[]), f32[2], s32[]) dynamic-slice-start(p, one), dynamic_slice_sizes={2}",
            "dynamic-slice",
            [1, 2],
        ),
        (
            "((f32[4]), f32[4]) reduce-scatter-start(p), replica_groups={{0}}, dimensions={0}, to_apply=sum",
            "reduce-scatter",
            [0, 1, 2, 3],
        ),
        ("((f32[4]), f32[4]) all-to-all-start(p), replica_groups={{0}}, dimensions={0}", "all-to-all", [0, 1, 2, 3]),
        ('((f32[4]), f32[4]) custom-call-start(p), custom_call_target="Sharding"', "custom-call", [0, 1, 2, 3]),
    ],
)
def test_the_start_of_an_opcode_calls_a_computation_of_it(start, operation, want):
    shape = start.partition(") " + operation)[0] + ")"
    result = f"f32[{len(want)}]"
    text = f"s = {start}\n  u = {shape} {operation}-update(s)\n  ROOT d = {result} {operation}-done(u)"
    module = parse_hlo(STARTED.replace("STATEMENTS", text))
    begun = module.entry.find("s")
    assert begun.opcode.name == "async-start" and begun["calls"].root.opcode.name == operation
    printed = str(module)
    assert str(parse_hlo(printed)) == printed
    x = np.arange(4, dtype=np.float32)
    assert xlac.evaluate(module, x).tolist() == want
    assert xlac.compile(module)(x).tolist() == want


@pytest.mark.parametrize(
    "text, message",
    [
        ("ROOT s = f32[4] negate-start(p)", "negate-start: the result is f32"),
        ("ROOT s = ((f32[4]), f32[3]) negate-start(p)", "negate: the result is said to be"),
        (
            "s = ((f32[4]), f32[4]) negate-start(p)\n  ROOT d = f32[4] abs-done(s)",
            "abs-done: operand 0 is no abs that was started",
        ),
        ("ROOT s = ((f32[4]), f32[4]) constant-start(p)", "unknown opcode constant-start"),
    ],
)
def test_a_start_that_does_not_fit_is_refused(text, message):
    with pytest.raises(ParseError, match=message):
        parse_hlo(STARTED.replace("STATEMENTS", text))


@pytest.mark.parametrize("depth", [8, 9, 63])
def test_tuple_shapes_may_be_nested_deeply(depth):
    shape = "(" * depth + "f32[2]" + ")" * depth
    module = parse_hlo(entry(f"p = {shape} parameter(0)\n ROOT t = {shape[1:-1]} get-tuple-element(p), index=0"))
    printed = str(module)
    assert str(parse_hlo(printed)) == printed
    assert str(module.entry.parameters[0].shape).count("(") == depth


@pytest.mark.parametrize("depth", [65, 10_000])
def test_tuple_shapes_nested_too_deeply_are_refused(depth):
    with pytest.raises(ParseError, match="more than 64 deep"):
        parse_hlo(entry(f"ROOT p = {'(' * depth}f32[2]{')' * depth} parameter(0)"))


def test_the_imaginary_part_beside_a_nan_is_kept():
    # XLA's own reader makes both parts NaN where the real one is; a module that is printed and read must not change.
    value = literal("c64[2]", "{(nan, inf), (inf, nan)}")
    assert np.isnan(value.real).tolist() == [True, False] and np.isinf(value.imag).tolist() == [True, False]


ALIASED = """HloModule m, ATTRIBUTES

ENTRY e {
  p = (f32[4], (s32[], f32[4])) parameter(0)
  q = f32[4] parameter(1)
  x = f32[4] get-tuple-element(p), index=0
  ROOT sum = f32[4] add(x, q)
}
"""


@pytest.mark.parametrize(
    "attributes, donated",
    [
        ("input_output_alias={ {}: (1, {}, must-alias) }", (3,)),
        ("input_output_alias={ {}: (0, {0}) }, buffer_donor={ (0, {1,1}), (1, {}) }", (0, 2, 3)),
        ("buffer_donor={ (0, {}) }", (0, 1, 2)),
        ("is_scheduled=true", ()),
    ],
)
def test_aliased_and_donated_parameters_are_the_modules_donations(attributes, donated):
    module = parse_hlo(ALIASED.replace("ATTRIBUTES", attributes))
    assert module.donated == donated
    assert parse_hlo(str(module)).donated == donated
    assert str(parse_hlo(str(module))) == str(module)


def test_donations_without_an_attribute_are_printed():
    module = parse_hlo(ALIASED.replace("ATTRIBUTES", "is_scheduled=true"))
    module.donated = (0, 3)
    assert "buffer_donor={ (0, {0}), (1, {}) }" in str(module)
    assert parse_hlo(str(module)).donated == (0, 3)


def test_the_result_takes_the_memory_of_an_aliased_parameter():
    text = """HloModule m, input_output_alias={ {}: (0, {}, must-alias) }

    ENTRY e {
      p = f32[4] parameter(0)
      ROOT n = f32[4] negate(p)
    }"""
    x = np.arange(4, dtype=np.float32)
    result = xlac.compile(text)(x)
    assert result.tolist() == [0, -1, -2, -3] and np.shares_memory(result, x)


@pytest.mark.parametrize(
    "attribute, message",
    [
        ("input_output_alias={ {}: (2, {}) }", "there is no such parameter"),
        ("input_output_alias={ {1}: (1, {}) }", "there is no such result"),
        ("input_output_alias={ {}: (0, {}) }", "only arrays share memory"),
        ("input_output_alias={ {}: (1, {}), {}: (0, {0}) }", "that result has an alias already"),
        ("input_output_alias={ {} (1, {}) }", "is not of the form"),
        ("input_output_alias={ {0, a}: (1, {}) }", "is not of the form"),
        ("input_output_alias={ {}: (one, {}) }", "is not of the form"),
        ("input_output_alias={ {}: (-1, {}) }", "is not of the form"),
        ("input_output_alias={ {}: (1, {}, always) }", "is not of the form"),
        ("input_output_alias={ {}: (1, {}): {} }", "a comma was expected"),
        ("input_output_alias=all", "a list in braces"),
        ("buffer_donor={ (1, {0}) }", "there is no such parameter"),
        ("buffer_donor={ (zero, {0}) }", "is not of the form"),
        ("buffer_donor={ (0, {a}) }", "is not of the form"),
        ("buffer_donor={ (0, {0}) (1, {}) }", "a comma was expected"),
    ],
)
def test_a_malformed_donation_is_refused(attribute, message):
    with pytest.raises(ParseError, match=message):
        parse_hlo(ALIASED.replace("ATTRIBUTES", attribute))
