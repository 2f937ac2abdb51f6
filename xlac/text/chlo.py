"""Client functions (CHLO) as HLO opcodes: inverse and hyperbolic functions, error and gamma functions, and the like.

Each function takes and gives `Value`s, thin wrappers of instructions with Python's operators. Floats narrower than
float32 are computed in float32 and rounded once. Constants are those of the Cephes library (Moshier), of Giles'
"Approximating the erfinv function" (2010) and of Lanczos' gamma approximation with g = 7, n = 9; formulas of complex
functions are Kahan's ("Branch cuts for complex elementary functions", 1987).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from xlac.errors import ShapeError
from xlac.ir.module import Instruction
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import C64, F32, F64, ArrayShape, ElementType, element_type

Number = float | int


class Value:
    """An instruction with operators; numbers stand for constants of its shape."""

    __slots__ = ("instruction",)

    def __init__(self, instruction: Instruction) -> None:
        self.instruction = instruction

    @property
    def shape(self) -> ArrayShape:
        assert isinstance(self.instruction.shape, ArrayShape)
        return self.instruction.shape

    @property
    def type(self) -> ElementType:
        return self.shape.element_type

    def _lift(self, other: Value | Number) -> Instruction:
        return other.instruction if isinstance(other, Value) else like(self.instruction, other)

    def binary(self, name: str, other: Value | Number) -> Value:
        return Value(OPCODES[name].make(self.instruction, self._lift(other)))

    def unary(self, name: str) -> Value:
        return Value(OPCODES[name].make(self.instruction))

    def __add__(self, other: Value | Number) -> Value:
        return self.binary("add", other)

    def __sub__(self, other: Value | Number) -> Value:
        return self.binary("subtract", other)

    def __mul__(self, other: Value | Number) -> Value:
        return self.binary("multiply", other)

    def __truediv__(self, other: Value | Number) -> Value:
        return self.binary("divide", other)

    def __and__(self, other: Value | Number) -> Value:
        return self.binary("and", other)

    def __or__(self, other: Value | Number) -> Value:
        return self.binary("or", other)

    def __radd__(self, other: Number) -> Value:
        return Value(like(self.instruction, other)) + self

    def __rsub__(self, other: Number) -> Value:
        return Value(like(self.instruction, other)) - self

    def __rmul__(self, other: Number) -> Value:
        return Value(like(self.instruction, other)) * self

    def __rtruediv__(self, other: Number) -> Value:
        return Value(like(self.instruction, other)) / self

    def __neg__(self) -> Value:
        return self.unary("negate")

    def compare(self, direction: str, other: Value | Number, type: str | None = None) -> Value:
        return Value(op.compare.make(self.instruction, self._lift(other), direction=direction, type=type))

    def __lt__(self, other: Value | Number) -> Value:
        return self.compare("LT", other)

    def __le__(self, other: Value | Number) -> Value:
        return self.compare("LE", other)

    def __gt__(self, other: Value | Number) -> Value:
        return self.compare("GT", other)

    def __ge__(self, other: Value | Number) -> Value:
        return self.compare("GE", other)

    def equals(self, other: Value | Number) -> Value:
        return self.compare("EQ", other)

    def differs(self, other: Value | Number) -> Value:
        return self.compare("NE", other)

    def where(self, on_true: Value | Number, on_false: Value | Number) -> Value:
        """`on_true` where this is true, else `on_false`; at least one of them is a Value."""
        model = on_true if isinstance(on_true, Value) else on_false
        assert isinstance(model, Value)
        return Value(op.select.make(self.instruction, model._lift(on_true), model._lift(on_false)))

    def convert(self, to: ElementType) -> Value:
        if self.type is to:
            return self
        return Value(op.convert.make(self.instruction, shape=ArrayShape(to, self.shape.dims)))

    def bitcast(self, to: ElementType) -> Value:
        return Value(op.bitcast_convert.make(self.instruction, shape=ArrayShape(to, self.shape.dims)))


def constant(value: Number | complex, row: ElementType) -> Instruction:
    """A scalar constant of an element type; integers wrap."""
    if row.is_integer:
        value = int(value) & ((1 << row.bits) - 1)  # type: ignore[arg-type]
        if row.kind == "s" and value >> (row.bits - 1):
            value -= 1 << row.bits
    return op.constant.make(shape=ArrayShape(row), literal=np.array(value, row.dtype))


def like(x: Instruction, value: Number | complex) -> Instruction:
    """A constant of the shape of `x`."""
    assert isinstance(x.shape, ArrayShape)
    return fill(value, x.shape)


def fill(value: Number | complex, shape: ArrayShape) -> Instruction:
    """An array of one value."""
    scalar = constant(value, shape.element_type)
    if not shape.dims:
        return scalar
    return op.broadcast.make(scalar, shape=ArrayShape(shape.element_type, shape.dims), dimensions=())


def _floats(name: str, function: Callable[..., Value]) -> Callable[..., Value]:
    """`function` for real floats, computed in float32 where they are narrower."""

    def run(*operands: Value) -> Value:
        row = operands[0].type
        if not row.is_float:
            raise ShapeError(f"{name}: operand 0 is {operands[0].shape}; its elements must be floating point")
        if row.bits >= 32:
            return function(*operands)
        return function(*(x.convert(F32) for x in operands)).convert(row)

    return run


def _both(name: str, real: Callable[..., Value], complex_: Callable[..., Value]) -> Callable[..., Value]:
    """A function of real floats and of complex numbers; the latter are computed from parts in float64."""
    narrow = _floats(name, real)

    def run(x: Value) -> Value:
        if not x.type.is_complex:
            return narrow(x)
        re, im = complex_(x.unary("real").convert(F64), x.unary("imag").convert(F64))
        part = F32 if x.type is C64 else F64
        return join(re.convert(part), im.convert(part))

    return run


def join(re: Value, im: Value) -> Value:
    return Value(op.complex.make(re.instruction, im.instruction))


def polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """Horner's rule, highest power first."""
    result = Value(like(x.instruction, coefficients[0]))
    for c in coefficients[1:]:
        result = result * x + c
    return result


