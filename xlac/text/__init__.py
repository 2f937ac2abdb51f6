"""Program texts: XLA's HLO and StableHLO's MLIR, both ways. Parsers and printers are imported where they are used."""

from __future__ import annotations

import re

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_HLO = re.compile(
    r"(?:HloModule|ENTRY|ROOT)\b|%?[A-Za-z_][\w.\-]*\s*(?:=(?!=)|\{|\([^()]*(?:\([^()]*\)[^()]*)*\)\s*->)"
)
_MLIR = re.compile(
    r"""(?:module|func|func\.func|stablehlo\.\w+|builtin\.module)\b(?!\s*\{\s*(?:ROOT\b|%?[\w.\-]+\s*=\s*[a-z\d]+\[))
    |[#!"]|%[\w$.\-]+(?::\d+)?(?:\s*,\s*%[\w$.\-]+)*\s*=\s*(?:"|[a-z_]+\.[a-z_]+|call\b|constant\b)""",
    re.VERBOSE,
)


def detect_format(text: str) -> str:
    """The language of a program text, "hlo" or "stablehlo", told by its first words; unknown text counts as "hlo"."""
    space = _SPACE.match(text)
    start = space.end() if space else 0
    if text.startswith("\ufeff", start):
        start += 1
    if _MLIR.match(text, start):
        return "stablehlo"
    if _HLO.match(text, start):
        return "hlo"
    return "stablehlo" if "stablehlo." in text or "func.func" in text else "hlo"
