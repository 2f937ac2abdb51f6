"""`xlac.sharding`: meshes and shardings by the names of `jax.sharding`, over the one device there is.

A mesh has one element: each of its axes has extent 1, and a sharding over them leaves every array whole. So programs
that name axes and shardings run unchanged where `xlac.device_count()` tells them how many devices there are; what asks
for several devices is refused.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from xlac import tree
from xlac.device import Device
from xlac.errors import OptionError
from xlac.frontend import trace
from xlac.frontend.batching import vmap

__all__ = [
    "AbstractMesh",
    "AxisType",
    "Mesh",
    "NamedSharding",
    "P",
    "PartitionSpec",
    "Shard",
    "Sharding",
    "SingleDeviceSharding",
    "auto_axes",
    "explicit_axes",
    "get_abstract_mesh",
    "get_mesh",
    "make_mesh",
    "make_single_device_sharding",
    "pmap",
    "reshard",
    "set_mesh",
    "shard_map",
    "smap",
    "use_abstract_mesh",
]


class AxisType(enum.Enum):
    """Who decides how arrays are split along an axis of a mesh; with one device all mean the same."""

    Auto = 1
    Explicit = 2
    Manual = 3


class PartitionSpec(tuple):
    """For each dimension of an array the axis, or axes, of a mesh that it is split over, or None."""

    UNCONSTRAINED = None

    def __new__(cls, *partitions: Any, unreduced: Any = frozenset(), reduced: Any = frozenset()) -> PartitionSpec:
        return super().__new__(cls, partitions)

    def __repr__(self) -> str:
        return f"PartitionSpec({', '.join(map(repr, self))})"

    def __reduce__(self) -> Any:
        return PartitionSpec, tuple(self)

    @property
    def names(self) -> list[Any]:
        """All axes that it names."""
        flat = (part if isinstance(part, tuple) else (part,) for part in self)
        return [name for part in flat for name in part if name is not None]


P = PartitionSpec


class Mesh(contextlib.ContextDecorator):
    """The device under names of axes, each of extent 1; a context in which `get_mesh` gives it.

    Args:
      devices: an array of devices with one dimension for each axis.
      axis_names: the names, one string or several.
      axis_types: accepted as in JAX.
    Raises: OptionError if there are several devices, or another number of axes than of dimensions.
    """

    def __init__(self, devices: Any, axis_names: Any, axis_types: Any = None) -> None:
        self.devices = np.asarray(devices, object)
        self.axis_names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
        if self.devices.ndim != len(self.axis_names):
            raise OptionError(
                f"Mesh: the devices are an array of {self.devices.ndim} dimensions; axis_names {self.axis_names} are "
                f"{len(self.axis_names)}"
            )
        if self.devices.size != 1:
            raise OptionError(f"Mesh: {self.devices.size} devices; there is one, xlac.devices()[0]")
        types = axis_types if isinstance(axis_types, tuple) else (axis_types or AxisType.Auto,) * self.devices.ndim
        self.axis_types = types
        self._outer: list[Any] = []

    @property
    def shape(self) -> OrderedDict[Any, int]:
        """The extent of each axis."""
        return OrderedDict(zip(self.axis_names, self.devices.shape))

    @property
    def axis_sizes(self) -> tuple[int, ...]:
        return self.devices.shape

    @property
    def size(self) -> int:
        return self.devices.size

    @property
    def empty(self) -> bool:
        return False

    @property
    def device_ids(self) -> np.ndarray:
        return np.zeros(self.devices.shape, int)

    @property
    def local_devices(self) -> list[Device]:
        return list(self.devices.flat)

    @property
    def abstract_mesh(self) -> Mesh:
        return self

    @property
    def local_mesh(self) -> Mesh:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mesh) and (self.axis_names, self.axis_types) == (other.axis_names, other.axis_types)

    def __hash__(self) -> int:
        return hash((self.axis_names, self.axis_types))

    def __repr__(self) -> str:
        return f"Mesh({', '.join(f'{name!r}: {n}' for name, n in self.shape.items())})"

    def __enter__(self) -> Mesh:
        self._outer.append(_current[0])
        _current[0] = self
        return self

    def __exit__(self, *_: Any) -> None:
        _current[0] = self._outer.pop()


class AbstractMesh(Mesh):
    """A mesh by its extents: with one device there is one of them, equal to what `make_mesh` gives."""

    def __init__(
        self, axis_sizes: Sequence[int], axis_names: Any, axis_types: Any = None, *, abstract_device: Any = None
    ) -> None:
        super().__init__(make_mesh(axis_sizes, axis_names).devices, axis_names, axis_types)


class _NoMesh:
    """What `get_mesh` gives outside of all meshes."""

    empty = True
    axis_names: tuple = ()
    axis_sizes: tuple = ()
    size = 0
    shape: OrderedDict[Any, int] = OrderedDict()

    def __repr__(self) -> str:
        return "Mesh()"


_current: list[Any] = [_NoMesh()]


class Sharding:
    """Where the parts of arrays are: the whole of each on the one device."""

    is_fully_replicated = True
    is_fully_addressable = True
    memory_kind: str | None = None
    num_devices = 1

    @property
    def device_set(self) -> set[Device]:
        return {Device()}

    addressable_devices = device_set

    def shard_shape(self, global_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of a device's part: all of it."""
        return tuple(global_shape)

    def devices_indices_map(self, global_shape: Sequence[int]) -> dict[Device, tuple[slice, ...]]:
        """What part of an array each device has."""
        return {Device(): (slice(None),) * len(global_shape)}

    addressable_devices_indices_map = devices_indices_map

    def is_equivalent_to(self, other: Sharding, ndim: int) -> bool:
        """Whether arrays lie alike under both, as they all do."""
        return isinstance(other, Sharding)

    def with_memory_kind(self, kind: str) -> Sharding:
        return self


