"""What the command line reads and writes: program texts, input arrays, results. Every error names the file."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from xlac.errors import EvaluateError, ParseError, XlacError
from xlac.ir.module import Module
from xlac.ir.shape import ArrayShape, ElementType, TupleShape, leaves, shape_of

MAX_TEXT_BYTES = 1 << 30
STDIN = "<stdin>"
# What NumPy's reader raises on damaged files.
_UNREADABLE = (ValueError, EOFError, KeyError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)
GENERATORS = ("random", "zeros", "ones")


class FileError(XlacError):
    """A file that cannot be read or written, or does not hold what it should."""


def read_text(name: str) -> str:
    """The text of the file `name`, or of standard input for "-".

    Raises:
      FileError: there is none, it cannot be read, or it is no text.
    """
    if name == "-":
        return _decode(_read(sys.stdin.buffer, STDIN), STDIN)
    with _explained(name):
        with open(name, "rb") as file:
            return _decode(_read(file, name), name)


def _read(file: IO[bytes], name: str) -> bytes:
    """All bytes of the file, in pieces, so that what is no program or too large is noticed before it is in memory."""
    pieces, total = [], 0
    while piece := file.read(1 << 16 if not pieces else 1 << 24):
        if not pieces and b"\0" in piece:
            raise FileError(f"{name}: this is a binary file; a program is HLO or StableHLO text")
        pieces.append(piece)
        total += len(piece)
        if total > MAX_TEXT_BYTES:
            limit = MAX_TEXT_BYTES >> 20
            raise FileError(f"{name}: the file is larger than {limit} MiB, the most a program text may be")
    return b"".join(pieces)


def _decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise ParseError("this is not UTF-8 text; a program is HLO or StableHLO text", line, column, name) from None


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn the system's errors into a FileError that names the file."""
    try:
        yield
    except FileNotFoundError as error:
        missing = error.filename if error.filename is not None else name
        raise FileError(f"{missing}: there is no such file or folder") from None
    except IsADirectoryError:
        raise FileError(f"{name}: this is a folder; give a file") from None
    except PermissionError:
        raise FileError(f"{name}: no permission to open it") from None
    except BrokenPipeError:
        raise
    except OSError as error:
        shown = name if len(name) <= 200 else f"{name[:200]}..."
        raise FileError(f"{shown}: {error.strerror or error}") from None
    except ValueError as error:
        if "null" not in str(error):
            raise
        raise FileError(f"{name!r}: a file name cannot hold a null character") from None


def parse_program(text: str, name: str, form: str | None = None, fill: str | None = None) -> Module:
    """Parse and verify a program; its language is told from the text unless `form` says "hlo" or "stablehlo".

    Args:
      name: the file's name, for messages; "-" is standard input.
      fill: "random" for such values in constants whose elements the text leaves out; they are zeros without it.
    Raises:
      ParseError, VerifyError, ShapeError: it is not a valid program.
    """
    from xlac.text import detect_format

    path = STDIN if name == "-" else name
    if not text.strip():
        raise ParseError("the file is empty; a program is HLO or StableHLO text", path=path)
    with located(path), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if (form or detect_format(text)) == "stablehlo":
            from xlac.text.stablehlo_parser import parse_stablehlo

            module = parse_stablehlo(text, path=path, fill_constants=fill)
        else:
            from xlac.text.hlo_parser import parse_hlo

            module = parse_hlo(text, path=path, fill_constants=fill)
        module.verify()
    for warning in caught:
        if issubclass(warning.category, UserWarning):
            print(f"{path}: {warning.message}", file=sys.stderr)
    return module


@contextlib.contextmanager
def located(path: str) -> Iterator[None]:
    """Put the file's name before the message of an error that does not carry it."""
    try:
        yield
    except ParseError as error:
        if error.path is None:
            error.path = path
        raise
    except XlacError as error:
        raise type(error)(f"{path}: {error}") from None


# ---- input arrays


def parameter_leaves(module: Module) -> list[tuple[str, ArrayShape]]:
    """A label and the shape of each array the program takes, tuples taken apart: "parameter 1.0 (state)"."""
    found: list[tuple[str, ArrayShape]] = []
    for number, parameter in enumerate(module.entry.parameters):
        for path, shape in _paths(parameter.shape):
            found.append((f"parameter {number}{path} ({parameter.name})", shape))
    return found


def result_leaves(module: Module) -> list[str]:
    """A label of each array of the result: "result", or "result 0", "result 1.2"."""
    return [f"result {path.lstrip('.')}".rstrip() for path, _ in _paths(module.entry.root.shape)]


