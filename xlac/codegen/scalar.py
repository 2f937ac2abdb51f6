"""Scalar code of every elementwise opcode, for one element or a vector of them.

How an element type is held while it is computed with:
  pred                      i1
  integers                  their own width; 2- and 4-bit ones in i8, sign- or zero-extended
  f32, f64                  float, double
  narrower floats           float, always rounded to a value of the type
  complex                   a `Complex` of two floating-point values
and in memory: pred and 2- and 4-bit integers are bytes, narrower floats their bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

import numpy as np

from xlac.codegen.complex import COMPLEX, Complex, absolute, divide, sign
from xlac.codegen.emit import FunctionEmitter, Value, lanes, scalar, vector, with_scalar
from xlac.codegen.hyperbolic import HYPERBOLIC
from xlac.codegen.lanes import Lanes, fma
from xlac.codegen.lanes import select as choose
from xlac.codegen.math import FUNCTIONS
from xlac.codegen.narrow import decode_narrow, encode_rounded, round_narrow, round_to_odd
from xlac.errors import CompileError
from xlac.ir.opcode import OPCODES
from xlac.ir.shape import BF16, F16, F32, F64, PRED, ElementType

Held = Union[Value, Complex]


def held_type(t: ElementType) -> str:
    """The LLVM type of one element while it is computed with; of one part, for complex types."""
    if t.kind == "p":
        return "i1"
    if t.kind in "su":
        return f"i{max(t.bits, 8)}"
    return "double" if t.real is F64 else "float"


def memory_type(t: ElementType) -> str:
    """The LLVM type of one element in memory; of one part, for complex types."""
    if t.kind == "p":
        return "i8"
    if t.kind in "su":
        return f"i{max(t.bits, 8)}"
    return {"f64": "double", "f32": "float"}.get(t.real.name, f"i{max(t.bits, 8)}")


# ---- narrow floats


def _bits32(e: FunctionEmitter, x: Value) -> Value:
    return e.bitcast(x, with_scalar(x.type, "i32"))


def _float32(e: FunctionEmitter, bits: Value) -> Value:
    return e.bitcast(bits, with_scalar(bits.type, "float"))


def _has_half(e: FunctionEmitter) -> bool:
    return e.target.has("f16c") or e.target.arch == "aarch64"


def round_to(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """A float rounded to a narrower type (nearest, ties to even), still held as a float."""
    if t is BF16:
        bits = _bits32(e, x)
        i = bits.type
        odd = e.and_(e.lshr(bits, e.const(i, 16)), e.const(i, 1))
        rounded = e.and_(e.add(bits, e.add(odd, e.const(i, 0x7FFF))), e.const(i, 0xFFFF0000))
        quiet = e.and_(e.or_(bits, e.const(i, 0x00400000)), e.const(i, 0xFFFF0000))
        return _float32(e, e.select(e.fcmp("uno", x, x), quiet, rounded))
    if t is F16 and _has_half(e):
        return e.cast("fpext", e.cast("fptrunc", x, with_scalar(x.type, "half")), x.type)
    return round_narrow(e, x, t)


def encode(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """The bits, as integers of the type's memory width, of floats that are numbers of a narrower type."""
    if t is BF16:
        bits = e.lshr(_bits32(e, x), e.const(with_scalar(x.type, "i32"), 16))
        return e.cast("trunc", bits, with_scalar(x.type, "i16"))
    if t is F16 and _has_half(e):
        return e.bitcast(e.cast("fptrunc", x, with_scalar(x.type, "half")), with_scalar(x.type, "i16"))
    return encode_rounded(e, x, t)


def decode(e: FunctionEmitter, bits: Value, t: ElementType) -> Value:
    """The float that bits of a narrower type stand for."""
    if t is BF16:
        wide = e.cast("zext", bits, with_scalar(bits.type, "i32"))
        return _float32(e, e.shl(wide, e.const(wide.type, 16)))
    if t is F16 and _has_half(e):
        return e.cast("fpext", e.bitcast(bits, with_scalar(bits.type, "half")), with_scalar(bits.type, "float"))
    return decode_narrow(e, bits, t)


