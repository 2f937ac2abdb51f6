"""Programs and libraries written for JAX run on xlac where `xlac.experimental.as_jax` gives them its modules."""

import importlib.util
import subprocess
import sys

import pytest

LIBRARY = '''
import jax
import jax.numpy as jnp
from jax import core, lax, tree_util
from jax.core import Tracer
from jax._src import traceback_util
from jax.experimental import checkify, layout
from jax.extend import core as extended
from jax.extend import linear_util as lu
from jax.interpreters import partial_eval as pe

if jax.__version_info__ < (0, 4, 34):
    raise ImportError("the library needs a newer jax")
traceback_util.register_exclusion(__file__)


class Interpreter(pe.Trace):
    """Never used here."""


@lu.transformation
def transformed(*args):
    yield args


@tree_util.register_pytree_node_class
class Line:
    def __init__(self, slope: jax.Array | pe.PartialVal, offset: "core.AbstractValue"):
        self.slope, self.offset = slope, offset

    def tree_flatten(self):
        return (self.slope, self.offset), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)

    @traceback_util.api_boundary
    def __call__(self, x):
        assert not isinstance(x, (core.Trace, pe.JaxprTracer, Interpreter))
        return lax.mul(self.slope, x) + self.offset


def is_traced(x):
    return isinstance(x, Tracer)


def state():
    return extended.get_opaque_trace_state(convention="lines")


def fit(line, x, y, steps):
    loss = lambda line: jnp.mean((line(x) - y) ** 2)

    @jax.jit
    def step(line, _):
        assert is_traced(line.slope)
        return jax.tree.map(lambda p, g: p - 0.3 * g, line, jax.grad(loss)(line)), None

    return lax.scan(step, line, None, length=steps)[0]
'''

PROGRAM = """
import sys
import jax
import jax.numpy as jnp
import lines

x = jnp.linspace(-1.0, 1.0, 9)
line = lines.fit(lines.Line(jnp.float32(0), jnp.float32(0)), x, 3 * x - 1, int(sys.argv[1]))
print(f"{line.slope:.3f} {line.offset:.3f}", lines.is_traced(line.slope))
outside, inside = lines.state(), []
jax.jit(lambda x: inside.append(lines.state()) or x)(x)
print(outside == lines.state(), outside == inside[0])
"""


def run(tmp_path, *command: str) -> str:
    (tmp_path / "lines.py").write_text(LIBRARY)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_code(tmp_path, code: str) -> str:
    return run(tmp_path, "-c", "import xlac.experimental.as_jax\n" + code)


def test_a_program_and_a_library_written_for_jax_run_unchanged(tmp_path):
    expected = ["3.000 -1.000 False", "True False"]
    assert run(tmp_path, "-m", "xlac.experimental.as_jax", "program.py", "200").splitlines() == expected
    (tmp_path / "importing.py").write_text("import xlac.experimental.as_jax\n" + PROGRAM)
    assert run(tmp_path, "importing.py", "200").splitlines() == expected


def test_the_modules_are_those_of_xlac_and_stay_theirs(tmp_path):
    code = """
import xlac, importlib
import jax, jax.numpy.linalg, jax.scipy.special as special, jax.experimental.sparse
assert jax.numpy is xlac.numpy and jax.jit is xlac.jit and special is importlib.import_module("xlac.scipy.special")
assert xlac.numpy.__spec__.name == "xlac.numpy" and xlac.__version__ != jax.__version__
assert not hasattr(xlac, "interpreters") and not hasattr(xlac.experimental, "sparse")
"""
    run_code(tmp_path, code)


def test_64_bit_types_are_taken_as_the_default_ones(tmp_path):
    code = """
import jax, jax.numpy as jnp, numpy as np
x, i, own = np.arange(3.0), np.arange(3), jnp.ones(3)

def found(own):
    values = [own * x, x + own, own.at[0].set(x[1]), jnp.sin(x), jnp.asarray(x), jnp.array(i)]
    values += [jnp.zeros(3, jnp.float64), own.astype(np.float64), own * np.int64(2), i + own, jnp.sum(i)]
    values += [jnp.exp(np.complex128(1j)), jnp.asarray(np.int64(3)), jnp.stack([x, x]), jax.device_put(x)]
    return values

eager = [v.dtype for v in found(own)]
traced = [v.dtype for v in jax.jit(found)(own)]
passed = jax.jit(lambda x, i: (x * 2, i + 1))(x, i)
print(eager == traced, sorted({t.itemsize for t in eager}), [v.dtype.name for v in passed])
assert passed[0].tolist() == [0, 2, 4] and passed[1].tolist() == [1, 2, 3]
print(jnp.result_type(jnp.float64).name, jax.grad(lambda x: jnp.sum(x * x))(x).dtype.name)
print(jax.lax.scan(lambda c, x: (c + x, x), jnp.zeros(()), x)[0].dtype.name)
jax.config.update("jax_enable_x64", True)
print(jnp.sin(x).dtype.name, jnp.asarray(i).dtype.name, jnp.zeros(3, jnp.float32).dtype.name)
"""
    assert run_code(tmp_path, code).splitlines() == [
        "True [4, 8] ['float32', 'int32']",
        "float32 float32",
        "float32",
        "float64 int64 float32",
    ]


