"""What is wrong in a traced function is said with the user's line, the operands' types and shapes, and a way out.

One table: a case is a function, its arguments, the class of the error and pieces of its message in order.
"""

import numpy as np
import pytest

import xlac
import xlac.numpy as xnp
from xlac import lax
from xlac.errors import AxisError, ShapeError, TraceError

F = np.ones((3, 4), np.float32)
G = np.ones((5, 6), np.float32)
V = np.ones(4, np.float32)
N = np.arange(3, dtype=np.int64)
S = np.float32(2)
I = np.int32(3)  # noqa: E741

VALUES = [  # asking for a value that is not known yet
    (lambda x: 1 if x > 0 else 2, [S], ["the truth value of a traced value bool[]", "lax.cond", "depends on x;"]),
    (lambda x, d: int(d["w"][x]), [I, {"w": V}], ["int() of a traced value", "depends on x, d['w'];"]),
    (lambda x, y: xlac.vmap(lambda v: float(v + y))(x), [V, S], ["depends on x, y;"]),
    (lambda x, y: lax.scan(lambda c, v: (c + y, [1][v]), S, x), [V.astype(int), S], ["depends on x;"]),
    (lambda x: x > 0 and x < 1, [S], ["the truth value of a traced value bool[]", "& | ~"]),
    (lambda x: not x, [S], ["the truth value of a traced value float32[]"]),
    (lambda x: max(x[0], x[1]), [V], ["the truth value of a traced value bool[]"]),
    (lambda x: 1.0 in x, [V], ["the truth value"]),
    (lambda x: int(x), [S], ["int() of a traced value float32[]", "static_argnums"]),
    (lambda x: float(x), [S], ["float() of a traced value float32[]"]),
    (lambda x: complex(x), [S], ["complex() of a traced value float32[]"]),
    (lambda x: round(x.item()), [S], ["item() of a traced value float32[]"]),
    (lambda x: x.tolist(), [V], ["tolist() of a traced value float32[4]"]),
    (lambda x: [1, 2][x], [I], ["the integer value of a traced value int32[]", "list indices must be fixed"]),
    (lambda x: [i for i in range(x)], [I], ["the integer value of a traced value int32[]", "fori_loop"]),
    (lambda x: "abc" * x, [I], ["the integer value"]),
    (lambda x: np.asarray(x), [F], ["the NumPy array of a traced value float32[3,4]", "xlac.numpy.asarray"]),
    (lambda x: np.array([x, x]), [S], ["the NumPy array of a traced value float32[]", "xlac.numpy.stack"]),
    (lambda x: {x: 1}, [S], ["the hash of a traced value float32[]"]),
    (lambda x: {x}, [S], ["the hash of a traced value float32[]"]),
    (lambda x: f"{x:.2f}", [S], ["the formatted text of a traced value float32[]", "debug.print"]),
    (lambda x: __import__("math").sin(x), [S], ["float() of a traced value float32[]"]),
    (lambda x, i: x[:i], [V, I], ["the bounds of a slice are traced", "dynamic_slice_in_dim"]),
    (lambda x, i: x[i:], [V, I], ["the bounds of a slice are traced"]),
    (lambda x: xnp.zeros(x), [I], ["the integer value of a traced value int32[]", "shapes"]),
    (lambda x: xnp.zeros((x, 2)), [I], ["the integer value of a traced value int32[]"]),
    (lambda x, n: x.reshape(n, -1), [V, I], ["the integer value of a traced value int32[]"]),
    (lambda x, n: xnp.arange(n), [V, I], ["the integer value of a traced value int32[]"]),
    (lambda x, n: x.sum(axis=n), [F, I], ["the integer value of a traced value int32[]"]),
    (lambda x: x[x > 0], [F], ["a traced bool mask cannot index", "xlac.numpy.where"]),
    (lambda x: list(x), [S], ["a traced scalar, float32[], cannot be iterated over"]),
    (lambda x: len(x), [S], ["len() of a traced scalar, float32[]"]),
    (lambda x: x.__setitem__(0, 1), [V], ["cannot be changed in place", "x.at[index].set(value)"]),
    (lambda x: np.zeros(4, np.float32).__iadd__(x), [V], ["cannot be written into an array"]),
    (lambda x: xnp.sin("a"), [V], ["'a' of type str is not an array"]),
    (lambda x: "text", [V], ["returns 'text' of type str"]),
    (lambda x: {"a": object()}, [V], ["returns <object object", "at ['a']"]),
]

