"""The verifier: checks that every instruction fits its row, its operands and its computation."""

from __future__ import annotations

from xlac.errors import ShapeError, VerifyError
from xlac.ir import ops as _rows  # noqa: F401  (fills the opcode table)
from xlac.ir.module import Computation, Instruction, Module
from xlac.ir.opcode import Kind
from xlac.ir.shape import MAX_BYTES, ArrayShape, leaves


def verify(module: Module) -> None:
    """Check a module.

    Raises:
      VerifyError: a computation has no root, a parameter is missing, an instruction depends on itself or reads another
        computation's, or its shape is not what its row says; the message names computation and instruction.
    """
    computations = module.computations
    names: set[str] = set()
    for computation in computations:
        if computation.name in names:
            raise VerifyError(f"two computations are called {computation.name}")
        names.add(computation.name)
        verify_computation(computation)


def verify_computation(computation: Computation) -> None:
    """Check one computation (see `verify`)."""
    if computation.root is None or computation.root.parent is not computation:
        raise VerifyError(f"computation {computation.name} has no root")
    for number, parameter in enumerate(computation.parameters):
        if parameter.attrs["number"] != number:
            raise VerifyError(f"computation {computation.name}: parameter {number} is missing or defined twice")
    for instruction in computation.post_order():
        try:
            verify_instruction(instruction)
        except ShapeError as error:
            raise VerifyError(f"{computation.name}, instruction {instruction.name}: {error}") from None


def verify_instruction(instruction: Instruction) -> None:
    """Check one instruction against its row.

    Raises:
      VerifyError, ShapeError: it does not fit.
    """
    for i, operand in enumerate(instruction.operands):
        if operand.parent is not instruction.parent:
            raise VerifyError(f"{instruction.name}: operand {i}, {operand.name}, is not in the same computation")
        if instruction not in operand.users:
            raise VerifyError(f"{instruction.name}: operand {i}, {operand.name}, does not know this user")
    for name, attr in instruction.opcode.attrs.items():
        value = instruction.attrs.get(name)
        if attr.kind is Kind.COMPUTATION and value is None and attr.required:
            raise VerifyError(f"{instruction.name}: {name} is missing")
    row = instruction.opcode
    inferred = row.infer(tuple(x.shape for x in instruction.operands), instruction.attrs, instruction.shape)
    if inferred != instruction.shape:
        raise ShapeError(f"{row.name}: the result is {instruction.shape} but its operands give {inferred}")
    for leaf in leaves(instruction.shape):
        if isinstance(leaf, ArrayShape) and leaf.byte_size > MAX_BYTES:
            raise ShapeError(f"{row.name}: the result {leaf} is larger than memory can be")
