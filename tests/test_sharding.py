"""Meshes, shardings and maps over devices, of which there is one: what programs for several do with it."""

import functools

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax, random
from xlac.errors import OptionError, ShapeError, TraceError
from xlac.sharding import AxisType, Mesh, NamedSharding, P, SingleDeviceSharding, get_mesh

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture
def mesh():
    return xlac.make_mesh((xlac.device_count(), 1), ("data", "model"))


def test_a_mesh_tells_its_axes(mesh):
    assert (mesh.axis_names, dict(mesh.shape), mesh.size) == (("data", "model"), {"data": 1, "model": 1}, 1)
    assert mesh == Mesh(np.array(xlac.devices()).reshape(1, 1), ("data", "model"))
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto)


def test_several_devices_are_refused():
    with pytest.raises(OptionError, match="8 devices; there is one"):
        xlac.make_mesh((2, 4), ("x", "y"))
    with pytest.raises(OptionError, match="2 devices"):
        Mesh(xlac.devices() * 2, "x")
    with pytest.raises(TraceError, match="equal extents"):
        xlac.pmap(lambda x: x)(X)


def test_the_mesh_of_a_context_is_current_inside(mesh):
    assert get_mesh().empty
    with mesh:
        assert get_mesh() is mesh
        with xlac.set_mesh(Mesh(xlac.devices(), "x")):
            assert get_mesh().axis_names == ("x",)
        assert get_mesh() is mesh
    assert get_mesh().empty


def test_shardings_leave_arrays_whole(mesh):
    sharding = NamedSharding(mesh, P("data", None))
    assert sharding.shard_shape((4, 6)) == (4, 6) and sharding.is_fully_replicated
    step = xlac.jit(lambda x: lax.with_sharding_constraint(x * 2, sharding), in_shardings=sharding)
    placed = xlac.device_put(X, sharding)
    np.testing.assert_array_equal(step(placed), 2 * X)
    np.testing.assert_array_equal(xlac.reshard(placed, sharding), X)
    assert placed.sharding == SingleDeviceSharding(xlac.devices()[0]) and placed.devices() == set(xlac.devices())
    np.testing.assert_array_equal(placed.addressable_data(0), X)
    np.testing.assert_array_equal(placed.addressable_shards[0].data, X)
    with pytest.raises(OptionError, match="'model2'; the mesh has"):
        NamedSharding(mesh, P("model2"))
    # Functions take the keyword, whether or not they run at once.
    draw = functools.partial(random.normal, shape=(2,), out_sharding=sharding)
    np.testing.assert_array_equal(draw(random.key(0)), xlac.jit(draw)(random.key(0)))


def test_arrays_are_made_of_the_one_part(mesh):
    sharding = NamedSharding(mesh, P())
    np.testing.assert_array_equal(xlac.make_array_from_callback((2, 3), sharding, lambda i: X[i]), X)
    np.testing.assert_array_equal(xlac.make_array_from_single_device_arrays((2, 3), sharding, [X]), X)
    np.testing.assert_array_equal(xlac.make_array_from_process_local_data(sharding, X), X)
    with pytest.raises(ShapeError, match=r"\(2, 3\); it must be \(4,\)"):
        xlac.make_array_from_callback((4,), sharding, lambda i: X)


def test_shard_map_names_the_axes_of_the_mesh(mesh):
    def part(x, w):
        mean = lax.pmean(x @ w, "data")
        return lax.pcast(mean, "data", to="varying"), lax.axis_index("model") + lax.axis_size("data")

    mapped = xlac.shard_map(part, mesh=mesh, in_specs=(P("data"), P()), out_specs=(P("data"), P()))
    for function in (mapped, xlac.jit(mapped)):
        product, number = function(X, np.eye(3, dtype=np.float32))
        np.testing.assert_array_equal(product, X)
        assert number == 1
    gradient = xlac.grad(lambda x: (mapped(x, np.eye(3, dtype=np.float32))[0] ** 2).sum())(X)
    np.testing.assert_array_equal(gradient, 2 * X)
    with pytest.raises(TraceError, match="names 'rows'"):
        xlac.shard_map(part, mesh=mesh, in_specs=(P("rows"), P()), out_specs=P())


def test_pmap_is_vmap_over_the_device():
    step = xlac.pmap(lambda scale, x, y: lax.psum(x * y, "i") * scale, "i", static_broadcasted_argnums=0, in_axes=0)
    np.testing.assert_array_equal(step(3, X[None], X[None]), 3 * X[None] ** 2)
    unmapped = xlac.pmap(lambda x, y: {"sum": x + y}, in_axes=(0, None))
    np.testing.assert_array_equal(unmapped(X[None], 1.0)["sum"], X[None] + 1)


def test_arrays_answer_what_jaxs_do():
    x = xnp.ones((2, 3))
    assert x.is_fully_addressable and x.is_ready() and not x.is_deleted() and x.on_device_size_in_bytes() == 24
    assert x.aval == xlac.ShapeDtypeStruct((2, 3), np.float32)
    assert any(a is x for a in xlac.live_arrays())
    assert xlac.copy_to_host_async(x) is x and x.copy_to_host_async() is None
    assert "xlac:" in xlac.print_environment_info(return_string=True)


def test_older_names_and_those_of_several_processes_mean_the_one():
    from xlac.experimental import mesh_utils, multihost_utils
    from xlac.experimental.shard_map import shard_map

    mesh = Mesh(mesh_utils.create_device_mesh((1, 1)), ("x", "y"))
    mapped = shard_map(lambda x: lax.psum(x, ("x", "y")), mesh, (P("x"),), P())
    np.testing.assert_array_equal(mapped(X), X)
    assert multihost_utils.process_allgather({"x": X})["x"].shape == (1, 2, 3)
    np.testing.assert_array_equal(multihost_utils.process_allgather(X, tiled=True), X)
    np.testing.assert_array_equal(multihost_utils.host_local_array_to_global_array(X, mesh, P()), X)
    assert multihost_utils.broadcast_one_to_all(3) == 3
    xlac.distributed.initialize(num_processes=1)
    assert xlac.distributed.is_initialized()
    xlac.distributed.shutdown()
    assert not xlac.distributed.is_initialized()
    with pytest.raises(OptionError, match="num_processes is 4"):
        xlac.distributed.initialize("host:1", 4, 0)
