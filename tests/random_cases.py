"""Calls of `xlac.random` that `jax.random` takes alike: the table of `test_random.py`.

Run under a Python that has JAX, it prints the results: `python -m tests.random_cases > tests/random_golden.json`.
"""

import json

import ml_dtypes
import numpy as np

SEED = 1701
P = np.array([0.1, 0.0, 0.3, 0.05, 0.15, 0.4], np.float32)
LOGITS = np.array([[0.0, 1.0, -1.0, 2.0], [0.5, 0.5, 0.5, 0.5], [-3.0, 0.0, 3.0, -np.inf]], np.float32)
COVARIANCE = np.array([[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]], np.float32)
RATES = np.array([0.0, 0.3, 2.5, 9.0, 11.0, 400.0], np.float32)
SHAPES = np.array([0.05, 0.5, 1.0, 2.5, 100.0], np.float32)
# Units in the last place by which log1p differs; JAX's of doubles is some 60 off for arguments near -0.5.
LOG1P = {"float16": 4, "bfloat16": 4, "float32": 4, "float64": 128}

# name -> (function name, positional arguments after the key, keyword arguments, units in the last place)
CASES: dict[str, tuple[str, tuple, dict, float]] = {}


def case(name, function, *args, ulps=0, **kwargs):
    CASES[name] = (function, args, kwargs, ulps)


case("split", "split")
case("split in five", "split", 5)
case("split in a matrix", "split", (2, 3))
case("fold in", "fold_in", 12)
case("fold in many bits", "fold_in", np.uint32(0xFFFFFFF0))
for _type in "uint8 uint16 uint32 uint64".split():
    case(f"bits {_type}", "bits", (3, 5), _type)
case("scalar bits", "bits")
case("no bits", "bits", (0, 3))
case("many bits", "bits", (2, 3, 4, 5))
for _type in "float16 bfloat16 float32 float64".split():
    case(f"uniform {_type}", "uniform", (3, 5), _type)
    case(f"uniform {_type} in an interval", "uniform", (3, 5), _type, -2.0, 3.0, ulps=4)
    case(f"normal {_type}", "normal", (3, 5), _type, ulps=4)
    for _function in "exponential laplace logistic gumbel cauchy".split():
        case(f"{_function} {_type}", _function, (7,), _type, ulps=LOG1P[_type])
    case(f"truncated normal {_type}", "truncated_normal", -1.0, 2.0, (7,), _type, ulps=4)
for _type in "float32 float64".split():
    for _function in "gamma loggamma".split():
        case(f"{_function} {_type}", _function, SHAPES.astype(_type), dtype=_type, ulps=4 * LOG1P[_type])
for _type in "float16 bfloat16 float64".split():
    _shapes, _one, _two = (np.asarray(v).astype(ml_dtypes.finfo(_type).dtype) for v in (SHAPES, 1.25, 2.5))
    for _function, _args, _ulps in (
        ("gamma", (_shapes,), 16),
        ("loggamma", (_shapes,), 16),
        ("beta", (_shapes, _two), 16),
        ("dirichlet", (_shapes, (2,)), 16),
        ("t", (_shapes[1:],), 16),
        ("pareto", (_shapes,), 16),
        ("chisquare", (_shapes,), 16),
        ("f", (_shapes[1:], _two), 16),
        ("generalized_normal", (1.5, (5,)), 16),
        ("ball", (3, 2.0, (2,)), 16),
        ("maxwell", ((5,),), 16),
        ("double_sided_maxwell", (_one, _two, (5,)), 16),
        ("weibull_min", (_two, _one, (5,)), LOG1P[_type]),
        ("rayleigh", (_two, (5,)), 16),
        ("wald", (_two, (5,)), 16),
        ("triangular", (-_one, _one, _two, (5,)), 16),
        ("lognormal", (_one, (5,)), 16),
        ("rademacher", ((5,),), 0),
        ("multivariate_normal", (_shapes[:3], np.eye(3, dtype=_shapes.dtype) * _two, (2,)), 16),
    ):
        # JAX's Cholesky factors, and so its joint normals, are of floats and doubles alone.
        if f"{_function} {_type}" not in CASES and (_function != "multivariate_normal" or _type == "float64"):
            case(f"{_function} {_type}", _function, *_args, dtype=_type, ulps=_ulps)
case("beta", "beta", SHAPES, SHAPES[:3, None], ulps=16)
case("dirichlet", "dirichlet", SHAPES, (2,), ulps=16)
case("t", "t", SHAPES[1:], (2, 4), ulps=16)
case("scalar uniform", "uniform")
case("uniform between arrays", "uniform", (4, 5), minval=SHAPES, maxval=np.float32(200), ulps=4)
case("complex normal", "normal", (6,), "complex64", ulps=4)
case("gumbel of many bits", "gumbel", (7,), "float32", mode="high", ulps=4)
case("pareto", "pareto", SHAPES, ulps=4)
case("chi square", "chisquare", SHAPES, ulps=16)
case("f", "f", SHAPES[1:], np.float32(3), ulps=16)
case("generalized normal", "generalized_normal", 1.5, (7,), ulps=16)
case("ball", "ball", 3, 2.0, (4,), ulps=4)
case("ball of another norm", "ball", 3, 1.3, (4,), ulps=4)
case("maxwell", "maxwell", (7,), ulps=4)
case("double sided maxwell", "double_sided_maxwell", np.float32(1), np.float32(2), (7,), ulps=4)
case("weibull", "weibull_min", 2.0, 1.5, (7,), ulps=4)
case("rayleigh", "rayleigh", np.float32(2.0), (7,), ulps=4)
case("wald", "wald", np.float32(1.5), (7,), ulps=4)
case("triangular", "triangular", -1.0, 0.5, 2.0, (7,), ulps=4)
case("lognormal", "lognormal", np.float32(0.5), (7,), ulps=4)
case("multivariate normal", "multivariate_normal", np.arange(3, dtype=np.float32), COVARIANCE, (5,), ulps=4)
for _method in "eigh svd".split():
    case(f"multivariate normal by {_method}", "multivariate_normal", np.arange(3.0, dtype=np.float32), COVARIANCE, (5,),
         method=_method, ulps=16)  # fmt: skip
