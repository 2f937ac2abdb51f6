"""What a model function is asked for and what it returns: modes, EstimatorSpec, metrics, and settings."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from xlac.errors import EstimatorError


class ModeKeys:
    """What the model function is called for."""

    TRAIN = "train"
    EVAL = "eval"
    PREDICT = "predict"


MODES = (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.PREDICT)


@dataclass(frozen=True)
class TrainOp:
    """`optimizer.minimize(loss)`: the wish that an optimizer lowers a loss.

    Attributes:
      optimizer: has `init(variables)` and `update(gradients, slots, variables, step)`.
      loss: a floating scalar; None for the EstimatorSpec's.
    """

    optimizer: Any
    loss: Any = None


@dataclass(frozen=True)
class Metric:
    """A mean over all rows of an evaluation, as its sum over a batch and the count (or weight) it is divided by.

    Attributes:
      total: scalar.
      count: scalar.
    """

    total: Any
    count: Any


def describe(value: Any) -> str:
    """A few words for an error message: type and shape of an array, else the type's name and the value, cut short."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{np.dtype(value.dtype).name}[{','.join(map(str, value.shape))}]"
    return "None" if value is None else f"{type(value).__name__} {value!r:.60}"


def _is_array(value: Any) -> bool:
    return (hasattr(value, "shape") and hasattr(value, "dtype")) or isinstance(value, (bool, int, float))


def is_floating(dtype: Any) -> bool:
    """Whether a type is a real floating one, those of ml_dtypes included."""
    dtype = np.dtype(dtype)
    return np.issubdtype(dtype, np.floating) or (dtype.kind == "V" and "float" in dtype.name)


def _check_loss(loss: Any, mode: str) -> None:
    if isinstance(loss, float):
        raise EstimatorError(
            f"EstimatorSpec(mode={mode!r}): loss is the Python number {loss}; it must come from the features"
        )
    if not _is_array(loss):
        raise EstimatorError(
            f"EstimatorSpec(mode={mode!r}): loss is {describe(loss)}; it must be a floating scalar array"
        )
    if tuple(loss.shape) != () or not is_floating(loss.dtype):
        raise EstimatorError(
            f"EstimatorSpec(mode={mode!r}): loss is {describe(loss)}; it must be a floating scalar, "
            "such as the mean of the losses of the batch's rows"
        )


@dataclass(frozen=True)
class EstimatorSpec:
    """What a model function returns.

    Attributes:
      mode: the mode it was called with.
      predictions: an array, or name -> array, of one row per row of the features; needed to predict.
      loss: floating scalar; needed to train and to evaluate.
      train_op: `optimizer.minimize(loss)`; to train, this or `optimizer` is needed.
      optimizer: minimises `loss`.
      eval_metric_ops: name -> `Metric`, or array of one value per row (averaged), or scalar (averaged by batch size).

    Raises:
      EstimatorError: something is missing or not of this kind; the message says what was received and what would be
        right.
    """

    mode: str
    predictions: Any = None
    loss: Any = None
    train_op: TrainOp | None = None
    optimizer: Any = None
    eval_metric_ops: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        mode = self.mode
        if mode not in MODES:
            raise EstimatorError(f"EstimatorSpec: mode is {mode!r}; it must be one of {', '.join(map(repr, MODES))}")
        if self.loss is not None:
            _check_loss(self.loss, mode)
        elif mode != ModeKeys.PREDICT:
            raise EstimatorError(f"EstimatorSpec(mode={mode!r}): loss is missing; training and evaluation need it")
        if mode == ModeKeys.PREDICT and self.predictions is None:
            raise EstimatorError(
                "EstimatorSpec(mode='predict'): predictions are missing; give an array or a dict of arrays"
            )
        if self.predictions is not None:
            self._check_predictions()
        self._check_training()
        if self.eval_metric_ops is not None:
            self._check_metrics()

    def _check_predictions(self) -> None:
        given = self.predictions
        rows = given if isinstance(given, Mapping) else {"predictions": given}
        if not rows:
            raise EstimatorError(f"EstimatorSpec(mode={self.mode!r}): predictions are an empty dict")
        for name, value in rows.items():
            if not isinstance(name, str) or not hasattr(value, "shape") or not hasattr(value, "dtype"):
                raise EstimatorError(
                    f"EstimatorSpec(mode={self.mode!r}): predictions[{name!r}] is {describe(value)}; "
                    "predictions must be an array or a dict from names to arrays"
                )

    def _check_training(self) -> None:
        if self.train_op is not None and self.optimizer is not None:
            raise EstimatorError(f"EstimatorSpec(mode={self.mode!r}): both train_op and optimizer are given; give one")
        if self.train_op is not None and not isinstance(self.train_op, TrainOp):
            raise EstimatorError(
                f"EstimatorSpec(mode={self.mode!r}): train_op is {describe(self.train_op)}; "
                "it must be optimizer.minimize(loss), or pass optimizer= instead"
            )
        if self.train_op is not None and self.train_op.loss is not None:
            _check_loss(self.train_op.loss, self.mode)
        optimizer = self.training_optimizer
        if optimizer is None:
            if self.mode == ModeKeys.TRAIN:
                raise EstimatorError(
                    "EstimatorSpec(mode='train'): train_op and optimizer are missing; "
                    "give one, such as optimizer=xlac.estimator.optimizers.adam(1e-3)"
                )
        elif not callable(getattr(optimizer, "init", None)) or not callable(getattr(optimizer, "update", None)):
            raise EstimatorError(
                f"EstimatorSpec(mode={self.mode!r}): optimizer is {describe(optimizer)}; it must have init(variables) "
                "and update(gradients, slots, variables, step), as those of xlac.estimator.optimizers do"
            )

    def _check_metrics(self) -> None:
        metrics = self.eval_metric_ops
        if not isinstance(metrics, Mapping):
            raise EstimatorError(
                f"EstimatorSpec: eval_metric_ops is {describe(metrics)}; it must be a dict of metrics by name"
            )
        for name, value in metrics.items():
            good = isinstance(name, str) and (isinstance(value, Metric) or _is_array(value))
            if not good:
                raise EstimatorError(
                    f"EstimatorSpec: eval_metric_ops[{name!r}] is {describe(value)}; "
                    "it must be a Metric(total, count), or an array of one value per row"
                )
            if name == "global_step":
                raise EstimatorError(
                    "EstimatorSpec: eval_metric_ops has 'global_step', which evaluate() itself reports"
                )

    @property
    def training_optimizer(self) -> Any:
        """The optimizer of `train_op`, or `optimizer`."""
        return self.train_op.optimizer if isinstance(self.train_op, TrainOp) else self.optimizer

    @property
    def training_loss(self) -> Any:
        """The loss of `train_op` where it has one, else `loss`."""
        own = self.train_op.loss if self.train_op is not None else None
        return self.loss if own is None else own


