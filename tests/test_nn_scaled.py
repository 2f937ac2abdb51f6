"""Products in blocks that share a scale: their values by NumPy in the narrow types, and their derivatives."""

import ml_dtypes
import numpy as np
import pytest

import xlac
from xlac import nn
from xlac.errors import ShapeError

RNG = np.random.default_rng(5)
NUMBERS = (((2,), (2,)), ((0,), (0,)))
A, B = (RNG.normal(size=(2, 32, 64)).astype(np.float32) for _ in range(2))


def by_numpy(x, config):
    """The quantised values, in float32."""
    blocks = x.reshape(*x.shape[:-1], -1, config.block_size)
    whole = 1.0 if config.global_scale is None else config.global_scale
    most = np.float32(ml_dtypes.finfo(config.data_type).max)
    scales = np.abs(blocks / whole).max(-1, keepdims=True) / most
    if config.mode == "mxfp8":
        scales = np.exp2(np.ceil(np.log2(np.where(scales == 0, 2.0**-127, scales))))
    else:
        greatest = float(ml_dtypes.finfo(config.scale_type).max)
        scales = np.minimum(scales, greatest).astype(config.scale_type).astype(np.float32)
    parts = np.clip(blocks / whole / np.where(scales == 0, 1, scales), -most, most)
    return (parts.astype(config.data_type).astype(np.float32) * scales * whole).reshape(x.shape)


CONFIGS = {
    "mxfp8": nn.get_scaled_dot_general_config("mxfp8"),
    "nvfp4": nn.get_scaled_dot_general_config("nvfp4"),
    "nvfp4 scaled": nn.get_scaled_dot_general_config("nvfp4", np.array([0.25], np.float32)),
}


def test_a_block_shares_a_scale():
    a, b = np.array([[[1, 2, 3, 4]]]), np.array([[[4, 5, 6, 7]]])
    scales = np.array([[[0.5, 2.0]]])
    made = nn.scaled_matmul(a, b, scales, scales)
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, [[[0.25 * (4 + 10) + 4 * (18 + 28)]]])
    narrow = [x.astype(ml_dtypes.float8_e4m3fn) for x in (a, b, scales, scales)]
    np.testing.assert_array_equal(xlac.jit(nn.scaled_matmul)(*narrow), made)
    with pytest.raises(ShapeError, match="blocks that divide k"):
        nn.scaled_matmul(a, b, np.ones((1, 1, 3)), np.ones((1, 1, 3)))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_product_is_that_of_the_quantised_operands(name):
    config = CONFIGS[name]
    a = A.copy()
    a[0, 0] = 0  # a block of zeros
    a[1, :, :3] *= 1000
    want = np.einsum("bmk,bnk->bmn", by_numpy(a, config), by_numpy(B, config))
    for run in (nn.scaled_dot_general, xlac.jit(nn.scaled_dot_general, static_argnums=2, static_argnames="configs")):
        configs = (config,) * 3 if run is nn.scaled_dot_general else Hashable([config] * 3)
        np.testing.assert_allclose(run(a, B, NUMBERS, configs=configs), want, rtol=1e-5, atol=1e-3)


class Hashable(tuple):
    """Configurations as a static argument."""

    def __hash__(self):
        return id(self)

    def __eq__(self, other):
        return self is other


def test_dimensions_may_be_several_and_anywhere():
    x, y = RNG.normal(size=(8, 3, 4, 5)).astype(np.float32), RNG.normal(size=(3, 6, 8, 4)).astype(np.float32)
    configs = [CONFIGS["mxfp8"]] * 3
    numbers = (((0, 2), (2, 3)), ((1,), (0,)))
    made = nn.scaled_dot_general(x, y, numbers, configs=configs, preferred_element_type=np.float16)
    exact = nn.scaled_dot_general(x, y, numbers)
    assert (made.shape, made.dtype, exact.dtype) == ((3, 5, 6), np.float16, np.float32)
    np.testing.assert_allclose(exact, np.einsum("abcd,beac->bde", x, y), rtol=1e-5, atol=1e-5)
    # Each of the 32 products of numbers near 1 is off by at most 2 * 2^-4.
    np.testing.assert_allclose(made, exact, atol=32 * 2**-3)
    with pytest.raises(ShapeError, match="must be a multiple of that"):
        nn.scaled_dot_general(x, y, (((0,), (2,)), ((1,), (0,))), configs=configs)


@pytest.mark.parametrize("name", CONFIGS)
def test_derivatives_are_products_too(name):
    config = CONFIGS[name]
    weights = RNG.normal(size=(2, 32, 32)).astype(np.float32)
    loss = lambda a, b: (nn.scaled_dot_general(a, b, NUMBERS, configs=[config] * 3) * weights).sum()  # noqa: E731
    by_a, by_b = xlac.grad(loss, (0, 1))(A, B)
    narrow = (lambda x: by_numpy(x, config)) if name == "mxfp8" else (lambda x: x)
    turned = lambda x: np.ascontiguousarray(np.swapaxes(x, 1, 2))  # noqa: E731
    np.testing.assert_allclose(by_a, narrow(weights) @ turned(narrow(turned(B))), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_b, narrow(turned(weights)) @ turned(narrow(turned(A))), rtol=1e-4, atol=1e-4)


def test_a_mode_that_is_not_there_is_refused():
    with pytest.raises(ShapeError, match="'mxfp8' or 'nvfp4'"):
        nn.get_scaled_dot_general_config("int4")
