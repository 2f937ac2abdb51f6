"""Collective operations: what the examples of a `vmap` with an `axis_name` have together.

Inside the mapped function each of these stands for one value of one example; `vmap` makes of it an operation along the
dimension that counts the examples. An operation's operands are the example's place along the axis and the array, so
that what depends on an axis is told from what does not. Values that are equal for all examples are computed once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from xlac import tree
from xlac.errors import AxisNameError
from xlac.frontend import dtypes, trace
from xlac.frontend.trace import emit_instruction, lift, shape_error, trace_error
from xlac.frontend.tracer import Tracer
from xlac.ir.module import Instruction
from xlac.ir.opcode import op
from xlac.ir.shape import ArrayShape
from xlac.lax import creation, elementwise, indexing, movement, reductions
from xlac.lax.operands import convert, expand

if TYPE_CHECKING:
    from xlac.frontend.batching import Batched

__all__ = [
    "all_gather",
    "all_to_all",
    "axis_index",
    "axis_size",
    "pbroadcast",
    "pcast",
    "pmax",
    "pmean",
    "pmin",
    "ppermute",
    "pshuffle",
    "psum",
    "psum_scatter",
    "pswapaxes",
]

Axis = tuple[Any, int, Tracer]  # the name, the number of examples, the place of this one


def _axis(name: str, axis_name: Any) -> Axis:
    """The innermost mapped axis of a name.

    Raises:
      AxisNameError: there is none.
    """
    known = []
    inner = trace.current()
    while inner is not None:
        if inner.axis is not None:
            if inner.axis[0] == axis_name:
                return inner.axis
            known.append(inner.axis[0])
        inner = inner.parent
    named = f"axes with names here are {', '.join(map(repr, known))}" if known else "no axis has a name here"
    raise AxisNameError(
        trace.located(
            f"{name}: axis_name is {axis_name!r}, but {named}; call it inside xlac.vmap(..., axis_name={axis_name!r})"
        )
    )


def _names(axis_name: Any) -> tuple[Any, ...]:
    return tuple(axis_name) if isinstance(axis_name, (tuple, list)) else (axis_name,)


# ---- the operations that `vmap` knows


class _Collective:
    """The note of a linear operation over an axis; its operands are the example's place and the array."""

    name = ""

    def __init__(self, size: int) -> None:
        self.size = size

    def shape(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        """The result's shape."""
        return dims

    def along(self, x: Batched) -> tuple[Tracer, int | None]:
        """The result of arrays that differ along the axis, and its batch dimension."""
        raise NotImplementedError

    def transposed(self, place: Tracer, cotangent: Tracer) -> Tracer:
        """The cotangent of the array."""
        raise NotImplementedError

    def __call__(self, place: Tracer, x: Tracer) -> Tracer:
        active = trace.active()
        kind = x._instruction.shape.element_type  # type: ignore[union-attr]
        made = emit_instruction(
            op.custom_call,
            active.use(place),
            active.use(x),
            shape=ArrayShape(kind, self.shape(x.shape)),
            custom_call_target=f"xlac_vmap_{self.name}",
        )
        active.session.notes[made] = self  # type: ignore[assignment]
        return Tracer(active, made, x.weak_type)

    def jvp(self, instruction: Instruction, tangents: Sequence[Any], moved: Any) -> Any:
        return None if tangents[1] is None else self(Tracer(trace.active(), instruction.operands[0]), tangents[1])

    def vjp(self, instruction: Instruction, cotangent: Any, needed: Callable[[Instruction], bool]) -> list[Any]:
        return [None, self.transposed(Tracer(trace.active(), instruction.operands[0]), lift(cotangent))]

    def batch(self, instruction: Instruction, values: Sequence[Batched], size: int) -> Batched:
        from xlac.frontend.batching import Batched

        place, x = values
        return Batched(*(self.across(place.value, x) if place.axis is None else self.along(x)))

    def across(self, place: Tracer, x: Batched) -> tuple[Tracer, int | None]:
        """The operation on examples of another axis, which are a further dimension to it."""
        return self(place, x.value), x.axis


class _Sum(_Collective):
    name = "psum"

    def along(self, x: Batched) -> tuple[Tracer, int | None]:
        if x.axis is None:
            return elementwise.mul(x.value, convert(lift(self.size), x.value.dtype)), None
        return reductions.reduce_sum(x.value, (x.axis,)), None

    def transposed(self, place: Tracer, cotangent: Tracer) -> Tracer:
        return self(place, cotangent)


class _Gather(_Collective):
    name = "all_gather"

    def shape(self, dims: tuple[int, ...]) -> tuple[int, ...]:
        return (self.size, *dims)

    def along(self, x: Batched) -> tuple[Tracer, int | None]:
        return x.front(self.size), None

    def across(self, place: Tracer, x: Batched) -> tuple[Tracer, int | None]:
        assert x.axis is not None
        return self(place, x.value), x.axis + 1

    def transposed(self, place: Tracer, cotangent: Tracer) -> Tracer:
        return _at(_Sum(self.size)(place, cotangent), place, 0)


class _Permute(_Collective):
    """Attributes: sources: for each place, the one whose array it gets; -1 for zeros."""

    name = "ppermute"

    def __init__(self, sources: Sequence[int]) -> None:
        super().__init__(len(sources))
        self.sources = tuple(sources)

    def along(self, x: Batched) -> tuple[Tracer, int | None]:
        import xlac.numpy as xnp

        sources = np.array(self.sources, np.int32)
        rows = xnp.take(x.front(self.size), np.maximum(sources, 0), axis=0, mode="clip")
        if (sources < 0).any():
            kept = expand(lift(sources >= 0), rows.shape, (0,))
            rows = elementwise.select(kept, rows, creation.full_like(rows, 0))
        return rows, 0

    def transposed(self, place: Tracer, cotangent: Tracer) -> Tracer:
        back = [-1] * self.size
        for target, source in enumerate(self.sources):
            if source >= 0:
                back[source] = target
        return _Permute(back)(place, cotangent)


def _at(x: Tracer, place: Tracer, axis: int) -> Tracer:
    return indexing.dynamic_index_in_dim(x, place, axis, keepdims=False)


# ---- public functions


def _no_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise trace_error(f"{name}: axis_index_groups cannot be used under vmap; give the axes two names instead")


def axis_size(axis_name: Any) -> int:
    """The number of examples along an axis, or along several.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
    """
    return math.prod(_axis("axis_size", name)[1] for name in _names(axis_name))


def axis_index(axis_name: Any) -> Any:
    """The place of this example along an axis, int32; along several, the row-major index.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
    """
    total: Any = None
    for name in _names(axis_name):
        _, size, place = _axis("axis_index", name)
        total = place if total is None else elementwise.add(elementwise.mul(total, size), place)
    return lift(np.int32(0)) if total is None else total


def psum(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The sum over the examples of an axis, or of several, of each array in `x`; of a Python number, a number.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
    """
    _no_groups("psum", axis_index_groups)
    axes = [_axis("psum", name) for name in _names(axis_name)]

    def total(leaf: Any) -> Any:
        if isinstance(leaf, (bool, int, float, complex)) and not isinstance(leaf, np.generic):
            return leaf * math.prod(size for _, size, _ in axes)
        value = lift(leaf)
        value = convert(value, dtypes.default_int() if value.dtype == dtypes.BOOL else value.dtype)
        for _, size, place in axes:
            value = _Sum(size)(place, value)
        return value

    return tree.map(total, x)


def pmean(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The mean over the examples; see `psum`."""
    import xlac.numpy as xnp

    sums = psum(x, axis_name, axis_index_groups=axis_index_groups)
    count = axis_size(axis_name)
    return tree.map(lambda s: xnp.true_divide(s, count), sums)


def pmax(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The greatest over the examples, element by element; see `psum`."""
    _no_groups("pmax", axis_index_groups)
    return tree.map(lambda leaf: reductions.reduce_max(_gathered("pmax", leaf, axis_name), (0,)), x)


def pmin(x: Any, axis_name: Any, *, axis_index_groups: Any = None) -> Any:
    """The least over the examples, element by element; see `psum`."""
    _no_groups("pmin", axis_index_groups)
    return tree.map(lambda leaf: reductions.reduce_min(_gathered("pmin", leaf, axis_name), (0,)), x)


def _gathered(name: str, x: Any, axis_name: Any) -> Tracer:
    """The arrays of all examples, along a new dimension 0."""
    value = made = lift(x)
    axes = [_axis(name, n) for n in _names(axis_name)]
    for _, size, place in reversed(axes):
        made = _Gather(size)(place, made)
    return movement.reshape(made, (math.prod(size for _, size, _ in axes), *value.shape))


def all_gather(
    x: Any, axis_name: Any, *, axis_index_groups: Any = None, axis: int = 0, tiled: bool = False, to: Any = None
) -> Any:
    """The arrays of all examples: stacked along a new dimension `axis`, or if `tiled`, joined along that dimension.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
      ShapeError: there is no such dimension.
    """
    import xlac.numpy as xnp

    _no_groups("all_gather", axis_index_groups)

    def gather(leaf: Any) -> Tracer:
        made = _gathered("all_gather", leaf, axis_name)
        place = _dimension("all_gather", axis, made.ndim - tiled)
        return _merged(xnp.moveaxis(made, 0, place), place) if tiled else xnp.moveaxis(made, 0, place)

    return tree.map(gather, x)


def _dimension(name: str, axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise shape_error(f"{name}: dimension {axis} of an array of {ndim} dimensions")
    return axis % ndim


def _merged(x: Tracer, axis: int) -> Tracer:
    """Two neighbouring dimensions as one."""
    return movement.reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :]))


def _divided(name: str, x: Tracer, axis: int, count: int, tiled: bool) -> Tracer:
    """A dimension divided into one part for each example, as two dimensions; not tiled, its extent is their number.

    Raises:
      ShapeError: it cannot be divided so.
    """
    n = x.shape[axis]
    if n % count if tiled else n != count:
        wanted = f"a multiple of the {count} examples" if tiled else f"{count}, the number of examples"
        raise shape_error(f"{name}: dimension {axis} of {trace.shown(x)} has extent {n}; it must be {wanted}")
    return movement.reshape(x, (*x.shape[:axis], count, n // count, *x.shape[axis + 1 :]))


def psum_scatter(
    x: Any, axis_name: Any, *, scatter_dimension: int = 0, axis_index_groups: Any = None, tiled: bool = False
) -> Any:
    """The sum over the examples, of which each example gets its part along a dimension.

    The dimension is left out, or if `tiled`, keeps the extent of a part.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
      ShapeError: the dimension cannot be divided among the examples.
    """

    def scatter(leaf: Any) -> Tracer:
        total = lift(psum(lift(leaf), axis_name, axis_index_groups=axis_index_groups))
        axis = _dimension("psum_scatter", scatter_dimension, total.ndim)
        parts = _divided("psum_scatter", total, axis, axis_size(axis_name), tiled)
        own = _at(parts, axis_index(axis_name), axis)
        return own if tiled else movement.squeeze(own, (axis,))

    return tree.map(scatter, x)


def all_to_all(
    x: Any,
    axis_name: Any,
    split_axis: int,
    concat_axis: int,
    *,
    axis_index_groups: Any = None,
    tiled: bool = False,
) -> Any:
    """Example i gets part i along `split_axis` of every example's array, and stacks them along `concat_axis`.

    If `tiled`, parts keep that dimension and are joined along `concat_axis`.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
      ShapeError: the dimension cannot be divided among the examples.
    """
    import xlac.numpy as xnp

    _no_groups("all_to_all", axis_index_groups)

    def exchange(leaf: Any) -> Tracer:
        value = lift(leaf)
        split, concat = (_dimension("all_to_all", a, value.ndim) for a in (split_axis, concat_axis))
        parts = _divided("all_to_all", value, split, axis_size(axis_name), tiled)
        own = _at(_gathered("all_to_all", parts, axis_name), axis_index(axis_name), split + 1)
        if not tiled:
            return xnp.moveaxis(movement.squeeze(own, (split + 1,)), 0, concat)
        return _merged(xnp.moveaxis(own, 0, concat), concat)

    return tree.map(exchange, x)


def ppermute(x: Any, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Any:
    """Arrays sent from example to example: `perm` has pairs (source, destination); the others get zeros.

    Raises:
      AxisNameError: no `vmap` around the call has given the name.
      ShapeError: an example is a source or destination twice, or does not exist.
    """
    _, size, place = _axis("ppermute", _names(axis_name)[0] if len(_names(axis_name)) == 1 else axis_name)
    pairs = [(int(source), int(target)) for source, target in perm]
    for ends in zip(*pairs):
        if len(set(ends)) != len(ends) or not all(0 <= end < size for end in ends):
            raise shape_error(
                f"ppermute: perm is {pairs}; sources and destinations must each be distinct numbers below {size}"
            )
    sources = [-1] * size
    for source, target in pairs:
        sources[target] = source
    return tree.map(lambda leaf: _Permute(sources)(place, lift(leaf)), x)


def pshuffle(x: Any, axis_name: Any, perm: Sequence[int]) -> Any:
    """Example i gets the array of example `perm[i]`; see `ppermute`."""
    return ppermute(x, axis_name, [(source, target) for target, source in enumerate(perm)])


def pswapaxes(x: Any, axis_name: Any, axis: int, *, axis_index_groups: Any = None) -> Any:
    """A dimension of the arrays exchanged with the axis; see `all_to_all`."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)


def pbroadcast(x: Any, axis_name: Any, source: int) -> Any:
    """The array of one example, for all of them."""
    return tree.map(
        lambda leaf: indexing.index_in_dim(_gathered("pbroadcast", leaf, axis_name), source, 0, keepdims=False), x
    )


def pcast(x: Any, axis_name: Any, *, to: str) -> Any:
    """The same values, which JAX is told differ between devices or do not; here all are of the one device."""
    return tree.map(lift, x) if trace.current() is not None else x