# ---- inverse and hyperbolic functions


def _asinh(x: Value) -> Value:
    """sign(x) log(|x| + sqrt(x^2 + 1)), without cancellation for small and overflow for large |x|."""
    a = x.unary("abs")
    large = a > math.sqrt(np.finfo(x.type.dtype).max) / 2
    square = a * a
    small = (a + square / (1 + (square + 1).unary("sqrt"))).unary("log-plus-one")
    return x.unary("sign") * large.where(a.unary("log") + math.log(2), small)


def _acosh(x: Value) -> Value:
    large = x > math.sqrt(np.finfo(x.type.dtype).max) / 2
    y = x - 1
    near = (y + (y * (x + 1)).unary("sqrt")).unary("log-plus-one")
    result = large.where(x.unary("log") + math.log(2), near)
    return (x < 1).where(math.nan, result)


def _atanh(x: Value) -> Value:
    result = ((2 * x) / (1 - x)).unary("log-plus-one") * 0.5
    mirrored = ((2 * x.unary("abs")) / (1 - x.unary("abs"))).unary("log-plus-one") * 0.5
    return (x < 0).where(-mirrored, result)


def _asin(x: Value) -> Value:
    return x.binary("atan2", ((1 - x) * (1 + x)).unary("sqrt"))


def _acos(x: Value) -> Value:
    return ((1 - x) * (1 + x)).unary("sqrt").binary("atan2", x)


def _atan(x: Value) -> Value:
    return x.binary("atan2", 1)


def _sinh(x: Value) -> Value:
    """Half of e^x - e^-x for large |x|, by expm1 for small; the half is in the exponent against early overflow."""
    half = math.log(0.5)
    large = (x + half).unary("exponential") - (half - x).unary("exponential")
    e = x.unary("exponential-minus-one")
    small = (e + e / (e + 1)) * 0.5
    return (x.unary("abs") < 1).where(small, large)


