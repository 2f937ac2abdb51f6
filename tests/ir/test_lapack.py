"""LAPACK kernels by the convention of older programs: options and sizes are operands, workspaces are results.

The operands and results are those that JAX's lowering wrote (jaxlib/lapack.py) before kernels had configurations.
"""

from __future__ import annotations

import numpy as np
import pytest

import xlac
from xlac.ir.shape import ELEMENT_TYPES, shape_of

TYPES = {"s": "f32", "d": "f64", "c": "c64", "z": "c128"}
REAL = {"s": "f32", "d": "f64", "c": "f32", "z": "f64"}


def call(target, options, arrays, results):
    """The results of a kernel, evaluated and compiled; an option is an s32 or, written as a letter, a u8."""
    lines, names = [], []
    for i, option in enumerate(options):
        kind, number = ("u8", ord(option)) if isinstance(option, str) else ("s32", option)
        kind, number = (option.dtype, option.item()) if isinstance(option, np.generic) else (kind, number)
        if isinstance(option, np.generic):
            kind = str(shape_of(np.asarray(option)))[:-2]
            number = f"({number.real}, {number.imag})" if option.dtype.kind == "c" else number
        lines.append(f"o{i} = {kind}[] constant({number})")
        names.append(f"o{i}")
    for i, array in enumerate(arrays):
        lines.append(f"a{i} = {shape_of(array)} parameter({i})")
        names.append(f"a{i}")
    shape = f"({', '.join(results)})" if len(results) > 1 else results[0]
    lines.append(f'ROOT r = {shape} custom-call({", ".join(names)}), custom_call_target="{target}"')
    text = "HloModule m\n\nENTRY main {\n" + "\n".join(lines) + "\n}\n"
    module = xlac.parse_hlo(text)
    return xlac.evaluate(module, *arrays), xlac.compile(module)(*arrays)


def numbers(letter, *dims, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=dims) + (1j * rng.normal(size=dims) if letter in "cz" else 0)
    return x.astype(ELEMENT_TYPES[TYPES[letter]].dtype)


def star(a):
    return np.conj(np.swapaxes(a, -1, -2))


def close(got, want, letter):
    tolerance = 2e-4 if letter in "sc" else 1e-10
    np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1, np.abs(want).max()))


def shapes(letter, *texts):
    """T stands for the kernel's type, R for its real type."""
    return [t.replace("T[", TYPES[letter] + "[").replace("R[", REAL[letter] + "[") for t in texts]


each_type = pytest.mark.parametrize("letter", "sdcz")


@each_type
def test_getrf(letter):
    a = numbers(letter, 2, 4, 3)
    for lu, pivots, info in call(
        f"lapack_{letter}getrf", [2, 4, 3], [a], shapes(letter, "T[2,4,3]", "s32[2,3]", "s32[2]")
    ):
        permuted = a.copy()
        for b in range(2):
            for i, p in enumerate(pivots[b]):
                permuted[b, [i, p - 1]] = permuted[b, [p - 1, i]]
        close((np.tril(lu, -1)[..., :3] + np.eye(4, 3)) @ np.triu(lu[:, :3]), permuted, letter)
        assert not info.any()


@each_type
def test_geqrf_and_orgqr(letter):
    a = numbers(letter, 2, 4, 3)
    name = "ungqr" if letter in "cz" else "orgqr"
    results = shapes(letter, "T[2,4,3]", "T[2,3]", "s32[2]", "T[96]")
    for packed, tau, info, _ in call(f"lapack_{letter}geqrf", [2, 4, 3, 96], [a], results):
        assert not info.any()
        wanted = shapes(letter, "T[2,4,3]", "s32[2]", "T[96]")
        for q, info, _ in call(f"lapack_{letter}{name}", [2, 4, 3, 3, 96], [packed, tau], wanted):
            close(q @ np.triu(packed[:, :3]), a, letter)
            close(star(q) @ q, np.broadcast_to(np.eye(3), (2, 3, 3)), letter)
            assert not info.any()


