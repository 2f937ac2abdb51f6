"""`xlac.config`: settings by the names `jax.config` has for them, so that programs that set them run unchanged.

`jax_enable_x64` chooses the types of numbers created without one: float64 and int64, or float32 and int32, as at first.
Arrays keep the types they have either way. `jax_default_prng_impl` is the generator of keys made without a name of one,
and `jax_disable_jit` runs the functions of this thread as Python. `jax_debug_nans` and `jax_debug_infs` are both
XLAC_CHECK_NAN, `jax_explain_cache_misses` is XLAC_EXPLAIN_CACHE, `jax_enable_checks` is XLAC_VERIFY,
`jax_enable_compilation_cache` and `jax_compilation_cache_dir` are XLAC_CACHE and XLAC_CACHE_DIR; they set the variable
for this process. Others are taken where they ask for what is always so, such as the CPU, or have no meaning here.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

from xlac.errors import OptionError
from xlac.options import environment

# Names of which only what is always so can be asked -> the values they may have, the usual one first.
_FIXED: dict[str, tuple[Any, ...]] = {
    "jax_platforms": (None, "", "cpu"),
    "jax_platform_name": (None, "", "cpu"),
    "jax_default_matmul_precision": (None, "default", "high", "highest", "float32"),
    "jax_num_cpu_devices": (-1, 1),
    "jax_numpy_rank_promotion": ("allow",),
    "jax_numpy_dtype_promotion": ("standard",),
    "jax_threefry_partitionable": (True,),
    "jax_debug_key_reuse": (False,),
    "jax_random_seed_offset": (0,),
    "jax_high_dynamic_range_gumbel": (False,),
}

# Names whose values mean nothing here -> what they are at first.
_IDLE: dict[str, Any] = {
    "jax_array_garbage_collection_guard": None,
    "jax_check_tracer_leaks": False,
    "jax_default_device": None,
    "jax_enable_custom_prng": False,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_legacy_prng_key": "allow",
    "jax_log_compiles": False,
    "jax_logging_level": "NOTSET",
    "jax_memory_fitting_effort": 0.0,
    "jax_optimization_level": "UNKNOWN",
    "jax_persistent_cache_enable_xla_caches": "",
    "jax_persistent_cache_min_compile_time_secs": 1.0,
    "jax_persistent_cache_min_entry_size_bytes": 0,
    "jax_compilation_cache_max_size": -1,
    "jax_raise_persistent_cache_errors": False,
    "jax_softmax_custom_jvp": True,
    "jax_thread_guard": False,
    "jax_traceback_filtering": "auto",
    "jax_transfer_guard": None,
    "jax_transfer_guard_device_to_device": None,
    "jax_transfer_guard_device_to_host": None,
    "jax_transfer_guard_host_to_device": None,
}

_VARIABLES = {
    "jax_debug_nans": "XLAC_CHECK_NAN",
    "jax_debug_infs": "XLAC_CHECK_NAN",
    "jax_explain_cache_misses": "XLAC_EXPLAIN_CACHE",
    "jax_enable_checks": "XLAC_VERIFY",
    "jax_enable_compilation_cache": "XLAC_CACHE",
}

GENERATORS = ("threefry2x32", "rbg", "unsafe_rbg")
_OWN = ("jax_enable_x64", "jax_default_prng_impl", "jax_disable_jit", "jax_compilation_cache_dir")

_idle: dict[str, Any] = {}
_generator = GENERATORS[0]
_without_jit: contextlib.ExitStack | None = None


def update(name: str, value: Any) -> None:
    """Set a setting. What functions were compiled for is forgotten where the setting changes it.

    Raises:
      OptionError: there is no such setting, or it cannot have the value.
    """
    if name in _IDLE:
        _idle[name] = value
    elif name in _FIXED:
        if value not in _FIXED[name]:
            allowed = ", ".join(repr(v) for v in _FIXED[name])
            raise OptionError(f"config.update: {name}={value!r}; it must be one of {allowed}")
    elif name not in _VARIABLES and name not in _OWN:
        known = ", ".join([*_OWN, *_VARIABLES, *_FIXED, *_IDLE])
        raise OptionError(f"config.update: there is no setting {name!r}; there are {known}, and those of xlac.Options")
    elif read(name) != (value if name in ("jax_default_prng_impl", "jax_compilation_cache_dir") else bool(value)):
        _change(name, value)


def _change(name: str, value: Any) -> None:
    global _generator, _without_jit
    from xlac.frontend import dtypes, trace
    from xlac.runtime.dispatch import clear_caches

    if name == "jax_disable_jit":
        if _without_jit is not None:
            _without_jit.close()
            _without_jit = None
        if value:
            _without_jit = contextlib.ExitStack()
            _without_jit.enter_context(trace.disable_jit())
        return
    if name == "jax_compilation_cache_dir":
        if value is None:
            os.environ.pop("XLAC_CACHE_DIR", None)
        else:
            os.environ["XLAC_CACHE_DIR"] = os.fspath(value)
        return
    if name == "jax_enable_x64":
        dtypes.set_defaults(bool(value))
    elif name == "jax_default_prng_impl":
        if value not in GENERATORS:
            raise OptionError(f"config.update: {name}={value!r}; it must be one of {', '.join(GENERATORS)}")
        _generator = value
    else:
        os.environ[_VARIABLES[name]] = "1" if value else "0"
    clear_caches()


def read(name: str) -> Any:
    """The value of a setting.

    Raises:
      AttributeError: there is none of that name.
    """
    if name == "jax_enable_x64":
        from xlac.frontend import dtypes

        return dtypes.default_float() == dtypes.FLOAT64 and dtypes.default_int() == dtypes.INT64
    if name == "jax_default_prng_impl":
        return _generator
    if name == "jax_disable_jit":
        from xlac.frontend import trace

        return trace.jit_disabled()
    if name == "jax_compilation_cache_dir":
        return environment("XLAC_CACHE_DIR")
    if name in _VARIABLES:
        found = environment(_VARIABLES[name])
        return name == "jax_enable_compilation_cache" if found is None else bool(found)
    if name in _FIXED:
        return _FIXED[name][0]
    if name in _IDLE:
        return _idle.get(name, _IDLE[name])
    raise AttributeError(f"xlac.config has no setting {name!r}")


def context(name: str, default: Any = True) -> Callable[..., contextlib.AbstractContextManager[None]]:
    """A function that makes contexts in which a setting has a value."""

    @contextlib.contextmanager
    def within(new_val: Any = default) -> Iterator[None]:
        before = read(name)
        update(name, new_val)
        try:
            yield
        finally:
            update(name, before)

    within.__name__ = within.__qualname__ = name.removeprefix("jax_")
    within.__doc__ = f"A context in which the setting `{name}` of `xlac.config` has a value."
    return within


debug_nans = context("jax_debug_nans")
debug_infs = context("jax_debug_infs")
enable_checks = context("jax_enable_checks")
enable_custom_prng = context("jax_enable_custom_prng")
enable_x64 = context("jax_enable_x64")
explain_cache_misses = context("jax_explain_cache_misses")
check_tracer_leaks = checking_leaks = context("jax_check_tracer_leaks")
debug_key_reuse = context("jax_debug_key_reuse")
default_device = context("jax_default_device", None)
default_prng_impl = context("jax_default_prng_impl", GENERATORS[0])
legacy_prng_key = context("jax_legacy_prng_key", "allow")
log_compiles = context("jax_log_compiles")
numpy_dtype_promotion = context("jax_numpy_dtype_promotion", "standard")
numpy_rank_promotion = context("jax_numpy_rank_promotion", "allow")
softmax_custom_jvp = context("jax_softmax_custom_jvp")
thread_guard = context("jax_thread_guard")
threefry_partitionable = context("jax_threefry_partitionable")
array_garbage_collection_guard = context("jax_array_garbage_collection_guard", None)
transfer_guard = context("jax_transfer_guard", None)
transfer_guard_device_to_device = context("jax_transfer_guard_device_to_device", None)
transfer_guard_device_to_host = context("jax_transfer_guard_device_to_host", None)
transfer_guard_host_to_device = context("jax_transfer_guard_host_to_device", None)


def __getattr__(name: str) -> Any:
    if name == "values":
        return {n: read(n) for n in (*_OWN, *_VARIABLES, *_FIXED, *_IDLE)}
    return read(name)