class SingleDeviceSharding(Sharding):
    """Arrays on one device."""

    def __init__(self, device: Device, *, memory_kind: str | None = None) -> None:
        self.device, self.memory_kind = device, memory_kind

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SingleDeviceSharding) and self.device == other.device

    def __hash__(self) -> int:
        return hash(self.device)

    def __repr__(self) -> str:
        return f"SingleDeviceSharding(device={self.device!r})"


class NamedSharding(Sharding):
    """Arrays whose dimensions are split over axes of a mesh.

    Raises:
      OptionError: the spec names an axis that the mesh does not have.
    """

    def __init__(self, mesh: Mesh, spec: Any, *, memory_kind: str | None = None) -> None:
        self.mesh, self.spec, self.memory_kind = mesh, PartitionSpec(*spec), memory_kind
        for name in self.spec.names:
            if name not in mesh.axis_names:
                raise OptionError(f"NamedSharding: {self.spec} names {name!r}; the mesh has {mesh.axis_names}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedSharding) and (self.mesh, self.spec) == (other.mesh, other.spec)

    def __hash__(self) -> int:
        return hash((self.mesh, self.spec))

    def __repr__(self) -> str:
        return f"NamedSharding(mesh={self.mesh!r}, spec={self.spec!r})"


class Shard:
    """The part of an array that is on the device: the whole."""

    replica_id = 0
    device = Device()

    def __init__(self, data: Any) -> None:
        self.data = data
        self.index = (slice(None),) * data.ndim

    def __repr__(self) -> str:
        return f"Shard(device={self.device!r}, index={self.index}, replica_id=0, data={self.data!r})"


def make_single_device_sharding(device: Device, *, memory_kind: str | None = None) -> SingleDeviceSharding:
    """The sharding of arrays on this device."""
    return SingleDeviceSharding(device, memory_kind=memory_kind)


# ---- meshes


def make_mesh(axis_shapes: Sequence[int], axis_names: Any, axis_types: Any = None, *, devices: Any = None) -> Mesh:
    """The mesh of the device under names of axes, whose extents are all 1.

    Raises:
      OptionError: the extents ask for several devices.
    """
    dims = tuple(axis_shapes)
    if math.prod(dims) != 1:
        raise OptionError(
            f"make_mesh: axis_shapes is {dims}, which is {math.prod(dims)} devices; there is one, and each extent "
            "must be 1 (xlac.device_count() tells)"
        )
    return Mesh(np.array([Device()], object).reshape(dims), axis_names, axis_types)


def get_mesh() -> Any:
    """The mesh of the innermost `with mesh:` or `set_mesh`; an empty one outside."""
    return _current[0]


get_abstract_mesh = get_mesh


class set_mesh:
    """Make a mesh the one that `get_mesh` gives; as a context, until its end."""

    def __init__(self, mesh: Mesh | None) -> None:
        self._outer = _current[0]
        _current[0] = _NoMesh() if mesh is None else mesh

    def __enter__(self) -> Any:
        return _current[0]

    def __exit__(self, *_: Any) -> None:
        _current[0] = self._outer


@contextlib.contextmanager
def use_abstract_mesh(mesh: Mesh) -> Iterator[Mesh]:
    """As `with mesh:`."""
    with mesh:
        yield mesh


def reshard(xs: Any, out_shardings: Any) -> Any:
    """The arrays of a container: with one device, every sharding is the same."""
    import xlac.numpy as xnp

    return tree.map(xnp.asarray, xs)


def _as_it_is(f: Any = None, /, **_: Any) -> Any:
    return f if f is not None else lambda function: function


def auto_axes(f: Any = None, /, *, axes: Any = None, out_sharding: Any = None) -> Any:
    """The function itself: with one device, all types of axes mean the same."""
    return _as_it_is(f)


def explicit_axes(f: Any = None, /, *, axes: Any = None, in_sharding: Any = None) -> Any:
    """As `auto_axes`."""
    return _as_it_is(f)


# ---- functions of one device's part


def _over(function: Callable[..., Any], names: Iterable[Any]) -> Callable[..., Any]:
    """A function in which axes of these names have extent 1, for the functions of `xlac.lax` that take a name."""

    def within(inner: Callable[..., Any], name: Any) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            leaves, structure = tree.flatten((args, kwargs))

            def flat(parts: list[Any]) -> Any:
                given, named = tree.unflatten(structure, parts)
                return inner(*given, **named)

            made = vmap(flat, in_axes=None, out_axes=0, axis_name=name, axis_size=1)(leaves)
            return tree.map(lambda x: x[0], made)

        return call

    return functools.wraps(function)(functools.reduce(within, names, function))


def _specs_fit(what: str, specs: Any, mesh: Any) -> None:
    for spec in tree.leaves(specs, is_leaf=lambda x: isinstance(x, PartitionSpec)):
        for name in spec.names if isinstance(spec, PartitionSpec) else ():
            if name not in mesh.axis_names:
                raise trace.trace_error(f"shard_map: {what} names {name!r}; the mesh has {mesh.axis_names}")


def shard_map(
    f: Callable[..., Any] | None = None,
    /,
    *,
    out_specs: Any,
    in_specs: Any = None,
    mesh: Any = None,
    axis_names: Any = frozenset(),
    check_vma: bool = True,
    check_rep: bool = True,
) -> Any:
    """The function of one device's parts of arrays as one of whole arrays: with one device the parts are the arrays.

    Inside, the axes of the mesh are names for `xlac.lax.psum` and others.

    Args:
      f: the function; left out, a decorator is given.
      out_specs, in_specs: a `PartitionSpec` for each result and argument.
      mesh: the mesh; that of `set_mesh` if left out.
      axis_names: the axes to name, all if left out.
      check_vma, check_rep: accepted as in JAX.
    Raises: TraceError if a spec names an axis that the mesh does not have.
    """
    if f is None:
        return functools.partial(
            shard_map, out_specs=out_specs, in_specs=in_specs, mesh=mesh, axis_names=axis_names, check_vma=check_vma
        )
    chosen = _current[0] if mesh is None else mesh
    _specs_fit("in_specs", in_specs, chosen)
    _specs_fit("out_specs", out_specs, chosen)
    return _over(f, tuple(axis_names) or chosen.axis_names)


def smap(f: Callable[..., Any] | None = None, /, *, in_axes: Any = None, out_axes: Any, axis_name: Any) -> Any:
    """As `shard_map`, for one axis of the mesh."""
    if f is None:
        return functools.partial(smap, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name)
    return _over(f, (axis_name,))


def pmap(
    fun: Callable[..., Any],
    axis_name: Any = None,
    *,
    in_axes: Any = 0,
    out_axes: Any = 0,
    static_broadcasted_argnums: int | Iterable[int] = (),
    devices: Any = None,
    backend: str | None = None,
    axis_size: int | None = None,
    donate_argnums: int | Iterable[int] = (),
) -> Callable[..., Any]:
    """A compiled function of arrays whose mapped dimension counts the devices, and so has extent 1.

    Args:
      fun: a function of one device's arrays.
      axis_name: a name of the devices, for `xlac.lax.psum` and others.
      in_axes, out_axes: as for `vmap`.
      static_broadcasted_argnums: positions whose values are fixed at compile time.
      devices, backend: accepted as in JAX.
      axis_size: 1.
      donate_argnums: as for `jit`.
    Raises: TraceError if the mapped dimension has another extent; `vmap` is for these.
    """
    from xlac.api import jit

    fixed = (static_broadcasted_argnums,) if isinstance(static_broadcasted_argnums, int) else static_broadcasted_argnums
    fixed = frozenset(fixed)

    def mapped(*args: Any, **kwargs: Any) -> Any:
        moving = [k for k in range(len(args)) if k not in fixed]
        axes = tuple(in_axes[k] for k in moving) if isinstance(in_axes, (tuple, list)) else in_axes

        def one(*parts: Any, **named: Any) -> Any:
            given = dict(zip(moving, parts))
            return fun(*(given.get(k, a) if k in given else a for k, a in enumerate(args)), **named)

        one.__name__ = trace.name_of(fun)
        return vmap(one, axes, out_axes, axis_name, 1)(*(args[k] for k in moving), **kwargs)

    return jit(functools.wraps(fun)(mapped), static_argnums=tuple(fixed) or None, donate_argnums=donate_argnums)