@dataclass(frozen=True)
class RunConfig:
    """How an Estimator runs.

    Attributes:
      seed: of initial values, shuffling and dropout; the same seed gives the same model, bit for bit.
      batch_size: rows a training step takes from arrays.
      eval_batch_size: rows at a time in evaluate and predict.
      shuffle: shuffle the rows anew in each epoch of training.
      save_checkpoints_steps: steps between checkpoints (one is always written at the end); None for only that one.
      keep_checkpoint_max: how many checkpoints are kept.
      log_step_count_steps: steps between lines (loss, steps/s) of the logger "xlac.estimator"; None for none.
      progress: "auto" shows a tqdm bar on a terminal where tqdm is installed and logs elsewhere; True, False force one.
      pad_to_batch: evaluate and predict repeat a row to fill up the last batch, and drop the results, where otherwise
        another program would be compiled for its size. Right only for models that treat each row by itself, with
        metrics per row.

    Raises:
      EstimatorError: a value is impossible.
    """

    seed: int = 0
    batch_size: int = 32
    eval_batch_size: int = 1024
    shuffle: bool = True
    save_checkpoints_steps: int | None = 1000
    keep_checkpoint_max: int = 5
    log_step_count_steps: int | None = 100
    progress: bool | str = "auto"
    pad_to_batch: bool = False

    def __post_init__(self) -> None:
        positive = (
            "batch_size",
            "eval_batch_size",
            "save_checkpoints_steps",
            "keep_checkpoint_max",
            "log_step_count_steps",
        )
        for name in positive:
            value = getattr(self, name)
            if value is None and name in ("save_checkpoints_steps", "log_step_count_steps"):
                continue
            object.__setattr__(self, name, check_count(value, name, least=1))
        object.__setattr__(self, "seed", check_count(self.seed, "seed", least=0))
        if self.seed >= 1 << 63:
            raise EstimatorError(f"seed is {self.seed}; it must be below 2**63")
        if not isinstance(self.progress, bool) and self.progress != "auto":
            raise EstimatorError(f"progress is {self.progress!r}; it must be 'auto', True or False")

    @staticmethod
    def of(config: Any) -> RunConfig:
        """A RunConfig from one, a dict of its fields, or None."""
        if config is None:
            return RunConfig()
        if isinstance(config, RunConfig):
            return config
        if isinstance(config, Mapping):
            known = [field.name for field in fields(RunConfig)]
            unknown = [str(name) for name in config if name not in known]
            if unknown:
                raise EstimatorError(f"config has no {', '.join(unknown)}; it has {', '.join(known)}")
            return RunConfig(**config)
        raise EstimatorError(f"config is {describe(config)}; it must be a RunConfig or a dict of its fields")


def check_count(value: Any, name: str, least: int = 0) -> int:
    """`value` as an int.

    Raises:
      EstimatorError: it is no integer, or less than `least`.
    """
    try:
        number = value.__index__() if not isinstance(value, (bool, np.bool_)) else None
    except AttributeError:
        number = None
    if number is None or number < least:
        raise EstimatorError(f"{name} is {value!r}; it must be an integer of {least} or more")
    return number


def check_real(value: Any, name: str, least: float = -math.inf, below: float = math.inf) -> float:
    """`value` as a float in [least, below).

    Raises:
      EstimatorError: it is no such number.
    """
    good = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not least <= value < below:
        bounds = " and ".join(
            [f"of {least:g} or more"] * (least > -math.inf) + [f"below {below:g}"] * (below < math.inf)
        )
        raise EstimatorError(f"{name} is {value!r}; it must be a finite number {bounds}".rstrip())
    return float(value)


def check_folder(path: Any) -> str | None:
    """`model_dir` as a string, None for none.

    Raises:
      EstimatorError: it is no path, or names something that is not a folder.
    """
    if path is None:
        return None
    try:
        folder = os.fspath(path)
    except TypeError:
        raise EstimatorError(f"model_dir is {describe(path)}; it must be the path of a folder, or None") from None
    if isinstance(folder, bytes) or not folder:
        raise EstimatorError(f"model_dir is {folder!r}; it must be the path of a folder, or None")
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise EstimatorError(f"model_dir is {folder!r}, which is not a folder")
    return folder
