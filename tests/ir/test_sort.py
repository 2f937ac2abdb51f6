"""sort by simple, keyed and arbitrary comparators, and topk."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rows import array, infer, less_than, of_scalars, run
from xlac.api import compile as compile_module
from xlac.errors import ShapeError
from xlac.ir.module import Computation
from xlac.ir.opcode import op


@pytest.mark.parametrize("element", ["s8", "u16", "s32", "u64", "s4", "u2", "f16", "bf16", "f32", "f64"])
@pytest.mark.parametrize("direction", ["LT", "GT"])
def test_sort_orders_every_type_both_ways(element, direction):
    dtype = array(f"{element}[]").dtype
    x = np.array([[1, 0, 1, 0, 1], [0, 1, 1, 0, 0]], np.int8).astype(dtype)
    got = run("sort", x, dimensions=(1,), to_apply=less_than(element, direction=direction))
    wanted = np.sort(x.astype(np.float64), axis=1)
    assert got.astype(np.float64).tolist() == (wanted if direction == "LT" else wanted[:, ::-1]).tolist()


@given(st.lists(st.integers(0, 3), max_size=12), st.sampled_from(["LT", "GT"]))
def test_sort_is_stable_and_carries_other_operands_along(keys, direction):
    keys = np.array(keys, np.int32)
    places = np.arange(len(keys), dtype=np.int32)
    got = run("sort", keys, places, dimensions=(0,), to_apply=less_than("s32", "s32", direction=direction))
    wanted = sorted(places, key=lambda i: keys[i] if direction == "LT" else -keys[i])
    assert got[1].tolist() == [int(i) for i in wanted]


def test_sort_in_total_order_knows_signed_zeros_and_nans():
    x = np.array([np.nan, 1, -0.0, 0.0, -np.inf, -np.nan, np.inf, -1], np.float32)
    x[5] = np.copysign(np.float32(np.nan), -1)
    got = run("sort", x, dimensions=(0,), to_apply=less_than("f32", type="TOTALORDER"))
    assert np.isnan(got[[0, -1]]).all() and np.signbit(got[0]) and not np.signbit(got[-1])
    assert got[1:-1].tolist() == [-np.inf, -1, 0, 0, 1, np.inf]
    assert np.signbit(got[3]) and not np.signbit(got[4])


def test_sort_with_a_comparator_that_nans_contradict_is_a_permutation():
    x = np.array([3, np.nan, 1, np.nan, 2, 0], np.float32)
    got = run("sort", x, dimensions=(0,), to_apply=less_than("f32"))
    assert sorted(got[~np.isnan(got)]) == [0, 1, 2, 3] and np.isnan(got).sum() == 2


def test_sort_by_a_function_of_each_key():
    region = of_scalars(
        "f32", "f32", build=lambda a, b: op.compare.make(op.abs.make(b), op.abs.make(a), direction="GT")
    )
    x = np.array([[3.0, -1.0, 2.0, -4.0]], np.float32)
    assert run("sort", x, dimensions=(1,), to_apply=region).tolist() == [[-1, 2, 3, -4]]


def lexicographic(a, b, c, d):
    first, equal = op.compare.make(a, b, direction="LT"), op.compare.make(a, b, direction="EQ")
    return op.or_.make(first, op.and_.make(equal, op.compare.make(d, c, direction="LT")))


@settings(max_examples=30)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(0, 99))
def test_sort_by_two_keys_is_a_stable_merge_sort(n, rows, seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, (n, rows)).astype(np.int32), rng.integers(0, 3, (n, rows)).astype(np.float32)
    third = np.broadcast_to(np.arange(n, dtype=np.int32)[:, None], (n, rows))

    def before(a, b, c, d, *_):
        return lexicographic(a, b, c, d)

    region = of_scalars("s32", "s32", "f32", "f32", "s32", "s32", build=before)
    got = run("sort", first, second, third, dimensions=(0,), to_apply=region)
    for r in range(rows):
        order = sorted(range(n), key=lambda i: (first[i, r], -second[i, r]))
        assert got[2][:, r].tolist() == order


def test_sort_by_a_comparator_that_cannot_be_mapped_over_arrays():
    branch = {}
    for name, direction in (("less", "LT"), ("greater", "GT")):
        computation = Computation(name)
        pair = computation.parameter(infer("tuple", array("s32[]"), array("s32[]")))
        parts = [op.get_tuple_element.make(pair, index=i) for i in range(2)]
        computation.add(op.compare.make(*parts, direction=direction))
        branch[name] = computation

    def before(a, b):
        zero = op.constant.make(shape=array("s32[]"), literal=np.int32(0).reshape(()))
        both = op.tuple.make(a, b)
        negative = op.compare.make(op.add.make(a, b), zero, direction="LT")
        return op.conditional.make(negative, both, both, branch_computations=(branch["less"], branch["less"]))

    x = np.array([5, -2, 7, 0, -9, 3], np.int32)
    assert run("sort", x, dimensions=(0,), to_apply=of_scalars("s32", "s32", build=before)).tolist() == sorted(
        x.tolist()
    )


@pytest.mark.parametrize("dims", [(0,), (1,), (3, 0), (0, 3)])
def test_sort_of_nothing(dims):
    x = np.zeros(dims, np.float32)
    assert run("sort", x, dimensions=(len(dims) - 1,), to_apply=less_than("f32")).shape == dims


def test_sort_names_what_does_not_fit():
    with pytest.raises(ShapeError, match=r"operand 1 is f32\[3\] but operand 0 is f32\[2\]"):
        infer("sort", array("f32[2]"), array("f32[3]"), dimensions=(0,), to_apply=less_than("f32", "f32"))
    with pytest.raises(ShapeError, match="takes 2 parameters; it must take 4"):
        infer("sort", array("f32[2]"), array("f32[2]"), dimensions=(0,), to_apply=less_than("f32"))
    with pytest.raises(ShapeError, match=r"parameter 0 of before is s32\[\]; it must be f32\[\]"):
        infer("sort", array("f32[2]"), dimensions=(0,), to_apply=less_than("s32"))
    with pytest.raises(ShapeError, match="must be distinct and below 1"):
        infer("sort", array("f32[2]"), dimensions=(1,), to_apply=less_than("f32"))


def test_topk_takes_the_earlier_of_equals_and_nan_first():
    x = np.array([[1, 7, 7, 3], [0, np.nan, -1, 5]], np.float32)
    values, places = run("topk", x, k=2, largest=True)
    assert places.tolist() == [[1, 2], [1, 3]] and values[0].tolist() == [7, 7] and np.isnan(values[1, 0])
    values, places = run("topk", x, k=3, largest=False)
    assert places.tolist() == [[0, 3, 1], [2, 0, 3]]


def test_topk_of_predicates_takes_the_true_ones_first():
    x = np.array([False, True, False, True])
    text = """HloModule m
      ENTRY e {
        x = pred[4] parameter(0)
        ROOT t = (pred[3], s32[3]) topk(x), k=3, largest=true
      }"""
    for values, places in (run("topk", x, k=3, largest=True), compile_module(text)(x)):
        assert values.tolist() == [True, True, False]
        assert places.tolist() == [1, 3, 0]


def test_topk_names_a_k_that_is_too_large():
    with pytest.raises(ShapeError, match=r"k=5 of operand 0, f32\[2,4\]"):
        infer("topk", array("f32[2,4]"), k=5, largest=True)


def test_merge_sort_agrees_with_pythons_sort_on_many_sizes():
    rng = np.random.default_rng(3)
    region = of_scalars("s32", "s32", "f32", "f32", build=lexicographic)
    for n in (1, 2, 3, 7, 8, 9, 100, 257):
        a, b = rng.integers(0, 9, n).astype(np.int32), rng.integers(0, 9, n).astype(np.float32)
        got = run("sort", a, b, dimensions=(0,), to_apply=region)

        def compare(i, j, a=a, b=b):
            return -1 if (a[i], -b[i]) < (a[j], -b[j]) else int((a[i], -b[i]) > (a[j], -b[j]))

        order = sorted(range(n), key=functools.cmp_to_key(compare))
        assert np.array_equal(got[0], a[order]) and np.array_equal(got[1], b[order])
