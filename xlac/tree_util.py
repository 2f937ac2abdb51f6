"""`xlac.tree_util`: the functions of `xlac.tree` by their longer names, and how classes become containers."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, Union

from xlac import tree as _tree
from xlac.tree import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey, keystr
from xlac.tree import Structure as PyTreeDef
from xlac.tree import all as tree_all
from xlac.tree import broadcast as tree_broadcast
from xlac.tree import flatten as tree_flatten
from xlac.tree import flatten_with_path as tree_flatten_with_path
from xlac.tree import leaves as tree_leaves
from xlac.tree import leaves_with_path as tree_leaves_with_path
from xlac.tree import map as tree_map
from xlac.tree import map_with_path as tree_map_with_path
from xlac.tree import reduce as tree_reduce
from xlac.tree import reduce_associative as tree_reduce_associative
from xlac.tree import structure as tree_structure
from xlac.tree import transpose as tree_transpose
from xlac.tree import unflatten as tree_unflatten

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyEntry",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "flatten_one_level",
    "flatten_one_level_with_keys",
    "is_tree_node",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_reduce_associative",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]

C = TypeVar("C", bound=type)
KeyEntry = Union[SequenceKey, DictKey, GetAttrKey, FlattenedIndexKey, Any]
KeyPath = tuple[KeyEntry, ...]


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether no element is a container."""
    return all(tree_structure(x, is_leaf) == _tree.LEAF for x in iterable)


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures inside a structure."""
    return list(treedef.parts)


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Whether a structure is that of a leaf."""
    return treedef == _tree.LEAF


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple of things of these structures."""
    return PyTreeDef(tuple, None, tuple(treedefs))


def flatten_one_level(tree: Any) -> tuple[tuple, Any]:
    """The children of a container, and what else makes it: keys, static fields.

    Raises:
      ValueError: it is a leaf.
    """
    parts = (None, ()) if tree is None else _tree._children(tree)
    if parts is None:
        raise ValueError(f"{type(tree).__name__} is no container")
    return parts[1], parts[0]


def flatten_one_level_with_keys(tree: Any) -> tuple[tuple, Any]:
    """As `flatten_one_level`, with pairs of a key and a child."""
    children, data = flatten_one_level(tree)
    return tuple(zip(_tree._keys(tree, data, len(children)), children)), data


def is_tree_node(typ: type) -> bool:
    """Whether what is of a class is a container."""
    plain = typ in (tuple, list, dict, OrderedDict, defaultdict, type(None)) or typ in _tree._REGISTRY
    return plain or (issubclass(typ, tuple) and hasattr(typ, "_fields"))


# ---- classes as containers


def register_pytree_node(
    nodetype: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_with_keys_func: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Make a class a container: `flatten(value) -> (children, hashable data)`, `unflatten(data, children) -> value`.

    Raises:
      ValueError: the class is one already.
    """
    if nodetype in _tree._REGISTRY:
        raise ValueError(f"{nodetype.__name__} is registered already")
    with_keys = flatten_with_keys_func
    keys = None if with_keys is None else lambda value: [key for key, _ in with_keys(value)[0]]
    _tree.register(nodetype, flatten_func, unflatten_func, keys)


def register_pytree_node_class(cls: C) -> C:
    """A class decorator: the class has `tree_flatten(self)` and `tree_unflatten(cls, data, children)`."""
    register_pytree_node(cls, cls.tree_flatten, cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def register_pytree_with_keys(
    nodetype: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """As `register_pytree_node`, where flattening gives pairs of a key and a child."""

    def flatten(value: Any) -> tuple[Iterable[Any], Any]:
        pairs, data = flatten_with_keys(value)
        return [child for _, child in pairs], data

    register_pytree_node(nodetype, flatten_func or flatten, unflatten_func, flatten_with_keys)


def register_pytree_with_keys_class(cls: C) -> C:
    """As `register_pytree_node_class`, for a class with `tree_flatten_with_keys`."""
    flatten = getattr(cls, "tree_flatten", None)
    register_pytree_with_keys(cls, cls.tree_flatten_with_keys, cls.tree_unflatten, flatten)  # type: ignore[attr-defined]
    return cls


def register_dataclass(
    nodetype: C,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> C:
    """Say which fields of a class hold arrays, and which belong to the structure.

    Of dataclasses, fields with `metadata={"static": True}` belong to the structure where nothing is given.

    Raises:
      ValueError: one of the two is given without the other, or a field of a dataclass is in none of them.
    """
    if (data_fields is None) != (meta_fields is None):
        raise ValueError("register_dataclass: give both data_fields and meta_fields, or none of them")
    if data_fields is None or meta_fields is None:
        fields = [f for f in dataclasses.fields(nodetype) if f.init and f.name not in drop_fields]
        data_fields = [f.name for f in fields if not f.metadata.get("static")]
        meta_fields = [f.name for f in fields if f.metadata.get("static")]
    elif dataclasses.is_dataclass(nodetype):
        named = {f.name for f in dataclasses.fields(nodetype) if f.init} - set(drop_fields)
        if named != {*data_fields, *meta_fields}:
            odd = ", ".join(sorted(named ^ {*data_fields, *meta_fields}))
            raise ValueError(f"register_dataclass: data_fields and meta_fields must be the class's fields; see {odd}")
    moving, fixed = tuple(data_fields), tuple(meta_fields)

    def flatten(value: Any) -> tuple[tuple, tuple]:
        return tuple(getattr(value, n) for n in moving), tuple(getattr(value, n) for n in fixed)

    def unflatten(data: tuple, children: Iterable[Any]) -> Any:
        return nodetype(**dict(zip(fixed, data)), **dict(zip(moving, children)))

    _tree.register(nodetype, flatten, unflatten, lambda value: [GetAttrKey(n) for n in moving])
    return nodetype


def register_static(cls: C) -> C:
    """Make a class part of the structure: it has no leaves, and is hashable."""
    register_pytree_node(cls, lambda value: ((), value), lambda value, _: value)
    return cls


class Partial(functools.partial):
    """`functools.partial` as a container: its arguments are leaves, its function belongs to the structure."""


register_pytree_node(
    Partial,
    lambda value: ((value.args, value.keywords), value.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
)
