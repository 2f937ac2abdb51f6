"""Loop programs as text, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xlac.loop.ir import (
    ZERO,
    Accumulate,
    Apply,
    Assign,
    Buffer,
    Copy,
    For,
    FromValue,
    HostCall,
    If,
    Index,
    Kernel,
    Load,
    Loop,
    Program,
    Statement,
    Step,
    Store,
    Switch,
    Transpose,
    Value,
    Var,
    While,
    statement_values,
    statements,
)

# Levels of operands that are written in one expression.
MAX_DEPTH = 40


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
        elif isinstance(step, HostCall):
            results = ", ".join(map(_place, step.results))
            yield f"{indent}host {results} = {step.name}({', '.join(map(_place, step.operands))})"
        elif isinstance(step, Switch):
            yield f"{indent}switch {_place(step.selector)}:"
            for i, branch in enumerate(step.branches):
                yield f"{indent}  branch {i}:"
                yield from _steps(branch, indent + "    ")


class _Shared:
    """Names for values and indices that a kernel uses more than once, so that text grows with the graph and not with
    its paths, and for some in long chains."""

    def __init__(self, body: list[Statement]) -> None:
        self.names: dict[Value | Index, str] = {}
        counts: dict[Value | Index, int] = {}
        for statement in statements(body):
            stack = list(statement_values(statement))
            if isinstance(statement, Store):
                stack += _parts(statement.index)
            while stack:
                node = stack.pop()
                counts[node] = counts.get(node, 0) + 1
                if counts[node] == 1:
                    stack.extend(_parts(node))
        self._shared = {v for v, n in counts.items() if n > 1 and _parts(v)}

    def text(self, what: Value | Index, lines: list[str], indent: str) -> str:
        """The text of a value or index; definitions of shared ones it needs are appended to `lines`."""
        order: list[Value | Index] = []
        seen: set[Value | Index] = set()
        stack: list[tuple[Value | Index, bool]] = [(what, False)]
        while stack:
            node, leaving = stack.pop()
            if leaving:
                order.append(node)
            elif node not in seen and node not in self.names:
                seen.add(node)
                stack.append((node, True))
                stack.extend((o, False) for o in _parts(node))
        depth: dict[Value | Index, int] = {}
        for node in order:
            depth[node] = 1 + max((depth.get(o, 0) for o in _parts(node)), default=0)
            if node in self._shared or depth[node] > MAX_DEPTH:
                depth[node] = 0
                text = node.text(self.names)
                self.names[node] = f"%{len(self.names)}"
                lines.append(f"{indent}{self.names[node]} = {text}")
        return self.names.get(what) or what.text(self.names)


def _parts(node: Value | Index) -> Sequence[Value | Index]:
    """What stands inside the text of a value or index: operands, and what an index divides or takes from memory."""
    if isinstance(node, Apply):
        return node.args
    guard = node.guard if isinstance(node, Load) else None
    index = node if isinstance(node, Index) else getattr(node, "index", ZERO)
    parts: list[Value | Index] = [] if guard is None else [guard]
    for atom, _ in index.terms:
        if not isinstance(atom, Var):
            parts.append(atom.value if isinstance(atom, FromValue) else atom.index)
    return parts


def _body(body: list[Statement], indent: str, shared: _Shared | None = None) -> Iterator[str]:
    shared = shared or _Shared(body)
    for s in body:
        lines: list[str] = []

        def text(what: Value | Index, lines: list[str] = lines) -> str:
            return shared.text(what, lines, indent)

        if isinstance(s, For):
            how = f" vector of {s.width}" if s.kind == "vector" else ""
            yield f"{indent}for {s.var} < {s.var.extent}:{how}"
            yield from _inner(s.body, indent, shared)
        elif isinstance(s, Store):
            line = f"{indent}{_place(s.buffer)}[{text(s.index)}] = {text(s.value)}"
            line += f" if {text(s.guard)}" if s.guard is not None else ""
            yield from (*lines, line)
        elif isinstance(s, Assign):
            line = f"{indent}{s.register.name} = {text(s.value)}"
            yield from (*lines, line)
        elif isinstance(s, Accumulate):
            line = f"{indent}{s.register.name} {s.opcode}= {text(s.value)}"
            line += f" * {text(s.factor)}" if s.factor is not None else ""
            yield from (*lines, line)
        elif isinstance(s, Transpose):
            yield f"{indent}transpose {s.buffer.name}, {s.size} x {s.size}"
        elif isinstance(s, (If, Loop)):
            line = f"{indent}{'if' if isinstance(s, If) else 'while'} {text(s.condition)}:"
            yield from (*lines, line)
            yield from _inner(s.body, indent, shared)
            if isinstance(s, If) and s.otherwise:
                yield f"{indent}else:"
                yield from _inner(s.otherwise, indent, shared)


def statement_text(statement: Statement) -> str:
    """A statement on one line, for messages."""
    return "; ".join(line.strip() for line in _body([statement], ""))


def _inner(body: list[Statement], indent: str, shared: _Shared) -> Iterator[str]:
    """An inner body; what it names is not known outside."""
    outer = dict(shared.names)
    yield from _body(body, indent + "  ", shared)
    shared.names = outer


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
