"""The package from outside: what importing it loads and costs, its public names, what an installation holds."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NAMES = [
    "Estimator",
    "Options",
    "compile",
    "errors",
    "estimator",
    "eval_shape",
    "evaluate",
    "grad",
    "jit",
    "lax",
    "nn",
    "numpy",
    "parse_hlo",
    "parse_stablehlo",
    "tree",
    "value_and_grad",
]


def loaded_after(statement):
    """Names of the modules that a fresh process has loaded after the statement."""
    script = f"import sys, json\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return set(json.loads(out.splitlines()[-1]))


def test_importing_xlac_loads_neither_llvm_nor_the_parser_generator():
    loaded = loaded_after("import xlac")
    assert not {name for name in loaded if name.split(".")[0] in ("llvmlite", "lark", "tqdm", "sklearn", "jax")}


def test_importing_xlac_loads_few_modules_beyond_numpy():
    more = loaded_after("import xlac") - loaded_after("import numpy, ml_dtypes")
    assert len(more) < 60, sorted(more)


def test_help_of_the_command_line_loads_no_compiler():
    loaded = loaded_after("from xlac import cli\ncli.command_line()")
    assert not {"llvmlite", "lark"} & loaded


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_there_and_listed(name):
    import xlac

    assert getattr(xlac, name) is not None
    assert name in dir(xlac)


def test_every_listed_name_exists_and_is_documented():
    import xlac

    assert set(NAMES) <= set(xlac.__all__)
    for name in xlac.__all__:
        assert getattr(xlac, name) is not None
        assert name.startswith("__") or (getattr(xlac, name).__doc__ or "").strip(), name


def test_a_missing_name_is_an_attribute_error_that_names_it():
    import xlac

    with pytest.raises(AttributeError, match="no_such_name"):
        xlac.no_such_name  # noqa: B018


def test_every_error_is_an_xlac_error():
    from xlac import errors

    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    assert len(classes) >= 10
    assert all(issubclass(c, errors.XlacError) for c in classes)
    assert issubclass(errors.ShapeError, TypeError)


def test_the_version_is_the_same_everywhere():
    import xlac

    declared = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert xlac.__version__ == declared
    assert f"## {declared}" in (ROOT / "CHANGELOG.md").read_text()


def test_python_m_xlac_is_the_command_line():
    done = subprocess.run([sys.executable, "-m", "xlac", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and re.match(r"xlac \d+\.\d+", done.stdout)


def test_an_installation_holds_every_module_and_grammar():
    # A build leaves xlac.egg-info beside the sources; that is not the installation.
    found = [d.files for d in importlib.metadata.distributions(name="xlac") if d.read_text("RECORD")]
    held = {str(file) for file in found[0]} if found else set()
    if "xlac/__init__.py" not in held:
        pytest.skip("xlac is not installed, or only as a link to the sources")
    source = (ROOT / "xlac").rglob("*")
    wanted = {p.relative_to(ROOT).as_posix() for p in source if p.suffix in (".py", ".lark") or p.name == "py.typed"}
    assert wanted - held == set()
    assert any(name.endswith("LICENSE") for name in held)
    assert not {name for name in held if name.startswith(("tests/", "examples/", "bench/"))}


def test_no_function_of_the_package_has_the_name_of_a_module_of_it():
    """Importing the module would put it in the function's place."""
    import xlac

    modules = {path.stem for path in (ROOT / "xlac").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not {name for name, home in xlac._NAMES.items() if home and name in modules}