@each_type
def test_geqp3(letter):
    a, first = numbers(letter, 4, 3), np.zeros(3, np.int32)
    work = ["T[99]", "R[6]"] if letter in "cz" else ["T[99]"]
    results = shapes(letter, "T[4,3]", "s32[3]", "T[3]", "s32[]", *work)
    for packed, order, *_ in call(f"lapack_{letter}geqp3", [1, 4, 3, 99], [a, first], results):
        assert sorted(order.tolist()) == [1, 2, 3]
        r = np.triu(packed[:3])
        columns = a[:, order - 1]
        close(star(r) @ r, star(columns) @ columns, letter)


@each_type
@pytest.mark.parametrize("lower", [0, 1])
def test_potrf(letter, lower):
    a = numbers(letter, 3, 4, 4)
    a = (a @ star(a) + np.eye(4)).astype(a.dtype)
    for factor, info in call(f"lapack_{letter}potrf", [lower, 3, 4], [a], shapes(letter, "T[3,4,4]", "s32[3]")):
        below = np.tril(factor) if lower else star(np.triu(factor))
        close(below @ star(below), a, letter)
        assert not info.any()


@each_type
@pytest.mark.parametrize("full, vectors", [(1, 1), (0, 1), (0, 0)])
def test_gesdd(letter, full, vectors):
    a = numbers(letter, 2, 4, 3)
    k = 4 if full else 3
    work = ["s32[24]", "R[200]", "T[200]"] if letter in "cz" else ["s32[24]", "T[200]"]
    results = shapes(letter, "T[2,4,3]", "R[2,3]", f"T[2,4,{k}]", "T[2,3,3]", "s32[2]", *work)
    for _, s, u, vt, info, *_ in call(f"lapack_{letter}gesdd", [full, vectors, 2, 4, 3, 200], [a], results):
        close(s, np.linalg.svd(a, compute_uv=False), letter)
        if vectors:
            close((u[..., :3] * s[:, None]) @ vt, a, letter)
        assert not info.any()


@each_type
@pytest.mark.parametrize("lower", [0, 1])
def test_syevd(letter, lower):
    a = numbers(letter, 2, 4, 4)
    whole = np.tril(a, -1) + star(np.tril(a, -1)) if lower else np.triu(a, 1) + star(np.triu(a, 1))
    a[:, np.arange(4), np.arange(4)] = a[:, np.arange(4), np.arange(4)].real
    whole = whole + a * np.eye(4)
    name = "heevd" if letter in "cz" else "syevd"
    work = ["T[9]", "R[9]", "s32[9]"] if letter in "cz" else ["T[9]", "s32[9]"]
    results = shapes(letter, "T[2,4,4]", "R[2,4]", "s32[2]", *work)
    for v, w, info, *_ in call(f"lapack_{letter}{name}", [lower, 2, 4], [a], results):
        close((v * w[:, None]) @ star(v), whole, letter)
        assert not info.any() and (np.diff(w) >= 0).all()


@each_type
def test_geev(letter):
    a = numbers(letter, 2, 4, 4)
    vector = "c64" if letter in "sc" else "c128"
    front = ["T[4,4]"] * 3 + ["R[2,4]"] * 2 if letter in "sd" else ["T[4,4]", "R[8]", "T[2,4]"]
    results = [*shapes(letter, *front), f"{vector}[2,4,4]", f"{vector}[2,4,4]", "s32[2]"]
    for found in call(f"lapack_{letter}geev", [2, 4, "V", "V"], [a], results):
        w = found[3] + 1j * found[4] if letter in "sd" else found[2]
        left, right, info = found[-3:]
        close(a @ right, right * w[:, None], letter)
        close(star(left) @ a, w[..., None] * star(left), letter)
        assert not info.any()


@each_type
def test_gees(letter):
    a = numbers(letter, 2, 4, 4)
    middle = ["R[4]", "T[2,4]"] if letter in "cz" else ["T[2,4]", "T[2,4]"]
    results = shapes(letter, "T[2,4,4]", *middle, "T[2,4,4]", "s32[2]", "s32[2]")
    for t, first, second, q, _, info in call(f"lapack_{letter}gees", [2, 4, "V", "N"], [a], results):
        close(q @ t @ star(q), a, letter)
        w = second if letter in "cz" else first + 1j * second
        close(np.prod(w, axis=-1), np.linalg.det(a), letter)
        assert not info.any()


