"""xlac: an XLA-style linear-algebra compiler in pure Python.

The public names below are looked up when they are first used, so that `import xlac` costs hardly more than nothing.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# Public name -> the module that has it ("" where the name is a submodule itself).
_NAMES: dict[str, str] = {
    "Array": "xlac.array",
    "Compiled": "xlac.frontend.stages",
    "Device": "xlac.devices",
    "Estimator": "xlac.estimator",
    "Executable": "xlac.runtime.executable",
    "Module": "xlac.ir.module",
    "Options": "xlac.options",
    "ShapeDtypeStruct": "xlac.frontend.stages",
    "ad_checkpoint": "",
    "block_until_ready": "xlac.devices",
    "checkpoint": "xlac.api",
    "checkpoint_policies": "xlac.frontend.checkpoint",
    "clear_caches": "xlac.runtime.dispatch",
    "closure_convert": "xlac.custom_derivatives",
    "compile": "xlac.api",
    "config": "",
    "custom_derivatives": "",
    "custom_gradient": "xlac.custom_derivatives",
    "custom_jvp": "xlac.frontend.custom",
    "custom_vjp": "xlac.frontend.custom",
    "debug": "",
    "default_backend": "xlac.devices",
    "default_matmul_precision": "xlac.devices",
    "device_count": "xlac.devices",
    "device_get": "xlac.devices",
    "device_put": "xlac.devices",
    "devices": "xlac.devices",
    "disable_jit": "xlac.api",
    "dtypes": "",
    "effects_barrier": "xlac.api",
    "ensure_compile_time_eval": "xlac.api",
    "errors": "",
    "estimator": "",
    "eval_shape": "xlac.api",
    "evaluate": "xlac.ir.evaluate",
    "experimental": "",
    "flatten_util": "",
    "float0": "xlac.frontend.forward",
    "fwd_and_bwd": "xlac.api",
    "grad": "xlac.api",
    "hessian": "xlac.api",
    "image": "",
    "io_callback": "xlac.api",
    "jacfwd": "xlac.api",
    "jacobian": "xlac.api",
    "jacrev": "xlac.api",
    "jit": "xlac.api",
    "jvp": "xlac.api",
    "lax": "",
    "linear_transpose": "xlac.api",
    "linearize": "xlac.api",
    "local_device_count": "xlac.devices",
    "local_devices": "xlac.devices",
    "make_hlo": "xlac.api",
    "named_call": "xlac.api",
    "named_scope": "xlac.api",
    "nn": "",
    "numpy": "",
    "ops": "",
    "parse_hlo": "xlac.text.hlo_parser",
    "parse_stablehlo": "xlac.text.stablehlo_parser",
    "process_count": "xlac.devices",
    "process_index": "xlac.devices",
    "pure_callback": "xlac.api",
    "random": "",
    "remat": "xlac.api",
    "scipy": "",
    "test_util": "",
    "tree": "",
    "tree_util": "",
    "typeof": "xlac.api",
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
