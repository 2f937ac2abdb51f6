"""Special cases of the Python Array API standard 2024.12: results at zeros, ones, infinities and NaN, of every function
and of the operators on traced arrays, for both widths of real and of complex numbers.

A rule is a condition on each operand and what the result must be; the tables hold the standard's rules one by one.
"""

import itertools
import math
import operator
import re

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp

INF, NAN, PI = math.inf, math.nan, math.pi


def same(got, want):
    """Equal with the sign of zero; NaN equals NaN of either sign."""
    if want != want:
        return got != got
    return got == want and math.copysign(1, got) == math.copysign(1, want)


def near(got, want):
    return math.isclose(got, want, rel_tol=1e-6)


CONDITIONS = {
    "any": lambda v: True,
    "fin": math.isfinite,
    "nz": lambda v: math.isfinite(v) and v != 0,
    "pos": lambda v: math.isfinite(v) and v > 0,
    "neg": lambda v: math.isfinite(v) and v < 0,
    "number": lambda v: v == v,
    "+-0": lambda v: v == 0,
    "+-inf": lambda v: abs(v) == INF,
    "int": lambda v: math.isfinite(v) and v == int(v),
    "fraction": lambda v: math.isfinite(v) and v != int(v),
    "odd": lambda v: math.isfinite(v) and v == int(v) and int(v) % 2 == 1,
    "not-odd": lambda v: not (math.isfinite(v) and v == int(v) and int(v) % 2 == 1),
    "sign+": lambda v: v == v and math.copysign(1, v) == 1,
    "sign-": lambda v: v == v and math.copysign(1, v) == -1,
}
COMPARED = {"<": operator.lt, ">": operator.gt, "!=": operator.ne}
VALUES = {"nan": NAN, "inf": INF, "0": 0.0, "1": 1.0, "pi": PI, "pi/2": PI / 2, "pi/4": PI / 4, "3pi/4": 3 * PI / 4}


def value(word):
    return -VALUES[word[1:]] if word.startswith("-") else VALUES[word.lstrip("+")]


def holds(condition, v):
    """Whether a number meets a condition such as `nan`, `-0`, `>1`, `|<1` (of its size) or `pos&odd` (both)."""
    if "&" in condition:
        return all(holds(c, v) for c in condition.split("&"))
    if condition.startswith("|"):
        return holds(condition[1:], abs(v))
    if condition in CONDITIONS:
        return CONDITIONS[condition](v)
    compared = re.match(r"([<>]|!=)(.+)", condition)
    return COMPARED[compared[1]](v, value(compared[2])) if compared else same(v, value(condition))


def meets(result, got, operands):
    """Whether a result is as demanded: a value, one of the operands (`x1`, `|x1|`), a sign, or True or False."""
    if result in ("True", "False"):
        return got == (result == "True")
    if result in ("+", "-"):
        return got != got or math.copysign(1, got) == float(result + "1")
    if "x" in result:
        of = operands[int(result.strip("-|x") or 1) - 1]
        of = abs(of) if "|" in result else of
        return same(got, -of if result.startswith("-") else of)
    want = value(result)
    return near(got, want) if "pi" in result else same(got, want)


def samples(dtype):
    info = np.finfo(dtype)
    sizes = [
        0,
        1,
        0.5,
        1.5,
        2,
        2.5,
        3,
        7,
        1e-3,
        12345.678,
        2**21 + 1,
        info.tiny,
        info.smallest_subnormal,
        info.max,
        INF,
    ]
    return np.array([s * v for v in sizes for s in (1.0, -1.0)] + [NAN], dtype)


