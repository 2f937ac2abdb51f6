"""`xlac.lax`: the operations of HLO as functions, with JAX's names and signatures.

Operands must have equal shapes and types, except that Python numbers take the type of the arrays beside them and
scalars are broadcast. `xlac.numpy` has NumPy's broadcasting and type promotion.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xlac import tree
from xlac.frontend import dtypes, trace
from xlac.frontend.control import (
    associative_scan,
    cond,
    fori_loop,
    map,
    scan,
    switch,
    while_loop,
)
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import emit, lift, shape_error
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import OPCODES, op
from xlac.ir.shape import ArrayShape, TupleShape, element_type

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "switch", "while_loop"]


# ---- types and broadcasting


def _convert(x: Tracer, dtype: np.dtype, weak: bool = False) -> Tracer:
    """`x` in another type.

    What stands for a Python number is converted from that number, so that it is rounded once.
    """
    if x.dtype == dtype:
        return x if x.weak_type == weak else Tracer(x._trace, x._instruction, weak, x.exact if weak else None)
    if isinstance(x.exact, Tracer):
        if dtype == x.exact.dtype:
            return Tracer(x.exact._trace, x.exact._instruction, weak)
        return emit(op.convert, x.exact, shape=ArrayShape(element_type(dtype)), weak=weak)
    if x.exact is not None and (dtypes.is_complex(dtype) or not isinstance(x.exact, builtins.complex)):
        active = trace.active()
        return Tracer(active, active.constant(trace.scalar_array(x.exact, dtype)), weak, x.exact if weak else None)
    return emit(op.convert, x, shape=ArrayShape(element_type(dtype), x.shape), weak=weak)


def _broadcast(x: Tracer, shape: Sequence[int], dimensions: Sequence[int]) -> Tracer:
    """HLO's broadcast: dimension i of `x` becomes dimension `dimensions[i]` of the result."""
    if x.shape == tuple(shape):
        return x
    target = ArrayShape(element_type(x.dtype), tuple(shape))
    return emit(op.broadcast, x, shape=target, dimensions=tuple(dimensions), weak=x.weak_type)


def _match(name: str, values: Sequence[Any]) -> list[Tracer]:
    """The operands of an elementwise opcode, in one type and shape: weak ones converted, scalars broadcast."""
    operands = [lift(v) for v in values]
    strong = [t for t in operands if not t.weak_type]
    for t in strong:
        if t.dtype != strong[0].dtype:
            raise shape_error(
                f"{name}: the operands are of types {', '.join(x.dtype.name for x in operands)}; they must be equal "
                "(convert one "
                "with lax.convert_element_type, or use xlac.numpy, which promotes)"
            )
    dtype, weak = dtypes.promote(*((t.dtype, t.weak_type) for t in operands))
    operands = [_convert(t, dtype, weak) for t in operands]
    shapes = [t.shape for t in operands if t.shape]
    if shapes:
        operands = [_broadcast(t, shapes[0], ()) if not t.shape else t for t in operands]
        for t in operands:
            if t.shape != shapes[0]:
                listed = ", ".join(str(list(t.shape)) for t in operands)
                raise shape_error(
                    f"{name}: the operands are of shapes {listed}; they must be equal (xlac.numpy broadcasts)"
                )
    return operands


# ---- elementwise functions, one row each


def _unary(function: str, opcode: str, what: str) -> Any:
    row = OPCODES[opcode]

    def call(x: ArrayLike) -> Array:
        operand = lift(x)
        return emit(row, operand, weak=operand.weak_type)

    return _named(call, function, what)


def _binary(function: str, opcode: str, what: str) -> Any:
    row = OPCODES[opcode]

    def call(x: ArrayLike, y: ArrayLike) -> Array:
        a, b = _match(function, (x, y))
        return emit(row, a, b, weak=a.weak_type)

    return _named(call, function, what)


def _compare(function: str, direction: str, what: str, kind: str | None = None) -> Any:
    def call(x: ArrayLike, y: ArrayLike) -> Array:
        a, b = _match(function, (x, y))
        return emit(op.compare, a, b, direction=direction, type=kind)

    return _named(call, function, what)


def _named(call: Callable[..., Any], name: str, what: str) -> Any:
    call.__name__ = call.__qualname__ = name
    call.__module__ = __name__
    call.__doc__ = what
    __all__.append(name)
    return array_function(call)


