"""LLVM text in, native code out. The only module that generates code with LLVM; it does not care where text comes from.

Objects are position independent and hold no addresses, so bytes from `emit_object` can be kept on disk and loaded by
another process. Code stays mapped as long as its `Library` lives.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import llvmlite
import llvmlite.binding as llvm

from xlac.codegen.target import Target, host_arch
from xlac.errors import CompileError

# Run before code generation, in this order. The text that arrives has explicit vectors, so nothing has to be
# discovered: allocas become registers and what that leaves behind is tidied. The code generator itself removes common
# subexpressions and moves invariants out of loops.
PASSES = ("sroa", "simplify_cfg")
DEFAULT_LEVEL = 1
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183}

_T = TypeVar("_T")
_lock = threading.RLock()  # held through every use of LLVM, also by a fork, so that no child inherits it half-way
# Each call of llvmlite takes it, finalizers and questions about the host too, which need not wait for the one above.
_llvmlites_lock: contextlib.AbstractContextManager[None] = getattr(llvm.ffi.lib, "_lock", contextlib.nullcontext())
_initialized: set[str] = set()
_machines: dict[tuple[str, int], llvm.TargetMachine] = {}
_pipelines: dict[str, tuple[llvm.ModulePassManager, llvm.PassBuilder]] = {}
_jit: llvm.LLJIT | None = None
_serial = itertools.count()


class Library:
    """Native code in memory. Addresses are valid while this object lives; the memory is freed with it."""

    def __init__(self, tracker: llvm.orcjit.ResourceTracker, symbols: Iterable[str]) -> None:
        self._tracker = tracker
        self._addresses = {name: tracker[name] for name in symbols}

    def address(self, name: str) -> int:
        """Address of the symbol; CompileError if it was not among those asked for when loading."""
        try:
            return self._addresses[name]
        except KeyError:
            raise CompileError(f"library has no symbol {name!r}; it has {', '.join(sorted(self._addresses))}") from None

    def keep_forever(self) -> None:
        """Never free the code, not even at exit; for code that other threads may be running then."""
        self._tracker._owned = True

    def __repr__(self) -> str:
        return f"Library({', '.join(f'{name}={address:#x}' for name, address in sorted(self._addresses.items()))})"


def check(ir: str) -> None:
    """Parse and verify LLVM text; CompileError with LLVM's own message if it is not a valid module."""
    with _lock, _parse(ir):
        pass


def optimize(ir: str, target: Target) -> str:
    """The module as it goes into code generation: LLVM text after the short pass pipeline."""
    with _lock, _parse(ir) as module:
        _run_passes(module, target)
        return str(module)


def emit_object(ir: str, target: Target, level: int = DEFAULT_LEVEL) -> bytes:
    """Relocatable object file for `target`; `level` (0 to 3) is the effort of instruction selection and scheduling."""
    return _emit(ir, target, level, lambda machine, module: machine.emit_object(module))


def assembly(ir: str, target: Target, level: int = DEFAULT_LEVEL) -> str:
    """Assembly text of the same code as `emit_object`'s. The target need not be this machine's."""
    return _emit(ir, target, level, lambda machine, module: machine.emit_assembly(module))


def load(obj: bytes, symbols: Iterable[str], imports: Mapping[str, int] | None = None) -> Library:
    """Link an object file into this process.

    Args:
      obj: what `emit_object` returned, in this or another process.
      symbols: names whose addresses will be asked for.
      imports: addresses of external symbols; others are looked up among the process's own (libc).
    Raises: CompileError if a symbol is defined nowhere or the object is not for this machine.
    """
    symbols = list(symbols)
    _check_machine(obj)
    builder = llvm.JITLibraryBuilder().add_object_img(obj).add_current_process()
    for name in symbols:
        builder.export_symbol(name)
    for name, address in (imports or {}).items():
        builder.import_symbol(name, address)
    with _lock:
        try:
            tracker = builder.link(_lljit(), f"xlac.{next(_serial)}")
        except RuntimeError as error:
            why = str(error)
            if "materialize" in why:
                why += "; a symbol that it defines or uses is neither in the object, the imports nor this process"
            raise CompileError(f"cannot link {', '.join(symbols) or 'object'}: {why}") from None
    return Library(tracker, symbols)


