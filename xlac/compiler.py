"""The pipeline: a module in, an executable out, every step on one screen."""

from __future__ import annotations

from typing import Any

from xlac.ir.module import Module
from xlac.options import Options


def compile_module(module: Module, options: Options | None = None) -> Any:
    """Compile a module; the module itself is not changed.

    Raises:
      VerifyError: the module is not valid.
      CompileError: it cannot be compiled for the target.
    """
    from xlac.runtime.executable import EvaluatorExecutable

    options = (options or Options()).resolve()
    module.verify()
    return EvaluatorExecutable(module, options)
