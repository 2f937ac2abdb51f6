"""ragged-dot and scaled-dot by dot; products of floats that are given as integers."""

from __future__ import annotations

from xlac.ir.module import Instruction, Module
from xlac.ir.ops.dot import between
from xlac.ir.shape import F32, S64, ArrayShape, ElementType
from xlac.passes.expand.build import Array, expand, full, iota, loop

_DIMS = ("lhs_batch_dims", "lhs_contracting_dims", "rhs_batch_dims", "rhs_contracting_dims")


def expand_products(module: Module) -> bool:
    """Replace dots of ragged groups, scaled operands and mixed kinds by plain ones; return whether there were any."""
    rules = {"ragged-dot": _ragged_dot, "scaled-dot": _scaled_dot, "dot": _mixed, "convolution": _mixed}
    return expand(module, rules)


def _mixed(x: Instruction) -> Instruction | None:
    """A product in the operands' type, then converted, where the result's kind holds less."""
    assert isinstance(x.shape, ArrayShape)
    row = between(x.shape.element_type, *(o.shape.element_type for o in x.operands))  # type: ignore[union-attr]
    if row is x.shape.element_type:
        return None
    product = x.clone()
    product.shape = x.shape.with_type(row)
    return Array(product).convert(x.shape.element_type).node


def _dot(x: Array, y: Array, element_type: ElementType, dims: dict) -> Array:
    contracting = dims["lhs_contracting_dims"], dims["rhs_contracting_dims"]
    return x.dot(y, contracting, (dims["lhs_batch_dims"], dims["rhs_batch_dims"]), element_type)


def _less(dims: tuple[int, ...], gone: int) -> tuple[int, ...]:
    return tuple(d - (d > gone) for d in dims)


def _ragged_dot(x: Instruction) -> Instruction:
    """One product for each group, of all rows: those of other groups are zeros, or are not taken over."""
    lhs, rhs, sizes = map(Array, x.operands)
    shape = x.shape
    assert isinstance(shape, ArrayShape)
    row = shape.element_type
    dims = {key: x[key] for key in _DIMS}
    (ragged,) = x["lhs_ragged_dims"]
    if ragged in dims["lhs_batch_dims"]:
        return _dot(lhs, rhs, row, dims).node
    groups, extent = sizes.dims[0], lhs.dims[ragged]
    if not groups or not shape.size:
        return full(row, 0, shape.dims).node
    sizes = sizes.convert(S64)
    # Where each group ends: the sum of the sizes up to it.
    upto = iota(S64, (groups, groups), 1).compare("LE", iota(S64, (groups, groups), 0))
    each = sizes.broadcast((groups, groups), (1,))
    ends = upto.select(each, 0).sum(1)

    def inside(g: Array, ends: Array, sizes: Array) -> Array:
        """Which places of the ragged dimension are of group g."""
        end = ends.dynamic_slice((g,), (1,)).reshape().broadcast((extent,), ())
        size = sizes.dynamic_slice((g,), (1,)).reshape().broadcast((extent,), ())
        place = iota(S64, (extent,))
        return place.compare("LT", end) & place.compare("GE", end - size)

    if ragged in dims["lhs_contracting_dims"]:
        other = dims["rhs_contracting_dims"][dims["lhs_contracting_dims"].index(ragged)]

        def product(g: Array, result: Array, lhs: Array, rhs: Array, ends: Array, sizes: Array) -> list[Array]:
            own = inside(g, ends, sizes)
            a = own.broadcast(lhs.dims, (ragged,)).select(lhs, 0)
            b = own.broadcast(rhs.dims, (other,)).select(rhs, 0)
            part = _dot(a, b, row, dims).reshape(1, *shape.dims[1:])
            return [result.dynamic_update(part, (g, *(0 for _ in shape.dims[1:])))]

    else:
        (group,) = x["rhs_group_dims"]
        inner = dims | {key: _less(dims[key], group) for key in _DIMS[2:]}
        kept = [d for d in range(len(lhs.dims)) if d not in dims["lhs_batch_dims"] + dims["lhs_contracting_dims"]]
        axis = len(dims["lhs_batch_dims"]) + kept.index(ragged)

        def product(g: Array, result: Array, lhs: Array, rhs: Array, ends: Array, sizes: Array) -> list[Array]:
            starts = [g if d == group else 0 for d in range(len(rhs.dims))]
            extents = [1 if d == group else n for d, n in enumerate(rhs.dims)]
            own = rhs.dynamic_slice(starts, extents).reshape(*(n for d, n in enumerate(rhs.dims) if d != group))
            made = _dot(lhs, own, row, inner)
            return [inside(g, ends, sizes).broadcast(shape.dims, (axis,)).select(made, result)]

    (result,) = loop("ragged_dot", groups, [full(row, 0, shape.dims)], product, [lhs, rhs, ends, sizes])
    return result.node


def _scaled_dot(x: Instruction) -> Instruction:
    """Each element times the scale of the block it is in."""
    shape = x.shape
    assert isinstance(shape, ArrayShape)
    row = shape.element_type
    wide = F32 if row.is_float and row.bits < 32 else row
    a, b, a_scale, b_scale = map(Array, x.operands)
    dims = {key: x[key] for key in _DIMS}
    return _dot(_scaled(a, a_scale, wide), _scaled(b, b_scale, wide), row, dims).node


def _scaled(x: Array, scale: Array, wide: ElementType) -> Array:
    factor, values = scale.convert(wide), x.convert(wide)
    if not scale.dims or scale.dims == x.dims:
        return values * (factor if scale.dims else factor.broadcast(x.dims, ()))
    # [n] in s blocks is [s, n / s].
    split = [part for n, s in zip(x.dims, scale.dims) for part in (s, n // s)]
    spread = factor.broadcast(split, tuple(range(0, len(split), 2)))
    return values * spread.reshape(*x.dims)