abs = _unary("abs", "abs", "Absolute value; of complex numbers, a real result.")
neg = _unary("neg", "negate", "-x.")
sign = _unary("sign", "sign", "-1, 0 or 1; x / |x| of complex numbers.")
ceil = _unary("ceil", "ceil", "Round up.")
floor = _unary("floor", "floor", "Round down.")
bitwise_not = _unary("bitwise_not", "not", "Complement of every bit, or of a bool.")
population_count = _unary("population_count", "popcnt", "Number of one bits.")
clz = _unary("clz", "count-leading-zeros", "Number of leading zero bits.")
exp = _unary("exp", "exponential", "e^x.")
expm1 = _unary("expm1", "exponential-minus-one", "e^x - 1, exact for small x.")
log = _unary("log", "log", "Natural logarithm.")
log1p = _unary("log1p", "log-plus-one", "log(1 + x), exact for small x.")
logistic = _unary("logistic", "logistic", "1 / (1 + e^-x).")
tanh = _unary("tanh", "tanh", "Hyperbolic tangent.")
sin = _unary("sin", "sine", "Sine.")
cos = _unary("cos", "cosine", "Cosine.")
tan = _unary("tan", "tan", "Tangent.")
sqrt = _unary("sqrt", "sqrt", "Square root.")
rsqrt = _unary("rsqrt", "rsqrt", "1 / sqrt(x).")
cbrt = _unary("cbrt", "cbrt", "Cube root.")
erf = _unary("erf", "erf", "Error function.")
is_finite = _unary("is_finite", "is-finite", "Whether neither infinite nor NaN.")
real = _unary("real", "real", "Real part.")
imag = _unary("imag", "imag", "Imaginary part.")

add = _binary("add", "add", "x + y.")
sub = _binary("sub", "subtract", "x - y.")
mul = _binary("mul", "multiply", "x * y.")
div = _binary("div", "divide", "x / y; of integers, rounded toward zero.")
rem = _binary("rem", "remainder", "Remainder of division toward zero: it has the sign of x.")
max = _binary("max", "maximum", "The greater; NaN if either is.")
min = _binary("min", "minimum", "The lesser; NaN if either is.")
pow = _binary("pow", "power", "x^y.")
atan2 = _binary("atan2", "atan2", "Angle of the point (y, x), given as atan2(y, x).")
bitwise_and = _binary("bitwise_and", "and", "x & y.")
bitwise_or = _binary("bitwise_or", "or", "x | y.")
bitwise_xor = _binary("bitwise_xor", "xor", "x ^ y.")
shift_left = _binary("shift_left", "shift-left", "x << y; 0 for y of at least the width.")
shift_right_arithmetic = _binary("shift_right_arithmetic", "shift-right-arithmetic", "x >> y, keeping the sign.")
shift_right_logical = _binary("shift_right_logical", "shift-right-logical", "x >> y, filling with zeros.")
complex = _binary("complex", "complex", "The complex number x + iy.")

eq = _compare("eq", "EQ", "x == y.")
ne = _compare("ne", "NE", "x != y.")
ge = _compare("ge", "GE", "x >= y.")
gt = _compare("gt", "GT", "x > y.")
le = _compare("le", "LE", "x <= y.")
lt = _compare("lt", "LT", "x < y.")


def _public(function: Callable[..., Any]) -> Any:
    __all__.append(function.__name__)
    return array_function(function)


@_public
def conj(x: ArrayLike) -> Array:
    """Complex conjugate; the number itself if it is real."""
    x = lift(x)
    return complex(real(x), neg(imag(x))) if dtypes.is_complex(x.dtype) else x


@_public
def square(x: ArrayLike) -> Array:
    """x * x."""
    x = lift(x)
    return mul(x, x)


@_public
def reciprocal(x: ArrayLike) -> Array:
    """1 / x."""
    return div(1, x)


@_public
def integer_pow(x: ArrayLike, y: int) -> Array:
    """x to a fixed integer power, by repeated multiplication."""
    x = lift(x)
    if y == 0:
        return full_like(x, 1)
    if y < 0:
        return div(1, integer_pow(x, -y))
    result, base = None, x
    while y:
        if y & 1:
            result = base if result is None else mul(result, base)
        y >>= 1
        if y:
            base = mul(base, base)
    return result


@_public
def erfc(x: ArrayLike) -> Array:
    """1 - erf(x)."""
    return sub(1, erf(x))


@_public
def round(x: ArrayLike, rounding_method: int = 0) -> Array:
    """Nearest integer: halves away from zero (method 0), or to even (method 1)."""
    x = lift(x)
    row = op.round_nearest_even if rounding_method else op.round_nearest_afz
    return emit(row, x, weak=x.weak_type)


class RoundingMethod:
    """Where halves go."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


@_public
def nextafter(x: ArrayLike, y: ArrayLike) -> Array:
    """The float next to x in the direction of y."""
    x, y = _match("nextafter", (x, y))
    bits = element_type(x.dtype).bits
    integer = np.dtype(f"i{bits // 8}")
    raw = bitcast_convert_type(x, integer)
    up = eq(gt(y, x), gt(x, 0))
    step = select(up, full_like(raw, 1), full_like(raw, -1))
    moved = bitcast_convert_type(add(raw, step), x.dtype)
    tiny = bitcast_convert_type(full_like(raw, 1), x.dtype)
    from_zero = select(gt(y, 0), tiny, neg(tiny))
    result = select(eq(x, 0), from_zero, moved)
    result = select(eq(x, y), y, result)
    return select(bitwise_or(ne(x, x), ne(y, y)), full_like(x, math.nan), result)


@_public
def convert_element_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The array in another element type: floats to integers truncate, anything but 0 is true."""
    x = lift(operand)
    dtype = dtypes.as_dtype(new_dtype)
    weak = new_dtype in (int, float, builtins.complex) if isinstance(new_dtype, type) else False
    if dtype == np.bool_ and x.dtype != np.bool_:
        return ne(x, full_like(x, 0))
    return _convert(x, dtype, weak and x.weak_type)