def _paths(shape: Any, prefix: str = "") -> Iterator[tuple[str, ArrayShape]]:
    if isinstance(shape, TupleShape):
        for i, part in enumerate(shape):
            yield from _paths(part, f"{prefix}.{i}")
    elif isinstance(shape, ArrayShape):
        yield prefix, shape


def make_inputs(module: Module, specs: Sequence[str], seed: int) -> list[np.ndarray]:
    """The arrays a program takes, from `--input` options.

    Each option is a .npy file, a .npz file (its arrays in order) or "random", "zeros" or "ones"; a last one of these
    words, or no option at all (then "random"), serves all remaining parameters.

    Raises:
      FileError, EvaluateError: a file is not what the parameter takes; the message names both.
    """
    wanted = parameter_leaves(module)
    check_memory(module)
    rng = np.random.default_rng(seed)
    given: list[tuple[str, np.ndarray | None]] = []  # where it came from, and the array unless it is to be generated
    for spec in specs or ("random",):
        if spec in GENERATORS:
            given.append((spec, None))
        elif spec.endswith(".npz"):
            given.extend(_load_npz(spec))
        else:
            given.append((spec, _load_npy(spec)))
    while given and given[-1][1] is None and len(given) < len(wanted):
        given.append(given[-1])
    if len(given) < len(wanted):
        missing, shape = wanted[len(given)]
        raise EvaluateError(
            f"{module.name} takes {len(wanted)} arrays but --input gives {len(given)}; {missing}, {shape}, is missing "
            "(end with --input random to make up the rest)"
        )
    if len(given) > len(wanted) and not (len(given) == 1 and given[0][1] is None):
        raise EvaluateError(f"{module.name} takes {len(wanted)} arrays but --input gives {len(given)}")
    return [
        generate(source, shape, rng) if array is None else _fit(array, shape, label, source)
        for (source, array), (label, shape) in zip(given, wanted)
    ]


def _fit(array: np.ndarray, shape: ArrayShape, label: str, source: str) -> np.ndarray:
    """`array` as the parameter takes it. Types NumPy lacks are stored in .npy files as raw bytes, kind "V"."""
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.itemsize == shape.dtype.itemsize:
        array = array.view(shape.dtype)
    try:
        have = str(shape_of(array))
    except XlacError:
        have = f"{array.dtype}[{','.join(map(str, array.shape))}]"
    if array.shape != shape.dims:
        raise EvaluateError(f"{source}: {label} is {shape} but the file holds {have}; the dimensions must be equal")
    if array.dtype != shape.dtype:
        raise EvaluateError(
            f"{source}: {label} is {shape} but the file holds {have}; save it as numpy dtype {shape.dtype.name}"
        )
    return array