SHAPES = [  # operands that do not fit
    (lambda x, y: x + y, [F, G], ["add: float32[3,4] and float32[5,6] do not broadcast"]),
    (lambda x, y: np.add(x, y), [F, G], ["add: float32[3,4] and float32[5,6]"]),
    (lambda x, y: lax.add(x, y), [F, V], ["add: operands float32[3,4] and float32[4]", "one shape"]),
    (lambda x, y: lax.add(x, y), [V, N], ["add: operands float32[4] and int64[3]", "one type"]),
    (lambda x, y: x @ y, [F, G], ["matmul: operands float32[3,4] and float32[5,6]"]),
    (lambda x, y: x @ y, [V, G], ["matmul: operands float32[4] and float32[5,6]"]),
    (lambda x, y: x @ y, [F, S], ["matmul: operands float32[3,4] and float32[]", "scalars"]),
    (lambda x, y: np.dot(x, y), [F, G], ["dot: operands float32[3,4] and float32[5,6]"]),
    (lambda x, y: xnp.einsum("ij,jk->ik", x, y), [F, G], ["'j'", "4 of float32[3,4] and 5 of float32[5,6]"]),
    (lambda x: xnp.einsum("ijk->i", x), [F], ["einsum", "float32[3,4]", "one letter a dimension"]),
    (lambda x, y: xnp.tensordot(x, y, 1), [F, G], ["tensordot: axis 1 of float32[3,4] is 4", "float32[5,6] is 5"]),
    (lambda x, y: xnp.concatenate([x, y]), [F, G], ["concatenate: operand 1 is float32[5,6]", "float32[3,4]"]),
    (lambda x, y: np.concatenate([x, y]), [F, V], ["concatenate: operand 1 is float32[4]", "float32[3,4]"]),
    (lambda x, y: xnp.stack([x, y]), [F, G], ["stack: arrays float32[3,4] and float32[5,6]"]),
    (lambda x, y: xnp.where(x > 0, x, y), [F, G], ["where: bool[3,4] and float32[3,4] and float32[5,6]"]),
    (lambda x, y: lax.select(x > 0, x, y), [F, G], ["select: operands float32[3,4] and float32[5,6]"]),
    (lambda x: x.reshape(5, 3), [F], ["reshape: an array float32[3,4] has 12 elements", "[5, 3] needs 15"]),
    (lambda x: lax.transpose(x, (0,)), [F], ["transpose", "float32[3,4]"]),
    (lambda x: x.squeeze(0), [F], ["squeeze: dimension 0 of an array float32[3,4] is 3 long"]),
    (lambda x: xnp.broadcast_to(x, (4, 4)), [F], ["broadcast_to: an array float32[3,4]", "[4, 4]"]),
    (lambda x: x[0, 0, 0], [F], ["3 indices for an array float32[3,4]"]),
    (lambda x: x["a"], [F], ["'a' is no index"]),
    (lambda x: x[0.5], [F], ["0.5 is no index"]),
    (lambda x: x[7], [F], ["index 7 is out of range for dimension 0 of an array float32[3,4]"]),
    (lambda x: x[np.array([0.5])], [F], ["an index array is of type float64"]),
    (lambda x: x[np.array([True, False])], [F], ["a bool mask of shape bool[2]"]),
    (lambda x, y: x.at[0].set(y), [F, G], ["values of shape float32[5,6] do not broadcast", "[4]"]),
    (lambda x: lax.dynamic_slice(x, (0,), (2, 2)), [F], ["dynamic_slice: 1 start indices", "float32[3,4]"]),
    (lambda x: lax.dynamic_slice(x, (0, 0), (9, 2)), [F], ["dynamic-slice: sizes [9, 2]", "float32[3,4]"]),
    (lambda x: xnp.linalg.inv(x), [F], ["inv: an array float32[3,4]; it must be square"]),
    (lambda x: xnp.linalg.cholesky(x), [V], ["cholesky: an array float32[4]"]),
    (lambda x: lax.cond(x > 0, lambda: x, lambda: x), [V], ["cond: pred is of shape bool[4]"]),
]

