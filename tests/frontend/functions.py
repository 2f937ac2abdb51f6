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

# ---- integers and parts of floats
case("gcd", N, J)
case("lcm", N, J)
case("frexp", SPECIAL)
case("frexp", np.array([1e-40, -3.7, 1024.0, 0.3], np.float32))
case("spacing", np.array([1.0, -2.5, 1e10], np.float32))
case("i0", np.array([-9.0, -1.0, 0.0, 0.5, 8.5], np.float32))
case("isreal", C)
case("iscomplex", C)
case("packbits", bools(3, 11), axis=1)
case("packbits", bools(13), bitorder="little")
case("unpackbits", integers(2, 3, low=0, high=255, dtype=np.uint8), axis=1)
case("unpackbits", integers(3, low=0, high=255, dtype=np.uint8), count=20, bitorder="little")
case("unpackbits", integers(3, low=0, high=255, dtype=np.uint8), count=-3)
case("where", B)
case("nonzero", B)
case("argwhere", B)
case("flatnonzero", B)
case("compress", np.array([True, False, True]), F, axis=0)
case("extract", B, F)

# ---- padding, joining, splitting
if np.lib.NumpyVersion(np.__version__) >= "2.3.0":  # older ones have no dictionaries here
    case("pad", F, {-1: (1, 2)})
case("pad", F, ((1, 2), (0, 3)), mode="linear_ramp", end_values=2.0)
for _mode in ("maximum", "minimum", "mean", "median"):
    case("pad", F, ((1, 2), (2, 1)), mode=_mode)
    case("pad", F, 1, mode=_mode, stat_length=2)
for _mode in ("reflect", "symmetric"):
    case("pad", F, ((1, 2), (5, 7)), mode=_mode, reflect_type="odd")
    case("pad", F, ((0, 9), (7, 0)), mode=_mode)
case("pad", F, ((0, 9), (7, 0)), mode="wrap")
case("block", [[F, F], [F, F]])
case("block", [G, np.float32(2.0)])
case("resize", F, (5, 3))
case("resize", F, (2, 2))
case("dsplit", CUBE, 2)
case("repeat", F, np.array([2, 0, 1]), axis=0)
case("delete", F, 1, axis=1)
case("delete", F, [0, 2], axis=1)
case("delete", F, slice(0, 9, 2))
case("insert", F, 1, 5.0, axis=1)
case("insert", F, [1, 3], 9.0, axis=1)
case("insert", F, 2, G, axis=0)
case("insert", G, [0, 2], np.array([7.0, 8.0], np.float32))

# ---- indices
case("unravel_index", integers(5, low=0, high=23), (2, 3, 4))
case("ravel_multi_index", (integers(4, low=0, high=1), integers(4, low=0, high=2)), (2, 3))
case("ravel_multi_index", (integers(4, low=0, high=1), integers(4, low=0, high=2)), (2, 3), order="F")
case("ix_", np.array([0, 2]), np.array([1, 3]))
case("diag_indices", 3)
case("tril_indices", 3, 1, 4)
case("triu_indices", 3)
case("tril_indices_from", F)
case("indices", (2, 3))
case("indices", (2, 3), sparse=True)

# ---- order
case("lexsort", (integers(8, low=0, high=2), integers(8, low=0, high=3, seed=1)))
case("lexsort", (F, N), axis=0)
case("partition", np.sort(F, axis=None), 3)
case("argpartition", np.sort(G), 2)
case("sort_complex", C)
case("sort", SPECIAL)
case("argsort", SPECIAL)
case("digitize", F, np.array([1.0, 0.0, -1.0], np.float32))
case("digitize", F, np.array([-1.0, 0.0, 1.0], np.float32), right=True)
case("searchsorted", KNOTS, np.array([np.nan, np.inf, -np.inf], np.float32))
case("isin", N, np.array([1, 3, -2]))
case("isin", N, np.arange(-40, 60, 3), invert=True)
case("unique", N)
case("unique", N, return_index=True, return_inverse=True, return_counts=True)
case("unique", np.array([[1, 0], [1, 0], [2, 1]]), axis=0)
case("union1d", N, J)
case("intersect1d", N, J)
case("intersect1d", N, J, return_indices=True)
case("setdiff1d", N, J)
case("setxor1d", N, J)

