"""Faulty programs, files and calls: each gets an error that says what is wrong and what would be right."""

import contextlib
import io
import os
import pickle
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from xlac import cli

EXAMPLES = Path(__file__).parent.parent / "examples"
ADD = """HloModule add_one

ENTRY main {
  x = f32[2,3] parameter(0)
  one = f32[] constant(1)
  ones = f32[2,3] broadcast(one), dimensions={}
  ROOT y = f32[2,3] add(x, ones)
}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("add.hlo").write_text(ADD)
    return tmp_path


def refusal(capsys, *arguments):
    """What a command says on standard error; it must refuse, print nothing else, and show no traceback."""
    assert cli.main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err and "internal error" not in captured.err
    assert len(captured.err) < 2000
    return captured.err


def wrong(old, new, count=1):
    """The good program with one thing changed."""
    assert old in ADD
    return ADD.replace(old, new, count)


# ---- program texts

# name -> text, line of the fault (None: no single place), words of the message
HLO_FAULTS = {
    "unknown_opcode": (wrong("add(x", "ad(x"), 7, ["ad", "add"]),
    "mismatched_dimensions": (wrong("x = f32[2,3]", "x = f32[2,4]"), 7, ["f32[2,4]", "f32[2,3]"]),
    "mismatched_types": (wrong("x = f32[2,3]", "x = f64[2,3]"), 7, ["f64[2,3]", "f32[2,3]"]),
    "wrong_result_shape": (wrong("y = f32[2,3]", "y = f32[3,2]"), 7, ["f32[3,2]", "f32[2,3]"]),
    "unknown_type": (wrong("one = f32[]", "one = f33[]"), 5, ["f33"]),
    "undefined_operand": (wrong("add(x, ones)", "add(x, twos)"), 7, ["twos"]),
    "defined_twice": (wrong("one = f32[]", "x = f32[]"), 5, ["x"]),
    "wrong_number_of_operands": (wrong("add(x, ones)", "add(x)"), 7, ["add", "2"]),
    "missing_attribute": (wrong("add(x, ones)", "transpose(x)"), 7, ["dimensions"]),
    "unknown_attribute": (wrong("dimensions={}", "dimensions={}, colour={1}"), 6, ["colour"]),
    "dimension_out_of_range": (wrong("dimensions={}", "dimensions={7}"), 6, ["dimension"]),
    "negative_dimension": (wrong("x = f32[2,3]", "x = f32[-2,3]"), 4, []),
    "enormous_dimension": (wrong("x = f32[2,3]", "x = f32[99999999999999999999,3]"), 4, []),
    "bad_literal": (wrong("constant(1)", "constant(one)"), 5, ["one"]),
    "literal_of_another_shape": (wrong("constant(1)", "constant({1, 2})"), 5, []),
    "itself_as_operand": (wrong("add(x, ones)", "add(y, ones)"), 7, ["y"]),
    "two_parameters_of_one_number": (wrong("one = f32[] constant(1)", "one = f32[] parameter(0)"), None, ["parameter"]),
    "gap_in_the_parameters": (wrong("parameter(0)", "parameter(3)"), None, ["parameter"]),
    "missing_computation": (
        wrong("add(x, ones)", "reduce(x, one), dimensions={0}, to_apply=plus"),
        7,
        ["plus"],
    ),
    "cut_off_at_the_end": (ADD.rstrip().rstrip("}"), None, []),
    "cut_off_in_a_line": (ADD[: ADD.index("broadcast") + 5], None, []),
    "cut_off_in_a_literal": (ADD[: ADD.index("constant(1") + 10], 5, []),
    "nothing_but_words": ("The quick brown fox\njumps over the lazy dog\n", 1, []),
    "no_computation": ("HloModule m\n", None, []),
    "empty": ("", None, ["empty"]),
    "blank": (" \n\t\n", None, ["empty"]),
}


@pytest.mark.parametrize("name", HLO_FAULTS)
def test_a_faulty_hlo_text_is_refused_at_its_place(name, capsys):
    text, line, words = HLO_FAULTS[name]
    Path("bad.hlo").write_text(text)
    said = refusal(capsys, "run", "bad.hlo")
    assert re.match(r"bad\.hlo(:\d+:\d+)?: .", said), said
    if line is not None:
        assert said.startswith(f"bad.hlo:{line}:"), said
    assert all(word in said for word in words), said


def test_a_cyclic_module_is_refused(capsys):
    text = """HloModule cycle

ENTRY main {
  x = f32[2] parameter(0)
  a = f32[2] add(x, b)
  b = f32[2] add(x, a)
  ROOT y = f32[2] add(a, b)
}
"""
    Path("cycle.hlo").write_text(text)
    assert refusal(capsys, "run", "cycle.hlo").startswith("cycle.hlo:5:")


def test_computations_that_call_each_other_are_refused(capsys):
    text = """HloModule cycle

