"""Sine, cosine, tangent and the angle of a point, over all arguments; see `math` for what holds of them."""

from __future__ import annotations

import math
from functools import lru_cache

from xlac.codegen.emit import bits, lanes, mangled, scalar, with_scalar
from xlac.codegen.float_parts import format_of, quotient, rounded, two_sum
from xlac.codegen.lanes import Lanes, fma, polynomial, select

_TAN_FLOAT = (  # (tan(r)/r - 1) / z, z = r^2 <= (pi/4)^2
    0.33333349227905273,
    0.13332675397396088,
    0.05405890569090843,
    0.02128629758954048,
    0.010827076621353626,
    9.8874130344484e-05,
    0.0043723126873373985,
)
_TWO_PI = (2 * math.pi, 2.4492935982947064e-16)


# Trigonometry: x = q pi/2 + r with |r| <= pi/4.


def _reduce_trig(a: Lanes) -> tuple[Lanes, Lanes, Lanes | None]:
    """For a >= 0: the integer q (modulo 4) and r as a sum whose second part is small, or absent in float."""
    e, f = a.e, format_of(a)
    n, q = rounded(a, 2 / math.pi)
    # Cody and Waite. The first product cancels exactly; in double the second is exact as well, in float the other two
    # round, which costs a unit in the last place of r.
    first = fma(n, -f.pi_2[0], a)
    r, low = fma(n, -f.pi_2[1], first), None
    if scalar(a.type) == "double":
        low = fma(n, -f.pi_2[2], fma(n, -f.pi_2[1], first - r))
    else:
        r = fma(n, -f.pi_2[2], r)
    large = (a >= f.exact_below) & (a < math.inf)
    some = e.vector_reduce("or", large.v)
    before, slow, after = e.current_block, e.new_block("reduce"), e.new_block("reduced")
    e.cond_br(some, slow, after, weights=(1, 2000))
    e.at(slow)
    fast = [q, r] if low is None else [q, r, low]
    chosen = [(x, select(large, exact, x)) for x, exact in zip(fast, _call_reduce_large(a, [x.type for x in fast]))]
    slow = e.current_block
    e.br(after)
    e.at(after)
    q, r, *rest = (Lanes(e, e.phi(x.type, [(x.v, before), (y.v, slow)])) for x, y in chosen)
    return q, r, rest[0] if rest else None


def _call_reduce_large(a: Lanes, types: list[str]) -> list[Lanes]:
    """`_reduce_large` by a call: the function is in the module once, since it is long and seldom runs."""
    e = a.e
    name = f"reduce_large_{mangled(a.type)}"
    result = f"{{ {', '.join(types)} }}"
    if not e.module.has_function(name):
        with e.module.function(name, [("x", a.type)], result, internal=True) as function:
            x = Lanes(function, function.arguments[0])
            parts = _reduce_large(x, (x >= format_of(x).exact_below) & (x < math.inf))
            function.ret(function.aggregate(result, [part.v for part in parts[: len(types)]]))
    values = e.call(name, result, a.v)
    return [Lanes(e, e.extract_value(values, i, t)) for i, t in enumerate(types)]


