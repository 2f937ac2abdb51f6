"""Checkpoint files: round trips, faults that hostile or broken files have, and which of a folder's files is taken."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xlac.errors import CheckpointError
from xlac.estimator.checkpoint import (
    HEADER_LIMIT,
    ArrayFile,
    Checkpoint,
    CheckpointStore,
    load_arrays,
    read_checkpoint,
    save_arrays,
)

TYPES = ["bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]
TYPES += ["float16", "float32", "float64", "complex64", "bfloat16", "float8_e4m3fn", "float8_e5m2"]


def write_raw(path, header, data=b"", length=None):
    """A file with any header: a dict, or bytes as they are."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def row(begin, end, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("name", TYPES)
def test_arrays_of_every_type_come_back_as_they_were(tmp_path, name):
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    array = (np.arange(12).reshape(3, 4) % 2).astype(dtype)
    save_arrays(tmp_path / "a", {"x": array, "scalar": array[0, 1], "empty": array[:0]})
    back = load_arrays(tmp_path / "a")
    assert back["x"].dtype == dtype
    assert back["x"].tobytes() == array.tobytes()
    assert back["scalar"].shape == () and back["empty"].shape == (0, 4)
    back["x"][0, 0] = 1  # each array is its own and may be written


def test_strided_and_big_endian_arrays_are_stored_by_value(tmp_path):
    array = np.arange(24.0).reshape(4, 6)
    save_arrays(tmp_path / "a", {"t": array.T[::2], "b": array.astype(">f8")})
    back = load_arrays(tmp_path / "a")
    np.testing.assert_array_equal(back["t"], array.T[::2])
    np.testing.assert_array_equal(back["b"], array)


def test_data_is_aligned_and_metadata_kept(tmp_path):
    arrays = {
        "byte": np.ones(3, np.uint8),
        "double": np.ones(2),
        "half": np.ones(1, np.float16),
        "single": np.ones(1, "f4"),
    }
    save_arrays(tmp_path / "a", arrays, {"who": "me"})
    file = ArrayFile(tmp_path / "a")
    assert file.metadata["who"] == "me"
    assert file._start % 8 == 0
    assert all(entry.begin % entry.dtype.itemsize == 0 for entry in file.entries.values())


def test_an_object_array_is_refused_by_name(tmp_path):
    with pytest.raises(CheckpointError, match="'x' is object"):
        save_arrays(tmp_path / "a", {"x": np.array([{}], object)})
    assert not os.listdir(tmp_path)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(st.text(max_size=8).filter(lambda n: n != "__metadata__"), st.lists(st.integers(0, 4), max_size=3))
)
def test_any_names_and_shapes_round_trip(tmp_path_factory, shapes):
    path = tmp_path_factory.mktemp("round") / "a"
    arrays = {name: np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) for name, shape in shapes.items()}
    save_arrays(path, arrays)
    back = load_arrays(path)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(back[name], array)


