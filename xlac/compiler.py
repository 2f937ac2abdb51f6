"""The pipeline: a module in, an executable out, every step on one screen."""

from __future__ import annotations

import os
import sys
import threading
import time

from xlac.errors import CompileError
from xlac.ir.module import Module
from xlac.options import Options, environment
from xlac.python_limits import much_made
from xlac.runtime.executable import EvaluatorExecutable, Executable, NativeExecutable

_lock = threading.Lock()  # the loop IR's interning tables belong to one compilation at a time


def compile_module(module: Module, options: Options | None = None) -> Executable:
    """Compile a module; the module itself is not changed.

    Raises:
      VerifyError: the module is not valid.
      CompileError: it cannot be compiled for the target.
    """
    options = (options or Options()).resolve()
    module.verify()
    if options.evaluate:
        return EvaluatorExecutable(module, options)
    from xlac.codegen import link
    from xlac.codegen.program import ENTRY, PARALLEL_FOR, emit_program
    from xlac.codegen.target import Target
    from xlac.loop import ir as loop_ir
    from xlac.loop.lower import check_expansion, lower
    from xlac.loop.plan import plan
    from xlac.loop.printer import print_program
    from xlac.loop.schedule import Machine
    from xlac.loop.verify import verify_program
    from xlac.passes.pipeline import optimize
    from xlac.runtime import cache, threads

    target = Target.parse(options.target or "host")
    stage = Stages(module.name, options)
    with _lock, much_made(CompileError(f"{module.name}: it is nested too deeply to compile")):
        try:
            stage.done("1-hlo", module.to_string)
            check_expansion(module)
            optimized = optimize(module, options)
            stage.done("2-optimized-hlo", optimized.to_string)
            program = lower(optimized, Machine(target.vector_bytes, target.vector_registers, options.threads != 1))
            plan(program, module.donated)
            if options.verify:
                verify_program(program)
            stage.done("3-loops", lambda: print_program(program))
            llvm = emit_program(program, target)
            stage.done("4-llvm", lambda: llvm)
        finally:
            loop_ir.clear_interned()
    data = cache.compile_object(llvm, target) if options.cache else link.emit_object(llvm, target)
    library = None
    if options.threads is not None and options.threads > 1:
        threads.set_threads(options.threads)
    if target.runs_here():
        library = link.load(data, [ENTRY], {PARALLEL_FOR: threads.parallel_for_address()})
    stage.done("5-object", lambda: link.assembly(llvm, target))
    return NativeExecutable(module, options, optimized, program, llvm, target, data, library)


class Stages:
    """Dumps and times the stages of one compilation, as XLAC_DUMP_TO and XLAC_DEBUG ask."""

    def __init__(self, name: str, options: Options) -> None:
        self.name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:80] or "module"
        self.folder = options.dump_to
        self.level = environment("XLAC_DEBUG") or 0
        self.start = time.perf_counter()

    def done(self, stage: str, text: object) -> None:
        """Note the end of a stage, whose text the function `text` gives."""
        level = {"1-hlo": 2, "2-optimized-hlo": 3, "3-loops": 4, "4-llvm": 5, "5-object": 6}[stage]
        if self.level >= 1:
            now = time.perf_counter()
            print(f"xlac: {self.name}: {stage} {1e3 * (now - self.start):.2f} ms", file=sys.stderr)
            if self.level >= level:
                print(text(), file=sys.stderr)  # type: ignore[operator]
            self.start = time.perf_counter()
        if self.folder:
            os.makedirs(self.folder, exist_ok=True)
            with open(os.path.join(self.folder, f"{self.name}.{stage}.txt"), "w", encoding="utf-8") as file:
                file.write(text())  # type: ignore[operator]
