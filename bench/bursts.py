"""The best of many calls, in bursts that take turns."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def best(variants: dict[str, Callable[[], Any]], seconds: float, burst: float = 0.1) -> dict[str, float]:
    """Seconds of the best call of each variant; they take turns, each for `burst` seconds."""
    result = {}
    for name, call in variants.items():
        call()
        result[name] = float("inf")
    end = time.perf_counter() + seconds * len(variants)
    while time.perf_counter() < end:
        for name, call in variants.items():
            # Long enough for the other library's threads, which wait for more work in a loop, to go to sleep.
            turn = time.perf_counter() + burst
            while (start := time.perf_counter()) < turn:
                call()
                result[name] = min(result[name], time.perf_counter() - start)
    return result
