"""Native calls: which are, that they mean the same as those in Python, and that nothing leaks, dangles or crashes."""

import copy
import dataclasses
import gc
import os
import subprocess
import sys
import threading
import tracemalloc
import weakref
from collections import OrderedDict, namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xlac
import xlac.numpy as xnp
from xlac.array import Array
from xlac.errors import EvaluateError, TraceError
from xlac.runtime import dispatch, memory, trampoline

NATIVE = pytest.mark.skipif(not dispatch.available(), reason="this interpreter has no native calls")
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs fork")

X = np.arange(6, dtype=np.float32).reshape(2, 3)
Point = namedtuple("Point", "x y")


@xlac.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    weight: np.ndarray
    bias: np.ndarray


class Subclass(np.ndarray):
    pass


def is_native(f, *args, **kwargs):
    """Whether a call runs no Python."""
    calls = []
    sys.setprofile(lambda frame, event, arg: calls.append(event) if event == "call" else None)
    try:
        f(*args, **kwargs)
    finally:
        sys.setprofile(None)
    return not calls


def learned(function, *args, **kwargs):
    """The compiled function, after a first call that was like this."""
    settings = {k: kwargs.pop(k) for k in ("donate_argnums", "static_argnums", "static_argnames") if k in kwargs}
    f = xlac.jit(function, **settings)
    f(*args, **kwargs)
    return f


def in_python(f, *args, **kwargs):
    return type(f).__call__(f, *args, **kwargs)


def assert_same(got, want):
    leaves, structure = xlac.tree.flatten(got)
    wanted, wanted_structure = xlac.tree.flatten(want)
    assert structure == wanted_structure
    for a, b in zip(leaves, wanted):
        assert type(a) in (np.ndarray, Array) and a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)


# ---- what is native


@NATIVE
def test_the_second_call_with_arrays_is_native():
    f = learned(lambda x, y: (x + y, x.sum()), X, X)
    assert is_native(f, X + 1, X)
    assert_same(f(X + 1, X), (2 * X + 1, np.float32(21).reshape(())))


@NATIVE
@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint64, np.float16, np.complex128, xnp.bfloat16], ids=str)
def test_any_element_type_is_native(dtype):
    x = np.ones((3, 2), dtype)
    f = learned(lambda x: x, x)
    assert is_native(f, x)
    assert f(x).dtype == dtype and f(x) is not x


@NATIVE
def test_scalars_and_empty_arrays_are_native():
    for x in (np.array(3.0), np.zeros((0, 3)), np.zeros((2, 1, 1, 1, 1, 4))):
        f = learned(lambda x: x * 2, x)
        assert is_native(f, x)
        assert_same(f(x), x * 2)


@NATIVE
def test_each_signature_has_its_program():
    f = xlac.jit(lambda x: x * 2)
    xs = [np.ones(n, dtype) for n in range(1, 6) for dtype in (np.float32, np.int16)]
    for _ in range(2):
        for x in xs:
            assert_same(f(x), x * 2)
    assert all(is_native(f, x) for x in xs)


@NATIVE
def test_beyond_a_number_of_signatures_the_latest_are_native_and_all_are_right():
    f = xlac.jit(lambda x: x + 1)
    xs = [np.ones(n) for n in range(dispatch.MAX_BINDINGS + 3)]
    for x in xs:
        f(x)
    for x in xs:
        assert_same(f(x), x + 1)
    assert not is_native(f, xs[0]) and is_native(f, xs[-1])


@NATIVE
def test_keywords_are_native_in_any_order():
    f = xlac.jit(lambda x, a, b: x * a - b)
    for call in ({"a": X, "b": X + 1}, {"b": X + 1, "a": X}):
        f(X, **call)
        assert is_native(f, X, **call)
        assert_same(f(X, **call), X * X - (X + 1))
    f(X, X, b=X)
    assert is_native(f, X, X, b=X)
    with pytest.raises(TypeError, match="unexpected keyword"):
        f(X, a=X, c=X)


@NATIVE
def test_numbers_are_native_and_keep_their_types():
    f = xlac.jit(lambda x, s: (x * s, s))
    x = np.ones(2, np.float64)
    numbers = [2.5, float("nan"), -3, 2**31 - 1, -(2**31), 2**31, 2**62, True, False]
    for s in numbers:
        f(x, s)
    for s in numbers:
        assert is_native(f, x, s)
        assert_same(f(x, s), in_python(f, x, s))
    assert f(x, 7)[1].dtype == np.int32 and f(x, 2**40)[1].dtype == np.int64 and f(x, True)[1].dtype == np.bool_
    for s in (2**63, 1j, np.float32(1), np.bool_(True)):
        assert_same(f(x, s), in_python(f, x, s))