@_public
def bitcast_convert_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The same bits as another type; a narrower one adds a last dimension, a wider one takes it away."""
    x = lift(operand)
    old, new = element_type(x.dtype), element_type(dtypes.as_dtype(new_dtype))
    if old is new:
        return x
    dims = x.shape
    if new.bits < old.bits:
        dims = (*dims, old.bits // new.bits)
    elif new.bits > old.bits:
        dims = dims[:-1]
    return emit(op.bitcast_convert, x, shape=ArrayShape(new, dims))


@_public
def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Array:
    """Floats rounded to fewer exponent and mantissa bits, in their own type."""
    return emit(op.reduce_precision, lift(operand), exponent_bits=exponent_bits, mantissa_bits=mantissa_bits)


@_public
def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """`on_true` where `pred` holds, else `on_false`; `pred` has their shape or is a scalar."""
    a, b = _match("select", (on_true, on_false))
    p = lift(pred)
    if p.shape and not a.shape:
        a, b = _broadcast(a, p.shape, ()), _broadcast(b, p.shape, ())
    return emit(op.select, p, a, b, weak=a.weak_type)


@_public
def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """The case whose number `which` holds; False is case 0."""
    which = lift(which)
    operands = _match("select_n", cases)
    if which.dtype == np.bool_:
        if len(operands) > 2:
            raise shape_error(f"select_n: a bool chooses between 2 cases, got {len(operands)}")
        return operands[0] if len(operands) == 1 else emit(op.select, which, operands[1], operands[0])
    result = operands[-1]
    for i in reversed(range(len(operands) - 1)):
        result = emit(op.select, lt(which, i + 1), operands[i], result)
    return result


@_public
def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """`x` limited to [min, max]; the limits have its shape or are scalars."""
    x = lift(x)
    low, high = (_convert(lift(v), x.dtype) if lift(v).weak_type else lift(v) for v in (min, max))
    return emit(op.clamp, low, x, high, weak=x.weak_type)


@_public
def stop_gradient(x: ArrayLike) -> Array:
    """`x`, taken as a constant by gradients."""
    return tree.map(_stop, x)


def _stop(x: Any) -> Tracer:
    x = lift(x)
    marker = emit(op.copy, x, weak=x.weak_type)
    marker._trace.session.notes[marker._instruction] = trace.Note(lambda instruction, cotangent, needed: [None])
    return marker


# ---- creation


@_public
def full(shape: Sequence[int], fill_value: ArrayLike, dtype: Any = None) -> Array:
    """An array of one value."""
    value = lift(fill_value)
    value = _convert(value, value.dtype if dtype is None else dtypes.as_dtype(dtype))
    return _broadcast(value, _dims(shape), ())


@_public
def full_like(x: ArrayLike, fill_value: ArrayLike, dtype: Any = None, shape: Sequence[int] | None = None) -> Array:
    """An array of one value, with the shape and type of `x`."""
    x = lift(x)
    target = x.dtype if dtype is None else dtypes.as_dtype(dtype)
    if isinstance(fill_value, (bool, int, float, builtins.complex)) and not isinstance(fill_value, np.generic):
        value = lift(trace.scalar_array(fill_value, target))
    else:
        value = _convert(lift(fill_value), target)
    result = _broadcast(value, x.shape if shape is None else _dims(shape), ())
    return Tracer(result._trace, result._instruction, x.weak_type) if dtype is None and x.weak_type else result


@_public
def iota(dtype: Any, size: int) -> Array:
    """0, 1, ..., size - 1."""
    return broadcasted_iota(dtype, (size,), 0)


@_public
def broadcasted_iota(dtype: Any, shape: Sequence[int], dimension: int) -> Array:
    """An array whose elements are their index along one dimension."""
    return emit(op.iota, shape=ArrayShape(element_type(dtypes.as_dtype(dtype)), _dims(shape)), iota_dimension=dimension)


def _dims(shape: Any) -> tuple[int, ...]:
    """A shape argument as a tuple; traced values in it raise with the user's line."""
    if isinstance(shape, Tracer):
        shape.__index__()
    if np.ndim(shape) == 0 and not isinstance(shape, (tuple, list)):
        shape = (shape,)
    return tuple(n.__index__() for n in shape)


# ---- movement


@_public
def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Array:
    """Add leading dimensions."""
    x = lift(operand)
    dims = _dims(sizes)
    return _broadcast(x, dims + x.shape, range(len(dims), len(dims) + x.ndim))


