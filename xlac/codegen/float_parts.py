"""What the elementary functions are made of: the two formats and their polynomials, scaling, rounding, exact sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from xlac.codegen.emit import bits, lanes, scalar, vector
from xlac.codegen.lanes import Lanes, fma, select


@dataclass(frozen=True)
class Format:
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


FLOAT = Format(
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

DOUBLE = Format(
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
FORMATS = {"float": FLOAT, "double": DOUBLE}


def format_of(x: Lanes) -> Format:
    return FORMATS[scalar(x.type)]


def avx512(name: str, *operands: Lanes, immediate: int | None = None, rounding: bool = True) -> Lanes | None:
    """An AVX-512 instruction through its masked intrinsic; None where target or type have none.

    The intrinsic is @llvm.x86.avx512.`name`.{ps,pd}.{128,256,512}(operands[, immediate], source, mask[, rounding]),
    where only 512 bits have a rounding mode.
    """
    first = operands[0]
    e, n, width = first.e, lanes(first.type), bits(first.type)
    again = partial(avx512, name, immediate=immediate, rounding=rounding)
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


def rounded(x: Lanes, scale: float) -> tuple[Lanes, Lanes]:
    """x * scale rounded to an integer, as a float and as an integer; it must be below 2**(fraction - 1)."""
    f = format_of(x)
    z = fma(x, scale, f.magic)
    return z - f.magic, z.bits - f.magic_bits


def power_of_two(n: Lanes, type: str) -> Lanes:
    """2^n for integers n of normal numbers."""
    f = FORMATS[scalar(type)]
    return ((n + f.bias) << f.fraction).as_float(type)


def scaled(x: Lanes, n: Lanes, ni: Lanes) -> Lanes:
    """x * 2^n, rounded once, into the denormals and beyond the largest number; `n` and `ni` are the same integer."""
    result = avx512("mask.scalef", x, n)
    if result is None:
        half = ni >> 1
        result = x * power_of_two(half, x.type) * power_of_two(ni - half, x.type)
    return result


def fraction_and_exponent(x: Lanes) -> tuple[Lanes, Lanes, Lanes | None]:
    """m and e with x = m * 2^e, 3/4 <= m < 3/2, for positive finite x, denormals too; e also as an integer.

    Where the processor has instructions for both (then without the integer), m is NaN for negative x and NaN, and 1 for
    zeros and infinity, whose e is infinite.
    """
    f = format_of(x)
    m = avx512("mask.getmant", x, immediate=15)
    if m is not None:
        exponent, of_m = avx512("mask.getexp", x), avx512("mask.getexp", m)
        assert exponent is not None and of_m is not None
        return m, exponent - of_m, None
    shift = f.fraction + 2
    tiny = x < f.min_normal
    b = select(tiny, x * 2.0**shift, x).bits
    e = (b - f.three_quarters) >> f.fraction
    m = (b - (e << f.fraction)).as_float(x.type)
    e = e - select(tiny, b.like(shift), 0)
    return m, e.cast("sitofp", scalar(x.type)), e


def two_sum(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """a + b and its rounding error, for |a| >= |b| (Dekker)."""
    total = a + b
    return total, b - (total - a)


def quotient(a: Lanes, a_low: Lanes | float, b: Lanes, b_low: Lanes | float) -> Lanes:
    """(a + a_low) / (b + b_low) with less than one unit of error; the low parts are small."""
    reciprocal = 1 / b
    q = a * reciprocal
    remainder = fma(-q, b, a) + fma(-q, b_low, a_low)
    return fma(remainder, reciprocal, q)
