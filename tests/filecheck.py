"""Checks of text by patterns written beside it: `CHECK:`, `CHECK-NEXT:`, `CHECK-NOT:`, `CHECK-DAG:` (anywhere
from here on), `{{regex}}` and `[[NAME:regex]]` captures."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"//\s*CHECK(-NEXT|-NOT|-DAG)?:(.*)")
_PIECE = re.compile(r"\{\{(.*?)\}\}|\[\[(\w+)(?::(.*?))?\]\](?!\])")


@dataclass(frozen=True)
class Check:
    """One directive: its kind ("", "-NEXT", "-NOT" or "-DAG"), its pattern, and the line it stands on."""

    kind: str
    pattern: str
    line: int


def checks_of(text: str) -> list[Check]:
    """The directives in a text, in order."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = _DIRECTIVE.search(line)
        if match:
            found.append(Check(match[1] or "", match[2].strip(), number))
    return found


def compile_pattern(pattern: str, captured: dict[str, str]) -> re.Pattern[str]:
    """The regular expression of a directive; blanks match any blanks, names captured before match what they stand
    for."""
    result, end, fresh = [], 0, set()
    for piece in _PIECE.finditer(pattern):
        result.append(_literal(pattern[end : piece.start()]))
        regex, name, definition = piece.groups()
        if regex is not None:
            result.append(f"(?:{regex})")
        elif definition is not None:
            result.append(f"(?P<{name}>{definition})")
            fresh.add(name)
        elif name in fresh:
            result.append(f"(?P={name})")
        elif name in captured:
            result.append(re.escape(captured[name]))
        else:
            raise ValueError(f"{pattern!r} uses {name} before it is captured")
        end = piece.end()
    result.append(_literal(pattern[end:]))
    return re.compile("".join(result))


def _literal(text: str) -> str:
    return r"\s+".join(re.escape(part) for part in re.split(r"\s+", text))


def check(text: str, directives: list[Check]) -> None:
    """Match directives against a text, line by line and in order.

    Raises:
      AssertionError: one does not match; the message has the directive and the text.
    """
    lines = text.splitlines()
    captured: dict[str, str] = {}
    at = 0
    forbidden: list[Check] = []
    for directive in directives:
        if directive.kind == "-NOT":
            forbidden.append(directive)
            continue
        regex = compile_pattern(directive.pattern, captured)
        window = range(at, min(at + 1, len(lines))) if directive.kind == "-NEXT" else range(at, len(lines))
        found = next(((k, m) for k in window if (m := regex.search(lines[k]))), None)
        if found is None:
            raise AssertionError(
                f"line {directive.line}: no match for CHECK{directive.kind}: {directive.pattern}\n{text}"
            )
        if directive.kind != "-DAG":
            _check_absent(lines[at : found[0]], forbidden, captured, text)
            forbidden = []
        captured.update(found[1].groupdict())
        if directive.kind != "-DAG":
            at = found[0] + 1
    _check_absent(lines[at:], forbidden, captured, text)


def _check_absent(lines: list[str], forbidden: list[Check], captured: dict[str, str], text: str) -> None:
    for directive in forbidden:
        regex = compile_pattern(directive.pattern, captured)
        for line in lines:
            if regex.search(line):
                raise AssertionError(
                    f"line {directive.line}: CHECK-NOT: {directive.pattern} matches {line.strip()}\n{text}"
                )