@_public
def broadcast_in_dim(operand: ArrayLike, shape: Sequence[int], broadcast_dimensions: Sequence[int]) -> Array:
    """Dimension i of the operand becomes dimension `broadcast_dimensions[i]` of the result.

    Those of extent 1 are stretched.
    """
    x = lift(operand)
    shape, where = _dims(shape), tuple(broadcast_dimensions)
    if len(where) != x.ndim:
        raise shape_error(
            f"broadcast_in_dim: {len(where)} broadcast_dimensions for an operand of shape {list(x.shape)}"
        )
    if x.shape == shape and where == tuple(range(len(shape))):
        return x
    keep = [i for i, d in enumerate(where) if not (x.shape[i] == 1 and shape[d] != 1)]
    if len(keep) < x.ndim:
        x, where = reshape(x, [x.shape[i] for i in keep]), tuple(where[i] for i in keep)
    target = ArrayShape(element_type(x.dtype), shape)
    return emit(op.broadcast, x, shape=target, dimensions=where, weak=x.weak_type)


@_public
def reshape(operand: ArrayLike, new_sizes: Sequence[int], dimensions: Sequence[int] | None = None) -> Array:
    """The elements in row-major order in another shape (of the transposed array, where `dimensions` is given)."""
    x = lift(operand)
    if dimensions is not None:
        x = transpose(x, dimensions)
    dims = _dims(new_sizes)
    if dims == x.shape:
        return x
    return emit(op.reshape, x, shape=ArrayShape(element_type(x.dtype), dims), weak=x.weak_type)


@_public
def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Add dimensions of extent 1 at these places of the result."""
    x = lift(array)
    rank = x.ndim + len(dimensions)
    places = {d % rank for d in dimensions}
    rest = iter(x.shape)
    return reshape(x, [1 if d in places else next(rest) for d in range(rank)])


@_public
def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Drop dimensions of extent 1."""
    x = lift(array)
    places = {d % x.ndim for d in dimensions}
    for d in places:
        if x.shape[d] != 1:
            raise shape_error(
                f"squeeze: dimension {d} of an array of shape {list(x.shape)} is {x.shape[d]} long; it must be 1"
            )
    return reshape(x, [n for d, n in enumerate(x.shape) if d not in places])


@_public
def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """Merge the dimensions from start up to stop into one."""
    x = lift(operand)
    start, stop, _ = slice_type(start_dimension, stop_dimension).indices(x.ndim)
    return reshape(x, (*x.shape[:start], math.prod(x.shape[start:stop]), *x.shape[stop:]))


@_public
def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Array:
    """Dimension i of the result is dimension `permutation[i]` of the operand."""
    x = lift(operand)
    if tuple(permutation) == tuple(range(x.ndim)):
        return x
    return emit(op.transpose, x, dimensions=tuple(int(d) for d in permutation), weak=x.weak_type)


