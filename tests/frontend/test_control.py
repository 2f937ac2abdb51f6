"""Control flow on traced values."""

import numpy as np
import pytest

import xlac.numpy as xnp
from tests.evaluated import run
from xlac import lax
from xlac.errors import TraceError

XS = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_while_loop_runs_until_its_condition_fails():
    def f(n):
        return lax.while_loop(lambda s: s["i"] < n, lambda s: {"i": s["i"] + 1, "v": s["v"] * 2}, {"i": 0, "v": 1.0})

    result = run(f, np.int32(5))
    assert result["i"] == 5 and result["v"] == 32 and result["i"].dtype == np.int32


def test_loops_read_values_from_outside():
    def f(x, w):
        scale = w.sum()
        return lax.while_loop(lambda s: s.sum() < scale, lambda s: s + w * xnp.ones(3) + scale, x)

    got = run(f, np.zeros(3, np.float32), np.full(3, 2, np.float32))
    np.testing.assert_array_equal(got, [8, 8, 8])


def test_nested_loops_read_values_of_all_levels():
    def f(x, w):
        def outer(i, s):
            return lax.fori_loop(0, 3, lambda j, t: t + w[i] * (i + 1) + s.sum() * 0, s)

        return lax.fori_loop(0, 2, outer, x)

    np.testing.assert_array_equal(run(f, np.zeros(2, np.float32), np.array([1.0, 10.0], np.float32)), [63, 63])


def test_fori_loop_with_fixed_and_traced_bounds_agree():
    def body(i, v):
        return v * 2 + i

    fixed = run(lambda v: lax.fori_loop(2, 6, body, v), np.float32(1))
    traced = run(lambda v, a, b: lax.fori_loop(a, b, body, v), np.float32(1), 2, 6)
    want = np.float32(1)
    for i in range(2, 6):
        want = body(i, want)
    assert fixed == traced == want
    assert run(lambda v: lax.fori_loop(3, 3, body, v), np.float32(1)) == 1


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("unroll", [1, True])
def test_scan_stacks_results(reverse, unroll):
    def f(xs):
        def step(c, x):
            c = c + x["a"]
            return c, (c * 2, x["b"])

        return lax.scan(step, xnp.zeros(3), {"a": xs, "b": xs[:, 0]}, reverse=reverse, unroll=unroll)

    carry, (doubled, first) = run(f, XS)
    sums = np.cumsum(XS[::-1], 0)[::-1] if reverse else np.cumsum(XS, 0)
    np.testing.assert_array_equal(carry, XS.sum(0))
    np.testing.assert_array_equal(doubled, sums * 2)
    np.testing.assert_array_equal(first, XS[:, 0])


def test_scan_without_inputs_needs_a_length():
    carry, ys = run(lambda x: lax.scan(lambda c, _: (c + 1, c), x, None, length=3), np.float32(0))
    assert carry == 3
    np.testing.assert_array_equal(ys, [0, 1, 2])
    with pytest.raises(TraceError, match="give length"):
        run(lambda x: lax.scan(lambda c, _: (c, None), x), np.float32(0))


def test_scan_of_nothing_gives_the_first_carry():
    carry, ys = run(lambda xs: lax.scan(lambda c, x: (c + x, x * 2), xnp.ones(3), xs), XS[:0])
    np.testing.assert_array_equal(carry, [1, 1, 1])
    assert ys.shape == (0, 3)


def test_weakly_typed_carries_take_the_bodys_type():
    carry, _ = run(lambda xs: lax.scan(lambda c, x: (c + x, None), 0.0, xs), XS[:, 0].astype(np.float64))
    assert carry.dtype == np.float64
    assert run(lambda x: lax.while_loop(lambda s: s < x, lambda s: s + x, 0), np.float32(2)).dtype == np.float32
    carry, _ = run(lambda xs: lax.scan(lambda c, x: (0.0, None), x_like(xs), xs), XS.astype(np.float16))
    assert carry.dtype == np.float16


def x_like(xs):
    return xs[0, 0] * 0


def test_map_applies_to_each_element():
    np.testing.assert_allclose(run(lambda xs: lax.map(lambda x: x.sum(), xs), XS), XS.sum(1))


@pytest.mark.parametrize("value", [True, False])
def test_cond_chooses_a_branch(value):
    def f(p, x, y):
        return lax.cond(p, lambda a: {"r": a + y, "n": 1}, lambda a: {"r": a * 2, "n": 0}, x)

    result = run(f, np.bool_(value), XS, np.float32(3))
    np.testing.assert_array_equal(result["r"], XS + 3 if value else XS * 2)
    assert result["n"] == int(value)


@pytest.mark.parametrize(("index", "want"), [(-1, 0), (0, 0), (1, 10), (2, 20), (7, 20)])
def test_switch_takes_the_nearest_branch(index, want):
    branches = [lambda x: x * 0, lambda x: x * 10, lambda x: x * 20]
    assert run(lambda i, x: lax.switch(i, branches, x), np.int32(index), np.float32(1)) == want


