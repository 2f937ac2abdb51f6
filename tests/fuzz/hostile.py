"""Programs made to break a compiler: deep, wide, enormous, cyclic or malformed. Each is a function that returns a text.

`REFUSED` holds those that are no programs; `HEAVY` holds valid ones, which must compile in reasonable time or be
refused in words.
"""

from __future__ import annotations

from collections.abc import Callable

DEPTH = 10_000

REFUSED: dict[str, Callable[[], str]] = {}
HEAVY: dict[str, Callable[[], str]] = {}


def refused(text: Callable[[], str]) -> Callable[[], str]:
    REFUSED[text.__name__] = text
    return text


def heavy(text: Callable[[], str]) -> Callable[[], str]:
    HEAVY[text.__name__] = text
    return text


def entry(*lines: str, before: str = "") -> str:
    body = "\n".join(f"  {line}" for line in lines)
    return f"HloModule hostile\n\n{before}\nENTRY main {{\n{body}\n}}\n"


def mlir(*lines: str, arguments: str = "%x: tensor<4xf32>", result: str = "tensor<4xf32>") -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"module @hostile {{\n  func.func @main({arguments}) -> {result} {{\n{body}\n  }}\n}}\n"


ADD = """add_of_two {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT r = f32[] add(a, b)
}
"""

LESS = """less {
  a = f32[] parameter(0)
  b = f32[] parameter(1)
  ROOT r = pred[] compare(a, b), direction=LT
}
"""

# ---- nesting


@refused
def hlo_open_braces() -> str:
    return "HloModule m\nENTRY e " + "{" * DEPTH


@refused
def hlo_open_parentheses() -> str:
    return "HloModule m\nENTRY e {\n  ROOT t = " + "(" * DEPTH


@refused
def hlo_nested_attribute() -> str:
    return entry(
        "x = f32[] parameter(0)", f"ROOT y = f32[] add(x, x), backend_config={'{' * DEPTH}1{'}' * (DEPTH - 1)}"
    )


@heavy
def hlo_nested_frontend_attribute() -> str:
    return entry("x = f32[] parameter(0)", f"ROOT y = f32[] add(x, x), backend_config={'{' * DEPTH}{'}' * DEPTH}")


@refused
def hlo_nested_literal() -> str:
    return entry(f"ROOT c = f32[2] constant({'{' * DEPTH}1{'}' * DEPTH})")


@refused
def hlo_nested_header() -> str:
    return f"HloModule m, entry_computation_layout={'{' * DEPTH}\nENTRY e {{\n  ROOT x = f32[] parameter(0)\n}}\n"


@refused
def hlo_nested_sharding() -> str:
    return entry(f"ROOT x = f32[] parameter(0), sharding={'{' * DEPTH}")


@heavy
def hlo_deep_tuple_shape() -> str:
    return entry(f"ROOT x = {'(' * DEPTH}f32[]{')' * DEPTH} parameter(0)")


@heavy
def hlo_deep_tuple_values() -> str:
    lines = ["t0 = f32[] parameter(0)"]
    shape = "f32[]"
    for i in range(300):
        shape = f"({shape})"
        lines.append(f"{'ROOT ' if i == 299 else ''}t{i + 1} = {shape} tuple(t{i})")
    return entry(*lines)


@heavy
def hlo_tuple_that_doubles() -> str:
    """A tuple of twice the tuple before: its leaves would be 2**40."""
    lines, shape = ["t0 = f32[] parameter(0)"], "f32[]"
    for i in range(16):
        shape = f"({shape}, {shape})"
        lines.append(f"{'ROOT ' if i == 15 else ''}t{i + 1} = {shape} tuple(t{i}, t{i})")
    return entry(*lines)


@refused
def stablehlo_open_braces() -> str:
    return "module " + "{" * DEPTH


@refused
def stablehlo_nested_regions() -> str:
    return mlir("%0 = " + '"stablehlo.case"(%x) ({' * DEPTH)


@refused
def stablehlo_nested_attribute() -> str:
    return mlir(
        f"%0 = stablehlo.abs %x {{a = {'[' * DEPTH}{']' * (DEPTH - 1)}}} : tensor<4xf32>", "return %0 : tensor<4xf32>"
    )


@refused
def stablehlo_nested_type() -> str:
    return mlir(f"%0 = stablehlo.abs %x : {'tuple<' * DEPTH}", "return %0 : tensor<4xf32>")


@refused
def stablehlo_nested_literal() -> str:
    return mlir(
        f"%0 = stablehlo.constant dense<{'[' * DEPTH}1.0{']' * DEPTH}> : tensor<4xf32>", "return %0 : tensor<4xf32>"
    )


@refused
def stablehlo_nested_location() -> str:
    return mlir(f"return %x : tensor<4xf32> loc({'callsite(' * DEPTH}")


@heavy
def stablehlo_nested_cases() -> str:
    """A branch in a branch in a branch."""
    depth = 150
    lines = ["%i = stablehlo.constant dense<0> : tensor<i32>"]
    for d in range(depth):
        lines.append(f'%{d} = "stablehlo.case"(%i) ({{')
    lines.append("stablehlo.return %x : tensor<4xf32>")
    for d in reversed(range(depth)):
        lines.append("}) : (tensor<i32>) -> tensor<4xf32>")
        lines.append(f"{'stablehlo.return' if d else 'return'} %{d} : tensor<4xf32>")
    return mlir(*lines)


# ---- chains of calls