def _load_npy(name: str) -> np.ndarray:
    with _array_errors(name), open(name, "rb") as file:
        array = np.load(file, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise FileError(f"{name}: this is an archive of arrays; name it .npz to use all of them")
        return array


def _load_npz(name: str) -> list[tuple[str, np.ndarray | None]]:
    with _array_errors(name), open(name, "rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            return [(name, archive)]
        found: list[tuple[str, np.ndarray | None]] = []
        for key in archive.files:
            array = archive[key]
            if not isinstance(array, np.ndarray):
                raise FileError(f"{name}: {key} is not an array")
            found.append((f"{name}:{key}", array))
        return found


@contextlib.contextmanager
def _array_errors(name: str) -> Iterator[None]:
    with _explained(name):
        try:
            yield
        except _UNREADABLE as error:
            if "pickle" in str(error):
                why = "it holds pickled objects, which are never loaded; save a plain array with numpy.save"
            else:
                why = f"this is not a readable .npy or .npz file ({error})"
            raise FileError(f"{name}: {why}") from None


def generate(kind: str, shape: ArrayShape, rng: np.random.Generator) -> np.ndarray:
    """An array of `shape`: "zeros", "ones", or "random": normal floats, integers from 0 to 9, fair booleans."""
    if kind != "random":
        return np.full(shape.dims, kind == "ones", shape.dtype)
    row: ElementType = shape.element_type
    if row.kind == "p":
        return rng.integers(0, 2, shape.dims).astype(np.bool_)
    if row.is_integer:
        bits = row.bits - (row.kind == "s")
        return rng.integers(0, min(10, 1 << bits), shape.dims, dtype=np.int8).astype(shape.dtype)
    if row.is_complex:
        part = row.real.dtype
        return (rng.standard_normal(shape.dims, part) + 1j * rng.standard_normal(shape.dims, part)).astype(shape.dtype)
    wide = np.float64 if row.bits == 64 else np.float32
    return np.asarray(rng.standard_normal(shape.dims, wide)).astype(shape.dtype, copy=False)


def check_memory(module: Module) -> None:
    """Refuse a program whose arguments and results alone are more than this machine's memory.

    Raises:
      EvaluateError: they are.
    """
    shapes = [*(s for p in module.parameter_shapes for s in leaves(p)), *leaves(module.entry.root.shape)]
    need = sum(s.byte_size for s in shapes if isinstance(s, ArrayShape))
    have = physical_memory()
    if have and need > have:
        raise EvaluateError(
            f"{module.name}: its arguments and results need {need / 2**30:.1f} GiB; "
            f"this machine has {have / 2**30:.1f} GiB"
        )


def physical_memory() -> int:
    """Bytes of memory in this machine, 0 if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0


# ---- results


def write_output(name: str | None, data: str | bytes) -> None:
    """Write to the file `name` (all of it or nothing), or to standard output for None or "-"."""
    raw = data.encode() if isinstance(data, str) else data
    if name is None or name == "-":
        sys.stdout.flush()
        sys.stdout.buffer.write(raw)
        sys.stdout.flush()
        return
    with replaced(name) as file:
        file.write(raw)


def write_arrays(name: str, arrays: Sequence[np.ndarray]) -> None:
    """Write results as out_0, out_1, ... of an .npz file, or as an .npy file if there is one and `name` says so."""
    if name.endswith(".npy"):
        if len(arrays) != 1:
            raise FileError(f"{name}: the program gives {len(arrays)} arrays and an .npy file holds one; use .npz")
        with replaced(name) as file:
            np.save(file, arrays[0])
    elif name.endswith(".npz"):
        with replaced(name) as file:
            np.savez(file, **{f"out_{i}": array for i, array in enumerate(arrays)})
    else:
        raise FileError(f"{name}: results are written as .npz or .npy")


@contextlib.contextmanager
def replaced(name: str) -> Iterator[IO[bytes]]:
    """A file to write to that takes the place of `name` once it is complete; devices and pipes are written directly."""
    path = Path(name)
    with _explained(name):
        if path.is_dir():
            raise IsADirectoryError
        if not path.parent.is_dir():
            raise FileError(f"{name}: there is no folder {path.parent}")
        if path.exists() and not path.is_file():
            with open(path, "wb") as file:
                yield file
            return
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:80]}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise


def summary(label: str, array: np.ndarray, limit: int = 32) -> str:
    """One line on an array, and its values if there are at most `limit`."""
    line = f"{label}: {shape_of(array)}"
    if not array.size:
        return line
    if array.dtype == np.bool_:
        line += f"  {int(array.sum())} of {array.size} true"
    else:
        complex_ = array.dtype.kind == "c"
        exact = array.dtype.kind in "iu"
        wide = np.abs(array) if complex_ else array if exact else array.astype(np.float64)
        finite = wide[np.isfinite(wide)] if not exact else wide
        if finite.size:
            least, most, mean = ("|min|", "|max|", "|mean|") if complex_ else ("min", "max", "mean")
            line += f"  {least} {finite.min():.6g}  {most} {finite.max():.6g}"
            line += f"  {mean} {finite.mean(dtype=np.float64):.6g}"
        if finite.size < wide.size:
            line += f"  {int(np.isnan(wide).sum())} nan  {int(np.isinf(wide).sum())} inf"
    if array.size <= limit:
        # Types of ml_dtypes print as objects of their own; their values are shown as floats.
        shown = array if array.dtype.kind in "biufc" else array.astype(np.float32)
        line += "\n" + np.array2string(shown, precision=6, separator=", ")
    return line


def difference(got: np.ndarray, want: np.ndarray) -> str | None:
    """None where the arrays agree as far as their type allows, else what differs (see `xlac.tools.compare`)."""
    from xlac.tools.compare import compare, magnitude

    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{shape_of(got)} against {shape_of(want)}"
    bad, error = compare(got, want)
    if not bad.any():
        return None
    count = f"{int(bad.sum())} of {want.size} elements differ"
    if want.dtype.kind in "biu":
        return count
    finite = error[~np.isnan(error)]
    most = finite.max() if finite.size else np.nan
    return f"{count}, by up to {most:.3g} where values reach {magnitude(want):.3g}"
