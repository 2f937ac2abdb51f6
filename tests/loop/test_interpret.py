"""No kernel touches what it must not: loop programs of every kind run by the interpreter, which checks every access,
and agree with the reference evaluator."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.loop.checked import MACHINES, check, check_text
from tests.random_programs import draw_module
from tests.rows import less_than, reducer
from tests.values import edge_values, random_array
from xlac.errors import CompileError
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import op
from xlac.ir.shape import ELEMENT_TYPES, F32, PRED, ArrayShape, element_type
from xlac.ir.window import ConvolutionDims, WindowDim
from xlac.loop import ir, schedule, sort
from xlac.loop.interpret import interpret

SIZES = (0, 1, 3, 7, 17, 33)
EXTENTS = st.sampled_from((1, 2, 3, 5, 8, 17))
machines = st.sampled_from(list(MACHINES.values()))


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split every kernel over threads that can be, however little it does."""
    for module, name in itertools.product((schedule, sort), ("PARALLEL_NS", "PIECE_NS")):
        monkeypatch.setattr(module, name, 1e-3)


def module_of(build: Callable[..., Instruction], *shapes: ArrayShape) -> Module:
    """The module of what `build` makes of parameters of those shapes."""
    entry = Computation("main")
    entry.add(build(*(entry.parameter(shape) for shape in shapes)))
    return Module("test", entry)


def check_made(
    draw: Callable[..., Any], build: Callable[..., Instruction], *arguments: np.ndarray, tolerance: float | None = None
) -> None:
    """Check one instruction by itself or between elementwise ones, fused or not, on some machine."""
    dressed = draw(st.booleans())

    def around(*operands: Instruction) -> Instruction:
        if not dressed:
            return build(*operands)
        inner = [_twisted(x) if x.shape.element_type.is_float else x for x in operands]  # type: ignore[union-attr]
        made = build(*inner)
        return _twisted(made) if isinstance(made.shape, ArrayShape) and made.shape.element_type.is_float else made

    module = module_of(around, *(ArrayShape(element_type(a.dtype), a.shape) for a in arguments))
    check(module, *arguments, fusion=draw(st.booleans()), machine=draw(machines), tolerance=tolerance)


def _twisted(x: Instruction) -> Instruction:
    return op.subtract.make(op.abs.make(x), op.negate.make(x))


def whole(rng: np.random.Generator, dims: Sequence[int], dtype: Any = np.float32) -> np.ndarray:
    return random_array(ArrayShape(element_type(np.dtype(dtype)), tuple(dims)), rng, whole=True)


def wild_indices(rng: np.random.Generator, dims: Sequence[int], dtype: Any, extent: int) -> np.ndarray:
    """Indices inside, at, just beyond and far beyond the ends of an array."""
    row = element_type(np.dtype(dtype))
    near = [i for i in (-2, -1, extent - 1, extent, extent + 1) if row.kind == "s" or i >= 0]
    most = int(edge_values(row).astype(object).max())
    choices = [min(i, most) for i in (*near, *range(extent))] + [int(x) for x in edge_values(row)]
    picked = rng.integers(0, len(choices), dims)
    return np.array([choices[i] for i in np.ravel(picked)], row.dtype).reshape(dims)


rngs = st.integers(0, 1 << 16).map(np.random.default_rng)
index_types = st.sampled_from((np.int32, np.int64, np.int8, np.uint8, np.uint32, np.uint64))
window_dims = st.builds(
    WindowDim,
    size=st.integers(1, 3),
    stride=st.integers(1, 3),
    pad_low=st.integers(-1, 3),
    pad_high=st.integers(-1, 3),
    lhs_dilate=st.integers(1, 3),
    rhs_dilate=st.integers(1, 2),
)


# ---- random programs