def _chain(depth: int, opcode: str) -> str:
    parts = ["HloModule chain\n\nc0 {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] negate(x)\n}\n"]
    for i in range(1, depth):
        parts.append(f"c{i} {{\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] {opcode.format(f'c{i - 1}')}\n}}\n")
    parts.append(f"ENTRY main {{\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] {opcode.format(f'c{depth - 1}')}\n}}\n")
    return "\n".join(parts)


@heavy
def hlo_chain_of_calls() -> str:
    return _chain(DEPTH, "call(x), to_apply={}")


@heavy
def hlo_chain_of_maps() -> str:
    return (
        _chain(1000, "map(x), dimensions={{0}}, to_apply={}")
        .replace("f32[4] parameter", "f32[] parameter")
        .replace("ROOT y = f32[4] map(x), dimensions={0}", "ROOT y = f32[] call(x)")
        .replace("f32[4]", "f32[]")
    )


@heavy
def hlo_chain_of_conditionals() -> str:
    parts = ["HloModule chain\n\nc0 {\n  x = s32[] parameter(0)\n  ROOT y = s32[] negate(x)\n}\n"]
    for i in range(1, 2000):
        branch = f"conditional(x, x, x), branch_computations={{c{i - 1}, c{i - 1}}}"
        parts.append(f"c{i} {{\n  x = s32[] parameter(0)\n  ROOT y = s32[] {branch}\n}}\n")
    parts.append("ENTRY main {\n  x = s32[] parameter(0)\n  ROOT y = s32[] call(x), to_apply=c1999\n}\n")
    return "\n".join(parts)


@heavy
def hlo_calls_that_double() -> str:
    """Each computation calls the one before twice: 2**30 instructions if all were inlined."""
    parts = ["HloModule chain\n\nc0 {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] sine(x)\n}\n"]
    for i in range(1, 31):
        parts.append(
            f"c{i} {{\n  x = f32[4] parameter(0)\n  y = f32[4] call(x), to_apply=c{i - 1}\n"
            f"  ROOT z = f32[4] call(y), to_apply=c{i - 1}\n}}\n"
        )
    parts.append("ENTRY main {\n  x = f32[4] parameter(0)\n  ROOT y = f32[4] call(x), to_apply=c30\n}\n")
    return "\n".join(parts)


@heavy
def hlo_nested_while() -> str:
    """A loop in a loop in a loop, 200 deep."""
    parts = [
        "HloModule loops\n\nbody0 {\n  x = s32[] parameter(0)\n  one = s32[] constant(1)\n"
        "  ROOT y = s32[] add(x, one)\n}\n"
    ]
    parts.append(
        "until {\n  x = s32[] parameter(0)\n  n = s32[] constant(3)\n  ROOT y = pred[] compare(x, n), direction=LT\n}\n"
    )
    for i in range(1, 200):
        parts.append(
            f"body{i} {{\n  x = s32[] parameter(0)\n  ROOT y = s32[] while(x), condition=until, body=body{i - 1}\n}}\n"
        )
    parts.append(
        "ENTRY main {\n  x = s32[] parameter(0)\n  ROOT y = s32[] while(x), condition=until, body=body199\n}\n"
    )
    return "\n".join(parts)


@refused
def hlo_computation_that_calls_itself() -> str:
    return "HloModule m\n\nc {\n  x = f32[] parameter(0)\n  ROOT y = f32[] call(x), to_apply=c\n}\n\n" + (
        "ENTRY main {\n  x = f32[] parameter(0)\n  ROOT y = f32[] call(x), to_apply=c\n}\n"
    )


@refused
def hlo_long_cycle() -> str:
    n = DEPTH
    return entry(
        "x = f32[] parameter(0)",
        *(f"y{i} = f32[] add(x, y{(i + 1) % n})" for i in range(n)),
        "ROOT r = f32[] add(y0, x)",
    )


@refused
def hlo_cycle_of_calls() -> str:
    parts = ["HloModule m\n"]
    for i in range(DEPTH):
        parts.append(f"c{i} {{\n  x = f32[] parameter(0)\n  ROOT y = f32[] call(x), to_apply=c{(i + 1) % DEPTH}\n}}\n")
    parts.append("ENTRY main {\n  x = f32[] parameter(0)\n  ROOT y = f32[] call(x), to_apply=c0\n}\n")
    return "\n".join(parts)


@refused
def hlo_cycle_of_control_predecessors() -> str:
    return entry(
        "x = f32[] parameter(0)",
        "a = f32[] negate(x), control-predecessors={b}",
        "b = f32[] abs(x), control-predecessors={a}",
        "ROOT r = f32[] add(a, b)",
    )


@refused
def stablehlo_function_that_calls_itself() -> str:
    return mlir("%0 = func.call @main(%x) : (tensor<4xf32>) -> tensor<4xf32>", "return %0 : tensor<4xf32>")


# ---- long and wide


@heavy
def hlo_chain_of_adds() -> str:
    lines = ["x0 = f32[100] parameter(0)"]
    lines += [f"x{i} = f32[100] add(x{i - 1}, x{i - 1})" for i in range(1, 20_000)]
    return entry(*lines, "ROOT r = f32[100] negate(x19999)")


@heavy
def hlo_chain_of_scalar_adds() -> str:
    lines = ["x0 = f32[] parameter(0)", "y = f32[] parameter(1)"]
    lines += [f"x{i} = f32[] add(x{i - 1}, y)" for i in range(1, 5_000)]
    return entry(*lines, "ROOT r = f32[] negate(x4999)")


@heavy
def hlo_chain_of_slices() -> str:
    lines = ["x0 = f32[4000] parameter(0)"]
    lines += [f"x{i} = f32[{4000 - i}] slice(x{i - 1}), slice={{[1:{4001 - i}]}}" for i in range(1, 2000)]
    return entry(*lines, "ROOT r = f32[2001] negate(x1999)")


