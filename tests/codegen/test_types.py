"""Every opcode that is not elementwise, for every element type: generated code against the evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import xlac
from xlac.ir.shape import ELEMENT_TYPES, ElementType

# Bodies of programs: T is the type, and the parameters are declared as they are used.
MOVEMENT = {
    "reshape": "ROOT r = T[8,6] reshape(x)",
    "transpose": "ROOT r = T[4,3,4] transpose(y), dimensions={2,1,0}",
    "broadcast": "ROOT r = T[2,12,4] broadcast(m), dimensions={1,2}",
    "slice": "ROOT r = T[5,2] slice(m), slice={[1:11:2], [1:3]}",
    "concatenate": "ROOT r = T[12,7] concatenate(m, n), dimensions={1}",
    "pad": "ROOT r = T[14,6] pad(m, s), padding=1_1x0_-1_1",
    "reverse": "ROOT r = T[12,4] reverse(m), dimensions={0,1}",
    "dynamic-slice": "ROOT r = T[3,2] dynamic-slice(m, i, i), dynamic_slice_sizes={3,2}",
    "dynamic-update-slice": "ROOT r = T[12,4] dynamic-update-slice(m, u, i, i)",
    "gather": "ROOT r = T[5,4] gather(m, at), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0}, "
    "index_vector_dim=1, slice_sizes={1,4}",
    "copy": "ROOT r = T[12,4] copy(m)",
    "constant": "c = T[12,4] constant({...})\n  ROOT r = T[2,12,4] broadcast(c), dimensions={1,2}",
    "tuple": "t = (T[12,4], T[]) tuple(m, s)\n  ROOT r = T[] get-tuple-element(t), index=1",
    "while": "ROOT r = T[12,4] while(m), condition=never, body=turn",
    "conditional": "ROOT r = T[12,4] conditional(yes, m, m), true_computation=turn, false_computation=keep",
    "call": "ROOT r = T[12,4] call(m), to_apply=turn",
    "select": "ROOT r = T[12,4] select(yeses, m, w)",
    "scatter": "ROOT r = T[12,4] scatter(m, at, rows), update_window_dims={1}, inserted_window_dims={0}, "
    "scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=second",
}
ORDERED = {
    "sort": "ROOT r = T[12,4] sort(m), dimensions={0}, is_stable=true, to_apply=less",
    "topk": "ROOT r = (T[12,2], s32[12,2]) topk(m), k=2, largest=true",
    "clamp": "ROOT r = T[12,4] clamp(s, m, z)",
    "select-and-scatter": "ROOT r = T[12,4] select-and-scatter(m, pooled, s), window={size=3x2 stride=3x2}, "
    "select=greater, scatter=add",
}
NUMBERS = {
    "iota": "ROOT r = T[2,3] iota(), iota_dimension=1",
    "dot": "ROOT r = T[12,3] dot(m, b), lhs_contracting_dims={1}, rhs_contracting_dims={1}",
    "convolution": "ROOT r = T[2,3,3] convolution(y3, k), window={size=2}, dim_labels=b0f_0io->b0f",
    "map": "ROOT r = T[12,4] map(m, w), dimensions={0,1}, to_apply=add",
    "scatter-add": MOVEMENT["scatter"].replace("second", "add"),
}
REDUCERS = {
    "p": ("and", "or", "xor", "maximum", "minimum", "add", "multiply"),
    "s": ("and", "or", "xor", "maximum", "minimum", "add", "multiply"),
    "u": ("and", "or", "xor", "maximum", "minimum", "add", "multiply"),
    "f": ("maximum", "minimum", "add", "multiply"),
    "c": ("add", "multiply"),
}
REDUCTIONS = {
    "reduce": "ROOT r = T[12] reduce(m, s), dimensions={1}, to_apply=OP",
    "reduce-columns": "ROOT r = T[4] reduce(m, s), dimensions={0}, to_apply=OP",
    "reduce-all": "ROOT r = T[] reduce(m, s), dimensions={0,1}, to_apply=OP",
    "reduce-window": "ROOT r = T[12,4] reduce-window(m, s), window={size=3x3 pad=1_1x1_1}, to_apply=OP",
    "all-reduce": "ROOT r = T[12,4] all-reduce(m), replica_groups={{0}}, to_apply=OP",
}
PARAMETERS = {
    "x": "T[6,8]",
    "y": "T[4,3,4]",
    "y3": "T[2,4,2]",
    "k": "T[2,2,3]",
    "m": "T[12,4]",
    "w": "T[12,4]",
    "b": "T[3,4]",
    "n": "T[12,3]",
    "u": "T[3,2]",
    "s": "T[]",
    "z": "T[]",
    "i": "s32[]",
    "at": "s32[5]",
    "rows": "T[5,4]",
    "pooled": "T[4,2]",
    "yes": "pred[]",
    "yeses": "pred[12,4]",
}
COMPUTATIONS = """
second {
  a = T[] parameter(0)
  ROOT b = T[] parameter(1)
}

