"""Every setting: one table of field, environment variable, default and meaning. Docs and `--help` are made from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from xlac.errors import OptionError


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("it must be 0 or 1")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("it must be 1 or more")
    return number


@dataclass(frozen=True)
class Setting:
    """One row: the `Options` field it sets (if any), its variable, how its text is read, what it means."""

    variable: str
    read: Callable[[str], Any]
    meaning: str
    field: str | None = None


SETTINGS: tuple[Setting, ...] = (
    Setting("XLAC_FUSION", _flag, "fuse operations into kernels (1) or run each by itself (0)", "fusion"),
    Setting(
        "XLAC_THREADS", _count, "threads that kernels are split over; all cores the process may use if unset", "threads"
    ),
    Setting(
        "XLAC_TARGET",
        str,
        "processor to generate code for: host, generic, x86-64-v2, x86-64-v3, x86-64-v4, aarch64",
        "target",
    ),
    Setting("XLAC_EVALUATE", _flag, "run programs by the reference evaluator, without code generation", "evaluate"),
    Setting("XLAC_VERIFY", _flag, "verify the module after each pass, and the loops", "verify"),
    Setting(
        "XLAC_CHECK_NAN",
        _flag,
        "look through all results, and name what made the first NaN or infinity in them",
        "check_nan",
    ),
    Setting("XLAC_EXPLAIN_CACHE", _flag, "say on stderr why a jitted function is traced again"),
    Setting("XLAC_DUMP_TO", str, "folder into which each stage of each module is written", "dump_to"),
    Setting("XLAC_CACHE", _flag, "keep compiled objects on disk (1) or not (0)", "cache"),
    Setting("XLAC_CACHE_DIR", str, "folder of compiled objects; the user's cache folder if unset"),
    Setting("XLAC_DEFAULT_FLOAT", str, "type of floats created without one: float32 or float64"),
    Setting("XLAC_DEBUG", int, "0 silent, 1 timings, 2 passes, 3 fused HLO, 4 loops, 5 LLVM, 6 assembly"),
)


@dataclass(frozen=True)
class Options:
    """How to compile a program. Fields left None take their environment variable, then the default.

    Attributes:
      fusion: fuse operations into kernels; False runs each by itself.
      threads: threads that kernels are split over; None for all cores the process may use. 1 makes programs that never
        leave the calling thread; another number is that of the process's one pool. Results do not depend on it.
      target: processor to generate code for, "host" by default.
      evaluate: use the reference evaluator in place of generated code.
      verify: verify the module after each pass, and the loop program.
      check_nan: look through the results of each call, and raise NonFiniteError if there is NaN or an infinity in one;
        the error names the instruction that made it and the user's line. Calls become some microseconds slower, and
        donated arguments are copied; on an error the program is run again by NumPy, which keeps all values.
      dump_to: folder into which each stage is written.
      cache: keep compiled objects on disk.
    """

    fusion: bool | None = None
    threads: int | None = None
    target: str | None = None
    evaluate: bool | None = None
    verify: bool | None = None
    check_nan: bool | None = None
    dump_to: str | None = None
    cache: bool | None = None

    def resolve(self) -> Options:
        """These options with every None replaced by its environment variable or default.

        Raises:
          OptionError: a variable or field has an impossible value.
        """
        defaults = {
            "fusion": True,
            "threads": None,
            "target": "host",
            "evaluate": False,
            "verify": False,
            "check_nan": False,
            "dump_to": None,
            "cache": True,
        }
        values: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                value = environment(field.name)
            values[field.name] = defaults[field.name] if value is None else value
        if values["threads"] is not None and (not isinstance(values["threads"], int) or values["threads"] < 1):
            raise OptionError(
                f"threads={values['threads']!r}; it must be an integer of 1 or more, or None for all cores"
            )
        return Options(**values)


def environment(name: str) -> Any:
    """The value of the setting named by its field or its variable, from the environment; None where it is unset.

    Raises:
      OptionError: the variable's text cannot be read.
    """
    for setting in SETTINGS:
        if name in (setting.field, setting.variable):
            text = os.environ.get(setting.variable)
            if text is None:
                return None
            try:
                return setting.read(text)
            except ValueError as error:
                raise OptionError(f"{setting.variable}={text!r}: {error}; {setting.meaning}") from None
    raise OptionError(f"there is no setting {name}")