def from_memory(e: FunctionEmitter, v: Value, t: ElementType) -> Value:
    """A value as loaded from memory, as it is held."""
    if t.kind == "p":
        return e.icmp("ne", v, e.const(v.type, 0))
    if t.is_float and t.bits < 32:
        return decode(e, v, t)
    return wrap_small(e, v, t)  # a byte's high bits are not part of a 2- or 4-bit integer


def to_memory(e: FunctionEmitter, v: Value, t: ElementType) -> Value:
    """A held value as it is stored to memory."""
    if t.kind == "p":
        return e.cast("zext", v, with_scalar(v.type, "i8"))
    if t.is_float and t.bits < 32:
        return encode(e, v, t)
    return v


def wrap_small(e: FunctionEmitter, v: Value, t: ElementType) -> Value:
    """An i8 reduced to a 2- or 4-bit integer."""
    if t.bits >= 8 or not t.is_integer:
        return v
    shift = e.const(v.type, 8 - t.bits)
    up = e.shl(v, shift)
    return e.ashr(up, shift) if t.kind == "s" else e.lshr(up, shift)


def constant(e: FunctionEmitter, t: ElementType, number: Any, n: int = 1) -> Held:
    """A number of an element type in `n` lanes."""
    kind = vector(n, held_type(t))
    if t.is_complex:
        value = complex(number)
        return Complex(e.const(kind, value.real), e.const(kind, value.imag))
    if t.is_float and t.bits < 32:
        number = float(np.asarray(number, t.dtype).astype(np.float32))
    return e.const(kind, number)


# ---- the table

Code = Callable[..., Held]
SCALAR: dict[str, Code] = {}


def _code(*names: str) -> Callable[[Code], Code]:
    def register(function: Code) -> Code:
        for name in names:
            SCALAR[name] = function
        return function

    return register


def emit_opcode(
    e: FunctionEmitter,
    opcode: str,
    result: ElementType,
    types: Sequence[ElementType],
    args: Sequence[Held],
    attrs: dict,
) -> Held:
    """Code for one elementwise opcode.

    Args:
      result, types: element types of the result and the arguments.
      args: the arguments, all of the same number of lanes.

    Raises:
      CompileError: the opcode has no scalar code for these types.
    """
    function = SCALAR.get(opcode)
    if function is None:
        raise CompileError(f"{opcode} has no scalar code")
    value = function(e, result, types, args, attrs)
    if isinstance(value, Value):
        if result.is_integer and result.bits < 8:
            return wrap_small(e, value, result)
        if result.is_float and result.bits < 32 and opcode not in (_EXACT if result.bits == 16 else _CHOOSING):
            return round_to(e, value, result)
    return value


# Opcodes that give one of their operands, or round by their own code.
_CHOOSING = frozenset("abs select maximum minimum clamp copy convert bitcast-convert reduce-precision".split())
# Opcodes whose result, computed from rounded values, is rounded already in types that have a negative zero.
_EXACT = _CHOOSING | frozenset("negate sign ceil floor round-nearest-afz round-nearest-even".split())


def _simple(name: str, float_op: str, int_op: str, pred_op: str | None = None) -> None:
    @_code(name)
    def run(
        e: FunctionEmitter, result: ElementType, types: Sequence[ElementType], args: Sequence[Any], attrs: dict
    ) -> Held:
        a, b = args
        if isinstance(a, Complex):
            f = getattr(e, float_op)
            return Complex(f(a.re, b.re), f(a.im, b.im))
        if result.is_float:
            return getattr(e, float_op)(a, b)
        if result.kind == "p" and pred_op is not None:
            return getattr(e, pred_op)(a, b)
        return getattr(e, int_op)(a, b)


_simple("add", "fadd", "add", "or_")
_simple("subtract", "fsub", "sub", "xor")


