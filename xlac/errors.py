"""Every error xlac raises on purpose. Each says what is wrong, where, and what would be right."""

from __future__ import annotations


class XlacError(Exception):
    """Base of all errors that xlac raises on purpose."""


class ParseError(XlacError):
    """Text that is not the language it claims to be.

    Attributes:
      line, column: 1-based place of the fault; 0 where the text as a whole is at fault.
      path: the file's name, or None for text that came from memory.
    """

    def __init__(self, message: str, line: int = 0, column: int = 0, path: str | None = None) -> None:
        self.message, self.line, self.column, self.path = message, line, column, path
        super().__init__(message)

    def __str__(self) -> str:
        where = f"{self.line}:{self.column}" if self.line else ""
        place = ":".join(part for part in (self.path, where) if part)
        return f"{place}: {self.message}" if place else self.message


class VerifyError(XlacError):
    """A module whose parts do not fit together: wrong operands, attributes, regions, names or cycles."""


class ShapeError(XlacError, TypeError, ValueError):
    """Operands whose shapes or element types an operation does not accept."""


class RangeError(ShapeError, OverflowError):
    """An integer that its element type cannot hold."""


class AxisError(ShapeError, IndexError):
    """An axis that the array does not have."""


class CompileError(XlacError):
    """A valid module that cannot be compiled for this target."""


class EvaluateError(XlacError):
    """A call whose arguments do not match the program's parameters."""


class AllocationError(EvaluateError, MemoryError):
    """A program whose arguments, results or temporaries need more memory than there is."""


class TraceError(XlacError, TypeError):
    """Python code that asks something of a traced array which only a concrete array can answer."""


class AxisNameError(TraceError, NameError):
    """A name that no `vmap` around a call gives to its axis."""


class NonFiniteError(XlacError, FloatingPointError):
    """A result holds NaN or an infinity, and `Options(check_nan=True)` asked to be told."""


class CheckError(XlacError, ValueError):
    """A check of `xlac.experimental.checkify` failed."""


class EstimatorError(XlacError, ValueError):
    """A model function, data set or configuration the Estimator cannot work with."""


class CheckpointError(XlacError):
    """A checkpoint that is missing, truncated, corrupt, or of another model."""


class NonFiniteLossError(EstimatorError):
    """Training reached a loss that is NaN or infinite."""


class OptionError(XlacError, ValueError):
    """An option, environment variable or pass name that does not exist or has an impossible value."""


class NotSupportedError(XlacError, NotImplementedError):
    """A call of something of JAX's that xlac does not have."""


# JAX's names. It tells apart what was asked of a traced array; here the message does.
ConcretizationTypeError = JAXTypeError = JAXIndexError = TraceError
UnexpectedTracerError = NonConcreteBooleanIndexError = TraceError
TracerArrayConversionError = TracerBoolConversionError = TracerIntegerConversionError = TraceError
KeyReuseError = TraceError
JaxRuntimeError = EvaluateError
