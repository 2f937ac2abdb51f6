"""Python's own limits while a program is read or compiled: how deep calls may nest, and the garbage collector's pauses.

Both belong to the process; the first to enter changes them and the last to leave, in whatever thread, puts them back.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
from collections.abc import Iterator

from xlac.errors import XlacError

# Calls of Python functions inside each other that reading or compiling a program may need.
STACK_LEVELS = 4000

_lock = threading.Lock()
_inside = 0
_before: tuple[int, bool] = (0, False)


@contextlib.contextmanager
def much_made(too_deep: XlacError) -> Iterator[None]:
    """Let code recurse for STACK_LEVELS from here, however deep the caller is, and make objects without collections.

    What is made here lives on; the collector would walk over it again and again and find nothing.

    Args:
      too_deep: what to raise where the code recurses further.
    """
    global _inside, _before
    depth, frame = 0, sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back  # type: ignore[assignment]
    with _lock:
        if not _inside:
            _before = sys.getrecursionlimit(), gc.isenabled()
            gc.disable()
        _inside += 1
        sys.setrecursionlimit(max(sys.getrecursionlimit(), depth + STACK_LEVELS))
    try:
        yield
    except RecursionError:
        raise too_deep from None
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                limit, collecting = _before
                sys.setrecursionlimit(limit)
                if collecting:
                    gc.enable()