ODD_FUNCTION = "nan: nan, 0: 0, -0: -0"
ROUNDING = f"{ODD_FUNCTION}, inf: inf, -inf: -inf, int: x"
LOGARITHM = "nan: nan, <0: nan, +-0: -inf, 1: 0, inf: inf"
REAL = {
    "abs": "nan: nan, -0: 0, -inf: inf",
    "acos": "nan: nan, >1: nan, <-1: nan, 1: 0",
    "acosh": "nan: nan, <1: nan, 1: 0, inf: inf",
    "asin": f"{ODD_FUNCTION}, >1: nan, <-1: nan",
    "asinh": f"{ODD_FUNCTION}, inf: inf, -inf: -inf",
    "atan": f"{ODD_FUNCTION}, inf: pi/2, -inf: -pi/2",
    "atanh": f"{ODD_FUNCTION}, <-1: nan, >1: nan, -1: -inf, 1: inf",
    "ceil": ROUNDING,
    "cos": "nan: nan, +-0: 1, +-inf: nan",
    "cosh": "nan: nan, +-0: 1, +-inf: inf",
    "exp": "nan: nan, +-0: 1, inf: inf, -inf: 0",
    "expm1": f"{ODD_FUNCTION}, inf: inf, -inf: -1",
    "floor": ROUNDING,
    "isfinite": "+-inf: False, nan: False, fin: True",
    "isinf": "+-inf: True, nan: False, fin: False",
    "isnan": "nan: True, number: False",
    "log": LOGARITHM,
    "log1p": f"{ODD_FUNCTION}, <-1: nan, -1: -inf, inf: inf",
    "log2": LOGARITHM,
    "log10": LOGARITHM,
    "reciprocal": "nan: nan, 0: inf, -0: -inf, inf: 0, -inf: -0",
    "round": ROUNDING,
    "sign": "<0: -1, +-0: 0, >0: 1, nan: nan",
    "signbit": "0: False, -0: True, inf: False, -inf: True, pos: False, neg: True",
    "sin": f"{ODD_FUNCTION}, +-inf: nan",
    "sinh": f"{ODD_FUNCTION}, inf: inf, -inf: -inf",
    "sqrt": f"{ODD_FUNCTION}, <0: nan, inf: inf",
    "square": "nan: nan, +-0: 0, +-inf: inf",
    "tan": f"{ODD_FUNCTION}, +-inf: nan",
    "tanh": f"{ODD_FUNCTION}, inf: 1, -inf: -1",
    "trunc": ROUNDING,
}
NANS = "nan any: nan, any nan: nan"
SUM = f"""{NANS}, inf -inf: nan, -inf inf: nan, inf inf: inf, -inf -inf: -inf, inf fin: inf, -inf fin: -inf,
fin inf: inf, fin -inf: -inf, -0 -0: -0, -0 0: 0, 0 -0: 0, 0 0: 0, +-0 nz: x2, nz +-0: x1"""
SIGNS = "sign+ sign+: +, sign- sign-: +, sign+ sign-: -, sign- sign+: -"
QUOTIENT = f"""{NANS}, +-inf +-inf: nan, +-0 +-0: nan, 0 >0: 0, -0 >0: -0, 0 <0: -0, -0 <0: 0, >0 0: inf, >0 -0: -inf,
<0 0: -inf, <0 -0: inf, inf pos: inf, inf neg: -inf, -inf pos: -inf, -inf neg: inf, pos inf: 0, pos -inf: -0,
neg inf: -0, neg -inf: 0, {SIGNS}"""
BINARY = {
    "add": SUM,
    "atan2": f"""{NANS}, >0 +-0: pi/2, 0 >0: 0, 0 0: 0, 0 -0: pi, 0 <0: pi, -0 >0: -0, -0 0: -0, -0 -0: -pi,
    -0 <0: -pi, <0 +-0: -pi/2, pos inf: 0, pos -inf: pi, neg inf: -0, neg -inf: -pi, inf fin: pi/2,
    -inf fin: -pi/2, inf inf: pi/4, inf -inf: 3pi/4, -inf inf: -pi/4, -inf -inf: -3pi/4""",
    "copysign": "number <0: -|x1|, number -0: -|x1|, number 0: |x1|, number >0: |x1|, nan any: nan",
    "divide": QUOTIENT,
    "equal": "nan any: False, any nan: False, inf inf: True, -inf -inf: True, +-0 +-0: True, pos neg: False",
    "floor_divide": QUOTIENT,
    "hypot": "+-inf any: inf, any +-inf: inf, +-0 any: |x2|, any +-0: |x1|, fin nan: nan, nan fin: nan, nan nan: nan",
    "logaddexp": f"{NANS}, inf number: inf, number inf: inf, -inf -inf: -inf",
    "maximum": f"{NANS}, inf number: inf, -inf number: x2",
    "minimum": f"{NANS}, -inf number: -inf, inf number: x2",
    "multiply": f"{NANS}, +-inf +-0: nan, +-0 +-inf: nan, {SIGNS}",
    "nextafter": f"{NANS}, -0 0: 0, 0 -0: -0",
    "not_equal": "nan any: True, any nan: True, inf -inf: True, -inf inf: True, pos neg: True, +-0 +-0: False",
    "pow": """!=1 nan: nan, any +-0: 1, nan !=0: nan, |>1 inf: inf, |>1 -inf: 0, |1 +-inf: 1, 1 number: 1,
    |<1 inf: 0, |<1 -inf: inf, inf >0: inf, inf <0: 0, -inf >0&odd: -inf, -inf >0&not-odd: inf, -inf <0&odd: -0,
    -inf <0&not-odd: 0, 0 >0: 0, 0 <0: inf, -0 >0&odd: -0, -0 >0&not-odd: 0, -0 <0&odd: -inf,
    -0 <0&not-odd: inf, neg fraction: nan""",
    "remainder": f"""{NANS}, +-inf any: nan, any +-0: nan, +-0 >0: 0, +-0 <0: -0, pos inf: x1, pos -inf: x2,
    neg inf: x2, neg -inf: x1, nz >0: +, nz <0: -""",
    "subtract": """nan any: nan, any nan: nan, inf inf: nan, -inf -inf: nan, inf -inf: inf, -inf inf: -inf,
    inf fin: inf, -inf fin: -inf, fin inf: -inf, fin -inf: inf, 0 0: 0, 0 -0: 0, -0 0: -0, -0 -0: 0, nz +-0: x1,
    +-0 nz: -x2""",
}
OPERATORS = {
    "add": operator.iadd,
    "divide": operator.itruediv,
    "equal": operator.eq,
    "floor_divide": operator.ifloordiv,
    "multiply": operator.imul,
    "not_equal": operator.ne,
    "pow": operator.ipow,
    "remainder": operator.imod,
    "subtract": operator.isub,
    "abs": operator.abs,
}