@heavy
def hlo_chain_of_reverses_and_pads() -> str:
    lines = ["x0 = f32[8] parameter(0)", "z = f32[] constant(0)"]
    for i in range(1, 600):
        lines.append(f"x{i} = f32[{8 + i}] pad(x{i - 1}, z), padding=1_0")
    return entry(*lines, "ROOT r = f32[607] negate(x599)")


@heavy
def hlo_chain_of_reshapes_and_transposes() -> str:
    lines = ["x0 = f32[6,35] parameter(0)"]
    for i in range(1, 400):
        a, b = ("[6,35]", "[35,6]") if i % 2 else ("[35,6]", "[6,35]")
        lines.append(f"t{i} = f32{b} transpose(x{i - 1}), dimensions={{1,0}}")
        lines.append(f"s{i} = f32{b} sine(t{i})")
        lines.append(f"u{i} = f32{a} reshape(s{i})")
        lines.append(f"w{i} = f32{b} reshape(u{i})")
        lines.append(f"x{i} = f32{b} reverse(w{i}), dimensions={{0,1}}")
    return entry(*lines, "ROOT r = f32[35,6] negate(x399)")


@heavy
def hlo_chain_of_concatenates() -> str:
    lines = ["x0 = f32[2] parameter(0)"]
    lines += [f"x{i} = f32[{2 + 2 * i}] concatenate(x{i - 1}, x0), dimensions={{0}}" for i in range(1, 300)]
    return entry(*lines, "ROOT r = f32[600] negate(x299)")


@heavy
def hlo_concatenates_that_double() -> str:
    lines = ["x0 = f32[1] parameter(0)"]
    lines += [f"x{i} = f32[{2**i}] concatenate(x{i - 1}, x{i - 1}), dimensions={{0}}" for i in range(1, 22)]
    return entry(*lines, "ROOT r = f32[2097152] negate(x21)")


@heavy
def hlo_slices_that_double() -> str:
    """Each value reads the one before at two places: 2**40 paths."""
    lines = ["x0 = f32[1000] parameter(0)"]
    for i in range(1, 41):
        n = 1000 - i
        lines.append(f"a{i} = f32[{n}] slice(x{i - 1}), slice={{[0:{n}]}}")
        lines.append(f"b{i} = f32[{n}] slice(x{i - 1}), slice={{[1:{n + 1}]}}")
        lines.append(f"x{i} = f32[{n}] add(a{i}, b{i})")
    return entry(*lines, "ROOT r = f32[960] negate(x40)")


@heavy
def hlo_gathers_that_double() -> str:
    lines = ["x0 = s32[16] parameter(0)"]
    for i in range(1, 41):
        where = "offset_dims={}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1}"
        lines.append(f"g{i} = s32[16] gather(x{i - 1}, x{i - 1}), {where}")
        lines.append(f"x{i} = s32[16] add(g{i}, g{i})")
    return entry(*lines, "ROOT r = s32[16] negate(x40)")


@heavy
def hlo_chain_of_dependent_gathers() -> str:
    lines = ["x0 = s32[16] parameter(0)"]
    where = "offset_dims={}, collapsed_slice_dims={0}, start_index_map={0}, index_vector_dim=1, slice_sizes={1}"
    for i in range(1, 61):
        lines.append(f"g{i} = s32[16] gather(x{i - 1}, x{i - 1}), {where}")
        lines.append(f"x{i} = s32[16] gather(x0, g{i}), {where}")
    return entry(*lines, "ROOT r = s32[16] negate(x60)")


@heavy
def hlo_chain_of_reshapes_and_reverses() -> str:
    """Indices that divide indices that divide indices."""
    lines = ["x0 = s32[6,35] parameter(0)"]
    for i in range(1, 61):
        shape = ("s32[6,35]", "s32[10,21]", "s32[14,15]")[i % 3]
        lines.append(f"g{i} = {shape} reshape(x{i - 1})")
        lines.append(f"x{i} = {shape} reverse(g{i}), dimensions={{{i % 2}}}")
    return entry(*lines, "ROOT r = s32[6,35] negate(x60)")


@heavy
def hlo_transposes_that_double() -> str:
    lines = ["x0 = f32[8,8] parameter(0)"]
    for i in range(1, 41):
        lines.append(f"t{i} = f32[8,8] transpose(x{i - 1}), dimensions={{1,0}}")
        lines.append(f"r{i} = f32[8,8] reverse(x{i - 1}), dimensions={{0}}")
        lines.append(f"x{i} = f32[8,8] add(t{i}, r{i})")
    return entry(*lines, "ROOT r = f32[8,8] negate(x40)")


@heavy
def hlo_reductions_in_reductions() -> str:
    """A sum of broadcasts of sums, 100 deep."""
    lines = ["x0 = f32[4,4] parameter(0)", "z = f32[] constant(0)"]
    for i in range(1, 101):
        lines.append(f"s{i} = f32[4] reduce(x{i - 1}, z), dimensions={{{i % 2}}}, to_apply=add_of_two")
        lines.append(f"b{i} = f32[4,4] broadcast(s{i}), dimensions={{{i % 2}}}")
        lines.append(f"x{i} = f32[4,4] multiply(b{i}, x{i - 1})")
    return entry(*lines, "ROOT r = f32[4,4] negate(x100)", before=ADD)


