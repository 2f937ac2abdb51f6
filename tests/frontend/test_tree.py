"""xlac.tree: taking nested containers apart and putting them together; and the package's lazy names."""

import dataclasses
import os
import subprocess
import sys
from collections import OrderedDict, namedtuple

import pytest

from xlac import tree, tree_util

Pair = namedtuple("Pair", "first second")


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    weight: object
    size: int = dataclasses.field(default=3, metadata={"static": True})


TREES = [
    1,
    None,
    (),
    [1, (2, None), {"b": 3, "a": [4]}],
    Pair(1, [2]),
    OrderedDict(z=1, a=2),
    Layer([1, 2], 5),
    {2: 1, "x": 2},
]


@pytest.mark.parametrize("value", TREES, ids=repr)
def test_unflatten_is_the_inverse_of_flatten(value):
    leaves, structure = tree.flatten(value)
    assert tree.unflatten(structure, leaves) == value
    assert structure == tree.structure(value) and hash(structure) == hash(tree.structure(value))
    assert structure.num_leaves == len(leaves) == len(tree.paths(value))


def test_dictionaries_are_taken_in_the_order_of_their_keys():
    assert tree.leaves({"b": 1, "a": 2}) == [2, 1]
    assert tree.leaves(OrderedDict(b=1, a=2)) == [1, 2]
    assert tree.paths({"b": [1, 2], "a": Pair(3, Layer(4))}) == [
        "['a'].first",
        "['a'].second.weight",
        "['b'][0]",
        "['b'][1]",
    ]


def test_structures_differ_with_nesting_keys_and_static_fields():
    values = [(1,), [1], {"a": 1}, {"b": 1}, Pair(1, None), Layer(1), Layer(1, 4), None, 1]
    assert len({tree.structure(v) for v in values}) == len(values)


def test_map_combines_trees_of_equal_nesting():
    assert tree.map(lambda x, y: x + y, {"a": (1, 2)}, {"a": (10, 20)}) == {"a": (11, 22)}
    assert tree.map(lambda x, y: (x, y), [1], [[2, 3]]) == [(1, [2, 3])]
    with pytest.raises(ValueError, match=r"differ at \['a'\]"):
        tree.map(lambda x, y: x, {"a": (1, 2)}, {"a": [1, 2]})
    assert tree.map(lambda x: x is None, [None, 1], is_leaf=lambda x: x is None) == [True, False]


def test_leaves_must_be_as_many_as_the_structure_has():
    structure = tree.structure((1, 2))
    with pytest.raises(ValueError, match="too few"):
        tree.unflatten(structure, [1])
    with pytest.raises(ValueError, match="too many"):
        tree.unflatten(structure, [1, 2, 3])


def test_classes_can_be_registered():
    class Box:
        def __init__(self, inside):
            self.inside = inside

    tree.register(Box, lambda b: ((b.inside,), None), lambda _, children: Box(*children))
    assert tree.map(lambda x: x + 1, Box([1, 2])).inside == [2, 3]


def test_transpose_and_reduce():
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0, "b": 0})
    assert tree.transpose(outer, inner, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == {"a": [1, 3], "b": [2, 4]}
    assert tree.reduce(lambda x, y: x + y, {"a": 1, "b": (2, 3)}) == 6
    assert tree.all([1, True]) and not tree.all([1, 0])


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, xlac; assert 'numpy' not in sys.modules; xlac.jit; xlac.errors; dir(xlac); "
        "assert 'llvmlite' not in sys.modules and 'lark' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_default_float_type_can_be_changed():
    code = (
        "import numpy as np, xlac, xlac.numpy as xnp; assert xnp.zeros(2).dtype == np.float64; "
        "assert xlac.jit(lambda s: s / 3)(1.0).dtype == np.float64; "
        "assert xlac.jit(lambda: xnp.ones(2))().dtype == np.float64"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "XLAC_DEFAULT_FLOAT": "float64"})


def test_dataclasses_that_nobody_registered_are_leaves():
    @dataclasses.dataclass
    class Plain:
        weight: object

    value = Plain(1)
    assert tree.leaves([value, 2]) == [value, 2]
    assert tree.map(lambda p: p.weight, {"a": value}) == {"a": 1}


def test_structures_have_jax_methods():
    structure = tree.structure({"a": 1, "b": (2, None)})
    assert structure.num_nodes == 5
    assert structure.node_data() == (dict, ("a", "b"))
    assert [c.node_data() for c in structure.children()] == [None, (tuple, None)]
    assert structure.flatten_up_to({"a": [1, 2], "b": ({}, None)}) == [[1, 2], {}]
    assert structure.compose(tree.structure([0, 0])) == tree.structure({"a": [1, 2], "b": ([3, 4], None)})
    with pytest.raises(ValueError, match="nested alike"):
        structure.flatten_up_to({"a": 1, "b": (2, None, 3)})


def test_data_that_cannot_be_hashed_is_compared():
    class Named:
        def __init__(self, value, names):
            self.value, self.names = value, names

    tree.register(Named, lambda n: ((n.value,), n.names), lambda names, children: Named(*children, names))
    structure = tree.structure([Named(1, ["a"])])
    assert structure == tree.structure([Named(2, ["a"])]) != tree.structure([Named(2, ["b"])])
    assert tree.map(lambda x: x + 1, Named(1, ["a"])).value == 2
    with pytest.raises(TypeError, match=r"cannot be hashed"):
        hash(structure)