def rules(text):
    """(conditions, results) of each rule of a table."""
    pairs = (rule.split(":") for rule in text.replace("\n", " ").split(","))
    return [(conditions.split(), results.split()) for conditions, results in pairs]


def ways(name):
    """The function, compiled and by the reference evaluator; its operator (in place if it has one), traced or not."""
    function, operate = getattr(xnp, name), OPERATORS.get(name)
    both = [function, xlac.jit(function, options=xlac.Options(evaluate=True))]
    return both + ([lambda *xs: operate(*map(xnp.asarray, xs)), xlac.jit(operate)] if operate else [])


def failures(table, ways, columns):
    """Rules that a function breaks, and where; every rule must apply to some sample."""
    wrong = []
    rows = list(zip(*(c.tolist() for c in columns)))
    for run in ways:
        got = np.asarray(run(*columns)).tolist()
        for conditions, (result,) in table:
            chosen = [i for i, row in enumerate(rows) if all(map(holds, conditions, row))]
            assert chosen, conditions
            wrong += [(conditions, result, rows[i], got[i]) for i in chosen if not meets(result, got[i], rows[i])]
    return wrong


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", REAL)
def test_special_cases_of_functions_of_one_real_number(name, dtype):
    assert failures(rules(REAL[name]), ways(name), [samples(dtype)]) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", BINARY)
def test_special_cases_of_functions_of_two_real_numbers(name, dtype):
    x = samples(dtype)
    columns = [c.ravel() for c in np.meshgrid(x, x, indexing="ij")]
    assert failures(rules(BINARY[name]), ways(name), columns) == []


def test_halves_are_rounded_to_even_and_clip_passes_nan_on():
    halves = np.arange(-9.5, 9.5)
    assert xnp.round(halves).tolist() == [float(round(v)) for v in halves.tolist()]
    assert np.isnan(xnp.clip(np.array([NAN, 1.0, 1.0]), np.array([0.0, NAN, 0.0]), np.array([2.0, 2.0, NAN]))).all()


def test_copysign_and_signbit_see_the_sign_of_nan():
    nans = np.array([np.copysign(NAN, 1), np.copysign(NAN, -1)])
    assert xnp.signbit(nans).tolist() == [False, True]
    assert np.signbit(xnp.copysign(np.array([NAN, -1.0]), nans)).tolist() == [False, True]


# ---- complex numbers