@heavy
def hlo_reduce_with_a_long_reducer() -> str:
    lines = ["  a = f32[] parameter(0)", "  b = f32[] parameter(1)", "  y0 = f32[] add(a, b)"]
    lines += [f"  y{i} = f32[] add(y{i - 1}, b)" for i in range(1, DEPTH)]
    reducer = "long {\n" + "\n".join(lines) + f"\n  ROOT r = f32[] add(y{DEPTH - 1}, b)\n}}\n"
    return entry(
        "x = f32[8,64] parameter(0)",
        "z = f32[] constant(0)",
        "ROOT y = f32[8] reduce(x, z), dimensions={1}, to_apply=long",
        before=reducer,
    )


@heavy
def hlo_sort_with_a_long_comparator() -> str:
    lines = ["  a = f32[] parameter(0)", "  b = f32[] parameter(1)", "  y0 = f32[] add(a, b)"]
    lines += [f"  y{i} = f32[] add(y{i - 1}, b)" for i in range(1, 3000)]
    order = "order {\n" + "\n".join(lines) + "\n  ROOT r = pred[] compare(y2999, b), direction=LT\n}\n"
    return entry("x = f32[64] parameter(0)", "ROOT y = f32[64] sort(x), dimensions={0}, to_apply=order", before=order)


@heavy
def hlo_fusion_of_many_instructions() -> str:
    lines = ["  p = f32[64] parameter(0)", "  y0 = f32[64] sine(p)"]
    lines += [f"  y{i} = f32[64] add(y{i - 1}, p)" for i in range(1, 100_000)]
    fused = "fused {\n" + "\n".join(lines) + "\n  ROOT r = f32[64] negate(y99999)\n}\n"
    return entry("x = f32[64] parameter(0)", "ROOT y = f32[64] fusion(x), kind=kLoop, calls=fused", before=fused)


@heavy
def hlo_fusion_that_doubles() -> str:
    lines = ["  x0 = f32[1000] parameter(0)"]
    for i in range(1, 31):
        n = 1000 - i
        lines.append(f"  a{i} = f32[{n}] slice(x{i - 1}), slice={{[0:{n}]}}")
        lines.append(f"  b{i} = f32[{n}] slice(x{i - 1}), slice={{[1:{n + 1}]}}")
        lines.append(f"  x{i} = f32[{n}] add(a{i}, b{i})")
    fused = "fused {\n" + "\n".join(lines) + "\n  ROOT r = f32[970] negate(x30)\n}\n"
    return entry("x = f32[1000] parameter(0)", "ROOT y = f32[970] fusion(x), kind=kLoop, calls=fused", before=fused)


@heavy
def hlo_many_computations() -> str:
    parts = ["HloModule many\n"]
    for i in range(5000):
        parts.append(f"c{i} {{\n  a = f32[] parameter(0)\n  k = f32[] constant({i})\n  ROOT r = f32[] add(a, k)\n}}\n")
    lines = ["x0 = f32[] parameter(0)", *(f"x{i + 1} = f32[] call(x{i}), to_apply=c{i}" for i in range(5000))]
    parts.append("ENTRY main {\n" + "\n".join(lines) + "\n  ROOT r = f32[] negate(x5000)\n}\n")
    return "\n".join(parts)


@heavy
def hlo_many_reducers() -> str:
    parts = ["HloModule many\n"]
    for i in range(1500):
        parts.append(
            f"c{i} {{\n  a = f32[] parameter(0)\n  b = f32[] parameter(1)\n  k = f32[] constant({i})\n"
            "  s = f32[] add(a, b)\n  ROOT r = f32[] add(s, k)\n}\n"
        )
    lines = ["x = f32[8] parameter(0)", "x0 = f32[] constant(0)"]
    lines += [f"x{i + 1} = f32[] reduce(x, x{i}), dimensions={{0}}, to_apply=c{i}" for i in range(1500)]
    parts.append("ENTRY main {\n" + "\n".join(lines) + "\n  ROOT r = f32[] negate(x1500)\n}\n")
    return "\n".join(parts)


@heavy
def hlo_many_parameters() -> str:
    lines = [f"p{i} = f32[4] parameter({i})" for i in range(3000)]
    return entry(*lines, f"ROOT t = ({', '.join(['f32[4]'] * 3000)}) tuple({', '.join(f'p{i}' for i in range(3000))})")


@heavy
def hlo_concatenate_of_many() -> str:
    operands = ", ".join(["x"] * DEPTH)
    return entry("x = f32[2] parameter(0)", f"ROOT y = f32[{2 * DEPTH}] concatenate({operands}), dimensions={{0}}")


@heavy
def hlo_concatenate_of_many_different() -> str:
    lines = ["x = f32[2] parameter(0)"]
    lines += [f"y{i} = f32[2] constant({{{i}, {i + 1}}})" for i in range(3000)]
    operands = ", ".join(f"y{i}" for i in range(3000))
    return entry(*lines, f"c = f32[6000] concatenate({operands}), dimensions={{0}}", "ROOT n = f32[6000] negate(c)")


@heavy
def hlo_tuple_of_many() -> str:
    n = 20_000
    return entry("x = f32[2] parameter(0)", f"ROOT y = ({', '.join(['f32[2]'] * n)}) tuple({', '.join(['x'] * n)})")


@heavy
def hlo_sort_of_many_operands() -> str:
    n = 100
    lines = [f"  a{i} = f32[] parameter({2 * i})\n  b{i} = f32[] parameter({2 * i + 1})" for i in range(n)]
    order = "order {\n" + "\n".join(lines) + "\n  ROOT r = pred[] compare(a0, b0), direction=LT\n}\n"
    shape = f"({', '.join(['f32[40]'] * n)})"
    return entry(
        *(f"x{i} = f32[40] parameter({i})" for i in range(n)),
        f"ROOT y = {shape} sort({', '.join(f'x{i}' for i in range(n))}), dimensions={{0}}, to_apply=order",
        before=order,
    )