def _cosh(x: Value) -> Value:
    half = math.log(0.5)
    return (x + half).unary("exponential") + (half - x).unary("exponential")


def _complex_sinh(x: Value, y: Value) -> tuple[Value, Value]:
    return _sinh(x) * y.unary("cosine"), _cosh(x) * y.unary("sine")


def _complex_cosh(x: Value, y: Value) -> tuple[Value, Value]:
    return _cosh(x) * y.unary("cosine"), _sinh(x) * y.unary("sine")


def _sqrt(x: Value, y: Value) -> tuple[Value, Value]:
    root = join(x, y).unary("sqrt")
    return root.unary("real"), root.unary("imag")


def _complex_asin(x: Value, y: Value) -> tuple[Value, Value]:
    """re = atan2(x, Re(sqrt(1-z) sqrt(1+z))), im = asinh(Im(conj(sqrt(1-z)) sqrt(1+z)))."""
    a, b = _sqrt(1 - x, -y)
    c, d = _sqrt(1 + x, y)
    return x.binary("atan2", a * c - b * d), _asinh(a * d - b * c)


def _complex_acos(x: Value, y: Value) -> tuple[Value, Value]:
    """re = 2 atan2(Re sqrt(1-z), Re sqrt(1+z)), im = asinh(Im(conj(sqrt(1+z)) sqrt(1-z)))."""
    a, b = _sqrt(1 - x, -y)
    c, d = _sqrt(1 + x, y)
    return 2 * a.binary("atan2", c), _asinh(c * b - d * a)


def _complex_acosh(x: Value, y: Value) -> tuple[Value, Value]:
    """re = asinh(Re(conj(sqrt(z-1)) sqrt(z+1))), im = 2 atan2(Im sqrt(z-1), Re sqrt(z+1))."""
    a, b = _sqrt(x - 1, y)
    c, d = _sqrt(x + 1, y)
    return _asinh(a * c + b * d), 2 * b.binary("atan2", c)


def _complex_asinh(x: Value, y: Value) -> tuple[Value, Value]:
    """asinh(z) = -i asin(iz), up to the signs of parts."""
    re, im = _complex_asin(-y, x)
    return im, -re


def _complex_atanh(x: Value, y: Value) -> tuple[Value, Value]:
    """re = log1p(4 |x| / ((1-|x|)^2 + y^2)) / 4 with the sign of x, im = atan2(2y, (1-x)(1+x) - y^2) / 2."""
    a = x.unary("abs")
    gap = 1 - a
    re = (4 * a / (gap * gap + y * y)).unary("log-plus-one") * 0.25
    im = (2 * y).binary("atan2", (1 - x) * (1 + x) - y * y) * 0.5
    return (x < 0).where(-re, re), im


def _complex_atan(x: Value, y: Value) -> tuple[Value, Value]:
    """atan(z) = -i atanh(iz)."""
    re, im = _complex_atanh(-y, x)
    return im, -re


# ---- error functions

_ERFC_P = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687, 4.86371970985681366614e1,
    1.96520832956077098242e2, 5.26445194995477358631e2, 9.34528527171957607540e2, 1.02755188689515710272e3,
    5.57535335369399327526e2,
)  # fmt: skip
_ERFC_Q = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2, 9.75708501743205489753e2,
    1.82390916687909736289e3, 2.24633760818710981792e3, 1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip
_ERFC_R = (
    5.64189583547755073984e-1, 1.27536670759978104416, 5.01905042251180477414, 6.16021097993053585195,
    7.40974269950448939160, 2.97886665372100240670,
)  # fmt: skip
_ERFC_S = (
    1.0, 2.26052863220117276590, 9.39603524938001434673, 1.20489539808096656605e1, 1.70814450747565897222e1,
    9.60896809063285878198, 3.36907645100081516050,
)  # fmt: skip
_ERFC_P32 = (
    2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1, 6.210004621745983e-1,
    -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1, 5.638259427386472e-1,
)  # fmt: skip
_ERFC_R32 = (
    -1.047766399936249e1, 1.297719955372516e1, -7.495518717768503, 2.921019019210786, -1.015265279202700,
    4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1,
)  # fmt: skip