@NATIVE
@pytest.mark.parametrize(
    "argument",
    [
        (X, X),
        [X, (X, [X])],
        {"b": X, "a": {"w": X}},
        {2: X, 1: X + 1},
        Point(X, (X, None)),
        [[], {}, (), X],
        {"deep": [{"er": (X, {"still": X})}]},
    ],
    ids=repr,
)
def test_nested_arguments_are_native(argument):
    def function(tree, y):
        return xlac.tree.map(lambda leaf: leaf + y, tree)

    f = learned(function, argument, X)
    want = xlac.tree.map(lambda leaf: leaf + X, argument)
    assert is_native(f, argument, X) is (type(argument) is not Point)  # a named tuple is built in Python
    assert_same(f(argument, X), want)
    assert_same(f(copy.deepcopy(argument), X), want)


@NATIVE
def test_a_dictionary_may_come_in_any_order():
    f = learned(lambda p: p["a"] - p["b"], {"a": X, "b": X * 3})
    assert is_native(f, {"b": X * 3, "a": X})
    assert_same(f({"b": X * 3, "a": X}), -2 * X)


@NATIVE
def test_results_that_only_python_can_build_are_built_there():
    f = xlac.jit(lambda x: {"p": Point(x, None), "l": Layer(x, x + 1), "o": OrderedDict(z=x, y=x)})
    assert_same(f(X), f(X))
    assert f(X)["p"].y is None and list(f(X)["o"]) == ["z", "y"]
    np.testing.assert_array_equal(f(X)["l"].bias, X + 1)


@NATIVE
def test_static_arguments_are_native_where_they_are_the_same_object():
    f = xlac.jit(lambda x, n, mode: x * n if mode == "times" else x + n, static_argnums=1, static_argnames="mode")
    for call in ((2, "times"), (2, "plus"), (3, "times")):
        f(X, call[0], mode=call[1])
    assert is_native(f, X, 2, mode="times") and is_native(f, X, 3, mode="times")
    assert_same(f(X, 2, mode="times"), X * 2)
    assert_same(f(X, 2, mode="plus"), X + 2)
    assert_same(f(X, 2.0, mode="plus"), X + 2)
    assert_same(f(X, 2, mode="".join(["pl", "us"])), X + 2)


@NATIVE
def test_a_bound_method_is_native():
    class Model:
        scale = 3.0

    class Jitted(Model):
        apply = xlac.jit(lambda self, x: x * self.scale, static_argnums=0)

    model, other = Jitted(), Jitted()
    other.scale = 5.0
    for _ in range(2):
        assert_same(model.apply(X), X * 3)
        assert_same(other.apply(X), X * 5)
    assert is_native(model.apply, X)


@NATIVE
def test_compiled_programs_and_executables_are_native():
    compiled = xlac.jit(lambda p, n: p["x"] * n, static_argnums=1).lower({"x": X}, 3).compile()
    compiled({"x": X}, 3)
    assert is_native(compiled, {"x": X}, 3)
    with pytest.raises(TraceError, match=r"compiled for float32\[2,3\]"):
        compiled({"x": X[:1]}, 3)
    executable = xlac.compile(
        "HloModule m\nENTRY e { p = (f32[2,3], f32[2,3]) parameter(0)\n a = f32[2,3] get-tuple-element(p), index=0\n"
        " b = f32[2,3] get-tuple-element(p), index=1\n s = f32[2,3] add(a, b)\n q = (f32[2,3]) tuple(b)\n"
        " ROOT r = (f32[2,3], (f32[2,3])) tuple(s, q)\n}"
    )
    assert is_native(executable, (X, X))
    assert_same(executable((X, X)), (X + X, (X,)))
    assert_same(executable([X, X]), (X + X, (X,)))
    assert [type(executable.run([X, X])), len(executable.run((X, X)))] == [list, 2]
    with pytest.raises(EvaluateError, match="takes 1 arguments, got 2"):
        executable(X, X)
    with pytest.raises(EvaluateError, match=r"argument 0.1 is f64\[2,3\]"):
        executable((X, X.astype(np.float64)))
    with pytest.raises(EvaluateError, match="takes 2 arrays, got 1"):
        executable.run([X])


# ---- what is not