@pytest.mark.parametrize("fusion", [True, False], ids=["fused", "unfused"])
@pytest.mark.parametrize("machine", MACHINES)
@settings(max_examples=50)
@given(data=st.data())
def test_random_programs_touch_only_what_they_may(fusion: bool, machine: str, data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    check(module, *inputs, fusion=fusion, machine=MACHINES[machine])


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_iterations_of_parallel_loops_never_meet(split: None, data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    check(module, *inputs, fusion=data.draw(st.booleans()), machine=data.draw(machines))


@pytest.mark.slow
@settings(max_examples=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_many_random_programs_touch_only_what_they_may(split: None, data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw, max_steps=20)
    check(module, *inputs, fusion=data.draw(st.booleans()), machine=data.draw(machines))


@settings(max_examples=60)
@given(data=st.data())
def test_donated_parameters_may_be_overwritten_and_no_others(data: st.DataObject) -> None:
    module, inputs = draw_module(data.draw)
    count = len(inputs)
    module.donated = tuple(sorted(data.draw(st.sets(st.integers(0, count - 1)))))
    check(module, *inputs, machine=data.draw(machines))


# ---- elementwise, by type and size


@pytest.mark.parametrize("size", SIZES)
def test_elementwise_chains_of_odd_sizes(size: int) -> None:
    for name in ("f32", "bf16", "s8", "u4", "c64", "pred", "f64", "f8e4m3fn"):
        row = ELEMENT_TYPES[name]
        rng = np.random.default_rng(size)
        shape = ArrayShape(row, (size,))
        opcode = op.xor if row is PRED else op.add
        module = module_of(lambda x, y, opcode=opcode: opcode.make(opcode.make(x, y), x), shape, shape)
        for machine in MACHINES.values():
            check(module, *(random_array(shape, rng, whole=True) for _ in range(2)), machine=machine)


@pytest.mark.parametrize("dims", [(17, 33), (3, 7, 17), (33, 1, 3), (16, 16), (20, 64), (5, 0, 3), (4, 4, 4, 4)])
def test_transposes_of_every_order(dims: tuple[int, ...], split: None) -> None:
    rng = np.random.default_rng(0)
    for order in itertools.permutations(range(len(dims))):
        for row in ("f32", "u8", "c64"):
            x = whole(rng, dims, ELEMENT_TYPES[row].dtype)
            shape = ArrayShape(ELEMENT_TYPES[row], dims)
            check(module_of(lambda v, order=order: op.transpose.make(v, dimensions=order), shape), x)
    half = (*dims[:-2], dims[-1], dims[-2])
    order = (*range(len(dims) - 2), len(dims) - 1, len(dims) - 2)
    module = module_of(
        lambda v, w: op.add.make(op.transpose.make(v, dimensions=order), w),
        ArrayShape(F32, dims),
        ArrayShape(F32, half),
    )
    check(module, whole(rng, dims), whole(rng, half))


# ---- indices from data


@settings(max_examples=80)
@given(rng=rngs, kind=index_types, data=st.data())
def test_dynamic_slices_and_updates_clamp_wild_starts(rng: np.random.Generator, kind: Any, data: st.DataObject) -> None:
    dims = data.draw(st.lists(EXTENTS, min_size=1, max_size=3))
    sizes = tuple(data.draw(st.integers(1, n)) for n in dims)
    starts = [wild_indices(rng, (), kind, n) for n in dims]
    x = whole(rng, dims)
    if data.draw(st.booleans()):
        check_made(data.draw, lambda v, *i: op.dynamic_slice.make(v, *i, dynamic_slice_sizes=sizes), x, *starts)
    else:
        check_made(data.draw, lambda v, u, *i: op.dynamic_update_slice.make(v, u, *i), x, whole(rng, sizes), *starts)


@settings(max_examples=100)
@given(rng=rngs, kind=index_types, data=st.data())
def test_gathers_clamp_wild_indices(rng: np.random.Generator, kind: Any, data: st.DataObject) -> None:
    draw = data.draw
    rank = draw(st.integers(1, 3))
    dims = [draw(EXTENTS) for _ in range(rank)]
    batching = [0] if rank > 1 and draw(st.booleans()) else []
    rest = [d for d in range(rank) if d not in batching]
    mapped = tuple(draw(st.permutations(rest))[: draw(st.integers(1, len(rest)))])
    collapsed = tuple(d for d in rest if draw(st.booleans()))
    sizes = tuple(1 if d in (*collapsed, *batching) else draw(st.integers(1, n)) for d, n in enumerate(dims))
    batch = [dims[d] for d in batching] + [draw(EXTENTS) for _ in range(draw(st.integers(0, 2)))]
    ivd = draw(st.integers(0, len(batch)))
    implicit = len(mapped) == 1 and ivd == len(batch) and draw(st.booleans())
    index_dims = batch if implicit else [*batch[:ivd], len(mapped), *batch[ivd:]]
    offsets = len(dims) - len(collapsed) - len(batching)
    offset_dims = sorted(draw(st.permutations(range(len(batch) + offsets)))[:offsets])
    check_made(
        draw,
        lambda x, i: op.gather.make(
            x,
            i,
            offset_dims=tuple(offset_dims),
            collapsed_slice_dims=collapsed,
            start_index_map=mapped,
            operand_batching_dims=tuple(batching),
            start_indices_batching_dims=tuple(i + (i >= ivd) for i in range(len(batching))),
            index_vector_dim=ivd,
            slice_sizes=sizes,
        ),
        whole(rng, dims),
        wild_indices(rng, index_dims, kind, max(dims)),
    )


@settings(max_examples=100)
@given(rng=rngs, kind=index_types, data=st.data())
def test_scatters_drop_wild_indices(rng: np.random.Generator, kind: Any, data: st.DataObject) -> None:
    draw = data.draw
    rank = draw(st.integers(1, 3))
    dims = [draw(EXTENTS) for _ in range(rank)]
    batching = [0] if rank > 1 and draw(st.booleans()) else []
    rest = [d for d in range(rank) if d not in batching]
    mapped = tuple(draw(st.permutations(rest))[: draw(st.integers(1, len(rest)))])
    inserted = tuple(d for d in rest if draw(st.booleans()))
    window = [d for d in rest if d not in inserted]
    batch = [dims[d] for d in batching] + [draw(EXTENTS) for _ in range(draw(st.integers(0, 2)))]
    ivd = draw(st.integers(0, len(batch)))
    index_dims = [*batch[:ivd], len(mapped), *batch[ivd:]]
    update_rank = len(batch) + len(window)
    window_dims = sorted(draw(st.permutations(range(update_rank)))[: len(window)])
    extents, sizes = iter([draw(st.integers(1, dims[d])) for d in window]), iter(batch)
    update_dims = [next(extents) if d in window_dims else next(sizes) for d in range(update_rank)]
    combine = reducer(draw(st.sampled_from(("add", "maximum", "subtract"))))
    check_made(
        draw,
        lambda x, i, u: op.scatter.make(
            x,
            i,
            u,
            update_window_dims=tuple(window_dims),
            inserted_window_dims=inserted,
            scatter_dims_to_operand_dims=mapped,
            input_batching_dims=tuple(batching),
            scatter_indices_batching_dims=tuple(i + (i >= ivd) for i in range(len(batching))),
            index_vector_dim=ivd,
            to_apply=combine,
        ),
        whole(rng, dims),
        wild_indices(rng, index_dims, kind, max(dims)),
        whole(rng, update_dims),
    )


def test_gathers_of_nothing_and_scatters_into_nothing() -> None:
    check_text(
        """ENTRY main { x = f32[5,0] parameter(0)
          i = s32[3] constant({-1, 2, 99})
          ROOT g = f32[3,0] gather(x, i), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0},
            index_vector_dim=1, slice_sizes={1,0} }"""
    )
    check_text(
        """add { a = f32[] parameter(0)
          b = f32[] parameter(1)
          ROOT s = f32[] add(a, b) }
        ENTRY main { x = f32[4] parameter(0)
          i = s32[0,1] parameter(1)
          u = f32[0] parameter(2)
          ROOT s = f32[4] scatter(x, i, u), update_window_dims={}, inserted_window_dims={0},
            scatter_dims_to_operand_dims={0}, index_vector_dim=1, to_apply=add }"""
    )


def test_a_gather_padded_and_sliced_reads_only_inside() -> None:
    check_text(
        """ENTRY main { x = f32[7,5] parameter(0)
          i = s32[3,1] parameter(1)
          g = f32[3,5] gather(x, i), offset_dims={1}, collapsed_slice_dims={0}, start_index_map={0},
            index_vector_dim=1, slice_sizes={1,5}
          zero = f32[] constant(0)
          p = f32[9,8] pad(g, zero), padding=2_2_1x4_-1_0
          r = f32[9,8] reverse(p), dimensions={0}
          ROOT c = f32[9,11] concatenate(r, c3), dimensions={1}
          }""".replace("ROOT c", "s = f32[9,3] slice(r), slice={[0:9], [1:8:3]}\n ROOT c").replace("c3", "s"),
        np.arange(35, dtype=np.float32).reshape(7, 5),
        np.array([[-(2**31)], [2**31 - 1], [3]], np.int32),
    )


# ---- windows


@settings(max_examples=40)
@given(rng=rngs, data=st.data())
def test_convolutions_with_every_window(rng: np.random.Generator, data: st.DataObject) -> None:
    draw = data.draw
    spatial = draw(st.integers(0, 2))
    rank = spatial + 2
    window = tuple(draw(window_dims) for _ in range(spatial))
    window = tuple(w if draw(st.booleans()) else dataclasses.replace(w, reversal=True) for w in window)
    feature_groups, batch_groups = draw(st.sampled_from(((1, 1), (1, 1), (2, 1), (1, 2), (3, 1))))
    features, out_features = draw(st.integers(1, 3)), draw(st.sampled_from((1, 4, 5, 17)))
    out_features *= feature_groups * batch_groups

    def order() -> tuple[int, int, tuple[int, ...]]:
        first, second, *others = draw(st.permutations(range(rank)))
        return first, second, tuple(others)

    (b, f, at), (i, o, kernel_at), (ob, of, out_at) = order(), order(), order()
    labels = ConvolutionDims(b, f, at, i, o, kernel_at, ob, of, out_at)
    dims, kernel_dims = [0] * rank, [0] * rank
    dims[b], dims[f] = draw(st.integers(1, 3)) * batch_groups, features * feature_groups
    kernel_dims[i], kernel_dims[o] = features, out_features
    for d, k, w in zip(at, kernel_at, window):
        dims[d], kernel_dims[k] = draw(st.sampled_from((1, 3, 6))), w.size
    attrs = {"window": window, "dim_labels": labels}
    groups = {"feature_group_count": feature_groups, "batch_group_count": batch_groups}
    x, kernel = whole(rng, dims), whole(rng, kernel_dims)
    out = [0] * rank
    out[ob], out[of] = dims[b] // batch_groups, out_features
    for d, s, w in zip(out_at, at, window):
        out[d] = w.positions(dims[s])
    shape = ArrayShape(F32, tuple(out))
    check_made(draw, lambda v, k: op.convolution.make(v, k, shape=shape, **attrs, **groups), x, kernel)


@settings(max_examples=40)
@given(rng=rngs, data=st.data())
def test_reduce_windows_with_every_window(rng: np.random.Generator, data: st.DataObject) -> None:
    draw = data.draw
    dims = draw(st.lists(st.sampled_from((0, 1, 3, 5, 9)), min_size=1, max_size=2))
    window = tuple(draw(window_dims) for _ in dims)
    name, start = draw(st.sampled_from((("add", 0.0), ("maximum", -np.inf), ("minimum", np.inf))))
    combine = reducer(name)
    initial = op.constant.make(shape=ArrayShape(F32), literal=np.asarray(start, np.float32))
    check_made(
        draw,
        lambda x: op.reduce_window.make(x, initial, window=window, to_apply=combine),
        whole(rng, dims),
    )


@settings(max_examples=60)
@given(rng=rngs, data=st.data())
def test_select_and_scatter_with_every_window(rng: np.random.Generator, data: st.DataObject) -> None:
    draw = data.draw
    dims = draw(st.lists(st.sampled_from((1, 3, 6)), min_size=1, max_size=2))
    window = tuple(dataclasses.replace(draw(window_dims), lhs_dilate=1, rhs_dilate=1) for _ in dims)
    window = tuple(dataclasses.replace(w, pad_low=max(w.pad_low, 0), pad_high=max(w.pad_high, 0)) for w in window)
    source = [w.positions(n) for w, n in zip(window, dims)]
    zero = op.constant.make(shape=ArrayShape(F32), literal=np.float32(0).reshape(()))
    select, scatter = less_than("f32", direction="GE"), reducer("add")
    check_made(
        draw,
        lambda x, s: op.select_and_scatter.make(x, s, zero, window=window, select=select, scatter=scatter),
        whole(rng, dims),
        whole(rng, source),
    )


# ---- sort, dot, reduce


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=rngs, data=st.data())
def test_sorts_of_every_length(split: None, rng: np.random.Generator, data: st.DataObject) -> None:
    dims = data.draw(st.lists(st.sampled_from((1, 2, 3, 7, 17)), min_size=1, max_size=2))
    dim = data.draw(st.integers(0, len(dims) - 1))
    keys, carried = whole(rng, dims), rng.integers(0, 9, dims).astype(np.int32)
    before = less_than("f32", "s32")
    check_made(data.draw, lambda k, c: op.sort.make(k, c, dimensions=(dim,), to_apply=before), keys, carried)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=rngs, data=st.data())
def test_dots_of_many_shapes(split: None, rng: np.random.Generator, data: st.DataObject) -> None:
    draw = data.draw
    extent = st.sampled_from((0, 1, 3, 5, 17, 33))
    batch = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, 1)))]
    contracted = [draw(extent) for _ in range(draw(st.integers(0, 2)))]
    left, right = ([draw(extent) for _ in range(draw(st.integers(0, 2 - len(batch))))] for _ in range(2))

    def operand(free: list[int]) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
        sizes = [*batch, *contracted, *free]
        order = draw(st.permutations(range(len(sizes))))
        places = [order.index(i) for i in range(len(sizes))]
        dims = [sizes[i] for i in order]
        return whole(rng, dims, dtype), tuple(places[: len(batch)]), tuple(places[len(batch) :][: len(contracted)])

    dtype = draw(st.sampled_from((np.float32, np.int32, np.float64, np.complex64, np.bool_, "bfloat16")))
    dtype = ELEMENT_TYPES["bf16"].dtype if dtype == "bfloat16" else np.dtype(dtype)
    (x, lb, lc), (y, rb, rc) = operand(left), operand(right)
    if dtype == ELEMENT_TYPES["bf16"].dtype:  # whose sums are rounded at the end alone
        x, y = np.sign(x.astype(np.float32)).astype(dtype), np.sign(y.astype(np.float32)).astype(dtype)
    free = [n for z, taken in ((x, lb + lc), (y, rb + rc)) for d, n in enumerate(z.shape) if d not in taken]
    shape = ArrayShape(element_type(dtype), (*batch, *free))
    sides = {"lhs_batch_dims": lb, "rhs_batch_dims": rb, "lhs_contracting_dims": lc, "rhs_contracting_dims": rc}
    check_made(draw, lambda a, b: op.dot.make(a, b, shape=shape, **sides), x, y)


