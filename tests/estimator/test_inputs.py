"""Data sets: what is refused, and the order batches come in."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from xlac.errors import EstimatorError
from xlac.estimator.inputs import ArrayInput, batches_of, open_input


def ids(data, count, position=0):
    """The rows of the next batches, for x that holds row numbers."""
    return [x.tolist() for x, _ in islice(data.stream(position), count)]


def test_every_row_comes_once_an_epoch():
    data = ArrayInput(np.arange(10), batch_size=4, seed=3)
    rows = sum(ids(data, 5), [])
    assert sorted(rows[:10]) == sorted(rows[10:]) == list(range(10))
    assert rows[:10] != rows[10:]


def test_all_batches_are_full_and_no_larger_than_the_data():
    assert {len(batch) for batch in ids(ArrayInput(np.arange(10), batch_size=4), 20)} == {4}
    assert {len(batch) for batch in ids(ArrayInput(np.arange(10), batch_size=99), 3)} == {10}


@pytest.mark.parametrize("position", [0, 4, 8, 12, 36, 400])
def test_a_stream_taken_up_anywhere_goes_on_as_the_whole_one(position):
    data = ArrayInput(np.arange(10), batch_size=4, seed=1)
    assert ids(data, 3, position) == ids(data, position // 4 + 3)[position // 4 :]


def test_the_order_depends_on_the_seed_alone():
    first, again, other = (ids(ArrayInput(np.arange(50), batch_size=8, seed=seed), 9) for seed in (1, 1, 2))
    assert first == again != other


def test_without_shuffling_rows_come_in_their_own_order():
    assert ids(ArrayInput(np.arange(5), batch_size=3, shuffle=False), 3) == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]


def test_features_and_labels_stay_together():
    x = {"a": np.arange(20), "b": np.arange(40.0).reshape(20, 2)}
    for features, labels in islice(ArrayInput(x, np.arange(20) * 3, batch_size=6).stream(), 7):
        np.testing.assert_array_equal(features["a"] * 3, labels)
        np.testing.assert_array_equal(features["b"][:, 0], features["a"] * 2)


def test_once_gives_all_rows_with_a_smaller_last_batch():
    parts = [x.tolist() for x, _ in ArrayInput(np.arange(5), batch_size=2).once()]
    assert parts == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([[1, 2], [3]], None, "ragged"),
        (np.zeros((0, 3)), None, "no rows"),
        (3.0, None, "first dimension"),
        (np.zeros((4, 2)), np.zeros(3), "4 rows but y has 3"),
        ({"a": np.zeros(3), "b": np.zeros(4)}, None, r"x\['b'\] has 4 rows"),
        ({}, None, "empty dict"),
        (np.array([{}, []], object), None, "Python objects"),
    ],
)
def test_improper_arrays_are_refused(x, y, message):
    with pytest.raises(EstimatorError, match=message):
        ArrayInput(x, y)


def test_an_input_fn_may_return_arrays_an_array_input_or_batches():
    x, y = np.arange(6), np.arange(6) * 2
    assert isinstance(open_input(lambda: (x, y), None, 2, False, 0), ArrayInput)
    own = ArrayInput(x, y)
    assert open_input(lambda: own, None, 2, False, 0) is own
    batches = list(batches_of(open_input(lambda: [(x[:3], y[:3]), (x[3:], y[3:])], None, 2, False, 0)))
    assert [len(features) for features, _ in batches] == [3, 3]


def test_an_input_fn_and_labels_are_too_much():
    with pytest.raises(EstimatorError, match="input_fn returns the labels"):
        open_input(lambda: None, np.zeros(3), 2, False, 0)


def test_improper_batches_are_named_by_number():
    with pytest.raises(EstimatorError, match="batch 1 has 2 rows of features but 3 of labels"):
        list(batches_of([(np.zeros(2), np.zeros(2)), (np.zeros(2), np.zeros(3))]))
    with pytest.raises(EstimatorError, match="int 3; it must return"):
        list(batches_of(3))
