"""The functions of the package's top level: thin, documented, no logic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xlac.frontend import autodiff as _autodiff
from xlac.frontend import jit as _jit
from xlac.frontend import stages as _stages
from xlac.frontend import trace as _trace
from xlac.options import Options


def jit(
    f: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Iterable[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    donate_argnums: int | Iterable[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    inline: bool = False,
    options: Options | None = None,
    in_shardings: Any = None,
    out_shardings: Any = None,
    device: Any = None,
    backend: str | None = None,
    compiler_options: Any = None,
) -> Any:
    """Compile `f` to native code on first use and reuse it for arguments of the same shapes and types.

    `f` runs as Python only while it is traced, so prints and other side effects happen once per compilation, not once
    per call; arrays it reads from outside are constants of the compiled program.

    Args:
      f: a function of arrays, numbers and nested tuples, lists, dicts, dataclasses of them; left out, a decorator is
        given.
      static_argnums: positions whose values are fixed at compile time; they must be hashable.
      static_argnames: the same by name.
      donate_argnums: positions whose memory the result may take over; do not read those arrays afterwards.
      donate_argnames: the same by name.
      keep_unused: accepted as in JAX; arguments that `f` does not use are part of the program all the same.
      inline: accepted as in JAX; inside another traced function `f` always becomes part of that one.
      options: how to compile; see `Options`.
      in_shardings, out_shardings, device, backend, compiler_options: accepted as in JAX; there is one device.
    Returns: a function called like `f` that gives NumPy arrays; it also has `trace`, `lower`, `eval_shape` and
      `clear_cache`.
    Raises: TraceError if `f` asks for the value of a traced array, as in `if x > 0`; the message shows that line.

    >>> xlac.jit(lambda x: x * 2 + 1)(np.arange(3, dtype=np.float32))
    array([1., 3., 5.], dtype=float32)
    """
    settings = {
        "static_argnums": static_argnums,
        "static_argnames": static_argnames,
        "donate_argnums": donate_argnums,
        "donate_argnames": donate_argnames,
        "options": options,
    }
    return _jit.jit(f, **settings)


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The function that gives the gradient of `fun`, by reverse-mode differentiation.

    Inside `jit` the derivative becomes part of the program. Outside, `fun` is traced anew at each call, and a program
    is compiled only if none of the same structure is at hand.

    Args:
      fun: a function that gives a float scalar.
      argnums: the positions, one or several, to differentiate by; these arguments hold floats.
      has_aux: `fun` gives a pair of the scalar and more results, which come back as they are.
      holomorphic: `fun` is complex and holomorphic.
      allow_int: arguments may hold integers and booleans; their gradients are zeros of type float0.
    Returns: a function called like `fun` that gives gradients nested as the arguments; with has_aux a pair of them
      and aux.
    Raises: TraceError if `fun` gives no float scalar, an argument holds no floats, or an operation has no derivative.

    >>> xlac.grad(lambda x: x**3)(2.0)
    array(12., dtype=float32)
    """
    return _autodiff.grad(fun, argnums, has_aux, holomorphic, allow_int)


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """As `grad`, but the function gives the pair (value, gradient); with has_aux ((value, aux), gradient)."""
    return _autodiff.value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The result of `fun(*primals)` and the function that pulls a cotangent of it back to the primals.

    Returns: (result, pullback), or (result, pullback, aux); `pullback(cotangent)` gives a tuple, one entry for each
      primal.

    >>> y, pullback = xlac.vjp(np.sin, 0.0)
    >>> pullback(1.0)
    (array(1., dtype=float32),)
    """
    return _autodiff.vjp(fun, *primals, has_aux=has_aux)


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The result of `fun(*primals)` and its derivative along the tangents, by forward-mode differentiation.

    Args:
      fun: a function of arrays and nested containers of them.
      primals: a tuple of its arguments.
      tangents: a tuple nested as `primals`, of the same shapes and types; integers and booleans have tangents of type
        `float0`, np.zeros(shape, xlac.float0).
      has_aux: `fun` gives a pair of the result and more, which comes back as it is.
    Returns: (result, tangent), or (result, tangent, aux).
    Raises: TraceError if a tangent does not fit its primal, or an operation has no forward rule.

    >>> xlac.jvp(np.sin, (0.0,), (2.0,))
    (array(0., dtype=float32), array(2., dtype=float32))
    """
    from xlac.frontend import forward

    return forward.jvp(fun, primals, tangents, has_aux)


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The result of `fun(*primals)` and the linear function that maps tangents of the primals to its derivative.

    `fun` is run once; the linear function may be called many times, with one tangent for each primal.

    Returns: (result, linear function), or with has_aux (result, linear function, aux).

    >>> y, push = xlac.linearize(np.sin, 0.0)
    >>> push(2.0)
    array(2., dtype=float32)
    """
    from xlac.frontend import forward

    return forward.linearize(fun, *primals, has_aux=has_aux)


def fwd_and_bwd(
    fun: Callable[..., Any], argnums: int | Sequence[int], has_aux: bool = False, jitted: bool = True
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`vjp` as two functions, `fwd(*args)` and `bwd(residuals, cotangent)`.

    The first gives (result, residuals), or (result, aux, residuals); the second
    the cotangents of the arguments at `argnums`: one for a single number, else a tuple.

    The residuals are for `bwd` alone.
    """
    numbers = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def fwd(*args: Any) -> tuple:
        def moving(*chosen: Any) -> Any:
            given = list(args)
            for n, value in zip(numbers, chosen):
                given[n] = value
            return fun(*given)

        value, pullback, *aux = _autodiff.vjp(moving, *(args[n] for n in numbers), has_aux=has_aux)
        return (value, *aux, pullback)

    def bwd(residuals: Callable[[Any], tuple], cotangent: Any) -> Any:
        made = residuals(cotangent)
        return made[0] if isinstance(argnums, int) else made

    return fwd, bwd


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple]:
    """The transpose of a function that is linear: from a cotangent of its result to those of its arguments.

    Only shapes and dtypes of the primals matter; `ShapeDtypeStruct`s will do.

    >>> xlac.linear_transpose(lambda x: 3 * x, np.float32(0))(np.float32(2))
    (array(6., dtype=float32),)
    """
    return _autodiff.linear_transpose(fun, *primals)


