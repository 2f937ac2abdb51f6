"""Opcodes of order and transport: tokens, barriers, asynchronous calls and copies, hosts' queues.

Asynchronous opcodes run when they start. A host's queues (send, recv, infeed, outfeed) do not exist here: programs with
them can be read, checked and printed, and running one is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac.errors import EvaluateError, ShapeError
from xlac.ir.opcode import BOOL, COMPUTATION, INT, INTS, RAW, STRING, opcode
from xlac.ir.ops.collective import CHANNEL, contexts
from xlac.ir.ops.control import check_call
from xlac.ir.ops.elementwise import require_array
from xlac.ir.ops.movement import check_dims
from xlac.ir.shape import S32, TOKEN, ArrayShape, Shape, TupleShape

if TYPE_CHECKING:
    from xlac.ir.module import Computation


def _require_token(name: str, index: int, shape: Shape) -> None:
    if shape != TOKEN:
        raise ShapeError(f"{name}: operand {index} is {shape}; it must be token[]")


def _after_all_shape(*operands: Shape) -> Shape:
    return TOKEN  # it may wait for arrays too


opcode("after-all", arity=(0, None), shape=_after_all_shape, evaluate=lambda *tokens: ())


def _add_dependency_shape(x: Shape, token: Shape) -> Shape:
    _require_token("add-dependency", 1, token)
    return x


opcode("add-dependency", arity=2, shape=_add_dependency_shape, evaluate=lambda x, token: x)
opcode("opt-barrier", arity=1, shape=lambda x: x, evaluate=lambda x: x)
opcode("domain", arity=1, attrs={"domain": RAW}, shape=lambda x, *, domain: x, evaluate=lambda x, *, domain: x)


# ---- asynchronous


def _async_start_shape(*operands: Shape, shape: Shape, async_execution_thread: str | None, calls: Computation) -> Shape:
    result = check_call("async-start", calls, operands)
    wanted = TupleShape((TupleShape(operands), result))
    if not isinstance(shape, TupleShape) or len(shape) < 2 or TupleShape(shape.shapes[:2]) != wanted:
        raise ShapeError(f"async-start: the result is {shape}; it must begin with operands and result, {wanted}")
    return shape


def _async_start(
    *xs: Any, shape: TupleShape, async_execution_thread: str | None, calls: Computation, call: Callable[..., Any]
) -> Any:
    return (xs, call(calls, *xs), *contexts(shape, 2))


def _async_shape(name: str, x: Shape) -> TupleShape:
    if not isinstance(x, TupleShape) or len(x) < 2 or not isinstance(x[0], TupleShape):
        raise ShapeError(f"{name}: operand 0 is {x}; it must be what an async-start gives")
    return x


opcode(
    "async-start",
    arity=(0, None),
    attrs={"async_execution_thread": STRING.optional(None), "calls": COMPUTATION},
    shape=_async_start_shape,
    evaluate=_async_start,
    declared=True,
    pure=False,
)
_ASYNC = {"async_execution_thread": STRING.optional(None), "calls": COMPUTATION.optional(None)}
opcode(
    "async-update",
    arity=1,
    attrs=_ASYNC,
    shape=lambda x, **_: _async_shape("async-update", x),
    evaluate=lambda x, **_: x,
    pure=False,
)
opcode(
    "async-done",
    arity=1,
    attrs=_ASYNC,
    shape=lambda x, **_: _async_shape("async-done", x)[1],
    evaluate=lambda x, **_: x[1],
    pure=False,
)


def _copy_start_shape(x: Shape, *, shape: Shape, cross_program_prefetch_index: int | None) -> Shape:
    if not isinstance(shape, TupleShape) or len(shape) != 3 or shape[0] != x or shape[1] != x:
        raise ShapeError(
            f"copy-start: the result is {shape}; it must be the copy, the operand and a context: ({x}, {x}, u32[])"
        )
    return shape


def _copy_done_shape(x: Shape) -> Shape:
    if not isinstance(x, TupleShape) or len(x) != 3:
        raise ShapeError(f"copy-done: operand 0 is {x}; it must be what a copy-start gives")
    return x[0]


opcode(
    "copy-start",
    arity=1,
    attrs={"cross_program_prefetch_index": INT.optional(None)},
    shape=_copy_start_shape,
    evaluate=lambda x, *, shape, cross_program_prefetch_index: (x, x, *contexts(shape, 2)),
    declared=True,
)
opcode("copy-done", arity=1, shape=_copy_done_shape, evaluate=lambda x: x[0])


# ---- the host's queues


def _unavailable(name: str) -> Callable[..., Any]:
    def evaluate(*_: Any, **__: Any) -> Any:
        raise EvaluateError(f"{name}: there is no host queue or other device to exchange data with")

    return evaluate


_TRANSFER = {**CHANNEL, "is_host_transfer": BOOL.optional(False)}


def _send_shape(x: Shape, token: Shape, *, shape: Shape, **_: Any) -> Shape:
    _require_token("send", 1, token)
    if not isinstance(shape, TupleShape) or len(shape) != 3 or shape[0] != x or shape[2] != TOKEN:
        raise ShapeError(f"send: the result is {shape}; it must be ({x}, u32[], token[])")
    return shape


def _recv_shape(token: Shape, *, shape: Shape, **_: Any) -> Shape:
    _require_token("recv", 0, token)
    if not isinstance(shape, TupleShape) or len(shape) != 3 or shape[2] != TOKEN:
        raise ShapeError(f"recv: the result is {shape}; it must be (what is received, u32[], token[])")
    return shape


def _send_done_shape(x: Shape, **_: Any) -> Shape:
    if not isinstance(x, TupleShape) or len(x) != 3:
        raise ShapeError(f"send-done: operand 0 is {x}; it must be what a send gives")
    return TOKEN


def _recv_done_shape(x: Shape, **_: Any) -> Shape:
    if not isinstance(x, TupleShape) or len(x) != 3:
        raise ShapeError(f"recv-done: operand 0 is {x}; it must be what a recv gives")
    return TupleShape((x[0], TOKEN))


opcode("send", arity=2, attrs=_TRANSFER, shape=_send_shape, evaluate=_unavailable("send"), declared=True, pure=False)
opcode("send-done", arity=1, attrs=_TRANSFER, shape=_send_done_shape, evaluate=_unavailable("send-done"), pure=False)
opcode("recv", arity=1, attrs=_TRANSFER, shape=_recv_shape, evaluate=_unavailable("recv"), declared=True, pure=False)
opcode("recv-done", arity=1, attrs=_TRANSFER, shape=_recv_done_shape, evaluate=_unavailable("recv-done"), pure=False)


def _infeed_shape(token: Shape, *, shape: Shape, infeed_config: str | None) -> Shape:
    _require_token("infeed", 0, token)
    if not isinstance(shape, TupleShape) or len(shape) != 2 or shape[1] != TOKEN:
        raise ShapeError(f"infeed: the result is {shape}; it must be (what is read, token[])")
    return shape


def _outfeed_shape(x: Shape, token: Shape, **_: Any) -> Shape:
    _require_token("outfeed", 1, token)
    return TOKEN


opcode(
    "infeed",
    arity=1,
    attrs={"infeed_config": STRING.optional(None)},
    shape=_infeed_shape,
    evaluate=_unavailable("infeed"),
    declared=True,
    pure=False,
)
opcode(
    "outfeed",
    arity=2,
    attrs={"outfeed_shape": RAW.optional(None), "outfeed_config": STRING.optional(None)},
    shape=_outfeed_shape,
    evaluate=_unavailable("outfeed"),
    pure=False,
)


# ---- dynamic dimensions: shapes are static here, so sizes are what the shapes say


def _dimension(name: str, operand: ArrayShape, dimensions: tuple[int, ...]) -> int:
    check_dims(name, "dimensions", dimensions, operand.rank)
    if len(dimensions) != 1:
        raise ShapeError(f"{name}: dimensions={{{','.join(map(str, dimensions))}}}; it must name one dimension")
    return dimensions[0]


def _get_size_shape(x: Shape, *, dimensions: tuple[int, ...]) -> ArrayShape:
    _dimension("get-dimension-size", require_array("get-dimension-size", 0, x), dimensions)
    return ArrayShape(S32)


opcode(
    "get-dimension-size",
    arity=1,
    attrs={"dimensions": INTS},
    shape=_get_size_shape,
    evaluate=lambda x, *, dimensions: np.asarray(x.shape[dimensions[0]], np.int32),
)


def _set_size_shape(x: Shape, size: Shape, *, dimensions: tuple[int, ...]) -> ArrayShape:
    operand = require_array("set-dimension-size", 0, x)
    _dimension("set-dimension-size", operand, dimensions)
    if size != ArrayShape(S32):
        raise ShapeError(f"set-dimension-size: operand 1 is {size}; it must be s32[]")
    return ArrayShape(operand.element_type, operand.dims)


def _set_size(x: np.ndarray, size: np.ndarray, *, dimensions: tuple[int, ...]) -> np.ndarray:
    extent = x.shape[dimensions[0]]
    if int(size) != extent:
        raise EvaluateError(
            f"set-dimension-size: size {int(size)} of a dimension of {extent}; dynamic sizes are not supported"
        )
    return x


opcode(
    "set-dimension-size",
    arity=2,
    attrs={"dimensions": INTS},
    shape=_set_size_shape,
    evaluate=_set_size,
)


def _dynamic_reshape_shape(x: Shape, *sizes: Shape, shape: Shape) -> ArrayShape:
    operand, result = require_array("dynamic-reshape", 0, x), require_array("dynamic-reshape", 0, shape)
    if operand.element_type is not result.element_type or operand.size != result.size:
        raise ShapeError(
            f"dynamic-reshape: operand 0 is {operand} but the result is {result}; they must have equal elements"
        )
    if len(sizes) != result.rank:
        raise ShapeError(f"dynamic-reshape: {len(sizes)} sizes for a result {result}; it has {result.rank} dimensions")
    return result


def _dynamic_reshape(x: np.ndarray, *sizes: np.ndarray, shape: ArrayShape) -> np.ndarray:
    if tuple(int(s) for s in sizes) != shape.dims:
        raise EvaluateError(
            f"dynamic-reshape: sizes {[int(s) for s in sizes]} for {shape}; dynamic sizes are not supported"
        )
    return x.reshape(shape.dims)


opcode(
    "dynamic-reshape",
    arity=(1, None),
    shape=_dynamic_reshape_shape,
    evaluate=_dynamic_reshape,
    declared=True,
)
