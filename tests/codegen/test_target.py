"""Facts about processors."""

import pytest

from xlac.codegen.target import Target, cache_sizes, known_targets, usable_cores, vector_bytes
from xlac.errors import CompileError


def test_the_host_is_complete_and_runs_here():
    host = Target.host()
    assert host is Target.host() and host == Target.parse("host")
    assert host.runs_here() and host.cores == usable_cores() >= 1
    assert all(host.has(name) for name in host.features) and not host.has("no-such-feature")
    assert 0 < host.l1d <= host.l2 <= host.l3
    assert host.vector_bytes in (16, 32, 64)


@pytest.mark.parametrize(
    "name, arch, width, registers, present, absent",
    [
        ("x86-64", "x86_64", 16, 16, "sse2", "sse4.1"),
        ("x86-64-v2", "x86_64", 16, 16, "sse4.2", "avx"),
        ("x86-64-v3", "x86_64", 32, 16, "fma", "avx512f"),
        ("x86-64-v4", "x86_64", 64, 32, "avx512vl", "avx512fp16"),
        ("aarch64", "aarch64", 16, 32, "neon", "sse2"),
        ("AArch64-NEON ", "aarch64", 16, 32, "neon", "avx2"),
    ],
)
def test_named_targets_have_their_levels_features(name, arch, width, registers, present, absent):
    target = Target.parse(name)
    assert (target.arch, target.vector_bytes, target.vector_registers) == (arch, width, registers)
    assert target.has(present) and not target.has(absent)
    assert f"+{present}" in target.feature_string.split(",")


def test_generic_is_the_least_of_this_architecture():
    generic = Target.parse("generic")
    assert generic.arch == Target.host().arch and generic.features <= Target.host().features


def test_an_unknown_target_is_answered_with_the_known_ones():
    with pytest.raises(CompileError, match="'i386'") as error:
        Target.parse("i386")
    assert all(name in str(error.value) for name in known_targets())


def test_half_an_avx512_counts_as_avx2():
    assert vector_bytes("x86_64", frozenset({"avx2", "avx512f"})) == 32


def test_keys_tell_targets_apart():
    keys = [Target.parse(name).key for name in known_targets() if name not in ("host", "generic")]
    assert len(set(keys)) == len(keys)


def test_cache_sizes_come_from_sysfs_with_defaults_for_what_is_missing(tmp_path):
    import os

    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    for index, (level, kind, size) in enumerate([(1, "Data", "48K"), (1, "Instruction", "64K"), (2, "Unified", "2M")]):
        folder = tmp_path / f"cpu{core}" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        (folder / "level").write_text(f"{level}\n")
        (folder / "type").write_text(kind + "\n")
        (folder / "size").write_text(size + "\n")
    l1d, l2, l3 = cache_sizes(str(tmp_path))
    assert (l1d, l2) == (48 << 10, 2 << 20) and l3 == cache_sizes("/nonexistent")[2]