def _erfc(x: Value) -> Value:
    """1 - erf(x) for |x| < 1; e^(-x^2) times a rational function of |x| (of 1/x^2 in float32) from there on."""
    a = x.unary("abs")
    square = x * x
    decay = (-square).unary("exponential")
    if x.type is F64:
        near = decay * polynomial(a, _ERFC_P) / polynomial(a, _ERFC_Q)
        far = decay * polynomial(a, _ERFC_R) / polynomial(a, _ERFC_S)
        tail = (a < 8).where(near, far)
        limit = 7.09782712893383996843e2
    else:
        inverse = 1 / square
        tail = decay * (1 / a) * (a < 2).where(polynomial(inverse, _ERFC_P32), polynomial(inverse, _ERFC_R32))
        limit = 88.72283905206835
    tail = (square > limit).where(0, tail)
    tail = (x < 0).where(2 - tail, tail)
    return (a < 1).where(1 - x.unary("erf"), tail)


_ERF_INV_32 = (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
     0.246640727, 1.50140941),
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
     1.00167406, 2.83297682),
)  # fmt: skip
_ERF_INV_64 = (
    (-3.6444120640178196996e-21, -1.685059138182016589e-19, 1.2858480715256400167e-18, 1.115787767802518096e-17,
     -1.333171662854620906e-16, 2.0972767875968561637e-17, 6.6376381343583238325e-15, -4.0545662729752068639e-14,
     -8.1519341976054721522e-14, 2.6335093153082322977e-12, -1.2975133253453532498e-11, -5.4154120542946279317e-11,
     1.051212273321532285e-09, -4.1126339803469836976e-09, -2.9070369957882005086e-08, 4.2347877827932403518e-07,
     -1.3654692000834678645e-06, -1.3882523362786468719e-05, 0.0001867342080340571352, -0.00074070253416626697512,
     -0.0060336708714301490533, 0.24015818242558961693, 1.6536545626831027356),
    (2.2137376921775787049e-09, 9.0756561938885390979e-08, -2.7517406297064545428e-07, 1.8239629214389227755e-08,
     1.5027403968909827627e-06, -4.013867526981545969e-06, 2.9234449089955446044e-06, 1.2475304481671778723e-05,
     -4.7318229009055733981e-05, 6.8284851459573175448e-05, 2.4031110387097893999e-05, -0.0003550375203628474796,
     0.00095328937973738049703, -0.0016882755560235047313, 0.0024914420961078508066, -0.0037512085075692412107,
     0.005370914553590063617, 1.0052589676941592334, 3.0838856104922207635),
    (-2.7109920616438573243e-11, -2.5556418169965252055e-10, 1.5076572693500548083e-09, -3.7894654401267369937e-09,
     7.6157012080783393804e-09, -1.4960026627149240478e-08, 2.9147953450901080826e-08, -6.7711997758452339498e-08,
     2.2900482228026654717e-07, -9.9298272942317002539e-07, 4.5260625972231537039e-06, -1.9681778105531670567e-05,
     7.5995277030017761139e-05, -0.00021503011930044477347, -0.00013871931833623122026, 1.0103004648645343977,
     4.8499064014085844221),
)  # fmt: skip


def _erf_inv(x: Value) -> Value:
    w = -((-(x * x)).unary("log-plus-one"))
    root = w.unary("sqrt")
    if x.type is F64:
        centre, middle, tail = _ERF_INV_64
        result = (w < 16).where(polynomial(root - 3.25, middle), polynomial(root - 5, tail))
        result = (w < 6.25).where(polynomial(w - 3.125, centre), result)
    else:
        centre, tail = _ERF_INV_32
        result = (w < 5).where(polynomial(w - 2.5, centre), polynomial(root - 3, tail))
    return x.unary("abs").equals(1).where(x * math.inf, result * x)


