"""Conversions that go or meet: only steps that lose nothing on the way may be skipped."""

from __future__ import annotations

import ml_dtypes

from xlac.ir.match import Any, rule
from xlac.ir.opcode import op
from xlac.ir.shape import BF16, F16, F32, F64, ElementType

x = Any("x")


@rule(op.convert(x))
def convert_to_same(root, x):
    """A conversion to the type it has changes nothing."""
    return x if x.shape == root.shape else None


@rule(op.convert(op.convert(x, name="inner")))
def convert_twice(root, inner, x):
    """convert(convert(x, B), C) = convert(x, C) where A to B loses nothing and C sees the same value either way."""
    a, b, c = (v.shape.element_type for v in (x, inner, root))
    return op.convert.make(x, shape=root.shape) if skips(a, b, c) else None


def skips(a: ElementType, b: ElementType, c: ElementType) -> bool:
    """Whether converting from `a` to `c` by way of `b` is converting from `a` to `c`."""
    if a.kind == "p":
        return b.is_integer or b in (F16, BF16, F32, F64)
    if a.is_integer and b.is_integer:
        return _widens(a, b)
    if a.is_integer and b in (F16, BF16, F32, F64):
        if _value_bits(a) > ml_dtypes.finfo(b.dtype).nmant + 1:
            return False
        # Integers wrap and floats saturate, which is the same only where the value fits.
        if c.is_integer:
            return c is a or _widens(a, c)
        return c.kind == "p" or c in (F32, F64) or _value_bits(a) <= 24
    if a.is_float and a.bits < 32:
        return b in (F32, F64)
    return a is F32 and b is F64


def _value_bits(row: ElementType) -> int:
    return row.bits - (row.kind == "s")


def _widens(a: ElementType, b: ElementType) -> bool:
    """Whether the integer type `b` holds every value of the integer type `a`."""
    return _value_bits(b) >= _value_bits(a) and (b.kind == "s" or a.kind == "u")


@rule(op.bitcast_convert(x))
def bitcast_convert_to_same(root, x):
    """Bits read as the type they have are the value."""
    return x if x.shape == root.shape else None


@rule(op.bitcast_convert(op.bitcast_convert(x)))
def bitcast_convert_twice(root, x):
    """Bits of bits are the bits, where the width is that of the first."""
    a, c = x.shape.element_type, root.shape.element_type
    if a.bits != c.bits or (a.is_complex and not c.is_complex) or (c.is_complex and not a.is_complex):
        return None
    return op.bitcast_convert.make(x, shape=root.shape) if x.dims == root.dims else None
