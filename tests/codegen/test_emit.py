"""Every kind of instruction the emitter prints is accepted by LLVM's parser and verifier, and computes what it says."""

import ctypes
import math
import struct

import llvmlite.binding as llvm
import ml_dtypes
import numpy as np
import pytest

from xlac.codegen.emit import (
    FunctionEmitter,
    ModuleEmitter,
    Value,
    bits,
    constant,
    integer,
    is_float,
    lane_constant,
    lanes,
    mangled,
    scalar,
    vector,
    with_scalar,
)

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
_engines = []


class Host:
    def has(self, feature):
        return False


def module():
    return ModuleEmitter(Host())


def check(m: ModuleEmitter) -> None:
    parsed = llvm.parse_assembly(m.text())
    parsed.verify()


def address(m: ModuleEmitter, name: str) -> int:
    parsed = llvm.parse_assembly(m.text())
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), jit=True
    )
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    _engines.append(engine)
    return engine.get_function_address(name)


def run(m: ModuleEmitter, name: str, *arrays: np.ndarray) -> None:
    ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arrays))(address(m, name))(*[a.ctypes.data for a in arrays])


def body(emit, result="float"):
    """A verified function of two pointers whose body is `emit(f)`."""
    m = module()
    with m.function("f", [("x", "ptr"), ("y", "ptr noalias")]) as f:
        emit(f)
    check(m)
    return m.text()


def test_types_are_taken_apart_and_put_together():
    assert vector(16, "float") == "<16 x float>" and vector(1, "i64") == "i64"
    assert lanes("<16 x float>") == 16 and lanes("double") == 1
    assert scalar("<2 x i1>") == "i1" and scalar("ptr") == "ptr" and scalar("<16 x float>") == "float"
    assert with_scalar("<8 x double>", "i64") == "<8 x i64>" and with_scalar("float", "i32") == "i32"
    assert [bits(t) for t in ("float", "<4 x double>", "half", "bfloat", "i1", "i8", "ptr")] == [
        32,
        64,
        16,
        16,
        1,
        8,
        64,
    ]
    assert integer("<4 x half>") == "<4 x i16>" and is_float("<4 x bfloat>") and not is_float("i32")
    assert mangled("<16 x float>") == "v16f32" and mangled("<8 x ptr>") == "v8p0" and mangled("bfloat") == "bf16"


