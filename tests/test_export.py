"""Exported programs: stored as bytes, read by whoever wants to call them."""

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import export, lax
from xlac.errors import OptionError, ParseError, TraceError

X = np.array([1.0, -1.0, 0.5], np.float32)
PARAMS = {"w": np.arange(9, dtype=np.float32).reshape(3, 3), "b": [X, None]}
State = namedtuple("State", "mean count")
export.register_namedtuple_serialization(State, serialized_name="State")


@xlac.jit
def model(params, x, *, scale=1.0):
    h = xnp.tanh(params["w"] @ x + params["b"][0]) * scale
    return {"out": h, "rest": (lax.fori_loop(0, 3, lambda i, c: c * 2, x), [h.sum()])}


def same(got, want):
    assert xlac.tree.structure(got) == xlac.tree.structure(want)
    for g, w in zip(xlac.tree.leaves(got), xlac.tree.leaves(want)):
        np.testing.assert_allclose(g, w, rtol=1e-6)


def test_a_program_comes_back_from_bytes():
    exported = export.export(model)(PARAMS, X, scale=2.0)
    again = export.deserialize(exported.serialize())
    want = model(PARAMS, X, scale=2.0)
    for program in (exported, again):
        same(program.call(PARAMS, X, scale=2.0), want)
        same(xlac.jit(program.call)(PARAMS, X, scale=np.float64(2.0)), want)
        assert (program.fun_name, program.platforms, program.nr_devices) == ("model", ("cpu",), 1)
    assert (again.in_tree, again.out_tree) == (exported.in_tree, exported.out_tree)
    assert (again.in_avals, again.out_avals) == (exported.in_avals, exported.out_avals)
    assert "stablehlo.tanh" in again.mlir_module()


def test_it_is_part_of_other_programs():
    spec = xlac.tree.map(lambda x: xlac.ShapeDtypeStruct(x.shape, x.dtype), (PARAMS, X))
    program = export.deserialize(export.export(model)(*spec).serialize())
    loss = lambda f: lambda p: (f(p, X)["out"] ** 2).sum()  # noqa: E731
    same(xlac.grad(loss(program.call))(PARAMS), xlac.grad(loss(model))(PARAMS))
    many = np.stack([X, 2 * X])
    same(xlac.vmap(program.call, (None, 0))(PARAMS, many), xlac.vmap(model, (None, 0))(PARAMS, many))


def test_named_tuples_and_registered_classes_are_stored_by_name():
    step = xlac.jit(lambda s, x: State((s.mean * s.count + x) / (s.count + 1), s.count + 1))
    state = State(np.float32(1), np.float32(3))
    made = export.deserialize(export.export(step)(state, np.float32(5)).serialize()).call(state, np.float32(5))
    assert isinstance(made, State) and made == (2, 4)
    with pytest.raises(ValueError, match="registered already"):
        export.register_namedtuple_serialization(State, serialized_name="Other")
    other = namedtuple("Other", "x")
    with pytest.raises(OptionError, match="register_pytree_node_serialization"):
        export.export(xlac.jit(lambda x: other(x)))(X).serialize()


def test_another_process_reads_and_calls_it(tmp_path):
    (tmp_path / "program").write_bytes(export.export(xlac.jit(lambda x: x * 2 + 1))(X).serialize())
    script = (
        "import numpy as np, xlac\n"
        f"program = xlac.export.deserialize(open({str(tmp_path / 'program')!r}, 'rb').read())\n"
        "print(program.call(np.array([1, -1, 0.5], np.float32)))"
    )
    root = Path(__file__).parent.parent
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root).stdout
    assert out.strip() == "[ 3. -1.  2.]"


def test_other_arguments_and_functions_are_refused():
    program = export.export(model)(PARAMS, X)
    with pytest.raises(TraceError, match="arguments nested as"):
        program.call(PARAMS, (X, X))
    with pytest.raises(TraceError, match=r"float32\[3\] as leaf 2 of the arguments; got float32\[4\]"):
        program.call(PARAMS, np.zeros(4, np.float32))
    with pytest.raises(TraceError, match=r"got int32\[3\]"):
        xlac.jit(program.call)(PARAMS, np.zeros(3, np.int32))
    with pytest.raises(OptionError, match="jitted function"):
        export.export(lambda x: x)
    with pytest.raises(OptionError, match="must be \\('cpu',\\)"):
        export.export(model, platforms=["tpu"])
    with pytest.raises(OptionError, match="vjp_order is 1"):
        program.serialize(vjp_order=1)


def test_damaged_bytes_are_refused():
    data = bytes(export.export(xlac.jit(lambda x: {"a": x, "b": (x,)}))(X).serialize())
    header, about, text = data.split(b"\n", 2)
    for bad in (
        b"",
        b"abc",
        header + b"\n{}\n" + text,
        header + b"\n[1]\n" + text,
        header + b"\n" + about.replace(b'"dict"', b'"set"') + b"\n" + text,
        header + b"\n" + about.replace(b'["a", "b"]', b'["b", "a"]') + b"\n" + text,
        header + b"\n" + about.replace(b'"*"', b'["list", null, "*", "*"]') + b"\n" + text,
        header + b"\n" + about + b"\n" + text[:-40],
        header + b"\n" + about + b"\n\xff\xfe",
        header + b"\n" + b"[" * 100000,
    ):
        with pytest.raises(ParseError):
            export.deserialize(bad)
