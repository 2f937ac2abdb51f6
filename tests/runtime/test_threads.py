"""The native fork-join pool: every index once, whatever the sizes, threads, callers and processes."""

import ctypes
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlac.codegen import link
from xlac.codegen.target import Target
from xlac.errors import OptionError
from xlac.runtime import threads

POSIX = pytest.mark.skipif(os.name != "posix", reason="native workers need POSIX threads")

KERNELS = """
declare void @xlac_parallel_for(ptr, ptr, i64, i64)

; frame[i] += 1
define void @count(ptr %frame, i64 %lo, i64 %hi) {
entry:
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %loop]
  %p = getelementptr i64, ptr %frame, i64 %i
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  store i64 %w, ptr %p
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %done
done:
  ret void
}

; frame[lo] = hi
define void @note(ptr %frame, i64 %lo, i64 %hi) {
  %p = getelementptr i64, ptr %frame, i64 %lo
  store i64 %hi, ptr %p
  ret void
}

; one loop inside another: row i of the frame is 100 counters
define void @row(ptr %frame, i64 %lo, i64 %hi) {
entry:
  br label %loop
loop:
  %i = phi i64 [%lo, %entry], [%i1, %loop]
  %at = mul i64 %i, 100
  %p = getelementptr i64, ptr %frame, i64 %at
  call void @xlac_parallel_for(ptr @count, ptr %p, i64 100, i64 3)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %hi
  br i1 %more, label %loop, label %done
done:
  ret void
}

; returns only when frame[1] ranges of this loop run at the same time
define void @meet(ptr %frame, i64 %lo, i64 %hi) {
entry:
  %pall = getelementptr i64, ptr %frame, i64 1
  %all = load i64, ptr %pall
  %mine = atomicrmw add ptr %frame, i64 1 seq_cst
  br label %loop
loop:
  %here = load atomic i64, ptr %frame seq_cst, align 8
  %enough = icmp uge i64 %here, %all
  br i1 %enough, label %done, label %loop
done:
  ret void
}

define void @repeat(ptr %fn, ptr %frame, i64 %n, i64 %grain, i64 %times) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i1, %loop]
  call void @xlac_parallel_for(ptr %fn, ptr %frame, i64 %n, i64 %grain)
  %i1 = add i64 %i, 1
  %more = icmp slt i64 %i1, %times
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


class Program:
    """The kernels above, linked to a pool."""

    def __init__(self, parallel_for: int) -> None:
        names = ["count", "note", "row", "meet", "repeat"]
        self._library = link.load(link.emit_object(KERNELS, Target.host()), names, {"xlac_parallel_for": parallel_for})
        kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)
        self._repeat = kind(self._library.address("repeat"))

    def run(self, kernel: str, frame: np.ndarray, n: int, grain: int, times: int = 1) -> np.ndarray:
        self._repeat(self._library.address(kernel), frame.ctypes.data, n, grain, times)
        return frame

    def meets(self, hands: int) -> bool:
        """True once `hands` threads have been in a loop together; does not return otherwise."""
        return self.run("meet", np.array([0, hands], np.int64), hands, 1)[0] == hands


@pytest.fixture(scope="module")
def program():
    program = Program(threads.parallel_for_address())
    yield program
    threads.set_threads(None)


@pytest.fixture(params=[1, 2, 5], ids=lambda n: f"{n} threads")
def any_threads(request, program):
    threads.set_threads(request.param)
    yield request.param
    threads.set_threads(None)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 100_003])
@pytest.mark.parametrize("grain", [-1, 0, 1, 3, 64, 10**9, 2**62])
def test_every_index_is_run_once(program, any_threads, n, grain):
    assert (program.run("count", np.zeros(n, np.int64), n, grain, times=3) == 3).all()


@pytest.mark.parametrize("n", [0, -1, -(2**63)])
def test_an_empty_loop_does_nothing(program, any_threads, n):
    assert program.run("note", np.zeros(1, np.int64), n, 1)[0] == 0


@settings(max_examples=200, deadline=None)
@given(n=st.integers(1, 5000), grain=st.integers(1, 600))
def test_ranges_start_at_multiples_of_the_grain_and_are_no_smaller(program, n, grain):
    threads.set_threads(3)
    ends = program.run("note", np.zeros(n, np.int64), n, grain)
    lo = 0
    while lo < n:
        hi = int(ends[lo])
        assert lo % grain == 0 and hi <= n and (hi - lo >= grain or (lo, hi) == (0, n))
        lo = hi
    assert lo == n and np.count_nonzero(ends) <= max(1, n // grain)


@POSIX
@pytest.mark.parametrize("hands", [2, 3])
@pytest.mark.parametrize("futex", [True, False], ids=["futex", "condition variable"])
def test_threads_really_work_together_also_after_sleeping(hands, futex):
    pool = threads._Pool(hands, futex)
    program = Program(pool.address)
    for pause in (0.0, 0.0, 0.0, 0.01, 0.01):
        time.sleep(pause)
        assert program.meets(hands)
    assert pool.workers() == hands - 1
    assert (program.run("count", np.zeros(999, np.int64), 999, 10, times=2000) == 2000).all()
    pool.resize(1)
    assert pool.workers() == 0


def test_ten_thousand_loops_in_a_row(program):
    threads.set_threads(2)
    assert (program.run("count", np.zeros(64, np.int64), 64, 1, times=10_000) == 10_000).all()


def test_nested_loops_run(program, any_threads):
    assert (program.run("row", np.zeros(50 * 100, np.int64), 50, 1, times=20) == 20).all()


def test_many_python_threads_may_call_at_once(program, any_threads):
    sizes = [1, 10, 100, 1000, 3000, 5000, 7777, 10_000]
    frames = [np.zeros(n, np.int64) for n in sizes]
    callers = [
        threading.Thread(target=program.run, args=("count", frame, n, 16, 500))
        for frame, n in zip(frames, sizes, strict=True)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all((frame == 500).all() for frame in frames)


def test_the_number_of_threads_may_change_while_loops_run(program):
    frame = np.zeros(1000, np.int64)
    caller = threading.Thread(target=program.run, args=("count", frame, 1000, 1, 3000))
    caller.start()
    for n in (1, 3, 2, 5, 1, 2):
        threads.set_threads(n)
        assert threads.get_threads() == (n if os.name == "posix" else 1)
    caller.join()
    assert (frame == 3000).all()


@POSIX
def test_no_thread_starts_before_a_loop_is_split(program):
    threads.set_threads(1)
    threads.set_threads(2)
    pool = threads._the_pool()
    program.run("count", np.zeros(10, np.int64), 10, 10)
    assert pool.workers() == 0
    program.run("count", np.zeros(10, np.int64), 10, 5)
    assert pool.workers() == 1


@pytest.mark.parametrize("bad", [0, -1, 257, 1.5, "2"])
def test_impossible_numbers_of_threads_are_refused(bad):
    with pytest.raises(OptionError, match="1 to 256"):
        threads.set_threads(bad)


def test_the_default_is_the_variable_or_else_the_cores(monkeypatch):
    monkeypatch.setenv("XLAC_THREADS", "3")
    assert threads.default_threads() == 3
    monkeypatch.setenv("XLAC_THREADS", "many")
    with pytest.raises(OptionError, match="XLAC_THREADS is 'many'"):
        threads.default_threads()
    monkeypatch.delenv("XLAC_THREADS")
    assert threads.default_threads() == Target.host().cores


def in_a_fresh_process(body: str, **environment: str) -> None:
    """Run Python text with `program` and `threads` at hand; it must print "ok" and nothing else."""
    here = os.path.dirname(os.path.abspath(__file__))
    text = (
        f"import sys; sys.path.insert(0, {here!r})\n"
        "from test_threads import *\n"
        "program = Program(threads.parallel_for_address())\n" + body
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert (run.stdout.strip(), run.stderr, run.returncode) == ("ok", "", 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_gets_workers_of_its_own():
    in_a_fresh_process(
        """
