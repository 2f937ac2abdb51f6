"""Checkpoints: named arrays in safetensors files, written atomically, read with distrust.

A file is an 8-byte little-endian length, a JSON header of that many bytes (name -> dtype, shape, data_offsets) and the
raw little-endian data, without gaps. Nothing here executes what it reads: a file is data, checked against its own size
before any memory is asked for. `CheckpointStore` keeps the newest few of a folder and finds the newest good one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import stat
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xlac.errors import CheckpointError

logger = logging.getLogger("xlac.estimator")

HEADER_LIMIT = 8 << 20
"""Bytes of JSON header accepted: some 80,000 arrays, and little enough to parse without much memory."""

INDEX_LIMIT = 1 << 20
ALIGNMENT = 8
CRC_KEY = "crc32"

# Element types by the names safetensors gives them; those NumPy lacks come from ml_dtypes when met.
_NUMPY_TYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_ML_TYPES = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
_NAMES = {name: code for code, name in {**_NUMPY_TYPES, **_ML_TYPES}.items()}


def _dtype(code: str) -> np.dtype[Any] | None:
    """The NumPy type of a safetensors type, None where it is unknown."""
    if code in _NUMPY_TYPES:
        return np.dtype(_NUMPY_TYPES[code])
    if code in _ML_TYPES:
        import ml_dtypes

        return np.dtype(getattr(ml_dtypes, _ML_TYPES[code]))
    return None


@dataclass(frozen=True)
class Entry:
    """One array of a file: its type, dimensions, and place in the data section."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def write_atomically(path: str | os.PathLike[str], *parts: bytes | memoryview | np.ndarray) -> None:
    """Write `parts` as the file `path`, so that a reader, or a crash at any moment, sees the old file or the whole new
    one.

    Raises:
      CheckpointError: the folder cannot be written.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path) or "."
    temporary = os.path.join(folder, f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if hasattr(os, "O_DIRECTORY"):  # the rename itself must reach the disk
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def save_arrays(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named arrays to a safetensors file, atomically; any reader of that format can load it.

    Args:
      path: the file.
      arrays: name -> array of any dimensions; types as in `_NUMPY_TYPES` and `_ML_TYPES`.
      metadata: strings to keep beside them. A CRC-32 of the data is added.

    Raises:
      CheckpointError: an array has a type the format does not know, or the file cannot be written.
    """
    header: dict[str, Any] = {}
    parts: list[np.ndarray] = []
    offset = crc = 0
    prepared = {name: np.asarray(array) for name, array in arrays.items()}
    # Widest elements first: every array then starts at a multiple of its element's size.
    for name in sorted(prepared, key=lambda n: (-prepared[n].dtype.itemsize, n)):
        array = prepared[name]
        code = _NAMES.get(array.dtype.name)
        if code is None:
            raise CheckpointError(
                f"{os.fspath(path)}: array {name!r} is {array.dtype}; the format has {', '.join(sorted(_NAMES))}"
            )
        if array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and not np.little_endian):
            array = array.astype(array.dtype.newbyteorder("<"))
        # A flat byte view, as extended types have no buffer protocol of their own.
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [offset, offset + raw.nbytes]}
        offset += raw.nbytes
        crc = zlib.crc32(raw, crc)
        parts.append(raw)
    header["__metadata__"] = {**(metadata or {}), CRC_KEY: f"{crc:08x}"}
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    if len(text) > HEADER_LIMIT:
        raise CheckpointError(f"{os.fspath(path)}: a header of {len(text)} bytes is over the limit of {HEADER_LIMIT}")
    write_atomically(path, struct.pack("<Q", len(text)), text, *parts)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return result


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _load_json(text: bytes) -> Any:
    """Strict JSON: no NaN or infinities, no name twice. Raises ValueError or RecursionError."""
    return json.loads(text.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


class ArrayFile:
    """A safetensors file whose header has been read and checked; the data is read on demand.

    Attributes:
      path: the file.
      entries: name -> Entry.
      metadata: the strings kept beside the arrays.

    Raises:
      CheckpointError: the file is missing, truncated, or its header does not describe its data; the message names file
        and fault. No memory beyond the header's is used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.entries: dict[str, Entry] = {}
        self.metadata: dict[str, str] = {}
        try:
            # Looked at before it is opened: opening a pipe would wait forever.
            if not stat.S_ISREG(os.stat(self.path).st_mode):
                raise self._fault("is not a regular file")
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if size < 8:
                    raise self._fault(f"is {size} bytes long; even an empty file of this format has 10")
                (length,) = struct.unpack("<Q", file.read(8))
                if length > size - 8:
                    raise self._fault(
                        f"says its header is {length} bytes long, but only {size - 8} follow (truncated?)"
                    )
                if length > HEADER_LIMIT:
                    raise self._fault(f"has a header of {length} bytes; at most {HEADER_LIMIT} are accepted")
                text = file.read(length)
        except OSError as error:
            raise self._fault(f"cannot be read: {error.strerror or error}") from error
        if len(text) != length:
            raise self._fault("ends inside its header")
        self._start, self._size = 8 + length, size - 8 - length
        try:
            header = _load_json(text)
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise self._fault(f"has a header that is not JSON: {reason}") from None
        if not isinstance(header, dict):
            raise self._fault(f"has a header that is a JSON {type(header).__name__}; it must be an object")
        self._read_header(header)

    def _fault(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {what}")

    def _read_header(self, header: dict[str, Any]) -> None:
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self._fault("has __metadata__ that is not an object of strings")
        self.metadata = metadata
        for name, row in header.items():
            self.entries[name] = self._entry(name, row)
        position, before = 0, ""
        for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].begin, item[1].end)):
            if entry.begin < position:
                raise self._fault(f"arrays {before!r} and {name!r} overlap at byte {entry.begin} of the data")
            if entry.begin > position:
                raise self._fault(f"bytes {position} to {entry.begin} of the data belong to no array")
            position, before = entry.end, name
        if position != self._size:
            raise self._fault(f"has arrays that end at byte {position} of the data, which is {self._size} bytes long")

    def _entry(self, name: str, row: Any) -> Entry:
        if not isinstance(row, dict) or not {"dtype", "shape", "data_offsets"} <= row.keys():
            raise self._fault(f"array {name!r} has {row!r:.80}; it must have dtype, shape and data_offsets")
        dtype = _dtype(row["dtype"]) if isinstance(row["dtype"], str) else None
        if dtype is None:
            known = ", ".join({**_NUMPY_TYPES, **_ML_TYPES})
            raise self._fault(f"array {name!r} has dtype {row['dtype']!r:.40}; known are {known}")
        shape, offsets = row["shape"], row["data_offsets"]
        if not isinstance(shape, list) or len(shape) > 32 or not all(_is_count(n) and n < 1 << 62 for n in shape):
            raise self._fault(f"array {name!r} has shape {shape!r:.80}; it must be a list of at most 32 counts")
        if not isinstance(offsets, list) or len(offsets) != 2 or not all(_is_count(n) for n in offsets):
            raise self._fault(f"array {name!r} has data_offsets {offsets!r:.80}; they must be two counts")
        begin, end = offsets
        if not begin <= end <= self._size:
            raise self._fault(f"array {name!r} lies at bytes {begin} to {end} of {self._size} bytes of data")
        needed = math.prod(shape) * dtype.itemsize
        if needed != end - begin:
            raise self._fault(f"array {name!r}, {dtype.name}{shape}, needs {needed} bytes but has {end - begin}")
        return Entry(dtype, tuple(shape), begin, end)

    def read(self) -> dict[str, np.ndarray]:
        """All arrays by name, each in its own memory, in as many bytes as the file has.

        Raises:
          CheckpointError: the data cannot be read, or is not what the file's checksum says.
        """
        arrays: dict[str, np.ndarray] = {}
        crc = 0
        try:
            with open(self.path, "rb") as file:
                file.seek(self._start)
                for name, entry in sorted(self.entries.items(), key=lambda item: (item[1].begin, item[1].end)):
                    raw = np.empty(entry.end - entry.begin, np.uint8)
                    if file.readinto(raw) != raw.nbytes:  # type: ignore[arg-type]
                        raise self._fault(f"ends inside array {name!r}")
                    crc = zlib.crc32(raw, crc)
                    if entry.dtype == np.bool_ and raw.size and raw.max() > 1:
                        raise self._fault(f"array {name!r} is of type BOOL but has bytes other than 0 and 1")
                    array = raw.view(entry.dtype)
                    arrays[name] = (array if np.little_endian else array.byteswap()).reshape(entry.shape)
        except (OSError, MemoryError, ValueError) as error:
            raise self._fault(f"cannot be read: {error}") from error
        stored = self.metadata.get(CRC_KEY)
        if stored is not None and stored != f"{crc:08x}":
            raise self._fault(f"has data with CRC-32 {crc:08x}, but {stored} was written: the file is corrupt")
        return {name: arrays[name] for name in self.entries}


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name.

    Raises:
      CheckpointError: the file is missing, truncated, corrupt or not of that format.
    """
    return ArrayFile(path).read()


@dataclass
class Checkpoint:
    """What a training run needs to go on as if it had not stopped.

    Attributes:
      arrays: name -> array: "variables/...", "slots/...".
      step: training steps done.
      position: samples drawn so far; with `seed` it determines the order of all batches to come.
      seed: of initial values and of the shuffle.
      model: free strings about the model (class names, feature shapes).
    """

    arrays: dict[str, np.ndarray]
    step: int
    position: int = 0
    seed: int = 0
    model: dict[str, str] = field(default_factory=dict)


FORMAT = "xlac-checkpoint-1"


def read_checkpoint(
    path: str | os.PathLike[str], expected: Mapping[str, np.ndarray] | None = None, prefix: str | None = None
) -> Checkpoint:
    """The checkpoint in a file.

    Args:
      path: the file.
      expected: arrays as the model would have them; their names, shapes and types must be the file's. They are compared
        before data is read, so that a file of another model costs no memory.
      prefix: compare only the file's arrays whose names start with this.

    Raises:
      CheckpointError: the file is faulty, or of another model; the message lists the differences.
    """
    file = ArrayFile(path)
    text = file.metadata
    if text.get("format") != FORMAT:
        raise CheckpointError(f"{file.path}: is not a checkpoint of this library (format {text.get('format')!r:.40})")
    try:
        step, position, seed = (int(text[key]) for key in ("global_step", "position", "seed"))
        model = _load_json(text["model"].encode())
        if min(step, position) < 0 or not isinstance(model, dict):
            raise ValueError("negative counts")
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file.path}: has faulty global_step, position, seed or model: {error}") from None
    if expected is not None:
        entries = {name: entry for name, entry in file.entries.items() if prefix is None or name.startswith(prefix)}
        differences = compare(entries, expected)
        if differences:
            shown = "".join(f"\n  {line}" for line in differences[:20])
            more = f"\n  and {len(differences) - 20} more" if len(differences) > 20 else ""
            raise ModelMismatchError(
                f"{file.path}: is a checkpoint of another model:{shown}{more}\n"
                "Use the model function and parameters it was trained with, or another model_dir."
            )
    return Checkpoint(file.read(), step, position, seed, {str(k): str(v) for k, v in model.items()})