@heavy
def hlo_reduce_of_many_operands() -> str:
    n = 64
    names = [f"{x}{i}" for x in "ab" for i in range(n)]
    lines = [f"  {name} = f32[] parameter({k})" for k, name in enumerate(names)]
    lines += [f"  s{i} = f32[] add(a{i}, b{i})" for i in range(n)]
    scalars = f"({', '.join(['f32[]'] * n)})"
    reducer = (
        "red {\n" + "\n".join(lines) + f"\n  ROOT r = {scalars} tuple({', '.join(f's{i}' for i in range(n))})\n}}\n"
    )
    operands = ", ".join([f"x{i}" for i in range(n)] + ["z"] * n)
    return entry(
        "z = f32[] constant(0)",
        *(f"x{i} = f32[40] parameter({i})" for i in range(n)),
        f"ROOT y = {scalars} reduce({operands}), dimensions={{0}}, to_apply=red",
        before=reducer,
    )


@heavy
def hlo_scalars_of_a_large_tuple() -> str:
    n = 2000
    return entry(
        f"t = ({', '.join(['f32[]'] * n)}) parameter(0)",
        *(f"g{i} = f32[] get-tuple-element(t), index={i}" for i in range(n)),
        "s0 = f32[] add(g0, g1)",
        *(f"s{i} = f32[] add(s{i - 1}, g{i})" for i in range(1, n)),
        f"ROOT r = f32[] negate(s{n - 1})",
    )


@heavy
def hlo_map_of_many_operands() -> str:
    n = 500
    lines = [f"  p{i} = f32[] parameter({i})" for i in range(n)]
    lines += ["  s0 = f32[] add(p0, p1)", *(f"  s{i} = f32[] add(s{i - 1}, p{i})" for i in range(1, n))]
    body = "f {\n" + "\n".join(lines) + f"\n  ROOT r = f32[] negate(s{n - 1})\n}}\n"
    return entry(
        "x = f32[8] parameter(0)",
        f"ROOT y = f32[8] map({', '.join(['x'] * n)}), dimensions={{0}}, to_apply=f",
        before=body,
    )


@heavy
def hlo_switch_of_many_branches() -> str:
    parts = ["HloModule many\n"]
    for i in range(1000):
        parts.append(
            f"c{i} {{\n  a = f32[4] parameter(0)\n  k = f32[4] constant({{{i},1,2,3}})\n"
            "  ROOT r = f32[4] multiply(a, k)\n}\n"
        )
    names = ", ".join(f"c{i}" for i in range(1000))
    operands = ", ".join(["x"] * 1000)
    parts.append(
        "ENTRY main {\n  i = s32[] parameter(0)\n  x = f32[4] parameter(1)\n"
        f"  ROOT r = f32[4] conditional(i, {operands}), branch_computations={{{names}}}\n}}\n"
    )
    return "\n".join(parts)


@heavy
def hlo_many_custom_names() -> str:
    """Names that all begin alike, which must be made unique."""
    lines = ["x = f32[4] parameter(0)", "add = f32[4] add(x, x)"]
    lines += [f"add.{i} = f32[4] add(x, {'add' if i == 1 else f'add.{i - 1}'})" for i in range(1, 5000)]
    return entry(*lines, "ROOT r = f32[4] negate(add.4999)")


# ---- ranks and sizes


@heavy
def hlo_dot_of_many_batch_dimensions() -> str:
    ones = ",".join(["1"] * 28 + ["2", "2"])
    numbers = ",".join(map(str, range(30)))
    return entry(
        f"x = f32[{ones},3,4] parameter(0)",
        f"y = f32[{ones},4,5] parameter(1)",
        f"ROOT z = f32[{ones},3,5] dot(x, y), lhs_batch_dims={{{numbers}}}, rhs_batch_dims={{{numbers}}}, "
        "lhs_contracting_dims={31}, rhs_contracting_dims={30}",
    )


@heavy
def hlo_rank_64() -> str:
    dims = ",".join(["1"] * 60 + ["2"] * 4)
    order = ",".join(map(str, reversed(range(64))))
    turned = ",".join(["2"] * 4 + ["1"] * 60)
    return entry(f"x = f32[{dims}] parameter(0)", f"ROOT y = f32[{turned}] transpose(x), dimensions={{{order}}}")


@heavy
def hlo_rank_65() -> str:
    dims = ",".join(["1"] * 65)
    return entry(f"x = f32[{dims}] parameter(0)", f"ROOT y = f32[{dims}] negate(x)")


@heavy
def hlo_rank_5000() -> str:
    dims = ",".join(["1"] * 5000)
    return entry(f"x = f32[{dims}] parameter(0)", f"ROOT y = f32[{dims}] negate(x)")


@refused
def hlo_rank_of_many_twos() -> str:
    dims = ",".join(["2"] * 5000)
    return entry(f"x = f32[{dims}] parameter(0)", f"ROOT y = f32[{dims}] negate(x)")


@heavy
def hlo_huge_temporary() -> str:
    return entry(
        "x = f32[] parameter(0)",
        "b = f32[1000000,1000000] broadcast(x), dimensions={}",
        "s = f32[1000000,1000000] sort(b), dimensions={1}, to_apply=less",
        "ROOT y = f32[1,1] slice(s), slice={[0:1], [0:1]}",
        before=LESS,
    )