@pytest.mark.parametrize("extents", [(20, 17, 35), (1, 33, 130), (65, 3, 33), (9, 40, 16), (33, 33, 4)])
def test_dots_with_an_epilogue_touch_only_their_tiles(extents: tuple[int, int, int], split: None) -> None:
    m, k, n = extents
    for machine in MACHINES.values():
        check_text(
            f"""ENTRY main {{ x = f32[{m},{k}] parameter(0)
              w = f32[{k},{n}] parameter(1)
              b = f32[{n}] parameter(2)
              d = f32[{m},{n}] dot(x, w), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
              c = f32[{m},{n}] broadcast(b), dimensions={{1}}
              s = f32[{m},{n}] add(d, c)
              zero = f32[] constant(0)
              z = f32[{m},{n}] broadcast(zero), dimensions={{}}
              ROOT r = f32[{m},{n}] maximum(s, z) }}""",
            machine=machine,
        )


ADD = """add { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT s = f32[] add(a, b) }
max { a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT s = f32[] maximum(a, b) }
"""


@pytest.mark.parametrize("columns", (1, 3, 7, 17, 33, 130))
def test_rows_and_columns_of_odd_sizes_are_reduced(columns: int, split: None) -> None:
    for rows, machine in itertools.product((1, 3, 7, 17), MACHINES.values()):
        x = f"x = f32[{rows},{columns}] parameter(0)\n zero = f32[] constant(0)\n low = f32[] constant(-inf)"
        check_text(
            f"""{ADD} ENTRY main {{ {x}
              m = f32[{rows}] reduce(x, low), dimensions={{1}}, to_apply=max
              mb = f32[{rows},{columns}] broadcast(m), dimensions={{0}}
              d = f32[{rows},{columns}] subtract(x, mb)
              e = f32[{rows},{columns}] exponential(d)
              s = f32[{rows}] reduce(e, zero), dimensions={{1}}, to_apply=add
              sb = f32[{rows},{columns}] broadcast(s), dimensions={{0}}
              ROOT y = f32[{rows},{columns}] divide(e, sb) }}""",
            machine=machine,
            tolerance=1e-5,
        )
        for dims, out in (("0", f"{columns}"), ("0,1", ""), ("1", f"{rows}")):
            check_text(
                f"""{ADD} ENTRY main {{ {x}
                  y = f32[{rows},{columns}] multiply(x, x)
                  ROOT s = f32[{out}] reduce(y, zero), dimensions={{{dims}}}, to_apply=add }}""",
                machine=machine,
            )


