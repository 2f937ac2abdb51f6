"""Nested containers of arrays: taken apart into a flat list of leaves and a structure, and put together again.

Containers are tuples, lists, dictionaries (in the order of their sorted keys; `defaultdict`s too), `OrderedDict`s (in
their own order), named tuples, `None` (no leaves) and classes given to `register`, dataclasses most simply by
`tree_util.register_dataclass`. Everything else is a leaf. The names are those of `jax.tree`; `xlac.tree_util` has the
longer ones.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_map, _all = map, all
_NONE_GIVEN = object()


# ---- keys: how a child is reached


@dataclasses.dataclass(frozen=True)
class SequenceKey:
    """An element of a tuple or list."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


@dataclasses.dataclass(frozen=True)
class DictKey:
    """An entry of a dictionary."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclasses.dataclass(frozen=True)
class GetAttrKey:
    """An attribute, as of named tuples and dataclasses."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclasses.dataclass(frozen=True)
class FlattenedIndexKey:
    """A child, by its number, of a class that names none of its children."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


def keystr(keys: Sequence[Any], *, simple: bool = False, separator: str = "") -> str:
    """A path as text, such as "[0]['w']"; `simple` gives names and numbers alone."""
    if not simple:
        return separator.join(_map(str, keys))
    names = (next((str(getattr(k, a)) for a in ("idx", "key", "name") if hasattr(k, a)), str(k)) for k in keys)
    return separator.join(names)


class Structure:
    """The shape of a nested container, without its leaves: hashable, and equal where the nesting is equal.

    Attributes:
      kind: the container's class; None for `None`; `Structure` for a leaf.
      data: what else is needed to build it again: keys, static fields.
      parts: the structures inside.
      num_leaves: number of leaves.
    """

    __slots__ = ("_hash", "data", "kind", "num_leaves", "parts")

    def __init__(self, kind: Any, data: Any, parts: tuple[Structure, ...]) -> None:
        self.kind, self.data, self.parts = kind, data, parts
        self.num_leaves: int = 1 if kind is Structure else sum(p.num_leaves for p in parts)
        try:
            self._hash: int | None = hash((kind, data, parts))
        except TypeError:  # `data` is a list, say: not to be hashed, but to be compared
            self._hash = None

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Structure)
            and self._hash == other._hash
            and self.kind is other.kind
            and self.data == other.data
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        if self._hash is None:
            raise TypeError(f"the structure of {self.kind.__name__} has data that cannot be hashed: {self.data!r}")
        return self._hash

    def __repr__(self) -> str:
        return f"Structure({unflatten(self, [_Star()] * self.num_leaves)!r})"

    @property
    def num_nodes(self) -> int:
        """Containers and leaves."""
        return 1 + sum(p.num_nodes for p in self.parts)

    def children(self) -> list[Structure]:
        return list(self.parts)

    def node_data(self) -> tuple[type, Any] | None:
        """The container's class and what else makes it; None for a leaf."""
        return None if self.kind is Structure else (type(None) if self.kind is None else self.kind, self.data)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        return unflatten(self, leaves)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What `tree` has, leaves or whole containers, where this has leaves.

        Raises:
          ValueError: it is nested in another way.
        """
        return _flatten_up_to(self, tree, "")

    def compose(self, inner: Structure) -> Structure:
        """This structure with `inner` in place of each leaf."""
        if self.kind is Structure:
            return inner
        return Structure(self.kind, self.data, tuple([p.compose(inner) for p in self.parts]))


class _Star:
    def __repr__(self) -> str:
        return "*"


LEAF = Structure(Structure, None, ())
NONE = Structure(None, None, ())

# Class -> (value -> (children, data), (data, children) -> value, value -> keys of the children or None).
_REGISTRY: dict[type, tuple[Callable[..., Any], Callable[..., Any], Callable[[Any], Sequence[Any]] | None]] = {}


def register(
    cls: type,
    flatten: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten: Callable[[Any, tuple], Any],
    keys: Callable[[Any], Sequence[Any]] | None = None,
) -> type:
    """Make a class a container: `flatten(value) -> (children, hashable data)`, `unflatten(data, children) -> value`.

    `keys(value)` gives how each child is reached, where numbers will not do.
    """
    _REGISTRY[cls] = (flatten, unflatten, keys)
    return cls


def _sorted_keys(tree: dict) -> tuple:
    try:
        return tuple(sorted(tree))
    except TypeError:
        return tuple(sorted(tree, key=lambda k: (type(k).__name__, repr(k))))


def _children(tree: Any) -> tuple[Any, tuple] | None:
    """(data, children) of a container, or None for a leaf."""
    cls = type(tree)
    if cls is tuple or cls is list:
        return None, tuple(tree)
    if cls is dict:
        keys = _sorted_keys(tree)
        return keys, tuple([tree[k] for k in keys])
    if cls is OrderedDict:
        keys = tuple(tree)
        return keys, tuple([tree[k] for k in keys])
    if cls is defaultdict:
        keys = _sorted_keys(tree)
        return (tree.default_factory, keys), tuple([tree[k] for k in keys])
    if cls in _REGISTRY:
        children, data = _REGISTRY[cls][0](tree)
        return data, tuple(children)
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return None, tuple(tree)
    return None


def _keys(tree: Any, data: Any, count: int) -> Sequence[Any]:
    """How each child of a container is reached."""
    cls = type(tree)
    if cls is tuple or cls is list:
        return [SequenceKey(i) for i in range(count)]
    if cls is dict or cls is OrderedDict or cls is defaultdict:
        return [DictKey(k) for k in (data[1] if cls is defaultdict else data)]
    if cls in _REGISTRY:
        found = _REGISTRY[cls][2]
        return list(found(tree)) if found is not None else [FlattenedIndexKey(i) for i in range(count)]
    return [GetAttrKey(n) for n in tree._fields]


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
    data, children = parts
    return Structure(type(tree), data, tuple([_flatten(c, leaves, is_leaf) for c in children]))


def flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], Structure]:
    """The leaves of a nested container, in order, and its structure."""
    found: list[Any] = []
    return found, _flatten(tree, found, is_leaf)


def flatten_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[tuple, Any]], Structure]:
    """As `flatten`, but each leaf is paired with its path, a tuple of keys; `keystr` makes a text of it."""
    found: list[tuple[tuple, Any]] = []

    def ends(node: Any, path: tuple) -> bool:
        if is_leaf is None:
            return False
        return is_leaf(path, node) if is_leaf_takes_path else is_leaf(node)

    def visit(node: Any, path: tuple) -> Structure:
        if not ends(node, path):
            if node is None:
                return NONE
            parts = _children(node)
            if parts is not None:
                data, children = parts
                keys = _keys(node, data, len(children))
                inner = tuple([visit(child, (*path, key)) for child, key in zip(children, keys)])
                return Structure(type(node), data, inner)
        found.append((path, node))
        return LEAF

    shape = visit(tree, ())
    return found, shape


def leaves_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[tuple, Any]]:
    """The leaves with their paths."""
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def paths(tree: Any) -> list[str]:
    """How each leaf is reached, as text, in the order of `leaves`."""
    return [keystr(path) for path, _ in leaves_with_path(tree)]


def unflatten(treedef: Structure, leaves: Iterable[Any]) -> Any:
    """The nested container of a structure and its leaves.

    Raises:
      ValueError: there are more or fewer leaves than the structure has.
    """
    values = iter(leaves)
    try:
        result = _build(treedef, values)
    except StopIteration:
        raise ValueError(f"too few leaves; the structure has {treedef.num_leaves}") from None
    for _ in values:
        raise ValueError(f"too many leaves; the structure has {treedef.num_leaves}")
    return result


def _build(structure: Structure, values: Any) -> Any:
    kind = structure.kind
    if kind is Structure:
        return next(values)
    if kind is None:
        return None
    children = [_build(c, values) for c in structure.parts]
    if kind is tuple:
        return tuple(children)
    if kind is list:
        return children
    if kind is dict or kind is OrderedDict:
        return kind(zip(structure.data, children))
    if kind is defaultdict:
        factory, keys = structure.data
        return defaultdict(factory, zip(keys, children))
    if kind in _REGISTRY:
        return _REGISTRY[kind][1](structure.data, tuple(children))
    return kind(*children)


def structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Structure:
    """The structure of a nested container."""
    return _flatten(tree, [], is_leaf)


def leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves of a nested container, in order."""
    return flatten(tree, is_leaf)[0]


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The container of `f(leaf, *leaves of the others at the same place)`.

    The other trees must have the first one's nesting; where the first has a leaf, they may have whole subtrees.

    Raises:
      ValueError: another tree's nesting differs.
    """
    first, shape = flatten(tree, is_leaf)
    columns = [first, *(_flatten_up_to(shape, other, "") for other in rest)]
    return unflatten(shape, _map(f, *columns))


def map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[..., bool] | None = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """As `map`, of `f(path, leaf, *leaves of the others)`."""
    found, shape = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    columns = [[p for p, _ in found], [x for _, x in found], *(_flatten_up_to(shape, other, "") for other in rest)]
    return unflatten(shape, _map(f, *columns))


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The leaves of `prefix_tree`, each repeated over the part of `full_tree` that it stands for."""
    found, shape = flatten(prefix_tree, is_leaf)
    parts = _flatten_up_to(shape, full_tree, "")
    return unflatten(shape, [map(lambda _, x=x: x, part, is_leaf=is_leaf) for x, part in zip(found, parts)])


