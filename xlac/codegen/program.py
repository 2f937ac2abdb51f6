"""A loop program as an LLVM module: its kernels, and one entry function that runs the steps in order."""

from __future__ import annotations

from xlac.codegen.emit import FunctionEmitter, ModuleEmitter, Value
from xlac.codegen.kernel import KernelEmitter
from xlac.codegen.scalar import check_table, memory_type
from xlac.codegen.target import Target
from xlac.loop.ir import Buffer, Copy, HostCall, Kernel, Program, Step, Switch, While

ENTRY = "xlac_entry"
PARALLEL_FOR = "xlac_parallel_for"

# The entry's arguments: tables of addresses, and the address of the arena.
TABLES = ("parameter", "result", "constant", "temp")

# Steps in one function; LLVM takes time out of proportion for much longer ones.
PART_STEPS = 200

check_table()


def emit_program(program: Program, target: Target) -> str:
    """LLVM text of a planned program. Its entry is `void xlac_entry(ptr parameters, ptr results, ptr constants, ptr
    arena)`: three arrays of pointers, and the arena's memory, aligned to 64 bytes. After the constants come the
    addresses of the host's functions, `i32 f(ptr arrays)`, which end the program by a result other than 0."""
    module = ModuleEmitter(target)
    return ProgramEmitter(module).emit(program)