HOSTILE = {
    "shorter than a length": (b"\x01\x02", "2 bytes long"),
    "header longer than the file": (struct.pack("<Q", 1 << 60) + b"{}", "only 2 follow"),
    "header not JSON": (struct.pack("<Q", 4) + b"{{{{", "not JSON"),
    "header not UTF-8": (struct.pack("<Q", 2) + b"\xff\xfe", "not JSON"),
    "header a list": (struct.pack("<Q", 2) + b"[]", "JSON list"),
    "header nested deeply": (struct.pack("<Q", 200000) + b"[" * 200000, "nested too deeply|not JSON"),
    "NaN in the header": (struct.pack("<Q", 9) + b'{"a":NaN}', "NaN is not JSON"),
    "a name twice": (struct.pack("<Q", 13) + b'{"a":1,"a":2}', "occurs twice"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, case):
    data, message = HOSTILE[case]
    path = tmp_path / "bad"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as caught:
        ArrayFile(path)
    assert str(path) in str(caught.value)


ENTRIES = {
    "out of range": ({"a": row(0, 16)}, 8, "bytes 0 to 16 of 8"),
    "backwards": ({"a": row(8, 0, [0])}, 8, "bytes 8 to 0"),
    "overlapping": ({"a": row(0, 8), "b": row(4, 12)}, 12, "'a' and 'b' overlap at byte 4"),
    "the same bytes twice": ({"a": row(0, 8), "b": row(0, 8)}, 8, "overlap"),
    "a gap": ({"a": row(0, 4), "b": row(8, 12)}, 12, "belong to no array"),
    "bytes left over": ({"a": row(0, 4)}, 8, "8 bytes long"),
    "wrong size": ({"a": row(0, 8, [3])}, 8, "needs 12 bytes but has 8"),
    "huge dimensions": ({"a": row(0, 8, [1 << 40, 1 << 40])}, 8, "needs"),
    "huge dimensions of nothing": ({"a": row(0, 0, [0, 1 << 63])}, 0, "shape"),
    "negative dimension": ({"a": row(0, 4, [-1])}, 4, "shape"),
    "fractional dimension": ({"a": row(0, 4, [1.0])}, 4, "shape"),
    "boolean dimension": ({"a": row(0, 4, [True])}, 4, "shape"),
    "40 dimensions": ({"a": row(0, 4, [1] * 40)}, 4, "at most 32"),
    "unknown type": ({"a": row(0, 4, [1], "F33")}, 4, "known are"),
    "type no string": ({"a": row(0, 4, [1], ["F32"])}, 4, "known are"),
    "one offset": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, 4, "two counts"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [1]}}, 4, "must have dtype"),
    "entry no object": ({"a": 3}, 4, "must have dtype"),
    "metadata no strings": ({"__metadata__": {"a": 1}}, 0, "object of strings"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_header_that_does_not_fit_the_data_is_refused(tmp_path, case):
    header, size, message = ENTRIES[case]
    path = write_raw(tmp_path / "bad", header, bytes(size))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_arrays(path)
    assert str(path) in str(caught.value)


def test_a_huge_header_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse"
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", HEADER_LIMIT + 1))
        file.truncate(1 << 34)  # sparse: takes no room on the disk
    with pytest.raises(CheckpointError, match="at most"):
        ArrayFile(path)


def test_huge_data_costs_no_memory_where_another_model_is_expected(tmp_path):
    metadata = {"format": "xlac-checkpoint-1", "global_step": "1", "position": "0", "seed": "0", "model": "{}"}
    path = tmp_path / "model-1.safetensors"
    header = json.dumps({"__metadata__": metadata, "variables/w": row(0, 1 << 40, [1 << 38])}).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + (1 << 40))
    with pytest.raises(CheckpointError, match="another model"):
        read_checkpoint(path, {"variables/w": np.zeros(3, np.float32)})


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="No such file"):
        load_arrays(tmp_path / "none")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_arrays(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="not a regular file"):
        load_arrays(tmp_path / "pipe")


def test_a_flipped_bit_is_found(tmp_path):
    path = tmp_path / "a"
    save_arrays(path, {"x": np.arange(100.0)})
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="corrupt"):
        load_arrays(path)


def test_bytes_other_than_0_and_1_are_no_booleans(tmp_path):
    path = write_raw(tmp_path / "a", {"x": row(0, 2, [2], "BOOL")}, b"\x01\x07")
    with pytest.raises(CheckpointError, match="BOOL"):
        load_arrays(path)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_an_error_or_arrays_but_nothing_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("fuzz") / "a"
    save_arrays(path, {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.arange(2)}, {"format": "x"})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    try:
        load_arrays(path)
    except CheckpointError as error:
        assert str(path) in str(error)


# ---- folders


def checkpoint(step, value=0.0):
    return Checkpoint({"variables/w": np.full(3, value, np.float32)}, step, step * 10, 7, {"kind": "test"})


def test_a_checkpoint_comes_back_whole(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(5, 2.5))
    back = store.restore()
    assert (back.step, back.position, back.seed, back.model) == (5, 50, 7, {"kind": "test"})
    np.testing.assert_array_equal(back.arrays["variables/w"], np.full(3, 2.5, np.float32))


