"""LLVM text to native code and into the process."""

import ctypes
import gc
import os
import subprocess
import sys
import threading

import pytest

from xlac.codegen import link
from xlac.codegen.target import Target
from xlac.errors import CompileError

HOST = Target.host()

ADD_ONE = """
define double @add_one(double %x) {
  %y = fadd double %x, 1.0
  ret double %y
}
"""

# Mutable registers are allocas and vectors are explicit, as in all generated code.
SUM = """
define void @sum(ptr %x, ptr %out, i64 %n) {
entry:
  %i = alloca i64
  %acc = alloca <4 x float>
  store i64 0, ptr %i
  store <4 x float> zeroinitializer, ptr %acc
  br label %head
head:
  %i0 = load i64, ptr %i
  %more = icmp slt i64 %i0, %n
  br i1 %more, label %body, label %done
body:
  %p = getelementptr float, ptr %x, i64 %i0
  %v = load <4 x float>, ptr %p, align 4
  %a = load <4 x float>, ptr %acc
  %s = fadd <4 x float> %a, %v
  store <4 x float> %s, ptr %acc
  %i1 = add i64 %i0, 4
  store i64 %i1, ptr %i
  br label %head
done:
  %r = load <4 x float>, ptr %acc
  store <4 x float> %r, ptr %out, align 4
  ret void
}
"""


def call_add_one(library: link.Library, x: float) -> float:
    return ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("add_one"))(x)


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_code_of_every_level_runs(level):
    library = link.load(link.emit_object(ADD_ONE, HOST, level), ["add_one"])
    assert call_add_one(library, 2.5) == 3.5


def test_allocas_become_registers():
    text = link.optimize(SUM, HOST)
    assert "alloca" not in text and "phi <4 x float>" in text
    link.check(text)


def test_a_vector_loop_computes():
    library = link.load(link.emit_object(SUM, HOST), ["sum"])
    x, out = (ctypes.c_float * 12)(*range(12)), (ctypes.c_float * 4)()
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    kind(library.address("sum"))(ctypes.addressof(x), ctypes.addressof(out), 12)
    assert list(out) == [12.0, 15.0, 18.0, 21.0]


@pytest.mark.parametrize(
    "ir, message",
    [
        ("define void @f() { ret i32 1 }", "1:24.*doesn't match function result type"),
        ("define void @f() {\n  %a = add i32 %b, 1\n  ret void\n}", "2:16.*undefined value '%b'"),
        ("define i32 @f() {\n %y = add i32 %z, 1\n %z = add i32 %y, 1\n ret i32 %z\n}", "does not dominate"),
        ("not LLVM at all", "expected top-level entity"),
    ],
)
def test_invalid_text_is_refused_with_llvms_reason(ir, message):
    for use in (link.check, lambda text: link.emit_object(text, HOST), lambda text: link.assembly(text, HOST)):
        with pytest.raises(CompileError, match=message):
            use(ir)


def test_imports_and_the_processs_own_symbols_are_found():
    ir = """
    declare i32 @answer()
    declare i64 @strlen(ptr)
    @text = private constant [4 x i8] c"abc\\00"
    define i64 @f() {
      %a = call i32 @answer()
      %n = call i64 @strlen(ptr @text)
      %w = zext i32 %a to i64
      %r = add i64 %w, %n
      ret i64 %r
    }
    """
    answer = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: 42)
    address = ctypes.cast(answer, ctypes.c_void_p).value
    library = link.load(link.emit_object(ir, HOST), ["f"], {"answer": address})
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("f"))() == 45


def test_a_symbol_that_is_nowhere_is_an_error(capfd):
    ir = "declare void @nowhere_to_be_found()\ndefine void @f() { call void @nowhere_to_be_found()\n ret void }"
    with pytest.raises(CompileError, match="cannot link f"):
        link.load(link.emit_object(ir, HOST), ["f"])
    with pytest.raises(CompileError, match="cannot link g"):
        link.load(link.emit_object(ADD_ONE, HOST), ["g"])
    assert capfd.readouterr() == ("", "")


