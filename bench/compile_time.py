"""How compilation grows with the program: seconds of processor time for programs of n, 2n and 4n instructions.

python bench/compile_time.py [--only WORD] [--scale N] [--write]

Each program is made in one process of its own and compiled once, without the cache; the stages are those of
`xlac.compiler`. Growth is the time at 4n over the time at n: 4 where it is linear.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

STAGES = ("parse", "verify", "passes", "loops", "llvm text", "machine code")
RESULTS = Path(__file__).parent / "results"
PROGRAMS: dict[str, tuple[int, Callable[[int], str]]] = {}


def program(n: int) -> Callable[[Callable[[int], str]], Callable[[int], str]]:
    """Register a function that writes a program of about so many instructions; n is the smallest size."""

    def register(text: Callable[[int], str]) -> Callable[[int], str]:
        PROGRAMS[text.__name__.replace("_", " ")] = (n, text)
        return text

    return register


def entry(lines: list[str], before: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"HloModule bench\n\n{before}\nENTRY main {{\n{body}\n}}\n"


ADD = """add {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT r = f32[] add(a, b)
}
"""


@program(25_000)
def elementwise_chain(n: int) -> str:
    """One long chain of cheap operations on a vector."""
    lines = ["v0 = f32[4096] parameter(0)", "y = f32[4096] parameter(1)"]
    lines += [f"v{i} = f32[4096] {('add', 'multiply', 'subtract')[i % 3]}(v{i - 1}, y)" for i in range(1, n)]
    return entry([*lines, f"ROOT r = f32[4096] negate(v{n - 1})"])


@program(200)
def chained_sines(n: int) -> str:
    lines = ["v0 = f32[4096] parameter(0)"]
    lines += [f"v{i} = f32[4096] sine(v{i - 1})" for i in range(1, n)]
    return entry([*lines, f"ROOT r = f32[4096] negate(v{n - 1})"])


@program(2_500)
def shared_graph(n: int) -> str:
    """Each value is used by two later ones, some near and some far."""
    lines = [f"v{i} = f32[64,64] parameter({i})" for i in range(4)]
    for i in range(4, n):
        far = (i * 7919) % (i - 1)
        lines.append(f"v{i} = f32[64,64] {('add', 'maximum', 'multiply')[i % 3]}(v{i - 1}, v{far})")
    return entry([*lines, f"ROOT r = f32[64,64] negate(v{n - 1})"])


@program(2_500)
def unfusable_chain(n: int) -> str:
    """Sorts, each of the one before."""
    less = (
        "less {\n  a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  ROOT c = pred[] compare(a, b), direction=LT\n}\n"
    )
    lines = ["v0 = f32[8] parameter(0)"]
    lines += [
        f"v{i} = f32[8] sort(n{i}), dimensions={{0}}, to_apply=less"
        if j
        else f"n{i} = f32[8] reverse(v{i - 1}), dimensions={{0}}"
        for i in range(1, n // 2)
        for j in (0, 1)
    ]
    return entry([*lines, f"ROOT r = f32[8] negate(v{n // 2 - 1})"], less)


@program(1_000)
def small_products(n: int) -> str:
    """Matrix products in a chain."""
    lines = ["v0 = f32[8,8] parameter(0)", "w = f32[8,8] parameter(1)"]
    how = "lhs_contracting_dims={1}, rhs_contracting_dims={0}"
    lines += [f"v{i} = f32[8,8] dot(v{i - 1}, w), {how}" for i in range(1, n)]
    return entry([*lines, f"ROOT r = f32[8,8] negate(v{n - 1})"])


@program(2_500)
def wide_concatenate(n: int) -> str:
    lines = [f"x{i} = f32[4] parameter({i})" for i in range(16)]
    lines += [f"v{i} = f32[4] add(x{i % 16}, x{i // 16 % 16})" for i in range(n)]
    operands = ", ".join(f"v{i}" for i in range(n))
    return entry([*lines, f"ROOT r = f32[{4 * n}] concatenate({operands}), dimensions={{0}}"])


@program(2_500)
def concatenate_of_parameters(n: int) -> str:
    lines = [f"x{i} = f32[4] parameter({i})" for i in range(n)]
    operands = ", ".join(f"x{i}" for i in range(n))
    return entry([*lines, f"ROOT r = f32[{4 * n}] concatenate({operands}), dimensions={{0}}"])


@program(500)
def nested_conditionals(n: int) -> str:
    parts = ["c0 {\n  x = s32[] parameter(0)\n  ROOT y = s32[] negate(x)\n}\n"]
    for i in range(1, n):
        branch = f"conditional(x, x, x), branch_computations={{c{i - 1}, c{i - 1}}}"
        parts.append(f"c{i} {{\n  x = s32[] parameter(0)\n  ROOT y = s32[] {branch}\n}}\n")
    return entry(["x = s32[] parameter(0)", f"ROOT y = s32[] call(x), to_apply=c{n - 1}"], "\n".join(parts))


@program(1_000)
def nested_calls(n: int) -> str:
    parts = ["c0 {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] negate(x)\n}\n"]
    for i in range(1, n):
        call = f"  y = f32[4] call(x), to_apply=c{i - 1}\n  ROOT z = f32[4] add(y, x)"
        parts.append(f"c{i} {{\n  x = f32[4] parameter(0)\n{call}\n}}\n")
    return entry(["x = f32[4] parameter(0)", f"ROOT y = f32[4] call(x), to_apply=c{n - 1}"], "\n".join(parts))


@program(1_250)
def loop_over_a_wide_tuple(n: int) -> str:
    """A while whose state has n arrays, all of which change."""
    shape = f"(s32[], {', '.join(['f32[4]'] * n)})"
    body = [f"s = {shape} parameter(0)", "i = s32[] get-tuple-element(s), index=0", "one = s32[] constant(1)"]
    body.append("j = s32[] add(i, one)")
    for k in range(n):
        body.append(f"v{k} = f32[4] get-tuple-element(s), index={k + 1}")
        body.append(f"w{k} = f32[4] add(v{k}, v{max(k - 1, 0)})")
    body.append(f"ROOT t = {shape} tuple(j, {', '.join(f'w{k}' for k in range(n))})")
    before = "body {\n" + "\n".join(f"  {line}" for line in body) + "\n}\n\n"
    before += f"less {{\n  s = {shape} parameter(0)\n  i = s32[] get-tuple-element(s), index=0\n"
    before += "  ten = s32[] constant(10)\n  ROOT c = pred[] compare(i, ten), direction=LT\n}\n"
    lines = ["zero = s32[] constant(0)", *(f"x{k} = f32[4] parameter({k})" for k in range(n))]
    lines.append(f"t = {shape} tuple(zero, {', '.join(f'x{k}' for k in range(n))})")
    return entry([*lines, f"ROOT w = {shape} while(t), condition=less, body=body"], before)


@program(1_250)
def training_step(n: int) -> str:
    """Layers of products, biases and rectifiers, their gradients, and an update of every weight."""
    layers = max(1, n // 25)
    square, lines = "f32[32,32]", ["zero = f32[] constant(0)", "rate = f32[] constant(0.01)"]
    lines += [
        f"zeros = {square} broadcast(zero), dimensions={{}}",
        f"rates = {square} broadcast(rate), dimensions={{}}",
    ]
    lines += ["rates1 = f32[32] broadcast(rate), dimensions={}", f"a0 = {square} parameter(0)"]
    product = "lhs_contracting_dims={{{}}}, rhs_contracting_dims={{{}}}".format
    for i in range(layers):
        lines += [
            f"w{i} = {square} parameter({2 * i + 1})",
            f"b{i} = f32[32] parameter({2 * i + 2})",
            f"p{i} = {square} dot(a{i}, w{i}), {product(1, 0)}",
            f"bb{i} = {square} broadcast(b{i}), dimensions={{1}}",
            f"z{i} = {square} add(p{i}, bb{i})",
            f"a{i + 1} = {square} maximum(z{i}, zeros)",
        ]
    lines.append(f"g{layers} = {square} subtract(a{layers}, a0)")
    results = []
    for i in reversed(range(layers)):
        lines += [
            f"m{i} = pred[32,32] compare(z{i}, zeros), direction=GT",
            f"d{i} = {square} select(m{i}, g{i + 1}, zeros)",
            f"gw{i} = {square} dot(a{i}, d{i}), {product(0, 0)}",
            f"gb{i} = f32[32] reduce(d{i}, zero), dimensions={{0}}, to_apply=add",
            f"g{i} = {square} dot(d{i}, w{i}), {product(1, 1)}",
            f"uw{i} = {square} multiply(gw{i}, rates)",
            f"nw{i} = {square} subtract(w{i}, uw{i})",
            f"ub{i} = f32[32] multiply(gb{i}, rates1)",
            f"nb{i} = f32[32] subtract(b{i}, ub{i})",
        ]
        results += [(square, f"nw{i}"), ("f32[32]", f"nb{i}")]
    shapes, names = zip(*results)
    lines.append(f"ROOT t = ({', '.join(shapes)}) tuple({', '.join(names)})")
    return entry(lines, ADD)


def measure(name: str, n: int) -> dict[str, float]:
    """Seconds of each stage of compiling one program, once."""
    import xlac
    from xlac.codegen import link
    from xlac.codegen.program import emit_program
    from xlac.codegen.target import Target
    from xlac.compiler import deep_stack
    from xlac.loop.lower import lower
    from xlac.loop.plan import plan
    from xlac.loop.schedule import Machine
    from xlac.passes.pipeline import optimize

    xlac.compile(entry(["ROOT x = f32[] parameter(0)"]), options=xlac.Options(cache=False))  # imports what is needed
    text = PROGRAMS[name][1](n)
    seconds: dict[str, float] = {}
    started = time.process_time()

    def done(stage: str) -> None:
        nonlocal started
        now = time.process_time()
        seconds[stage], started = now - started, now

    options = xlac.Options(cache=False).resolve()
    target = Target.parse("host")
    module = xlac.parse_hlo(text)
    done("parse")
    module.verify()
    done("verify")
    with deep_stack("nested too deeply"):
        optimized = optimize(module, options)
        done("passes")
        loops = lower(optimized, Machine(target.vector_bytes, target.vector_registers, True))
        plan(loops, module.donated)
        done("loops")
        llvm = emit_program(loops, target)
        done("llvm text")
    link.emit_object(llvm, target)
    done("machine code")
    return seconds


def measured(name: str, n: int) -> dict[str, float]:
    """`measure` in a process of its own."""
    words = [sys.executable, __file__, "--measure", name, str(n)]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "XLAC_CACHE": "0"})
    if done.returncode:
        raise RuntimeError(f"{name} of {n}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="programs whose name contains this")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on the sizes")
    parser.add_argument("--write", action="store_true", help="write results/compile_time.md")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        name, n = arguments.measure
        print(json.dumps(measure(name, int(n))))
        return 0
    lines = [
        f"| program | n | seconds at n | 2n | 4n | growth | {' | '.join(STAGES)} |",
        f"|---|---:|---:|---:|---:|---:|{'---:|' * len(STAGES)}",
    ]
    print(*lines, sep="\n", flush=True)
    load = os.getloadavg()[0]
    for name, (smallest, _) in PROGRAMS.items():
        if arguments.only not in name:
            continue
        n = max(1, int(smallest * arguments.scale))
        runs = [measured(name, n * factor) for factor in (1, 2, 4)]
        totals = [sum(run.values()) for run in runs]
        cells = [name, f"{n:,}", *(f"{t:.2f}" for t in totals), f"{totals[2] / totals[0]:.1f}"]
        cells += [f"{runs[2][stage]:.2f}" for stage in STAGES]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if arguments.write:
        RESULTS.mkdir(exist_ok=True)
        head = (
            "# Compilation\n\nSeconds of processor time, and the stages of the largest size. Growth is 4n over n.\n"
            f"Sizes at scale {arguments.scale:g}; {os.cpu_count()} processors, whose load was {load:.1f} at the start "
            f"and {os.getloadavg()[0]:.1f} at the end.\n\n"
        )
        (RESULTS / "compile_time.md").write_text(head + "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