def test_only_the_newest_are_kept_and_the_index_lists_them(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    for step in (1, 2, 10):
        store.save(checkpoint(step))
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "model-10.safetensors", "model-2.safetensors"]
    index = json.loads((tmp_path / "checkpoint").read_text())
    assert index == {"latest": "model-10.safetensors", "all": ["model-2.safetensors", "model-10.safetensors"]}
    assert store.latest_step() == 10


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert CheckpointStore(tmp_path / "none").restore() is None
    assert CheckpointStore(tmp_path).restore() is None


def test_a_truncated_checkpoint_is_passed_over_with_a_warning(tmp_path, caplog):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1, 1.0))
    path = store.save(checkpoint(2, 2.0))
    os.truncate(path, os.path.getsize(path) - 1)
    assert store.restore().step == 1
    assert "passed over" in caplog.text and path in caplog.text


def test_where_all_are_faulty_the_error_names_each(tmp_path):
    store = CheckpointStore(tmp_path)
    paths = [store.save(checkpoint(step)) for step in (1, 2)]
    for path in paths:
        os.truncate(path, 4)
    with pytest.raises(CheckpointError) as caught:
        store.restore()
    assert all(path in str(caught.value) for path in paths)


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"{",
        b"[1]",
        b'{"all": 3}',
        b'{"all": ["../../etc/passwd"]}',
        b'{"all": [null]}',
        b"\xff",
        b'{"latest": NaN}',
    ],
)
def test_a_faulty_index_is_replaced_by_a_look_at_the_folder(tmp_path, caplog, index):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(3))
    (tmp_path / "checkpoint").write_bytes(index)
    assert store.restore().step == 3
    assert "index is faulty" in caplog.text
    store.save(checkpoint(4))
    assert store.restore().step == 4


def test_a_lost_index_is_no_loss(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(9))
    store.save(checkpoint(10))
    os.unlink(tmp_path / "checkpoint")
    assert store.restore().step == 10


def test_a_checkpoint_of_another_model_lists_the_differences(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1))
    expected = {"variables/w": np.zeros((3, 2), np.float32), "variables/b": np.zeros(2, np.float32)}
    with pytest.raises(CheckpointError, match="another model") as caught:
        store.restore(expected)
    assert "variables/b: float32[2] in the model, missing in the file" in str(caught.value)
    assert "variables/w: float32[3] in the file, float32[3, 2] in the model" in str(caught.value)


def test_a_foreign_safetensors_file_is_no_checkpoint(tmp_path):
    save_arrays(tmp_path / "model-1.safetensors", {"x": np.zeros(2)})
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        CheckpointStore(tmp_path).restore()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file"):
        CheckpointStore(tmp_path / "file" / "below").save(checkpoint(1))


def test_leftovers_of_a_killed_writer_are_removed(tmp_path):
    store = CheckpointStore(tmp_path)
    store.save(checkpoint(1))
    (tmp_path / ".model-2.safetensors.123.tmp").write_bytes(b"half")
    (tmp_path / "notes.tmp").write_bytes(b"the user's")
    store.clean()
    assert sorted(os.listdir(tmp_path)) == ["checkpoint", "model-1.safetensors", "notes.tmp"]


def test_a_writer_killed_at_any_moment_leaves_a_good_checkpoint(tmp_path):
    program = (
        "import sys, numpy as np\n"
        "from xlac.estimator.checkpoint import Checkpoint, CheckpointStore\n"
        "store = CheckpointStore(sys.argv[1], keep=3)\n"
        "for step in range(1, 100000):\n"
        "    store.save(Checkpoint({'w': np.full(200000, step, np.float32)}, step))\n"
        "    print(step, flush=True)\n"
    )
    folder = tmp_path / "run"
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        for _ in range(5):
            done = int(process.stdout.readline())
        process.kill()
    back = CheckpointStore(folder).restore()
    assert back.step >= done
    assert (back.arrays["w"] == back.step).all()
