"""`jacfwd`, `jacrev` and `hessian`: whole matrices of derivatives, by `vmap` over a basis of directions."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.frontend import autodiff, dtypes, trace
from xlac.frontend.batching import Batched, batch_leaves
from xlac.frontend.forward import FLOAT0, name_of, run_eagerly, split_aux, traced_jvp
from xlac.frontend.trace import lift
from xlac.frontend.tracer import Tracer
from xlac.lax.operands import convert


def _basis(leaves: Sequence[Tracer]) -> list[Tracer]:
    """For each leaf the unit directions of all leaves together: [total, *shape]."""
    from xlac import lax

    sizes = [x.size for x in leaves]
    total, start, made = sum(sizes), 0, []
    for x, n in zip(leaves, sizes):
        row, column = (lax.broadcasted_iota(np.int32, (total, n), d) for d in (0, 1))
        unit = convert(lax.eq(row, lax.add(column, np.int32(start))), x.dtype)
        made.append(lax.reshape(unit, (total, *x.shape)))
        start += n
    return made


def _checked(leaves: Sequence[Tracer], paths: Sequence[str], holomorphic: bool, what: str, allow_int: bool) -> None:
    for x, path in zip(leaves, paths):
        kind = dtypes.is_complex(x.dtype)
        if holomorphic and not kind:
            raise trace.trace_error(f"{what}{path} is {x._instruction.shape}; with holomorphic=True it must be complex")
        if not holomorphic and not allow_int and not dtypes.is_float(x.dtype):
            hint = "; use holomorphic=True for complex numbers" if kind else ""
            raise trace.trace_error(f"{what}{path} is {x._instruction.shape}; it must hold real floats{hint}")


def _wrapped(
    fun: Callable[..., Any], argnums: int | Sequence[int], what: str, traced: Callable[..., Any], has_aux: bool
) -> Callable[..., Any]:
    """Call `traced(function of the chosen arguments, their values)`, in a trace or at once."""

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        numbers = autodiff._argnums(argnums, len(args), name_of(fun), what)

        def run(*moving: Any) -> Any:
            def chosen(*values: Any) -> Any:
                arguments = list(args)
                for n, value in zip(numbers, values):
                    arguments[n] = value
                return fun(*arguments, **kwargs)

            chosen.__name__ = name_of(fun)
            jacobian, aux = traced(chosen, moving)
            if isinstance(argnums, int):
                jacobian = tree.map(lambda j: j.value[0], jacobian, is_leaf=lambda x: isinstance(x, _Cell))
            else:
                jacobian = tree.map(lambda j: j.value, jacobian, is_leaf=lambda x: isinstance(x, _Cell))
            return (jacobian, aux) if has_aux else jacobian

        moving = tuple(args[n] for n in numbers)
        if trace.current() is not None:
            return run(*moving)
        return run_eagerly(run, f"{what}_{name_of(fun)}", moving)

    return call


class _Cell:
    """A leaf that holds a container: the derivatives of one result by all arguments."""

    def __init__(self, value: Any) -> None:
        self.value = value


def jacfwd(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """See `xlac.jacfwd`."""
    from xlac import lax

    def traced(f: Callable[..., Any], values: tuple) -> tuple[Any, Any]:
        found, structure = tree.flatten(values)
        leaves = [lift(x) for x in found]
        _checked(leaves, tree.paths(values), holomorphic, "jacfwd: argument ", False)
        nesting: list[Any] = []

        def push(*directions: Tracer) -> list[Any]:
            value, tangent, aux = traced_jvp(
                f, tree.unflatten(structure, leaves), tree.unflatten(structure, directions), has_aux
            )
            outs, shape = tree.flatten(tangent)
            extra, aux_shape = tree.flatten(aux)
            if holomorphic and any(not dtypes.is_complex(lift(v).dtype) for v in tree.leaves(value)):
                raise trace.trace_error("jacfwd: with holomorphic=True the results must be complex")
            nesting[:] = [shape, len(outs), aux_shape]
            return [*outs, *extra]

        total = sum(x.size for x in leaves)
        made = batch_leaves(push, "jacfwd", [Batched(b, 0) for b in _basis(leaves)], total)
        shape, n, aux_shape = nesting
        rows = []
        for value in made[:n]:
            if not isinstance(value, Batched):
                rows.append(
                    _Cell(tree.unflatten(structure, [np.zeros((*value.shape, *x.shape), FLOAT0) for x in leaves]))
                )
                continue
            columns = value.at(value.ndim, total)
            parts, start = [], 0
            for x in leaves:
                part = lax.slice_in_dim(columns, start, start + x.size, axis=value.ndim)
                parts.append(lax.reshape(part, (*value.dims, *x.shape)))
                start += x.size
            rows.append(_Cell(tree.unflatten(structure, parts)))
        extra = [_first(v) for v in made[n:]]
        return tree.unflatten(shape, rows), tree.unflatten(aux_shape, extra)

    return _wrapped(fun, argnums, "jacfwd", traced, has_aux)


def _first(value: Any) -> Any:
    """A further result, which does not depend on the direction."""
    from xlac import lax

    if not isinstance(value, Batched) or value.axis is None:
        return value.value if isinstance(value, Batched) else value
    return lax.index_in_dim(value.value, 0, value.axis, keepdims=False)


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """See `xlac.jacrev`."""
    from xlac import lax

    def traced(f: Callable[..., Any], values: tuple) -> tuple[Any, Any]:
        found, structure = tree.flatten(values)
        leaves = [lift(x) for x in found]
        _checked(leaves, tree.paths(values), holomorphic, "jacrev: argument ", allow_int)
        value, pullback, aux = autodiff.vjp(lambda *v: split_aux(f(*v), has_aux, "jacrev"), *values, has_aux=True)
        outs, shape = tree.flatten(value)
        outputs = [lift(o) for o in outs]
        _checked(outputs, tree.paths(value), holomorphic, "jacrev: result ", False)

        def pull(*directions: Tracer) -> list[Any]:
            return tree.leaves(pullback(tree.unflatten(shape, directions)))

        total = sum(o.size for o in outputs)
        made = batch_leaves(pull, "jacrev", [Batched(b, 0) for b in _basis(outputs)], total)
        rows, start = [], 0
        for o in outputs:
            parts = []
            for x, column in zip(leaves, made):
                if not isinstance(column, Batched):
                    parts.append(np.zeros((*o.shape, *x.shape), FLOAT0))
                    continue
                part = lax.slice_in_dim(column.front(total), start, start + o.size)
                parts.append(lax.reshape(part, (*o.shape, *x.shape)))
            rows.append(_Cell(tree.unflatten(structure, parts)))
            start += o.size
        return tree.unflatten(shape, rows), aux

    return _wrapped(fun, argnums, "jacrev", traced, has_aux)


def hessian(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """See `xlac.hessian`."""
    inner = jacrev(fun, argnums, has_aux, holomorphic)
    return jacfwd(inner, argnums, has_aux, holomorphic)
