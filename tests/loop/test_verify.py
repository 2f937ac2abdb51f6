"""Faults of loop programs that can be seen without running them."""

from __future__ import annotations

import pytest

from xlac.errors import CompileError
from xlac.ir.shape import F32, S32, ElementType
from xlac.loop import ir
from xlac.loop.verify import verify_program

X, Y = ir.Buffer("x", F32, 64, "parameter", 0), ir.Buffer("y", F32, 64, "result", 0)
VI, VJ = ir.Var("i", 8), ir.Var("j", 8)
i, j = ir.index(VI), ir.index(VJ)
PLACE = i * 8 + j
ONE = ir.const(F32, 1)


def verify(*body: ir.Statement, parallel: ir.Var | None = None) -> None:
    verify_program(ir.Program("test", [X], [Y], [], [ir.Kernel("k", list(body), parallel)]))


def refuse(message: str, *body: ir.Statement, parallel: ir.Var | None = None) -> None:
    with pytest.raises(CompileError, match=message):
        verify(*body, parallel=parallel)


def register(name: str = "r", element_type: ElementType = F32) -> ir.Register:
    return ir.Register(name, element_type)


def copy(place: ir.Index, width: int = 1) -> ir.For:
    """for i < 8: y[place] = x[place]"""
    return ir.For(VI, [ir.Store(Y, place, ir.load(X, place))], "vector" if width > 1 else "serial", width)


def test_good_kernels_are_left_alone() -> None:
    verify(copy(i))
    verify(copy(i, 4))
    verify(ir.For(VJ, [copy(PLACE, 4)]), parallel=VJ)
    r = register()
    total = [ir.Assign(r, ONE), ir.For(VI, [ir.Accumulate(r, "add", ir.load(X, i))], "vector", 4)]
    verify(*total, ir.Store(Y, ir.ZERO, ir.read(r)))


def test_an_index_beyond_the_buffer_is_named() -> None:
    refuse(r"x: f32\[64\] parameter is read at 9\*i \+ 8, which is 8 to 71", copy(i * 9 + 8))
    refuse("y.* is stored to at -1, which is -1 to -1", ir.Store(Y, ir.Index(-1), ONE))


def test_branches_and_guards_narrow_an_index() -> None:
    far = i * 16
    store = ir.Store(Y, far, ONE)
    refuse("0 to 112", ir.For(VI, [store]))
    verify(ir.For(VI, [ir.If(ir.in_range(i, 0, 4), [store])]))
    verify(ir.For(VI, [ir.If(ir.in_range(i, 4, 8), [], [store])]))
    refuse("0 to 112", ir.For(VI, [ir.If(ir.in_range(i, 3, 5), [], [store])]))
    guarded = ir.Store(Y, i * 9 + j, ONE, ir.in_range(i * 9 + j, 0, 64))
    verify(ir.For(VI, [ir.For(VJ, [guarded])]))


def test_vector_loops_are_not_nested() -> None:
    refuse("inside another vector loop", ir.For(VJ, [copy(PLACE, 4)], "vector", 4))


def test_a_vector_has_a_power_of_two_of_lanes() -> None:
    refuse("cannot have 3 lanes", copy(i, 3))


def test_registers_are_assigned_before_they_are_read() -> None:
    r = register()
    use = ir.Store(Y, ir.ZERO, ir.read(r))
    refuse("r is read before it is assigned", use)
    refuse("r is accumulated before", ir.Accumulate(r, "add", ONE))
    maybe = ir.If(ir.in_range(i, 0, 3), [ir.Assign(r, ONE)])
    refuse("r is read before", ir.For(VI, [maybe, use]))
    verify(ir.For(VI, [ir.If(ir.in_range(i, 0, 3), [ir.Assign(r, ONE)], [ir.Assign(r, ONE)]), use]))


def test_a_scalar_register_takes_no_vector() -> None:
    r = register()
    inside = ir.For(VI, [ir.Assign(r, ir.load(X, i))], "vector", 4)
    refuse("r has one lane, the value several", ir.Assign(r, ONE), inside)
    verify(inside)


def test_lanes_that_accumulate_are_not_read() -> None:
    r = register()
    body: list[ir.Statement] = [ir.Accumulate(r, "add", ir.load(X, i)), ir.Store(Y, i, ir.read(r))]
    refuse("other lanes than its reader", ir.Assign(r, ONE), ir.For(VI, body, "vector", 4))


def test_variables_are_those_of_loops_around() -> None:
    refuse("j is not the variable of a loop around it", copy(PLACE))


def test_conditions_are_the_same_for_all_lanes() -> None:
    test = ir.If(ir.in_range(i, 0, 3), [ir.Store(Y, i, ONE)])
    refuse("may differ between the lanes", ir.For(VI, [test], "vector", 4))


def test_types_fit() -> None:
    refuse("y is f32, the value s32", ir.Store(Y, ir.ZERO, ir.const(S32, 1)))
    refuse("r is s32, the value f32", ir.Assign(register("r", S32), ONE))


def test_the_parallel_loop_is_the_one_outermost() -> None:
    refuse("one outermost", copy(i), copy(i), parallel=VI)
    refuse("one outermost", ir.For(VJ, [copy(PLACE)]), parallel=VI)


def test_iterations_of_a_parallel_loop_do_not_meet() -> None:
    refuse("iterations of i may meet in y", ir.For(VI, [ir.Store(Y, ir.ZERO, ONE)]), parallel=VI)
    refuse("iterations of j may meet in y", ir.For(VJ, [copy(i * 4 + j * 4)]), parallel=VJ)
    # Columns of a matrix, one of two neighbouring ones, and tiles of rows whose last ones are smaller.
    verify(ir.For(VJ, [copy(i * 8 + j)]), parallel=VJ)
    k = ir.Var("k", 3)
    at = ir.index(k) * 16 + i * 2
    verify(ir.For(VI, [ir.For(k, [ir.Store(Y, at, ONE), ir.Store(Y, at + 1, ONE)])]), parallel=VI)
    refuse("may meet", ir.For(VI, [ir.For(k, [ir.Store(Y, at, ONE), ir.Store(Y, at + 2, ONE)])]), parallel=VI)
    columns, lane = ir.Var("jo", 3), ir.Var("ji", 4)
    column = ir.index(columns) * 4 + ir.index(lane)
    edge = [ir.Store(Y, column + 9 * r, ONE, ir.in_range(column, 0, 9)) for r in range(7)]
    verify(ir.For(columns, [ir.For(lane, edge, "vector", 4)]), parallel=columns)
    tiles = ir.If(ir.in_range(i, 0, 2), [ir.Store(Y, i * 8 + 7, ONE)], [ir.Store(Y, i * 4 + 8, ONE)])
    verify(ir.For(VI, [tiles]), parallel=VI)


def test_what_a_parallel_iteration_writes_no_other_one_reads() -> None:
    buffer = ir.Buffer("t", F32, 64, "result", 0)
    shifted = ir.load(buffer, ir.Index(63) - i)
    program = ir.Program("test", [], [buffer], [], [ir.Kernel("k", [ir.For(VI, [ir.Store(buffer, i, shifted)])], VI)])
    verify_program(program)  # 0 .. 7 are written, 56 .. 63 read
    near = ir.load(buffer, ir.Index(7) - i)
    program.steps = [ir.Kernel("k", [ir.For(VI, [ir.Store(buffer, i, near)])], VI)]
    with pytest.raises(CompileError, match="iterations of i may meet in t"):
        verify_program(program)
