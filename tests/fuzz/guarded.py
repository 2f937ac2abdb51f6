"""Runs programs on arrays that end, or begin, where memory that must not be touched begins, or ends.

It is a program of its own, since an access outside of an array ends the process; each line it prints names the program
that is about to run, so the last line names the one that failed. `done` is the last line where none did.
"""

from __future__ import annotations

import ctypes
import faulthandler
import math
import mmap
import sys
from collections.abc import Iterator

import numpy as np

from xlac.compiler import compile_module
from xlac.ir.evaluate import evaluate
from xlac.ir.shape import ArrayShape, leaves
from xlac.options import Options
from xlac.text.hlo_parser import parse_hlo
from xlac.tools.compare import compare

PAGE = mmap.PAGESIZE
PROT_NONE, PROT_READ = 0, 1
_libc = ctypes.CDLL(None, use_errno=True)
_kept: list[object] = []  # pages stay mapped: memory that is given back and reused would hide a late access


def guarded(shape: tuple[int, ...], dtype: np.dtype, at_end: bool, alignment: int = 1) -> np.ndarray:
    """An array whose last (or first) byte is next to a page without access; full of a pattern."""
    nbytes = math.prod(shape) * dtype.itemsize
    inner = max(1, -(-nbytes // PAGE)) * PAGE
    pages = mmap.mmap(-1, inner + 2 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    _kept.append(pages)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    for page in (address, address + PAGE + inner):
        assert _libc.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), PROT_NONE) == 0
    place = PAGE + (inner - nbytes if at_end else 0)
    place -= place % alignment
    np.ndarray((nbytes,), np.uint8, pages, place).fill(0xA5)
    return np.ndarray(shape, dtype, pages, place)


def read_only(array: np.ndarray) -> None:
    """Let the kernel's writes to the array's pages end the process."""
    start = array.ctypes.data // PAGE * PAGE
    length = -(-(array.ctypes.data + array.nbytes - start) // PAGE) * PAGE
    if array.nbytes:
        assert _libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(length), PROT_READ) == 0


WILD = (0, 1, -1, 3, 1 << 20, -(1 << 20), 2**31 - 1, -(2**31))
EXTENTS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 100)
ADD = """
add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT c = f32[] add(a, b)
}
"""


def program(*lines: str, before: str = "") -> str:
    return f"HloModule m\n{before}\nENTRY e {{\n" + "\n".join(f"  {line}" for line in lines) + "\n}\n"


