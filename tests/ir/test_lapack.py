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
