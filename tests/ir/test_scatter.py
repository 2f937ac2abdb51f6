"""scatter against a loop over updates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rows import array, infer, of_scalars, reducer, run, take_second
from xlac.errors import ShapeError
from xlac.ir.opcode import op


def scatter(operand, indices, updates, function, attrs):
    """The definition: each update, in the order of the indices, unless its window is not inside."""
    result = operand.copy()
    batching = dict(zip(attrs["input_batching_dims"], attrs["scatter_indices_batching_dims"]))
    ivd = attrs["index_vector_dim"]
    vectors = np.moveaxis(indices, ivd, -1) if ivd < indices.ndim else indices[..., None]
    window_dims = attrs["update_window_dims"]
    batch_dims = [d for d in range(updates.ndim) if d not in window_dims]
    kept = [d for d in range(operand.ndim) if d not in attrs["inserted_window_dims"] and d not in batching]
    extents = {d: updates.shape[u] for d, u in zip(kept, window_dims)}
    for batch in np.ndindex(*vectors.shape[:-1]):
        start = [0] * operand.ndim
        for part, d in enumerate(attrs["scatter_dims_to_operand_dims"]):
            start[d] = int(vectors[batch][part])
        for d, axis in batching.items():
            start[d] = batch[axis - (axis > ivd)]
        if any(not 0 <= s <= n - extents.get(d, 1) for d, (s, n) in enumerate(zip(start, operand.shape))):
            continue
        for offset in np.ndindex(*(updates.shape[u] for u in window_dims)):
            at = list(start)
            for d, k in zip(kept, offset):
                at[d] += k
            source = [0] * updates.ndim
            for d, i in zip(batch_dims, batch):
                source[d] = i
            for d, k in zip(window_dims, offset):
                source[d] = k
            result[tuple(at)] = function(result[tuple(at)], updates[tuple(source)])
    return result


@given(st.data())
def test_scatter_is_a_loop_over_updates(data):
    draw = data.draw
    rank = draw(st.integers(1, 3))
    dims = [draw(st.integers(2, 4)) for _ in range(rank)]
    batching = sorted(draw(st.sets(st.integers(0, rank - 1), max_size=1 if rank > 1 else 0)))
    rest = [d for d in range(rank) if d not in batching]
    inserted = sorted(draw(st.sets(st.sampled_from(rest), max_size=len(rest))))
    mapped = draw(st.permutations(rest))[: draw(st.integers(1, len(rest)))]
    window = [d for d in rest if d not in inserted]
    extra = draw(st.integers(0, 2))
    batch = [dims[d] for d in batching] + [draw(st.integers(1, 4)) for _ in range(extra)]
    ivd = draw(st.integers(0, len(batch)))
    index_dims = [*batch[:ivd], len(mapped), *batch[ivd:]]
    indices_batching = [i + (i >= ivd) for i in range(len(batching))]
    extents = [draw(st.integers(1, dims[d])) for d in window]
    update_rank = len(batch) + len(window)
    window_dims = sorted(draw(st.permutations(range(update_rank)))[: len(window)])
    inner, outer = iter(extents), iter(batch)
    update_dims = [next(inner) if d in window_dims else next(outer) for d in range(update_rank)]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    operand = rng.integers(-9, 9, dims).astype(np.int32)
    indices = rng.integers(-1, 4, index_dims).astype(draw(st.sampled_from([np.int32, np.int64, np.int8])))
    updates = rng.integers(-9, 9, update_dims).astype(np.int32)
    attrs = {
        "update_window_dims": tuple(window_dims),
        "inserted_window_dims": tuple(inserted),
        "scatter_dims_to_operand_dims": tuple(mapped),
        "input_batching_dims": tuple(batching),
        "scatter_indices_batching_dims": tuple(indices_batching),
        "index_vector_dim": ivd,
    }
    for region, function in (
        (reducer("add", "s32"), np.add),
        (reducer("maximum", "s32"), np.maximum),
        (take_second("s32"), lambda old, new: new),
        (reducer("subtract", "s32"), np.subtract),
    ):
        got = run("scatter", operand, indices, updates, to_apply=region, **attrs)
        assert np.array_equal(got, scatter(operand, indices, updates, function, attrs))


POINTS = {
    "update_window_dims": (),
    "inserted_window_dims": (0,),
    "scatter_dims_to_operand_dims": (0,),
    "index_vector_dim": 1,
}


def test_scatter_rounds_narrow_floats_after_every_update():
    dtype = array("bf16[]").dtype
    got = run(
        "scatter",
        np.array([256], dtype),
        np.zeros((4, 1), np.int32),
        np.ones(4, dtype),
        to_apply=reducer("add", "bf16"),
        **POINTS,
    )
    assert float(got[0]) == 256


def test_a_variadic_scatter_keeps_its_arrays_together():
    def larger(value, place, other, elsewhere):
        first = op.compare.make(value, other, direction="GE")
        return op.tuple.make(op.select.make(first, value, other), op.select.make(first, place, elsewhere))

    region = of_scalars("f32", "s32", "f32", "s32", build=larger)
    values, places = run(
        "scatter",
        np.zeros(3, np.float32),
        np.full(3, -1, np.int32),
        np.array([[2], [0], [2], [7]], np.int32),
        np.array([1, -5, 4, 9], np.float32),
        np.arange(4, dtype=np.int32),
        to_apply=region,
        **POINTS,
    )
    assert values.tolist() == [0, 0, 4] and places.tolist() == [-1, -1, 2]


def test_scatter_drops_unsigned_indices_that_would_wrap():
    far = np.array([[2**64 - 1], [1]], np.uint64)
    got = run("scatter", np.zeros(2, np.float32), far, np.ones(2, np.float32), to_apply=reducer("add"), **POINTS)
    assert got.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("shapes", "changes", "message"),
    [
        (("f32[4]", "f32[2,1]", "f32[2]"), {}, "operand 1 is f32.*must be signed integer or unsigned"),
        (("f32[4]", "s32[2,2]", "f32[2]"), {}, "has 2 parts but scatter_dims_to_operand_dims has 1"),
        (
            ("f32[4]", "s32[2,1]", "f32[3]"),
            {},
            r"operand 2 is f32\[3\]; less its update_window_dims it has dimensions \[3\]",
        ),
        (("f32[4,4]", "s32[2,1]", "f32[2]"), {}, "together they must be the 2 of operand 0"),
        (("f32[4,4]", "s32[2,1]", "f32[2,5]"), {"update_window_dims": (1,)}, "is 5, more than dimension 1"),
        (("f32[4]", "s32[2,1]", "f32[2]"), {"index_vector_dim": 3}, r"index_vector_dim=3; operand 1 is s32\[2,1\]"),
        (("f32[4]", "s32[2,1]"), {}, "takes 3 or more operands|one array of indices"),
    ],
)
def test_scatter_names_what_does_not_fit(shapes, changes, message):
    with pytest.raises(ShapeError, match=message):
        infer("scatter", *map(array, shapes), to_apply=reducer("add"), **(POINTS | changes))