class ModelMismatchError(CheckpointError):
    """A good checkpoint, but of a model with other variables."""


def compare(entries: Mapping[str, Entry], expected: Mapping[str, np.ndarray]) -> list[str]:
    """What differs between a file and a model, one line each, in order of names; empty where nothing does."""
    lines = []
    for name in sorted(entries.keys() | expected.keys()):
        if name not in entries:
            array = expected[name]
            lines.append(f"{name}: {array.dtype.name}{list(array.shape)} in the model, missing in the file")
        elif name not in expected:
            lines.append(f"{name}: {entries[name]} in the file, missing in the model")
        else:
            entry, array = entries[name], expected[name]
            if entry.shape != array.shape or entry.dtype != array.dtype:
                lines.append(f"{name}: {entry} in the file, {array.dtype.name}{list(array.shape)} in the model")
    return lines


class CheckpointStore:
    """The checkpoints of a folder: `model-<step>.safetensors`, and `checkpoint`, a JSON index of those that are kept.

    One process writes to a folder at a time; any number may read.
    """

    INDEX = "checkpoint"
    _NAME = re.compile(r"model-(\d{1,18})\.safetensors")

    def __init__(self, folder: str | os.PathLike[str], keep: int = 5) -> None:
        self.folder = os.fspath(folder)
        self.keep = keep

    def path(self, step: int) -> str:
        """The file of a step's checkpoint."""
        return os.path.join(self.folder, f"model-{step}.safetensors")

    def save(self, checkpoint: Checkpoint) -> str:
        """Write a checkpoint and its index, remove the oldest beyond `keep`; returns the file.

        Raises:
          CheckpointError: the folder cannot be made or written.
        """
        try:
            os.makedirs(self.folder, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be made: {error.strerror or error}") from error
        path = self.path(checkpoint.step)
        save_arrays(
            path,
            checkpoint.arrays,
            {
                "format": FORMAT,
                "global_step": str(checkpoint.step),
                "position": str(checkpoint.position),
                "seed": str(checkpoint.seed),
                "model": json.dumps(checkpoint.model),
            },
        )
        name = os.path.basename(path)
        names = [n for n in self._indexed() if n != name and self._step(n) < checkpoint.step] + [name]
        kept = names[-self.keep :]
        index = json.dumps({"latest": name, "all": kept}, indent=1)
        write_atomically(os.path.join(self.folder, self.INDEX), index.encode() + b"\n")
        for stale in set(self._present()) - set(kept):
            # Those of later steps are of a run that was rolled back; they stay.
            if self._step(stale) < checkpoint.step:
                try:
                    os.unlink(os.path.join(self.folder, stale))
                except OSError as error:
                    logger.warning("%s: cannot be removed: %s", stale, error)
        return path

    def clean(self) -> None:
        """Remove what writers that were killed have left."""
        for name in self._listdir():
            if re.fullmatch(r"\.(model-\d+\.safetensors|checkpoint)\.\d+\.tmp", name):
                try:
                    os.unlink(os.path.join(self.folder, name))
                except OSError:
                    pass

    def candidates(self) -> list[str]:
        """Files that may be restored from, best first: the index's, newest first, then those it does not list."""
        indexed = self._indexed()[::-1]
        others = sorted(set(self._present()) - set(indexed), key=self._step, reverse=True)
        return [os.path.join(self.folder, name) for name in indexed + others]

    def latest_step(self) -> int | None:
        """The step of the best candidate, None where there is none."""
        names = [os.path.basename(p) for p in self.candidates()]
        return self._step(names[0]) if names else None

    def restore(self, expected: Mapping[str, np.ndarray] | None = None, prefix: str | None = None) -> Checkpoint | None:
        """The newest good checkpoint; None where the folder has none at all. A faulty one is passed over with a
        warning.

        `expected` and `prefix` are as for `read_checkpoint`.

        Raises:
          CheckpointError: there are checkpoints but all are faulty, or the newest good one is of another model.
        """
        faults: list[CheckpointError] = []
        for path in self.candidates():
            try:
                checkpoint = read_checkpoint(path, expected, prefix)
            except ModelMismatchError:
                raise
            except CheckpointError as error:
                faults.append(error)
                logger.warning("checkpoint passed over: %s", error)
                continue
            return checkpoint
        if faults:
            listed = "".join(f"\n  {fault}" for fault in faults)
            raise CheckpointError(f"{self.folder}: has no checkpoint that can be read:{listed}")
        return None

    def _step(self, name: str) -> int:
        match = self._NAME.fullmatch(name)
        return int(match[1]) if match else -1

    def _listdir(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise CheckpointError(f"{self.folder}: cannot be read: {error.strerror or error}") from error

    def _present(self) -> list[str]:
        return [name for name in self._listdir() if self._NAME.fullmatch(name)]

    def _indexed(self) -> list[str]:
        """Names in the index that exist, oldest first; empty, with a warning, where the index is faulty."""
        path = os.path.join(self.folder, self.INDEX)
        try:
            if not stat.S_ISREG(os.stat(path).st_mode):
                raise ValueError("not a regular file")
            with open(path, "rb") as file:
                text = file.read(INDEX_LIMIT + 1)
            if len(text) > INDEX_LIMIT:
                raise ValueError(f"over {INDEX_LIMIT} bytes long")
            index = _load_json(text)
            names = index["all"]
            # Only plain names of ours: an index cannot point out of its folder.
            if not isinstance(names, list) or not all(isinstance(n, str) and self._NAME.fullmatch(n) for n in names):
                raise ValueError("'all' must be a list of model-<step>.safetensors")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("%s: the index is faulty (%s); looking at the folder instead", path, error)
            return []
        present = set(self._present())
        return sorted((n for n in dict.fromkeys(names) if n in present), key=self._step)
