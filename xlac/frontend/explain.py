"""XLAC_EXPLAIN_CACHE=1: why a jitted function is traced again, said on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xlac import tree
from xlac.frontend import trace

# (structure of the arguments, static arguments, (dims, dtype, weak) of each leaf)
Key = tuple[tree.Structure, tuple, tuple]

_seen: dict[tuple[str, int], Any] = {}  # places of functions that were traced, and the options of the last


def explain(
    function: Callable[..., Any],
    options: Any,
    key: Key,
    seen: Iterable[Key],
    cleared: bool,
    names: Callable[[tree.Structure], list[str]],
) -> None:
    """Say why there is no program for a signature.

    Args:
      function: what is jitted.
      options: how it is compiled.
      key: the signature.
      seen: the signatures that there are programs for.
      cleared: `clear_cache` was called.
      names: gives the names of the leaves of a structure.
    """
    place = trace.place_of(function) or (repr(function), 0)
    name = trace.name_of(function)
    known = list(seen)
    if known:
        found = [(other[0] != key[0], differences(key, other, names)) for other in reversed(known)]
        reason = "; ".join(min(found, key=lambda f: (f[0], len(f[1])))[1])
    elif cleared:
        reason = "its cache was cleared"
    elif place not in _seen:
        reason = "it has not been called before"
    elif _seen[place] != options:
        reason = f"the options changed from {_seen[place]} to {options}"
    else:
        reason = (
            "it has not been called before; another function made at this place has, and each function that is given "
            "to jit has its own cache: make it once, outside of loops"
        )
    _seen[place] = options
    print(f"xlac: {place[0]}:{place[1]}: {name} is traced: {reason}", file=sys.stderr)


def differences(key: Key, other: Key, names: Callable[[tree.Structure], list[str]]) -> list[str]:
    """What tells a signature from one that was seen, one entry for each argument."""
    structure, static, leaves = key
    structure_seen, static_seen, leaves_seen = other
    found: list[str] = []
    given, before = _fixed(static), _fixed(static_seen)
    for k in {**given, **before}:
        if given.get(k, _ABSENT) != before.get(k, _ABSENT):
            what = f"static argument {k}" if isinstance(k, int) else f"static argument {k!r}"
            found.append(f"{what} is {given.get(k, _ABSENT)!r}, was {before.get(k, _ABSENT)!r}")
    # A static argument has a place in the structure, too, which is no news.
    if structure != structure_seen and not (found and structure.num_leaves == structure_seen.num_leaves):
        return [*found, f"the arguments are nested as {structure}, were {structure_seen}"]
    for name, leaf, leaf_seen in zip(names(structure), leaves, leaves_seen):
        if leaf != leaf_seen:
            found.append(f"argument {name} is {_described(leaf)}, was {_described(leaf_seen)}")
    return found


class _Absent:
    def __repr__(self) -> str:
        return "not given"


_ABSENT = _Absent()


def _fixed(static: Sequence[Any]) -> dict[Any, Any]:
    """The values of static arguments by position and name."""
    return {k: s.value for part in static for k, s in part}


def _described(leaf: tuple[tuple[int, ...], Any, bool]) -> str:
    dims, dtype, weak = leaf
    shape = f"{dtype.name}[{','.join(map(str, dims))}]"
    return (
        f"a Python number ({shape}, weakly typed)" if weak and not dims else shape + (" (weakly typed)" if weak else "")
    )