def test_control_flow_runs_on_concrete_values_too():
    assert lax.cond(True, lambda x: x + 1, lambda x: x, 2.0) == 3
    assert lax.fori_loop(0, 3, lambda i, v: v + i, 0) == 3
    carry, ys = lax.scan(lambda c, x: (c + x, c), np.float32(0), np.arange(3, dtype=np.float32))
    assert carry == 3 and ys.tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: lax.while_loop(lambda s: True, lambda s: {"a": s["a"][:1]}, {"a": x}), r"carry\['a'\]"),
        (lambda x: lax.while_loop(lambda s: True, lambda s: s.astype(np.int32), x), "s32.*f32"),
        (lambda x: lax.while_loop(lambda s: True, lambda s: (s, s), x), "nested"),
        (lambda x: lax.while_loop(lambda s: s > 0, lambda s: s, x), "one bool scalar"),
        (lambda x: lax.scan(lambda c, v: (c[0], v), (x, x), x), "nested"),
        (lambda x: lax.scan(lambda c, v: c, x, x), "pair"),
        (lambda x: lax.scan(lambda c, v: (c, v), 0, (x, x[:2])), r"xs\[1\], float32\[2,3\], has 2"),
        (lambda x: lax.scan(lambda c, v: (c + 0.5, v), np.int32(0), x), "the carry"),
        (lambda x: lax.cond(x, lambda: 1, lambda: 2), "scalar"),
        (lambda x: lax.cond(True, lambda v: v, lambda v: v[0], x), "the result is"),
        (lambda x: lax.cond(True, lambda v: v, lambda v: v.astype(np.int32), x), "astype"),
        (lambda x: lax.cond(True, lambda v: (v,), lambda v: v, x), "nested"),
        (lambda x: lax.switch(x, [lambda: 1]), "integer scalar"),
        (lambda x: lax.reduce(x, 0.0, lambda a, b: a + b + x[0, 0], [0]), "reducer may read only"),
    ],
)
def test_bodies_that_do_not_fit_are_named_with_the_users_line(function, message):
    with pytest.raises(TraceError, match=message) as caught:
        run(function, XS)
    assert f"{__file__}:" in str(caught.value)


def test_reduce_by_any_function():
    got = run(lambda x: lax.reduce(x, 1.0, lambda a, b: a * b, [0]), XS + 1)
    np.testing.assert_allclose(got, np.prod(XS + 1, 0))

    def extremes(acc, new):
        return lax.max(acc[0], new[0]), lax.min(acc[1], new[1])

    high, low = run(lambda x: lax.reduce((x, x), (-np.inf, np.inf), extremes, [1]), XS)
    np.testing.assert_array_equal(high, XS.max(1))
    np.testing.assert_array_equal(low, XS.min(1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_running_combination(n, reverse):
    x = np.arange(1, n + 1, dtype=np.float32)
    got = run(lambda v: lax.associative_scan(lambda a, b: a * b, v, reverse=reverse), x)
    want = np.cumprod(x[::-1])[::-1] if reverse else np.cumprod(x)
    np.testing.assert_allclose(got, want)


def test_lax_operands_must_agree():
    from xlac.errors import ShapeError

    with pytest.raises(ShapeError, match=r"add: operands float\d\d\[4,3\] and int32\[4,3\]; they must be of one type"):
        run(lambda x: lax.add(x, np.ones((4, 3), np.int32)), XS)
    with pytest.raises(
        ShapeError, match=r"add: operands float\d\d\[4,3\] and float\d\d\[3\]; they must be of one shape"
    ):
        run(lambda x: lax.add(x, x[0]), XS)
    np.testing.assert_array_equal(run(lambda x: lax.add(x, 1), XS), XS + 1)


def test_dynamic_slices_clamp_and_update():
    np.testing.assert_array_equal(run(lambda x, i: lax.dynamic_slice(x, (i, 1), (2, 2)), XS, 9), XS[2:, 1:])
    np.testing.assert_array_equal(run(lambda x, i: lax.dynamic_slice_in_dim(x, i, 2), XS, 1), XS[1:3])
    np.testing.assert_array_equal(run(lambda x, i: lax.dynamic_index_in_dim(x, i, 1, keepdims=False), XS, 2), XS[:, 2])
    got = run(lambda x, i: lax.dynamic_update_index_in_dim(x, xnp.zeros(3), i, 0), XS, 2)
    assert got[2].tolist() == [0, 0, 0] and got[1].tolist() == XS[1].tolist()


def test_sort_by_several_keys_and_top_k():
    a, b = np.array([2, 1, 2, 1], np.int32), np.array([1.0, 3.0, 0.0, 2.0], np.float32)
    first, second = run(lambda x, y: lax.sort((x, y), num_keys=2), a, b)
    assert first.tolist() == [1, 1, 2, 2] and second.tolist() == [2, 3, 0, 1]
    values, indices = run(lambda x: lax.top_k(x, 2), b)
    assert values.tolist() == [3, 2] and indices.tolist() == [1, 3]