assert program.meets(2)
child = os.fork()
if child == 0:
    alive = threads._the_pool().workers() == 0 and program.meets(2) and threads._the_pool().workers() == 1
    threads.set_threads(3)
    os._exit(0 if alive and program.meets(3) else 1)
assert os.waitpid(child, 0)[1] == 0
assert program.meets(2)
print("ok")
""",
        XLAC_THREADS="2",
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_is_in_a_loop_leaves_both_working():
    in_a_fresh_process(
        """
frame = np.zeros(1000, np.int64)
caller = threading.Thread(target=program.run, args=("count", frame, 1000, 1, 20_000))
caller.start()
for _ in range(5):
    child = os.fork()
    if child == 0:
        os._exit(0 if program.meets(2) else 1)
    assert os.waitpid(child, 0)[1] == 0
caller.join()
assert (frame == 20_000).all()
print("ok")
""",
        XLAC_THREADS="2",
    )


def test_a_process_may_end_while_a_daemon_thread_is_in_a_loop():
    in_a_fresh_process(
        """
frame = np.zeros(1000, np.int64)
threading.Thread(target=program.run, args=("count", frame, 1000, 1, 10**12), daemon=True).start()
time.sleep(0.05)
assert frame.min() > 0
print("ok")
""",
        XLAC_THREADS="2",
    )


@POSIX
def test_signals_go_to_the_main_thread():
    in_a_fresh_process(
        """
import signal
def masks():
    folder = "/proc/self/task"
    lines = {task: open(f"{folder}/{task}/status").read().split() for task in os.listdir(folder)}
    return {task: int(words[words.index("SigBlk:") + 1], 16) for task, words in lines.items()}
if os.path.isdir("/proc/self/task"):
    before = masks()
    assert program.meets(2)
    after = masks()
    (worker,) = set(after) - set(before)
    assert after[worker] & 1 << signal.SIGINT - 1 and not after[worker] & 1 << signal.SIGSEGV - 1
    assert after[str(os.getpid())] == before[str(os.getpid())]
print("ok")
""",
        XLAC_THREADS="2",
    )
