"""Elementary functions as straight-line LLVM IR, for float and double, for scalars and vectors of any length.

Every function takes a FunctionEmitter and values of one type and returns a value of that type, so it can stand
anywhere in a kernel. All are branch-free, except that sin, cos and tan jump to an exact reduction when some argument is
large. NaN, infinities, signed zeros, denormals and the special cases of C99's Annex F are kept: nothing is flushed to
zero. half and bfloat are computed in float. `ULP` bounds the errors.

Polynomials are weighted least-squares fits on Chebyshev nodes, reweighted towards minimax (Lawson's algorithm), whose
coefficients were rounded to their format one after the other with a new fit of the rest after each. They are listed
from low to high order, and the function that each approximates is named beside it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial, wraps

from xlac.codegen.emit import FunctionEmitter, Value, bits, lanes, scalar, vector, with_scalar
from xlac.codegen.lanes import Lanes, fma, polynomial, select

# Bounds of the error in units in the last place, over all arguments, keyed by HLO opcode and LLVM type.
ULP: dict[tuple[str, str], float] = {
    ("exponential", "float"): 1.0,
    ("exponential", "double"): 1.0,
    ("exponential-minus-one", "float"): 1.5,
    ("exponential-minus-one", "double"): 1.5,
    ("log", "float"): 1.0,
    ("log", "double"): 1.0,
    ("log-plus-one", "float"): 1.5,
    ("log-plus-one", "double"): 1.5,
    ("tanh", "float"): 2.0,
    ("tanh", "double"): 2.0,
    ("logistic", "float"): 2.0,
    ("logistic", "double"): 2.0,
    ("erf", "float"): 1.5,
    ("erf", "double"): 1.5,
    ("sine", "float"): 1.6,
    ("sine", "double"): 1.5,
    ("cosine", "float"): 1.6,
    ("cosine", "double"): 1.5,
    ("tan", "float"): 3.0,
    ("tan", "double"): 2.5,
    ("sqrt", "float"): 0.5,
    ("sqrt", "double"): 0.5,
    ("rsqrt", "float"): 1.1,
    ("rsqrt", "double"): 1.1,
    ("cbrt", "float"): 1.0,
    ("cbrt", "double"): 1.0,
    ("power", "float"): 1.0,
    ("power", "double"): 1.0,
    ("atan2", "float"): 2.0,
    ("atan2", "double"): 2.0,
}


@dataclass(frozen=True)
class _Format:
    """What the algorithms know about float or double."""

    fraction: int  # stored bits of the significand
    bias: int  # of the exponent
    three_quarters: int  # bits of 3/4
    exp_zero: float  # exp of anything less rounds to 0
    exp_inf: float  # exp of anything more is infinite
    expm1_low: float  # exp(x) - 1 of anything less rounds to -1
    tanh_one: float  # tanh of anything more rounds to 1
    erf_one: float  # erf of anything more rounds to 1
    ln2: tuple[float, float]  # Cody and Waite: the first part has trailing zeros, so that n * ln2[0] is exact
    pi_2: tuple[float, float, float]  # pi/2 in three parts
    pi_parts: tuple[float, float]  # pi in two parts
    exact_below: float  # from here on pi/2 in three parts does not suffice
    exp: Sequence[float]  # (exp(r) - 1 - r) / r^2 for |r| <= ln(2)/2
    tanh: tuple[Sequence[float], Sequence[float]]  # (tanh(x)/x - 1) / z, z = x^2 <= 0.63^2: numerator, denominator
    sin: Sequence[float]  # (sin(r)/r - 1) / z, z = r^2 <= (pi/4)^2
    cos: Sequence[float]  # (cos(r) - 1 + z/2) / z^2
    erf_split: float  # where the next two meet
    erf: Sequence[float]  # erf(x)/x - 1 in z = x^2
    erfc: Sequence[float]  # -log(erfc(x))
    atan: Sequence[float]  # (atan(q)/q - 1) / z, z = q^2 <= 1

    @property
    def magic(self) -> float:
        """Adding it rounds a small number to an integer, which then stands in the low bits (1.5 * 2**fraction)."""
        return 1.5 * 2.0**self.fraction

    @property
    def magic_bits(self) -> int:
        return (self.bias + self.fraction << self.fraction) | 1 << self.fraction - 1

    @property
    def min_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def epsilon(self) -> float:
        return 2.0**-self.fraction


_FLOAT = _Format(
    fraction=23,
    bias=127,
    three_quarters=0x3F400000,
    exp_zero=-103.97208,
    exp_inf=89.0,
    expm1_low=-20.0,
    tanh_one=10.0,
    erf_one=4.0,
    ln2=(0.693145751953125, 1.428606765330187e-06),
    pi_2=(1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
    pi_parts=(3.1415927410125732, -8.742277657347586e-08),
    exact_below=2.0**17,
    exp=(
        0.5,
        0.16666662693023682,
        0.04166644811630249,
        0.008334198966622353,
        0.0013936513569206,
        0.0001942115050042048,
    ),
    tanh=((-0.3333333432674408, -0.015122974291443825), (1.0, 0.44536933302879333, 0.01624126173555851)),
    sin=(-0.1666666716337204, 0.008333372883498669, -0.00019850277749355882, 2.8040099095960613e-06),
    cos=(0.04166664555668831, -0.0013887309469282627, 2.44322836806532e-05),
    erf_split=0.92,
    erf=(
        0.12837916612625122,
        -0.37612631916999817,
        0.11283672600984573,
        -0.02685818262398243,
        0.005198036786168814,
        -0.000810869678389281,
        8.226303907576948e-05,
    ),
    erfc=(
        -0.00016931173740886152,
        1.1294889450073242,
        0.6333997249603271,
        0.1082216426730156,
        -0.02508142590522766,
        0.004156552720814943,
        -0.00043145110248588026,
        2.0833049347857013e-05,
    ),
    atan=(
        -0.33333298563957214,
        0.1999853402376175,
        -0.14264100790023804,
        0.10951488465070724,
        -0.08401498943567276,
        0.057925306260585785,
        -0.031146539375185966,
        0.010898162610828876,
        -0.0017900100210681558,
    ),
)

_DOUBLE = _Format(
    fraction=52,
    bias=1023,
    three_quarters=0x3FE8000000000000,
    exp_zero=-745.1332191019412,
    exp_inf=710.0,
    expm1_low=-40.0,
    tanh_one=20.0,
    erf_one=5.95,
    ln2=(0.6931471803691238, 1.9082149292705877e-10),
    pi_2=(1.5707963267948966, 6.12323399538461e-17, 3.5215598651832e-27),
    pi_parts=(math.pi, 1.2246467991473532e-16),
    exact_below=2.0**20,
    exp=(
        0.5000000000000011,
        0.16666666666666397,
        0.04166666666652512,
        0.008333333333502916,
        0.0013888888945167962,
        0.0001984126949231687,
        2.480149132242681e-05,
        2.755759539291954e-06,
        2.763093819690847e-07,
        2.4998399023264678e-08,
    ),
    tanh=(
        (-0.3333333333333332, -0.020496347800709334, -0.00019906950915897587),
        (1.0, 0.4614890434021097, 0.023288063983855637, 0.0002064175060616958),
    ),
    sin=(
        -0.16666666666666666,
        0.008333333333333097,
        -0.00019841269841052147,
        2.755731912666128e-06,
        -2.5052085325255353e-08,
        1.6056173233624453e-10,
        -7.481484694074749e-13,
    ),
    cos=(
        0.041666666666666595,
        -0.0013888888888873374,
        2.4801587289025268e-05,
        -2.755731422211008e-07,
        2.0875705693674524e-09,
        -1.1358739868968198e-11,
    ),
    erf_split=1.0,
    erf=(
        0.1283791670955126,
        -0.3761263890318388,
        0.1128379167095905,
        -0.026866170645679276,
        0.00522397762968032,
        -0.0008548327223014673,
        0.00012055338982256661,
        -1.4925767023482737e-05,
        1.646353706289626e-06,
        -1.6375324979605414e-07,
        1.4817498355004402e-08,
        -1.1947999855987056e-09,
        6.87970802995449e-11,
    ),
    erfc=(
        1.5116297350910346e-07,
        1.1283776075239187,
        0.6366272207516943,
        0.10275083074128356,
        -0.019085160465695476,
        -0.0002703886839772398,
        0.001757885948167183,
        -0.0006316286607160525,
        3.8340605585206604e-05,
        7.387410127888245e-05,
        -4.6553079059100825e-05,
        1.703575092895157e-05,
        -4.469095281126911e-06,
        8.807386890438327e-07,
        -1.3059138612442973e-07,
        1.4209397638943775e-08,
        -1.0738690316551615e-09,
        5.042369104893847e-11,
        -1.1082776458901966e-12,
    ),
    atan=(
        -0.33333333333333065,
        0.1999999999995094,
        -0.14285714282547446,
        0.11111111006271221,
        -0.09090906990393766,
        0.07692279698622563,
        -0.06666402946464325,
        0.05880521372058898,
        -0.05253490421223224,
        0.04722228082135612,
        -0.042189348459350184,
        0.03663697635334526,
        -0.029896076565524007,
        0.02197532313393103,
        -0.01389159665816906,
        0.007190156662864374,
        -0.0028816475531392013,
        0.0008301642148993444,
        -0.0001519093828569114,
        1.3199800673584976e-05,
    ),
)
_FORMATS = {"float": _FLOAT, "double": _DOUBLE}

_LOG_FLOAT = (  # (log(1+f) - f + f^2/2) / f^3 for 1+f in [3/4, 3/2]
    0.3333345055580139,
    -0.25000104308128357,
    0.19990813732147217,
    -0.166469544172287,
    0.1447833776473999,
    -0.13164618611335754,
    0.10470695048570633,
    -0.04512510448694229,
)
_LOG_DOUBLE = (  # (2 atanh(s)/s - 2) / z, z = s^2, s = f/(2+f)
    0.666666666666666,
    0.4000000000005659,
    0.2857142855585984,
    0.22222224292177403,
    0.18181666161110585,
    0.15391101988720157,
    0.13173774415855355,
    0.13841815331814727,
)
_TAN_FLOAT = (  # (tan(r)/r - 1) / z, z = r^2 <= (pi/4)^2
    0.33333349227905273,
    0.13332675397396088,
    0.05405890569090843,
    0.02128629758954048,
    0.010827076621353626,
    9.8874130344484e-05,
    0.0043723126873373985,
)
_RECIPROCAL_CBRT = (  # m^(-1/3) for m in [3/4, 3/2], to 17 bits
    1.9603060483932495,
    -2.298175811767578,
    2.433697462081909,
    -1.559794306755066,
    0.5428997278213501,
    -0.0789346843957901,
)
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
_TWO_PI = (2 * math.pi, 2.4492935982947064e-16)


def _format(x: Lanes) -> _Format:
    return _FORMATS[scalar(x.type)]


def _avx512(name: str, *operands: Lanes, immediate: int | None = None, rounding: bool = True) -> Lanes | None:
    """An AVX-512 instruction through its masked intrinsic; None where target or type have none.

    The intrinsic is @llvm.x86.avx512.`name`.{ps,pd}.{128,256,512}(operands[, immediate], source, mask[, rounding]),
    where only 512 bits have a rounding mode.
    """
    first = operands[0]
    e, n, width = first.e, lanes(first.type), bits(first.type)
    again = partial(_avx512, name, immediate=immediate, rounding=rounding)
    if not e.target.has("avx512f") or not (n * width == 512 or e.target.has("avx512vl")):
        return None
    if n * width > 512 and n & n - 1 == 0:
        halves = []
        for part in (range(n // 2), range(n // 2, n)):
            half = again(*[Lanes(e, e.shuffle(x.v, None, part)) for x in operands])
            if half is None:
                return None
            halves.append(half.v)
        return Lanes(e, e.shuffle(halves[0], halves[1], range(n)))
    if n * width < 128:
        full = 128 // width
        wide = (
            [Lanes(e, e.insert(e.poison(vector(full, x.type)), x.v, 0)) for x in operands]
            if n == 1
            else [Lanes(e, e.shuffle(x.v, None, [*range(n)] + [-1] * (full - n))) for x in operands]
        )
        result = again(*wide)
        return result and Lanes(e, e.shuffle(result.v, None, range(n)))
    if n * width not in (128, 256, 512):
        return None
    args = [x.v for x in operands]
    if immediate is not None:
        args.append(e.const("i32", immediate))
    args += [e.const(first.type, 0.0), e.const("i16" if n == 16 else "i8", -1)]
    if rounding and n * width == 512:
        args.append(e.const("i32", 4))  # the current rounding mode
    full = f"x86.avx512.{name}.{'pd' if width == 64 else 'ps'}.{n * width}"
    return Lanes(e, e.intrinsic(full, first.type, *args))


def _round(x: Lanes, scale: float) -> tuple[Lanes, Lanes]:
    """x * scale rounded to an integer, as a float and as an integer; it must be below 2**(fraction - 1)."""
    f = _format(x)
    z = fma(x, scale, f.magic)
    return z - f.magic, z.bits - f.magic_bits


def _power_of_two(n: Lanes, type: str) -> Lanes:
    """2^n for integers n of normal numbers."""
    f = _FORMATS[scalar(type)]
    return ((n + f.bias) << f.fraction).as_float(type)


def _scale(x: Lanes, n: Lanes, ni: Lanes) -> Lanes:
    """x * 2^n, rounded once, into the denormals and beyond the largest number; `n` and `ni` are the same integer."""
    result = _avx512("mask.scalef", x, n)
    if result is None:
        half = ni >> 1
        result = x * _power_of_two(half, x.type) * _power_of_two(ni - half, x.type)
    return result


def _fraction_and_exponent(x: Lanes) -> tuple[Lanes, Lanes, Lanes | None]:
    """m and e with x = m * 2^e, 3/4 <= m < 3/2, for positive finite x, denormals too; e also as an integer.

    Where the processor has instructions for both (then without the integer), m is NaN for negative x and NaN, and 1 for
    zeros and infinity, whose e is infinite.
    """
    f = _format(x)
    m = _avx512("mask.getmant", x, immediate=15)
    if m is not None:
        exponent, of_m = _avx512("mask.getexp", x), _avx512("mask.getexp", m)
        assert exponent is not None and of_m is not None
        return m, exponent - of_m, None
    shift = f.fraction + 2
    tiny = x < f.min_normal
    b = select(tiny, x * 2.0**shift, x).bits
    e = (b - f.three_quarters) >> f.fraction
    m = (b - (e << f.fraction)).as_float(x.type)
    e = e - select(tiny, b.like(shift), 0)
    return m, e.cast("sitofp", scalar(x.type)), e


def _two_sum(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a + b and its rounding error, for |a| >= |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


def _quotient(a: Lanes, a_low: Lanes | float, b: Lanes, b_low: Lanes | float) -> Lanes:
    """(a + a_low) / (b + b_low) with less than one unit of error; the low parts are small."""
    reciprocal = 1 / b
    q = a * reciprocal
    remainder = fma(-q, b, a) + fma(-q, b_low, a_low)
    return fma(remainder, reciprocal, q)


# Exponentials: x = n ln 2 + r (Cody and Waite), exp(x) = 2^n (1 + r + r^2 P(r)).


def _reduce_exp(x: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """n (twice: float, integer), and r = x - n ln 2 as a sum whose second part is a rounding error."""
    f = _format(x)
    n, ni = _round(x, 1 / math.log(2))
    high = fma(n, -f.ln2[0], x)  # exact
    r = fma(n, -f.ln2[1], high)
    return n, ni, r, fma(n, -f.ln2[1], high - r)


def _exp_normal(x: Lanes) -> Lanes:
    """exp where the result is a normal number."""
    n, ni, r, _ = _reduce_exp(x)
    p = 1 + fma(r * r, polynomial(r, _format(x).exp), r)
    result = _avx512("mask.scalef", p, n)
    return p * _power_of_two(ni, x.type) if result is None else result


def _exp(x: Lanes) -> Lanes:
    f = _format(x)
    # Lanes that end as 0 are taken out first: each vector in which a result underflows costs a microcode assist on some
    # processors, a hundred times the time of everything else.
    zero = x < f.exp_zero
    n, ni, r, _ = _reduce_exp(select(zero, 0.0, x.at_most(f.exp_inf)))
    p = 1 + fma(r * r, polynomial(r, f.exp), r)
    return select(zero, 0.0, _scale(p, n, ni))


def _expm1(x: Lanes) -> Lanes:
    f = _format(x)
    _, ni, r, low = _reduce_exp(x.at_most(f.exp_inf).at_least(f.expm1_low))
    s = _power_of_two(ni - 1, x.type)  # half of what is meant, lest it overflow
    low = fma(r * r, polynomial(r, f.exp), low)
    result = fma(s, low, fma(s, r, s - 0.5))
    return select(x.abs() < f.epsilon / 4, x, result + result)


def _logistic(x: Lanes) -> Lanes:
    # 1/(1 + exp(-x)) or exp(x)/(1 + exp(x)), whichever has exp(-|x|); both keep their digits.
    e = _exp(-x.abs())
    total = e + 1
    return _quotient(select(x < 0, e, 1.0), 0.0, total, e - (total - 1))


def _tanh(x: Lanes) -> Lanes:
    f = _format(x)
    a = x.abs()
    small, z = a < 0.625, x * x
    b = a.at_most(f.tanh_one)
    e = _exp_normal(b + b)
    # x + x z P(z)/Q(z) or 1 - 2/(exp(2x) + 1), with one division for both
    numerator = select(small, a * (z * polynomial(z, f.tanh[0])), -2.0)
    denominator = select(small, polynomial(z, f.tanh[1]), e + 1)
    return (select(small, a, 1.0) + numerator / denominator).with_sign_of(x)


def _erf(x: Lanes) -> Lanes:
    f = _format(x)
    a, z = x.abs().at_most(f.erf_one), x * x
    near = fma(polynomial(z, f.erf), x, x)
    far = (1 - _exp_normal(-polynomial(a, f.erfc))).with_sign_of(x)
    return select(a.not_less(f.erf_split), far, near)


# Logarithms: x = m 2^e with m near 1, log(x) = e ln 2 + log(m).


def _log_of(f: Lanes, low: Lanes | None, e: Lanes) -> Lanes:
    """e ln 2 + log(1 + f + low), where `low` is a rounding error of f."""
    high_ln2, low_ln2 = _format(f).ln2
    square = f * f
    if scalar(f.type) == "double":
        s = f / (f + 2)
        z = s * s
        half = square * 0.5
        # log(1+f) = f - (half - s (half + z P(z))): only small terms are rounded
        t = fma(s, half + z * polynomial(z, _LOG_DOUBLE), e * low_ln2)
        if low is not None:
            t = t + fma(-low, f, low)
        return fma(e, high_ln2, f + (t - half))
    t = fma(e, low_ln2, f * square * polynomial(f, _LOG_FLOAT))
    if low is not None:
        t = t + fma(-low, f, low)
    return fma(e, high_ln2, f + fma(square, -0.5, t))


def _log_special(x: Lanes, at_zero: float, result: Lanes) -> Lanes:
    result = select(x.eq(math.inf), math.inf, result)
    result = select(x.eq(at_zero), -math.inf, result)
    return select(x >= at_zero, result, math.nan)


def _log(x: Lanes) -> Lanes:
    m, e, ei = _fraction_and_exponent(x)
    result = _log_of(m - 1, None, e)
    return result if ei is None else _log_special(x, 0.0, result)


def _log_of_sum(u: Lanes, c: Lanes, shift: Lanes | None = None) -> Lanes:
    """log(u + c) + shift ln 2 for positive finite normal u, of which c is a rounding error."""
    f = _format(u)
    m, e, ei = _fraction_and_exponent(u)
    if ei is None:
        scaled = _avx512("mask.scalef", c, -e)
        assert scaled is not None
    else:
        # Beyond the bound the error is negligible, and 2^-e would not be a normal number.
        scaled = c * _power_of_two(-select(ei > f.bias - 20, ei.like(f.bias - 20), ei), u.type)
    high = (m - 1) + scaled
    return _log_of(high, scaled - (high - (m - 1)), e if shift is None else e + shift)


def _log1p(x: Lanes) -> Lanes:
    f = _format(x)
    u = x + 1
    result = _log_of_sum(u, x - (u - 1))  # the rounding error is exact where it matters
    return select(x.abs() < f.epsilon / 4, x, _log_special(x, -1.0, result))


# Trigonometry: x = q pi/2 + r with |r| <= pi/4.


def _reduce_trig(a: Lanes) -> tuple[Lanes, Lanes, Lanes | None]:
    """For a >= 0: the integer q (modulo 4) and r as a sum whose second part is small, or absent in float."""
    e, f = a.e, _format(a)
    n, q = _round(a, 2 / math.pi)
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
    exact_q, exact_r, exact_low = _reduce_large(a, large)
    pairs = [(q, exact_q), (r, exact_r)] + ([] if low is None else [(low, exact_low)])
    chosen = [(fast, select(large, exact, fast)) for fast, exact in pairs]
    slow = e.current_block
    e.br(after)
    e.at(after)
    q, r, *rest = (Lanes(e, e.phi(x.type, [(x.v, before), (y.v, slow)])) for x, y in chosen)
    return q, r, rest[0] if rest else None


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
    e, f = x.e, _format(x)
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
    p = polynomial(z, _format(r).sin)
    return r, r * z * p if low is None else fma(r * z, p, low)


def _cos_parts(r: Lanes, low: Lanes | None) -> tuple[Lanes, Lanes]:
    """cos of r + low, |r| <= pi/4, as a sum; the rounding error of 1 - z/2 is known and goes to the second part."""
    z = r * r
    half = z * 0.5
    c = 1 - half
    rest = (1 - c) - half
    return c, fma(z * z, polynomial(z, _format(r).cos), rest if low is None else fma(-r, low, rest))


def _odd(q: Lanes) -> Lanes:
    return (q & 1).ne(0)


def _sin_and_cos_of(q: Lanes, r: Lanes, low: Lanes | None) -> tuple[Lanes, Lanes]:
    """sin and cos of q pi/2 + r + low."""
    if low is None:
        z = r * r
        s = fma(r * z, polynomial(z, _format(r).sin), r)
        c = fma(z * z, polynomial(z, _format(r).cos), fma(z, -0.5, 1.0))
    else:
        s, c = (high + rest for high, rest in (_sin_parts(r, low), _cos_parts(r, low)))
    odd, width = _odd(q), bits(r.type)
    turned = [(select(odd, c, s), q), (select(odd, s, c), q + 1)]
    sine, cosine = [(x.bits ^ ((n << (width - 2)) & 1 << (width - 1))).as_float(r.type) for x, n in turned]
    return sine, cosine


def _sin_and_cos(x: Lanes) -> tuple[Lanes, Lanes]:
    sine, cosine = _sin_and_cos_of(*_reduce_trig(x.abs()))
    return (sine.bits ^ (x.bits & 1 << (bits(x.type) - 1))).as_float(x.type), cosine  # sin is odd


def _sin(x: Lanes) -> Lanes:
    return _sin_and_cos(x)[0]


def _cos(x: Lanes) -> Lanes:
    return _sin_and_cos(x)[1]


def _tan(x: Lanes) -> Lanes:
    q, r, low = _reduce_trig(x.abs())
    odd, width = _odd(q), bits(x.type)
    if low is None:
        z = r * r
        result = fma(r * z, polynomial(z, _TAN_FLOAT), r)
        result = select(odd, 1 / result, result)
    else:
        s, c = _two_sum(*_sin_parts(r, low)), _two_sum(*_cos_parts(r, low))
        numerator, denominator = ([select(odd, a, b) for a, b in zip(*pair, strict=True)] for pair in ((c, s), (s, c)))
        result = _quotient(*numerator, *denominator)
    sign = (q << (width - 1)) ^ (x.bits & 1 << (width - 1))
    return (result.bits ^ sign).as_float(x.type)


def _atan2(y: Lanes, x: Lanes) -> Lanes:
    f = _format(x)
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


# Roots


def _sqrt(x: Lanes) -> Lanes:
    return x.call("sqrt")


def _rsqrt(x: Lanes) -> Lanes:
    estimate = _avx512("rsqrt14", x, rounding=False)
    y = estimate if estimate is not None else 1 / x.call("sqrt")
    special = x.eq(0.0) | x.eq(math.inf)  # y is right there, but x * y is not
    double = scalar(x.type) == "double"
    result = y
    for last in (False, True) if double and estimate is not None else (True,):  # Newton's method
        h = x * result
        e = fma(-h, result, 1.0)
        if double and last:
            e = fma(fma(-x, result, h), result, e)  # what h lost
        result = fma(result * 0.5, e, result)
    return select(special, y, result)


def _cbrt(x: Lanes) -> Lanes:
    a = x.abs()
    m, e, _ = _fraction_and_exponent(a)
    # e = 3n + k, k in {0, 1, 2}: e/3 - 1/3 is never half-way between integers
    n, ni = _round(fma(e, 1 / 3, -1 / 3), 1.0)
    k = fma(n, -3.0, e)
    one, two = k.eq(1.0), k.eq(2.0)
    r = polynomial(m, _RECIPROCAL_CBRT) * select(one, x.like(2 ** (-1 / 3)), select(two, x.like(2 ** (-2 / 3)), 1.0))
    m = m * select(one, x.like(2.0), select(two, x.like(4.0), 1.0))
    if scalar(x.type) == "double":  # Newton's method for m^(-1/3)
        r = fma(r * fma(-(m * r), r * r, 1.0), 1 / 3, r)
    # and for y
    square = r * r
    y = m * square
    y = fma(fma(-(y * y), y, m) * square, 1 / 3, y) * _power_of_two(ni, x.type)
    finite = (a > 0) & (a < math.inf)
    return select(finite, y.with_sign_of(x), x + x)


# Powers: x^y = 2^(y log2 |x|), with the logarithm to more than the precision of the result.


def _power_float(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0, through double."""
    m, e, _ = _fraction_and_exponent(a)
    m, e = (m - 1).cast("fpext", "double"), e.cast("fpext", "double")
    logarithm = fma(m, polynomial(m, _POWER_FLOAT_LOG2), e)
    logarithm = select(a.eq(0.0), -math.inf, select(a.eq(math.inf), math.inf, logarithm))
    y = y.at_most(2.0**100).at_least(-(2.0**100)).cast("fpext", "double")
    t = (y * logarithm).at_most(200.0).at_least(-200.0)
    n, ni = _round(t, 1.0)
    p = polynomial(t - n, _POWER_FLOAT_EXP2)
    return (p * _power_of_two(ni, p.type)).cast("fptrunc", "float")


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
    m, e, _ = _fraction_and_exponent(x)
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
    series, series_low = _two_sum(first, second)
    whole = e + table  # exact
    high, high_low = _two_sum(whole, series)
    low = high_low + ((series_low + rest) + (first_low + second_low))
    t = y * high
    t_low = fma(y, high, -t) + y * low
    n, ni = _round(t, 1.0)
    r, r_low = _two_sum(t - n, t_low)
    z = r * _LN2[0]
    z_low = fma(r_low, _LN2[0], fma(r, _LN2[1], fma(r, _LN2[0], -z)))
    p = 1 + (z + fma(z * z, polynomial(z, _FLOAT.exp), z_low))
    result = (p.bits + (ni << _FLOAT.fraction)).as_float(x.type)
    b = x.bits - (1 << _FLOAT.fraction)
    beyond = Lanes(x.e, x.e.icmp("uge", b.v, b.lift(254 << _FLOAT.fraction)))
    return result, beyond | t.abs().not_less(125.0)


