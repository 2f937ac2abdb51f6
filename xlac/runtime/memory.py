"""Memory for results and scratch: small arrays come from NumPy, large ones from a pool of pages that stay mapped.

A fresh large array costs as much in page faults as many a computation on it. Here its pages return to the pool when
the array and all its views are gone, and the next result of about that size gets them without a fault. Pooled memory is
page aligned and asks for huge pages. Like `np.empty`, it holds whatever was there before.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import mmap
import os
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from xlac.array import Array
from xlac.errors import AllocationError

ALIGNMENT = 64
POOLED_BYTES = 512 << 10  # arrays from this size on are pooled
HUGE_PAGE = 2 << 20
LIMIT_BYTES = 1 << 30  # cap on unused memory that the pool keeps, if the machine's memory is not the tighter bound


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """New array of unspecified content and numeric dtype, C-contiguous; pooled and page-aligned from POOLED_BYTES on.

    A pooled array does not own its memory (its `base` gives it back to the pool), but is in all else like `np.empty`'s.
    """
    array = _np_empty(shape, dtype)
    if array.nbytes < POOLED_BYTES:
        return array
    # NumPy's own memory has not been touched, so it cost no page.
    return np.ndarray(array.shape, array.dtype, _pool.lease(array.nbytes))


def allocator(shape: tuple[int, ...], dtype: DTypeLike) -> Callable[[], Array]:
    """A function that gives such memory as an `Array`; what the shape decides is decided beforehand."""
    dtype = np.dtype(dtype)
    nbytes = dtype.itemsize * math.prod(shape)
    if nbytes < POOLED_BYTES:
        return partial(Array, shape, dtype)
    lease = _pool.lease
    return lambda: Array(shape, dtype, lease(nbytes))


def aligned_bytes(n: int) -> np.ndarray:
    """uint8 array of `n` bytes whose address is a multiple of 64, content unspecified; for arenas."""
    if n >= POOLED_BYTES:
        return np.ndarray((n,), np.uint8, _pool.lease(n))
    block = np.empty(n + ALIGNMENT, np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + n]


def trim() -> int:
    """Give all unused pooled memory back to the system; return the number of bytes."""
    return _pool.shrink(0)


def pooled_bytes() -> int:
    """Bytes the pool holds for later use."""
    return _pool.free_bytes()


def set_limit(nbytes: int) -> int:
    """Cap the unused memory that the pool keeps, now and later; return the former cap. 0 turns pooling off."""
    former, _pool.limit = _pool.limit, max(0, int(nbytes))
    _pool.shrink(_pool.limit)
    return former


def size_class(nbytes: int) -> int:
    """Bytes that are reserved for an array of `nbytes`: four classes between one power of two and the next.

    At most a quarter is reserved in vain, of which only touched pages take memory.
    """
    step = max(mmap.PAGESIZE, 1 << max(0, (nbytes - 1).bit_length() - 3))
    return -(-nbytes // step) * step


class _Block:
    """Pages of one size class, unmapped when the last reference goes."""

    __slots__ = ("address", "pages", "size")

    def __init__(self, size: int) -> None:
        huge = size >= HUGE_PAGE
        # Huge pages need an aligned range; the slack is address space, not memory.
        self.pages = _map_private(size + HUGE_PAGE if huge else size)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.pages))
        self.address = -(-start // HUGE_PAGE) * HUGE_PAGE if huge else start
        self.size = size
        if huge and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError, ValueError):
                offset = self.address - start
                self.pages.madvise(mmap.MADV_HUGEPAGE, offset, size)


def _map_private(size: int) -> mmap.mmap:
    """Fresh pages that a forked child gets a copy of; Python's own default would share them with it."""
    if hasattr(mmap, "MAP_PRIVATE"):
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, size)


class _Lease:
    """Base of the leases: a ctypes array over a block, which gives the block back when no array refers to it."""

    pool: ClassVar[_Pool]  # not the module's variable: arrays may outlive the module at exit
    block: _Block | None = None

    def __del__(self) -> None:
        if self.block is not None:
            self.pool.give_back(self.block)


class _Pool:
    """Free blocks by size class, the latest first.

    `give_back` runs wherever an array happens to die, in the middle of anything and on any thread, so it must not wait
    for a lock that its own thread may hold: deques are atomic by themselves, and only shrinking takes a lock, if it is
    free.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free: dict[int, deque[_Block]] = {}
        self._types: dict[int, type[Any]] = {}
        self._kept = 0  # bytes in _free, roughly: threads may lose updates, so it is counted anew at each miss
        self._shrinking = threading.Lock()
        self._class = lru_cache(maxsize=1024)(self._make_class)

    def lease(self, nbytes: int) -> Any:
        """A buffer of at least `nbytes` that returns to the pool when it dies."""
        kind, free, size = self._class(nbytes)
        try:
            block = free.pop()
            self._kept -= size
        except IndexError:
            block = self._map(size)
            self._kept = self.free_bytes()
        lease = kind.from_address(block.address)
        lease.block = block
        return lease

    def give_back(self, block: _Block) -> None:
        size = block.size
        if size > self.limit:
            return
        self._free[size].append(block)
        self._kept += size
        if self._kept > self.limit:
            self.shrink(self.limit)

    def free_bytes(self) -> int:
        return sum(size * len(blocks) for size, blocks in list(self._free.items()))

    def shrink(self, limit: int) -> int:
        """Unmap blocks, large and long unused ones first, until `limit` bytes are kept; return the bytes unmapped."""
        if not self._shrinking.acquire(blocking=False):
            return 0
        try:
            before = kept = self.free_bytes()
            for size in sorted(self._free, reverse=True):
                while kept > limit:
                    try:
                        self._free[size].popleft()
                    except IndexError:
                        break
                    kept -= size
            self._kept = kept
            return before - kept
        finally:
            self._shrinking.release()

    def after_fork(self) -> None:
        self._shrinking = threading.Lock()

    def _make_class(self, nbytes: int) -> tuple[type[Any], deque[_Block], int]:
        """Lease type, free blocks and size of the class. Should two threads meet here, both get the same ones."""
        size = size_class(nbytes)
        kind = self._types.get(size) or self._types.setdefault(size, type("Lease", (_Lease, ctypes.c_char * size), {}))
        return kind, self._free.setdefault(size, deque()), size

    def _map(self, size: int) -> _Block:
        try:
            return _Block(size)
        except (OSError, OverflowError):
            self.shrink(0)  # what is kept for later may be what is missing
        try:
            return _Block(size)
        except (OSError, OverflowError):
            raise AllocationError(f"not enough memory: {size / 2**30:.1f} GiB for an array cannot be had") from None


def physical_bytes() -> int:
    """Bytes of memory in this machine, 0 if unknown."""
    try:
        return max(0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, OSError, ValueError):
        return 0


def _default_limit() -> int:
    memory = physical_bytes()
    return min(LIMIT_BYTES, memory // 8) if memory else LIMIT_BYTES


_np_empty = np.empty
_pool = _Lease.pool = _Pool(_default_limit())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.after_fork)
