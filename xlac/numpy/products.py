"""Products of vectors, matrices and tensors: matmul, dot, einsum, ..., all by HLO's dot."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from xlac import lax
from xlac.frontend import trace
from xlac.frontend.eager import Array, ArrayLike, array_function
from xlac.frontend.trace import shape_error
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import expand
from xlac.numpy import _core, elementwise, joining, padding, reductions, shaping
from xlac.numpy._core import normalize_axis, public_names

__all__: list[str] = []
_public = public_names(__all__)


def _general(x: Tracer, y: Tracer, contracting: tuple, batch: tuple, precision: Any, preferred: Any) -> Tracer:
    return lax.dot_general(x, y, (contracting, batch), precision, preferred)


@_public
def matmul(x1: ArrayLike, x2: ArrayLike, /, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Matrix product over the last two dimensions.

    The others broadcast. Vectors are rows on the left, columns on the right.
    """
    x, y = _core.promote(x1, x2)
    if not x.ndim or not y.ndim:
        raise shape_error(f"matmul: operands {trace.shown(x)} and {trace.shown(y)}; scalars are multiplied with *")
    inner = x.ndim - 1, max(y.ndim - 2, 0)
    if x.shape[inner[0]] != y.shape[inner[1]]:
        raise shape_error(
            f"matmul: operands {trace.shown(x)} and {trace.shown(y)}; the last extent of the first, "
            f"{x.shape[-1]}, must "
            f"equal the {'last but one' if y.ndim > 1 else 'only'} one of the second, {y.shape[inner[1]]}"
        )
    lead_x, lead_y = x.shape[:-2], y.shape[:-2]
    if not lead_x and not lead_y:
        return _general(x, y, ((inner[0],), (inner[1],)), ((), ()), precision, preferred_element_type)
    if not lead_y:
        # One matrix for all: the leading dimensions are further rows.
        return _general(x, y, ((inner[0],), (inner[1],)), ((), ()), precision, preferred_element_type)
    try:
        lead = np.broadcast_shapes(lead_x, lead_y)
    except ValueError:
        raise shape_error(
            f"matmul: the leading extents of shapes {trace.shown(x)} and {trace.shown(y)} do not broadcast together"
        ) from None
    x = _core.stretch(x, (*lead, *x.shape[-2:])) if x.ndim > 1 else x
    y = _core.stretch(y, (*lead, *y.shape[-2:]))
    batch = tuple(range(len(lead)))
    if x.ndim == 1:
        made = _general(y, x, ((len(lead),), (0,)), ((), ()), precision, preferred_element_type)
        return made
    return _general(x, y, ((x.ndim - 1,), (y.ndim - 2,)), (batch, batch), precision, preferred_element_type)


@_public
def dot(a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: Any = None) -> Array:
    """Sum of products over the last dimension of a and the last but one of b; with a scalar, the product."""
    x, y = _core.promote(a, b)
    if not x.ndim or not y.ndim:
        return elementwise.multiply(x, y)
    inner = x.ndim - 1, max(y.ndim - 2, 0)
    if x.shape[inner[0]] != y.shape[inner[1]]:
        raise shape_error(
            f"dot: operands {trace.shown(x)} and {trace.shown(y)} do not fit: {x.shape[-1]} and {y.shape[inner[1]]}"
        )
    return _general(x, y, ((inner[0],), (inner[1],)), ((), ()), precision, preferred_element_type)


@_public
def vdot(a: ArrayLike, b: ArrayLike, *, precision: Any = None) -> Array:
    """Sum of products of all elements, the first conjugated."""
    x, y = _core.promote(a, b)
    return dot(shaping.ravel(lax.conj(x)), shaping.ravel(y), precision=precision)


@_public
def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Array:
    """Sum of products along an axis, the first conjugated; the other dimensions broadcast."""
    x, y = _core.promote(x1, x2)
    lengths = [v.shape[_core.normalize_axis(axis, v.ndim, "vecdot")] for v in (x, y)]
    if lengths[0] != lengths[1]:
        raise trace.shape_error(f"vecdot: extents {lengths[0]} and {lengths[1]} along axis {axis}; they must be equal")
    return reductions.sum(elementwise.multiply(lax.conj(x), y), axis, x.dtype)


