"""custom-call: opcodes known by their target's name alone.

`TARGETS` says how a target is evaluated: functions of the operands, the result's shape and the call's configuration.
A call of `PYTHON_CALLBACK` holds the Python function itself, which no text can.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from xlac.errors import EvaluateError
from xlac.ir.opcode import (
    BOOL,
    COMPUTATION,
    COMPUTATIONS,
    DIM_LABELS,
    INT,
    OBJECT,
    OPCODES,
    RAW,
    STRING,
    WINDOW,
    WORD,
    WORDS,
    opcode,
)
from xlac.ir.ops import lapack, tridiagonal
from xlac.ir.ops.elementwise import quiet
from xlac.ir.ops.sort import in_total_order, sort_order, top_k
from xlac.ir.shape import TOKEN, ArrayShape, Shape, TupleShape

# The target of calls of a Python function of this process; they hold it as `callback`. Operands and results are arrays,
# but for a first operand and result that are the token which keeps effects in order.
PYTHON_CALLBACK = "xlac_python_callback"

Target = Callable[..., Any]
TARGETS: dict[str, Target] = {}


def target(*names: str) -> Callable[[Target], Target]:
    """Register `function(*operands, shape=, config=)` as what the named targets compute."""

    def register(function: Target) -> Target:
        for name in names:
            TARGETS[name] = function
        return function

    return register


def parse_config(text: str | None) -> dict[str, Any]:
    """The entries of a configuration as `{uplo = 76 : ui8, k = 4}`: integers, booleans, floats and strings."""
    result: dict[str, Any] = {}
    for name, value in re.findall(r'"?([A-Za-z_][\w.]*)"?\s*[=:]\s*("(?:[^"\\]|\\.)*"|[-+\w.]+)', text or ""):
        if value.startswith('"'):
            result[name] = value[1:-1]
        elif value in ("true", "false"):
            result[name] = value == "true"
        elif re.fullmatch(r"-?\d+", value):
            result[name] = int(value)
        else:
            try:
                result[name] = float(value)
            except ValueError:
                result[name] = value
    return result


# Targets that say where or how a value is kept, and give it as it is.
IDENTITIES = (
    "Sharding",
    "SPMDFullToShardShape",
    "SPMDShardToFullShape",
    "LayoutConstraint",
    "SetBound",
    "annotate_device_placement",
    "MoveToHost",
    "MoveToDevice",
    "xla.sdy.FuncResultSharding",
)


@target(*IDENTITIES)
def _identity(*xs: Any, **_: Any) -> Any:
    return xs[0] if len(xs) == 1 else xs


@target("AllocateBuffer")
def _allocate(*, shape: ArrayShape, **_: Any) -> np.ndarray:
    return np.zeros(shape.dims, shape.dtype)


@target("dce_sink")
def _sink(*_: Any, **__: Any) -> tuple[()]:
    """Nothing: the call only keeps its operands from being removed."""
    return ()


TARGETS["tridiagonal_solve_perturbed_ffi"] = lambda lower, main, upper, b, **_: tridiagonal.solve_perturbed(
    lower, main, upper, b
)


@target("cpu_csr_sparse_dense_ffi")
def _csr_times_dense(
    data: np.ndarray, starts: np.ndarray, columns: np.ndarray, b: np.ndarray, *, shape: ArrayShape, **_: Any
) -> np.ndarray:
    """A matrix in compressed rows times a dense matrix or vector; elements outside the matrix count as zeros."""
    result = np.zeros(shape.dims, data.dtype)
    rows = np.searchsorted(starts, np.arange(data.size), side="right") - 1
    inside = (rows >= 0) & (rows < shape.dims[0]) & (columns >= 0) & (columns < b.shape[0])
    rows, columns, data = rows[inside], columns[inside], data[inside]
    np.add.at(result, rows, data.reshape(-1, *[1] * (b.ndim - 1)) * b[columns])
    return result


@target("TopK", "__gpu$TopK", "mhlo.topk", "stablehlo.dynamic_top_k")
def _topk(
    x: np.ndarray,
    *_: Any,
    shape: TupleShape,
    config: dict[str, Any],
    to_apply: Any = None,
    call: Callable[..., Any] | None = None,
    **__: Any,
) -> tuple[np.ndarray, ...]:
    k = shape[0].dims[-1]  # type: ignore[union-attr]
    if to_apply is not None and len(to_apply.parameters) == 2 and call is not None:
        rows = x.reshape(-1, x.shape[-1])
        order = sort_order([rows], to_apply, call)[:, :k].reshape(*x.shape[:-1], k)
        values, places = np.take_along_axis(x, order, -1), order.astype(np.int32)
    else:
        values, places = top_k(x, k, bool(config.get("largest", True)))
    return values, places.astype(shape[1].dtype)  # type: ignore[union-attr]


@target("ApproxTopK", "PartialReduce")
def _approximate_topk(
    *operands: np.ndarray,
    shape: Shape,
    config: dict[str, Any],
    to_apply: Any = None,
    call: Callable[..., Any] | None = None,
    **_: Any,
) -> Any:
    """The exact first along `reduction_dim` by the comparator, as many as the result has; after the arrays come
    initial values."""
    if to_apply is None or call is None or "reduction_dim" not in config:
        raise EvaluateError("custom-call: ApproxTopK needs a comparator, and the reduction_dim in its backend_config")
    arrays = operands[: len(operands) // 2]
    axis = int(config["reduction_dim"])
    moved = [np.moveaxis(x, axis, -1) for x in arrays]
    rows = [x.reshape(-1, x.shape[-1]) for x in moved]
    first = shape[0] if isinstance(shape, TupleShape) else shape
    order = sort_order(rows, in_total_order(to_apply), call)[:, : first.dims[axis]]  # type: ignore[union-attr]
    picked = (np.take_along_axis(r, order, -1).reshape(*m.shape[:-1], order.shape[-1]) for r, m in zip(rows, moved))
    results = tuple(np.moveaxis(x, -1, axis) for x in picked)
    return results if isinstance(shape, TupleShape) else results[0]


def _opcode_target(name: str) -> Target:
    def run(*xs: np.ndarray, **_: Any) -> Any:
        return OPCODES[name].evaluate(*xs)

    return run


for _name in ("acos", "acosh", "asin", "asinh", "atanh", "cosh", "sinh", "erf", "tan"):
    TARGETS[f"mhlo.{_name}"] = _opcode_target(_name)
for _kernel, _run in lapack.KERNELS.items():
    TARGETS[_kernel] = _run


def find_target(name: str) -> Target:
    """What a target's name stands for.

    Raises:
      EvaluateError: it is not known; the message lists those that are.
    """
    found = TARGETS.get(name)
    if name == PYTHON_CALLBACK or (found is None and name.endswith("python_cpu_callback")):  # xlac's own and JAX's
        raise EvaluateError(
            f'custom-call: target "{name}" is a Python function of the process that traced this program, and no text '
            "or file holds it; trace the function again in this process"
        )
    if found is None:
        near = difflib.get_close_matches(name, TARGETS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        # The types of one kernel together.
        known = sorted({re.sub(r"^(lapack|blas)_[sdcz]", r"\1_?", target) for target in TARGETS})
        raise EvaluateError(f'custom-call: target "{name}" is not known; known are: {", ".join(known)}{hint}')
    return found


def _shape(*operands: Shape, shape: Shape, **_: Any) -> Shape:
    return shape


def _evaluate(
    *operands: Any,
    shape: Shape,
    call: Callable[..., Any],
    custom_call_target: str,
    backend_config: str | None,
    to_apply: Any,
    called_computations: tuple[Any, ...],
    callback: Any,
    **_: Any,
) -> Any:
    if callback is not None:
        ordered = isinstance(shape, TupleShape) and len(shape) > 0 and shape[0] == TOKEN
        results = callback(*operands[1:] if ordered else operands)
        return ((), *results) if ordered else tuple(results)
    run = quiet(find_target(custom_call_target))
    comparator = to_apply or (called_computations[0] if called_computations else None)
    return run(*operands, shape=shape, config=parse_config(backend_config), to_apply=comparator, call=call)


opcode(
    "custom-call",
    arity=(0, None),
    attrs={
        "operand_precision": WORDS.optional(()),
        "window": WINDOW.optional(()),
        "dim_labels": DIM_LABELS.optional(None),
        "feature_group_count": INT.optional(1),
        "batch_group_count": INT.optional(1),
        "padding_type": WORD.optional(None),
        "custom_call_target": STRING,
        "operand_layout_constraints": RAW.optional(None),
        "custom_call_has_side_effect": BOOL.optional(False),
        "literal": RAW.optional(None),
        "output_to_operand_aliasing": RAW.optional(None),
        "schedule": WORD.optional(None),
        "api_version": WORD.optional(None),
        "to_apply": COMPUTATION.optional(None),
        "called_computations": COMPUTATIONS.optional(()),
        "backend_config": RAW.optional(None),
        "callback": OBJECT.optional(None),
    },
    shape=_shape,
    evaluate=_evaluate,
    declared=True,
)
