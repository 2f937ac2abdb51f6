"""Python functions called from programs: printing, callbacks with and without effects."""

import threading
import traceback

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import CompileError, EvaluateError, TraceError
from xlac.experimental import io_callback

X = np.array([1.0, 2.0], np.float32)
SCALAR = xlac.ShapeDtypeStruct((), np.float32)


def noted(log, *args, **kwargs):
    """A callback that keeps what it gets as Python values."""
    return lambda *given: log.append(tuple(np.asarray(g).tolist() for g in given))


@pytest.fixture(params=["native", "evaluated", "unfused"])
def options(request):
    return {
        "native": xlac.Options(verify=True),
        "evaluated": xlac.Options(evaluate=True),
        "unfused": xlac.Options(fusion=False),
    }[request.param]


def model(log):
    """A function with effects in a scan, in a loop and in a branch."""

    def f(x):
        def step(carry, a):
            xlac.debug.callback(noted(log), carry, a)
            return xnp.sin(carry + a), carry * a

        carry, ys = lax.scan(step, x.sum(), x)
        xlac.debug.callback(noted(log), carry)

        def turn(state):
            xlac.debug.callback(noted(log), state[0])
            return state[0] + 1, state[1] * 2

        turns, last = lax.while_loop(lambda s: s[0] < 2, turn, (0, carry))
        lax.cond(
            carry > 0,
            lambda: xlac.debug.callback(noted(log), "positive"),
            lambda: xlac.debug.callback(noted(log), "negative"),
        )
        return last + ys.sum()

    return f


def plain(x, log):
    """What `model` notes, computed by NumPy."""
    carry = np.float32(x.sum())
    for a in x:
        log.append((float(carry), float(a)))
        carry = np.sin(carry + a)
    log += [(pytest.approx(float(carry), rel=1e-6),), (0,), (1,), ("positive" if carry > 0 else "negative",)]


def expected(x):
    log = []
    plain(x, log)
    return [tuple(pytest.approx(v, rel=1e-5) if isinstance(v, float) else v for v in row) for row in log]


# ---- once each, and in order


def test_effects_take_place_once_each_and_in_the_order_of_the_program(options):
    log = []
    f = xlac.jit(model(log), options=options)
    f(X)
    assert log == expected(X)
    f(X)
    assert log == expected(X) * 2


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: xlac.value_and_grad(f),
        lambda f: lambda x: xlac.jvp(f, (x,), (x,)),
        lambda f: lambda x: xlac.linearize(f, x)[1](x),
        lambda f: lambda x: xlac.vjp(f, x)[1](np.float32(1)),
        lambda f: xlac.grad(xlac.checkpoint(f)),
        lambda f: xlac.hessian(f),
    ],
    ids=["grad", "jvp", "linearize", "vjp", "checkpoint", "hessian"],
)
@pytest.mark.parametrize("jitted", [True, False])
def test_derivatives_neither_repeat_nor_lose_effects(transform, jitted):
    def forward_only(log):
        def f(x):
            def step(carry, a):
                xlac.debug.callback(noted(log), carry, a)
                return xnp.sin(carry + a), carry * a

            carry, ys = lax.scan(step, x.sum(), x)
            return lax.cond(carry > 0, lambda c: (xlac.debug.callback(noted(log), c), c * 2)[1], lambda c: c, carry)

        return f

    log, twin = [], []
    transformed = transform(forward_only(log))
    (xlac.jit(transformed) if jitted else transformed)(X)
    forward_only(twin)  # the value alone
    xlac.jit(forward_only(twin))(X)
    assert log == [tuple(pytest.approx(v, rel=1e-6) for v in row) for row in twin]
    assert len(log) == 3


def test_printing_does_not_change_a_derivative():
    def f(x):
        y = xnp.sin(x)
        xlac.debug.callback(noted([]), y)
        return (y * x).sum()

    np.testing.assert_array_equal(xlac.grad(f)(X), xlac.grad(lambda x: (xnp.sin(x) * x).sum())(X))


def test_an_effect_whose_result_nobody_reads_takes_place():
    log = []

    def push(value):
        log.append(float(value))
        return np.float32(len(log))

    @xlac.jit
    def f(x):
        first = xlac.io_callback(push, SCALAR, x)
        xlac.io_callback(push, SCALAR, x)  # equal to the first, and kept apart from it
        return first

    assert f(np.float32(5)) == 1 and log == [5, 5]


