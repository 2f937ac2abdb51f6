"""Which arguments of a function are meant by positions and names: those that are static, donated, or no variables."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from xlac.frontend import trace


def as_tuple(value: Any) -> tuple:
    """One number or name, several, or None for none."""
    if value is None:
        return ()
    return (value,) if isinstance(value, (int, str)) else tuple(value)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters in a function's signature; none where it has no signature."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def positional_names(parameters: Iterable[inspect.Parameter]) -> list[str]:
    """The names of those that can be given by position."""
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def completed(
    parameters: Iterable[inspect.Parameter], numbers: Iterable[int], names: Iterable[str]
) -> tuple[frozenset[int], frozenset[str]]:
    """All positions and all names of the arguments meant, as far as the parameters tell."""
    positional = positional_names(parameters)
    count = len(positional)
    places = frozenset(n + count if n < 0 else n for n in numbers)
    known = frozenset(names)
    return (
        places | {positional.index(n) for n in known if n in positional},
        known | {positional[n] for n in places if n < count},
    )


def check_numbers(function: Callable[..., Any], parameters: list[inspect.Parameter], what: str, numbers: Any) -> None:
    """Check that a function has arguments at these positions.

    Raises:
      ValueError: it has not.
    """
    count = len(positional_names(parameters))
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters) or not parameters
    for number in numbers:
        if not variadic and not -count <= number < count:
            raise ValueError(f"{what}={number}: {trace.name_of(function)} has {count} positional arguments")


def check_names(function: Callable[..., Any], parameters: list[inspect.Parameter], what: str, names: Any) -> None:
    """Check that a function has arguments of these names.

    Raises:
      ValueError: it has not.
    """
    known = {p.name: None for p in parameters}
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters) or not parameters
    for name in names:
        if name not in known and not open_ended:
            listed = ", ".join(known) or "none"
            raise ValueError(f"{what}={name!r}: {trace.name_of(function)} has no such argument; it has {listed}")
