"""The same functions under JAX: values, gradients and types of results."""

import importlib.util
import itertools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from tests.evaluated import EVALUATED
from tests.frontend import derivatives
from tests.frontend.derivatives import weighted
from xlac import lax, nn

pytestmark = pytest.mark.jax

if importlib.util.find_spec("jax") is not None:
    import jax
    import jax.numpy as jnp


DTYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "bfloat16", "float16",
          "float32", "float64", "complex64", "complex128"]  # fmt: skip


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        yield


@pytest.mark.parametrize("name", derivatives.CASES)
def test_values_and_gradients_are_jaxs(name):
    ours, arrays = weighted(name, xnp, lax, nn)
    theirs, _ = weighted(name, jnp, jax.lax, jax.nn)
    numbers = tuple(range(len(arrays)))
    want = jax.value_and_grad(theirs, argnums=numbers)(*(jnp.asarray(a) for a in arrays))
    got = xlac.jit(xlac.value_and_grad(ours, argnums=numbers), options=EVALUATED)(*arrays)
    tolerance = 1e-5 if name == "convert" else 1e-9
    np.testing.assert_allclose(got[0], want[0], rtol=tolerance)
    for g, w in zip(got[1], want[1]):
        np.testing.assert_allclose(g, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations_with_replacement(DTYPES, 2)))
def test_types_of_sums_are_jaxs(first, second):
    a, b = np.ones(2, xnp.dtype(first)), np.ones(2, xnp.dtype(second))
    want = (jnp.asarray(a) + jnp.asarray(b)).dtype
    got = xlac.eval_shape(xnp.add, a, b).dtype
    assert got == want


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [True, 2, 2.5, 2j])
def test_types_of_sums_with_python_numbers_are_jaxs(dtype, number):
    x = np.ones(2, xnp.dtype(dtype))
    want = (jnp.asarray(x) + number).dtype
    got = xlac.eval_shape(lambda v: v + number, x).dtype
    # Where no array says how wide, JAX in 64-bit mode takes 64 bits; here only 64-bit integers do.
    narrow = {"float64": "float32", "complex128": "complex64", "int64": "int32"}
    if want.name in narrow and x.dtype.itemsize < 8 and dtype != want.name:
        want = np.dtype(narrow[want.name])
    assert got == want
