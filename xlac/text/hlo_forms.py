"""Forms of instructions that XLA's parser takes beside the plain ones, brought to the plain ones."""

from __future__ import annotations

from dataclasses import replace

from xlac.ir.module import Computation, Instruction
from xlac.ir.opcode import OPCODES, Kind
from xlac.ir.shape import ArrayShape, Shape, TupleShape
from xlac.ir.window import WindowDim

# Opcodes whose computations give one value, which MLIR's export may wrap in a tuple of one.
_ONE_VALUED = frozenset(("map", "reduce", "reduce-window", "scatter", "sort"))


def make_plain(instruction: Instruction, shape: Shape | None, unwrapped: dict[Computation, Computation]) -> None:
    """Change attributes of an instruction that is said to be of `shape` to what its row understands.

    A computation that gives a tuple of one where the instruction gives an array gives what is in the tuple;
    `unwrapped` holds the ones made so far. The window of a convolution is as large as its kernel, whatever it says.
    """
    name = instruction.opcode.name
    if name == "convolution":
        _fit_window(instruction)
    elif name in _ONE_VALUED and (name == "sort" or not isinstance(shape, TupleShape)):
        for attribute, attr in instruction.opcode.attrs.items():
            called = instruction.attrs[attribute] if attr.kind is Kind.COMPUTATION else None
            if called is not None and isinstance(called.root.shape, TupleShape) and len(called.root.shape) == 1:
                if called not in unwrapped:
                    unwrapped[called] = _unwrap(called)
                instruction.attrs[attribute] = unwrapped[called]


def _unwrap(computation: Computation) -> Computation:
    copy = computation.clone()
    wrapper = copy.root
    if wrapper.opcode.name == "tuple":
        (copy.root,) = wrapper.operands
        copy.remove(wrapper)
    else:
        copy.root = copy.add(OPCODES["get-tuple-element"].make(wrapper, index=0))
    return copy


def _fit_window(convolution: Instruction) -> None:
    window, labels = convolution["window"], convolution["dim_labels"]
    kernel = convolution.operands[1].shape if len(convolution.operands) > 1 else None
    if isinstance(kernel, ArrayShape) and len(labels.kernel_spatial) == kernel.rank - 2:
        sizes = [kernel.dims[k] for k in labels.kernel_spatial]
        window = window or (WindowDim(1),) * len(sizes)
        if len(window) == len(sizes):
            convolution.attrs["window"] = tuple(replace(d, size=size) for d, size in zip(window, sizes))
