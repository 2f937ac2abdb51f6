"""Run programs of this folder under JAX instead: `xlac` becomes `jax` in their import lines, nothing else changes.

python examples/porting/under_jax.py kmeans vae
"""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.name != Path(__file__).name)


def with_imports_of(library: str, source: str) -> str:
    """The program's text with `library` in place of xlac in its import lines."""
    source = re.sub(r"^import xlac$", f"import {library} as xlac", source, flags=re.MULTILINE)
    return re.sub(r"^(import|from) xlac\b", rf"\1 {library}", source, flags=re.MULTILINE)


def load(name: str, library: str) -> types.ModuleType:
    """The program as a module that uses "xlac" or "jax"."""
    path = FOLDER / f"{name}.py"
    module = types.ModuleType(f"{name}_on_{library}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where classes of its own are looked up
    source = path.read_text()
    exec(compile(with_imports_of(library, source), path, "exec"), module.__dict__)
    return module


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        print(f"{name}:")
        load(name, "jax").main()