@each_type
def test_gehrd_and_sytrd(letter):
    a = numbers(letter, 4, 4)
    results = shapes(letter, "T[4,4]", "T[3]", "s32[]", "T[64]")
    for packed, _, info, _ in call(f"lapack_{letter}gehrd", [4, 1, 4, 4, 1, 64], [a], results):
        close(np.linalg.det(np.triu(packed, -1)), np.linalg.det(a), letter)
        assert info == 0
    name = "hetrd" if letter in "cz" else "sytrd"
    a = (a + star(a)).astype(a.dtype)
    results = shapes(letter, "T[4,4]", "R[4]", "R[3]", "T[3]", "s32[]", "T[64]")
    for lower in (0, 1):
        for _, d, e, _, info, _ in call(f"lapack_{letter}{name}", [4, lower, 4, 1, 64], [a], results):
            tridiagonal = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
            close(np.linalg.eigvalsh(tridiagonal), np.linalg.eigvalsh(a), letter)
            assert info == 0


@each_type
@pytest.mark.parametrize("left, lower, transpose, unit", [(1, 1, 0, 0), (0, 0, 1, 0), (1, 0, 2, 1), (0, 1, 2, 0)])
def test_trsm(letter, left, lower, transpose, unit):
    a = (numbers(letter, 2, 3, 3) + 3 * np.eye(3)).astype(ELEMENT_TYPES[TYPES[letter]].dtype)
    b = numbers(letter, 2, 3, 5, seed=1) if left else numbers(letter, 2, 5, 3, seed=1)
    m, n = b.shape[1:]
    factor = b.dtype.type(2)
    triangle = np.tril(a) if lower else np.triu(a)
    if unit:
        triangle = triangle * (1 - np.eye(3)) + np.eye(3)
    triangle = (triangle, np.swapaxes(triangle, 1, 2), star(triangle))[transpose]
    options = [left, lower, transpose, unit, m, n, 2, factor]
    for x in call(f"blas_{letter}trsm", options, [a, b], [str(shape_of(b))]):
        close(triangle @ x if left else x @ triangle, 2 * b, letter)


def test_trsm_with_a_configuration_may_have_a_factor():
    a, b = np.tril(numbers("d", 3, 3)) + 3 * np.eye(3), numbers("d", 3, 2)
    text = """HloModule m

    ENTRY main {
      a = f64[3,3] parameter(0)
      b = f64[3,2] parameter(1)
      two = f64[] constant(2)
      ROOT x = f64[3,2] custom-call(a, b, two), custom_call_target="lapack_dtrsm_ffi",
        backend_config={side = 76 : ui8, uplo = 76 : ui8, trans_x = 78 : ui8, diag = 78 : ui8}
    }"""
    module = xlac.parse_hlo(text)
    for x in (xlac.evaluate(module, a, b), xlac.compile(module)(a, b)):
        close(a @ x, 2 * b, "d")


@pytest.mark.parametrize("target", ["lapack_sgetrf", "lapack_cpotrf", "blas_dtrsm"])
def test_older_kernels_with_known_options_are_compiled(target):
    a = "c64" if "_c" in target else "f64" if "_d" in target else "f32"
    options = {"getrf": "k, k, k", "potrf": "k, k, k", "trsm": "k, k, k, k, k, k, k, one, a"}[target[-5:].lstrip("sdc")]
    result = {"getrf": f"({a}[3,3], s32[3], s32[])", "potrf": f"({a}[3,3], s32[])"}.get(target[-5:], f"{a}[3,3]")
    one = "(1, 0)" if a == "c64" else "1"
    text = f"""HloModule m

    ENTRY main {{
      a = {a}[3,3] parameter(0)
      k = s32[] constant(1)
      one = {a}[] constant({one})
      ROOT r = {result} custom-call({options}, a), custom_call_target="{target}"
    }}"""
    assert "custom-call" not in xlac.compile(text).as_text("optimized")


def test_an_unknown_kernel_is_refused_with_the_known_ones():
    text = "HloModule m\n\nENTRY main {\n a = f32[3,3] parameter(0)\n"
    text += ' ROOT r = f32[3,3] custom-call(a), custom_call_target="lapack_sgetrs"\n}\n'
    with pytest.raises(xlac.errors.CompileError, match=r"lapack_\?getrf.*did you mean lapack_sget"):
        xlac.compile(text)