def test_a_condition_may_have_effects():
    log = []

    def go_on(i):
        xlac.debug.callback(noted(log), i)
        return i < 2

    assert xlac.jit(lambda i: lax.while_loop(go_on, lambda i: i + 1, i))(0) == 2
    assert log == [(0,), (1,), (2,)]


def test_rules_of_derivatives_have_their_own_effects():
    log = []

    @xlac.custom_vjp
    def f(x):
        xlac.debug.callback(lambda: log.append("f"))
        return x * 2

    def fwd(x):
        xlac.debug.callback(lambda: log.append("fwd"))
        return x * 2, x

    def bwd(x, g):
        xlac.debug.callback(noted(log), x, g)
        return (g * 2,)

    f.defvjp(fwd, bwd)
    xlac.jit(f)(np.float32(1))
    assert log == ["f"]
    log.clear()
    assert xlac.grad(f)(np.float32(3)) == 2
    assert log == ["fwd", (3.0, 1.0)]
    log.clear()
    chain = xlac.jit(xlac.grad(lambda x: lax.scan(lambda c, a: (f(c * a), None), np.float32(1), x)[0]))
    np.testing.assert_array_equal(chain(X), [8, 4])
    assert log.count("fwd") == 2 and [g for g in log if g != "fwd"] == [(4.0, 1.0), (1.0, 4.0)]


def test_a_jvp_rule_replaces_the_effects_of_its_function():
    log = []

    @xlac.custom_jvp
    def f(x):
        xlac.debug.callback(lambda: log.append("f"))
        return x * 2

    @f.defjvp
    def _(primals, tangents):
        xlac.debug.callback(lambda: log.append("rule"))
        return primals[0] * 2, tangents[0] * 2

    assert xlac.grad(f)(np.float32(3)) == 2 and log == ["rule"]
    log.clear()
    xlac.vmap(xlac.grad(f))(X)
    assert log == ["rule"]  # the callback has no argument that differs between examples


# ---- vmap


def test_vmap_calls_effects_for_each_example():
    log = []
    xlac.vmap(lambda x: xlac.debug.callback(noted(log), x, 7))(X)
    assert log == [(1.0, 7), (2.0, 7)]
    log.clear()
    xlac.jit(xlac.vmap(xlac.vmap(lambda x: xlac.debug.callback(noted(log), x))))(np.arange(4).reshape(2, 2))
    assert log == [(0,), (1,), (2,), (3,)]


def test_vmap_of_a_branch_that_differs_runs_both_branches():
    log = []

    def f(x):
        return lax.cond(x > 1, lambda: (xlac.debug.callback(noted(log), "yes", x), x)[1], lambda: -x)

    np.testing.assert_array_equal(xlac.vmap(f)(X), [-1, 2])
    assert log == [("yes", 1.0), ("yes", 2.0)]


def test_vmap_refuses_ordered_effects():
    with pytest.raises(TraceError, match="ordered=True"):
        xlac.vmap(lambda x: xlac.debug.print("{}", x, ordered=True))(X)


@pytest.mark.parametrize(
    "method, shapes",
    [
        ("sequential", [((2,), (2,))] * 3),
        ("expand_dims", [((3, 2), (1, 2))]),
        ("broadcast_all", [((3, 2), (3, 2))]),
        ("legacy_vectorized", [((3, 2), (2,))]),
    ],
)
def test_vmap_methods_of_pure_callbacks(method, shapes):
    seen = []

    def add(x, y):
        seen.append((x.shape, y.shape))
        return x + y

    def f(x, y):
        return xlac.pure_callback(add, xlac.ShapeDtypeStruct(x.shape, x.dtype), x, y, vmap_method=method)

    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_array_equal(xlac.vmap(f, (0, None))(rows, X), rows + X)
    assert seen == shapes


