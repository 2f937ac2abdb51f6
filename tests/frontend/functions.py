"""The functions of `xlac.numpy` that have a NumPy twin, each with arguments: the table of `test_numpy_functions.py`."""

import numpy as np


def floats(*shape, dtype=np.float32, low=-2.0, high=2.0, seed=0):
    """Repeatable numbers away from zero, in a range."""
    x = np.random.default_rng([seed, *shape]).uniform(low, high, shape)
    return np.asarray(np.where(np.abs(x) < 0.05, 0.05, x)).astype(dtype)


def integers(*shape, dtype=np.int32, low=-9, high=9, seed=0):
    """Repeatable integers in a range."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape, endpoint=True).astype(dtype)


def bools(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(size=shape) < 0.5


def complexes(*shape, seed=0):
    return (floats(*shape, seed=seed) + 1j * floats(*shape, seed=seed + 1)).astype(np.complex64)


F, G, N, J, B, C = (
    floats(3, 4),
    floats(4, seed=1),
    integers(3, 4),
    integers(4, low=1, seed=1),
    bools(3, 4),
    complexes(3, 4),
)
SPECIAL = np.array([0.0, -0.0, 1.0, -1.5, 2.5, np.inf, -np.inf, np.nan], np.float32)
UNIT = floats(3, 4, low=-0.95, high=0.95)
POSITIVE = floats(3, 4, low=0.1, high=3.0)
ABOVE_ONE = floats(3, 4, low=1.05, high=5.0)
CUBE = floats(2, 3, 4)
WITH_NAN = np.where(bools(3, 4, seed=5), np.float32(np.nan), F)
KNOTS = np.array([0.0, 1.0, 2.5, 4.0], np.float32)

# (function name, positional arguments, keyword arguments)
CASES: list[tuple[str, tuple, dict]] = []


def case(name, *args, **kwargs):
    CASES.append((name, args, kwargs))


for _name in (
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "floor_divide",
    "mod",
    "fmod",
    "remainder",
):
    case(_name, F, G)
    case(_name, N, J)
for _name in (
    "true_divide",
    "divide",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "copysign",
    "nextafter",
    "heaviside",
):
    case(_name, F, G)
for _name in ("add", "subtract", "multiply", "true_divide"):
    case(_name, C, G)
    case(_name, F, 2)
case("power", POSITIVE, G)
case("power", F, 3)
case("power", F, -2)
case("power", F, 2.5)
case("power", N, 3)
case("power", N, integers(3, 4, low=0, high=4))
case("float_power", POSITIVE, G)
case("divmod", F, G)
case("divmod", N, J)
case("floor_divide", N, np.array([-3, -1, 2, 5], np.int32))
case("mod", N, np.array([-3, -1, 2, 5], np.int32))
for _name in (
    "sin cos tan tanh sinh cosh exp exp2 expm1 cbrt arctan arcsinh square reciprocal negative positive abs absolute "
    "fabs sign floor "
    "ceil trunc rint fix deg2rad rad2deg degrees radians sinc isnan isinf isfinite isposinf isneginf signbit real "
    "imag conj angle "
    "logical_not nan_to_num ravel transpose sum prod max min mean var std any all argmax argmin ptp count_nonzero flip"
).split():
    case(_name, F)
for _name in "log log1p log2 log10 sqrt".split():
    case(_name, POSITIVE)
for _name in "arcsin arccos arctanh".split():
    case(_name, UNIT)
case("arccosh", ABOVE_ONE)
for _name in (
    "floor ceil trunc rint sign abs isnan isinf isfinite signbit isposinf isneginf nan_to_num sqrt exp tanh sinh cosh"
).split():
    case(_name, SPECIAL)
for _name in "sin cos exp log sqrt tanh sinh cosh abs conj real imag angle negative sum prod mean".split():
    case(_name, C)
for (
    _name
) in "abs sign negative square floor sum prod max min any all mean cumsum cumprod bitwise_not invert sin sqrt".split():
    case(_name, np.abs(N) if _name == "sqrt" else N)
for _name in "equal not_equal less less_equal greater greater_equal".split():
    case(_name, F, np.round(F))
    case(_name, N, J)
for _name in "logical_and logical_or logical_xor".split():
    case(_name, B, bools(4))
    case(_name, F, N)
for _name in "bitwise_and bitwise_or bitwise_xor".split():
    case(_name, N, J)
    case(_name, B, bools(4))
case("left_shift", N, np.array([0, 1, 2, 3], np.int32))
case("right_shift", N, np.array([0, 1, 2, 3], np.int32))
case("bitwise_count", N)
case("ldexp", F, integers(4, low=-3, high=3))
case("modf", F)
case("round", F)
case("round", F, 2)
case("round", np.float32(1234.0) * F, -2)
case("where", B, F, G)
case("where", B, 1.0, F)
case("clip", F, -0.5, 0.5)
case("clip", F, None, 0.5)
case("clip", N, 0, 5)
case("select", [B, F > 0], [F, -F], 7.0)
case("isclose", F, F + np.float32(1e-6))
case("allclose", F, F)
case("array_equal", F, F)
case("array_equal", F, G)
case("choose", integers(4, low=0, high=2), [G, G + 1, G + 2])

for _name in "sum prod max min mean var std any all argmax argmin cumsum cumprod count_nonzero ptp".split():
    case(_name, F, axis=0)
    case(_name, CUBE, axis=-1)
for _name in "sum prod max min mean var std any all count_nonzero ptp".split():
    case(_name, CUBE, axis=(0, 2))
    case(_name, CUBE, axis=1, keepdims=True)
case("argmax", F, axis=1, keepdims=True)
case("argmax", np.array([1.0, 3.0, 3.0, np.nan, np.nan], np.float32))
case("argmin", np.array([1, 0, 0, 2], np.int32))
case("max", SPECIAL)
case("min", SPECIAL)
case("sum", F, where=B)
case("sum", F, initial=3.0)
case("max", F, initial=5.0, where=B)
case("mean", F, where=B)
case("var", F, ddof=1)
case("std", F, axis=0, ddof=1)
case("sum", B)
case("mean", B)
case("sum", N, dtype=np.float32)
for _name in "nansum nanprod nanmean nanvar nanstd nanmax nanmin nancumsum".split():
    case(_name, WITH_NAN)
    case(_name, WITH_NAN, axis=1)
case("average", F)
case("average", F, axis=0, weights=POSITIVE)
case("diff", F)
case("diff", N, n=2, axis=0)
case("cov", F)

case("reshape", CUBE, (4, -1))
case("reshape", CUBE, (6, 4), order="F")
case("transpose", CUBE)
case("transpose", CUBE, (1, 2, 0))
case("matrix_transpose", CUBE)
case("swapaxes", CUBE, 0, 2)
case("moveaxis", CUBE, 0, -1)
case("moveaxis", CUBE, (0, 1), (2, 0))
case("rollaxis", CUBE, 2, 0)
case("rollaxis", CUBE, 0, 3)
case("expand_dims", F, 1)
case("expand_dims", F, (0, -1))
case("squeeze", CUBE[:, :1])
case("squeeze", CUBE[:, :1], axis=1)
case("broadcast_to", G, (2, 3, 4))
case("broadcast_arrays", F, G)
case("atleast_1d", np.float32(2.0))
case("atleast_2d", G)
case("atleast_3d", F)
case("concatenate", [F, F + 1], axis=1)
case("concatenate", [F, G], axis=None)
case("concatenate", [F, N])
case("stack", [F, F + 1], axis=-1)
case("vstack", [G, F])
case("hstack", [F, F[:, :1]])
case("hstack", [G, G])
case("dstack", [F, F])
case("column_stack", [G, np.stack([G, G], 1)])
case("append", F, F, axis=0)
case("split", CUBE, 2, axis=2)
case("split", F, [1, 2], axis=1)
case("array_split", G, 3)
case("hsplit", F, 2)
case("vsplit", F, 3)
case("tile", F, (2, 1, 3))
case("tile", F, 2)
case("repeat", F, 3, axis=1)
case("repeat", F, 2)
case("repeat", G, np.array([1, 0, 2, 3]))
case("flip", CUBE, axis=(0, 2))
case("fliplr", F)
case("flipud", F)
for _k in range(4):
    case("rot90", F, _k)
case("roll", F, 2)
case("roll", F, -1, axis=1)
case("roll", F, (1, 2), axis=(0, 1))
case("pad", F, 1)
case("pad", F, ((1, 2), (0, 3)), constant_values=9.0)
for _mode in ("edge", "wrap", "reflect", "symmetric"):
    case("pad", F, ((1, 2), (2, 1)), mode=_mode)
case("tril", F)
case("triu", CUBE, 1)
case("diagonal", F)
case("diagonal", CUBE, 1, 1, 2)
case("diagonal", F, -1)
case("diag", G)
case("diag", G, -2)
case("diag", F, 1)
case("diagflat", F, 1)
case("trace", F)
case("trace", CUBE, offset=1, axis1=2, axis2=0)
case("take", F, np.array([[2, 0], [1, 1]]), axis=0)
case("take", F, np.array([5, 0, 11]))
case("take", F, np.array([7, -9]), axis=1, mode="wrap")
case("take_along_axis", F, np.argsort(F, axis=1), axis=1)
case("take_along_axis", F, np.array([[1, 2, 0, 1]]), axis=0)
case("sort", F)
case("sort", WITH_NAN, axis=0)
case("sort", N, axis=None)
case("argsort", F, axis=0)
case("searchsorted", KNOTS, np.array([-1.0, 0.0, 0.5, 2.5, 9.0], np.float32))
case("searchsorted", KNOTS, np.array([-1.0, 0.0, 0.5, 2.5, 9.0], np.float32), side="right")
case("digitize", F, np.array([-1.0, 0.0, 1.0], np.float32))
case("interp", np.array([-1.0, 0.0, 0.5, 2.0, 4.0, 5.0], np.float32), KNOTS, G)

case("matmul", F, floats(4, 5))
case("matmul", CUBE, floats(2, 4, 5))
case("matmul", floats(5, 1, 2, 3), floats(4, 3, 2))
case("matmul", G, floats(4, 5))
case("matmul", F, G)
case("matmul", G, G)
case("matmul", floats(3), floats(2, 3, 4))
case("matmul", CUBE, G)
case("matmul", N, integers(4, 2))
case("dot", F, G)
case("dot", CUBE, floats(2, 4, 5))
case("dot", F, 2.0)
case("vdot", C, C)
case("vecdot", F, G)
case("inner", F, floats(2, 4))
case("outer", G, floats(3))
case("tensordot", CUBE, floats(3, 4, 5))
case("tensordot", CUBE, floats(4, 3), axes=([1, 2], [1, 0]))
case("kron", F, floats(2, 3))
case("cross", floats(5, 3), floats(5, 3, seed=2))
for _text, _shapes in {
    "ij,jk->ik": [(3, 4), (4, 5)],
    "ij,jk": [(3, 4), (4, 5)],
    "bij,bjk->bik": [(2, 3, 4), (2, 4, 5)],
    "ij->ji": [(3, 4)],
    "ii->i": [(4, 4)],
    "ii": [(4, 4)],
    "ij->": [(3, 4)],
    "ij,ij->i": [(3, 4), (3, 4)],
    "i,j->ij": [(3,), (4,)],
    "...ij,...jk->...ik": [(2, 3, 4), (4, 5)],
    "bhqd,bhkd->bhqk": [(2, 2, 3, 4), (2, 2, 5, 4)],
    "ij,jk,kl->il": [(3, 4), (4, 5), (5, 2)],
    "ab,bc,cd,da->": [(2, 3), (3, 4), (4, 5), (5, 2)],
    "ij,kj->ki": [(3, 4), (1, 4)],
    "iij,j->i": [(3, 3, 4), (4,)],
}.items():
    case("einsum", _text, *(floats(*s, seed=i) for i, s in enumerate(_shapes)))
case("linalg.norm", F)
case("linalg.norm", F, axis=1)
case("linalg.norm", F, ord=1, axis=0)
case("linalg.norm", F, ord=np.inf, axis=0)
case("linalg.norm", F, ord=3, axis=1)
case("linalg.norm", F, ord="fro")
case("linalg.norm", F, ord=1)
case("linalg.norm", F, ord=-np.inf)
case("linalg.matrix_power", floats(3, 3), 5)
case("linalg.multi_dot", [floats(3, 4), floats(4, 2), floats(2, 5)])
case("polyval", G, F)
case("vander", G)
case("convolve", G, floats(3))
case("convolve", floats(7), floats(3), mode="same")
case("convolve", floats(7), floats(3), mode="valid")
case("meshgrid", G, floats(3))
case("meshgrid", G, floats(3), indexing="ij")
