"""Random bits: the published test vectors, the order of elements, and the state."""

import math

import numpy as np
import pytest

from tests.rows import array, infer, run
from xlac.errors import ShapeError
from xlac.ir.ops.random import philox, three_fry
from xlac.ir.shape import TupleShape


def bits(algorithm, state, result):
    state = np.array(state, np.uint64)
    shape = TupleShape((array(f"u64[{state.size}]"), array(result)))
    return run("rng-bit-generator", state, shape=shape, algorithm=algorithm)


def test_three_fry_gives_the_published_vectors():
    ones = np.uint64(2**64 - 1)
    for counter, key, wanted in (
        (np.uint64(0), np.uint64(0), (0x6B200159, 0x99BA4EFE)),
        (ones, ones, (0x1CB996FC, 0xBB002BE7)),
        (np.uint64(0x85A308D3243F6A88), np.uint64(0x0370734413198A2E), (0xC4923A9C, 0x483DF7A0)),
    ):
        with np.errstate(over="ignore"):
            assert tuple(int(w) for w in three_fry(counter, key)) == wanted


def test_philox_gives_the_published_vectors():
    ones = np.uint64(2**64 - 1)
    for low, high, key, wanted in (
        (np.uint64(0), np.uint64(0), np.uint64(0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (ones, ones, ones, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ):
        with np.errstate(over="ignore"):
            assert tuple(int(w) for w in philox(low, high, key)) == wanted


def words(count, first, key):
    with np.errstate(over="ignore"):
        pairs = three_fry(np.uint64(first) + np.arange(count, dtype=np.uint64), np.uint64(key))
    return np.stack(pairs, axis=1)


def test_three_fry_splits_the_first_even_dimension_and_else_the_longest():
    state, value = bits("rng_three_fry", [7, 100], "u32[3,4]")
    assert state.tolist() == [7, 106]
    # Counters run over [3, 2]; the two words of each are neighbours in the dimension of 4.
    assert np.array_equal(value, words(6, 100, 7).reshape(3, 4))
    state, value = bits("rng_three_fry", [7, 100], "u32[3,5]")
    assert state.tolist() == [7, 109]
    assert np.array_equal(value, words(9, 100, 7).reshape(3, 6)[:, :5])
    state, value = bits("rng_three_fry", [7, 100], "u32[]")
    assert state.tolist() == [7, 101] and value == words(1, 100, 7)[0, 0]


def test_three_fry_makes_64_bits_of_the_two_words_of_a_counter():
    state, value = bits("rng_three_fry", [7, 2**64 - 1], "u64[3]")
    assert state.tolist() == [7, 2]
    pair = words(3, 2**64 - 1, 7).astype(np.uint64)
    assert np.array_equal(value, pair[:, 0] | pair[:, 1] << np.uint64(32))


@pytest.mark.parametrize("state", [[5, 9], [5, 2**64 - 2, 3]])
def test_philox_counts_blocks_of_four_words_in_128_bits(state):
    with np.errstate(over="ignore"):
        low, high = (state[1], state[2]) if len(state) == 3 else (state[1], state[0])
        counters = [(low + i) % 2**128 + (high << 64) for i in range(3)]
        blocks = [philox(np.uint64(c % 2**64), np.uint64(c >> 64), np.uint64(5)) for c in counters]
    flat = [int(w) for block in blocks for w in block]
    new, value = bits("rng_philox", state, "u32[3,3]")
    assert value.reshape(-1).tolist() == flat[:9]
    after = low + 3 + (high << 64)
    assert new.tolist() == [5, after % 2**64, after >> 64][: len(state)]
    new, value = bits("rng_philox", state, "u64[5]")
    assert value.tolist() == [flat[2 * i] | flat[2 * i + 1] << 32 for i in range(5)]


@pytest.mark.parametrize("element", ["u8", "s8", "u16", "s16", "f16", "bf16", "u4", "s4"])
def test_narrow_types_hold_the_low_bits_of_32_bit_words(element):
    wide = bits("rng_default", [1, 2, 3], "u32[7]")
    narrow = bits("rng_default", [1, 2, 3], f"{element}[7]")
    shape = array(f"{element}[7]")
    raw = narrow[1].view(f"u{shape.dtype.itemsize}").astype(np.uint32)
    mask = (1 << shape.element_type.bits) - 1
    assert np.array_equal(raw & mask, wide[1] & mask) and narrow[0].tolist() == wide[0].tolist()


@pytest.mark.parametrize("element", ["s32", "f32", "s64", "f64"])
def test_wide_types_hold_the_bits_of_the_unsigned_type(element):
    size = array(f"{element}[]").dtype.itemsize
    unsigned = bits("rng_philox", [1, 2], f"u{8 * size}[2,3]")[1]
    assert bits("rng_philox", [1, 2], f"{element}[2,3]")[1].tobytes() == unsigned.tobytes()


def test_the_state_of_a_generator_must_fit_its_algorithm():
    result = TupleShape((array("u64[3]"), array("u32[4]")))
    with pytest.raises(ShapeError, match=r"operand 0 is u64\[3\]; the state of rng_three_fry is u64\[2\]"):
        infer("rng-bit-generator", array("u64[3]"), shape=result, algorithm="rng_three_fry")
    with pytest.raises(ShapeError, match="algorithm=dice; it must be one of"):
        infer("rng-bit-generator", array("u64[3]"), shape=result, algorithm="dice")


def test_rng_update_state_gives_the_state_before():
    first = run("rng-get-and-update-state", shape=array("u64[2]"), delta=5)
    second = run("rng-get-and-update-state", shape=array("u64[2]"), delta=1)
    assert int(second[0]) - int(first[0]) == 5


@pytest.mark.parametrize("element", ["f16", "bf16", "f32", "f64", "s8", "u32", "s64"])
def test_uniform_numbers_fill_their_range(element):
    shape = array(f"{element}[4000]")
    low, high = np.array(2, shape.dtype), np.array(7, shape.dtype)
    got = run("rng", low, high, shape=shape, distribution="rng_uniform").astype(np.float64)
    assert got.min() >= 2 and got.max() < 7
    # The standard error of a mean of 4000 numbers is below 0.03.
    assert abs(got.mean() - (4 if shape.element_type.is_integer else 4.5)) < 0.15


def test_normal_numbers_have_their_mean_and_deviation():
    shape = array("f32[20000]")
    got = run("rng", np.float32(1), np.float32(2), shape=shape, distribution="rng_normal").astype(np.float64)
    assert abs(got.mean() - 1) < 5 * 2 / math.sqrt(20000) and abs(got.std() - 2) < 0.06


def test_rng_names_an_unknown_distribution():
    with pytest.raises(ShapeError, match="distribution=rng_poisson; it must be rng_uniform or rng_normal"):
        infer("rng", array("f32[]"), array("f32[]"), shape=array("f32[2]"), distribution="rng_poisson")
