"""Tokens, barriers, collectives on one device, asynchronous opcodes, the host's queues, custom calls."""

import numpy as np
import pytest

from tests.rows import array, infer, reducer, run
from xlac.errors import EvaluateError, ShapeError
from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Computation
from xlac.ir.opcode import OPCODES, op
from xlac.ir.ops.custom_call import TARGETS, parse_config
from xlac.ir.shape import TokenShape, TupleShape

X = np.arange(6, dtype=np.float32).reshape(2, 3)
ALONE = "{{0}}"


@pytest.mark.parametrize(
    ("name", "attrs"),
    [
        ("all-reduce", {"to_apply": reducer("add"), "replica_groups": ALONE}),
        ("all-reduce", {"to_apply": reducer("add"), "replica_groups": "{{1,2},{0},{3}}"}),
        ("all-reduce-start", {"to_apply": reducer("add"), "channel_id": 1, "use_global_device_ids": True}),
        ("all-gather", {"dimensions": (0,), "shape": array("f32[2,3]"), "replica_groups": "[1,1]<=[1]"}),
        ("reduce-scatter", {"dimensions": (1,), "shape": array("f32[2,3]"), "to_apply": reducer("add")}),
        ("all-to-all", {"dimensions": (0,)}),
        ("collective-broadcast", {"replica_groups": ALONE}),
        ("collective-permute", {"source_target_pairs": "{{0,0}}"}),
        ("opt-barrier", {}),
        ("domain", {"domain": "{kind=sharding}"}),
    ],
)
def test_collectives_of_one_participant_give_the_operand(name, attrs):
    assert np.array_equal(run(name, X, **attrs), X)


def test_collectives_take_several_operands():
    results = run("all-reduce", X, X + 1, to_apply=reducer("add"))
    assert np.array_equal(results[0], X) and np.array_equal(results[1], X + 1)


def test_nobody_sends_to_a_device_outside_the_pairs():
    assert not run("collective-permute", X, source_target_pairs="{}").any()


def test_collectives_of_several_devices_are_an_error():
    with pytest.raises(EvaluateError, match=r"replica_groups=\{\{0,1\}\} needs 2 devices; there is one"):
        run("all-reduce", X, to_apply=reducer("add"), replica_groups="{{0,1}}")
    with pytest.raises(EvaluateError, match=r"\[1,4\]<=\[4\] needs 4 devices"):
        run("all-to-all", X, dimensions=(0,), replica_groups="[1,4]<=[4]")
    with pytest.raises(EvaluateError, match="names devices other than 0"):
        run("collective-permute", X, source_target_pairs="{{0,1}}")
    with pytest.raises(EvaluateError, match=r"f32\[4,3\] of an operand of \[2, 3\] needs several devices"):
        run("all-gather", X, dimensions=(0,), shape=array("f32[4,3]"))


def test_global_ids_of_devices_need_a_channel():
    with pytest.raises(ShapeError, match="use_global_device_ids=true needs a channel_id"):
        infer("all-reduce", array("f32[4]"), to_apply=reducer("add"), use_global_device_ids=True)


def test_gathered_dimensions_must_be_multiples():
    with pytest.raises(ShapeError, match="only dimension 0 may differ, as a multiple"):
        infer("all-gather", array("f32[2,3]"), dimensions=(0,), shape=array("f32[3,3]"))
    with pytest.raises(ShapeError, match="only dimension 0 may differ, as a divisor"):
        infer("reduce-scatter", array("f32[4,3]"), dimensions=(0,), shape=array("f32[3,3]"), to_apply=reducer("add"))


def values(*made):
    """The value of the last of a chain of instructions."""
    known = {}
    for instruction in made:
        known[instruction] = evaluate_instruction(instruction, [known[x] for x in instruction.operands])
    return known[made[-1]]


def constant(value):
    value = np.asarray(value)
    from xlac.ir.shape import shape_of

    return op.constant.make(shape=shape_of(value), literal=value)


def test_started_collectives_are_done():
    x, shape = constant(X), array("f32[2,3]")
    start = op.all_gather_start.make(x, dimensions=(0,), shape=TupleShape((shape, shape)))
    assert np.array_equal(values(x, start, op.all_gather_done.make(start)), X)
    context = TupleShape((shape, shape, array("u32[]"), array("u32[]")))
    start = op.collective_permute_start.make(x, shape=context, source_target_pairs="{{0,0}}")
    assert np.array_equal(values(x, start, op.collective_permute_done.make(start)), X)
    start = op.copy_start.make(x, shape=TupleShape((shape, shape, array("u32[]"))))
    assert np.array_equal(values(x, start, op.copy_done.make(start)), X)


def test_an_asynchronous_call_gives_its_result_when_done():
    callee = Computation("callee")
    callee.add(op.negate.make(callee.parameter(array("f32[2,3]"))))
    x, shape = constant(X), array("f32[2,3]")
    start = op.async_start.make(x, calls=callee, shape=TupleShape((TupleShape((shape,)), shape, array("u32[]"))))
    update = op.async_update.make(start)
    assert np.array_equal(values(x, start, update, op.async_done.make(update)), -X)
    with pytest.raises(ShapeError, match="it must begin with operands and result"):
        op.async_start.make(x, calls=callee, shape=TupleShape((shape, shape)))


def test_tokens_order_and_hold_nothing():
    token, x = op.after_all.make(), constant(X)
    assert op.after_all.make(token, token).shape == TokenShape()
    assert np.array_equal(values(token, x, op.add_dependency.make(x, token)), X)
    with pytest.raises(ShapeError, match=r"operand 1 is f32\[2,3\]; it must be token\[\]"):
        op.add_dependency.make(x, x)


def test_there_is_one_partition_and_one_replica():
    assert run("partition-id") == 0 and run("replica-id") == 0