# ---- statistics
for _name in "median nanmedian".split():
    case(_name, F)
    case(_name, WITH_NAN, axis=1)
    case(_name, CUBE, axis=(0, 2), keepdims=True)
for _method in ("linear", "lower", "higher", "midpoint"):
    case("quantile", F, np.float32(0.3), method=_method)
    case("percentile", CUBE, np.array([10.0, 62.5, 100.0], np.float32), axis=1, method=_method)
case("nanquantile", WITH_NAN, np.array([0.0, 0.25, 1.0], np.float32), axis=0)
case("nanpercentile", WITH_NAN, np.float32(40.0), axis=1, keepdims=True)
case("histogram", F)
case("histogram", F, bins=4, range=(-1.0, 1.5))
case("histogram", F, bins=np.array([-2.0, -1.0, 0.5, 2.0], np.float32), weights=POSITIVE)
case("histogram", F, bins=4, density=True)
case("histogram", N, bins=5)
case("histogram_bin_edges", F, 6)
case("histogram2d", F[0], F[1], bins=3)
case("histogramdd", F[:, :3], bins=(2, 3, 2))
case("bincount", integers(9, low=0, high=5))
case("bincount", integers(9, low=0, high=5), weights=floats(9), minlength=8)
case("cov", F, rowvar=False)
case("cov", F, fweights=np.array([1, 2, 3, 1]), aweights=np.array([0.5, 1.0, 2.0, 1.0], np.float32))
case("cov", F[0], F[1], bias=True)
case("corrcoef", F)
case("corrcoef", F, rowvar=False)
case("average", F, axis=1, weights=G, returned=True)
case("nancumprod", WITH_NAN, axis=1)
case("nanargmax", np.where(np.arange(4) == 1, np.float32(np.nan), F), axis=1)
case("nanargmin", np.where(np.arange(4) == 1, np.float32(np.nan), F))
case("array_equiv", F, F[:1])
case("cumulative_sum", G)
case("cumulative_sum", F, axis=1, include_initial=True)
case("cumulative_prod", F, axis=0, include_initial=True)
case("var", F, axis=1, correction=0.5)

# ---- differences, integrals, interpolation
case("diff", F, prepend=1.0, append=F[:, :1], axis=1)
case("diff", B)
case("ediff1d", F)
case("ediff1d", G, to_end=np.array([9.0, 8.0], np.float32), to_begin=np.float32(-1.0))
case("gradient", F)
case("gradient", F, axis=1)
case("gradient", F, 0.5, axis=0, edge_order=2)
case("gradient", floats(5), KNOTS[[0, 1, 1, 2, 3]] + np.arange(5, dtype=np.float32), edge_order=2)
case("trapezoid", F)
case("trapezoid", F, dx=0.5, axis=0)
case("trapezoid", F, KNOTS)
case("unwrap", np.cumsum(4.0 * POSITIVE, axis=1) % np.float32(2 * np.pi))
case("unwrap", np.array([0, 1, 2, -1, 0]), period=4)
case("interp", np.array([-1.0, 0.3, 7.0], np.float32), KNOTS, G, left=-5.0, right=5.0)
case("interp", np.array([-1.0, 0.3, 7.0, 12.5], np.float32), KNOTS, G, period=6.0)
case("interp", np.array([0.3, 3.0], np.float32), KNOTS, C[0])
case("convolve", floats(3), floats(7), mode="same")
case("correlate", floats(7), floats(3))
case("correlate", floats(7), floats(3), mode="full")
case("correlate", floats(3), floats(7), mode="full")
case("correlate", floats(3), floats(7), mode="same")
case("correlate", C[0], C[1], mode="full")

# ---- polynomials
case("polyadd", G, F[0, :2])
case("polysub", F[0, :2], G)
case("polymul", G, F[0])
case("polydiv", G, np.array([2.0, 1.0], np.float32))
case("polyder", G, 2)
case("polyint", G, 2, k=[1.0, 2.0])
case("poly", G)
case("polyfit", KNOTS, G, 2)
case("polyfit", np.linspace(0, 1, 9, dtype=np.float32), floats(9, 2), 3, w=floats(9, low=0.5, high=1.0))
case("vander", G, 3, increasing=True)
case("trim_zeros", np.array([0, 0, 1, 2, 0, 3, 0]))

