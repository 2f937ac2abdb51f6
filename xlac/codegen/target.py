"""Facts about the processor that code is made for: instruction set, vector width, caches, cores. Data, no LLVM handles.

What depends on the processor is read from a `Target`; the rest of the compiler never asks the machine itself.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from xlac.errors import CompileError

KIB = 1024
L1D_DEFAULT, L2_DEFAULT, L3_DEFAULT = 32 * KIB, 1024 * KIB, 8192 * KIB

# The levels of the x86-64 psABI (System V ABI, AMD64 supplement, section 3.1.1), in LLVM's feature names.
_V1 = ("64bit", "cmov", "cx8", "fxsr", "mmx", "sse", "sse2")
_V2 = (*_V1, "crc32", "cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_V4 = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")

# name -> architecture, LLVM's cpu name, features
_NAMED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "x86-64": ("x86_64", "x86-64", _V1),
    "x86-64-v2": ("x86_64", "x86-64-v2", _V2),
    "x86-64-v3": ("x86_64", "x86-64-v3", _V3),
    "x86-64-v4": ("x86_64", "x86-64-v4", _V4),
    "aarch64-neon": ("aarch64", "generic", ("fp-armv8", "neon")),
}
_ALIASES = {"aarch64": "aarch64-neon", "arm64": "aarch64-neon", "x86-64-v1": "x86-64"}
_BASELINE = {"x86_64": "x86-64", "aarch64": "aarch64-neon"}
_ARCH_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


@dataclass(frozen=True)
class Target:
    """One processor, as far as code generation cares.

    Attributes:
      triple: LLVM's target triple, such as "x86_64-unknown-linux-gnu".
      cpu: LLVM's processor name. It steers instruction scheduling only; what may be used is said by the features.
      features: names of the instruction-set extensions that are present, in LLVM's spelling.
      feature_string: the same for LLVM, "+avx2,-avx512f,...", with what is known to be absent.
      vector_bytes: width of the widest vector register that code should use.
      l1d, l2, l3: cache sizes in bytes, seen from one core (l3 is usually shared).
      cores: processors this process may run on.
    """

    triple: str
    cpu: str
    features: frozenset[str]
    feature_string: str
    vector_bytes: int
    l1d: int = L1D_DEFAULT
    l2: int = L2_DEFAULT
    l3: int = L3_DEFAULT
    cores: int = 1

    @staticmethod
    def host() -> Target:
        """The processor this process runs on, with everything it can do."""
        return _host()

    @staticmethod
    def parse(name: str) -> Target:
        """The target called `name`: "host", "generic" (the least of this architecture) or one of `known_targets()`.

        Cache sizes of a named target are defaults, not this machine's: its code is the same wherever it is made.
        Raises CompileError for any other name.
        """
        key = name.strip().lower()
        if key == "host":
            return _host()
        if key == "generic":
            arch = host_arch()
            if arch not in _BASELINE:
                raise CompileError(f"target 'generic': no baseline is known for {arch}; use 'host'")
            key = _BASELINE[arch]
        key = _ALIASES.get(key, key)
        if key not in _NAMED:
            raise CompileError(f"unknown target {name!r}; known are {', '.join(known_targets())}")
        return _named(key)

    def has(self, feature: str) -> bool:
        """Whether the processor has the extension, in LLVM's spelling ("avx512f", "fma", "neon")."""
        return feature in self.features

    @property
    def arch(self) -> str:
        """The architecture: "x86_64", "aarch64" or whatever the triple begins with."""
        first = self.triple.split("-", 1)[0].lower()
        return _ARCH_ALIASES.get(first, first)

    @property
    def vector_registers(self) -> int:
        """Number of architectural vector registers of `vector_bytes`."""
        if self.arch == "aarch64" or self.vector_bytes == 64:
            return 32
        return 16

    @property
    def key(self) -> str:
        """Text that is equal exactly when LLVM generates the same code from the same input."""
        return f"{self.triple} {self.cpu} {self.feature_string}"

    def runs_here(self) -> bool:
        """Whether this process can execute code made for the target."""
        host = _host()
        same_system = self.triple.split("-", 1)[1:] == host.triple.split("-", 1)[1:]
        return self.arch == host.arch and same_system and self.features <= host.features


def known_targets() -> list[str]:
    """Names that `Target.parse` accepts."""
    return ["host", "generic", *_NAMED]


def host_arch() -> str:
    """This machine's architecture in LLVM's spelling."""
    machine = platform.machine().lower()
    return _ARCH_ALIASES.get(machine, machine)


def vector_bytes(arch: str, features: frozenset[str]) -> int:
    """Width in bytes of the widest vectors worth using: AVX-512 only with its byte, quad and short-vector parts."""
    if arch == "x86_64":
        if {"avx512f", "avx512vl", "avx512dq", "avx512bw"} <= features:
            return 64
        if "avx2" in features:
            return 32
    return 16


def usable_cores() -> int:
    """Processors this process may use at once: its affinity mask, less if a control group grants less time."""
    try:
        cores = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        cores = os.cpu_count() or 1
    return max(1, min(cores, _cgroup_cores() or cores))


def _cgroup_cores() -> int | None:
    """Whole processors granted by a version-2 control group ("quota period" in microseconds); None: no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return None if quota == "max" else -(-int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def cache_sizes(root: str = "/sys/devices/system/cpu") -> tuple[int, int, int]:
    """Sizes of L1 data, L2 and L3 cache in bytes from Linux's sysfs, with defaults for what cannot be read."""
    sizes = {1: L1D_DEFAULT, 2: L2_DEFAULT, 3: L3_DEFAULT}
    try:
        core = min(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        core = 0
    units = {"K": KIB, "M": KIB**2, "G": KIB**3}
    for index in sorted(Path(root).glob(f"cpu{core}/cache/index*")):
        try:
            level = int((index / "level").read_text())
            text = (index / "size").read_text().strip()
            if (index / "type").read_text().strip() == "Instruction":
                continue
            size = int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)
        except (OSError, ValueError, IndexError):
            continue
        if level in sizes and size > 0:
            sizes[level] = size
    return sizes[1], sizes[2], sizes[3]


@cache
def _host() -> Target:
    import llvmlite.binding as llvm

    triple, arch = llvm.get_process_triple(), host_arch()
    try:
        found = llvm.get_host_cpu_features()
    except RuntimeError:
        found = {}
    if found:
        features = frozenset(name for name, present in found.items() if present)
        feature_string = ",".join(f"{'+' if found[name] else '-'}{name}" for name in sorted(found))
        cpu = llvm.get_host_cpu_name()
    else:
        _, cpu, names = _NAMED.get(_BASELINE.get(arch, ""), (arch, "generic", ()))
        features, feature_string = frozenset(names), ",".join(f"+{name}" for name in sorted(names))
    l1d, l2, l3 = cache_sizes()
    return Target(triple, cpu, features, feature_string, vector_bytes(arch, features), l1d, l2, l3, usable_cores())


@cache
def _named(name: str) -> Target:
    arch, cpu, names = _NAMED[name]
    triple = f"{arch}-unknown-linux-gnu"
    if arch == host_arch():
        import llvmlite.binding as llvm

        triple = llvm.get_process_triple()
    features = frozenset(names)
    feature_string = ",".join(f"+{feature}" for feature in sorted(names))
    return Target(triple, cpu, features, feature_string, vector_bytes(arch, features), cores=usable_cores())
