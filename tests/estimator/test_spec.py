"""EstimatorSpec and RunConfig say what was received and what would be right."""

from __future__ import annotations

import numpy as np
import pytest

from xlac.errors import EstimatorError
from xlac.estimator import EstimatorSpec, Metric, ModeKeys, RunConfig, TrainOp, optimizers

LOSS = np.float32(1.0)
SGD = optimizers.sgd()


def test_a_complete_spec_of_each_mode_is_accepted():
    EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, optimizer=SGD)
    EstimatorSpec(ModeKeys.TRAIN, loss=LOSS, train_op=SGD.minimize(LOSS))
    EstimatorSpec(ModeKeys.EVAL, loss=LOSS, eval_metric_ops={"a": Metric(1.0, 2), "b": np.ones(3)})
    EstimatorSpec(ModeKeys.PREDICT, predictions={"p": np.ones(3)})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "infer", "loss": LOSS}, "'infer'; it must be one of 'train', 'eval', 'predict'"),
        ({"mode": "train", "optimizer": SGD}, "loss is missing"),
        ({"mode": "eval"}, "loss is missing"),
        ({"mode": "predict"}, "predictions are missing"),
        ({"mode": "predict", "predictions": {}}, "empty dict"),
        ({"mode": "predict", "predictions": [1, 2]}, r"list \[1, 2\]; predictions must be"),
        ({"mode": "predict", "predictions": {"a": "x"}}, r"predictions\['a'\] is str 'x'"),
        ({"mode": "train", "loss": LOSS}, "train_op and optimizer are missing"),
        ({"mode": "train", "loss": LOSS, "optimizer": "adam"}, "optimizer is str 'adam'; it must have init"),
        ({"mode": "train", "loss": LOSS, "train_op": SGD}, r"train_op is .*; it must be optimizer.minimize\(loss\)"),
        ({"mode": "train", "loss": LOSS, "train_op": TrainOp(SGD), "optimizer": SGD}, "both train_op and optimizer"),
        (
            {"mode": "train", "loss": np.ones(3, "f4"), "optimizer": SGD},
            r"loss is float32\[3\]; it must be a floating sc",
        ),
        ({"mode": "train", "loss": np.int32(1), "optimizer": SGD}, r"loss is int32\[\]"),
        ({"mode": "train", "loss": 0.5, "optimizer": SGD}, "the Python number 0.5"),
        ({"mode": "eval", "loss": "low"}, "loss is str 'low'"),
        ({"mode": "eval", "loss": LOSS, "eval_metric_ops": [1]}, "must be a dict"),
        ({"mode": "eval", "loss": LOSS, "eval_metric_ops": {"a": "x"}}, r"eval_metric_ops\['a'\] is str 'x'"),
        ({"mode": "eval", "loss": LOSS, "eval_metric_ops": {"global_step": LOSS}}, "itself reports"),
    ],
)
def test_an_improper_spec_says_what_would_be_right(arguments, message):
    with pytest.raises(EstimatorError, match=message):
        EstimatorSpec(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be an integer of 1 or more"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
        ({"progress": "sometimes"}, "progress is 'sometimes'"),
    ],
)
def test_an_improper_config_is_refused(arguments, message):
    with pytest.raises(EstimatorError, match=message):
        RunConfig(**arguments)


def test_a_config_may_be_a_dict_of_known_names():
    assert RunConfig.of({"seed": np.int64(3)}) == RunConfig(seed=3)
    with pytest.raises(EstimatorError, match="config has no batchsize; it has seed, batch_size"):
        RunConfig.of({"batchsize": 3})