def fingerprint() -> str:
    """Text that changes whenever the same LLVM text could become different code: versions and passes."""
    return f"llvmlite {llvmlite.__version__} llvm {'.'.join(map(str, llvm.llvm_version_info))} {' '.join(PASSES)}"


def _check_machine(obj: bytes) -> None:
    """Refuse ELF code of another architecture, which would link and then crash. Bytes 18 and 19 are e_machine."""
    expected = _ELF_MACHINES.get(host_arch())
    if obj[:4] == b"\x7fELF" and expected is not None and int.from_bytes(obj[18:20], sys.byteorder) != expected:
        raise CompileError(f"cannot link: the object is not {host_arch()} code, which is what this machine runs")


def _parse(ir: str) -> llvm.ModuleRef:
    try:
        module = llvm.parse_assembly(ir)
        module.verify()
    except RuntimeError as error:
        raise CompileError(f"invalid LLVM module: {str(error).strip()}") from None
    return module


def _emit(ir: str, target: Target, level: int, emit: Callable[[llvm.TargetMachine, llvm.ModuleRef], _T]) -> _T:
    with _lock, _parse(ir) as module:
        machine = _machine(target, level)
        module.triple = target.triple
        module.data_layout = str(machine.target_data)
        _run_passes(module, target)
        try:
            return emit(machine, module)
        except RuntimeError as error:
            raise CompileError(f"LLVM cannot generate code for {target.cpu}: {str(error).strip()}") from None


def _run_passes(module: llvm.ModuleRef, target: Target) -> None:
    if target.key not in _pipelines:
        builder = llvm.create_pass_builder(_machine(target, DEFAULT_LEVEL), llvm.create_pipeline_tuning_options(0))
        manager = llvm.create_new_module_pass_manager()
        for name in PASSES:
            getattr(manager, f"add_{name}_pass")()
        _pipelines[target.key] = manager, builder
    manager, builder = _pipelines[target.key]
    manager.run(module, builder)


def _machine(target: Target, level: int) -> llvm.TargetMachine:
    key = target.key, level
    if key not in _machines:
        _initialize(target.arch)
        _machines[key] = _new_machine(target, level, jit=False)
    return _machines[key]


def _new_machine(target: Target, level: int, jit: bool) -> llvm.TargetMachine:
    try:
        return llvm.Target.from_triple(target.triple).create_target_machine(
            cpu=target.cpu, features=target.feature_string, opt=level, reloc="pic", codemodel="small", jit=jit
        )
    except RuntimeError as error:
        raise CompileError(f"LLVM has no code generator for {target.triple}: {error}") from None


def _initialize(arch: str) -> None:
    """Make LLVM's back end for `arch` available; those of other machines only when one is asked for."""
    kind = "native" if arch == host_arch() else "all"
    if kind in _initialized:
        return
    if kind == "native":
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    else:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    _initialized.add(kind)


def _lljit() -> llvm.LLJIT:
    global _jit
    if _jit is None:
        target = Target.host()
        _initialize(target.arch)
        # The engine takes over the machine it is given, so this one is its own. The engine itself is never destroyed:
        # threads may still be in its code while the interpreter shuts down. JITLink puts all sections of an object into
        # one piece of memory; LLVM's older linker may put them further apart than their offsets, of 32 bits, can tell.
        machine = _new_machine(target, DEFAULT_LEVEL, jit=True)
        _jit = llvm.create_lljit_compiler(machine, suppress_errors=True, use_jit_link=True)
        _jit._owned = True
    return _jit


def _before_fork() -> None:
    _lock.acquire()
    _llvmlites_lock.__enter__()


def _after_fork() -> None:
    _llvmlites_lock.__exit__(None, None, None)
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
