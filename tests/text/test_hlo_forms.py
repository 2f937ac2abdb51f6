"""Rarer forms of HLO text: what XLA's parser takes is taken and printed again, and what it refuses is refused."""

from __future__ import annotations

import numpy as np
import pytest

import xlac
from xlac.errors import EvaluateError, ParseError
from xlac.ir.evaluate import evaluate
from xlac.text.hlo_parser import parse_hlo

BRANCHES = """
up {
  x = f32[4] parameter(0)
  ROOT y = f32[4] ceil(x)
}

down {
  x = f32[4] parameter(0)
  ROOT y = f32[4] floor(x)
}
"""
WRAPPED = """
wrapped {
  x = f32[3] parameter(0)
  ROOT y = f32[3] negate(x)
}
"""


def entry(body: str, before: str = "") -> str:
    return f"HloModule m\n{before}\nENTRY main {{\n{body}\n}}\n"


def survives(text: str) -> str:
    """The print of a text, which reads back to the same print."""
    printed = str(parse_hlo(text))
    assert str(parse_hlo(printed)) == printed
    return printed


@pytest.mark.parametrize(
    "value", ["s32[2]{0} {1, 2}", "f32[] 0.1", "pred[] true", "( s32[2]{0} {4, 128}, pred[2]{0} {1, 0} )", "f32[3]{0}"]
)
def test_a_literal_or_a_shape_may_be_the_value_of_an_attribute(value: str):
    body = f'c = f32[3] custom-call(), custom_call_target="f", literal={value}\nROOT d = f32[3] negate(c)'
    module = parse_hlo(entry(body))
    assert module.entry.root.opcode.name == "negate"
    assert f"literal={value}" in survives(entry(body))


def test_the_shape_of_an_outfeed_may_be_a_tuple():
    body = """t = token[] after-all()
      i = ((u32[3]{0}, pred[]), token[]) infeed(t)
      d = (u32[3]{0}, pred[]) get-tuple-element(i), index=0
      o = token[] outfeed(d, t), outfeed_shape=(u32[3]{0}, pred[])
      ROOT i.1 = ((u32[3]{0}, pred[]), token[]) infeed(t)"""
    printed = survives(entry(body))
    assert "outfeed_shape=(u32[3]{0}, pred[])\n" in printed and "ROOT %i.1 = " in printed


def test_a_whole_text_may_be_an_instruction_without_names():
    module = parse_hlo("f32[2] subtract(f32[2], f32[2])")
    x, y = np.float32([5, 7]), np.float32([1, 2])
    np.testing.assert_array_equal(evaluate(module, x, y), x - y)
    survives("%c = f32[2,3]{0,1} multiply(f32[2,3]{0,1}, f32[2,3]{0,1} %x)")
    with pytest.raises(ParseError, match="the operand has no name"):
        parse_hlo(entry("ROOT x = f32[2] subtract(f32[2], f32[2])"))


def test_computations_without_names_are_numbered_innermost_first():
    inner = "{ a = f32[] parameter(0)\n ROOT b = f32[] negate(a) }"
    outer = f"{{ c = f32[] parameter(0)\n ROOT d = f32[] call(c), to_apply={inner} }}"
    module = parse_hlo(entry(f"p = f32[] parameter(0)\nROOT r = f32[] call(p), to_apply={outer}"))
    assert [c.name for c in module.computations] == ["_", "_.1", "main"]


def test_elements_left_out_stay_left_out():
    with pytest.warns(UserWarning, match="are left out"):
        printed = survives(entry("ROOT c = f32[67,89] constant({...})"))
    assert "constant({...})" in printed
    filled = parse_hlo(entry("ROOT c = f32[4] constant({...})"), fill_constants="random")
    assert "..." not in str(filled)


def test_a_comment_ends_with_its_line_however_lines_end():
    for end in ("\n", "\r\n", "\r"):
        module = parse_hlo(f"HloModule m{end}// one{end}ENTRY e {{{end}// two{end}ROOT c = f32[] constant(3){end}}}")
        assert module.entry.root["literal"] == 3