@NATIVE
@pytest.mark.parametrize(
    "y",
    [
        X[:, ::-1],
        X.T.copy().T,
        X.astype(">f4"),
        np.frombuffer(b"\0" + X.tobytes(), np.float32, 6, 1).reshape(2, 3),
        X.view(Subclass),
        np.ma.masked_array(X),
        X.astype(np.float64),
        X[:1],
        X[0],
        X.reshape(2, 3, 1),
        np.float32(2),
        1j,
    ],
    ids=[
        "strided",
        "fortran",
        "byte-order",
        "unaligned",
        "subclass",
        "masked",
        "dtype",
        "dim",
        "ndim",
        "ndims",
        "numpy",
        "j",
    ],
)
def test_what_does_not_fit_gives_the_same_as_in_python(y):
    f = learned(lambda x, y: (x[:1, :1] + y).sum(), X, X)
    assert not is_native(f, X, y)
    assert_same(f(X, y), in_python(f, X, y))


@NATIVE
@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        ((X,), {}),
        ((X, X, X), {}),
        ((X,) * 500, {}),
        ((X, None), {}),
        ((X, object()), {}),
        ((X, "x"), {}),
        ((X, X.astype(object)), {}),
        ((X, X.astype("U4")), {}),
        ((X, [X]), {}),
        ((X, X), {"z": X}),
        ((X,), {"x": X}),
    ],
)
def test_errors_are_the_same_as_in_python(args, kwargs):
    f = learned(lambda x, y: x + y, X, X)
    with pytest.raises(Exception) as python:
        in_python(f, *args, **kwargs)
    with pytest.raises(type(python.value)) as native:
        f(*args, **kwargs)
    # All but the line of the call, which the message may show.
    assert str(native.value).split(": ", 1)[-1].split("\n")[0] == str(python.value).split(": ", 1)[-1].split("\n")[0]
    assert is_native(f, X, X)


@NATIVE
def test_another_nesting_is_another_signature():
    f = xlac.jit(lambda p: sum(xlac.tree.leaves(p)))
    nestings = [
        [X, X],
        (X, X),
        {"a": X, "b": X},
        {"a": X, "c": X},
        [X],
        [X, X, X],
        [[X], X],
        Point(X, X),
        [X, None],
        {},
        [],
    ]
    for p in nestings:
        f(p)
    for p in nestings:
        assert_same(f(p), in_python(f, p))
    assert_same(f(OrderedDict(a=X, b=X)), 2 * X)

    class Dict(dict):
        pass

    with pytest.raises(TraceError):
        f(Dict(a=X, b=X))


@NATIVE
def test_while_something_is_traced_calls_are_part_of_it():
    scale = [2.0]
    inner = learned(lambda x: x * scale[0], X)
    assert is_native(inner, X)

    def outer(x):
        scale[0] = x
        return inner(X)

    assert_same(xlac.jit(outer)(X), X * X)


CONTAINERS = st.recursive(
    st.sampled_from([X, X[0], X.astype(np.int64), 2.5, 3, True, None]),
    lambda parts: (
        st.lists(parts, max_size=3)
        | st.lists(parts, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("abcd"), parts, max_size=3)
        | st.tuples(parts, parts).map(lambda two: Point(*two))
    ),
    max_leaves=6,
)


@NATIVE
@settings(max_examples=60)
@given(st.lists(CONTAINERS, min_size=1, max_size=3))
def test_random_containers_give_the_same_as_in_python(values):
    f = xlac.jit(lambda *v: xlac.tree.map(lambda leaf: leaf + 1, v), options=xlac.Options(cache=False))
    for _ in range(2):
        for value in values:
            assert_same(f(value), in_python(f, value))
            want = xlac.tree.map(lambda leaf: np.asarray(leaf) + 1, (value,))
            for a, b in zip(xlac.tree.leaves(f(value)), xlac.tree.leaves(want)):
                np.testing.assert_array_equal(a, b)


@NATIVE
def test_a_cleared_cache_compiles_anew():
    traces = []
    f = learned(lambda x: traces.append(x) or x + 1, X)
    f(X)
    f.clear_cache()
    assert not is_native(f, X) and is_native(f, X)
    assert len(traces) == 2


# ---- donation


@NATIVE
def test_a_donated_argument_is_the_result():
    f = learned(lambda s, x: s + x, X.copy(), X, donate_argnums=0)
    state = X.copy()
    for i in range(3):
        assert f(state, X) is state
        np.testing.assert_array_equal(state, (i + 2) * X)
    assert is_native(f, state, X)