@_public
def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Matrix times vector over the last dimensions."""
    return shaping.squeeze(matmul(x1, shaping.expand_dims(x2, -1)), -1)


@_public
def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Conjugated vector times matrix over the last dimensions."""
    return shaping.squeeze(matmul(shaping.expand_dims(elementwise.conj(x1), -2), x2), -2)


@_public
def inner(a: ArrayLike, b: ArrayLike, *, precision: Any = None) -> Array:
    """Sum of products over the last dimensions of both."""
    x, y = _core.promote(a, b)
    if not x.ndim or not y.ndim:
        return elementwise.multiply(x, y)
    return tensordot(x, y, (-1, -1), precision=precision)


@_public
def outer(a: ArrayLike, b: ArrayLike, out: None = None) -> Array:
    """Products of each element of a with each of b."""
    _core.no_out("outer", out)
    x, y = (shaping.ravel(v) for v in _core.promote(a, b))
    dims = (x.shape[0], y.shape[0])
    return lax.mul(expand(x, dims, (0,)), expand(y, dims, (1,)))


@_public
def tensordot(a: ArrayLike, b: ArrayLike, axes: Any = 2, *, precision: Any = None) -> Array:
    """Sum of products over axes of both: the last and first `axes` ones, or those two lists name."""
    x, y = _core.promote(a, b)
    if isinstance(axes, (int, np.integer)):
        if axes > min(x.ndim, y.ndim):
            raise shape_error(f"tensordot: axes={axes} but the operands have {x.ndim} and {y.ndim} dimensions")
        left, right = tuple(range(x.ndim - axes, x.ndim)), tuple(range(axes))
    else:
        first, second = axes
        left = tuple(normalize_axis(d, x.ndim, "tensordot") for d in ((first,) if np.ndim(first) == 0 else first))
        right = tuple(normalize_axis(d, y.ndim, "tensordot") for d in ((second,) if np.ndim(second) == 0 else second))
    for i, j in zip(left, right):
        if x.shape[i] != y.shape[j]:
            raise shape_error(
                f"tensordot: axis {i} of {trace.shown(x)} is {x.shape[i]} but axis {j} of {trace.shown(y)} is "
                f"{y.shape[j]}"
            )
    return _general(x, y, (left, right), ((), ()), precision, None)


@_public
def kron(a: ArrayLike, b: ArrayLike) -> Array:
    """Products of each element of a with the whole of b, block by block."""
    x, y = _core.promote(a, b)
    rank = max(x.ndim, y.ndim)
    xs, ys = (1,) * (rank - x.ndim) + x.shape, (1,) * (rank - y.ndim) + y.shape
    wide = [n for pair in zip(xs, ys) for n in pair]
    left = expand(lax.reshape(x, xs), wide, range(0, 2 * rank, 2))
    right = expand(lax.reshape(y, ys), wide, range(1, 2 * rank, 2))
    return lax.reshape(lax.mul(left, right), [m * n for m, n in zip(xs, ys)])