def jacfwd(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The function that gives the Jacobian of `fun`, column by column in forward mode: best for tall Jacobians.

    Returns: a function called like `fun`. For each result of shape r and argument of shape a it gives an array of
      shape (*r, *a), nested as the results and in them as the arguments; with has_aux a pair with aux.
    Raises: TraceError as `jvp`; arguments hold real floats, or complex numbers where `holomorphic`.

    >>> xlac.jacfwd(lambda x: x**2)(np.array([1, 2], np.float32))
    array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    from xlac.frontend import jacobians

    return jacobians.jacfwd(fun, argnums, has_aux, holomorphic)


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """As `jacfwd`, row by row in reverse mode: best for wide Jacobians."""
    from xlac.frontend import jacobians

    return jacobians.jacrev(fun, argnums, has_aux, holomorphic, allow_int)


jacobian = jacrev


def hessian(
    fun: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The function that gives the second derivatives of `fun`: `jacfwd(jacrev(fun))`.

    For a result of shape r and arguments of shapes a and b the shape is (*r, *a, *b).

    >>> xlac.hessian(lambda x: (x**3).sum())(np.array([1, 2], np.float32))
    array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    from xlac.frontend import jacobians

    return jacobians.hessian(fun, argnums, has_aux, holomorphic)


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
) -> Callable[..., Any]:
    """A function of one example, made a function of many: one program for all, no loop.

    Args:
      fun: a function of arrays and nested containers of them.
      in_axes: which dimension of the arguments counts the examples, or None for what all share: one number for all
        arguments, or a tuple with, for each, a number or containers of numbers that are a prefix of it. Arguments by
        name are mapped along dimension 0.
      out_axes: where that dimension is in the results, likewise; None for results equal for all examples.
      axis_name: a name of the examples, by which `fun` can combine them: `xlac.lax.psum(x, axis_name)` and others.
      axis_size: the number of examples, where no argument tells.
      spmd_axis_name: accepted as in JAX, without effect on one device.
    Returns: a function called like `fun`.
    Raises: TraceError if the extents differ, axes do not fit, or an operation has no batching rule.

    >>> xlac.vmap(np.dot)(np.eye(2, dtype=np.float32), np.ones((2, 2), np.float32))
    array([1., 1.], dtype=float32)
    """
    from xlac.frontend import batching

    return batching.vmap(fun, in_axes, out_axes, axis_name, axis_size, spmd_axis_name)


def checkpoint(
    fun: Callable[..., Any] | None = None,
    *,
    prevent_cse: bool = True,
    policy: Callable[[Any], bool] | None = None,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
    concrete: bool = False,
) -> Callable[..., Any]:
    """`fun`, whose intermediate values are computed again for its gradient instead of being kept: memory for time.

    Args:
      fun: the function; left out, a decorator is given.
      prevent_cse: accepted as in JAX; the second computation is always kept apart from the first.
      policy: which results are kept all the same, a function of an instruction; see `xlac.checkpoint_policies`.
      static_argnums: positions of arguments that are no arrays.
      static_argnames: the same by name.
      concrete: accepted as in JAX.
    """
    from xlac.frontend.checkpoint import checkpoint

    return checkpoint(fun, policy=policy, static_argnums=static_argnums, static_argnames=static_argnames)


remat = checkpoint


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The results' shapes and dtypes, nested as the results, without computing or compiling anything.

    Arguments are arrays, or anything with `shape` and `dtype`, such as `ShapeDtypeStruct`.
    """
    return _stages.eval_shape(fun, *args, **kwargs)


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    vmap_method: str | None = None,
    vectorized: bool | None = None,
    **kwargs: Any,
) -> Any:
    """Call a Python function of NumPy arrays from a program, for its result.

    The function must be pure: calls may be left out, repeated or merged. It has no derivative; give the function around
    it one with `custom_jvp` or `custom_vjp`.

    Args:
      callback: called with NumPy arrays nested as `args` and `kwargs` are.
      result_shape_dtypes: what it gives, arrays or `ShapeDtypeStruct`s nested as its results.
      sharding: accepted as in JAX.
      vmap_method: what `vmap` does: "sequential" calls the function for each example; "expand_dims" and "broadcast_all"
        call it once with the examples along a leading axis, of extent 1 or repeated where all share an argument. None
        refuses `vmap`.
      vectorized: the older form: True for one call, False for "sequential".
    Raises: EvaluateError, when the program runs, if the results have other shapes or types. What `callback` raises
      ends the program and reaches its caller.

    >>> spec = xlac.ShapeDtypeStruct((), np.float32)
    >>> xlac.jit(lambda x: xlac.pure_callback(np.sin, spec, x))(np.float32(0))
    array(0., dtype=float32)
    """
    from xlac.frontend import effects

    return effects.pure_callback(
        callback,
        result_shape_dtypes,
        *args,
        sharding=sharding,
        vmap_method=vmap_method,
        vectorized=vectorized,
        **kwargs,
    )


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    sharding: Any = None,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """Call a Python function with effects from a program: just as often as the program comes by, and in its order.

    As `pure_callback`, but calls are never left out, repeated or merged. Under `vmap` the function is called for each
    example, or refused where `ordered`.
    """
    from xlac.frontend import effects

    return effects.io_callback(callback, result_shape_dtypes, *args, sharding=sharding, ordered=ordered, **kwargs)


def make_hlo(fun: Callable[..., Any], static_argnums: int | Iterable[int] = ()) -> Callable[..., Any]:
    """A function that gives the module which `fun` is traced to for given arguments, as JAX's `make_jaxpr` does.

    >>> print(xlac.make_hlo(lambda x: x + 1)(np.float32(0)).entry.root.opcode.name)
    add
    """

    def make(*args: Any, **kwargs: Any) -> Any:
        return _jit.jit(fun, static_argnums=static_argnums).trace(*args, **kwargs).module

    return make


def named_scope(name: str) -> Any:
    """A context (or decorator) in which instructions have `name` in their op_name, as `jit(f)/name/add`."""
    return _trace.named_scope(name)


def disable_jit(disable: bool = True) -> Any:
    """A context in which jitted functions run as Python, line by line, so that one can look at values and step through.

    `scan`, `while_loop`, `fori_loop`, `cond`, `switch` and `map` of concrete arrays run as Python too. `grad`, `vmap`
    and the like still trace what they transform.
    """
    return _trace.disable_jit(disable)


def ensure_compile_time_eval() -> Any:
    """A context in which functions of concrete arrays are computed at once, inside a traced function too.

    Functions of traced values are traced as elsewhere.
    """
    return _trace.evaluated()


def effects_barrier() -> None:
    """Wait until the effects of all programs have taken place; a call returns when they have, so there is no wait."""


def typeof(x: Any) -> Any:
    """Shape and dtype of an array, a traced value or a Python number, as a `ShapeDtypeStruct`."""
    from xlac.frontend import dtypes

    return _stages.ShapeDtypeStruct(tuple(getattr(x, "shape", ())), dtypes.type_of(x)[0])


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """`fun` in a `named_scope`, by default of its own name."""
    scope = getattr(fun, "__name__", type(fun).__name__) if name is None else name

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        with named_scope(scope):
            return fun(*args, **kwargs)

    return call


def compile(text_or_module: Any, *, format: str | None = None, options: Options | None = None) -> Any:
    """Compile a module, or HLO or StableHLO text, to an executable.

    Args:
      text_or_module: an `xlac` module, or the text of one.
      format: "hlo" or "stablehlo"; found out from the text if omitted.
      options: an `Options`.

    Raises:
      ParseError, VerifyError, CompileError: the text or module is wrong, or cannot be compiled for the target.
    """
    from xlac.compiler import compile_module
    from xlac.ir.module import Module

    if isinstance(text_or_module, Module):
        return compile_module(text_or_module, options)
    return compile_module(parse(text_or_module, format), options)


def parse(text: str, format: str | None = None) -> Any:
    """The module of a text in HLO or StableHLO; the language is found out from the text if `format` is omitted."""
    from xlac.text import detect_format

    chosen = format or detect_format(text)
    if chosen == "hlo":
        from xlac.text.hlo_parser import parse_hlo

        return parse_hlo(text)
    if chosen == "stablehlo":
        from xlac.text.stablehlo_parser import parse_stablehlo

        return parse_stablehlo(text)
    raise ValueError(f"format is {format!r}; it must be 'hlo' or 'stablehlo'")
