"""Programs of one opcode each, for rules that `derivatives.py` does not reach; the functions get arrays only."""

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.tracer import Tracer
from xlac.ir.opcode import OPCODES
from xlac.ir.shape import ArrayShape, element_type
from xlac.ir.window import ConvolutionDims, WindowDim


def draw(*shape, low=-1.5, high=1.5, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def emit(name, *operands, shape=None, **attrs):
    operands = [trace.lift(x) for x in operands]
    if shape is not None:
        shape = ArrayShape(element_type(operands[0].dtype), shape)
    active = trace.active()
    made = trace.emit_instruction(OPCODES[name], *[active.use(x) for x in operands], shape=shape, **attrs)
    return Tracer(active, made) if isinstance(made.shape, ArrayShape) else trace.elements(made)


# name -> (function, arrays)
CASES = {}


def case(name, function, *arrays):
    CASES[name] = (function, arrays)


# ---- convolutions

LABELS = ConvolutionDims(0, 1, (2, 3), 1, 0, (2, 3), 0, 1, (2, 3))
LAST = ConvolutionDims(0, 3, (1, 2), 2, 3, (0, 1), 0, 3, (1, 2))


def convolution(window, labels=LABELS, features=1, batches=1):
    attrs = {
        "window": window,
        "dim_labels": labels,
        "feature_group_count": features,
        "batch_group_count": batches,
    }

    def convolve(x, kernel):
        shapes = [ArrayShape(element_type(np.float64), np.shape(v)) for v in (x, kernel)]
        return emit("convolution", x, kernel, shape=OPCODES["convolution"].shape(*shapes, **attrs).dims, **attrs)

    return convolve


PLAIN = (WindowDim(3), WindowDim(2))
STRIDED = (WindowDim(3, 2, 1, 2), WindowDim(2, 3, 0, 1))
DILATED = (WindowDim(3, 1, 2, 1, 2, 1), WindowDim(2, 2, 1, 1, 1, 3))
NEGATIVE = (WindowDim(3, 1, -1, 2), WindowDim(2, 1, 1, -1, reversal=True))
for _name, _window in (("plain", PLAIN), ("strided", STRIDED), ("dilated", DILATED), ("cut and turned", NEGATIVE)):
    case(f"convolution, {_name}", convolution(_window), draw(2, 3, 6, 7), draw(4, 3, 3, 2))
case("convolution, features last", convolution(STRIDED, LAST), draw(2, 6, 7, 3), draw(3, 2, 3, 4))
case("convolution, feature groups", convolution(STRIDED, features=2), draw(2, 4, 6, 7), draw(6, 2, 3, 2))
case("convolution, depthwise", convolution(PLAIN, features=3), draw(2, 3, 6, 7), draw(6, 1, 3, 2))
case("convolution, batch groups", convolution(STRIDED, batches=2), draw(4, 3, 6, 7), draw(6, 3, 3, 2))

# ---- windows


def reduce_window(name, window, init):
    return lambda x: emit(
        "reduce-window", x, np.asarray(init, np.float64), window=window, to_apply=trace.reducer(name, np.dtype(float))
    )


POOL = (WindowDim(2, 2, 1, 0), WindowDim(3, 1, 1, 1))
HOLES = (WindowDim(2, 1, 1, 0, 2, 1), WindowDim(2, 2, 0, 1, 1, 2))
for _window, _how in ((POOL, "pooling"), (HOLES, "dilated")):
    case(f"windows, sum, {_how}", reduce_window("add", _window, 0), draw(5, 6))
    case(f"windows, maximum, {_how}", reduce_window("maximum", _window, -np.inf), draw(5, 6))
    case(f"windows, minimum, {_how}", reduce_window("minimum", _window, np.inf), draw(5, 6))
    case(f"windows, product, {_how}", reduce_window("multiply", _window, 1), draw(5, 6))
RUNNING = (WindowDim(1), WindowDim(6, 1, 5, 0))
case("windows, running sum", reduce_window("add", RUNNING, 0), draw(3, 6))
case("windows, running maximum", reduce_window("maximum", RUNNING, -np.inf), draw(3, 6))
case("windows, running product", reduce_window("multiply", RUNNING, 1), draw(3, 6))


def select_and_scatter(x, source):
    scalar = ArrayShape(element_type(np.float64))
    ge = trace.scalar_computation("ge", (scalar, scalar), lambda a, b: lax.ge(a, b))
    add = trace.reducer("add", np.dtype(float))
    return emit("select-and-scatter", x, source, np.float64(0), window=POOL, select=ge, scatter=add)


case("select and scatter", select_and_scatter, draw(5, 6), draw(3, 6))


# ---- reductions by any function


def logaddexp_reduce(x):
    def combine(a, b):
        high = lax.max(a, b)
        return high + lax.log(lax.exp(a - high) + lax.exp(b - high))

    return lax.reduce(x, np.float64(-50), combine, (1, 0))


def complex_product(x, y):
    """The product of the complex numbers x + iy, by two arrays at once."""
    return lax.reduce(
        (x, y), (np.float64(1), np.float64(0)), lambda a, b: (a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]), [1]
    )[1]