@heavy
def hlo_huge_iota() -> str:
    return entry("ROOT x = s32[1099511627776] iota(), iota_dimension=0")


@heavy
def hlo_huge_reduced_iota() -> str:
    return entry(
        "x = f32[1099511627776] iota(), iota_dimension=0",
        "z = f32[] constant(0)",
        "ROOT r = f32[] reduce(x, z), dimensions={0}, to_apply=add_of_two",
        before=ADD,
    )


@heavy
def hlo_huge_constant_operands() -> str:
    """Constant all the way, so that folding is tempted."""
    return entry(
        "one = f32[] constant(1)",
        "x = f32[100000,100000] broadcast(one), dimensions={}",
        "y = f32[100000,100000] dot(x, x), lhs_contracting_dims={1}, rhs_contracting_dims={0}",
        "ROOT r = f32[1,1] slice(y), slice={[0:1], [0:1]}",
    )


@heavy
def hlo_huge_results() -> str:
    return entry("x = f32[] parameter(0)", "ROOT b = f32[4294967296,4294967] broadcast(x), dimensions={}")


@heavy
def hlo_many_large_temporaries() -> str:
    lines = ["x0 = f32[40000,40000] parameter(0)"]
    for i in range(1, 60):
        lines.append(f"x{i} = f32[40000,40000] sort(x{i - 1}), dimensions={{{i % 2}}}, to_apply=less")
    return entry(
        *lines,
        "ROOT r = f32[40000,40000] add(x59, x0)",
        before=LESS,
    )


@heavy
def hlo_huge_window() -> str:
    return entry(
        "x = f32[1000] parameter(0)",
        "z = f32[] constant(0)",
        "ROOT r = f32[1000] reduce-window(x, z), window={size=1000000001 pad=500000000_500000000}, to_apply=add_of_two",
        before=ADD,
    )


@heavy
def hlo_huge_convolution_padding() -> str:
    return entry(
        "x = f32[1,8,1] parameter(0)",
        "k = f32[3,1,1] parameter(1)",
        "ROOT r = f32[1,2000006,1] convolution(x, k), window={size=3 pad=1000000_1000000}, dim_labels=b0f_0io->b0f",
    )


@heavy
def hlo_huge_interior_padding() -> str:
    return entry(
        "x = f32[2] parameter(0)",
        "z = f32[] constant(0)",
        "p = f32[1000000000002] pad(x, z), padding=0_0_1000000000000",
        "ROOT r = f32[1] slice(p), slice={[0:1]}",
    )


@heavy
def hlo_huge_fft() -> str:
    return entry(
        "x = c64[1000000007] parameter(0)", "ROOT y = c64[1000000007] fft(x), fft_type=FFT, fft_length={1000000007}"
    )


@heavy
def hlo_endless_loop() -> str:
    """It compiles; nobody runs it."""
    return entry(
        "x = s32[] parameter(0)",
        "ROOT y = s32[] while(x), condition=always, body=same",
        before="always {\n  x = s32[] parameter(0)\n  ROOT t = pred[] constant(true)\n}\n\n"
        "same {\n  x = s32[] parameter(0)\n  one = s32[] constant(1)\n  ROOT y = s32[] add(x, one)\n}\n",
    )


@refused
def hlo_overflowing_size() -> str:
    return entry(
        "x = f32[4294967296,4294967296,4294967296] parameter(0)",
        "ROOT y = f32[4294967296,4294967296,4294967296] negate(x)",
    )


@refused
def hlo_dimension_beyond_64_bits() -> str:
    return entry(f"ROOT x = f32[{'9' * 50}] parameter(0)")


@refused
def hlo_dimension_of_a_million_digits() -> str:
    return entry(f"ROOT x = f32[{'9' * 1_000_000}] parameter(0)")


@refused
def hlo_attribute_of_a_million_digits() -> str:
    return entry("x = f32[2] parameter(0)", f"ROOT y = f32[2] reverse(x), dimensions={{{'9' * 1_000_000}}}")


@heavy
def hlo_literal_of_a_million_digits() -> str:
    return entry(f"ROOT x = f32[] constant({'9' * 1_000_000})")


@refused
def hlo_integer_literal_of_a_million_digits() -> str:
    return entry(f"ROOT x = s32[] constant({'9' * 1_000_000})")


@refused
def hlo_parameter_number_beyond_bounds() -> str:
    return entry("ROOT x = f32[2] parameter(99999999999)")


@refused
def hlo_enormous_constant_without_data() -> str:
    return entry("ROOT c = f32[1000000000,1000] constant({1, 2})")


@heavy
def hlo_enormous_elided_constant() -> str:
    return entry("ROOT c = f32[1000000000,1000] constant({...})")


@heavy
def hlo_enormous_splat_constant() -> str:
    return entry("c = f32[1000000000,1000] constant(1)", "ROOT r = f32[1,1] slice(c), slice={[0:1], [0:1]}")


@heavy
def stablehlo_enormous_splat() -> str:
    return mlir(
        "%0 = stablehlo.constant dense<1.0> : tensor<1000000x1000000xf32>",
        "%1 = stablehlo.slice %0 [0:2, 0:2] : (tensor<1000000x1000000xf32>) -> tensor<2x2xf32>",
        "return %1 : tensor<2x2xf32>",
        result="tensor<2x2xf32>",
    )


@refused
def stablehlo_enormous_hex() -> str:
    return mlir(
        '%0 = stablehlo.constant dense<"0x0000803F00000040"> : tensor<1000000x1000000xf32>', "return %x : tensor<4xf32>"
    )