turn {
  a = T[12,4] parameter(0)
  ROOT b = T[12,4] reverse(a), dimensions={0}
}

keep {
  ROOT a = T[12,4] parameter(0)
}

never {
  a = T[12,4] parameter(0)
  ROOT no = pred[] constant(false)
}
"""


def two_scalars(name: str, root: str) -> str:
    return f"\n{name} {{\n  a = T[] parameter(0)\n  b = T[] parameter(1)\n  ROOT c = {root}\n}}\n"


COMPARISONS = two_scalars("less", "pred[] compare(a, b), direction=LT") + two_scalars(
    "greater", "pred[] compare(a, b), direction=GE"
)


def program(bodies: list[str], element: ElementType) -> str:
    """The text of a program that gives the results of all bodies; parameters are those of `PARAMETERS`."""
    text = "HloModule m\n" + COMPUTATIONS
    if not element.is_complex:
        text += COMPARISONS
    for name in REDUCERS[element.kind]:
        text += two_scalars(name, f"T[] {name}(a, b)")
    lines = [f"{name} = {shape} parameter({k})" for k, (name, shape) in enumerate(PARAMETERS.items())]
    lines += [body.replace("ROOT r =", f"r{k} =") for k, body in enumerate(bodies)]
    results = ", ".join(f"r{k}" for k in range(len(bodies)))
    text += "\nENTRY main {\n  " + "\n  ".join(lines) + f"\n  ROOT all = tuple({results})\n}}\n"
    return text.replace("T[", element.name + "[")


def numbers(shape: str, generator: np.random.Generator) -> np.ndarray:
    """Small whole numbers, so that sums of narrow types stay exact; of complex types both parts."""
    name, _, dims = shape.rstrip("]").partition("[")
    element = ELEMENT_TYPES[name]
    sizes = tuple(int(d) for d in dims.split(",") if d)
    if element.kind == "p":
        return np.asarray(generator.integers(0, 2, sizes), bool)
    low = 0 if element.kind == "u" or element.name == "f8e8m0fnu" else -1
    whole = np.asarray(generator.integers(low, 2, sizes), np.int8)
    if element.is_complex:
        return np.asarray(whole + 1j * generator.integers(low, 2, sizes), element.dtype)
    return whole.astype(element.dtype)


def cases(element: ElementType) -> dict[str, str]:
    found = dict(MOVEMENT)
    if not element.is_complex:
        found |= ORDERED
    if element.kind != "p":
        found |= NUMBERS
    for name in REDUCERS[element.kind]:
        found |= {f"{kind}-{name}": body.replace("OP", name) for kind, body in REDUCTIONS.items()}
    return found


def same(got: object, want: object, element: ElementType) -> bool:
    if isinstance(want, tuple):
        return all(same(g, w, element) for g, w in zip(got, want))  # type: ignore[arg-type]
    assert isinstance(got, np.ndarray | np.generic) and isinstance(want, np.ndarray | np.generic)
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    wide = np.complex128 if got.dtype.kind == "c" else np.float64
    a, b = np.asarray(got).astype(wide), np.asarray(want).astype(wide)
    return bool(np.array_equal(a, b, equal_nan=True))


@pytest.mark.parametrize("element", ELEMENT_TYPES.values(), ids=str)
def test_every_opcode_of_every_type_gives_what_the_evaluator_gives(element: ElementType) -> None:
    bodies = cases(element)
    generator = np.random.default_rng(0)
    module = xlac.parse_hlo(program(list(bodies.values()), element), fill_constants="random")
    arguments = [numbers(shape.replace("T[", element.name + "["), generator) for shape in PARAMETERS.values()]
    got, want = xlac.compile(module)(*arguments), xlac.evaluate(module, *arguments)
    wrong = [f"{n}: {g} and {w}" for n, g, w in zip(bodies, got, want, strict=True) if not same(g, w, element)]
    assert not wrong, "\n".join(wrong)