# ---- gamma functions

_LANCZOS_G = 7.0
_LANCZOS_BASE = 0.99999999999980993227684700473478
_LANCZOS = (
    676.520368121885098567009190444019, -1259.13921672240287047156078755283, 771.3234287776530788486528258894,
    -176.61502916214059906584551354, 12.507343278686904814458936853, -0.13857109526572011689554707,
    9.984369578019570859563e-6, 1.50563273514931155834e-7,
)  # fmt: skip


def _lgamma(x: Value) -> Value:
    """log|gamma(x)|: Lanczos' series for x >= 1/2, Euler's reflection log(pi / |sin(pi x)|) - lgamma(1 - x) below."""
    reflect = x < 0.5
    z = reflect.where(-x, x - 1)
    series: Value | float = _LANCZOS_BASE
    for k, c in enumerate(_LANCZOS, 1):
        series = c / (z + k) + series
    assert isinstance(series, Value)
    shift = _LANCZOS_G + 0.5
    log_t = (z / shift).unary("log-plus-one") + math.log(shift)
    # (z + 1/2) log t - t, arranged so that it does not overflow before the result does.
    r = (z + 0.5 - (z + shift) / log_t) * log_t
    above = r + 0.5 * math.log(2 * math.pi) + series.unary("log")
    a = x.unary("abs")
    fraction = a - a.unary("floor")
    fraction = (fraction > 0.5).where(1 - fraction, fraction)
    sine = (fraction * math.pi).unary("sine").unary("log")
    below = sine.unary("is-finite").where(math.log(math.pi) - sine - above, -sine)
    return a.equals(math.inf).where(math.inf, reflect.where(below, above))


def _digamma(x: Value) -> Value:
    """log t + a'/a - g/t with Lanczos' series a; below 1/2 by digamma(1 - x) - pi cot(pi x)."""
    reflect = x < 0.5
    z = reflect.where(-x, x - 1)
    series = Value(like(x.instruction, _LANCZOS_BASE))
    slope = Value(like(x.instruction, 0))
    for k, c in enumerate(_LANCZOS, 1):
        term = z + k
        slope = slope - c / (term * term)
        series = series + c / term
    shift = _LANCZOS_G + 0.5
    log_t = (z / shift).unary("log-plus-one") + math.log(shift)
    above = log_t + slope / series - _LANCZOS_G / (z + shift)
    reduced = (x + (x + 0.5).unary("floor").unary("abs")) * math.pi
    below = above - math.pi * reduced.unary("cosine") / reduced.unary("sine")
    result = reflect.where(below, above)
    pole = (x < 0) & x.equals(x.unary("floor"))
    return x.equals(0).where(-math.inf, pole.where(math.nan, result))


# (2k)! / B_2k for k = 12, 11, ..., 1: the terms of the Euler-Maclaurin formula.
_ZETA = (
    -7.1661652561756670113e18, 1.8152105401943546773e17, -4.5979787224074726105e15, 1.1646782814350067249e14,
    -2.950130727918164224e12, 7.47242496e10, -1.8924375803183791606e9, 47900160.0, -1209600.0, 30240.0, -720.0, 12.0,
)  # fmt: skip


def _zeta(x: Value, q: Value) -> Value:
    """Hurwitz' zeta: ten terms of the sum, then the Euler-Maclaurin formula (Johansson, 2014, formula 5)."""
    power = -x
    at = q
    total = q.binary("power", power)
    for _ in range(9):
        at = at + 1
        total = total + at.binary("power", power)
    at = at + 1
    last = at.binary("power", power)
    inverse_square = 1 / (at * at)
    tail: Value = Value(like(x.instruction, 0))
    for i, c in enumerate(_ZETA[:-1]):
        tail = (x + (22 - 2 * i)) * (x + (21 - 2 * i)) * (inverse_square * (tail + 1 / c))
    correction = last * (0.5 + x / at * (tail + 1 / _ZETA[-1]))
    accurate = total + last * at / (x - 1) + correction
    tiny = float(np.finfo(x.type.dtype).smallest_subnormal)
    result = (last.unary("abs") < total.unary("abs") * tiny).where(total, accurate)
    whole_x, whole_q = x.equals(x.unary("floor")), q.equals(q.unary("floor"))
    result = (x < 1).where(math.nan, result)
    result = ((q <= 0) & x.differs(x.unary("floor"))).where(math.nan, result)
    even = whole_x & x.binary("remainder", 2).equals(0)
    pole = even.where(math.inf, Value(like(x.instruction, math.nan)))
    result = ((q <= 0) & whole_q).where(pole, result)
    return x.equals(1).where(math.inf, result)