@_public
def cross(
    a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Array:
    """Cross product of vectors of 3 elements (of 2, its third element) along an axis."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = _core.promote(a, b)
    x, y = shaping.moveaxis(x, axisa, -1), shaping.moveaxis(y, axisb, -1)
    for v in (x, y):
        if v.shape[-1] not in (2, 3):
            raise shape_error(f"cross: vectors of {v.shape[-1]} elements; they must have 2 or 3")
    if x.shape[-1] == y.shape[-1] == 2:
        return elementwise.subtract(x[..., 0] * y[..., 1], x[..., 1] * y[..., 0])
    x, y = (padding.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, 3 - v.shape[-1])]) for v in (x, y))
    parts = [x[..., (i + 1) % 3] * y[..., (i + 2) % 3] - x[..., (i + 2) % 3] * y[..., (i + 1) % 3] for i in range(3)]
    return shaping.moveaxis(joining.stack(parts, -1), -1, axisc)


# ---- einsum


def _parse(subscripts: str, xs: Sequence[Tracer]) -> tuple[list[str], str]:
    """Letters for each operand and for the result; an ellipsis becomes fresh letters."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(xs):
        raise shape_error(f"einsum: {subscripts!r} names {len(terms)} operands, got {len(xs)}")
    used = set(text)
    spare = [chr(c) for c in (*range(65, 91), *range(97, 123), *range(192, 600)) if chr(c) not in used]
    hidden = 0
    for term, x in zip(terms, xs):
        if "..." in term:
            hidden = max(hidden, x.ndim - len(term.replace("...", "")))
    letters = "".join(spare[:hidden])
    for i, (term, x) in enumerate(zip(terms, xs)):
        if "..." in term:
            count = x.ndim - len(term.replace("...", ""))
            terms[i] = term.replace("...", letters[hidden - count :])
        if len(terms[i]) != x.ndim or not terms[i].isalpha() and terms[i]:
            raise shape_error(
                f"einsum: {term!r} of {subscripts!r} for an operand of shape {trace.shown(x)}; one letter a dimension"
            )
    joined = "".join(terms)
    if arrow:
        result = right.replace("...", letters)
    else:
        result = letters + "".join(sorted(c for c in set(joined) if joined.count(c) == 1 and c not in letters))
    for c in result:
        if c not in joined or result.count(c) > 1:
            raise shape_error(f"einsum: {c!r} of the result {right!r} must appear once, and in an operand")
    return terms, result


def _single(x: Tracer, term: str, keep: str) -> tuple[Tracer, str]:
    """Diagonals of repeated letters taken, letters that are not kept summed."""
    for c in dict.fromkeys(term):
        while term.count(c) > 1:
            i = term.index(c)
            j = term.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise shape_error(f"einsum: {c!r} stands for extents {x.shape[i]} and {x.shape[j]} of {trace.shown(x)}")
            x = shaping.diagonal(x, 0, i, j)
            term = "".join(t for k, t in enumerate(term) if k not in (i, j)) + c
    gone = [i for i, c in enumerate(term) if c not in keep]
    return (lax.reduce_sum(x, gone) if gone else x), "".join(c for c in term if c in keep)


def _pair(x: Tracer, xt: str, y: Tracer, yt: str, keep: str, dot_general: Callable[..., Tracer]) -> tuple[Tracer, str]:
    """One contraction of two operands."""
    x, xt = _single(x, xt, keep + yt)
    y, yt = _single(y, yt, keep + xt)
    shared = [c for c in xt if c in yt]
    for c in shared:
        m, n = x.shape[xt.index(c)], y.shape[yt.index(c)]
        if m != n and 1 not in (m, n):
            raise shape_error(f"einsum: {c!r} stands for extents {m} of {trace.shown(x)} and {n} of {trace.shown(y)}")
    # An extent of 1 beside a longer one broadcasts: it takes no part in the contraction.
    x, xt = _drop_ones(x, xt, [c for c in shared if x.shape[xt.index(c)] == 1 != y.shape[yt.index(c)]])
    y, yt = _drop_ones(y, yt, [c for c in shared if c in xt and y.shape[yt.index(c)] == 1 != x.shape[xt.index(c)]])
    x, xt = _single(x, xt, keep + yt)
    y, yt = _single(y, yt, keep + xt)
    batch = [c for c in xt if c in yt and c in keep]
    contracted = [c for c in xt if c in yt and c not in keep]
    numbers = (
        (tuple(xt.index(c) for c in contracted), tuple(yt.index(c) for c in contracted)),
        (tuple(xt.index(c) for c in batch), tuple(yt.index(c) for c in batch)),
    )
    result = "".join(batch) + "".join(c for c in xt if c not in yt) + "".join(c for c in yt if c not in xt)
    if not contracted:
        # Nothing is summed: an elementwise product, which fuses with what is around it.
        dims = {c: n for c, n in (*zip(xt, x.shape), *zip(yt, y.shape))}
        shape = [dims[c] for c in result]
        wide = [lax.transpose(v, np.argsort([result.index(c) for c in t])) for v, t in ((x, xt), (y, yt))]
        places = [sorted(result.index(c) for c in t) for t in (xt, yt)]
        left, right = (expand(v, shape, p) for v, p in zip(wide, places))
        return lax.mul(left, right), result
    return dot_general(x, y, numbers), result


def _drop_ones(x: Tracer, term: str, letters: list[str]) -> tuple[Tracer, str]:
    if not letters:
        return x, term
    return lax.squeeze(x, [term.index(c) for c in letters]), "".join(c for c in term if c not in letters)


def einsum(
    subscripts: Any, /, *operands: ArrayLike, out: None = None, optimize: Any = "optimal", precision: Any = None,
    preferred_element_type: Any = None, dtype: Any = None, _dot_general: Callable[..., Any] = lax.dot_general,
) -> Array:  # fmt: skip
    """Einstein summation, of `"ij,jk->ik", x, y` or `x, [0, 1], y, [1, 2], [0, 2]`.

    More than two operands are contracted in pairs, in the order NumPy's `einsum_path` finds cheapest, by
    `_dot_general`.
    """
    _core.no_out("einsum", out)
    if not isinstance(subscripts, str):
        subscripts, operands = _with_letters((subscripts, *operands))
    return _einsum(subscripts, *operands, precision=precision, preferred=preferred_element_type, dtype=dtype,
                   dot_general=_dot_general)  # fmt: skip


__all__.append("einsum")


# In the order of their characters, as results without an arrow are.
_LETTERS = string.ascii_uppercase + string.ascii_lowercase


def _with_letters(operands: Sequence[Any]) -> tuple[str, Sequence[Any]]:
    """The text and the operands of a list in which each operand is followed by the numbers of its dimensions."""
    lists = [*operands[1::2], *(operands[-1:] if len(operands) % 2 else ())]
    numbered = all(isinstance(s, (list, tuple)) and all(n is ... or 0 <= n < 52 for n in s) for s in lists)
    if len(operands) < 2 or not numbered:
        raise trace.trace_error(
            "einsum takes a text and the operands ('ij,jk->ik', x, y), or each operand followed by the numbers, 0 to "
            "51, of its dimensions (x, [0, 1], y, [1, 2], [0, 2])"
        )
    texts = ["".join("..." if n is ... else _LETTERS[n] for n in s) for s in lists]
    inputs = ",".join(texts[: len(operands) // 2])
    return f"{inputs}->{texts[-1]}" if len(operands) % 2 else inputs, operands[: len(operands) // 2 * 2 : 2]


@array_function
def _einsum(
    subscripts: str, /, *operands: ArrayLike, precision: Any, preferred: Any, dtype: Any,
    dot_general: Callable[..., Tracer],
) -> Array:  # fmt: skip
    xs = _core.promote(*operands)
    if dtype is not None:
        xs = [lax.convert_element_type(x, dtype) for x in xs]
    terms, result = _parse(subscripts, xs)
    product = partial(dot_general, precision=precision, preferred_element_type=preferred)
    work = list(zip(xs, terms))
    for step in _path(xs, terms, result):
        picked = [work.pop(i) for i in sorted(step, reverse=True)][::-1]
        keep = result + "".join(t for _, t in work)
        x, term = picked[0]
        if len(picked) == 1:
            x, term = _single(x, term, keep)
        for y, other in picked[1:]:
            x, term = _pair(x, term, y, other, keep, product)
        work.append((x, term))
    ((x, term),) = work
    x, term = _single(x, term, result)
    made = lax.transpose(x, [term.index(c) for c in result])
    return made if preferred is None else lax.convert_element_type(made, preferred)


def _path(xs: Sequence[Tracer], terms: list[str], result: str) -> list[tuple[int, ...]]:
    """Which operands to contract together, step by step."""
    if len(xs) <= 2:
        return [tuple(range(len(xs)))]
    letters = {c: chr(97 + i) for i, c in enumerate(dict.fromkeys("".join(terms))) if i < 26}
    if len(letters) < len(set("".join(terms))):
        return [(0, 1)] * (len(xs) - 1)
    shapes = [np.broadcast_to(np.float32(0), x.shape) for x in xs]
    text = ",".join("".join(letters[c] for c in t) for t in terms) + "->" + "".join(letters[c] for c in result)
    return list(np.einsum_path(text, *shapes, optimize="greedy")[0][1:])