@_public
def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Reverse the order along dimensions."""
    x = lift(operand)
    return emit(op.reverse, x, dimensions=tuple(dimensions), weak=x.weak_type) if len(tuple(dimensions)) else x


slice_type = slice


@_public
def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int], strides: Sequence[int] | None = None
) -> Array:
    """The elements from start up to limit, every `strides`-th."""
    x = lift(operand)
    steps = tuple(strides) if strides is not None else (1,) * x.ndim
    ranges = tuple(zip(_dims(start_indices), _dims(limit_indices), steps))
    if all(r == (0, n, 1) for r, n in zip(ranges, x.shape)) and len(ranges) == x.ndim:
        return x
    return emit(op.slice, x, slice=ranges, weak=x.weak_type)


@_public
def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1, axis: int = 0
) -> Array:
    """`slice` along one dimension; negative indices count from the end."""
    x = lift(operand)
    axis %= x.ndim
    n = x.shape[axis]
    start = 0 if start_index is None else start_index + n if start_index < 0 else start_index
    limit = n if limit_index is None else limit_index + n if limit_index < 0 else limit_index
    starts, limits, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], limits[axis], strides[axis] = start, limit, stride
    return slice(x, starts, limits, strides)


@_public
def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """One place along a dimension."""
    x = lift(operand)
    axis %= x.ndim
    index += x.shape[axis] * (index < 0)
    result = slice_in_dim(x, index, index + 1, axis=axis)
    return result if keepdims else squeeze(result, (axis,))


@_public
def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Array:
    """Arrays of one type joined along a dimension."""
    xs = [lift(x) for x in operands]
    if len(xs) == 1:
        return xs[0]
    return emit(op.concatenate, *xs, dimensions=(dimension,), weak=builtins.all(x.weak_type for x in xs))


@_public
def pad(operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """Add (low, high, interior) padding to each dimension; negative low and high cut off."""
    x = lift(operand)
    value = lift(padding_value)
    if value.weak_type:
        value = _convert(value, x.dtype)
    return emit(op.pad, x, value, padding=tuple(tuple(int(n) for n in p) for p in padding_config), weak=x.weak_type)


# ---- indices that are data


def _starts(x: Tracer, starts: Any) -> list[Tracer]:
    """Start indices as scalars of one integer type; negative ones count from the end."""
    if isinstance(starts, Tracer) and starts.ndim == 1:
        starts = [index_in_dim(starts, i, keepdims=False) for i in range(starts.shape[0])]
    result = []
    for start, n in zip(starts, x.shape):
        if not isinstance(start, Tracer):
            start = int(start)
            start = lift(np.int32(start + n if start < 0 else start))
        elif dtypes.kind(start.dtype) == "s":
            start = _convert(start, start.dtype)
            start = select(lt(start, 0), add(start, lift(np.asarray(n, start.dtype))), start)
        result.append(_convert(start, start.dtype))
    if len({s.dtype for s in result}) > 1:
        common = dtypes.INT64 if builtins.any(s.dtype.itemsize == 8 for s in result) else dtypes.INT32
        result = [_convert(s, common) for s in result]
    return result


@_public
def dynamic_slice(operand: ArrayLike, start_indices: Sequence[ArrayLike], slice_sizes: Sequence[int]) -> Array:
    """A slice of fixed sizes at computed starts, moved inside the array where it would leave it."""
    x = lift(operand)
    starts = _starts(x, start_indices)
    if len(starts) != x.ndim:
        raise shape_error(f"dynamic_slice: {len(starts)} start indices for an array of shape {list(x.shape)}")
    if not x.ndim:
        return x
    return emit(op.dynamic_slice, x, *starts, dynamic_slice_sizes=_dims(slice_sizes), weak=x.weak_type)


@_public
def dynamic_slice_in_dim(operand: ArrayLike, start_index: ArrayLike, slice_size: int, axis: int = 0) -> Array:
    """`dynamic_slice` along one dimension."""
    x = lift(operand)
    axis %= x.ndim
    starts: list[Any] = [0] * x.ndim
    starts[axis] = start_index
    return dynamic_slice(x, starts, [slice_size if d == axis else n for d, n in enumerate(x.shape)])


@_public
def dynamic_index_in_dim(operand: ArrayLike, index: ArrayLike, axis: int = 0, keepdims: bool = True) -> Array:
    """One computed place along a dimension."""
    x = lift(operand)
    result = dynamic_slice_in_dim(x, index, 1, axis)
    return result if keepdims else squeeze(result, (axis % x.ndim,))


@_public
def dynamic_update_slice(operand: ArrayLike, update: ArrayLike, start_indices: Sequence[ArrayLike]) -> Array:
    """The operand with a block replaced at computed starts, moved inside where it would leave it."""
    x, patch = lift(operand), lift(update)
    if patch.weak_type:
        patch = _convert(patch, x.dtype)
    starts = _starts(x, start_indices)
    if not x.ndim:
        return patch
    return emit(op.dynamic_update_slice, x, patch, *starts, weak=x.weak_type and patch.weak_type)


@_public
def dynamic_update_slice_in_dim(operand: ArrayLike, update: ArrayLike, start_index: ArrayLike, axis: int) -> Array:
    """`dynamic_update_slice` along one dimension."""
    x = lift(operand)
    starts: list[Any] = [0] * x.ndim
    starts[axis % x.ndim] = start_index
    return dynamic_update_slice(x, update, starts)


@_public
def dynamic_update_index_in_dim(operand: ArrayLike, update: ArrayLike, index: ArrayLike, axis: int) -> Array:
    """Replace one computed place along a dimension."""
    x, patch = lift(operand), lift(update)
    if patch.ndim != x.ndim:
        patch = expand_dims(patch, (axis % x.ndim,))
    return dynamic_update_slice_in_dim(x, patch, index, axis)


class GatherDimensionNumbers(NamedTuple):
    """How gather's operands and result correspond; index_vector_dim is always the last dimension of the indices."""

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


@_public
def gather(
    operand: ArrayLike,
    start_indices: ArrayLike,
    dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int],
    *,
    indices_are_sorted: bool = False,
    unique_indices: bool = False,
    mode: Any = None,
    fill_value: Any = None,
) -> Array:
    """Slices of fixed sizes at computed places, clamped inside the operand (HLO's gather)."""
    x, indices = lift(operand), lift(start_indices)
    numbers = GatherDimensionNumbers(*dimension_numbers)
    return emit(
        op.gather,
        x,
        indices,
        offset_dims=tuple(numbers.offset_dims),
        collapsed_slice_dims=tuple(numbers.collapsed_slice_dims),
        start_index_map=tuple(numbers.start_index_map),
        operand_batching_dims=tuple(numbers.operand_batching_dims),
        start_indices_batching_dims=tuple(numbers.start_indices_batching_dims),
        index_vector_dim=indices.ndim - 1,
        slice_sizes=_dims(slice_sizes),
        indices_are_sorted=indices_are_sorted,
        weak=x.weak_type,
    )


class ScatterDimensionNumbers(NamedTuple):
    """How scatter's operands correspond; index_vector_dim is always the last dimension of the indices."""

    update_window_dims: tuple[int, ...]
    inserted_window_dims: tuple[int, ...]
    scatter_dims_to_operand_dims: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    scatter_indices_batching_dims: tuple[int, ...] = ()