# Conditions on the real and the imaginary part; results likewise. `~` leaves the sign open, `cis` is the direction of
# the imaginary part times the number before it.
COMPLEX = {
    "abs": "+-inf any: inf, any +-inf: inf, nan fin: nan, fin nan: nan, nan nan: nan, +-0 fin: |x2|, fin +-0: |x1|",
    "acos": """+-0 0: pi/2 -0, +-0 nan: pi/2 nan, fin inf: pi/2 -inf, nz nan: nan nan, -inf pos: pi -inf,
    inf pos: 0 -inf, -inf inf: 3pi/4 -inf, inf inf: pi/4 -inf, +-inf nan: nan ~inf, nan fin: nan nan,
    nan inf: nan -inf, nan nan: nan nan""",
    "acosh": """+-0 0: 0 pi/2, fin inf: inf pi/2, nz nan: nan nan, 0 nan: nan ~pi/2, -inf pos: inf pi,
    inf pos: inf 0, -inf inf: inf 3pi/4, inf inf: inf pi/4, +-inf nan: inf nan, nan fin: nan nan,
    nan inf: inf nan, nan nan: nan nan""",
    "asinh": """0 0: 0 0, pos inf: inf pi/2, fin nan: nan nan, inf pos: inf 0, inf inf: inf pi/4, nan 0: nan 0,
    nan nz: nan nan, nan inf: ~inf nan, nan nan: nan nan""",
    "atanh": """0 0: 0 0, 0 nan: 0 nan, 1 0: inf 0, pos inf: 0 pi/2, nz nan: nan nan, inf pos: 0 pi/2,
    inf inf: 0 pi/2, inf nan: 0 nan, nan fin: nan nan, nan inf: ~0 pi/2, nan nan: nan nan""",
    "cosh": """0 0: 1 0, 0 inf: nan ~0, 0 nan: nan ~0, nz inf: nan nan, nz nan: nan nan, inf 0: inf 0,
    inf nz: inf cis, inf inf: ~inf nan, inf nan: inf nan, nan +-0: nan ~0, nan nz: nan nan, nan nan: nan nan""",
    "exp": """+-0 0: 1 0, fin inf: nan nan, fin nan: nan nan, inf 0: inf 0, -inf fin: 0 cis, inf nz: inf cis,
    -inf inf: ~0 ~0, inf inf: ~inf nan, -inf nan: ~0 ~0, inf nan: ~inf nan, nan 0: nan 0, nan !=0: nan nan""",
    "expm1": """+-0 0: 0 0, fin inf: nan nan, fin nan: nan nan, inf 0: inf 0, inf nz: inf cis, -inf inf: -1 ~0,
    inf inf: ~inf nan, -inf nan: -1 ~0, inf nan: ~inf nan, nan 0: nan 0, nan !=0: nan nan""",
    "log": """-0 0: -inf pi, 0 0: -inf 0, fin inf: inf pi/2, fin nan: nan nan, -inf pos: inf pi, inf pos: inf 0,
    -inf inf: inf 3pi/4, inf inf: inf pi/4, +-inf nan: inf nan, nan fin: nan nan, nan inf: inf nan,
    nan nan: nan nan""",
    "log1p": """-1 0: -inf 0, fin inf: inf pi/2, fin nan: nan nan, -inf pos: inf pi, inf pos: inf 0,
    -inf inf: inf 3pi/4, inf inf: inf pi/4, +-inf nan: inf nan, nan fin: nan nan, nan inf: inf nan,
    nan nan: nan nan""",
    "sign": "+-0 +-0: 0 0, nan any: nan nan, any nan: nan nan, pos 0: 1 0, 0 pos: 0 1",
    "sinh": """0 0: 0 0, 0 inf: ~0 nan, 0 nan: ~0 nan, pos inf: nan nan, pos nan: nan nan, inf 0: inf 0,
    inf pos: inf cis, inf inf: ~inf nan, inf nan: ~inf nan, nan 0: nan 0, nan nz: nan nan, nan nan: nan nan""",
    "sqrt": """+-0 0: 0 0, any inf: inf inf, fin nan: nan nan, -inf pos: 0 inf, inf pos: inf 0,
    -inf nan: nan ~inf, inf nan: inf nan, nan fin: nan nan, nan nan: nan nan""",
    "tanh": """0 0: 0 0, nz inf: nan nan, nz nan: nan nan, inf pos: 1 ~0, inf inf: 1 ~0, inf nan: 1 ~0,
    nan 0: nan 0, nan nz: nan nan, nan nan: nan nan""",
    "isfinite": "nan any: False, any nan: False, +-inf any: False, any +-inf: False, fin fin: True",
    "isinf": "+-inf any: True, any +-inf: True, fin fin: False, nan fin: False, fin nan: False",
    "isnan": "nan any: True, any nan: True, number number: False",
    "round": "inf fin: inf x2r, nan inf: nan inf, -0 0: -0 0",
}


