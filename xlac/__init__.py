"""xlac: an XLA-style linear-algebra compiler in pure Python.

The public names below are looked up when they are first used, so that `import xlac` costs hardly more than nothing.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# Public name -> the module that has it ("" where the name is a submodule itself).
_NAMES: dict[str, str] = {
    "Compiled": "xlac.frontend.jit",
    "Estimator": "xlac.estimator",
    "Executable": "xlac.runtime.executable",
    "Module": "xlac.ir.module",
    "Options": "xlac.options",
    "ShapeDtypeStruct": "xlac.frontend.jit",
    "checkpoint": "xlac.api",
    "checkpoint_policies": "xlac.frontend.custom",
    "compile": "xlac.api",
    "custom_jvp": "xlac.frontend.custom",
    "custom_vjp": "xlac.frontend.custom",
    "errors": "",
    "estimator": "",
    "eval_shape": "xlac.api",
    "evaluate": "xlac.ir.evaluate",
    "float0": "xlac.frontend.forward",
    "grad": "xlac.api",
    "hessian": "xlac.api",
    "jacfwd": "xlac.api",
    "jacrev": "xlac.api",
    "jit": "xlac.api",
    "jvp": "xlac.api",
    "lax": "",
    "linear_transpose": "xlac.api",
    "linearize": "xlac.api",
    "nn": "",
    "numpy": "",
    "parse_hlo": "xlac.text.hlo_parser",
    "parse_stablehlo": "xlac.text.stablehlo_parser",
    "random": "",
    "scipy": "",
    "remat": "xlac.api",
    "tree": "",
    "value_and_grad": "xlac.api",
    "vjp": "xlac.api",
    "vmap": "xlac.api",
}

__all__ = ["__version__", *_NAMES]


def __getattr__(name: str) -> Any:
    home = _NAMES.get(name)
    if home is None:
        raise AttributeError(f"module 'xlac' has no attribute {name!r}")
    import importlib

    if home == "":
        return importlib.import_module(f"xlac.{name}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
