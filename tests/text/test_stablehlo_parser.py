"""StableHLO text in: forms, values, and errors that tell the place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
from xlac.errors import ParseError
from xlac.ir.evaluate import evaluate
from xlac.text.hlo_parser import parse_hlo
from xlac.text.stablehlo_parser import parse_stablehlo


def run(body: str, *arrays: np.ndarray, types: str = "", result: str = "tensor<4xf32>"):
    """The value of a function of `types` (%a, %b, ...) whose body ends by defining %r."""
    names = [f"%{c}: {t.strip()}" for c, t in zip("abcd", types.split(";"))] if types else []
    results = result if result.startswith("(") else f"({result})"
    text = f"module @m {{ func.func public @main({', '.join(names)}) -> {results} {{\n{body}\n}} }}"
    module = parse_stablehlo(text)
    module.verify()
    return evaluate(module, *arrays)


def unary(body: str, x: np.ndarray, kind: str = "tensor<4xf32>", result: str | None = None):
    return run(f"{body}\nreturn %r : {result or kind}", x, types=kind, result=result or kind)


X = np.array([1.5, -2.0, 0.25, 3.0], np.float32)


def test_pretty_and_generic_forms_mean_the_same() -> None:
    pretty = unary("%r = stablehlo.add %a, %a : tensor<4xf32>", X)
    generic = unary('%r = "stablehlo.add"(%a, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>', X)
    np.testing.assert_array_equal(pretty, 2 * X)
    np.testing.assert_array_equal(generic, 2 * X)


def test_a_wholly_generic_module_is_read() -> None:
    text = """"builtin.module"() <{sym_name = "g"}> ({
      "func.func"() <{arg_attrs = [{tf.aliasing_output = 0 : i32}, {}], function_type = (tensor<2xf32>, tensor<2xf32>)
          -> tensor<2xf32>, sym_name = "main"}> ({
      ^bb0(%arg0: tensor<2xf32>, %arg1: tensor<2xf32>):
        %0 = "stablehlo.multiply"(%arg0, %arg1) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
        "func.return"(%0) : (tensor<2xf32>) -> ()
      }) : () -> ()
    }) : () -> ()"""
    module = parse_stablehlo(text)
    assert module.name == "g" and module.donated == (0,)
    assert evaluate(module, np.float32([2, 3]), np.float32([4, 5])).tolist() == [8, 15]


def test_locations_comments_aliases_and_attributes_that_say_nothing_are_skipped() -> None:
    text = """#loc1 = loc("x")
    #map = affine_map<(d0) -> (d0)>
    #numbers = array<i64: 1, 0>
    sdy.mesh @mesh = <["x"=2]>
    module @IrToHlo.12 attributes {mhlo.cross_program_prefetches = [], tf.versions = {producer = 12 : i32}} {
      // a comment
      func.func @main(%arg0: tensor<2x3xf32> {mhlo.sharding = "{replicated}", jax.buffer_donor = true} loc("x"))
          -> (tensor<3x2xf32> {jax.result_info = "result"}) attributes {tf.entry_function = {inputs = "a"}} {
        %0 = "stablehlo.transpose"(%arg0) {permutation = #numbers, mhlo.frontend_attributes = {a = "b"}}
          : (tensor<2x3xf32>) -> tensor<3x2xf32> loc(callsite("f"("g.py":1:2 to :3) at #loc1))
        %1 = sdy.sharding_constraint %0 <@mesh, [{"x"}, {}]> : tensor<3x2xf32>
        return %1 : tensor<3x2xf32> loc(#loc2)
      } loc(#loc)
    } loc(#loc)
    #loc = loc(unknown)
    #loc2 = loc(fused<"p">["a", "b"("c":1:1)])"""
    module = parse_stablehlo(text)
    assert module.name == "IrToHlo.12" and module.donated == (0,)
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(evaluate(module, x), x.T)


@pytest.mark.parametrize(
    ("literal", "kind", "value"),
    [
        ("dense<2.5>", "tensor<2xf32>", np.full(2, 2.5, np.float32)),
        ("dense<[0x7F800000, 0xFFC00000]>", "tensor<2xf32>", np.float32([np.inf, -np.nan])),
        ('dense<"0x0000803F00000040">', "tensor<2xf32>", np.float32([1, 2])),
        ('dense<"0x05">', "tensor<4xi1>", np.array([True, False, True, False])),
        ("dense<true>", "tensor<2xi1>", np.array([True, True])),
        ("dense<[true, false]>", "tensor<2xi1>", np.array([True, False])),
        (
            "dense<[(1.0, -2.0), (0x7F800000, 0.0)]>",
            "tensor<2xcomplex<f32>>",
            np.complex64([1 - 2j, complex(np.inf, 0)]),
        ),
        ("dense<(1.0, 2.0)>", "tensor<complex<f64>>", np.complex128(1 + 2j)),
        ("dense<[[1, -2], [3, 4]]>", "tensor<2x2xi8>", np.int8([[1, -2], [3, 4]])),
        ("dense<[18446744073709551615, 0]>", "tensor<2xui64>", np.uint64([2**64 - 1, 0])),
        ("dense<>", "tensor<0x3xi32>", np.zeros((0, 3), np.int32)),
        ("dense<[]>", "tensor<0xi32>", np.zeros(0, np.int32)),
    ],
)
def test_literals_have_the_values_they_say(literal: str, kind: str, value: np.ndarray) -> None:
    got = run(f"%r = stablehlo.constant {literal} : {kind}\nreturn %r : {kind}", result=kind)
    assert got.dtype == value.dtype
    np.testing.assert_array_equal(got, value)


def test_dense_resources_are_found_in_their_section() -> None:
    text = """func.func @main() -> tensor<2xf32> {
      %0 = stablehlo.constant dense_resource<w> : tensor<2xf32>
      return %0 : tensor<2xf32>
    }
    {-# dialect_resources: { builtin: { w: "0x040000000000803F00000040" } } #-}"""
    assert evaluate(parse_stablehlo(text)).tolist() == [1, 2]


def test_while_passes_values_from_outside_through_its_state() -> None:
    body = """%c = stablehlo.constant dense<0> : tensor<i32>
      %n = stablehlo.constant dense<3> : tensor<i32>
      %l:2 = stablehlo.while(%i = %c, %x = %a) : tensor<i32>, tensor<4xf32>
      cond {
        %t = stablehlo.compare LT, %i, %n, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
        stablehlo.return %t : tensor<i1>
      } do {
        %one = stablehlo.constant dense<1> : tensor<i32>
        %j = stablehlo.add %i, %one : tensor<i32>
        %y = stablehlo.add %x, %a : tensor<4xf32>
        stablehlo.return %j, %y : tensor<i32>, tensor<4xf32>
      }
      return %l#1 : tensor<4xf32>"""
    np.testing.assert_array_equal(run(body, X, types="tensor<4xf32>"), 4 * X)


def test_branches_see_values_from_outside_and_give_several_results() -> None:
    body = """%r:2 = "stablehlo.if"(%a) ({
        stablehlo.return %b, %c : tensor<4xf32>, tensor<4xf32>
      }, {
        %n = stablehlo.negate %b : tensor<4xf32>
        stablehlo.return %n, %b : tensor<4xf32>, tensor<4xf32>
      }) : (tensor<i1>) -> (tensor<4xf32>, tensor<4xf32>)
      return %r#0, %r#1 : tensor<4xf32>, tensor<4xf32>"""
    types, result = "tensor<i1>; tensor<4xf32>; tensor<4xf32>", "(tensor<4xf32>, tensor<4xf32>)"
    for flag in (True, False):
        got = run(body, np.array(flag), X, 2 * X, types=types, result=result)
        np.testing.assert_array_equal(got, (X, 2 * X) if flag else (-X, X))


def test_reduce_in_all_its_forms() -> None:
    applied = "%r = stablehlo.reduce(%a init: %z) applies stablehlo.add across dimensions = [0] : {0}"
    region = """%r = stablehlo.reduce(%a init: %z) across dimensions = [0] : {0}
      reducer(%x: tensor<f32>, %y: tensor<f32>) {{
        %s = stablehlo.add %x, %y : tensor<f32>
        stablehlo.return %s : tensor<f32>
      }}"""
    generic = """%r = "stablehlo.reduce"(%a, %z) ({{
      ^bb0(%x: tensor<f32>, %y: tensor<f32>):
        %s = stablehlo.add %x, %y : tensor<f32>
        stablehlo.return %s : tensor<f32>
      }}) {{dimensions = dense<0> : tensor<1xi64>}} : {0}"""
    for form in (applied, region, generic):
        body = "%z = stablehlo.constant dense<1.0> : tensor<f32>\n" + form.format(
            "(tensor<4xf32>, tensor<f32>) -> tensor<f32>"
        )
        assert unary(body, X, result="tensor<f32>") == X.sum() + 1


def test_broadcast_in_dim_stretches_dimensions_of_one() -> None:
    x = np.float32([[1], [2]])
    body = "%r = stablehlo.broadcast_in_dim %a, dims = [0, 2] : (tensor<2x1xf32>) -> tensor<2x3x4xf32>"
    got = unary(body, x, "tensor<2x1xf32>", "tensor<2x3x4xf32>")
    np.testing.assert_array_equal(got, np.broadcast_to(x[:, None], (2, 3, 4)))


def test_dynamic_forms_with_known_shapes_are_static() -> None:
    body = """%s = stablehlo.constant dense<[1]> : tensor<1xi64>
      %l = stablehlo.constant dense<[4]> : tensor<1xi64>
      %t = stablehlo.constant dense<[2]> : tensor<1xi64>
      %0 = "stablehlo.real_dynamic_slice"(%a, %s, %l, %t)
        : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<2xf32>
      %v = stablehlo.constant dense<0.0> : tensor<f32>
      %z = stablehlo.constant dense<[0]> : tensor<1xi64>
      %1 = stablehlo.dynamic_pad %0, %v, %s, %z, %s
        : (tensor<2xf32>, tensor<f32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<4xf32>
      %r = stablehlo.dynamic_broadcast_in_dim %1, %l, dims = [0] : (tensor<4xf32>, tensor<1xi64>) -> tensor<4xf32>"""
    assert unary(body, X).tolist() == [0, -2, 0, 3]


def test_composites_run_their_decomposition_and_annotations_vanish() -> None:
    text = """module { func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
        %0 = stablehlo.custom_call @Sharding(%a) {mhlo.sharding = "{replicated}"} : (tensor<4xf32>) -> tensor<4xf32>
        %1 = stablehlo.composite "my.double" %0 {composite_attributes = {n = 1 : i32}, decomposition = @impl}
          : (tensor<4xf32>) -> tensor<4xf32>
        return %1 : tensor<4xf32>
      }
      func.func private @impl(%a: tensor<4xf32>) -> tensor<4xf32> {
        %0 = stablehlo.add %a, %a : tensor<4xf32>
        return %0 : tensor<4xf32>
      } }"""
    module = parse_stablehlo(text)
    assert not any(i.is_a("custom-call") for i in module.entry)
    np.testing.assert_array_equal(evaluate(module, X), 2 * X)


def test_older_custom_calls_of_client_functions_are_unwrapped() -> None:
    body = """%r = stablehlo.custom_call @mhlo.asinh(%a) {mhlo.attributes = {}, mhlo.version = 1 : i64}
      : (tensor<4xf32>) -> tensor<4xf32>"""
    np.testing.assert_allclose(unary(body, X), np.arcsinh(X), rtol=1e-6)


def test_dot_general_in_its_older_form() -> None:
    body = """%r = "stablehlo.dot_general"(%a, %b) {dot_dimension_numbers = #stablehlo.dot<
        lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>,
        precision_config = [#stablehlo<precision HIGHEST>, #stablehlo<precision DEFAULT>]}
      : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>
      return %r : tensor<2x2xf32>"""
    a, b = np.arange(6, dtype=np.float32).reshape(2, 3), np.arange(6, dtype=np.float32).reshape(3, 2)
    got = run(body, a, b, types="tensor<2x3xf32>; tensor<3x2xf32>", result="tensor<2x2xf32>")
    np.testing.assert_array_equal(got, a @ b)


CLIENT = {
    "acos": (np.arccos, [-1, -0.5, 0.1, 1]),
    "acosh": (np.arccosh, [1, 1.001, 2, 1e30]),
    "asin": (np.arcsin, [-1, -1e-8, 0.3, 1]),
    "asinh": (np.arcsinh, [-1e30, -1e-8, 0.3, 5]),
    "atan": (np.arctan, [-1e9, -1e-8, 0.3, 5]),
    "atanh": (np.arctanh, [-0.9, -1e-8, 0.3, 0.99]),
    "cosh": (np.cosh, [-3, -1e-8, 0.3, 5]),
    "sinh": (np.sinh, [-3, -1e-8, 0.3, 5]),
    "square": (np.square, [-3, -1e-8, 0.3, 5]),
    "conj": (np.conj, [-3, -1e-8, 0.3, 5]),
}


@pytest.mark.parametrize("name", CLIENT)
@pytest.mark.parametrize("dtype", ["f64", "complex<f64>"])
def test_client_functions_agree_with_numpy(name: str, dtype: str) -> None:
    function, points = CLIENT[name]
    x = np.array(points, np.float64)
    if dtype != "f64":
        x = x + 0.5j if name != "asinh" else np.clip(x, -1e3, None) + 0.5j
    kind = f"tensor<4x{dtype}>"
    got = unary(f"%r = chlo.{name} %a : {kind} -> {kind}", x, kind)
    np.testing.assert_allclose(got, function(x), rtol=1e-13)


@pytest.mark.parametrize("name", ["erfc", "erf_inv", "lgamma", "digamma", "zeta", "polygamma", "bessel_i1e"])
def test_special_functions_are_accurate(name: str) -> None:
    mpmath = pytest.importorskip("mpmath")
    x = np.array([0.05, 0.4, 1.7, 9.5]) if name != "erf_inv" else np.array([-0.999, -0.3, 1e-9, 0.75])
    expected = {
        "erfc": mpmath.erfc,
        "erf_inv": mpmath.erfinv,
        "lgamma": mpmath.loggamma,
        "digamma": mpmath.digamma,
        "zeta": lambda v: mpmath.zeta(v + 1, v),
        "polygamma": lambda v: mpmath.polygamma(2, v),
        "bessel_i1e": lambda v: mpmath.besseli(1, v) * mpmath.exp(-v),
    }[name]
    kind = "tensor<4xf64>"
    operands = {"zeta": "%s, %a", "polygamma": "%n, %a"}.get(name, "%a")
    body = f"""%one = stablehlo.constant dense<1.0> : {kind}
      %n = stablehlo.constant dense<2.0> : {kind}
      %s = stablehlo.add %a, %one : {kind}
      %r = chlo.{name} {operands} : {", ".join([kind] * (operands.count(",") + 1))} -> {kind}"""
    got = unary(body, x, kind)
    with mpmath.workdps(40):
        wanted = [float(expected(mpmath.mpf(float(v)))) for v in x]
    np.testing.assert_allclose(got, wanted, rtol=5e-13)


BAD = [
    ("%r = stablehlo.add %a, %zz : tensor<4xf32>", "%zz is not defined"),
    ("%r = stablehlo.ad %a, %a : tensor<4xf32>", "or stablehlo.add?"),
    ("%r = linalg.matmul %a, %a : tensor<4xf32>", "dialect linalg"),
    ("%r = stablehlo.add %a, %a : tensor<5xf32>", "declared f32[5] but its operands give f32[4]"),
    ("%r = stablehlo.reshape %a : (tensor<4xf32>) -> tensor<3xf32>", "number and type of elements"),
    ("%r = stablehlo.add %a, %a : tensor<?xf32>", "dynamic dimensions"),
    ("%r = stablehlo.add %a, %a : tensor<?xf32, #stablehlo.bounds<4>>", "bounded dynamic dimensions"),
    ("%r = stablehlo.uniform_quantize %a : (tensor<4xf32>) -> tensor<4x!quant.uniform<i8:f32, 0.1:3>>", "quantised"),
    ("%r = stablehlo.constant dense<[1.0, 2.0]> : tensor<4xf32>", "2 elements but its type"),
    ("%r = stablehlo.constant dense<[[1.0, 2.0, 3.0, 4.0]]> : tensor<4xf32>", "not nested"),
    ("%r = stablehlo.constant dense<300> : tensor<4xi8>", "does not fit"),
    ("%r = stablehlo.constant dense<1.x> : tensor<4xf32>", "is not a number"),
    ("%r = func.call @f(%a) : (tensor<4xf32>) -> tensor<4xf32>", "no function @f"),
    ("%r = func.call @main(%a) : (tensor<4xf32>) -> tensor<4xf32>", "calls itself"),
    ("%r = stablehlo.transpose %a : (tensor<4xf32>) -> tensor<4xf32>", "permutation is missing"),
    ("%a = stablehlo.add %a, %a : tensor<4xf32>", "defined twice"),
    ("%r = stablehlo.add %a %a : tensor<4xf32> }", "expected"),
    ("%r = stablehlo.add %a, ~ : tensor<4xf32>", "cannot read"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[m for _, m in BAD])
def test_errors_say_what_is_wrong_and_where(line: str, message: str) -> None:
    head = "module {\nfunc.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {\n  "
    text = f"{head}{line}\n  return %r : tensor<4xf32>\n}} }}"
    with pytest.raises(ParseError) as caught:
        parse_stablehlo(text, "m.mlir")
    assert message in str(caught.value) and str(caught.value).startswith(f"m.mlir:{caught.value.line}:")
    assert caught.value.line in (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no function @main"),
        ("module {", "ends too early"),
        ("module { func.func private @f() -> tensor<f32> }", "no function @main"),
        ("(" * 10_000, "nested more than"),
        ("module " + "{ module " * 10_000, "nested more than"),
        ("HloModule m", "expected"),
    ],
)
def test_texts_that_are_no_programs_are_refused(text: str, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        parse_stablehlo(text)


def test_a_region_that_uses_a_value_from_outside_a_reduction_is_refused() -> None:
    body = """%z = stablehlo.constant dense<0.0> : tensor<f32>
      %q = stablehlo.reduce(%a init: %z) applies stablehlo.add across dimensions = [0]
        : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
      %r = stablehlo.reduce(%a init: %z) across dimensions = [0] : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
      reducer(%x: tensor<f32>, %y: tensor<f32>) {
        %s = stablehlo.add %x, %q : tensor<f32>
        stablehlo.return %s : tensor<f32>
      }"""
    with pytest.raises(ParseError, match="uses %q from outside"):
        unary(body, X, result="tensor<f32>")


SAMPLE = """module @m attributes {mhlo.num_replicas = 1 : i32} {
  func.func public @main(%arg0: tensor<2x3xf32>) -> (tensor<2xf32>, tensor<2x3xi1>) {
    %cst = stablehlo.constant dense<[0x7F800000, 1.0]> : tensor<2xf32>
    %0 = stablehlo.slice %arg0 [0:2, 1:3] : (tensor<2x3xf32>) -> tensor<2x2xf32>
    %1 = stablehlo.dot_general %0, %cst, contracting_dims = [1] x [0]
      : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2xf32>
    %2 = stablehlo.compare LT, %arg0, %arg0, FLOAT : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xi1>
    return %1, %2 : tensor<2xf32>, tensor<2x3xi1>
  }
}
"""


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(SAMPLE) - 1),
    st.integers(0, 8),
    st.sampled_from(["", "%0", "}", "(", "<", ":", "9" * 30, "\x00", '"']),
)
def test_damaged_texts_raise_nothing_but_parse_errors(at: int, cut: int, insert: str) -> None:
    try:
        parse_stablehlo(SAMPLE[:at] + insert + SAMPLE[at + cut :])
    except ParseError as error:
        assert error.message


def nested_tuples(depth: int) -> str:
    lines, shape = [], "tensor<2xcomplex<f32>>"
    for i in range(depth):
        lines.append(f"%t{i + 1} = stablehlo.tuple %t{i} : tuple<{shape}>")
        shape = f"tuple<{shape}>"
    body = "\n".join(lines)
    return f"func.func @main(%t0: tensor<2xcomplex<f32>>) -> {shape} {{\n{body}\nreturn %t{depth} : {shape}\n}}\n"


@pytest.mark.parametrize("depth", [3, 4, 20, 64])
def test_tuple_types_nest_as_deep_as_those_of_hlo(depth):
    module = parse_stablehlo(nested_tuples(depth))
    assert str(module.entry.root.shape) == "(" * depth + "c64[2]" + ")" * depth
    assert parse_hlo(module.to_string()).to_string() == module.to_string()


def test_tuple_types_deeper_than_those_of_hlo_are_refused():
    with pytest.raises(ParseError, match="more than 64 deep"):
        parse_stablehlo(nested_tuples(65))


def test_aliases_of_tuples_that_hold_each_other_many_times_are_refused():
    aliases = "".join(f"!a{i + 1} = tuple<!a{i}, !a{i}>\n" for i in range(60))
    with pytest.raises(ParseError, match="or hold more than 100000 types"):
        parse_stablehlo(f"!a0 = tensor<f32>\n{aliases}func.func @main(%x: !a60) -> !a60 {{\n  return %x : !a60\n}}\n")


def nested_loops(depth: int) -> str:
    opened, closed = [], [f"%y = stablehlo.add %a{depth - 1}, %k : tensor<i32>"]
    for i in range(depth):
        opened.append(f"""%w{i} = stablehlo.while(%a{i} = {f"%a{i - 1}" if i else "%x"}) : tensor<i32> cond {{
            %c{i} = stablehlo.compare LT, %a{i}, %k : (tensor<i32>, tensor<i32>) -> tensor<i1>
            stablehlo.return %c{i} : tensor<i1>
        }} do {{""")
        closed.append(f"stablehlo.return {f'%w{depth - i}' if i else '%y'} : tensor<i32>\n}}")
    body = "\n".join([*opened, *closed])
    constant = "%k = stablehlo.constant dense<3> : tensor<i32>"
    return f"func.func @main(%x: tensor<i32>) -> tensor<i32> {{\n{constant}\n{body}\nreturn %w0 : tensor<i32>\n}}\n"


def test_regions_nest_deeply_and_deeper_ones_are_refused():
    assert xlac.evaluate(parse_stablehlo(nested_loops(128)), np.int32(1)) == 4
    with pytest.raises(ParseError, match="regions are nested more than 128 deep"):
        parse_stablehlo(nested_loops(129))


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [("f8E4M3FN", "f8E5M2", "f32"), ("f8E5M2FNUZ", "f8E4M3FNUZ", "bf16"), ("f8E4M3FN", "f8E5M2", "f8E4M3FN")],
)
def test_dots_of_two_eight_bit_floats(left, right, result):
    text = f"""func.func @main(%x: tensor<2x3x{left}>, %y: tensor<3x2x{right}>) -> tensor<2x2x{result}> {{
  %0 = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0]
    : (tensor<2x3x{left}>, tensor<3x2x{right}>) -> tensor<2x2x{result}>
  return %0 : tensor<2x2x{result}>
}}
"""
    module = parse_stablehlo(text)
    assert parse_hlo(module.to_string()).to_string() == module.to_string()
    x = np.array([[0, 1, -2], [0.5, 2, 1]]).astype(module.parameter_shapes[0].dtype)
    y = np.array([[1, -1], [2, 0.5], [0.25, 4]]).astype(module.parameter_shapes[1].dtype)
    want = x.astype(float) @ y.astype(float)  # each is exact in every one of these types
    for got in (xlac.evaluate(module, x, y), xlac.compile(module)(x, y)):
        np.testing.assert_array_equal(np.asarray(got).astype(float), want.astype(got.dtype).astype(float))


@pytest.mark.parametrize("attributes", ["", ' {stablehlo.mesh = {axes = [{name = "a}", size = 2 : i64}]}}'])
def test_meshes_of_devices_are_passed_over(attributes):
    text = f"""module @m {{
  sdy.mesh @mesh = <["a"=2, "b"=4], device_ids=[0]>{attributes}
  func.func public @main(%arg0: tensor<4xf32> {{sdy.sharding = #sdy.sharding<@mesh, [{{"a"}}]>}}) -> tensor<4xf32> {{
    return %arg0 : tensor<4xf32>
  }}
}}
"""
    np.testing.assert_array_equal(evaluate(parse_stablehlo(text), X), X)


@pytest.mark.parametrize("target", ["xla_ffi_python_cpu_callback", "xla_python_cpu_callback"])
def test_a_call_of_a_python_function_says_that_no_text_holds_it(target):
    body = f"%r = stablehlo.custom_call @{target}(%a) {{api_version = 4 : i32}} : (tensor<4xf32>) -> tensor<4xf32>"
    with pytest.raises(xlac.errors.XlacError, match="is a Python function of the process that traced this program"):
        unary(body, X)
