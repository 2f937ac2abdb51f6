"""The fork-join thread pool for the parallel loops of generated code. Workers are native and never need the GIL.

Generated code calls one symbol:

    void xlac_parallel_for(void (*fn)(void *frame, int64 lo, int64 hi), void *frame, int64 n, int64 grain)

It calls `fn` on disjoint ranges that cover [0, n), on this thread and the workers, and returns when all are done. Each
range starts at a multiple of `grain` and holds at least `grain` indices (or all n). Which thread runs which range, and
how many ranges there are, is not defined: results must not depend on it.

How it works. The indices are dealt to as many shares as there are threads, each with an atomic cursor; a thread first
takes pieces of its own share (so that a repeated loop finds its data in the same core's cache), then helps with the
others'. Workers join a loop by passing an open gate that counts them. A caller that finds no work left closes the gate
and waits only for those inside: a worker that is asleep, or has lost its core to another process, is not waited for.
Between loops workers spin for a moment and then sleep. If the pool is busy (a nested loop, or another Python thread's)
the caller does all the work itself. Threads start at the first loop that is split, also anew in a forked child.
"""

from __future__ import annotations

import atexit
import ctypes
import operator
import os
import platform
import signal
import sys
import threading
import time
from string import Template

from xlac.codegen.target import Target, host_arch, usable_cores
from xlac.errors import OptionError

MAX_THREADS = 256
SPIN_SECONDS = 150e-6  # how long a worker looks for the next loop before it sleeps
JOIN_SPIN_SECONDS = 50e-6  # how long a caller looks for the last worker before it sleeps
ROUND_SECONDS = 5e-6  # a spinning thread offers its core to others this often
STACK_BYTES = 8 << 20
PIECES = 4  # pieces per share: fewer cost less, more balance better