def test_a_negative_u64_wraps_as_in_xla_and_other_types_do_not():
    assert parse_hlo(entry("ROOT c = u64[2] constant({-1, 3})")).entry.root["literal"].tolist() == [2**64 - 1, 3]
    for row in ("u4", "u8", "u32"):
        with pytest.raises(ParseError, match="out of range"):
            parse_hlo(entry(f"ROOT c = {row}[] constant(-1)"))


def test_topk_says_which_end_it_takes():
    for largest in ("true", "false"):
        body = f"x = f32[4] parameter(0)\nROOT t = (f32[2], s32[2]) topk(x), k=2, largest={largest}"
        assert f"largest={largest}" in survives(entry(body))
    assert "largest=true" in survives(entry(body.removesuffix(", largest=false")))


def test_a_collective_permute_may_write_into_its_second_operand():
    body = """x = f32[4,2] parameter(0)
      zero = s32[] constant(0)
      at = (s32[], s32[]) tuple(zero, zero)
      out = f32[4,4] parameter(1)
      ROOT p = f32[4,4] collective-permute(x, out, at, at), source_target_pairs={{0,1}}, slice_sizes={{4,2}}"""
    assert "slice_sizes={{4,2}}" in survives(entry(body))
    with pytest.raises(EvaluateError, match="needs several devices"):
        evaluate(parse_hlo(entry(body)), np.zeros((4, 2), np.float32), np.zeros((4, 4), np.float32))
    start = body.replace("ROOT p = f32[4,4] c", "s = (f32[4,2], f32[4,4], u32[], u32[]) c").replace(
        "permute(", "permute-start("
    )
    survives(entry(f"{start}\nROOT p = f32[4,4] collective-permute-done(s)"))


@pytest.mark.parametrize("value", ["{mode=highest}", "{mode=default}", "{tolerance={rtol=0.5, atol=1.0, ulps=2}}"])
def test_a_transcendental_function_may_say_how_accurate_it_must_be(value: str):
    assert f"result_accuracy={value}" in survives(
        entry(f"x = f32[] parameter(0)\nROOT y = f32[] tanh(x), result_accuracy={value}")
    )


CALL = 'p = f32[2,3] parameter(0)\nROOT c = f32[3] custom-call(p), custom_call_target="f", '
ASYNC = "((f32[3]), f32[3], s32[]) async-start(p), calls=wrapped"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (entry("x = f32[] parameter(0)\nROOT y = f32[] tanh(x), result_accuracy={mode=high}"), "is not an accuracy"),
        (entry("x = f32[] parameter(0)\nROOT y = f32[] tanh(x), result_accuracy={0.5}"), "is not an accuracy"),
        (entry("x = f32[] parameter(0)\nROOT y = f32[] abs(x), result_accuracy={mode=highest}"), "unknown attribute"),
        (entry(CALL + "operand_layout_constraints={}"), "operand_layout_constraints are of shapes"),
        (entry(CALL + "operand_layout_constraints={f32[3,2]{1,0}}"), "operand_layout_constraints are of shapes"),
        (entry(CALL + "api_version=API_VERSION_UNSPECIFIED"), "must be one of API_VERSION_ORIGINAL"),
        (entry(CALL + "schedule=LATE"), "must be one of SCHEDULE_NONE"),
        (
            entry(
                "p = f32[4] parameter(0)\nq = pred[] parameter(1)\n"
                "ROOT c = f32[4] conditional(q, p, p), branch_computations={up, down}",
                BRANCHES,
            ),
            "takes true_computation and false_computation",
        ),
        (
            entry(f"p = f32[3] parameter(0)\na = {ASYNC}\nb = {ASYNC}\nROOT d = f32[3] async-done(b)", WRAPPED),
            "already",
        ),
    ],
)
def test_what_xla_refuses_is_refused(text: str, words: str):
    with pytest.raises(ParseError, match=words):
        parse_hlo(text)