@pytest.mark.parametrize(("dims", "reduced", "out"), [
    ("65537", "0", ""), ("301,257", "0,1", ""), ("2100,40", "0", "40"), ("9,9000", "1", "9"), ("40,80,30", "0,2", "80"),
])  # fmt: skip
def test_long_sums_in_two_stages_touch_each_element_once(dims: str, reduced: str, out: str) -> None:
    check_text(
        f"""{ADD} ENTRY main {{ x = f32[{dims}] parameter(0)
          zero = f32[] constant(0)
          ROOT s = f32[{out}] reduce(x, zero), dimensions={{{reduced}}}, to_apply=add }}"""
    )


def test_reducers_that_are_no_monoid_run_in_order() -> None:
    check_text(
        """pick { a = f32[] parameter(0)
          i = s32[] parameter(1)
          b = f32[] parameter(2)
          j = s32[] parameter(3)
          ge = pred[] compare(a, b), direction=GE
          v = f32[] select(ge, a, b)
          w = s32[] select(ge, i, j)
          ROOT t = (f32[], s32[]) tuple(v, w) }
        ENTRY main { x = f32[7,17] parameter(0)
          i = s32[7,17] iota(), iota_dimension=1
          low = f32[] constant(-inf)
          zero = s32[] constant(0)
          ROOT r = (f32[7], s32[7]) reduce(x, i, low, zero), dimensions={1}, to_apply=pick }"""
    )


