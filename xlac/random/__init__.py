"""`xlac.random`: random numbers that are functions of a key, with the names and the bits of `jax.random`.

Keys are arrays in two forms, which give the same numbers: `key(seed)` makes a uint64[] that holds both words, with the
shape of JAX's typed keys, so that arrays of keys have the keys' shape; `PRNGKey(seed)` makes the words, uint32[2].
Every function takes both, and keys made from keys have their form. Use every key once; get more with `split` or
`fold_in`. The same key always gives the same numbers, on arrays and under `jit`: those of JAX's default generator
(threefry2x32, partitionable). They are equal bit for bit where integers and exact float operations are involved alone
(bits, uniform in [0, 1), randint, bernoulli, permutation, ...), and as far as rounding goes otherwise.

Keys of the generators "rbg" and "unsafe_rbg" have one form, their words uint32[4]. Their bits are JAX's too, but for
gamma and what is made from it, and under `vmap`, where each key gives the numbers that it gives by itself.

Without a dtype, samples are float32 and int32. Samples of gamma, and of what is made from them, have derivatives by
their parameters, at fixed quantiles.
"""

from xlac.random.continuous import (
    cauchy,
    double_sided_maxwell,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    maxwell,
    multivariate_normal,
    normal,
    orthogonal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    wald,
    weibull_min,
)
from xlac.random.discrete import (
    bernoulli,
    categorical,
    choice,
    geometric,
    permutation,
    rademacher,
    randint,
)
from xlac.random.keys import (
    PRNGKey,
    bits,
    clone,
    fold_in,
    key,
    key_data,
    key_dtype,
    key_impl,
    split,
    uniform,
    wrap_key_data,
)
from xlac.random.rejection import (
    ball,
    beta,
    binomial,
    chisquare,
    dirichlet,
    f,
    gamma,
    generalized_normal,
    loggamma,
    multinomial,
    poisson,
    t,
)

__all__ = [
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "rayleigh",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]