def test_the_hosts_queues_are_checked_but_cannot_be_evaluated():
    token, x = op.after_all.make(), constant(X)
    sent = TupleShape((x.shape, array("u32[]"), TokenShape()))
    made = [
        op.send.make(x, token, channel_id=1, shape=sent),
        op.recv.make(token, channel_id=1, shape=sent),
        op.infeed.make(token, shape=TupleShape((x.shape, TokenShape()))),
        op.outfeed.make(x, token),
    ]
    assert op.send_done.make(made[0], channel_id=1).shape == TokenShape()
    assert op.recv_done.make(made[1], channel_id=1).shape == TupleShape((x.shape, TokenShape()))
    for instruction in made:
        assert not instruction.opcode.pure
        with pytest.raises(EvaluateError, match=f"^{instruction.opcode.name}: there is no host queue"):
            evaluate_instruction(instruction, [()] * len(instruction.operands))
    with pytest.raises(ShapeError, match=r"send: the result is f32\[2,3\]"):
        op.send.make(x, token, shape=x.shape)


def test_dimension_sizes_are_those_of_the_shape():
    assert run("get-dimension-size", X, dimensions=(1,)) == 3
    assert np.array_equal(run("set-dimension-size", X, np.int32(3), dimensions=(1,)), X)
    with pytest.raises(EvaluateError, match="size 2 of a dimension of 3; dynamic sizes are not supported"):
        run("set-dimension-size", X, np.int32(2), dimensions=(1,))


def test_configurations_are_read_from_both_spellings():
    assert parse_config('{uplo = 76 : ui8, k = 4 : i64, largest = true, name = "a b", e = 0.5 : f32}') == {
        "uplo": 76,
        "k": 4,
        "largest": True,
        "name": "a b",
        "e": 0.5,
    }
    assert parse_config('{"k":4,"largest":false}') == {"k": 4, "largest": False}
    assert parse_config(None) == {}


def test_an_unknown_target_is_an_error_that_lists_the_known_ones():
    with pytest.raises(EvaluateError, match='target "mine" is not known; known are: .*TopK'):
        run("custom-call", X, shape=array("f32[2,3]"), custom_call_target="mine")


def test_markers_of_sharding_give_the_operand():
    assert np.array_equal(run("custom-call", X, shape=array("f32[2,3]"), custom_call_target="Sharding"), X)


def kernel(name, *arrays, results, config="{}"):
    shape = TupleShape(tuple(array(r) for r in results)) if len(results) > 1 else array(results[0])
    return run("custom-call", *arrays, shape=shape, custom_call_target=f"lapack_{name}_ffi", backend_config=config)


def test_lapack_kernels_factor_matrices():
    rng = np.random.default_rng(6)
    a = rng.normal(size=(2, 4, 3))
    lu, pivots, info = kernel("dgetrf", a, results=["f64[2,4,3]", "s32[2,3]", "s32[2]"])
    rows = np.broadcast_to(np.arange(4), (2, 4)).copy()
    for b in range(2):
        for i, p in enumerate(pivots[b]):
            rows[b, [i, p - 1]] = rows[b, [p - 1, i]]
    lower = np.tril(lu, -1)[..., :3] + np.eye(4, 3)
    np.testing.assert_allclose(np.take_along_axis(a, rows[..., None], 1), lower @ np.triu(lu[:, :3]), atol=1e-12)
    assert not info.any()
    packed, tau = kernel("dgeqrf", a, results=["f64[2,4,3]", "f64[2,3]"])
    q = kernel("dorgqr", packed, tau, results=["f64[2,4,3]"])
    np.testing.assert_allclose(q @ np.triu(packed[:, :3]), a, atol=1e-12)
    symmetric = a @ np.swapaxes(a, -1, -2) + np.eye(4)
    v, w, info = kernel("dsyevd", symmetric, results=["f64[2,4,4]", "f64[2,4]", "s32[2]"], config="{uplo = 76 : ui8}")
    np.testing.assert_allclose((v * w[:, None]) @ np.swapaxes(v, -1, -2), symmetric, atol=1e-10)
    results = ["f64[2,4,3]", "f64[2,3]", "f64[2,4,3]", "f64[2,3,3]", "s32[2]"]
    _, s, u, vt, info = kernel("dgesdd", a, results=results, config="{mode = 83 : ui8}")
    np.testing.assert_allclose((u * s[:, None]) @ vt, a, atol=1e-12)
    factor, info = kernel("dpotrf", symmetric, results=["f64[2,4,4]", "s32[2]"], config="{uplo = 76 : ui8}")
    np.testing.assert_allclose(np.tril(factor) @ np.swapaxes(np.tril(factor), -1, -2), symmetric, atol=1e-10)
    assert np.array_equal(np.triu(factor, 1), np.triu(symmetric, 1))


def test_potrf_tells_which_leading_block_is_not_positive():
    a = np.stack([np.diag([1.0, 2.0, -3.0]), np.eye(3)])
    _, info = kernel("dpotrf", a, results=["f64[2,3,3]", "s32[2]"], config="{uplo = 85 : ui8}")
    assert info.tolist() == [3, 0]


def test_getrf_tells_the_first_zero_pivot():
    a = np.array([[1.0, 2.0], [2.0, 4.0]])
    _, _, info = kernel("dgetrf", a, results=["f64[2,2]", "s32[2]", "s32[]"])
    assert info == 2


def test_every_kernel_and_target_is_callable():
    assert all(callable(f) for f in TARGETS.values()) and "lapack_strsm_ffi" in TARGETS


def test_every_row_has_a_shape_rule_and_an_evaluator():
    assert all(callable(row.shape) and callable(row.evaluate) for row in OPCODES.values())
