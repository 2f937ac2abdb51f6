"""How far training is: a bar on a terminal, else lines in the log."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

logger = logging.getLogger("xlac.estimator")


class Progress:
    """Reports a run of steps `first` to `last`.

    Args:
      first, last: global step before the run, and after it (None if unknown).
      every: steps between reports; None for none in the log.
      show: "auto" (a bar where stderr is a terminal and tqdm is installed), True (a bar where tqdm is installed) or
        False.
    """

    def __init__(self, first: int, last: int | None, every: int | None, show: bool | str = "auto") -> None:
        self._bar: Any = None
        self._since, self._step = time.perf_counter(), first
        if show is True or (show == "auto" and sys.stderr is not None and sys.stderr.isatty()):
            try:
                from tqdm import tqdm
            except ImportError:
                pass
            else:
                self._bar = tqdm(total=last, initial=first, unit="step", leave=True, file=sys.stderr)
        # A bar is drawn several times a second at most, whatever it is told; the log is spoken to as rarely as asked.
        self.every = min(every or 100, 25) if self._bar is not None else every

    def report(self, step: int, loss: float) -> None:
        """The loss of the step just done."""
        now = time.perf_counter()
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
            self._bar.update(step - self._step)
            self._step = step
            return
        rate = (step - self._step) / max(now - self._since, 1e-9)
        logger.info("step %d: loss %.6g, %.4g steps/s", step, loss, rate)
        self._since, self._step = now, step

    def close(self, step: int) -> None:
        """The run is over, after this step."""
        if self._bar is not None:
            self._bar.update(step - self._step)
            self._bar.close()
