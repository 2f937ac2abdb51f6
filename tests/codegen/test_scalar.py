"""Native code of every elementwise opcode and element type, one instruction a kernel, against the evaluator."""

from __future__ import annotations

import itertools
from collections import defaultdict

import ml_dtypes
import numpy as np
import pytest

import xlac.ir.ops  # noqa: F401  (fills the opcode table)
from tests.values import assert_same, edge_values
from xlac.codegen.math import FUNCTIONS
from xlac.codegen.scalar import SCALAR, check_table
from xlac.compiler import compile_module
from xlac.errors import ShapeError
from xlac.ir.evaluate import evaluate
from xlac.ir.module import Computation, Module
from xlac.ir.opcode import OPCODES
from xlac.ir.shape import ELEMENT_TYPES, ArrayShape, TupleShape, element_type
from xlac.options import Options

TYPES = list(ELEMENT_TYPES.values())
ELEMENTWISE = sorted(name for name, row in OPCODES.items() if row.elementwise)
ROUNDED = set(FUNCTIONS) | {"sinh", "cosh", "asin", "acos", "asinh", "acosh", "atanh"}
DIRECTIONS = ("EQ", "NE", "GE", "GT", "LE", "LT")
ATTRIBUTES = {
    "compare": [{"direction": d} for d in DIRECTIONS] + [{"direction": d, "type": "TOTALORDER"} for d in DIRECTIONS],
    "reduce-precision": [
        {"exponent_bits": e, "mantissa_bits": m}
        for e, m in ((8, 7), (5, 10), (5, 2), (4, 3), (3, 0), (11, 52), (2, 30))
    ],
}


# Widths of the floats that have no NaN: it becomes a zero of either sign.
NAN_IS_ZERO = (4, 6)


def instances(name):
    """Operand types, result type (where it must be given) and attributes of all instructions of an opcode."""
    row = OPCODES[name]
    for t, attrs in itertools.product(TYPES, ATTRIBUTES.get(name, [{}])):
        operands = (t,) * row.arity[0]
        if name == "select":
            operands = (ELEMENT_TYPES["pred"], t, t)
        if name == "stochastic-convert":
            if not t.is_float or f"u{t.bits}" not in ELEMENT_TYPES:
                continue
            operands = (t, ELEMENT_TYPES[f"u{t.bits}"])
        for result in TYPES if row.declared else [None]:
            shape = None if result is None else ArrayShape(result, (4,))
            try:
                row.infer(tuple(ArrayShape(x, (4,)) for x in operands), row.complete(attrs), shape)
            except ShapeError:
                continue
            yield operands, result, attrs


def build(name, cases, size):
    """A module of one instruction for each case, each with its own parameters."""
    main = Computation("main")
    results = []
    for operands, result, attrs in cases:
        parameters = [main.parameter(ArrayShape(t, (size,))) for t in operands]
        shape = {} if result is None else {"shape": ArrayShape(result, (size,))}
        results.append(main.add(OPCODES[name].make(*parameters, **attrs, **shape)))
    main.add(OPCODES["tuple"].make(*results))
    assert isinstance(main.root.shape, TupleShape)
    return Module(name, main)


def edges(t):
    """Numbers at which a type's arithmetic is most likely to go wrong, denormals and half-way points included."""
    if t.bits <= 4:
        return np.arange(1 << t.bits, dtype=np.uint8).view(t.dtype) if t.is_float else every_small_integer(t)
    if not t.is_float:
        return edge_values(t)
    info = ml_dtypes.finfo(t.dtype)
    extreme = [float(info.max), float(info.smallest_normal), float(info.smallest_subnormal), 1 + float(info.eps)]
    more = np.array([*extreme, 1.5, 2.5, -0.75, 127.5, 130.0, 1e10, 88.8, 16.0], np.float64)
    with np.errstate(all="ignore"):
        return np.concatenate([edge_values(t), np.concatenate([more, -more]).astype(t.dtype)])


def every_small_integer(t):
    low = -(1 << t.bits - 1) if t.kind == "s" else 0
    return np.arange(low, low + (1 << t.bits)).astype(np.int8).astype(t.dtype)


def draw(t, rng, size, spread=True):
    """Ordinary numbers and, with `spread`, numbers of all magnitudes."""
    if t.kind == "p":
        return rng.integers(0, 2, size).astype(bool)
    if t.is_integer:
        if t.bits < 8:
            return rng.choice(every_small_integer(t), size)
        small = rng.integers(-4 if t.kind == "s" else 0, 70, size).astype(t.dtype)
        return np.where(rng.random(size) < 0.5, small, np.frombuffer(rng.bytes(size * t.dtype.itemsize), t.dtype))
    if t.is_complex:
        result = np.empty(size, t.dtype)
        result.real, result.imag = 3 * rng.standard_normal(size), 3 * rng.standard_normal(size)
        return result
    with np.errstate(all="ignore"):
        values = (3 * rng.standard_normal(size)).astype(t.dtype)
        wide = np.exp(8 * rng.standard_normal(size)).astype(t.dtype)
    return np.where(rng.random(size) < (0.7 if spread else 2), values, wide)