def test_an_address_that_was_not_asked_for_is_an_error():
    library = link.load(link.emit_object(ADD_ONE, HOST), ["add_one"])
    with pytest.raises(CompileError, match="no symbol 'other'; it has add_one"):
        library.address("other")


@pytest.mark.parametrize("damage", [lambda o: b"", lambda o: b"junk", lambda o: o[:100], lambda o: o[: len(o) // 2]])
def test_damaged_objects_are_refused(damage):
    with pytest.raises(CompileError, match="cannot link"):
        link.load(damage(link.emit_object(ADD_ONE, HOST)), ["add_one"])


def test_two_libraries_may_define_the_same_name():
    two = ADD_ONE.replace("1.0", "2.0")
    first, second = (link.load(link.emit_object(ir, HOST), ["add_one"]) for ir in (ADD_ONE, two))
    assert (call_add_one(first, 1.0), call_add_one(second, 1.0)) == (2.0, 3.0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_code_is_freed_with_its_library():
    obj = link.emit_object(ADD_ONE, HOST)

    def mappings() -> int:
        gc.collect()
        with open("/proc/self/maps") as file:
            return len(file.readlines())

    before = mappings()
    libraries = [link.load(obj, ["add_one"]) for _ in range(50)]
    assert mappings() >= before + 50
    libraries.clear()
    assert mappings() < before + 20


def test_objects_load_in_another_process(tmp_path):
    path = tmp_path / "add_one.o"
    path.write_bytes(link.emit_object(ADD_ONE, HOST))
    script = (
        "import ctypes, sys\nfrom xlac.codegen import link\n"
        "library = link.load(open(sys.argv[1], 'rb').read(), ['add_one'])\n"
        "print(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address('add_one'))(2.5))\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("3.5\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_a_compilation_can_compile():
    script = f"""
import os, threading
from xlac.codegen import link
from xlac.codegen.target import Target
ir, stop = {SUM!r}, threading.Event()
def compile_on():
    while not stop.wait(0.001):  # a lock is not fair: without a pause the fork would starve
        link.emit_object(ir, Target.host())
threads = [threading.Thread(target=compile_on) for _ in range(2)]
for thread in threads:
    thread.start()
failures = 0
for _ in range(10):
    child = os.fork()
    if child == 0:
        link.load(link.emit_object(ir, Target.host()), ["sum"])
        os._exit(0)
    failures += os.waitpid(child, 0)[1] != 0
stop.set()
print("failures", failures)
"""
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("failures 0\n", "")


def test_threads_may_compile_at_the_same_time():
    results: list[float] = []

    def work(k: int) -> None:
        library = link.load(link.emit_object(ADD_ONE.replace("1.0", f"{k}.0"), HOST), ["add_one"])
        results.append(call_add_one(library, 0.0))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [float(k) for k in range(8)]


def test_objects_are_reproducible():
    assert link.emit_object(SUM, HOST) == link.emit_object(SUM, HOST)


def test_assembly_for_arm_is_written_on_any_machine():
    target = Target.parse("aarch64-neon")
    text = link.assembly(SUM, target)
    assert "fadd\tv" in text and "ret" in text
    if HOST.arch != "aarch64":
        with pytest.raises(CompileError, match=f"not {HOST.arch} code"):
            link.load(link.emit_object(SUM, target), ["sum"])


@pytest.mark.parametrize("name, register", [("x86-64-v2", "xmm"), ("x86-64-v3", "ymm"), ("x86-64-v4", "zmm")])
def test_each_x86_level_uses_its_widest_registers(name, register):
    target = Target.parse(name)
    lanes = target.vector_bytes // 4
    ir = f"""
    define void @f(ptr %x) {{
      %v = load <{lanes} x float>, ptr %x, align 4
      %w = fadd <{lanes} x float> %v, %v
      store <{lanes} x float> %w, ptr %x, align 4
      ret void
    }}
    """
    text = link.assembly(ir, target)
    assert register in text and not any(wider in text for wider in ("xmm", "ymm", "zmm") if wider > register)
