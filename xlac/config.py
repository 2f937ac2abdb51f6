"""`xlac.config`: settings by the names `jax.config` has for them, so that programs that set them run unchanged.

`jax_enable_x64` chooses the types of numbers created without one: float64 and int64, or float32 and int32, as at first.
Arrays keep the types they have either way. `jax_debug_nans` and `jax_debug_infs` are both XLAC_CHECK_NAN,
`jax_explain_cache_misses` is XLAC_EXPLAIN_CACHE; they set the variable for this process. `jax_platforms`,
`jax_platform_name` and `jax_default_matmul_precision` are taken where they ask for what is always so: the CPU, and
products in full precision.
"""

from __future__ import annotations

import os
from typing import Any

from xlac.errors import OptionError
from xlac.options import environment

# Names that change nothing -> the values they may have.
_FIXED: dict[str, tuple[Any, ...]] = {
    "jax_platforms": (None, "", "cpu"),
    "jax_platform_name": (None, "", "cpu"),
    "jax_default_matmul_precision": (None, "default", "high", "highest", "float32"),
}

_VARIABLES = {
    "jax_debug_nans": "XLAC_CHECK_NAN",
    "jax_debug_infs": "XLAC_CHECK_NAN",
    "jax_explain_cache_misses": "XLAC_EXPLAIN_CACHE",
}


def update(name: str, value: Any) -> None:
    """Set a setting. What functions were compiled for is forgotten where the setting changes it.

    Raises:
      OptionError: there is no such setting, or it cannot have the value.
    """
    if name == "jax_enable_x64":
        from xlac.frontend import dtypes
        from xlac.runtime.dispatch import clear_caches

        if bool(value) != __getattr__(name):
            dtypes.set_defaults(bool(value))
            clear_caches()
    elif name in _VARIABLES:
        from xlac.runtime.dispatch import clear_caches

        if bool(value) != __getattr__(name):
            os.environ[_VARIABLES[name]] = "1" if value else "0"
            clear_caches()
    elif name not in _FIXED:
        known = ", ".join(["jax_enable_x64", *_VARIABLES, *_FIXED])
        raise OptionError(f"config.update: there is no setting {name!r}; there are {known}, and those of xlac.Options")
    elif value not in _FIXED[name]:
        allowed = ", ".join(repr(v) for v in _FIXED[name])
        raise OptionError(f"config.update: {name}={value!r}; it must be one of {allowed}")


def __getattr__(name: str) -> Any:
    if name == "jax_enable_x64":
        from xlac.frontend import dtypes

        return dtypes.default_float() == dtypes.FLOAT64 and dtypes.default_int() == dtypes.INT64
    if name in _VARIABLES:
        return bool(environment(_VARIABLES[name]))
    raise AttributeError(f"xlac.config has no setting {name!r}")
