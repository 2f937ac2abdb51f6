"""Loop programs as text, for people."""

from __future__ import annotations

from collections.abc import Iterator

from xlac.loop.ir import (
    Accumulate,
    Assign,
    Buffer,
    Copy,
    For,
    If,
    Kernel,
    Loop,
    Program,
    Statement,
    Step,
    Store,
    Switch,
    While,
)


def print_program(program: Program) -> str:
    """The program's buffers, steps and kernels."""
    lines = [f"program {program.name}, arena of {program.arena_bytes} bytes"]
    for buffer in (*program.parameters, *program.results, *program.constants):
        alias = f" in the memory of {buffer.resolve().name}" if buffer.merged is not None else ""
        lines.append(f"  {buffer}{alias}")
    lines.extend(_steps(program.steps, "  "))
    return "\n".join(lines) + "\n"


def _place(buffer: Buffer) -> str:
    buffer = buffer.resolve()
    return f"{buffer.name}@{buffer.offset}" if buffer.space == "temp" else buffer.name


def _steps(steps: list[Step], indent: str) -> Iterator[str]:
    for step in steps:
        if isinstance(step, Kernel):
            how = f", parallel over {step.parallel} by {step.grain}" if step.parallel is not None else ""
            yield f"{indent}kernel {step.name}{how}:"
            yield from _body(step.body, indent + "  ")
        elif isinstance(step, Copy):
            if step.source.resolve() is not step.target.resolve():
                yield f"{indent}copy {_place(step.target)} = {_place(step.source)}"
        elif isinstance(step, While):
            yield f"{indent}while:"
            yield from _steps(step.condition, indent + "    ")
            yield f"{indent}  test {_place(step.test)}, do:"
            yield from _steps(step.body, indent + "    ")
        elif isinstance(step, Switch):
            yield f"{indent}switch {_place(step.selector)}:"
            for i, branch in enumerate(step.branches):
                yield f"{indent}  branch {i}:"
                yield from _steps(branch, indent + "    ")


def _body(body: list[Statement], indent: str) -> Iterator[str]:
    for s in body:
        if isinstance(s, For):
            how = f"vector of {s.width} " if s.kind == "vector" else ""
            yield f"{indent}for {s.var} < {s.var.extent}: {how}".rstrip()
            yield from _body(s.body, indent + "  ")
        elif isinstance(s, Store):
            guard = f" if {s.guard}" if s.guard is not None else ""
            yield f"{indent}{_place(s.buffer)}[{s.index}] = {s.value}{guard}"
        elif isinstance(s, Assign):
            yield f"{indent}{s.register.name} = {s.value}"
        elif isinstance(s, Accumulate):
            factor = f" * {s.factor}" if s.factor is not None else ""
            yield f"{indent}{s.register.name} {s.opcode}= {s.value}{factor}"
        elif isinstance(s, If):
            yield f"{indent}if {s.condition}:"
            yield from _body(s.body, indent + "  ")
            if s.otherwise:
                yield f"{indent}else:"
                yield from _body(s.otherwise, indent + "  ")
        elif isinstance(s, Loop):
            yield f"{indent}while {s.condition}:"
            yield from _body(s.body, indent + "  ")


def kernel_count(steps: list[Step]) -> int:
    """How many kernels the steps launch, each counted once."""
    total = 0
    for step in steps:
        if isinstance(step, Kernel):
            total += 1
        elif isinstance(step, While):
            total += kernel_count(step.condition) + kernel_count(step.body)
        elif isinstance(step, Switch):
            total += sum(kernel_count(b) for b in step.branches)
    return total