def complex_multiply(e: FunctionEmitter, a: Complex, b: Complex) -> Complex:
    return Complex(
        e.fsub(e.fmul(a.re, b.re), e.fmul(a.im, b.im)),
        e.fadd(e.fmul(a.re, b.im), e.fmul(a.im, b.re)),
    )


@_code("multiply")
def _multiply(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    a, b = args
    if isinstance(a, Complex):
        return complex_multiply(e, a, b)
    if result.is_float:
        return e.fmul(a, b)
    return e.and_(a, b) if result.kind == "p" else e.mul(a, b)


def _int_min(e: FunctionEmitter, t: ElementType, type: str) -> Value:
    return e.const(type, -(1 << (t.bits - 1)))


def _safe_divisor(e: FunctionEmitter, t: ElementType, a: Value, b: Value) -> tuple[Value, Value, Value | None]:
    """A divisor that never traps, whether it was zero, and whether the quotient overflows (signed types)."""
    zero = e.icmp("eq", b, e.const(b.type, 0))
    overflow = None
    bad = zero
    if t.kind == "s":
        overflow = e.and_(e.icmp("eq", a, _int_min(e, t, a.type)), e.icmp("eq", b, e.const(b.type, -1)))
        bad = e.or_(zero, overflow)
    return e.select(bad, e.const(b.type, 1), b), zero, overflow


@_code("divide")
def _divide(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    a, b = args
    if isinstance(a, Complex):
        return divide(e, a, b)
    if result.is_float:
        return e.fdiv(a, b)
    safe, zero, overflow = _safe_divisor(e, result, a, b)
    quotient = (e.sdiv if result.kind == "s" else e.udiv)(a, safe)
    if overflow is not None:
        quotient = e.select(overflow, a, quotient)
    return e.select(zero, e.const(a.type, -1), quotient)


@_code("remainder")
def _remainder(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    a, b = args
    if result.is_float:
        return _float_remainder(e, a, b)
    safe, zero, overflow = _safe_divisor(e, result, a, b)
    rest = (e.srem if result.kind == "s" else e.urem)(a, safe)
    if overflow is not None:
        rest = e.select(overflow, e.const(a.type, 0), rest)
    return e.select(zero, a, rest)


def _float_remainder(e: FunctionEmitter, a: Value, b: Value) -> Value:
    """a - b trunc(a/b), exactly; where the quotient is too large for its digits, by the C library."""
    flags, e.fast_math = e.fast_math, ""
    x, y = Lanes(e, a), Lanes(e, b)
    size, divisor = x.abs(), y.abs()
    quotient = (size / divisor).call("trunc")
    # The quotient may be one too large or too small, the remainder then is off by the divisor.
    rest = fma(-quotient, divisor, size)
    rest = choose(rest < 0.0, rest + divisor, rest)
    rest = choose(rest >= divisor, rest - divisor, rest)
    rest = choose(divisor.eq(float("inf")), size, rest).with_sign_of(x)
    limit = 2.0**52 if scalar(a.type) == "double" else 2.0**23
    hard = quotient.compare("uge", limit) & ~x.compare("uno", y) & (size < float("inf")) & (divisor > 0.0)
    invalid = x.compare("uno", y) | size.eq(float("inf")) | divisor.eq(0.0)
    result = choose(invalid, float("nan"), rest)
    before, slow, after = e.current_block, e.new_block("fmod"), e.new_block("remainder")
    e.cond_br(e.vector_reduce("or", hard.v), slow, after, weights=(1, 2000))
    e.at(slow)
    exact = e.select(hard.v, e.frem(a, b), result.v)
    slow = e.current_block
    e.br(after)
    e.at(after)
    e.fast_math = flags
    return e.phi(a.type, [(result.v, before), (exact, slow)])


def _extremum(e: FunctionEmitter, t: ElementType, a: Held, b: Held, greatest: bool) -> Held:
    if isinstance(a, Complex) and isinstance(b, Complex):
        order = "ogt" if greatest else "olt"
        first = e.or_(e.fcmp(order, a.re, b.re), e.and_(e.fcmp("oeq", a.re, b.re), e.fcmp(order, a.im, b.im)))
        return Complex(e.select(first, a.re, b.re), e.select(first, a.im, b.im))
    assert isinstance(a, Value) and isinstance(b, Value)
    if t.is_float:
        return e.maximum(a, b) if greatest else e.minimum(a, b)
    if t.kind == "p":
        return e.or_(a, b) if greatest else e.and_(a, b)
    if t.kind == "s":
        return e.smax(a, b) if greatest else e.smin(a, b)
    return e.umax(a, b) if greatest else e.umin(a, b)


@_code("maximum")
def _maximum(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return _extremum(e, result, *args, greatest=True)


@_code("minimum")
def _minimum(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return _extremum(e, result, *args, greatest=False)


@_code("clamp")
def _clamp(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    low, x, high = args
    return _extremum(e, result, _extremum(e, result, x, low, True), high, False)


def _bit_operation(name: str, method: str) -> None:
    @_code(name)
    def run(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
        return getattr(e, method)(*args)


_bit_operation("and", "and_")
_bit_operation("or", "or_")
_bit_operation("xor", "xor")


@_code("not")
def _not(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return e.not_(args[0])


def _shift_amount(e: FunctionEmitter, t: ElementType, y: Value) -> tuple[Value, Value]:
    """Whether the amount is below the width, and the amount made so."""
    width = e.const(y.type, t.bits)
    inside = e.icmp("ult", y, width)
    return inside, e.select(inside, y, e.const(y.type, 0))


@_code("shift-left")
def _shift_left(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    inside, amount = _shift_amount(e, result, args[1])
    return e.select(inside, e.shl(args[0], amount), e.const(args[0].type, 0))


@_code("shift-right-logical")
def _shift_right_logical(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    inside, amount = _shift_amount(e, result, args[1])
    x = args[0]
    if result.bits < 8:
        x = e.and_(x, e.const(x.type, (1 << result.bits) - 1))
    return e.select(inside, e.lshr(x, amount), e.const(x.type, 0))


@_code("shift-right-arithmetic")
def _shift_right_arithmetic(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    x, y = args
    last = e.const(y.type, result.bits - 1)
    amount = e.select(e.icmp("ult", y, last), y, last)
    if result.bits < 8:
        up = e.const(x.type, 8 - result.bits)
        x = e.ashr(e.shl(x, up), up)
    return e.ashr(x, amount)


@_code("negate")
def _negate(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    (x,) = args
    if isinstance(x, Complex):
        return Complex(e.fneg(x.re), e.fneg(x.im))
    return e.fneg(x) if result.is_float else e.sub(e.const(x.type, 0), x)


@_code("abs")
def _abs(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    (x,) = args
    if isinstance(x, Complex):
        return absolute(e, x)
    if result.is_float:
        return e.fabs(x)
    return x if result.kind == "u" else e.intrinsic("abs", x.type, x, e.const("i1", 0))


@_code("sign")
def _sign(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    (x,) = args
    if isinstance(x, Complex):
        return sign(e, x)
    if result.is_float:
        keep = e.fcmp("ueq", x, e.const(x.type, 0.0))
        return e.select(keep, x, e.copysign(e.const(x.type, 1.0), x))
    one, zero = e.const(x.type, 1), e.const(x.type, 0)
    positive = e.select(e.icmp("eq", x, zero), zero, one)
    return positive if result.kind == "u" else e.select(e.icmp("slt", x, zero), e.const(x.type, -1), positive)


def _rounding(name: str, intrinsic: str) -> None:
    @_code(name)
    def run(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
        return e.intrinsic(intrinsic, args[0].type, args[0])


_rounding("ceil", "ceil")
_rounding("floor", "floor")
_rounding("round-nearest-even", "rint")
_rounding("round-nearest-afz", "round")


@_code("is-finite")
def _is_finite(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    (x,) = args
    return e.fcmp("olt", e.fabs(x), e.const(x.type, float("inf")))


@_code("popcnt")
def _popcnt(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    x = args[0]
    if result.bits < 8:
        x = e.and_(x, e.const(x.type, (1 << result.bits) - 1))
    return e.intrinsic("ctpop", x.type, x)


@_code("count-leading-zeros")
def _clz(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    x = args[0]
    if result.bits < 8:
        x = e.and_(x, e.const(x.type, (1 << result.bits) - 1))
    count = e.intrinsic("ctlz", x.type, x, e.const("i1", 0))
    return e.sub(count, e.const(x.type, 8 - result.bits)) if result.bits < 8 else count


@_code("mulhi")
def _mulhi(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    """The upper half of the product of twice as many bits."""
    a, b = args
    extend, shift = ("sext", e.ashr) if result.kind == "s" else ("zext", e.lshr)
    if result.bits < 8:
        return shift(e.mul(a, b), e.const(a.type, result.bits))
    wide = with_scalar(a.type, f"i{2 * result.bits}")
    product = e.mul(e.cast(extend, a, wide), e.cast(extend, b, wide))
    return e.cast("trunc", shift(product, e.const(wide, result.bits)), a.type)


def _math(name: str) -> None:
    @_code(name)
    def run(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
        if result.is_integer and name == "power":
            return _integer_power(e, result, *args)
        if result.is_complex:
            if name not in COMPLEX:
                raise CompileError(f"{name} of {result} has no scalar code")
            return COMPLEX[name](e, *args)
        return _REAL[name](e, *args)


_REAL = {**FUNCTIONS, **HYPERBOLIC}
for _name in _REAL:
    _math(_name)


def _integer_power(e: FunctionEmitter, t: ElementType, x: Value, y: Value) -> Value:
    """Powers by squaring, modulo 2^bits; a negative exponent gives 0 unless the base is 1 or -1.

    The loop ends with the longest exponent of the lanes.
    """
    one, zero = e.const(x.type, 1), e.const(x.type, 0)
    before, loop, done = e.current_block, e.new_block("power"), e.new_block("powered")
    e.br(loop)
    e.at(loop)
    product = e.phi(x.type, [(one, before)])
    base = e.phi(x.type, [(x, before)])
    rest = e.phi(x.type, [(y, before)])
    odd = e.icmp("ne", e.and_(rest, one), zero)
    new_product = e.select(odd, e.mul(product, base), product)
    new_base, new_rest = e.mul(base, base), e.lshr(rest, one)
    for phi, value in ((product, new_product), (base, new_base), (rest, new_rest)):
        e.add_incoming(phi, value, loop)
    e.cond_br(e.vector_reduce("or", e.icmp("ne", new_rest, zero)), loop, done)
    e.at(done)
    if t.kind == "u":
        return new_product
    minus = e.const(x.type, -1)
    odd = e.icmp("ne", e.and_(y, one), zero)
    inverse = e.select(e.icmp("eq", x, minus), e.select(odd, minus, one), zero)
    inverse = e.select(e.icmp("eq", x, one), one, inverse)
    return e.select(e.icmp("slt", y, zero), inverse, new_product)


# ---- comparison and choice


def total_order_key(e: FunctionEmitter, x: Value) -> Value:
    """Integers that order as IEEE's totalOrder orders the floats."""
    bits = e.bitcast(x, with_scalar(x.type, f"i{64 if scalar(x.type) == 'double' else 32}"))
    top = e.const(bits.type, (1 << (63 if "64" in bits.type else 31)) - 1)
    return e.select(e.icmp("slt", bits, e.const(bits.type, 0)), e.xor(bits, top), bits)


@_code("compare")
def _compare(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    a, b = args
    direction, t = attrs["direction"].lower(), types[0]
    if isinstance(a, Complex):
        same = e.and_(e.fcmp("oeq", a.re, b.re), e.fcmp("oeq", a.im, b.im))
        return same if direction == "eq" else e.not_(same)
    if t.is_float:
        if attrs.get("type") == "TOTALORDER":
            a, b = total_order_key(e, a), total_order_key(e, b)
            return e.icmp(direction if direction in ("eq", "ne") else "s" + direction, a, b)
        return e.fcmp("une" if direction == "ne" else "o" + direction, a, b)
    if direction in ("eq", "ne"):
        return e.icmp(direction, a, b)
    return e.icmp(("s" if t.kind == "s" else "u") + direction, a, b)


@_code("select")
def _select(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    c, a, b = args
    if isinstance(a, Complex):
        return Complex(e.select(c, a.re, b.re), e.select(c, a.im, b.im))
    return e.select(c, a, b)


# ---- types


@_code("copy")
def _copy(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return args[0]


@_code("real")
def _real(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return args[0].re if isinstance(args[0], Complex) else args[0]


@_code("imag")
def _imag(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return args[0].im if isinstance(args[0], Complex) else e.const(args[0].type, 0.0)


@_code("complex")
def _complex(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return Complex(*args)


@_code("convert")
def _convert(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    return convert(e, args[0], types[0], result)


def convert(e: FunctionEmitter, x: Held, source: ElementType, to: ElementType) -> Held:
    """HLO's convert: floats to integers saturate and truncate (NaN gives 0), anything but 0 is true."""
    if source is to:
        return x
    if isinstance(x, Complex):
        if to.is_complex:
            re, im = convert(e, x.re, source.real, to.real), convert(e, x.im, source.real, to.real)
            assert isinstance(re, Value) and isinstance(im, Value)
            return Complex(re, im)
        return convert(e, x.re, source.real, to)
    if to.is_complex:
        part = convert(e, x, source, to.real)
        assert isinstance(part, Value)
        return Complex(part, e.const(part.type, 0.0))
    kind = with_scalar(x.type, held_type(to))
    if to.kind == "p":
        if source.is_float:
            return e.fcmp("une", x, e.const(x.type, 0.0))
        return e.icmp("ne", x, e.const(x.type, 0))
    if to.is_integer:
        if source.kind == "p":
            return e.cast("zext", x, kind)
        if source.is_float:
            return _saturate(e, x, to, kind)
        return _resize(e, x, source, to, kind)
    if source.is_float:
        narrow = scalar(kind) == "float" and scalar(x.type) == "double"
        wide = scalar(kind) == "double" and scalar(x.type) == "float"
        if narrow and to.bits < 32:
            value = round_to_odd(e, x)
        else:
            value = e.cast("fptrunc" if narrow else "fpext", x, kind) if narrow or wide else x
    else:
        value = e.cast("sitofp" if source.kind == "s" else "uitofp", x, kind)
    return round_to(e, value, to) if to.bits < 32 else value


def _saturate(e: FunctionEmitter, x: Value, to: ElementType, kind: str) -> Value:
    value = e.intrinsic("fptosi.sat" if to.kind == "s" else "fptoui.sat", kind, x)
    if to.bits < 8:
        low = -(1 << (to.bits - 1)) if to.kind == "s" else 0
        high = (1 << (to.bits - (to.kind == "s"))) - 1
        if to.kind == "s":
            return e.smin(e.smax(value, e.const(kind, low)), e.const(kind, high))
        return e.umin(value, e.const(kind, high))
    return value


def _resize(e: FunctionEmitter, x: Value, source: ElementType, to: ElementType, kind: str) -> Value:
    have, want = int(scalar(x.type)[1:]), int(scalar(kind)[1:])
    if want < have:
        x = e.cast("trunc", x, kind)
    elif want > have:
        x = e.cast("sext" if source.kind == "s" else "zext", x, kind)
    return wrap_small(e, x, to)


def bits_of(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """The bits of a held value as an integer of its memory width."""
    if t.kind == "p":
        return e.cast("zext", x, with_scalar(x.type, "i8"))
    if t.is_float:
        return encode(e, x, t) if t.bits < 32 else e.bitcast(x, with_scalar(x.type, f"i{t.bits}"))
    return x


def of_bits(e: FunctionEmitter, x: Value, t: ElementType) -> Value:
    """The inverse of `bits_of`."""
    if t.kind == "p":
        return e.icmp("ne", x, e.const(x.type, 0))
    if t.is_float:
        return decode(e, x, t) if t.bits < 32 else e.bitcast(x, with_scalar(x.type, held_type(t)))
    return wrap_small(e, x, t)


@_code("bitcast-convert")
def _bitcast_convert(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    (x,) = args
    if isinstance(x, Complex):
        return x
    bits = bits_of(e, x, types[0])
    if types[0].bits < 8:
        bits = e.and_(bits, e.const(bits.type, (1 << types[0].bits) - 1))
    return of_bits(e, bits, result)


@_code("reduce-precision")
def _reduce_precision(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    """Round the mantissa to nearest even, then send exponents out of range to infinity or a signed zero."""
    (x,) = args
    # Denormals lose digits where they have them, so f16 is rounded in its own format.
    half = result is F16
    total, mantissa = (64, 52) if result is F64 else (16, 10) if half else (32, 23)
    exponent_bits, mantissa_bits = attrs["exponent_bits"], attrs["mantissa_bits"]
    bits = encode(e, x, F16) if half else e.bitcast(x, with_scalar(x.type, f"i{total}"))
    i = bits.type
    if mantissa_bits < mantissa:
        shift = mantissa - mantissa_bits
        last = e.and_(e.lshr(bits, e.const(i, shift)), e.const(i, 1))
        bits = e.add(bits, e.add(last, e.const(i, (1 << (shift - 1)) - 1)))
        bits = e.and_(bits, e.const(i, ~((1 << shift) - 1)))
    exponent = total - mantissa - 1
    if exponent_bits < exponent:
        sign = e.and_(bits, e.const(i, 1 << (total - 1)))
        field = e.and_(bits, e.const(i, ((1 << exponent) - 1) << mantissa))
        bias, new_bias = (1 << (exponent - 1)) - 1, (1 << (exponent_bits - 1)) - 1
        infinity = e.or_(sign, e.const(i, ((1 << exponent) - 1) << mantissa))
        large = e.icmp("ugt", field, e.const(i, (bias + new_bias) << mantissa))
        small = e.icmp("ule", field, e.const(i, (bias - new_bias) << mantissa))
        bits = e.select(large, infinity, e.select(small, sign, bits))
    rounded = decode(e, bits, F16) if half else e.bitcast(bits, x.type)
    value = e.select(e.fcmp("uno", x, x), x, rounded)
    return round_to(e, value, result) if result.bits < 16 else value


@_code("stochastic-convert")
def _stochastic_convert(e: FunctionEmitter, result: ElementType, types: Any, args: Any, attrs: dict) -> Held:
    """One of the two nearest integers: away from zero where the random bits, a fraction, are below the part cut off."""
    x, random = Lanes(e, args[0]), Lanes(e, args[1])
    bits = types[0].bits
    low, high = -(1 << (result.bits - 1)), (1 << (result.bits - 1)) - 1
    inside = (x > low) & (x < high)
    size = choose(inside, x.abs(), 0.0)
    whole = size.call("trunc")
    cut = ((size - whole) * 2.0**bits).cast("fptoui", scalar(random.type))
    up = Lanes(e, e.icmp("ult", random.v, cut.v))
    count = whole.cast("fptosi", "i64") + up.cast("zext", "i64")
    count = count.negative_if(x < 0.0)
    count = choose(x <= low, low, count)
    count = choose(x >= high, high, count)
    return count.cast("trunc", held_type(result)).v


def check_table() -> None:
    """Raise unless every elementwise opcode has scalar code."""
    from xlac.ir import ops  # noqa: F401  (fills the opcode table)

    missing = [name for name, row in OPCODES.items() if row.elementwise and name not in SCALAR]
    if missing:
        raise AssertionError(f"elementwise opcodes without scalar code: {', '.join(missing)}")


__all__ = ["F32", "PRED", "SCALAR", "Complex", "Held", "emit_opcode", "lanes"]
