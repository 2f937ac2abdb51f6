"""How a program fails, tried in a process of its own, so that a crash or an endless loop ends only that."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from xlac.errors import OptionError
from xlac.ir.module import Module


@dataclass(frozen=True)
class Failure:
    """How a program fails: `kind` is compared ("crash 11", "timeout", "status 1 ..."), `said` is for people."""

    kind: str
    said: str


class Trial:
    """Runs a program's text by a command and tells how it fails.

    Args:
      command: words, of which `{}` stands for the file's name; without it the program is compiled, run and compared
        with the reference evaluator by `xlac run --check`.
      options: further words for `xlac run`.
      timeout: seconds after which a run counts as hanging.
    """

    def __init__(self, command: str | None = None, options: Sequence[str] = (), timeout: float = 60.0) -> None:
        self.timeout = timeout
        self.own = command is None
        if command is None:
            self.words = [sys.executable, "-m", "xlac", "run", "{}", "--check", "--format", "hlo", *options]
        else:
            try:
                self.words = shlex.split(command)
            except ValueError as error:
                raise OptionError(f"--command {command!r}: {error}") from None
            if not any("{}" in word for word in self.words):
                raise OptionError(f"--command {command!r}: it must have {{}} where the file's name belongs")

    def failure(self, module: Module) -> Failure | None:
        """How the module fails, or None if it does not."""
        descriptor, path = tempfile.mkstemp(suffix=".hlo", prefix="xlac-bisect-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(module.to_string())
            return self._failure(path)
        finally:
            os.unlink(path)

    def _failure(self, path: str) -> Failure | None:
        words = [word.replace("{}", path) for word in self.words]
        environment = {**os.environ, "XLAC_CACHE": "0"}
        try:
            done = subprocess.run(
                words, capture_output=True, timeout=self.timeout, stdin=subprocess.DEVNULL, env=environment
            )
        except subprocess.TimeoutExpired:
            return Failure("timeout", f"it ran for more than {self.timeout:g} s")
        except OSError as error:
            raise OptionError(f"{words[0]}: {error.strerror or error}") from None
        said = done.stderr.decode(errors="replace").replace(path, "the program").strip()
        status = done.returncode
        if status == 0:
            return None
        if status < 0:
            return Failure(f"crash {-status}", f"it was ended by signal {_signal(-status)}")
        last = said.splitlines()[-1] if said else f"exit status {status}"
        if not self.own or status == 1:
            return Failure(f"status {status}", last)
        return Failure(f"status {status} {_gist(last)}", last)


def _gist(line: str) -> str:
    """What is said, without the names and numbers that change as the program shrinks."""
    return re.sub(r"[\w.\-%/]*[\d.%/_][\w.\-%/]*(\[[\d,]*\])?", "", line)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