@refused
def stablehlo_dimension_of_a_million_digits() -> str:
    return mlir(f"%0 = stablehlo.abs %x : tensor<{'9' * 1_000_000}xf32>", "return %x : tensor<4xf32>")


@refused
def stablehlo_rank_beyond_bounds() -> str:
    return mlir(f"%0 = stablehlo.abs %x : tensor<{'2x' * 20_000}f32>", "return %x : tensor<4xf32>")


# ---- names, text, wrong parts


@heavy
def hlo_long_name() -> str:
    name = "n" * 1_000_000
    return entry(f"{name} = f32[2] parameter(0)", f"ROOT r = f32[2] negate({name})")


@heavy
def hlo_names_of_every_kind() -> str:
    return entry("%x.1-2_3 = f32[2] parameter(0)", "ROOT %add.-._- = f32[2] negate(%x.1-2_3)").replace(
        "hostile", "..__--..", 1
    )


@heavy
def hlo_name_with_format_signs() -> str:
    return entry("%x = f32[2] parameter(0)", 'ROOT r = f32[2] negate(%x), metadata={op_name="%s%n{0}{}\\\\"}')


@refused
def hlo_unknown_opcode_of_a_million_letters() -> str:
    return entry("x = f32[2] parameter(0)", f"ROOT r = f32[2] {'o' * 1_000_000}(x)")


@refused
def hlo_undefined_name_of_a_million_letters() -> str:
    return entry("x = f32[2] parameter(0)", f"ROOT r = f32[2] negate({'o' * 1_000_000})")


@refused
def hlo_line_of_commas() -> str:
    return entry("x = f32[2] parameter(0)", f"ROOT r = f32[2] add({',' * 1_000_000})")


@refused
def hlo_line_of_operands() -> str:
    return entry("x = f32[2] parameter(0)", f"ROOT r = f32[2] add({', '.join(['x'] * 200_000)})")


@refused
def hlo_string_without_end() -> str:
    return entry("x = f32[2] parameter(0)", 'ROOT r = f32[2] negate(x), metadata={op_name="' + "a" * 1_000_000)


@refused
def hlo_comment_without_end() -> str:
    return entry("x = f32[2] parameter(0)") + "/*" * 500_000


@refused
def hlo_backslashes() -> str:
    return entry("x = f32[2] parameter(0)", 'ROOT r = f32[2] negate(x), metadata={op_name="' + "\\" * 1_000_001 + '"}')


@refused
def hlo_spaces_without_end() -> str:
    return "HloModule m" + " " * 2_000_000 + "?"


@refused
def hlo_nul() -> str:
    return entry("x\0y = f32[2] parameter(0)")


@refused
def hlo_wrong_reducer() -> str:
    reducer = ADD.replace("b = f32[] parameter(1)", "b = s32[] constant(1)").replace("add(a, b)", "negate(a)")
    return entry(
        "x = f32[2] parameter(0)",
        "z = f32[] constant(0)",
        "ROOT r = f32[] reduce(x, z), dimensions={0}, to_apply=add_of_two",
        before=reducer,
    )


@refused
def hlo_body_of_another_type() -> str:
    return entry(
        "x = s32[] parameter(0)",
        "ROOT y = s32[] while(x), condition=c, body=b",
        before="c {\n  x = s32[] parameter(0)\n  ROOT t = pred[] constant(true)\n}\n\n"
        "b {\n  x = s32[] parameter(0)\n  ROOT y = f32[] convert(x)\n}\n",
    )


@refused
def hlo_condition_without_parameter() -> str:
    return entry(
        "x = s32[] parameter(0)",
        "ROOT y = s32[] while(x), condition=c, body=b",
        before="c {\n  ROOT t = pred[] constant(true)\n}\n\nb {\n  ROOT x = s32[] parameter(0)\n}\n",
    )


@refused
def hlo_conditional_without_branches() -> str:
    return entry("x = s32[] parameter(0)", "ROOT y = s32[] conditional(x), branch_computations={}")


@refused
def hlo_sort_with_a_comparator_of_arrays() -> str:
    return entry(
        "x = f32[4] parameter(0)",
        "ROOT y = f32[4] sort(x), dimensions={0}, to_apply=c",
        before=LESS.replace("less", "c").replace("f32[]", "f32[4]").replace("pred[]", "pred[4]"),
    )


@refused
def stablehlo_wrong_region() -> str:
    return mlir(
        "%z = stablehlo.constant dense<0.0> : tensor<f32>",
        '%0 = "stablehlo.reduce"(%x, %z) ({',
        "^bb0(%a: tensor<f32>):",
        "  stablehlo.return %a : tensor<f32>",
        "}) {dimensions = array<i64: 0>} : (tensor<4xf32>, tensor<f32>) -> tensor<f32>",
        "return %0 : tensor<f32>",
        result="tensor<f32>",
    )


@refused
def stablehlo_region_that_returns_nothing() -> str:
    return mlir(
        "%z = stablehlo.constant dense<0.0> : tensor<f32>",
        '%0 = "stablehlo.reduce"(%x, %z) ({',
        "^bb0(%a: tensor<f32>, %b: tensor<f32>):",
        "}) {dimensions = array<i64: 0>} : (tensor<4xf32>, tensor<f32>) -> tensor<f32>",
        "return %0 : tensor<f32>",
        result="tensor<f32>",
    )


@refused
def stablehlo_many_results() -> str:
    names = ", ".join(f"%r{i}" for i in range(20_000))
    return mlir(f"{names} = stablehlo.abs %x : tensor<4xf32>", "return %x : tensor<4xf32>")


