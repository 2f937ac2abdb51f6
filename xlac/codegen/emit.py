"""A small emitter of LLVM IR text: modules, functions, blocks and instructions.

Instructions are appended as strings and never revisited, which costs about a microsecond each; whether the text is
valid LLVM IR is left to LLVM's parser and verifier. This module knows LLVM's syntax and nothing about arrays, loops or
targets.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple


class Value(NamedTuple):
    """An SSA name or the text of a constant, with its LLVM type ("i64", "float", "<16 x float>", "ptr")."""

    name: str
    type: str

    @property
    def is_constant(self) -> bool:
        return not self.name.startswith(("%", "@"))


VOID = Value("", "void")


# Types are their text.


def vector(n: int, t: str) -> str:
    """The type of `n` lanes of `t`; `t` itself when `n` is 1."""
    return t if n == 1 else f"<{n} x {t}>"


def lanes(type: str) -> int:
    """How many lanes a type has; 1 for a scalar."""
    return int(type[1 : type.index(" ")]) if type[0] == "<" else 1


def scalar(type: str) -> str:
    """The element type of a vector; a scalar type itself."""
    return type[type.index("x") + 2 : -1] if type[0] == "<" else type


def with_scalar(type: str, t: str) -> str:
    """The type with the lanes of `type` and the element `t`."""
    return f"{type[: type.index('x')]}x {t}>" if type[0] == "<" else t


_BITS = {"double": 64, "float": 32, "half": 16, "bfloat": 16, "ptr": 64}


def bits(type: str) -> int:
    """The width of one element in bits."""
    t = scalar(type)
    return _BITS.get(t) or int(t[1:])


def is_float(type: str) -> bool:
    return scalar(type) in ("double", "float", "half", "bfloat")


def integer(type: str) -> str:
    """The integer type of the same lanes and width."""
    return with_scalar(type, f"i{bits(type)}")


# Constants are exact: floating-point numbers are rounded to their type (nearest, ties to even) and written in
# hexadecimal.


def _bfloat16_bits(number: float) -> int:
    if math.isnan(number):
        return 0x7FC0
    (b,) = struct.unpack(">Q", struct.pack(">d", number))
    sign, magnitude = b >> 63 << 15, abs(number)
    if magnitude == math.inf:
        return sign | 0x7F80
    if not magnitude:
        return sign
    mantissa, exponent = math.frexp(magnitude)  # mantissa in [0.5, 1)
    ulp = max(exponent - 8, -133)  # 8 significant bits; 2**-133 is the least denormal
    significand = round(math.ldexp(mantissa, exponent - ulp))  # Python's round ties to even
    return sign | min(0x7F80, ((ulp + 133) << 7) + significand)


def _number_text(t: str, number: Any) -> str:
    if t == "double":
        return "0x" + struct.pack(">d", number).hex().upper()
    if t == "float":
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            number = math.copysign(math.inf, number)
        return "0x" + struct.pack(">d", number).hex().upper()
    if t == "half":
        try:
            return "0xH" + struct.pack(">e", number).hex().upper()
        except OverflowError:
            return "0xH7C00" if number > 0 else "0xHFC00"
    if t == "bfloat":
        return f"0xR{_bfloat16_bits(float(number)):04X}"
    if t == "i1":
        return "true" if number else "false"
    if t == "ptr":
        return "null" if not number else f"inttoptr (i64 {int(number)} to ptr)"
    number, width = int(number), int(t[1:])
    return str((number + (1 << width - 1)) % (1 << width) - (1 << width - 1))  # two's complement


def constant(type: str, number: Any) -> Value:
    """`number` in every lane of `type`."""
    if type[0] != "<":
        return Value(_number_text(type, number), type)
    t = scalar(type)
    return Value(f"splat ({t} {_number_text(t, number)})", type)


def lane_constant(type: str, numbers: Iterable[Any]) -> Value:
    """A vector with one number for each lane."""
    if type[0] != "<":
        (number,) = numbers
        return constant(type, number)
    t = scalar(type)
    return Value("<" + ", ".join([f"{t} {_number_text(t, n)}" for n in numbers]) + ">", type)


def poison(type: str) -> Value:
    return Value("poison", type)


def mangled(type: str) -> str:
    """The suffix that names a type in an overloaded intrinsic: v16f32, i64, p0."""
    t = scalar(type)
    suffix = {"double": "f64", "float": "f32", "half": "f16", "bfloat": "bf16", "ptr": "p0"}.get(t, t)
    return suffix if type[0] != "<" else f"v{lanes(type)}{suffix}"


# Which types an intrinsic is overloaded on: "r" for the result, an index for an argument. What is not listed is
# overloaded on its result alone, except the x86 ones, which are not overloaded.
_OVERLOADS: dict[str, tuple[str | int, ...]] = {
    "fptosi.sat": ("r", 0),
    "fptoui.sat": ("r", 0),
    "lrint": ("r", 0),
    "llrint": ("r", 0),
    "lround": ("r", 0),
    "llround": ("r", 0),
    "ldexp": ("r", 1),
    "powi": ("r", 1),
    "is.fpclass": (0,),
    "masked.load": ("r", 0),
    "masked.store": (0, 1),
    "masked.gather": ("r", 0),
    "masked.scatter": (0, 1),
    "masked.expandload": ("r",),
    "masked.compressstore": (0,),
    "memcpy": (0, 1, 2),
    "memcpy.inline": (0, 1, 2),
    "memmove": (0, 1, 2),
    "memset": (0, 2),
    "memset.inline": (0, 2),
    "prefetch": (0,),
    "lifetime.start": (1,),
    "lifetime.end": (1,),
    "vector.reduce.fadd": (1,),
    "vector.reduce.fmul": (1,),
    "sadd.with.overflow": (0,),
    "uadd.with.overflow": (0,),
    "ssub.with.overflow": (0,),
    "usub.with.overflow": (0,),
    "smul.with.overflow": (0,),
    "umul.with.overflow": (0,),
    "assume": (),
    "trap": (),
    "debugtrap": (),
    "readcyclecounter": (),
}


class Block:
    """A basic block: its label, phis and instructions. A label is printed where the block is first entered."""

    __slots__ = ("lines", "name", "phis", "placed", "terminated")

    def __init__(self, name: str) -> None:
        self.name = name
        self.placed = False
        self.phis: list[tuple[Value, list[tuple[Value, Block]]]] = []
        self.lines: list[str] = []
        self.terminated = False


class ModuleEmitter:
    """Collects functions, declarations and constants, each once, and prints them as one module.

    `target` answers `has(feature)`; the emitters only hand it on to those who choose instructions by it.
    """

    def __init__(self, target: Any) -> None:
        self.target = target
        self.attributes = "nounwind"
        self._functions: dict[str, FunctionEmitter] = {}
        self._declarations: dict[str, str] = {}
        self._intrinsics: dict[tuple[str, str], str] = {}
        self._globals: list[str] = []
        self._arrays: dict[str, Value] = {}

    def function(
        self,
        name: str,
        params: Sequence[tuple[str, str]],
        result: str = "void",
        internal: bool = False,
        attributes: str | None = None,
    ) -> FunctionEmitter:
        """Begin a function; use the result as a context manager or call its `end`.

        A parameter's type may carry attributes after "ptr", as in ("x", "ptr noalias readonly").
        """
        if name in self._functions:
            raise ValueError(f"function @{name} is defined twice")
        attributes = self.attributes if attributes is None else attributes
        emitter = self._functions[name] = FunctionEmitter(self, name, params, result, internal, attributes)
        return emitter

    def has_function(self, name: str) -> bool:
        return name in self._functions

    def discard(self, name: str) -> None:
        """Take out a function that nothing calls."""
        del self._functions[name]

    def declare(self, name: str, result: str, params: Sequence[str], attributes: str = "") -> None:
        """Declare an external function, once; a definition in this module takes its place."""
        if name not in self._declarations:
            attributes = f" {attributes}" if attributes else ""
            self._declarations[name] = f"declare {result} @{name}({', '.join(params)}){attributes}"

    def constant_array(self, scalar_type: str, values: Iterable[Any], align: int = 64) -> Value:
        """A pointer to a private constant array; equal arrays are one."""
        items = [f"{scalar_type} {_number_text(scalar_type, v)}" for v in values]
        text = f"[{len(items)} x {scalar_type}] [{', '.join(items)}], align {align}"
        return self._constant(text)

    def variable(self, type: str, align: int = 64) -> Value:
        """A pointer to a private zero-initialised variable of this module."""
        name = f"@g{len(self._globals)}"
        self._globals.append(f"{name} = private global {type} zeroinitializer, align {align}")
        return Value(name, "ptr")

    def _constant(self, text: str) -> Value:
        if text not in self._arrays:
            name = f"@g{len(self._globals)}"
            self._globals.append(f"{name} = private unnamed_addr constant {text}")
            self._arrays[text] = Value(name, "ptr")
        return self._arrays[text]

    def text(self) -> str:
        parts = [*self._globals, *(d for name, d in self._declarations.items() if name not in self._functions)]
        parts += [f.text() for f in self._functions.values()]
        return "\n".join(parts) + "\n"


class FunctionEmitter:
    """Appends instructions to the current block of one function and hands out fresh SSA names.

    `fast_math` is the text of the fast-math flags put on fadd, fsub, fmul, fdiv, frem and fneg ("" or "contract ", with
    the blank); arithmetic that relies on its own rounding errors sets it to "".
    """

    def __init__(
        self,
        module: ModuleEmitter,
        name: str,
        params: Sequence[tuple[str, str]],
        result: str,
        internal: bool,
        attributes: str,
    ) -> None:
        self.module = module
        self.target = module.target
        self.name = name
        self.fast_math = ""
        self.result = result
        self.arguments = [Value(f"%{n}", "ptr" if t.startswith("ptr") else t) for n, t in params]
        signature = ", ".join([f"{t} %{n}" for n, t in params])
        linkage = "internal " if internal else ""
        self._head = f"define {linkage}{result} @{name}({signature}) {attributes}".rstrip() + " {"
        self._count = 0
        self._allocas: list[str] = []
        self._edges: dict[str, list[tuple[Value, Block]]] = {}
        self._order: list[Block] = []
        self.entry = Block("entry")
        self.at(self.entry)

    def __enter__(self) -> FunctionEmitter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()

    def end(self) -> None:
        """Finish the function: a void function whose last block is open returns."""
        if not self.current_block.terminated and self.result == "void":
            self.ret()
        for block in self._order:
            if not block.terminated:
                raise ValueError(f"function @{self.name}: block {block.name} has no terminator")

    def text(self) -> str:
        lines = [self._head]
        for block in self._order:
            lines.append(f"{block.name}:")
            if block is self.entry:
                lines += self._allocas
            for phi, incoming in block.phis:
                edges = ", ".join([f"[{v.name}, %{b.name}]" for v, b in incoming])
                lines.append(f"  {phi.name} = phi {phi.type} {edges}")
            lines += block.lines
        lines.append("}")
        return "\n".join(lines)

    # Raw instructions

    def instruction(self, text: str, type: str) -> Value:
        """Append `%new = text` and return it as a value of `type`."""
        self._count += 1
        name = f"%v{self._count}"
        self._append(f"  {name} = {text}")
        return Value(name, type)

    def line(self, text: str) -> None:
        """Append an instruction that has no result."""
        self._append("  " + text)

    # Constants

    def const(self, type: str, number: Any) -> Value:
        return constant(type, number)

    def lane_const(self, type: str, numbers: Iterable[Any]) -> Value:
        return lane_constant(type, numbers)

    def poison(self, type: str) -> Value:
        return poison(type)

    # Floating-point arithmetic

    def _float(self, op: str, a: Value, b: Value) -> Value:
        self._count += 1
        name = f"%v{self._count}"
        self._append(f"  {name} = {op} {self.fast_math}{a.type} {a.name}, {b.name}")
        return Value(name, a.type)

    def fadd(self, a: Value, b: Value) -> Value:
        return self._float("fadd", a, b)

    def fsub(self, a: Value, b: Value) -> Value:
        return self._float("fsub", a, b)

    def fmul(self, a: Value, b: Value) -> Value:
        return self._float("fmul", a, b)

    def fdiv(self, a: Value, b: Value) -> Value:
        return self._float("fdiv", a, b)

    def frem(self, a: Value, b: Value) -> Value:
        return self._float("frem", a, b)

    def fneg(self, a: Value) -> Value:
        return self.instruction(f"fneg {self.fast_math}{a.type} {a.name}", a.type)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, rounded once."""
        return self.intrinsic("fma", a.type, a, b, c)

    def fabs(self, a: Value) -> Value:
        return self.intrinsic("fabs", a.type, a)

    def copysign(self, a: Value, sign: Value) -> Value:
        return self.intrinsic("copysign", a.type, a, sign)

    def minimum(self, a: Value, b: Value) -> Value:
        """IEEE 754-2019 minimum: NaN if either is NaN, -0 below +0."""
        return self.intrinsic("minimum", a.type, a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        """IEEE 754-2019 maximum: NaN if either is NaN, -0 below +0."""
        return self.intrinsic("maximum", a.type, a, b)

    # Integer arithmetic

    def _binary(self, op: str, a: Value, b: Value) -> Value:
        self._count += 1
        name = f"%v{self._count}"
        self._append(f"  {name} = {op} {a.type} {a.name}, {b.name}")
        return Value(name, a.type)

    def add(self, a: Value, b: Value) -> Value:
        return self._binary("add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._binary("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._binary("mul", a, b)

    def sdiv(self, a: Value, b: Value) -> Value:
        return self._binary("sdiv", a, b)

    def udiv(self, a: Value, b: Value) -> Value:
        return self._binary("udiv", a, b)

    def srem(self, a: Value, b: Value) -> Value:
        return self._binary("srem", a, b)

    def urem(self, a: Value, b: Value) -> Value:
        return self._binary("urem", a, b)

    def shl(self, a: Value, b: Value) -> Value:
        return self._binary("shl", a, b)

    def lshr(self, a: Value, b: Value) -> Value:
        return self._binary("lshr", a, b)

    def ashr(self, a: Value, b: Value) -> Value:
        return self._binary("ashr", a, b)

    def and_(self, a: Value, b: Value) -> Value:
        return self._binary("and", a, b)

    def or_(self, a: Value, b: Value) -> Value:
        return self._binary("or", a, b)

    def xor(self, a: Value, b: Value) -> Value:
        return self._binary("xor", a, b)

    def not_(self, a: Value) -> Value:
        return self._binary("xor", a, constant(a.type, -1))

    def smin(self, a: Value, b: Value) -> Value:
        return self.intrinsic("smin", a.type, a, b)

    def smax(self, a: Value, b: Value) -> Value:
        return self.intrinsic("smax", a.type, a, b)

    def umin(self, a: Value, b: Value) -> Value:
        return self.intrinsic("umin", a.type, a, b)

    def umax(self, a: Value, b: Value) -> Value:
        return self.intrinsic("umax", a.type, a, b)

    # Comparison and choice

    def icmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.instruction(f"icmp {predicate} {a.type} {a.name}, {b.name}", with_scalar(a.type, "i1"))

    def fcmp(self, predicate: str, a: Value, b: Value) -> Value:
        return self.instruction(f"fcmp {predicate} {a.type} {a.name}, {b.name}", with_scalar(a.type, "i1"))

    def select(self, c: Value, a: Value, b: Value) -> Value:
        return self.instruction(f"select {c.type} {c.name}, {a.type} {a.name}, {b.type} {b.name}", a.type)

    # Casts

    def cast(self, op: str, v: Value, type: str) -> Value:
        """Convert by an LLVM cast instruction, such as "sext", "fptrunc" or "sitofp"; no change if `v` has `type`."""
        if v.type == type:
            return v
        if op == "fptrunc" and bits(type) == 16:
            return self._narrow(v, type)
        return self.instruction(f"{op} {v.type} {v.name} to {type}", type)

    def _narrow(self, v: Value, type: str) -> Value:
        """float or double to half or bfloat, rounded once and with denormals.

        LLVM would call the compiler's support library for double, and x86's instruction for bfloat flushes denormals.
        """
        if scalar(v.type) == "double":
            # Rounding to odd loses nothing that the second rounding needs (Boldo and Melquiond): toward zero, with the
            # last bit set if inexact.
            rounded = self.instruction(
                f"fptrunc {v.type} {v.name} to {with_scalar(v.type, 'float')}", with_scalar(v.type, "float")
            )
            back = self.cast("fpext", rounded, v.type)
            whole = self.bitcast(rounded, integer(rounded.type))
            up = self.cast("zext", self.fcmp("ogt", self.fabs(back), self.fabs(v)), whole.type)
            inexact = self.cast("zext", self.fcmp("une", back, v), whole.type)
            v = self.bitcast(self.or_(self.sub(whole, up), inexact), rounded.type)
        if scalar(type) == "half":
            return self.instruction(f"fptrunc {v.type} {v.name} to {type}", type)
        whole = self.bitcast(v, integer(v.type))
        kept = self.lshr(whole, constant(whole.type, 16))
        even = self.add(self.and_(kept, constant(whole.type, 1)), constant(whole.type, 0x7FFF))
        rounded = self.lshr(self.add(whole, even), constant(whole.type, 16))
        quiet = self.or_(kept, constant(whole.type, 0x40))
        chosen = self.select(self.fcmp("uno", v, v), quiet, rounded)
        return self.bitcast(self.cast("trunc", chosen, integer(type)), type)

    def bitcast(self, v: Value, type: str) -> Value:
        return self.cast("bitcast", v, type)

    # Vectors

    def splat(self, v: Value, n: int) -> Value:
        """`v` in each of `n` lanes."""
        if n == 1:
            return v
        type = vector(n, v.type)
        if v.is_constant:
            return Value(v.name if v.name == "poison" else f"splat ({v.type} {v.name})", type)
        first = self.instruction(f"insertelement {type} poison, {v.type} {v.name}, i64 0", type)
        return self.instruction(f"shufflevector {type} {first.name}, {type} poison, <{n} x i32> zeroinitializer", type)

    def extract(self, v: Value, i: int | Value) -> Value:
        if v.type[0] != "<":
            return v
        index = f"i64 {i}" if isinstance(i, int) else f"{i.type} {i.name}"
        return self.instruction(f"extractelement {v.type} {v.name}, {index}", scalar(v.type))

    def insert(self, v: Value, x: Value, i: int | Value) -> Value:
        if v.type[0] != "<":
            return x
        index = f"i64 {i}" if isinstance(i, int) else f"{i.type} {i.name}"
        return self.instruction(f"insertelement {v.type} {v.name}, {x.type} {x.name}, {index}", v.type)

    def shuffle(self, a: Value, b: Value | None, indices: Sequence[int]) -> Value:
        """Lanes of `a` then `b` (poison if None), by index; -1 leaves a lane poison. One index gives a scalar."""
        n = lanes(a.type)
        if len(indices) == 1:
            (i,) = indices
            if i < 0:
                return poison(scalar(a.type))
            return self.extract(a, i) if b is None or i < n else self.extract(b, i - n)
        second = "poison" if b is None else b.name
        mask = ", ".join(["i32 poison" if i < 0 else f"i32 {i}" for i in indices])
        if a.type[0] != "<":
            raise ValueError(f"shuffle of {a.type}: the operands of a shuffle are vectors")
        return self.instruction(
            f"shufflevector {a.type} {a.name}, {a.type} {second}, <{len(indices)} x i32> <{mask}>",
            vector(len(indices), scalar(a.type)),
        )

    def aggregate(self, type: str, parts: Iterable[Value]) -> Value:
        """A struct of the parts."""
        made = self.poison(type)
        for i, part in enumerate(parts):
            made = self.instruction(f"insertvalue {type} {made.name}, {part.type} {part.name}, {i}", type)
        return made

    def extract_value(self, aggregate: Value, i: int, type: str) -> Value:
        return self.instruction(f"extractvalue {aggregate.type} {aggregate.name}, {i}", type)

    def tree_reduce(self, v: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """Combine the lanes pairwise, halves first; the order is fixed, so results are reproducible."""
        n = lanes(v.type)
        if n == 1:
            return v
        if n % 2:
            rest = self.tree_reduce(self.shuffle(v, None, range(n - 1)), combine)
            return combine(rest, self.extract(v, n - 1))
        low, high = self.shuffle(v, None, range(n // 2)), self.shuffle(v, None, range(n // 2, n))
        return self.tree_reduce(combine(low, high), combine)

    def vector_reduce(self, op: str, v: Value) -> Value:
        """Reduce the lanes to a scalar.

        `op` is add, mul, and, or, xor, smin, smax, umin or umax for integers, and add, mul, fadd, fmul, minimum or
        maximum for floating point, whose sums and products are trees of fixed shape.
        """
        if lanes(v.type) == 1:
            return v
        if is_float(v.type):
            combine = {"add": self.fadd, "fadd": self.fadd, "mul": self.fmul, "fmul": self.fmul}.get(op)
            return self.tree_reduce(v, combine or {"minimum": self.minimum, "maximum": self.maximum}[op])
        return self.intrinsic(f"vector.reduce.{op}", scalar(v.type), v, overload=(v.type,))

    # Calls

    def intrinsic(self, name: str, result_type: str, *args: Value, overload: Sequence[str] | None = None) -> Value:
        """Call @llvm.`name`, with the suffix of its overload, and declare it.

        `overload` gives the overloaded types where they are not the usual ones for that name; () means none.
        """
        full = self.module._intrinsics.get((name, result_type)) if overload is None else None
        if full is None:
            full = self._declare_intrinsic(name, result_type, args, overload)
        text = ", ".join([f"{a.type} {a.name}" for a in args])
        if result_type == "void":
            self._append(f"  call void @{full}({text})")
            return VOID
        self._count += 1
        result = f"%v{self._count}"
        self._append(f"  {result} = call {result_type} @{full}({text})")
        return Value(result, result_type)

    def _declare_intrinsic(
        self, name: str, result_type: str, args: Sequence[Value], overload: Sequence[str] | None
    ) -> str:
        picks: tuple[str | int, ...] = ()
        if overload is None:
            picks = _OVERLOADS.get(name, () if name.startswith("x86.") else ("r",))
            overload = [result_type if isinstance(p, str) else args[p].type for p in picks]
        full = "llvm." + ".".join([name, *map(mangled, overload)])
        self.module.declare(full, result_type, [a.type for a in args])
        if picks == ("r",):  # the name follows from the result alone: no need to look at the arguments again
            self.module._intrinsics.setdefault((name, result_type), full)
        return full

    def call(self, name: str, result_type: str, *args: Value) -> Value:
        """Call a function by name and declare it, or through a pointer if `name` is an SSA name ("%v1")."""
        if name.startswith("%"):
            callee = name
        else:
            callee = "@" + name
            self.module.declare(name, result_type, [a.type for a in args])
        text = ", ".join([f"{a.type} {a.name}" for a in args])
        if result_type == "void":
            self._append(f"  call void {callee}({text})")
            return VOID
        return self.instruction(f"call {result_type} {callee}({text})", result_type)

    # Memory

    def load(self, type: str, ptr: Value, align: int) -> Value:
        return self.instruction(f"load {type}, ptr {ptr.name}, align {align}", type)

    def store(self, v: Value, ptr: Value, align: int, nontemporal: bool = False) -> None:
        """Store; a non-temporal store bypasses the caches and must have the alignment of its whole vector."""
        hint = ", !nontemporal !{i32 1}" if nontemporal else ""
        self._append(f"  store {v.type} {v.name}, ptr {ptr.name}, align {align}{hint}")

    def masked_load(self, type: str, ptr: Value, mask: Value, passthru: Value | None, align: int) -> Value:
        """Load the lanes of `mask`; the others are those of `passthru` (poison if None), their memory untouched."""
        passthru = passthru or poison(type)
        return self.intrinsic("masked.load", type, ptr, constant("i32", align), mask, passthru)

    def masked_store(self, v: Value, ptr: Value, mask: Value, align: int) -> None:
        if mask.name.startswith("<") and mask.name.count("true") == 1:
            # LLVM's x86 back end writes more than the lane where the value is a truncation and the mask a constant.
            lane = mask.name.count("i1", 0, mask.name.index("true")) - 1
            self.store(self.extract(v, lane), self.gep(ptr, lane * bits(v.type) // 8) if lane else ptr, align)
            return
        self.intrinsic("masked.store", "void", v, ptr, constant("i32", align), mask)

    def gather(self, type: str, ptrs: Value, mask: Value | None, passthru: Value | None, align: int = 0) -> Value:
        """Load each lane from its own pointer; `mask` None means every lane. `align` 0 is the element's own size."""
        mask = mask or constant(with_scalar(type, "i1"), True)
        size = constant("i32", align or max(1, bits(type) // 8))
        return self.intrinsic("masked.gather", type, ptrs, size, mask, passthru or poison(type))

    def scatter(self, v: Value, ptrs: Value, mask: Value | None, align: int = 0) -> None:
        """Store each lane to its own pointer, in lane order."""
        mask = mask or constant(with_scalar(v.type, "i1"), True)
        self.intrinsic("masked.scatter", "void", v, ptrs, constant("i32", align or max(1, bits(v.type) // 8)), mask)

    def gep(self, ptr: Value, byte_offset: Value | int) -> Value:
        """`ptr` plus bytes; a vector of offsets gives a vector of pointers. Offsets below 64 bits are signed."""
        if isinstance(byte_offset, int):
            if byte_offset == 0:
                return ptr
            byte_offset = Value(str(byte_offset), "i64")
        type = with_scalar(byte_offset.type, "ptr") if byte_offset.type[0] == "<" else ptr.type
        return self.instruction(f"getelementptr i8, {ptr.type} {ptr.name}, {byte_offset.type} {byte_offset.name}", type)

    def alloca(self, type: str, align: int = 64) -> Value:
        """Stack memory for one `type`, allocated once, in the entry block."""
        self._count += 1
        name = f"%v{self._count}"
        self._allocas.append(f"  {name} = alloca {type}, align {align}")
        return Value(name, "ptr")

    def prefetch(self, ptr: Value, write: bool = False, locality: int = 3) -> None:
        i32 = [constant("i32", int(write)), constant("i32", locality), constant("i32", 1)]
        self.intrinsic("prefetch", "void", ptr, *i32)

    def memcpy(self, target: Value, source: Value, nbytes: Value) -> None:
        self.intrinsic("memcpy", "void", target, source, nbytes, constant("i1", False))

    def memset(self, target: Value, byte: Value, nbytes: Value) -> None:
        self.intrinsic("memset", "void", target, byte, nbytes, constant("i1", False))

    # Control flow

    def new_block(self, hint: str = "block") -> Block:
        """A fresh block; it becomes part of the function where `at` first enters it."""
        self._count += 1
        return Block(f"{hint}{self._count}")

    def at(self, block: Block) -> None:
        """Append to `block` from now on."""
        if not block.placed:
            block.placed = True
            self._order.append(block)
        self.current_block = block
        self._append = block.lines.append

    def _terminate(self, text: str) -> None:
        if self.current_block.terminated:
            raise ValueError(f"function @{self.name}: block {self.current_block.name} is terminated twice")
        self._append("  " + text)
        self.current_block.terminated = True

    def br(self, block: Block) -> None:
        self._terminate(f"br label %{block.name}")

    def cond_br(self, c: Value, then: Block, otherwise: Block, weights: tuple[int, int] | None = None) -> None:
        """Branch on an i1; `weights` says how often each way is taken."""
        prof = f', !prof !{{!"branch_weights", i32 {weights[0]}, i32 {weights[1]}}}' if weights else ""
        self._terminate(f"br i1 {c.name}, label %{then.name}, label %{otherwise.name}{prof}")

    def switch(self, v: Value, default: Block, cases: Iterable[tuple[int, Block]]) -> None:
        text = " ".join([f"{v.type} {number}, label %{block.name}" for number, block in cases])
        self._terminate(f"switch {v.type} {v.name}, label %{default.name} [ {text} ]")

    def ret(self, v: Value | None = None) -> None:
        self._terminate("ret void" if v is None else f"ret {v.type} {v.name}")

    def unreachable(self) -> None:
        self._terminate("unreachable")

    def phi(self, type: str, incoming: Iterable[tuple[Value, Block]] = ()) -> Value:
        """A phi at the head of the current block; `add_incoming` adds the edges that are not known yet."""
        self._count += 1
        phi, edges = Value(f"%v{self._count}", type), list(incoming)
        self.current_block.phis.append((phi, edges))
        self._edges[phi.name] = edges
        return phi

    def add_incoming(self, phi: Value, value: Value, block: Block) -> None:
        """Add an edge to a phi of this function."""
        self._edges[phi.name].append((value, block))