_LINE = 128  # bytes between words written by different threads; pairs of 64-byte lines are fetched together
_OPEN, _WAITING, _COUNT = 1 << 30, 1 << 29, (1 << 16) - 1  # bits of the gate
_FUTEX_NUMBERS = {"x86_64": 202, "amd64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98}

# Offsets in the state block: settings; the loop, in the one 64-byte line that idle workers watch; words that threads
# contend for; a cursor for each share.
_THREADS, _SPIN_ROUNDS, _JOIN_ROUNDS, _ROUND_PAUSES, _STARTED, _STOP = 0, 8, 16, 24, 32, 40
_EPOCH, _FN, _FRAME, _N, _GRAIN, _UNITS, _STEP, _SHARES = (1 * _LINE + 8 * i for i in range(8))
_GATE, _SLEEPERS, _BUSY = 2 * _LINE, 2 * _LINE + 8, 3 * _LINE
_CURSORS = 4 * _LINE
_STATE_BYTES = _CURSORS + MAX_THREADS * _LINE

_FUTEX_IR = """
declare i64 @syscall(i64, ...)

; sleep while *word is value; may return early
define internal void @wait(ptr %word, i32 %value) {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 128, i32 %value, ptr null, ptr null, i64 0)
  ret void
}
define internal void @wake(ptr %word, i32 %count) {
  %r = call i64 (i64, ...) @syscall(i64 $FUTEX, ptr %word, i64 129, i32 %count, ptr null, ptr null, i64 0)
  ret void
}
"""

_CONDITION_IR = """
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)

; sleep while *word is value; may return early
define internal void @wait(ptr %word, i32 %value) {
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %now = load atomic i32, ptr %word seq_cst, align 4
  %same = icmp eq i32 %now, %value
  br i1 %same, label %sleep, label %done
sleep:
  %r = call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %done
done:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}
define internal void @wake(ptr %word, i32 %count) {
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  %r = call i32 @pthread_cond_broadcast(ptr @condition)
  ret void
}
"""

_POOL_IR = """
@state = global [$STATE_BYTES x i8] zeroinitializer, align 128
@mutex = global [128 x i8] zeroinitializer, align 16
@condition = global [128 x i8] zeroinitializer, align 16
@attributes = global [128 x i8] zeroinitializer, align 16
@signals = global [256 x i8] zeroinitializer, align 16
@handles = internal global [$MAX_THREADS x i64] zeroinitializer, align 16

declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sched_yield()
$PAUSE_DECLARATION

; about ROUND_SECONDS of waiting; exported to be timed
define void @pause_for(i64 %n) noinline {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  $PAUSE
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}

; take pieces of share `own` and then of the others until none is left
define internal void @work(i64 %own) {
entry:
  %pfn = getelementptr i8, ptr @state, i64 $FN
  %fn = load ptr, ptr %pfn
  %pframe = getelementptr i8, ptr @state, i64 $FRAME
  %frame = load ptr, ptr %pframe
  %pn = getelementptr i8, ptr @state, i64 $N
  %n = load i64, ptr %pn
  %pgrain = getelementptr i8, ptr @state, i64 $GRAIN
  %grain = load i64, ptr %pgrain
  %punits = getelementptr i8, ptr @state, i64 $UNITS
  %units = load i64, ptr %punits
  %pstep = getelementptr i8, ptr @state, i64 $STEP
  %step = load i64, ptr %pstep
  %pshares = getelementptr i8, ptr @state, i64 $SHARES
  %shares = load i64, ptr %pshares
  %first = urem i64 %own, %shares
  br label %share
share:
  %k = phi i64 [0, %entry], [%k1, %next]
  %at0 = add i64 %first, %k
  %over = icmp uge i64 %at0, %shares
  %at1 = sub i64 %at0, %shares
  %s = select i1 %over, i64 %at1, i64 %at0
  %offset = mul i64 %s, $LINE
  %offset1 = add i64 %offset, $CURSORS
  %cursor = getelementptr i8, ptr @state, i64 %offset1
  %s1 = add i64 %s, 1
  %e0 = mul i64 %units, %s1
  %end = udiv i64 %e0, %shares
  br label %look
look:                                     ; a look first: taking from an empty share would only disturb its owner
  %seen = load atomic i64, ptr %cursor monotonic, align 8
  %left = icmp ult i64 %seen, %end
  br i1 %left, label %take, label %next
take:
  %lo = atomicrmw add ptr %cursor, i64 %step monotonic
  %got = icmp ult i64 %lo, %end
  br i1 %got, label %run, label %next
run:
  %hi0 = add i64 %lo, %step
  %short = icmp ult i64 %hi0, %end
  %hi = select i1 %short, i64 %hi0, i64 %end
  %last = icmp eq i64 %hi, %units
  %ilo = mul i64 %lo, %grain
  %ihi0 = mul i64 %hi, %grain
  %ihi = select i1 %last, i64 %n, i64 %ihi0
  call void %fn(ptr %frame, i64 %ilo, i64 %ihi)
  br label %look
next:
  %k1 = add i64 %k, 1
  %more = icmp ult i64 %k1, %shares
  br i1 %more, label %share, label %done
done:
  ret void
}

define internal ptr @worker(ptr %id) {
entry:
  %own = ptrtoint ptr %id to i64
  %epoch = getelementptr i8, ptr @state, i64 $EPOCH
  %sleepers = getelementptr i8, ptr @state, i64 $SLEEPERS
  %gate = getelementptr i8, ptr @state, i64 $GATE
  %pshares = getelementptr i8, ptr @state, i64 $SHARES
  %pstop = getelementptr i8, ptr @state, i64 $STOP
  %prounds = getelementptr i8, ptr @state, i64 $SPIN_ROUNDS
  %rounds = load i64, ptr %prounds
  %ppauses = getelementptr i8, ptr @state, i64 $ROUND_PAUSES
  %pauses = load i64, ptr %ppauses
  br label %idle
idle:                                     ; wait until the epoch is another than the last one seen
  %last = phi i32 [0, %entry], [%now, %left]
  br label %round
round:
  %r = phi i64 [0, %idle], [%r1, %tired]
  br label %spin
spin:
  %i = phi i64 [0, %round], [%i1, %pause]
  %e = load atomic i32, ptr %epoch acquire, align 4
  %new = icmp ne i32 %e, %last
  br i1 %new, label %enter, label %pause
pause:
  $PAUSE
  %i1 = add i64 %i, 1
  %again = icmp ult i64 %i1, %pauses
  br i1 %again, label %spin, label %tired
tired:
  %y = call i32 @sched_yield()
  %r1 = add i64 %r, 1
  %patient = icmp ult i64 %r1, %rounds
  br i1 %patient, label %round, label %sleep
sleep:
  %in = atomicrmw add ptr %sleepers, i32 1 seq_cst
  call void @wait(ptr %epoch, i32 %last)
  %out = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  %e2 = load atomic i32, ptr %epoch acquire, align 4
  %new2 = icmp ne i32 %e2, %last
  br i1 %new2, label %enter, label %sleep
enter:
  %now = phi i32 [%e, %spin], [%e2, %sleep]
  %stop = load atomic i64, ptr %pstop acquire, align 8
  %stopped = icmp ne i64 %stop, 0
  br i1 %stopped, label %exit, label %door
door:                                     ; join the loop unless it is over or has all the hands it can use
  %g = load atomic i32, ptr %gate monotonic, align 4
  %o = and i32 %g, $OPEN
  %closed = icmp eq i32 %o, 0
  br i1 %closed, label %left, label %count
count:
  %c = and i32 %g, $COUNT
  %c1 = add i32 %c, 1
  %c64 = zext i32 %c1 to i64
  %shares = load atomic i64, ptr %pshares monotonic, align 8
  %full = icmp uge i64 %c64, %shares
  br i1 %full, label %left, label %knock
knock:
  %g1 = add i32 %g, 1
  %x = cmpxchg ptr %gate, i32 %g, i32 %g1 acquire monotonic
  %inside = extractvalue {i32, i1} %x, 1
  br i1 %inside, label %job, label %door
job:
  call void @work(i64 %own)
  %before = atomicrmw sub ptr %gate, i32 1 acq_rel
  %awaited = icmp eq i32 %before, $WAITED
  br i1 %awaited, label %tell, label %left
tell:
  call void @wake(ptr %gate, i32 1)
  br label %left
left:
  br label %idle
exit:
  ret ptr null
}

; start the missing workers; the pool is held. Failure leaves fewer threads, which is slower but right.
define internal void @start(i64 %threads) noinline {
entry:
  %old = alloca [256 x i8], align 16
  %pstarted = getelementptr i8, ptr @state, i64 $STARTED
  %m = call i32 @pthread_sigmask(i32 $SIG_BLOCK, ptr @signals, ptr %old)
  br label %loop
loop:
  %i = phi i64 [1, %entry], [%i1, %made]
  %more = icmp ult i64 %i, %threads
  br i1 %more, label %create, label %done
create:
  %handle = getelementptr i64, ptr @handles, i64 %i
  %id = inttoptr i64 %i to ptr
  %error = call i32 @pthread_create(ptr %handle, ptr @attributes, ptr @worker, ptr %id)
  %failed = icmp ne i32 %error, 0
  br i1 %failed, label %done, label %made
made:
  %i1 = add i64 %i, 1
  br label %loop
done:
  store i64 %i, ptr %pstarted
  %m2 = call i32 @pthread_sigmask(i32 $SIG_SETMASK, ptr %old, ptr null)
  ret void
}

define void @xlac_parallel_for(ptr %fn, ptr %frame, i64 %n, i64 %grain0) {
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %split, label %nothing
nothing:
  ret void
split:
  %positive = icmp sgt i64 %grain0, 0
  %grain = select i1 %positive, i64 %grain0, i64 1
  %units = udiv i64 %n, %grain
  %pthreads = getelementptr i8, ptr @state, i64 $THREADS
  %threads = load atomic i64, ptr %pthreads monotonic, align 8
  %fewer = icmp ult i64 %units, %threads
  %shares = select i1 %fewer, i64 %units, i64 %threads
  %parallel = icmp ugt i64 %shares, 1
  br i1 %parallel, label %claim, label %serial
serial:
  call void %fn(ptr %frame, i64 0, i64 %n)
  ret void
claim:
  %busy = getelementptr i8, ptr @state, i64 $BUSY
  %mine = cmpxchg ptr %busy, i32 0, i32 1 acquire monotonic
  %ok = extractvalue {i32, i1} %mine, 1
  br i1 %ok, label %post, label %serial
post:
  %pfn = getelementptr i8, ptr @state, i64 $FN
  store ptr %fn, ptr %pfn
  %pframe = getelementptr i8, ptr @state, i64 $FRAME
  store ptr %frame, ptr %pframe
  %pn = getelementptr i8, ptr @state, i64 $N
  store i64 %n, ptr %pn
  %pgrain = getelementptr i8, ptr @state, i64 $GRAIN
  store i64 %grain, ptr %pgrain
  %punits = getelementptr i8, ptr @state, i64 $UNITS
  store i64 %units, ptr %punits
  %pieces = mul i64 %shares, $PIECES
  %s0 = sub i64 %pieces, 1
  %s1 = add i64 %units, %s0
  %step = udiv i64 %s1, %pieces
  %pstep = getelementptr i8, ptr @state, i64 $STEP
  store i64 %step, ptr %pstep
  %pshares = getelementptr i8, ptr @state, i64 $SHARES
  store atomic i64 %shares, ptr %pshares monotonic, align 8
  br label %deal
deal:
  %s = phi i64 [0, %post], [%snext, %deal]
  %offset = mul i64 %s, $LINE
  %offset1 = add i64 %offset, $CURSORS
  %cursor = getelementptr i8, ptr @state, i64 %offset1
  %b0 = mul i64 %units, %s
  %begin = udiv i64 %b0, %shares
  store atomic i64 %begin, ptr %cursor monotonic, align 8
  %snext = add i64 %s, 1
  %smore = icmp ult i64 %snext, %shares
  br i1 %smore, label %deal, label %ready
ready:
  %pstarted = getelementptr i8, ptr @state, i64 $STARTED
  %started = load i64, ptr %pstarted
  %unstarted = icmp eq i64 %started, 0
  br i1 %unstarted, label %create, label %open
create:
  call void @start(i64 %threads)
  br label %open
open:
  %gate = getelementptr i8, ptr @state, i64 $GATE
  store atomic i32 $OPEN, ptr %gate release, align 4
  %epoch = getelementptr i8, ptr @state, i64 $EPOCH
  %e = atomicrmw add ptr %epoch, i32 1 seq_cst
  %sleepers = getelementptr i8, ptr @state, i64 $SLEEPERS
  %asleep = load atomic i32, ptr %sleepers seq_cst, align 4
  %any = icmp ne i32 %asleep, 0
  br i1 %any, label %rouse, label %own
rouse:
  %others = sub i64 %shares, 1
  %others32 = trunc i64 %others to i32
  call void @wake(ptr %epoch, i32 %others32)
  br label %own
own:
  call void @work(i64 0)
  %g = atomicrmw and ptr %gate, i32 $COUNT acq_rel
  %inside = and i32 %g, $COUNT
  %alone = icmp eq i32 %inside, 0
  br i1 %alone, label %finish, label %join
join:
  %prounds = getelementptr i8, ptr @state, i64 $JOIN_ROUNDS
  %rounds = load i64, ptr %prounds
  %ppauses = getelementptr i8, ptr @state, i64 $ROUND_PAUSES
  %pauses = load i64, ptr %ppauses
  br label %round
round:
  %r = phi i64 [0, %join], [%r1, %tired]
  br label %spin
spin:
  %i = phi i64 [0, %round], [%i1, %pause]
  %g2 = load atomic i32, ptr %gate acquire, align 4
  %gone = icmp eq i32 %g2, 0
  br i1 %gone, label %finish, label %pause
pause:
  $PAUSE
  %i1 = add i64 %i, 1
  %again = icmp ult i64 %i1, %pauses
  br i1 %again, label %spin, label %tired
tired:
  %y = call i32 @sched_yield()
  %r1 = add i64 %r, 1
  %patient = icmp ult i64 %r1, %rounds
  br i1 %patient, label %round, label %sleep
sleep:
  %g3 = atomicrmw or ptr %gate, i32 $WAITING acq_rel
  %c3 = and i32 %g3, $COUNT
  %gone3 = icmp eq i32 %c3, 0
  br i1 %gone3, label %finish, label %doze
doze:
  %g4 = or i32 %g3, $WAITING
  call void @wait(ptr %gate, i32 %g4)
  br label %sleep
finish:
  store atomic i32 0, ptr %busy release, align 4
  ret void
}

; end the workers and go on with another number of threads; 0 if a loop is running, so that nothing was done
define i32 @resize(i64 %threads) {
entry:
  %busy = getelementptr i8, ptr @state, i64 $BUSY
  %mine = cmpxchg ptr %busy, i32 0, i32 1 acquire monotonic
  %ok = extractvalue {i32, i1} %mine, 1
  br i1 %ok, label %end, label %refuse
refuse:
  ret i32 0
end:
  %pstarted = getelementptr i8, ptr @state, i64 $STARTED
  %started = load i64, ptr %pstarted
  %pstop = getelementptr i8, ptr @state, i64 $STOP
  store atomic i64 1, ptr %pstop release, align 8
  %epoch = getelementptr i8, ptr @state, i64 $EPOCH
  %e = atomicrmw add ptr %epoch, i32 1 seq_cst
  call void @wake(ptr %epoch, i32 2147483647)
  br label %loop
loop:
  %i = phi i64 [1, %end], [%i1, %join]
  %more = icmp ult i64 %i, %started
  br i1 %more, label %join, label %done
join:
  %handle = getelementptr i64, ptr @handles, i64 %i
  %h = load i64, ptr %handle
  %j = call i32 @pthread_join(i64 %h, ptr null)
  %i1 = add i64 %i, 1
  br label %loop
done:
  store atomic i64 0, ptr %pstop release, align 8
  store i64 0, ptr %pstarted
  store atomic i32 0, ptr %epoch release, align 4
  %pthreads = getelementptr i8, ptr @state, i64 $THREADS
  store atomic i64 %threads, ptr %pthreads release, align 8
  store atomic i32 0, ptr %busy release, align 4
  ret i32 1
}
"""

# Where there are no POSIX threads the symbol exists all the same.
_SERIAL_IR = """
define void @xlac_parallel_for(ptr %fn, ptr %frame, i64 %n, i64 %grain) {
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %run, label %done
run:
  call void %fn(ptr %frame, i64 0, i64 %n)
  br label %done
done:
  ret void
}
"""

_POSIX = os.name == "posix" and sys.platform not in ("emscripten", "wasi")
_lock = threading.Lock()
_wanted: int | None = None
_pool: _Pool | None = None


def pool_ir(futex: bool = True) -> str:
    """LLVM text of the pool for this machine; `futex=False` sleeps on a condition variable, as outside Linux."""
    number = _FUTEX_NUMBERS.get(platform.machine().lower()) if sys.platform.startswith("linux") else None
    x86 = host_arch() == "x86_64"
    values = {name[1:]: value for name, value in globals().items() if name[:1] == "_" and isinstance(value, int)}
    values |= {
        "MAX_THREADS": MAX_THREADS,
        "PIECES": PIECES,
        "WAITED": _WAITING | 1,
        "SIG_BLOCK": int(signal.SIG_BLOCK),
        "SIG_SETMASK": int(signal.SIG_SETMASK),
        "FUTEX": number,
        "PAUSE_DECLARATION": "declare void @llvm.x86.sse2.pause()" if x86 else "",
        "PAUSE": "call void @llvm.x86.sse2.pause()" if x86 else "",
    }
    sleep = _FUTEX_IR if futex and number is not None else _CONDITION_IR
    return Template(sleep + _POOL_IR).substitute(values)


class _Pool:
    """The native pool, loaded; one per process, except in tests of its variants."""

    def __init__(self, threads: int, futex: bool = True) -> None:
        from xlac.codegen.link import load
        from xlac.runtime.cache import compile_object

        self.threads = threads if _POSIX else 1
        target = Target.host()
        if not _POSIX:
            self._library = load(compile_object(_SERIAL_IR, target, level=0), ["xlac_parallel_for"])
            self.address = self._library.address("xlac_parallel_for")
            return
        names = ["xlac_parallel_for", "resize", "pause_for", "state", "mutex", "condition", "attributes", "signals"]
        self._library = load(compile_object(pool_ir(futex), target, level=0), names)
        # Workers run this code until the process ends, whatever the interpreter has already torn down.
        self._library.keep_forever()
        self.address = self._library.address("xlac_parallel_for")
        self._resize = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int64)(self._library.address("resize"))
        self._pauses = self._time_pauses()
        libc = ctypes.CDLL(None)
        signals = ctypes.c_void_p(self._library.address("signals"))
        libc.sigfillset(signals)
        for fault in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP):
            libc.sigdelset(signals, int(fault))
        attributes = ctypes.c_void_p(self._library.address("attributes"))
        libc.pthread_attr_init(attributes)
        libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK_BYTES))
        self.reset()

    def reset(self) -> None:
        """The state of a pool that has no workers yet; for the start, and for a forked child, which has lost them."""
        libc = ctypes.CDLL(None)
        libc.pthread_mutex_init(ctypes.c_void_p(self._library.address("mutex")), None)
        libc.pthread_cond_init(ctypes.c_void_p(self._library.address("condition")), None)
        ctypes.memset(self._library.address("state"), 0, _STATE_BYTES)
        self._set(_ROUND_PAUSES, self._pauses)
        self._set_threads(self.threads)

    def resize(self, threads: int, timeout: float | None = None) -> bool:
        """Go on with another number of threads once the running loop is over; False if it is not by the timeout."""
        if not _POSIX:
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._resize(threads):
            if deadline is not None and time.monotonic() > deadline:
                return False
            time.sleep(50e-6)
        self.threads = threads
        self._set_threads(threads)
        return True

    def workers(self) -> int:
        """Worker threads that are running."""
        started = ctypes.c_int64.from_address(self._library.address("state") + _STARTED).value if _POSIX else 0
        return max(0, started - 1)

    def _set_threads(self, threads: int) -> None:
        # With more threads than cores a spinning worker holds the core that the work needs.
        crowded = threads > usable_cores()
        self._set(_SPIN_ROUNDS, 0 if crowded else round(SPIN_SECONDS / ROUND_SECONDS))
        self._set(_JOIN_ROUNDS, 0 if crowded else round(JOIN_SPIN_SECONDS / ROUND_SECONDS))
        self._set(_THREADS, threads)

    def _set(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self._library.address("state") + offset).value = value

    def _time_pauses(self) -> int:
        """Pauses in a round. One takes 1 to 150 cycles depending on the processor, hence measured; the least of a few
        tries is free of interruptions."""
        pause_for = ctypes.CFUNCTYPE(None, ctypes.c_int64)(self._library.address("pause_for"))
        pauses, seconds = 500, 1.0
        for _ in range(4):
            start = time.perf_counter()
            pause_for(pauses)
            seconds = min(seconds, time.perf_counter() - start)
        return max(1, min(100_000, round(pauses * ROUND_SECONDS / max(seconds, 1e-9))))


