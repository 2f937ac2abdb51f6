"""HLO text made ready for its grammar: comments go, and each literal becomes `@` and a number.

What is left, the skeleton, holds short tokens only, so lexing it is quick however large the constants are. `Source`
keeps the literals and tells where in the original text a place in the skeleton is.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from xlac.errors import ParseError

# A string without an end goes on to the text's, so that it is looked through once. The look-behind keeps names such as
# `%constant` and `my_constant` out; a literal follows a shape, which ends in ] } or ).
_SPECIAL = re.compile(
    r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|//[^\r\n]*|/\*|(?<![%\w.\-])constant\s*\(',
    re.DOTALL,
)
_ARRAY_END = re.compile(r"\}(?:\s|/\*.*?\*/|//[^\r\n]*)*\)", re.DOTALL)
_PARENTHESIS = re.compile(r"[()]|/\*.*?\*/|//[^\r\n]*", re.DOTALL)
_COMMENT = re.compile(r"/\*.*?\*/|//[^\r\n]*", re.DOTALL)
_BLANK = re.compile(r"[^\r\n]")


class Source:
    """A program text.

    Attributes:
      text: the original.
      skeleton: the text less comments and literals.
      literals: (text, offset in the original) of each literal, comments blanked out; `@3` is literals[3].
    """

    def __init__(self, text: str, path: str | None = None) -> None:
        self.text, self.path = text, path
        self.literals: list[tuple[str, int]] = []
        # Segment i of the skeleton starts at _starts[i] and was copied from _origins[i] on.
        self._starts: list[int] = [0]
        self._origins: list[int] = [0]
        self.skeleton = self._reduce()

    def error(self, message: str, skeleton_offset: int) -> ParseError:
        """A ParseError at a place of the skeleton."""
        return self.error_at(message, self.origin(skeleton_offset))

    def error_at(self, message: str, offset: int) -> ParseError:
        """A ParseError at a place of the original text."""
        line, column = self.line_column(offset)
        return ParseError(message, line, column, self.path)

    def origin(self, skeleton_offset: int) -> int:
        """The place in the original text of a place in the skeleton."""
        i = bisect_right(self._starts, skeleton_offset) - 1
        return min(self._origins[i] + skeleton_offset - self._starts[i], len(self.text))

    def line_column(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column of a place in the original text."""
        return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)

    def line(self, skeleton_offset: int) -> int:
        """The 1-based line of a place in the skeleton."""
        return self.line_column(self.origin(skeleton_offset))[0]

    def _reduce(self) -> str:
        text = self.text
        pieces: list[str] = []
        length = 0  # of the skeleton so far
        done = 0  # the original text up to here is in the skeleton
        scan = _SPECIAL.finditer

        def cut(start: int, end: int, instead: str) -> None:
            nonlocal length, done
            pieces.append(text[done:start])
            pieces.append(instead)
            length += start - done + len(instead)
            done = end
            self._starts.append(length)
            self._origins.append(end)

        position = 0
        while position is not None:
            for match in scan(text, position):
                first = text[match.start()]
                if first == '"':
                    continue
                if first == "c":
                    end = self._literal_end(match.end())
                    if end is None:
                        continue
                    literal = text[match.end() : end]
                    if "/" in literal:
                        literal = _COMMENT.sub(lambda m: _BLANK.sub(" ", m[0]), literal)
                    number = len(self.literals)
                    self.literals.append((literal, match.end()))
                    cut(match.end(), end, f"@{number}")
                    position = end
                    break
                if match[0] == "/*":
                    close = text.find("*/", match.end())
                    if close < 0:
                        raise self.error_at("this comment has no end; */ is missing", match.start())
                    cut(match.start(), close + 2, " ")
                    position = close + 2
                    break
                cut(match.start(), match.end(), " ")
            else:
                position = None
        if not done:
            return text
        pieces.append(text[done:])
        return "".join(pieces)

    def _literal_end(self, start: int) -> int | None:
        """The place of the ) that closes a literal.

        None where this is the signature of a computation called constant.
        """
        text = self.text
        close = text.find(")", start)
        if close < 0:
            raise self.error_at("the literal is cut off; ) is missing", start)
        if text.find("(", start, close) < 0:
            if text.find("/", start, close) < 0:
                return close if text.find(":", start, close) < 0 else None
        elif ":" in text[start : min(close, start + 1000)]:
            return None
        if text[start : start + 64].lstrip().startswith("{"):
            end = _ARRAY_END.search(text, start)
            if end is None:
                raise self.error_at("the literal is cut off; }) is missing", start)
            return end.end() - 1
        depth = 1
        for match in _PARENTHESIS.finditer(text, start):
            c = match[0]
            depth += (c == "(") - (c == ")")
            if not depth:
                return match.start()
        raise self.error_at("the literal is cut off; ) is missing", start)