def test_vmap_without_a_method_is_refused_with_the_choices():
    with pytest.raises(TraceError, match='vmap_method; give one of "sequential", "expand_dims", "broadcast_all"'):
        xlac.vmap(lambda x: xlac.pure_callback(np.sin, SCALAR, x))(X)
    with pytest.raises(ValueError, match="vmap_method is 'fast'"):
        xlac.pure_callback(np.sin, SCALAR, X, vmap_method="fast")


# ---- arguments and results


def test_arguments_and_results_may_be_nested():
    def split(table, *, scale, name):
        assert name == "sizes" and type(table["x"]) is np.ndarray
        return {"sum": table["x"].sum() * scale, "first": (table["x"][0], np.int32(3))}

    wanted = {"sum": SCALAR, "first": (SCALAR, xlac.ShapeDtypeStruct((), np.int32))}
    f = xlac.jit(lambda x: xlac.pure_callback(split, wanted, {"x": x}, scale=x[1], name="sizes"))
    got = f(X)
    assert got == {"sum": 6, "first": (1, 3)}
    assert xlac.pure_callback(split, wanted, {"x": X}, scale=X[1], name="sizes") == got


def test_arguments_may_be_kept():
    kept = []
    f = xlac.jit(lambda x: xlac.debug.callback(kept.append, x * 2))
    for i in range(20):
        f(X + i)
    np.testing.assert_array_equal(kept, [(X + i) * 2 for i in range(20)])


@pytest.mark.parametrize(
    "result, message",
    [
        (
            lambda x: np.zeros(3, np.float32),
            r"pure_callback of <lambda> at .*: it gave float32\[3\]; it must give float32\[2\]",
        ),
        (lambda x: np.zeros(2, np.complex64), r"it gave complex64\[2\]; it must give float32\[2\]"),
        (lambda x: (x, x), "it gave results nested as"),
    ],
)
def test_a_wrong_result_is_named(result, message):
    f = xlac.jit(lambda x: xlac.pure_callback(result, xlac.ShapeDtypeStruct((2,), np.float32), x))
    with pytest.raises(EvaluateError, match=message):
        f(X)
    with pytest.raises(EvaluateError, match=message):
        xlac.pure_callback(result, xlac.ShapeDtypeStruct((2,), np.float32), X)


def test_a_result_of_the_same_kind_is_converted():
    f = xlac.jit(lambda x: xlac.pure_callback(lambda v: 1.5, SCALAR, x))
    assert f(X).dtype == np.float32 and f(X) == 1.5


def test_a_function_may_be_anything_callable():
    class Adder:
        __hash__ = None  # equal to what it says, and without a hash
        __name__ = "adder"

        def __init__(self, number):
            self.number = np.float32(number)

        def __eq__(self, other):
            return np.ones(2, bool)

        def __call__(self, x):
            return x + self.number

        def method(self, x):
            return x - self.number

    one, two = Adder(1), Adder(2)

    @xlac.jit
    def f(x):
        return [xlac.pure_callback(g, SCALAR, x) for g in (one, two, one.method, two.method, np.negative)]

    assert f(np.float32(5)) == [6, 7, 4, 3, -5]


def test_callbacks_may_call_compiled_functions():
    inner = xlac.jit(lambda x: x * 2)
    f = xlac.jit(lambda x: xlac.pure_callback(inner, xlac.ShapeDtypeStruct((2,), np.float32), x) + 1)
    np.testing.assert_array_equal(f(X), X * 2 + 1)


# ---- errors


def boom(x):
    raise LookupError(f"no entry {x}")


def test_an_exception_reaches_the_caller_and_leaves_everything_usable(options):
    f = xlac.jit(lambda x, bad: lax.cond(bad, lambda: io_callback(boom, SCALAR, x), lambda: x * 2), options=options)
    for _ in range(3):
        with pytest.raises(LookupError, match="no entry 1.0") as caught:
            f(np.float32(1), True)
        assert "in boom" in "".join(traceback.format_exception(caught.value))
        assert f(np.float32(1), False) == 2


def test_what_comes_after_an_exception_does_not_run():
    log = []

    @xlac.jit
    def f(x):
        xlac.debug.callback(boom, x)
        xlac.debug.callback(noted(log), x)

    with pytest.raises(LookupError):
        f(np.float32(1))
    assert log == []


