"""Fourier transforms by small ones: of a few numbers in registers, of more in passes, and how a length is taken apart.

A length is a product of small radices. One pass for each radix r transforms r elements at a time in registers,
decimating in frequency (Gentleman and Sande, 1966), in place; the last one leaves its results in the order of their
frequencies. The numbers lie in `signal`s, tables of `roots` are what passes multiply by, and `fft` puts transforms
together to an instruction, choosing among ways with a `Planner`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from xlac.loop.elemental import vector_width_for
from xlac.loop.ir import (
    ZERO,
    Accumulate,
    Assign,
    For,
    Index,
    Register,
    Statement,
    Store,
    Var,
    apply,
    const,
    index,
    load,
    read,
)
from xlac.loop.roots import Roots
from xlac.loop.signal import LOCAL_BYTES, Pair, Signal, at, minus, plus, product, times

# The largest transform without loops, which needs most of the vector registers, and the largest prime factor that is
# transformed by its definition.
RADIX, PRIME = 13, 97
# Bytes of a transform that is worth two kernels when there is but one row.
FAR_BYTES = 1 << 17
# Neighbouring bytes that loops over columns read together.
RUN_BYTES = 256

Get = Callable[[Index], Pair]
Put = Callable[[Index, Pair], list[Statement]]


# ---- transforms of numbers in registers


def turn(z: Pair, k: int, n: int) -> Pair:
    """z exp(-2 pi i k / n)."""
    re, im = z
    kind = re.element_type
    eighths, rest = divmod(8 * (k % n), n)
    if rest:
        angle = -2 * math.pi * (k % n) / n
        return product(z, (const(kind, math.cos(angle)), const(kind, math.sin(angle))))
    if eighths % 2:
        half = const(kind, math.sqrt(0.5))
        re, im = times(half, plus(re, im)), times(half, minus(im, re))
    for _ in range(eighths // 2):
        re, im = im, apply("negate", kind, re)
    return re, im


def butterfly(z: Sequence[Pair]) -> list[Pair]:
    """The discrete Fourier transform of a few numbers, without loops."""
    n = len(z)
    if n == 1:
        return list(z)
    if n == 2:
        (a, b), (c, d) = z
        return [(plus(a, c), plus(b, d)), (minus(a, c), minus(b, d))]
    radix = max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    if radix == 1:
        return _prime_butterfly(z)
    rest = n // radix
    parts = [butterfly(z[j::radix]) for j in range(radix)]
    columns = [butterfly([turn(parts[j][k], j * k, n) for j in range(radix)]) for k in range(rest)]
    return [columns[k % rest][k // rest] for k in range(n)]


def _prime_butterfly(z: Sequence[Pair]) -> list[Pair]:
    """By the definition, with the terms of j and n - j together: their cosines are equal and their sines opposite."""
    n, half, kind = len(z), len(z) // 2, z[0][0].element_type
    sums = [(plus(z[j][0], z[n - j][0]), plus(z[j][1], z[n - j][1])) for j in range(1, half + 1)]
    differences = [(minus(z[j][0], z[n - j][0]), minus(z[j][1], z[n - j][1])) for j in range(1, half + 1)]
    result = [z[0]] * n
    result[0] = functools.reduce(lambda a, b: (plus(a[0], b[0]), plus(a[1], b[1])), sums, z[0])
    for k in range(1, half + 1):
        angles = [2 * math.pi * (j * k % n) / n for j in range(1, half + 1)]
        c, s = z[0], (None, None)
        for angle, a, b in zip(angles, sums, differences):
            cos, sin = const(kind, math.cos(angle)), const(kind, math.sin(angle))
            c = plus(c[0], times(a[0], cos)), plus(c[1], times(a[1], cos))
            terms = times(b[0], sin), times(b[1], sin)
            s = terms if s[0] is None else (plus(s[0], terms[0]), plus(s[1], terms[1]))
        result[k], result[n - k] = conjugates(c, s)
    return result


def conjugates(c: Pair, s: Pair) -> tuple[Pair, Pair]:
    """c - i s and c + i s."""
    return (plus(c[0], s[1]), minus(c[1], s[0])), (minus(c[0], s[1]), plus(c[1], s[0]))


# ---- transforms of numbers in memory


@dataclass(frozen=True)
class Loops:
    """Loops over transforms side by side: vectors, and lanes in them."""

    vector_var: Var
    lane_var: Var

    @property
    def lane(self) -> Index:
        return index(self.lane_var)

    @property
    def vector(self) -> Index:
        return index(self.vector_var)

    @property
    def at(self) -> Index:
        return self.vector * self.lane_var.extent + self.lane

    def around(self, body: list[Statement]) -> list[Statement]:
        width = self.lane_var.extent
        body = [For(self.lane_var, body, "vector", width)] if width > 1 else body
        return [For(self.vector_var, body)] if self.vector_var.extent > 1 else body


def passes(n: int, tables: Roots, loops: Loops, get: Get, put: Put, work: Signal, here: Index) -> list[Statement]:
    """Transforms of length n in the lanes of `work`, from `get` to `put`; `get` may read `work` itself."""
    found, var = radices(n)[1] or (1,), tables.builder.var

    def one(number: int) -> Statement:
        r, done = found[number], math.prod(found[:number])
        rest = n // (done * r)
        i = var("i", rest)
        last = number == len(found) - 1
        extents = found[:number] if last else (done,)
        digits = [var("q", extent) for extent in extents]
        block = result = ZERO
        weight = 1
        for digit in digits:
            block = block * digit.extent + index(digit)
            result = result + index(digit) * weight
            weight *= digit.extent
        start = block * (r * rest) + index(i)
        table = None if last else tables.grid(rest, r, r * rest)

        def from_(j: Index) -> Pair:
            place = start + j * rest
            return work.get(here, place) if number else get(place)

        def to(k: Index, z: Pair) -> list[Statement]:
            if table is None:
                return put(result + k * done, z)
            turned = product(z, at(table, index(i) * r + k)) if k.terms or k.const else z
            return work.put(here, start + k * rest, turned)

        if r > RADIX:
            inner = _rolled(r, tables, loops.lane_var, from_, to)
        else:
            results = butterfly([from_(Index(j)) for j in range(r)])
            inner = [s for k, z in enumerate(results) for s in to(Index(k), z)]
        nest = For(i, loops.around(inner))
        for digit in reversed(digits):
            nest = For(digit, [nest])
        return nest

    return [one(number) for number in range(len(found))]


def _rolled(n: int, tables: Roots, lane: Var, get: Get, put: Put) -> list[Statement]:
    """A transform of prime length as a butterfly does it, in loops."""
    build, half, w = tables.builder, n // 2, lane.extent
    parts = build.local("terms", 2 * half * w)
    cos, sin = tables.symmetric(n)
    j, k = build.var("j", half), build.var("k", half)
    sums = index(j) * w + index(lane)
    differences = sums + half * w
    p, q = get(index(j) + 1), get(Index(n - 1) - index(j))
    x, t, c, s = ([Register(f"{name}.{part}", build.real) for part in ("re", "im")] for name in "xtcs")
    terms: list[Statement] = []
    gathered: list[Statement] = []
    for part in (0, 1):
        terms.append(Store(parts[part], sums, plus(p[part], q[part])))
        terms.append(Store(parts[part], differences, minus(p[part], q[part])))
        gathered.append(Accumulate(t[part], "add", load(parts[part], sums)))
    zeroth = get(ZERO)
    body: list[Statement] = [Assign(r, v) for r, v in zip(x, zeroth)]
    body += [Assign(r, read(v)) for r, v in zip(t, x)]
    body += [For(j, [*terms, *gathered]), *put(ZERO, (read(t[0]), read(t[1])))]
    place = index(k) * half + index(j)
    weighted = [Accumulate(c[i], "add", load(parts[i], sums), load(cos, place)) for i in (0, 1)]
    weighted += [Accumulate(s[i], "add", load(parts[i], differences), load(sin, place)) for i in (0, 1)]
    low, high = conjugates((read(c[0]), read(c[1])), (read(s[0]), read(s[1])))
    one: list[Statement] = [Assign(r, read(v)) for r, v in zip(c, x)]
    one += [Assign(r, const(build.real, 0)) for r in s]
    one += [For(j, weighted), *put(index(k) + 1, low), *put(Index(n - 1) - index(k), high)]
    return [*body, For(k, one)]


# ---- how a length is taken apart


@functools.cache
def _operations(n: int) -> int:
    """About the number of vector operations of a butterfly."""
    radix = max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    if n <= 2:
        return 4 * (n - 1)
    if radix == 1:
        return 4 * (n // 2) ** 2 + 10 * (n // 2)
    rest = n // radix
    return radix * _operations(rest) + rest * _operations(radix) + 3 * (radix - 1) * (rest - 1)


@functools.lru_cache(maxsize=4096)
def radices(n: int) -> tuple[float, tuple[int, ...]]:
    """The cost of an element, in vector operations, and the radices of the cheapest passes; infinite if there are
    none."""
    if n == 1:
        return 0.0, ()
    best: tuple[float, tuple[int, ...]] = (math.inf, ())
    for r in range(2, min(n, PRIME) + 1):
        if n % r or (r > RADIX and any(r % d == 0 for d in range(2, math.isqrt(r) + 1))):
            continue
        own = (_operations(r) * (2 if r > RADIX else 1) + 4 * (r - 1)) / r + 6
        rest, others = radices(n // r)
        if own + rest < best[0]:
            best = own + rest, tuple(sorted((r, *others), reverse=True))
    return best


@dataclass(frozen=True)
class Way:
    """How one length is transformed: by vectors of `lanes` transforms side by side or, where `first` is not 0, each by
    itself as `first` rows of columns. `vectors` vectors of columns lie side by side."""

    cost: float
    lanes: int
    first: int = 0
    vectors: int = 1


@dataclass(frozen=True)
class Planner:
    """Chooses between ways by the number of operations on vectors of `lanes` lanes; a number has `bytes` bytes."""

    lanes: int
    bytes: int

    def widths(self) -> Iterator[int]:
        width = self.lanes
        while width >= 2:
            yield width
            width //= 2

    def abreast(self, n: int, total: int, lanes: int, turned: bool) -> Way:
        """`total` transforms side by side; if `turned`, they are rows."""
        passes = n * radices(n)[0]
        tiles = 2 * -(-n // lanes) * lanes * _tile_cost(lanes) if turned and lanes > 1 else 0
        slow = 1.5 if n * lanes * self.bytes > LOCAL_BYTES else 1.0
        return Way((passes + tiles) * slow * -(-total // lanes) / total, lanes)

    def along(self, n: int) -> Way:
        """Each transform by itself, in two dimensions."""
        best = Way(math.inf, 1)
        for first in range(2, n // 2 + 1) if n < 64 else _middle_divisors(n):
            if n % first:
                continue
            second = n // first
            costs = radices(first)[0], radices(second)[0]
            for lanes in self.widths():
                across, down = -(-second // lanes), -(-first // lanes)
                cost = across * first * (costs[0] + 4) + down * second * costs[1]
                cost += across * down * lanes * _tile_cost(lanes)
                if cost < best.cost:
                    best = Way(cost, lanes, first)
        return best

    def rows(self, n: int, total: int) -> Way:
        """The cheapest way for rows."""
        ways = [self.abreast(n, total, 1, False), self.along(n)]
        if total > 1:
            ways += [self.abreast(n, total, w, True) for w in self.widths() if w < 2 * total]
        return min(ways, key=lambda w: w.cost)

    def columns(self, n: int, total: int) -> Way:
        lanes = vector_width_for(total, self.lanes) if self.lanes > 1 else 1
        return replace(self.abreast(n, total, lanes, False), vectors=self.vectors(n, total, lanes))

    def vectors(self, n: int, total: int, lanes: int) -> int:
        """Vectors that lie side by side, of columns of length n."""
        room = min(RUN_BYTES, FAR_BYTES // n)
        return max(1, min(room // (lanes * self.bytes), -(-total // lanes)))

    def chirp_length(self, n: int) -> int:
        """A length of convolutions that do not wrap around for a transform of n."""
        least = 2 * n - 1
        return min(odd << (-(-least // odd) - 1).bit_length() for odd in (1, 3, 5, 9, 15))


def _tile_cost(lanes: int) -> float:
    return 6 + lanes.bit_length()


def _middle_divisors(n: int) -> list[int]:
    """The divisors next to the square root, which are those that matter."""
    below = [d for d in range(1, math.isqrt(n) + 1) if n % d == 0][-4:]
    return sorted({d for small in below for d in (small, n // small) if 1 < d < n})