def _scatter(
    name: str,
    opcode: str | None,
    operand: Any,
    indices: Any,
    updates: Any,
    numbers: ScatterDimensionNumbers,
    indices_are_sorted: bool,
    unique_indices: bool,
) -> Tracer:
    if "scatter" not in OPCODES:
        raise trace.trace_error(f"{name}: this build has no scatter opcode")
    x, where, patch = lift(operand), lift(indices), lift(updates)
    if patch.weak_type:
        patch = _convert(patch, x.dtype)
    numbers = ScatterDimensionNumbers(*numbers)
    if opcode is None:
        shape = ArrayShape(element_type(x.dtype))
        session = trace.active().session
        key = ("second", shape.element_type.name)
        if key not in session.reducers:
            session.reducers[key] = trace.scalar_computation(f"second_{key[1]}", (shape, shape), lambda old, new: new)
        combine = session.reducers[key]
    else:
        combine = trace.reducer(opcode, x.dtype)
    return emit(
        OPCODES["scatter"],
        x,
        where,
        patch,
        update_window_dims=tuple(numbers.update_window_dims),
        inserted_window_dims=tuple(numbers.inserted_window_dims),
        scatter_dims_to_operand_dims=tuple(numbers.scatter_dims_to_operand_dims),
        input_batching_dims=tuple(numbers.operand_batching_dims),
        scatter_indices_batching_dims=tuple(numbers.scatter_indices_batching_dims),
        index_vector_dim=where.ndim - 1,
        indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices,
        to_apply=combine,
    )


def _scatter_function(function: str, opcode: str | None, what: str) -> Any:
    def call(
        operand: ArrayLike,
        scatter_indices: ArrayLike,
        updates: ArrayLike,
        dimension_numbers: ScatterDimensionNumbers,
        *,
        indices_are_sorted: bool = False,
        unique_indices: bool = False,
        mode: Any = None,
    ) -> Array:
        return _scatter(
            function, opcode, operand, scatter_indices, updates, dimension_numbers, indices_are_sorted, unique_indices
        )

    return _named(call, function, what)


scatter = _scatter_function("scatter", None, "Replace elements at computed places; updates outside are dropped.")
scatter_add = _scatter_function("scatter_add", "add", "Add to elements at computed places.")
scatter_mul = _scatter_function("scatter_mul", "multiply", "Multiply elements at computed places.")
scatter_min = _scatter_function("scatter_min", "minimum", "Lower elements at computed places.")
scatter_max = _scatter_function("scatter_max", "maximum", "Raise elements at computed places.")


# ---- contraction


@_public
def dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    dimension_numbers: tuple[tuple[Sequence[int], Sequence[int]], tuple[Sequence[int], Sequence[int]]],
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Array:
    """Sum of products over contracting dimensions, for each index of the batch dimensions.

    `dimension_numbers` is ((lhs contracting, rhs contracting), (lhs batch, rhs batch)). The result has the batch
    dimensions, then the rest of lhs, then the rest of rhs. Float sums narrower than float32 are taken in float32.
    """
    a, b = lift(lhs), lift(rhs)
    dtype, weak = dtypes.promote((a.dtype, a.weak_type), (b.dtype, b.weak_type))
    a, b = (_convert(a, dtype) if a.weak_type else a), (_convert(b, dtype) if b.weak_type else b)
    (lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch) = dimension_numbers
    attrs = {
        "lhs_batch_dims": tuple(lhs_batch),
        "lhs_contracting_dims": tuple(lhs_contracting),
        "rhs_batch_dims": tuple(rhs_batch),
        "rhs_contracting_dims": tuple(rhs_contracting),
    }
    if precision is not None:
        words = (precision, precision) if isinstance(precision, str) or not isinstance(precision, tuple) else precision
        attrs["operand_precision"] = tuple(str(getattr(w, "name", w)).lower() for w in words)
    if preferred_element_type is None and a.dtype != b.dtype:
        raise shape_error(
            f"dot_general: the operands are of types {a.dtype.name} and {b.dtype.name}; they must be equal, or give "
            "preferred_element_type"
        )
    result = a.dtype if preferred_element_type is None else dtypes.as_dtype(preferred_element_type)
    free = [n for d, n in enumerate(a.shape) if d not in (*lhs_batch, *lhs_contracting)]
    free += [n for d, n in enumerate(b.shape) if d not in (*rhs_batch, *rhs_contracting)]
    shape = ArrayShape(element_type(result), (*(a.shape[d] for d in lhs_batch), *free))
    return emit(op.dot, a, b, shape=shape, weak=weak, **attrs)