def complex_samples(dtype):
    part = np.float32 if dtype == np.complex64 else np.float64
    x = np.array([s * v for v in (0, 1, 0.5, 3, 20, 2.0**60, INF) for s in (1.0, -1.0)] + [NAN], part)
    z = np.empty((x.size, x.size), dtype)
    z.real, z.imag = np.meshgrid(x, x, indexing="ij")
    return z.ravel()


def part_meets(result, got, z, which):
    if result == "cis":
        return True
    if result == "x2r":
        return same(got, float(np.rint(z.imag)))
    if result.startswith("~"):
        return meets(result[1:], abs(got), ())
    return meets(result, got, (z.real, z.imag))


def complex_meets(results, got, z):
    z = complex(z)
    if len(results) == 1:
        return meets(results[0], got, (z.real, z.imag))
    if results[1] == "cis":
        size = value(results[0])
        return same(got.real, math.copysign(size, math.cos(z.imag))) and same(
            got.imag, math.copysign(size, math.sin(z.imag))
        )
    return part_meets(results[0], got.real, z, 0) and part_meets(results[1], got.imag, z, 1)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", COMPLEX)
def test_special_cases_of_functions_of_a_complex_number(name, dtype):
    z = complex_samples(dtype)
    got = getattr(xnp, name)(z).tolist()
    wrong = []
    for conditions, results in rules(COMPLEX[name]):
        chosen = [i for i, v in enumerate(z.tolist()) if holds(conditions[0], v.real) and holds(conditions[1], v.imag)]
        assert chosen, conditions
        wrong += [
            (conditions, results, z[i], got[i]) for i in chosen if not complex_meets(results, got[i], z[i].item())
        ]
    assert wrong == []


def close_parts(got, want, rtol):
    for g, w in ((got.real, want.real), (got.imag, want.imag)):
        np.testing.assert_allclose(g, w, rtol=rtol, atol=rtol)
        large = ~np.isnan(w) & ~((w != 0) & (np.abs(w) < rtol))
        np.testing.assert_array_equal(np.signbit(g[large]), np.signbit(w[large]))


def times_j(z):
    """z times the imaginary unit, by exchange of the parts."""
    out = np.empty_like(z)
    out.real, out.imag = -z.imag, z.real
    return out


TURNED = {"asin": "asinh", "atan": "atanh", "sin": "sinh", "tan": "tanh", "cos": "cosh"}


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", TURNED)
def test_circular_functions_are_hyperbolic_ones_of_a_turned_number(name, dtype):
    z = complex_samples(dtype)
    turned = getattr(xnp, TURNED[name])(times_j(z))
    want = turned if name == "cos" else -times_j(turned)
    close_parts(getattr(xnp, name)(z), want, 1e-5 if dtype == np.complex64 else 1e-13)


CONJUGATE = "acos acosh asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 sin sinh sqrt tan tanh".split()


@pytest.mark.parametrize("name", CONJUGATE)
def test_functions_of_the_conjugate_are_conjugate(name):
    z = complex_samples(np.complex128)
    z = z[~np.isnan(z)]
    got, want = getattr(xnp, name)(np.conj(z)), np.conj(getattr(xnp, name)(z))
    chosen = ~np.isnan(want)
    np.testing.assert_array_equal(got[chosen], want[chosen])


def test_sums_of_complex_numbers_are_of_their_parts():
    x, y = complex(-0.0, 0.0), complex(-0.0, -0.0)
    got = xnp.add(np.array([x]), np.array([y]))[0]
    assert same(got.real, -0.0) and same(got.imag, 0.0)
    z = np.array([complex(NAN, NAN)])
    for function, w in itertools.product((xnp.multiply, xnp.divide), (z,)):
        assert np.isnan(function(z, w).real[0]) and np.isnan(function(z, w).imag[0])