def programs() -> Iterator[tuple[str, str]]:
    """Names and texts: loops with a rest shorter than a vector, and every access at an index that is data."""
    for n in EXTENTS:
        for t in ("f32", "f64", "bf16", "s8", "pred", "c64"):
            x = f"x = {t}[{n}] parameter(0)"
            if t != "pred":
                yield f"add {t} {n}", program(x, f"ROOT y = {t}[{n}] add(x, x)")
            yield f"reverse {t} {n}", program(x, f"ROOT y = {t}[{n}] reverse(x), dimensions={{0}}")
        m = n + 2
        x, z = f"x = f32[{n},{m}] parameter(0)", "z = f32[] constant(0)"
        yield f"transpose {n}", program(x, f"ROOT y = f32[{m},{n}] transpose(x), dimensions={{1,0}}")
        for d, left in ((0, m), (1, n)):
            how = f"ROOT y = f32[{left}] reduce(x, z), dimensions={{{d}}}, to_apply=add"
            yield f"reduce {n} {d}", program(x, z, how, before=ADD)
        yield f"pad {n}", program(x, z, f"ROOT y = f32[{n + 3},{m - 1}] pad(x, z), padding=1_2x-2_1")
        yield (
            f"slice {n}",
            program(x, f"ROOT y = f32[1,{-(-(m - 1) // 2)}] slice(x), slice={{[{n - 1}:{n}], [1:{m}:2]}}"),
        )
        yield (
            f"concatenate {n}",
            program(x, f"n = f32[{n},{m}] negate(x)", f"ROOT y = f32[{2 * n},{m}] concatenate(x, n), dimensions={{0}}"),
        )  # fmt: skip
        yield (
            f"dot {n}",
            program(x, f"w = f32[{m},{n + 4}] parameter(1)",
                    f"ROOT y = f32[{n},{n + 4}] dot(x, w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}"),
        )  # fmt: skip
        yield (
            f"softmax {n}",
            program(x, z, f"e = f32[{n},{m}] exponential(x)",
                    f"s = f32[{n}] reduce(e, z), dimensions={{1}}, to_apply=add",
                    f"b = f32[{n},{m}] broadcast(s), dimensions={{0}}",
                    f"ROOT y = f32[{n},{m}] divide(e, b)", before=ADD),
        )  # fmt: skip
        yield (
            f"window {n}",
            program(f"x = f32[{m}] parameter(0)", z,
                    f"ROOT y = f32[{m}] reduce-window(x, z), window={{size=3 pad=1_1}}, to_apply=add", before=ADD),
        )  # fmt: skip
        yield (
            f"convolution {n}",
            program(f"x = f32[1,{m},3] parameter(0)", "k = f32[3,3,5] parameter(1)",
                    f"ROOT y = f32[1,{m},5] convolution(x, k), window={{size=3 pad=1_1}}, dim_labels=b0f_0io->b0f"),
        )  # fmt: skip
    for t in ("s8", "s32", "s64", "u8", "u32", "u64"):
        for n, k in ((5, 2), (17, 9), (64, 33)):
            x, i = f"x = f32[{n},{n}] parameter(0)", f"i = {t}[] parameter(1)"
            slices = f"dynamic-slice(x, i, i), dynamic_slice_sizes={{{k},{k}}}"
            yield f"dynamic-slice {t} {n}", program(x, i, f"ROOT y = f32[{k},{k}] {slices}")
            yield (
                f"dynamic-slice fused {t} {n}",
                program(x, i, f"s = f32[{k},{k}] {slices}", f"ROOT y = f32[{k},{k}] sine(s)"),
            )
            u = f"u = f32[{k},{k}] parameter(2)"
            yield (
                f"dynamic-update-slice {t} {n}",
                program(x, i, u, f"ROOT y = f32[{n},{n}] dynamic-update-slice(x, u, i, i)"),
            )
            at = f"at = {t}[{len(WILD)},2] parameter(1)"
            gather = (
                "offset_dims={1,2}, collapsed_slice_dims={}, start_index_map={0,1}, index_vector_dim=1, "
                f"slice_sizes={{{k},{k}}}"
            )
            yield (
                f"gather {t} {n}",
                program(x, at, f"ROOT y = f32[{len(WILD)},{k},{k}] gather(x, at), {gather}"),
            )
            scatter = (
                "update_window_dims={1,2}, inserted_window_dims={}, scatter_dims_to_operand_dims={0,1}, "
                "index_vector_dim=1, to_apply=add"
            )
            yield (
                f"scatter {t} {n}",
                program(x, at, f"u = f32[{len(WILD)},{k},{k}] parameter(2)",
                        f"ROOT y = f32[{n},{n}] scatter(x, at, u), {scatter}", before=ADD),
            )  # fmt: skip


def arguments(module, turn: int, at_end: bool) -> list[np.ndarray]:
    """Arrays for the parameters; integers are wild indices, which of them depends on the turn."""
    rng = np.random.default_rng(turn)
    made = []
    for parameter in module.entry.parameters:
        array = guarded(parameter.dims, parameter.shape.dtype, at_end)
        if parameter.shape.element_type.is_integer and parameter.shape.element_type.bits <= 64:
            row = np.iinfo(array.dtype)
            wild = [min(max(w, int(row.min)), int(row.max)) for w in WILD] + [int(row.min), int(row.max)]
            values = np.array([wild[(turn + k) % len(wild)] for k in range(array.size)], array.dtype)
            array[...] = values.reshape(array.shape)
        else:
            array[...] = rng.standard_normal(array.shape).astype(array.dtype)
        made.append(array)
    return made


def check(name: str, text: str) -> None:
    module = parse_hlo(text)
    executable = compile_module(module, Options(cache=False))
    results = [s for s in leaves(module.entry.root.shape) if isinstance(s, ArrayShape)]
    indexed = any(p.shape.element_type.is_integer and p.shape.dtype != np.int8 for p in module.entry.parameters)
    for turn in range(6 if indexed else 1):
        for at_end in (True, False):
            inputs = arguments(module, turn, at_end)
            want = evaluate(module, *[a.copy() for a in inputs])
            for array in inputs:
                read_only(array)
            arena = guarded((max(64, executable.program.arena_bytes),), np.dtype(np.uint8), at_end, 64)
            executable._allocate = [lambda s=s, e=at_end: guarded(s.dims, s.dtype, e) for s in results]
            executable._arenas[:] = [arena]
            (got,) = executable._run(inputs)
            assert not compare(got, np.asarray(want))[0].any(), f"{name}: wrong result"
    _kept.clear()


def main() -> None:
    faulthandler.enable()
    part, parts, *words = sys.argv[1:]
    for number, (name, text) in enumerate(programs()):
        if number % int(parts) == int(part) and all(word in name.split() for word in words):
            print(name, flush=True)
            check(name, text)
    print("done")


if __name__ == "__main__":
    main()
