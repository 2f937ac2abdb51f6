"""Instructions without code of their own: the host computes them by the opcode's row.

What no host can compute either - other devices, queues, unknown custom calls - is refused here, so that the error comes
when a program is compiled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac.errors import CompileError, EvaluateError
from xlac.ir.evaluate import evaluate_instruction
from xlac.ir.module import Instruction
from xlac.ir.ops.custom_call import find_target
from xlac.ir.shape import ArrayShape, Shape, TupleShape
from xlac.loop.ir import Buffer, HostCall

_QUEUES = frozenset(("send", "send-done", "recv", "recv-done", "infeed", "outfeed"))


def host_call(name: str, instruction: Instruction, operands: Sequence[Buffer], results: Sequence[Buffer]) -> HostCall:
    """The step that computes an instruction by its row, from and into its arrays' buffers in tuple order.

    Raises:
      CompileError: it cannot be computed on one device by itself.
    """
    check_computable(instruction)
    shapes = [x.shape for x in instruction.operands]
    arrays = [leaf for shape in shapes for leaf in _arrays(shape)]
    return HostCall(
        name, _function(instruction, shapes), list(operands), list(results), arrays, _arrays(instruction.shape)
    )


def check_computable(instruction: Instruction) -> None:
    """Refuse what evaluation refuses whatever the values.

    Raises:
      CompileError: the message says what is missing.
    """
    name = instruction.opcode.name
    if name in _QUEUES:
        raise CompileError(f"{instruction.name}: {name}: there is no host queue or other device to exchange data with")
    try:
        if name == "custom-call" and instruction["callback"] is None:
            find_target(instruction["custom_call_target"])
        if "replica_groups" in instruction.attrs or "source_target_pairs" in instruction.attrs:
            # Whether there are devices enough depends on shapes and attributes alone.
            evaluate_instruction(instruction, [_stand_in(x.shape) for x in instruction.operands])
    except EvaluateError as error:
        raise CompileError(f"{instruction.name}: {error}") from None


def _stand_in(shape: Shape) -> Any:
    """A value of zeros that takes no memory."""
    if isinstance(shape, TupleShape):
        return tuple(map(_stand_in, shape))
    return np.broadcast_to(np.zeros((), shape.dtype), shape.dims) if isinstance(shape, ArrayShape) else ()


def _function(instruction: Instruction, shapes: list[Shape]) -> Callable[..., list[np.ndarray]]:
    def function(*arrays: np.ndarray) -> list[np.ndarray]:
        rest = iter(arrays)
        values = [_nested(shape, rest) for shape in shapes]
        return list(_flat(evaluate_instruction(instruction, values), instruction.shape))

    return function


def _arrays(shape: Shape) -> list[ArrayShape]:
    if isinstance(shape, TupleShape):
        return [leaf for part in shape for leaf in _arrays(part)]
    return [shape] if isinstance(shape, ArrayShape) else []


def _nested(shape: Shape, arrays: Any) -> Any:
    if isinstance(shape, TupleShape):
        return tuple(_nested(part, arrays) for part in shape)
    return next(arrays) if isinstance(shape, ArrayShape) else ()


def _flat(value: Any, shape: Shape) -> list[np.ndarray]:
    if isinstance(shape, TupleShape):
        return [leaf for v, part in zip(value, shape, strict=True) for leaf in _flat(v, part)]
    return [value] if isinstance(shape, ArrayShape) else []