@NATIVE
def test_a_read_only_donated_argument_stays_as_it_is():
    f = learned(lambda s, x: s + x, X.copy(), X, donate_argnums=0)
    state = X.copy()
    state.flags.writeable = False
    assert not is_native(f, state, X)
    assert_same(f(state, X), 2 * X)
    np.testing.assert_array_equal(state, X)


@NATIVE
def test_donated_memory_that_another_argument_shares_stays_as_it_is():
    a = np.arange(16, dtype=np.float32)
    f = learned(lambda s, t, x: (s[::-1] + x, t * s), a.copy(), a.copy(), a, donate_argnums=(0, 1))
    for make in (
        lambda m: (m[:16], m[:16], m[16:32]),
        lambda m: (m[:16], m[16:32], m[8:24]),
        lambda m: (m[:16], m[16:32], m[:16]),
        lambda m: (m[4:20], m[:16], m[24:40]),
        lambda m: (m[:16], m[16:32], m[32:48]),
    ):
        s, t, x = make(np.arange(64, dtype=np.float32))
        want = s[::-1] + x, t * s
        assert_same(f(s, t, x), want)
        assert_same(xlac.jit(lambda s: (s, s + 1), donate_argnums=0)(a.copy()), (a, a + 1))


def test_a_result_in_donated_memory_has_its_own_shape_and_type():
    for function in (lambda s: s.astype(np.int32) + 1, lambda s: (s * 2).reshape(3, 2), lambda s: (s + 1).reshape(6)):
        f = xlac.jit(function, donate_argnums=0)
        for _ in range(2):
            assert_same(f(X.copy()), function(X))


@NATIVE
def test_donated_numbers_and_containers():
    f = xlac.jit(lambda state, x: {"w": state["w"] + x, "n": state["n"] + 1}, donate_argnums=0)
    for n in (0, 1.5, np.zeros((), np.int32)):
        state = {"w": X.copy(), "n": n}
        w = state["w"]
        for _ in range(3):
            state = f(state, X)
        np.testing.assert_array_equal(state["w"], 4 * X)
        assert state["n"] == n + 3 if isinstance(n, (int, float)) else state["n"] == 3
        assert state["w"] is w


# ---- memory


@NATIVE
def test_a_million_calls_leave_no_references_and_no_memory():
    p = {"l": [X, (X, {"w": X})]}
    add = learned(lambda x, y: x + y, X, X)
    tree = learned(lambda p: {"a": p["l"][0] + 1, "b": [None, (p["l"][1][0] * 2,)]}, p)
    state = X.copy()
    donate = learned(lambda s, x: (s * 0 + x, x), state, X, donate_argnums=0)
    number = learned(lambda x, s, *, k: x * s + k, X, 2.5, k=3)
    strided = X[:, ::-1]
    watched = [X, X.dtype, None, True, state, p, p["l"], p["l"][1], add, strided, "w", np.ndarray]

    def some(count):
        for _ in range(count):
            add(X, X)
            tree(p)
            donate(state, X)
            number(X, 2.5, k=3)
            add(X, X)

    def odd(count):
        for _ in range(count):
            add(X, strided)
            for bad in ((X,), (X, None), (X, X, X), (X, "s")):
                try:
                    add(*bad)
                except (TypeError, TraceError):
                    pass

    some(100)
    odd(20)
    gc.collect()
    before = [sys.getrefcount(w) for w in watched]
    tracemalloc.start()
    try:
        some(1000)
        odd(5)
        start = tracemalloc.get_traced_memory()[0]
        some(2000)
        odd(20)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    some(200_000)
    gc.collect()
    after = [sys.getrefcount(w) for w in watched]
    # Immortal objects and those that others hold for a moment apart, a leak is one reference a call.
    assert all(abs(a - b) < 50 for a, b in zip(after, before)), list(zip(watched, before, after))
    assert grown < 20_000


@NATIVE
def test_results_are_freed_and_large_ones_return_to_the_pool():
    x = np.ones(memory.POOLED_BYTES, np.float32)
    f = learned(lambda x: (x + 1, x[:10]), x)
    held = memory.pooled_bytes()
    for _ in range(5):
        large, small = f(x)
        assert large[-1] == 2 and large.base is not None and small.base is None
        del large, small
    assert memory.pooled_bytes() >= held
    assert is_native(lambda: None) is False