def test_layouts_that_a_custom_call_asks_for_survive():
    assert "operand_layout_constraints={f32[2,3]{0,1}}" in survives(
        entry(CALL + "operand_layout_constraints={f32[2,3]{0,1}}, api_version=API_VERSION_TYPED_FFI")
    )


def test_an_async_operation_stays_on_its_thread():
    start = f's = {ASYNC}, async_execution_thread="copies"'
    for thread in ('async_execution_thread="copies", ', ""):
        body = f"p = f32[3] parameter(0)\n{start}\nROOT d = f32[3] async-done(s), {thread}calls=wrapped"
        assert 'async_execution_thread="copies"' in survives(entry(body, WRAPPED))
    body = f'p = f32[3] parameter(0)\ns = {ASYNC}\nROOT d = f32[3] async-done(s), async_execution_thread="copies"'
    with pytest.raises(ParseError, match='the start has "main"'):
        parse_hlo(entry(body, WRAPPED))


def test_layouts_of_the_entry_are_plain_where_the_header_configures_and_tells_none():
    body = "ENTRY e {\n  ROOT p = f32[2,3]{0,1} parameter(0)\n}"
    for attribute in ("replica_count=2", "num_partitions=2", "alias_passthrough_params=true"):
        assert "entry_computation_layout={(f32[2,3]{1,0})->f32[2,3]{1,0}}" in survives(
            f"HloModule m, {attribute}\n{body}"
        )
    for attribute in ("replica_count=1", "is_scheduled=true"):
        assert "entry_computation_layout={(f32[2,3]{0,1})->f32[2,3]{0,1}}" in survives(
            f"HloModule m, {attribute}\n{body}"
        )