f {
  a = f32[] parameter(0)
  ROOT r = f32[] call(a), to_apply=g
}

g {
  a = f32[] parameter(0)
  ROOT r = f32[] call(a), to_apply=f
}

ENTRY main {
  x = f32[] parameter(0)
  ROOT y = f32[] call(x), to_apply=f
}
"""
    Path("cycle.hlo").write_text(text)
    assert refusal(capsys, "run", "cycle.hlo").startswith("cycle.hlo")


STABLEHLO_FAULTS = {
    "unknown_operation": ("%0 = stablehlo.plus %x, %x : tensor<4xf32>", ["stablehlo.plus"]),
    "mismatched_types": ("%0 = stablehlo.add %x, %x : tensor<5xf32>", ["5"]),
    "undefined_value": ("%0 = stablehlo.add %x, %q : tensor<4xf32>", ["%q"]),
    "foreign_dialect": ('%0 = "tosa.add"(%x, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>', ["tosa.add"]),
    "dynamic_type": ("%0 = stablehlo.abs %x : tensor<?xf32>", []),
}


@pytest.mark.parametrize("name", STABLEHLO_FAULTS)
def test_a_faulty_stablehlo_text_is_refused_at_its_place(name, capsys):
    line, words = STABLEHLO_FAULTS[name]
    Path("bad.mlir").write_text(
        f"func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {{\n  {line}\n  return %0 : tensor<4xf32>\n}}\n"
    )
    said = refusal(capsys, "run", "bad.mlir")
    assert re.match(r"bad\.mlir:[23]:\d+: .", said), said
    assert all(word in said for word in words), said


def test_deep_nesting_is_refused_or_read_but_does_not_crash():
    for text in ("HloModule m\nENTRY e {\n  ROOT t = " + "(" * 100_000, "{" * 100_000, "module " + "{" * 100_000):
        Path("deep.txt").write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "xlac", "run", "deep.txt"], capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2 and done.stderr.startswith("deep.txt"), done.stderr[:500]


WORDS = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "-1",
    "99999999999999999999",
    "f32",
    "ROOT",
    "%",
    "=",
    ",",
    '"',
    "<",
    ">",
    "{...}",
]


def mutated(text, rng):
    """The text with one to three pieces cut off, taken out, put in or repeated elsewhere."""
    for _ in range(rng.randint(1, 3)):
        i, j = rng.randrange(len(text) + 1), rng.randrange(len(text) + 1)
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:i] + text[i + rng.randint(1, 20) :]
        elif kind == 1:
            text = text[:i] + rng.choice(WORDS) + text[i:]
        elif kind == 2:
            text = text[:i] + text[j : j + rng.randint(1, 40)] + text[i:]
        elif rng.random() < 0.3:
            text = text[:i]
    return text


@pytest.mark.parametrize("name", ["softmax.hlo", "mlp.mlir"])
def test_damaged_texts_are_read_or_refused_but_never_break_the_parser(name):
    from xlac.cli_files import parse_program
    from xlac.errors import XlacError

    good, rng = (EXAMPLES / name).read_text(), random.Random(0)
    for _ in range(400):
        text = mutated(good, rng)
        with contextlib.suppress(XlacError):
            parse_program(text, name)


MEGABYTES = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({limit} << 20, {limit} << 20))
from xlac.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
@pytest.mark.parametrize("literal", ["{1, 2, 3}", "1", "{", "{{1}, {2}}"])
def test_a_constant_of_a_gigabyte_that_the_text_does_not_hold_costs_no_memory(literal):
    Path("big.hlo").write_text(f"HloModule m\nENTRY e {{\n  ROOT c = f32[268435456] constant({literal})\n}}\n")
    done = subprocess.run(
        [sys.executable, "-c", MEGABYTES.format(limit=700), "convert", "big.hlo", "--to", "hlo"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and done.stderr.startswith("big.hlo:3:"), done.stderr[-500:]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory")
def test_a_program_that_needs_more_memory_than_there_is_says_so():
    wide = "f32[1024,1048576] broadcast(x), dimensions={0}"
    Path("big.hlo").write_text(f"HloModule m\nENTRY e {{\n  x = f32[1024] parameter(0)\n  ROOT y = {wide}\n}}\n")
    done = subprocess.run(
        [sys.executable, "-c", MEGABYTES.format(limit=3000), "run", "big.hlo", "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2 and "memory" in done.stderr, done.stderr[-500:]


def test_arguments_larger_than_the_machine_are_refused_before_they_are_made(capsys):
    Path("big.hlo").write_text(ADD.replace("[2,3]", "[1048576,1048576]"))
    assert "GiB" in refusal(capsys, "run", "big.hlo")


# ---- files

POSIX_USER = pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.hlo", "missing.hlo: there is no such file or folder"),
        ("no/such/folder.hlo", "there is no such file or folder"),
        (".", "this is a folder"),
        ("add.hlo/x", "add.hlo/x: "),
        ("a\0b", "null character"),
        ("x" * 5000, "xxx...: File name too long"),
    ],
)
def test_a_program_file_that_cannot_be_opened_is_named(name, message, capsys):
    assert message in refusal(capsys, "run", name)


@POSIX_USER
def test_a_file_without_permission_is_named(capsys):
    os.chmod("add.hlo", 0)
    assert "add.hlo: no permission" in refusal(capsys, "run", "add.hlo")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bytes(range(256)) * 40, "binary"),
        (b"\x7fELF\x02\x01\x01\0", "binary"),
        (b"HloModule m\n  \xff\xfe", "junk.hlo:2:3: this is not UTF-8 text"),
    ],
)
def test_binary_files_are_not_programs(data, message, capsys):
    Path("junk.hlo").write_bytes(data)
    assert message in refusal(capsys, "run", "junk.hlo")


def test_a_file_beyond_the_limit_is_refused(monkeypatch, capsys):
    from xlac import cli_files

    monkeypatch.setattr(cli_files, "MAX_TEXT_BYTES", 1 << 20)
    Path("huge.hlo").write_text(ADD + " " * (1 << 20))
    assert "huge.hlo: the file is larger than 1 MiB" in refusal(capsys, "run", "huge.hlo")


def test_an_endless_file_is_refused(capsys):
    if not os.path.exists("/dev/zero"):
        pytest.skip("no /dev/zero")
    assert "binary" in refusal(capsys, "run", "/dev/zero")


# ---- input arrays


def saved(array):
    np.save("x.npy", array, allow_pickle=True)
    return "x.npy"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 2), np.float32), ["f32[3,2]", "f32[2,3]", "dimensions"]),
        (np.zeros(6, np.float32), ["f32[6]", "f32[2,3]"]),
        (np.zeros((2, 3)), ["f64[2,3]", "f32[2,3]", "float32"]),
        (np.zeros((2, 3), np.int32), ["s32[2,3]", "float32"]),
        (np.zeros((2, 3), "datetime64[s]"), ["datetime64", "f32[2,3]"]),
        (np.full((2, 3), "text"), ["f32[2,3]"]),
        (np.zeros((2, 3), [("a", "f4")]), ["f32[2,3]"]),
    ],
)
def test_an_input_of_another_shape_or_type_names_the_parameter(array, words, capsys):
    said = refusal(capsys, "run", "add.hlo", "--input", saved(array))
    assert said.startswith("x.npy: parameter 0 (x) is f32[2,3] but the file holds "), said
    assert all(word in said for word in words), said


class Trap:
    """Makes a file if it is ever unpickled."""

    def __reduce__(self):
        return open, ("trap", "w")


def test_pickled_arrays_are_never_loaded(capsys):
    name = saved(np.array([Trap()], dtype=object))
    assert "never loaded" in refusal(capsys, "run", "add.hlo", "--input", name)
    Path("raw.npy").write_bytes(pickle.dumps(Trap()))
    refusal(capsys, "run", "add.hlo", "--input", "raw.npy")
    np.savez("many.npz", a=np.array([Trap()], dtype=object))
    assert "never loaded" in refusal(capsys, "run", "add.hlo", "--input", "many.npz")
    assert not os.path.exists("trap")


def npy(header):
    """An .npy file with this header and no data."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"not an array",
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3"),
        npy("__import__('os').getcwd()"),
        npy("{'descr': 'zz', 'fortran_order': False, 'shape': (2, 3)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,)}"),
        npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}"),
    ],
)
def test_a_damaged_array_file_is_named(data, capsys):
    Path("x.npy").write_bytes(data)
    said = refusal(capsys, "run", "add.hlo", "--input", "x.npy")
    assert "x.npy: " in said or "not enough memory" in said, said