# ---- control flow


@pytest.mark.parametrize("selector", [-(2**31), -1, 0, 1, 2, 3, 2**31 - 1])
def test_out_of_range_selectors_take_the_last_branch(selector: int) -> None:
    check_text(
        """a { p = f32[7] parameter(0)
          ROOT n = f32[7] negate(p) }
        b { p = f32[7] parameter(0)
          ROOT n = f32[7] add(p, p) }
        c { ROOT p = f32[7] parameter(0) }
        ENTRY main { i = s32[] parameter(0)
          x = f32[7] parameter(1)
          ROOT r = f32[7] conditional(i, x, x, x), branch_computations={a, b, c} }""",
        np.asarray(selector, np.int32),
    )


def test_a_loop_that_does_not_run_gives_its_state_back() -> None:
    text = """cond { s = (s32[], f32[5]) parameter(0)
          i = s32[] get-tuple-element(s), index=0
          n = s32[] constant(3)
          ROOT lt = pred[] compare(i, n), direction=LT }
        body { s = (s32[], f32[5]) parameter(0)
          i = s32[] get-tuple-element(s), index=0
          a = f32[5] get-tuple-element(s), index=1
          one = s32[] constant(1)
          next = s32[] add(i, one)
          ds = f32[1] dynamic-slice(a, i), dynamic_slice_sizes={1}
          twice = f32[1] add(ds, ds)
          new = f32[5] dynamic-update-slice(a, twice, next)
          ROOT t = (s32[], f32[5]) tuple(next, new) }
        ENTRY main { start = s32[] parameter(0)
          x = f32[5] parameter(1)
          init = (s32[], f32[5]) tuple(start, x)
          w = (s32[], f32[5]) while(init), condition=cond, body=body
          r = f32[5] get-tuple-element(w), index=1
          ROOT both = (f32[5], f32[5]) tuple(r, x) }"""
    for start in (-2, 0, 3):
        check_text(text, np.asarray(start, np.int32))