# ---- kernels of newer programs


@each_type
@pytest.mark.parametrize("lead", [(), (3,), (2, 0)], ids=str)
def test_tridiagonal_systems_are_solved(letter, lead):
    lower, main, upper = (numbers(letter, *lead, 6, seed=i) for i in range(3))
    b = numbers(letter, *lead, 6, 2, seed=3)
    dense = np.zeros((*lead, 6, 6), b.dtype)
    at = np.arange(6)
    dense[..., at, at] = main
    dense[..., at[1:], at[:-1]], dense[..., at[:-1], at[1:]] = lower[..., 1:], upper[..., :-1]
    results = [str(shape_of(x)) for x in (lower, main, upper, b, np.zeros(lead, np.int32))]
    for got in call(f"lapack_{letter}gtsv_ffi", [], [lower, main, upper, b], results):
        close(dense @ got[3], b, letter) if b.size else None
        assert not got[4].any()
    for got in call("tridiagonal_solve_perturbed_ffi", [], [lower, main, upper, b], results[3:4]):
        close(dense @ got, b, letter) if b.size else None


def test_a_singular_tridiagonal_system_has_the_place_of_its_zero_pivot():
    main = np.array([[1, 2, 3], [1, 0, 3], [0, 0, 0]], np.float32)
    zero, b = np.zeros_like(main), np.ones((3, 3, 1), np.float32)
    results = ["f32[3,3]"] * 3 + ["f32[3,3,1]", "s32[3]"]
    for got in call("lapack_sgtsv_ffi", [], [zero, main, zero, b], results):
        assert got[4].tolist() == [0, 2, 1]
        np.testing.assert_allclose(got[3][0, :, 0], [1, 1 / 2, 1 / 3], rtol=1e-6)
        assert np.isnan(got[3][1:]).all()


