"""Run programs and libraries written for JAX on xlac: in this process `import jax` gives xlac's modules.

Import this module before anything that imports JAX, or run a program under it:

    python -m xlac.experimental.as_jax program.py arguments

JAX need not be installed. What xlac has not of JAX's machinery (`jax.interpreters`, `jax.extend`, `jax._src`, parts of
`jax.experimental`) can be imported, and its names serve in annotations, `isinstance` and as base classes: nothing is an
instance of them. Calling one raises NotSupportedError. All other names are xlac's own, or are missing.

As in JAX, float64, int64 and complex128 of NumPy's arrays, or asked for, are taken as the default types, which have 32
bits until `jax_enable_x64` is set; elsewhere xlac keeps them.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from xlac.errors import NotSupportedError, OptionError
from xlac.frontend import dtypes, trace

__all__ = ["JAX_VERSION"]

JAX_VERSION = "0.10.2"
"""The version of JAX whose names and meanings xlac follows."""

# Packages of JAX whose modules and names need not exist here, and modules to which names are added that xlac has not.
_INTERNAL = (
    "jax._src",
    "jax.api_util",
    "jax.core",
    "jax.experimental",
    "jax.extend",
    "jax.interpreters",
    "jax.lib",
    "jax.version",
)
_EXTENDED = ("jax", "jax.core", "jax.experimental", "jax.extend.core")


class _Placeholder(type):
    """A name of JAX's that stands for nothing here."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{cls.__name__} has no attribute {name!r}")
        return _placeholder(f"{cls.__name__}.{name}")

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if "_of_jax" in cls.__dict__:
            raise NotSupportedError(f"{cls.__name__} is an internal of JAX that xlac does not have")
        return super().__call__(*args, **kwargs)  # of a class that a library derives from one


def _placeholder(name: str) -> Any:
    return _Placeholder(name, (), {"_of_jax": True, "__class_getitem__": classmethod(types.GenericAlias)})


class _TraceState:
    """The trace that is being recorded, if any; equal to another where it is the same."""

    def __init__(self, convention: str | None = None) -> None:
        self.trace = trace.current()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, _TraceState) and self.trace is other.trace

    def __hash__(self) -> int:
        return id(self.trace)


def _api_boundary(fun: Any = None, **_: Any) -> Any:
    """Tracebacks are whole here: the function as it is."""
    return fun if fun is not None else _api_boundary


def _safe_map(fun: Callable[..., Any], *sequences: Sequence[Any]) -> list[Any]:
    return [fun(*items) for items in zip(*sequences, strict=True)]


_VERSION = {"__version__": JAX_VERSION, "__version_info__": tuple(map(int, JAX_VERSION.split(".")))}

# What libraries call of JAX's internals and has a meaning here.
_MEANT: dict[str, dict[str, Any]] = {
    "jax": _VERSION,
    "jax.version": _VERSION,
    "jax.core": {"get_opaque_trace_state": _TraceState},
    "jax.extend.core": {"get_opaque_trace_state": _TraceState},
    "jax.extend.linear_util": {"transformation": lambda fun: _placeholder("jax.extend.linear_util.transformation")},
    "jax.extend.source_info_util": {"register_exclusion": lambda path: None},
    "jax.api_util": {"safe_map": _safe_map},
    "jax._src.core": {"trace_state_clean": lambda: trace.current() is None},
    "jax._src.traceback_util": {
        "_exclude_paths": [],
        "api_boundary": _api_boundary,
        "register_exclusion": lambda path: None,
    },
}


class _Module(types.ModuleType):
    """A module of JAX: the names of xlac's where there is one, then placeholders where it is internal to JAX."""

    def __init__(self, name: str, own: Any) -> None:
        super().__init__(name, getattr(own, "__doc__", None))
        self.__dict__.update(_MEANT.get(name, {}), _own=own, __path__=[])
        if hasattr(own, "__all__"):
            self.__all__ = list(own.__all__)

    def __getattr__(self, name: str) -> Any:
        own, full = self.__dict__["_own"], f"{self.__name__}.{name}"
        if full in _INTERNAL or full in _MEANT:
            return importlib.import_module(full)
        if own is not None and hasattr(own, name):
            return getattr(own, name)
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if not self.__name__.startswith(_INTERNAL) or self.__name__ == "jax.experimental":
            raise AttributeError(f"{full} is not in xlac")
        self.__dict__[name] = made = _placeholder(full)
        return made

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *dir(self.__dict__["_own"])})


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds `jax` and all below it in xlac."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name.split(".")[0] == "jax" else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        name = spec.name
        own = _own(name)
        if own is None and not name.startswith(_INTERNAL):
            raise ModuleNotFoundError(f"{name} is not in xlac", name=name)
        if own is None or name in _EXTENDED:
            return _Module(name, own)
        spec.loader_state = getattr(own, "__spec__", None)
        return own

    def exec_module(self, module: Any) -> None:
        if not isinstance(module, _Module):
            module.__spec__ = module.__spec__.loader_state  # the import system has put its own in place of it


def _own(name: str) -> Any:
    """The module of xlac for one of JAX's, or the namespace that stands in its place; None: there is none."""
    own = "xlac.core" if name == "jax.extend.core" else "xlac" + name[len("jax") :]
    try:
        return importlib.import_module(own)
    except ModuleNotFoundError as error:
        if error.name is None or not own.startswith(error.name):
            raise
    parent, _, leaf = name.rpartition(".")
    return None if name.startswith(_INTERNAL) else getattr(sys.modules[parent], leaf, None)


def _install() -> None:
    loaded = sys.modules.get("jax")
    if loaded is not None and not isinstance(loaded, _Module):
        raise OptionError(
            "jax itself has been imported already; import xlac.experimental.as_jax before all that uses jax"
        )
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    dtypes.narrow_foreign(True)


if __name__ == "__main__":
    import os
    import runpy

    from xlac.experimental import as_jax  # noqa: F401  the module under its own name installs itself

    if len(sys.argv) < 2:
        sys.exit("usage: python -m xlac.experimental.as_jax program.py [arguments]")
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    _install()