AXES = [  # axes that there are not
    (lambda x: x.sum(axis=2), [F], ["sum: axis 2 of an array of 2 dimensions", "-2 to 1"]),
    (lambda x: np.mean(x, axis=-3), [F], ["mean: axis -3"]),
    (lambda x: xnp.argmax(x, 4), [F], ["argmax: axis 4"]),
    (lambda x: xnp.sort(x, axis=2), [F], ["sort: axis 2"]),
    (lambda x: xnp.cumsum(x, axis=2), [F], ["cumsum: axis 2"]),
    (lambda x: xnp.concatenate([x, x], 3), [F], ["concatenate: axis 3"]),
    (lambda x: xnp.swapaxes(x, 0, 3), [F], ["swapaxes: axis 3"]),
    (lambda x: x.transpose(0, 2), [F], ["transpose: axis 2"]),
    (lambda x: xnp.expand_dims(x, 5), [F], ["expand_dims: axis 5"]),
    (lambda x: xnp.moveaxis(x, 0, 4), [F], ["moveaxis: axis 4"]),
    (lambda x: xnp.flip(x, 2), [F], ["flip: axis 2"]),
    (lambda x: xnp.take(x, np.array([0]), axis=3), [F], ["take: axis 3"]),
    (lambda x: x.sum(axis=0), [S], ["sum: axis 0 of an array of 0 dimensions; a scalar has no axes"]),
]

BODIES = [  # loops and branches whose types do not agree
    (lambda x: lax.scan(lambda c, a: (xnp.stack([c, c]), a), S, x), [V], ["scan", "float32[2]", "got float32[]"]),
    (lambda x: lax.scan(lambda c, a: (c.astype(np.int32), a), S, x), [V], ["int32[] for the carry", "float32[]"]),
    (lambda x: lax.scan(lambda c, a: ((c, c), a), S, x), [V], ["scan: the body gives a carry nested as"]),
    (lambda x: lax.scan(lambda c, a: c, S, x), [V], ["scan: f gives", "a pair (carry, y)"]),
    (lambda x, y: lax.scan(lambda c, a: (c, a), S, (x, y)), [F, G], ["xs[1], float32[5,6], has 5", "expected 3"]),
    (lambda x: lax.scan(lambda c, a: (c, a), S, x), [S], ["scan: xs is a scalar, float32[]"]),
    (lambda x: lax.while_loop(lambda s: s < 3, lambda s: xnp.stack([s, s]), x), [S], ["while_loop", "float32[2]"]),
    (lambda x: lax.while_loop(lambda s: s < 3, lambda s: s * 1.5, x), [I], ["while_loop", "float32[]", "int32[]"]),
    (lambda x: lax.while_loop(lambda s: s, lambda s: s, x), [S], ["the condition gives float32[]", "bool scalar"]),
    (lambda x: lax.fori_loop(0, 3, lambda i, s: (s, s), x), [S], ["the body gives a carry nested as"]),
    (lambda x: lax.cond(x[0] > 0, lambda: x, lambda: x[0]), [V], ["cond", "float32[4] from true_fun, float32[]"]),
    (lambda x: lax.cond(x[0] > 0, lambda: x, lambda: x > 0), [V], ["cond", "float32[4] from true_fun, bool[4]"]),
    (lambda x: lax.cond(x[0] > 0, lambda: (x, x), lambda: x), [V], ["cond: false_fun gives results nested as"]),
    (lambda x: lax.cond(x[0] > 0, x, x), [V], ["cond takes (pred, true_fun, false_fun, *operands)"]),
    (lambda x: lax.switch(x, [lambda: 1, lambda: 2]), [S], ["switch: index is float32[]"]),
]

TRANSFORMS = [  # functions that cannot be differentiated or mapped as asked
    (lambda x: xlac.grad(lambda v: v.sum())(x), [N], ["grad: argument 0", "int64[3]", "floats only"]),
    (lambda x: xlac.grad(lambda v: v)(x), [V], ["grad", "gives an array float32[4]", "scalar"]),
    (lambda x: xlac.grad(lambda v: (v.sum(), v))(x), [V], ["grad", "gives a tuple", "has_aux"]),
    (lambda x: xlac.grad(lambda v: None)(x), [V], ["grad", "gives a NoneType"]),
    (lambda x: xlac.grad(lambda v: v.sum().astype(np.int32))(x), [V], ["grad", "gives int32[]", "float scalar"]),
    (lambda x: xlac.grad(lambda v: v.sum(), argnums=2)(x), [V], ["grad: argnums=2", "1 positional arguments"]),
    (lambda x, y: xlac.jvp(lambda v: v, (x,), (y,)), [F, V], ["jvp: argument 0", "float32[3,4]", "float32[4]"]),
    (lambda x: xlac.vjp(lambda v: v * 2, x)[1](x[0]), [V], ["vjp: the cotangent", "float32[]", "[4]"]),
    (lambda x, y: xlac.vmap(lambda a, b: a + b)(x, y), [F, G], ["vmap", "float32[3,4]", "float32[5,6]"]),
    (lambda x: xlac.vmap(lambda a: a)(x), [S], ["vmap: axis 0 of argument [0]", "float32[]", "a scalar has none"]),
    (lambda x: xlac.vmap(lambda a: a, 2)(x), [F], ["vmap: axis 2 of argument [0]", "float32[3,4]", "-2 to 1"]),
    (lambda x: xlac.vmap(lambda a: a, in_axes=(0, 0))(x), [F], ["vmap: in_axes has 2 entries", "1 positional"]),
    (lambda x: xlac.vmap(lambda a: a, in_axes="x")(x), [F], ["vmap: in_axes is 'x'"]),
]