SUM_IN_A_TUPLE = """
sum {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  c = f32[] add(a, b)
  ROOT t = (f32[]) tuple(c)
}

less {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  c = (f32[], f32[]) tuple(a, b)
  d = f32[] get-tuple-element(c), index=0
  e = pred[] compare(d, b), direction=LT
  t = (pred[]) tuple(e)
  ROOT f = (pred[]) opt-barrier(t)
}
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("ROOT r = f32[4] map(p, p), dimensions={0}, to_apply=sum", [8, 2, 6, 4]),
        ("z = f32[] constant(0)\n ROOT r = f32[] reduce(p, z), dimensions={0}, to_apply=sum", 10),
        ("z = f32[] constant(0)\n ROOT r = f32[2] reduce-window(p, z), window={size=3}, to_apply=sum", [8, 6]),
        ("ROOT r = f32[4] sort(p), dimensions={0}, to_apply=less", [1, 2, 3, 4]),
        (
            "i = s32[1,1] constant({{3}})\n u = f32[1] constant({5})\n ROOT r = f32[4] scatter(p, i, u), "
            "update_window_dims={}, inserted_window_dims={0}, scatter_dims_to_operand_dims={0}, index_vector_dim=1, "
            "to_apply=sum",
            [4, 1, 3, 7],
        ),
    ],
)
def test_a_computation_may_give_its_value_in_a_tuple(body: str, expected: object):
    text = entry(f"p = f32[4] parameter(0)\n {body}", SUM_IN_A_TUPLE)
    values = np.array([4, 1, 3, 2], np.float32)
    assert np.array_equal(evaluate(parse_hlo(text), values), expected)
    assert np.array_equal(xlac.compile(survives(text))(values), expected)


def test_a_reduction_that_is_said_to_give_a_tuple_gives_one():
    module = parse_hlo(
        entry("p = f32[3] parameter(0)\n z = f32[] constant(0)\n ROOT r = (f32[]) reduce(p, z), dimensions={0}, "
              "to_apply=sum", SUM_IN_A_TUPLE)
    )  # fmt: skip
    (total,) = evaluate(module, np.ones(3, np.float32))
    assert total == 3


def test_the_window_of_a_convolution_is_as_large_as_its_kernel():
    module = parse_hlo(
        entry("x = f32[1,5,1] parameter(0)\n k = f32[2,1,1] constant({{{1}},{{10}}})\n"
              "ROOT c = f32[1,2,1] convolution(x, k), window={size=3 stride=2}, dim_labels=b0f_0io->b0f")
    )  # fmt: skip
    x = np.arange(5, dtype=np.float32).reshape(1, 5, 1)
    assert np.array_equal(evaluate(module, x).ravel(), [10, 32])


def test_a_convolution_may_leave_its_window_out():
    body = (
        "x = f32[1,5,1] parameter(0)\n k = f32[{},1,1] constant({})\n"
        "ROOT c = f32[1,{},1] convolution(x, k), dim_labels=b0f_0io->b0f"
    )
    for size, kernel in ((1, "{{{2}}}"), (2, "{{{1}},{{1}}}")):
        text = entry(body.format(size, kernel, 6 - size))
        assert np.array_equal(evaluate(parse_hlo(text), np.ones((1, 5, 1), np.float32)).ravel(), [2] * (6 - size))


def test_what_nothing_calls_may_hold_what_is_not_known():
    unknown = "growing {\n  x = f32[<=4] parameter(0)\n  ROOT y = f32[<=4] negate(x)\n}\n"
    caller = "outer {\n  x = f32[<=4] parameter(0)\n  ROOT y = f32[<=4] call(x), to_apply=growing\n}\n"
    text = entry("ROOT p = f32[4] parameter(0)", unknown + caller)
    assert "growing" not in survives(text)
    with pytest.raises(ParseError, match="dynamic"):
        parse_hlo(
            text.replace("ROOT p = f32[4] parameter(0)", "p = f32[4] parameter(0)\n ROOT c = call(p), to_apply=outer")
        )


def test_computations_keep_their_order_where_the_entry_is_not_the_last():
    text = (
        "HloModule m\n\nENTRY first {\n  ROOT x = f32[] parameter(0)\n}\n\nsecond {\n  ROOT x = f32[] parameter(0)\n}\n"
    )
    printed = survives(text)
    assert printed.index("%first") < printed.index("%second")


def test_an_infinity_is_nan_in_a_type_that_has_no_other():
    assert np.isnan(evaluate(parse_hlo(entry("ROOT c = f8e4m3fn[2] constant({inf, -inf})"))).astype(np.float32)).all()


def test_any_integer_but_zero_is_true():
    assert evaluate(parse_hlo(entry("ROOT c = pred[4] constant({2, 0, -1, true})"))).tolist() == [
        True,
        False,
        True,
        True,
    ]


def test_a_conditional_with_a_number_lists_its_branches():
    body = "p = f32[4] parameter(0)\n i = s32[] parameter(1)\n ROOT c = f32[4] conditional(i, p, p), "
    with pytest.raises(ParseError, match="it takes branch_computations"):
        parse_hlo(entry(body + "true_computation=up, false_computation=down", BRANCHES))


def test_random_bits_may_be_asked_for_without_the_state():
    body = "s = u64[2] parameter(0)\n ROOT b = {} rng-bit-generator(s), algorithm=rng_three_fry"
    state = np.array([3, 5], np.uint64)
    (_, bits) = evaluate(parse_hlo(entry(body.format("(u64[2], u32[2,3])"))), state)
    alone = survives(entry(body.format("u32[2,3]") + ", sharding={maximal device=0}"))
    assert np.array_equal(xlac.compile(alone)(state), bits)


@pytest.mark.parametrize("types", ["bf16 f32 f32", "f64 c64 c64", "s32 f16 f16", "s8 s16 s16"])
def test_a_product_of_two_types_whose_result_is_left_out_is_of_the_one_that_holds_more(types):
    x, y, result = types.split()
    root = parse_hlo(
        entry(
            f"x = {x}[1,4,8] parameter(0)\n y = {y}[4,2,3] parameter(1)\n"
            " c = convolution(x, y), window={size=3}, dim_labels=bf0_io0->bf0\n"
            " d = dot(x, y), lhs_contracting_dims={1}, rhs_contracting_dims={0}\n ROOT pair = tuple(c, d)"
        )
    ).entry.root
    assert str(root.shape) == f"({result}[1,2,6], {result}[1,8,2,3])"