case("orthogonal", "orthogonal", 4, (2,), ulps=16)
case("wide orthogonal", "orthogonal", 3, m=5, ulps=16)
case("tall orthogonal", "orthogonal", 5, m=2, ulps=16)
for _type in "uint8 uint16 uint32 uint64 int8 int16 int32 int64".split():
    _low, _high = int(np.iinfo(_type).min), int(np.iinfo(_type).max)
    case(f"randint {_type}", "randint", (3, 5), 3, 100, _type)
    if _type in ("uint8", "uint16", "int8", "int16"):
        case(f"randint {_type} of the whole type", "randint", (3, 5), _low, _high + 1, _type)
case("randint of a wide span", "randint", (9,), -2147483648, 2147483647)
case("randint of an empty span", "randint", (3,), 5, 5)
case("randint between arrays", "randint", (2, 3), np.array([0, 10, -50], np.int32), np.array([[60], [90]], np.int32))
case("randint int64 of a wide span", "randint", (9,), np.int64(-(2**62)), np.int64(2**62), "int64")
case("bernoulli", "bernoulli", 0.3, (3, 5))
case("bernoulli of an array", "bernoulli", P)
case("bernoulli of half floats", "bernoulli", P.astype(np.float16), (3, 6))
case("bernoulli of doubles", "bernoulli", P.astype(np.float64), (3, 6))
case("bernoulli of many bits", "bernoulli", P, (3, 6), mode="high")
case("rademacher", "rademacher", (9,))
case("rademacher float32", "rademacher", (9,), "float32")
case("geometric", "geometric", np.array([0.1, 0.5, 0.9, 1.0], np.float32), (2, 4))
case("poisson", "poisson", RATES, (3, 6))
TRIALS = np.array([1.0, 5.0, 30.0, 1000.0, 1e5, 7.0, 3.0, 4.0, 2.0], np.float32)
CHANCES = np.array([0.1, 0.5, 0.9, 0.01, 0.7, 0.0, 1.0, np.nan, -0.1], np.float32)
case("binomial", "binomial", TRIALS, CHANCES, (3, 9))
case("binomial of doubles", "binomial", TRIALS.astype(np.float64), CHANCES.astype(np.float64), dtype="float64")
case("multinomial", "multinomial", np.array([10.0, 100.0], np.float32),
     np.array([[0.1, 0.2, 0.7], [0.3, 0.3, 0.4]], np.float32))  # fmt: skip
case("permutation of a range", "permutation", 20)
case("long permutation", "permutation", 300)
case("permutation of a vector", "permutation", np.arange(10, 20, dtype=np.float32))
case("permutation of rows", "permutation", np.arange(12, dtype=np.int32).reshape(4, 3))
case("permutation of columns", "permutation", np.arange(12, dtype=np.int32).reshape(3, 4), 1)
case("independent permutation", "permutation", np.arange(12, dtype=np.int32).reshape(3, 4), 1, independent=True)
case("choice of a range", "choice", 9, (2, 3))
case("choice of an array", "choice", np.arange(12, dtype=np.int32).reshape(3, 4), (5,), axis=1)
case("choice without replacement", "choice", 9, (2, 3), False)
case("choice of an array without replacement", "choice", np.arange(12, dtype=np.int32).reshape(3, 4), (2,), False)
case("choice with probabilities", "choice", 6, (3, 4), p=P)
case("choice with probabilities and no replacement", "choice", np.arange(10, 16, dtype=np.int32), (4,), False, P)
case("categorical", "categorical", LOGITS)
case("categorical along another axis", "categorical", LOGITS, 0)
case("categorical of many draws", "categorical", LOGITS, shape=(5, 3))
case("categorical without replacement", "categorical", LOGITS[:2], shape=(3, 2), replace=False)


def is_wide(name):
    """Whether a case needs JAX's 64-bit types; all others are run without, for JAX's default types."""
    function, args, kwargs, _ = CASES[name]
    types = [getattr(a, "dtype", a) for a in (*args, *kwargs.values())]
    return any(str(t) in ("float64", "int64", "uint64") for t in types)


def run_jax(name, seed=SEED):
    """The result of a case under JAX."""
    import jax

    function, args, kwargs, _ = CASES[name]
    with jax.enable_x64(is_wide(name)):
        return np.asarray(getattr(jax.random, function)(jax.random.PRNGKey(np.uint32(seed)), *args, **kwargs))


def _golden():
    for name in CASES:
        x = run_jax(name)
        flat = x.ravel()
        if x.dtype.kind == "c":
            flat = flat.view(x.real.dtype)
        values = flat.tolist() if x.dtype.kind in "biu" else [float(v) for v in flat]
        yield name, {"dtype": str(x.dtype), "shape": list(x.shape), "values": values}


if __name__ == "__main__":
    rows = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in _golden())
    print("{\n" + ",\n".join(rows) + "\n}")
