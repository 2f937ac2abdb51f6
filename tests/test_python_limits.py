"""Python's recursion limit and garbage collector while a program is read or compiled."""

from __future__ import annotations

import gc
import sys
import threading

import pytest

from xlac.errors import CompileError
from xlac.python_limits import STACK_LEVELS, much_made


def depth_below(levels: int) -> int:
    return 1 + depth_below(levels - 1) if levels else 0


def test_code_recurses_further_without_collections_and_all_is_put_back():
    before = sys.getrecursionlimit()
    with much_made(CompileError("too deep")):
        assert depth_below(STACK_LEVELS // 2) == STACK_LEVELS // 2
        with much_made(CompileError("too deep")):
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled() and sys.getrecursionlimit() == before


def test_code_that_recurses_further_still_raises_the_error_given():
    before = sys.getrecursionlimit()
    with pytest.raises(CompileError, match="too deep"):
        with much_made(CompileError("too deep")):
            depth_below(10 * STACK_LEVELS)
    assert gc.isenabled() and sys.getrecursionlimit() == before


def test_the_last_thread_to_leave_puts_them_back():
    before = sys.getrecursionlimit()
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with much_made(CompileError("too deep")):
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(60)
    with much_made(CompileError("too deep")):
        pass
    assert not gc.isenabled() and sys.getrecursionlimit() > before
    leave.set()
    thread.join()
    assert gc.isenabled() and sys.getrecursionlimit() == before


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with much_made(CompileError("too deep")):
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
