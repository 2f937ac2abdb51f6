"""Output memory: reuse, lifetimes, limits."""

import gc
import os
import threading

import ml_dtypes
import numpy as np
import pytest

from xlac.runtime import memory

BIG = (memory.POOLED_BYTES // 1024, 256)  # in float32 exactly the smallest pooled array


@pytest.fixture(autouse=True)
def an_empty_pool():
    gc.collect()
    memory.trim()
    yield
    gc.collect()
    memory.trim()


@pytest.mark.parametrize("dtype", ["float32", "int8", "complex128", "bool", ml_dtypes.bfloat16, ml_dtypes.int4])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (5, 0, 7), (33, 65), (1025, 4097)])
def test_arrays_have_the_shape_and_dtype_asked_for(shape, dtype):
    for array in (memory.empty(shape, dtype), memory.allocator(shape, dtype)()):
        assert array.shape == shape and array.dtype == np.dtype(dtype)
        assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
        array[...] = 1
        assert (array == np.ones((), dtype)).all()
        if array.nbytes >= memory.POOLED_BYTES:
            assert array.ctypes.data % 64 == 0


def test_the_same_memory_comes_back():
    first = memory.empty(BIG, np.float32)
    address = first.ctypes.data
    del first
    assert memory.pooled_bytes() > 0
    assert memory.empty((BIG[0] * BIG[1],), np.int32).ctypes.data == address


def test_small_arrays_own_their_memory_and_pooled_ones_do_not():
    assert memory.empty((10,), np.float32).flags.owndata
    assert not memory.empty(BIG, np.float32).flags.owndata


def test_views_keep_memory_from_being_reused():
    array = memory.empty(BIG, np.float32)
    array[:] = 7
    view = array[3:, ::2].T[5:].reshape(-1)[1:].view(np.int32)
    slice_ = array[10:20]
    raw = memoryview(array[20:30])
    del array
    others = [memory.empty(BIG, np.float32) for _ in range(3)]
    for other in others:
        other[:] = 0
    assert (slice_ == 7).all() and np.asarray(raw).min() == 7 and view.size
    address = slice_.__array_interface__["data"][0]
    taken = {other.ctypes.data for other in others}
    del raw, view
    assert memory.pooled_bytes() == 0
    del slice_
    assert memory.pooled_bytes() > 0
    again = memory.empty(BIG, np.float32)
    assert again.ctypes.data not in taken and again.ctypes.data < address < again.ctypes.data + again.nbytes


def test_live_arrays_never_share_memory():
    arrays = [memory.empty((BIG[0] + i, BIG[1]), np.float32) for i in range(20)]
    for i, array in enumerate(arrays):
        array[:] = i
    assert all((array == i).all() for i, array in enumerate(arrays))
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_trim_unmaps_what_is_unused_and_leaves_what_is_in_use():
    kept = memory.empty(BIG, np.float32)
    kept[:] = 3
    del_me = memory.empty(BIG, np.float64)
    del del_me
    size = memory.pooled_bytes()
    assert size >= 2 * memory.POOLED_BYTES
    assert memory.trim() == size and memory.pooled_bytes() == 0
    assert (kept == 3).all()


def test_the_pool_keeps_no_more_than_its_limit():
    former = memory.set_limit(4 * memory.POOLED_BYTES)
    try:
        arrays = [memory.empty(BIG, np.float32) for _ in range(10)]
        arrays.append(memory.empty((BIG[0] * 10, BIG[1]), np.float32))
        del arrays[:]
        assert 0 < memory.pooled_bytes() <= 4 * memory.POOLED_BYTES
        memory.set_limit(0)
        assert memory.pooled_bytes() == 0
        memory.empty(BIG, np.float32)
        assert memory.pooled_bytes() == 0
    finally:
        assert memory.set_limit(former) == 0


def test_size_classes_waste_at_most_a_quarter():
    for nbytes in [memory.POOLED_BYTES + d for d in (0, 1, 4095, 4096, 100_000)] + [2**30 + 1, 3**19, 10**9]:
        size = memory.size_class(nbytes)
        assert nbytes <= size <= nbytes * 1.25 + 16384 and memory.size_class(size) == size


@pytest.mark.parametrize("n", [1, 63, 64, 65, 4097, memory.POOLED_BYTES, 3_000_001])
def test_arenas_are_aligned(n):
    for _ in range(3):
        arena = memory.aligned_bytes(n)
        assert arena.shape == (n,) and arena.dtype == np.uint8 and arena.__array_interface__["data"][0] % 64 == 0
        arena[:] = 1
    assert memory.aligned_bytes(0).shape == (0,)


def test_impossible_sizes_are_memory_errors():
    for make in (memory.empty, lambda s, d: memory.allocator(s, d)()):
        with pytest.raises((MemoryError, ValueError)):
            make((1 << 60,), np.float32)
    with pytest.raises(MemoryError):
        memory.aligned_bytes(1 << 61)


def test_threads_share_the_pool_safely():
    errors: list[str] = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(200):
            array = memory.empty((int(random.integers(1, 4)) * BIG[0], BIG[1]), np.float32)
            array[:2] = array[-2:] = seed
            if not ((array[:2] == seed).all() and (array[-2:] == seed).all()):
                errors.append(f"thread {seed} lost its memory")

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_writes_to_a_copy():
    array = memory.empty(BIG, np.float32)
    array[:] = 1
    child = os.fork()
    if child == 0:
        array[:] = 2
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (array == 1).all()


def test_arrays_in_reference_cycles_give_their_memory_back():
    holder = [memory.empty(BIG, np.float32)]
    holder.append(holder)
    del holder
    gc.collect()
    assert memory.pooled_bytes() > 0
