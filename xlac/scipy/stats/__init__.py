"""`xlac.scipy.stats`: distributions, each an object with `logpdf`, `pdf`, `cdf` and more, and sample statistics."""

from xlac.scipy.stats.continuous import (
    beta,
    cauchy,
    chi2,
    expon,
    gamma,
    gennorm,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    norm,
    pareto,
    t,
    truncnorm,
    uniform,
    vonmises,
    wrapcauchy,
)
from xlac.scipy.stats.discrete import (
    bernoulli,
    betabinom,
    binom,
    geom,
    nbinom,
    poisson,
)
from xlac.scipy.stats.kde import gaussian_kde
from xlac.scipy.stats.multivariate import (
    dirichlet,
    multinomial,
    multivariate_normal,
)
from xlac.scipy.stats.sample import (
    mode,
    rankdata,
    sem,
)

__all__ = [
    "bernoulli",
    "beta",
    "betabinom",
    "binom",
    "cauchy",
    "chi2",
    "dirichlet",
    "expon",
    "gamma",
    "gaussian_kde",
    "gennorm",
    "geom",
    "gumbel_l",
    "gumbel_r",
    "laplace",
    "logistic",
    "mode",
    "multinomial",
    "multivariate_normal",
    "nbinom",
    "norm",
    "pareto",
    "poisson",
    "rankdata",
    "sem",
    "t",
    "truncnorm",
    "uniform",
    "vonmises",
    "wrapcauchy",
]