def _power_double(a: Lanes, y: Lanes) -> Lanes:
    """a^y for a >= 0, with the logarithm as a sum of two doubles (Dekker's and Knuth's error-free operations)."""
    m, e, _ = _fraction_and_exponent(a)
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
    n, ni = _round(t, 1.0)
    r, t_low = _two_sum(t - n, t_low)
    # 2^(r + t_low) = 1 + (a + a_low) + r^2 P(r) with a = r ln 2, of which only small parts are rounded
    a = r * _POWER_DOUBLE_EXP2[0]
    a_low = fma(t_low, _POWER_DOUBLE_EXP2[0], fma(r, _POWER_DOUBLE_EXP2[0], -a))
    p, p_low = _two_sum(r.like(1.0), a)
    return _scale(p + (p_low + fma(r * r, polynomial(r, _POWER_DOUBLE_EXP2[1:]), a_low)), n, ni)


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


def _power(x: Lanes, y: Lanes) -> Lanes:
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


def _function(compute: Callable[..., Lanes]) -> Callable[..., Value]:
    """The same for values: half and bfloat in float, and no fast-math flags, which would undo the compensations."""

    @wraps(compute)
    def emit(e: FunctionEmitter, *values: Value) -> Value:
        type, flags = values[0].type, e.fast_math
        narrow = scalar(type) in ("half", "bfloat")
        e.fast_math = ""
        arguments = [Lanes(e, v).cast("fpext", "float") if narrow else Lanes(e, v) for v in values]
        result = compute(*arguments)
        if narrow:
            result = result.cast("fptrunc", scalar(type))
        e.fast_math = flags
        return result.v

    return emit


exp = _function(_exp)
expm1 = _function(_expm1)
log = _function(_log)
log1p = _function(_log1p)
tanh = _function(_tanh)
logistic = _function(_logistic)
erf = _function(_erf)
sin = _function(_sin)
cos = _function(_cos)
tan = _function(_tan)
sqrt = _function(_sqrt)
rsqrt = _function(_rsqrt)
cbrt = _function(_cbrt)
power = _function(_power)
atan2 = _function(_atan2)

FUNCTIONS: dict[str, Callable[..., Value]] = {
    "exponential": exp,
    "exponential-minus-one": expm1,
    "log": log,
    "log-plus-one": log1p,
    "tanh": tanh,
    "logistic": logistic,
    "erf": erf,
    "sine": sin,
    "cosine": cos,
    "tan": tan,
    "sqrt": sqrt,
    "rsqrt": rsqrt,
    "cbrt": cbrt,
    "power": power,
    "atan2": atan2,
}