@NATIVE
def test_a_result_without_memory_is_an_error_and_nothing_leaks(monkeypatch):
    class Full(Exception):
        pass

    def allocator(shape, dtype):
        def fail():
            raise Full

        return fail

    x = np.ones(memory.POOLED_BYTES, np.float32)
    real = memory.allocator
    f = xlac.jit(lambda p: (p["x"][:3], p["x"] + 1))
    p = {"x": x}
    f(p)
    program = next(iter(f._programs.values())).compiled.executable.native
    monkeypatch.setattr(memory, "allocator", allocator)
    broken = dispatch.NativeProgram(
        int(program._words[trampoline.ENTRY]),
        int(program._words[trampoline.CONSTANTS]),
        0,
        program.parameters,
        [((3,), x.dtype), (x.shape, x.dtype)],
        {},
        (),
        keep=program,
    )
    monkeypatch.setattr(memory, "allocator", real)
    dispatch.forget(f)
    assert dispatch.learn(f, broken, (p,), {}, xlac.tree.structure((0, 0)))
    references = sys.getrefcount(x), sys.getrefcount(x.dtype)
    for _ in range(100):
        with pytest.raises(Full):
            f(p)
    assert abs(sys.getrefcount(x) - references[0]) < 5 and abs(sys.getrefcount(x.dtype) - references[1]) < 50
    assert int(broken._words[trampoline.FREE]) == 1


@NATIVE
def test_a_function_that_refers_to_itself_is_collected():
    f = xlac.jit(lambda x, me: x + 1 if me is not None else x, static_argnums=1)
    f(X, f)
    assert is_native(f, X, f)
    gone = weakref.ref(f)
    del f
    gc.collect()
    assert gone() is None


@NATIVE
def test_hundreds_of_arrays_are_native():
    xs = [np.full(3, i, np.float32) for i in range(700)]
    f = learned(lambda *xs: list(xs[::-1]), *xs, donate_argnums=tuple(range(0, 700, 2)))
    copies = [np.array(x) for x in xs]
    assert is_native(f, *copies)
    assert_same(f(*[np.array(x) for x in xs]), xs[::-1])


# ---- other code in between


@NATIVE
def test_a_call_may_happen_inside_a_call():
    class Box:
        def __init__(self, value):
            self.value = value

    def unflatten(data, children):
        if depth and not xlac.frontend.trace.open_traces:
            depth.pop()
            f(X)
        return Box(children[0])

    import xlac.frontend.trace

    depth = []
    xlac.tree.register(Box, lambda box: ((box.value,), None), unflatten)
    f = xlac.jit(lambda x: Box(x + 1))
    f(X)
    depth[:] = range(50)
    np.testing.assert_array_equal(f(X).value, X + 1)
    assert not depth

    def failing(data, children):
        raise KeyError("mine")

    xlac.tree.register(Box, lambda box: ((box.value,), None), failing)
    with pytest.raises(KeyError, match="mine"):
        f(X)


@NATIVE
def test_keys_that_change_containers_while_they_are_compared_do_no_harm():
    p = {"a": [X, X], "b": {"key": X}, "c": X}
    f = learned(lambda p: p["a"][0] + p["a"][1] + p["b"]["key"] + p["c"], p)

    class Key:
        def __hash__(self):
            return hash("key")

        def __eq__(self, other):
            evil["a"].clear()
            evil["c"] = None
            gc.collect()
            return other == "key"

    for _ in range(3):
        evil = {"a": [X.copy(), X.copy()], "b": {Key(): X.copy()}, "c": X.copy()}
        with pytest.raises((TraceError, KeyError, TypeError, IndexError)):
            f(evil)
    assert_same(f(p), 4 * X)


@NATIVE
def test_threads_share_a_program():
    n = 64
    a = np.random.default_rng(0).normal(size=(n, n))
    f = learned(lambda p: (xnp.tanh(p["a"]) @ p["a"]).sum(axis=0) @ xnp.tanh(p["a"]), {"a": a})
    want = f({"a": a})
    errors = []

    def work():
        try:
            for _ in range(100):
                np.testing.assert_array_equal(f({"a": a}), want)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    native = next(iter(f._programs.values())).compiled.executable.native
    assert int(native._words[trampoline.RELEASE]) == 1
    assert int(native._words[trampoline.FREE]) == (1 << native._arenas) - 1


