"""Every derivative rule: against central differences in both modes and orders, under transformations, and under JAX."""

import numpy as np
import pytest

import xlac
from tests.evaluated import evaluated
from tests.frontend import opcode_cases as opcodes
from tests.frontend import rule_cases as rules
from xlac import lax, tree
from xlac.errors import TraceError
from xlac.frontend import jvp_rules, trace, vjp_rules
from xlac.ir.opcode import OPCODES
from xlac.ir.ops.reduction import monoid
from xlac.ir.shape import ArrayShape, element_type
from xlac.ir.window import scan_form
from xlac.test_util import _difference, _inner, _random_like

CASES = {name: ((lambda *a, f=f: f(lax, *a)), arrays) for name, (f, arrays) in rules.CASES.items()}
CASES |= {f"opcode: {name}": given for name, given in opcodes.CASES.items()}
REVERSIBLE = [name for name in CASES if name not in rules.FORWARD]


def same(got, want, tolerance):
    for g, w in zip(tree.leaves(got), tree.leaves(want), strict=True):
        size = np.max(np.abs(w), initial=1.0)
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance * size)


def along(arrays, seed):
    return _random_like(np.random.default_rng(seed), tuple(arrays))


def pulled(lib, function, g):
    return lambda *a: lib.vjp(function, *a)[1](g)


def pushed(lib, function, t):
    return lambda *a: lib.jvp(function, a, t)[1]


def directions(function, arrays):
    """A tangent of the arrays, and a cotangent of the function's result."""
    return along(arrays, 1), along([evaluated(function)(*arrays)], 2)[0]


# ---- the table holds every rule


