"""Training as TF1's Estimator had it: a model function, and fit, evaluate, predict and export around it."""

from xlac.estimator import layers, losses, optimizers
from xlac.estimator.canned import DNNClassifier, DNNRegressor
from xlac.estimator.checkpoint import CheckpointStore, load_arrays, save_arrays
from xlac.estimator.estimator import Estimator
from xlac.estimator.inputs import ArrayInput
from xlac.estimator.losses import accuracy, mean
from xlac.estimator.spec import EstimatorSpec, Metric, ModeKeys, RunConfig, TrainOp
from xlac.estimator.variables import assign, random_key, variable, variable_scope

__all__ = [
    "ArrayInput",
    "CheckpointStore",
    "DNNClassifier",
    "DNNRegressor",
    "Estimator",
    "EstimatorSpec",
    "Metric",
    "ModeKeys",
    "RunConfig",
    "TrainOp",
    "accuracy",
    "assign",
    "layers",
    "load_arrays",
    "losses",
    "mean",
    "optimizers",
    "random_key",
    "save_arrays",
    "variable",
    "variable_scope",
]