@NATIVE
def test_a_busy_program_gets_another_arena():
    f = learned(lambda x: x @ x.T, X)
    native = next(iter(f._programs.values())).compiled.executable.native
    free = native._words[trampoline.FREE]
    native._words[trampoline.FREE] = 0
    assert native.is_busy()
    assert_same(f(X), X @ X.T)
    assert not native.is_busy() and native._arenas == 2
    native._words[trampoline.FREE] |= free
    assert is_native(f, X)


def run_python(code, *, status=0):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == status, (done.returncode, done.stderr)
    return done.stdout


PRELUDE = """
import os, sys, threading, time, atexit
import numpy as np, xlac
x = np.arange(4096, dtype=np.float32)
f = xlac.jit(lambda p: [p["x"] * 2, p["x"].sum()])
f({"x": x})
"""


@POSIX
def test_a_forked_child_calls_too():
    out = run_python(
        PRELUDE
        + """
sys.stdout.flush()
stop = []
def work():
    while not stop:
        f({"x": x})
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
for _ in range(5):
    pid = os.fork()
    if pid == 0:
        ok = all((f({"x": x})[0] == 2 * x).all() for _ in range(100))
        os._exit(0 if ok else 3)
    assert os.waitpid(pid, 0)[1] == 0
stop.append(1)
for t in threads: t.join()
print("fine")
"""
    )
    assert out.strip() == "fine"


def test_calls_at_exit_and_from_daemon_threads_end_well():
    out = run_python(
        PRELUDE
        + """
def work():
    while True:
        f({"x": x})
for _ in range(3): threading.Thread(target=work, daemon=True).start()
class Last:
    def __init__(self): self.f, self.x = f, x
    def __del__(self):
        try: self.f({"x": self.x})
        except Exception: pass
last = sys.last = Last()
cycle = Last(); cycle.me = cycle
atexit.register(lambda: print(f({"x": x})[0][3]))
time.sleep(0.05)
"""
    )
    assert out.strip() == "6.0"


def test_without_a_known_interpreter_everything_works_in_python():
    out = run_python(
        "import xlac.runtime.trampoline as t; t.KNOWN_PYTHONS = range(0)\n"
        + PRELUDE
        + """
from xlac.runtime import dispatch
assert not dispatch.available() and type(f) is xlac.jit(f).__class__ is type(f)
assert (f({"x": x})[0] == 2 * x).all()
g = xlac.jit(lambda s: s + 1, donate_argnums=0)
assert g(g(x.copy()))[0] == 2
print(xlac.compile("HloModule m\\nENTRY e { ROOT p = f32[2] parameter(0) }")(x[:2]).tolist())
"""
    )
    assert out.strip() == "[0.0, 1.0]"


@NATIVE
@pytest.mark.parametrize(
    "name",
    ["_TYPE", "_ARRAY_DATA", "_ARRAY_NDIM", "_ARRAY_DIMS", "_ARRAY_DESCR", "_ARRAY_FLAGS", "_SIZE", "_FLOAT_VALUE"],
)
def test_an_unknown_layout_is_noticed(monkeypatch, name):
    assert trampoline._layout_is_known()
    shift = 4 if name in ("_ARRAY_NDIM", "_ARRAY_FLAGS") else 8
    monkeypatch.setattr(trampoline, name, getattr(trampoline, name) + (shift if name != "_TYPE" else -8))
    assert not trampoline._layout_is_known()


# ---- the objects


def test_a_jitted_function_is_an_ordinary_object():
    def f(x):
        "What it says."
        return x

    jitted = xlac.jit(f)
    jitted(X)
    assert (jitted.__name__, jitted.__doc__, jitted.__wrapped__) == ("f", "What it says.", f)
    assert isinstance(jitted, type(xlac.jit(f)))
    jitted.note = 1
    assert jitted.note == 1 and copy.copy(jitted) is jitted and copy.deepcopy([jitted])[0] is jitted
    assert type(jitted).__name__ == "Jit" and type(jitted).__module__ == "xlac.frontend.jit"
    assert {jitted: 1}[jitted] == 1 and weakref.ref(jitted)() is jitted


def test_a_subclass_may_have_its_own_call():
    class Counting(dispatch.Dispatching):
        def __init__(self):
            self.count = 0

        def __call__(self, *args, **kwargs):
            self.count += 1
            return args, kwargs

    class More(Counting):
        def __call__(self, *args, **kwargs):
            return super().__call__(*args, **kwargs)

    for kind in (Counting, More):
        c = kind()
        assert isinstance(c, kind) and c(1, a=2) == ((1,), {"a": 2}) and c.count == 1