def test_every_rule_and_every_form_of_it_has_a_case():
    seen, forms = set(), set()
    for function, arrays in CASES.values():
        for computation in evaluated(function).lower(*arrays).compiler_ir().computations:
            for i in computation.post_order():
                name = i.opcode.name
                seen.add(name)
                if name == "fft":
                    forms.add(i["fft_type"])
                elif name == "triangular-solve":
                    forms |= {("solve", i["left_side"], i["transpose_a"]), ("solve", i["lower"], i["unit_diagonal"])}
                elif name in ("reduce", "scatter"):
                    forms.add((name, monoid(i["to_apply"])))
                elif name == "reduce-window":
                    running = scan_form(i["window"], i.operands[0].dims) is not None
                    forms.add((name, "running" if running else "windows", monoid(i["to_apply"])))
                elif name == "convolution":
                    forms |= {("groups", i["feature_group_count"], i["batch_group_count"]), len(i["window"])}
    without_difference = {"rng", "copy"}  # below; copies are gone from finished modules
    assert set(vjp_rules.RULES) | set(jvp_rules.RULES) == (seen & set(vjp_rules.RULES)) | without_difference
    functions = ("add", "multiply", "maximum", "minimum", None)
    assert forms >= {"FFT", "IFFT", "RFFT", "IRFFT", 0, 1, 2, 3, ("groups", 2, 1), ("groups", 1, 2)}
    assert forms >= {("solve", left, t) for left in (True, False) for t in ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT")}
    assert forms >= {("solve", True, False), ("solve", False, True)}
    assert forms >= {(name, f) for name in ("reduce", "scatter") for f in functions}
    assert forms >= {("reduce-window", how, f) for how in ("running", "windows") for f in functions}


# ---- numbers


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_both_orders_are_the_limits_of_differences(name):
    """Tangents, cotangents by their product with them, and all four orders of the second derivative."""
    function, arrays = CASES[name]
    t, g = directions(function, arrays)
    push, pull = pushed(xlac, function, t), pulled(xlac, function, g)
    slope = evaluated(push)(*arrays)
    same(slope, _difference(evaluated(function), arrays, t, 1e-5), 1e-7)
    if name not in rules.ONCE:
        second = evaluated(pushed(xlac, push, t))(*arrays)
        same(second, _difference(evaluated(push), arrays, t, 1e-5), 1e-6)
    if name in rules.FORWARD:
        return
    cotangents = evaluated(pull)(*arrays)
    assert _inner(cotangents, t) == pytest.approx(_inner(g, slope), rel=1e-10, abs=1e-10)
    if name in rules.ONCE:
        return
    forward_of_reverse = evaluated(pushed(xlac, pull, t))(*arrays)
    same(forward_of_reverse, _difference(evaluated(pull), arrays, t, 1e-5), 1e-6)
    same(evaluated(pulled(xlac, push, g))(*arrays), forward_of_reverse, 1e-10)
    same(evaluated(pulled(xlac, pull, t))(*arrays), forward_of_reverse, 1e-10)


@pytest.mark.parametrize("name", [name for name in REVERSIBLE if name in rules.CASES])
def test_vmap_of_gradients_is_a_loop_over_them(name):
    function, arrays = CASES[name]
    pull = pulled(xlac, function, directions(function, arrays)[1])
    examples = [[np.asarray(x * k) for x in arrays] for k in (1.0, 1.03)]
    got = evaluated(xlac.vmap(pull))(*(np.stack(x) for x in zip(*examples)))
    want = [evaluated(pull)(*x) for x in examples]
    same(got, tuple(np.stack(x) for x in zip(*want)), 1e-10)


@pytest.mark.parametrize("name", [name for name in REVERSIBLE if len(CASES[name][1]) == 1])
def test_gradients_go_through_scan_cond_checkpoint_and_jit(name):
    function, (x,) = CASES[name]

    def number(v):
        y = lax.real(function(v))
        return lax.reduce_sum(y, range(y.ndim)) * 0.01

    inner = xlac.checkpoint(xlac.jit(number))

    def nested(v):
        def turn(c, _):
            return v + lax.cond(lax.lt(number(c), 1e9), inner, lambda u: 0.0, c), None

        return lax.scan(turn, v, None, length=2)[0]

    def plain(v):
        return v + number(v + number(v))

    g = along([x], 2)[0]
    same(evaluated(pulled(xlac, nested, g))(x), evaluated(pulled(xlac, plain, g))(x), 1e-10)


# ---- where no difference has a limit: JAX's choices

HALF = 0.5
ONES = (1.0, 1.0, 0.0)
# name -> (function of (lax, x), x, gradient of the sum)
EDGES = {
    "max of equal numbers": (lambda lax, x: lax.max(x, np.ones(3)), ONES, (HALF, HALF, 0)),
    "min of equal numbers": (lambda lax, x: lax.min(x, np.ones(3)), ONES, (HALF, HALF, 1)),
    "reduce_max with ties": (lambda lax, x: lax.reduce_max(x, (0,)), ONES, (HALF, HALF, 0)),
    "reduce_min with ties": (lambda lax, x: lax.reduce_min(x, (0,)), (1.0, 0.0, 0.0), (0, HALF, HALF)),
    "cummax with ties": (lambda lax, x: lax.cummax(x, 0), ONES, (2, 1, 0)),
    "cummin with ties": (lambda lax, x: lax.cummin(x, 0), (1.0, 1.0, 2.0), (2, 1, 0)),
    "maximum windows with ties": (lambda lax, x: lax.reduce_window(
        x, np.float64(-np.inf), lax.max, (2,), (1,), "VALID"), ONES, (1, 1, 0)),
    "sort with ties": (lambda lax, x: lax.sort(x) * np.array([1.0, 2.0, 3.0]), ONES, (2, 3, 1)),
    "top_k with ties": (lambda lax, x: lax.top_k(x, 1)[0], ONES, (1, 0, 0)),
    "clamp at its ends": (lambda lax, x: lax.clamp(np.float64(0), x, np.float64(1)), (0.0, 0.5, 1.0), (0, 1, 0)),
    "abs at 0": (lambda lax, x: lax.abs(x), (-1.0, 0.0, 1.0), (-1, 1, 1)),
    "sign at 0": (lambda lax, x: lax.sign(x), (-1.0, 0.0, 1.0), (0, 0, 0)),
    "base 0": (lambda lax, x: lax.pow(x, np.array([1.0, 2.0, 3.0])), np.zeros(3), (1, 0, 0)),
    "exponent of base 0": (lambda lax, y: lax.pow(np.zeros(3), y), (0.5, 1.0, 2.0), (0, 0, 0)),
    "integer powers at 0": (lambda lax, x: lax.integer_pow(x, 1) + lax.integer_pow(x, 2), (0.0, 0.0), (1, 1)),
    "sqrt at 0": (lambda lax, x: lax.sqrt(x), (0.0,), (np.inf,)),
    "far ends of logistic and tanh": (lambda lax, x: lax.logistic(x) + lax.tanh(x), (-800.0, 800.0), (0, 0)),
    "rem of multiples": (lambda lax, x: lax.rem(np.full(2, 6.5), x), (2.0, -2.0), (-3, 3)),
    "update twice": (lambda lax, u: lax.scatter(
        np.zeros(2), np.array([[1], [1], [5]], np.int32), u, lax.ScatterDimensionNumbers((), (0,), (0,))),
        (1.0, 2.0, 3.0), (0, 1, 0)),
    "raise to an equal number": (lambda lax, u: lax.scatter_max(
        np.ones(2), np.array([[0], [0], [1]], np.int32), u, lax.ScatterDimensionNumbers((), (0,), (0,))),
        (1.0, 1.0, 0.5), (1 / 3, 1 / 3, 0)),
}  # fmt: skip


def total(library, function):
    def scalar(x):
        y = function(library, x)
        return library.reduce_sum(y, tuple(range(y.ndim)))

    return scalar


@pytest.mark.parametrize("name", EDGES)
def test_gradients_at_kinks_and_ties_are_what_jax_chooses(name):
    function, x, want = EDGES[name]
    x, scalar = np.asarray(x), total(lax, function)
    np.testing.assert_allclose(evaluated(xlac.grad(scalar))(x), want, rtol=1e-12)
    forward = evaluated(lambda v: [xlac.jvp(scalar, (v,), (t,))[1] for t in np.eye(len(x))])(x)
    np.testing.assert_allclose(forward, want, rtol=1e-12)


def test_second_derivatives_of_powers_at_0_are_finite():
    second = evaluated(xlac.grad(xlac.grad(lambda x, n: lax.pow(x, n))))
    assert [float(second(0.0, n)) for n in (0.0, 1.0, 2.0, 3.0)] == [0, 0, 2, 0]


def test_random_numbers_and_integers_have_no_slope():
    def drawn(x):
        return lax.reduce_sum(lax.rng_uniform(x[0], x[1], (2,)) + x, (0,))

    def rounded(x):
        bits = trace.lift(np.arange(2, dtype=np.uint32) << 30)
        whole = trace.emit(OPCODES["stochastic-convert"], x, bits, shape=ArrayShape(element_type(np.int32), (2,)))
        return lax.reduce_sum(lax.convert_element_type(whole, np.float32) + x, (0,))

    x = np.array([0.25, 1.0], np.float32)
    for function in (drawn, rounded):
        np.testing.assert_array_equal(evaluated(xlac.grad(function))(x), 1)
        assert evaluated(lambda v, f=function: xlac.jvp(f, (v,), (v,))[1])(x) == 1.25


# ---- what has no derivative says so

MATRIX = rules.MATRICES[0]
ROWS = lax.ScatterDimensionNumbers((1,), (0,), (0,))
REFUSED = {
    "a foreign function": (
        lambda x: opcodes.emit("custom-call", x, shape=(3, 3), custom_call_target="f"), "custom-call"),
    "a sum over devices": (
        lambda x: opcodes.emit("all-reduce", x, to_apply=trace.reducer("add", x.dtype)), "all-reduce"),
    "schur": (lambda x: lax.linalg.schur(x)[0], "schur has no derivative"),
    "eigenvectors": (lambda x: lax.real(lax.linalg.eig(x)[1]), "eigenvectors have derivatives where"),
    "a loop of unknown length": (lambda x: rules.CASES["while_loop"][0](lax, x), "cannot go through while_loop"),
    "igamma three times": (
        lambda x: xlac.grad(xlac.grad(lambda v: lax.igamma(v, 2.0)))(x[0, 0]), "igamma by a has no derivative by a"),
    "products at repeated places": (
        lambda x: lax.scatter_mul(x, np.array([[0], [0]], np.int32), x[:2], ROWS), "at unique indices"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_derivative_says_so(name):
    function, message = REFUSED[name]
    x = np.abs(rules.V) if "loop" in name else np.abs(MATRIX)
    with pytest.raises(TraceError, match=message):
        xlac.grad(lambda v: function(v).sum())(x)


# ---- JAX


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize("name", [name for name in rules.CASES if name not in rules.NOT_JAX])
def test_derivatives_are_jaxs(name):
    import jax

    function, arrays = rules.CASES[name]
    t, g = directions(CASES[name][0], arrays)

    def derivatives(lib, library):
        f = lambda *a: function(library, *a)  # noqa: E731
        push, pull = pushed(lib, f, t), pulled(lib, f, g)
        first = [push] if name in rules.FORWARD else [push, pull]
        return lambda *a: [d(*a) for d in (first if name in rules.ONCE else [*first, pushed(lib, first[-1], t)])]

    with jax.enable_x64(True):
        want = jax.jit(derivatives(jax, jax.lax))(*arrays)
    same(evaluated(derivatives(xlac, lax))(*arrays), tree.map(np.asarray, want), 1e-8)


@pytest.mark.jax
@pytest.mark.parametrize("name", EDGES)
def test_kinks_and_ties_are_jaxs(name):
    import jax

    function, x, want = EDGES[name]
    with jax.enable_x64(True):
        np.testing.assert_allclose(jax.grad(total(jax.lax, function))(np.asarray(x)), want, rtol=1e-12)
