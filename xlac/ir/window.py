"""Windows and convolution dimension labels: the data of `window={...}` and `dim_labels=...`, and their text forms.

`parse_window` and `parse_dim_labels` take the text of the attribute's value, the functions beside them write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from xlac.errors import ShapeError


@dataclass(frozen=True)
class WindowDim:
    """One dimension of a window that slides over an array.

    Attributes:
      size: elements the window covers.
      stride: elements between two neighbouring window positions.
      pad_low: elements added before the first (negative: elements cut off).
      pad_high: elements added after the last (negative: elements cut off).
      lhs_dilate: the array's elements stand this far apart; 1 leaves no holes (base dilation).
      rhs_dilate: the window's elements stand this far apart (window dilation).
      reversal: the window runs backwards.
    """

    size: int
    stride: int = 1
    pad_low: int = 0
    pad_high: int = 0
    lhs_dilate: int = 1
    rhs_dilate: int = 1
    reversal: bool = False

    def base_extent(self, extent: int) -> int:
        """Length of a dimension of `extent` after base dilation and padding; negative when too much is cut off."""
        dilated = (extent - 1) * self.lhs_dilate + 1 if extent else 0
        return dilated + self.pad_low + self.pad_high

    @property
    def span(self) -> int:
        """Elements between the ends of the dilated window, both included."""
        return (self.size - 1) * self.rhs_dilate + 1 if self.size else 0

    def positions(self, extent: int) -> int:
        """Number of places the window can take over a dimension of `extent`."""
        base = self.base_extent(extent)
        if base <= 0 or self.span > base:
            return 0
        return (base - self.span) // self.stride + 1

    def fault(self) -> str | None:
        """What is wrong with the numbers, or None."""
        if self.size < 0:
            return f"size={self.size} is negative"
        for name in ("stride", "lhs_dilate", "rhs_dilate"):
            if getattr(self, name) < 1:
                return f"{name}={getattr(self, name)} is not positive"
        return None


Window = tuple[WindowDim, ...]


def scan_form(window: Window, dims: tuple[int, ...]) -> tuple[int, bool] | None:
    """The dimension along which windows over an array of `dims` hold all elements up to their position, and whether
    they run from the end; None for other windows. A reduce-window of this form is a running reduction.
    """
    one = WindowDim(1)
    long = [d for d, w in enumerate(window) if replace(w, reversal=False) != one]
    if len(long) != 1 or 0 in dims:
        return None
    (d,) = long
    n = dims[d]
    for reverse, pads in enumerate(((n - 1, 0), (0, n - 1))):
        if n > 1 and window[d] == WindowDim(n, 1, *pads):
            return d, bool(reverse)
    return None


@dataclass(frozen=True)
class ConvolutionDims:
    """What each dimension of the input, kernel and output of a convolution is; spatial ones in order 0, 1, ..."""

    input_batch: int
    input_feature: int
    input_spatial: tuple[int, ...]
    kernel_input_feature: int
    kernel_output_feature: int
    kernel_spatial: tuple[int, ...]
    output_batch: int
    output_feature: int
    output_spatial: tuple[int, ...]


_INTEGER = re.compile(r"-?\d+\Z")
_PAIR = re.compile(r"(-?\d+)_(-?\d+)\Z")


def _integers(name: str, text: str) -> list[int]:
    parts = text.split("x")
    if not all(_INTEGER.match(part) for part in parts):
        raise ShapeError(f"window: {name}={text}; it must be integers joined by x, as in {name}=2x2")
    return [int(part) for part in parts]


def _pairs(name: str, text: str) -> list[tuple[int, int]]:
    matches = [_PAIR.match(part) for part in text.split("x")]
    if not all(matches):
        raise ShapeError(f"window: {name}={text}; it must be low_high pairs joined by x, as in {name}=0_0x1_1")
    return [(int(m[1]), int(m[2])) for m in matches if m]


def _flags(name: str, text: str) -> list[bool]:
    parts = text.split("x")
    if not all(part in ("0", "1") for part in parts):
        raise ShapeError(f"window: {name}={text}; it must be 0s and 1s joined by x, as in {name}=0x1")
    return [part == "1" for part in parts]


_WINDOW_FIELDS: dict[str, Callable[[str, str], list]] = {
    "size": _integers,
    "stride": _integers,
    "pad": _pairs,
    "lhs_dilate": _integers,
    "rhs_dilate": _integers,
    "rhs_reversal": _flags,
}


def parse_window(text: str) -> Window:
    """The window of a text such as `size=2x2 stride=1x2 pad=0_0x1_1`, with or without its braces; fields in any order.

    Raises:
      ShapeError: an unknown, repeated or malformed field, no size, or fields of different length.
    """
    text = text.strip()
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1]
    fields: dict[str, list] = {}
    for word in text.split():
        name, equals, value = word.partition("=")
        if not equals or name not in _WINDOW_FIELDS:
            raise ShapeError(f"window: {word} is not one of its fields; they are {', '.join(_WINDOW_FIELDS)}")
        if name in fields:
            raise ShapeError(f"window: {name} is given twice")
        fields[name] = _WINDOW_FIELDS[name](name, value)
    if not fields:
        return ()
    if "size" not in fields:
        raise ShapeError("window: size is missing")
    rank = len(fields["size"])
    for name, values in fields.items():
        if len(values) != rank:
            raise ShapeError(
                f"window: {name} has {len(values)} dimensions but size has {rank}; they must be equally many"
            )
    ones, zeros = [1] * rank, [(0, 0)] * rank
    columns = zip(
        fields["size"],
        fields.get("stride", ones),
        fields.get("pad", zeros),
        fields.get("lhs_dilate", ones),
        fields.get("rhs_dilate", ones),
        fields.get("rhs_reversal", [False] * rank),
    )
    return tuple(WindowDim(size, stride, *pad, base, inner, back) for size, stride, pad, base, inner, back in columns)


def window_to_string(window: Window) -> str:
    """The text of a window as HLO writes it, without braces; fields at their defaults are left out."""
    if not window:
        return ""
    words = ["size=" + "x".join(str(d.size) for d in window)]
    if any(d.stride != 1 for d in window):
        words.append("stride=" + "x".join(str(d.stride) for d in window))
    if any(d.pad_low or d.pad_high for d in window):
        words.append("pad=" + "x".join(f"{d.pad_low}_{d.pad_high}" for d in window))
    if any(d.lhs_dilate != 1 for d in window):
        words.append("lhs_dilate=" + "x".join(str(d.lhs_dilate) for d in window))
    if any(d.rhs_dilate != 1 for d in window):
        words.append("rhs_dilate=" + "x".join(str(d.rhs_dilate) for d in window))
    if any(d.reversal for d in window):
        words.append("rhs_reversal=" + "x".join(str(int(d.reversal)) for d in window))
    return " ".join(words)


def _labelled(side: str, labels: str, first: str, second: str) -> tuple[int, int, tuple[int, ...]]:
    """The positions of the labels `first`, `second` and 0, 1, ... in `labels`; a `?` names a dimension of no use."""
    known = [c for c in labels if c != "?"]
    spatial = len(known) - 2
    wanted = [first, second, *map(str, range(spatial))]
    if spatial < 0 or spatial > 10 or sorted(known) != sorted(wanted):
        raise ShapeError(
            f"dim_labels: {labels} of the {side}; it must have {first}, {second} and the spatial dimensions 0, 1, ... "
            "once each"
        )
    return labels.index(first), labels.index(second), tuple(labels.index(str(i)) for i in range(spatial))


def parse_dim_labels(text: str) -> ConvolutionDims:
    """The dimensions named by a text such as `b01f_01io->b01f`: input, kernel, output.

    Raises:
      ShapeError: not of that form, a label missing or repeated, or different numbers of spatial dimensions.
    """
    match = re.match(r"\s*([bf\d?]+)_([io\d?]+)->([bf\d?]+)\s*\Z", text)
    if not match:
        raise ShapeError(f"dim_labels: {text}; it must be input_kernel->output labels, as in b01f_01io->b01f")
    lhs = _labelled("input", match[1], "b", "f")
    rhs = _labelled("kernel", match[2], "i", "o")
    out = _labelled("output", match[3], "b", "f")
    if not len(lhs[2]) == len(rhs[2]) == len(out[2]):
        raise ShapeError(f"dim_labels: {text}; input, kernel and output must have equally many spatial dimensions")
    return ConvolutionDims(*lhs, *rhs, *out)


def _labels(first: str, at: int, second: str, other: int, spatial: tuple[int, ...]) -> str:
    labels = ["?"] * (1 + max(at, other, *spatial))
    labels[at], labels[other] = first, second
    for i, d in enumerate(spatial):
        labels[d] = str(i)
    return "".join(labels)


def dim_labels_to_string(dims: ConvolutionDims) -> str:
    """The text of convolution dimensions as HLO writes it."""
    lhs = _labels("b", dims.input_batch, "f", dims.input_feature, dims.input_spatial)
    rhs = _labels("i", dims.kernel_input_feature, "o", dims.kernel_output_feature, dims.kernel_spatial)
    out = _labels("b", dims.output_batch, "f", dims.output_feature, dims.output_spatial)
    return f"{lhs}_{rhs}->{out}"