def arguments(name, operands, rng):
    """All combinations of edge values, and random numbers; complex functions get ordinary numbers alone."""
    ordinary = operands[0].is_complex and name in ROUNDED
    columns = [edges(t) for t in operands]
    if len(operands) == 1 and operands[0].is_float and operands[0].bits == 8:
        columns = [np.arange(256, dtype=np.uint8).view(operands[0].dtype)]
    count = 1 if ordinary else int(np.prod([len(c) for c in columns]))
    index = np.arange(count)
    if count > 1000:
        index = rng.choice(index, 1000, replace=False)
    places = np.unravel_index(index, [len(c) for c in columns])
    random = [draw(t, rng, 200) for t in operands]
    if ordinary:
        return random
    return [np.concatenate([c[p], r]) for c, p, r in zip(columns, places, random)]


def unit(want, t):
    """The distance of a number of type `t` to the next."""
    info = ml_dtypes.finfo(t.dtype)
    _, exponent = np.frexp(np.where(np.isfinite(want), want, 1))
    return np.maximum(np.ldexp(float(info.eps), exponent - 1), float(info.smallest_subnormal))


def assert_near(got, want, what):
    """Within a few units in the last place: both native code and NumPy may be off by some; for types narrower than
    float both are rounded, so they are neighbours at most. Complex numbers are compared as such."""
    t = element_type(want.dtype)
    if t.is_complex:
        finite = np.isfinite(want)
        error = np.abs(got[finite].astype(np.complex128) - want[finite].astype(np.complex128))
        allowed = 64 * float(np.finfo(t.dtype).eps) * np.maximum(np.abs(want[finite]), 1.0)
        assert (error <= allowed).all(), f"{what}: off by {error.max()}"
        return
    g, w = got.astype(np.float64), want.astype(np.float64)
    bound = 1 if t.bits < 32 else 6
    with np.errstate(all="ignore"):
        near = np.abs(g - w) <= bound * unit(w, t)
        signs = (np.signbit(g) == np.signbit(w)) | (t.bits in NAN_IS_ZERO)
        same = (g == w) & signs | np.isnan(g) & np.isnan(w) | near & (w != 0)
    if not same.all():
        k = int(np.argmin(same))
        count = f"{(~same).sum()} of {same.size}"
        raise AssertionError(f"{what}: {count} differ, element {k} is {got[k]!r}, not {want[k]!r}")


def check(name, cases, pick, target="host"):
    """Compile the cases whose arguments have equal sizes together; `pick` gives each case's arguments."""
    groups = defaultdict(list)
    for case in cases:
        args = pick(case)
        groups[len(args[0])].append((case, args))
    for size, members in groups.items():
        module = build(name, [case for case, _ in members], size)
        args = [a for _, arrays in members for a in arrays]
        got = compile_module(module, Options(fusion=False, target=target))(*args)
        want = evaluate(module, *args)
        for (case, arrays), g, w in zip(members, got, want, strict=True):
            operands, result, attrs = case
            what = f"{name} of {', '.join(map(str, operands))} {result or ''} {attrs or ''}"
            approximate = name in ROUNDED and not operands[0].is_integer
            inexact = operands[0].is_complex and name in ("multiply", "divide", "abs", "sign")
            try:
                if approximate or inexact:
                    assert_near(g, w, what)
                else:
                    assert_same(g, w, what, signed_zeros=element_type(w.dtype).bits not in NAN_IS_ZERO)
            except AssertionError as error:
                k = int(np.argmin([str(x) == str(y) for x, y in zip(g, w)]))
                shown = ", ".join(repr(a[k]) for a in arrays)
                raise AssertionError(f"{error}; e.g. for {shown}: {g[k]!r}, not {w[k]!r}") from None


def test_every_elementwise_opcode_has_scalar_code():
    check_table()
    assert set(ELEMENTWISE) <= set(SCALAR)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_native_results_are_the_evaluators(name):
    rng = np.random.default_rng(sum(name.encode()))
    cases = list(instances(name))
    assert cases
    check(name, cases, lambda case: arguments(name, case[0], rng))


SOME_TYPES = ("pred", "s4", "s32", "u8", "f8e4m3fn", "bf16", "f32", "f64", "c64")


def some_instances(name):
    """A few instances of an opcode: one type of each kind."""
    cases = [c for c in instances(name) if c[0][-1].name in SOME_TYPES]
    if OPCODES[name].declared:
        cases = [c for c in cases if c[1].name in ("s4", "f8e4m3fn", "f16", "f32")]
    return cases[:: len(ATTRIBUTES.get(name, "1"))]


@pytest.mark.parametrize("size", [1, 3, 16, 33])
def test_every_size_gives_whole_vectors_and_a_tail(size):
    rng = np.random.default_rng(size)
    for name in ELEMENTWISE:
        check(name, some_instances(name), lambda case: [draw(t, rng, size, spread=False) for t in case[0]])


@pytest.mark.slow
def test_the_least_processor_of_the_architecture_gives_the_same():
    rng = np.random.default_rng(5)
    for name in ELEMENTWISE:
        check(name, some_instances(name), lambda case, name=name: arguments(name, case[0], rng), target="generic")
