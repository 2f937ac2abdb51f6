"""Every public function of NumPy on traced arrays: NumPy's result, or an error that says what cannot be traced."""

import copy
import types

import numpy as np
import pytest

import xlac
from tests.evaluated import evaluated
from xlac.errors import TraceError, XlacError

RNG = np.random.default_rng(0)
A, B = RNG.uniform(0.2, 0.9, (3, 3)), RNG.uniform(0.2, 0.9, (3, 3))
V, I, C = np.sort(RNG.uniform(0.2, 0.9, 4)), RNG.integers(0, 3, (3, 3)), A + 1j * B  # noqa: E741
# Drawn arguments; a function is called with those that NumPy takes.
CALLS = [
    (A,), (A, B), (V,), (V, V + 0.1), (I,), (I, I.T.copy()), (A > 0.5,), (C,), ([A, B],), (A, 1), (A, (3, 3)),
    (A, 0, 1), (V, 2), (A, I), (A > 0.5, A, B), (A, 0.5), (A, 1, 0), (I, 2), (A, (1, 1)), (A, [0, 1], 0),
    (V, np.array([1, 2])), ("ij,jk->ik", A, B), (V, V, V), (A, 1, V[:3]), (A, [1]), (A @ A.T + np.eye(3),),
    (np.sum, 1, A), (np.sum, A, [0]), ((1, 2, 0), A), (V, np.float32), (V, V, 1), ((V, V),), (A, 3, A),
]  # fmt: skip
# Files, text, types and classes: nothing that a program computes.
NO_ARRAYS = """
    add_docstring add_newdoc array2string array_repr array_str asmatrix base_repr binary_repr bmat broadcast
    busday_count busday_offset busdaycalendar can_cast datetime_as_string datetime_data disp format_float_positional
    format_float_scientific from_dlpack frombuffer fromfile fromfunction fromiter fromregex fromstring genfromtxt
    get_include get_printoptions getbufsize geterr geterrcall info is_busday isdtype issubdtype load loadtxt
    may_share_memory min_scalar_type mintypecode nested_iters printoptions promote_types require result_type save
    savetxt savez savez_compressed set_printoptions setbufsize seterr seterrcall shares_memory show_config show_runtime
    test typename frompyfunc iterable isfortran
""".split()
# NumPy's result is not determined; it takes what cannot be meant, such as half a diagonal or a list of one axis; its
# type for bools is its own; or it computes an integer where xlac, as JAX, gives a float.
ELSEWHERE = {
    "empty_like", "argpartition", "partition", "tril", "triu", "polyint", "size", "convolve", "correlate",
    "histogramdd", "linalg.pinv", "linalg.matrix_rank", "spacing", "sinc", "trapezoid", "nextafter", "reciprocal",
}  # fmt: skip
MODULES = {"": np, "linalg.": np.linalg, "fft.": np.fft}
NAMES = [
    prefix + name
    for prefix, module in MODULES.items()
    for name, value in vars(module).items()
    if callable(value)
    and not isinstance(value, (type, types.ModuleType))
    and name[0] != "_"
    and name not in NO_ARRAYS
    and prefix + name not in ELSEWHERE
]


def is_traced(x):
    return isinstance(x, np.ndarray) or (isinstance(x, (list, tuple)) and isinstance(x[0], np.ndarray))


def same(got, want):
    if isinstance(want, (tuple, list)):
        assert len(got) == len(want)
        for g, w in zip(got, want):
            same(g, w)
    else:
        assert np.shape(got) == np.shape(want)
        if np.asarray(want).dtype.kind != "O":
            # NumPy computes functions of bools in half precision.
            half = np.asarray(want).dtype == np.float16
            np.testing.assert_allclose(np.asarray(got), np.asarray(want), rtol=2e-3 if half else 1e-5, atol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_a_function_gives_numpys_result_or_says_why_not(name):
    prefix, _, short = name.rpartition(".")
    function = getattr(MODULES[prefix and prefix + "."], short)
    for args in CALLS:
        places = [k for k, a in enumerate(args) if is_traced(a)]
        try:
            want = function(*copy.deepcopy(args))
        except Exception:
            continue  # not this function's arguments
        if want is None or isinstance(want, (str, type, np.dtype)):
            continue

        def call(*arrays, args=args, places=places):
            given = dict(zip(places, arrays))
            return function(*(given.get(k, a) for k, a in enumerate(args)))

        try:
            got = evaluated(call)(*(args[k] for k in places))
        except XlacError as error:
            assert __file__ in str(error)
        else:
            same(got, want)


@pytest.mark.parametrize("uplo", ["L", "U"])
def test_hermitian_functions_of_numpy_read_one_triangle(uplo):
    matrix = A + 3 * np.eye(3)
    assert not np.allclose(matrix, matrix.T)
    for function in (lambda x: np.linalg.eigh(x, uplo)[0], lambda x: np.linalg.eigvalsh(x, UPLO=uplo)):
        same(evaluated(function)(matrix), function(matrix))
    for function in (np.linalg.cholesky, np.linalg.eigvalsh):
        same(evaluated(function)(matrix), function(matrix))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda x: x.fill(0), "xlac.numpy.full_like"),
        (lambda x: x.partition(1), "xlac.numpy.partition"),
        (lambda x: x.tobytes(), "no memory until the program runs"),
        (lambda x: x.flags, "no memory until the program runs"),
        (lambda x: x.colour, "a traced array has no attribute 'colour'"),
    ],
)
def test_an_attribute_that_a_traced_array_lacks_is_named_with_what_to_use(use, message):
    with pytest.raises(AttributeError, match=message):
        xlac.jit(use)(A)
    assert not hasattr(xlac.array.Array, "colour")


def test_a_function_of_scipy_is_named_with_its_twin():
    special = pytest.importorskip("scipy.special")
    with pytest.raises(TraceError, match=r"scipy\.special\.expit .* use xlac\.scipy\.special\.expit"):
        xlac.jit(special.expit)(A)


def test_a_place_for_the_result_is_refused_wherever_it_stands():
    out = np.zeros((3, 3))
    for call in (lambda x: np.fix(x, out), lambda x: np.cumsum(x, 0, None, out), lambda x: np.exp(x, out)):
        with pytest.raises(TraceError, match="cannot be written into an array"):
            xlac.jit(call)(A)


def test_a_path_of_einsum_depends_on_shapes_alone():
    paths = []
    evaluated(lambda x, y: paths.append(np.einsum_path("ij,jk->ik", x, y)[0]) or x)(A, B)
    assert paths == [np.einsum_path("ij,jk->ik", A, B)[0]]