def test_a_damaged_archive_is_named(capsys):
    Path("x.npz").write_bytes(b"PK\x03\x04 no archive")
    assert "x.npz: " in refusal(capsys, "run", "add.hlo", "--input", "x.npz")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.npy", "no array")
    Path("x.npz").write_bytes(content.getvalue())
    refusal(capsys, "run", "add.hlo", "--input", "x.npz")


def test_a_missing_input_and_one_too_many_are_refused(capsys):
    two = ADD.replace("one = f32[] constant(1)", "one = f32[] parameter(1)")
    Path("two.hlo").write_text(two)
    name = saved(np.zeros((2, 3), np.float32))
    said = refusal(capsys, "run", "two.hlo", "--input", name)
    assert "parameter 1 (one), f32[], is missing" in said and "--input random" in said
    said = refusal(capsys, "run", "add.hlo", "--input", name, "--input", name)
    assert "takes 1 arrays but --input gives 2" in said
    assert "nothere.npy: there is no such file" in refusal(capsys, "run", "add.hlo", "--input", "nothere.npy")


# ---- outputs


@pytest.mark.parametrize("output", ["no/such/out.npz", "folder.npz", "/dev/full"])
def test_an_output_that_cannot_be_written_is_named(output, capsys):
    Path("folder.npz").mkdir()
    if output == "/dev/full":
        if not os.path.exists(output):
            pytest.skip("no /dev/full")
        assert "/dev/full: No space left" in refusal(capsys, "compile", "add.hlo", "--emit", "hlo", "-o", output)
        return
    assert cli.main(["run", "add.hlo", "--input", "ones", "--output", output]) == 2
    assert capsys.readouterr().err.startswith(f"{output}: ")


