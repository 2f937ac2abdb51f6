"""einsum in both of its forms."""

import numpy as np
import pytest

import xlac.numpy as xnp
from xlac import lax
from xlac.errors import TraceError

X = np.arange(6, dtype=np.float32).reshape(2, 3)
Y = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    "operands",
    [
        (X, [0, 1], Y, [1, 2], [0, 2]),
        (X, [5, 1], Y, [1, 30]),
        (X, [0, 1], []),
        (X, [..., 1], X, [..., 1]),
        (X, (0, 1), Y, (1, 2), X, (0, 3), (3, 2)),
    ],
    ids=str,
)
def test_dimensions_may_be_numbers(operands):
    np.testing.assert_allclose(xnp.einsum(*operands), np.einsum(*operands), rtol=1e-6)


def test_pairs_are_contracted_by_the_given_product():
    calls = []

    def product(*args, **kwargs):
        calls.append(kwargs)
        return lax.dot_general(*args, **kwargs)

    result = xnp.einsum("ij,jk->ik", X, Y, precision="highest", _dot_general=product)
    np.testing.assert_array_equal(result, X @ Y)
    assert calls == [{"precision": "highest", "preferred_element_type": None}]


def test_operands_without_their_dimensions_are_refused():
    with pytest.raises(TraceError, match="each operand followed by the numbers"):
        xnp.einsum(X, Y)
