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
    "Device": "xlac.device",
    "Estimator": "xlac.estimator",
    "Executable": "xlac.runtime.executable",
    "Module": "xlac.ir.module",
    "NamedSharding": "xlac.sharding",
    "Options": "xlac.options",
    "P": "xlac.sharding",
    "ShapeDtypeStruct": "xlac.frontend.stages",
    "Shard": "xlac.sharding",
    "ad_checkpoint": "",
    "array_garbage_collection_guard": "xlac.config",
    "block_until_ready": "xlac.device",
    "check_tracer_leaks": "xlac.config",
    "checking_leaks": "xlac.config",
    "checkpoint": "xlac.api",
    "checkpoint_policies": "xlac.frontend.checkpoint",
    "clear_caches": "xlac.runtime.dispatch",
    "closure_convert": "xlac.custom_derivatives",
    "compile": "xlac.api",
    "config": "",
    "copy_to_host_async": "xlac.device",
    "core": "",
    "custom_batching": "",
    "custom_derivatives": "",
    "custom_gradient": "xlac.custom_derivatives",
    "custom_jvp": "xlac.frontend.custom",
    "custom_vjp": "xlac.frontend.custom",
    "debug": "",
    "debug_infs": "xlac.config",
    "debug_key_reuse": "xlac.config",
    "debug_nans": "xlac.config",
    "default_backend": "xlac.device",
    "default_device": "xlac.config",
    "default_matmul_precision": "xlac.device",
    "default_prng_impl": "xlac.config",
    "device_count": "xlac.device",
    "device_get": "xlac.device",
    "device_put": "xlac.device",
    "devices": "xlac.device",
    "disable_jit": "xlac.api",
    "distributed": "",
    "dlpack": "",
    "dtypes": "",
    "effects_barrier": "xlac.api",
    "enable_checks": "xlac.config",
    "enable_custom_prng": "xlac.config",
    "enable_x64": "xlac.config",
    "ensure_compile_time_eval": "xlac.api",
    "errors": "",
    "estimator": "",
    "eval_shape": "xlac.api",
    "evaluate": "xlac.ir.evaluate",
    "example_libraries": "",
    "experimental": "",
    "explain_cache_misses": "xlac.config",
    "flatten_util": "",
    "float0": "xlac.frontend.forward",
    "export": "",
    "fwd_and_bwd": "xlac.api",
    "grad": "xlac.api",
    "hessian": "xlac.api",
    "host_count": "xlac.device",
    "host_id": "xlac.device",
    "host_ids": "xlac.device",
    "image": "",
    "io_callback": "xlac.api",
    "jacfwd": "xlac.api",
    "jacobian": "xlac.api",
    "jacrev": "xlac.api",
    "jit": "xlac.api",
    "jvp": "xlac.api",
    "lax": "",
    "legacy_prng_key": "xlac.config",
    "linear_transpose": "xlac.api",
    "linearize": "xlac.api",
    "live_arrays": "xlac.device",
    "local_device_count": "xlac.device",
    "local_devices": "xlac.device",
    "log_compiles": "xlac.config",
    "make_array_from_callback": "xlac.device",
    "make_array_from_process_local_data": "xlac.device",
    "make_array_from_single_device_arrays": "xlac.device",
    "make_hlo": "xlac.api",
    "make_jaxpr": "xlac.core",
    "make_mesh": "xlac.sharding",
    "named_call": "xlac.api",
    "named_scope": "xlac.api",
    "nn": "",
    "numpy": "",
    "numpy_dtype_promotion": "xlac.config",
    "numpy_rank_promotion": "xlac.config",
    "ops": "",
    "parse_hlo": "xlac.text.hlo_parser",
    "parse_stablehlo": "xlac.text.stablehlo_parser",
    "pmap": "xlac.sharding",
    "print_environment_info": "xlac.device",
    "process_count": "xlac.device",
    "process_index": "xlac.device",
    "process_indices": "xlac.device",
    "profiler": "",
    "pure_callback": "xlac.api",
    "random": "",
    "remat": "xlac.api",
    "reshard": "xlac.sharding",
    "scipy": "",
    "set_mesh": "xlac.sharding",
    "shard_map": "xlac.sharding",
    "sharding": "",
    "smap": "xlac.sharding",
    "softmax_custom_jvp": "xlac.config",
    "stages": "",
    "test_util": "",
    "thread_guard": "xlac.config",
    "threefry_partitionable": "xlac.config",
    "transfer_guard": "xlac.config",
    "transfer_guard_device_to_device": "xlac.config",
    "transfer_guard_device_to_host": "xlac.config",
    "transfer_guard_host_to_device": "xlac.config",
    "tree": "",
    "tree_util": "",
    "typeof": "xlac.api",
    "typing": "",
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
