"""x^y = 2^(y log2 |x|), with the logarithm to more than the precision of the result."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import lru_cache

from xlac.codegen.emit import lanes, scalar, vector
from xlac.codegen.float_parts import FLOAT, fraction_and_exponent, power_of_two, rounded, scaled, two_sum
from xlac.codegen.lanes import Lanes, fma, polynomial, select

_POWER_FLOAT_LOG2 = (  # log2(1+f)/f, in double but only to 36 bits
    1.4426950409101866,
    -0.7213475208351366,
    0.48089833285875583,
    -0.3606736530768793,
    0.2885404108290364,
    -0.24045841748640331,
    0.20605735058013336,
    -0.18000421713857956,
    0.16049729510177108,
    -0.14919581791061778,
    0.13881277831138678,
    -0.10211572452640735,
    0.03804555049524457,
)
_POWER_FLOAT_EXP2 = (  # 2^r for |r| <= 1/2, in double but only to 29 bits
    0.9999999999193832,
    0.6931472067411719,
    0.24022651502819553,
    0.055503271485763436,
    0.009617994748338413,
    0.0013400458525692916,
    0.0001547796097339694,
)
_LOG2_SERIES = (  # log2(1+f) in f, each coefficient as two floats: for small f
    (1.4426950216293335, 1.9259629911266175e-08),
    (-0.7213475108146667, -9.629814955633087e-09),
    (0.4808983469629878, 0.0),
    (-0.36067376022224085, 0.0),
    (0.28853900817779268, 0.0),
    (-0.2404491734814939, 0.0),
    (0.20609929155556622, 0.0),
)
_POWER_DOUBLE_LOG2 = (  # (atanh(s)/s - 1 - z/3) / z^2, z = s^2
    0.2,
    0.14285714285712928,
    0.1111111111159853,
    0.09090909011717607,
    0.07692314598414975,
    0.06666318352877247,
    0.05892706532532299,
    0.0508777370439752,
    0.06263260525784577,
)
_POWER_DOUBLE_EXP2 = (  # (2^r - 1)/r for |r| <= 1/2
    0.6931471805599453,
    0.24022650695910133,
    0.05550410866482298,
    0.00961812910759332,
    0.0013333558146151607,
    0.00015403530458107942,
    1.5252734050170844e-05,
    1.3215434797251972e-06,
    1.0177979886077358e-07,
    7.073864351102831e-09,
    4.466415788960983e-10,
)
_LN2 = (0.6931471824645996, -1.904654323148236e-09)
_TWO_OVER_LN2 = (2.8853900817779268, 4.0710547481862066e-17)
_THIRD = (1 / 3, 1.850371707708594e-17)


def _power_float(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0, through double."""
    m, e, _ = fraction_and_exponent(a)
    m, e = (m - 1).cast("fpext", "double"), e.cast("fpext", "double")
    logarithm = fma(m, polynomial(m, _POWER_FLOAT_LOG2), e)
    logarithm = select(a.eq(0.0), -math.inf, select(a.eq(math.inf), math.inf, logarithm))
    y = y.at_most(2.0**100).at_least(-(2.0**100)).cast("fpext", "double")
    t = (y * logarithm).at_most(200.0).at_least(-200.0)
    n, ni = rounded(t, 1.0)
    p = polynomial(t - n, _POWER_FLOAT_EXP2)
    return (p * power_of_two(ni, p.type)).cast("fptrunc", "float")


@lru_cache(maxsize=1)
def _power_tables() -> tuple[list[float], list[float], list[float]]:
    """For m in [3/4, 3/2) by the first five bits of its fraction: r near 1/m, and -log2(r) in two parts, the first a
    multiple of 2^-16. Next to 1, r is 1, so that a logarithm near 0 keeps its digits."""
    reciprocals = []
    for i in range(32):
        middle = 1 + (i + 0.5) / 32
        reciprocal = 1 / (middle if i < 16 else middle / 2)
        reciprocals.append(1.0 if i in (0, 31) else struct.unpack("f", struct.pack("f", reciprocal))[0])
    logarithms = [-math.log2(r) for r in reciprocals]
    high = [math.floor(x * 2**16) / 2**16 for x in logarithms]
    return reciprocals, high, [x - h for x, h in zip(logarithms, high)]