def _polygamma(n: Value, x: Value) -> Value:
    """(-1)^(n+1) n! zeta(n + 1, x); digamma for n = 0."""
    sign = 2 * n.binary("remainder", 2) - 1
    result = sign * _lgamma(n + 1).unary("exponential") * _zeta(n + 1, x)
    result = n.equals(0).where(_digamma(x), result)
    return (n.differs(n.unary("floor")) | (n < 0)).where(math.nan, result)


_I1E_64 = (
    (2.77791411276104639959e-18, -2.11142121435816608115e-17, 1.55363195773620046921e-16, -1.10559694773538630805e-15,
     7.60068429473540693410e-15, -5.04218550472791168711e-14, 3.22379336594557470981e-13, -1.98397439776494371520e-12,
     1.17361862988909016308e-11, -6.66348972350202774223e-11, 3.62559028155211703701e-10, -1.88724975172282928790e-9,
     9.38153738649577178388e-9, -4.44505912879632808065e-8, 2.00329475355213526229e-7, -8.56872026469545474066e-7,
     3.47025130813767847674e-6, -1.32731636560394358279e-5, 4.78156510755005422638e-5, -1.61760815825896745588e-4,
     5.12285956168575772895e-4, -1.51357245063125314899e-3, 4.15642294431288815669e-3, -1.05640848946261981558e-2,
     2.47264490306265168283e-2, -5.29459812080949914269e-2, 1.02643658689847095384e-1, -1.76416518357834055153e-1,
     2.52587186443633654823e-1),
    (7.51729631084210481353e-18, 4.41434832307170791151e-18, -4.65030536848935832153e-17, -3.20952592199342395980e-17,
     2.96262899764595013876e-16, 3.30820231092092828324e-16, -1.88035477551078244854e-15, -3.81440307243700780478e-15,
     1.04202769841288027642e-14, 4.27244001671195135429e-14, -2.10154184277266431302e-14, -4.08355111109219731823e-13,
     -7.19855177624590851209e-13, 2.03562854414708950722e-12, 1.41258074366137813316e-11, 3.25260358301548823856e-11,
     -1.89749581235054123450e-11, -5.58974346219658380687e-10, -3.83538038596423702205e-9, -2.63146884688951950684e-8,
     -2.51223623787020892529e-7, -3.88256480887769039346e-6, -1.10588938762623716291e-4, -9.76109749136146840777e-3,
     7.78576235018280120474e-1),
)  # fmt: skip


def _chebyshev(x: Value, coefficients: Sequence[float]) -> Value:
    """Clenshaw's recurrence, highest first."""
    zero = Value(like(x.instruction, 0))
    before, last, result = zero, zero, zero
    for c in coefficients:
        before, last = last, result
        result = x * last - before + c
    return (result - before) * 0.5


def _bessel_i1e(x: Value) -> Value:
    """e^-|x| times the modified Bessel function of order one, by Chebyshev series on [0, 8] and [8, inf)."""
    # In float32 the leading terms of both series are below half a unit in the last place.
    cut = (0, 0) if x.type is F64 else (12, 18)
    inner, outer = _I1E_64[0][cut[0] :], _I1E_64[1][cut[1] :]
    z = x.unary("abs")
    small = z * _chebyshev(0.5 * z - 2, inner)
    large = _chebyshev(32 / z - 2, outer) / z.unary("sqrt")
    return x.unary("sign") * (z <= 8).where(small, large)