@heavy
def stablehlo_long_chain() -> str:
    lines = ["%0 = stablehlo.abs %x : tensor<4xf32>"]
    lines += [f"%{i} = stablehlo.add %{i - 1}, %x : tensor<4xf32>" for i in range(1, 5000)]
    return mlir(*lines, "return %4999 : tensor<4xf32>")


@heavy
def stablehlo_chain_of_functions() -> str:
    n = 3000
    parts = ["func.func private @f0(%x: tensor<4xf32>) -> tensor<4xf32> {\n  return %x : tensor<4xf32>\n}"]
    for i in range(1, n):
        parts.append(
            f"func.func private @f{i}(%x: tensor<4xf32>) -> tensor<4xf32> {{\n"
            f"  %0 = call @f{i - 1}(%x) : (tensor<4xf32>) -> tensor<4xf32>\n  return %0 : tensor<4xf32>\n}}"
        )
    parts.append(
        f"func.func public @main(%x: tensor<4xf32>) -> tensor<4xf32> {{\n"
        f"  %0 = call @f{n - 1}(%x) : (tensor<4xf32>) -> tensor<4xf32>\n  return %0 : tensor<4xf32>\n}}"
    )
    return "\n".join(parts)


# ---- strings without an end, nested types and attributes, aliases of aliases


@refused
def hlo_string_of_escapes_without_end() -> str:
    return entry('ROOT x = f32[] parameter(0), metadata={op_name="' + '\\"' * 100_000 + "\\")


@refused
def stablehlo_string_of_escapes_without_end() -> str:
    return mlir('%0 = stablehlo.abs %x {a = "' + '\\"' * 100_000 + "} : tensor<4xf32>")


@heavy
def hlo_nested_operands() -> str:
    return entry("x = f32[] parameter(0)", f"ROOT y = f32[] {'negate(' * DEPTH}x{')' * DEPTH}")


@refused
def hlo_nested_tuple_literal() -> str:
    return entry(f"ROOT y = {'(' * DEPTH}f32[]{')' * DEPTH} constant({'(' * DEPTH}1)")


@refused
def hlo_nested_layout() -> str:
    return entry(f"ROOT x = f32[2]{{0:T{'(' * DEPTH}{')' * DEPTH}}} parameter(0)")


@heavy
def stablehlo_modules_in_modules() -> str:
    return "module {" * DEPTH + "}" * DEPTH


@heavy
def stablehlo_nested_dictionaries() -> str:
    attributes = f"attributes {{a = {'{b = ' * DEPTH}1{'}' * DEPTH}}}"
    return mlir("return %x : tensor<4xf32>").replace("module @hostile", f"module @hostile {attributes}")


@heavy
def stablehlo_nested_tuple_types() -> str:
    arguments = f"%x: tensor<4xf32>, %t: {'tuple<' * DEPTH}f32{'>' * DEPTH}"
    return mlir("return %x : tensor<4xf32>", arguments=arguments)


@heavy
def stablehlo_type_aliases_that_double() -> str:
    aliases = "".join(f"!a{i} = tuple<!a{i - 1}, !a{i - 1}>\n" for i in range(1, 60))
    return aliases + mlir("return %x : tensor<4xf32>", arguments="%x: tensor<4xf32>, %y: !a59")


@heavy
def stablehlo_type_aliases_of_each_other() -> str:
    aliases = "!a = tuple<!b>\n!b = tuple<!a>\n"
    return aliases + mlir("return %x : tensor<4xf32>", arguments="%x: tensor<4xf32>, %y: !a")


# ---- sizes that are declared and not given, and loops that end only by being evaluated


@refused
def stablehlo_literal_shorter_than_its_type() -> str:
    return mlir(f"%0 = stablehlo.constant dense<[[1.0]]> : tensor<{2**62}x1xf32>", "return %x : tensor<4xf32>")


@heavy
def hlo_sizes_that_wrap() -> str:
    return entry(
        "s = f32[] parameter(0)",
        f"b = f32[{2**32},{2**32}] broadcast(s), dimensions={{}}",
        "z = f32[] constant(0)",
        "ROOT r = f32[] reduce(b, z), dimensions={0,1}, to_apply=add_of_two",
        before=ADD,
    )


@heavy
def hlo_padding_of_a_terabyte() -> str:
    n = 10**12
    pad = f"p = f32[{n}] pad(x, z), padding=0_{n - 2}"
    return entry("x = f32[2] constant({1, 2})", "z = f32[] constant(0)", pad, f"ROOT r = f32[{n}] negate(p)")


@heavy
def hlo_loop_over_a_constant_terabyte() -> str:
    state = "(s64[], f32[1000000,1000000])"
    parts = ["i = s64[] get-tuple-element(s), index=0", "x = f32[1000000,1000000] get-tuple-element(s), index=1"]
    head = f"  s = {state} parameter(0)\n  {parts[0]}\n  one = s64[] constant({{}})\n"
    before = f"less {{\n{head.format(10**15)}  ROOT c = pred[] compare(i, one), direction=LT\n}}\n\n"
    before += f"body {{\n{head.format(1)}  {parts[1]}\n  j = s64[] add(i, one)\n"
    before += f"  y = f32[1000000,1000000] multiply(x, x)\n  ROOT t = {state} tuple(j, y)\n}}\n"
    return entry(
        "zero = s64[] constant(0)",
        "half = f32[] constant(0.5)",
        "x = f32[1000000,1000000] broadcast(half), dimensions={}",
        f"t = {state} tuple(zero, x)",
        f"w = {state} while(t), condition=less, body=body",
        "ROOT r = s64[] get-tuple-element(w), index=0",
        before=before,
    )