def test_threads_call_back_side_by_side():
    log = []

    def note(x):
        if x < 0:
            raise LookupError("negative")
        log.append(float(x))

    f = xlac.jit(lambda x: xlac.debug.callback(note, x))
    errors = []

    def work(i):
        try:
            for k in range(50):
                f(np.float32(-1 if (i, k) == (1, 49) else i))
        except LookupError:
            errors.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(log) == [0.0] * 50 + [1.0] * 49 + [2.0] * 50 + [3.0] * 50 and errors == [1]


def test_callbacks_have_no_derivative():
    f = lambda x: xlac.pure_callback(np.sin, SCALAR, x)  # noqa: E731
    with pytest.raises(TraceError, match="pure_callback has no reverse-mode derivative; .*custom_jvp"):
        xlac.grad(f)(np.float32(1))
    with pytest.raises(TraceError, match="pure_callback has no forward-mode derivative"):
        xlac.jvp(f, (np.float32(1),), (np.float32(1),))
    assert xlac.grad(lambda x: x * lax.stop_gradient(f(lax.stop_gradient(x))))(np.float32(0)) == 0


def test_a_callback_with_a_rule_has_a_derivative():
    @xlac.custom_jvp
    def sine(x):
        return xlac.pure_callback(np.sin, SCALAR, x, vmap_method="expand_dims")

    sine.defjvps(lambda t, y, x: t * xnp.cos(x))
    assert xlac.jit(xlac.grad(sine))(np.float32(0)) == 1
    np.testing.assert_allclose(xlac.vmap(xlac.grad(sine))(X), np.cos(X), rtol=1e-6)


def test_effects_are_refused_where_there_is_no_order():
    def add(x, y):
        xlac.debug.print("{}", x)
        return x + y

    with pytest.raises(TraceError, match="cannot be used in a reducer"):
        xlac.jit(lambda x: lax.reduce(x, np.float32(0), add, (0,)))(X)


# ---- printing


def test_print_formats_values(capsys):
    @xlac.jit
    def f(x):
        xlac.debug.print("x = {0}, {1:>5}, {total:.2f}", x[0], "text", total=x.sum())
        xlac.debug.print("{}", xnp.float32(0.1) * x[0])

    f(X)
    xlac.debug.print("{x}", x=X)
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == "x = 1.0,  text, 3.00" and second == "0.1" and third == "[1. 2.]"


@pytest.mark.parametrize("fmt, args", [("{} {}", (X,)), ("{y}", (X,)), ("no field", (X,)), ("{0}", (X, X))])
def test_a_format_that_does_not_fit_is_refused(fmt, args):
    with pytest.raises(ValueError, match="debug.print: the format"):
        xlac.jit(lambda *a: xlac.debug.print(fmt, *a))(*args)


# ---- text, caches


def test_the_text_names_the_function_and_cannot_be_run():
    lowered = xlac.jit(lambda x: xlac.pure_callback(boom, SCALAR, x)).lower(X)
    for dialect in ("hlo", "stablehlo"):
        text = lowered.as_text(dialect)
        assert "xlac_python_callback" in text and "pure_callback of boom at" in text
        with pytest.raises(CompileError, match="Python function of the process that traced this program"):
            xlac.compile(text)
    with pytest.raises(EvaluateError, match="trace the function again"):
        xlac.evaluate(xlac.parse_hlo(lowered.as_text()), X)


def test_programs_that_differ_in_the_function_alone_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("XLAC_CACHE_DIR", str(tmp_path))

    def program(number):
        return xlac.jit(lambda x: xlac.pure_callback(lambda v: v + np.float32(number), SCALAR, x))

    assert [program(n)(np.float32(0)) for n in (1, 2, 3)] == [1, 2, 3]
    grads = [
        xlac.value_and_grad(lambda x, n=n: x + lax.stop_gradient(program(n)(lax.stop_gradient(x)))) for n in (1, 2)
    ]
    assert [g(np.float32(1))[0] for g in grads] == [3, 4]


def test_outside_of_programs_functions_are_called_at_once():
    log = []
    xlac.debug.callback(noted(log), 1, X)
    assert log == [(1, [1.0, 2.0])]
    assert xlac.io_callback(lambda x: x + 1, SCALAR, np.float32(1)) == 2
    xlac.effects_barrier()