def parallel_for_address() -> int:
    """Address of `xlac_parallel_for`, valid for the life of the process. No thread starts before a loop is split."""
    return _the_pool().address


def set_threads(n: int | None) -> None:
    """Run later parallel loops on `n` threads, the caller's among them; None is the default again.

    Waits for a loop that is running. Raises OptionError unless n is 1 to 256.
    """
    global _wanted
    if n is not None:
        n = _checked(n, "set_threads")
    with _lock:
        _wanted = n
        if _pool is not None and _pool.threads != (n or default_threads()):
            _pool.resize(n or default_threads())


def get_threads() -> int:
    """Threads that parallel loops run on, the caller's among them."""
    if not _POSIX:
        return 1
    if _pool is not None:
        return _pool.threads
    return _wanted or default_threads()


def default_threads() -> int:
    """XLAC_THREADS if set, else the processors this process may use. OptionError if the variable is no such number."""
    text = os.environ.get("XLAC_THREADS", "").strip()
    if not text:
        return min(usable_cores(), MAX_THREADS)
    try:
        return _checked(int(text), "XLAC_THREADS")
    except ValueError:
        raise OptionError(f"XLAC_THREADS is {text!r}; it should be a number of threads, 1 to {MAX_THREADS}") from None


def _checked(n: int, what: str) -> int:
    try:
        number = operator.index(n)
    except TypeError:
        number = 0
    if not 1 <= number <= MAX_THREADS:
        raise OptionError(f"{what}: {n!r} threads; it should be a whole number from 1 to {MAX_THREADS}")
    return number


def _the_pool() -> _Pool:
    global _pool
    pool = _pool
    if pool is None:
        with _lock:
            pool = _pool
            if pool is None:
                pool = _pool = _Pool(_wanted or default_threads())
                atexit.register(_stop)
    return pool


def _stop() -> None:
    """End the workers at exit. A loop that a daemon thread never ends is left alone: its code stays mapped."""
    if _pool is not None:
        _pool.resize(1, timeout=1.0)


def _after_fork() -> None:
    """In a forked child no worker exists and no other thread holds anything; the first loop starts new workers."""
    global _lock
    _lock = threading.Lock()
    if _pool is not None and _POSIX:
        _pool.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