@_public
def dot(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Product of vectors and matrices."""
    a, b = lift(lhs), lift(rhs)
    if a.ndim not in (1, 2) or b.ndim not in (1, 2):
        raise shape_error(
            f"dot: the operands are of shapes {list(a.shape)} and {list(b.shape)}; they must be vectors or matrices"
        )
    return dot_general(a, b, (((a.ndim - 1,), (0,)), ((), ())), precision, preferred_element_type)


@_public
def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Matrix product for each index of the leading dimensions."""
    a, b = lift(lhs), lift(rhs)
    batch = tuple(range(a.ndim - 2))
    return dot_general(a, b, (((a.ndim - 1,), (b.ndim - 2,)), (batch, batch)), precision)


# ---- reductions


def _identity(name: str, dtype: np.dtype) -> Any:
    """The neutral value of a reducer."""
    row = element_type(dtype)
    if name in ("add", "or", "xor"):
        return np.zeros((), dtype)
    if name == "multiply":
        return np.ones((), dtype)
    if name == "and":
        return np.asarray(True) if row.kind == "p" else ~np.zeros((), dtype)
    high = name == "minimum"
    if row.kind == "p":
        return np.asarray(high)
    if row.is_float:
        import ml_dtypes

        info = ml_dtypes.finfo(dtype)
        with np.errstate(all="ignore"):
            limit = np.asarray(math.inf if high else -math.inf).astype(dtype)
        return limit if np.isinf(limit.astype(np.float32)) else np.asarray(info.max if high else info.min, dtype)
    if row.is_complex:
        value = builtins.complex(math.inf, math.inf) if high else builtins.complex(-math.inf, -math.inf)
        return np.asarray(value, dtype)
    edge = (1 << (row.bits - (row.kind == "s"))) - 1 if high else -(1 << (row.bits - 1)) if row.kind == "s" else 0
    return np.asarray(edge).astype(dtype)


def _reduce_named(name: str, x: Tracer, axes: Sequence[int]) -> Tracer:
    """Reduce by one opcode; no axes gives the operand."""
    if not len(tuple(axes)):
        return x
    init = lift(_identity(name, x.dtype))
    return emit(op.reduce, x, init, dimensions=tuple(axes), to_apply=trace.reducer(name, x.dtype), weak=x.weak_type)


def _reduction(function: str, opcode: str, what: str) -> Any:
    def call(operand: ArrayLike, axes: Sequence[int]) -> Array:
        return _reduce_named(opcode, lift(operand), axes)

    return _named(call, function, what)


reduce_sum = _reduction("reduce_sum", "add", "Sum over axes.")
reduce_prod = _reduction("reduce_prod", "multiply", "Product over axes.")
reduce_max = _reduction("reduce_max", "maximum", "Greatest over axes; NaN if there is one.")
reduce_min = _reduction("reduce_min", "minimum", "Least over axes; NaN if there is one.")
reduce_and = _reduction("reduce_and", "and", "And of all over axes.")
reduce_or = _reduction("reduce_or", "or", "Or of all over axes.")
reduce_xor = _reduction("reduce_xor", "xor", "Exclusive or of all over axes.")


def reduce(operands: Any, init_values: Any, computation: Callable[[Any, Any], Any], dimensions: Sequence[int]) -> Any:
    """Reduce arrays of equal shape over dimensions by any associative function.

    `computation(accumulators, elements)` gets scalars nested as `operands` and gives the new accumulators;
    `init_values`, nested alike, must be neutral. The function must not read other traced values.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(lambda: reduce(operands, init_values, computation, dimensions), "reduce")
    found, structure = tree.flatten(operands)
    xs = [lift(x) for x in found]
    inits = []
    for x, init in zip(xs, tree.leaves(init_values)):
        value = lift(init)
        inits.append(_convert(value, x.dtype) if value.weak_type else value)
    scalars = [ArrayShape(element_type(x.dtype)) for x in xs]

    def build(*parts: Tracer) -> Any:
        n = len(xs)
        result = computation(tree.unflatten(structure, parts[:n]), tree.unflatten(structure, parts[n:]))
        leaves = [_convert(lift(r), x.dtype) if lift(r).weak_type else lift(r) for r, x in zip(tree.leaves(result), xs)]
        return leaves if n > 1 else leaves[0]

    reducer = trace.scalar_computation("reducer", scalars * 2, build)
    active = trace.active()
    instruction = trace.emit_instruction(
        op.reduce, *[active.use(t) for t in (*xs, *inits)], dimensions=tuple(dimensions), to_apply=reducer
    )
    if isinstance(instruction.shape, TupleShape):
        return tree.unflatten(structure, trace.elements(instruction))
    return tree.unflatten(structure, [Tracer(active, instruction)])


@_public
def argmax(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Array:
    """Index of the greatest element along an axis, the first of several; the first NaN if there is one."""
    return _arg_extreme(lift(operand), axis, index_dtype, "maximum")


@_public
def argmin(operand: ArrayLike, axis: int, index_dtype: Any = np.int32) -> Array:
    """Index of the least element along an axis, the first of several; the first NaN if there is one."""
    return _arg_extreme(lift(operand), axis, index_dtype, "minimum")


def _arg_extreme(x: Tracer, axis: int, index_dtype: Any, name: str) -> Tracer:
    """The least index whose element equals the extreme: two reductions by one opcode each, which vectorise."""
    axis %= x.ndim
    dtype = dtypes.as_dtype(index_dtype)
    best = _reduce_named(name, x, (axis,))
    kept = [d for d in range(x.ndim) if d != axis]
    wide = _broadcast(best, x.shape, kept) if best.shape != x.shape else best
    hit = emit(op.compare, x, wide, direction="EQ", type=None)
    if dtypes.is_inexact(x.dtype):
        hit = bitwise_or(hit, ne(x, x))
    index = broadcasted_iota(dtype, x.shape, axis)
    return _reduce_named("minimum", select(hit, index, full_like(index, builtins.max(x.shape[axis] - 1, 0))), (axis,))


def _cumulative(function: str, combine: Callable[[Any, Any], Any], opcode: str, what: str) -> Any:
    def call(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
        """In log2(n) steps, each combining every element with one that is 1, 2, 4, ... before it."""
        x = lift(operand)
        axis %= x.ndim
        n = x.shape[axis]
        fill = lift(_identity(opcode, x.dtype))
        step = 1
        while step < n:
            config = [(0, 0, 0)] * x.ndim
            config[axis] = (-step, step, 0) if reverse else (step, -step, 0)
            x = combine(x, pad(x, fill, config))
            step *= 2
        return x

    return _named(call, function, what)


cumsum = _cumulative("cumsum", add, "add", "Running sum along an axis.")
cumprod = _cumulative("cumprod", mul, "multiply", "Running product along an axis.")
cummax = _cumulative("cummax", max, "maximum", "Running maximum along an axis.")
cummin = _cumulative("cummin", min, "minimum", "Running minimum along an axis.")


# ---- order


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Any:
    """Sort along a dimension, NaN last.

    Of a tuple of arrays, all by the first `num_keys`, the earlier deciding first.
    """
    if trace.current() is None:
        from xlac.frontend.eager import run_program

        return run_program(lambda: sort(operand, dimension, is_stable, num_keys), "sort")
    several = isinstance(operand, (tuple, list))
    xs = [lift(x) for x in (operand if several else (operand,))]
    if not 1 <= num_keys <= len(xs):
        raise shape_error(f"sort: num_keys={num_keys} of {len(xs)} operands")
    results = _sort(xs, dimension % xs[0].ndim, is_stable, num_keys, False)
    return tuple(results) if several else results[0]


def _sort(xs: list[Tracer], dimension: int, is_stable: bool, num_keys: int, descending: bool) -> list[Tracer]:
    """One sort instruction."""
    active = trace.active()
    key = ("descending" if descending else "sort", ",".join([str(num_keys), *(x.dtype.name for x in xs)]))
    if key not in active.session.reducers:
        scalars = [ArrayShape(element_type(x.dtype)) for x in xs for _ in range(2)]

        def before(*pairs: Tracer) -> Tracer:
            result = None
            for a, b in reversed(list(zip(pairs[: 2 * num_keys : 2], pairs[1 : 2 * num_keys : 2]))):
                less, equal = _before(b, a) if descending else _before(a, b)
                result = less if result is None else bitwise_or(less, bitwise_and(equal, result))
            return result  # type: ignore[return-value]

        active.session.reducers[key] = trace.scalar_computation("compare", scalars, before)
    instruction = trace.emit_instruction(
        op.sort,
        *[active.use(x) for x in xs],
        dimensions=(dimension,),
        is_stable=is_stable,
        to_apply=active.session.reducers[key],
    )
    return [Tracer(active, instruction, xs[0].weak_type)] if len(xs) == 1 else trace.elements(instruction)


def _before(a: Tracer, b: Tracer) -> tuple[Tracer, Tracer]:
    """Whether a comes before b, and whether they are equal: NaN last, both zeros alike."""
    if dtypes.is_complex(a.dtype):
        (real_less, real_equal), (imag_less, imag_equal) = (_before(f(a), f(b)) for f in (real, imag))
        return bitwise_or(real_less, bitwise_and(real_equal, imag_less)), bitwise_and(real_equal, imag_equal)
    if dtypes.is_float(a.dtype):
        a, b = (_canonical(v) for v in (a, b))
        return lt_to(a, b), eq_to(a, b)
    return lt(a, b), eq(a, b)


def _canonical(x: Tracer) -> Tracer:
    """-0.0 as 0.0, and every NaN as the positive one."""
    x = select(eq(x, 0), full_like(x, 0), x)
    return select(ne(x, x), full_like(x, math.nan), x)


lt_to = _compare("lt_to", "LT", "x < y in total order: -NaN < -inf < ... < -0 < 0 < ... < inf < NaN.", "TOTALORDER")
eq_to = _compare("eq_to", "EQ", "x == y in total order.", "TOTALORDER")


def sort_key_val(keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True) -> tuple[Any, Any]:
    """Both sorted by the keys."""
    return sort((keys, values), dimension, is_stable, 1)


@_public
def top_k(operand: ArrayLike, k: int) -> tuple[Array, Array]:
    """The k greatest along the last dimension, descending, and their indices; of equals the first."""
    x = lift(operand)
    axis = x.ndim - 1
    if x.ndim == 0 or not 0 <= k <= x.shape[axis]:
        raise shape_error(f"top_k: k={k} of an array of shape {list(x.shape)}; it must be at most the last extent")
    values, indices = _sort([x, broadcasted_iota(np.int32, x.shape, axis)], axis, True, 1, True)
    return slice_in_dim(values, 0, k, axis=axis), slice_in_dim(indices, 0, k, axis=axis)


class Precision:
    """How exact products are; sums of float32 are always taken in float32."""

    DEFAULT, HIGH, HIGHEST = "default", "high", "highest"


__all__ += [
    "GatherDimensionNumbers",
    "Precision",
    "RoundingMethod",
    "ScatterDimensionNumbers",
    "reduce",
    "sort",
    "sort_key_val",
]
