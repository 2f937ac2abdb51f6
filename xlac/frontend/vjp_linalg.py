"""Reverse rules of fft, cholesky and triangular-solve.

Where the forward rule is a short program of products and solves, the reverse is that program transposed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import dtypes, trace
from xlac.frontend.linear import transpose
from xlac.frontend.trace import emit
from xlac.frontend.tracer import Tracer
from xlac.frontend.vjp_rules import structural
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.lax.operands import convert, expand


def _by_transposition(i: Instruction, g: Tracer, at: int) -> Any:
    """The cotangent of an operand from the opcode's forward rule."""
    from xlac.frontend.jvp_rules import RULES

    def push(tangents: list[Tracer]) -> list[Any]:
        given = [tangents[0] if k == at else None for k in range(len(i.operands))]
        return [RULES[i.opcode.name](i, given, [])]

    return transpose(push, [i.operands[at].shape], [g])[0]


@structural("cholesky")
def _cholesky(i: Instruction, g: Tracer, a: Tracer) -> Any:
    return [lambda: _by_transposition(i, g, 0)]


@structural("triangular-solve")
def _triangular_solve(i: Instruction, g: Tracer, a: Tracer, b: Tracer) -> Any:
    def of_b() -> Tracer:
        """g solved with the transposed matrix."""
        matrix, turned = a, "TRANSPOSE" if i["transpose_a"] == "NO_TRANSPOSE" else "NO_TRANSPOSE"
        if i["transpose_a"] == "ADJOINT" and dtypes.is_complex(a.dtype):
            matrix = lax.conj(a)
        return emit(op.triangular_solve, matrix, g, **{**i.attrs, "transpose_a": turned})

    return [lambda: _by_transposition(i, g, 0), of_b]


@structural("fft")
def _fft(i: Instruction, g: Tracer, x: Tracer) -> Any:
    """Fourier matrices are symmetric; those between real and complex arrays leave half of the frequencies out."""
    kind, lengths = i["fft_type"], i["fft_length"]

    def of_real() -> Tracer:
        """The sum over the frequencies there are: the others are zero."""
        config = [(0, 0, 0)] * g.ndim
        config[-1] = (0, lengths[-1] - g.shape[-1], 0)
        full = lax.pad(g, trace.literal(np.zeros((), g.dtype)), config)
        return lax.real(emit(op.fft, full, fft_type="FFT", fft_length=lengths))

    def of_half() -> Tracer:
        """Frequencies that stand for their mirror image too count twice."""
        found = emit(op.fft, g, fft_type="RFFT", fft_length=lengths)
        n, total = lengths[-1], float(np.prod(lengths))
        weights = np.full(found.shape[-1], 2 / total)
        weights[0] = 1 / total
        if n % 2 == 0:
            weights[-1] = 1 / total
        real = trace.literal(weights.astype(g.dtype))
        return lax.conj(found * convert(expand(real, found.shape, (found.ndim - 1,)), found.dtype))

    if kind == "RFFT":
        return [of_real]
    if kind == "IRFFT":
        return [of_half]
    return [lambda: emit(op.fft, g, fft_type=kind, fft_length=lengths)]
