"""Nested containers of arrays: taken apart into a flat list of leaves and a structure, and put together again.

Containers are tuples, lists, dictionaries (in the order of their sorted keys), `OrderedDict`s (in their own order),
named tuples, dataclasses (fields with `metadata={"static": True}` belong to the structure), `None` (no leaves) and
classes given to `register`. Everything else is a leaf.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

_map, _all = map, all


class Structure:
    """The shape of a nested container, without its leaves: hashable, and equal where the nesting is equal.

    Attributes:
      kind: the container's class; None for `None`; `Structure` for a leaf.
      data: what else is needed to build it again: keys, static fields.
      children: the structures inside.
      num_leaves: number of leaves.
    """

    __slots__ = ("_hash", "children", "data", "kind", "num_leaves")

    def __init__(self, kind: Any, data: Any, children: tuple[Structure, ...]) -> None:
        self.kind, self.data, self.children = kind, data, children
        self.num_leaves: int = 1 if kind is Structure else sum(c.num_leaves for c in children)
        self._hash = hash((kind, data, children))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Structure)
            and self._hash == other._hash
            and self.kind is other.kind
            and self.data == other.data
            and self.children == other.children
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Structure({unflatten(self, [_Star()] * self.num_leaves)!r})"

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        return unflatten(self, leaves)


class _Star:
    def __repr__(self) -> str:
        return "*"


LEAF = Structure(Structure, None, ())
NONE = Structure(None, None, ())

# Class -> (value -> (children, data), (data, children) -> value).
_REGISTRY: dict[type, tuple[Callable[[Any], tuple[Iterable[Any], Any]], Callable[[Any, tuple], Any]]] = {}


def register(
    cls: type, flatten: Callable[[Any], tuple[Iterable[Any], Any]], unflatten: Callable[[Any, tuple], Any]
) -> type:
    """Make a class a container: `flatten(value) -> (children, hashable data)`, `unflatten(data, children) -> value`."""
    _REGISTRY[cls] = (flatten, unflatten)
    return cls


def _children(tree: Any) -> tuple[Any, tuple, list[str]] | None:
    """(data, children, how each child is reached) of a container, or None for a leaf."""
    cls = type(tree)
    if cls is tuple or cls is list:
        return None, tuple(tree), [f"[{i}]" for i in range(len(tree))]
    if cls is dict or cls is OrderedDict:
        if cls is dict:
            try:
                keys = tuple(sorted(tree))
            except TypeError:
                keys = tuple(sorted(tree, key=lambda k: (type(k).__name__, repr(k))))
        else:
            keys = tuple(tree)
        return keys, tuple(tree[k] for k in keys), [f"[{k!r}]" for k in keys]
    if cls in _REGISTRY:
        children, data = _REGISTRY[cls][0](tree)
        children = tuple(children)
        return data, children, [f"<{i}>" for i in range(len(children))]
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return None, tuple(tree), [f".{name}" for name in tree._fields]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = dataclasses.fields(tree)
        moving = [f.name for f in fields if not f.metadata.get("static")]
        static = tuple((f.name, getattr(tree, f.name)) for f in fields if f.metadata.get("static"))
        return (tuple(moving), static), tuple(getattr(tree, n) for n in moving), [f".{n}" for n in moving]
    return None


def _flatten(tree: Any, leaves: list[Any], is_leaf: Callable[[Any], bool] | None) -> Structure:
    if is_leaf is not None and is_leaf(tree):
        leaves.append(tree)
        return LEAF
    if tree is None:
        return NONE
    parts = _children(tree)
    if parts is None:
        leaves.append(tree)
        return LEAF
    data, children, _ = parts
    return Structure(type(tree), data, tuple([_flatten(c, leaves, is_leaf) for c in children]))


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """The leaves of a nested container, in order, and its structure."""
    found: list[Any] = []
    return found, _flatten(tree, found, is_leaf)


def flatten_with_path(
    tree: Any, is_leaf: Callable[[Any], bool] | None = None
) -> tuple[list[tuple[str, Any]], Structure]:
    """As `flatten`, but each leaf is paired with how it is reached, such as "[0]['w']"."""
    found: list[tuple[str, Any]] = []

    def visit(node: Any, path: str) -> None:
        parts = None if node is None or (is_leaf is not None and is_leaf(node)) else _children(node)
        if parts is not None:
            for child, step in zip(parts[1], parts[2]):
                visit(child, path + step)
        elif node is not None or (is_leaf is not None and is_leaf(node)):
            found.append((path, node))

    visit(tree, "")
    return found, structure(tree, is_leaf)


def paths(tree: Any) -> list[str]:
    """How each leaf is reached, in the order of `leaves`."""
    return [path for path, _ in flatten_with_path(tree)[0]]


def unflatten(structure: Structure, leaves: Iterable[Any]) -> Any:
    """The nested container of a structure and its leaves.

    Raises:
      ValueError: there are more or fewer leaves than the structure has.
    """
    values = iter(leaves)
    try:
        result = _build(structure, values)
    except StopIteration:
        raise ValueError(f"too few leaves; the structure has {structure.num_leaves}") from None
    for _ in values:
        raise ValueError(f"too many leaves; the structure has {structure.num_leaves}")
    return result


def _build(structure: Structure, values: Any) -> Any:
    kind = structure.kind
    if kind is Structure:
        return next(values)
    if kind is None:
        return None
    children = [_build(c, values) for c in structure.children]
    if kind is tuple:
        return tuple(children)
    if kind is list:
        return children
    if kind is dict or kind is OrderedDict:
        return kind(zip(structure.data, children))
    if kind in _REGISTRY:
        return _REGISTRY[kind][1](structure.data, tuple(children))
    if issubclass(kind, tuple):
        return kind(*children)
    moving, static = structure.data
    value = object.__new__(kind)
    for name, child in (*zip(moving, children), *static):
        object.__setattr__(value, name, child)
    return value


def structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Structure:
    """The structure of a nested container."""
    return _flatten(tree, [], is_leaf)


def leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a nested container, in order."""
    return flatten(tree, is_leaf)[0]