def _lookup(index: Lanes, table: Sequence[float]) -> Lanes:
    """Elements of a table of 32 floats, by the low five bits of each lane; the table is two AVX-512 registers."""
    e, n = index.e, lanes(index.type)
    full, chunks = vector(16, "float"), 1
    while 16 * chunks < n:
        chunks *= 2
    low, high = (e.lane_const(full, part) for part in (table[:16], table[16:]))
    places = e.insert(e.poison(vector(16, "i32")), index.v, 0) if n == 1 else index.v
    parts = []
    for start in range(0, 16 * chunks, 16):
        part = places
        if n not in (1, 16):
            part = e.shuffle(places, None, [i if i < n else -1 for i in range(start, start + 16)])
        parts.append(e.intrinsic("x86.avx512.vpermi2var.ps.512", full, low, part, high))
    while len(parts) > 1:
        parts = [e.shuffle(a, b, range(2 * lanes(a.type))) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return Lanes(e, parts[0] if n == lanes(parts[0].type) else e.shuffle(parts[0], None, range(n)))


def _power_float_fast(x: Lanes, y: Lanes) -> tuple[Lanes, Lanes] | None:
    """x^y where x and the result are positive normal numbers, and which lanes that is not; None without AVX-512.

    log2(x) = e - log2(r) + log2(1 + f) with 1 + f = m r near 1, as a sum of two floats.
    """
    if not x.e.target.has("avx512f"):
        return None
    m, e, _ = fraction_and_exponent(x)
    index = m.bits.shift_right_logical(18)
    reciprocal, table, table_low = (_lookup(index, part) for part in _power_tables())
    product = m * reciprocal
    f_low, f = fma(m, reciprocal, -product), product - 1
    (c1, c1_low), (c2, c2_low) = _LOG2_SERIES[:2]
    square, first = f * f, f * c1
    second = square * c2
    # the derivative 1/(1 + f) to three terms
    first_low = fma(f_low, fma(f, fma(f, c1, -c1), c1), fma(f, c1_low, fma(f, c1, -first)))
    square_low = fma(f, f, -square)
    second_low = fma(square_low, c2, fma(square, c2_low, fma(square, c2, -second)))
    rest = fma(square * f, polynomial(f, [c for c, _ in _LOG2_SERIES[2:]]), table_low)
    series, series_low = two_sum(first, second)
    whole = e + table  # exact
    high, high_low = two_sum(whole, series)
    low = high_low + ((series_low + rest) + (first_low + second_low))
    t = y * high
    t_low = fma(y, high, -t) + y * low
    n, ni = rounded(t, 1.0)
    r, r_low = two_sum(t - n, t_low)
    z = r * _LN2[0]
    z_low = fma(r_low, _LN2[0], fma(r, _LN2[1], fma(r, _LN2[0], -z)))
    p = 1 + (z + fma(z * z, polynomial(z, FLOAT.exp), z_low))
    result = (p.bits + (ni << FLOAT.fraction)).as_float(x.type)
    b = x.bits - (1 << FLOAT.fraction)
    beyond = Lanes(x.e, x.e.icmp("uge", b.v, b.lift(254 << FLOAT.fraction)))
    return result, beyond | t.abs().not_less(125.0)


def _power_double(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0, with the logarithm as a sum of two doubles (Dekker's and Knuth's error-free operations)."""
    m, e, _ = fraction_and_exponent(a)
    f, g = m - 1, m + 1
    g_low = m - (g - 1)
    # s = f/g = s + s_low, so that log2(m) = 2/ln(2) atanh(s)
    reciprocal = 1 / g
    s = f * reciprocal
    s_low = fma(-s, g_low, fma(-s, g, f)) * reciprocal
    z = s * s
    z_low = fma(s, s, -z) + (s + s) * s_low
    # atanh(s) = s (1 + w), w = z/3 + z^2 P(z)
    w1 = z * _THIRD[0]
    w1_low = fma(z, _THIRD[0], -w1) + fma(z, _THIRD[1], z_low * _THIRD[0])
    square, tail = z * z, polynomial(z, _POWER_DOUBLE_LOG2)
    w2 = square * tail
    w1_low = fma(fma(z + z, z_low, fma(z, z, -square)), tail, w1_low)
    w = w1 + w2
    w_low = (w2 - (w - w1)) + w1_low
    u = s * _TWO_OVER_LN2[0]
    u_low = fma(s, _TWO_OVER_LN2[0], -u) + fma(s, _TWO_OVER_LN2[1], s_low * _TWO_OVER_LN2[0])
    v = u * w
    v_low = fma(u, w, -v) + fma(u, w_low, u_low * w)
    h = u + v
    h_low = (v - (h - u)) + (u_low + v_low)
    total = e + h
    low = (h - (total - e)) + h_low
    high = total + low
    low = low - (high - total)
    high = select(a.eq(0.0), -math.inf, select(a.eq(math.inf), math.inf, high))
    # y log2(a); |y| beyond 2**70 gives 0, 1 or infinity whatever it is
    y = y.at_most(2.0**70).at_least(-(2.0**70))
    t = y * high
    inside = t.abs() < 1100.0
    t_low = select(inside, fma(y, high, -t) + y * low, 0.0)
    t = t.at_most(1100.0).at_least(-1100.0)
    n, ni = rounded(t, 1.0)
    r, t_low = two_sum(t - n, t_low)
    # 2^(r + t_low) = 1 + (a + a_low) + r^2 P(r) with a = r ln 2, of which only small parts are rounded
    a = r * _POWER_DOUBLE_EXP2[0]
    a_low = fma(t_low, _POWER_DOUBLE_EXP2[0], fma(r, _POWER_DOUBLE_EXP2[0], -a))
    p, p_low = two_sum(r.like(1.0), a)
    return scaled(p + (p_low + fma(r * r, polynomial(r, _POWER_DOUBLE_EXP2[1:]), a_low)), n, ni)


def _power_any(x: Lanes, y: Lanes) -> Lanes:
    a = x.abs()
    result = _power_double(a, y) if scalar(x.type) == "double" else _power_float(a, y)
    half = y * 0.5
    integral = y.call("trunc").eq(y)
    odd = integral & half.call("trunc").ne(half)
    result = result.negative_if((x.bits < 0) & odd)
    result = select((x < 0) & (a < math.inf) & ~integral, math.nan, result)
    result = select(x.compare("uno", y), math.nan, result)
    return select(y.eq(0.0) | x.eq(1.0), 1.0, result)


def power(x: Lanes, y: Lanes) -> Lanes:
    quick = _power_float_fast(x, y) if scalar(x.type) == "float" else None
    if quick is None:
        return _power_any(x, y)
    e = x.e
    fast, special = quick
    before, slow, after = e.current_block, e.new_block("special"), e.new_block("powered")
    e.cond_br(e.vector_reduce("or", special.v), slow, after, weights=(1, 2000))
    e.at(slow)
    chosen = select(special, _power_any(x, y), fast)
    slow = e.current_block
    e.br(after)
    e.at(after)
    return Lanes(e, e.phi(x.type, [(fast.v, before), (chosen.v, slow)]))