@lru_cache(maxsize=1)
def _two_over_pi() -> list[int]:
    """2/pi in 32-bit words after 64 zero bits, by Machin's formula in integers."""
    precision = 1312
    guard = precision + 64

    def arctan_of_reciprocal(n: int) -> int:
        total = term = (1 << guard) // n
        k, sign = 1, -1
        while term:
            term //= n * n
            k += 2
            total += sign * (term // k)
            sign = -sign
        return total

    pi = 4 * (4 * arctan_of_reciprocal(5) - arctan_of_reciprocal(239))
    quotient = (2 << (guard + precision)) // pi
    return [0, 0] + [(quotient >> (precision - 32 * (k + 1))) & 0xFFFFFFFF for k in range(precision // 32)]


def _reduce_large(x: Lanes, valid: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Payne and Hanek's reduction, exact for every number of at least 2**17: q, r and its low part.

    With x = M 2^e, x (2/pi)/4 modulo 1 is M times 2/pi from bit e-1 on, modulo 1. The bits that count are
    multiplied in 32-bit limbs: enough for the closest approach of a number to a multiple of pi/2 (2^-33 in float,
    2^-62 in double).
    """
    e, f = x.e, format_of(x)
    double = scalar(x.type) == "double"
    kept, window = (4, 6) if double else (2, 3)
    table = e.module.constant_array("i32", _two_over_pi())
    b = x.bits if double else x.bits.cast("zext", "i64")
    exponent = (b.shift_right_logical(f.fraction) & 2 * f.bias + 1) - (f.bias + f.fraction)
    mantissa = (b & (1 << f.fraction) - 1) | 1 << f.fraction
    position = select(valid, exponent + 62, 0)  # bit e-1 of 2/pi behind the table's 64 zero bits
    word, shift = position.shift_right_logical(5) << 2, position & 31

    words = []
    for k in range(window + 1):
        address = e.gep(e.gep(table, 4 * k), word.v)
        element = with_scalar(word.type, "i32")
        loaded = e.load(element, address, 4) if lanes(x.type) == 1 else e.gather(element, address, None, None)
        words.append(Lanes(e, loaded).cast("zext", "i64"))
    mask = 0xFFFFFFFF
    limbs = [(((a << 32) | b) << shift).shift_right_logical(32) for a, b in zip(words[:-1], words[1:], strict=True)]
    factors = [mantissa & mask, mantissa.shift_right_logical(32)] if double else [mantissa]

    columns: list[Lanes | None] = [None] * (kept + 1)  # column c has the weight 2^(-32 (c+1)); the last only carries

    def accumulate(c: int, part: Lanes) -> None:
        if 0 <= c <= kept:
            old = columns[c]
            columns[c] = part if old is None else old + part

    for i, factor in enumerate(factors):
        for k, limb in enumerate(limbs):
            c = k - i
            if c <= kept:
                product = factor * limb
                accumulate(c, product & mask)
                accumulate(c - 1, product.shift_right_logical(32))
    total: list[Lanes] = [c for c in columns if c is not None]
    for c in range(kept, 0, -1):
        total[c - 1] = total[c - 1] + total[c].shift_right_logical(32)
        total[c] = total[c] & mask
    top = total[0] & mask

    q = (top + (1 << 29)).shift_right_logical(30)
    top = top - (q << 30)  # signed: a fraction of a turn in [-1/8, 1/8]
    terms = [c.cast("sitofp", "double") * 2.0 ** (-32 * (k + 1)) for k, c in enumerate([top, *total[1:kept]])]
    high = terms[0] + terms[1]
    low = terms[1] - (high - terms[0])
    if double:
        rest = low + (terms[2] + terms[3])
        turn = high + rest
        low = rest - (turn - high)
        high = turn
    product = high * _TWO_PI[0]
    error = fma(high, _TWO_PI[0], -product) + fma(high, _TWO_PI[1], low * _TWO_PI[0])
    r = product + error
    low = error - (r - product)
    if not double:
        exact = r
        r = exact.cast("fptrunc", "float")
        q = q.cast("trunc", "i32")
    return q, r, low


def _sin_parts(r: Lanes, low: Lanes | None) -> tuple[Lanes, Lanes]:
    """sin of r + low, |r| <= pi/4, as a sum."""
    z = r * r
    p = polynomial(z, format_of(r).sin)
    return r, r * z * p if low is None else fma(r * z, p, low)


def _cos_parts(r: Lanes, low: Lanes | None) -> tuple[Lanes, Lanes]:
    """cos of r + low, |r| <= pi/4, as a sum; the rounding error of 1 - z/2 is known and goes to the second part."""
    z = r * r
    half = z * 0.5
    c = 1 - half
    rest = (1 - c) - half
    return c, fma(z * z, polynomial(z, format_of(r).cos), rest if low is None else fma(-r, low, rest))


def _odd(q: Lanes) -> Lanes:
    return (q & 1).ne(0)


def _sin_and_cos_of(q: Lanes, r: Lanes, low: Lanes | None) -> tuple[Lanes, Lanes]:
    """sin and cos of q pi/2 + r + low."""
    if low is None:
        z = r * r
        s = fma(r * z, polynomial(z, format_of(r).sin), r)
        c = fma(z * z, polynomial(z, format_of(r).cos), fma(z, -0.5, 1.0))
    else:
        s, c = (high + rest for high, rest in (_sin_parts(r, low), _cos_parts(r, low)))
    odd, width = _odd(q), bits(r.type)
    turned = [(select(odd, c, s), q), (select(odd, s, c), q + 1)]
    sine, cosine = [(x.bits ^ ((n << (width - 2)) & 1 << (width - 1))).as_float(r.type) for x, n in turned]
    return sine, cosine


def sin_and_cos(x: Lanes) -> tuple[Lanes, Lanes]:
    sine, cosine = _sin_and_cos_of(*_reduce_trig(x.abs()))
    return (sine.bits ^ (x.bits & 1 << (bits(x.type) - 1))).as_float(x.type), cosine  # sin is odd


def sin(x: Lanes) -> Lanes:
    return sin_and_cos(x)[0]


def cos(x: Lanes) -> Lanes:
    return sin_and_cos(x)[1]


def tan(x: Lanes) -> Lanes:
    q, r, low = _reduce_trig(x.abs())
    odd, width = _odd(q), bits(x.type)
    if low is None:
        z = r * r
        result = fma(r * z, polynomial(z, _TAN_FLOAT), r)
        result = select(odd, 1 / result, result)
    else:
        s, c = two_sum(*_sin_parts(r, low)), two_sum(*_cos_parts(r, low))
        numerator, denominator = ([select(odd, a, b) for a, b in zip(*pair, strict=True)] for pair in ((c, s), (s, c)))
        result = quotient(*numerator, *denominator)
    sign = (q << (width - 1)) ^ (x.bits & 1 << (width - 1))
    return (result.bits ^ sign).as_float(x.type)


def atan2(y: Lanes, x: Lanes) -> Lanes:
    f = format_of(x)
    a, b = y.abs(), x.abs()
    steep = a > b
    numerator, denominator = select(steep, b, a), select(steep, a, b)
    q = numerator / denominator
    q = select(numerator.eq(denominator), 1.0, q)  # inf/inf
    q = select(numerator.eq(0.0), 0.0, q)  # 0/0
    z = q * q
    correction = q * z * polynomial(z, f.atan)
    # atan2 = k pi/2 + q or k pi/2 - q, k being 0, 1 or 2
    left = x.bits < 0
    turned = steep ^ left
    pi, pi_low = f.pi_parts
    base = select(steep, x.like(pi / 2), select(left, x.like(pi), 0.0))
    base_low = select(steep, x.like(pi_low / 2), select(left, x.like(pi_low), 0.0))
    result = base + (q.negative_if(turned) + (correction.negative_if(turned) + base_low))
    result = result.with_sign_of(y)
    return select(x.compare("uno", y), x + y, result)