def cases(table, error):
    return [pytest.param(f, args, error, pieces, id=pieces[0][:50]) for f, args, pieces in table]


ALL = [
    *cases(VALUES, TraceError),
    *cases(SHAPES, (ShapeError, TraceError)),
    *cases(AXES, AxisError),
    *cases(BODIES, TraceError),
    *cases(TRANSFORMS, (TraceError, TypeError)),
]


def check(caught, pieces):
    message = str(caught.value)
    position = 0
    for piece in pieces:
        position = message.find(piece, position)
        assert position >= 0, f"{piece!r} is not in {message!r}"


@pytest.mark.parametrize("function, args, error, pieces", ALL)
def test_a_fault_names_line_operands_and_remedy(function, args, error, pieces):
    with pytest.raises(error) as caught:
        xlac.jit(function)(*args)
    check(caught, pieces)
    message = str(caught.value)
    if isinstance(caught.value, xlac.errors.XlacError):
        line = function.__code__.co_firstlineno
        traced = message.startswith(f"{__file__}:{line}: ")
        returned = "returns" in message and message.startswith(f"{__file__}:")  # it is the call that is at fault
        assert traced or returned, message


# ---- traced values that outlive their function


def escaped(what):
    """A traced value of a function that has returned."""
    kept = []

    def f(x):
        if what == "argument":
            kept.append(x)
        elif what == "result":
            kept.append(x * 2)  # made here
        else:
            lax.scan(lambda c, a: (kept.append(c) or c, a), x[0], x)
        return x

    xlac.jit(f)(V)
    return kept[0], f.__code__.co_firstlineno


USES = {
    "operator": lambda x: x + 1,
    "numpy": lambda x: np.sin(x),
    "function": lambda x: xnp.sin(x),
    "truth": lambda x: bool(x),
    "array": lambda x: np.asarray(x),
    "argument": lambda x: xlac.jit(lambda y: y)(x),
    "closure": lambda x: xlac.jit(lambda y: y + x)(V),
    "grad": lambda x: xlac.grad(lambda y: (y * x).sum())(V),
    "vmap": lambda x: xlac.vmap(lambda y: y * x)(V),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("what", ["argument", "result", "carry"])
def test_a_value_that_escapes_names_where_it_is_from(what, use):
    value, line = escaped(what)
    with pytest.raises(TraceError) as caught:
        use(value)
    shape = "float32[]" if what == "carry" else "float32[4]"
    where = {
        "argument": f"an argument (x) of f at {__file__}:{line}",
        "result": f"made at {__file__}:{line + 4} in f",
        "carry": "of f",
    }[what]
    check(caught, [f"{__file__}:", f"a traced value {shape}", where, "is used outside the function"])


def test_repr_of_an_escaped_value_is_no_error():
    assert "f32[4]" in repr(escaped("argument")[0])


# ---- settings of jit


@pytest.mark.parametrize(
    "call, error, pieces",
    [
        (lambda: xlac.jit(lambda x, n: x, static_argnums=1)(V, [1]), TraceError, ["static argument 1", "not hashable"]),
        (lambda: xlac.jit(lambda x, n: x, static_argnums=1)(V, V), TraceError, ["static argument 1", "ndarray"]),
        (
            lambda: xlac.jit(lambda x, n: x, static_argnames="m"),
            ValueError,
            ["static_argnames='m'", "no such argument"],
        ),
        (lambda: xlac.jit(lambda x: x, donate_argnums=1), ValueError, ["donate_argnums=1"]),
        (lambda: xlac.jit(3), TypeError, ["jit takes a function, got 3"]),
        (lambda: xlac.jit(lambda x: x)("text"), TraceError, ["argument x of <lambda> is 'text'", "static_argnums"]),
        (
            lambda: xlac.jit(lambda x: x)(V.astype(object)),
            ShapeError,
            ["argument x of <lambda>", "not an element type"],
        ),
        (lambda: xlac.jit(lambda x: x)(V, V), TypeError, ["positional argument"]),
    ],
)
def test_a_wrong_call_is_named(call, error, pieces):
    with pytest.raises(error) as caught:
        call()
    check(caught, pieces)