def test_a_failed_write_leaves_the_old_file(monkeypatch):
    from xlac import cli_files

    Path("out.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), cli_files.replaced("out.txt") as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert Path("out.txt").read_text() == "old" and len(os.listdir()) == 2


# ---- Python calls


def test_a_call_of_a_program_with_other_arguments_names_the_argument():
    import xlac

    program = xlac.compile(ADD)
    good = np.zeros((2, 3), np.float32)
    for arguments, words in (
        ((), "takes 1 argument"),
        ((good, good), "takes 1 argument"),
        ((good.T,), r"argument 0 is f32\[3,2\].*f32\[2,3\]"),
        ((good.astype(np.float64),), r"argument 0 is f64\[2,3\].*f32\[2,3\]"),
        (("text",), "argument 0"),
        (([[1.0, 2.0], [3.0]],), "argument 0"),
        ((None,), "argument 0"),
    ):
        with pytest.raises((xlac.errors.XlacError, ValueError), match=words):
            program(*arguments)


def test_a_program_text_of_another_type_is_refused():
    import xlac

    for text in (None, 7, b"HloModule m"):
        with pytest.raises((xlac.errors.XlacError, TypeError)):
            xlac.compile(text)
    with pytest.raises(ValueError, match="format is 'onnx'; it must be"):
        xlac.compile(ADD, format="onnx")


def test_a_traced_function_with_mismatched_shapes_names_both():
    import xlac

    x, y = np.zeros(3, np.float32), np.zeros(4, np.float32)
    with pytest.raises(xlac.errors.ShapeError, match=r"3.*4"):
        xlac.jit(lambda a, b: a + b)(x, y)
    with pytest.raises(xlac.errors.ShapeError, match=r"3.*4"):
        xlac.jit(lambda a, b: a @ b)(x, y)
    with pytest.raises(xlac.errors.ShapeError):
        xlac.jit(lambda a: a.reshape(2, 2))(x)


def test_a_ragged_list_is_refused():
    import xlac

    with pytest.raises((xlac.errors.XlacError, ValueError)):
        xlac.jit(lambda a: np.sum(np.asarray(a)))([[1.0, 2.0], [3.0]])
    with pytest.raises((xlac.errors.XlacError, ValueError)):
        xlac.numpy.array([[1.0, 2.0], [3.0]])


def test_an_argument_that_is_no_array_is_refused():
    import xlac

    for value in ("text", object(), {1, 2}, np.array(["a"]), np.array([None], dtype=object)):
        with pytest.raises((xlac.errors.XlacError, TypeError)):
            xlac.jit(lambda a: a + 1)(value)


def test_a_branch_on_a_traced_value_names_the_users_line():
    import xlac

    def clip(x):
        if x.sum() > 0:  # this line
            return x
        return -x

    with pytest.raises(xlac.errors.TraceError, match=r"test_bad_input\.py") as caught:
        xlac.jit(clip)(np.ones(3, np.float32))
    assert "this line" in str(caught.value) or "cond" in str(caught.value)


def test_options_with_impossible_values_are_refused(monkeypatch):
    import xlac

    with pytest.raises(xlac.errors.OptionError, match="threads"):
        xlac.compile(ADD, options=xlac.Options(threads=0))
    monkeypatch.setenv("XLAC_THREADS", "many")
    with pytest.raises(xlac.errors.OptionError, match="XLAC_THREADS='many'"):
        xlac.compile(ADD)