case("reduction by a function", logaddexp_reduce, draw(3, 5, 2))
case("reduction of pairs", complex_product, draw(3, 5), draw(3, 5, seed=1))
case("sum from a start", lambda x, s: emit("reduce", x, s, dimensions=(0,),
     to_apply=trace.reducer("add", np.dtype(float))), draw(4, 2), np.array(0.3))  # fmt: skip
case("maximum from a start", lambda x, s: emit("reduce", x, s, dimensions=(0,),
     to_apply=trace.reducer("maximum", np.dtype(float))), draw(4, 3), np.array(0.3))  # fmt: skip


def mapped(x, y):
    scalar = ArrayShape(element_type(np.float64))
    body = trace.scalar_computation("body", (scalar, scalar), lambda a, b: lax.sin(a) * b)
    return emit("map", x, y, dimensions=(0, 1), to_apply=body)


case("map", mapped, draw(2, 3), draw(2, 3, seed=1))

# ---- scatter and order

ROWS = np.array([[2], [0], [2], [7]], np.int32)
ROW_NUMBERS = lax.ScatterDimensionNumbers((1,), (0,), (0,))
for _name in ("scatter", "scatter_add", "scatter_min", "scatter_max"):
    case(
        f"{_name} of rows",
        lambda x, u, f=_name: getattr(lax, f)(x, ROWS, u, ROW_NUMBERS),
        draw(4, 3),
        draw(4, 3, seed=2),
    )
case(
    "scatter_mul at unique indices",
    lambda x, u: lax.scatter_mul(x, ROWS[1:], u, ROW_NUMBERS, unique_indices=True),
    draw(4, 3),
    draw(3, 3, seed=2),
)


def scatter_pairs(x, y, u, v):
    """Complex numbers x + iy multiplied by u + iv at places that are given once."""
    scalars = [ArrayShape(element_type(np.float64))] * 4
    times = trace.scalar_computation("times", scalars, lambda a, b, c, d: [a * c - b * d, a * d + b * c])
    numbers = {"update_window_dims": (1,), "inserted_window_dims": (0,), "scatter_dims_to_operand_dims": (0,)}
    real, imaginary = emit("scatter", x, y, ROWS[1:], u, v, **numbers, input_batching_dims=(), index_vector_dim=1,
                           scatter_indices_batching_dims=(), indices_are_sorted=False, unique_indices=True,
                           to_apply=times)  # fmt: skip
    return real * imaginary


case(
    "scatter of pairs at unique indices", scatter_pairs, draw(4, 3), draw(4, 3, seed=1), draw(3, 3), draw(3, 3, seed=1)
)
case("three sorted together", lambda x, y, z: lax.sort((x, y, z), dimension=0, num_keys=2)[2] ** 2,
     draw(5, 2), draw(5, 2, seed=1), draw(5, 2, seed=2))  # fmt: skip
case("topk", lambda x: emit("topk", x, k=2, largest=True)[0], draw(3, 5))

# ---- linear algebra


def positive(x):
    return x @ lax.transpose(x, (0, 2, 1)) + 2 * np.eye(x.shape[-1])


MATRICES = draw(2, 3, 3)
for _lower in (True, False):
    case(f"cholesky, lower={_lower}", lambda x, lower=_lower: emit("cholesky", positive(x), lower=lower), MATRICES)
    for _left in (True, False):
        for _turn in ("NO_TRANSPOSE", "TRANSPOSE", "ADJOINT"):
            case(
                f"triangular solve, lower={_lower}, left={_left}, {_turn}",
                lambda a, b, lower=_lower, left=_left, turn=_turn: emit(
                    "triangular-solve", a + 3 * np.eye(3), b, left_side=left, lower=lower, unit_diagonal=not left,
                    transpose_a=turn,
                ),
                draw(3, 3),
                draw(3, 2) if _left else draw(2, 3),
            )  # fmt: skip


