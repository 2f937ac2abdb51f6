"""fft by products with small DFT matrices and elementwise opcodes, O(n log n) for every length.

A length n = a b becomes transforms of length a, a multiplication by powers of the root of unity, and transforms of
length b (Cooley and Tukey, 1965); a length with a large prime factor becomes a convolution of a length that is a power
of two (Bluestein, 1970). Complex numbers are kept as two real arrays, [2, batch, n], so that products are of real
matrices.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from xlac.ir.module import Instruction, Module
from xlac.ir.shape import F64, S64, ElementType
from xlac.passes.expand.build import Array, complex_, concatenate, constant, expand, full, iota, stack

# The largest transforms that are one product with a matrix, as parts of others and of prime lengths.
RADIX = 16
MATRIX = 64
# Roots of unity beyond this number are computed and not stored.
STORED = 1 << 16


def expand_fft(module: Module) -> bool:
    """Replace fft by products with small matrices and elementwise opcodes; return whether there were any."""
    return expand(module, {"fft": _fft})


def _fft(x: Instruction) -> Instruction:
    shape = x.shape
    given = Array(x.operands[0])
    lengths, kind = x["fft_length"], x["fft_type"]
    if not shape.size or not given.shape.size:  # type: ignore[union-attr]
        return full(shape.element_type, 0, shape.dims).node  # type: ignore[union-attr]
    rank = len(given.dims)
    axes = list(range(rank - len(lengths), rank))
    if kind == "RFFT":
        a = _along(given, axes[-1], lambda v: _real_transform(v, lengths[-1]))
        for axis in axes[:-1]:
            a = _along(a, axis, lambda v: _transform(v, inverse=False))
        return a.node
    a = given
    for axis in axes[:-1] if kind == "IRFFT" else axes:
        a = _along(a, axis, lambda v: _transform(v, inverse=kind != "FFT"))
    if kind == "IRFFT":
        a = _along(a, axes[-1], lambda v: _inverse_real(v, lengths[-1]))
    return a.node


def _along(x: Array, axis: int, transform: Callable[[Array], Array]) -> Array:
    """A transform of [batch, n] applied along one axis."""
    order = [d for d in range(len(x.dims)) if d != axis] + [axis]
    moved = x.transpose(*order)
    result = transform(moved.reshape(math.prod(moved.dims[:-1]), moved.dims[-1]))
    result = result.reshape(*moved.dims[:-1], result.dims[-1])
    back = [order.index(d) for d in range(len(order))]
    return result.transpose(*back)


def _parts(x: Array) -> Array:
    return stack([x.real(), x.imag()], 0)


def _part(x: Array, index: int) -> Array:
    return x.slice(0, index, index + 1).reshape(*x.dims[1:])


def _transform(x: Array, *, inverse: bool) -> Array:
    """The transform of complex [batch, n]."""
    y = dft(_parts(x), inverse)
    if inverse:
        y = y / x.dims[-1]
    return complex_(_part(y, 0), _part(y, 1))


def _real_transform(x: Array, n: int) -> Array:
    """The first n // 2 + 1 elements of the transform of real [batch, n].

    For even n, the even and the odd elements are the parts of one complex array, z, of half the length. Of its
    transform Z, E_k = (Z_k + conj Z_-k) / 2 and O_k = (Z_k - conj Z_-k) / 2i are theirs; the result is E_k + w^k O_k.
    """
    batch = x.dims[0]
    if n % 2 or n <= MATRIX:
        y = dft(stack([x, full(x.type, 0, x.dims)], 0), inverse=False).slice(2, 0, n // 2 + 1)
        return complex_(_part(y, 0), _part(y, 1))
    half = n // 2
    pairs = x.reshape(batch, half, 2).transpose(2, 0, 1)
    z = dft(pairs, inverse=False)
    z = concatenate([z, z.slice(2, 0, 1)], 2)
    mirrored = z.reverse(2)
    a, b = _part(z, 0), _part(z, 1)
    c, d = _part(mirrored, 0), _part(mirrored, 1)
    even = (a + c) * 0.5, (b - d) * 0.5
    odd = (b + d) * 0.5, (c - a) * 0.5
    cos, sin = _roots(x.type, iota_numbers(half + 1), n, inverse=False)
    cos, sin = (v.broadcast(a.dims, (1,)) for v in (cos, sin))
    return complex_(even[0] + odd[0] * cos - odd[1] * sin, even[1] + odd[0] * sin + odd[1] * cos)


def _inverse_real(x: Array, n: int) -> Array:
    """Real [batch, n], of which complex [batch, n // 2 + 1] is the first half of the transform."""
    re, im = x.real(), x.imag()
    if n - n // 2 - 1 > 0:
        rest = (n + 1) // 2
        re = concatenate([re, re.slice(1, 1, rest).reverse(1)], 1)
        im = concatenate([im, -im.slice(1, 1, rest).reverse(1)], 1)
    return _part(dft(stack([re, im], 0), inverse=True), 0) / n


# ---- the transform of [2, batch, n]


def dft(x: Array, inverse: bool) -> Array:
    """The discrete Fourier transform, not scaled, of real and imaginary parts [2, batch, n] along n."""
    _, batch, n = x.dims
    if n == 1:
        return x
    radix = max((d for d in range(2, RADIX + 1) if n % d == 0), default=1)
    if n <= RADIX or (radix == 1 and n <= MATRIX):
        # [2, n, (2, j)] by [(2, j), batch]: the result has the batch last.
        return _matrix(x.type, n, inverse).dot(x, ((2, 3), (0, 2))).transpose(0, 2, 1)
    if radix == 1:
        return _bluestein(x, inverse)
    rest = n // radix
    # j = j1 * rest + j2 and k = k1 + radix * k2: transform over j1, turn, transform over j2.
    first = _matrix(x.type, radix, inverse).dot(
        x.reshape(2, batch, radix, rest), ((2, 3), (0, 2))
    )  # [2, k1, batch, j2]
    cos, sin = _turns(x.type, radix, rest, inverse)
    dims = first.dims[1:]
    cos, sin = (v.broadcast(dims, (0, 2)) for v in (cos, sin))
    a, b = _part(first, 0), _part(first, 1)
    turned = stack([a * cos - b * sin, a * sin + b * cos], 0)
    second = dft(turned.reshape(2, radix * batch, rest), inverse).reshape(2, radix, batch, rest)
    return second.transpose(0, 2, 3, 1).reshape(2, batch, n)


def _matrix(element_type: ElementType, n: int, inverse: bool) -> Array:
    """[2, k, 2, j]: real and imaginary parts of the result from those of the operand."""
    k = np.arange(n)
    angle = (2 if inverse else -2) * np.pi * (np.outer(k, k) % n) / n
    cos, sin = np.cos(angle), np.sin(angle)
    return constant(element_type, np.stack([np.stack([cos, -sin], 1), np.stack([sin, cos], 1)], 0))


def iota_numbers(n: int) -> np.ndarray | Array:
    """0 ... n-1, as numbers or, where there are many, as instructions."""
    return np.arange(n) if n <= STORED else iota(S64, (n,))


def _turns(element_type: ElementType, radix: int, rest: int, inverse: bool) -> tuple[Array, Array]:
    """Powers k j of the root of unity, for k of the radix and j of the rest."""
    if radix * rest <= STORED:
        powers: np.ndarray | Array = np.outer(np.arange(radix), np.arange(rest))
    else:
        powers = iota(S64, (radix, rest), 0) * iota(S64, (radix, rest), 1)
    return _roots(element_type, powers, radix * rest, inverse)


def _roots(element_type: ElementType, powers: np.ndarray | Array, n: int, inverse: bool) -> tuple[Array, Array]:
    """Cosine and sine of 2 pi powers / n, the sine negative unless `inverse`; the powers are below n."""
    sign = 2 if inverse else -2
    if isinstance(powers, np.ndarray):
        angle = sign * np.pi * powers / n
        return constant(element_type, np.cos(angle)), constant(element_type, np.sin(angle))
    turn = powers.convert(F64) * (sign * np.pi / n)
    return turn.apply("cosine").convert(element_type), turn.apply("sine").convert(element_type)


def _bluestein(x: Array, inverse: bool) -> Array:
    """As k j = (k^2 + j^2 - (k - j)^2) / 2, a convolution with a chirp between two multiplications by it."""
    _, batch, n = x.dims
    size = 1 << (2 * n - 2).bit_length()
    j = iota_numbers(n)
    squares = j * j % (2 * n)
    cos, sin = _roots(x.type, squares, 2 * n, inverse)
    chirp = stack([cos, sin], 0)
    a = _times(x, chirp).pad(0, 0, size - n)
    # The other factor is the conjugate chirp of k - j, which wraps around.
    opposite = stack([cos, -sin], 0)
    wrapped = concatenate([opposite.pad(0, size - 2 * n + 1), opposite.slice(1, 1, n).reverse(1)], 1)
    if n <= STORED:
        number = np.arange(n)
        angle = (2 if inverse else -2) * np.pi * (number * number % (2 * n)) / (2 * n)
        values = np.zeros(size, np.complex128)
        values[:n] = np.exp(-1j * angle)
        values[size - n + 1 :] = values[n - 1 : 0 : -1]
        values = np.fft.fft(values) / size
        factor = constant(x.type, np.stack([values.real, values.imag]))
    else:
        factor = dft(wrapped.reshape(2, 1, size), inverse=False).reshape(2, size) / size
    product = _times(dft(a, inverse=False), factor)
    return _times(dft(product, inverse=True).slice(2, 0, n), chirp)


def _times(x: Array, y: Array) -> Array:
    """[2, batch, n] times [2, n], as complex numbers."""
    a, b = _part(x, 0), _part(x, 1)
    c, d = (_part(y, i).broadcast(a.dims, (1,)) for i in (0, 1))
    return stack([a * c - b * d, a * d + b * c], 0)