# ---- functions of functions
case("apply_along_axis", lambda v: v[:2] + v.sum(), 1, F)
case("apply_along_axis", lambda v: v.max(), 0, CUBE)
case("apply_over_axes", lambda a, axis: a.sum(axis), CUBE, [0, 2])

# ---- Fourier transforms
WIDE_CUBE = floats(2, 3, 4, 5)
for _name in "fft ifft".split():
    case(f"fft.{_name}", C)
    case(f"fft.{_name}", F, axis=0)
    case(f"fft.{_name}", C, n=6)
    case(f"fft.{_name}", C, n=3, norm="ortho")
    case(f"fft.{_name}", C, norm="forward")
    case(f"fft.{_name}n", CUBE)
    case(f"fft.{_name}n", CUBE, s=(4, 2), axes=(0, 2))
    case(f"fft.{_name}n", WIDE_CUBE)
    case(f"fft.{_name}2", CUBE)
for _name in "rfft ihfft".split():
    case(f"fft.{_name}", F)
    case(f"fft.{_name}", F, n=7, axis=0, norm="ortho")
for _name in "irfft hfft".split():
    case(f"fft.{_name}", C)
    case(f"fft.{_name}", C, n=7, norm="forward")
case("fft.rfftn", CUBE)
case("fft.rfftn", WIDE_CUBE)
case("fft.rfft2", CUBE, axes=(0, 1))
case("fft.irfftn", CUBE.astype(np.complex64))
case("fft.irfftn", WIDE_CUBE.astype(np.complex64))
case("fft.irfft2", C)
case("fft.fftshift", F)
case("fft.ifftshift", CUBE, axes=(0, 2))
case("fft.fftfreq", 7, 0.5)
case("fft.rfftfreq", 8)

# ---- matrices
SQUARE = floats(2, 4, 4) + 3 * np.eye(4, dtype=np.float32)
DEFINITE = SQUARE @ SQUARE.transpose(0, 2, 1)
for _name in "inv det slogdet cholesky eigvalsh svdvals matrix_rank pinv cond".split():
    case(f"linalg.{_name}", DEFINITE)
case("linalg.det", floats(3, 3))
case("linalg.det", floats(2, 2))
case("linalg.slogdet", -SQUARE)
case("linalg.inv", SQUARE.astype(np.complex64) + 1j * np.eye(4, dtype=np.float32))
case("linalg.solve", SQUARE, floats(2, 4, 3))
case("linalg.solve", SQUARE[0], floats(4))
case("linalg.solve", SQUARE, floats(4, 3))
case("linalg.cholesky", DEFINITE[0], upper=True)
case("linalg.lstsq", floats(6, 3), floats(6, 2))
case("linalg.lstsq", floats(6, 3), floats(6))
case("linalg.pinv", floats(5, 3))
case("linalg.matrix_rank", np.outer(G, G))
case("linalg.matrix_power", SQUARE, -2)
case("linalg.matrix_power", SQUARE, 0)
case("linalg.cond", SQUARE, 1)
case("linalg.tensorinv", floats(4, 6, 8, 3), ind=2)
case("linalg.tensorsolve", floats(2, 3, 6), floats(2, 3))
case("linalg.norm", F, ord="nuc")
case("linalg.norm", CUBE, ord=2, axis=(0, 2), keepdims=True)
case("linalg.norm", CUBE, ord=-2, axis=(1, 2))
case("linalg.norm", G, ord=0)
case("linalg.vector_norm", CUBE, axis=(0, 1), ord=3)
case("linalg.vector_norm", CUBE, keepdims=True)
case("linalg.vector_norm", C, ord=1)
case("linalg.matrix_norm", CUBE, ord=np.inf)
case("linalg.trace", CUBE, offset=1)
case("linalg.diagonal", CUBE, offset=-1)
case("linalg.outer", G, F[0])
case("linalg.cross", floats(5, 3), floats(5, 3, seed=2))
case("linalg.vecdot", C, G)
case("linalg.multi_dot", [floats(3), floats(3, 2), floats(2, 5), floats(5, 4)])
case("matvec", CUBE, G)
case("vecmat", floats(3), CUBE)