def map(function: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The container of `function(leaf, *leaves of the others at the same place)`.

    The other trees must have the first one's nesting; where the first has a leaf, they may have whole subtrees.

    Raises:
      ValueError: another tree's nesting differs.
    """
    first, shape = flatten(tree, is_leaf)
    columns = [first, *(_flatten_up_to(shape, other, "") for other in rest)]
    return unflatten(shape, _map(function, *columns))


def _flatten_up_to(shape: Structure, tree: Any, path: str) -> list[Any]:
    if shape.kind is Structure:
        return [tree]
    if shape.kind is None:
        if tree is not None:
            raise ValueError(f"trees differ at {path or 'the top'}: None and {type(tree).__name__}")
        return []
    parts = None if tree is None else _children(tree)
    if parts is None or type(tree) is not shape.kind or parts[0] != shape.data or len(parts[1]) != len(shape.children):
        raise ValueError(
            f"trees differ at {path or 'the top'}: {shape!r} and {structure(tree)!r}; they must be nested alike"
        )
    return [
        leaf
        for s, child, step in zip(shape.children, parts[1], parts[2])
        for leaf in _flatten_up_to(s, child, path + step)
    ]


def reduce(function: Callable[[Any, Any], Any], tree: Any, *initial: Any) -> Any:
    """`functools.reduce` over the leaves."""
    import functools

    return functools.reduce(function, leaves(tree), *initial)


def all(tree: Any) -> bool:
    """Whether every leaf is true."""
    return _all(leaves(tree))


def transpose(outer: Structure, inner: Structure, tree: Any) -> Any:
    """Turn an `outer` of `inner`s into an `inner` of `outer`s."""
    flat = leaves(tree)
    n = inner.num_leaves
    if len(flat) != n * outer.num_leaves:
        raise ValueError(f"the tree has {len(flat)} leaves; outer and inner structure make {n * outer.num_leaves}")
    columns = [unflatten(outer, flat[i::n]) for i in range(n)]
    return unflatten(inner, columns)