# ---- bits and integers


def _next_after(x: Value, y: Value) -> Value:
    """The next float from `x` towards `y`: one more or one less as an integer of the same bits."""
    row = x.type
    if not row.is_float:
        raise ShapeError(f"next_after: operand 0 is {x.shape}; its elements must be floating point")
    bits = element_type(f"u{row.bits}")
    sign = 1 << (row.bits - 1)
    a, b = x.bitcast(bits), y.bitcast(bits)
    magnitude_a, magnitude_b = a & (sign - 1), b & (sign - 1)
    inward = (magnitude_a > magnitude_b) | (a & sign).differs(b & sign)
    step = inward.where(Value(like(a.instruction, -1)), 1)
    result = magnitude_a.equals(0).where((b & sign) | 1, a + step)
    result = x.equals(y).where(b, result)
    nan = x.differs(x) | y.differs(y)
    return nan.where(math.nan, result.bitcast(row))


def _mulhi(x: Value, y: Value) -> Value:
    """The upper half of the product of two integers."""
    row = x.type
    if not row.is_integer:
        raise ShapeError(f"mulhi: operand 0 is {x.shape}; its elements must be integers")
    if row.bits <= 32:
        wide = element_type(f"{row.kind}{max(2 * row.bits, 8)}")
        shift = "shift-right-arithmetic" if row.kind == "s" else "shift-right-logical"
        return (x.convert(wide) * y.convert(wide)).binary(shift, row.bits).convert(row)
    unsigned, low = element_type("u64"), (1 << 32) - 1
    a, b = x.convert(unsigned), y.convert(unsigned)
    a0, b0 = a & low, b & low
    a1, b1 = a.binary("shift-right-logical", 32), b.binary("shift-right-logical", 32)
    middle = a1 * b0 + (a0 * b0).binary("shift-right-logical", 32)
    other = a0 * b1 + (middle & low)
    high = a1 * b1 + middle.binary("shift-right-logical", 32) + other.binary("shift-right-logical", 32)
    if row.kind == "s":
        zero = Value(like(a.instruction, 0))
        high = high - (x < 0).where(b, zero) - (y < 0).where(a, zero)
    return high.convert(row)


def _square(x: Value) -> Value:
    if not x.type.is_complex:
        return x * x
    re, im = x.unary("real"), x.unary("imag")
    return join((re - im) * (re + im), 2 * (re * im))


def _conj(x: Value) -> Value:
    return join(x.unary("real"), -x.unary("imag")) if x.type.is_complex else x


def _is_inf(x: Value) -> Value:
    return x.unary("abs").equals(math.inf)


# Operation name to function of Values.
FUNCTIONS: dict[str, Callable[..., Value]] = {
    "acos": _both("acos", _acos, _complex_acos),
    "acosh": _both("acosh", _acosh, _complex_acosh),
    "asin": _both("asin", _asin, _complex_asin),
    "asinh": _both("asinh", _asinh, _complex_asinh),
    "atan": _both("atan", _atan, _complex_atan),
    "atanh": _both("atanh", _atanh, _complex_atanh),
    "sinh": _both("sinh", _sinh, _complex_sinh),
    "cosh": _both("cosh", _cosh, _complex_cosh),
    "bessel_i1e": _floats("bessel_i1e", _bessel_i1e),
    "erfc": _floats("erfc", _erfc),
    "erf_inv": _floats("erf_inv", _erf_inv),
    "lgamma": _floats("lgamma", _lgamma),
    "digamma": _floats("digamma", _digamma),
    "zeta": _floats("zeta", _zeta),
    "polygamma": _floats("polygamma", _polygamma),
    "next_after": _next_after,
    "mulhi": _mulhi,
    "square": _square,
    "conj": _conj,
    "is_inf": _is_inf,
    "is_pos_inf": lambda x: x.equals(math.inf),
    "is_neg_inf": lambda x: x.equals(-math.inf),
}
