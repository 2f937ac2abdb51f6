"""Every function of the Python Array API standard 2024.12 takes the standard's parameters, in its order and kinds."""

import inspect

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp

UNARY = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log
log1p log2 log10 logical_not negative positive real reciprocal round sign signbit sin sinh square sqrt tan tanh trunc
matrix_transpose nonzero unique_all unique_counts unique_inverse unique_values linalg.eigh linalg.eigvalsh linalg.det
linalg.inv linalg.matrix_transpose linalg.slogdet linalg.svdvals
"""
BINARY = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide
greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply
nextafter not_equal pow remainder subtract matmul linalg.matmul linalg.outer linalg.solve
"""
REDUCING = "all any max mean min"
OTHERS = """
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing="xy")
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)
astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)
clip(x, /, min=None, max=None)
take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)
__array_namespace_info__()
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)
broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, *, axis=0)
flip(x, /, *, axis=None)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)
argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
searchsorted(x1, x2, /, *, side="left", sorter=None)
where(condition, x1, x2, /)
argsort(x, /, *, axis=-1, descending=False, stable=True)
sort(x, /, *, axis=-1, descending=False, stable=True)
cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)
linalg.cholesky(x, /, *, upper=False)
linalg.cross(x1, x2, /, *, axis=-1)
linalg.diagonal(x, /, *, offset=0)
linalg.matrix_norm(x, /, *, keepdims=False, ord="fro")
linalg.matrix_power(x, n, /)
linalg.matrix_rank(x, /, *, rtol=None)
linalg.pinv(x, /, *, rtol=None)
linalg.qr(x, /, *, mode="reduced")
linalg.svd(x, /, *, full_matrices=True)
linalg.tensordot(x1, x2, /, *, axes=2)
linalg.trace(x, /, *, offset=0, dtype=None)
linalg.vecdot(x1, x2, /, *, axis=-1)
linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
fft.fft(x, /, *, n=None, axis=-1, norm="backward")
fft.ifft(x, /, *, n=None, axis=-1, norm="backward")
fft.fftn(x, /, *, s=None, axes=None, norm="backward")
fft.ifftn(x, /, *, s=None, axes=None, norm="backward")
fft.rfft(x, /, *, n=None, axis=-1, norm="backward")
fft.irfft(x, /, *, n=None, axis=-1, norm="backward")
fft.rfftn(x, /, *, s=None, axes=None, norm="backward")
fft.irfftn(x, /, *, s=None, axes=None, norm="backward")
fft.hfft(x, /, *, n=None, axis=-1, norm="backward")
fft.ihfft(x, /, *, n=None, axis=-1, norm="backward")
fft.fftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.rfftfreq(n, /, *, d=1.0, dtype=None, device=None)
fft.fftshift(x, /, *, axes=None)
fft.ifftshift(x, /, *, axes=None)
"""
SIGNATURES = {
    **{name: "(x, /)" for name in UNARY.split()},
    **{name: "(x1, x2, /)" for name in BINARY.split()},
    **{name: "(x, /, *, axis=None, keepdims=False)" for name in REDUCING.split()},
    **{line.partition("(")[0]: "(" + line.partition("(")[2] for line in OTHERS.split("\n") if line},
}
METHODS = {
    "__array_namespace__": "(self, /, *, api_version=None)",
    "__add__": "(self, other, /)",
    "__radd__": "(self, other, /)",
    "__invert__": "(self, /)",
    "__getitem__": "(self, key, /)",
    "to_device": "(self, device, /, *, stream=None)",
}


def found(name):
    function = xnp
    for part in name.split("."):
        function = getattr(function, part)
    return function


def of(text):
    return inspect.signature(eval(f"lambda {text[1:-1]}: 0")) if "/" not in text else _made(text)


def _made(text):
    scope: dict = {}
    exec(f"def made{text}: ...", scope)
    return inspect.signature(scope["made"])


def agrees(actual, wanted):
    """What is wrong with a signature; parameters beyond the standard's are free, if they can be left out."""
    P = inspect.Parameter
    have, positional = list(actual.parameters.values()), 0
    wrong = []
    for want in wanted.parameters.values():
        if want.kind == P.KEYWORD_ONLY:
            got = actual.parameters.get(want.name)
            if got is None or got.kind not in (P.KEYWORD_ONLY, P.POSITIONAL_OR_KEYWORD):
                wrong.append(f"{want.name} cannot be given by name")
        else:
            got = have[positional] if positional < len(have) else None
            positional += 1
            if got is None or got.kind == P.KEYWORD_ONLY:
                wrong.append(f"{want.name} cannot be given by position")
            elif want.kind in (P.POSITIONAL_OR_KEYWORD, P.VAR_POSITIONAL) and got.kind != want.kind:
                wrong.append(f"{want.name} is {got.kind.description}")
            elif want.kind == P.POSITIONAL_OR_KEYWORD and got.name != want.name:
                wrong.append(f"{want.name} is called {got.name}")
        if got is not None and want.default is not P.empty and got.default is P.empty and got.kind != P.VAR_KEYWORD:
            wrong.append(f"{want.name} cannot be left out")
    names = {p.name for p in wanted.parameters.values()}
    extra = [p for p in have[positional:] if p.name not in names and p.default is P.empty]
    return wrong + [f"{p.name} is demanded" for p in extra if p.kind not in (P.VAR_KEYWORD, P.VAR_POSITIONAL)]


@pytest.mark.parametrize("name", SIGNATURES)
def test_functions_take_the_standards_parameters(name):
    assert agrees(inspect.signature(found(name)), _made(SIGNATURES[name])) == []


@pytest.mark.parametrize("name", "capabilities default_device devices default_dtypes dtypes".split())
def test_the_description_of_the_namespace_takes_the_standards_parameters(name):
    wanted = {"default_dtypes": "(*, device=None)", "dtypes": "(*, device=None, kind=None)"}.get(name, "()")
    assert agrees(inspect.signature(getattr(xnp.__array_namespace_info__(), name)), _made(wanted)) == []


def test_traced_arrays_have_the_standards_attributes():
    missing = []

    def function(x):
        names = "dtype device mT ndim shape size T to_device __array_namespace__ __getitem__ __len__ __abs__ __matmul__"
        operators = "add and floordiv lshift mod mul or pow rshift sub truediv xor"
        inverses = [f"__{r}{name}__" for name in operators.split() for r in ("", "r")]
        missing.extend(n for n in names.split() + inverses if not hasattr(x, n))
        return x

    xlac.jit(function)(np.ones((2, 2)))
    assert missing == []
