"""Compiled objects on disk: a program compiled once is loaded in a fraction of a millisecond by later processes.

A cache can be lost, full, read-only, damaged or shared by processes at any moment; none of that is an error, it only
means compiling again. Since what is read is executed, only a private directory of this user is trusted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import sys
import time
from pathlib import Path

import xlac
from xlac.codegen import link
from xlac.codegen.target import Target

LIMIT_BYTES = 256 << 20  # evict down to KEEP of this when it is exceeded
KEEP = 0.8
TOUCH_SECONDS = 600.0  # a hit makes an entry young again, but not more often than this

_MAGIC = b"XLACOBJ1"
_DIGEST = 32
_SUFFIX = ".xlo"

_checked: dict[str, bool] = {}  # directory -> whether it can be used
_written: dict[str, int] = {}  # directory -> bytes in it, as far as this process knows


def compile_object(ir: str, target: Target, level: int = link.DEFAULT_LEVEL) -> bytes:
    """Object file for LLVM text: from the cache, else compiled by `link.emit_object` and put there."""
    directory = cache_directory()
    if directory is None:
        return link.emit_object(ir, target, level)
    key = object_key(ir, target, level)
    obj = read(key, directory)
    if obj is None:
        obj = link.emit_object(ir, target, level)
        write(key, obj, directory)
    return obj


def object_key(ir: str, target: Target, level: int) -> str:
    """Name of an object: a digest of everything its bytes depend on."""
    version = getattr(xlac, "__version__", "")
    parts = (ir, target.key, str(level), link.fingerprint(), version)
    digest = hashlib.blake2b(digest_size=24)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


def cache_directory() -> Path | None:
    """Where objects are kept: "objects" in XLAC_CACHE_DIR or in the user's cache directory; None if caching is off.

    XLAC_CACHE=0 turns it off. So does a directory that cannot be made, or that others could write to.
    """
    if os.environ.get("XLAC_CACHE", "1").strip().lower() in ("0", "off", "false", "no"):
        return None
    root = os.environ.get("XLAC_CACHE_DIR", "").strip() or _user_cache()
    if not root or not os.path.isabs(root := os.path.abspath(os.path.expanduser(root))):
        return None
    path = os.path.join(root, "objects")
    usable = _checked.get(path)
    if not usable:  # a directory that appears later is noticed
        usable = _checked[path] = _make_private(path)
    return Path(path) if usable else None


def read(key: str, directory: Path) -> bytes | None:
    """The object of that name, or None. A damaged one is removed."""
    path = directory / (key + _SUFFIX)
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    obj = data[start:]
    if data[: len(_MAGIC)] != _MAGIC or data[len(_MAGIC) : start] != _checksum(key, obj):
        with contextlib.suppress(OSError):
            path.unlink()
        return None
    with contextlib.suppress(OSError):
        if time.time() - path.stat().st_mtime > TOUCH_SECONDS:
            os.utime(path)
    return obj


def write(key: str, obj: bytes, directory: Path) -> None:
    """Keep an object. Readers see all of it or nothing; failure (no space, no permission) changes nothing."""
    temporary = directory / f"{key}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    data = b"".join((_MAGIC, _checksum(key, obj), obj))
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, directory / (key + _SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError:
        _checked.pop(str(directory), None)
        return
    name = str(directory)
    _written[name] = _written[name] + len(data) if name in _written else _size(directory)
    if _written[name] > LIMIT_BYTES:
        _written[name] = evict(directory, int(LIMIT_BYTES * KEEP))


def evict(directory: Path, limit: int) -> int:
    """Remove entries, those used longest ago first, until `limit` bytes are left, and stale temporary files.

    Returns the bytes left.
    """
    entries = []
    for entry in _scan(directory):
        try:
            status = entry.stat()
        except OSError:
            continue
        if entry.name.endswith(_SUFFIX):
            entries.append((status.st_mtime, status.st_size, entry.path))
        elif entry.name.endswith(".tmp") and time.time() - status.st_mtime > 3600:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= limit:
            break
        with contextlib.suppress(OSError):
            os.unlink(path)
            total -= size
    return total


def _checksum(key: str, obj: bytes) -> bytes:
    """The key is part of it, so that a file under another's name does not pass."""
    return hashlib.blake2b(obj, digest_size=_DIGEST, key=key.encode()[:64]).digest()


def _user_cache() -> str:
    """The platform's directory for caches: XDG base directories, Apple's and Microsoft's conventions."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):
            base = os.path.expanduser("~/.cache")
    return os.path.join(base, "xlac") if os.path.isabs(base) else ""


def _make_private(path: str) -> bool:
    """Make the directory, for this user only; whether it is a real one, ours, and closed to others."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
        status = os.lstat(path)
    except OSError:
        return False
    if not stat.S_ISDIR(status.st_mode):
        return False
    if not hasattr(os, "getuid"):
        return True
    return status.st_uid == os.getuid() and not status.st_mode & 0o022


def _size(directory: Path) -> int:
    total = 0
    for entry in _scan(directory):
        with contextlib.suppress(OSError):
            total += entry.stat().st_size
    return total


def _scan(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except OSError:
        return []
