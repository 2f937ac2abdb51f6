"""The LAPACK kernels of which generated code computes the same: getrf, potrf and trsm. The host computes the others."""

from __future__ import annotations

import re

from xlac.ir.module import Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.ops.custom_call import parse_config
from xlac.ir.ops.lapack import option_letter
from xlac.ir.shape import S32
from xlac.passes.expand.build import Array, expand, full, tuple_
from xlac.passes.expand.linalg import (
    adjoint,
    bad_pivots,
    batched,
    cholesky_factor,
    row_and_column,
    triangular_solve,
    with_nans,
)
from xlac.passes.expand.lu import getrf


def expand_lapack(module: Module) -> bool:
    """Replace LAPACK's getrf, potrf and trsm by loops of matrix products; return whether there were any."""
    return expand(module, {"custom-call": _kernel})


def _kernel(x: Instruction) -> Instruction | None:
    """lapack_?getrf_ffi, lapack_?potrf_ffi and lapack_?trsm_ffi, and what they were before."""
    match = re.fullmatch(r"(?:lapack|blas)_([sdcz](getrf|potrf|trsm))(_ffi)?", x["custom_call_target"])
    if match is None:
        return None
    if match[3] is None:
        return _renamed(x, f"lapack_{match[1]}_ffi", match[2])
    new = {"getrf": getrf, "potrf": _potrf, "trsm": _trsm}[match[2]](x)
    return new if new is not None and new.shape == x.shape else None


def _renamed(x: Instruction, target: str, name: str) -> Instruction | None:
    """The call of a kernel with options and sizes as operands, as one with a configuration."""
    words = {"getrf": (), "potrf": ("uplo",), "trsm": ("side", "uplo", "trans_x", "diag")}[name]
    options = x.operands[: len(words)]
    if any(o.opcode.name != "constant" for o in options):
        return None
    letters = {"side": "RL", "uplo": "UL", "trans_x": "NTC", "diag": "NU"}
    chosen = (letters[word][int(option["literal"])] for word, option in zip(words, options))
    config = ", ".join(f"{word} = {ord(letter)} : ui8" for word, letter in zip(words, chosen))
    arrays = [o for o in x.operands if o.dims]
    if name == "trsm":
        a, b = arrays
        arrays = [a, (Array(b) * Array(x.operands[-3]).broadcast(b.dims, ())).node]
    return op.custom_call.make(*arrays, shape=x.shape, custom_call_target=target, backend_config=f"{{{config}}}")


def _trsm(x: Instruction) -> Instruction:
    config = parse_config(x["backend_config"])
    a, b = Array(x.operands[0]), Array(x.operands[1])
    if len(x.operands) == 3:
        b = b * Array(x.operands[2]).broadcast(b.dims, ())
    solved = triangular_solve(
        a,
        b,
        left_side=option_letter(config, "side", "L") == "L",
        lower=option_letter(config, "uplo", "L") == "L",
        unit_diagonal=option_letter(config, "diag", "N") == "U",
        transpose_a={"N": "NO_TRANSPOSE", "T": "TRANSPOSE", "C": "ADJOINT"}[option_letter(config, "trans_x", "N")],
    )
    return solved.node


def _potrf(x: Instruction) -> Instruction | None:
    """The factor beside the other triangle of the operand, and the 1-based place of the first bad pivot, or 0."""
    given = Array(x.operands[0])
    if not given.shape.size:
        return None
    lower = option_letter(parse_config(x["backend_config"]), "uplo", "L") == "L"
    a = batched(given)
    n = a.dims[-1]
    factor = cholesky_factor(adjoint(a) if lower else a)
    good = (~bad_pivots(factor)).convert(S32).sum(1)
    info = good.compare("EQ", n).select(full(S32, 0, good.dims), good + 1)
    factor = with_nans(factor)
    rows, columns = row_and_column(a.dims)
    result = rows.compare("GE" if lower else "LE", columns).select(adjoint(factor) if lower else factor, a)
    return tuple_(result.reshape(*given.dims), info.reshape(*given.dims[:-2]))