def _both(z):
    return lax.real(z) + 2 * lax.imag(z) * lax.real(z)


def complex_of(x):
    return lax.complex(x, lax.sin(x * 2 + 1))


def cholesky_complex(x):
    z = complex_of(x)
    return _both(emit("cholesky", z @ lax.conj(lax.transpose(z, (0, 2, 1))) + 2 * np.eye(3), lower=True))


case("cholesky of complex matrices", cholesky_complex, MATRICES)
case(
    "complex triangular solve",
    lambda x, b: _both(
        emit("triangular-solve", complex_of(x) + 3 * np.eye(3), complex_of(b), left_side=True, lower=True,
             unit_diagonal=False, transpose_a="ADJOINT")
    ),
    draw(3, 3),
    draw(3, 2),
)  # fmt: skip

# ---- transforms and complex numbers

for _kind in ("FFT", "IFFT"):
    case(
        f"{_kind}",
        lambda x, kind=_kind: _both(emit("fft", complex_of(x), fft_type=kind, fft_length=(3, 4))),
        draw(2, 3, 4),
    )
for _n in (4, 5):
    case(f"RFFT of {_n}", lambda x, n=_n: _both(emit("fft", x, fft_type="RFFT", fft_length=(3, n))), draw(2, 3, _n))
    case(
        f"IRFFT to {_n}",
        lambda x, n=_n: emit("fft", complex_of(x), fft_type="IRFFT", fft_length=(3, n)),
        draw(2, 3, _n // 2 + 1),
    )
case("complex parts", lambda x, y: _both(lax.complex(x, y) * lax.conj(lax.complex(y, x))), draw(3), draw(3, seed=1))
case("complex absolute value and sign", lambda x: lax.abs(complex_of(x)) + _both(lax.sign(complex_of(x))), draw(3, 4))
case("complex functions", lambda x: _both(lax.exp(lax.sin(complex_of(x)) / complex_of(x))), draw(3, 4))

# ---- normalisation

CHANNELS, SCALE, OFFSET = draw(4, 3, 2), draw(3, low=0.5), draw(3, seed=1)
VARIANCE = draw(3, low=0.5, seed=2)
NORM = {"epsilon": 1e-3, "feature_index": 1}


def training(x, scale, offset):
    y, mean, variance = emit("batch-norm-training", x, scale, offset, **NORM)
    return lax.reduce_sum(y * y * x, (0, 2)) + mean * variance


def norm_grad(x, scale, mean, variance, g):
    of_x, of_scale, of_offset = emit("batch-norm-grad", x, scale, mean, variance, g, **NORM)
    return lax.reduce_sum(of_x * x, (0, 2)) + of_scale * of_offset


case("batch norm, training", training, CHANNELS, SCALE, OFFSET)
case(
    "batch norm, inference",
    lambda *v: emit("batch-norm-inference", *v, **NORM),
    CHANNELS,
    SCALE,
    OFFSET,
    OFFSET,
    VARIANCE,
)
case("batch norm, grad", norm_grad, CHANNELS, SCALE, OFFSET, VARIANCE, draw(4, 3, 2, seed=5))

# ---- the rest


def after_nothing(x):
    """x, once a token is there."""
    active = trace.active()
    token = trace.emit_instruction(OPCODES["after-all"])
    return Tracer(active, trace.emit_instruction(OPCODES["add-dependency"], active.use(trace.lift(x)), token)) ** 2


case("dependency", after_nothing, draw(3))
case("copy", lambda x: emit("copy", x) ** 2, draw(3))
case("bitcast", lambda x: emit("bitcast", x, shape=(6,)) ** 2, draw(2, 3))
case("barrier", lambda x: lax.sin(emit("opt-barrier", lax.cos(x))), draw(3))
case("clamp by scalars", lambda lo, x, hi: lax.clamp(lo, x, hi), np.array(-0.4), draw(3, 4), np.array(0.7))
case("call", lambda x: emit("call", x, to_apply=trace.scalar_computation(
    "square", (ArrayShape(element_type(np.float64), (3,)),), lambda v: v * v)), draw(3))  # fmt: skip
case("reduce precision", lambda x: lax.reduce_precision(x, 11, 52) ** 2, draw(3))