@pytest.mark.parametrize(
    ("type", "dtype"),
    [("double", "float64"), ("float", "float32"), ("half", "float16"), ("bfloat", "bfloat16")],
)
def test_float_constants_are_exact(type, dtype):
    numbers = [0.0, -0.0, 1.0, -1.5, 0.1, math.pi, 1e-45, 1e-40, 6e-8, 1e5, 65519.0, 65520.0, 3.3e38, 3.4e38, 1e39]
    numbers += [
        -1e39,
        math.inf,
        -math.inf,
        math.nan,
        5e-324,
        1.7e308,
        1.00390625,
        1.01171875,
        2.0**-133,
        2.0**-134 * 1.5,
    ]
    m = module()
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    with m.function("f", [("out", "ptr")]) as f:
        for i, number in enumerate(numbers):
            f.store(f.const(type, number), f.gep(f.arguments[0], i * dtype.itemsize), dtype.itemsize)
    out = np.zeros(len(numbers), dtype)
    run(m, "f", out)
    with np.errstate(over="ignore"):
        want = np.array(numbers, np.float64).astype(dtype)
    unsigned = f"u{dtype.itemsize}"
    finite = ~np.isnan(want.astype(np.float64))
    assert (out.view(unsigned) == want.view(unsigned))[finite].all()
    assert np.isnan(out[~finite].astype(np.float64)).all()


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize(("type", "dtype"), [("half", np.float16), ("bfloat", ml_dtypes.bfloat16)])
def test_narrowing_rounds_once_and_keeps_denormals(source, type, dtype):
    rng = np.random.default_rng(0)
    numbers = np.concatenate(
        [rng.integers(0, 2**32, 4000, dtype=np.uint32).view(np.float32), rng.standard_normal(2000)]
    )
    narrow = rng.integers(0, 2**16, 4000, dtype=np.uint16).view(dtype).astype(np.float64)
    halfway = (narrow + narrow * (1 + (2.0**-7 if type == "bfloat" else 2.0**-10))) / 2
    numbers = np.concatenate(
        [numbers, narrow, halfway, halfway * (1 + 2.0**-40), halfway * (1 - 2.0**-40), [1e-45, 1e39]]
    )
    numbers = numbers[: len(numbers) // 8 * 8].astype(source)
    numbers[:4] = [np.nan, np.inf, -np.inf, -0.0]
    m = module()
    wide = vector(8, {"float32": "float", "float64": "double"}[source])
    with m.function("f", [("x", "ptr"), ("out", "ptr")]) as f:
        x, out = f.arguments
        before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
        f.br(loop)
        f.at(loop)
        i = f.phi("i64", [(f.const("i64", 0), before)])
        v = f.load(wide, f.gep(x, f.mul(i, f.const("i64", numbers.itemsize))), 4)
        f.store(f.cast("fptrunc", v, vector(8, type)), f.gep(out, f.mul(i, f.const("i64", 2))), 2)
        after = f.add(i, f.const("i64", 8))
        f.add_incoming(i, after, loop)
        f.cond_br(f.icmp("ult", after, f.const("i64", len(numbers))), loop, done)
        f.at(done)
    got = np.zeros(len(numbers), dtype)
    run(m, "f", numbers, got)
    with np.errstate(all="ignore"):
        want = round_to(numbers.astype(np.float64), type)
    np.testing.assert_array_equal(got.astype(np.float64), want)
    assert (np.signbit(got) == np.signbit(want))[~np.isnan(want)].all()


def round_to(x, type):
    """Each double rounded to half or bfloat, as a double."""
    digits, least, most = {"half": (11, -24, 65504.0), "bfloat": (8, -133, 255 * 2.0**120)}[type]
    unit = np.ldexp(1.0, np.maximum(np.frexp(x)[1] - digits, least))
    rounded = np.rint(x / unit) * unit
    return np.where(np.abs(rounded) > most, np.copysign(np.inf, x), np.where(np.isfinite(x), rounded, x))


def test_integer_constants_wrap_to_their_width():
    assert constant("i8", 255).name == "-1" and constant("i64", 2**63).name == str(-(2**63))
    assert constant("i1", True).name == "true" and constant("<4 x i1>", -1).name == "splat (i1 true)"
    assert constant("i32", np.uint32(7)).name == "7" and constant("ptr", 0).name == "null"
    assert lane_constant("<2 x i32>", [1, -2]).name == "<i32 1, i32 -2>"


@pytest.mark.parametrize("type", ["float", "double", "half", "bfloat", "<16 x float>", "<3 x double>"])
def test_float_instructions_verify(type):
    def emit(f: FunctionEmitter):
        x, y = (f.load(type, a, 2) for a in f.arguments)
        for op in ("fadd", "fsub", "fmul", "fdiv", "frem", "minimum", "maximum", "copysign"):
            x = getattr(f, op)(x, y)
        x = f.fma(f.fneg(x), f.fabs(y), f.const(type, 2.5))
        f.fast_math = "contract "
        x = f.fadd(f.fmul(x, y), f.fneg(y))
        for name in ("sqrt", "floor", "ceil", "trunc", "roundeven", "round"):
            x = f.intrinsic(name, type, x)
        for predicate in ("oeq", "one", "olt", "ole", "ogt", "oge", "uno", "ord", "une", "ult"):
            x = f.select(f.fcmp(predicate, x, y), x, y)
        n = f.intrinsic("fptosi.sat", with_scalar(type, "i32"), x)
        x = f.fadd(x, f.cast("sitofp", n, type))
        n = f.bitcast(x, integer(type))
        f.store(f.bitcast(n, type), f.arguments[1], 2)

    assert "contract" in body(emit)


@pytest.mark.parametrize("type", ["i8", "i64", "<16 x i32>", "<5 x i16>", "i1", "<16 x i1>"])
def test_integer_instructions_verify(type):
    def emit(f: FunctionEmitter):
        x, y = (f.load(type, a, 1) for a in f.arguments)
        ops = "add sub mul sdiv udiv srem urem shl lshr ashr and_ or_ xor smin smax umin umax".split()
        for op in ops:
            x = getattr(f, op)(x, y)
        for predicate in ("eq", "ne", "slt", "sle", "sgt", "sge", "ult", "ule", "ugt", "uge"):
            x = f.select(f.icmp(predicate, x, y), f.not_(x), y)
        for name in ("ctpop", "bitreverse"):
            x = f.intrinsic(name, type, x)
        x = f.intrinsic("ctlz", type, x, f.const("i1", False))
        f.store(x, f.arguments[1], 1)
        wide = f.cast("sext", x, with_scalar(type, "i64"))
        f.store(f.cast("trunc", wide, with_scalar(type, "i8")) if bits(type) > 8 else wide, f.arguments[0], 1)

    body(emit)


def test_vector_instructions_verify():
    def emit(f: FunctionEmitter):
        v = f.load("<8 x float>", f.arguments[0], 4)
        x = f.extract(v, 3)
        i = f.load("i32", f.arguments[1], 4)
        v = f.insert(f.insert(v, x, 0), f.extract(v, i), i)
        v = f.fadd(v, f.splat(x, 8))
        v = f.fadd(v, f.splat(f.const("float", 2.0), 8))
        v = f.fadd(v, f.lane_const(v.type, range(8)))
        w = f.shuffle(v, None, [7, 6, -1, 0])
        assert w.type == "<4 x float>"
        assert f.shuffle(v, v, [9]).type == "float"
        w = f.shuffle(v, v, [*range(8), *range(15, 7, -1)])
        assert f.splat(x, 1) is x and f.cast("fpext", x, "float") is x
        f.store(w, f.arguments[0], 64, nontemporal=True)

    assert "!nontemporal" in body(emit)


def test_memory_instructions_verify_and_run():
    m = module()
    with m.function("f", [("x", "ptr"), ("out", "ptr")]) as f:
        x, out = f.arguments
        table = m.constant_array("i64", [32, 0, 8, 16])
        index = f.load("<4 x i64>", table, 8)
        mask = f.lane_const("<4 x i1>", [1, 1, 0, 1])
        got = f.gather("<4 x double>", f.gep(x, index), mask, f.const("<4 x double>", -1.0))
        slot = f.alloca("<4 x double>")
        f.store(got, slot, 8)
        got = f.masked_load("<4 x double>", slot, mask, None, 8)
        f.masked_store(got, out, mask, 8)
        f.scatter(got, f.gep(f.gep(out, 32), index), mask)
        f.gather("<4 x double>", f.gep(x, f.lane_const("<4 x i32>", [0, 8, 16, 24])), None, None)
        f.prefetch(x)
        f.memcpy(f.gep(out, 80), x, f.const("i64", 8))
        f.memset(f.gep(out, 88), f.const("i8", 0), f.const("i64", 8))
    x, out = np.arange(5.0) + 1, np.full(12, 7.0)
    check(m)
    run(m, "f", x, out)
    assert out.tolist() == [5, 1, 7, 3, 1, 7, 3, 7, 5, 7, 1, 0]


def test_control_flow_verifies_and_runs():
    m = module()
    with m.function("scaled", [("a", "i64")], "i64", internal=True) as f:
        cases = [f.new_block("case") for _ in range(3)]
        f.switch(f.arguments[0], cases[0], [(1, cases[1]), (2, cases[2])])
        for block, number in zip(cases, (1, 10, 100), strict=True):
            f.at(block)
            f.ret(f.const("i64", number))
    with m.function("f", [("out", "ptr")]) as f:
        zero = f.const("i64", 0)
        before, loop, done = f.current_block, f.new_block("loop"), f.new_block("done")
        f.br(loop)
        f.at(loop)
        i = f.phi("i64", [(zero, before)])
        total = f.phi("i64")
        f.add_incoming(total, zero, before)
        after = f.add(total, f.call("scaled", "i64", i))
        i1 = f.add(i, f.const("i64", 1))
        f.add_incoming(i, i1, loop)
        f.add_incoming(total, after, loop)
        f.cond_br(f.icmp("ult", i1, f.const("i64", 4)), loop, done, weights=(3, 1))
        f.at(done)
        f.store(after, f.arguments[0], 8)
        slot = f.alloca("i64")
        f.store(after, slot, 8)
    check(m)
    out = np.zeros(1, np.int64)
    run(m, "f", out)
    assert out[0] == 1 + 10 + 100 + 1


@pytest.mark.parametrize("n", [1, 2, 3, 6, 8, 16])
def test_reductions_use_every_lane_once(n):
    m = module()
    kinds = [("float", "fadd"), ("float", "mul"), ("float", "maximum"), ("i32", "add"), ("i32", "umin"), ("i32", "xor")]
    with m.function("f", [("x", "ptr"), ("k", "ptr"), ("out", "ptr")]) as f:
        for j, (t, op) in enumerate(kinds):
            v = f.load(vector(n, t), f.arguments[t == "i32"], 4)
            f.store(f.vector_reduce(op, v), f.gep(f.arguments[2], 4 * j), 4)
        any_negative = f.vector_reduce("or", f.icmp("slt", v, f.const(v.type, 0)))
        f.store(f.cast("zext", any_negative, "i32"), f.gep(f.arguments[2], 24), 4)
    check(m)
    x, k, out = 1 + np.arange(n, dtype=np.float32) % 2, np.arange(3, n + 3, dtype=np.int32), np.zeros(7, np.float32)
    run(m, "f", x, k, out)
    assert out[:3].tolist() == [x.sum(), x.prod(), x.max()]
    assert out.view(np.int32)[3:].tolist() == [k.sum(), 3, np.bitwise_xor.reduce(k), 0]


def test_declarations_and_constants_appear_once_and_definitions_replace_declarations():
    m = module()
    with m.function("f", [("x", "ptr")]) as f:
        v = f.load("<16 x float>", f.arguments[0], 4)
        f.fma(v, v, f.fma(v, v, v))
        f.call("puts", "i32", m.constant_array("i8", [104, 105, 0]))
        f.call("later", "void", f.arguments[0])
        f.call(f.load("ptr", f.arguments[0], 8).name, "void", f.arguments[0])
    with m.function("later", [("p", "ptr")]):
        pass
    assert m.constant_array("i8", [1, 2]) == m.constant_array("i8", [1, 2]) != m.constant_array("i8", [1, 3])
    m.variable("[4 x i64]")
    check(m)
    text = m.text()
    assert text.count("declare <16 x float> @llvm.fma.v16f32") == 1 and "declare void @later" not in text


def test_misuse_is_named():
    m = module()
    f = m.function("f", [])
    with pytest.raises(ValueError, match="@f is defined twice"):
        m.function("f", [])
    f.ret()
    with pytest.raises(ValueError, match="entry is terminated twice"):
        f.ret()
    f.at(f.new_block("open"))
    f.result = "i32"
    with pytest.raises(ValueError, match="open1 has no terminator"):
        f.end()


def test_values_know_whether_they_are_constants():
    assert constant("float", 1).is_constant and not Value("%x", "float").is_constant
    assert constant("float", 1.0).name == "0x" + struct.pack(">d", 1.0).hex().upper()
