"""Opcode rows by family. Importing this package fills the opcode table."""

from xlac.ir.ops import control, dot, elementwise, indexing, movement, reduction

__all__ = ["control", "dot", "elementwise", "indexing", "movement", "reduction"]