def test_calling_an_internal_of_jax_is_refused_by_its_name(tmp_path):
    code = """
from jax.extend import linear_util as lu
from jax.interpreters import ad, partial_eval as pe
for call in (lu.wrap_init, ad.JVPTrace, pe.PartialVal.unknown):
    try:
        call(1)
    except NotImplementedError as error:
        print(error)
"""
    names = ("extend.linear_util.wrap_init", "interpreters.ad.JVPTrace", "interpreters.partial_eval.PartialVal.unknown")
    assert run_code(tmp_path, code).splitlines() == [
        f"jax.{name} is an internal of JAX that xlac does not have" for name in names
    ]


def test_a_module_that_neither_has_is_not_found(tmp_path):
    code = """
for name in ("jax.nump", "jax.numpy.linear", "jax.scipy.nothing"):
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        print(error)
try:
    from jax import nothing
except ImportError as error:
    print("cannot import name 'nothing'" in str(error))
"""
    expected = [f"{name} is not in xlac" for name in ("jax.nump", "jax.numpy.linear", "jax.scipy.nothing")]
    assert run_code(tmp_path, code).splitlines() == [*expected, "True"]


def test_it_is_refused_once_jax_itself_has_been_imported(tmp_path):
    (tmp_path / "jax.py").write_text("")
    code = """
import jax
try:
    import xlac.experimental.as_jax
except ValueError as error:
    print(error)
"""
    assert "jax itself has been imported already" in run(tmp_path, "-c", code)


TRAINING = """
import jax, jax.numpy as jnp, numpy as np
x = jnp.linspace(-1, 1, 32).reshape(16, 2)
y = (x[:, :1] - x[:, 1:] * 2 > 0.5).astype(jnp.float32)
def train(init, apply, steps=60):
    import optax
    params, optimizer = init(jax.random.key(0), x), optax.adam(0.05)
    loss = lambda p: optax.sigmoid_binary_cross_entropy(apply(p, x), y).mean()
    @jax.jit
    def step(params, state):
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, updates), state, value
    state = optimizer.init(params)
    first = loss(params)
    for _ in range(steps):
        params, state, value = step(params, state)
    assert value < 0.2 * first, (first, value)
"""

LIBRARIES = {
    "optax": "train(lambda key, x: {'w': jnp.zeros((2, 1)), 'b': 0.0}, lambda p, x: x @ p['w'] + p['b'], steps=200)",
    "flax": """
import flax.linen as nn
net = nn.Sequential([nn.Dense(8), nn.LayerNorm(), nn.gelu, nn.Dense(1)])
train(net.init, net.apply)
""",
    "haiku": """
import haiku as hk
net = hk.without_apply_rng(hk.transform(lambda x: hk.nets.MLP([8, 1])(x)))
train(net.init, net.apply)
""",
    "numpyro": """
import numpyro, numpyro.distributions as dist
from numpyro.infer import MCMC, NUTS
def model(data):
    mean = numpyro.sample("mean", dist.Normal(0, 10))
    numpyro.sample("data", dist.Normal(mean, 1), obs=data)
mcmc = MCMC(NUTS(model), num_warmup=100, num_samples=200, progress_bar=False)
mcmc.run(jax.random.key(0), 3 + x[:, 0])
assert abs(mcmc.get_samples()["mean"].mean() - (3 + x[:, 0]).mean()) < 0.1
""",
    "jaxopt": """
import jaxopt
found = jaxopt.LBFGS(lambda p: jnp.sum((p - jnp.arange(3)) ** 4)).run(jnp.ones(3)).params
assert np.allclose(found, [0, 1, 2], atol=0.05)
""",
    "jraph": """
import jraph
ends = {"senders": jnp.array([0, 1]), "receivers": jnp.array([1, 2])}
graph = jraph.GraphsTuple(x[:3], jnp.ones((2, 1)), globals=None, n_node=jnp.array([3]), n_edge=jnp.array([2]), **ends)
layer = jraph.GraphNetwork(lambda e, s, r, g: e + s[:, :1], lambda n, s, r, g: n + r)
assert np.allclose(jax.jit(layer)(graph).nodes[2], x[2] + 1 + x[1, 0])
""",
    "chex": """
import chex
chex.assert_trees_all_close({"a": x}, {"a": x + 1e-7}, atol=1e-6)
chex.assert_shape(x, (16, 2))
""",
    "einops": """
import einops
assert einops.rearrange(x, "(a b) c -> a (b c)", a=4).shape == (4, 8)
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_runs(tmp_path, name):
    missing = [x for x in {name, "optax"} if importlib.util.find_spec(x) is None]
    if missing:
        pytest.skip(f"{missing} not installed")
    run_code(tmp_path, TRAINING + LIBRARIES[name])
