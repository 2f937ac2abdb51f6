"""Tables of roots of unity for Fourier transforms: small ones as constants, large ones computed when a program runs.

A table is the real and the imaginary parts of powers of exp(-2 pi i / n), in an order in which `butterfly` and `fft`,
which ask for it, multiply a `signal` by them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xlac.ir.shape import F64, S64, ElementType
from xlac.loop.ir import ZERO, Buffer, For, Index, Statement, Step, Store, Value, apply, const, from_index, index
from xlac.loop.signal import Builder, Planar, Signal, at, times

# Roots of unity beyond this number are computed at run time and not stored.
STORED = 1 << 16

Arrays = tuple[np.ndarray, np.ndarray]  # real and imaginary parts


@dataclass(frozen=True)
class Chirps:
    """The chirp exp(-pi i j^2 / n), its conjugate, and the transform of the conjugate wrapped around `length`, divided
    by it."""

    length: int
    chirp: Planar
    opposite: Planar
    factor: Planar


class Roots:
    """The tables of one instruction. Kernels that compute some of them are in `before`."""

    def __init__(self, builder: Builder, constant: Callable[[np.ndarray, ElementType, str], Buffer]) -> None:
        self.builder, self.real, self.constant = builder, builder.real, constant
        self.before: list[Step] = []

    def table(self, values: Arrays) -> Planar:
        """Real and imaginary parts as constants."""
        return self.constant(values[0], self.real, "roots"), self.constant(values[1], self.real, "roots")

    def symmetric(self, n: int) -> Planar:
        """Cosines and sines of 2 pi j k / n for j and k from 1 to n // 2."""
        return self.table(_symmetric(n, self.real))

    def grid(self, rows: int, columns: int, n: int, step: int = 1) -> Planar:
        """The roots exp(-2 pi i k / n) of powers k = step i j for i < rows and j < columns."""
        if rows * columns <= STORED:
            return self.table(_grid(rows, columns, n, step, self.real))
        return self._computed(rows, columns, n, lambda i, j: _whole("multiply", i, _whole("multiply", j, step)))

    def chirps(self, n: int, length: int, transform: Callable[[Signal, Signal], list[Step]]) -> Chirps:
        """The chirps of a convolution; `transform` gives the kernels that transform one signal into another."""
        if length <= STORED:
            return Chirps(length, *(self.table(pair) for pair in _chirps(n, length, self.real)))
        build = self.builder
        chirp = self._computed(1, n, 2 * n, lambda _, j: _whole("multiply", j, j))
        wrapped, factor = build.planar("wrapped", length), build.planar("factor", length)
        opposite = chirp[0], Buffer(f"{build.name}.opposite", self.real, n)
        everywhere, j = build.var("j", length), build.var("j", n - 1)
        fill: list[Statement] = [Store(b, index(everywhere), const(self.real, 0)) for b in wrapped]
        self.before.append(build.kernel([build.each(everywhere, fill)], length))
        first = Signal(wrapped, length, 1, length)
        conjugates: list[Statement] = []
        for place in (ZERO, index(j) + 1):
            re, im = at(chirp, place)
            im = apply("negate", self.real, im)
            stores: list[Statement] = [Store(opposite[1], place, im), *first.put(ZERO, place, (re, im))]
            if place.terms:
                stores = [build.each(j, stores + first.put(ZERO, Index(length) - place, (re, im)))]
            conjugates += stores
        self.before.append(build.kernel(conjugates, n))
        self.before += transform(first, Signal(factor, length, 1, length, scale=1 / length))
        return Chirps(length, chirp, opposite, factor)

    def _computed(self, rows: int, columns: int, n: int, power: Callable[[Value, Value], Value]) -> Planar:
        """The roots of powers that are a function of the row and the column, computed at run time."""
        build = self.builder
        i, j = build.var("i", rows), build.var("j", columns)
        k = _whole("remainder", power(from_index(index(i)), from_index(index(j))), n)
        angle = times(apply("convert", F64, k), const(F64, -2 * math.pi / n))
        buffers = build.planar("roots", rows * columns)
        stores: list[Statement] = []
        for buffer, opcode in zip(buffers, ("cosine", "sine")):
            value = apply(opcode, F64, angle)
            value = value if self.real is F64 else apply("convert", self.real, value)
            stores.append(Store(buffer, index(i) * columns + index(j), value))
        nest = build.each(j, stores)
        self.before.append(build.kernel([For(i, [nest]) if rows > 1 else nest], rows * columns * 10.0))
        return buffers


def _whole(opcode: str, a: Value, b: Value | int) -> Value:
    return apply(opcode, S64, a, const(S64, b) if isinstance(b, int) else b)


def _exponentials(powers: np.ndarray, n: int, real: ElementType) -> Arrays:
    """Real and imaginary parts of exp(-2 pi i powers / n), for powers from 0 to n - 1."""
    angle = (-2 * np.pi / n) * np.where(2 * powers > n, powers - n, powers)
    return np.cos(angle).astype(real.dtype), np.sin(angle).astype(real.dtype)


@functools.lru_cache(maxsize=64)
def _symmetric(n: int, real: ElementType) -> Arrays:
    j = np.arange(1, n // 2 + 1)
    cos, sin = _exponentials(np.outer(j, j) % n, n, real)
    return cos, -sin


@functools.lru_cache(maxsize=256)
def _grid(rows: int, columns: int, n: int, step: int, real: ElementType) -> Arrays:
    return _exponentials(np.outer(np.arange(rows), np.arange(columns)) * step % n, n, real)


@functools.lru_cache(maxsize=16)
def _chirps(n: int, length: int, real: ElementType) -> tuple[Arrays, ...]:
    j = np.arange(n)
    re, im = _exponentials(j * j % (2 * n), 2 * n, F64)
    wrapped = np.zeros(length, np.complex128)
    wrapped[:n] = re - 1j * im
    wrapped[length - n + 1 :] = wrapped[n - 1 : 0 : -1]
    factor = np.fft.fft(wrapped) / length
    pairs = (re, im), (re, -im), (factor.real, factor.imag)
    return tuple((a.astype(real.dtype), b.astype(real.dtype)) for a, b in pairs)
