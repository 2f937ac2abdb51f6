"""The programs of examples/porting give the numbers they give under JAX, where only their import lines differ.

`python tests/test_porting.py` writes those numbers anew; it needs JAX.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xlac

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = Path(__file__).with_name("porting_golden.json")
sys.path.insert(0, str(ROOT / "examples" / "porting"))

from under_jax import NAMES, load, with_imports_of  # noqa: E402

# Programs that compile in about a second; the others are slow tests.
QUICK = {"dqn", "game_of_life", "gaussian_mixture", "hmc", "kmeans", "mandelbrot", "pagerank", "waves"}
CASES = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]

# Roundings that may differ in results relative to an array's greatest element: sums of thousands of terms, through
# hundreds of dependent steps. More where training or iteration multiplies differences.
ROUNDINGS = 2**11
MORE_ROUNDINGS = {"cnn": 2**18, "mandelbrot": 2**15, "tridiagonal": 2**17}


def numbers(name: str, library: str) -> dict[str, np.ndarray]:
    """What a program's `main` returns, by path."""
    if library == "jax":
        from jax import config
    else:
        from xlac import config
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            result = load(name, library).main()
    finally:
        config.update("jax_enable_x64", False)
    assert printed.getvalue().strip(), f"{name} prints nothing"
    return {xlac.tree.keystr(path): np.asarray(leaf) for path, leaf in xlac.tree.flatten_with_path(result)[0]}


def compare(name: str, got: dict[str, np.ndarray], want: dict[str, Any]) -> None:
    assert got.keys() == want.keys()
    for path, array in got.items():
        expected = np.asarray(want[path])
        assert array.shape == expected.shape, path
        if array.dtype.kind not in "fc":
            np.testing.assert_array_equal(array, expected, err_msg=path)
            continue
        bound = MORE_ROUNDINGS.get(name, ROUNDINGS) * np.finfo(array.dtype).eps * np.abs(expected).max(initial=0)
        np.testing.assert_allclose(array, expected, rtol=0, atol=bound, err_msg=path)


def plain(array: np.ndarray) -> Any:
    """As JSON: complex numbers become pairs of text."""
    return [str(v) for v in array.tolist()] if array.dtype.kind == "c" else array.tolist()


def stored(value: Any) -> np.ndarray:
    array = np.asarray(value)
    return array.astype(complex) if array.dtype.kind == "U" else array


@pytest.mark.parametrize("name", CASES)
def test_a_program_gives_the_numbers_it_gives_under_jax(name):
    want = json.loads(GOLDEN.read_text())[name]
    compare(name, numbers(name, "xlac"), {path: stored(value) for path, value in want.items()})


@pytest.mark.jax
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_program_runs_under_jax_with_other_imports(name):
    want = numbers(name, "jax")
    got = numbers(name, "xlac")
    compare(name, got, want)
    for path in want:
        # A Python number is no array; all else has JAX's type.
        assert got[path].dtype == want[path].dtype, path


def test_only_import_lines_change():
    source = "import xlac\nimport xlac.numpy as jnp\nfrom xlac.scipy import special\n\nxlac.jit(xlac)  # import xlac\n"
    want = (
        "import jax as xlac\nimport jax.numpy as jnp\nfrom jax.scipy import special\n\nxlac.jit(xlac)  # import xlac\n"
    )
    assert with_imports_of("jax", source) == want


@pytest.mark.jax
def test_the_ported_program_of_the_readme_is_one_of_jax():
    (source,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "import xlac as jax" in block
    )
    promised = [line.rsplit("  # ", 1)[1] for line in source.splitlines() if line.lstrip().startswith("print(")]
    source = source.replace("import xlac as jax", "import jax").replace("import xlac.numpy", "import jax.numpy")
    assert "xlac" not in source
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(source, "README.md", "exec"), {"__name__": "readme"})
    assert out.getvalue().splitlines() == promised


if __name__ == "__main__":
    table = {name: {path: plain(array) for path, array in numbers(name, "jax").items()} for name in NAMES}
    lines = (f"{json.dumps(name)}: {json.dumps(values)}" for name, values in table.items())
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
