"""The disk cache of objects: hits, damage, limits, directories that cannot be used."""

import os
import subprocess
import sys

import pytest

from xlac.codegen import link
from xlac.codegen.target import Target
from xlac.runtime import cache

HOST = Target.host()
IR = "define i32 @f() {\n  ret i32 7\n}\n"
POSIX = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XLAC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("XLAC_CACHE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch):
    """The texts that were really compiled."""
    compiled = []
    emit = link.emit_object

    def counted(ir, target, level=link.DEFAULT_LEVEL):
        compiled.append(ir)
        return emit(ir, target, level)

    monkeypatch.setattr(link, "emit_object", counted)
    return compiled


def entries(root):
    return sorted((root / "objects").glob("*"))


def test_the_second_compilation_is_a_hit(root, compilations):
    first, second = cache.compile_object(IR, HOST), cache.compile_object(IR, HOST)
    assert first == second and compilations == [IR] and len(entries(root)) == 1


def test_everything_the_code_depends_on_is_in_the_key(monkeypatch):
    keys = [
        cache.object_key(IR, HOST, 1),
        cache.object_key(IR, HOST, 2),
        cache.object_key(IR + ";", HOST, 1),
        cache.object_key(IR, Target.parse("x86-64-v3"), 1),
    ]
    monkeypatch.setattr(link, "PASSES", ("sroa",))
    keys.append(cache.object_key(IR, HOST, 1))
    assert len(set(keys)) == len(keys)


def test_zero_turns_it_off(root, monkeypatch, compilations):
    monkeypatch.setenv("XLAC_CACHE", "0")
    cache.compile_object(IR, HOST)
    cache.compile_object(IR, HOST)
    assert len(compilations) == 2 and not root.exists()


@POSIX
def test_directory_and_files_are_private(root):
    cache.compile_object(IR, HOST)
    assert (root / "objects").stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in entries(root))


@pytest.mark.parametrize(
    "damage",
    [lambda d: b"", lambda d: d[:20], lambda d: d[:-1], lambda d: d + b"x", lambda d: d[:60] + b"\xff" + d[61:]],
)
def test_a_damaged_entry_is_compiled_anew(root, compilations, damage):
    good = cache.compile_object(IR, HOST)
    (path,) = entries(root)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.compile_object(IR, HOST) == good and len(compilations) == 2
    assert cache.compile_object(IR, HOST) == good and len(compilations) == 2


def test_an_entry_under_another_name_is_not_trusted(root):
    cache.compile_object(IR, HOST)
    (path,) = entries(root)
    key = cache.object_key("other", HOST, 1)
    path.rename(path.with_name(key + path.suffix))
    assert cache.read(key, cache.cache_directory()) is None and not entries(root)


def test_the_entries_used_longest_ago_go_first(root, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT_BYTES", 10_000)
    directory = cache.cache_directory()
    for age in range(9):
        cache.write(f"key{age}", bytes(1000), directory)
        os.utime(directory / f"key{age}.xlo", (1e9 - age, 1e9 - age))
    assert cache.read("key8", directory) == bytes(1000)  # the oldest, but now used
    cache.write("new", bytes(1500), directory)
    left = {path.stem for path in entries(root)}
    assert {"new", "key0", "key8"} <= left and "key7" not in left
    assert sum(path.stat().st_size for path in entries(root)) <= 8000


def test_forgotten_temporary_files_go_in_the_end(root):
    directory = cache.cache_directory()
    (directory / "a.1.2.tmp").write_bytes(b"x")
    os.utime(directory / "a.1.2.tmp", (1e9, 1e9))
    (directory / "b.1.2.tmp").write_bytes(b"x")
    assert cache.evict(directory, 10**6) == 0
    assert [path.name for path in entries(root)] == ["b.1.2.tmp"]


def test_a_file_in_the_directorys_place_means_no_cache(root, compilations):
    root.write_text("in the way")
    assert cache.cache_directory() is None
    assert cache.compile_object(IR, HOST) and cache.compile_object(IR, HOST) and len(compilations) == 2


def test_a_directory_that_vanishes_is_no_error(root, compilations):
    directory = cache.cache_directory()
    directory.rmdir()
    assert cache.compile_object(IR, HOST) and cache.compile_object(IR, HOST)
    assert cache.compile_object(IR, HOST) and len(compilations) == 2


@POSIX
def test_a_directory_that_others_can_write_to_is_not_trusted(root):
    (root / "objects").mkdir(parents=True)
    (root / "objects").chmod(0o777)
    assert cache.cache_directory() is None


@POSIX
def test_a_link_is_not_trusted(root, tmp_path):
    root.mkdir()
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (root / "objects").symlink_to(tmp_path / "elsewhere")
    assert cache.cache_directory() is None


@POSIX
@pytest.mark.skipif(getattr(os, "getuid", int)() == 0, reason="root may write anywhere")
def test_a_read_only_cache_is_read_but_not_written(root, compilations):
    cache.compile_object(IR, HOST)
    (root / "objects").chmod(0o500)
    try:
        cache.compile_object(IR, HOST)
        assert compilations == [IR]
        assert cache.compile_object(IR + ";", HOST) and len(entries(root)) == 1
    finally:
        (root / "objects").chmod(0o700)


def test_no_home_means_no_cache(monkeypatch):
    monkeypatch.delenv("XLAC_CACHE_DIR")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert cache.cache_directory() is None


def test_a_later_process_finds_the_object(root):
    cache.compile_object(IR, HOST)
    script = (
        "import ctypes\nfrom xlac.codegen import link\nfrom xlac.codegen.target import Target\n"
        "from xlac.runtime.cache import compile_object\n"
        "link.emit_object = None\n"
        f"library = link.load(compile_object({IR!r}, Target.host()), ['f'])\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_int32)(library.address('f'))())\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("7\n", "")