@each_type
@pytest.mark.parametrize("n", [2, 3, 9])
def test_a_singular_tridiagonal_system_is_perturbed_until_its_solution_is_finite(letter, n):
    main, b = numbers(letter, n), numbers(letter, n, 1, seed=1)
    main[n // 2] = 0
    zero = np.zeros_like(main)
    eps = np.finfo(main.dtype).eps
    for got in call("tridiagonal_solve_perturbed_ffi", [], [zero, main, zero, b], [str(shape_of(b))]):
        assert np.isfinite(got).all()
        regular = np.arange(n) != n // 2
        close(got[regular, 0], (b[:, 0] / np.where(main == 0, 1, main))[regular], letter)
        if n > 3:  # as large as a pivot of eps times the largest element makes it
            close(got[n // 2] * eps * np.abs(main[: n - 2]).max(), b[n // 2], letter)


@each_type
def test_eigenvalues_of_what_is_not_finite_are_nan_and_the_others_of_the_batch_are_not(letter):
    a = numbers(letter, 3, 4, 4)
    a[1, 2, 2] = np.nan
    parts = ["T[3,4]"] if letter in "cz" else ["R[3,4]", "R[3,4]"]
    kinds = {"s": "c64", "d": "c128", "c": "c64", "z": "c128"}
    results = shapes(letter, *parts) + [f"{kinds[letter]}[3,4,4]"] * 2 + ["s32[3]"]
    for got in call(f"lapack_{letter}geev_ffi", [], [a], results):
        values = got[0] if letter in "cz" else got[0] + 1j * got[1]
        assert got[-1].tolist() == [0, -4, 0]
        assert np.isnan(values[1]).all() and np.isnan(got[-2][1]).all()
        for i in (0, 2):
            close(a[i] @ got[-2][i], got[-2][i] * values[i], letter)


@each_type
def test_the_schur_form_of_what_is_not_finite_is_nan(letter):
    a = numbers(letter, 2, 4, 4)
    a[0, 1, 2] = np.nan
    values = ["T[2,4]"] if letter in "cz" else ["T[2,4]"] * 2
    results = shapes(letter, "T[2,4,4]", "T[2,4,4]", *values) + ["s32[2]", "s32[2]"]
    for got in call(f"lapack_{letter}gees_ffi", [], [a], results):
        t, q, info = got[0], got[1], got[-1] if letter in "cz" else got[-1]
        assert np.isnan(t[0]).all() and info[0] != 0 and info[1] == 0
        close(q[1] @ t[1] @ star(q[1]), a[1], letter)


def test_matrices_whose_steps_do_not_converge_are_told_apart(monkeypatch):
    svd = np.linalg.svd

    def stubborn(a, **options):
        if (a == 7).any():
            raise np.linalg.LinAlgError("no convergence")
        return svd(a, **options)

    monkeypatch.setattr(np.linalg, "svd", stubborn)
    a = numbers("d", 3, 4, 4)
    a[1] = 7
    results = ["f64[3,4,4]", "f64[3,4]", "f64[3,4,4]", "f64[3,4,4]", "s32[3]"]
    for got in call("lapack_dgesdd_ffi", [], [a], results):
        assert got[4].tolist() == [0, 1, 0]
        assert np.isnan(got[1][1]).all()
        close(got[1][2], svd(a[2], compute_uv=False), "d")


# ---- other kernels that JAX's lowering calls on CPUs


@pytest.mark.parametrize("kind", ["float32", "complex128", "int32"])
@pytest.mark.parametrize("columns", [(), (4,)], ids=str)
def test_a_matrix_in_compressed_rows_is_multiplied(kind, columns):
    dense = np.array([[0, 2, 0], [0, 0, 0], [3, 0, 4], [0, 5, 6]]).astype(kind)
    b = np.arange(1, 3 * 4 + 1)[: 3 * (columns or (1,))[0]].reshape(3, *columns).astype(kind)
    rows, places = np.nonzero(dense)
    # One element more than the rows hold, and it is outside the matrix.
    data = np.append(dense[rows, places], 9).astype(kind)
    starts = np.concatenate([[0], np.cumsum((dense != 0).sum(1))]).astype(np.int32)
    arrays = [data, starts, np.append(places, 3).astype(np.int32), b]
    for got in call("cpu_csr_sparse_dense_ffi", [], arrays, [str(shape_of(dense @ b))]):
        np.testing.assert_array_equal(got, dense @ b)


APPROXIMATE = """HloModule m

before {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  c = s32[] parameter(2)
  d = s32[] parameter(3)
  ROOT r = pred[] compare(a, b), direction=GT
}

ENTRY main {
  x = f32[2,6] parameter(0)
  i = s32[2,6] iota(), iota_dimension=1
  low = f32[] constant(-inf)
  none = s32[] constant(-1)
  ROOT r = (f32[2,K], s32[2,K]) custom-call(x, i, low, none), custom_call_target="ApproxTopK",
    called_computations={before}, backend_config={top_k = 2 : i64, reduction_dim = 1 : i64, aggregate_to_topk = true}
}
"""


@pytest.mark.parametrize("count", [2, 6])
def test_approximate_topk_gives_as_many_as_its_result_holds_with_nans_first(count):
    x = np.array([[1, np.nan, 3, -np.inf, 2, 3], [0, -1, 5, 4, 5, -2]], np.float32)
    module = xlac.parse_hlo(APPROXIMATE.replace("K]", f"{count}]"))
    for values, places in (xlac.evaluate(module, x), xlac.compile(module)(x)):
        assert places.tolist() == [order[:count] for order in ([1, 2, 5, 4, 0, 3], [2, 4, 3, 0, 1, 5])]
        np.testing.assert_array_equal(values, np.take_along_axis(x, places, 1))


def test_a_call_that_keeps_its_operand_gives_nothing():
    text = """module @m {
  func.func public @main(%arg0: tensor<2xf32>) -> tensor<2xf32> {
    stablehlo.custom_call @dce_sink(%arg0) {api_version = 4 : i32, has_side_effect = true} : (tensor<2xf32>) -> ()
    return %arg0 : tensor<2xf32>
  }
}
"""
    module = xlac.parse_stablehlo(text)
    x = np.arange(2, dtype=np.float32)
    for got in (xlac.evaluate(module, x), xlac.compile(module)(x)):
        np.testing.assert_array_equal(got, x)