# ---- other instructions

OTHERS = {
    "concatenate of computed pieces": """ENTRY main { x = f32[3,5] parameter(0)
      y = f32[3,1] parameter(1)
      e = f32[3,0] parameter(2)
      n = f32[3,5] negate(x)
      ROOT c = f32[3,11] concatenate(n, y, e, x), dimensions={1} }""",
    "a slice of a concatenate": """ENTRY main { x = f32[7] parameter(0)
      y = f32[17] parameter(1)
      c = f32[24] concatenate(x, y), dimensions={0}
      s = f32[9] slice(c), slice={[3:20:2]}
      ROOT r = f32[9] add(s, s) }""",
    "padding that is negative, interior and of nothing": """ENTRY main { x = f32[5,3] parameter(0)
      e = f32[0,2] parameter(1)
      v = f32[] parameter(2)
      p = f32[8,2] pad(x, v), padding=2_-3_1x-1_0_0
      q = f32[8,2] pad(e, v), padding=3_5_2x0_0_0
      ROOT s = f32[8,2] add(p, q) }""",
    "a reshape that does not line up": """ENTRY main { x = f32[6,35] parameter(0)
      t = f32[35,6] transpose(x), dimensions={1,0}
      r = f32[14,15] reshape(t)
      v = f32[14,15] reverse(r), dimensions={1}
      ROOT f = f32[210] reshape(v) }""",
    "bitcast-converts to other widths": """ENTRY main { x = f32[5,3] parameter(0)
      b = u16[5,3,2] bitcast-convert(x)
      c = f32[5,3] bitcast-convert(b)
      i = s32[5,3] bitcast-convert(c)
      ROOT j = s32[5,3] add(i, i) }""",
    "a map": """f { a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT s = f32[] subtract(a, b) }
    ENTRY main { x = f32[7] parameter(0)
      y = f32[7] parameter(1)
      ROOT m = f32[7] map(x, y), dimensions={0}, to_apply=f }""",
    "tuples of the same array twice": """ENTRY main { x = f32[7] parameter(0)
      y = f32[7] negate(x)
      ROOT t = (f32[7], f32[7], f32[7]) tuple(y, x, y) }""",
    "an iota compared": """ENTRY main { i = s32[5,7] iota(), iota_dimension=1
      j = s32[5,7] iota(), iota_dimension=0
      c = pred[5,7] compare(i, j), direction=LE
      ROOT s = f32[5,7] convert(c) }""",
    "a sort of an empty row": """lt { a = f32[] parameter(0)
      b = f32[] parameter(1)
      ROOT c = pred[] compare(a, b), direction=LT }
    ENTRY main { x = f32[3,0] parameter(0)
      ROOT s = f32[3,0] sort(x), dimensions={1}, to_apply=lt }""",
    "a fast Fourier transform": """ENTRY main { x = c64[3,8] parameter(0)
      ROOT y = c64[3,8] fft(x), fft_type=FFT, fft_length={8} }""",
    "a triangular solve": """ENTRY main { a = f32[3,3] parameter(0)
      b = f32[3,2] parameter(1)
      i = s32[3,3] iota(), iota_dimension=0
      j = s32[3,3] iota(), iota_dimension=1
      e = pred[3,3] compare(i, j), direction=EQ
      one = f32[] constant(1)
      ones = f32[3,3] broadcast(one), dimensions={}
      m = f32[3,3] select(e, ones, a)
      ROOT x = f32[3,2] triangular-solve(m, b), left_side=true, lower=true, unit_diagonal=true,
        transpose_a=NO_TRANSPOSE }""",
    "random bits": """ENTRY main { s = u64[2] parameter(0)
      ROOT r = (u64[2], u32[17]) rng-bit-generator(s), algorithm=rng_three_fry }""",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_instructions(name: str) -> None:
    tolerance = 1e-5 if "Fourier" in name or "solve" in name else None
    for machine in MACHINES.values():
        check_text(OTHERS[name], machine=machine, tolerance=tolerance)


# ---- what the interpreter refuses


def X(size: int) -> ir.Buffer:
    return ir.Buffer("x", F32, size, "parameter", 0)


def Y(size: int) -> ir.Buffer:
    return ir.Buffer("y", F32, size, "result", 0)


def run_kernel(x: ir.Buffer, y: ir.Buffer, body: list[ir.Statement], parallel: ir.Var | None = None) -> np.ndarray:
    program = ir.Program("test", [x], [y], [], [ir.Kernel("k", body, parallel)])
    (result,) = interpret(program, [np.arange(x.size, dtype=np.float32)])
    return result


def test_an_access_outside_of_its_buffer_is_named() -> None:
    x, y, i = X(8), Y(8), ir.Var("i", 8)
    at = ir.index(i)
    good = [ir.For(i, [ir.Store(y, at, ir.load(x, at))], "vector", 4)]
    np.testing.assert_array_equal(run_kernel(x, y, good), np.arange(8))
    bad = [ir.For(i, [ir.Store(y, at, ir.load(x, at + 1))], "vector", 4)]
    with pytest.raises(CompileError, match=r"kernel k: y\[i\] = x\[i \+ 1\]: element 8 of x is touched, which has 8"):
        run_kernel(x, y, bad)
    with pytest.raises(CompileError, match="element -1 of y"):
        run_kernel(x, y, [ir.For(i, [ir.Store(y, at - 1, ir.load(x, at))])])
    guarded = [ir.For(i, [ir.Store(y, at, ir.load(x, at + 1, ir.in_range(at, 0, 7)))], "vector", 4)]
    np.testing.assert_array_equal(run_kernel(x, y, guarded)[:7], np.arange(1, 8))


def test_reading_what_was_never_written_is_an_error() -> None:
    x, y, i = X(8), Y(8), ir.Var("i", 7)
    local = ir.Buffer("row", F32, 8, "local")
    fill = ir.For(i, [ir.Store(local, ir.index(i), ir.load(x, ir.index(i)))])
    with pytest.raises(CompileError, match="element 7 of row was never written"):
        run_kernel(x, y, [fill, ir.Store(y, ir.ZERO, ir.load(local, ir.Index(7)))])
    with pytest.raises(CompileError, match="at the end, y: element 7 of y was never written"):
        run_kernel(x, y, [ir.For(i, [ir.Store(y, ir.index(i), ir.load(x, ir.index(i)))])])
    register = ir.Register("r", F32)
    with pytest.raises(CompileError, match="r is read before it is assigned"):
        run_kernel(x, y, [ir.Store(y, ir.ZERO, ir.read(register))])


def test_iterations_of_a_parallel_loop_that_meet_are_an_error() -> None:
    x, y, i = X(8), Y(8), ir.Var("i", 8)
    at = ir.index(i)
    body: list[ir.Statement] = [ir.For(i, [ir.Store(y, ir.ZERO, ir.load(x, at))])]
    with pytest.raises(CompileError, match="two iterations of the parallel loop meet in y"):
        run_kernel(x, y, body, i)


def test_writing_to_a_parameter_is_an_error() -> None:
    x, y = X(8), Y(8)
    with pytest.raises(CompileError, match="x: f32.8. parameter, which must not change"):
        run_kernel(x, y, [ir.Store(x, ir.ZERO, ir.const(F32, 1))])
    merged = dataclasses.replace(y, merged=x)
    with pytest.raises(CompileError, match="which must not change"):
        run_kernel(x, merged, [ir.Store(merged, ir.ZERO, ir.const(F32, 1))])


def test_memory_that_another_buffer_took_is_not_read() -> None:
    x, y, i = X(8), Y(8), ir.Var("i", 8)
    a, b = (ir.Buffer(name, F32, 8, offset=offset) for name, offset in (("a", 0), ("b", 16)))
    at = ir.index(i)

    def move(source: ir.Buffer, target: ir.Buffer) -> ir.Kernel:
        return ir.Kernel(f"to_{target.name}", [ir.For(i, [ir.Store(target, at, ir.load(source, at))])])

    program = ir.Program("test", [x], [y], [], [move(x, a), move(x, b), move(a, y)], arena_bytes=64)
    values = np.arange(8, dtype=np.float32)
    with pytest.raises(CompileError, match=r"kernel to_y: y\[i\] = a\[i\].*element 4 of a was overwritten by b"):
        interpret(program, [values])
    b.offset = 32
    np.testing.assert_array_equal(interpret(program, [values])[0], values)
    b.offset = 48
    with pytest.raises(CompileError, match="not inside the arena"):
        interpret(program, [values])


def test_lanes_of_a_sum_are_combined_halves_first() -> None:
    x, y, i = X(6), Y(1), ir.Var("i", 6)
    total = ir.Register("total", F32)
    body: list[ir.Statement] = [
        ir.Assign(total, ir.const(F32, 0)),
        ir.For(i, [ir.Accumulate(total, "add", ir.load(x, ir.index(i)))], "vector", 4),
        ir.Store(y, ir.ZERO, ir.read(total)),
    ]
    program = ir.Program("test", [x], [y], [], [ir.Kernel("k", body)])
    values = np.array([1e8, 1, -1e8, 1, 1, 1e8], np.float32)
    first, second = (values[0] + values[4]) + values[2], (values[1] + values[5]) + values[3]
    assert interpret(program, [values])[0][0] == first + second