class ProgramEmitter:
    """Emits the steps of one program."""

    def __init__(self, module: ModuleEmitter) -> None:
        self.module = module
        self.functions: dict[str, str] = {}  # kernel code to the name of its function
        # By template and sharing of memory: the name of the function, and the template's buffers in its table.
        self.shared: dict[tuple[Kernel, tuple[int, ...]], tuple[str, list[Buffer]]] = {}
        self.parts = 0

    def emit(self, program: Program) -> str:
        e = self.module.function(ENTRY, [(name, "ptr") for name in TABLES])
        self.e: FunctionEmitter = e
        self.constants = len(program.constants)
        self.failed = e.new_block("failed") if program.host_calls else None
        self.steps(program.steps)
        e.ret()
        if self.failed is not None:
            e.at(self.failed)
            e.ret()
        e.end()
        return self.module.text()

    def steps(self, steps: list[Step]) -> None:
        """Emit steps; long lists in parts, each a function of its own."""
        if len(steps) > PART_STEPS:
            for start in range(0, len(steps), PART_STEPS):
                self.part(steps[start : start + PART_STEPS])
            return
        for step in steps:
            if isinstance(step, Kernel):
                self.kernel(step)
            elif isinstance(step, Copy):
                self.copy(step)
            elif isinstance(step, While):
                self.while_loop(step)
            elif isinstance(step, HostCall):
                self.host_call(step)
            else:
                self.switch(step)

    def part(self, steps: list[Step]) -> None:
        """Emit and call a function of the entry's arguments that runs the steps; it gives 0 unless the program must
        end."""
        outer, outer_failed = self.e, self.failed
        name = f"part_{self.parts}"
        self.parts += 1
        e = self.e = self.module.function(name, [(table, "ptr") for table in TABLES], "i32", internal=True)
        self.failed = e.new_block("failed") if outer_failed is not None else None
        self.steps(steps)
        e.ret(e.const("i32", 0))
        if self.failed is not None:
            e.at(self.failed)
            e.ret(e.const("i32", 1))
        e.end()
        self.e, self.failed = outer, outer_failed
        self.end_unless_zero(outer.call(name, "i32", *outer.arguments))

    def end_unless_zero(self, status: Value) -> None:
        """End the program if a step has failed."""
        if self.failed is not None:
            e = self.e
            done = e.new_block("returned")
            e.cond_br(e.icmp("eq", status, e.const("i32", 0)), done, self.failed)
            e.at(done)

    def kernel(self, kernel: Kernel) -> None:
        """Call a kernel."""
        name, buffers = self.function(kernel)
        e = self.e
        table = e.alloca(f"[{max(1, len(buffers))} x ptr]", 8)
        for i, buffer in enumerate(buffers):
            e.store(self.pointer(buffer), e.gep(table, 8 * i), 8)
        if kernel.parallel is None:
            e.call(name, "void", table, e.const("i64", 0), e.const("i64", 0))
            return
        loop = kernel.template.body[0]
        units = -(-kernel.parallel.extent // loop.width)  # type: ignore[union-attr]
        counts = (e.const("i64", units), e.const("i64", kernel.grain))
        e.call(PARALLEL_FOR, "void", Value(f"@{name}", "ptr"), table, *counts)

    def function(self, kernel: Kernel) -> tuple[str, list[Buffer]]:
        """The function of a kernel, and the buffers in its table; equal code is emitted once."""
        # Kernels of one template have the same code where their buffers share memory in the same way.
        used = [b for found in kernel.template.buffers for b in found]
        places: dict[Buffer, int] = {}
        pattern = tuple(places.setdefault(kernel.own(b).resolve(), len(places)) for b in used)
        key = (kernel.template, pattern)
        if key not in self.shared:
            name = f"kernel_{len(self.functions)}"
            emitter = KernelEmitter(self.module, kernel, name)
            emitter.emit()
            code = emitter.e.text().split("(", 1)[1]
            name = self.functions.setdefault(code, name)
            if name != emitter.e.name:
                self.module.discard(emitter.e.name)
            homes = {kernel.own(b).resolve(): b for b in used}
            self.shared[key] = name, [homes[b] for b in emitter.buffers]
        name, buffers = self.shared[key]
        return name, [kernel.own(b).resolve() for b in buffers]

    def pointer(self, buffer: Buffer) -> Value:
        e, buffer = self.e, buffer.resolve()
        table = e.arguments[TABLES.index(buffer.space)]
        if buffer.space == "temp":
            return e.gep(table, buffer.offset)
        return e.load("ptr", e.gep(table, 8 * buffer.number), 8)

    def copy(self, copy: Copy) -> None:
        if copy.source.resolve() is not copy.target.resolve() and copy.target.bytes:
            size = self.e.const("i64", copy.target.bytes)
            self.e.memcpy(self.pointer(copy.target), self.pointer(copy.source), size)

    def host_call(self, step: HostCall) -> None:
        e = self.e
        arrays = [*step.operands, *step.results]
        table = e.alloca(f"[{max(1, len(arrays))} x ptr]", 8)
        for i, buffer in enumerate(arrays):
            e.store(self.pointer(buffer), e.gep(table, 8 * i), 8)
        constants = e.arguments[TABLES.index("constant")]
        function = e.load("ptr", e.gep(constants, 8 * (self.constants + step.number)), 8)
        self.end_unless_zero(e.call(function.name, "i32", table))

    def while_loop(self, step: While) -> None:
        e = self.e
        head, body, done = e.new_block("while"), e.new_block("do"), e.new_block("done")
        e.br(head)
        e.at(head)
        self.steps(step.condition)
        flag = e.load("i8", self.pointer(step.test), 1)
        e.cond_br(e.icmp("ne", flag, e.const("i8", 0)), body, done)
        e.at(body)
        self.steps(step.body)
        e.br(head)
        e.at(done)

    def switch(self, step: Switch) -> None:
        e = self.e
        done = e.new_block("chosen")
        blocks = [e.new_block("branch") for _ in step.branches]
        t = step.selector.element_type
        selector = e.load(memory_type(t), self.pointer(step.selector), t.dtype.itemsize)
        if t.kind == "p":
            e.cond_br(e.icmp("ne", selector, e.const(selector.type, 0)), blocks[0], blocks[1])
        else:
            e.switch(selector, blocks[-1], list(enumerate(blocks[:-1])))
        for block, steps in zip(blocks, step.branches):
            e.at(block)
            self.steps(steps)
            e.br(done)
        e.at(done)
