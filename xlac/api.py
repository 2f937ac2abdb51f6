"""Functions of the package's top level that are not traced: thin, documented, no logic."""

from __future__ import annotations

from typing import Any


def compile(text_or_module: Any, *, format: str | None = None, options: Any = None) -> Any:
    """Compile a module, or HLO or StableHLO text, to an executable.

    Args:
      text_or_module: an `xlac` module, or the text of one.
      format: "hlo" or "stablehlo"; found out from the text if omitted.
      options: an `Options`.

    Raises:
      ParseError, VerifyError, CompileError: the text or module is wrong, or cannot be compiled for the target.
    """
    from xlac.compiler import compile_module
    from xlac.ir.module import Module

    if isinstance(text_or_module, Module):
        return compile_module(text_or_module, options)
    return compile_module(parse(text_or_module, format), options)


def parse(text: str, format: str | None = None) -> Any:
    """The module of a text in HLO or StableHLO."""
    from xlac.text import detect_format

    chosen = format or detect_format(text)
    if chosen == "hlo":
        from xlac.text.hlo_parser import parse_hlo

        return parse_hlo(text)
    if chosen == "stablehlo":
        from xlac.text.stablehlo_parser import parse_stablehlo

        return parse_stablehlo(text)
    raise ValueError(f"format is {format!r}; it must be 'hlo' or 'stablehlo'")
