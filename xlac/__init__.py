"""xlac: an XLA-style linear-algebra compiler in pure Python."""

from __future__ import annotations

from typing import Any

_LAZY = {
    "parse_hlo": "xlac.text.hlo_parser",
    "parse_stablehlo": "xlac.text.stablehlo_parser",
    "compile": "xlac.api",
    "evaluate": "xlac.ir.evaluate",
    "Options": "xlac.options",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'xlac' has no attribute {name!r}")