def _flatten_up_to(shape: Structure, tree: Any, path: str) -> list[Any]:
    if shape.kind is Structure:
        return [tree]
    if shape.kind is None:
        if tree is not None:
            raise ValueError(f"trees differ at {path or 'the top'}: None and {type(tree).__name__}")
        return []
    parts = None if tree is None else _children(tree)
    if parts is None or type(tree) is not shape.kind or parts[0] != shape.data or len(parts[1]) != len(shape.parts):
        raise ValueError(
            f"trees differ at {path or 'the top'}: {shape!r} and {structure(tree)!r}; they must be nested alike"
        )
    keys = _keys(tree, parts[0], len(parts[1]))
    return [
        leaf for s, child, key in zip(shape.parts, parts[1], keys) for leaf in _flatten_up_to(s, child, f"{path}{key}")
    ]


def reduce(
    function: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = _NONE_GIVEN,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """`functools.reduce` over the leaves."""
    import functools

    start = () if initializer is _NONE_GIVEN else (initializer,)
    return functools.reduce(function, leaves(tree, is_leaf), *start)


def reduce_associative(
    operation: Callable[[Any, Any], Any],
    tree: Any,
    *,
    identity: Any = _NONE_GIVEN,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """The leaves combined pair by pair, in a tree of least depth.

    Raises:
      TypeError: there are no leaves, and no identity.
    """
    found = leaves(tree, is_leaf)
    if not found:
        if identity is _NONE_GIVEN:
            raise TypeError("reduce_associative of a tree without leaves needs an identity")
        return identity
    while len(found) > 1:
        pairs = [operation(x, y) for x, y in zip(found[::2], found[1::2])]
        found = pairs + found[len(pairs) * 2 :]
    return found[0]


def all(tree: Any, *, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether every leaf is true."""
    return _all(leaves(tree, is_leaf))


def transpose(outer_treedef: Structure, inner_treedef: Structure | None, pytree_to_transpose: Any) -> Any:
    """Turn an outer container of inner ones into an inner one of outer ones; the inner structure may be found out.

    Raises:
      ValueError: the tree has other leaves than the structures make.
    """
    if inner_treedef is None:
        inner_treedef = structure(_flatten_up_to(outer_treedef, pytree_to_transpose, "")[0])
    flat = leaves(pytree_to_transpose)
    n = inner_treedef.num_leaves
    if len(flat) != n * outer_treedef.num_leaves:
        raise ValueError(
            f"the tree has {len(flat)} leaves; outer and inner structure make {n * outer_treedef.num_leaves}"
        )
    columns = [unflatten(outer_treedef, flat[i::n]) for i in range(n)]
    return unflatten(inner_treedef, columns)


def static(**kwargs: Any) -> Any:
    """A dataclass field that belongs to the structure: `size: int = xlac.tree.static(default=3)`."""
    return dataclasses.field(**{**kwargs, "metadata": {**(kwargs.get("metadata") or {}), "static": True}})
